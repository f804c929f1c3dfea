package move

import "fmt"

// MaxRank is the largest number of dimensions Copy takes.
const MaxRank = 8

// Copy copies a block of the given shape. Element (i, j, ...) moves from
// src[i*srcStride[0]+j*srcStride[1]+...] to dst[i*dstStride[0]+...]. Strides
// count elements and may be negative or, in the source, 0; the slices start at
// element (0, 0, ...) less whatever srcAt and dstAt say.
//
// So a permutation permutes the source's strides, a slice has larger ones, an
// expansion has zeros, a concatenation is one Copy per operand.
func Copy[T any](dst []T, dstAt int, dstStride []int, src []T, srcAt int, srcStride []int, shape []int) error {
	if len(shape) > MaxRank || len(dstStride) != len(shape) || len(srcStride) != len(shape) {
		return fmt.Errorf("move: copy of rank %d with %d and %d strides: ranks must agree and be at most %d", len(shape), len(dstStride), len(srcStride), MaxRank)
	}
	if err := within("source", len(src), srcAt, srcStride, shape); err != nil {
		return err
	}
	if err := within("destination", len(dst), dstAt, dstStride, shape); err != nil {
		return err
	}
	c := copier[T]{dst: dst, src: src}
	for i, n := range shape {
		if n == 0 {
			return nil
		}
		if n > 1 {
			if dstStride[i] == 0 {
				return fmt.Errorf("move: %d elements of shape %v would land on one: destination strides %v", n, shape, dstStride)
			}
			c.push(axis{n, dstStride[i], srcStride[i]})
		}
	}
	c.run(0, dstAt, srcAt)
	return nil
}

// within reports whether every element of the block lies within n elements.
func within(what string, n, at int, stride, shape []int) error {
	for _, d := range shape {
		if d < 0 {
			return fmt.Errorf("move: negative dimension in %v", shape)
		}
		if d == 0 {
			return nil
		}
	}
	lo, hi := at, at
	for i, d := range shape {
		s := stride[i]
		if d == 1 || s == 0 || at < 0 || at >= n {
			continue
		}
		if far := (n - 1) / (d - 1); s > far || s < -far { // also keeps the sums from overflowing
			return fmt.Errorf("move: %s of %d elements is too short for shape %v, strides %v", what, n, shape, stride)
		}
		if s > 0 {
			hi += (d - 1) * s
		} else {
			lo += (d - 1) * s
		}
	}
	if lo < 0 || hi >= n {
		return fmt.Errorf("move: %s of %d elements does not hold shape %v, strides %v from %d", what, n, shape, stride, at)
	}
	return nil
}

type axis struct{ n, dst, src int }

// copier walks the axes, the outermost first.
type copier[T any] struct {
	dst, src []T
	axes     [MaxRank]axis
	rank     int
}

// push adds an inner axis, merged with the one before where both sides allow.
func (c *copier[T]) push(a axis) {
	if c.rank > 0 {
		if o := &c.axes[c.rank-1]; o.dst == a.n*a.dst && o.src == a.n*a.src {
			*o = axis{o.n * a.n, a.dst, a.src}
			return
		}
	}
	c.axes[c.rank] = a
	c.rank++
}

func (c *copier[T]) run(depth, d, s int) {
	switch c.rank - depth {
	case 0:
		c.dst[d] = c.src[s]
	case 1:
		c.line(c.axes[depth], d, s)
	case 2:
		c.plane(c.axes[depth], c.axes[depth+1], d, s)
	default:
		a := c.axes[depth]
		for range a.n {
			c.run(depth+1, d, s)
			d += a.dst
			s += a.src
		}
	}
}

func (c *copier[T]) line(a axis, d, s int) {
	switch {
	case a.dst == 1 && a.src == 1:
		copy(c.dst[d:d+a.n], c.src[s:s+a.n])
	case a.dst == 1:
		out := c.dst[d : d+a.n]
		for i := range out {
			out[i] = c.src[s]
			s += a.src
		}
	default:
		for range a.n {
			c.dst[d] = c.src[s]
			d += a.dst
			s += a.src
		}
	}
}

// block is the side of the squares in which a plane is transposed: 32 lines of
// 64 bytes on each side stay in the first-level cache.
const block = 32

// plane copies the two innermost axes. Where the source runs along the outer
// one, it goes by squares, so that no cache line is fetched once per element.
func (c *copier[T]) plane(outer, inner axis, d, s int) {
	if inner.src == 1 || inner.src == 0 || outer.src != 1 {
		for range outer.n {
			c.line(inner, d, s)
			d += outer.dst
			s += outer.src
		}
		return
	}
	for i := 0; i < outer.n; i += block {
		rows := min(block, outer.n-i)
		for j := 0; j < inner.n; j += block {
			sub := axis{min(block, inner.n-j), inner.dst, inner.src}
			for r := i; r < i+rows; r++ {
				c.line(sub, d+r*outer.dst+j*inner.dst, s+r+j*inner.src)
			}
		}
	}
}

// Index constrains the types of index tensors.
type Index interface{ int32 | int64 }

// Gather copies rows of width elements: row i of dst is row idx[i] of src, for
// every i < len(idx). src has rows rows; a negative index counts from the end.
// It fails on an index out of range, before anything is copied.
func Gather[T any, I Index](dst, src []T, idx []I, rows, width int) error {
	if err := checkIndex(idx, rows); err != nil {
		return err
	}
	if rows < 0 || width < 0 || width > 0 && (len(src)/width < rows || len(dst)/width < len(idx)) {
		return fmt.Errorf("move: gather of %d rows from %d, %d wide, does not fit %d and %d elements", len(idx), rows, width, len(dst), len(src))
	}
	for i, at := range idx {
		r := int(at)
		if r < 0 {
			r += rows
		}
		copy(dst[i*width:(i+1)*width], src[r*width:])
	}
	return nil
}

// GatherElements picks along the middle axis of [outer, n, inner]:
// dst[o,j,i] = src[o, idx[o,j,i], i], with dst and idx of shape
// [outer, m, inner]. A negative index counts from the end; one out of range is
// an error, before anything is copied.
func GatherElements[T any, I Index](dst, src []T, idx []I, outer, n, m, inner int) error {
	if min(outer, n, m, inner) < 0 || len(dst) != len(idx) || len(dst) != outer*m*inner || len(src) < outer*n*inner {
		return fmt.Errorf("move: gathering elements %dx%dx%d from %dx%dx%d does not fit %d, %d and %d elements", outer, m, inner, outer, n, inner, len(dst), len(idx), len(src))
	}
	if err := checkIndex(idx, n); err != nil {
		return err
	}
	at := 0
	for o := range outer {
		for range m {
			for i := range inner {
				r := int(idx[at])
				if r < 0 {
					r += n
				}
				dst[at] = src[(o*n+r)*inner+i]
				at++
			}
		}
	}
	return nil
}

func checkIndex[I Index](idx []I, rows int) error {
	for i, at := range idx {
		if int64(at) < -int64(rows) || int64(at) >= int64(rows) {
			return fmt.Errorf("move: index %d at position %d is out of range for %d rows", at, i, rows)
		}
	}
	return nil
}
