package vec

import "math"

// Map computes dst = f(src) through float64: Map(dst, src, math.Sin), or with
// one of the functions below.
func Map[T Float](dst, src []T, f func(float64) float64) {
	src = src[:len(dst)]
	for i, x := range src {
		dst[i] = T(f(float64(x)))
	}
}

// Sigmoid is 1/(1+e^-x).
func Sigmoid(x float64) float64 {
	e := math.Exp(-math.Abs(x))
	if x >= 0 {
		return 1 / (1 + e)
	}
	return e / (1 + e)
}

// Softplus is ln(1+e^x), without overflow.
func Softplus(x float64) float64 { return max(x, 0) + math.Log1p(math.Exp(-math.Abs(x))) }

// SiLU is x*Sigmoid(x), ONNX's Swish with alpha 1.
func SiLU(x float64) float64 { return x * Sigmoid(x) }

// GELU is x*Phi(x), Phi being the normal distribution function.
func GELU(x float64) float64 { return x / 2 * math.Erfc(-x/math.Sqrt2) }

// GELUTanh is GELU's tanh approximation.
func GELUTanh(x float64) float64 {
	return x * Sigmoid(2*math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x))
}

// HardSigmoid returns the function max(0, min(1, alpha*x+beta)).
func HardSigmoid(alpha, beta float64) func(float64) float64 {
	return func(x float64) float64 { return max(0, min(1, alpha*x+beta)) }
}

// HardSwish is x*HardSigmoid(1/6, 1/2)(x).
func HardSwish(x float64) float64 { return x * max(0, min(1, x/6+0.5)) }

// Swish computes dst = src*Sigmoid(alpha*src).
func Swish[T Float](dst, src []T, alpha T) {
	src = src[:len(dst)]
	for i, x := range src {
		dst[i] = T(float64(x) * Sigmoid(float64(alpha)*float64(x)))
	}
}
