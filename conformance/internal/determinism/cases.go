package determinism

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"

	"github.com/heddle-ml/heddle/conformance/internal/blocks"
	"github.com/heddle-ml/heddle/conformance/internal/suite"
	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/ops/oracle"
)

// sums are graphs whose results depend on the order in which a device adds,
// and so on how it shares the work out.
var sums = []blocks.Sample{
	{Name: "matmul.m3_k4304_n130", Build: func(l *suite.Lab) {
		l.Out(l.B.Op("MatMul", []graph.ValueID{l.In(enc.F32, suite.Between(-1, 1), 3, 4304), l.Weight(enc.F32, enc.Encoding{}, 4304, 130)}))
	}},
	{Name: "matmul.m70_k300_n70", Build: func(l *suite.Lab) {
		l.Out(l.B.Op("MatMul", []graph.ValueID{l.In(enc.F32, suite.Between(-1, 1), 70, 300), l.In(enc.F32, suite.Between(-1, 1), 300, 70)}))
	}},
	{Name: "reduce.n40000", Build: func(l *suite.Lab) {
		x := l.In(enc.F32, suite.Between(-1, 1), 2, 40000)
		l.Out(l.B.Op("ReduceSum", []graph.ValueID{x, l.B.Ints(1)}), l.B.Op("ReduceMean", []graph.ValueID{x, l.B.Ints(0, 1)}))
	}},
	{Name: "softmax.n32003", Build: func(l *suite.Lab) {
		l.Out(l.B.Op("Softmax", []graph.ValueID{l.In(enc.F32, suite.Between(-9, 9), 2, 32003)}, graph.Int("axis", -1)))
	}},
	{Name: "attention.n150", Build: func(l *suite.Lab) {
		in := func() graph.ValueID { return l.In(enc.F32, suite.Between(-2, 2), 1, 4, 150, 32) }
		l.Out(l.B.Op("Attention", []graph.ValueID{in(), in(), in()}, graph.Int("is_causal", 1)))
	}},
}

// Cases returns the cases of the group. No profile asks for determinism; a
// device that claims it is held to it.
func Cases() []suite.Case {
	var out []suite.Case
	for _, s := range append(blocks.Samples(), sums...) {
		for _, w := range ways {
			out = append(out, suite.Graph("determinism."+s.Name+"."+w.name, 0, s.Build, func(ctx context.Context, e *suite.Env, p *suite.Program) error {
				if !e.Caps.Numerics.Deterministic {
					return suite.Unsupported("the device does not claim that equal runs give equal bits")
				}
				return w.run(ctx, &trial{e: e, p: p})
			}))
		}
	}
	return out
}

// ways are circumstances that must not matter.
var ways = []struct {
	name string
	run  func(ctx context.Context, t *trial) error
}{
	{"again", again},
	{"compiled_anew", compiledAnew},
	{"after_other_work", afterOtherWork},
	{"together", together},
}

// trial runs a program with the same inputs again and again.
type trial struct {
	e      *suite.Env
	p      *suite.Program
	inputs []map[string]*oracle.Tensor // by step
	want   []bits
}

// bits are what one step gave, in order of name.
type bits struct {
	names   []string
	results []*oracle.Tensor
}

// draw makes the inputs, once.
func (t *trial) draw() error {
	for step := range t.p.Steps {
		in, err := t.p.Inputs(step, t.e.Rand(step))
		if err != nil {
			return err
		}
		t.inputs = append(t.inputs, in)
	}
	return nil
}

// run runs all steps from empty states.
func (t *trial) run(ctx context.Context, r *suite.Run) ([]bits, error) {
	if err := r.Clear(ctx); err != nil {
		return nil, err
	}
	var out []bits
	for i, at := range t.p.Steps {
		res, err := r.Step(ctx, t.inputs[i], at)
		if err != nil {
			return nil, err
		}
		var b bits
		for _, m := range []map[string]*oracle.Tensor{res.Outputs, res.States} {
			for _, name := range slices.Sorted(keys(m)) {
				b.names, b.results = append(b.names, name), append(b.results, m[name])
			}
		}
		out = append(out, b)
	}
	return out, nil
}

func keys(m map[string]*oracle.Tensor) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// fresh runs on an executable and a queue of its own.
func (t *trial) fresh(ctx context.Context, d *hal.Device) ([]bits, error) {
	r := t.e.NewRunOn(d, t.p.Graph, t.p.Data)
	defer r.Close()
	return t.run(ctx, r)
}

// same compares what a run gave with the first one.
func (t *trial) same(what string, got []bits) error {
	for step, w := range t.want {
		g := got[step]
		if !slices.Equal(w.names, g.names) {
			return fmt.Errorf("%s: the results are %v, the first time they were %v", what, g.names, w.names)
		}
		for i, name := range w.names {
			if at, n := differ(w.results[i], g.results[i]); n > 0 {
				return fmt.Errorf("%s: %s of step %d differs from the first run's in %d elements, first at %d", what, name, step+1, n, at)
			}
		}
	}
	return nil
}

// differ counts elements with other bits, and returns the first one's place.
func differ(a, b *oracle.Tensor) (first, n int) {
	count := func(i int, same bool) {
		if !same {
			if n == 0 {
				first = i
			}
			n++
		}
	}
	for i := range a.F {
		count(i, math.Float64bits(a.F[i]) == math.Float64bits(b.F[i]))
	}
	for i := range a.I {
		count(i, a.I[i] == b.I[i])
	}
	for i := range a.U {
		count(i, a.U[i] == b.U[i])
	}
	return first, n
}

// repeats is how often a program is run again: what goes wrong by chance
// seldom does so at once.
const repeats = 8

// again: the same executable, first cold, then warm.
func again(ctx context.Context, t *trial) error {
	if err := t.draw(); err != nil {
		return err
	}
	r := t.e.NewRun(t.p.Graph, t.p.Data)
	defer r.Close()
	var err error
	if t.want, err = t.run(ctx, r); err != nil {
		return err
	}
	for i := range repeats {
		got, err := t.run(ctx, r)
		if err == nil {
			err = t.same(fmt.Sprintf("run %d", i+2), got)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// compiledAnew: other executables of the graph, on other queues, with
// arguments elsewhere in memory; the first stays open.
func compiledAnew(ctx context.Context, t *trial) error {
	if err := t.draw(); err != nil {
		return err
	}
	first := t.e.NewRun(t.p.Graph, t.p.Data)
	defer first.Close()
	var err error
	if t.want, err = t.run(ctx, first); err != nil {
		return err
	}
	for i := range 3 {
		got, err := t.fresh(ctx, t.e.Device)
		if err == nil {
			err = t.same(fmt.Sprintf("executable %d", i+2), got)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// afterOtherWork: what a device did before must leave no trace.
func afterOtherWork(ctx context.Context, t *trial) error {
	if err := t.draw(); err != nil {
		return err
	}
	r := t.e.NewRun(t.p.Graph, t.p.Data)
	defer r.Close()
	var err error
	if t.want, err = t.run(ctx, r); err != nil {
		return err
	}
	other := suite.NewLab(t.e.ID + ".other")
	sums[1].Build(other)
	p, err := other.Program()
	if err != nil {
		return fmt.Errorf("the suite's own graph: %w", err)
	}
	work := &trial{e: t.e, p: p}
	if err := work.draw(); err != nil {
		return err
	}
	for i := range 3 {
		if _, err := work.fresh(ctx, t.e.Device); err != nil && !suite.IsUnsupported(err) {
			return fmt.Errorf("other work: %w", err)
		}
		got, err := t.run(ctx, r)
		if err == nil {
			err = t.same(fmt.Sprintf("after other work, run %d", i+2), got)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// together: eight at once, each with arguments and a queue of its own.
// Validation runs one batch after the other, so the device is a bare one.
func together(ctx context.Context, t *trial) error {
	if err := t.draw(); err != nil {
		return err
	}
	dev, _, err := t.e.Bare(ctx)
	switch {
	case errors.Is(err, hal.ErrUnavailable):
		t.e.Note("no second device can be opened (%v): the shared one was used", err)
		dev = t.e.Device
	case err != nil:
		return err
	default:
		defer dev.Close()
	}
	if t.want, err = t.fresh(ctx, dev); err != nil {
		return err
	}
	const workers = 8
	errs := make([]error, workers)
	var wg sync.WaitGroup
	for i := range workers {
		wg.Go(func() {
			r := t.e.NewRunOn(dev, t.p.Graph, t.p.Data)
			defer r.Close()
			for range 3 {
				got, err := t.run(ctx, r)
				if err == nil {
					err = t.same(fmt.Sprintf("with %d others at once", workers-1), got)
				}
				if err != nil {
					errs[i] = err
					return
				}
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}
