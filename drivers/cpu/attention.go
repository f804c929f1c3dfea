package cpu

import (
	"fmt"
	"math"

	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/hal/driver"
	"github.com/heddle-ml/heddle/ops"
	"github.com/heddle-ml/heddle/ops/kern/attn"
)

func init() {
	register("Attention", lowering{lower: attention, elems: ops.Floats, states: []int{1, 2}})
}

// attention is Attention in ONNX's forms: [batch,heads,seq,dim] or
// [batch,seq,width] with head counts as attributes, past keys and values,
// masks, windows, and an unpadded length for each sequence. What the fused
// kernel does not do is computed row by row.
func attention(b *build, c *call) error {
	d := &call{Node: c.Node, in: append([]*tensor(nil), c.in...), out: c.out}
	for _, i := range []int{1, 2} {
		// A cache is decoded only as far as it is filled.
		if t := c.in[i]; t.place != inConst && (t.enc != (enc.Encoding{}) || isHalf(t) && c.input(6) != nil) {
			u, err := b.readRows(t, c.input(6))
			if err != nil {
				return err
			}
			d.in[i] = u
		}
	}
	return widened(func(b *build, c *call) error {
		scores := len(c.out) > 3 && c.out[3] != nil
		windows := c.Attrs.Int("left_window_size", -1) >= 0 || c.Attrs.Int("right_window_size", -1) >= 0
		g, err := b.geometry(c)
		switch {
		case err != nil:
			return err
		case c.in[0].elem == enc.F64:
			return rowAttention[float64](b, c, g)
		case c.in[0] == d.in[0] && halves.Has(c.Attrs.Elem("softmax_precision", enc.F32)):
			// Coarser than the operands: somebody wants to see that.
			return rowAttention[float32](b, c, g)
		case scores || windows || g.q.d == 0 || g.softcap < 0 || g.mask != nil && g.mask.rank() == 0:
			return rowAttention[float32](b, c, g)
		}
		return b.fusedAttention(g)
	})(b, d)
}

// side is how an operand lies: strides in elements.
type side struct {
	t                 *tensor
	heads, seq, d     int
	batchStep, hs, ss int
}

// sideOf reads the geometry of an operand or result.
func sideOf(t *tensor, heads int) side {
	if t.rank() == 4 {
		h, s, d := t.shape[1], t.shape[2], t.shape[3]
		return side{t, h, s, d, h * s * d, s * d, d}
	}
	s, w := t.shape[1], t.shape[2]
	d := w / heads
	return side{t, heads, s, d, s * w, d, w}
}

// geometry is what both ways of computing attention need to know.
type geometry struct {
	batch        int
	q, k, v, out side
	past         int
	scale        float64
	softcap      float32
	causal       bool
	mask, length *tensor
}

func (b *build) geometry(c *call) (*geometry, error) {
	q, k, v := c.in[0], c.in[1], c.in[2]
	qh, kh := int(c.Attrs.Int("q_num_heads", 0)), int(c.Attrs.Int("kv_num_heads", 0))
	g := &geometry{batch: q.shape[0], q: sideOf(q, qh), k: sideOf(k, kh), v: sideOf(v, kh), out: sideOf(c.out[0], qh),
		causal: c.Attrs.Int("is_causal", 0) != 0, softcap: c.Attrs.Float("softcap", 0), mask: c.input(3), length: c.input(6)}
	if g.scale = float64(c.Attrs.Float("scale", 0)); !c.Attrs.Has("scale") {
		g.scale = 1 / math.Sqrt(float64(g.q.d))
	}
	if pk, pv := c.input(4), c.input(5); pk != nil && pv != nil {
		g.past = pk.shape[2]
		var err error
		if g.k, err = b.joined(c, pk, g.k, 1); err != nil {
			return nil, err
		}
		if g.v, err = b.joined(c, pv, g.v, 2); err != nil {
			return nil, err
		}
	} else {
		// present_key and present_value without a past are the keys and values
		// themselves, in four dimensions.
		for i, s := range []side{g.k, g.v} {
			if len(c.out) > i+1 && c.out[i+1] != nil {
				if err := b.heads4(c.out[i+1], s, 0); err != nil {
					return nil, err
				}
			}
		}
	}
	return g, nil
}

// joined puts past rows and new ones into one tensor, the present.
func (b *build) joined(c *call, past *tensor, s side, output int) (side, error) {
	var t *tensor
	if len(c.out) > output && c.out[output] != nil {
		t = c.out[output]
	} else {
		t = b.temp(s.t.elem, past.shape[0], past.shape[1], past.shape[2]+s.seq, past.shape[3])
	}
	st := dense(t.shape)
	if err := b.strided(t, 0, st, past, 0, dense(past.shape), past.shape); err != nil {
		return side{}, err
	}
	if err := b.heads4(t, s, past.shape[2]); err != nil {
		return side{}, err
	}
	return sideOf(t, 0), nil
}

// heads4 copies an operand's rows into a [batch,heads,rows,dim] tensor from a
// row on.
func (b *build) heads4(t *tensor, s side, row int) error {
	st := dense(t.shape)
	return b.strided(t, row*st[2], st, s.t, 0, []int{s.batchStep, s.hs, s.ss, 1}, []int{t.shape[0], s.heads, s.seq, s.d})
}

func (b *build) fusedAttention(g *geometry) error {
	var err error
	var mask *tensor
	var ms [4]int // strides of the mask over batch, head, row, column
	if g.mask != nil {
		if mask, err = b.floatMask(g.mask); err != nil {
			return err
		}
		ms = maskStrides(mask.shape)
		if mask.shape[mask.rank()-1] < g.k.seq {
			// What the mask lacks hides its keys.
			mask = b.fullMask(mask, ms, g)
			ms = maskStrides(mask.shape)
		}
	}
	r := attn.New(b.x.dev.table, b.x.dev.pool)
	a := &attn.Args{Heads: g.q.heads, KVHeads: g.k.heads, Tq: g.q.seq, Tk: g.k.seq, D: g.q.d, Dv: g.v.d,
		QRow: g.q.ss, QHead: g.q.hs, KRow: g.k.ss, KHead: g.k.hs, VRow: g.v.ss, VHead: g.v.hs, ORow: g.out.ss, OHead: g.out.hs,
		Scale: float32(g.scale), Causal: g.causal, Softcap: g.softcap, MaskRow: ms[2], MaskHead: ms[1]}
	scratch := b.temp(enc.F32, r.Scratch(a))
	q, k, v, out := g.q.t, g.k.t, g.v.t, g.out.t
	b.step(func() error {
		for i := range g.batch {
			a.Tk, a.Offset = g.k.seq, g.past
			if g.length != nil {
				n := of[int64](g.length)[i]
				if n < 0 || n > int64(g.k.seq) {
					return fmt.Errorf("%d valid keys of %d: %w", n, g.k.seq, errData)
				}
				a.Tk = int(n)
				a.Offset = int(n) - g.q.seq
			}
			a.Q, a.K, a.V, a.Out = of[float32](q)[i*g.q.batchStep:], of[float32](k)[i*g.k.batchStep:], of[float32](v)[i*g.v.batchStep:], of[float32](out)[i*g.out.batchStep:]
			if mask != nil {
				a.Mask = of[float32](mask)[i*ms[0]:]
			}
			a.Scratch = of[float32](scratch)
			if err := r.Run(a); err != nil {
				return err
			}
		}
		return nil
	})
	return nil
}

// maskStrides returns the element strides of a mask of 2 to 4 dimensions over
// [batch,heads,rows,columns]; 0 repeats.
func maskStrides(shape []int) [4]int {
	var st [4]int
	d := dense(shape)
	for i, n := range shape {
		if n != 1 {
			st[4-len(shape)+i] = d[i]
		}
	}
	return st
}

// floatMask returns the mask as float32 to be added: what is false is -Inf.
func (b *build) floatMask(m *tensor) (*tensor, error) {
	switch m.elem {
	case enc.F32:
		return m, nil
	case enc.Bool:
		f := b.temp(enc.F32, m.shape...)
		b.each(m.n, grain, func(lo, hi int) {
			dst, src := of[float32](f), of[bool](m)
			for i := lo; i < hi; i++ {
				dst[i] = 0
				if !src[i] {
					dst[i] = minusInf
				}
			}
		})
		return f, nil
	}
	return nil, fmt.Errorf("a mask of %s: %w", m.elem, driver.ErrUnsupported)
}

func (b *build) fullMask(m *tensor, st [4]int, g *geometry) *tensor {
	rows := 1
	if m.rank() >= 2 {
		rows = m.shape[m.rank()-2]
	}
	heads, batch := 1, 1
	if m.rank() >= 3 {
		heads = m.shape[m.rank()-3]
	}
	if m.rank() >= 4 {
		batch = m.shape[0]
	}
	cols := m.shape[m.rank()-1]
	full := b.temp(enc.F32, batch, heads, rows, g.k.seq)
	b.step(func() error {
		dst, src := of[float32](full), of[float32](m)
		at := 0
		for i := range batch {
			for h := range heads {
				for r := range rows {
					for k := range g.k.seq {
						dst[at] = minusInf
						if k < cols {
							dst[at] = src[i*st[0]+h*st[1]+r*st[2]+k*st[3]]
						}
						at++
					}
				}
			}
		}
		return nil
	})
	return full
}
