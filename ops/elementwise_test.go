package ops

import (
	"testing"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/enc"
)

func TestElementwise(t *testing.T) {
	check(t, []row{
		{op: "Add", in: in("f32[2,3]", "f32[3]"), want: out("f32[2,3]")},
		{op: "Add", in: in("i8[]", "i8[4,1]"), want: out("i8[4,1]")},
		{op: "Sub", in: in("f16[1,chunk,8]", "f16[batch,1,8]"), want: out("f16[batch,chunk,8]")},
		{op: "Mul", in: in("bf16[past+chunk]", "bf16[chunk+past]"), want: out("bf16[chunk+past]")},
		{op: "Div", in: in("u64[0,3]", "u64[1,3]"), want: out("u64[0,3]")},
		{op: "Add", in: in("f32[2,3]", "f32[2]"), err: refuse("input 1 (B) f32[2]", "input 0 (A)", "[2,3]", "3 meets 2")},
		{op: "Add", in: in("f32[chunk]", "f32[past]"), err: refuse("chunk meets past")},
		{op: "Add", in: in("f32[2]", "f16[2]"), err: refuse("input 1 (B) is f16", "f32")},
		{op: "Add", in: in("bool[2]", "bool[2]"), err: refuse("input 0 (A) is bool")},
		{op: "Add", in: in("f32[2]"), err: refuse("input 1 (B) is missing")},
		{op: "Add", in: in("f32[2]", "f32[2]", "f32[2]"), err: refuse("takes 2 inputs, has 3")},
		{op: "Add", in: in("f32[64]", "f32[64] Q4_0(axis=0)"), err: refuse("input 1 (B)", "plain tensors only")},
		{op: "Add", in: in("f32[64]", "f32[64] as(f16)"), want: out("f32[64]")},
		{op: "Neg", in: in("u8[2]"), err: refuse("input 0 (X) is u8")},
		{op: "Abs", in: in("u8[2]"), want: out("u8[2]")},
		{op: "Exp", in: in("f64[]"), want: out("f64[]")},
		{op: "Exp", in: in("i32[2]"), err: refuse("input 0 (X) is i32")},
		{op: "Exp", in: in("f32[2]"), attrs: with(graph.Int("axis", 0)), err: refuse(`attribute "axis" is unknown`)},
		{op: "Mod", in: in("i64[5]", "i64[]"), want: out("i64[5]")},
		{op: "Mod", in: in("f32[5]", "f32[]"), attrs: with(graph.Int("fmod", 1)), want: out("f32[5]")},
		{op: "Mod", in: in("f32[5]", "f32[]"), err: refuse("fmod")},
		{op: "Mod", in: in("f32[5]", "f32[]"), attrs: with(graph.Float("fmod", 1)), err: refuse(`"fmod" has the wrong type`)},
		{op: "Pow", in: in("i64[3]", "f32[3]"), want: out("i64[3]")},
		{op: "Max", in: in("f32[3]"), want: out("f32[3]")},
		{op: "Max", in: in("f32[3]", "f32[2,1]", "f32[]"), want: out("f32[2,3]")},
		{op: "Max", in: in("f32[3]", "f32[2,1]", "f32[2]"), err: refuse("input 2 (data) f32[2]", "the inputs before it")},
		{op: "Sum", in: in("f32[chunk]"), want: out("f32[chunk]")},
		{op: "Sum", in: in("f32[chunk]", "f32[1]", "f32[2,1]"), want: out("f32[2,chunk]")},
		{op: "Mean", in: in("f16[2]", "f16[1]", "f16[]"), want: out("f16[2]")},
		{op: "Clip", in: in("i8[3]", "i8[]"), want: out("i8[3]")},
		{op: "Clip", in: in("i64[chunk]", "-", "i64[]"), want: out("i64[chunk]")},
		{op: "Clip", in: in("f32[3]"), want: out("f32[3]")},
		{op: "Clip", in: in("f32[]", "f32[1]", "f32[1]"), want: out("f32[]")},
		{op: "Clip", in: in("f32[3]", "f32[3]"), err: refuse("input 1 (min)", "scalar")},
	})
}

func TestCompare(t *testing.T) {
	check(t, []row{
		{op: "Equal", in: in("bool[2,1]", "bool[3]"), want: out("bool[2,3]")},
		{op: "Less", in: in("i64[chunk,1]", "i64[past+chunk]"), want: out("bool[chunk,chunk+past]")},
		{op: "LessOrEqual", in: in("u8[chunk]", "u8[]"), want: out("bool[chunk]")},
		{op: "GreaterOrEqual", in: in("f32[4]", "f32[4]"), want: out("bool[4]")},
		{op: "Greater", in: in("bool[2]", "bool[2]"), err: refuse("input 0 (A) is bool")},
		{op: "And", in: in("bool[batch,1]", "bool[3]"), want: out("bool[batch,3]")},
		{op: "Xor", in: in("u8[2]", "u8[2]"), err: refuse("u8")},
		{op: "Not", in: in("bool[tiles]"), want: out("bool[tiles]")},
		{op: "IsInf", in: in("f16[2]"), attrs: with(graph.Int("detect_negative", 0)), want: out("bool[2]")},
		{op: "IsNaN", in: in("bf16[2]"), want: out("bool[2]")},
		{op: "Where", in: in("bool[chunk,1]", "i64[4]", "i64[]"), want: out("i64[chunk,4]")},
		{op: "Where", in: in("bool[3]", "f32[2]", "f32[2]"), err: refuse("input 1 (X) f32[2]", "input 0 (condition)")},
		{op: "Where", in: in("bool[3]", "f32[3]", "f64[3]"), err: refuse("input 2 (Y) is f64")},
	})
}

func TestCast(t *testing.T) {
	check(t, []row{
		{op: "Cast", in: in("f32[chunk]"), attrs: with(graph.Elem("to", enc.I4)), want: out("i4[chunk]")},
		{op: "Cast", in: in("u4[3]"), attrs: with(graph.Elem("to", enc.BF16), graph.Int("saturate", 1)), want: out("bf16[3]")},
		{op: "Cast", in: in("f32[64,2] Q8_0(axis=0)"), attrs: with(graph.Elem("to", enc.F32)), want: out("f32[64,2]")},
		{op: "Cast", in: in("f32[3]"), err: refuse(`attribute "to" is missing`)},
		{op: "Cast", in: in("f32[3]"), attrs: with(graph.Elem("to", enc.Invalid)), err: refuse("attribute to")},
		{op: "CastLike", in: in("f32[chunk]", "f16[0]"), want: out("f16[chunk]")},
	})
}

func TestActivations(t *testing.T) {
	alpha := graph.Float("alpha", 0.5)
	rows := []row{
		{op: "Relu", in: in("i32[3]"), want: out("i32[3]")},
		{op: "Gelu", in: in("f32[chunk,8]"), attrs: with(graph.Str("approximate", "tanh")), want: out("f32[chunk,8]")},
		{op: "Gelu", in: in("f32[2]"), attrs: with(graph.Str("approximate", "sigmoid")), err: refuse(`"sigmoid"`)},
		{op: "SwiGLU", in: in("f16[chunk,8]", "f16[chunk,8]"), attrs: with(alpha), want: out("f16[chunk,8]")},
		{op: "SwiGLU", in: in("f16[chunk,8]", "f16[8]"), err: refuse("input 0 (A)", "input 1 (B)", "equal shapes")},
		{op: "Softmax", in: in("f32[batch,chunk,past+chunk]"), want: out("f32[batch,chunk,chunk+past]")},
		{op: "Softmax", in: in("f32[2,3]"), attrs: with(graph.Int("axis", 2)), err: refuse("axis 2", "f32[2,3]")},
		{op: "LogSoftmax", in: in("f32[2,3]"), attrs: with(graph.Int("axis", 0)), want: out("f32[2,3]")},
		{op: "PRelu", in: in("f32[1,4,chunk]", "f32[4,1]"), want: out("f32[1,4,chunk]")},
		{op: "PRelu", in: in("f32[4]", "f32[2,4]"), err: refuse("input 1 (slope)")},
	}
	for _, name := range []string{"LeakyRelu", "HardSigmoid", "Swish", "Elu", "Celu", "ThresholdedRelu"} {
		rows = append(rows, row{op: name, in: in("f16[chunk]"), attrs: with(alpha), want: out("f16[chunk]")})
	}
	for _, name := range []string{"Relu", "HardSwish", "Softplus", "Gelu", "Swish", "Selu", "Mish", "Softsign"} {
		rows = append(rows, row{op: name, in: in("bf16[2,chunk]"), want: out("bf16[2,chunk]")})
	}
	check(t, rows)
}
