package ops

import (
	"fmt"

	"github.com/heddle-ml/heddle/graph"
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
			return []graph.Type{c.Type(0), u, u}[:len(c.Out)], nil
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

// rebind returns c with the operands that it has in b.
func rebind(b *graph.Builder, c *graph.Call, in []graph.ValueID) *graph.Call {
	d := *c
	d.In = make([]*graph.Value, len(in))
	for i, v := range in {
		d.In[i] = b.Value(v)
	}
	return &d
}

func decomposeLayerNorm(b *graph.Builder, c *graph.Call, in []graph.ValueID) ([]graph.ValueID, error) {
	n, err := normOf(rebind(b, c, in), Floats)
	if err != nil {
		return nil, err
	}
	axes, elem := n.operand(b), b.Type(in[0]).Elem
	x := cast(b, in[0], n.stash)
	mean := b.Op("ReduceMean", values{x, axes})
	// The mean of squared deviations: the difference of means of squares
	// would cancel.
	dev := b.Op("Sub", values{x, mean})
	variance := b.Op("ReduceMean", values{b.Op("Mul", values{dev, dev}), axes})
	std := b.Op("Sqrt", values{b.Op("Add", values{variance, scalar(b, n.stash, attr64(c, "epsilon", 1e-5))})})
	y := cast(b, b.Op("Div", values{dev, std}), elem)
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
