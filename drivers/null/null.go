package null

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/hal/driver"
	"github.com/heddle-ml/heddle/ops"
)

func init() { hal.Register(Driver{}) }

// Driver is the null driver. Safe for concurrent use.
type Driver struct{}

// Info describes the driver.
func (Driver) Info() driver.Info {
	return driver.Info{Name: "null", Vendor: "heddle", Version: "1", Summary: "computes nothing; a skeleton to copy"}
}

// Probe finds the one device there is.
func (Driver) Probe(context.Context) ([]driver.DeviceInfo, error) {
	return []driver.DeviceInfo{{ID: "0", Model: "null", Kind: driver.Null}}, nil
}

// Open opens it.
func (Driver) Open(_ context.Context, id string, o driver.OpenOptions) (driver.Device, error) {
	if id != "0" {
		return nil, fmt.Errorf("device %q: there is only device 0: %w", id, driver.ErrUnavailable)
	}
	for k := range o.Options {
		return nil, fmt.Errorf("option %q is unknown: %w", k, driver.ErrUnsupported)
	}
	return &device{caps: caps()}, nil
}

// memoryLimit keeps a skeleton from taking the machine with it.
const memoryLimit = 1 << 32

func caps() *driver.Caps {
	c := &driver.Caps{
		Kind: driver.Null, Vendor: "heddle", Model: "null", Version: "1", Fingerprint: "null-1",
		Heaps:  []driver.Heap{{Name: "host", HostVisible: true, Import: []driver.ShareKind{driver.HostPtr}, Align: driver.PlaneAlign}},
		Queues: driver.QueueCap{Async: true},
		Limits: driver.Limits{MaxAllocation: memoryLimit},
		Notes:  []string{"outputs stay zero"},
		// Computing nothing, it claims no more than the contract itself.
		Profiles: []string{"skeleton"},
	}
	for _, o := range ops.List() {
		oc := driver.OpCap{Domain: o.Ref.Domain, Name: o.Ref.Name}
		if len(o.Inputs) > 0 {
			for _, e := range enc.Elems() {
				if o.Inputs[0].Types.Has(e) {
					oc.Elems = append(oc.Elems, e.String())
				}
			}
		}
		c.Ops = append(c.Ops, oc)
	}
	return c
}

type device struct {
	caps *driver.Caps
	open atomic.Int64 // executables not closed yet
}

func (d *device) Caps() *driver.Caps { return d.caps }

// Supports answers from the capabilities, so that both always agree.
func (d *device) Supports(g *graph.Graph) []driver.Verdict {
	out := make([]driver.Verdict, len(g.Nodes))
	for i := range g.Nodes {
		out[i] = d.supports(g, &g.Nodes[i])
	}
	return out
}

func (d *device) supports(g *graph.Graph, n *graph.Node) driver.Verdict {
	op, ok := d.caps.Op(n.Op)
	if !ok {
		return driver.Verdict{Code: driver.ReasonOperator, Text: "operator " + n.Op.String() + " is not implemented"}
	}
	if len(n.In) > 0 && n.In[0] != graph.NoValue {
		if e := g.Value(n.In[0]).Type.Elem; !op.Elem(e) {
			return driver.Verdict{Code: driver.ReasonType, Text: n.Op.String() + " is not implemented for " + e.String()}
		}
	}
	return driver.Verdict{OK: true}
}

func (d *device) Alloc(_ context.Context, s driver.MemSpec) (driver.Memory, error) {
	return driver.NewHostMemory(s), nil
}

// Import takes memory of others as it is, without which a device in a child
// process copies every tensor.
func (d *device) Import(_ context.Context, x driver.External) (driver.Memory, error) {
	if x.Kind != driver.HostPtr {
		return nil, fmt.Errorf("import of memory by %q; this device takes %q: %w", x.Kind, driver.HostPtr, driver.ErrUnsupported)
	}
	if x.Size != int64(len(x.Bytes)) {
		return nil, fmt.Errorf("import of %d bytes that are said to be %d", len(x.Bytes), x.Size)
	}
	return &imported{x.Bytes}, nil
}

// imported is memory that somebody else owns.
type imported struct{ bytes []byte }

func (m *imported) Spec() driver.MemSpec  { return driver.MemSpec{Size: int64(len(m.bytes))} }
func (m *imported) Bytes() ([]byte, bool) { return m.bytes, m.bytes != nil }
func (m *imported) Free() error {
	m.bytes = nil
	return nil
}

func (d *device) Compile(_ context.Context, g *graph.Graph, _ driver.CompileOptions) (driver.Executable, error) {
	d.open.Add(1)
	return &executable{dev: d, g: g, bindings: driver.BindingsOf(g, driver.PlaneAlign)}, nil
}

func (d *device) NewQueue(driver.QueueOptions) (driver.Queue, error) {
	return driver.NewHostQueue(run), nil
}

// Close reports executables that were left open: a vendor's device would
// often hang or crash.
func (d *device) Close() error {
	if n := d.open.Load(); n > 0 {
		return fmt.Errorf("%d executables are still open: close them before the device", n)
	}
	return nil
}

// executable is a compiled graph. A real one holds the vendor's network; this
// one keeps the graph.
type executable struct {
	dev      *device
	g        *graph.Graph
	bindings []driver.Binding
}

func (e *executable) Bindings() []driver.Binding  { return e.bindings }
func (e *executable) Symbols() []dim.Symbol       { return e.g.Symbols }
func (e *executable) Footprint() driver.Footprint { return driver.Footprint{} }
func (e *executable) Close() error {
	e.dev.open.Add(-1)
	return nil
}

// run is where a device computes. This one clears the outputs.
func run(_ context.Context, c *driver.Cmd) error {
	for i, b := range c.Exec.(*executable).bindings {
		if b.Role != driver.RoleOutput {
			continue
		}
		out, err := c.Args[i].Bytes()
		if err != nil {
			return err
		}
		clear(out)
	}
	return nil
}
