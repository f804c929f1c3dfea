package isolation

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/heddle-ml/heddle/conformance/internal/rig"
	"github.com/heddle-ml/heddle/conformance/internal/suite"
	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/hal/driver"
	"github.com/heddle-ml/heddle/hal/isolate"
)

// Cases returns the cases of the group.
func Cases() []suite.Case {
	list := []suite.Case{
		{ID: "isolation.kill.waiting", Run: isolated(killWaiting)},
		{ID: "isolation.kill.running", Run: isolated(killRunning)},
		{ID: "isolation.kill.compiling", Run: isolated(killCompiling)},
		{ID: "isolation.kill.uses", Run: isolated(usesAfter)},
		{ID: "isolation.kill.neighbour", Run: isolated(neighbour)},
		{ID: "isolation.kill.cycles", Run: killCycles},
		{ID: "isolation.stopped", Run: isolated(stopped), Timeout: 2 * time.Minute},
		{ID: "isolation.garbage", Run: garbage, Timeout: 3 * time.Minute},
	}
	for i := range list {
		list[i].Alone = true
	}
	return list
}

// patient is a device in a process that a case may kill.
type patient struct {
	ctx  context.Context
	env  *suite.Env
	dev  *hal.Device
	proc *os.Process
}

// open opens a device; an error made by Unsupported if it is in this process.
func open(ctx context.Context, e *suite.Env) (*patient, error) {
	d, dd, err := e.Bare(ctx)
	if err != nil {
		return nil, err
	}
	p, ok := driver.As[isolate.Process](dd)
	if !ok {
		return nil, errors.Join(suite.Unsupported("the device is not in a process of its own"), d.Close())
	}
	proc, err := os.FindProcess(p.PID())
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return &patient{ctx, e, d, proc}, nil
}

// isolated is a case on a device of its own, which need not survive it. A new
// one has to work afterwards.
func isolated(f func(p *patient) error) func(context.Context, *suite.Env) error {
	return func(ctx context.Context, e *suite.Env) error {
		p, err := open(ctx, e)
		if err != nil {
			return err
		}
		err = f(p)
		closed := p.within("closing a lost device", func() error { _ = p.dev.Close(); return nil })
		if err := errors.Join(err, closed); err != nil {
			return err
		}
		next, err := open(ctx, e)
		if err != nil {
			return fmt.Errorf("opening the device again: %w", err)
		}
		return errors.Join(rig.Works(ctx, next.dev), next.dev.Close())
	}
}

// What a loss may take. Aim is what the project promises for one that is seen
// at once, and limit what fails: a busy machine is slow.
const (
	aim   = 100 * time.Millisecond
	limit = 3 * time.Second
)

func (p *patient) within(what string, f func() error) error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return err
	case <-time.After(20 * time.Second):
		return fmt.Errorf("%s does not end", what)
	case <-p.ctx.Done():
		return fmt.Errorf("%s does not end: %w", what, p.ctx.Err())
	}
}

// lostSoon kills the process and calls f, which has to return that the device
// is lost.
func (p *patient) lostSoon(what string, f func() error) error {
	if err := p.proc.Kill(); err != nil {
		return err
	}
	start := time.Now()
	err := p.within(what, f)
	took := time.Since(start)
	if err := rig.Refused(what, err, hal.ErrDeviceLost); err != nil {
		return err
	}
	p.env.Note("%s: told %v after kill -9 (the aim is %v)", what, took.Round(10*time.Microsecond), aim)
	if took > limit {
		return fmt.Errorf("%s: told only %v after kill -9", what, took)
	}
	if p.dev.Lost() == nil {
		return fmt.Errorf("%s: the device does not count as lost", what)
	}
	return nil
}

// onRig calls f with a rig, whose closing must end, with whatever error.
func (p *patient) onRig(f func(r *rig.Rig) error) error {
	r, err := rig.New(p.dev)
	if err != nil {
		return err
	}
	err = f(r)
	return errors.Join(err, p.within("closing what a lost device made", func() error { _ = r.Close(); return nil }))
}

// killWaiting kills while batches wait for the host, and many wait for them.
func killWaiting(p *patient) error {
	return p.onRig(func(r *rig.Rig) error {
		const n = 16
		gate, err := r.Queue.NewTimeline(0)
		if err != nil {
			return err
		}
		var lines []*hal.Timeline
		for range n {
			t, err := r.Queue.NewTimeline(0)
			if err != nil {
				return err
			}
			if err := r.Queue.Submit(p.ctx, &hal.Batch{Wait: []hal.Point{{T: gate, V: 1}}, Signal: []hal.Point{{T: t, V: 1}}}); err != nil {
				return err
			}
			lines = append(lines, t)
		}
		errs := make(chan error, n)
		for _, t := range lines {
			go func() { errs <- t.Wait(p.ctx, 1) }()
		}
		time.Sleep(5 * time.Millisecond)
		return p.lostSoon("waiters of batches that wait", func() error {
			for range n {
				if err := <-errs; !errors.Is(err, hal.ErrDeviceLost) {
					return fmt.Errorf("one of %d waiters was told %w", n, err)
				}
			}
			return lines[0].Wait(p.ctx, 1) // and those that come later
		})
	})
}

// killRunning kills in the middle of runs.
func killRunning(p *patient) error {
	return p.onRig(func(r *rig.Rig) error {
		s, err := rig.Simplest(p.dev)
		if err != nil {
			return err
		}
		n := 500
		if limit := p.dev.Caps().Limits.MaxNodes; limit > 0 {
			n = min(n, limit)
		}
		g, err := s.Chain(n)
		if err != nil {
			return err
		}
		x, err := p.dev.Compile(p.ctx, g, hal.CompileOptions{})
		if err != nil {
			return err
		}
		r.Defer(x.Close)
		args, _, _, err := s.Args(p.ctx, r, 1)
		if err != nil {
			return err
		}
		failed := make(chan error, 1)
		started := make(chan struct{})
		go func() {
			for i := 0; ; i++ {
				if err := r.Do(p.ctx, hal.Cmd{Op: hal.Run, Exec: x, Args: args}); err != nil {
					failed <- err
					return
				}
				if i == 2 {
					close(started)
				}
			}
		}()
		select {
		case <-started:
		case err := <-failed:
			return err
		}
		return p.lostSoon("a run", func() error { return <-failed })
	})
}

// killCompiling kills while others compile and allocate.
func killCompiling(p *patient) error {
	s, err := rig.Simplest(p.dev)
	if err != nil {
		return err
	}
	const n = 4
	errs := make(chan error, n)
	for i := range n {
		go func() {
			for {
				var err error
				if i%2 == 0 {
					var x *hal.Executable
					if x, err = p.dev.Compile(p.ctx, s.Graph, hal.CompileOptions{}); err == nil {
						err = x.Close()
					}
				} else {
					var b *hal.Buffer
					if b, err = p.dev.Alloc(p.ctx, 1<<16); err == nil {
						err = b.Close()
					}
				}
				if err != nil {
					errs <- err
					return
				}
			}
		}()
	}
	time.Sleep(20 * time.Millisecond)
	return p.lostSoon("those that compile and allocate", func() error {
		var first error
		for range n {
			err := <-errs
			if !errors.Is(err, hal.ErrDeviceLost) {
				return fmt.Errorf("one of them was told %w", err)
			}
			first = err
		}
		return first
	})
}

// usesAfter uses everything after the loss: it is lost, not closed, and the
// host's view of memory holds what it held.
func usesAfter(p *patient) error {
	return p.onRig(func(r *rig.Rig) error {
		s, err := rig.Simplest(p.dev)
		if err != nil {
			return err
		}
		x, err := s.Compile(p.ctx, r)
		if err != nil {
			return err
		}
		content := rig.Noise(1, 5000)
		buf, err := r.Filled(p.ctx, content)
		if err != nil {
			return err
		}
		t, err := r.Queue.NewTimeline(0)
		if err != nil {
			return err
		}
		if err := p.lostSoon("a queue", func() error {
			for {
				if err := r.Do(p.ctx); err != nil {
					return err
				}
			}
		}); err != nil {
			return err
		}
		if host, ok := buf.Bytes(); ok {
			if err := rig.Same("memory of a lost device", host, content); err != nil {
				return err
			}
			host[0]++ // it is the app's own to write
		}
		_, supports := p.dev.Supports(s.Graph)
		_, value := t.Value()
		for what, err := range map[string]error{
			"Supports":  supports,
			"Value":     value,
			"Signal":    t.Signal(1),
			"Wait":      t.Wait(p.ctx, 1),
			"Alloc":     errOf(p.dev.Alloc(p.ctx, 64)),
			"Compile":   errOf(p.dev.Compile(p.ctx, s.Graph, hal.CompileOptions{})),
			"NewQueue":  errOf(p.dev.NewQueue(hal.QueueOptions{})),
			"Submit":    r.Queue.Submit(p.ctx, &hal.Batch{}),
			"a run":     r.Do(p.ctx, hal.Cmd{Op: hal.Run, Exec: x}),
			"a fill":    r.Do(p.ctx, hal.Cmd{Op: hal.Fill, Dst: buf.All()}),
			"timelines": errOf(r.Queue.NewTimeline(0)),
		} {
			if err := rig.Refused(what+" of a lost device", err, hal.ErrDeviceLost); err != nil {
				return err
			}
		}
		return nil
	})
}

func errOf[T any](_ T, err error) error { return err }

// neighbour kills one of two devices, which the other one waits for.
func neighbour(p *patient) error {
	other, err := open(p.ctx, p.env)
	if err != nil {
		return err
	}
	defer other.dev.Close()
	if other.proc.Pid == p.proc.Pid {
		return fmt.Errorf("two devices are in one process, %d", p.proc.Pid)
	}
	return other.onRig(func(there *rig.Rig) error {
		return p.onRig(func(here *rig.Rig) error {
			t, err := here.Queue.NewTimeline(0)
			if err != nil {
				return err
			}
			u, err := there.Queue.NewTimeline(0)
			if err != nil {
				return err
			}
			if err := there.Queue.Submit(p.ctx, &hal.Batch{Wait: []hal.Point{{T: t, V: 1}}, Signal: []hal.Point{{T: u, V: 1}}}); err != nil {
				return err
			}
			if err := p.lostSoon("a waiter of the device that was killed", func() error { return t.Wait(p.ctx, 1) }); err != nil {
				return err
			}
			err = p.within("a batch of another device that waits for it", func() error { return u.Wait(p.ctx, 1) })
			if err := rig.Refused("a batch of another device that waits for it", err, hal.ErrDeviceLost); err != nil {
				return err
			}
			if lost := other.dev.Lost(); lost != nil {
				return fmt.Errorf("the other device counts as lost: %w", lost)
			}
			return rig.Works(p.ctx, other.dev)
		})
	})
}

// killCycles opens, runs, kills and closes: nothing is left behind.
func killCycles(ctx context.Context, e *suite.Env) error {
	round := func() error {
		p, err := open(ctx, e)
		if err != nil {
			return err
		}
		err = rig.Works(ctx, p.dev)
		if err == nil {
			err = p.onRig(func(r *rig.Rig) error {
				if _, err := r.Filled(ctx, make([]byte, 1<<16)); err != nil {
					return err
				}
				if err := p.proc.Kill(); err != nil {
					return err
				}
				return p.within("a queue of a killed process", func() error {
					for {
						if err := r.Do(ctx); err != nil {
							return rig.Refused("a batch", err, hal.ErrDeviceLost)
						}
					}
				})
			})
		}
		_ = p.dev.Close()
		return err
	}
	return rig.Cycles(ctx, e, 200, 16<<10, "killing", round)
}

// stopped stops the process: it is there and does nothing. That takes a while
// to be noticed, and is noticed.
func stopped(p *patient) error {
	return p.onRig(func(r *rig.Rig) error {
		if err := r.Do(p.ctx); err != nil {
			return err
		}
		if err := stop(p.proc); err != nil {
			return err
		}
		start := time.Now()
		done := make(chan error, 1)
		go func() {
			for { // the signal takes a moment to arrive
				if err := r.Do(p.ctx); err != nil {
					done <- err
					return
				}
			}
		}()
		select {
		case err := <-done:
			p.env.Note("told %v after the process was stopped", time.Since(start).Round(time.Millisecond))
			return rig.Refused("a batch of a stopped process", err, hal.ErrDeviceLost)
		case <-time.After(75 * time.Second):
			return errors.Join(errors.New("a process that was stopped is not noticed"), p.proc.Kill())
		}
	})
}

// garbage sends a host process frames that are changed, repeated, left out or
// exchanged.
func garbage(ctx context.Context, e *suite.Env) error {
	p, err := open(ctx, e)
	if err != nil {
		return err
	}
	s, err := rig.Simplest(p.dev)
	if err := errors.Join(err, p.dev.Close()); err != nil {
		return err
	}
	device, _, _ := strings.Cut(e.Name, "?")
	name, id, _ := strings.Cut(device, ":")
	const sessions = 10_000
	rep, err := isolate.Attack(ctx, name, id, e.Driver, isolate.Options{NoBackoff: true}, s.Graph, graph.Data(nil), sessions, 1+e.Seed)
	if err != nil {
		return err
	}
	e.Note("%d sessions with changed frames, %d of them were broken off", rep.Sessions, rep.Refused)
	if rep.Sessions != sessions || rep.Refused == 0 {
		return fmt.Errorf("of %d sessions %d were played and %d broken off", sessions, rep.Sessions, rep.Refused)
	}
	return nil
}
