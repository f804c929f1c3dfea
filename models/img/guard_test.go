package img

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestDecoderPanics: a decoder that panics damages the picture, not the program;
// and one that returns another size than its header said is not believed.
func TestDecoderPanics(t *testing.T) {
	f := format{
		name:   "test",
		header: func([]byte) (header, error) { return header{w: 2, h: 2, free: 4}, nil },
		decode: func(d []byte) (RGB, error) { return RGB{}, []error{}[len(d)] },
	}
	_, err := f.read([]byte{1}, Limits{}.orDefault())
	require.ErrorIs(t, err, ErrDamaged)
	require.ErrorContains(t, err, "the test decoder gave up")

	f.decode = func([]byte) (RGB, error) { return newRGB(3, 2), nil }
	_, err = f.read(nil, Limits{}.orDefault())
	require.ErrorIs(t, err, ErrDamaged)
	require.ErrorContains(t, err, "3x2 pixels in a file whose header says 2x2")
}

// TestUpsampleIsSmooth: interpolated chroma is within a rounding of the exact
// weights 9, 3, 3, 1, in both formats' ways of rounding.
func TestUpsampleIsSmooth(t *testing.T) {
	near, far := make([]uint8, 50), make([]uint8, 50)
	for i := range near {
		near[i], far[i] = uint8(i*i*73>>2), uint8(i*131)
	}
	for _, width := range []int{99, 100} {
		vp8, jfif := make([]uint8, width), make([]uint8, width)
		upsample(vp8, near, far)
		enlarge(jfif, near, far)
		for x := range width {
			i := x / 2
			j := min(max(i-1+x%2*2, 0), 49)
			exact := (9*float64(near[i]) + 3*float64(near[j]) + 3*float64(far[i]) + float64(far[j])) / 16
			require.InDelta(t, exact, vp8[x], 1, "column %d", x)
			require.InDelta(t, exact, jfif[x], 1, "column %d", x)
		}
	}
}
