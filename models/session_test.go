package models

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/models/img"
	"github.com/heddle-ml/heddle/models/sample"
	"github.com/heddle-ml/heddle/scheduler"
	"github.com/stretchr/testify/require"
)

func shapesTurn(t testing.TB) Turn {
	return Turn{Text: "Describe the picture.", Images: []img.RGB{picture(t, "examples/shapes.png")}}
}

const shapesAnswer = "A red circle, a yellow star and a blue square on a light blue background."

// usable asks a question about a picture in a conversation of its own and
// requires the right answer: whatever went wrong before has left no trace.
func usable(t testing.TB, s *Session) {
	t.Helper()
	s.Reset()
	a := ask(t, s, shapesTurn(t))
	require.Equal(t, shapesAnswer, a.Text)
	require.Equal(t, FinishStop, a.Finish)
}

// fresh answers the last turn of a conversation once more, with nothing in
// the cache.
func fresh(t testing.TB, s *Session) *Answer {
	t.Helper()
	f := newSession(t, s.m)
	f.messages, f.pictures = slices.Clone(s.messages[:len(s.messages)-1]), slices.Clone(s.pictures)
	p, err := f.prompt(t.Context())
	require.NoError(t, err)
	a := &Answer{PromptTokens: len(p.ids)}
	logits, err := f.feed(t.Context(), p, a)
	require.NoError(t, err)
	require.Zero(t, a.CachedTokens)
	sampler, err := sample.New(sample.Params{})
	require.NoError(t, err)
	require.NoError(t, f.generate(t.Context(), logits, sampler, 64, nil, a))
	return a
}

// same requires an answer that used the cache to be the one without it.
func same(t testing.TB, s *Session, a *Answer) {
	t.Helper()
	f := fresh(t, s)
	require.Equal(t, f.Tokens, a.Tokens)
	require.Equal(t, f.PromptTokens, a.PromptTokens)
}

func TestTurns(t *testing.T) {
	s := newSession(t, openDemo(t, scheduler.Policy{}))
	first := ask(t, s, shapesTurn(t))
	require.Zero(t, first.CachedTokens)
	before := first.PromptTokens
	for _, c := range []struct{ question, answer string }{
		{"What color is the background?", "The background is light blue."},
		{"How many shapes are there?", "I see three shapes."},
		{"Is there a red circle?", "Yes, there is a red circle."},
	} {
		a := ask(t, s, Turn{Text: c.question})
		require.Equal(t, c.answer, a.Text)
		// Everything that was said before is still in the cache.
		require.GreaterOrEqual(t, a.CachedTokens, before)
		require.Equal(t, first.ImageTokens, a.ImageTokens)
		require.Empty(t, a.Grids)
		same(t, s, a)
		before = a.PromptTokens
	}
	require.Len(t, s.messages, 8)
}

func TestSeveralPictures(t *testing.T) {
	s := newSession(t, openDemo(t, scheduler.Policy{}))
	shapes, tall, small := picture(t, "examples/shapes.png"), picture(t, "examples/tall.png"), picture(t, "examples/small.png")
	one := ask(t, s, Turn{Text: "What do you see?", Images: []img.RGB{small}})
	s.Reset()
	a := ask(t, s, Turn{Text: "What do you see?", Images: []img.RGB{tall, small}})
	require.Len(t, a.Grids, 2)
	require.Equal(t, 16*(a.Grids[0].Tiles+a.Grids[1].Tiles), a.ImageTokens)
	require.Equal(t, one.Grids[0], a.Grids[1])
	require.Equal(t, 2, a.CachedTokens, "the pictures differ: no more than the tokens before the first is shared")
	same(t, s, a)
	b := ask(t, s, Turn{Text: "Describe the picture.", Images: []img.RGB{shapes}})
	require.Len(t, b.Grids, 1)
	require.Equal(t, a.ImageTokens+16*b.Grids[0].Tiles, b.ImageTokens)
	require.GreaterOrEqual(t, b.CachedTokens, a.PromptTokens)
	same(t, s, b)
	c := ask(t, s, Turn{Text: "How many shapes are there?"})
	require.Equal(t, b.ImageTokens, c.ImageTokens)
	same(t, s, c)
}

// Image tokens all have one id: the cache must know whose picture they stand
// for. Two pictures of equal grids and the same question give prompts of
// equal ids.
func TestCacheKnowsPictures(t *testing.T) {
	m := openDemo(t, scheduler.Policy{})
	// The first two pictures of equal grids with local tiles.
	first := map[[2]int]img.RGB{}
	var pair []img.RGB
	for i := 0; pair == nil; i++ {
		p := picture(t, fmt.Sprintf("eval/%03d.png", i))
		g, err := m.images.Tiling.Grid(p.W, p.H)
		require.NoError(t, err)
		key := [2]int{g.Cols, g.Rows}
		if q, ok := first[key]; ok && g.Tiles > 1 {
			pair = []img.RGB{q, p}
		}
		first[key] = p
	}
	s := newSession(t, m)
	turn := func(i int) Turn { return Turn{Text: "Describe the picture.", Images: pair[i : i+1]} }
	one := ask(t, s, turn(0))
	s.Reset()
	second := ask(t, s, turn(1))
	require.Equal(t, one.PromptTokens, second.PromptTokens)
	require.Equal(t, 2, second.CachedTokens, "the tokens before the first embedding")
	require.NotEqual(t, one.Text, second.Text)
	same(t, s, second)

	// After a failed turn the cache holds a picture that is not part of the
	// conversation.
	s.Reset()
	stop := errors.New("stop")
	_, err := s.Ask(t.Context(), Turn{Text: "Describe the picture.", Images: pair[:1], Stream: func(string) error { return stop }})
	require.ErrorIs(t, err, stop)
	again := ask(t, s, turn(1))
	require.Equal(t, second.Text, again.Text)

	// The same picture once more is found in the cache: only the last token
	// runs, since its logits are wanted.
	s.Reset()
	again = ask(t, s, turn(1))
	require.Equal(t, again.PromptTokens-1, again.CachedTokens)
	require.Equal(t, second.Text, again.Text)
}

// countdown is a context that ends at the n-th look at it.
type countdown struct {
	context.Context
	cancel context.CancelFunc
	n      *atomic.Int64
}

func newCountdown(parent context.Context, n int64) countdown {
	ctx, cancel := context.WithCancel(parent)
	c := countdown{ctx, cancel, new(atomic.Int64)}
	c.n.Store(n)
	return c
}

func (c countdown) look() {
	if c.n.Add(-1) == 0 {
		c.cancel()
	}
}

func (c countdown) Err() error            { c.look(); return c.Context.Err() }
func (c countdown) Done() <-chan struct{} { c.look(); return c.Context.Done() }

// Wherever a turn is broken off, in the vision tower, between two chunks or
// while the answer is written, the session goes on as if it had not been asked.
func TestCancelAnywhere(t *testing.T) {
	m := openDemo(t, scheduler.Policy{Chunk: 8, TileBatch: 1})
	s := newSession(t, m)
	ask(t, s, Turn{Text: "How many shapes are there?", Images: []img.RGB{picture(t, "examples/small.png")}})
	next := Turn{Text: "What is right of the yellow star?", Images: []img.RGB{picture(t, "examples/shapes.png")}}
	messages, pictures := len(s.messages), len(s.pictures)
	want := ""
	cancelled := 0
	growth := int64(5)
	if brief() {
		growth = 8
	}
	for n := int64(1); ; n = n*growth/4 + 1 {
		ctx := newCountdown(t.Context(), n)
		a, err := s.Ask(ctx, next)
		ctx.cancel()
		if err == nil {
			want = a.Text
			break // it was done before the context ended
		}
		cancelled++
		require.ErrorIs(t, err, context.Canceled, "after %d looks", n)
		require.Len(t, s.messages, messages)
		require.Len(t, s.pictures, pictures)
	}
	require.Greater(t, cancelled, 4)
	f := newSession(t, m)
	ask(t, f, Turn{Text: "How many shapes are there?", Images: []img.RGB{picture(t, "examples/small.png")}})
	require.Equal(t, ask(t, f, next).Text, want)
	usable(t, s)
}

func TestCancelFromStream(t *testing.T) {
	s := newSession(t, openDemo(t, scheduler.Policy{}))
	ctx, cancel := context.WithCancel(t.Context())
	turn := shapesTurn(t)
	pieces := 0
	turn.Stream = func(string) error {
		if pieces++; pieces == 3 {
			cancel()
		}
		return nil
	}
	_, err := s.Ask(ctx, turn)
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, 3, pieces)
	require.Empty(t, s.messages)
	usable(t, s)

	_, err = s.Ask(ctx, turn) // ended before it began
	require.ErrorIs(t, err, context.Canceled)
	_, _, err = s.Score(ctx, turn, "Yes.")
	require.ErrorIs(t, err, context.Canceled)
	usable(t, s)
}

func TestStream(t *testing.T) {
	s := newSession(t, openDemo(t, scheduler.Policy{}))
	turn := shapesTurn(t)
	var pieces []string
	turn.Stream = func(p string) error { pieces = append(pieces, p); return nil }
	a := ask(t, s, turn)
	all := ""
	for _, p := range pieces {
		require.NotEmpty(t, p)
		all += p
	}
	require.Equal(t, a.Text, all)
	require.Greater(t, len(pieces), 5)

	full := errors.New("the disk is full")
	turn.Stream = func(string) error { return full }
	s.Reset()
	_, err := s.Ask(t.Context(), turn)
	require.ErrorIs(t, err, full)
	usable(t, s)
}

func TestMaxTokens(t *testing.T) {
	s := newSession(t, openDemo(t, scheduler.Policy{}))
	turn := shapesTurn(t)
	all := ask(t, s, turn)
	for _, n := range []int{1, 3, len(all.Tokens) - 1, len(all.Tokens), len(all.Tokens) + 1, 1 << 40} {
		s.Reset()
		turn.MaxTokens = n
		a := ask(t, s, turn)
		require.Equal(t, all.Tokens[:min(n, len(all.Tokens))], a.Tokens)
		if n > len(all.Tokens) {
			require.Equal(t, FinishStop, a.Finish)
		} else {
			require.Equal(t, FinishLength, a.Finish)
		}
		// The conversation goes on behind an answer that was cut off.
		b := ask(t, s, Turn{Text: "Is there a red circle?"})
		same(t, s, b)
	}
	turn.MaxTokens = -1
	_, err := s.Ask(t.Context(), turn)
	require.ErrorContains(t, err, "max tokens is -1")
	usable(t, s)
}

func TestContextOverflow(t *testing.T) {
	m := openDemoWith(t, Options{Context: 150})
	s := newSession(t, m)
	big := picture(t, "examples/nine-tiles.png")
	_, err := s.Ask(t.Context(), Turn{Text: "Describe the picture.", Images: []img.RGB{big}})
	require.ErrorContains(t, err, "tokens do not fit the context of 150")
	require.ErrorContains(t, err, "start a new one")
	usable(t, s)
	// A conversation that grows comes to an end, and says so.
	s.Reset()
	turn := Turn{Text: "Describe the picture.", Images: []img.RGB{picture(t, "examples/small.png")}}
	for i := 0; ; i++ {
		require.Less(t, i, 20)
		a, err := s.Ask(t.Context(), turn)
		if err != nil {
			require.ErrorContains(t, err, "do not fit the context of 150")
			break
		}
		if a.Finish == FinishLength {
			require.Equal(t, 150, s.d.pos, "the context was used to the end")
		}
		turn = Turn{Text: "How many shapes are there?"}
	}
	_, _, err = s.Score(t.Context(), Turn{Text: "Describe the picture.", Images: []img.RGB{big}}, "A red circle.")
	require.ErrorContains(t, err, "do not fit the context of 150")
	usable(t, s)
}

func TestRefusedTurns(t *testing.T) {
	m := openDemo(t, scheduler.Policy{})
	s := newSession(t, m)
	pic := []img.RGB{picture(t, "examples/small.png")}
	ask(t, s, Turn{Text: "What do you see?", Images: pic})
	for _, c := range []struct {
		turn Turn
		want string
	}{
		{Turn{}, "the prompt is empty"},
		{Turn{Text: " \n\t", Images: pic}, "the prompt is empty"},
		{Turn{Text: "What is <|image|>?"}, `has "<|image|>" 2 times: do not write the marker yourself`},
		{Turn{Text: "<|image|>", Images: pic}, `has "<|image|>" 3 times`},
		{Turn{Text: "What is <|patch|><|patch|>?", Images: pic}, `do not write "<|patch|>" yourself`},
		{Turn{Text: "Hi.", System: "Be brief."}, "a system message can only start a conversation"},
		{Turn{Text: "Hi \xff", Images: pic}, "UTF-8"},
		{Turn{Text: "Hi.", Images: []img.RGB{{}}}, "0x0"},
		{Turn{Text: "Hi.", Images: []img.RGB{pic[0], {W: 2, H: 2, Pix: make([]uint8, 5)}}}, "2x2"},
		{Turn{Text: "Hi.", Sampling: &sample.Params{Temperature: -1}}, "temperature is -1"},
	} {
		_, err := s.Ask(t.Context(), c.turn)
		require.ErrorContains(t, err, c.want, "%q", c.turn.Text)
		require.Len(t, s.messages, 2)
		require.Len(t, s.pictures, 1)
	}
	a := ask(t, s, Turn{Text: "What color is the background?"})
	same(t, s, a)

	s.Reset()
	_, err := s.Ask(t.Context(), Turn{Text: "Hi.", System: "Be brief."})
	require.ErrorContains(t, err, "the chat template has no place for a system message")
	usable(t, s)
}

func TestSampling(t *testing.T) {
	m := openDemo(t, scheduler.Policy{})
	s := newSession(t, m)
	turn := shapesTurn(t)
	answer := func(p sample.Params) string {
		s.Reset()
		turn.Sampling = &p
		return ask(t, s, turn).Text
	}
	seen := map[string]bool{}
	seeds := uint64(8)
	if brief() {
		seeds = 3
	}
	for seed := range seeds {
		p := sample.Params{Temperature: 4, TopP: 1, Seed: seed}
		x := answer(p)
		require.Equal(t, x, answer(p), "the same seed gives the same answer")
		seen[x] = true
	}
	require.Greater(t, len(seen), int(seeds)/2)
	require.Equal(t, shapesAnswer, answer(sample.Params{}))
	require.Equal(t, shapesAnswer, answer(sample.Params{Temperature: 4, TopK: 1, TopP: 1}))
}

func TestConcurrentSessions(t *testing.T) {
	m := openDemo(t, scheduler.Policy{})
	gs := goldens(t)
	if brief() {
		gs = gs[:2]
	}
	var wg sync.WaitGroup
	for w := range 3 {
		wg.Go(func() {
			s, err := m.NewSession(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			for i := range gs {
				g := gs[(i+w)%len(gs)]
				s.Reset()
				a, err := s.Ask(t.Context(), Turn{Text: g.Question, Images: []img.RGB{picture(t, "eval/"+g.Image)}})
				if err != nil || a.Text != g.Answer {
					t.Errorf("session %d: %v, %v, want %s", w, a, err, g.Answer)
				}
			}
		})
	}
	wg.Wait()
}

func TestClosed(t *testing.T) {
	m := openDemo(t, scheduler.Policy{})
	s, left := newSession(t, m), newSession(t, m)
	usable(t, s)
	require.NoError(t, s.Close())
	require.NoError(t, s.Close())
	_, err := s.Ask(t.Context(), Turn{Text: "Hi."})
	require.ErrorIs(t, err, hal.ErrClosed)
	require.ErrorContains(t, err, "the session was closed")

	// Closing waits for the turn that is under way.
	started, result := make(chan struct{}), make(chan error, 1)
	turn := shapesTurn(t)
	var once sync.Once
	turn.Stream = func(string) error { once.Do(func() { close(started) }); return nil }
	go func() {
		a, err := left.Ask(context.WithoutCancel(t.Context()), turn)
		if err == nil && a.Text != shapesAnswer {
			err = fmt.Errorf("answer %q", a.Text)
		}
		result <- err
	}()
	<-started
	require.NoError(t, m.Close())
	require.NoError(t, <-result)

	require.NoError(t, m.Close())
	_, err = left.Ask(t.Context(), Turn{Text: "Hi."})
	require.ErrorIs(t, err, hal.ErrClosed)
	require.ErrorContains(t, err, "demo: the model was closed")
	_, _, err = left.Score(t.Context(), Turn{Text: "Hi."}, "Hi.")
	require.ErrorIs(t, err, hal.ErrClosed)
	_, err = m.Encode(t.Context(), turn.Images[0])
	require.ErrorIs(t, err, hal.ErrClosed)
	_, err = m.NewSession(t.Context())
	require.ErrorIs(t, err, hal.ErrClosed)
	require.NoError(t, left.Close())
}

// One decoded token costs no garbage, whatever the length of the
// conversation: phones have little memory and long answers.
func TestStepAllocates(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for _, p := range []scheduler.Policy{{}, {Static: true, Chunk: 16}} {
		s := newSession(t, openDemo(t, p))
		usable(t, s)
		var logits []float32
		n := testing.AllocsPerRun(100, func() {
			var err error
			if logits, err = s.d.step(t.Context(), 265); err != nil {
				t.Fatal(err)
			}
		})
		require.Len(t, logits, 512)
		require.Zero(t, n)
	}
}

// A picture that is far from any canvas becomes tiles; one of which nothing
// would be left is refused.
func TestExtremePictures(t *testing.T) {
	m := openDemo(t, scheduler.Policy{})
	s := newSession(t, m)
	for _, c := range [][2]int{{1, 1}, {4, 800}, {6000, 30}, {1, 200}, {3000, 2000}} {
		p := img.RGB{W: c[0], H: c[1], Pix: make([]uint8, 3*c[0]*c[1])}
		e, err := m.Encode(t.Context(), p)
		require.NoError(t, err, "%dx%d", c[0], c[1])
		require.Positive(t, e.Tokens())
		require.LessOrEqual(t, e.Grid.Tiles, 10)
		s.Reset()
		require.NotEmpty(t, ask(t, s, Turn{Text: "What color is the background?", Images: []img.RGB{p}}).Text)
	}
	for _, c := range [][2]int{{4, 20000}, {20000, 4}, {1, 201}} {
		_, err := m.Encode(t.Context(), img.RGB{W: c[0], H: c[1], Pix: make([]uint8, 3*c[0]*c[1])})
		require.ErrorContains(t, err, fmt.Sprintf("%dx%d", c[0], c[1]))
	}
	usable(t, s)
}
