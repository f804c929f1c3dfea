package scheduler_test

import (
	"context"
	"testing"

	"github.com/heddle-ml/heddle/drivers/cpu"
	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/ops"
	"github.com/heddle-ml/heddle/scheduler"
	"github.com/stretchr/testify/require"
)

// A graph whose weights have shapes and encodings but no data can be planned,
// as a profile of another machine needs it, and not compiled.
func TestPlanWithoutWeights(t *testing.T) {
	ctx := context.Background()
	b := graph.NewBuilder("vision", ops.Standard)
	tiles := b.Symbol(dim.Symbol{Name: "tiles", Min: 1, Max: 9})
	x := b.Input("x", graph.Of(enc.F32, tiles, dim.Of(4096)))
	w := graph.OfInts(enc.F32, 4096, 4096)
	w.Enc = enc.Blocked(enc.I4, 0, 32)
	b.Output("y", b.Op("MatMul", []graph.ValueID{x, b.Weight("w", w, &graph.Weight{Parts: []graph.Part{{Elem: enc.F32, Enc: w.Enc, Shape: []int64{4096, 4096}}}})}))
	g, err := b.Build()
	require.NoError(t, err)
	require.False(t, g.Values[1].Data.HasData())
	work := scheduler.Workload{Name: "profile", Modules: []scheduler.Module{{Name: "vision", Graph: g, Batch: "tiles"}}}
	devs := open(t, scheduler.Policy{}, cpu.Driver{})
	p, err := scheduler.New(devs...).Plan(ctx, work, scheduler.Policy{})
	require.NoError(t, err)
	require.EqualValues(t, 4096*4096/2+4096*4096/32*4, p.Memory.Weights)
	require.Equal(t, "i4 weights, f32 arithmetic", p.Placements[0].Recipe)
	_, err = p.Load(ctx, work, nil, devs...)
	require.ErrorIs(t, err, graph.ErrNoData)
}
