package oracle

import (
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/internal/shared"
)

// Bytes that come back unchanged: every bit pattern of the narrow types.
func TestTensorBytes(t *testing.T) {
	for _, e := range enc.Elems() {
		t.Run(e.String(), func(t *testing.T) {
			data := make([]byte, 1<<17)
			for i := range data {
				data[i] = byte(i*7 + i>>8)
			}
			n := int64(len(data) * 8 / e.Bits())
			switch e {
			case enc.Bool:
				for i := range data {
					data[i] &= 1
				}
			case enc.F16, enc.BF16:
				for i := range 1 << 16 {
					data[2*i], data[2*i+1] = byte(i), byte(i>>8)
				}
			}
			v, err := FromBytes(e, []int64{n}, data)
			require.NoError(t, err)
			require.Equal(t, int(n), v.Len())
			got, err := v.Bytes()
			require.NoError(t, err)
			for i := range got {
				if got[i] != data[i] && !math.IsNaN(v.float(i*8/e.Bits())) {
					t.Fatalf("byte %d is %#x, want %#x", i, got[i], data[i])
				}
			}
			require.Same(t, v, v.rounded())
		})
	}
	v, err := FromBytes(enc.I4, []int64{3}, []byte{0x8f, 0x07})
	require.NoError(t, err)
	require.Equal(t, []int64{-1, -8, 7}, v.I)
	v, err = FromBytes(enc.U4, []int64{3}, []byte{0x8f, 0x07})
	require.NoError(t, err)
	require.Equal(t, []uint64{15, 8, 7}, v.U)
	for _, bad := range []int{0, 7, 9} {
		_, err := FromBytes(enc.F32, []int64{2}, make([]byte, bad))
		require.Error(t, err)
	}
	_, err = FromBytes(enc.F32, []int64{1 << 62}, nil)
	require.Error(t, err)
	_, err = (&Tensor{Elem: enc.F32, Shape: []int64{2}, F: []float64{1}}).Bytes()
	require.Error(t, err)
}

// Half precision as other implementations read it.
func TestHalfPrecisionGolden(t *testing.T) {
	dir := shared.Golden(t, "gguf_blocks")
	for _, e := range []enc.Elem{enc.F16, enc.BF16} {
		name := map[enc.Elem]string{enc.F16: "F16", enc.BF16: "BF16"}[e]
		want := readFloats(t, filepath.Join(dir, name+".f32"))
		raw, err := os.ReadFile(filepath.Join(dir, name+".bin"))
		require.NoError(t, err)
		got, err := FromBytes(e, []int64{int64(len(want))}, raw)
		require.NoError(t, err)
		for i, w := range want {
			require.Equal(t, math.Float32bits(w), math.Float32bits(float32(got.F[i])), "%s %d", name, i)
		}
	}
}

func TestConstRoundTrip(t *testing.T) {
	v := floats(enc.BF16, []int64{2, 1}, 1.5, -3)
	c, err := v.Const()
	require.NoError(t, err)
	back, err := FromConst(c)
	require.NoError(t, err)
	require.Equal(t, v, back)
}
