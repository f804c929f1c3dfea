package fault_test

import (
	"context"
	"fmt"
	"math"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/drivers/cpu"
	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/hal/driver"
	"github.com/heddle-ml/heddle/hal/fault"
	"github.com/heddle-ml/heddle/hal/validate"
	"github.com/heddle-ml/heddle/ops"
)

// effects holds, for each kind, what it does.
var effects = map[fault.Kind]func(t *testing.T, b *bench){
	fault.Bias: numbers(func(t *testing.T, got, want []byte) {
		for i, y := range part(got, offY, sizeY) {
			require.InEpsilon(t, 1.001*float64(part(want, offY, sizeY)[i]), y, 1e-6)
		}
		require.Equal(t, want[offZ:offZ+sizeZ], got[offZ:offZ+sizeZ], "integers stay")
	}),
	fault.Element: numbers(func(t *testing.T, got, want []byte) {
		require.Len(t, differ(part(got, offY, sizeY), part(want, offY, sizeY)), 1)
		require.Len(t, differ(got[offZ:offZ+sizeZ], want[offZ:offZ+sizeZ]), 1)
	}),
	fault.Sign: numbers(func(t *testing.T, got, want []byte) {
		for i, y := range part(got, offY, sizeY) {
			require.Equal(t, -part(want, offY, sizeY)[i], y)
		}
	}),
	fault.SwapRows: numbers(func(t *testing.T, got, want []byte) {
		at := differ(part(got, offY, sizeY), part(want, offY, sizeY))
		require.Len(t, at, 16)
		i, j := at[0], at[8]
		require.Equal(t, part(want, offY, sizeY)[j:j+8], part(got, offY, sizeY)[i:i+8])
		require.Equal(t, part(want, offY, sizeY)[i:i+8], part(got, offY, sizeY)[j:j+8])
	}),
	fault.Half: func(t *testing.T, b *bench) {
		x := input()
		x[3] = 4097 // 8194 is no f16
		got := part(b.compute(true, x, 0), offY, sizeY)
		require.Equal(t, float32(8192), got[3])
		require.Equal(t, float32(2), got[0])
	},
	fault.OffByTwo: func(t *testing.T, b *bench) {
		x := input()
		x[5] = 255
		got := b.compute(true, x, 0)[offZ : offZ+sizeZ]
		for i, z := range got {
			if want := byte(x[i]) + 2; i == 5 {
				require.Equal(t, byte(253), z)
			} else {
				require.Equal(t, want, z)
			}
		}
	},
	fault.NaN: func(t *testing.T, b *bench) {
		x := input()
		x[3], x[4], x[5] = 1e-40, -20000, 6000 // 6000 is small and its double is not
		for i, y := range part(b.compute(true, x, 0), offY, sizeY) {
			require.Equal(t, i >= 3 && i <= 5, math.IsNaN(float64(y)), "element %d", i)
		}
	},
	fault.Jitter: func(t *testing.T, b *bench) {
		want := part(right(t, input(), 0), offY, sizeY)
		first := part(b.compute(true, input(), 0), offY, sizeY)
		second := part(b.compute(true, input(), 0), offY, sizeY)
		require.NotEqual(t, first, second)
		require.NotEmpty(t, differ(first, want))
		require.InDeltaSlice(t, want, first, 1e-5)
	},
	fault.Tail: func(t *testing.T, b *bench) {
		want := part(right(t, input(), 0), offY, sizeY)
		got := part(b.compute(true, input(), 0), offY, sizeY)
		require.Equal(t, want[:24], got[:24])
		require.Equal(t, make([]float32, 8), got[24:])
	},
	fault.NoOutput: func(t *testing.T, b *bench) {
		got := b.compute(true, input(), 0)
		require.Equal(t, make([]byte, sizeY), got[offY:offY+sizeY])
		require.Equal(t, make([]byte, sizeZ), got[offZ:offZ+sizeZ])
		require.NotEqual(t, make([]byte, sizeS), got[offS:offS+sizeS], "the state is written")
	},
	fault.Overrun: func(t *testing.T, b *bench) {
		got, want := b.compute(true, input(), 0), right(t, input(), 0)
		require.Equal(t, want[:offY+sizeY], got[:offY+sizeY])
		require.Equal(t, repeat(0x5a, 16), got[offY+sizeY:offY+sizeY+16])
		require.Equal(t, repeat(0x5a, 16), got[offZ+sizeZ:offZ+sizeZ+16])
		require.Equal(t, repeat(0, 16), got[offS+sizeS:offS+sizeS+16])
	},
	fault.WriteInput: func(t *testing.T, b *bench) {
		got := b.compute(true, input(), 0)
		require.Len(t, differ(got[offX:offX+sizeX], bytesOf(input()...)), 1)
	},
	fault.StateDrop:  state(func(int) []float32 { return nil }),
	fault.StateShift: state(func(row int) []float32 { return map[int][]float32{3: {1, 2, 3, 4}, 4: {5, 6, 7, 8}}[row] }),
	fault.StateTwice: state(func(row int) []float32 {
		return map[int][]float32{2: {1, 2, 3, 4}, 3: {5, 6, 7, 8}, 4: {5, 6, 7, 8}}[row]
	}),
	fault.CopyOneRow: func(t *testing.T, b *bench) {
		b.compute(true, input(), 0)
		require.NoError(t, b.do(driver.Cmd{Op: driver.Copy, Dst: b.region(offU, 4), Src: b.region(offX, 4), Rows: 2, DstStride: 4, SrcStride: 32}))
		got, _ := b.mem.Bytes()
		require.Equal(t, []float32{1, 2}, part(got, offU, 8), "9 should be in the second place")
	},
	fault.DirtyMemory: func(t *testing.T, b *bench) {
		got, ok := b.mem.Bytes()
		require.True(t, ok)
		require.Equal(t, repeat(0xa5, memSize), got)
	},
	fault.Overcommit: func(t *testing.T, b *bench) {
		const size = 1 << 60
		m, err := b.dev.Alloc(within(t), driver.MemSpec{Size: size})
		require.NoError(t, err)
		require.EqualValues(t, size, m.Spec().Size)
		_, ok := m.Bytes()
		require.False(t, ok)
		require.ErrorContains(t, b.do(driver.Cmd{Op: driver.Fill, Dst: driver.Region{Mem: m, Size: 8}}), "no memory behind")
		require.NoError(t, m.Free())
	},
	fault.AliasMemory: func(t *testing.T, b *bench) {
		m, err := b.dev.Alloc(within(t), driver.MemSpec{Size: 100})
		require.NoError(t, err)
		require.EqualValues(t, 100, m.Spec().Size)
		require.NoError(t, b.do(driver.Cmd{Op: driver.Fill, Dst: driver.Region{Mem: m, Size: 100}, Value: 7}))
		first, _ := b.mem.Bytes()
		require.Equal(t, repeat(7, 100), first[:100])
		require.NoError(t, m.Free())
		_, ok := b.mem.Bytes()
		require.True(t, ok, "the other one lives")
	},
	fault.SharedScratch: func(t *testing.T, b *bench) {
		q, err := b.dev.NewQueue(driver.QueueOptions{})
		require.NoError(t, err)
		defer q.Close()
		mem, err := b.dev.Alloc(within(t), driver.MemSpec{Size: memSize})
		require.NoError(t, err)
		defer mem.Free()
		tl, err := q.NewTimeline(0)
		require.NoError(t, err)
		want := right(t, input(), 0)
		mixed := false
		for v := uint64(1); v < 50 && !mixed; v++ {
			run := b.run()
			for i := range run.Args {
				run.Args[i].Mem = mem // of zeros
			}
			require.NoError(t, q.Submit(within(t), &driver.Batch{Cmds: []driver.Cmd{run}, Signal: []driver.Point{{T: tl, V: v}}}))
			got := b.compute(false, input(), 0)
			require.NoError(t, tl.Wait(within(t), v))
			zero, _ := mem.Bytes()
			mixed = len(differ(got[offY:offY+sizeY], want[offY:offY+sizeY])) > 0 || len(differ(zero[offY:offY+sizeY], make([]byte, sizeY))) > 0
		}
		require.True(t, mixed)
	},
	fault.EarlySignal: func(t *testing.T, b *bench) {
		got := b.compute(true, input(), 0)
		require.Equal(t, make([]byte, memSize), got, "nothing was downloaded")
		require.NoError(t, b.do())
		now, _ := b.mem.Bytes()
		require.Equal(t, part(right(t, input(), 0), offY, sizeY), part(now, offY, sizeY))
	},
	fault.NeverSignal: func(t *testing.T, b *bench) {
		p, err := b.submit(driver.Cmd{Op: driver.Fill, Dst: b.region(0, memSize), Value: 3})
		require.NoError(t, err)
		short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		require.ErrorIs(t, p.T.Wait(short, p.V), context.DeadlineExceeded)
		require.NoError(t, b.q.Close())
		got, _ := b.mem.Bytes()
		require.Equal(t, repeat(3, memSize), got)
	},
	fault.IgnoreWait: func(t *testing.T, b *bench) {
		gate := driver.NewHostTimeline(0)
		require.NoError(t, b.q.Submit(within(t), &driver.Batch{Wait: []driver.Point{{T: gate, V: 1}}, Signal: []driver.Point{{T: b.tl, V: 1}}}))
		require.NoError(t, b.tl.Wait(within(t), 1))
	},
	fault.IgnoreCancel: func(t *testing.T, b *bench) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		done := make(chan error, 1)
		go func() { done <- b.tl.Wait(ctx, 1) }()
		select {
		case err := <-done:
			t.Fatal("it returned", err)
		case <-time.After(20 * time.Millisecond):
		}
		require.NoError(t, b.tl.Signal(1))
		require.NoError(t, <-done)
		go func() { done <- b.tl.Wait(ctx, 2) }()
		time.Sleep(5 * time.Millisecond)
		b.close()
		require.ErrorIs(t, <-done, driver.ErrClosed)
	},
	fault.SwallowError: func(t *testing.T, b *bench) {
		gate := driver.NewHostTimeline(0)
		gate.Fail(fmt.Errorf("it broke"))
		require.NoError(t, b.q.Submit(within(t), &driver.Batch{Wait: []driver.Point{{T: gate, V: 1}}, Signal: []driver.Point{{T: b.tl, V: 1}}}))
		require.NoError(t, b.tl.Wait(within(t), 1))
	},
	fault.RefuseSubmit: func(t *testing.T, b *bench) {
		require.ErrorIs(t, b.do(b.run()), driver.ErrUnavailable)
	},
	fault.Abandon: func(t *testing.T, b *bench) {
		gate := driver.NewHostTimeline(0)
		for v := uint64(1); v <= 3; v++ { // the first is being waited for
			require.NoError(t, b.q.Submit(within(t), &driver.Batch{Wait: []driver.Point{{T: gate, V: 1}}, Signal: []driver.Point{{T: b.timeline(), V: v}}}))
		}
		last := b.timeline()
		require.NoError(t, b.q.Submit(within(t), &driver.Batch{Wait: []driver.Point{{T: gate, V: 1}}, Signal: []driver.Point{{T: last, V: 1}}}))
		require.NoError(t, b.q.Close())
		v, err := last.Value()
		require.NoError(t, err)
		require.Zero(t, v)
	},
	fault.Slow: func(t *testing.T, b *bench) {
		require.NoError(t, b.do(b.run()))
	},
	fault.WrongError: func(t *testing.T, b *bench) {
		_, err := b.dev.Alloc(within(t), driver.MemSpec{Size: 1 << 60})
		require.ErrorContains(t, err, "out of memory")
		require.NotErrorIs(t, err, driver.ErrOutOfMemory)
	},
	fault.AcceptInvalid: func(t *testing.T, b *bench) {
		g := testGraph(t)
		g.Nodes[0].Op.Name = "Mystery"
		for _, v := range b.dev.Supports(g) {
			require.Equal(t, driver.Verdict{OK: true}, v)
		}
		x, err := b.dev.Compile(within(t), g, driver.CompileOptions{})
		require.NoError(t, err)
		require.Len(t, x.Bindings(), 6)
		require.Zero(t, x.Footprint())
		b.exe = x
		require.Equal(t, make([]byte, sizeY), b.compute(true, input(), 0)[offY:offY+sizeY])
		require.NoError(t, x.Close())
		g.Inputs = []graph.ValueID{1000} // even so
		_, err = b.dev.Compile(within(t), g, driver.CompileOptions{})
		require.Error(t, err)
	},
	fault.RefuseCompile: unready(func(t *testing.T, b *bench) {
		for _, v := range b.dev.Supports(testGraph(t)) {
			require.True(t, v.OK)
		}
		_, err := b.dev.Compile(within(t), testGraph(t), driver.CompileOptions{})
		require.ErrorIs(t, err, driver.ErrUnsupported)
	}),
	fault.Overclaim: unready(func(t *testing.T, b *bench) {
		for _, v := range b.dev.Supports(testGraph(t)) {
			require.False(t, v.OK)
			require.NotEmpty(t, v.Text)
		}
		_, listed := b.dev.Caps().Op(graph.OpRef{Name: "Add"})
		require.True(t, listed)
	}),
	fault.CacheAnything: func(t *testing.T, b *bench) {
		c, ok := driver.As[driver.Cacher](b.dev)
		require.True(t, ok)
		for _, blob := range [][]byte{nil, []byte("of another vendor")} {
			require.Equal(t, driver.Optimal, c.Judge(blob))
			x, err := c.Load(within(t), blob, testGraph(t), driver.CompileOptions{})
			require.NoError(t, err)
			require.NoError(t, x.Close())
		}
	},
	fault.CacheWrong: func(t *testing.T, b *bench) {
		c, ok := driver.As[driver.Cacher](b.dev)
		require.True(t, ok)
		blob, err := c.Save(b.exe)
		require.NoError(t, err)
		require.Equal(t, driver.Optimal, c.Judge(blob))
		// Everything else about this cache is right.
		for _, bad := range [][]byte{nil, blob[:len(blob)-1], append([]byte{1}, blob[1:]...), slices.Concat(blob, blob)} {
			require.Equal(t, driver.Foreign, c.Judge(bad))
			_, err = c.Load(within(t), bad, testGraph(t), driver.CompileOptions{})
			require.ErrorIs(t, err, driver.ErrIncompatible)
		}
		require.NoError(t, b.exe.Close())
		b.exe, err = c.Load(within(t), blob, testGraph(t), driver.CompileOptions{})
		require.NoError(t, err)
		require.Equal(t, make([]byte, sizeY), b.compute(true, input(), 0)[offY:offY+sizeY])
	},
	fault.Leak: func(t *testing.T, b *bench) {
		before := runtime.NumGoroutine()
		for range 10 {
			q, err := b.dev.NewQueue(driver.QueueOptions{})
			require.NoError(t, err)
			require.NoError(t, q.Close())
		}
		require.GreaterOrEqual(t, runtime.NumGoroutine(), before+10)
	},
	fault.UseAfterClose: func(t *testing.T, b *bench) {
		require.NoError(t, b.q.Close())
		require.NoError(t, b.exe.Close())
		require.NoError(t, b.mem.Free())
		require.Equal(t, right(t, input(), 0), b.compute(true, input(), 0))
	},
	fault.Panic: func(t *testing.T, b *bench) { require.Panics(t, func() { _ = b.do(b.run()) }) },
	fault.PanicCompile: unready(func(t *testing.T, b *bench) {
		require.Panics(t, func() { _, _ = b.dev.Compile(within(t), testGraph(t), driver.CompileOptions{}) })
	}),
	fault.Crash:        dies(func(b *bench) { _ = b.do(b.run()) }),
	fault.CrashCompile: unready(dies(func(b *bench) { _, _ = b.dev.Compile(context.Background(), testGraph(b.t), driver.CompileOptions{}) })),
	fault.Hang: func(t *testing.T, b *bench) {
		p, err := b.submit(b.run())
		require.NoError(t, err)
		short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		require.ErrorIs(t, p.T.Wait(short, p.V), context.DeadlineExceeded)
		closed := make(chan error)
		go func() { closed <- b.q.Close() }()
		select {
		case <-closed:
			t.Fatal("the queue closes while the run hangs")
		case <-time.After(20 * time.Millisecond):
		}
		require.NoError(t, b.dev.Close())
		require.NoError(t, <-closed)
		require.ErrorIs(t, p.T.Wait(within(t), p.V), driver.ErrClosed)
		b.over = true
	},
	fault.HangCompile: unready(func(t *testing.T, b *bench) {
		done := make(chan error, 1)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		go func() {
			_, err := b.dev.Compile(ctx, testGraph(t), driver.CompileOptions{})
			done <- err
		}()
		select {
		case <-done:
			t.Fatal("it returns")
		case <-time.After(20 * time.Millisecond):
		}
		b.close()
		require.ErrorIs(t, <-done, driver.ErrClosed)
	}),
	fault.Lost: func(t *testing.T, b *bench) {
		free := b.timeline()
		waiting := make(chan error, 1)
		go func() { waiting <- free.Wait(context.Background(), 7) }()
		require.ErrorIs(t, b.do(b.run()), driver.ErrDeviceLost)
		require.ErrorIs(t, <-waiting, driver.ErrDeviceLost, "everybody who waits learns of it")
		require.ErrorIs(t, b.do(b.run()), driver.ErrDeviceLost)
		_, err := b.dev.Alloc(within(t), driver.MemSpec{Size: 1})
		require.ErrorIs(t, err, driver.ErrDeviceLost)
		_, err = b.dev.Compile(within(t), testGraph(t), driver.CompileOptions{})
		require.ErrorIs(t, err, driver.ErrDeviceLost)
		_, err = b.dev.NewQueue(driver.QueueOptions{})
		require.ErrorIs(t, err, driver.ErrDeviceLost)
		_, err = free.Value()
		require.ErrorIs(t, err, driver.ErrDeviceLost)
	},
	fault.Revive: func(t *testing.T, b *bench) {
		gate := driver.NewHostTimeline(0)
		require.NoError(t, b.q.Submit(within(t), &driver.Batch{Wait: []driver.Point{{T: gate, V: 1}}}))
		p, err := b.submit(b.run())
		require.NoError(t, err)
		waiting := make(chan error, 1)
		go func() { waiting <- p.T.Wait(context.Background(), p.V) }()
		time.Sleep(5 * time.Millisecond)
		require.NoError(t, gate.Signal(1))
		require.ErrorIs(t, <-waiting, driver.ErrDeviceLost)
		b.value--
		require.Equal(t, right(t, input(), 0), b.compute(true, input(), 0))
	},
}

func (b *bench) timeline() driver.Timeline {
	t, err := b.q.NewTimeline(0)
	require.NoError(b.t, err)
	return t
}

// numbers compares the memory after a run with the right one. Nothing but
// outputs may differ.
func numbers(check func(t *testing.T, got, want []byte)) func(*testing.T, *bench) {
	return func(t *testing.T, b *bench) {
		got, want := b.compute(true, input(), 0), right(t, input(), 0)
		require.Equal(t, want[:offY], got[:offY])
		require.Equal(t, want[offS:], got[offS:])
		check(t, got, want)
	}
}

// state compares a cache with the rows it should have after two rows were
// written at position 2; others are zero.
func state(rows func(int) []float32) func(*testing.T, *bench) {
	return func(t *testing.T, b *bench) {
		got, want := b.compute(true, input(), 2), right(t, input(), 2)
		require.Equal(t, want[:offS], got[:offS])
		for i := range 8 {
			row := rows(i)
			if row == nil {
				row = make([]float32, 4)
			}
			require.Equal(t, row, part(got, offS+16*i, 16), "row %d", i)
		}
	}
}

// unready marks an effect on compilation, which runs without a bench.
func unready(f func(*testing.T, *bench)) func(*testing.T, *bench) {
	return func(t *testing.T, b *bench) {
		require.Nil(t, b.exe)
		f(t, b)
	}
}

// dies runs the test in a process of its own and sees that it does not live.
func dies(f func(b *bench)) func(*testing.T, *bench) {
	return func(t *testing.T, b *bench) {
		if os.Getenv(victim) != "" {
			defer func() {
				_ = recover() // what can be recovered is no crash
				os.Exit(0)
			}()
			f(b)
			os.Exit(0)
		}
		b.struck.Store(1) // elsewhere
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$")
		cmd.Env = append(os.Environ(), victim+"=1")
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		require.ErrorAs(t, err, &exit, "it lives: %s", out)
		require.NotContains(t, string(out), "--- FAIL")
		if runtime.GOOS == "linux" {
			require.Contains(t, string(out), "SIGSEGV")
		}
	}
}

// Every kind does what it says, and is told apart from the rest: a run
// without its striking is right.
func TestKinds(t *testing.T) {
	compiling := []fault.Kind{fault.RefuseCompile, fault.Overclaim, fault.PanicCompile, fault.CrashCompile, fault.HangCompile}
	for _, k := range fault.Kinds() {
		t.Run(string(k.Kind), func(t *testing.T) {
			effect := effects[k.Kind]
			require.NotNil(t, effect, "no test for this kind")
			require.NotEmpty(t, k.What)
			require.NotEmpty(t, k.Group)
			f := fault.Fault{Kind: k.Kind}
			if k.Kind == fault.Revive {
				f.After, f.Times = 1, 1
			}
			if slices.Contains(compiling, k.Kind) {
				b := open(t, f)
				effect(t, b)
				require.Positive(t, b.struck.Load())
				return
			}
			b := ready(t, f)
			effect(t, b)
			require.Positive(t, b.struck.Load())
		})
	}
	require.Len(t, effects, len(fault.Kinds()))
}

// While a fault does not strike, the wrapped device does what the driver
// does, and keeps the contract.
func TestFaultsThatDoNotStrike(t *testing.T) {
	for _, k := range fault.Kinds() {
		t.Run(string(k.Kind), func(t *testing.T) {
			if k.Kind == fault.AcceptInvalid {
				t.Skip("it is in the verdicts as well, which are no calls")
			}
			d := fault.Driver(cpu.Driver{}, fault.Fault{Kind: k.Kind, After: 1 << 30})
			dev, err := validate.Driver(d, validate.Options{}).Open(within(t), "0", driver.OpenOptions{Threads: 1})
			require.NoError(t, err)
			b := &bench{t: t, dev: dev, over: true}
			b.exe, err = dev.Compile(within(t), testGraph(t), driver.CompileOptions{})
			require.NoError(t, err)
			b.mem, err = dev.Alloc(within(t), driver.MemSpec{Size: memSize})
			require.NoError(t, err)
			b.q, err = dev.NewQueue(driver.QueueOptions{})
			require.NoError(t, err)
			b.tl = b.timeline()
			require.Equal(t, right(t, input(), 2), b.compute(true, input(), 2))
			if c, ok := driver.As[driver.Cacher](dev); ok {
				blob, err := c.Save(b.exe)
				require.NoError(t, err)
				x, err := c.Load(within(t), blob, testGraph(t), driver.CompileOptions{})
				require.NoError(t, err)
				require.NoError(t, x.Close())
			}
			// Closing fails what waits, and leaves nothing behind.
			gate := driver.NewHostTimeline(0)
			last := b.timeline()
			for v := uint64(1); v < 5; v++ {
				require.NoError(t, b.q.Submit(within(t), &driver.Batch{Wait: []driver.Point{{T: gate, V: 1}}, Signal: []driver.Point{{T: last, V: v}}}))
			}
			require.NoError(t, b.q.Close())
			require.ErrorIs(t, last.Wait(within(t), 4), driver.ErrClosed)
			require.NoError(t, b.exe.Close())
			require.NoError(t, b.mem.Free())
			require.NoError(t, dev.Close())
		})
	}
}

func TestWhereAndWhen(t *testing.T) {
	want := part(right(t, input(), 0), offY, sizeY)
	strikes := func(f fault.Fault, runs int) (out []bool) {
		b := ready(t, f)
		for range runs {
			out = append(out, len(differ(part(b.compute(true, input(), 0), offY, sizeY), want)) > 0)
		}
		return out
	}
	yes, no := true, false
	require.Equal(t, []bool{yes, yes, yes}, strikes(fault.Fault{Kind: fault.Sign}, 3))
	require.Equal(t, []bool{no, no, yes, yes}, strikes(fault.Fault{Kind: fault.Sign, After: 2}, 4))
	require.Equal(t, []bool{no, yes, no}, strikes(fault.Fault{Kind: fault.Sign, After: 1, Times: 1}, 3))
	require.Equal(t, []bool{yes}, strikes(fault.Fault{Kind: fault.Sign, Op: "Add"}, 1))
	require.Equal(t, []bool{no}, strikes(fault.Fault{Kind: fault.Sign, Op: "MatMul"}, 1))
	require.Equal(t, []bool{yes}, strikes(fault.Fault{Kind: fault.Sign, Op: "Add", Node: "layer.1"}, 1))
	require.Equal(t, []bool{no}, strikes(fault.Fault{Kind: fault.Sign, Node: "layer.2"}, 1))
	half := strikes(fault.Fault{Kind: fault.Sign, Rate: 0.5, Seed: 3}, 40)
	require.Equal(t, half, strikes(fault.Fault{Kind: fault.Sign, Rate: 0.5, Seed: 3}, 40), "seeded")
	require.NotEqual(t, half, strikes(fault.Fault{Kind: fault.Sign, Rate: 0.5, Seed: 4}, 40))
	n := 0
	for _, hit := range half {
		if hit {
			n++
		}
	}
	require.InDelta(t, 20, n, 12)

	// Counts go on in the next device of the driver.
	d := fault.Driver(cpu.Driver{}, fault.Fault{Kind: fault.PanicCompile, Times: 1})
	for i := range 3 {
		dev, err := d.Open(within(t), "0", driver.OpenOptions{Threads: 1})
		require.NoError(t, err)
		compile := func() { _, _ = dev.Compile(within(t), testGraph(t), driver.CompileOptions{}) }
		if i == 0 {
			require.Panics(t, compile)
		} else {
			require.NotPanics(t, compile)
		}
		require.NoError(t, dev.Close())
	}
}

func TestSeveralFaults(t *testing.T) {
	b := open(t, fault.Fault{Kind: fault.Lost, After: 1 << 30})
	b.close()
	d := fault.Driver(cpu.Driver{}, fault.Fault{Kind: fault.Sign}, fault.Fault{Kind: fault.Bias, Amount: 1}, fault.Fault{Kind: fault.Slow, Amount: 2})
	dev, err := d.Open(within(t), "0", driver.OpenOptions{Threads: 1})
	require.NoError(t, err)
	b = &bench{t: t, dev: dev}
	t.Cleanup(b.close)
	b.exe, err = dev.Compile(within(t), testGraph(t), driver.CompileOptions{})
	require.NoError(t, err)
	b.mem, err = dev.Alloc(within(t), driver.MemSpec{Size: memSize})
	require.NoError(t, err)
	b.q, err = dev.NewQueue(driver.QueueOptions{})
	require.NoError(t, err)
	b.tl = b.timeline()
	require.Equal(t, float32(-4), part(b.compute(true, input(), 0), offY, sizeY)[0])
}

// An operator that the driver does not have can be claimed.
func TestOverclaimAddsTheOperator(t *testing.T) {
	b := open(t, fault.Fault{Kind: fault.Overclaim, Op: "heddle.Dream"})
	_, ok := b.dev.Caps().Op(graph.OpRef{Domain: "heddle", Name: "Dream"})
	require.True(t, ok)
	clean := open(t, fault.Fault{Kind: fault.Bias})
	_, ok = clean.dev.Caps().Op(graph.OpRef{Domain: "heddle", Name: "Dream"})
	require.False(t, ok, "the driver's own capabilities are untouched")
}

func TestSlow(t *testing.T) {
	build := graph.NewBuilder("big", ops.Standard)
	x := build.Input("x", graph.OfInts(enc.F32, 256, 256))
	build.Output("y", build.Op("MatMul", []graph.ValueID{x, x}))
	g, err := build.Build()
	require.NoError(t, err)
	took := func(amount float64) time.Duration {
		b := open(t, fault.Fault{Kind: fault.Slow, Amount: amount})
		exe, err := b.dev.Compile(within(t), g, driver.CompileOptions{})
		require.NoError(t, err)
		b.exe = exe
		b.mem, err = b.dev.Alloc(within(t), driver.MemSpec{Size: 2 << 18})
		require.NoError(t, err)
		b.q, err = b.dev.NewQueue(driver.QueueOptions{})
		require.NoError(t, err)
		b.tl = b.timeline()
		best := time.Hour
		for range 5 {
			start := time.Now()
			require.NoError(t, b.do(driver.Cmd{Op: driver.Run, Exec: exe, Args: []driver.Region{b.region(0, 1<<18), b.region(1<<18, 1<<18)}}))
			best = min(best, time.Since(start))
		}
		return best
	}
	require.Greater(t, took(40), 8*took(1))
}

func TestParse(t *testing.T) {
	for text, want := range map[string]fault.Fault{
		"bias":                                 {Kind: fault.Bias},
		"bias@MatMul:rate=0.5":                 {Kind: fault.Bias, Op: "MatMul", Rate: 0.5},
		"lost:after=100":                       {Kind: fault.Lost, After: 100},
		"nan@heddle.Linear:node=layer.3.mlp:x": {Kind: fault.NaN, Op: "heddle.Linear", Node: "layer.3.mlp:x"},
		"element:after=1,times=2,rate=0.25,seed=18446744073709551615,amount=1e-07": {Kind: fault.Element, After: 1, Times: 2, Rate: 0.25, Seed: math.MaxUint64, Amount: 1e-7},
	} {
		f, err := fault.Parse(text)
		require.NoError(t, err, text)
		require.Equal(t, want, f)
		require.Equal(t, text, f.String())
	}
	for text, want := range map[string]string{
		"":                     "there is no kind",
		"biased":               "off-by-two",
		"bias@":                "no operator behind @",
		"bias:":                "no setting behind the colon",
		"bias:rate":            "is no setting",
		"bias:rate=1,rate=1":   "there twice",
		"bias:rate=2":          "not from 0 to 1",
		"bias:rate=NaN":        "not from 0 to 1",
		"bias:amount=-1":       "no finite positive",
		"bias:amount=Inf":      "no finite positive",
		"bias:after=x":         "is no number",
		"bias:after=-1":        "may not be negative",
		"bias:seed=-1":         "is no number",
		"bias:colour=blue":     `no setting "colour"`,
		"bias@Mat@Mul:rate=.5": "is no name",
	} {
		_, err := fault.Parse(text)
		require.ErrorContains(t, err, want, "%q", text)
		require.ErrorContains(t, err, "write kind@operator")
	}
	_, err := fault.Driver(cpu.Driver{}, fault.Fault{Kind: "typo"}).Open(within(t), "0", driver.OpenOptions{})
	require.ErrorContains(t, err, `no kind "typo"`)
}

func FuzzParse(f *testing.F) {
	f.Add("bias@MatMul:rate=0.5,seed=7")
	f.Add("nan:node=a,amount=1e300")
	f.Add(strings.Repeat("@:,=", 9))
	f.Fuzz(func(t *testing.T, text string) {
		x, err := fault.Parse(text)
		if err != nil {
			return
		}
		again, err := fault.Parse(x.String())
		require.NoError(t, err)
		require.Equal(t, x.String(), again.String())
	})
}
