package jinja

import "fmt"

// eval returns the value of an expression.
func (r *renderer) eval(e expr, s *scope) value {
	r.work(1)
	switch x := e.(type) { // leaves first: they need no depth and no line
	case *constExpr:
		return x.v
	case *nameExpr:
		v := s.lookup(x.name)
		if _, absent := v.(*undefined); absent {
			r.alloc(4*valueSize + len(x.name))
		}
		return v
	}
	r.enter()
	r.line = e.at()
	v := r.evalNode(e, s)
	r.leave()
	return v
}

func (r *renderer) evalNode(e expr, s *scope) value {
	switch x := e.(type) {
	case *attrExpr:
		v := r.eval(x.x, s)
		r.line = x.at()
		return r.attr(v, x.name)
	case *itemExpr:
		v := r.eval(x.x, s)
		if sl, ok := x.key.(*sliceExpr); ok {
			r.line = x.at()
			return r.slice(v, r.evalOptional(sl.low, s), r.evalOptional(sl.high, s), r.evalOptional(sl.step, s))
		}
		key := r.eval(x.key, s)
		r.line = x.at()
		return r.item(v, key)
	case *callExpr:
		return r.evalCall(x, s, nil)
	case *filterExpr:
		f, ok := filters[x.name]
		if !ok {
			panic(r.errorf("no filter named '%s'", x.name))
		}
		v := r.eval(x.x, s)
		a := r.args(&x.args, s)
		r.line = x.at()
		return f(r, v, a)
	case *testExpr:
		f, ok := tests[x.name]
		if !ok {
			panic(r.errorf("no test named '%s'", x.name))
		}
		v := r.eval(x.x, s)
		a := r.args(&x.args, s)
		r.line = x.at()
		return f(r, v, a)
	case *condExpr:
		if truth(r.eval(x.test, s)) {
			return r.eval(x.then, s)
		}
		if x.other == nil {
			return &undefined{fmt.Sprintf("the inline if-expression on line %d evaluated to false and no else section was defined", x.at())}
		}
		return r.eval(x.other, s)
	case *logicExpr:
		v := r.eval(x.left, s)
		if truth(v) == x.or {
			return v
		}
		return r.eval(x.right, s)
	case *notExpr:
		return !truth(r.eval(x.x, s))
	case *unaryExpr:
		v := r.eval(x.x, s)
		r.line = x.at()
		r.defined(v)
		switch f, isFloat := v.(float64); {
		case isFloat && x.op == "-":
			return -f
		case isFloat:
			return f
		case !isNumber(v):
			panic(r.errorf("bad operand type for unary %s: '%s'", x.op, typeName(v)))
		}
		return r.arith(x.op, int64(0), v)
	case *binaryExpr:
		a := r.eval(x.left, s)
		b := r.eval(x.right, s)
		r.line = x.at()
		return r.binary(x.op, a, b)
	case *compareExpr:
		return r.compare(x, s)
	case *concatExpr:
		b := &builder{r: r}
		for _, item := range x.items {
			b.add(r.toString(r.eval(item, s)))
		}
		return b.done()
	case *listExpr:
		return r.list(r.evalAll(x.items, s))
	case *tupleExpr:
		items := r.evalAll(x.items, s)
		r.alloc(valueSize * len(items))
		return &tuple{items: items}
	case *dictExpr:
		r.alloc(4 * valueSize * len(x.keys))
		d := newDict(len(x.keys))
		for i := range x.keys {
			k := r.eval(x.keys[i], s)
			v := r.eval(x.vals[i], s)
			r.line = x.at()
			d.set(r.hash(k), k, v)
		}
		return d
	case *sliceExpr:
		panic(r.errorf("a slice cannot be part of a tuple here"))
	}
	panic(r.errorf("this expression cannot be evaluated"))
}

func (r *renderer) evalAll(exprs []expr, s *scope) []value {
	out := make([]value, len(exprs))
	for i, e := range exprs {
		out[i] = r.eval(e, s)
	}
	return out
}

// evalOptional evaluates an expression that may be absent; nil then.
func (r *renderer) evalOptional(e expr, s *scope) value {
	if e == nil {
		return nil
	}
	return r.eval(e, s)
}

func (r *renderer) compare(x *compareExpr, s *scope) value {
	a := r.eval(x.first, s)
	for i, op := range x.ops {
		b := r.eval(x.rest[i], s)
		r.line = x.at()
		var ok bool
		switch op {
		case "==":
			ok = r.equal(a, b)
		case "!=":
			ok = !r.equal(a, b)
		case "in":
			ok = r.contains(b, a)
		case "notin":
			ok = !r.contains(b, a)
		default:
			ok = r.order(op, a, b)
		}
		if !ok {
			return false
		}
		a = b
	}
	return true
}

// evalCall evaluates a call, with caller as an additional keyword argument if
// it is not nil.
func (r *renderer) evalCall(x *callExpr, s *scope, caller value) value {
	fn := r.eval(x.fn, s)
	a := r.args(&x.args, s)
	if caller != nil {
		a.names = append(a.names, "caller")
		a.kw = append(a.kw, caller)
	}
	r.line = x.at()
	r.defined(fn)
	c, ok := fn.(callable)
	if !ok {
		panic(r.errorf("'%s' object is not callable", typeName(fn)))
	}
	v := c.invoke(r, a)
	r.line = x.at()
	return v
}

// args evaluates the arguments of a call.
func (r *renderer) args(l *argList, s *scope) callArgs {
	if len(l.pos) == 0 && len(l.kw) == 0 && l.star == nil && l.double == nil {
		return callArgs{}
	}
	a := callArgs{pos: r.evalAll(l.pos, s)}
	if len(l.kw) > 0 {
		a.names = append([]string(nil), l.names...)
		a.kw = r.evalAll(l.kw, s)
	}
	if l.star != nil {
		more := r.items(r.eval(l.star, s))
		r.alloc(valueSize * len(more))
		a.pos = append(a.pos, more...)
	}
	if l.double != nil {
		a = r.spread(a, r.eval(l.double, s))
	}
	return a
}

// spread adds the entries of a mapping as keyword arguments.
func (r *renderer) spread(a callArgs, v value) callArgs {
	d, ok := v.(*dict)
	if !ok {
		panic(r.errorf("argument after ** must be a mapping, not %s", typeName(v)))
	}
	r.alloc(2 * valueSize * len(d.keys))
	for i, k := range d.keys {
		name, ok := text(k)
		if !ok {
			panic(r.errorf("keywords must be strings, not %s", typeName(k)))
		}
		a.names = append(a.names, name)
		a.kw = append(a.kw, d.vals[i])
	}
	return a
}

// given reports whether an optional argument is there and not none.
func given(v value) bool {
	_, isNone := v.(none)
	return v != nil && !isNone
}

// bind matches arguments with parameter names, of which those with "?" at the
// end may be left out; their value is then nil.
func (r *renderer) bind(fn string, a callArgs, params ...string) []value {
	if len(a.pos) > len(params) {
		panic(r.errorf("%s() takes at most %d arguments (%d given)", fn, len(params), len(a.pos)))
	}
	out := make([]value, len(params))
	copy(out, a.pos)
next:
	for i, name := range a.names {
		for j, p := range params {
			if p == name || p == name+"?" {
				if out[j] != nil {
					panic(r.errorf("%s() got multiple values for argument '%s'", fn, name))
				}
				out[j] = a.kw[i]
				continue next
			}
		}
		panic(r.errorf("%s() got an unexpected keyword argument '%s'", fn, name))
	}
	for j, p := range params {
		if out[j] == nil && p[len(p)-1] != '?' {
			panic(r.errorf("%s() misses its argument '%s'", fn, p))
		}
	}
	return out
}

// intArg returns an integer argument, bounded to the int32 range: nothing a
// template can make is larger.
func (r *renderer) intArg(fn, name string, v value) int {
	i, ok := integer(v)
	if !ok {
		r.defined(v)
		panic(r.errorf("%s: %s must be an integer, not %s", fn, name, typeName(v)))
	}
	const most = 1<<31 - 1
	switch {
	case !i.IsInt64() && i.Sign() > 0, i.IsInt64() && i.Int64() > most:
		return most
	case !i.IsInt64(), i.Int64() < -most:
		return -most
	}
	return int(i.Int64())
}

// intOr is intArg with a default for an argument that was not given.
func (r *renderer) intOr(fn, name string, v value, def int) int {
	if v == nil {
		return def
	}
	return r.intArg(fn, name, v)
}

// textArg returns a string argument.
func (r *renderer) textArg(fn, name string, v value) string {
	s, ok := text(v)
	if !ok {
		r.defined(v)
		panic(r.errorf("%s: %s must be a string, not %s", fn, name, typeName(v)))
	}
	return s
}
