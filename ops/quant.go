package ops

import (
	"fmt"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
)

const (
	// quantFloats are the reals that quantization starts from or ends in.
	quantFloats = TypeSet(1<<enc.F32 | 1<<enc.F16 | 1<<enc.BF16)
	// codeTypes are the integers that stand for them.
	codeTypes = Nibbles | codes8 | TypeSet(1<<enc.I16|1<<enc.U16)
)

func init() {
	axis := AttrSpec{Name: "axis", Kind: graph.AttrInt, Default: "1"}
	block := AttrSpec{Name: "block_size", Kind: graph.AttrInt, Default: "0: no blocks"}
	Register(Op{
		Ref: onnx("QuantizeLinear", 25),
		Doc: "saturate(round(x/y_scale) + y_zero_point), halves to even. The scale is one number, a vector along axis, or one for each block_size elements along axis.",
		Inputs: []Param{
			{Name: "x", Types: quantFloats | i32Only},
			{Name: "y_scale", Types: quantFloats | i32Only},
			{Name: "y_zero_point", Types: codeTypes, Same: "T3", Optional: true},
		},
		Outputs: []Param{{Name: "y", Types: codeTypes, Same: "T3"}},
		Attrs: []AttrSpec{axis, block,
			{Name: "output_dtype", Kind: graph.AttrElem, Default: "the zero point's type, else u8"},
			{Name: "precision", Kind: graph.AttrElem, Default: "the scale's type"},
			{Name: "saturate", Kind: graph.AttrInt, Default: "1; for 8-bit floats, which do not exist here"},
		},
		Infer: inferQuantize, Cost: opsPerElement(3), Class: Quantized,
	})
	Register(Op{
		Ref: onnx("DequantizeLinear", 25),
		Doc: "(x - x_zero_point) * x_scale, in the result's type. The scale is one number, a vector along axis, or one for each block_size elements along axis.",
		Inputs: []Param{
			{Name: "x", Types: codeTypes | i32Only, Same: "T1"},
			{Name: "x_scale", Types: quantFloats},
			{Name: "x_zero_point", Types: codeTypes | i32Only, Same: "T1", Optional: true},
		},
		Outputs: []Param{{Name: "y", Types: quantFloats}},
		Attrs:   []AttrSpec{axis, block, {Name: "output_dtype", Kind: graph.AttrElem, Default: "the scale's type"}},
		Infer:   inferDequantize, Cost: opsPerElement(2), Class: Rounded,
	})
	Register(Op{
		Ref: onnx("DynamicQuantizeLinear", 11), Doc: "Quantizes x to u8 with a scale and zero point made from its least and greatest element, 0 included.",
		Inputs: []Param{{Name: "x", Types: f32Only}},
		Outputs: []Param{
			{Name: "y", Types: u8Only},
			{Name: "y_scale", Types: f32Only},
			{Name: "y_zero_point", Types: u8Only},
		},
		Infer: func(c *graph.Call) ([]graph.Type, error) {
			return []graph.Type{graph.Of(enc.U8, c.Type(0).Shape...), graph.Of(enc.F32), graph.Of(enc.U8)}[:len(c.Out)], nil
		},
		Cost: opsPerElement(5), Decompose: decomposeDynamicQuantize, Class: Quantized,
	})
	Register(Op{
		Ref: onnx("MatMulInteger", 10), Doc: "The exact product of 8-bit matrices less their zero points: one for each operand, or one for each row of A and column of B.",
		Inputs: []Param{
			{Name: "A", Types: codes8, Same: "T1"},
			{Name: "B", Types: codes8, Same: "T2"},
			{Name: "a_zero_point", Types: codes8, Same: "T1", Optional: true},
			{Name: "b_zero_point", Types: codes8, Same: "T2", Optional: true},
		},
		Outputs: []Param{{Name: "Y", Types: i32Only}},
		Infer: func(c *graph.Call) ([]graph.Type, error) {
			s, err := matmulShape(c, 0, 1)
			if err != nil {
				return nil, err
			}
			for i, rows := range []bool{true, false} {
				if err := checkPerRow(c, 2+i, i, rows); err != nil {
					return nil, err
				}
			}
			return result(enc.I32, s)
		},
		Cost: func(c *graph.Call, out []graph.Type, b dim.Binding) (Cost, error) { return matmulCost(c, out, b, 0) },
		Decompose: func(b *graph.Builder, _ *graph.Call, in []graph.ValueID) ([]graph.ValueID, error) {
			centred := func(x, zero graph.ValueID, rows bool) graph.ValueID {
				v := cast(b, x, enc.I32)
				if zero == graph.NoValue {
					return v
				}
				return b.Op("Sub", values{v, cast(b, asRows(b, zero, rows), enc.I32)})
			}
			return decomposed(b, b.Op("MatMul", values{centred(in[0], input(in, 2), true), centred(in[1], input(in, 3), false)}))
		},
		Class: Exact,
	})
	Register(Op{
		Ref: onnx("QLinearMatMul", 21), Doc: "The product of the reals that the 8-bit matrices stand for, quantized again; scales and zero points are one number, or one for each row of a and column of b.",
		Inputs: []Param{
			{Name: "a", Types: codes8, Same: "T1"},
			{Name: "a_scale", Types: quantFloats, Same: "TS"},
			{Name: "a_zero_point", Types: codes8, Same: "T1"},
			{Name: "b", Types: codes8, Same: "T2"},
			{Name: "b_scale", Types: quantFloats, Same: "TS"},
			{Name: "b_zero_point", Types: codes8, Same: "T2"},
			{Name: "y_scale", Types: quantFloats, Same: "TS"},
			{Name: "y_zero_point", Types: codes8, Same: "T3"},
		},
		Outputs: []Param{{Name: "y", Types: codes8, Same: "T3"}},
		Infer: func(c *graph.Call) ([]graph.Type, error) {
			s, err := matmulShape(c, 0, 3)
			if err != nil {
				return nil, err
			}
			for _, p := range []struct {
				i, of int
				rows  bool
			}{{1, 0, true}, {2, 0, true}, {4, 3, false}, {5, 3, false}} {
				if err := checkPerRow(c, p.i, p.of, p.rows); err != nil {
					return nil, err
				}
			}
			if err := checkOne(c, 6, 7); err != nil {
				return nil, err
			}
			return result(c.Type(7).Elem, s)
		},
		Cost:      func(c *graph.Call, out []graph.Type, b dim.Binding) (Cost, error) { return matmulCost(c, out, b, 0) },
		Decompose: decomposeQLinearMatMul, Class: Quantized,
	})
	Register(Op{
		Ref: onnx("ConvInteger", 10), Doc: "The exact convolution of 8-bit tensors less their zero points: one for x, and one for w or for each of its output channels.",
		Inputs: []Param{
			{Name: "x", Types: codes8, Same: "T1"},
			{Name: "w", Types: codes8, Same: "T2"},
			{Name: "x_zero_point", Types: codes8, Same: "T1", Optional: true},
			{Name: "w_zero_point", Types: codes8, Same: "T2", Optional: true},
		},
		Outputs: []Param{{Name: "y", Types: i32Only}}, Attrs: convAttrs,
		Infer: func(c *graph.Call) ([]graph.Type, error) {
			s, err := convShape(c, 0, 1, -1)
			if err != nil {
				return nil, err
			}
			if err := checkOne(c, 2); err != nil {
				return nil, err
			}
			if err := checkPerChannel(c, 1, 3); err != nil {
				return nil, err
			}
			return result(enc.I32, s)
		},
		Cost:  func(c *graph.Call, out []graph.Type, b dim.Binding) (Cost, error) { return convCost(c, out, b, 1) },
		Class: Exact,
	})
	Register(Op{
		Ref: onnx("QLinearConv", 10), Doc: "The convolution of the reals that the 8-bit tensors stand for, quantized again. The bias is in steps of x_scale*w_scale.",
		Inputs: []Param{
			{Name: "x", Types: codes8, Same: "T1"},
			{Name: "x_scale", Types: f32Only},
			{Name: "x_zero_point", Types: codes8, Same: "T1"},
			{Name: "w", Types: codes8, Same: "T2"},
			{Name: "w_scale", Types: f32Only},
			{Name: "w_zero_point", Types: codes8, Same: "T2"},
			{Name: "y_scale", Types: f32Only},
			{Name: "y_zero_point", Types: codes8, Same: "T3"},
			{Name: "B", Types: i32Only, Optional: true},
		},
		Outputs: []Param{{Name: "y", Types: codes8, Same: "T3"}}, Attrs: convAttrs,
		Infer: func(c *graph.Call) ([]graph.Type, error) {
			s, err := convShape(c, 0, 3, 8)
			if err != nil {
				return nil, err
			}
			if err := checkOne(c, 1, 2, 6, 7); err != nil {
				return nil, err
			}
			if err := checkPerChannel(c, 3, 4, 5); err != nil {
				return nil, err
			}
			return result(c.Type(7).Elem, s)
		},
		Cost:      func(c *graph.Call, out []graph.Type, b dim.Binding) (Cost, error) { return convCost(c, out, b, 3) },
		Decompose: decomposeQLinearConv, Class: Quantized,
	})
}

// isOneElement reports whether a shape has one element, so that a scale or
// zero point of that shape is for the whole tensor.
func isOneElement(s dim.Shape) bool {
	return len(s) <= 1 && product(s...).Is(1)
}

// checkScale checks scale and zero point, inputs 1 and 2, of (de)quantization.
func checkScale(c *graph.Call) error {
	x, scale := c.Type(0), c.Type(1)
	both := isOneElement(scale.Shape) && isOneElement(c.Type(2).Shape) // [] and [1] are alike
	if c.Has(2) && !both && !c.Type(2).Shape.Equal(scale.Shape) {
		return fmt.Errorf("%s and %s differ; want equal shapes", describe(c, 1), describe(c, 2))
	}
	block := c.Attrs.Int("block_size", 0)
	if block < 0 {
		return fmt.Errorf("attribute block_size is %d", block)
	}
	if block == 0 && isOneElement(scale.Shape) {
		return nil
	}
	axis, err := attrAxis(c, 1, x.Rank())
	if err != nil {
		return fmt.Errorf("%s: %w", describe(c, 0), err)
	}
	if block == 0 {
		if !scale.Shape.Equal(x.Shape[axis : axis+1]) {
			return fmt.Errorf("%s: want one number, or [%s] for axis %d of %s", describe(c, 1), x.Shape[axis], axis, describe(c, 0))
		}
		return nil
	}
	want := append(dim.Shape{}, x.Shape...)
	want[axis] = want[axis].CeilDiv(block)
	if !scale.Shape.Equal(want) {
		return fmt.Errorf("%s: want %s for blocks of %d along axis %d of %s", describe(c, 1), want, block, axis, describe(c, 0))
	}
	return nil
}

func inferQuantize(c *graph.Call) ([]graph.Type, error) {
	if err := checkScale(c); err != nil {
		return nil, err
	}
	elem := c.Attrs.Elem("output_dtype", enc.Invalid)
	if c.Has(2) {
		if zero := c.Type(2).Elem; elem != enc.Invalid && elem != zero {
			return nil, fmt.Errorf("attribute output_dtype is %s, the zero point %s", elem, zero)
		}
		elem = c.Type(2).Elem
	}
	if elem == enc.Invalid {
		elem = enc.U8
	}
	if !codeTypes.Has(elem) {
		return nil, fmt.Errorf("attribute output_dtype is %s; want one of %s", elem, codeTypes)
	}
	if p := c.Attrs.Elem("precision", enc.F32); !quantFloats.Has(p) {
		return nil, fmt.Errorf("attribute precision is %s; want one of %s", p, quantFloats)
	}
	return result(elem, c.Type(0).Shape)
}

func inferDequantize(c *graph.Call) ([]graph.Type, error) {
	if err := checkScale(c); err != nil {
		return nil, err
	}
	elem := c.Attrs.Elem("output_dtype", c.Type(1).Elem)
	if !quantFloats.Has(elem) {
		return nil, fmt.Errorf("attribute output_dtype is %s; want one of %s", elem, quantFloats)
	}
	return result(elem, c.Type(0).Shape)
}

// checkOne checks scales and zero points of whole tensors.
func checkOne(c *graph.Call, inputs ...int) error {
	for _, i := range inputs {
		if c.Has(i) && !isOneElement(c.Type(i).Shape) {
			return fmt.Errorf("%s: want one number", describe(c, i))
		}
	}
	return nil
}

// checkPerChannel checks scales and zero points of a convolution's weight.
func checkPerChannel(c *graph.Call, weight int, inputs ...int) error {
	for _, i := range inputs {
		if s := c.Type(i).Shape; c.Has(i) && !isOneElement(s) && !s.Equal(c.Type(weight).Shape[:1]) {
			return fmt.Errorf("%s: want one number, or one for each output channel of %s", describe(c, i), describe(c, weight))
		}
	}
	return nil
}

// checkPerRow checks the scale or zero point, input i, of a matrix, input of:
// one number, a vector with one for each row or else column, or a tensor that
// broadcasts to the matrix.
func checkPerRow(c *graph.Call, i, of int, rows bool) error {
	if !c.Has(i) {
		return nil
	}
	s, m := c.Type(i).Shape, c.Type(of).Shape
	if isOneElement(s) {
		return nil
	}
	err := fmt.Errorf("there are no rows")
	if len(s) != 1 || !rows {
		err = broadcastsTo(s, m)
	} else if len(m) >= 2 {
		err = broadcastsTo(dim.Shape{s[0], dim.Of(1)}, m)
	}
	if err != nil {
		return fmt.Errorf("%s does not fit %s: %w", describe(c, i), describe(c, of), err)
	}
	return nil
}

// asRows makes a scale or zero point, which checkPerRow accepted, broadcast.
func asRows(b *graph.Builder, v graph.ValueID, rows bool) graph.ValueID {
	s := b.Type(v).Shape
	switch {
	case isOneElement(s):
		return reshape(b, v)
	case len(s) == 1 && rows:
		return b.Op("Unsqueeze", values{v, b.Ints(1)})
	}
	return v
}

func decomposeDynamicQuantize(b *graph.Builder, c *graph.Call, in []graph.ValueID) ([]graph.ValueID, error) {
	x := in[0]
	zero, top := b.Float(enc.F32, 0), b.Float(enc.F32, 255)
	all := graph.Int("keepdims", 0)
	lo := b.Op("Min", values{b.Op("ReduceMin", values{x}, all), zero})
	hi := b.Op("Max", values{b.Op("ReduceMax", values{x}, all), zero})
	scale := b.Op("Div", values{b.Op("Sub", values{hi, lo}), top})
	point := b.Op("Sub", values{zero, b.Op("Div", values{lo, scale})})
	point = b.Op("Round", values{b.Op("Clip", values{point, zero, top})})
	point = cast(b, point, enc.U8)
	return wanted(c,
		func() graph.ValueID { return b.Op("QuantizeLinear", values{x, scale, point}) },
		func() graph.ValueID { return scale },
		func() graph.ValueID { return point },
	), b.Err()
}

// decomposeQLinearMatMul computes in float32 whatever the scales' type is: a
// sum of products of 8-bit codes would not fit float16.
func decomposeQLinearMatMul(b *graph.Builder, _ *graph.Call, in []graph.ValueID) ([]graph.ValueID, error) {
	reals := func(x, scale, zero graph.ValueID, rows bool) graph.ValueID {
		if isOneElement(b.Type(scale).Shape) && isOneElement(b.Type(zero).Shape) {
			return b.Op("DequantizeLinear", values{x, reshape(b, scale), reshape(b, zero)}, graph.Elem("output_dtype", enc.F32))
		}
		v := b.Op("Sub", values{cast(b, x, enc.F32), cast(b, asRows(b, zero, rows), enc.F32)})
		return b.Op("Mul", values{v, cast(b, asRows(b, scale, rows), enc.F32)})
	}
	y := b.Op("MatMul", values{reals(in[0], in[1], in[2], true), reals(in[3], in[4], in[5], false)})
	return decomposed(b, b.Op("QuantizeLinear", values{y, cast(b, reshape(b, in[6]), enc.F32), reshape(b, in[7])}))
}

func decomposeQLinearConv(b *graph.Builder, c *graph.Call, in []graph.ValueID) ([]graph.ValueID, error) {
	xScale := reshape(b, in[1])
	x := b.Op("DequantizeLinear", values{in[0], xScale, reshape(b, in[2])})
	wScale, wZero := in[4], in[5]
	if m := b.Type(in[3]).Shape[:1]; !isOneElement(b.Type(wScale).Shape) || !isOneElement(b.Type(wZero).Shape) {
		// One of them may still be for all channels.
		wScale, wZero = b.Op("Expand", values{wScale, b.Dims(m...)}), b.Op("Expand", values{wZero, b.Dims(m...)})
	} else {
		wScale, wZero = reshape(b, wScale), reshape(b, wZero)
	}
	w := b.Op("DequantizeLinear", values{in[3], wScale, wZero}, graph.Int("axis", 0))
	operands := values{x, w}
	if bias := input(in, 8); bias != graph.NoValue {
		step := b.Op("Mul", values{xScale, wScale})
		operands = append(operands, b.Op("Mul", values{cast(b, bias, enc.F32), step}))
	}
	y := b.Op("Conv", operands, c.Attrs...)
	return decomposed(b, b.Op("QuantizeLinear", values{y, reshape(b, in[6]), reshape(b, in[7])}))
}
