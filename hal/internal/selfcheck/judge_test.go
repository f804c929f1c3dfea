package selfcheck

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestJudge(t *testing.T) {
	n := 1000
	want := make([]float64, n)
	for i := range want {
		want[i] = math.Sin(float64(i) * 1.7)
	}
	with := func(f func(i int, w float64) float64) []float64 {
		got := make([]float64, n)
		for i, w := range want {
			got[i] = f(i, w)
		}
		return got
	}
	for text, got := range map[string][]float64{
		"":                       with(func(i int, w float64) float64 { return w + 0.003*math.Cos(float64(i)*9.1) }),
		"999 numbers, want 1000": want[:999],
		"element 7 is NaN":       with(func(i int, w float64) float64 { return w / map[bool]float64{i == 7: math.NaN(), i != 7: 1}[true] }),
		"element 9 is +Inf":      with(func(i int, w float64) float64 { return w + map[int]float64{9: math.Inf(1)}[i] }),
		"element 5 of 1000":      with(func(i int, w float64) float64 { return w + map[int]float64{5: 0.2}[i] }),
		"mean square error":      with(func(i int, w float64) float64 { return w + 0.02*math.Cos(float64(i)*9.1) }),
		"off by +0.30 %":         with(func(_ int, w float64) float64 { return 1.003 * w }),
		"off by -0.30 %":         with(func(_ int, w float64) float64 { return 0.997 * w }),
	} {
		_, wrong := productLimits.judge(got, want)
		if text == "" {
			require.Empty(t, wrong)
		} else {
			require.Contains(t, wrong, text)
		}
	}
	_, wrong := productLimits.judge(make([]float64, n), make([]float64, n))
	require.Contains(t, wrong, "shows nothing")
}
