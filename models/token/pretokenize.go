package token

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// preTokenizer splits fragments of text further; added tokens pass through.
// No fragment of its result is empty.
type preTokenizer interface {
	split(in []fragment, limit *limit) ([]fragment, error)
}

type preTokenizers []preTokenizer

func (ps preTokenizers) split(frags []fragment, limit *limit) ([]fragment, error) {
	for _, p := range ps {
		var err error
		if frags, err = p.split(frags, limit); err != nil {
			return nil, err
		}
	}
	return frags, nil
}

// behavior says what becomes of the text that a pattern matches.
type behavior int

const (
	isolated           behavior = iota // a piece of its own
	removed                            // nothing
	mergedWithPrevious                 // the end of the piece before
	mergedWithNext                     // the beginning of the piece behind
	contiguous                         // one piece with the matches next to it
)

var behaviors = map[string]behavior{
	"Isolated":           isolated,
	"Removed":            removed,
	"MergedWithPrevious": mergedWithPrevious,
	"MergedWithNext":     mergedWithNext,
	"Contiguous":         contiguous,
}

// splitter splits at the matches of a pattern, or with invert at the gaps
// between them.
type splitter struct {
	pattern  pattern
	behavior behavior
	invert   bool
}

func (s splitter) split(in []fragment, limit *limit) ([]fragment, error) {
	out := make([]fragment, 0, len(in))
	for i := range in {
		if in[i].id != noID {
			out = append(out, in[i])
			continue
		}
		var err error
		if out, err = s.splitOne(out, &in[i], limit); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (s splitter) splitOne(out []fragment, f *fragment, limit *limit) ([]fragment, error) {
	cuts, err := s.pattern.find(f.text, limit)
	if err != nil {
		return nil, err
	}
	if s.invert {
		for i := range cuts {
			cuts[i].match = !cuts[i].match
		}
	}
	for _, c := range s.behavior.apply(cuts) {
		if c.end > c.start && !(c.match && s.behavior == removed) {
			out = append(out, f.slice(c.start, c.end))
		}
	}
	return out, nil
}

// apply joins cuts in place as the behavior asks for.
func (b behavior) apply(cuts []cut) []cut {
	if b == isolated || b == removed || len(cuts) == 0 {
		return cuts
	}
	n := 1
	for i := 1; i < len(cuts); i++ {
		c, before := cuts[i], cuts[i-1].match // not overwritten: n <= i
		join := false
		switch b {
		case contiguous:
			join = c.match == before
		case mergedWithPrevious:
			join = c.match && !before
		case mergedWithNext:
			// A match joins what follows it unless that is a match, too.
			join = before && !c.match
		}
		if join {
			cuts[n-1].end = c.end
		} else {
			cuts[n] = c
			n++
		}
	}
	return cuts[:n]
}

// digitSplitter isolates numbers, each rune by itself or each run.
func digitSplitter(individual bool) splitter {
	b := contiguous
	if individual {
		b = isolated
	}
	return splitter{pattern: runeSet(unicode.IsNumber), behavior: b}
}

// wordPattern is the pattern \w+|[^\w\s]+ of the Whitespace pre-tokenizer.
type wordPattern struct{}

func (wordPattern) find(text string, _ *limit) ([]cut, error) {
	c := cutter{text: text}
	kind := func(r rune) int {
		switch {
		case isWord(r):
			return 1
		case unicode.IsSpace(r):
			return 0
		}
		return 2
	}
	start, last := 0, 0
	for i, r := range text {
		if k := kind(r); k != last {
			if last != 0 {
				c.add(start, i)
			}
			start, last = i, k
		}
	}
	if last != 0 {
		c.add(start, len(text))
	}
	return c.finish(), nil
}

func isPunctuation(r rune) bool {
	if r < utf8.RuneSelf {
		return r >= '!' && r <= '/' || r >= ':' && r <= '@' || r >= '[' && r <= '`' || r >= '{' && r <= '~'
	}
	return unicode.Is(unicode.P, r)
}

// metaspace writes blanks as a visible rune and splits before it.
type metaspace struct {
	replacement string
	prepend     prependScheme
	pieces      bool // split before each replacement
}

type prependScheme int

const (
	prependAlways prependScheme = iota
	prependFirst                // only at the beginning of the whole text
	prependNever
)

// needsSpans says whether a chain splits by where in the text its fragments come
// from, and the steps before that may rewrite them.
func needsSpans(n normalizer, p preTokenizer) bool {
	ps, ok := p.(preTokenizers)
	if !ok {
		ps = preTokenizers{p}
	}
	for i, p := range ps {
		m, ok := p.(metaspace)
		if ok && m.prepend == prependFirst && (n != nil || i > 0) {
			return true
		}
		if _, ok := p.(preTokenizers); ok && needsSpans(n, p) {
			return true
		}
	}
	return false
}

func (m metaspace) split(in []fragment, limit *limit) ([]fragment, error) {
	out := make([]fragment, 0, len(in))
	for _, f := range in {
		if f.id != noID {
			out = append(out, f)
			continue
		}
		f, err := replacer{literal(" "), m.replacement}.normalize(f, limit)
		if err != nil {
			return nil, err
		}
		if !strings.HasPrefix(f.text, m.replacement) && (m.prepend == prependAlways || m.prepend == prependFirst && f.text != "" && f.atStart()) {
			if f, err = prepend(&f, m.replacement); err != nil {
				return nil, err
			}
		}
		if !m.pieces {
			out = append(out, f)
			continue
		}
		s := splitter{pattern: literal(m.replacement), behavior: mergedWithNext}
		if out, err = s.splitOne(out, &f, limit); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// byteLevel writes pieces in the byte-level alphabet, after splitting them
// with GPT-2's pattern where asked.
type byteLevel struct {
	addPrefixSpace bool
	useRegex       bool
}

func (b byteLevel) split(in []fragment, limit *limit) ([]fragment, error) {
	if b.addPrefixSpace {
		for i := range in {
			if in[i].id == noID && !strings.HasPrefix(in[i].text, " ") {
				f, err := prepend(&in[i], " ")
				if err != nil {
					return nil, err
				}
				in[i] = f
			}
		}
	}
	if b.useRegex {
		var err error
		s := splitter{pattern: families[gpt2Pattern]}
		if in, err = s.split(in, limit); err != nil {
			return nil, err
		}
	}
	// One string for all pieces is one allocation instead of one for each.
	var all strings.Builder
	for i := range in {
		if in[i].id == noID {
			for k := range len(in[i].text) {
				all.WriteRune(byteRunes[in[i].text[k]])
			}
		}
	}
	if all.Len() > maxNormalized {
		return nil, fmt.Errorf("pre-tokenizing makes the text longer than %d bytes", maxNormalized)
	}
	spelled := all.String()
	for i := range in {
		f := &in[i]
		if f.id != noID {
			continue
		}
		n := 0
		for k := range len(f.text) {
			n += runeLen(byteRunes[f.text[k]])
		}
		if f.spans != nil {
			spans := make([]span, 0, n)
			for k := range len(f.text) {
				for range runeLen(byteRunes[f.text[k]]) {
					spans = append(spans, f.spans[k])
				}
			}
			f.spans = spans
		}
		f.text, spelled = spelled[:n], spelled[n:]
	}
	return in, nil
}

// parsePreTokenizer reads a pre-tokenizer of tokenizer.json; nil for null.
func parsePreTokenizer(raw json.RawMessage, st *steps) (preTokenizer, error) {
	kind, err := st.enter("pre-tokenizer", raw)
	defer st.leave()
	if err != nil || kind == "" {
		return nil, err
	}
	c := struct {
		PreTokenizers    []json.RawMessage `json:"pretokenizers"`
		Pattern          json.RawMessage   `json:"pattern"`
		Behavior         string            `json:"behavior"`
		Invert           bool              `json:"invert"`
		IndividualDigits bool              `json:"individual_digits"`
		AddPrefixSpace   *bool             `json:"add_prefix_space"`
		UseRegex         *bool             `json:"use_regex"`
		Replacement      string            `json:"replacement"`
		PrependScheme    string            `json:"prepend_scheme"`
		Split            *bool             `json:"split"`
		Delimiter        string            `json:"delimiter"`
	}{}
	if err := json.Unmarshal(raw, &c); err != nil {
		return nil, fmt.Errorf("pre-tokenizer %s: %w", kind, err)
	}
	switch kind {
	case "Sequence":
		var ps preTokenizers
		for i, r := range c.PreTokenizers {
			p, err := parsePreTokenizer(r, st)
			if err != nil {
				return nil, fmt.Errorf("pretokenizers[%d]: %w", i, err)
			}
			if p != nil {
				ps = append(ps, p)
			}
		}
		return ps, nil
	case "ByteLevel":
		return byteLevel{orDefault(c.AddPrefixSpace, true), orDefault(c.UseRegex, true)}, nil
	case "Split":
		p, err := parsePattern(c.Pattern)
		if err != nil {
			return nil, fmt.Errorf("pre-tokenizer Split: %w", err)
		}
		b, ok := behaviors[c.Behavior]
		if !ok {
			return nil, fmt.Errorf("pre-tokenizer Split: behavior %s is unknown", quote(c.Behavior))
		}
		return splitter{p, b, c.Invert}, nil
	case "Digits":
		return digitSplitter(c.IndividualDigits), nil
	case "Punctuation":
		b, ok := behaviors[c.Behavior]
		if !ok && c.Behavior != "" { // isolated when absent
			return nil, fmt.Errorf("pre-tokenizer Punctuation: behavior %s is unknown", quote(c.Behavior))
		}
		return splitter{pattern: runeSet(isPunctuation), behavior: b}, nil
	case "Whitespace":
		return splitter{pattern: wordPattern{}, behavior: removed, invert: true}, nil
	case "WhitespaceSplit":
		return splitter{pattern: runeSet(unicode.IsSpace), behavior: removed}, nil
	case "BertPreTokenizer":
		return preTokenizers{
			splitter{pattern: runeSet(unicode.IsSpace), behavior: removed},
			splitter{pattern: runeSet(isPunctuation), behavior: isolated},
		}, nil
	case "CharDelimiterSplit":
		if c.Delimiter == "" {
			return nil, fmt.Errorf("pre-tokenizer CharDelimiterSplit: the delimiter is empty")
		}
		return splitter{pattern: literal(c.Delimiter), behavior: removed}, nil
	case "Metaspace":
		scheme, err := parsePrependScheme(c.PrependScheme, c.AddPrefixSpace)
		if err != nil {
			return nil, fmt.Errorf("pre-tokenizer Metaspace: %w", err)
		}
		if utf8.RuneCountInString(c.Replacement) != 1 {
			return nil, fmt.Errorf("pre-tokenizer Metaspace: replacement %s, want one character", quote(c.Replacement))
		}
		return metaspace{c.Replacement, scheme, orDefault(c.Split, true)}, nil
	}
	return nil, fmt.Errorf("pre-tokenizer %s is not supported", quote(kind))
}

// parsePrependScheme reads Metaspace's prepend_scheme, or the add_prefix_space
// of older files.
func parsePrependScheme(s string, addPrefixSpace *bool) (prependScheme, error) {
	switch s {
	case "always":
		return prependAlways, nil
	case "first":
		return prependFirst, nil
	case "never":
		return prependNever, nil
	case "":
		if orDefault(addPrefixSpace, true) {
			return prependAlways, nil
		}
		return prependNever, nil
	}
	return 0, fmt.Errorf("prepend_scheme %s is unknown", quote(s))
}

func orDefault(b *bool, def bool) bool {
	if b == nil {
		return def
	}
	return *b
}
