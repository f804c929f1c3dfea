package arch

import (
	"fmt"

	"github.com/heddle-ml/heddle/graph"
)

// downsample joins each n x n block of a tile's tokens along channels:
// f32[tiles,grid*grid,width] to f32[tiles,g*g,n*n*width], g = ceil(grid/n). A
// grid that n does not divide is padded with zeros below and to the right.
// Within a block the order is row by row: (2r,2c), (2r,2c+1), (2r+1,2c),
// (2r+1,2c+1) (VILA's flat_square, InternVL's pixel shuffle v2, SmolVLM;
// paper section 3.3). Blocks come row by row, or column by column where
// columnFirst is set.
func downsample(m *module, x graph.ValueID, grid, width, n int64, columnFirst bool) graph.ValueID {
	if n == 1 {
		return x
	}
	m.Scope("downsample")
	g := (grid + n - 1) / n
	x = m.reshape(x, 0, grid, grid, width)
	if pad := g*n - grid; pad > 0 {
		x = m.Op("Pad", []graph.ValueID{x, m.Ints(0, 0, 0, 0, 0, pad, pad, 0)})
	}
	x = m.reshape(x, 0, g, n, g, n, width)
	if columnFirst {
		x = m.transpose(x, 0, 3, 1, 2, 4, 5)
	} else {
		x = m.transpose(x, 0, 1, 3, 2, 4, 5)
	}
	return m.reshape(x, 0, g*g, n*n*width)
}

// columnFirst reads the key downsample_column_first (ours): the VILA code of
// the paper's time left the last permutation of its downsampler out, so
// checkpoints trained with it expect the blocks column by column; later code
// put it back, and configs do not tell which was used. InternVL's
// ps_version v1 is the same slip.
func columnFirst(c config) bool { return c.bool("downsample_column_first", false) }

// gelu is exact (erf) GELU, what projectors use.
func (m *module) gelu(x graph.ValueID) graph.ValueID { return m.activation(x, "gelu") }

// Projector is a projector that stands alone, without tower and language
// model.
type Projector struct {
	Width int64
	build func(m *module, tokens int64)
}

// ProjectorGraph returns the graph of a projector alone, for tiles of the
// given number of tokens: input f32[tiles,tokens,in], output.
func (m *Model) ProjectorGraph(w Weights, tokens int64, taps bool) (*graph.Graph, error) {
	if m.Projector == nil {
		return nil, fmt.Errorf("arch: a %s model is not a projector alone", m.Family)
	}
	b := newModule("projector", w, taps)
	m.Projector.build(b, tokens)
	return b.Build()
}

func errNotSquare(tokens int64) error {
	return fmt.Errorf("%d tokens are not a square grid", tokens)
}
