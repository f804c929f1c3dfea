package cpu

import (
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/ops"
	"github.com/heddle-ml/heddle/ops/kern/vec"
)

func init() {
	arithmetic("Add", addition)
	arithmetic("Sub", numbers(vec.Sub[float32], vec.Sub[float64], vec.Sub[int64], vec.Sub[int32], vec.Sub[int16], vec.Sub[int8], vec.Sub[uint64], vec.Sub[uint32], vec.Sub[uint16], vec.Sub[uint8]))
	arithmetic("Mul", multiplication)
	arithmetic("Div", numbers(vec.Div[float32], vec.Div[float64],
		vec.DivInt[int64], vec.DivInt[int32], vec.DivInt[int16], vec.DivInt[int8],
		vec.DivInt[uint64], vec.DivInt[uint32], vec.DivInt[uint16], vec.DivInt[uint8]))
	arithmetic("PRelu", numbers(prelu[float32], prelu[float64], prelu[int64], prelu[int32], prelu[int16], prelu[int8], prelu[uint64], prelu[uint32], prelu[uint16], prelu[uint8]))

	variadic("Sum", addition)
	variadic("Max", numbers(vec.Max[float32], vec.Max[float64], vec.Max[int64], vec.Max[int32], vec.Max[int16], vec.Max[int8], vec.Max[uint64], vec.Max[uint32], vec.Max[uint16], vec.Max[uint8]))
	variadic("Min", numbers(vec.Min[float32], vec.Min[float64], vec.Min[int64], vec.Min[int32], vec.Min[int16], vec.Min[int8], vec.Min[uint64], vec.Min[uint32], vec.Min[uint16], vec.Min[uint8]))
	register("Mean", lowering{elems: ops.Floats, lower: widened(func(b *build, c *call) error {
		b.folded(c, addition)
		out, n := c.out[0], len(c.in)
		b.each(out.n, grain, func(lo, hi int) {
			if out.elem == enc.F64 {
				vec.MulScalar(of[float64](out)[lo:hi], of[float64](out)[lo:hi], 1/float64(n))
			} else {
				vec.Div(of[float32](out)[lo:hi], of[float32](out)[lo:hi], []float32{float32(n)})
			}
		})
		return nil
	})})

	mod := func(fmod bool) binaryTable {
		return numbers(modFloat[float32](fmod), modFloat[float64](fmod), modInt[int64](fmod), modInt[int32](fmod), modInt[int16](fmod), modInt[int8](fmod), modInt[uint64](fmod), modInt[uint32](fmod), modInt[uint16](fmod), modInt[uint8](fmod))
	}
	floor, c := mod(false), mod(true)
	register("Mod", lowering{elems: ops.Numbers, lower: func(b *build, n *call) error {
		if n.Attrs.Int("fmod", 0) != 0 {
			return broadcasting(c)(b, n)
		}
		return broadcasting(floor)(b, n)
	}})
	register("Pow", lowering{elems: ops.Floats | ops.Indices, lower: pow})
	register("Clip", lowering{elems: ops.Numbers, lower: widened(clip)})

	for name, t := range map[string]binaryTable{"And": {enc.Bool: rowsOf(vec.And)}, "Or": {enc.Bool: rowsOf(vec.Or)}, "Xor": {enc.Bool: rowsOf(vec.Xor)}} {
		register(name, lowering{elems: ops.Bools, lower: broadcasting(t)})
	}
	equal := compared(vec.Equal[float32], vec.Equal[float64],
		vec.Equal[int64], vec.Equal[int32], vec.Equal[int16], vec.Equal[int8],
		vec.Equal[uint64], vec.Equal[uint32], vec.Equal[uint16], vec.Equal[uint8])
	equal[enc.Bool] = rowsOf(vec.Equal[bool])
	register("Equal", lowering{elems: ops.Numbers | ops.Bools, lower: broadcasting(equal)})
	less := compared(vec.Less[float32], vec.Less[float64], vec.Less[int64], vec.Less[int32], vec.Less[int16], vec.Less[int8], vec.Less[uint64], vec.Less[uint32], vec.Less[uint16], vec.Less[uint8])
	atMost := compared(vec.LessOrEqual[float32], vec.LessOrEqual[float64],
		vec.LessOrEqual[int64], vec.LessOrEqual[int32], vec.LessOrEqual[int16], vec.LessOrEqual[int8],
		vec.LessOrEqual[uint64], vec.LessOrEqual[uint32], vec.LessOrEqual[uint16], vec.LessOrEqual[uint8])
	arithmetic("Less", less)
	arithmetic("LessOrEqual", atMost)
	register("Greater", lowering{elems: ops.Numbers, lower: swapped(broadcasting(less))})
	register("GreaterOrEqual", lowering{elems: ops.Numbers, lower: swapped(broadcasting(atMost))})
}

var (
	addition       = numbers(vec.Add[float32], vec.Add[float64], vec.Add[int64], vec.Add[int32], vec.Add[int16], vec.Add[int8], vec.Add[uint64], vec.Add[uint32], vec.Add[uint16], vec.Add[uint8])
	multiplication = numbers(vec.Mul[float32], vec.Mul[float64], vec.Mul[int64], vec.Mul[int32], vec.Mul[int16], vec.Mul[int8], vec.Mul[uint64], vec.Mul[uint32], vec.Mul[uint16], vec.Mul[uint8])
)

func arithmetic(name string, f binaryTable) {
	register(name, lowering{lower: broadcasting(f), elems: f.types()})
}

// swapped exchanges the operands: a > b is b < a.
func swapped(low func(b *build, c *call) error) func(b *build, c *call) error {
	return func(b *build, c *call) error {
		return low(b, &call{Node: c.Node, in: []*tensor{c.in[1], c.in[0]}, out: c.out})
	}
}

// variadic registers an operator that folds any number of operands.
func variadic(name string, f binaryTable) {
	register(name, lowering{elems: f.types(), lower: widened(func(b *build, c *call) error {
		b.folded(c, f)
		return nil
	})})
}

func (b *build) folded(c *call, f binaryTable) {
	out, x := c.out[0], c.in[0]
	if len(c.in) == 1 {
		b.copy(out, x)
		return
	}
	for _, y := range c.in[1:] {
		b.broadcast2(out, x, y, f[out.elem](out, x, y))
		x = out
	}
}

// prelu scales negative elements by a slope.
func prelu[T vec.Number](dst, x, slope []T) {
	pairs(dst, x, slope, func(v, s T) T {
		if v < 0 {
			v *= s
		}
		return v
	})
}

func modFloat[T vec.Float](fmod bool) func(dst, a, b []T) {
	return func(dst, a, b []T) { vec.ModFloat(dst, a, b, fmod) }
}

func modInt[T vec.Integer](fmod bool) func(dst, a, b []T) {
	return func(dst, a, b []T) { vec.Mod(dst, a, b, fmod) }
}

// pow raises to powers of any type, which float64 holds, or int64 where both
// operands are integers.
func pow(b *build, c *call) error {
	exponent := c.in[1]
	as := enc.F64
	if c.in[0].elem.IsInt() && exponent.elem.IsInt() {
		as = enc.I64
	}
	if exponent.elem != as {
		wide := b.temp(as, exponent.shape...)
		b.cast(wide, exponent)
		exponent = wide
	}
	return adapted(b, &call{Node: c.Node, in: c.in[:1], out: c.out}, func(b *build, c *call) error {
		x, out := c.in[0], c.out[0]
		type pair struct{ base, exponent enc.Elem }
		f := map[pair]func(dst, a, b *tensor) rowFunc{
			{enc.F32, enc.F64}: rowsOf(vec.Pow[float32, float64]), {enc.F64, enc.F64}: rowsOf(vec.Pow[float64, float64]),
			{enc.I32, enc.F64}: rowsOf(vec.Pow[int32, float64]), {enc.I64, enc.F64}: rowsOf(vec.Pow[int64, float64]),
			{enc.I32, enc.I64}: rowsOf(vec.Pow[int32, int64]), {enc.I64, enc.I64}: rowsOf(vec.Pow[int64, int64]),
		}[pair{x.elem, as}]
		b.broadcast2(out, x, exponent, f(out, x, exponent))
		return nil
	}, func(_ int, t *tensor) (*tensor, error) {
		if !isHalf(t) {
			return nil, nil
		}
		return b.converted(t, enc.F32)
	}, func(t *tensor) *tensor {
		if !isHalf(t) {
			return nil
		}
		return b.temp(enc.F32, t.shape...)
	}, b.cast)
}

// clip bounds elements by scalars, either of which may be missing.
func clip(b *build, c *call) error {
	in, out, lo, hi := c.in[0], c.out[0], c.input(1), c.input(2)
	f := map[enc.Elem]func(out, in, lo, hi *tensor) func(a, b int){
		enc.F32: clipOf[float32], enc.F64: clipOf[float64], enc.I64: clipOf[int64], enc.I32: clipOf[int32], enc.I16: clipOf[int16], enc.I8: clipOf[int8],
		enc.U64: clipOf[uint64], enc.U32: clipOf[uint32], enc.U16: clipOf[uint16], enc.U8: clipOf[uint8],
	}[in.elem]
	b.each(out.n, grain, f(out, in, lo, hi))
	return nil
}

func clipOf[T vec.Number](out, in, lo, hi *tensor) func(a, b int) {
	return func(a, b int) {
		least, most := vec.Lowest[T](), vec.Highest[T]()
		if lo != nil {
			least = of[T](lo)[0]
		}
		if hi != nil {
			most = of[T](hi)[0]
		}
		vec.Clip(of[T](out)[a:b], of[T](in)[a:b], least, most)
	}
}

// grain is how many elements of cheap work are worth handing to a worker.
const grain = 16 << 10

// each adds a step that runs f over pieces of [0,n) on the workers.
func (b *build) each(n, grain int, f func(lo, hi int)) {
	b.eachWorker(n, grain, func(_, lo, hi int) { f(lo, hi) })
}

// eachWorker is each with the number of the worker, for scratch of its own.
func (b *build) eachWorker(n, grain int, f func(worker, lo, hi int)) {
	if n == 0 {
		return
	}
	t := &pieces{f}
	p := b.x.dev.pool
	b.step(func() error { return p.For(n, max(1, grain), t) })
}

type pieces struct{ f func(worker, lo, hi int) }

func (p *pieces) Run(worker, lo, hi int) { p.f(worker, lo, hi) }

// binaryTable holds a function for each element type, over rows: operands
// are as long as dst, or one element.
type binaryTable map[enc.Elem]func(dst, a, b *tensor) rowFunc

// rowFunc computes n elements at three element offsets; sa and sb are 0 for
// an operand that stays, 1 for one that moves along.
type rowFunc func(d, a, sa, b, sb, n int)

// types returns the types of the operands, with the halves that f32 serves.
func (t binaryTable) types() ops.TypeSet {
	var s ops.TypeSet
	for e := range t {
		s |= ops.Types(e)
	}
	if s.Has(enc.F32) {
		s |= halves
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

// compared is numbers for functions that give truth values.
func compared(f32 func(dst []bool, a, b []float32), f64 func(dst []bool, a, b []float64), i64 func(dst []bool, a, b []int64), i32 func(dst []bool, a, b []int32), i16 func(dst []bool, a, b []int16), i8 func(dst []bool, a, b []int8),
	u64 func(dst []bool, a, b []uint64), u32 func(dst []bool, a, b []uint32), u16 func(dst []bool, a, b []uint16), u8 func(dst []bool, a, b []uint8)) binaryTable {
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
