package kern

import (
	"fmt"
	"math"
)

// check runs every kernel of a table on a few known inputs, with sizes that
// exercise vector bodies and tails, and compares with answers computed here in
// float64 with package math. It is what stands between a processor (or an
// emulator) that misbehaves and wrong tokens, so it shares nothing with the
// kernels. Guard values after each output show a store past the end.
func check(t *Table) error {
	c := checker{}
	c.tile(t)
	c.rows(t)
	c.unary("Exp", t.Exp, math.Exp)
	c.unary("Sigmoid", t.Sigmoid, func(x float64) float64 { return 1 / (1 + math.Exp(-x)) })
	c.unary("Tanh", t.Tanh, math.Tanh)
	c.unary("Erf", t.Erf, math.Erf)
	c.unary("SiLU", t.SiLU, func(x float64) float64 { return x / (1 + math.Exp(-x)) })
	c.unary("GELU", t.GELU, func(x float64) float64 { return x / 2 * math.Erfc(-x*math.Sqrt2/2) })
	c.unary("GELUTanh", t.GELUTanh, func(x float64) float64 {
		return x / (1 + math.Exp(-2*math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x)))
	})
	c.reductions(t)
	c.halves(t)
	return c.err
}

type checker struct{ err error }

const guard = -12345.5

func (c *checker) fail(format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf("known-answer check failed: "+format, args...)
	}
}

// near fails unless got is within tol, relative to 1+|want|.
func (c *checker) near(what string, i int, got float32, want, tol float64) {
	if !(math.Abs(float64(got)-want) <= tol*(1+math.Abs(want))) {
		c.fail("%s[%d] is %v, want %v", what, i, got, want)
	}
}

// pattern fills x with small dyadic fractions, whose products and short sums
// are exact in float32.
func pattern(x []float32, seed int) []float32 {
	for i := range x {
		x[i] = float32((i*37+seed*11)%61-30) / 8
	}
	return x
}

func (c *checker) tile(t *Table) {
	const lda, ldc = 13, 19
	var out [MR*ldc + 1]float32
	b := pattern(make([]float32, 9*NR), 2)
	a := pattern(make([]float32, MR*lda), 1)
	add := pattern(make([]float32, NR), 3)
	for rows := 1; rows <= MR; rows++ {
		for _, k := range []int{0, 1, 9} {
			for i := range out {
				out[i] = guard
			}
			t.Tile(&Tile{A: &a[0], B: &b[0], C: &out[0], Add: &add[0], LDA: lda, LDC: ldc, K: k, Rows: rows, Alpha: 0.5, Beta: 2})
			for i := range out {
				want := float64(guard)
				if r, col := i/ldc, i%ldc; r < rows && col < NR {
					want = 2 * float64(add[col])
					for j := range k {
						want += 0.5 * float64(a[r*lda+j]) * float64(b[j*NR+col])
					}
				}
				c.near("Tile", i, out[i], want, 0)
			}
		}
	}
}

func (c *checker) rows(t *Table) {
	const stride = 21
	m := pattern(make([]float32, 5*stride), 4)
	x := pattern(make([]float32, stride), 5)
	for _, d := range []int{0, 3, 8, 19} {
		for _, n := range []int{0, 1, 5} {
			y := make([]float32, n+1)
			y[n] = guard
			t.Dot(&Rows{X: &x[0], M: &m[0], Y: &y[0], Stride: stride, N: n, D: d})
			for j := range n {
				var want float64
				for i := range d {
					want += float64(x[i]) * float64(m[j*stride+i])
				}
				c.near("Dot", j, y[j], want, 0)
			}
			c.near("Dot", n, y[n], guard, 0)

			z := make([]float32, d+1)
			z[d] = guard
			t.Axpy(&Rows{X: &x[0], M: &m[0], Y: &z[0], Stride: stride, N: n, D: d})
			for i := range d {
				var want float64
				for j := range n {
					want += float64(x[j]) * float64(m[j*stride+i])
				}
				c.near("Axpy", i, z[i], want, 0)
			}
			c.near("Axpy", d, z[d], guard, 0)
		}
	}
}

func (c *checker) unary(name string, f func(dst, src []float32), ref func(float64) float64) {
	for _, n := range []int{1, 8, 29} {
		x := pattern(make([]float32, n), n)
		y := make([]float32, n+1)
		y[n] = guard
		f(y[:n], x)
		for i := range x {
			c.near(name, i, y[i], ref(float64(x[i])), 1e-6)
		}
		c.near(name, n, y[n], guard, 0)
	}
}

func (c *checker) reductions(t *Table) {
	for _, n := range []int{1, 8, 29} {
		x := pattern(make([]float32, n), 6)
		w, b := pattern(make([]float32, n), 7), pattern(make([]float32, n), 8)
		y := make([]float32, n+1)
		y[n] = guard
		largest, sum, sq, es := math.Inf(-1), 0.0, 0.0, 0.0
		for _, v := range x {
			v := float64(v)
			largest = max(largest, v)
			sum += v
			sq += (v - 0.25) * (v - 0.25)
			es += math.Exp(v - 1)
		}
		c.near("Max", n, t.Max(x), largest, 0)
		c.near("Sum", n, t.Sum(x), sum, 0)
		c.near("SumSq", n, t.SumSq(x, 0.25), sq, 0)
		c.near("ExpSum", n, t.ExpSum(y[:n], x, 1), es, 1e-6)
		for i, v := range x {
			c.near("ExpSum", i, y[i], math.Exp(float64(v)-1), 1e-6)
		}
		c.near("ExpSum", n, y[n], guard, 0)
		t.Scale(y[:n], x, 0.5, 2, w, b)
		for i, v := range x {
			c.near("Scale", i, y[i], (float64(v)-0.5)*2*float64(w[i])+float64(b[i]), 0)
		}
		c.near("Scale", n, y[n], guard, 0)
	}
}

// halves holds values whose 16-bit patterns are known: one, a tie to even, the
// largest, the smallest denormal, infinity, minus zero.
var halves = []struct {
	x         float32
	f16, bf16 uint16
}{
	{1, 0x3c00, 0x3f80},
	{1 + 0x1p-11, 0x3c00, 0x3f80},
	{1 + 0x3p-11, 0x3c02, 0x3f80},
	{65504, 0x7bff, 0x4780},
	{65520, 0x7c00, 0x4780},
	{0x1p-24, 0x0001, 0x3380},
	{-0x1p-25, 0x8000, 0xb300},
	{float32(math.Inf(1)), 0x7c00, 0x7f80},
	{float32(math.Copysign(0, -1)), 0x8000, 0x8000},
}

func (c *checker) halves(t *Table) {
	n := 3 * len(halves)
	x, y, h := make([]float32, n), make([]float32, n+1), make([]uint16, n+1)
	for i := range x {
		x[i] = halves[i%len(halves)].x
	}
	y[n], h[n] = guard, 0xbeef
	for _, f := range []struct {
		name   string
		encode func([]uint16, []float32)
		decode func([]float32, []uint16)
		want   func(i int) uint16
	}{
		{"F16", t.F32ToF16, t.F16ToF32, func(i int) uint16 { return halves[i].f16 }},
		{"BF16", t.F32ToBF16, t.BF16ToF32, func(i int) uint16 { return halves[i].bf16 }},
	} {
		f.encode(h[:n], x)
		f.decode(y[:n], h)
		for i := range x {
			want := f.want(i % len(halves))
			if h[i] != want {
				c.fail("F32To%s[%d] of %v is %#04x, want %#04x", f.name, i, x[i], h[i], want)
			}
			if v := value(want, f.name == "F16"); float64(y[i]) != v {
				c.fail("%sToF32[%d] of %#04x is %v, want %v", f.name, i, want, y[i], v)
			}
		}
		if h[n] != 0xbeef {
			c.fail("F32To%s wrote past the end", f.name)
		}
		c.near(f.name+"ToF32", n, y[n], guard, 0)
	}
}

// value computes a 16-bit float from the definition of its format.
func value(h uint16, f16 bool) float64 {
	exp, man, bias, bits := int(h>>7&0xff), float64(h&0x7f), 127, 7
	if f16 {
		exp, man, bias, bits = int(h>>10&0x1f), float64(h&0x3ff), 15, 10
	}
	v := math.Ldexp(1+math.Ldexp(man, -bits), exp-bias)
	switch {
	case exp == 2*bias+1 && man == 0:
		v = math.Inf(1)
	case exp == 0:
		v = math.Ldexp(man, 1-bias-bits)
	}
	if h>>15 != 0 {
		v = -v
	}
	return v
}
