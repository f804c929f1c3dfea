package gemm

import (
	"fmt"

	"github.com/heddle-ml/heddle/ops/kern"
	"github.com/heddle-ml/heddle/ops/kern/half"
)

const (
	mr = kern.MR
	nr = kern.NR
)

// Form says how a K x N matrix B lies in memory.
type Form uint8

const (
	// Packed is panels, as written by Pack.
	Packed Form = iota
	// KN is K rows of N elements, as MatMul defines B.
	KN
	// NK is N rows of K elements: B transposed, as Hugging Face stores weights.
	NK
	// Coded is the NK form in an encoding that Args.Source decodes.
	Coded
)

// Panels returns the number of panels of a matrix with n columns.
func Panels(n int) int { return (n + nr - 1) / nr }

// PackedLen returns the number of floats in a packed k x n matrix.
func PackedLen(k, n int) int { return Panels(n) * nr * k }

// Pack packs the k x n matrix in src, whose rows start ld elements apart, into
// dst. form is KN or NK.
func Pack(dst, src []float32, k, n, ld int, form Form) error {
	return PackPanels(dst, src, k, n, ld, form, 0, Panels(n))
}

// PackF16 is Pack from float16 bit patterns.
func PackF16(dst []float32, src []uint16, k, n, ld int, form Form) error {
	return PackPanelsF16(dst, src, k, n, ld, form, 0, Panels(n))
}

// PackBF16 is Pack from bfloat16 bit patterns.
func PackBF16(dst []float32, src []uint16, k, n, ld int, form Form) error {
	return PackPanelsBF16(dst, src, k, n, ld, form, 0, Panels(n))
}

// PackPanels packs panels lo <= p < hi only, so that several goroutines can
// share the work; dst is the whole packed matrix.
func PackPanels(dst, src []float32, k, n, ld int, form Form, lo, hi int) error {
	if err := checkPack(len(dst), len(src), k, n, ld, form, lo, hi); err != nil {
		return err
	}
	for p := lo; p < hi; p++ {
		packPanel(dst[p*nr*k:], src, k, p*nr, min(nr, n-p*nr), ld, form)
	}
	return nil
}

// PackPanelsF16 is PackPanels from float16 bit patterns.
func PackPanelsF16(dst []float32, src []uint16, k, n, ld int, form Form, lo, hi int) error {
	return packDecoded(dst, src, k, n, ld, form, lo, hi, half.DecodeF16)
}

// PackPanelsBF16 is PackPanels from bfloat16 bit patterns.
func PackPanelsBF16(dst []float32, src []uint16, k, n, ld int, form Form, lo, hi int) error {
	return packDecoded(dst, src, k, n, ld, form, lo, hi, half.DecodeBF16)
}

// PackRow packs one column of B, given as k consecutive floats (a row of the
// NK form), as column col of the packed matrix dst. It packs weights of any
// encoding, which the caller decodes row by row. Columns that are never packed
// must be zero.
func PackRow(dst, row []float32, col int) error {
	k := len(row)
	if col < 0 || k > 0 && len(dst)/k/nr <= col/nr {
		return fmt.Errorf("gemm: packing column %d of %d rows needs %d floats, dst has %d", col, k, PackedLen(k, col+1), len(dst))
	}
	scatter(dst[col/nr*nr*k:], row, col%nr)
	return nil
}

// packDecoded is PackPanels for elements that need decoding.
func packDecoded(dst []float32, src []uint16, k, n, ld int, form Form, lo, hi int, decode func([]float32, []uint16)) error {
	if err := checkPack(len(dst), len(src), k, n, ld, form, lo, hi); err != nil {
		return err
	}
	const part = 256
	buf := make([]float32, 4*part)
	for p := lo; p < hi && k > 0; p++ {
		c := p * nr
		w := min(nr, n-c)
		panel := dst[c*k:][:nr*k]
		if w < nr {
			clear(panel)
		}
		if form == KN {
			for i := range k {
				decode(panel[i*nr:][:w], src[i*ld+c:])
			}
			continue
		}
		for i := 0; i < w; i += 4 {
			rows := min(4, w-i)
			for at := 0; at < k; at += part {
				m := min(part, k-at)
				for r := range rows {
					decode(buf[r*part:][:m], src[(c+i+r)*ld+at:])
				}
				if rows == 4 {
					scatter4(panel[at*nr+i:], buf, m, part)
					continue
				}
				for r := range rows {
					scatter(panel[at*nr:], buf[r*part:][:m], i+r)
				}
			}
		}
	}
	return nil
}

// checkPack reports whether panels lo to hi of the matrix can be packed.
func checkPack(dst, src, k, n, ld int, form Form, lo, hi int) error {
	rows, cols := k, n
	switch form {
	case KN:
	case NK:
		rows, cols = n, k
	default:
		return fmt.Errorf("gemm: cannot pack from form %d: use KN or NK", form)
	}
	switch {
	case k < 0 || n < 0 || lo < 0 || hi > Panels(n) || lo > hi:
		return fmt.Errorf("gemm: cannot pack panels %d to %d of a %d x %d matrix", lo, hi, k, n)
	case k == 0 || n == 0:
		return nil
	case rows > 1 && ld < cols || !fits(src, 1, 0, rows, ld, cols):
		return fmt.Errorf("gemm: %d x %d matrix with rows %d apart does not fit %d elements", rows, cols, ld, src)
	case !fits(dst/nr/k, 1, 0, Panels(n), 1, 1):
		return fmt.Errorf("gemm: %d floats are too few to pack %d x %d", dst, k, n)
	}
	return nil
}

// packPanel packs w columns of src from column c on, and zeros, into the panel
// at the start of dst.
func packPanel(dst, src []float32, k, c, w, ld int, form Form) {
	panel := dst[:nr*k]
	if w < nr {
		clear(panel)
	}
	if form == NK {
		i := 0
		for ; i+4 <= w; i += 4 {
			scatter4(panel[i:], src[(c+i)*ld:], k, ld)
		}
		for ; i < w; i++ {
			scatter(panel, src[(c+i)*ld:][:k], i)
		}
		return
	}
	if w == nr {
		for i := range k {
			*(*[nr]float32)(panel[i*nr:]) = *(*[nr]float32)(src[i*ld+c:])
		}
		return
	}
	for i := range k {
		copy(panel[i*nr:][:w], src[i*ld+c:])
	}
}

// scatter writes a row of the NK form into column i of a panel.
func scatter(panel, row []float32, i int) {
	for _, x := range row {
		panel[i] = x
		i += nr
	}
}

// scatter4 writes four rows of the NK form, ld apart, into the first four
// columns of panel: each of its cache lines is touched a quarter as often.
func scatter4(panel, src []float32, k, ld int) {
	a, b, c, d := src[:k], src[ld:][:k], src[2*ld:][:k], src[3*ld:][:k]
	for i := range a {
		out := (*[4]float32)(panel[i*nr:])
		out[0], out[1], out[2], out[3] = a[i], b[i], c[i], d[i]
	}
}

// fits reports whether batch blocks, step apart, each of rows rows, ld apart,
// of cols elements, lie within n elements. All arguments are at least 0, batch
// and rows at least 1. It cannot overflow.
func fits(n, batch, step, rows, ld, cols int) bool {
	n -= cols
	if n < 0 {
		return false
	}
	if rows > 1 {
		if ld > n/(rows-1) {
			return false
		}
		n -= ld * (rows - 1)
	}
	return batch <= 1 || step <= n/(batch-1)
}
