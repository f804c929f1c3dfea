package jinja

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/language"
)

// stringMethod is a method of Python's str. self is the string as a value: a
// result that is derived from it alone keeps its kind.
type stringMethod func(r *renderer, s string, self value, a callArgs) value

var stringMethods map[string]stringMethod

func init() {
	stringMethods = map[string]stringMethod{
		"capitalize": mapped("capitalize", capitalize),
		"casefold":   mapped("casefold", func(s string) string { return cases.Fold().String(s) }),
		"lower":      mapped("lower", lower),
		"upper":      mapped("upper", upper),
		"swapcase":   mapped("swapcase", swapCase),
		"title":      mapped("title", title),
		"center":     padded("center"),
		"ljust":      padded("ljust"),
		"rjust":      padded("rjust"),
		"zfill":      zfill,
		"strip":      stripped(true, true),
		"lstrip":     stripped(true, false),
		"rstrip":     stripped(false, true),
		"find":       found("find", false, false),
		"rfind":      found("rfind", true, false),
		"index":      found("index", false, true),
		"rindex":     found("rindex", true, true),
		"count":      count,
		"startswith": affixed("startswith", strings.HasPrefix),
		"endswith":   affixed("endswith", strings.HasSuffix),
		"split":      split("split", false),
		"rsplit":     split("rsplit", true),
		"splitlines": splitLines,
		"partition":  partition("partition", false),
		"rpartition": partition("rpartition", true),
		"replace":    replaceMethod,
		"join":       joinMethod,
		"expandtabs": expandTabs,
		"format":     func(r *renderer, s string, self value, a callArgs) value { return like(self, r.format(s, a)) },
		"format_map": func(r *renderer, s string, self value, a callArgs) value {
			p := r.bind("format_map", a, "mapping")
			return like(self, r.format(s, r.spread(callArgs{}, p[0])))
		},
		"removeprefix": func(r *renderer, s string, self value, a callArgs) value {
			p := r.bind("removeprefix", a, "prefix")
			return like(self, r.str(strings.TrimPrefix(s, r.textArg("removeprefix", "prefix", p[0]))))
		},
		"removesuffix": func(r *renderer, s string, self value, a callArgs) value {
			p := r.bind("removesuffix", a, "suffix")
			return like(self, r.str(strings.TrimSuffix(s, r.textArg("removesuffix", "suffix", p[0]))))
		},
		"isalnum":   all("isalnum", func(c rune) bool { return unicode.IsLetter(c) || unicode.IsNumber(c) }, false),
		"isalpha":   all("isalpha", unicode.IsLetter, false),
		"isascii":   all("isascii", func(c rune) bool { return c < utf8.RuneSelf }, true),
		"isdecimal": all("isdecimal", unicode.IsDigit, false),
		// Superscripts and the like are digits to Python but not decimals.
		"isdigit": all("isdigit", func(c rune) bool {
			return unicode.IsDigit(c) || strings.ContainsRune("²³¹⁰⁴⁵⁶⁷⁸⁹₀₁₂₃₄₅₆₇₈₉", c)
		}, false),
		"isnumeric":   all("isnumeric", unicode.IsNumber, false),
		"isprintable": all("isprintable", unicode.IsPrint, true),
		"isspace":     all("isspace", isSpace, false),
		"islower":     cased("islower", unicode.IsLower, func(c rune) bool { return unicode.IsUpper(c) || unicode.IsTitle(c) }),
		"isupper":     cased("isupper", unicode.IsUpper, func(c rune) bool { return unicode.IsLower(c) || unicode.IsTitle(c) }),
		"istitle":     func(r *renderer, s string, _ value, a callArgs) value { r.bind("istitle", a); return isTitle(s) },
		"isidentifier": func(r *renderer, s string, _ value, a callArgs) value {
			r.bind("isidentifier", a)
			for i, c := range s {
				if c != '_' && !unicode.IsLetter(c) && (i == 0 || !unicode.IsNumber(c) && !unicode.IsMark(c)) {
					return false
				}
			}
			return s != ""
		},
	}
}

func upper(s string) string {
	if isASCII(s) {
		return strings.ToUpper(s)
	}
	return cases.Upper(language.Und).String(s)
}

func lower(s string) string {
	if isASCII(s) {
		return strings.ToLower(s)
	}
	return cases.Lower(language.Und).String(s)
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// titleRune is the title case of one character, which may be several.
func titleRune(c rune) string {
	if c < utf8.RuneSelf {
		return string(unicode.ToUpper(c))
	}
	return cases.Title(language.Und, cases.NoLower).String(string(c))
}

func capitalize(s string) string {
	c, n := utf8.DecodeRuneInString(s)
	if n == 0 {
		return ""
	}
	return titleRune(c) + lower(s[n:])
}

func swapCase(s string) string {
	var b strings.Builder
	for _, c := range s {
		if unicode.IsUpper(c) {
			b.WriteString(lower(string(c)))
		} else {
			b.WriteString(upper(string(c)))
		}
	}
	return b.String()
}

func isCased(c rune) bool { return unicode.IsUpper(c) || unicode.IsLower(c) || unicode.IsTitle(c) }

// title is str.title: a letter after anything without case is upper case.
func title(s string) string {
	var b strings.Builder
	inWord := false
	for _, c := range s {
		if inWord {
			b.WriteString(lower(string(c)))
		} else {
			b.WriteString(titleRune(c))
		}
		inWord = isCased(c)
	}
	return b.String()
}

func isTitle(s string) bool {
	inWord, any := false, false
	for _, c := range s {
		switch {
		case unicode.IsUpper(c) || unicode.IsTitle(c):
			if inWord {
				return false
			}
			inWord, any = true, true
		case unicode.IsLower(c):
			if !inWord {
				return false
			}
		default:
			inWord = false
		}
	}
	return any
}

// mapped is a method without arguments that maps its string.
func mapped(name string, f func(string) string) stringMethod {
	return func(r *renderer, s string, self value, a callArgs) value {
		r.bind(name, a)
		r.alloc(4 * len(s)) // case mapping may lengthen
		r.work(len(s) / 4)  // and is slow outside of ASCII
		return like(self, f(s))
	}
}

// all is a method that tests every character.
func all(name string, f func(rune) bool, empty bool) stringMethod {
	return func(r *renderer, s string, _ value, a callArgs) value {
		r.bind(name, a)
		r.work(len(s) / 64)
		if s == "" {
			return empty
		}
		return strings.IndexFunc(s, func(c rune) bool { return !f(c) }) < 0
	}
}

// cased tests that some character is of the kind wanted and none of the other.
func cased(name string, want, other func(rune) bool) stringMethod {
	return func(r *renderer, s string, _ value, a callArgs) value {
		r.bind(name, a)
		r.work(len(s) / 64)
		return strings.IndexFunc(s, want) >= 0 && strings.IndexFunc(s, other) < 0
	}
}

// pad surrounds s, of n characters, with left and right copies of fill.
func (r *renderer) pad(s, fill string, left, right int) string {
	left, right = max(left, 0), max(right, 0)
	r.alloc(len(s) + product(len(fill), left+right))
	return strings.Repeat(fill, left) + s + strings.Repeat(fill, right)
}

// centered is str.center, whose odd space goes left if the width is odd.
func (r *renderer) centered(s, fill string, width int) string {
	room := max(width-utf8.RuneCountInString(s), 0)
	left := room/2 + room&width&1
	return r.pad(s, fill, left, room-left)
}

func padded(name string) stringMethod {
	return func(r *renderer, s string, self value, a callArgs) value {
		p := r.bind(name, a, "width", "fillchar?")
		width, fill := r.intArg(name, "width", p[0]), " "
		if p[1] != nil {
			if fill = r.textArg(name, "fillchar", p[1]); utf8.RuneCountInString(fill) != 1 {
				panic(r.errorf("%s: the fill character must be exactly one character long", name))
			}
		}
		room := max(width-utf8.RuneCountInString(s), 0)
		switch name {
		case "ljust":
			return like(self, r.pad(s, fill, 0, room))
		case "rjust":
			return like(self, r.pad(s, fill, room, 0))
		}
		return like(self, r.centered(s, fill, width))
	}
}

func zfill(r *renderer, s string, self value, a callArgs) value {
	p := r.bind("zfill", a, "width")
	room := r.intArg("zfill", "width", p[0]) - utf8.RuneCountInString(s)
	if s != "" && (s[0] == '+' || s[0] == '-') {
		return like(self, s[:1]+r.pad(s[1:], "0", room, 0))
	}
	return like(self, r.pad(s, "0", room, 0))
}

// strip removes white space, or the characters of cutset if it is given.
func (r *renderer) strip(s string, cutset value, left, right bool) string {
	cut := isSpace
	if given(cutset) {
		chars := r.textArg("strip", "chars", cutset)
		r.work(product(len(s), len(chars)) / 64)
		cut = func(c rune) bool { return strings.ContainsRune(chars, c) }
	}
	if left {
		s = strings.TrimLeftFunc(s, cut)
	}
	if right {
		s = strings.TrimRightFunc(s, cut)
	}
	return r.str(s)
}

func stripped(left, right bool) stringMethod {
	return func(r *renderer, s string, self value, a callArgs) value {
		p := r.bind("strip", a, "chars?")
		return like(self, r.strip(s, p[0], left, right))
	}
}

// window resolves optional start and end arguments to bytes of s. ok is false
// if start lies behind end, where Python finds nothing, not even "".
func (r *renderer) window(s string, start, end value) (from, to int, ok bool) {
	if !given(start) && !given(end) {
		return 0, len(s), true
	}
	n := utf8.RuneCountInString(s)
	i, j := span2(r, n, start, end)
	if given(start) && r.intArg("slice", "start", start) > n || i > j {
		return 0, 0, false
	}
	r.work(len(s) / 64)
	return byteOffset(s, i), byteOffset(s, j), true
}

func found(name string, last, must bool) stringMethod {
	return func(r *renderer, s string, _ value, a callArgs) value {
		p := r.bind(name, a, "sub", "start?", "end?")
		sub := r.textArg(name, "sub", p[0])
		r.work(len(s) / 64)
		if from, to, ok := r.window(s, p[1], p[2]); ok {
			i := strings.Index(s[from:to], sub)
			if last {
				i = strings.LastIndex(s[from:to], sub)
			}
			if i >= 0 {
				return int64(utf8.RuneCountInString(s[:from+i]))
			}
		}
		if must {
			panic(r.errorf("%s: substring not found", name))
		}
		return int64(-1)
	}
}

func count(r *renderer, s string, _ value, a callArgs) value {
	p := r.bind("count", a, "sub", "start?", "end?")
	sub := r.textArg("count", "sub", p[0])
	from, to, ok := r.window(s, p[1], p[2])
	if !ok {
		return int64(0)
	}
	r.work(len(s) / 64)
	return int64(strings.Count(s[from:to], sub))
}

func affixed(name string, test func(s, affix string) bool) stringMethod {
	return func(r *renderer, s string, _ value, a callArgs) value {
		p := r.bind(name, a, "prefix", "start?", "end?")
		from, to, ok := r.window(s, p[1], p[2])
		if !ok {
			return false
		}
		s = s[from:to]
		if t, ok := p[0].(*tuple); ok {
			return slices.ContainsFunc(t.items, func(v value) bool {
				r.work(1)
				return test(s, r.textArg(name, "prefix", v))
			})
		}
		return test(s, r.textArg(name, "prefix", p[0]))
	}
}

// strings returns a list of strings, each of the kind of model.
func (r *renderer) strings(parts []string, model value) *list {
	items := make([]value, len(parts))
	for i, p := range parts {
		items[i] = like(model, p)
	}
	r.alloc(2 * valueSize * len(items))
	r.work(len(items))
	return &list{items}
}

func split(name string, right bool) stringMethod {
	return func(r *renderer, s string, self value, a callArgs) value {
		p := r.bind(name, a, "sep?", "maxsplit?")
		most := r.intOr(name, "maxsplit", p[1], -1)
		if !given(p[0]) {
			r.alloc(product(valueSize, len(s)/2+1))
			return r.strings(splitSpace(s, most, right), self)
		}
		sep := r.textArg(name, "sep", p[0])
		if sep == "" {
			panic(r.errorf("%s: empty separator", name))
		}
		r.alloc(product(valueSize, strings.Count(s, sep)+1))
		if most < 0 {
			return r.strings(strings.Split(s, sep), self)
		}
		if !right {
			return r.strings(strings.SplitN(s, sep, most+1), self)
		}
		var parts []string
		for ; most > 0; most-- {
			i := strings.LastIndex(s, sep)
			if i < 0 {
				break
			}
			parts = append(parts, s[i+len(sep):])
			s = s[:i]
		}
		parts = append(parts, s)
		slices.Reverse(parts)
		return r.strings(parts, self)
	}
}

// splitSpace splits at runs of white space, at most most times if it is not
// negative; the rest keeps its white space at the far end.
func splitSpace(s string, most int, right bool) []string {
	if most < 0 {
		return strings.FieldsFunc(s, isSpace)
	}
	var parts []string
	for {
		if right {
			s = strings.TrimRightFunc(s, isSpace)
		} else {
			s = strings.TrimLeftFunc(s, isSpace)
		}
		if s == "" {
			break
		}
		i := -1
		if len(parts) < most {
			if right {
				if i = strings.LastIndexFunc(s, isSpace); i >= 0 {
					_, n := utf8.DecodeRuneInString(s[i:])
					parts = append(parts, s[i+n:])
					s = s[:i]
				}
			} else if i = strings.IndexFunc(s, isSpace); i >= 0 {
				parts = append(parts, s[:i])
				s = s[i:]
			}
		}
		if i < 0 {
			parts = append(parts, s)
			break
		}
	}
	if right {
		slices.Reverse(parts)
	}
	return parts
}

// lines splits at Python's line boundaries.
func (r *renderer) lines(s string, keepEnds bool) []string {
	var out []string
	start := 0
	for i := 0; i < len(s); {
		c, n := utf8.DecodeRuneInString(s[i:])
		end := i + n
		switch c {
		case '\r':
			if strings.HasPrefix(s[end:], "\n") {
				end++
			}
		case '\n', '\v', '\f', 0x1c, 0x1d, 0x1e, 0x85, 0x2028, 0x2029:
		default:
			i = end
			continue
		}
		r.alloc(valueSize)
		if keepEnds {
			out = append(out, s[start:end])
		} else {
			out = append(out, s[start:i])
		}
		i, start = end, end
	}
	if start < len(s) {
		out = append(out, s[start:])
	}
	return out
}

func splitLines(r *renderer, s string, self value, a callArgs) value {
	p := r.bind("splitlines", a, "keepends?")
	return r.strings(r.lines(s, p[0] != nil && truth(p[0])), self)
}

func partition(name string, right bool) stringMethod {
	return func(r *renderer, s string, self value, a callArgs) value {
		p := r.bind(name, a, "sep")
		sep := r.textArg(name, "sep", p[0])
		if sep == "" {
			panic(r.errorf("%s: empty separator", name))
		}
		r.alloc(len(s))
		parts := [3]string{s, "", ""}
		i := strings.Index(s, sep)
		if right {
			parts = [3]string{"", "", s}
			i = strings.LastIndex(s, sep)
		}
		if i >= 0 {
			parts = [3]string{s[:i], sep, s[i+len(sep):]}
		}
		return &tuple{items: []value{like(self, parts[0]), like(self, parts[1]), like(self, parts[2])}}
	}
}

// replace is str.replace; n is negative for all.
func (r *renderer) replace(s, old, repl string, n int) string {
	times := strings.Count(s, old)
	if n >= 0 {
		times = min(times, n)
	}
	r.work(len(s) / 64)
	r.alloc(len(s) + product(times, max(0, len(repl)-len(old))))
	return strings.Replace(s, old, repl, n)
}

func replaceMethod(r *renderer, s string, self value, a callArgs) value {
	p := r.bind("replace", a, "old", "new", "count?")
	old, repl := r.textArg("replace", "old", p[0]), r.textArg("replace", "new", p[1])
	if _, safe := self.(safeString); safe {
		old, repl = r.escapeUnlessSafe(p[0]), r.escapeUnlessSafe(p[1])
	}
	return like(self, r.replace(s, old, repl, r.intOr("replace", "count", p[2], -1)))
}

// escapeUnlessSafe returns v as text, escaped unless it is marked safe.
func (r *renderer) escapeUnlessSafe(v value) string {
	if s, ok := v.(safeString); ok {
		return string(s)
	}
	return r.escape(r.toString(v))
}

// join joins parts with sep.
func (r *renderer) join(sep string, parts []string) string {
	n := product(len(sep), len(parts))
	for _, p := range parts {
		n += len(p)
	}
	r.alloc(n)
	r.work(len(parts))
	return strings.Join(parts, sep)
}

func joinMethod(r *renderer, s string, self value, a callArgs) value {
	p := r.bind("join", a, "iterable")
	_, safe := self.(safeString)
	items := r.items(p[0])
	r.alloc(valueSize * len(items))
	parts := make([]string, len(items))
	for i, v := range items {
		part, ok := text(v)
		if !ok {
			panic(r.errorf("sequence item %d: expected str instance, %s found", i, typeName(v)))
		}
		if safe {
			part = r.escapeUnlessSafe(v)
		}
		parts[i] = part
	}
	return like(self, r.join(s, parts))
}

func expandTabs(r *renderer, s string, self value, a callArgs) value {
	p := r.bind("expandtabs", a, "tabsize?")
	size := max(r.intOr("expandtabs", "tabsize", p[0], 8), 0)
	r.alloc(len(s) + product(size, strings.Count(s, "\t")))
	var b strings.Builder
	column := 0
	for _, c := range s {
		switch c {
		case '\t':
			if size > 0 {
				n := size - column%size
				b.WriteString(strings.Repeat(" ", n))
				column += n
			}
		case '\n', '\r':
			b.WriteRune(c)
			column = 0
		default:
			b.WriteRune(c)
			column++
		}
	}
	return like(self, b.String())
}
