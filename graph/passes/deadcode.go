package passes

import (
	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/ops"
)

// DeadCode drops nodes and constants that neither an output nor a state
// depends on, and optional outputs that nothing uses. Inputs and states stay.
var DeadCode = Pass{"dead code", deadCode}

func deadCode(g *graph.Graph) (*graph.Graph, error) {
	live := make([]bool, len(g.Values))
	for _, p := range g.Outputs {
		live[p.Value] = true
	}
	for _, s := range g.States {
		live[s.Out] = true
	}
	change := false
	keep := make([]bool, len(g.Nodes))
	for id := len(g.Nodes) - 1; id >= 0; id-- {
		n := &g.Nodes[id]
		for i, v := range n.Out {
			if v != graph.NoValue {
				keep[id] = keep[id] || live[v]
				change = change || !live[v] && droppable(n.Op, i)
			}
		}
		change = change || !keep[id]
		for _, v := range n.In {
			if v != graph.NoValue && keep[id] {
				live[v] = true
			}
		}
	}
	for id := range g.Values {
		change = change || g.Values[id].Kind == graph.Const && !live[id]
	}
	if !change {
		return g, nil
	}
	return rewrite(g, graph.Rewriter{
		Keep: func(id graph.ValueID) bool { return live[id] },
		Node: func(b *graph.Builder, id graph.NodeID, in []graph.ValueID) ([]graph.ValueID, error) {
			n := &g.Nodes[id]
			if !keep[id] {
				return dropped(n), nil
			}
			m, want := *n, wants(n)
			m.In = in
			for i, v := range n.Out {
				if want[i] && !live[v] && droppable(n.Op, i) {
					want[i] = false
				}
			}
			return b.Node(m, want), nil
		},
	})
}

// droppable tells whether an operator works without output i. The number of
// variadic outputs can have a meaning (Split), so these stay.
func droppable(op graph.OpRef, i int) bool {
	o := ops.Get(op.Domain, op.Name)
	return o != nil && i < len(o.Outputs) && o.Outputs[i].Optional && !o.Outputs[i].Variadic
}
