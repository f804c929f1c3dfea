package enc

import "math"

// F16ToF32 widens an IEEE binary16 number exactly.
func F16ToF32(h uint16) float32 {
	sign := uint32(h>>15) << 31
	exp := uint32(h>>10) & 31
	man := uint32(h) & 0x3ff
	switch exp {
	case 0:
		// Zero or subnormal: man * 2^-24, exact in float32.
		f := float32(man) * (1.0 / (1 << 24))
		return math.Float32frombits(math.Float32bits(f) | sign)
	case 31:
		return math.Float32frombits(sign | 0x7f800000 | man<<13)
	}
	return math.Float32frombits(sign | (exp+112)<<23 | man<<13)
}

// F64ToF16 rounds to IEEE binary16, ties to even; what is too large becomes
// an infinity, NaN stays NaN.
func F64ToF16(f float64) uint16 {
	b := math.Float64bits(f)
	sign := uint16(b >> 48 & 0x8000)
	if f != f {
		return sign | 0x7e00
	}
	a := math.Abs(f)
	if a >= 65520 { // half-way above the largest finite number, 65504
		return sign | 0x7c00
	}
	if a < 6.103515625e-05 { // subnormal: a multiple of 2^-24
		return sign | uint16(math.RoundToEven(a*(1<<24)))
	}
	exp := int(b>>52&0x7ff) - 1023
	man := math.RoundToEven(math.Ldexp(a, 10-exp)) // in 1024..2048
	return sign | uint16((exp+14)<<10+int(man))
}

// F32ToF16 is F64ToF16 for a float32.
func F32ToF16(f float32) uint16 { return F64ToF16(float64(f)) }

// BF16ToF32 widens a bfloat16 number exactly.
func BF16ToF32(h uint16) float32 { return math.Float32frombits(uint32(h) << 16) }

// F32ToBF16 rounds to bfloat16, ties to even; NaN stays NaN.
func F32ToBF16(f float32) uint16 {
	b := math.Float32bits(f)
	if f != f {
		return uint16(b>>16) | 0x40
	}
	b += 0x7fff + b>>16&1
	return uint16(b >> 16)
}

// F64ToBF16 rounds to bfloat16, ties to even, without rounding twice.
func F64ToBF16(f float64) uint16 {
	g := float32(f)
	if d := float64(g); d != f && !math.IsInf(d, 0) && f == f {
		// Round to odd: keep a sticky bit so that the second rounding decides
		// as the first would have.
		b := math.Float32bits(g)
		if math.Abs(d) > math.Abs(f) {
			b--
		}
		g = math.Float32frombits(b | 1)
	}
	return F32ToBF16(g)
}
