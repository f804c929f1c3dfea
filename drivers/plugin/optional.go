package plugin

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/hal/abi"
	"github.com/heddle-ml/heddle/hal/driver"
)

// As finds the optional interfaces: those whose functions the library has.
func (d *device) As(target any) bool {
	t := &d.lib.table
	switch p := target.(type) {
	case *driver.Importer:
		if t.ImportMemory != 0 {
			*p = importer{d}
			return true
		}
	case *driver.Cacher:
		if t.Save != 0 && t.Judge != 0 && t.Load != 0 {
			*p = cacher{d}
			return true
		}
	case *Profiler:
		if t.DrainEvents != 0 {
			*p = profiler{d}
			return true
		}
	}
	return false
}

type importer struct{ *device }

// imported holds the pins of Go's memory that libraries use, by *memory, until
// it is freed. The library has the address whether anybody here still refers
// to the memory or not, and a runtime.Pinner that is collected before its
// Unpin ends the process.
var imported sync.Map

// shares are the numbers of the ways to share memory.
var shares = map[driver.ShareKind]abi.Share{driver.MemFD: abi.ShareMemFD, driver.DMABuf: abi.ShareDMABuf, driver.HostPtr: abi.ShareHost}

// Import makes a memory of one that was made elsewhere. The library maps or
// duplicates a descriptor during the call; it stays the caller's.
func (d importer) Import(ctx context.Context, m driver.External) (driver.Memory, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	kind := shares[m.Kind]
	heap := slices.IndexFunc(d.caps.Heaps, func(h driver.Heap) bool { return slices.Contains(h.Import, m.Kind) })
	if kind == 0 || heap < 0 {
		return nil, fmt.Errorf("importing %q, which no heap of the device takes: %w", m.Kind, driver.ErrUnsupported)
	}
	args := &abi.ImportArgs{Kind: uint32(kind), FD: -1, BytesSize: uint64(max(0, m.Size))}
	pin := new(runtime.Pinner) // for as long as the memory lives
	switch {
	case kind == abi.ShareHost:
		args.Address, args.BytesSize = arrayOf(pin, m.Bytes), uint64(len(m.Bytes))
	case m.FD < 0 || m.FD > math.MaxInt32 || m.Size < 0:
		return nil, fmt.Errorf("importing %s: descriptor %d of %d bytes", m.Kind, m.FD, m.Size)
	default:
		args.FD = int32(m.FD)
	}
	err := call(d.device, "import_memory", d.lib.table.ImportMemory, d.handle, args)
	if err != nil {
		pin.Unpin()
		return nil, err
	}
	mem, err := d.newMemory("import_memory", driver.MemSpec{Size: int64(args.BytesSize), Heap: heap}, args.Memory, args.Bytes, d.caps.Heaps[heap].HostVisible)
	if err != nil {
		pin.Unpin()
		return nil, err
	}
	if kind == abi.ShareHost {
		mem.(*memory).pinned = true
		imported.Store(mem, pin)
	}
	return mem, nil
}

type cacher struct{ *device }

// blobLimit bounds a serialised executable, in bytes.
const blobLimit = 4 << 30

// Save serialises an executable of this device.
func (d cacher) Save(e driver.Executable) ([]byte, error) {
	x, ok := e.(*executable)
	if !ok || x.dev != d.device {
		return nil, fmt.Errorf("an executable of another device: %w", driver.ErrUnsupported)
	}
	args := &abi.SaveArgs{}
	return fill("save", 4<<10, blobLimit, &args.Blob, func() (abi.Status, error) {
		return callStatus(d.device, "save", d.lib.table.Save, x.handle, args)
	})
}

// Judge tells what Load would do; a library that fails to say refuses.
func (d cacher) Judge(blob []byte) driver.Compat {
	var pin runtime.Pinner
	defer pin.Unpin()
	args := &abi.JudgeArgs{Blob: arrayOf(&pin, blob), BlobSize: uint64(len(blob)), Compat: uint32(abi.CompatForeign)}
	if call(d.device, "judge", d.lib.table.Judge, d.handle, args) != nil || args.Compat > uint32(abi.CompatForeign) {
		return driver.Foreign
	}
	return driver.Compat(args.Compat)
}

// Load makes an executable of a blob and the graph it was compiled from.
func (d cacher) Load(ctx context.Context, blob []byte, g *graph.Graph, o driver.CompileOptions) (driver.Executable, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if d.Judge(blob) > driver.Usable {
		return nil, fmt.Errorf("load: the library refuses the blob: %w", driver.ErrIncompatible)
	}
	in, err := d.prepare(g, o.Data)
	if err != nil {
		return nil, err
	}
	defer in.pin.Unpin()
	word, stop := stopWord(ctx, &in.pin)
	defer stop()
	args := &abi.LoadArgs{Blob: arrayOf(&in.pin, blob), BlobSize: uint64(len(blob)), Graph: arrayOf(&in.pin, in.graph), GraphSize: uint64(len(in.graph)),
		Weights: arrayOf(&in.pin, in.weights), WeightCount: uint32(len(in.weights)), Label: strOf(&in.pin, o.Label), Cancel: address(word)}
	err = call(d.device, "load", d.lib.table.Load, d.handle, args)
	return d.newExecutable(ctx, "load", g, in, args.Executable, args.ArgAlign, err)
}

// Profiler is what a device answers driver.As with if its library records what
// takes time.
type Profiler interface {
	// Events returns what was recorded since the call before, at most 4096
	// events, and how many were lost because nobody asked in time. Libraries
	// record only after the first call. Safe for concurrent use.
	Events() (events []Event, lost uint64, err error)
}

// Event is something that took time on the device.
type Event struct {
	Node       int   // in the executable's graph; -1 for a whole run
	Start, End int64 // nanoseconds of the machine's monotonic clock
}

// eventRoom is how many events are taken at once.
const eventRoom = 4096

type profiler struct{ d *device }

func (p profiler) Events() ([]Event, uint64, error) {
	var pin runtime.Pinner
	defer pin.Unpin()
	room := make([]abi.Event, eventRoom)
	args := &abi.EventsArgs{Events: arrayOf(&pin, room), EventCap: eventRoom}
	if err := call(p.d, "drain_events", p.d.lib.table.DrainEvents, p.d.handle, args); err != nil {
		return nil, 0, err
	}
	if args.EventCount > eventRoom {
		return nil, 0, nonsense("drain_events", "%d events in room of %d", args.EventCount, eventRoom)
	}
	out := make([]Event, args.EventCount)
	for i, e := range room[:args.EventCount] {
		if e.EndNS < e.StartNS || e.EndNS > math.MaxInt64 || e.Node < -1 {
			return nil, 0, nonsense("drain_events", "event of node %d from %d to %d", e.Node, e.StartNS, e.EndNS)
		}
		out[i] = Event{Node: int(e.Node), Start: int64(e.StartNS), End: int64(e.EndNS)}
	}
	return out, args.Lost, nil
}
