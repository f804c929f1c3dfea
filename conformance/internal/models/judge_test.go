package models

import (
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/heddle-ml/heddle/conformance/internal/suite"
	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/internal/shared"
	"github.com/stretchr/testify/require"
)

// The pictures are the demo model's examples.
func TestPictures(t *testing.T) {
	entries, err := pictures.ReadDir("pictures")
	require.NoError(t, err)
	for _, f := range entries {
		mine, err := pictures.ReadFile("pictures/" + f.Name())
		require.NoError(t, err)
		theirs, err := os.ReadFile(filepath.Join(shared.Root(), "models", "demo", "examples", f.Name()))
		require.NoError(t, err)
		require.Equal(t, theirs, mine)
	}
}

// What the oracle answers is what the model is known to answer.
func TestOracleAnswers(t *testing.T) {
	for _, c := range []struct {
		turns []turn
		want  []string
	}{
		{chart, []string{"Bar B is the tallest."}},
		{word, []string{`The text says "LAKE".`}},
		{large, []string{`The text says "PLAN".`}},
		{twice, []string{"A black cross and an orange diamond on a pink background.", "A black cross.", "The background is pink."}},
	} {
		_, truth, err := ask(t.Context(), asStored, c.turns)
		require.NoError(t, err)
		for i, a := range truth.answers {
			require.Equal(t, c.want[i], a.text)
			require.Equal(t, len(a.tokens)+1, truth.sure(a, limits["f32"].clear), "every token is clear")
		}
	}
}

// Both sides of every limit.
func TestCompare(t *testing.T) {
	want := [][]float64{{9, 5, 4, 3, 2, 1, 0, -1}, {0, 1, 2, 3, 4, 5, 6, 7}}
	try := func(change func(got []float64)) error {
		got := append(append([]float64{}, want[0]...), want[1]...)
		change(got)
		e := &suite.Env{Caps: &hal.Caps{}}
		err := limitOf(e, asStored).compare(e, 3, want, got)
		require.Equal(t, err == nil, e.Stats().Within() && err == nil)
		return err
	}
	require.NoError(t, try(func([]float64) {}))
	require.NoError(t, try(func(g []float64) { g[0] += 1e-5 }))
	// Equal to all is equal to none: softmax does not see it, the error does.
	require.ErrorContains(t, try(func(g []float64) {
		for i := range g {
			g[i] += 0.1
		}
	}), "mean square error")
	require.ErrorContains(t, try(func(g []float64) { g[15] -= 0.01 }), "behind token 4 the distribution")
	require.ErrorContains(t, try(func(g []float64) { g[3] = math.NaN() }), "diverges")
	require.ErrorContains(t, try(func(g []float64) { g[0] = math.Inf(1) }), "diverges")

	l := limit{kl: 1e9, clear: 0.5, nmse: 1e9}
	e := &suite.Env{}
	require.NoError(t, l.compare(e, 0, [][]float64{{1, 1.2, 5, 4, 3, 2, 0, 0}}, []float64{1.2, 1, 5, 4, 3, 2, 0, 0}))
	require.ErrorContains(t, l.compare(e, 0, [][]float64{{1, 1.2, 5, 4, 3, 2, 0, 0}}, []float64{1, 1.2, 4, 5, 3, 2, 0, 0}), "token 3 is the likeliest but 0")
}

func TestLimits(t *testing.T) {
	of := func(acc string, r recipe) limit {
		e := &suite.Env{Caps: &hal.Caps{}}
		e.Caps.Numerics.Accumulate = acc
		return limitOf(e, r)
	}
	require.Equal(t, limits["f32"], of("f32", asStored))
	require.Equal(t, limits["f32"], of("", asStored))
	require.Equal(t, limits["f16"], of("f16", asStored))
	require.Equal(t, limits["f16"], of("bf16", asStored))
	require.Equal(t, rounded, of("f32", w8))
	require.Equal(t, rounded, of("f16", w4))
}
