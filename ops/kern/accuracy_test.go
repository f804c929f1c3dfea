package kern

import (
	"math"
	"testing"

	"github.com/heddle-ml/heddle/ops/kern/half"
)

func eachTier(t *testing.T, f func(t *testing.T, k *Table)) {
	for _, table := range Usable() {
		t.Run(table.Tier.String(), func(t *testing.T) { f(t, table) })
	}
}

// ulps is the distance of got from want in units of the last place of want as
// a float32. Results that both overflow, or both vanish, agree.
func ulps(got float32, want float64) float64 {
	w := float32(want)
	if got == w || got != got && want != want {
		return 0
	}
	if math.IsInf(float64(got), 0) || math.IsInf(float64(w), 0) || got != got || want != want {
		return math.Inf(1)
	}
	_, e := math.Frexp(want)
	unit := math.Ldexp(1, max(e-24, -149))
	return math.Abs(float64(got)-want) / unit
}

// sample returns floats of both signs over all exponents, including
// denormals, ending with the special values.
func sample() []float32 {
	var x []float32
	for b := uint64(0); b < 0x7f800000; b += 60013 {
		f := math.Float32frombits(uint32(b))
		x = append(x, f, -f)
	}
	for i := range 10000 { // the interesting range, densely
		f := float32(i) * 0.01
		x = append(x, f, -f)
	}
	inf := float32(math.Inf(1))
	return append(x, 0, float32(math.Copysign(0, -1)), inf, -inf, float32(math.NaN()),
		math.MaxFloat32, -math.MaxFloat32, 88.72283, 88.7229, -87.33, -87.34, -103.97, -103.98, -104.1, 0.625, 1, 10)
}

func TestUnaryAccuracy(t *testing.T) {
	x := sample()
	y := make([]float32, len(x))
	sigmoid := func(x float64) float64 { return 1 / (1 + math.Exp(-x)) }
	gelu := func(x float64) float64 { return x / 2 * math.Erfc(-x/math.Sqrt2) }
	geluTanh := func(x float64) float64 {
		return x * sigmoid(2*math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x))
	}
	eachTier(t, func(t *testing.T, k *Table) {
		for _, c := range []struct {
			name  string
			f     func(dst, src []float32)
			ref   func(float64) float64
			limit func(x float32) float64 // in ulps
		}{
			{"Exp", k.Exp, math.Exp, ulpsOf(2)},
			{"Sigmoid", k.Sigmoid, sigmoid, ulpsOf(4)},
			{"Tanh", k.Tanh, math.Tanh, ulpsOf(4)},
			{"Erf", k.Erf, math.Erf, ulpsOf(4)},
			{"SiLU", k.SiLU, func(x float64) float64 { return x * sigmoid(x) }, func(x float32) float64 {
				if x > -87 {
					return 4
				}
				return math.Inf(1)
			}},
			{"GELU", k.GELU, gelu, relativeOf()},
			{"GELUTanh", k.GELUTanh, geluTanh, relativeOf()},
		} {
			c.f(y, x)
			worst, at := 0.0, float32(0)
			for i, v := range x {
				want := c.ref(float64(v))
				if math.IsInf(float64(v), -1) && want != want {
					continue // -Inf * 0: ONNX's formula gives NaN, the limit is 0
				}
				if d := ulps(y[i], want); d > c.limit(v) {
					t.Fatalf("%s(%v) = %v, want %v: off by %.1f ulp", c.name, v, y[i], want, d)
				} else if d > worst {
					worst, at = d, v
				}
			}
			t.Logf("%s: at most %.2f ulp, at %v", c.name, worst, at)
		}
	})
}

func ulpsOf(n float64) func(float32) float64 { return func(float32) float64 { return n } }

// relativeOf is the bound of the GELUs: a relative error of 1e-6, more in the
// left tail, where e^(-x*x/2) multiplies the rounding error of its argument.
func relativeOf() func(float32) float64 {
	return func(x float32) float64 {
		switch {
		case x > -2:
			return 1e-6 * 0x1p24
		case x > -12:
			return 2e-5 * 0x1p24
		}
		return math.Inf(1)
	}
}

// Results must not depend on where in a vector an element stands, in place or
// not, and nothing beyond the vector may change.
func TestUnaryPositions(t *testing.T) {
	src := make([]float32, 70)
	for i := range src {
		src[i] = float32(i-35) / 7
	}
	eachTier(t, func(t *testing.T, k *Table) {
		for name, f := range map[string]func(dst, src []float32){
			"Exp": k.Exp, "Sigmoid": k.Sigmoid, "Tanh": k.Tanh, "Erf": k.Erf,
			"SiLU": k.SiLU, "GELU": k.GELU, "GELUTanh": k.GELUTanh,
			"Scale": func(dst, src []float32) { k.Scale(dst, src, 0.3, 1.7, nil, nil) },
		} {
			want := make([]float32, len(src))
			for i := range src {
				f(want[i:i+1], src[i:i+1])
			}
			for lo := range 9 {
				for hi := lo; hi <= len(src); hi++ {
					got := make([]float32, len(src)+1)
					f(got[lo:hi], src[lo:hi])
					inPlace := append([]float32(nil), src...)
					f(inPlace[lo:hi], inPlace[lo:hi])
					for i := range got {
						in := i >= lo && i < hi
						if in && (got[i] != want[i] || inPlace[i] != want[i]) || !in && got[i] != 0 || !in && i < len(src) && inPlace[i] != src[i] {
							t.Fatalf("%s of [%d:%d]: element %d is %v, in place %v", name, lo, hi, i, got[i], inPlace[i])
						}
					}
				}
			}
		}
	})
}

func TestLongVectors(t *testing.T) {
	n := 40003
	x, y := make([]float32, n), make([]float32, n)
	for i := range x {
		x[i] = float32(i%13) - 6
	}
	x[n-1] = 100
	eachTier(t, func(t *testing.T, k *Table) {
		var sum, sq, es float64
		for _, v := range x {
			sum += float64(v)
			sq += (float64(v) - 1) * (float64(v) - 1)
			es += math.Exp(float64(v) - 100)
		}
		for _, c := range []struct {
			name      string
			got, want float64
		}{
			{"Sum", float64(k.Sum(x)), sum},
			{"SumSq", float64(k.SumSq(x, 1)), sq},
			{"Max", float64(k.Max(x)), 100},
			{"ExpSum", float64(k.ExpSum(y, x, 100)), es},
		} {
			if math.Abs(c.got-c.want) > 1e-5*math.Abs(c.want)+1e-3 {
				t.Errorf("%s = %v, want %v", c.name, c.got, c.want)
			}
		}
		k.Scale(y, x, 1, 2, x, x)
		for i, v := range x {
			if y[i] != (v-1)*2*v+v {
				t.Fatalf("Scale[%d] = %v", i, y[i])
			}
		}
	})
}

func TestMaxSpecials(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	eachTier(t, func(t *testing.T, k *Table) {
		if got := k.Max(nil); !math.IsInf(float64(got), -1) {
			t.Errorf("Max of nothing = %v", got)
		}
		if got := k.Sum(nil); got != 0 {
			t.Errorf("Sum of nothing = %v", got)
		}
		for n := 1; n < 40; n++ {
			x := make([]float32, n)
			for i := range x {
				x[i] = -inf
			}
			if got := k.Max(x); got != -inf {
				t.Errorf("Max of %d -Inf = %v", n, got)
			}
			for i := range x {
				x[i] = -3
				if got := k.Max(x); got != -3 {
					t.Errorf("Max of %d with -3 at %d = %v", n, i, got)
				}
				x[i] = nan
				if got := k.Max(x); got == got {
					t.Errorf("Max of %d with NaN at %d = %v", n, i, got)
				}
				x[i] = -inf
			}
		}
	})
}

// The tiers must agree with package half on every bit.
func TestHalves(t *testing.T) {
	all := make([]uint16, 1<<16)
	for i := range all {
		all[i] = uint16(i)
	}
	// Each half's value, the ties between neighbours, and both sides of them.
	var x []float32
	for _, h := range all {
		for _, decode := range []func(uint16) float32{half.FromF16, half.FromBF16} {
			b := math.Float32bits(decode(h))
			for _, low := range []uint32{0, 1, 0xfff, 0x1000, 0x1001, 0x7fff, 0x8000, 0x8001} {
				x = append(x, math.Float32frombits(b+low))
			}
		}
	}
	for b := uint64(0); b < 1<<32; b += 65521 * 29 {
		x = append(x, math.Float32frombits(uint32(b)))
	}
	eachTier(t, func(t *testing.T, k *Table) {
		got, want := make([]float32, len(all)), make([]float32, len(all))
		for name, f := range map[string][2]func([]float32, []uint16){
			"F16": {k.F16ToF32, half.DecodeF16}, "BF16": {k.BF16ToF32, half.DecodeBF16},
		} {
			f[0](got, all)
			f[1](want, all)
			for i := range got {
				if math.Float32bits(got[i]) != math.Float32bits(want[i]) {
					t.Fatalf("%s %#04x: %#08x, want %#08x", name, i, math.Float32bits(got[i]), math.Float32bits(want[i]))
				}
			}
		}
		h, w := make([]uint16, len(x)), make([]uint16, len(x))
		for name, f := range map[string][2]func([]uint16, []float32){
			"F16": {k.F32ToF16, half.EncodeF16}, "BF16": {k.F32ToBF16, half.EncodeBF16},
		} {
			f[0](h, x)
			f[1](w, x)
			for i := range h {
				if h[i] != w[i] {
					t.Fatalf("%s of %v (%#08x): %#04x, want %#04x", name, x[i], math.Float32bits(x[i]), h[i], w[i])
				}
			}
		}
	})
}

func TestDotRowsDoNotDependOnCompany(t *testing.T) {
	const d, n, stride = 45, 11, 47
	m, x := make([]float32, n*stride), make([]float32, d)
	for i := range m {
		m[i] = float32(math.Sin(float64(i)))
	}
	for i := range x {
		x[i] = float32(math.Cos(float64(i)))
	}
	eachTier(t, func(t *testing.T, k *Table) {
		all, one := make([]float32, n), make([]float32, 1)
		k.Dot(&Rows{X: &x[0], M: &m[0], Y: &all[0], Stride: stride, N: n, D: d})
		for j := range n {
			k.Dot(&Rows{X: &x[0], M: &m[j*stride], Y: &one[0], Stride: stride, N: 1, D: d})
			if one[0] != all[j] {
				t.Errorf("row %d alone gives %v, among others %v", j, one[0], all[j])
			}
		}
	})
}

func BenchmarkUnary(b *testing.B) {
	x, y := make([]float32, 4096), make([]float32, 4096)
	for i := range x {
		x[i] = float32(i-2048) / 300
	}
	for _, k := range Usable() {
		for _, f := range []struct {
			name string
			f    func(dst, src []float32)
		}{{"Exp", k.Exp}, {"GELU", k.GELU}, {"GELUTanh", k.GELUTanh}, {"SiLU", k.SiLU}} {
			b.Run(k.Tier.String()+"/"+f.name, func(b *testing.B) {
				for b.Loop() {
					f.f(y, x)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(x)), "ns/element")
			})
		}
	}
}
