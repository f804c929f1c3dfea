package jinja

import (
	"math"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"
)

// filter is what may stand behind "|".
type filter func(r *renderer, v value, a callArgs) value

var filters map[string]filter

func init() {
	filters = map[string]filter{
		"abs":            filterAbs,
		"attr":           filterAttr,
		"batch":          filterBatch,
		"capitalize":     soft("capitalize"),
		"center":         filterCenter,
		"count":          filterLength,
		"d":              filterDefault,
		"default":        filterDefault,
		"dictsort":       filterDictSort,
		"e":              filterEscape,
		"escape":         filterEscape,
		"filesizeformat": filterFileSize,
		"first":          filterFirst,
		"float":          filterFloat,
		"forceescape":    filterForceEscape,
		"format":         filterFormat,
		"groupby":        filterGroupBy,
		"indent":         filterIndent,
		"int":            filterInt,
		"items":          filterItems,
		"join":           filterJoin,
		"last":           filterLast,
		"length":         filterLength,
		"list":           filterList,
		"lower":          soft("lower"),
		"map":            filterMap,
		"max":            extreme("max"),
		"min":            extreme("min"),
		"reject":         selecting("reject", false, false),
		"rejectattr":     selecting("rejectattr", true, false),
		"replace":        filterReplace,
		"reverse":        filterReverse,
		"round":          filterRound,
		"safe":           func(r *renderer, v value, a callArgs) value { return safeString(r.str(r.toString(v))) },
		"select":         selecting("select", false, true),
		"selectattr":     selecting("selectattr", true, true),
		"slice":          filterSlice,
		"sort":           filterSort,
		"string":         filterString,
		"striptags":      filterStripTags,
		"sum":            filterSum,
		"title":          filterTitle,
		"tojson":         toJSON,
		"trim":           filterTrim,
		"truncate":       filterTruncate,
		"unique":         filterUnique,
		"upper":          soft("upper"),
		"urlencode":      filterURLEncode,
		"wordcount":      filterWordCount,
		"wordwrap":       filterWordWrap,
		"xmlattr":        filterXMLAttr,
	}
}

// softText is the text that v prints as, and a model of its kind.
func (r *renderer) softText(v value) (s string, kind value) {
	if s, ok := text(v); ok {
		return s, v
	}
	return r.toString(v), ""
}

// soft is a filter that applies a string method to what its input prints as.
func soft(method string) filter {
	return func(r *renderer, v value, a callArgs) value {
		s, kind := r.softText(v)
		return stringMethods[method](r, s, kind, a)
	}
}

func filterString(r *renderer, v value, a callArgs) value {
	r.bind("string", a)
	s, kind := r.softText(v)
	return like(kind, s)
}

func filterAbs(r *renderer, v value, a callArgs) value {
	r.bind("abs", a)
	r.defined(v)
	if f, ok := v.(float64); ok {
		return math.Abs(f)
	}
	i, ok := integer(v)
	if !ok {
		panic(r.errorf("bad operand type for abs(): '%s'", typeName(v)))
	}
	if i.Sign() < 0 {
		return r.arith("-", int64(0), v)
	}
	return shrink(i)
}

func filterAttr(r *renderer, v value, a callArgs) value {
	p := r.bind("attr", a, "name")
	name := r.textArg("attr", "name", p[0])
	r.defined(v)
	if m := r.member(v, name); m != nil {
		return m
	}
	return r.undefinedMember(v, name)
}

func filterCenter(r *renderer, v value, a callArgs) value {
	p := r.bind("center", a, "width?")
	s, kind := r.softText(v)
	return like(kind, r.centered(s, " ", r.intOr("center", "width", p[0], 80)))
}

func filterLength(r *renderer, v value, a callArgs) value {
	r.bind("length", a)
	if l, ok := v.(*loop); ok {
		return int64(l.length())
	}
	n, ok := length(v)
	if !ok {
		panic(r.errorf("object of type '%s' has no len()", typeName(v)))
	}
	if s, ok := text(v); ok {
		r.work(len(s) / 16)
	}
	return int64(n)
}

func filterDefault(r *renderer, v value, a callArgs) value {
	p := r.bind("default", a, "default_value?", "boolean?")
	_, absent := v.(*undefined)
	if !absent && (p[1] == nil || !truth(p[1]) || truth(v)) {
		return v
	}
	if p[0] == nil {
		return ""
	}
	return p[0]
}

func filterEscape(r *renderer, v value, a callArgs) value {
	r.bind("escape", a)
	return safeString(r.escapeUnlessSafe(v))
}

func filterForceEscape(r *renderer, v value, a callArgs) value {
	r.bind("forceescape", a)
	return safeString(r.escape(r.toString(v)))
}

func filterFileSize(r *renderer, v value, a callArgs) value {
	p := r.bind("filesizeformat", a, "binary?")
	size, ok := float(v)
	if !ok {
		s, _ := text(v)
		if size, ok = parseFloat(s); !ok {
			panic(r.errorf("filesizeformat: '%s' is no number", typeName(v)))
		}
	}
	base, units := 1000.0, []string{"kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"}
	if p[0] != nil && truth(p[0]) {
		base, units = 1024, []string{"KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"}
	}
	switch {
	case size == 1:
		return "1 Byte"
	case size < base:
		return r.toString(r.truncate(size)) + " Bytes"
	}
	unit := base
	for i, name := range units {
		unit *= base
		if size < unit || i == len(units)-1 {
			return strconv.FormatFloat(base*size/unit, 'f', 1, 64) + " " + name
		}
	}
	return ""
}

func filterFloat(r *renderer, v value, a callArgs) value {
	p := r.bind("float", a, "default?")
	r.defined(v)
	if f, ok := float(v); ok {
		return f
	}
	if s, ok := text(v); ok {
		if f, ok := parseFloat(s); ok {
			return f
		}
	}
	if p[0] != nil {
		return p[0]
	}
	return 0.0
}

func filterInt(r *renderer, v value, a callArgs) value {
	p := r.bind("int", a, "default?", "base?")
	r.defined(v)
	var def value = int64(0)
	if p[0] != nil {
		def = p[0]
	}
	f, isFloat := v.(float64)
	if s, ok := text(v); ok {
		if i, ok := parseInt(s, r.intOr("int", "base", p[1], 10)); ok {
			return i
		}
		f, isFloat = parseFloat(s) // so that "42.23" gives 42
	}
	if isFloat {
		if math.IsNaN(f) || math.IsInf(f, 0) {
			if _, ok := v.(float64); ok && math.IsInf(f, 0) {
				return r.truncate(f) // an error, as in Python
			}
			return def
		}
		return r.truncate(f)
	}
	if i, ok := integer(v); ok {
		return shrink(i)
	}
	return def
}

func filterFormat(r *renderer, v value, a callArgs) value {
	s, kind := r.softText(v)
	_, safe := kind.(safeString)
	var arg value = &tuple{items: a.pos}
	if len(a.kw) > 0 {
		if len(a.pos) > 0 {
			panic(r.errorf("format: can't handle positional and keyword arguments at the same time"))
		}
		d := newDict(len(a.kw))
		for i, name := range a.names {
			d.setString(name, a.kw[i])
		}
		arg = d
	}
	return like(kind, r.percent(s, arg, safe))
}

// indentLines puts indent before lines; the first and empty ones only on
// demand.
func filterIndent(r *renderer, v value, a callArgs) value {
	p := r.bind("indent", a, "width?", "first?", "blank?")
	s, ok := text(v)
	if !ok {
		r.defined(v)
		panic(r.errorf("indent: a string is required, not %s", typeName(v)))
	}
	indent := "    "
	if t, ok := text(p[0]); ok {
		indent = t
	} else if p[0] != nil {
		indent = r.pad("", " ", r.intArg("indent", "width", p[0]), 0)
	}
	first, blank := p[1] != nil && truth(p[1]), p[2] != nil && truth(p[2])
	b := &builder{r: r}
	for i, line := range r.lines(r.str(s+"\n"), false) {
		if i > 0 {
			b.add("\n")
		}
		if i == 0 && first || i > 0 && (blank || line != "") {
			b.add(indent)
		}
		b.add(line)
	}
	return like(v, b.done())
}

func filterReplace(r *renderer, v value, a callArgs) value {
	p := r.bind("replace", a, "old", "new", "count?")
	n := -1
	if given(p[2]) {
		n = r.intArg("replace", "count", p[2])
	}
	return r.replace(r.toString(v), r.toString(p[0]), r.toString(p[1]), n)
}

func filterRound(r *renderer, v value, a callArgs) value {
	p := r.bind("round", a, "precision?", "method?")
	r.defined(v)
	prec, method := r.intOr("round", "precision", p[0], 0), "common"
	if p[1] != nil {
		method = r.textArg("round", "method", p[1])
	}
	f, ok := float(v)
	if !ok {
		panic(r.errorf("round: '%s' is no number", typeName(v)))
	}
	switch method {
	case "common":
		if i, whole := integer(v); whole {
			if prec >= 0 {
				return shrink(i)
			}
			return r.roundInt(v, -prec)
		}
		return roundFloat(f, prec)
	case "ceil", "floor":
		scale := r.binary("**", int64(10), int64(prec))
		scaled := r.binary("*", v, scale)
		if x, isFloat := scaled.(float64); isFloat {
			if method == "ceil" {
				x = math.Ceil(x)
			} else {
				x = math.Floor(x)
			}
			scaled = r.truncate(x)
		}
		return r.binary("/", scaled, scale)
	}
	panic(r.errorf("round: method must be common, ceil or floor"))
}

// roundFloat is Python's round(): correct to the last digit, ties to even.
func roundFloat(f float64, prec int) value {
	if math.IsNaN(f) || math.IsInf(f, 0) || prec > 323 {
		return f
	}
	if prec >= 0 {
		out, _ := strconv.ParseFloat(strconv.FormatFloat(f, 'f', prec, 64), 64)
		return out
	}
	if prec < -308 {
		return math.Copysign(0, f)
	}
	scale := math.Pow10(-prec)
	return math.RoundToEven(f/scale) * scale
}

// roundInt rounds an integer to a multiple of 10**digits, ties to even.
func (r *renderer) roundInt(v value, digits int) value {
	if digits > maxIntDigits {
		return int64(0)
	}
	unit := r.binary("**", int64(10), int64(digits))
	q := r.binary("//", v, unit)
	rest := r.binary("*", r.binary("%", v, unit), int64(2))
	if r.less(unit, rest) || r.equal(unit, rest) && r.equal(r.binary("%", q, int64(2)), int64(1)) {
		q = r.binary("+", q, int64(1))
	}
	return r.binary("*", q, unit)
}

func filterStripTags(r *renderer, v value, a callArgs) value {
	r.bind("striptags", a)
	s := r.toString(v)
	r.alloc(2 * len(s))
	for {
		i := strings.Index(s, "<!--")
		if i < 0 {
			break
		}
		j := strings.Index(s[i:], "-->")
		if j < 0 {
			break
		}
		r.alloc(len(s))
		s = s[:i] + s[i+j+3:]
	}
	var b strings.Builder
	for {
		i := strings.IndexByte(s, '<')
		j := -1
		if i >= 0 {
			j = strings.IndexByte(s[i:], '>')
		}
		if j < 0 {
			b.WriteString(s)
			break
		}
		b.WriteString(s[:i])
		s = s[i+j+1:]
	}
	s = strings.Join(strings.FieldsFunc(b.String(), isSpace), " ")
	for _, e := range [][2]string{{"&lt;", "<"}, {"&gt;", ">"}, {"&#39;", "'"}, {"&#34;", `"`}, {"&quot;", `"`}, {"&amp;", "&"}} {
		s = strings.ReplaceAll(s, e[0], e[1])
	}
	return s
}

// filterTitle is jinja2's own idea of title case: upper case after white space,
// hyphens and opening brackets only.
func filterTitle(r *renderer, v value, a callArgs) value {
	r.bind("title", a)
	s := r.toString(v)
	r.alloc(4 * len(s))
	var b strings.Builder
	for s != "" {
		r.work(4)
		n := strings.IndexFunc(s, startsWord)
		if n < 0 {
			n = len(s)
		}
		if n > 0 {
			_, size := utf8.DecodeRuneInString(s)
			b.WriteString(upper(s[:size]) + lower(s[size:n]))
			s = s[n:]
			continue
		}
		n = strings.IndexFunc(s, func(c rune) bool { return !startsWord(c) })
		if n < 0 {
			n = len(s)
		}
		b.WriteString(s[:n])
		s = s[n:]
	}
	return b.String()
}

func startsWord(c rune) bool { return isSpace(c) || strings.ContainsRune("-({[<", c) }

func filterTrim(r *renderer, v value, a callArgs) value {
	p := r.bind("trim", a, "chars?")
	s, kind := r.softText(v)
	return like(kind, r.strip(s, p[0], true, true))
}

func filterTruncate(r *renderer, v value, a callArgs) value {
	p := r.bind("truncate", a, "length?", "killwords?", "end?", "leeway?")
	size, end, leeway := r.intOr("truncate", "length", p[0], 255), "...", 5
	if p[2] != nil {
		end = r.textArg("truncate", "end", p[2])
	}
	if given(p[3]) {
		leeway = r.intArg("truncate", "leeway", p[3])
	}
	room := size - utf8.RuneCountInString(end)
	if room < 0 || leeway < 0 {
		panic(r.errorf("truncate: the length must be at least that of the end, and the leeway at least 0"))
	}
	if n, ok := length(v); ok && n <= size+leeway {
		return v
	}
	s, ok := text(v)
	if !ok {
		panic(r.errorf("truncate: a string is required, not %s", typeName(v)))
	}
	r.alloc(len(s) + len(end))
	cut := s[:byteOffset(s, room)]
	if p[1] == nil || !truth(p[1]) {
		if i := strings.LastIndexByte(cut, ' '); i >= 0 {
			cut = cut[:i]
		}
	}
	return like(v, cut+end)
}

// quoteURL percent-encodes everything but what safe and RFC 3986 leave alone.
func (r *renderer) quoteURL(s string, slash, plus bool) string {
	r.alloc(3 * len(s))
	s = url.QueryEscape(s)
	if !plus {
		s = strings.ReplaceAll(s, "+", "%20")
	}
	if slash {
		s = strings.ReplaceAll(s, "%2F", "/")
	}
	return s
}

func filterURLEncode(r *renderer, v value, a callArgs) value {
	r.bind("urlencode", a)
	if _, ok := text(v); ok || !isIterable(v) {
		return r.quoteURL(r.toString(v), true, false)
	}
	pairs := v
	if d, ok := v.(*dict); ok {
		pairs = &list{r.pairs(d)}
	}
	var parts []string
	for _, pair := range r.items(pairs) {
		kv := r.items(pair)
		if len(kv) != 2 {
			panic(r.errorf("urlencode: each item must be a pair, got %d values", len(kv)))
		}
		parts = append(parts, r.quoteURL(r.toString(kv[0]), false, true)+"="+r.quoteURL(r.toString(kv[1]), false, true))
	}
	return r.join("&", parts)
}

func filterWordCount(r *renderer, v value, a callArgs) value {
	r.bind("wordcount", a)
	s := r.toString(v)
	r.work(len(s) / 16)
	words, inWord := int64(0), false
	for _, c := range s {
		is := isWordRune(c)
		if is && !inWord {
			words++
		}
		inWord = is
	}
	return words
}

func filterXMLAttr(r *renderer, v value, a callArgs) value {
	p := r.bind("xmlattr", a, "autospace?")
	d, ok := v.(*dict)
	if !ok {
		panic(r.errorf("xmlattr: a mapping is required, not %s", typeName(v)))
	}
	var parts []string
	for i, k := range d.keys {
		val := d.vals[i]
		if _, absent := val.(*undefined); absent || !given(val) {
			continue
		}
		key := r.textArg("xmlattr", "key", k)
		if strings.ContainsAny(key, " \t\n\r\f\v/>=") {
			panic(r.errorf("xmlattr: invalid character in attribute name: %s", r.repr(key)))
		}
		parts = append(parts, r.escape(key)+`="`+r.escapeUnlessSafe(val)+`"`)
	}
	s := r.join(" ", parts)
	if s != "" && (p[0] == nil || truth(p[0])) {
		s = " " + s
	}
	return s
}
