package cpu

import (
	"fmt"
	"math"

	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/hal/driver"
	"github.com/heddle-ml/heddle/ops"
	"github.com/heddle-ml/heddle/ops/kern/vec"
)

func init() {
	register("QuantizeLinear", lowering{elems: ops.Types(enc.F32, enc.F16, enc.BF16, enc.I32), lower: quantizeLinear})
	register("DequantizeLinear", lowering{elems: ops.Types(enc.I32, enc.I16, enc.I8, enc.I4, enc.U16, enc.U8, enc.U4), lower: dequantizeLinear})
	register("DynamicQuantizeLinear", lowering{elems: ops.Types(enc.F32), lower: dynamicQuantize})
}

// grid says which scale belongs to an element: those of [outer,axis,inner] have
// the scale [outer,axis/block,inner], or one for each index of the axis, or one
// for all.
type grid struct {
	axis, inner   int
	block, blocks int // block is 0 for one scale for each index
	one           bool
}

// runs calls f with the elements lo..hi cut into runs of one scale.
func (g *grid) runs(lo, hi int, f func(lo, hi, scale int)) {
	if g.one {
		f(lo, hi, 0)
		return
	}
	for lo < hi {
		o, a, i := lo/(g.axis*g.inner), lo/g.inner%g.axis, lo%g.inner
		var scale, n int
		switch {
		case g.block == 0:
			scale, n = a, g.inner-i
		case g.inner == 1:
			scale, n = o*g.blocks+a/g.block, min(g.block-a%g.block, g.axis-a)
		default:
			scale, n = (o*g.blocks+a/g.block)*g.inner+i, 1
		}
		n = min(n, hi-lo)
		f(lo, lo+n, scale)
		lo += n
	}
}

// gridOf reads the geometry of QuantizeLinear and DequantizeLinear.
func gridOf(c *call) *grid {
	x, scale := c.in[0], c.in[1]
	block := int(c.Attrs.Int("block_size", 0))
	if scale.n == 1 && (block == 0 || scale.rank() == 0) {
		return &grid{one: true}
	}
	axis := axisOf(c, 1, x.rank())
	if x.rank() == 1 {
		axis = 0
	}
	g := &grid{axis: x.shape[axis], inner: prod(x.shape[axis+1:]), block: block}
	if block > 0 {
		g.blocks = (g.axis + block - 1) / block
	}
	return g
}

// quantizeLinear rounds the quotient to the type of the scales, or to
// attribute precision, before it rounds to an integer: ONNX prescribes it, and
// it decides ties.
func quantizeLinear(b *build, c *call) error {
	g := gridOf(c)
	round := rounding(c.Attrs.Elem("precision", c.in[1].elem))
	return unpacked(func(b *build, c *call) error {
		x, err := b.reals(c.in[0])
		if err != nil {
			return err
		}
		scale, err := b.reals(c.in[1])
		if err != nil {
			return err
		}
		zero, out := c.input(2), c.out[0]
		lo, hi := codeRange(b.g.Values[c.Out[0]].Type.Elem)
		f := map[enc.Elem]func(b *build, out, x, scale, zero *tensor, g *grid, lo, hi float64, round func(float64) float64){
			enc.I16: quantize[int16], enc.U16: quantize[uint16], enc.I8: quantize[int8], enc.U8: quantize[uint8],
		}[out.elem]
		if f == nil {
			return fmt.Errorf("codes of %s: %w", out.elem, driver.ErrUnsupported)
		}
		f(b, out, x, scale, zero, g, lo, hi, round)
		return nil
	})(b, c)
}

// reals returns a tensor in float64 if it is i32, else in float32: both hold
// every value.
func (b *build) reals(t *tensor) (*tensor, error) {
	switch {
	case t.elem == enc.F32 || t.elem == enc.F64:
		return t, nil
	case t.elem.IsFloat():
		return b.floats(t)
	}
	wide := b.temp(enc.F64, t.shape...)
	b.cast(wide, t)
	return wide, nil
}

// floats is converted to f32, with the constant's data at hand.
func (b *build) floats(t *tensor) (*tensor, error) {
	u, err := b.converted(t, enc.F32)
	if err == nil && u.place == inConst {
		err = b.plainConst(u)
	}
	return u, err
}

func codeRange(e enc.Elem) (lo, hi float64) {
	n := math.Ldexp(1, e.Bits())
	if e.IsSigned() {
		return -n / 2, n/2 - 1
	}
	return 0, n - 1
}

// real reads an element of an f32 or f64 tensor.
func (t *tensor) real(i int) float64 {
	if t.elem == enc.F64 {
		return of[float64](t)[i]
	}
	return float64(of[float32](t)[i])
}

func quantize[T vec.Integer](b *build, out, x, scale, zero *tensor, g *grid, least, most float64, round func(float64) float64) {
	b.each(x.n, grain/8, func(lo, hi int) {
		dst := of[T](out)
		g.runs(lo, hi, func(lo, hi, k int) {
			s, z := scale.real(k), 0.0
			if zero != nil {
				z = float64(of[T](zero)[k])
			}
			for i := lo; i < hi; i++ {
				q := math.RoundToEven(round(x.real(i)/s)) + z
				if q != q {
					q = 0
				}
				dst[i] = T(max(least, min(most, q)))
			}
		})
	})
}

// dequantizeLinear computes (x - zero)*scale in float32 where that is exact
// but for the product, and rounds to the result's type once.
func dequantizeLinear(b *build, c *call) error {
	g := gridOf(c)
	return unpacked(func(b *build, c *call) error {
		x, out := c.in[0], c.out[0]
		scale, err := b.floats(c.in[1])
		if err != nil {
			return err
		}
		real := out
		if out.elem != enc.F32 {
			real = b.temp(enc.F32, out.shape...)
		}
		f := map[enc.Elem]func(b *build, out, x, scale, zero *tensor, g *grid){
			enc.I32: dequantize[int32], enc.I16: dequantize[int16], enc.U16: dequantize[uint16], enc.I8: dequantize[int8], enc.U8: dequantize[uint8],
		}[x.elem]
		if f == nil {
			return fmt.Errorf("codes of %s: %w", x.elem, driver.ErrUnsupported)
		}
		f(b, real, x, scale, c.input(2), g)
		if real != out {
			b.cast(out, real)
		}
		return nil
	})(b, c)
}

func dequantize[T vec.Integer](b *build, out, x, scale, zero *tensor, g *grid) {
	b.each(x.n, grain/4, func(lo, hi int) {
		dst, src := of[float32](out), of[T](x)
		g.runs(lo, hi, func(lo, hi, k int) {
			s, z := float64(of[float32](scale)[k]), int64(0)
			if zero != nil {
				z = int64(of[T](zero)[k])
			}
			for i := lo; i < hi; i++ {
				dst[i] = float32(float64(int64(src[i])-z) * s)
			}
		})
	})
}

// dynamicQuantize chooses a scale and a zero point from the range of the data,
// each step in float32 as ONNX prescribes.
func dynamicQuantize(b *build, c *call) error {
	x := c.in[0]
	var out [3]*tensor
	copy(out[:], c.out)
	for i, e := range []enc.Elem{enc.U8, enc.F32, enc.U8} {
		if out[i] == nil {
			out[i] = b.temp(e, 1)
		}
	}
	b.step(func() error {
		lo, hi := float32(0), float32(0)
		for _, v := range of[float32](x) {
			lo, hi = min(lo, v), max(hi, v)
		}
		scale := (hi - lo) / 255
		if lo == hi {
			scale = float32(1) / 255
		}
		of[float32](out[1])[0] = scale
		of[uint8](out[2])[0] = uint8(math.RoundToEven(float64(max(0, min(255, 0-lo/scale)))))
		return nil
	})
	if len(c.out) > 0 && c.out[0] != nil {
		quantize[uint8](b, out[0], x, out[1], out[2], &grid{one: true}, 0, 255, rounding(enc.F32))
	}
	return nil
}
