package arch

func init() { families["qwen2"] = textOnly(readQwen2) }

// readQwen2 reads a Qwen2ForCausalLM config: Llama with biases on the query,
// key and value projections.
func readQwen2(c config, prefix, head string) *Decoder {
	d := readDecoder(c, qwen2Sizes, prefix, head)
	d.QKVBias = true
	return d
}
