package tol

import (
	"fmt"
	"math"
	"slices"

	"github.com/heddle-ml/heddle/ops"
	"github.com/heddle-ml/heddle/ops/oracle"
)

// Stats is what was measured. Each figure has its limit beside it.
type Stats struct {
	Elements int `json:"elements"`
	// Worst is the largest error as a share of its own limit; Abs the same
	// error as it is.
	Worst float64 `json:"worst"`
	Abs   float64 `json:"abs"`
	// NMSE is the mean square error by the mean square of the result.
	NMSE      float64 `json:"nmse"`
	NMSELimit float64 `json:"nmse_limit"`
	// Bias is the mean error in the direction of the result, by its mean
	// magnitude: what a gain of 1+Bias would give.
	Bias      float64 `json:"bias"`
	BiasLimit float64 `json:"bias_limit"`
}

// Merge keeps the worse of each figure.
func (s *Stats) Merge(o Stats) {
	s.Elements += o.Elements
	if o.Worst > s.Worst {
		s.Worst, s.Abs = o.Worst, o.Abs
	}
	if s.NMSELimit == 0 || o.NMSE*s.NMSELimit > s.NMSE*o.NMSELimit {
		s.NMSE, s.NMSELimit = o.NMSE, max(o.NMSELimit, s.NMSELimit)
	}
	if s.BiasLimit == 0 || math.Abs(o.Bias)*s.BiasLimit > math.Abs(s.Bias)*o.BiasLimit {
		s.Bias, s.BiasLimit = o.Bias, max(o.BiasLimit, s.BiasLimit)
	}
}

// Within reports whether the figures keep their limits.
func (s *Stats) Within() bool {
	return s.Worst <= 1 && (s.NMSELimit == 0 || s.NMSE <= s.NMSELimit) && (s.BiasLimit == 0 || math.Abs(s.Bias) <= s.BiasLimit)
}

// few is how many elements a tensor has at least for its bias to mean
// something.
const few = 48

// Compare measures got against want. The error says what is out of tolerance
// and names the worst element.
func (j Judge) Compare(want, got *oracle.Tensor) (Stats, error) {
	if want.Elem != got.Elem || !slices.Equal(want.Shape, got.Shape) {
		return Stats{Worst: math.MaxFloat64}, fmt.Errorf("the result is %s%v, want %s%v", got.Elem, got.Shape, want.Elem, want.Shape)
	}
	if !want.Elem.IsFloat() {
		return j.codes(want, got)
	}
	return j.floats(want, got)
}

func (j Judge) codes(want, got *oracle.Tensor) (s Stats, err error) {
	n := want.Len()
	s.Elements = n
	allowed := j.rule().Codes
	if j.Stepwise && j.Class != ops.Exact || j.Nodes > 1 && allowed > 0 {
		allowed = max(allowed, 1)
	}
	bad, at, off, sum := 0, -1, 0, 0.0
	for i := range n {
		d := difference(want, got, i)
		if d == 0 {
			continue
		}
		off++
		sum += d
		if a := math.Abs(d); a > s.Abs {
			s.Abs, at = a, i
		}
		if math.Abs(d) > float64(allowed) {
			bad++
		}
	}
	switch {
	case s.Abs == 0:
		return s, nil
	case allowed == 0:
		s.Worst = math.MaxFloat64
		return s, fmt.Errorf("element %d of %d is %s, want %s; %d differ, and none may", at, n, text(got, at), text(want, at), off)
	}
	s.Worst = s.Abs / float64(allowed)
	if bad > 0 {
		return s, fmt.Errorf("element %d of %d is %s, want %s: %g steps off; %d differ by more than %d", at, n, text(got, at), text(want, at), s.Abs, bad, allowed)
	}
	if n >= few {
		// A real between two codes falls to the wrong side seldom, and to
		// either side as often.
		s.Bias, s.BiasLimit = sum/float64(n), 0.05+1/math.Sqrt(float64(n))
		if math.Abs(s.Bias) > s.BiasLimit {
			return s, fmt.Errorf("the codes are off by %.3g on average (limit %.3g): %d of %d are one step %s", s.Bias, s.BiasLimit, off, n, map[bool]string{true: "too high", false: "too low"}[s.Bias > 0])
		}
	}
	return s, nil
}

func difference(want, got *oracle.Tensor, i int) float64 {
	if want.I != nil {
		if want.I[i] == got.I[i] {
			return 0
		}
		return nonzero(float64(got.I[i]) - float64(want.I[i]))
	}
	if want.U[i] == got.U[i] {
		return 0
	}
	return nonzero(float64(got.U[i]) - float64(want.U[i]))
}

// nonzero keeps a difference of large integers from vanishing.
func nonzero(d float64) float64 {
	if d == 0 {
		return 1
	}
	return d
}

func (j Judge) floats(want, got *oracle.Tensor) (s Stats, err error) {
	n := want.Len()
	s.Elements = n
	var square, mean, count float64
	for _, w := range want.F {
		if a := math.Abs(w); a <= math.MaxFloat64 {
			square += w * w
			mean += a
			count++
		}
	}
	if count > 0 {
		square /= count
		mean /= count
	}
	own, common, floor := j.limits(want.Elem)
	rms := math.Sqrt(square)
	bad, at := 0, -1
	var errSquare, errSigned float64
	for i, w := range want.F {
		g := got.F[i]
		if w == g || w != w && g != g {
			continue
		}
		d := math.Abs(g - w)
		limit := own*math.Abs(w) + common*max(math.Abs(w), rms) + floor
		ratio := d / limit
		if limit == 0 || ratio != ratio || d > math.MaxFloat64 {
			ratio = math.MaxFloat64 // infinite, or not a number where it should be one
		} else {
			errSquare += d * d
			if w != 0 {
				errSigned += (g - w) * math.Copysign(1, w)
			} else {
				errSigned += d
			}
		}
		if ratio > s.Worst {
			s.Worst, s.Abs, at = ratio, min(d, math.MaxFloat64), i
			if d != d {
				s.Abs = math.MaxFloat64
			}
		}
		if ratio > 1 {
			bad++
		}
	}
	if square > 0 && j.Class != ops.Exact {
		// What single elements may be off by is several standard deviations.
		expected := 0.4 * (own + common)
		s.NMSE, s.NMSELimit = errSquare/count/square, 4*expected*expected+square0(floor, square)
		if count >= few {
			s.Bias, s.BiasLimit = errSigned/count/mean, expected*(0.25+6/math.Sqrt(count))+floor/mean
		}
	}
	switch {
	case bad > 0:
		return s, fmt.Errorf("element %d of %d is %s, want %s: off by %.3g, %s; %d are out of tolerance", at, n, text(got, at), text(want, at), s.Abs, over(s.Worst), bad)
	case s.NMSE > s.NMSELimit:
		return s, fmt.Errorf("the normalised mean square error is %.3g (limit %.3g): no single element is too far off, but they are together", s.NMSE, s.NMSELimit)
	case math.Abs(s.Bias) > s.BiasLimit:
		return s, fmt.Errorf("the results are %.3g too %s on average (limit %.3g): the error is systematic", math.Abs(s.Bias), map[bool]string{true: "large", false: "small"}[s.Bias > 0], s.BiasLimit)
	}
	return s, nil
}

func square0(floor, square float64) float64 { return floor * floor / square }

func over(worst float64) string {
	if worst == math.MaxFloat64 {
		return "where nothing may differ"
	}
	return fmt.Sprintf("%.3g times what is allowed", worst)
}

func text(t *oracle.Tensor, i int) string {
	switch {
	case t.F != nil:
		return fmt.Sprintf("%.9g", t.F[i])
	case t.I != nil:
		return fmt.Sprint(t.I[i])
	}
	return fmt.Sprint(t.U[i])
}
