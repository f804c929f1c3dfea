package plugin_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/drivers/plugin"
	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/hal/driver"
	"github.com/heddle-ml/heddle/models"
	"github.com/heddle-ml/heddle/models/demo"
	"github.com/heddle-ml/heddle/models/img"
	"github.com/heddle-ml/heddle/ops"
	"github.com/heddle-ml/heddle/ops/oracle"
	"github.com/heddle-ml/heddle/scheduler"
)

// exampleFlags are those of the example's own documentation, but for less to
// optimise, and with warnings as errors.
var exampleFlags = []string{"-O2", "-Wall", "-Wextra", "-Werror", "-Iinclude"}

// compiler returns cc. Without it the test is skipped, unless
// HEDDLE_REQUIRE_CC=1.
func compiler(t testing.TB) string {
	t.Helper()
	cc, err := exec.LookPath("cc")
	if err != nil {
		if os.Getenv("HEDDLE_REQUIRE_CC") == "1" {
			t.Fatal("HEDDLE_REQUIRE_CC=1, and there is no cc")
		}
		t.Skip("there is no cc to build the example with")
	}
	return cc
}

func exampleSources(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob("example/*.c")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	return files
}

// example builds drivers/plugin/example once.
func example(t testing.TB) string {
	t.Helper()
	cc := compiler(t)
	builds.Lock()
	defer builds.Unlock()
	path := builds.paths["example"]
	if path == "" {
		path = filepath.Join(builds.dir, "example.so")
		args := append(append([]string{"-shared", "-fPIC"}, exampleFlags...), exampleSources(t)...)
		out, err := exec.Command(cc, append(args, "-o", path, "-lm", "-lpthread")...).CombinedOutput()
		require.NoError(t, err, "%s", out)
		builds.paths["example"] = path
	}
	return path
}

func openExample(t testing.TB) *hal.Device {
	t.Helper()
	d, err := plugin.Driver{}.Open(context.Background(), example(t), driver.OpenOptions{})
	require.NoError(t, err)
	h := hal.Wrap("example", d)
	t.Cleanup(func() { require.NoError(t, h.Close()) })
	return h
}

// The demo model answers through the example driver.
func TestExampleRunsTheDemo(t *testing.T) {
	ctx := context.Background()
	m, err := models.OpenFS(ctx, demo.Name, demo.FS, &models.Options{
		Registry: hal.NewRegistry(plugin.Driver{}),
		Policy:   scheduler.Policy{Devices: []string{"plugin:" + example(t) + "?isolate=0"}},
	})
	require.NoError(t, err)
	defer m.Close()
	s, err := m.NewSession(ctx)
	require.NoError(t, err)
	defer s.Close()
	picture, err := img.Open("../../models/demo/examples/shapes.png", img.Limits{})
	require.NoError(t, err)
	a, err := s.Ask(ctx, models.Turn{Text: "What is right of the yellow star?", Images: []img.RGB{picture}})
	require.NoError(t, err)
	require.Equal(t, "A blue square.", a.Text)
}

func TestExampleCaps(t *testing.T) {
	c := openExample(t).Caps()
	require.Equal(t, []string{"skeleton", "vision", "language"}, c.Profiles)
	require.True(t, c.Shapes.StaticOnly && c.Numerics.Deterministic)
	for _, o := range c.Ops {
		op := ops.Get(o.Domain, o.Name)
		require.NotNil(t, op, o.Name)
		require.NotEmpty(t, o.Elems, o.Name)
		for _, e := range o.Elems {
			elem, err := enc.ParseElem(e)
			require.NoError(t, err)
			require.True(t, op.Inputs[0].Types.Has(elem), "%s takes no %s", o.Name, e)
		}
	}
}

// kit builds a graph together with the values of its inputs.
type kit struct {
	t      testing.TB
	b      *graph.Builder
	rnd    *rand.Rand
	inputs map[string]*oracle.Tensor
	states map[string]*oracle.Tensor
	data   inMemory
	elem   enc.Elem // under test
}

func newKit(t testing.TB, e enc.Elem) *kit {
	return &kit{t: t, b: graph.NewBuilder("test", ops.Standard), rnd: rand.New(rand.NewPCG(7, 11)), inputs: map[string]*oracle.Tensor{}, states: map[string]*oracle.Tensor{}, elem: e}
}

// random makes a tensor of numbers in a range, rounded to the type.
func (k *kit) random(e enc.Elem, lo, hi float64, dims ...int64) *oracle.Tensor {
	n, err := dim.Count(dims)
	require.NoError(k.t, err)
	x := &oracle.Tensor{Elem: e, Shape: dims}
	if e.IsFloat() {
		x.F = make([]float64, n)
		for i := range x.F {
			x.F[i] = float64(float32(lo + (hi-lo)*k.rnd.Float64()))
		}
		return x
	}
	x.I = make([]int64, n)
	for i := range x.I {
		x.I[i] = int64(math.Round(lo + (hi-lo)*k.rnd.Float64()))
		if e == enc.Bool {
			x.I[i] &= 1
		}
	}
	return x
}

func (k *kit) feed(x *oracle.Tensor) graph.ValueID {
	name := fmt.Sprintf("in%d", len(k.inputs))
	k.inputs[name] = x
	return k.b.Input(name, graph.OfInts(x.Elem, x.Shape...))
}

// of is an input of random numbers, x one of the type under test, ints and
// bools one of given values.
func (k *kit) of(e enc.Elem, lo, hi float64, dims ...int64) graph.ValueID {
	return k.feed(k.random(e, lo, hi, dims...))
}

func (k *kit) x(lo, hi float64, dims ...int64) graph.ValueID { return k.of(k.elem, lo, hi, dims...) }

func (k *kit) ints(shape []int64, values ...int64) graph.ValueID {
	return k.feed(&oracle.Tensor{Elem: enc.I64, Shape: shape, I: values})
}

func (k *kit) bools(shape []int64, values ...int64) graph.ValueID {
	return k.feed(&oracle.Tensor{Elem: enc.Bool, Shape: shape, I: values})
}

// constant is a constant of the type under test.
func (k *kit) constant(lo, hi float64, dims ...int64) graph.ValueID {
	c, err := k.random(k.elem, lo, hi, dims...).Const()
	require.NoError(k.t, err)
	return k.b.Const("", c)
}

func (k *kit) twice(v graph.ValueID) graph.ValueID { return k.b.Op("Add", ids{v, v}) }

func (k *kit) build(outs ...graph.ValueID) *graph.Graph {
	k.t.Helper()
	for i, v := range outs {
		if v != graph.NoValue {
			k.b.Output(fmt.Sprintf("y%d", i), v)
		}
	}
	g, err := k.b.Build()
	require.NoError(k.t, err)
	return g
}

// prepared is a compiled graph with buffers for its arguments, each between
// bytes that must stay as they are.
type prepared struct {
	*runner
	t testing.TB
}

const guard = 64

func (k *kit) prepare(d *hal.Device, g *graph.Graph) *prepared {
	k.t.Helper()
	var data graph.Data
	if k.data != nil {
		data = k.data
	}
	x, err := d.Compile(context.Background(), g, hal.CompileOptions{Data: data})
	require.NoError(k.t, err)
	k.t.Cleanup(func() { require.NoError(k.t, x.Close()) })
	return attachTo(k.t, d, x)
}

// attachTo makes a queue and buffers for an executable.
func attachTo(t testing.TB, d *hal.Device, x *hal.Executable) *prepared {
	t.Helper()
	p := &prepared{&runner{d: d, x: x}, t}
	var err error
	p.q, err = d.NewQueue(hal.QueueOptions{})
	require.NoError(t, err)
	p.line, err = p.q.NewTimeline(0)
	require.NoError(t, err)
	p.cmds[0] = hal.Cmd{Op: driver.Run, Exec: x}
	for i := range x.Bindings() {
		n, err := x.Size(i, nil)
		require.NoError(t, err)
		b, err := d.Alloc(context.Background(), n+2*guard)
		require.NoError(t, err)
		raw, _ := b.Bytes()
		for i := range raw {
			raw[i] = 0xa5
		}
		p.bufs = append(p.bufs, b)
		p.cmds[0].Args = append(p.cmds[0].Args, b.At(guard, n))
	}
	p.b = hal.Batch{Cmds: p.cmds[:], Signal: p.sig[:]}
	t.Cleanup(func() {
		require.NoError(t, p.q.Close())
		for _, b := range p.bufs {
			require.NoError(t, b.Close())
		}
	})
	return p
}

func (p *prepared) argument(role driver.Role, name string) []byte {
	p.t.Helper()
	i := p.x.Index(role, name)
	require.GreaterOrEqual(p.t, i, 0, "%s %s", role, name)
	b, ok := p.bufs[i].Bytes()
	require.True(p.t, ok)
	return b[guard : len(b)-guard]
}

func (p *prepared) set(role driver.Role, name string, x *oracle.Tensor) {
	p.t.Helper()
	b, err := x.Bytes()
	require.NoError(p.t, err)
	copy(p.argument(role, name), b)
}

func (p *prepared) guarded() {
	p.t.Helper()
	want := bytes.Repeat([]byte{0xa5}, guard)
	for i, buf := range p.bufs {
		b, _ := buf.Bytes()
		require.True(p.t, bytes.Equal(want, b[:guard]) && bytes.Equal(want, b[len(b)-guard:]), "argument %s: the driver wrote beside it", p.x.Bindings()[i].Name)
	}
}

// check runs a graph and compares outputs and states with the oracle.
func (k *kit) check(d *hal.Device, g *graph.Graph) {
	k.t.Helper()
	p := k.prepare(d, g)
	k.checkRun(p, g)
}

func (k *kit) checkRun(p *prepared, g *graph.Graph) {
	k.t.Helper()
	for name, x := range k.inputs {
		p.set(driver.RoleInput, name, x)
	}
	for _, s := range g.States {
		p.set(driver.RoleState, s.Name, k.states[s.Name])
	}
	o := oracle.Options{Inputs: k.inputs, States: k.states, Round: true}
	if k.data != nil {
		o.Data = k.data
	}
	want, err := oracle.Eval(context.Background(), g, o)
	require.NoError(k.t, err)
	require.NoError(k.t, p.run())
	p.guarded()
	compare := func(role driver.Role, name string, v graph.ValueID, want *oracle.Tensor) {
		got, err := oracle.FromConst(&graph.Tensor{Elem: want.Elem, Shape: want.Shape, Data: p.argument(role, name)})
		require.NoError(k.t, err)
		near(k.t, g, v, want, got)
	}
	for _, o := range g.Outputs {
		compare(driver.RoleOutput, o.Name, o.Value, want.Outputs[o.Name])
	}
	for _, s := range g.States {
		compare(driver.RoleState, s.Name, s.Out, want.States[s.Name])
	}
}

// near compares with what the class of the operator that made v allows.
func near(t testing.TB, g *graph.Graph, v graph.ValueID, want, got *oracle.Tensor) {
	t.Helper()
	require.Equal(t, want.I, got.I)
	class := ops.Exact
	if g.Values[v].Kind == graph.Result {
		op := g.Nodes[g.Values[v].Def].Op
		class = ops.Get(op.Domain, op.Name).Class
	}
	const eps = 0x1p-23
	units, common := map[ops.Class]float64{ops.Rounded: 1, ops.Approximate: 4, ops.Contraction: 4}[class], 0.0
	if class == ops.Contraction {
		for _, f := range want.F {
			common = max(common, 8*eps*math.Abs(f))
		}
	}
	for i, w := range want.F {
		if f := got.F[i]; w != f && !(w != w && f != f) {
			require.LessOrEqual(t, math.Abs(w-f), units*eps*math.Abs(w)+common, "element %d of %d: %v, want %v", i, len(want.F), f, w)
		}
	}
}

// Every operator that the driver claims agrees with the oracle, for every type
// that it claims, in all its samples.
func TestExampleOperators(t *testing.T) {
	d := openExample(t)
	for _, o := range d.Caps().Ops {
		samples := exampleSamples[o.Name]
		if len(samples) == 0 {
			t.Errorf("there is no sample of %s", o.Name)
		}
		for _, name := range o.Elems {
			e, err := enc.ParseElem(name)
			require.NoError(t, err)
			for i, make := range samples {
				t.Run(fmt.Sprintf("%s/%s/%d", o.Name, name, i), func(t *testing.T) {
					k := newKit(t, e)
					outs := make(k)
					require.NoError(t, k.b.Err())
					k.check(d, k.build(outs...))
				})
			}
		}
	}
}

// Supports says why not, whether the shapes are known or not.
func TestExampleRefusals(t *testing.T) {
	d := openExample(t)
	for name, c := range map[string]struct {
		make func(k *kit) graph.ValueID
		code driver.ReasonCode
		part string
	}{
		"operator": {func(k *kit) graph.ValueID {
			return k.b.Op("Resize", ids{k.of(enc.F32, 0, 1, 1, 1, 4, 4), graph.NoValue, graph.NoValue, k.b.Ints(1, 1, 8, 8)})
		}, driver.ReasonOperator, "Resize"},
		"type": {func(k *kit) graph.ValueID {
			return k.b.Op("Add", ids{k.b.Input("a", graph.OfInts(enc.F16, 2)), k.b.Input("b", graph.OfInts(enc.F16, 2))})
		}, driver.ReasonType, "f16"},
		"attribute": {func(k *kit) graph.ValueID {
			return k.b.Op("Pad", ids{k.of(enc.F32, 0, 1, 3), k.b.Ints(1, 1)}, graph.Str("mode", "edge"))
		}, driver.ReasonAttribute, "mode"},
		"shape": {func(k *kit) graph.ValueID {
			return k.b.Op("Conv", ids{k.of(enc.F32, 0, 1, 1, 1, 3, 3, 3), k.constant(0, 1, 1, 1, 2, 2, 2)})
		}, driver.ReasonShape, "nmpq"},
		"encoding": {func(k *kit) graph.ValueID {
			w := graph.OfInts(enc.F32, 32, 2)
			w.Enc = enc.PerChannel(enc.I8, 1)
			return k.b.Op("MatMul", ids{k.of(enc.F32, 0, 1, 1, 32), k.b.Weight("w", w, &graph.Weight{Parts: []graph.Part{{Inline: make([]byte, 64+8), Elem: enc.F32, Shape: []int64{32, 2}, Enc: w.Enc}}})})
		}, driver.ReasonEncoding, "quantized"},
		"limit": {func(k *kit) graph.ValueID {
			return k.b.Op("Expand", ids{k.of(enc.F32, 0, 1, 1), k.b.Ints(1 << 40)})
		}, driver.ReasonLimit, "larger"},
	} {
		t.Run(name, func(t *testing.T) {
			k := newKit(t, enc.F32)
			g := k.build(c.make(k))
			vs, err := d.Supports(g)
			require.NoError(t, err)
			require.False(t, vs[0].OK)
			require.Equal(t, c.code, vs[0].Code)
			require.Contains(t, vs[0].Text, c.part)
		})
	}
	k := newKit(t, enc.F32)
	n := k.b.Symbol(dim.Symbol{Name: "n", Min: 1, Max: 9})
	k.b.Output("y", k.b.Op("Softmax", ids{k.b.Input("x", graph.Of(enc.F32, n, dim.Of(4)))}))
	g, err := k.b.Build()
	require.NoError(t, err)
	vs, err := d.Supports(g)
	require.NoError(t, err)
	require.True(t, vs[0].OK, "of a specialised graph: %s", vs[0].Text)
	_, err = d.Compile(context.Background(), g, hal.CompileOptions{})
	require.ErrorIs(t, err, hal.ErrUnsupported)
}

// What depends on the data is refused while it runs, and the next run is well.
func TestExampleRuntimeErrors(t *testing.T) {
	d := openExample(t)
	for part, run := range map[string]func(k *kit, i graph.ValueID) graph.ValueID{
		"Gather": func(k *kit, i graph.ValueID) graph.ValueID {
			return k.b.Op("Gather", ids{k.of(enc.F32, 0, 1, 5, 2), i})
		},
		"RotaryEmbedding": func(k *kit, i graph.ValueID) graph.ValueID {
			q, table := k.of(enc.F32, 0, 1, 1, 2, 1, 4), k.of(enc.F32, 0, 1, 9, 2)
			return k.b.Op("RotaryEmbedding", ids{q, table, table, i})
		},
		"TensorScatter": func(k *kit, i graph.ValueID) graph.ValueID {
			return k.b.Op("TensorScatter", ids{k.of(enc.F32, 0, 1, 1, 1, 5, 2), k.of(enc.F32, 0, 1, 1, 1, 2, 2), i})
		},
	} {
		k := newKit(t, enc.F32)
		shape := []int64{1}
		if part == "RotaryEmbedding" {
			shape = []int64{1, 1}
		}
		g := k.build(run(k, k.ints(shape, 3)))
		p := k.prepare(d, g)
		k.checkRun(p, g)
		at := func() []byte {
			for name := range k.inputs {
				if k.inputs[name].Elem == enc.I64 {
					return p.argument(driver.RoleInput, name)
				}
			}
			return nil
		}()
		binary.LittleEndian.PutUint64(at, 9)
		require.ErrorContains(t, p.run(), part)
		require.NoError(t, d.Lost())
	}
}

// A weight is read whatever way its elements lie in the file: narrower, cut
// out, joined, turned around.
func TestExampleWeights(t *testing.T) {
	d := openExample(t)
	for _, stored := range []enc.Elem{enc.F32, enc.F16, enc.BF16} {
		for _, inline := range []bool{false, true} {
			for name, c := range map[string]struct {
				shape []int64
				w     graph.Weight
			}{
				"plain":     {[]int64{7, 18}, graph.Weight{Parts: []graph.Part{{Shape: []int64{7, 18}}}}},
				"turned":    {[]int64{7, 18}, graph.Weight{Parts: []graph.Part{{Shape: []int64{18, 7}}}, Perm: []int{1, 0}}},
				"slice":     {[]int64{7, 18}, graph.Weight{Parts: []graph.Part{{Shape: []int64{9, 20}, Start: []int64{1, 2}, Size: []int64{7, 18}}}}},
				"cut":       {[]int64{7, 18}, graph.Weight{Parts: []graph.Part{{Shape: []int64{20, 9}, Start: []int64{1, 2}, Size: []int64{18, 7}}}, Perm: []int{1, 0}}},
				"rows":      {[]int64{7, 18}, graph.Weight{Parts: []graph.Part{{Shape: []int64{2, 18}}, {Shape: []int64{5, 18}}}}},
				"columns":   {[]int64{7, 18}, graph.Weight{Parts: []graph.Part{{Shape: []int64{7, 11}}, {Shape: []int64{7, 7}}}, Axis: 1}},
				"qkv":       {[]int64{7, 18}, graph.Weight{Parts: []graph.Part{{Shape: []int64{6, 7}}, {Shape: []int64{9, 9}, Start: []int64{2, 1}, Size: []int64{7, 7}}, {Shape: []int64{5, 7}}}, Perm: []int{1, 0}}},
				"batch":     {[]int64{3, 7, 4}, graph.Weight{Parts: []graph.Part{{Shape: []int64{4, 3, 7}}}, Perm: []int{1, 2, 0}}},
				"an empty":  {[]int64{7, 4}, graph.Weight{Parts: []graph.Part{{Shape: []int64{7, 0}}, {Shape: []int64{7, 4}}}, Axis: 1}},
				"all empty": {[]int64{7, 0}, graph.Weight{Parts: []graph.Part{{Shape: []int64{7, 0}}}}},
			} {
				t.Run(fmt.Sprintf("%s/%v/%s", stored, inline, name), func(t *testing.T) {
					k := newKit(t, enc.F32)
					typ := graph.OfInts(enc.F32, c.shape...)
					if stored != enc.F32 {
						typ.Enc = enc.As(stored)
					}
					w, file := c.w, make([]byte, 6) // only as aligned as files have it
					w.Parts = nil
					for _, p := range c.w.Parts {
						x := k.random(enc.F32, -1, 1, p.Shape...)
						x.Elem = stored
						b, err := x.Bytes()
						require.NoError(t, err)
						p.Elem = stored
						if inline {
							p.Inline = b
						} else {
							p.Source, p.Offset = "weights", int64(len(file))
							file = append(file, b...)
						}
						w.Parts = append(w.Parts, p)
					}
					if !inline {
						k.data = inMemory{"weights": file}
						k.b.Source(graph.Source{Name: "weights", Size: int64(len(file))})
					}
					v := k.b.Weight("w", typ, &w)
					rows := append(slices.Clone(c.shape[:len(c.shape)-2]), 5, 7)
					product := k.b.Op("MatMul", ids{k.of(enc.F32, -1, 1, rows...), v})
					k.check(d, k.build(product, k.twice(v)))
				})
			}
		}
	}
}

// A cache is written in place, run after run, in chunks and single rows.
func TestExampleStates(t *testing.T) {
	d := openExample(t)
	for _, chunk := range []int64{1, 3} {
		k := newKit(t, enc.F32)
		cache := graph.OfInts(enc.F32, 1, 2, 12, 8)
		at, valid := k.ints([]int64{1}, 0), k.ints([]int64{1}, chunk)
		var kv ids
		for _, name := range []string{"k", "v"} {
			kv = append(kv, k.b.Op("TensorScatter", ids{k.b.State(name, cache), k.of(enc.F32, -1, 1, 1, 2, chunk, 8), at}))
			k.b.SetState(name, kv[len(kv)-1])
			k.states[name] = k.random(enc.F32, -1, 1, 1, 2, 12, 8)
		}
		only := k.b.State("read", graph.OfInts(enc.F32, 4))
		k.states["read"] = k.random(enc.F32, -1, 1, 4)
		y := k.b.Op("Attention", ids{k.of(enc.F32, -1, 1, 1, 4, chunk, 8), kv[0], kv[1], graph.NoValue, graph.NoValue, graph.NoValue, valid}, graph.Int("is_causal", 1))
		g := k.build(y, k.twice(only), kv[1])
		p := k.prepare(d, g)
		for pos := int64(0); pos+chunk <= 12; pos += chunk {
			k.inputs["in0"].I[0], k.inputs["in1"].I[0] = pos, pos+chunk
			want, err := oracle.Eval(context.Background(), g, oracle.Options{Inputs: k.inputs, States: k.states, Round: true})
			require.NoError(t, err)
			k.checkRun(p, g)
			k.states = want.States
		}
	}
}

// Values that are not made by a node, are wanted twice, or are made of each
// other come out right.
func TestExampleOutputs(t *testing.T) {
	d := openExample(t)
	for name, f := range map[string]func(k *kit) ids{
		"input":         func(k *kit) ids { return ids{k.x(0, 9, 3, 4)} },
		"constant":      func(k *kit) ids { return ids{k.constant(0, 9, 3, 4)} },
		"constant view": func(k *kit) ids { return ids{k.b.Op("Reshape", ids{k.constant(0, 9, 3, 4), k.b.Ints(12)})} },
		"twice":         func(k *kit) ids { v := k.twice(k.x(0, 9, 3, 4)); return ids{v, v} },
		"with its origin": func(k *kit) ids {
			v := k.twice(k.x(0, 9, 3, 4))
			return ids{k.b.Op("Reshape", ids{v, k.b.Ints(12)}), v}
		},
		"used afterwards": func(k *kit) ids {
			v := k.twice(k.x(0, 1, 3, 4))
			return ids{v, k.b.Op("Mul", ids{k.twice(v), v})}
		},
		"long lives": func(k *kit) ids {
			first := k.twice(k.x(0, 1, 30, 4))
			v := first
			for range 9 {
				v = k.twice(k.b.Op("Mul", ids{v, k.x(0, 1, 4)}))
			}
			return ids{k.b.Op("Add", ids{v, first})}
		},
		"nothing": func(k *kit) ids {
			return ids{k.twice(k.x(0, 1, 0, 1<<20)), k.b.Op("MatMul", ids{k.x(0, 1, 3, 0), k.x(0, 1, 0, 4)})}
		},
	} {
		t.Run(name, func(t *testing.T) {
			k := newKit(t, enc.F32)
			outs := f(k)
			require.NoError(t, k.b.Err())
			k.check(d, k.build(outs...))
		})
	}
}

// One executable runs on several queues at once.
func TestExampleConcurrency(t *testing.T) {
	d := openExample(t)
	k := newKit(t, enc.F32)
	x := k.of(enc.F32, -1, 1, 37, 64)
	y := k.b.Op("Softmax", ids{k.b.Op("MatMul", ids{x, k.constant(-1, 1, 64, 64)})})
	g := k.build(k.b.Op("MatMul", ids{y, k.b.Op("Transpose", ids{y})}))
	first := k.prepare(d, g)
	k.checkRun(first, g)
	want := bytes.Clone(first.argument(driver.RoleOutput, "y0"))
	var wg sync.WaitGroup
	for range 4 {
		p := attachTo(t, d, first.x)
		p.set(driver.RoleInput, "in0", k.inputs["in0"])
		wg.Go(func() {
			for range 20 {
				if err := p.run(); err != nil {
					t.Error(err)
					return
				}
				if !bytes.Equal(want, p.argument(driver.RoleOutput, "y0")) {
					t.Error("a run beside others gives something else")
				}
			}
		})
	}
	wg.Wait()
}

// The C code by itself, with the compiler's checks of addresses and undefined
// behaviour, takes thousands of damaged graphs without a fault.
func TestExampleHostileGraphs(t *testing.T) {
	cc := compiler(t)
	dir := t.TempDir()
	program := filepath.Join(dir, "hostile")
	args := []string{"-g", "-O0", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-Iinclude", "-o", program, "testdata/hostile.c"}
	if out, err := exec.Command(cc, append(append(args, exampleSources(t)...), "-lm", "-lpthread")...).CombinedOutput(); err != nil {
		t.Skipf("the compiler has no sanitizers: %s", out)
	}
	files := []string{}
	save := func(g *graph.Graph) {
		b, err := graph.Marshal(g)
		require.NoError(t, err)
		files = append(files, filepath.Join(dir, fmt.Sprint(len(files))))
		require.NoError(t, os.WriteFile(files[len(files)-1], b, 0o600))
	}
	for name, samples := range exampleSamples {
		for _, make := range samples {
			e := enc.F32
			if op := ops.Get("", name); !op.Inputs[0].Types.Has(e) {
				e = enc.Bool
			}
			k := newKit(t, e)
			outs := make(k)
			require.NoError(t, k.b.Err())
			save(k.build(outs...))
		}
	}
	for _, w := range []graph.Weight{
		{Parts: []graph.Part{{Source: "a", Offset: 3900, Elem: enc.BF16, Shape: []int64{9, 9}, Start: []int64{1, 2}, Size: []int64{7, 5}}}},
		{Perm: []int{1, 0}, Parts: []graph.Part{{Source: "a", Elem: enc.BF16, Shape: []int64{2, 7}}, {Source: "b", Offset: 8, Elem: enc.BF16, Shape: []int64{3, 7}}}},
	} {
		k := newKit(t, enc.F32)
		k.b.Source(graph.Source{Name: "a"})
		k.b.Source(graph.Source{Name: "b"})
		typ := graph.OfInts(enc.F32, 7, 5)
		typ.Enc = enc.As(enc.BF16)
		v := k.b.Weight("w", typ, &w)
		save(k.build(k.b.Op("MatMul", ids{k.x(0, 1, 3, 7), v}), v))
	}
	rounds := "60"
	if testing.Short() {
		rounds = "10"
	}
	out, err := exec.Command(program, append([]string{rounds}, files...)...).CombinedOutput()
	require.NoError(t, err, "%s", out)
	t.Logf("%s", out)
}
