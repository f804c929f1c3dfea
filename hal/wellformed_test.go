package hal_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/hal"
)

// A graph that no builder made, or that was changed afterwards, never reaches
// the driver, which would index by what it says.
func TestInvalidGraphsStopHere(t *testing.T) {
	b := setup(t, "fake")
	for name, change := range map[string]func(g *graph.Graph){
		"operand": func(g *graph.Graph) { g.Nodes[1].In = []graph.ValueID{1 << 20} },
		"order":   func(g *graph.Graph) { g.Nodes[0].In = []graph.ValueID{g.Nodes[1].Out[0]} },
		"type":    func(g *graph.Graph) { g.Values[g.Nodes[1].Out[0]].Type = graph.OfInts(enc.F32, 1) },
		"output":  func(g *graph.Graph) { g.Outputs[0].Value = -7 },
		"name":    func(g *graph.Graph) { g.Nodes[0].Op.Name = "Rellu" },
		"empty":   func(g *graph.Graph) { g.Values = nil },
	} {
		g := testGraph(t, "Neg")
		change(g)
		_, err := b.dev.Supports(g)
		require.ErrorIs(t, err, hal.ErrInvalidGraph, name)
		_, err = b.dev.Compile(within(t), g, hal.CompileOptions{})
		require.ErrorIs(t, err, hal.ErrInvalidGraph, name)
		require.NoError(t, b.dev.Lost(), name)
	}
	require.Empty(t, b.f.reset(), "the driver was asked")
}
