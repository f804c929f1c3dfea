package host

import (
	"context"
	"slices"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/hal/driver"
	"github.com/heddle-ml/heddle/hal/isolate/internal/wire"
)

// device is a driver's device behind package hal, which checks what the
// client asks for.
type device struct {
	*hal.Device
	raw driver.Device
}

func newDevice(name string, raw driver.Device) *device {
	return &device{hal.Wrap(name, shim{raw}), raw}
}

// opened describes the device.
func (d *device) opened() *wire.Opened {
	o := &wire.Opened{Caps: *d.Caps()}
	_, o.Importer = driver.As[driver.Importer](d.raw)
	_, o.Cacher = driver.As[driver.Cacher](d.raw)
	_, o.SetCompiler = driver.As[driver.SetCompiler](d.raw)
	_, o.Estimator = driver.As[driver.Estimator](d.raw)
	return o
}

// how tells by which kind of import memory of a heap is shared with the
// client.
func (d *device) how(heap int) (driver.ShareKind, bool) {
	hs := d.Caps().Heaps
	if heap < 0 || heap >= len(hs) {
		return "", false
	}
	return wire.ShareKind(&hs[heap])
}

// importKind tells how the device imports memory of others, and to which
// heap.
func (d *device) importKind(dma bool) (kind driver.ShareKind, heap int, ok bool) {
	hs := d.Caps().Heaps
	for i := range hs {
		if dma && slices.Contains(hs[i].Import, driver.DMABuf) {
			return driver.DMABuf, i, true
		}
		if k, ok := wire.FileKind(&hs[i]); !dma && ok {
			return k, i, true
		}
	}
	return "", 0, false
}

// request is what a call of package hal means here besides its arguments. It
// travels in the call's context.
type request struct {
	share share
	load  []byte // restore the executable from this
	ready driver.Executable
	made  driver.Executable // what the driver gave
}

type requestKey struct{}

// share asks for the import of memory instead of an allocation.
type share struct {
	x    driver.External
	heap int
}

// shim turns what package hal has no words for into what it has: memory is
// imported where hal allocates, executables are restored where it compiles.
type shim struct{ driver.Device }

func (d shim) Alloc(ctx context.Context, s driver.MemSpec) (driver.Memory, error) {
	req, _ := ctx.Value(requestKey{}).(*request)
	if req == nil || req.share.x.Kind == "" {
		return d.Device.Alloc(ctx, s)
	}
	imp, ok := driver.As[driver.Importer](d.Device)
	if !ok {
		return nil, errNot("import memory")
	}
	return imp.Import(ctx, req.share.x)
}

func (d shim) Compile(ctx context.Context, g *graph.Graph, o driver.CompileOptions) (x driver.Executable, err error) {
	req, _ := ctx.Value(requestKey{}).(*request)
	switch {
	case req == nil:
		return d.Device.Compile(ctx, g, o)
	case req.ready != nil:
		x = req.ready
	case req.load != nil:
		c, ok := driver.As[driver.Cacher](d.Device)
		if !ok {
			return nil, errNot("restore executables")
		}
		x, err = c.Load(ctx, req.load, g, o)
	default:
		x, err = d.Device.Compile(ctx, g, o)
	}
	req.made = x
	return x, err
}
