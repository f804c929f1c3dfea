package move_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/heddle-ml/heddle/ops/kern/move"
)

func strides(shape []int) []int {
	s := make([]int, len(shape))
	n := 1
	for i := len(shape) - 1; i >= 0; i-- {
		s[i] = n
		n *= shape[i]
	}
	return s
}

// walk calls f for each index of shape.
func walk(shape []int, f func(idx []int)) {
	idx := make([]int, len(shape))
	for {
		f(idx)
		i := len(shape) - 1
		for ; i >= 0; i-- {
			if idx[i]++; idx[i] < shape[i] {
				break
			}
			idx[i] = 0
		}
		if i < 0 {
			return
		}
	}
}

func dot(a, b []int) int {
	n := 0
	for i := range a {
		n += a[i] * b[i]
	}
	return n
}

func TestPermutations(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		rank := 1 + rng.IntN(5)
		shape, limit := make([]int, rank), []int{0, 4000, 70, 17, 9, 6}[rank]
		total := 1
		for i := range shape {
			shape[i] = 1 + rng.IntN(limit)
			total *= shape[i]
		}
		perm := rng.Perm(rank)
		out, from := make([]int, rank), make([]int, rank)
		in := strides(shape)
		for i, p := range perm {
			out[i], from[i] = shape[p], in[p]
		}
		src, dst := make([]uint16, total), make([]uint16, total+1)
		for i := range src {
			src[i] = uint16(rng.Uint32())
		}
		dst[total] = 7
		to := strides(out)
		if err := move.Copy(dst, 0, to, src, 0, from, out); err != nil {
			t.Fatal(err)
		}
		walk(out, func(idx []int) {
			if dst[dot(idx, to)] != src[dot(idx, from)] {
				t.Fatalf("shape %v perm %v: wrong at %v", shape, perm, idx)
			}
		})
		if dst[total] != 7 {
			t.Fatal("wrote past the end")
		}
	}
}

func TestCopySaysEverything(t *testing.T) {
	src := []int32{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11} // 3 x 4
	check := func(what string, err error, got []int32, want ...int32) {
		t.Helper()
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %v, %v, want %v", what, got, err, want)
		}
	}
	dst := make([]int32, 12)
	err := move.Copy(dst[:4], 0, []int{2, 1}, src, 5, []int{4, 2}, []int{2, 2})
	check("slice", err, dst[:4], 5, 7, 9, 11)
	err = move.Copy(dst[:3], 0, []int{1}, src, 11, []int{-4}, []int{3})
	check("reverse", err, dst[:3], 11, 7, 3)
	err = move.Copy(dst[:6], 0, []int{3, 1}, src, 4, []int{1, 0}, []int{2, 3})
	check("expand", err, dst[:6], 4, 4, 4, 5, 5, 5)
	err = move.Copy(dst[:6], 0, []int{2, 1}, src, 4, []int{0, 1}, []int{3, 2})
	check("tile", err, dst[:6], 4, 5, 4, 5, 4, 5)
	clear(dst)
	err = move.Copy(dst, 2, []int{4, 1}, src, 0, []int{4, 1}, []int{3, 2})
	check("concat", err, dst, 0, 0, 0, 1, 0, 0, 4, 5, 0, 0, 8, 9)
	err = move.Copy(dst[:1], 0, nil, src, 3, nil, nil)
	check("scalar", err, dst[:1], 3)
	err = move.Copy(dst[:0], 0, []int{1, 1}, src[:0], 0, []int{1, 1}, []int{0, 5})
	check("empty", err, nil)
}

func TestCopyRefuses(t *testing.T) {
	x := make([]uint8, 10)
	one := []int{1}
	for name, err := range map[string]error{
		"short source":      move.Copy(x, 0, one, x[:9], 0, one, []int{10}),
		"short destination": move.Copy(x[:9], 0, one, x, 0, one, []int{10}),
		"offset":            move.Copy(x, 0, one, x, 1, one, []int{10}),
		"negative offset":   move.Copy(x, -1, one, x, 0, one, []int{1}),
		"negative stride":   move.Copy(x, 0, one, x, 3, []int{-2}, []int{3}),
		"huge stride":       move.Copy(x, 0, one, x, 0, []int{math.MaxInt}, []int{3}),
		"least stride":      move.Copy(x, 0, one, x, 0, []int{math.MinInt}, []int{3}),
		"huge shape":        move.Copy(x, 0, []int{1, 1}, x, 0, []int{1, 1}, []int{math.MaxInt, math.MaxInt}),
		"huge offset":       move.Copy(x, 0, one, x, math.MaxInt, one, []int{5}),
		"stride 0":          move.Copy(x, 0, []int{0}, x, 0, one, []int{2}),
		"negative shape":    move.Copy(x, 0, one, x, 0, one, []int{-1}),
		"ranks":             move.Copy(x, 0, one, x, 0, nil, one),
		"empty source":      move.Copy(x, 0, one, x[:0], 0, one, []int{2}),
		"rank 9":            move.Copy(x, 0, make([]int, 9), x, 0, make([]int, 9), slices.Repeat(one, 9)),
	} {
		if err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestGather(t *testing.T) {
	src := []float32{0, 1, 10, 11, 20, 21}
	dst := make([]float32, 8)
	if err := move.Gather(dst, src, []int64{2, -3, -1, 1}, 3, 2); err != nil || !slices.Equal(dst, []float32{20, 21, 0, 1, 20, 21, 10, 11}) {
		t.Errorf("Gather: %v, %v", dst, err)
	}
	before := slices.Clone(dst)
	for name, err := range map[string]error{
		"above":     move.Gather(dst, src, []int32{0, 3}, 3, 2),
		"below":     move.Gather(dst, src, []int32{-4}, 3, 2),
		"least":     move.Gather(dst, src, []int64{math.MinInt64}, 3, 2),
		"short src": move.Gather(dst, src, []int32{0}, 4, 2),
		"short dst": move.Gather(dst, src, make([]int32, 5), 3, 2),
		"no rows":   move.Gather(dst, src, []int32{0}, 0, 2),
	} {
		if err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if !slices.Equal(dst, before) {
		t.Error("a refused Gather wrote")
	}
	if err := move.Gather(dst, src, []int32{0}, 3, 0); err != nil {
		t.Error(err)
	}
}

func TestGatherElements(t *testing.T) {
	src := []int8{1, 2, 3, 4, 5, 6, 7, 8, 9}
	dst := make([]int8, 6)
	if err := move.GatherElements(dst, src, []int64{-1, -2, 0, -2, 0, 0}, 1, 3, 2, 3); err != nil || !slices.Equal(dst, []int8{7, 5, 3, 4, 2, 3}) {
		t.Errorf("GatherElements: %v, %v", dst, err)
	}
	if err := move.GatherElements(dst, src, []int64{3, 0, 0, 0, 0, 0}, 1, 3, 2, 3); err == nil {
		t.Error("index out of range accepted")
	}
	if err := move.GatherElements(dst, src[:8], make([]int64, 6), 1, 3, 2, 3); err == nil {
		t.Error("short source accepted")
	}
}

func TestCopyAllocatesNothing(t *testing.T) {
	src, dst := make([]uint32, 6000), make([]uint32, 6000)
	to, from, shape := []int{300, 20, 1}, []int{20, 400, 1}, []int{20, 15, 20}
	if n := testing.AllocsPerRun(20, func() {
		if err := move.Copy(dst, 0, to, src, 0, from, shape); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func ExampleCopy() {
	src := []uint32{1, 2, 3, 4, 5, 6} // 2 x 3
	dst := make([]uint32, 6)          // 3 x 2
	err := move.Copy(dst, 0, []int{2, 1}, src, 0, []int{1, 3}, []int{3, 2})
	fmt.Println(dst, err)
	// Output: [1 4 2 5 3 6] <nil>
}
