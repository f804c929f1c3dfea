package arch

import (
	"fmt"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
)

func init() { families["siglip_vision_model"] = siglipAlone }

// siglip is a SigLIP vision transformer: a patch convolution, learned
// positions, pre-norm blocks, a norm at the end; no class token.
type siglip struct {
	hidden, intermediate, layers, heads int64
	side, patch                         int64
	eps                                 float64
	act                                 string
	prefix                              string // of tensor names, up to "vision_model."
}

// Published configs leave out what equals the defaults of their class. These
// are SiglipVisionConfig's; Idefics3's and SmolVLM's differ in three.
var (
	siglipDefaults   = siglip{hidden: 768, heads: 12, patch: 16}
	idefics3Defaults = siglip{hidden: 1152, heads: 16, patch: 32}
)

func readSiglip(c config, def siglip, prefix string) *siglip {
	s := &siglip{
		hidden: c.int("hidden_size", def.hidden, 1, maxWidth), intermediate: c.int("intermediate_size", 3072, 1, 1<<20),
		layers: c.int("num_hidden_layers", 12, 1, maxLayers), heads: c.int("num_attention_heads", def.heads, 1, 1024),
		side: c.int("image_size", 224, 1, maxSide), patch: c.int("patch_size", def.patch, 1, 1<<10),
		eps: c.float("layer_norm_eps", 1e-6, 0, 1), act: c.str("hidden_act", "gelu_pytorch_tanh"), prefix: prefix,
	}
	checkTower(c, s.side, s.patch, s.hidden, s.heads)
	checkActivation(c, "hidden_act", s.act)
	return s
}

// checkTower checks what every vision transformer needs.
func checkTower(c config, side, patch, hidden, heads int64) {
	c.want("image_size", side/patch <= maxGrid, side, fmt.Sprintf("it is %d patches of %d; at most %d on a side", side/patch, patch, maxGrid))
	c.want("num_channels", c.int("num_channels", 3, 1, 64) == 3, c.m["num_channels"], "want 3")
	c.want("patch_size", patch <= side, patch, fmt.Sprintf("it must not exceed image_size (%d)", side))
	c.want("num_attention_heads", hidden%heads == 0, heads, fmt.Sprintf("hidden_size (%d) must be a multiple of it", hidden))
}

// grid returns the patches on a side: what does not fill a patch is not read.
func (s *siglip) grid() int64 { return s.side / s.patch }

// resolve turns an index into Hugging Face's hidden_states into a number of
// blocks: 0 is the embedding, n the output of block n, negative counts from
// the end.
func (s *siglip) resolve(c config, key string, layer int64) int64 {
	if layer < 0 {
		layer += s.layers + 1
	}
	if layer < 0 || layer > s.layers {
		c.fail(key, "names layer %d of %d", layer, s.layers)
		return s.layers
	}
	return layer
}

// apply returns hidden_states[upto], f32[tiles,grid*grid,hidden].
func (s *siglip) apply(m *module, pixels graph.ValueID, upto int64, tap func(string, graph.ValueID)) graph.ValueID {
	x := patchEmbed(m, pixels, s.prefix+"embeddings.patch_embedding", s.hidden, s.patch)
	x = m.add(x, m.weight(s.prefix+"embeddings.position_embedding.weight", s.grid()*s.grid(), s.hidden))
	tap("embeddings", x)
	for i := range upto {
		name := fmt.Sprintf("layers.%d", i)
		p := s.prefix + "encoder." + name
		m.Scope(name + ".self_attn")
		h := m.layerNorm(x, p+".layer_norm1", s.hidden, s.eps)
		q := m.linear(h, p+".self_attn.q_proj", s.hidden, s.hidden, true)
		k := m.linear(h, p+".self_attn.k_proj", s.hidden, s.hidden, true)
		v := m.linear(h, p+".self_attn.v_proj", s.hidden, s.hidden, true)
		x = m.add(x, m.linear(selfAttention(m, q, k, v, s.heads), p+".self_attn.out_proj", s.hidden, s.hidden, true))
		m.Scope(name + ".mlp")
		h = m.layerNorm(x, p+".layer_norm2", s.hidden, s.eps)
		x = m.add(x, m.mlp(h, p+".mlp", s.hidden, s.intermediate, s.act))
		tap(fmt.Sprintf("layer.%d", i), x)
	}
	return x
}

// postNorm is the norm after the last block.
func (s *siglip) postNorm(m *module, x graph.ValueID) graph.ValueID {
	m.Scope("post_layernorm")
	return m.layerNorm(x, s.prefix+"post_layernorm", s.hidden, s.eps)
}

// patchEmbed cuts pixels into patches and projects each: a convolution whose
// stride is its kernel, then [tiles,hidden,gh,gw] to [tiles,gh*gw,hidden].
func patchEmbed(m *module, pixels graph.ValueID, name string, hidden, patch int64) graph.ValueID {
	m.Scope("patch_embedding")
	x := m.Op("Conv", []graph.ValueID{pixels, m.weight(name+".weight", hidden, 3, patch, patch), m.weight(name+".bias", hidden)},
		graph.Ints("strides", patch, patch), graph.Ints("kernel_shape", patch, patch))
	return m.transpose(m.reshape(x, 0, hidden, -1), 0, 2, 1)
}

// selfAttention is full attention on f32[tiles,tokens,hidden].
func selfAttention(m *module, q, k, v graph.ValueID, heads int64) graph.ValueID {
	return m.Op("Attention", []graph.ValueID{q, k, v}, graph.Int("q_num_heads", heads), graph.Int("kv_num_heads", heads))
}

// mlp is the two-layer feed-forward block of vision transformers.
func (m *module) mlp(x graph.ValueID, name string, hidden, intermediate int64, act string) graph.ValueID {
	h := m.activation(m.linear(x, name+".fc1", hidden, intermediate, true), act)
	return m.linear(h, name+".fc2", intermediate, hidden, true)
}

// pool is the attention-pooling head: a learned probe attends to all tokens.
func (s *siglip) pool(m *module, x graph.ValueID, tiles dim.Dim) graph.ValueID {
	p, h := s.prefix+"head.", s.hidden
	m.Scope("head")
	part := func(v graph.ValueID, i int64) graph.ValueID {
		w, ok := m.rows(p+"attention.in_proj_weight", i*h, (i+1)*h, 3*h, h)
		b, ok2 := m.rows(p+"attention.in_proj_bias", i*h, (i+1)*h, 3*h)
		if !ok || !ok2 {
			return graph.NoValue
		}
		name := fmt.Sprintf("%sattention.in_proj.%d", p, i)
		bias := m.Weight(name+".bias", asF32(b.Elem, h), &graph.Weight{Parts: []graph.Part{b}})
		return m.add(m.Op("MatMul", []graph.ValueID{v, m.matrixOf(name, w)}), bias)
	}
	probe := m.expandFirst(m.weight(p+"probe", 1, 1, h), tiles)
	y := selfAttention(m, part(probe, 0), part(x, 1), part(x, 2), s.heads)
	y = m.linear(y, p+"attention.out_proj", h, h, true)
	y = m.add(y, m.mlp(m.layerNorm(y, p+"layernorm", h, s.eps), p+"mlp", h, s.intermediate, s.act))
	return m.reshape(y, 0, h)
}

// siglipAlone is a SigLIP tower without a language model: its outputs are
// the normed tokens and, if the checkpoint has the head, the pooled vector.
func siglipAlone(c config, w Weights) *Model {
	s := readSiglip(c, siglipDefaults, "vision_model.")
	head := c.bool("vision_use_head", true) && w.Has(s.prefix+"head.probe")
	return &Model{Vision: &Vision{
		Side: s.side, Tokens: s.grid() * s.grid(), Width: s.hidden, MaxTiles: maxTiles,
		build: func(m *module, pixels graph.ValueID, tiles dim.Dim) {
			x := s.apply(m, pixels, s.layers, func(n string, v graph.ValueID) { m.tap(n, v) })
			x = s.postNorm(m, x)
			m.tap("post_layernorm", x)
			m.Output(ImageOutput, x)
			if head {
				m.Output("pooler_output", s.pool(m, x, tiles))
			}
		},
	}}
}

const (
	// maxTiles bounds the tiles of one run of the tower; more run in batches.
	maxTiles = 64
	// maxSide bounds a tile in pixels and maxGrid in patches, so that a config
	// cannot ask for buffers that its weights do not call for.
	maxSide, maxGrid = 1 << 12, 1 << 7
)

// hiddenState returns which of Hugging Face's hidden_states a tap of apply is.
func hiddenState(tap string) int64 {
	var i int64
	if n, _ := fmt.Sscanf(tap, "layer.%d", &i); n == 1 {
		return i + 1
	}
	return 0
}
