package ops

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/heddle-ml/heddle/conformance/internal/suite"
	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/hal"
)

// hostile are operators whose operands point out of others: such a run fails,
// or gives anything where the device does not claim to check, but it costs neither the device nor its neighbours'
// memory, and the next run is right.
func hostile() (out []suite.Case) {
	// at is the operand of indices, in a bad and in a good run.
	type operand func(e enc.Elem, shape []int64, good float64, bad ...float64) graph.ValueID
	add := func(id string, build func(l *suite.Lab, at operand)) {
		for i := range 3 { // just beyond, before the start, and far away
			name := fmt.Sprintf("ops.%s.%s", id, []string{"beyond", "before", "far"}[i])
			make := func(bad bool) (*suite.Program, error) {
				l := suite.NewLab(name)
				build(l, func(e enc.Elem, shape []int64, good float64, worse ...float64) graph.ValueID {
					if bad {
						return l.In(e, suite.Values(good, worse[i]), shape...)
					}
					return l.In(e, suite.Values(good), shape...)
				})
				return l.Program()
			}
			out = append(out, suite.Case{ID: name, Run: func(ctx context.Context, e *suite.Env) error { return survive(ctx, e, make) }})
		}
	}
	x := func(l *suite.Lab, shape ...int64) graph.ValueID { return l.In(enc.F32, unit, shape...) }
	const far = 1 << 40
	for _, e := range []enc.Elem{enc.I64, enc.I32} {
		beyond := float64(far)
		if e == enc.I32 {
			beyond = 1 << 30
		}
		add("gather.hostile_"+e.String(), func(l *suite.Lab, at operand) {
			l.Out(l.B.Op("Gather", ids{x(l, 9, 5), at(e, []int64{4}, 3, 9, -10, beyond)}))
		})
		add("gather.hostile_weight_"+e.String(), func(l *suite.Lab, at operand) {
			l.Out(l.B.Op("Gather", ids{l.Weight(enc.F32, enc.As(enc.F16), 9, 5), at(e, []int64{4}, 3, 9, -10, beyond)}))
		})
		add("gatherelements.hostile_"+e.String(), func(l *suite.Lab, at operand) {
			l.Out(l.B.Op("GatherElements", ids{x(l, 9, 5), at(e, []int64{3, 4}, 3, 9, -10, beyond)}))
		})
		add("scatterelements.hostile_"+e.String(), func(l *suite.Lab, at operand) {
			l.Out(l.B.Op("ScatterElements", ids{x(l, 9, 5), at(e, []int64{1, 2}, 3, 9, -10, beyond), x(l, 1, 2)}))
		})
	}
	add("gathernd.hostile", func(l *suite.Lab, at operand) {
		l.Out(l.B.Op("GatherND", ids{x(l, 4, 4), at(enc.I64, []int64{3, 2}, 3, 4, -5, far)}))
	})
	add("scatternd.hostile", func(l *suite.Lab, at operand) {
		l.Out(l.B.Op("ScatterND", ids{x(l, 4, 4), at(enc.I64, []int64{1, 2}, 3, 4, -5, far), x(l, 1)}))
	})
	add("tensorscatter.hostile", func(l *suite.Lab, at operand) {
		l.Out(l.B.Op("TensorScatter", ids{x(l, 2, 9, 4), x(l, 2, 3, 4), at(enc.I64, []int64{2}, 6, 7, -1, far)}))
	})
	add("tensorscatter.hostile_circular", func(l *suite.Lab, at operand) {
		l.Out(l.B.Op("TensorScatter", ids{x(l, 2, 9, 4), x(l, 2, 3, 4), at(enc.I64, []int64{2}, 6, -9, -1, -far)}, aStr("mode", "circular")))
	})
	add("tensorscatter.hostile_state", func(l *suite.Lab, at operand) {
		next := l.B.Op("TensorScatter", ids{l.State("s", graph.OfInts(enc.F32, 2, 9, 4), unit), x(l, 2, 3, 4), at(enc.I64, []int64{2}, 6, 7, -1, far)})
		l.B.SetState("s", next)
		l.Out(l.B.Op("Add", ids{next, next}))
	})
	add("attention.hostile", func(l *suite.Lab, at operand) {
		l.Out(l.B.Op("Attention", ids{x(l, 2, 2, 3, 8), x(l, 2, 1, 9, 8), x(l, 2, 1, 9, 8), none, none, none, at(enc.I64, []int64{2}, 9, 10, -1, far)}, aInt("is_causal", 1)))
	})
	add("attention.hostile_window", func(l *suite.Lab, at operand) {
		l.Out(l.B.Op("Attention", ids{x(l, 2, 2, 3, 8), x(l, 2, 1, 9, 8), x(l, 2, 1, 9, 8), none, none, none, at(enc.I64, []int64{2}, 9, 10, -1, far)}, aInt("left_window_size", 2)))
	})
	add("rotaryembedding.hostile", func(l *suite.Lab, at operand) {
		l.Out(l.B.Op("RotaryEmbedding", ids{x(l, 1, 2, 4, 8), x(l, 9, 4), x(l, 9, 4), at(enc.I64, []int64{1, 4}, 8, 9, -10, far)}))
	})
	add("onehot.hostile", func(l *suite.Lab, at operand) { // beyond the depth is nowhere, which is defined
		l.Out(l.B.Op("OneHot", ids{at(enc.I64, []int64{4}, 3, 5, -6, far), l.B.Ints(5), x(l, 2)}))
	})
	return out
}

// survive runs with bad numbers, and then with good ones.
func survive(ctx context.Context, e *suite.Env, make func(bad bool) (*suite.Program, error)) error {
	p, err := make(true)
	if err != nil {
		return fmt.Errorf("the suite's own graph: %w", err)
	}
	in, err := p.Inputs(0, e.Rand(0))
	if err != nil {
		return err
	}
	r := e.NewRun(p.Graph, p.Data)
	_, err = r.Step(ctx, in, p.Steps[0])
	r.Close()
	switch {
	case suite.IsUnsupported(err) || errors.Is(err, suite.ErrStray):
		return err
	case errors.Is(err, hal.ErrDeviceLost):
		return fmt.Errorf("the device is lost over an index that is out of range: %w", err)
	case err == nil && e.Caps.Numerics.ChecksIndices && !strings.HasPrefix(e.ID, "ops.onehot."): // for OneHot nowhere is defined
		return errors.New("a run with an index out of range succeeds, and the device claims to check them")
	case ctx.Err() != nil:
		return fmt.Errorf("the run with an index out of range did not end: %w", ctx.Err())
	}
	if p, err = make(false); err != nil {
		return fmt.Errorf("the suite's own graph: %w", err)
	}
	if err := p.Run(ctx, e); err != nil {
		return fmt.Errorf("after a run with an index out of range: %w", err)
	}
	return nil
}
