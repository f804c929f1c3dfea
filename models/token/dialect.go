package token

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// translate rewrites a regular expression from the dialect of tokenizer.json
// (Oniguruma with Ruby's syntax) to that of regexp2 (.NET). Most of both is the same;
// where they differ without a counterpart, it refuses rather than match
// something else. One thing is left out: under (?i) Oniguruma also takes "ss" for
// "ß" and the like, one rune for several.
func translate(source string) (string, error) {
	t := translator{in: source, atom: -1}
	if err := t.run(); err != nil {
		return "", err
	}
	if len(t.out) > maxTranslated {
		return "", errLargeSet
	}
	return t.out.String(), nil
}

// maxTranslated bounds what a pattern becomes: short names stand for large
// sets.
const maxTranslated = 1 << 19

type translator struct {
	in     string
	out    outBuffer
	atom   int // where the last atom begins in out, -1 where none can be repeated
	fold   bool
	groups []group
	wraps  int
}

type group struct {
	start   int
	fold    bool // of the text around the group
	options bool // begun by options, without a parenthesis of its own
}

// outBuffer is the translated expression so far.
type outBuffer []byte

func (b *outBuffer) add(s string)   { *b = append(*b, s...) }
func (b *outBuffer) String() string { return string(*b) }

// wrap puts the last atom into a group.
func (t *translator) wrap(head string) error {
	if t.wraps++; t.wraps > 250 {
		return errors.New("too many possessive or repeated quantifiers")
	}
	t.out = append(t.out[:t.atom], head+string(t.out[t.atom:])+")"...)
	return nil
}

// word is what \w means outside of a class.
const word = `\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc}\p{Other_Alphabetic}` + latinNumbers

var quantifier = regexp.MustCompile(`^(?:[*+?]|\{\d+(?:,\d*)?\}|\{,\d+\})`)

func (t *translator) run() error {
	for t.in != "" {
		switch c := t.in[0]; {
		case c == '\\':
			if err := t.escape(); err != nil {
				return err
			}
		case c == '[':
			if err := t.bracket(); err != nil {
				return err
			}
		case c == '(':
			if err := t.open(); err != nil {
				return err
			}
		case c == ')':
			t.closeOptions()
			if len(t.groups) == 0 {
				return errors.New("a closing parenthesis too many")
			}
			t.close()
			t.in = t.in[1:]
		case c == '|':
			t.out.add("|")
			t.atom, t.in = -1, t.in[1:]
		case c == '^': // not at the end of a text that ends with a line
			t.emit(`(?:\A|(?<=\n)(?!\z))`)
			t.in = t.in[1:]
		case quantifier.MatchString(t.in):
			if err := t.repeat(quantifier.FindString(t.in)); err != nil {
				return err
			}
		default:
			r, n := utf8.DecodeRuneInString(t.in)
			t.in = t.in[n:]
			if orbit := orbits()[r]; t.fold && orbit != nil {
				t.emit("[" + string(orbit) + "]") // regexp2 takes other runes for equal
			} else {
				t.emit(string(r))
			}
		}
		if len(t.out) > maxTranslated {
			return errLargeSet
		}
	}
	t.closeOptions()
	if len(t.groups) > 0 {
		return errors.New("a parenthesis is not closed")
	}
	return nil
}

// close ends the innermost group.
func (t *translator) close() {
	n := len(t.groups)
	g := t.groups[n-1]
	t.groups = t.groups[:n-1]
	t.out.add(")")
	t.atom, t.fold = g.start, g.fold
}

// closeOptions ends the groups that options like (?i) have begun.
func (t *translator) closeOptions() {
	for n := len(t.groups); n > 0 && t.groups[n-1].options; n-- {
		t.close()
	}
}

func (t *translator) emit(s string) {
	t.atom = len(t.out)
	t.out.add(s)
}

// repeat handles a quantifier and what modifies it.
func (t *translator) repeat(q string) error {
	if t.atom < 0 {
		return fmt.Errorf("nothing before %q to repeat", q)
	}
	if strings.HasPrefix(q, "{,") {
		t.out.add("{0" + q[1:])
	} else {
		t.out.add(q)
	}
	t.in = t.in[len(q):]
	switch {
	case strings.HasPrefix(t.in, "?"):
		t.out.add("?")
		t.in = t.in[1:]
	case strings.HasPrefix(t.in, "+") && q[0] != '{': // possessive
		if err := t.wrap("(?>"); err != nil {
			return err
		}
		t.in = t.in[1:]
	}
	if quantifier.MatchString(t.in) { // a repeated repetition
		return t.wrap("(?:")
	}
	return nil
}

// open handles an opening parenthesis with what follows it.
func (t *translator) open() error {
	start := len(t.out)
	enter := func(head string, fold bool) {
		t.groups = append(t.groups, group{start: start, fold: t.fold})
		t.out.add(head)
		t.fold, t.atom = fold, -1
	}
	if len(t.groups) >= 250 {
		return errors.New("parentheses are nested too deep")
	}
	for _, head := range []string{"(?:", "(?=", "(?!", "(?>", "(?<=", "(?<!"} {
		if strings.HasPrefix(t.in, head) {
			t.in = t.in[len(head):]
			enter(head, t.fold)
			return nil
		}
	}
	if !strings.HasPrefix(t.in, "(?") {
		t.in = t.in[1:]
		enter("(?:", t.fold) // what a group captures is of no use here
		return nil
	}
	end := strings.IndexAny(t.in, ":)")
	if end < 0 {
		return errors.New("a parenthesis is not closed")
	}
	flags, fold, on := "", t.fold, true
	for _, c := range t.in[2:end] {
		switch c {
		case '-':
			on = false
		case 'i': // written out
			fold = on
		case 'm': // there: the dot matches line ends
			flags = "s"
			if !on {
				flags = "-s"
			}
		default:
			return fmt.Errorf("group %s is not supported", quote(t.in[:end+1]))
		}
	}
	inline := t.in[end] == ')'
	t.in = t.in[end+1:]
	enter("(?"+flags+":", fold)
	// Options without a group reach to the end of the one around them, and
	// a(?i)b|c is a(?i:b|c).
	t.groups[len(t.groups)-1].options = inline
	return nil
}

var escapeForms = regexp.MustCompile(`^\\(?:([pP])\{(\^?)([A-Za-z_ -]+)\}|x\{([0-9A-Fa-f]{1,6})\}|[xu]([0-9A-Fa-f]{2})([0-9A-Fa-f]{2})?|[\s\S])`)

// escaped is what a backslash begins: a rune, a set of runes (or with not, its
// complement), or else an anchor.
type escaped struct {
	kind byte // of the set: p for \p{...}, else the letter in lower case; 0 for a rune
	r    rune
	prop property
	not  bool
	text string
}

// scanEscape reads the escape sequence at the front of the input.
func (t *translator) scanEscape() (escaped, error) {
	m := escapeForms.FindStringSubmatch(t.in)
	if m == nil {
		return escaped{}, errors.New("a backslash at the end")
	}
	e := escaped{text: m[0]}
	c := m[0][1]
	hex := m[4] + m[5] + m[6]
	if c == 'x' && m[6] != "" { // \x has two digits, \u four
		e.text, hex = m[0][:4], m[5]
	}
	t.in = t.in[len(e.text):]
	switch {
	case m[3] != "":
		prop, ok := properties()[propertyKey(m[3])]
		if !ok {
			return e, fmt.Errorf("the property %s is unknown", quote(m[3]))
		}
		e.kind, e.prop, e.not = 'p', prop, (c == 'P') != (m[2] != "")
		if propertyKey(m[3]) == "word" {
			e.kind = 'w'
		}
	case (c == 'x' || c == 'u') && (hex == "" || c == 'u' && len(hex) != 4):
		return e, fmt.Errorf("%q without digits", e.text)
	case hex != "":
		r, err := strconv.ParseUint(hex, 16, 32)
		if err != nil || !utf8.ValidRune(rune(r)) {
			return e, fmt.Errorf("%s is not a character", e.text)
		}
		e.r = rune(r)
	case strings.IndexByte("wdshWDSH", c) >= 0:
		e.kind, e.not = c|0x20, c < 'a'
		e.prop = map[byte]property{'w': wordProperty(), 'd': brackets()["digit"], 's': brackets()["space"], 'h': hexDigits}[e.kind]
	case strings.IndexByte("trnfvae", c) >= 0:
		e.r = map[byte]rune{'t': '\t', 'r': '\r', 'n': '\n', 'f': '\f', 'v': '\v', 'a': '\a', 'e': 0x1b}[c]
	case strings.IndexByte("bBAzZG", c) >= 0:
		e.kind = c
	case c < utf8.RuneSelf && (unicode.IsLetter(rune(c)) || unicode.IsDigit(rune(c))):
		return e, fmt.Errorf("%q is not supported", e.text)
	default:
		_, n := utf8.DecodeRuneInString(m[0][1:])
		e.r, _ = utf8.DecodeRuneInString(m[0][1:])
		t.in = m[0][1+n:] + t.in
	}
	return e, nil
}

// escape translates an escape sequence outside of a class.
func (t *translator) escape() error {
	e, err := t.scanEscape()
	if err != nil {
		return err
	}
	open := "["
	if e.not {
		open = "[^"
	}
	switch e.kind {
	case 0:
		if orbit := orbits()[e.r]; t.fold && orbit != nil {
			t.emit("[" + string(orbit) + "]")
		} else {
			t.emit("[" + writeRange(runeRange{e.r, e.r}) + "]")
		}
	case 'w':
		t.emit(open + word + "]")
	case 'b': // regexp2 has other words
		t.emit("(?:(?<=[" + word + "])(?![" + word + "])|(?<![" + word + "])(?=[" + word + "]))")
	case 'B':
		t.emit("(?:(?<=[" + word + "])(?=[" + word + "])|(?<![" + word + "])(?![" + word + "]))")
	case 'd', 's':
		t.emit(e.text)
	case 'h', 'p':
		t.emit(open + e.prop.members + "]")
	default:
		t.emit(e.text)
	}
	return nil
}

// bracketed is a class in brackets.
type bracketed struct {
	set     ranges
	not     bool
	members string // how regexp2 writes the set
	opaque  bool   // it has no way to
}

func (c *bracketed) add(p property, not bool) {
	if not {
		c.opaque = true // regexp2 gets these wrong beside other members
		c.set = append(c.set, p.set.complement()...)
		return
	}
	c.set = append(c.set, p.set...)
	c.members += p.members
}

func (c *bracketed) runes() ranges {
	if c.not {
		return c.set.complement()
	}
	return c.set
}

// bracket translates the bracketed class at the front of the input.
func (t *translator) bracket() error {
	c, err := t.class(0)
	if err != nil {
		return err
	}
	if c.opaque {
		c.members = ""
		for _, r := range c.runes().sorted() {
			c.members += writeRange(r)
		}
		c.not = false
	}
	switch {
	case c.members == "":
		t.emit("(?:(?!))")
	case c.not:
		t.emit("[^" + c.members + "]")
	default:
		t.emit("[" + c.members + "]")
	}
	return nil
}

// class reads a bracketed class.
func (t *translator) class(depth int) (bracketed, error) {
	var c bracketed
	if depth > 8 {
		return c, errors.New("classes are nested too deep")
	}
	t.in = t.in[1:]
	if strings.HasPrefix(t.in, "^") {
		c.not = true
		t.in = t.in[1:]
	}
	var both *ranges // what stands before &&
	for first := true; t.in != ""; first = false {
		switch {
		case t.in[0] == ']' && !first:
			t.in = t.in[1:]
			if both != nil {
				c.set = both.intersect(c.set)
			}
			if t.fold {
				more := c.set.folded()
				c.add(tablesOf(more), false)
			}
			return c, nil
		case strings.HasPrefix(t.in, "[:"):
			end := strings.Index(t.in, ":]")
			if end < 0 {
				return c, fmt.Errorf("class %s is not supported", quote(t.in))
			}
			name, not := strings.CutPrefix(t.in[2:end], "^")
			p, ok := brackets()[name]
			if !ok {
				return c, fmt.Errorf("class %s is not supported", quote(t.in[:end+2]))
			}
			t.in = t.in[end+2:]
			c.add(p, not)
		case t.in[0] == '[':
			inner, err := t.class(depth + 1)
			if err != nil {
				return c, err
			}
			c.opaque = c.opaque || inner.opaque || inner.not
			c.set = append(c.set, inner.runes()...)
			c.members += inner.members
		case strings.HasPrefix(t.in, "&&"):
			t.in = t.in[2:]
			left := c.set
			if both != nil {
				left = both.intersect(left)
			}
			both, c.set, c.opaque = &left, nil, true
		default:
			if err := t.member(&c); err != nil {
				return c, err
			}
		}
		if len(c.set) > maxRanges || len(c.members) > maxTranslated {
			return c, errLargeSet
		}
	}
	return c, errors.New("a class is not closed")
}

// member reads a rune of a class, a range of them, or an escaped set.
func (t *translator) member(c *bracketed) error {
	lo, err := t.classRune()
	if err != nil {
		return err
	}
	if lo.kind != 0 {
		c.add(lo.prop, lo.not)
		return nil
	}
	r := runeRange{lo.r, lo.r}
	if len(t.in) > 1 && t.in[0] == '-' && t.in[1] != ']' {
		t.in = t.in[1:]
		hi, err := t.classRune()
		if err != nil {
			return err
		}
		if hi.kind != 0 || hi.r < lo.r {
			return fmt.Errorf("%c-%s is not a range", lo.r, hi.text)
		}
		r.hi = hi.r
	}
	c.add(property{writeRange(r), ranges{r}}, false)
	return nil
}

// classRune reads a rune of a class or an escape sequence.
func (t *translator) classRune() (escaped, error) {
	if t.in[0] != '\\' {
		r, n := utf8.DecodeRuneInString(t.in)
		e := escaped{r: r, text: t.in[:n]}
		t.in = t.in[n:]
		return e, nil
	}
	e, err := t.scanEscape()
	switch {
	case err != nil:
		return e, err
	case e.kind == 'b': // a backspace, here
		return escaped{r: '\b', text: e.text}, nil
	case strings.IndexByte("BAzZG", e.kind) >= 0 && e.kind != 0:
		return e, fmt.Errorf("%q in a class is not supported", e.text)
	}
	return e, nil
}
