package lifecycle

import (
	"context"
	"fmt"
	"time"

	"github.com/heddle-ml/heddle/conformance/internal/rig"
	"github.com/heddle-ml/heddle/conformance/internal/suite"
	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/hal/driver"
)

func cycleCases() []suite.Case {
	onOne := func(n int, perRound int64, what string, f func(ctx context.Context, d *hal.Device) error) func(context.Context, *suite.Env) error {
		return func(ctx context.Context, e *suite.Env) error {
			return onAnother(ctx, e, func(d *hal.Device, _ driver.Device) error {
				return rig.Cycles(ctx, e, n, perRound, what, func() error { return f(ctx, d) })
			})
		}
	}
	list := []suite.Case{
		skeleton("cycles.open", func(ctx context.Context, e *suite.Env) error {
			return rig.Cycles(ctx, e, 1000, 4096, "opening and closing", func() error {
				return onAnother(ctx, e, func(*hal.Device, driver.Device) error { return nil })
			})
		}),
		skeleton("cycles.open_used", func(ctx context.Context, e *suite.Env) error {
			return rig.Cycles(ctx, e, 250, 8192, "opening, using and closing", func() error {
				return onAnother(ctx, e, func(d *hal.Device, _ driver.Device) error { return works(ctx, d) })
			})
		}),
		skeleton("cycles.queues", onOne(1000, 2048, "making and closing a queue", func(ctx context.Context, d *hal.Device) error {
			return rig.On(d, func(r *rig.Rig) error { return r.Do(ctx) })
		})),
		skeleton("cycles.executables", onOne(500, 4096, "compiling, running and closing", works)),
		skeleton("cycles.runs", runCycles),
		skeleton("cycles.timelines", timelineCycles),
		skeleton("cycles.failures", onOne(300, 4096, "failing a batch", failOnce)),
	}
	for i := range list {
		list[i].Alone = true
	}
	return list
}

// runCycles runs one executable many times.
func runCycles(ctx context.Context, e *suite.Env) error {
	return rig.OnBare(ctx, e, func(r *rig.Rig) error {
		s, err := rig.Simplest(r.Device)
		if err != nil {
			return err
		}
		x, err := s.Compile(ctx, r)
		if err != nil {
			return err
		}
		args, _, _, err := s.Args(ctx, r, 1)
		if err != nil {
			return err
		}
		return rig.Cycles(ctx, e, 3000, 512, "running", func() error { return r.Do(ctx, hal.Cmd{Op: hal.Run, Exec: x, Args: args}) })
	})
}

// timelineCycles makes timelines and forgets them: they have no Close.
func timelineCycles(ctx context.Context, e *suite.Env) error {
	return rig.OnBare(ctx, e, func(r *rig.Rig) error {
		return rig.Cycles(ctx, e, 5000, 1024, "making a timeline", func() error {
			t, err := r.Queue.NewTimeline(3)
			if err != nil {
				return err
			}
			if err := r.Queue.Submit(ctx, &hal.Batch{Signal: []hal.Point{{T: t, V: 4}}}); err != nil {
				return err
			}
			return t.Wait(ctx, 4)
		})
	})
}

// failOnce has a batch fail, and waits for it with a context that ends.
func failOnce(ctx context.Context, d *hal.Device) error {
	return rig.On(d, func(r *rig.Rig) error {
		gate, err := r.Queue.NewTimeline(0)
		if err != nil {
			return err
		}
		t, err := r.Queue.NewTimeline(0)
		if err != nil {
			return err
		}
		if err := r.Queue.Submit(ctx, &hal.Batch{Wait: []hal.Point{{T: gate, V: 1}}, Signal: []hal.Point{{T: t, V: 1}}}); err != nil {
			return err
		}
		brief, cancel := context.WithTimeout(ctx, 50*time.Microsecond)
		err = t.Wait(brief, 1)
		cancel()
		if err := rig.Refused("a wait that ran out of time", err, context.DeadlineExceeded); err != nil {
			return err
		}
		gate.Fail(fmt.Errorf("the case says so: %w", hal.ErrTimeout))
		return rig.Refused("a batch whose wait failed", t.Wait(ctx, 1), hal.ErrTimeout)
	})
}
