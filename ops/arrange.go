package ops

import (
	"fmt"
	"slices"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
)

func init() {
	block := AttrSpec{Name: "blocksize", Kind: graph.AttrInt, Required: true}
	Register(Op{
		Ref: onnx("DepthToSpace", 13), Doc: "[N,C,H,W] to [N,C/b^2,H*b,W*b]: channels become blocks of b by b pixels; mode DCR takes the block from the outer part of C, CRD from the inner.",
		Inputs: in1("input", anything), Outputs: in1("output", anything),
		Attrs: []AttrSpec{block, {Name: "mode", Kind: graph.AttrString, Default: "DCR"}},
		Infer: inferDepthToSpace, Decompose: decomposeDepthToSpace,
	})
	Register(Op{
		Ref: onnx("SpaceToDepth", 13), Doc: "[N,C,H,W] to [N,C*b^2,H/b,W/b]: the inverse of DepthToSpace in mode DCR.",
		Inputs: in1("input", anything), Outputs: in1("output", anything),
		Attrs: []AttrSpec{block},
		Infer: inferSpaceToDepth, Decompose: decomposeSpaceToDepth,
	})
	Register(Op{
		Ref: onnx("Trilu", 14), Doc: "The upper (or lower) triangle of each matrix, from the k-th diagonal; zeros elsewhere.",
		Inputs: []Param{
			{Name: "input", Types: anything, Same: "T"},
			{Name: "k", Types: i64Only, Const: true, Optional: true},
		},
		Outputs: in1("output", anything),
		Attrs:   []AttrSpec{{Name: "upper", Kind: graph.AttrInt, Default: "1"}},
		Infer: func(c *graph.Call) ([]graph.Type, error) {
			if c.Type(0).Rank() < 2 {
				return nil, fmt.Errorf("%s: want a matrix or a batch of them", describe(c, 0))
			}
			if c.Has(1) {
				if k, err := operand(c, 1); err != nil || len(k) != 1 {
					return nil, fmt.Errorf("%s: want one integer", describe(c, 1))
				}
			}
			return likeFirst(c)
		},
		Decompose: decomposeTrilu,
	})
	Register(Op{
		Ref: onnx("CumSum", 14), Doc: "The running sum along axis; without the element itself if exclusive, from the end if reverse.",
		Inputs: []Param{
			{Name: "x", Types: wide, Same: "T"},
			{Name: "axis", Types: Indices, Const: true},
		},
		Outputs: in1("y", wide),
		Attrs: []AttrSpec{
			{Name: "exclusive", Kind: graph.AttrInt, Default: "0"},
			{Name: "reverse", Kind: graph.AttrInt, Default: "0"},
		},
		Infer: func(c *graph.Call) ([]graph.Type, error) {
			ns, err := intOperand(c, 1)
			if err != nil {
				return nil, err
			}
			if len(ns) != 1 {
				return nil, fmt.Errorf("%s: want one axis", describe(c, 1))
			}
			if _, err := normAxis(ns[0], c.Type(0).Rank()); err != nil {
				return nil, fmt.Errorf("%s: %w", describe(c, 0), err)
			}
			return likeFirst(c)
		},
		Class: Contraction,
	})
	Register(Op{
		Ref: onnx("TopK", 24), Doc: "The K greatest (or least) elements along axis and their positions, in order if sorted; of equal ones the first come first.",
		Inputs: []Param{
			{Name: "X", Types: Numbers, Same: "T"},
			{Name: "K", Types: i64Only, Const: true},
		},
		Outputs: []Param{{Name: "Values", Types: Numbers, Same: "T", Optional: true}, {Name: "Indices", Types: i64Only, Optional: true}},
		Attrs: []AttrSpec{
			{Name: "axis", Kind: graph.AttrInt, Default: "-1"},
			{Name: "largest", Kind: graph.AttrInt, Default: "1"},
			{Name: "sorted", Kind: graph.AttrInt, Default: "1"},
		},
		Infer: func(c *graph.Call) ([]graph.Type, error) {
			axis, err := attrAxis(c, -1, c.Type(0).Rank())
			if err != nil {
				return nil, fmt.Errorf("%s: %w", describe(c, 0), err)
			}
			k, err := operand(c, 1)
			if err != nil {
				return nil, err
			}
			s := slices.Clone(c.Type(0).Shape)
			if len(k) != 1 {
				return nil, fmt.Errorf("%s: want one number", describe(c, 1))
			}
			if lo, hi := bounds(c, s[axis].Sub(k[0])); hi < 0 || lo < 0 && !k[0].Equal(s[axis]) {
				return nil, fmt.Errorf("%s: there may be fewer than %s elements along axis %d", describe(c, 0), k[0], axis)
			}
			s[axis] = k[0]
			return []graph.Type{{Elem: c.Type(0).Elem, Shape: s}, {Elem: enc.I64, Shape: s}}[:len(c.Out)], nil
		},
		Cost: opsPerElement(8),
	})
}

// blockOf checks a [N,C,H,W] operand and returns its block size.
func blockOf(c *graph.Call) (int64, error) {
	n := c.Attrs.Int("blocksize", 0)
	if c.Type(0).Rank() != 4 {
		return 0, fmt.Errorf("%s: want [N,C,H,W]", describe(c, 0))
	}
	if n < 1 || n > 1<<20 {
		return 0, fmt.Errorf("attribute blocksize is %d; want at least 1", n)
	}
	return n, nil
}

func inferDepthToSpace(c *graph.Call) ([]graph.Type, error) {
	n, err := blockOf(c)
	if err != nil {
		return nil, err
	}
	if m := c.Attrs.Str("mode", "DCR"); m != "DCR" && m != "CRD" {
		return nil, fmt.Errorf("attribute mode is %q; want DCR or CRD", m)
	}
	s := c.Type(0).Shape
	ch, ok := exactDiv(s[1], n*n)
	if !ok {
		return nil, fmt.Errorf("%s: %s channels are not whole blocks of %d", describe(c, 0), s[1], n*n)
	}
	return result(c.Type(0).Elem, dim.Shape{s[0], ch, s[2].MulInt(n), s[3].MulInt(n)})
}

func inferSpaceToDepth(c *graph.Call) ([]graph.Type, error) {
	n, err := blockOf(c)
	if err != nil {
		return nil, err
	}
	s := c.Type(0).Shape
	h, okH := exactDiv(s[2], n)
	w, okW := exactDiv(s[3], n)
	if !okH || !okW {
		return nil, fmt.Errorf("%s: the picture is not whole blocks of %d by %d", describe(c, 0), n, n)
	}
	return result(c.Type(0).Elem, dim.Shape{s[0], s[1].MulInt(n * n), h, w})
}

func decomposeDepthToSpace(b *graph.Builder, c *graph.Call, in []graph.ValueID) ([]graph.ValueID, error) {
	s := b.Type(in[0]).Shape
	n := c.Attrs.Int("blocksize", 1)
	ch, _ := exactDiv(s[1], n*n)
	k := dim.Of(n)
	var v graph.ValueID
	if c.Attrs.Str("mode", "DCR") == "DCR" {
		v = reshape(b, in[0], s[0], k, k, ch, s[2], s[3])
		v = b.Op("Transpose", values{v}, graph.Ints("perm", 0, 3, 4, 1, 5, 2))
	} else {
		v = reshape(b, in[0], s[0], ch, k, k, s[2], s[3])
		v = b.Op("Transpose", values{v}, graph.Ints("perm", 0, 1, 4, 2, 5, 3))
	}
	return decomposed(b, reshape(b, v, s[0], ch, s[2].MulInt(n), s[3].MulInt(n)))
}

func decomposeSpaceToDepth(b *graph.Builder, c *graph.Call, in []graph.ValueID) ([]graph.ValueID, error) {
	s := b.Type(in[0]).Shape
	n := c.Attrs.Int("blocksize", 1)
	h, _ := exactDiv(s[2], n)
	w, _ := exactDiv(s[3], n)
	k := dim.Of(n)
	v := reshape(b, in[0], s[0], s[1], h, k, w, k)
	v = b.Op("Transpose", values{v}, graph.Ints("perm", 0, 3, 5, 1, 2, 4))
	return decomposed(b, reshape(b, v, s[0], s[1].MulInt(n*n), h, w))
}

func decomposeTrilu(b *graph.Builder, c *graph.Call, in []graph.ValueID) ([]graph.ValueID, error) {
	t := b.Type(in[0])
	k := dim.Of(0)
	if v := input(in, 1); v != graph.NoValue {
		ds, ok := b.Value(v).Dims()
		if !ok || len(ds) != 1 {
			return nil, fmt.Errorf("the diagonal k is not a constant integer")
		}
		k = ds[0]
	}
	r := t.Rank()
	diagonal := b.Op("Add", values{b.Op("Unsqueeze", values{counting(b, t.Shape[r-2]), b.Ints(1)}), dimScalar(b, k)})
	column := counting(b, t.Shape[r-1])
	cut := b.Op("Less", values{column, diagonal})
	if c.Attrs.Int("upper", 1) == 0 {
		cut = b.Op("Less", values{diagonal, column})
	}
	return decomposed(b, b.Op("Where", values{cut, scalar(b, t.Elem, 0), in[0]}))
}
