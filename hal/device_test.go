package hal_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/hal/driver"
)

func TestCompile(t *testing.T) {
	b := setup(t, "fake")
	x, err := b.dev.Compile(within(t), testGraph(t, "Neg"), hal.CompileOptions{})
	require.NoError(t, err)
	require.Equal(t, []string{"supports", "compile net"}, b.f.reset(), "the label defaults to the graph's name")
	require.Len(t, x.Bindings(), 3)
	require.Equal(t, "n", x.Symbols()[0].Name)
	require.Equal(t, hal.Footprint{Weights: 1, Mapped: 2, Scratch: 3}, x.Footprint())

	_, err = b.dev.Compile(within(t), testGraph(t, "Neg"), hal.CompileOptions{Label: "mine"})
	require.NoError(t, err)
	require.Contains(t, b.f.reset(), "compile mine")
}

func TestCompileRefuses(t *testing.T) {
	b := setup(t, "fake")
	_, err := b.dev.Compile(within(t), testGraph(t, "Tanh"), hal.CompileOptions{})
	require.ErrorIs(t, err, hal.ErrUnsupported)
	var e *hal.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, "layer.1 (Tanh)", e.Node, "the first node that is refused")
	require.EqualError(t, err, "fake: compile: node layer.1 (Tanh): operator: Tanh is too hard: unsupported")
	require.Equal(t, []string{"supports"}, b.f.reset(), "Compile was not reached")

	g := testGraph(t, "Tanh")
	g.Nodes[1].Name = ""
	_, err = b.dev.Compile(within(t), g, hal.CompileOptions{})
	require.ErrorContains(t, err, "node #1 (Tanh)")

	_, err = b.dev.Compile(within(t), nil, hal.CompileOptions{})
	require.ErrorIs(t, err, hal.ErrInvalidArgument)
	_, err = b.dev.Supports(nil)
	require.ErrorIs(t, err, hal.ErrInvalidArgument)

	b.f.fail(func(call string) error {
		switch call {
		case "compile net":
			return &graph.Error{Graph: "net", Node: "layer.1", Op: "Neg", Err: driver.ErrUnsupported}
		}
		return nil
	})
	_, err = b.dev.Compile(within(t), testGraph(t, "Neg"), hal.CompileOptions{})
	require.ErrorAs(t, err, &e)
	require.Equal(t, "layer.1", e.Node, "a driver names the node with a graph.Error")
	require.ErrorIs(t, err, hal.ErrUnsupported)
	require.ErrorIs(t, err, hal.ErrInvalidGraph)
}

func TestStaticOnly(t *testing.T) {
	f := newFake("npu")
	f.caps.Shapes.StaticOnly = true
	dev, err := hal.NewRegistry(f).Open(within(t), "npu")
	require.NoError(t, err)
	g := testGraph(t, "Neg")
	_, err = dev.Compile(within(t), g, hal.CompileOptions{})
	require.ErrorIs(t, err, hal.ErrUnsupported)
	require.ErrorContains(t, err, `graph "net" has symbol "n": specialise it`)
	g.Symbols = nil
	for i := range g.Values {
		g.Values[i].Type = g.Values[i].Type.Subst(map[string]int64{"n": 4})
	}
	x, err := dev.Compile(within(t), g, hal.CompileOptions{})
	require.NoError(t, err)
	n, err := x.Size(0, nil)
	require.NoError(t, err)
	require.EqualValues(t, 64, n)
}

func TestWrongNumberOfVerdicts(t *testing.T) {
	b := setup(t, "fake")
	b.f.fail(func(string) error { return errors.New("answer nothing") })
	_, err := b.dev.Supports(testGraph(t, "Neg"))
	require.EqualError(t, err, "fake: supports: the driver answered for 0 of 2 nodes")
}

func TestAlloc(t *testing.T) {
	b := setup(t, "fake")
	buf, err := b.dev.Alloc(within(t), 100)
	require.NoError(t, err)
	require.EqualValues(t, 100, buf.Size())
	require.Same(t, b.dev, buf.Device())
	data, ok := buf.Bytes()
	require.True(t, ok)
	require.Len(t, data, 100)
	require.Equal(t, hal.Region{Buf: buf, Size: 100}, buf.All())
	require.NoError(t, buf.Close())
	_, ok = buf.Bytes()
	require.False(t, ok)
	b.f.reset()

	for _, c := range []struct {
		size int64
		heap int
		is   error
	}{
		{-1, 0, hal.ErrInvalidArgument},
		{1, -1, hal.ErrInvalidArgument},
		{1, 1, hal.ErrInvalidArgument},
		{1<<20 + 1, 0, hal.ErrOutOfMemory},
		{1<<63 - 1, 0, hal.ErrOutOfMemory},
	} {
		_, err := b.dev.AllocOn(within(t), c.size, c.heap)
		require.ErrorIs(t, err, c.is, "%+v", c)
		require.Empty(t, b.f.reset(), "the driver was not asked")
	}
	_, err = b.dev.Alloc(within(t), 0)
	require.NoError(t, err, "nothing is a size")
}

func TestExecutableSizes(t *testing.T) {
	b := setup(t, "fake")
	x := b.exe
	require.Equal(t, []int64{16}, x.MaxDims())
	require.EqualValues(t, map[string]int64{"n": 5}, x.Bind([]int64{5}))
	for _, c := range []struct {
		role driver.Role
		name string
		at   int
		size int64 // at n = 5
	}{
		{driver.RoleInput, "x", 0, 80}, {driver.RoleOutput, "y", 1, 80}, {driver.RoleState, "s", 2, 40},
	} {
		require.Equal(t, c.at, x.Index(c.role, c.name))
		n, err := x.Size(c.at, []int64{5})
		require.NoError(t, err)
		require.Equal(t, c.size, n, c.name)
	}
	require.Equal(t, -1, x.Index(driver.RoleOutput, "x"), "roles are part of the name")
	require.Equal(t, -1, x.Index(driver.RoleInput, "nope"))
	for _, bad := range []struct {
		arg  int
		dims []int64
		text string
	}{
		{-1, []int64{5}, "argument -1 of 3"}, {3, []int64{5}, "argument 3 of 3"},
		{0, nil, "0 dimensions for 1 symbols"}, {0, []int64{1, 2}, "2 dimensions for 1 symbols"},
		{0, []int64{0}, "n = 0 is not in 1..16"}, {0, []int64{17}, "n = 17 is not in 1..16"},
	} {
		_, err := x.Size(bad.arg, bad.dims)
		require.ErrorIs(t, err, hal.ErrInvalidArgument)
		require.ErrorContains(t, err, bad.text)
	}
}

// A quantized argument has planes, each at a multiple of 64 bytes.
func TestBindingSizeOfPlanes(t *testing.T) {
	ty := graph.OfInts(enc.F32, 10, 3)
	ty.Enc = enc.PerChannel(enc.I8, 0)
	n, err := driver.Binding{Name: "kv", Role: driver.RoleState, Type: ty}.Size(nil)
	require.NoError(t, err)
	require.EqualValues(t, 64+10*4, n)

	huge := graph.OfInts(enc.F32, 1<<40, 1<<40)
	_, err = driver.Binding{Name: "huge", Type: huge}.Size(nil)
	require.ErrorContains(t, err, `input "huge"`)
}

func TestCloseIsIdempotent(t *testing.T) {
	b := setup(t, "fake")
	for range 2 {
		require.NoError(t, b.q.Close())
		require.NoError(t, b.exe.Close())
		require.NoError(t, b.buf.Close())
		require.NoError(t, b.dev.Close())
	}
	require.Equal(t, []string{"close queue", "close executable", "free", "close device"}, b.f.reset(), "the driver sees each once")
}

func TestUseAfterClose(t *testing.T) {
	b := setup(t, "fake")
	ctx := within(t)
	run := b.run()
	require.NoError(t, b.exe.Close())
	err := b.do(run)
	require.ErrorIs(t, err, hal.ErrClosed)
	require.ErrorContains(t, err, "run net: the executable was closed")

	fill := hal.Cmd{Op: hal.Fill, Dst: b.buf.At(0, 4)}
	require.NoError(t, b.buf.Close())
	err = b.do(fill)
	require.ErrorIs(t, err, hal.ErrClosed)
	require.ErrorContains(t, err, "a buffer of 256 bytes was closed")

	require.NoError(t, b.q.Close())
	b.f.reset()
	require.ErrorIs(t, b.q.Submit(ctx, &hal.Batch{}), hal.ErrClosed)
	_, err = b.q.NewTimeline(0)
	require.ErrorIs(t, err, hal.ErrClosed)

	require.NoError(t, b.dev.Close())
	b.f.reset()
	g := testGraph(t, "Neg")
	for what, f := range map[string]func() error{
		"alloc":    func() error { _, err := b.dev.Alloc(ctx, 1); return err },
		"compile":  func() error { _, err := b.dev.Compile(ctx, g, hal.CompileOptions{}); return err },
		"supports": func() error { _, err := b.dev.Supports(g); return err },
		"queue":    func() error { _, err := b.dev.NewQueue(hal.QueueOptions{}); return err },
		"submit":   func() error { return b.q.Submit(ctx, &hal.Batch{}) },
		"timeline": func() error { _, err := b.q.NewTimeline(0); return err },
	} {
		require.ErrorIs(t, f(), hal.ErrClosed, what)
	}
	require.Empty(t, b.f.reset(), "nothing of it reached the driver")
	require.Equal(t, "fake", b.dev.Name())
	require.Equal(t, "fake-1", b.dev.Caps().Fingerprint, "data outlives the device")
	require.NoError(t, b.dev.Lost(), "closed is not lost")
}

func TestLostDeviceStaysLost(t *testing.T) {
	b := setup(t, "fake")
	ctx := within(t)
	require.NoError(t, b.dev.Lost())
	b.f.fail(func(call string) error {
		if call == "alloc" {
			return fmt.Errorf("bus error: %w", driver.ErrDeviceLost)
		}
		return nil
	})
	_, err := b.dev.Alloc(ctx, 1)
	require.ErrorIs(t, err, hal.ErrDeviceLost)
	require.ErrorIs(t, b.dev.Lost(), hal.ErrDeviceLost)
	b.tl.Fail(fmt.Errorf("what follows from it: %w", driver.ErrDeviceLost))
	require.ErrorContains(t, b.tl.Wait(ctx, 1), "what follows from it")
	b.f.fail(nil) // even if it worked again
	b.f.reset()
	g := testGraph(t, "Neg")
	for what, f := range map[string]func() error{
		"alloc":    func() error { _, err := b.dev.Alloc(ctx, 1); return err },
		"compile":  func() error { _, err := b.dev.Compile(ctx, g, hal.CompileOptions{}); return err },
		"supports": func() error { _, err := b.dev.Supports(g); return err },
		"queue":    func() error { _, err := b.dev.NewQueue(hal.QueueOptions{}); return err },
		"submit":   func() error { return b.q.Submit(ctx, b.batch(b.run())) },
		"timeline": func() error { _, err := b.q.NewTimeline(0); return err },
	} {
		err := f()
		require.ErrorIs(t, err, hal.ErrDeviceLost, what)
		require.ErrorContains(t, err, "bus error", "%s: the first reason is kept", what)
	}
	require.Empty(t, b.f.reset())
	require.NoError(t, b.q.Close(), "what is lost can be closed")
	require.NoError(t, b.exe.Close())
	require.NoError(t, b.buf.Close())
	require.NoError(t, b.dev.Close())
}

// A panic anywhere in a driver is an error, and the device is lost.
func TestDriverPanics(t *testing.T) {
	ctx := context.Background()
	for call, f := range map[string]func(b *bench) error{
		"alloc":    func(b *bench) error { _, err := b.dev.Alloc(ctx, 1); return err },
		"supports": func(b *bench) error { _, err := b.dev.Supports(testGraph(b.t, "Neg")); return err },
		"compile net": func(b *bench) error {
			_, err := b.dev.Compile(ctx, testGraph(b.t, "Neg"), hal.CompileOptions{})
			return err
		},
		"queue ":           func(b *bench) error { _, err := b.dev.NewQueue(hal.QueueOptions{}); return err },
		"timeline":         func(b *bench) error { _, err := b.q.NewTimeline(0); return err },
		"submit":           func(b *bench) error { return b.do(b.run()) },
		"free":             func(b *bench) error { return b.buf.Close() },
		"close executable": func(b *bench) error { return b.exe.Close() },
		"close queue":      func(b *bench) error { return b.q.Close() },
		"close device":     func(b *bench) error { return b.dev.Close() },
	} {
		t.Run(call, func(t *testing.T) {
			b := setup(t, "fake")
			b.f.fail(func(c string) error {
				if c == call {
					panic("segmentation fault")
				}
				return nil
			})
			err := f(b)
			b.f.fail(nil)
			require.ErrorIs(t, err, hal.ErrDeviceLost)
			require.ErrorContains(t, err, "the driver panicked: segmentation fault")
			require.ErrorIs(t, b.dev.Lost(), hal.ErrDeviceLost)
		})
	}
}

func TestDriverReturnsNothing(t *testing.T) {
	dev := hal.Wrap("odd", nothing{fakeDevice{newFake("odd")}})
	_, err := dev.Alloc(within(t), 1)
	require.ErrorContains(t, err, "odd: alloc: heap", "no capabilities: no heaps")
	dev = hal.Wrap("odd", nothing{fakeDevice{newFake("odd")}})
	_, err = dev.NewQueue(hal.QueueOptions{})
	require.EqualError(t, err, "odd: queue: the driver returned nothing, and no error")
	_, err = dev.Compile(within(t), testGraph(t, "Neg"), hal.CompileOptions{})
	require.EqualError(t, err, "odd: compile: the driver returned nothing, and no error")
}

type nothing struct{ fakeDevice }

func (nothing) Caps() *driver.Caps { return nil }
func (nothing) Compile(context.Context, *graph.Graph, driver.CompileOptions) (driver.Executable, error) {
	return nil, nil
}
func (nothing) NewQueue(driver.QueueOptions) (driver.Queue, error) { return nil, nil }
