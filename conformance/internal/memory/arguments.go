package memory

import (
	"context"
	"fmt"
	"slices"

	"github.com/heddle-ml/heddle/conformance/internal/rig"
	"github.com/heddle-ml/heddle/conformance/internal/suite"
	"github.com/heddle-ml/heddle/hal"
)

func argumentCases() []suite.Case {
	return []suite.Case{
		skeleton("args.padded", padded),
		skeleton("args.at_end", atEnd),
		skeleton("args.aliased_inputs", aliasedInputs),
		skeleton("args.guarded", guarded),
		{ID: "memory.args.shared_input", Profiles: suite.Skeleton, Run: sharedInput},
		{ID: "memory.args.pending_free", Profiles: suite.Skeleton, Run: pendingFree},
	}
}

// compiled returns the simplest graph and its executable.
func compiled(ctx context.Context, r *rig.Rig) (*rig.Simple, *hal.Executable, error) {
	s, err := rig.Simplest(r.Device)
	if err != nil {
		return nil, nil, err
	}
	x, err := s.Compile(ctx, r)
	return s, x, err
}

func roundUp(n, to int64) int64 {
	to = max(1, to)
	return (n + to - 1) / to * to
}

// layout says where the arguments of a run lie in one buffer.
type layout struct {
	offsets []int64
	total   int64
}

// place lays arguments out, each at the next allowed offset that is at least
// gap behind the one before.
func place(x *hal.Executable, s *rig.Simple, gap int64) layout {
	var l layout
	for _, b := range x.Bindings() {
		at := roundUp(l.total+gap, b.Align)
		l.offsets = append(l.offsets, at)
		l.total = at + s.Bytes
	}
	return l
}

// inOne runs with all arguments in one buffer and compares every byte of it.
func inOne(ctx context.Context, r *rig.Rig, x *hal.Executable, s *rig.Simple, l layout, total int64) error {
	want := rig.Noise(uint64(total), total)
	var operands [][]byte
	for i := range s.Inputs {
		operands = append(operands, s.Operand(uint64(i)+uint64(total)))
		copy(want[l.offsets[i]:], operands[i])
	}
	buf, err := r.Filled(ctx, want)
	if err != nil {
		return err
	}
	args := make([]hal.Region, len(l.offsets))
	for i, at := range l.offsets {
		args[i] = buf.At(at, s.Bytes)
	}
	if err := r.Do(ctx, hal.Cmd{Op: hal.Run, Exec: x, Args: args}); err != nil {
		return err
	}
	got, err := r.Read(ctx, buf.All())
	if err != nil {
		return err
	}
	at := l.offsets[s.Inputs]
	what := fmt.Sprintf("arguments at %v of one buffer of %d bytes", l.offsets, total)
	if err := s.Check(what, got[at:at+s.Bytes], want[at:at+s.Bytes], operands...); err != nil {
		return err
	}
	copy(want[at:], got[at:at+s.Bytes]) // all but the output is as it was
	return rig.Same(what+": inputs and what lies between", got, want)
}

// padded binds parts of a larger buffer, with room around and without.
func padded(ctx context.Context, _ *suite.Env, r *rig.Rig) error {
	s, x, err := compiled(ctx, r)
	if err != nil {
		return err
	}
	for _, gap := range []int64{0, 1, 200, 4096} {
		l := place(x, s, gap)
		if err := inOne(ctx, r, x, s, l, l.total+gap+1); err != nil {
			return err
		}
	}
	return nil
}

// atEnd binds an output that ends where its buffer does.
func atEnd(ctx context.Context, _ *suite.Env, r *rig.Rig) error {
	s, x, err := compiled(ctx, r)
	if err != nil {
		return err
	}
	l := place(x, s, 64)
	return inOne(ctx, r, x, s, l, l.total)
}

// aliasedInputs binds one region as two inputs.
func aliasedInputs(ctx context.Context, e *suite.Env, r *rig.Rig) error {
	s, x, err := compiled(ctx, r)
	if err != nil {
		return err
	}
	if s.Inputs < 2 {
		e.Note("no operator with two inputs is supported: %s", s.Name())
		return nil
	}
	operand := s.Operand(7)
	in, err := r.Filled(ctx, operand)
	if err != nil {
		return err
	}
	before := rig.Noise(7, s.Bytes)
	out, err := r.Filled(ctx, before)
	if err != nil {
		return err
	}
	if err := r.Do(ctx, hal.Cmd{Op: hal.Run, Exec: x, Args: []hal.Region{in.All(), in.All(), out.All()}}); err != nil {
		return err
	}
	got, err := r.Read(ctx, out.All())
	if err != nil {
		return err
	}
	if err := s.Check("one region as both inputs", got, before, operand, operand); err != nil {
		return err
	}
	return r.Expect(ctx, "a region that was two inputs", in.All(), operand)
}

// guarded runs with a guard behind the output of every batch, next to other
// commands on the same buffer.
func guarded(ctx context.Context, _ *suite.Env, r *rig.Rig) error {
	s, x, err := compiled(ctx, r)
	if err != nil {
		return err
	}
	args, operands, before, err := s.Args(ctx, r, 3)
	if err != nil {
		return err
	}
	align := x.Bindings()[s.Inputs].Align
	at := roundUp(64, align)
	content := rig.Noise(1, at+s.Bytes+64)
	out, err := r.Filled(ctx, content)
	if err != nil {
		return err
	}
	args[s.Inputs] = out.At(at, s.Bytes)
	host := make([]byte, out.Size())
	for round := range 3 {
		// One batch: the output is prepared, computed and read by commands
		// that follow one another.
		copy(content[at:], before)
		err := r.Do(ctx,
			hal.Cmd{Op: hal.Upload, Dst: args[s.Inputs], Host: before},
			hal.Cmd{Op: hal.Fill, Dst: out.At(0, at), Value: byte(round)},
			hal.Cmd{Op: hal.Run, Exec: x, Args: args},
			hal.Cmd{Op: hal.Fill, Dst: out.At(at+s.Bytes, 64), Value: byte(round + 1)},
			hal.Cmd{Op: hal.Download, Src: out.All(), Host: host})
		if err != nil {
			return err
		}
		what := fmt.Sprintf("round %d", round)
		if err := s.Check(what, host[at:at+s.Bytes], before, operands...); err != nil {
			return err
		}
		want := slices.Clone(host)
		for i := range want {
			if k := int64(i); k < at {
				want[i] = byte(round)
			} else if k >= at+s.Bytes {
				want[i] = byte(round + 1)
			}
		}
		if err := rig.Same(what+": what lies around the output", host, want); err != nil {
			return err
		}
	}
	return nil
}

// sharedInput lets runs on two queues read one buffer at once.
func sharedInput(ctx context.Context, e *suite.Env) error {
	return rig.OnBare(ctx, e, func(r *rig.Rig) error {
		s, x, err := compiled(ctx, r)
		if err != nil {
			return err
		}
		args, operands, before, err := s.Args(ctx, r, 5)
		if err != nil {
			return err
		}
		const queues, rounds = 2, 20
		outs := make([][]*hal.Buffer, queues)
		lines := make([]*hal.Timeline, queues)
		for k := range queues {
			q, err := r.NewQueue()
			if err != nil {
				return err
			}
			if lines[k], err = q.NewTimeline(0); err != nil {
				return err
			}
			for i := range rounds {
				out, err := r.Filled(ctx, before)
				if err != nil {
					return err
				}
				outs[k] = append(outs[k], out)
				mine := append(slices.Clone(args[:s.Inputs]), out.All())
				err = q.Submit(ctx, &hal.Batch{Cmds: []hal.Cmd{{Op: hal.Run, Exec: x, Args: mine}}, Signal: []hal.Point{{T: lines[k], V: uint64(i + 1)}}})
				if err != nil {
					return err
				}
			}
		}
		for k := range queues {
			if err := lines[k].Wait(ctx, rounds); err != nil {
				return err
			}
			for i, out := range outs[k] {
				got, err := r.Read(ctx, out.All())
				if err != nil {
					return err
				}
				if err := s.Check(fmt.Sprintf("run %d of queue %d, with the inputs of the others,", i+1, k+1), got, before, operands...); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// pendingFree frees memory that a waiting batch names, and then fails what the
// batch waits for: it must fail, and nothing else may suffer.
func pendingFree(ctx context.Context, e *suite.Env) error {
	return rig.OnBare(ctx, e, func(r *rig.Rig) error {
		q, err := r.NewQueue()
		if err != nil {
			return err
		}
		gate, err := q.NewTimeline(0)
		if err != nil {
			return err
		}
		done, err := q.NewTimeline(0)
		if err != nil {
			return err
		}
		b, err := r.Device.Alloc(ctx, 4096)
		if err != nil {
			return err
		}
		err = q.Submit(ctx, &hal.Batch{Wait: []hal.Point{{T: gate, V: 1}}, Cmds: []hal.Cmd{{Op: hal.Fill, Dst: b.All(), Value: 1}}, Signal: []hal.Point{{T: done, V: 1}}})
		if err != nil {
			return err
		}
		if err := b.Close(); err != nil {
			// A driver may say that it is in use.
			e.Note("freeing memory in use: %v", err)
		}
		gate.Fail(fmt.Errorf("the case gives up: %w", hal.ErrTimeout))
		if err := rig.Refused("a batch whose wait failed", done.Wait(ctx, 1), hal.ErrTimeout); err != nil {
			return err
		}
		m, err := newModel(ctx, r, 1, 4096)
		if err != nil {
			return err
		}
		return m.check(ctx, r, "memory allocated afterwards")
	})
}
