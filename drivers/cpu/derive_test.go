package cpu

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/ops/oracle"
	"github.com/stretchr/testify/require"
)

// A weight that a recipe quantizes on load has the numbers that the reference
// says, whatever it is stored as and however it is viewed.
func TestDerivedWeights(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, stored := range []enc.Elem{enc.F32, enc.F16, enc.BF16} {
		for _, e := range []enc.Encoding{
			{}, enc.As(enc.F16), enc.As(enc.BF16), enc.PerTensor(enc.I8), enc.PerChannel(enc.I8, 1), enc.PerChannel(enc.I4, 0), enc.Blocked(enc.I4, 0, 4), enc.Blocked(enc.I8, 1, 3),
			{Kind: enc.Affine, Store: enc.U4, Scale: enc.F16, Axis: 0, BlockLen: 5, HasZero: true},
			{Kind: enc.Affine, Store: enc.I16, Scale: enc.BF16, Axis: -1},
		} {
			for _, perm := range [][]int{nil, {1, 0}} {
				name := fmt.Sprint(stored, e, perm)
				x := &oracle.Tensor{Elem: stored, Shape: []int64{7, 10}}
				for range 70 {
					x.F = append(x.F, rng.NormFloat64())
				}
				if stored != enc.F32 {
					for i, f := range x.F {
						x.F[i] = float64(enc.F16ToF32(enc.F64ToF16(f)))
						if stored == enc.BF16 {
							x.F[i] = float64(enc.BF16ToF32(enc.F64ToBF16(f)))
						}
					}
				}
				data, err := x.Bytes()
				require.NoError(t, err, name)
				v := &graph.Value{Name: "w", Kind: graph.Const, Def: -1, Type: graph.OfInts(enc.F32, 7, 10),
					Data: &graph.Weight{Parts: []graph.Part{{Inline: data, Elem: stored, Shape: []int64{7, 10}}}, Perm: perm}}
				if perm != nil {
					v.Type = graph.OfInts(enc.F32, 10, 7)
				}
				v.Type.Enc = e
				want, err := oracle.Weight(v, nil, nil)
				require.NoError(t, err, name)
				w := weights{dev: &device{weights: store{entries: map[string]*entry{}}}, keys: map[string]bool{}}
				got, err := w.dense(v)
				require.NoError(t, err, name)
				for i := range got {
					require.Equal(t, float32(want.F[i]), got[i], "%s element %d", name, i)
				}
			}
		}
	}
}
