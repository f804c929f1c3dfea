package ops

import (
	"fmt"
	"slices"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
)

func init() {
	Register(Op{
		Ref: onnx("Reshape", 25),
		Doc: "The same elements in another shape. 0 keeps the operand's dimension (unless allowzero is 1), one -1 takes what is left; the shape may be symbolic.",
		Inputs: []Param{
			{Name: "data", Types: All, Same: "T"},
			{Name: "shape", Types: i64Only, Const: true},
		},
		Outputs: in1("reshaped", All),
		Attrs:   []AttrSpec{{Name: "allowzero", Kind: graph.AttrInt, Default: "0"}},
		Infer:   inferReshape, Cost: viewCost, Fold: foldSame,
	})
	Register(Op{
		Ref: onnx("Flatten", 25), Doc: "A matrix: the dimensions before axis become one, those from it on the other.",
		Inputs: in1("input", All), Outputs: in1("output", All),
		Attrs: []AttrSpec{{Name: "axis", Kind: graph.AttrInt, Default: "1"}},
		Infer: inferFlatten, Cost: viewCost, Decompose: decomposeView(inferFlatten),
	})
	Register(Op{
		Ref: onnx("Squeeze", 25), Doc: "Removes dimensions of 1: those listed, or all of them. Versions before 13 gave the axes as an attribute.",
		Inputs: []Param{
			{Name: "data", Types: All, Same: "T"},
			{Name: "axes", Types: i64Only, Const: true, Optional: true},
		},
		Outputs: in1("squeezed", All),
		Infer:   inferSqueeze, Cost: viewCost, Fold: foldSame, Decompose: decomposeView(inferSqueeze),
	})
	Register(Op{
		Ref: onnx("Unsqueeze", 25), Doc: "Inserts dimensions of 1 so that they come to stand at the axes listed. Versions before 13 gave the axes as an attribute.",
		Inputs: []Param{
			{Name: "data", Types: All, Same: "T"},
			{Name: "axes", Types: i64Only, Const: true},
		},
		Outputs: in1("expanded", All),
		Infer:   inferUnsqueeze, Cost: viewCost, Fold: foldSame, Decompose: decomposeView(inferUnsqueeze),
	})
	Register(Op{
		Ref: onnx("Identity", 25), Doc: "The operand.",
		Inputs: in1("input", All), Outputs: in1("output", All),
		Infer: likeFirst, Cost: viewCost, Fold: foldSame,
	})
	Register(Op{
		Ref: onnx("Transpose", 25), Doc: "Permutes the dimensions: output dimension i is input dimension perm[i]. Without perm the order is reversed.",
		Inputs: in1("data", All), Outputs: in1("transposed", All),
		Attrs: []AttrSpec{{Name: "perm", Kind: graph.AttrInts, Default: "reversed"}},
		Infer: func(c *graph.Call) ([]graph.Type, error) {
			perm, err := permOf(c)
			if err != nil {
				return nil, err
			}
			out := make(dim.Shape, len(perm))
			for i, a := range perm {
				out[i] = c.Type(0).Shape[a]
			}
			return result(c.Type(0).Elem, out)
		},
	})
	Register(Op{
		Ref: onnx("Expand", 13), Doc: "Stretches dimensions of 1 as broadcasting against the shape operand does; a 1 there leaves the dimension alone.",
		Inputs: []Param{
			{Name: "input", Types: anything, Same: "T"},
			{Name: "shape", Types: i64Only, Const: true},
		},
		Outputs: in1("output", anything),
		Infer: func(c *graph.Call) ([]graph.Type, error) {
			to, err := operand(c, 1)
			if err != nil {
				return nil, err
			}
			s, err := broadcast(c.Type(0).Shape, to)
			if err != nil {
				return nil, fmt.Errorf("%s does not expand to %s: %w", describe(c, 0), dim.Shape(to), err)
			}
			return result(c.Type(0).Elem, s)
		},
		Fold: foldRepeat,
	})
	Register(Op{
		Ref: onnx("Tile", 13), Doc: "Repeats the operand along each dimension.",
		Inputs: []Param{
			{Name: "input", Types: anything, Same: "T"},
			{Name: "repeats", Types: i64Only, Const: true},
		},
		Outputs: in1("output", anything),
		Infer: func(c *graph.Call) ([]graph.Type, error) {
			n, err := operand(c, 1)
			if err != nil {
				return nil, err
			}
			if len(n) != c.Type(0).Rank() {
				return nil, fmt.Errorf("%s: %d repeats for %s", describe(c, 1), len(n), describe(c, 0))
			}
			out := make(dim.Shape, len(n))
			for i, d := range c.Type(0).Shape {
				out[i] = d.Mul(n[i])
			}
			return result(c.Type(0).Elem, out)
		},
		Fold: foldRepeat,
	})
	Register(Op{
		Ref: onnx("Shape", 25), Doc: "The dimensions from start to end, which count from the back if negative and are clamped. Known without running.",
		Inputs:  []Param{{Name: "data", Types: All, Encoded: true}},
		Outputs: []Param{{Name: "shape", Types: i64Only}},
		Attrs: []AttrSpec{
			{Name: "start", Kind: graph.AttrInt, Default: "0"},
			{Name: "end", Kind: graph.AttrInt, Default: "the rank"},
		},
		Infer: func(c *graph.Call) ([]graph.Type, error) {
			return result(enc.I64, dim.Shape{dim.Of(int64(len(shapeRange(c))))})
		},
		Cost: viewCost, Fold: func(c *graph.Call) ([]dim.Dim, bool) { return shapeRange(c), true },
		Decompose: func(b *graph.Builder, c *graph.Call, in []graph.ValueID) ([]graph.ValueID, error) {
			return decomposed(b, b.Dims(shapeRange(rebind(b, c, in))...))
		},
	})
	Register(Op{
		Ref: onnx("Size", 25), Doc: "The number of elements. Known without running.",
		Inputs:  []Param{{Name: "data", Types: All, Encoded: true}},
		Outputs: []Param{{Name: "size", Types: i64Only}},
		Infer:   func(*graph.Call) ([]graph.Type, error) { return result(enc.I64, nil) },
		Cost:    viewCost,
		Fold: func(c *graph.Call) ([]dim.Dim, bool) {
			n := product(c.Type(0).Shape...)
			return []dim.Dim{n}, n.Valid() == nil
		},
		Decompose: func(b *graph.Builder, _ *graph.Call, in []graph.ValueID) ([]graph.ValueID, error) {
			n := product(b.Type(in[0]).Shape...)
			if err := n.Valid(); err != nil {
				return nil, err
			}
			return decomposed(b, dimScalar(b, n))
		},
	})
	Register(Op{
		Ref: onnx("ConstantOfShape", 25), Doc: "A tensor of the given shape with every element equal to value, a tensor of one element.",
		Inputs:  []Param{{Name: "input", Types: i64Only, Const: true}},
		Outputs: []Param{{Name: "output", Types: All}},
		Attrs:   []AttrSpec{{Name: "value", Kind: graph.AttrTensor, Default: "f32 0"}},
		Infer: func(c *graph.Call) ([]graph.Type, error) {
			v, err := fillValue(c)
			if err != nil {
				return nil, err
			}
			s, err := operand(c, 0)
			if err != nil {
				return nil, err
			}
			return result(v.Elem, s)
		},
		Fold: foldFill,
		Decompose: func(b *graph.Builder, c *graph.Call, in []graph.ValueID) ([]graph.ValueID, error) {
			v, err := fillValue(c)
			if err != nil {
				return nil, err
			}
			if !anything.Has(v.Elem) {
				return nil, fmt.Errorf("no simpler operator fills a tensor of %s", v.Elem)
			}
			return decomposed(b, b.Op("Expand", values{b.Const("", v.Scalar()), in[0]}))
		},
	})
	Register(Op{
		Ref: onnx("Range", 27),
		Doc: "start, start+delta, ... up to but without limit. Element i is start + i*delta, of f16 and bf16 computed in stash_type.",
		Inputs: []Param{
			{Name: "start", Types: rangeTypes, Same: "T", Const: true},
			{Name: "limit", Types: rangeTypes, Same: "T", Const: true},
			{Name: "delta", Types: rangeTypes, Same: "T", Const: true},
		},
		Outputs: in1("output", rangeTypes),
		Attrs:   []AttrSpec{{Name: "stash_type", Kind: graph.AttrElem, Default: "f32"}},
		Infer:   inferRange, Fold: foldRange, Class: Rounded,
	})
}

const rangeTypes = Floats | Indices | TypeSet(1<<enc.I16)

// decomposeView turns an operator that keeps the elements in order into
// Reshape, given its inference.
func decomposeView(infer func(*graph.Call) ([]graph.Type, error)) func(*graph.Builder, *graph.Call, []graph.ValueID) ([]graph.ValueID, error) {
	return func(b *graph.Builder, c *graph.Call, in []graph.ValueID) ([]graph.ValueID, error) {
		types, err := infer(rebind(b, c, in))
		if err != nil {
			return nil, err
		}
		s := types[0].Shape
		return decomposed(b, b.Op("Reshape", values{in[0], b.Dims(s...)}, allowZero(s)...))
	}
}

func inferReshape(c *graph.Call) ([]graph.Type, error) {
	in := c.Type(0)
	want, err := operand(c, 1)
	if err != nil {
		return nil, err
	}
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%s cannot be reshaped to %s: %s", describe(c, 0), dim.Shape(want), fmt.Sprintf(format, args...))
	}
	out := slices.Clone(dim.Shape(want))
	free := -1
	for i, d := range want {
		n, isConst := d.Const()
		switch {
		case isConst && n == -1:
			if free >= 0 {
				return nil, bad("-1 stands there twice")
			}
			free = i
		case isConst && n < 0:
			return nil, bad("dimension %d is negative", n)
		case isConst && n == 0 && c.Attrs.Int("allowzero", 0) == 0:
			if i >= in.Rank() {
				return nil, bad("0 at %d has no dimension to keep", i)
			}
			out[i] = in.Shape[i]
		}
	}
	var fixed []dim.Dim
	for i, d := range out {
		if i != free {
			fixed = append(fixed, d)
		}
	}
	if hasZero(in.Shape) || hasZero(fixed) {
		switch {
		case free >= 0 && hasZero(fixed):
			return nil, bad("without elements, -1 could be anything")
		case !hasZero(in.Shape) || free < 0 && !hasZero(fixed):
			return nil, bad("one has no elements, the other has some")
		case free >= 0:
			out[free] = dim.Of(0)
		}
		return result(in.Elem, out)
	}
	r, err := divide(in.Shape, fixed)
	if err != nil {
		return nil, bad("%v", err)
	}
	if free < 0 {
		if !r.isOne() {
			return nil, bad("the numbers of elements differ, or cannot be proved equal")
		}
		return result(in.Elem, out)
	}
	d, ok := r.dim()
	if !ok {
		return nil, bad("what is left for -1 is not a whole dimension")
	}
	out[free] = d
	return result(in.Elem, out)
}

func inferFlatten(c *graph.Call) ([]graph.Type, error) {
	s := c.Type(0).Shape
	axis := c.Attrs.Int("axis", 1)
	if axis < 0 {
		axis += int64(len(s))
	}
	if axis < 0 || axis > int64(len(s)) {
		return nil, fmt.Errorf("attribute axis: axis %d is outside of %s", c.Attrs.Int("axis", 1), describe(c, 0))
	}
	return result(c.Type(0).Elem, dim.Shape{product(s[:axis]...), product(s[axis:]...)})
}

func inferSqueeze(c *graph.Call) ([]graph.Type, error) {
	s := c.Type(0).Shape
	drop := make([]bool, len(s))
	if c.Has(1) {
		ns, err := intOperand(c, 1)
		if err != nil {
			return nil, err
		}
		axes, err := normAxes(ns, len(s))
		if err != nil {
			return nil, fmt.Errorf("%s of %s: %w", describe(c, 1), describe(c, 0), err)
		}
		for _, a := range axes {
			if !s[a].Is(1) {
				return nil, fmt.Errorf("%s: dimension %d is %s, only 1 can be squeezed", describe(c, 0), a, s[a])
			}
			drop[a] = true
		}
	} else {
		for i, d := range s {
			drop[i] = d.Is(1)
		}
	}
	var out dim.Shape
	for i, d := range s {
		if !drop[i] {
			out = append(out, d)
		}
	}
	return result(c.Type(0).Elem, out)
}

func inferUnsqueeze(c *graph.Call) ([]graph.Type, error) {
	ns, err := intOperand(c, 1)
	if err != nil {
		return nil, err
	}
	s := c.Type(0).Shape
	rank := len(s) + len(ns)
	if rank > graph.MaxRank {
		return nil, fmt.Errorf("%s: %d more dimensions; at most %d in all", describe(c, 0), len(ns), graph.MaxRank)
	}
	axes, err := normAxes(ns, rank)
	if err != nil {
		return nil, fmt.Errorf("%s of %s: %w", describe(c, 1), describe(c, 0), err)
	}
	out := make(dim.Shape, rank)
	for i := range out {
		if slices.Contains(axes, i) {
			out[i] = dim.Of(1)
		} else {
			out[i], s = s[0], s[1:]
		}
	}
	return result(c.Type(0).Elem, out)
}

// permOf returns the permutation of a Transpose.
func permOf(c *graph.Call) ([]int, error) {
	rank := c.Type(0).Rank()
	perm := make([]int, rank)
	if ns := c.Attrs.Ints("perm"); ns != nil {
		for i, n := range ns {
			if i < rank && n >= 0 && n < int64(rank) {
				perm[i] = int(n)
			} else {
				return nil, fmt.Errorf("attribute perm: %v is not a permutation for %s", ns, describe(c, 0))
			}
		}
		if len(ns) != rank || !graph.IsPerm(perm, rank) {
			return nil, fmt.Errorf("attribute perm: %v is not a permutation for %s", ns, describe(c, 0))
		}
		return perm, nil
	}
	for i := range perm {
		perm[i] = rank - 1 - i
	}
	return perm, nil
}

// shapeRange returns the dimensions that a Shape selects.
func shapeRange(c *graph.Call) []dim.Dim {
	s := c.Type(0).Shape
	clamp := func(n int64) int64 {
		if n < 0 {
			n += int64(len(s))
		}
		return max(0, min(n, int64(len(s))))
	}
	from, to := clamp(c.Attrs.Int("start", 0)), clamp(c.Attrs.Int("end", int64(len(s))))
	return s[from:max(from, to)]
}

// fillValue returns the one-element tensor of a ConstantOfShape.
func fillValue(c *graph.Call) (*graph.Tensor, error) {
	v := c.Attrs.Tensor("value")
	if v == nil {
		return graph.F32(nil, 0), nil
	}
	if n, err := dim.Count(v.Shape); err != nil || n != 1 || v.Valid() != nil {
		return nil, fmt.Errorf("attribute value is %s; want one element", v.Type())
	}
	return v, nil
}

// foldFill folds a ConstantOfShape that makes a short vector of integers.
func foldFill(c *graph.Call) ([]dim.Dim, bool) {
	v, err := fillValue(c)
	if err != nil || v.Elem != enc.I64 {
		return nil, false
	}
	ns, ok := v.Ints()
	if !ok {
		return nil, false
	}
	return repeatTo(c, []dim.Dim{dim.Of(ns[0])})
}

// foldRepeat folds Expand and Tile of short vectors.
func foldRepeat(c *graph.Call) ([]dim.Dim, bool) {
	ds, ok := foldable(c, 0)
	if !ok {
		return nil, false
	}
	return repeatTo(c, ds)
}

// repeatTo repeats ds up to the length of the call's result, if that is a
// scalar or a short vector.
func repeatTo(c *graph.Call, ds []dim.Dim) ([]dim.Dim, bool) {
	types, err := Standard.Infer(c)
	if err != nil || types[0].Rank() > 1 {
		return nil, false
	}
	n, ok := product(types[0].Shape...).Const()
	if !ok || n > maxFold || n > 0 && len(ds) == 0 {
		return nil, false
	}
	out := make([]dim.Dim, n)
	for i := range out {
		out[i] = ds[i%len(ds)]
	}
	return out, true
}

func inferRange(c *graph.Call) ([]graph.Type, error) {
	for i := range c.In {
		if c.Type(i).Rank() != 0 {
			return nil, fmt.Errorf("%s: want a scalar", describe(c, i))
		}
	}
	n, err := rangeLen(c)
	if err != nil {
		return nil, err
	}
	return result(c.Type(0).Elem, dim.Shape{n})
}

// rangeLen returns max(ceil((limit-start)/delta), 0).
func rangeLen(c *graph.Call) (dim.Dim, error) {
	if e := c.Type(0).Elem; e.IsFloat() || e == enc.I16 {
		var v [3]float64
		for i := range v {
			t, ok := c.In[i].Const()
			if ok {
				v[i], ok = scalarValue(t)
			}
			if !ok {
				return dim.Dim{}, fmt.Errorf("%s: want a number that the graph itself carries", describe(c, i))
			}
		}
		return countSteps(v[0], v[1], v[2])
	}
	var v [3]dim.Dim
	for i := range v {
		ds, err := operand(c, i)
		if err != nil {
			return dim.Dim{}, err
		}
		v[i] = ds[0]
	}
	step, ok := v[2].Const()
	if !ok || step == 0 {
		return dim.Dim{}, fmt.Errorf("%s is %s; want a number other than 0", describe(c, 2), v[2])
	}
	span := v[1].Sub(v[0])
	if step < 0 {
		span, step = span.MulInt(-1), -step
	}
	n := span.CeilDiv(step)
	lo, hi := bounds(c, n)
	switch {
	case n.Valid() != nil, lo >= 0:
		return n, nil
	case hi <= 0:
		return dim.Of(0), nil
	}
	return dim.Dim{}, fmt.Errorf("the range from %s to %s may be empty: %w", v[0], v[1], errSymbolic)
}
