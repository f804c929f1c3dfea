package hal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/hal/driver"
	"github.com/heddle-ml/heddle/hal/internal/wellformed"
)

// Types shared with drivers.
type (
	// Caps describes a device.
	Caps = driver.Caps
	// Verdict is a device's answer for one node.
	Verdict = driver.Verdict
	// Binding describes an argument of an executable.
	Binding = driver.Binding
	// Footprint tells what an executable occupies.
	Footprint = driver.Footprint
	// CompileOptions accompany a graph.
	CompileOptions = driver.CompileOptions
	// QueueOptions configure a queue.
	QueueOptions = driver.QueueOptions
)

// Device is an open device. Safe for concurrent use.
type Device struct {
	name, drv string
	registry  *Registry // that opened it; nil for Wrap
	d         driver.Device
	caps      *Caps
	closed    atomic.Bool
	lost      atomic.Pointer[Error]
}

func newDevice(name, drv string, d driver.Device) *Device {
	dev := &Device{name: name, drv: drv, d: d, caps: d.Caps()}
	if dev.caps == nil {
		dev.caps = new(Caps) // a device that can do nothing
	}
	return dev
}

// Wrap makes a Device of a driver's, for drivers that are opened by hand. The
// name is the device's in errors.
func Wrap(name string, d driver.Device) *Device { return newDevice(name, name, d) }

// Name returns the name the device was opened by, without options.
func (d *Device) Name() string { return d.name }

// Caps describes the device. The result must not be changed.
func (d *Device) Caps() *Caps { return d.caps }

// err wraps a driver's error and notes a loss.
func (d *Device) err(op string, err error) error {
	if err == nil {
		return nil
	}
	if e, ok := err.(*Error); ok && e.dev == d {
		return e
	}
	e := &Error{Op: op, Driver: d.drv, Device: d.name, Err: err, dev: d}
	var ge *graph.Error
	if errors.As(err, &ge) {
		e.Node = ge.Node
	}
	// Failure travels along timelines. What another device's loss broke here
	// is no loss of this one.
	var from *Error
	if errors.Is(err, ErrDeviceLost) && (!errors.As(err, &from) || from.dev == nil || from.dev == d) {
		d.lost.CompareAndSwap(nil, e)
	}
	return e
}

// ready returns an error when the device is closed or lost.
func (d *Device) ready(op string) error {
	if d.closed.Load() {
		return d.err(op, ErrClosed)
	}
	return d.Lost()
}

// Lost returns the error that took the device, nil while it works.
func (d *Device) Lost() error {
	if e := d.lost.Load(); e != nil {
		return e
	}
	return nil
}

// Supports tells for each node of g whether the device could compile it. The
// graph may come from anywhere: it is verified first.
func (d *Device) Supports(g *graph.Graph) ([]Verdict, error) {
	if err := d.ready("supports"); err != nil {
		return nil, err
	}
	if g == nil {
		return nil, d.err("supports", invalid("no graph"))
	}
	// Drivers index by what a graph says: what no builder made stops here.
	if err := wellformed.Check(g); err != nil {
		return nil, d.err("supports", err)
	}
	vs, err := guard(func() ([]Verdict, error) { return d.d.Supports(g), nil })
	if err != nil {
		return nil, d.err("supports", err)
	}
	if len(vs) != len(g.Nodes) {
		return nil, d.err("supports", fmt.Errorf("the driver answered for %d of %d nodes", len(vs), len(g.Nodes)))
	}
	return vs, nil
}

// Alloc allocates size zeroed bytes on heap 0.
func (d *Device) Alloc(ctx context.Context, size int64) (*Buffer, error) {
	return d.AllocOn(ctx, size, 0)
}

// AllocOn allocates zeroed bytes on a heap of Caps.Heaps.
func (d *Device) AllocOn(ctx context.Context, size int64, heap int) (*Buffer, error) {
	if err := d.ready("alloc"); err != nil {
		return nil, err
	}
	if size < 0 || heap < 0 || heap >= len(d.caps.Heaps) {
		return nil, d.err("alloc", invalid("heap %d of %d, %d bytes", heap, len(d.caps.Heaps), size))
	}
	if limit := d.caps.Limits.MaxAllocation; limit > 0 && size > limit {
		return nil, d.err("alloc", fmt.Errorf("%d bytes; one allocation is at most %d: %w", size, limit, ErrOutOfMemory))
	}
	m, err := guard(func() (driver.Memory, error) { return d.d.Alloc(ctx, driver.MemSpec{Size: size, Heap: heap}) })
	if err == nil && m == nil {
		err = errNothing
	}
	if err != nil {
		return nil, d.err("alloc", err)
	}
	return &Buffer{dev: d, m: m, size: size}, nil
}

// Compile prepares a graph to run. Every node must be supported: the error
// names the first that is not, with the device's reason. g and o.Data must
// stay valid until the executable is closed.
func (d *Device) Compile(ctx context.Context, g *graph.Graph, o CompileOptions) (*Executable, error) {
	vs, err := d.Supports(g)
	if err != nil {
		return nil, err
	}
	for i, v := range vs {
		if !v.OK {
			n := &g.Nodes[i]
			name := n.Name
			if name == "" {
				name = fmt.Sprintf("#%d", i)
			}
			return nil, &Error{Op: "compile", Driver: d.drv, Device: d.name, Node: fmt.Sprintf("%s (%s)", name, n.Op),
				Err: fmt.Errorf("%s: %s: %w", v.Code, v.Text, ErrUnsupported), dev: d}
		}
	}
	if d.caps.Shapes.StaticOnly && len(g.Symbols) > 0 {
		return nil, d.err("compile", fmt.Errorf("the device takes static shapes only and graph %q has symbol %q: specialise it: %w", g.Name, g.Symbols[0].Name, ErrUnsupported))
	}
	if o.Data == nil {
		o.Data = noData{}
	}
	if o.Label == "" {
		o.Label = g.Name
	}
	e, err := guard(func() (*Executable, error) {
		x, err := d.d.Compile(ctx, g, o)
		if err == nil && x == nil {
			err = errNothing
		}
		if err != nil {
			return nil, err
		}
		return newExecutable(d, x, o.Label), nil
	})
	if err != nil {
		return nil, d.err("compile", err)
	}
	return e, nil
}

// errNothing is the answer of a driver that gives neither a result nor an
// error.
var errNothing = errors.New("the driver returned nothing, and no error")

type noData struct{}

func (noData) Source(name string) ([]byte, error) {
	return nil, fmt.Errorf("the graph refers to source %q but no data was given: %w: %w", name, ErrInvalidArgument, graph.ErrNoData)
}

// NewQueue makes a queue.
func (d *Device) NewQueue(o QueueOptions) (*Queue, error) {
	if err := d.ready("queue"); err != nil {
		return nil, err
	}
	q, err := guard(func() (driver.Queue, error) { return d.d.NewQueue(o) })
	if err == nil && q == nil {
		err = errNothing
	}
	if err != nil {
		return nil, d.err("queue", err)
	}
	return &Queue{dev: d, q: q, lock: make(chan struct{}, 1)}, nil
}

// Close releases the device. What was made from it must be closed before.
// Calling it again does nothing.
func (d *Device) Close() error {
	if d.closed.Swap(true) {
		return nil
	}
	return d.err("close", guardErr(d.d.Close))
}

// Buffer is memory of a device. Safe for concurrent use; the order of
// accesses to its content is the caller's, through timelines.
type Buffer struct {
	dev    *Device
	m      driver.Memory
	size   int64
	closed atomic.Bool
}

// Size returns the bytes allocated.
func (b *Buffer) Size() int64 { return b.size }

// Device returns the device it belongs to.
func (b *Buffer) Device() *Device { return b.dev }

// Bytes returns the content when the host sees it.
func (b *Buffer) Bytes() ([]byte, bool) {
	if b.closed.Load() {
		return nil, false
	}
	return b.m.Bytes()
}

// All returns the whole buffer as a region.
func (b *Buffer) All() Region { return Region{b, 0, b.size} }

// At returns a part of the buffer as a region.
func (b *Buffer) At(off, size int64) Region { return Region{b, off, size} }

// Close frees the memory. Calling it again does nothing.
func (b *Buffer) Close() error {
	if b.closed.Swap(true) {
		return nil
	}
	return b.dev.err("free", guardErr(b.m.Free))
}

// Region is part of a buffer, in bytes.
type Region struct {
	Buf       *Buffer
	Off, Size int64
}

// Executable is a compiled graph. Safe for concurrent use.
type Executable struct {
	dev      *Device
	x        driver.Executable
	label    string
	bindings []Binding
	index    map[string]int
	symbols  []dim.Symbol
	closed   atomic.Bool
	// sized remembers the sizes of the last run's dimensions: a decode loop
	// asks for the same ones again and again.
	sized atomic.Pointer[sized]
}

type sized struct{ dims, bytes []int64 }

func newExecutable(d *Device, x driver.Executable, label string) *Executable {
	e := &Executable{dev: d, x: x, label: label, bindings: x.Bindings(), symbols: x.Symbols(), index: map[string]int{}}
	for i, b := range e.bindings {
		e.index[b.Role.String()+" "+b.Name] = i
	}
	return e
}

// Bindings lists the arguments in order. The result must not be changed.
func (e *Executable) Bindings() []Binding { return e.bindings }

// Symbols lists the dimensions to be given for a run, in order.
func (e *Executable) Symbols() []dim.Symbol { return e.symbols }

// Index returns the position of an argument, -1 when there is none of that
// role and name.
func (e *Executable) Index(role driver.Role, name string) int {
	if i, ok := e.index[role.String()+" "+name]; ok {
		return i
	}
	return -1
}

// Size returns the bytes of an argument at the given symbol values.
func (e *Executable) Size(i int, dims []int64) (int64, error) {
	if i < 0 || i >= len(e.bindings) {
		return 0, invalid("argument %d of %d", i, len(e.bindings))
	}
	if err := e.checkDims(dims); err != nil {
		return 0, err
	}
	return e.bindings[i].Size(e.Bind(dims))
}

// Bind returns dims as a binding of the executable's symbols.
func (e *Executable) Bind(dims []int64) dim.Binding {
	b := make(dim.Binding, len(dims))
	for i, s := range e.symbols {
		if i < len(dims) {
			b[s.Name] = dims[i]
		}
	}
	return b
}

// MaxDims returns every symbol at its upper bound.
func (e *Executable) MaxDims() []int64 {
	out := make([]int64, len(e.symbols))
	for i, s := range e.symbols {
		out[i] = s.Max
	}
	return out
}

func (e *Executable) checkDims(dims []int64) error {
	if len(dims) != len(e.symbols) {
		return invalid("%s: %d dimensions for %d symbols", e.label, len(dims), len(e.symbols))
	}
	for i, s := range e.symbols {
		if dims[i] < s.Min || dims[i] > s.Max {
			return invalid("%s: symbol %s = %d is not in %d..%d", e.label, s.Name, dims[i], s.Min, s.Max)
		}
	}
	return nil
}

// checkSizes compares the arguments of a run with what the bindings need.
func (e *Executable) checkSizes(args []Region, dims []int64) error {
	s := e.sized.Load()
	if s == nil || !slices.Equal(s.dims, dims) {
		s = &sized{dims: slices.Clone(dims), bytes: make([]int64, len(e.bindings))}
		at := e.Bind(dims)
		for i, b := range e.bindings {
			n, err := b.Size(at)
			if err != nil {
				return err
			}
			s.bytes[i] = n
		}
		e.sized.Store(s)
	}
	for i := range args {
		if args[i].Size != s.bytes[i] {
			b := &e.bindings[i]
			return invalid("run %s: %s %q (%s) needs %d bytes, the region has %d", e.label, b.Role, b.Name, b.Type, s.bytes[i], args[i].Size)
		}
	}
	return nil
}

// Footprint tells what the executable occupies.
func (e *Executable) Footprint() Footprint { return e.x.Footprint() }

// Close releases the executable. No batch that uses it may be pending.
// Calling it again does nothing.
func (e *Executable) Close() error {
	if e.closed.Swap(true) {
		return nil
	}
	return e.dev.err("close", guardErr(e.x.Close))
}
