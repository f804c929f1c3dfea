package tiling

import (
	"fmt"
	"math"
	"slices"
)

// Grid is the outcome of the choice for one picture.
type Grid struct {
	Canvas     Size // Cols*Tile x Rows*Tile pixels
	Cols, Rows int
	Tiles      int // tiles handed to the vision tower, the global one included
}

// Grid chooses the grid for a picture of w x h pixels. Sides may be 1 to 2^31-1;
// any aspect ratio gives one of the candidates.
func (c Config) Grid(w, h int) (Grid, error) {
	if err := c.check(); err != nil {
		return Grid{}, err
	}
	if w < 1 || h < 1 || int64(w) > maxPicture || int64(h) > maxPicture {
		return Grid{}, fmt.Errorf("tiling: a picture of %dx%d pixels: each side must be in 1..%d", w, h, maxPicture)
	}
	var g Cells
	switch c.Method {
	case BlueLM:
		g = c.relaxed(int64(w), int64(h))
	case LLaVANext:
		g = c.mostKept(int64(w), int64(h))
	case InternVL:
		g = c.closestRatio(int64(w), int64(h))
	case Idefics3:
		_, s := c.idefics3(w, h)
		g = Cells{s.W / c.Tile, s.H / c.Tile}
	case Single:
		g = Cells{1, 1}
	}
	tiles := g.Cols*g.Rows + 1
	if c.Lone && tiles == 2 {
		tiles = 1
	}
	return Grid{Canvas: c.canvas(g), Cols: g.Cols, Rows: g.Rows, Tiles: tiles}, nil
}

func (c Config) canvas(g Cells) Size { return Size{g.Cols * c.Tile, g.Rows * c.Tile} }

// kept returns the picture's area that survives on a canvas, never more than
// the picture has, and the canvas area that is left over.
func (c Config) kept(w, h int64, g Cells) (kept, waste int64) {
	W, H := int64(g.Cols*c.Tile), int64(g.Rows*c.Tile)
	var sw, sh int64
	switch {
	case !c.Integer:
		scale := min(float64(W)/float64(w), float64(H)/float64(h))
		// Truncation of a float64 product, as in the references: 384 may become 383.
		sw, sh = int64(float64(w)*scale), int64(float64(h)*scale)
	case W*h <= H*w:
		sw, sh = W, h*W/w
	default:
		sw, sh = w*H/h, H
	}
	kept = min(sw*sh, w*h)
	return kept, W*H - kept
}

// relaxed is the paper's algorithm 1: a candidate wins when it keeps clearly
// more, or when it keeps not much less and wastes less. What it is measured
// against is replaced by every winner, also by one that keeps less, so that
// losses may add up; Anchored measures against the best of all instead.
//
// A picture so narrow that nothing of it survives on any canvas gets the
// smallest one.
func (c Config) relaxed(w, h int64) Cells {
	grids := slices.Clone(c.Grids)
	slices.SortStableFunc(grids, descending)
	best := grids[len(grids)-1]
	if c.Anchored {
		return c.anchored(w, h, grids)
	}
	var most int64
	least := int64(math.MaxInt64)
	for _, g := range grids {
		kept, waste := c.kept(w, h, g)
		margin := float64(c.Alpha * float64(most))
		if float64(kept-most) > margin || float64(most-kept) < margin && waste < least {
			best, most, least = g, kept, waste
		}
	}
	return best
}

// anchored picks the least waste among the grids that keep more than 1-alpha of
// the most that any grid keeps.
func (c Config) anchored(w, h int64, grids []Cells) Cells {
	var most int64
	for _, g := range grids {
		kept, _ := c.kept(w, h, g)
		most = max(most, kept)
	}
	margin := float64(c.Alpha * float64(most))
	best, least := grids[len(grids)-1], int64(math.MaxInt64)
	for _, g := range grids {
		kept, waste := c.kept(w, h, g)
		if (kept == most || float64(most-kept) < margin) && waste < least {
			best, least = g, waste
		}
	}
	return best
}

// mostKept is LLaVA-NeXT's rule: most pixels kept, then least waste, then the
// first. With nothing kept anywhere it comes down to the smallest canvas.
func (c Config) mostKept(w, h int64) Cells {
	var best Cells
	most, least := int64(-1), int64(math.MaxInt64)
	for _, g := range c.Grids {
		kept, waste := c.kept(w, h, g)
		if kept > most || kept == most && waste < least {
			best, most, least = g, kept, waste
		}
	}
	return best
}

// closestRatio is InternVL's rule: the closest aspect ratio; of equally close
// ones a larger grid replaces a smaller one if the picture has more than half
// its pixels.
func (c Config) closestRatio(w, h int64) Cells {
	grids := slices.Clone(c.Grids)
	slices.SortStableFunc(grids, ascending)
	ratio := float64(w) / float64(h)
	best, nearest := grids[0], math.Inf(1)
	for _, g := range grids {
		d := math.Abs(ratio - float64(g.Cols)/float64(g.Rows))
		area := int64(g.Cols*c.Tile) * int64(g.Rows*c.Tile)
		if d < nearest || d == nearest && 2*w*h > area {
			best, nearest = g, d
		}
	}
	return best
}

// maxLongestEdge is the side beyond which Idefics3's processor never enlarges.
const maxLongestEdge = 4096

// idefics3 returns the two sizes a picture is resized to, one after the other:
// the longest edge first, then whole tiles. The reference truncates quotients of
// float64 aspect ratios, hence no integer arithmetic here.
func (c Config) idefics3(w, h int) (first, second Size) {
	aspect := float64(w) / float64(h)
	if w >= h {
		w = c.LongestEdge
		h = int(float64(w) / aspect)
		h += h % 2
	} else {
		h = c.LongestEdge
		w = int(float64(h) * aspect)
		w += w % 2
	}
	first = Size{max(w, 1), max(h, 1)}

	aspect = float64(first.W) / float64(first.H)
	if first.W >= first.H {
		second.W = c.wholeTiles(first.W)
		second.H = c.wholeTiles(max(int(float64(second.W)/aspect), 1))
	} else {
		second.H = c.wholeTiles(first.H)
		second.W = c.wholeTiles(max(int(float64(second.H)*aspect), 1))
	}
	return first, second
}

func (c Config) wholeTiles(side int) int { return (side + c.Tile - 1) / c.Tile * c.Tile }
