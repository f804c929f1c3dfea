package suite

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/ops/oracle"
)

func TestFlush(t *testing.T) {
	x := &oracle.Tensor{Elem: enc.F32, Shape: []int64{5}, F: []float64{0x1p-140, -0x1p-140, 0x1p-126, math.Inf(1), -3}}
	flush(x)
	require.Equal(t, []float64{0, math.Copysign(0, -1), 0x1p-126, math.Inf(1), -3}, x.F)
	require.True(t, math.Signbit(x.F[1]))
	half := &oracle.Tensor{Elem: enc.F16, Shape: []int64{2}, F: []float64{0x1p-15, 0x1p-14}}
	flush(half)
	require.Equal(t, []float64{0, 0x1p-14}, half.F)
	ints := &oracle.Tensor{Elem: enc.I8, Shape: []int64{1}, I: []int64{1}}
	flush(ints)
	require.Equal(t, []int64{1}, ints.I)
}
