package hal_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/hal/driver"
)

func TestSubmit(t *testing.T) {
	b := setup(t, "fake")
	b.f.run = func(c *driver.Cmd) error {
		require.Len(t, c.Args, 3)
		require.Equal(t, []int64{rows}, c.Dims)
		require.IsType(t, &fakeExe{}, c.Exec, "the driver sees its own objects")
		x, err := c.Args[0].Bytes()
		require.NoError(t, err)
		y, err := c.Args[1].Bytes()
		require.NoError(t, err)
		require.Len(t, y, 16*rows)
		for i := range y {
			y[i] = x[i] + 1
		}
		return nil
	}
	in, out := make([]byte, 16*rows), make([]byte, 16*rows)
	for i := range in {
		in[i] = byte(i)
	}
	require.NoError(t, b.do(
		hal.Cmd{Op: hal.Upload, Dst: b.buf.At(0, 16*rows), Host: in},
		b.run(),
		hal.Cmd{Op: hal.Download, Src: b.buf.At(64, 16*rows), Host: out},
		hal.Cmd{Op: hal.Fill, Dst: b.buf.At(128, 8), Value: 3},
		hal.Cmd{Op: hal.Copy, Dst: b.buf.At(192, 2), Src: b.buf.At(128, 2), Rows: 3, DstStride: 4, SrcStride: 0},
	))
	for i := range out {
		require.EqualValues(t, i+1, out[i])
	}
	data, _ := b.buf.Bytes()
	require.Equal(t, []byte{3, 3, 0, 0, 3, 3, 0, 0, 3, 3, 0}, data[192:203])
	v, err := b.tl.Value()
	require.NoError(t, err)
	require.EqualValues(t, 1, v)
}

// Every malformed batch is refused before the driver hears of it.
func TestSubmitRefuses(t *testing.T) {
	b, other := setup(t, "fake"), setup(t, "other")
	ctx := within(t)
	region := b.buf.At
	for _, c := range []struct {
		name string
		cmd  func(c *hal.Cmd)   // spoils a good run
		all  func(x *hal.Batch) // spoils the batch
		text string
	}{
		{name: "unknown command", cmd: func(c *hal.Cmd) { c.Op = 0 }, text: "unknown command 0"},
		{name: "another unknown command", cmd: func(c *hal.Cmd) { c.Op = 6 }, text: "unknown command 6"},
		{name: "no executable", cmd: func(c *hal.Cmd) { c.Exec = nil }, text: "no executable"},
		{name: "foreign executable", cmd: func(c *hal.Cmd) { c.Exec = other.exe }, text: "the executable is device other's"},
		{name: "too few arguments", cmd: func(c *hal.Cmd) { c.Args = c.Args[:2] }, text: "2 arguments for 3 bindings"},
		{name: "too many arguments", cmd: func(c *hal.Cmd) { c.Args = append(c.Args, c.Args[0]) }, text: "4 arguments for 3 bindings"},
		{name: "no dims", cmd: func(c *hal.Cmd) { c.Dims = nil }, text: "0 dimensions for 1 symbols"},
		{name: "dims below", cmd: func(c *hal.Cmd) { c.Dims[0] = 0 }, text: "n = 0 is not in 1..16"},
		{name: "dims above", cmd: func(c *hal.Cmd) { c.Dims[0] = 17 }, text: "n = 17 is not in 1..16"},
		{name: "argument too small", cmd: func(c *hal.Cmd) { c.Args[0].Size-- }, text: `input "x" (f32[n,4]) needs 48 bytes, the region has 47`},
		{name: "argument too large", cmd: func(c *hal.Cmd) { c.Args[2].Size++ }, text: `state "s"`},
		{name: "argument unaligned", cmd: func(c *hal.Cmd) { c.Args[1].Off += 4 }, text: `output "y" at offset 68: want a multiple of 64`},
		{name: "argument outside", cmd: func(c *hal.Cmd) { c.Args[1].Off = 256 }, text: "not inside a buffer of 256 bytes"},
		{name: "argument before", cmd: func(c *hal.Cmd) { c.Args[1].Off = -64 }, text: "not inside"},
		{name: "argument overflows", cmd: func(c *hal.Cmd) { c.Args[1].Off = 1<<63 - 64 }, text: "not inside"},
		{name: "argument without buffer", cmd: func(c *hal.Cmd) { c.Args[1].Buf = nil }, text: "no buffer"},
		{name: "foreign buffer", cmd: func(c *hal.Cmd) { c.Args[1].Buf = other.buf }, text: "a buffer of device other on a queue of fake"},
		{name: "copy of unequal sizes", cmd: func(c *hal.Cmd) {
			*c = hal.Cmd{Op: hal.Copy, Dst: region(0, 4), Src: region(64, 5)}
		}, text: "copy of 5 bytes to 4"},
		{name: "negative rows", cmd: func(c *hal.Cmd) {
			*c = hal.Cmd{Op: hal.Copy, Dst: region(0, 4), Src: region(64, 4), Rows: -1}
		}, text: "copy of -1 rows"},
		{name: "negative stride", cmd: func(c *hal.Cmd) {
			*c = hal.Cmd{Op: hal.Copy, Dst: region(0, 4), Src: region(64, 4), Rows: 2, DstStride: 4, SrcStride: -4}
		}, text: "none may be negative"},
		{name: "rows over each other", cmd: func(c *hal.Cmd) {
			*c = hal.Cmd{Op: hal.Copy, Dst: region(0, 4), Src: region(64, 4), Rows: 2, DstStride: 3, SrcStride: 4}
		}, text: "they would overwrite each other"},
		{name: "rows leave the source", cmd: func(c *hal.Cmd) {
			*c = hal.Cmd{Op: hal.Copy, Dst: region(0, 4), Src: region(200, 4), Rows: 3, DstStride: 4, SrcStride: 27}
		}, text: "region 200+4 (3 rows)"},
		{name: "rows leave the destination", cmd: func(c *hal.Cmd) {
			*c = hal.Cmd{Op: hal.Copy, Dst: region(0, 4), Src: region(64, 4), Rows: 1 << 60, DstStride: 1 << 10, SrcStride: 0}
		}, text: "not inside"},
		{name: "copy onto itself", cmd: func(c *hal.Cmd) {
			*c = hal.Cmd{Op: hal.Copy, Dst: region(2, 4), Src: region(0, 4)}
		}, text: "they overlap"},
		{name: "copy from a foreign buffer", cmd: func(c *hal.Cmd) {
			*c = hal.Cmd{Op: hal.Copy, Dst: region(0, 4), Src: other.buf.At(0, 4)}
		}, text: "a buffer of device other"},
		{name: "fill outside", cmd: func(c *hal.Cmd) { *c = hal.Cmd{Op: hal.Fill, Dst: region(250, 7)} }, text: "region 250+7"},
		{name: "fill of negative size", cmd: func(c *hal.Cmd) { *c = hal.Cmd{Op: hal.Fill, Dst: region(0, -1)} }, text: "not inside"},
		{name: "upload of another size", cmd: func(c *hal.Cmd) {
			*c = hal.Cmd{Op: hal.Upload, Dst: region(0, 4), Host: make([]byte, 5)}
		}, text: "upload of 5 bytes to 4"},
		{name: "upload to nothing", cmd: func(c *hal.Cmd) { *c = hal.Cmd{Op: hal.Upload, Host: make([]byte, 5)} }, text: "no buffer"},
		{name: "download of another size", cmd: func(c *hal.Cmd) {
			*c = hal.Cmd{Op: hal.Download, Src: region(0, 4), Host: make([]byte, 5)}
		}, text: "download of 4 bytes to 5"},
		{name: "download from nothing", cmd: func(c *hal.Cmd) { *c = hal.Cmd{Op: hal.Download} }, text: "no buffer"},

		{name: "wait without timeline", all: func(x *hal.Batch) { x.Wait = make([]hal.Point, 1) }, text: "wait point 0"},
		{name: "signal without timeline", all: func(x *hal.Batch) { x.Signal[0].T = nil }, text: "signal point 0"},
		{name: "signal of a foreign timeline", all: func(x *hal.Batch) { x.Signal[0].T = other.tl }, text: "a timeline of device other cannot be signalled by a queue of fake"},
		{name: "signal twice", all: func(x *hal.Batch) { x.Signal = append(x.Signal, hal.Point{T: b.tl, V: 9}) }, text: "the same timeline twice"},
		{name: "signal of the present", all: func(x *hal.Batch) { x.Signal[0].V = 0 }, text: "signal 0 of a timeline at 0: want 1 to 65536 ahead"},
		{name: "signal of the far future", all: func(x *hal.Batch) { x.Signal[0].V = driver.MaxPending + 1 }, text: "want 1 to 65536 ahead"},
	} {
		cmd := b.run()
		if c.cmd != nil {
			c.cmd(&cmd)
		}
		x := b.batch(cmd)
		if c.all != nil {
			c.all(x)
		}
		err := b.q.Submit(ctx, x)
		require.ErrorIs(t, err, hal.ErrInvalidArgument, c.name)
		require.ErrorContains(t, err, c.text, c.name)
		require.ErrorContains(t, err, "fake: submit: ", c.name)
		require.Empty(t, b.f.reset(), "%s: the driver was not asked", c.name)
	}
	require.ErrorIs(t, b.q.Submit(ctx, nil), hal.ErrInvalidArgument)
	require.NoError(t, b.dev.Lost())
	require.NoError(t, b.do(b.run()), "nothing of it did harm")
	require.Empty(t, other.f.reset())
}

func TestSubmitAcceptsTheEdges(t *testing.T) {
	b := setup(t, "fake")
	n := 0
	b.f.run = func(*driver.Cmd) error { n++; return nil }
	region := b.buf.At
	end := b.run()
	end.Dims = []int64{1}
	end.Args = []hal.Region{region(0, 16), region(192, 16), region(128, 40)}
	for name, c := range map[string]hal.Cmd{
		"the last byte":      {Op: hal.Fill, Dst: region(255, 1)},
		"nothing at the end": {Op: hal.Fill, Dst: region(256, 0)},
		"upload of nothing":  {Op: hal.Upload, Dst: region(3, 0)},
		"rows of nothing":    {Op: hal.Copy, Dst: region(0, 0), Src: region(0, 0), Rows: 1 << 62},
		"rows to the end":    {Op: hal.Copy, Dst: region(128, 64), Src: region(0, 64), Rows: 2, DstStride: 64, SrcStride: 64},
		"one row, any pitch": {Op: hal.Copy, Dst: region(0, 4), Src: region(8, 4), Rows: 1, DstStride: 0},
		"smallest":           end,
	} {
		require.NoError(t, b.do(c), name)
	}
	require.Equal(t, 1, n)
	require.NoError(t, b.q.Submit(within(t), &hal.Batch{}), "an empty batch")
	v, err := b.tl.Value()
	require.NoError(t, err)
	require.NoError(t, b.q.Submit(within(t), &hal.Batch{Signal: []hal.Point{{T: b.tl, V: v + driver.MaxPending}}}))
	require.NoError(t, b.tl.Wait(within(t), v+driver.MaxPending))
}

// Sizes are remembered for the last dimensions; another run's must not be
// checked against them.
func TestSubmitChecksSizesForEachDims(t *testing.T) {
	b := setup(t, "fake")
	for _, n := range []int64{1, 4, 4, 1, 3, 2} {
		c := b.run()
		c.Dims = []int64{n}
		c.Args[0].Size, c.Args[1].Size = 16*n, 16*n
		require.NoError(t, b.do(c))
		c.Args[0].Size++
		require.ErrorIs(t, b.do(c), hal.ErrInvalidArgument)
	}
}

func TestTimeline(t *testing.T) {
	b := setup(t, "fake")
	tl, err := b.q.NewTimeline(5)
	require.NoError(t, err)
	require.NoError(t, tl.Signal(6))
	err = tl.Signal(6)
	require.ErrorContains(t, err, "fake: signal: ")
	require.ErrorContains(t, err, "only grow")
	require.NoError(t, tl.Wait(within(t), 6))

	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	require.Equal(t, context.DeadlineExceeded, tl.Wait(ctx, 7), "the caller's own, as it is")

	lost := errors.New("gone")
	tl.Fail(lost)
	tl.Fail(errors.New("later"))
	for op, f := range map[string]func() error{
		"wait":     func() error { return tl.Wait(within(t), 7) },
		"signal":   func() error { return tl.Signal(7) },
		"timeline": func() error { _, err := tl.Value(); return err },
	} {
		require.EqualError(t, f(), "fake: "+op+": gone")
		require.ErrorIs(t, f(), lost)
	}
	require.NoError(t, b.dev.Lost(), "a failed timeline is no lost device")
	err = b.q.Submit(within(t), &hal.Batch{Signal: []hal.Point{{T: tl, V: 7}}})
	require.ErrorIs(t, err, lost, "a failed timeline cannot be signalled")
	require.Empty(t, b.f.reset()[1:])
}

func TestFailedRunFailsItsTimeline(t *testing.T) {
	b := setup(t, "fake")
	boom := errors.New("boom")
	b.f.run = func(*driver.Cmd) error { return boom }
	err := b.do(b.run())
	require.ErrorIs(t, err, boom)
	require.EqualError(t, err, "fake: wait: driver: run: boom")
	require.NoError(t, b.dev.Lost())

	// A panic in a run takes the device.
	tl, err := b.q.NewTimeline(0)
	require.NoError(t, err)
	b.tl = tl
	b.f.run = func(*driver.Cmd) error { panic("boom") }
	require.ErrorIs(t, b.do(b.run()), hal.ErrDeviceLost)
	require.ErrorIs(t, b.dev.Lost(), hal.ErrDeviceLost)
	require.ErrorIs(t, b.q.Submit(within(t), &hal.Batch{}), hal.ErrDeviceLost)
}

// The loss of one device travels along timelines to others' waiters, who can
// tell whose it was; the others are not lost.
func TestLossOfAnotherDevice(t *testing.T) {
	gpu, cpu := setup(t, "gpu"), setup(t, "cpu")
	ctx := within(t)
	gpu.f.run = func(*driver.Cmd) error { panic("fell off the bus") }
	x := gpu.batch(gpu.run())
	require.NoError(t, gpu.q.Submit(ctx, x))
	y := cpu.batch(cpu.run())
	y.Wait = x.Signal
	require.NoError(t, cpu.q.Submit(ctx, y))
	err := cpu.tl.Wait(ctx, 1)
	require.ErrorIs(t, err, hal.ErrDeviceLost)
	require.ErrorContains(t, err, "cpu: wait: driver: waiting for a timeline: gpu: wait: ")
	require.NoError(t, cpu.dev.Lost())
	require.ErrorIs(t, gpu.dev.Lost(), hal.ErrDeviceLost)
	cpu.tl, err = cpu.q.NewTimeline(0)
	require.NoError(t, err)
	require.NoError(t, cpu.do(cpu.run()), "it goes on without the other")
}

func TestWaitOnAnotherDevice(t *testing.T) {
	a, b := setup(t, "a"), setup(t, "b")
	ctx := within(t)
	for i := uint64(1); i <= 50; i++ {
		require.NoError(t, a.q.Submit(ctx, &hal.Batch{Wait: []hal.Point{{T: b.tl, V: i - 1}}, Signal: []hal.Point{{T: a.tl, V: i}}}))
		require.NoError(t, b.q.Submit(ctx, &hal.Batch{Wait: []hal.Point{{T: a.tl, V: i}}, Signal: []hal.Point{{T: b.tl, V: i}}}))
	}
	require.NoError(t, b.tl.Wait(ctx, 50))
}

// A goroutine that waits for a full queue must not make others deaf to their
// contexts.
func TestSubmitEndsWithItsContext(t *testing.T) {
	b := setup(t, "fake")
	gate, err := b.q.NewTimeline(0)
	require.NoError(t, err)
	gated := &hal.Batch{Wait: []hal.Point{{T: gate, V: 1}}}
	full, cancelFull := context.WithCancel(context.Background())
	defer cancelFull()
	blocked := make(chan error, 1)
	go func() {
		for {
			if err := b.q.Submit(full, gated); err != nil {
				blocked <- err
				return
			}
		}
	}()
	require.Eventually(t, func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
		defer cancel()
		return errors.Is(b.q.Submit(ctx, gated), context.DeadlineExceeded)
	}, 20*time.Second, time.Millisecond)
	cancelFull()
	require.ErrorIs(t, <-blocked, context.Canceled)
	require.NoError(t, b.q.Close(), "nothing is stuck")
}

func TestQueueIsSafeForConcurrentUse(t *testing.T) {
	b := setup(t, "fake")
	ctx := within(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			tl, err := b.q.NewTimeline(0)
			if err != nil {
				t.Error(err)
				return
			}
			for i := uint64(1); i <= 100; i++ {
				c := b.run()
				c.Dims = []int64{int64(1 + i%16)}
				c.Args[0].Size, c.Args[1].Size = 16*c.Dims[0], 16*c.Dims[0]
				c.Args[0].Off, c.Args[1].Off, c.Args[2].Off = 0, 0, 0
				if err := b.q.Submit(ctx, &hal.Batch{Cmds: []hal.Cmd{c}, Signal: []hal.Point{{T: tl, V: i}}}); err != nil {
					t.Error(err)
					return
				}
			}
			if err := tl.Wait(ctx, 100); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestSubmitAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("allocations are not counted under the race detector")
	}
	dev := hal.Wrap("quiet", quietDevice{fakeDevice{newFake("quiet")}})
	b := setup(t, "other")
	b.dev = dev
	ctx := context.Background()
	var err error
	b.exe, err = dev.Compile(ctx, testGraph(t, "Neg"), hal.CompileOptions{})
	require.NoError(t, err)
	b.buf, err = dev.Alloc(ctx, 256)
	require.NoError(t, err)
	q, err := dev.NewQueue(hal.QueueOptions{})
	require.NoError(t, err)
	defer q.Close()
	tl, err := q.NewTimeline(0)
	require.NoError(t, err)
	host := make([]byte, 16)
	x := &hal.Batch{
		Wait:   []hal.Point{{T: tl}},
		Signal: []hal.Point{{T: tl}},
		Cmds: []hal.Cmd{
			{Op: hal.Upload, Dst: b.buf.At(0, 16), Host: host},
			b.run(), b.run(),
			{Op: hal.Copy, Dst: b.buf.At(64, 4), Src: b.buf.At(0, 4), Rows: 3, DstStride: 8, SrcStride: 4},
			{Op: hal.Download, Src: b.buf.At(0, 16), Host: host},
		},
	}
	require.Zero(t, testing.AllocsPerRun(500, func() {
		x.Wait[0].V = x.Signal[0].V
		x.Signal[0].V++
		if err := q.Submit(ctx, x); err != nil {
			panic(err)
		}
		if err := tl.Wait(ctx, x.Signal[0].V); err != nil {
			panic(err)
		}
	}))
}

// quietDevice's queues record nothing: appending to a log allocates.
type quietDevice struct{ fakeDevice }

func (d quietDevice) NewQueue(driver.QueueOptions) (driver.Queue, error) {
	return driver.NewHostQueue(func(context.Context, *driver.Cmd) error { return nil }), nil
}
