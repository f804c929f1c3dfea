package selfcheck

import (
	"fmt"
	"math"
)

// limits bound the difference between a device's numbers and the
// reference's.
//
// They fit a device that computes and accumulates in f16, or that rounds
// activations to 8 bits: an honest product of that kind is off by about 0.3 %
// of the root mean square (129 terms, each rounded to 11 bits), a chain of ten
// operators by about 1 %. Both errors are noise, so that they cancel in the
// gain, which finds what is off in one direction; it leaves room for
// approximations of exp and tanh, where there are such.
type limits struct {
	// nmse is the mean square error over the mean square of the reference.
	nmse float64
	// gain is how far the factor between reference and result, by least
	// squares, may be from 1.
	gain float64
	// worst is the largest error of one element over the root mean square
	// of the reference.
	worst float64
}

var (
	productLimits = limits{nmse: 1e-4, gain: 2e-3, worst: 0.1} // one product, no approximations
	chainLimits   = limits{nmse: 1e-3, gain: 1e-2, worst: 0.25}
)

// Measure is how far numbers were from the reference's.
type Measure struct {
	NMSE  float64 `json:"nmse"`
	Gain  float64 `json:"gain"` // less 1
	Worst float64 `json:"worst"`
}

// max keeps the larger of each error.
func (m *Measure) max(o Measure) {
	m.NMSE, m.Worst = max(m.NMSE, o.NMSE), max(m.Worst, o.Worst)
	if math.Abs(o.Gain) > math.Abs(m.Gain) {
		m.Gain = o.Gain
	}
}

// judge compares numbers; the text says what is wrong, empty when nothing is.
func (l limits) judge(got, want []float64) (m Measure, wrong string) {
	if len(got) != len(want) {
		return m, fmt.Sprintf("%d numbers, want %d", len(got), len(want))
	}
	var square, errors, cross float64
	at := 0
	for i, w := range want {
		g := got[i]
		if math.IsNaN(g) || math.IsInf(g, 0) {
			return m, fmt.Sprintf("element %d is %v, want %.4g", i, g, w)
		}
		d := g - w
		square += w * w
		errors += d * d
		cross += g * w
		if e := math.Abs(d); e > m.Worst {
			m.Worst, at = e, i
		}
	}
	if square == 0 {
		return m, "the reference is zero, which shows nothing" // a mistake in a block
	}
	m.NMSE, m.Gain, m.Worst = errors/square, cross/square-1, m.Worst/math.Sqrt(square/float64(len(want)))
	switch {
	case m.Worst > l.worst:
		return m, fmt.Sprintf("element %d of %d is %.4g, want %.4g", at, len(want), got[at], want[at])
	case m.NMSE > l.nmse:
		return m, fmt.Sprintf("the mean square error is %.1e of the numbers', at most %.0e is rounding", m.NMSE, l.nmse)
	case math.Abs(m.Gain) > l.gain:
		return m, fmt.Sprintf("all numbers are off by %+.2f %%, at most %.2g %% is rounding", 100*m.Gain, 100*l.gain)
	}
	return m, ""
}
