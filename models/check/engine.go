package check

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/hal/driver"
	"github.com/heddle-ml/heddle/models/arch"
	"github.com/heddle-ml/heddle/models/ckpt"
	"github.com/heddle-ml/heddle/scheduler"
)

// engine runs a model's graphs with their intermediate values as outputs.
type engine struct {
	files  *ckpt.Checkpoint
	model  *arch.Model
	devs   []*hal.Device
	policy scheduler.Policy
	want   map[string]tensor
	got    map[string]tensor
	inputs map[string]bool // names that were inputs
}

func (e *engine) run(ctx context.Context) error {
	m := e.model
	ran := false
	var embeds tensor
	if p, ok := e.want["pixel_values"]; ok && m.Vision != nil {
		ran = true
		e.inputs["pixel_values"] = true
		g, err := m.VisionGraph(e.files, arch.VisionOptions{Taps: true})
		if err != nil {
			return err
		}
		if len(p.shape) == 0 || p.f == nil {
			return errors.New("check: pixel_values are not float tiles")
		}
		out, err := e.module(ctx, "vision", g, map[string]tensor{arch.Pixels: p}, dim.Binding{"tiles": p.shape[0]})
		if err != nil {
			return err
		}
		embeds = out[arch.ImageOutput]
		for n, t := range out {
			e.got[n] = t
		}
	}
	if p, ok := e.want["input"]; ok && m.Projector != nil && len(p.shape) == 3 && p.f != nil {
		ran = true
		e.inputs["input"] = true
		g, err := m.ProjectorGraph(e.files, p.shape[1], true)
		if err != nil {
			return err
		}
		if e.got, err = e.module(ctx, "projector", g, map[string]tensor{"input": p}, dim.Binding{"tiles": p.shape[0]}); err != nil {
			return err
		}
	}
	if m.Text != nil {
		for _, s := range sequences(e.want) {
			ran = true
			if err := e.sequence(ctx, s, embeds); err != nil {
				return fmt.Errorf("check: %s: %w", s, err)
			}
		}
	}
	if !ran {
		return errNoInputs
	}
	return nil
}

// module plans, loads and runs one graph once and returns its outputs.
func (e *engine) module(ctx context.Context, name string, g *graph.Graph, in map[string]tensor, at dim.Binding) (_ map[string]tensor, err error) {
	p, stages, err := e.load(ctx, scheduler.Module{Name: name, Graph: g})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	f, err := newFrame(ctx, stages[0], g, at, nil)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return f.run(ctx, in)
}

func (e *engine) load(ctx context.Context, modules ...scheduler.Module) (*scheduler.Pipeline, []*scheduler.Stage, error) {
	w := scheduler.Workload{Name: "check", Modules: modules}
	plan, err := scheduler.New(e.devs...).Plan(ctx, w, e.policy)
	if err != nil {
		return nil, nil, err
	}
	p, err := plan.Load(ctx, w, e.files, e.devs...)
	if err != nil {
		return nil, nil, err
	}
	var stages []*scheduler.Stage
	for _, m := range modules {
		stages = append(stages, p.Stage(m.Name))
	}
	return p, stages, nil
}

// frame is a scheduler.Frame that moves whole tensors.
type frame struct {
	*scheduler.Frame
	g  *graph.Graph
	at dim.Binding
}

func newFrame(ctx context.Context, s *scheduler.Stage, g *graph.Graph, at dim.Binding, st *scheduler.States) (*frame, error) {
	f, err := s.NewFrame(ctx, at, nil, st)
	if err != nil {
		return nil, err
	}
	return &frame{f, g, at}, nil
}

// run uploads inputs, runs, and downloads every output.
func (f *frame) run(ctx context.Context, in map[string]tensor) (map[string]tensor, error) {
	f.Begin()
	for _, id := range f.g.Inputs {
		v := &f.g.Values[id]
		t, ok := in[v.Name]
		if !ok {
			return nil, fmt.Errorf("input %s has no value", v.Name)
		}
		arg := f.Arg(driver.RoleInput, v.Name)
		b := bytesOf(t, v.Type.Elem)
		if int64(len(b)) != f.Size(arg) {
			return nil, fmt.Errorf("input %s: the file's tensor has shape %v, the model takes %s", v.Name, t.shape, v.Type)
		}
		f.Upload(arg, b)
	}
	f.Run()
	raw := make([][]byte, len(f.g.Outputs))
	for i, o := range f.g.Outputs {
		arg := f.Arg(driver.RoleOutput, o.Name)
		raw[i] = make([]byte, f.Size(arg))
		f.Download(arg, raw[i])
	}
	if _, err := f.Submit(ctx); err != nil {
		return nil, err
	}
	if err := f.Wait(ctx); err != nil {
		return nil, err
	}
	out := map[string]tensor{}
	for i, o := range f.g.Outputs {
		shape, err := f.g.Values[o.Value].Type.Shape.Eval(f.at)
		if err != nil {
			return nil, err
		}
		out[o.Name] = tensor{shape: shape, f: floats(raw[i])}
	}
	return out, nil
}

func bytesOf(t tensor, elem enc.Elem) []byte {
	var b []byte
	switch elem {
	case enc.I64:
		for _, v := range t.i {
			b = binary.LittleEndian.AppendUint64(b, uint64(v))
		}
	case enc.Bool:
		for _, v := range t.i {
			b = append(b, byte(v))
		}
	default:
		for _, v := range t.f {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
		}
	}
	return b
}

func floats(b []byte) []float32 {
	out := make([]float32, len(b)/4)
	for i := range out {
		out[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return out
}

// sequence runs one sequence: the prompt at once with every tap, then as many
// greedy steps as the file stores.
func (e *engine) sequence(ctx context.Context, s string, embeds tensor) (err error) {
	m := e.model
	ids := e.want[s+".input_ids"]
	if ids.i == nil || len(ids.shape) != 1 || len(ids.i) == 0 {
		return errors.New("input_ids are not a vector of integers")
	}
	for i, id := range ids.i {
		if id < 0 || id >= m.Text.Vocab {
			return fmt.Errorf("input_ids[%d] is %d, the vocabulary has %d", i, id, m.Text.Vocab)
		}
	}
	n := int64(len(ids.i))
	steps := int64(len(e.want[s+".greedy"].i))
	e.inputs[s+".input_ids"] = true
	if _, ok := e.want[s+".prompt_ids"]; ok && m.Vision != nil {
		// The prompt has one placeholder per picture; the ids follow from it.
		e.inputs[s+".prompt_ids"], e.inputs[s+".image_index"] = true, true
		delete(e.inputs, s+".input_ids")
		x := e.expand(e.want[s+".prompt_ids"].i)
		e.got[s+".input_ids"] = tensor{shape: []int64{int64(len(x))}, i: x}
	}
	o := arch.TextOptions{Context: min(m.Text.MaxPositions, n+steps), MaxChunk: n, Taps: true}
	if o.Context < n+steps {
		return fmt.Errorf("%d tokens and %d steps exceed max_position_embeddings (%d)", n, steps, m.Text.MaxPositions)
	}
	o = o.Defaults(m.Text)
	pg, err := m.Prefill(e.files, o)
	if err != nil {
		return err
	}
	o.Taps = false
	dg, err := m.Decode(e.files, o)
	if err != nil {
		return err
	}
	p, stages, err := e.load(ctx, scheduler.Module{Name: "prefill", Group: "llm", Graph: pg}, scheduler.Module{Name: "decode", Group: "llm", Graph: dg})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	st, err := stages[0].NewStates(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	f, err := newFrame(ctx, stages[0], pg, dim.Binding{"chunk": n, "rows": n}, st)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	all := make([]int64, n)
	for i := range all {
		all[i] = int64(i)
	}
	in := step(ids.i, all, 0)
	if m.Vision != nil {
		if err := e.images(in, ids.i, e.want[s+".image_index"].i, embeds); err != nil {
			return err
		}
	}
	out, err := f.run(ctx, in)
	if err != nil {
		return err
	}
	for name, t := range out {
		e.got[s+"."+name] = tensor{shape: t.shape[1:], f: t.f} // the batch of one
	}
	if err := e.caches(s, st, pg, n); err != nil {
		return err
	}
	last := out[arch.Logits].f[(n-1)*m.Text.Vocab:]
	return e.greedy(ctx, s, stages[1], dg, st, last, n, steps)
}

// step returns the inputs of a run of ids from position pos on.
func step(ids, rows []int64, pos int64) map[string]tensor {
	n := int64(len(ids))
	at := make([]int64, n)
	for i := range at {
		at[i] = pos + int64(i)
	}
	return map[string]tensor{
		arch.InputIDs: {i: ids}, arch.PositionIDs: {i: at}, arch.WriteIndex: {i: []int64{pos}}, arch.KVLength: {i: []int64{pos + n}}, arch.LogitRows: {i: rows},
	}
}

// expand repeats each placeholder once for each visual token.
func (e *engine) expand(prompt []int64) []int64 {
	var out []int64
	for _, id := range prompt {
		n := int64(1)
		if id == e.model.Images.Token {
			n = e.model.Vision.Tokens
		}
		out = append(out, slices.Repeat([]int64{id}, int(n))...)
	}
	return out
}

// images adds the inputs that put image embeddings where placeholders stand.
func (e *engine) images(in map[string]tensor, ids, index []int64, embeds tensor) error {
	v := e.model.Vision
	mask := tensor{i: make([]int64, len(ids))}
	rows := tensor{f: make([]float32, int64(len(ids))*v.Width)}
	var flat []float32
	for _, i := range index {
		if len(embeds.shape) == 0 || i < 0 || i >= embeds.shape[0] {
			return fmt.Errorf("image_index names picture %d, pixel_values has %v", i, embeds.shape)
		}
		flat = append(flat, embeds.f[i*v.Tokens*v.Width:(i+1)*v.Tokens*v.Width]...)
	}
	for i, id := range ids {
		if id != e.model.Images.Token {
			continue
		}
		if int64(len(flat)) < v.Width {
			return errors.New("there are more placeholders than image embeddings")
		}
		mask.i[i] = 1
		copy(rows.f[int64(i)*v.Width:], flat[:v.Width])
		flat = flat[v.Width:]
	}
	if len(flat) > 0 {
		return errors.New("there are more image embeddings than placeholders")
	}
	in[arch.ImageMask], in[arch.ImageEmbeds] = mask, rows
	return nil
}

// caches reads the first n rows of the KV cache.
func (e *engine) caches(s string, st *scheduler.States, g *graph.Graph, n int64) error {
	for _, state := range g.States {
		if _, ok := e.want[s+"."+state.Name]; !ok {
			continue
		}
		shape, _ := g.Values[state.In].Type.Shape.Const()
		b, ok := st.Bytes(state.Name)
		if !ok {
			return fmt.Errorf("the device's %s is not visible to the host: %w", state.Name, hal.ErrUnsupported)
		}
		all := floats(b)
		heads, rows, d := shape[1], shape[2], shape[3]
		t := tensor{shape: []int64{heads, n, d}}
		for h := range heads {
			t.f = append(t.f, all[h*rows*d:(h*rows+n)*d]...)
		}
		e.got[s+"."+state.Name] = t
	}
	return nil
}

// greedy continues from the prompt's last logits through the KV cache.
func (e *engine) greedy(ctx context.Context, s string, stage *scheduler.Stage, g *graph.Graph, st *scheduler.States, logits []float32, pos, steps int64) (err error) {
	if steps == 0 {
		return nil
	}
	f, err := newFrame(ctx, stage, g, nil, st)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	ids := tensor{shape: []int64{steps}}
	all := tensor{shape: []int64{steps, e.model.Text.Vocab}}
	margin := tensor{shape: []int64{steps}}
	for i := range steps {
		best, gap := top(logits)
		ids.i, all.f, margin.f = append(ids.i, best), append(all.f, logits...), append(margin.f, gap)
		if i == steps-1 {
			break
		}
		out, err := f.run(ctx, step([]int64{best}, []int64{0}, pos+i))
		if err != nil {
			return err
		}
		logits = out[arch.Logits].f
	}
	e.got[s+".greedy"], e.got[s+".greedy_logits"], e.got[s+".greedy_margin"] = ids, all, margin
	return nil
}

// top returns the largest logit's place and its distance from the next.
func top(logits []float32) (id int64, gap float32) {
	best, second := float32(math.Inf(-1)), float32(math.Inf(-1))
	for i, l := range logits {
		switch {
		case l > best:
			best, second, id = l, best, int64(i)
		case l > second:
			second = l
		}
	}
	return id, best - second
}
