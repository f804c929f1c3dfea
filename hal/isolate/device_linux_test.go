package isolate_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/hal/driver"
	"github.com/heddle-ml/heddle/hal/isolate"
	"github.com/heddle-ml/heddle/internal/shared"
	"github.com/heddle-ml/heddle/ops"
)

// Whatever way memory is shared or not, uploads, runs, copies and downloads do
// what they do in process; package validate watches the contract.
func TestMemory(t *testing.T) {
	for heap, visible := range map[string]bool{"host": true, "memfd": true, "private": false} {
		for _, n := range []int64{1, 16, 1000, 300_000} {
			t.Run(fmt.Sprintf("%s/%d", heap, n), func(t *testing.T) {
				t.Parallel()
				b := open(t, "fake?isolate=1&validate=1&heap="+heap, "Neg", n)
				defer b.close()
				require.Equal(t, visible, b.dev.Caps().Heaps[0].HostVisible)
				buf, ok := b.buf.Bytes()
				require.Equal(t, visible, ok)
				in, got, want := make([]byte, 4*n), make([]byte, 4*n), make([]byte, 4*n)
				for round := range byte(3) {
					for i := range in {
						in[i] = byte(i*7) + round
						want[i] = in[i] + 2
					}
					require.NoError(t, b.do(hal.Cmd{Op: hal.Upload, Dst: b.in(), Host: in}, b.run()))
					require.NoError(t, b.do(hal.Cmd{Op: hal.Copy, Dst: b.in(), Src: b.out()}, b.run(), hal.Cmd{Op: hal.Download, Src: b.out(), Host: got}))
					require.True(t, bytes.Equal(want, got))
					if ok {
						require.True(t, bytes.Equal(got, buf[b.plane():b.plane()+4*n]))
					}
					require.NoError(t, b.do(hal.Cmd{Op: hal.Fill, Dst: b.in(), Value: 9}, b.run(), hal.Cmd{Op: hal.Download, Src: b.out(), Host: got}))
					require.Equal(t, byte(10), got[4*n-1])
				}
			})
		}
	}
}

// direct opens a device without package hal around it.
func direct(t testing.TB, name string, o isolate.Options, options map[string]string) driver.Device {
	t.Helper()
	in, ok := hal.Default.Driver(name)
	require.True(t, ok)
	d, err := isolate.Driver(name, in, o).Open(within(t), "0", driver.OpenOptions{Options: options})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, d.Close()) })
	return d
}

// Memory of one isolated device is used by another, by its file, and by this
// process, as bytes.
func TestImportAndExport(t *testing.T) {
	ctx := within(t)
	a := direct(t, "fake", isolate.Options{}, nil)
	b := direct(t, "fake", isolate.Options{}, map[string]string{"heap": "memfd"})
	for _, d := range []driver.Device{a, b} {
		h := d.Caps().Heaps[0]
		require.Equal(t, []driver.ShareKind{driver.HostPtr, driver.MemFD}, h.Export)
		require.Equal(t, []driver.ShareKind{driver.MemFD}, h.Import)
	}
	m, err := a.Alloc(ctx, driver.MemSpec{Size: 1000})
	require.NoError(t, err)
	e, ok := driver.As[driver.Exporter](a)
	require.True(t, ok)
	i, ok := driver.As[driver.Importer](b)
	require.True(t, ok)
	x, err := e.Export(m, driver.MemFD)
	require.NoError(t, err)
	m2, err := i.Import(ctx, x)
	require.NoError(t, err)
	require.Equal(t, driver.MemSpec{Size: 1000}, m2.Spec())
	one, _ := m.Bytes()
	two, ok := m2.Bytes()
	require.True(t, ok)
	one[999] = 77
	require.EqualValues(t, 77, two[999])
	x, err = e.Export(m, driver.HostPtr)
	require.NoError(t, err)
	require.EqualValues(t, 77, x.Bytes[999])

	for _, bad := range []driver.External{
		{Kind: driver.HostPtr, Bytes: make([]byte, 10), Size: 10},
		{Kind: driver.DMABuf, Size: 10},
		{Kind: driver.MemFD, FD: -1, Size: 10},
		{Kind: driver.MemFD, FD: 0, Size: 1 << 40},
	} {
		_, err := i.Import(ctx, bad)
		require.Error(t, err)
	}
	_, err = e.Export(m2, driver.HostPtr)
	require.Error(t, err, "another's")
	require.NoError(t, m2.Free())
	require.NoError(t, m.Free())
	require.NoError(t, m.Free(), "again")
	_, err = e.Export(m, driver.HostPtr)
	require.ErrorIs(t, err, driver.ErrClosed)
	_, ok = m.Bytes()
	require.False(t, ok)
}

func TestOutOfMemory(t *testing.T) {
	ctx := within(t)
	for _, name := range []string{"cpu?isolate=1&threads=1", "null?isolate=1", "fake?isolate=1"} {
		dev, err := hal.Open(ctx, name)
		require.NoError(t, err)
		for _, size := range []int64{1 << 62, 1 << 48, 1 << 44} {
			_, err = dev.Alloc(ctx, size)
			require.ErrorIs(t, err, hal.ErrOutOfMemory, "%s: %d", name, size)
		}
		empty, err := dev.Alloc(ctx, 0)
		require.NoError(t, err)
		require.NoError(t, empty.Close())
		require.NoError(t, dev.Close())
	}
}

// weighted is y = x + w with the weight in a source.
func weighted(t testing.TB, source string, n int64) *graph.Graph {
	b := graph.NewBuilder("weighted", ops.Standard)
	ty := graph.OfInts(enc.F32, n)
	x := b.Input("x", ty)
	b.Source(graph.Source{Name: source, Size: 4 * n})
	w := b.Weight("w", ty, &graph.Weight{Parts: []graph.Part{{Source: source, Elem: enc.F32, Shape: []int64{n}}}})
	b.Output("y", b.Op("Add", []graph.ValueID{x, w}))
	g, err := b.Build()
	require.NoError(t, err)
	return g
}

type inMemory map[string][]byte

func (m inMemory) Source(name string) ([]byte, error) {
	if b, ok := m[name]; ok {
		return b, nil
	}
	return nil, os.ErrNotExist
}

// inFiles has its source at an odd place of a file; the bytes it shows are
// not the file's, so that a copy of them would be found out.
type inFiles struct {
	inMemory
	f   *os.File
	off int64
}

func (d inFiles) File(name string) (uintptr, int64, bool) { return d.f.Fd(), d.off, name == "w" }

func TestWeights(t *testing.T) {
	ctx := within(t)
	const n = 5000
	decoy, real := make([]byte, 4*n), make([]byte, 4*n)
	for i := range real {
		real[i] = byte(i * 3)
	}
	path := filepath.Join(t.TempDir(), "weights")
	const off = 5003
	require.NoError(t, os.WriteFile(path, append(make([]byte, off), real...), 0o600))
	f, err := os.Open(path)
	require.NoError(t, err)
	dev, err := hal.Open(ctx, "fake?isolate=1")
	require.NoError(t, err)
	q, err := dev.NewQueue(hal.QueueOptions{})
	require.NoError(t, err)
	buf, err := dev.Alloc(ctx, 8*n+128)
	require.NoError(t, err)
	run := func(exe *hal.Executable) []byte {
		t.Helper()
		tl, err := q.NewTimeline(0)
		require.NoError(t, err)
		got := make([]byte, 4*n)
		out := buf.At((4*n+63)/64*64, 4*n)
		require.NoError(t, q.Submit(ctx, &hal.Batch{Signal: []hal.Point{{T: tl, V: 1}}, Cmds: []hal.Cmd{
			{Op: hal.Run, Exec: exe, Args: []hal.Region{buf.At(0, 4*n), out}},
			{Op: hal.Download, Src: out, Host: got}}}))
		require.NoError(t, tl.Wait(ctx, 1))
		return got
	}
	want := make([]byte, 4*n)
	for i := range want {
		want[i] = real[i] + 1
	}
	mapped := func() int {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid(t, dev)))
		require.NoError(t, err)
		return strings.Count(string(b), "heddle-weights")
	}
	g := weighted(t, "w", n)
	one, err := dev.Compile(ctx, g, hal.CompileOptions{Data: inFiles{inMemory{"w": decoy}, f, off}})
	require.NoError(t, err)
	require.NoError(t, f.Close(), "the child has its own")
	require.Equal(t, want, run(one), "the child reads the file")
	require.Zero(t, mapped())

	// In memory: one copy for all, gone with the last.
	two, err := dev.Compile(ctx, g, hal.CompileOptions{Data: inMemory{"w": real}})
	require.NoError(t, err)
	three, err := dev.Compile(ctx, g, hal.CompileOptions{Data: inMemory{"w": real}})
	require.NoError(t, err)
	require.Equal(t, 1, mapped())
	require.NoError(t, two.Close())
	require.Equal(t, 1, mapped())
	require.Equal(t, want, run(three))
	require.NoError(t, three.Close())
	require.Eventually(t, func() bool { return mapped() == 0 }, 5*time.Second, time.Millisecond)

	// Weights that are not there matter when they are read.
	four, err := dev.Compile(ctx, g, hal.CompileOptions{Data: inMemory{}})
	require.NoError(t, err)
	tl, err := q.NewTimeline(0)
	require.NoError(t, err)
	require.NoError(t, q.Submit(ctx, &hal.Batch{Signal: []hal.Point{{T: tl, V: 1}}, Cmds: []hal.Cmd{
		{Op: hal.Run, Exec: four, Args: []hal.Region{buf.At(0, 4*n), buf.At((4*n+63)/64*64, 4*n)}}}}))
	require.ErrorContains(t, tl.Wait(ctx, 1), "file does not exist")
	require.NoError(t, four.Close())
	onCPU, err := hal.Open(ctx, "cpu?isolate=1&threads=1")
	require.NoError(t, err)
	_, err = onCPU.Compile(ctx, g, hal.CompileOptions{Data: inMemory{}})
	require.ErrorIs(t, err, os.ErrNotExist, "the error is the one that this process gave")
	require.NoError(t, onCPU.Close())

	require.NoError(t, one.Close())
	require.NoError(t, q.Close())
	require.NoError(t, buf.Close())
	require.NoError(t, dev.Close())
}

func TestOptionalInterfaces(t *testing.T) {
	ctx := within(t)
	d := direct(t, "fake", isolate.Options{}, nil)
	g := unary(t, "Neg", 16)
	x, err := d.Compile(ctx, g, driver.CompileOptions{})
	require.NoError(t, err)
	require.Equal(t, driver.Footprint{Weights: int64(len("compiled")), Scratch: 5}, x.Footprint())

	c, ok := driver.As[driver.Cacher](d)
	require.True(t, ok)
	blob, err := c.Save(x)
	require.NoError(t, err)
	require.Greater(t, len(blob), 300<<10)
	require.Equal(t, driver.Usable, c.Judge(blob))
	require.Equal(t, driver.Foreign, c.Judge(blob[:100]))
	y, err := c.Load(ctx, blob, g, driver.CompileOptions{})
	require.NoError(t, err)
	require.EqualValues(t, len("loaded from a blob"), y.Footprint().Weights)
	require.Equal(t, x.Bindings(), y.Bindings())
	_, err = c.Load(ctx, blob[:10], g, driver.CompileOptions{})
	require.ErrorIs(t, err, driver.ErrIncompatible)
	_, err = c.Save(nil)
	require.ErrorIs(t, err, driver.ErrUnsupported)

	s, ok := driver.As[driver.SetCompiler](d)
	require.True(t, ok)
	set, err := s.CompileSet(ctx, []*graph.Graph{unary(t, "Neg", 1), unary(t, "Neg", 2)}, driver.CompileOptions{})
	require.NoError(t, err)
	require.Len(t, set, 2)
	for i, x := range set {
		require.Equal(t, graph.OfInts(enc.F32, int64(i+1)).String(), x.Bindings()[0].Type.String())
		require.NoError(t, x.Close())
	}

	e, ok := driver.As[driver.Estimator](d)
	require.True(t, ok)
	seconds, ok := e.Estimate(g, dim.Binding{"n": 500})
	require.True(t, ok)
	require.Equal(t, 1.5, seconds)
	_, ok = driver.As[fmt.Stringer](d)
	require.False(t, ok)
	p, ok := driver.As[isolate.Process](d)
	require.True(t, ok)
	require.NotEqual(t, os.Getpid(), p.PID())
	require.NoError(t, x.Close())
	require.NoError(t, y.Close())

	// A device without them.
	d = direct(t, "null", isolate.Options{}, nil)
	_, ok = driver.As[driver.Cacher](d)
	require.False(t, ok)
	_, ok = driver.As[driver.Estimator](d)
	require.False(t, ok)
}

// What the device says is what it says in process.
func TestSameDevice(t *testing.T) {
	ctx := within(t)
	for _, name := range []string{"cpu", "null"} {
		here, err := hal.Open(ctx, name)
		require.NoError(t, err)
		there, err := hal.Open(ctx, name+"?isolate=1")
		require.NoError(t, err)
		require.Equal(t, here.Name(), there.Name())
		a, b := *here.Caps(), *there.Caps()
		require.Len(t, b.Notes, len(a.Notes)+1)
		a.Heaps, b.Heaps, a.Notes, b.Notes = nil, nil, nil, nil
		a.Queues.Async = b.Queues.Async
		require.Equal(t, a, b)
		for _, g := range []*graph.Graph{unary(t, "Neg", 3), unary(t, "Sqrt", 3)} {
			va, err := here.Supports(g)
			require.NoError(t, err)
			vb, err := there.Supports(g)
			require.NoError(t, err)
			require.Equal(t, va, vb)
		}
		require.NoError(t, here.Close())
		require.NoError(t, there.Close())
	}
	d := direct(t, "fake", isolate.Options{}, nil)
	require.Equal(t, []driver.Verdict{{Code: driver.ReasonOperator, Text: "not Sqrt", Group: 1}}, d.Supports(unary(t, "Sqrt", 1)))
}

// The child gets little from this process, and its limits.
func TestSurroundings(t *testing.T) {
	t.Setenv("HEDDLE_TEST", "yes")
	t.Setenv("SECRET_TOKEN", "no")
	t.Setenv("WANTED", "yes")
	// A library that does not close its descriptors on exec.
	leak, err := os.Open(os.DevNull)
	require.NoError(t, err)
	defer leak.Close()
	_, err = unix.FcntlInt(leak.Fd(), unix.F_SETFD, 0)
	require.NoError(t, err)

	in, _ := hal.Default.Driver("fake")
	devs, err := isolate.Driver("fake", in, isolate.Options{CPUs: 1, Env: []string{"WANTED"}}).Probe(within(t))
	require.NoError(t, err)
	var s surroundings
	require.NoError(t, json.Unmarshal([]byte(devs[0].Model), &s))
	env := strings.Join(s.Env, "\n") + "\n"
	require.Contains(t, env, "HEDDLE_TEST=yes\n")
	require.Contains(t, env, "WANTED=yes\n")
	require.NotContains(t, env, "SECRET_TOKEN")
	require.NotContains(t, env, "HEDDLE_ISOLATED")
	require.Equal(t, 1, s.CPUs)
	require.True(t, s.Group)
	require.Zero(t, s.Core)
	for _, f := range s.Files {
		switch n, to, _ := strings.Cut(f, " "); {
		case n == "0":
			require.Equal(t, os.DevNull, to)
		case n == "1" || n == "2":
			require.Contains(t, to, "pipe:")
		case n == "3":
			require.Contains(t, to, "socket:")
		default: // the runtime's own, and the folder that is read
			require.Regexp(t, `anon_inode:|/proc/\d+/fd|pipe:|/sys/fs/cgroup`, to, "descriptor %s", n)
		}
	}
	var here unix.CPUSet
	require.NoError(t, unix.SchedGetaffinity(0, &here))
	if here.Count() > 1 {
		devs, err = isolate.Driver("fake", in, isolate.Options{}).Probe(within(t))
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal([]byte(devs[0].Model), &s))
		require.Equal(t, here.Count(), s.CPUs, "this process keeps its own")
	}
}

// A static app has no such driver; the host program beside it does.
func TestHostProgram(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds a program")
	}
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("it takes the go command")
	}
	program := filepath.Join(t.TempDir(), "heddle-host")
	build := exec.Command("go", "build", "-o", program, "./tools/heddle-host")
	build.Dir = shared.Root()
	out, err := build.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	ctx := within(t)
	r := hal.NewRegistry()
	_, err = r.Open(ctx, "null")
	require.ErrorContains(t, err, "it has none")
	for _, name := range []string{"null?isolate=1&host=" + program, "null:0?isolate=1&host=" + program} {
		dev, err := r.Open(ctx, name)
		require.NoError(t, err)
		require.Contains(t, strings.Join(dev.Caps().Notes, "\n"), program)
		require.NoError(t, dev.Close())
	}
	_, err = r.Open(ctx, "fake:0?isolate=1&host="+program)
	require.ErrorContains(t, err, `has no driver "fake"; it has [`)
	t.Setenv("HEDDLE_HOST", program)
	dev, err := r.Open(ctx, "cpu?isolate=1&threads=1")
	require.NoError(t, err)
	require.NoError(t, dev.Close())

	// By hand it says what it is.
	out, err = exec.Command(program).CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "an app starts this program")
}

// Timelines order batches over queues, devices and processes.
func TestTimelines(t *testing.T) {
	ctx := within(t)
	a, b := open(t, "fake?isolate=1", "Neg", 16), open(t, "null", "Neg", 16)
	defer a.close()
	defer b.close()
	shared, ok := a.buf.Bytes()
	require.True(t, ok)
	point := func(tl *hal.Timeline, v uint64) hal.Point { return hal.Point{T: tl, V: v} }
	submit := func(x *bench, wait []hal.Point, signal hal.Point, cmds ...hal.Cmd) {
		t.Helper()
		require.NoError(t, x.q.Submit(ctx, &hal.Batch{Wait: wait, Signal: []hal.Point{signal}, Cmds: cmds}))
	}
	// Held back by the host, by the other device, and by what was held back.
	gate, err := b.q.NewTimeline(0)
	require.NoError(t, err)
	copyBack := hal.Cmd{Op: hal.Copy, Dst: a.in(), Src: a.out()}
	submit(a, []hal.Point{point(gate, 1)}, point(a.tl, 1), a.run(), copyBack)
	submit(b, []hal.Point{point(a.tl, 1)}, point(b.tl, 1), b.run())
	submit(a, []hal.Point{point(b.tl, 1), point(a.tl, 1)}, point(a.tl, 2), a.run(), copyBack)
	submit(a, nil, point(a.tl, 3), a.run(), copyBack)
	time.Sleep(5 * time.Millisecond)
	require.Zero(t, shared[0], "nothing ran")
	require.NoError(t, gate.Signal(1))
	require.NoError(t, a.tl.Wait(ctx, 3))
	require.EqualValues(t, 3, shared[0])

	// Chained batches are all under way at once.
	for v := uint64(4); v < 400; v++ {
		submit(a, []hal.Point{point(a.tl, v-1)}, point(a.tl, v), a.run(), copyBack)
	}
	require.NoError(t, a.tl.Wait(ctx, 399))
	n := 399
	require.EqualValues(t, byte(n), shared[0])
}

// A batch that fails fails those that wait for it, and no others.
func TestFailureStaysInItsChain(t *testing.T) {
	ctx := within(t)
	a := open(t, "fake?isolate=1&run=3", "Neg", 16) // the third run fails
	defer a.close()
	var tls []*hal.Timeline
	for i := range 8 {
		tl, err := a.q.NewTimeline(0)
		require.NoError(t, err)
		tls = append(tls, tl)
		batch := &hal.Batch{Signal: []hal.Point{{T: tl, V: 1}}, Cmds: []hal.Cmd{a.run()}}
		if i == 4 || i == 6 {
			batch.Wait = []hal.Point{{T: tls[i-2], V: 1}}
		}
		require.NoError(t, a.q.Submit(ctx, batch))
	}
	for i, tl := range tls {
		err := tl.Wait(ctx, 1)
		if i == 2 || i == 4 || i == 6 {
			require.ErrorContains(t, err, "told to fail", i)
			require.ErrorIs(t, err, hal.ErrUnsupported)
		} else {
			require.NoError(t, err, i)
		}
	}
	require.NoError(t, a.dev.Lost())
}

func TestQueueClose(t *testing.T) {
	ctx := within(t)
	b := open(t, "fake?isolate=1&run=slow", "Neg", 16)
	gate, err := b.q.NewTimeline(0)
	require.NoError(t, err)
	var tls [4]*hal.Timeline
	for i := range tls {
		tls[i], err = b.q.NewTimeline(0)
		require.NoError(t, err)
		batch := &hal.Batch{Signal: []hal.Point{{T: tls[i], V: 1}}, Cmds: []hal.Cmd{b.run()}}
		if i == 3 {
			batch.Wait = []hal.Point{{T: gate, V: 1}} // which nobody opens
		}
		require.NoError(t, b.q.Submit(ctx, batch))
	}
	time.Sleep(20 * time.Millisecond)
	require.NoError(t, b.q.Close())
	for i, tl := range tls {
		_, err := tl.Value()
		if i > 0 {
			require.ErrorIs(t, err, hal.ErrClosed, i)
		}
		require.NotErrorIs(t, err, context.Canceled)
	}
	require.ErrorIs(t, b.q.Submit(ctx, &hal.Batch{}), hal.ErrClosed)
	require.NoError(t, b.dev.Lost())
	b.close()
}

// A full queue makes Submit wait, for as long as its context allows.
func TestBackPressure(t *testing.T) {
	ctx := within(t)
	b := open(t, "fake?isolate=1", "Neg", 16)
	defer b.close()
	gate, err := b.q.NewTimeline(0)
	require.NoError(t, err)
	n := 0
	for ; ; n++ {
		c, cancel := context.WithTimeout(ctx, 30*time.Millisecond)
		err := b.q.Submit(c, &hal.Batch{Wait: []hal.Point{{T: gate, V: 1}}, Cmds: []hal.Cmd{b.run()}})
		cancel()
		if err != nil {
			require.ErrorIs(t, err, context.DeadlineExceeded)
			break
		}
	}
	require.Greater(t, n, 16)
	require.Less(t, n, 4096)
	require.NoError(t, gate.Signal(1))
	require.NoError(t, b.do(b.run()))
}

// Many goroutines use one device in every way at once.
func TestConcurrentUse(t *testing.T) {
	ctx := within(t)
	dev, err := hal.Open(ctx, "fake?isolate=1")
	require.NoError(t, err)
	g := unary(t, "Neg", 64)
	var wg sync.WaitGroup
	for w := range 16 {
		wg.Go(func() {
			err := func() error {
				exe, err := dev.Compile(ctx, g, hal.CompileOptions{})
				if err != nil {
					return err
				}
				q, err := dev.NewQueue(hal.QueueOptions{})
				if err != nil {
					return err
				}
				tl, err := q.NewTimeline(uint64(w))
				if err != nil {
					return err
				}
				for i := range 10 {
					buf, err := dev.Alloc(ctx, 512)
					if err != nil {
						return err
					}
					in, out := make([]byte, 256), make([]byte, 256)
					in[0] = byte(w + i)
					v := uint64(w + i + 1)
					err = q.Submit(ctx, &hal.Batch{Signal: []hal.Point{{T: tl, V: v}}, Cmds: []hal.Cmd{
						{Op: hal.Upload, Dst: buf.At(0, 256), Host: in},
						{Op: hal.Run, Exec: exe, Args: []hal.Region{buf.At(0, 256), buf.At(256, 256)}},
						{Op: hal.Download, Src: buf.At(256, 256), Host: out},
					}})
					if err == nil {
						err = tl.Wait(ctx, v)
					}
					if err == nil && out[0] != in[0]+1 {
						err = fmt.Errorf("%d became %d", in[0], out[0])
					}
					if err = errors.Join(err, buf.Close()); err != nil {
						return err
					}
				}
				return errors.Join(exe.Close(), q.Close())
			}()
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	require.NoError(t, dev.Close())
}

// A call that is given up is undone when it succeeds later.
func TestGivenUp(t *testing.T) {
	ctx := within(t)
	dev, err := hal.Open(ctx, "fake?isolate=1&compile=slow")
	require.NoError(t, err)
	short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	_, err = dev.Compile(short, unary(t, "Neg", 16), hal.CompileOptions{})
	require.ErrorIs(t, err, context.DeadlineExceeded)
	exe, err := dev.Compile(ctx, unary(t, "Neg", 16), hal.CompileOptions{})
	require.NoError(t, err, "the device goes on")
	require.NoError(t, exe.Close())
	require.NoError(t, dev.Close())
}

func TestIsolatedRegistry(t *testing.T) {
	ctx := within(t)
	r := hal.Default.Isolated()
	require.Equal(t, hal.Default.Names(), r.Names())
	dev, err := r.Open(ctx, "null")
	require.NoError(t, err)
	pid(t, dev)
	require.NoError(t, dev.Close())
	dev, err = r.Open(ctx, "null?isolate=0")
	require.NoError(t, err)
	require.NotContains(t, strings.Join(dev.Caps().Notes, "\n"), "isolated")
	require.NoError(t, dev.Close())
}
