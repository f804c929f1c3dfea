package jinja

import (
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

type tokenKind uint8

const (
	tokEOF tokenKind = iota
	tokData
	tokVariableBegin
	tokVariableEnd
	tokBlockBegin
	tokBlockEnd
	tokName
	tokString
	tokInteger
	tokFloat
	tokOperator
)

func (k tokenKind) String() string {
	return [...]string{"end of template", "template data", "begin of print statement", "end of print statement",
		"begin of statement block", "end of statement block", "name", "string", "integer", "float", "operator"}[k]
}

type token struct {
	kind tokenKind
	line int
	text string // data, name, operator, string after its escapes
	num  value  // of integer and float
}

func (t token) describe() string {
	switch t.kind {
	case tokName, tokOperator:
		return "'" + t.text + "'"
	}
	return t.kind.String()
}

// is reports whether the token is that operator.
func (t token) is(op string) bool { return t.kind == tokOperator && t.text == op }

// isName reports whether the token is that keyword.
func (t token) isName(name string) bool { return t.kind == tokName && t.text == name }

// lexer cuts a template into tokens with jinja2's rules under trim_blocks and
// lstrip_blocks. It fails by panicking with *Error; [Parse] recovers.
type lexer struct {
	src  string
	pos  int
	line int
	out  []token
}

// lex returns the tokens of a template, ending with tokEOF.
func lex(source string) []token {
	source = strings.ReplaceAll(source, "\r\n", "\n")
	source = strings.ReplaceAll(source, "\r", "\n")
	// keep_trailing_newline is off: one newline at the very end is dropped.
	source = strings.TrimSuffix(source, "\n")
	l := &lexer{src: source, line: 1}
	for l.pos < len(l.src) {
		l.root()
	}
	l.emit(token{kind: tokEOF})
	return l.out
}

func (l *lexer) fail(format string, args ...any) {
	panic(&Error{Line: l.line, Message: fmt.Sprintf(format, args...)})
}

func (l *lexer) emit(t token) {
	t.line = l.line
	l.out = append(l.out, t)
}

// advance moves to a position ahead and counts the lines passed.
func (l *lexer) advance(to int) {
	l.line += strings.Count(l.src[l.pos:to], "\n")
	l.pos = to
}

// data emits template text that ends before a tag. sign is the tag's
// whitespace control; strip says whether lstrip_blocks applies to it.
func (l *lexer) data(end int, sign byte, strip bool) {
	text := l.src[l.pos:end]
	switch {
	case sign == '-':
		text = strings.TrimRightFunc(text, isSpace)
	case sign != '+' && strip:
		// White space between the line's start and the tag goes away. The
		// text may begin in mid-line, behind an earlier tag.
		start := strings.LastIndexByte(text, '\n') + 1
		if start > 0 || l.pos == 0 || l.src[l.pos-1] == '\n' {
			if strings.TrimLeftFunc(text[start:], isSpace) == "" {
				text = text[:start]
			}
		}
	}
	if text != "" {
		l.emit(token{kind: tokData, text: text})
	}
	l.advance(end)
}

// root lexes template text up to and including the next tag.
func (l *lexer) root() {
	at := l.pos
	for {
		i := strings.IndexByte(l.src[at:], '{')
		if i < 0 || at+i+1 >= len(l.src) {
			l.data(len(l.src), 0, false)
			return
		}
		at += i
		if c := l.src[at+1]; c == '%' || c == '{' || c == '#' {
			break
		}
		at++
	}
	kind := l.src[at+1]
	sign := l.at(at + 2)
	body := at + 2
	if sign == '-' || sign == '+' {
		body++
	} else {
		sign = 0
	}
	if kind == '%' {
		if content, ok := l.rawBegin(body); ok {
			l.data(at, sign, true)
			l.advance(content)
			l.raw()
			return
		}
	}
	l.data(at, sign, kind != '{')
	l.advance(body)
	switch kind {
	case '#':
		l.comment()
	case '%':
		l.emit(token{kind: tokBlockBegin})
		l.code(tokBlockEnd)
	default:
		l.emit(token{kind: tokVariableBegin})
		l.code(tokVariableEnd)
	}
}

func (l *lexer) at(i int) byte {
	if i < len(l.src) {
		return l.src[i]
	}
	return 0
}

// skipSpace returns the first position from i on that is no white space.
func (l *lexer) skipSpace(i int) int {
	return len(l.src) - len(strings.TrimLeftFunc(l.src[i:], isSpace))
}

// rawBegin reports whether a raw tag's name and end follow at i, and where its
// content begins.
func (l *lexer) rawBegin(i int) (content int, ok bool) {
	i = l.skipSpace(i)
	if !strings.HasPrefix(l.src[i:], "raw") {
		return 0, false
	}
	i = l.skipSpace(i + len("raw"))
	if strings.HasPrefix(l.src[i:], "-%}") {
		return l.skipSpace(i + 3), true
	}
	return i + 2, strings.HasPrefix(l.src[i:], "%}")
}

// raw lexes the content of a raw block and its end tag.
func (l *lexer) raw() {
	for at := l.pos; ; at++ {
		i := strings.Index(l.src[at:], "{%")
		if i < 0 {
			l.fail("missing end of raw directive: add {%% endraw %%}")
		}
		at += i
		body, sign := at+2, l.at(at+2)
		if sign == '-' || sign == '+' {
			body++
		} else {
			sign = 0
		}
		body = l.skipSpace(body)
		if !strings.HasPrefix(l.src[body:], "endraw") {
			continue
		}
		if end, ok := l.endTag(l.skipSpace(body+len("endraw")), "%}"); ok {
			l.data(at, sign, true)
			l.advance(end)
			return
		}
	}
}

// endTag reports whether a block's or comment's end tag begins at i and where
// the text behind it begins, after whitespace control and trim_blocks.
func (l *lexer) endTag(i int, tag string) (end int, ok bool) {
	rest := l.src[i:]
	switch {
	case strings.HasPrefix(rest, "-"+tag):
		return l.skipSpace(i + 1 + len(tag)), true
	case strings.HasPrefix(rest, "+"+tag):
		return i + 1 + len(tag), true
	case strings.HasPrefix(rest, tag):
		end = i + len(tag)
		if tag != "}}" && l.at(end) == '\n' {
			end++
		}
		return end, true
	}
	return 0, false
}

func (l *lexer) comment() {
	i := strings.Index(l.src[l.pos:], "#}")
	if i < 0 {
		l.fail("missing end of comment tag: add #}")
	}
	at := l.pos + i
	if at > l.pos && (l.src[at-1] == '-' || l.src[at-1] == '+') {
		at--
	}
	end, _ := l.endTag(at, "#}")
	l.advance(end)
}

var closing = map[byte]byte{'(': ')', '[': ']', '{': '}'}

// code lexes the inside of a tag up to and including its end.
func (l *lexer) code(end tokenKind) {
	tag := "%}"
	if end == tokVariableEnd {
		tag = "}}"
	}
	var open []byte // closing brackets still due
	for {
		l.advance(l.skipSpace(l.pos))
		if l.pos >= len(l.src) {
			l.fail("unexpected end of template inside a tag: add %s", tag)
		}
		if len(open) == 0 && !(tag == "}}" && l.at(l.pos) == '+') {
			if to, ok := l.endTag(l.pos, tag); ok {
				l.emit(token{kind: end})
				l.advance(to)
				return
			}
		}
		c := l.src[l.pos]
		switch {
		case c >= '0' && c <= '9':
			l.number()
		case c == '\'' || c == '"':
			l.str(c)
		case c == '_' || c >= utf8.RuneSelf || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z':
			l.name()
		default:
			op := l.operator()
			switch b := op[0]; b {
			case '(', '[', '{':
				open = append(open, closing[b])
			case ')', ']', '}':
				if len(open) == 0 {
					l.fail("unexpected '%c'", b)
				}
				if want := open[len(open)-1]; want != b {
					l.fail("unexpected '%c', expected '%c'", b, want)
				}
				open = open[:len(open)-1]
			}
			l.emit(token{kind: tokOperator, text: op})
			l.pos += len(op)
		}
	}
}

func (l *lexer) operator() string {
	if l.pos+2 <= len(l.src) {
		switch two := l.src[l.pos : l.pos+2]; two {
		case "//", "**", "==", "!=", ">=", "<=":
			return two
		}
	}
	if c := l.src[l.pos]; strings.IndexByte("+-/*%~[](){}><=.:|,;", c) < 0 {
		l.fail("unexpected character '%c'", c)
	}
	return l.src[l.pos : l.pos+1]
}

func (l *lexer) name() {
	rest := l.src[l.pos:]
	n := strings.IndexFunc(rest, func(r rune) bool {
		return r != '_' && !unicode.IsLetter(r) && !unicode.IsNumber(r) && !unicode.IsMark(r)
	})
	if n < 0 {
		n = len(rest)
	}
	if n == 0 {
		r, _ := utf8.DecodeRuneInString(rest)
		l.fail("unexpected character %q", r)
	}
	l.emit(token{kind: tokName, text: rest[:n]})
	l.pos += n
}

// number lexes Python's integer and float literals, underscores included.
func (l *lexer) number() {
	rest := l.src[l.pos:]
	if n := floatLen(rest); n > 0 && !(l.pos > 0 && l.src[l.pos-1] == '.') {
		f, err := strconv.ParseFloat(strings.ReplaceAll(rest[:n], "_", ""), 64)
		if err != nil && !strings.Contains(err.Error(), "range") {
			l.fail("malformed number %s", rest[:n])
		}
		l.emit(token{kind: tokFloat, num: f})
		l.pos += n
		return
	}
	n := integerLen(rest)
	if n > maxIntDigits {
		l.fail("integer of %d digits is too long", n)
	}
	i, ok := new(big.Int).SetString(strings.ReplaceAll(strings.ToLower(rest[:n]), "_", ""), 0)
	if !ok {
		l.fail("malformed number %s", rest[:n])
	}
	l.emit(token{kind: tokInteger, num: shrink(i)})
	l.pos += n
}

// digitRun returns the length of digits with single underscores between them.
func digitRun(s, digits string) int {
	n := 0
	for n < len(s) {
		if strings.IndexByte(digits, s[n]) >= 0 {
			n++
		} else if s[n] == '_' && n > 0 && s[n-1] != '_' && n+1 < len(s) && strings.IndexByte(digits, s[n+1]) >= 0 {
			n++
		} else {
			break
		}
	}
	return n
}

const decimal = "0123456789"

// floatLen returns the length of the float literal that s begins with, or 0.
func floatLen(s string) int {
	n := digitRun(s, decimal)
	if n == 0 {
		return 0
	}
	isFloat := false
	if n < len(s) && s[n] == '.' {
		if f := digitRun(s[n+1:], decimal); f > 0 {
			n += 1 + f
			isFloat = true
		}
	}
	if n < len(s) && (s[n] == 'e' || s[n] == 'E') {
		e := n + 1
		if e < len(s) && (s[e] == '+' || s[e] == '-') {
			e++
		}
		if d := digitRun(s[e:], decimal); d > 0 {
			return e + d
		}
	}
	if isFloat {
		return n
	}
	return 0
}

// integerLen returns the length of the integer literal that s begins with. A
// zero takes only further zeros with it, as in Python.
func integerLen(s string) int {
	if s[0] != '0' {
		return digitRun(s, decimal)
	}
	if len(s) > 2 {
		digits := map[byte]string{'b': "01", 'o': "01234567", 'x': "0123456789abcdefABCDEF"}[s[1]|0x20]
		if digits != "" {
			from := 2
			if s[2] == '_' {
				from = 3
			}
			if d := digitRun(s[min(from, len(s)):], digits); d > 0 {
				return from + d
			}
		}
	}
	return digitRun(s, "0")
}

// str lexes a string literal.
func (l *lexer) str(quote byte) {
	i := l.pos + 1
	for i < len(l.src) && l.src[i] != quote {
		if l.src[i] == '\\' {
			i++
		}
		i++
	}
	if i >= len(l.src) {
		l.fail("unexpected %c: the string is not closed", quote)
	}
	l.emit(token{kind: tokString, text: l.unescape(l.src[l.pos+1 : i])})
	l.advance(i + 1)
}

// unescape resolves Python's string escapes. Unknown ones stay as they are.
func (l *lexer) unescape(s string) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			i++
			continue
		}
		c := s[i+1]
		i += 2
		switch c {
		case '\n':
		case '\\', '\'', '"':
			b.WriteByte(c)
		case 'a', 'b', 'f', 'n', 'r', 't', 'v':
			b.WriteByte("\a\b\f\n\r\t\v"[strings.IndexByte("abfnrtv", c)])
		case 'x', 'u', 'U':
			n := map[byte]int{'x': 2, 'u': 4, 'U': 8}[c]
			if i+n > len(s) {
				l.fail("truncated \\%c escape in a string", c)
			}
			r, err := strconv.ParseUint(s[i:i+n], 16, 32)
			if err != nil || r > unicode.MaxRune {
				l.fail("malformed \\%c escape in a string", c)
			}
			b.WriteRune(rune(r))
			i += n
		case '0', '1', '2', '3', '4', '5', '6', '7':
			r := rune(c - '0')
			for n := 0; n < 2 && i < len(s) && s[i] >= '0' && s[i] <= '7'; n++ {
				r = r*8 + rune(s[i]-'0')
				i++
			}
			b.WriteRune(r)
		case 'N':
			l.fail("the escape \\N is not supported: write the character itself")
		default:
			b.WriteByte('\\')
			b.WriteByte(c)
		}
	}
	return b.String()
}

// isSpace is Python's str.isspace for one character.
func isSpace(r rune) bool { return unicode.IsSpace(r) || r >= 0x1c && r <= 0x1f }
