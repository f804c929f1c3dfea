package ops

import (
	"fmt"
	"math"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
)

// windowAttrs are the attributes that convolutions and pools share.
func windowAttrs(kernelRequired bool) []AttrSpec {
	return []AttrSpec{
		{Name: "auto_pad", Kind: graph.AttrString, Default: "NOTSET"},
		{Name: "dilations", Kind: graph.AttrInts, Default: "1 along each axis"},
		{Name: "kernel_shape", Kind: graph.AttrInts, Required: kernelRequired, Default: "the weight's"},
		{Name: "pads", Kind: graph.AttrInts, Default: "0 on each side"},
		{Name: "strides", Kind: graph.AttrInts, Default: "1 along each axis"},
	}
}

var convAttrs = append(windowAttrs(false), AttrSpec{Name: "group", Kind: graph.AttrInt, Default: "1"})

func init() {
	Register(Op{
		Ref: onnx("Conv", 22),
		Doc: "The convolution (not flipped) of X [N,C,D1,...] with W [M,C/group,k1,...], plus B [M]. W may be encoded.",
		Inputs: []Param{
			{Name: "X", Types: Floats, Same: "T"},
			{Name: "W", Types: Floats, Same: "T", Encoded: true},
			{Name: "B", Types: Floats, Same: "T", Optional: true},
		},
		Outputs: in1("Y", Floats), Attrs: convAttrs,
		Infer: func(c *graph.Call) ([]graph.Type, error) {
			s, err := convShape(c, 0, 1, 2)
			if err != nil {
				return nil, err
			}
			return result(c.Type(0).Elem, s)
		},
		Cost:  func(c *graph.Call, out []graph.Type, b dim.Binding) (Cost, error) { return convCost(c, out, b, 1) },
		Class: Contraction,
	})
}

// window is the geometry of a convolution or pool along the spatial axes.
type window struct {
	kernel, strides, dilations, pads []int64 // pads: all before, then all after
	auto                             string
	ceil                             bool
}

// windowOf reads the attributes for n spatial axes.
func windowOf(c *graph.Call, n int, kernel []int64) (window, error) {
	w := window{kernel: kernel, auto: c.Attrs.Str("auto_pad", "NOTSET"), ceil: c.Attrs.Int("ceil_mode", 0) != 0}
	switch w.auto {
	case "NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER":
	default:
		return w, fmt.Errorf("attribute auto_pad is %q; want NOTSET, VALID, SAME_UPPER or SAME_LOWER", w.auto)
	}
	if k := c.Attrs.Ints("kernel_shape"); k != nil {
		if kernel != nil && !equalInts(k, kernel) {
			return w, fmt.Errorf("attribute kernel_shape %v contradicts the weight's %v", k, kernel)
		}
		w.kernel = k
	}
	list := func(name string, count int, def, least int64) ([]int64, error) {
		v := c.Attrs.Ints(name)
		if v == nil {
			v = make([]int64, count)
			for i := range v {
				v[i] = def
			}
		}
		if len(v) != count {
			return nil, fmt.Errorf("attribute %s has %d numbers; want %d", name, len(v), count)
		}
		for _, x := range v {
			if x < least || x > math.MaxInt32 {
				return nil, fmt.Errorf("attribute %s holds %d; want at least %d", name, x, least)
			}
		}
		return v, nil
	}
	var err error
	if w.strides, err = list("strides", n, 1, 1); err != nil {
		return w, err
	}
	if w.dilations, err = list("dilations", n, 1, 1); err != nil {
		return w, err
	}
	if w.pads, err = list("pads", 2*n, 0, 0); err != nil {
		return w, err
	}
	if len(w.kernel) != n {
		return w, fmt.Errorf("a kernel of %v for %d spatial axes", w.kernel, n)
	}
	for _, k := range w.kernel {
		if k < 1 || k > math.MaxInt32 {
			return w, fmt.Errorf("the kernel %v has a dimension that is not positive", w.kernel)
		}
	}
	return w, nil
}

func equalInts(a, b []int64) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// out returns the output size along spatial axis i for input size d.
func (w *window) out(c *graph.Call, i int, d dim.Dim) (dim.Dim, error) {
	stride := w.strides[i]
	if w.auto == "SAME_UPPER" || w.auto == "SAME_LOWER" {
		return d.CeilDiv(stride), nil
	}
	extent := w.dilations[i]*(w.kernel[i]-1) + 1
	var before, after int64
	if w.auto == "NOTSET" {
		before, after = w.pads[i], w.pads[i+len(w.kernel)]
	}
	room := d.AddInt(before + after - extent)
	if _, hi := bounds(c, room); hi < 0 {
		return dim.Dim{}, fmt.Errorf("the kernel covers %d, spatial axis %d has only %s with %d padded", extent, i, d, before+after)
	}
	if !w.ceil || w.auto == "VALID" {
		return room.Div(stride).AddInt(1), nil
	}
	n := room.CeilDiv(stride).AddInt(1)
	// A last window that would start in the padding after the input does not
	// count. That cannot happen where the padding is short enough.
	if after+stride <= extent {
		return n, nil
	}
	beyond := n.AddInt(-1).MulInt(stride).Sub(d.AddInt(before))
	lo, hi := bounds(c, beyond)
	switch {
	case lo >= 0:
		return n.AddInt(-1), nil
	case hi < 0:
		return n, nil
	}
	return dim.Dim{}, fmt.Errorf("spatial axis %d of size %s with ceil_mode: %w", i, d, errSymbolic)
}

// spatial appends the output sizes of all spatial axes of s to head.
func (w *window) spatial(c *graph.Call, head dim.Shape, s dim.Shape) (dim.Shape, error) {
	for i, d := range s[2:] {
		n, err := w.out(c, i, d)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", describe(c, 0), err)
		}
		head = append(head, n)
	}
	return head, nil
}

// convShape infers a convolution of input x with weight w and bias b, the
// last of which may be absent, or -1.
func convShape(c *graph.Call, x, w, b int) (dim.Shape, error) {
	in, weight := c.Type(x).Shape, c.Type(w).Shape
	if len(in) < 3 || len(weight) != len(in) {
		return nil, fmt.Errorf("%s and %s: want [N,C,D1,...] and [M,C/group,k1,...]", describe(c, x), describe(c, w))
	}
	fixed, ok := weight.Const()
	if !ok {
		return nil, fmt.Errorf("%s: the weight needs a constant shape", describe(c, w))
	}
	group := c.Attrs.Int("group", 1)
	if group < 1 || fixed[0]%group != 0 {
		return nil, fmt.Errorf("attribute group is %d for %s; want a divisor of the output channels", group, describe(c, w))
	}
	if !in[1].Equal(dim.Of(fixed[1]).MulInt(group)) {
		return nil, fmt.Errorf("%s has %s channels, %s with %d groups takes %d", describe(c, x), in[1], describe(c, w), group, fixed[1]*group)
	}
	if b >= 0 && c.Has(b) && !c.Type(b).Shape.Equal(weight[:1]) {
		return nil, fmt.Errorf("%s: want [%d], as %s has output channels", describe(c, b), fixed[0], describe(c, w))
	}
	win, err := windowOf(c, len(in)-2, fixed[2:])
	if err != nil {
		return nil, err
	}
	return win.spatial(c, dim.Shape{in[0], weight[0]}, in)
}

// convCost counts 2 operations for each output element and weight that it
// sees; the weight is input w.
func convCost(c *graph.Call, out []graph.Type, b dim.Binding, w int) (Cost, error) {
	return contractionCost(c, out, b, product(c.Type(w).Shape[1:]...))
}
