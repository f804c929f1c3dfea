package hal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/heddle-ml/heddle/hal/driver"
)

// The commands; see hal/driver.
const (
	Run      = driver.Run
	Copy     = driver.Copy
	Fill     = driver.Fill
	Upload   = driver.Upload
	Download = driver.Download
)

// Cmd is one command of a batch; Op says which fields matter, as in
// driver.Cmd.
type Cmd struct {
	Op                   driver.CmdOp
	Exec                 *Executable
	Args                 []Region
	Dims                 []int64
	Dst, Src             Region
	Rows                 int64
	DstStride, SrcStride int64
	Host                 []byte
	Value                byte
}

// Point is a value of a timeline.
type Point struct {
	T *Timeline
	V uint64
}

// Batch is a unit of submission: wait for all of Wait, run Cmds in order,
// signal all of Signal. Wait may name any device's timelines, Signal only
// those of the queue's own. Nothing in it is kept after Submit.
type Batch struct {
	Wait, Signal []Point
	Cmds         []Cmd
}

// Queue runs batches in order. Safe for concurrent use.
type Queue struct {
	dev    *Device
	q      driver.Queue
	closed atomic.Bool

	// lock guards the scratch batch below. It is a channel, because a full
	// queue keeps it for long, and whoever waits for it has a context.
	lock chan struct{}
	b    driver.Batch
	args []driver.Region
}

// Device returns the device it belongs to.
func (q *Queue) Device() *Device { return q.dev }

// NewTimeline makes a timeline that the queue's device can wait on and
// signal.
func (q *Queue) NewTimeline(initial uint64) (*Timeline, error) {
	if err := q.ready("timeline"); err != nil {
		return nil, err
	}
	t, err := guard(func() (driver.Timeline, error) { return q.q.NewTimeline(initial) })
	if err == nil && t == nil {
		err = errNothing
	}
	if err != nil {
		return nil, q.dev.err("timeline", err)
	}
	return &Timeline{dev: q.dev, t: t}, nil
}

func (q *Queue) ready(op string) error {
	if err := q.dev.ready(op); err != nil {
		return err
	}
	if q.closed.Load() {
		return q.dev.err(op, errQueueClosed)
	}
	return nil
}

var errQueueClosed = fmt.Errorf("the queue was closed: %w", ErrClosed)

// Submit enqueues a batch. Every argument is checked first: regions inside
// their buffers and of the sizes that the executable's bindings need, symbol
// values in bounds, nothing closed, signals ahead of their timelines. It
// blocks while the queue is full, until ctx ends. It allocates nothing in
// steady state. Failures that come later fail the batch's signal timelines.
func (q *Queue) Submit(ctx context.Context, b *Batch) error {
	if err := q.ready("submit"); err != nil {
		return err
	}
	if b == nil {
		return q.dev.err("submit", invalid("no batch"))
	}
	select {
	case q.lock <- struct{}{}:
	case <-ctx.Done():
		return q.dev.err("submit", ctx.Err())
	}
	err := q.convert(b)
	if err == nil {
		err = q.hand(ctx)
	}
	q.forget()
	<-q.lock
	return q.dev.err("submit", err)
}

// hand gives the scratch batch to the driver.
func (q *Queue) hand(ctx context.Context) (err error) {
	defer recovered(&err)
	return q.q.Submit(ctx, &q.b)
}

// forget empties the scratch batch, so that it keeps nothing alive.
func (q *Queue) forget() {
	clear(q.b.Wait)
	clear(q.b.Signal)
	clear(q.b.Cmds)
	clear(q.args)
	q.b.Wait, q.b.Signal, q.b.Cmds, q.args = q.b.Wait[:0], q.b.Signal[:0], q.b.Cmds[:0], q.args[:0]
}

func (q *Queue) convert(b *Batch) error {
	for i, p := range b.Wait {
		switch {
		case p.T == nil:
			return invalid("wait point %d has no timeline", i)
		case p.T.dev == q.dev:
			q.b.Wait = append(q.b.Wait, driver.Point{T: p.T.t, V: p.V})
		default:
			// Another device's timeline is passed as what this package made
			// of it, so that a failure says whose it is.
			q.b.Wait = append(q.b.Wait, driver.Point{T: p.T, V: p.V})
		}
	}
	for i, p := range b.Signal {
		if err := q.checkSignal(b.Signal[:i], p); err != nil {
			return err
		}
		q.b.Signal = append(q.b.Signal, driver.Point{T: p.T.t, V: p.V})
	}
	n := 0
	for i := range b.Cmds {
		n += len(b.Cmds[i].Args)
	}
	if cap(q.args) < n {
		q.args = make([]driver.Region, 0, n)
	}
	for i := range b.Cmds {
		c, err := q.command(&b.Cmds[i])
		if err != nil {
			return err
		}
		q.b.Cmds = append(q.b.Cmds, c)
	}
	return nil
}

func (q *Queue) checkSignal(before []Point, p Point) error {
	if p.T == nil {
		return invalid("signal point %d has no timeline", len(before))
	}
	if p.T.dev != q.dev {
		return invalid("a timeline of device %s cannot be signalled by a queue of %s: signal one of the queue's own and wait for that", p.T.dev.name, q.dev.name)
	}
	if slices.ContainsFunc(before, func(o Point) bool { return o.T == p.T }) {
		return invalid("a batch signals the same timeline twice")
	}
	v, err := p.T.Value()
	if err != nil {
		return err
	}
	if p.V <= v || p.V-v > driver.MaxPending {
		return invalid("signal %d of a timeline at %d: want 1 to %d ahead", p.V, v, driver.MaxPending)
	}
	return nil
}

func (q *Queue) command(c *Cmd) (driver.Cmd, error) {
	out := driver.Cmd{Op: c.Op, Dims: c.Dims, Rows: c.Rows, DstStride: c.DstStride, SrcStride: c.SrcStride, Host: c.Host, Value: c.Value}
	var err error
	switch c.Op {
	case Run:
		err = q.run(c, &out)
	case Copy:
		err = q.copyRows(c, &out)
	case Fill:
		out.Dst, err = q.region(c.Dst, 1, 0)
	case Upload:
		out.Dst, err = q.region(c.Dst, 1, 0)
		if err == nil && int64(len(c.Host)) != c.Dst.Size {
			err = invalid("upload of %d bytes to %d", len(c.Host), c.Dst.Size)
		}
	case Download:
		out.Src, err = q.region(c.Src, 1, 0)
		if err == nil && int64(len(c.Host)) != c.Src.Size {
			err = invalid("download of %d bytes to %d", c.Src.Size, len(c.Host))
		}
	default:
		err = invalid("unknown command %d", c.Op)
	}
	return out, err
}

func (q *Queue) run(c *Cmd, out *driver.Cmd) error {
	x := c.Exec
	switch {
	case x == nil:
		return invalid("run: no executable")
	case x.dev != q.dev:
		return invalid("run %s: the executable is device %s's, the queue %s's", x.label, x.dev.name, q.dev.name)
	case x.closed.Load():
		return fmt.Errorf("run %s: the executable was closed: %w", x.label, ErrClosed)
	}
	if len(c.Args) != len(x.bindings) {
		return invalid("run %s: %d arguments for %d bindings", x.label, len(c.Args), len(x.bindings))
	}
	if err := x.checkDims(c.Dims); err != nil {
		return err
	}
	start := len(q.args)
	for i, a := range c.Args {
		r, err := q.region(a, 1, 0)
		if err != nil {
			return err
		}
		if bind := &x.bindings[i]; bind.Align > 0 && a.Off%bind.Align != 0 {
			return invalid("run %s: %s %q at offset %d: want a multiple of %d", x.label, bind.Role, bind.Name, a.Off, bind.Align)
		}
		q.args = append(q.args, r)
	}
	out.Exec, out.Args = x.x, q.args[start:len(q.args):len(q.args)]
	return x.checkSizes(c.Args, c.Dims)
}

func (q *Queue) copyRows(c *Cmd, out *driver.Cmd) error {
	if c.Dst.Size != c.Src.Size {
		return invalid("copy of %d bytes to %d", c.Src.Size, c.Dst.Size)
	}
	if c.Rows < 0 || c.DstStride < 0 || c.SrcStride < 0 {
		return invalid("copy of %d rows with strides %d and %d: none may be negative", c.Rows, c.SrcStride, c.DstStride)
	}
	if c.Rows > 1 && c.DstStride < c.Dst.Size {
		return invalid("copy of rows of %d bytes with stride %d: they would overwrite each other", c.Dst.Size, c.DstStride)
	}
	if c.Rows <= 1 && c.Dst.Buf == c.Src.Buf && c.Dst.Off < c.Src.Off+c.Src.Size && c.Src.Off < c.Dst.Off+c.Dst.Size {
		return invalid("copy of %d bytes from offset %d to %d of the same buffer: they overlap", c.Src.Size, c.Src.Off, c.Dst.Off)
	}
	rows := max(1, c.Rows)
	if c.Dst.Size == 0 {
		out.Rows, rows = 1, 1 // however many rows of nothing
	}
	var err error
	if out.Dst, err = q.region(c.Dst, rows, c.DstStride); err != nil {
		return err
	}
	out.Src, err = q.region(c.Src, rows, c.SrcStride)
	return err
}

// region checks rows of a region and converts it.
func (q *Queue) region(r Region, rows, stride int64) (driver.Region, error) {
	switch {
	case r.Buf == nil:
		return driver.Region{}, invalid("a region has no buffer")
	case r.Buf.dev != q.dev:
		return driver.Region{}, invalid("a buffer of device %s on a queue of %s", r.Buf.dev.name, q.dev.name)
	case r.Buf.closed.Load():
		return driver.Region{}, fmt.Errorf("a buffer of %d bytes was closed: %w", r.Buf.size, ErrClosed)
	}
	if r.Off < 0 || r.Size < 0 || r.Off > r.Buf.size || r.Size > r.Buf.size-r.Off ||
		rows > 1 && stride > (r.Buf.size-r.Off-r.Size)/(rows-1) {
		return driver.Region{}, invalid("region %d+%d (%d rows) is not inside a buffer of %d bytes", r.Off, r.Size, rows, r.Buf.size)
	}
	return driver.Region{Mem: r.Buf.m, Off: r.Off, Size: r.Size}, nil
}

// Close waits for what was submitted, or fails it, and releases the queue.
// Calling it again does nothing.
func (q *Queue) Close() error {
	if q.closed.Swap(true) {
		return nil
	}
	return q.dev.err("close", guardErr(q.q.Close))
}

// Timeline is a value that only grows, with a failure that sticks. Safe for
// concurrent use.
type Timeline struct {
	dev *Device
	t   driver.Timeline
}

// A Timeline stands for itself where a queue of another device waits for it.
var _ driver.Timeline = (*Timeline)(nil)

// Value returns the current value, or the failure.
func (t *Timeline) Value() (uint64, error) {
	v, err := t.value()
	return v, t.dev.err("timeline", err)
}

func (t *Timeline) value() (_ uint64, err error) {
	defer recovered(&err)
	return t.t.Value()
}

// Signal raises the value from the host.
func (t *Timeline) Signal(v uint64) error { return t.dev.err("signal", t.signal(v)) }

func (t *Timeline) signal(v uint64) (err error) {
	defer recovered(&err)
	return t.t.Signal(v)
}

// lostGrace is how long a wait may go on for a device that is lost already: its
// driver should fail the timeline at once.
const lostGrace = time.Second

// Wait returns when the value is at least v, the timeline has failed, or ctx
// ends: then its error is returned as it is.
func (t *Timeline) Wait(ctx context.Context, v uint64) error {
	if lost := t.dev.Lost(); lost != nil {
		return t.waitLost(ctx, v, lost)
	}
	err := t.wait(ctx, v)
	if err != nil && ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return ctx.Err()
	}
	return t.dev.err("wait", err)
}

// waitLost waits on a device that is lost, where a driver may take what it
// lost for something that goes on.
func (t *Timeline) waitLost(ctx context.Context, v uint64, lost error) error {
	short, cancel := context.WithTimeout(ctx, lostGrace)
	defer cancel()
	err := t.wait(short, v)
	switch {
	case err == nil:
		return nil // it was reached before
	case ctx.Err() != nil && errors.Is(err, ctx.Err()):
		return ctx.Err()
	case errors.Is(err, context.DeadlineExceeded):
		return lost
	}
	return t.dev.err("wait", err)
}

func (t *Timeline) wait(ctx context.Context, v uint64) (err error) {
	defer recovered(&err)
	return t.t.Wait(ctx, v)
}

// Fail makes err the answer to every present and future call. The first
// failure sticks.
func (t *Timeline) Fail(err error) {
	_ = guardErr(func() error {
		t.t.Fail(err)
		return nil
	})
}
