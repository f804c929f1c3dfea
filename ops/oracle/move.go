package oracle

import (
	"errors"
	"fmt"
	"slices"

	"github.com/heddle-ml/heddle/graph/dim"
)

// moveOps rearrange the elements of one operand.
var moveOps = map[string]evaluator{
	"Reshape":      reshape,
	"Flatten":      flatten,
	"Squeeze":      squeeze,
	"Unsqueeze":    unsqueeze,
	"Transpose":    transpose,
	"Expand":       expand,
	"Tile":         tile,
	"Slice":        slice,
	"Pad":          pad,
	"DepthToSpace": depthToSpace,
	"SpaceToDepth": spaceToDepth,
	"Trilu":        trilu,
}

// reshape copies a dimension where the operand says 0 (unless allowzero) and
// infers the one that is -1.
func reshape(x *node) ([]*Tensor, error) {
	t := x.arg(0)
	want, err := x.ints(1)
	if err != nil {
		return nil, err
	}
	shape := slices.Clone(want)
	infer := -1
	for i, d := range shape {
		switch {
		case d == 0 && !x.flag("allowzero", 0):
			if i >= len(t.Shape) {
				return nil, fmt.Errorf("shape %v copies dimension %d of %v: %w", want, i, t.Shape, ErrIndex)
			}
			shape[i] = t.Shape[i]
		case d == -1 && infer < 0:
			infer = i
			shape[i] = 1
		case d < 0:
			return nil, fmt.Errorf("shape %v: want at most one -1", want)
		}
	}
	n, err := dim.Count(shape)
	if err != nil {
		return nil, err
	}
	if infer >= 0 {
		if n == 0 || int64(t.Len())%n != 0 {
			return nil, fmt.Errorf("%d elements cannot have shape %v", t.Len(), want)
		}
		shape[infer] = int64(t.Len()) / n
	} else if n != int64(t.Len()) {
		return nil, fmt.Errorf("%d elements cannot have shape %v", t.Len(), want)
	}
	return one(t.with(shape), nil)
}

// flatten makes a matrix; its axis may equal the rank.
func flatten(x *node) ([]*Tensor, error) {
	t := x.arg(0)
	r := int64(len(t.Shape))
	axis := x.Attrs.Int("axis", 1)
	if axis < -r || axis > r {
		return nil, fmt.Errorf("axis %d of %d dimensions: %w", axis, r, ErrIndex)
	}
	if axis < 0 {
		axis += r
	}
	rows, cols := size(t.Shape[:axis]), size(t.Shape[axis:])
	return one(t.with([]int64{int64(rows), int64(cols)}), nil)
}

func squeeze(x *node) ([]*Tensor, error) {
	t := x.arg(0)
	ns, err := x.ints(1)
	if err != nil {
		return nil, err
	}
	axes, err := axesOf(ns, len(t.Shape))
	if err != nil {
		return nil, err
	}
	shape := []int64{}
	for i, d := range t.Shape {
		switch drop := slices.Contains(axes, i) || x.arg(1) == nil && d == 1; {
		case !drop:
			shape = append(shape, d)
		case d != 1:
			return nil, fmt.Errorf("dimension %d of %v is not 1", i, t.Shape)
		}
	}
	return one(t.with(shape), nil)
}

func unsqueeze(x *node) ([]*Tensor, error) {
	t := x.arg(0)
	ns, err := x.ints(1)
	if err != nil {
		return nil, err
	}
	axes, err := axesOf(ns, len(t.Shape)+len(ns))
	if err != nil {
		return nil, err
	}
	shape := make([]int64, 0, len(t.Shape)+len(ns))
	rest := t.Shape
	for i := range cap(shape) {
		if slices.Contains(axes, i) {
			shape = append(shape, 1)
		} else {
			shape = append(shape, rest[0])
			rest = rest[1:]
		}
	}
	return one(t.with(shape), nil)
}

// transpose reverses the dimensions unless perm says otherwise.
func transpose(x *node) ([]*Tensor, error) {
	t := x.arg(0)
	perm := make([]int, len(t.Shape))
	for i := range perm {
		perm[i] = len(perm) - 1 - i
	}
	if x.Attrs.Has("perm") {
		var err error
		if perm, err = axesOf(x.Attrs.Ints("perm"), len(t.Shape)); err != nil {
			return nil, err
		}
		if len(perm) != len(t.Shape) {
			return nil, fmt.Errorf("perm %v is not a permutation of %d dimensions", perm, len(t.Shape))
		}
	}
	return one(t.permute(perm))
}

// permute returns t with dimension i taken from dimension perm[i].
func (t *Tensor) permute(perm []int) (*Tensor, error) {
	st := strides(t.Shape)
	shape, stride := make([]int64, len(perm)), make([]int, len(perm))
	for i, a := range perm {
		shape[i], stride[i] = t.Shape[a], st[a]
	}
	return t.pick(shape, offsets(shape, 0, stride))
}

// expand broadcasts in both directions: an operand dimension of 1 keeps the
// input's.
func expand(x *node) ([]*Tensor, error) {
	t := x.arg(0)
	want, err := x.ints(1)
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(want, func(d int64) bool { return d < 0 }) {
		return nil, fmt.Errorf("shape %v has a negative dimension", want)
	}
	shape, err := broadcastShape(t.Shape, want)
	if err == nil {
		err = x.fits(shape)
	}
	if err != nil {
		return nil, err
	}
	offs, err := broadcastOffsets(t.Shape, shape)
	if err != nil {
		return nil, err
	}
	return one(t.pick(shape, offs))
}

func tile(x *node) ([]*Tensor, error) {
	t := x.arg(0)
	reps, err := x.ints(1)
	if err != nil {
		return nil, err
	}
	if len(reps) != len(t.Shape) {
		return nil, fmt.Errorf("%d repeats for %d dimensions", len(reps), len(t.Shape))
	}
	// Each dimension becomes a pair (repeat, index) whose first half does not
	// move in the input.
	var pairs []int64
	var stride []int
	shape := make([]int64, len(reps))
	for i, st := range strides(t.Shape) {
		pairs = append(pairs, reps[i], t.Shape[i])
		stride = append(stride, 0, st)
		if _, err := dim.Count([]int64{reps[i], t.Shape[i]}); err != nil {
			return nil, err
		}
		shape[i] = reps[i] * t.Shape[i]
	}
	out, err := x.view(t, pairs, 0, stride)
	if err != nil {
		return nil, err
	}
	return one(out.with(shape), nil)
}

// slice clamps starts and ends as ONNX says: to [0, n] for positive steps, to
// [-1, n-1] for negative ones.
func slice(x *node) ([]*Tensor, error) {
	t := x.arg(0)
	var ops [4][]int64 // starts, ends, axes, steps
	for i := range ops {
		var err error
		if ops[i], err = x.ints(1 + i); err != nil {
			return nil, err
		}
	}
	starts, ends, steps := ops[0], ops[1], ops[3]
	axes := make([]int, len(starts))
	for i := range axes {
		axes[i] = i
	}
	if x.arg(3) != nil {
		var err error
		if axes, err = axesOf(ops[2], len(t.Shape)); err != nil {
			return nil, err
		}
	}
	if len(ends) != len(starts) || len(axes) != len(starts) || steps != nil && len(steps) != len(starts) || len(starts) > len(t.Shape) {
		return nil, fmt.Errorf("%d starts, %d ends, %d axes and %d steps for %d dimensions", len(starts), len(ends), len(axes), len(steps), len(t.Shape))
	}
	shape, stride, base := slices.Clone(t.Shape), strides(t.Shape), 0
	for i, a := range axes {
		n, step := t.Shape[a], int64(1)
		if steps != nil {
			step = steps[i]
		}
		if step == 0 {
			return nil, errors.New("step is 0")
		}
		lo, hi := int64(0), n
		if step < 0 {
			lo, hi = -1, n-1
		}
		bound := func(p int64) int64 {
			if p < 0 {
				p += n
			}
			return max(lo, min(hi, p))
		}
		start, end := bound(starts[i]), bound(ends[i])
		if n == 0 {
			start, end = 0, 0
		}
		var count int64
		if step > 0 && end > start {
			count = (end-start-1)/step + 1
		} else if step < 0 && start > end {
			// -step would overflow for the least integer; start-end-1 is
			// smaller than any such step anyway.
			count = (end-start+1)/step + 1
		}
		shape[a] = count
		if count > 0 {
			base += int(start) * stride[a]
		}
		if count > 1 {
			stride[a] *= int(step)
		}
	}
	return one(x.view(t, shape, base, stride))
}

// pad surrounds or, where pads are negative, crops.
func pad(x *node) ([]*Tensor, error) {
	t := x.arg(0)
	pads, err := x.ints(1)
	if err != nil {
		return nil, err
	}
	axes := make([]int, len(t.Shape))
	for i := range axes {
		axes[i] = i
	}
	if x.arg(3) != nil {
		ns, err := x.ints(3)
		if err != nil {
			return nil, err
		}
		if axes, err = axesOf(ns, len(t.Shape)); err != nil {
			return nil, err
		}
	}
	if len(pads) != 2*len(axes) {
		return nil, fmt.Errorf("%d pads for %d axes", len(pads), len(axes))
	}
	before := make([]int64, len(t.Shape))
	shape := slices.Clone(t.Shape)
	for i, a := range axes {
		before[a] = pads[i]
		for _, p := range []int64{pads[i], pads[i+len(axes)]} {
			if p > x.limit || p < -x.limit {
				return nil, fmt.Errorf("pad of %d: %w", p, ErrLimit)
			}
			shape[a] += p
		}
		if shape[a] < 0 {
			return nil, fmt.Errorf("pads %v remove more than dimension %d of %v has", pads, a, t.Shape)
		}
	}
	mode := x.Attrs.Str("mode", "constant")
	source, ok := padModes[mode]
	if !ok {
		return nil, fmt.Errorf("mode is %q; want constant, edge, reflect or wrap", mode)
	}
	out, err := x.make(t.Elem, shape)
	if err != nil {
		return nil, err
	}
	fill := x.arg(2)
	if fill != nil && (fill.Len() != 1 || fill.Elem != t.Elem) {
		return nil, fmt.Errorf("constant_value must be one %s", t.Elem)
	}
	st := strides(t.Shape)
	i := 0
	var bad error
	walk(shape, func(index []int64) {
		src := 0
		for a, k := range index {
			p := k - before[a]
			if p < 0 || p >= t.Shape[a] {
				if t.Shape[a] == 0 && mode != "constant" {
					bad = fmt.Errorf("mode %s has nothing to repeat in dimension %d of %v", mode, a, t.Shape)
				}
				p = source(p, max(t.Shape[a], 1))
			}
			if p < 0 {
				src = -1
				break
			}
			src += int(p) * st[a]
		}
		switch {
		case bad != nil:
		case src >= 0:
			out.set(i, t, src)
		case fill != nil:
			out.set(i, fill, 0)
		}
		i++
	})
	if bad != nil {
		return nil, bad
	}
	return one(out, x.step(out.Len()))
}

// padModes say which of n positions stands for position p outside of 0..n-1;
// -1 is the constant.
var padModes = map[string]func(p, n int64) int64{
	"constant": func(int64, int64) int64 { return -1 },
	"edge":     func(p, n int64) int64 { return max(0, min(n-1, p)) },
	"wrap":     func(p, n int64) int64 { return ((p % n) + n) % n },
	"reflect": func(p, n int64) int64 {
		if n == 1 {
			return 0
		}
		period := 2 * (n - 1)
		if p = ((p % period) + period) % period; p >= n {
			p = period - p
		}
		return p
	},
}

// blockSize reads the attribute that DepthToSpace and SpaceToDepth share.
func (x *node) blockSize() (int64, error) {
	b := x.Attrs.Int("blocksize", 0)
	if len(x.arg(0).Shape) != 4 || b <= 0 || b > 1<<20 {
		return 0, fmt.Errorf("input has shape %v, blocksize is %d; want four dimensions and a positive size", x.arg(0).Shape, b)
	}
	return b, nil
}

func depthToSpace(x *node) ([]*Tensor, error) {
	t := x.arg(0)
	b, err := x.blockSize()
	if err != nil {
		return nil, err
	}
	n, c, h, w := t.Shape[0], t.Shape[1], t.Shape[2], t.Shape[3]
	if c%(b*b) != 0 {
		return nil, fmt.Errorf("%d channels are not divisible by blocksize %d squared", c, b)
	}
	c /= b * b
	out := []int64{n, c, h * b, w * b}
	switch mode := x.Attrs.Str("mode", "DCR"); mode {
	case "DCR":
		u, err := t.with([]int64{n, b, b, c, h, w}).permute([]int{0, 3, 4, 1, 5, 2})
		if err != nil {
			return nil, err
		}
		return one(u.with(out), nil)
	case "CRD":
		u, err := t.with([]int64{n, c, b, b, h, w}).permute([]int{0, 1, 4, 2, 5, 3})
		if err != nil {
			return nil, err
		}
		return one(u.with(out), nil)
	default:
		return nil, fmt.Errorf("mode is %q; want DCR or CRD", mode)
	}
}

func spaceToDepth(x *node) ([]*Tensor, error) {
	t := x.arg(0)
	b, err := x.blockSize()
	if err != nil {
		return nil, err
	}
	n, c, h, w := t.Shape[0], t.Shape[1], t.Shape[2], t.Shape[3]
	if h%b != 0 || w%b != 0 {
		return nil, fmt.Errorf("%dx%d is not divisible by blocksize %d", h, w, b)
	}
	u, err := t.with([]int64{n, c, h / b, b, w / b, b}).permute([]int{0, 3, 5, 1, 2, 4})
	if err != nil {
		return nil, err
	}
	return one(u.with([]int64{n, c * b * b, h / b, w / b}), nil)
}

// trilu keeps the upper or lower triangle of each matrix, from diagonal k.
func trilu(x *node) ([]*Tensor, error) {
	t := x.arg(0)
	k, err := x.int(1, 0)
	if err != nil {
		return nil, err
	}
	r := len(t.Shape)
	if r < 2 {
		return nil, fmt.Errorf("input has shape %v; want a matrix", t.Shape)
	}
	out, err := x.make(t.Elem, t.Shape)
	if err != nil {
		return nil, err
	}
	upper := x.flag("upper", 1)
	i := 0
	walk(t.Shape, func(index []int64) {
		row, col := index[r-2], index[r-1]
		// col-row lies within the shape, so this cannot overflow.
		if d := col - row; upper && d >= k || !upper && d <= k {
			out.set(i, t, i)
		}
		i++
	})
	return one(out, nil)
}
