package graph

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/heddle-ml/heddle/graph/enc"
)

// Ints returns the elements of an i64 or i32 tensor.
func (t *Tensor) Ints() ([]int64, bool) {
	if t.Valid() != nil {
		return nil, false
	}
	switch t.Elem {
	case enc.I64:
		out := make([]int64, len(t.Data)/8)
		for i := range out {
			out[i] = int64(binary.LittleEndian.Uint64(t.Data[8*i:]))
		}
		return out, true
	case enc.I32:
		out := make([]int64, len(t.Data)/4)
		for i := range out {
			out[i] = int64(int32(binary.LittleEndian.Uint32(t.Data[4*i:])))
		}
		return out, true
	}
	return nil, false
}

// I64 returns a vector of integers.
func I64(ns ...int64) *Tensor {
	t := &Tensor{Elem: enc.I64, Shape: []int64{int64(len(ns))}, Data: make([]byte, 0, 8*len(ns))}
	for _, n := range ns {
		t.Data = binary.LittleEndian.AppendUint64(t.Data, uint64(n))
	}
	return t
}

// F32 returns a float32 tensor of the given shape; a nil shape is a scalar's.
func F32(shape []int64, fs ...float32) *Tensor {
	t := &Tensor{Elem: enc.F32, Shape: shape, Data: make([]byte, 0, 4*len(fs))}
	for _, f := range fs {
		t.Data = binary.LittleEndian.AppendUint32(t.Data, math.Float32bits(f))
	}
	return t
}

// Scalar returns t without dimensions; t must have one element.
func (t *Tensor) Scalar() *Tensor { return &Tensor{Elem: t.Elem, Data: t.Data} }

// FloatScalar returns a scalar of a floating-point type, rounded to it.
func FloatScalar(elem enc.Elem, f float64) (*Tensor, error) {
	t := &Tensor{Elem: elem}
	switch elem {
	case enc.F64:
		t.Data = binary.LittleEndian.AppendUint64(nil, math.Float64bits(f))
	case enc.F32:
		t.Data = binary.LittleEndian.AppendUint32(nil, math.Float32bits(float32(f)))
	case enc.F16:
		t.Data = binary.LittleEndian.AppendUint16(nil, enc.F64ToF16(f))
	case enc.BF16:
		t.Data = binary.LittleEndian.AppendUint16(nil, enc.F64ToBF16(f))
	default:
		return nil, fmt.Errorf("graph: %s is not a floating-point type", elem)
	}
	return t, nil
}
