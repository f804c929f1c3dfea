package cpu

import "slices"

// block is memory that some values of an instance live in.
type block struct {
	size        int
	first, last int // nodes between which it is in use
	offset      int // in the arena, once planned
	seen        int // by plan, for which block last
}

const blockAlign = 64

// plan gives each block an offset so that blocks in use at the same time do
// not overlap, and returns the size of the arena. Blocks are placed from the
// largest down, each into the smallest gap that fits (the greedy-by-size rule
// that TensorFlow Lite and others use; it comes within a few percent of the
// lower bound on transformers).
func plan(blocks []*block) int {
	order := slices.Clone(blocks)
	slices.SortStableFunc(order, func(a, b *block) int {
		if a.size != b.size {
			return b.size - a.size
		}
		return a.first - b.first
	})
	// Most blocks live for a few nodes only: those placed are listed by spans
	// of nodes, so that a long graph is not searched for each of its blocks.
	const span = 32
	var placed [][]*block
	var near []*block
	total := 0
	for i, b := range order {
		size := roundUp(b.size)
		for len(placed) <= b.last/span {
			placed = append(placed, nil)
		}
		near = near[:0]
		for _, list := range placed[b.first/span : b.last/span+1] {
			for _, p := range list {
				if p.last >= b.first && p.first <= b.last && p.seen != i+1 {
					p.seen = i + 1
					near = append(near, p)
				}
			}
		}
		slices.SortFunc(near, func(x, y *block) int { return x.offset - y.offset })
		at, bestAt, bestGap := 0, -1, int(^uint(0)>>1)
		for _, p := range near {
			if gap := p.offset - at; gap >= size && gap < bestGap {
				bestAt, bestGap = at, gap
			}
			at = max(at, p.offset+roundUp(p.size))
		}
		if bestAt < 0 {
			bestAt = at
		}
		b.offset = bestAt
		total = max(total, bestAt+size)
		for k := b.first / span; k <= b.last/span; k++ {
			placed[k] = append(placed[k], b)
		}
	}
	return total
}

func roundUp(n int) int { return (n + blockAlign - 1) / blockAlign * blockAlign }
