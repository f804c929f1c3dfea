package fault

import (
	"encoding/binary"
	"math"
	"slices"

	"github.com/heddle-ml/heddle/graph/enc"
)

// floats calls f for each element of floating-point data and puts what it
// returns in its place, rounded. Other data is left alone.
func floats(e enc.Elem, b []byte, f func(i int, x float64) float64) {
	le := binary.LittleEndian
	switch e {
	case enc.F64:
		for i := 0; 8*i+8 <= len(b); i++ {
			le.PutUint64(b[8*i:], math.Float64bits(f(i, math.Float64frombits(le.Uint64(b[8*i:])))))
		}
	case enc.F32:
		for i := 0; 4*i+4 <= len(b); i++ {
			le.PutUint32(b[4*i:], math.Float32bits(float32(f(i, float64(math.Float32frombits(le.Uint32(b[4*i:])))))))
		}
	case enc.F16:
		for i := 0; 2*i+2 <= len(b); i++ {
			le.PutUint16(b[2*i:], enc.F64ToF16(f(i, float64(enc.F16ToF32(le.Uint16(b[2*i:]))))))
		}
	case enc.BF16:
		for i := 0; 2*i+2 <= len(b); i++ {
			le.PutUint16(b[2*i:], enc.F64ToBF16(f(i, float64(enc.BF16ToF32(le.Uint16(b[2*i:]))))))
		}
	}
}

// denormal reports whether a number is one in type e.
func denormal(e enc.Elem, x float64) bool {
	least := map[enc.Elem]float64{enc.F64: 0x1p-1022, enc.F32: 0x1p-126, enc.BF16: 0x1p-126, enc.F16: 0x1p-14}[e]
	return x != 0 && math.Abs(x) < least
}

func bias(_ *run, f *armed, a *arg) {
	by := 1 + f.amount(1e-3)
	floats(a.Type.Elem, a.bytes, func(_ int, x float64) float64 { return x * by })
}

func sign(_ *run, _ *armed, a *arg) {
	floats(a.Type.Elem, a.bytes, func(_ int, x float64) float64 { return -x })
}

func halve(_ *run, _ *armed, a *arg) {
	floats(a.Type.Elem, a.bytes, func(_ int, x float64) float64 { return float64(enc.F16ToF32(enc.F64ToF16(x))) })
}

// element changes one element.
func element(_ *run, f *armed, a *arg) {
	if len(a.bytes) == 0 {
		return
	}
	bits := a.Type.Elem.Bits()
	if !a.Type.Elem.IsFloat() {
		a.bytes[f.intn(len(a.bytes))/max(1, bits/8)*max(1, bits/8)] ^= 1
		return
	}
	at := f.intn(8 * len(a.bytes) / bits)
	floats(a.Type.Elem, a.bytes, func(i int, x float64) float64 {
		if i == at {
			x += f.amount(1) * (1 + math.Abs(x))
		}
		return x
	})
}

// tail leaves the last row as it was.
func tail(r *run, _ *armed, a *arg) {
	size, n := a.rows()
	if n > 0 {
		copy(a.bytes[size*(n-1):size*n], r.saved[a.index][size*(n-1):])
	}
}

// swapRows exchanges two rows that differ, if it finds such.
func swapRows(_ *run, f *armed, a *arg) {
	size, n := a.rows()
	if n < 2 {
		return
	}
	for range 8 {
		i, j := f.intn(n), f.intn(n)
		x, y := a.bytes[size*i:size*(i+1)], a.bytes[size*j:size*(j+1)]
		if !slices.Equal(x, y) {
			keep := slices.Clone(x)
			copy(x, y)
			copy(y, keep)
			return
		}
	}
}

// notNumbers puts NaN where the output or an input at the same place is
// denormal or large.
func notNumbers(r *run, f *armed, a *arg) {
	limit := f.amount(1e4)
	odd := func(e enc.Elem, x float64) bool { return denormal(e, x) || math.Abs(x) >= limit }
	bad := map[int]bool{}
	for i, b := range r.x.bindings {
		if before, ok := r.saved[i]; ok && b.Type.Elem.IsFloat() {
			floats(b.Type.Elem, before, func(i int, x float64) float64 {
				if odd(b.Type.Elem, x) {
					bad[i] = true
				}
				return x
			})
		}
	}
	floats(a.Type.Elem, a.bytes, func(i int, x float64) float64 {
		if bad[i] || odd(a.Type.Elem, x) {
			return math.NaN()
		}
		return x
	})
}

func smallInt(e enc.Elem) bool { return e.IsInt() && (e.Bits() == 8 || e.Bits() == 16) }

// offByTwo adds two steps to small integers, downwards where the range ends.
func offByTwo(_ *run, _ *armed, a *arg) {
	e := a.Type.Elem
	if !smallInt(e) {
		return
	}
	_, top := e.IntRange()
	le := binary.LittleEndian
	step := e.Bits() / 8
	for i := 0; i+step <= len(a.bytes); i += step {
		v := int64(int8(a.bytes[i]))
		switch e {
		case enc.U8:
			v = int64(a.bytes[i])
		case enc.I16:
			v = int64(int16(le.Uint16(a.bytes[i:])))
		case enc.U16:
			v = int64(le.Uint16(a.bytes[i:]))
		}
		if v += 2; v > top {
			v -= 4
		}
		if step == 1 {
			a.bytes[i] = byte(v)
		} else {
			le.PutUint16(a.bytes[i:], uint16(v))
		}
	}
}

// jitter flips the last bit of every third element or so.
func jitter(_ *run, f *armed, a *arg) {
	step := a.Type.Elem.Bits() / 8
	if !a.Type.Elem.IsFloat() || len(a.bytes) < step {
		return
	}
	for range len(a.bytes)/step/3 + 1 {
		a.bytes[f.intn(len(a.bytes)/step)*step] ^= 1
	}
}
