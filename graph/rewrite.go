package graph

import (
	"slices"

	"github.com/heddle-ml/heddle/graph/dim"
)

// Rewriter makes a new graph from an old one, node by node. Types are
// inferred anew, so a change near the inputs carries through.
type Rewriter struct {
	Schemas Schemas
	// Bind gives symbols values; they disappear from the new graph.
	Bind dim.Binding
	// Node, if not nil, is asked for each node of the old graph, in order. in
	// are the new graph's values for the node's inputs. It returns the values
	// that take the place of the node's outputs, or nil to copy the node.
	// Nodes that it adds to b get the old node's name.
	Node func(b *Builder, id NodeID, in []ValueID) ([]ValueID, error)
	// Keep, if not nil, tells which inputs' and constants' values to copy; others are
	// left out and must not be used. Inputs and states are always copied.
	Keep func(id ValueID) bool
}

// Run applies r to g.
func (r Rewriter) Run(g *Graph) (*Graph, error) {
	b := NewBuilder(g.Name, r.Schemas)
	for i := range g.Values {
		b.names[g.Values[i].Name] = true // so that no new name takes an old one
	}
	for _, s := range g.Symbols {
		if _, bound := r.Bind[s.Name]; !bound {
			b.Symbol(s)
		}
	}
	for _, s := range g.Sources {
		b.Source(s)
	}
	to := make([]ValueID, len(g.Values))
	for i := range to {
		to[i] = NoValue
	}
	named := func(id ValueID, v Value) {
		delete(b.names, v.Name)
		to[id] = b.value(v)
	}
	for id := range g.Values {
		v := g.Values[id]
		if v.Kind == Result || v.Kind == Const && r.Keep != nil && !r.Keep(ValueID(id)) {
			continue
		}
		v.Type = v.Type.Subst(r.Bind)
		if v.Data != nil && v.Data.Dims != nil {
			v.Data = &Weight{Dims: dim.Shape(v.Data.Dims).Subst(r.Bind)}
			if ns, ok := dim.Shape(v.Data.Dims).Const(); ok {
				t := I64(ns...)
				if len(v.Type.Shape) == 0 {
					t = t.Scalar()
				}
				v.Data = &Weight{Parts: []Part{{Inline: t.Data, Elem: t.Elem, Shape: t.Shape}}}
			}
		}
		named(ValueID(id), v)
	}
	for _, id := range g.Inputs {
		b.g.Inputs = append(b.g.Inputs, to[id])
	}
	for _, s := range g.States {
		b.g.States = append(b.g.States, State{s.Name, to[s.In], to[s.In]})
	}
	for id := range g.Nodes {
		n := &g.Nodes[id]
		in := make([]ValueID, len(n.In))
		for i, v := range n.In {
			in[i] = NoValue
			if v != NoValue {
				in[i] = to[v]
			}
		}
		var out []ValueID
		b.Scope(n.Name)
		first := ValueID(len(b.g.Values))
		if r.Node != nil && b.err == nil {
			var err error
			if out, err = r.Node(b, NodeID(id), in); err != nil {
				b.Fail(&Error{Graph: g.Name, Node: nodeLabel(NodeID(id), n.Name), Op: n.Op.String(), Err: err})
			}
		}
		if out == nil {
			want := make([]bool, len(n.Out))
			for i, v := range n.Out {
				want[i] = v != NoValue
			}
			m := *n
			m.In = in
			out = b.Node(m, want)
		}
		if b.err != nil {
			return nil, b.err
		}
		for i, v := range n.Out {
			if v == NoValue || i >= len(out) || out[i] == NoValue {
				continue
			}
			to[v] = out[i]
			if out[i] >= first && b.g.Values[out[i]].Kind == Result {
				delete(b.names, g.Values[v].Name)
				b.Rename(out[i], g.Values[v].Name)
			}
		}
	}
	for _, p := range g.Outputs {
		b.Output(p.Name, to[p.Value])
	}
	for i, s := range g.States {
		if b.err == nil {
			b.g.States[i].Out = to[s.Out]
		}
	}
	return b.Build()
}

// Uses returns, for each value, how many node inputs, outputs and final state
// versions refer to it.
func (g *Graph) Uses() []int {
	n := make([]int, len(g.Values))
	for i := range g.Nodes {
		for _, v := range g.Nodes[i].In {
			if v != NoValue {
				n[v]++
			}
		}
	}
	for _, p := range g.Outputs {
		n[p.Value]++
	}
	for _, s := range g.States {
		n[s.Out]++
	}
	return n
}

// StateOf returns the index in States of the state that each value is a
// version of, -1 for other values.
func (g *Graph) StateOf(s Schemas) []int {
	of := make([]int, len(g.Values))
	for i := range of {
		of[i] = -1
	}
	for i, st := range g.States {
		of[st.In] = i
	}
	for i := range g.Nodes {
		n := &g.Nodes[i]
		if s.Updates(n.Op) && len(n.In) > 0 && len(n.Out) > 0 && n.In[0] != NoValue && n.Out[0] != NoValue {
			of[n.Out[0]] = of[n.In[0]]
		}
	}
	return slices.Clip(of)
}
