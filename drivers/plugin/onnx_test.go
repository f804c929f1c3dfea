//go:build unix

package plugin

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/graph/onnx"
	"github.com/heddle-ml/heddle/ops"
	"github.com/heddle-ml/heddle/ops/oracle"
)

// threeWeights multiplies by a weight of each kind: plain and transposed,
// scaled integers, and carried by the graph.
func threeWeights(t *testing.T) (*graph.Graph, graph.Data) {
	t.Helper()
	r := rand.New(rand.NewPCG(3, 4))
	b := graph.NewBuilder("three", ops.Standard)
	data := inMemory{"plain": randomNumbers(r, 32*32, enc.F32)}
	b.Source(graph.Source{Name: "plain", Size: 4096})
	x := b.Input("x", graph.OfInts(enc.F32, 2, 32))
	b.Scope("first")
	x = b.Op("MatMul", []graph.ValueID{x, b.Weight("w1", graph.OfInts(enc.F32, 32, 32), &graph.Weight{Perm: []int{1, 0}, Parts: []graph.Part{{Source: "plain", Elem: enc.F32, Shape: []int64{32, 32}}}})})
	b.Scope("second")
	ty := graph.OfInts(enc.F32, 32, 32)
	ty.Enc = enc.PerChannel(enc.I8, 1)
	x = b.Op("MatMul", []graph.ValueID{x, b.Weight("w2", ty, &graph.Weight{Parts: []graph.Part{{Source: "plain", Elem: enc.F32, Shape: []int64{32, 32}}}})})
	b.Scope("third")
	x = b.Op("Add", []graph.ValueID{x, b.Const("w3", &graph.Tensor{Elem: enc.F32, Shape: []int64{1}, Data: randomNumbers(r, 1, enc.F32)})})
	b.Output("y", x)
	g, err := b.Build()
	require.NoError(t, err)
	return g, data
}

// A library that reads ONNX computes what the graph says, with the weights
// from the file, and finds the graph's nodes by their numbers.
func TestONNXForm(t *testing.T) {
	g, data := threeWeights(t)
	model, list, release, err := exportONNX(g, data)
	require.NoError(t, err)
	defer release()
	require.Len(t, list, 1)
	require.Zero(t, address(&model[0])%16)
	weights := make([]byte, list[0].size)
	_, err = unix.Pread(int(list[0].fd), weights, list[0].offset)
	require.NoError(t, err)

	back, err := onnx.Import(model, onnx.ImportOptions{External: fstest.MapFS{list[0].name: &fstest.MapFile{Data: weights}}})
	require.NoError(t, err)
	in := map[string]*oracle.Tensor{"x": {Elem: enc.F32, Shape: []int64{2, 32}, F: make([]float64, 64)}}
	for i := range in["x"].F {
		in["x"].F[i] = float64(i%7) - 3
	}
	want, err := oracle.Eval(t.Context(), g, oracle.Options{Data: data, Inputs: in})
	require.NoError(t, err)
	got, err := oracle.Eval(t.Context(), back, oracle.Options{Inputs: in, Data: inMemory{list[0].name: weights}})
	require.NoError(t, err)
	require.Equal(t, want.Outputs["y"].F, got.Outputs["y"].F)
	for _, name := range []string{"0:first", "1:second", "2:third"} {
		require.True(t, bytes.Contains(model, []byte(name)), name)
	}
}

// Asked what it supports, a library gets the same model without the file:
// nothing is read, and no memory is taken for weights that may be huge.
func TestONNXWithoutWeights(t *testing.T) {
	g, data := threeWeights(t)
	model, _, release, err := exportONNX(g, data)
	require.NoError(t, err)
	release()
	asked, err := describeONNX(g)
	require.NoError(t, err)
	require.Equal(t, model, asked)

	huge := *g
	huge.Values = append([]graph.Value(nil), g.Values...)
	for i := range huge.Values {
		if v := &huge.Values[i]; strings.HasSuffix(v.Name, "w1") {
			const n = 1 << 17 // 64 GiB
			v.Type = graph.OfInts(enc.F32, 32, n*n/32)
			v.Data = &graph.Weight{Parts: []graph.Part{{Source: "plain", Elem: enc.F32, Shape: []int64{32, n * n / 32}}}}
		}
	}
	asked, err = describeONNX(&huge)
	require.NoError(t, err)
	require.Less(t, len(asked), 1<<16)
}
