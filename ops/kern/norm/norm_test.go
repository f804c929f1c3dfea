package norm_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/heddle-ml/heddle/ops/kern"
	"github.com/heddle-ml/heddle/ops/kern/norm"
)

var lengths = []int{1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 64, 100, 1000, 4099}

// row returns n random values around a mean, with a guard value after them.
func row(n int, mean float64) []float32 {
	rng := rand.New(rand.NewPCG(uint64(n), 7))
	x := make([]float32, n+1)
	for i := range x {
		x[i] = float32(rng.NormFloat64()*3 + mean)
	}
	x[n] = -77
	return x[:n]
}

func near(t *testing.T, what string, i int, got float32, want, tol float64) {
	t.Helper()
	if !(math.Abs(float64(got)-want) <= tol) {
		t.Fatalf("%s: [%d] = %v, want %v", what, i, got, want)
	}
}

func guarded(t *testing.T, x []float32) {
	t.Helper()
	if x[:len(x)+1][len(x)] != -77 {
		t.Fatal("wrote past the end")
	}
}

func eachTier(t *testing.T, f func(t *testing.T, k *kern.Table)) {
	for _, table := range kern.Usable() {
		t.Run(table.Tier.String(), func(t *testing.T) { f(t, table) })
	}
}

func softmax(x []float32) []float64 {
	m, sum := math.Inf(-1), 0.0
	for _, v := range x {
		m = max(m, float64(v))
	}
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = math.Exp(float64(v) - m)
		sum += y[i]
	}
	for i := range y {
		y[i] /= sum
	}
	return y
}

func TestSoftmax(t *testing.T) {
	eachTier(t, func(t *testing.T, k *kern.Table) {
		for _, n := range lengths {
			for _, mean := range []float64{0, 1e4, -1e4} {
				x := row(n, mean)
				want := softmax(x)
				got := row(n, 0)
				norm.Softmax(k, got, x, false)
				guarded(t, got)
				for i := range got {
					near(t, fmt.Sprint("softmax ", n), i, got[i], want[i], 2e-6*want[i]+1e-38)
				}
				strided := make([]float32, 3*n)
				for i, v := range x {
					strided[3*i+1] = v
				}
				norm.SoftmaxStrided(strided[1:], n, 3, false)
				for i := range x {
					near(t, "strided", i, strided[3*i+1], want[i], 1e-6*want[i]+1e-38)
				}
				norm.LogSoftmax(k, got, x)
				for i := range got {
					near(t, "log softmax", i, got[i], math.Log(want[i]), 1e-6*(8+math.Abs(mean)*1e-2+math.Abs(math.Log(want[i]))))
				}
				norm.Softmax(k, x, x, true)
				for i := range x {
					near(t, "in place", i, x[i], want[i], 2e-6*want[i]+1e-38)
				}
			}
		}
	})
}

func TestSoftmaxMasks(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	eachTier(t, func(t *testing.T, k *kern.Table) {
		for _, n := range lengths {
			x := row(n, 0)
			for i := range x {
				x[i] = -inf
			}
			got := row(n, 0)
			norm.Softmax(k, got, x, true)
			guarded(t, got)
			for i, v := range got {
				near(t, "masked", i, v, 0, 0)
			}
			norm.Softmax(k, got, x, false)
			for i, v := range got {
				if v == v {
					t.Fatalf("all -Inf of %d: [%d] = %v, want NaN", n, i, v)
				}
			}
			x[n/2] = 3 // everything but one masked
			norm.Softmax(k, got, x, true)
			for i, v := range got {
				want := 0.0
				if i == n/2 {
					want = 1
				}
				near(t, "one left", i, v, want, 0)
			}
			x[n-1] = nan
			norm.Softmax(k, got, x, true)
			for i, v := range got {
				if v == v {
					t.Fatalf("NaN in %d: [%d] = %v, want NaN", n, i, v)
				}
			}
		}
		norm.Softmax(k, nil, nil, true)
		norm.Softmax(k, nil, nil, false)
	})
	strided := []float64{-math.MaxFloat64, 5, math.Inf(-1), 6, math.Inf(-1)}
	norm.SoftmaxStrided(strided[2:], 2, 2, true)
	if strided[2] != 0 || strided[4] != 0 || strided[3] != 6 {
		t.Errorf("strided masked row: %v", strided)
	}
}

func TestLayerNorm(t *testing.T) {
	eachTier(t, func(t *testing.T, k *kern.Table) {
		for _, n := range lengths {
			for _, mean := range []float64{0, 100} {
				x, gamma, beta := row(n, mean), row(n, 1), row(n, 2)
				var mu, sq float64
				for _, v := range x {
					mu += float64(v) / float64(n)
				}
				for _, v := range x {
					sq += (float64(v) - mu) * (float64(v) - mu) / float64(n)
				}
				inv := 1 / math.Sqrt(sq+1e-5)
				for variant := range 4 {
					g, b := gamma, beta
					if variant&1 != 0 {
						g = nil
					}
					if variant&2 != 0 {
						b = nil
					}
					got := row(n, 0)
					m, s := norm.LayerNorm(k, got, x, g, b, 1e-5)
					guarded(t, got)
					near(t, "mean", 0, m, mu, 1e-6*(3+math.Abs(mu)))
					if n > 1 {
						near(t, "invStd", 0, s, inv, 1e-4*inv)
					}
					for i := range got {
						want := (float64(x[i]) - mu) * inv
						tol := 2e-6*(1+math.Abs(want)) + 2e-7*math.Abs(mean)*inv
						if g != nil {
							want *= float64(g[i])
							tol *= 1 + math.Abs(float64(g[i]))
						}
						if b != nil {
							want += float64(b[i])
						}
						near(t, fmt.Sprintf("layernorm %d variant %d", n, variant), i, got[i], want, tol+1e-6*math.Abs(want))
					}
				}
			}
		}
	})
}

func TestRMSNorm(t *testing.T) {
	eachTier(t, func(t *testing.T, k *kern.Table) {
		for _, n := range lengths {
			x, gamma := row(n, 1), row(n, 1)
			var sq float64
			for _, v := range x {
				sq += float64(v) * float64(v) / float64(n)
			}
			inv := 1 / math.Sqrt(sq+1e-6)
			got := row(n, 0)
			norm.RMSNorm(k, got, x, gamma, 1e-6)
			guarded(t, got)
			for i := range got {
				want := float64(x[i]) * inv * float64(gamma[i])
				near(t, "rmsnorm", i, got[i], want, 1e-6*math.Abs(want)+1e-9)
			}
			norm.RMSNorm(k, x, x, nil, 1e-6)
		}
		norm.RMSNorm(k, nil, nil, nil, 1)
		norm.LayerNorm(k, nil, nil, nil, nil, 1)
	})
}

func TestRope(t *testing.T) {
	const d = 11
	for _, h := range []int{0, 1, 3, 5} {
		cos, sin := make([]float32, h), make([]float32, h)
		for i := range cos {
			cos[i], sin[i] = float32(math.Cos(float64(i+1))), float32(math.Sin(float64(i+1)))
		}
		src := row(d, 0)
		for _, pairs := range []bool{false, true} {
			want := make([]float64, d)
			for i, v := range src {
				want[i] = float64(v)
			}
			for i := range h {
				p, q := i, i+h
				if pairs {
					p, q = 2*i, 2*i+1
				}
				x, y := float64(src[p]), float64(src[q])
				c, s := float64(cos[i]), float64(sin[i])
				want[p], want[q] = x*c-y*s, x*s+y*c
			}
			rope := norm.RopeHalf
			if pairs {
				rope = norm.RopePairs
			}
			got, inPlace := make([]float32, d), append([]float32(nil), src...)
			rope(got, src, cos, sin)
			rope(inPlace, inPlace, cos, sin)
			for i := range want {
				near(t, "rope", i, got[i], want[i], 1e-6)
				near(t, "rope in place", i, inPlace[i], want[i], 1e-6)
			}
		}
	}
}

func TestRowsAllocateNothing(t *testing.T) {
	for _, k := range kern.Usable() {
		x, g := row(100, 0), row(100, 1)
		if n := testing.AllocsPerRun(20, func() {
			norm.Softmax(k, x, x, true)
			norm.LayerNorm(k, x, x, g, g, 1e-5)
			norm.RMSNorm(k, x, x, g, 1e-5)
			norm.RopeHalf(x, x, g[:32], g[32:64])
		}); n != 0 {
			t.Errorf("%v: %v allocations", k.Tier, n)
		}
	}
}

func ExampleSoftmax() {
	table, err := kern.Select()
	if err != nil {
		panic(err)
	}
	x := []float32{0, 0, float32(math.Inf(-1))}
	norm.Softmax(table, x, x, true)
	fmt.Println(x)
	// Output: [0.5 0.5 0]
}
