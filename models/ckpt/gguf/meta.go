package gguf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// ErrNoKey is wrapped by the errors of the getters when the file lacks the
// key, so that a caller can tell an absent value from one of the wrong type.
var ErrNoKey = errors.New("metadata key is missing")

// value is a metadata value as it lies in the file. Its raw bytes were walked
// when the header was read, so decoding them cannot run past their end.
type value struct {
	kind  Kind
	elem  Kind   // of an array
	count uint64 // of an array
	raw   []byte // for a string: its bytes; for an array: its elements
}

// Has says whether the file has the metadata key.
func (f *File) Has(key string) bool {
	_, ok := f.meta[key]
	return ok
}

// Uint returns a whole number that is not negative, of any width.
func (f *File) Uint(key string) (uint64, error) {
	v, err := f.lookup(key)
	if err != nil {
		return 0, err
	}
	if !v.kind.integer() {
		return 0, wrongKind(key, v, "a whole number")
	}
	u, negative := wholeNumber(v.kind, v.raw)
	if negative {
		return 0, fmt.Errorf("metadata key %q is %d, want a number that is not negative", key, int64(u))
	}
	return u, nil
}

// Int returns a whole number of any width.
func (f *File) Int(key string) (int64, error) {
	v, err := f.lookup(key)
	if err != nil {
		return 0, err
	}
	if !v.kind.integer() {
		return 0, wrongKind(key, v, "a whole number")
	}
	u, negative := wholeNumber(v.kind, v.raw)
	if !negative && u > math.MaxInt64 {
		return 0, fmt.Errorf("metadata key %q is %d, more than 63 bits hold", key, u)
	}
	return int64(u), nil
}

// Float returns a number; a whole number is converted.
func (f *File) Float(key string) (float64, error) {
	v, err := f.lookup(key)
	if err != nil {
		return 0, err
	}
	if x, ok := number(v.kind, v.raw); ok {
		return x, nil
	}
	return 0, wrongKind(key, v, "a number")
}

// Bool returns a truth value.
func (f *File) Bool(key string) (bool, error) {
	v, err := f.lookup(key)
	if err != nil {
		return false, err
	}
	if v.kind != KindBool {
		return false, wrongKind(key, v, "a bool")
	}
	return v.raw[0] != 0, nil
}

// String returns a string. It is not checked to be UTF-8.
func (f *File) String(key string) (string, error) {
	v, err := f.lookup(key)
	if err != nil {
		return "", err
	}
	if v.kind != KindString {
		return "", wrongKind(key, v, "a string")
	}
	return string(v.raw), nil
}

// Strings returns an array of strings. They are copies and outlive the file.
func (f *File) Strings(key string) ([]string, error) {
	v, err := f.lookup(key)
	if err != nil {
		return nil, err
	}
	if v.kind != KindArray || v.elem != KindString {
		return nil, wrongKind(key, v, "an array of strings")
	}
	out := make([]string, v.count)
	raw := v.raw
	for i := range out {
		n := binary.LittleEndian.Uint64(raw)
		out[i] = string(raw[8 : 8+n])
		raw = raw[8+n:]
	}
	return out, nil
}

// Ints returns an array of whole numbers of any width.
func (f *File) Ints(key string) ([]int64, error) {
	v, err := f.lookup(key)
	if err != nil {
		return nil, err
	}
	if v.kind != KindArray || !v.elem.integer() {
		return nil, wrongKind(key, v, "an array of whole numbers")
	}
	out := make([]int64, v.count)
	size := kinds[v.elem].size
	for i := range out {
		u, negative := wholeNumber(v.elem, v.raw[i*size:])
		if !negative && u > math.MaxInt64 {
			return nil, fmt.Errorf("metadata key %q: element %d is %d, more than 63 bits hold", key, i, u)
		}
		out[i] = int64(u)
	}
	return out, nil
}

// Floats returns an array of numbers; whole numbers are converted.
func (f *File) Floats(key string) ([]float64, error) {
	v, err := f.lookup(key)
	if err != nil {
		return nil, err
	}
	if _, ok := number(v.elem, zeros[:]); v.kind != KindArray || !ok {
		return nil, wrongKind(key, v, "an array of numbers")
	}
	out := make([]float64, v.count)
	size := kinds[v.elem].size
	for i := range out {
		out[i], _ = number(v.elem, v.raw[i*size:])
	}
	return out, nil
}

// Value returns a value in the Go type nearest to its metadata type: int64,
// uint64, float64, bool, string, or []any of these for an array. It is meant
// for listings; code that needs a certain type uses its getter.
func (f *File) Value(key string) (any, error) {
	v, err := f.lookup(key)
	if err != nil {
		return nil, err
	}
	out, _ := decode(v.kind, v)
	return out, nil
}

// decode returns the value and how many bytes of raw it took.
func decode(kind Kind, v value) (any, int) {
	switch {
	case kind == KindString:
		return string(v.raw), len(v.raw)
	case kind == KindArray:
		out := make([]any, v.count)
		raw := v.raw
		for i := range out {
			elem, used := value{raw: raw}, 0
			switch v.elem {
			case KindString:
				n := binary.LittleEndian.Uint64(raw)
				elem.raw, used = raw[8:8+n], 8
			case KindArray:
				elem.elem = Kind(binary.LittleEndian.Uint32(raw))
				elem.count = binary.LittleEndian.Uint64(raw[4:])
				elem.raw, used = raw[12:], 12
			}
			x, n := decode(v.elem, elem)
			out[i], raw = x, raw[used+n:]
		}
		return out, len(v.raw) - len(raw)
	case kind == KindBool:
		return v.raw[0] != 0, 1
	case kind.integer():
		u, negative := wholeNumber(kind, v.raw)
		if negative || (kind != KindUint64 && u <= math.MaxInt64) {
			return int64(u), kinds[kind].size
		}
		return u, kinds[kind].size
	default:
		x, _ := number(kind, v.raw)
		return x, kinds[kind].size
	}
}

// KindOf returns the metadata type of a key, and for an array the type of its
// elements and their number.
func (f *File) KindOf(key string) (kind, elem Kind, count int, err error) {
	v, err := f.lookup(key)
	if err != nil {
		return 0, 0, 0, err
	}
	return v.kind, v.elem, int(v.count), nil
}

func (f *File) lookup(key string) (value, error) {
	if f.closed.Load() {
		return value{}, fmt.Errorf("metadata key %q: the GGUF file is closed", key)
	}
	v, ok := f.meta[key]
	if !ok {
		return value{}, fmt.Errorf("%w: %q", ErrNoKey, key)
	}
	return v, nil
}

func wrongKind(key string, v value, want string) error {
	got := v.kind.String()
	if v.kind == KindArray {
		got = "an array of " + v.elem.String()
	}
	return fmt.Errorf("metadata key %q is %s, want %s", key, got, want)
}

// zeros stands for a value where only its kind matters.
var zeros [8]byte

// wholeNumber reads an integer kind; a negative number comes back in two's
// complement.
func wholeNumber(kind Kind, raw []byte) (u uint64, negative bool) {
	le := binary.LittleEndian
	switch kind {
	case KindUint8:
		return uint64(raw[0]), false
	case KindUint16:
		return uint64(le.Uint16(raw)), false
	case KindUint32:
		return uint64(le.Uint32(raw)), false
	case KindUint64:
		return le.Uint64(raw), false
	}
	var i int64
	switch kind {
	case KindInt8:
		i = int64(int8(raw[0]))
	case KindInt16:
		i = int64(int16(le.Uint16(raw)))
	case KindInt32:
		i = int64(int32(le.Uint32(raw)))
	case KindInt64:
		i = int64(le.Uint64(raw))
	}
	return uint64(i), i < 0
}

// number reads any numeric kind; false for the others.
func number(kind Kind, raw []byte) (float64, bool) {
	switch {
	case kind == KindFloat32:
		return float64(math.Float32frombits(binary.LittleEndian.Uint32(raw))), true
	case kind == KindFloat64:
		return math.Float64frombits(binary.LittleEndian.Uint64(raw)), true
	case kind.integer():
		u, negative := wholeNumber(kind, raw)
		if negative {
			return float64(int64(u)), true
		}
		return float64(u), true
	}
	return 0, false
}
