package fault

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/heddle-ml/heddle/hal/driver"
)

// queue runs batches one after the other: it waits on the host for a batch's
// wait points, has the driver execute the commands, in pieces where a fault
// looks in between, and signals.
type queue struct {
	d  *device
	in driver.Queue
	id int64

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	done   chan struct{} // closed when the worker has ended

	// sending is held for reading while a batch is sent, so that Close sees
	// the last one.
	sending sync.RWMutex
	jobs    chan *driver.Batch

	// The rest is the worker's.
	own   driver.Timeline // what the driver's batches signal; nil: to be made
	value uint64
	late  []driver.Cmd // of a batch that was signalled too early
}

func newQueue(d *device, in driver.Queue) *queue {
	q := &queue{d: d, in: in, id: d.queues.Add(1), done: make(chan struct{}), jobs: make(chan *driver.Batch, driver.MaxQueued)}
	q.ctx, q.cancel = context.WithCancel(context.Background())
	go q.work()
	return q
}

// NewTimeline makes a timeline.
func (q *queue) NewTimeline(initial uint64) (driver.Timeline, error) {
	if err := q.d.gone(); err != nil {
		return nil, q.d.err(err)
	}
	in, err := q.in.NewTimeline(initial)
	if err != nil {
		return nil, q.d.err(err)
	}
	return &timeline{q: q, in: in}, nil
}

// struck counts a batch that faults of a kind are about and returns the one
// that strikes it.
func (q *queue) struck(k Kind, b *driver.Batch) *armed {
	for _, f := range q.d.faults {
		if f.Kind == k && f.matchesBatch(b) && f.strikes() {
			return f
		}
	}
	return nil
}

// matchesBatch reports whether a batch runs a graph that f is about.
func (f *Fault) matchesBatch(b *driver.Batch) bool {
	if f.Op == "" && f.Node == "" {
		return true
	}
	return slices.ContainsFunc(b.Cmds, func(c driver.Cmd) bool {
		x, ok := c.Exec.(*executable)
		return ok && f.matches(x.g)
	})
}

// Submit enqueues a copy of a batch, unless a fault strikes.
func (q *queue) Submit(ctx context.Context, b *driver.Batch) error {
	if err := q.d.gone(); err != nil {
		return q.d.err(err)
	}
	if f := q.struck(Panic, b); f != nil {
		panic(f.failure("the driver gives up", nil))
	}
	if f := q.struck(RefuseSubmit, b); f != nil {
		return q.d.err(f.failure("the queue is busy", driver.ErrUnavailable))
	}
	c := &driver.Batch{Wait: slices.Clone(b.Wait), Signal: slices.Clone(b.Signal), Cmds: slices.Clone(b.Cmds)}
	for i := range c.Cmds {
		c.Cmds[i].Args = slices.Clone(c.Cmds[i].Args)
		c.Cmds[i].Dims = slices.Clone(c.Cmds[i].Dims)
	}
	q.sending.RLock()
	defer q.sending.RUnlock()
	if q.ctx.Err() != nil {
		return q.d.err(errClosed)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case q.jobs <- c:
		return nil
	case <-q.ctx.Done():
		return q.d.err(errClosed)
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (q *queue) work() {
	defer close(q.done)
	for {
		select {
		case b := <-q.jobs:
			q.batch(b)
		case <-q.ctx.Done():
			return
		}
	}
}

// batch executes a batch and settles its signal points.
func (q *queue) batch(b *driver.Batch) {
	q.catchUp()
	if err := q.d.gone(); err != nil {
		q.fail(b, err)
		return
	}
	if f := q.struck(Lost, b); f != nil {
		q.d.lose(f.failure("the device was lost", driver.ErrDeviceLost))
		q.fail(b, q.d.gone())
		return
	}
	if f := q.struck(Revive, b); f != nil {
		q.blink(b, f.failure("the device was lost", driver.ErrDeviceLost))
		return
	}
	var err error
	if q.struck(IgnoreWait, b) == nil {
		err = q.wait(b)
	}
	if err == nil && q.struck(EarlySignal, b) != nil {
		q.late = postponed(b.Cmds)
	} else if err == nil {
		err = q.execute(b.Cmds)
	}
	if err != nil && q.struck(SwallowError, b) != nil {
		err = nil
	}
	if err == nil && q.struck(NeverSignal, b) != nil {
		return
	}
	for _, p := range b.Signal {
		if err != nil {
			break
		}
		err = p.T.Signal(p.V)
	}
	if err != nil {
		q.fail(b, err)
	}
}

func (q *queue) fail(b *driver.Batch, err error) {
	err = q.d.err(err)
	for _, p := range b.Signal {
		p.T.Fail(err)
	}
}

// wait waits for the batch's wait points, on the host.
func (q *queue) wait(b *driver.Batch) error {
	for _, p := range b.Wait {
		var err error
		if t, ok := p.T.(*timeline); ok {
			err = t.wait(q.ctx, p.V) // the contexts of callers are ignored, not this one
		} else {
			err = p.T.Wait(q.ctx, p.V)
		}
		if err != nil {
			if q.ctx.Err() != nil {
				return errClosed
			}
			return fmt.Errorf("fault: waiting for a timeline: %w", err)
		}
	}
	return nil
}

// execute executes commands. Runs that a fault strikes are executed by
// themselves.
func (q *queue) execute(cmds []driver.Cmd) error {
	var next []driver.Cmd
	flush := func() error {
		if len(next) == 0 {
			return nil
		}
		err := q.do(next)
		next = next[:0]
		return err
	}
	for _, c := range cmds {
		c, x, err := inner(c)
		if err != nil {
			return errors.Join(flush(), err)
		}
		if c.Op == driver.Copy && c.Rows > 1 && q.d.struck(CopyOneRow, nil) != nil {
			c.Rows = 1
		}
		if x != nil {
			if x.in == nil {
				continue // it computes nothing
			}
			if hits := q.d.hits(x); len(hits) > 0 || x.wrong {
				if err := flush(); err != nil {
					return err
				}
				if err := (&run{q: q, x: x, c: c, at: x.at(c.Dims)}).do(hits); err != nil {
					return err
				}
				continue
			}
		}
		next = append(next, c)
	}
	return flush()
}

// inner translates a command into the driver's own objects; x is what a Run
// runs.
func inner(c driver.Cmd) (_ driver.Cmd, x *executable, err error) {
	if c.Op == driver.Run {
		x, _ = c.Exec.(*executable)
		if x == nil {
			return c, nil, errors.New("fault: run of no executable of this device")
		}
		c.Exec = x.in
	}
	args := make([]driver.Region, len(c.Args))
	for i, a := range c.Args {
		if args[i], err = actual(a); err != nil {
			return c, nil, err
		}
	}
	c.Args = args
	if c.Dst, err = actual(c.Dst); err != nil {
		return c, nil, err
	}
	c.Src, err = actual(c.Src)
	return c, x, err
}

// do has the driver execute commands and waits until it has.
func (q *queue) do(cmds []driver.Cmd) error {
	if q.ctx.Err() != nil {
		return errClosed
	}
	if q.own == nil {
		t, err := q.in.NewTimeline(0)
		if err != nil {
			return err
		}
		q.own, q.value = t, 0
	}
	q.value++
	err := q.in.Submit(q.ctx, &driver.Batch{Cmds: cmds, Signal: []driver.Point{{T: q.own, V: q.value}}})
	if err == nil {
		// What runs is let run: Close waits for it.
		err = q.own.Wait(context.Background(), q.value)
	}
	if err != nil {
		q.own = nil // what failed stays failed
		if q.ctx.Err() != nil && errors.Is(err, context.Canceled) {
			return errClosed
		}
	}
	return err
}

// postponed copies commands for later: host memory is the caller's own again
// by then.
func postponed(cmds []driver.Cmd) []driver.Cmd {
	out := slices.Clone(cmds)
	for i := range out {
		out[i].Host = slices.Clone(out[i].Host)
	}
	return out
}

// catchUp does the work that was signalled too early. Its memory may be freed
// by now.
func (q *queue) catchUp() {
	if late := q.late; late != nil {
		q.late = nil
		_ = q.execute(late)
	}
}

// blink fails a batch as a lost device does, and has its timelines work again
// after that.
func (q *queue) blink(b *driver.Batch, err error) {
	err = q.d.err(err)
	for _, p := range b.Signal {
		t, ok := p.T.(*timeline)
		if !ok {
			p.T.Fail(err)
			continue
		}
		t.mu.Lock()
		if v, failed := t.in.Value(); failed == nil {
			if fresh, e := t.q.in.NewTimeline(v); e == nil {
				defer t.in.Fail(err)
				t.in = fresh
			}
		}
		t.mu.Unlock()
	}
}

// Close lets the running batch finish and fails what waits; see Abandon.
func (q *queue) Close() error {
	return q.d.closing(func() error {
		q.cancel()
		abandon := q.d.struck(Abandon, nil) != nil
		<-q.done
		// A Submit that was under way may have left a batch; later ones see
		// that the context has ended.
		q.sending.Lock()
		defer q.sending.Unlock()
		for {
			select {
			case b := <-q.jobs:
				if !abandon {
					q.fail(b, errClosed)
				}
			default:
				return q.in.Close()
			}
		}
	})
}

// timeline is a timeline of the driver's, as its device's faults have it.
type timeline struct {
	q *queue

	mu sync.Mutex
	in driver.Timeline // another one after Revive
}

func (t *timeline) inner() driver.Timeline {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.in
}

// Value returns the value, or the failure.
func (t *timeline) Value() (uint64, error) {
	if err := t.q.d.gone(); err != nil {
		return 0, t.q.d.err(err)
	}
	return t.inner().Value()
}

// Signal raises the value.
func (t *timeline) Signal(v uint64) error {
	if err := t.q.d.gone(); err != nil {
		return t.q.d.err(err)
	}
	return t.inner().Signal(v)
}

// Wait waits, whatever becomes of ctx if IgnoreCancel strikes.
func (t *timeline) Wait(ctx context.Context, v uint64) error {
	if t.q.d.struck(IgnoreCancel, nil) != nil {
		ctx = t.q.d.life
		if err := t.wait(ctx, v); err == nil || ctx.Err() == nil {
			return err
		}
		return errClosed
	}
	return t.wait(ctx, v)
}

func (t *timeline) wait(ctx context.Context, v uint64) error {
	d := t.q.d
	if !d.hasAny(Lost) {
		return t.inner().Wait(ctx, v)
	}
	if err := d.gone(); err != nil {
		return d.err(err)
	}
	either, stop := context.WithCancel(ctx)
	defer stop()
	defer context.AfterFunc(d.there, stop)()
	err := t.inner().Wait(either, v)
	if gone := d.gone(); err != nil && gone != nil && ctx.Err() == nil {
		return d.err(gone)
	}
	return err
}

// Fail makes err the answer to every call.
func (t *timeline) Fail(err error) { t.inner().Fail(err) }

// sleep waits for a while, or until the device is closed.
func (d *device) sleep(t time.Duration) {
	select {
	case <-time.After(t):
	case <-d.life.Done():
	}
}

// hits returns the faults that strike a run.
func (d *device) hits(x *executable) []*armed {
	var out []*armed
	for _, f := range d.faults {
		if r, ok := runs[f.Kind]; ok && f.matches(x.g) && (r.on == nil || r.on(x)) && f.strikes() {
			out = append(out, f)
		}
	}
	return out
}
