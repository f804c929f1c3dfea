package cpu

import (
	"fmt"
	"slices"

	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/hal/driver"
	"github.com/heddle-ml/heddle/ops"
	"github.com/heddle-ml/heddle/ops/kern/vec"
)

func init() {
	register("TopK", lowering{elems: ops.Numbers, lower: widened(topK)})
	register("CumSum", lowering{elems: reducible, lower: widened(cumSum)})
}

// topK sorts each row; of equal elements the first wins, and a NaN is larger
// than any number.
func topK(b *build, c *call) error {
	switch c.in[0].elem {
	case enc.F64:
		return topKOf[float64](b, c)
	case enc.F32:
		return topKOf[float32](b, c)
	case enc.I64:
		return topKOf[int64](b, c)
	case enc.I32:
		return topKOf[int32](b, c)
	case enc.I16:
		return topKOf[int16](b, c)
	case enc.I8:
		return topKOf[int8](b, c)
	case enc.U64:
		return topKOf[uint64](b, c)
	case enc.U32:
		return topKOf[uint32](b, c)
	case enc.U16:
		return topKOf[uint16](b, c)
	case enc.U8:
		return topKOf[uint8](b, c)
	}
	return fmt.Errorf("TopK of %s: %w", c.in[0].elem, driver.ErrUnsupported)
}

func topKOf[T vec.Number](b *build, c *call) error {
	in := c.in[0]
	var values, where *tensor
	values = c.out[0]
	if len(c.out) > 1 {
		where = c.out[1]
	}
	axis := axisOf(c, -1, in.rank())
	outer, n, inner := prod(in.shape[:axis]), in.shape[axis], prod(in.shape[axis+1:])
	k := 0
	for _, t := range []*tensor{values, where} {
		if t != nil {
			k = t.shape[axis]
		}
	}
	if k > n {
		return fmt.Errorf("the first %d of %d elements", k, n)
	}
	less := func(x, y T) bool { return x < y || x == x && y != y }
	before := less
	if c.Attrs.Int("largest", 1) != 0 {
		before = func(x, y T) bool { return less(y, x) }
	}
	workers := b.x.dev.pool.Workers()
	order := b.temp(enc.I64, workers, n)
	b.eachWorker(outer*inner, grain/16/max(1, n), func(w, lo, hi int) {
		src := of[T](in)
		at := of[int64](order)[w*n : (w+1)*n]
		for r := lo; r < hi; r++ {
			base := r/inner*n*inner + r%inner
			for i := range at {
				at[i] = int64(i)
			}
			slices.SortFunc(at, func(p, q int64) int {
				x, y := src[base+int(p)*inner], src[base+int(q)*inner]
				switch {
				case before(x, y):
					return -1
				case before(y, x):
					return 1
				}
				return int(p - q)
			})
			to := r/inner*k*inner + r%inner
			for i, p := range at[:k] {
				if values != nil {
					of[T](values)[to+i*inner] = src[base+int(p)*inner]
				}
				if where != nil {
					of[int64](where)[to+i*inner] = p
				}
			}
		}
	})
	return nil
}

// cumSum adds up along an axis; floats in float64.
func cumSum(b *build, c *call) error {
	switch c.in[0].elem {
	case enc.F64:
		return cumSumOf[float64, float64](b, c)
	case enc.F32:
		return cumSumOf[float32, float64](b, c)
	case enc.I64:
		return cumSumOf[int64, int64](b, c)
	case enc.I32:
		return cumSumOf[int32, int32](b, c)
	case enc.U64:
		return cumSumOf[uint64, uint64](b, c)
	case enc.U32:
		return cumSumOf[uint32, uint32](b, c)
	}
	return fmt.Errorf("CumSum of %s: %w", c.in[0].elem, driver.ErrUnsupported)
}

func cumSumOf[T, S vec.Number](b *build, c *call) error {
	in, out := c.in[0], c.out[0]
	at, err := b.constInts(c.in[1])
	if err != nil {
		return err
	}
	axis := at[0]
	if axis < 0 {
		axis += in.rank()
	}
	outer, n, inner := prod(in.shape[:axis]), in.shape[axis], prod(in.shape[axis+1:])
	exclusive, reverse := c.Attrs.Int("exclusive", 0) != 0, c.Attrs.Int("reverse", 0) != 0
	b.each(outer*inner, grain/max(1, n), func(lo, hi int) {
		dst, src := of[T](out), of[T](in)
		for r := lo; r < hi; r++ {
			at, step := r/inner*n*inner+r%inner, inner
			if reverse {
				at, step = at+(n-1)*inner, -inner
			}
			var sum S
			for range n {
				if !exclusive {
					sum += S(src[at])
				}
				x := S(src[at])
				dst[at] = T(sum)
				if exclusive {
					sum += x
				}
				at += step
			}
		}
	})
	return nil
}
