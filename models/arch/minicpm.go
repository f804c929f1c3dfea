package arch

import "math"

func init() { families["minicpm"] = textOnly(readMiniCPM) }

// readMiniCPM reads a MiniCPMForCausalLM config: Llama with three scaling
// factors (maximal update parametrization): on the embeddings, on each
// residual branch, and before the head.
func readMiniCPM(c config, prefix, head string) *Decoder {
	d := readDecoder(c, llamaSizes, prefix, head)
	d.EmbedScale = c.float("scale_emb", 1, 1e-6, 1e6)
	d.ResidualScale = c.float("scale_depth", 1, 1e-6, 1e6) / math.Sqrt(float64(d.Layers))
	d.LogitScale = float64(c.int("dim_model_base", 1, 1, maxWidth)) / float64(d.Hidden)
	bias := c.bool("attention_bias", false)
	d.QKVBias, d.OBias = bias, bias
	c.want("num_experts", !c.has("num_experts"), c.m["num_experts"], "want a dense model")
	if !c.has("tie_word_embeddings") { // the class's default
		d.Head = prefix + "embed_tokens.weight"
	}
	return d
}
