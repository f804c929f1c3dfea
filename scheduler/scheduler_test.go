package scheduler_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/heddle-ml/heddle/drivers/cpu"
	"github.com/heddle-ml/heddle/drivers/null"
	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/hal/driver"
	"github.com/heddle-ml/heddle/hal/fault"
	"github.com/heddle-ml/heddle/ops"
	"github.com/heddle-ml/heddle/scheduler"
	"github.com/stretchr/testify/require"
)

// picky is the null driver under another name and kind, which refuses one
// operator and, if static is set, symbols.
type picky struct {
	null.Driver
	name    string
	refuses string
	static  bool
	print   string
}

func (p picky) Info() driver.Info {
	i := p.Driver.Info()
	i.Name = p.name
	return i
}

func (p picky) Probe(ctx context.Context) ([]driver.DeviceInfo, error) {
	return []driver.DeviceInfo{{ID: "0", Model: p.name, Kind: driver.NPU}}, nil
}

func (p picky) Open(ctx context.Context, id string, o driver.OpenOptions) (driver.Device, error) {
	d, err := p.Driver.Open(ctx, id, o)
	if err != nil {
		return nil, err
	}
	c := *d.Caps()
	c.Kind, c.Shapes.StaticOnly, c.Fingerprint = driver.NPU, p.static, p.name+p.print
	return &pickyDevice{d, p.refuses, &c}, nil
}

type pickyDevice struct {
	driver.Device
	refuses string
	caps    *driver.Caps
}

func (d *pickyDevice) Caps() *driver.Caps { return d.caps }

func (d *pickyDevice) Supports(g *graph.Graph) []driver.Verdict {
	vs := d.Device.Supports(g)
	for i := range vs {
		if g.Nodes[i].Op.Name == d.refuses {
			vs[i] = driver.Verdict{Code: driver.ReasonOperator, Text: "this device has no " + d.refuses}
		}
	}
	return vs
}

// workload is a tower that doubles its tiles, and a language model of one
// state: it stores a chunk and returns what it holds, summed.
func workload(t *testing.T) scheduler.Workload {
	t.Helper()
	v := graph.NewBuilder("vision", ops.Standard)
	tiles := v.Symbol(dim.Symbol{Name: "tiles", Min: 1, Max: 16})
	v.Scope("double")
	x := v.Input("x", graph.Of(enc.F32, tiles, dim.Of(4)))
	v.Output("y", v.Op("Add", []graph.ValueID{x, x}))
	vg, err := v.Build()
	require.NoError(t, err)

	llm := func(name string) *graph.Graph {
		b := graph.NewBuilder(name, ops.Standard)
		chunk := b.Symbol(dim.Symbol{Name: "chunk", Min: 1, Max: 8})
		b.Scope("store")
		in := b.Input("x", graph.Of(enc.F32, dim.Of(1), dim.Of(1), chunk, dim.Of(2)))
		at := b.Input("at", graph.OfInts(enc.I64, 1))
		s := b.Op("TensorScatter", []graph.ValueID{b.State("cache", graph.OfInts(enc.F32, 1, 1, 16, 2)), in, at}, graph.Int("axis", 2))
		b.SetState("cache", s)
		b.Output("sum", b.Op("ReduceSum", []graph.ValueID{s, b.Ints(2)}, graph.Int("keepdims", 0)))
		g, err := b.Build()
		require.NoError(t, err)
		return g
	}
	return scheduler.Workload{Name: "toy", Modules: []scheduler.Module{
		{Name: "vision", Graph: vg, Batch: "tiles"},
		{Name: "prefill", Group: "llm", Graph: llm("prefill"), Batch: "chunk"},
		{Name: "decode", Group: "llm", Graph: llm("decode"), Batch: ""},
	}}
}

func open(t *testing.T, policy scheduler.Policy, ds ...driver.Driver) []*hal.Device {
	t.Helper()
	devs, _, err := scheduler.Open(context.Background(), hal.NewRegistry(ds...), policy)
	require.NoError(t, err)
	t.Cleanup(func() {
		for _, d := range devs {
			require.NoError(t, d.Close())
		}
	})
	return devs
}

func TestPlacement(t *testing.T) {
	ctx := context.Background()
	npu := picky{name: "npu", refuses: "TensorScatter"}
	for _, c := range []struct {
		name         string
		policy       scheduler.Policy
		drivers      []driver.Driver
		vision, llm  string
		fallback     bool
		err, because string
	}{
		{name: "only one", drivers: []driver.Driver{cpu.Driver{}}, vision: "cpu", llm: "cpu", because: "the only device"},
		{name: "null is never chosen by itself", drivers: []driver.Driver{cpu.Driver{}, null.Driver{}}, vision: "cpu", llm: "cpu"},
		{name: "accelerator first, as far as it can", drivers: []driver.Driver{cpu.Driver{}, npu}, vision: "npu", llm: "cpu", fallback: true},
		{name: "asked for", policy: scheduler.Policy{Devices: []string{"cpu"}}, drivers: []driver.Driver{cpu.Driver{}, npu}, vision: "cpu", llm: "cpu", because: "asked for"},
		{name: "by group", policy: scheduler.Policy{Devices: []string{"cpu"}, Place: map[string][]string{"vision": {"npu"}}}, drivers: []driver.Driver{cpu.Driver{}, npu}, vision: "npu", llm: "cpu"},
		{name: "denied", policy: scheduler.Policy{Deny: []string{"npu"}}, drivers: []driver.Driver{cpu.Driver{}, npu}, vision: "cpu", llm: "cpu"},
		{name: "order of preference", policy: scheduler.Policy{Devices: []string{"npu", "cpu"}}, drivers: []driver.Driver{cpu.Driver{}, npu}, vision: "npu", llm: "cpu", fallback: true},
		{name: "strict", policy: scheduler.Policy{Devices: []string{"npu", "cpu"}, Strict: true}, drivers: []driver.Driver{cpu.Driver{}, npu}, err: "this device has no TensorScatter"},
		{name: "nobody can", policy: scheduler.Policy{Devices: []string{"npu"}}, drivers: []driver.Driver{npu}, err: "no device can run llm: npu: 1 of 2 nodes of prefill, first store (TensorScatter)"},
		{name: "over budget", policy: scheduler.Policy{MemoryBudget: 100}, drivers: []driver.Driver{cpu.Driver{}}, err: "the budget is 100"},
		{name: "chunk out of bounds", policy: scheduler.Policy{Chunk: 99}, drivers: []driver.Driver{cpu.Driver{}}, err: "chunk = 99 is not in 1..8"},
	} {
		t.Run(c.name, func(t *testing.T) {
			devs := open(t, c.policy, c.drivers...)
			p, err := scheduler.New(devs...).Plan(ctx, workload(t), c.policy)
			if c.err != "" {
				require.ErrorContains(t, err, c.err)
				return
			}
			require.NoError(t, err)
			v, _ := p.Placement("vision")
			l, _ := p.Placement("decode")
			require.Equal(t, c.vision, v.Device)
			require.Equal(t, c.llm, l.Device)
			require.Equal(t, c.fallback, len(p.Fallbacks()) > 0, p.Fallbacks())
			require.Contains(t, v.Reason, c.because)
			var text bytes.Buffer
			require.NoError(t, p.Explain(&text))
			for _, q := range p.Placements {
				require.NotEmpty(t, q.Reason)
				require.Contains(t, text.String(), q.Reason)
			}
		})
	}
}

func TestOpen(t *testing.T) {
	ctx := context.Background()
	r := hal.NewRegistry(cpu.Driver{}, null.Driver{})
	_, _, err := scheduler.Open(ctx, r, scheduler.Policy{Devices: []string{"gpu"}})
	require.ErrorIs(t, err, hal.ErrUnavailable)
	require.ErrorContains(t, err, "cpu, null")
	devs, gone, err := scheduler.Open(ctx, r, scheduler.Policy{Devices: []string{"gpu", "cpu"}})
	require.NoError(t, err)
	require.Len(t, devs, 1)
	require.Equal(t, "gpu", gone[0].Device)
	require.Equal(t, []string{"cpu"}, scheduler.Policy{Devices: []string{"gpu", "cpu"}}.Without(gone).Devices)
	require.NoError(t, devs[0].Close())
	_, _, err = scheduler.Open(ctx, r, scheduler.Policy{Devices: []string{"gpu", "cpu"}, Strict: true})
	require.Error(t, err)
	_, _, err = scheduler.Open(ctx, hal.NewRegistry(null.Driver{}), scheduler.Policy{})
	require.ErrorContains(t, err, "drivers/static")
}

func TestSaveAndLoad(t *testing.T) {
	ctx := context.Background()
	w := workload(t)
	devs := open(t, scheduler.Policy{}, picky{name: "npu"})
	p, err := scheduler.New(devs...).Plan(ctx, w, scheduler.Policy{Chunk: 4})
	require.NoError(t, err)
	var b bytes.Buffer
	require.NoError(t, p.Save(&b))
	text := b.String()
	q, err := scheduler.Read(&b)
	require.NoError(t, err)
	require.Equal(t, p, q)
	pl, err := q.Load(ctx, w, nil, devs...)
	require.NoError(t, err)
	require.NoError(t, pl.Close())
	require.NoError(t, pl.Close())

	_, err = q.Load(ctx, w, nil)
	require.ErrorIs(t, err, scheduler.ErrStale)
	_, err = q.Load(ctx, w, nil, open(t, scheduler.Policy{}, picky{name: "npu", print: "-new-firmware"})...)
	require.ErrorIs(t, err, scheduler.ErrStale)
	require.ErrorContains(t, err, "npu-new-firmware")
	other := workload(t)
	other.Modules[0].Graph = other.Modules[2].Graph
	_, err = q.Load(ctx, other, nil, devs...)
	require.ErrorIs(t, err, scheduler.ErrStale)

	for _, bad := range []string{"", "{", `{"version":99}`, `{"version":1,"surprise":2}`, "[]"} {
		_, err := scheduler.Read(strings.NewReader(bad))
		require.Error(t, err, bad)
	}
	_, err = scheduler.Read(strings.NewReader(strings.Replace(text, `"version": 1`, `"version": 2`, 1)))
	require.ErrorContains(t, err, "plan again")
}

func TestStaticVariants(t *testing.T) {
	ctx := context.Background()
	devs := open(t, scheduler.Policy{}, picky{name: "npu", static: true})
	p, err := scheduler.New(devs...).Plan(ctx, workload(t), scheduler.Policy{TileBatch: 4, Chunk: 8})
	require.NoError(t, err)
	v, _ := p.Placement("vision")
	require.Equal(t, []map[string]int64{{"tiles": 4}, {"tiles": 1}}, v.Variants)
	require.Equal(t, []int64{4, 4, 1}, p.Batches(9))
	l, _ := p.Placement("prefill")
	require.Equal(t, []map[string]int64{{"chunk": 8}}, l.Variants)
	pl, err := p.Load(ctx, workload(t), nil, devs...)
	require.NoError(t, err)
	n, ok := pl.Stage("prefill").Fixed("chunk")
	require.True(t, ok)
	require.EqualValues(t, 8, n)
	_, ok = pl.Stage("vision").Fixed("tiles")
	require.False(t, ok, "two sizes are compiled")
	_, err = pl.Stage("vision").NewFrame(ctx, dim.Binding{"tiles": 3}, nil, nil)
	require.ErrorContains(t, err, "not compiled")
	require.NoError(t, pl.Close())
}

// run loads the workload on the CPU.
func run(t *testing.T) *scheduler.Pipeline {
	t.Helper()
	devs := open(t, scheduler.Policy{}, cpu.Driver{})
	w := workload(t)
	p, err := scheduler.New(devs...).Plan(context.Background(), w, scheduler.Policy{})
	require.NoError(t, err)
	pl, err := p.Load(context.Background(), w, nil, devs...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, pl.Close()) })
	return pl
}

func bytesOf(fs ...float32) []byte {
	var b []byte
	for _, f := range fs {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(f))
	}
	return b
}

func TestFrames(t *testing.T) {
	ctx := context.Background()
	s := run(t).Stage("vision")
	f, err := s.NewFrame(ctx, nil, dim.Binding{"tiles": 4}, nil)
	require.NoError(t, err)
	defer f.Close()
	for _, n := range []int{4, 1, 3} {
		require.NoError(t, f.SetDim("tiles", int64(n)))
		in := make([]float32, 4*n)
		for i := range in {
			in[i] = float32(i)
		}
		out := make([]byte, 16*n)
		require.EqualValues(t, len(out), f.Size(f.Arg(driver.RoleOutput, "y")))
		f.Begin()
		f.Upload(f.Arg(driver.RoleInput, "x"), bytesOf(in...))
		f.Run()
		f.Download(f.Arg(driver.RoleOutput, "y"), out)
		_, err := f.Submit(ctx)
		require.NoError(t, err)
		require.NoError(t, f.Wait(ctx))
		for i := range in {
			in[i] *= 2
		}
		require.Equal(t, bytesOf(in...), out)
	}
	require.ErrorContains(t, f.SetDim("tiles", 5), "the frame has")
	require.ErrorIs(t, f.SetDim("tiles", 99), hal.ErrInvalidArgument)
	require.Error(t, f.SetDim("rows", 1))
	require.NoError(t, f.SetDim("tiles", 2))

	canceled, cancel := context.WithCancel(ctx)
	cancel()
	f.Begin()
	f.Run()
	_, err = f.Submit(canceled)
	require.True(t, errors.Is(err, context.Canceled), err)
}

// Two stages work on one state, and a decode step allocates nothing.
func TestStatesAreShared(t *testing.T) {
	ctx := context.Background()
	p := run(t)
	st, err := p.Stage("prefill").NewStates(ctx)
	require.NoError(t, err)
	defer st.Close()
	pre, err := p.Stage("prefill").NewFrame(ctx, nil, nil, st)
	require.NoError(t, err)
	defer pre.Close()
	dec, err := p.Stage("decode").NewFrame(ctx, dim.Binding{"chunk": 1}, nil, st)
	require.NoError(t, err)
	defer dec.Close()
	_, err = p.Stage("decode").NewFrame(ctx, nil, nil, nil)
	require.ErrorContains(t, err, "state cache is missing")

	at := make([]byte, 8)
	out := make([]byte, 8)
	step := func(f *scheduler.Frame, pos uint64, in []byte) {
		binary.LittleEndian.PutUint64(at, pos)
		f.Begin()
		f.Upload(f.Arg(driver.RoleInput, "x"), in)
		f.Upload(f.Arg(driver.RoleInput, "at"), at)
		f.Run()
		f.Download(f.Arg(driver.RoleOutput, "sum"), out)
		if _, err := f.Submit(ctx); err != nil {
			t.Fatal(err)
		}
		if err := f.Wait(ctx); err != nil {
			t.Fatal(err)
		}
	}
	require.NoError(t, pre.SetDim("chunk", 3))
	step(pre, 0, bytesOf(1, 10, 2, 20, 3, 30))
	require.Equal(t, bytesOf(6, 60), out)
	step(dec, 3, bytesOf(4, 40))
	require.Equal(t, bytesOf(10, 100), out)
	step(dec, 3, bytesOf(5, 50)) // overwrites
	require.Equal(t, bytesOf(11, 110), out)
	b, ok := st.Bytes("cache")
	require.True(t, ok)
	require.Equal(t, bytesOf(1, 10, 2, 20, 3, 30, 5, 50), b[:32])

	in := bytesOf(1, 1)
	step(dec, 5, in)
	if n := testing.AllocsPerRun(50, func() { step(dec, 5, in) }); n > 0 {
		t.Errorf("a step allocates %v times", n)
	}
	binary.LittleEndian.PutUint64(at, 16)
	dec.Begin()
	dec.Upload(dec.Arg(driver.RoleInput, "at"), at)
	dec.Run()
	_, err = dec.Submit(ctx)
	require.NoError(t, err)
	err = dec.Wait(ctx)
	require.ErrorContains(t, err, "store", "the node is named")
}

// A policy may ask for devices that compute right: others are passed over
// with the reason, or refused.
func TestSelfCheck(t *testing.T) {
	home := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", home)
	t.Setenv("HOME", home)
	bad := fault.Driver(renamed{cpu.Driver{}, "bad"}, fault.Fault{Kind: fault.Sign, Op: "Gelu"})
	registry := func() *hal.Registry { return hal.NewRegistry(bad, cpu.Driver{}) }
	names := func(devs []*hal.Device) (out []string) {
		for _, d := range devs {
			out = append(out, d.Name())
			require.NoError(t, d.Close())
		}
		return out
	}
	preferred := scheduler.Policy{Devices: []string{"bad", "cpu"}}
	devs, unopened, err := scheduler.Open(t.Context(), registry(), preferred)
	require.NoError(t, err)
	require.Empty(t, unopened)
	require.Equal(t, []string{"bad", "cpu"}, names(devs), "nobody asked")

	preferred.SelfCheck = true
	for range 2 { // the second time the result is in the cache
		devs, unopened, err = scheduler.Open(t.Context(), registry(), preferred)
		require.NoError(t, err)
		require.Equal(t, []string{"cpu"}, names(devs))
		require.Len(t, unopened, 1)
		require.Equal(t, "bad", unopened[0].Device)
		require.Contains(t, unopened[0].Reason, "vision block: run 1")
		require.Contains(t, unopened[0].Reason, "quarantined")
	}
	// By now nobody gets it, whoever asks.
	preferred.SelfCheck, preferred.Strict = false, true
	_, _, err = scheduler.Open(t.Context(), registry(), preferred)
	require.ErrorIs(t, err, hal.ErrQuarantined)
	plan := &scheduler.Plan{Devices: []scheduler.DeviceRef{{Name: "bad"}}}
	_, err = plan.Open(t.Context(), registry())
	require.ErrorIs(t, err, hal.ErrQuarantined)
}

// renamed is a driver under another name.
type renamed struct {
	driver.Driver
	name string
}

func (r renamed) Info() driver.Info {
	i := r.Driver.Info()
	i.Name = r.name
	return i
}
