package sync

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/heddle-ml/heddle/conformance/internal/rig"
	"github.com/heddle-ml/heddle/conformance/internal/suite"
	"github.com/heddle-ml/heddle/hal"
)

// Cases returns the cases of the group.
func Cases() []suite.Case {
	return slices.Concat(timelineCases(), orderCases(), failureCases(), endCases(), crowdCases(), dagCases())
}

// bench is what a case works on: a rig on a device, and shorthands that end
// the case at the first error.
type bench struct {
	*rig.Rig
	ctx context.Context
	env *suite.Env
}

// stop is what must panics with; see run.
type stop struct{ err error }

// must ends the case when err is not nil.
func must(err error) {
	if err != nil {
		panic(stop{err})
	}
}

// check ends the case unless ok.
func check(ok bool, format string, args ...any) {
	if !ok {
		panic(stop{fmt.Errorf(format, args...)})
	}
}

// run calls f and returns what must and check found. Not across goroutines.
func run(f func()) (err error) {
	defer func() {
		if p := recover(); p != nil {
			s, ok := p.(stop)
			if !ok {
				panic(p)
			}
			err = s.err
		}
	}()
	f()
	return nil
}

// bare is a case on a device of its own without validation.
func bare(id string, profiles suite.Profile, f func(b *bench)) suite.Case {
	return suite.Case{ID: "sync." + id, Profiles: profiles, Run: func(ctx context.Context, e *suite.Env) error {
		return rig.OnBare(ctx, e, func(r *rig.Rig) error {
			return run(func() { f(&bench{r, ctx, e}) })
		})
	}}
}

// both is a case on the validated device and on one without validation.
func both(id string, f func(b *bench)) suite.Case {
	c := bare(id, suite.Skeleton, f)
	plain := c.Run
	c.Run = func(ctx context.Context, e *suite.Env) error {
		if err := plain(ctx, e); err != nil {
			return err
		}
		err := rig.On(e.Device, func(r *rig.Rig) error {
			return run(func() { f(&bench{r, ctx, e}) })
		})
		if err != nil && !suite.IsUnsupported(err) {
			err = fmt.Errorf("with validation: %w", err)
		}
		return err
	}
	return c
}

// queues makes n queues besides the rig's, or fewer where the device has a
// limit. Below least there are none and a note says so.
func (b *bench) queues(n, least int) []*hal.Queue {
	if limit := b.Device.Caps().Queues.Max; limit > 0 {
		n = min(n, limit-1)
	}
	if n < least {
		b.env.Note("the device has %d queues at most: too few for this", b.Device.Caps().Queues.Max)
		return nil
	}
	out := make([]*hal.Queue, n)
	for i := range out {
		var err error
		out[i], err = b.NewQueue()
		must(err)
	}
	return out
}

// line makes a timeline.
func line(q *hal.Queue) *hal.Timeline {
	t, err := q.NewTimeline(0)
	must(err)
	return t
}

func (b *bench) alloc(n int64) *hal.Buffer {
	buf, err := b.Alloc(b.ctx, n)
	must(err)
	return buf
}

func (b *bench) filled(content []byte) *hal.Buffer {
	buf, err := b.Filled(b.ctx, content)
	must(err)
	return buf
}

func (b *bench) submit(q *hal.Queue, batch *hal.Batch) { must(q.Submit(b.ctx, batch)) }

// signals and waits make lists of points.
func at(t *hal.Timeline, v uint64) []hal.Point { return []hal.Point{{T: t, V: v}} }

// soon is how long anything may take that has nothing to wait for; short is
// how long a case looks whether something happens that must not.
const (
	soon  = 15 * time.Second
	short = 30 * time.Millisecond
)

// reached waits for a value that has to come.
func (b *bench) reached(what string, t *hal.Timeline, v uint64) {
	ctx, cancel := context.WithTimeout(b.ctx, soon)
	defer cancel()
	err := t.Wait(ctx, v)
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("it did not come within %v", soon)
	}
	if err != nil {
		panic(stop{fmt.Errorf("%s (value %d): %w", what, v, err)})
	}
}

// pending sees that a value is not there yet.
func pending(what string, t *hal.Timeline, below uint64) {
	v, err := t.Value()
	must(err)
	check(v < below, "%s: the timeline is at %d already", what, v)
}

// within calls f, which has to return soon, and before the case's time is over.
func (b *bench) within(what string, f func() error) error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return err
	case <-time.After(soon):
		panic(stop{fmt.Errorf("%s: no end after %v", what, soon)})
	case <-b.ctx.Done():
		panic(stop{fmt.Errorf("%s: no end when the case's time was over: %w", what, b.ctx.Err())})
	}
}
