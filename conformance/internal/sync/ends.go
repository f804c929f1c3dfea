package sync

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/heddle-ml/heddle/conformance/internal/rig"
	"github.com/heddle-ml/heddle/conformance/internal/suite"
	"github.com/heddle-ml/heddle/hal"
)

func endCases() []suite.Case {
	return []suite.Case{
		bare("end.pending", suite.Skeleton, closePending),
		bare("end.working", suite.Skeleton, closeWorking),
		bare("end.running", suite.Skeleton, closeRunning),
		bare("end.while_submitting", suite.Skeleton, closeWhileSubmitting),
		bare("end.waited_for", suite.Skeleton, closeWaitedFor),
		both("end.closed", closedQueue),
	}
}

// manyBatches is more than any queue is expected to hold.
const manyBatches = 4096

// full fills a queue that is held back. Submit may wait then, until its
// context ends; what it took is done in the end, and no more than that.
func full(b *bench) {
	gate, t := line(b.Queue), line(b.Queue)
	b.submit(b.Queue, &hal.Batch{Wait: at(gate, 1), Signal: at(t, 1)})
	took := uint64(1)
	var refusal error
	for took < manyBatches && refusal == nil {
		ctx, cancel := context.WithTimeout(b.ctx, 150*time.Millisecond)
		refusal = b.within("Submit with a deadline", func() error { return b.Queue.Submit(ctx, &hal.Batch{Signal: at(t, took+1)}) })
		cancel()
		if refusal == nil {
			took++
		}
	}
	if refusal != nil {
		must(rig.Refused(fmt.Sprintf("batch %d of a queue that is held back", took+1), refusal, context.DeadlineExceeded))
		b.env.Note("a queue holds %d batches", took)
		// One that waits for room gets it.
		over, cancel := context.WithCancel(b.ctx)
		cancel()
		must(rig.Refused("Submit to a full queue with a context that is over", b.within("that Submit", func() error { return b.Queue.Submit(over, &hal.Batch{Signal: at(t, took+1)}) }), context.Canceled))
		done := make(chan error, 1)
		go func() { done <- b.Queue.Submit(b.ctx, &hal.Batch{Signal: at(t, took+1)}) }()
		time.Sleep(short)
		must(gate.Signal(1))
		must(b.within("Submit to a queue that was full", func() error { return <-done }))
		took++
	} else {
		b.env.Note("a queue holds more than %d batches", manyBatches)
		must(gate.Signal(1))
	}
	b.reached("the last batch that was taken", t, took)
	v, err := t.Value()
	must(err)
	check(v == took, "%d batches were taken, the timeline is at %d", took, v)
}

// ended sees that waiting for t ends, one way or the other.
func (b *bench) ended(what string, t *hal.Timeline, v uint64) error {
	err := b.within(what, func() error { return t.Wait(b.ctx, v) })
	if err != nil && !errors.Is(err, hal.ErrClosed) {
		panic(stop{fmt.Errorf("%s ended with %q, which is not that the queue was closed", what, err)})
	}
	return err
}

// closePending closes a queue whose batches wait for what never comes: Close
// returns, and everyone who waits for them is told.
func closePending(b *bench) {
	for range 5 {
		q, err := b.Device.NewQueue(hal.QueueOptions{Label: "to be closed"})
		must(err)
		gate, t := line(b.Queue), line(q)
		buf := b.alloc(64)
		const n = 10
		for v := uint64(1); v <= n; v++ {
			b.submit(q, &hal.Batch{Wait: at(gate, 1), Cmds: []hal.Cmd{{Op: hal.Fill, Dst: buf.All(), Value: 5}}, Signal: at(t, v)})
		}
		early := make(chan error, 1)
		go func() { early <- t.Wait(b.ctx, n) }()
		time.Sleep(time.Millisecond)
		must(b.within("closing a queue whose batches wait", q.Close))
		check(b.ended("a batch that waited when its queue was closed", t, 1) != nil, "a batch was done whose wait never ended")
		check(b.within("a waiter that was there before the queue was closed", func() error { return <-early }) != nil, "a batch was done whose wait never ended")
		must(b.Expect(b.ctx, "memory that batches would have filled", buf.All(), make([]byte, 64)))
	}
	must(rig.Works(b.ctx, b.Device))
}

// closeWorking closes a queue in the middle of work: each batch is either done
// or has failed, the first ones first.
func closeWorking(b *bench) {
	for range 5 {
		q, err := b.Device.NewQueue(hal.QueueOptions{Label: "to be closed"})
		must(err)
		const n, size = 30, 1 << 18
		buf := b.alloc(n * size)
		t := make([]*hal.Timeline, n)
		for i := range t {
			t[i] = line(q)
			b.submit(q, &hal.Batch{Cmds: []hal.Cmd{{Op: hal.Fill, Dst: buf.At(int64(i)*size, size), Value: byte(i + 1)}}, Signal: at(t[i], 1)})
		}
		must(b.within("closing a queue that works", q.Close))
		done := true
		for i := range t {
			err := b.ended("a batch of a queue that was closed", t[i], 1)
			check(done || err != nil, "batch %d was done after one before it had failed", i+1)
			done = err == nil
			if done {
				for _, off := range []int64{0, size - 1} {
					got, err := b.Read(b.ctx, buf.At(int64(i)*size+off, 1))
					must(err)
					check(got[0] == byte(i+1), "batch %d has signalled; byte %d of what it fills is %d", i+1, off, got[0])
				}
			}
		}
	}
}

// closeRunning closes a queue in the middle of a run: the run ends or is broken
// off, and the executable goes on elsewhere.
func closeRunning(b *bench) {
	s, err := rig.Simplest(b.Device)
	must(err)
	n := 600
	if limit := b.Device.Caps().Limits.MaxNodes; limit > 0 {
		n = min(n, limit)
	}
	g, err := s.Chain(n)
	must(err)
	x, err := b.Device.Compile(b.ctx, g, hal.CompileOptions{})
	if errors.Is(err, hal.ErrUnsupported) || errors.Is(err, hal.ErrOutOfMemory) {
		b.env.Note("%d nodes one after the other are not compiled: %v", n, err)
		return
	}
	must(err)
	b.Defer(x.Close)
	args, operands, before, err := s.Args(b.ctx, b.Rig, 1)
	must(err)
	for round := range 20 {
		q, err := b.Device.NewQueue(hal.QueueOptions{Label: "to be closed"})
		must(err)
		t := line(q)
		for v := uint64(1); v <= 6; v++ {
			b.submit(q, &hal.Batch{Cmds: []hal.Cmd{{Op: hal.Run, Exec: x, Args: args}}, Signal: at(t, v)})
		}
		time.Sleep(time.Duration(round*40) * time.Microsecond)
		must(b.within("closing a queue that runs a graph", q.Close))
		_ = b.ended("a run of a queue that was closed", t, 6)
	}
	// Whole runs are not affected, here or by another executable.
	must(b.Do(b.ctx, hal.Cmd{Op: hal.Upload, Dst: args[s.Inputs], Host: before}, hal.Cmd{Op: hal.Run, Exec: x, Args: args}))
	got, err := b.Read(b.ctx, args[s.Inputs])
	must(err)
	check(!slices.Equal(got, before), "a run after others were broken off writes nothing")
	for i, o := range operands {
		must(b.Expect(b.ctx, "an input of runs that were broken off", args[i], o))
	}
	must(rig.Works(b.ctx, b.Device))
}

// closeWhileSubmitting closes a queue that others submit to: each Submit takes
// the batch or says that the queue is closed, and each batch ends.
func closeWhileSubmitting(b *bench) {
	for range 8 {
		q, err := b.Device.NewQueue(hal.QueueOptions{Label: "to be closed"})
		must(err)
		const workers = 8
		var wg sync.WaitGroup
		errs := make([]error, workers)
		lines := make([]*hal.Timeline, workers)
		taken := make([]uint64, workers)
		for w := range workers {
			lines[w] = line(q)
			wg.Go(func() {
				for v := uint64(1); ; v++ { // until it is refused
					if errs[w] = q.Submit(b.ctx, &hal.Batch{Signal: at(lines[w], v)}); errs[w] != nil {
						return
					}
					taken[w] = v
				}
			})
		}
		time.Sleep(2 * time.Millisecond)
		must(b.within("closing a queue that others submit to", q.Close))
		must(b.within("those that submit to a closed queue", func() error { wg.Wait(); return nil }))
		for w := range workers {
			must(rig.Refused("a batch for a queue that was closed meanwhile", errs[w], hal.ErrClosed))
			if taken[w] > 0 {
				_ = b.ended("a batch that was submitted before", lines[w], taken[w])
			}
		}
	}
	must(rig.Works(b.ctx, b.Device))
}

// closeWaitedFor closes a queue that another one waits for: that one is told,
// too, and goes on.
func closeWaitedFor(b *bench) {
	q, err := b.Device.NewQueue(hal.QueueOptions{Label: "to be closed"})
	must(err)
	gate, there, here := line(b.Queue), line(q), line(b.Queue)
	b.submit(q, &hal.Batch{Wait: at(gate, 1), Signal: at(there, 1)})
	b.submit(b.Queue, &hal.Batch{Wait: at(there, 1), Signal: at(here, 1)})
	must(b.within("closing a queue that another one waits for", q.Close))
	check(b.ended("a batch that waits for a queue that was closed", here, 1) != nil, "a batch was done whose wait never ended")
	must(rig.Works(b.ctx, b.Device))
}

// closedQueue uses a queue after its end.
func closedQueue(b *bench) {
	q, err := b.Device.NewQueue(hal.QueueOptions{Label: "to be closed"})
	must(err)
	t := line(q)
	b.submit(q, &hal.Batch{Signal: at(t, 1)})
	b.reached("a batch", t, 1)
	for range 2 {
		must(b.within("closing a queue", q.Close))
	}
	must(rig.Refused("a batch for a closed queue", q.Submit(b.ctx, &hal.Batch{}), hal.ErrClosed))
	_, err = q.NewTimeline(0)
	must(rig.Refused("a timeline of a closed queue", err, hal.ErrClosed))
	must(rig.Works(b.ctx, b.Device))
}
