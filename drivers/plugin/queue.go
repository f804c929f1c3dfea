package plugin

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"unsafe"

	"github.com/heddle-ml/heddle/drivers/internal/dl"
	"github.com/heddle-ml/heddle/hal/abi"
	"github.com/heddle-ml/heddle/hal/driver"
)

// queue runs batches on a goroutine of its own, for which the library's calls
// block. What a run needs is kept from run to run, pinned, so that running
// allocates nothing.
type queue struct {
	*driver.HostQueue
	dev    *device
	number uint64

	pin    runtime.Pinner
	frame  *frame
	args   []abi.Arg
	dims   []int64
	stop   func() bool // of the link between the queue's context and frame.cancel
	unpins sync.Once
}

// frame is what the library sees of a run. It is pinned.
type frame struct {
	run    abi.RunArgs
	text   [messageRoom]byte
	cancel uint32
	call   [2]uintptr // self and the address of run
}

func newQueue(d *device, number uint64) *queue {
	q := &queue{dev: d, number: number, frame: new(frame)}
	q.pin.Pin(q.frame)
	q.HostQueue = driver.NewHostQueue(q.command)
	return q
}

// Submit enqueues a batch. Commands on memory that the host does not see are
// the library's, too.
func (q *queue) Submit(ctx context.Context, b *driver.Batch) error {
	for i := range b.Cmds {
		if q.hidden(&b.Cmds[i]) {
			b = q.translate(b)
			break
		}
	}
	return q.HostQueue.Submit(ctx, b)
}

// Close ends the queue; a run that is under way is told to stop.
func (q *queue) Close() error {
	err := q.HostQueue.Close()
	q.unpins.Do(func() {
		if q.stop != nil {
			q.stop()
		}
		q.pin.Unpin()
	})
	return err
}

// command executes a Run command, on the queue's goroutine. ctx is the same
// every time.
func (q *queue) command(ctx context.Context, c *driver.Cmd) error {
	if t, ok := c.Exec.(*transfer); ok {
		return q.transfer(&t.cmd)
	}
	x, ok := c.Exec.(*executable)
	switch {
	case !ok || x.dev != q.dev:
		return fmt.Errorf("an executable of another device: %w", driver.ErrUnsupported)
	case x.closed.Load():
		return fmt.Errorf("the executable was closed: %w", driver.ErrClosed)
	}
	if q.stop == nil {
		word := &q.frame.cancel
		q.stop = context.AfterFunc(ctx, func() { setWord(word) })
	}
	if err := q.fill(c); err != nil {
		return err
	}
	f := q.frame
	f.run.Head = abi.Head{Size: uint32(unsafe.Sizeof(f.run)), Text: address(&f.text[0]), TextCap: messageRoom}
	f.run.TimeoutNS = uint64(q.dev.timeout)
	f.run.Cancel, f.run.Queue = address(&f.cancel), q.number
	f.call = [2]uintptr{uintptr(x.handle), address(&f.run)}
	if q.dev.serial {
		q.dev.lib.mu.Lock()
	}
	status := abi.Status(int32(dl.Call(q.dev.lib.table.Run, f.call[:]...)))
	if q.dev.serial {
		q.dev.lib.mu.Unlock()
	}
	if status == abi.StatusOK {
		return nil
	}
	err := statusError("run", status, f.text[:], f.run.Head.TextLen)
	q.dev.drainLogs()
	if errors.Is(err, context.Canceled) && ctx.Err() == nil {
		return nonsense("run", "it says that it was cancelled, and nobody did")
	}
	return err
}

// fill puts a command's arguments where the library sees them.
func (q *queue) fill(c *driver.Cmd) error {
	if len(c.Args) > cap(q.args) {
		q.args = make([]abi.Arg, 0, 2*len(c.Args))
		q.pin.Pin(unsafe.SliceData(q.args))
	}
	if len(c.Dims) > cap(q.dims) {
		q.dims = make([]int64, 0, 2*len(c.Dims))
		q.pin.Pin(unsafe.SliceData(q.dims))
	}
	q.args, q.dims = q.args[:len(c.Args)], append(q.dims[:0], c.Dims...)
	for i, r := range c.Args {
		m, err := q.dev.memoryOf(r)
		if err != nil {
			return fmt.Errorf("argument %d: %w", i, err)
		}
		a := abi.Arg{Memory: m.handle, Offset: uint64(r.Off), Size: uint64(r.Size)}
		if m.base != 0 {
			a.Bytes = m.base + uintptr(r.Off)
		}
		q.args[i] = a
	}
	q.frame.run.Args, q.frame.run.ArgCount = address(unsafe.SliceData(q.args)), uint32(len(q.args))
	q.frame.run.Dims, q.frame.run.DimCount = address(unsafe.SliceData(q.dims)), uint32(len(q.dims))
	return nil
}
