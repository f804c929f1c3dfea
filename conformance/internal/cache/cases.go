package cache

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/heddle-ml/heddle/conformance/internal/suite"
	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/hal/driver"
)

// kind is a kind of graph to save.
type kind struct {
	name  string
	build func(l *suite.Lab)
}

// kinds have weights, which blobs may hold, and states, which they must not.
var kinds = []kind{
	{"linear", func(l *suite.Lab) {
		x := l.B.Op("MatMul", []graph.ValueID{l.In(enc.F32, suite.Between(-1, 1), 5, 24), l.Weight(enc.F32, enc.Encoding{}, 24, 17)})
		l.Out(l.B.Op("Add", []graph.ValueID{x, l.Weight(enc.F32, enc.Encoding{}, 17)}))
	}},
	{"constant", func(l *suite.Lab) {
		l.Out(l.B.Op("Mul", []graph.ValueID{l.In(enc.F32, suite.Between(-1, 1), 7, 9), l.Const(enc.F32, suite.Between(1, 2), 9)}))
	}},
	{"cache", func(l *suite.Lab) {
		rows := l.B.Symbol(dim.Symbol{Name: "rows", Min: 1, Max: 6})
		x := l.Input(enc.F32, suite.Between(-1, 1), dim.Of(1), dim.Of(2), rows, dim.Of(8))
		next := l.B.Op("TensorScatter", []graph.ValueID{l.B.State("s", graph.OfInts(enc.F32, 1, 2, 11, 8)), x, l.In(enc.I64, suite.Values(3), 1)}, graph.Int("axis", 2))
		l.B.SetState("s", next)
		l.Out(l.B.Op("Mul", []graph.ValueID{x, x}))
		l.Step(dim.Binding{"rows": 4})
	}},
}

// Cases returns the cases of the group.
func Cases() []suite.Case {
	var out []suite.Case
	for _, k := range kinds {
		add := func(name string, run func(ctx context.Context, e *suite.Env, b *bench, k kind) error) {
			out = append(out, suite.Case{ID: "cache." + name + "." + k.name, Run: func(ctx context.Context, e *suite.Env) error {
				b, err := open(ctx, e)
				if err != nil {
					return err
				}
				return errors.Join(run(ctx, e, b, k), b.close())
			}})
		}
		add("restore", restore)
		add("reopen", reopen)
		add("together", together)
		add("options", options)
		add("truncated", truncated)
		add("flipped", flipped)
		add("extended", extended)
		add("foreign", foreign)
	}
	return out
}

// restore: a blob is judged good, and what it restores computes the same,
// beside the executable it was made of and after it, saved from new or used
// ones, and again from what was restored.
func restore(ctx context.Context, e *suite.Env, b *bench, k kind) (err error) {
	s, err := b.make(e, k, 0)
	if err != nil {
		return err
	}
	x, err := b.compile(ctx, s)
	if err != nil {
		return err
	}
	closed := false
	defer func() {
		if !closed {
			err = errors.Join(err, x.Close())
		}
	}()
	for _, when := range []string{"beside the original", "once more"} {
		blob, err := b.Save(x)
		if err != nil {
			return err
		}
		if j := b.Judge(blob); j != driver.Optimal && j != driver.Usable {
			return fmt.Errorf("a blob just saved is judged unusable (%d)", j)
		}
		if err := b.restore(ctx, blob, s); err != nil {
			return fmt.Errorf("%s: %w", when, err)
		}
	}
	blob, err := b.Save(x)
	if err != nil {
		return err
	}
	e.Note("the blob of %q takes %d bytes", k.name, len(blob))
	kept := slices.Clone(blob)
	closed = true
	if err := x.Close(); err != nil {
		return err
	}
	if !slices.Equal(kept, blob) {
		return errors.New("a blob changed when its executable was closed")
	}
	y, err := b.Load(ctx, blob, s.graph, driver.CompileOptions{Label: "again", Data: s.data})
	if err != nil {
		return fmt.Errorf("after the original was closed: %w", err)
	}
	if !slices.Equal(kept, blob) {
		return errors.Join(errors.New("the blob was written to by Load"), y.Close())
	}
	second, err := b.Save(y)
	if err := errors.Join(err, y.Close()); err != nil {
		return fmt.Errorf("saving what was restored: %w", err)
	}
	if err := b.restore(ctx, second, s); err != nil {
		return fmt.Errorf("from a blob of what was restored: %w", err)
	}
	return nil
}

// reopen: blobs outlive the device.
func reopen(ctx context.Context, e *suite.Env, b *bench, k kind) error {
	s, err := b.make(e, k, 0)
	if err != nil {
		return err
	}
	blob, err := b.saved(ctx, s)
	if err != nil {
		return err
	}
	c, err := open(ctx, e)
	if err != nil {
		return err
	}
	if j := c.Judge(blob); j != driver.Optimal && j != driver.Usable {
		err = fmt.Errorf("opened again, the device judges its own blob unusable (%d)", j)
	} else if err = c.restore(ctx, blob, s); err != nil {
		err = fmt.Errorf("on the device opened again: %w", err)
	}
	return errors.Join(err, c.close())
}

// together: four load one blob at once.
func together(ctx context.Context, e *suite.Env, b *bench, k kind) error {
	s, err := b.make(e, k, 0)
	if err != nil {
		return err
	}
	blob, err := b.saved(ctx, s)
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	xs, errs := make([]driver.Executable, 4), make([]error, 4)
	for i := range xs {
		wg.Go(func() {
			xs[i], errs[i] = b.Load(ctx, blob, s.graph, driver.CompileOptions{Label: "together", Data: s.data})
		})
	}
	wg.Wait()
	err = errors.Join(errs...)
	for _, x := range xs {
		if x == nil {
			continue
		}
		got, e := b.run(ctx, x, s)
		if e == nil {
			e = s.same(got)
		}
		err = errors.Join(err, e, x.Close())
	}
	return err
}

// options: a blob of a device that was opened otherwise is refused, or right.
func options(ctx context.Context, e *suite.Env, b *bench, k kind) error {
	s, err := b.make(e, k, 0)
	if err != nil {
		return err
	}
	// Which results count are this device's.
	x, err := b.compile(ctx, s)
	if err != nil {
		return err
	}
	if err := x.Close(); err != nil {
		return err
	}
	c, err := open(ctx, e, "threads=1")
	if err != nil {
		return suite.Unsupported("the device does not open with threads=1: %v", err)
	}
	other := *s
	blob, err := c.saved(ctx, &other)
	if err = errors.Join(err, c.close()); err != nil {
		return err
	}
	return b.refuse(ctx, "a blob of a device opened with threads=1", blob, s)
}

// refuse loads a blob that may be wrong. It is refused by the right error and
// judged accordingly, or computes what the subject does.
func (b *bench) refuse(ctx context.Context, what string, blob []byte, s *subject) error {
	j := b.Judge(blob)
	err := b.restore(ctx, blob, s)
	switch {
	case err == nil && j != driver.Optimal && j != driver.Usable:
		return fmt.Errorf("%s is judged unusable (%d), and yet it loads", what, j)
	case err == nil || errors.Is(err, driver.ErrIncompatible):
		return nil
	}
	return fmt.Errorf("%s: want %v, have: %w", what, driver.ErrIncompatible, err)
}

// reject is refuse for bytes that no driver ever saved: nothing that they
// compute could be trusted.
func (b *bench) reject(ctx context.Context, what string, blob []byte, s *subject) error {
	if j := b.Judge(blob); j == driver.Optimal || j == driver.Usable {
		return fmt.Errorf("%s is judged usable (%d): a blob needs a checksum", what, j)
	}
	return b.refuse(ctx, what, blob, s)
}

// damaged calls f with a good blob and its subject.
func damaged(ctx context.Context, e *suite.Env, b *bench, k kind, f func(blob []byte, s *subject) error) error {
	s, err := b.make(e, k, 0)
	if err != nil {
		return err
	}
	blob, err := b.saved(ctx, s)
	if err != nil {
		return err
	}
	if err := f(blob, s); err != nil {
		return err
	}
	// What was refused left no trace.
	if err := b.restore(ctx, blob, s); err != nil {
		return fmt.Errorf("the good blob, afterwards: %w", err)
	}
	return nil
}

// truncated: cut off anywhere. A part cannot stand for the whole.
func truncated(ctx context.Context, e *suite.Env, b *bench, k kind) error {
	return damaged(ctx, e, b, k, func(blob []byte, s *subject) error {
		cuts := []int{0, 1, 2, len(blob) - 2, len(blob) - 1}
		for i := range 16 {
			cuts = append(cuts, i*len(blob)/16)
		}
		for _, n := range cuts {
			if n = max(n, 0); n >= len(blob) {
				continue
			}
			if err := b.reject(ctx, fmt.Sprintf("the first %d of %d bytes of a blob", n, len(blob)), blob[:n:n], s); err != nil {
				return err
			}
			tail := fmt.Sprintf("the last %d of %d bytes of a blob", n, len(blob))
			if err := b.reject(ctx, tail, slices.Clone(blob[len(blob)-n:]), s); err != nil {
				return err
			}
		}
		return nil
	})
}

// flipped: single bits and whole bytes changed, in the head and anywhere.
func flipped(ctx context.Context, e *suite.Env, b *bench, k kind) error {
	return damaged(ctx, e, b, k, func(blob []byte, s *subject) error {
		rnd := e.Rand(1)
		places := []int{len(blob) - 1}
		for i := range min(32, len(blob)) {
			places = append(places, i)
		}
		for range 64 {
			places = append(places, rnd.IntN(len(blob)))
		}
		for _, at := range places {
			for _, mask := range []byte{1 << rnd.IntN(8), 0xff} {
				bad := slices.Clone(blob)
				bad[at] ^= mask
				if err := b.reject(ctx, fmt.Sprintf("a blob with byte %d of %d changed by %#02x", at, len(blob), mask), bad, s); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// extended: with something behind, in front, or in between.
func extended(ctx context.Context, e *suite.Env, b *bench, k kind) error {
	return damaged(ctx, e, b, k, func(blob []byte, s *subject) error {
		mid := len(blob) / 2
		for what, bad := range map[string][]byte{
			"a blob with a byte behind":          append(slices.Clone(blob), 0),
			"a blob with itself behind":          append(slices.Clone(blob), blob...),
			"a blob with a byte in front":        append([]byte{0}, blob...),
			"a blob with 4096 bytes in between":  slices.Concat(blob[:mid], make([]byte, 4096), blob[mid:]),
			"a blob whose halves were exchanged": slices.Concat(blob[mid:], blob[:mid]),
		} {
			if err := b.reject(ctx, what, bad, s); err != nil {
				return err
			}
		}
		return nil
	})
}

// foreign: blobs of other graphs, even those with equal arguments, and bytes
// that are no blob at all.
func foreign(ctx context.Context, e *suite.Env, b *bench, k kind) error {
	return damaged(ctx, e, b, k, func(blob []byte, s *subject) error {
		for _, other := range kinds {
			if other.name == k.name {
				continue
			}
			o, err := b.make(e, other, 0)
			if suite.IsUnsupported(err) {
				continue
			}
			var theirs []byte
			if err == nil {
				theirs, err = b.saved(ctx, o)
			}
			if err != nil {
				return err
			}
			if err := b.refuse(ctx, "the blob of another graph ("+other.name+")", theirs, s); err != nil {
				return err
			}
		}
		// The same graph but for a number in it.
		twin, err := b.make(e, k, 1)
		if err != nil {
			return err
		}
		if twin.graph.Hash() != s.graph.Hash() {
			theirs, err := b.saved(ctx, twin)
			if err != nil {
				return err
			}
			if err := b.refuse(ctx, "the blob of a graph with equal arguments", theirs, s); err != nil {
				return err
			}
		}
		rnd := e.Rand(2)
		noise := make([]byte, 4096)
		for i := range noise {
			noise[i] = byte(rnd.Uint32())
		}
		const huge = "a blob's head with a huge length behind"
		for what, bad := range map[string][]byte{
			"an empty blob": {}, "no blob": nil, "random bytes": noise, "zeros": make([]byte, len(blob)),
			"text": []byte("this is no blob"), "a megabyte of zeros": make([]byte, 1<<20),
			huge: append(slices.Clone(blob[:min(8, len(blob))]), slices.Repeat([]byte{0xff}, 64)...),
		} {
			// A head like a blob's may mislead who judges; Load reads on.
			if j := b.Judge(bad); what != huge && (j == driver.Optimal || j == driver.Usable) {
				return fmt.Errorf("%s: it is judged as if it could be loaded (%d)", what, j)
			}
			if err := b.refuse(ctx, what, bad, s); err != nil {
				return err
			}
		}
		return nil
	})
}
