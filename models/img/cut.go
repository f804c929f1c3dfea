package img

import (
	"fmt"
	"image"

	"github.com/heddle-ml/heddle/models/img/resample"
	"github.com/heddle-ml/heddle/models/img/tiling"
)

// Tiles is a batch of square tiles in the order the model reads them: N tiles
// of Side x Side pixels, len(Pix) is N*Side*Side*3.
type Tiles struct {
	N, Side int
	Pix     []uint8 // [N, Side, Side, 3]
}

// At returns tile i, sharing its memory.
func (t Tiles) At(i int) RGB {
	n := t.Side * t.Side * 3
	return RGB{t.Side, t.Side, t.Pix[i*n : (i+1)*n : (i+1)*n]}
}

// Bounds on a layout, which is plain data and may come from anywhere.
const (
	maxTiles      = 1 << 11
	maxTileSide   = 1 << 13
	maxTilePixels = 1 << 29
)

// Cut makes the tiles of a picture that the layout describes. The layout must
// have been made for the picture's size. Time and memory follow the size of the
// picture and of the tiles alone, however extreme the aspect ratio.
func Cut(p RGB, l tiling.Layout) (Tiles, error) {
	if err := p.check(); err != nil {
		return Tiles{}, err
	}
	n, err := count(p, l)
	if err != nil {
		return Tiles{}, err
	}
	src := p.samples()
	for _, s := range l.Prepare {
		if src, err = resample.Resize(src, s.W, s.H, l.Filter); err != nil {
			return Tiles{}, fmt.Errorf("img: %w", err)
		}
	}
	out := Tiles{N: n, Side: l.Tile, Pix: make([]uint8, n*l.Tile*l.Tile*3)}
	first := 0
	for _, v := range l.Views {
		c := canvas{Tiles: out, first: first, cols: v.Cols, rows: v.Rows}
		if err := c.draw(src, v, l); err != nil {
			return Tiles{}, err
		}
		first += v.Cols * v.Rows
	}
	return out, nil
}

// count checks the layout and returns its number of tiles.
func count(p RGB, l tiling.Layout) (int, error) {
	if l.Picture != (tiling.Size{W: p.W, H: p.H}) {
		return 0, fmt.Errorf("img: a layout for %v pixels cannot cut a picture of %dx%d: make one for its size", l.Picture, p.W, p.H)
	}
	if l.Tile < 1 || l.Tile > maxTileSide {
		return 0, fmt.Errorf("img: a layout with tiles of %d pixels: must be in 1..%d", l.Tile, maxTileSide)
	}
	n := 0
	for _, v := range l.Views {
		if v.Cols < 1 || v.Rows < 1 || v.Cols > maxTiles || v.Rows > maxTiles {
			return 0, fmt.Errorf("img: a layout with a view of %dx%d tiles", v.Cols, v.Rows)
		}
		if n += v.Cols * v.Rows; n > maxTiles || n*l.Tile*l.Tile > maxTilePixels {
			return 0, fmt.Errorf("img: a layout of more than %d tiles or %d pixels", maxTiles, maxTilePixels)
		}
		const far = 1 << 24
		if v.X < -far || v.X > far || v.Y < -far || v.Y > far || v.Resize.W > far || v.Resize.H > far {
			return 0, fmt.Errorf("img: a layout that puts %v pixels at (%d,%d)", v.Resize, v.X, v.Y)
		}
	}
	if n == 0 {
		return 0, fmt.Errorf("img: a layout without tiles: make one with tiling.Config.Layout")
	}
	return n, nil
}

// canvas is a view's picture, stored as tiles row by row from number first on.
type canvas struct {
	Tiles
	first, cols, rows int
}

// draw resizes the picture and writes the part that lies on the canvas.
func (c canvas) draw(src resample.Image, v tiling.View, l tiling.Layout) error {
	whole := image.Rect(0, 0, c.cols*c.Side, c.rows*c.Side)
	at := image.Pt(v.X, v.Y)
	seen := image.Rect(0, 0, v.Resize.W, v.Resize.H).Add(at).Intersect(whole)
	if seen != whole {
		c.fill(l.Pad)
	}
	if seen.Empty() {
		return nil
	}
	part, err := resample.Window(src, v.Resize.W, v.Resize.H, seen.Sub(at), l.Filter)
	if err != nil {
		return fmt.Errorf("img: %w", err)
	}
	for y := range part.H {
		row := part.Pix[y*part.W*3 : (y+1)*part.W*3]
		for x := seen.Min.X; x < seen.Max.X; {
			n := min(c.Side-x%c.Side, seen.Max.X-x) // up to the tile's border
			copy(c.at(x, seen.Min.Y+y), row[:3*n])
			row = row[3*n:]
			x += n
		}
	}
	return nil
}

// at returns the tile's row of pixels from canvas position (x, y) on.
func (c canvas) at(x, y int) []uint8 {
	tile := c.first + y/c.Side*c.cols + x/c.Side
	return c.Pix[((tile*c.Side+y%c.Side)*c.Side+x%c.Side)*3:]
}

func (c canvas) fill(pad [3]uint8) {
	n := c.Side * c.Side * 3
	pix := c.Pix[c.first*n : (c.first+c.cols*c.rows)*n]
	if pad == [3]uint8{} {
		return // fresh memory is black
	}
	for ; len(pix) >= 3; pix = pix[3:] {
		copy(pix, pad[:])
	}
}
