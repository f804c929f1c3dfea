package arch

import (
	"fmt"
	"strings"

	"github.com/heddle-ml/heddle/models/img"
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
	if out.TokenText == "" {
		return nil, fmt.Errorf("arch: the tokenizer has no token %d, which stands for image embeddings: it and config.json do not belong together", out.Token)
	}
	if out.Marker == "" {
		return nil, fmt.Errorf("arch: the tokenizer has no token %d, which stands for a picture: it and config.json do not belong together", out.MarkerID)
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
