package cpu

import (
	"fmt"

	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/hal/driver"
	"github.com/heddle-ml/heddle/ops"
	"github.com/heddle-ml/heddle/ops/kern/vec"
)

func init() {
	register("Where", lowering{lower: where, elems: ops.Bools})
}

// where selects by element size: Where moves values and computes nothing.
func where(b *build, c *call) error {
	switch c.out[0].elem.Bits() {
	case 8:
		return whereOf[uint8](b, c)
	case 16:
		return whereOf[uint16](b, c)
	case 32:
		return whereOf[uint32](b, c)
	case 64:
		return whereOf[uint64](b, c)
	}
	return fmt.Errorf("no kernel for Where of %s: %w", c.out[0].elem, driver.ErrUnsupported)
}

func whereOf[T any](b *build, c *call) error {
	cond, x, y, out := c.in[0], c.in[1], c.in[2], c.out[0]
	// Three operands: the condition is spelled out unless it has the result's
	// shape or repeats along with whole rows.
	full := cond
	if cond.n != out.n {
		full = b.temp(enc.Bool, out.shape...)
		b.broadcast2(full, cond, cond, func(d, i, si, _, _, n int) {
			fillRow(of[bool](full)[d:d+n], of[bool](cond), i, si)
		})
	}
	b.broadcast2(out, x, y, func(d, i, si, j, sj, n int) {
		vec.Where(of[T](out)[d:d+n], of[bool](full)[d:d+n], of[T](x)[i:i+1+si*(n-1)], of[T](y)[j:j+1+sj*(n-1)])
	})
	return nil
}
