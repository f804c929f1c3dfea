package oracle

import (
	"fmt"
	"math"
	"slices"

	"github.com/heddle-ml/heddle/graph/enc"
)

// poolOps reduce windows of each channel.
var poolOps = map[string]evaluator{
	"AveragePool":       averagePool,
	"MaxPool":           maxPool,
	"GlobalAveragePool": globalPool(meanOf),
	"GlobalMaxPool":     globalPool(maxOf),
}

// poolWindow returns the geometry and an output tensor of the given type.
func (x *node) poolWindow(elem enc.Elem) (*window, *Tensor, error) {
	t := x.arg(0)
	if len(t.Shape) < 3 {
		return nil, nil, fmt.Errorf("input has shape %v; want [N,C,...]", t.Shape)
	}
	kernel, err := x.spatial("kernel_shape", len(t.Shape)-2, 0)
	if err != nil {
		return nil, nil, err
	}
	w, err := x.window(t.Shape[2:], kernel, x.flag("ceil_mode", 0))
	if err != nil {
		return nil, nil, err
	}
	out, err := x.make(elem, slices.Concat(t.Shape[:2], w.out))
	return w, out, err
}

// averagePool divides by the number of positions inside of the input or, with
// count_include_pad, inside of the padded input.
func averagePool(x *node) ([]*Tensor, error) {
	t := x.arg(0)
	w, out, err := x.poolWindow(t.Elem)
	if err != nil {
		return nil, err
	}
	// The padded input is one more geometry, in which padding is inside.
	padded := *w
	padded.in, padded.before = slices.Clone(w.in), make([]int64, len(w.in))
	for a := range padded.in {
		padded.in[a] += w.before[a] + w.after[a]
	}
	withPad := x.flag("count_include_pad", 0)
	plane, i := size(w.in), 0
	var bad error
	walk(out.Shape, func(index []int64) {
		if bad != nil {
			return
		}
		base := (int(index[0])*int(t.Shape[1]) + int(index[1])) * plane
		count := 0
		w.positions(index[2:], func(_, p int) {
			out.F[i] += t.F[base+p]
			count++
		})
		if withPad {
			count = 0
			padded.positions(index[2:], func(_, _ int) { count++ })
		}
		out.F[i] /= float64(count)
		bad = x.step(size(w.kernel))
		i++
	})
	return one(out, bad)
}

// maxPool also yields the flat position of each maximum, the first of equal
// ones, counted with the last spatial dimension innermost or, with
// storage_order 1, outermost.
func maxPool(x *node) ([]*Tensor, error) {
	t := x.arg(0)
	w, out, err := x.poolWindow(t.Elem)
	if err != nil {
		return nil, err
	}
	where, err := x.make(enc.I64, out.Shape)
	if err != nil {
		return nil, err
	}
	number := make([]int, len(w.in)) // strides that number the positions
	n := 1
	for a := range number {
		if x.Attrs.Int("storage_order", 0) == 0 {
			number = strides(w.in)
			break
		}
		number[a] = n
		n *= int(w.in[a])
	}
	numbers := offsets(w.in, 0, number)
	plane, i := size(w.in), 0
	var bad error
	walk(out.Shape, func(index []int64) {
		if bad != nil {
			return
		}
		base := (int(index[0])*int(t.Shape[1]) + int(index[1])) * plane
		best := -1
		w.positions(index[2:], func(_, p int) {
			if best < 0 || t.less(base+best, base+p) {
				best = p
			}
		})
		if best >= 0 {
			out.set(i, t, base+best)
			where.I[i] = int64(base + numbers[best])
		} else if out.F != nil {
			out.F[i] = math.Inf(-1)
		}
		bad = x.step(size(w.kernel))
		i++
	})
	return []*Tensor{out, where}, bad
}

// globalPool folds all spatial dimensions.
func globalPool(f func(out *Tensor, i int, t *Tensor, group []int)) evaluator {
	return func(x *node) ([]*Tensor, error) {
		t := x.arg(0)
		if len(t.Shape) < 3 {
			return nil, fmt.Errorf("input has shape %v; want [N,C,...]", t.Shape)
		}
		shape := slices.Clone(t.Shape)
		var axes []int
		for a := 2; a < len(shape); a++ {
			shape[a] = 1
			axes = append(axes, a)
		}
		out, err := x.make(t.Elem, shape)
		if err != nil {
			return nil, err
		}
		for i, g := range groups(t.Shape, axes) {
			f(out, i, t, g)
		}
		return one(out, x.step(t.Len()))
	}
}
