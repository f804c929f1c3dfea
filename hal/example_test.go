package hal_test

import (
	"context"
	"errors"
	"fmt"

	_ "github.com/heddle-ml/heddle/drivers/null" // a program chooses its drivers by importing them
	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/hal/driver"
	"github.com/heddle-ml/heddle/ops"
)

// Everything between a graph and its result. The null device computes
// nothing: with another name the output would not be zero.
func Example() {
	ctx := context.Background()
	dev, err := hal.Open(ctx, "null")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer dev.Close()

	b := graph.NewBuilder("double", ops.Standard)
	x := b.Input("x", graph.OfInts(enc.U8, 3))
	b.Output("y", b.Op("Add", []graph.ValueID{x, x}))
	g, err := b.Build()
	if err != nil {
		fmt.Println(err)
		return
	}
	exe, err := dev.Compile(ctx, g, hal.CompileOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer exe.Close()

	buf, err := dev.Alloc(ctx, 128)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer buf.Close()
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
	y := []byte{9, 9, 9}
	args := make([]hal.Region, len(exe.Bindings()))
	args[exe.Index(driver.RoleInput, "x")] = buf.At(0, 3)
	args[exe.Index(driver.RoleOutput, "y")] = buf.At(64, 3)
	err = q.Submit(ctx, &hal.Batch{
		Cmds: []hal.Cmd{
			{Op: hal.Upload, Dst: buf.At(0, 3), Host: []byte{1, 2, 3}},
			{Op: hal.Run, Exec: exe, Args: args},
			{Op: hal.Download, Src: buf.At(64, 3), Host: y},
		},
		Signal: []hal.Point{{T: done, V: 1}},
	})
	if err == nil {
		err = done.Wait(ctx, 1)
	}
	fmt.Println(y, err)
	// Output: [0 0 0] <nil>
}

func ExampleOpen_errors() {
	r := hal.NewRegistry(newFake("cpu"), newFake("vulkan"))
	_, err := r.Open(context.Background(), "npu:0")
	fmt.Println(err)
	fmt.Println(errors.Is(err, hal.ErrUnavailable))
	_, err = r.Open(context.Background(), "cpu?threads=many")
	fmt.Println(err)
	// Output:
	// npu: open: there is no such driver in this program; it has cpu, vulkan: unavailable
	// true
	// cpu: open: option threads="many": want a number from 1 to 1024: invalid argument
}
