package fault

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/hal/driver"
)

// Driver returns d with faults. Counts and draws go on from device to device
// that is opened of it; a device that is lost can be opened again. Opening
// fails when a fault is not Valid. Safe for concurrent use.
func Driver(d driver.Driver, fs ...Fault) driver.Driver {
	out := &faultyDriver{in: d}
	for _, f := range fs {
		if err := f.Valid(); err != nil && out.err == nil {
			out.err = err
		}
		out.faults = append(out.faults, arm(f))
	}
	return out
}

type faultyDriver struct {
	in     driver.Driver
	faults []*armed
	err    error
}

// Info returns the driver's own.
func (d *faultyDriver) Info() driver.Info { return d.in.Info() }

// Probe returns what the driver finds.
func (d *faultyDriver) Probe(ctx context.Context) ([]driver.DeviceInfo, error) {
	return d.in.Probe(ctx)
}

// Open opens a device with faults.
func (d *faultyDriver) Open(ctx context.Context, id string, o driver.OpenOptions) (driver.Device, error) {
	if d.err != nil {
		return nil, d.err
	}
	in, err := d.in.Open(ctx, id, o)
	if err != nil {
		return nil, spoil(d.faults, err)
	}
	out := &device{in: in, faults: d.faults, caps: overclaimed(in.Caps(), d.faults)}
	out.life, out.end = context.WithCancel(context.Background())
	out.there, out.lose = context.WithCancelCause(context.Background())
	return out, nil
}

// overclaimed returns capabilities with the operators that faults claim.
func overclaimed(c *driver.Caps, fs []*armed) *driver.Caps {
	for _, f := range fs {
		if f.Kind != Overclaim || f.Op == "" || c == nil {
			continue
		}
		ref := opRef(f.Op)
		if _, listed := c.Op(ref); !listed {
			clone := *c
			clone.Ops = append(slices.Clone(c.Ops), driver.OpCap{Domain: ref.Domain, Name: ref.Name, Elems: []string{"f32"}})
			c = &clone
		}
	}
	return c
}

// opRef reads what OpRef.String writes.
func opRef(name string) graph.OpRef {
	for i := range name {
		if name[i] == '.' {
			return graph.OpRef{Domain: name[:i], Name: name[i+1:]}
		}
	}
	return graph.OpRef{Name: name}
}

type device struct {
	in     driver.Device
	caps   *driver.Caps
	faults []*armed

	life  context.Context // ends with Close: what hangs is let go
	end   context.CancelFunc
	there context.Context // ends when the device is lost
	lose  context.CancelCauseFunc

	queues atomic.Int64 // numbers queues

	mu     sync.Mutex
	open   []func() error // closes of objects that UseAfterClose keeps
	latest *memory        // of AliasMemory
	// scratch is what all queues share under SharedScratch: contents of
	// outputs by size.
	scratch map[int][]byte
}

// has returns a fault of a kind for a graph, without counting a call.
func (d *device) has(k Kind, g *graph.Graph) *armed {
	for _, f := range d.faults {
		if f.Kind == k && f.matches(g) {
			return f
		}
	}
	return nil
}

// struck counts a call that faults of a kind are about and returns the one
// that strikes it. A nil graph is for calls that concern none.
func (d *device) struck(k Kind, g *graph.Graph) *armed {
	for _, f := range d.faults {
		if f.Kind == k && (g == nil || f.matches(g)) && f.strikes() {
			return f
		}
	}
	return nil
}

// gone returns why the device is lost, nil while it is not.
func (d *device) gone() error {
	if d.there.Err() != nil {
		return context.Cause(d.there)
	}
	return nil
}

// err spoils an error on its way to the caller.
func (d *device) err(err error) error { return spoil(d.faults, err) }

// spoil takes the sentinels out of an error if WrongError strikes.
func spoil(fs []*armed, err error) error {
	if err == nil {
		return nil
	}
	for _, f := range fs {
		if f.Kind == WrongError && f.strikes() {
			return fmt.Errorf("error -1 (%v)", err)
		}
	}
	return err
}

// Caps returns the device's own, and what Overclaim adds.
func (d *device) Caps() *driver.Caps { return d.caps }

// Supports returns the device's own verdicts, except where a fault lies.
func (d *device) Supports(g *graph.Graph) []driver.Verdict {
	if d.has(AcceptInvalid, g) != nil {
		vs := make([]driver.Verdict, len(g.Nodes))
		for i := range vs {
			vs[i].OK = true
		}
		return vs
	}
	vs := d.in.Supports(g)
	for _, f := range d.faults {
		if f.Kind != Overclaim && f.Kind != RefuseCompile || len(vs) != len(g.Nodes) {
			continue
		}
		for i := range g.Nodes {
			switch {
			case !f.matchesNode(&g.Nodes[i]):
			case f.Kind == RefuseCompile:
				vs[i] = driver.Verdict{OK: true}
			case f.strikes():
				vs[i] = driver.Verdict{Code: driver.ReasonPolicy, Text: "not this time"}
			}
		}
	}
	return vs
}

// Compile compiles, unless a fault strikes.
func (d *device) Compile(ctx context.Context, g *graph.Graph, o driver.CompileOptions) (driver.Executable, error) {
	return d.compile(g, func() (driver.Executable, error) { return d.in.Compile(ctx, g, o) })
}

func (d *device) compile(g *graph.Graph, do func() (driver.Executable, error)) (driver.Executable, error) {
	if err := d.beforeCompile(g); err != nil {
		return nil, d.err(err)
	}
	in, err := careful(do)
	if err != nil {
		if d.struck(AcceptInvalid, g) != nil {
			if x := hollow(d, g); x != nil {
				return x, nil
			}
		}
		return nil, d.err(err)
	}
	return d.executable(g, in), nil
}

// beforeCompile lets faults strike that need no compiler.
func (d *device) beforeCompile(g *graph.Graph) error {
	if err := d.gone(); err != nil {
		return err
	}
	if f := d.struck(PanicCompile, g); f != nil {
		panic(f.failure("the compiler gives up", nil))
	}
	if d.struck(CrashCompile, g) != nil {
		crash()
	}
	if f := d.struck(HangCompile, g); f != nil {
		<-d.life.Done()
		return f.failure("the device was closed", driver.ErrClosed)
	}
	if f := d.struck(RefuseCompile, g); f != nil {
		return f.failure(fmt.Sprintf("graph %q cannot be compiled", g.Name), driver.ErrUnsupported)
	}
	return nil
}

// careful calls a compiler that may panic at a graph it should not be given.
func careful(do func() (driver.Executable, error)) (x driver.Executable, err error) {
	defer func() {
		if p := recover(); p != nil {
			x, err = nil, fmt.Errorf("fault: the driver within panicked: %v: %w", p, driver.ErrDeviceLost)
		}
	}()
	return do()
}

// crash ends the process as a segmentation fault does: no deferred call runs,
// and no panic can be recovered.
func crash() {
	if p, err := os.FindProcess(os.Getpid()); err == nil {
		if runtime.GOOS == "windows" || p.Signal(syscall.SIGSEGV) != nil {
			_ = p.Kill()
		}
	}
	select {} // until the signal arrives
}

// NewQueue makes a queue.
func (d *device) NewQueue(o driver.QueueOptions) (driver.Queue, error) {
	if err := d.gone(); err != nil {
		return nil, d.err(err)
	}
	in, err := d.in.NewQueue(o)
	if err != nil {
		return nil, d.err(err)
	}
	return newQueue(d, in), nil
}

// Close closes the device, lets go what hangs, and leaks where it should.
func (d *device) Close() error {
	d.end()
	d.leak()
	d.mu.Lock()
	open := d.open
	d.open = nil
	d.mu.Unlock()
	for _, close := range slices.Backward(open) {
		_ = close()
	}
	return d.err(d.in.Close())
}

// closing closes an object, or keeps it working and closes it with the
// device.
func (d *device) closing(close func() error) error {
	d.leak()
	if d.struck(UseAfterClose, nil) != nil {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.open = append(d.open, close)
		return nil
	}
	return d.err(close())
}

// leak leaves a goroutine and memory behind.
func (d *device) leak() {
	if d.struck(Leak, nil) == nil {
		return
	}
	kept := make([]byte, 64<<10)
	for i := range kept {
		kept[i] = 1 // the system has to provide it
	}
	go func() {
		<-never
		runtime.KeepAlive(kept)
	}()
}

// never is what leaked goroutines wait for.
var never chan struct{}
