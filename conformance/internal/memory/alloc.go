package memory

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/heddle-ml/heddle/conformance/internal/rig"
	"github.com/heddle-ml/heddle/conformance/internal/suite"
	"github.com/heddle-ml/heddle/hal"
)

// sizes around what allocators treat apart: nothing, less than a word, a
// cache line, a page, a block of the pool.
var sizes = []int64{0, 1, 3, 63, 64, 65, 255, 257, 4095, 4096, 4097, 65535, 65537, 1<<20 - 1, 1<<20 + 1}

func allocCases() []suite.Case {
	var out []suite.Case
	for _, n := range sizes {
		out = append(out, skeleton(fmt.Sprintf("alloc.n%d", n), func(ctx context.Context, _ *suite.Env, r *rig.Rig) error { return allocate(ctx, r, n) }))
	}
	return append(out,
		skeleton("alloc.large", func(ctx context.Context, e *suite.Env, r *rig.Rig) error {
			n := int64(48 << 20)
			if limit := e.Caps.Limits.MaxAllocation; limit > 0 {
				n = min(n, limit)
			}
			return allocate(ctx, r, n)
		}),
		skeleton("alloc.heaps", heaps),
		skeleton("alloc.many", many),
		skeleton("alloc.reuse", reuse),
		skeleton("alloc.side_by_side", sideBySide),
		skeleton("alloc.cancelled", allocCancelled),
		suite.Case{ID: "memory.alloc.cycles", Profiles: suite.Skeleton, Alone: true, Run: cycles},
	)
}

// allocate checks one allocation: zeroed, of the size asked for, writable to
// its last byte, and zeroed again when it is made anew.
func allocate(ctx context.Context, r *rig.Rig, n int64) error {
	want := rig.Noise(uint64(n), n)
	for _, which := range []string{"new memory", "memory allocated again"} {
		b, err := r.Device.Alloc(ctx, n)
		if err != nil {
			return fmt.Errorf("%s of %d bytes: %w", which, n, err)
		}
		if b.Size() != n {
			return fmt.Errorf("asked for %d bytes, the buffer says %d", n, b.Size())
		}
		got, err := r.Read(ctx, b.All())
		if err != nil {
			return fmt.Errorf("reading %s of %d bytes: %w", which, n, err)
		}
		if err := zeros(which, got); err != nil {
			return err
		}
		if err := r.Write(ctx, b.All(), want); err != nil {
			return err
		}
		if err := r.Expect(ctx, which, b.All(), want); err != nil {
			return err
		}
		if err := b.Close(); err != nil {
			return fmt.Errorf("freeing %d bytes: %w", n, err)
		}
	}
	return nil
}

// heaps allocates on every heap there is, and on some that there are not.
func heaps(ctx context.Context, e *suite.Env, r *rig.Rig) error {
	for i, h := range e.Caps.Heaps {
		b, err := r.Device.AllocOn(ctx, 1000, i)
		if err != nil {
			return fmt.Errorf("heap %d (%s): %w", i, h.Name, err)
		}
		r.Defer(b.Close)
		host, visible := b.Bytes()
		if visible != h.HostVisible {
			return fmt.Errorf("heap %d (%s) is host-visible: %t; Bytes says %t", i, h.Name, h.HostVisible, visible)
		}
		if visible && len(host) != 1000 {
			return fmt.Errorf("heap %d (%s): asked for 1000 bytes, the host sees %d", i, h.Name, len(host))
		}
		want := rig.Noise(uint64(i), 1000)
		if err := r.Write(ctx, b.All(), want); err != nil {
			return fmt.Errorf("heap %d (%s): %w", i, h.Name, err)
		}
		if err := r.Expect(ctx, fmt.Sprintf("heap %d (%s)", i, h.Name), b.All(), want); err != nil {
			return err
		}
	}
	for _, i := range []int{-1, len(e.Caps.Heaps), 1 << 30} {
		_, err := r.Device.AllocOn(ctx, 64, i)
		if err := rig.Refused(fmt.Sprintf("heap %d of %d", i, len(e.Caps.Heaps)), err, hal.ErrInvalidArgument); err != nil {
			return err
		}
	}
	return nil
}

// many keeps many allocations of different sizes at once: none shares a byte
// with another.
func many(ctx context.Context, _ *suite.Env, r *rig.Rig) error {
	const n = 256
	bufs := make([]*hal.Buffer, n)
	size := func(i int) int64 { return int64(i*37%509) + 1 }
	for i := range bufs {
		var err error
		if bufs[i], err = r.Filled(ctx, rig.Noise(uint64(i), size(i))); err != nil {
			return fmt.Errorf("allocation %d: %w", i+1, err)
		}
	}
	for i, b := range bufs {
		if err := r.Expect(ctx, fmt.Sprintf("buffer %d of %d", i+1, n), b.All(), rig.Noise(uint64(i), size(i))); err != nil {
			return err
		}
	}
	// Every second one goes; the others keep what they hold.
	for i := 0; i < n; i += 2 {
		if err := bufs[i].Close(); err != nil {
			return err
		}
	}
	for i := 1; i < n; i += 2 {
		if err := r.Expect(ctx, fmt.Sprintf("buffer %d, whose neighbours were freed,", i+1), bufs[i].All(), rig.Noise(uint64(i), size(i))); err != nil {
			return err
		}
	}
	return nil
}

// reuse dirties memory of several sizes and frees it: what comes next is
// zeroed all the same, whatever its size.
func reuse(ctx context.Context, e *suite.Env, r *rig.Rig) error {
	rnd := e.Rand(0)
	for range 40 {
		n := int64(rnd.IntN(20000) + 1)
		b, err := r.Device.Alloc(ctx, n)
		if err != nil {
			return err
		}
		got, err := r.Read(ctx, b.All())
		if err != nil {
			return err
		}
		if err := zeros("memory after others were freed", got); err != nil {
			return err
		}
		if err := r.Do(ctx, hal.Cmd{Op: hal.Fill, Dst: b.All(), Value: 0xa5}); err != nil {
			return err
		}
		if err := b.Close(); err != nil {
			return err
		}
	}
	return nil
}

// sideBySide allocates, uses and frees from several goroutines.
func sideBySide(ctx context.Context, e *suite.Env, r *rig.Rig) error {
	const workers = 16
	var wg sync.WaitGroup
	errs := make([]error, workers)
	for w := range workers {
		rnd := e.Rand(w)
		wg.Go(func() {
			for i := range 12 {
				n := int64(rnd.IntN(5000) + 1)
				if errs[w] = allocate(ctx, r, n); errs[w] != nil {
					errs[w] = fmt.Errorf("goroutine %d, round %d: %w", w, i, errs[w])
					return
				}
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// allocCancelled allocates with a context that has ended: memory or the
// context's error, nothing else.
func allocCancelled(ctx context.Context, _ *suite.Env, r *rig.Rig) error {
	over, cancel := context.WithCancel(ctx)
	cancel()
	b, err := r.Device.Alloc(over, 4096)
	if err == nil {
		return b.Close()
	}
	return rig.Refused("an allocation whose context was cancelled", err, context.Canceled)
}

// cycles allocates and frees 10,000 times.
func cycles(ctx context.Context, e *suite.Env) error {
	d, done, err := rig.Bare(ctx, e)
	if err != nil {
		return err
	}
	i := 0
	// Less than a page each: one that is kept shows.
	err = rig.Cycles(ctx, e, 10000, int64(os.Getpagesize())/32, "allocating and freeing", func() error {
		i++
		b, err := d.Alloc(ctx, int64(i%5)*3000+64)
		if err != nil {
			return err
		}
		return b.Close()
	})
	return errors.Join(err, done())
}
