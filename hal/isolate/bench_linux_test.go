package isolate_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/hal"
)

// What isolation adds to a batch: compare null with null?isolate=1. Serial
// waits for each batch; pipelined for every 64th.
func BenchmarkSubmit(b *testing.B) {
	for _, every := range []uint64{1, 64} {
		for _, name := range []string{"null", "null?isolate=1", "cpu?threads=1", "cpu?isolate=1&threads=1"} {
			kind := map[uint64]string{1: "serial/", 64: "pipelined/"}[every]
			b.Run(kind+name, func(b *testing.B) {
				x := open(b, name, "Neg", 16)
				defer x.close()
				ctx := context.Background()
				batch := &hal.Batch{Cmds: []hal.Cmd{x.run()}, Signal: []hal.Point{{T: x.tl}}}
				b.ReportAllocs()
				for b.Loop() {
					x.v++
					batch.Signal[0].V = x.v
					if err := x.q.Submit(ctx, batch); err != nil {
						b.Fatal(err)
					}
					if x.v%every == 0 {
						if err := x.tl.Wait(ctx, x.v); err != nil {
							b.Fatal(err)
						}
					}
				}
				require.NoError(b, x.tl.Wait(ctx, x.v))
			})
		}
	}
}

// What isolation adds to a megabyte that is uploaded and downloaded, where
// memory is shared and where it is not. Who writes to shared memory in place
// copies nothing.
func BenchmarkMove(b *testing.B) {
	const size = 4 << 20
	for _, name := range []string{"fake", "fake?isolate=1", "fake?isolate=1&heap=private"} {
		for _, op := range []string{"upload", "download"} {
			b.Run(op+"/"+name, func(b *testing.B) {
				x := open(b, name, "Neg", size/4)
				defer x.close()
				cmd := hal.Cmd{Op: hal.Upload, Dst: x.in(), Host: make([]byte, size)}
				if op == "download" {
					cmd = hal.Cmd{Op: hal.Download, Src: x.in(), Host: cmd.Host}
				}
				require.NoError(b, x.do(cmd))
				b.SetBytes(size)
				ctx := context.Background()
				batch := &hal.Batch{Cmds: []hal.Cmd{cmd}, Signal: []hal.Point{{T: x.tl}}}
				for b.Loop() {
					x.v++
					batch.Signal[0].V = x.v
					if err := x.q.Submit(ctx, batch); err != nil {
						b.Fatal(err)
					}
					if err := x.tl.Wait(ctx, x.v); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// Submitting allocates nothing in this process, in steady state.
func TestSubmitAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("allocations are not counted under the race detector")
	}
	x := open(t, "null?isolate=1", "Neg", 16)
	defer x.close()
	ctx := context.Background()
	host := make([]byte, 64)
	batch := &hal.Batch{Cmds: []hal.Cmd{{Op: hal.Upload, Dst: x.in(), Host: host}, x.run(), {Op: hal.Download, Src: x.out(), Host: host}},
		Wait: []hal.Point{{T: x.tl}}, Signal: []hal.Point{{T: x.tl}}}
	round := func() {
		for range 2 { // the second depends on the first
			batch.Wait[0].V = x.v
			x.v++
			batch.Signal[0].V = x.v
			if err := x.q.Submit(ctx, batch); err != nil {
				panic(err)
			}
		}
		if err := x.tl.Wait(ctx, x.v); err != nil {
			panic(err)
		}
	}
	for range 300 { // every flight has been used
		round()
	}
	require.LessOrEqual(t, testing.AllocsPerRun(500, round), 0.1)
}
