package ops

import (
	"fmt"
	"math"

	"github.com/heddle-ml/heddle/graph"
)

// The normalizations of older convolutional networks.

func init() {
	lp := unary("LpNormalization", 22, Floats, Contraction, "X divided by its Lp norm along axis, p being 1 or 2; 0 where the norm is 0.")
	lp.Attrs = []AttrSpec{
		{Name: "axis", Kind: graph.AttrInt, Default: "-1"},
		{Name: "p", Kind: graph.AttrInt, Default: "2"},
	}
	lp.Infer = func(c *graph.Call) ([]graph.Type, error) {
		if _, err := attrAxis(c, -1, c.Type(0).Rank()); err != nil {
			return nil, fmt.Errorf("%s: %w", describe(c, 0), err)
		}
		if p := c.Attrs.Int("p", 2); p != 1 && p != 2 {
			return nil, fmt.Errorf("attribute p is %d; want 1 or 2", p)
		}
		return likeFirst(c)
	}
	lp.Cost = opsPerElement(3)
	lp.Decompose = func(b *graph.Builder, c *graph.Call, in []graph.ValueID) ([]graph.ValueID, error) {
		elem := b.Type(in[0]).Elem
		x := cast(b, in[0], wideEnough(elem))
		norm := b.Op([]string{"ReduceL1", "ReduceL2"}[c.Attrs.Int("p", 2)-1], values{x, b.Ints(c.Attrs.Int("axis", -1))})
		zero := scalar(b, b.Type(x).Elem, 0)
		y := b.Op("Where", values{b.Op("Equal", values{norm, zero}), zero, b.Op("Div", values{x, norm})})
		return decomposed(b, cast(b, y, elem))
	}
	Register(lp)

	mvn := unary("MeanVarianceNormalization", 13, Floats, Contraction, "(X-mean)/(standard deviation + 1e-9) over the axes.")
	mvn.Attrs = []AttrSpec{{Name: "axes", Kind: graph.AttrInts, Default: "0, 2, 3"}}
	mvn.Infer = func(c *graph.Call) ([]graph.Type, error) {
		if _, err := normAxes(mvnAxes(c), c.Type(0).Rank()); err != nil {
			return nil, fmt.Errorf("attribute axes of %s: %w", describe(c, 0), err)
		}
		return likeFirst(c)
	}
	mvn.Cost = opsPerElement(8)
	mvn.Decompose = func(b *graph.Builder, c *graph.Call, in []graph.ValueID) ([]graph.ValueID, error) {
		elem := b.Type(in[0]).Elem
		x, axes := cast(b, in[0], wideEnough(elem)), b.Ints(mvnAxes(c)...)
		dev := b.Op("Sub", values{x, b.Op("ReduceMean", values{x, axes})})
		std := b.Op("Sqrt", values{b.Op("ReduceMean", values{b.Op("Mul", values{dev, dev}), axes})})
		std = b.Op("Add", values{std, scalar(b, b.Type(x).Elem, 1e-9)})
		return decomposed(b, cast(b, b.Op("Div", values{dev, std}), elem))
	}
	Register(mvn)

	lrn := unary("LRN", 13, Floats, Contraction, "X/(bias + alpha*m)^beta, where m is the sum of squares of size neighbouring channels, divided by size.")
	lrn.Attrs = []AttrSpec{
		{Name: "alpha", Kind: graph.AttrFloat, Default: "1e-4"},
		{Name: "beta", Kind: graph.AttrFloat, Default: "0.75"},
		{Name: "bias", Kind: graph.AttrFloat, Default: "1"},
		{Name: "size", Kind: graph.AttrInt, Required: true},
	}
	lrn.Infer = func(c *graph.Call) ([]graph.Type, error) {
		if r := c.Type(0).Rank(); r < 2 || r >= graph.MaxRank {
			return nil, fmt.Errorf("%s: want [N,C,D1,...]", describe(c, 0))
		}
		if n := c.Attrs.Int("size", 0); n < 1 || n > math.MaxInt32 {
			return nil, fmt.Errorf("attribute size is %d; want a number of channels", n)
		}
		return likeFirst(c)
	}
	lrn.Cost = opsPerElement(8)
	lrn.Decompose = decomposeLRN
	Register(lrn)
}

// decomposeLRN pools the squares along the channels, padding included.
func decomposeLRN(b *graph.Builder, c *graph.Call, in []graph.ValueID) ([]graph.ValueID, error) {
	t := b.Type(in[0])
	x := cast(b, in[0], wideEnough(t.Elem))
	e := b.Type(x).Elem
	size, axes := c.Attrs.Int("size", 1), t.Rank()-1 // channels and all behind them
	kernel, pads := make([]int64, axes), make([]int64, 2*axes)
	for i := range kernel {
		kernel[i] = 1
	}
	kernel[0], pads[0], pads[axes] = size, (size-1)/2, size/2
	m := b.Op("Unsqueeze", values{b.Op("Mul", values{x, x}), b.Ints(1)})
	m = b.Op("AveragePool", values{m}, graph.Ints("kernel_shape", kernel...), graph.Ints("pads", pads...), graph.Int("count_include_pad", 1))
	m = b.Op("Squeeze", values{m, b.Ints(1)})
	m = b.Op("Add", values{b.Op("Mul", values{m, scalar(b, e, attr64(c, "alpha", 1e-4))}), scalar(b, e, attr64(c, "bias", 1))})
	y := b.Op("Div", values{x, b.Op("Pow", values{m, scalar(b, e, attr64(c, "beta", 0.75))})})
	return decomposed(b, cast(b, y, t.Elem))
}

func mvnAxes(c *graph.Call) []int64 {
	if axes := c.Attrs.Ints("axes"); axes != nil {
		return axes
	}
	return []int64{0, 2, 3}
}
