package cpu

import (
	"context"
	"testing"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/hal/driver"
)

// benchmark measures a run from submission to the end of the wait.
func benchmark(b *testing.B, g *graph.Graph, dims ...int64) {
	r := prepare(b, open(b, "cpu"), g, nil)
	if i := r.x.Index(driver.RoleInput, "valid"); i >= 0 {
		r.set(driver.RoleInput, "valid", graph.I64(48).Data)
	}
	if err := r.run(dims...); err != nil {
		b.Fatal(err)
	}
	batch := &hal.Batch{Cmds: []hal.Cmd{{Op: hal.Run, Exec: r.x, Args: r.args, Dims: dims}}, Signal: []hal.Point{{T: r.line}}}
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		r.tick++
		batch.Signal[0].V = r.tick
		if err := r.q.Submit(ctx, batch); err != nil {
			b.Fatal(err)
		}
		if err := r.line.Wait(ctx, r.tick); err != nil {
			b.Fatal(err)
		}
	}
}

// A decoding step of a small decoder is mostly what the driver adds to the
// kernels.
func BenchmarkDecodeStep(b *testing.B) { benchmark(b, decoder3(b), 1) }

func BenchmarkPrefillChunk(b *testing.B) { benchmark(b, decoder3(b), 16) }

func BenchmarkVisionTiles(b *testing.B) { benchmark(b, vit3(b), 4) }

func BenchmarkCompile(b *testing.B) {
	d := open(b, "cpu")
	g := decoder3(b)
	for b.Loop() {
		x, err := d.Compile(context.Background(), g, hal.CompileOptions{})
		if err != nil {
			b.Fatal(err)
		}
		if err := x.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
