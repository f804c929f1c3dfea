package cpu

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/hal/driver"
	"github.com/heddle-ml/heddle/ops"
)

// Values that share memory, or might, come out right wherever they go.
func TestAliases(t *testing.T) {
	d := open(t, "cpu")
	for name, f := range map[string]func(l *lab) ids{
		"input straight out":       func(l *lab) ids { return ids{l.x(0, 9, l.n(3), c(4))} },
		"input reshaped out":       func(l *lab) ids { return ids{l.b.Op("Flatten", ids{l.x(0, 9, l.n(3), c(4))})} },
		"constant straight out":    func(l *lab) ids { return ids{l.weight(3, 4)} },
		"constant reshaped out":    func(l *lab) ids { return ids{l.b.Op("Flatten", ids{l.weight(3, 4)}, graph.Int("axis", 0))} },
		"one value as two outputs": func(l *lab) ids { v := l.b.Op("Neg", ids{l.x(0, 9, l.n(3), c(4))}); return ids{v, v} },
		"a value and its view": func(l *lab) ids {
			v := l.b.Op("Neg", ids{l.x(0, 9, l.n(3), c(4))})
			return ids{v, l.b.Op("Flatten", ids{v})}
		},
		"a view of an output, then used": func(l *lab) ids {
			v := l.b.Op("Neg", ids{l.x(0, 9, l.n(3), c(4))})
			w := l.b.Op("Flatten", ids{v})
			return ids{w, l.b.Op("Exp", ids{w}), v}
		},
		"an output that is used later": func(l *lab) ids {
			v := l.b.Op("Neg", ids{l.x(0, 1, l.n(3), c(4))})
			w := l.b.Op("Exp", ids{v})
			return ids{v, l.b.Op("Mul", ids{l.b.Op("Sqrt", ids{w}), v})}
		},
		"views of views outlive their origin": func(l *lab) ids {
			v := l.b.Op("Exp", ids{l.x(0, 1, l.n(3), c(4))})
			w := l.b.Op("Unsqueeze", ids{l.b.Op("Flatten", ids{v}), l.b.Ints(0)})
			y := l.x(0, 1, l.n(3), c(4))
			for range 5 { // others that might take its place
				y = l.b.Op("Sigmoid", ids{y})
			}
			return ids{l.b.Op("Add", ids{w, y})}
		},
		"a transposition that moves nothing": func(l *lab) ids {
			v := l.b.Op("Neg", ids{l.x(0, 9, c(1), l.n(3), c(4))})
			return ids{l.b.Op("Transpose", ids{v}, graph.Ints("perm", 1, 0, 2)), l.b.Op("Exp", ids{v})}
		},
		"shapes as values": func(l *lab) ids {
			v := l.x(0, 9, l.n(3), c(4))
			s := l.b.Op("Shape", ids{v})
			return ids{s, l.b.Op("Add", ids{s, s}), l.b.Op("Identity", ids{s})}
		},
		"no elements": func(l *lab) ids {
			v := l.x(0, 9, c(0), l.n(3))
			return ids{l.b.Op("Neg", ids{v}), l.b.Op("ReduceSum", ids{v}), l.b.Op("Flatten", ids{v}), v, l.b.Op("ReduceMax", ids{v, l.b.Ints(0)})}
		},
		"scalars": func(l *lab) ids {
			v := l.x(0, 9)
			return ids{v, l.b.Op("Exp", ids{v}), l.b.Op("Unsqueeze", ids{v, l.b.Ints(0)}), l.b.Op("Add", ids{v, l.scalar(2)})}
		},
		"unused outputs": func(l *lab) ids {
			return l.b.Ops("Split", ids{l.x(0, 9, l.n(3), c(6)), l.b.Ints(1, 2, 3)}, []bool{false, true, false}, graph.Int("axis", 1))
		},
	} {
		for _, symbolic := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/%v", name, symbolic), func(t *testing.T) {
				l := newLab(t, enc.F32, symbolic)
				outs := f(l)
				l.check(d, l.build(outs...))
			})
		}
	}
}

// A graph without nodes is a copy.
func TestNoNodes(t *testing.T) {
	l := newLab(t, enc.F32, false)
	v := l.x(0, 9, c(3))
	l.check(open(t, "cpu"), l.build(v, v))
}

// What an input holds may be wrong: the run fails, naming the node, writes
// nothing out of bounds, and leaves device and executable usable.
func TestBadData(t *testing.T) {
	d := open(t, "cpu")
	for name, f := range map[string]struct {
		good, bad []int64
		make      func(b *graph.Builder, x, i graph.ValueID) graph.ValueID
	}{
		"Gather": {[]int64{0, -1}, []int64{0, 4}, func(b *graph.Builder, x, i graph.ValueID) graph.ValueID { return b.Op("Gather", ids{x, i}) }},
		"GatherElements": {[]int64{0, -1}, []int64{-5, 0}, func(b *graph.Builder, x, i graph.ValueID) graph.ValueID {
			return b.Op("GatherElements", ids{x, b.Op("Unsqueeze", ids{i, b.Ints(1)})})
		}},
		"GatherND": {[]int64{0, -1}, []int64{0, 9}, func(b *graph.Builder, x, i graph.ValueID) graph.ValueID {
			return b.Op("GatherND", ids{x, i})
		}},
		"ScatterND": {[]int64{0, -1}, []int64{0, 9}, func(b *graph.Builder, x, i graph.ValueID) graph.ValueID {
			return b.Op("ScatterND", ids{x, i, b.Float(enc.F32, 1)})
		}},
		"TensorScatter": {[]int64{0, 3}, []int64{0, 4}, func(b *graph.Builder, x, i graph.ValueID) graph.ValueID {
			cache := b.Op("Expand", ids{x, b.Ints(2, 4, 4)})
			return b.Op("TensorScatter", ids{cache, b.Op("Expand", ids{b.Float(enc.F32, 1), b.Ints(2, 1, 4)}), i})
		}},
		"RotaryEmbedding": {[]int64{0, 3}, []int64{0, 4}, func(b *graph.Builder, x, i graph.ValueID) graph.ValueID {
			q := b.Op("Reshape", ids{x, b.Ints(1, 1, 2, 8)})
			return b.Op("RotaryEmbedding", ids{q, x, x, b.Op("Unsqueeze", ids{i, b.Ints(0)})})
		}},
		"Attention": {[]int64{1, 2}, []int64{1, 3}, func(b *graph.Builder, x, i graph.ValueID) graph.ValueID {
			q := b.Op("Reshape", ids{x, b.Ints(2, 1, 2, 4)})
			return b.Op("Attention", ids{q, q, q, graph.NoValue, graph.NoValue, graph.NoValue, i})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			b := graph.NewBuilder("bad", ops.Standard)
			x := b.Input("x", graph.OfInts(enc.F32, 4, 4))
			i := b.Input("i", graph.OfInts(enc.I64, 2))
			b.Scope("the.culprit")
			b.Output("y", f.make(b, x, i))
			g, err := b.Build()
			require.NoError(t, err)
			r := prepare(t, d, g, nil)
			r.set(driver.RoleInput, "i", graph.I64(f.good...).Data)
			require.NoError(t, r.run())
			r.set(driver.RoleInput, "i", graph.I64(f.bad...).Data)
			err = r.run()
			require.ErrorIs(t, err, errData)
			require.ErrorContains(t, err, "the.culprit")
			require.NotErrorIs(t, err, hal.ErrInvalidGraph)
			var he *hal.Error
			require.ErrorAs(t, err, &he)
			require.Equal(t, "the.culprit", he.Node)
			require.NoError(t, d.Lost())

			r.line, err = r.q.NewTimeline(0) // the failed one stays so
			require.NoError(t, err)
			r.tick = 0
			r.set(driver.RoleInput, "i", graph.I64(f.good...).Data)
			require.NoError(t, r.run())
		})
	}
}

// Sizes that no machine has are refused before anything is allocated; with
// symbols, only the runs that need them are.
func TestHostileSizes(t *testing.T) {
	d := open(t, "cpu")
	ctx := context.Background()
	huge := func(f func(b *graph.Builder) graph.ValueID) *graph.Graph {
		b := graph.NewBuilder("huge", ops.Standard)
		b.Scope("the.culprit")
		b.Output("y", f(b))
		g, err := b.Build()
		require.NoError(t, err)
		return g
	}
	for name, g := range map[string]*graph.Graph{
		"result": huge(func(b *graph.Builder) graph.ValueID {
			return b.Op("ReduceSum", ids{b.Op("Expand", ids{b.Input("x", graph.OfInts(enc.F32, 1)), b.Ints(1 << 40)})})
		}),
		"overflow": huge(func(b *graph.Builder) graph.ValueID {
			return b.Op("ReduceSum", ids{b.Op("Expand", ids{b.Input("x", graph.OfInts(enc.F32, 1)), b.Ints(1<<31, 1<<31)})})
		}),
		"sum of many": huge(func(b *graph.Builder) graph.ValueID {
			var all ids
			for range 64 {
				v := b.Op("Expand", ids{b.Input("x"+fmt.Sprint(len(all)), graph.OfInts(enc.F32, 1)), b.Ints(1 << 29)})
				all = append(all, v)
			}
			return b.Op("ReduceSum", ids{b.Op("Sum", all)})
		}),
		"constant": huge(func(b *graph.Builder) graph.ValueID {
			return b.Op("ReduceSum", ids{b.Op("ConstantOfShape", ids{b.Ints(1 << 45)})})
		}),
		"scratch": huge(func(b *graph.Builder) graph.ValueID {
			x := b.Input("x", graph.OfInts(enc.F32, 1<<20, 1))
			return b.Op("ReduceSum", ids{b.Op("Softmax", ids{b.Op("MatMul", ids{x, b.Input("y", graph.OfInts(enc.F32, 1, 1<<24))})})})
		}),
		"padding": huge(func(b *graph.Builder) graph.ValueID {
			return b.Op("Pad", ids{b.Input("x", graph.OfInts(enc.F32, 4)), b.Ints(0, 1<<42)})
		}),
	} {
		t.Run(name, func(t *testing.T) {
			x, err := d.Compile(ctx, g, hal.CompileOptions{})
			if err == nil { // it is the run that would need too much
				require.NoError(t, x.Close())
				t.Fatal("compiled")
			}
			require.ErrorIs(t, err, hal.ErrOutOfMemory)
			require.NotErrorIs(t, err, hal.ErrDeviceLost)
		})
	}
	_, err := d.Alloc(ctx, 1<<60)
	require.ErrorIs(t, err, hal.ErrOutOfMemory)
	require.NoError(t, d.Lost())

	// Empty tensors may have dimensions that no loop should run over.
	b := graph.NewBuilder("empty", ops.Standard)
	x := b.Input("x", graph.OfInts(enc.F32, 0, 1<<30))
	b.Output("y", b.Op("ReduceSum", ids{x}))
	b.Output("z", b.Op("Pad", ids{x, b.Ints(0, 1, 0, 1)}))
	b.Output("t", b.Op("Transpose", ids{x}))
	b.Output("m", b.Op("MatMul", ids{b.Input("a", graph.OfInts(enc.F32, 1, 3)), b.Op("Reshape", ids{x, b.Ints(3, 0)}, graph.Int("allowzero", 1))}))
	g, err := b.Build()
	require.NoError(t, err)
	r := prepare(t, d, g, nil)
	require.NoError(t, r.run())
	require.Equal(t, make([]byte, 4), r.at(driver.RoleOutput, "y", nil).Data)

	// A bound that is too wide is no harm.
	b = graph.NewBuilder("wide", ops.Standard)
	n := b.Symbol(dim.Symbol{Name: "n", Min: 1, Max: 1 << 40})
	b.Output("y", b.Op("ReduceSum", ids{b.Op("Expand", ids{b.Input("x", graph.OfInts(enc.F32, 1)), b.Dims(n)})}))
	g, err = b.Build()
	require.NoError(t, err)
	e, err := d.Compile(ctx, g, hal.CompileOptions{})
	require.NoError(t, err)
	defer e.Close()
	q, err := d.NewQueue(hal.QueueOptions{})
	require.NoError(t, err)
	defer q.Close()
	buf, err := d.Alloc(ctx, 128)
	require.NoError(t, err)
	defer buf.Close()
	raw, _ := buf.Bytes()
	binary.LittleEndian.PutUint32(raw, 0x3f800000)
	run := func(n int64) error {
		line, err := q.NewTimeline(0)
		require.NoError(t, err)
		require.NoError(t, q.Submit(ctx, &hal.Batch{Cmds: []hal.Cmd{{Op: hal.Run, Exec: e, Args: []hal.Region{buf.At(0, 4), buf.At(64, 4)}, Dims: []int64{n}}}, Signal: []hal.Point{{T: line, V: 1}}}))
		return line.Wait(ctx, 1)
	}
	require.NoError(t, run(5))
	require.Equal(t, graph.F32(nil, 5).Data, raw[64:68])
	require.ErrorIs(t, run(1<<40), hal.ErrOutOfMemory)
	require.NoError(t, run(7))
	require.Equal(t, graph.F32(nil, 7).Data, raw[64:68])
}

// Several queues and executables at once give what each gives alone.
func TestConcurrency(t *testing.T) {
	d := open(t, "cpu?threads=3")
	build := func(k float64) *graph.Graph {
		b := graph.NewBuilder("busy", ops.Standard)
		n := b.Symbol(dim.Symbol{Name: "n", Min: 1, Max: 64})
		x := b.Input("x", graph.Of(enc.F32, n, c(96)))
		w := make([]float32, 96*96)
		rnd := rand.New(rand.NewPCG(1, uint64(k)))
		for i := range w {
			w[i] = rnd.Float32() - 0.5
		}
		y := b.Op("MatMul", ids{x, b.Const("", graph.F32([]int64{96, 96}, w...))})
		y = b.Op("Softmax", ids{b.Op("Mul", ids{y, b.Float(enc.F32, k)})})
		b.Output("y", b.Op("MatMul", ids{y, b.Op("Transpose", ids{y})}))
		g, err := b.Build()
		require.NoError(t, err)
		return g
	}
	input := make([]float32, 64*96)
	rnd := rand.New(rand.NewPCG(3, 4))
	for i := range input {
		input[i] = rnd.Float32()
	}
	data := graph.F32([]int64{64, 96}, input...).Data
	graphs := []*graph.Graph{build(1), build(2)}
	alone := map[string]string{}
	for i, g := range graphs {
		for _, n := range []int64{1, 7, 64} {
			r := prepare(t, d, g, nil)
			r.set(driver.RoleInput, "x", data)
			require.NoError(t, r.run(n))
			alone[fmt.Sprint(i, n)] = string(r.at(driver.RoleOutput, "y", []int64{n}).Data)
		}
	}
	shared := prepare(t, d, graphs[0], nil) // one executable on several queues
	var wg sync.WaitGroup
	for k := range 6 {
		i := k % 2
		var r *runner
		if k < 4 {
			r = prepare(t, d, graphs[i], nil)
		} else {
			i, r = 0, shared.again(d)
		}
		r.set(driver.RoleInput, "x", data)
		wg.Go(func() {
			for trial := range 30 {
				n := []int64{1, 7, 64}[trial%3]
				if err := r.run(n); err != nil {
					t.Error(err)
					return
				}
				if got := string(r.at(driver.RoleOutput, "y", []int64{n}).Data); got != alone[fmt.Sprint(i, n)] {
					t.Errorf("executable %d at %d rows differs from what it gives alone", i, n)
					return
				}
			}
		})
	}
	wg.Wait()
}

// again returns a runner of the same executable with a queue and buffers of
// its own.
func (r *runner) again(d *hal.Device) *runner {
	s := &runner{t: r.t, x: r.x}
	var err error
	s.q, err = d.NewQueue(hal.QueueOptions{})
	require.NoError(r.t, err)
	s.line, err = s.q.NewTimeline(0)
	require.NoError(r.t, err)
	for _, b := range r.bufs {
		c, err := d.Alloc(context.Background(), b.Size())
		require.NoError(r.t, err)
		s.bufs = append(s.bufs, c)
	}
	s.args = make([]hal.Region, len(s.bufs))
	r.t.Cleanup(func() {
		require.NoError(r.t, s.q.Close())
		for _, b := range s.bufs {
			require.NoError(r.t, b.Close())
		}
	})
	return s
}

// The bits do not depend on how many threads compute them.
func TestThreadsDoNotMatter(t *testing.T) {
	var first map[string]string
	for _, name := range []string{"cpu?threads=1", "cpu?threads=2", "cpu?threads=5"} {
		l := newLab(t, enc.F32, false)
		g := decoder3(t)
		r := prepare(t, open(t, name), g, nil)
		for i, b := range r.x.Bindings() {
			raw, _ := r.bufs[i].Bytes()
			if b.Role == driver.RoleInput && b.Type.Elem == enc.F32 {
				v := l.fill(spec{typ: graph.OfInts(enc.F32, int64(len(raw)/4)), lo: -1, hi: 1}, nil)
				data, err := v.Bytes()
				require.NoError(t, err)
				copy(raw, data)
			}
		}
		r.set(driver.RoleInput, "valid", graph.I64(16).Data)
		require.NoError(t, r.run(16))
		got := map[string]string{}
		for i, b := range r.x.Bindings() {
			raw, _ := r.bufs[i].Bytes()
			got[b.Name] = string(raw)
		}
		if first == nil {
			first = got
		}
		for n, v := range got {
			require.True(t, v == first[n], "%s: %s differs", name, n)
		}
	}
}

// A run that repeats allocates nothing, from submission to the end of the
// wait.
func TestNoAllocations(t *testing.T) {
	r := prepare(t, open(t, "cpu?threads=2"), decoder3(t), nil)
	r.set(driver.RoleInput, "valid", graph.I64(1).Data)
	dims := []int64{1}
	require.NoError(t, r.run(dims...))
	batch := &hal.Batch{Cmds: []hal.Cmd{{Op: hal.Run, Exec: r.x, Args: slices.Clone(r.args), Dims: dims}}, Signal: []hal.Point{{T: r.line, V: 0}}}
	ctx := context.Background()
	n := testing.AllocsPerRun(50, func() {
		r.tick++
		batch.Signal[0].V = r.tick
		if err := r.q.Submit(ctx, batch); err != nil {
			t.Fatal(err)
		}
		if err := r.line.Wait(ctx, r.tick); err != nil {
			t.Fatal(err)
		}
	})
	require.Zero(t, n)
}

// A cancelled context stops a run between steps.
func TestCancelled(t *testing.T) {
	d, err := Driver{}.Open(context.Background(), "0", driver.OpenOptions{})
	require.NoError(t, err)
	defer d.Close()
	l := newLab(t, enc.F32, false)
	g := l.build(l.b.Op("Neg", ids{l.x(0, 1, c(4))}))
	x, err := d.Compile(context.Background(), g, driver.CompileOptions{})
	require.NoError(t, err)
	defer x.Close()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = d.Compile(ctx, g, driver.CompileOptions{})
	require.ErrorIs(t, err, context.Canceled)
	m, err := d.Alloc(context.Background(), driver.MemSpec{Size: 128})
	require.NoError(t, err)
	c := &driver.Cmd{Op: driver.Run, Exec: x, Args: []driver.Region{{Mem: m, Size: 16}, {Mem: m, Off: 64, Size: 16}}}
	require.ErrorIs(t, x.(*executable).run(ctx, c), context.Canceled)
	require.NoError(t, x.(*executable).run(context.Background(), c))
	require.NoError(t, m.Free())
	require.Error(t, x.(*executable).run(context.Background(), c), "freed memory")
	require.NoError(t, x.Close())
	require.ErrorIs(t, x.(*executable).run(context.Background(), c), driver.ErrClosed)
}

// Weights are packed once for all executables of a device, and let go with
// the last.
func TestWeightsAreShared(t *testing.T) {
	dev, err := Driver{}.Open(context.Background(), "0", driver.OpenOptions{})
	require.NoError(t, err)
	defer dev.Close()
	d := dev.(*device)
	w := graph.F32([]int64{64, 64}, make([]float32, 64*64)...)
	build := func() *graph.Graph {
		b := graph.NewBuilder("shared", ops.Standard)
		b.Output("y", b.Op("MatMul", ids{b.Input("x", graph.OfInts(enc.F32, 1, 64)), b.Const("w", w)}))
		g, err := b.Build()
		require.NoError(t, err)
		return g
	}
	var xs []driver.Executable
	for range 3 {
		x, err := d.Compile(context.Background(), build(), driver.CompileOptions{})
		require.NoError(t, err)
		require.Equal(t, int64(4*64*64), x.Footprint().Weights)
		xs = append(xs, x)
		require.Len(t, d.weights.entries, 1)
	}
	for _, x := range xs {
		require.Len(t, d.weights.entries, 1)
		require.NoError(t, x.Close())
		require.NoError(t, x.Close())
	}
	require.Empty(t, d.weights.entries)
}

func TestOpenErrors(t *testing.T) {
	r := hal.NewRegistry(Driver{})
	for name, part := range map[string]string{"cpu:1": "only device 0", "cpu?tier=sse9": "tier", "cpu?colour=red": "colour"} {
		_, err := r.Open(context.Background(), name)
		require.ErrorContains(t, err, part)
		require.True(t, errors.Is(err, hal.ErrUnavailable) || errors.Is(err, hal.ErrUnsupported), name)
	}
}

// Supports and Compile say the same, and Supports says why not.
func TestRefusals(t *testing.T) {
	d := open(t, "cpu")
	state := func(typ string, axis int64) *graph.Graph {
		b := graph.NewBuilder("state", ops.Standard)
		tt, err := graph.ParseType(typ)
		require.NoError(t, err)
		s := b.State("s", tt)
		b.SetState("s", b.Op("TensorScatter", ids{s, b.Input("x", graph.OfInts(tt.Elem, 1, 2, 1, 32))}, graph.Int("axis", axis)))
		b.Output("y", b.Op("Neg", ids{b.Input("z", graph.OfInts(enc.F32, 1))}))
		g, err := b.Build()
		require.NoError(t, err)
		return g
	}
	for typ, part := range map[string]string{
		"f32[1,2,8,32] affine(i8,scale=f32,axis=1)":          "blocks along its last axis",
		"f32[1,2,8,32] affine(i4,scale=f32,axis=3,block=32)": "i4",
	} {
		g := state(typ, 2)
		vs, err := d.Supports(g)
		require.NoError(t, err)
		i := slices.IndexFunc(g.Nodes, func(n graph.Node) bool { return n.Op.Name == "TensorScatter" })
		require.False(t, vs[i].OK, typ)
		require.Contains(t, vs[i].Text, part)
		require.True(t, strings.HasPrefix(string(vs[i].Code), "attr"), vs[i].Code)
		_, err = d.Compile(context.Background(), g, hal.CompileOptions{})
		require.ErrorIs(t, err, hal.ErrUnsupported)
	}
}

// The driver keeps the contract when a checker stands between it and its
// callers.
func TestContract(t *testing.T) {
	d := open(t, "cpu?validate=1") // whose Close says what was found
	for _, g := range []*graph.Graph{decoder3(t), vit3(t)} {
		r := prepare(t, d, g, nil)
		if r.x.Index(driver.RoleInput, "valid") >= 0 {
			r.set(driver.RoleInput, "valid", graph.I64(16).Data)
		}
		require.NoError(t, r.run(r.x.MaxDims()...))
		require.NoError(t, r.run(1))
	}
}
