package gemm_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/heddle-ml/heddle/ops/kern"
	"github.com/heddle-ml/heddle/ops/kern/gemm"
	"github.com/heddle-ml/heddle/ops/kern/half"
	"github.com/heddle-ml/heddle/ops/kern/pool"
)

const guardValue = -9876.5

// guarded returns n random floats that start at an odd address and are
// surrounded by guard values.
func guarded(rng *rand.Rand, n int) []float32 {
	buf := make([]float32, n+40)
	for i := range buf {
		buf[i] = guardValue
	}
	x := buf[3 : 3+n : len(buf)]
	for i := range x {
		x[i] = float32(int32(rng.Uint32())) * 0x1p-30
	}
	return x
}

func checkGuard(t *testing.T, x []float32) {
	t.Helper()
	for i, v := range x[len(x):cap(x)] {
		if v != guardValue {
			t.Fatalf("wrote %v at %d past the end of %d", v, i, len(x))
		}
	}
}

// reference computes the product of one batch in float64, with the bound of
// the error that float32 sums of K terms may have.
func reference(a *gemm.Args, b [][]float64, batch, r, c int) (want, bound float64) {
	alpha, beta := float64(a.Alpha), float64(a.Beta)
	if alpha == 0 {
		alpha = 1
	}
	if beta == 0 {
		beta = 1
	}
	var sum, mag float64
	for k := range a.K {
		p := float64(a.A[batch*a.StrideA+r*a.LDA+k]) * b[k][c]
		sum += p
		mag += math.Abs(p)
	}
	sum *= alpha
	mag *= math.Abs(alpha)
	if a.Add != nil {
		p := beta * float64(a.Add[batch*a.StrideAdd+r*a.LDAdd+c])
		sum += p
		mag += math.Abs(p)
	}
	if a.AddCol != nil {
		sum += float64(a.AddCol[r])
		mag += math.Abs(float64(a.AddCol[r]))
	}
	return activate(a.Act, sum), mag*(4+math.Sqrt(float64(a.K)))*0x1p-24*2 + 1e-6*math.Abs(sum) + 1e-30
}

func activate(act gemm.Act, x float64) float64 {
	switch act {
	case gemm.ReLU:
		return max(x, 0)
	case gemm.Sigmoid:
		return 1 / (1 + math.Exp(-x))
	case gemm.Tanh:
		return math.Tanh(x)
	case gemm.SiLU:
		return x / (1 + math.Exp(-x))
	case gemm.GELU:
		return x / 2 * math.Erfc(-x/math.Sqrt2)
	case gemm.GELUTanh:
		return x / 2 * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x)))
	}
	return x
}

// matrix builds B in the wanted form, with spare columns, and its float64 copy.
func matrix(t *testing.T, rng *rand.Rand, k, n int, form gemm.Form) (b []float32, ld int, ref [][]float64) {
	t.Helper()
	ref = make([][]float64, k)
	ld = n + rng.IntN(3)
	src := guarded(rng, k*ld)
	for i := range ref {
		ref[i] = make([]float64, n)
		for j := range ref[i] {
			ref[i][j] = float64(src[i*ld+j])
		}
	}
	if form == gemm.KN {
		return src, ld, ref
	}
	ldt := k + rng.IntN(3)
	tr := guarded(rng, n*ldt)
	for i := range k {
		for j := range n {
			tr[j*ldt+i] = src[i*ld+j]
		}
	}
	if form == gemm.NK || form == gemm.Coded {
		return tr, ldt, ref
	}
	dst := guarded(rng, gemm.PackedLen(k, n))
	var err error
	if rng.IntN(2) == 0 {
		err = gemm.Pack(dst, tr, k, n, ldt, gemm.NK)
	} else {
		err = gemm.Pack(dst, src, k, n, ld, gemm.KN)
	}
	if err != nil {
		t.Fatal(err)
	}
	checkGuard(t, dst)
	return dst, 0, ref
}

// rows is a Source that decodes nothing.
type rows struct {
	b  []float32
	ld int
}

func (r rows) Decode(dst []float32, n int) { copy(dst, r.b[n*r.ld:]) }

func eachTier(t *testing.T, f func(t *testing.T, k *kern.Table)) {
	for _, table := range kern.Usable() {
		t.Run(table.Tier.String(), func(t *testing.T) { f(t, table) })
	}
}

// sizes around the tile (6 x 16) and the cache block (256).
var sizes = []struct{ m, n, k int }{
	{1, 1, 1}, {1, 16, 1}, {1, 17, 3}, {2, 15, 4}, {3, 16, 5}, {4, 31, 7}, {5, 32, 8}, {6, 16, 16},
	{7, 33, 17}, {12, 48, 31}, {13, 1, 64}, {1, 100, 300}, {11, 40, 255}, {6, 64, 256}, {19, 20, 257},
	{13, 18, 600}, {97, 50, 40}, {100, 17, 513}, {0, 5, 5}, {5, 0, 5}, {5, 7, 0}, {1, 20, 9000},
}

func TestMul(t *testing.T) {
	p := pool.New(3)
	defer p.Close()
	eachTier(t, func(t *testing.T, table *kern.Table) {
		for _, workers := range []*pool.Pool{nil, p} {
			r := gemm.New(table, workers)
			for i, s := range sizes {
				for _, form := range []gemm.Form{gemm.Packed, gemm.KN, gemm.NK, gemm.Coded} {
					for variant := range 4 {
						if workers == nil && (variant+i)%2 == 0 {
							continue // half of them without a pool will do
						}
						name := fmt.Sprintf("%dx%dx%d form %d variant %d", s.m, s.k, s.n, form, variant)
						rng := rand.New(rand.NewPCG(uint64(i), uint64(variant)))
						a := &gemm.Args{M: s.m, N: s.n, K: s.k, Form: form}
						a.LDA = s.k + variant
						a.A = guarded(rng, s.m*a.LDA)
						var ref [][]float64
						a.B, a.LDB, ref = matrix(t, rng, s.k, s.n, form)
						if form == gemm.Coded {
							a.Source, a.B = rows{a.B, a.LDB}, nil
						}
						a.LDC = s.n + variant
						a.C = guarded(rng, s.m*a.LDC)
						switch variant {
						case 1:
							a.Add, a.Act = guarded(rng, s.n), gemm.GELU
						case 2:
							a.Alpha, a.Beta = 0.5, -2
							a.LDAdd = s.n + 2
							a.Add = guarded(rng, s.m*a.LDAdd)
						case 3:
							a.AddCol, a.Act = guarded(rng, s.m), gemm.ReLU
						}
						before := append([]float32(nil), a.C...)
						a.Scratch = guarded(rng, r.Scratch(a))
						if err := r.Mul(a); err != nil {
							t.Fatalf("%s: %v", name, err)
						}
						checkGuard(t, a.C)
						checkGuard(t, a.Scratch)
						for j, got := range a.C {
							row, col := 0, j
							if a.LDC > 0 {
								row, col = j/a.LDC, j%a.LDC
							}
							if col >= s.n {
								if got != before[j] {
									t.Fatalf("%s: wrote between rows", name)
								}
								continue
							}
							want, bound := reference(a, ref, 0, row, col)
							if !(math.Abs(float64(got)-want) <= bound) {
								t.Fatalf("%s: C[%d,%d] = %v, want %v within %v", name, row, col, got, want, bound)
							}
						}
					}
				}
			}
		}
	})
}

func TestMulAddsInPlace(t *testing.T) {
	eachTier(t, func(t *testing.T, table *kern.Table) {
		rng := rand.New(rand.NewPCG(1, 2))
		r := gemm.New(table, nil)
		const m, n, k = 8, 21, 300
		b, _, ref := matrix(t, rng, k, n, gemm.Packed)
		a := &gemm.Args{M: m, N: n, K: k, LDA: k, LDC: n, LDAdd: n, A: guarded(rng, m*k), B: b, C: guarded(rng, m*n)}
		was := append([]float32(nil), a.C...)
		a.Add = a.C
		if err := r.Mul(a); err != nil {
			t.Fatal(err)
		}
		got := a.C
		a.Add = was
		for i := range got {
			if want, bound := reference(a, ref, 0, i/n, i%n); !(math.Abs(float64(got[i])-want) <= bound) {
				t.Fatalf("C[%d] = %v, want %v", i, got[i], want)
			}
		}
	})
}

func TestMulBatch(t *testing.T) {
	p := pool.New(2)
	defer p.Close()
	eachTier(t, func(t *testing.T, table *kern.Table) {
		r := gemm.New(table, p)
		const m, n, k, count = 5, 19, 23, 7
		for _, form := range []gemm.Form{gemm.Packed, gemm.KN, gemm.NK} {
			for _, shared := range []bool{false, true} {
				rng := rand.New(rand.NewPCG(uint64(form), 3))
				a := &gemm.Args{M: m, N: n, K: k, LDA: k, LDC: n, Form: form, Batch: count, StrideA: m*k + 1, StrideC: m*n + 2}
				a.A, a.C = guarded(rng, count*a.StrideA), guarded(rng, count*a.StrideC)
				var refs [][][]float64
				for range count {
					if shared && len(refs) > 0 {
						refs = append(refs, refs[0])
						continue
					}
					b, ld, ref := matrix(t, rng, k, n, form)
					if len(refs) > 0 && ld != a.LDB { // repack at the first one's distance
						nb := make([]float32, 0, a.StrideB)
						rows, cols := k, n
						if form == gemm.NK {
							rows, cols = n, k
						}
						for i := range rows {
							nb = append(nb, b[i*ld:][:cols]...)
							nb = append(nb, make([]float32, a.LDB-cols)...)
						}
						b, ld = nb, a.LDB
					}
					refs = append(refs, ref)
					a.LDB = ld
					if len(refs) == 1 && !shared {
						a.StrideB = len(b)
					}
					a.B = append(a.B, b...)
				}
				a.Scratch = make([]float32, r.Scratch(a))
				if err := r.Mul(a); err != nil {
					t.Fatal(err)
				}
				checkGuard(t, a.C)
				for i := range count {
					for j := range m * n {
						got := float64(a.C[i*a.StrideC+j])
						if want, bound := reference(a, refs[i], i, j/n, j%n); !(math.Abs(got-want) <= bound) {
							t.Fatalf("form %d shared %v: product %d, C[%d] = %v, want %v", form, shared, i, j, got, want)
						}
					}
				}
			}
		}
	})
}

// The number of workers must never change a bit.
func TestMulIsDeterministic(t *testing.T) {
	eachTier(t, func(t *testing.T, table *kern.Table) {
		rng := rand.New(rand.NewPCG(5, 6))
		for _, form := range []gemm.Form{gemm.Packed, gemm.NK, gemm.Coded} {
			const m, n, k = 203, 190, 520
			b, ld, _ := matrix(t, rng, k, n, form)
			a := &gemm.Args{M: m, N: n, K: k, LDA: k, LDC: n, A: guarded(rng, m*k), B: b, LDB: ld, Form: form, Act: gemm.GELUTanh, Source: rows{b, ld}}
			var first []float32
			for _, workers := range []int{1, 2, 3, 8} {
				p := pool.New(workers)
				r := gemm.New(table, p)
				a.C = make([]float32, m*n)
				a.Scratch = make([]float32, r.Scratch(a))
				if err := r.Mul(a); err != nil {
					t.Fatal(err)
				}
				p.Close()
				if first == nil {
					first = a.C
				}
				for i := range first {
					if first[i] != a.C[i] {
						t.Fatalf("%d workers: C[%d] = %v, with one %v", workers, i, a.C[i], first[i])
					}
				}
			}
		}
	})
}

func TestMulRefusesShortOperands(t *testing.T) {
	r := gemm.New(kern.Usable()[0], nil)
	good := func() *gemm.Args {
		return &gemm.Args{M: 3, N: 20, K: 5, LDA: 5, LDC: 20, LDAdd: 20, StrideA: 15, StrideC: 60, StrideB: 160, Batch: 2,
			A: make([]float32, 30), B: make([]float32, 320), C: make([]float32, 120), Add: make([]float32, 60), AddCol: make([]float32, 3)}
	}
	if err := r.Mul(good()); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*gemm.Args){
		"A":              func(a *gemm.Args) { a.A = a.A[:29] },
		"B":              func(a *gemm.Args) { a.B = a.B[:319] },
		"C":              func(a *gemm.Args) { a.C = a.C[:119] },
		"Add":            func(a *gemm.Args) { a.Add = a.Add[:59] },
		"AddCol":         func(a *gemm.Args) { a.AddCol = a.AddCol[:2] },
		"negative K":     func(a *gemm.Args) { a.K = -1 },
		"huge stride":    func(a *gemm.Args) { a.LDA = math.MaxInt },
		"huge K":         func(a *gemm.Args) { a.K = math.MaxInt / 2 },
		"huge M":         func(a *gemm.Args) { a.M = math.MaxInt },
		"overlapping C":  func(a *gemm.Args) { a.LDC = 0 },
		"overlap batch":  func(a *gemm.Args) { a.StrideC = 0 },
		"activation":     func(a *gemm.Args) { a.Act = 99 },
		"form":           func(a *gemm.Args) { a.Form = 9 },
		"no scratch":     func(a *gemm.Args) { a.Form, a.Source = gemm.Coded, rows{} },
		"no source":      func(a *gemm.Args) { a.Form, a.Scratch = gemm.Coded, make([]float32, 9999) },
		"NK rows":        func(a *gemm.Args) { a.Form, a.LDB, a.Scratch = gemm.NK, 12, make([]float32, 9999) },
		"huge columns":   func(a *gemm.Args) { a.N = math.MaxInt - 3 },
		"negative batch": func(a *gemm.Args) { a.Batch = -2 },
	} {
		a := good()
		spoil(a)
		if err := r.Mul(a); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestPackHalves(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	const k, n = 1500, 21
	src := make([]uint16, k*n)
	asF16, asBF16 := make([]float32, k*n), make([]float32, k*n)
	for i := range src {
		src[i] = uint16(rng.UintN(0x7000)) | uint16(rng.UintN(2))<<15
		asF16[i], asBF16[i] = half.FromF16(src[i]), half.FromBF16(src[i])
	}
	for _, form := range []gemm.Form{gemm.KN, gemm.NK} {
		ld := n
		if form == gemm.NK {
			ld = k
		}
		got, want := guarded(rng, gemm.PackedLen(k, n)), guarded(rng, gemm.PackedLen(k, n))
		for name, f := range map[string]struct {
			pack func([]float32, []uint16, int, int, int, gemm.Form) error
			ref  []float32
		}{"f16": {gemm.PackF16, asF16}, "bf16": {gemm.PackBF16, asBF16}} {
			if err := f.pack(got, src, k, n, ld, form); err != nil {
				t.Fatal(err)
			}
			if err := gemm.Pack(want, f.ref, k, n, ld, form); err != nil {
				t.Fatal(err)
			}
			for i := range want {
				if got[i] != want[i] {
					t.Fatalf("%s form %d: [%d] = %v, want %v", name, form, i, got[i], want[i])
				}
			}
			checkGuard(t, got)
		}
	}
}

func TestPackRow(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 10))
	const k, n = 7, 18
	src := guarded(rng, k*n)
	want := make([]float32, gemm.PackedLen(k, n))
	if err := gemm.Pack(want, src, k, n, k, gemm.NK); err != nil {
		t.Fatal(err)
	}
	got := make([]float32, gemm.PackedLen(k, n))
	for c := range n {
		if err := gemm.PackRow(got, src[c*k:][:k], c); err != nil {
			t.Fatal(err)
		}
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("[%d] = %v, want %v", i, got[i], want[i])
		}
	}
	if err := gemm.PackRow(got, src[:k], 2*16); err == nil {
		t.Error("column beyond the last panel accepted")
	}
}

func TestPackRefuses(t *testing.T) {
	buf := make([]float32, 1000)
	for name, err := range map[string]error{
		"short dst":  gemm.Pack(buf[:159], buf, 5, 20, 20, gemm.KN),
		"short src":  gemm.Pack(buf, buf[:99], 5, 20, 20, gemm.KN),
		"narrow ld":  gemm.Pack(buf, buf, 5, 20, 19, gemm.KN),
		"form":       gemm.Pack(buf, buf, 5, 20, 20, gemm.Packed),
		"panels":     gemm.PackPanels(buf, buf, 5, 20, 20, gemm.KN, 0, 3),
		"negative":   gemm.Pack(buf, buf, -5, 20, 20, gemm.KN),
		"huge":       gemm.Pack(buf, buf, math.MaxInt, math.MaxInt, math.MaxInt, gemm.KN),
		"huge n, k0": gemm.PackPanels(buf, buf, 1, math.MaxInt-20, 1, gemm.NK, 0, 1),
	} {
		if err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestMulAllocatesNothing(t *testing.T) {
	p := pool.New(2)
	defer p.Close()
	for _, table := range kern.Usable() {
		r := gemm.New(table, p)
		rng := rand.New(rand.NewPCG(1, 1))
		for i, form := range []gemm.Form{gemm.Packed, gemm.NK, gemm.KN, gemm.Coded, gemm.NK, gemm.KN, gemm.Coded} {
			const n, k = 200, 64
			m := 20
			if i > 3 {
				m = 2
			}
			b, ld, _ := matrix(t, rng, k, n, form)
			a := &gemm.Args{M: m, N: n, K: k, LDA: k, LDC: n, A: guarded(rng, m*k), B: b, LDB: ld, Form: form, C: guarded(rng, m*n), Act: gemm.SiLU, Source: rows{b, ld}}
			a.Scratch = make([]float32, r.Scratch(a))
			if got := testing.AllocsPerRun(50, func() {
				if err := r.Mul(a); err != nil {
					t.Fatal(err)
				}
			}); got != 0 {
				t.Errorf("%v form %d: %v allocations", table.Tier, form, got)
			}
		}
	}
}

func ExampleRunner_Mul() {
	table, err := kern.Select()
	if err != nil {
		panic(err)
	}
	r := gemm.New(table, nil)
	weights := []float32{1, 2, 3, 4, 5, 6} // 2 output features of 3 inputs: NK form
	packed := make([]float32, gemm.PackedLen(3, 2))
	if err := gemm.Pack(packed, weights, 3, 2, 3, gemm.NK); err != nil {
		panic(err)
	}
	a := gemm.Args{M: 1, N: 2, K: 3, A: []float32{1, 0, -1}, LDA: 3, B: packed, C: make([]float32, 2), LDC: 2}
	fmt.Println(r.Mul(&a), a.C)
	// Output: <nil> [-2 -2]
}
