package onnx

import (
	"errors"
	"fmt"
	"math"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
)

// dims writes the nodes that compute a constant of symbolic integers from the
// shapes of inputs. Each number is a vector of one element until the end.
func (x *exporter) dims(name string, t graph.Type, ds []dim.Dim) error {
	var parts []string
	for _, d := range ds {
		s, err := x.expr(d)
		if err != nil {
			return err
		}
		parts = append(parts, s)
	}
	switch {
	case t.Rank() == 0:
		x.addNamed("Squeeze", name, []string{parts[0], x.ints("zero", 0)})
	case len(parts) == 1:
		x.addNamed("Identity", name, parts)
	default:
		x.addNamed("Concat", name, parts, attrInt("axis", 0))
	}
	return nil
}

// ints adds a vector constant of 64-bit integers, or reuses an equal one.
func (x *exporter) ints(hint string, ns ...int64) string {
	key := fmt.Sprint(ns)
	if name, ok := x.exprs[key]; ok {
		return name
	}
	name := x.fresh("heddle." + hint)
	x.out.Initializers = append(x.out.Initializers, *tensorProto(name, graph.I64(ns...)))
	x.exprs[key] = name
	return name
}

// expr returns the name of a vector with the value of d as its one element.
func (x *exporter) expr(d dim.Dim) (string, error) {
	if n, ok := d.Const(); ok {
		return x.ints("int", n), nil
	}
	key := d.String()
	if name, ok := x.exprs[key]; ok {
		return name, nil
	}
	p := &dimWriter{x: x, s: key}
	name, err := p.sum()
	if err == nil && p.i != len(p.s) {
		err = fmt.Errorf("dimension %q cannot be written at %d", key, p.i)
	}
	if err != nil {
		return "", err
	}
	x.exprs[key] = name
	return name, nil
}

// origin says how a symbol follows from dimension axis of an input:
// it is (dimension - rest) / coef.
type origin struct {
	value graph.ValueID
	axis  int
	coef  int64
	rest  dim.Dim
}

// findOrigins solves the dimensions of inputs and states for the symbols, one
// symbol after the other, so that each rest mentions only symbols found
// before.
func findOrigins(g *graph.Graph) map[string]origin {
	found := map[string]origin{}
	for more := true; more; {
		more = false
		for i := range g.Values {
			v := &g.Values[i]
			if v.Kind != graph.Input && v.Kind != graph.StateIn {
				continue
			}
			for axis, d := range v.Type.Shape {
				unknown := ""
				for _, s := range d.Symbols() {
					if _, ok := found[s]; ok {
						continue
					}
					if unknown != "" {
						unknown = ""
						break
					}
					unknown = s
				}
				if unknown == "" {
					continue
				}
				if coef, rest, ok := solve(d, unknown); ok {
					found[unknown] = origin{graph.ValueID(i), axis, coef, rest}
					more = true
				}
			}
		}
	}
	return found
}

// symbol returns the name of a vector with the value of a symbol.
func (x *exporter) symbol(s string) (string, error) {
	if name, ok := x.symbols[s]; ok {
		return name, nil
	}
	if x.origins == nil {
		x.origins = findOrigins(x.g)
	}
	o, ok := x.origins[s]
	if !ok {
		return "", fmt.Errorf("symbol %q follows from no dimension of an input; bind it before export", s)
	}
	hint := "heddle.dim." + s
	name := x.add("Shape", hint, []string{x.names[o.value]}, attrInt("start", int64(o.axis)), attrInt("end", int64(o.axis+1)))
	if !o.rest.Is(0) {
		r, err := x.expr(o.rest)
		if err != nil {
			return "", err
		}
		name = x.add("Sub", hint, []string{name, r})
	}
	if o.coef != 1 {
		name = x.add("Div", hint, []string{name, x.ints("int", o.coef)})
	}
	x.symbols[s] = name
	return name, nil
}

// solve writes d as coef*s + rest with a rest that does not mention s.
func solve(d dim.Dim, s string) (coef int64, rest dim.Dim, ok bool) {
	at := func(n int64) (int64, bool) {
		b := dim.Binding{}
		for _, t := range d.Symbols() {
			b[t] = 0
		}
		if _, mentioned := b[s]; !mentioned {
			return 0, false
		}
		b[s] = n
		v, err := d.Eval(b)
		return v, err == nil
	}
	zero, ok0 := at(0)
	one, ok1 := at(1)
	if !ok0 || !ok1 || one == zero {
		return 0, dim.Dim{}, false
	}
	coef = one - zero
	rest = d.Sub(dim.Sym(s).MulInt(coef))
	for _, t := range rest.Symbols() {
		if t == s {
			return 0, dim.Dim{}, false // s is also inside of a division
		}
	}
	return coef, rest, coef > 0 && rest.Valid() == nil
}

// dimWriter reads the text form of a dimension and writes nodes that compute
// it. The text is what dim.Dim.String prints, so it is well-formed.
type dimWriter struct {
	x *exporter
	s string
	i int
}

func (p *dimWriter) peek() byte {
	if p.i < len(p.s) {
		return p.s[p.i]
	}
	return 0
}

// node adds an operator on vectors of one element.
func (p *dimWriter) node(op string, in ...string) string {
	return p.x.add(op, "heddle.expr", in)
}

func (p *dimWriter) sum() (string, error) {
	op := "Add"
	if p.peek() == '-' {
		op, p.i = "Sub", p.i+1
	}
	acc := ""
	for {
		start := p.i
		t, err := p.product()
		if err != nil {
			return "", err
		}
		switch {
		case acc != "":
			acc = p.node(op, acc, t)
		case op == "Sub":
			acc = p.node("Neg", t)
		default:
			acc = t
		}
		switch p.peek() {
		case '+':
			op = "Add"
		case '-':
			op = "Sub"
		default:
			if p.i == start {
				return "", errors.New("empty dimension")
			}
			return acc, nil
		}
		p.i++
	}
}

func (p *dimWriter) product() (string, error) {
	start := p.i
	acc, err := p.atom()
	if err != nil {
		return "", err
	}
	for {
		op := p.peek()
		if op != '*' && op != '/' {
			return acc, nil
		}
		num := p.s[start:p.i]
		p.i++
		t, err := p.atom()
		if err != nil {
			return "", err
		}
		if op == '*' {
			acc = p.node("Mul", acc, t)
			continue
		}
		// ONNX rounds integer division toward zero, dim rounds down.
		if d, err := dim.Parse(num); err != nil || !p.x.notNegative(d) {
			acc = p.node("Sub", acc, p.node("Mod", acc, t))
		}
		acc = p.node("Div", acc, t)
	}
}

func (p *dimWriter) atom() (string, error) {
	start := p.i
	switch c := p.peek(); {
	case c == '(':
		p.i++
		s, err := p.sum()
		if err != nil {
			return "", err
		}
		if p.peek() != ')' {
			return "", fmt.Errorf("dimension %q lacks )", p.s)
		}
		p.i++
		return s, nil
	case '0' <= c && c <= '9':
		n := int64(0)
		for '0' <= p.peek() && p.peek() <= '9' {
			digit := int64(p.peek() - '0')
			if n > (math.MaxInt64-digit)/10 {
				return "", fmt.Errorf("dimension %q overflows", p.s)
			}
			n = 10*n + digit
			p.i++
		}
		return p.x.ints("int", n), nil
	}
	for p.i < len(p.s) && dim.ValidName(p.s[start:p.i+1]) {
		p.i++
	}
	if p.i == start {
		return "", fmt.Errorf("dimension %q cannot be written at %d", p.s, p.i)
	}
	return p.x.symbol(p.s[start:p.i])
}

// notNegative reports whether d is at least 0 for all values of its symbols.
func (x *exporter) notNegative(d dim.Dim) bool {
	lo, _, err := d.Bounds(x.g.Symbols)
	return err == nil && lo >= 0
}
