package models

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/models/arch"
	"github.com/heddle-ml/heddle/scheduler"
)

// engine is a model on its devices: planned and compiled. It does not change;
// Use puts another in its place.
type engine struct {
	devices  []*hal.Device
	workload scheduler.Workload
	pipeline *scheduler.Pipeline
	vision   *encoder
	unopened []scheduler.Other // devices that were asked for and could not be opened
}

// start opens devices, plans and compiles: by plan, or if that is nil under
// policy.
func (m *Model) start(ctx context.Context, policy scheduler.Policy, plan *scheduler.Plan) (_ *engine, err error) {
	if plan != nil {
		policy = plan.Policy // what the graphs were shaped by
	}
	e := &engine{}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.close())
		}
	}()
	if e.workload, err = m.graphs(policy); err != nil {
		return nil, err
	}
	if plan != nil {
		e.devices, err = plan.Open(ctx, m.options.registry())
	} else {
		e.devices, e.unopened, err = scheduler.Open(ctx, m.options.registry(), policy)
	}
	if err != nil {
		return nil, fmt.Errorf("models: %w", err)
	}
	if plan == nil {
		if plan, err = scheduler.New(e.devices...).Plan(ctx, e.workload, policy.Without(e.unopened)); err != nil {
			return nil, err
		}
	}
	if e.pipeline, err = plan.Load(ctx, e.workload, m.files, e.devices...); err != nil {
		return nil, err
	}
	if s := e.pipeline.Stage(moduleVision); s != nil {
		e.vision = newEncoder(m.desc.Vision, s, plan)
	}
	return e, nil
}

// lost reports whether a device of the engine is lost.
func (e *engine) lost() bool {
	return slices.ContainsFunc(e.devices, func(d *hal.Device) bool { return d.Lost() != nil })
}

func (e *engine) close() error {
	var errs []error
	if e.vision != nil {
		errs = append(errs, e.vision.close())
	}
	if e.pipeline != nil {
		errs = append(errs, e.pipeline.Close())
	}
	for _, d := range e.devices {
		errs = append(errs, d.Close())
	}
	return errors.Join(errs...)
}

// Names of the modules of a workload.
const (
	moduleVision  = "vision"
	modulePrefill = "prefill"
	moduleDecode  = "decode"
	groupLLM      = "llm"
)

// wants reports whether the model was opened with a group of modules.
func (m *Model) wants(group string) bool {
	return len(m.options.Modules) == 0 || slices.Contains(m.options.Modules, group)
}

// graphs builds the graphs, as a policy shapes them.
func (m *Model) graphs(policy scheduler.Policy) (scheduler.Workload, error) {
	w := scheduler.Workload{Name: m.desc.Family}
	add := func(name, group, batch string, follow map[string]int64, g *graph.Graph, err error) error {
		if err != nil {
			return fmt.Errorf("models: %s: %w", m.files.Name(), err)
		}
		w.Modules = append(w.Modules, scheduler.Module{Name: name, Group: group, Batch: batch, Follow: follow, Graph: g})
		return nil
	}
	if m.desc.Vision != nil && m.wants(moduleVision) {
		g, err := m.desc.VisionGraph(m.files, arch.VisionOptions{})
		if err := add(moduleVision, moduleVision, "tiles", nil, g, err); err != nil {
			return w, err
		}
	}
	if m.desc.Text == nil || !m.wants(groupLLM) {
		return w, nil
	}
	text := arch.TextOptions{Context: m.context, MaxChunk: policy.Chunk}.Defaults(m.desc.Text)
	g, err := m.desc.Prefill(m.files, text)
	if err := add(modulePrefill, groupLLM, "chunk", map[string]int64{"rows": 1}, g, err); err != nil {
		return w, err
	}
	g, err = m.desc.Decode(m.files, text)
	return w, add(moduleDecode, groupLLM, "", nil, g, err)
}

// Use puts the model on other devices, as policy says: after a device was
// lost, or because another one is wanted now. It opens devices, plans and
// compiles while calls go on; then it waits for those that are under way,
// exchanges the devices, and closes the old ones. Sessions stay open: the next
// turn of each computes its KV cache anew from the conversation. Pictures
// that were encoded stay valid.
//
// When it fails, or ctx ends before the exchange, the model stays as it was.
// Both sets of devices and weights are there until the exchange is over.
//
// Calls that begin while Use waits for others wait for it in turn. So it must
// not be called from a Stream function, and a Stream function that calls the
// model in other sessions does so with a context that ends.
//
// A lost device names itself in the error of the call that met it:
//
//	a, err := s.Ask(ctx, turn)
//	var lost *hal.Error
//	if errors.Is(err, hal.ErrDeviceLost) && errors.As(err, &lost) {
//		err = m.Use(ctx, scheduler.Policy{Deny: []string{lost.Device}})
//	}
func (m *Model) Use(ctx context.Context, policy scheduler.Policy) error {
	if err := (&Options{Policy: policy}).validate(); err != nil {
		return err
	}
	select {
	case m.life.using <- struct{}{}:
		defer func() { <-m.life.using }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := m.enter(ctx); err != nil {
		return err
	}
	defer m.leave()
	e, err := m.start(ctx, policy, nil)
	if err != nil {
		return err
	}
	old := m.engine.Load()
	if err := m.life.alone(ctx); err != nil {
		m.retire(old, m.life.reopen())
		return errors.Join(err, e.close())
	}
	// Nobody is inside. Decoders go before what they were made from.
	m.retire(old, m.life.everyone())
	m.engine.Store(e)
	m.retire(old, m.life.reopen())
	m.note(old, old.close())
	return nil
}

// retire takes their decoders from sessions, which were made on an engine.
func (m *Model) retire(from *engine, sessions []*Session) {
	for _, s := range sessions {
		m.note(from, s.retire())
	}
}

// note keeps an error of releasing what an engine had for Close: it is not the
// fault of what comes after. A lost device may fail as it likes.
func (m *Model) note(from *engine, err error) {
	if err != nil && !from.lost() {
		m.late = errors.Join(m.late, err)
	}
}

// advise adds to an error of a lost device what can be done.
func (m *Model) advise(err error) error {
	if !errors.Is(err, hal.ErrDeviceLost) {
		return err
	}
	return fmt.Errorf("models: %w; nothing that was said is lost: Model.Use puts the model on another device", err)
}
