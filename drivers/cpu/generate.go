package cpu

import (
	"encoding/binary"
	"fmt"

	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/hal/driver"
	"github.com/heddle-ml/heddle/ops"
	"github.com/heddle-ml/heddle/ops/kern/half"
	"github.com/heddle-ml/heddle/ops/kern/vec"
)

func init() {
	register("Shape", lowering{elems: ops.All, raw: true, lower: func(b *build, c *call) error {
		in := c.in[0]
		bound := func(name string, def int64) int {
			p := int(c.Attrs.Int(name, def))
			if p < 0 {
				p += in.rank()
			}
			return max(0, min(in.rank(), p))
		}
		start, end := bound("start", 0), bound("end", int64(in.rank()))
		var data []byte
		for _, d := range in.shape[start:max(start, end)] {
			data = binary.LittleEndian.AppendUint64(data, uint64(d))
		}
		b.constant(c.out[0], data)
		return nil
	}})
	register("Size", lowering{elems: ops.All, raw: true, lower: func(b *build, c *call) error {
		b.constant(c.out[0], binary.LittleEndian.AppendUint64(nil, uint64(c.in[0].n)))
		return nil
	}})
	register("ConstantOfShape", lowering{elems: ops.All, lower: constantOfShape})
	register("Range", lowering{elems: ops.Floats | ops.Types(enc.I64, enc.I32, enc.I16), lower: rangeOp})
}

// constant gives a result bytes that are known already.
func (b *build) constant(out *tensor, data []byte) {
	data = aligned(data)
	if out.place == inArg {
		b.step(func() error {
			copy(out.bytes(), data)
			return nil
		})
		return
	}
	out.place, out.data, out.block = inConst, data, nil
}

// constantOfShape fills at run time: a constant would have to be kept.
func constantOfShape(b *build, c *call) error {
	out := c.out[0]
	value := make([]byte, 8)
	if t := c.Attrs.Tensor("value"); t != nil {
		copy(value, t.Data)
	}
	switch out.elem.Bits() {
	case 4:
		x := value[0]&15 | value[0]<<4
		b.step(func() error {
			vec.Fill(out.bytes(), x)
			return nil
		})
	case 8:
		fill(b, out, value[0])
	case 16:
		fill(b, out, binary.LittleEndian.Uint16(value))
	case 32:
		fill(b, out, binary.LittleEndian.Uint32(value))
	default:
		fill(b, out, binary.LittleEndian.Uint64(value))
	}
	return nil
}

func fill[T any](b *build, out *tensor, x T) {
	b.each(out.n, grain, func(lo, hi int) { vec.Fill(of[T](out)[lo:hi], x) })
}

// rangeOp computes start + i*delta in float64 or int64.
func rangeOp(b *build, c *call) error {
	start, delta, out := c.in[0], c.in[2], c.out[0]
	switch out.elem {
	case enc.F64:
		count[float64](b, out, start, delta)
	case enc.F32:
		count[float32](b, out, start, delta)
	case enc.I64:
		count[int64](b, out, start, delta)
	case enc.I32:
		count[int32](b, out, start, delta)
	case enc.I16:
		count[int16](b, out, start, delta)
	case enc.F16, enc.BF16:
		from, to := half.FromF16, half.F16From64
		if out.elem == enc.BF16 {
			from, to = half.FromBF16, half.BF16From64
		}
		first, step := float64(from(of[uint16](start)[0])), float64(from(of[uint16](delta)[0]))
		b.each(out.n, grain, func(lo, hi int) {
			dst := of[uint16](out)
			for i := lo; i < hi; i++ {
				dst[i] = to(first + float64(i)*step)
			}
		})
	default:
		return fmt.Errorf("a range of %s: %w", out.elem, driver.ErrUnsupported)
	}
	return nil
}

func count[T float64 | float32 | int64 | int32 | int16](b *build, out, start, delta *tensor) {
	first, step := of[T](start)[0], of[T](delta)[0]
	float := T(1)/2 != 0
	b.each(out.n, grain, func(lo, hi int) {
		dst := of[T](out)
		for i := lo; i < hi; i++ {
			if float {
				dst[i] = T(float64(first) + float64(i)*float64(step))
			} else {
				dst[i] = T(int64(first) + int64(i)*int64(step))
			}
		}
	})
}
