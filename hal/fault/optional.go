package fault

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/hal/driver"
)

// As gives what the device within implements of the optional interfaces, with
// faults; see driver.As. Interfaces that this package does not know are
// hidden.
func (d *device) As(target any) bool {
	switch t := target.(type) {
	case *driver.Cacher:
		in, ok := driver.As[driver.Cacher](d.in)
		if !ok && d.hasAny(CacheAnything, CacheWrong) {
			in, ok = madeUp{d}, true
		}
		if ok {
			*t = cacher{d, in}
		}
		return ok
	case *driver.SetCompiler:
		in, ok := driver.As[driver.SetCompiler](d.in)
		if ok {
			*t = setCompiler{d, in}
		}
		return ok
	case *driver.Importer:
		in, ok := driver.As[driver.Importer](d.in)
		*t = in
		return ok
	case *driver.Exporter:
		in, ok := driver.As[driver.Exporter](d.in)
		if ok {
			*t = exporter{in}
		}
		return ok
	case *driver.Estimator:
		in, ok := driver.As[driver.Estimator](d.in)
		*t = in
		return ok
	}
	return false
}

// hasAny reports whether there is a fault of one of the kinds, for any graph.
func (d *device) hasAny(ks ...Kind) bool {
	for _, f := range d.faults {
		for _, k := range ks {
			if f.Kind == k {
				return true
			}
		}
	}
	return false
}

type exporter struct{ in driver.Exporter }

func (e exporter) Export(m driver.Memory, kind driver.ShareKind) (driver.External, error) {
	if w, ok := m.(*memory); ok {
		if w.in == nil {
			return driver.External{}, errNoMemory
		}
		m = w.in
	}
	return e.in.Export(m, kind)
}

type setCompiler struct {
	d  *device
	in driver.SetCompiler
}

func (s setCompiler) CompileSet(ctx context.Context, gs []*graph.Graph, o driver.CompileOptions) ([]driver.Executable, error) {
	for _, g := range gs {
		if err := s.d.beforeCompile(g); err != nil {
			return nil, s.d.err(err)
		}
	}
	xs, err := s.in.CompileSet(ctx, gs, o)
	if err != nil {
		return nil, s.d.err(err)
	}
	for i := range xs {
		if i < len(gs) && xs[i] != nil {
			xs[i] = s.d.executable(gs[i], xs[i])
		}
	}
	return xs, nil
}

// cacher lets the faults of blobs strike.
type cacher struct {
	d  *device
	in driver.Cacher
}

func (c cacher) Save(e driver.Executable) ([]byte, error) {
	if x, ok := e.(*executable); ok {
		if _, ours := c.in.(madeUp); !ours {
			e = x.in
		}
	}
	b, err := c.in.Save(e)
	return b, c.d.err(err)
}

func (c cacher) Judge(blob []byte) driver.Compat {
	if j := c.in.Judge(blob); j == driver.Optimal || j == driver.Usable || !c.d.hasAny(CacheAnything) {
		return j
	}
	return driver.Optimal
}

func (c cacher) Load(ctx context.Context, blob []byte, g *graph.Graph, o driver.CompileOptions) (driver.Executable, error) {
	load := func() (driver.Executable, error) { return c.in.Load(ctx, blob, g, o) }
	if c.d.struck(CacheAnything, g) != nil {
		load = func() (driver.Executable, error) {
			if x, err := c.in.Load(ctx, blob, g, o); err == nil {
				return x, nil
			}
			return c.d.in.Compile(ctx, g, o)
		}
	}
	x, err := c.d.compile(g, load)
	if err != nil {
		return nil, err
	}
	if made, ok := x.(*executable); ok && c.d.struck(CacheWrong, g) != nil {
		made.wrong = true
	}
	return x, nil
}

// madeUp is a correct cache for drivers that have none: a blob names the
// device and the graph, loading compiles.
type madeUp struct{ d *device }

const blobMagic = "heddle fault blob 1\n"

// seal returns the blob for a graph: magic, device, graph, and a sum over all.
func (m madeUp) seal(g *graph.Graph) []byte {
	dev, h := sha256.Sum256([]byte(m.d.caps.Fingerprint)), g.Hash()
	b := append([]byte(blobMagic), dev[:]...)
	b = append(b, h[:]...)
	sum := sha256.Sum256(b)
	return append(b, sum[:]...)
}

func (m madeUp) Save(e driver.Executable) ([]byte, error) {
	x, ok := e.(*executable)
	if !ok {
		return nil, fmt.Errorf("fault: no executable of this device: %w", driver.ErrUnsupported)
	}
	return m.seal(x.g), nil
}

func (m madeUp) Judge(blob []byte) driver.Compat {
	n := len(blob) - sha256.Size
	if n != len(blobMagic)+2*sha256.Size || !bytes.HasPrefix(blob, []byte(blobMagic)) {
		return driver.Foreign
	}
	if sum := sha256.Sum256(blob[:n]); !bytes.Equal(sum[:], blob[n:]) {
		return driver.Foreign
	}
	if dev := sha256.Sum256([]byte(m.d.caps.Fingerprint)); !bytes.Equal(dev[:], blob[len(blobMagic):][:sha256.Size]) {
		return driver.Foreign
	}
	return driver.Optimal
}

func (m madeUp) Load(ctx context.Context, blob []byte, g *graph.Graph, o driver.CompileOptions) (driver.Executable, error) {
	if !bytes.Equal(blob, m.seal(g)) {
		return nil, fmt.Errorf("fault: a blob of %d bytes is damaged, or of another device or graph: %w", len(blob), driver.ErrIncompatible)
	}
	return m.d.in.Compile(ctx, g, o)
}
