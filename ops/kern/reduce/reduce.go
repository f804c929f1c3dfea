package reduce

import (
	"math"

	"github.com/heddle-ml/heddle/ops/kern/vec"
)

// Sum adds up; integers wrap, and floats are added in float64. The sum of
// nothing is 0.
func Sum[T vec.Number](dst, src []T, outer, n, inner int) {
	if isFloat[T]() {
		floatSum(dst, src, outer, n, inner, 1)
		return
	}
	fold(dst, src, outer, n, inner, 0, func(a, x T) T { return a + x })
}

// Mean averages: in float64 for floats, by truncating division for integers.
// The mean of nothing is NaN for floats and 0 for integers.
func Mean[T vec.Number](dst, src []T, outer, n, inner int) {
	if isFloat[T]() {
		floatSum(dst, src, outer, n, inner, float64(n))
		return
	}
	for o := range outer {
		for i := range inner {
			var sum int64
			for j := range n {
				sum += int64(src[(o*n+j)*inner+i])
			}
			dst[o*inner+i] = 0
			if n > 0 {
				dst[o*inner+i] = T(sum / int64(n))
			}
		}
	}
}

// floatSum computes the sum divided by div.
func floatSum[T vec.Number](dst, src []T, outer, n, inner int, div float64) {
	for o := range outer {
		block := src[o*n*inner:]
		for i := range inner {
			var even, odd float64
			j := 0
			for ; j+1 < n; j += 2 {
				even += float64(block[j*inner+i])
				odd += float64(block[(j+1)*inner+i])
			}
			if j < n {
				even += float64(block[j*inner+i])
			}
			dst[o*inner+i] = T((even + odd) / div)
		}
	}
}

// Prod multiplies. The product of nothing is 1.
func Prod[T vec.Number](dst, src []T, outer, n, inner int) {
	fold(dst, src, outer, n, inner, 1, func(a, x T) T { return a * x })
}

// Max finds the largest element, NaN if there is one. The largest of nothing is
// the type's least value, -Inf for floats.
func Max[T vec.Number](dst, src []T, outer, n, inner int) {
	fold(dst, src, outer, n, inner, vec.Lowest[T](), func(a, x T) T { return max(a, x) })
}

// Min finds the smallest element, NaN if there is one. The smallest of nothing
// is the type's largest value, +Inf for floats.
func Min[T vec.Number](dst, src []T, outer, n, inner int) {
	fold(dst, src, outer, n, inner, vec.Highest[T](), func(a, x T) T { return min(a, x) })
}

// Any is true where at least one element is (the maximum of booleans).
func Any(dst, src []bool, outer, n, inner int) {
	fold(dst, src, outer, n, inner, false, func(a, x bool) bool { return a || x })
}

// All is true where every element is (the minimum of booleans).
func All(dst, src []bool, outer, n, inner int) {
	fold(dst, src, outer, n, inner, true, func(a, x bool) bool { return a && x })
}

// SumSquares adds up the squares, in float64 for floats.
func SumSquares[T vec.Number](dst, src []T, outer, n, inner int) {
	for o := range outer {
		for i := range inner {
			var f float64
			var s T
			for j := range n {
				x := src[(o*n+j)*inner+i]
				f += float64(x) * float64(x)
				s += x * x
			}
			if isFloat[T]() {
				s = T(f)
			}
			dst[o*inner+i] = s
		}
	}
}

// LogSumExp computes ln(sum of e^x) without overflow.
func LogSumExp[T vec.Float](dst, src []T, outer, n, inner int) {
	for o := range outer {
		for i := range inner {
			m := math.Inf(-1)
			for j := range n {
				m = max(m, float64(src[(o*n+j)*inner+i]))
			}
			if math.IsInf(m, 0) || m != m {
				dst[o*inner+i] = T(m)
				continue
			}
			var sum float64
			for j := range n {
				sum += math.Exp(float64(src[(o*n+j)*inner+i]) - m)
			}
			dst[o*inner+i] = T(m + math.Log(sum))
		}
	}
}

// ArgMax finds the index of the largest element, of several equal ones the
// first (the last if last). A NaN counts as larger than any number.
func ArgMax[T vec.Number](dst []int64, src []T, outer, n, inner int, last bool) {
	arg(dst, src, outer, n, inner, last, func(x, best T) bool { return x > best || x != x && best == best })
}

// ArgMin finds the index of the smallest element, of several equal ones the
// first (the last if last). A NaN counts as smaller than any number.
func ArgMin[T vec.Number](dst []int64, src []T, outer, n, inner int, last bool) {
	arg(dst, src, outer, n, inner, last, func(x, best T) bool { return x < best || x != x && best == best })
}

func arg[T vec.Number](dst []int64, src []T, outer, n, inner int, last bool, better func(x, best T) bool) {
	for o := range outer {
		for i := range inner {
			at := 0
			for j := 1; j < n; j++ {
				x, best := src[(o*n+j)*inner+i], src[(o*n+at)*inner+i]
				if better(x, best) || last && !better(best, x) {
					at = j
				}
			}
			dst[o*inner+i] = int64(at)
		}
	}
}

// fold combines the elements in order, row by row where there are inner axes.
func fold[T any](dst, src []T, outer, n, inner int, start T, f func(a, x T) T) {
	for o := range outer {
		out := dst[o*inner:][:inner]
		if inner == 1 {
			a := start
			for _, x := range src[o*n:][:n] {
				a = f(a, x)
			}
			out[0] = a
			continue
		}
		vec.Fill(out, start)
		for j := range n {
			for i, x := range src[(o*n+j)*inner:][:inner] {
				out[i] = f(out[i], x)
			}
		}
	}
}

func isFloat[T vec.Number]() bool { return T(1)/2 != 0 }
