package arch

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

// Angles as the formulas give them, worked out outside this program in the
// float32 steps of Hugging Face's rope functions. The llama3 case is
// Llama 3.1's: long waves are stretched eight times, short ones not, those in
// between in part.
func TestInvFreq(t *testing.T) {
	plain := Rope{Theta: 10000, Type: "default"}
	require.Equal(t, []float32{1, 0.1, 0.009999999776482582, 0.0010000000474974513}, plain.InvFreq(8))
	linear := Rope{Theta: 10000, Type: "linear", Factor: 4}
	require.Equal(t, []float32{0.25, 0.025, 0.0024999999441206455, 0.0002500000118743628}, linear.InvFreq(8))

	llama31 := Rope{Theta: 500000, Type: "llama3", Factor: 8, LowFreq: 1, HighFreq: 4, OriginalPositions: 8192}
	got := llama31.InvFreq(128)
	require.Len(t, got, 64)
	for i, want := range map[int]float64{
		0: 1, 1: 0.8146172165870667, 10: 0.12868738174438477,
		28: 0.0032114461064338684,                                                       // the last wave shorter than 8192/4
		29: 0.0021665706299245358, 30: 0.0013718936825171113, 33: 0.0003126936499029398, // in between
		36: 7.784655463183299e-05, 39: 4.208236714475788e-05, 63: 3.068925877869333e-07, // an eighth
	} {
		require.InEpsilon(t, want, got[i], 2e-7, "pair %d", i)
	}
}

// Far positions lose precision in float32; the angle must lose it in the
// same way as the reference: position times frequency in float32, then the
// cosine of that.
func TestTable(t *testing.T) {
	r := Rope{Theta: 10000, Type: "default"}
	cos, sin := r.table(4096, 8)
	require.Len(t, cos, 4096*4)
	require.Len(t, sin, 4096*4)
	require.Equal(t, []float32{1, 1, 1, 1}, cos[:4])
	require.Equal(t, []float32{0, 0, 0, 0}, sin[:4])
	at := 4095*4 + 1
	angle := float64(float32(4095) * float32(0.1)) // 409.5 in float32
	require.Equal(t, float32(math.Cos(angle)), cos[at])
	require.Equal(t, float32(math.Sin(angle)), sin[at])
}
