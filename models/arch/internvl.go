package arch

import (
	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/models/img"
	"github.com/heddle-ml/heddle/models/img/tiling"
)

func init() { families["internvl_chat"] = readInternVL }

// readInternVL reads an InternVLChatModel config: InternViT without its class
// token, pixel shuffle, LayerNorm and two linear layers.
func readInternVL(c config, w Weights) *Model {
	v := readInternViT(c.sub("vision_config"), "vision_model.")
	text := readText(c.sub("llm_config"), w, "language_model.model.", "language_model.lm_head.weight")
	ratio := c.float("downsample_ratio", 0.5, 1.0/8, 1)
	n := int64(1/ratio + 0.5)
	c.want("downsample_ratio", float64(n)*ratio == 1, ratio, "want 1, 0.5 or 0.25")
	version := c.str("ps_version", "v2")
	c.want("ps_version", version == "v1" || version == "v2", version, "want v1 or v2")
	if f := c.int("force_image_size", v.side, 1, 1<<14); f != v.side {
		c.want("force_image_size", false, f, "position embeddings are not resized: it must equal vision_config.image_size")
	}
	layer := c.int("select_layer", -1, -maxLayers, maxLayers)
	if layer < 0 {
		layer += v.layers + 1
	}
	c.want("select_layer", layer >= 0 && layer <= v.layers, c.m["select_layer"], "there is no such layer")
	c.want("downsample_ratio", v.grid()%n == 0, ratio, "the patches on a side must be a multiple of its inverse")
	side := v.grid() / n
	const eps = 1e-5 // torch's LayerNorm

	m := &Model{Text: text, Vision: &Vision{
		Side: v.side, Tokens: side * side, Width: text.Hidden, MaxTiles: maxTiles,
		build: func(m *module, pixels graph.ValueID, tiles dim.Dim) {
			x := v.apply(m, pixels, tiles, layer)
			m.Scope("downsample")
			x = m.Op("Slice", []graph.ValueID{x, m.Ints(1), m.Ints(1 + v.grid()*v.grid()), m.Ints(1)})
			x = downsample(m, x, v.grid(), v.hidden, n, version == "v1")
			m.tap("projector.tokens_2x2", x)
			m.Scope("projector")
			wide := n * n * v.hidden
			x = m.layerNorm(x, "mlp1.0", wide, eps)
			x = m.gelu(m.linear(x, "mlp1.1", wide, text.Hidden, true))
			x = m.linear(x, "mlp1.3", text.Hidden, text.Hidden, true)
			m.tap("projector", x)
			m.Output(ImageOutput, x)
		},
	}}
	t := tiling.Default(tiling.InternVL)
	t.Tile = int(v.side)
	lo, hi := c.int("min_dynamic_patch", 1, 1, 64), c.int("max_dynamic_patch", 12, 1, 64)
	if !c.bool("dynamic_image_size", true) {
		lo, hi = 1, 1
	}
	grids, err := tiling.Between(int(lo), int(hi))
	c.want("max_dynamic_patch", err == nil, hi, "it must not be less than min_dynamic_patch")
	t.Grids = grids
	m.Images = &Images{
		Tiling: t, Norm: img.Norm{Rescale: 1.0 / 255, Mean: [3]float64{0.485, 0.456, 0.406}, Std: [3]float64{0.229, 0.224, 0.225}},
		Token: c.int("img_context_token_id", -1, 0, maxVocab), TokenText: "<IMG_CONTEXT>", Marker: "<image>", MarkerID: -1, tokens: m.Vision.Tokens,
		expand: func(g tiling.Grid, tile string, _ func(int64) string) string {
			s := "<img>"
			for range g.Tiles {
				s += tile
			}
			return s + "</img>"
		},
	}
	return m
}
