package safetensors

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Float32s returns a floating-point tensor's elements converted to float32
// (F64 is rounded). The slice is new; its size is that of the bytes in the
// file. Other element types are an error.
func (f *File) Float32s(t Tensor) ([]float32, error) {
	data, err := f.elements(t)
	if err != nil {
		return nil, err
	}
	le := binary.LittleEndian
	out := make([]float32, len(data)/t.DType.Size())
	switch t.DType {
	case F64:
		for i := range out {
			out[i] = float32(math.Float64frombits(le.Uint64(data[8*i:])))
		}
	case F32:
		for i := range out {
			out[i] = math.Float32frombits(le.Uint32(data[4*i:]))
		}
	case F16:
		for i := range out {
			out[i] = half(le.Uint16(data[2*i:]))
		}
	case BF16:
		for i := range out {
			out[i] = math.Float32frombits(uint32(le.Uint16(data[2*i:])) << 16)
		}
	default:
		return nil, fmt.Errorf("safetensors: %s: tensor %s holds %s, want floating point", f.name, clip(t.Name), t.DType)
	}
	return out, nil
}

// Int64s returns an integer or boolean tensor's elements as int64. The slice
// is new. U64 values beyond the range and other element types are errors.
func (f *File) Int64s(t Tensor) ([]int64, error) {
	data, err := f.elements(t)
	if err != nil {
		return nil, err
	}
	le := binary.LittleEndian
	out := make([]int64, len(data)/t.DType.Size())
	for i := range out {
		switch t.DType {
		case I64:
			out[i] = int64(le.Uint64(data[8*i:]))
		case I32:
			out[i] = int64(int32(le.Uint32(data[4*i:])))
		case I16:
			out[i] = int64(int16(le.Uint16(data[2*i:])))
		case I8:
			out[i] = int64(int8(data[i]))
		case U64:
			v := le.Uint64(data[8*i:])
			if v > math.MaxInt64 {
				return nil, fmt.Errorf("safetensors: %s: tensor %s: element %d (%d) exceeds the int64 range", f.name, clip(t.Name), i, v)
			}
			out[i] = int64(v)
		case U32:
			out[i] = int64(le.Uint32(data[4*i:]))
		case U16:
			out[i] = int64(le.Uint16(data[2*i:]))
		case U8, Bool:
			out[i] = int64(data[i])
		default:
			return nil, fmt.Errorf("safetensors: %s: tensor %s holds %s, want integers", f.name, clip(t.Name), t.DType)
		}
	}
	return out, nil
}

// elements returns a tensor's bytes for interpretation.
func (f *File) elements(t Tensor) ([]byte, error) {
	if err := t.DType.Usable(); err != nil {
		return nil, fmt.Errorf("safetensors: %s: tensor %s: %w", f.name, clip(t.Name), err)
	}
	data := f.Bytes(t)
	if data == nil || len(data)%t.DType.Size() != 0 {
		return nil, fmt.Errorf("safetensors: %s: tensor %s is no tensor of this file, or the file is closed", f.name, clip(t.Name))
	}
	return data, nil
}

// half converts IEEE 754 binary16 to binary32, exactly.
func half(h uint16) float32 {
	sign := uint32(h>>15) << 31
	exp, frac := uint32(h>>10&0x1f), uint32(h&0x3ff)
	switch exp {
	case 0: // zero or subnormal: frac * 2^-24 is exact in float32
		return math.Float32frombits(sign | math.Float32bits(float32(frac)*0x1p-24))
	case 0x1f:
		return math.Float32frombits(sign | 0xff<<23 | frac<<13)
	}
	return math.Float32frombits(sign | (exp+127-15)<<23 | frac<<13)
}
