package cpu

import (
	"encoding/binary"
	"fmt"
	"math"
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
	// size is its bytes in memory; those of an affine encoding's scales and
	// zero points lie within, from these offsets on.
	size, scaleAt, zeroAt int

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
	limit   int64        // bytes that one tensor, and the arena, may have
	err     error        // the first failure of what returns no error
}

// fail notes an error, if it is the first.
func (b *build) fail(err error) {
	if b.err == nil {
		b.err = err
	}
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
	_, in, err := lowerAll(x, dims)
	return in, err
}

// lowerAll also returns what the instance was built with.
func lowerAll(x *executable, dims []int64) (*build, *instance, error) {
	b := &build{x: x, g: x.g, at: dim.Binding{}, tensors: make([]*tensor, len(x.g.Values)), mem: &memoryMap{args: make([][]byte, len(x.bindings))}, limit: x.dev.limit()}
	for i, s := range x.symbols {
		b.at[s.Name] = dims[i]
	}
	if err := b.leaves(); err != nil {
		return nil, nil, err
	}
	ends := b.outputs()
	for id := range b.g.Nodes {
		b.node = graph.NodeID(id)
		n := &b.g.Nodes[id]
		if err := b.lower(n, ends); err != nil {
			return nil, nil, nodeError(x.label, n, err)
		}
	}
	if err := b.finish(); err != nil {
		return nil, nil, err
	}
	in := &instance{dims: slices.Clone(dims), steps: b.steps, run: b.mem}
	in.arena = plan(b.blocks)
	if int64(in.arena) > b.limit {
		return nil, nil, fmt.Errorf("%s: working memory of %d bytes; the machine has %d: %w", x.label, in.arena, b.limit, driver.ErrOutOfMemory)
	}
	return b, in, nil
}

// newTensor makes a tensor of a value's type, not yet placed.
func (b *build) newTensor(t graph.Type) (*tensor, error) {
	shape, err := t.Shape.Eval(b.at)
	if err != nil {
		return nil, err
	}
	n, err := dim.Count(shape)
	var l enc.Layout
	if err == nil {
		l, err = t.Enc.Layout(t.Elem, shape)
	}
	if err != nil { // the verifier has seen the type, so it is the size
		return nil, fmt.Errorf("%w: %w", err, driver.ErrOutOfMemory)
	}
	x := &tensor{elem: t.Elem, enc: t.Enc, n: int(n), state: -1, mem: b.mem, shape: make([]int, len(shape))}
	x.scaleAt, x.zeroAt, x.size = planes(l)
	if int64(x.size) > b.limit || l.Total() > b.limit {
		return nil, fmt.Errorf("%s%v needs %d bytes; the machine has %d: %w", t.Elem, shape, l.Total(), b.limit, driver.ErrOutOfMemory)
	}
	for i, d := range shape {
		if d > math.MaxInt {
			return nil, fmt.Errorf("dimension %d: %w", d, driver.ErrOutOfMemory)
		}
		x.shape[i] = int(d)
	}
	return x, nil
}

// planes returns where the scales and zero points of a tensor lie, and its
// bytes in all.
func planes(l enc.Layout) (scale, zero, total int) {
	s, z, t := driver.Planes(l)
	return int(s), int(z), int(t)
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
	for _, t := range c.in {
		b.touch(t)
	}
	if err := b.operands(c, &low); err != nil {
		return err
	}
	if !effective(n, c) {
		// Nothing to compute; still, what follows reads an operand.
	} else if err := low.lower(b, c); err != nil {
		return err
	}
	for _, t := range c.out {
		b.commit(t)
	}
	return b.err
}

// effective tells whether a node has anything to do: results without elements
// need no kernel, which then need not think of them. An update of a state
// still hands the state on.
func effective(n *graph.Node, c *call) bool {
	for _, t := range c.out {
		if t != nil && t.n > 0 {
			return true
		}
	}
	return ops.Standard.Updates(n.Op)
}

// operands makes operands plain where the lowering wants that: constants are
// decoded now, states as they are used.
func (b *build) operands(c *call, low *lowering) error {
	if low.raw {
		return nil
	}
	for i, t := range c.in {
		switch {
		case t == nil:
		case t.place == inConst:
			if !slices.Contains(low.encoded, i) {
				if err := b.plainConst(t); err != nil {
					return err
				}
			}
		case t.enc != (enc.Encoding{}) && !slices.Contains(low.states, i):
			if t.enc.Kind != enc.Plain {
				return fmt.Errorf("input %d is %s: %w", i, t.enc, driver.ErrUnsupported)
			}
			u := b.temp(t.elem, t.shape...)
			b.cast(u, t.stored())
			c.in[i] = u
		case i == 0 && t.state >= 0 && ops.Standard.Updates(c.Op): // in place
		case t.elem == enc.Bool && t.place == inArg:
			// Whoever wrote the bytes may call anything but 0 true; kernels
			// want 1.
			u := b.temp(enc.Bool, t.shape...)
			b.each(t.n, grain, func(lo, hi int) { cast(u.bytes(), enc.Bool, t.bytes(), enc.Bool, lo, hi) })
			c.in[i] = u
		}
	}
	return nil
}

// stored views a tensor that is kept in a narrower type as one of that type.
func (t *tensor) stored() *tensor {
	u := *t
	u.elem, u.enc = t.enc.Stored(t.elem), enc.Encoding{}
	return &u
}

// commit gives an output its memory, unless it has become another's alias.
func (b *build) commit(t *tensor) {
	if t != nil && t.place == inArena && t.block.size == 0 && t.block.first == int(b.node) {
		t.block.size = t.size
		b.blocks = append(b.blocks, t.block)
	}
}

// touch notes that the node being lowered uses a tensor's memory.
func (b *build) touch(t *tensor) {
	if t != nil && t.place == inArena {
		t.block.last = max(t.block.last, int(b.node))
	}
}

// temp makes a tensor that lives while the present node runs.
func (b *build) temp(elem enc.Elem, shape ...int) *tensor {
	t := &tensor{elem: elem, shape: slices.Clone(shape), n: 1, state: -1, mem: b.mem, block: &block{first: int(b.node), last: int(b.node)}}
	for _, d := range shape {
		if d > 0 && int64(t.n) > b.limit/int64(d) {
			b.fail(fmt.Errorf("scratch of %s%v is more than the machine's %d bytes: %w", elem, shape, b.limit, driver.ErrOutOfMemory))
			t.n = 0
			break
		}
		t.n *= d
	}
	t.size = (t.n*elem.Bits() + 7) / 8
	t.block.size = t.size
	b.blocks = append(b.blocks, t.block)
	return t
}

// step appends work of the node being lowered.
func (b *build) step(do func() error) { b.steps = append(b.steps, step{b.node, do}) }

// alias makes out the same memory as in, read-only, with a shape of its own:
// Reshape costs nothing. An output of the graph needs bytes of its own. A
// version of a state may be aliased: the verifier has seen that a version that
// is read is not updated.
func (b *build) alias(out, in *tensor) {
	if out.place == inArg {
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
	if t.data != nil {
		return nil
	}
	if t.n == 0 {
		t.data, t.enc = []byte{}, enc.Encoding{}
		return nil
	}
	data, err := b.x.weights.plain(t.value, t.elem)
	if err != nil {
		return err
	}
	t.data, t.enc, t.size = data, enc.Encoding{}, len(data)
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
