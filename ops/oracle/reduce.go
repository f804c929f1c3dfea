package oracle

import (
	"fmt"
	"math"
	"slices"

	"github.com/heddle-ml/heddle/graph/enc"
)

// reduceOps fold axes away.
var reduceOps = map[string]evaluator{
	"ReduceSum":  reduce(sumOf),
	"ReduceMean": reduce(meanOf),
	"ReduceMax":  reduce(maxOf),
	"ReduceMin":  reduce(minOf),
	"ReduceProd": reduce(prodOf),
	"ReduceL1": reduce(func(out *Tensor, i int, t *Tensor, group []int) {
		sumBy(out, i, t, group, math.Abs, func(n int64) int64 { return max(n, -n) }, func(u uint64) uint64 { return u })
	}),
	"ReduceSumSquare": reduce(sumSquare),
	"ReduceL2": reduce(func(out *Tensor, i int, t *Tensor, group []int) {
		s := 0.0
		for _, j := range group {
			s += t.float(j) * t.float(j)
		}
		out.setReal(i, math.Sqrt(s))
	}),
	"ReduceLogSum": reduce(func(out *Tensor, i int, t *Tensor, group []int) {
		s := 0.0
		for _, j := range group {
			s += t.float(j)
		}
		out.setReal(i, math.Log(s))
	}),
	"ReduceLogSumExp": reduce(func(out *Tensor, i int, t *Tensor, group []int) {
		out.setReal(i, logSumExp(t, group))
	}),

	"ArgMax": arg(func(t *Tensor, i, j int) bool { return t.less(i, j) }),
	"ArgMin": arg(func(t *Tensor, i, j int) bool {
		// NaN comes first here as in ArgMax.
		if t.F != nil && (t.F[i] != t.F[i] || t.F[j] != t.F[j]) {
			return t.F[i] == t.F[i]
		}
		return t.less(j, i)
	}),
}

// setReal stores a float64: unrounded in a floating-point tensor, truncated
// in an integer one.
func (t *Tensor) setReal(i int, f float64) {
	if t.F != nil {
		t.F[i] = f
		return
	}
	t.setFloat(i, f)
}

// groups returns, for each element of the reduced tensor, the elements of a
// tensor of the given shape that it is folded from, in row-major order.
func groups(shape []int64, axes []int) [][]int {
	kept, folded := slices.Clone(shape), make([]int64, len(shape))
	for i, n := range shape {
		folded[i] = 1
		if slices.Contains(axes, i) {
			kept[i], folded[i] = 1, n
		}
	}
	st := strides(shape)
	inside := offsets(folded, 0, st)
	bases := offsets(kept, 0, st)
	out := make([][]int, len(bases))
	for i, b := range bases {
		out[i] = make([]int, len(inside))
		for k, o := range inside {
			out[i][k] = b + o
		}
	}
	return out
}

// reduce folds the axes of input 1 with f, which stores the value of a group
// of elements of t as element i of out. Without axes all are folded or, with
// noop_with_empty_axes, none: each element is a group then.
func reduce(f func(out *Tensor, i int, t *Tensor, group []int)) evaluator {
	return func(x *node) ([]*Tensor, error) {
		t := x.arg(0)
		ns, err := x.ints(1)
		if err != nil {
			return nil, err
		}
		if len(ns) == 0 {
			ns = x.Attrs.Ints("axes")
		}
		axes, err := axesOf(ns, len(t.Shape))
		if err != nil {
			return nil, err
		}
		if len(axes) == 0 && !x.flag("noop_with_empty_axes", 0) {
			for i := range t.Shape {
				axes = append(axes, i)
			}
		}
		keep := x.flag("keepdims", 1)
		shape := []int64{}
		for i, n := range t.Shape {
			switch {
			case !slices.Contains(axes, i):
				shape = append(shape, n)
			case keep:
				shape = append(shape, 1)
			}
		}
		out, err := x.make(t.Elem, shape)
		if err != nil {
			return nil, err
		}
		for i, g := range groups(t.Shape, axes) {
			f(out, i, t, g)
			if err := x.step(len(g)); err != nil {
				return nil, err
			}
		}
		return one(out, nil)
	}
}

// sumBy adds up mapped elements; integers wrap around.
func sumBy(out *Tensor, i int, t *Tensor, group []int, f func(float64) float64, g func(int64) int64, h func(uint64) uint64) {
	for _, j := range group {
		switch {
		case t.F != nil:
			out.F[i] += f(t.F[j])
		case t.U != nil:
			out.U[i] = wrapU(out.Elem, out.U[i]+h(t.U[j]))
		default:
			out.I[i] = wrapI(out.Elem, out.I[i]+g(t.I[j]))
		}
	}
}

func sumOf(out *Tensor, i int, t *Tensor, group []int) {
	sumBy(out, i, t, group,
		func(f float64) float64 { return f }, func(n int64) int64 { return n }, func(u uint64) uint64 { return u })
}

func sumSquare(out *Tensor, i int, t *Tensor, group []int) {
	sumBy(out, i, t, group,
		func(f float64) float64 { return f * f }, func(n int64) int64 { return n * n }, func(u uint64) uint64 { return u * u })
}

// meanOf truncates the mean of integers. The mean of nothing is NaN, or 0.
func meanOf(out *Tensor, i int, t *Tensor, group []int) {
	n := len(group)
	sumOf(out, i, t, group)
	switch {
	case out.F != nil:
		out.F[i] /= float64(n)
	case n == 0:
	case out.U != nil:
		out.U[i] /= uint64(n)
	default:
		out.I[i] /= int64(n)
	}
}

func prodOf(out *Tensor, i int, t *Tensor, group []int) {
	out.setReal(i, 1)
	for _, j := range group {
		switch {
		case t.F != nil:
			out.F[i] *= t.F[j]
		case t.U != nil:
			out.U[i] = wrapU(out.Elem, out.U[i]*t.U[j])
		default:
			out.I[i] = wrapI(out.Elem, out.I[i]*t.I[j])
		}
	}
}

// maxOf and minOf give the least and greatest value of the type for empty
// groups, and NaN for groups that contain one.
func maxOf(out *Tensor, i int, t *Tensor, group []int) {
	switch {
	case out.F != nil:
		out.F[i] = math.Inf(-1)
	case out.U == nil:
		out.I[i], _ = rangeI(out.Elem)
	}
	for _, j := range group {
		maxArith.apply(out, i, out, i, t, j)
	}
}

func minOf(out *Tensor, i int, t *Tensor, group []int) {
	switch {
	case out.F != nil:
		out.F[i] = math.Inf(1)
	case out.U != nil:
		out.U[i] = maxU(out.Elem)
	default:
		_, out.I[i] = rangeI(out.Elem)
	}
	for _, j := range group {
		minArith.apply(out, i, out, i, t, j)
	}
}

// logSumExp is log(sum(exp)), without overflow.
func logSumExp(t *Tensor, group []int) float64 {
	m := math.Inf(-1)
	for _, j := range group {
		m = max(m, t.float(j))
	}
	if math.IsInf(m, 0) || m != m {
		return m
	}
	s := 0.0
	for _, j := range group {
		s += math.Exp(t.float(j) - m)
	}
	return m + math.Log(s)
}

// arg finds the position of the element that none other beats; beaten(i, j)
// tells whether element j beats element i.
func arg(beaten func(t *Tensor, i, j int) bool) evaluator {
	return func(x *node) ([]*Tensor, error) {
		t := x.arg(0)
		a, err := axisOf(x.Attrs.Int("axis", 0), len(t.Shape))
		if err != nil {
			return nil, err
		}
		if t.Shape[a] == 0 {
			return nil, fmt.Errorf("axis %d of %v is empty", a, t.Shape)
		}
		shape := slices.Clone(t.Shape)
		if x.flag("keepdims", 1) {
			shape[a] = 1
		} else {
			shape = slices.Delete(shape, a, a+1)
		}
		out, err := x.make(enc.I64, shape)
		if err != nil {
			return nil, err
		}
		last := x.flag("select_last_index", 0)
		for i, g := range groups(t.Shape, []int{a}) {
			best := 0
			for k := range g {
				if beaten(t, g[best], g[k]) || last && !beaten(t, g[k], g[best]) {
					best = k
				}
			}
			out.I[i] = int64(best)
		}
		return one(out, x.step(t.Len()))
	}
}

// sortOps look at the order of elements along one axis.
var sortOps = map[string]evaluator{
	"TopK":   topK,
	"CumSum": cumSum,
}

// topK lists the greatest (or least) elements and their positions; of equal
// elements the first wins. The result is sorted in any case, which
// sorted=0 permits.
func topK(x *node) ([]*Tensor, error) {
	t := x.arg(0)
	k, err := x.int(1, 1)
	if err != nil {
		return nil, err
	}
	a, err := axisOf(x.Attrs.Int("axis", -1), len(t.Shape))
	if err != nil {
		return nil, err
	}
	if k < 0 || k > t.Shape[a] {
		return nil, fmt.Errorf("the first %d of %d elements: %w", k, t.Shape[a], ErrIndex)
	}
	shape := slices.Clone(t.Shape)
	shape[a] = k
	values, err := x.make(t.Elem, shape)
	if err != nil {
		return nil, err
	}
	where, err := x.make(enc.I64, shape)
	if err != nil {
		return nil, err
	}
	largest := x.flag("largest", 1)
	dst := groups(shape, []int{a})
	for i, g := range groups(t.Shape, []int{a}) {
		order := make([]int, len(g))
		for j := range order {
			order[j] = j
		}
		slices.SortStableFunc(order, func(p, q int) int {
			before, after := t.less(g[p], g[q]), t.less(g[q], g[p])
			if largest {
				before, after = after, before
			}
			return int(boolInt(after) - boolInt(before))
		})
		for j := range k {
			values.set(dst[i][j], t, g[order[j]])
			where.I[dst[i][j]] = int64(order[j])
		}
		if err := x.step(len(g)); err != nil {
			return nil, err
		}
	}
	return []*Tensor{values, where}, nil
}

func cumSum(x *node) ([]*Tensor, error) {
	t := x.arg(0)
	axis, err := x.int(1, 0)
	if err != nil {
		return nil, err
	}
	a, err := axisOf(axis, len(t.Shape))
	if err != nil {
		return nil, err
	}
	out, err := x.make(t.Elem, t.Shape)
	if err != nil {
		return nil, err
	}
	exclusive := x.flag("exclusive", 0)
	for _, g := range groups(t.Shape, []int{a}) {
		if x.flag("reverse", 0) {
			slices.Reverse(g)
		}
		for k, i := range g {
			if k > 0 {
				out.set(i, out, g[k-1])
			}
			switch {
			case !exclusive:
				addArith.apply(out, i, out, i, t, i)
			case k > 0:
				addArith.apply(out, i, out, i, t, g[k-1])
			}
		}
	}
	return one(out, x.step(t.Len()))
}
