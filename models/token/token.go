package token

import (
	"errors"
	"fmt"
	"unicode/utf8"
)

// Tokenizer turns text into token ids and back. It is safe for concurrent use.
type Tokenizer struct {
	model      *bpe
	added      *addedTokens
	normalizer normalizer    // may be nil
	pre        preTokenizer  // may be nil
	post       postProcessor // may be nil
	decoder    decoder
	spans      bool // needed even when no offsets are asked for; see needsSpans

	entries  []entry // by id
	addedIDs map[string]int32
	bos, eos int32 // noID when unknown
}

// entry is what an id stands for.
type entry struct {
	text string
	kind entryKind
}

type entryKind uint8

const (
	absent   entryKind = iota // an id that no token has
	ordinary                  // a token of the model
	extra                     // an added token that is part of the text
	special                   // an added token that controls the model
)

// EncodeOptions says how special tokens are treated. The zero value is right
// for text from outside: whatever it contains, only text comes of it.
type EncodeOptions struct {
	// AddSpecial puts the tokens around the text that the model expects there,
	// such as one for its beginning.
	AddSpecial bool
	// ParseSpecial turns the spelling of special tokens in the text, such as
	// "<|im_end|>", into these tokens. Added tokens that are not special are
	// recognised in any case.
	ParseSpecial bool
}

// Encoding is the outcome of EncodeDetailed and EncodePair. All slices have the
// same length.
type Encoding struct {
	IDs     []int32
	TypeIDs []int32 // which of the two texts of a pair, as the template says
	// Offsets are ranges [start, end) of code points in the text that the token
	// comes from; [0, 0] for an added special token. Tokens overlap where
	// several make up one code point.
	Offsets [][2]int
	// Special marks the tokens that AddSpecial put in.
	Special []bool
}

// Encode returns the token ids of a text, which must be valid UTF-8.
func (t *Tokenizer) Encode(text string, opt EncodeOptions) ([]int32, error) {
	s, err := t.encode(text, opt, 0, false)
	if err != nil {
		return nil, err
	}
	return t.finish([]sequence{s}, opt).ids, nil
}

// EncodeDetailed is Encode with the place of each token in the text.
func (t *Tokenizer) EncodeDetailed(text string, opt EncodeOptions) (*Encoding, error) {
	s, err := t.encode(text, opt, 0, true)
	if err != nil {
		return nil, err
	}
	return t.finish([]sequence{s}, opt).encoding(), nil
}

// EncodePair encodes two texts as one sequence, in the way that the
// tokenizer's template says.
func (t *Tokenizer) EncodePair(first, second string, opt EncodeOptions) (*Encoding, error) {
	a, err := t.encode(first, opt, 0, true)
	if err != nil {
		return nil, fmt.Errorf("first text: %w", err)
	}
	b, err := t.encode(second, opt, 1, true)
	if err != nil {
		return nil, fmt.Errorf("second text: %w", err)
	}
	return t.finish([]sequence{a, b}, opt).encoding(), nil
}

func (s *sequence) encoding() *Encoding {
	return &Encoding{IDs: s.ids, TypeIDs: s.types, Offsets: s.offsets, Special: s.added}
}

// finish applies the post-processor and joins what it returns.
func (t *Tokenizer) finish(seqs []sequence, opt EncodeOptions) *sequence {
	if t.post != nil {
		seqs = t.post.process(seqs, opt.AddSpecial)
	}
	if len(seqs) == 1 {
		return &seqs[0]
	}
	var all sequence
	for _, s := range seqs {
		all.append(s)
	}
	return &all
}

// encode turns a text into tokens, without what the post-processor adds.
func (t *Tokenizer) encode(text string, opt EncodeOptions, typeID int32, detailed bool) (sequence, error) {
	var s sequence
	if len(text) > maxText {
		return s, fmt.Errorf("text of %d bytes is too long to encode, at most %d", len(text), maxText)
	}
	if !utf8.ValidString(text) {
		return s, fmt.Errorf("the text is not valid UTF-8 at byte %d", invalidAt(text))
	}
	limit := newLimit(len(text))
	frags, err := t.added.cut(newFragment(text, detailed || t.spans), opt.ParseSpecial, t.normalizer, limit)
	if err != nil {
		return s, err
	}
	if t.pre != nil {
		if frags, err = t.pre.split(frags, limit); err != nil {
			return s, err
		}
	}
	var points codePoints
	if detailed {
		points = countCodePoints(text)
		s.offsets, s.pieces = [][2]int{}, []string{}
	}
	s.ids = make([]int32, 0, len(text)/4+1)
	var tokens []piece
	for i := range frags {
		f := &frags[i]
		if f.id != noID {
			tokens = append(tokens[:0], piece{f.id, 0, int32(len(f.text))})
		} else {
			tokens = t.model.encode(tokens[:0], f.text)
		}
		for _, p := range tokens {
			if p.id == lostID {
				return s, fmt.Errorf("no token for %s, and the unk_token is not in the vocabulary", quote(f.text[p.start:p.end]))
			}
			s.ids = append(s.ids, p.id)
			if !detailed {
				continue
			}
			at := f.original(p.start, p.end)
			s.offsets = append(s.offsets, [2]int{points[at.start], points[at.end]})
			if f.id != noID {
				s.pieces = append(s.pieces, f.text) // with the blanks it took along
			} else {
				s.pieces = append(s.pieces, t.entries[p.id].text)
			}
		}
	}
	s.added = make([]bool, len(s.ids))
	s.types = make([]int32, len(s.ids))
	for i := range s.types {
		s.types[i] = typeID
	}
	return s, nil
}

// codePoints gives for each byte position the number of code points before it.
type codePoints []int

func countCodePoints(text string) codePoints {
	c := make(codePoints, len(text)+1)
	n := 0
	for i, r := range text {
		for k := range runeLen(r) {
			c[i+k] = n
		}
		n++
	}
	c[len(text)] = n
	return c
}

func invalidAt(text string) int {
	for i, r := range text {
		if r == utf8.RuneError {
			if _, n := utf8.DecodeRuneInString(text[i:]); n == 1 {
				return i
			}
		}
	}
	return len(text)
}

// Decode returns the text of token ids, without special tokens where
// skipSpecial is set. Bytes that are not UTF-8 become U+FFFD. An id that no
// token has is an error.
func (t *Tokenizer) Decode(ids []int32, skipSpecial bool) (string, error) {
	chunks := make([]chunk, 0, len(ids))
	for i, id := range ids {
		if _, ok := t.Piece(id); !ok {
			return "", fmt.Errorf("token %d of %d: id %d is not in the vocabulary of %d ids", i, len(ids), id, len(t.entries))
		}
		if c, ok := t.chunk(id, skipSpecial); ok {
			chunks = append(chunks, c)
		}
	}
	return validText([]byte(join(t.decoder.decode(chunks, false)))), nil
}

// chunk returns what a decoder is given for an id; false for nothing.
func (t *Tokenizer) chunk(id int32, skipSpecial bool) (chunk, bool) {
	if id < 0 || int(id) >= len(t.entries) {
		return chunk{}, false
	}
	e := t.entries[id]
	if e.kind == absent || e.kind == special && skipSpecial {
		return chunk{}, false
	}
	return chunk{e.text, e.kind != ordinary}, true
}

// Piece returns a token as the vocabulary spells it, which is not always text:
// byte-level vocabularies write "Ġthe" for " the". It is false for an id that no
// token has.
func (t *Tokenizer) Piece(id int32) (string, bool) {
	if id < 0 || int(id) >= len(t.entries) {
		return "", false
	}
	e := t.entries[id]
	return e.text, e.kind != absent
}

// ID returns the id of a token, spelled as by Piece.
func (t *Tokenizer) ID(piece string) (int32, bool) {
	if id, ok := t.addedIDs[piece]; ok {
		return id, true
	}
	id, ok := t.model.vocab[piece]
	return id, ok
}

// IsSpecial says whether a token controls the model rather than being text.
func (t *Tokenizer) IsSpecial(id int32) bool {
	return id >= 0 && int(id) < len(t.entries) && t.entries[id].kind == special
}

// Size returns the number of ids: one more than the highest. A model's
// embedding can have more rows; these stand for no token.
func (t *Tokenizer) Size() int { return len(t.entries) }

// BOS returns the token for the beginning of a text; false when the files name
// none.
func (t *Tokenizer) BOS() (int32, bool) { return t.bos, t.bos != noID }

// EOS returns the token for the end of a text; false when the files name none.
func (t *Tokenizer) EOS() (int32, bool) { return t.eos, t.eos != noID }

// setVocabulary fills the tables from the model's vocabulary, whose ids are
// distinct, and the added tokens. It needs the normalizer.
func (t *Tokenizer) setVocabulary(vocab map[string]int32, added []addedToken) error {
	if len(vocab)+len(added) == 0 {
		return errors.New("the vocabulary is empty")
	}
	// The table of ids is as long as the highest one: it must not be far beyond
	// what the file has tokens for.
	highest, most := int32(0), int64(len(vocab)+len(added))*2+1<<16
	for _, id := range vocab {
		highest = max(highest, id)
	}
	for _, a := range added {
		highest = max(highest, a.id)
	}
	if int64(highest) >= most {
		return fmt.Errorf("the id %d is out of proportion to a vocabulary of %d tokens", highest, len(vocab)+len(added))
	}
	t.entries = make([]entry, highest+1)
	for text, id := range vocab {
		t.entries[id] = entry{text, ordinary}
	}
	t.addedIDs = make(map[string]int32, len(added))
	for _, a := range added {
		if id, ok := t.ID(a.content); ok && id != a.id {
			return fmt.Errorf("the added token %s has the id %d, but %d elsewhere", quote(a.content), a.id, id)
		}
		e := &t.entries[a.id]
		if e.kind != absent && e.text != a.content {
			return fmt.Errorf("the id %d stands for %s and for the added token %s", a.id, quote(e.text), quote(a.content))
		}
		*e = entry{a.content, extra}
		if a.special {
			e.kind = special
		}
		t.addedIDs[a.content] = a.id
	}
	var err error
	t.added, err = newAddedTokens(added, func(s string) (string, error) { return normalizeString(t.normalizer, s) })
	return err
}
