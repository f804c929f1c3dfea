package sample

import (
	"fmt"
	"math"
)

// Params says how tokens are chosen. Its zero value is greedy decoding.
//
// The steps apply in this order, each to what the one before it left over:
// repetition penalty, temperature, top-k, top-p, min-p. Where a rank decides,
// equal logits are ranked by token id, lowest first.
type Params struct {
	// Temperature divides the logits. 0 means greedy: the highest logit after
	// the repetition penalty wins and the other fields have no effect. 1
	// leaves the distribution as it is.
	Temperature float64
	// TopK keeps the k most probable tokens; 0 keeps all.
	TopK int
	// TopP keeps the most probable tokens until their probabilities sum to at
	// least TopP, and always the first. 1 keeps all, 0 keeps only the first.
	TopP float64
	// MinP drops tokens less probable than MinP times the most probable one;
	// 0 drops none.
	MinP float64
	// RepetitionPenalty divides the positive and multiplies the negative
	// logits of tokens that occur in the history, once each. 1 turns it off,
	// and so does 0, for the sake of the zero value.
	RepetitionPenalty float64
	// RepetitionWindow is how many of the last tokens of the history the
	// penalty looks at; 0 means all.
	RepetitionWindow int
	// Seed starts the random sequence.
	Seed uint64
}

// Validate returns an error naming the first field that is out of range, the
// range, and the value that turns the feature off.
func (p Params) Validate() error {
	// The comparisons are written so that NaN fails them.
	switch {
	case !(p.Temperature >= 0) || math.IsInf(p.Temperature, 0):
		return fmt.Errorf("sample: temperature is %v, want a finite number of at least 0: use 0 for greedy decoding", p.Temperature)
	case p.TopK < 0:
		return fmt.Errorf("sample: top_k is %d, want at least 0: use 0 to keep all tokens", p.TopK)
	case !(p.TopP >= 0 && p.TopP <= 1):
		return fmt.Errorf("sample: top_p is %v, want 0 to 1: use 1 to keep all tokens", p.TopP)
	case !(p.MinP >= 0 && p.MinP <= 1):
		return fmt.Errorf("sample: min_p is %v, want 0 to 1: use 0 to keep all tokens", p.MinP)
	case !(p.RepetitionPenalty >= 0) || math.IsInf(p.RepetitionPenalty, 0):
		return fmt.Errorf("sample: repetition_penalty is %v, want a finite number above 0: use 1 to turn it off", p.RepetitionPenalty)
	case p.RepetitionWindow < 0:
		return fmt.Errorf("sample: repetition_window is %d, want at least 0: use 0 for the whole history", p.RepetitionWindow)
	}
	return nil
}

// penalises reports whether the repetition penalty changes anything.
func (p Params) penalises() bool { return p.RepetitionPenalty != 0 && p.RepetitionPenalty != 1 }
