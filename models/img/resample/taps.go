package resample

import "math"

// fracBits is the number of fractional bits of a weight. Eight bits of pixel,
// 22 of weight, a sign and one bit of head room for the overshoot of a filter
// fill an int32.
const fracBits = 22

// half rounds a sum before it is shifted right by fracBits.
const half = 1 << (fracBits - 1)

// taps holds, for consecutive output positions along one axis, which source
// positions are summed with which fixed-point weights.
type taps struct {
	span    []span
	weights []int32 // width per output position; those after a span's n are unused
	width   int
}

type span struct{ lo, n int }

func (t *taps) at(i int) (lo int, weights []int32) {
	s := t.span[i]
	return s.lo, t.weights[i*t.width : i*t.width+s.n]
}

// axis computes the taps of output positions first..last-1 for a resize of an
// axis from in to out positions. It depends on the window only in what it
// leaves out.
func axis(in, out, first, last int, f Filter) *taps {
	k := kernels[f]
	scale := float64(in) / float64(out)
	stretch := math.Max(scale, 1)
	support := float64(k.support * stretch)
	inverse := 1 / stretch
	width := int(math.Ceil(support))*2 + 1
	width = min(width, in) // no more taps than source positions

	t := &taps{
		span:    make([]span, last-first),
		weights: make([]int32, (last-first)*width),
		width:   width,
	}
	real := make([]float64, width)
	for i := range t.span {
		centre := float64((float64(first+i) + 0.5) * scale)
		lo := max(int(centre-support+0.5), 0)
		hi := min(int(centre+support+0.5), in)
		n := hi - lo
		sum := 0.0
		for j := range n {
			real[j] = k.at((float64(j+lo) - centre + 0.5) * inverse)
			sum += real[j]
		}
		fixed := t.weights[i*width:]
		for j := range n {
			w := real[j]
			if sum != 0 {
				w /= sum
			}
			w *= 1 << fracBits // a power of two: exact
			if w < 0 {
				fixed[j] = int32(w - 0.5)
			} else {
				fixed[j] = int32(w + 0.5)
			}
		}
		t.span[i] = span{lo, n}
	}
	return t
}

// nearest returns the source positions of output positions first..last-1. The
// position is accumulated rather than multiplied out because Pillow does so,
// and the two differ where a centre falls on a border.
func nearest(in, out, first, last int) []int {
	step := float64(in) / float64(out)
	at := step * 0.5
	from := make([]int, last-first)
	for i := range last {
		if i >= first {
			from[i-first] = min(int(at), in-1)
		}
		at += step
	}
	return from
}
