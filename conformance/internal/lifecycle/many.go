package lifecycle

import (
	"context"
	"errors"
	"fmt"

	"github.com/heddle-ml/heddle/conformance/internal/rig"
	"github.com/heddle-ml/heddle/conformance/internal/suite"
	"github.com/heddle-ml/heddle/hal"
)

func manyCases() []suite.Case {
	return []suite.Case{
		skeleton("many.queues", manyQueues),
		skeleton("many.executables", manyExecutables),
		skeleton("many.executables_kept", keptExecutable),
	}
}

// manyQueues makes as many as are promised, or 32, uses them all, and asks for
// more than are promised.
func manyQueues(ctx context.Context, e *suite.Env) error {
	return rig.OnBare(ctx, e, func(r *rig.Rig) error {
		limit := e.Caps.Queues.Max
		n := 31
		if limit > 0 {
			n = min(n, limit-1) // the rig has one
		}
		src := rig.Noise(1, 1024)
		from, err := r.Filled(ctx, src)
		if err != nil {
			return err
		}
		for i := range n {
			q, err := r.NewQueue()
			if err != nil {
				return fmt.Errorf("queue %d of %d: %w", i+2, limit, err)
			}
			t, err := q.NewTimeline(0)
			if err != nil {
				return err
			}
			to, err := r.Alloc(ctx, 1024)
			if err != nil {
				return err
			}
			if err := q.Submit(ctx, &hal.Batch{Cmds: []hal.Cmd{{Op: hal.Copy, Dst: to.All(), Src: from.All()}}, Signal: []hal.Point{{T: t, V: 1}}}); err != nil {
				return err
			}
			if err := t.Wait(ctx, 1); err != nil {
				return err
			}
			if err := r.Expect(ctx, fmt.Sprintf("what queue %d copied", i+2), to.All(), src); err != nil {
				return err
			}
		}
		if limit == 0 || limit > 32 {
			return nil
		}
		q, err := r.NewQueue()
		if err == nil {
			return errors.Join(fmt.Errorf("%d queues are the limit, and there is one more", limit), q.Close())
		}
		return rig.Refused("one queue too many", err, hal.ErrUnavailable, hal.ErrUnsupported, hal.ErrOutOfMemory)
	})
}

// manyExecutables keeps as many as are promised, or 48, and runs them all.
func manyExecutables(ctx context.Context, e *suite.Env) error {
	return rig.OnBare(ctx, e, func(r *rig.Rig) error {
		s, err := rig.Simplest(r.Device)
		if err != nil {
			return err
		}
		limit := e.Caps.Limits.Executables
		n := 48
		if limit > 0 {
			n = min(n, limit)
		}
		xs := make([]*hal.Executable, n)
		for i := range xs {
			if xs[i], err = s.Compile(ctx, r); err != nil {
				return fmt.Errorf("executable %d of %d: %w", i+1, limit, err)
			}
			if f := xs[i].Footprint(); f.Weights < 0 || f.Mapped < 0 || f.Scratch < 0 {
				return fmt.Errorf("executable %d occupies %+v bytes", i+1, f)
			}
		}
		for i, x := range xs {
			if err := s.Run(ctx, r, x, uint64(i)); err != nil {
				return fmt.Errorf("executable %d of %d: %w", i+1, n, err)
			}
		}
		if limit == 0 || limit > n {
			return nil
		}
		_, err = s.Compile(ctx, r)
		return rig.Refused("one executable too many", err, hal.ErrUnavailable, hal.ErrUnsupported, hal.ErrOutOfMemory)
	})
}

// keptExecutable compiles one graph several times and closes all but one: that
// one goes on.
func keptExecutable(ctx context.Context, e *suite.Env) error {
	return rig.On(e.Device, func(r *rig.Rig) error {
		s, err := rig.Simplest(r.Device)
		if err != nil {
			return err
		}
		kept, err := s.Compile(ctx, r)
		if err != nil {
			return err
		}
		for i := range 5 {
			x, err := r.Device.Compile(ctx, s.Graph, hal.CompileOptions{})
			if err != nil {
				return err
			}
			if i%2 == 0 {
				err = s.Run(ctx, r, x, 9)
			}
			if err := errors.Join(err, x.Close()); err != nil {
				return err
			}
			if err := s.Run(ctx, r, kept, uint64(i)); err != nil {
				return fmt.Errorf("an executable, when another one of its graph was closed: %w", err)
			}
		}
		return nil
	})
}
