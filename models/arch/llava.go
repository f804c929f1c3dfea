package arch

import (
	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
)

func init() { families["llava"] = readLLaVA }

// readLLaVA reads a LlavaForConditionalGeneration config with a SigLIP tower:
// features of one hidden layer, two linear layers with GELU between. The key
// projector_downsample (ours) puts VILA's 2x2 block in front.
func readLLaVA(c config, w Weights) *Model {
	vc := c.sub("vision_config")
	kind := vc.str("model_type", "siglip_vision_model")
	vc.want("model_type", kind == "siglip_vision_model", kind, "want siglip_vision_model")
	strategy := c.str("vision_feature_select_strategy", "full")
	c.want("vision_feature_select_strategy", strategy == "full", strategy, "want full: SigLIP has no class token to drop")
	act := c.str("projector_hidden_act", "gelu")
	checkActivation(c, "projector_hidden_act", act)

	names := llavaNames(w)
	s := readSiglip(vc, siglipDefaults, names.vision)
	upto := s.resolve(c, "vision_feature_layer", c.int("vision_feature_layer", -2, -maxLayers, maxLayers))
	text := readText(c.sub("text_config"), w, names.text, names.head)
	n := c.int("projector_downsample", 1, 1, 8)
	side := (s.grid() + n - 1) / n
	columns := columnFirst(c)
	p := names.projector
	bias := c.bool("multimodal_projector_bias", true)

	m := &Model{Text: text, Vision: &Vision{
		Side: s.side, Tokens: side * side, Width: text.Hidden, MaxTiles: maxTiles,
		build: func(m *module, pixels graph.ValueID, _ dim.Dim) {
			all := upto
			if m.taps {
				all = s.layers // the norm behind the last block is compared too
			}
			var x graph.ValueID
			last := s.apply(m, pixels, all, func(name string, v graph.ValueID) {
				if hiddenState(name) == upto {
					x = v
				}
			})
			m.tap("vision.selected", x)
			if m.taps {
				m.tap("vision.post_layernorm", s.postNorm(m, last))
			}
			x = downsample(m, x, s.grid(), s.hidden, n, columns)
			if n > 1 {
				m.tap("projector.tokens_2x2", x)
			}
			m.Scope("projector")
			x = m.activation(m.linear(x, p+"linear_1", n*n*s.hidden, text.Hidden, bias), act)
			x = m.linear(x, p+"linear_2", text.Hidden, text.Hidden, bias)
			m.tap("projector", x)
			m.Output(ImageOutput, x)
		},
	}}
	m.Images = single(s.side, m.Vision.Tokens, c.int("image_token_index", c.int("image_token_id", 32000, 0, maxVocab), 0, maxVocab))
	return m
}

// partNames are the prefixes of a vision-language model's tensors.
type partNames struct{ vision, text, head, projector string }

// llavaNames tells which of its two spellings a checkpoint uses: newer
// versions of Hugging Face's library put the parts under "model.".
func llavaNames(w Weights) partNames {
	if w.Has("model.language_model.embed_tokens.weight") {
		return partNames{"model.vision_tower.vision_model.", "model.language_model.", "lm_head.weight", "model.multi_modal_projector."}
	}
	return partNames{"vision_tower.vision_model.", "language_model.model.", "language_model.lm_head.weight", "multi_modal_projector."}
}
