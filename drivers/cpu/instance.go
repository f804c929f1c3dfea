package cpu

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/hal/driver"
	"github.com/heddle-ml/heddle/ops"
)

// instance is an executable at particular symbol values: shapes are numbers,
// memory is planned, and what is left to do is a list of steps.
type instance struct {
	dims  []int64
	steps []step
	arena int // bytes
	run   *memoryMap
}

// memoryMap says where the memory of the present run is. Steps hold a pointer
// to it; runs of one executable exclude each other.
type memoryMap struct {
	arena []byte
	args  [][]byte
}

type step struct {
	node graph.NodeID
	do   func() error
}

// place tells in which memory a tensor lies.
type place uint8

const (
	inArena place = iota
	inArg
	inConst
)

// tensor is a value of an instance. Its bytes are dense and row-major.
type tensor struct {
	elem  enc.Elem
	enc   enc.Encoding
	shape []int
	n     int // elements

	place place
	block *block // inArena
	arg   int    // inArg: position among the bindings
	// data holds a constant's bytes, once asked for; value is its definition.
	data  []byte
	value *graph.Value
	// index of the state that the tensor is a version of, else -1
	state int
	mem   *memoryMap
}

// bytes returns where the tensor lies in the present run. It must not be
// called while an instance is built, except for constants.
func (t *tensor) bytes() []byte {
	switch t.place {
	case inArg:
		return t.mem.args[t.arg]
	case inConst:
		return t.data
	}
	return t.mem.arena[t.block.offset : t.block.offset+t.block.size]
}

// of views a tensor's elements in the present run.
func of[T any](t *tensor) []T { return as[T](t.bytes())[:t.n] }

// rank returns the number of dimensions.
func (t *tensor) rank() int { return len(t.shape) }

// build makes an instance.
type build struct {
	x       *executable
	g       *graph.Graph
	at      dim.Binding
	tensors []*tensor
	blocks  []*block
	steps   []step
	mem     *memoryMap
	node    graph.NodeID // being lowered
	uses    []int
}

// call is a node being lowered.
type call struct {
	*graph.Node
	in  []*tensor // nil where omitted
	out []*tensor // nil where unused
}

func (c *call) has(i int) bool { return i < len(c.in) && c.in[i] != nil }

func (c *call) input(i int) *tensor {
	if !c.has(i) {
		return nil
	}
	return c.in[i]
}

func newInstance(x *executable, dims []int64) (*instance, error) {
	b := &build{x: x, g: x.g, at: dim.Binding{}, tensors: make([]*tensor, len(x.g.Values)), mem: &memoryMap{args: make([][]byte, len(x.bindings))}, uses: x.g.Uses()}
	for i, s := range x.symbols {
		b.at[s.Name] = dims[i]
	}
	if err := b.leaves(); err != nil {
		return nil, err
	}
	ends := b.outputs()
	for id := range b.g.Nodes {
		b.node = graph.NodeID(id)
		n := &b.g.Nodes[id]
		if err := b.lower(n, ends); err != nil {
			return nil, &graph.Error{Graph: x.label, Node: n.Name, Op: n.Op.String(), Err: err}
		}
	}
	if err := b.finish(); err != nil {
		return nil, err
	}
	in := &instance{dims: slices.Clone(dims), steps: b.steps, run: b.mem}
	in.arena = plan(b.blocks)
	return in, nil
}

// newTensor makes a tensor of a value's type, not yet placed.
func (b *build) newTensor(t graph.Type) (*tensor, error) {
	shape, err := t.Shape.Eval(b.at)
	if err != nil {
		return nil, err
	}
	n, err := dim.Count(shape)
	if err != nil {
		return nil, err
	}
	x := &tensor{elem: t.Elem, enc: t.Enc, n: int(n), state: -1, mem: b.mem, shape: make([]int, len(shape))}
	for i, d := range shape {
		x.shape[i] = int(d)
	}
	return x, nil
}

// leaves places inputs, constants and states.
func (b *build) leaves() error {
	arg := map[string]int{}
	for i, bind := range b.x.bindings {
		arg[bind.Role.String()+" "+bind.Name] = i
	}
	for id := range b.g.Values {
		v := &b.g.Values[id]
		if v.Kind == graph.Result {
			continue
		}
		t, err := b.newTensor(v.Type)
		if err != nil {
			return &graph.Error{Graph: b.x.label, Value: v.Name, Err: err}
		}
		b.tensors[id] = t
		switch v.Kind {
		case graph.Input:
			t.place, t.arg = inArg, arg[driver.RoleInput.String()+" "+v.Name]
		case graph.Const:
			t.place, t.value = inConst, v
			if v.Data.Dims != nil {
				for _, d := range v.Data.Dims {
					n, err := d.Eval(b.at)
					if err != nil {
						return &graph.Error{Graph: b.x.label, Value: v.Name, Err: err}
					}
					t.data = binary.LittleEndian.AppendUint64(t.data, uint64(n))
				}
				t.data = aligned(t.data)
			}
		}
	}
	for i, s := range b.g.States {
		t := b.tensors[s.In]
		t.place, t.arg, t.state = inArg, arg[driver.RoleState.String()+" "+s.Name], i
	}
	return nil
}

// outputs returns, for each value that can be made right where a graph output
// is wanted, the binding.
func (b *build) outputs() map[graph.ValueID]int {
	ends := map[graph.ValueID]int{}
	base := len(b.g.Inputs)
	for i, p := range b.g.Outputs {
		if _, twice := ends[p.Value]; !twice && b.g.Values[p.Value].Kind == graph.Result {
			ends[p.Value] = base + i
		}
	}
	return ends
}

// lower turns a node into steps.
func (b *build) lower(n *graph.Node, ends map[graph.ValueID]int) error {
	low, ok := lowerings[opKey{n.Op.Domain, n.Op.Name}]
	if !ok {
		return fmt.Errorf("no kernel: %w", driver.ErrUnsupported)
	}
	c := &call{Node: n}
	for _, id := range n.In {
		if id == graph.NoValue {
			c.in = append(c.in, nil)
			continue
		}
		c.in = append(c.in, b.tensors[id])
	}
	for _, id := range n.Out {
		if id == graph.NoValue {
			c.out = append(c.out, nil)
			continue
		}
		t, err := b.newTensor(b.g.Values[id].Type)
		if err != nil {
			return err
		}
		b.tensors[id] = t
		c.out = append(c.out, t)
		if arg, ok := ends[id]; ok {
			t.place, t.arg = inArg, arg
		} else {
			t.block = &block{first: int(b.node), last: int(b.node)}
		}
	}
	if !low.raw {
		for i, t := range c.in {
			if t == nil || t.place != inConst || slices.Contains(low.encoded, i) {
				continue
			}
			if err := b.plainConst(t); err != nil {
				return err
			}
		}
	}
	for _, t := range c.in {
		b.touch(t)
	}
	if err := low.lower(b, c); err != nil {
		return err
	}
	for i, t := range c.out {
		if t == nil || t.place != inArena {
			continue
		}
		b.commit(t)
		_ = i
	}
	return nil
}

// commit gives an output its memory, unless it has become another's alias.
func (b *build) commit(t *tensor) {
	if t.block.size == 0 && t.n > 0 && t.block.first == int(b.node) && !slices.Contains(b.blocks, t.block) {
		t.block.size = t.byteSize()
		b.blocks = append(b.blocks, t.block)
	}
}

// touch notes that the node being lowered uses a tensor's memory.
func (b *build) touch(t *tensor) {
	if t != nil && t.place == inArena {
		t.block.last = max(t.block.last, int(b.node))
	}
}

// byteSize returns the bytes of the tensor's data.
func (t *tensor) byteSize() int {
	shape := make([]int64, len(t.shape))
	for i, d := range t.shape {
		shape[i] = int64(d)
	}
	l, err := t.enc.Layout(t.elem, shape)
	if err != nil {
		return 0 // the verifier has seen the type
	}
	_, _, total := driver.Planes(l)
	return int(total)
}

// temp makes a tensor that lives while the present node runs.
func (b *build) temp(elem enc.Elem, shape ...int) *tensor {
	t := &tensor{elem: elem, shape: shape, n: 1, state: -1, mem: b.mem}
	for _, d := range shape {
		t.n *= d
	}
	t.block = &block{first: int(b.node), last: int(b.node)}
	t.block.size = t.byteSize()
	b.blocks = append(b.blocks, t.block)
	return t
}

// step appends work of the node being lowered.
func (b *build) step(do func() error) { b.steps = append(b.steps, step{b.node, do}) }

// alias makes out the same memory as in, read-only, with a shape of its own:
// Reshape costs nothing. An output of the graph needs bytes of its own, and
// so does what would outlive an update of the state it is a version of.
func (b *build) alias(out, in *tensor) {
	if out.place == inArg || in.state >= 0 {
		b.copy(out, in)
		return
	}
	out.place, out.block, out.arg, out.data, out.value = in.place, in.block, in.arg, in.data, in.value
}

// copy adds a step that copies the bytes of a tensor of equal size.
func (b *build) copy(out, in *tensor) {
	b.step(func() error {
		copy(out.bytes(), in.bytes())
		return nil
	})
}

// plainConst gives a constant its bytes, decoded to its element type.
func (b *build) plainConst(t *tensor) error {
	if t.data != nil || t.n == 0 {
		return nil
	}
	v, w := t.value, &b.x.weights
	if v.Type.Enc == (enc.Encoding{}) {
		p, err := graph.ReadWeight(v, w.data)
		if err != nil {
			return err
		}
		if c, ok := v.Const(); !ok || len(c.Data) != len(p.Data) {
			w.mapped += int64(len(p.Data))
		}
		t.data = aligned(p.Data)
		return nil
	}
	if v.Type.Elem != enc.F32 {
		return fmt.Errorf("constant %q of type %s: only f32 is decoded: %w", v.Name, v.Type, driver.ErrUnsupported)
	}
	f, err := w.dense(v)
	if err != nil {
		return err
	}
	t.data, t.enc = floatBytes(f), enc.Encoding{}
	return nil
}

// constInts returns the integers of a constant operand: a shape, axes, pads.
func (b *build) constInts(t *tensor) ([]int, error) {
	if t == nil {
		return nil, nil
	}
	if t.place != inConst {
		return nil, fmt.Errorf("an operand that must be constant is not: %w", driver.ErrUnsupported)
	}
	if err := b.plainConst(t); err != nil {
		return nil, err
	}
	out := make([]int, t.n)
	switch t.elem {
	case enc.I64:
		for i, n := range of[int64](t) {
			out[i] = int(n)
		}
	case enc.I32:
		for i, n := range of[int32](t) {
			out[i] = int(n)
		}
	default:
		return nil, fmt.Errorf("an operand of integers is %s: %w", t.elem, driver.ErrUnsupported)
	}
	return out, nil
}

// finish copies what a graph output shares with something else.
func (b *build) finish() error {
	base := len(b.g.Inputs)
	b.node = graph.NodeID(max(0, len(b.g.Nodes)-1))
	for i, p := range b.g.Outputs {
		t := b.tensors[p.Value]
		if t.place == inArg && t.arg == base+i {
			continue
		}
		if t.place == inConst {
			if err := b.plainConst(t); err != nil {
				return err
			}
		}
		out := *t
		out.place, out.arg, out.block = inArg, base+i, nil
		b.touch(t)
		b.copy(&out, t)
	}
	of := b.g.StateOf(ops.Standard)
	for i, s := range b.g.States {
		if t := b.tensors[s.Out]; of[s.Out] != i || t.place != inArg || t.arg != base+len(b.g.Outputs)+i {
			return fmt.Errorf("state %q does not end in its own memory: %w", s.Name, driver.ErrUnsupported)
		}
	}
	return nil
}
