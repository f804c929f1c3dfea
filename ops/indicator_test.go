package ops

import (
	"testing"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/enc"
)

func TestIndicators(t *testing.T) {
	axis := func(a int64) []graph.Attr { return with(graph.Int("axis", a)) }
	check(t, []row{
		{op: "OneHot", in: in("i64[2,chunk]", "=10", "f32[2]"), want: out("f32[2,chunk,10]")},
		{op: "OneHot", in: in("f32[2,chunk]", "=[past]", "bool[2]"), attrs: axis(0), want: out("bool[past,2,chunk]")},
		{op: "OneHot", in: in("u8[]", "=f32[3.5]", "i8[2]"), want: out("i8[3]")},
		{op: "OneHot", in: in("i64[2]", "=[3]", "f32[2]"), attrs: axis(-2), want: out("f32[3,2]")},
		{op: "OneHot", in: in("i64[2]", "=[3]", "f32[2]"), attrs: axis(2), err: refuse("axis 2")},
		{op: "OneHot", in: in("i64[2]", "=-1", "f32[2]"), err: refuse("input 1 (depth)", "number of classes")},
		{op: "OneHot", in: in("i64[2]", "=f32[-1]", "f32[2]"), err: refuse("number of classes")},
		{op: "OneHot", in: in("i64[2]", "=[1,2]", "f32[2]"), err: refuse("want one number")},
		{op: "OneHot", in: in("i64[2]", "i64[]", "f32[2]"), err: refuse("input 1 (depth)", "constant")},
		{op: "OneHot", in: in("i64[2]", "=3", "f32[3]"), err: refuse("input 2 (values)")},
		{op: "EyeLike", in: in("i32[chunk,past]"), want: out("i32[chunk,past]")},
		{op: "EyeLike", in: in("bool[2,3]"), attrs: with(graph.Elem("dtype", enc.BF16), graph.Int("k", -1)), want: out("bf16[2,3]")},
		{op: "EyeLike", in: in("f32[3]"), err: refuse("matrix")},
		{op: "EyeLike", in: in("f32[3,3]"), attrs: with(graph.Elem("dtype", enc.I4)), err: refuse("i4")},
		{op: "Hardmax", in: in("f32[chunk,past]"), attrs: axis(0), want: out("f32[chunk,past]")},
		{op: "Hardmax", in: in("f32[0]"), want: out("f32[0]")},
		{op: "Hardmax", in: in("f32[2]"), attrs: axis(1), err: refuse("axis 1")},
	})
}

func TestBits(t *testing.T) {
	left := with(graph.Str("direction", "LEFT"))
	check(t, []row{
		{op: "BitShift", in: in("u8[2,chunk]", "u8[2,1]"), attrs: left, want: out("u8[2,chunk]")},
		{op: "BitShift", in: in("u8[2]", "u8[2]"), err: refuse("direction", "missing")},
		{op: "BitShift", in: in("u8[2]", "u8[2]"), attrs: with(graph.Str("direction", "UP")), err: refuse(`"UP"`)},
		{op: "BitShift", in: in("i8[2]", "i8[2]"), attrs: left, err: refuse("i8")},
		{op: "BitwiseAnd", in: in("i64[2,1]", "i64[3]"), want: out("i64[2,3]")},
		{op: "BitwiseNot", in: in("u16[chunk]"), want: out("u16[chunk]")},
		{op: "BitwiseXor", in: in("f32[2]", "f32[2]"), err: refuse("f32")},
	})
}

func TestOtherNormalizations(t *testing.T) {
	check(t, []row{
		{op: "LpNormalization", in: in("f32[chunk,4]"), attrs: with(graph.Int("p", 1)), want: out("f32[chunk,4]")},
		{op: "LpNormalization", in: in("f16[chunk,4]"), attrs: with(graph.Int("axis", 0)), want: out("f16[chunk,4]")},
		{op: "LpNormalization", in: in("f32[4]"), attrs: with(graph.Int("p", 3)), err: refuse("p is 3")},
		{op: "LpNormalization", in: in("f32[]"), err: refuse("axis -1")},
		{op: "MeanVarianceNormalization", in: in("f32[batch,3,h,w]"), want: out("f32[batch,3,h,w]")},
		{op: "MeanVarianceNormalization", in: in("f32[2,3]"), attrs: with(graph.Ints("axes", -1)), want: out("f32[2,3]")},
		{op: "MeanVarianceNormalization", in: in("f32[2,3]"), err: refuse("axes", "axis 2")},
		{op: "LRN", in: in("f32[batch,8,h,w]"), attrs: with(graph.Int("size", 5)), want: out("f32[batch,8,h,w]")},
		{op: "LRN", in: in("f16[2,chunk]"), attrs: with(graph.Int("size", 2)), want: out("f16[2,chunk]")},
		{op: "LRN", in: in("f32[3]"), attrs: with(graph.Int("size", 2)), err: refuse("[N,C,D1,...]")},
		{op: "LRN", in: in("f32[3,3]"), attrs: with(graph.Int("size", 0)), err: refuse("size is 0")},
		{op: "LRN", in: in("f32[3,3]"), err: refuse("size", "missing")},
		{op: "Shrink", in: in("u8[chunk]"), attrs: with(graph.Float("lambd", 2)), want: out("u8[chunk]")},
		{op: "Shrink", in: in("bf16[chunk]"), err: refuse("bf16")},
	})
}

func TestConvTranspose(t *testing.T) {
	strides := graph.Ints("strides", 2, 2)
	auto := func(s string) graph.Attr { return graph.Str("auto_pad", s) }
	check(t, []row{
		{op: "ConvTranspose", in: in("f32[1,4,3,5]", "f32[4,2,3,3]"), want: out("f32[1,2,5,7]")},
		{op: "ConvTranspose", in: in("f32[batch,4,h,w]", "f32[4,2,2,2]", "f32[2]"), attrs: with(strides), want: out("f32[batch,2,h*2,w*2]")},
		{op: "ConvTranspose", in: in("f32[1,4,3,5]", "f32[4,2,3,3]"), attrs: with(strides, graph.Ints("pads", 1, 1, 1, 1), graph.Ints("output_padding", 1, 0), graph.Int("group", 2)), want: out("f32[1,4,6,9]")},
		{op: "ConvTranspose", in: in("f32[1,4,3,h]", "f32[4,2,3,3]"), attrs: with(strides, auto("SAME_UPPER")), want: out("f32[1,2,6,h*2]")},
		{op: "ConvTranspose", in: in("f32[1,4,3,5]", "f32[4,2,3,3]"), attrs: with(strides, graph.Ints("output_shape", 10, 8)), want: out("f32[1,2,10,8]")},
		{op: "ConvTranspose", in: in("f16[1,1,4]", "f16[1,1,2]"), attrs: with(graph.Ints("dilations", 3), auto("VALID")), want: out("f16[1,1,7]")},
		{op: "ConvTranspose", in: in("f32[1,4,3,5]", "f32[3,2,3,3]"), err: refuse("as many channels")},
		{op: "ConvTranspose", in: in("f32[1,4,3,5]", "f32[4,2,3,3]"), attrs: with(graph.Int("group", 3)), err: refuse("3 groups")},
		{op: "ConvTranspose", in: in("f32[1,4,3,5]", "f32[4,2,3,3]", "f32[4]"), err: refuse("input 2 (B)", "[2]")},
		{op: "ConvTranspose", in: in("f32[1,4,3,5]", "f32[4,2,3,3]"), attrs: with(graph.Ints("pads", 9, 9, 9, 9)), err: refuse("cut off all")},
		{op: "ConvTranspose", in: in("f32[1,4,3,5]", "f32[4,2,3,3]"), attrs: with(graph.Ints("output_padding", 1, 1)), err: refuse("output_padding")},
		{op: "ConvTranspose", in: in("f32[1,4,3,5]", "f32[4,2,3,3]"), attrs: with(graph.Ints("output_shape", 1)), err: refuse("output_shape")},
		{op: "ConvTranspose", in: in("f32[4,3]", "f32[4,2]"), err: refuse("[N,C,D1,...]")},
		{op: "ConvTranspose", in: in("f32[1,4,3,5]", "f32[4,2,3,h]"), err: refuse("constant shape")},
		{op: "ConvTranspose", in: in("f32[1,4,h]", "f32[4,2,3]"), attrs: with(graph.Ints("output_shape", 70)), err: refuse("spatial axis 0")},
	})
}
