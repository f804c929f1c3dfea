package models

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/hal/driver"
	"github.com/heddle-ml/heddle/models/arch"
	"github.com/heddle-ml/heddle/scheduler"
)

// decoder runs the language model of one session: chunks of a prompt, then
// token by token, over one KV cache. One goroutine.
type decoder struct {
	m      *Model
	states *scheduler.States
	pre    *text
	dec    *text
	logits []float32 // of the last call: rows of the vocabulary
	pos    int       // tokens in the cache
	one    [1]int32
}

// text is a frame of a language module with its host memory, allocated once.
type text struct {
	f                                  *scheduler.Frame
	ids, pos, write, length, rows      []byte
	mask, embeds, logits               []byte
	aIDs, aPos, aWrite, aLength, aRows int
	aMask, aEmbeds, aLogits            int
	chunk, maxRows, width, vocab       int
	fixed                              bool // chunk cannot vary
}

// maxLogitRows is how many rows of logits one prefill run gives at most.
const maxLogitRows = 32

func newDecoder(ctx context.Context, m *Model) (_ *decoder, err error) {
	d := &decoder{m: m}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.close())
		}
	}()
	pipeline := m.engine.Load().pipeline
	pre, dec := pipeline.Stage(modulePrefill), pipeline.Stage(moduleDecode)
	if pre == nil || dec == nil {
		return nil, fmt.Errorf("models: %s: %s", m.files.Name(), m.lacks(groupLLM, m.desc.Text != nil, "has no language model to talk to"))
	}
	if d.states, err = pre.NewStates(ctx); err != nil {
		return nil, err
	}
	plan := pipeline.Plan()
	chunk, rows := plan.Chunk, min(plan.Chunk, maxLogitRows)
	if n, ok := pre.Fixed("rows"); ok {
		rows = n
	}
	if d.pre, err = newText(ctx, m, pre, d.states, int(chunk), int(rows)); err != nil {
		return nil, err
	}
	if d.dec, err = newText(ctx, m, dec, d.states, 1, 1); err != nil {
		return nil, err
	}
	d.logits = make([]float32, m.desc.Text.Vocab)
	return d, nil
}

func newText(ctx context.Context, m *Model, s *scheduler.Stage, st *scheduler.States, chunk, rows int) (*text, error) {
	f, err := s.NewFrame(ctx, nil, dim.Binding{"chunk": int64(chunk), "rows": int64(rows)}, st)
	if err != nil {
		return nil, err
	}
	_, fixed := s.Fixed("chunk")
	t := &text{f: f, chunk: chunk, maxRows: rows, width: int(m.desc.Text.Hidden), vocab: int(m.desc.Text.Vocab), fixed: fixed,
		ids: make([]byte, 8*chunk), pos: make([]byte, 8*chunk), write: make([]byte, 8), length: make([]byte, 8), rows: make([]byte, 8*rows),
		logits: make([]byte, 4*rows*int(m.desc.Text.Vocab))}
	in := func(n string) int { return f.Arg(driver.RoleInput, n) }
	t.aIDs, t.aPos, t.aWrite, t.aLength, t.aRows = in(arch.InputIDs), in(arch.PositionIDs), in(arch.WriteIndex), in(arch.KVLength), in(arch.LogitRows)
	t.aMask, t.aEmbeds, t.aLogits = in(arch.ImageMask), in(arch.ImageEmbeds), f.Arg(driver.RoleOutput, arch.Logits)
	if t.aMask >= 0 {
		t.mask, t.embeds = make([]byte, chunk), make([]byte, 4*chunk*t.width)
	}
	return t, nil
}

// run puts the tokens ids into the cache from position pos on and computes
// the logits of the given rows (places in ids) into t.logits. embeds, if not
// nil, returns the embedding that replaces the i-th token's, or nil. Fewer
// tokens than a fixed chunk are padded: the rows behind are written to the
// cache too, seen by no real query, and overwritten by what follows.
func (t *text) run(ctx context.Context, ids []int32, pos int, rows []int, embeds func(i int) []byte) error {
	// A device that is fast enough is never waited for, and a wait for what is
	// done does not look at ctx.
	if err := ctx.Err(); err != nil {
		return err
	}
	n := len(ids)
	if t.fixed {
		n = t.chunk
		for len(rows) < t.maxRows {
			rows = append(rows, rows[len(rows)-1])
		}
	} else if t.chunk > 1 || t.maxRows > 1 {
		if err := t.f.SetDim("chunk", int64(n)); err != nil {
			return err
		}
		if err := t.f.SetDim("rows", int64(len(rows))); err != nil {
			return err
		}
	}
	le := binary.LittleEndian
	for i := range n {
		id := int32(0)
		if i < len(ids) {
			id = ids[i]
		}
		le.PutUint64(t.ids[8*i:], uint64(id))
		le.PutUint64(t.pos[8*i:], uint64(pos+i))
	}
	le.PutUint64(t.write, uint64(pos))
	le.PutUint64(t.length, uint64(pos+n))
	for i, r := range rows {
		le.PutUint64(t.rows[8*i:], uint64(r))
	}
	f := t.f
	f.Begin()
	f.Upload(t.aIDs, t.ids[:8*n])
	f.Upload(t.aPos, t.pos[:8*n])
	f.Upload(t.aWrite, t.write)
	f.Upload(t.aLength, t.length)
	if t.aRows >= 0 {
		f.Upload(t.aRows, t.rows[:8*len(rows)])
	}
	if t.aMask >= 0 {
		any := false
		for i := range n {
			t.mask[i] = 0
			if embeds == nil || i >= len(ids) {
				continue
			}
			if e := embeds(i); e != nil {
				t.mask[i], any = 1, true
				copy(t.embeds[4*t.width*i:4*t.width*(i+1)], e)
			}
		}
		f.Upload(t.aMask, t.mask[:n])
		if any {
			f.Upload(t.aEmbeds, t.embeds[:4*t.width*n])
		}
	}
	f.Run()
	f.Download(t.aLogits, t.logits[:4*t.vocab*len(rows)])
	if _, err := f.Submit(ctx); err != nil {
		return err
	}
	if err := f.Wait(ctx); err != nil {
		// The run goes on without us and writes to our memory: let it end.
		_ = f.Wait(context.WithoutCancel(ctx))
		return err
	}
	return nil
}

// check refuses what does not fit the vocabulary or the context.
func (d *decoder) check(ids []int32) error {
	for i, id := range ids {
		if id < 0 || int64(id) >= d.m.desc.Text.Vocab {
			return fmt.Errorf("models: token %d at place %d is not in the vocabulary of %d", id, d.pos+i, d.m.desc.Text.Vocab)
		}
	}
	if d.pos+len(ids) > d.m.Context() {
		return fmt.Errorf("models: %d tokens do not fit the context of %d; shorten the conversation, start a new one, or open the model with a longer context", d.pos+len(ids), d.m.Context())
	}
	return nil
}

// prefill appends tokens to the cache, chunk by chunk, and returns the logits
// behind the last one. The slice is the decoder's and changes with the next
// call. When a chunk fails or ctx ends, the chunks before it stay.
func (d *decoder) prefill(ctx context.Context, ids []int32, embeds func(i int) []byte) ([]float32, error) {
	if len(ids) == 0 {
		return nil, errors.New("models: nothing to prefill")
	}
	if err := d.check(ids); err != nil {
		return nil, err
	}
	for at := 0; at < len(ids); {
		n := min(d.pre.chunk, len(ids)-at)
		var shifted func(i int) []byte
		if embeds != nil {
			base := at
			shifted = func(i int) []byte { return embeds(base + i) }
		}
		if err := d.pre.run(ctx, ids[at:at+n], d.pos, []int{n - 1}, shifted); err != nil {
			return nil, err
		}
		at += n
		d.pos += n
	}
	getFloats(d.logits, d.pre.logits)
	return d.logits, nil
}

// step appends one text token and returns the logits behind it, as prefill.
// It allocates nothing.
func (d *decoder) step(ctx context.Context, id int32) ([]float32, error) {
	d.one[0] = id
	if err := d.check(d.one[:]); err != nil {
		return nil, err
	}
	if err := d.dec.run(ctx, d.one[:], d.pos, zeroRow, nil); err != nil {
		return nil, err
	}
	d.pos++
	getFloats(d.logits, d.dec.logits)
	return d.logits, nil
}

var zeroRow = []int{0}

// rewind forgets all but the first n tokens.
func (d *decoder) rewind(n int) { d.pos = min(d.pos, n) }

func (d *decoder) close() error {
	var errs []error
	for _, t := range []*text{d.pre, d.dec} {
		if t != nil {
			errs = append(errs, t.f.Close())
		}
	}
	if d.states != nil {
		errs = append(errs, d.states.Close())
	}
	return errors.Join(errs...)
}
