package sync

import (
	"fmt"

	"github.com/heddle-ml/heddle/conformance/internal/rig"
	"github.com/heddle-ml/heddle/conformance/internal/suite"
	"github.com/heddle-ml/heddle/hal"
)

func failureCases() []suite.Case {
	return []suite.Case{
		both("failure.batch", failedBatch),
		both("failure.chain", failedChain),
		both("failure.late", lateFailure),
		both("failure.backwards", backwards),
		bare("failure.across_queues", suite.Skeleton, failedAcross),
	}
}

// failedBatch waits for a timeline that fails: its commands do not run, and
// all of its signals fail with the reason.
func failedBatch(b *bench) {
	gate, t, u := line(b.Queue), line(b.Queue), line(b.Queue)
	want := rig.Noise(1, 100)
	buf := b.filled(want)
	b.submit(b.Queue, &hal.Batch{Wait: at(gate, 1), Cmds: []hal.Cmd{{Op: hal.Fill, Dst: buf.All(), Value: 1}}, Signal: append(at(t, 1), at(u, 5)...)})
	gate.Fail(errGiven)
	for i, l := range []*hal.Timeline{t, u} {
		must(failed(fmt.Sprintf("signal %d of a batch whose wait failed", i+1), b.within("that batch", func() error { return l.Wait(b.ctx, 1) })))
		_, err := l.Value()
		must(failed("the value after that", err))
	}
	must(b.Expect(b.ctx, "memory that the failed batch would have filled", buf.All(), want))
	must(rig.Refused("a signal of a failed timeline", b.Queue.Submit(b.ctx, &hal.Batch{Signal: at(t, 7)}), hal.ErrTimeout))
	must(rig.Works(b.ctx, b.Device))
}

// failedChain hands a failure on from batch to batch; what does not depend on
// it is done.
func failedChain(b *bench) {
	const n = 6
	gate := line(b.Queue)
	last := gate
	good := line(b.Queue)
	buf := b.alloc(n)
	for i := range int64(n) {
		next := line(b.Queue)
		b.submit(b.Queue, &hal.Batch{Wait: at(last, 1), Cmds: []hal.Cmd{{Op: hal.Fill, Dst: buf.All(), Value: 99}}, Signal: at(next, 1)})
		b.submit(b.Queue, &hal.Batch{Cmds: []hal.Cmd{{Op: hal.Fill, Dst: buf.At(i, 1), Value: byte(i + 1)}}, Signal: at(good, uint64(i+1))})
		last = next
	}
	gate.Fail(errGiven)
	must(failed("the last of a chain of batches whose first failed", b.within("the chain", func() error { return last.Wait(b.ctx, 1) })))
	b.reached("batches between failed ones", good, n)
	want := make([]byte, n)
	for i := range want {
		want[i] = byte(i + 1)
	}
	must(b.Expect(b.ctx, "what the batches between failed ones wrote", buf.All(), want))
}

// lateFailure waits for a value that was reached before its timeline failed,
// and for one that was not.
func lateFailure(b *bench) {
	gate, t := line(b.Queue), line(b.Queue)
	b.submit(b.Queue, &hal.Batch{Signal: at(t, 1)})
	b.reached("a batch", t, 1)
	gate.Fail(errGiven)
	b.submit(b.Queue, &hal.Batch{Wait: at(gate, 1), Signal: at(t, 2)})
	must(failed("a batch that waits for a timeline that has failed before", b.within("that batch", func() error { return t.Wait(b.ctx, 2) })))
}

// backwards submits a signal that is lower than one submitted before: it is
// refused or fails, and the timeline never goes back.
func backwards(b *bench) {
	gate, t := line(b.Queue), line(b.Queue)
	b.submit(b.Queue, &hal.Batch{Wait: at(gate, 1), Signal: at(t, 9)})
	err := b.Queue.Submit(b.ctx, &hal.Batch{Signal: at(t, 4)})
	must(gate.Signal(1))
	if err != nil {
		b.reached("the higher signal", t, 9)
		return
	}
	must(b.within("what follows a signal that goes back", func() error {
		end := line(b.Queue)
		b.submit(b.Queue, &hal.Batch{Signal: at(end, 1)})
		return end.Wait(b.ctx, 1)
	}))
	v, err := t.Value()
	check(err != nil || v >= 9, "a timeline at 9 went back to %d", v)
	must(rig.Works(b.ctx, b.Device))
}

// failedAcross hands a failure on from queue to queue and lets the queues work
// on.
func failedAcross(b *bench) {
	qs := b.queues(3, 2)
	if qs == nil {
		return
	}
	for round := range 5 {
		gate := line(qs[0])
		last := gate
		for _, q := range qs {
			next := line(q)
			b.submit(q, &hal.Batch{Wait: at(last, 1), Signal: at(next, 1)})
			last = next
		}
		gate.Fail(errGiven)
		must(failed(fmt.Sprintf("round %d: the last of several queues, of which the first failed", round), b.within("the last queue", func() error { return last.Wait(b.ctx, 1) })))
		for _, q := range qs {
			t := line(q)
			b.submit(q, &hal.Batch{Signal: at(t, 1)})
			b.reached("a queue after a failed batch", t, 1)
		}
	}
	must(rig.Works(b.ctx, b.Device))
}
