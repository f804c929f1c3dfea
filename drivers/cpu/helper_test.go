package cpu

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/hal/driver"
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
	tick uint64
	bufs []*hal.Buffer
	args []hal.Region
}

// prepare compiles a graph, with buffers for all symbols at their upper
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
	return r.line.Wait(context.Background(), r.tick)
}

func (r *runner) submit(dims []int64) error {
	for i := range r.args {
		n, err := r.x.Size(i, dims)
		if err != nil {
			return err
		}
		r.args[i] = r.bufs[i].At(0, n)
	}
	r.tick++
	return r.q.Submit(context.Background(), &hal.Batch{
		Cmds:   []hal.Cmd{{Op: hal.Run, Exec: r.x, Args: r.args, Dims: dims}},
		Signal: []hal.Point{{T: r.line, V: r.tick}},
	})
}

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
		out[p.Name] = r.at(driver.RoleOutput, p.Name, nil)
	}
	return out, nil
}
