package host

import (
	"context"
	"fmt"
	"sync"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/hal/driver"
	"github.com/heddle-ml/heddle/hal/isolate/internal/wire"
	"github.com/heddle-ml/heddle/ops"
)

// source is a file with weights. It stays mapped until the client dropped it
// and every executable made from it is closed.
type source struct {
	mu      sync.Mutex
	refs    int
	mapping *wire.Mapping
}

func (x *source) release() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.refs--; x.refs == 0 {
		x.mapping.Unmap()
	}
}

func (s *server) addSource(c *call) error {
	n, err := id(c.A)
	if err != nil {
		return err
	}
	if c.file < 0 {
		return fmt.Errorf("a source without a file: %w", wire.ErrGarbage)
	}
	if err := wire.CheckSize(c.file, int64(c.B), int64(c.C), false); err != nil {
		return fmt.Errorf("source: %w", err)
	}
	m, err := wire.Map(c.file, int64(c.B), int64(c.C), false)
	if err != nil {
		return fmt.Errorf("source: %w", err)
	}
	if err := add(s, s.sources, n, &source{refs: 1, mapping: m}); err != nil {
		m.Unmap()
		return err
	}
	return nil
}

// data resolves sources for one compilation.
type data struct {
	sources map[string]*source
	errs    map[string]error
}

func (d *data) Source(name string) ([]byte, error) {
	if s := d.sources[name]; s != nil {
		return s.mapping.Bytes, nil
	}
	if err := d.errs[name]; err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("the client sent no source %q", name)
}

// resolve takes a reference of each source that a compilation names.
func (s *server) resolve(refs []wire.SourceRef) (*data, error) {
	d := &data{sources: map[string]*source{}, errs: map[string]error{}}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range refs {
		if r.ID == 0 {
			d.errs[r.Name] = r.Err
			continue
		}
		x := s.sources[r.ID]
		if x == nil || d.sources[r.Name] != nil {
			d.release()
			return nil, errNo("source", uint64(r.ID))
		}
		x.mu.Lock()
		x.refs++
		x.mu.Unlock()
		d.sources[r.Name] = x
	}
	return d, nil
}

// release gives the references back.
func (d *data) release() {
	for name, x := range d.sources {
		x.release()
		delete(d.sources, name)
	}
}

// retain takes a second set of references, for a second executable.
func (d *data) retain() []*source {
	var out []*source
	for _, x := range d.sources {
		x.mu.Lock()
		x.refs++
		x.mu.Unlock()
		out = append(out, x)
	}
	return out
}

func (s *server) compile(ctx context.Context, d *device, c *call) ([]byte, error) {
	first, err := id(c.A)
	if err != nil {
		return nil, err
	}
	var spec wire.Compilation
	if err := spec.Decode(c.Payload); err != nil {
		return nil, err
	}
	if want := uint64(len(spec.Graphs)); c.Kind == wire.CompileSet && want != c.B || c.Kind != wire.CompileSet && want != 1 || want == 0 {
		return nil, fmt.Errorf("%s of %d graphs: %w", c.Kind, want, wire.ErrGarbage)
	}
	graphs := make([]*graph.Graph, len(spec.Graphs))
	for i, b := range spec.Graphs {
		if graphs[i], err = graph.Unmarshal(b, ops.Standard); err != nil {
			return nil, err
		}
	}
	weights, err := s.resolve(spec.Sources)
	if err != nil {
		return nil, err
	}
	defer weights.release()
	o := driver.CompileOptions{Label: spec.Label, Data: weights.clone()}
	ready := make([]driver.Executable, len(graphs))
	if c.Kind == wire.CompileSet {
		set, ok := driver.As[driver.SetCompiler](d.raw)
		if !ok {
			return nil, errNot("compile sets of graphs")
		}
		if ready, err = set.CompileSet(ctx, graphs, o); err != nil {
			return nil, err
		}
		if len(ready) != len(graphs) {
			return nil, fmt.Errorf("the driver gave %d executables for %d graphs", len(ready), len(graphs))
		}
	}
	var made []*executable
	var out []byte
	for i, g := range graphs {
		req := &request{ready: ready[i]}
		if c.Kind == wire.Load {
			req.load = spec.Blob
		}
		exe, failed := d.Compile(context.WithValue(ctx, requestKey{}, req), g, o)
		if failed != nil {
			err = failed
			break
		}
		made = append(made, &executable{exe: exe, raw: req.made, sources: weights.retain()})
		out = (&wire.Program{Bindings: exe.Bindings(), Symbols: exe.Symbols(), Footprint: exe.Footprint()}).Append(out)
	}
	entered := 0
	for err == nil && entered < len(made) {
		if err = add(s, s.execs, first+uint32(entered), made[entered]); err == nil {
			entered++
		}
	}
	if err != nil {
		for i, x := range made {
			if i < entered {
				remove(s, s.execs, uint64(first)+uint64(i))
			}
			_ = x.exe.Close()
			x.unmap()
		}
		for _, x := range ready[len(made):] {
			if x != nil {
				_ = x.Close()
			}
		}
		return nil, err
	}
	if c.Kind == wire.Load {
		made[0].blob, c.mapping = c.mapping, nil // the driver may go on reading it
	}
	return out, nil
}

// clone is what the driver gets: it lasts as long as the executable, whose
// sources are retained apart.
func (d *data) clone() *data {
	out := &data{sources: map[string]*source{}, errs: d.errs}
	for name, x := range d.sources {
		out.sources[name] = x
	}
	return out
}

var _ graph.Data = (*data)(nil)
