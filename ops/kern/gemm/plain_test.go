package gemm_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/heddle-ml/heddle/ops/kern/gemm"
	"github.com/heddle-ml/heddle/ops/kern/vec"
)

func plain[T vec.Number](t *testing.T, value func(*rand.Rand) T) {
	for _, s := range sizes[:14] {
		for transposed := range 4 {
			rng := rand.New(rand.NewPCG(uint64(s.m), uint64(transposed)))
			a := &gemm.PlainArgs[T]{M: s.m, N: s.n, K: s.k, RowA: s.k, ColA: 1, RowB: s.n, ColB: 1, LDC: s.n + 1}
			if transposed&1 != 0 {
				a.RowA, a.ColA = 1, s.m
			}
			if transposed&2 != 0 {
				a.RowB, a.ColB = 1, s.k
			}
			a.A, a.B, a.C = make([]T, s.m*s.k), make([]T, s.k*s.n), make([]T, s.m*a.LDC)
			for i := range a.A {
				a.A[i] = value(rng)
			}
			for i := range a.B {
				a.B[i] = value(rng)
			}
			half := s.m / 2
			if err := gemm.Plain(a, 0, half); err != nil {
				t.Fatal(err)
			}
			if err := gemm.Plain(a, half, s.m); err != nil {
				t.Fatal(err)
			}
			for i := range s.m {
				for j := range s.n {
					var want T
					for k := range s.k {
						want += a.A[i*a.RowA+k*a.ColA] * a.B[k*a.RowB+j*a.ColB]
					}
					if got := a.C[i*a.LDC+j]; got != want {
						t.Fatalf("%+v transposed %d: C[%d,%d] = %v, want %v", s, transposed, i, j, got, want)
					}
				}
				if a.C[i*a.LDC+s.n] != 0 {
					t.Fatal("wrote between rows")
				}
			}
		}
	}
}

func TestPlain(t *testing.T) {
	t.Run("float64", func(t *testing.T) { plain(t, func(r *rand.Rand) float64 { return float64(r.IntN(64)) / 4 }) })
	t.Run("int32", func(t *testing.T) { plain(t, func(r *rand.Rand) int32 { return r.Int32() }) })
	t.Run("uint64", func(t *testing.T) { plain(t, func(r *rand.Rand) uint64 { return r.Uint64() }) })
	x := make([]float64, 11)
	for name, a := range map[string]*gemm.PlainArgs[float64]{
		"A": {M: 3, N: 3, K: 4, A: x, B: make([]float64, 12), C: make([]float64, 9), RowA: 4, ColA: 1, RowB: 3, ColB: 1, LDC: 3},
		"B": {M: 3, N: 3, K: 4, A: make([]float64, 12), B: x, C: make([]float64, 9), RowA: 4, ColA: 1, RowB: 3, ColB: 1, LDC: 3},
		"C": {M: 3, N: 4, K: 1, A: x, B: x, C: x, RowA: 1, ColA: 1, RowB: 4, ColB: 1, LDC: 4},
		"K": {M: 3, N: 3, K: math.MaxInt, A: x, B: x, C: x, RowA: 1, ColA: 1, RowB: 3, ColB: 1, LDC: 3},
		"M": {M: -3, N: 3, K: 1, A: x, B: x, C: x},
	} {
		if err := gemm.Plain(a, 0, max(a.M, 0)); err == nil {
			t.Errorf("short %s accepted", name)
		}
	}
}

func bytesProduct[A, B gemm.Byte](t *testing.T) {
	for _, s := range sizes[:17] {
		for variant := range 3 {
			rng := rand.New(rand.NewPCG(uint64(s.n), uint64(variant)))
			a := &gemm.ByteArgs[A, B]{M: s.m, N: s.n, K: s.k, LDA: s.k + 1, LDB: s.n + 2, LDC: s.n}
			a.A, a.B, a.C = make([]A, s.m*a.LDA), make([]B, s.k*a.LDB), make([]int32, s.m*s.n)
			for i := range a.A {
				a.A[i] = A(rng.Uint32())
			}
			for i := range a.B {
				a.B[i] = B(rng.Uint32())
			}
			za, zb := make([]int32, s.m), make([]int32, s.n)
			n := []int{0, 1, s.m}[variant]
			a.ZeroA = make([]A, n)
			for j := range a.ZeroA {
				a.ZeroA[j] = A(rng.Uint32())
			}
			for j := range za {
				if n > 0 {
					za[j] = int32(a.ZeroA[j%n])
				}
			}
			n = []int{1, s.n, 0}[variant]
			a.ZeroB = make([]B, n)
			for j := range a.ZeroB {
				a.ZeroB[j] = B(rng.Uint32())
			}
			for j := range zb {
				if n > 0 {
					zb[j] = int32(a.ZeroB[j%n])
				}
			}
			if err := gemm.Bytes(a, 0, s.m); err != nil {
				t.Fatal(err)
			}
			for i := range s.m {
				for j := range s.n {
					var want int32
					for k := range s.k {
						want += (int32(a.A[i*a.LDA+k]) - za[i]) * (int32(a.B[k*a.LDB+j]) - zb[j])
					}
					if got := a.C[i*a.LDC+j]; got != want {
						t.Fatalf("%+v variant %d: C[%d,%d] = %d, want %d", s, variant, i, j, got, want)
					}
				}
			}
		}
	}
}

func TestBytes(t *testing.T) {
	t.Run("u8s8", bytesProduct[uint8, int8])
	t.Run("s8s8", bytesProduct[int8, int8])
	t.Run("u8u8", bytesProduct[uint8, uint8])
	t.Run("s8u8", bytesProduct[int8, uint8])
	good := func() *gemm.ByteArgs[uint8, int8] {
		return &gemm.ByteArgs[uint8, int8]{M: 2, N: 3, K: 4, A: make([]uint8, 8), LDA: 4, B: make([]int8, 12), LDB: 3,
			C: make([]int32, 6), LDC: 3, ZeroA: make([]uint8, 2), ZeroB: make([]int8, 3)}
	}
	for name, spoil := range map[string]func(*gemm.ByteArgs[uint8, int8]){
		"A":     func(a *gemm.ByteArgs[uint8, int8]) { a.A = a.A[:7] },
		"B":     func(a *gemm.ByteArgs[uint8, int8]) { a.B = a.B[:11] },
		"C":     func(a *gemm.ByteArgs[uint8, int8]) { a.C = a.C[:5] },
		"LDC":   func(a *gemm.ByteArgs[uint8, int8]) { a.LDC = 2 },
		"ZeroB": func(a *gemm.ByteArgs[uint8, int8]) { a.ZeroB = a.ZeroB[:2] },
		"N":     func(a *gemm.ByteArgs[uint8, int8]) { a.N = -1 },
	} {
		a := good()
		if err := gemm.Bytes(a, 0, 2); err != nil {
			t.Fatal(err)
		}
		spoil(a)
		if err := gemm.Bytes(a, 0, 2); err == nil {
			t.Errorf("%s accepted", name)
		}
	}
}
