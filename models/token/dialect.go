package token

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// translate rewrites a regular expression from the dialect of tokenizer.json
// (Oniguruma with Ruby's syntax) to that of regexp2 (.NET). Most of both is the same;
// where they differ without a counterpart, it refuses rather than match
// something else.
func translate(source string) (string, error) {
	t := translator{in: source, atom: -1}
	if err := t.run(); err != nil {
		return "", err
	}
	return t.out.String(), nil
}

type translator struct {
	in     string
	out    outBuffer
	atom   int // where the last atom begins in out, -1 where none can be repeated
	fold   bool
	groups []group
	wraps  int
}

type group struct {
	start int
	fold  bool // of the text around the group
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

// word is what \w means: more than regexp2 takes it for.
const word = `\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc}\p{Other_Alphabetic}`

var quantifier = regexp.MustCompile(`^(?:[*+?]|\{\d+(?:,\d*)?\}|\{,\d+\})`)

func (t *translator) run() error {
	for t.in != "" {
		switch c := t.in[0]; {
		case c == '\\':
			s, err := t.escape(false)
			if err != nil {
				return err
			}
			t.emit(s)
		case c == '[':
			s, err := t.class()
			if err != nil {
				return err
			}
			t.emit(s)
		case c == '(':
			if err := t.open(); err != nil {
				return err
			}
		case c == ')':
			n := len(t.groups)
			if n == 0 {
				return errors.New("a closing parenthesis too many")
			}
			g := t.groups[n-1]
			t.groups = t.groups[:n-1]
			t.out.add(")")
			t.atom, t.fold, t.in = g.start, g.fold, t.in[1:]
		case c == '|':
			t.out.add("|")
			t.atom, t.in = -1, t.in[1:]
		case quantifier.MatchString(t.in):
			if err := t.repeat(quantifier.FindString(t.in)); err != nil {
				return err
			}
		default:
			_, n := utf8.DecodeRuneInString(t.in)
			s := t.in[:n]
			t.in = t.in[n:]
			if t.fold && (s == "s" || s == "S") {
				s = "[sſ]" // regexp2 folds with ToLower, which leaves ſ alone
			}
			t.emit(s)
		}
	}
	if len(t.groups) > 0 {
		return errors.New("a parenthesis is not closed")
	}
	return nil
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
		t.groups = append(t.groups, group{start, t.fold})
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
			flags += "-"
		case 'i':
			fold = on
			flags += "i"
		case 'm': // there: the dot matches line ends
			flags += "s"
		default:
			return fmt.Errorf("group %s is not supported", quote(t.in[:end+1]))
		}
	}
	inline := t.in[end] == ')'
	t.in = t.in[end+1:]
	if inline {
		t.out.add("(?" + flags + ")")
		t.fold, t.atom = fold, -1
		return nil
	}
	enter("(?"+flags+":", fold)
	return nil
}

var escapeForms = regexp.MustCompile(`^\\(?:([pP])\{(\^?)([A-Za-z_ ]+)\}|x\{([0-9A-Fa-f]{1,6})\}|x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|[\s\S])`)

// escape translates the escape sequence at the front of the input, for use
// inside or outside a class.
func (t *translator) escape(inClass bool) (string, error) {
	m := escapeForms.FindStringSubmatch(t.in)
	if m == nil {
		return "", errors.New("a backslash at the end")
	}
	t.in = t.in[len(m[0]):]
	if m[1] != "" {
		letter, name := m[1], m[3]
		if m[2] != "" { // \p{^L} is \P{L}
			letter = map[string]string{"p": "P", "P": "p"}[letter]
		}
		if short, ok := unicode.CategoryAliases[name]; ok {
			name = short
		}
		return `\` + letter + "{" + name + "}", nil
	}
	if m[4] != "" {
		var r rune
		if _, err := fmt.Sscanf(m[4], "%x", &r); err != nil || !utf8.ValidRune(r) {
			return "", fmt.Errorf("%s is not a character", m[0])
		}
		if r < utf8.RuneSelf {
			return fmt.Sprintf(`\x%02x`, r), nil
		}
		return string(r), nil
	}
	switch c := m[0][1]; {
	case c == '_':
		return "_", nil
	case c == 'w' && inClass:
		return word, nil
	case c == 'w':
		return "[" + word + "]", nil
	case c == 'W' && !inClass:
		return "[^" + word + "]", nil
	case c == 'h' && inClass:
		return "0-9A-Fa-f", nil
	case c == 'h':
		return "[0-9A-Fa-f]", nil
	case c == 'H' && !inClass:
		return "[^0-9A-Fa-f]", nil
	case strings.IndexByte("dDsStrnfvaexu", c) >= 0, // the last two with their digits
		!inClass && strings.IndexByte("bBAzZG", c) >= 0:
		if (c == 'x' || c == 'u') && len(m[0]) == 2 {
			return "", fmt.Errorf("%q without digits", m[0])
		}
		return m[0], nil
	case c < utf8.RuneSelf && (unicode.IsLetter(rune(c)) || unicode.IsDigit(rune(c))):
		return "", fmt.Errorf("%q is not supported", m[0])
	case c >= utf8.RuneSelf:
		return m[0][1:], nil
	}
	return m[0], nil
}

// posix are the bracketed class names that tokenizer files have been seen to
// use.
var posix = map[string]string{
	"[:alpha:]": `\p{L}\p{M}\p{Nl}`,
	"[:alnum:]": `\p{L}\p{M}\p{Nl}\p{Nd}`,
	"[:digit:]": `\p{Nd}`,
	"[:lower:]": `\p{Ll}`,
	"[:punct:]": `\p{P}`,
	"[:space:]": `\s`,
	"[:upper:]": `\p{Lu}`,
	"[:word:]":  word,
}

// class translates the bracketed class at the front of the input.
func (t *translator) class() (string, error) {
	var out strings.Builder
	out.WriteByte('[')
	t.in = t.in[1:]
	if strings.HasPrefix(t.in, "^") {
		out.WriteByte('^')
		t.in = t.in[1:]
	}
	long := false // whether ſ belongs to it as well
	for first := true; t.in != ""; first = false {
		switch {
		case t.in[0] == ']' && !first:
			if long {
				out.WriteString("ſ")
			}
			out.WriteByte(']')
			t.in = t.in[1:]
			return out.String(), nil
		case t.in[0] == ']':
			out.WriteString(`\]`)
			t.in = t.in[1:]
		case t.in[0] == '\\':
			s, err := t.escape(true)
			if err != nil {
				return "", err
			}
			out.WriteString(s)
		case strings.HasPrefix(t.in, "[:"):
			end := strings.Index(t.in, ":]")
			if end < 0 || posix[t.in[:end+2]] == "" {
				return "", fmt.Errorf("class %s is not supported", quote(t.in))
			}
			out.WriteString(posix[t.in[:end+2]])
			t.in = t.in[end+2:]
		case t.in[0] == '[':
			return "", errors.New("a class inside a class is not supported")
		case strings.HasPrefix(t.in, "&&"):
			return "", errors.New("the intersection of classes (&&) is not supported")
		default:
			_, n := utf8.DecodeRuneInString(t.in)
			out.WriteString(t.in[:n])
			long = long || t.fold && (t.in[0] == 's' || t.in[0] == 'S')
			t.in = t.in[n:]
		}
	}
	return "", errors.New("a class is not closed")
}
