package fault_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/heddle-ml/heddle/drivers/cpu"
	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/hal/fault"
)

// A device that is lost when it gets its first batch, as a program sees it.
func Example() {
	ctx := context.Background()
	f, err := fault.Parse("lost:times=1")
	if err != nil {
		fmt.Println(err)
		return
	}
	devices := hal.NewRegistry(fault.Driver(cpu.Driver{}, f))
	for range 2 {
		dev, err := devices.Open(ctx, "cpu")
		if err != nil {
			fmt.Println(err)
			return
		}
		defer dev.Close()
		q, err := dev.NewQueue(hal.QueueOptions{})
		if err != nil {
			fmt.Println(err)
			return
		}
		defer q.Close()
		done, err := q.NewTimeline(0)
		if err != nil {
			fmt.Println(err)
			return
		}
		if err := q.Submit(ctx, &hal.Batch{Signal: []hal.Point{{T: done, V: 1}}}); err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println("lost:", errors.Is(done.Wait(ctx, 1), hal.ErrDeviceLost))
	}
	// Output:
	// lost: true
	// lost: false
}
