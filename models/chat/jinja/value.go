package jinja

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/big"
	"slices"
	"strings"
	"unicode/utf8"
)

// value is a Python value: none, bool, int64 or *big.Int (only beyond the
// int64 range), float64, string or safeString, *list, *tuple, *dict, *view,
// *span, *stream, *namespace, *undefined, or a callable.
type value any

type none struct{}

// safeString is a string marked safe for HTML. Autoescaping is always off, but
// jinja2's + and % still escape what they join to it.
type safeString string

type (
	// list and tuple are never changed once made.
	list  struct{ items []value }
	tuple struct {
		items []value
		names []string // attributes naming the items, or nil
	}
	// dict keeps the order of insertion. It is not changed once a template
	// has seen it.
	dict struct {
		keys  []value
		vals  []value
		index map[hashKey]int
	}
	// view is what dict.items() and the like return.
	view struct {
		kind  string // dict_keys, dict_values, dict_items
		items []value
	}
	// span is Python's range.
	span struct{ start, stop, step, n int64 }
	// stream is an iterator that can be read once: what map, select and
	// others return. Its items are already there.
	stream struct {
		kind  string // Python's type name
		items []value
	}
	// namespace is the one value whose attributes a template can set.
	namespace struct{ attrs *dict }
	// undefined stands for what does not exist. It prints as nothing, is
	// false and empty; any other use is an error with its message.
	undefined struct{ message string }
	// builtin is a function or bound method.
	builtin struct {
		name string
		call func(r *renderer, a callArgs) value
	}
)

// callable is implemented by builtin, macro, loop and so on.
type callable interface {
	invoke(r *renderer, a callArgs) value
}

func (b *builtin) invoke(r *renderer, a callArgs) value { return b.call(r, a) }

// callArgs are the evaluated arguments of a call.
type callArgs struct {
	pos   []value
	names []string // of kw
	kw    []value
}

// hashKey identifies a dictionary key: equal values have equal keys.
type hashKey struct {
	kind byte
	n    int64
	s    string
	id   any // pointer of what is equal to itself only
}

func newDict(n int) *dict { return &dict{index: make(map[hashKey]int, n)} }

func (d *dict) set(k hashKey, key, val value) {
	if i, ok := d.index[k]; ok {
		d.vals[i] = val
		return
	}
	d.index[k] = len(d.keys)
	d.keys = append(d.keys, key)
	d.vals = append(d.vals, val)
}

func (d *dict) setString(key string, val value) { d.set(hashKey{kind: 's', s: key}, key, val) }

func (d *dict) get(key string) (value, bool) {
	i, ok := d.index[hashKey{kind: 's', s: key}]
	if !ok {
		return nil, false
	}
	return d.vals[i], true
}

// text returns the string in v, if v is one.
func text(v value) (string, bool) {
	switch s := v.(type) {
	case string:
		return s, true
	case safeString:
		return string(s), true
	}
	return "", false
}

// like returns s as the kind of string that model is.
func like(model value, s string) value {
	if _, ok := model.(safeString); ok {
		return safeString(s)
	}
	return s
}

// truth is Python's bool().
func truth(v value) bool {
	switch x := v.(type) {
	case none, *undefined:
		return false
	case bool:
		return x
	case int64:
		return x != 0
	case float64:
		return x != 0
	case string:
		return x != ""
	case safeString:
		return x != ""
	case *list:
		return len(x.items) > 0
	case *tuple:
		return len(x.items) > 0
	case *dict:
		return len(x.keys) > 0
	case *view:
		return len(x.items) > 0
	case *span:
		return x.n > 0
	}
	return true
}

// typeName is Python's name of the value's type.
func typeName(v value) string {
	switch x := v.(type) {
	case none:
		return "NoneType"
	case bool:
		return "bool"
	case int64, *big.Int:
		return "int"
	case float64:
		return "float"
	case string:
		return "str"
	case safeString:
		return "Markup"
	case *list:
		return "list"
	case *tuple:
		return "tuple"
	case *dict:
		return "dict"
	case *view:
		return x.kind
	case *span:
		return "range"
	case *stream:
		return x.kind
	case *namespace:
		return "Namespace"
	case *undefined:
		return "Undefined"
	case *macro:
		return "Macro"
	case *loop:
		return "LoopContext"
	case *cycler:
		return "Cycler"
	case *joiner:
		return "Joiner"
	case *builtin:
		return "builtin_function_or_method"
	}
	return "object"
}

// length is Python's len(); ok is false for what has none.
func length(v value) (n int, ok bool) {
	switch x := v.(type) {
	case string:
		return utf8.RuneCountInString(x), true
	case safeString:
		return utf8.RuneCountInString(string(x)), true
	case *list:
		return len(x.items), true
	case *tuple:
		return len(x.items), true
	case *dict:
		return len(x.keys), true
	case *view:
		return len(x.items), true
	case *span:
		return int(x.n), true
	case *undefined:
		return 0, true
	}
	return 0, false
}

// at returns the i-th number of a range.
func (s *span) at(i int64) value { return s.start + i*s.step }

// Object is an ordered collection of named values: the variables of a
// rendering, or a JSON object in them. The order is the one templates see.
type Object []Field

// Field is one entry of an [Object]. Value is nil, a bool, int, int64,
// float64, json.Number, string, []any, []string, Object or map[string]any
// (whose keys are then sorted).
type Field struct {
	Name  string
	Value any
}

// Get returns the value of the last field of that name.
func (o Object) Get(name string) (any, bool) {
	for i := len(o) - 1; i >= 0; i-- {
		if o[i].Name == name {
			return o[i].Value, true
		}
	}
	return nil, false
}

// MarshalJSON writes the fields in order.
func (o Object) MarshalJSON() ([]byte, error) {
	b := []byte{'{'}
	for i, f := range o {
		if i > 0 {
			b = append(b, ',')
		}
		name, err := json.Marshal(f.Name)
		if err != nil {
			return nil, err
		}
		val, err := json.Marshal(f.Value)
		if err != nil {
			return nil, err
		}
		b = append(append(append(b, name...), ':'), val...)
	}
	return append(b, '}'), nil
}

// fromGo converts a variable's value. Invalid UTF-8 is replaced, so strings
// inside a rendering are always valid.
func fromGo(v any, depth int) (value, error) {
	if depth == 0 {
		return nil, fmt.Errorf("the value nests too deeply: %w", ErrLimit)
	}
	depth--
	switch x := v.(type) {
	case nil:
		return none{}, nil
	case bool:
		return x, nil
	case int:
		return int64(x), nil
	case int32:
		return int64(x), nil
	case int64:
		return x, nil
	case float32:
		return float64(x), nil
	case float64:
		return x, nil
	case string:
		return strings.ToValidUTF8(x, "\uFFFD"), nil
	case json.Number:
		return fromNumber(x)
	case []string:
		l := &list{make([]value, len(x))}
		for i, s := range x {
			l.items[i] = strings.ToValidUTF8(s, "\uFFFD")
		}
		return l, nil
	case []any:
		l := &list{make([]value, len(x))}
		for i, e := range x {
			var err error
			if l.items[i], err = fromGo(e, depth); err != nil {
				return nil, fmt.Errorf("[%d]: %w", i, err)
			}
		}
		return l, nil
	case map[string]any:
		o := make(Object, 0, len(x))
		for _, k := range slices.Sorted(maps.Keys(x)) {
			o = append(o, Field{k, x[k]})
		}
		return fromGo(o, depth+1)
	case Object:
		d := newDict(len(x))
		for _, f := range x {
			e, err := fromGo(f.Value, depth)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", f.Name, err)
			}
			d.setString(strings.ToValidUTF8(f.Name, "\uFFFD"), e)
		}
		return d, nil
	}
	return nil, fmt.Errorf("a Go value of type %T has no place in a template: use the types of jinja.Field", v)
}

// fromNumber keeps JSON integers exact and reads everything else as a float,
// as Python's json does.
func fromNumber(n json.Number) (value, error) {
	s := n.String()
	if strings.ContainsAny(s, ".eE") {
		f, err := n.Float64()
		if err != nil && !math.IsInf(f, 0) {
			return nil, fmt.Errorf("number %s: %w", s, err)
		}
		return f, nil
	}
	if len(s) > maxIntDigits {
		return nil, fmt.Errorf("integer of %d digits: %w", len(s), ErrLimit)
	}
	i, ok := new(big.Int).SetString(s, 10)
	if !ok {
		return nil, fmt.Errorf("malformed number %q", s)
	}
	return shrink(i), nil
}
