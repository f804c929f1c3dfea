package graph

import (
	"slices"

	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
)

// ValueID and NodeID index Graph.Values and Graph.Nodes.
type (
	ValueID int32
	NodeID  int32
)

// NoValue stands for an omitted optional input or an unused optional output.
const NoValue ValueID = -1

// Graph is a model or a part of one. It is made by a Builder or a parser and
// must not be changed afterwards; then it is safe for concurrent use.
type Graph struct {
	Name string
	// Symbols declares every symbol that a type or constant mentions.
	Symbols []dim.Symbol
	// Sources names where the bytes of weights lie.
	Sources []Source
	// Values are numbered in the order of their definition: results in the
	// order of the nodes, and each behind what it is computed from.
	Values []Value
	// Nodes are in an order in which each comes after what it uses.
	Nodes   []Node
	Inputs  []ValueID // ascending
	Outputs []Port
	States  []State
}

// Port is an output: a value and the name callers bind.
type Port struct {
	Name  string
	Value ValueID
}

// Source is a place where weights lie, usually a file. Its name is resolved by
// the Data given at compile time, never opened by the graph.
type Source struct {
	Name string
	Size int64 // bytes; 0 when unknown
	// ID identifies the content, for caches; empty when unknown.
	ID string
}

// State is memory that outlives a run. In is the version that a run starts
// with, Out the version it leaves; both live in one buffer. Out equals In for
// a state that is only read.
type State struct {
	Name    string
	In, Out ValueID
}

// Kind tells where a value comes from.
type Kind uint8

// The kinds of values.
const (
	Result  Kind = iota // output of a node
	Input               // graph input
	Const               // weight or constant
	StateIn             // incoming version of a state
)

// Value is one edge of the graph.
type Value struct {
	// Name is unique in the graph.
	Name string
	Type Type
	Kind Kind
	Def  NodeID  // the node that makes it (Result), else -1
	Data *Weight // where its bytes lie (Const), else nil
}

// Const returns the constant that the value holds, if its bytes are in the
// graph itself as one plain tensor.
func (v *Value) Const() (*Tensor, bool) {
	if v == nil || v.Kind != Const || v.Data == nil || len(v.Data.Parts) != 1 || v.Data.Perm != nil || v.Type.Enc != (enc.Encoding{}) {
		return nil, false
	}
	p := &v.Data.Parts[0]
	if p.Source != "" || p.Inline == nil || p.Start != nil || p.Elem != v.Type.Elem || p.Enc != (enc.Encoding{}) {
		return nil, false
	}
	return &Tensor{Elem: p.Elem, Shape: p.Shape, Data: p.Inline}, true
}

// Dims returns the integers that the value holds, if it is a scalar or vector
// constant of integers (i64 or i32), symbolic or not: the shape operand of
// Reshape, Expand and their like.
func (v *Value) Dims() ([]dim.Dim, bool) {
	if v == nil || v.Kind != Const || v.Data == nil {
		return nil, false
	}
	if v.Data.Dims != nil {
		return v.Data.Dims, true
	}
	t, ok := v.Const()
	if !ok || len(t.Shape) > 1 {
		return nil, false
	}
	ns, ok := t.Ints()
	if !ok {
		return nil, false
	}
	return dim.Ofs(ns...), true
}

// OpRef names an operator: an ONNX one (Domain empty) or one of domain
// "heddle". Version is the operator-set version it is defined at.
type OpRef struct {
	Domain  string
	Name    string
	Version int
}

// String returns "MatMul" or "heddle.Name".
func (o OpRef) String() string {
	if o.Domain == "" {
		return o.Name
	}
	return o.Domain + "." + o.Name
}

// Node is one application of an operator.
type Node struct {
	Op OpRef
	// Name says where in the model the node belongs, such as "layer.3.mlp.up"; it
	// appears in errors, plans and traces and need not be unique.
	Name  string
	In    []ValueID // NoValue where an optional input is omitted, not at the end
	Out   []ValueID // NoValue where an optional output is unused, not at the end
	Attrs Attrs
}

// Weight says where the bytes of a Const value lie. The logical tensor is the
// concatenation of Parts along Axis, then permuted: logical dimension i is
// stored dimension Perm[i], as in ONNX's Transpose. Hugging Face stores
// [N,K], MatMul wants [K,N]: one part, Perm [1,0].
//
// Where the value's encoding differs from that of its parts, the weight is
// derived: it must be re-encoded once, into memory or a cache.
type Weight struct {
	Parts []Part
	Axis  int
	Perm  []int
	// Dims, if not nil, makes the value a vector (or with a scalar type, one)
	// of integers given by symbolic dimensions; there are no parts then.
	Dims []dim.Dim
}

// Part is one stored tensor, or a slice of it. Offsets are bytes in Source.
type Part struct {
	// Source names an entry of Graph.Sources. It is empty for bytes that the
	// graph carries itself (Inline: its planes one after the other), and for a
	// part without data, in a graph that is only planned with.
	Source                          string
	Inline                          []byte
	Offset, ScaleOffset, ZeroOffset int64
	// Elem, Shape and Enc are the stored tensor's own: for a plain part Elem
	// is the stored element type.
	Elem  enc.Elem
	Shape []int64
	Enc   enc.Encoding
	// Start and Size select a box of the stored tensor; nil selects it all.
	Start, Size []int64
}

// HasData reports whether every part of w can be read.
func (w *Weight) HasData() bool {
	if w.Dims != nil {
		return true
	}
	return !slices.ContainsFunc(w.Parts, func(p Part) bool { return p.Source == "" && p.Inline == nil })
}

// Box returns the selected shape of the part.
func (p *Part) Box() []int64 {
	if p.Size != nil {
		return p.Size
	}
	return p.Shape
}

// Data gives access to the bytes of sources. The slices stay valid, and must
// not be written, until the owner closes the data. Safe for concurrent use.
type Data interface {
	Source(name string) ([]byte, error)
}

// FileData is Data of which some sources lie in files. Another process, or a
// driver in another language, maps such a file itself instead of being sent
// the bytes.
type FileData interface {
	Data
	// File returns the descriptor of the file that holds a source, and where
	// the source begins in it; false when it is in memory only. The descriptor
	// is the owner's: duplicate it to keep it, do not close or seek it.
	File(name string) (fd uintptr, offset int64, ok bool)
}

// Symbol returns the declaration of a symbol.
func (g *Graph) Symbol(name string) (dim.Symbol, bool) {
	i := slices.IndexFunc(g.Symbols, func(s dim.Symbol) bool { return s.Name == name })
	if i < 0 {
		return dim.Symbol{}, false
	}
	return g.Symbols[i], true
}

// Value returns the value with an id, nil for NoValue.
func (g *Graph) Value(id ValueID) *Value {
	if id < 0 || int(id) >= len(g.Values) {
		return nil
	}
	return &g.Values[id]
}

// Input returns the input with a name.
func (g *Graph) Input(name string) (ValueID, bool) {
	for _, id := range g.Inputs {
		if g.Values[id].Name == name {
			return id, true
		}
	}
	return NoValue, false
}

// Output returns the output with a name.
func (g *Graph) Output(name string) (ValueID, bool) {
	for _, p := range g.Outputs {
		if p.Name == name {
			return p.Value, true
		}
	}
	return NoValue, false
}

// Call returns node id as its operator's schema sees it.
func (g *Graph) Call(id NodeID) *Call {
	n := &g.Nodes[id]
	c := &Call{Op: n.Op, Name: n.Name, Attrs: n.Attrs, In: make([]*Value, len(n.In)), Out: make([]bool, len(n.Out)), Symbols: g.Symbols}
	for i, v := range n.In {
		c.In[i] = g.Value(v)
	}
	for i, v := range n.Out {
		c.Out[i] = v != NoValue
	}
	return c
}
