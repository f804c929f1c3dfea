package rig

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/heddle-ml/heddle/conformance/internal/suite"
	"github.com/heddle-ml/heddle/hal"
)

// Rig is a queue of a device with a timeline, and whatever was made through
// it. Safe for concurrent use; commands of several goroutines follow one
// another.
type Rig struct {
	Device *hal.Device
	Queue  *hal.Queue

	mu     sync.Mutex
	line   *hal.Timeline
	tick   uint64
	closer []func() error
}

// New makes a rig on a device, which stays the caller's.
func New(d *hal.Device) (*Rig, error) {
	q, err := d.NewQueue(hal.QueueOptions{Label: "conformance"})
	if err != nil {
		return nil, err
	}
	line, err := q.NewTimeline(0)
	if err != nil {
		return nil, errors.Join(err, q.Close())
	}
	return &Rig{Device: d, Queue: q, line: line}, nil
}

// On calls f with a rig on a device, and closes it. What f returns counts
// first, then what closing says.
func On(d *hal.Device, f func(r *Rig) error) error {
	r, err := New(d)
	if err != nil {
		return err
	}
	err = f(r)
	if e := r.Close(); err == nil && e != nil {
		err = fmt.Errorf("closing what the case made: %w", e)
	}
	return err
}

// OnBare is On for a device of its own without validation, so that queues
// overlap. Where only one device can be open at a time, it is the shared one.
func OnBare(ctx context.Context, e *suite.Env, f func(r *Rig) error) error {
	d, done, err := Bare(ctx, e)
	if err != nil {
		return err
	}
	return errors.Join(On(d, f), done())
}

// Bare opens a device without validation and returns what closes it; see
// OnBare.
func Bare(ctx context.Context, e *suite.Env) (*hal.Device, func() error, error) {
	d, _, err := e.Bare(ctx)
	if errors.Is(err, hal.ErrUnavailable) {
		e.Note("no second device can be opened (%v): the shared one was used", err)
		return e.Device, func() error { return nil }, nil
	}
	if err != nil {
		return nil, nil, err
	}
	return d, d.Close, nil
}

// Defer has Close call f, before what was deferred earlier.
func (r *Rig) Defer(f func() error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closer = append(r.closer, f)
}

// Close closes the queue and all that was made, the newest first.
func (r *Rig) Close() error {
	err := r.Queue.Close()
	for _, f := range slices.Backward(r.closer) {
		err = errors.Join(err, f())
	}
	return err
}

// Alloc allocates memory that Close frees.
func (r *Rig) Alloc(ctx context.Context, size int64) (*hal.Buffer, error) {
	b, err := r.Device.Alloc(ctx, size)
	if err == nil {
		r.Defer(b.Close)
	}
	return b, err
}

// Filled allocates memory with a content.
func (r *Rig) Filled(ctx context.Context, content []byte) (*hal.Buffer, error) {
	b, err := r.Alloc(ctx, int64(len(content)))
	if err != nil {
		return nil, err
	}
	return b, r.Write(ctx, b.All(), content)
}

// NewQueue makes another queue, which Close closes.
func (r *Rig) NewQueue() (*hal.Queue, error) {
	q, err := r.Device.NewQueue(hal.QueueOptions{Label: "conformance"})
	if err == nil {
		r.Defer(q.Close)
	}
	return q, err
}

// Do runs commands as one batch and waits for it.
func (r *Rig) Do(ctx context.Context, cmds ...hal.Cmd) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tick++
	err := r.Queue.Submit(ctx, &hal.Batch{Cmds: cmds, Signal: []hal.Point{{T: r.line, V: r.tick}}})
	if err != nil {
		r.tick--
		return err
	}
	return r.line.Wait(ctx, r.tick)
}

// Write uploads to a region.
func (r *Rig) Write(ctx context.Context, to hal.Region, content []byte) error {
	return r.Do(ctx, hal.Cmd{Op: hal.Upload, Dst: to, Host: content})
}

// Read downloads a region.
func (r *Rig) Read(ctx context.Context, from hal.Region) ([]byte, error) {
	out := make([]byte, from.Size)
	return out, r.Do(ctx, hal.Cmd{Op: hal.Download, Src: from, Host: out})
}

// Expect downloads a region and compares it.
func (r *Rig) Expect(ctx context.Context, what string, from hal.Region, want []byte) error {
	got, err := r.Read(ctx, from)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return Same(what, got, want)
}

// Same returns nil, or where two contents differ.
func Same(what string, got, want []byte) error {
	if slices.Equal(got, want) {
		return nil
	}
	if len(got) != len(want) {
		return fmt.Errorf("%s has %d bytes, want %d", what, len(got), len(want))
	}
	n, first := 0, -1
	for i := range got {
		if got[i] != want[i] {
			if n++; first < 0 {
				first = i
			}
		}
	}
	return fmt.Errorf("%s: %d of %d bytes are wrong, the first at %d: %#02x, want %#02x", what, n, len(got), first, got[first], want[first])
}

// Noise returns n bytes that hold no zeros and depend on the seed.
func Noise(seed uint64, n int64) []byte {
	r := rand.New(rand.NewPCG(seed, 0x9e3779b97f4a7c15))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(1 + r.IntN(255))
	}
	return b
}

// Refused returns nil if err wraps one of the sentinels and says something,
// and otherwise what is wrong with it.
func Refused(what string, err error, want ...error) error {
	if err == nil {
		return fmt.Errorf("%s was accepted", what)
	}
	if !slices.ContainsFunc(want, func(w error) bool { return errors.Is(err, w) }) {
		return fmt.Errorf("%s: the error %q wraps none of %q", what, err, want)
	}
	return nil
}
