package ops

import (
	"fmt"

	"github.com/heddle-ml/heddle/graph"
)

func init() {
	for _, o := range []struct{ name, doc string }{
		{"BitwiseAnd", "The bits that A and B both have."},
		{"BitwiseOr", "The bits that A or B has."},
		{"BitwiseXor", "The bits that just one of A and B has."},
	} {
		Register(arithmetic(o.name, 18, Integers, Exact, o.doc, nil))
	}
	Register(unary("BitwiseNot", 18, Integers, Exact, "All bits inverted."))
	shift := arithmetic("BitShift", 11, Unsigned, Exact, "A with its bits moved by B places, to the LEFT or RIGHT; those moved out are lost.", nil)
	shift.Attrs = []AttrSpec{{Name: "direction", Kind: graph.AttrString, Required: true}}
	shift.Infer = func(c *graph.Call) ([]graph.Type, error) {
		if d := c.Attrs.Str("direction", ""); d != "LEFT" && d != "RIGHT" {
			return nil, fmt.Errorf("attribute direction is %q; want LEFT or RIGHT", d)
		}
		return inferBroadcast(c)
	}
	Register(shift)
}
