package kern

import (
	"math"

	"github.com/heddle-ml/heddle/ops/kern/feat"
	"github.com/heddle-ml/heddle/ops/kern/half"
)

var generic = &Table{
	Tier:      feat.Generic,
	Tile:      tileGeneric,
	Dot:       dotGeneric,
	Axpy:      axpyGeneric,
	Exp:       expGeneric,
	Sigmoid:   sigmoidGeneric,
	Tanh:      tanhGeneric,
	Erf:       erfGeneric,
	SiLU:      siluGeneric,
	GELU:      geluGeneric,
	GELUTanh:  geluTanhGeneric,
	ExpSum:    expSumGeneric,
	Max:       maxGeneric,
	Sum:       sumGeneric,
	SumSq:     sumSqGeneric,
	Scale:     scaleGeneric,
	F16ToF32:  half.DecodeF16,
	F32ToF16:  half.EncodeF16,
	BF16ToF32: half.DecodeBF16,
	F32ToBF16: half.EncodeBF16,
}

// The loops are written out, not built by a higher-order function: a call
// through a function value per element costs as much as the element.

func expGeneric(dst, src []float32) {
	src = src[:len(dst)]
	for i, x := range src {
		dst[i] = exp32(x)
	}
}

func sigmoidGeneric(dst, src []float32) {
	src = src[:len(dst)]
	for i, x := range src {
		dst[i] = sigmoid32(x)
	}
}

func tanhGeneric(dst, src []float32) {
	src = src[:len(dst)]
	for i, x := range src {
		dst[i] = tanh32(x)
	}
}

func erfGeneric(dst, src []float32) {
	src = src[:len(dst)]
	for i, x := range src {
		dst[i] = erf32(x)
	}
}

func siluGeneric(dst, src []float32) {
	src = src[:len(dst)]
	for i, x := range src {
		dst[i] = silu32(x)
	}
}

func geluGeneric(dst, src []float32) {
	src = src[:len(dst)]
	for i, x := range src {
		dst[i] = gelu32(x)
	}
}

func geluTanhGeneric(dst, src []float32) {
	src = src[:len(dst)]
	for i, x := range src {
		dst[i] = geluTanh32(x)
	}
}

func expSumGeneric(dst, src []float32, shift float32) float32 {
	src = src[:len(dst)]
	var s [4]float32
	for i, x := range src {
		y := exp32(x - shift)
		dst[i] = y
		s[i&3] += y
	}
	return (s[0] + s[1]) + (s[2] + s[3])
}

func maxGeneric(x []float32) float32 {
	m := float32(math.Inf(-1))
	for _, v := range x {
		m = max(m, v)
	}
	return m
}

func sumGeneric(x []float32) float32 {
	var s0, s1, s2, s3 float32
	for ; len(x) >= 4; x = x[4:] {
		s0 += x[0]
		s1 += x[1]
		s2 += x[2]
		s3 += x[3]
	}
	for _, v := range x {
		s0 += v
	}
	return (s0 + s1) + (s2 + s3)
}

func sumSqGeneric(x []float32, mean float32) float32 {
	var s0, s1, s2, s3 float32
	for ; len(x) >= 4; x = x[4:] {
		a, b, c, d := x[0]-mean, x[1]-mean, x[2]-mean, x[3]-mean
		s0 += a * a
		s1 += b * b
		s2 += c * c
		s3 += d * d
	}
	for _, v := range x {
		s0 += (v - mean) * (v - mean)
	}
	return (s0 + s1) + (s2 + s3)
}

func scaleGeneric(dst, src []float32, shift, scale float32, w, b []float32) {
	src = src[:len(dst)]
	switch {
	case w == nil && b == nil:
		for i, x := range src {
			dst[i] = (x - shift) * scale
		}
	case b == nil:
		w = w[:len(dst)]
		for i, x := range src {
			dst[i] = (x - shift) * scale * w[i]
		}
	case w == nil:
		b = b[:len(dst)]
		for i, x := range src {
			dst[i] = (x-shift)*scale + b[i]
		}
	default:
		w, b = w[:len(dst)], b[:len(dst)]
		for i, x := range src {
			dst[i] = (x-shift)*scale*w[i] + b[i]
		}
	}
}
