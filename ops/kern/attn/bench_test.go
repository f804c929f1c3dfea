package attn_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/heddle-ml/heddle/ops/kern"
	"github.com/heddle-ml/heddle/ops/kern/attn"
)

// BenchmarkRun is a vision tower's attention, a prefill chunk and a decode step.
func BenchmarkRun(b *testing.B) {
	for _, s := range []shape{{4, 4, 729, 729, 72, 72}, {8, 2, 128, 1024, 64, 64}, {8, 2, 1, 1024, 64, 64}} {
		for _, table := range kern.Usable() {
			b.Run(fmt.Sprintf("%dx%dx%d/%v", s.heads, s.tq, s.tk, table.Tier), func(b *testing.B) {
				r := attn.New(table, nil)
				a := build(rand.New(rand.NewPCG(1, 1)), s, true)
				a.Scratch = make([]float32, r.Scratch(a))
				for b.Loop() {
					if err := r.Run(a); err != nil {
						b.Fatal(err)
					}
				}
				flops := 2 * float64(s.heads) * float64(s.tq) * float64(s.tk) * float64(s.d+s.dv)
				b.ReportMetric(flops*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
			})
		}
	}
}
