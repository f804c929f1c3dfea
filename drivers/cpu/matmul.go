package cpu

import (
	"fmt"

	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/hal/driver"
	"github.com/heddle-ml/heddle/ops"
	"github.com/heddle-ml/heddle/ops/kern"
	"github.com/heddle-ml/heddle/ops/kern/gemm"
	"github.com/heddle-ml/heddle/ops/kern/vec"
)

func init() {
	register("MatMul", lowering{lower: widened(matMul), elems: ops.Floats | ops.Types(enc.I32, enc.U32, enc.I64, enc.U64), encoded: []int{1}})
	register("heddle.Linear", lowering{lower: widened(linear), elems: ops.Floats, encoded: []int{1}})
}

var activations = map[string]gemm.Act{"none": gemm.None, "": gemm.None, "gelu": gemm.GELU, "gelu_tanh": gemm.GELUTanh, "silu": gemm.SiLU, "relu": gemm.ReLU}

func linear(b *build, c *call) error {
	name := c.Attrs.Str("activation", "none")
	act, ok := activations[name]
	if !ok {
		return fmt.Errorf("activation %q: %w", name, driver.ErrUnsupported)
	}
	out, bias := c.out[0], c.input(2)
	if out.elem == enc.F32 && (bias == nil || bias.n == out.shape[max(0, out.rank()-1)] && out.rank() > 0) {
		return b.product(out, c.in[0], c.in[1], bias, act)
	}
	// f64, or a bias that is no row: in steps.
	if err := b.product(out, c.in[0], c.in[1], nil, gemm.None); err != nil {
		return err
	}
	if bias != nil {
		b.broadcast2(out, out, bias, addition[out.elem](out, out, bias))
	}
	switch act {
	case gemm.GELU:
		b.unary(out, out, func(t *kern.Table) func(dst, src []float32) { return t.GELU }, vec.GELU)
	case gemm.GELUTanh:
		b.unary(out, out, func(t *kern.Table) func(dst, src []float32) { return t.GELUTanh }, vec.GELUTanh)
	case gemm.SiLU:
		b.swish(out, out, 1)
	case gemm.ReLU:
		b.unary(out, out, func(*kern.Table) func(dst, src []float32) { return vec.Relu[float32] }, func(x float64) float64 { return max(x, 0) })
	}
	return nil
}

func matMul(b *build, c *call) error {
	return b.product(c.out[0], c.in[0], c.in[1], nil, gemm.None)
}

// product adds out = act(x * w + bias) with MatMul's rules for ranks and
// batches. bias is a row or nil.
func (b *build) product(out, x, w, bias *tensor, act gemm.Act) error {
	if x.elem != enc.F32 {
		if w.place == inConst {
			if err := b.plainConst(w); err != nil {
				return err
			}
		}
		return b.plainProduct(out, x, w)
	}
	if w.place == inConst && w.rank() == 2 && x.rank() >= 1 {
		return b.weightProduct(out, x, w, bias, act)
	}
	if w.place == inConst {
		if err := b.plainConst(w); err != nil {
			return err
		}
	}
	p := newProducts(x, w)
	a := &gemm.Args{M: p.m, N: p.n, K: p.k, LDA: p.k, LDB: p.n, LDC: p.n, Form: gemm.KN, Act: act, Batch: 1}
	r := gemm.New(b.x.dev.table, b.x.dev.pool)
	// One call when the batches lie evenly, which is nearly always.
	if sa, sb, ok := p.even(); ok {
		a.Batch, a.StrideA, a.StrideB, a.StrideC = p.batch, sa, sb, p.m*p.n
		scratch := b.temp(enc.F32, r.Scratch(a))
		b.step(func() error {
			if a.Batch == 0 || a.M == 0 || a.N == 0 {
				return nil
			}
			a.A, a.B, a.C, a.Scratch = of[float32](x), of[float32](w), of[float32](out), of[float32](scratch)
			if bias != nil {
				a.Add = of[float32](bias)
			}
			return r.Mul(a)
		})
		return nil
	}
	scratch := b.temp(enc.F32, r.Scratch(a))
	b.step(func() error {
		for i := range p.batch {
			ia, ib := p.at(i)
			a.A, a.B, a.C, a.Scratch = of[float32](x)[ia:], of[float32](w)[ib:], of[float32](out)[i*p.m*p.n:], of[float32](scratch)
			if bias != nil {
				a.Add = of[float32](bias)
			}
			if err := r.Mul(a); err != nil {
				return err
			}
		}
		return nil
	})
	return nil
}

// weightProduct multiplies by a constant matrix, packed once. Leading
// dimensions of x are rows.
func (b *build) weightProduct(out, x, w, bias *tensor, act gemm.Act) error {
	packed, err := b.x.weights.packed(w.value, false)
	if err != nil {
		return err
	}
	k, n := w.shape[0], w.shape[1]
	m := 0
	if n > 0 {
		m = out.n / n
	}
	r := gemm.New(b.x.dev.table, b.x.dev.pool)
	a := &gemm.Args{M: m, N: n, K: k, LDA: k, LDC: n, B: packed, Act: act}
	b.step(func() error {
		a.A, a.C = of[float32](x), of[float32](out)
		if bias != nil {
			a.Add = of[float32](bias)
		}
		return r.Mul(a)
	})
	return nil
}

// products is the geometry of a MatMul: a batch of [m,k] by [k,n].
type products struct {
	m, k, n, batch int
	shape          []int // of the batch
	sx, sy         []int // strides over it, in elements
}

func newProducts(x, y *tensor) *products {
	xs, ys := x.shape, y.shape
	if len(xs) == 1 {
		xs = []int{1, xs[0]}
	}
	if len(ys) == 1 {
		ys = []int{ys[0], 1}
	}
	p := &products{m: xs[len(xs)-2], k: xs[len(xs)-1], n: ys[len(ys)-1], batch: 1}
	bx, by := xs[:len(xs)-2], ys[:len(ys)-2]
	rank := max(len(bx), len(by))
	p.shape = make([]int, rank)
	for i := range p.shape {
		p.shape[i] = 1
		for _, s := range [][]int{bx, by} {
			if j := i - (rank - len(s)); j >= 0 && s[j] != 1 {
				p.shape[i] = s[j]
			}
		}
		p.batch *= p.shape[i]
	}
	p.shape, p.sx, p.sy = broadcastStrides(p.shape, bx, by)
	for i := range p.shape {
		p.sx[i] *= p.m * p.k
		p.sy[i] *= p.k * p.n
	}
	return p
}

// even returns the strides of both operands if one of each leads through the
// whole batch.
func (p *products) even() (sx, sy int, ok bool) {
	return p.sx[0], p.sy[0], len(p.shape) == 1
}

// at returns the element offsets of the operands of product i.
func (p *products) at(i int) (x, y int) {
	for a := len(p.shape) - 1; a >= 0; a-- {
		k := i % p.shape[a]
		i /= p.shape[a]
		x += k * p.sx[a]
		y += k * p.sy[a]
	}
	return x, y
}

// plainProduct multiplies f64 and integers.
func (b *build) plainProduct(out, x, y *tensor) error {
	p := newProducts(x, y)
	switch x.elem {
	case enc.F64:
		plainProduct[float64](b, p, out, x, y)
	case enc.I64:
		plainProduct[int64](b, p, out, x, y)
	case enc.U64:
		plainProduct[uint64](b, p, out, x, y)
	case enc.I32:
		plainProduct[int32](b, p, out, x, y)
	case enc.U32:
		plainProduct[uint32](b, p, out, x, y)
	default:
		return fmt.Errorf("a product of %s: %w", x.elem, driver.ErrUnsupported)
	}
	return nil
}

func plainProduct[T vec.Number](b *build, p *products, out, x, y *tensor) {
	// One row of one product is the unit of work.
	b.each(p.batch*p.m, grain/max(1, p.k*p.n), func(lo, hi int) {
		a := gemm.PlainArgs[T]{M: p.m, N: p.n, K: p.k, RowA: p.k, ColA: 1, RowB: p.n, ColB: 1, LDC: p.n}
		for lo < hi {
			i, r := lo/p.m, lo%p.m
			n := min(hi-lo, p.m-r)
			ix, iy := p.at(i)
			a.A, a.B, a.C = of[T](x)[ix:], of[T](y)[iy:], of[T](out)[i*p.m*p.n:]
			if err := gemm.Plain(&a, r, r+n); err != nil {
				panic(err) // the shapes have been checked
			}
			lo += n
		}
	})
}

// transposed adds a step that transposes a matrix.
func (b *build) transposed(t *tensor) *tensor {
	u := b.temp(t.elem, t.shape[1], t.shape[0])
	if err := b.permute(u, t, []int{1, 0}); err != nil {
		b.fail(err)
	}
	return u
}
