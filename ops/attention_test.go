package ops

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
)

func TestAttention(t *testing.T) {
	causal := graph.Int("is_causal", 1)
	heads := func(q, kv int64) []graph.Attr {
		return with(graph.Int("q_num_heads", q), graph.Int("kv_num_heads", kv), causal)
	}
	const cache = "state f32[1,2,cap,8] affine(i8,scale=f32,axis=3,block=8)"
	check(t, []row{
		{op: "Attention", in: in("f32[2,9,4,8]", "f32[2,3,6,8]", "f32[2,3,6,10]"), want: out("f32[2,9,4,10]")},
		// The form of this project's decoders: the whole cache, and how much of it holds tokens.
		{op: "Attention", in: in("f32[1,4,chunk,8]", "f32[1,2,cap,8]", "f32[1,2,cap,8]", "-", "-", "-", "i64[1]"), attrs: with(causal), want: out("f32[1,4,chunk,8]")},
		{op: "Attention", in: in("f16[1,4,chunk,8]", "f16[1,2,512,8]", "f16[1,2,512,8]", "-", "-", "-", "i64[1]"), attrs: with(causal), want: out("f16[1,4,chunk,8]")},
		{op: "Attention", in: in("f32[1,4,chunk,8]", cache, cache, "-", "-", "-", "i64[1]"), attrs: with(causal), want: out("f32[1,4,chunk,8]")},
		{op: "Attention", in: in("f32[batch,4,chunk,8]", "f32[batch,2,cap,8]", "f32[batch,2,cap,8]", "bool[batch,1,chunk,past]", "-", "-", "i64[batch]"), attrs: with(graph.Int("left_window_size", 16), graph.Int("right_window_size", 2)), want: out("f32[batch,4,chunk,8]", "-", "-", "f32[batch,4,chunk,cap]")},
		// The form with a growing cache.
		{op: "Attention", in: in("f32[batch,4,chunk,8]", "f32[batch,2,chunk,8]", "f32[batch,2,chunk,8]", "f32[chunk,past+chunk]", "f32[batch,2,past,8]", "f32[batch,2,past,8]"), attrs: with(causal, graph.Float("softcap", 30)),
			want: out("f32[batch,4,chunk,8]", "f32[batch,2,chunk+past,8]", "f32[batch,2,chunk+past,8]", "f32[batch,4,chunk,chunk+past]")},
		{op: "Attention", in: in("f32[batch,chunk,32]", "f32[batch,chunk,16]", "f32[batch,chunk,16]", "-", "f32[batch,2,past,8]", "f32[batch,2,past,8]"), attrs: heads(4, 2), want: out("f32[batch,chunk,32]", "f32[batch,2,chunk+past,8]", "f32[batch,2,chunk+past,8]")},
		// The form of vision towers.
		{op: "Attention", in: in("bf16[tiles,16,196,72]", "bf16[tiles,16,196,72]", "bf16[tiles,16,196,72]"), attrs: with(graph.Elem("softmax_precision", enc.F32)), want: out("bf16[tiles,16,196,72]")},
		{op: "Attention", in: in("f32[2,3,4,8]", "f32[2,3,6,8]", "f16[2,3,6,8]", "bool[4,4]"), attrs: with(graph.Int("qk_matmul_output_mode", 3)), want: out("f32[2,3,4,8]", "-", "-", "f32[2,3,4,6]")},

		{op: "Attention", in: in("f32[2,3,4,8]", "f32[2,2,6,8]", "f32[2,2,6,8]"), err: refuse("input 0 (Q) f32[2,3,4,8]", "3 heads cannot share 2 heads")},
		{op: "Attention", in: in("f32[2,3,4,8]", "f32[2,3,6,7]", "f32[2,3,6,8]"), err: refuse("heads of Q have size 8, of K 7")},
		{op: "Attention", in: in("f32[2,3,4,8]", "f32[2,3,6,8]", "f32[2,3,5,8]"), err: refuse("6 keys and 5 values")},
		{op: "Attention", in: in("f32[2,3,4,8]", "f32[1,3,6,8]", "f32[1,3,6,8]"), err: refuse("batches differ")},
		{op: "Attention", in: in("f32[2,4,24]", "f32[2,6,24]", "f32[2,6,24]"), err: refuse("q_num_heads is 0")},
		{op: "Attention", in: in("f32[2,3,4,8]", "f32[2,3,6,8]", "f32[2,3,6,8]"), attrs: heads(3, 3), err: refuse("3 dimensions only")},
		{op: "Attention", in: in("f32[2,3,4,8]", "f32[2,3,6,8]", "f32[2,3,6,8]", "f32[4,7]"), err: refuse("input 3 (attn_mask)", "exceed the 6 keys")},
		{op: "Attention", in: in("f32[2,3,4,8]", "f32[2,3,6,8]", "f32[2,3,6,8]", "f32[5,6]"), err: refuse("attn_mask", "[2,3,4,6]")},
		{op: "Attention", in: in("f32[2,3,4,8]", "f32[2,3,6,8]", "f32[2,3,6,8]", "f16[4,6]"), err: refuse("attn_mask", "f32")},
		{op: "Attention", in: in("f32[2,3,4,8]", "f32[2,3,6,8]", "f32[2,3,6,8]", "-", "f32[2,3,6,8]"), err: refuse("come together")},
		{op: "Attention", in: in("f32[2,3,4,8]", "f32[2,3,6,8]", "f32[2,3,6,8]", "-", "f32[2,3,6,8]", "f32[2,3,5,8]"), err: refuse("past_key", "past_value")},
		{op: "Attention", in: in("f32[2,3,4,8]", "f32[2,3,6,8]", "f32[2,3,6,8]", "-", "f32[2,3,6,8]", "f32[2,3,6,8]", "i64[2]"), err: refuse("whole cache")},
		{op: "Attention", in: in("f32[2,3,4,8]", "f32[2,3,6,8]", "f32[2,3,6,8]", "-", "-", "-", "i64[1]"), err: refuse("nonpad_kv_seqlen", "[2]")},
		{op: "Attention", in: in("f32[1,2,4,8]", cache, cache), attrs: nil, want: out("f32[1,2,4,8]", "f32[1,2,cap,8]", "f32[1,2,cap,8]"), err: refuse("TensorScatter")},
		{op: "Attention", in: in("f32[2,3,4,8]", "f32[2,3,6,8]", "f32[2,3,6,8]"), attrs: with(graph.Int("left_window_size", -2)), err: refuse("left_window_size -2")},
		{op: "Attention", in: in("f32[2,3,4,8]", "f32[2,3,6,8]", "f32[2,3,6,8]"), attrs: with(graph.Int("qk_matmul_output_mode", 4)), err: refuse("qk_matmul_output_mode is 4")},
	})
}

// Sharing a K/V head among several heads of Q must not copy the cache.
func TestAttentionSharesHeads(t *testing.T) {
	g, err := row{op: "Attention", in: in("f32[1,8,chunk,64]", "f32[1,2,cap,64]", "f32[1,2,cap,64]", "-", "-", "-", "i64[1]"),
		attrs: with(graph.Int("is_causal", 1)), want: out("f32[1,8,chunk,64]")}.build(t)
	require.NoError(t, err)
	d, err := decompose(g)
	require.NoError(t, err)
	limit, err := elements(graph.Of(enc.F32, dim.Of(1), dim.Of(2), dim.Sym("cap"), dim.Of(64)), bound)
	require.NoError(t, err)
	for _, v := range d.Values {
		n, err := elements(v.Type, bound)
		require.NoError(t, err)
		require.LessOrEqual(t, n, limit, "%s %s", v.Name, v.Type)
	}
}

func TestRotaryEmbedding(t *testing.T) {
	flat := graph.Int("num_heads", 4)
	check(t, []row{
		{op: "RotaryEmbedding", in: in("f32[1,4,chunk,8]", "f32[4096,4]", "f32[4096,4]", "i64[1,chunk]"), want: out("f32[1,4,chunk,8]")},
		{op: "RotaryEmbedding", in: in("f16[batch,chunk,32]", "f16[batch,chunk,4]", "f16[batch,chunk,4]"), attrs: with(flat, graph.Int("interleaved", 1)), want: out("f16[batch,chunk,32]")},
		{op: "RotaryEmbedding", in: in("f32[2,4,3,8]", "f32[50,2]", "f32[50,2]", "i64[2,3]"), attrs: with(graph.Int("rotary_embedding_dim", 4)), want: out("f32[2,4,3,8]")},
		{op: "RotaryEmbedding", in: in("f32[batch,chunk,32]", "f32[cap,2]", "f32[cap,2]", "i64[batch,chunk]"), attrs: with(flat, graph.Int("rotary_embedding_dim", 4), graph.Int("interleaved", 1)), want: out("f32[batch,chunk,32]")},
		{op: "RotaryEmbedding", in: in("f32[2,3,32]", "f32[50,4]", "f32[50,4]", "i64[2,3]"), err: refuse("num_heads is 0")},
		{op: "RotaryEmbedding", in: in("f32[2,4,3,8]", "f32[50,3]", "f32[50,4]", "i64[2,3]"), err: refuse("input 1 (cos_cache) f32[50,3]", "R/2 = 4")},
		{op: "RotaryEmbedding", in: in("f32[2,4,3,8]", "f32[50,4]", "f32[50,4]"), err: refuse("[B,S,R/2]")},
		{op: "RotaryEmbedding", in: in("f32[2,4,3,8]", "f32[50,4]", "f32[49,4]", "i64[2,3]"), err: refuse("input 2 (sin_cache) f32[49,4]")},
		{op: "RotaryEmbedding", in: in("f32[2,4,3,8]", "f32[50,4]", "f32[50,4]", "i64[3,2]"), err: refuse("input 3 (position_ids)")},
		{op: "RotaryEmbedding", in: in("f32[2,4,3,7]", "f32[50,4]", "f32[50,4]", "i64[2,3]"), err: refuse("in pairs")},
		{op: "RotaryEmbedding", in: in("f32[2,4,3,8]", "f32[50,5]", "f32[50,5]", "i64[2,3]"), attrs: with(graph.Int("rotary_embedding_dim", 10)), err: refuse("rotary_embedding_dim is 10")},
	})
}
