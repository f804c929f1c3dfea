package validate

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/hal/driver"
)

// Device returns d with everything checked that it does and that is done with
// it. Closing it closes d and returns every violation found. Safe for
// concurrent use.
func Device(d driver.Device, o Options) driver.Device {
	if o.Patience <= 0 {
		o.Patience = defaultPatience
	}
	out := &device{in: d, o: o, rec: &record{report: o.Report}, open: map[object]string{}}
	caps, err := call(out.rec, "Caps", func() (*driver.Caps, error) { return d.Caps(), nil })
	if err != nil || caps == nil {
		out.rec.add(RuleCaps, "there are none")
		caps = new(driver.Caps)
	}
	out.caps, out.capsHash = caps, hashOf(caps)
	out.checkCaps()
	return out
}

type device struct {
	in       driver.Device
	o        Options
	rec      *record
	caps     *driver.Caps
	capsHash [32]byte

	mu     sync.Mutex
	closed bool
	open   map[object]string // what was made and not closed yet, with a description
}

// object is something that must be closed.
type object any

func hashOf(c *driver.Caps) [32]byte {
	b, err := json.Marshal(c)
	if err != nil { // a NaN, for instance; fmt has no such limits
		b = fmt.Appendf(nil, "%+v", *c)
	}
	return sha256.Sum256(b)
}

func (d *device) checkCaps() {
	bad := func(format string, args ...any) { d.rec.add(RuleCaps, format, args...) }
	c := d.caps
	if _, err := json.Marshal(c); err != nil {
		bad("they do not marshal: %v", err)
	}
	if c.Kind == "" || c.Fingerprint == "" {
		bad("kind %q, fingerprint %q: neither may be empty", c.Kind, c.Fingerprint)
	}
	if len(c.Heaps) == 0 {
		bad("there is no heap")
	}
	for i, h := range c.Heaps {
		if h.Align < 1 || h.Align&(h.Align-1) != 0 || h.Size < 0 {
			bad("heap %d: alignment %d, size %d: want a power of two and a size", i, h.Align, h.Size)
		}
		if _, ok := driver.As[driver.Importer](d.in); !ok && len(h.Import) > 0 {
			bad("heap %d imports %v, but the device is no Importer", i, h.Import)
		}
		if _, ok := driver.As[driver.Exporter](d.in); !ok && len(h.Export) > 0 {
			bad("heap %d exports %v, but the device is no Exporter", i, h.Export)
		}
	}
	seen := map[string]bool{}
	for _, o := range c.Ops {
		name := graph.OpRef{Domain: o.Domain, Name: o.Name}.String()
		if seen[name] {
			bad("operator %s is listed twice", name)
		}
		seen[name] = true
		for _, e := range o.Elems {
			if _, err := enc.ParseElem(e); err != nil {
				bad("operator %s: %v", name, err)
			}
		}
	}
	if !slices.IsSorted(c.Shapes.TileBatches) || !slices.IsSorted(c.Shapes.Chunks) {
		bad("tile batches %v, chunks %v: want ascending lists", c.Shapes.TileBatches, c.Shapes.Chunks)
	}
}

// checkCapsSame sees whether someone wrote to the capabilities, or the driver
// gives out others than it did.
func (d *device) checkCapsSame() {
	if c := d.in.Caps(); c == nil || hashOf(c) != d.capsHash {
		d.rec.add(RuleCaps, "they are not what they were when the device was opened")
		if c != nil {
			d.capsHash = hashOf(c) // say it once
		}
	}
}

// use returns a violation when the device is closed.
func (d *device) use(what string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return d.rec.add(RuleClosed, "%s on a device that was closed", what)
	}
	return nil
}

func (d *device) opened(o object, format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.open[o] = fmt.Sprintf(format, args...)
}

// closing returns a violation when o, or its device, is closed already.
func (d *device) closing(o object, what string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, ok := d.open[o]; !ok {
		return d.rec.add(RuleClosed, "%s was closed twice, or after its device", what)
	}
	delete(d.open, o)
	return nil
}

// isOpen reports whether o can still be used.
func (d *device) isOpen(o object) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, ok := d.open[o]
	return ok
}

// Caps returns the device's own.
func (d *device) Caps() *driver.Caps { return d.in.Caps() }

// Supports asks the device, twice.
func (d *device) Supports(g *graph.Graph) []driver.Verdict {
	if g == nil {
		d.rec.add(RuleArgument, "Supports without a graph")
		return nil
	}
	if d.use("Supports") != nil {
		return nil
	}
	before := g.Hash()
	ask := func() []driver.Verdict {
		type verdicts struct{ v []driver.Verdict }
		out, err := call(d.rec, "Supports", func() (verdicts, error) { return verdicts{d.in.Supports(g)}, nil })
		if err != nil {
			return nil
		}
		return out.v
	}
	vs := ask()
	d.checkVerdicts(g, vs)
	if again := ask(); !slices.Equal(vs, again) {
		d.rec.add(RuleVerdict, "graph %q: asked again, the answers differ", g.Name)
	}
	if g.Hash() != before {
		d.rec.add(RuleGraph, "Supports changed graph %q", g.Name)
	}
	return vs
}

var reasons = []driver.ReasonCode{
	driver.ReasonOperator, driver.ReasonType, driver.ReasonEncoding, driver.ReasonShape,
	driver.ReasonAttribute, driver.ReasonDynamic, driver.ReasonLimit, driver.ReasonPolicy,
}

func (d *device) checkVerdicts(g *graph.Graph, vs []driver.Verdict) {
	bad := func(i int, format string, args ...any) {
		n := &g.Nodes[i]
		d.rec.add(RuleVerdict, "node #%d %s (%s): %s", i, n.Name, n.Op, fmt.Sprintf(format, args...))
	}
	if len(vs) != len(g.Nodes) {
		d.rec.add(RuleVerdict, "%d verdicts for %d nodes", len(vs), len(g.Nodes))
		return
	}
	group := map[int32]bool{}
	for i, v := range vs {
		_, listed := d.caps.Op(g.Nodes[i].Op)
		switch {
		case v.OK && (v.Text != "" || v.Code != ""):
			bad(i, "supported, and yet there is a reason against it: %s %s", v.Code, v.Text)
		case v.OK && !listed:
			bad(i, "supported, but the capabilities do not list the operator")
		case !v.OK && v.Text == "":
			bad(i, "refused without a text")
		case !v.OK && !slices.Contains(reasons, v.Code):
			bad(i, "refused for the unknown reason %q", v.Code)
		}
		if v.Group > 0 {
			if ok, seen := group[v.Group]; seen && ok != v.OK {
				bad(i, "only part of group %d is supported", v.Group)
			}
			group[v.Group] = v.OK
		}
	}
}

// Alloc allocates, with guard bytes around where the host can check them.
func (d *device) Alloc(ctx context.Context, s driver.MemSpec) (driver.Memory, error) {
	if err := d.use("Alloc"); err != nil {
		return nil, err
	}
	limit := d.caps.Limits.MaxAllocation
	if s.Size < 0 || s.Heap < 0 || s.Heap >= len(d.caps.Heaps) || limit > 0 && s.Size > limit {
		return nil, d.rec.add(RuleArgument, "Alloc of %d bytes (limit %d) on heap %d of %d", s.Size, limit, s.Heap, len(d.caps.Heaps))
	}
	guard := d.guardFor(s)
	asked := driver.MemSpec{Size: s.Size + 2*guard, Heap: s.Heap}
	in, err := call(d.rec, "Alloc", func() (driver.Memory, error) { return d.in.Alloc(ctx, asked) })
	if err != nil {
		return nil, err
	}
	m := &memory{d: d, in: in, spec: s, guard: guard}
	if err := m.check(asked); err != nil {
		_ = callErr(d.rec, "Free", in.Free)
		return nil, err
	}
	d.opened(m, "memory of %d bytes", s.Size)
	return m, nil
}

// Compile compiles, and compares the executable with its graph.
func (d *device) Compile(ctx context.Context, g *graph.Graph, o driver.CompileOptions) (driver.Executable, error) {
	return d.compile(g, "Compile", func() (driver.Executable, error) { return d.in.Compile(ctx, g, o) })
}

func (d *device) compile(g *graph.Graph, what string, f func() (driver.Executable, error)) (driver.Executable, error) {
	if err := d.checkCompile(what, g); err != nil {
		return nil, err
	}
	before := g.Hash()
	in, err := call(d.rec, what, f)
	if g.Hash() != before {
		d.rec.add(RuleGraph, "%s changed graph %q", what, g.Name)
	}
	d.checkCapsSame()
	if err != nil {
		return nil, err
	}
	return d.executable(g, in)
}

// checkCompile checks what callers promise before they compile.
func (d *device) checkCompile(what string, g *graph.Graph) error {
	if err := d.use(what); err != nil {
		return err
	}
	if g == nil {
		return d.rec.add(RuleArgument, "%s without a graph", what)
	}
	if d.caps.Shapes.StaticOnly && len(g.Symbols) > 0 {
		return d.rec.add(RuleArgument, "%s of graph %q with symbol %s for a device that takes static shapes only", what, g.Name, g.Symbols[0].Name)
	}
	for i, v := range d.Supports(g) {
		if !v.OK {
			return d.rec.add(RuleArgument, "%s of graph %q with node #%d (%s), which the device does not support", what, g.Name, i, g.Nodes[i].Op)
		}
	}
	return nil
}

// NewQueue makes a queue.
func (d *device) NewQueue(o driver.QueueOptions) (driver.Queue, error) {
	if err := d.use("NewQueue"); err != nil {
		return nil, err
	}
	in, err := call(d.rec, "NewQueue", func() (driver.Queue, error) { return d.in.NewQueue(o) })
	if err != nil {
		return nil, err
	}
	q, err := newQueue(d, in, o.Label)
	if err != nil {
		return nil, err
	}
	d.opened(q, "queue %q", o.Label)
	return q, nil
}

// Close closes the device and returns every violation found.
func (d *device) Close() error {
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return d.rec.add(RuleClosed, "the device was closed twice")
	}
	d.closed = true
	left := slices.Sorted(maps.Values(d.open))
	clear(d.open)
	d.mu.Unlock()
	for _, what := range left {
		d.rec.add(RuleLeak, "%s was left open", what)
	}
	d.checkCapsSame()
	err := callErr(d.rec, "Close", d.in.Close)
	return errors.Join(append([]error{err}, d.rec.all()...)...)
}
