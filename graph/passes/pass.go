package passes

import (
	"fmt"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/ops"
)

// Pass is one rewrite. Run leaves its argument alone; it may return it where
// there is nothing to do.
type Pass struct {
	Name string
	Run  func(g *graph.Graph) (*graph.Graph, error)
}

// Run applies passes in order and verifies the graph after each. Errors name
// the pass.
func Run(g *graph.Graph, passes ...Pass) (*graph.Graph, error) {
	return Watch(nil, g, passes...)
}

// Watch is Run with an observer, which sees the graph before and after each
// pass: to print it, or to compare what both compute.
func Watch(see func(p Pass, before, after *graph.Graph), g *graph.Graph, passes ...Pass) (*graph.Graph, error) {
	for _, p := range passes {
		out, err := p.Run(g)
		if err != nil {
			return nil, fmt.Errorf("passes: %s: %w", p.Name, err)
		}
		if out != g {
			if err := graph.Verify(out, ops.Standard); err != nil {
				return nil, fmt.Errorf("passes: %s made a malformed graph: %w", p.Name, err)
			}
		}
		if see != nil {
			see(p, g, out)
		}
		g = out
	}
	return g, nil
}

// rewrite applies a rewriter that knows the standard operators.
func rewrite(g *graph.Graph, r graph.Rewriter) (*graph.Graph, error) {
	r.Schemas = ops.Standard
	return r.Run(g)
}

// Specialize gives symbols their values. Some may stay symbolic; a name in
// bind that g does not declare is ignored, so that one binding serves all
// graphs of a workload. A value outside of its symbol's bounds is an error.
func Specialize(g *graph.Graph, bind dim.Binding) (*graph.Graph, error) {
	used := dim.Binding{}
	for _, s := range g.Symbols {
		n, ok := bind[s.Name]
		if !ok {
			continue
		}
		if n < s.Min || n > s.Max {
			return nil, fmt.Errorf("passes: specialize: graph %q: symbol %s cannot be %d: its bounds are %d..%d", g.Name, s.Name, n, s.Min, s.Max)
		}
		used[s.Name] = n
	}
	if len(used) == 0 {
		return g, nil
	}
	out, err := rewrite(g, graph.Rewriter{Bind: used})
	if err != nil {
		return nil, fmt.Errorf("passes: specialize %v: %w", used, err)
	}
	return out, nil
}

// dropped stands for the outputs of a node that is left out.
func dropped(n *graph.Node) []graph.ValueID {
	out := make([]graph.ValueID, len(n.Out))
	for i := range out {
		out[i] = graph.NoValue
	}
	return out
}

// wants tells which outputs of a node are used.
func wants(n *graph.Node) []bool {
	out := make([]bool, len(n.Out))
	for i, v := range n.Out {
		out[i] = v != graph.NoValue
	}
	return out
}

// call returns node id of g with operands of b.
func call(b *graph.Builder, g *graph.Graph, id graph.NodeID, in []graph.ValueID) *graph.Call {
	c := g.Call(id)
	for i, v := range in {
		c.In[i] = b.Value(v)
	}
	return c
}
