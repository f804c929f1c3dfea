package passes

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand"
	"slices"
	"strings"
	"testing"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/ops"
	"github.com/heddle-ml/heddle/ops/oracle"
	"github.com/stretchr/testify/require"
)

type ids = []graph.ValueID

// file is the source "f" that weights of test graphs lie in.
type file []byte

func (f file) Source(string) ([]byte, error) { return f, nil }

var weights = func() file {
	r := rand.New(rand.NewSource(1))
	var f file
	for range 4096 {
		f = binary.LittleEndian.AppendUint32(f, math.Float32bits(float32(r.NormFloat64())/3))
	}
	return f
}()

// build makes a graph with one input x: f32[n,8], n being 1 to 9. The result
// of f is output y.
func build(t testing.TB, f func(b *graph.Builder, x graph.ValueID) graph.ValueID) *graph.Graph {
	t.Helper()
	b := graph.NewBuilder("g", ops.Standard)
	n := b.Symbol(dim.Symbol{Name: "n", Min: 1, Max: 9})
	b.Source(graph.Source{Name: "f", Size: int64(len(weights))})
	x := b.Input("x", graph.Of(enc.F32, n, dim.Of(8)))
	b.Output("y", f(b, x))
	g, err := b.Build()
	require.NoError(t, err)
	return g
}

// weight adds a matrix or vector of the file.
func weight(b *graph.Builder, offset int64, shape ...int64) graph.ValueID {
	return b.Weight("", graph.OfInts(enc.F32, shape...), &graph.Weight{Parts: []graph.Part{{Source: "f", Offset: offset, Elem: enc.F32, Shape: shape}}})
}

func f32(b *graph.Builder, f float64) graph.ValueID { return b.Float(enc.F32, f) }

// random returns a graph of many operators, different for each seed: with
// composites and what they are made of, equal nodes and constants, dead nodes,
// shape arithmetic and a state.
func random(t testing.TB, seed int64) *graph.Graph {
	r := rand.New(rand.NewSource(seed))
	b := graph.NewBuilder(fmt.Sprintf("random%d", seed), ops.Standard)
	n := b.Symbol(dim.Symbol{Name: "n", Min: 1, Max: 9})
	b.Source(graph.Source{Name: "f", Size: int64(len(weights))})
	vals := ids{b.Input("x", graph.Of(enc.F32, n, dim.Of(8))), b.Input("z", graph.Of(enc.F32, n, dim.Of(8)))}
	consts := ids{f32(b, 0.5), b.Const("", graph.F32([]int64{8}, 1, 2, 3, 4, 5, 6, 7, 8)), b.Const("", graph.F32([]int64{1, 1}, 2))}
	state := b.State("cache", graph.OfInts(enc.F32, 1, 16, 8))
	pick := func() graph.ValueID { return vals[r.Intn(len(vals))] }
	matrix := func() graph.ValueID { return weight(b, 256*int64(r.Intn(4)), 8, 8) }
	vector := func() graph.ValueID { return weight(b, 1024+32*int64(r.Intn(3)), 8) }
	for range 4 + r.Intn(12) {
		x := pick()
		b.Scope([]string{"", "a", "b.c"}[r.Intn(3)])
		var y graph.ValueID
		switch r.Intn(17) {
		case 0:
			y = b.Op([]string{"Relu", "Gelu", "Swish", "Sigmoid", "Tanh", "Erf", "Softmax", "Abs", "HardSwish", "Identity"}[r.Intn(10)], ids{x})
		case 1:
			y = b.Op("Gelu", ids{x}, graph.Str("approximate", "tanh"))
		case 2:
			y = b.Op([]string{"Add", "Mul", "Sub", "Max", "Min"}[r.Intn(5)], ids{x, pick()})
		case 3:
			y = b.Op("Add", ids{b.Op("MatMul", ids{x, matrix()}), vector()})
			if r.Intn(2) == 0 {
				y = b.Op([]string{"Relu", "Gelu", "Swish"}[r.Intn(3)], ids{y})
			}
		case 4:
			y = b.Op("heddle.Linear", ids{x, matrix(), vector()}, graph.Str("activation", "silu"))
		case 5:
			y = b.Op("LayerNormalization", ids{x, vector(), vector()})
		case 6:
			y = b.Op("RMSNormalization", ids{x, vector()}, graph.Float("epsilon", 0.25))
		case 7:
			y = b.Op("Mul", ids{x, consts[r.Intn(len(consts))]})
		case 8:
			c := b.Op("Mul", ids{consts[r.Intn(len(consts))], f32(b, float64(r.Intn(3)))})
			y = b.Op("Add", ids{x, c})
		case 9:
			rows := b.Op("Gather", ids{b.Op("Shape", ids{x}), b.Const("", graph.I64(0).Scalar())}, graph.Int("axis", 0))
			y = b.Op("Mul", ids{x, b.Op("Cast", ids{b.Op("Add", ids{rows, b.Const("", graph.I64(3).Scalar())})}, graph.Elem("to", enc.F32))})
		case 10:
			y = b.Op("Reshape", ids{b.Op("Reshape", ids{x, b.Dims(n.MulInt(2), dim.Of(4))}), b.Dims(n, dim.Of(8))})
		case 11:
			halves := b.Ops("Split", ids{x}, []bool{true, true}, graph.Int("axis", 1), graph.Int("num_outputs", 2))
			if halves == nil {
				break
			}
			y = b.Op("Concat", ids{halves[1], halves[0]}, graph.Int("axis", 1))
		case 12:
			y = b.Op("Sub", ids{x, b.Op("ReduceMean", ids{x, b.Ints(-1)})})
		case 13:
			y = b.Op("Where", ids{b.Op("Less", ids{x, pick()}), x, pick()})
		case 14:
			y = b.Op("SwiGLU", ids{x, pick()})
		case 15:
			y = b.Op("Transpose", ids{b.Op("Transpose", ids{x}, graph.Ints("perm", 1, 0))}, graph.Ints("perm", 1, 0))
		case 16:
			outs := b.Ops("LayerNormalization", ids{x, vector()}, []bool{true, true})
			if outs == nil {
				break
			}
			y = b.Op("Add", ids{outs[0], b.Op("Mul", ids{outs[1], outs[0]})})
		}
		vals = append(vals, y)
		if r.Intn(5) == 0 {
			b.Op("Neg", ids{y}) // dead
		}
		if r.Intn(6) == 0 {
			rows := b.Op("Slice", ids{pick(), b.Ints(0), b.Ints(1), b.Ints(0)})
			at := b.Const("", graph.I64(int64(r.Intn(3))))
			state = b.Op("TensorScatter", ids{state, b.Op("Reshape", ids{rows, b.Ints(1, 1, 8)}), at}, graph.Int("axis", 1))
		}
	}
	b.SetState("cache", state)
	b.Output("y", vals[len(vals)-1])
	b.Output("z", pick())
	g, err := b.Build()
	require.NoError(t, err, "seed %d", seed)
	return g
}

// evaluate runs g in float64, with inputs made from a seed.
func evaluate(t testing.TB, g *graph.Graph, rows int64) *oracle.Result {
	t.Helper()
	o := oracle.Options{Data: weights, Inputs: map[string]*oracle.Tensor{}, States: map[string]*oracle.Tensor{}}
	for i, id := range g.Inputs {
		v := &g.Values[id]
		shape, err := v.Type.Shape.Eval(dim.Binding{"n": rows})
		require.NoError(t, err)
		x := &oracle.Tensor{Elem: v.Type.Elem, Shape: shape}
		r := rand.New(rand.NewSource(int64(i)))
		n, _ := dim.Count(shape)
		for range n {
			x.F = append(x.F, float64(float32(r.NormFloat64())))
		}
		if v.Type.Elem == enc.F16 {
			for k, f := range x.F {
				x.F[k] = float64(enc.F16ToF32(enc.F64ToF16(f)))
			}
		}
		o.Inputs[v.Name] = x
	}
	res, err := oracle.Eval(context.Background(), g, o)
	require.NoError(t, err, "%s", g)
	return res
}

// equivalent requires that two graphs compute the same, up to what float32
// constants and another order of rounding make of it.
func equivalent(t testing.TB, before, after *graph.Graph) {
	t.Helper()
	compare := func(what string, a, b map[string]*oracle.Tensor) {
		require.Len(t, b, len(a))
		for name, x := range a {
			y := b[name]
			require.NotNil(t, y, "%s %s", what, name)
			require.Equal(t, x.Shape, y.Shape)
			require.Equal(t, x.Elem, y.Elem)
			tol := 1e-4
			if x.Elem == enc.F16 {
				tol = 1e-2
			}
			for i := range x.F {
				if d := math.Abs(x.F[i] - y.F[i]); d > tol*(1+math.Abs(x.F[i])) || d != d && !(x.F[i] != x.F[i] && y.F[i] != y.F[i]) && x.F[i] != y.F[i] {
					t.Fatalf("%s %s[%d] was %v and is %v\n%s\n%s", what, name, i, x.F[i], y.F[i], before, after)
				}
			}
			require.Equal(t, x.I, y.I)
			require.Equal(t, x.U, y.U)
		}
	}
	a, b := evaluate(t, before, 5), evaluate(t, after, 5)
	compare("output", a.Outputs, b.Outputs)
	compare("state", a.States, b.States)
}

// operators lists the operators of g's nodes in order.
func operators(g *graph.Graph) string {
	var s []string
	for i := range g.Nodes {
		s = append(s, g.Nodes[i].Op.String())
	}
	return strings.Join(s, " ")
}

func values(g *graph.Graph, k graph.Kind) int {
	n := 0
	for i := range g.Values {
		if g.Values[i].Kind == k {
			n++
		}
	}
	return n
}

// interfaceOf is what callers see of a graph: it never changes.
func interfaceOf(g *graph.Graph) []string {
	var s []string
	for _, id := range g.Inputs {
		s = append(s, "in "+g.Values[id].Name+g.Values[id].Type.Elem.String())
	}
	for _, p := range g.Outputs {
		s = append(s, "out "+p.Name+g.Values[p.Value].Type.Elem.String())
	}
	for _, st := range g.States {
		s = append(s, "state "+st.Name+g.Values[st.In].Type.String())
	}
	return slices.Clip(s)
}
