package arch

import (
	"math"
	"testing"

	"github.com/heddle-ml/heddle/models/img/tiling"
	"github.com/stretchr/testify/require"
)

// A text model says its sizes; everything else has the default of its
// configuration class.
const textSizes = `"vocab_size": 100, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 4, "num_attention_heads": 4`

func TestTextDefaults(t *testing.T) {
	common := Decoder{
		Vocab: 100, Hidden: 64, Intermediate: 96, Layers: 4, Heads: 4, KVHeads: 4, HeadDim: 16, MaxPositions: 2048, Eps: 1e-6, Act: "silu",
		Rope:       Rope{Theta: 10000, Type: "default", Factor: 1},
		EmbedScale: 1, ResidualScale: 1, LogitScale: 1,
		Prefix: "model.", Head: "lm_head.weight", BOS: -1,
	}
	for _, c := range []struct {
		config string
		change func(d *Decoder)
	}{
		{`{"model_type": "llama", ` + textSizes + `}`, func(*Decoder) {}},
		{`{"model_type": "llama", "attention_bias": true, "mlp_bias": true, "tie_word_embeddings": true, ` + textSizes + `}`, func(d *Decoder) {
			d.QKVBias, d.OBias, d.MLPBias, d.Head = true, true, true, "model.embed_tokens.weight"
		}},
		{`{"model_type": "llama", "eos_token_id": [5, 6], "bos_token_id": 1, "head_dim": 24, "num_key_value_heads": 2, ` + textSizes + `}`, func(d *Decoder) {
			d.EOS, d.BOS, d.HeadDim, d.KVHeads = []int64{5, 6}, 1, 24, 2
		}},
		{`{"model_type": "qwen2", ` + textSizes + `}`, func(d *Decoder) { d.QKVBias, d.MaxPositions = true, 32768 }},
		{`{"model_type": "qwen3", ` + textSizes + `}`, func(d *Decoder) { d.QKNorm, d.HeadDim, d.MaxPositions = true, 128, 32768 }},
		{`{"model_type": "qwen3", "head_dim": null, ` + textSizes + `}`, func(d *Decoder) { d.QKNorm, d.HeadDim, d.MaxPositions = true, 128, 32768 }},
		{`{"model_type": "qwen3", "head_dim": 24, ` + textSizes + `}`, func(d *Decoder) { d.QKNorm, d.HeadDim, d.MaxPositions = true, 24, 32768 }},
		// scale_depth / sqrt(layers), dim_model_base / hidden; tied by default.
		{`{"model_type": "minicpm", ` + textSizes + `}`, func(d *Decoder) {
			d.ResidualScale, d.LogitScale, d.Head = 0.5, 1.0/64, "model.embed_tokens.weight"
		}},
		{`{"model_type": "minicpm", "scale_emb": 12, "scale_depth": 1.4, "dim_model_base": 32, "rms_norm_eps": 1e-05, "tie_word_embeddings": false, ` + textSizes + `}`, func(d *Decoder) {
			d.EmbedScale, d.ResidualScale, d.LogitScale, d.Eps = 12, 0.7, 0.5, 1e-5
		}},
		{`{"model_type": "llama", "rope_theta": 5e5, "rope_scaling": {"type": "linear", "factor": 4}, ` + textSizes + `}`, func(d *Decoder) {
			d.Rope = Rope{Theta: 5e5, Type: "linear", Factor: 4}
		}},
		{`{"model_type": "llama", "rope_scaling": {"rope_type": "llama3"}, ` + textSizes + `}`, func(d *Decoder) {
			d.Rope = Rope{Theta: 10000, Type: "llama3", Factor: 8, LowFreq: 1, HighFreq: 4, OriginalPositions: 8192}
		}},
		{`{"model_type": "qwen2", "rope_parameters": {"rope_type": "default", "rope_theta": 1e6}, ` + textSizes + `}`, func(d *Decoder) {
			d.QKVBias, d.MaxPositions, d.Rope.Theta = true, 32768, 1e6
		}},
	} {
		want := common
		c.change(&want)
		got := read(t, c.config, having("lm_head.weight")).Text
		if math.Abs(got.ResidualScale-want.ResidualScale) < 1e-12 {
			want.ResidualScale = got.ResidualScale
		}
		require.Equal(t, &want, got, c.config)
	}
	// A checkpoint without a head shares the embedding, whatever its config
	// says or leaves out.
	require.Equal(t, "model.embed_tokens.weight", read(t, `{"model_type": "qwen2", `+textSizes+`}`, names{}).Text.Head)
}

func TestTextSizesAreRequired(t *testing.T) {
	_, err := Read("config.json", []byte(`{"model_type": "llama", "hidden_size": 64}`), names{})
	require.EqualError(t, err, "arch: config.json: vocab_size: is missing; want 1 to 8388608")
}

// The text part of a vision-language model leaves out what its class has by
// default, its tokens among it.
func TestNestedDefaults(t *testing.T) {
	head := having("language_model.lm_head.weight")
	d := read(t, `{"model_type": "llava", "vision_config": {}, "text_config": {"vocab_size": 32064, "max_position_embeddings": 4096, "rms_norm_eps": 1e-05}}`, head).Text
	require.Equal(t, &Decoder{
		Vocab: 32064, Hidden: 4096, Intermediate: 11008, Layers: 32, Heads: 32, KVHeads: 32, HeadDim: 128, MaxPositions: 4096, Eps: 1e-5, Act: "silu",
		Rope:       Rope{Theta: 10000, Type: "default", Factor: 1},
		EmbedScale: 1, ResidualScale: 1, LogitScale: 1,
		Prefix: "language_model.model.", Head: "language_model.lm_head.weight", BOS: 1, EOS: []int64{2},
	}, d)
	d = read(t, `{"model_type": "llava", "text_config": {"eos_token_id": null, "bos_token_id": null}}`, head).Text
	require.Nil(t, d.EOS)
	require.Equal(t, int64(-1), d.BOS)
	d = read(t, `{"model_type": "llava", "text_config": {"model_type": "qwen2", "hidden_size": 1024}}`, names{}).Text
	require.Equal(t, [6]int64{151936, 1024, 22016, 32, 32, 32768}, [6]int64{d.Vocab, d.Hidden, d.Intermediate, d.Layers, d.Heads, d.MaxPositions})
	require.Nil(t, d.EOS)
}

func TestVisionDefaults(t *testing.T) {
	v := read(t, `{"model_type": "siglip_vision_model"}`, names{}).Vision
	require.Equal(t, [3]int64{224, 196, 768}, [3]int64{v.Side, v.Tokens, v.Width})

	// LLaVA with SigLIP so400m: what its config states.
	m := read(t, `{"model_type": "llava", "image_token_index": 7, "vision_config": {"hidden_size": 1152, "image_size": 384, "patch_size": 14, "num_attention_heads": 16}, "text_config": {"hidden_size": 896, "num_attention_heads": 14}}`, names{})
	require.Equal(t, [3]int64{384, 729, 896}, [3]int64{m.Vision.Side, m.Vision.Tokens, m.Vision.Width})
	require.Equal(t, tiling.Single, m.Images.Tiling.Method)
	require.Equal(t, 384, m.Images.Tiling.Tile)
	require.Equal(t, int64(7), m.Images.Token)
	// VILA's downsampling in front; an odd grid is padded.
	m = read(t, `{"model_type": "llava", "projector_downsample": 2, "vision_config": {"image_size": 384, "patch_size": 14}, "text_config": {}}`, names{})
	require.Equal(t, int64(14*14), m.Vision.Tokens)

	// SmolVLM 256M: intermediate_size and num_hidden_layers are left out.
	m = read(t, `{"model_type": "smolvlm", "image_token_id": 49190, "scale_factor": 4, "vision_config": {"hidden_size": 768, "image_size": 512, "num_attention_heads": 12, "patch_size": 16}, "text_config": {"hidden_size": 576, "num_attention_heads": 9}}`, names{})
	require.Equal(t, [3]int64{512, 64, 576}, [3]int64{m.Vision.Side, m.Vision.Tokens, m.Vision.Width})
	require.Equal(t, int64(49190), m.Images.Token)
	require.Equal(t, 2048, m.Images.Tiling.LongestEdge)
	m = read(t, `{"model_type": "idefics3", "vision_config": {"image_size": 364, "patch_size": 14}, "text_config": {}}`, names{})
	require.Equal(t, int64(13*13), m.Vision.Tokens)
	require.Equal(t, int64(128257), m.Images.Token)
	require.Equal(t, 1456, m.Images.Tiling.LongestEdge)

	const tower = `"vision_config": {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4, "image_size": 448, "patch_size": 14}, "llm_config": {"model_type": "qwen2", "hidden_size": 32}`
	m = read(t, `{"model_type": "internvl_chat", `+tower+`}`, names{})
	require.Equal(t, [3]int64{448, 256, 32}, [3]int64{m.Vision.Side, m.Vision.Tokens, m.Vision.Width})
	require.Equal(t, "<IMG_CONTEXT>", m.Images.TokenText)
	g, err := m.Images.Tiling.Grid(4000, 1000)
	require.NoError(t, err)
	require.Equal(t, [3]int{4, 1, 5}, [3]int{g.Cols, g.Rows, g.Tiles}, "with the thumbnail")
	m = read(t, `{"model_type": "internvl_chat", "max_dynamic_patch": 2, `+tower+`}`, names{})
	g, _ = m.Images.Tiling.Grid(4000, 1000)
	require.Equal(t, 3, g.Tiles)
	m = read(t, `{"model_type": "internvl_chat", "dynamic_image_size": false, `+tower+`}`, names{})
	g, _ = m.Images.Tiling.Grid(4000, 1000)
	require.Equal(t, 1, g.Tiles)
}

// Newer checkpoints have the parts of LLaVA under "model.".
func TestLLaVANames(t *testing.T) {
	m := read(t, `{"model_type": "llava", "text_config": {}}`, having("model.language_model.embed_tokens.weight", "lm_head.weight"))
	require.Equal(t, "model.language_model.", m.Text.Prefix)
	require.Equal(t, "lm_head.weight", m.Text.Head)
}

func TestRefused(t *testing.T) {
	const siglip = `"vision_config": {"image_size": 64, "patch_size": 8, "hidden_size": 64, "num_attention_heads": 4}`
	for config, want := range map[string]string{
		`{"model_type": "llama", "use_sliding_window": true, ` + textSizes + `}`:                                                  "use_sliding_window: is true",
		`{"model_type": "minicpm", "num_experts": 8, ` + textSizes + `}`:                                                          "num_experts: is 8",
		`{"model_type": "llama", "rope_scaling": {"rope_type": "llama3", "low_freq_factor": 4}, ` + textSizes + `}`:               "rope_scaling.high_freq_factor: is 4",
		`{"model_type": "llama", "rope_scaling": "llama3", ` + textSizes + `}`:                                                    "rope_scaling: want an object",
		`{"model_type": "llava", "vision_feature_select_strategy": "default", "text_config": {}}`:                                 "vision_feature_select_strategy: is default",
		`{"model_type": "llava", "vision_config": {"model_type": "clip_vision_model"}, "text_config": {}}`:                        "vision_config.model_type: is clip_vision_model",
		`{"model_type": "llava", "vision_feature_layer": [-2, -5], "text_config": {}}`:                                            "vision_feature_layer: want a number",
		`{"model_type": "smolvlm", "scale_factor": 3, ` + siglip + `, "text_config": {}}`:                                         "scale_factor: is 3",
		`{"model_type": "internvl_chat", "vision_config": {}, "llm_config": {}}`:                                                  "vision_config.hidden_size: is missing",
		`{"model_type": "siglip_vision_model", "image_size": 4096, "patch_size": 2}`:                                              "image_size: is 4096, which is not supported; it is 2048 patches of 2",
		`{"model_type": "vila_projector", "mm_projector_type": "resampler", "mm_hidden_size": 8, "hidden_size": 8}`:               "mm_projector_type: is resampler",
		`{"mm_projector_type": "linear", "mm_hidden_size": 8}`:                                                                    "hidden_size: is missing",
		`{"model_type": "bluelm_v", "image_token_id": 1, "use_global_tile": false, ` + siglip + `, "text_config": {}}`:            "use_global_tile: is false",
		`{"model_type": "bluelm_v", "image_token_id": 1, "global_tile_first": false, ` + siglip + `, "text_config": {}}`:          "global_tile_first: is false",
		`{"model_type": "bluelm_v", "image_token_id": 1, "vision_feature": "pooled", ` + siglip + `, "text_config": {}}`:          "vision_feature: is pooled",
		`{"model_type": "bluelm_v", "image_token_id": 1, "projector_type": "resampler", ` + siglip + `, "text_config": {}}`:       "projector_type: is resampler",
		`{"model_type": "bluelm_v", "image_token_id": 1, "downsample_column_first": "yes", ` + siglip + `, "text_config": {}}`:    "downsample_column_first: want true or false",
		`{"model_type": "bluelm_v", "image_token_id": 1, "projector_hidden_act": "quick_gelu", ` + siglip + `, "text_config":{}}`: "projector_hidden_act: is quick_gelu",
	} {
		_, err := Read("config.json", []byte(config), names{})
		require.ErrorContains(t, err, "arch: config.json: "+want, config)
	}
}

func TestFamilies(t *testing.T) {
	require.Equal(t, []string{"bluelm_v", "idefics3", "internvl_chat", "llama", "llava", "minicpm", "qwen2", "qwen3", "siglip_vision_model", "smolvlm", "vila_projector"}, Families())
}
