package passes

import (
	"fmt"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/ops"
)

// maxDepth bounds how often the results of a decomposition are decomposed.
const maxDepth = 16

// Decompose replaces composite operators by simpler ones until only primitives
// and operators that keep returns true for are left. A nil keep keeps nothing.
// Updates of states are always kept: what they do in place has no other form.
func Decompose(g *graph.Graph, keep func(op graph.OpRef) bool) (*graph.Graph, error) {
	for range maxDepth {
		next, composite, err := decomposeOnce(g, keep)
		if err != nil {
			return nil, fmt.Errorf("passes: decompose: %w", err)
		}
		if composite == "" {
			return g, nil
		}
		g = next
	}
	_, composite, err := decomposeOnce(g, keep)
	if composite != "" {
		return nil, fmt.Errorf("passes: decompose: graph %q: %s does not come down to primitives in %d steps", g.Name, composite, maxDepth)
	}
	return g, err
}

// decomposeOnce replaces the composites of g by one step. It returns the name
// of one, "" if there are none.
func decomposeOnce(g *graph.Graph, keep func(op graph.OpRef) bool) (*graph.Graph, string, error) {
	composite := ""
	states := g.StateOf(ops.Standard)
	split := func(n *graph.Node) *ops.Op {
		o := ops.Get(n.Op.Domain, n.Op.Name)
		if o == nil || o.Decompose == nil || keep != nil && keep(n.Op) ||
			o.Updates && len(n.In) > 0 && n.In[0] != graph.NoValue && states[n.In[0]] >= 0 {
			return nil
		}
		return o
	}
	for i := range g.Nodes {
		if split(&g.Nodes[i]) != nil {
			composite = g.Nodes[i].Op.String()
			break
		}
	}
	if composite == "" {
		return g, "", nil
	}
	out, err := rewrite(g, graph.Rewriter{
		Node: func(b *graph.Builder, id graph.NodeID, in []graph.ValueID) ([]graph.ValueID, error) {
			o := split(&g.Nodes[id])
			if o == nil {
				return nil, nil
			}
			out, err := o.Decompose(b, call(b, g, id, in), in)
			if err != nil {
				return nil, err
			}
			if len(out) < len(g.Nodes[id].Out) {
				return nil, fmt.Errorf("its decomposition gives %d outputs of %d", len(out), len(g.Nodes[id].Out))
			}
			return out, nil
		},
	})
	return out, composite, err
}
