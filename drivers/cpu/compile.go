package cpu

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/hal/driver"
)

// executable is a compiled graph. Runs of one executable exclude each other:
// they share the arena, and the workers would not be faster for two.
type executable struct {
	dev      *device
	g        *graph.Graph // fused
	label    string
	bindings []driver.Binding
	symbols  []dim.Symbol
	weights  weights

	mu        sync.Mutex
	arena     []byte
	instances []*instance // the most recently used first
	scratch   int64       // arena of the largest instance built
	closed    bool
}

// maxInstances bounds the instances kept: a decode step, a full chunk, a few
// last chunks.
const maxInstances = 8

func compile(ctx context.Context, d *device, g *graph.Graph, o driver.CompileOptions) (driver.Executable, error) {
	x := &executable{dev: d, label: o.Label, bindings: driver.BindingsOf(g, blockAlign), symbols: g.Symbols,
		weights: weights{dev: d, data: o.Data, keys: map[string]bool{}}}
	var err error
	if x.g, err = fuse(g); err != nil {
		return nil, err
	}
	// The first instance packs the weights, so that no run has to; the upper
	// bounds say what a run may need.
	most, least := make([]int64, len(x.symbols)), make([]int64, len(x.symbols))
	for i, s := range x.symbols {
		most[i], least[i] = s.Max, s.Min
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	_, err = x.instance(most)
	for errors.Is(err, driver.ErrOutOfMemory) && !slices.Equal(most, least) {
		// The bounds may be wider than what anybody runs, and the lower ones
		// too small to be a picture for the first kernel.
		for i := range most {
			most[i] = least[i] + (most[i]-least[i])/2
		}
		_, err = x.instance(most)
	}
	if err != nil {
		x.weights.release()
		return nil, err
	}
	return x, nil
}

func (x *executable) Bindings() []driver.Binding { return x.bindings }
func (x *executable) Symbols() []dim.Symbol      { return x.symbols }

func (x *executable) Footprint() driver.Footprint {
	x.mu.Lock()
	defer x.mu.Unlock()
	return driver.Footprint{Weights: x.weights.size, Mapped: x.weights.mapped, Scratch: x.scratch}
}

func (x *executable) Close() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.closed {
		x.closed = true
		x.weights.release()
		x.dev.free(int64(len(x.arena)))
		x.instances, x.arena = nil, nil
	}
	return nil
}

// instance returns the instance for symbol values, building it if need be.
// The caller holds x.mu, or is the only one to know x.
func (x *executable) instance(dims []int64) (*instance, error) {
	for i, in := range x.instances {
		if slices.Equal(in.dims, dims) {
			if i > 0 {
				copy(x.instances[1:i+1], x.instances[:i])
				x.instances[0] = in
			}
			return in, nil
		}
	}
	in, err := newInstance(x, dims)
	if err != nil {
		return nil, err
	}
	if len(x.instances) == maxInstances {
		x.instances = x.instances[:maxInstances-1]
	}
	x.instances = slices.Insert(x.instances, 0, in)
	x.scratch = max(x.scratch, int64(in.arena))
	return in, nil
}

// run executes one Run command.
func (x *executable) run(ctx context.Context, c *driver.Cmd) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		return driver.ErrClosed
	}
	in, err := x.instance(c.Dims)
	if err != nil {
		return fmt.Errorf("%s: %w", x.label, err)
	}
	if len(x.arena) < in.arena {
		if err := x.dev.reserve(int64(in.arena - len(x.arena))); err != nil {
			return fmt.Errorf("%s: working memory: %w", x.label, err)
		}
		x.arena = alignedBytes(in.arena)
	}
	err = x.steps(ctx, in, c)
	clear(in.run.args) // keep nothing of the caller's alive
	in.run.arena = nil
	return err
}

func (x *executable) steps(ctx context.Context, in *instance, c *driver.Cmd) (err error) {
	for i := range c.Args {
		if in.run.args[i], err = c.Args[i].Bytes(); err != nil {
			return fmt.Errorf("%s: %s %s: %w", x.label, x.bindings[i].Role, x.bindings[i].Name, err)
		}
	}
	in.run.arena = x.arena
	for i := range in.steps {
		if i%16 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if err := in.steps[i].do(); err != nil {
			return nodeError(x.label, &x.g.Nodes[in.steps[i].node], err)
		}
	}
	return nil
}

// failure is an error in a node of a graph that is well-formed: unlike
// graph.Error it does not say otherwise, but errors.As finds one in it.
type failure struct{ at graph.Error }

func nodeError(label string, n *graph.Node, err error) error {
	return &failure{graph.Error{Graph: label, Node: n.Name, Op: n.Op.String(), Err: err}}
}

func (f *failure) Error() string { return f.at.Error() }
func (f *failure) Unwrap() error { return f.at.Err }

func (f *failure) As(target any) bool {
	e, ok := target.(**graph.Error)
	if ok {
		*e = &f.at
	}
	return ok
}

// errData is wrapped by errors that the content of an input causes, such as
// an index out of range.
var errData = errors.New("an input holds a value that the operator cannot take")
