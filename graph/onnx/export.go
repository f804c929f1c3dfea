package onnx

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/graph/onnx/internal/pb"
	"github.com/heddle-ml/heddle/ops"
)

// ErrTooLarge tells that the weights do not fit into one ONNX file; give
// ExportOptions.External.
var ErrTooLarge = pb.ErrTooLarge

// ExportOptions says how to write a model. The zero value is usable for a
// graph that carries its weights itself.
type ExportOptions struct {
	// Data gives the bytes of the graph's sources.
	Data graph.Data
	// Opset is the operator set of the model. 0 means the lowest, from 18,
	// that has all operators of the graph in the form they have in package
	// ops; a given one that lacks them is an error.
	Opset int
	// Producer names the program that writes the model.
	Producer string
	// Heddle allows operators of domain heddle, which only heddle can run.
	// Without it they are an error: decompose them first.
	Heddle bool
	// External, if not nil, receives weights larger than a kilobyte, each at
	// a multiple of 64 bytes; the model refers to it by ExternalName, a path
	// relative to the model's folder.
	External     io.Writer
	ExternalName string
}

// Export writes g as an ONNX model. Equal graphs and options give equal bytes.
//
// Inputs and outputs keep their names. A state S becomes an input S, which the
// caller feeds with what output S.out gave last; S.out is missing when the
// state is only read. Weights are written in logical order. Those stored in a
// narrower type or as affine codes are written as stored, with a Cast or
// DequantizeLinear behind them; those in GGUF blocks are written as floats.
// Symbolic constants are computed from the shapes of inputs.
func Export(w io.Writer, g *graph.Graph, o ExportOptions) error {
	if o.External != nil && (!fs.ValidPath(o.ExternalName) || o.ExternalName == ".") {
		return fmt.Errorf("onnx: export: external name %q is not a path inside the model's folder", o.ExternalName)
	}
	x := &exporter{g: g, opts: o, taken: map[string]bool{}, nodeNames: map[string]int{}, opset: minExportOpset, symbols: map[string]string{}, exprs: map[string]string{}}
	m, err := x.run()
	if err != nil {
		return fmt.Errorf("onnx: export graph %q: %w", g.Name, err)
	}
	if err := x.writeExternal(); err != nil {
		return fmt.Errorf("onnx: export graph %q: %w", g.Name, err)
	}
	if err := pb.Write(w, m); err != nil {
		if errors.Is(err, pb.ErrTooLarge) {
			return fmt.Errorf("%w; set ExportOptions.External to write the weights to a file of their own", err)
		}
		return err
	}
	return nil
}

// exporter is the state of one export.
type exporter struct {
	g     *graph.Graph
	opts  ExportOptions
	out   pb.Graph
	opset int
	// heddle tells that an operator of that domain was used.
	heddle bool
	// names holds the ONNX name of each value; taken all names.
	names  []string
	taken  map[string]bool
	serial int
	// nodeNames counts the nodes that wanted each name.
	nodeNames map[string]int
	// external holds the contents to write to opts.External, from byte 0.
	external []placed
	end      int64
	// symbols and exprs name the values computed for symbolic integers;
	// origins says what symbols are computed from.
	origins map[string]origin
	symbols map[string]string
	exprs   map[string]string
}

// stateOut is the name of the output that leaves a state.
func stateOut(name string) string { return name + ".out" }

func (x *exporter) run() (*pb.Model, error) {
	g := x.g
	if err := x.nameValues(); err != nil {
		return nil, err
	}
	for i := range g.Values {
		v := &g.Values[i]
		if v.Kind != graph.Input && v.Kind != graph.StateIn {
			continue
		}
		info, err := valueInfo(x.names[i], v.Type)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", v.Name, err)
		}
		x.out.Inputs = append(x.out.Inputs, info)
	}
	uses := g.Uses()
	for i := range g.Values {
		if g.Values[i].Kind == graph.Const && uses[i] > 0 {
			if err := x.weight(graph.ValueID(i)); err != nil {
				return nil, fmt.Errorf("weight %q: %w", g.Values[i].Name, err)
			}
		}
	}
	for i := range g.Nodes {
		if err := x.node(graph.NodeID(i)); err != nil {
			n := &g.Nodes[i]
			return nil, fmt.Errorf("node %q (%s): %w", n.Name, n.Op, err)
		}
	}
	if err := x.outputs(); err != nil {
		return nil, err
	}
	if x.opts.Opset != 0 {
		if x.opts.Opset < x.opset || x.opts.Opset > MaxOpset {
			return nil, fmt.Errorf("operator set %d was asked for; the graph's operators need %d, and at most %d is known", x.opts.Opset, x.opset, MaxOpset)
		}
		x.opset = x.opts.Opset
	}
	x.out.Name = g.Name
	if g.Name == "" {
		x.out.Name = "graph" // ONNX wants a name
	}
	m := &pb.Model{
		IRVersion:    irVersion(x.opset),
		ProducerName: x.opts.Producer,
		Graph:        &x.out,
		Opsets:       []pb.Opset{{Version: int64(x.opset)}},
	}
	if x.heddle {
		m.Opsets = append(m.Opsets, pb.Opset{Domain: "heddle", Version: 1})
	}
	var err error
	m.Metadata, err = x.metadata()
	return m, err
}

// nameValues gives each value its name. Names that callers see come first;
// a result that is an output once takes the output's name.
func (x *exporter) nameValues() error {
	g := x.g
	x.names = make([]string, len(g.Values))
	claim := func(id graph.ValueID, name, what string) error {
		if x.taken[name] {
			return fmt.Errorf("%s %q has the name of another input or output; ONNX has one space of names", what, name)
		}
		x.taken[name] = true
		if id != graph.NoValue {
			x.names[id] = name
		}
		return nil
	}
	for _, id := range g.Inputs {
		if err := claim(id, g.Values[id].Name, "input"); err != nil {
			return err
		}
	}
	for _, s := range g.States {
		if err := claim(s.In, s.Name, "state"); err != nil {
			return err
		}
	}
	result := func(id graph.ValueID) graph.ValueID {
		if g.Values[id].Kind == graph.Result && x.names[id] == "" {
			return id
		}
		return graph.NoValue // outputs will add an Identity
	}
	for _, p := range g.Outputs {
		if x.names[p.Value] == p.Name {
			continue // an input that is an output under its own name
		}
		if err := claim(result(p.Value), p.Name, "output"); err != nil {
			return err
		}
	}
	for _, s := range g.States {
		if s.Out == s.In {
			continue
		}
		if err := claim(result(s.Out), stateOut(s.Name), "state output"); err != nil {
			return err
		}
	}
	for i := range g.Values {
		if x.names[i] == "" {
			x.names[i] = x.fresh(g.Values[i].Name)
		}
	}
	return nil
}

// fresh returns a name that is not taken, base if possible.
func (x *exporter) fresh(base string) string {
	name := base
	for name == "" || x.taken[name] {
		x.serial++
		name = base + "." + strconv.Itoa(x.serial)
	}
	x.taken[name] = true
	return name
}

// add appends a node with one output, called as hint says, and returns the
// output's name.
func (x *exporter) add(op, hint string, in []string, attrs ...pb.Attribute) string {
	out := x.fresh(hint)
	x.addNamed(op, out, in, attrs...)
	return out
}

func (x *exporter) addNamed(op, out string, in []string, attrs ...pb.Attribute) {
	x.out.Nodes = append(x.out.Nodes, pb.Node{OpType: op, Inputs: in, Outputs: []string{out}, Attrs: attrs})
}

func (x *exporter) need(opset int) { x.opset = max(x.opset, opset) }

// nodeName returns a name for a node that no other has: ONNX Runtime insists
// on that, while in a graph the nodes of one place share its name.
func (x *exporter) nodeName(n *graph.Node) string {
	name := n.Name
	if name == "" {
		return ""
	}
	if x.nodeNames[name] > 0 {
		name += "/" + n.Op.Name
	}
	for base := name; x.nodeNames[name] > 0; {
		x.nodeNames[base]++
		name = base + "." + strconv.Itoa(x.nodeNames[base])
	}
	x.nodeNames[name] = 1
	return name
}

func (x *exporter) node(id graph.NodeID) error {
	n := &x.g.Nodes[id]
	out := pb.Node{Name: x.nodeName(n), OpType: n.Op.Name, Domain: n.Op.Domain}
	if n.Op.Domain != "" {
		if !x.opts.Heddle {
			return fmt.Errorf("is not an ONNX operator; decompose it first, or set ExportOptions.Heddle")
		}
		x.heddle = x.heddle || n.Op.Domain == "heddle"
	}
	o := ops.Get(n.Op.Domain, n.Op.Name)
	if o == nil || o.Ref.Version != n.Op.Version {
		return fmt.Errorf("version %d is not known to package ops", n.Op.Version)
	}
	for _, v := range n.In {
		name := ""
		if v != graph.NoValue {
			name = x.names[v]
		}
		out.Inputs = append(out.Inputs, name)
	}
	for _, v := range n.Out {
		name := ""
		if v != graph.NoValue {
			name = x.names[v]
		}
		out.Outputs = append(out.Outputs, name)
	}
	for i := range n.Attrs {
		a, err := attribute(&n.Attrs[i])
		if err != nil {
			return fmt.Errorf("attribute %q: %w", n.Attrs[i].Name, err)
		}
		out.Attrs = append(out.Attrs, a)
	}
	if n.Op.Domain == "" {
		x.need(opsetOf(x.g, n))
	}
	x.out.Nodes = append(x.out.Nodes, out)
	for _, v := range n.Out {
		if v == graph.NoValue {
			continue
		}
		info, err := valueInfo(x.names[v], x.g.Values[v].Type)
		if err != nil {
			return err
		}
		x.out.ValueInfo = append(x.out.ValueInfo, info)
	}
	return nil
}

// outputs lists the outputs, then what leaves the states. A value that has
// another name already is copied.
func (x *exporter) outputs() error {
	g := x.g
	isOutput := map[string]bool{}
	add := func(name string, id graph.ValueID) error {
		if x.names[id] != name {
			x.addNamed("Identity", name, []string{x.names[id]})
		}
		info, err := valueInfo(name, g.Values[id].Type)
		if err != nil {
			return fmt.Errorf("output %q: %w", name, err)
		}
		isOutput[name] = true
		x.out.Outputs = append(x.out.Outputs, info)
		return nil
	}
	for _, p := range g.Outputs {
		if err := add(p.Name, p.Value); err != nil {
			return err
		}
	}
	for _, s := range g.States {
		if s.Out == s.In {
			continue
		}
		if err := add(stateOut(s.Name), s.Out); err != nil {
			return err
		}
	}
	inner := x.out.ValueInfo[:0]
	for _, v := range x.out.ValueInfo {
		if !isOutput[v.Name] {
			inner = append(inner, v)
		}
	}
	x.out.ValueInfo = inner
	return nil
}

// valueInfo declares a value.
func valueInfo(name string, t graph.Type) (pb.ValueInfo, error) {
	if t.Enc != (enc.Encoding{}) {
		return pb.ValueInfo{}, fmt.Errorf("encoding %s of an input, state or result has no ONNX form: %w", t.Enc, ErrUnsupported)
	}
	v := pb.ValueInfo{Name: name, HasType: true, ElemType: t.Elem.ONNX(), HasShape: true}
	for _, d := range t.Shape {
		if n, ok := d.Const(); ok {
			v.Shape = append(v.Shape, pb.Dimension{Value: n, HasValue: true})
		} else {
			v.Shape = append(v.Shape, pb.Dimension{Param: d.String()})
		}
	}
	return v, nil
}

// attribute converts an attribute; element types become their numbers.
func attribute(a *graph.Attr) (pb.Attribute, error) {
	out := pb.Attribute{Name: a.Name}
	switch a.Kind {
	case graph.AttrInt:
		out.Type, out.Int = pb.AttrInt, a.Int
	case graph.AttrFloat:
		out.Type, out.Float = pb.AttrFloat, a.Float
	case graph.AttrString:
		out.Type, out.Str = pb.AttrString, []byte(a.Str)
	case graph.AttrInts:
		out.Type, out.Ints = pb.AttrInts, a.Ints
	case graph.AttrFloats:
		out.Type, out.Floats = pb.AttrFloats, a.Floats
	case graph.AttrStrings:
		out.Type = pb.AttrStrings
		for _, s := range a.Strings {
			out.Strings = append(out.Strings, []byte(s))
		}
	case graph.AttrElem:
		out.Type, out.Int = pb.AttrInt, int64(a.Elem.ONNX())
	case graph.AttrTensor:
		out.Type, out.Tensor = pb.AttrTensor, tensorProto("", a.Tensor)
	default:
		return out, fmt.Errorf("kind %d is unknown", a.Kind)
	}
	return out, nil
}

func attrInt(name string, v int64) pb.Attribute {
	return pb.Attribute{Name: name, Type: pb.AttrInt, Int: v}
}

func tensorProto(name string, t *graph.Tensor) *pb.Tensor {
	raw := t.Data
	if raw == nil {
		raw = []byte{}
	}
	return &pb.Tensor{Name: name, DataType: t.Elem.ONNX(), Dims: t.Shape, Raw: raw}
}

// metadata holds what ONNX has no field for.
func (x *exporter) metadata() ([]pb.Entry, error) {
	var out []pb.Entry
	add := func(key string, v any) error {
		b, err := json.Marshal(v)
		out = append(out, pb.Entry{Key: key, Value: string(b)})
		return err
	}
	if len(x.g.Symbols) > 0 {
		list := make([]metaSymbol, len(x.g.Symbols))
		for i, s := range x.g.Symbols {
			list[i] = metaSymbol(s)
		}
		if err := add(metaSymbols, list); err != nil {
			return nil, err
		}
	}
	if len(x.g.States) > 0 {
		list := make([]metaState, len(x.g.States))
		for i, s := range x.g.States {
			list[i].In = s.Name
			if s.Out != s.In {
				list[i].Out = stateOut(s.Name)
			}
		}
		if err := add(metaStates, list); err != nil {
			return nil, err
		}
	}
	return out, nil
}
