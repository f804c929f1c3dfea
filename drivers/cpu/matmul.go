package cpu

import (
	"fmt"

	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/hal/driver"
	"github.com/heddle-ml/heddle/ops"
	"github.com/heddle-ml/heddle/ops/kern/gemm"
)

func init() {
	register("MatMul", lowering{lower: widened(matMul), elems: ops.Floats | ops.Types(enc.I32, enc.U32, enc.I64, enc.U64), encoded: []int{1}})
	register("heddle.Linear", lowering{lower: widened(linear), elems: ops.Types(enc.F32, enc.F16, enc.BF16), encoded: []int{1}})
	register("Gemm", lowering{lower: widened(gemmOp), elems: ops.Floats | ops.Types(enc.I32, enc.U32, enc.I64, enc.U64), encoded: []int{1}})
}

var activations = map[string]gemm.Act{"none": gemm.None, "": gemm.None, "gelu": gemm.GELU, "gelu_tanh": gemm.GELUTanh, "silu": gemm.SiLU, "relu": gemm.ReLU}

func linear(b *build, c *call) error {
	act, ok := activations[c.Attrs.Str("activation", "none")]
	if !ok {
		return fmt.Errorf("activation %q: %w", c.Attrs.Str("activation", ""), driver.ErrUnsupported)
	}
	return b.product(c.out[0], c.in[0], c.in[1], c.input(2), act)
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
		return b.productSlow(out, x, w)
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
	packed, err := b.x.weights.packed(w.value)
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

// productSlow multiplies f64 and integers.
func (b *build) productSlow(out, x, y *tensor) error {
	p := newProducts(x, y)
	mul := map[enc.Elem]func(ia, ib, ic int){
		enc.F64: func(ia, ib, ic int) {
			mulSlow(of[float64](out)[ic:], of[float64](x)[ia:], of[float64](y)[ib:], p.m, p.n, p.k)
		},
		enc.I64: func(ia, ib, ic int) {
			mulSlow(of[int64](out)[ic:], of[int64](x)[ia:], of[int64](y)[ib:], p.m, p.n, p.k)
		},
		enc.U64: func(ia, ib, ic int) {
			mulSlow(of[uint64](out)[ic:], of[uint64](x)[ia:], of[uint64](y)[ib:], p.m, p.n, p.k)
		},
		enc.I32: func(ia, ib, ic int) {
			mulSlow(of[int32](out)[ic:], of[int32](x)[ia:], of[int32](y)[ib:], p.m, p.n, p.k)
		},
		enc.U32: func(ia, ib, ic int) {
			mulSlow(of[uint32](out)[ic:], of[uint32](x)[ia:], of[uint32](y)[ib:], p.m, p.n, p.k)
		},
	}[x.elem]
	if mul == nil {
		return fmt.Errorf("a product of %s: %w", x.elem, driver.ErrUnsupported)
	}
	b.step(func() error {
		for i := range p.batch {
			ia, ib := p.at(i)
			mul(ia, ib, i*p.m*p.n)
		}
		return nil
	})
	return nil
}

func mulSlow[T float64 | int64 | uint64 | int32 | uint32](c, a, b []T, m, n, k int) {
	for i := range m {
		row := c[i*n : i*n+n]
		clear(row)
		for l := range k {
			x := a[i*k+l]
			for j, y := range b[l*n : l*n+n] {
				row[j] += x * y
			}
		}
	}
}

func gemmOp(b *build, c *call) error {
	alpha, beta := c.Attrs.Float("alpha", 1), c.Attrs.Float("beta", 1)
	ta, tb := c.Attrs.Int("transA", 0) != 0, c.Attrs.Int("transB", 0) != 0
	x, w, add, out := c.in[0], c.in[1], c.input(2), c.out[0]
	if w.place == inConst {
		if err := b.plainConst(w); err != nil {
			return err
		}
	}
	if ta {
		x = b.transposed(x)
	}
	if x.elem != enc.F32 {
		return b.gemmSlow(out, x, w, add, alpha, beta, tb)
	}
	m, n := out.shape[0], out.shape[1]
	a := &gemm.Args{M: m, N: n, K: x.shape[1], LDA: x.shape[1], LDC: n, Alpha: alpha, Beta: beta, Form: gemm.KN, LDB: n}
	if tb {
		a.Form, a.LDB = gemm.NK, x.shape[1]
	}
	if alpha == 0 || beta == 0 {
		// Args takes 0 for 1; ONNX means 0.
		if beta == 0 {
			add = nil
		}
		if alpha == 0 {
			a.K = 0
		}
		a.Alpha, a.Beta = 1, 1
		if beta != 0 {
			a.Beta = beta
		}
		if alpha != 0 {
			a.Alpha = alpha
		}
	}
	if add != nil {
		full := b.temp(enc.F32, m, n)
		b.broadcast2(full, add, add, func(d, i, si, _, _, k int) {
			src, dst := of[float32](add), of[float32](full)
			for e := range k {
				dst[d+e] = src[i+si*e]
			}
		})
		add = full
		a.LDAdd = n
	}
	r := gemm.New(b.x.dev.table, b.x.dev.pool)
	scratch := b.temp(enc.F32, r.Scratch(a))
	b.step(func() error {
		a.A, a.B, a.C, a.Scratch = of[float32](x), of[float32](w), of[float32](out), of[float32](scratch)
		if add != nil {
			a.Add = of[float32](add)
		}
		return r.Mul(a)
	})
	return nil
}

func (b *build) gemmSlow(out, x, w, add *tensor, alpha, beta float32, tb bool) error {
	if tb {
		w = b.transposed(w)
	}
	if alpha != 1 || add != nil && beta != 1 || add != nil && x.elem != enc.F64 {
		return fmt.Errorf("Gemm of %s with scaling or an addend: %w", x.elem, driver.ErrUnsupported)
	}
	if err := b.productSlow(out, x, w); err != nil {
		return err
	}
	if add != nil {
		b.broadcast2(out, add, add, func(d, i, si, _, _, k int) {
			src, dst := of[float64](add), of[float64](out)
			for e := range k {
				dst[d+e] += src[i+si*e]
			}
		})
	}
	return nil
}

// transposed adds a step that transposes a matrix.
func (b *build) transposed(t *tensor) *tensor {
	u := b.temp(t.elem, t.shape[1], t.shape[0])
	b.permute(u, t, []int{1, 0})
	return u
}
