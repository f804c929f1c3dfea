package driver

import (
	"fmt"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
)

// Planes returns where the scale and zero planes of an argument start, and
// its total size: each plane starts at a multiple of PlaneAlign.
func Planes(l enc.Layout) (scale, zero, total int64) {
	up := func(n int64) int64 { return (n + PlaneAlign - 1) / PlaneAlign * PlaneAlign }
	if l.Scale == 0 && l.Zero == 0 {
		return l.Data, l.Data, l.Data
	}
	scale = up(l.Data)
	if l.Zero == 0 {
		return scale, scale + l.Scale, scale + l.Scale
	}
	zero = up(scale + l.Scale)
	return scale, zero, zero + l.Zero
}

// Size returns the bytes of an argument at the given symbol values: its
// planes, each starting at a multiple of PlaneAlign.
func (b Binding) Size(at dim.Binding) (int64, error) {
	shape, err := b.Type.Shape.Eval(at)
	if err != nil {
		return 0, fmt.Errorf("%s %q: %w", b.Role, b.Name, err)
	}
	l, err := b.Type.Enc.Layout(b.Type.Elem, shape)
	if err != nil {
		return 0, fmt.Errorf("%s %q: %w", b.Role, b.Name, err)
	}
	_, _, total := Planes(l)
	return total, nil
}

// BindingsOf returns the arguments of a graph in their order: inputs,
// outputs, states, each with the given alignment.
func BindingsOf(g *graph.Graph, align int64) []Binding {
	out := make([]Binding, 0, len(g.Inputs)+len(g.Outputs)+len(g.States))
	for _, v := range g.Inputs {
		out = append(out, Binding{Name: g.Values[v].Name, Role: RoleInput, Type: g.Values[v].Type, Align: align})
	}
	for _, p := range g.Outputs {
		out = append(out, Binding{Name: p.Name, Role: RoleOutput, Type: g.Values[p.Value].Type, Align: align})
	}
	for _, s := range g.States {
		out = append(out, Binding{Name: s.Name, Role: RoleState, Type: g.Values[s.In].Type, Align: align})
	}
	return out
}
