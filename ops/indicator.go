package ops

import (
	"fmt"
	"math"
	"slices"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
)

// narrow is ONNX's "numeric types" of operators that bfloat16 never reached.
const narrow = Numbers &^ TypeSet(1<<enc.BF16)

func init() {
	Register(Op{
		Ref: onnx("OneHot", 11),
		Doc: "values[1] where the position along a new axis of length depth equals the index, values[0] elsewhere; negative indices count from the end.",
		Inputs: []Param{
			{Name: "indices", Types: narrow},
			{Name: "depth", Types: narrow, Const: true},
			{Name: "values", Types: narrow | Bools, Same: "T"},
		},
		Outputs: in1("output", narrow|Bools),
		Attrs:   []AttrSpec{{Name: "axis", Kind: graph.AttrInt, Default: "-1"}},
		Infer: func(c *graph.Call) ([]graph.Type, error) {
			depth, axis, err := oneHotOf(c)
			if err != nil {
				return nil, err
			}
			return result(c.Type(2).Elem, slices.Insert(slices.Clone(c.Type(0).Shape), axis, depth))
		},
		Decompose: decomposeOneHot,
	})
	Register(Op{
		Ref: onnx("EyeLike", 22), Doc: "A matrix of the operand's shape with ones on diagonal k and zeros elsewhere, of type dtype.",
		Inputs:  []Param{{Name: "input", Types: anything}},
		Outputs: []Param{{Name: "output", Types: anything}},
		Attrs: []AttrSpec{
			{Name: "dtype", Kind: graph.AttrElem, Default: "the operand's"},
			{Name: "k", Kind: graph.AttrInt, Default: "0"},
		},
		Infer: func(c *graph.Call) ([]graph.Type, error) {
			if c.Type(0).Rank() != 2 {
				return nil, fmt.Errorf("%s: want a matrix", describe(c, 0))
			}
			e := c.Attrs.Elem("dtype", c.Type(0).Elem)
			if !anything.Has(e) {
				return nil, fmt.Errorf("attribute dtype is %s; want one of %s", e, anything)
			}
			return result(e, c.Type(0).Shape)
		},
		Decompose: func(b *graph.Builder, c *graph.Call, in []graph.ValueID) ([]graph.ValueID, error) {
			t := b.Type(in[0])
			k := max(-math.MaxInt32, min(c.Attrs.Int("k", 0), math.MaxInt32)) // no matrix is larger
			rows := b.Op("Add", values{counting(b, t.Shape[0]), dimScalar(b, dim.Of(k))})
			on := b.Op("Equal", values{b.Op("Unsqueeze", values{rows, b.Ints(1)}), counting(b, t.Shape[1])})
			return decomposed(b, cast(b, on, c.Attrs.Elem("dtype", t.Elem)))
		},
	})
	hardmax := unary("Hardmax", 13, Floats, Exact, "1 for the greatest element along axis, the first of equal ones, 0 for the others.")
	hardmax.Attrs = []AttrSpec{{Name: "axis", Kind: graph.AttrInt, Default: "-1"}}
	hardmax.Infer = func(c *graph.Call) ([]graph.Type, error) {
		if _, err := attrAxis(c, -1, c.Type(0).Rank()); err != nil {
			return nil, fmt.Errorf("%s: %w", describe(c, 0), err)
		}
		return likeFirst(c)
	}
	hardmax.Decompose = func(b *graph.Builder, c *graph.Call, in []graph.ValueID) ([]graph.ValueID, error) {
		t := b.Type(in[0])
		axis, err := attrAxis(c, -1, t.Rank())
		if err != nil {
			return nil, err
		}
		if t.Shape[axis].Is(0) { // then there is no greatest element
			return decomposed(b, b.Op("Identity", in))
		}
		first := b.Op("ArgMax", in, graph.Int("axis", int64(axis)))
		return decomposed(b, cast(b, b.Op("Equal", values{first, along(b, t.Shape[axis], t.Rank()-1-axis)}), t.Elem))
	}
	hardmax.Cost = opsPerElement(2)
	Register(hardmax)
}

// along adds 0, 1, ... n-1 as a column with so many dimensions of 1 after it.
func along(b *graph.Builder, n dim.Dim, after int) graph.ValueID {
	v := counting(b, n)
	if after == 0 {
		return v
	}
	axes := make([]int64, after)
	for i := range axes {
		axes[i] = int64(1 + i)
	}
	return b.Op("Unsqueeze", values{v, b.Ints(axes...)})
}

func oneHotOf(c *graph.Call) (depth dim.Dim, axis int, err error) {
	if n := product(c.Type(1).Shape...); c.Type(1).Rank() > 1 || !n.Is(1) {
		return depth, 0, fmt.Errorf("%s: want one number", describe(c, 1))
	}
	if ds, ok := c.In[1].Dims(); ok && len(ds) == 1 {
		depth = ds[0]
	} else if t, ok := c.In[1].Const(); !ok {
		return depth, 0, fmt.Errorf("%s: want a number that the graph itself carries", describe(c, 1))
	} else if f, ok := scalarValue(t); !ok || !(f >= 0 && f < 1<<53) {
		return depth, 0, fmt.Errorf("%s is %v; want a number of classes", describe(c, 1), f)
	} else {
		depth = dim.Of(int64(f))
	}
	if lo, _ := bounds(c, depth); lo < 0 {
		return depth, 0, fmt.Errorf("%s is %s; want a number of classes", describe(c, 1), depth)
	}
	if !c.Type(2).Shape.Equal(dim.Shape{dim.Of(2)}) {
		return depth, 0, fmt.Errorf("%s: want the values for off and on", describe(c, 2))
	}
	axis, err = attrAxis(c, -1, c.Type(0).Rank()+1)
	return depth, axis, err
}

func decomposeOneHot(b *graph.Builder, c *graph.Call, in []graph.ValueID) ([]graph.ValueID, error) {
	depth, axis, err := oneHotOf(rebind(b, c, in))
	if err != nil {
		return nil, err
	}
	at := cast(b, in[0], enc.I64)
	at = b.Op("Where", values{b.Op("Less", values{at, dimScalar(b, dim.Of(0))}), b.Op("Add", values{at, dimScalar(b, depth)}), at})
	after := b.Type(in[0]).Rank() - axis
	at = b.Op("Unsqueeze", values{at, b.Ints(int64(axis))})
	value := func(i int64) graph.ValueID { return b.Op("Gather", values{in[2], dimScalar(b, dim.Of(i))}) }
	return decomposed(b, b.Op("Where", values{b.Op("Equal", values{at, along(b, depth, after)}), value(1), value(0)}))
}
