package cpu_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"log"
	"math"

	"github.com/heddle-ml/heddle/drivers/cpu"
	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/ops"
)

// A graph is compiled once and run on buffers of the device.
func Example() {
	b := graph.NewBuilder("tiny", ops.Standard)
	x := b.Input("x", graph.OfInts(enc.F32, 2))
	w := b.Const("w", graph.F32([]int64{2, 3}, 1, 2, 3, 10, 20, 30))
	b.Output("y", b.Op("MatMul", []graph.ValueID{x, w}))
	g, err := b.Build()
	if err != nil {
		log.Fatal(err)
	}

	ctx := context.Background()
	dev, err := hal.NewRegistry(cpu.Driver{}).Open(ctx, "cpu?threads=2")
	if err != nil {
		log.Fatal(err)
	}
	defer dev.Close()
	exe, err := dev.Compile(ctx, g, hal.CompileOptions{})
	if err != nil {
		log.Fatal(err)
	}
	defer exe.Close()

	// One buffer for all arguments, each at a multiple of 64 bytes.
	buf, err := dev.Alloc(ctx, 128)
	if err != nil {
		log.Fatal(err)
	}
	defer buf.Close()
	bytes, _ := buf.Bytes()
	copy(bytes, graph.F32([]int64{2}, 1, 0.5).Data)

	q, err := dev.NewQueue(hal.QueueOptions{})
	if err != nil {
		log.Fatal(err)
	}
	defer q.Close()
	done, err := q.NewTimeline(0)
	if err != nil {
		log.Fatal(err)
	}
	err = q.Submit(ctx, &hal.Batch{
		Cmds:   []hal.Cmd{{Op: hal.Run, Exec: exe, Args: []hal.Region{buf.At(0, 8), buf.At(64, 12)}}},
		Signal: []hal.Point{{T: done, V: 1}},
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := done.Wait(ctx, 1); err != nil {
		log.Fatal(err)
	}
	for i := range 3 {
		fmt.Println(math.Float32frombits(binary.LittleEndian.Uint32(bytes[64+4*i:])))
	}
	// Output:
	// 6
	// 12
	// 18
}
