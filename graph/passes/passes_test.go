package passes

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/ops"
	"github.com/stretchr/testify/require"
)

func decomposing(keep func(graph.OpRef) bool) Pass {
	return Pass{"decompose", func(g *graph.Graph) (*graph.Graph, error) { return Decompose(g, keep) }}
}

func specializing(bind dim.Binding) Pass {
	return Pass{"specialize", func(g *graph.Graph) (*graph.Graph, error) { return Specialize(g, bind) }}
}

// Every pass, alone and after others, keeps what random graphs compute and
// what callers see of them, and does not touch its argument.
func TestEquivalence(t *testing.T) {
	pipeline := []Pass{Dedupe, Fuse(nil), Fold, decomposing(nil), Fold, Dedupe, Fuse(nil), specializing(dim.Binding{"n": 5}), Fold, Dedupe, DeadCode}
	for seed := range int64(60) {
		g := random(t, seed)
		text := g.String()
		for _, p := range []Pass{Fold, Dedupe, DeadCode, Fuse(nil), decomposing(nil), specializing(dim.Binding{"n": 5})} {
			out, err := Run(g, p)
			require.NoError(t, err, "%s\n%s", p.Name, g)
			require.Equal(t, interfaceOf(g), interfaceOf(out))
			equivalent(t, g, out)
		}
		_, err := Watch(func(p Pass, before, after *graph.Graph) {
			if before != after {
				equivalent(t, before, after)
			}
		}, g, pipeline...)
		require.NoError(t, err)
		require.Equal(t, text, g.String(), "a pass changed its argument")
	}
}

// Passes reach a fixed point: a second run finds nothing to do and says so by
// returning the graph itself.
func TestFixedPoint(t *testing.T) {
	for seed := range int64(40) {
		g := random(t, seed)
		for _, p := range []Pass{Fold, Dedupe, DeadCode, decomposing(nil), specializing(dim.Binding{"n": 5})} {
			once, err := Run(g, p)
			require.NoError(t, err)
			twice, err := Run(once, p)
			require.NoError(t, err)
			require.True(t, once == twice, "%s\n%s\n%s", p.Name, once, twice)
		}
	}
}

func TestRun(t *testing.T) {
	g := random(t, 1)
	boom := errors.New("boom")
	_, err := Run(g, Pass{"mine", func(*graph.Graph) (*graph.Graph, error) { return nil, boom }})
	require.ErrorIs(t, err, boom)
	require.ErrorContains(t, err, "mine")
	_, err = Run(g, Pass{"spoiler", func(g *graph.Graph) (*graph.Graph, error) {
		h := *g
		h.Outputs = []graph.Port{{Name: "y", Value: 9999}}
		return &h, nil
	}})
	require.ErrorIs(t, err, graph.ErrInvalid)
	require.ErrorContains(t, err, "spoiler made a malformed graph")
	var seen []string
	out, err := Watch(func(p Pass, before, after *graph.Graph) { seen = append(seen, p.Name) }, g, DeadCode, Dedupe)
	require.NoError(t, err)
	require.NotNil(t, out)
	require.Equal(t, []string{"dead code", "dedupe"}, seen)
}

func TestSpecialize(t *testing.T) {
	b := graph.NewBuilder("g", ops.Standard)
	n := b.Symbol(dim.Symbol{Name: "n", Min: 1, Max: 9})
	m := b.Symbol(dim.Symbol{Name: "m", Min: 2, Max: 4})
	x := b.Input("x", graph.Of(enc.F32, n, m))
	b.Output("y", b.Op("Reshape", ids{x, b.Dims(m, n)}))
	g, err := b.Build()
	require.NoError(t, err)

	part, err := Specialize(g, dim.Binding{"n": 6, "other": 1000})
	require.NoError(t, err)
	require.Equal(t, "f32[m,6]", part.Values[part.Outputs[0].Value].Type.String())
	require.Len(t, part.Symbols, 1)
	all, err := Specialize(part, dim.Binding{"m": 3})
	require.NoError(t, err)
	require.Equal(t, "f32[3,6]", all.Values[all.Outputs[0].Value].Type.String())
	require.Empty(t, all.Symbols)
	ds, ok := all.Values[all.Nodes[0].In[1]].Const()
	require.True(t, ok, "the shape operand is a plain constant now")
	require.Equal(t, graph.I64(3, 6).Data, ds.Data)
	both, err := Specialize(g, dim.Binding{"m": 3, "n": 6})
	require.NoError(t, err)
	require.Equal(t, all.Hash(), both.Hash())
	same, err := Specialize(g, dim.Binding{"other": 1})
	require.NoError(t, err)
	require.True(t, g == same, "%s", same)

	for _, n := range []int64{0, 10, -1} {
		_, err = Specialize(g, dim.Binding{"n": n})
		require.ErrorContains(t, err, fmt.Sprintf("symbol n cannot be %d: its bounds are 1..9", n))
	}
}

func TestFold(t *testing.T) {
	// Shape arithmetic becomes symbolic dimensions.
	g := build(t, func(b *graph.Builder, x graph.ValueID) graph.ValueID {
		shape := b.Op("Shape", ids{x})
		rows := b.Op("Gather", ids{shape, b.Ints(0)}, graph.Int("axis", 0))
		return b.Op("Concat", ids{b.Op("Mul", ids{rows, b.Ints(2)}), b.Ints(-1)}, graph.Int("axis", 0))
	})
	out, err := Run(g, Fold, DeadCode)
	require.NoError(t, err)
	require.Empty(t, out.Nodes)
	ds, ok := out.Values[out.Outputs[0].Value].Dims()
	require.True(t, ok)
	require.Equal(t, "[n*2,-1]", dim.Shape(ds).String())
	require.Equal(t, 1, values(out, graph.Const))

	// A scalar keeps its type.
	g = build(t, func(b *graph.Builder, x graph.ValueID) graph.ValueID { return b.Op("Size", ids{x}) })
	out, err = Run(g, Fold)
	require.NoError(t, err)
	require.Empty(t, out.Nodes)
	require.Equal(t, "i64[]", out.Values[out.Outputs[0].Value].Type.String())
	out, err = Specialize(out, dim.Binding{"n": 3})
	require.NoError(t, err)
	c, ok := out.Values[out.Outputs[0].Value].Const()
	require.True(t, ok)
	require.Equal(t, graph.I64(24).Scalar().Data, c.Data)

	// Numbers are computed, with every output that is wanted.
	g = build(t, func(b *graph.Builder, x graph.ValueID) graph.ValueID {
		k := b.Const("", graph.F32([]int64{2, 8}, make([]float32, 16)...))
		parts := b.Ops("Split", ids{b.Op("Add", ids{k, f32(b, 2)})}, []bool{true, true}, graph.Int("num_outputs", 2))
		return b.Op("Mul", ids{b.Op("Add", ids{x, parts[0]}), parts[1]})
	})
	out, err = Run(g, Fold)
	require.NoError(t, err)
	require.Equal(t, "Add Mul", operators(out))
	equivalent(t, g, out)

	// What is large, lies in a file or fails stays.
	stays := func(f func(b *graph.Builder, x graph.ValueID) graph.ValueID) {
		t.Helper()
		g := build(t, f)
		out, err := Run(g, Fold)
		require.NoError(t, err)
		require.True(t, g == out, "%s", out)
	}
	stays(func(b *graph.Builder, _ graph.ValueID) graph.ValueID {
		return b.Op("Expand", ids{f32(b, 1), b.Ints(1000, 1000)})
	})
	stays(func(b *graph.Builder, _ graph.ValueID) graph.ValueID {
		return b.Op("ReduceSum", ids{b.Const("", graph.F32([]int64{1 << 17}, make([]float32, 1<<17)...)), b.Ints(0)})
	})
	stays(func(b *graph.Builder, _ graph.ValueID) graph.ValueID { return b.Op("Relu", ids{weight(b, 0, 8)}) })
	stays(func(b *graph.Builder, _ graph.ValueID) graph.ValueID {
		return b.Op("Gather", ids{b.Ints(1, 2), b.Ints(7)}, graph.Int("axis", 0))
	})
	stays(func(b *graph.Builder, _ graph.ValueID) graph.ValueID {
		zeros := make([]float32, 1<<16)
		return b.Op("Conv", ids{b.Const("", graph.F32([]int64{1, 16, 64, 64}, zeros...)), b.Const("", graph.F32([]int64{16, 16, 16, 16}, zeros...))})
	})
}

func TestDedupe(t *testing.T) {
	g := build(t, func(b *graph.Builder, x graph.ValueID) graph.ValueID {
		a := b.Op("Mul", ids{x, f32(b, 2)})
		c := b.Op("Mul", ids{x, f32(b, 2)})
		d := b.Op("MatMul", ids{a, weight(b, 0, 8, 8)})
		e := b.Op("MatMul", ids{c, weight(b, 0, 8, 8)})
		return b.Op("Add", ids{d, e})
	})
	out, err := Run(g, Dedupe)
	require.NoError(t, err)
	require.Equal(t, "Mul MatMul Add", operators(out))
	require.Equal(t, 2, values(out, graph.Const))
	equivalent(t, g, out)

	// What differs in anything stays apart.
	different := build(t, func(b *graph.Builder, x graph.ValueID) graph.ValueID {
		zero := f32(b, 0)
		vs := ids{
			b.Op("Mul", ids{x, zero}), b.Op("Mul", ids{x, b.Const("", graph.F32([]int64{1}, 0))}),
			b.Op("Add", ids{x, zero}), b.Op("Mul", ids{x, b.Const("", graph.F32(nil, float32(negativeZero)))}),
			b.Op("MatMul", ids{x, weight(b, 0, 8, 8)}), b.Op("MatMul", ids{x, weight(b, 4, 8, 8)}),
			b.Op("Swish", ids{x}), b.Op("Swish", ids{x}, graph.Float("alpha", 0)), b.Op("Swish", ids{x}, graph.Float("alpha", float32(negativeZero))),
			b.Op("Gelu", ids{x}), b.Op("Gelu", ids{x}, graph.Str("approximate", "tanh")),
			b.Op("Sub", ids{x, b.Op("Relu", ids{x})}), b.Op("Sub", ids{b.Op("Abs", ids{x}), x}),
			b.Op("MatMul", ids{x, b.Weight("p", graph.OfInts(enc.F32, 8, 8), planned())}), b.Op("MatMul", ids{x, b.Weight("q", graph.OfInts(enc.F32, 8, 8), planned())}),
		}
		return b.Op("Concat", vs, graph.Int("axis", 0))
	})
	out, err = Run(different, Dedupe)
	require.NoError(t, err)
	require.True(t, different == out, "%s", out)
}

var negativeZero = func() float64 { z := 0.0; return -1 / (1 / z) * 0 }()

func planned() *graph.Weight {
	return &graph.Weight{Parts: []graph.Part{{Elem: enc.F32, Shape: []int64{8, 8}}}}
}

func TestDeadCode(t *testing.T) {
	g := build(t, func(b *graph.Builder, x graph.ValueID) graph.ValueID {
		b.Op("Add", ids{b.Op("Relu", ids{x}), f32(b, 3)})
		b.Input("unused", graph.OfInts(enc.F32, 1))
		s := b.State("s", graph.OfInts(enc.F32, 1, 4, 8))
		row := b.Op("Reshape", ids{b.Op("Slice", ids{x, b.Ints(0), b.Ints(1), b.Ints(0)}), b.Ints(1, 1, 8)})
		b.SetState("s", b.Op("TensorScatter", ids{s, row, b.Ints(2)}, graph.Int("axis", 1)))
		outs := b.Ops("LayerNormalization", ids{x, weight(b, 0, 8)}, []bool{true, true, true})
		require.NoError(t, b.Err())
		b.Op("Neg", ids{outs[2]})
		parts := b.Ops("Split", ids{outs[0]}, []bool{true, true}, graph.Int("axis", 1), graph.Int("num_outputs", 2))
		require.NoError(t, b.Err())
		return parts[0]
	})
	out, err := Run(g, DeadCode)
	require.NoError(t, err)
	require.Equal(t, "Slice Reshape TensorScatter LayerNormalization Split", operators(out))
	require.Len(t, out.Inputs, 2)
	require.Len(t, out.Nodes[3].Out, 1, "optional outputs that nothing uses are dropped")
	require.Len(t, out.Nodes[4].Out, 2, "the number of parts means something")
	for i := range out.Values {
		if v := &out.Values[i]; v.Kind == graph.Const {
			require.NotEqual(t, f32Bytes(3), string(v.Data.Parts[0].Inline))
		}
	}
	equivalent(t, g, out)
}

func f32Bytes(f float32) string { return string(graph.F32(nil, f).Data) }

func TestDecompose(t *testing.T) {
	g := build(t, func(b *graph.Builder, x graph.ValueID) graph.ValueID {
		y := b.Op("heddle.Linear", ids{x, weight(b, 0, 8, 8), weight(b, 512, 8)}, graph.Str("activation", "gelu_tanh"))
		return b.Op("SwiGLU", ids{y, b.Op("LayerNormalization", ids{y, weight(b, 64, 8)})})
	})
	out, err := Decompose(g, nil)
	require.NoError(t, err)
	for i := range out.Nodes {
		op := out.Nodes[i].Op
		require.Nil(t, ops.Get(op.Domain, op.Name).Decompose, "%s is left", op)
	}
	equivalent(t, g, out)

	keep := func(op graph.OpRef) bool { return op.Name == "Gelu" || op.Name == "LayerNormalization" }
	out, err = Decompose(g, keep)
	require.NoError(t, err)
	require.Equal(t, "MatMul Add Gelu LayerNormalization Sigmoid Mul Mul", operators(out))
	require.Equal(t, "y", out.Outputs[0].Name)
	equivalent(t, g, out)

	all, err := Decompose(g, func(graph.OpRef) bool { return true })
	require.NoError(t, err)
	require.True(t, g == all, "%s", all)
}

// An operator that decomposes into itself is an error, not a hang.
func TestDecomposeCycle(t *testing.T) {
	ouroboros()
	g := build(t, func(b *graph.Builder, x graph.ValueID) graph.ValueID { return b.Op("test.Ouroboros", ids{x}) })
	_, err := Decompose(g, nil)
	require.ErrorContains(t, err, "test.Ouroboros does not come down to primitives")
}

var ouroboros = sync.OnceFunc(func() {
	ops.Register(ops.Op{
		Ref: graph.OpRef{Domain: "test", Name: "Ouroboros", Version: 1}, Doc: "Itself.",
		Inputs: []ops.Param{{Name: "x", Types: ops.All}}, Outputs: []ops.Param{{Name: "y", Types: ops.All}},
		Infer: func(c *graph.Call) ([]graph.Type, error) { return []graph.Type{c.Type(0)}, nil },
		Decompose: func(b *graph.Builder, c *graph.Call, in []graph.ValueID) ([]graph.ValueID, error) {
			return ids{b.Op("test.Ouroboros", in)}, nil
		},
	})
})

func ExampleRun() {
	b := graph.NewBuilder("mlp", ops.Standard)
	n := b.Symbol(dim.Symbol{Name: "n", Min: 1, Max: 512})
	x := b.Input("x", graph.Of(enc.F32, n, dim.Of(2)))
	w := b.Const("w", graph.F32([]int64{2, 2}, 1, 2, 3, 4))
	y := b.Op("Add", ids{b.Op("MatMul", ids{x, w}), b.Const("bias", graph.F32([]int64{2}, 5, 6))})
	b.Output("y", b.Op("Mul", ids{y, b.Op("Sigmoid", ids{y})}))
	g, err := b.Build()
	if err == nil {
		g, err = Run(g, Dedupe, Fuse(nil), DeadCode)
	}
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(g)
	// Output:
	// graph "mlp" v1
	// symbol n 1..512
	// input %x: f32[n,2]
	// const %w: f32[2,2] = [1, 2, 3, 4]
	// const %bias: f32[2] = [5, 6]
	// %v3 = heddle.Linear@1(%x, %w, %bias) {activation = "silu"}: f32[n,2]
	// output "y" = %v3
}
