package kern

import (
	"syscall"
	"testing"
	"unsafe"
)

// fence returns n elements that end where readable memory ends: the page after
// them may not be touched.
func fence[T any](t *testing.T, n int) []T {
	t.Helper()
	page := syscall.Getpagesize()
	var zero T
	size := n * int(unsafe.Sizeof(zero))
	body := (size + page - 1) / page * page
	m, err := syscall.Mmap(-1, 0, body+page, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		t.Skipf("mmap: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Munmap(m); err != nil {
			t.Error(err)
		}
	})
	if err := syscall.Mprotect(m[body:], syscall.PROT_NONE); err != nil {
		t.Skipf("mprotect: %v", err)
	}
	if n == 0 {
		return nil
	}
	return unsafe.Slice((*T)(unsafe.Pointer(&m[body-size])), n)
}

// No kernel may read or write past the end of an operand, even where it would
// do no harm within a heap: weights are mapped files.
func TestKernelsStayInside(t *testing.T) {
	eachTier(t, func(t *testing.T, k *Table) {
		for n := 1; n <= 40; n++ {
			x, y, w, b := fence[float32](t, n), fence[float32](t, n), fence[float32](t, n), fence[float32](t, n)
			h := fence[uint16](t, n)
			for _, f := range []func(dst, src []float32){k.Exp, k.Sigmoid, k.Tanh, k.Erf, k.SiLU, k.GELU, k.GELUTanh} {
				f(y, x)
			}
			k.ExpSum(y, x, 0)
			k.Max(x)
			k.Sum(x)
			k.SumSq(x, 1)
			k.Scale(y, x, 0, 1, w, b)
			k.Scale(y, x, 0, 1, nil, nil)
			k.F32ToF16(h, x)
			k.F16ToF32(y, h)
			k.F32ToBF16(h, x)
			k.BF16ToF32(y, h)
		}
		for _, d := range []int{1, 3, 7, 8, 9, 16, 17, 31, 33, 64, 65, 100} {
			for n := 1; n <= 6; n++ {
				m := fence[float32](t, n*d)
				long, short := fence[float32](t, d), fence[float32](t, n)
				k.Dot(&Rows{X: &long[0], M: &m[0], Y: &short[0], Stride: d, N: n, D: d})
				k.Axpy(&Rows{X: &short[0], M: &m[0], Y: &long[0], Stride: d, N: n, D: d})
			}
		}
		for rows := 1; rows <= MR; rows++ {
			for _, depth := range []int{1, 2, 3, 4, 5, 8, 11} {
				a, b := fence[float32](t, rows*depth), fence[float32](t, depth*NR)
				c, add := fence[float32](t, rows*NR), fence[float32](t, NR)
				k.Tile(&Tile{A: &a[0], B: &b[0], C: &c[0], LDA: depth, LDC: NR, K: depth, Rows: rows, Alpha: 1})
				k.Tile(&Tile{A: &a[0], B: &b[0], C: &c[0], Add: &add[0], LDA: depth, LDC: NR, K: depth, Rows: rows, Alpha: 1, Beta: 1})
			}
		}
	})
}
