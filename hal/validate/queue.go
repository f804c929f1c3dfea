package validate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/heddle-ml/heddle/hal/driver"
)

// queue runs batches one after the other: it waits for a batch's wait points
// on the host, hands the driver an equivalent batch that signals a timeline of
// the queue's own, checks what the driver did, and signals.
type queue struct {
	d     *device
	in    driver.Queue
	label string

	ctx    context.Context // ends when Close is called
	cancel context.CancelFunc
	shut   context.Context // ends when the driver's queue has closed
	shutUp context.CancelFunc
	done   chan struct{} // closed when the worker has ended

	// sending is held for reading while a batch is sent, so that Close can
	// see the last one.
	sending sync.RWMutex
	jobs    chan *driver.Batch

	// The rest is the worker's.
	own     driver.Timeline // what inner batches signal
	value   uint64
	stuck   error // set when a batch stalled: the driver may still be at it
	shadows []*shadow
	used    int // of shadows, by the batch in hand
}

func newQueue(d *device, in driver.Queue, label string) (*queue, error) {
	q := &queue{d: d, in: in, label: label, done: make(chan struct{}), jobs: make(chan *driver.Batch, driver.MaxQueued)}
	if err := q.renew(); err != nil {
		_ = callErr(d.rec, "Close", in.Close)
		return nil, err
	}
	q.ctx, q.cancel = context.WithCancel(context.Background())
	q.shut, q.shutUp = context.WithCancel(context.Background())
	go q.work()
	return q, nil
}

// renew makes the queue's own timeline, anew after the old one has failed.
func (q *queue) renew() error {
	t, err := call(q.d.rec, "NewTimeline", func() (driver.Timeline, error) { return q.in.NewTimeline(0) })
	if err != nil {
		return err
	}
	q.own, q.value = &timeline{d: q.d, in: t}, 0
	return nil
}

// NewTimeline makes a timeline and checks where it starts.
func (q *queue) NewTimeline(initial uint64) (driver.Timeline, error) {
	if !q.d.isOpen(q) {
		return nil, q.d.rec.add(RuleClosed, "NewTimeline on a queue that was closed")
	}
	in, err := call(q.d.rec, "NewTimeline", func() (driver.Timeline, error) { return q.in.NewTimeline(initial) })
	if err != nil {
		return nil, err
	}
	t := &timeline{d: q.d, in: in, high: initial}
	if v, err := t.look(); err != nil || v != initial {
		return nil, q.d.rec.add(RuleTimeline, "a new timeline that should be at %d is at %d (failure: %v)", initial, v, err)
	}
	return t, nil
}

var errClosed = fmt.Errorf("validate: the queue was closed: %w", driver.ErrClosed)

// Submit checks a batch and enqueues a copy.
func (q *queue) Submit(ctx context.Context, b *driver.Batch) error {
	if !q.d.isOpen(q) {
		return q.d.rec.add(RuleClosed, "Submit to a queue that was closed")
	}
	if err := q.check(b); err != nil {
		return err
	}
	c := &driver.Batch{Wait: slices.Clone(b.Wait), Signal: slices.Clone(b.Signal), Cmds: slices.Clone(b.Cmds)}
	for i := range c.Cmds {
		c.Cmds[i].Args = slices.Clone(c.Cmds[i].Args)
		c.Cmds[i].Dims = slices.Clone(c.Cmds[i].Dims)
	}
	q.sending.RLock()
	defer q.sending.RUnlock()
	if q.ctx.Err() != nil {
		return errClosed
	}
	hold(c, 1)
	select {
	case q.jobs <- c:
		return nil
	case <-q.ctx.Done():
		hold(c, -1)
		return errClosed
	case <-ctx.Done():
		hold(c, -1)
		return ctx.Err()
	}
}

// hold counts a batch, or counts it off, as a user of what its commands name.
func hold(b *driver.Batch, n int64) {
	mem := func(r driver.Region) {
		if m, ok := r.Mem.(*memory); ok {
			m.uses.Add(n)
		}
	}
	for i := range b.Cmds {
		c := &b.Cmds[i]
		if x, ok := c.Exec.(*executable); ok {
			x.uses.Add(n)
		}
		mem(c.Dst)
		mem(c.Src)
		for _, a := range c.Args {
			mem(a)
		}
	}
}

func (q *queue) work() {
	defer close(q.done)
	defer q.freeShadows()
	for {
		var b *driver.Batch
		select {
		case b = <-q.jobs:
		case <-q.ctx.Done():
			// What is left fails, in order.
			select {
			case b = <-q.jobs:
			default:
				return
			}
		}
		err := q.batch(b)
		hold(b, -1) // before the signal: whoever waits may free at once
		if err == nil {
			for _, p := range b.Signal {
				if err = p.T.Signal(p.V); err != nil {
					break
				}
			}
		}
		if err != nil {
			for _, p := range b.Signal {
				p.T.Fail(err)
			}
		}
	}
}

func (q *queue) batch(b *driver.Batch) error {
	if q.ctx.Err() != nil {
		return errClosed
	}
	if q.stuck != nil {
		return q.stuck
	}
	inner := &driver.Batch{}
	for _, p := range b.Wait {
		if err := p.T.Wait(q.ctx, p.V); err != nil {
			if q.ctx.Err() != nil {
				return errClosed
			}
			return fmt.Errorf("waiting for a timeline: %w", err)
		}
		// The driver waits as well, for what is its own, though there is
		// nothing left to wait for: its code for that shall run.
		if t, ok := p.T.(*timeline); ok && t.d == q.d {
			inner.Wait = append(inner.Wait, driver.Point{T: t.in, V: p.V})
		}
	}
	var checks []func() error
	q.used = 0
	for i := range b.Cmds {
		check, err := q.translate(inner, &b.Cmds[i])
		if err != nil {
			return err
		}
		checks = append(checks, check)
	}
	if err := q.do(inner); err != nil {
		return err
	}
	for _, check := range checks {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// translate appends to inner what the driver shall do for c, and returns what
// to check afterwards.
func (q *queue) translate(inner *driver.Batch, c *driver.Cmd) (func() error, error) {
	if c.Op == driver.Run {
		return q.translateRun(inner, c)
	}
	out := *c
	if m, ok := c.Src.Mem.(*memory); ok && c.Op != driver.Fill && c.Op != driver.Upload {
		out.Src = m.region(c.Src.Off, c.Src.Size)
	}
	m, ok := c.Dst.Mem.(*memory)
	if !ok || c.Op == driver.Download {
		inner.Cmds = append(inner.Cmds, out)
		return func() error { return nil }, nil
	}
	out.Dst = m.region(c.Dst.Off, c.Dst.Size)
	inner.Cmds = append(inner.Cmds, out)
	return func() error { return m.checkGuards(c.Op.String()) }, nil
}

// do has the driver execute a batch and waits until it is done.
func (q *queue) do(b *driver.Batch) error {
	q.value++
	own := q.own.(*timeline)
	b.Signal = []driver.Point{{T: own.in, V: q.value}}
	// Should the driver make Submit wait, it is for the queue to be closed.
	err := callErr(q.d.rec, "Submit", func() error { return q.in.Submit(q.ctx, b) })
	// The driver has copied what it needs, or it meets nothing now.
	for i := range b.Cmds {
		clear(b.Cmds[i].Args)
		clear(b.Cmds[i].Dims)
	}
	clear(b.Cmds)
	clear(b.Wait)
	clear(b.Signal)
	if err != nil {
		if q.ctx.Err() != nil {
			return errClosed
		}
		return err
	}
	if err := q.await(own); err != nil {
		if q.ctx.Err() != nil && errors.Is(err, driver.ErrClosed) {
			return errClosed
		}
		if q.stuck == nil {
			q.stuck = q.renew() // what failed stays failed
		}
		return err
	}
	return nil
}

// await waits for the batch in hand: until it is done or has failed, or for
// as long as patience lasts; once the driver's queue has closed, for a moment.
func (q *queue) await(t *timeline) error {
	ctx, cancel := context.WithTimeout(context.Background(), q.d.o.Patience)
	defer cancel()
	defer context.AfterFunc(q.shut, func() { time.AfterFunc(grace/5, cancel) })()
	err := t.Wait(ctx, q.value)
	var v *Violation
	switch {
	case errors.As(err, &v) && v.Rule == RuleStall: // it does not even return
		q.stuck = err
	case err == nil || ctx.Err() == nil || !errors.Is(err, ctx.Err()):
		return err
	case q.shut.Err() != nil:
		q.stuck = q.d.rec.add(RuleStall, "queue %q has closed, and its batch was neither done nor failed", q.label)
	default:
		q.stuck = q.d.rec.add(RuleStall, "queue %q: after %v a batch is neither done nor failed", q.label, q.d.o.Patience)
	}
	return q.stuck
}

// Close closes the driver's queue: that finishes or fails what is running.
// What waits is failed.
func (q *queue) Close() error {
	if err := q.d.closing(q, "a queue"); err != nil {
		return err
	}
	q.cancel()
	err := callErr(q.d.rec, "Close", q.in.Close)
	q.shutUp()
	<-q.done
	// A Submit that was under way meanwhile may have left a batch. Later ones
	// see that the context has ended.
	q.sending.Lock()
	defer q.sending.Unlock()
	for {
		select {
		case b := <-q.jobs:
			hold(b, -1)
			for _, p := range b.Signal {
				p.T.Fail(errClosed)
			}
		default:
			return err
		}
	}
}
