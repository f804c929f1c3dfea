package reduce_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/heddle-ml/heddle/ops/kern/reduce"
)

func eq[T comparable](t *testing.T, what string, got []T, want ...T) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s = %v, want %v", what, got, want)
	}
}

func TestLayouts(t *testing.T) {
	// [2, 3, 2] counting up from 1: columns of the middle axis are known.
	x := make([]int32, 12)
	f := make([]float32, 12)
	for i := range x {
		x[i], f[i] = int32(i+1), float32(i+1)
	}
	got := make([]int32, 4)
	reduce.Sum(got, x, 2, 3, 2)
	eq(t, "Sum", got, 9, 12, 27, 30)
	reduce.Mean(got, x, 2, 3, 2)
	eq(t, "Mean", got, 3, 4, 9, 10)
	reduce.Max(got, x, 2, 3, 2)
	eq(t, "Max", got, 5, 6, 11, 12)
	reduce.Min(got, x, 2, 3, 2)
	eq(t, "Min", got, 1, 2, 7, 8)
	reduce.Prod(got, x, 2, 3, 2)
	eq(t, "Prod", got, 15, 48, 693, 960)
	reduce.SumSquares(got, x, 2, 3, 2)
	eq(t, "SumSquares", got, 35, 56, 251, 308)
	gotF := make([]float32, 3)
	reduce.Sum(gotF, f, 3, 4, 1)
	eq(t, "Sum of rows", gotF, 10, 26, 42)
	reduce.Mean(gotF, f, 3, 4, 1)
	eq(t, "Mean of rows", gotF, 2.5, 6.5, 10.5)
	reduce.SumSquares(gotF, f, 3, 4, 1)
	eq(t, "SumSquares of rows", gotF, 30, 174, 446)
	reduce.Sum(gotF, f, 1, 4, 3)
	eq(t, "Sum of columns", gotF, 22, 26, 30)
	reduce.Max(gotF[:1], f, 1, 12, 1)
	eq(t, "Max of all", gotF[:1], 12)
}

func TestEmptyAxis(t *testing.T) {
	f, i, u := make([]float32, 2), make([]int8, 2), make([]uint16, 2)
	inf := float32(math.Inf(1))
	reduce.Sum(f, nil, 1, 0, 2)
	eq(t, "Sum", f, 0, 0)
	reduce.Prod(f, nil, 2, 0, 1)
	eq(t, "Prod", f, 1, 1)
	reduce.Max(f, nil, 2, 0, 1)
	eq(t, "Max", f, -inf, -inf)
	reduce.Min(f, nil, 2, 0, 1)
	eq(t, "Min", f, inf, inf)
	reduce.Max(i, nil, 2, 0, 1)
	eq(t, "Max int8", i, -128, -128)
	reduce.Min(u, nil, 1, 0, 2)
	eq(t, "Min uint16", u, 65535, 65535)
	reduce.Mean(i, nil, 2, 0, 1)
	eq(t, "Mean int8", i, 0, 0)
	reduce.Mean(f, nil, 2, 0, 1)
	if f[0] == f[0] {
		t.Errorf("Mean of nothing = %v, want NaN", f[0])
	}
	reduce.LogSumExp(f, nil, 2, 0, 1)
	eq(t, "LogSumExp", f, -inf, -inf)
	reduce.Sum(f[:0], nil, 0, 3, 2)
}

func TestNaN(t *testing.T) {
	nan := float32(math.NaN())
	x := []float32{1, nan, 3}
	got := make([]float32, 1)
	for name, f := range map[string]func(){
		"Max":       func() { reduce.Max(got, x, 1, 3, 1) },
		"Min":       func() { reduce.Min(got, x, 1, 3, 1) },
		"Sum":       func() { reduce.Sum(got, x, 1, 3, 1) },
		"LogSumExp": func() { reduce.LogSumExp(got, x, 1, 3, 1) },
	} {
		got[0] = 0
		if f(); got[0] == got[0] {
			t.Errorf("%s of NaN = %v", name, got[0])
		}
	}
	at := make([]int64, 1)
	reduce.ArgMax(at, x, 1, 3, 1, false)
	eq(t, "ArgMax", at, 1)
	reduce.ArgMin(at, x, 1, 3, 1, true)
	eq(t, "ArgMin", at, 1)
}

func TestArg(t *testing.T) {
	x := []int32{3, 9, 9, 1, 1, 9}
	at := make([]int64, 2)
	reduce.ArgMax(at[:1], x, 1, 6, 1, false)
	eq(t, "first max", at[:1], 1)
	reduce.ArgMax(at[:1], x, 1, 6, 1, true)
	eq(t, "last max", at[:1], 5)
	reduce.ArgMin(at[:1], x, 1, 6, 1, false)
	eq(t, "first min", at[:1], 3)
	reduce.ArgMin(at[:1], x, 1, 6, 1, true)
	eq(t, "last min", at[:1], 4)
	reduce.ArgMax(at, x, 1, 3, 2, false)
	eq(t, "columns", at, 1, 0)
	reduce.ArgMax(at, x, 2, 3, 1, false)
	eq(t, "rows", at, 1, 2)
	reduce.ArgMax(at, []int32{5, 6}, 2, 1, 1, true)
	eq(t, "single", at, 0, 0)
}

func TestBooleansAndLogSumExp(t *testing.T) {
	b := make([]bool, 2)
	x := []bool{true, false, false, false}
	reduce.Any(b, x, 2, 2, 1)
	eq(t, "Any", b, true, false)
	reduce.All(b, []bool{true, true, true, false}, 2, 2, 1)
	eq(t, "All", b, true, false)
	f := make([]float64, 1)
	reduce.LogSumExp(f, []float64{1000, 1000}, 1, 2, 1)
	if math.Abs(f[0]-1000-math.Ln2) > 1e-12 {
		t.Errorf("LogSumExp = %v", f[0])
	}
}

func ExampleMean() {
	x := []float32{1, 2, 3, 4, 5, 6}
	rows, columns := make([]float32, 2), make([]float32, 3)
	reduce.Mean(rows, x, 2, 3, 1)
	reduce.Mean(columns, x, 1, 2, 3)
	fmt.Println(rows, columns)
	// Output: [2 5] [2.5 3.5 4.5]
}
