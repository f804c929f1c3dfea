package ops

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
)

func TestFold(t *testing.T) {
	axis := func(a int64) []graph.Attr { return with(graph.Int("axis", a)) }
	toI64 := with(graph.Elem("to", enc.I64))
	for _, r := range []struct {
		op    string
		in    []string
		attrs []graph.Attr
		want  string // empty: does not fold
	}{
		{"Shape", in("f32[2,chunk,h/14]"), nil, "[2,chunk,h/14]"},
		{"Shape", in("f32[2,chunk,4]"), with(graph.Int("start", -2), graph.Int("end", -1)), "[chunk]"},
		{"Size", in("f32[2,chunk,4]"), nil, "[chunk*8]"},
		{"Size", in("f32[chunk,past]"), nil, ""},
		{"Identity", in("=[chunk,3]"), nil, "[chunk,3]"},
		{"Cast", in("=[chunk]"), toI64, "[chunk]"},
		{"Cast", in("=[chunk]"), with(graph.Elem("to", enc.F32)), ""},
		{"Reshape", in("=[chunk]", "=[]"), nil, "[chunk]"},
		{"Reshape", in("=[chunk,1]", "=[2,1]"), nil, ""},
		{"Squeeze", in("=[past]", "=[0]"), nil, "[past]"},
		{"Unsqueeze", in("=past", "=[0]"), nil, "[past]"},
		{"Unsqueeze", in("=[past,1]", "=[0]"), nil, ""},
		{"Add", in("=[past,1]", "=[chunk]"), nil, "[chunk+past,chunk+1]"},
		{"Sub", in("=chunk", "=chunk"), nil, "[0]"},
		{"Mul", in("=[tiles]", "=196"), nil, "[tiles*196]"},
		{"Mul", in("=[tiles]", "=chunk"), nil, ""},
		{"Add", in("=[]", "=1"), nil, "[]"},
		{"Add", in("=[1,2]", "i64[2]"), nil, ""},
		{"Div", in("=[h,7]", "=14"), nil, "[h/14,0]"},
		{"Div", in("=-7", "=2"), nil, "[-3]"},
		{"Div", in("=-7", "=-2"), nil, "[3]"},
		{"Div", in("=chunk-200", "=2"), nil, ""}, // negative: truncation is not flooring
		{"Div", in("=2*chunk-200", "=2"), nil, "[chunk-100]"},
		{"Div", in("=8", "=chunk"), nil, ""},
		{"Div", in("=8", "=0"), nil, ""},
		{"Mod", in("=[h,-3]", "=14"), nil, "[h-(h/14)*14,11]"},
		{"Max", in("=chunk", "=0", "=-1"), nil, "[chunk]"},
		{"Max", in("=chunk", "=64"), nil, ""},
		{"Min", in("=[cap,past]", "=[chunk,past+chunk]"), nil, "[chunk,past]"},
		{"Concat", in("=[1]", "=[chunk,past]", "=[]"), axis(0), "[1,chunk,past]"},
		{"Slice", in("=[1,chunk,past,8]", "=[1]", "=[3]"), nil, "[chunk,past]"},
		{"Slice", in("=[1,chunk,past]", "=[-1]", "=[-9223372036854775807]", "=[0]", "=[-1]"), nil, "[past,chunk,1]"},
		{"Gather", in("=[1,chunk,past]", "=-1"), nil, "[past]"},
		{"Gather", in("=[1,chunk,past]", "=[2,1]"), nil, "[past,chunk]"},
		{"Gather", in("=[1,chunk]", "=2"), nil, ""},
		{"Gather", in("=[1,chunk]", "=chunk"), nil, ""},
		{"Expand", in("=[chunk]", "=[3]"), nil, "[chunk,chunk,chunk]"},
		{"Expand", in("=[chunk]", "=[3,2]"), nil, ""},
		{"Tile", in("=[chunk,1]", "=[2]"), nil, "[chunk,1,chunk,1]"},
		{"ConstantOfShape", in("=[3]"), with(graph.TensorAttr("value", graph.I64(-1))), "[-1,-1,-1]"},
		{"ConstantOfShape", in("=[1099511627776]"), with(graph.TensorAttr("value", graph.I64(1))), ""},
		{"ConstantOfShape", in("=[3]"), nil, ""},
		{"Range", in("=1", "=4", "=1"), nil, "[1,2,3]"},
		{"Range", in("=chunk", "=chunk+2", "=1"), nil, "[chunk,chunk+1]"},
		{"Range", in("=0", "=chunk", "=1"), nil, ""},
		{"Range", in("=0", "=1099511627776", "=1"), nil, ""},
	} {
		t.Run(r.op+" "+r.want, func(t *testing.T) {
			g, err := row{op: r.op, in: r.in, attrs: r.attrs}.build(t)
			require.NoError(t, err)
			ds, ok := Get("", r.op).Fold(g.Call(0))
			if r.want == "" {
				require.False(t, ok, "%s", dim.Shape(ds))
				return
			}
			require.True(t, ok)
			require.Equal(t, r.want, dim.Shape(ds).String())
		})
	}
}

// A mask of constants chooses between symbolic dimensions, as exporters do
// around Expand.
func TestFoldWhere(t *testing.T) {
	b := graph.NewBuilder("where", Standard)
	chunk := b.Symbol(dim.Symbol{Name: "chunk", Min: 1, Max: 8})
	mask := b.Const("mask", &graph.Tensor{Elem: enc.Bool, Shape: []int64{3}, Data: []byte{1, 0, 1}})
	b.Output("y", b.Op("Where", []graph.ValueID{mask, b.Ints(1), b.Dims(dim.Of(4), chunk, dim.Of(6))}))
	g, err := b.Build()
	require.NoError(t, err)
	ds, ok := Get("", "Where").Fold(g.Call(0))
	require.True(t, ok)
	require.Equal(t, "[1,chunk,1]", dim.Shape(ds).String())
}

func TestCost(t *testing.T) {
	for _, r := range []struct {
		row  row
		want Cost
	}{
		{row{op: "Add", in: in("f32[chunk,4]", "f32[4]")}, Cost{FLOPs: 20, Bytes: 4 * (20 + 4 + 20)}},
		{row{op: "MatMul", in: in("f32[chunk,64]", "f32[64,8]")}, Cost{FLOPs: 2 * 5 * 64 * 8, Bytes: 4 * (320 + 512 + 40)}},
		{row{op: "MatMul", in: in("f32[chunk,64]", "f32[64,8] Q4_0(axis=0)")}, Cost{FLOPs: 2 * 5 * 64 * 8, Bytes: 4*(320+40) + 16*18, Weight: 16 * 18}},
		{row{op: "heddle.Linear", in: in("f32[chunk,64]", "f32[64,8] as(f16)", "f32[8]"), attrs: with(graph.Str("activation", "silu"))},
			Cost{FLOPs: 2*5*64*8 + 40 + 160, Bytes: 4*(320+40+8) + 1024, Weight: 1024}},
		{row{op: "Gemm", in: in("f16[2,3]", "f16[3,4]", "f16[4]")}, Cost{FLOPs: 2*2*3*4 + 8, Bytes: 2 * (6 + 12 + 4 + 8)}},
		{row{op: "Conv", in: in("f32[1,3,28,28]", "f32[8,3,14,14]"), attrs: with(graph.Ints("strides", 14, 14))}, Cost{FLOPs: 2 * 32 * 3 * 14 * 14, Bytes: 4 * (3*784 + 8*588 + 32)}},
		{row{op: "ReduceSum", in: in("f32[chunk,8]", "=[1]")}, Cost{FLOPs: 40, Bytes: 4*(40+5) + 8, Weight: 8}},
		{row{op: "Gather", in: in("f32[256,256] Q6_K(axis=1)", "i64[chunk]")}, Cost{FLOPs: 5 * 256, Bytes: 5*210 + 5*8 + 5*256*4, Weight: 5 * 210}},
		{row{op: "Reshape", in: in("f32[chunk,8]", "=[-1]")}, Cost{}},
		{row{op: "Shape", in: in("f32[chunk,8]")}, Cost{}},
		{row{op: "Slice", in: in("f32[cap,8]", "=[0]", "=[chunk]", "=[0]")}, Cost{FLOPs: 40, Bytes: 4*(40+40) + 24, Weight: 24}},
		// In place: the cache itself does not move.
		{row{op: "TensorScatter", in: in("state f32[1,2,cap,8]", "f32[1,2,chunk,8]", "i64[1]")}, Cost{Bytes: 2 * 4 * 2 * 5 * 8}},
		{row{op: "Attention", in: in("f32[1,4,chunk,8]", "f32[1,2,cap,8]", "f32[1,2,cap,8]", "-", "-", "-", "i64[1]")},
			Cost{FLOPs: 4 * 5 * 2048 * (2*16 + 5), Bytes: 4*(2*4*5*8+2*2*2048*8) + 8}},
	} {
		t.Run(r.row.op, func(t *testing.T) {
			g, err := r.row.build(t)
			require.NoError(t, err)
			k, err := CostOf(g, 0, bound)
			require.NoError(t, err)
			require.Equal(t, r.want, k)
		})
	}
	require.Equal(t, Cost{4, 6, 8}, Cost{1, 2, 3}.Add(Cost{3, 4, 5}))
	g, err := row{op: "Add", in: in("f32[chunk]", "f32[chunk]")}.build(t)
	require.NoError(t, err)
	_, err = CostOf(g, 0, nil)
	require.ErrorContains(t, err, `"chunk"`)
}
