package onnxcases

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
)

// Tolerance returns how far a result of an element type may be from the
// expected one: |got-want| <= abs + rel*|want|.
//
// For float32 and float64 it is what ONNX's own runner allows. A float16 has
// 11 significant bits and a bfloat16 8, so one rounding costs up to 2^-11 and
// 2^-8 of the value; four roundings are allowed, and the smallest float16
// numbers (steps of 2^-24) as absolute error. Integers and booleans are exact.
func Tolerance(e enc.Elem) (abs, rel float64) {
	switch e {
	case enc.F32, enc.F64:
		return 1e-7, 1e-3
	case enc.F16:
		return 1e-6, 4.0 / (1 << 11)
	case enc.BF16:
		return 1e-6, 4.0 / (1 << 8)
	}
	return 0, 0
}

// Compare returns nil when got is what the case wants: the same type and
// shape, and every element within [Tolerance]. NaN matches NaN; infinities
// match themselves. The error names the first element that differs and says
// how many do.
func Compare(want, got *graph.Tensor) error {
	if err := want.Valid(); err != nil {
		return fmt.Errorf("onnxcases: expected: %w", err)
	}
	if err := got.Valid(); err != nil {
		return fmt.Errorf("onnxcases: result: %w", err)
	}
	if got.Elem != want.Elem || !slices.Equal(got.Shape, want.Shape) {
		return fmt.Errorf("onnxcases: result is %s%v, want %s%v", got.Elem, got.Shape, want.Elem, want.Shape)
	}
	n, err := dim.Count(want.Shape)
	if err != nil {
		return fmt.Errorf("onnxcases: %w", err)
	}
	abs, rel := Tolerance(want.Elem)
	bad, first := 0, 0
	for i := range int(n) {
		if !same(want, got, i, abs, rel) {
			if bad == 0 {
				first = i
			}
			bad++
		}
	}
	if bad > 0 {
		return fmt.Errorf("onnxcases: element %d is %s, want %s; %d of %d differ (tolerance %g + %g relative)", first, text(got, first), text(want, first), bad, n, abs, rel)
	}
	return nil
}

func same(want, got *graph.Tensor, i int, abs, rel float64) bool {
	if !want.Elem.IsFloat() {
		return code(want, i) == code(got, i)
	}
	w, g := float(want, i), float(got, i)
	switch {
	case math.IsNaN(w) || math.IsNaN(g):
		return math.IsNaN(w) && math.IsNaN(g)
	case math.IsInf(w, 0) || math.IsInf(g, 0):
		return w == g
	}
	return math.Abs(g-w) <= abs+rel*math.Abs(w)
}

// float returns element i of a floating-point tensor.
func float(t *graph.Tensor, i int) float64 {
	le := binary.LittleEndian
	switch t.Elem {
	case enc.F64:
		return math.Float64frombits(le.Uint64(t.Data[8*i:]))
	case enc.F32:
		return float64(math.Float32frombits(le.Uint32(t.Data[4*i:])))
	case enc.F16:
		return float64(enc.F16ToF32(le.Uint16(t.Data[2*i:])))
	}
	return float64(enc.BF16ToF32(le.Uint16(t.Data[2*i:])))
}

// code returns the bits of element i of another tensor.
func code(t *graph.Tensor, i int) uint64 {
	le := binary.LittleEndian
	switch t.Elem.Bits() {
	case 64:
		return le.Uint64(t.Data[8*i:])
	case 32:
		return uint64(le.Uint32(t.Data[4*i:]))
	case 16:
		return uint64(le.Uint16(t.Data[2*i:]))
	case 4:
		return uint64(t.Data[i/2]>>(4*(i%2))) & 15
	}
	return uint64(t.Data[i])
}

// text prints element i.
func text(t *graph.Tensor, i int) string {
	if t.Elem.IsFloat() {
		return fmt.Sprint(float(t, i))
	}
	c := code(t, i)
	if t.Elem.IsSigned() {
		shift := 64 - t.Elem.Bits()
		return fmt.Sprint(int64(c<<shift) >> shift)
	}
	return fmt.Sprint(c)
}
