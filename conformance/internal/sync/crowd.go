package sync

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/heddle-ml/heddle/conformance/internal/rig"
	"github.com/heddle-ml/heddle/conformance/internal/suite"
	"github.com/heddle-ml/heddle/hal"
)

func crowdCases() []suite.Case {
	return []suite.Case{
		bare("crowd.copies", suite.Skeleton, func(b *bench) { crowd(b, copies) }),
		bare("crowd.runs", suite.Skeleton, func(b *bench) {
			s, err := rig.Simplest(b.Device)
			must(err)
			x, err := s.Compile(b.ctx, b.Rig)
			must(err)
			crowd(b, func(ctx context.Context, w *worker, i int) error { return runs(ctx, w, i, s, x) })
		}),
		bare("crowd.executables", suite.Skeleton, executables),
		bare("crowd.waiters", suite.Skeleton, waiters),
	}
}

// worker is one of many goroutines, with its own timeline on a queue that it
// shares with others.
type worker struct {
	*rig.Rig
	id   int
	q    *hal.Queue
	t    *hal.Timeline
	tick uint64
}

func (w *worker) do(ctx context.Context, cmds ...hal.Cmd) error {
	w.tick++
	if err := w.q.Submit(ctx, &hal.Batch{Cmds: cmds, Signal: at(w.t, w.tick)}); err != nil {
		return err
	}
	return w.t.Wait(ctx, w.tick)
}

// crowd has 64 goroutines do something several times on four queues.
func crowd(b *bench, f func(ctx context.Context, w *worker, round int) error) {
	const workers, rounds = 64, 6
	qs := append(b.queues(3, 0), b.Queue)
	errs := make([]error, workers)
	var wg sync.WaitGroup
	for i := range workers {
		w := &worker{Rig: b.Rig, id: i, q: qs[i%len(qs)]}
		w.t = line(w.q)
		wg.Go(func() {
			for round := range rounds {
				if err := f(b.ctx, w, round); err != nil {
					errs[i] = fmt.Errorf("goroutine %d, round %d: %w", i+1, round+1, err)
					return
				}
			}
		})
	}
	wg.Wait()
	must(errors.Join(errs...))
}

// copies sends noise through memory of the worker's own.
func copies(ctx context.Context, w *worker, round int) error {
	n := int64(100 + 37*w.id + round)
	a, err := w.Device.Alloc(ctx, n)
	if err != nil {
		return err
	}
	defer a.Close()
	c, err := w.Device.Alloc(ctx, 2*n)
	if err != nil {
		return err
	}
	defer c.Close()
	want := rig.Noise(uint64(w.id<<8+round), n)
	got := make([]byte, 2*n)
	if err := w.do(ctx, hal.Cmd{Op: hal.Upload, Dst: a.All(), Host: want}); err != nil {
		return err
	}
	if err := w.do(ctx, hal.Cmd{Op: hal.Copy, Dst: c.At(n, n), Src: a.All()}, hal.Cmd{Op: hal.Copy, Dst: c.At(0, n), Src: c.At(n, n)}, hal.Cmd{Op: hal.Download, Src: c.All(), Host: got}); err != nil {
		return err
	}
	return rig.Same("what went through memory of its own", got, slices.Concat(want, want))
}

// runs runs an executable that all share, with arguments of its own.
func runs(ctx context.Context, w *worker, round int, s *rig.Simple, x *hal.Executable) error {
	var args []hal.Region
	var operands [][]byte
	var cmds []hal.Cmd
	before := rig.Noise(uint64(round), s.Bytes)
	for i := range s.Inputs + 1 {
		content := before
		if i < s.Inputs {
			content = s.Operand(uint64(w.id<<16 + round<<8 + i))
			operands = append(operands, content)
		}
		buf, err := w.Device.Alloc(ctx, s.Bytes)
		if err != nil {
			return err
		}
		defer buf.Close()
		args = append(args, buf.All())
		cmds = append(cmds, hal.Cmd{Op: hal.Upload, Dst: buf.All(), Host: content})
	}
	got := make([]byte, s.Bytes)
	cmds = append(cmds, hal.Cmd{Op: hal.Run, Exec: x, Args: args}, hal.Cmd{Op: hal.Download, Src: args[s.Inputs], Host: got})
	if err := w.do(ctx, cmds...); err != nil {
		return err
	}
	return s.Check("a run among many", got, before, operands...)
}

// executables compiles, runs and closes in many goroutines at once.
func executables(b *bench) {
	s, err := rig.Simplest(b.Device)
	must(err)
	const workers = 16
	n := workers
	if limit := b.Device.Caps().Limits.Executables; limit > 0 {
		n = min(n, limit)
	}
	if limit := b.Device.Caps().Queues.Max; limit > 0 {
		n = min(n, limit-1)
	}
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			for range 4 {
				errs[i] = rig.On(b.Device, func(r *rig.Rig) error {
					x, err := s.Compile(b.ctx, r)
					if err != nil {
						return err
					}
					return s.Run(b.ctx, r, x, uint64(i))
				})
				if errs[i] != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	must(errors.Join(errs...))
}

// waiters has many goroutines wait for many batches of several queues.
func waiters(b *bench) {
	qs := append(b.queues(3, 0), b.Queue)
	const n = 64
	lines := make([]*hal.Timeline, len(qs))
	for i, q := range qs {
		lines[i] = line(q)
	}
	var wg sync.WaitGroup
	errs := make([]error, n)
	for w := range n {
		wg.Go(func() {
			for v := uint64(1); v <= 50; v += uint64(1 + w%7) {
				if err := lines[(w+int(v))%len(lines)].Wait(b.ctx, v); err != nil {
					errs[w] = err
					return
				}
			}
		})
	}
	for v := uint64(1); v <= 50; v++ {
		for i, q := range qs {
			batch := &hal.Batch{Signal: at(lines[i], v)}
			if i > 0 {
				batch.Wait = at(lines[i-1], v)
			}
			b.submit(q, batch)
		}
	}
	must(b.within("many that wait for many batches", func() error { wg.Wait(); return nil }))
	must(errors.Join(errs...))
}
