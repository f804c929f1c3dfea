package onnxcases

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/graph/onnx"
	"github.com/heddle-ml/heddle/ops"
)

// writeCase writes a case of our own: y = Add(x, x).
func writeCase(t *testing.T, dir string, files map[string]*graph.Tensor) {
	b := graph.NewBuilder("own", ops.Standard)
	x := b.Input("x", graph.OfInts(enc.F32, 2))
	b.Output("y", b.Op("Add", []graph.ValueID{x, x}))
	g, err := b.Build()
	require.NoError(t, err)
	var m bytes.Buffer
	require.NoError(t, onnx.Export(&m, g, onnx.ExportOptions{}))
	data := filepath.Join(dir, "test_data_set_0")
	require.NoError(t, os.MkdirAll(data, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "model.onnx"), m.Bytes(), 0o644))
	for name, v := range files {
		pb, err := onnx.FormatTensor(name, v)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(data, name), pb, 0o644))
	}
}

func TestOwnCase(t *testing.T) {
	dir := t.TempDir()
	x, y := graph.F32([]int64{2}, 1, 2), graph.F32([]int64{2}, 2, 4)
	writeCase(t, filepath.Join(dir, "b"), map[string]*graph.Tensor{"input_0.pb": x, "output_0.pb": y})
	writeCase(t, filepath.Join(dir, "a"), map[string]*graph.Tensor{"input_0.pb": x})
	writeCase(t, filepath.Join(dir, "c"), map[string]*graph.Tensor{"input_0.pb": x, "input_1.pb": x, "output_0.pb": y})
	names, err := List(dir)
	require.NoError(t, err)
	require.Equal(t, []string{"a", "b", "c"}, names)
	c, err := Load(dir, "b")
	require.NoError(t, err)
	require.Equal(t, "b", c.Name)
	require.Equal(t, map[string]*graph.Tensor{"x": x}, c.Inputs)
	require.Equal(t, []Output{{"y", y}}, c.Outputs)
	require.Len(t, c.Graph.Nodes, 1)
	_, err = Load(dir, "a")
	require.ErrorContains(t, err, `onnxcases: a: output "y"`)
	_, err = Load(dir, "c")
	require.ErrorContains(t, err, "more input files")
	_, err = List(t.TempDir())
	require.ErrorContains(t, err, "no folder")
}

func TestCompare(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	half := func(hs ...uint16) *graph.Tensor {
		v := &graph.Tensor{Elem: enc.F16, Shape: []int64{int64(len(hs))}}
		for _, h := range hs {
			v.Data = append(v.Data, byte(h), byte(h>>8))
		}
		return v
	}
	for name, c := range map[string]struct {
		want, got *graph.Tensor
		fails     string
	}{
		"equal":          {graph.F32([]int64{3}, 1, nan, inf), graph.F32([]int64{3}, 1, nan, inf), ""},
		"within":         {graph.F32([]int64{1}, 1000), graph.F32([]int64{1}, 1000.9), ""},
		"outside":        {graph.F32([]int64{2}, 0, 1000), graph.F32([]int64{2}, 0, 1001.2), "element 1 is 1001.2"},
		"small outside":  {graph.F32([]int64{1}, 0), graph.F32([]int64{1}, 2e-7), "element 0"},
		"nan":            {graph.F32([]int64{1}, 1), graph.F32([]int64{1}, nan), "is NaN, want 1"},
		"other infinity": {graph.F32([]int64{1}, inf), graph.F32([]int64{1}, -inf), "is -Inf, want +Inf"},
		"almost inf":     {graph.F32([]int64{1}, inf), graph.F32([]int64{1}, math.MaxFloat32), "want +Inf"},
		"half within":    {half(0x3c00), half(0x3c01), ""},
		"half outside":   {half(0x3c00), half(0x3c10), "element 0"},
		"integers":       {graph.I64(-1, 2), graph.I64(-1, 3), "element 1 is 3, want 2; 1 of 2"},
		"nibbles":        {&graph.Tensor{Elem: enc.I4, Shape: []int64{2}, Data: []byte{0xf1}}, &graph.Tensor{Elem: enc.I4, Shape: []int64{2}, Data: []byte{0xe1}}, "element 1 is -2, want -1"},
		"shape":          {graph.I64(1), graph.I64(1).Scalar(), "result is i64[]"},
		"type":           {graph.I64(), graph.F32([]int64{0}), "result is f32"},
		"broken":         {graph.I64(1), &graph.Tensor{Elem: enc.I64, Shape: []int64{1}}, "result: "},
	} {
		t.Run(name, func(t *testing.T) {
			err := Compare(c.want, c.got)
			if c.fails == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, c.fails)
			}
		})
	}
}

func ExampleCompare() {
	fmt.Println(Compare(graph.F32([]int64{2}, 1, 2), graph.F32([]int64{2}, 1.0001, 2.5)))
	// Output: onnxcases: element 1 is 2.5, want 2; 1 of 2 differ (tolerance 1e-07 + 0.001 relative)
}
