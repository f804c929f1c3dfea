package oracle_test

import (
	"context"
	"fmt"
	"log"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/ops"
	"github.com/heddle-ml/heddle/ops/oracle"
)

// A cache of three positions keeps what earlier runs wrote.
func ExampleEval() {
	b := graph.NewBuilder("running", ops.Standard)
	at := b.Input("at", graph.OfInts(enc.I64, 1))
	x := b.Input("x", graph.Of(enc.F32, dim.Of(1), dim.Of(1), dim.Of(2)))
	cache := b.State("cache", graph.OfInts(enc.F32, 1, 3, 2))
	cache = b.Op("TensorScatter", []graph.ValueID{cache, x, at})
	b.SetState("cache", cache)
	b.Output("sum", b.Op("ReduceSum", []graph.ValueID{cache, b.Ints(1)}, graph.Int("keepdims", 0)))
	g, err := b.Build()
	if err != nil {
		log.Fatal(err)
	}

	var states map[string]*oracle.Tensor // nil: zeros
	for i := range int64(3) {
		res, err := oracle.Eval(context.Background(), g, oracle.Options{
			Inputs: map[string]*oracle.Tensor{
				"at": {Elem: enc.I64, Shape: []int64{1}, I: []int64{i}},
				"x":  {Elem: enc.F32, Shape: []int64{1, 1, 2}, F: []float64{1, 10}},
			},
			States: states,
			Round:  true,
		})
		if err != nil {
			log.Fatal(err)
		}
		states = res.States
		fmt.Println(res.Outputs["sum"].F)
	}
	// Output:
	// [1 10]
	// [2 20]
	// [3 30]
}
