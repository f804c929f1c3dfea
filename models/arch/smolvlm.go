package arch

import (
	"fmt"
	"strings"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/models/img"
	"github.com/heddle-ml/heddle/models/img/tiling"
)

func init() {
	families["smolvlm"] = readSmolVLM
	families["idefics3"] = readSmolVLM
}

// readSmolVLM reads a SmolVLM or Idefics3 config: SigLIP with its last norm,
// pixel shuffle, one linear layer without bias.
func readSmolVLM(c config, w Weights) *Model {
	s := readSiglip(c.sub("vision_config"), idefics3Defaults, "model.vision_model.")
	text := readText(c.sub("text_config"), w, "model.text_model.", "lm_head.weight")
	n := c.int("scale_factor", 2, 1, 8)
	c.want("scale_factor", s.grid()%n == 0, n, fmt.Sprintf("the %d patches on a side must be a multiple of it", s.grid()))
	side := s.grid() / n
	const p = "model.connector.modality_projection.proj"

	m := &Model{Text: text, Vision: &Vision{
		Side: s.side, Tokens: side * side, Width: text.Hidden, MaxTiles: maxTiles,
		build: func(m *module, pixels graph.ValueID, _ dim.Dim) {
			x := s.apply(m, pixels, s.layers, func(name string, v graph.ValueID) { m.tap("vision."+name, v) })
			x = s.postNorm(m, x)
			m.tap("vision.post_layernorm", x)
			x = downsample(m, x, s.grid(), s.hidden, n, false)
			m.tap("projector.tokens_2x2", x)
			m.Scope("projector")
			x = m.linear(x, p, n*n*s.hidden, text.Hidden, false)
			m.tap("projector", x)
			m.Output(ImageOutput, x)
		},
	}}
	t := tiling.Default(tiling.Idefics3)
	t.Tile = int(s.side)
	t.LongestEdge = 4 * t.Tile // what public SmolVLM processors use
	m.Images = &Images{
		Tiling: t, Norm: img.SigLIP(),
		Token: c.int("image_token_id", 128257, 0, maxVocab), Marker: "<image>", MarkerID: -1, tokens: m.Vision.Tokens,
		expand: smolPrompt,
	}
	return m
}

// smolPrompt writes a picture as Idefics3's processor does: each tile behind
// its row and column, a line a row, the whole picture last.
func smolPrompt(g tiling.Grid, tile string, _ func(int64) string) string {
	const fake = "<fake_token_around_image>"
	if g.Cols*g.Rows <= 1 {
		return fake + "<global-img>" + tile + fake
	}
	var b strings.Builder
	for r := range g.Rows {
		for c := range g.Cols {
			fmt.Fprintf(&b, "%s<row_%d_col_%d>%s", fake, r+1, c+1, tile)
		}
		b.WriteByte('\n')
	}
	return b.String() + "\n" + fake + "<global-img>" + tile + fake
}
