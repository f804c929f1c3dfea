package ops

import (
	"testing"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/enc"
)

func TestReduce(t *testing.T) {
	noKeep, noop := graph.Int("keepdims", 0), graph.Int("noop_with_empty_axes", 1)
	check(t, []row{
		{op: "ReduceMean", in: in("f32[batch,chunk,8]", "=[-1]"), want: out("f32[batch,chunk,1]")},
		{op: "ReduceSum", in: in("f32[batch,chunk,8]", "=[0,2]"), attrs: with(noKeep), want: out("f32[chunk]")},
		{op: "ReduceSum", in: in("f32[2,3]"), attrs: with(noKeep), want: out("f32[]")},
		{op: "ReduceSum", in: in("f32[2,3]", "=[]"), attrs: with(noop), want: out("f32[2,3]")},
		{op: "ReduceMax", in: in("bool[4,2]", "=[1]"), want: out("bool[4,1]")},
		{op: "ReduceMin", in: in("f32[2,0,4]", "=[1]"), want: out("f32[2,1,4]")},
		{op: "ReduceProd", in: in("i32[2,3]"), want: out("i32[1,1]")},
		{op: "ReduceMean", in: in("i8[2]"), err: refuse("i8")},
		{op: "ReduceMean", in: in("f32[2]", "=[1]"), err: refuse("axis 1", "f32[2]")},
		{op: "ReduceMean", in: in("f32[2]", "=[0,0]"), err: refuse("twice")},
		{op: "ReduceL1", in: in("f32[chunk,4]", "=[1]"), want: out("f32[chunk,1]")},
		{op: "ReduceL2", in: in("f16[chunk,4]", "=[1]"), attrs: with(noKeep), want: out("f16[chunk]")},
		{op: "ReduceL2", in: in("i64[4]"), want: out("i64[1]")},
		{op: "ReduceSumSquare", in: in("f32[chunk,4]"), attrs: with(noop), want: out("f32[chunk,4]")},
		{op: "ReduceLogSum", in: in("f32[chunk,4]", "=[0]"), want: out("f32[1,4]")},
		{op: "ReduceLogSumExp", in: in("f32[chunk,4]", "=[0]"), attrs: with(noKeep), want: out("f32[4]")},
		{op: "ReduceLogSumExp", in: in("f32[chunk,4]"), attrs: with(noop), want: out("f32[chunk,4]")},
		{op: "ArgMax", in: in("f32[batch,chunk,100]"), attrs: with(graph.Int("axis", -1), noKeep), want: out("i64[batch,chunk]")},
		{op: "ArgMin", in: in("f32[3,4]"), want: out("i64[1,4]")},
		{op: "ArgMax", in: in("f32[0,4]"), err: refuse("nothing along axis 0")},
	})
}

func TestMatMul(t *testing.T) {
	check(t, []row{
		{op: "MatMul", in: in("f32[3]", "f32[3]"), want: out("f32[]")},
		{op: "MatMul", in: in("f32[3]", "f32[2,3,4]"), want: out("f32[2,4]")},
		{op: "MatMul", in: in("f32[2,3,4,2]", "f32[2]"), want: out("f32[2,3,4]")},
		{op: "MatMul", in: in("f32[1,8,chunk,64]", "f32[batch,1,64,past+chunk]"), want: out("f32[batch,8,chunk,chunk+past]")},
		{op: "MatMul", in: in("f32[chunk,128]", "f32[128,64] Q4_0(axis=0)"), want: out("f32[chunk,64]")},
		{op: "MatMul", in: in("f32[chunk,128]", "f32[128,64] affine(i4,scale=f16,axis=0,block=32)"), want: out("f32[chunk,64]")},
		{op: "MatMul", in: in("f32[chunk,128]", "f32[128,64] as(bf16)"), want: out("f32[chunk,64]")},
		{op: "MatMul", in: in("f32[2,128] Q8_0(axis=1)", "f32[128,64]"), err: refuse("input 0 (A)", "plain")},
		{op: "MatMul", in: in("f32[2,3]", "f32[2,3]"), err: refuse("input 0 (A) f32[2,3] has 3 columns", "input 1 (B) f32[2,3] has 2 rows")},
		{op: "MatMul", in: in("f32[2,2,3]", "f32[4,3,5]"), err: refuse("batches", "2 meets 4")},
		{op: "MatMul", in: in("f32[]", "f32[3]"), err: refuse("scalar")},
		{op: "MatMul", in: in("i8[2,3]", "i8[3,2]"), err: refuse("i8")},
		{op: "Gemm", in: in("f32[chunk,4]", "f32[5,4]", "f32[5]"), attrs: with(graph.Int("transB", 1), graph.Float("alpha", 0.25), graph.Float("beta", 0.5)), want: out("f32[chunk,5]")},
		{op: "Gemm", in: in("f32[4,chunk]", "f32[4,5]", "f32[chunk,1]"), attrs: with(graph.Int("transA", 1)), want: out("f32[chunk,5]")},
		{op: "Gemm", in: in("i32[2,4]", "i32[4,5]"), attrs: with(graph.Float("alpha", 0.5)), want: out("i32[2,5]")},
		{op: "Gemm", in: in("f32[chunk,64]", "f32[5,64] Q8_0(axis=1)"), attrs: with(graph.Int("transB", 1)), want: out("f32[chunk,5]")},
		{op: "Gemm", in: in("f32[2,4]", "f32[5,4]"), err: refuse("inner dimensions 4 and 5")},
		{op: "Gemm", in: in("f32[1,4]", "f32[4,5]", "f32[2,5]"), err: refuse("input 2 (C) f32[2,5]", "[1,5]")},
		{op: "Gemm", in: in("f32[1,2,4]", "f32[4,5]"), err: refuse("matrices")},
		{op: "heddle.Linear", in: in("f32[1,chunk,64]", "f32[64,32] Q4_0(axis=0)", "f32[32]"), attrs: with(graph.Str("activation", "gelu_tanh")), want: out("f32[1,chunk,32]")},
		{op: "heddle.Linear", in: in("f32[64]", "f32[64,32]"), want: out("f32[32]")},
		{op: "heddle.Linear", in: in("bf16[chunk,64]", "bf16[64,32]"), attrs: with(graph.Str("activation", "silu")), want: out("bf16[chunk,32]")},
		{op: "heddle.Linear", in: in("f32[chunk,64]", "f32[64,32]"), attrs: with(graph.Str("activation", "tanh")), err: refuse(`"tanh"`)},
		{op: "heddle.Linear", in: in("f32[chunk,64]", "f32[64,32]", "f32[64]"), err: refuse("input 2 (bias)", "[32]")},
		{op: "heddle.Linear", in: in("f32[chunk,64]", "f32[2,64,32]"), err: refuse("[K,N]")},
	})
}

func TestConvAndPool(t *testing.T) {
	kernel := func(ns ...int64) graph.Attr { return graph.Ints("kernel_shape", ns...) }
	stride := func(ns ...int64) graph.Attr { return graph.Ints("strides", ns...) }
	pads := func(ns ...int64) graph.Attr { return graph.Ints("pads", ns...) }
	same := graph.Str("auto_pad", "SAME_UPPER")
	ceil := graph.Int("ceil_mode", 1)
	check(t, []row{
		{op: "Conv", in: in("f32[1,3,384,384]", "f32[1152,3,14,14]", "f32[1152]"), attrs: with(stride(14, 14)), want: out("f32[1,1152,27,27]")},
		{op: "Conv", in: in("f32[tiles,3,h,w]", "f32[64,3,14,14]"), attrs: with(stride(14, 14)), want: out("f32[tiles,64,h/14,w/14]")},
		{op: "Conv", in: in("f32[1,8,w]", "f32[8,2,3]"), attrs: with(graph.Int("group", 4), pads(1, 1)), want: out("f32[1,8,w]")},
		{op: "Conv", in: in("f32[1,1,5,5]", "f32[1,1,3,3]"), attrs: with(same, stride(2, 2)), want: out("f32[1,1,3,3]")},
		{op: "Conv", in: in("f32[1,3,28,28]", "f32[8,3,14,14] affine(i8,scale=f32,axis=0)"), attrs: with(stride(14, 14)), want: out("f32[1,8,2,2]")},
		{op: "Conv", in: in("f32[1,3,8,8]", "f32[4,2,3,3]"), err: refuse("input 0 (X)", "input 1 (W)", "3 channels")},
		{op: "Conv", in: in("f32[1,3,2,2]", "f32[4,3,3,3]"), err: refuse("the kernel covers 3")},
		{op: "Conv", in: in("f32[1,3,8,8]", "f32[4,3,3,3]"), attrs: with(kernel(2, 3)), err: refuse("contradicts")},
		{op: "Conv", in: in("f32[1,3,8,8]", "f32[4,3,3,3]"), attrs: with(stride(0, 1)), err: refuse("strides holds 0")},
		{op: "Conv", in: in("f32[1,3,8,8]", "f32[4,3,3,3]"), attrs: with(pads(1, 1)), err: refuse("pads has 2 numbers; want 4")},
		{op: "Conv", in: in("f32[1,3,8,8]", "f32[4,3,3,3]", "f32[3]"), err: refuse("input 2 (B)")},
		{op: "Conv", in: in("f32[3,8]", "f32[4,3]"), err: refuse("[N,C,D1,...]")},
		{op: "AveragePool", in: in("f32[1,1,32,32,32]"), attrs: with(kernel(5, 5, 5), graph.Ints("dilations", 2, 2, 2), stride(3, 3, 3), ceil), want: out("f32[1,1,9,9,9]")},
		{op: "AveragePool", in: in("f32[1,3,2,2]"), attrs: with(kernel(3, 3), stride(3, 3), pads(1, 1, 1, 1), ceil), want: out("f32[1,3,1,1]")},
		{op: "AveragePool", in: in("f32[1,3,h,w]"), attrs: with(kernel(2, 2), stride(2, 2)), want: out("f32[1,3,h/2,w/2]")},
		{op: "AveragePool", in: in("f32[1,3,w]"), attrs: with(kernel(3), stride(2), ceil), want: out("f32[1,3,w/2]")},
		{op: "AveragePool", in: in("f32[1,3,w]"), attrs: with(kernel(2), stride(3), pads(0, 1), ceil), err: refuse("ceil_mode", "cannot be decided")},
		{op: "AveragePool", in: in("f32[1,3,4]"), err: refuse(`"kernel_shape" is missing`)},
		{op: "MaxPool", in: in("u8[1,3,7,7]"), attrs: with(kernel(3, 3), same, stride(2, 2)), want: out("u8[1,3,4,4]", "i64[1,3,4,4]")},
		{op: "MaxPool", in: in("f32[1,3,7]"), attrs: with(kernel(3), graph.Str("auto_pad", "SAME")), err: refuse(`"SAME"`)},
		{op: "GlobalAveragePool", in: in("f32[tiles,3,h,w]"), want: out("f32[tiles,3,1,1]")},
		{op: "GlobalMaxPool", in: in("f16[tiles,3,w]"), want: out("f16[tiles,3,1]")},
		{op: "GlobalMaxPool", in: in("f16[tiles,3]"), err: refuse("[N,C,D1,...]")},
	})
}

func TestNorm(t *testing.T) {
	axis := func(a int64) graph.Attr { return graph.Int("axis", a) }
	check(t, []row{
		{op: "LayerNormalization", in: in("f16[batch,chunk,64]", "f16[64]", "f16[64]"), want: out("f16[batch,chunk,64]", "f32[batch,chunk,1]", "f32[batch,chunk,1]")},
		{op: "LayerNormalization", in: in("f32[2,3,5]", "f32[3,5]"), attrs: with(axis(1)), want: out("f32[2,3,5]", "-", "f32[2,1,1]")},
		{op: "LayerNormalization", in: in("f32[2,3]", "f32[3]"), attrs: with(graph.Elem("stash_type", enc.BF16)), want: out("f32[2,3]", "bf16[2,1]")},
		{op: "LayerNormalization", in: in("f32[2,3]", "f32[4]"), err: refuse("input 1 (Scale) f32[4]", "input 0 (X) f32[2,3]")},
		{op: "LayerNormalization", in: in("f32[3]", "f32[2,3]"), err: refuse("stretch the shape")},
		{op: "LayerNormalization", in: in("f32[2,3]", "f32[3]"), attrs: with(axis(2)), err: refuse("axis 2")},
		{op: "LayerNormalization", in: in("f32[2,3]", "f32[3]"), attrs: with(graph.Elem("stash_type", enc.I8)), err: refuse("stash_type is i8")},
		{op: "RMSNormalization", in: in("f32[1,chunk,64]", "f32[64]"), want: out("f32[1,chunk,64]")},
		{op: "RMSNormalization", in: in("f16[chunk,64]", "f32[64]"), want: out("f32[chunk,64]")},
		{op: "RMSNormalization", in: in("f32[2,3]", "f32[2]"), err: refuse("input 1 (scale)")},
		{op: "GroupNormalization", in: in("f16[tiles,8,h,4]", "f16[8]", "f16[8]"), attrs: with(graph.Int("num_groups", 4)), want: out("f16[tiles,8,h,4]")},
		{op: "GroupNormalization", in: in("f32[2,8,4]", "f32[8]", "f32[8]"), attrs: with(graph.Int("num_groups", 3)), err: refuse("num_groups is 3")},
		{op: "GroupNormalization", in: in("f32[2,8,4]", "f32[8]", "f32[4]"), attrs: with(graph.Int("num_groups", 2)), err: refuse("input 2 (bias)")},
		{op: "InstanceNormalization", in: in("f32[tiles,8,h,w]", "f32[8]", "f32[8]"), want: out("f32[tiles,8,h,w]")},
		{op: "InstanceNormalization", in: in("f32[2,8]", "f32[8]", "f32[8]"), err: refuse("[N,C,D1,...]")},
	})
}

func TestQuantization(t *testing.T) {
	axis := func(a int64) graph.Attr { return graph.Int("axis", a) }
	check(t, []row{
		{op: "QuantizeLinear", in: in("f32[chunk,4]", "f32[]"), want: out("u8[chunk,4]")},
		{op: "QuantizeLinear", in: in("f16[chunk,4]", "f32[4]", "i8[4]"), want: out("i8[chunk,4]")},
		{op: "QuantizeLinear", in: in("f32[3,5]", "f32[3,3]", "u4[3,3]"), attrs: with(graph.Int("block_size", 2)), want: out("u4[3,5]")},
		{op: "QuantizeLinear", in: in("f32[3]", "f32[]"), attrs: with(graph.Elem("output_dtype", enc.I16)), want: out("i16[3]")},
		{op: "QuantizeLinear", in: in("f32[3]", "f32[]", "u8[]"), attrs: with(graph.Elem("output_dtype", enc.I8)), err: refuse("output_dtype is i8")},
		{op: "QuantizeLinear", in: in("f32[3,5]", "f32[3]"), err: refuse("input 1 (y_scale) f32[3]", "[5] for axis 1")},
		{op: "QuantizeLinear", in: in("f32[3,5]", "f32[5]", "u8[3]"), err: refuse("equal shapes")},
		{op: "QuantizeLinear", in: in("f32[3,5]", "f32[3,2]"), attrs: with(graph.Int("block_size", 2)), err: refuse("[3,3] for blocks of 2")},
		{op: "DequantizeLinear", in: in("i4[chunk,4]", "bf16[4]"), want: out("bf16[chunk,4]")},
		{op: "DequantizeLinear", in: in("i32[chunk,4]", "f32[]"), attrs: with(graph.Elem("output_dtype", enc.F16)), want: out("f16[chunk,4]")},
		{op: "DequantizeLinear", in: in("u8[1,4,3,2]", "f32[1,2,3,2]", "u8[1,2,3,2]"), attrs: with(axis(1), graph.Int("block_size", 2)), want: out("f32[1,4,3,2]")},
		{op: "DequantizeLinear", in: in("u8[3]", "f32[]", "i8[]"), err: refuse("input 2 (x_zero_point) is i8")},
		{op: "DynamicQuantizeLinear", in: in("f32[chunk,4]"), want: out("u8[chunk,4]", "f32[]", "u8[]")},
		{op: "MatMulInteger", in: in("u8[chunk,4]", "i8[4,3]", "u8[]", "i8[3]"), want: out("i32[chunk,3]")},
		{op: "MatMulInteger", in: in("u8[2,4]", "u8[4,3]", "u8[2]"), want: out("i32[2,3]")},
		{op: "MatMulInteger", in: in("u8[2,4]", "u8[4,3]", "u8[4]"), err: refuse("input 2 (a_zero_point) u8[4]")},
		{op: "QLinearMatMul", in: in("u8[2,chunk,4]", "f32[]", "u8[]", "i8[4,3]", "f32[3]", "i8[3]", "f32[]", "u8[]"), want: out("u8[2,chunk,3]")},
		{op: "QLinearMatMul", in: in("u8[2,4]", "f16[1]", "u8[1]", "i8[4,3]", "f16[1]", "i8[1]", "f16[1]", "i8[1]"), want: out("i8[2,3]")},
		{op: "QLinearMatMul", in: in("u8[2,4]", "f32[2]", "u8[2]", "u8[4,3]", "f32[]", "u8[]", "f32[2]", "u8[]"), err: refuse("input 6 (y_scale)")},
		{op: "ConvInteger", in: in("u8[1,1,h,w]", "u8[2,1,2,2]", "u8[]", "u8[2]"), attrs: with(graph.Ints("pads", 1, 1, 1, 1)), want: out("i32[1,2,h+1,w+1]")},
		{op: "ConvInteger", in: in("u8[1,1,3,3]", "u8[2,1,2,2]", "u8[2]"), err: refuse("input 2 (x_zero_point)")},
		{op: "QLinearConv", in: in("u8[1,1,h,7]", "f32[]", "u8[]", "u8[2,1,1,1]", "f32[2]", "u8[1]", "f32[]", "u8[]", "i32[2]"), want: out("u8[1,2,h,7]")},
		{op: "QLinearConv", in: in("u8[1,1,7,7]", "f32[]", "u8[]", "u8[2,1,1,1]", "f32[3]", "u8[]", "f32[]", "u8[]"), err: refuse("input 4 (w_scale)")},
	})
}
