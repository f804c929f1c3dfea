package vec_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/heddle-ml/heddle/ops/kern/vec"
)

func eq[T comparable](t *testing.T, what string, got []T, want ...T) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s = %v, want %v", what, got, want)
	}
}

// broadcasts runs a binary kernel with every combination of full and
// one-element operands, against the scalar function.
func broadcasts[T vec.Number, R comparable](t *testing.T, what string, f func(dst []R, a, b []T), ref func(a, b T) R) {
	t.Helper()
	a := []T{7, 2, 3, 10, 5, 6, 1, 8, 9}
	b := []T{3, 2, 1, 4, 5, 2, 7, 8, 2}
	for _, na := range []int{1, len(a)} {
		for _, nb := range []int{1, len(b)} {
			got, want := make([]R, len(a)), make([]R, len(a))
			for i := range want {
				want[i] = ref(a[i%na], b[i%nb])
			}
			f(got, a[:na], b[:nb])
			eq(t, fmt.Sprintf("%s %d,%d", what, na, nb), got, want...)
			f(got[:0], a[:na], b[:nb]) // empty is fine
		}
	}
	one := make([]R, 1)
	f(one, a[:1], b[:1])
	eq(t, what+" of one", one, ref(a[0], b[0]))
}

func arithmetic[T vec.Number](t *testing.T) {
	broadcasts(t, "Add", vec.Add[T], func(a, b T) T { return a + b })
	broadcasts(t, "Sub", vec.Sub[T], func(a, b T) T { return a - b })
	broadcasts(t, "Mul", vec.Mul[T], func(a, b T) T { return a * b })
	broadcasts(t, "Min", vec.Min[T], func(a, b T) T { return min(a, b) })
	broadcasts(t, "Max", vec.Max[T], func(a, b T) T { return max(a, b) })
	broadcasts(t, "Less", vec.Less[T], func(a, b T) bool { return a < b })
	broadcasts(t, "LessOrEqual", vec.LessOrEqual[T], func(a, b T) bool { return a <= b })
	broadcasts(t, "Equal", vec.Equal[T], func(a, b T) bool { return a == b })
	broadcasts(t, "Pow", vec.Pow[T, T], func(a, b T) T {
		r := T(1)
		for range int(b) {
			r *= a
		}
		return r
	})
}

func TestArithmetic(t *testing.T) {
	t.Run("float32", arithmetic[float32])
	t.Run("float64", arithmetic[float64])
	t.Run("int8", arithmetic[int8])
	t.Run("uint8", arithmetic[uint8])
	t.Run("int16", arithmetic[int16])
	t.Run("uint64", arithmetic[uint64])
	t.Run("int64", arithmetic[int64])
	broadcasts(t, "Div", vec.Div[float32], func(a, b float32) float32 { return a / b })
	broadcasts(t, "DivInt", vec.DivInt[int32], func(a, b int32) int32 { return a / b })
}

func TestInPlace(t *testing.T) {
	a := []float32{1, 2, 3}
	vec.Sub(a, []float32{10}, a)
	eq(t, "10-a", a, 9, 8, 7)
	vec.Mul(a, a, a)
	eq(t, "a*a", a, 81, 64, 49)
}

func TestIntegerEdges(t *testing.T) {
	d := make([]int8, 5)
	vec.DivInt(d, []int8{-7, 7, -128, 5, 0}, []int8{2, -2, -1, 0, 0})
	eq(t, "DivInt", d, -3, -3, -128, 0, 0)
	vec.Mod(d, []int8{-7, 7, -128, 5, 6}, []int8{3, -3, -1, 0, 3}, false)
	eq(t, "Mod", d, 2, -2, 0, 0, 0)
	vec.Mod(d, []int8{-7, 7, -128, 5, 6}, []int8{3, -3, -1, 0, 3}, true)
	eq(t, "Mod fmod", d, -1, 1, 0, 0, 0)
	f := make([]float32, 3)
	vec.ModFloat(f, []float32{-4.5, 4.5, 6}, []float32{2, -2, 3}, false)
	eq(t, "ModFloat", f, 1.5, -1.5, 0)
	vec.Pow(d, []int8{2, -1, 1, 3, -2}, []int8{-1, -3, -9, 5, 7})
	eq(t, "Pow", d, 0, -1, 1, -13, -128)
	u := make([]uint8, 2)
	vec.Pow(u, []uint8{255, 2}, []int8{-1, 8})
	eq(t, "Pow unsigned", u, 0, 0)
	big := make([]uint64, 1)
	vec.Pow(big, []uint64{3}, []uint8{40})
	eq(t, "Pow exact", big, 12157665459056928801)
	mixed := make([]int64, 2)
	vec.Pow(mixed, []int64{4, 2}, []float32{0.5, 3})
	eq(t, "Pow of mixed types", mixed, 2, 8)
	vec.Neg(d[:2], []int8{-128, 5})
	eq(t, "Neg", d[:2], -128, -5)
	vec.Abs(d[:3], []int8{-128, -5, 5})
	eq(t, "Abs", d[:3], -128, 5, 5)
	vec.Sign(d[:3], []int8{-128, 0, 5})
	eq(t, "Sign", d[:3], -1, 0, 1)
	vec.Abs(u, []uint8{200, 0})
	eq(t, "Abs unsigned", u, 200, 0)
	vec.Clip(d[:3], []int8{-100, 0, 100}, 5, -5)
	eq(t, "Clip, lo > hi", d[:3], -5, -5, -5)
}

func TestFloatEdges(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	x := []float32{nan, inf, -inf, float32(math.Copysign(0, -1)), -3, 3}
	got := make([]float32, len(x))
	isNaN := func(what string, i int) {
		t.Helper()
		if got[i] == got[i] {
			t.Errorf("%s: NaN became %v", what, got[i])
		}
	}
	vec.Min(got, x, []float32{0})
	isNaN("Min", 0)
	vec.Max(got, []float32{nan}, x)
	isNaN("Max", 5)
	vec.Clip(got, x, -2, 2)
	isNaN("Clip", 0)
	eq(t, "Clip", got[1:], 2, -2, 0, -2, 2)
	vec.Relu(got, x)
	isNaN("Relu", 0)
	eq(t, "Relu", got[1:], inf, 0, 0, 0, 3)
	vec.Abs(got, x)
	isNaN("Abs", 0)
	if math.Signbit(float64(got[3])) {
		t.Error("Abs of -0 is -0")
	}
	vec.LeakyRelu(got, x, 0.5)
	eq(t, "LeakyRelu", got[1:], inf, -inf, 0, -1.5, 3)
	vec.Sqrt(got, []float32{4, 9, 2.25, 0, inf, 1})
	eq(t, "Sqrt", got, 2, 3, 1.5, 0, inf, 1)
	vec.Reciprocal(got, []float32{4, -2, 0, inf, 1, 8})
	eq(t, "Reciprocal", got, 0.25, -0.5, inf, 0, 1, 0.125)

	b := make([]bool, len(x))
	vec.IsNaN(b, x)
	eq(t, "IsNaN", b, true, false, false, false, false, false)
	vec.IsInf(b, x, true, true)
	eq(t, "IsInf", b, false, true, true, false, false, false)
	vec.IsInf(b, x, false, true)
	eq(t, "IsInf negative", b, false, false, true, false, false, false)
	vec.Equal(b, x, x)
	eq(t, "Equal", b, false, true, true, true, true, true)
}

func TestLogic(t *testing.T) {
	a, b := []bool{false, false, true, true}, []bool{false, true, false, true}
	got := make([]bool, 4)
	vec.And(got, a, b)
	eq(t, "And", got, false, false, false, true)
	vec.Or(got, a, b)
	eq(t, "Or", got, false, true, true, true)
	vec.Xor(got, a, b)
	eq(t, "Xor", got, false, true, true, false)
	vec.Not(got, a)
	eq(t, "Not", got, true, true, false, false)
	vec.And(got, a, []bool{true})
	eq(t, "And of one", got, a...)
}

func TestWhere(t *testing.T) {
	cond := []bool{true, false, true}
	a, b := []int32{1, 2, 3}, []int32{-1, -2, -3}
	got := make([]int32, 3)
	vec.Where(got, cond, a, b)
	eq(t, "Where", got, 1, -2, 3)
	vec.Where(got, cond, a[:1], b)
	eq(t, "Where one a", got, 1, -2, 1)
	vec.Where(got, cond, a, b[2:])
	eq(t, "Where one b", got, 1, -3, 3)
	vec.Where(got, cond[1:2], a, b)
	eq(t, "Where one cond", got, b...)
	vec.Where(got, cond[:1], a[1:2], b)
	eq(t, "Where one cond, one a", got, 2, 2, 2)
	vec.Where(got[:0], nil, nil, nil)
}

func TestConvert(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	x := []float64{1.9, -1.9, nan, inf, -inf, 1e30, -1e30, 300}
	i8 := make([]int8, len(x))
	vec.Convert(i8, x)
	eq(t, "to int8", i8, 1, -1, 0, 127, -128, 127, -128, 127)
	u64 := make([]uint64, len(x))
	vec.Convert(u64, x)
	eq(t, "to uint64", u64, 1, 0, 0, math.MaxUint64, 0, math.MaxUint64, 0, 300)
	vec.Convert(u64[:1], []float64{0x1.8p63})
	eq(t, "to large uint64", u64[:1], 3<<62)
	i64 := make([]int64, 2)
	vec.Convert(i64, []float32{-0x1p63, 0x1p62})
	eq(t, "to int64", i64, math.MinInt64, 1<<62)
	u8 := make([]uint8, 3)
	vec.Convert(u8, []int32{-1, 256, 255})
	eq(t, "int32 to uint8", u8, 255, 0, 255)
	f := make([]float32, 2)
	vec.Convert(f, []int64{1<<24 + 1, -3})
	eq(t, "int64 to float32", f, 1<<24, -3)
	vec.FromBool(f, []bool{true, false})
	eq(t, "FromBool", f, 1, 0)
	b := make([]bool, 3)
	vec.ToBool(b, []float64{nan, 0, 0.5})
	eq(t, "ToBool", b, true, false, true)
	if vec.Lowest[int16]() != math.MinInt16 || vec.Highest[int16]() != math.MaxInt16 ||
		vec.Lowest[uint32]() != 0 || vec.Highest[uint32]() != math.MaxUint32 ||
		vec.Lowest[float32]() != float32(-inf) || vec.Highest[float64]() != inf || vec.Lowest[int64]() != math.MinInt64 {
		t.Error("Lowest or Highest wrong")
	}
}

func TestScalarFunctions(t *testing.T) {
	for _, x := range []float64{-800, -20, -3, -0.5, 0, 0.5, 3, 20, 800} {
		for _, c := range []struct {
			name      string
			got, want float64
		}{
			{"Sigmoid", vec.Sigmoid(x), 0.5 * (1 + math.Tanh(x/2))},
			{"GELU", vec.GELU(x), 0.5 * x * (1 + math.Erf(x/math.Sqrt2))},
			{"GELUTanh", vec.GELUTanh(x), 0.5 * x * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x)))},
			{"SiLU", vec.SiLU(x), x * 0.5 * (1 + math.Tanh(x/2))},
			{"HardSigmoid", vec.HardSigmoid(0.2, 0.5)(x), math.Max(0, math.Min(1, 0.2*x+0.5))},
			{"HardSwish", vec.HardSwish(x), x * math.Max(0, math.Min(1, x/6+0.5))},
		} {
			if math.Abs(c.got-c.want) > 1e-13*(1+math.Abs(c.want)) {
				t.Errorf("%s(%v) = %v, want %v", c.name, x, c.got, c.want)
			}
		}
	}
	for x, want := range map[float64]float64{0: math.Ln2, 1000: 1000, -1000: 0, 1: math.Log(1 + math.E)} {
		if got := vec.Softplus(x); math.Abs(got-want) > 1e-15*(1+want) {
			t.Errorf("Softplus(%v) = %v, want %v", x, got, want)
		}
	}
	got := make([]float32, 3)
	vec.Map(got, []float32{0, 4, 9}, math.Sqrt)
	eq(t, "Map", got, 0, 2, 3)
	vec.Swish(got, []float32{0, 1e30, -1e30}, 2)
	eq(t, "Swish", got, 0, 1e30, 0)
}

func ExampleAdd() {
	x := []float32{1, 2, 3}
	vec.Add(x, x, []float32{10}) // one element stands for all
	fmt.Println(x)
	// Output: [11 12 13]
}
