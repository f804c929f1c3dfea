package tiling

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Size is a width and height in pixels.
type Size struct{ W, H int }

// String returns "WxH".
func (s Size) String() string { return fmt.Sprintf("%dx%d", s.W, s.H) }

// ParseSize parses "WxH" with sides of 1 to 2^31-1.
func ParseSize(text string) (Size, error) {
	w, h, err := pair(text)
	if err != nil {
		return Size{}, fmt.Errorf("tiling: %q is not a size: write WIDTHxHEIGHT in pixels, such as 640x480 (%w)", text, err)
	}
	return Size{w, h}, nil
}

// Cells is a grid's number of columns and rows.
type Cells struct{ Cols, Rows int }

// String returns "COLSxROWS".
func (c Cells) String() string { return fmt.Sprintf("%dx%d", c.Cols, c.Rows) }

// ParseCells parses "COLSxROWS".
func ParseCells(text string) (Cells, error) {
	cols, rows, err := pair(text)
	if err != nil {
		return Cells{}, fmt.Errorf("tiling: %q is not a grid: write COLUMNSxROWS, such as 3x3 (%w)", text, err)
	}
	c := Cells{cols, rows}
	return c, c.check()
}

func pair(text string) (int, int, error) {
	a, b, ok := strings.Cut(text, "x")
	if !ok {
		return 0, 0, fmt.Errorf("no x in it")
	}
	var n [2]int
	for i, s := range []string{a, b} {
		// ParseUint, not Atoi: it takes no sign.
		v, err := strconv.ParseUint(s, 10, 31)
		if err != nil {
			return 0, 0, err
		}
		if v == 0 {
			return 0, 0, fmt.Errorf("a side is zero")
		}
		n[i] = int(v)
	}
	return n[0], n[1], nil
}

func (c Cells) check() error {
	if c.Cols < 1 || c.Rows < 1 || c.Cols > maxCells || c.Rows > maxCells || c.Cols*c.Rows > maxCells {
		return fmt.Errorf("tiling: a grid of %v tiles: columns and rows must be at least 1 and their product at most %d", c, maxCells)
	}
	return nil
}

// UpTo returns all grids of at most cols columns and rows rows, columns
// ascending, then rows: 1x1, 1x2, ... (LLaVA-NeXT's scan order).
func UpTo(cols, rows int) ([]Cells, error) {
	if err := (Cells{cols, rows}).check(); err != nil {
		return nil, err
	}
	return upTo(cols, rows), nil
}

func upTo(cols, rows int) []Cells {
	out := make([]Cells, 0, cols*rows)
	for c := 1; c <= cols; c++ {
		for r := 1; r <= rows; r++ {
			out = append(out, Cells{c, r})
		}
	}
	return out
}

// Between returns all grids of minTiles to maxTiles tiles, fewest tiles first.
func Between(minTiles, maxTiles int) ([]Cells, error) {
	if minTiles < 1 || maxTiles < minTiles || maxTiles > maxCells {
		return nil, fmt.Errorf("tiling: %d to %d tiles: the least must be at least 1, the most not smaller and at most %d", minTiles, maxTiles, maxCells)
	}
	return between(minTiles, maxTiles), nil
}

func between(least, most int) []Cells {
	var out []Cells
	for c := 1; c <= most; c++ {
		for r := (least + c - 1) / c; r*c <= most; r++ {
			out = append(out, Cells{c, r})
		}
	}
	slices.SortStableFunc(out, ascending)
	return out
}

// Canvases returns the grids of canvases given in pixels, in their order; each
// side must be a multiple of tile.
func Canvases(tile int, canvases []Size) ([]Cells, error) {
	if tile < 1 || tile > maxTile {
		return nil, fmt.Errorf("tiling: a tile side of %d pixels: must be in 1..%d", tile, maxTile)
	}
	var out []Cells
	for _, s := range canvases {
		if s.W < 1 || s.H < 1 || s.W%tile != 0 || s.H%tile != 0 {
			return nil, fmt.Errorf("tiling: canvas %v is not made of whole %d-pixel tiles: use multiples of %d, such as %dx%d", s, tile, tile, 2*tile, tile)
		}
		c := Cells{s.W / tile, s.H / tile}
		if err := c.check(); err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

// ascending orders by number of tiles. Equal numbers stay as they are: sort
// stably.
func ascending(a, b Cells) int { return cmp.Compare(a.Cols*a.Rows, b.Cols*b.Rows) }

// descending orders by number of tiles, largest first, then by columns, most
// first. The paper says "descending, from 3:3 to 1:1"; ordering by columns first
// chooses the same grids, ascending order does not.
func descending(a, b Cells) int {
	return cmp.Or(cmp.Compare(b.Cols*b.Rows, a.Cols*a.Rows), cmp.Compare(b.Cols, a.Cols))
}
