package models

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/heddle-ml/heddle/models/chat"
	"github.com/heddle-ml/heddle/models/img"
	"github.com/heddle-ml/heddle/models/img/tiling"
	"github.com/heddle-ml/heddle/models/sample"
	"github.com/heddle-ml/heddle/models/token"
)

// Session is a conversation: its messages, pictures and KV cache. One
// goroutine at a time.
type Session struct {
	m        *Model
	d        *decoder
	messages []chat.Message
	pictures []*Picture
	// cached are the tokens whose keys and values are in the cache, in order.
	cached []int32
}

// NewSession starts an empty conversation, with a KV cache of its own.
func (m *Model) NewSession(ctx context.Context) (*Session, error) {
	d, err := newDecoder(ctx, m)
	if err != nil {
		return nil, err
	}
	return &Session{m: m, d: d}, nil
}

// Turn is what a user says.
type Turn struct {
	Text   string
	Images []img.RGB
	// System, if not empty, starts the conversation with a system message.
	// Only the first turn may have one.
	System string
	// Sampling chooses tokens; nil means what the model's generation config says, the
	// zero Params is greedy.
	Sampling *sample.Params
	// MaxTokens bounds the answer; 0 means the model's own bound.
	MaxTokens int
	// Stream, if not nil, gets the answer piece by piece. An error from it
	// ends the answer and is returned.
	Stream func(piece string) error
}

// Answer is what the model said, and what it took.
type Answer struct {
	Text   string
	Tokens []int32 // without the one that ended the answer
	// PromptTokens counts the whole conversation before the answer,
	// ImageTokens those of it that stand for pictures, CachedTokens those
	// that were in the KV cache already.
	PromptTokens, ImageTokens, CachedTokens int
	Grids                                   []tiling.Grid // one for each picture of the turn
	Finish                                  Finish
	Encode, Prefill, Decode                 time.Duration
}

// Finish tells why an answer ended.
type Finish string

// The reasons.
const (
	FinishStop   Finish = "stop"   // the model ended it
	FinishLength Finish = "length" // MaxTokens, or the context is full
)

// Ask adds a turn to the conversation and returns the answer. When it fails
// or ctx ends, the conversation is as it was before the turn, and the session
// can go on.
func (s *Session) Ask(ctx context.Context, t Turn) (*Answer, error) {
	messages, pictures := len(s.messages), len(s.pictures)
	a, err := s.ask(ctx, t)
	if err != nil {
		s.messages, s.pictures = s.messages[:messages], s.pictures[:pictures]
		return nil, err
	}
	return a, nil
}

func (s *Session) ask(ctx context.Context, t Turn) (*Answer, error) {
	if s.m.tok == nil {
		return nil, fmt.Errorf("models: %s has no tokenizer.json, so it takes no text", s.m.files.Name())
	}
	if strings.TrimSpace(t.Text) == "" {
		return nil, errors.New("models: the prompt is empty: say something")
	}
	params := s.m.gen.params()
	if t.Sampling != nil {
		params = *t.Sampling
	}
	sampler, err := sample.New(params)
	if err != nil {
		return nil, fmt.Errorf("models: %w", err)
	}
	limit := t.MaxTokens
	if limit == 0 {
		limit = s.m.gen.MaxNewTokens
	}
	if limit < 0 {
		return nil, fmt.Errorf("models: max tokens is %d; want a positive number", t.MaxTokens)
	}

	a := &Answer{}
	start := time.Now()
	for _, p := range t.Images {
		e, err := s.m.Encode(ctx, p)
		if err != nil {
			return nil, err
		}
		s.pictures = append(s.pictures, e)
		a.Grids = append(a.Grids, e.Grid)
	}
	a.Encode = time.Since(start)

	if t.System != "" {
		if len(s.messages) > 0 {
			return nil, errors.New("models: a system message can only start a conversation")
		}
		s.messages = append(s.messages, s.m.message("system", t.System, 0))
	}
	s.messages = append(s.messages, s.m.message("user", t.Text, len(t.Images)))
	ids, embeds, err := s.prompt(ctx)
	if err != nil {
		return nil, err
	}
	a.PromptTokens = len(ids)
	for i := range ids {
		if embeds(i) != nil {
			a.ImageTokens++
		}
	}

	start = time.Now()
	logits, err := s.feed(ctx, ids, embeds, a)
	if err != nil {
		return nil, err
	}
	a.Prefill = time.Since(start)
	start = time.Now()
	if err := s.generate(ctx, logits, sampler, limit, t.Stream, a); err != nil {
		return nil, err
	}
	a.Decode = time.Since(start)
	s.messages = append(s.messages, s.m.message("assistant", a.Text, 0))
	return a, nil
}

// prompt renders the conversation to tokens, and returns with them a function
// that gives the image embedding of each token that stands for one.
func (s *Session) prompt(ctx context.Context) ([]int32, func(i int) []byte, error) {
	text, err := s.m.render(ctx, s.messages, true)
	if err != nil {
		return nil, nil, err
	}
	return s.m.embedPictures(text, s.pictures)
}

// embedPictures replaces the markers in a rendered conversation by what
// stands for its pictures and turns it into tokens.
func (m *Model) embedPictures(text string, pictures []*Picture) ([]int32, func(i int) []byte, error) {
	none := func(int) []byte { return nil }
	want := 0
	if m.images != nil {
		if n := strings.Count(text, m.images.Marker); n != len(pictures) {
			return nil, nil, fmt.Errorf("models: the conversation holds %d pictures, but its text has %q %d times: do not write the marker yourself", len(pictures), m.images.Marker, n)
		}
		var b strings.Builder
		for _, p := range pictures {
			before, after, _ := strings.Cut(text, m.images.Marker)
			b.WriteString(before)
			b.WriteString(m.images.Expand(p.Grid, func(id int64) string {
				s, _ := m.tok.Piece(int32(id))
				return s
			}))
			text = after
			want += p.tokens
		}
		text = b.String() + text
	}
	ids, err := m.tok.Encode(text, token.EncodeOptions{ParseSpecial: true, AddSpecial: m.template == nil})
	if err != nil {
		return nil, nil, fmt.Errorf("models: %w", err)
	}
	if m.images == nil {
		return ids, none, nil
	}
	row := make([]int32, len(ids)) // place among the embeddings, -1 for text
	n := int32(0)
	for i, id := range ids {
		row[i] = -1
		if int64(id) == m.images.Token {
			row[i] = n
			n++
		}
	}
	if int(n) != want {
		return nil, nil, fmt.Errorf("models: the prompt has %d places for image embeddings, the pictures have %d: do not write %q yourself", n, want, m.images.TokenText)
	}
	size := 4 * int(m.desc.Vision.Width)
	return ids, func(i int) []byte {
		r := int(row[i])
		if r < 0 {
			return nil
		}
		for _, p := range pictures {
			if r < p.tokens {
				return p.embeds[r*size : (r+1)*size]
			}
			r -= p.tokens
		}
		return nil
	}, nil
}

// feed brings the cache to the given tokens, keeping what it shares with
// them, and returns the logits behind the last.
func (s *Session) feed(ctx context.Context, ids []int32, embeds func(i int) []byte, a *Answer) ([]float32, error) {
	keep := 0
	for keep < len(ids)-1 && keep < len(s.cached) && s.cached[keep] == ids[keep] {
		keep++
	}
	s.d.rewind(keep)
	s.cached = s.cached[:keep]
	a.CachedTokens = keep
	logits, err := s.d.prefill(ctx, ids[keep:], func(i int) []byte { return embeds(keep + i) })
	s.cached = append(s.cached, ids[keep:s.d.pos]...)
	return logits, err
}

// generate samples tokens until the model stops, the limit is reached or the
// context is full.
func (s *Session) generate(ctx context.Context, logits []float32, sampler *sample.Sampler, limit int, stream func(string) error, a *Answer) error {
	out := s.m.tok.NewStream(true)
	var text strings.Builder
	emit := func(piece string) error {
		if piece == "" {
			return nil
		}
		text.WriteString(piece)
		if stream != nil {
			return stream(piece)
		}
		return nil
	}
	a.Finish = FinishLength
	for {
		id, err := sampler.Next(logits, s.cached)
		if err != nil {
			return fmt.Errorf("models: %w", err)
		}
		if s.m.stop[id] {
			a.Finish = FinishStop
			break
		}
		a.Tokens = append(a.Tokens, id)
		if err := emit(out.Next(id)); err != nil {
			return err
		}
		if len(a.Tokens) >= limit || s.d.pos >= s.m.Context() {
			break
		}
		if logits, err = s.d.step(ctx, id); err != nil {
			return err
		}
		s.cached = append(s.cached, id)
	}
	if err := emit(out.Flush()); err != nil {
		return err
	}
	a.Text = text.String()
	return nil
}

// Score returns the mean cross entropy, in nats, of an expected answer's
// tokens behind a turn, and their number: the model is shown the right token
// after each prediction. The conversation is as before afterwards. The token that ends an
// answer counts where the chat template writes it.
func (s *Session) Score(ctx context.Context, t Turn, answer string) (nats float64, n int, err error) {
	messages, pictures := len(s.messages), len(s.pictures)
	defer func() { s.messages, s.pictures = s.messages[:messages], s.pictures[:pictures] }()
	for _, p := range t.Images {
		e, err := s.m.Encode(ctx, p)
		if err != nil {
			return 0, 0, err
		}
		s.pictures = append(s.pictures, e)
	}
	s.messages = append(s.messages, s.m.message("user", t.Text, len(t.Images)))
	ids, embeds, err := s.prompt(ctx)
	if err != nil {
		return 0, 0, err
	}
	s.messages = append(s.messages, s.m.message("assistant", answer, 0))
	text, err := s.m.render(ctx, s.messages, false)
	if err != nil {
		return 0, 0, err
	}
	all, _, err := s.m.embedPictures(text, s.pictures)
	if err != nil {
		return 0, 0, err
	}
	if len(all) <= len(ids) {
		return 0, 0, errors.New("models: the chat template writes no answer behind the prompt")
	}
	for i, id := range ids {
		if all[i] != id {
			return 0, 0, errors.New("models: the chat template writes a finished answer otherwise than it begins one")
		}
	}
	if err := s.d.check(nil); err != nil {
		return 0, 0, err
	}
	logits, err := s.feed(ctx, ids, embeds, &Answer{})
	if err != nil {
		return 0, 0, err
	}
	sum := 0.0
	want := all[len(ids):]
	for i, id := range want {
		sum += crossEntropy(logits, int(id))
		if s.m.stop[id] || i == len(want)-1 {
			n = i + 1
			break
		}
		if logits, err = s.d.step(ctx, id); err != nil {
			return 0, 0, err
		}
		s.cached = append(s.cached, id)
	}
	return sum / float64(n), n, nil
}

// Reset forgets the conversation but keeps the cache's memory.
func (s *Session) Reset() {
	s.messages, s.pictures = nil, nil
	s.cached = s.cached[:0]
	s.d.rewind(0)
}

// Close frees the cache.
func (s *Session) Close() error { return s.d.close() }
