package vec

import "math"

// Equal computes a == b. NaN equals nothing.
func Equal[T comparable](dst []bool, a, b []T) {
	binary(dst, a, b, func(x, y T) bool { return x == y })
}

// Less computes a < b.
func Less[T Number](dst []bool, a, b []T) {
	binary(dst, a, b, func(x, y T) bool { return x < y })
}

// LessOrEqual computes a <= b.
func LessOrEqual[T Number](dst []bool, a, b []T) {
	binary(dst, a, b, func(x, y T) bool { return x <= y })
}

// And computes a && b.
func And(dst, a, b []bool) { binary(dst, a, b, func(x, y bool) bool { return x && y }) }

// Or computes a || b.
func Or(dst, a, b []bool) { binary(dst, a, b, func(x, y bool) bool { return x || y }) }

// Xor computes a != b.
func Xor(dst, a, b []bool) { binary(dst, a, b, func(x, y bool) bool { return x != y }) }

// Not computes !src.
func Not(dst, src []bool) {
	src = src[:len(dst)]
	for i, x := range src {
		dst[i] = !x
	}
}

// Where computes cond ? a : b.
func Where[T any](dst []T, cond []bool, a, b []T) {
	if len(dst) == 0 {
		return
	}
	if len(cond) == 1 {
		src := b
		if cond[0] {
			src = a
		}
		if len(src) == 1 {
			Fill(dst, src[0])
		} else {
			copy(dst, src[:len(dst)])
		}
		return
	}
	// A step of 0 repeats the single element.
	sa, sb := min(len(a)-1, 1), min(len(b)-1, 1)
	for i, c := range cond[:len(dst)] {
		if c {
			dst[i] = a[i*sa]
		} else {
			dst[i] = b[i*sb]
		}
	}
}

// IsNaN tells which elements are not numbers.
func IsNaN[T Float](dst []bool, src []T) {
	src = src[:len(dst)]
	for i, x := range src {
		dst[i] = x != x
	}
}

// IsInf tells which elements are infinite, of the signs asked for.
func IsInf[T Float](dst []bool, src []T, positive, negative bool) {
	src = src[:len(dst)]
	for i, x := range src {
		dst[i] = positive && math.IsInf(float64(x), 1) || negative && math.IsInf(float64(x), -1)
	}
}
