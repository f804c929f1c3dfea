package ops_test

import (
	"fmt"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/ops"
)

// One step of a decoder's attention over a cache: types follow from the
// operators, and a composite operator decomposes into primitives.
func Example() {
	b := graph.NewBuilder("step", ops.Standard)
	chunk := b.Symbol(dim.Symbol{Name: "chunk", Min: 1, Max: 128})
	one, heads, kv, capacity, size := dim.Of(1), dim.Of(8), dim.Of(2), dim.Of(1024), dim.Of(64)
	q := b.Input("q", graph.Of(enc.F32, one, heads, chunk, size))
	k := b.Input("k", graph.Of(enc.F32, one, kv, capacity, size))
	v := b.Input("v", graph.Of(enc.F32, one, kv, capacity, size))
	length := b.Input("length", graph.OfInts(enc.I64, 1))
	y := b.Op("Attention", []graph.ValueID{q, k, v, graph.NoValue, graph.NoValue, graph.NoValue, length}, graph.Int("is_causal", 1))
	b.Output("y", y)
	g, err := b.Build()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(g.Nodes[0].Op, g.Values[g.Outputs[0].Value].Type)

	cost, _ := ops.CostOf(g, 0, dim.Binding{"chunk": 16})
	fmt.Println(cost.FLOPs, "operations")

	simple, _ := graph.Rewriter{Schemas: ops.Standard, Node: func(b *graph.Builder, id graph.NodeID, in []graph.ValueID) ([]graph.ValueID, error) {
		return ops.Get("", "Attention").Decompose(b, g.Call(id), in)
	}}.Run(g)
	for _, n := range simple.Nodes {
		fmt.Print(n.Op, " ")
	}
	fmt.Println(simple.Values[simple.Outputs[0].Value].Type)
	// Output:
	// Attention f32[1,8,chunk,64]
	// 3.4209792e+07 operations
	// Reshape Transpose Mul MatMul Reshape Unsqueeze Range Range Unsqueeze Sub Add Add Less Where Softmax Where Reshape MatMul Reshape f32[1,8,chunk,64]
}

func ExampleStandard() {
	b := graph.NewBuilder("wrong", ops.Standard)
	x := b.Input("x", graph.OfInts(enc.F32, 2, 3))
	w := b.Input("w", graph.OfInts(enc.F32, 4, 5))
	b.Scope("layer.0.mlp")
	b.Op("MatMul", []graph.ValueID{x, w})
	fmt.Println(b.Err())
	// Output: graph "wrong": node layer.0.mlp (MatMul): input 0 (A) f32[2,3] has 3 columns, input 1 (B) f32[4,5] has 4 rows; want as many
}
