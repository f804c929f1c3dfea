package hal

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

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
// signal all of Signal. Nothing in it is kept after Submit.
type Batch struct {
	Wait, Signal []Point
	Cmds         []Cmd
}

// Queue runs batches in order. Safe for concurrent use.
type Queue struct {
	dev    *Device
	q      driver.Queue
	closed atomic.Bool

	mu   sync.Mutex // guards the scratch batch below
	b    driver.Batch
	args []driver.Region
}

// Device returns the device it belongs to.
func (q *Queue) Device() *Device { return q.dev }

// NewTimeline makes a timeline that the queue's device can wait on and
// signal.
func (q *Queue) NewTimeline(initial uint64) (*Timeline, error) {
	if q.closed.Load() {
		return nil, q.dev.err("timeline", ErrClosed)
	}
	t, err := q.q.NewTimeline(initial)
	if err != nil {
		return nil, q.dev.err("timeline", err)
	}
	return &Timeline{dev: q.dev, t: t}, nil
}

// Submit enqueues a batch. Every argument is checked first: regions inside
// their buffers and large enough for the executable's bindings, symbol values
// in bounds, nothing closed, signals ahead of their timelines. It allocates nothing in steady state. Failures that
// come later fail the batch's signal timelines.
func (q *Queue) Submit(ctx context.Context, b *Batch) error {
	if err := q.dev.ready("submit"); err != nil {
		return err
	}
	if q.closed.Load() {
		return q.dev.err("submit", ErrClosed)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.convert(b); err != nil {
		return q.dev.err("submit", err)
	}
	err := q.q.Submit(ctx, &q.b)
	clear(q.b.Cmds) // keep nothing alive
	clear(q.args)
	if err != nil {
		return q.dev.err("submit", err)
	}
	return nil
}

func (q *Queue) convert(b *Batch) error {
	q.b.Wait, q.b.Signal, q.b.Cmds, q.args = q.b.Wait[:0], q.b.Signal[:0], q.b.Cmds[:0], q.args[:0]
	for _, p := range b.Wait {
		if p.T == nil {
			return invalid("a wait point has no timeline")
		}
		q.b.Wait = append(q.b.Wait, driver.Point{T: p.T.t, V: p.V})
	}
	for _, p := range b.Signal {
		if p.T == nil {
			return invalid("a signal point has no timeline")
		}
		v, err := p.T.t.Value()
		if err != nil {
			return err
		}
		if p.V <= v || p.V-v > driver.MaxPending {
			return invalid("signal %d of a timeline at %d: want 1 to %d ahead", p.V, v, driver.MaxPending)
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

func (q *Queue) command(c *Cmd) (driver.Cmd, error) {
	out := driver.Cmd{Op: c.Op, Dims: c.Dims, Rows: c.Rows, DstStride: c.DstStride, SrcStride: c.SrcStride, Host: c.Host, Value: c.Value}
	var err error
	switch c.Op {
	case Run:
		err = q.run(c, &out)
	case Copy:
		rows := max(1, c.Rows)
		if c.Dst.Size != c.Src.Size || c.Rows < 0 || c.DstStride < 0 || c.SrcStride < 0 {
			return out, invalid("copy of %d bytes to %d, %d rows", c.Src.Size, c.Dst.Size, c.Rows)
		}
		if out.Dst, err = q.region(c.Dst, rows, c.DstStride); err == nil {
			out.Src, err = q.region(c.Src, rows, c.SrcStride)
		}
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
	if x == nil || x.dev != q.dev || x.closed.Load() {
		return invalid("run: no executable, a closed one, or another device's")
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

// region checks rows of a region and converts it.
func (q *Queue) region(r Region, rows, stride int64) (driver.Region, error) {
	if r.Buf == nil || r.Buf.closed.Load() {
		return driver.Region{}, invalid("no buffer, or a closed one")
	}
	if r.Buf.dev != q.dev {
		return driver.Region{}, invalid("a buffer of device %s on a queue of %s", r.Buf.dev.name, q.dev.name)
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
	return q.dev.err("close", q.q.Close())
}

// Timeline is a value that only grows, with a failure that sticks. Safe for
// concurrent use.
type Timeline struct {
	dev *Device
	t   driver.Timeline
}

// Value returns the current value, or the failure.
func (t *Timeline) Value() (uint64, error) {
	v, err := t.t.Value()
	return v, t.err("timeline", err)
}

// Signal raises the value from the host.
func (t *Timeline) Signal(v uint64) error { return t.err("signal", t.t.Signal(v)) }

// Wait returns when the value is at least v, the timeline has failed, or ctx
// ends.
func (t *Timeline) Wait(ctx context.Context, v uint64) error {
	return t.err("wait", t.t.Wait(ctx, v))
}

// Fail makes err the answer to every call.
func (t *Timeline) Fail(err error) { t.t.Fail(err) }

func (t *Timeline) err(op string, err error) error {
	var he *Error
	if err == nil || errors.As(err, &he) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return t.dev.err(op, err)
}
