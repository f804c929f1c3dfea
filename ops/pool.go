package ops

import (
	"fmt"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
)

func init() {
	ceil := AttrSpec{Name: "ceil_mode", Kind: graph.AttrInt, Default: "0"}
	Register(Op{
		Ref: onnx("AveragePool", 22), Doc: "The mean over each window of X [N,C,D1,...]; padding counts only if count_include_pad is set.",
		Inputs: in1("X", Floats), Outputs: in1("Y", Floats),
		Attrs: append(windowAttrs(true), ceil, AttrSpec{Name: "count_include_pad", Kind: graph.AttrInt, Default: "0"}),
		Infer: inferPool, Cost: costPool, Class: Contraction,
	})
	const poolTypes = Floats | codes8
	Register(Op{
		Ref: onnx("MaxPool", 22), Doc: "The greatest element of each window of X [N,C,D1,...], and its flat position in X, with row- or column-major (storage_order 1) spatial axes.",
		Inputs:  in1("X", poolTypes),
		Outputs: []Param{{Name: "Y", Types: poolTypes, Same: "T"}, {Name: "Indices", Types: i64Only, Optional: true}},
		Attrs:   append(windowAttrs(true), ceil, AttrSpec{Name: "storage_order", Kind: graph.AttrInt, Default: "0"}),
		Infer:   inferPool, Cost: costPool,
	})
	Register(globalPool("GlobalAveragePool", "ReduceMean", Contraction, "The mean over all spatial axes, which stay as 1."))
	Register(globalPool("GlobalMaxPool", "ReduceMax", Exact, "The greatest element over all spatial axes, which stay as 1."))
}

func inferPool(c *graph.Call) ([]graph.Type, error) {
	in := c.Type(0)
	if in.Rank() < 3 {
		return nil, fmt.Errorf("%s: want [N,C,D1,...]", describe(c, 0))
	}
	w, err := windowOf(c, in.Rank()-2, nil)
	if err != nil {
		return nil, err
	}
	s, err := w.spatial(c, dim.Shape{in.Shape[0], in.Shape[1]}, in.Shape)
	if err != nil {
		return nil, err
	}
	return []graph.Type{{Elem: in.Elem, Shape: s}, {Elem: enc.I64, Shape: s}}[:len(c.Out)], nil
}

func costPool(c *graph.Call, out []graph.Type, b dim.Binding) (Cost, error) {
	k, err := MoveCost(c, out, b)
	if err != nil {
		return Cost{}, err
	}
	e, err := elements(out[0], b)
	for _, n := range c.Attrs.Ints("kernel_shape") {
		e *= float64(n)
	}
	k.FLOPs = e
	return k, err
}

func globalPool(name, reduce string, class Class, doc string) Op {
	return Op{
		Ref: onnx(name, 22), Doc: doc,
		Inputs: in1("X", Floats), Outputs: in1("Y", Floats),
		Infer: func(c *graph.Call) ([]graph.Type, error) {
			s := c.Type(0).Shape
			if len(s) < 3 {
				return nil, fmt.Errorf("%s: want [N,C,D1,...]", describe(c, 0))
			}
			return result(c.Type(0).Elem, reducedShape(s, spatialAxes(len(s)), true))
		},
		Cost: opsPerElement(1),
		Decompose: func(b *graph.Builder, _ *graph.Call, in []graph.ValueID) ([]graph.ValueID, error) {
			var axes []int64
			for _, a := range spatialAxes(b.Type(in[0]).Rank()) {
				axes = append(axes, int64(a))
			}
			return decomposed(b, b.Op(reduce, values{in[0], b.Ints(axes...)}))
		},
		Class: class,
	}
}

func spatialAxes(rank int) []int {
	var axes []int
	for a := 2; a < rank; a++ {
		axes = append(axes, a)
	}
	return axes
}
