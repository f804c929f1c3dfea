package jinja

import (
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
)

// equal is Python's ==.
func (r *renderer) equal(a, b value) bool {
	r.work(1)
	if s, ok := text(a); ok {
		t, ok := text(b)
		r.work(min(len(s), len(t)) / 256)
		return ok && s == t
	}
	if isNumber(a) {
		if !isNumber(b) {
			return false
		}
		c, ok := compareNumbers(a, b)
		return ok && c == 0
	}
	r.enter()
	defer r.leave()
	switch x := a.(type) {
	case none:
		_, ok := b.(none)
		return ok
	case *undefined:
		_, ok := b.(*undefined)
		return ok
	case *list:
		y, ok := b.(*list)
		return ok && r.equalItems(x.items, y.items)
	case *tuple:
		y, ok := b.(*tuple)
		return ok && r.equalItems(x.items, y.items)
	case *dict:
		y, ok := b.(*dict)
		if !ok || len(x.keys) != len(y.keys) {
			return false
		}
		for i, k := range x.keys {
			j, ok := y.index[r.hash(k)]
			if !ok || !r.equal(x.vals[i], y.vals[j]) {
				return false
			}
		}
		return true
	case *span:
		y, ok := b.(*span)
		return ok && x.n == y.n && (x.n == 0 || x.start == y.start && (x.n == 1 || x.step == y.step))
	}
	return a == b // identity
}

func (r *renderer) equalItems(a, b []value) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !r.equal(a[i], b[i]) {
			return false
		}
	}
	return true
}

// hash returns the key under which a dictionary holds v.
func (r *renderer) hash(v value) hashKey {
	switch x := v.(type) {
	case string:
		return hashKey{kind: 's', s: x}
	case safeString:
		return hashKey{kind: 's', s: string(x)}
	case none:
		return hashKey{kind: 'n'}
	case bool, int64:
		i, _ := smallInt(x)
		return hashKey{kind: 'i', n: i}
	case *big.Int:
		return hashKey{kind: 'b', s: x.String()}
	case float64:
		if i := int64(x); float64(i) == x && math.Abs(x) < 1<<62 {
			return hashKey{kind: 'i', n: i}
		}
		if x == math.Trunc(x) && !math.IsInf(x, 0) {
			return r.hash(r.truncate(x))
		}
		return hashKey{kind: 'f', n: int64(math.Float64bits(x))}
	case *undefined:
		return hashKey{kind: 'u'}
	case *tuple:
		r.enter()
		defer r.leave()
		var b strings.Builder
		for _, item := range x.items {
			k := r.hash(item)
			b.WriteByte(k.kind)
			b.WriteString(strconv.FormatInt(k.n, 10))
			b.WriteByte(':')
			b.WriteString(strconv.Itoa(len(k.s)))
			b.WriteByte(':')
			r.alloc(len(k.s) + 8)
			b.WriteString(k.s)
			if k.id != nil {
				fmt.Fprintf(&b, "%p", k.id)
			}
		}
		return hashKey{kind: 't', s: b.String()}
	case *span:
		return r.hash(&tuple{items: []value{x.start, x.step, x.n}})
	case *list, *dict, *view:
		panic(r.errorf("unhashable type: '%s'", typeName(v)))
	}
	return hashKey{kind: 'p', id: v}
}

// less is Python's <.
func (r *renderer) less(a, b value) bool { return r.order("<", a, b) }

// order applies one of < <= > >=.
func (r *renderer) order(op string, a, b value) bool {
	r.work(1)
	r.defined(a)
	r.defined(b)
	if isNumber(a) && isNumber(b) {
		c, ok := compareNumbers(a, b)
		return ok && decide(op, c)
	}
	if s, ok := text(a); ok {
		if t, ok := text(b); ok {
			r.work(min(len(s), len(t)) / 256)
			return decide(op, strings.Compare(s, t)) // UTF-8 sorts as code points do
		}
	}
	var x, y []value
	switch p := a.(type) {
	case *list:
		if q, ok := b.(*list); ok {
			x, y = p.items, q.items
			break
		}
		panic(r.unordered(op, a, b))
	case *tuple:
		if q, ok := b.(*tuple); ok {
			x, y = p.items, q.items
			break
		}
		panic(r.unordered(op, a, b))
	default:
		panic(r.unordered(op, a, b))
	}
	r.enter()
	defer r.leave()
	for i := 0; i < len(x) && i < len(y); i++ {
		if !r.equal(x[i], y[i]) {
			return r.order(op, x[i], y[i])
		}
	}
	return decide(op, len(x)-len(y))
}

func (r *renderer) unordered(op string, a, b value) *Error {
	return r.errorf("'%s' not supported between instances of '%s' and '%s'", op, typeName(a), typeName(b))
}

func decide(op string, c int) bool {
	switch op {
	case "<":
		return c < 0
	case "<=":
		return c <= 0
	case ">":
		return c > 0
	}
	return c >= 0
}

// contains is Python's x in box.
func (r *renderer) contains(box, x value) bool {
	if s, ok := text(box); ok {
		t, ok := text(x)
		if !ok {
			panic(r.errorf("'in <string>' requires string as left operand, not %s", typeName(x)))
		}
		r.work(1 + len(s)/64)
		return strings.Contains(s, t)
	}
	switch b := box.(type) {
	case *dict:
		_, ok := b.index[r.hash(x)]
		return ok
	case *span:
		f, ok := float(x)
		if !ok {
			return false
		}
		i := int64(f)
		return float64(i) == f && b.n > 0 && (i-b.start)%b.step == 0 && (i-b.start)/b.step >= 0 && (i-b.start)/b.step < b.n
	}
	for it := r.iterate(box); ; {
		item, ok := it.next()
		if !ok {
			return false
		}
		if r.equal(item, x) {
			return true
		}
	}
}

// defined fails if v is undefined.
func (r *renderer) defined(v value) {
	if u, ok := v.(*undefined); ok {
		panic(r.errorf("%s", u.message))
	}
}

// binary applies an arithmetic operator.
func (r *renderer) binary(op string, a, b value) value {
	r.defined(a)
	if s, ok := text(a); ok && op == "%" {
		if _, safe := a.(safeString); safe {
			return safeString(r.percent(s, b, true))
		}
		return r.percent(s, b, false)
	}
	r.defined(b)
	if isNumber(a) && isNumber(b) {
		return r.arith(op, a, b)
	}
	switch op {
	case "+":
		if v := r.add(a, b); v != nil {
			return v
		}
	case "*":
		if n, ok := smallInt(b); ok {
			if v := r.repeat(a, n); v != nil {
				return v
			}
		}
		if n, ok := smallInt(a); ok {
			if v := r.repeat(b, n); v != nil {
				return v
			}
		}
	}
	panic(r.errorf("unsupported operand type(s) for %s: '%s' and '%s'", op, typeName(a), typeName(b)))
}

// add joins two strings, lists or tuples; nil if they are not alike.
func (r *renderer) add(a, b value) value {
	if s, ok := text(a); ok {
		t, ok := text(b)
		if !ok {
			panic(r.errorf("can only concatenate str (not \"%s\") to str", typeName(b)))
		}
		_, sa := a.(safeString)
		_, sb := b.(safeString)
		switch {
		case sa && !sb:
			t = r.escape(t)
		case sb && !sa:
			s = r.escape(s)
		}
		r.alloc(len(s) + len(t))
		if sa || sb {
			return safeString(s + t)
		}
		return s + t
	}
	switch x := a.(type) {
	case *list:
		if y, ok := b.(*list); ok {
			return &list{r.joinItems(x.items, y.items)}
		}
	case *tuple:
		if y, ok := b.(*tuple); ok {
			return &tuple{items: r.joinItems(x.items, y.items)}
		}
	}
	return nil
}

func (r *renderer) joinItems(a, b []value) []value {
	r.alloc(valueSize * (len(a) + len(b)))
	r.work(len(a) + len(b))
	out := make([]value, 0, len(a)+len(b))
	return append(append(out, a...), b...)
}

// repeat is a*n for a string, list or tuple; nil for anything else.
func (r *renderer) repeat(a value, n int64) value {
	times := int(min(max(n, 0), maxValue+1))
	if s, ok := text(a); ok {
		r.alloc(product(len(s), times))
		return like(a, strings.Repeat(s, times))
	}
	items := func(in []value) []value {
		r.alloc(product(valueSize*len(in), times))
		if len(in) == 0 {
			return nil
		}
		r.work(len(in) * times)
		out := make([]value, 0, len(in)*times)
		for range times {
			out = append(out, in...)
		}
		return out
	}
	switch x := a.(type) {
	case *list:
		return &list{items(x.items)}
	case *tuple:
		return &tuple{items: items(x.items)}
	}
	return nil
}

// iter walks a value once.
type iter struct {
	next func() (value, bool)
	n    int // items in all, -1 if not known
}

// walk returns an iter over n items that at computes.
func (r *renderer) walk(n int, at func(i int) value) *iter {
	i := 0
	return &iter{n: n, next: func() (value, bool) {
		if i >= n {
			return nil, false
		}
		r.work(1)
		i++
		return at(i - 1), true
	}}
}

// iterate is Python's iter().
func (r *renderer) iterate(v value) *iter {
	slice := func(items []value) *iter { return r.walk(len(items), func(i int) value { return items[i] }) }
	switch x := v.(type) {
	case *list:
		return slice(x.items)
	case *tuple:
		return slice(x.items)
	case *dict:
		return slice(x.keys)
	case *view:
		return slice(x.items)
	case *span:
		return r.walk(int(x.n), func(i int) value { return x.at(int64(i)) })
	case *stream:
		items := x.items
		x.items = nil
		it := slice(items)
		it.n = -1
		return it
	case *undefined:
		return slice(nil)
	case string, safeString:
		s, _ := text(v)
		n, _ := length(v)
		return r.walk(n, func(int) value {
			for i := range s {
				if i > 0 {
					c := s[:i]
					s = s[i:]
					return c
				}
			}
			return s
		})
	}
	panic(r.errorf("'%s' object is not iterable", typeName(v)))
}

// items returns everything that iterating over v yields. The caller must not
// change the slice.
func (r *renderer) items(v value) []value {
	switch x := v.(type) {
	case *list:
		r.work(len(x.items))
		return x.items
	case *tuple:
		r.work(len(x.items))
		return x.items
	}
	it := r.iterate(v)
	var out []value
	for {
		item, ok := it.next()
		if !ok {
			r.alloc(valueSize * len(out))
			return out
		}
		if len(out)%1024 == 1023 {
			r.alloc(valueSize * 1024)
		}
		out = append(out, item)
	}
}
