package hal_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/hal/driver"
	"github.com/heddle-ml/heddle/ops"
)

// fake is a driver that records what reaches it. Hooks replace its answers.
type fake struct {
	info  driver.Info
	caps  driver.Caps
	probe func(context.Context) ([]driver.DeviceInfo, error)
	open  func(id string, o driver.OpenOptions) (driver.Device, error)
	// on, if not nil, is asked before each call to a device or what was made
	// from it; its error, or panic, is the call's.
	on  func(call string) error
	run func(c *driver.Cmd) error

	mu    sync.Mutex
	calls []string
}

func newFake(name string) *fake {
	return &fake{
		info: driver.Info{Name: name, Vendor: "test"},
		caps: driver.Caps{
			Kind: driver.CPU, Fingerprint: name + "-1",
			Heaps:  []driver.Heap{{Name: "host", HostVisible: true, Align: 64}},
			Limits: driver.Limits{MaxAllocation: 1 << 20},
		},
	}
}

func (f *fake) call(what string) error {
	f.mu.Lock()
	f.calls = append(f.calls, what)
	on := f.on
	f.mu.Unlock()
	if on != nil {
		return on(what)
	}
	return nil
}

// reset forgets the calls and returns them.
func (f *fake) reset() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := f.calls
	f.calls = nil
	return out
}

func (f *fake) fail(on func(string) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.on = on
}

func (f *fake) Info() driver.Info { return f.info }

func (f *fake) Probe(ctx context.Context) ([]driver.DeviceInfo, error) {
	if f.probe != nil {
		return f.probe(ctx)
	}
	return []driver.DeviceInfo{{ID: "0", Model: "first", Kind: driver.CPU}, {ID: "1", Model: "second", Kind: driver.CPU}}, nil
}

func (f *fake) Open(_ context.Context, id string, o driver.OpenOptions) (driver.Device, error) {
	if f.open != nil {
		return f.open(id, o)
	}
	return fakeDevice{f}, nil
}

type fakeDevice struct{ f *fake }

func (d fakeDevice) Caps() *driver.Caps { return &d.f.caps }

// Supports takes everything but Tanh.
func (d fakeDevice) Supports(g *graph.Graph) []driver.Verdict {
	if d.f.call("supports") != nil {
		return nil
	}
	vs := make([]driver.Verdict, len(g.Nodes))
	for i := range vs {
		if vs[i].OK = g.Nodes[i].Op.Name != "Tanh"; !vs[i].OK {
			vs[i].Code, vs[i].Text = driver.ReasonOperator, "Tanh is too hard"
		}
	}
	return vs
}

func (d fakeDevice) Alloc(_ context.Context, s driver.MemSpec) (driver.Memory, error) {
	if err := d.f.call("alloc"); err != nil {
		return nil, err
	}
	return fakeMemory{driver.NewHostMemory(s), d.f}, nil
}

func (d fakeDevice) Compile(_ context.Context, g *graph.Graph, o driver.CompileOptions) (driver.Executable, error) {
	if err := d.f.call("compile " + o.Label); err != nil {
		return nil, err
	}
	if _, err := o.Data.Source("weights"); err == nil {
		return nil, fmt.Errorf("a source was found")
	}
	return &fakeExe{f: d.f, bindings: driver.BindingsOf(g, 64), symbols: g.Symbols}, nil
}

func (d fakeDevice) NewQueue(o driver.QueueOptions) (driver.Queue, error) {
	if err := d.f.call("queue " + o.Label); err != nil {
		return nil, err
	}
	q := driver.NewHostQueue(func(_ context.Context, c *driver.Cmd) error {
		if d.f.run != nil {
			return d.f.run(c)
		}
		return nil
	})
	return &fakeQueue{HostQueue: q, f: d.f}, nil
}

func (d fakeDevice) Close() error { return d.f.call("close device") }

type fakeMemory struct {
	*driver.HostMemory
	f *fake
}

func (m fakeMemory) Free() error {
	if err := m.f.call("free"); err != nil {
		return err
	}
	return m.HostMemory.Free()
}

type fakeExe struct {
	f        *fake
	bindings []driver.Binding
	symbols  []dim.Symbol
}

func (x *fakeExe) Bindings() []driver.Binding { return x.bindings }
func (x *fakeExe) Symbols() []dim.Symbol      { return x.symbols }
func (x *fakeExe) Footprint() driver.Footprint {
	return driver.Footprint{Weights: 1, Mapped: 2, Scratch: 3}
}
func (x *fakeExe) Close() error { return x.f.call("close executable") }

type fakeQueue struct {
	*driver.HostQueue
	f *fake
	// quiet queues do not record submissions.
	quiet bool
}

func (q *fakeQueue) Submit(ctx context.Context, b *driver.Batch) error {
	if !q.quiet {
		if err := q.f.call("submit"); err != nil {
			return err
		}
	}
	return q.HostQueue.Submit(ctx, b)
}

func (q *fakeQueue) NewTimeline(v uint64) (driver.Timeline, error) {
	if err := q.f.call("timeline"); err != nil {
		return nil, err
	}
	return q.HostQueue.NewTimeline(v)
}

func (q *fakeQueue) Close() error {
	err := q.f.call("close queue")
	_ = q.HostQueue.Close()
	return err
}

// testGraph applies an operator to input x of [n,4] floats, n in 1..16, giving
// y, and has a state s of 40 bytes.
func testGraph(t testing.TB, op string) *graph.Graph {
	b := graph.NewBuilder("net", ops.Standard)
	n := b.Symbol(dim.Symbol{Name: "n", Min: 1, Max: 16})
	x := b.Input("x", graph.Of(enc.F32, n, dim.Of(4)))
	s := b.State("s", graph.OfInts(enc.U8, 40))
	b.Scope("layer.1")
	b.Output("y", b.Op(op, []graph.ValueID{b.Op("Relu", []graph.ValueID{x})}))
	b.SetState("s", s)
	g, err := b.Build()
	require.NoError(t, err)
	return g
}

// bench is an open device of a fake with everything needed for a run.
type bench struct {
	t   testing.TB
	f   *fake
	dev *hal.Device
	exe *hal.Executable
	q   *hal.Queue
	buf *hal.Buffer
	tl  *hal.Timeline
}

const rows = 3 // the value of n in runs: x and y have 48 bytes

func setup(t testing.TB, name string) *bench {
	ctx := within(t)
	b := &bench{t: t, f: newFake(name)}
	var err error
	b.dev, err = hal.NewRegistry(b.f).Open(ctx, name)
	require.NoError(t, err)
	b.exe, err = b.dev.Compile(ctx, testGraph(t, "Neg"), hal.CompileOptions{})
	require.NoError(t, err)
	b.q, err = b.dev.NewQueue(hal.QueueOptions{Label: "q"})
	require.NoError(t, err)
	t.Cleanup(func() { _ = b.q.Close() })
	b.buf, err = b.dev.Alloc(ctx, 256)
	require.NoError(t, err)
	b.tl, err = b.q.NewTimeline(0)
	require.NoError(t, err)
	b.f.reset()
	return b
}

func (b *bench) run() hal.Cmd {
	return hal.Cmd{Op: hal.Run, Exec: b.exe, Dims: []int64{rows},
		Args: []hal.Region{b.buf.At(0, 16*rows), b.buf.At(64, 16*rows), b.buf.At(128, 40)}}
}

// batch signals the next value of the bench's timeline.
func (b *bench) batch(cmds ...hal.Cmd) *hal.Batch {
	v, _ := b.tl.Value()
	return &hal.Batch{Cmds: cmds, Signal: []hal.Point{{T: b.tl, V: v + 1}}}
}

// do submits and waits.
func (b *bench) do(cmds ...hal.Cmd) error {
	x := b.batch(cmds...)
	if err := b.q.Submit(within(b.t), x); err != nil {
		return err
	}
	return b.tl.Wait(within(b.t), x.Signal[0].V)
}

func within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}
