package plugin

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/heddle-ml/heddle/hal/abi"
	"github.com/heddle-ml/heddle/hal/driver"
)

// device is an open device of a library.
type device struct {
	lib     *library
	handle  uint64
	caps    *driver.Caps
	onnx    bool // the library wants graphs as ONNX
	serial  bool // and one call at a time
	timeout time.Duration

	queues  atomic.Uint64
	sources sources

	formMu sync.Mutex
	form   *form // of the graph that Supports was asked about last, or nil
}

// lock excludes other calls if the device wants that.
func (d *device) lock() (unlock func()) {
	if !d.serial {
		return func() {}
	}
	d.lib.mu.Lock()
	return d.lib.mu.Unlock
}

// call calls a function of the library about the device or what was made from
// it. A failure is a good time to see what the library logged.
func call[T any](d *device, name string, fn uintptr, self uint64, args *T) error {
	_, err := callStatus(d, name, fn, self, args)
	if err != nil {
		d.drainLogs()
	}
	return err
}

// callStatus is call that tells the status, and leaves the logs alone.
func callStatus[T any](d *device, name string, fn uintptr, self uint64, args *T) (abi.Status, error) {
	defer d.lock()()
	return invokeStatus(name, fn, self, args)
}

func (d *device) Caps() *driver.Caps { return d.caps }

// Close closes the device. What the library logged last is lost.
func (d *device) Close() error {
	d.drainLogs()
	d.forget()
	_, err := callStatus(d, "close", d.lib.table.Close, d.handle, &abi.NoneArgs{})
	return err
}

func (d *device) NewQueue(driver.QueueOptions) (driver.Queue, error) {
	return newQueue(d, d.queues.Add(1)), nil
}
