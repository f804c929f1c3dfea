package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/heddle-ml/heddle/conformance/internal/rig"
	"github.com/heddle-ml/heddle/conformance/internal/suite"
	"github.com/heddle-ml/heddle/hal/driver"
)

func driverCases() []suite.Case {
	return []suite.Case{
		skeleton("driver.info", info),
		skeleton("driver.probe", probe),
		skeleton("driver.probe_together", probeTogether),
		skeleton("driver.probe_cancelled", probeCancelled),
		{ID: "lifecycle.driver.probe_time", Profiles: suite.Skeleton, Alone: true, Run: probeTime},
		{ID: "lifecycle.driver.probe_leaks", Profiles: suite.Skeleton, Alone: true, Run: probeLeaks},
	}
}

// info sees that the driver introduces itself, always in the same way.
func info(_ context.Context, e *suite.Env) error {
	first := e.Driver.Info()
	for what, s := range map[string]string{"name": first.Name, "vendor": first.Vendor, "version": first.Version, "summary": first.Summary} {
		if s == "" || !utf8.ValidString(s) || strings.ContainsAny(s, "\n\x00") {
			return fmt.Errorf("the driver's %s is %q: want one line of text", what, s)
		}
	}
	if strings.ContainsAny(first.Name, ":?,= ") {
		return fmt.Errorf("the driver's name is %q: it cannot be part of a device's name", first.Name)
	}
	for range 100 {
		if now := e.Driver.Info(); now != first {
			return fmt.Errorf("now Info answers %+v, before that %+v", now, first)
		}
	}
	return nil
}

// probe asks twice: the same devices, each with a name of its own.
func probe(ctx context.Context, e *suite.Env) error {
	first, err := e.Driver.Probe(ctx)
	if errors.Is(err, driver.ErrUnavailable) {
		// A driver whose devices are named by path finds none by itself.
		e.Note("Probe finds no device: %v", err)
		return nil
	}
	if err != nil {
		return rig.Refused("Probe", err, driver.ErrUnavailable)
	}
	seen := map[string]bool{}
	for i, d := range first {
		if d.ID == "" || seen[d.ID] || d.Kind == "" || d.Model == "" {
			return fmt.Errorf("device %d has ID %q, kind %q and model %q: want an ID of its own and the rest", i, d.ID, d.Kind, d.Model)
		}
		seen[d.ID] = true
	}
	again, err := e.Driver.Probe(ctx)
	if err != nil {
		return err
	}
	if !slices.Equal(first, again) {
		return fmt.Errorf("first Probe finds %v, and then %v", first, again)
	}
	return nil
}

// probeTogether probes from several goroutines while a device is in use.
func probeTogether(ctx context.Context, e *suite.Env) error {
	first, ferr := e.Driver.Probe(ctx)
	const n = 8
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			devs, err := e.Driver.Probe(ctx)
			if (err == nil) != (ferr == nil) || !slices.Equal(devs, first) {
				errs[i] = fmt.Errorf("when alone, Probe finds %v (%v), and with others %v (%v)", first, ferr, devs, err)
			}
		})
	}
	err := rig.Works(ctx, e.Device)
	wg.Wait()
	return errors.Join(append(errs, err)...)
}

// probeCancelled probes with a context that is over: it returns.
func probeCancelled(ctx context.Context, e *suite.Env) error {
	over, cancel := context.WithCancel(ctx)
	cancel()
	done := make(chan error, 1)
	go func() {
		_, err := e.Driver.Probe(over)
		done <- err
	}()
	select {
	case err := <-done:
		if err != nil {
			return rig.Refused("Probe with a context that is over", err, context.Canceled, driver.ErrUnavailable)
		}
		return nil
	case <-time.After(10 * time.Second):
		return errors.New("with a context that is over, Probe does not return")
	}
}

// probeTime measures. The contract says 50 ms; a busy machine may be slower,
// so only ten times as much fails.
func probeTime(ctx context.Context, e *suite.Env) error {
	const n, allowed, limit = 9, 50 * time.Millisecond, 500 * time.Millisecond
	times := make([]time.Duration, n)
	for i := range times {
		start := time.Now()
		if _, err := e.Driver.Probe(ctx); err != nil && !errors.Is(err, driver.ErrUnavailable) {
			return err
		}
		times[i] = time.Since(start)
	}
	slices.Sort(times)
	median := times[n/2]
	e.Note("Probe takes %v (median of %d; allowed are %v)", median, n, allowed)
	if median > limit {
		return fmt.Errorf("a call of Probe takes %v, the contract allows %v", median, allowed)
	}
	return nil
}

// probeLeaks asks many times: nothing stays behind.
func probeLeaks(ctx context.Context, e *suite.Env) error {
	round := func() error {
		_ = e.Driver.Info()
		_, _ = e.Driver.Probe(ctx) // no device is no leak
		return nil
	}
	return rig.Cycles(ctx, e, 200, 1024, "probing", round)
}
