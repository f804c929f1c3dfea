package cpu

import (
	"fmt"
	"math"

	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/hal/driver"
	"github.com/heddle-ml/heddle/ops"
)

func init() {
	register("Resize", lowering{elems: movable, lower: resize})
}

// taps is what a Resize reads along one axis: result o is the sum of width
// elements from first[o] on, by weights[o]. A first of -1 stands for a
// position outside of a crop.
type taps struct {
	ops.ResizeAxis
	width          int
	first, weights *tensor // i64 [Out], f64 [Out,width]
}

func resize(b *build, c *call) error {
	axes, err := ops.ResizeAxes(b.g.Call(b.node), b.at)
	if err != nil {
		return err
	}
	in, out := c.in[0], c.out[0]
	mode := c.Attrs.Str("mode", "nearest")
	coords := c.Attrs.Str("coordinate_transformation_mode", "half_pixel")
	crop := coords == "tf_crop_and_resize"
	plan := make([]*taps, out.rank())
	for _, a := range axes {
		if plan[a.Axis], err = b.tapsOf(c, a, mode, coords); err != nil {
			return err
		}
	}
	fill := float64(c.Attrs.Float("extrapolation_value", 0))
	if mode == "nearest" {
		switch out.elem.Bits() {
		case 8:
			nearest[uint8](b, out, in, plan)
		case 16:
			nearest[uint16](b, out, in, plan)
		case 32:
			nearest[uint32](b, out, in, plan)
		case 64:
			nearest[uint64](b, out, in, plan)
		default:
			return fmt.Errorf("no kernel for Resize of %s: %w", out.elem, driver.ErrUnsupported)
		}
		if crop {
			b.fillOutside(out, plan, fill)
		}
		return nil
	}
	// Filters work axis by axis, on float64 in between.
	x := in
	if x.elem != enc.F64 {
		x = b.temp(enc.F64, in.shape...)
		b.cast(x, in)
	}
	for a, t := range plan {
		if t == nil {
			continue
		}
		shape := append([]int(nil), x.shape...)
		shape[a] = int(t.Out)
		y := b.temp(enc.F64, shape...)
		b.filter(y, x, t)
		x = y
	}
	b.rounded(out, x)
	if crop {
		b.fillOutside(out, plan, fill)
	}
	return nil
}

// tapsOf adds a step that works out what an axis reads. It is done in each
// run, which is little beside the rest, rather than kept.
func (b *build) tapsOf(c *call, a ops.ResizeAxis, mode, coords string) (*taps, error) {
	t := &taps{ResizeAxis: a, width: 1}
	reach := map[string]float64{"nearest": 0, "linear": 1, "cubic": 2}[mode]
	antialias, exclude := c.Attrs.Int("antialias", 0) != 0, c.Attrs.Int("exclude_outside", 0) != 0
	stretch := 1.0
	if antialias {
		stretch = max(1, 1/a.Scale)
	}
	if reach > 0 {
		t.width = int(min(2*reach*stretch+2, float64(a.In)))
	}
	t.first = b.temp(enc.I64, int(a.Out))
	t.weights = b.temp(enc.F64, int(a.Out), t.width)
	near := nearestModes[c.Attrs.Str("nearest_mode", "round_prefer_floor")]
	if near == nil {
		return nil, fmt.Errorf("nearest_mode %q: %w", c.Attrs.Str("nearest_mode", ""), driver.ErrUnsupported)
	}
	shape := tent
	if mode == "cubic" {
		shape = keys(float64(c.Attrs.Float("cubic_coeff_a", -0.75)))
	}
	position, err := positionOf(a, coords)
	if err != nil {
		return nil, err
	}
	last := float64(a.In - 1)
	b.each(int(a.Out), 256, func(lo, hi int) {
		first := of[int64](t.first)
		for o := lo; o < hi; o++ {
			pos := position(float64(o))
			w := of[float64](t.weights)[o*t.width:][:t.width]
			clear(w)
			if coords == "tf_crop_and_resize" && (pos < 0 || pos > last) {
				first[o] = -1
				continue
			}
			if mode == "nearest" {
				first[o], w[0] = int64(max(0, min(last, near(pos)))), 1
				continue
			}
			// Elements beyond an edge are the edge's: their weight is its.
			from, to := math.Floor(pos-reach*stretch), math.Ceil(pos+reach*stretch)
			start := max(0, min(from, last-float64(t.width-1)))
			first[o] = int64(start)
			sum := 0.0
			for at := from; at <= to; at++ {
				if exclude && (at < 0 || at > last) {
					continue
				}
				v := shape((at - pos) / stretch)
				sum += v
				if v != 0 {
					w[int(max(0, min(last, at))-start)] += v
				}
			}
			if (antialias || exclude) && sum != 0 {
				for i := range w {
					w[i] /= sum
				}
			}
		}
	})
	return t, nil
}

var nearestModes = map[string]func(pos float64) float64{
	"round_prefer_floor": func(pos float64) float64 { return math.Ceil(pos - 0.5) },
	"round_prefer_ceil":  func(pos float64) float64 { return math.Floor(pos + 0.5) },
	"floor":              math.Floor,
	"ceil":               math.Ceil,
}

// tent is the filter of linear interpolation, keys that of cubic convolution
// (R. Keys, 1981) with parameter a.
func tent(d float64) float64 { return max(0, 1-math.Abs(d)) }

func keys(a float64) func(d float64) float64 {
	return func(d float64) float64 {
		d = math.Abs(d)
		switch {
		case d <= 1:
			return (a+2)*d*d*d - (a+3)*d*d + 1
		case d < 2:
			return a * (d*d*d - 5*d*d + 8*d - 4)
		}
		return 0
	}
}

// positionOf returns the function from a position of the result to one of the
// operand.
func positionOf(a ops.ResizeAxis, coords string) (func(o float64) float64, error) {
	in, out := float64(a.In), float64(a.Out)
	half := func(o float64) float64 { return (o+0.5)/a.Scale - 0.5 }
	constant := func(v float64) func(float64) float64 { return func(float64) float64 { return v } }
	switch coords {
	case "half_pixel":
		return half, nil
	case "pytorch_half_pixel":
		if a.Out <= 1 {
			return constant(0), nil
		}
		return half, nil
	case "half_pixel_symmetric":
		// The result is as long as a whole number; the centres meet.
		shift := in / 2 * (1 - out/(in*a.Scale))
		return func(o float64) float64 { return shift + half(o) }, nil
	case "asymmetric":
		return func(o float64) float64 { return o / a.Scale }, nil
	case "align_corners":
		if in*a.Scale == 1 {
			return constant(0), nil
		}
		return func(o float64) float64 { return o * (in - 1) / (in*a.Scale - 1) }, nil
	case "tf_crop_and_resize":
		if a.Out <= 1 {
			return constant((a.Start + a.End) * (in - 1) / 2), nil
		}
		return func(o float64) float64 { return a.Start*(in-1) + o*(a.End-a.Start)*(in-1)/(out-1) }, nil
	}
	return nil, fmt.Errorf("coordinate_transformation_mode %q: %w", coords, driver.ErrUnsupported)
}

// nearest adds a step that picks elements.
func nearest[T any](b *build, out, in *tensor, plan []*taps) {
	rank := len(plan)
	if rank == 0 {
		b.copy(out, in)
		return
	}
	st := dense(in.shape)
	inner := out.shape[rank-1]
	pick := func(a, o int) int {
		if plan[a] == nil {
			return o
		}
		return max(0, int(of[int64](plan[a].first)[o])) // what is outside is overwritten
	}
	b.each(out.n/inner, grain/inner/2, func(lo, hi int) {
		dst, src := of[T](out), of[T](in)
		for r := lo; r < hi; r++ {
			at, rest := 0, r
			for a := rank - 2; a >= 0; a-- {
				at += pick(a, rest%out.shape[a]) * st[a]
				rest /= out.shape[a]
			}
			row := dst[r*inner : (r+1)*inner]
			for i := range row {
				row[i] = src[at+pick(rank-1, i)]
			}
		}
	})
}

// filter adds a step that computes weighted sums along an axis.
func (b *build) filter(y, x *tensor, t *taps) {
	inner, n, m := prod(x.shape[t.Axis+1:]), int(t.In), int(t.Out)
	b.each(y.n/inner, grain/8/inner/t.width, func(lo, hi int) {
		dst, src := of[float64](y), of[float64](x)
		for r := lo; r < hi; r++ {
			row := dst[r*inner : (r+1)*inner]
			clear(row)
			o := r % m
			first := int(of[int64](t.first)[o])
			if first < 0 {
				continue
			}
			for k, w := range of[float64](t.weights)[o*t.width:][:t.width] {
				if w == 0 {
					continue // nor may what it does not read be NaN
				}
				for i, v := range src[(r/m*n+first+k)*inner:][:inner] {
					row[i] += w * v
				}
			}
		}
	})
}

// rounded adds a step that stores reals in a tensor of any type; integers are
// rounded to nearest even, and saturate.
func (b *build) rounded(out, x *tensor) {
	if out.elem.IsFloat() {
		b.cast(out, x)
		return
	}
	lo, hi := codeRange(out.elem)
	b.each(out.n, grain/4, func(from, to int) {
		for i := from; i < to; i++ {
			storeRounded(out, i, of[float64](x)[i], lo, hi)
		}
	})
}

func storeRounded(out *tensor, i int, v, lo, hi float64) {
	n := [1]int64{truncate(max(lo, min(hi, math.RoundToEven(v))), out.elem)}
	storeInts(out.bytes(), out.elem, i, n[:])
}

// fillOutside adds a step that writes a value wherever an axis is outside of
// its crop.
func (b *build) fillOutside(out *tensor, plan []*taps, value float64) {
	lo, hi := codeRange(out.elem)
	b.each(out.n, grain/4, func(from, to int) {
		for i := from; i < to; i++ {
			rest, beyond := i, false
			for a := len(plan) - 1; a >= 0; a-- {
				o := rest % out.shape[a]
				rest /= out.shape[a]
				beyond = beyond || plan[a] != nil && of[int64](plan[a].first)[o] < 0
			}
			switch {
			case !beyond:
			case out.elem.IsFloat():
				v := [1]float64{value}
				storeFloats(out.bytes(), out.elem, i, v[:])
			case out.elem == enc.Bool:
				n := [1]int64{truncate(value, enc.Bool)}
				storeInts(out.bytes(), enc.Bool, i, n[:])
			default:
				storeRounded(out, i, value, lo, hi)
			}
		}
	})
}
