package cpu

import (
	"fmt"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/hal/driver"
	"github.com/heddle-ml/heddle/ops/kern/half"
	"github.com/heddle-ml/heddle/ops/kern/quant"
)

// decodeInto turns the stored planes of a weight into floats in logical
// order.
func decodeInto(out []float32, t graph.Type, shape []int64, p *graph.Planes) error {
	switch t.Enc.Kind {
	case enc.Plain:
		return decodePlain(out, p.Data, p.Elem)
	case enc.Affine:
		return decodeAffine(out, t.Enc, shape, p)
	case enc.Block:
		return decodeBlocks(out, t.Enc, shape, p.Data)
	}
	return fmt.Errorf("encoding %s: %w", t.Enc, driver.ErrUnsupported)
}

func decodePlain(out []float32, data []byte, elem enc.Elem) error {
	switch elem {
	case enc.F32:
		copy(out, as[float32](data))
	case enc.F16:
		half.DecodeF16(out, as[uint16](data))
	case enc.BF16:
		half.DecodeBF16(out, as[uint16](data))
	case enc.F64:
		for i, f := range as[float64](data) {
			out[i] = float32(f)
		}
	default:
		return fmt.Errorf("%s cannot be read as float32: %w", elem, driver.ErrUnsupported)
	}
	return nil
}

// decodeAffine computes scale * (code - zero) with scales per tensor, index
// of an axis, or block along it.
func decodeAffine(out []float32, e enc.Encoding, shape []int64, p *graph.Planes) error {
	codes, err := codesOf(p.Data, e.Store, len(out))
	if err != nil {
		return err
	}
	groups := 1
	for _, d := range p.ScaleShape {
		groups *= int(d)
	}
	scales := make([]float32, groups)
	if err := decodePlain(scales, p.Scale, e.Scale); err != nil {
		return err
	}
	zeros := make([]int32, groups)
	if e.HasZero {
		if zeros, err = codesOf(p.Zero, e.Store, groups); err != nil {
			return err
		}
	}
	m := newScaleMap(e, shape)
	for i := range out {
		g := m.group(i)
		out[i] = float32(codes[i]-zeros[g]) * scales[g]
	}
	return nil
}

// codesOf widens n stored integers.
func codesOf(data []byte, e enc.Elem, n int) ([]int32, error) {
	out := make([]int32, n)
	switch e {
	case enc.I8:
		widenInts(out, as[int8](data))
	case enc.U8:
		widenInts(out, as[uint8](data))
	case enc.I16:
		widenInts(out, as[int16](data))
	case enc.U16:
		widenInts(out, as[uint16](data))
	case enc.I32:
		copy(out, as[int32](data))
	case enc.I4:
		tmp := make([]int8, n)
		quant.UnpackNibbles(tmp, data)
		widenInts(out, tmp)
	case enc.U4:
		tmp := make([]uint8, n)
		quant.UnpackNibbles(tmp, data)
		widenInts(out, tmp)
	default:
		return nil, fmt.Errorf("codes of %s: %w", e, driver.ErrUnsupported)
	}
	return out, nil
}

func widenInts[T int8 | uint8 | int16 | uint16](dst []int32, src []T) {
	for i := range dst {
		dst[i] = int32(src[i])
	}
}

// readable tells whether blockReader knows a format.
func readable(f enc.Format) bool { return f == enc.Q4_0 || f == enc.Q8_0 || f == enc.Q6_K }

// blockReader returns a reader of rows in a GGUF block format.
func blockReader(f enc.Format, data []byte, rows, width int) (*quant.Blocks, error) {
	switch f {
	case enc.Q4_0:
		return quant.NewQ4_0(data, rows, width)
	case enc.Q8_0:
		return quant.NewQ8_0(data, rows, width)
	case enc.Q6_K:
		return quant.NewQ6_K(data, rows, width)
	}
	return nil, fmt.Errorf("block format %s: %w", f, driver.ErrUnsupported)
}

// decodeBlocks decodes a tensor whose rows run along e.Axis, stored innermost.
func decodeBlocks(out []float32, e enc.Encoding, shape []int64, data []byte) error {
	width := int(shape[e.Axis])
	if width == 0 || len(out) == 0 {
		return nil
	}
	rows := len(out) / width
	r, err := blockReader(e.Format, data, rows, width)
	if err != nil {
		return err
	}
	inner := 1
	for _, d := range shape[e.Axis+1:] {
		inner *= int(d)
	}
	if inner == 1 {
		for i := range rows {
			r.Decode(out[i*width:(i+1)*width], i)
		}
		return nil
	}
	row := make([]float32, width)
	for i := range rows { // row (o,k) holds elements [o,:,k]
		r.Decode(row, i)
		base := i/inner*width*inner + i%inner
		for a, v := range row {
			out[base+a*inner] = v
		}
	}
	return nil
}

// rowReader returns a function that decodes a row of a [rows,...] table of
// width elements a row, in place where it lies.
func (w *weights) rowReader(v *graph.Value, width int) (func(dst []float32, row int) error, error) {
	e := v.Type.Enc
	p, err := graph.ReadWeight(v, w.data)
	if isDerived(err) {
		e, p, err = enc.Encoding{Kind: enc.Affine}, nil, nil // decoded as a whole below
	}
	if err != nil {
		return nil, err
	}
	switch {
	case e.Kind == enc.Plain && (p.Elem == enc.F16 || p.Elem == enc.BF16 || p.Elem == enc.F32):
		w.mapped += int64(len(p.Data))
		size := p.Elem.Bits() / 8 * width
		data := aligned(p.Data)
		return func(dst []float32, row int) error {
			return decodePlain(dst, data[row*size:(row+1)*size], p.Elem)
		}, nil
	case e.Kind == enc.Block && e.Axis == len(v.Type.Shape)-1 && len(v.Type.Shape) == 2:
		n, _ := v.Type.Shape[0].Const()
		r, err := blockReader(e.Format, p.Data, int(n), width)
		if err != nil {
			return nil, err
		}
		w.mapped += int64(len(p.Data))
		return func(dst []float32, row int) error {
			r.Decode(dst, row)
			return nil
		}, nil
	}
	f, err := w.dense(v)
	if err != nil {
		return nil, err
	}
	return func(dst []float32, row int) error {
		copy(dst, f[row*width:(row+1)*width])
		return nil
	}, nil
}
