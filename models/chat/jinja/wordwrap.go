package jinja

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

func isWordRune(c rune) bool { return c == '_' || unicode.IsLetter(c) || unicode.IsNumber(c) }

// filterWordWrap wraps each line of a text as Python's textwrap does.
func filterWordWrap(r *renderer, v value, a callArgs) value {
	p := r.bind("wordwrap", a, "width?", "break_long_words?", "wrapstring?", "break_on_hyphens?")
	s, ok := text(v)
	if !ok {
		r.defined(v)
		panic(r.errorf("wordwrap: a string is required, not %s", typeName(v)))
	}
	w := wrapper{width: r.intOr("wordwrap", "width", p[0], 79), breakLong: p[1] == nil || truth(p[1]), hyphens: p[3] == nil || truth(p[3])}
	if w.width <= 0 {
		panic(r.errorf("wordwrap: invalid width %d (must be > 0)", w.width))
	}
	sep := "\n"
	if given(p[2]) {
		sep = r.textArg("wordwrap", "wrapstring", p[2])
	}
	r.alloc(product(2*valueSize, len(s)))
	var out []string
	for _, line := range r.lines(s, false) {
		out = append(out, r.join(sep, w.wrap(line)))
	}
	return r.join(sep, out)
}

type wrapper struct {
	width     int
	breakLong bool
	hyphens   bool
}

// chunks cuts a line into words, parts of hyphenated words, and runs of white
// space.
func (w wrapper) chunks(s string) []string {
	var out []string
	for s != "" {
		white := w.isSpace(firstRune(s))
		n := strings.IndexFunc(s, func(c rune) bool { return w.isSpace(c) != white })
		if n < 0 {
			n = len(s)
		}
		word := s[:n]
		s = s[n:]
		if white || !w.hyphens {
			out = append(out, word)
			continue
		}
		out = append(out, hyphenated(word)...)
	}
	return out
}

func firstRune(s string) rune {
	c, _ := utf8.DecodeRuneInString(s)
	return c
}

// isSpace is textwrap's white space: ASCII only.
func (wrapper) isSpace(c rune) bool { return strings.ContainsRune("\t\n\v\f\r ", c) }

// hyphenated cuts a word behind hyphens between letters and around dashes.
func hyphenated(word string) []string {
	var out []string
	start := 0
	for i := 0; i < len(word); i++ {
		if word[i] != '-' {
			continue
		}
		end := i
		for end < len(word) && word[end] == '-' {
			end++
		}
		before, _ := utf8.DecodeLastRuneInString(word[:i])
		after, n := utf8.DecodeRuneInString(word[end:])
		switch {
		case end-i >= 2 && i > start && n > 0 && (isWordRune(before) || strings.ContainsRune("!\"'&.,?", before)) && isWordRune(after):
			out = append(out, word[start:i], word[i:end])
			start = end
		case end-i == 1 && i > start && endsInLetters(word[start:i]) && beginsWithLetters(word[end:]):
			out = append(out, word[start:end])
			start = end
		}
		i = end - 1
	}
	if start < len(word) {
		out = append(out, word[start:])
	}
	return out
}

func isLetter(c rune) bool { return isWordRune(c) && (c < '0' || c > '9') }

// endsInLetters reports whether the last two characters of s are letters.
func endsInLetters(s string) bool {
	last, n := utf8.DecodeLastRuneInString(s)
	before, _ := utf8.DecodeLastRuneInString(s[:len(s)-n])
	return len(s) > n && isLetter(last) && isLetter(before)
}

// beginsWithLetters reports whether s begins with two letters, which a hyphen
// may part.
func beginsWithLetters(s string) bool {
	first, n := utf8.DecodeRuneInString(s)
	rest := strings.TrimPrefix(s[n:], "-")
	second, _ := utf8.DecodeRuneInString(rest)
	return rest != "" && isLetter(first) && isLetter(second)
}

func (w wrapper) wrap(line string) []string {
	chunks := w.chunks(line)
	var out []string
	for len(chunks) > 0 {
		if len(out) > 0 && strings.TrimFunc(chunks[0], w.isSpace) == "" {
			chunks = chunks[1:]
		}
		var cur []string
		size := 0
		for len(chunks) > 0 {
			n := utf8.RuneCountInString(chunks[0])
			if size+n > w.width {
				break
			}
			cur = append(cur, chunks[0])
			size += n
			chunks = chunks[1:]
		}
		if len(chunks) > 0 && utf8.RuneCountInString(chunks[0]) > w.width {
			switch room := max(1, w.width-size); {
			case w.breakLong:
				cut := byteOffset(chunks[0], room)
				cur = append(cur, chunks[0][:cut])
				chunks[0] = chunks[0][cut:]
			case len(cur) == 0:
				cur = append(cur, chunks[0])
				chunks = chunks[1:]
			}
		}
		if n := len(cur); n > 0 && strings.TrimFunc(cur[n-1], w.isSpace) == "" {
			cur = cur[:n-1]
		}
		if len(cur) > 0 {
			out = append(out, strings.Join(cur, ""))
		}
	}
	return out
}
