package gemm

import (
	"fmt"

	"github.com/heddle-ml/heddle/ops/kern/vec"
)

// PlainArgs describes a product of matrices of any element type, C = A x B,
// computed by portable loops: for float64, and for integers, whose sums wrap.
// Elements of A lie RowA and ColA apart, so A may be transposed, and so for B.
type PlainArgs[T vec.Number] struct {
	M, N, K    int
	A          []T
	RowA, ColA int
	B          []T
	RowB, ColB int
	C          []T // must not overlap A or B
	LDC        int // distance between rows of C
}

// Plain computes rows lo <= r < hi of the product, so that several goroutines
// can share the work. It fails if an operand is too short for the shape.
func Plain[T vec.Number](a *PlainArgs[T], lo, hi int) error {
	if min(a.M, a.N, a.K, a.RowA, a.ColA, a.RowB, a.ColB, a.LDC) < 0 || lo < 0 || hi > a.M {
		return fmt.Errorf("gemm: negative size or stride, or rows %d to %d, in %d x %d x %d", lo, hi, a.M, a.K, a.N)
	}
	if lo >= hi || a.N == 0 {
		return nil
	}
	if !fits(len(a.C), 1, 0, a.M, a.LDC, a.N) || a.M > 1 && a.LDC < a.N {
		return fmt.Errorf("gemm: C with %d elements, rows %d apart, does not hold %d x %d", len(a.C), a.LDC, a.M, a.N)
	}
	if a.K > 0 && (!fits(len(a.A), a.K, a.ColA, a.M, a.RowA, 1) || !fits(len(a.B), a.N, a.ColB, a.K, a.RowB, 1)) {
		return fmt.Errorf("gemm: A with %d and B with %d elements are too short for %d x %d x %d", len(a.A), len(a.B), a.M, a.K, a.N)
	}
	for r := lo; r < hi; r++ {
		c := a.C[r*a.LDC:][:a.N]
		clear(c)
		for k := range a.K {
			x := a.A[r*a.RowA+k*a.ColA]
			if a.ColB == 1 {
				for i, y := range a.B[k*a.RowB:][:a.N] {
					c[i] += x * y
				}
				continue
			}
			at := k * a.RowB
			for i := range c {
				c[i] += x * a.B[at]
				at += a.ColB
			}
		}
	}
	return nil
}

// Byte constrains the operands of an integer product.
type Byte interface{ int8 | uint8 }

// ByteArgs describes an integer product C = (A - ZeroA) x (B - ZeroB), with A of
// M rows of K and B of K rows of N. Sums are int32 and wrap.
type ByteArgs[A, B Byte] struct {
	M, N, K int
	A       []A
	LDA     int
	B       []B
	LDB     int
	C       []int32
	LDC     int
	ZeroA   []A // nil, one for all, or one for each row of A
	ZeroB   []B // nil, one for all, or one for each column of B
}

// Bytes computes rows lo <= r < hi of the product, so that several goroutines
// can share the work. It fails if an operand is too short for the shape.
func Bytes[A, B Byte](a *ByteArgs[A, B], lo, hi int) error {
	if min(a.M, a.N, a.K, a.LDA, a.LDB, a.LDC) < 0 || lo < 0 || hi > a.M {
		return fmt.Errorf("gemm: negative size or stride, or rows %d to %d, in %d x %d x %d", lo, hi, a.M, a.K, a.N)
	}
	if lo >= hi || a.N == 0 {
		return nil
	}
	if !fits(len(a.C), 1, 0, a.M, a.LDC, a.N) || a.M > 1 && a.LDC < a.N {
		return fmt.Errorf("gemm: C with %d elements, rows %d apart, does not hold %d x %d", len(a.C), a.LDC, a.M, a.N)
	}
	if a.K > 0 && (!fits(len(a.A), 1, 0, a.M, a.LDA, a.K) || !fits(len(a.B), 1, 0, a.K, a.LDB, a.N)) {
		return fmt.Errorf("gemm: A with %d and B with %d elements are too short for %d x %d x %d", len(a.A), len(a.B), a.M, a.K, a.N)
	}
	if len(a.ZeroA) > 1 && len(a.ZeroA) < a.M || len(a.ZeroB) > 1 && len(a.ZeroB) < a.N {
		return fmt.Errorf("gemm: %d and %d zero points for %d rows and %d columns", len(a.ZeroA), len(a.ZeroB), a.M, a.N)
	}
	for r := lo; r < hi; r++ {
		var zero int32
		switch len(a.ZeroA) {
		case 0:
		case 1:
			zero = int32(a.ZeroA[0])
		default:
			zero = int32(a.ZeroA[r])
		}
		c := a.C[r*a.LDC:][:a.N]
		clear(c)
		var sum int32
		for k := range a.K {
			x := int32(a.A[r*a.LDA+k]) - zero
			if x == 0 {
				continue
			}
			sum += x
			for i, y := range a.B[k*a.LDB:][:a.N] {
				c[i] += x * int32(y)
			}
		}
		// The sum over k of x*(y-z) is that of x*y less z times that of x.
		switch len(a.ZeroB) {
		case 0:
		case 1:
			for i := range c {
				c[i] -= sum * int32(a.ZeroB[0])
			}
		default:
			for i, z := range a.ZeroB[:a.N] {
				c[i] -= sum * int32(z)
			}
		}
	}
	return nil
}
