package ops

import (
	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
)

func init() {
	equal := comparison("Equal", 19, Numbers|Bools, "Whether A equals B; NaN equals nothing.")
	// Each is told from the bounds of A - B.
	equal.Decide = deciding(func(lo, hi int64) (bool, bool) { return lo == 0 && hi == 0, lo > 0 || hi < 0 })
	greater := comparison("Greater", 13, Numbers, "Whether A > B.")
	greater.Decide = deciding(func(lo, hi int64) (bool, bool) { return lo > 0, hi <= 0 })
	less := comparison("Less", 13, Numbers, "Whether A < B.")
	less.Decide = deciding(func(lo, hi int64) (bool, bool) { return hi < 0, lo >= 0 })
	atLeast := orEqual("GreaterOrEqual", "Greater", "Whether A >= B.")
	atLeast.Decide = deciding(func(lo, hi int64) (bool, bool) { return lo >= 0, hi < 0 })
	atMost := orEqual("LessOrEqual", "Less", "Whether A <= B.")
	atMost.Decide = deciding(func(lo, hi int64) (bool, bool) { return hi <= 0, lo > 0 })
	for _, o := range []Op{equal, greater, less, atLeast, atMost} {
		Register(o)
	}
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

// deciding compares symbolic integers. test gets the bounds of a difference
// and says whether the comparison holds for all values of the symbols, and
// whether it holds for none.
func deciding(test func(lo, hi int64) (all, none bool)) func(*graph.Call) ([]bool, bool) {
	return func(c *graph.Call) ([]bool, bool) {
		var out []bool
		_, ok := foldPairs(c, func(c *graph.Call, a, b dim.Dim) (dim.Dim, bool) {
			d := a.Sub(b)
			all, none := test(bounds(c, d))
			out = append(out, all)
			return d, all != none
		})
		return out, ok
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
