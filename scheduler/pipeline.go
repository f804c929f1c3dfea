package scheduler

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/passes"
	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/hal/driver"
)

// Pipeline is a plan in force: compiled modules, each with a queue. Safe for
// concurrent use; frames and states made from it are not.
type Pipeline struct {
	plan   *Plan
	stages map[string]*Stage
	order  []string
}

// Stage is one module of a pipeline.
type Stage struct {
	name     string
	dev      *hal.Device
	queue    *hal.Queue
	variants []variant
}

type variant struct {
	bind dim.Binding // symbols that are fixed
	exe  *hal.Executable
}

// Load compiles the plan. devs must hold the devices that the plan names, as
// they were; w must be the workload that was planned: otherwise the error
// wraps ErrStale and says what differs. The modules compile at the same time.
func (p *Plan) Load(ctx context.Context, w Workload, data graph.Data, devs ...*hal.Device) (*Pipeline, error) {
	find := func(name string) *hal.Device {
		if i := slices.IndexFunc(devs, func(d *hal.Device) bool { return d.Name() == name }); i >= 0 {
			return devs[i]
		}
		return nil
	}
	for _, r := range p.Devices {
		d := find(r.Name)
		if d == nil {
			return nil, fmt.Errorf("scheduler: device %s is not open: %w", r.Name, ErrStale)
		}
		if f := d.Caps().Fingerprint; f != r.Fingerprint {
			return nil, fmt.Errorf("scheduler: device %s has fingerprint %q, the plan was made for %q: %w", r.Name, f, r.Fingerprint, ErrStale)
		}
	}
	pl := &Pipeline{plan: p, stages: map[string]*Stage{}}
	places := make([]Placement, len(w.Modules))
	for i := range w.Modules {
		m := &w.Modules[i]
		q, ok := p.Placement(m.Name)
		h := m.Graph.Hash()
		if !ok || q.Hash != hex.EncodeToString(h[:8]) {
			return nil, fmt.Errorf("scheduler: module %s is not in the plan, or has changed: %w", m.Name, ErrStale)
		}
		d := find(q.Device)
		if d == nil {
			return nil, fmt.Errorf("scheduler: device %s is not open: %w", q.Device, ErrStale)
		}
		places[i] = q
		pl.stages[m.Name] = &Stage{name: m.Name, dev: d}
		pl.order = append(pl.order, m.Name)
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	var errs []error
	for i := range w.Modules {
		m := &w.Modules[i]
		s := pl.stages[m.Name]
		wg.Go(func() {
			if err := s.compile(ctx, m, places[i], data); err != nil {
				mu.Lock()
				errs = append(errs, err)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(errs) > 0 {
		return nil, errors.Join(errs[0], pl.Close())
	}
	return pl, nil
}

func (s *Stage) compile(ctx context.Context, m *Module, q Placement, data graph.Data) error {
	var err error
	if s.queue, err = s.dev.NewQueue(hal.QueueOptions{Label: s.name}); err != nil {
		return err
	}
	for _, v := range q.Variants {
		g := m.Graph
		bind := dim.Binding{}
		for k, n := range v {
			bind[k] = n
		}
		if len(bind) > 0 {
			if g, err = passes.Specialize(g, bind); err != nil {
				return err
			}
		}
		x, err := s.dev.Compile(ctx, g, hal.CompileOptions{Label: s.name, Data: data})
		if err != nil {
			return err
		}
		s.variants = append(s.variants, variant{bind, x})
	}
	return nil
}

// Plan returns the plan in force.
func (p *Pipeline) Plan() *Plan { return p.plan }

// Stage returns a module's stage; nil when the workload has none of that name.
func (p *Pipeline) Stage(module string) *Stage { return p.stages[module] }

// Footprint returns what the executables occupy, by module.
func (p *Pipeline) Footprint() map[string]hal.Footprint {
	out := map[string]hal.Footprint{}
	for name, s := range p.stages {
		var f hal.Footprint
		for _, v := range s.variants {
			g := v.exe.Footprint()
			f.Weights, f.Mapped, f.Scratch = max(f.Weights, g.Weights), max(f.Mapped, g.Mapped), f.Scratch+g.Scratch
		}
		out[name] = f
	}
	return out
}

// Close releases executables and queues. Frames and states must be closed
// before. Calling it again does nothing.
func (p *Pipeline) Close() error {
	var errs []error
	for _, name := range p.order {
		errs = append(errs, p.stages[name].close())
	}
	return errors.Join(errs...)
}

func (s *Stage) close() error {
	var errs []error
	if s.queue != nil {
		errs = append(errs, s.queue.Close())
	}
	for _, v := range s.variants {
		errs = append(errs, v.exe.Close())
	}
	return errors.Join(errs...)
}

// Device returns the device the stage runs on.
func (s *Stage) Device() *hal.Device { return s.dev }

// Fixed returns the value that every variant gives a symbol, and true, when
// the stage was compiled for that value alone.
func (s *Stage) Fixed(symbol string) (int64, bool) {
	var n int64
	for i, v := range s.variants {
		m, ok := v.bind[symbol]
		if !ok || i > 0 && m != n {
			return 0, false
		}
		n = m
	}
	return n, len(s.variants) > 0
}

// variant returns the executable for symbol values: the one whose fixed
// symbols agree.
func (s *Stage) variant(at dim.Binding) (*variant, error) {
	for i := range s.variants {
		v := &s.variants[i]
		ok := true
		for k, n := range v.bind {
			if m, given := at[k]; given && m != n {
				ok = false
			}
		}
		if ok {
			return v, nil
		}
	}
	return nil, fmt.Errorf("scheduler: %s was not compiled for %v", s.name, at)
}

// States are the buffers of a stage's state, shared by the stages of a group.
type States struct {
	bufs map[string]*hal.Buffer
	size map[string]int64
}

// NewStates allocates the state of a stage, zeroed.
func (s *Stage) NewStates(ctx context.Context) (*States, error) {
	st := &States{bufs: map[string]*hal.Buffer{}, size: map[string]int64{}}
	x := s.variants[0].exe
	dims := x.MaxDims()
	for i, b := range x.Bindings() {
		if b.Role != driver.RoleState {
			continue
		}
		n, err := x.Size(i, dims)
		if err != nil {
			return nil, errors.Join(err, st.Close())
		}
		buf, err := s.dev.Alloc(ctx, n)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("scheduler: state %s of %s: %w", b.Name, s.name, err), st.Close())
		}
		st.bufs[b.Name], st.size[b.Name] = buf, n
	}
	return st, nil
}

// Bytes returns the content of a state where the host sees it.
func (st *States) Bytes(name string) ([]byte, bool) {
	b := st.bufs[name]
	if b == nil {
		return nil, false
	}
	return b.Bytes()
}

// Close frees the buffers. Calling it again does nothing.
func (st *States) Close() error {
	var errs []error
	for _, b := range st.bufs {
		errs = append(errs, b.Close())
	}
	return errors.Join(errs...)
}
