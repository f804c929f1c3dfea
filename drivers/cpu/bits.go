package cpu

import (
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/ops"
	"github.com/heddle-ml/heddle/ops/kern/vec"
)

func init() {
	arithmetic("BitwiseAnd", integers(and[int64], and[int32], and[int16], and[int8], and[uint64], and[uint32], and[uint16], and[uint8]))
	arithmetic("BitwiseOr", integers(or[int64], or[int32], or[int16], or[int8], or[uint64], or[uint32], or[uint16], or[uint8]))
	arithmetic("BitwiseXor", integers(xor[int64], xor[int32], xor[int16], xor[int8], xor[uint64], xor[uint32], xor[uint16], xor[uint8]))
	elementwise("BitwiseNot", unaryTable{
		enc.I64: unaryOf(not[int64]), enc.I32: unaryOf(not[int32]), enc.I16: unaryOf(not[int16]), enc.I8: unaryOf(not[int8]),
		enc.U64: unaryOf(not[uint64]), enc.U32: unaryOf(not[uint32]), enc.U16: unaryOf(not[uint16]), enc.U8: unaryOf(not[uint8]),
	})
	left := binaryTable{enc.U64: rowsOf(shiftLeft[uint64]), enc.U32: rowsOf(shiftLeft[uint32]), enc.U16: rowsOf(shiftLeft[uint16]), enc.U8: rowsOf(shiftLeft[uint8])}
	right := binaryTable{enc.U64: rowsOf(shiftRight[uint64]), enc.U32: rowsOf(shiftRight[uint32]), enc.U16: rowsOf(shiftRight[uint16]), enc.U8: rowsOf(shiftRight[uint8])}
	register("BitShift", lowering{elems: ops.Unsigned, lower: func(b *build, c *call) error {
		if c.Attrs.Str("direction", "") == "LEFT" {
			return broadcasting(left)(b, c)
		}
		return broadcasting(right)(b, c)
	}})
}

func integers(i64 func(dst, a, b []int64), i32 func(dst, a, b []int32), i16 func(dst, a, b []int16), i8 func(dst, a, b []int8),
	u64 func(dst, a, b []uint64), u32 func(dst, a, b []uint32), u16 func(dst, a, b []uint16), u8 func(dst, a, b []uint8)) binaryTable {
	return binaryTable{enc.I64: rowsOf(i64), enc.I32: rowsOf(i32), enc.I16: rowsOf(i16), enc.I8: rowsOf(i8),
		enc.U64: rowsOf(u64), enc.U32: rowsOf(u32), enc.U16: rowsOf(u16), enc.U8: rowsOf(u8)}
}

// pairs calls f with elements of operands that are as long as dst, or one
// element.
func pairs[T any](dst, a, b []T, f func(x, y T) T) {
	for i := range dst {
		dst[i] = f(a[i%len(a)], b[i%len(b)])
	}
}

func and[T vec.Integer](dst, a, b []T) { pairs(dst, a, b, func(x, y T) T { return x & y }) }

func or[T vec.Integer](dst, a, b []T) { pairs(dst, a, b, func(x, y T) T { return x | y }) }

func xor[T vec.Integer](dst, a, b []T) { pairs(dst, a, b, func(x, y T) T { return x ^ y }) }

func shiftLeft[T vec.Unsigned](dst, a, b []T) { pairs(dst, a, b, func(x, y T) T { return x << y }) }

func shiftRight[T vec.Unsigned](dst, a, b []T) { pairs(dst, a, b, func(x, y T) T { return x >> y }) }

func not[T vec.Integer](dst, src []T) {
	for i := range dst {
		dst[i] = ^src[i]
	}
}
