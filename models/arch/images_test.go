package arch

import (
	"strings"
	"testing"

	"github.com/heddle-ml/heddle/models/img"
	"github.com/heddle-ml/heddle/models/img/resample"
	"github.com/heddle-ml/heddle/models/img/tiling"
	"github.com/stretchr/testify/require"
)

// resolved returns a family's images with a tokenizer that knows some tokens.
func resolved(t testing.TB, config string, vocab map[string]int64) *Images {
	t.Helper()
	im, err := read(t, config, names{}).Images.Names(func(id int64) string {
		for s, n := range vocab {
			if n == id {
				return s
			}
		}
		return ""
	}, func(s string) (int64, bool) { n, ok := vocab[s]; return n, ok })
	require.NoError(t, err)
	return im
}

const (
	tinyTower = `"vision_config": {"hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 4, "image_size": 16, "patch_size": 8}`
	bluelm    = `{"model_type": "bluelm_v", "image_token_id": 4, "image_start_token_id": 0, "global_token_id": 1, "tile_token_id": 2, "row_token_id": 3, "downsample_factor": 1, ` + tinyTower + `, "text_config": {}}`
	smolvlm   = `{"model_type": "smolvlm", "image_token_id": 4, "scale_factor": 1, ` + tinyTower + `, "text_config": {}}`
	internvl  = `{"model_type": "internvl_chat", "downsample_ratio": 1, ` + tinyTower + `, "llm_config": {}}`
	llava     = `{"model_type": "llava", "image_token_index": 4, ` + tinyTower + `, "text_config": {}}`
)

// What takes a picture's place in the prompt, as the processors of each
// family write it. A tile is 2x2 tokens here.
func TestExpand(t *testing.T) {
	grid := func(cols, rows int) tiling.Grid {
		tiles := cols*rows + 1
		if tiles == 2 {
			tiles = 1
		}
		return tiling.Grid{Cols: cols, Rows: rows, Tiles: tiles}
	}
	blue := map[string]int64{"<i>": 0, "<g>": 1, "<t>": 2, "<r>": 3, "p": 4}
	smol := map[string]int64{"<image>": 4}
	intern := map[string]int64{"<IMG_CONTEXT>": 9}
	const smolTile = "<image><image><image><image>"
	const internTile = "<IMG_CONTEXT><IMG_CONTEXT><IMG_CONTEXT><IMG_CONTEXT>"
	for _, c := range []struct {
		config string
		vocab  map[string]int64
		grid   tiling.Grid
		marker string
		want   string
	}{
		{bluelm, blue, grid(1, 1), "<i>", "<i><g>pppp"},
		{bluelm, blue, grid(2, 1), "<i>", "<i><g>pppp<r><t>pppp<t>pppp"},
		{bluelm, blue, grid(1, 2), "<i>", "<i><g>pppp<r><t>pppp<r><t>pppp"},
		{bluelm, blue, grid(3, 2), "<i>", "<i><g>pppp" + strings.Repeat("<r>"+strings.Repeat("<t>pppp", 3), 2)},
		{smolvlm, smol, grid(1, 1), "<image>", "<fake_token_around_image><global-img>" + smolTile + "<fake_token_around_image>"},
		{smolvlm, smol, grid(2, 2), "<image>",
			"<fake_token_around_image><row_1_col_1>" + smolTile + "<fake_token_around_image><row_1_col_2>" + smolTile + "\n" +
				"<fake_token_around_image><row_2_col_1>" + smolTile + "<fake_token_around_image><row_2_col_2>" + smolTile + "\n" +
				"\n<fake_token_around_image><global-img>" + smolTile + "<fake_token_around_image>"},
		{internvl, intern, grid(1, 1), "<image>", "<img>" + internTile + "</img>"},
		{internvl, intern, grid(3, 2), "<image>", "<img>" + strings.Repeat(internTile, 7) + "</img>"},
		{llava, smol, grid(1, 1), "<image>", smolTile},
	} {
		im := resolved(t, c.config, c.vocab)
		piece := func(id int64) string {
			for s, n := range c.vocab {
				if n == id {
					return s
				}
			}
			return "?"
		}
		require.Equal(t, c.marker, im.Marker)
		got := im.Expand(c.grid, piece)
		require.Equal(t, c.want, got)
		require.Equal(t, int64(strings.Count(got, im.TokenText)), im.Embeddings(c.grid))
	}
	require.Equal(t, int64(9), resolved(t, internvl, intern).Token)
}

func TestNames(t *testing.T) {
	none := func(int64) string { return "" }
	unknown := func(string) (int64, bool) { return 0, false }
	for config, want := range map[string]string{
		bluelm:   "no token 4, which stands for image embeddings",
		llava:    "no token 4, which stands for image embeddings",
		internvl: `no token "<IMG_CONTEXT>", which stands for image embeddings`,
	} {
		_, err := read(t, config, names{}).Images.Names(none, unknown)
		require.ErrorContains(t, err, want)
	}
	_, err := read(t, bluelm, names{}).Images.Names(func(id int64) string { return map[int64]string{4: "p"}[id] }, unknown)
	require.ErrorContains(t, err, "no token 0, which stands for a picture")
}

func TestPreprocessor(t *testing.T) {
	half := [3]float64{0.5, 0.5, 0.5}
	type want struct {
		norm img.Norm
		edit func(c *tiling.Config)
	}
	same := func(*tiling.Config) {}
	siglip := img.SigLIP()
	clip := img.Norm{Rescale: 1.0 / 255, Mean: [3]float64{0.48145466, 0.4578275, 0.40821073}, Std: [3]float64{0.26862954, 0.26130258, 0.27577711}}
	for _, c := range []struct {
		model, config string
		want          want
	}{
		{llava, `{}`, want{siglip, same}},
		{llava, `{"image_mean": null, "size": null, "resample": null}`, want{siglip, same}},
		// SigLIP squashes, CLIP crops.
		{llava, `{"image_processor_type": "SiglipImageProcessor", "resample": 2, "size": {"height": 16, "width": 16}, "rescale_factor": 0.5}`,
			want{img.Norm{Rescale: 0.5, Mean: half, Std: half}, func(c *tiling.Config) { c.Filter = resample.Bilinear }}},
		{llava, `{"do_center_crop": true, "crop_size": {"height": 16, "width": 16}, "size": {"shortest_edge": 20}, "resample": 3, "image_mean": [0.48145466, 0.4578275, 0.40821073], "image_std": [0.26862954, 0.26130258, 0.27577711]}`,
			want{clip, func(c *tiling.Config) { c.Global, c.ShortEdge = tiling.Crop, 20 }}},
		{llava, `{"do_center_crop": true, "crop_size": 16, "size": 16}`,
			want{siglip, func(c *tiling.Config) { c.Global, c.ShortEdge = tiling.Crop, 16 }}},
		{llava, `{"do_normalize": false, "do_rescale": false}`, want{img.Norm{Rescale: 1, Std: [3]float64{1, 1, 1}}, same}},
		{smolvlm, `{"max_image_size": {"longest_edge": 16}, "size": {"longest_edge": 80}, "resample": 1, "do_image_splitting": true}`,
			want{siglip, func(c *tiling.Config) { c.LongestEdge = 80 }}},
		{internvl, `{"crop_size": 448, "size": 448, "do_center_crop": true, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}`, want{siglip, same}},
		{bluelm, `{"tile_size": 16, "pad_value": 9}`, want{siglip, func(c *tiling.Config) { c.Pad = [3]uint8{9, 9, 9} }}},
		{bluelm, `{"tile_size": 16}`, want{siglip, same}},
	} {
		im := read(t, c.model, names{}).Images
		got, err := im.Preprocessor("p.json", []byte(c.config))
		require.NoError(t, err, c.config)
		require.Equal(t, c.want.norm, got.Norm, c.config)
		layout := im.Tiling
		c.want.edit(&layout)
		require.Equal(t, layout, got.Tiling, c.config)
	}
	// A model of nine tiles that its preprocessor bounds to four.
	im, err := read(t, bluelm, names{}).Images.Preprocessor("p.json", []byte(`{"max_tiles": 4}`))
	require.NoError(t, err)
	g, err := im.Tiling.Grid(160, 160)
	require.NoError(t, err)
	require.Equal(t, [2]int{2, 2}, [2]int{g.Cols, g.Rows})
}

// The crop is the one that CLIP's processor makes: the short side to its
// size, then the middle.
func TestCrop(t *testing.T) {
	im, err := read(t, llava, names{}).Images.Preprocessor("p.json", []byte(`{"do_center_crop": true, "crop_size": 16, "size": {"shortest_edge": 20}}`))
	require.NoError(t, err)
	l, err := im.Tiling.Layout(200, 100)
	require.NoError(t, err)
	require.Len(t, l.Views, 1)
	v := l.Views[0]
	require.Equal(t, tiling.Size{W: 40, H: 20}, v.Resize)
	require.Equal(t, [2]int{-12, -2}, [2]int{v.X, v.Y})
}

func TestPreprocessorRefused(t *testing.T) {
	for _, c := range [][3]string{
		{llava, `{"size": {"height": 32, "width": 16}}`, "size: is 32, which is not supported; the vision tower takes 16"},
		{llava, `{"size": 32}`, "size: is 32"},
		{llava, `{"size": {"shortest_edge": 16}}`, "without do_center_crop"},
		{llava, `{"size": "big"}`, "size: want a number"},
		{llava, `{"do_center_crop": true, "crop_size": 15, "size": 16}`, "crop_size: is 15"},
		{llava, `{"do_center_crop": true, "size": 8}`, "size: is 8"},
		{llava, `{"do_pad": true}`, "do_pad: is true"},
		{llava, `{"do_resize": false}`, "do_resize: is false"},
		{llava, `{"image_mean": [1, 2, "x"]}`, "image_mean: want three numbers"},
		{llava, `{"image_std": [1, 2, -1]}`, "image_std: want three numbers"},
		{llava, `{"image_mean": 0.5}`, "image_mean: want three numbers"},
		{llava, `{"rescale_factor": 0}`, "rescale_factor: is 0"},
		{llava, `{"resample": 9}`, "resample: is 9"},
		{smolvlm, `{"max_image_size": {"longest_edge": 364}}`, "max_image_size: is 364"},
		{smolvlm, `{"size": {"longest_edge": 16000}}`, "longest edge of 16000"},
		{smolvlm, `{"do_image_splitting": false}`, "do_image_splitting: is false"},
		{bluelm, `{"tile_size": 17}`, "tile_size: is 17"},
		{bluelm, `{"max_tiles": 0}`, "max_tiles: is 0"},
		{bluelm, `{"use_global_tile": false}`, "use_global_tile: is false"},
		{bluelm, `[]`, "not a JSON object but array"},
	} {
		_, err := read(t, c[0], names{}).Images.Preprocessor("p.json", []byte(c[1]))
		require.ErrorContains(t, err, c[2], c[1])
		require.ErrorContains(t, err, "p.json")
	}
}
