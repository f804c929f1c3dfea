package token

import (
	"fmt"
	"unicode/utf8"
)

const (
	// maxText bounds a text to encode, in bytes. Far beyond any context
	// window, it keeps positions in 32 bits.
	maxText = 8 << 20
	// maxNormalized bounds what normalizers and pre-tokenizers may make of it:
	// a file can ask for "a" to become "aa" any number of times.
	maxNormalized = 2*maxText + 1<<10
)

// noID marks a fragment that is still text, and a symbol that is in no
// vocabulary.
const noID = -1

// lostID stands for the token of unknown runes where the vocabulary lacks it.
const lostID = -2

// span is a range of bytes of the original text.
type span struct{ start, end int32 }

// fragment is a stretch of text on its way to becoming tokens, or an added
// token that was found in it.
type fragment struct {
	text  string
	spans []span // for each byte of text, where it comes from; nil when nobody asks
	id    int32  // of the added token; noID for text
	first bool   // it is the front of the whole text; see atStart
}

// newFragment returns the whole text as one fragment.
func newFragment(text string, offsets bool) fragment {
	f := fragment{text: text, id: noID, first: true}
	if offsets {
		f.spans = make([]span, 0, len(text))
		for i, r := range text {
			s := span{int32(i), int32(i + runeLen(r))}
			for range runeLen(r) {
				f.spans = append(f.spans, s)
			}
		}
	}
	return f
}

// atStart says whether a fragment that is not empty comes from the very start of
// the text. Once text was rewritten only spans can tell: what came first may be
// gone, and several pieces may come from one rune.
func (f *fragment) atStart() bool {
	if f.spans != nil {
		return f.spans[0].start == 0
	}
	return f.first
}

// slice returns a part of a fragment.
func (f *fragment) slice(start, end int) fragment {
	s := fragment{text: f.text[start:end], id: noID, first: f.first && start == 0}
	if f.spans != nil {
		s.spans = f.spans[start:end]
	}
	return s
}

// original returns the bytes of the original text that the bytes
// [start, end) of a fragment come from.
func (f *fragment) original(start, end int32) span {
	if start >= end {
		if int(start) < len(f.spans) {
			return span{f.spans[start].start, f.spans[start].start}
		}
		return span{}
	}
	return span{f.spans[start].start, f.spans[end-1].end}
}

// editor rewrites a fragment from front to back, carrying along where each
// byte comes from. The rules are those of the reference, so that offsets agree:
// a rune that replaces others comes from the first of them, an inserted rune from
// where the rune before it comes from.
type editor struct {
	src   *fragment
	pos   int // bytes of src consumed
	out   []byte
	spans []span
	full  bool // the result would exceed maxNormalized
}

func edit(f *fragment) *editor {
	e := &editor{src: f, out: make([]byte, 0, len(f.text)+len(f.text)/4)}
	if f.spans != nil {
		e.spans = make([]span, 0, cap(e.out))
	}
	return e
}

// keep copies the next n bytes.
func (e *editor) keep(n int) {
	if len(e.out)+n > maxNormalized {
		e.full = true
		return
	}
	e.out = append(e.out, e.src.text[e.pos:e.pos+n]...)
	if e.src.spans != nil {
		e.spans = append(e.spans, e.src.spans[e.pos:e.pos+n]...)
	}
	e.pos += n
}

// skip drops the next n bytes.
func (e *editor) skip(n int) { e.pos += n }

// skipRunes drops the next n runes.
func (e *editor) skipRunes(n int) {
	for range n {
		_, size := utf8.DecodeRuneInString(e.src.text[e.pos:])
		e.pos += size
	}
}

// replace writes r in place of the next runes of the source.
func (e *editor) replace(r rune, runes int) {
	var at span
	if e.pos < len(e.src.spans) {
		at = e.src.spans[e.pos]
	}
	e.skipRunes(runes)
	e.write(string(r), at)
}

// insert writes s between what was consumed and what was not.
func (e *editor) insert(s string) {
	var at span
	if e.pos > 0 && e.src.spans != nil {
		at = e.src.spans[e.pos-1]
	}
	e.write(s, at)
}

func (e *editor) write(s string, at span) {
	if e.full = e.full || len(s) > maxNormalized-len(e.out); e.full {
		return
	}
	e.out = append(e.out, s...)
	if e.src.spans != nil {
		for range len(s) {
			e.spans = append(e.spans, at)
		}
	}
}

// result copies the rest of the source and returns the new fragment.
func (e *editor) result() (fragment, error) {
	e.keep(len(e.src.text) - e.pos)
	if e.full {
		return fragment{}, fmt.Errorf("normalizing makes the text longer than %d bytes", maxNormalized)
	}
	return fragment{text: string(e.out), spans: e.spans, id: noID, first: e.src.first}, nil
}

// prepend puts s before a fragment, unless that is empty.
func prepend(f *fragment, s string) (fragment, error) {
	if f.text == "" || s == "" {
		return *f, nil
	}
	// What is put in front comes from the first rune, as if it replaced that
	// and the rune were inserted again.
	var at span
	if f.spans != nil {
		at = f.spans[0]
	}
	e := edit(f)
	e.write(s, at)
	return e.result()
}

// runeLen is utf8.RuneLen for runes of valid text.
func runeLen(r rune) int {
	switch {
	case r < utf8.RuneSelf:
		return 1
	case r < 1<<11:
		return 2
	case r < 1<<16:
		return 3
	}
	return 4
}
