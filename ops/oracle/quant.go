package oracle

import (
	"fmt"
	"math"
	"slices"

	"github.com/heddle-ml/heddle/graph/enc"
)

// quantOps convert between numbers and codes.
var quantOps = map[string]evaluator{
	"QuantizeLinear":        quantizeLinear,
	"DequantizeLinear":      dequantizeLinear,
	"DynamicQuantizeLinear": dynamicQuantizeLinear,
}

// scaleOffsets returns which scale belongs to each element of input 0: the
// only one, one for each index of the axis, or one for each block along it.
func (x *node) scaleOffsets() ([]int, error) {
	t, scale := x.arg(0), x.arg(1)
	if z := x.arg(2); z != nil && !slices.Equal(z.Shape, scale.Shape) && (z.Len() != 1 || scale.Len() != 1) {
		return nil, fmt.Errorf("scales have shape %v, zero points %v", scale.Shape, z.Shape)
	}
	block := x.Attrs.Int("block_size", 0)
	if scale.Len() == 1 && (block == 0 || len(scale.Shape) == 0) {
		return offsets(t.Shape, 0, make([]int, len(t.Shape))), nil
	}
	a, err := axisOf(x.Attrs.Int("axis", 1), len(t.Shape))
	if len(t.Shape) == 1 {
		a, err = 0, nil // ONNX ignores the axis of a vector
	}
	if err != nil {
		return nil, err
	}
	if block == 0 {
		return paramOffsets(scale.Shape, t.Shape, a)
	}
	want := slices.Clone(t.Shape)
	if block > 0 {
		want[a] = want[a]/block + min(1, want[a]%block)
	}
	if block < 0 || !slices.Equal(want, scale.Shape) {
		return nil, fmt.Errorf("blocks of %d along axis %d of %v need scales of shape %v, not %v", block, a, t.Shape, want, scale.Shape)
	}
	st := strides(scale.Shape)
	out := make([]int, 0, t.Len())
	walk(t.Shape, func(index []int64) {
		o := 0
		for d, i := range index {
			if d == a {
				i /= block
			}
			o += int(i) * st[d]
		}
		out = append(out, o)
	})
	return out, nil
}

// quantizeLinear is saturate(round(x/scale) + zero). The quotient is rounded
// to the scale's type (or attribute precision) first: ONNX prescribes it, and
// it decides ties. NaN, which ONNX does not mention, is quantized as 0.
func quantizeLinear(x *node) ([]*Tensor, error) {
	t, scale, zero := x.arg(0), x.arg(1), x.arg(2)
	offs, err := x.scaleOffsets()
	if err != nil {
		return nil, err
	}
	out, err := x.make(x.elem(0), t.Shape)
	if err != nil {
		return nil, err
	}
	prec := scale.Elem
	if p := x.elemAttr("precision"); p != enc.Invalid {
		prec = p
	}
	for i := range out.Len() {
		q := math.RoundToEven(roundTo(prec, t.float(i)/scale.float(offs[i])))
		if q != q {
			q = 0
		}
		if zero != nil {
			q += zero.float(offs[i])
		}
		out.setCode(i, q)
	}
	return one(out, x.step(out.Len()))
}

// dequantizeLinear is (x - zero)*scale.
func dequantizeLinear(x *node) ([]*Tensor, error) {
	t, scale, zero := x.arg(0), x.arg(1), x.arg(2)
	offs, err := x.scaleOffsets()
	if err != nil {
		return nil, err
	}
	out, err := x.make(x.elem(0), t.Shape)
	if err != nil {
		return nil, err
	}
	for i := range out.F {
		q := t.float(i)
		if zero != nil {
			q -= zero.float(offs[i])
		}
		out.F[i] = q * scale.float(offs[i])
	}
	return one(out, x.step(out.Len()))
}

// dynamicQuantizeLinear chooses a scale and zero point for uint8 codes such
// that 0 is exact. ONNX prescribes each step in float32.
func dynamicQuantizeLinear(x *node) ([]*Tensor, error) {
	t := x.arg(0)
	lo, hi := float32(0), float32(0)
	for _, f := range t.F {
		lo, hi = min(lo, float32(f)), max(hi, float32(f))
	}
	scale := (hi - lo) / 255 // 0 where all is 0; then codes and zero are 0, too
	zero := math.RoundToEven(float64(max(0, min(255, 0-lo/scale))))
	y, err := x.make(enc.U8, t.Shape)
	if err != nil {
		return nil, err
	}
	for i, f := range t.F {
		y.setCode(i, math.RoundToEven(float64(float32(f)/scale))+zero)
	}
	return []*Tensor{y,
		{Elem: enc.F32, Shape: []int64{}, F: []float64{float64(scale)}},
		{Elem: enc.U8, Shape: []int64{}, U: []uint64{clampU(enc.U8, zero)}},
	}, nil
}
