package cpu

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/hal/driver"
	"github.com/heddle-ml/heddle/ops"
	"github.com/heddle-ml/heddle/ops/kern"
	"github.com/heddle-ml/heddle/ops/oracle"
)

type ids = []graph.ValueID

// lab builds a graph together with the values of its inputs. With symbolic
// set, each size below becomes a symbol of its own, so that one executable
// runs at several.
type lab struct {
	t        testing.TB
	b        *graph.Builder
	rnd      *rand.Rand
	inputs   map[string]spec
	symbolic bool
	symbols  []dim.Symbol
	elem     enc.Elem
	// slack judges results as made in several steps.
	slack bool
}

// spec says what an input is filled with.
type spec struct {
	typ    graph.Type
	lo, hi float64
	values []float64 // instead of random numbers
}

func newLab(t testing.TB, e enc.Elem, symbolic bool) *lab {
	return &lab{t: t, b: graph.NewBuilder("test", ops.Standard), rnd: rand.New(rand.NewPCG(7, 11)), inputs: map[string]spec{}, symbolic: symbolic, elem: e}
}

// n is a size, or a symbol that takes it as its upper bound.
func (l *lab) n(size int64) dim.Dim {
	if !l.symbolic {
		return dim.Of(size)
	}
	name := fmt.Sprintf("s%d", size)
	if !slices.ContainsFunc(l.symbols, func(s dim.Symbol) bool { return s.Name == name }) {
		s := dim.Symbol{Name: name, Min: 1, Max: size}
		l.b.Symbol(s)
		l.symbols = append(l.symbols, s)
	}
	return dim.Sym(name)
}

func (l *lab) input(e enc.Elem, lo, hi float64, dims ...dim.Dim) graph.ValueID {
	name := "in" + string(rune('a'+len(l.inputs)))
	s := spec{typ: graph.Of(e, dims...), lo: lo, hi: hi}
	l.inputs[name] = s
	return l.b.Input(name, s.typ)
}

// x is an input of the type under test.
func (l *lab) x(lo, hi float64, dims ...dim.Dim) graph.ValueID {
	return l.input(l.elem, lo, hi, dims...)
}

// fixed is an input of given values.
func (l *lab) fixed(e enc.Elem, shape []int64, values ...float64) graph.ValueID {
	name := "in" + string(rune('a'+len(l.inputs)))
	s := spec{typ: graph.OfInts(e, shape...), values: values}
	l.inputs[name] = s
	return l.b.Input(name, s.typ)
}

// float is a scalar constant of the type under test, which may be an integer.
func (l *lab) scalar(v float64) graph.ValueID { return l.b.Const("", number(l.t, l.elem, v)) }

func number(t testing.TB, e enc.Elem, v float64) *graph.Tensor {
	x := &oracle.Tensor{Elem: e, Shape: []int64{}}
	set(x, v)
	c, err := x.Const()
	require.NoError(t, err)
	return c
}

// set appends a number to a tensor.
func set(x *oracle.Tensor, v float64) {
	switch {
	case x.Elem.IsFloat():
		x.F = append(x.F, roundTo(x.Elem, v))
	case x.Elem == enc.Bool:
		x.I = append(x.I, int64(math.Abs(math.Round(v)))%2)
	case x.Elem.IsSigned():
		x.I = append(x.I, int64(math.Round(v)))
	default:
		x.U = append(x.U, uint64(math.Abs(math.Round(v))))
	}
}

func roundTo(e enc.Elem, v float64) float64 { return rounding(e)(v) }

// fill makes the values of an input.
func (l *lab) fill(s spec, at dim.Binding) *oracle.Tensor {
	shape, err := s.typ.Shape.Eval(at)
	require.NoError(l.t, err)
	n, err := dim.Count(shape)
	require.NoError(l.t, err)
	x := &oracle.Tensor{Elem: s.typ.Elem, Shape: shape}
	switch { // one of the slices is in use even without elements
	case x.Elem.IsFloat():
		x.F = []float64{}
	case x.Elem.IsSigned() || x.Elem == enc.Bool:
		x.I = []int64{}
	default:
		x.U = []uint64{}
	}
	for i := range n {
		switch {
		case s.values != nil:
			set(x, s.values[i])
		case x.Elem == enc.Bool:
			set(x, float64(l.rnd.IntN(2)))
		default:
			set(x, s.lo+(s.hi-s.lo)*l.rnd.Float64())
		}
	}
	return x
}

func (l *lab) build(outs ...graph.ValueID) *graph.Graph {
	l.t.Helper()
	for i, v := range outs {
		if v != graph.NoValue {
			l.b.Output("y"+string(rune('0'+i)), v)
		}
	}
	g, err := l.b.Build()
	require.NoError(l.t, err)
	return g
}

// check compiles a graph and compares it with the oracle, at all upper bounds
// and then at smaller sizes and back.
func (l *lab) check(d *hal.Device, g *graph.Graph) {
	l.t.Helper()
	r := prepare(l.t, d, g, nil)
	trials := [][]int64{r.x.MaxDims()}
	if len(g.Symbols) > 0 {
		for range 2 {
			dims := make([]int64, len(g.Symbols))
			for i, s := range g.Symbols {
				dims[i] = s.Min + l.rnd.Int64N(s.Max-s.Min+1)
			}
			trials = append(trials, dims, r.x.MaxDims())
		}
	}
	for _, dims := range trials {
		at := r.x.Bind(dims)
		in := map[string]*oracle.Tensor{}
		for name, s := range l.inputs {
			in[name] = l.fill(s, at)
			data, err := in[name].Bytes()
			require.NoError(l.t, err)
			r.set(driver.RoleInput, name, data)
		}
		want, err := oracle.Eval(context.Background(), g, oracle.Options{Inputs: in, Bind: at, Round: true})
		require.NoError(l.t, err)
		require.NoError(l.t, r.run(dims...))
		for _, p := range g.Outputs {
			got, err := oracle.FromConst(r.at(driver.RoleOutput, p.Name, dims))
			require.NoError(l.t, err)
			k := class(g, p.Value)
			if l.slack {
				k = inSteps
			}
			near(l.t, k, want.Outputs[p.Name], got)
		}
	}
}

// class returns the tolerance class of the operator that makes a value. Some
// round after each of several additions, so what they are off by is relative
// to the terms.
func class(g *graph.Graph, v graph.ValueID) ops.Class {
	if g.Values[v].Kind != graph.Result {
		return ops.Exact
	}
	op := g.Nodes[g.Values[v].Def].Op
	if slices.Contains([]string{"Sum", "Mean", "RotaryEmbedding"}, op.Name) {
		return ops.Contraction
	}
	return ops.Get(op.Domain, op.Name).Class
}

// inSteps is the class of what is computed by several operators, each of which
// rounds.
const inSteps ops.Class = 100

// near compares tensors as a tolerance class demands.
func near(t testing.TB, class ops.Class, want, got *oracle.Tensor) {
	t.Helper()
	require.Equal(t, want.Elem, got.Elem)
	require.True(t, slices.Equal(want.Shape, got.Shape), "shape %v, want %v", got.Shape, want.Shape)
	if !want.Elem.IsFloat() {
		slack := int64(0)
		if class == ops.Quantized || class == inSteps {
			slack = 1
		}
		for i := range want.I {
			require.InDelta(t, want.I[i], got.I[i], float64(slack), "element %d", i)
		}
		for i := range want.U {
			require.InDelta(t, want.U[i], got.U[i], float64(slack), "element %d", i)
		}
		return
	}
	eps := map[enc.Elem]float64{enc.F64: 1e-15, enc.F32: 1.2e-7, enc.F16: 9.8e-4, enc.BF16: 7.9e-3}[want.Elem]
	units, most := 0.0, 0.0
	switch class {
	case ops.Exact:
	case ops.Rounded:
		units = 2
	case ops.Approximate, ops.Quantized:
		units = 16
	case ops.Contraction, inSteps:
		// The terms of a sum may be much larger than what is left of them.
		units = 32
		for _, f := range want.F {
			if !math.IsInf(f, 0) {
				most = max(most, math.Abs(f))
			}
		}
	}
	if want.Elem == enc.F64 && class >= ops.Approximate {
		eps = 1.2e-7 // attributes are float32
	} else if want.Elem != enc.F32 && want.Elem != enc.F64 {
		units = min(units, 2) // computed in float32, rounded once
		if class == inSteps {
			units = 8
		}
	}
	for i, w := range want.F {
		g := got.F[i]
		if w == g || w != w && g != g {
			continue
		}
		tiny := eps * 1e-5
		require.LessOrEqual(t, math.Abs(w-g), units*eps*max(math.Abs(w), most)+tiny*min(units, 1), "element %d of %d: %v, want %v", i, len(want.F), g, w)
	}
}

// at returns an output, or a plain state, of a run with given symbol values.
func (r *runner) at(role driver.Role, name string, dims []int64) *graph.Tensor {
	r.t.Helper()
	i := r.x.Index(role, name)
	require.GreaterOrEqual(r.t, i, 0, "%s %s", role, name)
	b, ok := r.bufs[i].Bytes()
	require.True(r.t, ok)
	typ := r.x.Bindings()[i].Type
	shape, err := typ.Shape.Eval(r.x.Bind(dims))
	require.NoError(r.t, err)
	size, err := r.x.Size(i, dims)
	require.NoError(r.t, err)
	return &graph.Tensor{Elem: typ.Elem, Shape: shape, Data: b[:size]}
}

// Every operator agrees with the oracle, for every element type of its first
// operand, at odd sizes, and at several sizes in turn where shapes may be
// symbolic, whether it has a kernel of its own or comes apart.
func TestOperators(t *testing.T) {
	for _, table := range kern.Usable() {
		d := open(t, "cpu?tier="+table.Tier.String())
		for _, o := range ops.List() {
			samples := operatorSamples[o.Ref.String()]
			if len(samples) == 0 {
				t.Errorf("there is no sample of %s", o.Ref)
			}
			for i, s := range samples {
				for _, e := range enc.Elems() {
					if !o.Inputs[0].Types.Has(e) && s.elem == enc.Invalid || s.elem != enc.Invalid && s.elem != e || s.only != 0 && !s.only.Has(e) {
						continue
					}
					for _, symbolic := range []bool{false, true} {
						if symbolic && s.static {
							continue
						}
						t.Run(fmt.Sprintf("%s/%s/%d/%s/%v", table.Tier, o.Ref, i, e, symbolic), func(t *testing.T) {
							l := newLab(t, e, symbolic)
							outs := s.make(l)
							require.NoError(t, l.b.Err())
							l.slack = !lowered(o.Ref)
							l.check(d, l.build(outs...))
						})
					}
				}
			}
		}
	}
}

// What has no kernel comes apart into what has: taking a composite's kernel
// away changes neither what Supports says nor the result.
func TestDecomposed(t *testing.T) {
	d := open(t, "cpu")
	for _, o := range ops.List() {
		key := opKey{o.Ref.Domain, o.Ref.Name}
		low, ok := lowerings[key]
		if !ok || o.Decompose == nil || o.Updates {
			continue
		}
		t.Run(o.Ref.String(), func(t *testing.T) {
			delete(lowerings, key)
			defer func() { lowerings[key] = low }()
			for i, s := range operatorSamples[o.Ref.String()] {
				e := s.elem
				for _, try := range []enc.Elem{enc.F32, enc.U8, enc.I64} {
					if e == enc.Invalid && o.Inputs[0].Types.Has(try) && (s.only == 0 || s.only.Has(try)) {
						e = try
					}
				}
				if e == enc.Invalid {
					continue
				}
				t.Run(fmt.Sprint(i), func(t *testing.T) {
					// The product of two symbols is no dimension.
					l := newLab(t, e, !s.static && o.Ref.Name != "Size")
					outs := s.make(l)
					require.NoError(t, l.b.Err())
					g := l.build(outs...)
					vs, err := d.Supports(g)
					require.NoError(t, err)
					require.True(t, vs[0].OK, vs[0].Text)
					l.slack = true
					l.check(d, g)
				})
			}
		})
	}
}
