package onnx_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/graph/onnx"
	"github.com/heddle-ml/heddle/graph/onnx/internal/pb"
)

// The early forms of operators give what the same thing written for a new
// operator set gives.
func TestLegacyForms(t *testing.T) {
	type ws = []pb.Tensor
	type ns = []pb.Node
	x := in("x", 2, 3, 4)
	value := map[string]*graph.Tensor{"x": ramp(2, 3, 4)}
	vec := func(name string, fs ...float32) pb.Tensor {
		return weight(name, graph.F32([]int64{int64(len(fs))}, fs...))
	}
	i64 := func(name string, v ...int64) pb.Tensor { return weight(name, graph.I64(v...)) }
	scalar := func(name string, f float32) pb.Tensor { return weight(name, graph.F32(nil, f)) }
	picture := []pb.Node{nd("p = Unsqueeze(x,zero)")} // [1,2,3,4]
	oldPicture := []pb.Node{nd("p = Unsqueeze(x)", aInts("axes", 0))}
	for name, c := range map[string]struct {
		old    int64
		a, b   ns
		wa, wb ws
	}{
		"broadcast from an axis on": {
			old: 6, a: ns{nd("y = Mul(x,v)", aInt("broadcast", 1), aInt("axis", 1))}, wa: ws{vec("v", 1, 2, 3)},
			b: ns{nd("y = Mul(x,v)")}, wb: ws{weight("v", graph.F32([]int64{3, 1}, 1, 2, 3))},
		},
		"broadcast from an axis that counts from the end": {
			old: 1, a: ns{nd("y = Sub(x,v)", aInt("broadcast", 1), aInt("axis", -2))}, wa: ws{vec("v", 1, 2, 3)},
			b: ns{nd("y = Sub(x,v)")}, wb: ws{weight("v", graph.F32([]int64{3, 1}, 1, 2, 3))},
		},
		"broadcast from the end": {
			old: 6, a: ns{nd("c = Greater(x,v)", aInt("broadcast", 1)), nd("y = Cast(c)", aInt("to", 1))}, wa: ws{vec("v", 1, 2, 3, 4)},
			b: ns{nd("c = Greater(x,v)"), nd("y = Cast(c)", aInt("to", 1))}, wb: ws{vec("v", 1, 2, 3, 4)},
		},
		"no broadcast": {
			old: 6, a: ns{nd("y = Add(x,x)", aInt("broadcast", 0), aInt("axis", 2))}, b: ns{nd("y = Add(x,x)")},
		},
		"gemm": {
			old: 6, a: ns{nd("m = Flatten(x)"), nd("y = Gemm(m,w,v)", aInt("broadcast", 1), aInt("transB", 1))},
			wa: ws{weight("w", ramp(2, 12)), vec("v", 1, 2)},
			b:  ns{nd("m = Flatten(x)"), nd("y = Gemm(m,w,v)", aInt("transB", 1))},
			wb: ws{weight("w", ramp(2, 12)), vec("v", 1, 2)},
		},
		"slopes by channel": {
			old: 6, a: ns{nd("y = PRelu(x,v)")}, wa: ws{vec("v", 1, 2, 3)},
			b: ns{nd("y = PRelu(x,v)")}, wb: ws{weight("v", graph.F32([]int64{3, 1}, 1, 2, 3))},
		},
		"one slope": {
			old: 6, a: ns{nd("y = PRelu(x,v)")}, wa: ws{vec("v", 0.5)}, b: ns{nd("y = PRelu(x,v)")}, wb: ws{vec("v", 0.5)},
		},
		"reshape by attribute": {
			old: 1, a: ns{nd("y = Reshape(x)", aInts("shape", 0, -1))}, b: ns{nd("y = Reshape(x,s)")}, wb: ws{i64("s", 0, -1)},
		},
		"concat without an axis": {
			old: 1, a: ns{nd("y = Concat(x,x)")}, b: ns{nd("y = Concat(x,x)", aInt("axis", 1))},
		},
		"tile along an axis": {
			old: 1, a: ns{nd("y = Tile(x,n,a)")}, wa: ws{scalar("n", 3), scalar("a", 1)}, b: ns{nd("y = Tile(x,r)")}, wb: ws{i64("r", 1, 3, 1)},
		},
		"cast by name": {
			old: 1, a: ns{nd("i = Cast(x)", aStr("to", "INT8")), nd("y = Cast(i)", aStr("to", "FLOAT"))},
			b: ns{nd("i = Cast(x)", aInt("to", 3)), nd("y = Cast(i)", aInt("to", 1))},
		},
		"pad by paddings": {
			old: 1, a: ns{nd("y = Pad(x)", aInts("paddings", 0, 1, 0, 0, 0, 2))}, b: ns{nd("y = Pad(x,p)")}, wb: ws{i64("p", 0, 1, 0, 0, 0, 2)},
		},
		"mask of numbers": {
			old: 7, a: ns{nd("d,m = Dropout(x)"), nd("y = Add(d,m)")}, b: ns{nd("y = Add(x,v)")}, wb: ws{scalar("v", 1)},
		},
		"scales of groups": {
			old: 18, a: append(copied(picture), nd("y = GroupNormalization(p,v,u)", aInt("num_groups", 1))), wa: ws{i64("zero", 0), vec("v", 2), vec("u", 3)},
			b: append(copied(picture), nd("y = GroupNormalization(p,v,u)", aInt("num_groups", 1))), wb: ws{i64("zero", 0), vec("v", 2, 2), vec("u", 3, 3)},
		},
		"range of vectors": {
			old: 18, a: ns{nd("r = Range(a,b,c)"), nd("i = Cast(r)", aInt("to", 1)), nd("y = Add(x,i)")}, wa: ws{i64("a", 0), i64("b", 8), i64("c", 2)},
			b: ns{nd("y = Add(x,v)")}, wb: ws{vec("v", 0, 2, 4, 6)},
		},
		"upsample by names": {
			old: 6, a: append(copied(oldPicture), nd("y = Upsample(p)", aFloat("height_scale", 2), aFloat("width_scale", 1.5), aStr("mode", "bilinear"))),
			b:  append(copied(picture), nd("y = Resize(p,,s)", aStr("mode", "linear"), aStr("coordinate_transformation_mode", "asymmetric"))),
			wb: ws{i64("zero", 0), vec("s", 1, 1, 2, 1.5)},
		},
		"upsample by attribute": {
			old: 7, a: ns{nd("y = Upsample(x)", pb.Attribute{Name: "scales", Type: pb.AttrFloats, Floats: []float32{1, 2, 3}})},
			b:  ns{nd("y = Resize(x,,s)", aStr("coordinate_transformation_mode", "asymmetric"), aStr("nearest_mode", "floor"))},
			wb: ws{vec("s", 1, 2, 3)},
		},
		"upsample by operand": {
			old: 9, a: ns{nd("y = Upsample(x,s)")}, wa: ws{vec("s", 1, 2, 3)},
			b:  ns{nd("y = Resize(x,,s)", aStr("coordinate_transformation_mode", "asymmetric"), aStr("nearest_mode", "floor"))},
			wb: ws{vec("s", 1, 2, 3)},
		},
		"first resize": {
			old: 10, a: ns{nd("y = Resize(x,s)", aStr("mode", "linear"))}, wa: ws{vec("s", 1, 2, 0.5)},
			b: ns{nd("y = Resize(x,,s)", aStr("mode", "linear"), aStr("coordinate_transformation_mode", "asymmetric"))}, wb: ws{vec("s", 1, 2, 0.5)},
		},
		"resize with empty operands": {
			old: 11, a: ns{nd("y = Resize(x,e,e,z)", aStr("mode", "cubic"))}, wa: ws{vec("e"), i64("z", 2, 5, 3)},
			b: ns{nd("y = Resize(x,,,z)", aStr("mode", "cubic"))}, wb: ws{i64("z", 2, 5, 3)},
		},
		"nearest from the corner": {
			old: 11, a: ns{nd("y = Resize(x,e,e,z)", aStr("coordinate_transformation_mode", "tf_half_pixel_for_nn"), aStr("nearest_mode", "floor"))}, wa: ws{vec("e"), i64("z", 2, 5, 3)},
			// (o+0.5)*in/out, cut off: 0, 0, 1, 2, 2 of three and 0, 2, 3 of four.
			b: ns{nd("r = Gather(x,i)", aInt("axis", 1)), nd("y = Gather(r,k)", aInt("axis", 2))}, wb: ws{i64("i", 0, 0, 1, 2, 2), i64("k", 0, 2, 3)},
		},
		"a whole output shape": {
			old: 1, a: ns{nd("y = ConvTranspose(x,w)", aInts("output_shape", 2, 1, 9), aInts("strides", 2))}, wa: ws{weight("w", ramp(3, 1, 3))},
			b: ns{nd("y = ConvTranspose(x,w)", aInts("output_shape", 9), aInts("strides", 2))}, wb: ws{weight("w", ramp(3, 1, 3))},
		},
		"hardmax over several dimensions": {
			old: 11, a: ns{nd("y = Hardmax(x)")},
			b:  ns{nd("m = Reshape(x,s)"), nd("n = Hardmax(m)"), nd("y = Reshape(n,t)")},
			wb: ws{i64("s", 2, 12), i64("t", 2, 3, 4)},
		},
	} {
		t.Run(name, func(t *testing.T) {
			run := func(opset int64, nodes ns, w ws) *graph.Tensor {
				g, err := onnx.Import(model{opset: opset, inputs: []pb.ValueInfo{x}, nodes: nodes, weights: w, outputs: []string{"y"}}.bytes(t), onnx.ImportOptions{})
				require.NoError(t, err)
				out, err := eval(g, value, nil)
				require.NoError(t, err)
				return out["y"]
			}
			require.Equal(t, run(21, c.b, c.wb), run(c.old, c.a, c.wa))
		})
	}
}

// copied returns a copy of nodes, to which more can be appended.
func copied(n []pb.Node) []pb.Node { return append([]pb.Node{}, n...) }

// A mask of other numbers than the scores' is brought to their type.
func TestAttentionMaskTypes(t *testing.T) {
	qkv := []pb.ValueInfo{in("q", 1, 1, 2, 4), in("k", 1, 1, 3, 4), in("v", 1, 1, 3, 4)}
	values := map[string]*graph.Tensor{"q": ramp(1, 1, 2, 4), "k": ramp(1, 1, 3, 4), "v": ramp(1, 1, 3, 4)}
	run := func(mask *graph.Tensor) *graph.Tensor {
		g, err := onnx.Import(model{opset: 23, inputs: qkv, nodes: []pb.Node{nd("y = Attention(q,k,v,m)")}, weights: []pb.Tensor{weight("m", mask)}, outputs: []string{"y"}}.bytes(t), onnx.ImportOptions{})
		require.NoError(t, err)
		out, err := eval(g, values, nil)
		require.NoError(t, err)
		return out["y"]
	}
	want := run(graph.F32([]int64{2, 3}, 0, -1, 2, 1, 0, -3))
	require.Equal(t, want, run(&graph.Tensor{Elem: enc.I8, Shape: []int64{2, 3}, Data: []byte{0, 255, 2, 1, 0, 253}}))
	half := &graph.Tensor{Elem: enc.F16, Shape: []int64{2, 3}}
	for _, h := range []uint16{0, 0xbc00, 0x4000, 0x3c00, 0, 0xc200} {
		half.Data = append(half.Data, byte(h), byte(h>>8))
	}
	require.Equal(t, want, run(half))
}

// What the early forms leave open is refused by name.
func TestLegacyRefused(t *testing.T) {
	x := []pb.ValueInfo{in("x", 2, 3, 4)}
	for name, c := range map[string]struct {
		opset   int64
		node    pb.Node
		weights []pb.Tensor
		want    string
	}{
		"axis outside":        {6, nd("y = Add(x,v)", aInt("broadcast", 1), aInt("axis", 4)), []pb.Tensor{weight("v", ramp(3))}, "from axis 4 on"},
		"tile without number": {1, nd("y = Tile(x,n,a)"), []pb.Tensor{weight("n", graph.F32(nil, 1.5)), weight("a", graph.F32(nil, 0))}, "want one integer"},
		"tile outside":        {1, nd("y = Tile(x,n,a)"), []pb.Tensor{weight("n", graph.F32(nil, 2)), weight("a", graph.F32(nil, 3))}, "axis 3"},
		"cast to a string":    {1, nd("y = Cast(x)", aStr("to", "STRING")), nil, `"STRING"`},
		"group scales":        {18, nd("y = GroupNormalization(x,v,v)", aInt("num_groups", 3)), []pb.Tensor{weight("v", ramp(2))}, "each of 3 groups"},
		"upsample":            {6, nd("y = Upsample(x)", aFloat("height_scale", 2)), nil, "width_scale"},
		"no scales":           {7, nd("y = Upsample(x)"), nil, "no scales"},
		"resize":              {10, nd("y = Resize(x)"), nil, "no scales"},
		"corner":              {11, nd("y = Resize(x,e,e,z)", aStr("coordinate_transformation_mode", "tf_half_pixel_for_nn"), aStr("nearest_mode", "ceil")), []pb.Tensor{weight("e", graph.F32([]int64{0})), weight("z", graph.I64(2, 3, 8))}, "tf_half_pixel_for_nn"},
		"roi from data":       {13, nd("y = Resize(x,x,,z)", aStr("coordinate_transformation_mode", "tf_crop_and_resize")), []pb.Tensor{weight("z", graph.I64(2, 3, 8))}, `depends on the value of input "x"`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := onnx.Import(model{opset: c.opset, inputs: x, nodes: []pb.Node{c.node}, weights: c.weights, outputs: []string{"y"}}.bytes(t), onnx.ImportOptions{})
			require.ErrorContains(t, err, c.want)
		})
	}
}
