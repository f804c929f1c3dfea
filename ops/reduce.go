package ops

import (
	"fmt"
	"slices"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
)

func init() {
	const ordered = wide | codes8 | Bools
	Register(reduction("ReduceMax", 20, ordered, Exact, "The greatest element; of none, -Inf or the type's least."))
	Register(reduction("ReduceMin", 20, ordered, Exact, "The least element; of none, +Inf or the type's greatest."))
	sum := reduction("ReduceSum", 13, wide, Contraction, "The sum; of none, 0.")
	sum.Fold = foldReduction(0, dim.Dim.Add)
	Register(sum)
	Register(reduction("ReduceMean", 18, wide, Contraction, "The mean; of none, NaN."))
	prod := reduction("ReduceProd", 18, wide, Contraction, "The product; of none, 1.")
	prod.Fold = foldReduction(1, dim.Dim.Mul)
	Register(prod)
	Register(reduceVia("ReduceL1", "The sum of absolute values.",
		func(b *graph.Builder, x graph.ValueID, reduce reducer) graph.ValueID {
			return reduce("ReduceSum", b.Op("Abs", values{x}))
		}))
	Register(reduceVia("ReduceSumSquare", "The sum of squares.",
		func(b *graph.Builder, x graph.ValueID, reduce reducer) graph.ValueID {
			return reduce("ReduceSum", b.Op("Mul", values{x, x}))
		}))
	Register(reduceVia("ReduceL2", "The square root of the sum of squares.",
		func(b *graph.Builder, x graph.ValueID, reduce reducer) graph.ValueID {
			return real(b, "Sqrt", reduce("ReduceSum", b.Op("Mul", values{x, x})))
		}))
	Register(reduceVia("ReduceLogSum", "The logarithm of the sum.",
		func(b *graph.Builder, x graph.ValueID, reduce reducer) graph.ValueID {
			return real(b, "Log", reduce("ReduceSum", x))
		}))
	logSumExp := reduceVia("ReduceLogSumExp", "The logarithm of the sum of exponentials, computed after subtracting the greatest element.", nil)
	logSumExp.Decompose = decomposeLogSumExp
	Register(logSumExp)

	for _, m := range []struct{ name, doc string }{
		{"ArgMax", "The position of the greatest element along axis, the first (or last) of equal ones."},
		{"ArgMin", "The position of the least element along axis, the first (or last) of equal ones."},
	} {
		Register(Op{
			Ref: onnx(m.name, 13), Doc: m.doc,
			Inputs:  in1("data", Numbers),
			Outputs: []Param{{Name: "reduced", Types: i64Only}},
			Attrs: []AttrSpec{
				{Name: "axis", Kind: graph.AttrInt, Default: "0"},
				{Name: "keepdims", Kind: graph.AttrInt, Default: "1"},
				{Name: "select_last_index", Kind: graph.AttrInt, Default: "0"},
			},
			Infer: func(c *graph.Call) ([]graph.Type, error) {
				s := c.Type(0).Shape
				axis, err := attrAxis(c, 0, len(s))
				if err != nil {
					return nil, fmt.Errorf("%s: %w", describe(c, 0), err)
				}
				if s[axis].Is(0) {
					return nil, fmt.Errorf("%s: there is nothing along axis %d", describe(c, 0), axis)
				}
				return result(enc.I64, reducedShape(s, []int{axis}, c.Attrs.Int("keepdims", 1) != 0))
			},
			Cost: opsPerElement(1),
		})
	}
}

// reduction describes an operator over the axes that input 1 lists: all of
// them if it is absent or empty, unless noop_with_empty_axes is set. Older
// versions gave the axes as an attribute.
func reduction(name string, version int, types TypeSet, class Class, doc string) Op {
	return Op{
		Ref: onnx(name, version), Doc: doc,
		Inputs: []Param{
			{Name: "data", Types: types, Same: "T"},
			{Name: "axes", Types: i64Only, Const: true, Optional: true},
		},
		Outputs: in1("reduced", types),
		Attrs: []AttrSpec{
			{Name: "keepdims", Kind: graph.AttrInt, Default: "1"},
			{Name: "noop_with_empty_axes", Kind: graph.AttrInt, Default: "0"},
		},
		Infer: func(c *graph.Call) ([]graph.Type, error) {
			s := c.Type(0).Shape
			var ns []int64
			if c.Has(1) {
				var err error
				if ns, err = intOperand(c, 1); err != nil {
					return nil, err
				}
			}
			axes, err := normAxes(ns, len(s))
			if err != nil {
				return nil, fmt.Errorf("%s: %w", describe(c, 0), err)
			}
			if len(axes) == 0 {
				if c.Attrs.Int("noop_with_empty_axes", 0) != 0 {
					return likeFirst(c)
				}
				for i := range s {
					axes = append(axes, i)
				}
			}
			return result(c.Type(0).Elem, reducedShape(s, axes, c.Attrs.Int("keepdims", 1) != 0))
		},
		Cost: opsPerElement(1), Class: class,
	}
}

// foldReduction folds a reduction of a vector of symbolic integers.
func foldReduction(start int64, add func(a, b dim.Dim) dim.Dim) func(*graph.Call) ([]dim.Dim, bool) {
	return func(c *graph.Call) ([]dim.Dim, bool) {
		ds, ok := foldable(c, 0)
		types, err := Standard.Infer(c)
		if !ok || err != nil || c.Type(0).Rank() != 1 {
			return nil, false
		}
		if types[0].Shape.Equal(c.Type(0).Shape) {
			return ds, true // nothing is reduced, or one element
		}
		acc := dim.Of(start)
		for _, d := range ds {
			acc = add(acc, d)
		}
		return []dim.Dim{acc}, acc.Valid() == nil
	}
}

// reducedShape drops the axes, or makes them 1.
func reducedShape(s dim.Shape, axes []int, keep bool) dim.Shape {
	var out dim.Shape
	for i, d := range s {
		switch {
		case !slices.Contains(axes, i):
			out = append(out, d)
		case keep:
			out = append(out, dim.Of(1))
		}
	}
	return out
}

// reducer applies a reduction over the axes of the node being decomposed.
type reducer func(op string, v graph.ValueID) graph.ValueID

// reduceVia describes a composite reduction. With noop_with_empty_axes, whose
// meaning for these operators is to apply only the elementwise part, the inner
// reduction passes its operand through.
func reduceVia(name, doc string, body func(b *graph.Builder, x graph.ValueID, reduce reducer) graph.ValueID) Op {
	o := reduction(name, 18, wide, Contraction, doc)
	o.Cost = opsPerElement(2)
	o.Decompose = func(b *graph.Builder, c *graph.Call, in []graph.ValueID) ([]graph.ValueID, error) {
		return decomposed(b, body(b, in[0], func(op string, v graph.ValueID) graph.ValueID {
			return b.Op(op, values{v, input(in, 1)}, c.Attrs...)
		}))
	}
	return o
}

// real applies an operator on floats to v, through float64 if v is integers.
func real(b *graph.Builder, op string, v graph.ValueID) graph.ValueID {
	elem := b.Type(v).Elem
	if !elem.IsFloat() {
		v = cast(b, v, enc.F64)
	}
	return cast(b, b.Op(op, values{v}), elem)
}

func decomposeLogSumExp(b *graph.Builder, c *graph.Call, in []graph.ValueID) ([]graph.ValueID, error) {
	elem := b.Type(in[0]).Elem
	x := in[0]
	if !elem.IsFloat() {
		x = cast(b, x, enc.F64)
	}
	float := b.Type(x).Elem
	reduce := func(op string, v graph.ValueID, keep int64) graph.ValueID {
		return b.Op(op, values{v, input(in, 1)},
			graph.Int("keepdims", keep), graph.Int("noop_with_empty_axes", c.Attrs.Int("noop_with_empty_axes", 0)))
	}
	keep := c.Attrs.Int("keepdims", 1)
	finite := func(v graph.ValueID) graph.ValueID {
		// Subtracting an infinity from itself would give NaN.
		return b.Op("Where", values{b.Op("IsInf", values{v}), scalar(b, float, 0), v})
	}
	shifted := b.Op("Sub", values{x, finite(reduce("ReduceMax", x, 1))})
	s := b.Op("Log", values{reduce("ReduceSum", b.Op("Exp", values{shifted}), keep)})
	return decomposed(b, cast(b, b.Op("Add", values{s, finite(reduce("ReduceMax", x, keep))}), elem))
}
