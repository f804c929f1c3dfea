package oracle

import (
	"fmt"
	"slices"

	"github.com/heddle-ml/heddle/graph/enc"
)

// indexOps read or write elements that an operand selects.
var indexOps = map[string]evaluator{
	"Gather":          gather,
	"GatherElements":  gatherElements,
	"GatherND":        gatherND,
	"ScatterElements": scatterElements,
	"ScatterND":       scatterND,
	"TensorScatter":   tensorScatter,
}

// indexIn normalises an index, which may count from the end.
func indexIn(i, n int64) (int, error) {
	if i < -n || i >= n {
		return 0, fmt.Errorf("index %d of a dimension of %d: %w", i, n, ErrIndex)
	}
	if i < 0 {
		i += n
	}
	return int(i), nil
}

func gather(x *node) ([]*Tensor, error) {
	t, idx := x.arg(0), x.arg(1)
	a, err := axisOf(x.Attrs.Int("axis", 0), len(t.Shape))
	if err != nil {
		return nil, err
	}
	shape := slices.Concat(t.Shape[:a], idx.Shape, t.Shape[a+1:])
	out, err := x.make(t.Elem, shape)
	if err != nil {
		return nil, err
	}
	outer, n, inner := split3(t.Shape, a)
	m := idx.Len()
	for k, v := range idx.I {
		p, err := indexIn(v, int64(n))
		if err != nil {
			return nil, err
		}
		for o := range outer {
			for i := range inner {
				out.set((o*m+k)*inner+i, t, (o*n+p)*inner+i)
			}
		}
		if err := x.step(outer * inner); err != nil {
			return nil, err
		}
	}
	return one(out, nil)
}

// along calls f with each element of idx and the element of a tensor of the
// given shape that it selects: the same position, moved along an axis.
func along(idx *Tensor, shape []int64, axis int, f func(i, j int)) error {
	if len(idx.Shape) != len(shape) {
		return fmt.Errorf("indices have shape %v, data %v", idx.Shape, shape)
	}
	for d, n := range idx.Shape {
		if d != axis && n > shape[d] {
			return fmt.Errorf("indices have shape %v, data %v: dimension %d is larger", idx.Shape, shape, d)
		}
	}
	st := strides(shape)
	i := 0
	var bad error
	walk(idx.Shape, func(index []int64) {
		j := 0
		for d, k := range index {
			if d != axis {
				j += int(k) * st[d]
			}
		}
		p, err := indexIn(idx.I[i], shape[axis])
		if err != nil {
			bad = err
		}
		if bad == nil {
			f(i, j+p*st[axis])
		}
		i++
	})
	return bad
}

func gatherElements(x *node) ([]*Tensor, error) {
	t, idx := x.arg(0), x.arg(1)
	a, err := axisOf(x.Attrs.Int("axis", 0), len(t.Shape))
	if err != nil {
		return nil, err
	}
	out, err := x.make(t.Elem, idx.Shape)
	if err != nil {
		return nil, err
	}
	if err := along(idx, t.Shape, a, func(i, j int) { out.set(i, t, j) }); err != nil {
		return nil, err
	}
	return one(out, x.step(out.Len()))
}

// clone returns a copy that may be written.
func (x *node) clone(t *Tensor) (*Tensor, error) {
	out, err := x.make(t.Elem, t.Shape)
	if err != nil {
		return nil, err
	}
	copy(out.F, t.F)
	copy(out.I, t.I)
	copy(out.U, t.U)
	return out, nil
}

// reduction returns how a scattered element is combined with the old one;
// the zero arith replaces it.
func (x *node) reduction() (arith, bool, error) {
	switch r := x.Attrs.Str("reduction", "none"); r {
	case "none":
		return arith{}, false, nil
	case "add":
		return addArith, true, nil
	case "mul":
		return arith{
			func(a, b float64) float64 { return a * b },
			func(a, b int64) (int64, error) { return a * b, nil },
			func(a, b uint64) (uint64, error) { return a * b, nil }}, true, nil
	case "max":
		return maxArith, true, nil
	case "min":
		return minArith, true, nil
	default:
		return arith{}, false, fmt.Errorf("reduction is %q; want none, add, mul, max or min", r)
	}
}

func scatterElements(x *node) ([]*Tensor, error) {
	t, idx, upd := x.arg(0), x.arg(1), x.arg(2)
	a, err := axisOf(x.Attrs.Int("axis", 0), len(t.Shape))
	if err != nil {
		return nil, err
	}
	if !slices.Equal(idx.Shape, upd.Shape) {
		return nil, fmt.Errorf("indices have shape %v, updates %v", idx.Shape, upd.Shape)
	}
	red, reduce, err := x.reduction()
	if err != nil {
		return nil, err
	}
	out, err := x.clone(t)
	if err != nil {
		return nil, err
	}
	var bad error
	err = along(idx, t.Shape, a, func(i, j int) {
		if !reduce {
			out.set(j, upd, i)
		} else if err := red.apply(out, j, out, j, upd, i); err != nil {
			bad = err
		}
	})
	if err == nil {
		err = bad
	}
	return one(out, err)
}

// tuples calls f with the number of each index tuple of idx and the offset of
// the slice of a tensor of the given shape that it selects. The first batch
// dimensions of idx and shape go together.
func tuples(idx *Tensor, shape []int64, batch int, f func(k, offset int)) error {
	r := len(idx.Shape)
	if r == 0 || batch < 0 || batch >= r || batch > len(shape) || !slices.Equal(idx.Shape[:batch], shape[:batch]) {
		return fmt.Errorf("indices of shape %v do not fit data of shape %v with %d batch dimensions", idx.Shape, shape, batch)
	}
	depth := int(idx.Shape[r-1])
	if depth > len(shape)-batch {
		return fmt.Errorf("indices of %d numbers for %d dimensions: %w", depth, len(shape)-batch, ErrIndex)
	}
	st := strides(shape)
	per := size(idx.Shape[batch : r-1]) // tuples for each batch element
	for k := range size(idx.Shape[:r-1]) {
		off := k / per * size(shape[batch:])
		for d := range depth {
			p, err := indexIn(idx.I[k*depth+d], shape[batch+d])
			if err != nil {
				return err
			}
			off += p * st[batch+d]
		}
		f(k, off)
	}
	return nil
}

func gatherND(x *node) ([]*Tensor, error) {
	t, idx := x.arg(0), x.arg(1)
	batch := int(x.Attrs.Int("batch_dims", 0))
	r := len(idx.Shape)
	if r == 0 || batch < 0 || int64(batch)+idx.Shape[r-1] > int64(len(t.Shape)) {
		return nil, fmt.Errorf("indices of shape %v do not fit data of shape %v", idx.Shape, t.Shape)
	}
	tail := t.Shape[batch+int(idx.Shape[r-1]):]
	out, err := x.make(t.Elem, slices.Concat(idx.Shape[:r-1], tail))
	if err != nil {
		return nil, err
	}
	n := size(tail)
	err = tuples(idx, t.Shape, batch, func(k, off int) {
		for i := range n {
			out.set(k*n+i, t, off+i)
		}
	})
	return one(out, err)
}

func scatterND(x *node) ([]*Tensor, error) {
	t, idx, upd := x.arg(0), x.arg(1), x.arg(2)
	r := len(idx.Shape)
	if r == 0 || idx.Shape[r-1] > int64(len(t.Shape)) {
		return nil, fmt.Errorf("indices of shape %v do not fit data of shape %v", idx.Shape, t.Shape)
	}
	tail := t.Shape[idx.Shape[r-1]:]
	if !slices.Equal(upd.Shape, slices.Concat(idx.Shape[:r-1], tail)) {
		return nil, fmt.Errorf("updates have shape %v; indices %v and data %v want %v", upd.Shape, idx.Shape, t.Shape, slices.Concat(idx.Shape[:r-1], tail))
	}
	red, reduce, err := x.reduction()
	if err != nil {
		return nil, err
	}
	out, err := x.clone(t)
	if err != nil {
		return nil, err
	}
	n := size(tail)
	var bad error
	err = tuples(idx, t.Shape, 0, func(k, off int) {
		for i := range n {
			if !reduce {
				out.set(off+i, upd, k*n+i)
			} else if err := red.apply(out, off+i, out, off+i, upd, k*n+i); err != nil {
				bad = err
			}
		}
	})
	if err == nil {
		err = bad
	}
	return one(out, err)
}

// tensorScatter writes each batch element's update into its cache from a
// write index on. Where the cache is a state with an encoding, the blocks
// that were written are encoded anew, as a device that stores them must, and
// what later readers see is what comes back from that encoding.
func tensorScatter(x *node) ([]*Tensor, error) {
	cache, upd := x.arg(0), x.arg(1)
	a, err := axisOf(x.Attrs.Int("axis", -2), len(cache.Shape))
	if err != nil {
		return nil, err
	}
	if a == 0 {
		return nil, fmt.Errorf("axis 0 is the batch: %w", ErrIndex)
	}
	mode := x.Attrs.Str("mode", "linear")
	if mode != "linear" && mode != "circular" {
		return nil, fmt.Errorf("mode is %q; want linear or circular", mode)
	}
	if len(upd.Shape) != len(cache.Shape) {
		return nil, fmt.Errorf("update has shape %v, cache %v", upd.Shape, cache.Shape)
	}
	for d, n := range upd.Shape {
		if d != a && n != cache.Shape[d] || n > cache.Shape[d] {
			return nil, fmt.Errorf("update of shape %v does not fit cache %v along axis %d", upd.Shape, cache.Shape, a)
		}
	}
	starts := make([]int64, cache.Shape[0])
	if x.arg(2) != nil {
		if starts, err = x.ints(2); err != nil {
			return nil, err
		}
		if int64(len(starts)) != cache.Shape[0] {
			return nil, fmt.Errorf("%d write indices for a batch of %d", len(starts), cache.Shape[0])
		}
	}
	outer, n, inner := split3(cache.Shape, a)
	m := int(upd.Shape[a])
	for _, s := range starts {
		if s < 0 || mode == "linear" && s > int64(n-m) {
			return nil, fmt.Errorf("writing %d positions from %d into a cache of %d: %w", m, s, n, ErrIndex)
		}
	}
	out, err := x.clone(cache)
	if err != nil {
		return nil, err
	}
	written := make([]bool, out.Len())
	perBatch := outer / max(1, int(cache.Shape[0]))
	for o := range outer {
		for k := range m {
			p := (int(starts[o/perBatch]%int64(n)) + k) % n
			for i := range inner {
				dst := (o*n+p)*inner + i
				out.set(dst, upd, (o*m+k)*inner+i)
				written[dst] = true
			}
		}
	}
	if e := x.out[0].Enc; e != (enc.Encoding{}) {
		if err := recode(out, e, written); err != nil {
			return nil, err
		}
	}
	return one(out, x.step(out.Len()))
}
