package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/heddle-ml/heddle/conformance/internal/rig"
	"github.com/heddle-ml/heddle/conformance/internal/suite"
	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/hal/driver"
)

func closedCases() []suite.Case {
	return []suite.Case{
		skeleton("closed.device", closedDevice),
		skeleton("closed.executable", closedExecutable),
		skeleton("closed.order", closedOrder),
		skeleton("closed.pending", closedPending),
		skeleton("closed.twice", closedTwice),
	}
}

// closedDevice uses a device after its end, in every way there is.
func closedDevice(ctx context.Context, e *suite.Env) error {
	return onAnother(ctx, e, func(d *hal.Device, _ driver.Device) error {
		s, err := rig.Simplest(d)
		if err != nil {
			return err
		}
		if err := works(ctx, d); err != nil {
			return err
		}
		if err := d.Close(); err != nil {
			return err
		}
		_, err = d.Supports(s.Graph)
		for what, err := range map[string]error{
			"Supports": err,
			"Alloc":    errOf(d.Alloc(ctx, 64)),
			"AllocOn":  errOf(d.AllocOn(ctx, 64, 0)),
			"Compile":  errOf(d.Compile(ctx, s.Graph, hal.CompileOptions{})),
			"NewQueue": errOf(d.NewQueue(hal.QueueOptions{})),
		} {
			if err := rig.Refused(what+" of a closed device", err, hal.ErrClosed); err != nil {
				return err
			}
		}
		if d.Caps() == nil || d.Caps().Fingerprint != e.Caps.Fingerprint {
			return errors.New("a closed device has lost its capabilities")
		}
		if d.Lost() != nil {
			return fmt.Errorf("a closed device counts as lost: %w", d.Lost())
		}
		return nil
	})
}

// closedExecutable runs what was closed.
func closedExecutable(ctx context.Context, e *suite.Env) error {
	return rig.On(e.Device, func(r *rig.Rig) error {
		s, err := rig.Simplest(r.Device)
		if err != nil {
			return err
		}
		x, err := r.Device.Compile(ctx, s.Graph, hal.CompileOptions{Label: "to be closed"})
		if err != nil {
			return err
		}
		if err := s.Run(ctx, r, x, 1); err != nil {
			return errors.Join(err, x.Close())
		}
		other, err := s.Compile(ctx, r)
		if err != nil {
			return errors.Join(err, x.Close())
		}
		for range 2 {
			if err := x.Close(); err != nil {
				return err
			}
		}
		args, _, _, err := s.Args(ctx, r, 2)
		if err != nil {
			return err
		}
		if err := rig.Refused("a run of a closed executable", r.Do(ctx, hal.Cmd{Op: hal.Run, Exec: x, Args: args}), hal.ErrClosed); err != nil {
			return err
		}
		return s.Run(ctx, r, other, 3) // of the same graph, and open
	})
}

// object is something that was made from a device and is used or closed after
// it.
type object struct {
	what string
	f    func() error
}

// closedOrder closes a device before what was made from it. That is a mistake,
// which may be an error, but no reason to crash or to hang; and it concerns no
// other device.
func closedOrder(ctx context.Context, e *suite.Env) error {
	return onAnother(ctx, e, func(d *hal.Device, _ driver.Device) error {
		r, err := rig.New(d)
		if err != nil {
			return err
		}
		s, err := rig.Simplest(d)
		if err != nil {
			return err
		}
		x, err := d.Compile(ctx, s.Graph, hal.CompileOptions{})
		if err != nil {
			return err
		}
		if err := s.Run(ctx, r, x, 1); err != nil {
			return err
		}
		buf, err := d.Alloc(ctx, 64)
		if err != nil {
			return err
		}
		t, err := r.Queue.NewTimeline(0)
		if err != nil {
			return err
		}
		if err := within(ctx, "closing a device before what was made from it", d.Close); err != nil {
			e.Note("closing a device before what was made from it: %v", err)
		}
		err = r.Queue.Submit(ctx, &hal.Batch{Cmds: []hal.Cmd{{Op: hal.Fill, Dst: buf.All()}}, Signal: []hal.Point{{T: t, V: 1}}})
		if err := rig.Refused("a batch after the device was closed", err, hal.ErrClosed); err != nil {
			return err
		}
		for _, o := range []object{
			{"the value of a timeline", func() error { return errOf(t.Value()) }},
			{"closing a buffer", buf.Close}, {"closing an executable", x.Close}, {"closing a queue and the rest", r.Close},
		} {
			// An error or none: whether it is too late is the driver's affair.
			_ = within(ctx, o.what+" after its device", o.f)
		}
		if lost := d.Lost(); lost != nil {
			return fmt.Errorf("what was closed after its device was the end of it: %w", lost)
		}
		return works(ctx, e.Device)
	})
}

// within calls f, which has to return.
func within(ctx context.Context, what string, f func() error) error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return err
	case <-time.After(15 * time.Second):
		return fmt.Errorf("%s does not end", what)
	case <-ctx.Done():
		return fmt.Errorf("%s does not end before the case's time is over: %w", what, ctx.Err())
	}
}

// closedPending closes queue and device while batches wait that nothing will
// release: their waiters are told.
func closedPending(ctx context.Context, e *suite.Env) error {
	return onAnother(ctx, e, func(d *hal.Device, _ driver.Device) error {
		var lines []*hal.Timeline
		err := rig.On(d, func(r *rig.Rig) error {
			gate, err := r.Queue.NewTimeline(0)
			if err != nil {
				return err
			}
			for range 4 {
				q, err := r.NewQueue()
				if err != nil {
					break // as many as there are
				}
				t, err := q.NewTimeline(0)
				if err != nil {
					return err
				}
				if err := q.Submit(ctx, &hal.Batch{Wait: []hal.Point{{T: gate, V: 1}}, Signal: []hal.Point{{T: t, V: 1}}}); err != nil {
					return err
				}
				lines = append(lines, t)
			}
			return nil
		})
		if err != nil {
			return err
		}
		if err := within(ctx, "closing a device whose queues had waited", d.Close); err != nil {
			return err
		}
		for _, t := range lines {
			err := within(ctx, "a waiter of a queue that was closed with its device", func() error { return t.Wait(ctx, 1) })
			if err := rig.Refused("a batch that waited when its queue was closed", err, hal.ErrClosed); err != nil {
				return err
			}
		}
		return nil
	})
}

// closedTwice closes everything twice: the second time does nothing.
func closedTwice(ctx context.Context, e *suite.Env) error {
	return onAnother(ctx, e, func(d *hal.Device, _ driver.Device) error {
		r, err := rig.New(d)
		if err != nil {
			return err
		}
		s, err := rig.Simplest(d)
		if err != nil {
			return err
		}
		x, err := d.Compile(ctx, s.Graph, hal.CompileOptions{})
		if err != nil {
			return err
		}
		buf, err := d.Alloc(ctx, 64)
		if err != nil {
			return err
		}
		for _, o := range []object{{"an executable", x.Close}, {"a buffer", buf.Close}, {"a queue", r.Queue.Close}, {"a device", d.Close}} {
			for _, time := range []string{"first", "second", "third"} {
				if err := within(ctx, "closing "+o.what, o.f); err != nil {
					return fmt.Errorf("closing %s for the %s time: %w", o.what, time, err)
				}
			}
		}
		return nil
	})
}
