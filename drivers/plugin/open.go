package plugin

import (
	"context"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"time"

	"github.com/heddle-ml/heddle/hal/abi"
	"github.com/heddle-ml/heddle/hal/driver"
)

// open opens a device.
func (l *library) open(ctx context.Context, number uint32, o driver.OpenOptions, timeout time.Duration) (driver.Device, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	args, note, err := l.call(number, o)
	if err != nil {
		return nil, err
	}
	if args.Handle == 0 {
		return nil, nonsense("open", "no handle")
	}
	d := &device{lib: l, handle: args.Handle, timeout: timeout,
		onnx: args.GraphFormat == uint32(abi.GraphFormatONNX), serial: args.DeviceFlags&uint32(abi.DeviceFlagSerial) != 0}
	if args.GraphFormat > uint32(abi.GraphFormatONNX) {
		err = nonsense("open", "graph format %d is unknown", args.GraphFormat)
	} else {
		d.caps, err = d.readCaps(note)
	}
	if err != nil {
		_ = d.Close() // the reason to report is the other
		return nil, err
	}
	d.drainLogs()
	return d, nil
}

// call makes the library's own calls for opening a device, one at a time.
func (l *library) call(number uint32, o driver.OpenOptions) (args *abi.OpenArgs, note string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	count, note, err := l.info()
	if err != nil {
		return nil, "", err
	}
	if number >= count {
		return nil, "", fmt.Errorf("device %d: the library has %d devices here, numbered from 0: %w", number, count, driver.ErrUnavailable)
	}
	if err := l.probe(number); err != nil {
		return nil, "", err
	}
	var pin runtime.Pinner
	defer pin.Unpin()
	options := make([]abi.Option, 0, len(o.Options))
	for _, k := range slices.Sorted(maps.Keys(o.Options)) {
		options = append(options, abi.Option{Key: strOf(&pin, k), Value: strOf(&pin, o.Options[k])})
	}
	args = &abi.OpenArgs{Device: number, Threads: uint32(max(0, o.Threads)), Options: arrayOf(&pin, options), OptionCount: uint32(len(options))}
	return args, note, invoke("open", l.table.Open, 0, args)
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

// probe asks whether a device is here: the reason why not is better than what
// opening it would say.
func (l *library) probe(number uint32) error {
	var pin runtime.Pinner
	defer pin.Unpin()
	model := make([]byte, infoRoom)
	args := &abi.ProbeArgs{Device: number, Model: bufOf(&pin, model)}
	err := invoke("probe", l.table.Probe, 0, args)
	if err == nil && args.Kind > uint32(abi.KindNull) {
		err = nonsense("probe", "kind %d of devices is unknown", args.Kind)
	}
	return err
}
