package validate

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/heddle-ml/heddle/hal/driver"
)

// grace is how long a wait may outlive its context.
const grace = 5 * time.Second

type timeline struct {
	d  *device
	in driver.Timeline

	mu   sync.Mutex
	high uint64 // the greatest value seen
	err  error  // the failure seen first
}

// seen is what was known of a timeline at some time.
func (t *timeline) seen() (high uint64, failed error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.high, t.err
}

// look asks for the value and compares it with what was known before.
func (t *timeline) look() (uint64, error) {
	high, failed := t.seen()
	v, err := t.in.Value()
	t.mu.Lock()
	defer t.mu.Unlock()
	// What is seen is remembered even where it is wrong, to say it once.
	switch {
	case err != nil && failed != nil && err.Error() != failed.Error():
		t.err = err
		return v, t.d.rec.add(RuleTimeline, "a timeline failed with %q and later with %q: the first failure sticks", failed, err)
	case err != nil:
		t.err = err
	case failed != nil:
		t.err = nil
		return v, t.d.rec.add(RuleTimeline, "a timeline that had failed (%v) has value %d again", failed, v)
	case v < high:
		t.high = v
		return v, t.d.rec.add(RuleTimeline, "a timeline went back from %d to %d", high, v)
	default:
		t.high = max(t.high, v)
	}
	return v, err
}

// Value returns the value, or the failure.
func (t *timeline) Value() (uint64, error) { return t.look() }

// Signal raises the value.
func (t *timeline) Signal(v uint64) error {
	high, failed := t.seen()
	if err := t.in.Signal(v); err != nil {
		return err
	}
	if failed != nil {
		return t.d.rec.add(RuleTimeline, "a timeline that had failed (%v) took signal %d", failed, v)
	}
	if v <= high {
		return t.d.rec.add(RuleTimeline, "a timeline at %d took signal %d: values only grow", high, v)
	}
	now, err := t.look()
	if err == nil && now < v {
		return t.d.rec.add(RuleTimeline, "a timeline signalled to %d is at %d", v, now)
	}
	return nil
}

// Wait waits, and sees that there was a reason to return.
func (t *timeline) Wait(ctx context.Context, v uint64) error {
	done := make(chan error, 1)
	go func() {
		done <- callErr(t.d.rec, "Wait", func() error { return t.in.Wait(ctx, v) })
	}()
	var err error
	select {
	case err = <-done:
	case <-ctx.Done():
		select {
		case err = <-done:
		case <-time.After(grace):
			return t.d.rec.add(RuleStall, "Wait goes on %v after its context ended", grace)
		}
	}
	if err != nil {
		var v *Violation
		if !errors.As(err, &v) && (ctx.Err() == nil || !errors.Is(err, ctx.Err())) {
			if _, failure := t.look(); failure == nil {
				return t.d.rec.add(RuleTimeline, "Wait returned %q, but the timeline has not failed", err)
			}
		}
		return err
	}
	if now, failure := t.look(); failure == nil && now < v {
		return t.d.rec.add(RuleTimeline, "Wait for %d returned at %d", v, now)
	}
	return nil
}

// Fail makes err the answer to every call.
func (t *timeline) Fail(err error) {
	_ = callErr(t.d.rec, "Fail", func() error {
		t.in.Fail(err)
		return nil
	})
	if _, failed := t.look(); failed == nil {
		t.d.rec.add(RuleTimeline, "a timeline that was failed with %q goes on", err)
	}
}
