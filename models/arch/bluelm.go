package arch

import (
	"strings"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/models/img"
	"github.com/heddle-ml/heddle/models/img/tiling"
)

func init() { families["bluelm_v"] = readBlueLMV }

// readBlueLMV reads a BlueLMVForConditionalGeneration config (the model of
// arXiv 2411.10640, section 3): SigLIP on tiles, 2x2 token downsampling, a
// two-layer projector, a Llama-like decoder.
func readBlueLMV(c config, w Weights) *Model {
	vc := c.sub("vision_config")
	names := llavaNames(w)
	s := readSiglip(vc, siglipDefaults, names.vision)
	text := readText(c.sub("text_config"), w, names.text, names.head)
	feature := c.str("vision_feature", "post_layernorm")
	c.want("vision_feature", feature == "post_layernorm" || feature == "hidden_state", feature, "want post_layernorm or hidden_state")
	layer := s.resolve(c, "vision_feature_layer", c.int("vision_feature_layer", -1, -maxLayers, maxLayers))
	n := c.int("downsample_factor", 2, 1, 8)
	mode := c.str("downsample_mode", "concat")
	c.want("downsample_mode", mode == "concat", mode, "want concat")
	kind := c.str("projector_type", "mlp")
	c.want("projector_type", kind == "mlp", kind, "want mlp")
	act := c.str("projector_hidden_act", "gelu")
	checkActivation(c, "projector_hidden_act", act)
	width := c.int("projector_hidden_size", text.Hidden, 1, maxWidth)
	bias := c.bool("projector_bias", true)
	side := (s.grid() + n - 1) / n
	tokens := side * side
	columns := columnFirst(c)
	c.want("tokens_per_tile", c.int("tokens_per_tile", tokens, 1, 1<<20) == tokens, c.m["tokens_per_tile"], "it does not follow from image_size, patch_size and downsample_factor")
	p := names.projector

	m := &Model{Text: text, Vision: &Vision{
		Side: s.side, Tokens: tokens, Width: text.Hidden, MaxTiles: maxTiles,
		build: func(m *module, pixels graph.ValueID, _ dim.Dim) {
			x := s.apply(m, pixels, layer, func(name string, v graph.ValueID) { m.tap("vision."+name, v) })
			if feature == "post_layernorm" {
				x = s.postNorm(m, x)
			}
			m.tap("vision_output", x)
			x = downsample(m, x, s.grid(), s.hidden, n, columns)
			m.Scope("projector")
			x = m.activation(m.linear(x, p+"linear_1", n*n*s.hidden, width, bias), act)
			x = m.linear(x, p+"linear_2", width, text.Hidden, bias)
			m.tap("projector_output", x)
			m.Output(ImageOutput, x)
		},
	}}

	tile := c.int("tile_size", s.side, 1, 1<<14)
	c.want("tile_size", tile == s.side, tile, "it must equal vision_config.image_size")
	t, err := tiling.BlueLMV(int(tile), int(c.int("max_tiles", 9, 1, 256)), c.float("tile_alpha", 0.1, 0, 0.999), uint8(c.int("tile_pad_value", 127, 0, 255)))
	if err != nil {
		c.fail("max_tiles", "%v", err)
	}
	c.want("global_tile_first", c.bool("global_tile_first", true), false, "want true")
	c.want("use_global_tile", c.bool("use_global_tile", true), false, "want true")
	start, global := c.int("image_start_token_id", 0, 0, maxVocab), c.int("global_token_id", 0, 0, maxVocab)
	each, row := c.int("tile_token_id", 0, 0, maxVocab), c.int("row_token_id", 0, 0, maxVocab)
	m.Images = &Images{
		Tiling: t, Norm: img.SigLIP(), Token: c.must("image_token_id", 0, maxVocab), MarkerID: start, tokens: tokens,
		// <|image|> <|global|> patches [ <|row|> ( <|tile|> patches ) per column ] per row; the
		// bracketed part is missing for a picture of one tile.
		expand: func(g tiling.Grid, patches string, name func(int64) string) string {
			var b strings.Builder
			b.WriteString(name(start) + name(global) + patches)
			if g.Cols*g.Rows > 1 {
				for range g.Rows {
					b.WriteString(name(row))
					for range g.Cols {
						b.WriteString(name(each) + patches)
					}
				}
			}
			return b.String()
		},
	}
	return m
}
