package cpu

import (
	"errors"
	"fmt"
	"math"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/hal/driver"
	"github.com/heddle-ml/heddle/ops/kern/half"
)

// derive decodes a weight whose encoding differs from that of its stored
// parts, a recipe's int8 or int4 for instance: the numbers are quantized as
// the encoding says and come back as what the codes stand for. How is defined
// in ops/oracle: for each group of numbers that share a scale, scale =
// greatest magnitude / greatest code, rounded to the scale's type; code =
// round(x/scale), ties to even; with zero points, the group's range, which
// includes 0, is spread over all codes.
func (w *weights) derive(v *graph.Value) ([]float32, error) {
	stored := v.Data.Parts[0].Elem
	for i := range v.Data.Parts {
		if p := &v.Data.Parts[i]; p.Enc != (enc.Encoding{}) || p.Elem != stored {
			return nil, fmt.Errorf("constant %q: %s cannot be derived from parts that are encoded themselves: %w", v.Name, v.Type, driver.ErrUnsupported)
		}
	}
	u := *v
	u.Type.Enc = enc.Encoding{}
	if stored != u.Type.Elem {
		u.Type.Enc = enc.As(stored)
		if err := u.Type.Enc.Valid(u.Type.Elem, u.Type.Shape); err != nil {
			return nil, fmt.Errorf("constant %q: %w: %w", v.Name, err, driver.ErrUnsupported)
		}
	}
	f, err := w.decode(&u)
	if err != nil {
		return nil, err
	}
	shape, _ := v.Type.Shape.Const()
	switch e := v.Type.Enc; e.Kind {
	case enc.Plain:
		return f, roundStored(f, e.Stored(v.Type.Elem))
	case enc.Affine:
		requantize(f, e, shape)
		return f, nil
	}
	return nil, fmt.Errorf("constant %q: quantizing to %s: %w", v.Name, v.Type.Enc, driver.ErrUnsupported)
}

// roundStored rounds numbers to the type they would be stored in.
func roundStored(f []float32, elem enc.Elem) error {
	switch elem {
	case enc.F32, enc.F64:
	case enc.F16:
		for i, x := range f {
			f[i] = half.FromF16(half.F16(x))
		}
	case enc.BF16:
		for i, x := range f {
			f[i] = half.FromBF16(half.BF16(x))
		}
	default:
		return fmt.Errorf("rounding to %s: %w", elem, driver.ErrUnsupported)
	}
	return nil
}

// requantize replaces numbers by what their codes stand for.
func requantize(f []float32, e enc.Encoding, shape []int64) {
	m := newScaleMap(e, shape)
	type span struct{ lo, hi float64 }
	spans := make([]span, m.groups)
	for i, x := range f {
		s := &spans[m.group(i)]
		s.lo, s.hi = min(s.lo, float64(x)), max(s.hi, float64(x))
	}
	least, most := e.Store.IntRange()
	lo, hi := float64(least), float64(most)
	if !e.HasZero && lo < 0 {
		lo = -hi // the code below has no counterpart
	}
	scales, zeros := make([]float64, m.groups), make([]float64, m.groups)
	for g, s := range spans {
		if e.HasZero {
			scales[g] = roundScale((s.hi-s.lo)/(hi-lo), e.Scale)
			if scales[g] != 0 {
				zeros[g] = max(lo, min(hi, math.RoundToEven(lo-s.lo/scales[g])))
			}
			continue
		}
		scales[g] = roundScale(max(-s.lo, s.hi)/hi, e.Scale)
	}
	for i, x := range f {
		g := m.group(i)
		if scales[g] == 0 {
			f[i] = 0
			continue
		}
		code := max(lo, min(hi, math.RoundToEven(float64(x)/scales[g])+zeros[g]))
		f[i] = float32(scales[g] * (code - zeros[g]))
	}
}

func roundScale(s float64, elem enc.Elem) float64 {
	switch elem {
	case enc.F16:
		return float64(half.FromF16(half.F16From64(s)))
	case enc.BF16:
		return float64(half.FromBF16(half.BF16From64(s)))
	}
	return float64(float32(s))
}

// scaleMap tells which scale an element of a dense tensor has under an affine
// encoding.
type scaleMap struct {
	groups, axis, inner, block, blocks int
}

func newScaleMap(e enc.Encoding, shape []int64) scaleMap {
	m := scaleMap{groups: 1, axis: 1, inner: 1}
	if e.Axis < 0 {
		return m
	}
	outer := 1
	for i, d := range shape {
		switch {
		case i < e.Axis:
			outer *= int(d)
		case i == e.Axis:
			m.axis = int(d)
		default:
			m.inner *= int(d)
		}
	}
	m.groups = m.axis
	if m.block = e.BlockLen; m.block > 0 {
		m.blocks = (m.axis + m.block - 1) / m.block
		m.groups = outer * m.blocks * m.inner
	}
	return m
}

// group returns the place of element i's scale in the plane of scales.
func (m *scaleMap) group(i int) int {
	switch {
	case m.groups == 1:
		return 0
	case m.block == 0:
		return i / m.inner % m.axis
	}
	a := i / m.inner % m.axis
	return (i/m.inner/m.axis*m.blocks+a/m.block)*m.inner + i%m.inner
}

// isDerived reports whether an error says that a weight has to be re-encoded.
func isDerived(err error) bool { return errors.Is(err, graph.ErrDerived) }
