package cpu

import (
	"math"

	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/ops"
	"github.com/heddle-ml/heddle/ops/kern"
	"github.com/heddle-ml/heddle/ops/kern/vec"
)

// fast picks a float32 kernel of the tier.
type fast func(t *kern.Table) func(dst, src []float32)

func init() {
	// Functions that the tiers have kernels for.
	for name, f := range map[string]struct {
		fast  fast
		exact func(float64) float64
	}{
		"Exp":     {func(t *kern.Table) func(dst, src []float32) { return t.Exp }, math.Exp},
		"Sigmoid": {func(t *kern.Table) func(dst, src []float32) { return t.Sigmoid }, vec.Sigmoid},
		"Tanh":    {func(t *kern.Table) func(dst, src []float32) { return t.Tanh }, math.Tanh},
		"Erf":     {func(t *kern.Table) func(dst, src []float32) { return t.Erf }, math.Erf},
		"Sqrt":    {func(*kern.Table) func(dst, src []float32) { return vec.Sqrt[float32] }, math.Sqrt},
	} {
		register(name, lowering{elems: ops.Floats, lower: widened(func(b *build, c *call) error {
			b.unary(c.out[0], c.in[0], f.fast, f.exact)
			return nil
		})})
	}
	register("Gelu", lowering{elems: ops.Floats, lower: widened(func(b *build, c *call) error {
		if c.Attrs.Str("approximate", "none") == "tanh" {
			b.unary(c.out[0], c.in[0], func(t *kern.Table) func(dst, src []float32) { return t.GELUTanh }, vec.GELUTanh)
		} else {
			b.unary(c.out[0], c.in[0], func(t *kern.Table) func(dst, src []float32) { return t.GELU }, vec.GELU)
		}
		return nil
	})})
	register("Swish", lowering{elems: ops.Floats, lower: widened(func(b *build, c *call) error {
		b.swish(c.out[0], c.in[0], c.Attrs.Float("alpha", 1))
		return nil
	})})
	register("SwiGLU", lowering{elems: ops.Floats, lower: widened(func(b *build, c *call) error {
		// The gate, which has the result's shape, then the product.
		a, x, out := c.in[0], c.in[1], c.out[0]
		b.swish(out, a, c.Attrs.Float("alpha", 1))
		f := multiplication[out.elem]
		b.broadcast2(out, out, x, f(out, out, x))
		return nil
	})})

	// Functions that go through float64, element by element.
	for name, f := range map[string]func(float64) float64{
		"Ceil": math.Ceil, "Floor": math.Floor, "Round": math.RoundToEven, "Reciprocal": func(x float64) float64 { return 1 / x },
		"Log": math.Log, "Sin": math.Sin, "Cos": math.Cos, "Tan": math.Tan, "Asin": math.Asin, "Acos": math.Acos, "Atan": math.Atan,
		"Sinh": math.Sinh, "Cosh": math.Cosh, "Asinh": math.Asinh, "Acosh": math.Acosh, "Atanh": math.Atanh,
		"Softplus": vec.Softplus, "HardSwish": vec.HardSwish,
		"Softsign": func(x float64) float64 { return x / (1 + math.Abs(x)) },
		"Mish":     func(x float64) float64 { return x * math.Tanh(vec.Softplus(x)) },
	} {
		mapped(name, func(*call) func(float64) float64 { return f })
	}
	mapped("HardSigmoid", func(c *call) func(float64) float64 {
		return vec.HardSigmoid(float64(c.Attrs.Float("alpha", 0.2)), float64(c.Attrs.Float("beta", 0.5)))
	})
	mapped("LeakyRelu", func(c *call) func(float64) float64 {
		alpha := float64(c.Attrs.Float("alpha", 0.01))
		return func(x float64) float64 {
			if x < 0 {
				return alpha * x
			}
			return x
		}
	})
	mapped("ThresholdedRelu", func(c *call) func(float64) float64 {
		alpha := float64(c.Attrs.Float("alpha", 1))
		return func(x float64) float64 {
			if x > alpha {
				return x
			}
			return 0
		}
	})
	mapped("Elu", func(c *call) func(float64) float64 {
		alpha := float64(c.Attrs.Float("alpha", 1))
		return func(x float64) float64 { return elu(x, alpha) }
	})
	mapped("Celu", func(c *call) func(float64) float64 {
		alpha := float64(c.Attrs.Float("alpha", 1))
		return func(x float64) float64 { return alpha * elu(x/alpha, 1) }
	})
	mapped("Selu", func(c *call) func(float64) float64 {
		alpha, gamma := float64(c.Attrs.Float("alpha", 1.6732632)), float64(c.Attrs.Float("gamma", 1.050701))
		return func(x float64) float64 { return gamma * elu(x, alpha) }
	})

	// Functions of numbers of any type.
	signed := unaryTable{enc.F32: unaryOf(vec.Neg[float32]), enc.F64: unaryOf(vec.Neg[float64]),
		enc.I64: unaryOf(vec.Neg[int64]), enc.I32: unaryOf(vec.Neg[int32]), enc.I16: unaryOf(vec.Neg[int16]), enc.I8: unaryOf(vec.Neg[int8])}
	elementwise("Neg", signed)
	elementwise("Abs", unaryTable{enc.F32: unaryOf(vec.Abs[float32]), enc.F64: unaryOf(vec.Abs[float64]),
		enc.I64: unaryOf(vec.Abs[int64]), enc.I32: unaryOf(vec.Abs[int32]), enc.I16: unaryOf(vec.Abs[int16]), enc.I8: unaryOf(vec.Abs[int8]),
		enc.U64: unaryOf(vec.Abs[uint64]), enc.U32: unaryOf(vec.Abs[uint32]), enc.U16: unaryOf(vec.Abs[uint16]), enc.U8: unaryOf(vec.Abs[uint8])})
	elementwise("Sign", unaryTable{enc.F32: unaryOf(vec.Sign[float32]), enc.F64: unaryOf(vec.Sign[float64]),
		enc.I64: unaryOf(vec.Sign[int64]), enc.I32: unaryOf(vec.Sign[int32]), enc.I16: unaryOf(vec.Sign[int16]), enc.I8: unaryOf(vec.Sign[int8]),
		enc.U64: unaryOf(vec.Sign[uint64]), enc.U32: unaryOf(vec.Sign[uint32]), enc.U16: unaryOf(vec.Sign[uint16]), enc.U8: unaryOf(vec.Sign[uint8])})
	elementwise("Relu", unaryTable{enc.F32: unaryOf(vec.Relu[float32]), enc.F64: unaryOf(vec.Relu[float64]),
		enc.I64: unaryOf(vec.Relu[int64]), enc.I32: unaryOf(vec.Relu[int32]), enc.I16: unaryOf(vec.Relu[int16]), enc.I8: unaryOf(vec.Relu[int8])})
	elementwise("Not", unaryTable{enc.Bool: unaryOf(vec.Not)})
	elementwise("IsNaN", unaryTable{enc.F32: unaryOf(vec.IsNaN[float32]), enc.F64: unaryOf(vec.IsNaN[float64])})
	register("IsInf", lowering{elems: ops.Floats, lower: widened(func(b *build, c *call) error {
		in, out := c.in[0], c.out[0]
		pos, neg := c.Attrs.Int("detect_positive", 1) != 0, c.Attrs.Int("detect_negative", 1) != 0
		b.each(out.n, grain, func(lo, hi int) {
			if in.elem == enc.F64 {
				vec.IsInf(of[bool](out)[lo:hi], of[float64](in)[lo:hi], pos, neg)
			} else {
				vec.IsInf(of[bool](out)[lo:hi], of[float32](in)[lo:hi], pos, neg)
			}
		})
		return nil
	})})
}

func elu(x, alpha float64) float64 {
	if x < 0 {
		return alpha * math.Expm1(x)
	}
	return x
}

// unary adds a step that applies a float32 kernel, or a float64 function to
// f64.
func (b *build) unary(out, in *tensor, f fast, exact func(float64) float64) {
	if in.elem == enc.F64 {
		b.each(out.n, grain/16, func(lo, hi int) { vec.Map(of[float64](out)[lo:hi], of[float64](in)[lo:hi], exact) })
		return
	}
	g := f(b.x.dev.table)
	b.each(out.n, grain/4, func(lo, hi int) { g(of[float32](out)[lo:hi], of[float32](in)[lo:hi]) })
}

// swish adds a step that computes in*Sigmoid(alpha*in).
func (b *build) swish(out, in *tensor, alpha float32) {
	f := func(t *kern.Table) func(dst, src []float32) { return t.SiLU }
	if alpha != 1 {
		f = func(*kern.Table) func(dst, src []float32) {
			return func(dst, src []float32) { vec.Swish(dst, src, alpha) }
		}
	}
	b.unary(out, in, f, func(x float64) float64 { return x * vec.Sigmoid(float64(alpha)*x) })
}

// mapped registers a function of floats that its attributes make.
func mapped(name string, f func(c *call) func(float64) float64) {
	register(name, lowering{elems: ops.Floats, lower: widened(func(b *build, c *call) error {
		g := f(c)
		b.unary(c.out[0], c.in[0], func(*kern.Table) func(dst, src []float32) {
			return func(dst, src []float32) { vec.Map(dst, src, g) }
		}, g)
		return nil
	})})
}

// unaryTable holds a function for each element type of the operand.
type unaryTable map[enc.Elem]func(out, in *tensor) func(lo, hi int)

// unaryOf adapts a slice function.
func unaryOf[D, S any](f func(dst []D, src []S)) func(out, in *tensor) func(lo, hi int) {
	return func(out, in *tensor) func(lo, hi int) {
		return func(lo, hi int) { f(of[D](out)[lo:hi], of[S](in)[lo:hi]) }
	}
}

func elementwise(name string, table unaryTable) {
	var set ops.TypeSet
	for e := range table {
		set |= ops.Types(e)
	}
	if set.Has(enc.F32) {
		set |= halves
	}
	register(name, lowering{elems: set, lower: widened(func(b *build, c *call) error {
		b.each(c.out[0].n, grain, table[c.in[0].elem](c.out[0], c.in[0]))
		return nil
	})})
}
