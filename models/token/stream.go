package token

// Stream decodes tokens one by one. What it has returned stays: text that ends
// in the middle of a code point is held back until the rest has come. It serves
// one goroutine.
type Stream struct {
	t           *Tokenizer
	skipSpecial bool
	last        []chunk // the last token, and an empty one behind it; nil at the beginning
	pending     []byte  // the beginning of a code point
}

// NewStream returns a stream at the beginning of a text.
func (t *Tokenizer) NewStream(skipSpecial bool) *Stream {
	return &Stream{t: t, skipSpecial: skipSpecial}
}

// Next returns the text that the next token completes, often all of its own,
// sometimes none. An id that no token has adds nothing: models may have more ids
// than their tokenizer.
func (s *Stream) Next(id int32) string {
	c, ok := s.t.chunk(id, s.skipSpecial)
	if !ok {
		return ""
	}
	// Decoders treat the first token in a special way, so the token is decoded
	// behind the one before, and what that gives by itself is taken off.
	before := len(s.t.decodeRaw(s.last))
	text := s.t.decodeRaw(append(s.last, c))
	switch {
	case c.text != "":
		s.last = append(s.last[:0], c)
	case len(s.last) < 2: // an empty token does not hide the one before it
		s.last = append(s.last, c)
	}
	s.pending = append(s.pending, text[min(before, len(text)):]...)
	n := completeBytes(s.pending)
	out := validText(s.pending[:n])
	s.pending = append(s.pending[:0], s.pending[n:]...)
	return out
}

// Flush returns U+FFFD for a code point that was begun and not completed, else
// nothing, and puts the stream at the beginning of a text again.
func (s *Stream) Flush() string {
	out := validText(s.pending)
	s.last, s.pending = s.last[:0], s.pending[:0]
	return out
}

// decodeRaw decodes without replacing bytes that are not UTF-8. It leaves in
// as it is.
func (t *Tokenizer) decodeRaw(in []chunk) string {
	return join(t.decoder.decode(append([]chunk(nil), in...), true))
}

// completeBytes returns how many of the bytes are not the beginning of a code
// point that lacks its end.
func completeBytes(b []byte) int {
	for n := 1; n < 4 && n <= len(b); n++ {
		if tail := b[len(b)-n:]; incompleteRune(tail) {
			return len(b) - n
		}
	}
	return len(b)
}
