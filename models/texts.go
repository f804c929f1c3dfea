package models

import (
	"math"

	"github.com/heddle-ml/heddle/models/sample"
)

// params returns the sampling that a generation config asks for: greedy
// unless it says do_sample.
func (g Generation) params() sample.Params {
	p := sample.Params{RepetitionPenalty: g.RepetitionPenalty}
	if g.Sample {
		p.Temperature, p.TopK, p.TopP, p.MinP = g.Temperature, g.TopK, g.TopP, g.MinP
	}
	return p
}

// crossEntropy is minus the log of the probability that logits give to a
// token, in float64.
func crossEntropy(logits []float32, id int) float64 {
	top := math.Inf(-1)
	for _, l := range logits {
		top = math.Max(top, float64(l))
	}
	sum := 0.0
	for _, l := range logits {
		sum += math.Exp(float64(l) - top)
	}
	return math.Log(sum) + top - float64(logits[id])
}
