package token

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// chunk is a stretch of text on its way out: at first the text of one token.
type chunk struct {
	text  string
	added bool // an added token, which is always literal
}

// decoder turns the texts of tokens into text. With raw, bytes that are no
// UTF-8 are left as they are, for a stream that sees more of them later;
// otherwise they become U+FFFD.
type decoder interface {
	decode(in []chunk, raw bool) []chunk
}

type decoders []decoder

func (ds decoders) decode(in []chunk, raw bool) []chunk {
	for _, d := range ds {
		in = d.decode(in, raw)
	}
	return in
}

func join(in []chunk) string {
	var b strings.Builder
	for _, c := range in {
		b.WriteString(c.text)
	}
	return b.String()
}

// bytesDecoder reads the byte-level alphabet.
type bytesDecoder struct{}

func (bytesDecoder) decode(in []chunk, raw bool) []chunk {
	var out []byte
	for _, c := range in {
		if c.added {
			out = append(out, c.text...)
		} else {
			out = unspellBytes(out, c.text)
		}
	}
	if raw {
		return []chunk{{text: string(out)}}
	}
	return []chunk{{text: validText(out)}}
}

// fallbackDecoder reads <0x41>. A run of such tokens that is no UTF-8 becomes
// one U+FFFD for each of them.
type fallbackDecoder struct{}

func (fallbackDecoder) decode(in []chunk, raw bool) []chunk {
	out := in[:0]
	var run []byte
	flush := func() {
		switch {
		case len(run) == 0:
			return
		case raw || utf8.Valid(run):
			out = append(out, chunk{text: string(run)})
		default:
			out = append(out, chunk{text: strings.Repeat("\uFFFD", len(run))})
		}
		run = run[:0]
	}
	for _, c := range in {
		if b, ok := fallbackByte(c.text); ok {
			run = append(run, b)
			continue
		}
		flush() // at most as many chunks as were read: out does not overtake in
		out = append(out, c)
	}
	flush()
	return out
}

// fallbackByte reads the text of a byte token.
func fallbackByte(s string) (byte, bool) {
	if len(s) != 6 || s[:3] != "<0x" || s[5] != '>' {
		return 0, false
	}
	var b byte
	for _, c := range []byte(s[3:5]) {
		switch {
		case c >= '0' && c <= '9':
			b = b<<4 | (c - '0')
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			b = b<<4 | (c | 0x20 - 'a' + 10)
		default:
			return 0, false
		}
	}
	return b, true
}

// fuser joins everything into one chunk.
type fuser struct{}

func (fuser) decode(in []chunk, _ bool) []chunk { return []chunk{{text: join(in)}} }

// replaceDecoder puts a string in place of another in each chunk.
type replaceDecoder struct{ from, to string }

func (r replaceDecoder) decode(in []chunk, _ bool) []chunk {
	// A file can ask for "a" to become "aa" many times over: from some size
	// on nothing is replaced any more.
	room := maxNormalized
	for i := range in {
		text := in[i].text
		n := strings.Count(text, r.from)
		if growth := n * (len(r.to) - len(r.from)); growth <= room-len(text) {
			text = strings.ReplaceAll(text, r.from, r.to)
		}
		room -= len(text)
		in[i].text = text
	}
	return in
}

// stripDecoder takes a rune away from the ends of each chunk, at most so many
// times.
type stripDecoder struct {
	content     string
	start, stop int
}

func (s stripDecoder) decode(in []chunk, _ bool) []chunk {
	for i := range in {
		text := in[i].text
		for n := 0; n < s.start && strings.HasPrefix(text, s.content); n++ {
			text = text[len(s.content):]
		}
		for n := 0; n < s.stop && strings.HasSuffix(text, s.content); n++ {
			text = text[:len(text)-len(s.content)]
		}
		in[i].text = text
	}
	return in
}

// metaspaceDecoder writes blanks again, but none for the first token: the
// reference takes all of them off there, not only the one that was put in front.
type metaspaceDecoder struct {
	replacement string
	prepend     bool
}

func (m metaspaceDecoder) decode(in []chunk, _ bool) []chunk {
	for i := range in {
		blank := " "
		if i == 0 && m.prepend {
			blank = ""
		}
		in[i].text = strings.ReplaceAll(in[i].text, m.replacement, blank)
	}
	return in
}

// suffixDecoder turns the suffix of words into blanks between them.
type suffixDecoder struct{ suffix string }

func (s suffixDecoder) decode(in []chunk, _ bool) []chunk {
	for i := range in {
		blank := " "
		if i == len(in)-1 {
			blank = ""
		}
		in[i].text = strings.ReplaceAll(in[i].text, s.suffix, blank)
	}
	return in
}

// spacer is what happens without a decoder: blanks between the tokens.
type spacer struct{}

func (spacer) decode(in []chunk, _ bool) []chunk {
	for i := 1; i < len(in); i++ {
		in[i].text = " " + in[i].text
	}
	return in
}

// parseDecoder reads a decoder of tokenizer.json.
func parseDecoder(raw json.RawMessage, st *steps) (decoder, error) {
	kind, err := st.enter("decoder", raw)
	defer st.leave()
	if err != nil {
		return nil, err
	}
	var c struct {
		Decoders       []json.RawMessage `json:"decoders"`
		Pattern        json.RawMessage   `json:"pattern"`
		Content        string            `json:"content"`
		Start          int               `json:"start"`
		Stop           int               `json:"stop"`
		Replacement    string            `json:"replacement"`
		PrependScheme  string            `json:"prepend_scheme"`
		AddPrefixSpace *bool             `json:"add_prefix_space"`
		Suffix         string            `json:"suffix"`
	}
	if kind != "" {
		if err := json.Unmarshal(raw, &c); err != nil {
			return nil, fmt.Errorf("decoder %s: %w", kind, err)
		}
	}
	switch kind {
	case "":
		return spacer{}, nil
	case "Sequence":
		var ds decoders
		for i, r := range c.Decoders {
			d, err := parseDecoder(r, st)
			if err != nil {
				return nil, fmt.Errorf("decoders[%d]: %w", i, err)
			}
			ds = append(ds, d)
		}
		return ds, nil
	case "ByteLevel":
		return bytesDecoder{}, nil
	case "ByteFallback":
		return fallbackDecoder{}, nil
	case "Fuse":
		return fuser{}, nil
	case "Replace":
		p, err := parsePattern(c.Pattern)
		if err != nil {
			return nil, fmt.Errorf("decoder Replace: %w", err)
		}
		from, ok := p.(literal)
		if !ok {
			return nil, errors.New("decoder Replace: a regular expression is not supported here")
		}
		return replaceDecoder{string(from), c.Content}, nil
	case "Strip":
		if utf8.RuneCountInString(c.Content) != 1 || c.Start < 0 || c.Stop < 0 {
			return nil, errors.New("decoder Strip: want content of one character, start and stop not negative")
		}
		return stripDecoder{c.Content, c.Start, c.Stop}, nil
	case "Metaspace":
		scheme, err := parsePrependScheme(c.PrependScheme, c.AddPrefixSpace)
		if err != nil {
			return nil, fmt.Errorf("decoder Metaspace: %w", err)
		}
		if c.Replacement == "" {
			return nil, errors.New("decoder Metaspace: the replacement is empty")
		}
		return metaspaceDecoder{c.Replacement, scheme != prependNever}, nil
	case "BPEDecoder":
		if c.Suffix == "" {
			return nil, errors.New("decoder BPEDecoder: the suffix is empty")
		}
		return suffixDecoder{c.Suffix}, nil
	}
	return nil, fmt.Errorf("decoder %s is not supported", quote(kind))
}
