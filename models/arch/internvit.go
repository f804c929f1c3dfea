package arch

import (
	"fmt"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
)

// internvit is InternVL's vision transformer: a class token, fused query, key
// and value, a learned scale on each branch, no norm at the end.
type internvit struct {
	hidden, intermediate, layers, heads int64
	side, patch                         int64
	eps                                 float64
	act                                 string
	qkvBias, qkNorm, rms                bool
	prefix                              string
}

func readInternViT(c config, prefix string) *internvit {
	v := &internvit{
		hidden: c.must("hidden_size", 1, maxWidth), intermediate: c.must("intermediate_size", 1, 1<<20),
		layers: c.must("num_hidden_layers", 1, maxLayers), heads: c.must("num_attention_heads", 1, 1024),
		side: c.must("image_size", 1, maxSide), patch: c.must("patch_size", 1, 1<<10),
		eps: c.float("layer_norm_eps", 1e-6, 0, 1), act: c.str("hidden_act", "gelu"),
		qkvBias: c.bool("qkv_bias", false), qkNorm: c.bool("qk_normalization", true), prefix: prefix,
	}
	norm := c.str("norm_type", "rms_norm")
	v.rms = norm == "rms_norm"
	c.want("norm_type", v.rms || norm == "layer_norm", norm, "want layer_norm or rms_norm")
	checkTower(c, v.side, v.patch, v.hidden, v.heads)
	checkActivation(c, "hidden_act", v.act)
	return v
}

func (v *internvit) grid() int64 { return v.side / v.patch }

func (v *internvit) norm(m *module, x graph.ValueID, name string) graph.ValueID {
	if v.rms {
		return m.rmsNorm(x, name, v.hidden, v.eps)
	}
	return m.layerNorm(x, name, v.hidden, v.eps)
}

// apply returns the output of block upto with the class token in row 0,
// f32[tiles,1+grid*grid,hidden].
func (v *internvit) apply(m *module, pixels graph.ValueID, tiles dim.Dim, upto int64) graph.ValueID {
	h, p := v.hidden, v.prefix+"embeddings."
	x := patchEmbed(m, pixels, p+"patch_embedding", h, v.patch)
	class := m.expandFirst(m.weight(p+"class_embedding", 1, 1, h), tiles)
	x = m.Op("Concat", []graph.ValueID{class, x}, graph.Int("axis", 1))
	x = m.add(x, m.weight(p+"position_embedding", 1, 1+v.grid()*v.grid(), h))
	m.tap("vision.embeddings", x)
	for i := range upto {
		name := fmt.Sprintf("layers.%d", i)
		p := v.prefix + "encoder." + name
		m.Scope(name + ".attn")
		qkv := m.linear(v.norm(m, x, p+".norm1"), p+".attn.qkv", h, 3*h, v.qkvBias)
		qkvs := m.Ops("Split", []graph.ValueID{qkv, m.Ints(h, h, h)}, []bool{true, true, true}, graph.Int("axis", -1))
		if qkvs == nil {
			return graph.NoValue
		}
		if v.qkNorm {
			qkvs[0] = m.rmsNorm(qkvs[0], p+".attn.q_norm", h, v.eps)
			qkvs[1] = m.rmsNorm(qkvs[1], p+".attn.k_norm", h, v.eps)
		}
		y := m.linear(selfAttention(m, qkvs[0], qkvs[1], qkvs[2], v.heads), p+".attn.proj", h, h, true)
		x = m.add(x, m.mul(y, m.weight(p+".ls1", h)))
		m.Scope(name + ".mlp")
		y = m.mlp(v.norm(m, x, p+".norm2"), p+".mlp", h, v.intermediate, v.act)
		x = m.add(x, m.mul(y, m.weight(p+".ls2", h)))
		m.tap(fmt.Sprintf("vision.layer.%d", i), x)
	}
	return x
}
