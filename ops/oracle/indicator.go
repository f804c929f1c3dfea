package oracle

import (
	"fmt"
	"math"
	"slices"

	"github.com/heddle-ml/heddle/graph/enc"
)

// indicatorOps mark positions.
var indicatorOps = map[string]evaluator{
	"OneHot":  oneHot,
	"EyeLike": eyeLike,
	"Hardmax": hardmax,
}

// whole returns element i of a tensor of numbers as an integer.
func (t *Tensor) whole(i int) int64 {
	switch {
	case t.F != nil:
		return clampI(enc.I64, math.Trunc(t.F[i]))
	case t.U != nil:
		return int64(min(t.U[i], math.MaxInt64))
	}
	return t.I[i]
}

func oneHot(x *node) ([]*Tensor, error) {
	idx, depth, values := x.arg(0), x.arg(1), x.arg(2)
	if depth.Len() != 1 || values.Len() != 2 {
		return nil, fmt.Errorf("depth has shape %v and values %v; want one number and two", depth.Shape, values.Shape)
	}
	n := depth.whole(0)
	axis, err := axisOf(x.Attrs.Int("axis", -1), len(idx.Shape)+1)
	if err != nil {
		return nil, err
	}
	out, err := x.make(values.Elem, slices.Insert(slices.Clone(idx.Shape), axis, n))
	if err != nil {
		return nil, err
	}
	outer, inner := size(idx.Shape[:axis]), size(idx.Shape[axis:])
	for i := range out.Len() {
		out.set(i, values, 0)
	}
	for o := range outer {
		for i := range inner {
			k := idx.whole(o*inner + i)
			if k < 0 {
				k += n
			}
			if k >= 0 && k < n {
				out.set((o*int(n)+int(k))*inner+i, values, 1)
			}
		}
	}
	return one(out, x.step(out.Len()))
}

func eyeLike(x *node) ([]*Tensor, error) {
	shape := x.arg(0).Shape
	if len(shape) != 2 {
		return nil, fmt.Errorf("input has shape %v; want a matrix", shape)
	}
	out, err := x.make(x.elem(0), shape)
	if err != nil {
		return nil, err
	}
	k := x.Attrs.Int("k", 0)
	for r := range shape[0] {
		for c := range shape[1] {
			if c-r == k {
				out.setFloat(int(r*shape[1]+c), 1)
			}
		}
	}
	return one(out, x.step(out.Len()))
}

func hardmax(x *node) ([]*Tensor, error) {
	return x.rows(func(t *Tensor, g []int, out []float64) {
		best := 0
		for k := range g {
			if t.less(g[best], g[k]) {
				best = k
			}
		}
		out[best] = 1
	})
}
