package gemm_test

import (
	"fmt"
	"testing"

	"github.com/heddle-ml/heddle/ops/kern"
	"github.com/heddle-ml/heddle/ops/kern/gemm"
	"github.com/heddle-ml/heddle/ops/kern/pool"
)

// BenchmarkPeak is the ceiling for BenchmarkMul: the register tile on operands
// that stay in the first-level cache, with all rows of A the same one, on one
// core. What it lacks of the machine's multiply-add peak is loop overhead.
func BenchmarkPeak(b *testing.B) {
	for _, table := range kern.Usable() {
		b.Run(table.Tier.String(), func(b *testing.B) {
			const k = 256
			x, panel, c := make([]float32, k), make([]float32, k*kern.NR), make([]float32, kern.MR*kern.NR)
			t := &kern.Tile{A: &x[0], B: &panel[0], C: &c[0], LDC: kern.NR, K: k, Rows: kern.MR, Alpha: 1}
			for b.Loop() {
				for range 100 {
					table.Tile(t)
				}
			}
			b.ReportMetric(float64(b.N)*100*2*kern.MR*kern.NR*k/b.Elapsed().Seconds()/1e9, "GFLOP/s")
		})
	}
}

// BenchmarkRead is the ceiling for BenchmarkMul's products with one row: the
// rate at which one core sums an array that no cache holds.
func BenchmarkRead(b *testing.B) {
	x := make([]float32, 32<<20)
	for i := range x {
		x[i] = 1
	}
	for _, table := range kern.Usable() {
		b.Run(table.Tier.String(), func(b *testing.B) {
			b.SetBytes(int64(len(x) * 4))
			y := make([]float32, 1024)
			for b.Loop() {
				for at := 0; at < len(x); at += 32 << 10 {
					table.Dot(&kern.Rows{X: &x[at], M: &x[at], Y: &y[0], N: 1, D: 32 << 10})
				}
			}
		})
	}
}

func BenchmarkMul(b *testing.B) {
	for _, s := range []struct{ m, n, k int }{
		{1, 4096, 4096}, {1, 512, 512}, {16, 1024, 1024}, {128, 1024, 1024}, {729, 1152, 1152}, {512, 512, 4096},
	} {
		for _, table := range kern.Usable() {
			for _, workers := range []int{1, 2} {
				b.Run(fmt.Sprintf("%dx%dx%d/%v/%d", s.m, s.k, s.n, table.Tier, workers), func(b *testing.B) {
					p := pool.New(workers)
					defer p.Close()
					r := gemm.New(table, p)
					a := &gemm.Args{M: s.m, N: s.n, K: s.k, LDA: s.k, LDC: s.n,
						A: make([]float32, s.m*s.k), B: make([]float32, gemm.PackedLen(s.k, s.n)), C: make([]float32, s.m*s.n)}
					for b.Loop() {
						if err := r.Mul(a); err != nil {
							b.Fatal(err)
						}
					}
					b.ReportMetric(float64(b.N)*2*float64(s.m)*float64(s.n)*float64(s.k)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
					b.ReportMetric(float64(b.N)*4*float64(len(a.B))/b.Elapsed().Seconds()/1e9, "GB/s")
				})
			}
		}
	}
}

func BenchmarkPack(b *testing.B) {
	const k, n = 1024, 1024
	src, dst := make([]float32, k*n), make([]float32, gemm.PackedLen(k, n))
	half := make([]uint16, k*n)
	for name, f := range map[string]func() error{
		"KN":   func() error { return gemm.Pack(dst, src, k, n, n, gemm.KN) },
		"NK":   func() error { return gemm.Pack(dst, src, k, n, k, gemm.NK) },
		"f16":  func() error { return gemm.PackF16(dst, half, k, n, k, gemm.NK) },
		"bf16": func() error { return gemm.PackBF16(dst, half, k, n, k, gemm.NK) },
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if err := f(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/(k*n), "ns/element")
		})
	}
}
