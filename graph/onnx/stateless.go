package onnx

import (
	"fmt"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/ops"
)

// Stateless returns g with each state made an input, of the state's name, and
// an output named as [Export] does. Operators that update states can be
// decomposed then, which a graph with states does not allow.
func Stateless(g *graph.Graph) (*graph.Graph, error) {
	b := graph.NewBuilder(g.Name, ops.Standard)
	for _, s := range g.Symbols {
		b.Symbol(s)
	}
	for _, s := range g.Sources {
		b.Source(s)
	}
	to := make([]graph.ValueID, len(g.Values))
	for i := range g.Values {
		switch v := &g.Values[i]; v.Kind {
		case graph.Input:
			to[i] = b.Input(v.Name, v.Type)
		case graph.Const:
			to[i] = b.Weight(v.Name, v.Type, v.Data)
		}
	}
	for _, s := range g.States {
		to[s.In] = b.Input(s.Name, g.Values[s.In].Type)
	}
	for i := range g.Nodes {
		n := g.Nodes[i]
		in, want := make([]graph.ValueID, len(n.In)), make([]bool, len(n.Out))
		for k, v := range n.In {
			in[k] = graph.NoValue
			if v != graph.NoValue {
				in[k] = to[v]
			}
		}
		for k, v := range n.Out {
			want[k] = v != graph.NoValue
		}
		old := n.Out
		n.In = in
		out := b.Node(n, want)
		if err := b.Err(); err != nil {
			return nil, fmt.Errorf("onnx: without states: %w", err)
		}
		for k, v := range old {
			if v != graph.NoValue {
				to[v] = out[k]
				b.Rename(out[k], g.Values[v].Name)
			}
		}
	}
	for _, p := range g.Outputs {
		b.Output(p.Name, to[p.Value])
	}
	for _, s := range g.States {
		if s.Out != s.In {
			b.Output(stateOut(s.Name), to[s.Out])
		}
	}
	out, err := b.Build()
	if err != nil {
		return nil, fmt.Errorf("onnx: without states: %w", err)
	}
	return out, nil
}
