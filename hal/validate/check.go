package validate

import (
	"fmt"
	"slices"

	"github.com/heddle-ml/heddle/hal/driver"
)

// check looks at everything a batch says before the driver sees it. The
// error is a *Violation.
func (q *queue) check(b *driver.Batch) error {
	bad := func(format string, args ...any) error { return q.d.rec.add(RuleArgument, format, args...) }
	if b == nil {
		return bad("Submit without a batch")
	}
	for i, p := range b.Wait {
		if p.T == nil {
			return bad("wait point %d has no timeline", i)
		}
	}
	for i, p := range b.Signal {
		t, ok := p.T.(*timeline)
		if !ok || t.d != q.d {
			return bad("signal point %d is no timeline that a queue of this device made", i)
		}
		if slices.ContainsFunc(b.Signal[:i], func(o driver.Point) bool { return o.T == p.T }) {
			return bad("signal point %d: the batch signals the timeline twice", i)
		}
		if v, err := t.look(); err == nil && (p.V <= v || p.V-v > driver.MaxPending) {
			return bad("signal point %d is %d, the timeline at %d: want 1 to %d ahead", i, p.V, v, driver.MaxPending)
		}
	}
	for i := range b.Cmds {
		if err := q.checkCmd(&b.Cmds[i]); err != nil {
			return fmt.Errorf("command %d (%s): %w", i, b.Cmds[i].Op, err)
		}
	}
	return nil
}

func (q *queue) checkCmd(c *driver.Cmd) error {
	bad := func(format string, args ...any) error {
		return q.d.rec.add(RuleArgument, "%s: %s", c.Op, fmt.Sprintf(format, args...))
	}
	switch c.Op {
	case driver.Run:
		return q.checkRun(c)
	case driver.Copy:
		rows := max(1, c.Rows)
		switch {
		case c.Dst.Size != c.Src.Size:
			return bad("%d bytes to %d", c.Src.Size, c.Dst.Size)
		case c.Rows < 0 || c.DstStride < 0 || c.SrcStride < 0:
			return bad("%d rows with strides %d and %d", c.Rows, c.SrcStride, c.DstStride)
		case rows > 1 && (c.Dst.Size == 0 || c.DstStride < c.Dst.Size):
			return bad("%d rows of %d bytes with stride %d overwrite each other", rows, c.Dst.Size, c.DstStride)
		case rows == 1 && overlap(c.Dst, c.Src):
			return bad("source and destination overlap")
		}
		if err := q.checkRegion(c.Op, c.Dst, rows, c.DstStride); err != nil {
			return err
		}
		return q.checkRegion(c.Op, c.Src, rows, c.SrcStride)
	case driver.Fill:
		return q.checkRegion(c.Op, c.Dst, 1, 0)
	case driver.Upload:
		if int64(len(c.Host)) != c.Dst.Size {
			return bad("%d bytes to %d", len(c.Host), c.Dst.Size)
		}
		return q.checkRegion(c.Op, c.Dst, 1, 0)
	case driver.Download:
		if int64(len(c.Host)) != c.Src.Size {
			return bad("%d bytes to %d", c.Src.Size, len(c.Host))
		}
		return q.checkRegion(c.Op, c.Src, 1, 0)
	}
	return bad("there is no such command")
}

func (q *queue) checkRun(c *driver.Cmd) error {
	x, ok := c.Exec.(*executable)
	if !ok || x.d != q.d {
		return q.d.rec.add(RuleArgument, "run: no executable of this device")
	}
	bad := func(format string, args ...any) error {
		return q.d.rec.add(RuleArgument, "run %s: %s", x.label, fmt.Sprintf(format, args...))
	}
	if !q.d.isOpen(x) {
		return q.d.rec.add(RuleClosed, "run of executable %q, which was closed", x.label)
	}
	if len(c.Dims) != len(x.symbols) || len(c.Args) != len(x.bindings) {
		return bad("%d dimensions for %d symbols, %d arguments for %d bindings", len(c.Dims), len(x.symbols), len(c.Args), len(x.bindings))
	}
	for i, s := range x.symbols {
		if c.Dims[i] < s.Min || c.Dims[i] > s.Max {
			return bad("symbol %s = %d is not in %d..%d", s.Name, c.Dims[i], s.Min, s.Max)
		}
	}
	at := x.at(c.Dims)
	for i, a := range c.Args {
		b := &x.bindings[i]
		if err := q.checkRegion(c.Op, a, 1, 0); err != nil {
			return err
		}
		n, err := b.Size(at)
		if err != nil {
			return bad("%v", err)
		}
		if a.Size != n || b.Align > 0 && a.Off%b.Align != 0 {
			return bad("%s %q is %d bytes at offset %d, want %d at a multiple of %d", b.Role, b.Name, a.Size, a.Off, n, b.Align)
		}
		for k, o := range c.Args[:i] {
			if overlap(a, o) && (b.Role != driver.RoleInput || x.bindings[k].Role != driver.RoleInput) {
				return bad("%s %q overlaps %s %q", b.Role, b.Name, x.bindings[k].Role, x.bindings[k].Name)
			}
		}
	}
	return nil
}

func overlap(a, b driver.Region) bool {
	return a.Mem == b.Mem && a.Off < b.Off+b.Size && b.Off < a.Off+a.Size
}

func (q *queue) checkRegion(op driver.CmdOp, r driver.Region, rows, stride int64) error {
	m, ok := r.Mem.(*memory)
	if !ok || m.d != q.d {
		return q.d.rec.add(RuleArgument, "%s: a region of no memory, or of another device's", op)
	}
	if !q.d.isOpen(m) {
		return q.d.rec.add(RuleClosed, "%s: memory of %d bytes was freed", op, m.spec.Size)
	}
	if size := m.spec.Size; r.Off < 0 || r.Size < 0 || r.Off > size || r.Size > size-r.Off ||
		rows > 1 && stride > (size-r.Off-r.Size)/(rows-1) {
		return q.d.rec.add(RuleArgument, "%s: region %d+%d (%d rows, stride %d) is not inside memory of %d bytes", op, r.Off, r.Size, rows, stride, size)
	}
	return nil
}
