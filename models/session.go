package models

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/models/chat"
	"github.com/heddle-ml/heddle/models/img"
	"github.com/heddle-ml/heddle/models/img/tiling"
	"github.com/heddle-ml/heddle/models/sample"
)

// Session is a conversation: its messages, pictures and KV cache. One
// goroutine at a time.
type Session struct {
	m        *Model
	d        *decoder // nil after Model.Use, until it is needed
	messages []chat.Message
	pictures []*Picture
	// cached are the tokens whose keys and values are in the cache, in order;
	// shown says what each stands for: image tokens all have the same id.
	cached []int32
	shown  []source
}

// NewSession starts an empty conversation, with a KV cache of its own.
func (m *Model) NewSession(ctx context.Context) (*Session, error) {
	if err := m.enter(ctx); err != nil {
		return nil, err
	}
	defer m.leave()
	d, err := newDecoder(ctx, m)
	if err != nil {
		return nil, m.advise(err)
	}
	s := &Session{m: m, d: d}
	m.life.add(s)
	return s, nil
}

// Turn is what a user says.
type Turn struct {
	Text   string
	Images []img.RGB
	// Pictures are shown after Images. They are encoded already, by the same
	// model's Encode: while the user types, or once for many conversations.
	Pictures []*Picture
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
// can go on. When a device was lost (hal.ErrDeviceLost) it can go on after
// Model.Use.
func (s *Session) Ask(ctx context.Context, t Turn) (*Answer, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.m.leave()
	messages, pictures := len(s.messages), len(s.pictures)
	a, err := s.ask(ctx, t)
	if err != nil {
		s.messages, s.pictures = s.messages[:messages], s.pictures[:pictures]
		return nil, s.m.advise(err)
	}
	return a, nil
}

func (s *Session) ask(ctx context.Context, t Turn) (*Answer, error) {
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
		return nil, fmt.Errorf("models: max tokens is %d; want a positive number, or 0 for the model's own bound", t.MaxTokens)
	}

	a := &Answer{}
	start := time.Now()
	if err := s.listen(ctx, t, a); err != nil {
		return nil, err
	}
	a.Encode = time.Since(start)
	p, err := s.prompt(ctx)
	if err != nil {
		return nil, err
	}
	a.PromptTokens = len(p.ids)
	for i := range p.ids {
		if p.embed(i) != nil {
			a.ImageTokens++
		}
	}

	start = time.Now()
	logits, err := s.feed(ctx, p, a)
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

// listen encodes the pictures of a turn and adds what it says to the
// conversation.
func (s *Session) listen(ctx context.Context, t Turn, a *Answer) error {
	if s.m.tok == nil {
		return fmt.Errorf("models: %s has no tokenizer.json, so it takes no text", s.m.files.Name())
	}
	if strings.TrimSpace(t.Text) == "" {
		return errors.New("models: the prompt is empty: say something")
	}
	if !utf8.ValidString(t.Text) || !utf8.ValidString(t.System) {
		return errors.New("models: the prompt is not valid UTF-8: convert it")
	}
	if t.System != "" {
		if len(s.messages) > 0 {
			return errors.New("models: a system message can only start a conversation")
		}
		if s.m.dropsSystem {
			return fmt.Errorf("models: %s: the chat template has no place for a system message: say it in the first turn", s.m.files.Name())
		}
		s.messages = append(s.messages, s.m.message("system", t.System, 0))
	}
	for _, p := range t.Images {
		e, err := s.m.encode(ctx, p)
		if err != nil {
			return err
		}
		s.pictures = append(s.pictures, e)
		a.Grids = append(a.Grids, e.Grid)
	}
	for _, p := range t.Pictures {
		if s.m.images == nil || p == nil || len(p.embeds) != 4*p.tokens*int(s.m.desc.Vision.Width) {
			return errors.New("models: a picture of the turn was not encoded by this model")
		}
		s.pictures = append(s.pictures, p)
		a.Grids = append(a.Grids, p.Grid)
	}
	s.messages = append(s.messages, s.m.message("user", t.Text, len(t.Images)+len(t.Pictures)))
	return nil
}

// feed brings the cache to the given tokens, keeping what it shares with
// them, and returns the logits behind the last.
func (s *Session) feed(ctx context.Context, p *prompt, a *Answer) ([]float32, error) {
	keep := 0
	for keep < len(p.ids)-1 && keep < len(s.cached) && s.cached[keep] == p.ids[keep] && s.shown[keep] == p.source(keep) {
		keep++
	}
	s.rewind(keep)
	a.CachedTokens = keep
	logits, err := s.d.prefill(ctx, p.ids[keep:], func(i int) []byte { return p.embed(keep + i) })
	for i := keep; i < s.d.pos; i++ { // also after an error: some chunks may be in
		s.cached = append(s.cached, p.ids[i])
		s.shown = append(s.shown, p.source(i))
	}
	return logits, err
}

// step adds a token of an answer to the cache.
func (s *Session) step(ctx context.Context, id int32) ([]float32, error) {
	logits, err := s.d.step(ctx, id)
	if err != nil {
		return nil, err
	}
	s.cached = append(s.cached, id)
	s.shown = append(s.shown, source{})
	return logits, nil
}

// rewind forgets all but the first n cached tokens.
func (s *Session) rewind(n int) {
	s.d.rewind(n)
	s.cached, s.shown = s.cached[:n], s.shown[:n]
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
		if logits, err = s.step(ctx, id); err != nil {
			return err
		}
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
	if err := s.enter(ctx); err != nil {
		return 0, 0, err
	}
	defer s.m.leave()
	messages, pictures := len(s.messages), len(s.pictures)
	defer func() {
		s.messages, s.pictures = s.messages[:messages], s.pictures[:pictures]
		err = s.m.advise(err)
	}()
	if err := s.listen(ctx, t, &Answer{}); err != nil {
		return 0, 0, err
	}
	p, want, err := s.expected(ctx, answer)
	if err != nil {
		return 0, 0, err
	}
	logits, err := s.feed(ctx, p, &Answer{})
	if err != nil {
		return 0, 0, err
	}
	sum := 0.0
	for i, id := range want {
		if id < 0 || int(id) >= len(logits) {
			return 0, 0, fmt.Errorf("models: token %d of the expected answer is not in the vocabulary of %d", id, len(logits))
		}
		sum += crossEntropy(logits, int(id))
		if s.m.stop[id] || i == len(want)-1 {
			n = i + 1
			break
		}
		if logits, err = s.step(ctx, id); err != nil {
			return 0, 0, err
		}
	}
	return sum / float64(n), n, nil
}

// expected returns the prompt of the conversation so far and the tokens of an
// answer to it.
func (s *Session) expected(ctx context.Context, answer string) (*prompt, []int32, error) {
	p, err := s.prompt(ctx)
	if err != nil {
		return nil, nil, err
	}
	text, err := s.m.render(ctx, append(slices.Clip(s.messages), s.m.message("assistant", answer, 0)), false)
	if err != nil {
		return nil, nil, err
	}
	all, err := s.m.embedPictures(text, s.pictures)
	if err != nil {
		return nil, nil, err
	}
	if len(all.ids) <= len(p.ids) {
		return nil, nil, fmt.Errorf("models: %s: the chat template writes no answer behind the prompt", s.m.files.Name())
	}
	if !slices.Equal(all.ids[:len(p.ids)], p.ids) {
		return nil, nil, fmt.Errorf("models: %s: the chat template writes a finished answer otherwise than it begins one", s.m.files.Name())
	}
	return p, all.ids[len(p.ids):], nil
}

// Reset forgets the conversation but keeps the cache's memory, and what of it
// the next conversation begins with.
func (s *Session) Reset() { s.messages, s.pictures = nil, nil }

// enter begins a use of the session, with a decoder; m.leave ends it.
func (s *Session) enter(ctx context.Context) error {
	if err := s.m.enter(ctx); err != nil {
		return err
	}
	if err := s.ready(ctx); err != nil {
		s.m.leave()
		return err
	}
	return nil
}

func (s *Session) ready(ctx context.Context) (err error) {
	if s.m.life.isClosed(s) {
		return fmt.Errorf("models: the session was closed: %w", hal.ErrClosed)
	}
	if s.d == nil {
		if s.d, err = newDecoder(ctx, s.m); err != nil {
			return s.m.advise(err)
		}
	}
	return nil
}

// Close frees the cache. Calling it again, or after the model was closed,
// does nothing.
func (s *Session) Close() error {
	if !s.m.life.remove(s) {
		return nil
	}
	defer s.m.leave()
	return s.retire()
}

// retire frees the decoder, and with it the cache.
func (s *Session) retire() error {
	if s.d == nil {
		return nil
	}
	err := s.d.close()
	s.d, s.cached, s.shown = nil, nil, nil
	return err
}
