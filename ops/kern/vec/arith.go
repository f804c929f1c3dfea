package vec

import "math"

// Add computes dst = a + b; integers wrap.
func Add[T Number](dst, a, b []T) {
	switch {
	case len(dst) == 0:
	case len(a) == 1:
		AddScalar(dst, b, a[0])
	case len(b) == 1:
		AddScalar(dst, a, b[0])
	default:
		a, b = a[:len(dst)], b[:len(dst)]
		for i := range dst {
			dst[i] = a[i] + b[i]
		}
	}
}

// AddScalar computes dst = a + s.
func AddScalar[T Number](dst, a []T, s T) {
	if len(a) == 1 {
		Fill(dst, a[0]+s)
		return
	}
	a = a[:len(dst)]
	for i := range dst {
		dst[i] = a[i] + s
	}
}

// Sub computes dst = a - b; integers wrap.
func Sub[T Number](dst, a, b []T) {
	switch {
	case len(dst) == 0:
	case len(b) == 1:
		// Not AddScalar(-b): for floats x-0 and x+(-0) agree, but NaN payloads
		// and unsigned types deserve the plain subtraction.
		s := b[0]
		if len(a) == 1 {
			Fill(dst, a[0]-s)
			return
		}
		a = a[:len(dst)]
		for i := range dst {
			dst[i] = a[i] - s
		}
	case len(a) == 1:
		s := a[0]
		b = b[:len(dst)]
		for i := range dst {
			dst[i] = s - b[i]
		}
	default:
		a, b = a[:len(dst)], b[:len(dst)]
		for i := range dst {
			dst[i] = a[i] - b[i]
		}
	}
}

// Mul computes dst = a * b; integers wrap.
func Mul[T Number](dst, a, b []T) {
	switch {
	case len(dst) == 0:
	case len(a) == 1:
		MulScalar(dst, b, a[0])
	case len(b) == 1:
		MulScalar(dst, a, b[0])
	default:
		a, b = a[:len(dst)], b[:len(dst)]
		for i := range dst {
			dst[i] = a[i] * b[i]
		}
	}
}

// MulScalar computes dst = a * s.
func MulScalar[T Number](dst, a []T, s T) {
	if len(a) == 1 {
		Fill(dst, a[0]*s)
		return
	}
	a = a[:len(dst)]
	for i := range dst {
		dst[i] = a[i] * s
	}
}

// Div computes dst = a / b for floats.
func Div[T Float](dst, a, b []T) {
	switch {
	case len(dst) == 0:
	case len(b) == 1:
		s := b[0]
		if len(a) == 1 {
			Fill(dst, a[0]/s)
			return
		}
		a = a[:len(dst)]
		for i := range dst {
			dst[i] = a[i] / s
		}
	case len(a) == 1:
		s := a[0]
		b = b[:len(dst)]
		for i := range dst {
			dst[i] = s / b[i]
		}
	default:
		a, b = a[:len(dst)], b[:len(dst)]
		for i := range dst {
			dst[i] = a[i] / b[i]
		}
	}
}

// DivInt computes dst = a / b, truncated towards zero. Division by zero, which
// ONNX leaves undefined, gives 0; the least value divided by -1 wraps.
func DivInt[T Integer](dst, a, b []T) {
	binary(dst, a, b, func(x, y T) T {
		if y == 0 {
			return 0
		}
		return x / y
	})
}

// Mod computes the remainder of integers with the sign of the divisor (of the
// dividend if fmod, as in C). A zero divisor gives 0.
func Mod[T Integer](dst, a, b []T, fmod bool) {
	binary(dst, a, b, func(x, y T) T {
		if y == 0 {
			return 0
		}
		r := x % y
		if !fmod && r != 0 && (r < 0) != (y < 0) {
			r += y
		}
		return r
	})
}

// ModFloat computes the remainder of floats with the sign of the divisor (of
// the dividend if fmod, as in C).
func ModFloat[T Float](dst, a, b []T, fmod bool) {
	binary(dst, a, b, func(x, y T) T {
		r := math.Mod(float64(x), float64(y))
		if !fmod && r != 0 && (r < 0) != (y < 0) {
			r += float64(y)
		}
		return T(r)
	})
}

// Pow computes dst = a to the power b. Integers raised to integers are exact
// and wrap, a negative exponent giving 0, 1 or -1; everything else is computed
// in float64 and converted as Convert does.
func Pow[T, E Number](dst, a []T, b []E) {
	integers := isInteger[T]() && isInteger[E]()
	pow := func(x T, y E) T {
		if integers {
			return intPow(x, y)
		}
		return convert[T](math.Pow(float64(x), float64(y)))
	}
	at := func(i int) (T, E) {
		j, k := i, i
		if len(a) == 1 {
			j = 0
		}
		if len(b) == 1 {
			k = 0
		}
		return a[j], b[k]
	}
	for i := range dst {
		dst[i] = pow(at(i))
	}
}

func intPow[T, E Number](x T, y E) T {
	if y < 0 {
		switch {
		case x == 1:
			return 1
		case x+1 == 0: // -1; an unsigned type's largest value has no inverse either
			if isSigned[T]() {
				if uint64(-int64(y))&1 == 0 {
					return 1
				}
				return x
			}
		}
		return 0
	}
	r := T(1)
	for n := uint64(y); n > 0; n >>= 1 {
		if n&1 != 0 {
			r *= x
		}
		x *= x
	}
	return r
}

func isInteger[T Number]() bool { return T(1)/2 == 0 }

func isSigned[T Number]() bool { var zero T; return zero-1 < 0 }

// Min computes the smaller of a and b; a NaN in either gives NaN.
func Min[T Number](dst, a, b []T) {
	if len(a) == len(b) && len(a) >= len(dst) {
		a, b = a[:len(dst)], b[:len(dst)]
		for i := range dst {
			dst[i] = min(a[i], b[i])
		}
		return
	}
	binary(dst, a, b, func(x, y T) T { return min(x, y) })
}

// Max computes the larger of a and b; a NaN in either gives NaN.
func Max[T Number](dst, a, b []T) {
	if len(a) == len(b) && len(a) >= len(dst) {
		a, b = a[:len(dst)], b[:len(dst)]
		for i := range dst {
			dst[i] = max(a[i], b[i])
		}
		return
	}
	binary(dst, a, b, func(x, y T) T { return max(x, y) })
}

// Clip computes dst = min(max(src, lo), hi): where lo > hi, hi wins. NaN stays.
func Clip[T Number](dst, src []T, lo, hi T) {
	src = src[:len(dst)]
	for i, x := range src {
		dst[i] = min(max(x, lo), hi)
	}
}

// Neg computes dst = -src; integers wrap.
func Neg[T Signed | Float](dst, src []T) {
	src = src[:len(dst)]
	for i, x := range src {
		dst[i] = -x
	}
}

// Abs computes dst = |src|; the least integer stays as it is. -0 gives 0.
func Abs[T Number](dst, src []T) {
	src = src[:len(dst)]
	for i, x := range src {
		if x <= 0 {
			x = 0 - x
		}
		dst[i] = x
	}
}

// Sign computes -1, 0 or 1; NaN stays.
func Sign[T Number](dst, src []T) {
	src = src[:len(dst)]
	for i, x := range src {
		switch {
		case x > 0:
			x = 1
		case x < 0:
			x = T(0)
			x--
		}
		dst[i] = x
	}
}

// Relu computes max(src, 0); NaN stays.
func Relu[T Number](dst, src []T) {
	src = src[:len(dst)]
	for i, x := range src {
		dst[i] = max(x, 0)
	}
}

// LeakyRelu computes src where it is not negative, else alpha*src.
func LeakyRelu[T Float](dst, src []T, alpha T) {
	src = src[:len(dst)]
	for i, x := range src {
		if x < 0 {
			x *= alpha
		}
		dst[i] = x
	}
}

// Sqrt computes the square root.
func Sqrt[T Float](dst, src []T) {
	src = src[:len(dst)]
	for i, x := range src {
		dst[i] = T(math.Sqrt(float64(x)))
	}
}

// Reciprocal computes 1/src.
func Reciprocal[T Float](dst, src []T) {
	src = src[:len(dst)]
	for i, x := range src {
		dst[i] = 1 / x
	}
}

// Fill sets every element to x.
func Fill[T any](dst []T, x T) {
	for i := range dst {
		dst[i] = x
	}
}

// binary is the slow path: f per pair, with operands of one element.
func binary[A, T any](dst []T, a, b []A, f func(x, y A) T) {
	switch {
	case len(a) == 1 && len(b) == 1:
		if len(dst) > 0 {
			Fill(dst, f(a[0], b[0]))
		}
	case len(a) == 1:
		x := a[0]
		for i, y := range b[:len(dst)] {
			dst[i] = f(x, y)
		}
	case len(b) == 1:
		y := b[0]
		for i, x := range a[:len(dst)] {
			dst[i] = f(x, y)
		}
	default:
		a, b = a[:len(dst)], b[:len(dst)]
		for i, x := range a {
			dst[i] = f(x, b[i])
		}
	}
}
