package models

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/heddle-ml/heddle/conformance/internal/suite"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/models"
	"github.com/heddle-ml/heddle/models/arch"
	"github.com/heddle-ml/heddle/models/demo"
	"github.com/heddle-ml/heddle/ops/oracle"
	"github.com/heddle-ml/heddle/scheduler"
)

// The conversations. What is asked without a picture the model was never
// trained on; its answer is as good a test.
var (
	textOnly = []turn{{text: "How many shapes are there?"}}
	shapes   = []turn{{pictures: []string{"small"}, text: "Describe the picture."}}
	word     = []turn{{pictures: []string{"wide-text"}, text: "What does the text say?"}}
	chart    = []turn{{pictures: []string{"chart"}, text: "Which bar is tallest?"}}
	large    = []turn{{pictures: []string{"nine-tiles"}, text: "What does the text say?"}}
	twice    = []turn{shapes[0], {text: "What is above the orange diamond?"}, {text: "What color is the background?"}}
	both     = []turn{{pictures: []string{"wide-text", "small"}, text: "Describe the picture."}}
	texts    = []turn{textOnly[0], {text: "What color is the background?"}}
)

// Cases returns the cases of the group.
func Cases() []suite.Case {
	var out []suite.Case
	add := func(id string, p suite.Profile, turns []turn, run func(ctx context.Context, e *suite.Env) error) {
		out = append(out, suite.Case{ID: "models." + id, Profiles: p, Timeout: 3 * time.Minute, Run: run,
			Define: func() ([]byte, error) {
				f, err := files()
				return fmt.Appendf(f, " %s %v %v %v", id, turns, limits, rounded), err
			}})
	}
	// The graphs as they are.
	for _, name := range []string{"small", "wide-text"} {
		add("vision."+id(name), suite.Vision, []turn{{pictures: []string{name}}}, func(ctx context.Context, e *suite.Env) error {
			return runVision(ctx, e, asStored, []turn{{pictures: []string{name}, text: shapes[0].text}})
		})
	}
	add("language.logits", suite.Language, textOnly, logits(asStored, textOnly))
	add("multimodal.logits.one_tile", suite.Multimodal, shapes, logits(asStored, shapes))
	add("multimodal.logits.four_tiles", suite.Multimodal, word, logits(asStored, word))
	for _, r := range []recipe{w8, w4} {
		add("quantized."+r.name+".vision", suite.Quantized, shapes, func(ctx context.Context, e *suite.Env) error { return runVision(ctx, e, r, shapes) })
		add("quantized."+r.name+".logits", suite.Quantized, shapes, logits(r, shapes))
	}

	// Through package models.
	talk := func(id string, p suite.Profile, turns []turn, o models.Options) {
		add(id, p, turns, func(ctx context.Context, e *suite.Env) error { return converse(ctx, e, turns, o) })
	}
	text := models.Options{Modules: []string{"llm"}}
	talk("language.answer", suite.Language, textOnly, text)
	talk("language.second_turn", suite.Language, texts, text)
	talk("multimodal.answer.shapes", suite.Multimodal, shapes, models.Options{})
	talk("multimodal.answer.word", suite.Multimodal, word, models.Options{})
	talk("multimodal.answer.chart", suite.Multimodal, chart, models.Options{})
	talk("multimodal.answer.ten_tiles", suite.Multimodal, large, models.Options{})
	talk("multimodal.turns", suite.Multimodal, twice, models.Options{})
	talk("multimodal.two_pictures", suite.Multimodal, both, models.Options{})
	// Other shapes must not matter, nor whether they are static.
	for _, chunk := range []int64{1, 7, 16} {
		talk(fmt.Sprintf("multimodal.chunk%d", chunk), suite.Multimodal, word, models.Options{Policy: scheduler.Policy{Chunk: chunk}})
	}
	talk("multimodal.static", suite.Multimodal, word, models.Options{Policy: scheduler.Policy{Static: true, Chunk: 16, TileBatch: 2}})
	add("language.score", suite.Language, texts[:1], score(texts[:1], text))
	add("multimodal.score", suite.Multimodal, word, score(word, models.Options{}))
	add("language.cancel", suite.Language, textOnly, cancelled(textOnly, text))
	add("multimodal.cancel", suite.Multimodal, word, cancelled(word, models.Options{}))
	return out
}

// id is a picture's name as part of a case's.
func id(name string) string {
	if name == "wide-text" {
		return "four_tiles"
	}
	return "one_tile"
}

// files identifies the demo model and the pictures.
var files = sync.OnceValues(func() ([]byte, error) {
	h := sha256.New()
	for _, fsys := range []fs.FS{demo.FS, pictures} {
		err := fs.WalkDir(fsys, ".", func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			data, err := fs.ReadFile(fsys, path)
			fmt.Fprintf(h, "%s %d\n", path, len(data))
			h.Write(data)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return h.Sum(nil), nil
})

// runVision compares the embeddings of a conversation's pictures.
func runVision(ctx context.Context, e *suite.Env, r recipe, turns []turn) error {
	s, t, err := ask(ctx, r, turns)
	if err != nil {
		return err
	}
	_, err = s.embed(ctx, e, t, turns, limitOf(e, r))
	return err
}

// embed runs the vision graph and returns what the device makes of all
// pictures.
func (s *subject) embed(ctx context.Context, e *suite.Env, t *truth, turns []turn, l limit) ([]float64, error) {
	run := e.NewRun(s.vision, s.files)
	defer run.Close()
	var all []float64
	next := 0
	for _, turn := range turns {
		for _, p := range turn.pictures {
			pixels, _, err := s.tiles(p)
			if err != nil {
				return nil, err
			}
			res, err := run.Step(ctx, map[string]*oracle.Tensor{arch.Pixels: pixels}, dim.Binding{"tiles": pixels.Shape[0]})
			if err != nil {
				return nil, err
			}
			got, want := res.Outputs[arch.ImageOutput].F, t.embedded[next].F
			if err := l.near(e, want, got); err != nil {
				return nil, fmt.Errorf("picture %s: %w", p, err)
			}
			all = append(all, got...)
			next++
		}
	}
	return all, nil
}

// logits compares the logits behind every token of a conversation, which the
// device reads in one chunk, with embeddings of its own making.
func logits(r recipe, turns []turn) func(ctx context.Context, e *suite.Env) error {
	return func(ctx context.Context, e *suite.Env) error {
		s, t, err := ask(ctx, r, turns)
		if err != nil {
			return err
		}
		l := limitOf(e, r)
		embeds, err := s.embed(ctx, e, t, turns, l)
		if err != nil {
			return err
		}
		run := e.NewRun(s.prefill, s.files)
		defer run.Close()
		in, at := s.chunk(&stream{t.ids, embeds}, 0)
		res, err := run.Step(ctx, in, at)
		if err != nil {
			return err
		}
		return l.compare(e, 0, t.logits, res.Outputs[arch.Logits].F)
	}
}

// open opens the demo model on the device under test.
func open(ctx context.Context, e *suite.Env, o models.Options) (*models.Model, error) {
	o.Registry, o.Context = e.Registry, contextTokens
	o.Policy.Devices, o.Policy.Strict = []string{e.Name}, true
	return models.OpenFS(ctx, demo.Name, demo.FS, &o)
}

// session calls f with a session of the demo model.
func session(ctx context.Context, e *suite.Env, o models.Options, f func(s *models.Session) error) error {
	m, err := open(ctx, e, o)
	switch {
	case errors.Is(err, hal.ErrUnsupported):
		return suite.Unsupported("%v", err)
	case err != nil:
		return err
	}
	s, err := m.NewSession(ctx)
	if err == nil {
		err = f(s)
	}
	return errors.Join(err, m.Close())
}

// say is what a session is asked.
func (t turn) say() (models.Turn, error) {
	out := models.Turn{Text: t.text}
	for _, name := range t.pictures {
		p, err := picture(name)
		if err != nil {
			return out, err
		}
		out.Images = append(out.Images, p)
	}
	return out, nil
}

// converse asks turn after turn and compares the answers token for token, as
// far as the oracle is clear about them.
func converse(ctx context.Context, e *suite.Env, turns []turn, o models.Options) error {
	_, t, err := ask(ctx, asStored, turns)
	if err != nil {
		return err
	}
	return session(ctx, e, o, func(s *models.Session) error {
		for i, turn := range turns {
			if done, err := expect(ctx, e, s, t, i, turn); err != nil || done {
				return err
			}
		}
		return nil
	})
}

// expect asks one turn; done tells that what follows depends on a token that
// the oracle is not clear about.
func expect(ctx context.Context, e *suite.Env, s *models.Session, t *truth, i int, turn turn) (done bool, err error) {
	say, err := turn.say()
	if err != nil {
		return true, err
	}
	got, err := s.Ask(ctx, say)
	if err != nil {
		return true, err
	}
	want := t.answers[i]
	if got.PromptTokens != want.from {
		return true, fmt.Errorf("the prompt of turn %d has %d tokens, want %d", i+1, got.PromptTokens, want.from)
	}
	sure := t.sure(want, limitOf(e, asStored).clear)
	n := min(sure, len(want.tokens))
	if len(got.Tokens) < n || !slices.Equal(got.Tokens[:n], want.tokens[:n]) {
		return true, fmt.Errorf("turn %d: %q: the answer is %q, want %q", i+1, turn.text, got.Text, want.text)
	}
	if sure > len(want.tokens) && (len(got.Tokens) != len(want.tokens) || got.Finish != models.FinishStop || got.Text != want.text) {
		return true, fmt.Errorf("turn %d: %q: the answer is %q and ends by %q, want %q", i+1, turn.text, got.Text, got.Finish, want.text)
	}
	if sure <= len(want.tokens) {
		e.Note("turn %d: %d of %d tokens were compared: the oracle itself is not clear about the next", i+1, sure, len(want.tokens)+1)
		return true, nil
	}
	return false, nil
}

// score compares the cross entropy of the oracle's answer.
func score(turns []turn, o models.Options) func(ctx context.Context, e *suite.Env) error {
	return func(ctx context.Context, e *suite.Env) error {
		sub, t, err := ask(ctx, asStored, turns)
		if err != nil {
			return err
		}
		return session(ctx, e, o, func(s *models.Session) error {
			say, err := turns[0].say()
			if err != nil {
				return err
			}
			got, n, err := s.Score(ctx, say, t.answers[0].text)
			if err != nil {
				return err
			}
			if n != len(t.answers[0].tokens)+1 {
				return fmt.Errorf("the answer was scored by %d tokens, want %d", n, len(t.answers[0].tokens)+1)
			}
			want, limit := t.crossEntropy(t.answers[0], sub.stop), limitOf(e, asStored).nats
			e.Note("cross entropy of %d tokens: %.6f nats, the oracle's is %.6f", n, got, want)
			if !(math.Abs(got-want) <= limit) {
				return fmt.Errorf("the cross entropy is %.6f nats, want %.6f (within %g)", got, want, limit)
			}
			return nil
		})
	}
}

// cancelled breaks an answer off in the middle; the session goes on as if it
// had not been asked.
func cancelled(turns []turn, o models.Options) func(ctx context.Context, e *suite.Env) error {
	return func(ctx context.Context, e *suite.Env) error {
		_, t, err := ask(ctx, asStored, turns)
		if err != nil {
			return err
		}
		return session(ctx, e, o, func(s *models.Session) error {
			for _, pieces := range []int{0, 1, 3} {
				say, err := turns[0].say()
				if err != nil {
					return err
				}
				inner, cancel := context.WithCancel(ctx)
				if pieces == 0 {
					cancel()
				}
				n := 0
				say.Stream = func(string) error {
					if n++; n == pieces {
						cancel()
					}
					return nil
				}
				_, err = s.Ask(inner, say)
				cancel()
				if !errors.Is(err, context.Canceled) {
					return fmt.Errorf("after %d pieces the context was cancelled, and Ask returned %v", pieces, err)
				}
			}
			_, err = expect(ctx, e, s, t, 0, turns[0])
			return err
		})
	}
}
