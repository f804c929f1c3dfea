package sync

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/heddle-ml/heddle/conformance/internal/rig"
	"github.com/heddle-ml/heddle/conformance/internal/suite"
	"github.com/heddle-ml/heddle/hal"
)

func dagCases() []suite.Case {
	var out []suite.Case
	for i := range 8 {
		out = append(out, bare(fmt.Sprintf("dag.seed_%02d", i), suite.Skeleton, func(b *bench) { dag(b, b.env.Rand(0)) }))
	}
	return out
}

// cell is one place in memory with what must be there after the batches drawn
// so far, and who has to be waited for before it is used again.
type cell struct {
	region hal.Region
	want   []byte
	wrote  int   // batch, -1 at first
	read   []int // batches since
}

// dag draws batches of copies and fills over several queues, with exactly the
// waits that their memory asks for, and submits them from the first to the
// last. What remains at the end is known; any wait that is not kept shows.
func dag(b *bench, r *rand.Rand) {
	qs := append(b.queues(3, 0), b.Queue)
	const size, cells, batches = 2048, 10, 120
	pool := b.alloc(cells * size)
	all := make([]*cell, cells)
	for i := range all {
		all[i] = &cell{region: pool.At(int64(i)*size, size), want: rig.Noise(uint64(i), size), wrote: -1}
		must(b.Write(b.ctx, all[i].region, all[i].want))
	}
	lines := make([]*hal.Timeline, len(qs))
	for i, q := range qs {
		lines[i] = line(q)
	}
	type done struct {
		queue int
		value uint64
	}
	var ends []done
	value := make([]uint64, len(qs))
	// The first batches wait for the gate, so that the queues start together.
	// No more than a few: how many a queue holds is its own affair.
	gate := line(qs[0])
	for k := range batches {
		q := r.IntN(len(qs))
		after := map[int]uint64{} // by queue, the highest value
		wait := func(batch int) {
			if batch >= 0 && batch < k && ends[batch].queue != q {
				after[ends[batch].queue] = max(after[ends[batch].queue], ends[batch].value)
			}
		}
		var cmds []hal.Cmd
		for range 1 + r.IntN(3) {
			dst := all[r.IntN(cells)]
			wait(dst.wrote)
			for _, reader := range dst.read {
				wait(reader)
			}
			src := all[r.IntN(cells)]
			if src == dst || r.IntN(5) == 0 {
				v := byte(r.IntN(256))
				cmds = append(cmds, hal.Cmd{Op: hal.Fill, Dst: dst.region, Value: v})
				dst.want = slices.Repeat([]byte{v}, size)
			} else {
				wait(src.wrote)
				src.read = append(src.read, k)
				// Part of it, so that older content shows through.
				n := int64(1 + r.IntN(size))
				from, to := src.region, dst.region
				from.Size, to.Size = n, n
				cmds = append(cmds, hal.Cmd{Op: hal.Copy, Dst: to, Src: from})
				dst.want = slices.Concat(src.want[:n], dst.want[n:])
			}
			dst.wrote, dst.read = k, nil
		}
		value[q]++
		batch := &hal.Batch{Cmds: cmds, Signal: at(lines[q], value[q])}
		for other, v := range after {
			batch.Wait = append(batch.Wait, hal.Point{T: lines[other], V: v})
		}
		if value[q] == 1 {
			batch.Wait = append(batch.Wait, hal.Point{T: gate, V: 1})
		}
		b.submit(qs[q], batch)
		if k == 8 {
			must(gate.Signal(1))
		}
		ends = append(ends, done{q, value[q]})
	}
	for i, t := range lines {
		b.reached(fmt.Sprintf("the last batch of queue %d of %d", i+1, len(qs)), t, value[i])
	}
	for i, c := range all {
		must(b.Expect(b.ctx, fmt.Sprintf("cell %d after %d batches on %d queues", i, batches, len(qs)), c.region, c.want))
	}
}
