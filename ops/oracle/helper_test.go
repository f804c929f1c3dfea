package oracle

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/ops"
)

// lab builds a graph together with the values of its inputs.
type lab struct {
	t      *testing.T
	b      *graph.Builder
	rnd    *rand.Rand
	inputs map[string]*Tensor
}

func newLab(t *testing.T) *lab {
	return &lab{t, graph.NewBuilder("test", ops.Standard), rand.New(rand.NewPCG(1, 2)), map[string]*Tensor{}}
}

// feed declares an input that has the given value.
func (l *lab) feed(v *Tensor) graph.ValueID {
	name := "x" + string(rune('a'+len(l.inputs)))
	l.inputs[name] = v
	return l.b.Input(name, graph.OfInts(v.Elem, v.Shape...))
}

// random declares an input of numbers in lo..hi.
func (l *lab) random(e enc.Elem, lo, hi float64, shape ...int64) graph.ValueID {
	return l.feed(randomTensor(l.t, l.rnd, e, lo, hi, shape...))
}

func randomTensor(t testing.TB, rnd *rand.Rand, e enc.Elem, lo, hi float64, shape ...int64) *Tensor {
	v, err := newTensor(e, shape)
	require.NoError(t, err)
	for i := range v.Len() {
		v.setFloat(i, lo+(hi-lo)*rnd.Float64())
	}
	return v
}

// build declares outputs y0, y1, ... and finishes the graph.
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

func (l *lab) eval(g *graph.Graph, o Options) *Result {
	l.t.Helper()
	o.Inputs = l.inputs
	res, err := Eval(context.Background(), g, o)
	require.NoError(l.t, err)
	return res
}

// floats, ints and bytes8 make tensors; a nil shape is a vector's.
func floats(e enc.Elem, shape []int64, fs ...float64) *Tensor {
	if shape == nil {
		shape = []int64{int64(len(fs))}
	}
	return &Tensor{Elem: e, Shape: shape, F: fs}
}

func ints(e enc.Elem, shape []int64, ns ...int64) *Tensor {
	if shape == nil {
		shape = []int64{int64(len(ns))}
	}
	t := &Tensor{Elem: e, Shape: shape, I: ns}
	if unsigned(e) {
		t.I, t.U = nil, make([]uint64, len(ns))
		for i, n := range ns {
			t.U[i] = uint64(n)
		}
	}
	return t
}

// apply evaluates one operator on tensors. Inputs that the schema wants
// constant become constants.
func apply(t testing.TB, op string, in []*Tensor, attrs ...graph.Attr) ([]*Tensor, error) {
	t.Helper()
	o := ops.Get("", op)
	require.NotNil(t, o, op)
	b := graph.NewBuilder("one", ops.Standard)
	values := map[string]*Tensor{}
	var ids []graph.ValueID
	for i, v := range in {
		id := graph.NoValue
		if v != nil {
			p := o.Inputs[min(i, len(o.Inputs)-1)]
			if p.Const {
				c, err := v.Const()
				require.NoError(t, err)
				id = b.Const("", c)
			} else {
				name := "in" + string(rune('0'+i))
				id = b.Input(name, graph.OfInts(v.Elem, v.Shape...))
				values[name] = v
			}
		}
		ids = append(ids, id)
	}
	want := make([]bool, 0, len(o.Outputs))
	for range o.Outputs {
		want = append(want, true)
	}
	if n := graph.Attrs(attrs).Int("test_outputs", 0); n > 0 {
		want = make([]bool, n)
		for i := range want {
			want[i] = true
		}
		attrs = attrs[:len(attrs)-1]
	}
	outs := b.Ops(op, ids, want, attrs...)
	require.NoError(t, b.Err())
	for i, id := range outs {
		b.Output("y"+string(rune('0'+i)), id)
	}
	g, err := b.Build()
	require.NoError(t, err)
	res, err := Eval(context.Background(), g, Options{Inputs: values, Round: true})
	if err != nil {
		return nil, err
	}
	out := make([]*Tensor, len(outs))
	for i := range outs {
		out[i] = res.Outputs["y"+string(rune('0'+i))]
	}
	return out, nil
}

// outputs stands for the number of outputs wanted, as the last attribute.
func outputs(n int64) graph.Attr { return graph.Int("test_outputs", n) }

// ulp returns the distance of numbers of a type near f.
func ulp(e enc.Elem, f float64) float64 {
	bits, least := 53, -1074
	switch e {
	case enc.F32:
		bits, least = 24, -149
	case enc.F16:
		bits, least = 11, -24
	case enc.BF16:
		bits, least = 8, -133
	}
	_, exp := math.Frexp(f)
	return math.Ldexp(1, max(exp-bits, least))
}

// near requires two tensors to agree: integers exactly, floats within n
// units in the last place of their own magnitude plus as many of a thousandth
// of the greatest magnitude, for what cancels.
func near(t testing.TB, want, got *Tensor, n float64) {
	t.Helper()
	require.Equal(t, want.Elem, got.Elem)
	require.True(t, slices.Equal(want.Shape, got.Shape), "shape %v, want %v", got.Shape, want.Shape)
	require.Len(t, got.F, len(want.F))
	require.True(t, slices.Equal(want.I, got.I), "%v, want %v", got.I, want.I)
	require.True(t, slices.Equal(want.U, got.U), "%v, want %v", got.U, want.U)
	most := 0.0
	for _, f := range want.F {
		if !math.IsInf(f, 0) {
			most = max(most, math.Abs(f))
		}
	}
	for i, w := range want.F {
		g := got.F[i]
		if w == g || w != w && g != g {
			continue
		}
		if d := math.Abs(w - g); !(d <= n*(ulp(want.Elem, w)+ulp(want.Elem, most)/8)) {
			t.Fatalf("element %d is %v, want %v: %.1f ulp apart", i, g, w, d/ulp(want.Elem, w))
		}
	}
}
