package oracle

import (
	"fmt"
	"slices"
)

// joinOps concatenate and split.
var joinOps = map[string]evaluator{
	"Concat": func(x *node) ([]*Tensor, error) {
		return one(x.concat(x.args, x.Attrs.Int("axis", 0)))
	},
	"Split": split,
}

func (x *node) concat(ts []*Tensor, axis int64) (*Tensor, error) {
	a, err := axisOf(axis, len(ts[0].Shape))
	if err != nil {
		return nil, err
	}
	shape, err := joinedShape(ts, a)
	if err != nil {
		return nil, err
	}
	if err := x.fits(shape); err != nil {
		return nil, err
	}
	return concatAll(ts, a, shape)
}

// joinedShape returns the shape of a concatenation.
func joinedShape(ts []*Tensor, axis int) ([]int64, error) {
	shape := slices.Clone(ts[0].Shape)
	for i, t := range ts[1:] {
		if len(t.Shape) != len(shape) {
			return nil, fmt.Errorf("operand %d has shape %v, operand 0 %v", i+1, t.Shape, ts[0].Shape)
		}
		for d := range shape {
			if d == axis {
				shape[d] += t.Shape[d]
			} else if shape[d] != t.Shape[d] {
				return nil, fmt.Errorf("operand %d has shape %v, operand 0 %v: they differ outside of axis %d", i+1, t.Shape, ts[0].Shape, axis)
			}
		}
	}
	return shape, nil
}

// concatAll joins tensors whose joined shape is known.
func concatAll(ts []*Tensor, axis int, shape []int64) (*Tensor, error) {
	out, err := newTensor(ts[0].Elem, shape)
	if err != nil {
		return nil, err
	}
	outer, n, inner := split3(shape, axis)
	at := 0
	for _, t := range ts {
		m := int(t.Shape[axis])
		for o := range outer {
			for i := range m * inner {
				out.set((o*n+at)*inner+i, t, o*m*inner+i)
			}
		}
		at += m
	}
	return out, nil
}

// split cuts into the given lengths, or into equal ones of which the last may
// be shorter.
func split(x *node) ([]*Tensor, error) {
	t := x.arg(0)
	a, err := axisOf(x.Attrs.Int("axis", 0), len(t.Shape))
	if err != nil {
		return nil, err
	}
	lens, err := x.ints(1)
	if err != nil {
		return nil, err
	}
	n := t.Shape[a]
	if x.arg(1) == nil {
		parts := x.Attrs.Int("num_outputs", int64(len(x.out)))
		if parts <= 0 || parts > int64(len(x.out))+1<<16 {
			return nil, fmt.Errorf("num_outputs is %d, with %d outputs", parts, len(x.out))
		}
		each := (n + parts - 1) / parts
		for i := range parts {
			lens = append(lens, max(0, min(each, n-i*each)))
		}
	}
	var outs []*Tensor
	stride := strides(t.Shape)
	at := int64(0)
	for i, m := range lens {
		if m < 0 || m > n-at {
			return nil, fmt.Errorf("lengths %v do not sum to %d", lens, n)
		}
		if x.Want(i) {
			shape := slices.Clone(t.Shape)
			shape[a] = m
			u, err := x.view(t, shape, int(at)*stride[a], stride)
			if err != nil {
				return nil, err
			}
			outs = append(outs, u)
		} else {
			outs = append(outs, nil)
		}
		at += m
	}
	if at != n {
		return nil, fmt.Errorf("lengths %v do not sum to %d", lens, n)
	}
	return outs, nil
}
