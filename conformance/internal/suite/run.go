package suite

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strings"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/graph/passes"
	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/hal/driver"
	"github.com/heddle-ml/heddle/ops"
	"github.com/heddle-ml/heddle/ops/oracle"
)

func sum(b []byte) uint64 {
	h := fnv.New64a()
	h.Write(b)
	return h.Sum64()
}

// Run runs a graph on the device, step by step, with guards around all
// arguments. One goroutine.
type Run struct {
	e     *Env
	dev   *hal.Device
	graph *graph.Graph
	data  graph.Data

	compiled map[string]*compiled // by binding, "" for symbols left open
	queue    *hal.Queue
	line     *hal.Timeline
	tick     uint64
	states   map[string]*argument
	apart    bool
	// Staged tells to move data with Upload and Download commands even where
	// the host sees the memory.
	Staged bool
}

type compiled struct {
	exe  *hal.Executable
	args []*argument
}

// argument is a buffer with a guard before and behind.
type argument struct {
	buf       *hal.Buffer
	at, size  int64
	allocated int64
}

// NewRun prepares to run a graph on the shared device. Every second case moves
// data with commands, the others directly where the host sees the memory.
func (e *Env) NewRun(g *graph.Graph, data graph.Data) *Run {
	return e.NewRunOn(e.Device, g, data)
}

// NewRunOn is NewRun for a device of the case's own.
func (e *Env) NewRunOn(d *hal.Device, g *graph.Graph, data graph.Data) *Run {
	return &Run{e: e, dev: d, graph: g, data: data, compiled: map[string]*compiled{}, states: map[string]*argument{}, Staged: sum([]byte(e.ID))&1 == 0}
}

// Decomposed reports whether the device was given simpler operators.
func (r *Run) Decomposed() bool { return r.apart }

// Close releases everything.
func (r *Run) Close() {
	if r.queue != nil {
		r.queue.Close()
	}
	for _, c := range r.compiled {
		c.exe.Close()
		for _, a := range c.args {
			if !slices.Contains(slices.Collect(maps.Values(r.states)), a) {
				a.buf.Close()
			}
		}
	}
	for _, a := range r.states {
		a.buf.Close()
	}
}

// Fit makes a graph one that the device accepts: nodes that it refuses are
// decomposed as far as they can be. The error is made by Unsupported, unless
// the device contradicts what it claims.
func Fit(d *hal.Device, g *graph.Graph) (fitted *graph.Graph, decomposed bool, err error) {
	for {
		refused, err := refusals(d, g)
		if err != nil || len(refused) == 0 {
			return g, decomposed, err
		}
		apart := map[string]bool{}
		for _, r := range refused {
			op := ops.Get(r.op.Domain, r.op.Name)
			switch {
			case r.contradiction != "": // claimed is claimed, even where there is another way
				return nil, false, errors.New(r.contradiction)
			case op == nil || op.Decompose == nil || op.Updates:
				return nil, false, Unsupported("%s", r.text)
			}
			apart[r.op.Domain+"."+r.op.Name] = true
		}
		next, err := passes.Decompose(g, func(op graph.OpRef) bool { return !apart[op.Domain+"."+op.Name] })
		if err != nil {
			return nil, false, Unsupported("%s; and it cannot be decomposed here: %v", refused[0].text, err)
		}
		if next, err = passes.Run(next, passes.Fold, passes.Dedupe, passes.DeadCode); err != nil {
			return nil, false, fmt.Errorf("the suite's own graph: %w", err)
		}
		g, decomposed = next, true
	}
}

type refusal struct {
	op                  graph.OpRef
	text, contradiction string
}

func refusals(d *hal.Device, g *graph.Graph) ([]refusal, error) {
	vs, err := d.Supports(g)
	if err != nil {
		return nil, err
	}
	var out []refusal
	for i, v := range vs {
		if v.OK {
			continue
		}
		n := &g.Nodes[i]
		r := refusal{op: n.Op, text: fmt.Sprintf("%s: %s (%s)", n.Op, v.Text, v.Code)}
		if claim, ok := d.Caps().Op(n.Op); ok && len(n.In) > 0 && n.In[0] != graph.NoValue {
			t := g.Values[n.In[0]].Type
			uniform := true
			for _, in := range n.In {
				uniform = uniform && (in == graph.NoValue || g.Values[in].Type.Elem == t.Elem)
			}
			for _, out := range n.Out { // Cast: what it makes is not claimed
				uniform = uniform && (out == graph.NoValue || g.Values[out].Type.Elem == t.Elem)
			}
			switch {
			case !claim.Elem(t.Elem):
			case v.Code == driver.ReasonOperator, v.Code == driver.ReasonPolicy, v.Code == driver.ReasonType && uniform && plain(g, n):
				r.contradiction = fmt.Sprintf("the device claims %s for %s and refuses it: %s", n.Op, t.Elem, v.Text)
			case v.Code == driver.ReasonEncoding && claimedEncodings(g, n, claim):
				r.contradiction = fmt.Sprintf("the device claims %s for these encodings and refuses it: %s", n.Op, v.Text)
			}
		}
		out = append(out, r)
	}
	return out, nil
}

func plain(g *graph.Graph, n *graph.Node) bool {
	for _, in := range n.In {
		if in != graph.NoValue && g.Values[in].Type.Enc != (enc.Encoding{}) {
			return false
		}
	}
	return true
}

func claimedEncodings(g *graph.Graph, n *graph.Node, claim driver.OpCap) bool {
	for _, in := range n.In {
		if in == graph.NoValue || g.Values[in].Type.Enc == (enc.Encoding{}) {
			continue
		}
		if g.Values[in].Kind != graph.Const {
			return false // what is claimed are encodings of weights, not of states
		}
		text := g.Values[in].Type.Enc.String()
		if !slices.ContainsFunc(claim.Encodings, func(p string) bool { return strings.HasPrefix(text, p) }) {
			return false
		}
	}
	return true
}

// compile compiles the graph for a step. Devices with dynamic shapes get it
// once, with the symbols left open.
func (r *Run) compile(ctx context.Context, at dim.Binding) (*compiled, error) {
	key := ""
	g := r.graph
	if r.dev.Caps().Shapes.StaticOnly && len(g.Symbols) > 0 {
		key = fmt.Sprint(map[string]int64(at))
	}
	if c, ok := r.compiled[key]; ok {
		return c, nil
	}
	var err error
	if key != "" {
		if g, err = passes.Specialize(g, at); err != nil {
			return nil, fmt.Errorf("the suite's own graph: %w", err)
		}
	}
	g, apart, err := Fit(r.dev, g)
	if err != nil {
		return nil, err
	}
	r.apart = r.apart || apart
	exe, err := r.dev.Compile(ctx, g, hal.CompileOptions{Label: r.e.ID, Data: r.data})
	if err != nil {
		return nil, fmt.Errorf("after Supports accepted every node, Compile did not: %w", err)
	}
	c := &compiled{exe: exe}
	r.compiled[key] = c
	if want := driver.BindingsOf(g, 1); len(exe.Bindings()) != len(want) {
		return nil, fmt.Errorf("the executable has %d arguments, the graph %d", len(exe.Bindings()), len(want))
	}
	for i, b := range exe.Bindings() {
		if a := r.states[b.Name]; b.Role == driver.RoleState && a != nil {
			c.args = append(c.args, a)
			continue
		}
		dims := exe.MaxDims()
		size, err := exe.Size(i, dims)
		if err != nil {
			return nil, err
		}
		a, err := r.allocate(ctx, size, b.Align)
		if err != nil {
			return nil, err
		}
		c.args = append(c.args, a)
		if b.Role == driver.RoleState {
			r.states[b.Name] = a
		}
	}
	return c, nil
}

// ErrStray is wrapped when a run wrote to memory that is not its own: before
// or behind an argument, or into an input.
var ErrStray = errors.New("the run wrote where it must not")

// guard is how many bytes lie before and behind each argument, at least.
const guard = 256

func (r *Run) allocate(ctx context.Context, size, align int64) (*argument, error) {
	at := max(guard, align)
	a := &argument{at: at, size: size, allocated: at + size + guard}
	var err error
	a.buf, err = r.dev.Alloc(ctx, a.allocated)
	return a, err
}

// pattern is the byte at a position of a guard, or of an output before a run.
func pattern(i int64) byte { return byte(i*7+3) | 0x80 }

// SetState fills a state before the first step.
func (r *Run) SetState(ctx context.Context, name string, t *oracle.Tensor) error {
	if r.states[name] == nil {
		at := dim.Binding{}
		for _, s := range r.graph.Symbols {
			at[s.Name] = s.Max
		}
		if _, err := r.compile(ctx, at); err != nil {
			return err
		}
	}
	a := r.states[name]
	if a == nil {
		return fmt.Errorf("the executable has no state %q", name)
	}
	b, err := t.Bytes()
	if err != nil {
		return err
	}
	return r.write(ctx, a, a.at, b)
}

// Clear empties the states, as they are before the first step.
func (r *Run) Clear(ctx context.Context) error {
	for _, a := range r.states {
		if err := r.write(ctx, a, a.at, make([]byte, a.size)); err != nil {
			return err
		}
	}
	return nil
}

// Step runs once and returns the outputs, and those states whose bytes are
// plain numbers.
func (r *Run) Step(ctx context.Context, in map[string]*oracle.Tensor, at dim.Binding) (*oracle.Result, error) {
	c, err := r.compile(ctx, at)
	if err != nil {
		return nil, err
	}
	dims := make([]int64, len(c.exe.Symbols()))
	for i, s := range c.exe.Symbols() {
		dims[i] = at[s.Name]
	}
	args := make([]hal.Region, len(c.args))
	inputs := map[int][]byte{}
	for i, b := range c.exe.Bindings() {
		a := c.args[i]
		size, err := c.exe.Size(i, dims)
		if err != nil {
			return nil, err
		}
		if size > a.size {
			return nil, fmt.Errorf("%s %s takes %d bytes at %v, and %d at the upper bounds", b.Role, b.Name, size, dims, a.size)
		}
		args[i] = a.buf.At(a.at, size)
		var content []byte
		switch b.Role {
		case driver.RoleInput:
			t, ok := in[b.Name]
			if !ok {
				return nil, fmt.Errorf("the executable has an input %q, the graph has none", b.Name)
			}
			if content, err = t.Bytes(); err != nil {
				return nil, err
			}
			if int64(len(content)) != size {
				return nil, fmt.Errorf("input %s takes %d bytes, %s%v has %d", b.Name, size, t.Elem, t.Shape, len(content))
			}
			inputs[i] = content
		case driver.RoleOutput:
			content = make([]byte, size)
			for k := range content {
				content[k] = pattern(int64(k))
			}
		case driver.RoleState:
			if err := r.guards(ctx, a, a.size); err != nil {
				return nil, err
			}
			continue
		}
		if err := r.write(ctx, a, a.at, content); err != nil {
			return nil, err
		}
		if err := r.guards(ctx, a, size); err != nil {
			return nil, err
		}
	}
	if err := r.submit(ctx, hal.Cmd{Op: hal.Run, Exec: c.exe, Args: args, Dims: dims}); err != nil {
		return nil, err
	}
	out := &oracle.Result{Outputs: map[string]*oracle.Tensor{}, States: map[string]*oracle.Tensor{}}
	for i, b := range c.exe.Bindings() {
		a := c.args[i]
		size := args[i].Size
		all, err := r.read(ctx, a)
		if err != nil {
			return nil, err
		}
		for k, v := range all {
			if p := int64(k); (p < a.at || p >= a.at+size && (b.Role != driver.RoleState || p >= a.at+a.size)) && v != pattern(p) {
				return nil, fmt.Errorf("%w: byte %d behind the start of %s %s, which has %d, is another", ErrStray, p-a.at, b.Role, b.Name, size)
			}
		}
		content := all[a.at : a.at+size]
		if want, ok := inputs[i]; ok {
			if !slices.Equal(want, content) {
				return nil, fmt.Errorf("%w: it changed input %s", ErrStray, b.Name)
			}
			continue
		}
		if b.Type.Enc != (enc.Encoding{}) {
			continue
		}
		shape, err := b.Type.Shape.Eval(c.exe.Bind(dims))
		if err != nil {
			return nil, err
		}
		t, err := oracle.FromBytes(b.Type.Elem, shape, content)
		if err != nil {
			return nil, err
		}
		if b.Role == driver.RoleOutput {
			out.Outputs[b.Name] = t
		} else {
			out.States[b.Name] = t
		}
	}
	return out, nil
}

// guards writes the pattern before and behind an argument of a size.
func (r *Run) guards(ctx context.Context, a *argument, size int64) error {
	before, behind := make([]byte, a.at), make([]byte, a.allocated-a.at-size)
	for i := range before {
		before[i] = pattern(int64(i))
	}
	for i := range behind {
		behind[i] = pattern(int64(i) + a.at + size)
	}
	if err := r.write(ctx, a, 0, before); err != nil {
		return err
	}
	return r.write(ctx, a, a.at+size, behind)
}

func (r *Run) write(ctx context.Context, a *argument, at int64, content []byte) error {
	if b, ok := a.buf.Bytes(); ok && !r.Staged {
		copy(b[at:], content)
		return nil
	}
	if len(content) == 0 {
		return nil
	}
	return r.submit(ctx, hal.Cmd{Op: hal.Upload, Dst: a.buf.At(at, int64(len(content))), Host: content})
}

func (r *Run) read(ctx context.Context, a *argument) ([]byte, error) {
	out := make([]byte, a.allocated)
	if b, ok := a.buf.Bytes(); ok && !r.Staged {
		copy(out, b)
		return out, nil
	}
	return out, r.submit(ctx, hal.Cmd{Op: hal.Download, Src: a.buf.All(), Host: out})
}

// submit runs one command and waits for it.
func (r *Run) submit(ctx context.Context, c hal.Cmd) error {
	if r.queue == nil {
		q, err := r.dev.NewQueue(hal.QueueOptions{Label: r.e.ID})
		if err != nil {
			return err
		}
		r.queue = q
		if r.line, err = q.NewTimeline(0); err != nil {
			return err
		}
	}
	r.tick++
	err := r.queue.Submit(ctx, &hal.Batch{Cmds: []hal.Cmd{c}, Signal: []hal.Point{{T: r.line, V: r.tick}}})
	if err != nil {
		return err
	}
	return r.line.Wait(ctx, r.tick)
}
