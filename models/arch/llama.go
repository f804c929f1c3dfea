package arch

func init() { families["llama"] = textOnly(readLlama) }

// readLlama reads a LlamaForCausalLM config.
func readLlama(c config, prefix, head string) *Decoder {
	d := readDecoder(c, llamaSizes, prefix, head)
	bias := c.bool("attention_bias", false)
	d.QKVBias, d.OBias = bias, bias
	d.MLPBias = c.bool("mlp_bias", false)
	return d
}

// reader reads the config of a decoder whose tensors have the given prefix
// and whose head is the given tensor unless it is tied.
type reader func(c config, prefix, head string) *Decoder

// textOnly makes a family of a decoder that stands alone, with Hugging Face's
// tensor names.
func textOnly(read reader) family {
	return func(c config, w Weights) *Model {
		d := read(c, "model.", "lm_head.weight")
		untie(d, w)
		return &Model{Text: d}
	}
}

// untie falls back to the embedding where the head is absent: configs leave
// tie_word_embeddings out when it is their class's default.
func untie(d *Decoder, w Weights) {
	if !w.Has(d.Head) {
		d.Head = d.Prefix + "embed_tokens.weight"
	}
}

// decoders reads the text_config of vision-language models by its model_type.
var decoders = map[string]reader{"llama": readLlama, "qwen2": readQwen2, "qwen3": readQwen3, "minicpm": readMiniCPM}

func readText(c config, w Weights, prefix, head string) *Decoder {
	name := c.str("model_type", "llama")
	read, ok := decoders[name]
	if !ok {
		c.want("model_type", false, name, "want llama, qwen2, qwen3 or minicpm")
		read = readLlama
	}
	d := read(c, prefix, head)
	untie(d, w)
	return d
}
