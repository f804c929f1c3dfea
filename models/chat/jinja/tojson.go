package jinja

import (
	"fmt"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
)

// jsonWriter writes JSON as Python's json.dumps does.
type jsonWriter struct {
	builder
	ascii       bool
	sort        bool
	pretty      bool
	indent      string
	comma, sep  string
	indentation int
}

// toJSON is the tojson filter that Hugging Face installs: json.dumps without
// HTML escaping, ensure_ascii off by default.
func toJSON(r *renderer, v value, a callArgs) value {
	p := r.bind("tojson", a, "ensure_ascii?", "indent?", "separators?", "sort_keys?")
	w := &jsonWriter{builder: builder{r: r}, ascii: given(p[0]) && truth(p[0]), sort: given(p[3]) && truth(p[3]), comma: ", ", sep: ": "}
	if given(p[1]) {
		w.pretty, w.comma = true, ","
		if s, ok := text(p[1]); ok {
			w.indent = s
		} else {
			n := r.intArg("tojson", "indent", p[1])
			r.alloc(max(n, 0))
			w.indent = strings.Repeat(" ", max(n, 0))
		}
	}
	if given(p[2]) {
		pair := r.items(p[2])
		if len(pair) != 2 {
			panic(r.errorf("tojson: separators must be a pair of strings"))
		}
		comma, ok1 := text(pair[0])
		sep, ok2 := text(pair[1])
		if !ok1 || !ok2 {
			panic(r.errorf("tojson: separators must be a pair of strings"))
		}
		w.comma, w.sep = comma, sep
	}
	w.value(v)
	return w.done()
}

func (w *jsonWriter) value(v value) {
	switch x := v.(type) {
	case none:
		w.add("null")
		return
	case bool:
		w.add(strconv.FormatBool(x))
		return
	case int64:
		w.add(strconv.FormatInt(x, 10))
		return
	case *big.Int:
		w.add(x.String())
		return
	case float64:
		w.add(jsonFloat(x))
		return
	case string:
		w.str(x)
		return
	case safeString:
		w.str(string(x))
		return
	}
	w.r.enter()
	defer w.r.leave()
	switch x := v.(type) {
	case *list:
		w.array(x.items)
	case *tuple:
		w.array(x.items)
	case *dict:
		w.object(x)
	default:
		panic(w.r.errorf("object of type %s is not JSON serializable", typeName(v)))
	}
}

func jsonFloat(f float64) string {
	switch {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	}
	return formatFloat(f)
}

// newline begins a line of an indented document.
func (w *jsonWriter) newline() {
	if !w.pretty {
		return
	}
	w.add("\n")
	for range w.indentation {
		w.add(w.indent)
	}
}

func (w *jsonWriter) array(items []value) {
	if len(items) == 0 {
		w.add("[]")
		return
	}
	w.add("[")
	w.indentation++
	for i, item := range items {
		if i > 0 {
			w.add(w.comma)
		}
		w.newline()
		w.value(item)
	}
	w.indentation--
	w.newline()
	w.add("]")
}

func (w *jsonWriter) object(d *dict) {
	if len(d.keys) == 0 {
		w.add("{}")
		return
	}
	order := make([]int, len(d.keys))
	for i := range order {
		order[i] = i
	}
	if w.sort {
		slices.SortStableFunc(order, func(a, b int) int {
			switch {
			case w.r.less(d.keys[a], d.keys[b]):
				return -1
			case w.r.less(d.keys[b], d.keys[a]):
				return 1
			}
			return 0
		})
	}
	w.add("{")
	w.indentation++
	for n, i := range order {
		if n > 0 {
			w.add(w.comma)
		}
		w.newline()
		w.key(d.keys[i])
		w.add(w.sep)
		w.value(d.vals[i])
	}
	w.indentation--
	w.newline()
	w.add("}")
}

func (w *jsonWriter) key(k value) {
	switch x := k.(type) {
	case none:
		w.add(`"null"`)
	case bool:
		w.add(`"` + strconv.FormatBool(x) + `"`)
	case int64, *big.Int:
		w.add(`"` + w.r.toString(x) + `"`)
	case float64:
		w.add(`"` + jsonFloat(x) + `"`)
	case string:
		w.str(x)
	case safeString:
		w.str(string(x))
	default:
		panic(w.r.errorf("keys must be str, int, float, bool or None, not %s", typeName(k)))
	}
}

func (w *jsonWriter) str(s string) {
	w.add(`"`)
	plain := 0
	for i, c := range s {
		var esc string
		switch {
		case c == '"' || c == '\\':
			esc = `\` + string(c)
		case c == '\n':
			esc = `\n`
		case c == '\r':
			esc = `\r`
		case c == '\t':
			esc = `\t`
		case c == '\b':
			esc = `\b`
		case c == '\f':
			esc = `\f`
		case c < 0x20:
			esc = fmt.Sprintf(`\u%04x`, c)
		case c >= 0x7f && w.ascii:
			if c >= 0x10000 {
				hi, lo := utf16.EncodeRune(c)
				esc = fmt.Sprintf(`\u%04x\u%04x`, hi, lo)
			} else {
				esc = fmt.Sprintf(`\u%04x`, c)
			}
		default:
			continue
		}
		w.add(s[plain:i])
		w.add(esc)
		plain = i + len(string(c))
	}
	w.add(s[plain:])
	w.add(`"`)
}
