//go:build !noasm

package kern

import (
	"math"

	"github.com/heddle-ml/heddle/ops/kern/feat"
	"github.com/heddle-ml/heddle/ops/kern/half"
)

// assembled lists the tables of the assembly tiers, slowest first.
var assembled = []*Table{{
	Tier:      feat.AVX2,
	Tile:      tileAVX2,
	Dot:       dotAVX2,
	Axpy:      axpyAVX2,
	Exp:       unaryAVX2(expAVX2),
	Sigmoid:   unaryAVX2(sigmoidAVX2),
	Tanh:      unaryAVX2(tanhAVX2),
	Erf:       unaryAVX2(erfAVX2),
	SiLU:      unaryAVX2(siluAVX2),
	GELU:      unaryAVX2(geluAVX2),
	GELUTanh:  unaryAVX2(geluTanhAVX2),
	ExpSum:    expSum,
	Max:       maxOf,
	Sum:       sum,
	SumSq:     sumSq,
	Scale:     scale,
	F16ToF32:  decodeAVX2(decodeF16AVX2, half.DecodeF16),
	F32ToF16:  encodeAVX2(encodeF16AVX2, half.EncodeF16),
	BF16ToF32: decodeAVX2(decodeBF16AVX2, half.DecodeBF16),
	F32ToBF16: encodeAVX2(encodeBF16AVX2, half.EncodeBF16),
}}

// chunk bounds one assembly call: assembly is never preempted. The slowest
// function takes about 20 µs for it.
const chunk = 8 << 10

//go:noescape
func tileAVX2(t *Tile)

//go:noescape
func dotAVX2(r *Rows)

//go:noescape
func axpyAVX2(r *Rows)

//go:noescape
func expAVX2(dst, src *float32, n int)

//go:noescape
func sigmoidAVX2(dst, src *float32, n int)

//go:noescape
func tanhAVX2(dst, src *float32, n int)

//go:noescape
func erfAVX2(dst, src *float32, n int)

//go:noescape
func siluAVX2(dst, src *float32, n int)

//go:noescape
func geluAVX2(dst, src *float32, n int)

//go:noescape
func geluTanhAVX2(dst, src *float32, n int)

//go:noescape
func expSumAVX2(dst, src *float32, n int, shift float32) float32

//go:noescape
func maxAVX2(x *float32, n int) float32

//go:noescape
func sumAVX2(x *float32, n int) float32

//go:noescape
func sumSqAVX2(x *float32, n int, mean float32) float32

//go:noescape
func scaleAVX2(p *scaleArgs)

//go:noescape
func decodeF16AVX2(dst *float32, src *uint16, n int)

//go:noescape
func encodeF16AVX2(dst *uint16, src *float32, n int)

//go:noescape
func decodeBF16AVX2(dst *float32, src *uint16, n int)

//go:noescape
func encodeBF16AVX2(dst *uint16, src *float32, n int)

type scaleArgs struct {
	dst, src, w, b *float32
	n              int
	shift, scale   float32
}

func unaryAVX2(f func(dst, src *float32, n int)) func(dst, src []float32) {
	return func(dst, src []float32) {
		src = src[:len(dst)]
		for len(dst) > 0 {
			n := min(len(dst), chunk)
			f(&dst[0], &src[0], n)
			dst, src = dst[n:], src[n:]
		}
	}
}

func expSum(dst, src []float32, shift float32) float32 {
	src = src[:len(dst)]
	var s float32
	for len(dst) > 0 {
		n := min(len(dst), chunk)
		s += expSumAVX2(&dst[0], &src[0], n, shift)
		dst, src = dst[n:], src[n:]
	}
	return s
}

func maxOf(x []float32) float32 {
	m := float32(math.Inf(-1))
	for len(x) > 0 {
		n := min(len(x), chunk)
		m = max(m, maxAVX2(&x[0], n))
		x = x[n:]
	}
	return m
}

func sum(x []float32) float32 {
	var s float32
	for len(x) > 0 {
		n := min(len(x), chunk)
		s += sumAVX2(&x[0], n)
		x = x[n:]
	}
	return s
}

func sumSq(x []float32, mean float32) float32 {
	var s float32
	for len(x) > 0 {
		n := min(len(x), chunk)
		s += sumSqAVX2(&x[0], n, mean)
		x = x[n:]
	}
	return s
}

func scale(dst, src []float32, shift, factor float32, w, b []float32) {
	src = src[:len(dst)]
	if w != nil {
		w = w[:len(dst)]
	}
	if b != nil {
		b = b[:len(dst)]
	}
	for at := 0; at < len(dst); at += chunk {
		p := scaleArgs{dst: &dst[at], src: &src[at], n: min(len(dst)-at, chunk), shift: shift, scale: factor}
		if w != nil {
			p.w = &w[at]
		}
		if b != nil {
			p.b = &b[at]
		}
		scaleAVX2(&p)
	}
}

// decodeAVX2 and encodeAVX2 leave the last elements to the portable function,
// whose results are the same bits.

func decodeAVX2(f func(dst *float32, src *uint16, n int), rest func([]float32, []uint16)) func([]float32, []uint16) {
	return func(dst []float32, src []uint16) {
		src = src[:len(dst)]
		for len(dst) >= 8 {
			n := min(len(dst), chunk) &^ 7
			f(&dst[0], &src[0], n)
			dst, src = dst[n:], src[n:]
		}
		rest(dst, src)
	}
}

func encodeAVX2(f func(dst *uint16, src *float32, n int), rest func([]uint16, []float32)) func([]uint16, []float32) {
	return func(dst []uint16, src []float32) {
		src = src[:len(dst)]
		for len(dst) >= 8 {
			n := min(len(dst), chunk) &^ 7
			f(&dst[0], &src[0], n)
			dst, src = dst[n:], src[n:]
		}
		rest(dst, src)
	}
}
