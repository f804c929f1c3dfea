package ops

import (
	"fmt"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
)

func init() {
	Register(Op{
		Ref: graph.OpRef{Domain: "heddle", Name: "Linear", Version: 1},
		Doc: "activation(x*W + bias) with x [...,K], W [K,N] and bias [N]: what fusion makes of MatMul, Add and an activation. " +
			"The activation is none, relu, gelu, gelu_tanh or silu. W may be encoded.",
		Inputs: []Param{
			{Name: "x", Types: Floats, Same: "T"},
			{Name: "W", Types: Floats, Same: "T", Encoded: true},
			{Name: "bias", Types: Floats, Same: "T", Optional: true},
		},
		Outputs: in1("y", Floats),
		Attrs:   []AttrSpec{{Name: "activation", Kind: graph.AttrString, Default: "none"}},
		Infer:   inferLinear, Cost: costLinear, Decompose: decomposeLinear, Class: Contraction,
	})
}

// linearActivations maps the names to the operators they stand for.
var linearActivations = map[string]func(b *graph.Builder, y graph.ValueID) graph.ValueID{
	"none": func(_ *graph.Builder, y graph.ValueID) graph.ValueID { return y },
	"relu": func(b *graph.Builder, y graph.ValueID) graph.ValueID { return b.Op("Relu", values{y}) },
	"gelu": func(b *graph.Builder, y graph.ValueID) graph.ValueID { return b.Op("Gelu", values{y}) },
	"gelu_tanh": func(b *graph.Builder, y graph.ValueID) graph.ValueID {
		return b.Op("Gelu", values{y}, graph.Str("approximate", "tanh"))
	},
	"silu": func(b *graph.Builder, y graph.ValueID) graph.ValueID { return b.Op("Swish", values{y}) },
}

func inferLinear(c *graph.Call) ([]graph.Type, error) {
	x, w := c.Type(0), c.Type(1)
	if name := c.Attrs.Str("activation", "none"); linearActivations[name] == nil {
		return nil, fmt.Errorf("attribute activation is %q; want none, relu, gelu, gelu_tanh or silu", name)
	}
	if x.Rank() < 1 || w.Rank() != 2 {
		return nil, fmt.Errorf("%s and %s: want [...,K] and [K,N]", describe(c, 0), describe(c, 1))
	}
	s, err := matmulShape(c, 0, 1)
	if err != nil {
		return nil, err
	}
	if c.Has(2) && !c.Type(2).Shape.Equal(w.Shape[1:]) {
		return nil, fmt.Errorf("%s: want [%s], as %s has columns", describe(c, 2), w.Shape[1], describe(c, 1))
	}
	return result(x.Elem, s)
}

func costLinear(c *graph.Call, out []graph.Type, b dim.Binding) (Cost, error) {
	k, err := matmulCost(c, out, b, 0)
	if err != nil {
		return Cost{}, err
	}
	e, err := elements(out[0], b)
	if c.Has(2) {
		k.FLOPs += e
	}
	if c.Attrs.Str("activation", "none") != "none" {
		k.FLOPs += 4 * e
	}
	return k, err
}

func decomposeLinear(b *graph.Builder, c *graph.Call, in []graph.ValueID) ([]graph.ValueID, error) {
	name := c.Attrs.Str("activation", "none")
	activate := linearActivations[name]
	if activate == nil {
		return nil, fmt.Errorf("unknown activation %q", name)
	}
	y := b.Op("MatMul", in[:2])
	if bias := input(in, 2); bias != graph.NoValue {
		y = b.Op("Add", values{y, bias})
	}
	return decomposed(b, activate(b, y))
}
