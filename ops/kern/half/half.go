package half

import "math"

// F16 returns x as a float16 bit pattern.
func F16(x float32) uint16 {
	b := math.Float32bits(x)
	sign := uint16(b >> 16 & 0x8000)
	b &= 0x7fffffff
	switch {
	case b > 0x7f800000: // NaN: keep the payload's top bits, set the quiet bit
		return sign | 0x7e00 | uint16(b>>13&0x1ff)
	case b >= 0x47800000: // 65536 and above, and infinity
		return sign | 0x7c00
	case b < 0x38800000: // below 2^-14: denormal
		// Adding 0.5 makes the unit of the last place 2^-24, the denormals' step,
		// so the hardware's own rounding does the work.
		return sign | uint16(math.Float32bits(math.Float32frombits(b)+0.5)-0x3f000000)
	}
	// Rebias, then round: adding 0xfff plus the last kept bit carries exactly
	// when the dropped part is over a half, or a half and the result odd.
	b += 0xc8000fff + b>>13&1
	return sign | uint16(b>>13)
}

// FromF16 returns the value of a float16 bit pattern.
func FromF16(h uint16) float32 {
	sign := uint32(h&0x8000) << 16
	b := uint32(h&0x7fff) << 13
	switch {
	case h&0x7c00 == 0x7c00: // infinity or NaN
		b |= 0x7f800000
		if h&0x3ff != 0 {
			b |= 0x00400000
		}
	case h&0x7c00 == 0: // zero or denormal: 2^-14 * (1.m - 1), exact in float32
		b = math.Float32bits(math.Float32frombits(b+0x38800000) - 0x1p-14)
	default:
		b += 112 << 23
	}
	return math.Float32frombits(sign | b)
}

// BF16 returns x as a bfloat16 bit pattern.
func BF16(x float32) uint16 {
	b := math.Float32bits(x)
	if b&0x7fffffff > 0x7f800000 {
		return uint16(b>>16) | 0x40
	}
	return uint16((b + 0x7fff + b>>16&1) >> 16)
}

// FromBF16 returns the value of a bfloat16 bit pattern.
func FromBF16(h uint16) float32 { return math.Float32frombits(uint32(h) << 16) }

// DecodeF16 sets dst[i] to the value of src[i] for i < len(dst).
func DecodeF16(dst []float32, src []uint16) {
	src = src[:len(dst)]
	for i, h := range src {
		dst[i] = FromF16(h)
	}
}

// EncodeF16 is the inverse of DecodeF16, with rounding.
func EncodeF16(dst []uint16, src []float32) {
	src = src[:len(dst)]
	for i, x := range src {
		dst[i] = F16(x)
	}
}

// DecodeBF16 sets dst[i] to the value of src[i] for i < len(dst).
func DecodeBF16(dst []float32, src []uint16) {
	src = src[:len(dst)]
	for i, h := range src {
		dst[i] = FromBF16(h)
	}
}

// EncodeBF16 is the inverse of DecodeBF16, with rounding.
func EncodeBF16(dst []uint16, src []float32) {
	src = src[:len(dst)]
	for i, x := range src {
		dst[i] = BF16(x)
	}
}

// F16From64 returns x as a float16 bit pattern, rounded once. Going through
// float32 would round twice, which differs where float32 makes a tie.
func F16From64(x float64) uint16 { return F16(roundOdd(x)) }

// BF16From64 returns x as a bfloat16 bit pattern, rounded once.
func BF16From64(x float64) uint16 { return BF16(roundOdd(x)) }

// roundOdd rounds to float32 towards zero and sets the last bit if anything
// was lost: a later rounding to fewer bits then comes out as if it were the
// only one.
func roundOdd(x float64) float32 {
	f := float32(x)
	if float64(f) == x || x != x || math.IsInf(x, 0) {
		return f
	}
	b := math.Float32bits(f)
	if math.Abs(float64(f)) > math.Abs(x) {
		b-- // step back towards zero; from infinity to the largest finite value
	}
	return math.Float32frombits(b | 1)
}
