package plugin_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/drivers/plugin"
	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/hal/driver"
	"github.com/heddle-ml/heddle/ops"
)

func TestSupports(t *testing.T) {
	b := graph.NewBuilder("two", ops.Standard)
	x := b.Input("x", graph.OfInts(enc.F32, 4))
	b.Output("y", b.Op("Neg", []graph.ValueID{b.Op("Add", []graph.ValueID{x, x})}))
	g, err := b.Build()
	require.NoError(t, err)
	for _, options := range [][]string{nil, {"onnx", "1"}} {
		vs := open(t, options...).Supports(g)
		require.Equal(t, []driver.Verdict{{OK: true}, {Code: driver.ReasonOperator, Text: "only \ufffd the first"}}, vs)
	}
	require.Equal(t, driver.ReasonPolicy, open(t, "fault", "verdict-later").Supports(g)[1].Code, "a reason of a later version")
	for fault, want := range map[string]string{
		"supports-fails": "cannot say", "verdict-more": "3 answers for 2", "verdict-less": "1 answers for 2",
		"verdict-none": "no answer", "verdict-text": "not inside", "verdict-texts": "in room of",
	} {
		vs := open(t, "fault", fault).Supports(g)
		require.Len(t, vs, 2, fault)
		for _, v := range vs {
			require.False(t, v.OK, "nothing is possible that nobody said was")
			require.Contains(t, v.Text, want, fault)
		}
	}
}

// encoded is a graph whose weight has another encoding than is stored.
func encoded(t *testing.T, stored, wanted enc.Encoding) *graph.Graph {
	b := graph.NewBuilder("encoded", ops.Standard)
	b.Source(graph.Source{Name: "w", Size: 4096})
	x := b.Input("x", graph.OfInts(enc.F32, 4, 32))
	ty := graph.OfInts(enc.F32, 32, 32)
	ty.Enc = wanted
	w := b.Weight("w", ty, &graph.Weight{Parts: []graph.Part{{Source: "w", Elem: enc.F32, Shape: []int64{32, 32}, Enc: stored}}})
	b.Output("y", b.Op("MatMul", []graph.ValueID{x, w}))
	g, err := b.Build()
	require.NoError(t, err)
	return g
}

func TestEncodedWeights(t *testing.T) {
	ctx := context.Background()
	data := inMemory{"w": make([]byte, 4096)}
	// From plain numbers, a library gets what the type says.
	g := encoded(t, enc.Encoding{}, enc.PerChannel(enc.I8, 1))
	d := open(t)
	require.True(t, d.Supports(g)[0].OK)
	x, err := d.Compile(ctx, g, driver.CompileOptions{Data: data})
	require.NoError(t, err)
	require.EqualValues(t, 32*32+32*4, x.Footprint().Weights, "codes and scales")
	require.NoError(t, x.Close())
	// From other encodings it does not, but as ONNX all are plain numbers.
	g = encoded(t, enc.GGUF(enc.Q4_0, 1), enc.PerChannel(enc.I8, 1))
	v := d.Supports(g)[0]
	require.Equal(t, driver.ReasonEncoding, v.Code)
	require.Contains(t, v.Text, `weight "w"`)
	_, err = d.Compile(ctx, g, driver.CompileOptions{Data: data})
	require.ErrorIs(t, err, driver.ErrUnsupported)
	require.True(t, open(t, "onnx", "1").Supports(g)[0].OK)
}

func TestMemory(t *testing.T) {
	ctx := context.Background()
	d := open(t)
	for _, n := range []int64{0, 1, 100, 1 << 20} {
		m, err := d.Alloc(ctx, driver.MemSpec{Size: n})
		require.NoError(t, err)
		require.Equal(t, n, m.Spec().Size)
		b, ok := m.Bytes()
		require.True(t, ok)
		require.Equal(t, make([]byte, n), b, "zeroed")
		require.NoError(t, m.Free())
		_, ok = m.Bytes()
		require.False(t, ok)
		require.NoError(t, m.Free(), "again")
	}
	_, err := d.Alloc(ctx, driver.MemSpec{Size: 1 << 40})
	require.ErrorIs(t, err, driver.ErrOutOfMemory)
	require.ErrorContains(t, err, "that is too much")
	ended, cancel := context.WithCancel(ctx)
	cancel()
	_, err = d.Alloc(ended, driver.MemSpec{Size: 1})
	require.ErrorIs(t, err, context.Canceled)
	for fault, want := range map[string]string{"memory-handle": "no handle", "memory-null": "no address", "memory-odd": "not a multiple"} {
		_, err := open(t, "fault", fault).Alloc(ctx, driver.MemSpec{Size: 64})
		require.ErrorContains(t, err, want)
	}
}

// fileData is Data in files.
type fileData struct {
	inMemory
	f   *os.File
	off int64
}

func (d fileData) File(string) (uintptr, int64, bool) { return d.f.Fd(), d.off, true }

// Weights reach the library as descriptors, wherever they lie.
func TestWeights(t *testing.T) {
	w := floats(0.5, 1.5, 2.5, 3.5)
	path := filepath.Join(t.TempDir(), "weights")
	require.NoError(t, os.WriteFile(path, append([]byte("a header"), w...), 0o600))
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	for name, data := range map[string]graph.Data{"memory": inMemory{"w": w}, "file": fileData{inMemory{"w": w}, f, 8}} {
		t.Run(name, func(t *testing.T) {
			r := newRunner(t, open(t), addition(t, nil, 4), data)
			in, _ := r.bufs[0].Bytes()
			copy(in, floats(1, 2, 3, 4))
			require.NoError(t, r.run())
			out, _ := r.bufs[1].Bytes()
			require.Equal(t, floats(1.5, 3.5, 5.5, 7.5), out)
			require.EqualValues(t, 16, r.x.Footprint().Weights)
			require.Positive(t, r.x.Footprint().Scratch, "an absurd figure stays a figure")
			require.EqualValues(t, 128, r.x.Bindings()[0].Align)
		})
	}
}

// openFiles counts this process's descriptors.
func openFiles(t *testing.T) int {
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("there is no /proc/self/fd")
	}
	return len(names)
}

// A source in memory becomes one file, for all executables of a device, and
// the file goes with the last of them.
func TestSourcesAreShared(t *testing.T) {
	d := open(t)
	data := inMemory{"w": floats(1, 2, 3, 4)}
	g := addition(t, nil, 4)
	before := openFiles(t)
	var xs []driver.Executable
	for range 5 {
		x, err := d.Compile(context.Background(), g, driver.CompileOptions{Data: data})
		require.NoError(t, err)
		xs = append(xs, x)
	}
	require.Equal(t, before+1, openFiles(t))
	for _, x := range xs {
		require.Equal(t, before+1, openFiles(t))
		require.NoError(t, x.Close())
		require.NoError(t, x.Close(), "again")
	}
	require.Equal(t, before, openFiles(t))
	_, err := d.Compile(context.Background(), g, driver.CompileOptions{Data: inMemory{}})
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = d.Compile(context.Background(), g, driver.CompileOptions{})
	require.ErrorContains(t, err, "no data")
	require.Equal(t, before, openFiles(t), "a failure leaves nothing open")
}

// As ONNX, a graph comes with its weights in one file.
func TestONNX(t *testing.T) {
	const n = 400 // more than a kilobyte: external
	w := make([]float32, n)
	for i := range w {
		w[i] = float32(i)
	}
	before := openFiles(t)
	t.Run("", func(t *testing.T) {
		r := newRunner(t, open(t, "onnx", "1"), addition(t, nil, n), inMemory{"w": floats(w...)})
		require.Equal(t, before+1, openFiles(t)-queueFiles)
		require.NoError(t, r.run())
		out, _ := r.bufs[1].Bytes()
		require.Equal(t, floats(w...), out)
	})
	require.Equal(t, before, openFiles(t))
}

// queueFiles is how many descriptors a queue takes.
const queueFiles = 0

func TestCompileFails(t *testing.T) {
	ctx := context.Background()
	g := addition(t, []float32{1}, 4)
	compile := func(fault string) error {
		_, err := open(t, "fault", fault).Compile(ctx, g, driver.CompileOptions{Label: "g"})
		return err
	}
	err := compile("compile-fails")
	require.ErrorIs(t, err, driver.ErrOutOfMemory)
	require.ErrorContains(t, err, "compile: node 3 (the third)  does not fit", "one line")
	require.ErrorIs(t, compile("compile-lost"), driver.ErrDeviceLost)
	require.EqualError(t, compile("compile-long"), "compile: it failed", "a message longer than its room is none")
	for fault, want := range map[string]string{"compile-cancels": "nobody did", "compile-status": "status 4711", "compile-handle": "no handle", "compile-align": "alignment 48"} {
		require.ErrorContains(t, compile(fault), want)
	}
	limited, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	_, err = open(t, "fault", "compile-waits").Compile(limited, g, driver.CompileOptions{})
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

func TestGraphsWithoutData(t *testing.T) {
	b := graph.NewBuilder("planned", ops.Standard)
	x := b.Input("x", graph.OfInts(enc.F32, 4))
	w := b.Weight("w", graph.OfInts(enc.F32, 4), &graph.Weight{Parts: []graph.Part{{Elem: enc.F32, Shape: []int64{4}}}})
	b.Output("y", b.Op("Add", []graph.ValueID{x, w}))
	g, err := b.Build()
	require.NoError(t, err)
	for _, options := range [][]string{nil, {"onnx", "1"}} {
		d := open(t, options...)
		require.True(t, d.Supports(g)[0].OK, "it can be planned with")
		_, err = d.Compile(context.Background(), g, driver.CompileOptions{})
		require.ErrorContains(t, err, "no data")
	}
}

func TestRunFails(t *testing.T) {
	g := addition(t, []float32{1}, 4)
	run := func(options ...string) error { return newRunner(t, open(t, options...), g, nil).run() }
	err := run("fault", "run-lost")
	require.ErrorIs(t, err, driver.ErrDeviceLost)
	require.ErrorContains(t, err, "the firmware died")
	require.ErrorContains(t, run("fault", "run-cancels"), "nobody did")
	err = run("fault", "run-waits", "timeout", "5ms")
	require.ErrorIs(t, err, driver.ErrTimeout)
	require.ErrorContains(t, err, "too slow")
}

// Closing a queue stops a run that polls the word.
func TestCloseStopsARun(t *testing.T) {
	r := newRunner(t, open(t, "fault", "run-waits"), addition(t, []float32{1}, 4), nil)
	require.NoError(t, r.submit())
	time.Sleep(5 * time.Millisecond)
	done := make(chan error, 1)
	go func() { done <- r.q.Close() }()
	select {
	case err := <-done:
		require.NoError(t, err)
	case <-time.After(20 * time.Second):
		t.Fatal("the run goes on")
	}
	require.ErrorIs(t, r.line.Wait(context.Background(), 1), driver.ErrClosed)
}

// A device that wants one call at a time gets that, over all its queues.
func TestSerial(t *testing.T) {
	for _, serial := range []bool{true, false} {
		options := []string{}
		if serial {
			options = []string{"serial", "1"}
		}
		d := open(t, options...)
		g := addition(t, []float32{1}, 4)
		var rs []*runner
		for range 4 {
			rs = append(rs, newRunner(t, d, g, nil))
		}
		var wg sync.WaitGroup
		for _, r := range rs {
			wg.Go(func() {
				for range 20 {
					if err := r.run(); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
	}
}

// Memory that the host does not see is filled, copied, read and written by the
// library.
func TestHiddenMemory(t *testing.T) {
	r := newRunner(t, open(t, "hidden", "1"), addition(t, nil, 4), inMemory{"w": floats(1, 1, 1, 1)})
	_, ok := r.bufs[0].Bytes()
	require.False(t, ok)
	got, copied := make([]byte, 16), make([]byte, 16)
	whole, err := r.d.Alloc(context.Background(), 64)
	require.NoError(t, err)
	defer whole.Close()
	run := r.cmds[0]
	r.b.Cmds = []hal.Cmd{
		{Op: driver.Upload, Dst: r.bufs[0].All(), Host: floats(1, 2, 3, 4)},
		run,
		{Op: driver.Download, Src: r.bufs[1].All(), Host: got},
		{Op: driver.Fill, Dst: whole.All(), Value: 7},
		{Op: driver.Copy, Dst: whole.At(0, 4), DstStride: 8, Src: r.bufs[1].At(0, 4), SrcStride: 4, Rows: 2},
		{Op: driver.Download, Src: whole.At(0, 16), Host: copied},
	}
	require.NoError(t, r.run())
	require.Equal(t, floats(2, 3, 4, 5), got)
	sevens := []byte{7, 7, 7, 7}
	require.Equal(t, bytes.Join([][]byte{floats(2), sevens, floats(3), sevens}, nil), copied)
}

func TestImport(t *testing.T) {
	ctx := context.Background()
	d := open(t)
	im, ok := driver.As[driver.Importer](d)
	require.True(t, ok)

	f, err := os.CreateTemp(t.TempDir(), "")
	require.NoError(t, err)
	defer f.Close()
	page := make([]byte, 4096)
	copy(page, "shared")
	_, err = f.Write(page)
	require.NoError(t, err)
	m, err := im.Import(ctx, driver.External{Kind: driver.MemFD, FD: int(f.Fd()), Size: 4096})
	require.NoError(t, err)
	b, ok := m.Bytes()
	require.True(t, ok)
	require.Equal(t, page, b)
	copy(b, "SHARED")
	_, err = f.ReadAt(page, 0)
	require.NoError(t, err)
	require.Equal(t, "SHARED", string(page[:6]), "nothing is copied")
	require.NoError(t, m.Free())

	host := driver.NewHostMemory(driver.MemSpec{Size: 128})
	hb, _ := host.Bytes()
	m, err = im.Import(ctx, driver.External{Kind: driver.HostPtr, Bytes: hb})
	require.NoError(t, err)
	b, _ = m.Bytes()
	b[3] = 42
	require.EqualValues(t, 42, hb[3])
	require.NoError(t, m.Free())

	for _, kind := range []driver.ShareKind{"smoke", driver.DMABuf} {
		_, err := im.Import(ctx, driver.External{Kind: kind, FD: int(f.Fd()), Size: 4096})
		require.ErrorIs(t, err, driver.ErrUnsupported, "no heap takes it")
	}
	for _, bad := range []driver.External{{Kind: driver.MemFD, FD: -1, Size: 4}, {Kind: driver.MemFD, FD: 1 << 20, Size: 4096}, {Kind: driver.MemFD, FD: 0, Size: -1}} {
		_, err := im.Import(ctx, bad)
		require.Error(t, err, "%v", bad)
	}
}

func TestCache(t *testing.T) {
	ctx := context.Background()
	d := open(t)
	c, ok := driver.As[driver.Cacher](d)
	require.True(t, ok)
	g := addition(t, nil, 2000) // the blob is larger than the first room for it
	w := make([]float32, 2000)
	w[0], w[1999] = 5, 6
	data := inMemory{"w": floats(w...)}
	x, err := d.Compile(ctx, g, driver.CompileOptions{Data: data})
	require.NoError(t, err)
	blob, err := c.Save(x)
	require.NoError(t, err)
	require.Len(t, blob, 4+8000)
	require.NoError(t, x.Close())

	require.Equal(t, driver.Optimal, c.Judge(blob))
	require.Equal(t, driver.Foreign, c.Judge(nil))
	require.Equal(t, driver.Foreign, c.Judge([]byte("other")))
	x, err = c.Load(ctx, blob, g, driver.CompileOptions{Data: data})
	require.NoError(t, err)
	again, err := c.Save(x)
	require.NoError(t, err)
	require.Equal(t, blob, again)
	require.Len(t, x.Bindings(), 2)
	require.NoError(t, x.Close())
	_, err = c.Load(ctx, []byte("other"), g, driver.CompileOptions{Data: data})
	require.ErrorIs(t, err, driver.ErrIncompatible)
	_, err = c.Save(nil)
	require.ErrorIs(t, err, driver.ErrUnsupported)

	c, _ = driver.As[driver.Cacher](open(t, "fault", "judge-more"))
	require.Equal(t, driver.Foreign, c.Judge(blob), "a judgement that does not exist")
}

func TestEvents(t *testing.T) {
	p, ok := driver.As[plugin.Profiler](open(t))
	require.True(t, ok)
	es, lost, err := p.Events()
	require.NoError(t, err)
	require.Equal(t, []plugin.Event{{Node: -1, Start: 3, End: 5}}, es)
	require.EqualValues(t, 2, lost)
	for _, fault := range []string{"events-more", "events-order"} {
		p, _ = driver.As[plugin.Profiler](open(t, "fault", fault))
		_, _, err = p.Events()
		require.ErrorContains(t, err, "breaks the C driver ABI")
	}
}

func TestLogs(t *testing.T) {
	var text bytes.Buffer
	old := slog.Default()
	defer slog.SetDefault(old)
	slog.SetDefault(slog.New(slog.NewTextHandler(&text, nil)))
	open(t)
	require.Contains(t, text.String(), `level=INFO msg="opened device 0"`)
	require.Contains(t, text.String(), `level=WARN msg="a   warning"`)
	slog.SetDefault(slog.New(slog.DiscardHandler))
	open(t, "fault", "logs-endless") // ends
	open(t, "fault", "logs-claim")
}

func TestForeignObjects(t *testing.T) {
	a, b := open(t), open(t)
	m, err := a.Alloc(context.Background(), driver.MemSpec{Size: 64})
	require.NoError(t, err)
	defer m.Free()
	g := addition(t, []float32{1}, 4)
	xa, err := a.Compile(context.Background(), g, driver.CompileOptions{})
	require.NoError(t, err)
	defer xa.Close()
	xb, err := b.Compile(context.Background(), g, driver.CompileOptions{})
	require.NoError(t, err)
	defer xb.Close()
	q, err := b.NewQueue(driver.QueueOptions{})
	require.NoError(t, err)
	defer q.Close()
	for _, x := range []driver.Executable{xa, xb} {
		line, err := q.NewTimeline(0)
		require.NoError(t, err)
		region := driver.Region{Mem: m, Size: 16}
		require.NoError(t, q.Submit(context.Background(), &driver.Batch{Cmds: []driver.Cmd{{Op: driver.Run, Exec: x, Args: []driver.Region{region, region}}}, Signal: []driver.Point{{T: line, V: 1}}}))
		err = line.Wait(context.Background(), 1)
		require.True(t, errors.Is(err, driver.ErrUnsupported), "%v", err)
		require.ErrorContains(t, err, "another device")
	}
}

// A run allocates nothing once the first has made room.
func TestRunAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("allocations are not counted under the race detector")
	}
	r := newRunner(t, open(t), addition(t, []float32{1}, 4), nil)
	require.NoError(t, r.run())
	require.Zero(t, testing.AllocsPerRun(200, func() {
		if err := r.run(); err != nil {
			panic(err)
		}
	}))
}

func BenchmarkRun(b *testing.B) {
	r := newRunner(b, open(b), addition(b, []float32{1}, 4), nil)
	b.ReportAllocs()
	for b.Loop() {
		if err := r.run(); err != nil {
			b.Fatal(err)
		}
	}
}
