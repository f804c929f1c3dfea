package jinja

import (
	"math/big"
	"strings"
	"unicode/utf8"
)

// attr is x.name: an attribute of the Python type if there is one, otherwise
// an item. So message.items is the method even if there is a key "items".
func (r *renderer) attr(x value, name string) value {
	r.defined(x)
	if v := r.member(x, name); v != nil {
		return v
	}
	if d, ok := x.(*dict); ok {
		if v, ok := d.get(name); ok {
			return v
		}
	}
	return r.undefinedMember(x, name)
}

// item is x[key]: an item if there is one, otherwise an attribute.
func (r *renderer) item(x, key value) value {
	r.defined(x)
	name, isText := text(key)
	switch t := x.(type) {
	case *dict:
		if i, ok := t.index[r.hashOrMiss(key)]; ok {
			return t.vals[i]
		}
	case *list, *tuple, *span, string, safeString:
		if i, ok := smallInt(key); ok {
			if v := r.index(x, i); v != nil {
				return v
			}
		}
	}
	if isText {
		if v := r.member(x, name); v != nil {
			return v
		}
		return r.undefinedMember(x, name)
	}
	r.alloc(4 * valueSize)
	return &undefined{"'" + typeName(x) + " object' has no element " + r.repr(key)}
}

// hashOrMiss is hash, except that what cannot be a key is a key nobody has.
func (r *renderer) hashOrMiss(v value) hashKey {
	switch t := v.(type) {
	case *list, *dict, *view:
		return hashKey{}
	case *tuple:
		for _, item := range t.items {
			if (r.hashOrMiss(item) == hashKey{}) {
				return hashKey{}
			}
		}
	}
	return r.hash(v)
}

func (r *renderer) undefinedMember(x value, name string) *undefined {
	r.alloc(4*valueSize + len(name))
	return &undefined{"'" + typeName(x) + " object' has no attribute '" + name + "'"}
}

// index returns the i-th item, counting from the end if i is negative, or nil.
func (r *renderer) index(x value, i int64) value {
	n, _ := length(x)
	if i < 0 {
		i += int64(n)
	}
	if i < 0 || i >= int64(n) {
		return nil
	}
	switch t := x.(type) {
	case *list:
		return t.items[i]
	case *tuple:
		return t.items[i]
	case *span:
		return t.at(i)
	}
	s, _ := text(x)
	r.work(1 + len(s)/16)
	from := byteOffset(s, int(i))
	_, size := utf8.DecodeRuneInString(s[from:])
	return like(x, s[from:from+size])
}

// byteOffset returns where the n-th character of s begins.
func byteOffset(s string, n int) int {
	if n == 0 {
		return 0
	}
	for i := range s {
		if n == 0 {
			return i
		}
		n--
	}
	return len(s)
}

// slice is x[low:high:step]; nil means left out.
func (r *renderer) slice(x, low, high, step value) value {
	r.defined(x)
	switch x.(type) {
	case *list, *tuple, *span, string, safeString:
	default:
		panic(r.errorf("'%s' object cannot be sliced", typeName(x)))
	}
	n, _ := length(x)
	by := 1
	if given(step) {
		by = r.intArg("slice", "step", step)
	}
	if by == 0 {
		panic(r.errorf("slice step cannot be zero"))
	}
	bound := func(v value, def int) int {
		if !given(v) {
			return def
		}
		i := r.intArg("slice", "index", v)
		if i < 0 {
			i += n
		}
		if by < 0 {
			return min(max(i, -1), n-1)
		}
		return min(max(i, 0), n)
	}
	from, to := 0, n
	if by < 0 {
		from, to = n-1, -1
	}
	from, to = bound(low, from), bound(high, to)
	count := 0
	switch {
	case by > 0 && to > from:
		count = (to - from + by - 1) / by
	case by < 0 && to < from:
		count = (from - to - by - 1) / -by
	}
	pick := func(items []value) []value {
		r.alloc(valueSize * count)
		r.work(count)
		out := make([]value, count)
		for i := range out {
			out[i] = items[from+i*by]
		}
		return out
	}
	switch t := x.(type) {
	case *list:
		return &list{pick(t.items)}
	case *tuple:
		return &tuple{items: pick(t.items)}
	case *span:
		s := &span{start: t.start + int64(from)*t.step, step: t.step * int64(by), n: int64(count)}
		s.stop = t.start + int64(to)*t.step
		return s
	}
	s, _ := text(x)
	r.alloc(len(s))
	r.work(len(s) / 16)
	if by == 1 {
		if count == 0 {
			return like(x, "")
		}
		b := byteOffset(s, from)
		return like(x, s[b:b+byteOffset(s[b:], count)])
	}
	r.alloc(4 * len(s))
	runes := []rune(s)
	out := make([]rune, count)
	for i := range out {
		out[i] = runes[from+i*by]
	}
	return like(x, string(out))
}

// member returns an attribute that the value's Python type has, or nil. What
// jinja2's immutable sandbox forbids is an undefined value that says so.
func (r *renderer) member(x value, name string) value {
	if strings.HasPrefix(name, "__") && strings.HasSuffix(name, "__") {
		return forbidden(x, name)
	}
	switch t := x.(type) {
	case string, safeString:
		if m, ok := stringMethods[name]; ok {
			return r.method(name, func(r *renderer, a callArgs) value {
				s, _ := text(t)
				return m(r, s, x, a)
			})
		}
	case *dict:
		switch name {
		case "clear", "pop", "popitem", "setdefault", "update":
			return forbidden(x, name)
		}
		if m, ok := dictMethods[name]; ok {
			return r.method(name, func(r *renderer, a callArgs) value { return m(r, t, a) })
		}
	case *list:
		switch name {
		case "append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort":
			return forbidden(x, name)
		case "copy":
			return r.method(name, func(r *renderer, a callArgs) value {
				r.bind("copy", a)
				return t
			})
		}
		return r.sequenceMethod(x, name)
	case *tuple:
		for i, n := range t.names {
			if n == name {
				return t.items[i]
			}
		}
		return r.sequenceMethod(x, name)
	case *span:
		switch name {
		case "start":
			return t.start
		case "stop":
			return t.stop
		case "step":
			return t.step
		}
		return r.sequenceMethod(x, name)
	case *namespace:
		if v, ok := t.attrs.get(name); ok {
			return v
		}
	case *loop:
		return t.attr(r, name)
	case *macro:
		return t.attr(r, name)
	case *cycler:
		return t.attr(r, name)
	case bool, int64, *big.Int:
		whole, _ := integer(x)
		i := shrink(whole)
		switch name {
		case "real", "numerator":
			return i
		case "imag":
			return int64(0)
		case "denominator":
			return int64(1)
		case "bit_length":
			return r.method(name, func(r *renderer, a callArgs) value {
				r.bind(name, a)
				return int64(whole.BitLen())
			})
		}
	case float64:
		switch name {
		case "real":
			return t
		case "imag":
			return 0.0
		case "is_integer":
			return r.method(name, func(r *renderer, a callArgs) value {
				r.bind(name, a)
				return t == float64(int64(t))
			})
		}
	}
	return nil
}

func forbidden(x value, name string) *undefined {
	return &undefined{"access to attribute '" + name + "' of '" + typeName(x) + "' object is unsafe"}
}

func (r *renderer) method(name string, call func(r *renderer, a callArgs) value) *builtin {
	r.alloc(4 * valueSize)
	return &builtin{name: name, call: call}
}

// sequenceMethod returns index or count of a sequence, or nil.
func (r *renderer) sequenceMethod(x value, name string) value {
	switch name {
	case "index":
		return r.method(name, func(r *renderer, a callArgs) value {
			p := r.bind(name, a, "value", "start?", "stop?")
			items := r.items(x)
			from, to := span2(r, len(items), p[1], p[2])
			for i := from; i < to; i++ {
				if r.equal(items[i], p[0]) {
					return int64(i)
				}
			}
			panic(r.errorf("%s is not in the %s", r.repr(p[0]), typeName(x)))
		})
	case "count":
		return r.method(name, func(r *renderer, a callArgs) value {
			p := r.bind(name, a, "value")
			n := int64(0)
			for _, item := range r.items(x) {
				if r.equal(item, p[0]) {
					n++
				}
			}
			return n
		})
	}
	return nil
}

// span2 resolves optional start and stop arguments as Python's slices do.
func span2(r *renderer, n int, start, stop value) (from, to int) {
	resolve := func(v value, def int) int {
		if !given(v) {
			return def
		}
		i := r.intArg("slice", "index", v)
		if i < 0 {
			i += n
		}
		return min(max(i, 0), n)
	}
	return resolve(start, 0), resolve(stop, n)
}

var dictMethods map[string]func(r *renderer, d *dict, a callArgs) value

func init() {
	dictMethods = map[string]func(r *renderer, d *dict, a callArgs) value{
		"get": func(r *renderer, d *dict, a callArgs) value {
			p := r.bind("get", a, "key", "default?")
			if i, ok := d.index[r.hash(p[0])]; ok {
				return d.vals[i]
			}
			if p[1] != nil {
				return p[1]
			}
			return none{}
		},
		"keys": func(r *renderer, d *dict, a callArgs) value {
			r.bind("keys", a)
			return &view{"dict_keys", d.keys}
		},
		"values": func(r *renderer, d *dict, a callArgs) value {
			r.bind("values", a)
			return &view{"dict_values", d.vals}
		},
		"items": func(r *renderer, d *dict, a callArgs) value {
			r.bind("items", a)
			return &view{"dict_items", r.pairs(d)}
		},
		"copy": func(r *renderer, d *dict, a callArgs) value {
			r.bind("copy", a)
			return d
		},
	}
}

// pairs returns the entries of a dictionary as tuples.
func (r *renderer) pairs(d *dict) []value {
	r.alloc(4 * valueSize * len(d.keys))
	r.work(len(d.keys))
	out := make([]value, len(d.keys))
	for i, k := range d.keys {
		out[i] = &tuple{items: []value{k, d.vals[i]}}
	}
	return out
}

// attr returns an attribute of the loop variable, or nil.
func (l *loop) attr(r *renderer, name string) value {
	switch name {
	case "index":
		return int64(l.index + 1)
	case "index0":
		return int64(l.index)
	case "revindex":
		return int64(l.length() - l.index)
	case "revindex0":
		return int64(l.length() - l.index - 1)
	case "first":
		return l.index == 0
	case "last":
		_, more := l.peek()
		return !more
	case "length":
		return int64(l.length())
	case "depth":
		return int64(l.depth + 1)
	case "depth0":
		return int64(l.depth)
	case "previtem":
		if l.prev == nil {
			return &undefined{"there is no previous item"}
		}
		return l.prev
	case "nextitem":
		if v, ok := l.peek(); ok {
			return v
		}
		return &undefined{"there is no next item"}
	case "cycle":
		return r.method(name, func(r *renderer, a callArgs) value {
			if len(a.pos) == 0 {
				panic(r.errorf("no items for cycling given"))
			}
			return a.pos[l.index%len(a.pos)]
		})
	case "changed":
		return r.method(name, func(r *renderer, a callArgs) value {
			if l.changed != nil && r.equalItems(l.changed, a.pos) {
				return false
			}
			l.changed = append([]value{}, a.pos...)
			return true
		})
	}
	return nil
}

// attr returns an attribute of a macro, or nil.
func (m *macro) attr(r *renderer, name string) value {
	switch name {
	case "name":
		if m.def.name == "" {
			return none{}
		}
		return m.def.name
	case "arguments":
		items := make([]value, len(m.def.params))
		for i, p := range m.def.params {
			items[i] = p
		}
		r.alloc(valueSize * len(items))
		return &tuple{items: items}
	case "catch_kwargs":
		return m.def.kwargs
	case "catch_varargs":
		return m.def.varargs
	case "caller":
		return m.def.caller
	}
	return nil
}
