package oracle

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
)

// Options say what a graph is evaluated on.
type Options struct {
	// Inputs has one tensor for each graph input, by name.
	Inputs map[string]*Tensor
	// States has the contents that states start with, by name and at full
	// capacity; a state that is not there starts with zeros. The numbers are
	// the logical ones, which a state's encoding has to be able to hold.
	States map[string]*Tensor
	// Data gives access to the sources of weights.
	Data graph.Data
	// Bind gives symbols their values. Symbols that are by themselves a
	// dimension of an input or of a state given may be left out: its shape
	// tells.
	Bind dim.Binding
	// Round rounds the result of every operator to its element type, as a
	// device has to that computes each exactly. Without it float64 is kept
	// between operators, which shows how much of an error is rounding; casts,
	// states with an encoding and the graph's outputs are rounded anyway.
	Round bool
	// MaxElements bounds how many elements all values that are alive at one
	// time may have, each of which takes 8 bytes; 0 means 1<<28. Temporaries of
	// one operator can take a small multiple of that.
	MaxElements int64
}

// Result is what a run leaves.
type Result struct {
	Outputs map[string]*Tensor
	States  map[string]*Tensor
}

// Eval evaluates a graph that graph.Verify accepts. Failures are *Error, or
// the context's error wrapped in one.
func Eval(ctx context.Context, g *graph.Graph, o Options) (*Result, error) {
	r := &run{g: g, o: o, ctx: ctx, values: make([]*Tensor, len(g.Values)), uses: g.Uses(), limit: o.MaxElements}
	if r.limit <= 0 {
		r.limit = defaultMaxElements
	}
	if err := r.bindSymbols(); err != nil {
		return nil, err
	}
	if err := r.load(); err != nil {
		return nil, err
	}
	for id := range g.Nodes {
		if err := r.node(graph.NodeID(id)); err != nil {
			return nil, err
		}
	}
	return r.result()
}

// run is one evaluation in progress.
type run struct {
	g      *graph.Graph
	o      Options
	ctx    context.Context
	bind   dim.Binding
	values []*Tensor
	uses   []int // still to come
	alive  int64 // elements of values
	limit  int64
}

func (r *run) valueErr(id graph.ValueID, err error) error {
	return &Error{Graph: r.g.Name, Value: r.g.Values[id].Name, Err: err}
}

// bindSymbols completes the binding from the shapes of inputs and states and checks it
// against the symbols' bounds.
func (r *run) bindSymbols() error {
	r.bind = maps.Clone(r.o.Bind)
	if r.bind == nil {
		r.bind = dim.Binding{}
	}
	infer := func(v *graph.Value, t *Tensor) {
		if t == nil || len(t.Shape) != len(v.Type.Shape) {
			return // load says so
		}
		for a, d := range v.Type.Shape {
			for _, name := range d.Symbols() {
				if _, bound := r.bind[name]; !bound && d.Equal(dim.Sym(name)) {
					r.bind[name] = t.Shape[a]
				}
			}
		}
	}
	for _, id := range r.g.Inputs {
		infer(&r.g.Values[id], r.o.Inputs[r.g.Values[id].Name])
	}
	for _, s := range r.g.States {
		infer(&r.g.Values[s.In], r.o.States[s.Name])
	}
	for _, s := range r.g.Symbols {
		if n, ok := r.bind[s.Name]; ok && (n < s.Min || n > s.Max) {
			return &Error{Graph: r.g.Name, Err: fmt.Errorf("symbol %s is %d; its bounds are %d..%d", s.Name, n, s.Min, s.Max)}
		}
	}
	return nil
}

// load takes over inputs and states.
func (r *run) load() error {
	names := map[string]bool{}
	for _, id := range r.g.Inputs {
		v := &r.g.Values[id]
		names[v.Name] = true
		t := r.o.Inputs[v.Name]
		if t == nil {
			return r.valueErr(id, errors.New("is an input that was not given"))
		}
		if err := r.take(id, t); err != nil {
			return err
		}
	}
	for name := range r.o.Inputs {
		if !names[name] {
			return &Error{Graph: r.g.Name, Value: name, Err: errors.New("was given but is not an input")}
		}
	}
	clear(names)
	for _, s := range r.g.States {
		names[s.Name] = true
		t := r.o.States[s.Name]
		if t == nil {
			typ := r.g.Values[s.In].Type
			shape, err := typ.Shape.Eval(r.bind)
			if err != nil {
				return r.valueErr(s.In, err)
			}
			if n, err := dim.Count(shape); err != nil || n > r.limit {
				return r.valueErr(s.In, fmt.Errorf("a state of shape %v: %w of %d", shape, ErrLimit, r.limit))
			}
			if t, err = newTensor(typ.Elem, shape); err != nil {
				return r.valueErr(s.In, err)
			}
		}
		if err := r.take(s.In, t); err != nil {
			return err
		}
	}
	for name := range r.o.States {
		if !names[name] {
			return &Error{Graph: r.g.Name, Value: name, Err: errors.New("was given but is not a state")}
		}
	}
	return nil
}

// take makes t the contents of an input or state.
func (r *run) take(id graph.ValueID, t *Tensor) error {
	want := r.g.Values[id].Type
	if err := t.valid(); err != nil {
		return r.valueErr(id, err)
	}
	shape, err := want.Shape.Eval(r.bind)
	if err != nil {
		return r.valueErr(id, err)
	}
	if t.Elem != want.Elem || !slices.Equal(t.Shape, shape) {
		return r.valueErr(id, fmt.Errorf("is %s%v; want %s%v", t.Elem, t.Shape, want.Elem, shape))
	}
	return r.keep(id, t.rounded())
}

// keep stores a value while something is going to use it.
func (r *run) keep(id graph.ValueID, t *Tensor) error {
	if r.uses[id] == 0 {
		return nil
	}
	if r.alive += int64(t.Len()); r.alive > r.limit {
		return r.valueErr(id, fmt.Errorf("%d elements are alive: %w of %d", r.alive, ErrLimit, r.limit))
	}
	r.values[id] = t
	return nil
}

// value returns a value, decoding a constant when it is used first.
func (r *run) value(id graph.ValueID) (*Tensor, error) {
	if t := r.values[id]; t != nil {
		return t, nil
	}
	t, err := weight(&r.g.Values[id], r.o.Data, r.bind, r.limit-r.alive)
	if err != nil {
		return nil, r.valueErr(id, err)
	}
	return t, r.keep(id, t)
}

// drop counts one use of a value and frees it after the last.
func (r *run) drop(id graph.ValueID) {
	if r.uses[id]--; r.uses[id] == 0 && r.values[id] != nil {
		r.alive -= int64(r.values[id].Len())
		r.values[id] = nil
	}
}

// node evaluates one node.
func (r *run) node(id graph.NodeID) error {
	n, call := &r.g.Nodes[id], r.g.Call(id)
	fail := func(err error) error {
		name := n.Name
		if name == "" {
			name = fmt.Sprintf("#%d", id)
		}
		return &Error{Graph: r.g.Name, Node: name, Op: n.Op.String(), Err: err}
	}
	if err := r.ctx.Err(); err != nil {
		return fail(err)
	}
	x := &node{Call: call, ctx: r.ctx, args: make([]*Tensor, len(n.In)), out: make([]graph.Type, len(n.Out))}
	for i, v := range n.In {
		if v == graph.NoValue {
			continue
		}
		var err error
		if x.args[i], err = r.value(v); err != nil {
			return err
		}
	}
	x.limit = r.limit - r.alive
	need := int64(0)
	for i, v := range n.Out {
		if v == graph.NoValue {
			continue
		}
		x.out[i] = r.g.Values[v].Type
		shape, err := x.out[i].Shape.Eval(r.bind)
		if err != nil {
			return fail(err)
		}
		count, err := dim.Count(shape)
		if err != nil {
			return fail(err)
		}
		if need += min(count, x.limit+1); need > x.limit {
			return fail(fmt.Errorf("output %d has shape %v: %w of %d elements", i, shape, ErrLimit, r.limit))
		}
		x.out[i].Shape = dim.Ofs(shape...)
	}
	outs, err := x.eval()
	if err != nil {
		return fail(err)
	}
	for i, v := range n.Out {
		if v == graph.NoValue {
			continue
		}
		t := outs[i]
		if r.o.Round {
			t = t.rounded()
		}
		if err := r.keep(v, t); err != nil {
			return err
		}
	}
	for _, v := range n.In {
		if v != graph.NoValue {
			r.drop(v)
		}
	}
	return nil
}

// result collects outputs and final states.
func (r *run) result() (*Result, error) {
	res := &Result{Outputs: map[string]*Tensor{}, States: map[string]*Tensor{}}
	collect := func(to map[string]*Tensor, name string, id graph.ValueID) error {
		t, err := r.value(id)
		if err != nil {
			return err
		}
		to[name] = t.rounded()
		return nil
	}
	for _, p := range r.g.Outputs {
		if err := collect(res.Outputs, p.Name, p.Value); err != nil {
			return nil, err
		}
	}
	for _, s := range r.g.States {
		if err := collect(res.States, s.Name, s.Out); err != nil {
			return nil, err
		}
	}
	return res, nil
}
