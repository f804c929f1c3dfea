package wellformed

import (
	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/ops"
)

// Check returns nil, or what is wrong with a graph of ONNX's and heddle's
// operators; see graph.Verify.
func Check(g *graph.Graph) error { return graph.Verify(g, ops.Standard) }
