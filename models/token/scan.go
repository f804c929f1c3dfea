package token

import (
	"unicode"
	"unicode/utf8"
)

// The patterns that nearly all byte-level vocabularies split with are matched
// by hand here: it is some ten times faster than a backtracking engine and
// linear in the text. The tests prove both equal.
//
// family describes such a pattern:
//
//	'(?i:[sdmt]|ll|ve|re)            contractions
//	[^\r\n\p{L}\p{N}]?\p{L}+         (GPT-2: " ?\p{L}+")
//	\p{N}{1,digits}                  (GPT-2: " ?\p{N}+")
//	" ?[^\s\p{L}\p{N}]+[\r\n]*"      (GPT-2 without the [\r\n]*)
//	\s*[\r\n]+                       (not in GPT-2)
//	\s+(?!\S)|\s+
type family struct {
	gpt2   bool
	digits int  // how many digits a piece holds at most, unless gpt2
	fold   fold // of contractions
}

type fold int

const (
	foldNone    fold = iota // 's
	foldASCII               // 's 'S
	foldUnicode             // 's 'S 'ſ, as (?i:) means
)

const (
	gpt2Pattern  = `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`
	modernTail   = `| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	modernFolded = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|`
	modernASCII  = `(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|`
)

// families are the patterns with a scanner of their own.
var families = map[string]family{
	gpt2Pattern: {gpt2: true},
	// llama.cpp leaves the last alternative out, which changes nothing: what no
	// alternative matches becomes a piece as well.
	`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)`: {gpt2: true},

	modernFolded + `\p{N}{1,3}` + modernTail: {digits: 3, fold: foldUnicode}, // Llama 3
	modernFolded + `\p{N}` + modernTail:      {digits: 1, fold: foldUnicode}, // Qwen 2
	modernASCII + `\p{N}{1,3}` + modernTail:  {digits: 3, fold: foldASCII},
	modernASCII + `\p{N}` + modernTail:       {digits: 1, fold: foldASCII},
}

type class uint8

const (
	classNone class = iota // past the end of the text
	classSpace
	classLetter
	classNumber
	classOther
)

// classify returns the class and length of the rune at i.
func classify(s string, i int) (class, int) {
	if i >= len(s) {
		return classNone, 0
	}
	if c := s[i]; c < utf8.RuneSelf {
		switch {
		case 'a' <= c|0x20 && c|0x20 <= 'z':
			return classLetter, 1
		case '0' <= c && c <= '9':
			return classNumber, 1
		case c == ' ' || '\t' <= c && c <= '\r':
			return classSpace, 1
		}
		return classOther, 1
	}
	r, n := utf8.DecodeRuneInString(s[i:])
	switch {
	case unicode.IsLetter(r):
		return classLetter, n
	case unicode.IsNumber(r):
		return classNumber, n
	case unicode.IsSpace(r):
		return classSpace, n
	}
	return classOther, n
}

// run returns the end of the run of a class that contains i.
func run(s string, i int, c class) int {
	for {
		got, n := classify(s, i)
		if got != c {
			return i
		}
		i += n
	}
}

// next returns the end of the piece that begins at i, which is inside s. The
// pieces follow each other without gaps.
func (p family) next(s string, i int) int {
	if s[i] == '\'' {
		if n := p.contraction(s[i+1:]); n > 0 {
			return i + 1 + n
		}
	}
	c, n := classify(s, i)
	after, afterLen := classify(s, i+n)
	if p.gpt2 {
		if s[i] == ' ' && after != classSpace && after != classNone {
			return run(s, i+n+afterLen, after)
		}
		if c != classSpace {
			return run(s, i+n, c)
		}
		return spaces(s, i)
	}
	newline := s[i] == '\r' || s[i] == '\n'
	switch {
	case c == classLetter:
		return run(s, i+n, classLetter)
	case c != classNumber && !newline && after == classLetter:
		return run(s, i+n+afterLen, classLetter)
	case c == classNumber:
		for k := 1; k < p.digits && after == classNumber; k++ {
			i += n
			n = afterLen
			after, afterLen = classify(s, i+n)
		}
		return i + n
	case c == classOther || s[i] == ' ' && after == classOther:
		end := run(s, i+n, classOther)
		for end < len(s) && (s[end] == '\r' || s[end] == '\n') {
			end++
		}
		return end
	}
	// \s*[\r\n]+ reaches to the last line end of the blanks.
	end := run(s, i, classSpace)
	for k := end; k > i; k-- {
		if s[k-1] == '\r' || s[k-1] == '\n' {
			return k
		}
	}
	return spaces(s, i)
}

// spaces matches \s+(?!\S)|\s+: all blanks, but for the last one where a
// non-blank follows, unless it is the only one.
func spaces(s string, i int) int {
	end := run(s, i, classSpace)
	if end == len(s) {
		return end
	}
	_, n := utf8.DecodeLastRuneInString(s[i:end])
	if end-n == i {
		return end
	}
	return end - n
}

// contraction returns the length of 's, 't, 're, 've, 'm, 'll or 'd after the
// apostrophe, 0 where there is none.
func (p family) contraction(s string) int {
	if s == "" {
		return 0
	}
	lower := func(c byte) byte {
		if p.fold != foldNone && 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		return c
	}
	switch c := lower(s[0]); c {
	case 's', 't', 'm', 'd':
		return 1
	case 'r', 'v', 'l':
		want := byte('e')
		if c == 'l' {
			want = 'l'
		}
		if len(s) > 1 && lower(s[1]) == want {
			return 2
		}
	case "ſ"[0]:
		if p.fold == foldUnicode && len(s) > 1 && s[:2] == "ſ" {
			return 2
		}
	}
	return 0
}
