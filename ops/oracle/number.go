package oracle

import (
	"math"
	"slices"

	"github.com/heddle-ml/heddle/graph/enc"
)

// roundTo rounds f to a floating-point type, ties to even; what is too large
// becomes an infinity.
func roundTo(e enc.Elem, f float64) float64 {
	switch e {
	case enc.F32:
		return float64(float32(f))
	case enc.F16:
		return float64(enc.F16ToF32(enc.F64ToF16(f)))
	case enc.BF16:
		return float64(enc.BF16ToF32(enc.F64ToBF16(f)))
	}
	return f
}

// rounded returns t with each number rounded to t's own element type: t itself
// if it is so already.
func (t *Tensor) rounded() *Tensor {
	if t == nil || t.Elem == enc.F64 {
		return t
	}
	for i, f := range t.F {
		if r := roundTo(t.Elem, f); r != f && f == f {
			u := *t
			u.F = slices.Clone(t.F)
			for i := i; i < len(u.F); i++ {
				u.F[i] = roundTo(t.Elem, u.F[i])
			}
			return &u
		}
	}
	return t
}

// wrapI and wrapU discard the bits that an integer type does not have.
func wrapI(e enc.Elem, n int64) int64 {
	if e == enc.Bool {
		return boolInt(n != 0)
	}
	s := 64 - e.Bits()
	return n << s >> s
}

func wrapU(e enc.Elem, n uint64) uint64 {
	s := 64 - e.Bits()
	return n << s >> s
}

// rangeI returns the least and greatest value of a signed type or of bool.
func rangeI(e enc.Elem) (lo, hi int64) {
	if e == enc.Bool {
		return 0, 1
	}
	return math.MinInt64 >> (64 - e.Bits()), math.MaxInt64 >> (64 - e.Bits())
}

// maxU returns the greatest value of an unsigned type.
func maxU(e enc.Elem) uint64 { return math.MaxUint64 >> (64 - e.Bits()) }

// floatToI truncates towards zero. ONNX leaves what does not fit undefined;
// here it saturates, and NaN becomes 0.
func floatToI(e enc.Elem, f float64) int64 {
	lo, hi := rangeI(e)
	switch f = math.Trunc(f); {
	case f != f:
		return 0
	case f <= float64(lo):
		return lo
	case f >= float64(hi): // MaxInt64 rounds up to 2^63, which does not fit
		return hi
	}
	return int64(f)
}

// floatToU is floatToI for unsigned types.
func floatToU(e enc.Elem, f float64) uint64 {
	hi := maxU(e)
	switch f = math.Trunc(f); {
	case f != f || f <= 0:
		return 0
	case f >= float64(hi):
		return hi
	}
	return uint64(f)
}

// setFloat stores f as element i of t: rounded, or truncated and saturated.
// It ends both casts and quantizations (whose f is integral).
func (t *Tensor) setFloat(i int, f float64) {
	switch {
	case t.F != nil:
		t.F[i] = roundTo(t.Elem, f)
	case t.U != nil:
		t.U[i] = floatToU(t.Elem, f)
	case t.Elem == enc.Bool:
		t.I[i] = boolInt(f != 0)
	default:
		t.I[i] = floatToI(t.Elem, f)
	}
}

func boolInt(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
