package ops

import (
	"fmt"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
)

func init() {
	Register(Op{
		Ref: onnx("MatMul", 13),
		Doc: "The matrix product of the last two dimensions, the others broadcasting; a vector on the left is a row, on the right a column, and that dimension goes away. B may be encoded.",
		Inputs: []Param{
			{Name: "A", Types: wide, Same: "T"},
			{Name: "B", Types: wide, Same: "T", Encoded: true},
		},
		Outputs: in1("Y", wide),
		Infer: func(c *graph.Call) ([]graph.Type, error) {
			s, err := matmulShape(c, 0, 1)
			if err != nil {
				return nil, err
			}
			return result(c.Type(0).Elem, s)
		},
		Cost:  func(c *graph.Call, out []graph.Type, b dim.Binding) (Cost, error) { return matmulCost(c, out, b, 0) },
		Class: Contraction,
	})
	Register(Op{
		Ref: onnx("Gemm", 13),
		Doc: "alpha*A'*B' + beta*C of matrices, A' and B' being A and B, transposed if transA or transB is set; C broadcasts to the result. B may be encoded.",
		Inputs: []Param{
			{Name: "A", Types: wide, Same: "T"},
			{Name: "B", Types: wide, Same: "T", Encoded: true},
			{Name: "C", Types: wide, Same: "T", Optional: true},
		},
		Outputs: in1("Y", wide),
		Attrs: []AttrSpec{
			{Name: "alpha", Kind: graph.AttrFloat, Default: "1"},
			{Name: "beta", Kind: graph.AttrFloat, Default: "1"},
			{Name: "transA", Kind: graph.AttrInt, Default: "0"},
			{Name: "transB", Kind: graph.AttrInt, Default: "0"},
		},
		Infer: inferGemm, Cost: costGemm, Decompose: decomposeGemm, Class: Contraction,
	})
}

// matmulShape returns the shape of the product of inputs i and k.
func matmulShape(c *graph.Call, i, k int) (dim.Shape, error) {
	a, b := c.Type(i).Shape, c.Type(k).Shape
	if len(a) == 0 || len(b) == 0 {
		return nil, fmt.Errorf("%s and %s: a scalar has no matrix product", describe(c, i), describe(c, k))
	}
	row, column := len(a) == 1, len(b) == 1
	if row {
		a = dim.Shape{dim.Of(1), a[0]}
	}
	if column {
		b = dim.Shape{b[0], dim.Of(1)}
	}
	m, inner := a[len(a)-2], a[len(a)-1]
	if rows, n := b[len(b)-2], b[len(b)-1]; !inner.Equal(rows) {
		return nil, fmt.Errorf("%s has %s columns, %s has %s rows; want as many", describe(c, i), inner, describe(c, k), rows)
	} else {
		out, err := broadcast(a[:len(a)-2], b[:len(b)-2])
		if err != nil {
			return nil, fmt.Errorf("the batches of %s and %s: %w", describe(c, i), describe(c, k), err)
		}
		if !row {
			out = append(out, m)
		}
		if !column {
			out = append(out, n)
		}
		return out, nil
	}
}

// matmulCost counts 2*M*N*K for a product whose left operand is input i.
func matmulCost(c *graph.Call, out []graph.Type, b dim.Binding, i int) (Cost, error) {
	s := c.Type(i).Shape
	return contractionCost(c, out, b, s[len(s)-1])
}

// contractionCost counts 2*terms operations for each element of output 0.
func contractionCost(c *graph.Call, out []graph.Type, b dim.Binding, terms dim.Dim) (Cost, error) {
	k, err := MoveCost(c, out, b)
	if err != nil {
		return Cost{}, err
	}
	n, err := terms.Eval(b)
	if err != nil {
		return Cost{}, err
	}
	e, err := elements(out[0], b)
	k.FLOPs = 2 * float64(n) * e
	return k, err
}

// gemmShape returns rows, inner dimension and columns of a Gemm.
func gemmShape(c *graph.Call) (m, k, n dim.Dim, err error) {
	a, b := c.Type(0).Shape, c.Type(1).Shape
	if len(a) != 2 || len(b) != 2 {
		return m, k, n, fmt.Errorf("%s and %s: want matrices", describe(c, 0), describe(c, 1))
	}
	m, k = a[0], a[1]
	if c.Attrs.Int("transA", 0) != 0 {
		m, k = k, m
	}
	rows, n := b[0], b[1]
	if c.Attrs.Int("transB", 0) != 0 {
		rows, n = n, rows
	}
	if !k.Equal(rows) {
		return m, k, n, fmt.Errorf("%s (transA %d) and %s (transB %d): the inner dimensions %s and %s differ",
			describe(c, 0), c.Attrs.Int("transA", 0), describe(c, 1), c.Attrs.Int("transB", 0), k, rows)
	}
	return m, k, n, nil
}

func inferGemm(c *graph.Call) ([]graph.Type, error) {
	m, _, n, err := gemmShape(c)
	if err != nil {
		return nil, err
	}
	out := dim.Shape{m, n}
	if c.Has(2) {
		if err := broadcastsTo(c.Type(2).Shape, out); err != nil {
			return nil, fmt.Errorf("%s does not broadcast to %s: %w", describe(c, 2), out, err)
		}
	}
	return result(c.Type(0).Elem, out)
}

func costGemm(c *graph.Call, out []graph.Type, b dim.Binding) (Cost, error) {
	_, k, _, err := gemmShape(c)
	if err != nil {
		return Cost{}, err
	}
	cost, err := contractionCost(c, out, b, k)
	if err == nil && c.Has(2) {
		var e float64
		e, err = elements(out[0], b)
		cost.FLOPs += e
	}
	return cost, err
}

func decomposeGemm(b *graph.Builder, c *graph.Call, in []graph.ValueID) ([]graph.ValueID, error) {
	a, w := in[0], in[1]
	elem := b.Type(a).Elem
	turn := func(v graph.ValueID) graph.ValueID { return b.Op("Transpose", values{v}, graph.Ints("perm", 1, 0)) }
	if c.Attrs.Int("transA", 0) != 0 {
		a = turn(a)
	}
	if c.Attrs.Int("transB", 0) != 0 {
		w = turn(cast(b, w, elem)) // an encoded matrix is decoded to be turned
	}
	scaled := func(v graph.ValueID, f float32) graph.ValueID {
		switch {
		case f == 1:
			return v
		case elem.IsFloat():
			return b.Op("Mul", values{v, scalar(b, elem, float64(f))})
		}
		// Integers are scaled as reals, as a fraction would otherwise be lost.
		f64 := b.Op("Mul", values{cast(b, v, enc.F64), scalar(b, enc.F64, float64(f))})
		return cast(b, f64, elem)
	}
	y := scaled(b.Op("MatMul", values{a, w}), c.Attrs.Float("alpha", 1))
	if bias := input(in, 2); bias != graph.NoValue {
		y = b.Op("Add", values{y, scaled(bias, c.Attrs.Float("beta", 1))})
	}
	return decomposed(b, y)
}
