package oracle

import (
	"fmt"
	"math"

	"github.com/heddle-ml/heddle/graph/enc"
)

// recode replaces numbers by what comes back after storing them in an
// encoding. With a mask, only groups of numbers that share a scale and of
// which at least one is marked are stored anew.
//
// How a float tensor is quantized, for a weight that is derived and for a
// state that is written, is this:
//
//   - Plain in a narrower type: rounded to it, ties to even.
//   - Affine without zero points: with m the greatest magnitude in the group
//     and n the greatest code, scale = m/n rounded to the scale's type, code =
//     round(x/scale), ties to even, clamped to -n..n (0..n when unsigned). The
//     code -n-1 is not used.
//   - Affine with zero points: with lo and hi the least and greatest number
//     and 0, scale = (hi-lo)/(codes-1) rounded to the scale's type, zero =
//     round(least code - lo/scale), code = round(x/scale) + zero, each clamped
//     to the codes' range.
//   - Blocks: see encodeBlock.
//
// A scale that is 0 stores zeros. Divisions are in float64.
func recode(t *Tensor, e enc.Encoding, marked []bool) error {
	if !t.Elem.IsFloat() {
		if e.Kind != enc.Plain {
			return fmt.Errorf("encoding %s of %s: %w", e, t.Elem, ErrUnsupported)
		}
		return nil // narrower integers hold the same numbers
	}
	if e.Kind == enc.Plain {
		for i, f := range t.F {
			t.F[i] = roundTo(e.Stored(t.Elem), f)
		}
		return nil
	}
	for _, g := range scaleGroups(e, t.Shape) {
		if marked != nil && !anyMarked(marked, g) {
			continue
		}
		vals := make([]float64, len(g))
		for k, j := range g {
			vals[k] = t.F[j]
		}
		if err := recodeGroup(e, vals); err != nil {
			return err
		}
		for k, j := range g {
			t.F[j] = roundTo(t.Elem, vals[k])
		}
	}
	return nil
}

func anyMarked(marked []bool, g []int) bool {
	for _, j := range g {
		if marked[j] {
			return true
		}
	}
	return false
}

// scaleGroups lists the elements of a tensor that share a scale, group by
// group in the order of the scales, and in row-major order within a group.
func scaleGroups(e enc.Encoding, shape []int64) [][]int {
	of, count := scaleIndex(e, shape)
	out := make([][]int, count)
	for i, g := range of {
		out[g] = append(out[g], i)
	}
	return out
}

// scaleIndex returns, for each element, the row-major number of its scale
// (or block), and how many there are.
func scaleIndex(e enc.Encoding, shape []int64) (of []int, count int) {
	if e.Axis < 0 {
		return make([]int, size(shape)), 1
	}
	block := int64(e.BlockLen)
	if e.Kind == enc.Block {
		block, _ = e.Format.BlockSize()
	}
	scales := make([]int64, len(shape))
	for a, d := range shape {
		switch {
		case a != e.Axis && block == 0:
			scales[a] = 1
		case a == e.Axis && block > 0:
			scales[a] = d/block + min(1, d%block)
		default:
			scales[a] = d
		}
	}
	st := strides(scales)
	of = make([]int, 0, size(shape))
	walk(shape, func(index []int64) {
		g := 0
		for a, i := range index {
			switch {
			case a == e.Axis && block > 0:
				g += int(i/block) * st[a]
			case a == e.Axis || block > 0:
				g += int(i) * st[a]
			}
		}
		of = append(of, g)
	})
	return of, size(scales)
}

// recodeGroup quantizes numbers that share a scale and takes them back.
func recodeGroup(e enc.Encoding, vals []float64) error {
	if e.Kind == enc.Block {
		b, err := encodeBlock(e.Format, vals)
		if err != nil {
			return err
		}
		return decodeBlock(e.Format, b, vals)
	}
	least, most := e.Store.IntRange()
	lo, hi := 0.0, 0.0
	for _, f := range vals {
		lo, hi = min(lo, f), max(hi, f)
	}
	scale, zero := 0.0, 0.0
	if e.HasZero {
		scale = roundTo(e.Scale, (hi-lo)/float64(most-least))
		if scale != 0 {
			zero = max(float64(least), min(float64(most), math.RoundToEven(float64(least)-lo/scale)))
		}
	} else {
		scale = roundTo(e.Scale, max(-lo, hi)/float64(most))
		if least < 0 {
			least = -most
		}
	}
	for i, f := range vals {
		if scale == 0 {
			vals[i] = 0
			continue
		}
		code := max(float64(least), min(float64(most), math.RoundToEven(f/scale)+zero))
		vals[i] = scale * (code - zero)
	}
	return nil
}
