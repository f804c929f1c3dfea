package onnx

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/heddle-ml/heddle/graph/onnx/internal/pb"
	"github.com/heddle-ml/heddle/ops"
)

// Limits of inlining: a function may call others, but the result is a graph
// that someone meant to run.
const (
	maxInlineDepth = 32
	maxNodes       = 1 << 20
	maxCalls       = 1 << 16
	maxNameBytes   = 1 << 28
)

// node is a node after functions were inlined. Its names are unique in the
// whole model.
type node struct {
	pb.Node
	opset int64
	index int
}

// label names the node in messages.
func (n *node) label() string {
	if n.Name != "" {
		return strconv.Quote(n.Name)
	}
	return "#" + strconv.Itoa(n.index)
}

// op returns the operator with its domain.
func (n *node) op() string {
	if n.Domain == "" {
		return n.OpType
	}
	return n.Domain + "." + n.OpType
}

// place is what the graph's node is called: the node's own name, or its first
// output's.
func (n *node) place() string {
	if n.Name != "" || len(n.Outputs) == 0 {
		return n.Name
	}
	return n.Outputs[0]
}

type functionKey struct{ domain, name, overload string }

type flattener struct {
	functions map[functionKey]*pb.Function
	out       []node
	calls     int
	bytes     int // of the names that inlining made
}

// flatten returns the model's nodes with calls of its functions replaced by
// the functions' bodies.
func flatten(m *pb.Model) ([]node, error) {
	opsets, err := opsetsOf(m.Opsets, nil)
	if err != nil {
		return nil, err
	}
	f := &flattener{functions: map[functionKey]*pb.Function{}}
	for i := range m.Functions {
		fn := &m.Functions[i]
		f.functions[functionKey{defaultDomain(fn.Domain), fn.Name, fn.Overload}] = fn
	}
	if err := f.nodes(m.Graph.Nodes, opsets, nil, 0); err != nil {
		return nil, err
	}
	return f.out, nil
}

// defaultDomain returns the one spelling of a domain.
func defaultDomain(d string) string {
	if d == "ai.onnx" {
		return ""
	}
	return d
}

// opsetsOf returns the version of each domain; base is used where the list
// lacks one.
func opsetsOf(list []pb.Opset, base map[string]int64) (map[string]int64, error) {
	out := map[string]int64{}
	for d, v := range base {
		out[d] = v
	}
	for _, o := range list {
		d := defaultDomain(o.Domain)
		if d == "" && (o.Version < MinOpset || o.Version > MaxOpset) {
			return nil, fmt.Errorf("operator set %d is %w; sets %d to %d are: convert the model with ONNX's version converter", o.Version, ErrUnsupported, MinOpset, MaxOpset)
		}
		out[d] = o.Version
	}
	return out, nil
}

// body is the context of a function's body: how its names and attributes
// translate to those of the call.
type body struct {
	prefix string
	names  map[string]string
	attrs  map[string]pb.Attribute
}

func (b *body) name(s string) string {
	if b == nil || s == "" {
		return s
	}
	if t, ok := b.names[s]; ok {
		return t
	}
	return b.prefix + s
}

func (f *flattener) nodes(nodes []pb.Node, opsets map[string]int64, in *body, depth int) error {
	if depth > maxInlineDepth {
		return fmt.Errorf("functions call each other deeper than %d: %w", maxInlineDepth, ErrFormat)
	}
	for i := range nodes {
		n := node{Node: nodes[i], index: i}
		n.Domain = defaultDomain(n.Domain)
		var imported bool
		if n.opset, imported = opsets[n.Domain]; !imported {
			return fmt.Errorf("node %s (%s): the model imports no operator set of domain %q: %w", n.label(), n.op(), n.Domain, ErrFormat)
		}
		if in != nil {
			n.Name = in.prefix + n.Name
			n.Inputs = mapNames(n.Inputs, in)
			n.Outputs = mapNames(n.Outputs, in)
			n.Attrs = boundAttrs(n.Attrs, in.attrs)
			f.bytes += len(n.Name)
			for _, s := range slices.Concat(n.Inputs, n.Outputs) {
				f.bytes += len(s)
			}
			if f.bytes > maxNameBytes {
				return fmt.Errorf("inlining the model's functions makes names of more than %d bytes: %w", maxNameBytes, ErrFormat)
			}
		}
		fn := f.functions[functionKey{n.Domain, n.OpType, n.Overload}]
		if fn == nil || ops.Get(n.Domain, n.OpType) != nil || rules[n.OpType] != nil && n.Domain == "" {
			if len(f.out) == maxNodes {
				return fmt.Errorf("the model has more than %d nodes: %w", maxNodes, ErrFormat)
			}
			f.out = append(f.out, n)
			continue
		}
		if err := f.call(&n, fn, opsets, depth); err != nil {
			return err
		}
	}
	return nil
}

// call inlines one call of a function.
func (f *flattener) call(n *node, fn *pb.Function, opsets map[string]int64, depth int) error {
	if f.calls++; f.calls > maxCalls {
		return fmt.Errorf("the model makes more than %d calls of its functions: %w", maxCalls, ErrFormat)
	}
	if len(n.Inputs) > len(fn.Inputs) || len(n.Outputs) > len(fn.Outputs) {
		return fmt.Errorf("node %s (%s): the function takes %d inputs and gives %d outputs: %w", n.label(), n.op(), len(fn.Inputs), len(fn.Outputs), ErrFormat)
	}
	own, err := opsetsOf(fn.Opsets, opsets)
	if err != nil {
		return fmt.Errorf("function %s: %w", n.op(), err)
	}
	b := &body{
		prefix: fmt.Sprintf("%.32s.%d/", n.OpType, f.calls),
		names:  map[string]string{},
		attrs:  map[string]pb.Attribute{},
	}
	for i, name := range fn.Inputs {
		b.names[name] = ""
		if i < len(n.Inputs) {
			b.names[name] = n.Inputs[i]
		}
	}
	for i, name := range fn.Outputs {
		if i < len(n.Outputs) && n.Outputs[i] != "" {
			if _, isInput := b.names[name]; isInput {
				return fmt.Errorf("function %s: %q is both an input and an output: %w", n.op(), name, ErrFormat)
			}
			b.names[name] = n.Outputs[i]
		}
	}
	for _, a := range fn.AttrDefaults {
		b.attrs[a.Name] = a
	}
	for _, a := range n.Attrs {
		b.attrs[a.Name] = a
	}
	return f.nodes(fn.Nodes, own, b, depth+1)
}

func mapNames(names []string, in *body) []string {
	out := make([]string, len(names))
	for i, s := range names {
		out[i] = in.name(s)
	}
	return out
}

// boundAttrs replaces references to a function's attributes by their values.
// One without a value is left out, which means the operator's default.
func boundAttrs(as []pb.Attribute, values map[string]pb.Attribute) []pb.Attribute {
	if !slices.ContainsFunc(as, func(a pb.Attribute) bool { return a.Ref != "" }) {
		return as
	}
	var out []pb.Attribute
	for _, a := range as {
		if a.Ref != "" {
			v, ok := values[a.Ref]
			if !ok {
				continue
			}
			v.Name = a.Name
			a = v
		}
		out = append(out, a)
	}
	return out
}
