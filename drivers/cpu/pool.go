package cpu

import (
	"fmt"

	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/hal/driver"
	"github.com/heddle-ml/heddle/ops"
	"github.com/heddle-ml/heddle/ops/kern/conv"
	"github.com/heddle-ml/heddle/ops/kern/reduce"
	"github.com/heddle-ml/heddle/ops/kern/vec"
)

func init() {
	register("AveragePool", lowering{elems: ops.Floats, lower: widened(averagePool)})
	register("MaxPool", lowering{elems: ops.Floats | ops.Types(enc.I8, enc.U8), lower: widened(maxPool)})
	register("GlobalAveragePool", globalPool(folds{enc.F32: foldOf(reduce.Mean[float32]), enc.F64: foldOf(reduce.Mean[float64])}))
	register("GlobalMaxPool", globalPool(folds{enc.F32: foldOf(reduce.Max[float32]), enc.F64: foldOf(reduce.Max[float64])}))
}

// planes adds a step that runs f over ranges of the planes (channels of batch
// elements) of a result.
func (b *build) planes(s *conv.Shape, f func(lo, hi int) error) {
	b.each(s.Batch*s.Channels, 1, func(lo, hi int) {
		if err := f(lo, hi); err != nil {
			panic(err) // the geometry has been checked
		}
	})
}

func averagePool(b *build, c *call) error {
	x, y := c.in[0], c.out[0]
	s, err := window(c, x, y, nil)
	if err != nil {
		return err
	}
	s.Groups = s.Channels
	pads := c.Attrs.Int("count_include_pad", 0) != 0
	b.planes(&s, func(lo, hi int) error {
		if x.elem == enc.F64 {
			return conv.AveragePool(of[float64](y), of[float64](x), &s, pads, lo, hi)
		}
		return conv.AveragePool(of[float32](y), of[float32](x), &s, pads, lo, hi)
	})
	return nil
}

func maxPool(b *build, c *call) error {
	switch c.in[0].elem {
	case enc.F64:
		return maxPoolOf[float64](b, c)
	case enc.F32:
		return maxPoolOf[float32](b, c)
	case enc.I8:
		return maxPoolOf[int8](b, c)
	case enc.U8:
		return maxPoolOf[uint8](b, c)
	}
	return fmt.Errorf("MaxPool of %s: %w", c.in[0].elem, driver.ErrUnsupported)
}

func maxPoolOf[T vec.Number](b *build, c *call) error {
	x, y := c.in[0], c.out[0]
	s, err := window(c, x, y, nil)
	if err != nil {
		return err
	}
	s.Groups = s.Channels
	if len(c.out) < 2 || c.out[1] == nil {
		b.planes(&s, func(lo, hi int) error { return conv.MaxPool(of[T](y), of[T](x), &s, lo, hi) })
		return nil
	}
	where := c.out[1]
	columns := c.Attrs.Int("storage_order", 0) != 0
	b.planes(&s, func(lo, hi int) error {
		for p := lo; p < hi; p++ {
			maxPlane(of[T](y), of[T](x), of[int64](where), &s, p, columns)
		}
		return nil
	})
	return nil
}

// maxPlane pools a plane and notes where each maximum, the first of equal
// ones, lies in the whole tensor, counted with the last spatial axis innermost
// or, with columns, outermost. A NaN is larger than any number.
func maxPlane[T vec.Number](y, x []T, where []int64, s *conv.Shape, plane int, columns bool) {
	in, out := prod(s.In[:]), prod(s.Out[:])
	number := [3]int{s.In[1] * s.In[2], s.In[2], 1}
	if columns {
		number = [3]int{1, s.In[0], s.In[0] * s.In[1]}
	}
	src, base := x[plane*in:(plane+1)*in], plane*in
	for o := range out {
		at := [3]int{o / (s.Out[1] * s.Out[2]), o / s.Out[2] % s.Out[1], o % s.Out[2]}
		best, bestAt := vec.Lowest[T](), -1
		for k := range prod(s.Kernel[:]) {
			tap := [3]int{k / (s.Kernel[1] * s.Kernel[2]), k / s.Kernel[2] % s.Kernel[1], k % s.Kernel[2]}
			p, n, inside := 0, 0, true
			for a := range at {
				q := at[a]*s.Stride[a] + tap[a]*s.Dilate[a] - s.PadBegin[a]
				inside = inside && q >= 0 && q < s.In[a]
				p = p*s.In[a] + q
				n += q * number[a]
			}
			if !inside {
				continue
			}
			if v := src[p]; bestAt < 0 || v > best || v != v && best == best {
				best, bestAt = v, n
			}
		}
		y[plane*out+o], where[plane*out+o] = best, 0
		if bestAt >= 0 {
			where[plane*out+o] = int64(base + bestAt)
		}
	}
}

func globalPool(table folds) lowering {
	return lowering{elems: ops.Floats, lower: widened(func(b *build, c *call) error {
		in, out := c.in[0], c.out[0]
		b.folding(in.shape, 2, in.rank(), table[in.elem](out, in))
		return nil
	})}
}
