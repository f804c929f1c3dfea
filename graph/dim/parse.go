package dim

import (
	"fmt"
	"strconv"
)

// Parse reads an expression of integers, symbols, + - *, / (floor division by
// a positive constant) and parentheses, with the usual precedence. At most
// 1024 bytes.
func Parse(s string) (Dim, error) {
	if len(s) > 1024 {
		return Dim{}, fmt.Errorf("dim: expression of %d bytes is too long", len(s))
	}
	p := parser{s: s}
	d := p.sum(0)
	p.space()
	if p.err == nil && p.i != len(p.s) {
		p.fail("unexpected %q", p.s[p.i])
	}
	if p.err != nil {
		return Dim{}, p.err
	}
	if err := d.Valid(); err != nil {
		return Dim{}, fmt.Errorf("%w in %q", err, s)
	}
	return d, nil
}

type parser struct {
	s   string
	i   int
	err error
}

func (p *parser) fail(format string, args ...any) {
	if p.err == nil {
		p.err = fmt.Errorf("dim: %q at %d: %s", p.s, p.i, fmt.Sprintf(format, args...))
	}
}

func (p *parser) space() {
	for p.i < len(p.s) && p.s[p.i] == ' ' {
		p.i++
	}
}

func (p *parser) peek() byte {
	p.space()
	if p.err != nil || p.i >= len(p.s) {
		return 0
	}
	return p.s[p.i]
}

func (p *parser) sum(depth int) Dim {
	if depth > 16 {
		p.fail("parentheses are nested too deeply")
		return Dim{}
	}
	var d Dim
	neg := false
	if p.peek() == '-' {
		p.i++
		neg = true
	}
	for {
		t := p.product(depth)
		if neg {
			t = t.MulInt(-1)
		}
		d = d.Add(t)
		switch p.peek() {
		case '+':
			neg = false
		case '-':
			neg = true
		default:
			return d
		}
		p.i++
	}
}

func (p *parser) product(depth int) Dim {
	d := p.atom(depth)
	for {
		switch p.peek() {
		case '*':
			p.i++
			d = d.Mul(p.atom(depth))
		case '/':
			p.i++
			n, ok := p.atom(depth).Const()
			if !ok || n <= 0 {
				p.fail("division is by positive constants only")
				return Dim{}
			}
			d = d.Div(n)
		default:
			return d
		}
		if p.err != nil {
			return Dim{}
		}
	}
}

func (p *parser) atom(depth int) Dim {
	c := p.peek()
	start := p.i
	switch {
	case c == '(':
		p.i++
		d := p.sum(depth + 1)
		if p.peek() != ')' {
			p.fail("missing )")
			return Dim{}
		}
		p.i++
		return d
	case '0' <= c && c <= '9':
		for p.i < len(p.s) && '0' <= p.s[p.i] && p.s[p.i] <= '9' {
			p.i++
		}
		n, err := strconv.ParseInt(p.s[start:p.i], 10, 64)
		if err != nil {
			p.fail("%v", err)
		}
		return Of(n)
	case ValidName(string(rune(c))):
		for p.i < len(p.s) && ValidName("a"+string(rune(p.s[p.i]))) {
			p.i++
		}
		return Sym(p.s[start:p.i])
	}
	p.fail("want a number, a symbol or (")
	return Dim{}
}
