package cpu

import "slices"

// block is memory that some values of an instance live in.
type block struct {
	size        int
	first, last int // nodes between which it is in use
	offset      int // in the arena, once planned
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
	var placed []*block // by offset
	total := 0
	for _, b := range order {
		size := roundUp(b.size)
		at, bestAt, bestGap := 0, -1, int(^uint(0)>>1)
		for _, p := range placed {
			if p.last < b.first || p.first > b.last {
				continue
			}
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
		i, _ := slices.BinarySearchFunc(placed, b, func(x, y *block) int { return x.offset - y.offset })
		placed = slices.Insert(placed, i, b)
	}
	return total
}

func roundUp(n int) int { return (n + blockAlign - 1) / blockAlign * blockAlign }
