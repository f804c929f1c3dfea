package cpu

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/ops"
)

// net builds transformers with random weights.
type net struct {
	*graph.Builder
	rnd *rand.Rand
}

func newNet(name string) *net {
	return &net{graph.NewBuilder(name, ops.Standard), rand.New(rand.NewPCG(1, 2))}
}

func (n *net) weight(scale float32, shape ...int64) graph.ValueID {
	size := int64(1)
	for _, d := range shape {
		size *= d
	}
	data := make([]float32, size)
	for i := range data {
		data[i] = (n.rnd.Float32() - 0.5) * scale
	}
	return n.Const("", graph.F32(shape, data...))
}

func (n *net) linear(x graph.ValueID, from, to int64) graph.ValueID {
	return n.Op("Add", ids{n.Op("MatMul", ids{x, n.weight(0.3, from, to)}), n.weight(0.3, to)})
}

// vit3 is a vision transformer of three layers on a batch of tiles.
func vit3(t testing.TB) *graph.Graph {
	const width, heads, patches = 48, 4, 49
	n := newNet("vit")
	tiles := n.Symbol(dim.Symbol{Name: "tiles", Min: 1, Max: 4})
	x := n.Op("Conv", ids{n.Input("pixels", graph.Of(enc.F32, tiles, c(3), c(56), c(56))), n.weight(0.1, width, 3, 8, 8), n.weight(0.1, width)}, graph.Ints("strides", 8, 8))
	x = n.Op("Transpose", ids{n.Op("Reshape", ids{x, n.Dims(tiles, c(width), c(patches))})}, graph.Ints("perm", 0, 2, 1))
	x = n.Op("Add", ids{x, n.weight(0.1, patches, width)})
	norm := func(x graph.ValueID) graph.ValueID {
		return n.Op("LayerNormalization", ids{x, n.weight(1, width), n.weight(0.1, width)})
	}
	for range 3 {
		h := norm(x)
		a := n.Op("Attention", ids{n.linear(h, width, width), n.linear(h, width, width), n.linear(h, width, width)}, graph.Int("q_num_heads", heads), graph.Int("kv_num_heads", heads))
		x = n.Op("Add", ids{x, n.linear(a, width, width)})
		x = n.Op("Add", ids{x, n.linear(n.Op("Gelu", ids{n.linear(norm(x), width, 4*width)}, graph.Str("approximate", "tanh")), 4*width, width)})
	}
	n.Output("features", norm(x))
	g, err := n.Build()
	require.NoError(t, err)
	return g
}

// decoder3 is a decoder of three layers over caches of 64 positions. Input
// valid counts the positions filled after the run; the new ones are the last.
func decoder3(t testing.TB) *graph.Graph { return decoderOver(t, enc.Encoding{}) }

func decoderOver(t testing.TB, storage enc.Encoding) *graph.Graph {
	const width, heads, kvHeads, d, vocab, ctx = 64, 4, 2, 16, 96, 64
	n := newNet("decoder")
	chunk := n.Symbol(dim.Symbol{Name: "chunk", Min: 1, Max: 16})
	x := n.Input("x", graph.Of(enc.F32, c(1), chunk, c(width)))
	valid := n.Input("valid", graph.OfInts(enc.I64, 1))
	start := n.Op("Sub", ids{valid, n.Dims(chunk)})
	pos := n.Op("Add", ids{n.Op("Unsqueeze", ids{start, n.Ints(0)}), n.Op("Range", ids{n.Const("", graph.I64(0).Scalar()), n.Weight("", graph.Of(enc.I64), &graph.Weight{Dims: []dim.Dim{chunk}}), n.Const("", graph.I64(1).Scalar())})})
	cos, sin := n.weight(1, ctx, d/2), n.weight(1, ctx, d/2)
	norm := func(x graph.ValueID) graph.ValueID { return n.Op("RMSNormalization", ids{x, n.weight(1, width)}) }
	split := func(x graph.ValueID, h int64) graph.ValueID {
		return n.Op("Transpose", ids{n.Op("Reshape", ids{x, n.Dims(c(1), chunk, c(h), c(d))})}, graph.Ints("perm", 0, 2, 1, 3))
	}
	rope := func(x graph.ValueID) graph.ValueID { return n.Op("RotaryEmbedding", ids{x, cos, sin, pos}) }
	for i := range 3 {
		h := norm(x)
		q := rope(split(n.Op("MatMul", ids{h, n.weight(0.3, width, heads*d)}), heads))
		var kv [2]graph.ValueID
		for k, name := range []string{"k", "v"} {
			r := split(n.Op("MatMul", ids{h, n.weight(0.3, width, kvHeads*d)}), kvHeads)
			if name == "k" {
				r = rope(r)
			}
			cache := graph.OfInts(enc.F32, 1, kvHeads, ctx, d)
			cache.Enc = storage
			name = "cache." + name + string(rune('0'+i))
			kv[k] = n.Op("TensorScatter", ids{n.State(name, cache), r, start})
			n.SetState(name, kv[k])
		}
		a := n.Op("Attention", ids{q, kv[0], kv[1], graph.NoValue, graph.NoValue, graph.NoValue, valid}, graph.Int("is_causal", 1))
		a = n.Op("Reshape", ids{n.Op("Transpose", ids{a}, graph.Ints("perm", 0, 2, 1, 3)), n.Dims(c(1), chunk, c(width))})
		x = n.Op("Add", ids{x, n.Op("MatMul", ids{a, n.weight(0.3, width, width)})})
		h = norm(x)
		up := n.Op("SwiGLU", ids{n.Op("MatMul", ids{h, n.weight(0.3, width, 3*width)}), n.Op("MatMul", ids{h, n.weight(0.3, width, 3*width)})})
		x = n.Op("Add", ids{x, n.Op("MatMul", ids{up, n.weight(0.3, 3*width, width)})})
	}
	n.Output("logits", n.Op("MatMul", ids{norm(x), n.weight(0.3, width, vocab)}))
	g, err := n.Build()
	require.NoError(t, err)
	return g
}
