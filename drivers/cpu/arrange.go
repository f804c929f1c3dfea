package cpu

import (
	"fmt"

	"github.com/heddle-ml/heddle/hal/driver"
)

func init() {
	register("DepthToSpace", lowering{elems: movable, lower: func(b *build, c *call) error {
		// Depth is [block,block,channels], or [channels,block,block] in mode CRD;
		// strides over depth, then over the rows and columns of the result.
		in, out := c.in[0], c.out[0]
		block := int(c.Attrs.Int("blocksize", 1))
		from, to := dense(in.shape), dense(out.shape)
		channels := out.shape[1]
		rows, cols, depth := block*channels*from[1], channels*from[1], from[1]
		if c.Attrs.Str("mode", "DCR") == "CRD" {
			rows, cols, depth = block*from[1], from[1], block*block*from[1]
		}
		return b.strided(out, 0, []int{to[0], to[1], block * to[2], to[2], block * to[3], to[3]},
			in, 0, []int{from[0], depth, from[2], rows, from[3], cols},
			[]int{in.shape[0], channels, in.shape[2], block, in.shape[3], block})
	}})
	register("SpaceToDepth", lowering{elems: movable, lower: func(b *build, c *call) error {
		in, out := c.in[0], c.out[0]
		block := int(c.Attrs.Int("blocksize", 1))
		from, to := dense(in.shape), dense(out.shape)
		channels := in.shape[1]
		return b.strided(out, 0, []int{to[0], block * channels * to[1], channels * to[1], to[1], to[2], to[3]},
			in, 0, []int{from[0], from[2], from[3], from[1], block * from[2], block * from[3]},
			[]int{in.shape[0], block, block, channels, out.shape[2], out.shape[3]})
	}})
	register("Trilu", lowering{elems: movable, lower: func(b *build, c *call) error {
		k := 0
		if at, err := b.constInts(c.input(1)); err != nil {
			return err
		} else if len(at) > 0 {
			k = at[0]
		}
		upper := c.Attrs.Int("upper", 1) != 0
		switch in, out := c.in[0], c.out[0]; out.elem.Bits() {
		case 8:
			triangle[uint8](b, out, in, k, upper)
		case 16:
			triangle[uint16](b, out, in, k, upper)
		case 32:
			triangle[uint32](b, out, in, k, upper)
		case 64:
			triangle[uint64](b, out, in, k, upper)
		default:
			return fmt.Errorf("no kernel for Trilu of %s: %w", out.elem, driver.ErrUnsupported)
		}
		return nil
	}})
}

// triangle keeps what lies on or above the k-th diagonal of each matrix, or on
// or below it. Zero is all bits zero in every type.
func triangle[T uint8 | uint16 | uint32 | uint64](b *build, out, in *tensor, k int, upper bool) {
	rows, cols := in.shape[in.rank()-2], in.shape[in.rank()-1]
	b.each(in.n/cols, grain/cols, func(lo, hi int) {
		for r := lo; r < hi; r++ {
			dst, src := of[T](out)[r*cols:(r+1)*cols], of[T](in)[r*cols:(r+1)*cols]
			first, end := 0, cols // what is kept
			// No sum that may overflow: k is anything.
			switch row := r % rows; {
			case upper && k > cols-1-row:
				first = cols
			case upper:
				first = max(0, row+max(k, -rows))
			case k < -row:
				end = 0
			default:
				end = min(cols, row+min(k, cols)+1)
			}
			clear(dst)
			copy(dst[first:end], src[first:end])
		}
	})
}
