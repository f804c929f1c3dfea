package passes

import (
	"maps"
	"math"
	"slices"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/ops"
	"github.com/heddle-ml/heddle/ops/oracle"
)

// A pattern describes a value by how it is computed. Patterns are trees in
// which one pattern may occur several times: all its occurrences must be the
// same value. Operators whose operands may be swapped match both ways.
type pattern struct {
	kind   kind
	name   string // capture, "" for none
	op     string
	in     []*pattern
	choice []*pattern
	number float64
	check  func(v *graph.Value, c *graph.Call) bool
}

type kind uint8

const (
	anyValue kind = iota // a value, whatever made it
	constant             // a scalar constant
	result               // output 0 of an operator, its only one
	either               // one of several patterns
)

// value matches any value and captures it.
func value(name string) *pattern { return &pattern{kind: anyValue, name: name} }

// node matches the only output of an operator, whose operands are exactly in.
func node(op string, in ...*pattern) *pattern { return &pattern{kind: result, op: op, in: in} }

// oneOf matches what one of the patterns matches.
func oneOf(ps ...*pattern) *pattern { return &pattern{kind: either, choice: ps} }

// number matches a constant of one element that is f as well as its type can
// say.
func number(f float64) *pattern { return &pattern{kind: constant, number: f} }

// scalar matches any floating-point constant of one element, and captures it.
func scalar(name string) *pattern {
	return &pattern{kind: constant, name: name, number: math.NaN()}
}

// as captures the value that p matches.
func (p *pattern) as(name string) *pattern { p.name = name; return p }

// where adds a condition. For results, c is the call that made the value.
func (p *pattern) where(check func(v *graph.Value, c *graph.Call) bool) *pattern {
	p.check = check
	return p
}

// commutative lists the operators of two operands that may be swapped.
var commutative = map[string]bool{"Add": true, "Mul": true, "Max": true, "Min": true, "And": true, "Or": true, "Xor": true, "Equal": true}

// match is an occurrence of a pattern.
type match struct {
	g     *graph.Graph
	bound map[*pattern]graph.ValueID
	names map[string]graph.ValueID
	nodes []graph.NodeID // of results, the root's first
}

// get returns a captured value, NoValue if its branch was not taken.
func (m *match) get(name string) graph.ValueID {
	if v, ok := m.names[name]; ok {
		return v
	}
	return graph.NoValue
}

// typ returns the type of a captured value.
func (m *match) typ(name string) graph.Type { return m.g.Values[m.get(name)].Type }

// float returns the number of a captured scalar constant.
func (m *match) float(name string) float64 {
	f, _ := scalarOf(&m.g.Values[m.get(name)])
	return f
}

// find calls accept with each match of p whose root is v and of which nothing
// but the root is used elsewhere, until it returns true. users lists the nodes
// that use each value, and -1 for each output and state that is it.
func find(g *graph.Graph, users [][]graph.NodeID, p *pattern, v graph.ValueID, accept func(*match) bool) {
	start := &match{g: g, bound: map[*pattern]graph.ValueID{}, names: map[string]graph.ValueID{}}
	start.match(p, v, func(m *match) bool {
		for _, id := range m.nodes[1:] {
			for _, user := range users[g.Nodes[id].Out[0]] {
				if !slices.Contains(m.nodes, user) {
					return false
				}
			}
		}
		return accept(m)
	})
}

// match tries p on v and, for each way in which it matches, calls next with
// what is bound then, until that returns true.
func (m *match) match(p *pattern, v graph.ValueID, next func(*match) bool) bool {
	if v == graph.NoValue {
		return false
	}
	if old, ok := m.bound[p]; ok {
		return old == v && next(m)
	}
	if old, ok := m.names[p.name]; ok && old != v {
		return false
	}
	x := &m.g.Values[v]
	if !p.fits(m.g, x) {
		return false
	}
	m = m.bind(p, v)
	switch p.kind {
	case either:
		return slices.ContainsFunc(p.choice, func(c *pattern) bool { return m.match(c, v, next) })
	case result:
		in := m.g.Nodes[x.Def].In
		return m.operands(p.in, in, next) ||
			commutative[p.op] && len(in) == 2 && m.operands(p.in, []graph.ValueID{in[1], in[0]}, next)
	}
	return next(m)
}

// fits tells whether x can match p, not looking at operands.
func (p *pattern) fits(g *graph.Graph, x *graph.Value) bool {
	var c *graph.Call
	switch p.kind {
	case constant:
		f, ok := scalarOf(x)
		if !ok || p.number == p.number && !isNumber(f, p.number, x.Type.Elem) {
			return false
		}
	case result:
		if x.Kind != graph.Result {
			return false
		}
		n := &g.Nodes[x.Def]
		if n.Op.String() != p.op || len(n.Out) != 1 || len(n.In) != len(p.in) {
			return false
		}
		c = g.Call(x.Def)
	}
	return p.check == nil || p.check(x, c)
}

// bind returns m with p bound to v. The original serves the other ways.
func (m *match) bind(p *pattern, v graph.ValueID) *match {
	c := &match{g: m.g, bound: maps.Clone(m.bound), names: maps.Clone(m.names), nodes: slices.Clone(m.nodes)}
	c.bound[p] = v
	if p.name != "" {
		c.names[p.name] = v
	}
	if id := m.g.Values[v].Def; p.kind == result && !slices.Contains(c.nodes, id) {
		c.nodes = append(c.nodes, id)
	}
	return c
}

func (m *match) operands(ps []*pattern, in []graph.ValueID, next func(*match) bool) bool {
	if len(ps) == 0 {
		return next(m)
	}
	return m.match(ps[0], in[0], func(m *match) bool { return m.operands(ps[1:], in[1:], next) })
}

// scalarOf returns the number of a floating-point constant of one element.
func scalarOf(v *graph.Value) (float64, bool) {
	t, ok := v.Const()
	if !ok || t.Valid() != nil {
		return 0, false
	}
	for _, d := range t.Shape {
		if d != 1 {
			return 0, false
		}
	}
	o, err := oracle.FromConst(t)
	if err != nil || len(o.F) != 1 {
		return 0, false
	}
	return o.F[0], true
}

// isNumber tells whether f, of type e, was meant to be want: exporters write
// constants with the digits of float32, or of the half-precision type itself.
func isNumber(f, want float64, e enc.Elem) bool {
	eps := 1e-6
	switch e {
	case enc.F16:
		eps = 1.0 / (1 << 10)
	case enc.BF16:
		eps = 1.0 / (1 << 7)
	}
	return math.Abs(f-want) <= eps*math.Abs(want)
}

// users returns what find needs to know.
func users(g *graph.Graph) [][]graph.NodeID {
	out := make([][]graph.NodeID, len(g.Values))
	for id := range g.Nodes {
		for _, v := range g.Nodes[id].In {
			if v != graph.NoValue {
				out[v] = append(out[v], graph.NodeID(id))
			}
		}
	}
	for _, p := range g.Outputs {
		out[p.Value] = append(out[p.Value], -1)
	}
	for _, s := range g.States {
		out[s.Out] = append(out[s.Out], -1)
	}
	return out
}

// rule fuses what matches from into one node.
type rule struct {
	op   graph.OpRef // what it makes
	from *pattern
	// to returns the operands and attributes of the new node; false where the
	// match does not mean op after all. Types need not be checked.
	to func(m *match) (in []graph.ValueID, attrs graph.Attrs, ok bool)
}

// apply rewrites every occurrence of r's pattern in g.
func (r *rule) apply(g *graph.Graph) (*graph.Graph, error) {
	uses := users(g)
	roots := map[graph.NodeID]graph.Node{} // what takes the place of a root
	gone := make([]bool, len(g.Nodes))     // matched nodes
	for id := range g.Nodes {
		n := &g.Nodes[id]
		if len(n.Out) != 1 || gone[id] {
			continue
		}
		find(g, uses, r.from, n.Out[0], func(m *match) bool {
			in, attrs, ok := r.to(m)
			fused := graph.Node{Op: r.op, Name: n.Name, In: in, Attrs: attrs}
			if !ok || !m.replaces(&fused, gone) {
				return false
			}
			roots[graph.NodeID(id)] = fused
			for _, k := range m.nodes {
				gone[k] = true
			}
			return true
		})
	}
	if len(roots) == 0 {
		return g, nil
	}
	// Captured values are operands of matched nodes, so their new numbers are
	// known when the root comes.
	to := make([]graph.ValueID, len(g.Values))
	return rewrite(g, graph.Rewriter{
		Node: func(b *graph.Builder, id graph.NodeID, in []graph.ValueID) ([]graph.ValueID, error) {
			n := &g.Nodes[id]
			for i, v := range n.In {
				if v != graph.NoValue {
					to[v] = in[i]
				}
			}
			if !gone[id] {
				return nil, nil
			}
			fused, root := roots[id]
			if !root {
				return dropped(n), nil
			}
			fused.In = mapped(to, fused.In)
			return b.Node(fused, []bool{true}), nil
		},
	})
}

// replaces tells whether n, on values of the old graph, can take the place of
// the matched nodes: none of them is gone already, n does not use their
// results, and its type is the root's.
func (m *match) replaces(n *graph.Node, gone []bool) bool {
	if slices.ContainsFunc(m.nodes, func(id graph.NodeID) bool { return gone[id] }) {
		return false
	}
	c := &graph.Call{Op: n.Op, Name: n.Name, Attrs: n.Attrs, Out: []bool{true}, Symbols: m.g.Symbols}
	for _, v := range n.In {
		x := m.g.Value(v)
		if x != nil && x.Kind == graph.Result && slices.Contains(m.nodes, x.Def) {
			return false
		}
		c.In = append(c.In, x)
	}
	types, err := ops.Standard.Infer(c)
	return err == nil && types[0].Equal(m.g.Values[m.g.Nodes[m.nodes[0]].Out[0]].Type)
}
