package abi

import (
	_ "embed"
	"fmt"
	"strings"
)

// Version of the interface that this program speaks. Libraries of another
// major version are refused; a library of another minor version loads.
const (
	Major = 0
	Minor = 1
)

// EntryPoint is the one symbol that a library exports.
const EntryPoint = "heddle_driver_get"

// GraphAccessors is the hand-written part of the header: C functions that
// read a graph's binary form in place.
//
//go:embed graph.h.inc
var GraphAccessors string

// Spec is the whole description.
type Spec struct {
	Enums   []*Enum
	Structs []*Struct // each after those it contains
	Funcs   []*Func   // in the order of the table
}

// Enum is a set of named numbers.
type Enum struct {
	Name   string // C: enum heddle_<name>
	Doc    string
	Values []EnumValue
}

// EnumValue is one of them.
type EnumValue struct {
	Name string // C: HEDDLE_<NAME>
	N    int
	Doc  string
}

// Struct is a structure. Its fields lie where natural alignment puts them,
// without gaps: padding is written as a field.
type Struct struct {
	Name string // C: heddle_<name>
	Doc  string
	// Fixed structures are values inside of others and never change; the
	// others begin with their size and may grow at the end.
	Fixed  bool
	Fields []Field
}

// Field is a member of a structure.
type Field struct {
	Name string
	Type Type
	// Dir tells who writes the field; None for padding and in Fixed structures.
	Dir Dir
	Doc string
}

// Dir tells who writes a field.
type Dir uint8

// The directions.
const (
	None Dir = iota
	In       // the host, before the call
	Out      // the driver, during the call
)

// Func is an entry of the driver's table.
type Func struct {
	Name string // C: member name, type heddle_<name>_fn
	Self string // what the first argument is
	Args *Struct
	Doc  string
	// Required functions are in every table; a library without another one
	// lacks what it does.
	Required bool
}

// Type is the type of a field.
type Type struct {
	Go, C       string
	Size, Align int
	Struct      *Struct // of a nested structure
}

// The scalar types. Addresses are integers in Go: what they point to is the
// C side's, or pinned.
var (
	U32 = Type{Go: "uint32", C: "uint32_t", Size: 4, Align: 4}
	I32 = Type{Go: "int32", C: "int32_t", Size: 4, Align: 4}
	U64 = Type{Go: "uint64", C: "uint64_t", Size: 8, Align: 8}
	I64 = Type{Go: "int64", C: "int64_t", Size: 8, Align: 8}
)

// Ptr is the address of something of C type c.
func Ptr(c string) Type { return Type{Go: "uintptr", C: c + " *", Size: 8, Align: 8} }

// Of is a structure by value, inside of another.
func Of(s *Struct) Type {
	size, align, err := s.Layout(nil)
	if err != nil {
		panic(err) // a mistake in tables.go, which every test finds
	}
	return Type{Go: GoName(s.Name), C: "heddle_" + s.Name, Size: size, Align: align, Struct: s}
}

// Layout returns the size and alignment of a structure, and the offset of
// each field in at if that is not nil. A gap between fields is an error.
func (s *Struct) Layout(at map[string]int) (size, align int, err error) {
	align = 1
	for _, f := range s.Fields {
		if f.Type.Align == 0 || size%f.Type.Align != 0 {
			return 0, 0, fmt.Errorf("abi: %s.%s at %d needs padding in front: write it as a field", s.Name, f.Name, size)
		}
		if at != nil {
			at[f.Name] = size
		}
		size += f.Type.Size
		align = max(align, f.Type.Align)
	}
	if size%align != 0 {
		return 0, 0, fmt.Errorf("abi: %s of %d bytes needs padding behind: write it as a field", s.Name, size)
	}
	return size, align, nil
}

// initialisms are written in capitals in Go names.
var initialisms = map[string]string{"id": "ID", "fd": "FD", "abi": "ABI", "json": "JSON", "onnx": "ONNX", "ir": "IR", "ns": "NS", "gpu": "GPU", "npu": "NPU", "cpu": "CPU", "memfd": "MemFD", "dmabuf": "DMABuf", "ok": "OK"}

// GoName turns a name such as "graph_size" into GraphSize.
func GoName(name string) string {
	var b strings.Builder
	for part := range strings.SplitSeq(name, "_") {
		if up, ok := initialisms[part]; ok {
			b.WriteString(up)
		} else if part != "" {
			b.WriteString(strings.ToUpper(part[:1]) + part[1:])
		}
	}
	return b.String()
}
