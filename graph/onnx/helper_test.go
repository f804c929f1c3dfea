package onnx_test

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
)

// difference says how two graphs differ other than in the names of nodes and
// inner values and the order of constants; it is empty when they do not.
func difference(a, b *graph.Graph) string {
	if a.Name != b.Name || !reflect.DeepEqual(a.Symbols, b.Symbols) {
		return fmt.Sprintf("graph %q with symbols %v became %q with %v", a.Name, a.Symbols, b.Name, b.Symbols)
	}
	if len(a.Nodes) != len(b.Nodes) || len(a.Inputs) != len(b.Inputs) || len(a.Outputs) != len(b.Outputs) || len(a.States) != len(b.States) {
		return fmt.Sprintf("%d nodes, %d inputs, %d outputs, %d states became %d, %d, %d, %d",
			len(a.Nodes), len(a.Inputs), len(a.Outputs), len(a.States), len(b.Nodes), len(b.Inputs), len(b.Outputs), len(b.States))
	}
	same := map[graph.ValueID]graph.ValueID{graph.NoValue: graph.NoValue}
	match := func(x, y graph.ValueID) string {
		if old, ok := same[x]; ok {
			if old != y {
				return fmt.Sprintf("value %q became two values", a.Values[x].Name)
			}
			return ""
		}
		if y == graph.NoValue {
			return fmt.Sprintf("value %q is gone", a.Values[x].Name)
		}
		same[x] = y
		v, w := &a.Values[x], &b.Values[y]
		if v.Kind != w.Kind || !v.Type.Equal(w.Type) {
			return fmt.Sprintf("value %q, %s of kind %d, became %s of kind %d", v.Name, v.Type, v.Kind, w.Type, w.Kind)
		}
		if v.Kind == graph.Const {
			return differentConst(v, w)
		}
		return ""
	}
	for i, x := range a.Inputs {
		y := b.Inputs[i]
		if d := match(x, y); d != "" || a.Values[x].Name != b.Values[y].Name {
			return fmt.Sprintf("input %q became %q: %s", a.Values[x].Name, b.Values[y].Name, d)
		}
	}
	for i, x := range a.States {
		y := b.States[i]
		if d := match(x.In, y.In); d != "" || x.Name != y.Name {
			return fmt.Sprintf("state %q became %q: %s", x.Name, y.Name, d)
		}
	}
	for i := range a.Nodes {
		m, n := &a.Nodes[i], &b.Nodes[i]
		if m.Op != n.Op || len(m.In) != len(n.In) || len(m.Out) != len(n.Out) || !slices.EqualFunc(m.Attrs, n.Attrs, graph.Attr.Equal) {
			return fmt.Sprintf("node %d, %v, became %v", i, *m, *n)
		}
		for k := range m.In {
			if d := match(m.In[k], n.In[k]); d != "" {
				return fmt.Sprintf("node %d (%s), input %d: %s", i, m.Op, k, d)
			}
		}
		for k := range m.Out {
			if d := match(m.Out[k], n.Out[k]); d != "" {
				return fmt.Sprintf("node %d (%s), output %d: %s", i, m.Op, k, d)
			}
		}
	}
	for i, p := range a.Outputs {
		q := b.Outputs[i]
		if d := match(p.Value, q.Value); d != "" || p.Name != q.Name {
			return fmt.Sprintf("output %q became %q: %s", p.Name, q.Name, d)
		}
	}
	for i, x := range a.States {
		if d := match(x.Out, b.States[i].Out); d != "" {
			return fmt.Sprintf("state %q ends otherwise: %s", x.Name, d)
		}
	}
	return ""
}

func differentConst(v, w *graph.Value) string {
	if v.Data.Dims != nil || w.Data.Dims != nil {
		if !dim.Shape(v.Data.Dims).Equal(w.Data.Dims) {
			return fmt.Sprintf("integers %v became %v", v.Data.Dims, w.Data.Dims)
		}
		return ""
	}
	s, ok := v.Const()
	t, ok2 := w.Const()
	if !ok || !ok2 || s.Elem != t.Elem || !slices.Equal(s.Shape, t.Shape) || string(s.Data) != string(t.Data) {
		return fmt.Sprintf("constant %q became another", v.Name)
	}
	return ""
}
