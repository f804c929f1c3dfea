package ops

import (
	"fmt"
	"slices"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
)

func init() {
	attrs := []AttrSpec{
		{Name: "axis", Kind: graph.AttrInt, Default: "-1"},
		{Name: "epsilon", Kind: graph.AttrFloat, Default: "1e-5"},
		{Name: "stash_type", Kind: graph.AttrElem, Default: "f32"},
	}
	stash := TypeSet(1<<enc.F32 | 1<<enc.BF16)
	Register(Op{
		Ref: onnx("LayerNormalization", 17),
		Doc: "(X-mean)/sqrt(variance+epsilon) over the axes from axis on, computed in stash_type, then times Scale plus B in the type of X.",
		Inputs: []Param{
			{Name: "X", Types: Floats, Same: "T"},
			{Name: "Scale", Types: Floats, Same: "T"},
			{Name: "B", Types: Floats, Same: "T", Optional: true},
		},
		Outputs: []Param{
			{Name: "Y", Types: Floats, Same: "T"},
			{Name: "Mean", Types: stash, Same: "U", Optional: true},
			{Name: "InvStdDev", Types: stash, Same: "U", Optional: true},
		},
		Attrs: attrs, Cost: opsPerElement(8), Class: Contraction,
		Infer: func(c *graph.Call) ([]graph.Type, error) {
			n, err := normOf(c, stash)
			if err != nil {
				return nil, err
			}
			u := graph.Type{Elem: n.stash, Shape: reducedShape(c.Type(0).Shape, n.axes, true)}
			y := graph.Of(c.Type(0).Elem, c.Type(0).Shape...) // plain, whatever X is
			return []graph.Type{y, u, u}[:len(c.Out)], nil
		},
		Decompose: decomposeLayerNorm,
	})
	Register(Op{
		Ref: onnx("RMSNormalization", 23),
		Doc: "X/sqrt(mean(X^2)+epsilon) over the axes from axis on, computed in stash_type, then times scale in the type of scale.",
		Inputs: []Param{
			{Name: "X", Types: Floats},
			{Name: "scale", Types: Floats, Same: "V"},
		},
		Outputs: []Param{{Name: "Y", Types: Floats, Same: "V"}},
		Attrs:   attrs, Cost: opsPerElement(4), Class: Contraction,
		Infer: func(c *graph.Call) ([]graph.Type, error) {
			if _, err := normOf(c, Floats); err != nil {
				return nil, err
			}
			return result(c.Type(1).Elem, c.Type(0).Shape)
		},
		Decompose: decomposeRMSNorm,
	})
}

func init() {
	channels := func(scale, bias string) []Param {
		return []Param{
			{Name: "X", Types: Floats, Same: "T"},
			{Name: scale, Types: Floats, Same: "T"},
			{Name: bias, Types: Floats, Same: "T"},
		}
	}
	epsilon := AttrSpec{Name: "epsilon", Kind: graph.AttrFloat, Default: "1e-5"}
	Register(Op{
		Ref:    onnx("GroupNormalization", 21),
		Doc:    "X [N,C,D1,...] normalized over each of num_groups runs of channels, computed in stash_type, then times scale [C] plus bias [C].",
		Inputs: channels("scale", "bias"), Outputs: in1("Y", Floats),
		Attrs: []AttrSpec{epsilon,
			{Name: "num_groups", Kind: graph.AttrInt, Required: true},
			{Name: "stash_type", Kind: graph.AttrElem, Default: "f32"},
		},
		Infer: func(c *graph.Call) ([]graph.Type, error) {
			if err := checkChannels(c); err != nil {
				return nil, err
			}
			n := c.Attrs.Int("num_groups", 0)
			if _, ok := exactDiv(c.Type(0).Shape[1], n); !ok {
				return nil, fmt.Errorf("attribute num_groups is %d for %s; want a divisor of the channels", n, describe(c, 0))
			}
			if e := c.Attrs.Elem("stash_type", enc.F32); !e.IsFloat() {
				return nil, fmt.Errorf("attribute stash_type is %s; want one of %s", e, Floats)
			}
			return likeFirst(c)
		},
		Cost: opsPerElement(8), Class: Contraction,
		Decompose: func(b *graph.Builder, c *graph.Call, in []graph.ValueID) ([]graph.ValueID, error) {
			return normChannels(b, c, in, c.Attrs.Int("num_groups", 1), c.Attrs.Elem("stash_type", enc.F32))
		},
	})
	Register(Op{
		Ref: onnx("InstanceNormalization", 22), Doc: "X [N,C,D1,...] normalized over the spatial axes of each channel, then times scale [C] plus B [C].",
		Inputs: channels("scale", "B"), Outputs: in1("output", Floats),
		Attrs: []AttrSpec{epsilon},
		Infer: func(c *graph.Call) ([]graph.Type, error) {
			if err := checkChannels(c); err != nil {
				return nil, err
			}
			return likeFirst(c)
		},
		Cost: opsPerElement(8), Class: Contraction,
		Decompose: func(b *graph.Builder, c *graph.Call, in []graph.ValueID) ([]graph.ValueID, error) {
			return normChannels(b, c, in, 0, wideEnough(b.Type(in[0]).Elem))
		},
	})
}

// wideEnough returns the type to sum squares of e in: they do not fit half
// precision.
func wideEnough(e enc.Elem) enc.Elem {
	if e.Bits() < 32 {
		return enc.F32
	}
	return e
}

// checkChannels checks X, scale and bias of a normalization by channels.
func checkChannels(c *graph.Call) error {
	s := c.Type(0).Shape
	if len(s) < 3 || len(s) >= graph.MaxRank {
		return fmt.Errorf("%s: want [N,C,D1,...]", describe(c, 0))
	}
	for i := 1; i <= 2; i++ {
		if !c.Type(i).Shape.Equal(s[1:2]) {
			return fmt.Errorf("%s: want [%s], one number for each channel of %s", describe(c, i), s[1], describe(c, 0))
		}
	}
	return nil
}

// normChannels normalizes X over the spatial axes and over groups of
// channels; with groups = 0 each channel by itself.
func normChannels(b *graph.Builder, c *graph.Call, in []graph.ValueID, groups int64, stash enc.Elem) ([]graph.ValueID, error) {
	t := b.Type(in[0])
	x := cast(b, in[0], stash)
	if groups > 0 {
		size, _ := exactDiv(t.Shape[1], groups)
		x = reshape(b, x, slices.Concat(dim.Shape{t.Shape[0], dim.Of(groups), size}, t.Shape[2:])...)
	}
	axes := spatialAxes(b.Type(x).Rank())
	y, _, _ := standardize(b, x, norm{axes: axes, stash: stash}.operand(b), attr64(c, "epsilon", 1e-5))
	y = cast(b, reshape(b, y, t.Shape...), t.Elem)
	trailing := norm{axes: spatialAxes(t.Rank())}
	for i := range trailing.axes {
		trailing.axes[i]-- // [C] becomes [C,1,...]
	}
	column := func(v graph.ValueID) graph.ValueID { return b.Op("Unsqueeze", values{v, trailing.operand(b)}) }
	y = b.Op("Mul", values{y, column(in[1])})
	return decomposed(b, b.Op("Add", values{y, column(in[2])}))
}

// standardize returns (x-mean)/std over the axes, the mean and the standard
// deviation.
func standardize(b *graph.Builder, x, axes graph.ValueID, epsilon float64) (y, mean, std graph.ValueID) {
	mean = b.Op("ReduceMean", values{x, axes})
	// The mean of squared deviations: the difference of means of squares
	// would cancel.
	dev := b.Op("Sub", values{x, mean})
	variance := b.Op("ReduceMean", values{b.Op("Mul", values{dev, dev}), axes})
	std = b.Op("Sqrt", values{b.Op("Add", values{variance, scalar(b, b.Type(x).Elem, epsilon)})})
	return b.Op("Div", values{dev, std}), mean, std
}

// norm is what the attributes of a normalization say.
type norm struct {
	axes  []int
	stash enc.Elem
}

func normOf(c *graph.Call, stashes TypeSet) (norm, error) {
	s := c.Type(0).Shape
	axis, err := attrAxis(c, -1, len(s))
	if err != nil {
		return norm{}, fmt.Errorf("%s: %w", describe(c, 0), err)
	}
	n := norm{stash: c.Attrs.Elem("stash_type", enc.F32)}
	if !stashes.Has(n.stash) {
		return norm{}, fmt.Errorf("attribute stash_type is %s; want one of %s", n.stash, stashes)
	}
	for a := axis; a < len(s); a++ {
		n.axes = append(n.axes, a)
	}
	for i := 1; i < len(c.In); i++ {
		if c.In[i] == nil {
			continue
		}
		if err := broadcastsTo(c.Type(i).Shape, s); err != nil {
			return norm{}, fmt.Errorf("%s does not broadcast to %s: %w", describe(c, i), describe(c, 0), err)
		}
	}
	return n, nil
}

// operand returns the axes as an operand of a reduction.
func (n norm) operand(b *graph.Builder) graph.ValueID {
	axes := make([]int64, len(n.axes))
	for i, a := range n.axes {
		axes[i] = int64(a)
	}
	return b.Ints(axes...)
}

func decomposeLayerNorm(b *graph.Builder, c *graph.Call, in []graph.ValueID) ([]graph.ValueID, error) {
	n, err := normOf(rebind(b, c, in), Floats)
	if err != nil {
		return nil, err
	}
	axes, elem := n.operand(b), b.Type(in[0]).Elem
	x := cast(b, in[0], n.stash)
	y, mean, std := standardize(b, x, axes, attr64(c, "epsilon", 1e-5))
	y = cast(b, y, elem)
	y = b.Op("Mul", values{y, in[1]})
	if bias := input(in, 2); bias != graph.NoValue {
		y = b.Op("Add", values{y, bias})
	}
	return wanted(c,
		func() graph.ValueID { return y },
		func() graph.ValueID { return mean },
		func() graph.ValueID { return b.Op("Reciprocal", values{std}) },
	), b.Err()
}

func decomposeRMSNorm(b *graph.Builder, c *graph.Call, in []graph.ValueID) ([]graph.ValueID, error) {
	n, err := normOf(rebind(b, c, in), Floats)
	if err != nil {
		return nil, err
	}
	x := cast(b, in[0], n.stash)
	square := b.Op("ReduceMean", values{b.Op("Mul", values{x, x}), n.operand(b)})
	rms := b.Op("Sqrt", values{b.Op("Add", values{square, scalar(b, n.stash, attr64(c, "epsilon", 1e-5))})})
	y := cast(b, b.Op("Div", values{x, rms}), b.Type(in[1]).Elem)
	return decomposed(b, b.Op("Mul", values{y, in[1]}))
}
