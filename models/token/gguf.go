package token

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/heddle-ml/heddle/models/ckpt/gguf"
)

// ErrNoVocabulary is wrapped by FromGGUF's error for a file that has no
// vocabulary, such as one with a vision tower only.
var ErrNoVocabulary = errors.New("the GGUF file has no vocabulary")

// Token types of GGUF.
const (
	ggufUnknown     = 2
	ggufControl     = 3
	ggufUserDefined = 4
	ggufUnused      = 5
	ggufByte        = 6
)

// FromGGUF builds the tokenizer of a GGUF file: SentencePiece-like BPE
// (tokenizer.ggml.model "llama") or byte-level BPE ("gpt2").
func FromGGUF(f *gguf.File) (*Tokenizer, error) {
	t, err := fromGGUF(f)
	if err != nil && f.Path() != "" {
		return nil, fmt.Errorf("%s: tokenizer: %w", f.Path(), err)
	}
	if err != nil {
		return nil, fmt.Errorf("tokenizer: %w", err)
	}
	return t, nil
}

func fromGGUF(f *gguf.File) (*Tokenizer, error) {
	if !f.Has("tokenizer.ggml.model") {
		return nil, fmt.Errorf("%w: tokenizer.ggml.model is missing", ErrNoVocabulary)
	}
	model, err := f.String("tokenizer.ggml.model")
	if err != nil {
		return nil, err
	}
	if model == "no_vocab" || model == "none" {
		return nil, fmt.Errorf("%w: tokenizer.ggml.model is %q", ErrNoVocabulary, model)
	}
	v, err := readGGUFVocab(f)
	if err != nil {
		return nil, err
	}
	switch model {
	case "llama":
		return v.sentencePiece()
	case "gpt2":
		return v.byteLevel()
	}
	return nil, fmt.Errorf("tokenizer.ggml.model %q is not supported, want llama or gpt2", model)
}

// ggufVocab is the vocabulary part of a GGUF file.
type ggufVocab struct {
	f      *gguf.File
	tokens []string
	types  []int64 // empty: all ordinary
	t      *Tokenizer
	added  []addedToken
}

func readGGUFVocab(f *gguf.File) (*ggufVocab, error) {
	v := &ggufVocab{f: f, t: &Tokenizer{bos: noID, eos: noID}}
	var err error
	if v.tokens, err = f.Strings("tokenizer.ggml.tokens"); err != nil {
		return nil, err
	}
	if len(v.tokens) == 0 || len(v.tokens) >= math.MaxInt32 {
		return nil, fmt.Errorf("tokenizer.ggml.tokens has %d entries", len(v.tokens))
	}
	if f.Has("tokenizer.ggml.token_type") {
		if v.types, err = f.Ints("tokenizer.ggml.token_type"); err != nil {
			return nil, err
		}
		if len(v.types) != len(v.tokens) {
			return nil, fmt.Errorf("tokenizer.ggml.token_type has %d entries for %d tokens", len(v.types), len(v.tokens))
		}
	}
	return v, nil
}

func (v *ggufVocab) kind(id int) int64 {
	if v.types == nil {
		return 1
	}
	return v.types[id]
}

// split sorts the tokens into those of the model and added ones. Some files
// have the same text twice; the first is then the one that text becomes.
func (v *ggufVocab) split() map[string]int32 {
	vocab := make(map[string]int32, len(v.tokens))
	for i, text := range v.tokens {
		kind := v.kind(i)
		switch kind {
		case ggufControl, ggufUserDefined, ggufUnknown:
			if text != "" {
				v.added = append(v.added, addedToken{id: int32(i), content: text, special: kind != ggufUserDefined})
			}
		}
		if _, ok := vocab[text]; !ok {
			vocab[text] = int32(i)
		}
	}
	return vocab
}

// finish fills in what both kinds have in common.
func (v *ggufVocab) finish(addBOS bool) (*Tokenizer, error) {
	t := v.t
	t.entries = make([]entry, len(v.tokens))
	for i, text := range v.tokens {
		kind := ordinary
		switch v.kind(i) {
		case ggufControl, ggufUnknown:
			kind = special
		case ggufUserDefined:
			kind = extra
		}
		t.entries[i] = entry{text, kind}
	}
	t.addedIDs = make(map[string]int32, len(v.added))
	for _, a := range v.added {
		if _, ok := t.addedIDs[a.content]; !ok {
			t.addedIDs[a.content] = a.id
		}
	}
	var err error
	if t.added, err = newAddedTokens(v.added, nil); err != nil {
		return nil, err
	}
	if t.bos, err = v.id("tokenizer.ggml.bos_token_id", t.bos); err != nil {
		return nil, err
	}
	if t.eos, err = v.id("tokenizer.ggml.eos_token_id", t.eos); err != nil {
		return nil, err
	}
	if addBOS, err = v.flag("tokenizer.ggml.add_bos_token", addBOS); err != nil {
		return nil, err
	}
	addEOS, err := v.flag("tokenizer.ggml.add_eos_token", false)
	if err != nil {
		return nil, err
	}
	if addBOS && t.bos == noID {
		return nil, errors.New("tokenizer.ggml.add_bos_token is set, but tokenizer.ggml.bos_token_id is missing")
	}
	if addEOS && t.eos == noID {
		return nil, errors.New("tokenizer.ggml.add_eos_token is set, but tokenizer.ggml.eos_token_id is missing")
	}
	var tmpl template
	if addBOS {
		tmpl.single = append(tmpl.single, templatePart{ids: []int32{t.bos}})
	}
	tmpl.single = append(tmpl.single, templatePart{})
	tmpl.pair = append(slices.Clone(tmpl.single), templatePart{which: 1, typeID: 1})
	if addEOS {
		tmpl.single = append(tmpl.single, templatePart{ids: []int32{t.eos}})
		tmpl.pair = append(tmpl.pair, templatePart{ids: []int32{t.eos}, typeID: 1})
	}
	t.post = tmpl
	return t, nil
}

// id reads a token id, def where the key is missing.
func (v *ggufVocab) id(key string, def int32) (int32, error) {
	if !v.f.Has(key) {
		return def, nil
	}
	id, err := v.f.Uint(key)
	if err != nil {
		return 0, err
	}
	if id == math.MaxUint32 { // how converters write "none"
		return noID, nil
	}
	if id >= uint64(len(v.tokens)) {
		return 0, fmt.Errorf("%s is %d, but the vocabulary has %d tokens", key, id, len(v.tokens))
	}
	return int32(id), nil
}

func (v *ggufVocab) flag(key string, def bool) (bool, error) {
	if !v.f.Has(key) {
		return def, nil
	}
	return v.f.Bool(key)
}

// sentencePiece builds the tokenizer of model "llama".
func (v *ggufVocab) sentencePiece() (*Tokenizer, error) {
	const blank = "▁"
	scores, err := v.f.Floats("tokenizer.ggml.scores")
	if err != nil {
		return nil, err
	}
	if len(scores) != len(v.tokens) {
		return nil, fmt.Errorf("tokenizer.ggml.scores has %d entries for %d tokens", len(scores), len(v.tokens))
	}
	m := &bpe{vocab: v.split(), unk: noID, fuseUnk: true, lateBytes: true}
	joinable := make(map[string]float64, len(v.tokens))
	for i, text := range v.tokens {
		if math.IsNaN(scores[i]) {
			return nil, fmt.Errorf("tokenizer.ggml.scores: the score of token %d is not a number", i)
		}
		switch v.kind(i) {
		case ggufControl, ggufUnknown, ggufUnused, ggufByte:
			continue // never the outcome of joining text
		}
		if m.vocab[text] == int32(i) {
			joinable[text] = scores[i]
		}
	}
	m.setScores(joinable)
	m.bytes = byteTokens(m.vocab)
	if m.unk, err = v.id("tokenizer.ggml.unknown_token_id", noID); err != nil {
		return nil, err
	}
	m.init()
	t := v.t
	t.model = m
	// The ids that SentencePiece gives by default.
	if len(v.tokens) > 2 {
		t.bos, t.eos = 1, 2
	}
	prefix, err := v.flag("tokenizer.ggml.add_space_prefix", true)
	if err != nil {
		return nil, err
	}
	var ns normalizers
	if prefix {
		ns = append(ns, prepender(blank))
	}
	t.normalizer = append(ns, replacer{literal(" "), blank})
	ds := decoders{replaceDecoder{blank, " "}, fallbackDecoder{}, fuser{}}
	if prefix {
		ds = append(ds, stripDecoder{" ", 1, 0})
	}
	t.decoder = ds
	return v.finish(true)
}

// byteLevel builds the tokenizer of model "gpt2".
func (v *ggufVocab) byteLevel() (*Tokenizer, error) {
	name := "default"
	if v.f.Has("tokenizer.ggml.pre") {
		var err error
		if name, err = v.f.String("tokenizer.ggml.pre"); err != nil {
			return nil, err
		}
	}
	scheme, ok := ggufSchemes[name]
	if !ok {
		return nil, fmt.Errorf("tokenizer.ggml.pre %q is not supported: how it splits text is not known here", name)
	}
	lines, err := v.f.Strings("tokenizer.ggml.merges")
	if err != nil {
		return nil, err
	}
	rules := make([]mergeRule, len(lines))
	for i, line := range lines {
		if rules[i], err = splitMerge(line); err != nil {
			return nil, fmt.Errorf("tokenizer.ggml.merges: entry %d: %w", i, err)
		}
	}
	m := &bpe{vocab: v.split(), unk: noID, ignoreMerges: scheme.ignoreMerges}
	if err := m.setMerges(rules); err != nil {
		return nil, fmt.Errorf("tokenizer.ggml.merges: %w", err)
	}
	m.init()
	v.t.model = m
	var pre preTokenizers
	for _, p := range scheme.patterns {
		if source, ok := p.(regex); ok {
			if p, err = compilePattern(string(source)); err != nil {
				return nil, fmt.Errorf("tokenizer.ggml.pre %q: %w", name, err)
			}
		}
		pre = append(pre, splitter{pattern: p})
	}
	v.t.pre = append(pre, byteLevel{})
	v.t.decoder = decoders{bytesDecoder{}}
	return v.finish(scheme.addBOS)
}
