package plugin

import (
	"context"
	"fmt"
	"maps"
	"runtime"
	"slices"
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

	mu      sync.Mutex // held during calls of a serial device
	queues  atomic.Uint64
	sources sources

	formMu sync.Mutex
	form   *form // of the graph that Supports was asked about last, or nil
}

func (l *library) open(ctx context.Context, number uint32, o driver.OpenOptions, timeout time.Duration) (driver.Device, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	info := &abi.InfoArgs{}
	var pin runtime.Pinner
	defer pin.Unpin()
	var vendor, version [128]byte
	pin.Pin(info)
	info.Vendor, info.Version = bufOf(&pin, vendor[:]), bufOf(&pin, version[:])
	if err := invoke("info", l.table.Info, 0, info); err != nil {
		return nil, err
	}
	if number >= info.DeviceCount {
		return nil, fmt.Errorf("device %d: the library has %d devices here, numbered from 0: %w", number, info.DeviceCount, driver.ErrUnavailable)
	}
	args := &abi.OpenArgs{Device: number, Threads: uint32(max(0, o.Threads))}
	options := make([]abi.Option, 0, len(o.Options))
	for _, k := range slices.Sorted(maps.Keys(o.Options)) {
		options = append(options, abi.Option{Key: strOf(&pin, k), Value: strOf(&pin, o.Options[k])})
	}
	args.Options, args.OptionCount = arrayOf(&pin, options), uint32(len(options))
	if err := invoke("open", l.table.Open, 0, args); err != nil {
		return nil, err
	}
	if args.Handle == 0 {
		return nil, nonsense("open", "no handle")
	}
	d := &device{lib: l, handle: args.Handle, timeout: timeout,
		onnx: args.GraphFormat == uint32(abi.GraphFormatONNX), serial: args.DeviceFlags&uint32(abi.DeviceFlagSerial) != 0}
	var err error
	switch {
	case args.GraphFormat > uint32(abi.GraphFormatONNX):
		err = nonsense("open", "graph format %d is unknown", args.GraphFormat)
	default:
		d.caps, err = d.readCaps()
	}
	if err != nil {
		_ = d.Close() // the reason to report is the other
		return nil, err
	}
	d.drainLogs()
	return d, nil
}

// lock excludes other calls if the device wants that.
func (d *device) lock() (unlock func()) {
	if !d.serial {
		return func() {}
	}
	d.mu.Lock()
	return d.mu.Unlock
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
