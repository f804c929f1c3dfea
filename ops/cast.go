package ops

import (
	"fmt"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
)

// castAttrs exist for ONNX's 8-bit floats, which have no counterpart here, so
// no supported conversion depends on them.
var castAttrs = []AttrSpec{
	{Name: "saturate", Kind: graph.AttrInt, Default: "1"},
	{Name: "round_mode", Kind: graph.AttrString, Default: "up"},
}

func init() {
	Register(Op{
		Ref: onnx("Cast", 25),
		Doc: "Converts the element type. Floats round to nearest even, floats to integers truncate, integers wrap. " +
			"An encoded operand is decoded, even to its own element type.",
		Inputs:  []Param{{Name: "input", Types: All, Encoded: true}},
		Outputs: []Param{{Name: "output", Types: All}},
		Attrs:   append([]AttrSpec{{Name: "to", Kind: graph.AttrElem, Required: true}}, castAttrs...),
		Infer: func(c *graph.Call) ([]graph.Type, error) {
			to := c.Attrs.Elem("to", enc.Invalid)
			if !to.Valid() {
				return nil, fmt.Errorf("attribute to: %s is not an element type", to)
			}
			return result(to, c.Type(0).Shape)
		},
		Fold: foldSame, Class: Rounded,
	})
	Register(Op{
		Ref: onnx("CastLike", 25), Doc: "Cast to the element type of the second input, whose values do not matter.",
		Inputs:  []Param{{Name: "input", Types: All, Encoded: true}, {Name: "target_type", Types: All, Same: "T2", Encoded: true}},
		Outputs: []Param{{Name: "output", Types: All, Same: "T2"}},
		Attrs:   castAttrs,
		Infer: func(c *graph.Call) ([]graph.Type, error) {
			return result(c.Type(1).Elem, c.Type(0).Shape)
		},
		Cost: func(c *graph.Call, out []graph.Type, b dim.Binding) (Cost, error) {
			d := *c
			d.In = c.In[:1] // the target is not read
			return MoveCost(&d, out, b)
		},
		Decompose: func(b *graph.Builder, c *graph.Call, in []graph.ValueID) ([]graph.ValueID, error) {
			attrs := append([]graph.Attr{graph.Elem("to", b.Type(in[1]).Elem)}, c.Attrs...)
			return decomposed(b, b.Op("Cast", in[:1], attrs...))
		},
		Fold: foldSame, Class: Rounded,
	})
}
