package hal_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/drivers/cpu"
	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/hal/fault"
)

// A driver that takes up what it lost keeps nobody waiting: lost stays lost.
func TestWaitingForALostDevice(t *testing.T) {
	dev := openIn(t, hal.NewRegistry(fault.Driver(cpu.Driver{}, fault.Fault{Kind: fault.Revive, After: 1, Times: 1})), "cpu")
	q, err := dev.NewQueue(hal.QueueOptions{})
	require.NoError(t, err)
	defer q.Close()
	gate, err := q.NewTimeline(0)
	require.NoError(t, err)
	tl, err := q.NewTimeline(3)
	require.NoError(t, err)
	require.NoError(t, q.Submit(within(t), &hal.Batch{Wait: []hal.Point{{T: gate, V: 1}}}))
	require.NoError(t, q.Submit(within(t), &hal.Batch{Signal: []hal.Point{{T: tl, V: 4}}}))
	heard := make(chan error)
	go func() { heard <- tl.Wait(context.Background(), 4) }()
	time.Sleep(20 * time.Millisecond) // until it waits
	require.NoError(t, gate.Signal(1))
	require.ErrorIs(t, <-heard, hal.ErrDeviceLost)

	// The driver's timeline is at 3 again, and works. Nothing will raise it.
	start := time.Now()
	require.ErrorIs(t, tl.Wait(within(t), 4), hal.ErrDeviceLost)
	require.Less(t, time.Since(start), 10*time.Second)
	require.NoError(t, tl.Wait(within(t), 3), "that was reached")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, tl.Wait(ended, 4), context.Canceled)
	require.ErrorIs(t, q.Submit(within(t), &hal.Batch{}), hal.ErrDeviceLost)
}
