package token

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/dlclark/regexp2"
)

const (
	maxPattern = 1 << 14 // bytes of a pattern in a tokenizer file
	// matchTimeout bounds one search of a pattern, and patternTime all searches
	// of one text; a text of n bytes gets patternTimePerByte each on top. A
	// backtracking pattern can need exponential time.
	matchTimeout       = 2 * time.Second
	patternTime        = 2 * time.Second
	patternTimePerByte = 20 * time.Microsecond
)

// cut is a piece of a text that a pattern went over: a match, or what lies
// between two.
type cut struct {
	start, end int
	match      bool
}

// pattern finds its matches in a text. find returns them with the gaps between
// them: the cuts cover the text, in order.
type pattern interface {
	find(text string, limit *limit) ([]cut, error)
}

// limit is the time that the patterns may spend on one text.
type limit struct{ deadline time.Time }

func newLimit(bytes int) *limit {
	return &limit{time.Now().Add(patternTime + time.Duration(bytes)*patternTimePerByte)}
}

var errSlowPattern = errors.New("the pattern takes too long on this text: it backtracks; the tokenizer file needs a better one")

// cutter collects cuts.
type cutter struct {
	text string
	cuts []cut
	end  int // of the last match
}

func (c *cutter) add(start, end int) {
	if c.end < start {
		c.cuts = append(c.cuts, cut{c.end, start, false})
	}
	c.cuts = append(c.cuts, cut{start, end, true})
	c.end = end
}

func (c *cutter) finish() []cut {
	if c.end < len(c.text) {
		c.cuts = append(c.cuts, cut{c.end, len(c.text), false})
	}
	return c.cuts
}

// literal matches a string that is not empty.
type literal string

func (p literal) find(text string, _ *limit) ([]cut, error) {
	c := cutter{text: text}
	for {
		i := strings.Index(text[c.end:], string(p))
		if i < 0 {
			return c.finish(), nil
		}
		c.add(c.end+i, c.end+i+len(p))
	}
}

// runeSet matches each single rune of a set.
type runeSet func(rune) bool

func (p runeSet) find(text string, _ *limit) ([]cut, error) {
	c := cutter{text: text}
	for i, r := range text {
		if p(r) {
			c.add(i, i+runeLen(r))
		}
	}
	return c.finish(), nil
}

// runs matches runs of a set of runes, with one blank before them where blank
// is set: \s?[set]+.
type runs struct {
	set   runeSet
	blank bool
}

func (p runs) find(text string, _ *limit) ([]cut, error) {
	c := cutter{text: text}
	start, inside := 0, false // of the run that may go on
	before := -1              // where the blank before i begins
	for i, r := range text {
		in := p.set(r)
		switch {
		case in && !inside:
			if start = i; p.blank && before >= c.end {
				start = before
			}
		case !in && inside:
			c.add(start, i)
		}
		inside, before = in, -1
		if unicode.IsSpace(r) {
			before = i
		}
	}
	if inside {
		c.add(start, len(text))
	}
	return c.finish(), nil
}

// regex stands for a regular expression that is yet to be compiled.
type regex string

func (p regex) find(text string, limit *limit) ([]cut, error) {
	compiled, err := compilePattern(string(p))
	if err != nil {
		return nil, err
	}
	return compiled.find(text, limit)
}

// find implements pattern.
func (p family) find(text string, _ *limit) ([]cut, error) {
	cuts := make([]cut, 0, len(text)/4+1)
	for i := 0; i < len(text); {
		end := p.next(text, i)
		cuts = append(cuts, cut{i, end, true})
		i = end
	}
	return cuts, nil
}

// trailingSpaces matches \s+$ with $ before each line feed and at the end. A
// backtracking engine needs quadratic time for it.
type trailingSpaces struct{}

func (trailingSpaces) find(text string, _ *limit) ([]cut, error) {
	c := cutter{text: text}
	for i := 0; i < len(text); {
		kind, n := classify(text, i)
		if kind != classSpace {
			i += n
			continue
		}
		end := run(text, i, classSpace)
		if end == len(text) {
			c.add(i, end)
		} else if k := strings.LastIndexByte(text[i:end], '\n'); k > 0 {
			c.add(i, i+k)
		}
		i = end
	}
	return c.finish(), nil
}

// expression is a regular expression in the dialect of tokenizer.json.
type expression struct {
	source string
	re     *regexp2.Regexp
}

func (p *expression) find(text string, limit *limit) ([]cut, error) {
	c := cutter{text: text}
	runes := []rune(text)
	fail := func(err error) ([]cut, error) {
		return nil, fmt.Errorf("pattern %s: %w", quote(p.source), err)
	}
	at, atByte := 0, 0 // the same place in runes and in bytes
	advance := func(to int) int {
		for ; at < to; at++ {
			atByte += runeLen(runes[at])
		}
		return atByte
	}
	if text == "" { // the reference does not look at it
		return nil, nil
	}
	last := -1 // where the last match ended
	m, err := p.re.FindRunesMatch(runes)
	for n := 1; m != nil && err == nil; n++ {
		// An empty match right behind another match does not count.
		if end := m.Index + m.Length; m.Length > 0 || end != last {
			start := advance(m.Index)
			c.add(start, advance(end))
			last = end
		}
		if n%64 == 0 && time.Now().After(limit.deadline) {
			return fail(errSlowPattern)
		}
		m, err = p.re.FindNextMatch(m)
	}
	if err != nil || time.Now().After(limit.deadline) {
		return fail(errSlowPattern) // the engine has no other error
	}
	return c.finish(), nil
}

// compilePattern returns the fastest matcher for a regular expression.
func compilePattern(source string) (pattern, error) {
	if f, ok := families[source]; ok {
		return f, nil
	}
	if source == `\s+$` {
		return trailingSpaces{}, nil
	}
	return compileExpression(source)
}

func compileExpression(source string) (p *expression, err error) {
	if len(source) > maxPattern {
		return nil, fmt.Errorf("pattern of %d bytes, more than %d", len(source), maxPattern)
	}
	if source == "" {
		return nil, errors.New("the pattern is empty")
	}
	// The engine reports some mistakes by panicking.
	defer func() {
		if r := recover(); r != nil {
			p, err = nil, fmt.Errorf("pattern %s: %v", quote(source), r)
		}
	}()
	translated, err := translate(source)
	if err != nil {
		return nil, fmt.Errorf("pattern %s: %w", quote(source), err)
	}
	// Where tokenizer.json comes from, ^ and $ always mean lines.
	re, err := regexp2.Compile(translated, regexp2.Multiline)
	if err != nil {
		return nil, fmt.Errorf("pattern %s: %w", quote(source), err)
	}
	re.MatchTimeout = matchTimeout
	return &expression{source, re}, nil
}

// quote shows a string from a file in an error message, shortened.
func quote(s string) string {
	const most = 60
	if len(s) > most {
		cut := most
		for cut > 0 && !utf8.RuneStart(s[cut]) {
			cut--
		}
		return fmt.Sprintf("%q...", s[:cut])
	}
	return fmt.Sprintf("%q", s)
}
