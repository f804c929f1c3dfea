package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/heddle-ml/heddle/conformance/internal/rig"
	"github.com/heddle-ml/heddle/conformance/internal/suite"
	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/hal/driver"
)

func openCases() []suite.Case {
	return []suite.Case{
		skeleton("open.unknown_device", unknownDevice),
		skeleton("open.unknown_option", unknownOption),
		skeleton("open.cancelled", openCancelled),
		skeleton("open.two", two),
		skeleton("open.several_at_once", several),
	}
}

var works = rig.Works

// onAnother calls f with another device without validation. Where only one can
// be open, f is not called, and a note says so.
func onAnother(ctx context.Context, e *suite.Env, f func(d *hal.Device, dd driver.Device) error) error {
	d, dd, err := e.Bare(ctx)
	if errors.Is(err, hal.ErrUnavailable) {
		e.Note("no second device can be opened: %v", err)
		return nil
	}
	if err != nil {
		return err
	}
	err = f(d, dd)
	return errors.Join(err, d.Close())
}

// unknownDevice opens devices that there are not.
func unknownDevice(ctx context.Context, e *suite.Env) error {
	for _, id := range []string{"no-such-device", "-1", "99999", "\x00", "/no/such/file.so", "0 ", "ü", strings.Repeat("9", 5000)} {
		d, err := e.Driver.Open(ctx, id, driver.OpenOptions{})
		if err == nil {
			return errors.Join(fmt.Errorf("the device %.40q was opened", id), d.Close())
		}
		if err := rig.Refused(fmt.Sprintf("the device %.40q", id), err, driver.ErrUnavailable, driver.ErrUnsupported); err != nil {
			return err
		}
	}
	return works(ctx, e.Device)
}

// unknownOption opens the device with options that it does not know: a typing
// error must not go unnoticed.
func unknownOption(ctx context.Context, e *suite.Env) error {
	for _, o := range []string{"no_such_option=1", "colour=green", "="} {
		d, err := e.Open(ctx, o)
		if err == nil {
			return errors.Join(fmt.Errorf("the option %q was accepted", o), d.Close())
		}
		if err := rig.Refused(fmt.Sprintf("the option %q", o), err, driver.ErrUnsupported, driver.ErrUnavailable, hal.ErrInvalidArgument); err != nil {
			return err
		}
	}
	return nil
}

// openCancelled opens with a context that is over: a device or its error.
func openCancelled(ctx context.Context, e *suite.Env) error {
	over, cancel := context.WithCancel(ctx)
	cancel()
	d, _, err := e.Bare(over)
	if err == nil {
		return errors.Join(works(ctx, d), d.Close())
	}
	return rig.Refused("Open with a context that is over", err, context.Canceled, hal.ErrUnavailable)
}

// two uses two devices in turns. What happens to one does not concern the
// other; one goes, the other stays.
func two(ctx context.Context, e *suite.Env) error {
	return onAnother(ctx, e, func(a *hal.Device, _ driver.Device) error {
		return onAnother(ctx, e, func(b *hal.Device, _ driver.Device) error {
			if err := pair(ctx, a, b); err != nil {
				return err
			}
			if err := a.Close(); err != nil {
				return fmt.Errorf("closing the first of two devices: %w", err)
			}
			if err := works(ctx, b); err != nil {
				return fmt.Errorf("the second of two devices, once the first was closed: %w", err)
			}
			return rig.Refused("a queue of the closed one", errOf(a.NewQueue(hal.QueueOptions{})), hal.ErrClosed)
		})
	})
}

func errOf[T any](_ T, err error) error { return err }

// pair runs on two devices in turns, with buffers of equal sizes.
func pair(ctx context.Context, a, b *hal.Device) error {
	return rig.On(a, func(ra *rig.Rig) error {
		return rig.On(b, func(rb *rig.Rig) error {
			sa, err := rig.Simplest(a)
			if err != nil {
				return err
			}
			xa, err := sa.Compile(ctx, ra)
			if err != nil {
				return err
			}
			xb, err := sa.Compile(ctx, rb)
			if err != nil {
				return err
			}
			argsA, inA, beforeA, err := sa.Args(ctx, ra, 1)
			if err != nil {
				return err
			}
			argsB, inB, beforeB, err := sa.Args(ctx, rb, 2)
			if err != nil {
				return err
			}
			for round := range 5 {
				if err := ra.Do(ctx, hal.Cmd{Op: hal.Run, Exec: xa, Args: argsA}); err != nil {
					return err
				}
				if err := rb.Do(ctx, hal.Cmd{Op: hal.Run, Exec: xb, Args: argsB}); err != nil {
					return err
				}
				gotA, err := ra.Read(ctx, argsA[sa.Inputs])
				if err != nil {
					return err
				}
				gotB, err := rb.Read(ctx, argsB[sa.Inputs])
				if err != nil {
					return err
				}
				what := fmt.Sprintf("two devices in turns, round %d", round+1)
				if err := errors.Join(sa.Check(what+", the first", gotA, beforeA, inA...), sa.Check(what+", the second", gotB, beforeB, inB...)); err != nil {
					return err
				}
			}
			for what, c := range map[string]hal.Cmd{
				"another device's executable": {Op: hal.Run, Exec: xb, Args: argsA},
				"another device's argument":   {Op: hal.Run, Exec: xa, Args: append(argsA[:len(argsA)-1:len(argsA)-1], argsB[sa.Inputs])},
				"another device's source":     {Op: hal.Copy, Dst: argsA[0], Src: argsB[0]},
				"another device's target":     {Op: hal.Fill, Dst: argsB[0]},
			} {
				if err := rig.Refused(what, ra.Do(ctx, c), hal.ErrInvalidArgument); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// several opens, uses and closes devices from several goroutines.
func several(ctx context.Context, e *suite.Env) error {
	const n = 4
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			for range 3 {
				if errs[i] = onAnother(ctx, e, func(d *hal.Device, _ driver.Device) error { return works(ctx, d) }); errs[i] != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}
