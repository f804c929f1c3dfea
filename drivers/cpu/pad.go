package cpu

import (
	"fmt"

	"github.com/heddle-ml/heddle/hal/driver"
)

// pad implements Pad in all modes. Elements are moved by value, so one code
// serves all types of a size.
func pad(b *build, c *call) error {
	in, out := c.in[0], c.out[0]
	pads, err := b.constInts(c.in[1])
	if err != nil {
		return err
	}
	axes, err := b.constInts(c.input(3))
	if err != nil {
		return err
	}
	before := make([]int, in.rank())
	n := len(pads) / 2
	for i := range n {
		a := i
		if axes != nil {
			if a = axes[i]; a < 0 {
				a += in.rank()
			}
		}
		before[a] = pads[i]
	}
	mode := c.Attrs.Str("mode", "constant")
	value := c.input(2)
	// source maps an output index along an axis to an input index, -1 for the
	// constant. It is worked out once.
	source := make([][]int, in.rank())
	for a := range source {
		source[a] = make([]int, out.shape[a])
		for i := range source[a] {
			k, err := padIndex(i-before[a], in.shape[a], mode)
			if err != nil {
				return err
			}
			source[a][i] = k
		}
	}
	switch out.elem.Bits() {
	case 8:
		padStep[uint8](b, out, in, value, source)
	case 16:
		padStep[uint16](b, out, in, value, source)
	case 32:
		padStep[uint32](b, out, in, value, source)
	case 64:
		padStep[uint64](b, out, in, value, source)
	default:
		return fmt.Errorf("Pad of %s: %w", out.elem, driver.ErrUnsupported)
	}
	return nil
}

func padIndex(k, n int, mode string) (int, error) {
	if k >= 0 && k < n {
		return k, nil
	}
	switch mode {
	case "constant":
		return -1, nil
	case "edge":
		return min(max(k, 0), n-1), nil
	case "reflect":
		if n == 1 {
			return 0, nil
		}
		period := 2 * (n - 1)
		k = ((k % period) + period) % period
		return min(k, period-k), nil
	case "wrap":
		return ((k % n) + n) % n, nil
	}
	return 0, fmt.Errorf("pad mode %q: %w", mode, driver.ErrUnsupported)
}

func padStep[T any](b *build, out, in, value *tensor, source [][]int) {
	rank := len(source)
	if rank == 0 {
		b.copy(out, in)
		return
	}
	inner := out.shape[rank-1]
	if inner == 0 {
		return
	}
	st := dense(in.shape)
	b.each(out.n/inner, grain/inner/2, func(lo, hi int) {
		var zero T
		if value != nil {
			zero = of[T](value)[0]
		}
		dst, src := of[T](out), of[T](in)
		for r := lo; r < hi; r++ {
			at, rest, outside := 0, r, false
			for a := rank - 2; a >= 0; a-- {
				k := source[a][rest%out.shape[a]]
				rest /= out.shape[a]
				outside = outside || k < 0
				at += k * st[a]
			}
			row := dst[r*inner : (r+1)*inner]
			for i := range row {
				if k := source[rank-1][i]; outside || k < 0 {
					row[i] = zero
				} else {
					row[i] = src[at+k]
				}
			}
		}
	})
}
