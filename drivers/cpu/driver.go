package cpu

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/hal/driver"
	"github.com/heddle-ml/heddle/ops/kern"
	"github.com/heddle-ml/heddle/ops/kern/pool"
)

func init() { hal.Register(Driver{}) }

// version changes when results or compiled forms do.
const version = "1"

// Driver is the CPU driver. Safe for concurrent use.
type Driver struct{}

// Info describes the driver.
func (Driver) Info() driver.Info {
	return driver.Info{Name: "cpu", Vendor: "heddle", Version: version, Summary: "the processor this program runs on"}
}

// Probe finds the one CPU there is.
func (Driver) Probe(context.Context) ([]driver.DeviceInfo, error) {
	return []driver.DeviceInfo{{ID: "0", Model: model(), Kind: driver.CPU}}, nil
}

// Open opens the CPU with a worker pool of its own.
func (Driver) Open(_ context.Context, id string, o driver.OpenOptions) (driver.Device, error) {
	if id != "0" {
		return nil, fmt.Errorf("device %q: there is only device 0: %w", id, driver.ErrUnavailable)
	}
	var table *kern.Table
	for k, v := range o.Options {
		if k != "tier" {
			return nil, fmt.Errorf("option %q is unknown; want threads or tier: %w", k, driver.ErrUnsupported)
		}
		for _, t := range kern.Usable() {
			if t.Tier.String() == v {
				table = t
			}
		}
		if table == nil {
			return nil, fmt.Errorf("tier %q is not usable here: %w", v, driver.ErrUnavailable)
		}
	}
	if table == nil {
		var err error
		if table, err = kern.Select(); err != nil {
			return nil, fmt.Errorf("%w: %w", err, driver.ErrUnavailable)
		}
	}
	p := pool.New(o.Threads)
	d := &device{table: table, pool: p, weights: store{entries: map[string]*entry{}}}
	d.caps = caps(table, p.Workers())
	return d, nil
}

type device struct {
	table   *kern.Table
	pool    *pool.Pool
	caps    *driver.Caps
	weights store
	bytes   atomic.Int64 // allocated buffers
	close   sync.Once
}

func (d *device) Caps() *driver.Caps { return d.caps }

// Alloc allocates host memory. The machine's own memory is the limit: what
// would exceed it fails here instead of bringing the machine to its knees.
func (d *device) Alloc(_ context.Context, s driver.MemSpec) (driver.Memory, error) {
	if err := d.reserve(s.Size); err != nil {
		return nil, err
	}
	return &memory{HostMemory: driver.NewHostMemory(s), dev: d}, nil
}

// limit is how many bytes the device may hold.
func (d *device) limit() int64 {
	if total := d.caps.Heaps[0].Size; total > 0 {
		return min(total, math.MaxInt/2)
	}
	return min(1<<40, math.MaxInt/2) // unknown: at least no size overflows
}

// reserve counts bytes that are about to be allocated, or refuses them.
func (d *device) reserve(n int64) error {
	if used := d.bytes.Add(n); used > d.limit() || n > d.limit() {
		d.bytes.Add(-n)
		return fmt.Errorf("%d bytes besides the %d allocated; the machine has %d: %w", n, used-n, d.limit(), driver.ErrOutOfMemory)
	}
	return nil
}

func (d *device) free(n int64) { d.bytes.Add(-n) }

type memory struct {
	*driver.HostMemory
	dev   *device
	freed sync.Once
}

func (m *memory) Free() error {
	m.freed.Do(func() { m.dev.free(m.Spec().Size) })
	return m.HostMemory.Free()
}

func (d *device) Compile(ctx context.Context, g *graph.Graph, o driver.CompileOptions) (driver.Executable, error) {
	return compile(ctx, d, g, o)
}

// NewQueue starts a queue. Runs of one executable follow one another; those
// of different executables share the workers.
func (d *device) NewQueue(driver.QueueOptions) (driver.Queue, error) {
	return driver.NewHostQueue(func(ctx context.Context, c *driver.Cmd) error {
		return c.Exec.(*executable).run(ctx, c)
	}), nil
}

func (d *device) Close() error {
	d.close.Do(d.pool.Close)
	return nil
}

func model() string { return runtime.GOARCH + " " + fmt.Sprint(runtime.NumCPU()) + " processors" }
