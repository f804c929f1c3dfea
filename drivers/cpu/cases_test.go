package cpu

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/internal/onnxcases"
	"github.com/heddle-ml/heddle/internal/shared"
	"github.com/heddle-ml/heddle/ops/kern"
)

// ONNX's own cases, none of them skipped, on every tier that can run here.
func TestONNXCases(t *testing.T) {
	dir := shared.Dir(t, "onnx-node-tests")
	names, err := onnxcases.List(dir)
	require.NoError(t, err)
	require.Len(t, names, 584)
	for _, table := range kern.Usable() {
		t.Run(table.Tier.String(), func(t *testing.T) {
			d := open(t, "cpu?tier="+table.Tier.String())
			for _, name := range names {
				t.Run(name, func(t *testing.T) {
					c, err := onnxcases.Load(dir, name)
					require.NoError(t, err)
					got, err := evaluate(t, d, c.Graph, c.Inputs)
					require.NoError(t, err)
					for _, want := range c.Outputs {
						require.NoError(t, onnxcases.Compare(want.Tensor, got[want.Name]), want.Name)
					}
				})
			}
		})
	}
}
