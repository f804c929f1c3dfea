package sample

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
)

// pcgStream is the second half of the generator's seed: any constant will do,
// but changing it changes every seeded answer.
const pcgStream = 0x9e3779b97f4a7c15

// Sampler chooses tokens one after the other. It holds the random sequence and
// scratch memory, so it serves one sequence of tokens and one goroutine at a
// time.
type Sampler struct {
	params Params
	rng    *rand.Rand

	scores []float64 // logits after the penalty, then weights in (0, 1]
	order  []int32   // token ids: a heap in front, the ranked ones at the back
	seen   []uint32  // seen[id] == round: id is in this call's history
	round  uint32
}

// New returns a sampler, or an error naming the parameter that is out of range.
func New(p Params) (*Sampler, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	return &Sampler{params: p, rng: rand.New(rand.NewPCG(p.Seed, pcgStream))}, nil
}

// Next returns the next token's id, given one logit per vocabulary entry and
// the ids so far, prompt included (they matter to the repetition penalty
// only). A negative id stands for a position without a token, such as a
// picture's, and is passed over.
//
// A logit of -Inf masks its token. NaN and +Inf are errors, as are a masked
// vocabulary and an id beyond it; an error leaves the random sequence where it
// was. Next changes neither slice and allocates only when the vocabulary has
// grown.
func (s *Sampler) Next(logits []float32, history []int32) (int32, error) {
	if err := s.load(logits, history); err != nil {
		return 0, err
	}
	best := 0
	for i, v := range s.scores {
		if v > s.scores[best] {
			best = i
		}
	}
	if math.IsInf(s.scores[best], -1) {
		return 0, errors.New("sample: every logit is -Inf: the mask leaves no token to choose")
	}
	if s.params.Temperature == 0 {
		return int32(best), nil
	}
	return s.draw(s.candidates(s.scores[best])), nil
}

// candidates turns scores, of which top is the highest, into weights and
// returns the ids to choose from, a part of s.order: all of weight above zero.
func (s *Sampler) candidates(top float64) []int32 {
	var total float64
	for i, v := range s.scores {
		// Relative to the best, so that no temperature overflows.
		w := math.Exp((v - top) / s.params.Temperature)
		s.scores[i] = w
		total += w
	}
	if k := s.params.TopK; (k > 0 && k < len(s.scores)) || s.params.TopP < 1 {
		return s.rank(total)
	}
	s.order = s.order[:0]
	for i, w := range s.scores {
		if w >= s.params.MinP && w > 0 {
			s.order = append(s.order, int32(i))
		}
	}
	return s.order
}

// load copies the logits into the scratch memory, checks them and applies the
// repetition penalty.
func (s *Sampler) load(logits []float32, history []int32) error {
	n := len(logits)
	if n == 0 {
		return errors.New("sample: there are no logits: the decoder must give one per vocabulary entry")
	}
	if n > math.MaxInt32 {
		return fmt.Errorf("sample: %d logits are more than token ids can number", n)
	}
	if cap(s.scores) < n {
		s.scores = make([]float64, n)
		s.order = make([]int32, n)
		s.seen = make([]uint32, n)
		s.round = 0
	}
	s.scores, s.order, s.seen = s.scores[:n], s.order[:n], s.seen[:n]
	for i, l := range logits {
		v := float64(l)
		if math.IsNaN(v) || math.IsInf(v, 1) {
			return fmt.Errorf("sample: the logit of token %d is %v: the decoder's output is damaged, or its precision overflowed", i, l)
		}
		s.scores[i] = v
	}
	if !s.params.penalises() {
		return nil
	}
	if w := s.params.RepetitionWindow; w > 0 && len(history) > w {
		history = history[len(history)-w:]
	}
	if s.round++; s.round == 0 { // wrapped: old marks could look fresh
		clear(s.seen[:cap(s.seen)])
		s.round = 1
	}
	for i, id := range history {
		switch {
		case id < 0:
			continue
		case int(id) >= n:
			return fmt.Errorf("sample: token %d at place %d of the penalised history is outside the vocabulary of %d", id, i, n)
		case s.seen[id] == s.round:
			continue
		}
		s.seen[id] = s.round
		if s.scores[id] < 0 {
			s.scores[id] *= s.params.RepetitionPenalty
		} else {
			// A tiny penalty must not turn a logit into +Inf.
			s.scores[id] = min(s.scores[id]/s.params.RepetitionPenalty, math.MaxFloat64)
		}
	}
	return nil
}

// rank applies top-k, top-p and min-p to weights that sum to total and returns
// the ids that remain, least probable first. A heap yields only as many ranks
// as are kept; the whole vocabulary is never sorted.
func (s *Sampler) rank(total float64) []int32 {
	heap := s.order
	for i := range heap {
		heap[i] = int32(i)
	}
	for i := len(heap)/2 - 1; i >= 0; i-- {
		s.sift(heap, i)
	}
	if k := s.params.TopK; k > 0 && k < len(heap) {
		// Top-p acts on what top-k leaves, renormalised.
		total = 0
		for range k {
			total += s.scores[s.pop(&heap)]
		}
		ranked := s.order[len(heap):]
		sum := 0.0
		for i := k - 1; i >= 0; i-- {
			w := s.scores[ranked[i]]
			if i < k-1 && !s.keeps(w, sum, total) {
				return ranked[i+1:]
			}
			sum += w
		}
		return ranked
	}
	for sum := 0.0; len(heap) > 0; {
		w := s.scores[heap[0]]
		if len(heap) < len(s.order) && !s.keeps(w, sum, total) {
			break
		}
		sum += w
		s.pop(&heap)
	}
	return s.order[len(heap):]
}

// keeps reports whether top-p and min-p keep a token of weight w (the best has
// weight 1) when the better ones sum to sum out of total.
func (s *Sampler) keeps(w, sum, total float64) bool {
	return w > 0 && w >= s.params.MinP && (s.params.TopP == 1 || sum < s.params.TopP*total)
}

// draw chooses one of ids in proportion to their weights.
func (s *Sampler) draw(ids []int32) int32 {
	var total float64
	for _, id := range ids {
		total += s.scores[id]
	}
	r := s.rng.Float64() * total
	for _, id := range ids[:len(ids)-1] {
		if r < s.scores[id] {
			return id
		}
		r -= s.scores[id]
	}
	return ids[len(ids)-1]
}

// before reports whether token a ranks before token b.
func (s *Sampler) before(a, b int32) bool {
	wa, wb := s.scores[a], s.scores[b]
	return wa > wb || wa == wb && a < b
}

// pop moves the best id of the heap behind its end and returns it.
func (s *Sampler) pop(heap *[]int32) int32 {
	h := *heap
	last := len(h) - 1
	h[0], h[last] = h[last], h[0]
	*heap = h[:last]
	s.sift(h[:last], 0)
	return h[last]
}

// sift restores the heap below place i.
func (s *Sampler) sift(heap []int32, i int) {
	for {
		child := 2*i + 1
		if child >= len(heap) {
			return
		}
		if right := child + 1; right < len(heap) && s.before(heap[right], heap[child]) {
			child = right
		}
		if !s.before(heap[child], heap[i]) {
			return
		}
		heap[i], heap[child] = heap[child], heap[i]
		i = child
	}
}
