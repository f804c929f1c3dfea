package ops

import (
	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
)

func init() {
	Register(comparison("Equal", 19, Numbers|Bools, "Whether A equals B; NaN equals nothing."))
	Register(comparison("Greater", 13, Numbers, "Whether A > B."))
	Register(comparison("Less", 13, Numbers, "Whether A < B."))
	Register(orEqual("GreaterOrEqual", "Greater", "Whether A >= B."))
	Register(orEqual("LessOrEqual", "Less", "Whether A <= B."))
	Register(comparison("And", 7, Bools, "Whether A and B are true."))
	Register(comparison("Or", 7, Bools, "Whether A or B is true."))
	Register(comparison("Xor", 7, Bools, "Whether just one of A and B is true."))
	Register(unary("Not", 1, Bools, Exact, "The negation."))
	Register(test("IsNaN", "Whether the element is NaN."))
	isInf := test("IsInf", "Whether the element is infinite, of the signs that the attributes allow.")
	isInf.Attrs = []AttrSpec{
		{Name: "detect_negative", Kind: graph.AttrInt, Default: "1"},
		{Name: "detect_positive", Kind: graph.AttrInt, Default: "1"},
	}
	Register(isInf)
	Register(Op{
		Ref: onnx("Where", 16), Doc: "X where the condition is true, else Y; all three broadcast.",
		Inputs: []Param{
			{Name: "condition", Types: Bools},
			{Name: "X", Types: anything, Same: "T"},
			{Name: "Y", Types: anything, Same: "T"},
		},
		Outputs: in1("output", anything),
		Infer: func(c *graph.Call) ([]graph.Type, error) {
			s, err := broadcastInputs(c)
			if err != nil {
				return nil, err
			}
			return result(c.Type(1).Elem, s)
		},
		Fold: foldWhere, Class: Exact,
	})
}

func inferBool(c *graph.Call) ([]graph.Type, error) {
	s, err := broadcastInputs(c)
	if err != nil {
		return nil, err
	}
	return result(enc.Bool, s)
}

func comparison(name string, version int, types TypeSet, doc string) Op {
	return Op{
		Ref: onnx(name, version), Doc: doc,
		Inputs:  []Param{{Name: "A", Types: types, Same: "T"}, {Name: "B", Types: types, Same: "T"}},
		Outputs: []Param{{Name: "C", Types: Bools}},
		Infer:   inferBool, Class: Exact,
	}
}

func orEqual(name, strict, doc string) Op {
	o := comparison(name, 16, Numbers, doc)
	o.Decompose = func(b *graph.Builder, _ *graph.Call, in []graph.ValueID) ([]graph.ValueID, error) {
		return decomposed(b, b.Op("Or", values{b.Op(strict, in), b.Op("Equal", in)}))
	}
	return o
}

func test(name, doc string) Op {
	return Op{
		Ref: onnx(name, 20), Doc: doc,
		Inputs: in1("X", Floats), Outputs: []Param{{Name: "Y", Types: Bools}},
		Infer: inferBool, Class: Exact,
	}
}

// foldWhere chooses between symbolic integers where the condition is a
// constant of the graph.
func foldWhere(c *graph.Call) ([]dim.Dim, bool) {
	cond, ok := c.In[0].Const()
	x, okX := foldable(c, 1)
	y, okY := foldable(c, 2)
	if !ok || !okX || !okY || len(cond.Shape) > 1 || cond.Valid() != nil {
		return nil, false
	}
	n := 1
	for _, k := range []int{len(cond.Data), len(x), len(y)} {
		if k != 1 && n != 1 && k != n {
			return nil, false
		}
		if k != 1 {
			n = k
		}
	}
	out := make([]dim.Dim, n)
	for i := range out {
		if cond.Data[min(i, len(cond.Data)-1)] != 0 {
			out[i] = x[min(i, len(x)-1)]
		} else {
			out[i] = y[min(i, len(y)-1)]
		}
	}
	return out, true
}
