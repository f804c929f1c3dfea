// Package arch describes model architectures as graphs. Each architecture is
// one file: it reads a config.json, names the tensors, and says how the parts
// are joined. Nothing here computes, and no driver knows any of it; to add a
// model, add a file.
//
// The parts are shared: decoder.go is the Llama-like decoder with all
// variations that the families use, siglip.go and internvit.go are vision
// towers, projector.go holds the projectors.
//
// A model has up to three graphs:
//
//	vision   pixel_values f32[tiles,3,S,S] -> image_embeds f32[tiles,T,H]
//	prefill  a chunk of the prompt -> logits of the rows asked for; KV cache as state
//	decode   prefill specialised to one token
//
// Package arch imports graph (with dim, enc, passes), ops and models/img.
package arch
