// Package check compares a model with reference activations: it runs the
// model on the inputs that a safetensors file holds and compares every other
// tensor of the file, by name, with what the device computed.
//
// It knows the names that testdata/golden uses: for vision towers
// pixel_values, embeddings, layer.i, post_layernorm, pooler_output (with
// "vision." before them in vision-language models), projector and
// projector.tokens_2x2; for language models, per sequence seqN:
// input_ids, embeds or inputs_embeds, layer.i, final_norm, k_cache.i, v_cache.i,
// logits, and the greedy continuation greedy, greedy_logits, greedy_margin; for
// projectors alone input, tokens, output. A tensor that it cannot produce is
// a failure.
//
// Package check imports models/arch, models/ckpt, scheduler, hal and graph.
package check
