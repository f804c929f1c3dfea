package token

import (
	"fmt"
	"unicode"
	"unicode/utf8"
)

// maxAddedToken bounds the text of an added token in bytes, and so the work
// of looking for one at each place of a text.
const maxAddedToken = 4096

// addedToken is a token that is cut out of the text before anything else.
type addedToken struct {
	id         int32
	content    string
	singleWord bool // only between word boundaries
	lstrip     bool // takes the blanks before it along
	rstrip     bool // and those behind it
	normalized bool // looked for after normalizing, in normalized form
	special    bool // controls the model; not part of the text
}

// finder finds added tokens in a text: at each place the longest, from left to
// right.
type finder struct {
	tokens []addedToken // at most one per pattern
	begins [256]bool    // first bytes of the patterns
	edges  map[edge]int32
	leaf   []int32 // per node, the index of the token that ends there, or -1
}

type edge struct {
	node int32
	b    byte
}

func newFinder() *finder {
	return &finder{edges: map[edge]int32{}, leaf: []int32{-1}}
}

// add registers a token under a pattern. The first of two equal patterns
// counts.
func (f *finder) add(pattern string, t addedToken) {
	if pattern == "" {
		return
	}
	f.begins[pattern[0]] = true
	node := int32(0)
	for i := range len(pattern) {
		e := edge{node, pattern[i]}
		next, ok := f.edges[e]
		if !ok {
			next = int32(len(f.leaf))
			f.leaf = append(f.leaf, -1)
			f.edges[e] = next
		}
		node = next
	}
	if f.leaf[node] < 0 {
		f.leaf[node] = int32(len(f.tokens))
		f.tokens = append(f.tokens, t)
	}
}

// longest returns the longest token at the front of s.
func (f *finder) longest(s string) (t *addedToken, n int) {
	node := int32(0)
	for i := range len(s) {
		next, ok := f.edges[edge{node, s[i]}]
		if !ok {
			break
		}
		if node = next; f.leaf[node] >= 0 {
			t, n = &f.tokens[f.leaf[node]], i+1
		}
	}
	return t, n
}

// split appends the fragment's parts to out: added tokens and the text around
// them. The fragment is not empty. As in the reference, the search goes on right
// behind a token's own text: an added token made of blanks is found also among
// those that an rstrip token before it has taken along.
func (f *finder) split(out []fragment, frag fragment) []fragment {
	text := frag.text
	done := 0
	for i := 0; i < len(text); {
		if !f.begins[text[i]] {
			i++
			continue
		}
		t, n := f.longest(text[i:])
		if t == nil {
			i++
			continue
		}
		start, end := i, i+n
		i = end
		if t.singleWord && (endsWithWord(text[:start]) || beginsWithWord(text[end:])) {
			continue
		}
		if t.lstrip {
			// But not the blanks that the token before has taken.
			start = max(len(trimSpaceRight(text[:start])), done)
		}
		if t.rstrip {
			end = len(text) - len(trimSpaceLeft(text[end:]))
		}
		if start >= end { // it consists of blanks that the token before has taken
			continue
		}
		if done < start {
			out = append(out, frag.slice(done, start))
		}
		part := frag.slice(start, end)
		part.id = t.id
		out = append(out, part)
		done = end
	}
	if done < len(text) {
		out = append(out, frag.slice(done, len(text)))
	}
	return out
}

func endsWithWord(s string) bool {
	r, _ := utf8.DecodeLastRuneInString(s)
	return s != "" && isWord(r)
}

func beginsWithWord(s string) bool {
	r, _ := utf8.DecodeRuneInString(s)
	return s != "" && isWord(r)
}

// isWord is \w of Unicode's regular expressions (UTS #18).
func isWord(r rune) bool {
	return unicode.In(r, unicode.L, unicode.M, unicode.Nd, unicode.Nl, unicode.Pc, unicode.Other_Alphabetic, unicode.Join_Control)
}

func trimSpaceRight(s string) string {
	for s != "" {
		r, n := utf8.DecodeLastRuneInString(s)
		if !unicode.IsSpace(r) {
			break
		}
		s = s[:len(s)-n]
	}
	return s
}

func trimSpaceLeft(s string) string {
	for s != "" {
		r, n := utf8.DecodeRuneInString(s)
		if !unicode.IsSpace(r) {
			break
		}
		s = s[n:]
	}
	return s
}

// addedTokens is the set of added tokens of a tokenizer.
type addedTokens struct {
	all map[int32]addedToken
	// Finders for the text as it is and for the normalized text, without and
	// with the special tokens.
	raw, normalized [2]*finder
}

// newAddedTokens prepares the search. normalize brings a token's content into
// the form that it is looked for in.
func newAddedTokens(tokens []addedToken, normalize func(string) (string, error)) (*addedTokens, error) {
	a := &addedTokens{all: make(map[int32]addedToken, len(tokens))}
	for i := range a.raw {
		a.raw[i], a.normalized[i] = newFinder(), newFinder()
	}
	// Special tokens come first where two are looked for in the same form.
	for _, special := range []bool{true, false} {
		for _, t := range tokens {
			if t.special != special {
				continue
			}
			if len(t.content) > maxAddedToken {
				return nil, fmt.Errorf("added token %s has %d bytes, more than %d", quote(t.content), len(t.content), maxAddedToken)
			}
			a.all[t.id] = t
			pattern, finders := t.content, &a.raw
			if t.normalized {
				finders = &a.normalized
				var err error
				if pattern, err = normalize(pattern); err != nil {
					return nil, fmt.Errorf("added token %s: %w", quote(t.content), err)
				}
				if len(pattern) > maxNormalizedToken {
					return nil, fmt.Errorf("added token %s: its normalized form has %d bytes, more than %d", quote(t.content), len(pattern), maxNormalizedToken)
				}
			}
			finders[1].add(pattern, t)
			if !t.special {
				finders[0].add(pattern, t)
			}
		}
	}
	return a, nil
}

const maxNormalizedToken = 4 * maxAddedToken

// cut returns the added tokens of a text and the normalized text around them.
func (a *addedTokens) cut(whole fragment, special bool, normalize normalizer, limit *limit) ([]fragment, error) {
	if whole.text == "" {
		return nil, nil
	}
	set := 0
	if special {
		set = 1
	}
	var out []fragment
	for _, part := range a.raw[set].split(nil, whole) {
		if part.id != noID {
			out = append(out, part)
			continue
		}
		if normalize != nil {
			var err error
			if part, err = normalize.normalize(part, limit); err != nil {
				return nil, err
			}
		}
		if part.text != "" {
			out = a.normalized[set].split(out, part)
		}
	}
	return out, nil
}
