package cpu

import (
	"fmt"
	"math"

	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/ops/kern/half"
	"github.com/heddle-ml/heddle/ops/kern/vec"
)

// rowAttention is attention one query at a time, with a whole row of scores
// in sight: it can show them, bound them by windows, and round them. Keys that
// are hidden take no part at all, so nothing in their place reaches the
// result; a query without any key yields zeros.
func rowAttention[T vec.Float](b *build, c *call, g *geometry) error {
	left, right := c.Attrs.Int("left_window_size", -1), c.Attrs.Int("right_window_size", -1)
	mode := int(c.Attrs.Int("qk_matmul_output_mode", 0))
	round := rounding(c.Attrs.Elem("softmax_precision", enc.Invalid))
	var show *tensor
	if len(c.out) > 3 {
		show = c.out[3]
	}
	heads, queries, keys := g.q.heads, g.q.seq, g.k.seq
	mask, ms, columns := g.mask, [4]int{}, keys
	if mask != nil {
		ms = maskStrides(mask.shape)
		if mask.rank() > 0 { // what a short mask lacks is hidden
			columns = mask.shape[mask.rank()-1]
		}
	}
	if g.length != nil {
		b.step(func() error {
			for _, n := range of[int64](g.length) {
				if n < 0 || n > int64(keys) {
					return fmt.Errorf("%d valid keys of %d: %w", n, keys, errData)
				}
			}
			return nil
		})
	}
	scratch := b.temp(enc.F64, b.x.dev.pool.Workers(), 4, keys)
	b.eachWorker(g.batch*heads*queries, max(1, grain/64/max(1, keys*(g.q.d+g.v.d))), func(w, lo, hi int) {
		stages := of[float64](scratch)[w*4*keys:][:4*keys]
		raw, capped, logits, probs := stages[:keys], stages[keys:2*keys], stages[2*keys:3*keys], stages[3*keys:]
		for r := lo; r < hi; r++ {
			i, h, t := r/(heads*queries), r/queries%heads, r%queries
			kv := h / (heads / g.k.heads)
			valid, position := keys, g.past+t
			if g.length != nil {
				valid = int(of[int64](g.length)[i])
				position = valid - queries + t
			}
			q := of[T](g.q.t)[i*g.q.batchStep+h*g.q.hs+t*g.q.ss:][:g.q.d]
			for j := range keys {
				logits[j] = math.Inf(-1)
				seen := j < valid && (!g.causal || j <= position) && j < columns &&
					(left < 0 || int64(position-j) <= left) && (right < 0 || int64(j-position) <= right)
				if !seen && show == nil {
					continue
				}
				s := 0.0
				for d, x := range of[T](g.k.t)[i*g.k.batchStep+kv*g.k.hs+j*g.k.ss:][:g.k.d] {
					s += float64(q[d]) * float64(x)
				}
				raw[j] = s * g.scale
				capped[j] = raw[j]
				if g.softcap > 0 {
					capped[j] = float64(g.softcap) * math.Tanh(raw[j]/float64(g.softcap))
				}
				bias := 0.0
				if mask != nil && seen {
					at := i*ms[0] + h*ms[1] + t*ms[2] + j*ms[3]
					if mask.elem == enc.Bool {
						seen = of[bool](mask)[at]
					} else {
						bias = float64(of[T](mask)[at])
					}
				}
				if seen {
					logits[j] = capped[j] + bias
				}
			}
			softmaxOrZero(probs, logits, round)
			out := of[T](g.out.t)[i*g.out.batchStep+h*g.out.hs+t*g.out.ss:][:g.v.d]
			weigh(out, probs, logits, of[T](g.v.t)[i*g.v.batchStep+kv*g.v.hs:], g.v.ss)
			if show != nil {
				vec.Convert(of[T](show)[r*keys:(r+1)*keys], [][]float64{raw, capped, logits, probs}[mode])
			}
		}
	})
	return nil
}

// weigh sums rows of values by their probabilities, in float64.
func weigh[T vec.Float](out []T, probs, logits []float64, values []T, step int) {
	var sum [64]float64
	for from := 0; from < len(out); from += len(sum) {
		n := min(len(sum), len(out)-from)
		clear(sum[:n])
		for j, p := range probs {
			if math.IsInf(logits[j], -1) {
				continue
			}
			for d, v := range values[j*step+from:][:n] {
				sum[d] += p * float64(v)
			}
		}
		vec.Convert(out[from:from+n], sum[:n])
	}
}

// softmaxOrZero is softmax; a row of nothing but -Inf gives zeros. Logits and
// results are rounded, as attribute softmax_precision prescribes.
func softmaxOrZero(probs, logits []float64, round func(float64) float64) {
	clear(probs)
	top := math.Inf(-1)
	for _, f := range logits {
		top = max(top, round(f))
	}
	if math.IsInf(top, -1) {
		return
	}
	sum := 0.0
	for j, f := range logits {
		probs[j] = math.Exp(round(f) - top)
		sum += probs[j]
	}
	for j := range probs {
		probs[j] = round(probs[j] / sum)
	}
}

// rounding returns the function that rounds to a floating-point type, which
// may be invalid for none.
func rounding(e enc.Elem) func(float64) float64 {
	switch e {
	case enc.F32:
		return func(f float64) float64 { return float64(float32(f)) }
	case enc.F16:
		return func(f float64) float64 { return float64(half.FromF16(half.F16From64(f))) }
	case enc.BF16:
		return func(f float64) float64 { return float64(half.FromBF16(half.BF16From64(f))) }
	}
	return func(f float64) float64 { return f }
}
