package onnx_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/graph/onnx"
	"github.com/heddle-ml/heddle/graph/onnx/internal/pb"
)

// A node of an old operator set gives what the same thing written for a new
// one gives.
func TestOldOperatorSets(t *testing.T) {
	x := in("x", 2, 3, 4)
	value := map[string]*graph.Tensor{"x": ramp(2, 3, 4)}
	yes := &graph.Tensor{Elem: enc.Bool, Data: []byte{1}}
	vec := func(fs ...float32) pb.Tensor { return weight("v", graph.F32([]int64{int64(len(fs))}, fs...)) }
	for name, c := range map[string]struct {
		old    int64
		a      []pb.Node
		b      []pb.Node
		wa, wb []pb.Tensor
	}{
		"clip with attributes": {
			old: 6, a: []pb.Node{nd("y = Clip(x)", aFloat("min", -1), aFloat("max", 2))},
			b: []pb.Node{nd("y = Clip(x,lo,hi)")}, wb: []pb.Tensor{weight("lo", graph.F32(nil, -1)), weight("hi", graph.F32(nil, 2))},
		},
		"clip on one side": {
			old: 6, a: []pb.Node{nd("y = Clip(x)", aFloat("min", -1))},
			b: []pb.Node{nd("y = Clip(x,lo)")}, wb: []pb.Tensor{weight("lo", graph.F32(nil, -1))},
		},
		"softmax over several dimensions": {
			old: 11, a: []pb.Node{nd("y = Softmax(x)")},
			b:  []pb.Node{nd("m = Reshape(x,s2)"), nd("n = Softmax(m)"), nd("y = Reshape(n,s3)")},
			wb: []pb.Tensor{weight("s2", graph.I64(2, 12)), weight("s3", graph.I64(2, 3, 4))},
		},
		"softmax over the last dimension": {
			old: 11, a: []pb.Node{nd("y = Softmax(x)", aInt("axis", 2))}, b: []pb.Node{nd("y = Softmax(x)")},
		},
		"squeeze and unsqueeze": {
			old: 11, a: []pb.Node{nd("u = Unsqueeze(x)", aInts("axes", 0, 2)), nd("y = Squeeze(u)", aInts("axes", 2))},
			b:  []pb.Node{nd("u = Unsqueeze(x,a)"), nd("y = Squeeze(u,b)")},
			wb: []pb.Tensor{weight("a", graph.I64(0, 2)), weight("b", graph.I64(2))},
		},
		"slice with attributes": {
			old: 9, a: []pb.Node{nd("y = Slice(x)", aInts("starts", 1, 0), aInts("ends", 99, -1), aInts("axes", 1, 2))},
			b:  []pb.Node{nd("y = Slice(x,s,e,a)")},
			wb: []pb.Tensor{weight("s", graph.I64(1, 0)), weight("e", graph.I64(99, -1)), weight("a", graph.I64(1, 2))},
		},
		"split by attribute": {
			old: 11, a: []pb.Node{nd("p,y = Split(x)", aInt("axis", 2), aInts("split", 3, 1))},
			b: []pb.Node{nd("p,y = Split(x,s)", aInt("axis", 2))}, wb: []pb.Tensor{weight("s", graph.I64(3, 1))},
		},
		"split by the number of outputs": {
			old: 13, a: []pb.Node{nd("p,q,y = Split(x)", aInt("axis", 1))},
			b: []pb.Node{nd("p,q,y = Split(x)", aInt("axis", 1), aInt("num_outputs", 3))},
		},
		"pad with attributes": {
			old: 2, a: []pb.Node{nd("y = Pad(x)", aInts("pads", 0, 1, 0, 0, 0, 2), aFloat("value", 7))},
			b: []pb.Node{nd("y = Pad(x,p,v)")}, wb: []pb.Tensor{weight("p", graph.I64(0, 1, 0, 0, 0, 2)), weight("v", graph.F32(nil, 7))},
		},
		"reduction": {
			old: 13, a: []pb.Node{nd("y = ReduceMean(x)", aInts("axes", 1), aInt("keepdims", 0))},
			b: []pb.Node{nd("y = ReduceMean(x,a)", aInt("keepdims", 0))}, wb: []pb.Tensor{weight("a", graph.I64(1))},
		},
		"reduction over everything": {
			old: 11, a: []pb.Node{nd("y = ReduceSum(x)")}, b: []pb.Node{nd("y = ReduceSum(x)")},
		},
		"top k": {
			old: 1, a: []pb.Node{nd("y,i = TopK(x)", aInt("k", 2), aInt("axis", 1))},
			b: []pb.Node{nd("y,i = TopK(x,k)", aInt("axis", 1))}, wb: []pb.Tensor{weight("k", graph.I64(2))},
		},
		"dropout": {
			old: 7, a: []pb.Node{nd("y = Dropout(x)", aFloat("ratio", 0.9))}, b: []pb.Node{nd("y = Identity(x)")},
		},
		"dropout with a mask": {
			old: 12, a: []pb.Node{nd("d,m = Dropout(x,v)"), nd("y = Where(m,d,v)")},
			wa: []pb.Tensor{weight("v", graph.F32(nil, 0.5))}, b: []pb.Node{nd("y = Identity(x)")},
		},
		"batch normalization": {
			old: 9, a: []pb.Node{nd("y = BatchNormalization(x,v,v,v,v)", aFloat("epsilon", 0.5))},
			wa: []pb.Tensor{vec(1, 2, 3)},
			b: []pb.Node{
				nd("c = Unsqueeze(v,a)"), nd("e = Add(c,eps)"), nd("s = Sqrt(e)"), nd("d = Sub(x,c)"), nd("q = Div(d,s)"), nd("m = Mul(q,c)"), nd("y = Add(m,c)"),
			},
			wb: []pb.Tensor{vec(1, 2, 3), weight("a", graph.I64(1)), weight("eps", graph.F32(nil, 0.5))},
		},
		"scatter": {
			old: 9, a: []pb.Node{nd("y = Scatter(x,i,u)", aInt("axis", 2))}, b: []pb.Node{nd("y = ScatterElements(x,i,u)", aInt("axis", 2))},
			wa: []pb.Tensor{weight("i", i64s(3, 1, 1, 1)), weight("u", graph.F32([]int64{1, 1, 1}, 9))},
			wb: []pb.Tensor{weight("i", i64s(3, 1, 1, 1)), weight("u", graph.F32([]int64{1, 1, 1}, 9))},
		},
		"cast like": {
			old: 15, a: []pb.Node{nd("i = CastLike(x,k)"), nd("y = CastLike(i,x)")}, wa: []pb.Tensor{weight("k", graph.I64(1))},
			b: []pb.Node{nd("i = Cast(x)", aInt("to", 7)), nd("y = Cast(i)", aInt("to", 1))},
		},
		"where on a constant": {
			old: 9, a: []pb.Node{nd("c = Constant()", aTensor("value", yes)), nd("y = Where(c,x,x)")}, b: []pb.Node{nd("y = Identity(x)")},
		},
	} {
		t.Run(name, func(t *testing.T) {
			run := func(opset int64, nodes []pb.Node, ws []pb.Tensor) *graph.Tensor {
				g, err := onnx.Import(model{opset: opset, inputs: []pb.ValueInfo{x}, nodes: nodes, weights: ws, outputs: []string{"y"}}.bytes(t), onnx.ImportOptions{})
				require.NoError(t, err)
				out, err := eval(g, value, nil)
				require.NoError(t, err)
				return out["y"]
			}
			require.Equal(t, run(21, c.b, c.wb), run(c.old, c.a, c.wa))
		})
	}
}

// i64s returns a constant integer tensor of one value.
func i64s(v int64, shape ...int64) *graph.Tensor {
	n, _ := dim.Count(shape)
	ns := make([]int64, n)
	for i := range ns {
		ns[i] = v
	}
	t := graph.I64(ns...)
	t.Shape = shape
	return t
}

// Constants come in many forms.
func TestConstants(t *testing.T) {
	f16 := []int32{0x3c00, 0xc000}
	for name, c := range map[string]struct {
		n    pb.Node
		want *graph.Tensor
	}{
		"tensor": {nd("y = Constant()", aTensor("value", graph.F32([]int64{2}, 1, 2))), graph.F32([]int64{2}, 1, 2)},
		"int":    {nd("y = Constant()", aInt("value_int", -3)), graph.I64(-3).Scalar()},
		"ints":   {nd("y = Constant()", aInts("value_ints", 1, 2)), graph.I64(1, 2)},
		"float":  {nd("y = Constant()", aFloat("value_float", 0.5)), graph.F32(nil, 0.5)},
		"floats": {nd("y = Constant()", pb.Attribute{Name: "value_floats", Type: pb.AttrFloats, Floats: []float32{1, 2}}), graph.F32([]int64{2}, 1, 2)},
		"typed f16": {
			nd("y = Constant()", pb.Attribute{Name: "value", Type: pb.AttrTensor, Tensor: &pb.Tensor{DataType: 10, Dims: []int64{2}, Int32s: f16}}),
			&graph.Tensor{Elem: enc.F16, Shape: []int64{2}, Data: []byte{0, 0x3c, 0, 0xc0}},
		},
		"typed i4": {
			nd("y = Constant()", pb.Attribute{Name: "value", Type: pb.AttrTensor, Tensor: &pb.Tensor{DataType: 22, Dims: []int64{3}, Int32s: []int32{0x21, 0x0f}}}),
			&graph.Tensor{Elem: enc.I4, Shape: []int64{3}, Data: []byte{0x21, 0x0f}},
		},
		"typed bool": {
			nd("y = Constant()", pb.Attribute{Name: "value", Type: pb.AttrTensor, Tensor: &pb.Tensor{DataType: 9, Dims: []int64{2}, Int32s: []int32{7, 0}}}),
			&graph.Tensor{Elem: enc.Bool, Shape: []int64{2}, Data: []byte{1, 0}},
		},
		"typed u32": {
			nd("y = Constant()", pb.Attribute{Name: "value", Type: pb.AttrTensor, Tensor: &pb.Tensor{DataType: 12, Dims: []int64{1}, Uint64s: []uint64{1 << 31}}}),
			&graph.Tensor{Elem: enc.U32, Shape: []int64{1}, Data: []byte{0, 0, 0, 0x80}},
		},
		"typed f64": {
			nd("y = Constant()", pb.Attribute{Name: "value", Type: pb.AttrTensor, Tensor: &pb.Tensor{DataType: 11, Dims: []int64{1}, Doubles: []float64{0}}}),
			&graph.Tensor{Elem: enc.F64, Shape: []int64{1}, Data: make([]byte, 8)},
		},
	} {
		t.Run(name, func(t *testing.T) {
			g, err := onnx.Import(model{opset: 21, nodes: []pb.Node{c.n}, outputs: []string{"y"}}.bytes(t), onnx.ImportOptions{})
			require.NoError(t, err)
			got, ok := g.Values[g.Outputs[0].Value].Const()
			require.True(t, ok)
			require.Equal(t, c.want, got)
		})
	}
}

// The way exporters write "merge the heads": integers that follow from the
// shape, with symbolic dimensions in it.
func TestSymbolicShapes(t *testing.T) {
	m := model{
		opset:  17,
		inputs: []pb.ValueInfo{in("x", "batch", "past + chunk", 2, 3), in("k", "past", "chunk", "batch size", 1)},
		nodes: []pb.Node{
			nd("s = Shape(x)"),
			nd("b = Gather(s,zero)", aInt("axis", 0)), nd("n = Gather(s,one)", aInt("axis", 0)),
			nd("bu = Unsqueeze(b,axis)"), nd("nu = Unsqueeze(n,axis)"),
			nd("to = Concat(bu,nu,minus)", aInt("axis", 0)),
			nd("y = Reshape(x,to)"),
		},
		weights: []pb.Tensor{weight("zero", graph.I64(0).Scalar()), weight("one", graph.I64(1).Scalar()), weight("axis", graph.I64(0)), weight("minus", graph.I64(-1))},
		outputs: []string{"y"},
	}
	var warnings []string
	g, err := onnx.Import(m.bytes(t), onnx.ImportOptions{
		Symbols: []dim.Symbol{{Name: "chunk", Min: 1, Max: 128, Buckets: []int64{1, 128}}},
		Warn:    func(s string) { warnings = append(warnings, s) },
	})
	require.NoError(t, err)
	require.Len(t, g.Nodes, 1, "shape arithmetic is done at import")
	require.Equal(t, "f32[batch,chunk+past,6]", g.Values[g.Outputs[0].Value].Type.String())
	require.Equal(t, "f32[past,chunk,batch_size,1]", g.Values[g.Inputs[1]].Type.String())
	require.Equal(t, []string{`dimension "batch size" cannot be the name of a symbol; it is called "batch_size"`}, warnings)
	s, _ := g.Symbol("chunk")
	require.Equal(t, []int64{1, 128}, s.Buckets)
	s, _ = g.Symbol("past")
	require.Equal(t, dim.Symbol{Name: "past", Min: 1, Max: 65536}, s)

	g, err = onnx.Import(m.bytes(t), onnx.ImportOptions{Bind: dim.Binding{"past": 5, "batch size": 7}})
	require.NoError(t, err)
	require.Equal(t, "f32[batch,chunk+5,6]", g.Values[g.Outputs[0].Value].Type.String())
	require.Equal(t, "f32[5,chunk,7,1]", g.Values[g.Inputs[1]].Type.String())
}

// More ways in which exporters compute shapes.
func TestSymbolicIdioms(t *testing.T) {
	list := func(n string, v ...int64) pb.Tensor { return weight(n, graph.I64(v...)) }
	num := func(n string, v int64) pb.Tensor { return weight(n, graph.I64(v).Scalar()) }
	i32 := func(n string, v byte) pb.Tensor {
		return weight(n, &graph.Tensor{Elem: enc.I32, Shape: []int64{1}, Data: []byte{v, 0, 0, 0}})
	}
	size := nd("s = Shape(x)")
	for name, c := range map[string]struct {
		nodes   []pb.Node
		weights []pb.Tensor
		want    string
		left    int // nodes
	}{
		"expand a class token": {
			[]pb.Node{size, nd("b = Gather(s,zero)"), nd("c = Unsqueeze(b,axis)"), nd("to = Concat(c,minus,minus)", aInt("axis", 0)),
				nd("k = Shape(to)"), nd("one = ConstantOfShape(k)", aTensor("value", graph.I64(1))), nd("neg = Mul(one,minus)"),
				nd("keep = Equal(to,neg)"), nd("e = Where(keep,one,to)"), nd("y = Expand(token,e)")},
			[]pb.Tensor{num("zero", 0), list("axis", 0), list("minus", -1), weight("token", ramp(1, 1, 8))}, "f32[batch,1,8]", 1,
		},
		"at least": {
			[]pb.Node{size, nd("b = Gather(s,zero)"), nd("g = GreaterOrEqual(b,one)"), nd("l = Less(b,one)"), nd("o = Or(g,l)"), nd("n = Where(o,b,one)"), nd("t = Concat(n,minus)", aInt("axis", 0)), nd("y = Reshape(x,t)")},
			[]pb.Tensor{list("zero", 0), list("one", 1), list("minus", -1)}, "f32[batch,seq*8]", 1,
		},
		"32 bits": {
			[]pb.Node{size, nd("i = Cast(s)", aInt("to", 6)), nd("b = Slice(i,zero,one)"), nd("d = Mul(b,two)"), nd("q = Div(d,two)"), nd("p = Cast(q)", aInt("to", 7)),
				nd("t = Concat(p,minus)", aInt("axis", 0)), nd("y = Reshape(x,t)")},
			[]pb.Tensor{list("zero", 0), list("one", 1), i32("two", 2), list("minus", -1)}, "f32[batch,seq*8]", 1,
		},
		"slice by 32 bits": {
			[]pb.Node{size, nd("i = Cast(s)", aInt("to", 6)), nd("e = Slice(i,one,two)"), nd("y = Slice(table,zero,e)")},
			[]pb.Tensor{list("one", 1), list("two", 2), i32("zero", 0), weight("table", ramp(70000, 2))}, "f32[seq,2]", 1,
		},
		"range of 32 bits": {
			[]pb.Node{size, nd("i = Cast(s)", aInt("to", 6)), nd("n = Gather(i,one)"), nd("r = Range(zero,n,step)"), nd("y = Cast(r)", aInt("to", 1))},
			[]pb.Tensor{num("one", 1), i32("zero", 0), i32("step", 1)}, "f32[seq]", 3,
		},
		"32 bits as numbers, too": {
			[]pb.Node{size, nd("i = Cast(s)", aInt("to", 6)), nd("b = Slice(i,zero,one)"), nd("p = Cast(b)", aInt("to", 7)), nd("t = Concat(p,minus)", aInt("axis", 0)), nd("r = Reshape(x,t)"),
				nd("f = Cast(b)", aInt("to", 1)), nd("y = Div(r,f)")},
			[]pb.Tensor{list("zero", 0), list("one", 1), list("minus", -1)}, "f32[batch,seq*8]", 4,
		},
		"split": {
			[]pb.Node{size, nd("b,r = Split(s,lens)"), nd("t = Concat(b,minus)", aInt("axis", 0)), nd("y = Reshape(x,t)")},
			[]pb.Tensor{list("lens", 1, 2), list("minus", -1)}, "f32[batch,seq*8]", 1,
		},
		"unpack": {
			[]pb.Node{size, nd("b,q,r = Split(s)"), nd("t = Concat(b,minus)", aInt("axis", 0)), nd("y = Reshape(x,t)")},
			[]pb.Tensor{list("minus", -1)}, "f32[batch,seq*8]", 1,
		},
		"negative": {
			[]pb.Node{size, nd("b = Gather(s,zero)"), nd("n = Neg(b)"), nd("m = Neg(n)"), nd("t = Concat(m,minus)", aInt("axis", 0)), nd("y = Reshape(x,t)")},
			[]pb.Tensor{list("zero", 0), list("minus", -1)}, "f32[batch,seq*8]", 1,
		},
		"product": {
			[]pb.Node{size, nd("d = Slice(s,one,three)"), nd("p = ReduceProd(d)"), nd("q = ReduceSum(p)"), nd("t = Concat(minus,q)", aInt("axis", 0)), nd("y = Reshape(x,t)")},
			[]pb.Tensor{list("one", 1), list("three", 3), list("minus", -1)}, "f32[batch,seq*8]", 1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := model{opset: 17, inputs: []pb.ValueInfo{in("x", "batch", "seq", 8)}, nodes: c.nodes, weights: c.weights, outputs: []string{"y"}}
			g, err := onnx.Import(m.bytes(t), onnx.ImportOptions{})
			require.NoError(t, err)
			require.Equal(t, c.want, g.Values[g.Outputs[0].Value].Type.String())
			require.Len(t, g.Nodes, c.left)
			_, err = eval(g, map[string]*graph.Tensor{"x": ramp(2, 3, 8)}, nil)
			require.NoError(t, err)
		})
	}
	// What the bounds do not tell is refused.
	m := model{opset: 17, inputs: []pb.ValueInfo{in("x", "batch", "seq", 8)}, outputs: []string{"y"},
		nodes:   []pb.Node{size, nd("b = Gather(s,zero)"), nd("c = Greater(b,two)"), nd("n = Where(c,two,b)"), nd("y = Expand(token,n)")},
		weights: []pb.Tensor{list("zero", 0), list("two", 2), weight("token", ramp(1))}}
	_, err := onnx.Import(m.bytes(t), onnx.ImportOptions{})
	require.ErrorContains(t, err, "node #2 (Greater)")
	g, err := onnx.Import(m.bytes(t), onnx.ImportOptions{Symbols: []dim.Symbol{{Name: "batch", Min: 3, Max: 9}}})
	require.NoError(t, err)
	require.Equal(t, "f32[2]", g.Values[g.Outputs[0].Value].Type.String())
}

// Inputs that shapes depend on must be given; nothing else is bound.
func TestValues(t *testing.T) {
	m := model{
		opset:  18,
		inputs: []pb.ValueInfo{in("x", 2, 6), typed("rows", enc.I64, 1), in("other", 2)},
		nodes: []pb.Node{
			nd("half = Div(rows,two)"), nd("to = Concat(half,minus)", aInt("axis", 0)),
			{OpType: "Reshape", Name: "shape_it", Inputs: []string{"x", "to"}, Outputs: []string{"y"}},
			nd("z = Add(other,other)"),
		},
		weights: []pb.Tensor{weight("two", graph.I64(2)), weight("minus", graph.I64(-1))},
		outputs: []string{"y", "z"},
	}.bytes(t)
	_, err := onnx.Import(m, onnx.ImportOptions{})
	require.ErrorContains(t, err, `node "shape_it" (Reshape, operator set 18)`)
	require.ErrorContains(t, err, `depends on the value of input "rows"; give it in ImportOptions.Values`)

	g, err := onnx.Import(m, onnx.ImportOptions{Values: map[string]*graph.Tensor{"rows": graph.I64(8), "other": ramp(2)}})
	require.NoError(t, err)
	require.Equal(t, "f32[4,3]", g.Values[g.Outputs[0].Value].Type.String())
	require.Len(t, g.Inputs, 2, "other stays an input")
	require.Len(t, g.Nodes, 2)

	_, err = onnx.Import(m, onnx.ImportOptions{Values: map[string]*graph.Tensor{"rows": ramp(1)}})
	require.ErrorContains(t, err, `input "rows": its value: is f32[1], the model declares i64`)
	_, err = onnx.Import(m, onnx.ImportOptions{Values: map[string]*graph.Tensor{"nobody": ramp(1)}})
	require.ErrorContains(t, err, `"nobody", which the model does not have`)
}

// Functions of the model are inlined, with their attributes.
func TestFunctions(t *testing.T) {
	ref := func(name, of string, typ pb.AttrType) pb.Attribute {
		return pb.Attribute{Name: name, Ref: of, Type: typ}
	}
	m := model{
		opset: 21, opsets: []pb.Opset{{Domain: "my", Version: 1}},
		inputs: []pb.ValueInfo{in("x", 2, 3)},
		nodes:  []pb.Node{nd("a = my.Scale(x)", aFloat("by", 3)), nd("b = my.Scale(a)"), nd("y = Add(a,b)")},
		funcs: []pb.Function{
			{
				Domain: "my", Name: "Scale", Inputs: []string{"v", "unused"}, Outputs: []string{"r"}, Opsets: []pb.Opset{{Version: 13}, {Domain: "my", Version: 1}},
				AttrDefaults: []pb.Attribute{aFloat("by", 2)},
				Nodes:        []pb.Node{nd("c = Constant()", ref("value_float", "by", pb.AttrFloat)), nd("x = my.Times(v,c)"), nd("r = Identity(x)")},
			},
			{Domain: "my", Name: "Times", Inputs: []string{"a", "b"}, Outputs: []string{"c"}, Opsets: []pb.Opset{{Version: 13}}, Nodes: []pb.Node{nd("c = Mul(a,b)")}},
		},
		outputs: []string{"y"},
	}
	g, err := onnx.Import(m.bytes(t), onnx.ImportOptions{})
	require.NoError(t, err)
	out, err := eval(g, map[string]*graph.Tensor{"x": graph.F32([]int64{2, 3}, 1, 2, 3, 4, 5, 6)}, nil)
	require.NoError(t, err)
	require.Equal(t, graph.F32([]int64{2, 3}, 9, 18, 27, 36, 45, 54), out["y"])

	m.funcs[1].Nodes = []pb.Node{nd("c = my.Times(a,b)")}
	m.funcs[1].Opsets = append(m.funcs[1].Opsets, pb.Opset{Domain: "my", Version: 1})
	_, err = onnx.Import(m.bytes(t), onnx.ImportOptions{})
	require.ErrorContains(t, err, "functions call each other deeper than")

	// Two calls in each of many functions would be 2^30 nodes.
	m.funcs = m.funcs[:1]
	for i := range 30 {
		inner := fmt.Sprintf("my.F%d", i+1)
		m.funcs = append(m.funcs, pb.Function{
			Domain: "my", Name: fmt.Sprintf("F%d", i), Inputs: []string{"a"}, Outputs: []string{"c"}, Opsets: []pb.Opset{{Version: 13}, {Domain: "my", Version: 1}},
			Nodes: []pb.Node{nd("b = " + inner + "(a)"), nd("c = " + inner + "(b)")},
		})
	}
	m.nodes = []pb.Node{nd("y = my.F0(x)")}
	_, err = onnx.Import(m.bytes(t), onnx.ImportOptions{})
	require.ErrorIs(t, err, onnx.ErrFormat)
}

// What is refused says where and why.
func TestRefused(t *testing.T) {
	x := []pb.ValueInfo{in("x", 2, 3)}
	sub := pb.Attribute{Name: "then_branch", Type: pb.AttrGraph, Graph: &pb.Graph{Name: "g"}}
	big := func(n string) pb.Tensor { return weight(n, graph.I64(1<<20, 1<<20)) }
	for name, c := range map[string]struct {
		m    model
		want string
		is   error
	}{
		"new operator set":    {model{opset: 99, inputs: x, nodes: []pb.Node{nd("y = Relu(x)")}, outputs: []string{"y"}}, "operator set 99 is not supported; sets 1 to 28", onnx.ErrUnsupported},
		"no operator set":     {model{opset: 0, inputs: x, nodes: []pb.Node{nd("y = Relu(x)")}, outputs: []string{"y"}}, "operator set 0", onnx.ErrUnsupported},
		"unknown operator":    {model{opset: 18, inputs: x, nodes: []pb.Node{nd("y = StringSplit(x)")}, outputs: []string{"y"}}, "node #0 (StringSplit, operator set 18): operator StringSplit is not supported", onnx.ErrUnsupported},
		"unknown domain":      {model{opset: 18, inputs: x, nodes: []pb.Node{nd("y = com.Foo(x)")}, outputs: []string{"y"}}, `no operator set of domain "com"`, onnx.ErrFormat},
		"control flow":        {model{opset: 18, inputs: x, nodes: []pb.Node{nd("y = If(x)", sub)}, outputs: []string{"y"}}, "control flow", onnx.ErrUnsupported},
		"unknown attribute":   {model{opset: 18, inputs: x, nodes: []pb.Node{nd("y = Relu(x)", aInt("speed", 3))}, outputs: []string{"y"}}, `attribute "speed" is not supported`, onnx.ErrUnsupported},
		"wrong attribute":     {model{opset: 18, inputs: x, nodes: []pb.Node{nd("y = Softmax(x)", aFloat("axis", 1))}, outputs: []string{"y"}}, `attribute "axis": has ONNX attribute type 1`, onnx.ErrFormat},
		"old broadcasting":    {model{opset: 6, inputs: x, nodes: []pb.Node{nd("y = Add(x,x)", aInt("broadcast", 1), aInt("axis", 1))}, outputs: []string{"y"}}, "from axis 1 on", onnx.ErrFormat},
		"used before made":    {model{opset: 18, inputs: x, nodes: []pb.Node{nd("y = Relu(z)"), nd("z = Relu(x)")}, outputs: []string{"y"}}, `"z", which no node before this one makes`, onnx.ErrFormat},
		"made twice":          {model{opset: 18, inputs: x, nodes: []pb.Node{nd("y = Relu(x)"), nd("y = Relu(x)")}, outputs: []string{"y"}}, `value "y" is defined twice`, onnx.ErrFormat},
		"no such output":      {model{opset: 18, inputs: x, nodes: []pb.Node{nd("y = Relu(x)")}, outputs: []string{"q"}}, `output "q" is made by no node`, onnx.ErrFormat},
		"no outputs":          {model{opset: 18, inputs: x, nodes: []pb.Node{nd("y = Relu(x)")}}, "no outputs", onnx.ErrFormat},
		"string input":        {model{opset: 18, inputs: []pb.ValueInfo{{Name: "x", HasType: true, HasShape: true, ElemType: 8}}, outputs: []string{"x"}}, `input "x": string is not supported`, onnx.ErrUnsupported},
		"input without shape": {model{opset: 18, inputs: []pb.ValueInfo{{Name: "x", HasType: true, ElemType: 1}}, outputs: []string{"x"}}, "run ONNX shape inference", nil},
		"short weight":        {model{opset: 18, weights: []pb.Tensor{{Name: "w", DataType: 1, Dims: []int64{1 << 40}, Raw: []byte{1}}}, outputs: []string{"w"}}, `initializer "w": f32[1099511627776] needs`, onnx.ErrFormat},
		"negative dimension":  {model{opset: 18, weights: []pb.Tensor{{Name: "w", DataType: 1, Dims: []int64{-1}, Raw: []byte{}}}, outputs: []string{"w"}}, "negative", nil},
		"external weight":     {model{opset: 18, weights: []pb.Tensor{{Name: "w", DataType: 1, Dims: []int64{1}, IsExtern: true, External: []pb.Entry{{Key: "location", Value: "w.bin"}}}}, outputs: []string{"w"}}, "set ImportOptions.External", nil},
		"training":            {model{opset: 13, inputs: x, weights: []pb.Tensor{weight("r", graph.F32(nil, 0.5)), {Name: "t", DataType: 9, Raw: []byte{1}}}, nodes: []pb.Node{nd("y = Dropout(x,r,t)")}, outputs: []string{"y"}}, "training mode", onnx.ErrUnsupported},
		"old training":        {model{opset: 6, inputs: x, nodes: []pb.Node{nd("y = Dropout(x)")}, outputs: []string{"y"}}, "training mode", onnx.ErrUnsupported},
		"upsample":            {model{opset: 9, inputs: x, nodes: []pb.Node{nd("y = Upsample(x)")}, outputs: []string{"y"}}, "either scales or sizes", nil},
		"shape from data":     {model{opset: 18, inputs: x, nodes: []pb.Node{nd("i = Cast(x)", aInt("to", 7)), nd("y = Expand(x,i)")}, outputs: []string{"y"}}, `depends on the value of input "x"`, nil},
		"huge folding": {
			model{opset: 18, inputs: x, weights: []pb.Tensor{big("a")}, nodes: []pb.Node{nd("b = ConstantOfShape(a)"), nd("y = Expand(x,b)")}, outputs: []string{"y"}}, "", nil,
		},
		"wrong declaration": {
			model{opset: 18, inputs: x, weights: []pb.Tensor{weight("s", graph.I64(3, 2))}, nodes: []pb.Node{nd("y = Reshape(x,q)")}, outputs: []string{"y"}}, `"q"`, onnx.ErrFormat,
		},
		"state without input": {
			model{opset: 18, inputs: x, nodes: []pb.Node{nd("y = Relu(x)")}, outputs: []string{"y"}, meta: []pb.Entry{{Key: "heddle.states", Value: `[{"in":"q"}]`}}}, `state "q" is no input`, onnx.ErrFormat,
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := onnx.Import(c.m.bytes(t), onnx.ImportOptions{})
			require.ErrorContains(t, err, c.want)
			if c.is != nil {
				require.ErrorIs(t, err, c.is)
			}
		})
	}
	_, err := onnx.Import([]byte("not a model"), onnx.ImportOptions{})
	require.ErrorIs(t, err, onnx.ErrFormat)
	_, err = onnx.Import(nil, onnx.ImportOptions{})
	require.ErrorIs(t, err, onnx.ErrFormat)
}

// files serves sources from memory.
type files map[string][]byte

func (f files) Source(name string) ([]byte, error) {
	if b, ok := f[name]; ok {
		return b, nil
	}
	return nil, errors.New("no such source")
}

// Large weights stay in their file; external data stays in the folder.
func TestImportFile(t *testing.T) {
	large, small := ramp(20, 20), ramp(20)
	extern := func(name string, shape []int64, location, offset string) pb.Tensor {
		return pb.Tensor{Name: name, DataType: 1, Dims: shape, IsExtern: true, External: []pb.Entry{{Key: "location", Value: location}, {Key: "offset", Value: offset}}}
	}
	m := model{
		opset: 18, inputs: []pb.ValueInfo{in("x", 20, 20)},
		weights: []pb.Tensor{weight("w", large), extern("far", []int64{20, 20}, "data/w.bin", "4"), extern("near", []int64{20}, "data/w.bin", "8"), weight("s", small)},
		nodes:   []pb.Node{nd("a = MatMul(x,w)"), nd("b = Add(a,far)"), nd("c = Add(b,near)"), nd("y = Add(c,s)")},
		outputs: []string{"y"},
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "m.onnx")
	bin := append(make([]byte, 8), large.Data...)
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "data"), 0o755))
	require.NoError(t, os.WriteFile(path, m.bytes(t), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "data", "w.bin"), bin, 0o644))

	g, err := onnx.ImportFile(path, onnx.ImportOptions{})
	require.NoError(t, err)
	require.Equal(t, []graph.Source{{Name: "m.onnx", Size: int64(len(m.bytes(t)))}, {Name: "data/w.bin", Size: int64(len(bin))}}, g.Sources)
	data := files{"m.onnx": m.bytes(t), "data/w.bin": bin}
	got, err := eval(g, map[string]*graph.Tensor{"x": large}, data)
	require.NoError(t, err)

	inline := m
	inline.weights = []pb.Tensor{
		weight("w", large), weight("far", &graph.Tensor{Elem: enc.F32, Shape: []int64{20, 20}, Data: bin[4:][:1600]}),
		weight("near", &graph.Tensor{Elem: enc.F32, Shape: []int64{20}, Data: bin[8:][:80]}), weight("s", small),
	}
	h, err := onnx.Import(inline.bytes(t), onnx.ImportOptions{})
	require.NoError(t, err)
	require.Empty(t, h.Sources)
	want, err := eval(h, map[string]*graph.Tensor{"x": large}, nil)
	require.NoError(t, err)
	require.Equal(t, want, got)

	_, err = onnx.Import(m.bytes(t), onnx.ImportOptions{External: fstest.MapFS{"data/w.bin": {Data: bin}}})
	require.NoError(t, err)

	require.NoError(t, os.Symlink("/", filepath.Join(dir, "out")))
	for location, want := range map[string]string{
		"../w.bin": "not a path inside", "/etc/passwd": "not a path inside", "out/etc/passwd": "escapes", "gone.bin": "no such file", "": "not a path inside",
	} {
		bad := m
		bad.weights = []pb.Tensor{extern("w", []int64{20, 20}, location, "0"), m.weights[1], m.weights[2], m.weights[3]}
		require.NoError(t, os.WriteFile(path, bad.bytes(t), 0o644))
		_, err = onnx.ImportFile(path, onnx.ImportOptions{})
		require.ErrorContains(t, err, want, location)
	}
	for offset, want := range map[string]string{"12": "which has", "-4": "which has", "x": "no number", "9223372036854775807": "which has"} {
		bad := m
		bad.weights = []pb.Tensor{m.weights[0], extern("far", []int64{20, 20}, "data/w.bin", offset), m.weights[2], m.weights[3]}
		require.NoError(t, os.WriteFile(path, bad.bytes(t), 0o644))
		_, err = onnx.ImportFile(path, onnx.ImportOptions{})
		require.ErrorContains(t, err, want, offset)
	}
}

// Whatever the bytes, import ends with a graph or an error.
func FuzzImport(f *testing.F) {
	f.Add(model{
		opset: 17, inputs: []pb.ValueInfo{in("x", "batch", 4)},
		nodes:   []pb.Node{nd("s = Shape(x)"), nd("t = Concat(s,one)", aInt("axis", 0)), nd("r = Reshape(x,t)"), nd("y = Softmax(r)")},
		weights: []pb.Tensor{weight("one", graph.I64(1))}, outputs: []string{"y"},
	}.bytes(f))
	f.Add(model{
		opset: 9, inputs: []pb.ValueInfo{in("x", 2, 3, 4)},
		nodes:   []pb.Node{nd("a = Clip(x)", aFloat("max", 1)), nd("b = Slice(a)", aInts("starts", 0), aInts("ends", 1)), nd("c = Softmax(b)"), nd("d,e = Split(c)", aInts("split", 1, 2), aInt("axis", 1)), nd("y = Pad(d)", aInts("pads", 0, 1, 0, 0, 0, 2), aStr("mode", "edge"))},
		outputs: []string{"y"},
	}.bytes(f))
	f.Add(model{
		opset: 21, opsets: []pb.Opset{{Domain: "my", Version: 1}}, inputs: []pb.ValueInfo{in("x", 2)}, nodes: []pb.Node{nd("y = my.F(x)", aInt("k", 1))},
		funcs:   []pb.Function{{Domain: "my", Name: "F", Inputs: []string{"a"}, Outputs: []string{"b"}, Nodes: []pb.Node{nd("c = Constant()", pb.Attribute{Name: "value_int", Ref: "k", Type: pb.AttrInt}), nd("r = Range(c,c,c)"), nd("b = Tile(a,r)")}}},
		outputs: []string{"y"}, meta: []pb.Entry{{Key: "heddle.symbols", Value: `[{"name":"n","min":1,"max":2}]`}, {Key: "heddle.states", Value: `[{"in":"x","out":"y"}]`}},
	}.bytes(f))
	f.Fuzz(func(t *testing.T, b []byte) {
		g, err := onnx.Import(b, onnx.ImportOptions{})
		if err == nil && g == nil {
			t.Fatal("neither a graph nor an error")
		}
	})
}
