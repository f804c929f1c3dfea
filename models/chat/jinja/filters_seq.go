package jinja

import (
	"slices"
	"strconv"
	"strings"
)

// Filters over sequences. Those that are generators in Python return a stream.

func (r *renderer) stream(items []value) *stream {
	r.alloc(valueSize * len(items))
	return &stream{"generator", items}
}

func filterList(r *renderer, v value, a callArgs) value {
	r.bind("list", a)
	return &list{r.items(v)}
}

func filterItems(r *renderer, v value, a callArgs) value {
	r.bind("items", a)
	switch d := v.(type) {
	case *undefined:
		return r.stream(nil)
	case *dict:
		return r.stream(r.pairs(d))
	}
	panic(r.errorf("can only get item pairs from a mapping, not %s", typeName(v)))
}

func filterFirst(r *renderer, v value, a callArgs) value {
	r.bind("first", a)
	if s, ok := v.(*stream); ok { // takes one item, leaves the others
		if len(s.items) == 0 {
			return &undefined{"no first item, sequence was empty"}
		}
		first := s.items[0]
		s.items = s.items[1:]
		return first
	}
	if first, ok := r.iterate(v).next(); ok {
		return first
	}
	return &undefined{"no first item, sequence was empty"}
}

func filterLast(r *renderer, v value, a callArgs) value {
	r.bind("last", a)
	items := r.reversible("last", v)
	if len(items) == 0 {
		return &undefined{"no last item, sequence was empty"}
	}
	return items[len(items)-1]
}

// reversible returns the items of what Python can walk backwards.
func (r *renderer) reversible(fn string, v value) []value {
	if _, ok := v.(*stream); ok {
		panic(r.errorf("%s: '%s' object is not reversible", fn, typeName(v)))
	}
	return r.items(v)
}

func filterReverse(r *renderer, v value, a callArgs) value {
	r.bind("reverse", a)
	if s, ok := text(v); ok {
		r.alloc(5 * len(s))
		runes := []rune(s)
		slices.Reverse(runes)
		return like(v, string(runes))
	}
	items := slices.Clone(r.items(v))
	r.alloc(valueSize * len(items))
	r.work(len(items))
	slices.Reverse(items)
	switch v.(type) {
	case *stream:
		return &list{items}
	case *list:
		return &stream{"list_reverseiterator", items}
	}
	return &stream{"reversed", items}
}

func filterJoin(r *renderer, v value, a callArgs) value {
	p := r.bind("join", a, "d?", "attribute?")
	sep := ""
	if p[0] != nil {
		sep = r.toString(p[0])
	}
	get := r.getter(p[1])
	items := r.items(v)
	r.alloc(valueSize * len(items))
	parts := make([]string, len(items))
	for i, item := range items {
		parts[i] = r.toString(get(item))
	}
	return r.join(sep, parts)
}

// path cuts an attribute like "address.city" or "0.name" into keys.
func (r *renderer) path(attribute value) []value {
	s, ok := text(attribute)
	if !ok {
		return []value{attribute}
	}
	var out []value
	for part := range strings.SplitSeq(s, ".") {
		if n, err := strconv.ParseInt(part, 10, 64); err == nil && part[0] != '-' && part[0] != '+' {
			out = append(out, n)
		} else {
			out = append(out, part)
		}
	}
	return out
}

// getter returns a function that looks up an attribute; the identity if there
// is none.
func (r *renderer) getter(attribute value) func(value) value {
	if !given(attribute) {
		return func(v value) value { return v }
	}
	path := r.path(attribute)
	return func(v value) value {
		for _, key := range path {
			v = r.item(v, key)
		}
		return v
	}
}

// ignoreCase is how filters compare strings unless told otherwise.
func (r *renderer) ignoreCase(v value) value {
	if s, ok := text(v); ok {
		r.alloc(2 * len(s))
		r.work(len(s) / 16)
		return lower(s)
	}
	return v
}

// keyed adds the folding of case to a getter unless caseSensitive is true.
func (r *renderer) keyed(get func(value) value, caseSensitive value) func(value) value {
	if caseSensitive != nil && truth(caseSensitive) {
		return get
	}
	return func(v value) value { return r.ignoreCase(get(v)) }
}

// sorted sorts a copy of items by keys, stably.
func (r *renderer) sorted(items []value, key func(value) value, reverse bool) []value {
	type keyed struct{ key, item value }
	r.alloc(4 * valueSize * len(items))
	all := make([]keyed, len(items))
	for i, item := range items {
		all[i] = keyed{key(item), item}
	}
	slices.SortStableFunc(all, func(a, b keyed) int {
		c := 0
		if r.less(a.key, b.key) {
			c = -1
		} else if r.less(b.key, a.key) {
			c = 1
		}
		if reverse {
			return -c
		}
		return c
	})
	out := make([]value, len(all))
	for i := range all {
		out[i] = all[i].item
	}
	return out
}

func filterSort(r *renderer, v value, a callArgs) value {
	p := r.bind("sort", a, "reverse?", "case_sensitive?", "attribute?")
	key := r.keyed(r.getter(p[2]), p[1])
	if s, ok := text(p[2]); ok && strings.Contains(s, ",") {
		var keys []func(value) value
		for part := range strings.SplitSeq(s, ",") {
			keys = append(keys, r.keyed(r.getter(part), p[1]))
		}
		key = func(v value) value {
			out := make([]value, len(keys))
			for i, k := range keys {
				out[i] = k(v)
			}
			return r.list(out)
		}
	}
	return &list{r.sorted(r.items(v), key, p[0] != nil && truth(p[0]))}
}

func filterDictSort(r *renderer, v value, a callArgs) value {
	p := r.bind("dictsort", a, "case_sensitive?", "by?", "reverse?")
	d, ok := v.(*dict)
	if !ok {
		r.defined(v)
		panic(r.errorf("dictsort: a mapping is required, not %s", typeName(v)))
	}
	column := 0
	if p[1] != nil {
		switch by, _ := text(p[1]); by {
		case "key":
		case "value":
			column = 1
		default:
			panic(r.errorf(`dictsort: you can only sort by either "key" or "value"`))
		}
	}
	key := r.keyed(func(pair value) value { return pair.(*tuple).items[column] }, p[0])
	return &list{r.sorted(r.pairs(d), key, p[2] != nil && truth(p[2]))}
}

func filterUnique(r *renderer, v value, a callArgs) value {
	p := r.bind("unique", a, "case_sensitive?", "attribute?")
	key := r.keyed(r.getter(p[1]), p[0])
	seen := map[hashKey]bool{}
	var out []value
	for _, item := range r.items(v) {
		if k := r.hash(key(item)); !seen[k] {
			r.alloc(2 * valueSize)
			seen[k] = true
			out = append(out, item)
		}
	}
	return r.stream(out)
}

// extreme is the filter min or max.
func extreme(name string) filter {
	return func(r *renderer, v value, a callArgs) value {
		p := r.bind(name, a, "case_sensitive?", "attribute?")
		key := r.keyed(r.getter(p[1]), p[0])
		var best, bestKey value
		for _, item := range r.items(v) {
			k := key(item)
			if best == nil || name == "min" && r.less(k, bestKey) || name == "max" && r.order(">", k, bestKey) {
				best, bestKey = item, k
			}
		}
		if best == nil {
			return &undefined{"no aggregated item, sequence was empty"}
		}
		return best
	}
}

func filterSum(r *renderer, v value, a callArgs) value {
	p := r.bind("sum", a, "attribute?", "start?")
	get := r.getter(p[0])
	var total value = int64(0)
	if p[1] != nil {
		total = p[1]
	}
	if _, ok := text(total); ok {
		panic(r.errorf("sum() can't sum strings"))
	}
	for _, item := range r.items(v) {
		total = r.binary("+", total, get(item))
	}
	return total
}

func filterGroupBy(r *renderer, v value, a callArgs) value {
	p := r.bind("groupby", a, "attribute", "default?", "case_sensitive?")
	plain := r.getter(p[0])
	get := func(v value) value {
		got := plain(v)
		if _, absent := got.(*undefined); absent && given(p[1]) {
			return p[1]
		}
		return got
	}
	key := r.keyed(get, p[2])
	var groups []value
	var last *list
	var lastKey value
	for _, item := range r.sorted(r.items(v), key, false) {
		k := key(item)
		if last == nil || !r.equal(k, lastKey) {
			r.alloc(8 * valueSize)
			last, lastKey = &list{}, k
			groups = append(groups, &tuple{items: []value{get(item), last}, names: []string{"grouper", "list"}})
		}
		last.items = append(last.items, item)
	}
	return r.list(groups)
}

func filterBatch(r *renderer, v value, a callArgs) value {
	p := r.bind("batch", a, "linecount", "fill_with?")
	n := r.intArg("batch", "linecount", p[0])
	var out []value
	items := r.items(v)
	// A row is full when it has exactly n items, so n <= 0 never fills one;
	// at 0 jinja2 takes the empty row before the first item for a full one.
	if n <= 0 {
		if n == 0 && len(items) > 0 {
			out = append(out, &list{})
		}
		n = max(len(items), 1)
		p[1] = nil
	}
	for len(items) > 0 {
		row := r.list(slices.Clone(items[:min(n, len(items))]))
		items = items[len(row.items):]
		if missing := n - len(row.items); missing > 0 && given(p[1]) {
			r.alloc(product(valueSize, missing))
			for range missing {
				row.items = append(row.items, p[1])
			}
		}
		out = append(out, row)
	}
	return r.stream(out)
}

func filterSlice(r *renderer, v value, a callArgs) value {
	p := r.bind("slice", a, "slices", "fill_with?")
	n := r.intArg("slice", "slices", p[0])
	if n == 0 {
		panic(r.errorf("integer division or modulo by zero"))
	}
	items := r.items(v)
	r.alloc(product(4*valueSize, max(n, 0)))
	out := make([]value, 0, max(n, 0))
	for i := range max(n, 0) {
		size := len(items) / (n - i)
		if len(items)%(n-i) != 0 {
			size++
		}
		column := r.list(slices.Clone(items[:size]))
		items = items[size:]
		if given(p[1]) && len(out) > 0 && size < len(out[0].(*list).items) {
			first := out[0].(*list)
			if size < len(first.items) {
				column.items = append(column.items, p[1])
			}
		}
		out = append(out, column)
	}
	return r.stream(out)
}

func filterMap(r *renderer, v value, a callArgs) value {
	if !truth(v) {
		return r.stream(nil)
	}
	var apply func(value) value
	if len(a.pos) == 0 && slices.Contains(a.names, "attribute") {
		p := r.bind("map", a, "attribute", "default?")
		path := r.path(p[0])
		apply = func(v value) value {
			for _, key := range path {
				v = r.item(v, key)
				if _, absent := v.(*undefined); absent && given(p[1]) {
					v = p[1]
				}
			}
			return v
		}
	} else {
		if len(a.pos) == 0 {
			panic(r.errorf("map requires a filter argument"))
		}
		name := r.textArg("map", "filter", a.pos[0])
		f, ok := filters[name]
		if !ok {
			panic(r.errorf("no filter named '%s'", name))
		}
		rest := callArgs{a.pos[1:], a.names, a.kw}
		apply = func(v value) value { return f(r, v, rest) }
	}
	r.enter()
	defer r.leave()
	items := r.items(v)
	out := make([]value, len(items))
	for i, item := range items {
		r.work(1)
		out[i] = apply(item)
	}
	return r.stream(out)
}

// selecting is one of select, reject, selectattr, rejectattr.
func selecting(fn string, byAttr, keep bool) filter {
	return func(r *renderer, v value, a callArgs) value {
		if !truth(v) {
			return r.stream(nil)
		}
		get := r.getter(nil)
		if byAttr {
			if len(a.pos) == 0 {
				panic(r.errorf("%s: missing parameter for attribute name", fn))
			}
			get = r.getter(a.pos[0])
			a.pos = a.pos[1:]
		}
		test := func(v value) bool { return truth(v) }
		if len(a.pos) > 0 {
			name := r.textArg(fn, "test", a.pos[0])
			f, ok := tests[name]
			if !ok {
				panic(r.errorf("no test named '%s'", name))
			}
			rest := callArgs{a.pos[1:], a.names, a.kw}
			test = func(v value) bool { return truth(f(r, v, rest)) }
		}
		r.enter()
		defer r.leave()
		var out []value
		for _, item := range r.items(v) {
			r.work(1)
			if test(get(item)) == keep {
				out = append(out, item)
			}
		}
		return r.stream(out)
	}
}
