package token

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// parseModel reads the model of tokenizer.json.
func parseModel(raw json.RawMessage) (*bpe, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return nil, errors.New("it has no model")
	}
	c := struct {
		Type          string          `json:"type"`
		Vocab         json.RawMessage `json:"vocab"`
		Merges        json.RawMessage `json:"merges"`
		Unk           *string         `json:"unk_token"`
		Prefix        *string         `json:"continuing_subword_prefix"`
		Suffix        *string         `json:"end_of_word_suffix"`
		FuseUnk       bool            `json:"fuse_unk"`
		ByteFallback  bool            `json:"byte_fallback"`
		IgnoreMerges  bool            `json:"ignore_merges"`
		UnigramUnk    json.RawMessage `json:"unk_id"`
		WordPieceMost json.RawMessage `json:"max_input_chars_per_word"`
	}{}
	if err := json.Unmarshal(raw, &c); err != nil {
		return nil, fmt.Errorf("model: %w", err)
	}
	if c.Type == "" { // old files leave it out
		switch {
		case c.Merges != nil:
			c.Type = "BPE"
		case c.UnigramUnk != nil:
			c.Type = "Unigram"
		case c.WordPieceMost != nil:
			c.Type = "WordPiece"
		}
	}
	if c.Type != "BPE" {
		return nil, fmt.Errorf("model type %s is not supported, only BPE is", quote(c.Type))
	}
	m := &bpe{ignoreMerges: c.IgnoreMerges, unk: noID, fuseUnk: c.FuseUnk}
	if c.Prefix != nil {
		m.prefix = *c.Prefix
	}
	if c.Suffix != nil {
		m.suffix = *c.Suffix
	}
	var err error
	if m.vocab, err = parseVocab(c.Vocab); err != nil {
		return nil, fmt.Errorf("model.vocab: %w", err)
	}
	rules, err := parseMerges(c.Merges)
	if err != nil {
		return nil, fmt.Errorf("model.merges: %w", err)
	}
	if err := m.setMerges(rules); err != nil {
		return nil, fmt.Errorf("model.merges: %w", err)
	}
	if c.Unk != nil {
		id, ok := m.vocab[*c.Unk]
		if !ok {
			id = lostID // an error only if a text needs it: byte-level files name any
		}
		m.unk = id
	}
	if c.ByteFallback {
		m.bytes = byteTokens(m.vocab)
	}
	if m.bytes != nil && m.prefix+m.suffix != "" {
		return nil, errors.New("model: byte_fallback together with continuing_subword_prefix or end_of_word_suffix is not supported")
	}
	m.init()
	return m, nil
}

// parseVocab reads an object of pieces and ids. Unlike encoding/json it sees a
// piece or an id that comes twice, and it is faster.
func parseVocab(raw json.RawMessage) (map[string]int32, error) {
	s := scanner{rest: string(raw)}
	if !s.take('{') {
		return nil, errors.New("want an object of tokens and their ids")
	}
	vocab := map[string]int32{}
	byID := map[int32]string{}
	for first := true; !s.take('}'); first = false {
		if !first && !s.take(',') {
			return nil, errMalformed
		}
		piece, err := s.string()
		if err != nil {
			return nil, err
		}
		if !s.take(':') {
			return nil, errMalformed
		}
		id, err := s.integer()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", quote(piece), err)
		}
		if err := checkID(id); err != nil {
			return nil, fmt.Errorf("%s: %w", quote(piece), err)
		}
		if _, ok := vocab[piece]; ok {
			return nil, fmt.Errorf("the token %s occurs twice", quote(piece))
		}
		if other, ok := byID[int32(id)]; ok {
			return nil, fmt.Errorf("the tokens %s and %s have the same id %d", quote(other), quote(piece), id)
		}
		vocab[piece], byID[int32(id)] = int32(id), piece
	}
	return vocab, nil
}

// mergeRule is a pair of pieces that are joined.
type mergeRule struct{ left, right string }

// parseMerges reads an array of "left right" or ["left", "right"].
func parseMerges(raw json.RawMessage) ([]mergeRule, error) {
	s := scanner{rest: string(raw)}
	if !s.take('[') {
		return nil, errors.New("want an array")
	}
	var rules []mergeRule
	for n := 0; !s.take(']'); n++ {
		if n > 0 && !s.take(',') {
			return nil, errMalformed
		}
		rule, ok, err := s.merge()
		if err != nil {
			return nil, fmt.Errorf("entry %d: %w", n, err)
		}
		if ok {
			rules = append(rules, rule)
		}
	}
	return rules, nil
}

// splitMerge reads "left right".
func splitMerge(line string) (mergeRule, error) {
	left, right, ok := strings.Cut(line, " ")
	if !ok || left == "" || right == "" || strings.Contains(right, " ") {
		return mergeRule{}, fmt.Errorf("%s is not two tokens with a blank between them", quote(line))
	}
	return mergeRule{left, right}, nil
}

var errMalformed = errors.New("malformed JSON")

// scanner reads JSON that encoding/json has found well-formed.
type scanner struct{ rest string }

func (s *scanner) blanks() { s.rest = strings.TrimLeft(s.rest, " \t\r\n") }

// take skips blanks and then c, if that comes.
func (s *scanner) take(c byte) bool {
	s.blanks()
	if s.rest == "" || s.rest[0] != c {
		return false
	}
	s.rest = s.rest[1:]
	return true
}

func (s *scanner) string() (string, error) {
	if !s.take('"') {
		return "", errors.New("want a string")
	}
	i := strings.IndexAny(s.rest, `"\`)
	if i >= 0 && s.rest[i] == '"' { // nothing is escaped
		out := s.rest[:i]
		s.rest = s.rest[i+1:]
		return out, nil
	}
	for i >= 0 && i < len(s.rest) && s.rest[i] != '"' {
		if s.rest[i] == '\\' {
			i++
		}
		i++
	}
	if i < 0 || i >= len(s.rest) {
		return "", errMalformed
	}
	var out string
	if err := json.Unmarshal([]byte(`"`+s.rest[:i]+`"`), &out); err != nil {
		return "", err
	}
	s.rest = s.rest[i+1:]
	return out, nil
}

func (s *scanner) integer() (int64, error) {
	s.blanks()
	end := strings.IndexAny(s.rest, ",}] \t\r\n")
	if end < 0 {
		return 0, errMalformed
	}
	id, err := strconv.ParseInt(s.rest[:end], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s is not an id", quote(s.rest[:end]))
	}
	s.rest = s.rest[end:]
	return id, nil
}

// merge reads an entry of the merges; ok is false for one that is only the
// head of a merges.txt.
func (s *scanner) merge() (rule mergeRule, ok bool, err error) {
	if !s.take('[') {
		line, err := s.string()
		if err != nil || strings.HasPrefix(line, "#version") {
			return mergeRule{}, false, err
		}
		rule, err = splitMerge(line)
		return rule, err == nil, err
	}
	if rule.left, err = s.string(); err != nil {
		return mergeRule{}, false, err
	}
	if !s.take(',') {
		return mergeRule{}, false, errNotTwo
	}
	if rule.right, err = s.string(); err != nil {
		return mergeRule{}, false, err
	}
	if !s.take(']') {
		return mergeRule{}, false, errNotTwo
	}
	return rule, true, nil
}

var errNotTwo = errors.New("want two tokens")
