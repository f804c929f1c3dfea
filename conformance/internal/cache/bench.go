package cache

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/heddle-ml/heddle/conformance/internal/suite"
	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/passes"
	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/hal/driver"
)

// bench is a device with a cache, open for one case.
type bench struct {
	driver.Cacher
	dev   driver.Device
	held  *hal.Device // closes it
	queue driver.Queue
	line  driver.Timeline
	tick  uint64
}

// open opens a device of the case's own.
func open(ctx context.Context, e *suite.Env, options ...string) (*bench, error) {
	// The registered driver is the one with validation around.
	checked, ok := e.Registry.Driver(e.Driver.Info().Name)
	if !ok {
		return nil, fmt.Errorf("the registry has no driver %q", e.Driver.Info().Name)
	}
	own := suite.Env{Driver: checked, Name: e.Name}
	held, dev, err := own.Bare(ctx, options...)
	if err != nil {
		return nil, err
	}
	b := &bench{dev: dev, held: held}
	if b.Cacher, ok = driver.As[driver.Cacher](dev); !ok {
		return nil, errors.Join(suite.Unsupported("the device saves no compiled executables"), held.Close())
	}
	if b.queue, err = dev.NewQueue(driver.QueueOptions{Label: e.ID}); err == nil {
		b.line, err = b.queue.NewTimeline(0)
	}
	if err != nil {
		return nil, errors.Join(err, b.close())
	}
	return b, nil
}

func (b *bench) close() error {
	var err error
	if b.queue != nil {
		err = b.queue.Close()
	}
	return errors.Join(err, b.held.Close())
}

// subject is a graph to save, with inputs and what comes out of it.
type subject struct {
	graph  *graph.Graph
	data   graph.Data
	inputs map[string][]byte
	dims   []int64
	want   map[string][]byte // once it was run
}

// make builds a subject that the device takes.
func (b *bench) make(e *suite.Env, k kind, variant int) (*subject, error) {
	l := suite.NewLab(fmt.Sprintf("cache.%s.%d", k.name, variant))
	k.build(l)
	p, err := l.Program()
	if err != nil {
		return nil, fmt.Errorf("the suite's own graph: %w", err)
	}
	s := &subject{graph: identified(p), data: p.Data, inputs: map[string][]byte{}}
	at := p.Steps[0]
	if b.dev.Caps().Shapes.StaticOnly {
		if s.graph, err = passes.Specialize(s.graph, at); err != nil {
			return nil, fmt.Errorf("the suite's own graph: %w", err)
		}
	}
	if s.graph, _, err = suite.Fit(b.held, s.graph); err != nil {
		return nil, err
	}
	for _, sym := range s.graph.Symbols {
		s.dims = append(s.dims, at[sym.Name])
	}
	in, err := p.Inputs(0, e.Rand(0))
	if err != nil {
		return nil, err
	}
	for name, t := range in {
		if s.inputs[name], err = t.Bytes(); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// identified says of the graph's sources what is in them, so that who keeps
// weights in a blob can tell them from others.
func identified(p *suite.Program) *graph.Graph {
	g := *p.Graph
	g.Sources = slices.Clone(g.Sources)
	for i := range g.Sources {
		src := &g.Sources[i]
		if data, err := p.Data.Source(src.Name); err == nil {
			src.Size, src.ID = int64(len(data)), fmt.Sprintf("%x", sha256.Sum256(data))
		}
	}
	return &g
}

// compile compiles a subject, runs it and keeps what comes out.
func (b *bench) compile(ctx context.Context, s *subject) (driver.Executable, error) {
	x, err := b.dev.Compile(ctx, s.graph, driver.CompileOptions{Label: s.graph.Name, Data: s.data})
	if err != nil {
		return nil, fmt.Errorf("after Supports accepted every node, Compile did not: %w", err)
	}
	if s.want, err = b.run(ctx, x, s); err != nil {
		return nil, errors.Join(err, x.Close())
	}
	return x, nil
}

// saved compiles a subject and returns its blob.
func (b *bench) saved(ctx context.Context, s *subject) ([]byte, error) {
	x, err := b.compile(ctx, s)
	if err != nil {
		return nil, err
	}
	blob, err := b.Save(x)
	return blob, errors.Join(err, x.Close())
}

// restore loads a blob for a subject and compares what it computes. The blob
// is written over before it runs: it is the caller's.
func (b *bench) restore(ctx context.Context, blob []byte, s *subject) error {
	blob = slices.Clone(blob)
	x, err := b.Load(ctx, blob, s.graph, driver.CompileOptions{Label: s.graph.Name, Data: s.data})
	if err != nil {
		return err
	}
	clear(blob)
	got, err := b.run(ctx, x, s)
	if err = errors.Join(err, x.Close()); err != nil {
		return fmt.Errorf("running what was restored: %w", err)
	}
	return s.same(got)
}

// errOther is wrapped when what was restored computes something else.
var errOther = errors.New("what was restored computes something else")

// same compares results: to the bit, since both are one compiled graph.
func (s *subject) same(got map[string][]byte) error {
	for _, name := range slices.Sorted(maps.Keys(s.want)) {
		if !bytes.Equal(s.want[name], got[name]) {
			return fmt.Errorf("%s: %w", name, errOther)
		}
	}
	return nil
}

// run runs an executable on empty states and returns outputs and states.
func (b *bench) run(ctx context.Context, x driver.Executable, s *subject) (_ map[string][]byte, err error) {
	at := dim.Binding{}
	for i, sym := range x.Symbols() {
		if i < len(s.dims) {
			at[sym.Name] = s.dims[i]
		}
	}
	batch := driver.Batch{}
	var args []driver.Region
	var down []driver.Cmd
	defer func() {
		for _, a := range args {
			err = errors.Join(err, a.Mem.Free())
		}
	}()
	out := map[string][]byte{}
	for _, v := range x.Bindings() {
		size, err := v.Size(at)
		if err != nil {
			return nil, err
		}
		m, err := b.dev.Alloc(ctx, driver.MemSpec{Size: size})
		if err != nil {
			return nil, err
		}
		r := driver.Region{Mem: m, Size: size}
		args = append(args, r)
		if v.Role == driver.RoleInput {
			if int64(len(s.inputs[v.Name])) != size {
				return nil, fmt.Errorf("input %s takes %d bytes, want %d", v.Name, size, len(s.inputs[v.Name]))
			}
			batch.Cmds = append(batch.Cmds, driver.Cmd{Op: driver.Upload, Dst: r, Host: s.inputs[v.Name]})
			continue
		}
		host := make([]byte, size)
		out[v.Role.String()+" "+v.Name] = host
		down = append(down, driver.Cmd{Op: driver.Download, Src: r, Host: host})
	}
	b.tick++
	batch.Cmds = append(append(batch.Cmds, driver.Cmd{Op: driver.Run, Exec: x, Args: args, Dims: s.dims}), down...)
	batch.Signal = []driver.Point{{T: b.line, V: b.tick}}
	if err := b.queue.Submit(ctx, &batch); err != nil {
		return nil, err
	}
	return out, b.line.Wait(ctx, b.tick)
}
