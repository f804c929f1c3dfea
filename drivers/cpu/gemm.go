package cpu

import (
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/ops"
	"github.com/heddle-ml/heddle/ops/kern/gemm"
	"github.com/heddle-ml/heddle/ops/kern/vec"
)

func init() {
	register("Gemm", lowering{lower: widened(gemmOp), elems: ops.Floats | ops.Types(enc.I32, enc.U32, enc.I64, enc.U64), encoded: []int{1}})
}

// gemmOp is alpha*A*B + beta*C, A and B transposed on demand.
func gemmOp(b *build, c *call) error {
	alpha, beta := c.Attrs.Float("alpha", 1), c.Attrs.Float("beta", 1)
	x, w, add, out := c.in[0], c.in[1], c.input(2), c.out[0]
	if c.Attrs.Int("transA", 0) != 0 {
		x = b.transposed(x)
	}
	tb := c.Attrs.Int("transB", 0) != 0
	if beta == 0 {
		add = nil
	}
	if x.elem != enc.F32 || alpha == 0 {
		if w.place == inConst {
			if err := b.plainConst(w); err != nil {
				return err
			}
		}
		if tb {
			w = b.transposed(w)
		}
		return b.scaledProduct(out, x, w, add, float64(alpha), float64(beta))
	}
	m, n, k := out.shape[0], out.shape[1], x.shape[1]
	a := &gemm.Args{M: m, N: n, K: k, LDA: k, LDC: n, Alpha: alpha, Beta: beta}
	var packed []float32
	if w.place == inConst {
		var err error
		if packed, err = b.x.weights.packed(w.value, tb); err != nil {
			return err
		}
	} else if a.Form, a.LDB = gemm.KN, n; tb {
		a.Form, a.LDB = gemm.NK, k
	}
	if add != nil && add.n == n && (add.rank() <= 1 || n == 1 || add.shape[0] == 1) && (add.n == 1) == (n == 1) {
		a.LDAdd = 0 // a row for all
	} else if add != nil {
		add = b.spread(add, m, n)
		a.LDAdd = n
	}
	r := gemm.New(b.x.dev.table, b.x.dev.pool)
	scratch := b.temp(enc.F32, r.Scratch(a))
	b.step(func() error {
		a.A, a.B, a.C, a.Add, a.Scratch = of[float32](x), packed, of[float32](out), floatsOf(add), of[float32](scratch)
		if packed == nil {
			a.B = of[float32](w)
		}
		return r.Mul(a)
	})
	return nil
}

// spread adds a step that spells out what broadcasting repeats.
func (b *build) spread(t *tensor, shape ...int) *tensor {
	full := b.temp(t.elem, shape...)
	n, st, _ := broadcastStrides(shape, t.shape, t.shape)
	if err := b.strided(full, 0, dense(n), t, 0, st, n); err != nil {
		b.fail(err)
	}
	return full
}

// scaledProduct is gemmOp for other types than f32. Integers are scaled in
// float64 and truncated, unless the factor is 1.
func (b *build) scaledProduct(out, x, w, add *tensor, alpha, beta float64) error {
	var err error
	if out.elem == enc.F32 {
		err = b.product(out, x, w, nil, gemm.None)
	} else {
		err = b.plainProduct(out, x, w)
	}
	if err != nil {
		return err
	}
	if add != nil {
		add = b.spread(add, out.shape...)
	}
	switch out.elem {
	case enc.F32:
		scaleAdd[float32](b, out, add, alpha, beta)
	case enc.F64:
		scaleAdd[float64](b, out, add, alpha, beta)
	case enc.I64:
		scaleAdd[int64](b, out, add, alpha, beta)
	case enc.I32:
		scaleAdd[int32](b, out, add, alpha, beta)
	case enc.U64:
		scaleAdd[uint64](b, out, add, alpha, beta)
	case enc.U32:
		scaleAdd[uint32](b, out, add, alpha, beta)
	}
	return nil
}

func scaleAdd[T vec.Number](b *build, out, add *tensor, alpha, beta float64) {
	if alpha == 1 && add == nil {
		return
	}
	b.each(out.n, grain, func(lo, hi int) {
		dst := of[T](out)[lo:hi]
		if alpha != 1 {
			for i, v := range dst {
				dst[i] = T(alpha * float64(v))
			}
		}
		if add == nil {
			return
		}
		for i, v := range of[T](add)[lo:hi] {
			if beta == 1 {
				dst[i] += v
			} else {
				dst[i] = T(float64(dst[i]) + beta*float64(v))
			}
		}
	})
}
