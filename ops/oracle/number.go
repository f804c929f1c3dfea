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

// clampI and clampU convert an integral number; what does not fit becomes the
// nearest number that does, NaN 0.
func clampI(e enc.Elem, f float64) int64 {
	lo, hi := rangeI(e)
	switch {
	case f != f:
		return 0
	case f <= float64(lo):
		return lo
	case f >= float64(hi): // MaxInt64 rounds up to 2^63, which does not fit
		return hi
	}
	return int64(f)
}

func clampU(e enc.Elem, f float64) uint64 {
	hi := maxU(e)
	switch {
	case f != f || f <= 0:
		return 0
	case f >= float64(hi):
		return hi
	}
	return uint64(f)
}

// setFloat casts f to element i of t. Floats are rounded. Integers are
// truncated towards zero; what does not fit is undefined in ONNX, and here,
// as in its cases, discards bits as casts of integers do, after saturating at
// 64 bits.
func (t *Tensor) setFloat(i int, f float64) {
	switch {
	case t.F != nil:
		t.F[i] = roundTo(t.Elem, f)
	case t.Elem == enc.Bool:
		t.I[i] = boolInt(f != 0)
	case t.U == nil:
		t.I[i] = wrapI(t.Elem, clampI(enc.I64, math.Trunc(f)))
	case f < 0:
		t.U[i] = wrapU(t.Elem, uint64(clampI(enc.I64, math.Trunc(f))))
	default:
		t.U[i] = wrapU(t.Elem, clampU(enc.U64, math.Trunc(f)))
	}
}

// setCode stores an integral number as element i of an integer tensor and
// saturates: the end of every quantization.
func (t *Tensor) setCode(i int, f float64) {
	if t.U != nil {
		t.U[i] = clampU(t.Elem, f)
	} else {
		t.I[i] = clampI(t.Elem, f)
	}
}

func boolInt(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
