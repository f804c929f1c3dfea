package oracle

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/heddle-ml/heddle/graph/enc"
)

// attentionOps are the operators of transformer blocks.
var attentionOps = map[string]evaluator{
	"Attention":       attention,
	"RotaryEmbedding": rotaryEmbedding,
}

// heads returns an operand as [batch, heads, positions, size]: as it is, or
// split when it has the form [batch, positions, heads*size].
func (x *node) heads(i int, attr string) (*Tensor, error) {
	t := x.arg(i)
	switch len(t.Shape) {
	case 4:
		return t, nil
	case 3:
		n := x.Attrs.Int(attr, 0)
		if n <= 0 || t.Shape[2]%n != 0 {
			return nil, fmt.Errorf("input %d has shape %v, %s is %d: want a positive number that divides the last dimension", i, t.Shape, attr, n)
		}
		return t.with([]int64{t.Shape[0], t.Shape[1], n, t.Shape[2] / n}).permute([]int{0, 2, 1, 3})
	}
	return nil, fmt.Errorf("input %d has shape %v; want three or four dimensions", i, t.Shape)
}

// maskOf tells which keys a query may attend to, and what is added to its
// scores.
type maskOf struct {
	mask   *Tensor // nil for none
	stride []int   // of mask, broadcast to [batch, heads, queries, keys]
	keys   int64   // of mask: it may be short
	causal bool
	left   int64   // sliding window; -1 for unbounded
	right  int64   // likewise
	offset []int64 // per batch: number of keys before the first query
	nonpad []int64 // per batch: number of valid keys; nil for all
}

// bias returns what is added to the score of key k for query q, and false
// when the key takes no part at all.
func (m *maskOf) bias(b, h, q, k int64) (float64, bool) {
	p := m.offset[b] + q // absolute position of the query
	if m.nonpad != nil && k >= m.nonpad[b] ||
		m.causal && k > p ||
		m.left >= 0 && p-k > m.left ||
		m.right >= 0 && k-p > m.right {
		return 0, false
	}
	if m.mask == nil {
		return 0, true
	}
	if k >= m.keys {
		return 0, false // a short mask is padded with "no"
	}
	o := int(b)*m.stride[0] + int(h)*m.stride[1] + int(q)*m.stride[2] + int(k)*m.stride[3]
	if m.mask.Elem == enc.Bool {
		return 0, m.mask.I[o] != 0
	}
	f := m.mask.float(o)
	return f, !math.IsInf(f, -1)
}

func (x *node) mask(batch, heads, queries, keys, past int64) (*maskOf, error) {
	m := &maskOf{mask: x.arg(3), causal: x.flag("is_causal", 0),
		left: x.Attrs.Int("left_window_size", -1), right: x.Attrs.Int("right_window_size", -1), offset: make([]int64, batch)}
	for b := range m.offset {
		m.offset[b] = past
	}
	if x.arg(6) != nil {
		var err error
		if m.nonpad, err = x.ints(6); err != nil {
			return nil, err
		}
		if int64(len(m.nonpad)) != batch {
			return nil, fmt.Errorf("%d valid lengths for a batch of %d", len(m.nonpad), batch)
		}
		for b, n := range m.nonpad {
			if n < 0 || n > keys {
				return nil, fmt.Errorf("valid length %d of %d keys: %w", n, keys, ErrIndex)
			}
			m.offset[b] = n - queries
		}
	}
	if m.mask == nil {
		return m, nil
	}
	if len(m.mask.Shape) == 0 {
		m.mask = m.mask.with([]int64{1})
	}
	last := m.mask.Shape[len(m.mask.Shape)-1]
	if last > keys {
		return nil, fmt.Errorf("mask of shape %v for %d keys", m.mask.Shape, keys)
	}
	m.keys = last
	var err error
	m.stride, err = broadcastStrides(m.mask.Shape, []int64{batch, heads, queries, last})
	return m, err
}

// attention is softmax(cap(scale*Q*K') + bias)*V for each head. Keys that are
// masked are left out rather than added as -Inf, so that nothing in their
// place, not even NaN, reaches the result; a query without any key yields
// zeros.
func attention(x *node) ([]*Tensor, error) {
	q, err := x.heads(0, "q_num_heads")
	if err != nil {
		return nil, err
	}
	k, err := x.heads(1, "kv_num_heads")
	if err != nil {
		return nil, err
	}
	v, err := x.heads(2, "kv_num_heads")
	if err != nil {
		return nil, err
	}
	past := int64(0)
	pastK, pastV := x.arg(4), x.arg(5)
	if (pastK == nil) != (pastV == nil) || pastK != nil && x.arg(6) != nil {
		return nil, errors.New("past_key and past_value go together, and not with nonpad_kv_seqlen")
	}
	if pastK != nil {
		if len(pastK.Shape) != 4 {
			return nil, fmt.Errorf("past_key has shape %v; want four dimensions", pastK.Shape)
		}
		past = pastK.Shape[2]
		if k, err = x.concat([]*Tensor{pastK, k}, 2); err != nil {
			return nil, err
		}
		if v, err = x.concat([]*Tensor{pastV, v}, 2); err != nil {
			return nil, err
		}
	}
	batch, qheads, queries, width := q.Shape[0], q.Shape[1], q.Shape[2], q.Shape[3]
	kvheads, keys, vwidth := k.Shape[1], k.Shape[2], v.Shape[3]
	if k.Shape[0] != batch || k.Shape[3] != width || !slices.Equal(v.Shape[:3], k.Shape[:3]) || kvheads == 0 || qheads%kvheads != 0 {
		return nil, fmt.Errorf("queries %v, keys %v and values %v do not fit together", q.Shape, k.Shape, v.Shape)
	}
	mask, err := x.mask(batch, qheads, queries, keys, past)
	if err != nil {
		return nil, err
	}
	y, err := x.make(q.Elem, []int64{batch, qheads, queries, vwidth})
	if err != nil {
		return nil, err
	}
	var scores *Tensor
	if x.Want(3) {
		if scores, err = x.make(q.Elem, []int64{batch, qheads, queries, keys}); err != nil {
			return nil, err
		}
	}
	scale := 1 / math.Sqrt(float64(width))
	if s := x.float("scale", 0); x.Attrs.Has("scale") {
		scale = s
	}
	softcap := x.float("softcap", 0)
	mode := x.Attrs.Int("qk_matmul_output_mode", 0)
	prec := x.elemAttr("softmax_precision")
	stages := [4][]float64{} // what qk_matmul_output can show
	for i := range stages {
		stages[i] = make([]float64, keys)
	}
	if mode < 0 || mode > 3 {
		return nil, fmt.Errorf("qk_matmul_output_mode is %d; want 0 to 3", mode)
	}
	row := 0
	var bad error
	walk([]int64{batch, qheads, queries}, func(at []int64) {
		if bad != nil {
			return
		}
		b, h, i := at[0], at[1], at[2]
		kv := int(b*kvheads+h/(qheads/kvheads)) * int(keys) // first row of this head's keys
		query := q.F[row*int(width):][:width]
		raw, capped, logits, probs := stages[0], stages[1], stages[2], stages[3]
		for j := range int(keys) {
			bias, allowed := mask.bias(b, h, i, int64(j))
			if !allowed && scores == nil {
				logits[j] = math.Inf(-1)
				continue
			}
			raw[j] = scale * dot(query, k.F[(kv+j)*int(width):][:width])
			capped[j] = raw[j]
			if softcap > 0 {
				capped[j] = softcap * math.Tanh(raw[j]/softcap)
			}
			logits[j] = math.Inf(-1)
			if allowed {
				logits[j] = capped[j] + bias
			}
		}
		softmaxOrZero(probs, logits, prec)
		out := y.F[row*int(vwidth):][:vwidth]
		for j, p := range probs {
			if !math.IsInf(logits[j], -1) {
				mulAdd(out, p, v.F[(kv+j)*int(vwidth):][:vwidth])
			}
		}
		if scores != nil {
			copy(scores.F[row*int(keys):], stages[mode])
		}
		row++
		bad = x.step(int(keys * (width + vwidth)))
	})
	if bad != nil {
		return nil, bad
	}
	if len(x.arg(0).Shape) == 3 {
		if y, err = y.permute([]int{0, 2, 1, 3}); err != nil {
			return nil, err
		}
		y = y.with([]int64{batch, queries, qheads * vwidth})
	}
	return []*Tensor{y, k, v, scores}, nil
}

func dot(a, b []float64) float64 {
	s := 0.0
	for i, f := range a {
		s += f * b[i]
	}
	return s
}

// softmaxOrZero is softmax; a row of nothing but -Inf gives zeros. If a
// precision is given, the logits and the result are rounded to it, as
// attribute softmax_precision prescribes.
func softmaxOrZero(probs, logits []float64, prec enc.Elem) {
	clear(probs)
	m, sum := math.Inf(-1), 0.0
	for _, f := range logits {
		m = max(m, roundTo(prec, f))
	}
	if math.IsInf(m, -1) {
		return
	}
	for j, f := range logits {
		probs[j] = math.Exp(roundTo(prec, f) - m)
		sum += probs[j]
	}
	for j := range probs {
		probs[j] = roundTo(prec, probs[j]/sum)
	}
}

// rotaryEmbedding rotates pairs of features by angles given as cosines and
// sines: feature i with i+half, or 2i with 2i+1 when interleaved. Features
// beyond rotary_embedding_dim stay.
func rotaryEmbedding(x *node) ([]*Tensor, error) {
	t := x.arg(0)
	var n, heads, positions, width int64
	switch len(t.Shape) {
	case 4:
		n, heads, positions, width = t.Shape[0], t.Shape[1], t.Shape[2], t.Shape[3]
	case 3:
		heads = x.Attrs.Int("num_heads", 0)
		if heads <= 0 || t.Shape[2]%heads != 0 {
			return nil, fmt.Errorf("input has shape %v, num_heads is %d: want a positive number that divides the last dimension", t.Shape, heads)
		}
		n, positions, width = t.Shape[0], t.Shape[1], t.Shape[2]/heads
	default:
		return nil, fmt.Errorf("input has shape %v; want three or four dimensions", t.Shape)
	}
	dims := x.Attrs.Int("rotary_embedding_dim", 0)
	if dims == 0 {
		dims = width
	}
	if dims < 0 || dims > width || dims%2 != 0 {
		return nil, fmt.Errorf("cannot rotate %d of %d features", dims, width)
	}
	half := dims / 2
	angles, err := x.angleRows(n, positions, half)
	if err != nil {
		return nil, err
	}
	out, err := x.clone(t)
	if err != nil {
		return nil, err
	}
	cos, sin := x.arg(1), x.arg(2)
	interleaved := x.flag("interleaved", 0)
	walk([]int64{n, heads, positions}, func(at []int64) {
		b, h, p := at[0], at[1], at[2]
		base := ((b*heads+h)*positions + p) * width
		if len(t.Shape) == 3 {
			base = ((b*positions+p)*heads + h) * width
		}
		row := angles[b*positions+p]
		for i := range half {
			j, k := base+i, base+i+half
			if interleaved {
				j, k = base+2*i, base+2*i+1
			}
			c, s := cos.F[int64(row)*half+i], sin.F[int64(row)*half+i]
			out.F[j] = c*t.F[j] - s*t.F[k]
			out.F[k] = s*t.F[j] + c*t.F[k]
		}
	})
	return one(out, x.step(out.Len()))
}

// angleRows returns the row of the caches for each batch element and
// position: the one that position_ids names in caches of shape [max, half],
// or its own in caches of shape [batch, positions, half].
func (x *node) angleRows(n, positions, half int64) ([]int, error) {
	cos, sin := x.arg(1), x.arg(2)
	rows := make([]int, n*positions)
	want := []int64{n, positions, half}
	if ids := x.arg(3); ids != nil {
		if !slices.Equal(ids.Shape, []int64{n, positions}) || len(cos.Shape) != 2 {
			return nil, fmt.Errorf("position_ids of shape %v and caches of shape %v for %d x %d positions", ids.Shape, cos.Shape, n, positions)
		}
		want = []int64{cos.Shape[0], half}
		for i, p := range ids.I {
			r, err := indexIn(p, cos.Shape[0])
			if err != nil {
				return nil, fmt.Errorf("position_ids: %w", err)
			}
			rows[i] = r
		}
	} else {
		for i := range rows {
			rows[i] = i
		}
	}
	if !slices.Equal(cos.Shape, want) || !slices.Equal(sin.Shape, want) {
		return nil, fmt.Errorf("caches have shapes %v and %v; want %v", cos.Shape, sin.Shape, want)
	}
	return rows, nil
}
