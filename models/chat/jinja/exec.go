package jinja

// flow says how a body ended.
type flow uint8

const (
	flowOn flow = iota
	flowBreak
	flowContinue
)

// exec runs a body and emits its text.
func (r *renderer) exec(body []stmt, s *scope) flow {
	r.enter()
	defer r.leave()
	for _, st := range body {
		r.work(1)
		r.line = st.at()
		if f := r.execOne(st, s); f != flowOn {
			return f
		}
	}
	return flowOn
}

func (r *renderer) execOne(st stmt, s *scope) flow {
	switch x := st.(type) {
	case *textStmt:
		r.emit(x.text)
	case *printStmt:
		v := r.eval(x.x, s)
		r.line = x.at()
		r.emit(r.toString(v))
	case *ifStmt:
		for i, test := range x.tests {
			if truth(r.eval(test, s)) {
				return r.exec(x.bodies[i], s)
			}
		}
		return r.exec(x.other, s)
	case *forStmt:
		return r.forLoop(x, s, r.eval(x.iter, s), 0)
	case *setStmt:
		v := r.eval(x.x, s)
		r.line = x.at()
		r.assign(x.target, v, s)
	case *setBlockStmt:
		inner := newScope(s, x.names)
		var f flow
		var v value = r.capture(func() { f = r.exec(x.body, inner) })
		if f != flowOn {
			return f
		}
		if x.filter != nil {
			v = r.filterText(x.filter, v, inner)
		}
		r.assign(x.target, v, s)
	case *filterStmt:
		inner := newScope(s, x.names)
		var f flow
		v := r.capture(func() { f = r.exec(x.body, inner) })
		if f != flowOn {
			return f
		}
		r.emit(r.toString(r.filterText(x.filter, v, inner)))
	case *withStmt:
		inner := newScope(s, x.names)
		for i, target := range x.targets {
			r.assign(target, r.eval(x.vals[i], s), inner)
		}
		return r.exec(x.body, inner)
	case *scopeStmt:
		outer := s
		if x.block {
			outer = r.root
		}
		r.exec(x.body, newScope(outer, x.names))
	case *macroStmt:
		r.alloc(16 * valueSize) // it keeps its scope alive
		s.set(x.def.name, &macro{def: x.def, scope: s})
	case *callStmt:
		v := r.evalCall(x.call, s, &macro{def: x.caller, scope: s})
		r.emit(r.toString(v))
	case *loopStmt:
		if x.stop {
			return flowBreak
		}
		return flowContinue
	case *loadStmt:
		panic(r.errorf("'%s' is not possible: a chat template has no other templates to load", x.tag))
	}
	return flowOn
}

// filterText applies a chain of filters whose innermost input is v.
func (r *renderer) filterText(e expr, v value, s *scope) value {
	x, ok := e.(*filterExpr)
	if !ok {
		return v
	}
	if x.x != nil {
		v = r.filterText(x.x, v, s)
	}
	return r.evalNode(&filterExpr{pos: x.pos, x: &constExpr{x.pos, v}, name: x.name, args: x.args}, s)
}

// assign binds the names of a target.
func (r *renderer) assign(target expr, v value, s *scope) {
	switch t := target.(type) {
	case *nameExpr:
		s.set(t.name, v)
	case *nsRefExpr:
		ns, ok := s.lookup(t.name).(*namespace)
		if !ok {
			panic(r.errorf("cannot assign attribute '%s' on a non-namespace object", t.attr))
		}
		r.alloc(2 * valueSize)
		ns.attrs.setString(t.attr, v)
	case *tupleExpr:
		items := r.items(v)
		if len(items) != len(t.items) {
			panic(r.errorf("cannot unpack %d values into %d names", len(items), len(t.items)))
		}
		for i, item := range t.items {
			r.assign(item, items[i], s)
		}
	}
}

// loop is the variable of that name inside a for loop.
type loop struct {
	r     *renderer
	it    *iter
	index int // from 0
	depth int // from 0

	buffered []value // read ahead
	total    int     // -1 until known
	prev     value   // nil before the second item
	current  value
	changed  []value // what changed() was last called with; nil before

	// again renders the body for other items; nil unless recursive.
	again func(v value, depth int) string
}

func (l *loop) next() (value, bool) {
	var v value
	if len(l.buffered) > 0 {
		v = l.buffered[0]
		l.buffered = l.buffered[1:]
	} else {
		var ok bool
		if v, ok = l.it.next(); !ok {
			return nil, false
		}
	}
	l.index++
	l.prev, l.current = l.current, v
	return v, true
}

// peek returns the item after the current one.
func (l *loop) peek() (value, bool) {
	if len(l.buffered) == 0 {
		v, ok := l.it.next()
		if !ok {
			return nil, false
		}
		l.buffered = append(l.buffered, v)
	}
	return l.buffered[0], true
}

// length is the number of all items. A loop with a filter reads ahead for it.
func (l *loop) length() int {
	if l.total < 0 {
		for {
			v, ok := l.it.next()
			if !ok {
				break
			}
			l.r.alloc(valueSize)
			l.buffered = append(l.buffered, v)
		}
		l.total = l.index + 1 + len(l.buffered)
	}
	return l.total
}

func (l *loop) invoke(r *renderer, a callArgs) value {
	p := r.bind("loop", a, "iterable")
	if l.again == nil {
		panic(r.errorf("the loop must have the 'recursive' marker to be called recursively"))
	}
	return l.again(p[0], l.depth+1)
}

// forLoop runs a for statement. What it returns is the flow of its else branch,
// where break and continue concern the loop around it.
func (r *renderer) forLoop(x *forStmt, s *scope, over value, depth int) flow {
	r.line = x.at()
	it := r.iterate(over)
	if x.test != nil {
		// Tested one item at a time: the test may see what the body did.
		all := it.next
		it = &iter{n: -1, next: func() (value, bool) {
			for {
				v, ok := all()
				if !ok {
					return nil, false
				}
				inner := newScope(s, nil)
				r.assign(x.target, v, inner)
				if truth(r.eval(x.test, inner)) {
					return v, true
				}
			}
		}}
	}
	l := &loop{r: r, it: it, index: -1, depth: depth, total: it.n}
	if x.recursive {
		l.again = func(v value, depth int) string {
			r.enter()
			defer r.leave()
			return r.capture(func() { r.forLoop(x, s, v, depth) })
		}
	}
	// As in jinja2, an iteration that ends early does not count: the else
	// branch runs unless some iteration came to the end of the body.
	ran := false
	for {
		v, ok := l.next()
		if !ok {
			break
		}
		r.work(3) // an iteration costs as much as a few nodes
		inner := newScope(s, x.names)
		inner.set("loop", l)
		r.assign(x.target, v, inner)
		f := r.exec(x.body, inner)
		if f == flowBreak {
			break
		}
		ran = ran || f == flowOn
	}
	if ran {
		return flowOn
	}
	return r.exec(x.other, newScope(s, x.otherNames))
}

// macro is a macro, or the body of a call block, with the scope it sees.
type macro struct {
	def   *macroDef
	scope *scope
}

// invoke runs the macro with jinja2's rules for its arguments: what is missing
// takes its default or is undefined; what is left over goes to varargs and
// kwargs if the body uses them and is an error otherwise.
func (m *macro) invoke(r *renderer, a callArgs) value {
	r.enter()
	defer r.leave()
	d := m.def
	s := newScope(m.scope, d.names)
	args := make([]value, len(d.params))
	n := copy(args, a.pos)
	used := make([]bool, len(a.kw))
	find := func(name string) value {
		for i, k := range a.names {
			if k == name && !used[i] {
				used[i] = true
				return a.kw[i]
			}
		}
		return nil
	}
	explicitCaller := false
	for i, p := range d.params {
		explicitCaller = explicitCaller || p == "caller"
		if i >= n {
			args[i] = find(p)
		}
	}
	var caller value
	if d.caller && !explicitCaller {
		if caller = find("caller"); caller == nil {
			caller = &undefined{"no caller defined"}
		}
		s.set("caller", caller)
	}
	rest := newDict(0)
	for i, name := range a.names {
		if used[i] {
			continue
		}
		if !d.kwargs {
			panic(r.errorf("macro '%s' takes no keyword argument '%s'", d.name, name))
		}
		r.alloc(2 * valueSize)
		rest.setString(name, a.kw[i])
	}
	if d.kwargs {
		s.set("kwargs", rest)
	}
	if d.varargs {
		s.set("varargs", &tuple{items: a.pos[n:]})
	} else if len(a.pos) > n {
		panic(r.errorf("macro '%s' takes not more than %d argument(s)", d.name, len(d.params)))
	}
	for i, p := range d.params {
		if args[i] == nil {
			s.set(p, missing{}) // a default does not see what comes after it
		}
	}
	first := len(d.params) - len(d.defaults) // of those with a default
	for i, p := range d.params {
		if args[i] == nil {
			if i < first {
				args[i] = &undefined{"parameter '" + p + "' was not provided"}
			} else {
				args[i] = r.eval(d.defaults[i-first], s)
			}
		}
		s.set(p, args[i])
	}
	return r.capture(func() { r.exec(d.body, s) })
}
