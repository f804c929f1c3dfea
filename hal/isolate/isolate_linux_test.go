package isolate_test

import (
	"context"
	"encoding/binary"
	"math"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	_ "github.com/heddle-ml/heddle/drivers/cpu"
	_ "github.com/heddle-ml/heddle/drivers/null"
	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/hal/isolate/host"
	"github.com/heddle-ml/heddle/ops"
)

// The test program is its own host.
func TestMain(m *testing.M) {
	if status, child := host.Main(); child {
		os.Exit(status)
	}
	os.Exit(m.Run())
}

func within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// unary is y = op(x) on n elements.
func unary(t testing.TB, op string, n int64) *graph.Graph {
	b := graph.NewBuilder(op, ops.Standard)
	x := b.Input("x", graph.OfInts(enc.F32, n))
	b.Output("y", b.Op(op, []graph.ValueID{x}))
	g, err := b.Build()
	require.NoError(t, err)
	return g
}

// bench is a device with a graph of one operator, ready to run.
type bench struct {
	t   testing.TB
	dev *hal.Device
	exe *hal.Executable
	q   *hal.Queue
	buf *hal.Buffer
	tl  *hal.Timeline
	v   uint64
	n   int64
}

func open(t testing.TB, name, op string, n int64) *bench {
	t.Helper()
	ctx := within(t)
	b := &bench{t: t, n: n}
	var err error
	b.dev, err = hal.Open(ctx, name)
	require.NoError(t, err)
	b.exe, err = b.dev.Compile(ctx, unary(t, op, n), hal.CompileOptions{})
	require.NoError(t, err)
	b.q, err = b.dev.NewQueue(hal.QueueOptions{})
	require.NoError(t, err)
	b.buf, err = b.dev.Alloc(ctx, 2*b.plane())
	require.NoError(t, err)
	b.tl, err = b.q.NewTimeline(0)
	require.NoError(t, err)
	return b
}

func (b *bench) plane() int64 { return (4*b.n + 63) / 64 * 64 }

func (b *bench) in() hal.Region  { return b.buf.At(0, 4*b.n) }
func (b *bench) out() hal.Region { return b.buf.At(b.plane(), 4*b.n) }

func (b *bench) run() hal.Cmd {
	return hal.Cmd{Op: hal.Run, Exec: b.exe, Args: []hal.Region{b.in(), b.out()}}
}

// do submits commands and waits for them.
func (b *bench) do(cmds ...hal.Cmd) error {
	b.v++
	ctx := within(b.t)
	err := b.q.Submit(ctx, &hal.Batch{Cmds: cmds, Signal: []hal.Point{{T: b.tl, V: b.v}}})
	if err == nil {
		err = b.tl.Wait(ctx, b.v)
	}
	return err
}

func (b *bench) close() {
	require.NoError(b.t, b.q.Close())
	require.NoError(b.t, b.exe.Close())
	require.NoError(b.t, b.buf.Close())
	require.NoError(b.t, b.dev.Close())
}

func floats(fs ...float32) []byte {
	var out []byte
	for _, f := range fs {
		out = binary.LittleEndian.AppendUint32(out, math.Float32bits(f))
	}
	return out
}

func TestRun(t *testing.T) {
	b := open(t, "cpu?isolate=1&threads=1", "Neg", 4)
	defer b.close()
	require.Contains(t, b.dev.Caps().Notes[len(b.dev.Caps().Notes)-1], "isolated: runs in process")
	in := floats(1, -2, 3, 0.5)
	got := make([]byte, 16)
	require.NoError(t, b.do(
		hal.Cmd{Op: hal.Upload, Dst: b.in(), Host: in},
		b.run(),
		hal.Cmd{Op: hal.Download, Src: b.out(), Host: got},
	))
	require.Equal(t, floats(-1, 2, -3, -0.5), got)
	shared, ok := b.buf.Bytes()
	require.True(t, ok)
	require.Equal(t, got, shared[b.plane():b.plane()+16], "the memory is shared")
	copy(shared, floats(5, 6, 7, 8))
	require.NoError(t, b.do(b.run()))
	require.Equal(t, floats(-5, -6, -7, -8), shared[b.plane():b.plane()+16])
	require.NoError(t, b.do(hal.Cmd{Op: hal.Fill, Dst: b.in(), Value: 0}, b.run(), hal.Cmd{Op: hal.Copy, Dst: b.in(), Src: b.out()}))
	require.Equal(t, floats(float32(math.Copysign(0, -1)), float32(math.Copysign(0, -1)), float32(math.Copysign(0, -1)), float32(math.Copysign(0, -1))), shared[:16])
}
