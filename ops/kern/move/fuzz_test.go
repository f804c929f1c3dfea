package move_test

import (
	"math"
	"testing"

	"github.com/heddle-ml/heddle/ops/kern/move"
)

// FuzzCopy gives copies shapes and strides that may or may not fit: each is
// refused, or moves every element where it should go, and nothing else.
func FuzzCopy(f *testing.F) {
	f.Add(0, 0, 3, 4, 5, 20, 5, 1, 1, 3, 12)
	f.Add(5, 2, 2, 2, 1, -2, 3, 7, 0, 1, 1)
	f.Add(0, 0, 40, 50, 1, 50, 1, 1, 1, 40, 1)
	f.Add(math.MaxInt, -1, 1<<30, 1<<30, 1<<30, math.MaxInt, math.MaxInt, 1, math.MinInt, 1, 1)
	f.Fuzz(func(t *testing.T, dAt, sAt, n0, n1, n2, d0, d1, d2, s0, s1, s2 int) {
		src, dst := make([]uint16, 4096), make([]uint16, 4096)
		for i := range src {
			src[i] = uint16(i + 1)
		}
		shape, to, from := []int{n0, n1, n2}, []int{d0, d1, d2}, []int{s0, s1, s2}
		if n0 > 1<<20 || n1 > 1<<20 || n2 > 1<<20 || n0*n1*n2 > 1<<20 {
			t.Skip("a destination that overlaps itself can take forever") // and is the caller's business
		}
		if err := move.Copy(dst, dAt, to, src, sAt, from, shape); err != nil {
			for i, v := range dst {
				if v != 0 {
					t.Fatalf("refused, but wrote at %d", i)
				}
			}
			return
		}
		want := make([]uint16, len(dst))
		for i := range n0 {
			for j := range n1 {
				for k := range n2 {
					want[dAt+i*to[0]+j*to[1]+k*to[2]] = 1
				}
			}
		}
		for i := range dst {
			if (dst[i] != 0) != (want[i] != 0) {
				t.Fatalf("element %d: written %v, should be %v", i, dst[i] != 0, want[i] != 0)
			}
		}
	})
}
