package hal_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/hal/driver"
)

func TestErrorText(t *testing.T) {
	cause := errors.New("cause")
	for want, e := range map[string]*hal.Error{
		"hal: open: cause":                  {Op: "open", Err: cause},
		"cpu: probe: cause":                 {Op: "probe", Driver: "cpu", Err: cause},
		"cpu:1: alloc: cause":               {Op: "alloc", Driver: "cpu", Device: "cpu:1", Err: cause},
		"cpu:1: compile: node n (X): cause": {Op: "compile", Driver: "cpu", Device: "cpu:1", Node: "n (X)", Err: cause},
	} {
		require.EqualError(t, e, want)
		require.ErrorIs(t, e, cause)
	}
}

// The sentinels are the same at every layer, and survive it.
func TestSentinels(t *testing.T) {
	for portable, drivers := range map[error]error{
		hal.ErrUnsupported: driver.ErrUnsupported, hal.ErrUnavailable: driver.ErrUnavailable, hal.ErrOutOfMemory: driver.ErrOutOfMemory,
		hal.ErrDeviceLost: driver.ErrDeviceLost, hal.ErrTimeout: driver.ErrTimeout, hal.ErrIncompatible: driver.ErrIncompatible,
		hal.ErrClosed: driver.ErrClosed, hal.ErrInvalidGraph: graph.ErrInvalid,
	} {
		require.Same(t, drivers, portable)
		b := setup(t, "fake")
		b.f.fail(func(call string) error { return fmt.Errorf("%s: %w", call, drivers) })
		_, err := b.dev.Alloc(within(t), 1)
		require.ErrorIs(t, err, portable)
		var e *hal.Error
		require.ErrorAs(t, fmt.Errorf("app: %w", err), &e)
		require.Equal(t, "alloc", e.Op)
		require.Equal(t, "fake", e.Driver)
		require.Equal(t, "fake", e.Device)
		require.Empty(t, e.Node)
		if portable != hal.ErrDeviceLost { // which would be the answer to everything
			b.f.fail(nil)
			b.f.run = func(*driver.Cmd) error {
				return &graph.Error{Graph: "net", Node: "layer.1", Op: "Neg", Err: drivers}
			}
			err = b.do(b.run())
			require.ErrorIs(t, err, portable, "through the queue and the timeline")
			require.ErrorAs(t, err, &e)
			require.Equal(t, "wait", e.Op)
			require.Equal(t, "layer.1", e.Node)
		}
	}
}

func TestErrorsAreNotWrappedTwice(t *testing.T) {
	b := setup(t, "fake")
	b.tl.Fail(errors.New("boom"))
	_, first := b.tl.Value()
	tl, err := b.q.NewTimeline(0)
	require.NoError(t, err)
	tl.Fail(first) // an app that passes a failure on
	require.EqualError(t, tl.Wait(within(t), 1), "fake: timeline: boom")
}
