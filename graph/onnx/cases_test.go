package onnx_test

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/onnx"
	"github.com/heddle-ml/heddle/graph/onnx/internal/pb"
	"github.com/heddle-ml/heddle/internal/onnxcases"
	"github.com/heddle-ml/heddle/internal/shared"
	"github.com/heddle-ml/heddle/ops/oracle"
)

// Every case that is exported and imported again is the same graph, and gives
// what ONNX says the case gives.
func TestCasesRoundTrip(t *testing.T) {
	dir := shared.Dir(t, "onnx-node-tests")
	names, err := onnxcases.List(dir)
	require.NoError(t, err)
	for _, name := range names {
		c, err := onnxcases.Load(dir, name)
		if err != nil {
			t.Error(err)
			continue
		}
		again, _, err := exportImport(c.Graph, onnx.ExportOptions{})
		if err != nil {
			t.Error(name, err)
			continue
		}
		if diff := difference(c.Graph, again); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		out, err := eval(again, c.Inputs, nil)
		if err != nil {
			t.Error(name, err)
			continue
		}
		for _, want := range c.Outputs {
			if err := onnxcases.Compare(want.Tensor, out[want.Name]); err != nil {
				t.Errorf("%s: output %q: %v", name, want.Name, err)
			}
		}
	}
}

// The expansions of operators compute shapes the way exporters' graphs do.
// With a symbolic batch they import all the same, without knowing any value,
// and compute the same.
func TestCasesSymbolicBatch(t *testing.T) {
	dir := shared.Dir(t, "onnx-node-tests")
	names, err := onnxcases.List(dir)
	require.NoError(t, err)
	count := 0
	for _, name := range names {
		if !strings.Contains(name, "_expanded") {
			continue
		}
		c, err := onnxcases.Load(dir, name)
		require.NoError(t, err)
		m, err := pb.Decode(c.Model)
		require.NoError(t, err)
		in := m.Graph.Inputs
		if len(in) == 0 || len(in[0].Shape) < 2 || in[0].Shape[0].Value < 2 {
			continue
		}
		batch := in[0].Shape[0].Value
		for i := range in {
			if len(in[i].Shape) > 0 && in[i].Shape[0].Value == batch {
				in[i].Shape[0] = pb.Dimension{Param: "batch"}
			}
		}
		for i := range m.Graph.Outputs {
			m.Graph.Outputs[i].HasShape, m.Graph.Outputs[i].Shape = false, nil
		}
		var b bytes.Buffer
		require.NoError(t, pb.Write(&b, m))
		g, err := onnx.Import(b.Bytes(), onnx.ImportOptions{})
		require.NoError(t, err, name)
		require.Len(t, g.Symbols, 1)
		out, err := eval(g, c.Inputs, nil)
		require.NoError(t, err, name)
		for _, want := range c.Outputs {
			require.NoError(t, onnxcases.Compare(want.Tensor, out[want.Name]), name)
		}
		count++
	}
	require.Greater(t, count, 100)
}

func exportImport(g *graph.Graph, o onnx.ExportOptions) (*graph.Graph, []byte, error) {
	var b bytes.Buffer
	if err := onnx.Export(&b, g, o); err != nil {
		return nil, nil, err
	}
	again, err := onnx.Import(b.Bytes(), onnx.ImportOptions{})
	return again, b.Bytes(), err
}

// eval runs a graph on the reference evaluator.
func eval(g *graph.Graph, in map[string]*graph.Tensor, data graph.Data) (map[string]*graph.Tensor, error) {
	o := oracle.Options{Inputs: map[string]*oracle.Tensor{}, Data: data, Round: true}
	for name, v := range in {
		t, err := oracle.FromConst(v)
		if err != nil {
			return nil, err
		}
		o.Inputs[name] = t
	}
	r, err := oracle.Eval(context.Background(), g, o)
	if err != nil {
		return nil, err
	}
	out := map[string]*graph.Tensor{}
	for name, v := range r.Outputs {
		if out[name], err = v.Const(); err != nil {
			return nil, err
		}
	}
	return out, nil
}
