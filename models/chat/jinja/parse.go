package jinja

import (
	"fmt"
	"slices"
	"strings"
)

// parser is a recursive-descent parser over the tokens. Its depth counts both
// its own recursion and the length of chains that nest to the left (a.b.c,
// x|f|g, a+b+c), so no tree it returns is deeper than the limit and whoever
// walks one may recurse. It fails by panicking with *Error; [Parse] recovers.
type parser struct {
	toks  []token
	i     int
	depth int
	limit int
	// The macros around the current position, innermost last.
	macros []*macroDef
	loops  int // for loops around the current position within one function
	ifs    int // if statements and expressions around it
}

func (p *parser) cur() token { return p.toks[p.i] }

// next returns the current token and moves on; the end is never passed.
func (p *parser) next() token {
	t := p.toks[p.i]
	if t.kind != tokEOF {
		p.i++
	}
	return t
}

func (p *parser) peek() token { return p.toks[min(p.i+1, len(p.toks)-1)] }

func (p *parser) fail(line int, format string, args ...any) {
	panic(&Error{Line: line, Message: fmt.Sprintf(format, args...)})
}

// enter counts a level of nesting; whoever entered resets depth.
func (p *parser) enter() {
	if p.depth++; p.depth > p.limit {
		panic(&Error{Line: p.cur().line, Err: ErrLimit, Message: fmt.Sprintf("the template nests deeper than %d levels", p.limit)})
	}
}

func (p *parser) skipOp(op string) bool {
	if p.cur().is(op) {
		p.i++
		return true
	}
	return false
}

func (p *parser) skipName(name string) bool {
	if p.cur().isName(name) {
		p.i++
		return true
	}
	return false
}

func (p *parser) expectOp(op string) token {
	if t := p.cur(); !t.is(op) {
		p.fail(t.line, "expected '%s', got %s", op, t.describe())
	}
	return p.next()
}

func (p *parser) expectName(name string) {
	if t := p.cur(); !t.isName(name) {
		p.fail(t.line, "expected '%s', got %s", name, t.describe())
	}
	p.next()
}

func (p *parser) expect(kind tokenKind) token {
	if t := p.cur(); t.kind != kind {
		p.fail(t.line, "expected %s, got %s", kind, t.describe())
	}
	return p.next()
}

// body parses template text and tags until a tag named in ends, whose name is
// then the current token. Without ends it parses to the end of the template.
func (p *parser) body(ends ...string) []stmt {
	defer func(d int) { p.depth = d }(p.depth)
	p.enter()
	var out []stmt
	for {
		switch t := p.cur(); t.kind {
		case tokEOF:
			if len(ends) > 0 {
				p.fail(t.line, "unexpected end of template: missing {%% %s %%}", strings.Join(ends, " %} or {% "))
			}
			return out
		case tokData:
			out = append(out, &textStmt{pos(t.line), t.text})
			p.next()
		case tokVariableBegin:
			p.next()
			out = append(out, &printStmt{pos(t.line), p.tuple(tupleOpts{})})
			p.expect(tokVariableEnd)
		case tokBlockBegin:
			p.next()
			if t := p.cur(); t.kind == tokName && slices.Contains(ends, t.text) {
				return out
			}
			out = append(out, p.statement(ends)...)
			p.expect(tokBlockEnd)
		}
	}
}

// block parses the end of an opening tag and its body, and drops the name of
// the closing tag, which it returns.
func (p *parser) block(ends ...string) ([]stmt, string) {
	p.skipOp(":")
	p.expect(tokBlockEnd)
	body := p.body(ends...)
	return body, p.next().text
}

// function parses a body that loops around it do not reach into.
func (p *parser) function(end string) []stmt {
	defer func(l, i int) { p.loops, p.ifs = l, i }(p.loops, p.ifs)
	p.loops, p.ifs = 0, 0
	body, _ := p.block(end)
	return body
}

func (p *parser) statement(ends []string) []stmt {
	t := p.expect(tokName)
	at := pos(t.line)
	one := func(s stmt) []stmt { return []stmt{s} }
	switch t.text {
	case "for":
		return one(p.forLoop(at))
	case "if":
		return one(p.ifBlock(at))
	case "set":
		return one(p.set(at))
	case "print":
		var out []stmt
		for p.cur().kind != tokBlockEnd {
			if len(out) > 0 {
				p.expectOp(",")
			}
			out = append(out, &printStmt{at, p.expression()})
		}
		return out
	case "macro":
		return one(p.macro(at))
	case "call":
		return one(p.callBlock(at))
	case "filter":
		s := &filterStmt{pos: at}
		s.filter = p.filter(nil, p.expect(tokName))
		for p.skipOp("|") {
			s.filter = p.filter(s.filter, p.expect(tokName))
		}
		s.body, _ = p.block("endfilter")
		return one(s)
	case "with":
		s := &withStmt{pos: at}
		for p.cur().kind != tokBlockEnd && !p.cur().is(":") {
			if len(s.targets) > 0 {
				p.expectOp(",")
			}
			s.targets = append(s.targets, p.target(false))
			p.expectOp("=")
			s.vals = append(s.vals, p.expression())
		}
		s.body, _ = p.block("endwith")
		return one(s)
	case "block":
		name := p.expect(tokName).text
		p.skipName("scoped")
		p.skipName("required")
		s := &scopeStmt{pos: at, block: true, body: p.function("endblock")}
		p.skipName(name)
		return one(s)
	case "generation":
		// Hugging Face marks the assistant's tokens with it for training;
		// the text is just its body.
		return one(&scopeStmt{pos: at, body: p.function("endgeneration")})
	case "break", "continue":
		if p.loops == 0 {
			p.fail(t.line, "'%s' outside of a loop", t.text)
		}
		return one(&loopStmt{at, t.text == "break"})
	case "extends", "include", "import", "from":
		for p.cur().kind != tokBlockEnd && p.cur().kind != tokEOF {
			p.next()
		}
		return one(&loadStmt{at, t.text})
	case "autoescape":
		p.fail(t.line, "the tag 'autoescape' is not supported: chat templates produce plain text")
	}
	message := fmt.Sprintf("unknown tag '%s'", t.text)
	if len(ends) > 0 {
		message += fmt.Sprintf("; the innermost open block needs '%s'", strings.Join(ends, "' or '"))
	}
	p.fail(t.line, "%s", message)
	return nil
}

func (p *parser) forLoop(at pos) stmt {
	s := &forStmt{pos: at}
	s.target = p.target(false, "in")
	if mentions(s.target, "loop") {
		p.fail(int(at), "can't assign to the special loop variable 'loop'")
	}
	p.expectName("in")
	s.iter = p.tuple(tupleOpts{noCond: true, ends: []string{"recursive"}})
	if p.skipName("if") {
		s.test = p.expression()
	}
	s.recursive = p.skipName("recursive")
	outer := p.loops
	p.loops++
	if s.recursive {
		p.loops = 1
	}
	var end string
	s.body, end = p.block("endfor", "else")
	p.loops = outer
	if end == "else" {
		s.other, _ = p.block("endfor")
	}
	return s
}

// mentions reports whether an assignment's target assigns that name.
func mentions(target expr, name string) bool {
	switch t := target.(type) {
	case *nameExpr:
		return t.name == name
	case *tupleExpr:
		return slices.ContainsFunc(t.items, func(e expr) bool { return mentions(e, name) })
	}
	return false
}

func (p *parser) ifBlock(at pos) stmt {
	s := &ifStmt{pos: at}
	p.ifs++
	defer func() { p.ifs-- }()
	for {
		s.tests = append(s.tests, p.tuple(tupleOpts{noCond: true}))
		body, end := p.block("elif", "else", "endif")
		s.bodies = append(s.bodies, body)
		switch end {
		case "elif":
			continue
		case "else":
			s.other, _ = p.block("endif")
		}
		return s
	}
}

func (p *parser) set(at pos) stmt {
	target := p.target(true)
	if p.skipOp("=") {
		return &setStmt{at, target, p.tuple(tupleOpts{})}
	}
	s := &setBlockStmt{pos: at, target: target}
	for p.skipOp("|") {
		s.filter = p.filter(s.filter, p.expect(tokName))
	}
	s.body, _ = p.block("endset")
	return s
}

func (p *parser) macro(at pos) stmt {
	def := &macroDef{pos: at, name: p.expect(tokName).text}
	p.signature(def)
	p.macroBody(def, "endmacro")
	return &macroStmt{at, def}
}

func (p *parser) callBlock(at pos) stmt {
	def := &macroDef{pos: at}
	if p.cur().is("(") {
		p.signature(def)
	}
	call, ok := p.expression().(*callExpr)
	if !ok {
		p.fail(int(at), "expected a call after 'call'")
	}
	p.macroBody(def, "endcall")
	return &callStmt{at, call, def}
}

func (p *parser) macroBody(def *macroDef, end string) {
	p.macros = append(p.macros, def)
	def.body = p.function(end)
	p.macros = p.macros[:len(p.macros)-1]
}

func (p *parser) signature(def *macroDef) {
	p.expectOp("(")
	for !p.cur().is(")") {
		if len(def.params) > 0 {
			p.expectOp(",")
		}
		name := p.expect(tokName)
		if slices.Contains(def.params, name.text) {
			p.fail(name.line, "parameter '%s' appears twice", name.text)
		}
		def.params = append(def.params, name.text)
		if p.skipOp("=") {
			def.defaults = append(def.defaults, p.expression())
		} else if len(def.defaults) > 0 {
			p.fail(name.line, "non-default argument follows default argument")
		}
	}
	p.expectOp(")")
}

// target parses what can be assigned to: a name, a tuple of such, or, where
// namespace is set, an attribute of a namespace.
func (p *parser) target(namespace bool, ends ...string) expr {
	t := p.tuple(tupleOpts{simple: true, namespace: namespace, ends: ends})
	p.checkTarget(t)
	return t
}

func (p *parser) checkTarget(e expr) {
	switch t := e.(type) {
	case *nameExpr, *nsRefExpr:
	case *tupleExpr:
		for _, item := range t.items {
			p.checkTarget(item)
		}
	default:
		p.fail(e.at(), "can't assign to this expression: name a variable")
	}
}
