package validate_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/hal/driver"
	"github.com/heddle-ml/heddle/hal/validate"
	"github.com/heddle-ml/heddle/ops"
)

// fake is a correct driver of one device for graphs like testGraph: output y
// is input x with every byte inverted, state s is incremented bytewise. Tests
// replace parts of it with misbehaviour.
type fake struct {
	caps    driver.Caps
	capsFn  func(*fake) *driver.Caps
	verdict func(g *graph.Graph, vs []driver.Verdict) []driver.Verdict
	alloc   func(s driver.MemSpec) (driver.Memory, error)
	exe     func(*fakeExe) driver.Executable
	run     func(x, y, s []byte) error
	queue   func(driver.Queue) driver.Queue
	closeFn func() error

	patience time.Duration // of the validation around it
}

func newFake() *fake {
	return &fake{caps: driver.Caps{
		Kind: driver.CPU, Fingerprint: "fake-1",
		Ops:    []driver.OpCap{{Name: "Relu", Elems: []string{"f32"}}},
		Heaps:  []driver.Heap{{Name: "host", HostVisible: true, Align: 64}},
		Limits: driver.Limits{MaxAllocation: 1 << 24},
	}, patience: 15 * time.Second}
}

func (*fake) Info() driver.Info { return driver.Info{Name: "fake"} }
func (*fake) Probe(context.Context) ([]driver.DeviceInfo, error) {
	return []driver.DeviceInfo{{ID: "0", Kind: driver.CPU}}, nil
}
func (f *fake) Open(context.Context, string, driver.OpenOptions) (driver.Device, error) {
	return f, nil
}

func (f *fake) Caps() *driver.Caps {
	if f.capsFn != nil {
		return f.capsFn(f)
	}
	return &f.caps
}

func (f *fake) Supports(g *graph.Graph) []driver.Verdict {
	vs := make([]driver.Verdict, len(g.Nodes))
	for i := range vs {
		if g.Nodes[i].Op.Name == "Relu" {
			vs[i].OK = true
		} else {
			vs[i] = driver.Verdict{Code: driver.ReasonOperator, Text: "not Relu"}
		}
	}
	if f.verdict != nil {
		return f.verdict(g, vs)
	}
	return vs
}

func (f *fake) Alloc(_ context.Context, s driver.MemSpec) (driver.Memory, error) {
	if f.alloc != nil {
		return f.alloc(s)
	}
	return driver.NewHostMemory(s), nil
}

type fakeExe struct {
	bindings []driver.Binding
	symbols  []dim.Symbol
	foot     driver.Footprint
}

func (x *fakeExe) Bindings() []driver.Binding  { return x.bindings }
func (x *fakeExe) Symbols() []dim.Symbol       { return x.symbols }
func (x *fakeExe) Footprint() driver.Footprint { return x.foot }
func (x *fakeExe) Close() error                { return nil }

func (f *fake) Compile(_ context.Context, g *graph.Graph, _ driver.CompileOptions) (driver.Executable, error) {
	x := &fakeExe{bindings: driver.BindingsOf(g, 64), symbols: g.Symbols}
	if f.exe != nil {
		return f.exe(x), nil
	}
	return x, nil
}

// compute is what a correct run does.
func compute(x, y, s []byte) {
	for i := range y {
		y[i] = ^x[i]
	}
	for i := range s {
		s[i]++
	}
}

func (f *fake) NewQueue(driver.QueueOptions) (driver.Queue, error) {
	q := driver.Queue(driver.NewHostQueue(func(_ context.Context, c *driver.Cmd) error {
		var a [3][]byte
		for i, r := range c.Args {
			b, ok := r.Mem.Bytes()
			if !ok {
				return errors.New("no bytes")
			}
			// Out-of-bounds writes are what these tests are about, so the
			// slice keeps its capacity: up to the end of the memory.
			a[i] = b[r.Off : r.Off+r.Size]
		}
		if f.run != nil {
			return f.run(a[0], a[1], a[2])
		}
		compute(a[0], a[1], a[2])
		return nil
	}))
	if f.queue != nil {
		q = f.queue(q)
	}
	return q, nil
}

func (f *fake) Close() error {
	if f.closeFn != nil {
		return f.closeFn()
	}
	return nil
}

// testGraph has input x and output y of n floats, and a state s.
func testGraph(t testing.TB, op string) *graph.Graph {
	b := graph.NewBuilder("test", ops.Standard)
	n := b.Symbol(dim.Symbol{Name: "n", Min: 1, Max: 16})
	x := b.Input("x", graph.Of(enc.F32, n, dim.Of(4)))
	s := b.State("s", graph.OfInts(enc.U8, 40))
	b.Output("y", b.Op(op, []graph.ValueID{x}))
	b.SetState("s", s)
	g, err := b.Build()
	require.NoError(t, err)
	return g
}

// bench is a checked device with everything needed for a run.
type bench struct {
	t       testing.TB
	dev     driver.Device
	exe     driver.Executable
	q       driver.Queue
	mem     driver.Memory
	tl      driver.Timeline
	value   uint64
	mu      sync.Mutex
	reports []*validate.Violation
}

const rows = 3 // the value of n in runs: x and y have 48 bytes

// offsets of the arguments in the bench's memory
const (
	offX, offY, offS = 0, 64, 128
	memSize          = 192
)

func open(t testing.TB, f *fake) *bench {
	b := &bench{t: t}
	b.dev = validate.Device(f, validate.Options{Patience: f.patience, Report: func(v *validate.Violation) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.reports = append(b.reports, v)
	}})
	return b
}

// setup makes the objects; it returns the first error.
func (b *bench) setup() error {
	ctx := within(b.t)
	var err error
	if b.exe, err = b.dev.Compile(ctx, testGraph(b.t, "Relu"), driver.CompileOptions{Label: "test"}); err != nil {
		return err
	}
	if b.mem, err = b.dev.Alloc(ctx, driver.MemSpec{Size: memSize}); err != nil {
		return err
	}
	if b.q, err = b.dev.NewQueue(driver.QueueOptions{Label: "q"}); err != nil {
		return err
	}
	b.tl, err = b.q.NewTimeline(0)
	return err
}

func (b *bench) region(off, size int64) driver.Region {
	return driver.Region{Mem: b.mem, Off: off, Size: size}
}

func (b *bench) run() driver.Cmd {
	return driver.Cmd{Op: driver.Run, Exec: b.exe, Dims: []int64{rows},
		Args: []driver.Region{b.region(offX, 16*rows), b.region(offY, 16*rows), b.region(offS, 40)}}
}

// do submits and waits.
func (b *bench) do(cmds ...driver.Cmd) error {
	b.value++
	if err := b.q.Submit(within(b.t), &driver.Batch{Cmds: cmds, Signal: []driver.Point{{T: b.tl, V: b.value}}}); err != nil {
		b.value--
		return err
	}
	return b.tl.Wait(within(b.t), b.value)
}

// finish closes everything in order and returns the device's error.
func (b *bench) finish() error {
	var errs []error
	if b.q != nil {
		errs = append(errs, b.q.Close())
	}
	if b.exe != nil {
		errs = append(errs, b.exe.Close())
	}
	if b.mem != nil {
		errs = append(errs, b.mem.Free())
	}
	return errors.Join(append(errs, b.dev.Close())...)
}

// requireRule sees that err is a violation of a rule, with a text.
func requireRule(t testing.TB, err error, rule validate.Rule, text string) {
	t.Helper()
	var v *validate.Violation
	require.ErrorAs(t, err, &v)
	require.Equal(t, rule, v.Rule, "%v", err)
	require.Contains(t, v.Detail, text)
}

func within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}
