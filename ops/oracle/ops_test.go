package oracle

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/ops"
)

func TestEvaluatorsAreThoseOfTheRegistry(t *testing.T) {
	known := map[string]bool{}
	for _, o := range ops.List() {
		known[o.Ref.String()] = true
		require.NotNil(t, evaluators[o.Ref.String()], "%s has no evaluator", o.Ref)
	}
	for name := range evaluators {
		require.True(t, known[name], "%s is not an operator", name)
	}
}

// TestOperators pins down what ONNX's own cases leave open: edge values,
// signs, ties, wrap-around. All expected values were worked out by hand.
func TestOperators(t *testing.T) {
	inf, nan := math.Inf(1), math.NaN()
	f32 := func(fs ...float64) *Tensor { return floats(enc.F32, nil, fs...) }
	i8 := func(ns ...int64) *Tensor { return ints(enc.I8, nil, ns...) }
	i32 := func(ns ...int64) *Tensor { return ints(enc.I32, nil, ns...) }
	i64 := func(ns ...int64) *Tensor { return ints(enc.I64, nil, ns...) }
	u8 := func(ns ...int64) *Tensor { return ints(enc.U8, nil, ns...) }
	boolean := func(ns ...int64) *Tensor { return ints(enc.Bool, nil, ns...) }
	scalar := func(t *Tensor) *Tensor { return t.with([]int64{}) }
	shaped := func(t *Tensor, shape ...int64) *Tensor { return t.with(shape) }
	list := func(ts ...*Tensor) []*Tensor { return ts }
	attrs := func(as ...graph.Attr) []graph.Attr { return as }

	for _, c := range []struct {
		op    string
		in    []*Tensor
		attrs []graph.Attr
		want  []*Tensor
	}{
		{"Add", list(i8(127, -128), i8(1, -1)), nil, list(i8(-128, 127))},
		{"Sub", list(u8(3), u8(5)), nil, list(u8(254))},
		{"Mul", list(i64(math.MinInt64), i64(-1)), nil, list(i64(math.MinInt64))},
		{"Div", list(i32(-7, 7, math.MinInt32), i32(2, -2, -1)), nil, list(i32(-3, -3, math.MinInt32))},
		{"Div", list(f32(1, -1, 0), f32(0, 0, 0)), nil, list(f32(inf, -inf, nan))},
		{"Mod", list(i32(-7, 7, -6), i32(3, -3, 3)), nil, list(i32(2, -2, 0))},
		{"Mod", list(i32(-7, 7), i32(3, -3)), attrs(graph.Int("fmod", 1)), list(i32(-1, 1))},
		{"Mod", list(f32(-7.5, 7.5), f32(2, -2)), attrs(graph.Int("fmod", 1)), list(f32(-1.5, 1.5))},
		{"Pow", list(i32(3, -2, 2, 0), i32(2, 3, 31, 0)), nil, list(i32(9, -8, math.MinInt32, 1))},
		{"Pow", list(i64(2, 3), f32(0.5, 2)), nil, list(i64(1, 9))},
		{"Pow", list(i64(2, 1, -1), i64(-1, -5, -3)), nil, list(i64(0, 1, -1))},
		{"Pow", list(f32(2, -2), i64(-1, 3)), nil, list(f32(0.5, -8))},
		{"Max", list(f32(1, nan, -inf), f32(2, 3, nan)), nil, list(f32(2, nan, nan))},
		{"Min", list(i8(1, -5), i8(-1, 5), i8(0, 0)), nil, list(i8(-1, -5))},
		{"Clip", list(f32(-3, 0, 3, nan), scalar(f32(2)), scalar(f32(1))), nil, list(f32(1, 1, 1, nan))},
		{"Clip", list(f32(-3, 5), nil, scalar(f32(1))), nil, list(f32(-3, 1))},
		{"Sign", list(f32(-2, 0, nan, inf)), nil, list(f32(-1, 0, nan, 1))},
		{"Abs", list(i8(-128, -3)), nil, list(i8(-128, 3))},
		{"Neg", list(i8(-128, 3)), nil, list(i8(-128, -3))},
		{"Round", list(f32(0.5, 1.5, -2.5, -0.4)), nil, list(f32(0, 2, -2, math.Copysign(0, -1)))},
		{"Relu", list(f32(-1, nan, 2)), nil, list(f32(0, nan, 2))},
		{"Relu", list(i8(-1, 2)), nil, list(i8(0, 2))},
		{"Sigmoid", list(f32(1000, -1000, 0)), nil, list(f32(1, 0, 0.5))},
		{"Softplus", list(f32(1000, -1000)), nil, list(f32(1000, 0))},
		{"IsInf", list(f32(inf, -inf, 1)), attrs(graph.Int("detect_negative", 0)), list(boolean(1, 0, 0))},
		{"Equal", list(f32(nan, 1), f32(nan, 1)), nil, list(boolean(0, 1))},
		{"GreaterOrEqual", list(f32(nan, 1), f32(1, 1)), nil, list(boolean(0, 1))},
		{"Less", list(ints(enc.U64, nil, 1, -1), ints(enc.U64, nil, 2, 1)), nil, list(boolean(1, 0))},

		{"Cast", list(f32(-1.9, 1.9, 300, -300, nan)), attrs(graph.Elem("to", enc.I8)), list(i8(-1, 1, 44, -44, 0))},
		{"Cast", list(f32(-1.9, 20, 7.9)), attrs(graph.Elem("to", enc.U4)), list(ints(enc.U4, nil, 15, 4, 7))},
		{"Cast", list(f32(-9, 9, -3.7)), attrs(graph.Elem("to", enc.I4)), list(ints(enc.I4, nil, 7, -7, -3))},
		{"Cast", list(f32(1e30, -1e30, inf, nan)), attrs(graph.Elem("to", enc.I64)), list(i64(math.MaxInt64, math.MinInt64, math.MaxInt64, 0))},
		{"Cast", list(f32(1e30, -1, 3e9)), attrs(graph.Elem("to", enc.U64)), list(ints(enc.U64, nil, -1, -1, 3e9))},
		{"Cast", list(i32(200, -1, 256)), attrs(graph.Elem("to", enc.I8)), list(i8(-56, -1, 0))},
		{"Cast", list(i32(-1, 300)), attrs(graph.Elem("to", enc.U8)), list(u8(255, 44))},
		{"Cast", list(i32(16777217)), attrs(graph.Elem("to", enc.F32)), list(f32(16777216))},
		{"Cast", list(floats(enc.F64, nil, 1e300, 65519, 65520)), attrs(graph.Elem("to", enc.F16)), list(floats(enc.F16, nil, inf, 65504, inf))},
		{"Cast", list(f32(0, math.Copysign(0, -1), nan, 0.1)), attrs(graph.Elem("to", enc.Bool)), list(boolean(0, 0, 1, 1))},

		{"Slice", list(i64(0, 1, 2, 3, 4), i64(-1), i64(math.MinInt64), i64(0), i64(-2)), nil, list(i64(4, 2, 0))},
		{"Slice", list(i64(0, 1, 2), i64(2), i64(1), i64(0), i64(1)), nil, list(i64())},
		{"Slice", list(i64(0, 1, 2), i64(1), i64(math.MaxInt64), i64(0), i64(5)), nil, list(i64(1))},
		{"Pad", list(i64(1, 2, 3), i64(2, 3)), attrs(graph.Str("mode", "wrap")), list(i64(2, 3, 1, 2, 3, 1, 2, 3))},
		{"Pad", list(i64(1, 2, 3), i64(2, 2)), attrs(graph.Str("mode", "reflect")), list(i64(3, 2, 1, 2, 3, 2, 1))},
		{"Pad", list(i64(1, 2, 3), i64(-1, 1), scalar(i64(9))), nil, list(i64(2, 3, 9))},
		{"Trilu", list(shaped(i64(1, 2, 3, 4), 2, 2), scalar(i64(1))), nil, list(shaped(i64(0, 2, 0, 0), 2, 2))},
		{"Trilu", list(shaped(i64(1, 2, 3, 4), 2, 2)), attrs(graph.Int("upper", 0)), list(shaped(i64(1, 0, 3, 4), 2, 2))},
		{"GatherND", list(shaped(i64(1, 2, 3, 4), 2, 2), shaped(i64(1, 0), 2, 1)), nil, list(shaped(i64(3, 4, 1, 2), 2, 2))},
		{"GatherND", list(shaped(i64(1, 2, 3, 4), 2, 2), shaped(i64(-1, 0), 2, 1)), attrs(graph.Int("batch_dims", 1)), list(i64(2, 3))},
		{"ScatterND", list(i64(1, 2, 3, 4), shaped(i64(1, 1), 2, 1), i64(10, 20)), attrs(graph.Str("reduction", "add")), list(i64(1, 32, 3, 4))},
		{"ScatterElements", list(i64(1, 2, 3), i64(-1, 0), i64(9, 8)), nil, list(i64(8, 2, 9))},
		{"Split", list(i64(1, 2, 3, 4, 5)), attrs(graph.Int("num_outputs", 2), outputs(2)), list(i64(1, 2, 3), i64(4, 5))},

		{"ReduceSum", list(i32(math.MaxInt32, 1), i64(0)), attrs(graph.Int("keepdims", 0)), list(scalar(i32(math.MinInt32)))},
		{"ReduceMean", list(i32(-3, 0), i64(0)), attrs(graph.Int("keepdims", 0)), list(scalar(i32(-1)))},
		{"ReduceMin", list(f32(1, nan)), nil, list(f32(nan))},
		{"ReduceMin", list(shaped(u8(), 0, 2), i64(0)), attrs(graph.Int("keepdims", 0)), list(u8(255, 255))},
		{"ReduceMax", list(shaped(i8(), 0, 1), i64(0)), nil, list(shaped(i8(-128), 1, 1))},
		{"ArgMax", list(f32(1, 3, 3, nan)), nil, list(i64(3))},
		{"ArgMax", list(i32(1, 3, 3, 2)), attrs(graph.Int("select_last_index", 1)), list(i64(2))},
		{"ArgMin", list(i32(1, 3, 1)), nil, list(i64(0))},
		{"ArgMin", list(i32(1, 3, 1)), attrs(graph.Int("select_last_index", 1)), list(i64(2))},
		{"TopK", list(f32(1, 3, 2, 3), i64(3)), nil, list(f32(3, 3, 2), i64(1, 3, 2))},
		{"TopK", list(f32(1, 3, 1), i64(2)), attrs(graph.Int("largest", 0)), list(f32(1, 1), i64(0, 2))},
		{"CumSum", list(i32(1, 2, 3), scalar(i64(0))), nil, list(i32(1, 3, 6))},
		{"CumSum", list(i32(1, 2, 3), scalar(i64(0))), attrs(graph.Int("exclusive", 1), graph.Int("reverse", 1)), list(i32(5, 3, 0))},

		{"QuantizeLinear", list(f32(0.5, 1.5, 2.5, 1e9, -1e9), scalar(f32(1)), scalar(u8(10))), nil, list(u8(10, 12, 12, 255, 0))},
		{"QuantizeLinear", list(f32(nan, inf, -inf), scalar(f32(1)), scalar(i8(10))), nil, list(i8(10, 127, -128))},
		{"DynamicQuantizeLinear", list(f32(0, 0)), nil, list(u8(0, 0), scalar(f32(0)), scalar(u8(0)))},
		{"DynamicQuantizeLinear", list(f32(-1, 0, 1.55)), nil, list(u8(0, 100, 255), scalar(f32(float64(float32(0.01)))), scalar(u8(100)))},
		{"DequantizeLinear", list(i8(-128, 127), scalar(f32(0.5)), scalar(i8(1))), nil, list(f32(-64.5, 63))},
		{"MatMulInteger", list(shaped(u8(1, 2, 3, 4), 2, 2), shaped(i8(1, 0, 0, -1), 2, 2), scalar(u8(1)), scalar(i8(0))), nil,
			list(shaped(i32(0, -1, 2, -3), 2, 2))},
		{"MaxPool", list(shaped(f32(1, 5, 2, 4), 1, 1, 4)), attrs(graph.Ints("kernel_shape", 2), graph.Ints("strides", 2)),
			list(shaped(f32(5, 4), 1, 1, 2), shaped(i64(1, 3), 1, 1, 2))},
		// With ceil_mode the last window holds 3 and one position beyond all
		// padding, which never counts.
		{"AveragePool", list(shaped(f32(1, 2, 3), 1, 1, 3)),
			attrs(graph.Ints("kernel_shape", 2), graph.Ints("strides", 2), graph.Int("ceil_mode", 1), graph.Int("count_include_pad", 1)),
			list(shaped(f32(1.5, 3), 1, 1, 2))},
		{"Conv", list(shaped(f32(1, 2, 3, 4, 5), 1, 1, 5), shaped(f32(1, 10), 1, 1, 2), f32(100)),
			attrs(graph.Ints("dilations", 2), graph.Ints("pads", 1, 0), graph.Ints("strides", 2)),
			// Windows start at -1, 1: (0,2) and (2,4) of positions -1,1 and 1,3.
			list(shaped(f32(120, 142), 1, 1, 2))},
		{"Softmax", list(f32(-inf, 0)), nil, list(f32(0, 1))},
		{"TensorScatter", list(shaped(i64(0, 0, 0), 1, 3, 1), shaped(i64(7, 8), 1, 2, 1), i64(2)), attrs(graph.Str("mode", "circular")),
			list(shaped(i64(8, 0, 7), 1, 3, 1))},
	} {
		t.Run(fmt.Sprint(c.op, c.attrs), func(t *testing.T) {
			got, err := apply(t, c.op, c.in, c.attrs...)
			require.NoError(t, err)
			for i, want := range c.want {
				near(t, want, got[i], 0)
			}
		})
	}
}

// What cannot be computed is an error with a cause, never a panic.
func TestOperatorErrors(t *testing.T) {
	i64 := func(ns ...int64) *Tensor { return ints(enc.I64, nil, ns...) }
	cache, upd := floats(enc.F32, []int64{1, 3, 1}, 0, 0, 0), floats(enc.F32, []int64{1, 2, 1}, 1, 2)
	for _, c := range []struct {
		op   string
		in   []*Tensor
		want error
	}{
		{"Div", []*Tensor{i64(1), i64(0)}, errDivZero},
		{"Mod", []*Tensor{i64(1), i64(0)}, errDivZero},
		{"Gather", []*Tensor{i64(1, 2), i64(2)}, ErrIndex},
		{"Gather", []*Tensor{i64(1, 2), i64(math.MinInt64)}, ErrIndex},
		{"GatherElements", []*Tensor{i64(1, 2), i64(-3)}, ErrIndex},
		{"GatherND", []*Tensor{i64(1, 2), i64(5).with([]int64{1, 1})}, ErrIndex},
		{"ScatterElements", []*Tensor{i64(1, 2), i64(2), i64(0)}, ErrIndex},
		{"ScatterND", []*Tensor{i64(1, 2), i64(2).with([]int64{1, 1}), i64(0)}, ErrIndex},
		{"TensorScatter", []*Tensor{cache, upd, i64(2)}, ErrIndex},
		{"TensorScatter", []*Tensor{cache, upd, i64(-1)}, ErrIndex},
	} {
		t.Run(c.op, func(t *testing.T) {
			_, err := apply(t, c.op, c.in)
			require.ErrorIs(t, err, c.want)
			var e *Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, c.op, e.Op)
		})
	}
}

// EvalNode is called by others directly, with operands that no graph checked.
func TestEvalNodeChecksItsCall(t *testing.T) {
	value := func(typ graph.Type) *graph.Value {
		return &graph.Value{Name: "v", Kind: graph.Input, Def: -1, Type: typ}
	}
	v := value(graph.OfInts(enc.F32, 2))
	one, out := floats(enc.F32, nil, 1, 2), []graph.Type{graph.OfInts(enc.F32, 2)}
	add := graph.Call{Op: graph.OpRef{Name: "Add"}, Name: "sum", In: []*graph.Value{v, v}, Out: []bool{true}}
	got, err := EvalNode(&add, []*Tensor{one, one}, out)
	require.NoError(t, err)
	require.Equal(t, []float64{2, 4}, got[0].F)

	unknown := add
	unknown.Op.Name = "Frobnicate"
	_, err = EvalNode(&unknown, []*Tensor{one, one}, out)
	require.ErrorIs(t, err, ErrUnsupported)
	require.ErrorContains(t, err, `node "sum" (Frobnicate)`)
	for name, c := range map[string]struct {
		in   []*Tensor
		out  []graph.Type
		want string
	}{
		"number of inputs":  {[]*Tensor{one}, out, "1 and 1 were given"},
		"number of outputs": {[]*Tensor{one, one}, nil, "2 and 0 were given"},
		"missing":           {[]*Tensor{one, nil}, out, "input 1"},
		"type":              {[]*Tensor{one, ints(enc.I32, nil, 1, 2)}, out, "its type is f32[2]"},
		"malformed":         {[]*Tensor{one, {Elem: enc.F32, Shape: []int64{2}}}, out, "holds 0 floats"},
		"operands":          {[]*Tensor{one, floats(enc.F32, nil, 1, 2, 3)}, out, "cannot be broadcast"},
		"result type":       {[]*Tensor{one, one}, []graph.Type{graph.OfInts(enc.F32, 3)}, "its type says f32[3]"},
		"symbolic result":   {[]*Tensor{one, one}, []graph.Type{{Elem: enc.F32, Shape: dim.Shape{dim.Sym("n")}}}, "bind its symbols"},
	} {
		_, err := EvalNode(&add, c.in, c.out)
		require.ErrorContains(t, err, c.want, name)
	}
}

// TestSampling pins down Resize, ConvTranspose, Einsum and the operators that
// mark positions or work on bits. All expected values were worked out by hand.
func TestSampling(t *testing.T) {
	nan := math.NaN()
	f32 := func(fs ...float64) *Tensor { return floats(enc.F32, nil, fs...) }
	i8 := func(ns ...int64) *Tensor { return ints(enc.I8, nil, ns...) }
	i64 := func(ns ...int64) *Tensor { return ints(enc.I64, nil, ns...) }
	u8 := func(ns ...int64) *Tensor { return ints(enc.U8, nil, ns...) }
	matrix := func(rows int64, fs ...float64) *Tensor {
		return floats(enc.F32, []int64{rows, int64(len(fs)) / rows}, fs...)
	}
	list := func(ts ...*Tensor) []*Tensor { return ts }
	coords := func(s string) graph.Attr { return graph.Str("coordinate_transformation_mode", s) }
	near := func(s string) graph.Attr { return graph.Str("nearest_mode", s) }
	linear, cubic, antialias := graph.Str("mode", "linear"), graph.Str("mode", "cubic"), graph.Int("antialias", 1)
	type as = []graph.Attr

	for _, c := range []struct {
		op    string
		in    []*Tensor
		attrs []graph.Attr
		want  *Tensor
	}{
		// Positions -1/4, 1/4, 3/4, 5/4.
		{"Resize", list(f32(1, 3), nil, f32(2)), as{linear}, f32(1, 1.5, 2.5, 3)},
		{"Resize", list(f32(0, 3), nil, nil, i64(4)), as{linear, coords("align_corners")}, f32(0, 1, 2, 3)},
		{"Resize", list(f32(7, 3), nil, nil, i64(1)), as{linear, coords("align_corners")}, f32(7)},
		{"Resize", list(f32(7, 3, 1), nil, nil, i64(1)), as{linear, coords("pytorch_half_pixel")}, f32(7)},
		{"Resize", list(f32(7, 3, 1), nil, nil, i64(1)), as{linear}, f32(3)},
		// Two and a half positions, of which two are made: 1/10 and 9/10.
		{"Resize", list(f32(0, 10), nil, f32(1.25)), as{linear, coords("half_pixel_symmetric")}, f32(1, 9)},
		// Positions 0, 1/2, 1, 3/2.
		{"Resize", list(i8(1, 2), nil, f32(2)), as{coords("asymmetric"), near("floor")}, i8(1, 1, 2, 2)},
		{"Resize", list(i8(1, 2), nil, f32(2)), as{coords("asymmetric"), near("ceil")}, i8(1, 2, 2, 2)},
		{"Resize", list(i8(1, 2, 3), nil, f32(2)), as{coords("asymmetric")}, i8(1, 1, 2, 2, 3, 3)},
		{"Resize", list(i8(1, 2, 3), nil, f32(2)), as{coords("asymmetric"), near("round_prefer_ceil")}, i8(1, 2, 2, 3, 3, 3)},
		{"Resize", list(f32(0, 1, 0, 0), nil, f32(2)), as{cubic, coords("asymmetric")}, f32(0, 0.59375, 1, 0.59375, 0, -0.09375, 0, 0)},
		{"Resize", list(f32(0, 1, 0, 0), nil, f32(2)), as{cubic, coords("asymmetric"), graph.Float("cubic_coeff_a", -0.5)}, f32(0, 0.5625, 1, 0.5625, 0, -0.0625, 0, 0)},
		// Weights 1/4, 3/4, 3/4, 1/4 about positions 1/2 and 5/2.
		{"Resize", list(f32(0, 3, 6, 9), nil, nil, i64(2)), as{linear, antialias}, f32(1.875, 7.125)},
		{"Resize", list(f32(0, 7, 14, 21), nil, nil, i64(2)), as{linear, antialias, graph.Int("exclude_outside", 1)}, f32(5, 16)},
		{"Resize", list(f32(0, 1, 2, 3), f32(0.5, 1.5), nil, i64(3)), as{linear, coords("tf_crop_and_resize"), graph.Float("extrapolation_value", 9)}, f32(1.5, 3, 9)},
		{"Resize", list(u8(0, 1, 2, 3), f32(0.5, 1.5), nil, i64(3)), as{coords("tf_crop_and_resize"), graph.Float("extrapolation_value", 999)}, u8(1, 3, 255)},
		{"Resize", list(f32(0, 1, 2, 3), f32(0.25, 0.75), f32(2)), as{linear, coords("tf_crop_and_resize")}, f32(0.75, 1.25, 1.75, 2.25)},
		{"Resize", list(u8(0, 5, 10), nil, nil, i64(5)), as{linear, coords("align_corners")}, u8(0, 2, 5, 8, 10)}, // halves to even
		{"Resize", list(matrix(2, 1, 2, 3, 4), nil, nil, i64(3, 5)), as{graph.Str("keep_aspect_ratio_policy", "not_larger")}, matrix(3, 1, 1, 2, 1, 1, 2, 3, 3, 4)},
		{"Resize", list(matrix(1, 1, 2), nil, nil, i64(4)), as{graph.Ints("axes", -1)}, matrix(1, 1, 1, 2, 2)},

		{"ConvTranspose", list(floats(enc.F32, []int64{1, 1, 2}, 1, 2), floats(enc.F32, []int64{1, 1, 3}, 1, 10, 100)), as{graph.Ints("strides", 2)},
			floats(enc.F32, []int64{1, 1, 5}, 1, 10, 102, 20, 200)},
		{"ConvTranspose", list(floats(enc.F32, []int64{1, 1, 2}, 1, 2), floats(enc.F32, []int64{1, 1, 3}, 1, 10, 100), f32(5)), as{graph.Ints("strides", 2), graph.Str("auto_pad", "SAME_LOWER")},
			floats(enc.F32, []int64{1, 1, 4}, 15, 107, 25, 205)},
		{"ConvTranspose", list(floats(enc.F32, []int64{1, 1, 2}, 1, 2), floats(enc.F32, []int64{1, 1, 2}, 1, 10)), as{graph.Ints("strides", 3), graph.Ints("output_padding", 2), graph.Ints("pads", 1, 0)},
			floats(enc.F32, []int64{1, 1, 6}, 10, 0, 2, 20, 0, 0)},

		{"Einsum", list(matrix(2, 1, 2, 3, 4), matrix(2, 5, 6, 7, 8)), as{graph.Str("equation", "ij,kj->ki")}, matrix(2, 17, 39, 23, 53)},
		{"Einsum", list(matrix(2, 1, 2, 3, 4)), as{graph.Str("equation", "ii->")}, floats(enc.F32, []int64{}, 5)},
		{"Einsum", list(i8(100, 2), i8(2, 3)), as{graph.Str("equation", "i,i->i")}, i8(-56, 6)},

		{"OneHot", list(i64(-1, 3, 0, -4), i64(3).with([]int64{}), u8(7, 9)), nil, ints(enc.U8, []int64{4, 3}, 7, 7, 9, 7, 7, 7, 9, 7, 7, 7, 7, 7)},
		{"OneHot", list(f32(1.9, -0.9), f32(2.5), i8(0, 1)), as{graph.Int("axis", 0)}, ints(enc.I8, []int64{2, 2}, 0, 1, 1, 0)},
		{"EyeLike", list(matrix(2, 7, 7, 7, 7, 7, 7)), as{graph.Int("k", 1)}, matrix(2, 0, 1, 0, 0, 0, 1)},
		{"EyeLike", list(matrix(2, 7, 7, 7, 7)), as{graph.Int("k", math.MinInt64), graph.Elem("dtype", enc.U8)}, ints(enc.U8, []int64{2, 2}, 0, 0, 0, 0)},
		{"Hardmax", list(f32(1, 3, 3, 2)), nil, f32(0, 1, 0, 0)},
		{"Hardmax", list(f32(1, nan, 3)), nil, f32(0, 1, 0)},
		{"LpNormalization", list(matrix(2, 3, -4, 0, 0)), nil, matrix(2, 0.6, -0.8, 0, 0)},
		{"LpNormalization", list(matrix(2, 3, -4, -1, 4)), as{graph.Int("p", 1), graph.Int("axis", 0)}, matrix(2, 0.75, -0.5, -0.25, 0.5)},
		{"MeanVarianceNormalization", list(matrix(2, 1, 3, 5, 5)), as{graph.Ints("axes", 1)}, matrix(2, -1/(1+1e-9), 1/(1+1e-9), 0, 0)},
		// Squares 4, 1, 9: with their neighbours 5, 14, 10.
		{"LRN", list(matrix(1, 2, 1, 3)), as{graph.Int("size", 3), graph.Float("alpha", 3), graph.Float("beta", 1)}, matrix(1, 2.0/6, 1.0/15, 3.0/11)},
		{"LRN", list(matrix(1, 2, 1, 3)), as{graph.Int("size", 2), graph.Float("alpha", 2), graph.Float("beta", 1)}, matrix(1, 2.0/6, 1.0/11, 3.0/10)},
		{"Shrink", list(f32(-2, -0.5, 0.5, 2, nan)), as{graph.Float("bias", 0.25)}, f32(-1.75, 0, 0, 1.75, 0)},
		{"Shrink", list(u8(0, 1, 5)), as{graph.Float("bias", 1.5), graph.Float("lambd", 1)}, u8(0, 0, 3)},

		{"BitShift", list(u8(129, 1, 255), u8(1, 7, 8)), as{graph.Str("direction", "LEFT")}, u8(2, 128, 0)},
		{"BitShift", list(u8(129, 255, 4), u8(1, 8, 255)), as{graph.Str("direction", "RIGHT")}, u8(64, 0, 0)},
		{"BitwiseAnd", list(i8(-1, 12), i8(6, 10)), nil, i8(6, 8)},
		{"BitwiseOr", list(u8(12), u8(10, 3)), nil, u8(14, 15)},
		{"BitwiseXor", list(i8(-1, 12), i8(6, 10)), nil, i8(-7, 6)},
		{"BitwiseNot", list(u8(5, 0)), nil, u8(250, 255)},
		{"BitwiseNot", list(i8(5, -128)), nil, i8(-6, 127)},
		{"Acos", list(f32(1, 2)), nil, f32(0, nan)},
		{"Atanh", list(f32(0, 1, -2)), nil, f32(0, math.Inf(1), nan)},
	} {
		t.Run(fmt.Sprint(c.op, " ", c.in[0].Shape, " ", c.attrs), func(t *testing.T) {
			got, err := apply(t, c.op, c.in, c.attrs...)
			require.NoError(t, err)
			require.Equal(t, c.want.Elem, got[0].Elem)
			require.Equal(t, c.want.Shape, got[0].Shape)
			require.Equal(t, c.want.I, got[0].I)
			require.Equal(t, c.want.U, got[0].U)
			require.Len(t, got[0].F, len(c.want.F))
			for i, f := range c.want.F {
				if f != f {
					require.True(t, math.IsNaN(got[0].F[i]), "element %d", i)
				} else if f != got[0].F[i] {
					require.InDelta(t, f, got[0].F[i], 1e-6*math.Abs(f), "element %d", i)
				}
			}
		})
	}
}
