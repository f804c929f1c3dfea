package onnxcases

import (
	"testing"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/internal/shared"
	"github.com/heddle-ml/heddle/ops"
	"github.com/stretchr/testify/require"
)

// Every case imports, verifies, and keeps the operator that it is about.
func TestLoadAll(t *testing.T) {
	dir := shared.Dir(t, "onnx-node-tests")
	names, err := List(dir)
	require.NoError(t, err)
	require.Len(t, names, 584)
	for _, name := range names {
		c, err := Load(dir, name)
		if err != nil {
			t.Error(err)
			continue
		}
		if err := graph.Verify(c.Graph, ops.Standard); err != nil {
			t.Error(name, err)
		}
		if len(c.Graph.Nodes) == 0 {
			t.Errorf("%s: the graph has no nodes left", name)
		}
		if len(c.Graph.Outputs) != len(c.Outputs) {
			t.Errorf("%s: %d outputs, want %d", name, len(c.Graph.Outputs), len(c.Outputs))
		}
		for i, p := range c.Graph.Outputs {
			require.Equal(t, c.Outputs[i].Name, p.Name)
		}
	}
}
