package driver

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"unsafe"
)

// PlaneAlign is the alignment of each plane of an argument, in bytes.
const PlaneAlign = 64

// HostMemory is Memory that the Go runtime owns. Offset 0 is aligned to
// PlaneAlign bytes.
//
// Safe for concurrent use.
type HostMemory struct {
	spec  MemSpec
	bytes atomic.Pointer[[]byte] // nil once freed
}

// NewHostMemory allocates zeroed memory. The caller has checked the size
// against what the machine has.
func NewHostMemory(s MemSpec) *HostMemory {
	raw := make([]byte, s.Size+PlaneAlign)
	skip := int64(-uintptr(unsafe.Pointer(unsafe.SliceData(raw))) % PlaneAlign)
	b := raw[skip : skip+s.Size : skip+s.Size]
	m := &HostMemory{spec: s}
	m.bytes.Store(&b)
	return m
}

// Spec returns what was asked for.
func (m *HostMemory) Spec() MemSpec { return m.spec }

// Bytes returns the memory, false once it is freed.
func (m *HostMemory) Bytes() ([]byte, bool) {
	if b := m.bytes.Load(); b != nil {
		return *b, true
	}
	return nil, false
}

// Free lets the memory go, even while m itself is still referred to. A
// command that runs meanwhile keeps what it holds. Calling it again does
// nothing.
func (m *HostMemory) Free() error {
	m.bytes.Store(nil)
	return nil
}

// HostTimeline is a Timeline in host memory. Waiting allocates nothing once
// as many goroutines have waited before.
type HostTimeline struct {
	mu      sync.Mutex
	value   uint64
	err     error
	waiters []waiter
}

type waiter struct {
	value uint64
	ready chan struct{} // capacity 1
}

var wakers = sync.Pool{New: func() any { return make(chan struct{}, 1) }}

// NewHostTimeline returns a timeline at an initial value.
func NewHostTimeline(initial uint64) *HostTimeline { return &HostTimeline{value: initial} }

// Value returns the current value, or the failure.
func (t *HostTimeline) Value() (uint64, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.value, t.err
}

// Signal raises the value.
func (t *HostTimeline) Signal(v uint64) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err != nil {
		return t.err
	}
	if v <= t.value {
		return fmt.Errorf("driver: a timeline at %d cannot be signalled to %d: values only grow", t.value, v)
	}
	t.value = v
	t.wake()
	return nil
}

// wake releases the waiters that have nothing left to wait for.
func (t *HostTimeline) wake() {
	keep := t.waiters[:0]
	for _, w := range t.waiters {
		if t.err != nil || w.value <= t.value {
			w.ready <- struct{}{}
		} else {
			keep = append(keep, w)
		}
	}
	clear(t.waiters[len(keep):])
	t.waiters = keep
}

// Wait returns when the value is at least v, the timeline fails or ctx ends.
func (t *HostTimeline) Wait(ctx context.Context, v uint64) error {
	t.mu.Lock()
	if t.err != nil || v <= t.value {
		defer t.mu.Unlock()
		return t.err
	}
	if err := ctx.Err(); err != nil {
		t.mu.Unlock()
		return err
	}
	ready := wakers.Get().(chan struct{})
	t.waiters = append(t.waiters, waiter{v, ready})
	t.mu.Unlock()
	select {
	case <-ready:
		wakers.Put(ready)
		t.mu.Lock()
		defer t.mu.Unlock()
		if v <= t.value {
			return nil // reached before any failure that came later
		}
		return t.err
	case <-ctx.Done():
		t.mu.Lock()
		i := slices.IndexFunc(t.waiters, func(w waiter) bool { return w.ready == ready })
		if i >= 0 {
			t.waiters = slices.Delete(t.waiters, i, i+1)
		}
		t.mu.Unlock()
		if i < 0 {
			<-ready // woken meanwhile: leave the channel empty for its next user
		}
		wakers.Put(ready)
		return ctx.Err()
	}
}

// Fail makes every present and future call return err.
func (t *HostTimeline) Fail(err error) {
	if err == nil {
		err = errors.New("driver: failed without a reason")
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err == nil {
		t.err = err
		t.wake()
	}
}

// HostQueue runs batches one after the other on a goroutine of its own. Its
// driver supplies the function that executes Run commands; copies between
// host-visible memories are done here. Use it where calls block or the device is the host.
type HostQueue struct {
	run    func(ctx context.Context, c *Cmd) error
	ctx    context.Context // ends when the queue is closed
	cancel context.CancelFunc

	mu     sync.Mutex
	cond   sync.Cond
	ring   []*job // waiting, oldest first
	free   []*job
	closed bool
	done   chan struct{}
}

// job is a batch with storage of its own, reused from batch to batch.
type job struct {
	b    Batch
	args []Region
	dims []int64
}

// MaxQueued is how many batches a HostQueue holds before Submit waits.
const MaxQueued = 256

// NewHostQueue starts a queue. run executes one Run command and returns when
// it is done; it is called from one goroutine, and its context ends when the queue is
// closed.
func NewHostQueue(run func(ctx context.Context, c *Cmd) error) *HostQueue {
	q := &HostQueue{run: run, done: make(chan struct{})}
	q.ctx, q.cancel = context.WithCancel(context.Background())
	q.cond.L = &q.mu
	go q.loop()
	return q
}

// NewTimeline returns a HostTimeline.
func (q *HostQueue) NewTimeline(initial uint64) (Timeline, error) {
	return NewHostTimeline(initial), nil
}

// Submit enqueues a copy of b. When MaxQueued batches wait already it blocks
// until one is done or ctx ends.
func (q *HostQueue) Submit(ctx context.Context, b *Batch) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.ring) >= MaxQueued && !q.closed {
		stop := context.AfterFunc(ctx, func() {
			q.mu.Lock()
			defer q.mu.Unlock()
			q.cond.Broadcast()
		})
		defer stop()
		for len(q.ring) >= MaxQueued && !q.closed && ctx.Err() == nil {
			q.cond.Wait()
		}
	}
	if q.closed {
		return errQueueClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	var j *job
	if n := len(q.free); n > 0 {
		j, q.free = q.free[n-1], q.free[:n-1]
	} else {
		j = new(job)
	}
	j.set(b)
	q.ring = append(q.ring, j)
	q.cond.Broadcast()
	return nil
}

func (j *job) set(b *Batch) {
	j.b.Wait = append(j.b.Wait[:0], b.Wait...)
	j.b.Signal = append(j.b.Signal[:0], b.Signal...)
	j.b.Cmds = append(j.b.Cmds[:0], b.Cmds...)
	j.args, j.dims = j.args[:0], j.dims[:0]
	for i := range b.Cmds {
		j.args = append(j.args, b.Cmds[i].Args...)
		j.dims = append(j.dims, b.Cmds[i].Dims...)
	}
	a, d := j.args, j.dims
	for i := range j.b.Cmds {
		c := &j.b.Cmds[i]
		c.Args, a = a[:len(c.Args):len(c.Args)], a[len(c.Args):]
		c.Dims, d = d[:len(c.Dims):len(c.Dims)], d[len(c.Dims):]
	}
}

// drop forgets what the job refers to, so that the collector can have it.
func (j *job) drop() {
	clear(j.b.Wait)
	clear(j.b.Signal)
	clear(j.b.Cmds)
	clear(j.args)
}

func (q *HostQueue) loop() {
	defer close(q.done)
	for {
		q.mu.Lock()
		for len(q.ring) == 0 && !q.closed {
			q.cond.Wait()
		}
		if len(q.ring) == 0 {
			q.mu.Unlock()
			return
		}
		j := q.ring[0]
		copy(q.ring, q.ring[1:])
		q.ring[len(q.ring)-1] = nil
		q.ring = q.ring[:len(q.ring)-1]
		q.cond.Broadcast()
		q.mu.Unlock()

		if err := q.batch(&j.b); err != nil {
			for _, p := range j.b.Signal {
				p.T.Fail(err)
			}
		}
		j.drop()
		q.mu.Lock()
		q.free = append(q.free, j)
		q.mu.Unlock()
	}
}

// batch executes one batch. A panic of the driver's code, in a command or in
// memory and timelines of its own, fails the batch: the process, and the
// other devices in it, go on.
func (q *HostQueue) batch(b *Batch) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("driver: the device's code panicked: %v: %w", p, ErrDeviceLost)
		}
	}()
	if q.ctx.Err() != nil {
		return errQueueClosed
	}
	for _, p := range b.Wait {
		if err := p.T.Wait(q.ctx, p.V); err != nil {
			return q.cause("waiting for a timeline", err)
		}
	}
	for i := range b.Cmds {
		if err := q.command(&b.Cmds[i]); err != nil {
			return q.cause(b.Cmds[i].Op.String(), err)
		}
	}
	for _, p := range b.Signal {
		if err := p.T.Signal(p.V); err != nil {
			return err
		}
	}
	return nil
}

var errQueueClosed = fmt.Errorf("driver: the queue was closed: %w", ErrClosed)

// cause says what a batch failed in. What the queue's own context broke off
// was closed, not cancelled: a waiter must not take it for its own context.
func (q *HostQueue) cause(doing string, err error) error {
	if q.ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return fmt.Errorf("%w during %s", errQueueClosed, doing)
	}
	return fmt.Errorf("driver: %s: %w", doing, err)
}

func (q *HostQueue) command(c *Cmd) error {
	switch c.Op {
	case Run:
		return q.run(q.ctx, c)
	case Copy:
		return CopyRows(c)
	case Fill:
		dst, err := c.Dst.Bytes()
		if err != nil {
			return err
		}
		for i := range dst {
			dst[i] = c.Value
		}
		return nil
	case Upload:
		dst, err := c.Dst.Bytes()
		if err == nil {
			copy(dst, c.Host)
		}
		return err
	case Download:
		src, err := c.Src.Bytes()
		if err == nil {
			copy(c.Host, src)
		}
		return err
	}
	return fmt.Errorf("no such command: %w", ErrUnsupported)
}

// Close lets the running command finish, fails what waits, and stops the
// goroutine. Calling it again does nothing.
func (q *HostQueue) Close() error {
	q.mu.Lock()
	q.closed = true
	q.cancel()
	q.cond.Broadcast()
	q.mu.Unlock()
	<-q.done
	return nil
}

// Bytes returns the region as the host sees it.
func (r Region) Bytes() ([]byte, error) {
	b, ok := r.Mem.Bytes()
	if !ok {
		return nil, fmt.Errorf("driver: memory is not visible to the host, or freed: %w", ErrUnsupported)
	}
	if r.Off < 0 || r.Size < 0 || r.Off > int64(len(b)) || r.Size > int64(len(b))-r.Off {
		return nil, fmt.Errorf("driver: region %d+%d is not inside memory of %d bytes", r.Off, r.Size, len(b))
	}
	return b[r.Off : r.Off+r.Size : r.Off+r.Size], nil
}

// CopyRows executes a Copy command between host-visible memories.
func CopyRows(c *Cmd) error {
	for i := int64(0); i < max(1, c.Rows); i++ {
		d, s := c.Dst, c.Src
		d.Off += i * c.DstStride
		s.Off += i * c.SrcStride
		dst, err := d.Bytes()
		if err != nil {
			return err
		}
		src, err := s.Bytes()
		if err != nil {
			return err
		}
		copy(dst, src)
	}
	return nil
}
