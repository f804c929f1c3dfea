package oracle_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/internal/onnxcases"
	"github.com/heddle-ml/heddle/internal/shared"
	"github.com/heddle-ml/heddle/ops/oracle"
)

// ONNX's own cases, none of them skipped.
func TestONNXCases(t *testing.T) {
	dir := shared.Dir(t, "onnx-node-tests")
	names, err := onnxcases.List(dir)
	require.NoError(t, err)
	require.Len(t, names, 584)
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			c, err := onnxcases.Load(dir, name)
			require.NoError(t, err)
			in := map[string]*oracle.Tensor{}
			for name, v := range c.Inputs {
				in[name], err = oracle.FromConst(v)
				require.NoError(t, err)
			}
			res, err := oracle.Eval(context.Background(), c.Graph, oracle.Options{Inputs: in, Round: true})
			require.NoError(t, err)
			for _, want := range c.Outputs {
				got, err := res.Outputs[want.Name].Const()
				require.NoError(t, err, want.Name)
				require.NoError(t, onnxcases.Compare(want.Tensor, got), want.Name)
			}
		})
	}
}
