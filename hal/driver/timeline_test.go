package driver_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/hal/driver"
)

// within returns a context that ends long after anything here should have
// happened: what hangs fails instead.
func within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestTimelineOnlyGrows(t *testing.T) {
	tl := driver.NewHostTimeline(3)
	v, err := tl.Value()
	require.NoError(t, err)
	require.EqualValues(t, 3, v)
	for _, bad := range []uint64{0, 2, 3} {
		require.ErrorContains(t, tl.Signal(bad), "only grow", "signal %d of a timeline at 3", bad)
	}
	require.NoError(t, tl.Signal(4))
	require.NoError(t, tl.Signal(100), "values may be left out")
	v, err = tl.Value()
	require.NoError(t, err)
	require.EqualValues(t, 100, v)
	for _, reached := range []uint64{0, 3, 99, 100} {
		require.NoError(t, tl.Wait(within(t), reached))
	}
}

func TestTimelineWaitOnReachedValueIgnoresContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	tl := driver.NewHostTimeline(5)
	require.NoError(t, tl.Wait(ctx, 5), "there is nothing to wait for")
	require.ErrorIs(t, tl.Wait(ctx, 6), context.Canceled)
}

func TestTimelineFailureSticks(t *testing.T) {
	tl := driver.NewHostTimeline(0)
	require.NoError(t, tl.Signal(7))
	first := errors.New("first")
	tl.Fail(first)
	tl.Fail(errors.New("second"))
	_, err := tl.Value()
	require.ErrorIs(t, err, first)
	require.ErrorIs(t, tl.Signal(8), first)
	require.ErrorIs(t, tl.Wait(within(t), 8), first)
	require.ErrorIs(t, tl.Wait(within(t), 1), first, "every call from now on, even for a value that was reached")
}

func TestTimelineFailWithoutReason(t *testing.T) {
	tl := driver.NewHostTimeline(0)
	tl.Fail(nil)
	require.ErrorContains(t, tl.Wait(within(t), 1), "without a reason")
}

func TestTimelineFailureReachesEveryWaiter(t *testing.T) {
	tl := driver.NewHostTimeline(0)
	lost := errors.New("lost")
	ctx := within(t)
	const n = 50
	got := make(chan error, n)
	for i := range n {
		go func() { got <- tl.Wait(ctx, uint64(1+i)) }()
	}
	time.Sleep(5 * time.Millisecond) // let some of them sleep; the others come too late, which must not matter
	tl.Fail(lost)
	for range n {
		require.ErrorIs(t, <-got, lost)
	}
}

func TestTimelineWaitEndsWithContext(t *testing.T) {
	tl := driver.NewHostTimeline(0)
	ctx, cancel := context.WithCancel(context.Background())
	got := make(chan error, 1)
	go func() { got <- tl.Wait(ctx, 1) }()
	time.Sleep(time.Millisecond)
	cancel()
	require.ErrorIs(t, <-got, context.Canceled)

	ctx, cancel = context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	require.ErrorIs(t, tl.Wait(ctx, 1), context.DeadlineExceeded)
	// A waiter that gave up is forgotten: it is not woken later.
	require.NoError(t, tl.Signal(1))
	require.NoError(t, tl.Wait(within(t), 1))
}

// Waiters come, give up and are woken all at once; whoever is not cancelled
// must see its value, and nobody may see a wake-up that was another's.
func TestTimelineLosesNoWakeUps(t *testing.T) {
	const last, waiters = 2000, 8
	tl := driver.NewHostTimeline(0)
	ctx := within(t)
	var wg sync.WaitGroup
	var cancelled atomic.Int64
	for w := range waiters {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(w), 1))
			for v := uint64(1); v <= last; v += 1 + r.Uint64N(3) {
				c, cancel := ctx, context.CancelFunc(func() {})
				if r.IntN(4) == 0 {
					c, cancel = context.WithTimeout(ctx, time.Duration(r.IntN(30))*time.Microsecond)
				}
				err := tl.Wait(c, v)
				cancel()
				if err != nil && ctx.Err() == nil {
					if !errors.Is(err, context.DeadlineExceeded) {
						t.Errorf("wait for %d: %v", v, err)
						return
					}
					cancelled.Add(1)
					continue
				}
				if err != nil {
					t.Errorf("wait for %d hung: %v", v, err)
					return
				}
				if now, _ := tl.Value(); now < v {
					t.Errorf("woken for %d at %d", v, now)
					return
				}
			}
		})
	}
	for v := uint64(1); v <= last; v++ {
		if err := tl.Signal(v); err != nil {
			t.Fatal(err)
		}
		if v%64 == 0 {
			time.Sleep(20 * time.Microsecond)
		}
	}
	wg.Wait()
	t.Logf("%d waits were given up", cancelled.Load())
}

// A waiter that is woken and cancelled at once leaves nothing behind that
// would wake the next.
func TestTimelineWokenAndCancelled(t *testing.T) {
	for range 300 {
		tl := driver.NewHostTimeline(0)
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error)
		go func() {
			err := tl.Wait(ctx, 1)
			if err != nil && !errors.Is(err, context.Canceled) {
				done <- err
				return
			}
			short, cancel := context.WithTimeout(context.Background(), 10*time.Microsecond)
			defer cancel()
			done <- tl.Wait(short, 2) // nobody signals it
		}()
		for range 20 {
			runtime.Gosched() // the goroutine waits by now, usually
		}
		cancel() // decides how Wait ends, before the goroutine gets to run
		_ = tl.Signal(1)
		require.ErrorIs(t, <-done, context.DeadlineExceeded)
	}
}

// Two goroutines hand a value back and forth: one lost wake-up and they hang.
func TestTimelinePingPong(t *testing.T) {
	ping, pong := driver.NewHostTimeline(0), driver.NewHostTimeline(0)
	ctx := within(t)
	const rounds = 5000
	done := make(chan error, 1)
	go func() {
		for v := uint64(1); v <= rounds; v++ {
			if err := errors.Join(ping.Wait(ctx, v), pong.Signal(v)); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for v := uint64(1); v <= rounds; v++ {
		require.NoError(t, ping.Signal(v))
		require.NoError(t, pong.Wait(ctx, v))
	}
	require.NoError(t, <-done)
}

func TestTimelineAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("allocations are not counted under the race detector")
	}
	ping, pong := driver.NewHostTimeline(0), driver.NewHostTimeline(0)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		for v := uint64(1); ping.Wait(ctx, v) == nil; v++ {
			_ = pong.Signal(v)
		}
	}()
	v := uint64(0)
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		v++
		_ = ping.Signal(v)
		_ = pong.Wait(ctx, v)
	}))
}
