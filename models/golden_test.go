package models

import (
	"encoding/json"
	"math"
	"os"
	"testing"

	"github.com/heddle-ml/heddle/models/ckpt/safetensors"
	"github.com/heddle-ml/heddle/models/img"
	"github.com/heddle-ml/heddle/scheduler"
	"github.com/stretchr/testify/require"
)

// golden is one picture of models/demo/golden/golden.json: what the program
// that trained the model computed in float32.
type golden struct {
	Image     string       `json:"image"`
	Cols      int          `json:"grid_cols"`
	Rows      int          `json:"grid_rows"`
	Question  string       `json:"question"`
	PromptIDs []int32      `json:"prompt_ids"`
	AnswerIDs []int32      `json:"answer_ids"`
	Answer    string       `json:"answer"`
	Top       [][2]float64 `json:"logits_top5"`
	Tensors   string       `json:"tensors"`
}

func goldens(t testing.TB) []golden {
	data, err := os.ReadFile(demoFile("golden/golden.json"))
	require.NoError(t, err)
	var gs []golden
	require.NoError(t, json.Unmarshal(data, &gs))
	require.Len(t, gs, 5)
	return gs
}

// tensor reads a float tensor of a golden file.
func (g golden) tensor(t testing.TB, name string) []float32 {
	f, err := safetensors.Open(demoFile("golden/" + g.Tensors))
	require.NoError(t, err)
	defer f.Close()
	x, ok := f.Lookup(name)
	require.True(t, ok, name)
	v, err := f.Float32s(x)
	require.NoError(t, err)
	return v
}

// near requires two vectors to differ by at most atol anywhere.
func near(t testing.TB, want, got []float32, atol float64, what string) {
	t.Helper()
	require.Equal(t, len(want), len(got), what)
	worst, at := 0.0, 0
	for i := range want {
		d := math.Abs(float64(want[i]) - float64(got[i]))
		if !(d <= worst) {
			worst, at = d, i
		}
	}
	if !(worst <= atol) {
		t.Errorf("%s: differs by %g at %d (want %g, got %g); %g is allowed", what, worst, at, want[at], got[at], atol)
	}
}

func TestDemoGoldens(t *testing.T) {
	m := openDemo(t, scheduler.Policy{})
	for _, g := range goldens(t) {
		t.Run(g.Image, func(t *testing.T) {
			pic := picture(t, "eval/"+g.Image)
			s := newSession(t, m)
			require.NoError(t, s.listen(t.Context(), Turn{Text: g.Question, Images: []img.RGB{pic}}, &Answer{}))
			e := s.pictures[0]
			require.Equal(t, [2]int{g.Cols, g.Rows}, [2]int{e.Grid.Cols, e.Grid.Rows})
			embeds := make([]float32, len(e.embeds)/4)
			getFloats(embeds, e.embeds)
			near(t, g.tensor(t, "projector_output"), embeds, 1e-4, "image embeddings")
			p, err := s.prompt(t.Context())
			require.NoError(t, err)
			require.Equal(t, g.PromptIDs, p.ids)
			logits, err := s.feed(t.Context(), p, &Answer{})
			require.NoError(t, err)
			near(t, g.tensor(t, "logits"), logits, 2e-3, "logits")
			for _, x := range g.Top {
				require.InDelta(t, x[1], logits[int(x[0])], 2e-3, "token %v", x[0])
			}

			s.Reset()
			s.rewind(0)
			a := ask(t, s, Turn{Text: g.Question, Images: []img.RGB{pic}})
			require.Equal(t, g.Answer, a.Text)
			require.Equal(t, g.AnswerIDs, append(a.Tokens, 511), "with the token that ends it")
			require.Equal(t, FinishStop, a.Finish)
			require.Equal(t, len(g.PromptIDs), a.PromptTokens)
			tiles := 1
			if g.Cols*g.Rows > 1 {
				tiles += g.Cols * g.Rows
			}
			require.Equal(t, 16*tiles, a.ImageTokens)
			require.Equal(t, tiles, a.Grids[0].Tiles)
		})
	}
}

func TestExamples(t *testing.T) {
	m := openDemo(t, scheduler.Policy{})
	s := newSession(t, m)
	qs := readLines[question](t, demoFile("examples/questions.jsonl"))
	require.NotEmpty(t, qs)
	if brief() {
		qs = qs[:3]
	}
	for _, q := range qs {
		s.Reset()
		a := ask(t, s, Turn{Text: q.Question, Images: []img.RGB{picture(t, "examples/"+q.Image)}})
		require.Equal(t, q.Answer, a.Text, "%s: %s", q.Image, q.Question)
	}
}
