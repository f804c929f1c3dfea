package norm

import (
	"math"

	"github.com/heddle-ml/heddle/ops/kern"
)

// Softmax computes e^(src[i]-m) / sum, with m the largest element. A row that
// is all -Inf (everything masked) gives zeros if maskedToZero, else NaN as the
// formula says. A NaN or +Inf anywhere gives NaN in that row.
func Softmax(t *kern.Table, dst, src []float32, maskedToZero bool) {
	src = src[:len(dst)]
	m := t.Max(src)
	if maskedToZero && math.IsInf(float64(m), -1) {
		clear(dst)
		return
	}
	sum := t.ExpSum(dst, src, m)
	t.Scale(dst, dst, 0, 1/sum, nil, nil)
}

// LogSoftmax computes src[i] - m - ln(sum of e^(src[j]-m)).
func LogSoftmax(t *kern.Table, dst, src []float32) {
	src = src[:len(dst)]
	m := t.Max(src)
	var sum float64
	for _, x := range src {
		sum += math.Exp(float64(x) - float64(m))
	}
	// Two steps: m and the logarithm may differ by many orders of magnitude.
	t.Scale(dst, src, m, 1, nil, nil)
	t.Scale(dst, dst, float32(math.Log(sum)), 1, nil, nil)
}

// SoftmaxStrided is Softmax in place over n elements that lie stride apart,
// starting at x[0], of either float type.
func SoftmaxStrided[T float32 | float64](x []T, n, stride int, maskedToZero bool) {
	if n <= 0 {
		return
	}
	end := (n-1)*stride + 1
	m := T(math.Inf(-1))
	for i := 0; i < end; i += stride {
		m = max(m, x[i])
	}
	if maskedToZero && math.IsInf(float64(m), -1) {
		for i := 0; i < end; i += stride {
			x[i] = 0
		}
		return
	}
	var sum float64
	for i := 0; i < end; i += stride {
		e := math.Exp(float64(x[i]) - float64(m))
		x[i] = T(e)
		sum += e
	}
	for i := 0; i < end; i += stride {
		x[i] = T(float64(x[i]) / sum)
	}
}

// LayerNorm computes (src-mean) / sqrt(variance+epsilon) * gamma + beta, and
// returns the mean and the reciprocal of the square root. gamma and beta may be
// nil. The variance is summed around the mean, not as a difference of squares.
func LayerNorm(t *kern.Table, dst, src, gamma, beta []float32, epsilon float32) (mean, invStd float32) {
	if len(dst) == 0 {
		return 0, 0
	}
	src = src[:len(dst)]
	n := float32(len(src))
	mean = t.Sum(src) / n
	invStd = float32(1 / math.Sqrt(float64(t.SumSq(src, mean)/n)+float64(epsilon)))
	t.Scale(dst, src, mean, invStd, gamma, beta)
	return mean, invStd
}

// RMSNorm computes src / sqrt(mean of squares + epsilon) * gamma; gamma may be
// nil.
func RMSNorm(t *kern.Table, dst, src, gamma []float32, epsilon float32) {
	if len(dst) == 0 {
		return
	}
	src = src[:len(dst)]
	inv := 1 / math.Sqrt(float64(t.SumSq(src, 0)/float32(len(src)))+float64(epsilon))
	t.Scale(dst, src, 0, float32(inv), gamma, nil)
}

// RopeHalf rotates the pairs (src[i], src[i+h]) for i < h = len(cos) by the
// angles whose cosines and sines are given, and copies what lies beyond 2h
// (partial rotation). This is the pairing of Llama in Hugging Face's layout.
func RopeHalf(dst, src, cos, sin []float32) {
	h := len(cos)
	sin = sin[:h]
	d0, d1 := dst[:h], dst[h:2*h]
	s0, s1 := src[:h], src[h:2*h]
	for i, c := range cos {
		x, y, s := s0[i], s1[i], sin[i]
		d0[i] = x*c - y*s
		d1[i] = y*c + x*s
	}
	copy(dst[2*h:], src[2*h:])
}

// RopePairs is RopeHalf for the interleaved pairs (src[2i], src[2i+1]).
func RopePairs(dst, src, cos, sin []float32) {
	h := len(cos)
	sin = sin[:h]
	for i, c := range cos {
		x, y, s := src[2*i], src[2*i+1], sin[i]
		dst[2*i] = x*c - y*s
		dst[2*i+1] = y*c + x*s
	}
	copy(dst[2*h:], src[2*h:])
}
