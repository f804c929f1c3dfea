package cpu

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
)

// Random graphs: values that fan out, die early or late, are views of each
// other and leave by several doors come out as the reference says, whatever
// memory they were given.
func TestRandomGraphs(t *testing.T) {
	d := open(t, "cpu?threads=2")
	for seed := range 120 {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			l := newLab(t, enc.F32, seed%3 > 0)
			for range seed * 7 {
				l.rnd.Uint64()
			}
			n := l.n(5)
			x := l.x(-1, 1, n, c(6), c(4))
			pool := ids{x, l.x(-1, 1, n, c(6), c(4)), l.weight(6, 4)}
			any := func() graph.ValueID { return pool[l.rnd.IntN(len(pool))] }
			for range 4 + l.rnd.IntN(20) {
				v := any()
				shape := l.b.Type(v).Shape
				last := shape[len(shape)-1]
				width, _ := last.Const()
				var y graph.ValueID
				switch l.rnd.IntN(13) {
				case 0:
					y = l.b.Op("Sigmoid", ids{v})
				case 1:
					y = l.b.Op("Neg", ids{v})
				case 2:
					y = l.b.Op("Softmax", ids{v})
				case 3:
					w := any()
					if !l.b.Type(w).Shape.Equal(shape) {
						w = l.x(-1, 1)
					}
					y = l.b.Op("Add", ids{v, w})
				case 4:
					y = l.b.Op("Mul", ids{l.x(-1, 1), v})
				case 5:
					perm := []int64{1, 0, 2}
					if len(shape) == 2 {
						perm = []int64{1, 0}
					}
					y = l.b.Op("Transpose", ids{v}, graph.Ints("perm", perm...))
				case 6:
					if len(shape) == 3 && width%2 == 0 && width > 0 {
						y = l.b.Op("Reshape", ids{v, l.b.Dims(shape[0], shape[1].MulInt(2), dim.Of(width/2))})
					} else {
						y = l.b.Op("Identity", ids{v})
					}
				case 7:
					if width > 0 {
						y = l.b.Op("MatMul", ids{v, l.weight(width, 4)})
					} else {
						y = l.b.Op("Exp", ids{l.b.Op("Neg", ids{l.b.Op("Abs", ids{v})})})
					}
				case 8:
					y = l.b.Op("Concat", ids{v, v}, graph.Int("axis", -1))
				case 9:
					y = l.b.Op("ReduceMean", ids{v, l.b.Ints(-1)})
				case 10:
					if width > 1 {
						parts := l.b.Ops("Split", ids{v, l.b.Ints(1, width-1)}, []bool{true, true}, graph.Int("axis", -1))
						pool = append(pool, parts[0])
						y = parts[1]
					} else {
						y = l.b.Op("Tanh", ids{v})
					}
				case 11:
					y = l.b.Op("Slice", ids{v, l.b.Ints(0), l.b.Ints(1), l.b.Ints(1)})
				case 12:
					y = l.b.Op("Unsqueeze", ids{l.b.Op("Squeeze", ids{l.b.Op("Unsqueeze", ids{v, l.b.Ints(0)}), l.b.Ints(0)}), l.b.Ints(0)})
					y = l.b.Op("ReduceSum", ids{y, l.b.Ints(0)}, graph.Int("keepdims", 0))
				}
				require.NoError(t, l.b.Err())
				pool = append(pool, y)
			}
			outs := ids{pool[len(pool)-1]}
			for range l.rnd.IntN(4) {
				outs = append(outs, any())
			}
			l.slack = true // of operators one after the other
			l.check(d, l.build(outs...))
		})
	}
}
