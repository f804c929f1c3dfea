package ops

import (
	"fmt"
	"slices"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
)

func init() {
	Register(Op{
		Ref: onnx("ConvTranspose", 22),
		Doc: "The transposed convolution: each position of X [N,C,D1,...] adds its multiple of W [C,M/group,k1,...] to the result, strides apart, of which pads are cut off; plus B [M].",
		Inputs: []Param{
			{Name: "X", Types: Floats, Same: "T"},
			{Name: "W", Types: Floats, Same: "T"},
			{Name: "B", Types: Floats, Same: "T", Optional: true},
		},
		Outputs: in1("Y", Floats),
		Attrs: append(slices.Clone(convAttrs),
			AttrSpec{Name: "output_padding", Kind: graph.AttrInts, Default: "0 along each axis"},
			AttrSpec{Name: "output_shape", Kind: graph.AttrInts, Default: "follows from the pads"}),
		Infer: func(c *graph.Call) ([]graph.Type, error) {
			t, err := transposedOf(c)
			if err != nil {
				return nil, err
			}
			return result(c.Type(0).Elem, append(dim.Shape{c.Type(0).Shape[0], dim.Of(t.filters)}, t.out...))
		},
		Cost: func(c *graph.Call, out []graph.Type, b dim.Binding) (Cost, error) {
			k, err := MoveCost(c, out, b)
			if err != nil {
				return Cost{}, err
			}
			n, err := product(c.Type(1).Shape[1:]...).Eval(b)
			if err != nil {
				return Cost{}, err
			}
			e, err := elements(c.Type(0), b)
			k.FLOPs = 2 * float64(n) * e
			return k, err
		},
		Decompose: decomposeConvTranspose, Class: Contraction,
	})
}

// transposed is the geometry of a transposed convolution.
type transposed struct {
	window
	group, filters int64
	out            dim.Shape
	before         []dim.Dim // what is cut off at the start of each axis
}

func transposedOf(c *graph.Call) (*transposed, error) {
	in, weight := c.Type(0).Shape, c.Type(1).Shape
	if len(in) < 3 || len(weight) != len(in) {
		return nil, fmt.Errorf("%s and %s: want [N,C,D1,...] and [C,M/group,k1,...]", describe(c, 0), describe(c, 1))
	}
	fixed, ok := weight.Const()
	if !ok {
		return nil, fmt.Errorf("%s: the weight needs a constant shape", describe(c, 1))
	}
	t := &transposed{group: c.Attrs.Int("group", 1)}
	if t.group < 1 || fixed[0]%t.group != 0 || !in[1].Is(fixed[0]) {
		return nil, fmt.Errorf("%s and %s with %d groups: want as many channels in both, and a divisor of them", describe(c, 0), describe(c, 1), t.group)
	}
	m := dim.Of(fixed[1]).MulInt(t.group)
	if t.filters, ok = m.Const(); !ok {
		return nil, fmt.Errorf("%s: %w", describe(c, 1), m.Valid())
	}
	if c.Has(2) && !c.Type(2).Shape.Equal(dim.Shape{m}) {
		return nil, fmt.Errorf("%s: want [%d], as the result has channels", describe(c, 2), t.filters)
	}
	n := len(in) - 2
	var err error
	if t.window, err = windowOf(c, n, fixed[2:]); err != nil {
		return nil, err
	}
	extra, shape := make([]int64, n), c.Attrs.Ints("output_shape")
	if e := c.Attrs.Ints("output_padding"); e != nil {
		extra = e
	}
	if len(extra) != n || shape != nil && len(shape) != n {
		return nil, fmt.Errorf("attributes output_padding and output_shape have %d and %d numbers for %d spatial axes", len(extra), len(shape), n)
	}
	for i, d := range in[2:] {
		if extra[i] < 0 || extra[i] >= max(t.strides[i], t.dilations[i]) {
			return nil, fmt.Errorf("attribute output_padding holds %d; want less than the stride or dilation", extra[i])
		}
		// total is what comes out when nothing is cut off.
		total := d.AddInt(-1).MulInt(t.strides[i]).AddInt(extra[i] + t.dilations[i]*(t.kernel[i]-1) + 1)
		var out dim.Dim
		switch {
		case shape != nil:
			out = dim.Of(shape[i])
		case t.auto == "SAME_UPPER" || t.auto == "SAME_LOWER":
			out = d.MulInt(t.strides[i])
		case t.auto == "VALID":
			out = total
			t.before = append(t.before, dim.Of(0))
		default:
			out = total.AddInt(-t.pads[i] - t.pads[i+n])
			t.before = append(t.before, dim.Of(t.pads[i]))
		}
		if len(t.before) == i {
			// The surplus is cut off on both sides; nothing is, where there is none.
			cut := total.Sub(out)
			if lo, hi := bounds(c, cut); hi <= 0 {
				cut = dim.Of(0)
			} else if lo < 0 {
				return nil, fmt.Errorf("%s: spatial axis %d: %w", describe(c, 0), i, errSymbolic)
			}
			if t.auto != "SAME_UPPER" {
				cut = cut.AddInt(1)
			}
			t.before = append(t.before, cut.Div(2))
		}
		if _, hi := bounds(c, out); hi < 0 {
			return nil, fmt.Errorf("%s: the pads cut off all of spatial axis %d", describe(c, 0), i)
		}
		t.out = append(t.out, out)
	}
	return t, nil
}

// decomposeConvTranspose spreads X so that strides-1 zeros follow each
// position, and convolves that with the kernel turned round.
func decomposeConvTranspose(b *graph.Builder, c *graph.Call, in []graph.ValueID) ([]graph.ValueID, error) {
	d := rebind(b, c, in)
	t, err := transposedOf(d)
	if err != nil {
		return nil, err
	}
	x, n := in[0], len(t.out)
	if len(d.Type(0).Shape)+2 > graph.MaxRank {
		return nil, fmt.Errorf("%s: too many spatial axes", describe(d, 0))
	}
	for i := range n {
		s := b.Type(x).Shape
		if t.strides[i] == 1 || b.Err() != nil {
			continue
		}
		x = b.Op("Unsqueeze", values{x, b.Ints(int64(3 + i))})
		x = b.Op("Pad", values{x, b.Ints(0, t.strides[i]-1), graph.NoValue, b.Ints(int64(3 + i))})
		spread := slices.Clone(s)
		spread[2+i] = s[2+i].MulInt(t.strides[i])
		x = reshape(b, x, spread...)
	}
	pads, axes, starts, ends, steps := make([]dim.Dim, 2*n), make([]int64, n), make([]int64, n), make([]int64, n), make([]int64, n)
	for i := range n {
		reach := t.dilations[i] * (t.kernel[i] - 1)
		pads[i] = dim.Of(reach).Sub(t.before[i])
		pads[n+i] = t.out[i].Add(t.before[i]).Sub(d.Type(0).Shape[2+i].MulInt(t.strides[i]))
		axes[i], starts[i], ends[i], steps[i] = int64(2+i), -1, -1<<31, -1
	}
	x = b.Op("Pad", values{x, b.Dims(pads...), graph.NoValue, b.Ints(axes...)})

	// [C,M/group,k...] becomes [M,C/group,k...], back to front.
	w := b.Op("Slice", values{in[1], b.Ints(starts...), b.Ints(ends...), b.Ints(axes...), b.Ints(steps...)})
	s := d.Type(1).Shape
	perGroup, kernel := s[0].Div(t.group), s[2:]
	w = reshape(b, w, slices.Concat(dim.Shape{dim.Of(t.group), perGroup, s[1]}, kernel)...)
	perm := []int64{0, 2, 1}
	for i := range n {
		perm = append(perm, int64(3+i))
	}
	w = b.Op("Transpose", values{w}, graph.Ints("perm", perm...))
	w = reshape(b, w, slices.Concat(dim.Shape{dim.Of(t.filters), perGroup}, kernel)...)
	y := b.Op("Conv", values{x, w, input(in, 2)}, graph.Int("group", t.group), graph.Ints("dilations", t.dilations...))
	return decomposed(b, y)
}
