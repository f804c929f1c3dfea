package cpu

import (
	"math"

	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/ops"
	"github.com/heddle-ml/heddle/ops/kern"
	"github.com/heddle-ml/heddle/ops/kern/vec"
)

func init() {
	arithmetic := func(name string, f binaryTable) {
		register(name, lowering{lower: broadcasting(f), elems: f.types() | halves})
	}
	arithmetic("Add", numbers(vec.Add[float32], vec.Add[float64], vec.Add[int64], vec.Add[int32], vec.Add[int16], vec.Add[int8], vec.Add[uint64], vec.Add[uint32], vec.Add[uint16], vec.Add[uint8]))
	arithmetic("Sub", numbers(vec.Sub[float32], vec.Sub[float64], vec.Sub[int64], vec.Sub[int32], vec.Sub[int16], vec.Sub[int8], vec.Sub[uint64], vec.Sub[uint32], vec.Sub[uint16], vec.Sub[uint8]))
	arithmetic("Mul", numbers(vec.Mul[float32], vec.Mul[float64], vec.Mul[int64], vec.Mul[int32], vec.Mul[int16], vec.Mul[int8], vec.Mul[uint64], vec.Mul[uint32], vec.Mul[uint16], vec.Mul[uint8]))
	arithmetic("Div", numbers(vec.Div[float32], vec.Div[float64], vec.DivInt[int64], vec.DivInt[int32], vec.DivInt[int16], vec.DivInt[int8], vec.DivInt[uint64], vec.DivInt[uint32], vec.DivInt[uint16], vec.DivInt[uint8]))

	for name, f := range map[string]func(t *kern.Table) func(dst, src []float32){
		"Exp":     func(t *kern.Table) func(dst, src []float32) { return t.Exp },
		"Sigmoid": func(t *kern.Table) func(dst, src []float32) { return t.Sigmoid },
		"Tanh":    func(t *kern.Table) func(dst, src []float32) { return t.Tanh },
		"Erf":     func(t *kern.Table) func(dst, src []float32) { return t.Erf },
		"Sqrt":    func(*kern.Table) func(dst, src []float32) { return vec.Sqrt[float32] },
		"Neg":     func(*kern.Table) func(dst, src []float32) { return vec.Neg[float32] },
		"Relu":    func(*kern.Table) func(dst, src []float32) { return vec.Relu[float32] },
	} {
		register(name, lowering{elems: ops.Floats, lower: widened(unary(f, doubles[name]))})
	}
	register("Gelu", lowering{elems: ops.Floats, lower: widened(func(b *build, c *call) error {
		if c.Attrs.Str("approximate", "none") == "tanh" {
			return unary(func(t *kern.Table) func(dst, src []float32) { return t.GELUTanh }, vec.GELUTanh)(b, c)
		}
		return unary(func(t *kern.Table) func(dst, src []float32) { return t.GELU }, vec.GELU)(b, c)
	})})
	register("Swish", lowering{elems: ops.Floats, lower: widened(func(b *build, c *call) error {
		alpha := c.Attrs.Float("alpha", 1)
		f := func(t *kern.Table) func(dst, src []float32) { return t.SiLU }
		if alpha != 1 {
			f = func(*kern.Table) func(dst, src []float32) {
				return func(dst, src []float32) { vec.Swish(dst, src, alpha) }
			}
		}
		return unary(f, func(x float64) float64 { return x * vec.Sigmoid(float64(alpha)*x) })(b, c)
	})})
}

const halves = ops.TypeSet(1<<enc.F16 | 1<<enc.BF16)

// doubles are the functions for f64.
var doubles = map[string]func(float64) float64{
	"Exp": math.Exp, "Sigmoid": vec.Sigmoid, "Tanh": math.Tanh, "Erf": math.Erf, "Sqrt": math.Sqrt,
	"Neg": func(x float64) float64 { return -x }, "Relu": func(x float64) float64 { return max(x, 0) },
}

// grain is how many elements of cheap work are worth handing to a worker.
const grain = 16 << 10

// each adds a step that runs f over pieces of [0,n) on the workers.
func (b *build) each(n, grain int, f func(lo, hi int)) {
	t := &pieces{f: f}
	p := b.x.dev.pool
	b.step(func() error { return p.For(n, max(1, grain), t) })
}

type pieces struct{ f func(lo, hi int) }

func (p *pieces) Run(_, lo, hi int) { p.f(lo, hi) }

// unary applies a float32 function, or a float64 one to f64.
func unary(f func(t *kern.Table) func(dst, src []float32), f64 func(float64) float64) func(b *build, c *call) error {
	return func(b *build, c *call) error {
		in, out := c.in[0], c.out[0]
		if in.elem == enc.F64 {
			b.each(out.n, grain/16, func(lo, hi int) { vec.Map(of[float64](out)[lo:hi], of[float64](in)[lo:hi], f64) })
			return nil
		}
		g := f(b.x.dev.table)
		b.each(out.n, grain/4, func(lo, hi int) { g(of[float32](out)[lo:hi], of[float32](in)[lo:hi]) })
		return nil
	}
}

// widened lets a lowering for f32 (and f64) serve f16 and bf16: inputs are
// widened, and outputs rounded once at the end. Other inputs pass as they are.
func widened(low func(b *build, c *call) error) func(b *build, c *call) error {
	return func(b *build, c *call) error {
		half := func(t *tensor) bool { return t != nil && (t.elem == enc.F16 || t.elem == enc.BF16) }
		d := *c
		d.in = append([]*tensor(nil), c.in...)
		d.out = append([]*tensor(nil), c.out...)
		any := false
		for i, t := range c.in {
			if half(t) {
				any = true
				d.in[i] = b.widen(t)
			}
		}
		for i, t := range c.out {
			if half(t) {
				any = true
				d.out[i] = b.temp(enc.F32, t.shape...)
			}
		}
		if !any {
			return low(b, c)
		}
		if err := low(b, &d); err != nil {
			return err
		}
		for i, t := range c.out {
			if half(t) {
				b.narrow(t, d.out[i])
			}
		}
		return nil
	}
}

// widen adds a step that converts an f16 or bf16 tensor to float32.
func (b *build) widen(t *tensor) *tensor {
	w := b.temp(enc.F32, t.shape...)
	f := b.x.dev.table.F16ToF32
	if t.elem == enc.BF16 {
		f = b.x.dev.table.BF16ToF32
	}
	b.each(t.n, grain, func(lo, hi int) { f(of[float32](w)[lo:hi], of[uint16](t)[lo:hi]) })
	return w
}

// narrow adds a step that rounds float32 to an f16 or bf16 tensor.
func (b *build) narrow(t, w *tensor) {
	f := b.x.dev.table.F32ToF16
	if t.elem == enc.BF16 {
		f = b.x.dev.table.F32ToBF16
	}
	b.each(t.n, grain, func(lo, hi int) { f(of[uint16](t)[lo:hi], of[float32](w)[lo:hi]) })
}

// binaryTable holds a function for each element type, over rows: operands
// are as long as dst, or one element.
type binaryTable map[enc.Elem]func(dst, a, b *tensor) rowFunc

// rowFunc computes n elements at three element offsets; sa and sb are 0 for
// an operand that stays, 1 for one that moves along.
type rowFunc func(d, a, sa, b, sb, n int)

func (t binaryTable) types() ops.TypeSet {
	var s ops.TypeSet
	for e := range t {
		s |= ops.Types(e)
	}
	return s
}

// rowsOf adapts a slice function.
func rowsOf[D, A, B any](f func(dst []D, a []A, b []B)) func(dst, a, b *tensor) rowFunc {
	return func(dst, a, b *tensor) rowFunc {
		return func(d, i, si, j, sj, n int) {
			f(of[D](dst)[d:d+n], of[A](a)[i:i+1+si*(n-1)], of[B](b)[j:j+1+sj*(n-1)])
		}
	}
}

func numbers(f32 func(dst, a, b []float32), f64 func(dst, a, b []float64), i64 func(dst, a, b []int64), i32 func(dst, a, b []int32), i16 func(dst, a, b []int16), i8 func(dst, a, b []int8),
	u64 func(dst, a, b []uint64), u32 func(dst, a, b []uint32), u16 func(dst, a, b []uint16), u8 func(dst, a, b []uint8)) binaryTable {
	return binaryTable{enc.F32: rowsOf(f32), enc.F64: rowsOf(f64), enc.I64: rowsOf(i64), enc.I32: rowsOf(i32), enc.I16: rowsOf(i16), enc.I8: rowsOf(i8),
		enc.U64: rowsOf(u64), enc.U32: rowsOf(u32), enc.U16: rowsOf(u16), enc.U8: rowsOf(u8)}
}

// broadcasting applies a function of two operands with ONNX's multidirectional
// broadcasting.
func broadcasting(table binaryTable) func(b *build, c *call) error {
	return widened(func(b *build, c *call) error {
		f := table[c.in[0].elem]
		b.broadcast2(c.out[0], c.in[0], c.in[1], f(c.out[0], c.in[0], c.in[1]))
		return nil
	})
}

// broadcast2 adds a step that calls f for runs of elements of out, with the
// operands broadcast to it.
func (b *build) broadcast2(out, x, y *tensor, f rowFunc) {
	if out.n == 0 {
		return
	}
	shape, sx, sy := broadcastStrides(out.shape, x.shape, y.shape)
	inner := shape[len(shape)-1]
	ix, iy := sx[len(sx)-1], sy[len(sy)-1]
	outer := out.n / inner
	if outer == 1 {
		b.each(inner, grain, func(lo, hi int) { f(lo, lo*ix, ix, lo*iy, iy, hi-lo) })
		return
	}
	b.each(outer, grain/inner, func(lo, hi int) {
		for r := lo; r < hi; r++ {
			i, j, rest := 0, 0, r
			for a := len(shape) - 2; a >= 0; a-- {
				k := rest % shape[a]
				rest /= shape[a]
				i += k * sx[a]
				j += k * sy[a]
			}
			f(r*inner, i, ix, j, iy, inner)
		}
	})
}

// broadcastStrides returns out's dimensions, with neighbours merged where
// both operands allow it, and the operands' strides over them: 0 where an
// operand is repeated. The last stride is 0 or 1. There is at least one dimension.
func broadcastStrides(out, x, y []int) (shape, sx, sy []int) {
	strides := func(s []int) []int {
		st := make([]int, len(out))
		step := 1
		for i := len(out) - 1; i >= 0; i-- {
			if k := i - (len(out) - len(s)); k >= 0 && s[k] != 1 {
				st[i] = step
				step *= s[k]
			}
		}
		return st
	}
	fx, fy := strides(x), strides(y)
	for i, d := range out {
		if d == 1 {
			continue
		}
		if n := len(shape); n > 0 && sx[n-1] == d*fx[i] && sy[n-1] == d*fy[i] {
			shape[n-1] *= d
			sx[n-1], sy[n-1] = fx[i], fy[i]
			continue
		}
		shape, sx, sy = append(shape, d), append(sx, fx[i]), append(sy, fy[i])
	}
	if len(shape) == 0 {
		return []int{1}, []int{1}, []int{1}
	}
	return shape, sx, sy
}
