// Package vec holds the elementwise kernels: arithmetic, comparisons, logic,
// selection, casts and scalar functions, over slices of any element type that
// ONNX gives them.
//
// Operands of an elementwise function either have the length of dst or one
// element, which then stands for all; nothing else is checked, and a shorter
// operand panics as any index does. dst may be an operand itself. The functions
// are pure, and pieces of one vector may be computed concurrently.
//
// For float32, the functions of kern.Table (exponentials, sigmoids, GELU) are
// many times faster than Map with the function of package math.
//
// It imports only the standard library.
package vec

// Signed, Unsigned, Float and sets of them constrain element types.
type (
	Signed   interface{ int8 | int16 | int32 | int64 }
	Unsigned interface {
		uint8 | uint16 | uint32 | uint64
	}
	Integer interface{ Signed | Unsigned }
	Float   interface{ float32 | float64 }
	Number  interface{ Integer | Float }
)
