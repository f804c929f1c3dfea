package token

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"unicode"
	"unicode/utf8"
)

// sequence is an encoding in the making. offsets and pieces are nil when only
// ids are wanted.
type sequence struct {
	ids     []int32
	types   []int32
	added   []bool // put in by the post-processor
	offsets [][2]int
	pieces  []string // the tokens' texts
}

func (s *sequence) append(o sequence) {
	s.ids = append(s.ids, o.ids...)
	s.types = append(s.types, o.types...)
	s.added = append(s.added, o.added...)
	s.offsets = append(s.offsets, o.offsets...)
	s.pieces = append(s.pieces, o.pieces...)
}

// postProcessor puts special tokens around one or two sequences.
type postProcessor interface {
	process(seqs []sequence, addSpecial bool) []sequence
}

type postProcessors []postProcessor

func (ps postProcessors) process(seqs []sequence, addSpecial bool) []sequence {
	for _, p := range ps {
		seqs = p.process(seqs, addSpecial)
	}
	return seqs
}

// template arranges sequences and special tokens.
type template struct {
	single, pair []templatePart
}

type templatePart struct {
	ids    []int32 // special tokens; nil for a sequence
	which  int     // the sequence: 0 or 1
	typeID int32
}

func (t template) process(seqs []sequence, addSpecial bool) []sequence {
	parts := t.single
	if len(seqs) == 2 {
		parts = t.pair
	}
	detailed := seqs[0].offsets != nil
	var out []sequence
	for _, p := range parts {
		var s sequence
		switch {
		case p.ids == nil:
			s.append(seqs[p.which]) // a copy: a template may use one twice
		case addSpecial:
			s.ids = append(s.ids, p.ids...)
			for range p.ids {
				s.added = append(s.added, true)
			}
			if detailed {
				s.offsets = make([][2]int, len(p.ids))
				s.pieces = make([]string, len(p.ids))
			}
		default:
			continue
		}
		s.types = make([]int32, len(s.ids))
		for i := range s.types {
			s.types[i] = p.typeID
		}
		out = append(out, s)
	}
	return out
}

// offsetTrimmer takes the blanks that belong to a piece out of its offsets.
type offsetTrimmer struct{ addPrefixSpace bool }

func (o offsetTrimmer) process(seqs []sequence, _ bool) []sequence {
	blank := func(r rune) bool { return r == spelledSpace || unicode.IsSpace(r) }
	for _, s := range seqs {
		for i := range s.offsets {
			leading, trailing := 0, 0
			for _, r := range s.pieces[i] {
				if !blank(r) {
					break
				}
				leading++
			}
			for p := s.pieces[i]; p != ""; trailing++ {
				r, n := utf8.DecodeLastRuneInString(p)
				if !blank(r) {
					break
				}
				p = p[:len(p)-n]
			}
			at := &s.offsets[i]
			if leading > 0 {
				if o.addPrefixSpace && leading == 1 && (i == 0 || at[0] == 0) {
					leading = 0 // that blank is not in the text; where there are more, none was added
				}
				at[0] = min(at[0]+leading, at[1])
			}
			if trailing > 0 && at[1] >= trailing {
				at[1] = max(at[1]-trailing, at[0])
			}
		}
	}
	return seqs
}

// parsePostProcessor reads a post-processor of tokenizer.json; nil for null or
// where there is nothing to do.
func parsePostProcessor(raw json.RawMessage, st *steps) (postProcessor, error) {
	kind, err := st.enter("post-processor", raw)
	defer st.leave()
	if err != nil || kind == "" {
		return nil, err
	}
	switch kind {
	case "Sequence":
		return parseProcessors(raw, st)
	case "TemplateProcessing":
		return parseTemplate(raw)
	case "ByteLevel", "RobertaProcessing", "BertProcessing":
	default:
		return nil, fmt.Errorf("post-processor %s is not supported", quote(kind))
	}
	var c struct {
		AddPrefixSpace *bool         `json:"add_prefix_space"`
		TrimOffsets    *bool         `json:"trim_offsets"`
		Sep            *namedTokenID `json:"sep"`
		CLS            *namedTokenID `json:"cls"`
	}
	if err := json.Unmarshal(raw, &c); err != nil {
		return nil, fmt.Errorf("post-processor %s: %w", kind, err)
	}
	var ps postProcessors
	if kind != "BertProcessing" && orDefault(c.TrimOffsets, true) {
		ps = append(ps, offsetTrimmer{orDefault(c.AddPrefixSpace, true)})
	}
	if kind == "ByteLevel" {
		return ps, nil
	}
	if c.Sep == nil || c.CLS == nil {
		return nil, fmt.Errorf("post-processor %s: want sep and cls", kind)
	}
	sep, cls := []int32{c.Sep.id}, []int32{c.CLS.id}
	switch kind {
	case "BertProcessing": // [CLS] A [SEP] B [SEP]
		ps = append(ps, template{
			single: []templatePart{{ids: cls}, {}, {ids: sep}},
			pair:   []templatePart{{ids: cls}, {}, {ids: sep}, {which: 1, typeID: 1}, {ids: sep, typeID: 1}},
		})
	case "RobertaProcessing": // <s> A </s></s> B </s>
		ps = append(ps, template{
			single: []templatePart{{ids: cls}, {}, {ids: sep}},
			pair:   []templatePart{{ids: cls}, {}, {ids: sep}, {ids: sep}, {which: 1}, {ids: sep}},
		})
	}
	return ps, nil
}

// namedTokenID is ["</s>", 2].
type namedTokenID struct{ id int32 }

func (t *namedTokenID) UnmarshalJSON(b []byte) error {
	var name string
	var id int64
	parts := []any{&name, &id}
	if err := json.Unmarshal(b, &parts); err != nil || len(parts) != 2 {
		return errors.New("want a token and its id")
	}
	if err := checkID(id); err != nil {
		return err
	}
	t.id = int32(id)
	return nil
}

func parseProcessors(raw json.RawMessage, st *steps) (postProcessor, error) {
	var c struct {
		Processors []json.RawMessage `json:"processors"`
	}
	if err := json.Unmarshal(raw, &c); err != nil {
		return nil, fmt.Errorf("post-processor Sequence: %w", err)
	}
	var ps postProcessors
	for i, r := range c.Processors {
		p, err := parsePostProcessor(r, st)
		if err != nil {
			return nil, fmt.Errorf("processors[%d]: %w", i, err)
		}
		switch p := p.(type) {
		case nil:
		case postProcessors:
			ps = append(ps, p...)
		default:
			ps = append(ps, p)
		}
	}
	templates := 0
	for _, p := range ps {
		if _, ok := p.(template); ok {
			templates++
		}
	}
	if templates > 1 {
		return nil, errors.New("post-processor Sequence: more than one template in a row is not supported")
	}
	return ps, nil
}

func parseTemplate(raw json.RawMessage) (postProcessor, error) {
	type part struct {
		Sequence *struct {
			ID     string `json:"id"`
			TypeID int32  `json:"type_id"`
		}
		SpecialToken *struct {
			ID     string `json:"id"`
			TypeID int32  `json:"type_id"`
		}
	}
	var c struct {
		Single  []part `json:"single"`
		Pair    []part `json:"pair"`
		Special map[string]struct {
			IDs []int64 `json:"ids"`
		} `json:"special_tokens"`
	}
	if err := json.Unmarshal(raw, &c); err != nil {
		return nil, fmt.Errorf("post-processor TemplateProcessing: %w", err)
	}
	convert := func(name string, in []part) ([]templatePart, error) {
		if len(in) > 64 {
			return nil, fmt.Errorf("post-processor TemplateProcessing: %s has %d parts, more than 64", name, len(in))
		}
		var out []templatePart
		for i, p := range in {
			switch {
			case p.Sequence != nil && p.SpecialToken == nil:
				which := map[string]int{"A": 0, "B": 1}
				n, ok := which[p.Sequence.ID]
				if !ok || n == 1 && name == "single" {
					return nil, fmt.Errorf("post-processor TemplateProcessing: %s[%d] is sequence %s", name, i, quote(p.Sequence.ID))
				}
				out = append(out, templatePart{which: n, typeID: p.Sequence.TypeID})
			case p.SpecialToken != nil && p.Sequence == nil:
				special, ok := c.Special[p.SpecialToken.ID]
				if !ok || len(special.IDs) == 0 {
					return nil, fmt.Errorf("post-processor TemplateProcessing: %s[%d] names %s, which special_tokens lacks", name, i, quote(p.SpecialToken.ID))
				}
				t := templatePart{typeID: p.SpecialToken.TypeID}
				for _, id := range special.IDs {
					if err := checkID(id); err != nil {
						return nil, fmt.Errorf("post-processor TemplateProcessing: %s: %w", quote(p.SpecialToken.ID), err)
					}
					t.ids = append(t.ids, int32(id))
				}
				out = append(out, t)
			default:
				return nil, fmt.Errorf("post-processor TemplateProcessing: %s[%d] is neither a sequence nor a special token", name, i)
			}
		}
		return out, nil
	}
	var t template
	var err error
	if t.single, err = convert("single", c.Single); err != nil {
		return nil, err
	}
	if t.pair, err = convert("pair", c.Pair); err != nil {
		return nil, err
	}
	hasText := func(p templatePart) bool { return p.ids == nil }
	if !slices.ContainsFunc(t.single, hasText) {
		return nil, errors.New("post-processor TemplateProcessing: single has no place for the text, sequence A")
	}
	if len(t.pair) == 0 {
		t.pair = []templatePart{{}, {which: 1, typeID: 1}}
	}
	return t, nil
}
