package sync

import (
	"fmt"
	"time"

	"github.com/heddle-ml/heddle/conformance/internal/rig"
	"github.com/heddle-ml/heddle/conformance/internal/suite"
	"github.com/heddle-ml/heddle/hal"
)

func orderCases() []suite.Case {
	return []suite.Case{
		both("order.in_queue", inQueue),
		both("order.in_batch", inBatch),
		both("order.empty", empty),
		both("order.reused_batch", reusedBatch),
		both("order.host_gate", hostGate),
		both("order.fan_in", fanIn),
		both("order.done_at_signal", doneAtSignal),
		bare("order.across_queues", suite.Skeleton, acrossQueues),
		bare("order.ping_pong", suite.Skeleton, pingPong),
		bare("order.fan_out", suite.Skeleton, fanOut),
		bare("order.waiting_queue", suite.Skeleton, waitingQueue),
		bare("order.devices", suite.Skeleton, acrossDevices),
		bare("order.full", suite.Skeleton, full),
	}
}

// inQueue submits many batches without waits: they take effect in the order of
// their submission.
func inQueue(b *bench) {
	const n = 150
	t := line(b.Queue)
	cell, log := b.alloc(8), b.alloc(8*n)
	want := make([]byte, 8*n)
	for i := range int64(n) {
		b.submit(b.Queue, &hal.Batch{Cmds: []hal.Cmd{
			{Op: hal.Fill, Dst: cell.All(), Value: byte(i)},
			{Op: hal.Copy, Dst: log.At(8*i, 8), Src: cell.All()},
		}, Signal: at(t, uint64(i+1))})
		for k := range int64(8) {
			want[8*i+k] = byte(i)
		}
	}
	b.reached("the last of many batches", t, n)
	must(b.Expect(b.ctx, "what batches of one queue wrote one after the other", log.All(), want))
}

// inBatch has the commands of one batch depend on each other.
func inBatch(b *bench) {
	const n = 100
	a, c := b.filled(rig.Noise(1, n)), b.filled(rig.Noise(2, n))
	host := make([]byte, n)
	var cmds []hal.Cmd
	for i := range int64(n - 1) { // the first byte travels to the end
		cmds = append(cmds, hal.Cmd{Op: hal.Copy, Dst: c.At(i, 1), Src: a.At(i, 1)}, hal.Cmd{Op: hal.Copy, Dst: a.At(i+1, 1), Src: c.At(i, 1)})
	}
	cmds = append(cmds, hal.Cmd{Op: hal.Download, Src: a.All(), Host: host}, hal.Cmd{Op: hal.Fill, Dst: a.All(), Value: 3})
	must(b.Do(b.ctx, cmds...))
	want := make([]byte, n)
	for i := range want {
		want[i] = rig.Noise(1, 1)[0]
	}
	must(rig.Same("a byte that was copied on and on in one batch", host, want))
}

// empty submits batches that do nothing, or only wait, or only signal.
func empty(b *bench) {
	t, u := line(b.Queue), line(b.Queue)
	b.submit(b.Queue, &hal.Batch{})
	b.submit(b.Queue, &hal.Batch{Cmds: []hal.Cmd{}, Wait: []hal.Point{}, Signal: []hal.Point{}})
	b.submit(b.Queue, &hal.Batch{Signal: at(t, 1)})
	b.submit(b.Queue, &hal.Batch{Wait: at(t, 1)})
	b.submit(b.Queue, &hal.Batch{Wait: at(t, 1), Signal: at(u, 1)})
	b.submit(b.Queue, &hal.Batch{Wait: at(t, 0), Signal: at(u, 2)})
	b.reached("a batch that only waits and signals", u, 2)
	buf := b.alloc(16)
	b.submit(b.Queue, &hal.Batch{Cmds: []hal.Cmd{{Op: hal.Fill, Dst: buf.All(), Value: 9}}}) // nobody is told
	must(b.Expect(b.ctx, "what a batch without signals wrote", buf.All(), []byte{9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9}))
}

// reusedBatch changes a batch as soon as Submit has returned: the queue has
// copied what it needs.
func reusedBatch(b *bench) {
	const n = 12
	gate, t := line(b.Queue), line(b.Queue)
	buf := b.alloc(n)
	want := make([]byte, n)
	batch := &hal.Batch{Wait: at(gate, 1), Cmds: make([]hal.Cmd, 1), Signal: make([]hal.Point, 1)}
	for i := range int64(n) {
		batch.Cmds[0] = hal.Cmd{Op: hal.Fill, Dst: buf.At(i, 1), Value: byte(i + 1)}
		batch.Signal[0] = hal.Point{T: t, V: uint64(i + 1)}
		want[i] = byte(i + 1)
		b.submit(b.Queue, batch)
	}
	batch.Cmds[0], batch.Signal[0], batch.Wait[0] = hal.Cmd{}, hal.Point{}, hal.Point{}
	must(gate.Signal(1))
	b.reached("batches that were submitted through one value", t, n)
	must(b.Expect(b.ctx, "what they wrote", buf.All(), want))
}

// hostGate holds batches back until the host signals. Until then nothing of
// them happens.
func hostGate(b *bench) {
	gate, t := line(b.Queue), line(b.Queue)
	before := rig.Noise(1, 64)
	buf := b.filled(before)
	for v := uint64(1); v <= 3; v++ {
		b.submit(b.Queue, &hal.Batch{Wait: at(gate, v), Cmds: []hal.Cmd{{Op: hal.Fill, Dst: buf.All(), Value: byte(v)}}, Signal: at(t, v)})
	}
	for v := uint64(1); v <= 3; v++ {
		time.Sleep(short)
		pending(fmt.Sprintf("before the host has signalled %d", v), t, v)
		if host, ok := buf.Bytes(); ok {
			must(rig.Same(fmt.Sprintf("memory before the host has signalled %d", v), host, before))
		}
		must(gate.Signal(v))
		b.reached("a batch that the host has released", t, v)
		for i := range before {
			before[i] = byte(v)
		}
	}
	must(b.Expect(b.ctx, "what the released batches wrote", buf.All(), before))
}

// fanIn has one batch wait for many timelines, and signal many.
func fanIn(b *bench) {
	const n = 12
	var wait, signals []hal.Point
	for i := range uint64(n) {
		wait = append(wait, hal.Point{T: line(b.Queue), V: i + 1})
		signals = append(signals, hal.Point{T: line(b.Queue), V: 2*i + 1})
	}
	b.submit(b.Queue, &hal.Batch{Wait: wait, Signal: signals})
	for i := range wait {
		// In no order; one signal too low first.
		k := (i*7 + 3) % n
		if v := wait[k].V; v > 1 {
			must(wait[k].T.Signal(v - 1))
		}
		if i == n-1 {
			time.Sleep(short)
		}
		for _, s := range signals {
			pending(fmt.Sprintf("after %d of %d wait points", i, n), s.T, 1)
		}
		must(wait[k].T.Signal(wait[k].V))
	}
	for _, s := range signals {
		b.reached("one of many signals", s.T, s.V)
		now, err := s.T.Value()
		must(err)
		check(now == s.V, "one of many timelines is at %d, want %d", now, s.V)
	}
}

// doneAtSignal looks at what a batch did at the moment that it signals.
func doneAtSignal(b *bench) {
	const n = 1 << 20
	t := line(b.Queue)
	a, c := b.alloc(n), b.alloc(n)
	host := make([]byte, n)
	for v := uint64(1); v <= 12; v++ {
		b.submit(b.Queue, &hal.Batch{Cmds: []hal.Cmd{
			{Op: hal.Fill, Dst: a.All(), Value: byte(v)},
			{Op: hal.Copy, Dst: c.All(), Src: a.All()},
			{Op: hal.Download, Src: c.All(), Host: host},
		}, Signal: at(t, v)})
		b.reached("a batch that moves a MiB", t, v)
		check(host[0] == byte(v) && host[n/2] == byte(v) && host[n-1] == byte(v), "batch %d has signalled; what it downloads holds %d, %d and %d", v, host[0], host[n/2], host[n-1])
		if seen, ok := c.Bytes(); ok {
			check(seen[0] == byte(v) && seen[n-1] == byte(v), "batch %d has signalled; the memory it fills holds %d and %d", v, seen[0], seen[n-1])
		}
	}
}

// acrossQueues has a queue wait for what another one does later.
func acrossQueues(b *bench) {
	qs := b.queues(1, 1)
	if qs == nil {
		return
	}
	other := qs[0]
	t, u := line(other), line(b.Queue)
	a, c := b.alloc(4096), b.alloc(4096)
	gate := line(other)
	// The waiting batch comes first.
	b.submit(b.Queue, &hal.Batch{Wait: at(t, 1), Cmds: []hal.Cmd{{Op: hal.Copy, Dst: c.All(), Src: a.All()}}, Signal: at(u, 1)})
	want := rig.Noise(4, 4096)
	b.submit(other, &hal.Batch{Wait: at(gate, 1), Cmds: []hal.Cmd{{Op: hal.Upload, Dst: a.All(), Host: want}}, Signal: at(t, 1)})
	time.Sleep(short)
	pending("a batch that waits for another queue", u, 1)
	must(gate.Signal(1))
	b.reached("a batch that waits for another queue", u, 1)
	must(b.Expect(b.ctx, "what one queue wrote and another one copied", c.All(), want))
}

// pingPong has two queues take turns, all submitted ahead: a token goes round,
// and each turn adds to a log.
func pingPong(b *bench) {
	qs := b.queues(2, 2)
	if qs == nil {
		return
	}
	const n = 100
	lines := []*hal.Timeline{line(qs[0]), line(qs[1])}
	bufs := []*hal.Buffer{b.filled(rig.Noise(1, n)), b.filled(make([]byte, n))}
	// Turn i copies what the other queue has and changes byte i.
	want := rig.Noise(1, n)
	for i := range int64(n) {
		me := int((i + 1) % 2)
		batch := &hal.Batch{Cmds: []hal.Cmd{
			{Op: hal.Copy, Dst: bufs[me].All(), Src: bufs[1-me].All()},
			{Op: hal.Fill, Dst: bufs[me].At(i, 1), Value: byte(i)},
		}, Signal: at(lines[me], uint64(i+1))}
		if i > 0 {
			batch.Wait = at(lines[1-me], uint64(i))
		}
		b.submit(qs[me], batch)
		want[i] = byte(i)
	}
	b.reached("the last of many turns", lines[n%2], n)
	must(b.Expect(b.ctx, "what two queues wrote in turns", bufs[n%2].All(), want))
}

// fanOut lets several queues begin at one signal and one continue when all are
// done.
func fanOut(b *bench) {
	qs := b.queues(5, 2)
	if qs == nil {
		return
	}
	const n = 512
	start, end := line(b.Queue), line(b.Queue)
	src, all := b.alloc(n), b.alloc(n*int64(len(qs)))
	var wait []hal.Point
	var want []byte
	for i, q := range qs {
		t := line(q)
		mine := b.alloc(n)
		part := all.At(n*int64(i), n)
		b.submit(q, &hal.Batch{Wait: at(start, 1), Cmds: []hal.Cmd{
			{Op: hal.Copy, Dst: mine.All(), Src: src.All()},
			{Op: hal.Fill, Dst: mine.At(int64(i), 1), Value: 0},
			{Op: hal.Copy, Dst: part, Src: mine.All()},
		}, Signal: at(t, 3)})
		wait = append(wait, hal.Point{T: t, V: 3})
		content := rig.Noise(8, n)
		content[i] = 0
		want = append(want, content...)
	}
	host := make([]byte, len(want))
	b.submit(b.Queue, &hal.Batch{Cmds: []hal.Cmd{{Op: hal.Upload, Dst: src.All(), Host: rig.Noise(8, n)}}, Signal: at(start, 1)})
	b.submit(b.Queue, &hal.Batch{Wait: wait, Cmds: []hal.Cmd{{Op: hal.Download, Src: all.All(), Host: host}}, Signal: at(end, 1)})
	b.reached("what waits for all queues", end, 1)
	must(rig.Same("what several queues wrote side by side", host, want))
}

// waitingQueue holds one queue back: the others go on.
func waitingQueue(b *bench) {
	qs := b.queues(2, 2)
	if qs == nil {
		return
	}
	gate, held, free := line(qs[0]), line(qs[0]), line(qs[1])
	b.submit(qs[0], &hal.Batch{Wait: at(gate, 1), Signal: at(held, 1)})
	for v := uint64(1); v <= 20; v++ {
		b.submit(qs[1], &hal.Batch{Signal: at(free, v)})
	}
	b.reached("a queue next to one that waits", free, 20)
	must(rig.Works(b.ctx, b.Device))
	pending("a queue that waits", held, 1)
	must(gate.Signal(1))
	b.reached("the queue that waited", held, 1)
}

// acrossDevices has a queue wait for the timeline of another device.
func acrossDevices(b *bench) {
	other, done, err := rig.Bare(b.ctx, b.env)
	must(err)
	if other == b.Device || other == b.env.Device {
		return // noted: there can be only one
	}
	b.Defer(done)
	q, err := other.NewQueue(hal.QueueOptions{})
	must(err)
	b.Defer(q.Close)
	there, here := line(q), line(b.Queue)
	gate := line(q)
	src, err := other.Alloc(b.ctx, 1000)
	must(err)
	b.Defer(src.Close)
	dst := b.alloc(1000)
	for v := uint64(1); v <= 5; v++ {
		want, next := rig.Noise(v, 1000), rig.Noise(v+100, 1000)
		got := make([]byte, 1000)
		b.submit(b.Queue, &hal.Batch{Wait: at(there, v), Cmds: []hal.Cmd{{Op: hal.Upload, Dst: dst.All(), Host: next}}, Signal: at(here, v)})
		b.submit(q, &hal.Batch{Wait: at(gate, v), Cmds: []hal.Cmd{{Op: hal.Upload, Dst: src.All(), Host: want}, {Op: hal.Download, Src: src.All(), Host: got}}, Signal: at(there, v)})
		time.Sleep(short / 5)
		pending("a batch that waits for another device", here, v)
		must(gate.Signal(v))
		b.reached("a batch that waits for another device", here, v)
		must(rig.Same("what the other device has moved by then", got, want))
		must(b.Expect(b.ctx, "what was moved after that", dst.All(), next))
	}
	must(rig.Refused("a signal of another device's timeline", b.Queue.Submit(b.ctx, &hal.Batch{Signal: at(there, 100)}), hal.ErrInvalidArgument))
	// Its failure comes over, and is not taken for one of this device.
	b.submit(b.Queue, &hal.Batch{Wait: at(there, 100), Signal: at(here, 100)})
	there.Fail(fmt.Errorf("%w: %w", errGiven, hal.ErrDeviceLost))
	must(failed("a batch that waits for another device, which failed,", b.within("that batch", func() error { return here.Wait(b.ctx, 100) })))
	check(b.Device.Lost() == nil, "the loss of another device counts as this one's: %v", b.Device.Lost())
	must(rig.Works(b.ctx, b.Device))
}
