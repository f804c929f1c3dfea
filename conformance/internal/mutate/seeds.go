package mutate

import (
	"fmt"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/ops"
)

// Seed is a small valid graph.
type Seed struct {
	Name  string
	Graph *graph.Graph
	Data  graph.Data
}

// source is the one source that seeds have: bytes that are small numbers in
// every type.
const source = "seed"

type data []byte

// Source returns the bytes.
func (d data) Source(name string) ([]byte, error) {
	if name != source {
		return nil, fmt.Errorf("there is no source %q: %w", name, graph.ErrNoData)
	}
	return d, nil
}

var content = func() data {
	d := make(data, 1<<14)
	for i := range d {
		if i%4 > 1 { // the higher half of a small f32, an f16 in any case
			d[i] = []byte{0x80, 0x3d}[i%2]
		}
	}
	return d
}()

// Seeds returns the seeds: a block of a vision transformer, a decoder with its
// cache, quantized and viewed weights, convolutions, symbols, and attributes of
// all kinds. static leaves out what has symbols. It panics if the package is
// wrong.
func Seeds(static bool) []Seed {
	var out []Seed
	for _, s := range []struct {
		name    string
		dynamic bool
		build   func(b *seedBuilder)
	}{
		{"vit", false, vit}, {"decoder", false, decoder}, {"quantized", false, quantized}, {"conv", false, conv},
		{"views", false, views}, {"attributes", false, attributes}, {"symbols", true, symbols}, {"tiny", false, tiny},
	} {
		if static && s.dynamic {
			continue
		}
		b := &seedBuilder{Builder: graph.NewBuilder(s.name, ops.Standard)}
		s.build(b)
		g, err := b.Build()
		if err != nil {
			panic(fmt.Sprintf("mutate: seed %s: %v", s.name, err))
		}
		out = append(out, Seed{s.name, g, content})
	}
	return out
}

// seedBuilder lays weights out in the source.
type seedBuilder struct {
	*graph.Builder
	used int64
}

func (b *seedBuilder) op(name string, in ...graph.ValueID) graph.ValueID { return b.Op(name, in) }

// weight adds a weight [k,n] stored as it is.
func (b *seedBuilder) weight(e enc.Encoding, shape ...int64) graph.ValueID {
	return b.view(e, nil, nil, shape...)
}

// view adds a weight that is a permuted slice of what is stored.
func (b *seedBuilder) view(e enc.Encoding, perm []int, size []int64, shape ...int64) graph.ValueID {
	b.Source(graph.Source{Name: source, Size: int64(len(content)), ID: "seed-1"})
	elem, part := enc.F32, e
	if e.Kind == enc.Plain && e.Store != enc.Invalid {
		elem, part = e.Store, enc.Encoding{}
	}
	l, err := part.Layout(elem, shape)
	if err != nil {
		b.Fail(err)
		return graph.NoValue
	}
	p := graph.Part{Source: source, Offset: b.used, ScaleOffset: b.used + l.Data, ZeroOffset: b.used + l.Data + l.Scale, Elem: elem, Shape: shape, Enc: part}
	if part.Kind != enc.Affine {
		p.ScaleOffset, p.ZeroOffset = 0, 0
	}
	if b.used += l.Total(); b.used > int64(len(content)) {
		b.used = 0 // again from the start: it is all the same
		return b.view(e, perm, size, shape...)
	}
	logical := shape
	if size != nil {
		p.Start, p.Size, logical = make([]int64, len(size)), size, size
	}
	t := graph.OfInts(enc.F32, logical...)
	if t.Enc = e; perm != nil {
		turned := make([]int64, len(perm))
		for i, a := range perm {
			turned[i] = logical[a]
			if e.Kind != enc.Plain && e.Axis == a {
				t.Enc.Axis = i
			}
		}
		t.Shape = dim.Ofs(turned...)
	}
	return b.Weight("", t, &graph.Weight{Parts: []graph.Part{p}, Perm: perm})
}

var plain = enc.Encoding{}

func vit(b *seedBuilder) {
	x := b.Input("pixels", graph.OfInts(enc.F32, 1, 3, 8, 8))
	b.Scope("patch")
	p := b.Op("Conv", []graph.ValueID{x, b.weight(plain, 16, 3, 4, 4), b.weight(plain, 16)}, graph.Ints("strides", 4, 4), graph.Ints("kernel_shape", 4, 4))
	h := b.Op("Transpose", []graph.ValueID{b.op("Reshape", p, b.Ints(1, 16, 4))}, graph.Ints("perm", 0, 2, 1))
	b.Scope("layer.0")
	n := b.Op("LayerNormalization", []graph.ValueID{h, b.weight(plain, 16), b.weight(plain, 16)}, graph.Float("epsilon", 1e-6))
	heads := func() graph.ValueID {
		m := b.op("Add", b.op("MatMul", n, b.view(plain, []int{1, 0}, nil, 16, 16)), b.weight(plain, 16))
		return b.Op("Transpose", []graph.ValueID{b.op("Reshape", m, b.Ints(1, 4, 2, 8))}, graph.Ints("perm", 0, 2, 1, 3))
	}
	q, k, v := heads(), heads(), heads()
	a := b.op("MatMul", b.Op("Softmax", []graph.ValueID{b.op("MatMul", q, b.Op("Transpose", []graph.ValueID{k}, graph.Ints("perm", 0, 1, 3, 2)))}, graph.Int("axis", -1)), v)
	a = b.op("Reshape", b.Op("Transpose", []graph.ValueID{a}, graph.Ints("perm", 0, 2, 1, 3)), b.Ints(1, 4, 16))
	h = b.op("Add", h, a)
	up := b.Op("Gelu", []graph.ValueID{b.op("MatMul", h, b.weight(enc.As(enc.F16), 16, 32))}, graph.Str("approximate", "tanh"))
	b.Output("features", b.op("Add", h, b.op("MatMul", up, b.weight(plain, 32, 16))))
}

func decoder(b *seedBuilder) {
	ids := b.Input("ids", graph.OfInts(enc.I64, 1, 2))
	at := b.Input("at", graph.OfInts(enc.I64, 1))
	table := b.weight(enc.As(enc.BF16), 12, 16)
	h := b.op("Gather", table, ids)
	n := b.Op("RMSNormalization", []graph.ValueID{h, b.weight(plain, 16)}, graph.Float("epsilon", 1e-5))
	project := func(name string) (graph.ValueID, graph.ValueID) {
		v := b.op("MatMul", n, b.weight(plain, 16, 16))
		v = b.Op("Transpose", []graph.ValueID{b.op("Reshape", v, b.Ints(1, 2, 2, 8))}, graph.Ints("perm", 0, 2, 1, 3))
		if name == "" {
			return v, graph.NoValue
		}
		cache := b.State(name, graph.OfInts(enc.F32, 1, 2, 8, 8))
		next := b.Op("TensorScatter", []graph.ValueID{cache, v, at}, graph.Str("mode", "linear"), graph.Int("axis", 2))
		b.SetState(name, next)
		return v, next
	}
	q, _ := project("")
	_, k := project("k")
	_, v := project("v")
	s := b.op("MatMul", q, b.Op("Transpose", []graph.ValueID{k}, graph.Ints("perm", 0, 1, 3, 2)))
	a := b.op("MatMul", b.op("Softmax", s), v)
	a = b.op("Reshape", b.Op("Transpose", []graph.ValueID{a}, graph.Ints("perm", 0, 2, 1, 3)), b.Ints(1, 2, 16))
	h = b.op("Add", h, a)
	gate := b.op("Swish", b.op("MatMul", h, b.weight(plain, 16, 8)))
	h = b.op("Add", h, b.op("MatMul", b.op("Mul", gate, gate), b.weight(plain, 8, 16)))
	b.Output("logits", b.op("MatMul", h, b.view(plain, []int{1, 0}, nil, 12, 16)))
}

func quantized(b *seedBuilder) {
	x := b.Input("x", graph.OfInts(enc.F32, 3, 64))
	h := b.op("MatMul", x, b.weight(enc.Blocked(enc.I4, 0, 32), 64, 32))
	h = b.op("MatMul", h, b.view(enc.PerChannel(enc.I8, 0), []int{1, 0}, nil, 64, 32))
	h = b.op("MatMul", h, b.view(enc.GGUF(enc.Q4_0, 1), []int{1, 0}, nil, 32, 64))
	h = b.op("MatMul", h, b.weight(enc.Encoding{Kind: enc.Affine, Store: enc.U4, Scale: enc.F16, Axis: 0, BlockLen: 16, HasZero: true}, 32, 16))
	scale, zero := b.Const("scale", graph.F32(nil, 0.5)), b.Const("zero", &graph.Tensor{Elem: enc.U8, Data: []byte{128}})
	codes := b.op("QuantizeLinear", h, scale, zero)
	b.Output("codes", codes)
	b.Output("y", b.op("DequantizeLinear", codes, scale, zero))
}

func conv(b *seedBuilder) {
	x := b.Input("x", graph.OfInts(enc.F32, 1, 4, 9, 7))
	y := b.Op("Conv", []graph.ValueID{x, b.weight(plain, 6, 2, 3, 3), b.weight(plain, 6)}, graph.Ints("pads", 1, 0, 1, 2), graph.Ints("strides", 2, 1), graph.Int("group", 2), graph.Ints("dilations", 1, 2))
	y = b.Op("AveragePool", []graph.ValueID{b.op("Relu", y)}, graph.Ints("kernel_shape", 2, 2), graph.Ints("pads", 0, 1, 1, 0), graph.Int("count_include_pad", 1))
	y = b.Op("Flatten", []graph.ValueID{y}, graph.Int("axis", 1))
	y = b.Op("Gemm", []graph.ValueID{y, b.weight(plain, 5, 150), b.weight(plain, 5)}, graph.Int("transB", 1), graph.Float("alpha", 0.5))
	b.Output("y", y)
}

func views(b *seedBuilder) {
	x := b.Input("x", graph.OfInts(enc.F32, 4, 8))
	y := b.op("MatMul", x, b.view(plain, nil, []int64{8, 6}, 12, 10))
	y = b.op("Add", y, b.view(plain, []int{1, 0}, []int64{6, 4}, 9, 7))
	part := func(shape ...int64) graph.Part {
		b.used += 64
		return graph.Part{Source: source, Offset: b.used, Elem: enc.F32, Shape: shape}
	}
	inline := graph.Part{Elem: enc.F32, Shape: []int64{2, 6}, Inline: make([]byte, 48)}
	y = b.op("Mul", y, b.Weight("joined", graph.OfInts(enc.F32, 4, 6), &graph.Weight{Parts: []graph.Part{part(1, 6), inline, part(1, 6)}, Axis: 0}))
	parts := b.Ops("Split", []graph.ValueID{y, b.Ints(2, 4)}, []bool{true, true}, graph.Int("axis", 1))
	z := b.Op("Concat", []graph.ValueID{parts[1], parts[0], parts[1]}, graph.Int("axis", -1))
	z = b.op("Slice", z, b.Ints(1), b.Ints(9), b.Ints(1), b.Ints(2))
	z = b.op("Expand", b.op("Unsqueeze", z, b.Ints(0)), b.Ints(2, 4, 4))
	mask := b.Const("mask", &graph.Tensor{Elem: enc.Bool, Shape: []int64{4}, Data: []byte{1, 0, 1, 1}})
	z = b.op("Where", mask, z, b.Const("", graph.F32(nil, 2)))
	b.Output("z", b.op("Pad", z, b.Ints(0, 1, 0, 0, 0, 2)))
	b.Output("sum", b.Op("ReduceSum", []graph.ValueID{z, b.Ints(0, 2)}, graph.Int("keepdims", 0)))
	b.Output("again", y)
}

func attributes(b *seedBuilder) {
	x := b.Input("x", graph.OfInts(enc.F32, 2, 3, 4))
	i := b.Op("Cast", []graph.ValueID{x}, graph.Elem("to", enc.I32))
	y := b.Op("ReduceMean", []graph.ValueID{b.Op("Cast", []graph.ValueID{i}, graph.Elem("to", enc.F32)), b.Ints(1)}, graph.Int("keepdims", 1))
	y = b.Op("Concat", []graph.ValueID{y, x}, graph.Int("axis", 1))
	f := b.Op("ConstantOfShape", []graph.ValueID{b.Ints(4)}, graph.TensorAttr("value", graph.F32([]int64{1}, 0.25)))
	y = b.op("Clip", b.op("Add", y, f), b.Const("lo", graph.F32(nil, -1)), b.Const("hi", graph.F32(nil, 1)))
	top := b.Ops("TopK", []graph.ValueID{y, b.Ints(2)}, []bool{true, true}, graph.Int("axis", -1), graph.Int("largest", 1), graph.Int("sorted", 1))
	b.Output("values", top[0])
	b.Output("indices", top[1])
	y = b.Op("Resize", []graph.ValueID{b.op("Unsqueeze", y, b.Ints(0)), graph.NoValue, b.Const("scales", graph.F32([]int64{4}, 1, 1, 2, 2))}, graph.Str("mode", "nearest"))
	b.Output("y", y)
	b.Output("one", b.Op("OneHot", []graph.ValueID{b.Op("Cast", []graph.ValueID{i}, graph.Elem("to", enc.I64)), b.Const("", graph.I64(5).Scalar()), b.Const("", graph.F32([]int64{2}, 0, 1))}))
}

func symbols(b *seedBuilder) {
	n := b.Symbol(dim.Symbol{Name: "n", Min: 1, Max: 12, Buckets: []int64{1, 4, 12}})
	m := b.Symbol(dim.Symbol{Name: "past", Min: 0, Max: 6})
	x := b.Input("x", graph.Of(enc.F32, n, dim.Of(4), dim.Of(2)))
	y := b.Input("y", graph.Of(enc.F32, n.Add(m), dim.Of(8)))
	h := b.op("Reshape", x, b.Dims(n, dim.Of(8)))
	h = b.Op("Concat", []graph.ValueID{h, y}, graph.Int("axis", 0))
	h = b.op("MatMul", h, b.weight(plain, 8, 4))
	h = b.op("Slice", h, b.Ints(0), b.Dims(n.MulInt(2).Add(m)), b.Ints(0))
	h = b.op("Expand", b.op("Unsqueeze", h, b.Ints(0)), b.Dims(dim.Of(2), n.MulInt(2).Add(m), dim.Of(4)))
	b.Output("h", b.op("Softmax", h))
	b.Output("range", b.op("Range", b.Const("", graph.I64(0).Scalar()), b.Weight("end", graph.OfInts(enc.I64), &graph.Weight{Dims: []dim.Dim{n}}), b.Const("", graph.I64(1).Scalar())))
}

func tiny(b *seedBuilder) {
	x := b.Input("x", graph.OfInts(enc.F32, 2, 3))
	b.Output("y", b.op("Add", x, b.weight(plain, 3)))
}
