package ops

import (
	"fmt"
	"math"
	"math/bits"
	"slices"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
)

// Inputs of Resize, by position.
const (
	resizeX = iota
	resizeRoi
	resizeScales
	resizeSizes
)

func init() {
	str := func(name, def string) AttrSpec {
		return AttrSpec{Name: name, Kind: graph.AttrString, Default: def}
	}
	Register(Op{
		Ref: onnx("Resize", 19),
		Doc: "X sampled at other positions along some axes: nearest, or linear or cubic interpolation, which antialias stretches where it shrinks. " +
			"Either sizes are the new dimensions or scales the factors; coordinate_transformation_mode says which position of X a new one stands for.",
		Inputs: []Param{
			{Name: "X", Types: anything, Same: "T"},
			{Name: "roi", Types: Floats &^ TypeSet(1<<enc.BF16), Const: true, Optional: true},
			{Name: "scales", Types: f32Only, Const: true, Optional: true},
			{Name: "sizes", Types: i64Only, Const: true, Optional: true},
		},
		Outputs: in1("Y", anything),
		Attrs: []AttrSpec{
			{Name: "antialias", Kind: graph.AttrInt, Default: "0"},
			{Name: "axes", Kind: graph.AttrInts, Default: "all"},
			str("coordinate_transformation_mode", "half_pixel"),
			{Name: "cubic_coeff_a", Kind: graph.AttrFloat, Default: "-0.75"},
			{Name: "exclude_outside", Kind: graph.AttrInt, Default: "0"},
			{Name: "extrapolation_value", Kind: graph.AttrFloat, Default: "0"},
			str("keep_aspect_ratio_policy", "stretch"),
			str("mode", "nearest"),
			str("nearest_mode", "round_prefer_floor"),
		},
		Infer: func(c *graph.Call) ([]graph.Type, error) {
			if err := checkResize(c); err != nil {
				return nil, err
			}
			axes, err := resizeAxes(c)
			if err != nil {
				return nil, err
			}
			out := slices.Clone(c.Type(resizeX).Shape)
			for _, a := range axes {
				out[a.axis] = a.out
			}
			return result(c.Type(resizeX).Elem, out)
		},
		Cost: costResize, Class: Contraction,
	})
}

// ResizeAxis is what a Resize does along one axis.
type ResizeAxis struct {
	Axis    int
	In, Out int64
	// Scale is the factor between positions: Out/In, or the scale given, of
	// which Out is the whole part.
	Scale float64
	// Start and End are the part of the axis that tf_crop_and_resize samples,
	// as fractions; else 0 and 1.
	Start, End float64
}

// ResizeAxes returns what a Resize that inference accepts does along each of
// its axes, for given values of the symbols. Axes that stay as they are may be
// among them.
func ResizeAxes(c *graph.Call, bind dim.Binding) ([]ResizeAxis, error) {
	axes, err := resizeAxes(c)
	if err != nil {
		return nil, err
	}
	out := make([]ResizeAxis, len(axes))
	for i, a := range axes {
		r := ResizeAxis{Axis: a.axis, Scale: a.scale, Start: a.start, End: a.end}
		if r.In, err = a.in.Eval(bind); err != nil {
			return nil, err
		}
		if r.Out, err = a.out.Eval(bind); err != nil {
			return nil, err
		}
		if r.In < 1 && r.Out > 0 || r.Out < 0 {
			return nil, fmt.Errorf("axis %d cannot be resized from %d to %d", a.axis, r.In, r.Out)
		}
		if r.Scale == 0 {
			r.Scale = float64(r.Out) / float64(max(r.In, 1))
		}
		// A filter that is stretched over more than the axis comes from a crop
		// of many times the axis, which nobody means.
		if c.Attrs.Int("antialias", 0) != 0 && r.Out > 0 && r.Scale*float64(r.In) < 0.5 {
			return nil, fmt.Errorf("axis %d of %d cannot be shrunk by %v with antialias", a.axis, r.In, r.Scale)
		}
		out[i] = r
	}
	return out, nil
}

// resized is ResizeAxis before symbols are bound; scale is 0 where it follows
// from the dimensions.
type resized struct {
	axis              int
	in, out           dim.Dim
	scale, start, end float64
}

var resizeWords = []struct {
	attr, def string
	words     []string
}{
	{"mode", "nearest", []string{"nearest", "linear", "cubic"}},
	{"nearest_mode", "round_prefer_floor", []string{"round_prefer_floor", "round_prefer_ceil", "floor", "ceil"}},
	{"keep_aspect_ratio_policy", "stretch", []string{"stretch", "not_larger", "not_smaller"}},
	{"coordinate_transformation_mode", "half_pixel",
		[]string{"half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric", "tf_crop_and_resize"}},
}

func checkResize(c *graph.Call) error {
	for _, w := range resizeWords {
		if s := c.Attrs.Str(w.attr, w.def); !slices.Contains(w.words, s) {
			return fmt.Errorf("attribute %s is %q; want one of %q", w.attr, s, w.words)
		}
	}
	mode := c.Attrs.Str("mode", "nearest")
	if c.Attrs.Int("antialias", 0) != 0 && mode == "nearest" {
		return fmt.Errorf("attribute antialias needs mode linear or cubic")
	}
	if c.Type(resizeX).Elem == enc.Bool && mode != "nearest" {
		return fmt.Errorf("%s: only mode nearest makes sense of it", describe(c, resizeX))
	}
	for _, name := range []string{"cubic_coeff_a", "extrapolation_value"} {
		if f := attr64(c, name, 0); math.IsNaN(f) || math.IsInf(f, 0) {
			return fmt.Errorf("attribute %s is %v", name, f)
		}
	}
	return nil
}

// resizeAxes reads the operands.
func resizeAxes(c *graph.Call) ([]resized, error) {
	shape := c.Type(resizeX).Shape
	list := make([]int64, len(shape))
	for i := range list {
		list[i] = int64(i)
	}
	if ns := c.Attrs.Ints("axes"); ns != nil {
		list = ns
	}
	at, err := normAxes(list, len(shape))
	if err != nil {
		return nil, fmt.Errorf("attribute axes: %w", err)
	}
	axes := make([]resized, len(at))
	for i, a := range at {
		axes[i] = resized{axis: a, in: shape[a], end: 1}
	}
	if c.Has(resizeScales) == c.Has(resizeSizes) {
		return nil, fmt.Errorf("wants either scales or sizes")
	}
	if c.Attrs.Str("coordinate_transformation_mode", "half_pixel") == "tf_crop_and_resize" {
		if err := readRoi(c, axes); err != nil {
			return nil, err
		}
	}
	if c.Has(resizeScales) {
		err = scaleAxes(c, axes)
	} else {
		err = sizeAxes(c, axes)
	}
	if err != nil {
		return nil, err
	}
	for _, a := range axes {
		if a.in.Is(0) && !a.out.Is(0) {
			return nil, fmt.Errorf("%s: there is nothing along axis %d to resize", describe(c, resizeX), a.axis)
		}
	}
	return axes, nil
}

func readRoi(c *graph.Call, axes []resized) error {
	if !c.Has(resizeRoi) {
		return fmt.Errorf("tf_crop_and_resize wants a roi")
	}
	roi, err := floatOperand(c, resizeRoi)
	if err != nil {
		return err
	}
	n := len(axes)
	if len(roi) != 2*n {
		return fmt.Errorf("%s: want the starts and ends of %d axes", describe(c, resizeRoi), n)
	}
	for i := range axes {
		axes[i].start, axes[i].end = roi[i], roi[n+i]
	}
	return nil
}

func scaleAxes(c *graph.Call, axes []resized) error {
	if c.Attrs.Str("keep_aspect_ratio_policy", "stretch") != "stretch" {
		return fmt.Errorf("attribute keep_aspect_ratio_policy is for sizes, not for scales")
	}
	scales, err := floatOperand(c, resizeScales)
	if err != nil {
		return err
	}
	if len(scales) != len(axes) {
		return fmt.Errorf("%s: want a number for each of %d axes", describe(c, resizeScales), len(axes))
	}
	for i := range axes {
		a := &axes[i]
		if a.scale = scales[i]; a.scale <= 0 {
			return fmt.Errorf("%s: scale %v is not positive", describe(c, resizeScales), a.scale)
		}
		if a.out, err = floorMul(a.in, a.scale*(a.end-a.start)); err != nil {
			return fmt.Errorf("%s: axis %d times %v: %w", describe(c, resizeX), a.axis, a.scale, err)
		}
	}
	return nil
}

func sizeAxes(c *graph.Call, axes []resized) error {
	sizes, err := operand(c, resizeSizes)
	if err != nil {
		return err
	}
	if len(sizes) != len(axes) {
		return fmt.Errorf("%s: want a number for each of %d axes", describe(c, resizeSizes), len(axes))
	}
	for i := range axes {
		axes[i].out = sizes[i]
	}
	policy := c.Attrs.Str("keep_aspect_ratio_policy", "stretch")
	if policy == "stretch" || len(axes) == 0 {
		return nil
	}
	// One scale for all axes: the least or the greatest of theirs.
	scale := 0.0
	for i, a := range axes {
		in, ok := a.in.Const()
		out, ok2 := a.out.Const()
		if !ok || !ok2 || in < 1 || out < 1 {
			return fmt.Errorf("keep_aspect_ratio_policy %s from %s to %s: want positive numbers without symbols", policy, a.in, a.out)
		}
		s := float64(out) / float64(in)
		if i == 0 || policy == "not_larger" && s < scale || policy == "not_smaller" && s > scale {
			scale = s
		}
	}
	for i := range axes {
		in, _ := axes[i].in.Const()
		n := math.Floor(scale*float64(in) + 0.5)
		if n > 1<<53 {
			return fmt.Errorf("axis %d would have %v elements", axes[i].axis, n)
		}
		axes[i].scale, axes[i].out = scale, dim.Of(int64(n))
	}
	return nil
}

// floorMul returns the whole part of d*f. A symbolic dimension is multiplied
// by the fraction that f stands for, exactly.
func floorMul(d dim.Dim, f float64) (dim.Dim, error) {
	if !(f > 0) || f > 1<<53 {
		return d, fmt.Errorf("the factor %v has no use", f)
	}
	if n, ok := d.Const(); ok {
		p := math.Floor(float64(n) * f)
		if p > 1<<53 {
			return d, fmt.Errorf("%v elements are too many", p)
		}
		return dim.Of(int64(p)), nil
	}
	frac, exp := math.Frexp(f)
	p := uint64(math.Ldexp(frac, 53)) // f = p * 2^(exp-53)
	shift := 53 - exp
	zeros := bits.TrailingZeros64(p)
	p, shift = p>>zeros, shift-zeros
	if shift <= 0 { // f is whole, and at most 2^53
		return d.MulInt(int64(p) << -shift), nil
	}
	if shift > 62 {
		return d, errSymbolic
	}
	return d.MulInt(int64(p)).Div(1 << shift), nil
}

// floatOperand returns the numbers of a Const input of a floating-point type,
// all of them finite.
func floatOperand(c *graph.Call, i int) ([]float64, error) {
	t, ok := c.In[i].Const()
	if !ok || t.Valid() != nil || len(t.Shape) != 1 {
		return nil, fmt.Errorf("%s: want a vector of numbers that the graph itself carries", describe(c, i))
	}
	out := make([]float64, t.Shape[0])
	size := int64(t.Elem.Bits() / 8)
	for k := range out {
		f, ok := scalarValue(&graph.Tensor{Elem: t.Elem, Data: t.Data[int64(k)*size : int64(k+1)*size]})
		if !ok || math.IsNaN(f) || math.IsInf(f, 0) {
			return nil, fmt.Errorf("%s holds %v: want finite numbers", describe(c, i), f)
		}
		out[k] = f
	}
	return out, nil
}

// costResize counts a multiplication and an addition for each element that an
// interpolation reads, axis by axis.
func costResize(c *graph.Call, out []graph.Type, b dim.Binding) (Cost, error) {
	k, err := MoveCost(c, out, b)
	if err != nil {
		return Cost{}, err
	}
	taps := map[string]float64{"linear": 2, "cubic": 4}[c.Attrs.Str("mode", "nearest")]
	if taps == 0 {
		return k, nil
	}
	axes, err := ResizeAxes(c, b)
	if err != nil {
		return Cost{}, err
	}
	e, err := elements(out[0], b)
	n := 0.0
	for _, a := range axes {
		switch {
		case a.In == a.Out && a.Scale == 1:
		case c.Attrs.Int("antialias", 0) != 0:
			n += taps * max(1, 1/a.Scale)
		default:
			n += taps
		}
	}
	k.FLOPs = 2 * n * e
	return k, err
}
