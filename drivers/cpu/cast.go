package cpu

import (
	"math"

	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/ops"
	"github.com/heddle-ml/heddle/ops/kern/half"
	"github.com/heddle-ml/heddle/ops/kern/vec"
)

func init() {
	register("Cast", lowering{elems: ops.All, lower: unpacked(castOp)})
	register("CastLike", lowering{elems: ops.All, lower: func(b *build, c *call) error {
		// The second operand only names the type, which the result has.
		return unpacked(castOp)(b, &call{Node: c.Node, in: c.in[:1], out: c.out})
	}})
}

// castOp is Cast. Towards a 4-bit type it stops at a byte's range; packing
// discards the rest of the bits.
func castOp(b *build, c *call) error {
	b.cast(c.out[0], c.in[0])
	return nil
}

// cast adds a step that converts elements; of equal types, it copies.
func (b *build) cast(out, in *tensor) {
	table := b.x.dev.table
	type pair struct{ to, from enc.Elem }
	switch (pair{out.elem, in.elem}) {
	case pair{enc.F32, enc.F16}:
		b.each(out.n, grain, func(lo, hi int) { table.F16ToF32(of[float32](out)[lo:hi], of[uint16](in)[lo:hi]) })
	case pair{enc.F32, enc.BF16}:
		b.each(out.n, grain, func(lo, hi int) { table.BF16ToF32(of[float32](out)[lo:hi], of[uint16](in)[lo:hi]) })
	case pair{enc.F16, enc.F32}:
		b.each(out.n, grain, func(lo, hi int) { table.F32ToF16(of[uint16](out)[lo:hi], of[float32](in)[lo:hi]) })
	case pair{enc.BF16, enc.F32}:
		b.each(out.n, grain, func(lo, hi int) { table.F32ToBF16(of[uint16](out)[lo:hi], of[float32](in)[lo:hi]) })
	default:
		if out.elem == in.elem {
			b.copy(out, in)
			return
		}
		b.each(out.n, grain/4, func(lo, hi int) { cast(out.bytes(), out.elem, in.bytes(), in.elem, lo, hi) })
	}
}

// cast converts elements lo to hi between any two types but the 4-bit ones.
// Floats are rounded to nearest even, once. Floats become integers by
// truncation; what does not fit discards bits, as integers do, after
// saturating at 64 bits; NaN gives 0.
func cast(dst []byte, to enc.Elem, src []byte, from enc.Elem, lo, hi int) {
	// Any pair of types goes through a small array of the widest type of the
	// source's kind, which loses nothing.
	var f [256]float64
	var n [256]int64
	for ; lo < hi; lo += len(f) {
		k := min(len(f), hi-lo)
		if from.IsFloat() {
			loadFloats(f[:k], src, from, lo)
			if to.IsFloat() {
				storeFloats(dst, to, lo, f[:k])
				continue
			}
			for i, x := range f[:k] {
				n[i] = truncate(x, to)
			}
			storeInts(dst, to, lo, n[:k])
			continue
		}
		loadInts(n[:k], src, from, lo)
		if !to.IsFloat() {
			storeInts(dst, to, lo, n[:k])
			continue
		}
		for i, x := range n[:k] {
			f[i] = float64(x)
			if from == enc.U64 {
				f[i] = float64(uint64(x))
			}
		}
		storeFloats(dst, to, lo, f[:k])
	}
}

// truncate converts a float to the bits of an integer, or 0 or 1 for a bool.
func truncate(x float64, to enc.Elem) int64 {
	switch {
	case to == enc.Bool:
		if x != 0 {
			return 1
		}
		return 0
	case x != x:
		return 0
	case x >= 1<<63:
		if to.IsSigned() {
			return math.MaxInt64
		}
		if x >= 1<<64 {
			return -1
		}
		return int64(uint64(x))
	case x < -1<<63:
		return math.MinInt64
	}
	return int64(x)
}

func loadFloats(f []float64, src []byte, e enc.Elem, at int) {
	switch e {
	case enc.F64:
		copy(f, as[float64](src)[at:])
	case enc.F32:
		vec.Convert(f, as[float32](src)[at:])
	case enc.F16:
		for i, h := range as[uint16](src)[at : at+len(f)] {
			f[i] = float64(half.FromF16(h))
		}
	case enc.BF16:
		for i, h := range as[uint16](src)[at : at+len(f)] {
			f[i] = float64(half.FromBF16(h))
		}
	}
}

func storeFloats(dst []byte, e enc.Elem, at int, f []float64) {
	switch e {
	case enc.F64:
		copy(as[float64](dst)[at:], f)
	case enc.F32:
		vec.Convert(as[float32](dst)[at:at+len(f)], f)
	case enc.F16:
		d := as[uint16](dst)[at : at+len(f)]
		for i, x := range f {
			d[i] = half.F16From64(x)
		}
	case enc.BF16:
		d := as[uint16](dst)[at : at+len(f)]
		for i, x := range f {
			d[i] = half.BF16From64(x)
		}
	}
}

func loadInts(n []int64, src []byte, e enc.Elem, at int) {
	switch e {
	case enc.I64, enc.U64:
		copy(n, as[int64](src)[at:])
	case enc.I32:
		wide(n, as[int32](src)[at:])
	case enc.I16:
		wide(n, as[int16](src)[at:])
	case enc.I8:
		wide(n, as[int8](src)[at:])
	case enc.U32:
		wide(n, as[uint32](src)[at:])
	case enc.U16:
		wide(n, as[uint16](src)[at:])
	case enc.U8:
		wide(n, src[at:])
	case enc.Bool: // any byte but 0 is true
		for i, x := range src[at : at+len(n)] {
			n[i] = 0
			if x != 0 {
				n[i] = 1
			}
		}
	}
}

func storeInts(dst []byte, e enc.Elem, at int, n []int64) {
	switch e {
	case enc.I64, enc.U64:
		copy(as[int64](dst)[at:], n)
	case enc.I32, enc.U32:
		narrow(as[uint32](dst)[at:], n)
	case enc.I16, enc.U16:
		narrow(as[uint16](dst)[at:], n)
	case enc.I8, enc.U8:
		narrow(dst[at:], n)
	case enc.Bool:
		d := dst[at : at+len(n)]
		for i, x := range n {
			d[i] = 0
			if x != 0 {
				d[i] = 1
			}
		}
	}
}

func wide[T int32 | int16 | int8 | uint32 | uint16 | uint8](n []int64, src []T) {
	for i := range n {
		n[i] = int64(src[i])
	}
}

func narrow[T uint32 | uint16 | uint8](dst []T, n []int64) {
	for i, x := range n {
		dst[i] = T(x)
	}
}
