package oracle

import (
	"fmt"
	"math"
	"slices"

	"github.com/heddle-ml/heddle/graph/enc"
)

// resizeOps sample a tensor at other positions.
var resizeOps = map[string]evaluator{"Resize": resize}

// resampling is a Resize along one axis: positions in x are positions in y
// divided by scale, about. roi is the part of x that is cropped.
type resampling struct {
	in, out    int64
	scale      float64
	start, end float64
}

// resize works axis by axis: the weight of a sample is the product of its
// weights along the axes.
func resize(x *node) ([]*Tensor, error) {
	t := x.arg(0)
	axes, plan, err := x.resampling()
	if err != nil {
		return nil, err
	}
	shape := slices.Clone(t.Shape)
	for i, p := range plan {
		shape[axes[i]] = p.out
	}
	if res, err := x.make(t.Elem, shape); err != nil || res.Len() == 0 {
		return one(res, err)
	}
	mode := x.Attrs.Str("mode", "nearest")
	nearest := mode == "nearest"
	fill := x.float("extrapolation_value", 0)
	out := t
	if !nearest {
		out = &Tensor{Elem: enc.F64, Shape: t.Shape, F: make([]float64, t.Len())}
		for i := range out.F {
			out.F[i] = t.float(i)
		}
	}
	outside := make([][]bool, len(t.Shape)) // positions that get fill
	for i, p := range plan {
		a := axes[i]
		shape := slices.Clone(out.Shape)
		shape[a] = p.out
		next, err := x.make(out.Elem, shape)
		if err != nil {
			return nil, err
		}
		outer, n, inner := split3(out.Shape, a)
		m := int(p.out)
		outside[a] = make([]bool, m)
		for o := range m {
			pos, err := x.position(p, o)
			if err != nil {
				return nil, err
			}
			crop := x.Attrs.Str("coordinate_transformation_mode", "half_pixel") == "tf_crop_and_resize"
			outside[a][o] = crop && (pos < 0 || pos > float64(p.in-1))
			if outside[a][o] {
				pos = 0 // anything: it is not used
			}
			samples, err := x.samples(mode, pos, p)
			if err != nil {
				return nil, err
			}
			for _, s := range samples {
				at := int(max(0, min(s.at, p.in-1))) // the edge goes on for ever
				for r := range outer {
					for c := range inner {
						dst, src := (r*m+o)*inner+c, (r*n+at)*inner+c
						if nearest {
							next.set(dst, out, src)
						} else {
							next.F[dst] += s.weight * out.F[src]
						}
					}
				}
			}
			if err := x.step(len(samples) * outer * inner); err != nil {
				return nil, err
			}
		}
		out = next
	}
	res, err := x.make(t.Elem, out.Shape)
	if err != nil {
		return nil, err
	}
	i := 0
	walk(out.Shape, func(index []int64) {
		beyond := false
		for a, k := range index {
			beyond = beyond || outside[a] != nil && outside[a][k]
		}
		switch {
		case beyond && res.F == nil && res.Elem != enc.Bool:
			res.setCode(i, math.RoundToEven(fill))
		case beyond:
			res.setFloat(i, fill)
		case nearest:
			res.set(i, out, i)
		case res.F != nil:
			res.F[i] = out.F[i]
		default:
			res.setCode(i, math.RoundToEven(out.F[i]))
		}
		i++
	})
	return one(res, nil)
}

// resampling reads the operands: which axes are resized, and how.
func (x *node) resampling() ([]int, []resampling, error) {
	t := x.arg(0)
	axes := make([]int, len(t.Shape))
	for i := range axes {
		axes[i] = i
	}
	if x.Attrs.Has("axes") {
		var err error
		if axes, err = axesOf(x.Attrs.Ints("axes"), len(t.Shape)); err != nil {
			return nil, nil, err
		}
	}
	plan := make([]resampling, len(axes))
	n := len(axes)
	for i, a := range axes {
		plan[i] = resampling{in: t.Shape[a], end: 1}
	}
	if roi := x.arg(1); roi != nil && x.Attrs.Str("coordinate_transformation_mode", "half_pixel") == "tf_crop_and_resize" {
		if len(roi.F) != 2*n {
			return nil, nil, fmt.Errorf("roi has %d numbers for %d axes", len(roi.F), n)
		}
		for i := range plan {
			plan[i].start, plan[i].end = roi.F[i], roi.F[n+i]
		}
	}
	scales, sizes := x.arg(2), x.arg(3)
	switch {
	case scales != nil && sizes == nil && len(scales.F) == n:
		for i := range plan {
			p := &plan[i]
			p.scale = scales.F[i]
			f := math.Floor(float64(p.in) * (p.end - p.start) * p.scale)
			if !(p.scale > 0 && f >= 0 && f < 1<<40) {
				return nil, nil, fmt.Errorf("scale %v of a dimension of %d", p.scale, p.in)
			}
			p.out = int64(f)
		}
	case sizes != nil && scales == nil && len(sizes.I) == n:
		for i := range plan {
			plan[i].out = sizes.I[i]
			plan[i].scale = float64(sizes.I[i]) / float64(plan[i].in)
		}
		keepRatio(x.Attrs.Str("keep_aspect_ratio_policy", "stretch"), plan)
	default:
		return nil, nil, fmt.Errorf("want either scales or sizes, one for each of %d axes", n)
	}
	for _, p := range plan {
		if p.out < 0 || p.in == 0 && p.out > 0 {
			return nil, nil, fmt.Errorf("a dimension of %d cannot become %d", p.in, p.out)
		}
	}
	return axes, plan, nil
}

// keepRatio gives all axes one scale: the least of theirs, so that none gets
// larger than asked for, or the greatest.
func keepRatio(policy string, plan []resampling) {
	if policy == "stretch" || len(plan) == 0 {
		return
	}
	scale := plan[0].scale
	for _, p := range plan {
		if policy == "not_larger" {
			scale = min(scale, p.scale)
		} else {
			scale = max(scale, p.scale)
		}
	}
	for i := range plan {
		plan[i].scale = scale
		plan[i].out = int64(math.Floor(scale*float64(plan[i].in) + 0.5))
	}
}

// position returns which position of the operand a position of the result
// stands for. The result's length is in*scale, a fraction where scales were
// given.
func (x *node) position(p resampling, o int) (float64, error) {
	at, in := float64(o), float64(p.in)
	length := in * p.scale
	switch mode := x.Attrs.Str("coordinate_transformation_mode", "half_pixel"); mode {
	case "half_pixel":
		return (at+0.5)/p.scale - 0.5, nil
	case "pytorch_half_pixel":
		if p.out <= 1 {
			return 0, nil
		}
		return (at+0.5)/p.scale - 0.5, nil
	case "half_pixel_symmetric":
		return in/2*(1-float64(p.out)/length) + (at+0.5)/p.scale - 0.5, nil
	case "asymmetric":
		return at / p.scale, nil
	case "align_corners":
		if length == 1 {
			return 0, nil
		}
		return at * (in - 1) / (length - 1), nil
	case "tf_crop_and_resize":
		if p.out <= 1 {
			return (p.start + p.end) * (in - 1) / 2, nil
		}
		return p.start*(in-1) + at*(p.end-p.start)*(in-1)/(float64(p.out)-1), nil
	default:
		return 0, fmt.Errorf("coordinate_transformation_mode %q is %w", mode, ErrUnsupported)
	}
}

// sample is an element along an axis, which may lie outside.
type sample struct {
	at     int64
	weight float64
}

// samples returns what contributes to a result at a position of the operand.
func (x *node) samples(mode string, pos float64, p resampling) ([]sample, error) {
	if mode == "nearest" {
		near := map[string]float64{
			"round_prefer_floor": math.Ceil(pos - 0.5),
			"round_prefer_ceil":  math.Floor(pos + 0.5),
			"floor":              math.Floor(pos),
			"ceil":               math.Ceil(pos),
		}
		way := x.Attrs.Str("nearest_mode", "round_prefer_floor")
		f, ok := near[way]
		if !ok {
			return nil, fmt.Errorf("nearest_mode %q is %w", way, ErrUnsupported)
		}
		return []sample{{at: int64(f), weight: 1}}, nil
	}
	// The filter is a function of the distance, not 0 up to reach; it is
	// stretched where antialias shrinks the picture.
	var filter func(d float64) float64
	reach := 1.0
	switch mode {
	case "linear":
		filter = func(d float64) float64 { return max(0, 1-math.Abs(d)) }
	case "cubic":
		reach = 2
		filter = cubic(x.float("cubic_coeff_a", -0.75))
	default:
		return nil, fmt.Errorf("mode %q is %w", mode, ErrUnsupported)
	}
	stretch, antialias := 1.0, x.flag("antialias", 0)
	if antialias {
		stretch = max(1, 1/p.scale)
	}
	first, last := math.Floor(pos-reach*stretch), math.Ceil(pos+reach*stretch)
	if last-first > 8*float64(p.in+2) {
		return nil, fmt.Errorf("a filter over %g positions of %d: %w", last-first, p.in, ErrLimit)
	}
	exclude := x.flag("exclude_outside", 0)
	var out []sample
	sum := 0.0
	for at := first; at <= last; at++ {
		w := filter((at - pos) / stretch)
		if w == 0 || exclude && (at < 0 || at >= float64(p.in)) {
			continue
		}
		out = append(out, sample{int64(at), w})
		sum += w
	}
	if (antialias || exclude) && sum != 0 {
		for i := range out {
			out[i].weight /= sum
		}
	}
	return out, nil
}

// cubic is the convolution kernel of Keys with parameter a.
func cubic(a float64) func(d float64) float64 {
	return func(d float64) float64 {
		d = math.Abs(d)
		switch {
		case d <= 1:
			return ((a+2)*d-(a+3))*d*d + 1
		case d < 2:
			return ((a*d-5*a)*d+8*a)*d - 4*a
		}
		return 0
	}
}
