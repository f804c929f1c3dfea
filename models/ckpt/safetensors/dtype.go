package safetensors

import "fmt"

// DType is the name of an element type as it stands in the header.
type DType string

// The element types that heddle computes with.
const (
	F64  DType = "F64"
	F32  DType = "F32"
	F16  DType = "F16"
	BF16 DType = "BF16"
	I64  DType = "I64"
	I32  DType = "I32"
	I16  DType = "I16"
	I8   DType = "I8"
	U64  DType = "U64"
	U32  DType = "U32"
	U16  DType = "U16"
	U8   DType = "U8"
	Bool DType = "BOOL"
)

// The 8-bit floating-point types. A file that holds them opens, because its
// other tensors may be all that is wanted; see [DType.Usable].
const (
	F8E4M3 DType = "F8_E4M3"
	F8E5M2 DType = "F8_E5M2"
	F8E8M0 DType = "F8_E8M0"
)

// Size returns the bytes of one element, or 0 for a name that the format does
// not define.
func (d DType) Size() int {
	switch d {
	case F64, I64, U64:
		return 8
	case F32, I32, U32:
		return 4
	case F16, BF16, I16, U16:
		return 2
	case I8, U8, Bool, F8E4M3, F8E5M2, F8E8M0:
		return 1
	}
	return 0
}

// Usable returns nil when heddle can compute with elements of this type and an
// error that says what to do otherwise.
func (d DType) Usable() error {
	switch d {
	case F8E4M3, F8E5M2, F8E8M0:
		return fmt.Errorf("element type %s is not supported: convert the checkpoint to BF16, F16 or F32", d)
	}
	if d.Size() == 0 {
		return fmt.Errorf("element type %s is unknown", clip(string(d)))
	}
	return nil
}
