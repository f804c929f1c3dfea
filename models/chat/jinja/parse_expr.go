package jinja

import "slices"

// Expressions, loosest binding first: a if b else c, or, and, not,
// comparisons, + -, ~, * / // %, **, signs, postfix, filters and tests. The
// power operator groups to the left, as in jinja2.

func (p *parser) expression() expr {
	defer func(d int) { p.depth = d }(p.depth)
	p.enter()
	x := p.or()
	for p.cur().isName("if") {
		p.enter()
		at := pos(p.next().line)
		p.ifs++
		e := &condExpr{pos: at, then: x, test: p.or()}
		if p.skipName("else") {
			e.other = p.expression()
		}
		p.ifs--
		x = e
	}
	return x
}

func (p *parser) or() expr {
	defer func(d int) { p.depth = d }(p.depth)
	x := p.and()
	for p.cur().isName("or") {
		p.enter()
		at := pos(p.next().line)
		x = &logicExpr{at, true, x, p.and()}
	}
	return x
}

func (p *parser) and() expr {
	defer func(d int) { p.depth = d }(p.depth)
	x := p.not()
	for p.cur().isName("and") {
		p.enter()
		at := pos(p.next().line)
		x = &logicExpr{at, false, x, p.not()}
	}
	return x
}

func (p *parser) not() expr {
	if p.cur().isName("not") {
		defer func(d int) { p.depth = d }(p.depth)
		p.enter()
		at := pos(p.next().line)
		return &notExpr{at, p.not()}
	}
	return p.compare()
}

func (p *parser) compare() expr {
	at := pos(p.cur().line)
	x := p.sum()
	var e *compareExpr
	for {
		t := p.cur()
		op := ""
		switch {
		case t.kind == tokOperator && slices.Contains([]string{"==", "!=", "<", "<=", ">", ">="}, t.text):
			op = t.text
		case t.isName("in"):
			op = "in"
		case t.isName("not") && p.peek().isName("in"):
			op = "notin"
			p.next()
		}
		if op == "" {
			break
		}
		p.next()
		if e == nil {
			e = &compareExpr{pos: at, first: x}
		}
		e.ops = append(e.ops, op)
		e.rest = append(e.rest, p.sum())
	}
	if e == nil {
		return x
	}
	return e
}

// chain parses operands joined by left-associative operators.
func (p *parser) chain(operand func() expr, ops ...string) expr {
	defer func(d int) { p.depth = d }(p.depth)
	x := operand()
	for p.cur().kind == tokOperator && slices.Contains(ops, p.cur().text) {
		p.enter()
		op := p.next()
		x = &binaryExpr{pos(op.line), op.text, x, operand()}
	}
	return x
}

func (p *parser) sum() expr     { return p.chain(p.concat, "+", "-") }
func (p *parser) product() expr { return p.chain(p.power, "*", "/", "//", "%") }
func (p *parser) power() expr   { return p.chain(p.operand, "**") }
func (p *parser) operand() expr { return p.unary(true) }

func (p *parser) concat() expr {
	x := p.product()
	if !p.cur().is("~") {
		return x
	}
	e := &concatExpr{pos(p.cur().line), []expr{x}}
	for p.skipOp("~") {
		e.items = append(e.items, p.product())
	}
	return e
}

func (p *parser) unary(filters bool) expr {
	defer func(d int) { p.depth = d }(p.depth)
	var x expr
	if t := p.cur(); t.is("-") || t.is("+") {
		p.enter()
		p.next()
		x = &unaryExpr{pos(t.line), t.text, p.unary(false)}
	} else {
		x = p.primary(false)
	}
	x = p.postfix(x)
	for filters {
		t := p.cur()
		p.enter()
		switch {
		case t.is("|"):
			p.next()
			x = p.filter(x, p.expect(tokName))
		case t.isName("is"):
			p.next()
			x = p.test(x, pos(t.line))
		case t.is("("):
			x = p.call(x)
		default:
			return x
		}
	}
	return x
}

func (p *parser) primary(namespace bool) expr {
	t := p.next()
	at := pos(t.line)
	switch {
	case t.kind == tokName:
		switch t.text {
		case "true", "True":
			return &constExpr{at, true}
		case "false", "False":
			return &constExpr{at, false}
		case "none", "None":
			return &constExpr{at, none{}}
		}
		if namespace && p.skipOp(".") {
			return &nsRefExpr{at, t.text, p.expect(tokName).text}
		}
		p.note(t.text)
		return &nameExpr{at, t.text}
	case t.kind == tokString:
		s := t.text
		for p.cur().kind == tokString { // adjacent literals join
			s += p.next().text
		}
		return &constExpr{at, s}
	case t.kind == tokInteger, t.kind == tokFloat:
		return &constExpr{at, t.num}
	case t.is("("):
		x := p.tuple(tupleOpts{parens: true})
		p.expectOp(")")
		return x
	case t.is("["):
		e := &listExpr{pos: at}
		for !p.cur().is("]") {
			if len(e.items) > 0 {
				p.expectOp(",")
				if p.cur().is("]") {
					break
				}
			}
			e.items = append(e.items, p.expression())
		}
		p.expectOp("]")
		return e
	case t.is("{"):
		e := &dictExpr{pos: at}
		for !p.cur().is("}") {
			if len(e.keys) > 0 {
				p.expectOp(",")
				if p.cur().is("}") {
					break
				}
			}
			e.keys = append(e.keys, p.expression())
			p.expectOp(":")
			e.vals = append(e.vals, p.expression())
		}
		p.expectOp("}")
		return e
	}
	p.fail(t.line, "unexpected %s", t.describe())
	return nil
}

// note records the use of a name that macros around it provide on demand.
func (p *parser) note(name string) {
	for _, m := range p.macros {
		switch name {
		case "caller":
			m.caller = true
		case "kwargs":
			m.kwargs = true
		case "varargs":
			m.varargs = true
		}
	}
}

type tupleOpts struct {
	simple    bool     // names and literals only, for targets
	namespace bool     // and attributes of namespaces
	noCond    bool     // no inline if
	parens    bool     // inside parentheses: may be empty
	ends      []string // names that end the tuple
}

// tuple parses an expression, or several separated by commas.
func (p *parser) tuple(o tupleOpts) expr {
	defer func(d int) { p.depth = d }(p.depth)
	p.enter()
	at := pos(p.cur().line)
	var items []expr
	isTuple := false
	for {
		if len(items) > 0 {
			p.expectOp(",")
		}
		if t := p.cur(); t.kind == tokVariableEnd || t.kind == tokBlockEnd || t.is(")") ||
			t.kind == tokName && slices.Contains(o.ends, t.text) {
			break
		}
		switch {
		case o.simple:
			items = append(items, p.primary(o.namespace))
		case o.noCond:
			items = append(items, p.or())
		default:
			items = append(items, p.expression())
		}
		if !p.cur().is(",") {
			break
		}
		isTuple = true
	}
	if !isTuple && len(items) > 0 {
		return items[0]
	}
	if !isTuple && !o.parens {
		p.fail(p.cur().line, "expected an expression, got %s", p.cur().describe())
	}
	return &tupleExpr{at, items}
}

func (p *parser) postfix(x expr) expr {
	for {
		p.enter() // the caller resets depth
		t := p.cur()
		switch {
		case t.is("."):
			p.next()
			switch name := p.next(); name.kind {
			case tokName:
				x = &attrExpr{pos(t.line), x, name.text}
			case tokInteger:
				x = &itemExpr{pos(t.line), x, &constExpr{pos(t.line), name.num}}
			default:
				p.fail(t.line, "expected a name or number after '.', got %s", name.describe())
			}
		case t.is("["):
			p.next()
			var keys []expr
			for !p.cur().is("]") {
				if len(keys) > 0 {
					p.expectOp(",")
				}
				keys = append(keys, p.subscript())
			}
			p.expectOp("]")
			var key expr = &tupleExpr{pos(t.line), keys}
			if len(keys) == 1 {
				key = keys[0]
			}
			x = &itemExpr{pos(t.line), x, key}
		case t.is("("):
			x = p.call(x)
		default:
			p.depth--
			return x
		}
	}
}

// subscript parses an index or a slice.
func (p *parser) subscript() expr {
	at := pos(p.cur().line)
	var part [3]expr
	if !p.cur().is(":") {
		part[0] = p.expression()
		if !p.cur().is(":") {
			return part[0]
		}
	}
	for i := 1; i < 3 && p.skipOp(":"); i++ {
		if t := p.cur(); !t.is(":") && !t.is("]") && !t.is(",") {
			part[i] = p.expression()
		}
	}
	return &sliceExpr{at, part[0], part[1], part[2]}
}

func (p *parser) call(fn expr) expr {
	at := pos(p.cur().line)
	return &callExpr{at, fn, p.args()}
}

func (p *parser) args() argList {
	var a argList
	open := p.expectOp("(")
	ensure := func(ok bool) {
		if !ok {
			p.fail(open.line, "invalid order of arguments in a call")
		}
	}
	for first := true; !p.cur().is(")"); first = false {
		if !first {
			p.expectOp(",")
			if p.cur().is(")") {
				break
			}
		}
		switch {
		case p.cur().is("*"):
			ensure(a.star == nil && a.double == nil)
			p.next()
			a.star = p.expression()
		case p.cur().is("**"):
			ensure(a.double == nil)
			p.next()
			a.double = p.expression()
		case p.cur().kind == tokName && p.peek().is("="):
			ensure(a.double == nil)
			name := p.next()
			p.next()
			if slices.Contains(a.names, name.text) {
				p.fail(name.line, "keyword argument '%s' appears twice", name.text)
			}
			a.names = append(a.names, name.text)
			a.kw = append(a.kw, p.expression())
		default:
			ensure(a.star == nil && a.double == nil && len(a.kw) == 0)
			a.pos = append(a.pos, p.expression())
		}
	}
	p.expectOp(")")
	return a
}

// dotted parses the rest of a filter's or test's name.
func (p *parser) dotted(name string) string {
	for p.skipOp(".") {
		name += "." + p.expect(tokName).text
	}
	return name
}

func (p *parser) filter(x expr, t token) expr {
	e := &filterExpr{pos: pos(t.line), x: x, name: p.dotted(t.text)}
	if p.cur().is("(") {
		e.args = p.args()
	}
	// Under an if a template may ask for what not every environment has.
	if _, ok := filters[e.name]; !ok && p.ifs == 0 {
		p.fail(t.line, "no filter named '%s'", e.name)
	}
	return e
}

func (p *parser) test(x expr, at pos) expr {
	negated := p.skipName("not")
	e := &testExpr{pos: at, x: x, name: p.dotted(p.expect(tokName).text)}
	switch t := p.cur(); {
	case t.is("("):
		e.args = p.args()
	case t.isName("is"):
		p.fail(t.line, "tests cannot be chained with 'is'")
	case t.kind == tokName && t.text != "else" && t.text != "or" && t.text != "and",
		t.kind == tokString, t.kind == tokInteger, t.kind == tokFloat, t.is("["), t.is("{"):
		// An operand without parentheses: x is divisibleby 3.
		e.args.pos = []expr{p.postfix(p.primary(false))}
	}
	if _, ok := tests[e.name]; !ok && p.ifs == 0 {
		p.fail(int(at), "no test named '%s'", e.name)
	}
	if negated {
		return &notExpr{at, e}
	}
	return e
}
