package oracle

import (
	"fmt"
	"math"
	"slices"

	"github.com/heddle-ml/heddle/graph/enc"
)

// matmulOps are products of matrices.
var matmulOps = map[string]evaluator{
	"MatMul":        func(x *node) ([]*Tensor, error) { return one(x.matmul(x.arg(0), x.arg(1))) },
	"Gemm":          gemm,
	"MatMulInteger": matmulInteger,
	"QLinearMatMul": qlinearMatMul,
	"heddle.Linear": linear,
}

// matmul is numpy's: vectors are promoted to matrices, leading dimensions are
// broadcast. Products of integers wrap around.
func (x *node) matmul(a, b *Tensor) (*Tensor, error) {
	if len(a.Shape) == 0 || len(b.Shape) == 0 {
		return nil, fmt.Errorf("shapes %v and %v: a scalar has no matrix product", a.Shape, b.Shape)
	}
	as, bs := a.Shape, b.Shape
	if len(as) == 1 {
		as = []int64{1, as[0]}
	}
	if len(bs) == 1 {
		bs = []int64{bs[0], 1}
	}
	ra, rb := len(as), len(bs)
	m, k, n := int(as[ra-2]), int(as[ra-1]), int(bs[rb-1])
	if bs[rb-2] != int64(k) {
		return nil, fmt.Errorf("shapes %v and %v: %d columns meet %d rows", a.Shape, b.Shape, k, bs[rb-2])
	}
	batch, err := broadcastShape(as[:ra-2], bs[:rb-2])
	if err != nil {
		return nil, err
	}
	shape := slices.Clone(batch)
	full := append(slices.Clone(batch), int64(m), int64(n))
	if len(a.Shape) > 1 {
		shape = append(shape, int64(m))
	}
	if len(b.Shape) > 1 {
		shape = append(shape, int64(n))
	}
	if err := x.fits(full); err != nil {
		return nil, err
	}
	out, err := newTensor(a.Elem, full)
	if err != nil {
		return nil, err
	}
	aoff, err := broadcastOffsets(as[:ra-2], batch)
	if err != nil {
		return nil, err
	}
	boff, err := broadcastOffsets(bs[:rb-2], batch)
	if err != nil {
		return nil, err
	}
	for p := range aoff {
		for i := range m {
			row := (p*m + i) * n
			for l := range k {
				j, r := aoff[p]*m*k+i*k+l, boff[p]*k*n+l*n
				switch {
				case out.F != nil:
					mulAdd(out.F[row:row+n], a.F[j], b.F[r:r+n])
				case out.U != nil:
					mulAdd(out.U[row:row+n], a.U[j], b.U[r:r+n])
				default:
					mulAdd(out.I[row:row+n], a.I[j], b.I[r:r+n])
				}
				if err := x.step(n); err != nil {
					return nil, err
				}
			}
		}
	}
	for i, v := range out.I {
		out.I[i] = wrapI(out.Elem, v)
	}
	for i, v := range out.U {
		out.U[i] = wrapU(out.Elem, v)
	}
	return out.with(shape), nil
}

// mulAdd adds f times each element of row to sum.
func mulAdd[T float64 | int64 | uint64](sum []T, f T, row []T) {
	for i, v := range row {
		sum[i] += f * v
	}
}

// linear is activation(x*W + bias), with nothing rounded in between.
func linear(x *node) ([]*Tensor, error) {
	y, err := x.matmul(x.arg(0), x.arg(1))
	if err != nil {
		return nil, err
	}
	if bias := x.arg(2); bias != nil {
		if y, err = x.combine(addArith, y, bias); err != nil {
			return nil, err
		}
	}
	activate := map[string]func(float64) float64{
		"none":      func(f float64) float64 { return f },
		"relu":      func(f float64) float64 { return max(f, 0) },
		"gelu":      gelu,
		"gelu_tanh": geluTanh,
		"silu":      func(f float64) float64 { return f * sigmoid(f) },
	}[x.Attrs.Str("activation", "none")]
	if activate == nil {
		return nil, fmt.Errorf("activation %q is %w", x.Attrs.Str("activation", ""), ErrUnsupported)
	}
	for i, f := range y.F {
		y.F[i] = activate(f)
	}
	return one(y, nil)
}

// gemm is alpha*A*B + beta*C with optional transposition of A and B. Integer
// results are computed exactly where alpha and beta are 1, else truncated.
func gemm(x *node) ([]*Tensor, error) {
	a, b, c := x.arg(0), x.arg(1), x.arg(2)
	var err error
	for i, t := range []**Tensor{&a, &b} {
		if len((*t).Shape) != 2 {
			return nil, fmt.Errorf("input %d has shape %v; want a matrix", i, (*t).Shape)
		}
		if x.flag([]string{"transA", "transB"}[i], 0) {
			if *t, err = (*t).permute([]int{1, 0}); err != nil {
				return nil, err
			}
		}
	}
	out, err := x.matmul(a, b)
	if err != nil {
		return nil, err
	}
	alpha, beta := x.float("alpha", 1), x.float("beta", 1)
	if alpha != 1 {
		for i := range out.Len() {
			out.setReal(i, alpha*out.float(i))
		}
	}
	if c == nil {
		return one(out, nil)
	}
	offs, err := broadcastOffsets(c.Shape, out.Shape)
	if err != nil {
		return nil, err
	}
	for i, o := range offs {
		if beta == 1 {
			if err := addArith.apply(out, i, out, i, c, o); err != nil {
				return nil, err
			}
		} else {
			out.setReal(i, out.float(i)+beta*c.float(o))
		}
	}
	return one(out, nil)
}

// minusZero returns codes less their zero point as exact integers. The zero
// point may be nil, one number, or one for each index of an axis; or it has
// the codes' rank and is broadcast.
func (x *node) minusZero(t, zero *Tensor, axis int) (*Tensor, error) {
	out, err := x.make(enc.I64, t.Shape)
	if err != nil {
		return nil, err
	}
	var offs []int
	if zero != nil {
		if offs, err = paramOffsets(zero.Shape, t.Shape, axis); err != nil {
			return nil, fmt.Errorf("zero point: %w", err)
		}
	}
	for i := range out.I {
		switch {
		case t.U != nil && zero != nil:
			out.I[i] = int64(t.U[i]) - int64(zero.U[offs[i]])
		case t.U != nil:
			out.I[i] = int64(t.U[i])
		case zero != nil:
			out.I[i] = t.I[i] - zero.I[offs[i]]
		default:
			out.I[i] = t.I[i]
		}
	}
	return out, nil
}

// paramOffsets returns which element of a scale or zero point belongs to each
// element of a tensor: the only one, the one at its index of axis, or the one
// that broadcasting gives.
func paramOffsets(param, shape []int64, axis int) ([]int, error) {
	switch {
	case size(param) == 1:
		return offsets(shape, 0, make([]int, len(shape))), nil
	case len(param) == 1:
		if axis < 0 || axis >= len(shape) || param[0] != shape[axis] {
			return nil, fmt.Errorf("%d numbers for axis %d of %v", param[0], axis, shape)
		}
		st := make([]int, len(shape))
		st[axis] = 1
		return offsets(shape, 0, st), nil
	case len(param) <= len(shape):
		return broadcastOffsets(param, shape)
	}
	return nil, fmt.Errorf("shape %v for a tensor of shape %v", param, shape)
}

// matmulInteger accumulates in 32 bits.
func matmulInteger(x *node) ([]*Tensor, error) {
	sum, err := x.codesProduct(x.arg(0), x.arg(2), x.arg(1), x.arg(3))
	if err != nil {
		return nil, err
	}
	sum.Elem = enc.I32
	for i, n := range sum.I {
		sum.I[i] = wrapI(enc.I32, n)
	}
	return one(sum, nil)
}

// codesProduct multiplies matrices of codes; a's zero points are per tensor or
// row, b's per tensor or column.
func (x *node) codesProduct(a, azero, b, bzero *Tensor) (*Tensor, error) {
	ac, err := x.minusZero(a, azero, len(a.Shape)-2)
	if err != nil {
		return nil, err
	}
	bc, err := x.minusZero(b, bzero, len(b.Shape)-1)
	if err != nil {
		return nil, err
	}
	return x.matmul(ac, bc)
}

// qlinearMatMul requantizes the integer product. As in ONNX's reference, the
// three scales are combined in their own type and applied in float64.
func qlinearMatMul(x *node) ([]*Tensor, error) {
	sum, err := x.codesProduct(x.arg(0), x.arg(2), x.arg(3), x.arg(5))
	if err != nil {
		return nil, err
	}
	col := len(sum.Shape) - 1
	row := col - 1
	if len(x.arg(3).Shape) == 1 {
		row = col // b is a vector: there are no columns
	}
	ascale, err := paramOffsets(x.arg(1).Shape, sum.Shape, row)
	if err != nil {
		return nil, fmt.Errorf("a_scale: %w", err)
	}
	bscale, err := paramOffsets(x.arg(4).Shape, sum.Shape, col)
	if err != nil {
		return nil, fmt.Errorf("b_scale: %w", err)
	}
	return one(x.requantize(sum, func(i int) (float64, float64) {
		return x.arg(1).F[ascale[i]], x.arg(4).F[bscale[i]]
	}, x.arg(6), x.arg(7)))
}

// requantize turns sums of products of codes into codes of the output:
// round(sum*(sa*sb/sy)) + zero, saturated. scales gives sa and sb for element
// i; combining them rounds to their type after each step.
func (x *node) requantize(sum *Tensor, scales func(i int) (sa, sb float64), yscale, yzero *Tensor) (*Tensor, error) {
	if yscale.Len() != 1 || yzero != nil && yzero.Len() != 1 {
		return nil, fmt.Errorf("y_scale has shape %v; want one number", yscale.Shape)
	}
	out, err := x.make(x.elem(0), sum.Shape)
	if err != nil {
		return nil, err
	}
	zero := 0.0
	if yzero != nil {
		zero = yzero.float(0)
	}
	e := yscale.Elem
	for i, n := range sum.I {
		sa, sb := scales(i)
		s := roundTo(e, roundTo(e, sa*sb)/yscale.F[0])
		out.setCode(i, math.RoundToEven(float64(wrapI(enc.I32, n))*s+zero))
	}
	return out, x.step(out.Len())
}
