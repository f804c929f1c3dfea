package sync

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/heddle-ml/heddle/conformance/internal/rig"
	"github.com/heddle-ml/heddle/conformance/internal/suite"
	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/hal/driver"
)

func timelineCases() []suite.Case {
	return []suite.Case{
		both("timeline.initial", initial),
		both("timeline.signal", signal),
		both("timeline.wait_past", waitPast),
		both("timeline.wait_first", waitFirst),
		both("timeline.wait_many", waitMany),
		both("timeline.cancel", cancelWait),
		both("timeline.deadline", deadline),
		both("timeline.fail", fail),
		both("timeline.fail_waiters", failWaiters),
		both("timeline.many", manyTimelines),
		both("timeline.pending_limit", pendingLimit),
	}
}

// initial makes timelines that start elsewhere than at 0.
func initial(b *bench) {
	for _, v := range []uint64{0, 1, 7, 1 << 31, 1 << 40, math.MaxInt64 - driver.MaxPending} {
		t, err := b.Queue.NewTimeline(v)
		must(err)
		now, err := t.Value()
		must(err)
		check(now == v, "a timeline that starts at %d is at %d", v, now)
		b.reached("waiting for the initial value", t, v)
		must(t.Signal(v + 1))
		b.reached("waiting for the next value", t, v+1)
		b.submit(b.Queue, &hal.Batch{Signal: at(t, v+3)})
		b.reached("waiting for a batch's signal", t, v+3)
		now, err = t.Value()
		must(err)
		check(now == v+3, "a timeline signalled to %d is at %d", v+3, now)
	}
}

// signal raises from the host; what does not raise is refused and changes
// nothing.
func signal(b *bench) {
	t := line(b.Queue)
	last := uint64(0)
	for _, v := range []uint64{1, 2, 5, 6, 100, 65636} {
		must(t.Signal(v))
		for _, low := range []uint64{0, last, v - 1, v} {
			check(t.Signal(low) != nil, "a timeline at %d was signalled to %d: values only grow", v, low)
		}
		now, err := t.Value()
		must(err)
		check(now == v, "a timeline signalled to %d is at %d", v, now)
		last = v
	}
}

// waitPast waits for what is long past, with a context that is over, too.
func waitPast(b *bench) {
	t := line(b.Queue)
	must(t.Signal(9))
	for _, v := range []uint64{0, 1, 8, 9} {
		must(b.within(fmt.Sprintf("waiting for %d of a timeline at 9", v), func() error { return t.Wait(b.ctx, v) }))
	}
	over, cancel := context.WithCancel(b.ctx)
	cancel()
	if err := t.Wait(over, 9); err != nil {
		must(rig.Refused("waiting for what is past with a context that is over", err, context.Canceled))
	}
	must(rig.Refused("waiting for what is not past with a context that is over", b.within("that wait", func() error { return t.Wait(over, 10) }), context.Canceled))
}

// waitFirst waits before anybody has even submitted what signals.
func waitFirst(b *bench) {
	t := line(b.Queue)
	done := make(chan error, 1)
	go func() { done <- t.Wait(b.ctx, 3) }()
	for v := uint64(1); v <= 2; v++ {
		must(t.Signal(v))
		select {
		case err := <-done:
			check(false, "waiting for 3 returned at %d (%v)", v, err)
		case <-time.After(short):
		}
	}
	b.submit(b.Queue, &hal.Batch{Signal: at(t, 3)})
	must(b.within("a wait that began before its signal was submitted", func() error { return <-done }))
}

// waitMany has many wait for different values. Each is released by its own
// value, not by an earlier one.
func waitMany(b *bench) {
	const n = 64
	t := line(b.Queue)
	type end struct {
		v, now uint64
		err    error
	}
	ends := make(chan end, n)
	for i := range uint64(n) {
		v := 1 + i*5%n // in no order
		go func() {
			err := t.Wait(b.ctx, v)
			now, _ := t.Value()
			ends <- end{v, now, err}
		}()
	}
	for v := uint64(8); v <= n; v += 8 {
		must(t.Signal(v))
		for range 8 {
			var e end
			must(b.within(fmt.Sprintf("%d waiters for up to %d", n, v), func() error { e = <-ends; return e.err }))
			check(e.v <= v, "a waiter for %d was released by %d", e.v, v)
			check(e.now >= e.v, "a waiter for %d was released at %d", e.v, e.now)
		}
	}
}

// cancelWait cancels waits, one after the other and many at once: the
// timeline is as before.
func cancelWait(b *bench) {
	t := line(b.Queue)
	for range 20 {
		ctx, cancel := context.WithCancel(b.ctx)
		done := make(chan error, 3)
		for range 3 {
			go func() { done <- t.Wait(ctx, 1) }()
		}
		time.Sleep(time.Millisecond)
		cancel()
		for range 3 {
			err := b.within("a wait whose context was cancelled", func() error { return <-done })
			must(rig.Refused("a wait whose context was cancelled", err, context.Canceled))
		}
	}
	pending("after waits were cancelled", t, 1)
	must(t.Signal(1))
	b.reached("a wait after others were cancelled", t, 1)
}

// deadline lets waits run out of time: not before it, and soon after.
func deadline(b *bench) {
	t := line(b.Queue)
	for _, d := range []time.Duration{time.Millisecond, 40 * time.Millisecond} {
		ctx, cancel := context.WithTimeout(b.ctx, d)
		start := time.Now()
		err := b.within("a wait with a deadline", func() error { return t.Wait(ctx, 5) })
		took := time.Since(start)
		cancel()
		must(rig.Refused("a wait that ran out of time", err, context.DeadlineExceeded))
		check(took >= d, "a wait of %v ended after %v", d, took)
		check(took < d+5*time.Second, "a wait of %v went on for %v", d, took)
	}
	must(t.Signal(5))
	b.reached("a wait after others ran out of time", t, 5)
}

var errGiven = fmt.Errorf("reason number 42: %w", hal.ErrTimeout)

// failed returns nil if err is what errGiven has become.
func failed(what string, err error) error {
	if err := rig.Refused(what, err, hal.ErrTimeout); err != nil {
		return err
	}
	if !strings.Contains(err.Error(), "reason number 42") {
		return fmt.Errorf("%s: the error %q has lost its reason", what, err)
	}
	return nil
}

// fail fails a timeline: that sticks, and is the answer to everything.
func fail(b *bench) {
	t := line(b.Queue)
	must(t.Signal(4))
	t.Fail(errGiven)
	t.Fail(errors.New("a second one, which does not count"))
	for range 3 {
		_, err := t.Value()
		must(failed("the value of a failed timeline", err))
		must(failed("a signal of a failed timeline", t.Signal(9)))
		for _, v := range []uint64{5, 9, 1 << 50} {
			must(failed("a wait for a failed timeline", b.within("a wait for a failed timeline", func() error { return t.Wait(b.ctx, v) })))
		}
	}
	// Others go on.
	other := line(b.Queue)
	b.submit(b.Queue, &hal.Batch{Signal: at(other, 1)})
	b.reached("another timeline", other, 1)
}

// failWaiters fails a timeline that many wait for.
func failWaiters(b *bench) {
	const n = 32
	t := line(b.Queue)
	done := make(chan error, n)
	for i := range uint64(n) {
		go func() { done <- t.Wait(b.ctx, i+1) }()
	}
	time.Sleep(5 * time.Millisecond)
	t.Fail(errGiven)
	for range n {
		err := b.within("a waiter of a timeline that failed", func() error { return <-done })
		must(failed("a waiter of a timeline that failed", err))
	}
}

// manyTimelines keeps many: none hears of the others.
func manyTimelines(b *bench) {
	const n = 200
	ts := make([]*hal.Timeline, n)
	for i := range ts {
		ts[i] = line(b.Queue)
	}
	for i, t := range ts {
		if i%10 == 3 {
			t.Fail(errGiven)
		} else {
			must(t.Signal(uint64(i + 1)))
		}
	}
	for i, t := range ts {
		v, err := t.Value()
		if i%10 == 3 {
			must(failed("one of many timelines", err))
			continue
		}
		must(err)
		check(v == uint64(i+1), "timeline %d of %d is at %d, want %d", i, n, v, i+1)
	}
}

// pendingLimit signals as far ahead as is allowed, and further.
func pendingLimit(b *bench) {
	t := line(b.Queue)
	b.submit(b.Queue, &hal.Batch{Signal: at(t, driver.MaxPending)})
	b.reached("a signal as far ahead as is allowed", t, driver.MaxPending)
	refused := func(what string, v uint64) {
		must(rig.Refused(what, b.Queue.Submit(b.ctx, &hal.Batch{Signal: at(t, v)}), hal.ErrInvalidArgument))
	}
	refused("a signal of the value that is reached", driver.MaxPending)
	refused("a signal of a value that is past", 17)
	refused("a signal too far ahead", 2*driver.MaxPending+1)
	refused("a signal at the end of time", math.MaxUint64)
	now, err := t.Value()
	must(err)
	check(now == driver.MaxPending, "after refused batches the timeline is at %d, want %d", now, driver.MaxPending)
	twice := append(at(t, driver.MaxPending+1), at(t, driver.MaxPending+2)...)
	must(rig.Refused("a batch that signals a timeline twice", b.Queue.Submit(b.ctx, &hal.Batch{Signal: twice}), hal.ErrInvalidArgument))
	must(rig.Refused("a signal of no timeline", b.Queue.Submit(b.ctx, &hal.Batch{Signal: []hal.Point{{V: 1}}}), hal.ErrInvalidArgument))
	must(rig.Refused("a wait for no timeline", b.Queue.Submit(b.ctx, &hal.Batch{Wait: []hal.Point{{V: 1}}}), hal.ErrInvalidArgument))
	must(rig.Refused("no batch", b.Queue.Submit(b.ctx, nil), hal.ErrInvalidArgument))
	b.submit(b.Queue, &hal.Batch{Signal: at(t, driver.MaxPending+1)})
	b.reached("a signal after refused ones", t, driver.MaxPending+1)
}
