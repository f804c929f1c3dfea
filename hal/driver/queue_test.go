package driver_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/hal/driver"
)

// nothing is an executable for queues that do not look at it.
type nothing struct{}

func (nothing) Bindings() []driver.Binding  { return nil }
func (nothing) Symbols() []dim.Symbol       { return nil }
func (nothing) Footprint() driver.Footprint { return driver.Footprint{} }
func (nothing) Close() error                { return nil }

func newQueue(t testing.TB, run func(context.Context, *driver.Cmd) error) *driver.HostQueue {
	q := driver.NewHostQueue(run)
	t.Cleanup(func() { _ = q.Close() })
	return q
}

func timeline(t testing.TB, q driver.Queue) driver.Timeline {
	tl, err := q.NewTimeline(0)
	require.NoError(t, err)
	return tl
}

func region(t testing.TB, data ...byte) driver.Region {
	m := driver.NewHostMemory(driver.MemSpec{Size: int64(len(data))})
	b, ok := m.Bytes()
	require.True(t, ok)
	copy(b, data)
	return driver.Region{Mem: m, Size: int64(len(data))}
}

func content(t testing.TB, r driver.Region) []byte {
	b, err := r.Bytes()
	require.NoError(t, err)
	return b
}

// do submits commands and waits for them.
func do(t testing.TB, q driver.Queue, cmds ...driver.Cmd) error {
	tl := timeline(t, q)
	require.NoError(t, q.Submit(within(t), &driver.Batch{Cmds: cmds, Signal: []driver.Point{{T: tl, V: 1}}}))
	return tl.Wait(within(t), 1)
}

func TestQueueKeepsOrder(t *testing.T) {
	const n = 500 // more than MaxQueued
	var got []int64
	q := newQueue(t, func(_ context.Context, c *driver.Cmd) error {
		got = append(got, c.Dims...)
		return nil
	})
	tl := timeline(t, q)
	for i := range int64(n) {
		cmds := []driver.Cmd{
			{Op: driver.Run, Dims: []int64{2 * i}},
			{Op: driver.Run, Dims: []int64{2*i + 1}},
		}
		require.NoError(t, q.Submit(within(t), &driver.Batch{Cmds: cmds, Signal: []driver.Point{{T: tl, V: uint64(i + 1)}}}))
	}
	require.NoError(t, tl.Wait(within(t), n))
	require.Len(t, got, 2*n)
	for i, v := range got {
		require.EqualValues(t, i, v)
	}
}

func TestQueueCopiesTheBatch(t *testing.T) {
	type seen struct {
		args []driver.Region
		dims []int64
	}
	var got []seen
	q := newQueue(t, func(_ context.Context, c *driver.Cmd) error {
		got = append(got, seen{append([]driver.Region(nil), c.Args...), append([]int64(nil), c.Dims...)})
		return nil
	})
	gate, tl := timeline(t, q), timeline(t, q)
	r1, r2 := region(t, 1), region(t, 2, 2)
	b := driver.Batch{
		Wait:   []driver.Point{{T: gate, V: 1}},
		Signal: []driver.Point{{T: tl, V: 1}},
		Cmds: []driver.Cmd{
			{Op: driver.Run, Args: []driver.Region{r1, r2}, Dims: []int64{10}},
			{Op: driver.Run, Args: []driver.Region{r2}, Dims: []int64{20, 30}},
			{Op: driver.Run},
		},
	}
	require.NoError(t, q.Submit(within(t), &b))
	// The caller reuses everything at once.
	b.Wait[0], b.Signal[0] = driver.Point{}, driver.Point{}
	for i := range b.Cmds {
		clear(b.Cmds[i].Args)
		clear(b.Cmds[i].Dims)
	}
	clear(b.Cmds)
	require.NoError(t, gate.Signal(1))
	require.NoError(t, tl.Wait(within(t), 1))
	require.Equal(t, []seen{
		{[]driver.Region{r1, r2}, []int64{10}},
		{[]driver.Region{r2}, []int64{20, 30}},
		{nil, nil},
	}, got)
}

func TestQueueWaitsForEveryPoint(t *testing.T) {
	ran := make(chan struct{}, 1)
	q := newQueue(t, func(context.Context, *driver.Cmd) error { ran <- struct{}{}; return nil })
	a, b, tl := timeline(t, q), timeline(t, q), timeline(t, q)
	require.NoError(t, q.Submit(within(t), &driver.Batch{
		Wait:   []driver.Point{{T: a, V: 1}, {T: b, V: 2}},
		Cmds:   []driver.Cmd{{Op: driver.Run}},
		Signal: []driver.Point{{T: tl, V: 1}},
	}))
	require.NoError(t, b.Signal(2))
	select {
	case <-ran:
		t.Fatal("ran before its wait points were reached")
	case <-time.After(5 * time.Millisecond):
	}
	require.NoError(t, a.Signal(1))
	require.NoError(t, tl.Wait(within(t), 1))
	<-ran
}

func TestQueueFailureFailsSignalsAndWhatFollows(t *testing.T) {
	boom := errors.New("boom")
	ran := 0
	q := newQueue(t, func(_ context.Context, c *driver.Cmd) error {
		ran++
		if len(c.Dims) > 0 {
			return boom
		}
		return nil
	})
	a, b, next, free := timeline(t, q), timeline(t, q), timeline(t, q), timeline(t, q)
	ctx := within(t)
	require.NoError(t, q.Submit(ctx, &driver.Batch{
		Cmds:   []driver.Cmd{{Op: driver.Run}, {Op: driver.Run, Dims: []int64{1}}, {Op: driver.Run}},
		Signal: []driver.Point{{T: a, V: 1}, {T: b, V: 9}},
	}))
	require.NoError(t, q.Submit(ctx, &driver.Batch{
		Wait: []driver.Point{{T: a, V: 1}}, Cmds: []driver.Cmd{{Op: driver.Run}}, Signal: []driver.Point{{T: next, V: 1}},
	}))
	require.NoError(t, q.Submit(ctx, &driver.Batch{Cmds: []driver.Cmd{{Op: driver.Run}}, Signal: []driver.Point{{T: free, V: 1}}}))
	require.ErrorIs(t, a.Wait(ctx, 1), boom)
	require.ErrorIs(t, b.Wait(ctx, 9), boom)
	require.ErrorIs(t, next.Wait(ctx, 1), boom, "failure travels along timelines")
	require.NoError(t, free.Wait(ctx, 1), "a batch that depends on nothing that failed goes on")
	require.Equal(t, 3, ran, "the rest of the failed batch and what waits for it do not run")
}

func TestQueuePanicIsALostDevice(t *testing.T) {
	q := newQueue(t, func(context.Context, *driver.Cmd) error {
		var none []int
		_ = none[0]
		return nil
	})
	err := do(t, q, driver.Cmd{Op: driver.Run})
	require.ErrorIs(t, err, driver.ErrDeviceLost)
	require.ErrorContains(t, err, "panicked")
	require.ErrorContains(t, err, "index out of range")

	// Memory of the driver's own may panic as well.
	err = do(t, q, driver.Cmd{Op: driver.Fill, Dst: driver.Region{}})
	require.ErrorIs(t, err, driver.ErrDeviceLost)

	// The queue survives.
	r := region(t, 0, 0)
	require.NoError(t, do(t, q, driver.Cmd{Op: driver.Fill, Dst: r, Value: 5}))
	require.Equal(t, []byte{5, 5}, content(t, r))
}

func TestQueueSignalThatDoesNotGrowFailsTheBatch(t *testing.T) {
	q := newQueue(t, nil)
	tl := timeline(t, q)
	require.NoError(t, tl.Signal(5))
	require.NoError(t, q.Submit(within(t), &driver.Batch{Signal: []driver.Point{{T: tl, V: 5}}}))
	require.ErrorContains(t, tl.Wait(within(t), 6), "only grow")
}

func TestQueueMovesData(t *testing.T) {
	q := newQueue(t, nil)
	dst := region(t, make([]byte, 12)...)
	at := func(r driver.Region, off, size int64) driver.Region {
		return driver.Region{Mem: r.Mem, Off: r.Off + off, Size: size}
	}
	host := make([]byte, 4)
	require.NoError(t, do(t, q,
		driver.Cmd{Op: driver.Fill, Dst: at(dst, 1, 10), Value: 7},
		driver.Cmd{Op: driver.Upload, Dst: at(dst, 2, 3), Host: []byte{1, 2, 3}},
		driver.Cmd{Op: driver.Copy, Src: at(dst, 2, 3), Dst: at(dst, 8, 3)},
		driver.Cmd{Op: driver.Download, Src: at(dst, 7, 4), Host: host},
	))
	require.Equal(t, []byte{0, 7, 1, 2, 3, 7, 7, 7, 1, 2, 3, 0}, content(t, dst))
	require.Equal(t, []byte{7, 1, 2, 3}, host)
}

func TestQueueStridedCopy(t *testing.T) {
	q := newQueue(t, nil)
	src := region(t, 1, 2, 3, 4, 5, 6, 7, 8, 9)
	for _, c := range []struct {
		name                       string
		size, rows, dstride, sride int64
		want                       []byte
	}{
		{"rows 0 means one", 2, 0, 5, 5, []byte{1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}},
		{"one row", 2, 1, 5, 5, []byte{1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}},
		{"gather", 2, 3, 2, 3, []byte{1, 2, 4, 5, 7, 8, 0, 0, 0, 0, 0, 0}},
		{"scatter", 1, 3, 4, 1, []byte{1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0}},
		{"broadcast", 3, 4, 3, 0, []byte{1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 2, 3}},
	} {
		dst := region(t, make([]byte, 12)...)
		d, s := dst, src
		d.Size, s.Size = c.size, c.size
		require.NoError(t, do(t, q, driver.Cmd{Op: driver.Copy, Dst: d, Src: s, Rows: c.rows, DstStride: c.dstride, SrcStride: c.sride}), c.name)
		require.Equal(t, c.want, content(t, dst), c.name)
	}
}

func TestQueueRefusesBadCommands(t *testing.T) {
	q := newQueue(t, nil)
	freed := region(t, 1)
	require.NoError(t, freed.Mem.Free())
	long := region(t, 1, 2)
	long.Size = 3
	two := region(t, 1, 2)
	for name, c := range map[string]driver.Cmd{
		"freed fill":     {Op: driver.Fill, Dst: freed},
		"freed upload":   {Op: driver.Upload, Dst: freed},
		"freed download": {Op: driver.Download, Src: freed},
		"freed copy":     {Op: driver.Copy, Dst: two, Src: freed},
		"copy to freed":  {Op: driver.Copy, Dst: freed, Src: two},
		"too long":       {Op: driver.Fill, Dst: long},
		"rows leave":     {Op: driver.Copy, Dst: two, Src: two, Rows: 2, SrcStride: 1},
		"unknown":        {Op: 99},
	} {
		require.ErrorContains(t, do(t, q, c), "driver: "+c.Op.String()+":", name)
	}
}

func TestQueueClose(t *testing.T) {
	started, release := make(chan struct{}), make(chan struct{})
	q := driver.NewHostQueue(func(context.Context, *driver.Cmd) error {
		close(started)
		<-release
		return nil
	})
	running, pending, gate, next := timeline(t, q), timeline(t, q), timeline(t, q), timeline(t, q)
	ctx := within(t)
	submit := func(tl driver.Timeline, wait ...driver.Point) {
		require.NoError(t, q.Submit(ctx, &driver.Batch{Wait: wait, Cmds: []driver.Cmd{{Op: driver.Run}}, Signal: []driver.Point{{T: tl, V: 1}}}))
	}
	submit(running)
	submit(pending, driver.Point{T: gate, V: 1}) // a gate that nobody opens
	submit(next)                                 // would close started a second time
	<-started
	closed := make(chan error, 2)
	for range 2 { // twice, at the same time
		go func() { closed <- q.Close() }()
	}
	select {
	case <-closed:
		t.Fatal("Close did not wait for the running command")
	case <-time.After(5 * time.Millisecond):
	}
	close(release)
	require.NoError(t, <-closed)
	require.NoError(t, <-closed)
	require.NoError(t, running.Wait(ctx, 1), "the running command was let finish")
	require.ErrorIs(t, pending.Wait(ctx, 1), driver.ErrClosed)
	require.ErrorIs(t, next.Wait(ctx, 1), driver.ErrClosed)
	require.ErrorIs(t, q.Submit(ctx, &driver.Batch{}), driver.ErrClosed)
	require.NoError(t, q.Close(), "again")
}

// A batch that waits when the queue is closed is let go, and the error is
// the queue's: were it context.Canceled, a waiter would blame its own context.
func TestQueueCloseEndsWaitsAndRuns(t *testing.T) {
	ctx := within(t)
	started := make(chan struct{})
	q := driver.NewHostQueue(func(ctx context.Context, _ *driver.Cmd) error {
		close(started)
		<-ctx.Done()
		return ctx.Err()
	})
	tl := timeline(t, q)
	require.NoError(t, q.Submit(ctx, &driver.Batch{Cmds: []driver.Cmd{{Op: driver.Run}}, Signal: []driver.Point{{T: tl, V: 1}}}))
	<-started
	require.NoError(t, q.Close())
	err := tl.Wait(ctx, 1)
	require.ErrorIs(t, err, driver.ErrClosed)
	require.NotErrorIs(t, err, context.Canceled)

	q = driver.NewHostQueue(nil)
	gate, tl := timeline(t, q), timeline(t, q)
	require.NoError(t, q.Submit(ctx, &driver.Batch{Wait: []driver.Point{{T: gate, V: 1}}, Signal: []driver.Point{{T: tl, V: 1}}}))
	time.Sleep(time.Millisecond) // usually it waits by now; the result is the same if not
	require.NoError(t, q.Close())
	require.ErrorIs(t, tl.Wait(ctx, 1), driver.ErrClosed)
}

// A full queue makes Submit wait, for as long as its context allows.
func TestQueueBackPressure(t *testing.T) {
	q := driver.NewHostQueue(nil)
	ctx := within(t)
	gate, last := timeline(t, q), timeline(t, q)
	gated := &driver.Batch{Wait: []driver.Point{{T: gate, V: 1}}}
	fill := func() (n int) {
		for ; ; n++ {
			c, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
			err := q.Submit(c, gated)
			cancel()
			if err != nil {
				require.ErrorIs(t, err, context.DeadlineExceeded)
				return n
			}
		}
	}
	n := fill()
	require.LessOrEqual(t, n, driver.MaxQueued+1, "one is in hand, the rest waits")
	require.GreaterOrEqual(t, n, driver.MaxQueued)

	c, cancel := context.WithCancel(ctx)
	blocked := make(chan error, 2)
	go func() { blocked <- q.Submit(c, gated) }()
	time.Sleep(time.Millisecond)
	cancel()
	require.ErrorIs(t, <-blocked, context.Canceled)

	go func() {
		blocked <- q.Submit(ctx, &driver.Batch{Signal: []driver.Point{{T: last, V: 1}}})
	}()
	time.Sleep(time.Millisecond)
	require.NoError(t, gate.Signal(1))
	require.NoError(t, <-blocked, "a batch done makes room")
	require.NoError(t, last.Wait(ctx, 1))

	// Close lets go of whoever waits for room.
	gated.Wait[0].V = 2
	fill()
	go func() { blocked <- q.Submit(ctx, gated) }()
	time.Sleep(time.Millisecond)
	require.NoError(t, q.Close())
	require.ErrorIs(t, <-blocked, driver.ErrClosed)
}

func TestQueueRefusesEndedContext(t *testing.T) {
	q := newQueue(t, nil)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	require.ErrorIs(t, q.Submit(ctx, &driver.Batch{}), context.Canceled)
}

// Queues of two devices hand batches to each other while others submit.
func TestQueuesTogether(t *testing.T) {
	ctx := within(t)
	const rounds = 300
	sum := region(t, 0)
	add := func(_ context.Context, c *driver.Cmd) error {
		b, err := c.Args[0].Bytes()
		if err == nil {
			b[0]++
		}
		return err
	}
	qa, qb := newQueue(t, add), newQueue(t, add)
	ta, tb := timeline(t, qa), timeline(t, qb)
	run := []driver.Cmd{{Op: driver.Run, Exec: nothing{}, Args: []driver.Region{sum}}}
	var wg sync.WaitGroup
	for q, side := range map[*driver.HostQueue][2]driver.Timeline{qa: {ta, tb}, qb: {tb, ta}} {
		wg.Go(func() {
			for i := uint64(1); i <= rounds; i++ {
				wait := driver.Point{T: side[1], V: i}
				if q == qa {
					wait.V = i - 1
				}
				if err := q.Submit(ctx, &driver.Batch{Wait: []driver.Point{wait}, Cmds: run, Signal: []driver.Point{{T: side[0], V: i}}}); err != nil {
					t.Error(err)
					return
				}
			}
		})
		for range 3 { // others, with nothing to do with it
			wg.Go(func() {
				for range 100 {
					if err := q.Submit(ctx, &driver.Batch{}); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
	}
	wg.Wait()
	require.NoError(t, ta.Wait(ctx, rounds))
	require.NoError(t, tb.Wait(ctx, rounds))
	n := 2 * rounds
	require.Equal(t, byte(n), content(t, sum)[0], "timelines order what the queues do")
}

func TestQueueStopsItsGoroutine(t *testing.T) {
	before := runtime.NumGoroutine()
	for range 20 {
		q := driver.NewHostQueue(nil)
		require.NoError(t, q.Submit(within(t), &driver.Batch{}))
		require.NoError(t, q.Close())
	}
	require.Eventually(t, func() bool { return runtime.NumGoroutine() <= before+1 }, 5*time.Second, time.Millisecond)
}

func TestQueueAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("allocations are not counted under the race detector")
	}
	q := newQueue(t, func(context.Context, *driver.Cmd) error { return nil })
	tl := timeline(t, q)
	r := region(t, 1, 2, 3, 4)
	host := make([]byte, 4)
	b := driver.Batch{
		Wait:   []driver.Point{{T: tl}},
		Signal: []driver.Point{{T: tl}},
		Cmds: []driver.Cmd{
			{Op: driver.Upload, Dst: r, Host: host},
			{Op: driver.Run, Exec: nothing{}, Args: []driver.Region{r, r}, Dims: []int64{1, 2, 3}},
			{Op: driver.Copy, Dst: r, Src: r},
			{Op: driver.Download, Src: r, Host: host},
		},
	}
	ctx := context.Background()
	require.Zero(t, testing.AllocsPerRun(500, func() {
		b.Wait[0].V = b.Signal[0].V
		b.Signal[0].V++
		if err := q.Submit(ctx, &b); err != nil {
			panic(err)
		}
		if err := tl.Wait(ctx, b.Signal[0].V); err != nil {
			panic(err)
		}
	}))
}

func ExampleHostQueue() {
	// The only thing to write is how one run computes: here, it doubles.
	q := driver.NewHostQueue(func(_ context.Context, c *driver.Cmd) error {
		in, err := c.Args[0].Bytes()
		if err != nil {
			return err
		}
		out, err := c.Args[1].Bytes()
		if err != nil {
			return err
		}
		for i := range out {
			out[i] = 2 * in[i]
		}
		return nil
	})
	defer q.Close()

	ctx := context.Background()
	m := driver.NewHostMemory(driver.MemSpec{Size: 128})
	in, out := driver.Region{Mem: m, Size: 3}, driver.Region{Mem: m, Off: 64, Size: 3}
	done, _ := q.NewTimeline(0)
	result := make([]byte, 3)
	_ = q.Submit(ctx, &driver.Batch{
		Cmds: []driver.Cmd{
			{Op: driver.Upload, Dst: in, Host: []byte{1, 2, 3}},
			{Op: driver.Run, Exec: nothing{}, Args: []driver.Region{in, out}},
			{Op: driver.Download, Src: out, Host: result},
		},
		Signal: []driver.Point{{T: done, V: 1}},
	})
	fmt.Println(done.Wait(ctx, 1), result)
	// Output: <nil> [2 4 6]
}
