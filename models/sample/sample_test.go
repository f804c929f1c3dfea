package sample

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var negInf = float32(math.Inf(-1))

func next(t *testing.T, p Params, logits []float32, history ...int32) int32 {
	t.Helper()
	s, err := New(p)
	require.NoError(t, err)
	id, err := s.Next(logits, history)
	require.NoError(t, err)
	return id
}

func TestGreedy(t *testing.T) {
	tests := []struct {
		name    string
		params  Params
		logits  []float32
		history []int32
		want    int32
	}{
		{"highest", Params{}, []float32{1, 3, 2}, nil, 1},
		{"tie takes the lowest id", Params{}, []float32{0, 2, 2, 2}, nil, 1},
		{"masked", Params{}, []float32{negInf, -5, negInf}, nil, 1},
		{"one token", Params{}, []float32{-1}, nil, 0},
		{"ignores top-k and top-p", Params{TopK: 1, TopP: 0.1, MinP: 1}, []float32{1, 3, 2}, nil, 1},
		{"penalty divides positive", Params{RepetitionPenalty: 2}, []float32{1, 3, 2}, []int32{1, 1, 1}, 2},
		{"penalty multiplies negative", Params{RepetitionPenalty: 2}, []float32{-3, -2, -5}, []int32{1}, 0},
		{"penalty below one rewards", Params{RepetitionPenalty: 0.5}, []float32{2, 3, -1}, []int32{0}, 0},
		{"penalty counts once", Params{RepetitionPenalty: 1.2}, []float32{2, 2.6, 0}, []int32{1, 1, 1, 1}, 1},
		{"picture positions are passed over", Params{RepetitionPenalty: 2}, []float32{1, 3, 2}, []int32{-1, -200, 1}, 2},
		{"window forgets", Params{RepetitionPenalty: 2, RepetitionWindow: 1}, []float32{1, 3, 2}, []int32{1, 2}, 1},
		{"window covers", Params{RepetitionPenalty: 2, RepetitionWindow: 2}, []float32{1, 3, 2}, []int32{1, 2}, 1},
		{"masked stays masked", Params{RepetitionPenalty: 0.1}, []float32{negInf, -3}, []int32{0}, 1},
		{"tiny penalty stays finite", Params{RepetitionPenalty: 1e-300}, []float32{1e30, 3}, []int32{0, 1}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			assert.Equal(t, tt.want, next(t, tt.params, tt.logits, tt.history...))
		})
	}
}

// huggingFace returns the probabilities that Hugging Face's processors leave,
// written down as they are there: masks in order, softmax again after each.
func huggingFace(p Params, logits []float32, history []int32) []float64 {
	scores := make([]float64, len(logits))
	for i, l := range logits {
		scores[i] = float64(l)
	}
	done := map[int32]bool{}
	for _, id := range history {
		if done[id] {
			continue
		}
		done[id] = true
		if scores[id] < 0 {
			scores[id] *= p.RepetitionPenalty
		} else {
			scores[id] /= p.RepetitionPenalty
		}
	}
	for i := range scores {
		scores[i] /= p.Temperature
	}
	softmax := func() []float64 {
		out, sum := make([]float64, len(scores)), 0.0
		for i, v := range scores {
			out[i] = math.Exp(v - slices.Max(scores))
			sum += out[i]
		}
		for i := range out {
			out[i] /= sum
		}
		return out
	}
	ranked := make([]int, len(scores))
	for i := range ranked {
		ranked[i] = i
	}
	slices.SortStableFunc(ranked, func(a, b int) int {
		switch {
		case scores[a] > scores[b]:
			return -1
		case scores[a] < scores[b]:
			return 1
		}
		return 0
	})
	if p.TopK > 0 {
		for _, id := range ranked[min(p.TopK, len(ranked)):] {
			scores[id] = math.Inf(-1)
		}
	}
	if p.TopP < 1 {
		probs, sum := softmax(), 0.0
		for i, id := range ranked {
			if i > 0 && sum >= p.TopP {
				scores[id] = math.Inf(-1)
			}
			sum += probs[id]
		}
	}
	if p.MinP > 0 {
		probs := softmax()
		limit := p.MinP * slices.Max(probs)
		for i := range scores {
			if probs[i] < limit {
				scores[i] = math.Inf(-1)
			}
		}
	}
	return softmax()
}

// The distribution that is drawn from equals the one Hugging Face's order of
// steps defines, over many random parameters.
func TestDistributionMatchesDefinition(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	pick := func(v ...float64) float64 { return v[rng.IntN(len(v))] }
	for round := range 3000 {
		n := 1 + rng.IntN(40)
		logits := make([]float32, n)
		for i := range logits {
			logits[i] = float32(rng.NormFloat64() * 3)
			if i > 0 && rng.IntN(10) == 0 {
				logits[i] = negInf
			}
			if i > 0 && rng.IntN(10) == 0 {
				logits[i] = logits[0] // ties
			}
		}
		history := make([]int32, rng.IntN(5))
		for i := range history {
			history[i] = int32(rng.IntN(n))
		}
		p := Params{
			Temperature:       pick(0.25, 0.7, 1, 3),
			TopK:              int(pick(0, 1, 2, 5, 39, 1000)),
			TopP:              pick(0, 0.3, 0.9, 1),
			MinP:              pick(0, 0.05, 0.5, 1),
			RepetitionPenalty: pick(0.8, 1, 1.3),
		}
		want := huggingFace(p, logits, history)

		s, err := New(p)
		require.NoError(t, err)
		require.NoError(t, s.load(logits, history))
		got := make([]float64, n)
		var total float64
		ids := s.candidates(slices.Max(s.scores))
		for _, id := range ids {
			total += s.scores[id]
		}
		for _, id := range ids {
			got[id] = s.scores[id] / total
		}
		for i := range want {
			require.InDelta(t, want[i], got[i], 1e-12, "round %d, token %d of %v with %+v", round, i, logits, p)
		}
	}
}

// Drawn frequencies follow the distribution: chi-square over 200000 draws with
// a fixed seed; 37.7 is the 0.999 quantile for 15 degrees of freedom.
func TestFrequencies(t *testing.T) {
	for _, p := range []Params{
		{Temperature: 0.8, TopP: 1, Seed: 1},
		{Temperature: 0.8, TopP: 0.95, TopK: 12, MinP: 0.01, Seed: 2},
	} {
		t.Run(fmt.Sprintf("%+v", p), func(t *testing.T) {
			logits := make([]float32, 16)
			for i := range logits {
				logits[i] = float32(math.Sin(float64(i)*1.7)) * 2
			}
			p.RepetitionPenalty = 1
			probs := huggingFace(p, logits, nil)
			s, err := New(p)
			require.NoError(t, err)
			const draws = 200000
			counts := make([]float64, len(logits))
			for range draws {
				id, err := s.Next(logits, nil)
				require.NoError(t, err)
				counts[id]++
			}
			chi := 0.0
			for i, prob := range probs {
				if prob == 0 {
					assert.Zero(t, counts[i], "token %d was cut off", i)
					continue
				}
				d := counts[i] - draws*prob
				chi += d * d / (draws * prob)
			}
			assert.Less(t, chi, 37.7)
		})
	}
}

func TestSeed(t *testing.T) {
	logits := []float32{0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7}
	run := func(seed uint64) (ids []int32) {
		s, err := New(Params{Temperature: 1, TopP: 1, Seed: seed})
		require.NoError(t, err)
		for range 50 {
			id, err := s.Next(logits, ids)
			require.NoError(t, err)
			ids = append(ids, id)
		}
		return ids
	}
	assert.Equal(t, run(1), run(1))
	assert.NotEqual(t, run(1), run(2))
	// A seeded answer is a promise: it must not change with a new version.
	assert.Equal(t, seeded, run(42)[:12])
}

var seeded = []int32{6, 7, 3, 7, 3, 7, 7, 6, 6, 7, 4, 6}

func TestEdges(t *testing.T) {
	logits := []float32{1, 4, 4, 2}
	for seed := range uint64(50) {
		assert.EqualValues(t, 1, next(t, Params{Temperature: 1, TopP: 0, Seed: seed}, logits), "top_p 0")
		assert.EqualValues(t, 1, next(t, Params{Temperature: 1, TopP: 1, TopK: 1, Seed: seed}, logits), "top_k 1")
		assert.EqualValues(t, 3, next(t, Params{Temperature: 5e-324, TopP: 1, Seed: seed}, []float32{1, 2, 3, 3.0001}), "tiny temperature")
		assert.EqualValues(t, 2, next(t, Params{Temperature: 1e300, TopP: 1, Seed: seed}, []float32{negInf, negInf, 0}), "masked at high temperature")
		assert.EqualValues(t, 0, next(t, Params{Temperature: 1, TopP: 0.5, TopK: 9, MinP: 0.5, Seed: seed}, []float32{-7}), "one token")
		id := next(t, Params{Temperature: 1, TopP: 1, MinP: 1, Seed: seed}, logits)
		assert.Contains(t, []int32{1, 2}, id, "min_p 1 keeps the best and its equals")
	}
}

func TestBadLogits(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, tt := range []struct {
		want    string
		logits  []float32
		history []int32
	}{
		{"token 2 is NaN", []float32{1, 2, nan}, nil},
		{"token 0 is +Inf", []float32{inf, 2}, nil},
		{"no logits", nil, nil},
		{"every logit is -Inf", []float32{negInf, negInf}, nil},
		{"token 2 at place 1", []float32{1, 1}, []int32{0, 2}},
	} {
		for _, temperature := range []float64{0, 1} {
			s, err := New(Params{Temperature: temperature, TopP: 1, RepetitionPenalty: 1.1})
			require.NoError(t, err)
			_, err = s.Next(tt.logits, tt.history)
			require.ErrorContains(t, err, tt.want)
			_, err = s.Next([]float32{1}, nil)
			require.NoError(t, err, "a sampler survives an error")
		}
	}
}

func TestValidate(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for _, tt := range []struct {
		field  string
		params Params
	}{
		{"temperature", Params{Temperature: -1}},
		{"temperature", Params{Temperature: nan}},
		{"temperature", Params{Temperature: inf}},
		{"top_k", Params{TopK: -1}},
		{"top_p", Params{TopP: 1.1}},
		{"top_p", Params{TopP: -0.1}},
		{"top_p", Params{TopP: nan}},
		{"min_p", Params{MinP: 2}},
		{"min_p", Params{MinP: nan}},
		{"repetition_penalty", Params{RepetitionPenalty: -1}},
		{"repetition_penalty", Params{RepetitionPenalty: inf}},
		{"repetition_window", Params{RepetitionWindow: -1}},
	} {
		_, err := New(tt.params)
		require.ErrorContains(t, err, tt.field)
		assert.ErrorContains(t, err, "use ")
	}
	require.NoError(t, Params{}.Validate())
}

func TestNextLeavesInputsAndAllocatesNothing(t *testing.T) {
	logits := make([]float32, 5000)
	for i := range logits {
		logits[i] = float32(i%97) / 10
	}
	before := slices.Clone(logits)
	history := []int32{1, 2, 3, -1, 3}
	for _, p := range []Params{
		{RepetitionPenalty: 1.1},
		{Temperature: 1, TopP: 1, MinP: 0.1, RepetitionPenalty: 1.1},
		{Temperature: 1, TopP: 0.9, TopK: 40, RepetitionPenalty: 1.1},
		{Temperature: 1, TopP: 0.9},
	} {
		s, err := New(p)
		require.NoError(t, err)
		allocs := testing.AllocsPerRun(20, func() {
			if _, err := s.Next(logits, history); err != nil {
				t.Fatal(err)
			}
		})
		assert.Zero(t, allocs, "%+v", p)
	}
	assert.Equal(t, before, logits)
	assert.Equal(t, []int32{1, 2, 3, -1, 3}, history)
}

func BenchmarkNext(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 1))
	logits := make([]float32, 150000)
	for i := range logits {
		logits[i] = float32(rng.NormFloat64() * 3)
	}
	for _, p := range []Params{{}, {Temperature: 0.7, TopP: 1}, {Temperature: 0.7, TopP: 0.9, TopK: 40}, {Temperature: 0.7, TopP: 0.9}} {
		b.Run(fmt.Sprintf("temp=%v,top_p=%v,top_k=%v", p.Temperature, p.TopP, p.TopK), func(b *testing.B) {
			s, err := New(p)
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if _, err := s.Next(logits, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func ExampleSampler() {
	s, err := New(Params{RepetitionPenalty: 1.5}) // greedy, disliking repetition
	if err != nil {
		fmt.Println(err)
		return
	}
	history := []int32{2}
	for range 3 {
		id, err := s.Next([]float32{1, 1.2, 1.7}, history)
		if err != nil {
			fmt.Println(err)
			return
		}
		history = append(history, id)
	}
	fmt.Println(history)
	// Output: [2 1 2 2]
}
