package arch

import (
	"fmt"
	"strings"

	"github.com/heddle-ml/heddle/models/img"
	"github.com/heddle-ml/heddle/models/img/resample"
	"github.com/heddle-ml/heddle/models/img/tiling"
)

// Images says how pictures become tiles, and tokens of the prompt.
type Images struct {
	// Tiling is the rule for cutting a picture, Norm turns its bytes into
	// what the tower reads.
	Tiling tiling.Config
	Norm   img.Norm

	// Token is the id of the tokens that image embeddings replace; -1 when
	// only its text, TokenText, is known before the tokenizer is.
	Token     int64
	TokenText string
	// Marker is what a chat template writes where a picture belongs; it is
	// the text of token MarkerID where that is not negative.
	Marker   string
	MarkerID int64

	// expand writes what takes the marker's place; see Expand.
	expand func(g tiling.Grid, tile string, name func(id int64) string) string
	tokens int64
}

// Names resolves the ids that the description holds to their texts with a
// tokenizer's piece function, and TokenText to its id.
func (im *Images) Names(piece func(id int64) string, id func(piece string) (int64, bool)) (*Images, error) {
	out := *im
	if out.Token < 0 {
		n, ok := id(out.TokenText)
		if !ok {
			return nil, fmt.Errorf("arch: the tokenizer has no token %q, which stands for image embeddings", out.TokenText)
		}
		out.Token = n
	}
	if out.TokenText == "" {
		out.TokenText = piece(out.Token)
	}
	if out.MarkerID >= 0 {
		out.Marker = piece(out.MarkerID)
	}
	if out.TokenText == "" || out.Marker == "" {
		return nil, fmt.Errorf("arch: the tokenizer has no token %d, which stands for image embeddings", out.Token)
	}
	return &out, nil
}

// Expand returns the text that takes a marker's place: the image tokens of
// every tile and what the model expects around them. piece gives the text of
// a token.
func (im *Images) Expand(g tiling.Grid, piece func(id int64) string) string {
	tile := strings.Repeat(im.TokenText, int(im.tokens))
	if im.expand == nil {
		return strings.Repeat(tile, g.Tiles)
	}
	return im.expand(g, tile, piece)
}

// Embeddings returns how many image embeddings a picture with this grid has.
func (im *Images) Embeddings(g tiling.Grid) int64 { return im.tokens * int64(g.Tiles) }

// single returns the rule of models that see one square per picture.
func single(side, tokens, token int64) *Images {
	t := tiling.Default(tiling.Single)
	t.Tile = int(side)
	return &Images{Tiling: t, Norm: img.SigLIP(), Token: token, MarkerID: token, tokens: tokens}
}

// Preprocessor applies a preprocessor_config.json (Hugging Face's
// image processor settings), whose name in errors is file.
func (im *Images) Preprocessor(file string, data []byte) (*Images, error) {
	c, err := parseConfig(file, data)
	if err != nil {
		return nil, err
	}
	out := *im
	out.Norm.Mean = triple(c, "image_mean", out.Norm.Mean)
	out.Norm.Std = triple(c, "image_std", out.Norm.Std)
	for _, s := range out.Norm.Std {
		c.want("image_std", s > 0, s, "want positive numbers")
	}
	out.Norm.Rescale = c.float("rescale_factor", out.Norm.Rescale, 1e-9, 1e3)
	if c.has("resample") {
		f, err := resample.FromPillow(int(c.int("resample", 3, 0, 5)))
		c.want("resample", err == nil, c.m["resample"], "want Pillow's number of a filter")
		out.Tiling.Filter = f
	}
	switch out.Tiling.Method {
	case tiling.BlueLM:
		if c.has("tile_size") || c.has("max_tiles") || c.has("tile_alpha") || c.has("pad_value") {
			side := c.int("tile_size", int64(out.Tiling.Tile), 1, 1<<14)
			c.want("tile_size", int(side) == out.Tiling.Tile, side, fmt.Sprintf("the vision tower takes %d", out.Tiling.Tile))
			t, err := tiling.BlueLMV(int(side), int(c.int("max_tiles", 9, 1, 256)), c.float("tile_alpha", 0.1, 0, 0.999), uint8(c.int("pad_value", 127, 0, 255)))
			if err != nil {
				return nil, fmt.Errorf("arch: %s: %w", file, err)
			}
			t.Filter = out.Tiling.Filter
			out.Tiling = t
		}
	case tiling.Single:
		if c.bool("do_center_crop", false) { // CLIP: the short side first, then the middle
			out.Tiling.Local, out.Tiling.Global = tiling.Crop, tiling.Crop
			out.Tiling.ShortEdge = int(c.sub("size").int("shortest_edge", int64(out.Tiling.Tile), int64(out.Tiling.Tile), 1<<14))
		}
	case tiling.Idefics3:
		tile := c.sub("max_image_size").int("longest_edge", int64(out.Tiling.Tile), 1, 1<<14)
		c.want("max_image_size", int(tile) == out.Tiling.Tile, tile, fmt.Sprintf("the vision tower takes %d", out.Tiling.Tile))
		out.Tiling.LongestEdge = int(c.sub("size").int("longest_edge", int64(out.Tiling.LongestEdge), 1, 1<<14))
	}
	if *c.err != nil {
		return nil, *c.err
	}
	return &out, nil
}

func triple(c config, key string, def [3]float64) [3]float64 {
	switch v := c.m[key].(type) {
	case nil:
	case []any:
		if len(v) == 3 {
			for i, x := range v {
				f, ok := x.(float64)
				if !ok {
					c.fail(key, "want three numbers")
				}
				def[i] = f
			}
			return def
		}
		c.fail(key, "want three numbers")
	default:
		c.fail(key, "want three numbers")
	}
	return def
}
