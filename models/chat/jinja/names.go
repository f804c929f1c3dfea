package jinja

import "slices"

// jinja2 resolves names before it runs: a name that a body assigns before any
// use belongs to the body from its beginning, and bodies nested in it (loops,
// macros) then see it as undefined until the assignment ran, even where a
// variable of that name was passed in. analyze finds these names.

// symbols is what is known about the names of one body.
type symbols struct {
	parent *symbols
	refs   map[string]bool // known names; true: hidden until assigned
}

func newSymbols(parent *symbols) *symbols {
	return &symbols{parent: parent, refs: map[string]bool{}}
}

func (s *symbols) knows(name string) bool {
	for ; s != nil; s = s.parent {
		if _, ok := s.refs[name]; ok {
			return true
		}
	}
	return false
}

// load notes a use, param a name that has a value when the body begins.
func (s *symbols) load(name string) {
	if !s.knows(name) {
		s.refs[name] = false
	}
}

func (s *symbols) param(name string) { s.refs[name] = false }

// store notes an assignment.
func (s *symbols) store(name string) {
	if _, ok := s.refs[name]; !ok {
		s.refs[name] = !s.knows(name)
	}
}

func (s *symbols) hidden() frameNames {
	var out frameNames
	for name, hide := range s.refs {
		if hide {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// analyze computes the hidden names of a template's top level and of all
// bodies in it.
func analyze(body []stmt) frameNames {
	s := newSymbols(nil)
	s.body(body)
	nested(body, s)
	return s.hidden()
}

func (s *symbols) body(body []stmt) {
	for _, st := range body {
		s.stmt(st)
	}
}

// stmt visits what a statement does to the names of its own body; the bodies
// that have names of their own are left to nested.
func (s *symbols) stmt(st stmt) {
	switch x := st.(type) {
	case *printStmt:
		s.expr(x.x)
	case *ifStmt:
		s.branches(x)
	case *forStmt:
		s.expr(x.iter)
	case *setStmt:
		s.expr(x.x)
		s.target(x.target, s.store)
	case *setBlockStmt:
		s.target(x.target, s.store)
	case *filterStmt:
		s.expr(x.filter)
	case *withStmt:
		s.exprs(x.vals)
	case *macroStmt:
		s.store(x.def.name)
	case *callStmt:
		s.expr(x.call)
	}
}

// branches visits an if statement. A name stays hidden only if every branch
// assigns it first.
func (s *symbols) branches(x *ifStmt) {
	s.expr(x.tests[0])
	// As jinja2 does, all elif branches count as one and a missing one as a
	// branch that assigns nothing.
	var parts [3]*symbols
	for i := range parts {
		parts[i] = newSymbols(s)
	}
	for i, body := range x.bodies {
		if i > 0 {
			parts[1].expr(x.tests[i])
		}
		parts[min(i, 1)].body(body)
	}
	parts[2].body(x.other)
	for _, part := range parts {
		for name := range part.refs {
			if _, known := s.refs[name]; known {
				continue
			}
			hide := true
			for _, p := range parts {
				hide = hide && p.refs[name]
			}
			s.refs[name] = hide
		}
	}
}

func (s *symbols) target(e expr, note func(string)) {
	switch t := e.(type) {
	case *nameExpr:
		note(t.name)
	case *nsRefExpr:
		s.load(t.name)
	case *tupleExpr:
		for _, item := range t.items {
			s.target(item, note)
		}
	}
}

func (s *symbols) exprs(list []expr) {
	for _, e := range list {
		s.expr(e)
	}
}

func (s *symbols) args(a *argList) {
	s.exprs(a.pos)
	s.exprs(a.kw)
	s.expr(a.star)
	s.expr(a.double)
}

func (s *symbols) expr(e expr) {
	switch x := e.(type) {
	case *nameExpr:
		s.load(x.name)
	case *tupleExpr:
		s.exprs(x.items)
	case *listExpr:
		s.exprs(x.items)
	case *dictExpr:
		s.exprs(x.keys)
		s.exprs(x.vals)
	case *condExpr:
		s.exprs([]expr{x.test, x.then, x.other})
	case *logicExpr:
		s.exprs([]expr{x.left, x.right})
	case *notExpr:
		s.expr(x.x)
	case *unaryExpr:
		s.expr(x.x)
	case *binaryExpr:
		s.exprs([]expr{x.left, x.right})
	case *compareExpr:
		s.expr(x.first)
		s.exprs(x.rest)
	case *concatExpr:
		s.exprs(x.items)
	case *attrExpr:
		s.expr(x.x)
	case *itemExpr:
		s.exprs([]expr{x.x, x.key})
	case *sliceExpr:
		s.exprs([]expr{x.low, x.high, x.step})
	case *callExpr:
		s.expr(x.fn)
		s.args(&x.args)
	case *filterExpr:
		s.expr(x.x)
		s.args(&x.args)
	case *testExpr:
		s.expr(x.x)
		s.args(&x.args)
	}
}

// nested analyzes the bodies below statements whose own symbols are complete.
func nested(body []stmt, s *symbols) {
	inner := func(names *frameNames, body []stmt, begin func(*symbols)) {
		in := newSymbols(s)
		if begin != nil {
			begin(in)
		}
		in.body(body)
		*names = in.hidden()
		nested(body, in)
	}
	function := func(d *macroDef) {
		inner(&d.names, d.body, func(in *symbols) {
			for _, p := range d.params {
				in.param(p)
			}
			for _, p := range []string{"caller", "kwargs", "varargs"} {
				in.param(p)
			}
			in.exprs(d.defaults)
		})
	}
	for _, st := range body {
		switch x := st.(type) {
		case *ifStmt:
			for _, b := range x.bodies {
				nested(b, s)
			}
			nested(x.other, s)
		case *forStmt:
			inner(&x.names, x.body, func(in *symbols) {
				in.target(x.target, in.param)
				in.param("loop")
			})
			inner(&x.otherNames, x.other, nil)
		case *setBlockStmt:
			inner(&x.names, x.body, nil)
		case *filterStmt:
			inner(&x.names, x.body, func(in *symbols) { in.expr(x.filter) })
		case *withStmt:
			inner(&x.names, x.body, func(in *symbols) {
				for _, t := range x.targets {
					in.target(t, in.param)
				}
			})
		case *scopeStmt:
			if x.block {
				in := newSymbols(nil)
				in.body(x.body)
				x.names = in.hidden()
				nested(x.body, in)
				continue
			}
			inner(&x.names, x.body, nil)
		case *macroStmt:
			function(x.def)
		case *callStmt:
			function(x.caller)
		}
	}
}
