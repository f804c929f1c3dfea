package graph

import (
	"fmt"
	"strings"

	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
)

// Type is the type of a value: what each element is to an operator, how many
// there are, and how they are stored.
type Type struct {
	Elem  enc.Elem
	Shape dim.Shape
	// Enc is the storage. Only weights and states have another one than the
	// zero Encoding (plain, in Elem itself).
	Enc enc.Encoding
}

// Of returns a plain type.
func Of(elem enc.Elem, dims ...dim.Dim) Type { return Type{Elem: elem, Shape: dims} }

// OfInts returns a plain type of constant shape.
func OfInts(elem enc.Elem, dims ...int64) Type { return Type{Elem: elem, Shape: dim.Ofs(dims...)} }

// Rank returns the number of dimensions.
func (t Type) Rank() int { return len(t.Shape) }

// Equal reports whether element type, shape and encoding are the same.
func (t Type) Equal(u Type) bool {
	return t.Elem == u.Elem && t.Enc == u.Enc && t.Shape.Equal(u.Shape)
}

// Subst replaces symbols by values.
func (t Type) Subst(b dim.Binding) Type {
	t.Shape = t.Shape.Subst(b)
	return t
}

// String returns the text form, such as "f32[tiles,196,1152]" or
// "f32[192,128] as(f16)".
func (t Type) String() string {
	s := t.Elem.String() + t.Shape.String()
	if t.Enc != (enc.Encoding{}) {
		s += " " + t.Enc.String()
	}
	return s
}

// ParseType is the inverse of Type.String.
func ParseType(s string) (Type, error) {
	elem, rest, ok := strings.Cut(s, "[")
	dims, encoding, ok2 := strings.Cut(rest, "]")
	if !ok || !ok2 {
		return Type{}, fmt.Errorf("graph: type %q: want ELEM[DIM,...]", s)
	}
	e, err := enc.ParseElem(elem)
	if err != nil {
		return Type{}, fmt.Errorf("graph: type %q: %w", s, err)
	}
	t := Type{Elem: e}
	if dims != "" {
		if strings.Count(dims, ",") >= MaxRank {
			return Type{}, fmt.Errorf("graph: type %q has more than %d dimensions", s, MaxRank)
		}
		for _, f := range strings.Split(dims, ",") {
			d, err := dim.Parse(f)
			if err != nil {
				return Type{}, fmt.Errorf("graph: type %q: %w", s, err)
			}
			t.Shape = append(t.Shape, d)
		}
	}
	if encoding != "" {
		if t.Enc, err = enc.Parse(strings.TrimPrefix(encoding, " ")); err != nil {
			return Type{}, fmt.Errorf("graph: type %q: %w", s, err)
		}
	}
	return t, nil
}

// MaxRank bounds the number of dimensions of a value.
const MaxRank = 16

// Tensor is a constant: plain elements, dense, row-major, little-endian,
// sub-byte types packed as package enc says.
type Tensor struct {
	Elem  enc.Elem
	Shape []int64
	Data  []byte
}

// Valid returns nil, or why the data does not match type and shape.
func (t *Tensor) Valid() error {
	n, err := dim.Count(t.Shape)
	if err != nil {
		return fmt.Errorf("graph: tensor: %w", err)
	}
	size, err := t.Elem.Bytes(n)
	if err != nil {
		return fmt.Errorf("graph: tensor: %w", err)
	}
	if size != int64(len(t.Data)) {
		return fmt.Errorf("graph: tensor %s%v needs %d bytes, has %d", t.Elem, t.Shape, size, len(t.Data))
	}
	return nil
}

// Type returns the tensor's type.
func (t *Tensor) Type() Type { return OfInts(t.Elem, t.Shape...) }
