package enc

import (
	"fmt"
	"math"
)

// Elem is an element type.
type Elem uint8

// The element types, with ONNX's meaning. Sub-byte integers are packed two to
// a byte, the first element in the low nibble.
const (
	Invalid Elem = iota
	F64
	F32
	F16
	BF16
	I64
	I32
	I16
	I8
	I4
	U64
	U32
	U16
	U8
	U4
	Bool
	numElems
)

var elems = [numElems]struct {
	name   string
	bits   int
	onnx   int32
	float  bool
	signed bool
}{
	Invalid: {"invalid", 0, 0, false, false},
	F64:     {"f64", 64, 11, true, true},
	F32:     {"f32", 32, 1, true, true},
	F16:     {"f16", 16, 10, true, true},
	BF16:    {"bf16", 16, 16, true, true},
	I64:     {"i64", 64, 7, false, true},
	I32:     {"i32", 32, 6, false, true},
	I16:     {"i16", 16, 5, false, true},
	I8:      {"i8", 8, 3, false, true},
	I4:      {"i4", 4, 22, false, true},
	U64:     {"u64", 64, 13, false, false},
	U32:     {"u32", 32, 12, false, false},
	U16:     {"u16", 16, 4, false, false},
	U8:      {"u8", 8, 2, false, false},
	U4:      {"u4", 4, 21, false, false},
	Bool:    {"bool", 8, 9, false, false},
}

// Elems returns every valid element type.
func Elems() []Elem {
	out := make([]Elem, 0, numElems-1)
	for e := F64; e < numElems; e++ {
		out = append(out, e)
	}
	return out
}

// Valid reports whether e is one of the named types.
func (e Elem) Valid() bool { return e > Invalid && e < numElems }

// String returns the name used in text forms: f32, i4, bool.
func (e Elem) String() string {
	if e >= numElems {
		return fmt.Sprintf("elem(%d)", uint8(e))
	}
	return elems[e].name
}

// ParseElem is the inverse of String.
func ParseElem(s string) (Elem, error) {
	for e := F64; e < numElems; e++ {
		if elems[e].name == s {
			return e, nil
		}
	}
	return Invalid, fmt.Errorf("enc: %q is not an element type; want one of f64 f32 f16 bf16 i64 i32 i16 i8 i4 u64 u32 u16 u8 u4 bool", s)
}

// Bits returns the size of one element in bits: 4 for i4 and u4, 8 for bool.
func (e Elem) Bits() int {
	if e >= numElems {
		return 0
	}
	return elems[e].bits
}

// IsFloat reports whether e is f64, f32, f16 or bf16.
func (e Elem) IsFloat() bool { return e < numElems && elems[e].float }

// IsInt reports whether e is an integer type; bool is none.
func (e Elem) IsInt() bool { return e.Valid() && !elems[e].float && e != Bool }

// IsSigned reports whether e has negative values.
func (e Elem) IsSigned() bool { return e < numElems && elems[e].signed }

// ONNX returns TensorProto.DataType's number for e.
func (e Elem) ONNX() int32 {
	if e >= numElems {
		return 0
	}
	return elems[e].onnx
}

// FromONNX returns the type with a TensorProto.DataType number.
func FromONNX(n int32) (Elem, error) {
	for e := F64; e < numElems; e++ {
		if elems[e].onnx == n {
			return e, nil
		}
	}
	return Invalid, fmt.Errorf("enc: ONNX data type %d has no counterpart", n)
}

// Bytes returns the storage of n packed elements, or an error when n is
// negative or the size leaves the int64 range.
func (e Elem) Bytes(n int64) (int64, error) {
	if !e.Valid() || n < 0 {
		return 0, fmt.Errorf("enc: %d elements of type %s", n, e)
	}
	b := int64(e.Bits())
	if n > (math.MaxInt64-7)/b {
		return 0, fmt.Errorf("enc: %d elements of type %s have no size", n, e)
	}
	return (n*b + 7) / 8, nil
}

// IntRange returns the least and greatest value of an integer type of at most
// 32 bits, as used for quantized codes.
func (e Elem) IntRange() (lo, hi int64) {
	b := e.Bits()
	if !e.IsInt() || b > 32 {
		return 0, 0
	}
	if e.IsSigned() {
		return -(1 << (b - 1)), 1<<(b-1) - 1
	}
	return 0, 1<<b - 1
}
