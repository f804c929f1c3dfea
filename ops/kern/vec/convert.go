package vec

import "math"

// Convert computes dst = src in another type. Integers wrap, floats round to
// nearest. A float becomes an integer by truncation; one out of range gives the
// nearest integer of the type and NaN gives 0, on every processor.
func Convert[D, S Number](dst []D, src []S) {
	src = src[:len(dst)]
	if isInteger[D]() && !isInteger[S]() {
		for i, x := range src {
			dst[i] = convert[D](float64(x))
		}
		return
	}
	for i, x := range src {
		dst[i] = D(x)
	}
}

// FromBool computes 1 for true and 0 for false.
func FromBool[D Number](dst []D, src []bool) {
	src = src[:len(dst)]
	for i, x := range src {
		dst[i] = 0
		if x {
			dst[i] = 1
		}
	}
}

// ToBool computes src != 0; NaN is true.
func ToBool[S Number](dst []bool, src []S) {
	src = src[:len(dst)]
	for i, x := range src {
		dst[i] = x != 0
	}
}

// convert is one element of Convert from a float. Go leaves conversions out of
// range to the processor, so they are taken apart first.
func convert[D Number](x float64) D {
	if !isInteger[D]() {
		return D(x)
	}
	lo, hi := limits[D]()
	switch {
	case x != x:
		return 0
	case x <= float64(lo):
		return lo
	case x >= float64(hi):
		return hi
	case x >= 1<<63: // only uint64 gets here
		return D(uint64(x))
	}
	return D(int64(x))
}

// limits returns the least and the largest value of an integer type.
func limits[D Number]() (lo, hi D) {
	if isSigned[D]() {
		lo = 1
		for lo > 0 { // shifts the single bit into the sign
			lo *= 2
		}
		return lo, lo - 1
	}
	var zero D
	return 0, zero - 1
}

// Lowest returns the least value of T: -Inf for floats.
func Lowest[T Number]() T {
	if isInteger[T]() {
		lo, _ := limits[T]()
		return lo
	}
	return T(math.Inf(-1))
}

// Highest returns the largest value of T: +Inf for floats.
func Highest[T Number]() T {
	if isInteger[T]() {
		_, hi := limits[T]()
		return hi
	}
	return T(math.Inf(1))
}
