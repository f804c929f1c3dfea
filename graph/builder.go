package graph

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
)

// Schemas gives operators their meaning. Package ops implements it.
type Schemas interface {
	// Lookup finds an operator by domain and name.
	Lookup(domain, name string) (OpRef, error)
	// Infer checks a call and returns the types of its outputs, one for each
	// element of c.Out. It need not check that symbols are declared.
	Infer(c *Call) ([]Type, error)
	// Updates reports whether the operator consumes a state version as its
	// first input and yields the next one as its first output.
	Updates(op OpRef) bool
}

// Call is one application of an operator as its schema sees it.
type Call struct {
	Op    OpRef
	Name  string // of the node, for messages
	Attrs Attrs
	In    []*Value // nil where omitted
	Out   []bool   // whether each output is wanted
	// Symbols are the graph's, for bounds.
	Symbols []dim.Symbol
}

// Has reports whether input i is present.
func (c *Call) Has(i int) bool { return i < len(c.In) && c.In[i] != nil }

// Type returns the type of input i, the zero Type when it is omitted.
func (c *Call) Type(i int) Type {
	if !c.Has(i) {
		return Type{}
	}
	return c.In[i].Type
}

// Want reports whether output i is used.
func (c *Call) Want(i int) bool { return i < len(c.Out) && c.Out[i] }

// Builder makes a graph. The first error sticks: later calls do nothing and
// return NoValue, and Build returns it; so model code reads without checks.
// One goroutine.
type Builder struct {
	g       Graph
	schemas Schemas
	names   map[string]bool
	scope   string
	serial  int
	err     error
	ints    map[string]ValueID // shape constants, shared
}

// NewBuilder starts an empty graph whose operators s knows.
func NewBuilder(name string, s Schemas) *Builder {
	return &Builder{g: Graph{Name: name}, schemas: s, names: map[string]bool{}, ints: map[string]ValueID{}}
}

// Fail records an error, if it is the first.
func (b *Builder) Fail(err error) {
	if b.err == nil && err != nil {
		var ge *Error
		if !errors.As(err, &ge) {
			err = &Error{Graph: b.g.Name, Node: b.scope, Err: err}
		}
		b.err = err
	}
}

// Err returns the first error.
func (b *Builder) Err() error { return b.err }

// Scope sets the name given to the nodes that follow, such as "layer.3.mlp",
// and returns the previous one.
func (b *Builder) Scope(name string) (previous string) {
	previous, b.scope = b.scope, name
	return previous
}

// Symbol declares a symbol and returns it as a dimension.
func (b *Builder) Symbol(s dim.Symbol) dim.Dim {
	if err := s.Valid(); err != nil {
		b.Fail(err)
	}
	if _, ok := b.g.Symbol(s.Name); ok {
		b.Fail(fmt.Errorf("symbol %q is declared twice", s.Name))
	}
	b.g.Symbols = append(b.g.Symbols, s)
	return dim.Sym(s.Name)
}

// Source declares a source of weights; declaring an equal one again is fine.
func (b *Builder) Source(s Source) {
	for _, old := range b.g.Sources {
		if old.Name == s.Name {
			if old != s {
				b.Fail(fmt.Errorf("source %q is declared twice, differently", s.Name))
			}
			return
		}
	}
	b.g.Sources = append(b.g.Sources, s)
}

func (b *Builder) value(v Value) ValueID {
	if b.err != nil {
		return NoValue
	}
	if v.Name == "" {
		for v.Name == "" || b.names[v.Name] {
			v.Name = "v" + strconv.Itoa(b.serial)
			b.serial++
		}
	}
	if b.names[v.Name] {
		b.Fail(&Error{Graph: b.g.Name, Value: v.Name, Err: errors.New("the name is taken")})
		return NoValue
	}
	b.names[v.Name] = true
	b.g.Values = append(b.g.Values, v)
	return ValueID(len(b.g.Values) - 1)
}

// Input declares a graph input.
func (b *Builder) Input(name string, t Type) ValueID {
	id := b.value(Value{Name: name, Type: t, Kind: Input, Def: -1})
	if id != NoValue {
		b.g.Inputs = append(b.g.Inputs, id)
	}
	return id
}

// Weight adds a weight. An empty name lets the builder choose one.
func (b *Builder) Weight(name string, t Type, w *Weight) ValueID {
	return b.value(Value{Name: name, Type: t, Kind: Const, Def: -1, Data: w})
}

// Const adds a constant that the graph itself carries.
func (b *Builder) Const(name string, t *Tensor) ValueID {
	if err := t.Valid(); err != nil {
		b.Fail(err)
		return NoValue
	}
	data := t.Data
	if data == nil {
		data = []byte{} // present but empty: a tensor without elements
	}
	return b.Weight(name, t.Type(), &Weight{Parts: []Part{{Inline: data, Elem: t.Elem, Shape: t.Shape}}})
}

// Ints adds a vector of 64-bit integers, or reuses an equal one.
func (b *Builder) Ints(ns ...int64) ValueID { return b.Dims(dim.Ofs(ns...)...) }

// Dims adds a vector of 64-bit integers given by dimensions, or reuses an
// equal one: the shape operand of Reshape or Expand.
func (b *Builder) Dims(ds ...dim.Dim) ValueID {
	key := dim.Shape(ds).String()
	if id, ok := b.ints[key]; ok && b.err == nil {
		return id
	}
	var id ValueID
	if ns, ok := dim.Shape(ds).Const(); ok {
		id = b.Const("", I64(ns...))
	} else {
		id = b.Weight("", OfInts(enc.I64, int64(len(ds))), &Weight{Dims: ds})
	}
	b.ints[key] = id
	return id
}

// Float adds a scalar constant of a floating-point type.
func (b *Builder) Float(elem enc.Elem, f float64) ValueID {
	t, err := FloatScalar(elem, f)
	if err != nil {
		b.Fail(err)
		return NoValue
	}
	return b.Const("", t)
}

// State declares a state and returns the version that a run starts with.
func (b *Builder) State(name string, t Type) ValueID {
	id := b.value(Value{Name: name, Type: t, Kind: StateIn, Def: -1})
	if id != NoValue {
		b.g.States = append(b.g.States, State{Name: name, In: id, Out: id})
	}
	return id
}

// SetState says which version of a state a run leaves.
func (b *Builder) SetState(name string, v ValueID) {
	if b.err != nil {
		return
	}
	i := slices.IndexFunc(b.g.States, func(s State) bool { return s.Name == name })
	if i < 0 {
		b.Fail(fmt.Errorf("state %q is not declared", name))
		return
	}
	b.g.States[i].Out = v
}

// Op applies an operator with one output. The name may carry a domain:
// "heddle.Name".
func (b *Builder) Op(op string, in []ValueID, attrs ...Attr) ValueID {
	out := b.Ops(op, in, []bool{true}, attrs...)
	if out == nil {
		return NoValue
	}
	return out[0]
}

// Ops applies an operator with the outputs wanted.
func (b *Builder) Ops(op string, in []ValueID, want []bool, attrs ...Attr) []ValueID {
	domain, name := "", op
	for i := len(op) - 1; i >= 0; i-- {
		if op[i] == '.' {
			domain, name = op[:i], op[i+1:]
			break
		}
	}
	ref, err := b.schemas.Lookup(domain, name)
	if err != nil {
		b.Fail(&Error{Graph: b.g.Name, Node: b.scope, Op: op, Err: err})
	}
	return b.Node(Node{Op: ref, Name: b.scope, In: in, Attrs: attrs}, want)
}

// Node appends n, with its types inferred, and returns its outputs: NoValue
// where want is false, nil after an error. n.Out is ignored.
func (b *Builder) Node(n Node, want []bool) []ValueID {
	if b.err != nil {
		return nil
	}
	id := NodeID(len(b.g.Nodes))
	fail := func(err error) []ValueID {
		b.Fail(&Error{Graph: b.g.Name, Node: nodeLabel(id, n.Name), Op: n.Op.String(), Err: err})
		return nil
	}
	attrs, err := n.Attrs.sorted()
	if err != nil {
		return fail(err)
	}
	n.Attrs = attrs
	n.In = slices.Clone(n.In)
	for len(n.In) > 0 && n.In[len(n.In)-1] == NoValue {
		n.In = n.In[:len(n.In)-1] // trailing omitted inputs have one form
	}
	for len(want) > 1 && !want[len(want)-1] {
		want = want[:len(want)-1]
	}
	c := &Call{Op: n.Op, Name: n.Name, Attrs: n.Attrs, Out: want, Symbols: b.g.Symbols}
	for i, v := range n.In {
		if v != NoValue && b.g.Value(v) == nil {
			return fail(fmt.Errorf("input %d is not a value of this graph", i))
		}
		c.In = append(c.In, b.g.Value(v))
	}
	types, err := b.schemas.Infer(c)
	if err != nil {
		return fail(err)
	}
	if len(types) != len(want) {
		return fail(fmt.Errorf("inference gave %d types for %d outputs", len(types), len(want)))
	}
	out := make([]ValueID, len(want))
	for i, t := range types {
		out[i] = NoValue
		if want[i] {
			out[i] = b.value(Value{Type: t, Def: id})
		}
	}
	if b.err != nil {
		return nil
	}
	n.Out = slices.Clone(out)
	b.g.Nodes = append(b.g.Nodes, n)
	return out
}

// Rename gives a value a name of its own, unless that is taken.
func (b *Builder) Rename(v ValueID, name string) {
	if b.err != nil || b.g.Value(v) == nil || b.names[name] || b.g.Values[v].Kind == Input || b.g.Values[v].Kind == StateIn {
		return
	}
	delete(b.names, b.g.Values[v].Name)
	b.names[name] = true
	b.g.Values[v].Name = name
}

// Output makes v an output called name.
func (b *Builder) Output(name string, v ValueID) {
	if b.err != nil {
		return
	}
	if b.g.Value(v) == nil {
		b.Fail(fmt.Errorf("output %q has no value", name))
		return
	}
	b.g.Outputs = append(b.g.Outputs, Port{name, v})
}

// Value returns a value made so far; its fields must not be changed. It is
// nil for NoValue.
func (b *Builder) Value(v ValueID) *Value { return b.g.Value(v) }

// Type returns the type of a value made so far.
func (b *Builder) Type(v ValueID) Type {
	if x := b.g.Value(v); x != nil {
		return x.Type
	}
	return Type{}
}

// Build checks the graph with Verify and returns it. The builder must not be
// used afterwards.
func (b *Builder) Build() (*Graph, error) {
	if b.err != nil {
		return nil, b.err
	}
	g := b.g
	if err := Verify(&g, b.schemas); err != nil {
		return nil, err
	}
	return &g, nil
}
