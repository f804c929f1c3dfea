package cpu

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/hal/driver"
	"github.com/heddle-ml/heddle/ops"
	"github.com/heddle-ml/heddle/ops/oracle"
)

// open opens the CPU by a name such as "cpu?tier=generic".
func open(t testing.TB, name string) *hal.Device {
	t.Helper()
	d, err := hal.NewRegistry(Driver{}).Open(context.Background(), name)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, d.Close()) })
	return d
}

// runner is a graph that is compiled, with buffers for its arguments.
type runner struct {
	t    testing.TB
	x    *hal.Executable
	q    *hal.Queue
	line *hal.Timeline
	at   uint64
	bufs []*hal.Buffer
	args []hal.Region
}

// compile prepares a graph, with buffers for all symbols at their upper
// bounds.
func prepare(t testing.TB, d *hal.Device, g *graph.Graph, data graph.Data) *runner {
	t.Helper()
	ctx := context.Background()
	x, err := d.Compile(ctx, g, hal.CompileOptions{Data: data})
	require.NoError(t, err)
	r := &runner{t: t, x: x}
	r.q, err = d.NewQueue(hal.QueueOptions{})
	require.NoError(t, err)
	r.line, err = r.q.NewTimeline(0)
	require.NoError(t, err)
	for i := range x.Bindings() {
		n, err := x.Size(i, x.MaxDims())
		require.NoError(t, err)
		b, err := d.Alloc(ctx, n)
		require.NoError(t, err)
		r.bufs = append(r.bufs, b)
	}
	r.args = make([]hal.Region, len(r.bufs))
	t.Cleanup(func() {
		require.NoError(t, r.q.Close())
		require.NoError(t, x.Close())
		for _, b := range r.bufs {
			require.NoError(t, b.Close())
		}
	})
	return r
}

// set fills an input or state.
func (r *runner) set(role driver.Role, name string, data []byte) {
	r.t.Helper()
	i := r.x.Index(role, name)
	require.GreaterOrEqual(r.t, i, 0, "%s %s", role, name)
	b, ok := r.bufs[i].Bytes()
	require.True(r.t, ok)
	copy(b, data)
}

// run runs once, with symbol values in the order of the graph's symbols.
func (r *runner) run(dims ...int64) error {
	r.t.Helper()
	if err := r.submit(dims); err != nil {
		return err
	}
	return r.line.Wait(context.Background(), r.at)
}

func (r *runner) submit(dims []int64) error {
	for i := range r.args {
		n, err := r.x.Size(i, dims)
		if err != nil {
			return err
		}
		r.args[i] = r.bufs[i].At(0, n)
	}
	r.at++
	return r.q.Submit(context.Background(), &hal.Batch{
		Cmds:   []hal.Cmd{{Op: hal.Run, Exec: r.x, Args: r.args, Dims: dims}},
		Signal: []hal.Point{{T: r.line, V: r.at}},
	})
}

// get returns an output, or a plain state, of the last run.
func (r *runner) get(role driver.Role, name string) *graph.Tensor {
	r.t.Helper()
	i := r.x.Index(role, name)
	require.GreaterOrEqual(r.t, i, 0, "%s %s", role, name)
	b, ok := r.bufs[i].Bytes()
	require.True(r.t, ok)
	dims := make(dim.Binding)
	for k, s := range r.x.Symbols() {
		dims[s.Name] = r.dims()[k]
	}
	typ := r.x.Bindings()[i].Type
	shape, err := typ.Shape.Eval(dims)
	require.NoError(r.t, err)
	return &graph.Tensor{Elem: typ.Elem, Shape: shape, Data: b[:r.args[i].Size]}
}

// dims is replaced by tests that run at other values than the upper bounds.
func (r *runner) dims() []int64 { return r.x.MaxDims() }

// evaluate runs a graph without symbols on a device.
func evaluate(t testing.TB, d *hal.Device, g *graph.Graph, in map[string]*graph.Tensor) (map[string]*graph.Tensor, error) {
	t.Helper()
	r := prepare(t, d, g, nil)
	for name, v := range in {
		r.set(driver.RoleInput, name, v.Data)
	}
	if err := r.run(); err != nil {
		return nil, err
	}
	out := map[string]*graph.Tensor{}
	for _, p := range g.Outputs {
		out[p.Name] = r.get(driver.RoleOutput, p.Name)
	}
	return out, nil
}

// reference evaluates a graph with the oracle.
func reference(t testing.TB, g *graph.Graph, in map[string]*graph.Tensor) map[string]*graph.Tensor {
	t.Helper()
	args := map[string]*oracle.Tensor{}
	for name, v := range in {
		x, err := oracle.FromConst(v)
		require.NoError(t, err)
		args[name] = x
	}
	res, err := oracle.Eval(context.Background(), g, oracle.Options{Inputs: args, Round: true})
	require.NoError(t, err)
	out := map[string]*graph.Tensor{}
	for name, v := range res.Outputs {
		c, err := v.Const()
		require.NoError(t, err)
		out[name] = c
	}
	return out
}

var (
	_ = ops.Standard
	_ = enc.F32
)
