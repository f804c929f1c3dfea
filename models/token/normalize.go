package token

import (
	"encoding/json"
	"fmt"
	"slices"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// normalizer rewrites text before it is split.
type normalizer interface {
	normalize(f fragment, limit *limit) (fragment, error)
}

// normalizeString is normalize for a string by itself.
func normalizeString(n normalizer, s string) (string, error) {
	if n == nil {
		return s, nil
	}
	f, err := n.normalize(newFragment(s, false), newLimit(len(s)))
	return f.text, err
}

type normalizers []normalizer

func (ns normalizers) normalize(f fragment, limit *limit) (fragment, error) {
	for _, n := range ns {
		var err error
		if f, err = n.normalize(f, limit); err != nil {
			return f, err
		}
	}
	return f, nil
}

// prepender puts a string before text that is not empty.
type prepender string

func (p prepender) normalize(f fragment, _ *limit) (fragment, error) { return prepend(&f, string(p)) }

// replacer puts content in place of what a pattern matches.
type replacer struct {
	pattern pattern
	content string
}

func (r replacer) normalize(f fragment, limit *limit) (fragment, error) {
	cuts, err := r.pattern.find(f.text, limit)
	if err != nil {
		return f, err
	}
	e := edit(&f)
	for _, c := range cuts {
		if c.match {
			e.skip(c.end - c.start)
			e.insert(r.content)
		} else {
			e.keep(c.end - c.start)
		}
	}
	return e.result()
}

// filter keeps the runes for which it is true.
type filter func(rune) bool

func (keep filter) normalize(f fragment, _ *limit) (fragment, error) {
	e := edit(&f)
	for _, r := range f.text {
		if keep(r) {
			e.keep(runeLen(r))
		} else {
			e.skip(runeLen(r))
		}
	}
	return e.result()
}

// stripper removes blanks at the ends.
type stripper struct{ left, right bool }

func (s stripper) normalize(f fragment, _ *limit) (fragment, error) {
	start, end := 0, len(f.text)
	if s.left {
		start = end - len(trimSpaceLeft(f.text))
	}
	if s.right {
		end = start + len(trimSpaceRight(f.text[start:]))
	}
	out := f.slice(start, end)
	out.first = f.first
	return out, nil
}

// lowercaser is Unicode's lower case, rune by rune.
type lowercaser struct{}

func (lowercaser) normalize(f fragment, _ *limit) (fragment, error) {
	e := edit(&f)
	for _, r := range f.text {
		e.replace(unicode.ToLower(r), 1)
		if r == 'İ' { // the one rune whose lower case is two
			e.insert("\u0307")
		}
	}
	return e.result()
}

// byteSpeller writes each byte as a rune of the byte-level alphabet.
type byteSpeller struct{}

func (byteSpeller) normalize(f fragment, _ *limit) (fragment, error) {
	e := edit(&f)
	for i := 0; i < len(f.text); {
		n := e.pos
		e.replace(byteRunes[f.text[i]], 1)
		n = e.pos - n
		for k := 1; k < n; k++ {
			e.insert(string(byteRunes[f.text[i+k]]))
		}
		i += n
	}
	return e.result()
}

// form is one of Unicode's normalization forms.
type form struct {
	form, decomposed norm.Form
}

var (
	formC  = form{norm.NFC, norm.NFD}
	formD  = form{norm.NFD, norm.NFD}
	formKC = form{norm.NFKC, norm.NFKD}
	formKD = form{norm.NFKD, norm.NFKD}
)

func (n form) normalize(f fragment, _ *limit) (fragment, error) {
	if n.form.IsNormalString(f.text) {
		return f, nil
	}
	if f.spans == nil {
		s := n.form.String(f.text)
		if len(s) > maxNormalized {
			return f, fmt.Errorf("normalizing makes the text longer than %d bytes", maxNormalized)
		}
		f.text = s
		return f, nil
	}
	e := edit(&f)
	for e.pos < len(f.text) && !e.full {
		rest := f.text[e.pos:]
		size := n.form.NextBoundaryInString(rest, true)
		if size <= 0 {
			size = len(rest)
		}
		if n.form.IsNormalString(rest[:size]) {
			e.keep(size)
		} else {
			n.segment(e, rest[:size])
		}
	}
	return e.result()
}

// part is a rune of a decomposed segment. change is 0 for the first of the
// runes that a rune of the source becomes, and 1 for the others, which count as
// inserted.
type part struct {
	r      rune
	change int
	used   bool
}

// segment rewrites a stretch of text that normalizes by itself. Which runes
// come from where follows the reference: it records for each rune of the result
// how many runes it adds (1) or takes away (below 0), composing sums that up, and
// the source is consumed accordingly.
func (n form) segment(e *editor, text string) {
	end := e.pos + len(text)
	var parts []part
	for _, r := range text {
		for i, d := range []rune(n.decomposed.String(string(r))) {
			parts = append(parts, part{r: d, change: min(i, 1)})
		}
	}
	reorder(parts)
	next := 0 // the parts before it are used
	for _, r := range n.form.String(text) {
		change := 1
		for _, d := range n.decomposed.String(string(r)) {
			for i := next; i < len(parts); i++ {
				if !parts[i].used && parts[i].r == d {
					parts[i].used = true
					change += parts[i].change - 1
					break
				}
			}
		}
		for next < len(parts) && parts[next].used {
			next++
		}
		if change > 0 {
			e.insert(string(r))
		} else {
			e.replace(r, 1-change)
		}
	}
	e.pos = end
}

// reorder puts runs of combining marks into canonical order.
func reorder(parts []part) {
	class := func(p part) uint8 { return norm.NFD.PropertiesString(string(p.r)).CCC() }
	for i := 0; i < len(parts); {
		end := i
		for end < len(parts) && class(parts[end]) != 0 {
			end++
		}
		slices.SortStableFunc(parts[i:end], func(a, b part) int { return int(class(a)) - int(class(b)) })
		i = end + 1
	}
}

// parseNormalizer reads a normalizer of tokenizer.json; nil for null.
func parseNormalizer(raw json.RawMessage, st *steps) (normalizer, error) {
	kind, err := st.enter("normalizer", raw)
	defer st.leave()
	if err != nil || kind == "" {
		return nil, err
	}
	var c struct {
		Normalizers []json.RawMessage `json:"normalizers"`
		Prepend     string            `json:"prepend"`
		Pattern     json.RawMessage   `json:"pattern"`
		Content     string            `json:"content"`
		Left        bool              `json:"strip_left"`
		Right       bool              `json:"strip_right"`
	}
	if err := json.Unmarshal(raw, &c); err != nil {
		return nil, fmt.Errorf("normalizer %s: %w", kind, err)
	}
	switch kind {
	case "Sequence":
		var ns normalizers
		for i, r := range c.Normalizers {
			n, err := parseNormalizer(r, st)
			if err != nil {
				return nil, fmt.Errorf("normalizers[%d]: %w", i, err)
			}
			if n != nil {
				ns = append(ns, n)
			}
		}
		return ns, nil
	case "NFC":
		return formC, nil
	case "NFD":
		return formD, nil
	case "NFKC":
		return formKC, nil
	case "NFKD":
		return formKD, nil
	case "Lowercase":
		return lowercaser{}, nil
	case "Prepend":
		return prepender(c.Prepend), nil
	case "Replace":
		p, err := parsePattern(c.Pattern)
		if err != nil {
			return nil, fmt.Errorf("normalizer Replace: %w", err)
		}
		return replacer{p, c.Content}, nil
	case "Strip":
		return stripper{c.Left, c.Right}, nil
	case "StripAccents":
		return filter(func(r rune) bool { return !unicode.Is(unicode.Mn, r) }), nil
	case "ByteLevel":
		return byteSpeller{}, nil
	}
	return nil, fmt.Errorf("normalizer %s is not supported", quote(kind))
}
