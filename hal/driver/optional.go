package driver

import (
	"context"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
)

// As returns what a device implements of an optional interface T:
//
//	if c, ok := driver.As[driver.Cacher](dev); ok { ... }
//
// A device that wraps another (see hal/validate) is not asked for its own
// methods: it has a method As(target any) bool, as errors have, which stores
// in *T what answers for the device within.
func As[T any](d Device) (T, bool) {
	if w, ok := d.(interface{ As(target any) bool }); ok {
		var t T
		found := w.As(&t)
		return t, found
	}
	t, ok := any(d).(T)
	return t, ok
}

// Cacher is implemented by devices that can save compiled executables.
type Cacher interface {
	Save(e Executable) ([]byte, error)
	// Judge tells what Load would do with a blob, without loading it.
	Judge(blob []byte) Compat
	Load(ctx context.Context, blob []byte, g *graph.Graph, o CompileOptions) (Executable, error)
}

// Compat is a judgement on a blob.
type Compat uint8

// The judgements: only the first two load.
const (
	Optimal Compat = iota
	Usable
	MustRecompile
	Foreign
)

// SetCompiler is implemented by devices that share one copy of the weights
// between several shapes of a graph better when told of all at once.
type SetCompiler interface {
	CompileSet(ctx context.Context, gs []*graph.Graph, o CompileOptions) ([]Executable, error)
}

// Importer is implemented by devices that use others' memory without copying.
type Importer interface {
	Import(ctx context.Context, m External) (Memory, error)
}

// Exporter is implemented by devices that give memory away for Import
// elsewhere.
type Exporter interface {
	Export(m Memory, kind ShareKind) (External, error)
}

// External is memory made elsewhere. It must outlive what is imported from it.
type External struct {
	Kind  ShareKind
	Bytes []byte // HostPtr
	FD    int    // MemFD, DMABuf
	Size  int64
}

// ShareKind names a way to share memory.
type ShareKind string

// The ways to share memory.
const (
	HostPtr ShareKind = "host"
	MemFD   ShareKind = "memfd"
	DMABuf  ShareKind = "dmabuf"
)

// Estimator is implemented by devices whose own cost model is better than
// measurements from outside. Seconds for one run at the given symbols.
type Estimator interface {
	Estimate(g *graph.Graph, b dim.Binding) (seconds float64, ok bool)
}
