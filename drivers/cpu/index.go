package cpu

import (
	"fmt"

	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/hal/driver"
	"github.com/heddle-ml/heddle/ops/kern/vec"
)

func init() {
	register("GatherElements", lowering{elems: movable, lower: func(b *build, c *call) error {
		return b.elementwiseMoves(c, c.in[1], c.in[0].shape, func(size int) (func(i, j int), error) {
			return mover(size, c.out[0], c.in[0], false)
		})
	}})
	register("GatherND", lowering{elems: movable, lower: gatherND})
	register("ScatterElements", lowering{elems: movable, lower: reduced(func(b *build, c *call, combine func(size int) (func(i, j int), error)) error {
		return b.elementwiseMoves(c, c.in[1], c.out[0].shape, combine)
	})})
	register("ScatterND", lowering{elems: movable, lower: reduced(scatterND)})
}

// indices returns a function that reads element i of a tensor of indices.
func indices(t *tensor) func(i int) int64 {
	if t.elem == enc.I32 {
		return func(i int) int64 { return int64(of[int32](t)[i]) }
	}
	return func(i int) int64 { return of[int64](t)[i] }
}

// inside normalises an index, which may count from the end.
func inside(p int64, n int) (int, error) {
	if p < -int64(n) || p >= int64(n) {
		return 0, fmt.Errorf("index %d of a dimension of %d: %w", p, n, errData)
	}
	if p < 0 {
		p += int64(n)
	}
	return int(p), nil
}

// mover returns a function that copies an element: element j of from becomes
// element i of to or, for scattering, element i of from becomes j of to.
func mover(bits int, to, from *tensor, scatter bool) (func(i, j int), error) {
	switch bits {
	case 8:
		return moverOf[uint8](to, from, scatter), nil
	case 16:
		return moverOf[uint16](to, from, scatter), nil
	case 32:
		return moverOf[uint32](to, from, scatter), nil
	case 64:
		return moverOf[uint64](to, from, scatter), nil
	}
	return nil, fmt.Errorf("elements of %d bits: %w", bits, driver.ErrUnsupported)
}

func moverOf[T any](to, from *tensor, scatter bool) func(i, j int) {
	if scatter {
		return func(i, j int) { of[T](to)[j] = of[T](from)[i] }
	}
	return func(i, j int) { of[T](to)[i] = of[T](from)[j] }
}

// elementwiseMoves adds a step that visits each element i of a tensor of
// indices with the element j that it selects in a tensor of the given shape:
// the same position, moved along an axis. All indices are checked first.
func (b *build) elementwiseMoves(c *call, idx *tensor, shape []int, visitor func(bits int) (func(i, j int), error)) error {
	visit, err := visitor(c.out[0].elem.Bits())
	if err != nil {
		return err
	}
	axis := axisOf(c, 0, len(shape))
	st := dense(shape)
	read := indices(idx)
	n := idx.n
	b.step(func() error {
		for i := range n {
			if _, err := inside(read(i), shape[axis]); err != nil {
				return err
			}
		}
		for i := range n {
			j, rest := 0, i
			for a := len(shape) - 1; a >= 0; a-- {
				k := rest % idx.shape[a]
				rest /= idx.shape[a]
				if a == axis {
					k, _ = inside(read(i), shape[axis])
				}
				j += k * st[a]
			}
			visit(i, j)
		}
		return nil
	})
	return nil
}

// slices adds a step that visits the slices of a tensor that tuples of
// indices select: k is the tuple's number, at where the slice starts. The
// first batch dimensions of both go together. All tuples are checked first.
func (b *build) slices(idx *tensor, shape []int, batch int, visit func(k, at int)) {
	depth := idx.shape[idx.rank()-1]
	st := dense(shape)
	count := prod(idx.shape[:idx.rank()-1])
	per := max(1, prod(idx.shape[batch:idx.rank()-1]))
	whole := prod(shape[batch:])
	starts := b.temp(enc.I64, count)
	b.step(func() error {
		at, src := of[int64](starts), of[int64](idx)
		for k := range at {
			start := k / per * whole
			for d := range depth {
				p, err := inside(src[k*depth+d], shape[batch+d])
				if err != nil {
					return err
				}
				start += p * st[batch+d]
			}
			at[k] = int64(start)
		}
		for k, s := range at {
			visit(k, int(s))
		}
		return nil
	})
}

func gatherND(b *build, c *call) error {
	in, idx, out := c.in[0], c.in[1], c.out[0]
	batch := int(c.Attrs.Int("batch_dims", 0))
	width := prod(in.shape[batch+idx.shape[idx.rank()-1]:]) * in.elem.Bits() / 8
	size := in.elem.Bits() / 8
	b.slices(idx, in.shape, batch, func(k, at int) {
		copy(out.bytes()[k*width:(k+1)*width], in.bytes()[at*size:])
	})
	return nil
}

// reduced is a scattering of updates (input 2) onto a copy of the data, which
// replaces elements or combines them by attribute reduction.
func reduced(scatter func(b *build, c *call, combine func(bits int) (func(i, j int), error)) error) func(b *build, c *call) error {
	return func(b *build, c *call) error {
		how := c.Attrs.Str("reduction", "none")
		if how == "none" {
			b.copy(c.out[0], c.in[0])
			return scatter(b, c, func(bits int) (func(i, j int), error) { return mover(bits, c.out[0], c.in[2], true) })
		}
		return widened(func(b *build, c *call) error {
			out, upd := c.out[0], c.in[2]
			b.copy(out, c.in[0])
			f := map[enc.Elem]func(out, upd *tensor, how string) func(i, j int){
				enc.F64: combineOf[float64], enc.F32: combineOf[float32],
				enc.I64: combineOf[int64], enc.I32: combineOf[int32], enc.I16: combineOf[int16], enc.I8: combineOf[int8],
				enc.U64: combineOf[uint64], enc.U32: combineOf[uint32], enc.U16: combineOf[uint16], enc.U8: combineOf[uint8],
			}[out.elem]
			if f == nil {
				return fmt.Errorf("reduction %q of %s: %w", how, out.elem, driver.ErrUnsupported)
			}
			return scatter(b, c, func(int) (func(i, j int), error) { return f(out, upd, how), nil })
		})(b, c)
	}
}

func combineOf[T vec.Number](out, upd *tensor, how string) func(i, j int) {
	f := map[string]func(x, y T) T{
		"add": func(x, y T) T { return x + y }, "mul": func(x, y T) T { return x * y },
		"max": func(x, y T) T { return max(x, y) }, "min": func(x, y T) T { return min(x, y) },
	}[how]
	return func(i, j int) { of[T](out)[j] = f(of[T](out)[j], of[T](upd)[i]) }
}

func scatterND(b *build, c *call, combine func(bits int) (func(i, j int), error)) error {
	idx, out := c.in[1], c.out[0]
	visit, err := combine(out.elem.Bits())
	if err != nil {
		return err
	}
	width := prod(out.shape[idx.shape[idx.rank()-1]:])
	b.slices(idx, out.shape, 0, func(k, at int) {
		for i := range width {
			visit(k*width+i, at+i)
		}
	})
	return nil
}
