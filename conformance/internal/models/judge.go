package models

import (
	"fmt"
	"math"
	"slices"

	"github.com/heddle-ml/heddle/conformance/internal/suite"
	"github.com/heddle-ml/heddle/conformance/internal/tol"
)

// limit bounds how far a whole model may be from the oracle.
type limit struct {
	// kl bounds the divergence of the distribution of the next token from the
	// oracle's, at each place, in nats.
	kl float64
	// clear is by how much a logit must be ahead for its order to count; the
	// logits have a root mean square of about ten.
	clear float64
	// nmse bounds the normalised mean square error, of logits and embeddings.
	nmse float64
	// nats bounds the error of an answer's cross entropy.
	nats float64
	why  string
}

// limits by the type that a device makes long sums in. Sixty operators lie
// behind a logit; their errors grow on the way to about a hundred units in the
// last place, and a divergence is half the square of an error.
var limits = map[string]limit{
	"f32": {kl: 1e-8, clear: 0.01, nmse: 1e-10, nats: 1e-5, why: "float32 is off by about 1e-6 of the logits' size"},
	"f16": {kl: 2e-2, clear: 0.5, nmse: 1e-3, nats: 0.02, why: "half precision is off by about 1e-2 of the logits' size"},
}

// rounded is for quantized weights. Both sides have the same codes, so what
// differs is arithmetic; but a device may round activations to 8 bits.
var rounded = limit{kl: 5e-2, clear: 1, nmse: 2e-3, nats: 0.05, why: "activations of 8 bits are off by up to half a percent in each operator"}

func limitOf(e *suite.Env, r recipe) limit {
	l, ok := limits[e.Caps.Numerics.Accumulate]
	if !ok {
		l = limits["f32"]
		if e.Caps.Numerics.Accumulate == "bf16" {
			l = limits["f16"]
		}
	}
	if r.of != nil && l.kl < rounded.kl {
		l = rounded
	}
	return l
}

// best is how many of the likeliest tokens are compared.
const best = 5

// compare judges logits behind the tokens from one on.
func (l limit) compare(e *suite.Env, from int, want [][]float64, got []float64) error {
	var worst, sum, square, errSquare float64
	var err error
	at := 0
	for i, w := range want {
		g := got[i*len(w) : (i+1)*len(w)]
		for k := range w {
			square += w[k] * w[k]
			errSquare += (g[k] - w[k]) * (g[k] - w[k])
		}
		kl := divergence(w, g)
		sum += kl
		if kl > worst {
			worst, at = kl, i
		}
		if e := l.order(w, g); e != nil && err == nil {
			err = fmt.Errorf("behind token %d: %w", from+i, e)
		}
	}
	s := tol.Stats{Elements: len(got), Worst: finite(worst / l.kl), Abs: finite(worst), NMSE: finite(errSquare / square), NMSELimit: l.nmse}
	e.Measured(s)
	e.Note("divergence of the next token's distribution at %d places: %.2g nats on average, %.2g at most (limit %g)", len(want), sum/float64(len(want)), worst, l.kl)
	switch {
	case worst > l.kl:
		return fmt.Errorf("behind token %d the distribution of the next token diverges by %.3g nats (limit %g)", from+at, worst, l.kl)
	case !(errSquare/square <= l.nmse):
		return fmt.Errorf("the normalised mean square error of the logits is %.3g (limit %g)", errSquare/square, l.nmse)
	}
	return err
}

// near judges embeddings.
func (l limit) near(e *suite.Env, want, got []float64) error {
	var square, errSquare float64
	for i, w := range want {
		square += w * w
		errSquare += (got[i] - w) * (got[i] - w)
	}
	nmse := errSquare / square
	e.Measured(tol.Stats{Elements: len(want), NMSE: finite(nmse), NMSELimit: l.nmse})
	e.Note("normalised mean square error of %d embeddings: %.2g (limit %g)", len(want), nmse, l.nmse)
	if !(nmse <= l.nmse) {
		return fmt.Errorf("the normalised mean square error of the embeddings is %.3g (limit %g)", nmse, l.nmse)
	}
	return nil
}

func finite(f float64) float64 {
	if !(f <= math.MaxFloat64) {
		return math.MaxFloat64
	}
	return f
}

// order checks that the likeliest tokens are the oracle's, as far as the
// oracle is clear about them.
func (l limit) order(want, got []float64) error {
	sorted := slices.Clone(want)
	slices.Sort(sorted)
	slices.Reverse(sorted)
	rank := make([]int, len(got))
	for i := range rank {
		rank[i] = i
	}
	slices.SortStableFunc(rank, func(a, b int) int {
		switch {
		case got[a] > got[b]:
			return -1
		case got[a] < got[b]:
			return 1
		}
		return 0
	})
	for k := range best {
		if id := rank[k]; math.Abs(want[id]-sorted[k]) > l.clear {
			return fmt.Errorf("token %d is the likeliest but %d, with a logit of %.6g; the oracle gives it %.6g, and that place to %.6g", id, k, got[id], want[id], sorted[k])
		}
	}
	return nil
}

// divergence is Kullback and Leibler's, of the distribution that got stands
// for from want's, in nats.
func divergence(want, got []float64) float64 {
	w, g := logSumExp(want), logSumExp(got)
	kl := 0.0
	for i := range want {
		p := want[i] - w
		kl += math.Exp(p) * (p - (got[i] - g))
	}
	if math.IsNaN(kl) {
		return math.Inf(1) // logits that are no numbers agree with nothing
	}
	return max(kl, 0) // rounding may leave less than nothing
}

func logSumExp(f []float64) float64 {
	top := slices.Max(f)
	sum := 0.0
	for _, x := range f {
		sum += math.Exp(x - top)
	}
	return top + math.Log(sum)
}

// crossEntropy is the mean of an answer's tokens and of the one that ends it,
// in nats.
func (t *truth) crossEntropy(a answer, stop int32) float64 {
	sum := 0.0
	for i, id := range append(slices.Clone(a.tokens), stop) {
		f := t.logits[a.from-1+i]
		sum += logSumExp(f) - f[id]
	}
	return sum / float64(len(a.tokens)+1)
}

// margin is how clear the oracle is about the token behind a place.
func margin(f []float64) float64 {
	top := argmax(f)
	second := math.Inf(-1)
	for i, x := range f {
		if i != top {
			second = max(second, x)
		}
	}
	return f[top] - second
}

// sure returns how many of an answer's tokens, with the one that ends it, the
// oracle is clear about.
func (t *truth) sure(a answer, clear float64) int {
	for i := range len(a.tokens) + 1 {
		if margin(t.logits[a.from-1+i]) < 2*clear {
			return i
		}
	}
	return len(a.tokens) + 1
}
