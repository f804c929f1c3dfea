package onnx_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/graph/onnx"
	"github.com/heddle-ml/heddle/graph/onnx/internal/pb"
	"github.com/heddle-ml/heddle/graph/passes"
	"github.com/heddle-ml/heddle/ops"
	"github.com/heddle-ml/heddle/ops/oracle"
)

// stored returns a part with bytes such that all numbers are finite.
func stored(t *testing.T, elem enc.Elem, e enc.Encoding, shape ...int64) graph.Part {
	t.Helper()
	l, err := e.Layout(elem, shape)
	require.NoError(t, err)
	r := rand.New(rand.NewPCG(uint64(l.Data), uint64(len(shape))))
	b := make([]byte, l.Total())
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	floats := func(b []byte, e enc.Elem) {
		for i := e.Bits()/8 - 1; i < len(b); i += e.Bits() / 8 {
			b[i] = b[i]&0x80 | 0x3c // near one
		}
	}
	switch e.Kind {
	case enc.Plain:
		if elem.IsFloat() {
			floats(b, elem)
		}
	case enc.Affine:
		floats(b[l.Data:][:l.Scale], e.Scale)
	case enc.Block:
		_, size := e.Format.BlockSize()
		for i := 1; i < len(b); i += int(size) {
			b[i] = 0x3c // the scale of a Q8_0 or Q4_0 block
		}
	}
	return graph.Part{Inline: b, Elem: elem, Shape: shape, Enc: e}
}

// Weights mean the same after export, however they are stored.
func TestExportWeights(t *testing.T) {
	f32 := func(e enc.Encoding) graph.Type {
		return graph.Type{Elem: enc.F32, Shape: dim.Ofs(64, 32), Enc: e}
	}
	swap := []int{1, 0}
	blocked := enc.Encoding{Kind: enc.Affine, Store: enc.U4, Scale: enc.F16, Axis: 0, BlockLen: 16, HasZero: true}
	blockedStored := blocked
	blockedStored.Axis = 1
	for name, c := range map[string]struct {
		typ    graph.Type
		weight graph.Weight
		ops    string // that the model has
	}{
		"plain":      {f32(enc.Encoding{}), graph.Weight{Parts: []graph.Part{stored(t, enc.F32, enc.Encoding{}, 64, 32)}}, "MatMul"},
		"transposed": {f32(enc.Encoding{}), graph.Weight{Parts: []graph.Part{stored(t, enc.F32, enc.Encoding{}, 32, 64)}, Perm: swap}, "MatMul"},
		"joined slices": {f32(enc.Encoding{}), graph.Weight{Axis: 0, Perm: swap, Parts: []graph.Part{
			stored(t, enc.F32, enc.Encoding{}, 12, 64), slice(stored(t, enc.F32, enc.Encoding{}, 30, 70), []int64{5, 3}, []int64{20, 64}),
		}}, "MatMul"},
		"half":              {f32(enc.As(enc.F16)), graph.Weight{Parts: []graph.Part{stored(t, enc.F16, enc.Encoding{}, 32, 64)}, Perm: swap}, "Cast MatMul"},
		"bfloat":            {f32(enc.As(enc.BF16)), graph.Weight{Parts: []graph.Part{stored(t, enc.BF16, enc.Encoding{}, 64, 32)}}, "Cast MatMul"},
		"derived half":      {f32(enc.As(enc.F16)), graph.Weight{Parts: []graph.Part{stored(t, enc.F32, enc.Encoding{}, 64, 32)}}, "MatMul"},
		"per tensor":        {f32(enc.PerTensor(enc.I8)), graph.Weight{Parts: []graph.Part{stored(t, enc.F32, enc.PerTensor(enc.I8), 64, 32)}}, "DequantizeLinear MatMul"},
		"per channel":       {f32(enc.PerChannel(enc.I8, 1)), graph.Weight{Parts: []graph.Part{stored(t, enc.F32, enc.PerChannel(enc.I8, 0), 32, 64)}, Perm: swap}, "DequantizeLinear MatMul"},
		"nibbles in blocks": {f32(blocked), graph.Weight{Parts: []graph.Part{stored(t, enc.F32, blockedStored, 32, 64)}, Perm: swap}, "DequantizeLinear MatMul"},
		"gguf blocks":       {f32(enc.GGUF(enc.Q8_0, 0)), graph.Weight{Parts: []graph.Part{stored(t, enc.F32, enc.GGUF(enc.Q8_0, 1), 32, 64)}, Perm: swap}, "MatMul"},
		"derived codes":     {f32(enc.PerChannel(enc.I4, 1)), graph.Weight{Parts: []graph.Part{stored(t, enc.F32, enc.Encoding{}, 64, 32)}}, "MatMul"},
	} {
		t.Run(name, func(t *testing.T) {
			b := graph.NewBuilder("g", ops.Standard)
			x := b.Input("x", graph.OfInts(enc.F32, 3, 64))
			b.Output("y", b.Op("MatMul", []graph.ValueID{x, b.Weight("w", c.typ, &c.weight)}))
			g, err := b.Build()
			require.NoError(t, err)
			again, model, err := exportImport(g, onnx.ExportOptions{})
			require.NoError(t, err)
			m, err := pb.Decode(model)
			require.NoError(t, err)
			names := ""
			for _, n := range m.Graph.Nodes {
				names += " " + n.OpType
			}
			require.Equal(t, " "+c.ops, names)
			require.Equal(t, run(t, g, ramp(3, 64)), run(t, again, ramp(3, 64)))
		})
	}
}

func slice(p graph.Part, start, size []int64) graph.Part {
	p.Start, p.Size = start, size
	return p
}

func run(t *testing.T, g *graph.Graph, x *graph.Tensor) *graph.Tensor {
	t.Helper()
	out, err := eval(g, map[string]*graph.Tensor{"x": x}, nil)
	require.NoError(t, err)
	return out["y"]
}

// Large weights can go to a file of their own, aligned.
func TestExportExternal(t *testing.T) {
	b := graph.NewBuilder("g", ops.Standard)
	b.Source(graph.Source{Name: "src", Size: 9999})
	x := b.Input("x", graph.OfInts(enc.F32, 2, 20))
	w := b.Weight("w", graph.OfInts(enc.F32, 20, 20), &graph.Weight{Parts: []graph.Part{{Source: "src", Offset: 7, Elem: enc.F32, Shape: []int64{20, 20}}}})
	v := b.Const("v", ramp(20, 20))
	y := b.Op("Add", []graph.ValueID{b.Op("MatMul", []graph.ValueID{x, w}), b.Const("small", ramp(20))})
	b.Output("y", b.Op("MatMul", []graph.ValueID{y, v}))
	g, err := b.Build()
	require.NoError(t, err)

	err = onnx.Export(&bytes.Buffer{}, g, onnx.ExportOptions{})
	require.ErrorContains(t, err, `"src"`)

	src := files{"src": append(make([]byte, 7), append(ramp(20, 20).Data, make([]byte, 9999)...)...)}
	var model, weights bytes.Buffer
	o := onnx.ExportOptions{Data: src, External: &weights, ExternalName: "w/m.bin"}
	require.NoError(t, onnx.Export(&model, g, o))
	require.Equal(t, 1600+1600, weights.Len())
	again, err := onnx.Import(model.Bytes(), onnx.ImportOptions{External: fstest.MapFS{"w/m.bin": {Data: weights.Bytes()}}})
	require.NoError(t, err)
	in := map[string]*graph.Tensor{"x": ramp(2, 20)}
	want, err := eval(g, in, src)
	require.NoError(t, err)
	got, err := eval(again, in, files{"w/m.bin": weights.Bytes()})
	require.NoError(t, err)
	require.Equal(t, want, got)

	o.ExternalName = "../m.bin"
	require.ErrorContains(t, onnx.Export(&model, g, o), "not a path inside")
	o.ExternalName, o.External = "m.bin", failing{}
	require.ErrorIs(t, onnx.Export(&model, g, o), errFull)
	require.ErrorIs(t, onnx.Export(failing{}, g, onnx.ExportOptions{Data: src}), errFull)
}

var errFull = errors.New("disk full")

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errFull }

// symbolic is a graph whose constants are symbolic integers of every form.
func symbolic(t *testing.T) *graph.Graph {
	b := graph.NewBuilder("symbolic", ops.Standard)
	past := b.Symbol(dim.Symbol{Name: "past", Min: 0, Max: 100})
	chunk := b.Symbol(dim.Symbol{Name: "chunk", Min: 1, Max: 64, Buckets: []int64{1, 64}})
	w := b.Symbol(dim.Symbol{Name: "w", Min: 1, Max: 100})
	b.Input("mask", graph.Of(enc.F32, past.Add(chunk)))
	x := b.Input("x", graph.Of(enc.F32, chunk.MulInt(3).AddInt(2), dim.Of(1)))
	b.Input("picture", graph.Of(enc.F32, w))
	patches := w.AddInt(13).Div(14)
	zero, one := b.Const("", graph.I64(0).Scalar()), b.Const("", graph.I64(1).Scalar())
	count := b.Weight("count", graph.OfInts(enc.I64), &graph.Weight{Dims: []dim.Dim{past.Add(chunk).AddInt(-1)}})
	b.Output("positions", b.Op("Range", []graph.ValueID{zero, count, one}))
	b.Output("wide", b.Op("Expand", []graph.ValueID{x, b.Dims(chunk.MulInt(3).AddInt(2), patches)}))
	b.Output("flat", b.Op("Reshape", []graph.ValueID{x, b.Dims(chunk.MulInt(3).AddInt(2))}))
	below := w.AddInt(-13).Div(14) // negative where w < 13
	b.Output("integers", b.Dims(patches, chunk.Sub(past), dim.Of(7), past, below, past.Sub(below.MulInt(3)), w.Add(past).Div(4).Add(below).Div(2)))
	g, err := b.Build()
	require.NoError(t, err)
	return g
}

// Symbolic constants become expressions of shapes, and become constants again.
func TestExportSymbolic(t *testing.T) {
	g := symbolic(t)
	again, model, err := exportImport(g, onnx.ExportOptions{})
	require.NoError(t, err)
	require.Equal(t, g.Symbols, again.Symbols)
	in := map[string]*graph.Tensor{"mask": ramp(12), "x": ramp(17, 1), "picture": ramp(5)}
	want, err := evalBound(g, in, dim.Binding{"past": 7, "chunk": 5, "w": 5})
	require.NoError(t, err)
	require.Equal(t, graph.I64(1, -2, 7, 7, -1, 10, 1), want["integers"])
	got, err := evalBound(again, in, dim.Binding{"past": 7, "chunk": 5, "w": 5})
	require.NoError(t, err)
	require.Equal(t, want, got)

	// A reader that ignores the metadata computes the same.
	m, err := pb.Decode(model)
	require.NoError(t, err)
	m.Metadata = nil
	for i := range m.Graph.Inputs {
		for k := range m.Graph.Inputs[i].Shape {
			d := &m.Graph.Inputs[i].Shape[k]
			n := in[m.Graph.Inputs[i].Name].Shape[k]
			*d = pb.Dimension{Value: n, HasValue: true}
		}
	}
	for i := range m.Graph.Outputs {
		m.Graph.Outputs[i].HasShape, m.Graph.Outputs[i].Shape = false, nil
	}
	var b bytes.Buffer
	require.NoError(t, pb.Write(&b, m))
	fixed, err := onnx.Import(b.Bytes(), onnx.ImportOptions{})
	require.NoError(t, err)
	got, err = eval(fixed, in, nil)
	require.NoError(t, err)
	require.Equal(t, want, got)
}

func evalBound(g *graph.Graph, in map[string]*graph.Tensor, bind dim.Binding) (map[string]*graph.Tensor, error) {
	h, err := graph.Rewriter{Schemas: ops.Standard, Bind: bind}.Run(g)
	if err != nil {
		return nil, err
	}
	return eval(h, in, nil)
}

// cache is a graph with a state that is updated and one that is read.
func cache(t *testing.T) *graph.Graph {
	b := graph.NewBuilder("cache", ops.Standard)
	n := b.Symbol(dim.Symbol{Name: "n", Min: 1, Max: 4})
	s := b.State("kv", graph.OfInts(enc.F32, 1, 2, 8, 4))
	table := b.State("table", graph.OfInts(enc.F32, 4))
	x := b.Input("x", graph.Of(enc.F32, dim.Of(1), dim.Of(2), n, dim.Of(4)))
	at := b.Input("at", graph.OfInts(enc.I64, 1))
	next := b.Op("TensorScatter", []graph.ValueID{s, x, at})
	b.SetState("kv", next)
	b.Output("y", b.Op("Add", []graph.ValueID{next, table}))
	g, err := b.Build()
	require.NoError(t, err)
	return g
}

func TestExportStates(t *testing.T) {
	g := cache(t)
	again, model, err := exportImport(g, onnx.ExportOptions{})
	require.NoError(t, err)
	require.Empty(t, difference(g, again))
	ins, outs, err := onnx.Names(model)
	require.NoError(t, err)
	require.Equal(t, []string{"kv", "table", "x", "at"}, ins)
	require.Equal(t, []string{"y", "kv.out"}, outs)
	x, err := oracle.FromConst(ramp(1, 2, 3, 4))
	require.NoError(t, err)
	at, err := oracle.FromConst(graph.I64(5))
	require.NoError(t, err)
	o := oracle.Options{Inputs: map[string]*oracle.Tensor{"x": x, "at": at}}
	want, err := oracle.Eval(context.Background(), g, o)
	require.NoError(t, err)
	got, err := oracle.Eval(context.Background(), again, o)
	require.NoError(t, err)
	require.Equal(t, want, got)
}

// Nodes of one place share its name; in the file each has its own.
func TestExportNodeNames(t *testing.T) {
	b := graph.NewBuilder("g", ops.Standard)
	x := b.Input("x", graph.OfInts(enc.F32, 2))
	for _, scope := range []string{"a", "a", "a", "a/Relu", "a/Relu.2", "", "", "a"} {
		b.Scope(scope)
		x = b.Op("Relu", []graph.ValueID{x})
	}
	b.Output("y", x)
	g, err := b.Build()
	require.NoError(t, err)
	_, model, err := exportImport(g, onnx.ExportOptions{})
	require.NoError(t, err)
	m, err := pb.Decode(model)
	require.NoError(t, err)
	var names []string
	for _, n := range m.Graph.Nodes {
		names = append(names, n.Name)
	}
	require.Equal(t, []string{"a", "a/Relu", "a/Relu.2", "a/Relu/Relu", "a/Relu.2/Relu", "", "", "a/Relu.3"}, names)
}

// Without states, an operator that updates them is one like the others.
func TestStateless(t *testing.T) {
	g := cache(t)
	plain, err := onnx.Stateless(g)
	require.NoError(t, err)
	require.Empty(t, plain.States)
	apart, err := passes.Decompose(plain, func(op graph.OpRef) bool { return op.Name != "TensorScatter" })
	require.NoError(t, err)
	again, model, err := exportImport(apart, onnx.ExportOptions{})
	require.NoError(t, err)
	ins, outs, err := onnx.Names(model)
	require.NoError(t, err)
	require.Equal(t, []string{"x", "at", "kv", "table"}, ins)
	require.Equal(t, []string{"y", "kv.out"}, outs)
	in := map[string]*graph.Tensor{"x": ramp(1, 2, 3, 4), "at": graph.I64(5), "kv": ramp(1, 2, 8, 4), "table": ramp(4)}
	got, err := eval(again, in, nil)
	require.NoError(t, err)

	o := oracle.Options{Inputs: map[string]*oracle.Tensor{}, States: map[string]*oracle.Tensor{}}
	for name, v := range in {
		x, err := oracle.FromConst(v)
		require.NoError(t, err)
		if name == "kv" || name == "table" {
			o.States[name] = x
		} else {
			o.Inputs[name] = x
		}
	}
	want, err := oracle.Eval(context.Background(), g, o)
	require.NoError(t, err)
	for name, v := range map[string]*oracle.Tensor{"y": want.Outputs["y"], "kv.out": want.States["kv"]} {
		c, err := v.Const()
		require.NoError(t, err)
		require.Equal(t, c, got[name])
	}
}

// Names of inputs and outputs stay; whatever else is in their way does not.
func TestExportNames(t *testing.T) {
	b := graph.NewBuilder("", ops.Standard)
	x := b.Input("x", graph.OfInts(enc.F32, 2))
	r := b.Op("Relu", []graph.ValueID{x})
	b.Rename(r, "out")
	n := b.Op("Neg", []graph.ValueID{r})
	c := b.Const("k", ramp(2))
	b.Output("x", x)
	b.Output("copy", x)
	b.Output("first", r)
	b.Output("second", r)
	b.Output("out", n)
	b.Output("const", c)
	g, err := b.Build()
	require.NoError(t, err)
	var model bytes.Buffer
	require.NoError(t, onnx.Export(&model, g, onnx.ExportOptions{Producer: "heddle"}))
	again, err := onnx.Import(model.Bytes(), onnx.ImportOptions{})
	require.NoError(t, err)
	in := map[string]*graph.Tensor{"x": ramp(2)}
	want, err := eval(g, in, nil)
	require.NoError(t, err)
	got, err := eval(again, in, nil)
	require.NoError(t, err)
	require.Len(t, got, 6)
	require.Equal(t, want, got)

	var second bytes.Buffer
	require.NoError(t, onnx.Export(&second, g, onnx.ExportOptions{Producer: "heddle"}))
	require.Equal(t, model.Bytes(), second.Bytes())
}

func TestExportRefuses(t *testing.T) {
	one := func(f func(b *graph.Builder, x graph.ValueID) graph.ValueID) *graph.Graph {
		b := graph.NewBuilder("g", ops.Standard)
		x := b.Input("x", graph.OfInts(enc.F32, 2, 2))
		b.Output("y", f(b, x))
		g, err := b.Build()
		require.NoError(t, err)
		return g
	}
	linear := one(func(b *graph.Builder, x graph.ValueID) graph.ValueID {
		return b.Op("heddle.Linear", []graph.ValueID{x, b.Const("w", ramp(2, 2))})
	})
	swish := one(func(b *graph.Builder, x graph.ValueID) graph.ValueID { return b.Op("Swish", []graph.ValueID{x}) })
	clash := one(func(b *graph.Builder, x graph.ValueID) graph.ValueID {
		b.Output("x", b.Op("Relu", []graph.ValueID{x}))
		return x
	})
	empty := one(func(b *graph.Builder, x graph.ValueID) graph.ValueID {
		w := b.Weight("w", graph.OfInts(enc.F32, 2), &graph.Weight{Parts: []graph.Part{{Elem: enc.F32, Shape: []int64{2}}}})
		return b.Op("Add", []graph.ValueID{x, w})
	})
	unbound := one(func(b *graph.Builder, x graph.ValueID) graph.ValueID {
		n := b.Symbol(dim.Symbol{Name: "n", Min: 1, Max: 2})
		return b.Op("Expand", []graph.ValueID{x, b.Dims(n, dim.Of(2), dim.Of(2))})
	})
	coded := graph.NewBuilder("g", ops.Standard)
	s := coded.State("s", graph.Type{Elem: enc.F32, Shape: dim.Ofs(2, 2), Enc: enc.PerTensor(enc.I8)})
	coded.SetState("s", s)
	coded.Output("y", coded.Op("Relu", []graph.ValueID{coded.Input("x", graph.OfInts(enc.F32, 2, 2))}))
	codedState, err := coded.Build()
	require.NoError(t, err)
	for name, c := range map[string]struct {
		g    *graph.Graph
		o    onnx.ExportOptions
		want string
	}{
		"heddle operator":  {linear, onnx.ExportOptions{}, "is not an ONNX operator; decompose it first"},
		"old operator set": {swish, onnx.ExportOptions{Opset: 20}, "operator set 20 was asked for; the graph's operators need 24"},
		"new operator set": {swish, onnx.ExportOptions{Opset: 99}, "at most 28"},
		"clash":            {clash, onnx.ExportOptions{}, `output "x" has the name of another`},
		"no data":          {empty, onnx.ExportOptions{}, `weight "w": has no data`},
		"unbound symbol":   {unbound, onnx.ExportOptions{}, `symbol "n" follows from no dimension of an input`},
		"encoded state":    {codedState, onnx.ExportOptions{}, "has no ONNX form"},
	} {
		t.Run(name, func(t *testing.T) {
			require.ErrorContains(t, onnx.Export(&bytes.Buffer{}, c.g, c.o), c.want)
		})
	}
	again, model, err := exportImport(linear, onnx.ExportOptions{Heddle: true})
	require.NoError(t, err)
	require.Empty(t, difference(linear, again))
	m, err := pb.Decode(model)
	require.NoError(t, err)
	require.Equal(t, []pb.Opset{{Version: 18}, {Domain: "heddle", Version: 1}}, m.Opsets)
}

// The operator set is the least that has what the graph uses.
func TestExportOpset(t *testing.T) {
	for name, c := range map[string]struct {
		elem enc.Elem
		make func(b *graph.Builder, x graph.ValueID) graph.ValueID
		want int64
		ir   int64
	}{
		"old":       {enc.F32, func(b *graph.Builder, x graph.ValueID) graph.ValueID { return b.Op("Relu", []graph.ValueID{x}) }, 18, 8},
		"same form": {enc.F32, func(b *graph.Builder, x graph.ValueID) graph.ValueID { return b.Op("Shape", []graph.ValueID{x}) }, 18, 8},
		"new":       {enc.F32, func(b *graph.Builder, x graph.ValueID) graph.ValueID { return b.Op("Gelu", []graph.ValueID{x}) }, 20, 9},
		"newer":     {enc.F32, func(b *graph.Builder, x graph.ValueID) graph.ValueID { return b.Op("Swish", []graph.ValueID{x}) }, 24, 12},
		"type":      {enc.BF16, func(b *graph.Builder, x graph.ValueID) graph.ValueID { return b.Op("Cos", []graph.ValueID{x}) }, 22, 10},
		"attribute": {enc.F32, func(b *graph.Builder, x graph.ValueID) graph.ValueID {
			return b.Op("Cast", []graph.ValueID{x}, graph.Elem("to", enc.F16), graph.Int("saturate", 1))
		}, 19, 9},
		"word": {enc.F32, func(b *graph.Builder, x graph.ValueID) graph.ValueID {
			return b.Op("Resize", []graph.ValueID{x, graph.NoValue, graph.NoValue, b.Ints(5)}, graph.Str("coordinate_transformation_mode", "half_pixel_symmetric"))
		}, 19, 9},
		"other word": {enc.F32, func(b *graph.Builder, x graph.ValueID) graph.ValueID {
			return b.Op("Resize", []graph.ValueID{x, graph.NoValue, graph.NoValue, b.Ints(5)}, graph.Str("coordinate_transformation_mode", "half_pixel"))
		}, 18, 8},
		"nibbles": {enc.F32, func(b *graph.Builder, x graph.ValueID) graph.ValueID {
			return b.Op("Cast", []graph.ValueID{x}, graph.Elem("to", enc.I4))
		}, 21, 10},
	} {
		t.Run(name, func(t *testing.T) {
			b := graph.NewBuilder("g", ops.Standard)
			b.Output("y", c.make(b, b.Input("x", graph.OfInts(c.elem, 2))))
			g, err := b.Build()
			require.NoError(t, err)
			_, model, err := exportImport(g, onnx.ExportOptions{})
			require.NoError(t, err)
			m, err := pb.Decode(model)
			require.NoError(t, err)
			require.Equal(t, []pb.Opset{{Version: c.want}}, m.Opsets)
			require.Equal(t, c.ir, m.IRVersion)
		})
	}
}

func Example() {
	b := graph.NewBuilder("scale", ops.Standard)
	n := b.Symbol(dim.Symbol{Name: "n", Min: 1, Max: 9})
	x := b.Input("x", graph.Of(enc.F32, n))
	b.Output("y", b.Op("Mul", []graph.ValueID{x, b.Float(enc.F32, 2)}))
	g, err := b.Build()
	if err != nil {
		panic(err)
	}
	var model bytes.Buffer
	if err := onnx.Export(&model, g, onnx.ExportOptions{Producer: "example"}); err != nil {
		panic(err)
	}
	again, err := onnx.Import(model.Bytes(), onnx.ImportOptions{})
	fmt.Println(again.Name, again.Values[again.Outputs[0].Value].Type, again.Symbols, err)
	// Output: scale f32[n] [{n 1 9 []}] <nil>
}
