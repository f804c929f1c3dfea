package memory

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"github.com/heddle-ml/heddle/conformance/internal/rig"
	"github.com/heddle-ml/heddle/conformance/internal/suite"
	"github.com/heddle-ml/heddle/hal"
)

func mapCases() []suite.Case {
	return []suite.Case{
		skeleton("mapped.stable", onVisible(stable)),
		skeleton("mapped.shared", onVisible(sharedWithCommands)),
		skeleton("mapped.aligned", onVisible(aligned)),
		skeleton("mapped.closed", closedBuffer),
	}
}

// onVisible calls f for each heap that the host sees. On those that it does
// not see, Bytes has to say so.
func onVisible(f func(ctx context.Context, r *rig.Rig, heap int, align int64) error) func(context.Context, *suite.Env, *rig.Rig) error {
	return func(ctx context.Context, e *suite.Env, r *rig.Rig) error {
		for i, h := range e.Caps.Heaps {
			if !h.HostVisible {
				b, err := r.Device.AllocOn(ctx, 64, i)
				if err != nil {
					return err
				}
				r.Defer(b.Close)
				if _, ok := b.Bytes(); ok {
					return fmt.Errorf("heap %d (%s) is not host-visible, and yet the host sees it", i, h.Name)
				}
				e.Note("heap %d (%s) is not visible to the host", i, h.Name)
				continue
			}
			if err := f(ctx, r, i, h.Align); err != nil {
				return fmt.Errorf("heap %d (%s): %w", i, h.Name, err)
			}
		}
		return nil
	}
}

func visible(ctx context.Context, r *rig.Rig, size int64, heap int) (*hal.Buffer, []byte, error) {
	b, err := r.Device.AllocOn(ctx, size, heap)
	if err != nil {
		return nil, nil, err
	}
	r.Defer(b.Close)
	host, ok := b.Bytes()
	if !ok || int64(len(host)) != size {
		return nil, nil, fmt.Errorf("asked for %d bytes, the host sees %d (%t)", size, len(host), ok)
	}
	return b, host, nil
}

// stable sees that the address never changes, whatever else happens.
func stable(ctx context.Context, r *rig.Rig, heap int, _ int64) error {
	b, first, err := visible(ctx, r, 5000, heap)
	if err != nil {
		return err
	}
	for i := range 20 {
		if _, _, err := visible(ctx, r, int64(i)*1000+1, heap); err != nil {
			return err
		}
		if err := r.Do(ctx, hal.Cmd{Op: hal.Fill, Dst: b.At(0, 2500), Value: byte(i)}); err != nil {
			return err
		}
		now, ok := b.Bytes()
		if !ok || len(now) != len(first) || &now[0] != &first[0] {
			return errors.New("the memory moved while it was in use")
		}
	}
	return nil
}

// sharedWithCommands writes on one side and reads on the other, both ways.
func sharedWithCommands(ctx context.Context, r *rig.Rig, heap int, _ int64) error {
	const n = 3001
	a, hostA, err := visible(ctx, r, n, heap)
	if err != nil {
		return err
	}
	b, hostB, err := visible(ctx, r, n, heap)
	if err != nil {
		return err
	}
	for i := range uint64(4) {
		want := rig.Noise(i, n)
		copy(hostA, want) // seen by commands that are submitted later
		if err := r.Expect(ctx, "what the host wrote, read by a command,", a.All(), want); err != nil {
			return err
		}
		if err := r.Do(ctx, hal.Cmd{Op: hal.Copy, Dst: b.All(), Src: a.All()}); err != nil {
			return err
		}
		if err := rig.Same("what a command wrote, seen by the host,", hostB, want); err != nil {
			return err
		}
		if err := r.Do(ctx, hal.Cmd{Op: hal.Fill, Dst: b.At(n-1, 1), Value: 7}); err != nil {
			return err
		}
		if hostB[n-1] != 7 || hostB[n-2] != want[n-2] {
			return fmt.Errorf("filling the last byte with 7 leaves %d behind %d, want it behind %d", hostB[n-1], hostB[n-2], want[n-2])
		}
	}
	return nil
}

// aligned looks at where memory starts.
func aligned(ctx context.Context, r *rig.Rig, heap int, align int64) error {
	for _, n := range []int64{1, 7, 64, 100, 4096, 10001, 100000} {
		for range 8 {
			_, host, err := visible(ctx, r, n, heap)
			if err != nil {
				return err
			}
			if at := reflect.ValueOf(host).Pointer(); align > 0 && at%uintptr(align) != 0 {
				return fmt.Errorf("%d bytes start at %#x, the heap promises a multiple of %d", n, at, align)
			}
		}
	}
	return nil
}

// closedBuffer uses memory that was freed: it is refused everywhere.
func closedBuffer(ctx context.Context, _ *suite.Env, r *rig.Rig) error {
	b, err := r.Device.Alloc(ctx, 512)
	if err != nil {
		return err
	}
	other, err := r.Alloc(ctx, 512)
	if err != nil {
		return err
	}
	for range 2 { // the second time does nothing
		if err := b.Close(); err != nil {
			return err
		}
	}
	if _, ok := b.Bytes(); ok {
		return errors.New("Bytes gives memory that was freed")
	}
	host := make([]byte, 512)
	for what, c := range map[string]hal.Cmd{
		"a fill of freed memory":        {Op: hal.Fill, Dst: b.All()},
		"an upload to freed memory":     {Op: hal.Upload, Dst: b.All(), Host: host},
		"a download from freed memory":  {Op: hal.Download, Src: b.All(), Host: host},
		"a copy to freed memory":        {Op: hal.Copy, Dst: b.All(), Src: other.All()},
		"a copy from freed memory":      {Op: hal.Copy, Dst: other.All(), Src: b.All()},
		"a fill of none of freed bytes": {Op: hal.Fill, Dst: b.At(0, 0)},
	} {
		if err := rig.Refused(what, r.Do(ctx, c), hal.ErrClosed); err != nil {
			return err
		}
	}
	return nil
}
