package memory

import (
	"context"
	"fmt"
	"math"

	"github.com/heddle-ml/heddle/conformance/internal/rig"
	"github.com/heddle-ml/heddle/conformance/internal/suite"
	"github.com/heddle-ml/heddle/hal"
)

func limitCases() []suite.Case {
	return []suite.Case{
		skeleton("limits.negative", refuses(hal.ErrInvalidArgument, func(*suite.Env) []int64 { return []int64{-1, -4096, math.MinInt64} })),
		{ID: "memory.limits.absurd", Profiles: suite.Skeleton, Run: func(ctx context.Context, e *suite.Env) error {
			return rig.OnBare(ctx, e, func(r *rig.Rig) error {
				return refuses(hal.ErrOutOfMemory, func(*suite.Env) []int64 {
					return []int64{1 << 62, math.MaxInt64, math.MaxInt64 - 63, math.MaxInt64 - 4096, 1 << 56, 1<<50 + 1}
				})(ctx, e, r)
			})
		}},
		skeleton("limits.allocation", refuses(hal.ErrOutOfMemory, func(e *suite.Env) []int64 {
			n := e.Caps.Limits.MaxAllocation
			if n == 0 {
				e.Note("the device states no limit on allocations")
				return nil
			}
			return []int64{n + 1, n + 4096}
		})),
		skeleton("limits.heap", refuses(hal.ErrOutOfMemory, func(e *suite.Env) (out []int64) {
			for _, h := range e.Caps.Heaps[:1] { // what Alloc uses
				if h.Size > 0 {
					out = append(out, h.Size+1, 2*h.Size)
				}
			}
			if out == nil {
				e.Note("the device states no size of its memory")
			}
			return out
		})),
		{ID: "memory.limits.recovers", Profiles: suite.Skeleton, Run: recovers},
	}
}

// refuses asks for sizes that cannot be had, with the device in use. It has to
// be as good as before afterwards.
func refuses(want error, sizes func(e *suite.Env) []int64) func(context.Context, *suite.Env, *rig.Rig) error {
	return func(ctx context.Context, e *suite.Env, r *rig.Rig) error {
		m, err := newModel(ctx, r, 1, 5000)
		if err != nil {
			return err
		}
		for _, n := range sizes(e) {
			b, err := r.Device.Alloc(ctx, n)
			if err == nil {
				b.Close()
			}
			if err := rig.Refused(fmt.Sprintf("an allocation of %d bytes", n), err, want); err != nil {
				return err
			}
		}
		if err := m.check(ctx, r, "memory held while allocations were refused"); err != nil {
			return err
		}
		return allocate(ctx, r, 5001)
	}
}

// recovers refuses the absurd many times on a device of its own without
// validation: a refusal takes nothing, so the next allocation works.
func recovers(ctx context.Context, e *suite.Env) error {
	return rig.OnBare(ctx, e, func(r *rig.Rig) error {
		n := int64(1) << 61
		if limit := e.Caps.Limits.MaxAllocation; limit > 0 {
			n = limit + 1
		} else if h := e.Caps.Heaps[0]; h.Size > 0 {
			n = h.Size + 1
		}
		for i := range 200 {
			b, err := r.Device.Alloc(ctx, n)
			if err == nil {
				b.Close()
			}
			if err := rig.Refused(fmt.Sprintf("an allocation of %d bytes, try %d", n, i+1), err, hal.ErrOutOfMemory); err != nil {
				return err
			}
			if i%20 == 0 {
				if err := allocate(ctx, r, 1<<16); err != nil {
					return fmt.Errorf("after %d refusals: %w", i+1, err)
				}
			}
		}
		return rig.Works(ctx, r.Device)
	})
}
