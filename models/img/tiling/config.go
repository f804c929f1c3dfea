package tiling

import (
	"fmt"

	"github.com/heddle-ml/heddle/models/img/resample"
)

// Method is a rule for choosing a grid. The zero value is none.
type Method uint8

// The rules; see the package comment.
const (
	BlueLM Method = iota + 1
	LLaVANext
	InternVL
	Idefics3
	Single
)

var methodNames = [...]string{"none", "bluelm", "llava-next", "internvl", "idefics3", "single"}

// String returns the method's name as the heddle command spells it.
func (m Method) String() string {
	if int(m) < len(methodNames) {
		return methodNames[m]
	}
	return fmt.Sprintf("Method(%d)", uint8(m))
}

// ParseMethod is the inverse of [Method.String].
func ParseMethod(name string) (Method, error) {
	for m := BlueLM; m <= Single; m++ {
		if methodNames[m] == name {
			return m, nil
		}
	}
	return 0, fmt.Errorf("tiling: unknown method %q: use bluelm, llava-next, internvl, idefics3 or single", name)
}

// Fit says how a picture is brought to a canvas of another aspect ratio.
type Fit uint8

const (
	// Stretch resizes to the canvas and gives up the aspect ratio.
	Stretch Fit = iota
	// PadUp keeps the ratio; the limiting side becomes the canvas's, the other
	// is rounded up and capped at the canvas; centred on Pad.
	PadUp
	// PadNearest is PadUp with the other side rounded half up, at least 1.
	PadNearest
	// Crop keeps the ratio; the shorter side becomes ShortEdge and the middle
	// of the picture is kept.
	Crop
)

// Config is a complete description of a tiling. Start from [Default] or
// [BlueLMV] and change what differs.
type Config struct {
	Method Method
	Tile   int // side of a tile in pixels

	// Grids are the candidates in scan order, which matters to LLaVANext alone:
	// of equally good ones it keeps the first. BlueLM scans from the largest
	// product down (equal products: more columns first), InternVL from the
	// smallest up, whatever the order here. Unused by Idefics3 and Single.
	Grids []Cells

	Alpha    float64 // BlueLM: the share of kept area that less waste may cost, in [0, 1)
	Anchored bool    // BlueLM: measure alpha against the largest kept area of all candidates, not the last winner's
	Integer  bool    // BlueLM: scaled sides by integer division instead of a truncated float64 product

	LongestEdge int // Idefics3: the first resize; ShortEdge's counterpart
	ShortEdge   int // Crop: the shorter side before the middle is cut out, at least Tile; 0 means Tile

	Local  Fit // how the picture is brought to the grid's canvas: Stretch, PadUp or PadNearest
	Global Fit // how it is brought to the global tile

	GlobalLast bool // the global tile follows the local ones instead of preceding them
	Lone       bool // a 1x1 grid yields the global tile alone, not a local and a global one

	Pad    [3]uint8 // RGB of what the picture does not cover
	Filter resample.Filter
}

// Default returns the published settings of a method:
//
//   - BlueLM: 384-pixel tiles, 3x3 grid, alpha 0.1, padded with black, global
//     tile first, also at 1x1 (the paper counts cols*rows+1 tiles).
//   - LLaVANext: 336-pixel tiles, canvases 1x2, 2x1, 2x2, 3x1 and 1x3, padded
//     with black, stretched overview first.
//   - InternVL: 448-pixel tiles, 1 to 12 of them, stretched, thumbnail last
//     when there is more than one tile.
//   - Idefics3: 364-pixel tiles, longest edge 1456, Lanczos, global tile last.
//   - Single: one stretched tile of 384 pixels.
//
// An unknown method gives a Config that every use rejects.
func Default(m Method) Config {
	c := Config{Method: m, Filter: resample.Bicubic}
	switch m {
	case BlueLM:
		c.Tile, c.Alpha, c.Local = 384, 0.1, PadUp
		c.Grids = upTo(3, 3)
	case LLaVANext:
		c.Tile, c.Local = 336, PadUp
		c.Grids = []Cells{{1, 2}, {2, 1}, {2, 2}, {3, 1}, {1, 3}}
	case InternVL:
		c.Tile, c.GlobalLast, c.Lone = 448, true, true
		c.Grids = between(1, 12)
	case Idefics3:
		c.Tile, c.LongestEdge, c.GlobalLast, c.Lone = 364, 4*364, true, true
		c.Filter = resample.Lanczos
	case Single:
		c.Tile, c.Lone = 384, true
	}
	return c
}

// BlueLMV returns the settings of a BlueLMVImageProcessor as written in its
// preprocessor_config.json (tile_size, max_tiles, tile_alpha, pad_value): relaxed
// matching in integer arithmetic over all grids of at most maxTiles tiles, both
// views keep the aspect ratio, global tile first and alone at 1x1.
func BlueLMV(tile, maxTiles int, alpha float64, pad uint8) (Config, error) {
	grids, err := Between(1, maxTiles)
	if err != nil {
		return Config{}, err
	}
	return Config{
		Method: BlueLM, Tile: tile, Grids: grids, Alpha: alpha, Integer: true,
		Local: PadNearest, Global: PadNearest, Lone: true,
		Pad: [3]uint8{pad, pad, pad}, Filter: resample.Bicubic,
	}, nil
}

// Bounds on what a configuration may ask for: generous against any model, small
// enough that no sum overflows and no canvas exceeds a few hundred megabytes.
const (
	maxTile         = 1 << 13
	maxCells        = 1 << 10 // tiles of one grid
	maxGrids        = 1 << 14
	maxCanvasPixels = 1 << 28
	maxPicture      = 1<<31 - 1 // side of a picture
)

// check reports the first setting that makes no sense.
func (c Config) check() error {
	switch {
	case c.Method < BlueLM || c.Method > Single:
		return fmt.Errorf("tiling: no method %v: use Default or BlueLMV", c.Method)
	case c.Tile < 1 || c.Tile > maxTile:
		return fmt.Errorf("tiling: a tile side of %d pixels: must be in 1..%d", c.Tile, maxTile)
	case c.Local > PadNearest:
		return fmt.Errorf("tiling: Local fit %d: use Stretch, PadUp or PadNearest", c.Local)
	case c.Global > Crop:
		return fmt.Errorf("tiling: unknown Global fit %d", c.Global)
	case c.ShortEdge != 0 && (c.ShortEdge < c.Tile || c.ShortEdge > 2*maxTile):
		return fmt.Errorf("tiling: a shortest edge of %d pixels cannot hold a %d-pixel crop: use %d..%d", c.ShortEdge, c.Tile, c.Tile, 2*maxTile)
	}
	switch c.Method {
	case Idefics3:
		if c.LongestEdge < 1 || c.LongestEdge > maxLongestEdge {
			return fmt.Errorf("tiling: a longest edge of %d pixels: must be in 1..%d", c.LongestEdge, maxLongestEdge)
		}
		if side := int64((c.LongestEdge + c.Tile - 1) / c.Tile); side*side > maxCells {
			return fmt.Errorf("tiling: a longest edge of %d pixels makes up to %d tiles of %d: at most %d are allowed, use larger tiles",
				c.LongestEdge, side*side, c.Tile, maxCells)
		}
		return nil
	case Single:
		return nil
	}
	if len(c.Grids) == 0 {
		return fmt.Errorf("tiling: method %v has no candidate grids: set Grids, for example with UpTo(3, 3)", c.Method)
	}
	if len(c.Grids) > maxGrids {
		return fmt.Errorf("tiling: %d candidate grids: at most %d are allowed", len(c.Grids), maxGrids)
	}
	if !(c.Alpha >= 0 && c.Alpha < 1) { // also refuses NaN
		return fmt.Errorf("tiling: alpha %v: must be at least 0 and below 1", c.Alpha)
	}
	for _, g := range c.Grids {
		if err := g.check(); err != nil {
			return err
		}
		if n := int64(g.Cols) * int64(g.Rows) * int64(c.Tile) * int64(c.Tile); n > maxCanvasPixels {
			return fmt.Errorf("tiling: a canvas of %v tiles of %d pixels: more than %d pixels in all, use fewer or smaller tiles", g, c.Tile, maxCanvasPixels)
		}
	}
	return nil
}
