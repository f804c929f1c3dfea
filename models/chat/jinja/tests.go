package jinja

import (
	"math/big"
	"strings"
	"unicode"
)

// tests are what may stand behind "is".
var tests map[string]func(r *renderer, v value, a callArgs) value

func init() {
	type test = func(r *renderer, v value, a callArgs) value
	simple := func(f func(v value) bool) test {
		return func(r *renderer, v value, a callArgs) value {
			r.bind("test", a)
			return f(v)
		}
	}
	binary := func(f func(r *renderer, a, b value) bool) test {
		return func(r *renderer, v value, a callArgs) value { return f(r, v, r.bind("test", a, "other")[0]) }
	}
	order := func(op string) test {
		return binary(func(r *renderer, a, b value) bool { return r.order(op, a, b) })
	}
	eq := binary((*renderer).equal)
	ne := binary(func(r *renderer, a, b value) bool { return !r.equal(a, b) })
	parity := func(rest int64) test {
		return func(r *renderer, v value, a callArgs) value {
			r.bind("test", a)
			return r.equal(r.binary("%", v, int64(2)), rest)
		}
	}
	named := func(known func(name string) bool) test {
		return func(r *renderer, v value, a callArgs) value {
			r.bind("test", a)
			name, ok := text(v)
			return ok && known(name)
		}
	}
	tests = map[string]test{
		"==": eq, "eq": eq, "equalto": eq,
		"!=": ne, "ne": ne,
		"<": order("<"), "lt": order("<"), "lessthan": order("<"),
		"<=": order("<="), "le": order("<="),
		">": order(">"), "gt": order(">"), "greaterthan": order(">"),
		">=": order(">="), "ge": order(">="),
		"in":       binary(func(r *renderer, a, b value) bool { return r.contains(b, a) }),
		"sameas":   binary(same),
		"defined":  simple(func(v value) bool { _, u := v.(*undefined); return !u }),
		"none":     simple(func(v value) bool { _, n := v.(none); return n }),
		"true":     simple(func(v value) bool { return v == value(true) }),
		"false":    simple(func(v value) bool { return v == value(false) }),
		"boolean":  simple(func(v value) bool { _, b := v.(bool); return b }),
		"float":    simple(func(v value) bool { _, f := v.(float64); return f }),
		"number":   simple(isNumber),
		"string":   simple(func(v value) bool { _, s := text(v); return s }),
		"mapping":  simple(func(v value) bool { _, d := v.(*dict); return d }),
		"escaped":  simple(func(v value) bool { _, s := v.(safeString); return s }),
		"sequence": simple(isSequence),
		"iterable": simple(isIterable),
		"odd":      parity(1),
		"even":     parity(0),
		"filter":   named(func(n string) bool { _, ok := filters[n]; return ok }),
		"test":     named(func(n string) bool { _, ok := tests[n]; return ok }),
		"lower":    caseTest(unicode.IsLower, unicode.IsUpper),
		"upper":    caseTest(unicode.IsUpper, unicode.IsLower),
	}
	tests["undefined"] = simple(func(v value) bool { _, u := v.(*undefined); return u })
	tests["integer"] = simple(func(v value) bool {
		switch v.(type) {
		case int64, *big.Int:
			return true
		}
		return false
	})
	tests["callable"] = simple(func(v value) bool {
		if _, u := v.(*undefined); u {
			return true // Python finds the method that would raise the error
		}
		_, c := v.(callable)
		return c
	})
	tests["divisibleby"] = func(r *renderer, v value, a callArgs) value {
		p := r.bind("divisibleby", a, "num")
		return r.equal(r.binary("%", v, p[0]), int64(0))
	}
}

// same is Python's is. Small values are the same if they are equal and of one
// type.
func same(r *renderer, a, b value) bool {
	switch a.(type) {
	case none, bool, int64, float64, string:
		return typeName(a) == typeName(b) && r.equal(a, b)
	}
	switch b.(type) {
	case none, bool, int64, float64, string:
		return false
	}
	return a == b
}

// isSequence is the test "sequence": what has a length and can be indexed.
func isSequence(v value) bool {
	switch v.(type) {
	case string, safeString, *list, *tuple, *dict, *span, *undefined:
		return true
	}
	return false
}

func isIterable(v value) bool {
	switch v.(type) {
	case *view, *stream, *loop:
		return true
	}
	return isSequence(v)
}

// caseTest is str.islower or str.isupper of what the value prints as.
func caseTest(want, other func(rune) bool) func(r *renderer, v value, a callArgs) value {
	return func(r *renderer, v value, a callArgs) value {
		r.bind("test", a)
		s := r.toString(v)
		r.work(len(s) / 64)
		return strings.IndexFunc(s, want) >= 0 && strings.IndexFunc(s, other) < 0
	}
}
