package graph

import (
	"fmt"
	"math"
	"slices"

	"github.com/heddle-ml/heddle/graph/enc"
)

// AttrKind is the type of an attribute's value.
type AttrKind uint8

// The kinds of attributes: ONNX's, less subgraphs, plus element types (which
// ONNX writes as integers).
const (
	AttrInt AttrKind = iota + 1
	AttrFloat
	AttrString
	AttrInts
	AttrFloats
	AttrStrings
	AttrElem
	AttrTensor
)

// Attr is a named attribute. Kind says which field holds the value; the others
// are zero.
type Attr struct {
	Name    string
	Kind    AttrKind
	Int     int64
	Float   float32
	Str     string
	Ints    []int64
	Floats  []float32
	Strings []string
	Elem    enc.Elem
	Tensor  *Tensor
}

// Int, Float, Str, Ints, Floats, Strings, Elem and TensorAttr make attributes.
func Int(name string, v int64) Attr         { return Attr{Name: name, Kind: AttrInt, Int: v} }
func Float(name string, v float32) Attr     { return Attr{Name: name, Kind: AttrFloat, Float: v} }
func Str(name, v string) Attr               { return Attr{Name: name, Kind: AttrString, Str: v} }
func Ints(name string, v ...int64) Attr     { return Attr{Name: name, Kind: AttrInts, Ints: v} }
func Floats(name string, v ...float32) Attr { return Attr{Name: name, Kind: AttrFloats, Floats: v} }
func Strings(name string, v ...string) Attr { return Attr{Name: name, Kind: AttrStrings, Strings: v} }
func Elem(name string, v enc.Elem) Attr     { return Attr{Name: name, Kind: AttrElem, Elem: v} }
func TensorAttr(name string, v *Tensor) Attr {
	return Attr{Name: name, Kind: AttrTensor, Tensor: v}
}

// Equal reports whether a and b have the same name and value. Floats are
// compared by value; NaN equals nothing.
func (a Attr) Equal(b Attr) bool {
	if a.Name != b.Name || a.Kind != b.Kind || a.Int != b.Int || a.Float != b.Float || a.Str != b.Str || a.Elem != b.Elem ||
		!slices.Equal(a.Ints, b.Ints) || !slices.Equal(a.Floats, b.Floats) || !slices.Equal(a.Strings, b.Strings) || (a.Tensor == nil) != (b.Tensor == nil) {
		return false
	}
	return a.Tensor == nil || a.Tensor.Elem == b.Tensor.Elem && slices.Equal(a.Tensor.Shape, b.Tensor.Shape) && string(a.Tensor.Data) == string(b.Tensor.Data)
}

// Attrs is a node's attributes, each name once, sorted by name.
type Attrs []Attr

func (as Attrs) find(name string, kind AttrKind) *Attr {
	for i := range as {
		if as[i].Name == name && as[i].Kind == kind {
			return &as[i]
		}
	}
	return nil
}

// Has reports whether an attribute is present, of whatever kind.
func (as Attrs) Has(name string) bool {
	return slices.ContainsFunc(as, func(a Attr) bool { return a.Name == name })
}

// Int returns an integer attribute, or def when it is absent.
func (as Attrs) Int(name string, def int64) int64 {
	if a := as.find(name, AttrInt); a != nil {
		return a.Int
	}
	return def
}

// Float returns a float attribute, or def when it is absent.
func (as Attrs) Float(name string, def float32) float32 {
	if a := as.find(name, AttrFloat); a != nil {
		return a.Float
	}
	return def
}

// Str returns a string attribute, or def when it is absent.
func (as Attrs) Str(name, def string) string {
	if a := as.find(name, AttrString); a != nil {
		return a.Str
	}
	return def
}

// Ints returns an integer-list attribute, nil when it is absent.
func (as Attrs) Ints(name string) []int64 {
	if a := as.find(name, AttrInts); a != nil {
		return a.Ints
	}
	return nil
}

// Floats returns a float-list attribute, nil when it is absent.
func (as Attrs) Floats(name string) []float32 {
	if a := as.find(name, AttrFloats); a != nil {
		return a.Floats
	}
	return nil
}

// Strings returns a string-list attribute, nil when it is absent.
func (as Attrs) Strings(name string) []string {
	if a := as.find(name, AttrStrings); a != nil {
		return a.Strings
	}
	return nil
}

// Elem returns an element-type attribute, or def when it is absent.
func (as Attrs) Elem(name string, def enc.Elem) enc.Elem {
	if a := as.find(name, AttrElem); a != nil {
		return a.Elem
	}
	return def
}

// Tensor returns a tensor attribute, nil when it is absent.
func (as Attrs) Tensor(name string) *Tensor {
	if a := as.find(name, AttrTensor); a != nil {
		return a.Tensor
	}
	return nil
}

// sorted returns the attributes in canonical order, or an error when a name
// occurs twice.
func (as Attrs) sorted() (Attrs, error) {
	out := slices.Clone(as)
	slices.SortStableFunc(out, func(a, b Attr) int {
		if a.Name < b.Name {
			return -1
		}
		if a.Name > b.Name {
			return 1
		}
		return 0
	})
	for i := 1; i < len(out); i++ {
		if out[i].Name == out[i-1].Name {
			return nil, fmt.Errorf("attribute %q occurs twice", out[i].Name)
		}
	}
	return out, nil
}

// valid returns nil, or why the attributes are not in canonical form.
func (as Attrs) valid() error {
	for i := range as {
		a := &as[i]
		if a.Name == "" || len(a.Name) > maxName || i > 0 && a.Name <= as[i-1].Name {
			return fmt.Errorf("attribute %.64q has no name of its own, or is not in ascending order", a.Name)
		}
		if err := a.valid(); err != nil {
			return fmt.Errorf("attribute %q: %w", a.Name, err)
		}
	}
	return nil
}

// valid returns nil, or why a does not hold one value, of its kind.
func (a *Attr) valid() error {
	rest := *a
	switch a.Kind {
	case AttrInt:
		rest.Int = 0
	case AttrFloat:
		rest.Float = 0
	case AttrString:
		rest.Str = ""
	case AttrInts:
		rest.Ints = nil
	case AttrFloats:
		rest.Floats = nil
	case AttrStrings:
		rest.Strings = nil
	case AttrElem:
		if !a.Elem.Valid() {
			return fmt.Errorf("invalid element type %d", a.Elem)
		}
		rest.Elem = enc.Invalid
	case AttrTensor:
		if a.Tensor == nil || len(a.Tensor.Shape) > MaxRank {
			return fmt.Errorf("has no tensor, or one of more than %d dimensions", MaxRank)
		}
		if err := a.Tensor.Valid(); err != nil {
			return err
		}
		rest.Tensor = nil
	default:
		return fmt.Errorf("unknown kind %d", a.Kind)
	}
	if rest.Int != 0 || math.Float32bits(rest.Float) != 0 || rest.Str != "" || rest.Ints != nil || rest.Floats != nil || rest.Strings != nil || rest.Elem != enc.Invalid || rest.Tensor != nil {
		return fmt.Errorf("holds a value of another kind than its own")
	}
	return nil
}
