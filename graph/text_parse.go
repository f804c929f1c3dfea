package graph

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
)

// SyntaxError is a line of text form that cannot be read. It wraps ErrInvalid
// and Err.
type SyntaxError struct {
	Line int // from 1
	Err  error
}

func (e *SyntaxError) Error() string { return fmt.Sprintf("graph text: line %d: %v", e.Line, e.Err) }

// Unwrap makes errors.Is find both ErrInvalid and the cause.
func (e *SyntaxError) Unwrap() []error { return []error{ErrInvalid, e.Err} }

// Parse reads the text form that Print writes and checks the graph with
// Verify. The text may come from a hostile file: memory stays in proportion
// to its length.
func Parse(text string, s Schemas) (*Graph, error) {
	p := textParser{g: &Graph{}, names: map[string]ValueID{}}
	line := 0
	for len(text) > 0 {
		line++
		p.s, text, _ = strings.Cut(text, "\n")
		p.i = 0
		p.statement()
		if p.err != nil {
			return nil, &SyntaxError{line, p.err}
		}
	}
	if !p.header {
		return nil, &SyntaxError{max(line, 1), errors.New(`the text does not begin with graph "NAME" v1`)}
	}
	if err := Verify(p.g, s); err != nil {
		return nil, err
	}
	return p.g, nil
}

// textParser reads one line at a time. The first error sticks and everything
// after it reads as zero, so that statements need not check each step.
type textParser struct {
	g      *Graph
	names  map[string]ValueID
	header bool

	s   string // the line
	i   int
	err error
}

func (p *textParser) fail(format string, args ...any) {
	if p.err == nil {
		p.err = fmt.Errorf(format, args...)
	}
}

// peek returns the next byte that is not blank, 0 at the end of the line.
func (p *textParser) peek() byte {
	for p.i < len(p.s) && (p.s[p.i] == ' ' || p.s[p.i] == '\t' || p.s[p.i] == '\r') {
		p.i++
	}
	if p.err != nil || p.i == len(p.s) || p.s[p.i] == '#' {
		return 0
	}
	return p.s[p.i]
}

// accept consumes tok if it comes next.
func (p *textParser) accept(tok string) bool {
	if p.peek() == 0 || !strings.HasPrefix(p.s[p.i:], tok) {
		return false
	}
	p.i += len(tok)
	return true
}

func (p *textParser) expect(tok string) {
	if !p.accept(tok) {
		p.fail("want %q, found %s", tok, p.found())
	}
}

// found describes what comes next, for errors.
func (p *textParser) found() string {
	if p.peek() == 0 {
		return "the end of the line"
	}
	rest := p.s[p.i:]
	return strconv.Quote(rest[:min(len(rest), 24)])
}

// word consumes a run of name bytes; it may be empty.
func (p *textParser) word() string {
	p.peek()
	start := p.i
	for p.err == nil && p.i < len(p.s) && isNameByte(p.s[p.i]) {
		p.i++
	}
	return p.s[start:p.i]
}

// keyword consumes word if it comes next, whole.
func (p *textParser) keyword(word string) bool {
	start := p.i
	if p.word() == word {
		return true
	}
	p.i = start
	return false
}

func (p *textParser) quoted() string {
	if p.peek() != '"' {
		p.fail("want a quoted string, found %s", p.found())
		return ""
	}
	q, err := strconv.QuotedPrefix(p.s[p.i:])
	if err != nil {
		p.fail("the string that begins with %s has no end", p.found())
		return ""
	}
	p.i += len(q)
	s, err := strconv.Unquote(q)
	if err != nil {
		p.fail("string %s: %w", q, err)
	}
	return s
}

// bare consumes a name, quoted or not.
func (p *textParser) bare() string {
	if p.peek() == '"' {
		return p.quoted()
	}
	w := p.word()
	if w == "" {
		p.fail("want a name, found %s", p.found())
	}
	return w
}

// number consumes the characters of a number.
func (p *textParser) number() string {
	p.peek()
	start := p.i
	for p.err == nil && p.i < len(p.s) && (p.s[p.i] == '-' || p.s[p.i] == '+' || isNameByte(p.s[p.i]) && p.s[p.i] != '/') {
		p.i++
	}
	return p.s[start:p.i]
}

// integer consumes decimal digits only, so that 1..16 reads as a range.
func (p *textParser) integer(bits int) int64 {
	p.peek()
	start := p.i
	if p.i < len(p.s) && p.s[p.i] == '-' {
		p.i++
	}
	for p.i < len(p.s) && '0' <= p.s[p.i] && p.s[p.i] <= '9' {
		p.i++
	}
	n, err := strconv.ParseInt(p.s[start:p.i], 10, bits)
	if err != nil {
		p.i = start
		p.fail("want an integer of %d bits, found %s", bits, p.found())
	}
	return n
}

// items consumes open, then items separated by commas, then end.
func (p *textParser) items(open, end string, item func()) {
	p.expect(open)
	if p.accept(end) {
		return
	}
	for p.err == nil {
		item()
		if p.accept(end) {
			return
		}
		p.expect(",")
	}
}

func (p *textParser) ints() (ns []int64) {
	p.items("[", "]", func() { ns = append(ns, p.integer(64)) })
	return ns
}

// typ consumes a type: ELEM[DIM,...] and perhaps an encoding.
func (p *textParser) typ() Type {
	p.peek()
	start := p.i
	p.word()
	open := p.peek() == '['
	end := strings.IndexByte(p.s[p.i:], ']')
	if !open || end < 0 {
		p.fail("want a type such as f32[2,n], found %s", p.found())
		return Type{}
	}
	p.i += end + 1
	text := p.s[start:p.i]
	after := p.i
	if w := p.word(); w != "" && p.peek() == '(' {
		if n := strings.IndexByte(p.s[p.i:], ')'); n >= 0 {
			text += " " + w + p.s[p.i:p.i+n+1]
			after = p.i + n + 1
		}
	}
	p.i = after
	if p.err != nil {
		return Type{}
	}
	t, err := ParseType(text)
	if err != nil {
		p.fail("%w", err)
	}
	return t
}

// stored consumes the type of stored bytes, whose shape is constant.
func (p *textParser) stored() (enc.Elem, []int64, enc.Encoding) {
	t := p.typ()
	shape, ok := t.Shape.Const()
	if !ok {
		p.fail("type %s of stored bytes is symbolic", t)
	}
	return t.Elem, shape, t.Enc
}

// data consumes a literal of plain elements or of bytes.
func (p *textParser) data(e enc.Elem) []byte {
	if p.peek() != '[' {
		return p.base64()
	}
	var ss []string
	p.items("[", "]", func() { ss = append(ss, p.number()) })
	if p.err != nil {
		return nil
	}
	data, err := parseElems(e, ss)
	if err != nil {
		p.fail("%w", err)
	}
	return data
}

func (p *textParser) base64() []byte {
	p.expect(`base64"`)
	n := strings.IndexByte(p.s[p.i:], '"')
	if n < 0 {
		p.fail("base64 without an end")
	}
	if p.err != nil {
		return nil
	}
	data, err := base64.StdEncoding.Strict().DecodeString(p.s[p.i : p.i+n])
	if err != nil {
		p.fail("%w", err)
	}
	p.i += n + 1
	return data
}

// newName consumes the name of a value that the statement makes.
func (p *textParser) newName() string {
	p.expect("%")
	n := p.bare()
	if _, taken := p.names[n]; taken {
		p.fail("the name %s is taken", name(n))
	}
	return n
}

// define gives the next number to a value.
func (p *textParser) define(v Value) {
	if p.err != nil {
		return
	}
	if _, taken := p.names[v.Name]; taken || len(p.g.Values) == math.MaxInt32 {
		p.fail("the name %s is taken, or there are too many values", name(v.Name))
		return
	}
	p.names[v.Name] = ValueID(len(p.g.Values))
	p.g.Values = append(p.g.Values, v)
}

// ref consumes a reference to a value.
func (p *textParser) ref() ValueID {
	p.expect("%")
	n := p.bare()
	id, ok := p.names[n]
	if !ok {
		p.fail("%s is not defined above", name(n))
		return NoValue
	}
	return id
}

func (p *textParser) statement() {
	c := p.peek()
	if c == 0 {
		return
	}
	if c == '%' || c == '_' && p.blank() {
		if !p.header {
			p.fail(`want graph "NAME" v1 first`)
		}
		p.node()
	} else {
		p.declaration()
	}
	if p.peek() != 0 {
		p.fail("unexpected %s", p.found())
	}
}

// blank tells whether a lone _ comes next, without consuming it.
func (p *textParser) blank() bool {
	start := p.i
	w := p.word()
	p.i = start
	return w == "_"
}

func (p *textParser) declaration() {
	g := p.g
	word := p.word()
	if (word == "graph") == p.header {
		p.fail(`want graph "NAME" v1 first, and once`)
		return
	}
	switch word {
	case "graph":
		p.header = true
		g.Name = p.quoted()
		p.expect("v")
		if v := p.integer(32); p.err == nil && v != textVersion {
			p.fail("text version %d; this program reads version %d", v, textVersion)
		}
	case "symbol":
		s := dim.Symbol{Name: p.word(), Min: p.integer(64)}
		p.expect("..")
		s.Max = p.integer(64)
		if p.keyword("buckets") {
			s.Buckets = p.ints()
		}
		g.Symbols = append(g.Symbols, s)
	case "source":
		s := Source{Name: p.quoted()}
		if p.keyword("size") {
			s.Size = p.integer(64)
		}
		if p.keyword("id") {
			s.ID = p.quoted()
		}
		g.Sources = append(g.Sources, s)
	case "input", "state":
		v := Value{Name: p.newName(), Kind: Input, Def: -1}
		p.expect(":")
		v.Type = p.typ()
		if word == "state" {
			v.Kind = StateIn
		} else {
			g.Inputs = append(g.Inputs, ValueID(len(g.Values)))
		}
		p.define(v)
	case "const", "dims", "weight":
		v := Value{Name: p.newName(), Kind: Const, Def: -1, Data: &Weight{}}
		p.expect(":")
		v.Type = p.typ()
		p.expect("=")
		p.weight(word, &v)
		p.define(v)
	case "output":
		o := Port{Name: p.quoted()}
		p.expect("=")
		o.Value = p.ref()
		g.Outputs = append(g.Outputs, o)
	case "final":
		s := State{Name: p.quoted()}
		p.expect("=")
		s.In = p.ref()
		p.expect("->")
		s.Out = p.ref()
		g.States = append(g.States, s)
	default:
		p.fail("unknown statement %q; want graph, symbol, source, input, state, const, dims, weight, output, final or %%NAME = OP@VERSION(...)", word)
	}
}

func (p *textParser) weight(word string, v *Value) {
	w := v.Data
	switch word {
	case "const":
		shape, ok := v.Type.Shape.Const()
		if !ok || v.Type.Enc != (enc.Encoding{}) {
			p.fail("a const needs a constant shape and no encoding, not %s", v.Type)
			return
		}
		w.Parts = []Part{{Inline: p.data(v.Type.Elem), Elem: v.Type.Elem, Shape: shape}}
	case "dims":
		w.Dims = []dim.Dim{}
		p.items("[", "]", func() {
			n := strings.IndexAny(p.s[p.i:], ",]")
			if n < 0 {
				p.fail("a list without an end")
				return
			}
			d, err := dim.Parse(p.s[p.i : p.i+n])
			if err != nil {
				p.fail("%w", err)
			}
			p.i += n
			w.Dims = append(w.Dims, d)
		})
	case "weight":
		for ok := true; ok; ok = p.accept("++") {
			w.Parts = append(w.Parts, p.part())
		}
		if p.keyword("axis") {
			w.Axis = int(p.integer(32))
		}
		if p.keyword("perm") {
			w.Perm = []int{}
			for _, n := range p.ints() {
				if n < 0 || n >= MaxRank {
					p.fail("%d is not a dimension", n)
				}
				w.Perm = append(w.Perm, int(n))
			}
		}
	}
}

func (p *textParser) part() (x Part) {
	// Where the bytes are plain their literal depends on the type that comes
	// after it: read the type first.
	switch c := p.peek(); {
	case c == '"':
		x.Source = p.quoted()
		p.expect("[")
		x.Offset = p.integer(64)
		for p.accept(",") {
			switch w := p.word(); w {
			case "scale":
				x.ScaleOffset = p.integer(64)
			case "zero":
				x.ZeroOffset = p.integer(64)
			default:
				p.fail("unknown offset %q; want scale or zero", w)
			}
		}
		p.expect("]")
		x.Elem, x.Shape, x.Enc = p.stored()
	case c == '[':
		open := p.i
		n := strings.IndexByte(p.s[p.i:], ']')
		if n < 0 {
			p.fail("a list without an end")
			return x
		}
		p.i += n + 1
		x.Elem, x.Shape, x.Enc = p.stored()
		after := p.i
		p.i = open
		x.Inline = p.data(x.Elem)
		p.i = after
	case c == 'b':
		x.Inline = p.base64()
		x.Elem, x.Shape, x.Enc = p.stored()
	default:
		if !p.keyword("none") {
			p.fail("want a source, bytes or none, found %s", p.found())
		}
		x.Elem, x.Shape, x.Enc = p.stored()
	}
	if p.keyword("slice") {
		x.Start, x.Size = []int64{}, []int64{}
		p.items("[", "]", func() {
			lo := p.integer(64)
			p.expect(":")
			hi := p.integer(64)
			if lo < 0 || hi < lo {
				p.fail("slice %d:%d", lo, hi)
			}
			x.Start, x.Size = append(x.Start, lo), append(x.Size, hi-lo)
		})
	}
	return x
}

func (p *textParser) node() {
	id := NodeID(len(p.g.Nodes))
	var n Node
	var outs []string
	for ok := true; ok; ok = p.accept(",") {
		if p.peek() == '_' {
			p.word()
			outs = append(outs, "")
			continue
		}
		outs = append(outs, p.newName())
		if outs[len(outs)-1] == "" {
			p.fail("a value needs a name")
		}
	}
	p.expect("=")
	n.Op = p.op()
	p.items("(", ")", func() {
		if p.peek() == '_' {
			p.word()
			n.In = append(n.In, NoValue)
			return
		}
		n.In = append(n.In, p.ref())
	})
	if p.peek() == '{' {
		p.items("{", "}", func() { n.Attrs = append(n.Attrs, p.attr()) })
	}
	p.expect(":")
	var types []Type
	for ok := true; ok; ok = p.accept(",") {
		types = append(types, p.typ())
	}
	if p.accept("@") {
		n.Name = p.quoted()
	}
	for _, o := range outs {
		if o == "" {
			n.Out = append(n.Out, NoValue)
			continue
		}
		if len(types) == 0 {
			p.fail("the node has more outputs than types")
			return
		}
		n.Out = append(n.Out, ValueID(len(p.g.Values)))
		p.define(Value{Name: o, Type: types[0], Def: id})
		types = types[1:]
	}
	if len(types) > 0 {
		p.fail("the node has more types than outputs")
	}
	p.g.Nodes = append(p.g.Nodes, n)
}

func (p *textParser) op() OpRef {
	full := p.word()
	domain, op := "", full
	if i := strings.LastIndexByte(full, '.'); i >= 0 {
		domain, op = full[:i], full[i+1:]
	}
	p.expect("@")
	return OpRef{Domain: domain, Name: op, Version: int(p.integer(32))}
}

func (p *textParser) attr() (a Attr) {
	a.Name = p.bare()
	p.expect("=")
	switch c := p.peek(); {
	case c == '"':
		a.Kind, a.Str = AttrString, p.quoted()
	case c == '[':
		p.listAttr(&a)
	case c == '-' || '0' <= c && c <= '9':
		p.numberAttr(&a, p.number())
	default:
		start := p.i
		switch w := p.word(); w {
		case "ints", "floats", "strings":
			a.Kind = map[string]AttrKind{"ints": AttrInts, "floats": AttrFloats, "strings": AttrStrings}[w]
			p.expect("[")
			p.expect("]")
		case "inf", "nan":
			p.i = start
			a.Kind, a.Float = AttrFloat, p.float()
		default:
			if p.peek() == '[' {
				p.i = start
				t := &Tensor{}
				t.Elem, t.Shape, _ = p.stored()
				t.Data = p.data(t.Elem)
				a.Kind, a.Tensor = AttrTensor, t
				return a
			}
			var err error
			if a.Elem, err = enc.ParseElem(w); err != nil {
				p.fail("attribute %q: %w", a.Name, err)
			}
			a.Kind = AttrElem
		}
	}
	return a
}

func (p *textParser) numberAttr(a *Attr, s string) {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		a.Kind, a.Int = AttrInt, n
		return
	}
	a.Kind, a.Float = AttrFloat, p.parseFloat(s)
}

func (p *textParser) listAttr(a *Attr) {
	var kinds []AttrKind
	p.items("[", "]", func() {
		var x Attr
		switch c := p.peek(); {
		case c == '"':
			x.Kind = AttrStrings
			a.Strings = append(a.Strings, p.quoted())
		case c == 'n' || c == 'i' || strings.HasPrefix(p.s[p.i:], "-inf"):
			x.Kind = AttrFloats
			a.Floats = append(a.Floats, p.float())
		default:
			p.numberAttr(&x, p.number())
			if x.Kind == AttrInt {
				x.Kind = AttrInts
				a.Ints = append(a.Ints, x.Int)
			} else {
				x.Kind = AttrFloats
				a.Floats = append(a.Floats, x.Float)
			}
		}
		if len(kinds) == 0 {
			kinds = append(kinds, x.Kind)
		} else if !slices.Contains(kinds, x.Kind) {
			p.fail("attribute %q mixes kinds in one list", a.Name)
		}
	})
	if len(kinds) == 0 {
		p.fail("attribute %q: an empty list is ints[], floats[] or strings[]", a.Name)
		return
	}
	a.Kind = kinds[0]
}

// float consumes a float32, perhaps a NaN with its bits.
func (p *textParser) float() float32 {
	s := p.number()
	if s == "nan" && p.accept("(") {
		b, err := strconv.ParseUint(p.word(), 0, 32)
		f := math.Float32frombits(uint32(b))
		if err != nil || f == f {
			p.fail("nan(...) holds bits that are no NaN")
		}
		p.expect(")")
		return f
	}
	return p.parseFloat(s)
}

func (p *textParser) parseFloat(s string) float32 {
	if s == "nan" {
		return math.Float32frombits(quietNaN)
	}
	f, err := strconv.ParseFloat(s, 32)
	if err != nil {
		p.fail("%q is not a number", s)
	}
	return float32(f)
}
