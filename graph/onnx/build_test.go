package onnx_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/graph/onnx/internal/pb"
)

// Models for tests are written with the package's own encoder.

type model struct {
	opset   int64
	inputs  []pb.ValueInfo
	nodes   []pb.Node
	weights []pb.Tensor
	outputs []string
	funcs   []pb.Function
	opsets  []pb.Opset // further ones
	meta    []pb.Entry
}

func (m model) bytes(t testing.TB) []byte {
	t.Helper()
	p := &pb.Model{
		IRVersion: 8, Opsets: append([]pb.Opset{{Version: m.opset}}, m.opsets...), Functions: m.funcs, Metadata: m.meta,
		Graph: &pb.Graph{Name: "test", Nodes: m.nodes, Initializers: m.weights, Inputs: m.inputs},
	}
	for _, o := range m.outputs {
		p.Graph.Outputs = append(p.Graph.Outputs, pb.ValueInfo{Name: o})
	}
	var b bytes.Buffer
	require.NoError(t, pb.Write(&b, p))
	return b.Bytes()
}

// nd makes a node from "out1,out2 = Op(in1,in2)".
func nd(s string, attrs ...pb.Attribute) pb.Node {
	out, call, _ := strings.Cut(s, " = ")
	op, in, _ := strings.Cut(strings.TrimSuffix(call, ")"), "(")
	n := pb.Node{OpType: op, Attrs: attrs, Outputs: strings.Split(out, ",")}
	if domain, name, ok := strings.Cut(op, "."); ok {
		n.Domain, n.OpType = domain, name
	}
	if in != "" {
		n.Inputs = strings.Split(in, ",")
	}
	return n
}

// in declares a float32 input; a dimension is an int or a string.
func in(name string, dims ...any) pb.ValueInfo { return typed(name, enc.F32, dims...) }

func typed(name string, e enc.Elem, dims ...any) pb.ValueInfo {
	v := pb.ValueInfo{Name: name, HasType: true, ElemType: e.ONNX(), HasShape: true}
	for _, d := range dims {
		switch d := d.(type) {
		case int:
			v.Shape = append(v.Shape, pb.Dimension{Value: int64(d), HasValue: true})
		case string:
			v.Shape = append(v.Shape, pb.Dimension{Param: d})
		}
	}
	return v
}

func aInt(name string, v int64) pb.Attribute {
	return pb.Attribute{Name: name, Type: pb.AttrInt, Int: v}
}

func aInts(name string, v ...int64) pb.Attribute {
	return pb.Attribute{Name: name, Type: pb.AttrInts, Ints: v}
}

func aFloat(name string, v float32) pb.Attribute {
	return pb.Attribute{Name: name, Type: pb.AttrFloat, Float: v}
}

func aStr(name, v string) pb.Attribute {
	return pb.Attribute{Name: name, Type: pb.AttrString, Str: []byte(v)}
}

func aTensor(name string, t *graph.Tensor) pb.Attribute {
	w := weight("", t)
	return pb.Attribute{Name: name, Type: pb.AttrTensor, Tensor: &w}
}

func weight(name string, t *graph.Tensor) pb.Tensor {
	raw := t.Data
	if raw == nil {
		raw = []byte{}
	}
	return pb.Tensor{Name: name, DataType: t.Elem.ONNX(), Dims: t.Shape, Raw: raw}
}

// ramp returns a float32 tensor of distinct small numbers of both signs.
func ramp(shape ...int64) *graph.Tensor {
	n := int64(1)
	for _, d := range shape {
		n *= d
	}
	fs := make([]float32, n)
	for i := range fs {
		fs[i] = float32((i*7)%int(n))/2 - float32(n)/5
	}
	return graph.F32(shape, fs...)
}
