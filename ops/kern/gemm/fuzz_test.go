package gemm_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/heddle-ml/heddle/ops/kern"
	"github.com/heddle-ml/heddle/ops/kern/gemm"
	"github.com/heddle-ml/heddle/ops/kern/pool"
)

// FuzzMul gives products sizes and strides that may or may not fit their
// operands: each is refused, or right, or at least stays inside.
func FuzzMul(f *testing.F) {
	f.Add(3, 5, 7, 7, 5, 5, 0, 1, 0, uint8(0), uint16(200))
	f.Add(6, 16, 300, 300, 16, 16, 16, 1, 0, uint8(1), uint16(9000))
	f.Add(1, 33, 8, 8, 8, 33, 0, 2, 33, uint8(2), uint16(300))
	f.Add(7, 1, 0, 0, 0, 1, 1, 3, 7, uint8(3), uint16(64))
	f.Add(math.MaxInt, 2, 2, 2, 2, 2, 2, math.MaxInt, 2, uint8(0), uint16(100))
	p := pool.New(2)
	f.Cleanup(p.Close)
	tables := kern.Usable()
	f.Fuzz(func(t *testing.T, m, n, k, lda, ldb, ldc, ldadd, batch, stride int, form uint8, size uint16) {
		rng := rand.New(rand.NewPCG(1, 1))
		buf := func() []float32 { return guarded(rng, int(size)) }
		a := &gemm.Args{M: m, N: n, K: k, LDA: lda, LDB: ldb, LDC: ldc, LDAdd: ldadd, Form: gemm.Form(form % 4), Batch: batch,
			StrideA: stride, StrideB: stride, StrideC: stride, StrideAdd: stride, A: buf(), B: buf(), C: buf(), Add: buf()}
		if a.Form == gemm.Coded && k >= 0 && n >= 0 && ldb >= k && n < 1000 && ldb < 1000 {
			a.Source = rows{guarded(rng, n*ldb+k), ldb}
		}
		for _, table := range tables {
			r := gemm.New(table, p)
			if n := r.Scratch(a); n >= 0 && n < 1<<22 {
				a.Scratch = make([]float32, n)
			}
			err := r.Mul(a)
			checkGuard(t, a.C)
			if err != nil || batch > 1 || m == 0 || n == 0 || ldc < n {
				continue
			}
			b := func(i, j int) float64 {
				switch a.Form {
				case gemm.Packed:
					return float64(a.B[(j/kern.NR*k+i)*kern.NR+j%kern.NR])
				case gemm.KN:
					return float64(a.B[i*ldb+j])
				case gemm.NK:
					return float64(a.B[j*ldb+i])
				}
				return float64(a.Source.(rows).b[j*ldb+i])
			}
			r0, c0 := m-1, n-1
			want, mag := float64(a.Add[r0*ldadd+c0]), math.Abs(float64(a.Add[r0*ldadd+c0]))
			for i := range k {
				x := float64(a.A[r0*lda+i]) * b(i, c0)
				want += x
				mag += math.Abs(x)
			}
			if got := float64(a.C[r0*ldc+c0]); !(math.Abs(got-want) <= 1e-5*(mag+1)) {
				t.Fatalf("%v: last element is %v, want %v", table.Tier, got, want)
			}
		}
	})
}
