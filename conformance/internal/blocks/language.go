package blocks

import (
	"fmt"
	"slices"
	"strings"

	"github.com/heddle-ml/heddle/conformance/internal/suite"
	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
)

// decoder describes blocks of a Llama-like language model over caches.
type decoder struct {
	width, mlp, heads, kvHeads, dim int64
	// capacity is the rows of each cache, chunk the most tokens of a run.
	capacity, chunk int64
	layers          int
	act             string
	// bias and qkNorm are what Qwen2 and Qwen3 do otherwise.
	bias, qkNorm bool
	stored, kv   enc.Encoding
}

// small is a decoder that the oracle evaluates in a moment.
var small = decoder{width: 64, mlp: 160, heads: 4, kvHeads: 2, dim: 16, capacity: 40, chunk: 16, layers: 2, act: "silu"}

// text is a decoder's graph in the making.
type text struct {
	*net
	d decoder
	// x is f32[1,chunk,width]; the others are i64: a position for each token,
	// the row of the first, and the rows in use behind the last.
	x, pos, write, length graph.ValueID
	cos, sin              graph.ValueID
}

// graph adds inputs and blocks and returns the last hidden state.
func (d decoder) graph(l *suite.Lab) (*text, graph.ValueID) {
	t := &text{net: &net{Lab: l, stored: d.stored}, d: d}
	chunk := l.B.Symbol(dim.Symbol{Name: "chunk", Min: 1, Max: d.chunk})
	one := dim.Of(1)
	t.x = t.input(one, chunk, dim.Of(d.width))
	t.pos = l.Input(enc.I64, suite.Values(0), one, chunk)
	t.write = l.Input(enc.I64, suite.Values(0), one)
	t.length = l.Input(enc.I64, suite.Values(0), one)
	t.cos, t.sin = t.rotations(d.capacity+d.chunk, d.dim/2)
	x := t.x
	for i := range d.layers {
		x = t.add(x, t.attention(t.rmsNorm(x, d.width), i))
		h := t.rmsNorm(x, d.width)
		gate := t.act(t.linear(h, d.width, d.mlp, 1.5, false), d.act)
		x = t.add(x, t.linear(t.mul(gate, t.linear(h, d.width, d.mlp, 1.5, false)), d.mlp, d.width, 1.5, false))
	}
	return t, t.rmsNorm(x, d.width)
}

// attention adds grouped-query attention over layer i's cache.
func (t *text) attention(x graph.ValueID, i int) graph.ValueID {
	d := t.d
	q, k, v := t.split(x, d.heads, true), t.split(x, d.kvHeads, true), t.split(x, d.kvHeads, false)
	k, v = t.cache(fmt.Sprintf("k_cache.%d", i), k), t.cache(fmt.Sprintf("v_cache.%d", i), v)
	y := t.B.Op("Attention", ids{q, k, v, graph.NoValue, graph.NoValue, graph.NoValue, t.length}, graph.Int("is_causal", 1))
	return t.linear(t.reshape(t.transpose(y, 0, 2, 1, 3), 0, 0, d.heads*d.dim), d.heads*d.dim, d.width, 1.5, false)
}

// split projects x to heads, [1,heads,chunk,dim], rotated if they are compared.
func (t *text) split(x graph.ValueID, heads int64, rotate bool) graph.ValueID {
	d := t.d
	y := t.reshape(t.linear(x, d.width, heads*d.dim, 2, d.bias), 0, 0, heads, d.dim)
	if rotate && d.qkNorm {
		y = t.rmsNorm(y, d.dim)
	}
	y = t.transpose(y, 0, 2, 1, 3)
	if rotate {
		y = t.B.Op("RotaryEmbedding", ids{y, t.cos, t.sin, t.pos})
	}
	return y
}

// cache writes rows into a state, which a run finds empty at first.
func (t *text) cache(name string, rows graph.ValueID) graph.ValueID {
	typ := graph.OfInts(enc.F32, 1, t.d.kvHeads, t.d.capacity, t.d.dim)
	typ.Enc = t.d.kv
	next := t.B.Op("TensorScatter", ids{t.B.State(name, typ), rows, t.write}, graph.Int("axis", 2))
	t.B.SetState(name, next)
	return next
}

// steps runs chunk after chunk.
func (t *text) steps(chunks ...int64) {
	at := int64(0)
	for _, c := range chunks {
		t.Step(dim.Binding{"chunk": c})
		t.Feed(t.pos, span(at, c))
		t.Feed(t.write, suite.Values(float64(at)))
		at += c
		t.Feed(t.length, suite.Values(float64(at)))
	}
}

// span is the numbers from one on.
func span(from, n int64) suite.Fill {
	var vs []float64
	for i := range n {
		vs = append(vs, float64(from+i))
	}
	return suite.Values(vs...)
}

// caches are the ways to store keys and values; the small decoder's rows are
// of 16 numbers.
var caches = []storage{
	{name: "f32"},
	{name: "f16", enc: enc.As(enc.F16), profiles: beyond},
	{name: "bf16", enc: enc.As(enc.BF16), profiles: beyond},
	{name: "i8", enc: enc.Blocked(enc.I8, 3, 16), profiles: suite.Quantized},
	{name: "i8_block8", enc: enc.Blocked(enc.I8, 3, 8), profiles: beyond},
	{name: "u8_zero", enc: enc.Encoding{Kind: enc.Affine, Store: enc.U8, Scale: enc.F16, Axis: 3, BlockLen: 16, HasZero: true}, profiles: beyond},
}

func name(chunks []int64) string {
	var s []string
	for _, c := range chunks {
		s = append(s, fmt.Sprint(c))
	}
	return strings.Join(s, "_")
}

func languageCases() []suite.Case {
	var out []suite.Case
	add := func(id string, p suite.Profile, d decoder, chunks ...int64) {
		out = append(out, suite.Numeric(id+".chunks_"+name(chunks), p, d.numeric(chunks)))
	}
	for _, s := range storages {
		d := small
		d.stored = s.enc
		add("blocks.decoder."+s.name, s.of(suite.Language), d, 7, 1, 1)
	}
	for _, s := range caches[1:] {
		d := small
		d.kv = s.enc
		add("blocks.decoder.kv_"+s.name, s.of(suite.Language), d, 9, 1, 4, 1)
		out = append(out, attentionCase(s))
	}
	both := small
	both.stored, both.kv = enc.Blocked(enc.I4, 1, 32), enc.Blocked(enc.I8, 3, 16)
	add("blocks.decoder.w4.block32.kv_i8", suite.Quantized, both, 9, 1)

	for _, c := range []struct {
		name string
		d    decoder
	}{
		{"qwen2", decoder{width: 96, mlp: 160, heads: 6, kvHeads: 2, dim: 16, bias: true}},
		{"qwen3", decoder{width: 96, mlp: 160, heads: 4, kvHeads: 1, dim: 32, qkNorm: true}},
		{"heads5_kv5_d18", decoder{width: 90, mlp: 77, heads: 5, kvHeads: 5, dim: 18}},
		{"heads7_kv1_d64", decoder{width: 64, mlp: 129, heads: 7, kvHeads: 1, dim: 64}},
		{"heads2_kv2_d128", decoder{width: 100, mlp: 300, heads: 2, kvHeads: 2, dim: 128}},
		{"gelu_tanh", decoder{width: 64, mlp: 96, heads: 8, kvHeads: 4, dim: 8, act: "gelu_tanh"}},
	} {
		d := c.d
		d.capacity, d.chunk, d.layers = 37, 12, 1
		if d.act == "" {
			d.act = "silu"
		}
		add("blocks.decoder.f32."+c.name, suite.Language, d, 11, 1, 12, 1)
	}
	// A cache as long as a conversation, most of it filled by the first runs.
	long := decoder{width: 32, mlp: 64, heads: 4, kvHeads: 2, dim: 8, capacity: 333, chunk: 150, layers: 1, act: "silu"}
	add("blocks.decoder.f32.context333", suite.Language, long, 150, 150, 1, 1)

	d := small
	d.layers = 1
	out = append(out, suite.Decomposed("blocks.decoder.f32.decomposed.chunks_7_1", d.numeric([]int64{7, 1})))
	return slices.Concat(out, chunkCases(), headCases())
}

// numeric compares the last hidden state and the caches after each chunk.
func (d decoder) numeric(chunks []int64) func(l *suite.Lab) {
	return func(l *suite.Lab) {
		t, x := d.graph(l)
		l.Out(x)
		t.steps(chunks...)
	}
}

// attentionCase writes given keys and values, which are rounded to the same
// codes everywhere, and attends to them: the error left is attention's alone.
func attentionCase(s storage) suite.Case {
	const heads, kvHeads, d, capacity, most = 6, 2, 16, 50, 20
	return suite.Numeric("blocks.cache."+s.name+".chunks_20_1_13_1_15", s.of(suite.Language), func(l *suite.Lab) {
		chunk := l.B.Symbol(dim.Symbol{Name: "chunk", Min: 1, Max: most})
		// Each run brings other rows: their sizes differ by token.
		in := func(heads int64) graph.ValueID {
			return l.Input(enc.F32, suite.Between(-2, 2), dim.Of(1), dim.Of(heads), chunk, dim.Of(d))
		}
		q, k, v := in(heads), in(kvHeads), in(kvHeads)
		write, length := l.Input(enc.I64, suite.Values(0), dim.Of(1)), l.Input(enc.I64, suite.Values(0), dim.Of(1))
		store := func(name string, rows graph.ValueID) graph.ValueID {
			typ := graph.OfInts(enc.F32, 1, kvHeads, capacity, d)
			typ.Enc = s.enc
			next := l.B.Op("TensorScatter", ids{l.B.State(name, typ), rows, write}, graph.Int("axis", 2))
			l.B.SetState(name, next)
			return next
		}
		l.Out(l.B.Op("Attention", ids{q, store("k_cache", k), store("v_cache", v), graph.NoValue, graph.NoValue, graph.NoValue, length}, graph.Int("is_causal", 1)))
		at := int64(0)
		for _, c := range []int64{20, 1, 13, 1, 15} {
			l.Step(dim.Binding{"chunk": c})
			l.Feed(write, suite.Values(float64(at)))
			at += c
			l.Feed(length, suite.Values(float64(at)))
		}
	})
}

// headCases: the embedding table that is the head as well, and heads with
// vocabularies that no kernel's block divides.
func headCases() []suite.Case {
	var out []suite.Case
	tied := func(s storage) suite.Case {
		const vocab, width = 515, 96
		return suite.Numeric("blocks.tied."+s.name+".v515_c96", s.of(suite.Language), func(l *suite.Lab) {
			n := &net{Lab: l, stored: s.enc}
			chunk := l.B.Symbol(dim.Symbol{Name: "chunk", Min: 1, Max: 9})
			tokens := l.Input(enc.I64, suite.Values(0, vocab-1, 256, 511, 512, 3, 3, 100, 257), dim.Of(1), chunk)
			table := l.Weight(enc.F32, s.enc, vocab, width)
			x := n.rmsNorm(l.B.Op("Gather", ids{table, tokens}, graph.Int("axis", 0)), width)
			l.Out(x, l.B.Op("MatMul", ids{x, n.turned(table)}))
			l.Step(dim.Binding{"chunk": 9})
			l.Step(dim.Binding{"chunk": 1})
		})
	}
	for _, s := range storages {
		out = append(out, tied(s))
		if s.name == "bf16" || s.profiles == beyond {
			continue
		}
		for _, c := range []struct{ rows, vocab, width int64 }{{1, 1009, 64}, {3, 32003, 32}, {5, 511, 96}} {
			out = append(out, suite.Numeric(fmt.Sprintf("blocks.head.%s.n%d_v%d_c%d", s.name, c.rows, c.vocab, c.width), s.of(suite.Language), func(l *suite.Lab) {
				n := &net{Lab: l, stored: s.enc}
				// Only the rows asked for pass the head.
				x := l.B.Op("Gather", ids{n.input(dim.Ofs(1, 8, c.width)...), l.Const(enc.I64, suite.Values(7, 0, 2, 2, 5), c.rows)}, graph.Int("axis", 1))
				l.Out(n.linear(n.rmsNorm(x, c.width), c.width, c.vocab, 3, false))
			}))
		}
	}
	return out
}

// turned refers to a stored matrix [n,k] once more, as the operand [k,n].
func (n *net) turned(v graph.ValueID) graph.ValueID {
	val := n.B.Value(v)
	shape, ok := n.B.Type(v).Shape.Const()
	if val == nil || !ok || n.B.Err() != nil {
		return graph.NoValue
	}
	t := graph.OfInts(enc.F32, shape[1], shape[0])
	if t.Enc = val.Type.Enc; t.Enc.Kind != enc.Plain {
		t.Enc.Axis = 1 - t.Enc.Axis
	}
	return n.B.Weight("", t, &graph.Weight{Parts: slices.Clone(val.Data.Parts), Perm: []int{1, 0}})
}
