package tol

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/ops"
	"github.com/heddle-ml/heddle/ops/oracle"
)

func round(e enc.Elem, v float64) float64 {
	switch e {
	case enc.F32:
		return float64(float32(v))
	case enc.F16:
		return float64(enc.F16ToF32(enc.F64ToF16(v)))
	case enc.BF16:
		return float64(enc.BF16ToF32(enc.F64ToBF16(v)))
	}
	return v
}

func tensor(e enc.Elem, n int, f func(i int) float64) *oracle.Tensor {
	t := &oracle.Tensor{Elem: e, Shape: []int64{int64(n)}, F: make([]float64, n)}
	for i := range t.F {
		t.F[i] = round(e, f(i))
	}
	return t
}

// product is a matrix product of random numbers in float64, and as a device
// makes it that adds term by term in float32.
func product(n, k int) (exact, device []float64) {
	rnd := rand.New(rand.NewPCG(1, uint64(k)))
	for range n {
		sum, sum32 := 0.0, float32(0)
		for range k {
			a, b := float32(rnd.NormFloat64()), float32(rnd.NormFloat64())
			sum += float64(a) * float64(b)
			sum32 += a * b
		}
		exact, device = append(exact, sum), append(device, float64(sum32))
	}
	return exact, device
}

// What honest devices make passes; a tensor of it with one defect does not.
func TestDefectsInSums(t *testing.T) {
	for _, k := range []int{1, 7, 64, 1152, 5760} {
		for _, e := range []enc.Elem{enc.F32, enc.F16, enc.BF16} {
			exact, device := product(300, k)
			want := tensor(e, 300, func(i int) float64 { return exact[i] })
			got := tensor(e, 300, func(i int) float64 { return device[i] })
			j := Judge{Class: ops.Contraction, K: int64(k), Nodes: 1}
			s, err := j.Compare(want, got)
			require.NoError(t, err, "%s, %d terms", e, k)
			require.True(t, s.Within())
			require.LessOrEqual(t, s.Worst, 1.0)

			rms := 0.0
			for _, f := range want.F {
				rms += f * f
			}
			rms = math.Sqrt(rms / 300)
			broken := func(what string, f func(i int, v float64) float64) {
				bad := tensor(e, 300, func(i int) float64 { return f(i, got.F[i]) })
				s, err := j.Compare(want, bad)
				require.Error(t, err, "%s, %d terms: %s", e, k, what)
				require.False(t, s.Within(), "%s, %d terms: %s", e, k, what)
			}
			broken("one element off", func(i int, v float64) float64 {
				if i == 17 {
					return v + 0.1*rms
				}
				return v
			})
			broken("NaN", func(i int, v float64) float64 {
				if i == 299 {
					return math.NaN()
				}
				return v
			})
			broken("a sign", func(i int, v float64) float64 {
				if i == 5 {
					return -v
				}
				return v
			})
			broken("shifted by one", func(i int, v float64) float64 { return got.F[(i+1)%300] })
			if e != enc.BF16 {
				broken("a gain of 1.001", func(_ int, v float64) float64 { return v * 1.001 })
			}
			broken("a gain of 0.99", func(_ int, v float64) float64 { return v * 0.99 })
			if e == enc.F32 {
				broken("f16 instead of f32", func(_ int, v float64) float64 { return round(enc.F16, v) })
			}
		}
	}
}

// Truncating instead of rounding keeps within a unit everywhere, and is found
// because it always goes the same way.
func TestBias(t *testing.T) {
	rnd := rand.New(rand.NewPCG(2, 2))
	exact := make([]float64, 2000)
	for i := range exact {
		exact[i] = rnd.NormFloat64()
	}
	want := tensor(enc.F16, 2000, func(i int) float64 { return exact[i] })
	cut := tensor(enc.F16, 2000, func(i int) float64 {
		r := round(enc.F16, exact[i])
		if math.Abs(r) > math.Abs(exact[i]) {
			return math.Copysign(math.Abs(r)-math.Exp2(math.Floor(math.Log2(math.Abs(r)))-10), r)
		}
		return r
	})
	s, err := Judge{Class: ops.Rounded, K: 1, Nodes: 1}.Compare(want, cut)
	require.ErrorContains(t, err, "systematic")
	require.LessOrEqual(t, s.Worst, 1.0, "no single element is out of tolerance")
	require.False(t, s.Within())
}

func TestExact(t *testing.T) {
	j := Judge{Class: ops.Exact, K: 1, Nodes: 1}
	want := tensor(enc.F32, 3, func(i int) float64 { return []float64{1, math.NaN(), math.Inf(1)}[i] })
	_, err := j.Compare(want, tensor(enc.F32, 3, func(i int) float64 { return want.F[i] }))
	require.NoError(t, err)
	_, err = j.Compare(want, tensor(enc.F32, 3, func(i int) float64 { return []float64{1 + 0x1p-23, math.NaN(), math.Inf(1)}[i] }))
	require.ErrorContains(t, err, "element 0 of 3 is 1.00000012, want 1")
	_, err = j.Compare(want, tensor(enc.F32, 2, func(int) float64 { return 1 }))
	require.ErrorContains(t, err, "f32[2], want f32[3]")
	_, err = j.Compare(want, tensor(enc.F16, 3, func(int) float64 { return 1 }))
	require.Error(t, err)
}

func TestCodes(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 3))
	ints := func(f func(i int) int64) *oracle.Tensor {
		x := &oracle.Tensor{Elem: enc.I8, Shape: []int64{1000}, I: make([]int64, 1000)}
		for i := range x.I {
			x.I[i] = f(i)
		}
		return x
	}
	want := ints(func(int) int64 { return int64(rnd.IntN(200)) - 100 })
	near := ints(func(i int) int64 { return want.I[i] + map[int]int64{3: 1, 500: -1}[i%700] })
	for class, ok := range map[ops.Class]bool{ops.Quantized: true, ops.Exact: false, ops.Rounded: false} {
		_, err := Judge{Class: class, K: 1, Nodes: 1}.Compare(want, near)
		require.Equal(t, ok, err == nil, "%v: %v", class, err)
	}
	q := Judge{Class: ops.Quantized, K: 1, Nodes: 1}
	_, err := q.Compare(want, ints(func(i int) int64 { return want.I[i] + map[int]int64{3: 2}[i] }))
	require.ErrorContains(t, err, "2 steps off")
	_, err = q.Compare(want, ints(func(i int) int64 { return want.I[i] + 1 }))
	require.ErrorContains(t, err, "one step too high")
	// Large integers differ even where float64 does not tell them apart.
	big := func(v int64) *oracle.Tensor { return &oracle.Tensor{Elem: enc.I64, Shape: []int64{1}, I: []int64{v}} }
	_, err = Judge{Class: ops.Exact}.Compare(big(math.MaxInt64), big(math.MaxInt64-1))
	require.Error(t, err)
}

// A wider rule never refuses what a narrower one accepts.
func TestRulesAreOrdered(t *testing.T) {
	for _, e := range []enc.Elem{enc.F64, enc.F32, enc.F16, enc.BF16} {
		last := -1.0
		for _, c := range []ops.Class{ops.Exact, ops.Rounded, ops.Approximate, ops.Contraction} {
			own, common, _ := Judge{Class: c, K: 1, Nodes: 1}.limits(e)
			require.GreaterOrEqual(t, own+common, last, "%s %v", e, c)
			last = own + common
			wide, more, _ := Judge{Class: c, K: 100, Nodes: 5, Stepwise: true}.limits(e)
			require.GreaterOrEqual(t, wide+more, own+common)
			require.NotEmpty(t, Table[c].Why)
		}
	}
}
