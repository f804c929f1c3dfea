package rig

import (
	"math/rand/v2"
	"slices"

	"github.com/heddle-ml/heddle/conformance/internal/suite"
	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/hal"
)

// Computes reports whether a device claims arithmetic: numbers that it gives
// can be judged.
func Computes(c *hal.Caps) bool {
	return slices.ContainsFunc(c.Profiles, func(p string) bool { return p != "skeleton" })
}

// Random adds a graph of simple operators to a lab: values fan out, die early
// or late, are views of each other and leave by several doors. All numbers are
// integers that every device adds exactly, so that a value that was overwritten
// too early or read from the wrong place shows whatever the tolerance.
func Random(l *suite.Lab, r *rand.Rand, nodes int) {
	small := suite.Values(3, -1, 2, 0, 1, -2, 4, -3, 5, 7, -5)
	rows, cols := 1+r.Int64N(9), 1+r.Int64N(17)
	pool := []graph.ValueID{l.In(enc.F32, small, rows, cols), l.In(enc.F32, small, 1+r.Int64N(3), rows, cols), l.Const(enc.F32, small, cols)}
	depth := map[graph.ValueID]int{}
	pick := func() graph.ValueID { return pool[r.IntN(len(pool))] }
	b := l.B
	for range nodes {
		x := pick()
		shape, _ := b.Type(x).Shape.Const()
		last := shape[len(shape)-1]
		y := graph.NoValue
		d := depth[x]
		switch r.IntN(12) {
		case 0:
			y = b.Op("Neg", []graph.ValueID{x})
		case 1:
			y = b.Op("Relu", []graph.ValueID{x})
		case 2, 3: // numbers double at most
			if d < 10 {
				other := pick()
				if !b.Type(other).Shape.Equal(b.Type(x).Shape) {
					other = x
				}
				if d = max(d, depth[other]) + 1; d <= 10 {
					y = b.Op([]string{"Add", "Sub"}[r.IntN(2)], []graph.ValueID{x, other})
				}
			}
		case 4:
			perm := make([]int64, len(shape))
			for i, p := range r.Perm(len(shape)) {
				perm[i] = int64(p)
			}
			y = b.Op("Transpose", []graph.ValueID{x}, graph.Ints("perm", perm...))
		case 5:
			n, _ := dim.Count(shape)
			y = b.Op("Reshape", []graph.ValueID{x, b.Ints(n)})
		case 6:
			if n, _ := dim.Count(shape); n < 4000 {
				y = b.Op("Concat", []graph.ValueID{x, x}, graph.Int("axis", r.Int64N(int64(len(shape)))))
			}
		case 7:
			if last > 1 {
				at := 1 + r.Int64N(last-1)
				parts := b.Ops("Split", []graph.ValueID{x, b.Ints(at, last-at)}, []bool{true, true}, graph.Int("axis", -1))
				if len(parts) == 2 {
					pool = append(pool, parts[1])
					depth[parts[1]], y = d, parts[0]
				}
			}
		case 8:
			if last > 2 {
				y = b.Op("Slice", []graph.ValueID{x, b.Ints(1), b.Ints(last), b.Ints(-1)})
			}
		case 9:
			if len(shape) < 5 {
				y = b.Op("Unsqueeze", []graph.ValueID{x, b.Ints(r.Int64N(int64(len(shape) + 1)))})
			}
		case 10:
			if d < 8 && last <= 8 {
				y, d = b.Op("ReduceSum", []graph.ValueID{x, b.Ints(-1)}), d+3
			}
		case 11:
			y = b.Op("Identity", []graph.ValueID{x})
		}
		if y != graph.NoValue {
			pool = append(pool, y)
			depth[y] = d
		}
	}
	outs := []graph.ValueID{pool[len(pool)-1]}
	for range 1 + r.IntN(4) {
		if v := pick(); !slices.Contains(outs, v) {
			outs = append(outs, v)
		}
	}
	l.Out(outs...)
}
