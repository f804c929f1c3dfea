package oracle

import (
	"fmt"
	"math"

	"github.com/heddle-ml/heddle/graph/enc"
)

// unaryOps compute each element from one element.
var unaryOps = map[string]evaluator{
	"Abs":  absNeg(math.Abs, func(n int64) int64 { return max(n, -n) }),
	"Neg":  absNeg(func(f float64) float64 { return -f }, func(n int64) int64 { return -n }),
	"Sign": absNeg(signOf, func(n int64) int64 { return int64(sign(n, 0)) }),
	"Relu": absNeg(func(f float64) float64 { return max(f, 0) }, func(n int64) int64 { return max(n, 0) }),

	"Ceil":       real1(math.Ceil),
	"Floor":      real1(math.Floor),
	"Round":      real1(math.RoundToEven),
	"Reciprocal": real1(func(f float64) float64 { return 1 / f }),
	"Sqrt":       real1(math.Sqrt),
	"Exp":        real1(math.Exp),
	"Log":        real1(math.Log),
	"Erf":        real1(math.Erf),
	"Sin":        real1(math.Sin),
	"Cos":        real1(math.Cos),
	"Tan":        real1(math.Tan),
	"Asin":       real1(math.Asin),
	"Acos":       real1(math.Acos),
	"Atan":       real1(math.Atan),
	"Sinh":       real1(math.Sinh),
	"Cosh":       real1(math.Cosh),
	"Tanh":       real1(math.Tanh),
	"Asinh":      real1(math.Asinh),
	"Acosh":      real1(math.Acosh),
	"Atanh":      real1(math.Atanh),
	"Sigmoid":    real1(sigmoid),
	"Softplus":   real1(softplus),
	"Softsign":   real1(func(f float64) float64 { return f / (1 + math.Abs(f)) }),
	"Mish":       real1(func(f float64) float64 { return f * math.Tanh(softplus(f)) }),
	"HardSwish":  real1(func(f float64) float64 { return f * clamp01(f/6+0.5) }),

	"Gelu": func(x *node) ([]*Tensor, error) {
		switch a := x.Attrs.Str("approximate", "none"); a {
		case "none":
			return x.real(gelu)
		case "tanh":
			return x.real(geluTanh)
		default:
			return nil, fmt.Errorf("approximate is %q; want none or tanh", a)
		}
	},
	"Swish": func(x *node) ([]*Tensor, error) {
		alpha := x.float("alpha", 1)
		return x.real(func(f float64) float64 { return f * sigmoid(alpha*f) })
	},
	"HardSigmoid": func(x *node) ([]*Tensor, error) {
		alpha, beta := x.float("alpha", 0.2), x.float("beta", 0.5)
		return x.real(func(f float64) float64 { return clamp01(alpha*f + beta) })
	},
	"LeakyRelu": func(x *node) ([]*Tensor, error) {
		alpha := x.float("alpha", 0.01)
		return x.real(func(f float64) float64 {
			if f < 0 {
				return alpha * f
			}
			return f
		})
	},
	"Elu": func(x *node) ([]*Tensor, error) {
		alpha := x.float("alpha", 1)
		return x.real(func(f float64) float64 { return elu(f, alpha) })
	},
	"Celu": func(x *node) ([]*Tensor, error) {
		alpha := x.float("alpha", 1)
		return x.real(func(f float64) float64 { return elu(f/alpha, 1) * alpha })
	},
	"Selu": func(x *node) ([]*Tensor, error) {
		alpha, gamma := x.float("alpha", 1.67326319217681884765625), x.float("gamma", 1.05070102214813232421875)
		return x.real(func(f float64) float64 { return gamma * elu(f, alpha) })
	},
	"ThresholdedRelu": func(x *node) ([]*Tensor, error) {
		alpha := x.float("alpha", 1)
		return x.real(func(f float64) float64 {
			if f > alpha {
				return f
			}
			return 0
		})
	},

	"Shrink": func(x *node) ([]*Tensor, error) {
		bias, lambd := x.float("bias", 0), x.float("lambd", 0.5)
		t := x.arg(0)
		out, err := x.make(t.Elem, t.Shape)
		if err != nil {
			return nil, err
		}
		for i := range t.Len() {
			switch f := t.float(i); {
			case f < -lambd:
				out.setFloat(i, f+bias)
			case f > lambd:
				out.setFloat(i, f-bias)
			}
		}
		return one(out, x.step(t.Len()))
	},

	"IsNaN": func(x *node) ([]*Tensor, error) { return x.test(math.IsNaN) },
	"IsInf": func(x *node) ([]*Tensor, error) {
		neg, pos := x.flag("detect_negative", 1), x.flag("detect_positive", 1)
		return x.test(func(f float64) bool { return pos && math.IsInf(f, 1) || neg && math.IsInf(f, -1) })
	},
}

func real1(f func(float64) float64) evaluator {
	return func(x *node) ([]*Tensor, error) { return x.real(f) }
}

// real applies f to each element of a floating-point input.
func (x *node) real(f func(float64) float64) ([]*Tensor, error) {
	t := x.arg(0)
	if !t.Elem.IsFloat() {
		return nil, fmt.Errorf("input is %s; want a floating-point type", t.Elem)
	}
	out, err := x.make(t.Elem, t.Shape)
	if err != nil {
		return nil, err
	}
	for i, v := range t.F {
		out.F[i] = f(v)
	}
	return one(out, x.step(len(t.F)))
}

// test applies a predicate to each element of a floating-point input.
func (x *node) test(f func(float64) bool) ([]*Tensor, error) {
	t := x.arg(0)
	out, err := x.make(enc.Bool, t.Shape)
	if err != nil {
		return nil, err
	}
	for i, v := range t.F {
		out.I[i] = boolInt(f(v))
	}
	return one(out, x.step(len(t.F)))
}

// absNeg applies f or g to each element, by its type; unsigned numbers are
// their own absolute value. The negative of the least integer wraps around.
func absNeg(f func(float64) float64, g func(int64) int64) evaluator {
	return func(x *node) ([]*Tensor, error) {
		t := x.arg(0)
		if t.Elem.IsFloat() {
			return x.real(f)
		}
		out, err := x.make(t.Elem, t.Shape)
		if err != nil {
			return nil, err
		}
		copy(out.U, t.U)
		if t.U != nil && x.Op.Name == "Sign" {
			for i, u := range t.U {
				out.U[i] = min(u, 1)
			}
		}
		for i, n := range t.I {
			out.I[i] = wrapI(t.Elem, g(n))
		}
		return one(out, nil)
	}
}

// signOf is -1, 0 or 1; NaN stays.
func signOf(f float64) float64 {
	if f != f {
		return f
	}
	return float64(sign(f, 0))
}

// sigmoid is 1/(1+exp(-f)), without overflow.
func sigmoid(f float64) float64 {
	if f < 0 {
		e := math.Exp(f)
		return e / (1 + e)
	}
	return 1 / (1 + math.Exp(-f))
}

// softplus is log(1+exp(f)), without overflow.
func softplus(f float64) float64 { return max(f, 0) + math.Log1p(math.Exp(-math.Abs(f))) }

// gelu is f/2*(1+erf(f/sqrt 2)). The complement keeps the digits that the sum
// loses for negative f.
func gelu(f float64) float64 { return f / 2 * math.Erfc(-f/math.Sqrt2) }

// geluTanh is f/2*(1+tanh u), u = sqrt(2/pi)*(f+0.044715*f^3), written with
// 1+tanh u = 2*sigmoid(2u).
func geluTanh(f float64) float64 {
	return f * sigmoid(2*math.Sqrt(2/math.Pi)*(f+0.044715*f*f*f))
}

func elu(f, alpha float64) float64 {
	if f < 0 {
		return alpha * math.Expm1(f)
	}
	return f
}

// clamp01 is max(0, min(1, f)); NaN stays.
func clamp01(f float64) float64 { return max(0, min(1, f)) }
