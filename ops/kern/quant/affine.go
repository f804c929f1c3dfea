package quant

import "math"

// Int constrains the integer types of affine quantization. Four-bit integers
// are held one to a byte while they are computed with; see PackNibbles.
type Int interface {
	int8 | uint8 | int16 | uint16 | int32
}

// Range is the least and the largest value of a quantized type.
type Range struct{ Lo, Hi int32 }

// RangeOf returns the range of integers of up to 16 bits.
func RangeOf(bits int, signed bool) Range {
	if signed {
		return Range{-1 << (bits - 1), 1<<(bits-1) - 1}
	}
	return Range{0, 1<<bits - 1}
}

// Quantize computes clamp(round(src/scale) + zero), rounding halves to even, as
// QuantizeLinear does with one scale. A NaN gives the clamped zero point.
func Quantize[T Int](dst []T, src []float32, scale float32, zero T, r Range) {
	src = src[:len(dst)]
	for i, x := range src {
		dst[i] = T(quantize(x/scale, int32(zero), r))
	}
}

func quantize(x float32, zero int32, r Range) int32 {
	q := math.RoundToEven(float64(x)) + float64(zero)
	switch {
	case q >= float64(r.Hi):
		return r.Hi
	case q <= float64(r.Lo):
		return r.Lo
	case q != q:
		return min(max(zero, r.Lo), r.Hi)
	}
	return int32(q)
}

// Dequantize computes (src - zero) * scale, as DequantizeLinear does with one
// scale.
func Dequantize[T Int](dst []float32, src []T, scale float32, zero T) {
	src = src[:len(dst)]
	z := int32(zero)
	for i, x := range src {
		dst[i] = float32(int32(x)-z) * scale
	}
}

// Requantize computes clamp(round(src*scale) + zero), the last step of
// QLinearMatMul and QLinearConv; scale is that of both inputs over the output's.
func Requantize[T Int](dst []T, src []int32, scale float32, zero T, r Range) {
	src = src[:len(dst)]
	for i, x := range src {
		dst[i] = T(quantize(float32(x)*scale, int32(zero), r))
	}
}

// DynamicUint8 returns the scale and zero point that DynamicQuantizeLinear
// gives to data between lo and hi.
func DynamicUint8(lo, hi float32) (scale float32, zero uint8) {
	lo, hi = min(lo, 0), max(hi, 0)
	scale = (hi - lo) / 255
	if scale == 0 {
		return 0, 0
	}
	return scale, uint8(quantize(-lo/scale, 0, RangeOf(8, false)))
}

// PackNibbles packs 4-bit integers, two to a byte, the first in the low half.
// dst has (len(src)+1)/2 bytes.
func PackNibbles[T int8 | uint8](dst []byte, src []T) {
	for i := range (len(src) + 1) / 2 {
		b := byte(src[2*i]) & 15
		if 2*i+1 < len(src) {
			b |= byte(src[2*i+1]) << 4
		}
		dst[i] = b
	}
}

// UnpackNibbles is the inverse of PackNibbles for len(dst) elements: signed if
// T is.
func UnpackNibbles[T int8 | uint8](dst []T, src []byte) {
	signed := T(0)-1 < 0
	for i := range dst {
		b := src[i/2] >> (i % 2 * 4) & 15
		if signed && b > 7 {
			b |= 0xf0
		}
		dst[i] = T(b)
	}
}
