package oracle

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
)

// Tensor holds logical values, dense and row-major. Exactly one of F, I and U
// is used, by element type: F for floating-point types, each number rounded
// to Elem; I for signed integers and for bool (0 or 1); U for unsigned
// integers. A nil Shape is a scalar's.
//
// Tensors are shared between results and must not be written once made.
type Tensor struct {
	Elem  enc.Elem
	Shape []int64
	F     []float64
	I     []int64
	U     []uint64
}

// newTensor returns a tensor of zeros. Callers make sure that its size is no
// mere claim: see node.fits.
func newTensor(elem enc.Elem, shape []int64) (*Tensor, error) {
	n, err := dim.Count(shape)
	if err != nil {
		return nil, err
	}
	t := &Tensor{Elem: elem, Shape: slices.Clone(shape)}
	switch {
	case elem.IsFloat():
		t.F = make([]float64, n)
	case unsigned(elem):
		t.U = make([]uint64, n)
	case elem.Valid():
		t.I = make([]int64, n)
	default:
		return nil, fmt.Errorf("element type %s is not valid", elem)
	}
	return t, nil
}

// unsigned reports whether values of e live in Tensor.U.
func unsigned(e enc.Elem) bool { return e.IsInt() && !e.IsSigned() }

// Len returns the number of elements.
func (t *Tensor) Len() int { return len(t.F) + len(t.I) + len(t.U) }

// valid returns nil, or why t is not a well-formed tensor.
func (t *Tensor) valid() error {
	n, err := dim.Count(t.Shape)
	if err != nil {
		return err
	}
	used := len(t.F)
	switch {
	case !t.Elem.Valid():
		return fmt.Errorf("element type %s is not valid", t.Elem)
	case unsigned(t.Elem):
		used = len(t.U)
	case !t.Elem.IsFloat():
		used = len(t.I)
	}
	if int64(used) != n || t.Len() != used {
		return fmt.Errorf("tensor %s%v holds %d floats, %d signed and %d unsigned numbers", t.Elem, t.Shape, len(t.F), len(t.I), len(t.U))
	}
	return nil
}

// with returns t's values under another shape of the same size.
func (t *Tensor) with(shape []int64) *Tensor {
	u := *t
	u.Shape = slices.Clone(shape)
	return &u
}

// set copies element j of s, which has the same type, to element i.
func (t *Tensor) set(i int, s *Tensor, j int) {
	switch {
	case t.F != nil:
		t.F[i] = s.F[j]
	case t.U != nil:
		t.U[i] = s.U[j]
	default:
		t.I[i] = s.I[j]
	}
}

// float returns element i as a float64, whatever its type. Integers beyond
// 2^53 are rounded.
func (t *Tensor) float(i int) float64 {
	switch {
	case t.F != nil:
		return t.F[i]
	case t.U != nil:
		return float64(t.U[i])
	}
	return float64(t.I[i])
}

// less compares elements i and j of t. NaN is greater than every number, so
// that orders are total.
func (t *Tensor) less(i, j int) bool {
	switch {
	case t.F != nil:
		a, b := t.F[i], t.F[j]
		return a < b || b != b && a == a
	case t.U != nil:
		return t.U[i] < t.U[j]
	}
	return t.I[i] < t.I[j]
}

// FromBytes reads a dense little-endian tensor; sub-byte types are packed as
// package enc says. data must have exactly the size that type and shape need.
// A bool is true when its byte is not 0.
func FromBytes(elem enc.Elem, shape []int64, data []byte) (*Tensor, error) {
	if err := (&graph.Tensor{Elem: elem, Shape: shape, Data: data}).Valid(); err != nil {
		return nil, fmt.Errorf("oracle: %w", err)
	}
	t, err := newTensor(elem, shape)
	if err != nil {
		return nil, fmt.Errorf("oracle: %w", err)
	}
	t.read(data)
	return t, nil
}

// read fills t from packed bytes, which suffice.
func (t *Tensor) read(data []byte) {
	le := binary.LittleEndian
	for i := range t.Len() {
		switch t.Elem {
		case enc.F64:
			t.F[i] = math.Float64frombits(le.Uint64(data[8*i:]))
		case enc.F32:
			t.F[i] = float64(math.Float32frombits(le.Uint32(data[4*i:])))
		case enc.F16:
			t.F[i] = float64(enc.F16ToF32(le.Uint16(data[2*i:])))
		case enc.BF16:
			t.F[i] = float64(enc.BF16ToF32(le.Uint16(data[2*i:])))
		case enc.I64:
			t.I[i] = int64(le.Uint64(data[8*i:]))
		case enc.I32:
			t.I[i] = int64(int32(le.Uint32(data[4*i:])))
		case enc.I16:
			t.I[i] = int64(int16(le.Uint16(data[2*i:])))
		case enc.I8:
			t.I[i] = int64(int8(data[i]))
		case enc.I4:
			t.I[i] = int64(int8(data[i/2]>>(i%2*4)<<4) >> 4)
		case enc.U64:
			t.U[i] = le.Uint64(data[8*i:])
		case enc.U32:
			t.U[i] = uint64(le.Uint32(data[4*i:]))
		case enc.U16:
			t.U[i] = uint64(le.Uint16(data[2*i:]))
		case enc.U8:
			t.U[i] = uint64(data[i])
		case enc.U4:
			t.U[i] = uint64(data[i/2] >> (i % 2 * 4) & 15)
		case enc.Bool:
			t.I[i] = boolInt(data[i] != 0)
		}
	}
}

// Bytes is the inverse of FromBytes.
func (t *Tensor) Bytes() ([]byte, error) {
	if err := t.valid(); err != nil {
		return nil, fmt.Errorf("oracle: %w", err)
	}
	n := t.Len()
	size, err := t.Elem.Bytes(int64(n))
	if err != nil {
		return nil, fmt.Errorf("oracle: %w", err)
	}
	out := make([]byte, size)
	le := binary.LittleEndian
	for i := range n {
		switch t.Elem {
		case enc.F64:
			le.PutUint64(out[8*i:], math.Float64bits(t.F[i]))
		case enc.F32:
			le.PutUint32(out[4*i:], math.Float32bits(float32(t.F[i])))
		case enc.F16:
			le.PutUint16(out[2*i:], enc.F64ToF16(t.F[i]))
		case enc.BF16:
			le.PutUint16(out[2*i:], enc.F64ToBF16(t.F[i]))
		case enc.I64:
			le.PutUint64(out[8*i:], uint64(t.I[i]))
		case enc.I32:
			le.PutUint32(out[4*i:], uint32(t.I[i]))
		case enc.I16:
			le.PutUint16(out[2*i:], uint16(t.I[i]))
		case enc.I8, enc.Bool:
			out[i] = byte(t.I[i])
		case enc.I4:
			out[i/2] |= byte(t.I[i]) & 15 << (i % 2 * 4)
		case enc.U64:
			le.PutUint64(out[8*i:], t.U[i])
		case enc.U32:
			le.PutUint32(out[4*i:], uint32(t.U[i]))
		case enc.U16:
			le.PutUint16(out[2*i:], uint16(t.U[i]))
		case enc.U8:
			out[i] = byte(t.U[i])
		case enc.U4:
			out[i/2] |= byte(t.U[i]) & 15 << (i % 2 * 4)
		}
	}
	return out, nil
}

// FromConst returns the values of a constant.
func FromConst(t *graph.Tensor) (*Tensor, error) { return FromBytes(t.Elem, t.Shape, t.Data) }

// Const returns t as a constant that a graph can carry.
func (t *Tensor) Const() (*graph.Tensor, error) {
	data, err := t.Bytes()
	if err != nil {
		return nil, err
	}
	return &graph.Tensor{Elem: t.Elem, Shape: slices.Clone(t.Shape), Data: data}, nil
}
