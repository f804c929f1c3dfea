package token

import (
	"encoding/json"
	"fmt"
	"unicode"
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
		return filter(func(r rune) bool { return !unicode.IsMark(r) }), nil
	case "ByteLevel":
		return byteSpeller{}, nil
	}
	return nil, fmt.Errorf("normalizer %s is not supported", quote(kind))
}
