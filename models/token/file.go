package token

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"unicode/utf8"
)

// maxFile bounds tokenizer.json; the largest vocabularies need some 40 MB.
const maxFile = 256 << 20

// Open reads the tokenizer of a model folder in Hugging Face layout:
// tokenizer.json, and for the beginning and end tokens tokenizer_config.json
// where there is one.
func Open(dir string) (*Tokenizer, error) {
	path := filepath.Join(dir, "tokenizer.json")
	data, err := readFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("open tokenizer: %w: a tokenizer in another form must be converted (save_pretrained of a fast tokenizer writes tokenizer.json)", err)
	}
	if err != nil {
		return nil, fmt.Errorf("open tokenizer: %w", err)
	}
	t, err := FromJSON(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	path = filepath.Join(dir, "tokenizer_config.json")
	data, err = readFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return t, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open tokenizer: %w", err)
	}
	if err := t.configure(data); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return t, nil
}

func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("%s has more than %d bytes", path, maxFile)
	}
	return data, err
}

// configure takes from tokenizer_config.json what tokenizer.json cannot say.
func (t *Tokenizer) configure(data []byte) error {
	var c struct {
		BOS configToken `json:"bos_token"`
		EOS configToken `json:"eos_token"`
	}
	if err := decodeJSON(data, &c); err != nil {
		return err
	}
	for _, x := range []struct {
		key  string
		name configToken
		id   *int32
	}{{"bos_token", c.BOS, &t.bos}, {"eos_token", c.EOS, &t.eos}} {
		if x.name == "" {
			continue
		}
		id, ok := t.ID(string(x.name))
		if !ok {
			return fmt.Errorf("%s: %s is not in the vocabulary", x.key, quote(string(x.name)))
		}
		*x.id = id
	}
	return nil
}

// configToken is "<s>" or {"content": "<s>", ...}.
type configToken string

func (c *configToken) UnmarshalJSON(b []byte) error {
	var s string
	if len(b) > 0 && b[0] == '{' {
		var object struct {
			Content string `json:"content"`
		}
		if err := json.Unmarshal(b, &object); err != nil {
			return err
		}
		s = object.Content
	} else if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	*c = configToken(s)
	return nil
}

// decodeJSON is json.Unmarshal for text that must be UTF-8: the standard
// library would put U+FFFD for what is not, and make distinct tokens equal.
func decodeJSON(data []byte, v any) error {
	if !utf8.Valid(data) {
		return errors.New("the JSON is not valid UTF-8")
	}
	return json.Unmarshal(data, v)
}

// document is tokenizer.json. Truncation and padding are left out: they serve
// batches in training; here the caller sees to the length.
type document struct {
	AddedTokens   []addedTokenJSON `json:"added_tokens"`
	Normalizer    json.RawMessage  `json:"normalizer"`
	PreTokenizer  json.RawMessage  `json:"pre_tokenizer"`
	PostProcessor json.RawMessage  `json:"post_processor"`
	Decoder       json.RawMessage  `json:"decoder"`
	Model         json.RawMessage  `json:"model"`
}

type addedTokenJSON struct {
	ID         int64  `json:"id"`
	Content    string `json:"content"`
	SingleWord bool   `json:"single_word"`
	LStrip     bool   `json:"lstrip"`
	RStrip     bool   `json:"rstrip"`
	Normalized bool   `json:"normalized"`
	Special    bool   `json:"special"`
}

// FromJSON builds a tokenizer from the contents of a tokenizer.json. Its model
// must be BPE; dropout, truncation and padding, which concern training, are
// ignored. Beginning and end tokens are not known from it.
func FromJSON(data []byte) (*Tokenizer, error) {
	var doc document
	if err := decodeJSON(data, &doc); err != nil {
		return nil, fmt.Errorf("tokenizer.json: %w", err)
	}
	t, err := doc.tokenizer()
	if err != nil {
		return nil, fmt.Errorf("tokenizer.json: %w", err)
	}
	return t, nil
}

func (doc *document) tokenizer() (*Tokenizer, error) {
	t := &Tokenizer{bos: noID, eos: noID}
	var err error
	if t.model, err = parseModel(doc.Model); err != nil {
		return nil, err
	}
	if t.normalizer, err = parseNormalizer(doc.Normalizer, new(steps)); err != nil {
		return nil, err
	}
	if t.pre, err = parsePreTokenizer(doc.PreTokenizer, new(steps)); err != nil {
		return nil, err
	}
	t.spans = needsSpans(t.normalizer, t.pre)
	if t.post, err = parsePostProcessor(doc.PostProcessor, new(steps)); err != nil {
		return nil, err
	}
	if t.decoder, err = parseDecoder(doc.Decoder, new(steps)); err != nil {
		return nil, err
	}
	added := make([]addedToken, 0, len(doc.AddedTokens))
	for i, a := range doc.AddedTokens {
		if err := checkID(a.ID); err != nil {
			return nil, fmt.Errorf("added_tokens[%d] %s: %w", i, quote(a.Content), err)
		}
		if a.Content == "" {
			return nil, fmt.Errorf("added_tokens[%d]: the content is empty", i)
		}
		added = append(added, addedToken{
			id: int32(a.ID), content: a.Content,
			singleWord: a.SingleWord, lstrip: a.LStrip, rstrip: a.RStrip, normalized: a.Normalized, special: a.Special,
		})
	}
	if err := t.setVocabulary(t.model.vocab, added); err != nil {
		return nil, err
	}
	return t, t.checkTemplate()
}

// checkTemplate makes sure that the post-processor names only ids that exist.
func (t *Tokenizer) checkTemplate() error {
	ps, ok := t.post.(postProcessors)
	if !ok {
		ps = postProcessors{t.post}
	}
	for _, p := range ps {
		tmpl, _ := p.(template)
		for _, parts := range [][]templatePart{tmpl.single, tmpl.pair} {
			for _, part := range parts {
				for _, id := range part.ids {
					if _, ok := t.Piece(id); !ok {
						return fmt.Errorf("post-processor: id %d is not in the vocabulary", id)
					}
				}
			}
		}
	}
	return nil
}

// steps counts the steps of a chain while it is read, so that a file cannot
// make each text pass through millions of them.
type steps struct{ count, depth int }

const (
	maxSteps     = 64
	maxStepDepth = 4
)

// enter reads the type of a step, "" for null. Each call needs one of leave.
func (s *steps) enter(what string, raw json.RawMessage) (string, error) {
	s.count++
	s.depth++
	if s.count > maxSteps || s.depth > maxStepDepth {
		return "", fmt.Errorf("more than %d %s steps, or nested deeper than %d", maxSteps, what, maxStepDepth)
	}
	if len(raw) == 0 || string(raw) == "null" {
		return "", nil
	}
	var c struct {
		Type string `json:"type"`
	}
	if err := json.Unmarshal(raw, &c); err != nil {
		return "", fmt.Errorf("%s: %w", what, err)
	}
	if c.Type == "" {
		return "", fmt.Errorf("%s: it has no type", what)
	}
	return c.Type, nil
}

func (s *steps) leave() { s.depth-- }

// parsePattern reads {"String": " "} or {"Regex": "\\s+"}.
func parsePattern(raw json.RawMessage) (pattern, error) {
	var c struct {
		String *string
		Regex  *string
	}
	if len(raw) > 0 {
		if err := json.Unmarshal(raw, &c); err != nil {
			return nil, fmt.Errorf("pattern: %w", err)
		}
	}
	switch {
	case c.String != nil && c.Regex == nil:
		if *c.String == "" {
			return nil, errors.New("the pattern is empty")
		}
		return literal(*c.String), nil
	case c.Regex != nil && c.String == nil:
		return compilePattern(*c.Regex)
	}
	return nil, errors.New("the pattern is neither a String nor a Regex")
}

// checkID refuses ids that are no 32-bit index.
func checkID(id int64) error {
	if id < 0 || id >= math.MaxInt32 {
		return fmt.Errorf("id %d is out of range", id)
	}
	return nil
}
