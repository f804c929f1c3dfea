package validate

import (
	"bytes"
	"context"
	"fmt"

	"github.com/heddle-ml/heddle/hal/driver"
)

// shadow is driver memory that stands in for one argument of a run.
type shadow struct {
	in    driver.Memory
	heap  int
	size  int64  // of in
	guard int64  // before and after the argument
	host  []byte // what is uploaded: a pattern
	after []byte // what is downloaded after the run
}

// shadow returns memory for the next argument of the batch, with room for size
// bytes between guards that are multiples of align. Each run of a batch has
// shadows of its own: they are looked at when all of it is done.
func (q *queue) shadow(heap int, size, align int64) (*shadow, error) {
	i := q.used
	q.used++
	for len(q.shadows) <= i {
		q.shadows = append(q.shadows, nil)
	}
	guard := max(guardBytes, q.d.caps.Heaps[heap].Align)
	if align > 1 {
		guard = (guard + align - 1) / align * align
	}
	need := size + 2*guard
	s := q.shadows[i]
	if s != nil && s.heap == heap && s.guard == guard && s.size >= need {
		return s, nil
	}
	if s != nil {
		_ = callErr(q.d.rec, "Free", s.in.Free)
		q.shadows[i] = nil
	}
	in, err := call(q.d.rec, "Alloc", func() (driver.Memory, error) {
		return q.d.in.Alloc(context.Background(), driver.MemSpec{Size: need, Heap: heap})
	})
	if err != nil {
		return nil, fmt.Errorf("validate: memory to check a run with: %w", err)
	}
	s = &shadow{in: in, heap: heap, size: need, guard: guard, host: make([]byte, need), after: make([]byte, need)}
	pattern(s.host)
	q.shadows[i] = s
	return s, nil
}

func (q *queue) freeShadows() {
	for _, s := range q.shadows {
		if s != nil {
			_ = callErr(q.d.rec, "Free", s.in.Free)
		}
	}
	q.shadows = nil
}

// translateRun has a run compute on shadows: each is filled with a pattern,
// an input or state copied into its middle, the run made, everything
// downloaded, and outputs and states copied to where the caller wants them.
func (q *queue) translateRun(inner *driver.Batch, c *driver.Cmd) (func() error, error) {
	x := c.Exec.(*executable)
	run := driver.Cmd{Op: driver.Run, Exec: x.in, Args: make([]driver.Region, len(c.Args)), Dims: append([]int64(nil), c.Dims...)}
	var out []driver.Cmd
	var checks []func() error
	for i, a := range c.Args {
		b := &x.bindings[i]
		m := a.Mem.(*memory)
		s, err := q.shadow(m.spec.Heap, a.Size, b.Align)
		if err != nil {
			return nil, err
		}
		all := driver.Region{Mem: s.in, Size: a.Size + 2*s.guard}
		arg := driver.Region{Mem: s.in, Off: s.guard, Size: a.Size}
		run.Args[i] = arg
		inner.Cmds = append(inner.Cmds, driver.Cmd{Op: driver.Upload, Dst: all, Host: s.host[:all.Size]})
		after := s.after[:all.Size]
		out = append(out, driver.Cmd{Op: driver.Download, Src: all, Host: after})
		var before []byte
		if b.Role != driver.RoleOutput {
			inner.Cmds = append(inner.Cmds, driver.Cmd{Op: driver.Copy, Dst: arg, Src: m.region(a.Off, a.Size)})
		}
		if b.Role == driver.RoleInput {
			before = make([]byte, a.Size)
			inner.Cmds = append(inner.Cmds, driver.Cmd{Op: driver.Download, Src: arg, Host: before})
		} else {
			out = append(out, driver.Cmd{Op: driver.Copy, Dst: m.region(a.Off, a.Size), Src: arg})
		}
		checks = append(checks, func() error {
			if err := q.checkArg(x, b, s, after, before); err != nil {
				return err
			}
			return m.checkGuards("run " + x.label)
		})
	}
	inner.Cmds = append(append(inner.Cmds, run), out...)
	return func() error {
		for _, check := range checks {
			if err := check(); err != nil {
				return err
			}
		}
		return nil
	}, nil
}

// checkArg looks at the shadow of one argument after a run.
func (q *queue) checkArg(x *executable, b *driver.Binding, s *shadow, after, before []byte) error {
	end := int64(len(after)) - s.guard
	if first, last := damaged(after[:s.guard], s.host); last >= 0 {
		return q.d.rec.add(RuleBounds, "run %s: bytes %d to %d of %s %q were written", x.label, int64(first)-s.guard, int64(last)-s.guard, b.Role, b.Name)
	}
	if first, last := damaged(after[end:], s.host[end:]); last >= 0 {
		size := end - s.guard
		return q.d.rec.add(RuleBounds, "run %s: bytes %d to %d of %s %q were written, which has %d", x.label, size+int64(first), size+int64(last), b.Role, b.Name, size)
	}
	switch content := after[s.guard:end]; b.Role {
	case driver.RoleInput:
		if !bytes.Equal(content, before) {
			return q.d.rec.add(RuleInput, "run %s: input %q is not what it was", x.label, b.Name)
		}
	case driver.RoleOutput:
		if at, n := unwritten(content, s.host[s.guard:end]); n > 0 {
			return q.d.rec.add(RuleOutput, "run %s: bytes %d to %d of output %q were not written", x.label, at, at+n-1, b.Name)
		}
	}
	return nil
}

// unwritten finds the first stretch of b that still holds the pattern: long
// enough that no computation can have made it by accident.
func unwritten(b, want []byte) (at, n int) {
	least := min(8, max(4, len(b)))
	for i := 0; i < len(b); i++ {
		if b[i] != want[i] {
			n = 0
			continue
		}
		if n == 0 {
			at = i
		}
		n++
		if n >= least {
			for i++; i < len(b) && b[i] == want[i]; i++ {
				n++
			}
			return at, n
		}
	}
	return 0, 0
}
