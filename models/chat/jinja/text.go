package jinja

import (
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// builder assembles a string within the limit on values: nested collections
// that share parts can print to far more than they hold.
type builder struct {
	r   *renderer
	buf []byte
}

func (b *builder) add(s string) {
	if len(s) > b.r.limits.Value-len(b.buf) {
		b.r.alloc(b.r.limits.Value + 1)
	}
	b.r.work(1 + len(s)/256)
	b.buf = append(b.buf, s...)
}

func (b *builder) done() string { return b.r.str(string(b.buf)) }

// toString is Python's str().
func (r *renderer) toString(v value) string {
	switch x := v.(type) {
	case string:
		return x
	case safeString:
		return string(x)
	case *undefined:
		return ""
	case none:
		return "None"
	case int64:
		return strconv.FormatInt(x, 10)
	}
	return r.repr(v)
}

// repr is Python's repr().
func (r *renderer) repr(v value) string {
	b := &builder{r: r}
	b.repr(v)
	return b.done()
}

func (b *builder) repr(v value) {
	switch x := v.(type) {
	case none:
		b.add("None")
		return
	case bool:
		if x {
			b.add("True")
		} else {
			b.add("False")
		}
		return
	case int64:
		b.add(strconv.FormatInt(x, 10))
		return
	case *big.Int:
		b.add(x.String())
		return
	case float64:
		b.add(formatFloat(x))
		return
	case string:
		b.quote(x)
		return
	case safeString:
		b.add("Markup(")
		b.quote(string(x))
		b.add(")")
		return
	}
	b.r.enter()
	defer b.r.leave()
	switch x := v.(type) {
	case *list:
		b.add("[")
		b.items(x.items)
		b.add("]")
	case *tuple:
		b.add("(")
		b.items(x.items)
		if len(x.items) == 1 {
			b.add(",")
		}
		b.add(")")
	case *dict:
		b.dict(x)
	case *view:
		b.add(x.kind + "([")
		b.items(x.items)
		b.add("])")
	case *span:
		b.add(fmt.Sprintf("range(%d, %d", x.start, x.stop))
		if x.step != 1 {
			b.add(fmt.Sprintf(", %d", x.step))
		}
		b.add(")")
	case *namespace:
		b.add("<Namespace ")
		b.dict(x.attrs)
		b.add(">")
	case *undefined:
		b.add("Undefined")
	case *macro:
		if x.def.name == "" {
			b.add("<Macro anonymous>")
		} else {
			b.add("<Macro ")
			b.quote(x.def.name)
			b.add(">")
		}
	case *loop:
		b.add(fmt.Sprintf("<LoopContext %d/%d>", x.index+1, x.length()))
	case *builtin:
		b.add("<function " + x.name + ">")
	default:
		b.add("<" + typeName(v) + " object>")
	}
}

func (b *builder) items(items []value) {
	for i, item := range items {
		if i > 0 {
			b.add(", ")
		}
		b.repr(item)
	}
}

func (b *builder) dict(d *dict) {
	b.add("{")
	for i, k := range d.keys {
		if i > 0 {
			b.add(", ")
		}
		b.repr(k)
		b.add(": ")
		b.repr(d.vals[i])
	}
	b.add("}")
}

// quote writes a string as a Python literal.
func (b *builder) quote(s string) {
	quote := byte('\'')
	if strings.IndexByte(s, '\'') >= 0 && strings.IndexByte(s, '"') < 0 {
		quote = '"'
	}
	b.add(string(quote))
	plain := 0
	for i, c := range s {
		var esc string
		switch {
		case c == '\\' || c == rune(quote):
			esc = `\` + string(c)
		case c == '\n':
			esc = `\n`
		case c == '\r':
			esc = `\r`
		case c == '\t':
			esc = `\t`
		case unicode.IsPrint(c):
			continue
		case c < 0x100:
			esc = fmt.Sprintf(`\x%02x`, c)
		case c < 0x10000:
			esc = fmt.Sprintf(`\u%04x`, c)
		default:
			esc = fmt.Sprintf(`\U%08x`, c)
		}
		b.add(s[plain:i])
		b.add(esc)
		plain = i + utf8.RuneLen(c)
	}
	b.add(s[plain:])
	b.add(string(quote))
}

var htmlEscaper = strings.NewReplacer("&", "&amp;", ">", "&gt;", "<", "&lt;", "'", "&#39;", `"`, "&#34;")

// escape replaces what has a meaning in HTML.
func (r *renderer) escape(s string) string {
	r.alloc(5 * len(s))
	return htmlEscaper.Replace(s)
}
