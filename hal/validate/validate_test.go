package validate_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/drivers/null"
	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/hal/driver"
	"github.com/heddle-ml/heddle/hal/validate"
)

func TestCorrectDriverPasses(t *testing.T) {
	b := open(t, newFake())
	require.NoError(t, b.setup())
	x := make([]byte, 16*rows)
	for i := range x {
		x[i] = byte(i)
	}
	y, s := make([]byte, 16*rows), make([]byte, 40)
	for range 3 {
		require.NoError(t, b.do(
			driver.Cmd{Op: driver.Fill, Dst: b.region(offY, 16*rows), Value: 9},
			driver.Cmd{Op: driver.Upload, Dst: b.region(offX, 16*rows), Host: x},
			b.run(),
			driver.Cmd{Op: driver.Download, Src: b.region(offY, 16*rows), Host: y},
			driver.Cmd{Op: driver.Download, Src: b.region(offS, 40), Host: s},
			driver.Cmd{Op: driver.Copy, Src: b.region(offX, 2), Dst: b.region(offX+2, 2), Rows: 3, SrcStride: 4, DstStride: 4},
		))
	}
	want, state := make([]byte, len(x)), make([]byte, 40)
	compute(x, want, state)
	require.Equal(t, want, y, "outputs arrive")
	require.EqualValues(t, 3, s[7], "a state lives from run to run")
	all, ok := b.mem.Bytes()
	require.True(t, ok)
	require.Equal(t, []byte{0, 1, 0, 1, 4, 5, 4, 5, 8, 9, 8, 9}, all[:12])
	require.Len(t, all, memSize)
	require.NoError(t, b.finish())
	require.Empty(t, b.reports)
}

// One batch may run an executable several times, on inputs that it changes in
// between.
func TestRunsOfOneBatch(t *testing.T) {
	b := open(t, newFake())
	require.NoError(t, b.setup())
	x, y := make([]byte, 16*rows), make([]byte, 16*rows)
	require.NoError(t, b.do(
		driver.Cmd{Op: driver.Upload, Dst: b.region(offX, 16*rows), Host: x},
		b.run(),
		driver.Cmd{Op: driver.Copy, Src: b.region(offY, 16*rows), Dst: b.region(offX, 16*rows)},
		b.run(),
		driver.Cmd{Op: driver.Download, Src: b.region(offY, 16*rows), Host: y},
	))
	require.Equal(t, x, y, "inverted twice")
	require.NoError(t, b.finish())
	require.Empty(t, b.reports)
}

// Each case breaks one rule; where says which call has to notice.
func TestDriversThatMisbehave(t *testing.T) {
	boom := func() { panic("boom") }
	for _, c := range []struct {
		name  string
		spoil func(f *fake)
		rule  validate.Rule
		text  string
	}{
		{"caps change", func(f *fake) {
			f.exe = func(x *fakeExe) driver.Executable { f.caps.Model = "another"; return x }
		}, validate.RuleCaps, "not what they were"},
		{"no caps", func(f *fake) { f.capsFn = func(*fake) *driver.Caps { return nil } }, validate.RuleCaps, "there are none"},
		{"no heap", func(f *fake) { f.caps.Heaps = nil }, validate.RuleCaps, "no heap"},
		{"no fingerprint", func(f *fake) { f.caps.Fingerprint = "" }, validate.RuleCaps, "fingerprint"},
		{"odd alignment", func(f *fake) { f.caps.Heaps[0].Align = 48 }, validate.RuleCaps, "power of two"},
		{"claims to import", func(f *fake) { f.caps.Heaps[0].Import = []driver.ShareKind{driver.MemFD} }, validate.RuleCaps, "no Importer"},
		{"claims to export", func(f *fake) { f.caps.Heaps[0].Export = []driver.ShareKind{driver.HostPtr} }, validate.RuleCaps, "no Exporter"},
		{"operator twice", func(f *fake) { f.caps.Ops = append(f.caps.Ops, f.caps.Ops[0]) }, validate.RuleCaps, "Relu is listed twice"},
		{"unknown type", func(f *fake) { f.caps.Ops[0].Elems = []string{"float"} }, validate.RuleCaps, "Relu"},
		{"batches unsorted", func(f *fake) { f.caps.Shapes.TileBatches = []int64{4, 1} }, validate.RuleCaps, "ascending"},

		{"verdict missing", func(f *fake) {
			f.verdict = func(_ *graph.Graph, vs []driver.Verdict) []driver.Verdict { return vs[1:] }
		}, validate.RuleVerdict, "0 verdicts for 1 nodes"},
		{"verdict with a reason", func(f *fake) {
			f.verdict = func(_ *graph.Graph, vs []driver.Verdict) []driver.Verdict { vs[0].Text = "but"; return vs }
		}, validate.RuleVerdict, "reason against it"},
		{"verdict against caps", func(f *fake) { f.caps.Ops = nil }, validate.RuleVerdict, "do not list"},
		{"verdict without text", func(f *fake) {
			f.verdict = func(_ *graph.Graph, vs []driver.Verdict) []driver.Verdict {
				vs[0] = driver.Verdict{Code: driver.ReasonShape}
				return vs
			}
		}, validate.RuleVerdict, "without a text"},
		{"verdict of unknown code", func(f *fake) {
			f.verdict = func(_ *graph.Graph, vs []driver.Verdict) []driver.Verdict {
				vs[0] = driver.Verdict{Code: "mood", Text: "not today"}
				return vs
			}
		}, validate.RuleVerdict, `"mood"`},
		{"verdicts differ", func(f *fake) {
			n := int32(0)
			f.verdict = func(_ *graph.Graph, vs []driver.Verdict) []driver.Verdict { n++; vs[0].Group = n; return vs }
		}, validate.RuleVerdict, "asked again"},
		{"supports changes the graph", func(f *fake) {
			f.verdict = func(g *graph.Graph, vs []driver.Verdict) []driver.Verdict { g.Nodes[0].Op.Version++; return vs }
		}, validate.RuleGraph, "Supports changed"},
		{"supports panics", func(f *fake) {
			f.verdict = func(*graph.Graph, []driver.Verdict) []driver.Verdict { boom(); return nil }
		}, validate.RulePanic, "Supports: boom"},

		{"binding missing", exe(func(x *fakeExe) { x.bindings = x.bindings[:2] }), validate.RuleBinding, "2 bindings"},
		{"binding renamed", exe(func(x *fakeExe) { x.bindings[1].Name = "z" }), validate.RuleBinding, `"z"`},
		{"bindings swapped", exe(func(x *fakeExe) { x.bindings[0], x.bindings[1] = x.bindings[1], x.bindings[0] }), validate.RuleBinding, "binding 0"},
		{"binding of another type", exe(func(x *fakeExe) { x.bindings[0].Type.Elem = enc.F16 }), validate.RuleBinding, "f16"},
		{"binding of another role", exe(func(x *fakeExe) { x.bindings[2].Role = driver.RoleInput }), validate.RuleBinding, "want state"},
		{"negative alignment", exe(func(x *fakeExe) { x.bindings[0].Align = -1 }), validate.RuleBinding, "alignment -1"},
		{"no symbols", exe(func(x *fakeExe) { x.symbols = nil }), validate.RuleBinding, "symbols"},
		{"negative footprint", exe(func(x *fakeExe) { x.foot.Scratch = -1 }), validate.RuleBinding, "negative"},
		{"compile returns nothing", func(f *fake) { f.exe = func(*fakeExe) driver.Executable { return nil } }, validate.RuleNothing, "Compile"},
		{"compile panics", func(f *fake) { f.exe = func(*fakeExe) driver.Executable { boom(); return nil } }, validate.RulePanic, "Compile: boom"},
		{"bindings change", func(f *fake) {
			var x *fakeExe
			f.exe = func(made *fakeExe) driver.Executable { x = made; return made }
			f.run = func(a, y, s []byte) error { x.bindings[0].Name = "other"; compute(a, y, s); return nil }
		}, validate.RuleBinding, "changed"},

		{"memory too small", alloc(func(s driver.MemSpec) driver.Memory { return short{driver.NewHostMemory(s)} }), validate.RuleMemory, "Bytes has"},
		{"memory of another size", alloc(func(s driver.MemSpec) driver.Memory {
			s.Size++
			return driver.NewHostMemory(s)
		}), validate.RuleMemory, "Spec says"},
		{"memory unaligned", func(f *fake) {
			f.caps.Heaps[0].Align = 1 << 20
			f.alloc = func(s driver.MemSpec) (driver.Memory, error) { return misplaced{driver.NewHostMemory(s)}, nil }
		}, validate.RuleMemory, "promises a multiple"},
		{"memory not zeroed", alloc(func(s driver.MemSpec) driver.Memory {
			m := driver.NewHostMemory(s)
			b, _ := m.Bytes()
			b[len(b)-1] = 1
			return m
		}), validate.RuleMemory, "not zeroed"},
		{"memory invisible", func(f *fake) { f.caps.Heaps[0].HostVisible = false }, validate.RuleMemory, "visible: true"},
		{"alloc returns nothing", alloc(func(driver.MemSpec) driver.Memory { return nil }), validate.RuleNothing, "Alloc"},

		{"write before an output", run(func(x, y, s []byte) { before(y, 3)[0] = 7; compute(x, y, s) }), validate.RuleBounds, `bytes -3 to -3 of output "y"`},
		{"write after an output", run(func(x, y, s []byte) { compute(x, y, s); y[:52][50] = 0 }), validate.RuleBounds, `bytes 50 to 50 of output "y"`},
		{"write after a state", run(func(x, y, s []byte) { compute(x, y, s); clear(s[40:900]) }), validate.RuleBounds, `of state "s" were written, which has 40`},
		{"write after an input", run(func(x, y, s []byte) { compute(x, y, s); x[:49][48]++ }), validate.RuleBounds, `bytes 48 to 48 of input "x"`},
		{"input changed", run(func(x, y, s []byte) { compute(x, y, s); x[5]++ }), validate.RuleInput, `"x"`},
		{"output unwritten", run(func(_, _, s []byte) { s[0]++ }), validate.RuleOutput, `bytes 0 to 47 of output "y"`},
		{"output half written", run(func(x, y, s []byte) { compute(x, y[:24], s); compute(x[40:], y[40:], nil) }), validate.RuleOutput, `bytes 24 to 39 of output "y"`},
		{"run panics", run(func(_, _, _ []byte) { boom() }), "", "boom"},

		{"queue swallows a batch", func(f *fake) {
			f.patience = 50 * time.Millisecond
			f.queue = func(q driver.Queue) driver.Queue { return swallows{q} }
		}, validate.RuleStall, "neither done nor failed"},
		{"queue keeps the caller's slices", queue(func(q driver.Queue) driver.Queue { return &keeps{Queue: q} }), "", ""},
		{"queue without timelines", queue(func(q driver.Queue) driver.Queue { return noTimelines{q} }), validate.RuleNothing, "NewTimeline"},
		{"queue returns nothing", queue(func(driver.Queue) driver.Queue { return nil }), validate.RuleNothing, "NewQueue"},
		{"submit panics", queue(func(q driver.Queue) driver.Queue { return panics{q} }), validate.RulePanic, "Submit"},
		{"copy overruns", queue(func(q driver.Queue) driver.Queue { return overruns{q} }), validate.RuleBounds, "after memory of 192 bytes"},
		{"timeline starts wrong", timelines(func(tl *oddTimeline) { _ = tl.Timeline.Signal(5) }), validate.RuleTimeline, "should be at 0"},
		{"close panics", func(f *fake) { f.closeFn = func() error { boom(); return nil } }, validate.RulePanic, "Close: boom"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFake()
			c.spoil(f)
			b := open(t, f)
			err := b.setup()
			if err == nil {
				err = b.do(driver.Cmd{Op: driver.Fill, Dst: b.region(0, 8)}, b.run())
			}
			all := b.finish()
			if c.rule == "" { // an ordinary failure, that validation only has to survive
				require.ErrorContains(t, err, c.text)
				return
			}
			require.NotEmpty(t, b.reports)
			requireRule(t, b.reports[0], c.rule, c.text)
			require.False(t, c.rule.Caller())
			require.ErrorContains(t, b.reports[0], "the driver broke rule")
			require.ErrorIs(t, all, b.reports[0], "Close returns everything found")
			// Errors that a call returns are the violations themselves, or
			// follow from them.
			var v *validate.Violation
			if errors.As(err, &v) {
				require.Contains(t, b.reports, v)
			}
		})
	}
}

func exe(f func(*fakeExe)) func(*fake) {
	return func(k *fake) {
		k.exe = func(x *fakeExe) driver.Executable { f(x); return x }
	}
}

func alloc(f func(driver.MemSpec) driver.Memory) func(*fake) {
	return func(k *fake) {
		k.alloc = func(s driver.MemSpec) (driver.Memory, error) { return f(s), nil }
	}
}

func run(f func(x, y, s []byte)) func(*fake) {
	return func(k *fake) {
		k.run = func(x, y, s []byte) error { f(x, y, s); return nil }
	}
}

func queue(f func(driver.Queue) driver.Queue) func(*fake) {
	return func(k *fake) { k.queue = f }
}

type short struct{ driver.Memory }

func (m short) Bytes() ([]byte, bool) {
	b, ok := m.Memory.Bytes()
	return b[:len(b)-1], ok
}

// misplaced starts one byte past a boundary of a mebibyte.
type misplaced struct{ driver.Memory }

func (m misplaced) Bytes() ([]byte, bool) {
	big := make([]byte, 4<<20)
	return odd(big, 1<<20, m.Spec().Size), true
}

type swallows struct{ driver.Queue }

func (swallows) Submit(context.Context, *driver.Batch) error { return nil }

type panics struct{ driver.Queue }

func (panics) Submit(context.Context, *driver.Batch) error { panic("in Submit") }

type noTimelines struct{ driver.Queue }

func (noTimelines) NewTimeline(uint64) (driver.Timeline, error) { return nil, nil }

// keeps runs a batch later from the caller's own slices, by when they have
// been reused.
type keeps struct{ driver.Queue }

func (k *keeps) Submit(ctx context.Context, b *driver.Batch) error {
	signal := append([]driver.Point(nil), b.Signal...)
	late := driver.Batch{Cmds: b.Cmds, Signal: signal}
	time.AfterFunc(5*time.Millisecond, func() { _ = k.Queue.Submit(ctx, &late) })
	return nil
}

// overruns fills one byte too many.
type overruns struct{ driver.Queue }

func (o overruns) Submit(ctx context.Context, b *driver.Batch) error {
	for i := range b.Cmds {
		if c := &b.Cmds[i]; c.Op == driver.Fill {
			m, _ := c.Dst.Mem.Bytes()
			m[c.Dst.Off+memSize] = ^m[c.Dst.Off+memSize]
		}
	}
	return o.Queue.Submit(ctx, b)
}

func TestCallersThatMisbehave(t *testing.T) {
	type breach struct {
		name string
		do   func(b *bench) error
		rule validate.Rule
		text string
	}
	ctx := within(t)
	submit := func(f func(b *bench, c *driver.Cmd)) func(b *bench) error {
		return func(b *bench) error {
			c := b.run()
			f(b, &c)
			return b.do(c)
		}
	}
	point := func(f func(b *bench, batch *driver.Batch)) func(b *bench) error {
		return func(b *bench) error {
			batch := &driver.Batch{Signal: []driver.Point{{T: b.tl, V: 1}}}
			f(b, batch)
			return b.q.Submit(ctx, batch)
		}
	}
	for _, c := range []breach{
		{"no batch", func(b *bench) error { return b.q.Submit(ctx, nil) }, validate.RuleArgument, "without a batch"},
		{"wait without timeline", point(func(_ *bench, x *driver.Batch) { x.Wait = make([]driver.Point, 1) }), validate.RuleArgument, "wait point 0"},
		{"foreign signal", point(func(_ *bench, x *driver.Batch) { x.Signal[0].T = driver.NewHostTimeline(0) }), validate.RuleArgument, "signal point 0"},
		{"no signal timeline", point(func(_ *bench, x *driver.Batch) { x.Signal[0].T = nil }), validate.RuleArgument, "signal point 0"},
		{"signal twice", point(func(_ *bench, x *driver.Batch) { x.Signal = append(x.Signal, x.Signal[0]) }), validate.RuleArgument, "twice"},
		{"signal behind", point(func(_ *bench, x *driver.Batch) { x.Signal[0].V = 0 }), validate.RuleArgument, "want 1 to"},
		{"signal too far", point(func(_ *bench, x *driver.Batch) { x.Signal[0].V = driver.MaxPending + 1 }), validate.RuleArgument, "want 1 to"},
		{"foreign executable", submit(func(_ *bench, c *driver.Cmd) { c.Exec = &fakeExe{} }), validate.RuleArgument, "no executable"},
		{"argument missing", submit(func(_ *bench, c *driver.Cmd) { c.Args = c.Args[1:] }), validate.RuleArgument, "2 arguments for 3"},
		{"dims missing", submit(func(_ *bench, c *driver.Cmd) { c.Dims = nil }), validate.RuleArgument, "0 dimensions for 1"},
		{"dims out of bounds", submit(func(_ *bench, c *driver.Cmd) { c.Dims[0] = 17 }), validate.RuleArgument, "1..16"},
		{"argument too short", submit(func(_ *bench, c *driver.Cmd) { c.Args[0].Size-- }), validate.RuleArgument, "want 48"},
		{"argument unaligned", submit(func(_ *bench, c *driver.Cmd) { c.Args[1].Off += 4 }), validate.RuleArgument, "multiple of 64"},
		{"argument outside", submit(func(_ *bench, c *driver.Cmd) { c.Args[2].Off = 192 }), validate.RuleArgument, "not inside"},
		{"aliases", submit(func(_ *bench, c *driver.Cmd) { c.Args[1] = c.Args[0] }), validate.RuleArgument, `output "y" overlaps input "x"`},
		{"foreign memory", submit(func(_ *bench, c *driver.Cmd) {
			c.Args[0].Mem = driver.NewHostMemory(driver.MemSpec{Size: memSize})
		}), validate.RuleArgument, "another device's"},
		{"copy sizes", submit(func(b *bench, c *driver.Cmd) {
			*c = driver.Cmd{Op: driver.Copy, Dst: b.region(0, 4), Src: b.region(8, 5)}
		}), validate.RuleArgument, "5 bytes to 4"},
		{"copy rows", submit(func(b *bench, c *driver.Cmd) {
			*c = driver.Cmd{Op: driver.Copy, Dst: b.region(0, 4), Src: b.region(8, 4), Rows: -1}
		}), validate.RuleArgument, "-1 rows"},
		{"copy rows overlap", submit(func(b *bench, c *driver.Cmd) {
			*c = driver.Cmd{Op: driver.Copy, Dst: b.region(0, 4), Src: b.region(64, 4), Rows: 2, DstStride: 3, SrcStride: 4}
		}), validate.RuleArgument, "overwrite each other"},
		{"copy overlaps", submit(func(b *bench, c *driver.Cmd) {
			*c = driver.Cmd{Op: driver.Copy, Dst: b.region(0, 4), Src: b.region(2, 4)}
		}), validate.RuleArgument, "overlap"},
		{"copy leaves", submit(func(b *bench, c *driver.Cmd) {
			*c = driver.Cmd{Op: driver.Copy, Dst: b.region(0, 4), Src: b.region(64, 4), Rows: 3, DstStride: 8, SrcStride: 63}
		}), validate.RuleArgument, "not inside"},
		{"upload", submit(func(b *bench, c *driver.Cmd) {
			*c = driver.Cmd{Op: driver.Upload, Dst: b.region(0, 4), Host: make([]byte, 3)}
		}), validate.RuleArgument, "3 bytes to 4"},
		{"download", submit(func(b *bench, c *driver.Cmd) {
			*c = driver.Cmd{Op: driver.Download, Src: b.region(0, 4), Host: make([]byte, 3)}
		}), validate.RuleArgument, "4 bytes to 3"},
		{"unknown command", submit(func(_ *bench, c *driver.Cmd) { *c = driver.Cmd{Op: 77} }), validate.RuleArgument, "no such command"},
		{"alloc", func(b *bench) error {
			_, err := b.dev.Alloc(ctx, driver.MemSpec{Size: -1})
			return err
		}, validate.RuleArgument, "-1 bytes"},
		{"alloc heap", func(b *bench) error {
			_, err := b.dev.Alloc(ctx, driver.MemSpec{Size: 1, Heap: 1})
			return err
		}, validate.RuleArgument, "heap 1 of 1"},
		{"alloc too much", func(b *bench) error {
			_, err := b.dev.Alloc(ctx, driver.MemSpec{Size: 1<<24 + 1})
			return err
		}, validate.RuleArgument, "limit"},
		{"compile nothing", func(b *bench) error {
			_, err := b.dev.Compile(ctx, nil, driver.CompileOptions{})
			return err
		}, validate.RuleArgument, "without a graph"},
		{"compile the unsupported", func(b *bench) error {
			_, err := b.dev.Compile(ctx, testGraph(b.t, "Tanh"), driver.CompileOptions{})
			return err
		}, validate.RuleArgument, "(Tanh)"},
		{"run closed", func(b *bench) error {
			c := b.run()
			require.NoError(t, b.exe.Close())
			b.exe = nil
			return b.do(c)
		}, validate.RuleClosed, "which was closed"},
		{"freed memory", func(b *bench) error {
			c := b.run()
			require.NoError(t, b.mem.Free())
			b.mem = nil
			return b.do(c)
		}, validate.RuleClosed, "was freed"},
		{"bytes of freed memory", func(b *bench) error {
			m := b.mem
			require.NoError(t, m.Free())
			b.mem = nil
			_, ok := m.Bytes()
			require.False(t, ok)
			return b.reports[0]
		}, validate.RuleClosed, "Bytes of memory"},
		{"free twice", func(b *bench) error {
			m := b.mem
			require.NoError(t, m.Free())
			b.mem = nil
			return m.Free()
		}, validate.RuleClosed, "twice"},
		{"closed queue", func(b *bench) error {
			q := b.q
			require.NoError(t, q.Close())
			b.q = nil
			return q.Submit(ctx, &driver.Batch{})
		}, validate.RuleClosed, "closed"},
		{"timeline of a closed queue", func(b *bench) error {
			q := b.q
			require.NoError(t, q.Close())
			b.q = nil
			_, err := q.NewTimeline(0)
			return err
		}, validate.RuleClosed, "closed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := open(t, newFake())
			require.NoError(t, b.setup())
			err := c.do(b)
			requireRule(t, err, c.rule, c.text)
			require.True(t, c.rule.Caller())
			require.ErrorContains(t, err, "the caller broke rule")
			require.Len(t, b.reports, 1)
			if c.rule == validate.RuleClosed {
				require.ErrorIs(t, err, driver.ErrClosed, "as without validation")
			}
			require.ErrorIs(t, b.finish(), b.reports[0])
		})
	}
}

func TestClosedWhilePending(t *testing.T) {
	b := open(t, newFake())
	require.NoError(t, b.setup())
	gate, err := b.q.NewTimeline(0)
	require.NoError(t, err)
	require.NoError(t, b.q.Submit(within(t), &driver.Batch{Wait: []driver.Point{{T: gate, V: 1}}, Cmds: []driver.Cmd{b.run()}}))
	require.NoError(t, b.exe.Close())
	require.NoError(t, b.mem.Free())
	b.exe, b.mem = nil, nil
	require.Len(t, b.reports, 2)
	requireRule(t, b.reports[0], validate.RuleClosed, "while a pending batch uses it")
	requireRule(t, b.reports[1], validate.RuleClosed, "while a pending batch uses it")
	require.Error(t, b.finish())
}

func TestLeaks(t *testing.T) {
	b := open(t, newFake())
	require.NoError(t, b.setup())
	err := b.dev.Close()
	require.Len(t, b.reports, 3)
	requireRule(t, b.reports[0], validate.RuleLeak, `executable "test"`)
	requireRule(t, b.reports[1], validate.RuleLeak, "memory of 192 bytes")
	requireRule(t, b.reports[2], validate.RuleLeak, `queue "q"`)
	for _, v := range b.reports {
		require.ErrorIs(t, err, v)
	}
	// The device is closed for good.
	_, err = b.dev.Alloc(within(t), driver.MemSpec{})
	requireRule(t, err, validate.RuleClosed, "Alloc")
	_, err = b.dev.NewQueue(driver.QueueOptions{})
	requireRule(t, err, validate.RuleClosed, "NewQueue")
	_, err = b.dev.Compile(within(t), testGraph(t, "Relu"), driver.CompileOptions{})
	requireRule(t, err, validate.RuleClosed, "Compile")
	require.Nil(t, b.dev.Supports(testGraph(t, "Relu")))
	requireRule(t, b.mem.Free(), validate.RuleClosed, "after its device")
	requireRule(t, b.dev.Close(), validate.RuleClosed, "twice")
}

// A failed run fails its batch and nothing else.
func TestFailureOfARun(t *testing.T) {
	f := newFake()
	boom := errors.New("boom")
	fail := true
	f.run = func(x, y, s []byte) error {
		if fail {
			return boom
		}
		compute(x, y, s)
		return nil
	}
	b := open(t, f)
	require.NoError(t, b.setup())
	require.ErrorIs(t, b.do(b.run()), boom)
	_, err := b.tl.Value()
	require.ErrorIs(t, err, boom)
	fail = false
	b.tl, err = b.q.NewTimeline(0)
	require.NoError(t, err)
	b.value = 0
	require.NoError(t, b.do(b.run()))
	require.NoError(t, b.finish())
	require.Empty(t, b.reports)
}

func TestQueueClose(t *testing.T) {
	f := newFake()
	started, release := make(chan struct{}), make(chan struct{})
	f.run = func(x, y, s []byte) error { close(started); <-release; compute(x, y, s); return nil }
	b := open(t, f)
	require.NoError(t, b.setup())
	ctx := within(t)
	other, err := b.q.NewTimeline(0)
	require.NoError(t, err)
	require.NoError(t, b.q.Submit(ctx, &driver.Batch{Cmds: []driver.Cmd{b.run()}, Signal: []driver.Point{{T: b.tl, V: 1}}}))
	require.NoError(t, b.q.Submit(ctx, &driver.Batch{Wait: []driver.Point{{T: other, V: 1}}, Signal: []driver.Point{{T: b.tl, V: 2}}}))
	<-started
	closed := make(chan error, 1)
	go func() { closed <- b.q.Close() }()
	time.Sleep(time.Millisecond)
	close(release)
	require.NoError(t, <-closed)
	b.q = nil
	require.ErrorIs(t, b.tl.Wait(ctx, 2), driver.ErrClosed)
	require.NoError(t, b.finish())
	require.Empty(t, b.reports)
}

// Only what is kept grows with the number of violations, and only so far.
func TestManyViolations(t *testing.T) {
	b := open(t, newFake())
	for range 250 {
		_, err := b.dev.Alloc(within(t), driver.MemSpec{Size: -1})
		require.Error(t, err)
	}
	require.Len(t, b.reports, 250)
	require.ErrorContains(t, b.dev.Close(), "and 150 more")
}

func ExampleDriver() {
	d := validate.Driver(null.Driver{}, validate.Options{})
	dev, err := d.Open(context.Background(), "0", driver.OpenOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := dev.Alloc(context.Background(), driver.MemSpec{Size: 100}); err != nil {
		fmt.Println(err)
	}
	if _, err := dev.Alloc(context.Background(), driver.MemSpec{Size: 100, Heap: 7}); err != nil {
		fmt.Println(err)
	}
	err = dev.Close()
	var v *validate.Violation
	fmt.Println(errors.As(err, &v), v.Rule, v.Rule.Caller())
	fmt.Println(err)
	// Output:
	// validate: the caller broke rule "argument": Alloc of 100 bytes (limit 4294967296) on heap 7 of 1
	// true argument true
	// validate: the caller broke rule "argument": Alloc of 100 bytes (limit 4294967296) on heap 7 of 1
	// validate: the caller broke rule "leak": memory of 100 bytes was left open
}
