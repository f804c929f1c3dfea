package validate

import (
	"context"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/hal/driver"
)

// As gives what the device within implements of the optional interfaces,
// checked; see driver.As. Interfaces that this package does not know are
// hidden: their objects would be the driver's own.
func (d *device) As(target any) bool {
	switch t := target.(type) {
	case *driver.Cacher:
		if in, ok := driver.As[driver.Cacher](d.in); ok {
			*t = cacher{d, in}
			return true
		}
	case *driver.SetCompiler:
		if in, ok := driver.As[driver.SetCompiler](d.in); ok {
			*t = setCompiler{d, in}
			return true
		}
	case *driver.Importer:
		if in, ok := driver.As[driver.Importer](d.in); ok {
			*t = importer{d, in}
			return true
		}
	case *driver.Exporter:
		if in, ok := driver.As[driver.Exporter](d.in); ok {
			*t = exporter{d, in}
			return true
		}
	case *driver.Estimator:
		in, ok := driver.As[driver.Estimator](d.in)
		*t = in
		return ok
	}
	return false
}

type cacher struct {
	d  *device
	in driver.Cacher
}

func (c cacher) Save(e driver.Executable) ([]byte, error) {
	x, ok := e.(*executable)
	if !ok || x.d != c.d {
		return nil, c.d.rec.add(RuleArgument, "Save of no executable of this device")
	}
	if !c.d.isOpen(x) {
		return nil, c.d.rec.add(RuleClosed, "Save of executable %q, which was closed", x.label)
	}
	type saved struct{ blob []byte }
	s, err := call(c.d.rec, "Save", func() (saved, error) {
		b, err := c.in.Save(x.in)
		return saved{b}, err
	})
	if err != nil {
		return nil, err
	}
	if len(s.blob) == 0 {
		return nil, c.d.rec.add(RuleCache, "Save gave an empty blob for %q", x.label)
	}
	if j := c.Judge(s.blob); j != driver.Optimal && j != driver.Usable {
		return nil, c.d.rec.add(RuleCache, "the blob just saved for %q is judged unusable (%d)", x.label, j)
	}
	return s.blob, nil
}

func (c cacher) Judge(blob []byte) driver.Compat {
	j, err := call(c.d.rec, "Judge", func() (driver.Compat, error) { return c.in.Judge(blob), nil })
	if err != nil {
		return driver.MustRecompile
	}
	return j
}

func (c cacher) Load(ctx context.Context, blob []byte, g *graph.Graph, o driver.CompileOptions) (driver.Executable, error) {
	return c.d.compile(g, "Load", func() (driver.Executable, error) { return c.in.Load(ctx, blob, g, o) })
}

type setCompiler struct {
	d  *device
	in driver.SetCompiler
}

func (s setCompiler) CompileSet(ctx context.Context, gs []*graph.Graph, o driver.CompileOptions) ([]driver.Executable, error) {
	for _, g := range gs {
		if err := s.d.checkCompile("CompileSet", g); err != nil {
			return nil, err
		}
	}
	type set struct{ xs []driver.Executable }
	made, err := call(s.d.rec, "CompileSet", func() (set, error) {
		xs, err := s.in.CompileSet(ctx, gs, o)
		return set{xs}, err
	})
	if err != nil {
		return nil, err
	}
	if len(made.xs) != len(gs) {
		return nil, s.d.rec.add(RuleBinding, "CompileSet gave %d executables for %d graphs", len(made.xs), len(gs))
	}
	out := make([]driver.Executable, len(gs))
	for i, in := range made.xs {
		if in == nil {
			return nil, s.d.rec.add(RuleNothing, "CompileSet gave no executable for graph %d", i)
		}
		if out[i], err = s.d.executable(gs[i], in); err != nil {
			return nil, err
		}
	}
	return out, nil
}

type importer struct {
	d  *device
	in driver.Importer
}

func (i importer) Import(ctx context.Context, m driver.External) (driver.Memory, error) {
	if err := i.d.use("Import"); err != nil {
		return nil, err
	}
	in, err := call(i.d.rec, "Import", func() (driver.Memory, error) { return i.in.Import(ctx, m) })
	if err != nil {
		return nil, err
	}
	s := in.Spec()
	if s.Size != m.Size || s.Heap < 0 || s.Heap >= len(i.d.caps.Heaps) {
		_ = callErr(i.d.rec, "Free", in.Free)
		return nil, i.d.rec.add(RuleMemory, "imported %d bytes, Spec says %d on heap %d of %d", m.Size, s.Size, s.Heap, len(i.d.caps.Heaps))
	}
	out := &memory{d: i.d, in: in, spec: s}
	i.d.opened(out, "imported memory of %d bytes", s.Size)
	return out, nil
}

type exporter struct {
	d  *device
	in driver.Exporter
}

func (e exporter) Export(m driver.Memory, kind driver.ShareKind) (driver.External, error) {
	mem, ok := m.(*memory)
	if !ok || mem.d != e.d {
		return driver.External{}, e.d.rec.add(RuleArgument, "Export of no memory of this device")
	}
	if !e.d.isOpen(mem) {
		return driver.External{}, e.d.rec.add(RuleClosed, "Export of memory that was freed")
	}
	x, err := call(e.d.rec, "Export", func() (driver.External, error) { return e.in.Export(mem.in, kind) })
	if err != nil {
		return driver.External{}, err
	}
	if x.Kind != kind || x.Size < mem.spec.Size+2*mem.guard || kind == driver.HostPtr && int64(len(x.Bytes)) != x.Size {
		return driver.External{}, e.d.rec.add(RuleMemory, "Export of %d bytes as %s gave %d bytes as %s", mem.spec.Size+2*mem.guard, kind, x.Size, x.Kind)
	}
	if kind == driver.HostPtr { // the caller's part, without the guards
		x.Bytes = x.Bytes[mem.guard : mem.guard+mem.spec.Size : mem.guard+mem.spec.Size]
		x.Size = mem.spec.Size
	}
	return x, nil
}
