package onnx

import (
	"errors"
	"fmt"
	"slices"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/graph/onnx/internal/pb"
	"github.com/heddle-ml/heddle/ops"
)

// node adds one node to the graph, or computes it.
func (im *importer) node(n *node) error {
	in := make([]*operand, len(n.Inputs))
	for i, name := range n.Inputs {
		if name == "" {
			continue
		}
		if in[i] = im.env[name]; in[i] == nil {
			return fmt.Errorf("input %d is %q, which no node before this one makes: %w", i, name, ErrFormat)
		}
	}
	im.name, im.folding = n.place(), false
	want := make([]bool, len(n.Outputs))
	for i, name := range n.Outputs {
		want[i] = name != ""
		im.folding = im.folding || im.needed[name]
	}
	for i, v := range in {
		if v != nil && v.value.Kind != graph.Const && constOperand(n, i) {
			return im.unknownOperand(n, i)
		}
	}
	for i := range n.Attrs {
		if t := n.Attrs[i].Type; n.Attrs[i].Graph != nil || t == pb.AttrGraph || t == pb.AttrGraphs {
			return fmt.Errorf("control flow (attribute %q is a graph) is %w", n.Attrs[i].Name, ErrUnsupported)
		}
	}
	c := &call{im: im, node: n, in: in, want: want}
	out, err := c.translate()
	if err != nil {
		return err
	}
	if len(out) < len(n.Outputs) {
		return fmt.Errorf("gives %d outputs, not %d", len(out), len(n.Outputs))
	}
	for i, name := range n.Outputs {
		if name == "" {
			continue
		}
		v := out[i]
		if v == nil {
			return fmt.Errorf("output %d (%q) is %w", i, name, ErrUnsupported)
		}
		if err := im.define(name, v); err != nil {
			return err
		}
		if v.id != graph.NoValue {
			im.b.Rename(v.id, name)
		} else if v.value.Name == "" {
			v.value.Name = name
		}
	}
	return im.b.Err()
}

// call is a node being translated.
type call struct {
	im   *importer
	node *node
	in   []*operand
	want []bool
}

// translate applies the rule for the operator, if it has one, and adds what
// comes out.
func (c *call) translate() ([]*operand, error) {
	if c.node.Domain == "" {
		if r := rules[c.node.OpType]; r != nil && r.apply != nil {
			out, err := r.apply(c)
			if out != nil || err != nil {
				return out, err
			}
		}
	}
	return c.plain()
}

// plain adds the node as it is, with its attributes read as its schema says.
func (c *call) plain() ([]*operand, error) {
	n := c.node
	o := ops.Get(n.Domain, n.OpType)
	if o == nil {
		return nil, fmt.Errorf("operator %s is %w", n.op(), ErrUnsupported)
	}
	attrs, err := c.attrs(o)
	if err != nil {
		return nil, err
	}
	return c.add(o.Ref, c.in, c.want, attrs...)
}

// op adds another operator in the place of the node; it has one output.
func (c *call) op(name string, in []*operand, attrs ...graph.Attr) (*operand, error) {
	o := ops.Get("", name)
	if o == nil {
		return nil, fmt.Errorf("operator %s, which stands for it, is %w", name, ErrUnsupported)
	}
	out, err := c.add(o.Ref, in, []bool{true}, attrs...)
	if err != nil {
		return nil, err
	}
	return out[0], nil
}

// add adds a call of an operator, or computes it when shapes depend on it.
func (c *call) add(op graph.OpRef, in []*operand, want []bool, attrs ...graph.Attr) ([]*operand, error) {
	im := c.im
	for len(in) > 0 && in[len(in)-1] == nil {
		in = in[:len(in)-1]
	}
	if im.folding {
		gc := &graph.Call{Op: op, Name: im.name, Attrs: attrs, Out: want, Symbols: im.symbols.list}
		for _, v := range in {
			if v == nil {
				gc.In = append(gc.In, nil)
			} else {
				gc.In = append(gc.In, &v.value)
			}
		}
		types, err := ops.Standard.Infer(gc)
		if err != nil {
			return nil, err
		}
		out, err := im.fold(gc, types)
		if out != nil || err != nil {
			return out, err
		}
	}
	ids := make([]graph.ValueID, len(in))
	for i, v := range in {
		ids[i] = im.use(v)
	}
	made := im.b.Node(graph.Node{Op: op, Name: im.name, In: ids, Attrs: attrs}, want)
	if err := im.b.Err(); err != nil {
		return nil, err
	}
	out := make([]*operand, len(want))
	for i, id := range made {
		if id != graph.NoValue {
			out[i] = im.made(id)
		}
	}
	return out, nil
}

// ignored lists attributes that say nothing about the types heddle has.
var ignored = map[string]bool{
	"consumed_inputs": true, // a hint of the oldest operator sets
	"saturate":        true, // of casts to float8
	"round_mode":      true, // of casts to float8e8m0
}

// attrs returns the node's attributes as the operator's schema wants them.
func (c *call) attrs(o *ops.Op) (graph.Attrs, error) {
	var out graph.Attrs
	for i := range c.node.Attrs {
		a := &c.node.Attrs[i]
		k := slices.IndexFunc(o.Attrs, func(s ops.AttrSpec) bool { return s.Name == a.Name })
		if k < 0 {
			if ignored[a.Name] {
				continue
			}
			return nil, fmt.Errorf("attribute %q is %w", a.Name, ErrUnsupported)
		}
		v, ok, err := convert(a, o.Attrs[k].Kind)
		if err != nil {
			return nil, fmt.Errorf("attribute %q: %w", a.Name, err)
		}
		if ok {
			out = append(out, v)
		}
	}
	return out, nil
}

// kinds maps attribute types to kinds.
var kinds = map[pb.AttrType]graph.AttrKind{
	pb.AttrInt: graph.AttrInt, pb.AttrFloat: graph.AttrFloat, pb.AttrString: graph.AttrString, pb.AttrTensor: graph.AttrTensor,
	pb.AttrInts: graph.AttrInts, pb.AttrFloats: graph.AttrFloats, pb.AttrStrings: graph.AttrStrings,
}

// convert reads an attribute as a kind. It returns false for an element type
// that is given as undefined, which is the same as no attribute.
func convert(a *pb.Attribute, want graph.AttrKind) (graph.Attr, bool, error) {
	kind := want
	if kind == graph.AttrElem {
		kind = graph.AttrInt
	}
	if got, ok := kinds[a.Type]; a.Type != pb.AttrUndefined && (!ok || got != kind) {
		return graph.Attr{}, false, fmt.Errorf("has ONNX attribute type %d, which its operator does not take: %w", a.Type, ErrFormat)
	}
	switch want {
	case graph.AttrInt:
		return graph.Int(a.Name, a.Int), true, nil
	case graph.AttrFloat:
		return graph.Float(a.Name, a.Float), true, nil
	case graph.AttrString:
		return graph.Str(a.Name, string(a.Str)), true, nil
	case graph.AttrInts:
		return graph.Ints(a.Name, a.Ints...), true, nil
	case graph.AttrFloats:
		return graph.Floats(a.Name, a.Floats...), true, nil
	case graph.AttrStrings:
		s := make([]string, len(a.Strings))
		for i := range s {
			s[i] = string(a.Strings[i])
		}
		return graph.Strings(a.Name, s...), true, nil
	case graph.AttrElem:
		if a.Int == 0 {
			return graph.Attr{}, false, nil
		}
		if int64(int32(a.Int)) != a.Int {
			return graph.Attr{}, false, fmt.Errorf("%d is no data type: %w", a.Int, ErrFormat)
		}
		e, err := elemOf(int32(a.Int))
		return graph.Elem(a.Name, e), true, err
	case graph.AttrTensor:
		if a.Tensor == nil {
			return graph.Attr{}, false, fmt.Errorf("has no tensor: %w", ErrFormat)
		}
		t, err := tensorOf(a.Tensor)
		if err != nil {
			return graph.Attr{}, false, err
		}
		return graph.TensorAttr(a.Name, t), true, nil
	}
	return graph.Attr{}, false, errors.New("its kind is unknown")
}

// attr returns an attribute of the node, nil when it is absent.
func (c *call) attr(name string) *pb.Attribute {
	for i := range c.node.Attrs {
		if c.node.Attrs[i].Name == name {
			return &c.node.Attrs[i]
		}
	}
	return nil
}

func (c *call) attrInt(name string, def int64) int64 {
	if a := c.attr(name); a != nil {
		return a.Int
	}
	return def
}

// drop removes attributes from the node, which is the importer's own copy.
func (c *call) drop(names ...string) {
	c.node.Attrs = slices.DeleteFunc(slices.Clone(c.node.Attrs), func(a pb.Attribute) bool { return slices.Contains(names, a.Name) })
}

func (c *call) setInt(name string, v int64) {
	c.drop(name)
	c.node.Attrs = append(c.node.Attrs, pb.Attribute{Name: name, Int: v, Type: pb.AttrInt})
}

// setInput makes v operand i.
func (c *call) setInput(i int, v *operand) {
	for len(c.in) <= i {
		c.in = append(c.in, nil)
	}
	c.in[i] = v
}

// input returns operand i, nil when it is omitted.
func (c *call) input(i int) *operand {
	if i < len(c.in) {
		return c.in[i]
	}
	return nil
}

// elem returns the element type of operand i, Invalid when it is omitted.
func (c *call) elem(i int) enc.Elem {
	if v := c.input(i); v != nil {
		return v.value.Type.Elem
	}
	return enc.Invalid
}
