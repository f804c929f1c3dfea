package cpu

import (
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/ops"
	"github.com/heddle-ml/heddle/ops/kern/quant"
)

const halves = ops.TypeSet(1<<enc.F16 | 1<<enc.BF16)

func isHalf(t *tensor) bool { return t != nil && halves.Has(t.elem) }

// adapted runs a lowering on replacements of those operands and results that
// in and out give one for (nil for those that stay), and finally stores each
// replaced result.
func adapted(b *build, c *call, low func(b *build, c *call) error, in func(i int, t *tensor) (*tensor, error), out func(t *tensor) *tensor, store func(t, from *tensor)) error {
	d := *c
	d.in, d.out = append([]*tensor(nil), c.in...), append([]*tensor(nil), c.out...)
	for i, t := range c.in {
		if t == nil {
			continue
		}
		u, err := in(i, t)
		if err != nil {
			return err
		}
		if u != nil {
			d.in[i] = u
		}
	}
	for i, t := range c.out {
		if t == nil {
			continue
		}
		if u := out(t); u != nil {
			d.out[i] = u
		}
	}
	if err := low(b, &d); err != nil {
		return err
	}
	for i, t := range c.out {
		if t != d.out[i] {
			store(t, d.out[i])
		}
	}
	return nil
}

// widened lets a lowering for f32 and f64 serve f16 and bf16: operands are
// widened, and results rounded once, at the end. Where one operand is f64, all
// floats become that.
func widened(low func(b *build, c *call) error) func(b *build, c *call) error {
	return func(b *build, c *call) error {
		work := enc.F32
		for _, t := range c.in {
			if t != nil && t.elem == enc.F64 {
				work = enc.F64
			}
		}
		needs := func(t *tensor) bool { return t.elem.IsFloat() && t.elem != work }
		return adapted(b, c, low,
			func(_ int, t *tensor) (*tensor, error) {
				if !needs(t) {
					return nil, nil
				}
				return b.converted(t, work)
			},
			func(t *tensor) *tensor {
				if !needs(t) {
					return nil
				}
				return b.temp(work, t.shape...)
			},
			b.cast)
	}
}

// converted returns a tensor in another floating-point type: a constant is
// converted now, anything else by a step.
func (b *build) converted(t *tensor, to enc.Elem) (*tensor, error) {
	if t.place != inConst {
		u := b.temp(to, t.shape...)
		b.cast(u, t)
		return u, nil
	}
	u := &tensor{elem: to, enc: t.enc, shape: t.shape, n: t.n, place: inConst, value: t.value, state: -1, mem: b.mem}
	if t.data != nil || to != enc.F32 { // else the lowering may want it packed
		if err := b.plainConst(t); err != nil {
			return nil, err
		}
		u.data, u.enc = alignedBytes(t.n*to.Bits()/8), enc.Encoding{}
		cast(u.data, to, t.data, t.elem, 0, t.n)
	}
	return u, nil
}

// unpacked lets a lowering for i8 and u8 serve i4 and u4, which are stored two
// to a byte.
func unpacked(low func(b *build, c *call) error) func(b *build, c *call) error {
	return func(b *build, c *call) error {
		nibble := func(t *tensor) bool { return t.elem.Bits() == 4 }
		whole := func(t *tensor) *tensor {
			if !nibble(t) {
				return nil
			}
			return b.temp(wholeOf(t.elem), t.shape...)
		}
		return adapted(b, c, low,
			func(_ int, t *tensor) (*tensor, error) {
				u := whole(t)
				if u != nil {
					b.unpack(u, t)
				}
				return u, nil
			}, whole, b.pack)
	}
}

// wholeOf returns the type of one byte that holds a nibble type's values.
func wholeOf(e enc.Elem) enc.Elem {
	switch e {
	case enc.I4:
		return enc.I8
	case enc.U4:
		return enc.U8
	}
	return e
}

// unpack adds a step that spreads 4-bit elements over bytes.
func (b *build) unpack(whole, packed *tensor) {
	b.step(func() error {
		if packed.elem == enc.I4 {
			quant.UnpackNibbles(of[int8](whole), packed.bytes())
		} else {
			quant.UnpackNibbles(of[uint8](whole), packed.bytes())
		}
		return nil
	})
}

// pack adds a step that does the opposite of unpack.
func (b *build) pack(packed, whole *tensor) {
	b.step(func() error {
		if packed.elem == enc.I4 {
			quant.PackNibbles(packed.bytes(), of[int8](whole))
		} else {
			quant.PackNibbles(packed.bytes(), of[uint8](whole))
		}
		return nil
	})
}
