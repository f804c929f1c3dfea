package isolate

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/hal/driver"
	"github.com/heddle-ml/heddle/hal/isolate/internal/wire"
)

// device is a device in a child.
type device struct {
	l       *link
	caps    *driver.Caps
	has     wire.Opened // which optional interfaces there are
	heaps   []heap
	ids     atomic.Uint32
	budget  atomic.Int64 // bytes of shared memory that may still be allocated
	weights weights
}

// heap tells how memory of a heap gets here.
type heap struct {
	shared  bool // allocated here, imported there
	imports bool // memory files of others
}

func newDevice(l *link, o *wire.Opened) *device {
	caps := o.Caps
	d := &device{l: l, has: *o, caps: &caps}
	d.weights.l, d.weights.ids = l, &d.ids
	caps.Heaps = slices.Clone(caps.Heaps)
	for i := range caps.Heaps {
		h := &caps.Heaps[i]
		var how heap
		if o.Importer {
			_, how.shared = wire.ShareKind(h)
			_, how.imports = wire.FileKind(h)
		}
		dma := o.Importer && slices.Contains(h.Import, driver.DMABuf)
		h.HostVisible, h.Import, h.Export = how.shared, nil, nil
		if how.shared {
			h.Export = []driver.ShareKind{driver.HostPtr, driver.MemFD}
		}
		if how.imports {
			h.Import = append(h.Import, driver.MemFD)
		}
		if dma {
			h.Import = append(h.Import, driver.DMABuf)
		}
		d.heaps = append(d.heaps, how)
	}
	caps.Queues.Async = true
	if l.proc != nil {
		caps.Notes = append(slices.Clip(caps.Notes), fmt.Sprintf("isolated: runs in process %d, %s", l.proc.cmd.Process.Pid, l.proc.name))
	}
	d.budget.Store(machineMemory())
	return d
}

// machineMemory bounds shared memory: its pages would be taken from everybody.
func machineMemory() int64 {
	var s unix.Sysinfo_t
	if unix.Sysinfo(&s) != nil {
		return 1 << 40
	}
	return int64(min(uint64(s.Totalram)*uint64(s.Unit), 1<<50))
}

// PID returns the number of the child.
func (d *device) PID() int {
	if d.l.proc == nil {
		return 0
	}
	return d.l.proc.cmd.Process.Pid
}

// Program returns the path of the host program.
func (d *device) Program() string { return d.l.program() }

// Caps describes the device; see Driver for what isolation changes.
func (d *device) Caps() *driver.Caps { return d.caps }

// id returns the number of a new object.
func (d *device) id() uint64 { return uint64(d.ids.Add(1)) }

// Supports asks the device. When there is no answer, because the device is
// lost or the graph has no binary form, nothing is refused here: Compile is asked next and says
// what is wrong.
func (d *device) Supports(g *graph.Graph) []driver.Verdict {
	all := make([]driver.Verdict, len(g.Nodes))
	for i := range all {
		all[i].OK = true
	}
	bin, err := graph.Marshal(g)
	if err != nil {
		return all
	}
	reply, err := d.l.call(context.Background(), request{kind: wire.Supports, payload: bin, limit: replyLimit + 1024*len(all)})
	if err != nil {
		return all
	}
	vs, err := wire.DecodeVerdicts(reply)
	if err != nil {
		d.l.fail(fmt.Sprintf("answered %q with nonsense (%v) and was killed", wire.Supports, err), nil)
		return all
	}
	return vs // package hal counts them
}

// dma reports whether a heap imports DMA buffers.
func (d *device) dma(i int) bool { return slices.Contains(d.caps.Heaps[i].Import, driver.DMABuf) }

// quietly makes a call whose error matters to nobody.
func (l *link) quietly(kind wire.Kind, id uint64) {
	_, _ = l.call(context.Background(), request{kind: kind, a: id})
}

// drop ends an object; that the device is lost means that it has ended.
func (l *link) drop(kind wire.Kind, id uint64, wait time.Duration) error {
	_, err := l.call(context.Background(), request{kind: kind, a: id, wait: wait})
	if err != nil && l.lostErr() != nil {
		return nil
	}
	return err
}

// Compile compiles in the child.
func (d *device) Compile(ctx context.Context, g *graph.Graph, o driver.CompileOptions) (driver.Executable, error) {
	return d.compile(ctx, wire.Compile, g, nil, o)
}

func (d *device) compile(ctx context.Context, kind wire.Kind, g *graph.Graph, blob []byte, o driver.CompileOptions) (driver.Executable, error) {
	xs, err := d.compileAll(ctx, kind, []*graph.Graph{g}, blob, o)
	if err != nil {
		return nil, err
	}
	return xs[0], nil
}

func (d *device) compileAll(ctx context.Context, kind wire.Kind, gs []*graph.Graph, blob []byte, o driver.CompileOptions) (out []driver.Executable, err error) {
	c := wire.Compilation{Label: o.Label, Blob: blob}
	for _, g := range gs {
		bin, err := graph.Marshal(g)
		if err != nil {
			return nil, err
		}
		c.Graphs = append(c.Graphs, bin)
	}
	refs, used, err := d.weights.take(gs, o.Data)
	if err != nil {
		return nil, err
	}
	c.Sources = refs
	n := uint32(len(gs))
	first := uint64(d.ids.Add(n) - n + 1)
	undo := func() {
		for i := range gs {
			d.l.quietly(wire.CloseExec, first+uint64(i))
		}
	}
	reply, err := d.l.call(ctx, request{kind: kind, a: first, b: uint64(n), payload: c.Append(nil), limit: replyLimit, slow: true, undo: undo})
	if err != nil {
		d.weights.release(used)
		return nil, ours(err, refs)
	}
	r := wire.NewReader(reply)
	for i := range gs {
		var p wire.Program
		if err = p.Read(r); err != nil {
			break
		}
		x := &executable{d: d, id: first + uint64(i), bindings: p.Bindings, symbols: p.Symbols, used: used}
		x.print.Store(&p.Footprint)
		if i > 0 {
			d.weights.again(used)
		}
		out = append(out, x)
	}
	if err == nil {
		err = r.Err()
	}
	if err != nil {
		d.l.fail(fmt.Sprintf("answered %q with nonsense (%v) and was killed", kind, err), nil)
		return nil, d.l.lostErr()
	}
	return out, nil
}

// ours adds to an error of the device the error of this process that it came
// from: a source that could not be had. It then wraps all that this one
// does.
func ours(err error, refs []wire.SourceRef) error {
	for _, r := range refs {
		if r.Err != nil && strings.Contains(err.Error(), r.Err.Text) {
			return &caused{err, r.Cause}
		}
	}
	return err
}

// caused is an error with a cause that its text tells already.
type caused struct{ error, cause error }

func (c *caused) Error() string   { return c.error.Error() }
func (c *caused) Unwrap() []error { return []error{c.error, c.cause} }

// executable is a compiled graph in the child.
type executable struct {
	d        *device
	id       uint64
	bindings []driver.Binding
	symbols  []dim.Symbol
	used     []*weight
	print    atomic.Pointer[driver.Footprint]
	closed   atomic.Bool
}

func (x *executable) Bindings() []driver.Binding { return x.bindings }
func (x *executable) Symbols() []dim.Symbol      { return x.symbols }

// Footprint asks the device; the last answer counts when it is lost.
func (x *executable) Footprint() driver.Footprint {
	reply, err := x.d.l.call(context.Background(), request{kind: wire.Footprint, a: x.id})
	if err == nil {
		if f, err := wire.JSON[driver.Footprint](reply); err == nil {
			x.print.Store(&f)
		}
	}
	return *x.print.Load()
}

func (x *executable) Close() error {
	if x.closed.Swap(true) {
		return nil
	}
	err := x.d.l.drop(wire.CloseExec, x.id, 0)
	x.d.weights.release(x.used)
	return err
}

// byeGrace is how long a child may take to end after it said that the device
// is closed.
const byeGrace = 3 * time.Second

// Close closes the device and ends the child.
func (d *device) Close() error {
	d.l.closing.Store(true)
	err := d.l.drop(wire.Bye, 0, 0)
	d.l.close(byeGrace)
	return err
}

// As gives the optional interfaces that the device in the child has.
func (d *device) As(target any) bool {
	switch t := target.(type) {
	case *driver.Importer:
		if d.has.Importer {
			*t = importer{d}
			return true
		}
	case *driver.Exporter:
		if slices.ContainsFunc(d.heaps, func(h heap) bool { return h.shared }) {
			*t = exporter{d}
			return true
		}
	case *driver.Cacher:
		if d.has.Cacher {
			*t = cacher{d}
			return true
		}
	case *driver.SetCompiler:
		if d.has.SetCompiler {
			*t = setCompiler{d}
			return true
		}
	case *driver.Estimator:
		if d.has.Estimator {
			*t = estimator{d}
			return true
		}
	case *Process:
		*t = d
		return true
	}
	return false
}

type cacher struct{ d *device }

func (c cacher) Save(e driver.Executable) ([]byte, error) {
	x, ok := e.(*executable)
	if !ok || x.d != c.d {
		return nil, fmt.Errorf("an executable of another device (%T): %w", e, driver.ErrUnsupported)
	}
	return c.d.l.call(context.Background(), request{kind: wire.Save, a: x.id, limit: wire.MaxPayload, slow: true})
}

func (c cacher) Judge(blob []byte) driver.Compat {
	reply, err := c.d.l.call(context.Background(), request{kind: wire.Judge, payload: blob})
	if err != nil || len(reply) != 1 || reply[0] > byte(driver.Foreign) {
		return driver.MustRecompile
	}
	return driver.Compat(reply[0])
}

func (c cacher) Load(ctx context.Context, blob []byte, g *graph.Graph, o driver.CompileOptions) (driver.Executable, error) {
	return c.d.compile(ctx, wire.Load, g, blob, o)
}

type setCompiler struct{ d *device }

func (s setCompiler) CompileSet(ctx context.Context, gs []*graph.Graph, o driver.CompileOptions) ([]driver.Executable, error) {
	if len(gs) == 0 {
		return nil, nil
	}
	return s.d.compileAll(ctx, wire.CompileSet, gs, nil, o)
}

type estimator struct{ d *device }

func (e estimator) Estimate(g *graph.Graph, at dim.Binding) (float64, bool) {
	bin, err := graph.Marshal(g)
	if err != nil {
		return 0, false
	}
	reply, err := e.d.l.call(context.Background(), request{kind: wire.Estimate, payload: wire.AppendEstimate(nil, bin, at)})
	if err != nil || len(reply) != 9 {
		return 0, false
	}
	return math.Float64frombits(binary.LittleEndian.Uint64(reply)), reply[8] == 1
}

// NewQueue makes a queue in the child, and its end here.
func (d *device) NewQueue(o driver.QueueOptions) (driver.Queue, error) {
	payload, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	q := newQueue(d, d.id())
	if _, err := d.l.call(context.Background(), request{kind: wire.NewQueue, a: q.id, payload: payload}); err != nil {
		return nil, err
	}
	if err := q.enter(); err != nil {
		return nil, err
	}
	return q, nil
}
