package arch

func init() { families["qwen3"] = textOnly(readQwen3) }

// readQwen3 reads a Qwen3ForCausalLM config: Llama with normed query and key
// heads and, by default, heads of 128.
func readQwen3(c config, prefix, head string) *Decoder {
	d := readDecoder(c, qwen3Sizes, prefix, head)
	d.QKNorm = true
	bias := c.bool("attention_bias", false)
	d.QKVBias, d.OBias = bias, bias
	return d
}
