package cpu

import (
	"fmt"
	"math"
	"slices"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/hal/driver"
	"github.com/heddle-ml/heddle/ops"
	"github.com/heddle-ml/heddle/ops/kern/conv"
	"github.com/heddle-ml/heddle/ops/kern/gemm"
	"github.com/heddle-ml/heddle/ops/kern/vec"
)

func init() {
	bytes := ops.Types(enc.I8, enc.U8)
	register("MatMulInteger", lowering{elems: bytes, lower: func(b *build, c *call) error {
		return b.byteProduct(c.out[0], c.in[0], c.in[1], c.input(2), c.input(3))
	}})
	register("QLinearMatMul", lowering{elems: bytes, lower: qlinearMatMul, check: func(c *graph.Call) string {
		if variesAlong(c.Type(1).Shape, c.Type(0).Shape, 1) || variesAlong(c.Type(4).Shape, c.Type(3).Shape, 2) {
			return "a scale that varies within the terms of a sum"
		}
		return ""
	}})
	register("ConvInteger", lowering{elems: bytes, lower: func(b *build, c *call) error {
		return b.byteConv(c, c.out[0], c.in[0], c.in[1], c.input(2), c.input(3))
	}})
	register("QLinearConv", lowering{elems: bytes, lower: qlinearConv})
}

// byteKinds is which of i8 and u8 the two operands of an integer product are.
type byteKinds struct{ a, b enc.Elem }

// variesAlong tells whether scales or zero points of the given shape, for a
// matrix, vary along its dimension that products sum over, the fromEnd-th from
// the end.
func variesAlong(s, matrix dim.Shape, fromEnd int) bool {
	if len(matrix) == 1 { // a vector is nothing but that dimension
		return len(s) == 1 && !s[0].Is(1)
	}
	return len(s) > 1 && len(s) >= fromEnd && !s[len(s)-fromEnd].Is(1)
}

// byteProduct adds out = (x-zx)*(y-zy) in int32, with MatMul's rules.
func (b *build) byteProduct(out, x, y, zx, zy *tensor) error {
	p := newProducts(x, y)
	f := map[byteKinds]func(b *build, p *products, out, x, y, zx, zy *tensor){
		{enc.I8, enc.I8}: byteProduct[int8, int8], {enc.I8, enc.U8}: byteProduct[int8, uint8],
		{enc.U8, enc.I8}: byteProduct[uint8, int8], {enc.U8, enc.U8}: byteProduct[uint8, uint8],
	}[byteKinds{x.elem, y.elem}]
	if f == nil {
		return fmt.Errorf("a product of %s and %s: %w", x.elem, y.elem, driver.ErrUnsupported)
	}
	if zx != nil && variesAlong(shapeOf(zx), shapeOf(x), 1) || zy != nil && variesAlong(shapeOf(zy), shapeOf(y), 2) {
		return b.plainProduct(out, b.centred(x, zx, true), b.centred(y, zy, false))
	}
	// Zero points of x are one for each row, which may differ between batches;
	// spelled out they can be cut like the rows themselves.
	zx, err := b.perRow(zx, x, true)
	if err != nil {
		return err
	}
	if zy, err = b.perRow(zy, y, false); err != nil {
		return err
	}
	f(b, p, out, x, y, zx, zy)
	return nil
}

func shapeOf(t *tensor) dim.Shape {
	s := make(dim.Shape, t.rank())
	for i, d := range t.shape {
		s[i] = dim.Of(int64(d))
	}
	return s
}

// centred returns codes less their zero points as i32.
func (b *build) centred(t, zero *tensor, rows bool) *tensor {
	wide := b.temp(enc.I32, t.shape...)
	b.cast(wide, t)
	if zero == nil {
		return wide
	}
	shape := zero.shape
	if rows && len(shape) == 1 && t.rank() > 1 {
		shape = []int{shape[0], 1}
	}
	z := b.temp(enc.I32, shape...)
	b.cast(z, zero)
	b.broadcast2(wide, wide, z, rowsOf(vec.Sub[int32])(wide, wide, z))
	return wide
}

// perRow returns the scales or zero points of a matrix as one number, or one
// for each row (or column) of each matrix in the batch.
func (b *build) perRow(z, of *tensor, rows bool) (*tensor, error) {
	if z == nil || z.n == 1 {
		return z, nil
	}
	shape := slices.Clone(of.shape)
	from := z.shape
	switch {
	case rows && of.rank() >= 2:
		shape = shape[:of.rank()-1]
		if z.rank() > 1 { // [...,rows,1]
			from = z.shape[:z.rank()-1]
		}
	case !rows && of.rank() >= 2:
		shape = slices.Delete(shape, of.rank()-2, of.rank()-1)
		if z.rank() > 1 { // [...,1,columns]
			from = slices.Delete(slices.Clone(z.shape), z.rank()-2, z.rank()-1)
		}
	}
	if prod(from) != z.n {
		return nil, fmt.Errorf("scales or zero points of shape %v for a matrix of shape %v: %w", z.shape, of.shape, driver.ErrUnsupported)
	}
	if prod(shape) == z.n {
		return z, nil
	}
	full := b.temp(z.elem, shape...)
	view := *z
	view.shape = from
	n, st, _ := broadcastStrides(shape, from, from)
	return full, b.strided(full, 0, dense(n), &view, 0, st, n)
}

func byteProduct[A, B gemm.Byte](b *build, p *products, out, x, y, zx, zy *tensor) {
	// One row of one product is the unit of work.
	rows := p.m
	b.each(p.batch*rows, max(1, grain/max(1, p.k*p.n)), func(lo, hi int) {
		a := gemm.ByteArgs[A, B]{M: rows, N: p.n, K: p.k, LDA: p.k, LDB: p.n, LDC: p.n}
		for lo < hi {
			i, r := lo/rows, lo%rows
			n := min(hi-lo, rows-r)
			ia, ib := p.at(i)
			a.A, a.B, a.C = of[A](x)[ia:], of[B](y)[ib:], of[int32](out)[i*rows*p.n:(i+1)*rows*p.n]
			a.ZeroA, a.ZeroB = part[A](zx, ia/max(1, p.k), rows), part[B](zy, ib/max(1, p.k), p.n)
			if err := gemm.Bytes(&a, r, r+n); err != nil {
				panic(err) // the shapes have been checked
			}
			lo += n
		}
	})
}

// part returns n of the numbers of an optional tensor, or the only one.
func part[T any](t *tensor, at, n int) []T {
	switch {
	case t == nil:
		return nil
	case t.n == 1:
		return of[T](t)
	}
	return of[T](t)[at : at+n]
}

// qlinearMatMul requantizes the integer product. As in ONNX's reference, the
// scales are combined in their own type, and applied in float64.
func qlinearMatMul(b *build, c *call) error {
	x, y, out := c.in[0], c.in[3], c.out[0]
	sum := b.temp(enc.I32, out.shape...)
	if err := b.byteProduct(sum, x, y, c.in[2], c.in[5]); err != nil {
		return err
	}
	sx, err := b.perRow(c.in[1], x, true)
	if err != nil {
		return err
	}
	sy, err := b.perRow(c.in[4], y, false)
	if err != nil {
		return err
	}
	p := newProducts(x, y)
	scale := func(t *tensor, at int) int {
		if t.n == 1 {
			return 0
		}
		return at
	}
	return b.requantize(out, sum, sx, sy, c.in[6], c.in[7], func(i int) (int, int) {
		m, r, col := i/(p.m*p.n), i/p.n%p.m, i%p.n
		ix, iy := p.at(m)
		return scale(sx, ix/max(1, p.k)+r), scale(sy, iy/max(1, p.k)+col)
	})
}

// requantize adds out = saturate(round(sum*(sx*sy/so)) + zero); scales tells
// which of sx and sy belong to element i.
func (b *build) requantize(out, sum, sx, sy, so, zero *tensor, scales func(i int) (int, int)) error {
	round := rounding(so.elem)
	var err error
	for _, s := range []**tensor{&sx, &sy, &so} {
		if *s, err = b.floats(*s); err != nil {
			return err
		}
	}
	lo, hi := codeRange(out.elem)
	signed := out.elem == enc.I8
	b.each(out.n, grain/16, func(from, to int) {
		z := 0.0
		if signed {
			z = float64(of[int8](zero)[0])
		} else {
			z = float64(of[uint8](zero)[0])
		}
		dst, src := out.bytes(), of[int32](sum)
		for i := from; i < to; i++ {
			ix, iy := scales(i)
			s := round(round(sx.real(ix)*sy.real(iy)) / so.real(0))
			q := math.RoundToEven(float64(src[i])*s + z)
			if q != q {
				q = 0
			}
			q = max(lo, min(hi, q))
			if signed {
				dst[i] = byte(int8(q))
			} else {
				dst[i] = byte(q)
			}
		}
	})
	return nil
}

// byteConv adds the integer convolution of x-zx with w-zw.
func (b *build) byteConv(c *call, out, x, w, zx, zw *tensor) error {
	s, err := window(c, x, out, w.shape[2:])
	if err != nil {
		return err
	}
	s.Groups = int(c.Attrs.Int("group", 1))
	f := map[byteKinds]func(b *build, s *conv.Shape, out, x, w, zx, zw *tensor){
		{enc.I8, enc.I8}: byteConv[int8, int8], {enc.I8, enc.U8}: byteConv[int8, uint8],
		{enc.U8, enc.I8}: byteConv[uint8, int8], {enc.U8, enc.U8}: byteConv[uint8, uint8],
	}[byteKinds{x.elem, w.elem}]
	if f == nil {
		return fmt.Errorf("a convolution of %s with %s: %w", x.elem, w.elem, driver.ErrUnsupported)
	}
	f(b, &s, out, x, w, zx, zw)
	return nil
}

func byteConv[X, W int8 | uint8](b *build, s *conv.Shape, out, x, w, zx, zw *tensor) {
	b.each(s.Batch*s.Filters, 1, func(lo, hi int) {
		var zero X
		if zx != nil {
			zero = of[X](zx)[0]
		}
		var zeros []W
		if zw != nil {
			zeros = of[W](zw)
		}
		if err := conv.Bytes(of[int32](out), of[X](x), of[W](w), zero, zeros, s, lo, hi); err != nil {
			panic(err) // the geometry has been checked
		}
	})
}

func qlinearConv(b *build, c *call) error {
	x, w, out := c.in[0], c.in[3], c.out[0]
	sum := b.temp(enc.I32, out.shape...)
	if err := b.byteConv(c, sum, x, w, c.in[2], c.in[5]); err != nil {
		return err
	}
	filters, inner := out.shape[1], prod(out.shape[2:])
	bias := c.input(8)
	many := c.in[4].n > 1
	if bias != nil {
		// The bias is in steps of the product already: add it to the sums.
		b.each(out.n, grain, func(lo, hi int) {
			dst, add := of[int32](sum), of[int32](bias)
			for i := lo; i < hi; i++ {
				dst[i] += add[i/inner%filters]
			}
		})
	}
	return b.requantize(out, sum, c.in[1], c.in[4], c.in[6], c.in[7], func(i int) (int, int) {
		if many {
			return 0, i / inner % filters
		}
		return 0, 0
	})
}
