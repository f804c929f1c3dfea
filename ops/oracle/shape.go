package oracle

import (
	"fmt"
	"slices"
)

// size returns the number of elements of a shape whose tensor exists.
func size(shape []int64) int {
	n := 1
	for _, d := range shape {
		n *= int(d)
	}
	return n
}

// strides returns the distance of neighbours along each dimension of a dense
// tensor.
func strides(shape []int64) []int {
	out := make([]int, len(shape))
	n := 1
	for i := len(shape) - 1; i >= 0; i-- {
		out[i] = n
		n *= int(shape[i])
	}
	return out
}

// offsets lists base + sum(index*stride) for each index of shape, in
// row-major order: the elements that a strided view selects.
func offsets(shape []int64, base int, stride []int) []int {
	out := make([]int, 0, size(shape))
	walk(shape, func(index []int64) {
		o := base
		for a, i := range index {
			o += int(i) * stride[a]
		}
		out = append(out, o)
	})
	return out
}

// walk calls f with each index of shape in row-major order. f must not keep
// the slice.
func walk(shape []int64, f func(index []int64)) {
	if slices.Contains(shape, 0) {
		return
	}
	index := make([]int64, len(shape))
	for {
		f(index)
		a := len(shape) - 1
		for ; a >= 0; a-- {
			if index[a]++; index[a] < shape[a] {
				break
			}
			index[a] = 0
		}
		if a < 0 {
			return
		}
	}
}

// pick returns the tensor of a shape whose element i is element src[i] of t,
// or zero where src[i] is negative.
func (t *Tensor) pick(shape []int64, src []int) (*Tensor, error) {
	out, err := newTensor(t.Elem, shape)
	if err != nil {
		return nil, err
	}
	for i, j := range src {
		if j >= 0 {
			out.set(i, t, j)
		}
	}
	return out, nil
}

// broadcastShape returns the common shape of operands by numpy's rules.
func broadcastShape(shapes ...[]int64) ([]int64, error) {
	var out []int64
	for _, s := range shapes {
		for len(out) < len(s) {
			out = slices.Insert(out, 0, 1)
		}
		for i, d := range s {
			j := len(out) - len(s) + i
			switch {
			case out[j] == 1:
				out[j] = d
			case d != 1 && d != out[j]:
				return nil, fmt.Errorf("shapes %v cannot be broadcast together", shapes)
			}
		}
	}
	return out, nil
}

// broadcastStrides returns the strides with which a tensor of shape from is
// read as one of shape to: 0 where a dimension of 1 is repeated.
func broadcastStrides(from, to []int64) ([]int, error) {
	if len(from) > len(to) {
		return nil, fmt.Errorf("shape %v cannot be broadcast to %v", from, to)
	}
	st := make([]int, len(to))
	own := strides(from)
	for i, d := range from {
		j := len(to) - len(from) + i
		switch d {
		case to[j]:
			st[j] = own[i]
		case 1:
		default:
			return nil, fmt.Errorf("shape %v cannot be broadcast to %v", from, to)
		}
	}
	return st, nil
}

// broadcastOffsets returns, for each element of shape to, the element of a
// tensor of shape from that it is computed from.
func broadcastOffsets(from, to []int64) ([]int, error) {
	st, err := broadcastStrides(from, to)
	if err != nil {
		return nil, err
	}
	return offsets(to, 0, st), nil
}

// axisOf normalises an axis, which may count from the end.
func axisOf(axis int64, rank int) (int, error) {
	if axis < -int64(rank) || axis >= int64(rank) {
		return 0, fmt.Errorf("axis %d is not one of %d dimensions: %w", axis, rank, ErrIndex)
	}
	if axis < 0 {
		axis += int64(rank)
	}
	return int(axis), nil
}

// axesOf normalises a list of axes; each may occur once.
func axesOf(axes []int64, rank int) ([]int, error) {
	out := make([]int, 0, len(axes))
	for _, a := range axes {
		i, err := axisOf(a, rank)
		if err != nil {
			return nil, err
		}
		if slices.Contains(out, i) {
			return nil, fmt.Errorf("axis %d occurs twice", a)
		}
		out = append(out, i)
	}
	return out, nil
}

// split3 folds a shape into the dimensions before, at and after an axis.
func split3(shape []int64, axis int) (outer, n, inner int) {
	return size(shape[:axis]), int(shape[axis]), size(shape[axis+1:])
}
