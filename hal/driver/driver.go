package driver

import (
	"context"
	"errors"
	"strconv"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
)

// Errors that drivers wrap, so that callers can tell what happened.
var (
	// ErrUnsupported: the device cannot do this, now or later.
	ErrUnsupported = errors.New("unsupported")
	// ErrUnavailable: the driver or device is not here; the text says why.
	ErrUnavailable = errors.New("unavailable")
	// ErrOutOfMemory: the device's memory does not suffice.
	ErrOutOfMemory = errors.New("out of memory")
	// ErrDeviceLost: the device is gone or reset. Everything made from it is
	// dead; opening it again may work.
	ErrDeviceLost = errors.New("device lost")
	// ErrTimeout: a limit on time was reached.
	ErrTimeout = errors.New("timed out")
	// ErrIncompatible: a saved blob was made by another driver, device,
	// version or graph.
	ErrIncompatible = errors.New("incompatible blob")
	// ErrClosed: the object was closed.
	ErrClosed = errors.New("closed")
)

// Driver finds and opens devices. Safe for concurrent use.
type Driver interface {
	// Info describes the driver without side effects: no library is loaded.
	Info() Info
	// Probe lists the devices that are here. It takes at most 50 ms, loads no
	// firmware and allocates no device memory. "Not here" is an error
	// wrapping ErrUnavailable that says why.
	Probe(ctx context.Context) ([]DeviceInfo, error)
	// Open opens a device by the ID that Probe gave, or, for drivers that
	// say so, by another name such as a path.
	Open(ctx context.Context, id string, o OpenOptions) (Device, error)
}

// Info describes a driver.
type Info struct {
	Name    string `json:"name"` // as in device names: "cpu", "vulkan"
	Vendor  string `json:"vendor"`
	Version string `json:"version"`
	Summary string `json:"summary"` // one line for people
	// Foreign drivers run code that this program cannot vouch for, such as a
	// vendor's library: their devices are opened in a child process unless the
	// option isolate=0 says otherwise.
	Foreign bool `json:"foreign,omitempty"`
	// ForeignProbe: Probe runs such code, too, and is called in a child
	// process. A Foreign driver that only looks at what files there are leaves
	// it out: a child takes longer to start than that.
	ForeignProbe bool `json:"foreign_probe,omitempty"`
}

// DeviceInfo is what Probe tells about a device.
type DeviceInfo struct {
	ID    string `json:"id"` // "0", "1", ...; unique in the driver
	Model string `json:"model"`
	Kind  Kind   `json:"kind"`
}

// OpenOptions configure a device. The zero value is the default.
type OpenOptions struct {
	// Threads bounds the host threads a device computes with; 0 lets the
	// driver choose.
	Threads int
	// Options are driver-specific, from the device's name
	// ("cpu?tier=generic"). An unknown key is an error.
	Options map[string]string
}

// Device compiles and allocates. Safe for concurrent use. Close releases it;
// what was made from it must be closed before.
type Device interface {
	// Caps describes the device. The result never changes.
	Caps() *Caps
	// Supports tells for each node whether Compile could take it, as part of
	// a graph: len(verdicts) == len(g.Nodes). It is necessary, not
	// sufficient: Compile may still refuse the whole.
	Supports(g *graph.Graph) []Verdict
	// Alloc allocates zeroed memory for arguments of executables.
	Alloc(ctx context.Context, s MemSpec) (Memory, error)
	// Compile prepares a graph, all of whose nodes Supports accepted, and
	// makes the device's own copies of weights where it needs another
	// layout. g and o.Data stay valid until the executable is closed.
	Compile(ctx context.Context, g *graph.Graph, o CompileOptions) (Executable, error)
	NewQueue(o QueueOptions) (Queue, error)
	Close() error
}

// Verdict is a device's answer for one node.
type Verdict struct {
	OK   bool
	Code ReasonCode // why not
	Text string     // the same for people; empty when OK
	// Group, if positive, joins nodes that must be placed together.
	Group int32
}

// ReasonCode classifies refusals.
type ReasonCode string

// The reasons for refusing a node.
const (
	ReasonOperator  ReasonCode = "operator"  // the operator is not implemented
	ReasonType      ReasonCode = "type"      // not for this element type
	ReasonEncoding  ReasonCode = "encoding"  // not for this weight or state encoding
	ReasonShape     ReasonCode = "shape"     // rank, size or layout
	ReasonAttribute ReasonCode = "attribute" // this attribute value
	ReasonDynamic   ReasonCode = "dynamic"   // shapes must be static
	ReasonLimit     ReasonCode = "limit"     // too large for the device
	ReasonPolicy    ReasonCode = "policy"    // possible, but refused by a rule
)

// MemSpec asks for memory.
type MemSpec struct {
	Size int64 // bytes
	Heap int   // index in Caps.Heaps
}

// Memory is an allocation. Bytes may be used concurrently; the content
// follows the order that timelines establish.
type Memory interface {
	Spec() MemSpec
	// Bytes returns the memory as the host sees it, false when it does not.
	// The slice is valid until Free.
	Bytes() ([]byte, bool)
	Free() error
}

// CompileOptions accompany a graph.
type CompileOptions struct {
	// Label names the executable in traces and errors.
	Label string
	// Data holds the weights' bytes. Nil is allowed for graphs whose weights
	// are all inline.
	Data graph.Data
}

// Executable is a compiled graph. It may run on several queues of its device
// at once, with different arguments. Immutable.
type Executable interface {
	// Bindings lists the arguments of a run, in order: inputs, outputs,
	// states.
	Bindings() []Binding
	// Symbols lists the dimensions to be given for a run, in order. Empty
	// for a static graph.
	Symbols() []dim.Symbol
	Footprint() Footprint
	Close() error
}

// Binding describes one argument.
type Binding struct {
	Name string
	Role Role
	// Type gives shape and storage; its planes (see enc.Layout) lie one after
	// the other, each starting at a multiple of 64 bytes.
	Type graph.Type
	// Align is the alignment of the argument's offset in its memory, bytes.
	Align int64
}

// Role tells what an argument is.
type Role uint8

// The roles.
const (
	RoleInput Role = iota
	RoleOutput
	RoleState
)

// String returns "input", "output" or "state".
func (r Role) String() string { return [...]string{"input", "output", "state"}[r%3] }

// Footprint tells what an executable occupies, in bytes.
type Footprint struct {
	Weights int64 `json:"weights"` // the device's own copies, shared ones counted once per executable
	Mapped  int64 `json:"mapped"`  // weights used in place
	Scratch int64 `json:"scratch"` // working memory of one run, at the symbols' upper bounds
}

// QueueOptions configure a queue.
type QueueOptions struct {
	Label    string
	Priority int // higher runs first, where the device has priorities
}

// Queue runs batches in the order of their submission. Submit may be called
// from several goroutines; Close waits for what was submitted, or fails it.
type Queue interface {
	// Submit enqueues a batch and returns. The driver copies what it needs:
	// b and its slices may be reused at once; memory and host slices that
	// commands name belong to the queue until the batch's signal points are
	// reached. A failing command fails the batch's signal timelines.
	Submit(ctx context.Context, b *Batch) error
	NewTimeline(initial uint64) (Timeline, error)
	Close() error
}

// Batch is a unit of submission: wait for all of Wait, run Cmds in order,
// signal all of Signal. Timelines of Signal were made by a queue of the same
// device; those of Wait may be another driver's, and are then waited for by
// their own Wait, on the host.
type Batch struct {
	Wait, Signal []Point
	Cmds         []Cmd
}

// Point is a value of a timeline.
type Point struct {
	T Timeline
	V uint64
}

// CmdOp tells what a command does.
type CmdOp uint8

// The commands.
const (
	Run      CmdOp = iota + 1 // Exec with Args and Dims
	Copy                      // Src to Dst, Rows times with strides
	Fill                      // Dst with the byte Value
	Upload                    // Host to Dst
	Download                  // Src to Host
)

// String returns "run", "copy", "fill", "upload" or "download".
func (o CmdOp) String() string {
	if names := [...]string{Run: "run", Copy: "copy", Fill: "fill", Upload: "upload", Download: "download"}; int(o) < len(names) && o > 0 {
		return names[o]
	}
	return "command " + strconv.Itoa(int(o))
}

// Cmd is one command. Op says which fields matter.
type Cmd struct {
	Op   CmdOp
	Exec Executable
	// Args are the executable's arguments, in the order of its Bindings. An
	// output or state overlaps no other argument.
	Args []Region
	// Dims are the values of its Symbols, in order.
	Dims []int64
	// Dst and Src are the regions copied, of equal size. With Rows > 1 they
	// are the first row; the next ones follow at the strides (bytes). Rows of
	// Dst do not overlap; nor do Dst and Src.
	Dst, Src             Region
	Rows                 int64 // 0 means 1
	DstStride, SrcStride int64
	Host                 []byte
	Value                byte
}

// Region is part of a memory.
type Region struct {
	Mem       Memory
	Off, Size int64
}

// Timeline is the one synchronisation primitive: a value that only grows,
// and a failure that sticks. Safe for concurrent use.
type Timeline interface {
	// Value returns the current value, or the failure.
	Value() (uint64, error)
	// Signal raises the value, from the host. A value that is not larger
	// than the current one is an error.
	Signal(v uint64) error
	// Wait returns when the value is at least v, when the timeline has
	// failed (the failure), or when ctx ends (its error).
	Wait(ctx context.Context, v uint64) error
	// Fail makes err, wrapped, the answer to every present and future call. The first
	// failure sticks.
	Fail(err error)
}

// MaxPending bounds how far a signal may run ahead of a timeline's value:
// mobile GPU drivers guarantee little more.
const MaxPending = 1 << 16
