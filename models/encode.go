package models

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"math"
	"sync"

	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/hal/driver"
	"github.com/heddle-ml/heddle/models/arch"
	"github.com/heddle-ml/heddle/models/img"
	"github.com/heddle-ml/heddle/models/img/tiling"
	"github.com/heddle-ml/heddle/scheduler"
)

// encoder runs the vision module. Two frames take turns: while the device
// computes one batch of tiles, the next is normalised into the other (paper,
// section 3.2). One picture is encoded at a time.
type encoder struct {
	v     *arch.Vision
	stage *scheduler.Stage
	plan  *scheduler.Plan

	mu     sync.Mutex
	frames map[int64]*[2]*slot // by tiles of a run
}

// slot is a frame with its host memory.
type slot struct {
	frame  *scheduler.Frame
	pixels []byte // f32[tiles,3,side,side]
	embeds []byte // f32[tiles,tokens,width]
	busy   bool
	put    []byte // where the result goes
}

func newEncoder(v *arch.Vision, s *scheduler.Stage, p *scheduler.Plan) *encoder {
	return &encoder{v: v, stage: s, plan: p, frames: map[int64]*[2]*slot{}}
}

// Picture is an encoded picture: its grid and the embeddings that stand for
// it in the prompt, f32[Grid.Tiles*tokens, width].
type Picture struct {
	Grid   tiling.Grid
	embeds []byte
	tokens int
	sum    uint64 // of embeds
}

// slots returns the two frames for runs of n tiles.
func (e *encoder) slots(ctx context.Context, n int64) (*[2]*slot, error) {
	if s := e.frames[n]; s != nil {
		return s, nil
	}
	var out [2]*slot
	for i := range out {
		f, err := e.stage.NewFrame(ctx, dim.Binding{"tiles": n}, nil, nil)
		if err != nil {
			if i > 0 {
				err = errors.Join(err, out[0].frame.Close())
			}
			return nil, err
		}
		out[i] = &slot{frame: f,
			pixels: make([]byte, f.Size(f.Arg(driver.RoleInput, arch.Pixels))),
			embeds: make([]byte, f.Size(f.Arg(driver.RoleOutput, arch.ImageOutput)))}
	}
	e.frames[n] = &out
	return &out, nil
}

// batches splits n tiles into runs that the stage has executables for.
func (e *encoder) batches(n int64) []int64 {
	if _, static := e.stage.Fixed("tiles"); !static && !e.plan.Policy.Static && !e.stage.Device().Caps().Shapes.StaticOnly {
		return e.plan.Batches(n)
	}
	var out []int64
	for n > 0 {
		b := int64(1)
		if n >= e.plan.TileBatch {
			b = e.plan.TileBatch
		}
		out = append(out, b)
		n -= b
	}
	return out
}

// encode runs tiles, normalised by norm, and returns their embeddings.
func (e *encoder) encode(ctx context.Context, tiles img.Tiles, norm img.Norm) (_ []byte, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if tiles.Side != int(e.v.Side) {
		return nil, fmt.Errorf("models: tiles of %d pixels; the vision tower takes %d", tiles.Side, e.v.Side)
	}
	out := make([]byte, 4*int64(tiles.N)*e.v.Tokens*e.v.Width)
	rest := out
	var used []*slot
	defer func() {
		// After an error or a cancellation a run may still be under way, and
		// it writes to the slot's memory.
		for _, s := range used {
			if s.busy {
				s.busy = false
				err = errors.Join(err, ignoreCancel(s.frame.Wait(context.WithoutCancel(ctx))))
			}
		}
	}()
	first := 0
	for i, n := range e.batches(int64(tiles.N)) {
		pair, err := e.slots(ctx, n)
		if err != nil {
			return nil, err
		}
		s := pair[i%2]
		if err := s.finish(ctx); err != nil {
			return nil, err
		}
		part := img.Tiles{N: int(n), Side: tiles.Side, Pix: tiles.Pix[first*tiles.Side*tiles.Side*3 : (first+int(n))*tiles.Side*tiles.Side*3]}
		values := make([]float32, int(n)*3*tiles.Side*tiles.Side)
		if err := norm.Fill(values, part); err != nil {
			return nil, fmt.Errorf("models: %w", err)
		}
		putFloats(s.pixels, values)
		s.put, rest = rest[:len(s.embeds)], rest[len(s.embeds):]
		s.frame.Begin()
		s.frame.Upload(s.frame.Arg(driver.RoleInput, arch.Pixels), s.pixels)
		s.frame.Run()
		s.frame.Download(s.frame.Arg(driver.RoleOutput, arch.ImageOutput), s.embeds)
		if _, err := s.frame.Submit(ctx); err != nil {
			return nil, err
		}
		s.busy = true
		used = append(used, s)
		first += int(n)
	}
	for _, s := range used {
		if err := s.finish(ctx); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func ignoreCancel(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	return err
}

// finish waits for the slot's run and moves its result to where it goes.
func (s *slot) finish(ctx context.Context) error {
	if !s.busy {
		return nil
	}
	if err := s.frame.Wait(ctx); err != nil {
		return err
	}
	s.busy = false
	copy(s.put, s.embeds)
	return nil
}

func (e *encoder) close() error {
	var errs []error
	for _, pair := range e.frames {
		for _, s := range pair {
			errs = append(errs, s.frame.Close())
		}
	}
	e.frames = nil
	return errors.Join(errs...)
}

// Encode cuts a picture into tiles as the model's rule says and runs the
// vision tower on them. Safe for concurrent use; pictures wait for each other.
func (m *Model) Encode(ctx context.Context, picture img.RGB) (*Picture, error) {
	if err := m.enter(ctx); err != nil {
		return nil, err
	}
	defer m.leave()
	p, err := m.encode(ctx, picture)
	return p, m.advise(err)
}

// MaxAspect is how many times longer one side of a picture may be than the
// other. Beyond, nothing is left of it at the resolution of any model.
const MaxAspect = 200

func (m *Model) encode(ctx context.Context, picture img.RGB) (*Picture, error) {
	if long, short := max(picture.W, picture.H), min(picture.W, picture.H); long > MaxAspect*short {
		return nil, fmt.Errorf("models: a picture of %dx%d pixels, one side more than %d times the other: nothing would be left of it at a model's resolution, crop it", picture.W, picture.H, MaxAspect)
	}
	vision := m.engine.Load().vision
	if m.images == nil || vision == nil {
		return nil, fmt.Errorf("models: %s: %s", m.files.Name(), m.lacks(moduleVision, m.images != nil, "takes no pictures"))
	}
	l, err := m.images.Tiling.Layout(picture.W, picture.H)
	if err != nil {
		return nil, fmt.Errorf("models: %w", err)
	}
	tiles, err := img.Cut(picture, l)
	if err != nil {
		return nil, fmt.Errorf("models: %w", err)
	}
	embeds, err := vision.encode(ctx, tiles, m.images.Norm)
	if err != nil {
		return nil, err
	}
	return &Picture{Grid: l.Grid, embeds: embeds, tokens: int(m.images.Embeddings(l.Grid)), sum: maphash.Bytes(seed, embeds)}, nil
}

func putFloats(dst []byte, src []float32) {
	for i, f := range src {
		binary.LittleEndian.PutUint32(dst[4*i:], math.Float32bits(f))
	}
}

func getFloats(dst []float32, src []byte) {
	for i := range dst {
		dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(src[4*i:]))
	}
}
