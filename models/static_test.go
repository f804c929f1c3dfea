package models

import (
	"fmt"
	"testing"

	"github.com/heddle-ml/heddle/models/img"
	"github.com/heddle-ml/heddle/scheduler"
	"github.com/stretchr/testify/require"
)

// A device with static shapes runs the same model: every symbol specialised,
// the last chunk padded, tiles in batches of one size and the rest one by
// one. It must give the same tokens, whatever the sizes.
func TestShapes(t *testing.T) {
	var policies []scheduler.Policy
	for _, static := range []bool{true, false} {
		for _, chunk := range []int64{1, 7, 16, 128} {
			policies = append(policies, scheduler.Policy{Static: static, Chunk: chunk})
		}
		for _, batch := range []int64{1, 2, 4, 10} {
			policies = append(policies, scheduler.Policy{Static: static, TileBatch: batch, Chunk: 64})
		}
	}
	gs := goldens(t)
	if brief() {
		policies = []scheduler.Policy{policies[1], policies[5], {Static: true, Chunk: 16, TileBatch: 10}}
		gs = gs[3:]
	}
	for _, p := range policies {
		t.Run(fmt.Sprintf("static=%v chunk=%d batch=%d", p.Static, p.Chunk, p.TileBatch), func(t *testing.T) {
			m := openDemo(t, p)
			plan := m.Plan()
			require.Equal(t, p.Chunk, plan.Chunk)
			for _, q := range plan.Placements {
				for _, v := range q.Variants {
					require.Equal(t, p.Static && q.Module != moduleDecode, len(v) > 0, "variants of %s", q.Module)
				}
			}
			s := newSession(t, m)
			for _, g := range gs {
				s.Reset()
				s.rewind(0) // every prefill starts at 0
				turn := Turn{Text: g.Question, Images: []img.RGB{picture(t, "eval/"+g.Image)}}
				a := ask(t, s, turn)
				require.Equal(t, g.AnswerIDs, append(a.Tokens, 511))
				require.Zero(t, a.CachedTokens)
				// A second turn starts in the middle of a chunk.
				b := ask(t, s, Turn{Text: "What color is the background?"})
				require.Positive(t, b.CachedTokens)
				require.Contains(t, b.Text, "background is ")
			}
		})
	}
}

// A prompt may fill the context to the last token; padding behind it has room
// in the cache.
func TestContextEdge(t *testing.T) {
	g := goldens(t)[0]
	turn := Turn{Text: g.Question, Images: []img.RGB{picture(t, "eval/"+g.Image)}}
	for _, p := range []scheduler.Policy{{}, {Static: true, Chunk: 16}, {Static: true, Chunk: 7}} {
		for _, spare := range []int{0, 1, 4} {
			m := openDemoWith(t, Options{Policy: p, Context: len(g.PromptIDs) + spare})
			require.Equal(t, len(g.PromptIDs)+spare, m.Context())
			a := ask(t, newSession(t, m), turn)
			// The logits behind the last token that fits still give one.
			require.Equal(t, g.AnswerIDs[:spare+1], a.Tokens)
			require.Equal(t, FinishLength, a.Finish)
		}
		m := openDemoWith(t, Options{Policy: p, Context: len(g.PromptIDs) - 1})
		s := newSession(t, m)
		_, err := s.Ask(t.Context(), turn)
		require.ErrorContains(t, err, fmt.Sprintf("%d tokens do not fit the context of %d", len(g.PromptIDs), len(g.PromptIDs)-1))
	}
}

func TestOptionsOutOfRange(t *testing.T) {
	for _, c := range []struct {
		o    Options
		want string
	}{
		{Options{Context: -1}, "a context of -1 tokens"},
		{Options{Context: 1025}, "a context of 1025 tokens; the model was made for at most 1024"},
		{Options{Modules: []string{"audio"}}, `no module "audio"; want vision or llm`},
		{Options{Policy: scheduler.Policy{Chunk: 2000}}, "chunk = 2000 is not in 1..1024"},
		{Options{Policy: scheduler.Policy{TileBatch: 65}}, "tiles = 65 is not in 1..64"},
		{Options{Policy: scheduler.Policy{MemoryBudget: 1 << 20}}, "the budget is 1048576"},
		{Options{Policy: scheduler.Policy{Chunk: -5}}, "chunk -5"},
		{Options{Policy: scheduler.Policy{Devices: []string{"warp"}}}, "it has cpu"},
		{Options{Policy: scheduler.Policy{Devices: []string{"cpu:7"}}}, "there is only device 0"},
		{Options{Policy: scheduler.Policy{Devices: []string{"warp", "cpu"}, Strict: true}}, "warp"},
		{Options{Policy: scheduler.Policy{Deny: []string{"cpu"}}}, "no device"},
	} {
		_, err := openDemoErr(t, c.o)
		require.ErrorContains(t, err, c.want)
		require.NotContains(t, err.Error(), "\n")
	}
}
