package cpu

import (
	"fmt"

	"github.com/heddle-ml/heddle/hal/driver"
	"github.com/heddle-ml/heddle/ops"
)

func init() {
	register("Pad", lowering{elems: ops.All, lower: unpacked(pad)})
}

// pad implements Pad in all modes. Elements are moved by value, so one code
// serves all types of a size.
func pad(b *build, c *call) error {
	in, out := c.in[0], c.out[0]
	before, err := b.padding(c)
	if err != nil {
		return err
	}
	mode := c.Attrs.Str("mode", "constant")
	if mode == "constant" {
		return b.padConstant(out, in, c.input(2), before)
	}
	index := map[string]func(k, n int) int{"edge": edge, "reflect": reflect, "wrap": wrap}[mode]
	if index == nil {
		return fmt.Errorf("pad mode %q: %w", mode, driver.ErrUnsupported)
	}
	if in.n == 0 {
		return fmt.Errorf("an operand without elements has nothing to pad with in mode %q", mode)
	}
	switch out.elem.Bits() {
	case 8:
		padWith[uint8](b, out, in, before, index)
	case 16:
		padWith[uint16](b, out, in, before, index)
	case 32:
		padWith[uint32](b, out, in, before, index)
	case 64:
		padWith[uint64](b, out, in, before, index)
	default:
		return fmt.Errorf("no kernel for Pad of %s: %w", out.elem, driver.ErrUnsupported)
	}
	return nil
}

// padding returns how many elements each axis gets in front.
func (b *build) padding(c *call) ([]int, error) {
	rank := c.in[0].rank()
	pads, err := b.constInts(c.in[1])
	if err != nil {
		return nil, err
	}
	axes, err := b.constInts(c.input(3))
	if err != nil {
		return nil, err
	}
	before := make([]int, rank)
	for i := range len(pads) / 2 {
		a := i
		if axes != nil {
			if a = axes[i]; a < 0 {
				a += rank
			}
		}
		before[a] = pads[i]
	}
	return before, nil
}

// padConstant fills the result and copies what of the operand is in it.
func (b *build) padConstant(out, in, value *tensor, before []int) error {
	switch out.elem.Bits() {
	case 8:
		fillWith[uint8](b, out, value)
	case 16:
		fillWith[uint16](b, out, value)
	case 32:
		fillWith[uint32](b, out, value)
	case 64:
		fillWith[uint64](b, out, value)
	default:
		return fmt.Errorf("no kernel for Pad of %s: %w", out.elem, driver.ErrUnsupported)
	}
	from, to := dense(in.shape), dense(out.shape)
	inAt, outAt := 0, 0
	shape := make([]int, len(before))
	for a, p := range before {
		first := max(0, -p) // of the operand that is kept
		shape[a] = min(in.shape[a]-first, out.shape[a]-max(0, p))
		if shape[a] <= 0 {
			return nil
		}
		inAt += first * from[a]
		outAt += max(0, p) * to[a]
	}
	return b.strided(out, outAt, to, in, inAt, from, shape)
}

func fillWith[T any](b *build, out, value *tensor) {
	b.each(out.n, grain, func(lo, hi int) {
		var x T
		if value != nil {
			x = of[T](value)[0]
		}
		dst := of[T](out)[lo:hi]
		for i := range dst {
			dst[i] = x
		}
	})
}

// edge, reflect and wrap map position k, which may lie outside of a dimension
// of n, to one inside.
func edge(k, n int) int { return min(max(k, 0), n-1) }

func wrap(k, n int) int { return ((k % n) + n) % n }

func reflect(k, n int) int {
	if n == 1 {
		return 0
	}
	k = wrap(k, 2*(n-1))
	return min(k, 2*(n-1)-k)
}

func padWith[T any](b *build, out, in *tensor, before []int, index func(k, n int) int) {
	rank := len(before)
	if rank == 0 {
		b.copy(out, in)
		return
	}
	inner, width := out.shape[rank-1], in.shape[rank-1]
	st := dense(in.shape)
	b.each(out.n/inner, grain/inner/2, func(lo, hi int) {
		dst, src := of[T](out), of[T](in)
		for r := lo; r < hi; r++ {
			at, rest := 0, r
			for a := rank - 2; a >= 0; a-- {
				at += index(rest%out.shape[a]-before[a], in.shape[a]) * st[a]
				rest /= out.shape[a]
			}
			row := dst[r*inner : (r+1)*inner]
			for i := range row {
				k := i - before[rank-1]
				if k < 0 || k >= width {
					k = index(k, width)
				}
				row[i] = src[at+k]
			}
		}
	})
}
