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
	count, note, err := l.info()
	if err != nil {
		return nil, err
	}
	if number >= count {
		return nil, fmt.Errorf("device %d: the library has %d devices here, numbered from 0: %w", number, count, driver.ErrUnavailable)
	}
	var pin runtime.Pinner
	defer pin.Unpin()
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
	switch {
	case args.GraphFormat > uint32(abi.GraphFormatONNX):
		err = nonsense("open", "graph format %d is unknown", args.GraphFormat)
	default:
		d.caps, err = d.readCaps(note)
	}
	if err != nil {
		_ = d.Close() // the reason to report is the other
		return nil, err
	}
	d.drainLogs()
	return d, nil
}

// infoRoom is the room for a vendor's name and for a version.
const infoRoom = 1024

// info asks how many devices there are, and whose library it is.
func (l *library) info() (devices uint32, note string, err error) {
	var pin runtime.Pinner
	defer pin.Unpin()
	vendor, version := make([]byte, infoRoom), make([]byte, infoRoom)
	args := &abi.InfoArgs{Vendor: bufOf(&pin, vendor), Version: bufOf(&pin, version)}
	if err := invoke("info", l.table.Info, 0, args); err != nil {
		return 0, "", err
	}
	if args.Vendor.Len > infoRoom || args.Version.Len > infoRoom {
		return 0, "", nonsense("info", "names of %d and %d bytes in room of %d", args.Vendor.Len, args.Version.Len, infoRoom)
	}
	return args.DeviceCount, fmt.Sprintf("library of %s, version %s", printable(vendor[:args.Vendor.Len]), printable(version[:args.Version.Len])), nil
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
