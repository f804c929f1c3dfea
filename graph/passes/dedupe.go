package passes

import (
	"encoding/binary"
	"math"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/ops"
)

// Dedupe merges constants with the same bytes, weights at the same place, and
// nodes with the same operator, attributes and operands. State updates are
// never merged.
var Dedupe = Pass{"dedupe", dedupe}

func dedupe(g *graph.Graph) (*graph.Graph, error) {
	// same maps each value to the first one that is equal to it.
	same := make([]graph.ValueID, len(g.Values))
	twin := make([]bool, len(g.Nodes))
	seen := map[string]graph.ValueID{}
	change := false
	for id := range g.Values {
		same[id] = graph.ValueID(id)
		if v := &g.Values[id]; v.Kind == graph.Const {
			key := constKey(v)
			if first, ok := seen[key]; ok {
				same[id], change = first, true
			} else {
				seen[key] = graph.ValueID(id)
			}
		}
	}
	// Constants are merged by now, so operands compare by number.
	merged := *g
	merged.Nodes = make([]graph.Node, len(g.Nodes))
	nodes := map[string]graph.NodeID{}
	for id := range g.Nodes {
		n := g.Nodes[id]
		n.In = mapped(same, n.In)
		merged.Nodes[id] = n
		if o := ops.Get(n.Op.Domain, n.Op.Name); o == nil || o.Updates {
			continue
		}
		key := nodeKey(&n)
		first, ok := nodes[key]
		if !ok {
			nodes[key] = graph.NodeID(id)
			continue
		}
		twin[id], change = true, true
		for i, v := range n.Out {
			if v != graph.NoValue {
				same[v] = g.Nodes[first].Out[i]
			}
		}
	}
	if !change {
		return g, nil
	}
	merged.Outputs = make([]graph.Port, len(g.Outputs))
	for i, p := range g.Outputs {
		merged.Outputs[i] = graph.Port{Name: p.Name, Value: same[p.Value]}
	}
	return rewrite(&merged, graph.Rewriter{
		Keep: func(id graph.ValueID) bool { return same[id] == id },
		Node: func(_ *graph.Builder, id graph.NodeID, _ []graph.ValueID) ([]graph.ValueID, error) {
			if twin[id] {
				return dropped(&g.Nodes[id]), nil
			}
			return nil, nil
		},
	})
}

func mapped(to, ids []graph.ValueID) []graph.ValueID {
	out := make([]graph.ValueID, len(ids))
	for i, v := range ids {
		if out[i] = v; v != graph.NoValue {
			out[i] = to[v]
		}
	}
	return out
}

// key is a string that two things share just if they are equal: numbers and
// counted strings, one after the other.
type key []byte

func (k *key) int(n int64)  { *k = binary.AppendVarint(*k, n) }
func (k *key) str(s string) { k.int(int64(len(s))); *k = append(*k, s...) }
func (k *key) ints(n []int64) {
	k.int(int64(len(n)))
	for _, x := range n {
		k.int(x)
	}
}

func (k *key) tensor(t *graph.Tensor) {
	k.int(int64(t.Elem))
	k.ints(t.Shape)
	k.str(string(t.Data))
}

func constKey(v *graph.Value) string {
	var k key
	k.str(v.Type.String())
	w := v.Data
	if w.Dims != nil {
		k.str("dims" + dim.Shape(w.Dims).String())
		return string(k)
	}
	k.int(int64(w.Axis))
	k.int(int64(len(w.Perm)))
	for _, a := range w.Perm {
		k.int(int64(a))
	}
	for i := range w.Parts {
		p := &w.Parts[i]
		k.str(p.Source)
		k.str(string(p.Inline))
		if p.Source == "" && p.Inline == nil {
			k.str(v.Name) // nobody knows what weights without data will hold
		}
		k.int(int64(p.Elem))
		k.str(p.Enc.String())
		k.ints([]int64{p.Offset, p.ScaleOffset, p.ZeroOffset})
		k.ints(p.Shape)
		k.ints(p.Start)
		k.ints(p.Size)
	}
	return string(k)
}

func nodeKey(n *graph.Node) string {
	var k key
	k.str(n.Op.String())
	k.int(int64(n.Op.Version))
	k.int(int64(len(n.In)))
	for _, v := range n.In {
		k.int(int64(v))
	}
	k.int(int64(len(n.Out)))
	for _, v := range n.Out {
		k.int(int64(min(v, 0))) // wanted or not
	}
	for i := range n.Attrs {
		a := &n.Attrs[i]
		k.str(a.Name)
		k.int(int64(a.Kind))
		k.int(a.Int)
		k.int(int64(math.Float32bits(a.Float)))
		k.str(a.Str)
		k.ints(a.Ints)
		k.int(int64(len(a.Floats)))
		for _, f := range a.Floats {
			k.int(int64(math.Float32bits(f)))
		}
		k.int(int64(len(a.Strings)))
		for _, s := range a.Strings {
			k.str(s)
		}
		k.int(int64(a.Elem))
		if a.Tensor != nil {
			k.tensor(a.Tensor)
		}
	}
	return string(k)
}
