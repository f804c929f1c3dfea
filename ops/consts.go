package ops

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
)

// scalar adds a scalar constant of any element type but the nibbles; integers
// are rounded toward zero and must be in range.
func scalar(b *graph.Builder, elem enc.Elem, f float64) graph.ValueID {
	if elem.IsFloat() {
		return b.Float(elem, f)
	}
	var data []byte
	switch i := int64(f); elem.Bits() {
	case 64:
		data = binary.LittleEndian.AppendUint64(nil, uint64(i))
	case 32:
		data = binary.LittleEndian.AppendUint32(nil, uint32(i))
	case 16:
		data = binary.LittleEndian.AppendUint16(nil, uint16(i))
	case 8:
		data = []byte{byte(i)}
	default:
		b.Fail(fmt.Errorf("no scalar of type %s", elem))
		return graph.NoValue
	}
	return b.Const("", &graph.Tensor{Elem: elem, Data: data})
}

// dimScalar adds an i64 scalar that may be symbolic.
func dimScalar(b *graph.Builder, d dim.Dim) graph.ValueID {
	if n, ok := d.Const(); ok {
		return b.Const("", graph.I64(n).Scalar())
	}
	return b.Weight("", graph.OfInts(enc.I64), &graph.Weight{Dims: []dim.Dim{d}})
}

// counting adds the vector 0, 1, ... n-1.
func counting(b *graph.Builder, n dim.Dim) graph.ValueID {
	return b.Op("Range", values{dimScalar(b, dim.Of(0)), dimScalar(b, n), dimScalar(b, dim.Of(1))})
}

// cast converts v, if it has another type or encoding.
func cast(b *graph.Builder, v graph.ValueID, to enc.Elem) graph.ValueID {
	if t := b.Type(v); t.Elem == to && t.Enc == (enc.Encoding{}) {
		return v
	}
	return b.Op("Cast", values{v}, graph.Elem("to", to))
}

// reshape gives v another shape.
func reshape(b *graph.Builder, v graph.ValueID, shape ...dim.Dim) graph.ValueID {
	if b.Type(v).Shape.Equal(shape) {
		return v
	}
	return b.Op("Reshape", values{v, b.Dims(shape...)}, allowZero(shape)...)
}

// allowZero makes zeros of a shape operand mean zero where there are any.
func allowZero(shape dim.Shape) []graph.Attr {
	for _, d := range shape {
		if d.Is(0) {
			return []graph.Attr{graph.Int("allowzero", 1)}
		}
	}
	return nil
}

// scalarValue reads a constant of one element as a number.
func scalarValue(t *graph.Tensor) (float64, bool) {
	n, err := dim.Count(t.Shape)
	if err != nil || n != 1 || t.Valid() != nil {
		return 0, false
	}
	le := binary.LittleEndian
	switch t.Elem {
	case enc.F64:
		return math.Float64frombits(le.Uint64(t.Data)), true
	case enc.F32:
		return float64(math.Float32frombits(le.Uint32(t.Data))), true
	case enc.F16:
		return float64(enc.F16ToF32(le.Uint16(t.Data))), true
	case enc.BF16:
		return float64(enc.BF16ToF32(le.Uint16(t.Data))), true
	case enc.I16:
		return float64(int16(le.Uint16(t.Data))), true
	}
	if ns, ok := t.Ints(); ok {
		return float64(ns[0]), true
	}
	return 0, false
}

// countSteps returns how many elements a floating-point Range has.
func countSteps(start, limit, delta float64) (dim.Dim, error) {
	n := math.Ceil((limit - start) / delta)
	if math.IsNaN(n) || n > 1<<53 {
		return dim.Dim{}, fmt.Errorf("the range from %v to %v by %v has no length", start, limit, delta)
	}
	return dim.Of(int64(max(n, 0))), nil
}

// foldRange folds a short Range of integers.
func foldRange(c *graph.Call) ([]dim.Dim, bool) {
	start, ok := foldable(c, 0)
	delta, ok2 := foldable(c, 2)
	if !ok || !ok2 {
		return nil, false
	}
	length, err := rangeLen(c)
	if err != nil {
		return nil, false
	}
	n, ok := length.Const()
	if !ok || n > maxFold {
		return nil, false
	}
	out := make([]dim.Dim, n)
	d := start[0]
	for i := range out {
		out[i] = d
		d = d.Add(delta[0])
	}
	return out, true
}
