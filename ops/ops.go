package ops

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
)

// Op describes one operator.
type Op struct {
	Ref graph.OpRef
	// Doc says in a sentence or two what the operator computes.
	Doc     string
	Inputs  []Param
	Outputs []Param
	Attrs   []AttrSpec

	// Infer returns the output types of a call whose inputs, types and
	// attributes have been checked against the fields above. It has one entry
	// for each element of c.Out; entries of outputs that are not wanted do not
	// matter. Errors need not name the node.
	Infer func(c *graph.Call) ([]graph.Type, error)

	// Cost estimates one run. Nil means that the operator moves its operands
	// once and computes one operation for each output element.
	Cost func(c *graph.Call, out []graph.Type, b dim.Binding) (Cost, error)

	// Decompose adds equivalent simpler nodes to b and returns the values of
	// the outputs, NoValue for those that c does not want; in are the values
	// of the inputs in b, whose types may be more specific than c's. The nodes
	// may be composite themselves, but decomposing on ends at operators whose
	// Decompose is nil: primitives. Required for operators of domain heddle.
	Decompose func(b *graph.Builder, c *graph.Call, in []graph.ValueID) ([]graph.ValueID, error)

	// Fold computes output 0, an i64 or i32 scalar or vector, where it is known
	// from types alone or from symbolic integers (Shape, and integer arithmetic
	// on its results), as symbolic dimensions in order. It returns false when it
	// does not apply. Other numeric constants are folded by passes.Fold.
	Fold func(c *graph.Call) ([]dim.Dim, bool)

	// Decide computes output 0, a bool scalar or vector, of a comparison of
	// symbolic integers, where the bounds of the symbols tell.
	Decide func(c *graph.Call) ([]bool, bool)

	// Updates tells that the operator consumes a state version as input 0 and
	// yields the next as output 0, in place. It may work on ordinary values as
	// well, and Decompose is for those: no simpler operator updates a state.
	Updates bool

	Class Class
}

// Param describes an input or output.
type Param struct {
	Name  string
	Types TypeSet
	// Same, if not empty, is the type variable ("T"): all parameters with one
	// variable have the same element type.
	Same string
	// Optional parameters may be omitted. Only the last may be Variadic: it
	// stands for one or more.
	Optional, Variadic bool
	// Const inputs must be constants that are known when a graph is built:
	// shapes, axes, repeats. Nothing inside a compiled graph depends on them.
	Const bool
	// Encoded inputs may have any encoding, such as a quantized weight's; the
	// operator reads the reals it stands for. Other inputs must be plain, if
	// perhaps stored in a narrower type.
	Encoded bool
}

// AttrSpec describes an attribute.
type AttrSpec struct {
	Name     string
	Kind     graph.AttrKind
	Required bool
	// Default is what ONNX says an absent attribute means, in words for
	// documentation; Infer and evaluators apply it themselves.
	Default string
}

// Class says how exactly a device must compute an operator.
type Class uint8

// The classes, from exact to loose.
const (
	Exact       Class = iota // moves data or computes integers: no error
	Rounded                  // one correctly rounded operation per element (add, mul, cast)
	Approximate              // transcendental functions: a few units in the last place
	Contraction              // sums of products or of many terms: error grows with their number
	Quantized                // codes: at most one step off
)

// Cost is an estimate for one run.
type Cost struct {
	FLOPs  float64 // arithmetic operations
	Bytes  float64 // moved: operands read and results written, weights in their encoding
	Weight float64 // of Bytes, what constants contribute
}

// Add returns the sum.
func (c Cost) Add(d Cost) Cost {
	return Cost{c.FLOPs + d.FLOPs, c.Bytes + d.Bytes, c.Weight + d.Weight}
}

// TypeSet is a set of element types.
type TypeSet uint32

// Types returns a set.
func Types(es ...enc.Elem) TypeSet {
	var s TypeSet
	for _, e := range es {
		s |= 1 << e
	}
	return s
}

// Has reports whether e is in the set.
func (s TypeSet) Has(e enc.Elem) bool { return s>>e&1 == 1 }

// String lists the types.
func (s TypeSet) String() string {
	var names []string
	for _, e := range enc.Elems() {
		if s.Has(e) {
			names = append(names, e.String())
		}
	}
	return strings.Join(names, " ")
}

// Common sets of element types.
const (
	Floats   = TypeSet(1<<enc.F64 | 1<<enc.F32 | 1<<enc.F16 | 1<<enc.BF16)
	Signed   = TypeSet(1<<enc.I64 | 1<<enc.I32 | 1<<enc.I16 | 1<<enc.I8)
	Unsigned = TypeSet(1<<enc.U64 | 1<<enc.U32 | 1<<enc.U16 | 1<<enc.U8)
	Integers = Signed | Unsigned
	Numbers  = Floats | Integers
	Nibbles  = TypeSet(1<<enc.I4 | 1<<enc.U4)
	Bools    = TypeSet(1 << enc.Bool)
	Indices  = TypeSet(1<<enc.I64 | 1<<enc.I32)
	All      = Numbers | Nibbles | Bools
)

type key struct{ domain, name string }

var registry = map[key]*Op{}

// Register adds an operator. It panics when the name is taken or the
// description is incomplete: both are mistakes in the program.
func Register(o Op) {
	k := key{o.Ref.Domain, o.Ref.Name}
	switch {
	case registry[k] != nil:
		panic("ops: " + o.Ref.String() + " is registered twice")
	case o.Infer == nil || o.Ref.Version <= 0 || len(o.Outputs) == 0 || o.Doc == "":
		panic("ops: " + o.Ref.String() + " lacks Infer, a version, outputs or a doc")
	case o.Ref.Domain != "" && o.Decompose == nil:
		panic("ops: " + o.Ref.String() + " is not an ONNX operator and needs a decomposition")
	}
	registry[k] = &o
}

// Get returns an operator; nil when there is none of that name.
func Get(domain, name string) *Op { return registry[key{domain, name}] }

// List returns all operators, sorted by domain and name.
func List() []*Op {
	out := make([]*Op, 0, len(registry))
	for _, o := range registry {
		out = append(out, o)
	}
	sort.Slice(out, func(i, j int) bool {
		a, b := out[i].Ref, out[j].Ref
		return a.Domain < b.Domain || a.Domain == b.Domain && a.Name < b.Name
	})
	return out
}

// Standard is the graph.Schemas of all registered operators.
var Standard graph.Schemas = standard{}

type standard struct{}

func (standard) Lookup(domain, name string) (graph.OpRef, error) {
	if o := Get(domain, name); o != nil {
		return o.Ref, nil
	}
	return graph.OpRef{}, fmt.Errorf("operator %q is unknown", graph.OpRef{Domain: domain, Name: name})
}

func (standard) Updates(op graph.OpRef) bool {
	o := Get(op.Domain, op.Name)
	return o != nil && o.Updates
}

func (standard) Infer(c *graph.Call) ([]graph.Type, error) {
	o := Get(c.Op.Domain, c.Op.Name)
	if o == nil {
		return nil, fmt.Errorf("operator %q is unknown", c.Op)
	}
	if c.Op.Version != o.Ref.Version {
		return nil, fmt.Errorf("operator %s is at version %d here, not %d: normalise at import", c.Op, o.Ref.Version, c.Op.Version)
	}
	if err := o.check(c); err != nil {
		return nil, err
	}
	types, err := o.Infer(c)
	if err != nil {
		return nil, err
	}
	for i, t := range types {
		if c.Want(i) {
			if !o.Updates && t.Enc.Kind == enc.Plain {
				types[i].Enc = enc.Encoding{} // how an operand was stored is not passed on
			}
			if err := checkResult(t); err != nil {
				return nil, fmt.Errorf("output %d (%s) would be %s: %w", i, paramName(o.Outputs, i), t, err)
			}
		}
	}
	return types, nil
}

// checkResult catches what inference need not look out for itself: dimensions
// that are not affine or overflow, and negative ones.
func checkResult(t graph.Type) error {
	if !t.Elem.Valid() {
		return fmt.Errorf("it has no element type")
	}
	if t.Rank() > graph.MaxRank {
		return fmt.Errorf("rank %d; at most %d dimensions", t.Rank(), graph.MaxRank)
	}
	for _, d := range t.Shape {
		if err := d.Valid(); err != nil {
			return err
		}
		if n, ok := d.Const(); ok && n < 0 {
			return fmt.Errorf("dimension %d is negative", n)
		}
	}
	return nil
}

func paramName(ps []Param, i int) string {
	p, _ := param(ps, i)
	return p.Name
}

// param returns the parameter that argument i belongs to.
func param(ps []Param, i int) (Param, bool) {
	if i < len(ps) {
		return ps[i], true
	}
	if n := len(ps); n > 0 && ps[n-1].Variadic {
		return ps[n-1], true
	}
	return Param{}, false
}

// check compares a call with the operator's description.
func (o *Op) check(c *graph.Call) error {
	vars := map[string]enc.Elem{}
	for i, v := range c.In {
		p, ok := param(o.Inputs, i)
		if !ok {
			return fmt.Errorf("takes %d inputs, has %d", len(o.Inputs), len(c.In))
		}
		if v == nil {
			if !p.Optional {
				return fmt.Errorf("input %d (%s) is missing", i, p.Name)
			}
			continue
		}
		e := v.Type.Elem
		if !p.Types.Has(e) {
			return fmt.Errorf("input %d (%s) is %s; want one of %s", i, p.Name, e, p.Types)
		}
		if p.Same != "" {
			if old, ok := vars[p.Same]; ok && old != e {
				return fmt.Errorf("input %d (%s) is %s, another input of the same type is %s", i, p.Name, e, old)
			}
			vars[p.Same] = e
		}
		if p.Const && v.Kind != graph.Const {
			return fmt.Errorf("input %d (%s) must be a constant: bind it to its value", i, p.Name)
		}
		// A weight that is merely stored narrower, as(f16), reads as plain numbers
		// everywhere.
		if !p.Encoded && v.Type.Enc.Kind != enc.Plain {
			return fmt.Errorf("input %d (%s) is %s; this input takes plain tensors only: declare the weight plain", i, p.Name, v.Type)
		}
	}
	for i := len(c.In); i < len(o.Inputs); i++ {
		if !o.Inputs[i].Optional {
			return fmt.Errorf("input %d (%s) is missing", i, o.Inputs[i].Name)
		}
	}
	if len(c.Out) == 0 {
		return fmt.Errorf("has no outputs")
	}
	for i, want := range c.Out {
		p, ok := param(o.Outputs, i)
		if !ok {
			return fmt.Errorf("gives %d outputs, not %d", len(o.Outputs), len(c.Out))
		}
		if !want && !p.Optional && !p.Variadic {
			return fmt.Errorf("output %d (%s) cannot be left out", i, p.Name)
		}
	}
	for i := range c.Attrs {
		a := &c.Attrs[i]
		k := slices.IndexFunc(o.Attrs, func(s AttrSpec) bool { return s.Name == a.Name })
		if k < 0 {
			return fmt.Errorf("attribute %q is unknown", a.Name)
		}
		if o.Attrs[k].Kind != a.Kind {
			return fmt.Errorf("attribute %q has the wrong type", a.Name)
		}
	}
	for _, s := range o.Attrs {
		if s.Required && !c.Attrs.Has(s.Name) {
			return fmt.Errorf("attribute %q is missing", s.Name)
		}
	}
	return nil
}

// CostOf estimates one run of a node.
func CostOf(g *graph.Graph, id graph.NodeID, b dim.Binding) (Cost, error) {
	n := &g.Nodes[id]
	c := g.Call(id)
	out := make([]graph.Type, len(n.Out))
	for i, v := range n.Out {
		if v != graph.NoValue {
			out[i] = g.Values[v].Type
		}
	}
	o := Get(n.Op.Domain, n.Op.Name)
	if o == nil {
		return Cost{}, fmt.Errorf("ops: operator %q is unknown", n.Op)
	}
	if o.Cost != nil {
		return o.Cost(c, out, b)
	}
	return MoveCost(c, out, b)
}

// MoveCost is the cost of an operator that reads its operands and writes its
// results once, with one operation for each output element.
func MoveCost(c *graph.Call, out []graph.Type, b dim.Binding) (Cost, error) {
	var k Cost
	for _, v := range c.In {
		if v == nil {
			continue
		}
		n, err := sizeOf(v.Type, b)
		if err != nil {
			return Cost{}, err
		}
		k.Bytes += n
		if v.Kind == graph.Const {
			k.Weight += n
		}
	}
	for _, t := range out {
		if t.Elem == enc.Invalid {
			continue
		}
		n, err := sizeOf(t, b)
		if err != nil {
			return Cost{}, err
		}
		k.Bytes += n
		e, err := elements(t, b)
		if err != nil {
			return Cost{}, err
		}
		k.FLOPs += e
	}
	return k, nil
}

func sizeOf(t graph.Type, b dim.Binding) (float64, error) {
	shape, err := t.Shape.Eval(b)
	if err != nil {
		return 0, err
	}
	l, err := t.Enc.Layout(t.Elem, shape)
	return float64(l.Total()), err
}

func elements(t graph.Type, b dim.Binding) (float64, error) {
	shape, err := t.Shape.Eval(b)
	if err != nil {
		return 0, err
	}
	n := 1.0
	for _, d := range shape {
		n *= float64(d)
	}
	return n, nil
}
