package fault_test

import (
	"context"
	"encoding/binary"
	"math"
	"os"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/drivers/cpu"
	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/hal/driver"
	"github.com/heddle-ml/heddle/hal/fault"
	"github.com/heddle-ml/heddle/ops"
)

// testGraph doubles x into y, casts x to z, and writes two rows u into the
// cache s at a position.
func testGraph(t testing.TB) *graph.Graph {
	b := graph.NewBuilder("test", ops.Standard)
	x := b.Input("x", graph.OfInts(enc.F32, 4, 8))
	u := b.Input("u", graph.OfInts(enc.F32, 1, 1, 2, 4))
	at := b.Input("at", graph.OfInts(enc.I64, 1))
	s := b.State("s", graph.OfInts(enc.F32, 1, 1, 8, 4))
	b.Scope("layer.1")
	b.Output("y", b.Op("Add", []graph.ValueID{x, x}))
	b.Output("z", b.Op("Cast", []graph.ValueID{x}, graph.Elem("to", enc.U8)))
	b.SetState("s", b.Op("TensorScatter", []graph.ValueID{s, u, at}))
	g, err := b.Build()
	require.NoError(t, err)
	return g
}

// Where the arguments lie in the bench's memory: with room behind each.
const (
	offX, sizeX   = 0, 128
	offU, sizeU   = 256, 32
	offAt, sizeAt = 384, 8
	offY, sizeY   = 512, 128
	offZ, sizeZ   = 768, 32
	offS, sizeS   = 896, 128
	memSize       = 1152
)

// bench is a faulty device with everything needed for a run.
type bench struct {
	t      testing.TB
	dev    driver.Device
	exe    driver.Executable
	q      driver.Queue
	mem    driver.Memory
	tl     driver.Timeline
	value  uint64
	struck atomic.Int64
	over   bool
}

// open opens the CPU with a fault.
func open(t testing.TB, f fault.Fault) *bench {
	b := &bench{t: t}
	f.Struck = func() { b.struck.Add(1) }
	var err error
	b.dev, err = fault.Driver(cpu.Driver{}, f).Open(within(t), "0", driver.OpenOptions{Threads: 1})
	require.NoError(t, err)
	t.Cleanup(b.close)
	return b
}

// ready opens the CPU with a fault and makes everything for a run.
func ready(t testing.TB, f fault.Fault) *bench {
	b := open(t, f)
	ctx := within(t)
	var err error
	b.exe, err = b.dev.Compile(ctx, testGraph(t), driver.CompileOptions{Label: "test"})
	require.NoError(t, err)
	b.mem, err = b.dev.Alloc(ctx, driver.MemSpec{Size: memSize})
	require.NoError(t, err)
	b.q, err = b.dev.NewQueue(driver.QueueOptions{})
	require.NoError(t, err)
	b.tl, err = b.q.NewTimeline(0)
	require.NoError(t, err)
	return b
}

// close closes everything; after a hang the device first.
func (b *bench) close() {
	if b.over {
		return
	}
	b.over = true
	if b.q != nil {
		_ = b.q.Close()
	}
	if b.exe != nil {
		_ = b.exe.Close()
	}
	if b.mem != nil {
		_ = b.mem.Free()
	}
	_ = b.dev.Close()
}

func (b *bench) region(off, size int64) driver.Region {
	return driver.Region{Mem: b.mem, Off: off, Size: size}
}

func (b *bench) run() driver.Cmd {
	return driver.Cmd{Op: driver.Run, Exec: b.exe, Args: []driver.Region{
		b.region(offX, sizeX), b.region(offU, sizeU), b.region(offAt, sizeAt),
		b.region(offY, sizeY), b.region(offZ, sizeZ), b.region(offS, sizeS)}}
}

// submit enqueues commands and returns the point at which they are done.
func (b *bench) submit(cmds ...driver.Cmd) (driver.Point, error) {
	p := driver.Point{T: b.tl, V: b.value + 1}
	err := b.q.Submit(within(b.t), &driver.Batch{Cmds: cmds, Signal: []driver.Point{p}})
	if err == nil {
		b.value++
	}
	return p, err
}

// do submits and waits.
func (b *bench) do(cmds ...driver.Cmd) error {
	p, err := b.submit(cmds...)
	if err != nil {
		return err
	}
	return p.T.Wait(within(b.t), p.V)
}

// input is what x holds: whole numbers from 1 on, so that each row and
// element differs, and Half loses nothing but what it should.
func input() []float32 {
	x := make([]float32, 32)
	for i := range x {
		x[i] = float32(i + 1)
	}
	return x
}

// compute runs the graph on input() at a position, with everything else
// cleared first if fresh, and returns the whole memory.
func (b *bench) compute(fresh bool, x []float32, at int64) []byte {
	b.t.Helper()
	var cmds []driver.Cmd
	if fresh {
		cmds = append(cmds, driver.Cmd{Op: driver.Fill, Dst: b.region(0, memSize)})
	}
	cmds = append(cmds,
		driver.Cmd{Op: driver.Upload, Dst: b.region(offX, sizeX), Host: bytesOf(x...)},
		driver.Cmd{Op: driver.Upload, Dst: b.region(offU, sizeU), Host: bytesOf(1, 2, 3, 4, 5, 6, 7, 8)},
		driver.Cmd{Op: driver.Upload, Dst: b.region(offAt, sizeAt), Host: binary.LittleEndian.AppendUint64(nil, uint64(at))},
		b.run())
	all := make([]byte, memSize)
	require.NoError(b.t, b.do(append(cmds, driver.Cmd{Op: driver.Download, Src: b.region(0, memSize), Host: all})...))
	return all
}

func bytesOf(fs ...float32) []byte {
	var b []byte
	for _, f := range fs {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(f))
	}
	return b
}

func floatsOf(b []byte) []float32 {
	out := make([]float32, len(b)/4)
	for i := range out {
		out[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return out
}

// part returns the floats of an argument in a memory.
func part(mem []byte, off, size int) []float32 { return floatsOf(mem[off : off+size]) }

// right is the memory after a run without faults.
func right(t testing.TB, x []float32, at int64) []byte {
	return ready(t, fault.Fault{Kind: fault.Hang, Times: 1, After: math.MaxInt32}).compute(true, x, at)
}

// differ returns the places where two slices differ.
func differ[T comparable](a, b []T) []int {
	var out []int
	for i := range a {
		if a[i] != b[i] {
			out = append(out, i)
		}
	}
	return out
}

func within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func repeat(b byte, n int) []byte { return slices.Repeat([]byte{b}, n) }

// A test that shows how the process ends runs itself once more.
const victim = "HEDDLE_FAULT_VICTIM"

func TestMain(m *testing.M) {
	if os.Getenv(victim) != "" {
		// Crashes are expected to write; what hangs must not go on for ever.
		time.AfterFunc(30*time.Second, func() { os.Exit(0) })
	}
	os.Exit(m.Run())
}
