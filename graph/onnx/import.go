package onnx

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/graph/onnx/internal/pb"
	"github.com/heddle-ml/heddle/ops"
)

// The operator sets that Import accepts.
const (
	MinOpset = 1
	MaxOpset = 28
)

// ErrFormat is wrapped by errors about bytes that are not an ONNX model,
// ErrUnsupported by errors about a model that heddle cannot express.
var (
	ErrFormat      = pb.ErrFormat
	ErrUnsupported = errors.New("not supported")
)

// ImportOptions says how to read a model. The zero value is usable.
type ImportOptions struct {
	// Name is the graph's; empty means the model's own.
	Name string
	// Values gives inputs their values. Those that shapes depend on become
	// constants; the others stay inputs and their values are not used.
	Values map[string]*graph.Tensor
	// Bind gives named dimensions (dim_param) their values.
	Bind dim.Binding
	// Symbols bounds named dimensions. A name that is not listed gets the
	// bounds that Export wrote into the model, else 1..65536.
	Symbols []dim.Symbol
	// External holds the files of external data, by the location that the
	// model gives. Nil refuses external data. ImportFile sets it to the
	// model's folder.
	External fs.FS
	// Warn, if not nil, is told about what was read differently from how it
	// is written, such as names that cannot be symbols.
	Warn func(message string)

	source string // name of the model's file; large weights refer to it
}

// defaultMax bounds a dimension that has only a name.
const defaultMax = 1 << 16

// maxFile is the size that protobuf allows a message.
const maxFile = 1<<31 - 1

// inlineMax is the size in bytes up to which constants are held in the graph
// when they could be referred to.
const inlineMax = 1024

// ImportFile reads the model at path. Initializers larger than a kilobyte are
// not copied: the graph's source with the base name of path stands for the
// file. Offsets in it are not aligned. External data must lie in the folder of
// path or below; its sources have the names that the model gives.
func ImportFile(path string, o ImportOptions) (*graph.Graph, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("onnx: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("onnx: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxFile {
		return nil, fmt.Errorf("onnx: %s is not a file of at most 2 GiB: %w", path, ErrFormat)
	}
	model, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return nil, fmt.Errorf("onnx: read %s: %w", path, err)
	}
	if o.External == nil {
		root, err := os.OpenRoot(filepath.Dir(path)) // follows no link out of the folder
		if err != nil {
			return nil, fmt.Errorf("onnx: %w", err)
		}
		defer root.Close()
		o.External = root.FS()
	}
	o.source = filepath.Base(path)
	g, err := Import(model, o)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return g, nil
}

// Import reads a model. The graph's constants may alias it; it must not be
// written afterwards. Errors name the node, its operator and operator set.
func Import(model []byte, o ImportOptions) (*graph.Graph, error) {
	m, err := pb.Decode(model)
	if err != nil {
		return nil, err
	}
	if m.Graph == nil {
		return nil, fmt.Errorf("onnx: the model has no graph: %w", ErrFormat)
	}
	if m.Graph.Sparse > 0 {
		return nil, fmt.Errorf("onnx: sparse initializers are %w; store them dense", ErrUnsupported)
	}
	nodes, err := flatten(m)
	if err != nil {
		return nil, fmt.Errorf("onnx: %w", err)
	}
	if o.Name == "" {
		o.Name = m.Graph.Name
	}
	im := &importer{
		opts:   o,
		model:  m.Graph,
		size:   int64(len(model)),
		nodes:  nodes,
		b:      graph.NewBuilder(o.Name, ops.Standard),
		env:    map[string]*operand{},
		needed: neededValues(nodes),
	}
	if err := im.metadata(m.Metadata); err != nil {
		return nil, fmt.Errorf("onnx: %w", err)
	}
	if err := im.run(); err != nil {
		return nil, fmt.Errorf("onnx: %w", err)
	}
	return im.b.Build()
}

// importer is the state of one import.
type importer struct {
	opts  ImportOptions
	model *pb.Graph
	size  int64
	nodes []node
	b     *graph.Builder
	// env holds every value made so far, by its ONNX name.
	env map[string]*operand
	// needed tells which values shapes depend on.
	needed  map[string]bool
	symbols symbols
	// states maps the input of a state to the output that leaves it, which
	// is empty for a state that is only read.
	states    map[string]string
	stateOuts map[string]bool
	// work counts what folding computed; see maxWork.
	work float64
	// name and folding belong to the node being read.
	name    string
	folding bool
}

// operand is a value as the nodes being read see it. A constant enters the
// graph when the first node that stays uses it: most shape arithmetic never
// does.
type operand struct {
	value graph.Value
	id    graph.ValueID // NoValue: a constant outside of the graph
}

func (im *importer) warn(format string, args ...any) {
	if im.opts.Warn != nil {
		im.opts.Warn(fmt.Sprintf(format, args...))
	}
}

func (im *importer) run() error {
	initializers := map[string]bool{}
	for i := range im.model.Initializers {
		t := &im.model.Initializers[i]
		if t.Name == "" || initializers[t.Name] {
			return fmt.Errorf("initializer %d: name %q is empty or taken: %w", i, t.Name, ErrFormat)
		}
		initializers[t.Name] = true
	}
	if err := im.declareSymbols(initializers); err != nil {
		return err
	}
	for i := range im.model.Inputs {
		in := &im.model.Inputs[i]
		if initializers[in.Name] {
			continue // before IR version 4, initializers were inputs too
		}
		if err := im.input(in); err != nil {
			return fmt.Errorf("input %q: %w", in.Name, err)
		}
	}
	for name := range im.states {
		if v := im.env[name]; v == nil || v.value.Kind != graph.StateIn {
			return fmt.Errorf("metadata: state %q is no input: %w", name, ErrFormat)
		}
	}
	for name := range im.opts.Values {
		if !slices.ContainsFunc(im.model.Inputs, func(v pb.ValueInfo) bool { return v.Name == name }) {
			return fmt.Errorf("a value is given for input %q, which the model does not have", name)
		}
	}
	for i := range im.model.Initializers {
		t := &im.model.Initializers[i]
		v, err := im.initializer(t, im.needed[t.Name])
		if err != nil {
			return fmt.Errorf("initializer %q: %w", t.Name, err)
		}
		if err := im.define(t.Name, v); err != nil {
			return err
		}
	}
	for i := range im.nodes {
		n := &im.nodes[i]
		if err := im.node(n); err != nil {
			return fmt.Errorf("node %s (%s, operator set %d): %w", n.label(), n.op(), n.opset, stripGraph(err))
		}
	}
	return im.outputs()
}

// stripGraph removes the builder's own account of where an error happened,
// which repeats what the importer says.
func stripGraph(err error) error {
	var ge *graph.Error
	if errors.As(err, &ge) && ge.Value == "" && ge.Err != nil {
		return ge.Err
	}
	return err
}

func (im *importer) define(name string, v *operand) error {
	if im.env[name] != nil {
		return fmt.Errorf("value %q is defined twice: %w", name, ErrFormat)
	}
	im.env[name] = v
	return nil
}

// input declares an input, or makes it a constant when shapes depend on it.
func (im *importer) input(in *pb.ValueInfo) error {
	if in.Name == "" {
		return fmt.Errorf("has no name: %w", ErrFormat)
	}
	value, given := im.opts.Values[in.Name]
	if given {
		if value == nil {
			return errors.New("its value is nil")
		}
		if err := value.Valid(); err != nil {
			return fmt.Errorf("its value: %w", err)
		}
		if err := im.checkDeclared(in, value.Type()); err != nil {
			return fmt.Errorf("its value: %w", err)
		}
	}
	if given && im.needed[in.Name] {
		return im.define(in.Name, constant(value))
	}
	t, err := im.inputType(in)
	if err != nil {
		return err
	}
	if _, isState := im.states[in.Name]; isState {
		id := im.b.State(in.Name, t)
		if id == graph.NoValue {
			return im.b.Err()
		}
		return im.define(in.Name, im.made(id))
	}
	id := im.b.Input(in.Name, t)
	if id == graph.NoValue {
		return im.b.Err()
	}
	return im.define(in.Name, im.made(id))
}

// made returns the operand for a value of the graph.
func (im *importer) made(id graph.ValueID) *operand {
	return &operand{value: *im.b.Value(id), id: id}
}

// use returns the graph's value for an operand, NoValue for an omitted one.
func (im *importer) use(v *operand) graph.ValueID {
	if v == nil {
		return graph.NoValue
	}
	if v.symbolic32() {
		id := im.use(v.widened())
		if im.b.Err() == nil {
			v.id = im.b.Op("Cast", []graph.ValueID{id}, graph.Elem("to", enc.I32))
		}
		return v.id
	}
	if v.id == graph.NoValue {
		v.id = im.b.Weight(v.value.Name, v.value.Type, v.value.Data)
		if v.id == graph.NoValue && v.value.Name != "" && im.b.Err() == nil {
			v.id = im.b.Weight("", v.value.Type, v.value.Data)
		}
	}
	return v.id
}

func (im *importer) outputs() error {
	if len(im.model.Outputs) == 0 {
		return fmt.Errorf("the graph has no outputs: %w", ErrFormat)
	}
	next := map[string]*operand{}
	for i := range im.model.Outputs {
		out := &im.model.Outputs[i]
		v := im.env[out.Name]
		if v == nil {
			return fmt.Errorf("output %q is made by no node: %w", out.Name, ErrFormat)
		}
		if err := im.checkDeclared(out, v.value.Type); err != nil {
			return fmt.Errorf("output %q: %w", out.Name, err)
		}
		if im.stateOuts[out.Name] {
			next[out.Name] = v
			continue
		}
		im.b.Output(out.Name, im.use(v))
	}
	for i := range im.model.Inputs {
		name := im.model.Inputs[i].Name
		left := im.states[name]
		if left == "" {
			continue
		}
		v := next[left]
		if v == nil {
			return fmt.Errorf("state %q: the model has no output %q: %w", name, left, ErrFormat)
		}
		im.b.SetState(name, im.use(v))
	}
	return im.b.Err()
}

// constant returns an operand for a tensor.
func constant(t *graph.Tensor) *operand {
	data := t.Data
	if data == nil {
		data = []byte{} // present but empty
	}
	return &operand{id: graph.NoValue, value: graph.Value{
		Kind: graph.Const, Def: -1, Type: t.Type(),
		Data: &graph.Weight{Parts: []graph.Part{{Inline: data, Elem: t.Elem, Shape: t.Shape}}},
	}}
}

// dims returns an operand for a vector of symbolic integers.
func dims(ds []dim.Dim) *operand {
	if ns, ok := dim.Shape(ds).Const(); ok {
		return constant(graph.I64(ns...))
	}
	return &operand{id: graph.NoValue, value: graph.Value{
		Kind: graph.Const, Def: -1, Type: graph.OfInts(enc.I64, int64(len(ds))),
		Data: &graph.Weight{Dims: ds},
	}}
}

func ints(ns ...int64) *operand { return constant(graph.I64(ns...)) }

// Names returns the names of a model's inputs that are not initializers, and
// of its outputs, in their order.
func Names(model []byte) (inputs, outputs []string, err error) {
	m, err := pb.Decode(model)
	if err != nil {
		return nil, nil, err
	}
	if m.Graph == nil {
		return nil, nil, fmt.Errorf("onnx: the model has no graph: %w", ErrFormat)
	}
	initializers := map[string]bool{}
	for i := range m.Graph.Initializers {
		initializers[m.Graph.Initializers[i].Name] = true
	}
	for i := range m.Graph.Inputs {
		if name := m.Graph.Inputs[i].Name; !initializers[name] {
			inputs = append(inputs, name)
		}
	}
	for i := range m.Graph.Outputs {
		outputs = append(outputs, m.Graph.Outputs[i].Name)
	}
	return inputs, outputs, nil
}
