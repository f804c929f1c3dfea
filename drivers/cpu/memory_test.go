package cpu

import (
	"context"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/hal/driver"
)

// Blocks that are in use at the same time never overlap, and lie aligned
// inside of the arena.
func TestPlan(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 6))
	for range 300 {
		nodes := 1 + rnd.IntN(40)
		var blocks []*block
		for range rnd.IntN(60) {
			first := rnd.IntN(nodes)
			size := 0
			if rnd.IntN(8) > 0 {
				size = 1 + rnd.IntN(1<<rnd.IntN(14))
			}
			blocks = append(blocks, &block{size: size, first: first, last: first + rnd.IntN(nodes-first)})
		}
		total := plan(blocks)
		for i, a := range blocks {
			require.Zero(t, a.offset%blockAlign)
			require.LessOrEqual(t, a.offset+a.size, total)
			for _, b := range blocks[:i] {
				together := a.first <= b.last && b.first <= a.last
				apart := a.offset+a.size <= b.offset || b.offset+b.size <= a.offset
				require.True(t, !together || apart, "%+v and %+v overlap", a, b)
			}
		}
	}
}

// lowerBound is the most memory that is in use at one time.
func lowerBound(blocks []*block, nodes int) int {
	most := 0
	for n := range nodes {
		sum := 0
		for _, b := range blocks {
			if b.first <= n && n <= b.last {
				sum += roundUp(b.size)
			}
		}
		most = max(most, sum)
	}
	return most
}

// The arena of a transformer is close to what liveness asks for.
func TestArenaIsTight(t *testing.T) {
	dev, err := Driver{}.Open(context.Background(), "0", driver.OpenOptions{Threads: 2})
	require.NoError(t, err)
	defer dev.Close()
	for name, g := range map[string]*graph.Graph{"vit": vit3(t), "decoder": decoder3(t)} {
		x, err := dev.Compile(context.Background(), g, driver.CompileOptions{})
		require.NoError(t, err)
		e := x.(*executable)
		dims := make([]int64, len(e.symbols))
		for i, s := range e.symbols {
			dims[i] = s.Max
		}
		b, in, err := lowerAll(e, dims)
		require.NoError(t, err)
		bound := lowerBound(b.blocks, len(b.g.Nodes))
		t.Logf("%s: %d bytes, %.3f of the lower bound", name, in.arena, float64(in.arena)/float64(bound))
		require.LessOrEqual(t, float64(in.arena), 1.3*float64(bound), name)
		require.NoError(t, x.Close())
	}
}
