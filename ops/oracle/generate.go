package oracle

import (
	"errors"
	"fmt"
	"math"

	"github.com/heddle-ml/heddle/graph/enc"
)

// makeOps yield tensors that hold none of an operand's elements.
var makeOps = map[string]evaluator{
	"ConstantOfShape": constantOfShape,
	"Range":           rangeOp,
	"Shape":           shapeOf,
	"Size": func(x *node) ([]*Tensor, error) {
		return []*Tensor{{Elem: enc.I64, Shape: []int64{}, I: []int64{int64(x.arg(0).Len())}}}, nil
	},
}

func constantOfShape(x *node) ([]*Tensor, error) {
	shape, err := x.ints(0)
	if err != nil {
		return nil, err
	}
	t, err := x.make(x.elem(0), shape)
	if err != nil {
		return nil, err
	}
	if v := x.Attrs.Tensor("value"); v != nil {
		fill, err := FromConst(v)
		if err != nil {
			return nil, err
		}
		if fill.Len() != 1 || fill.Elem != t.Elem {
			return nil, fmt.Errorf("value must be one %s", t.Elem)
		}
		for i := range t.Len() {
			t.set(i, fill, 0)
		}
	}
	return one(t, nil)
}

// rangeOp yields start + i*delta, each rounded once.
func rangeOp(x *node) ([]*Tensor, error) {
	start, limit, delta := x.arg(0), x.arg(1), x.arg(2)
	for i := range 3 {
		if x.arg(i).Len() != 1 {
			return nil, fmt.Errorf("input %d must be a scalar", i)
		}
	}
	var count float64
	switch {
	case start.F != nil:
		count = math.Ceil((limit.F[0] - start.F[0]) / delta.F[0])
	case start.U != nil:
		return nil, fmt.Errorf("range of %s is %w", start.Elem, ErrUnsupported)
	default:
		d := delta.I[0]
		if d == 0 {
			return nil, errors.New("delta is 0")
		}
		// The distance of two int64 fits into a uint64.
		var dist, stepBy uint64
		switch {
		case d > 0 && limit.I[0] > start.I[0]:
			dist, stepBy = uint64(limit.I[0])-uint64(start.I[0]), uint64(d)
		case d < 0 && limit.I[0] < start.I[0]:
			dist, stepBy = uint64(start.I[0])-uint64(limit.I[0]), -uint64(d)
		}
		if dist > 0 {
			count = float64((dist-1)/stepBy) + 1
		}
	}
	if !(count <= float64(x.limit)) { // also when it is NaN
		return nil, fmt.Errorf("range has %g elements: %w of %d", count, ErrLimit, x.limit)
	}
	t, err := x.make(start.Elem, []int64{int64(max(count, 0))})
	if err != nil {
		return nil, err
	}
	for i := range t.Len() {
		if t.F != nil {
			t.F[i] = start.F[0] + float64(i)*delta.F[0]
		} else {
			t.I[i] = wrapI(t.Elem, start.I[0]+int64(i)*delta.I[0])
		}
	}
	return one(t, nil)
}

// shapeOf returns dimensions start..end, both clamped.
func shapeOf(x *node) ([]*Tensor, error) {
	shape := x.arg(0).Shape
	r := int64(len(shape))
	bound := func(p int64) int64 {
		if p < 0 {
			p += r
		}
		return max(0, min(r, p))
	}
	start, end := bound(x.Attrs.Int("start", 0)), bound(x.Attrs.Int("end", r))
	dims := shape[start:max(start, end)]
	t, err := x.make(enc.I64, []int64{int64(len(dims))})
	if err != nil {
		return nil, err
	}
	copy(t.I, dims)
	return one(t, nil)
}
