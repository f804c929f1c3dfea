package cpu

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/ops"
)

// A model's dimensions often have names and no bounds that mean anything: the
// largest picture does not fit the machine, the smallest not the kernel.
func TestBoundsThatMeanNothing(t *testing.T) {
	b := graph.NewBuilder("pool", ops.Standard)
	h, w := b.Symbol(dim.Symbol{Name: "h", Min: 1, Max: 1 << 16}), b.Symbol(dim.Symbol{Name: "w", Min: 1, Max: 1 << 16})
	x := b.Input("x", graph.Of(enc.F32, dim.Of(1), dim.Of(64), h, w))
	b.Output("y", b.Op("MaxPool", ids{x}, graph.Ints("kernel_shape", 3, 3)))
	g, err := b.Build()
	require.NoError(t, err)
	d := open(t, "cpu")
	e, err := d.Compile(t.Context(), g, hal.CompileOptions{})
	require.NoError(t, err)
	require.NoError(t, e.Close())
}
