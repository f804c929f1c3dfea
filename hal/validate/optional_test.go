package validate_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/hal/driver"
	"github.com/heddle-ml/heddle/hal/validate"
)

// rich is a fake that implements every optional interface.
type rich struct {
	*fake
	blob   []byte
	compat driver.Compat
	sets   func([]driver.Executable) []driver.Executable
	export func(driver.External) driver.External
	spec   func(driver.MemSpec) driver.MemSpec
}

func newRich() *rich {
	f := newFake()
	share := []driver.ShareKind{driver.HostPtr}
	f.caps.Heaps[0].Import, f.caps.Heaps[0].Export = share, share
	return &rich{fake: f, blob: []byte("compiled")}
}

func (r *rich) Save(e driver.Executable) ([]byte, error) {
	_ = e.(*fakeExe) // the driver's own
	return r.blob, nil
}
func (r *rich) Judge([]byte) driver.Compat { return r.compat }
func (r *rich) Load(ctx context.Context, _ []byte, g *graph.Graph, o driver.CompileOptions) (driver.Executable, error) {
	return r.Compile(ctx, g, o)
}

func (r *rich) CompileSet(ctx context.Context, gs []*graph.Graph, o driver.CompileOptions) ([]driver.Executable, error) {
	var out []driver.Executable
	for _, g := range gs {
		x, err := r.Compile(ctx, g, o)
		if err != nil {
			return nil, err
		}
		out = append(out, x)
	}
	if r.sets != nil {
		out = r.sets(out)
	}
	return out, nil
}

type imported struct {
	driver.Memory
	spec  driver.MemSpec
	bytes []byte
}

func (m imported) Spec() driver.MemSpec  { return m.spec }
func (m imported) Bytes() ([]byte, bool) { return m.bytes, true }

func (r *rich) Import(_ context.Context, m driver.External) (driver.Memory, error) {
	s := driver.MemSpec{Size: m.Size}
	if r.spec != nil {
		s = r.spec(s)
	}
	return imported{driver.NewHostMemory(s), s, m.Bytes}, nil
}

func (r *rich) Export(m driver.Memory, kind driver.ShareKind) (driver.External, error) {
	b, ok := m.(*driver.HostMemory).Bytes()
	if !ok {
		return driver.External{}, errors.New("freed")
	}
	x := driver.External{Kind: kind, Bytes: b, Size: int64(len(b))}
	if r.export != nil {
		x = r.export(x)
	}
	return x, nil
}

func (r *rich) Estimate(*graph.Graph, dim.Binding) (float64, bool) { return 0.25, true }

func openRich(t testing.TB, r *rich) *bench {
	b := open(t, newFake())
	b.dev = validate.Device(r, validate.Options{Report: func(v *validate.Violation) { b.reports = append(b.reports, v) }})
	return b
}

func TestOptionalInterfacesAreKept(t *testing.T) {
	plain := open(t, newFake()).dev
	dev := openRich(t, newRich()).dev
	for name, has := range map[string]func(driver.Device) bool{
		"Cacher":      func(d driver.Device) bool { _, ok := driver.As[driver.Cacher](d); return ok },
		"SetCompiler": func(d driver.Device) bool { _, ok := driver.As[driver.SetCompiler](d); return ok },
		"Importer":    func(d driver.Device) bool { _, ok := driver.As[driver.Importer](d); return ok },
		"Exporter":    func(d driver.Device) bool { _, ok := driver.As[driver.Exporter](d); return ok },
		"Estimator":   func(d driver.Device) bool { _, ok := driver.As[driver.Estimator](d); return ok },
	} {
		require.True(t, has(dev), name)
		require.False(t, has(plain), name)
	}
	_, ok := driver.As[fmt.Stringer](dev)
	require.False(t, ok)
}

func TestOptionalInterfacesWork(t *testing.T) {
	b := openRich(t, newRich())
	ctx := within(t)
	require.NoError(t, b.setup())
	g := testGraph(t, "Relu")

	c, _ := driver.As[driver.Cacher](b.dev)
	blob, err := c.Save(b.exe)
	require.NoError(t, err)
	require.Equal(t, driver.Optimal, c.Judge(blob))
	require.NoError(t, b.exe.Close())
	b.exe, err = c.Load(ctx, blob, g, driver.CompileOptions{})
	require.NoError(t, err)
	require.NoError(t, b.do(b.run()))

	s, _ := driver.As[driver.SetCompiler](b.dev)
	xs, err := s.CompileSet(ctx, []*graph.Graph{g, g}, driver.CompileOptions{})
	require.NoError(t, err)
	for _, x := range xs {
		require.Len(t, x.Bindings(), 3)
		require.Len(t, x.Symbols(), 1)
		require.Zero(t, x.Footprint())
		require.NoError(t, x.Close())
	}

	// Memory goes out without its guards, and comes back in.
	e, _ := driver.As[driver.Exporter](b.dev)
	x, err := e.Export(b.mem, driver.HostPtr)
	require.NoError(t, err)
	own, ok := b.mem.Bytes()
	require.True(t, ok)
	require.EqualValues(t, memSize, x.Size)
	require.Same(t, &own[0], &x.Bytes[0])
	i, _ := driver.As[driver.Importer](b.dev)
	m, err := i.Import(ctx, x)
	require.NoError(t, err)
	require.Equal(t, driver.MemSpec{Size: memSize}, m.Spec())
	require.NoError(t, b.do(driver.Cmd{Op: driver.Fill, Dst: driver.Region{Mem: m, Off: 1, Size: 2}, Value: 6}))
	require.Equal(t, []byte{6, 6, 0}, own[1:4])
	require.NoError(t, m.Free())

	est, _ := driver.As[driver.Estimator](b.dev)
	sec, ok := est.Estimate(g, nil)
	require.True(t, ok)
	require.Equal(t, 0.25, sec)
	require.Equal(t, "fake-1", b.dev.Caps().Fingerprint)
	require.NoError(t, b.finish())
	require.Empty(t, b.reports)
}

func TestOptionalInterfacesThatMisbehave(t *testing.T) {
	ctx := within(t)
	save := func(_ *testing.T, b *bench) error {
		c, _ := driver.As[driver.Cacher](b.dev)
		_, err := c.Save(b.exe)
		return err
	}
	set := func(t *testing.T, b *bench) error {
		s, _ := driver.As[driver.SetCompiler](b.dev)
		_, err := s.CompileSet(ctx, []*graph.Graph{testGraph(t, "Relu")}, driver.CompileOptions{})
		return err
	}
	export := func(_ *testing.T, b *bench) error {
		e, _ := driver.As[driver.Exporter](b.dev)
		_, err := e.Export(b.mem, driver.HostPtr)
		return err
	}
	for _, c := range []struct {
		name  string
		spoil func(*rich)
		use   func(*testing.T, *bench) error
		rule  validate.Rule
		text  string
	}{
		{"empty blob", func(r *rich) { r.blob = nil }, save, validate.RuleCache, "empty blob"},
		{"useless blob", func(r *rich) { r.compat = driver.Foreign }, save, validate.RuleCache, "judged unusable"},
		{"set too short", func(r *rich) { r.sets = func(x []driver.Executable) []driver.Executable { return x[1:] } }, set, validate.RuleBinding, "0 executables for 1 graphs"},
		{"set with a hole", func(r *rich) { r.sets = func(x []driver.Executable) []driver.Executable { x[0] = nil; return x } }, set, validate.RuleNothing, "graph 0"},
		{"export too small", func(r *rich) { r.export = func(x driver.External) driver.External { x.Size--; return x } }, export, validate.RuleMemory, "Export"},
		{"export of another kind", func(r *rich) {
			r.export = func(x driver.External) driver.External { x.Kind = driver.MemFD; return x }
		}, export, validate.RuleMemory, "as memfd"},
		{"import too small", func(r *rich) { r.spec = func(s driver.MemSpec) driver.MemSpec { s.Size--; return s } }, func(_ *testing.T, b *bench) error {
			i, _ := driver.As[driver.Importer](b.dev)
			_, err := i.Import(ctx, driver.External{Kind: driver.HostPtr, Bytes: make([]byte, 8), Size: 8})
			return err
		}, validate.RuleMemory, "imported 8 bytes"},
		{"save of another's", nil, func(_ *testing.T, b *bench) error {
			c, _ := driver.As[driver.Cacher](b.dev)
			_, err := c.Save(&fakeExe{})
			return err
		}, validate.RuleArgument, "Save"},
		{"save of a closed one", nil, func(t *testing.T, b *bench) error {
			require.NoError(t, b.exe.Close())
			err := save(t, b)
			b.exe = nil
			return err
		}, validate.RuleClosed, "Save"},
		{"export of another's", nil, func(_ *testing.T, b *bench) error {
			e, _ := driver.As[driver.Exporter](b.dev)
			_, err := e.Export(driver.NewHostMemory(driver.MemSpec{}), driver.HostPtr)
			return err
		}, validate.RuleArgument, "Export"},
		{"export of freed memory", nil, func(t *testing.T, b *bench) error {
			require.NoError(t, b.mem.Free())
			err := export(t, b)
			b.mem = nil
			return err
		}, validate.RuleClosed, "Export"},
		{"set of the unsupported", nil, func(t *testing.T, b *bench) error {
			s, _ := driver.As[driver.SetCompiler](b.dev)
			_, err := s.CompileSet(ctx, []*graph.Graph{testGraph(t, "Tanh")}, driver.CompileOptions{})
			return err
		}, validate.RuleArgument, "CompileSet"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRich()
			if c.spoil != nil {
				c.spoil(r)
			}
			b := openRich(t, r)
			require.NoError(t, b.setup())
			requireRule(t, c.use(t, b), c.rule, c.text)
			require.ErrorIs(t, b.finish(), b.reports[0])
		})
	}
}

// probing is a driver that only probes.
type probing struct {
	driver.Driver
	devs []driver.DeviceInfo
	err  error
	boom bool
}

func (p probing) Probe(context.Context) ([]driver.DeviceInfo, error) {
	if p.boom {
		panic("no GPU")
	}
	return p.devs, p.err
}

func TestDriver(t *testing.T) {
	d := validate.Driver(newFake(), validate.Options{})
	require.Equal(t, "fake", d.Info().Name)
	devs, err := d.Probe(within(t))
	require.NoError(t, err)
	require.Len(t, devs, 1)
	dev, err := d.Open(within(t), "0", driver.OpenOptions{})
	require.NoError(t, err)
	require.NoError(t, dev.Close())

	absent := fmt.Errorf("no library: %w", driver.ErrUnavailable)
	_, err = validate.Driver(probing{err: absent}, validate.Options{}).Probe(within(t))
	require.Equal(t, absent, err)
	ok := driver.DeviceInfo{ID: "0", Kind: driver.NPU}
	for text, p := range map[string]probing{
		"does not wrap ErrUnavailable": {err: errors.New("sorry")},
		"device 0 has no ID":           {devs: []driver.DeviceInfo{{Kind: driver.GPU}}},
		`two devices have ID "0"`:      {devs: []driver.DeviceInfo{ok, ok}},
		`device "0" has no kind`:       {devs: []driver.DeviceInfo{{ID: "0"}}},
	} {
		_, err := validate.Driver(p, validate.Options{}).Probe(within(t))
		requireRule(t, err, validate.RuleProbe, text)
	}
	_, err = validate.Driver(probing{boom: true}, validate.Options{}).Probe(within(t))
	requireRule(t, err, validate.RulePanic, "no GPU")
	_, err = validate.Driver(opensNothing{}, validate.Options{}).Open(within(t), "0", driver.OpenOptions{})
	requireRule(t, err, validate.RuleNothing, "Open")
}

type opensNothing struct{ driver.Driver }

func (opensNothing) Open(context.Context, string, driver.OpenOptions) (driver.Device, error) {
	return nil, nil
}

// hidden is memory that the host does not see, as a GPU's. Its queue does.
type hidden struct{ *driver.HostMemory }

func (hidden) Bytes() ([]byte, bool) { return nil, false }

type seesHidden struct{ driver.Queue }

func (q seesHidden) Submit(ctx context.Context, b *driver.Batch) error {
	c := *b
	c.Cmds = append([]driver.Cmd(nil), b.Cmds...)
	show := func(r *driver.Region) {
		if h, ok := r.Mem.(hidden); ok {
			r.Mem = h.HostMemory
		}
	}
	for i := range c.Cmds {
		show(&c.Cmds[i].Dst)
		show(&c.Cmds[i].Src)
		c.Cmds[i].Args = append([]driver.Region(nil), c.Cmds[i].Args...)
		for k := range c.Cmds[i].Args {
			show(&c.Cmds[i].Args[k])
		}
	}
	return q.Queue.Submit(ctx, &c)
}

func TestMemoryTheHostDoesNotSee(t *testing.T) {
	f := newFake()
	f.caps.Heaps[0].HostVisible = false
	f.alloc = func(s driver.MemSpec) (driver.Memory, error) { return hidden{driver.NewHostMemory(s)}, nil }
	f.queue = func(q driver.Queue) driver.Queue { return seesHidden{q} }
	b := open(t, f)
	require.NoError(t, b.setup())
	y := make([]byte, 16*rows)
	require.NoError(t, b.do(b.run(), driver.Cmd{Op: driver.Download, Src: b.region(offY, 16*rows), Host: y}))
	require.EqualValues(t, 0xff, y[0])
	_, ok := b.mem.Bytes()
	require.False(t, ok)
	require.Empty(t, b.reports)
	// Runs are checked all the same.
	f.run = func(x, y, s []byte) error { compute(x, y, s); y[:49][48]++; return nil }
	requireRule(t, b.do(b.run()), validate.RuleBounds, `output "y"`)
	require.Error(t, b.finish())
}

// Waits for other drivers' timelines, fails with them, and keeps the order.
func TestQueueWaitsForForeignTimelines(t *testing.T) {
	b := open(t, newFake())
	require.NoError(t, b.setup())
	ctx := within(t)
	foreign := driver.NewHostTimeline(0)
	submit := func(v uint64, wait ...driver.Point) {
		require.NoError(t, b.q.Submit(ctx, &driver.Batch{Wait: wait, Cmds: []driver.Cmd{b.run()}, Signal: []driver.Point{{T: b.tl, V: v}}}))
	}
	submit(1, driver.Point{T: foreign, V: 1})
	short, cancel := context.WithTimeout(ctx, 5*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, b.tl.Wait(short, 1), context.DeadlineExceeded)
	require.NoError(t, foreign.Signal(1))
	submit(2, driver.Point{T: b.tl, V: 1})
	require.NoError(t, b.tl.Wait(ctx, 2))
	lost := errors.New("lost")
	submit(3, driver.Point{T: foreign, V: 2})
	foreign.Fail(lost)
	require.ErrorIs(t, b.tl.Wait(ctx, 3), lost)
	require.NoError(t, b.finish())
	require.Empty(t, b.reports)
}
