package tiling

import (
	"fmt"
	"math"

	"github.com/heddle-ml/heddle/models/img/resample"
)

// Layout says everything about cutting one picture: its Views, each a rendition
// of the whole picture cut row by row, in the order in which tiles follow.
type Layout struct {
	Grid    Grid
	Tile    int  // side of a tile
	Picture Size // the picture this was made for
	Filter  resample.Filter
	Pad     [3]uint8

	// Prepare lists sizes to which the picture is resized, one after the other,
	// before any view is made of it. Usually empty.
	Prepare []Size
	Views   []View
}

// View is one rendition of the picture on a canvas of whole tiles.
type View struct {
	Global     bool // the picture as a whole on one tile
	Cols, Rows int  // the canvas is Cols*Tile x Rows*Tile
	Resize     Size // size the (prepared) picture is resized to
	X, Y       int  // where its top left corner lies on the canvas; negative: that much is cut off
}

// Layout chooses the grid for a picture of w x h pixels and lays it out.
func (c Config) Layout(w, h int) (Layout, error) {
	g, err := c.Grid(w, h)
	if err != nil {
		return Layout{}, err
	}
	l := Layout{Grid: g, Tile: c.Tile, Picture: Size{w, h}, Filter: c.Filter, Pad: c.Pad}
	if c.Method == Idefics3 {
		first, second := c.idefics3(w, h)
		l.Prepare = []Size{first, second}
		w, h = second.W, second.H
	}
	global, err := c.view(w, h, Cells{1, 1}, c.Global)
	if err != nil {
		return Layout{}, err
	}
	global.Global = true
	if g.Tiles == 1 {
		l.Views = []View{global}
		return l, nil
	}
	local, err := c.view(w, h, Cells{g.Cols, g.Rows}, c.Local)
	if err != nil {
		return Layout{}, err
	}
	if c.GlobalLast {
		l.Views = []View{local, global}
	} else {
		l.Views = []View{global, local}
	}
	return l, nil
}

func (c Config) view(w, h int, g Cells, fit Fit) (View, error) {
	canvas := c.canvas(g)
	v := View{Cols: g.Cols, Rows: g.Rows}
	switch fit {
	case Stretch:
		v.Resize = canvas
	case PadUp:
		v.Resize = fitUp(w, h, canvas)
	case PadNearest:
		v.Resize = fitNearest(w, h, canvas)
	case Crop:
		short := c.ShortEdge
		if short == 0 {
			short = c.Tile
		}
		long := float64(int64(short)*int64(max(w, h))) / float64(min(w, h))
		if long >= maxCropped {
			return View{}, fmt.Errorf("tiling: a picture of %dx%d pixels is too long for its width to be cropped to a square: crop it before, or use a method that pads or tiles", w, h)
		}
		v.Resize = Size{int(long), short}
		if w <= h {
			v.Resize = Size{short, int(long)}
		}
		// Half the excess, rounded down, is cut off on the left and on top.
		v.X, v.Y = -((v.Resize.W - canvas.W) / 2), -((v.Resize.H - canvas.H) / 2)
		return v, nil
	}
	v.X, v.Y = (canvas.W-v.Resize.W)/2, (canvas.H-v.Resize.H)/2
	return v, nil
}

// maxCropped bounds the length of a picture resized to be cropped: what
// package resample takes.
const maxCropped = 1 << 24

// fitUp is LLaVA-NeXT's resize, in its float64 arithmetic.
func fitUp(w, h int, canvas Size) Size {
	sw, sh := float64(canvas.W)/float64(w), float64(canvas.H)/float64(h)
	if sw < sh {
		return Size{canvas.W, min(int(math.Ceil(float64(h)*sw)), canvas.H)}
	}
	return Size{min(int(math.Ceil(float64(w)*sh)), canvas.W), canvas.H}
}

// fitNearest rounds half up in integers.
func fitNearest(w, h int, canvas Size) Size {
	pw, ph, W, H := int64(w), int64(h), int64(canvas.W), int64(canvas.H)
	if W*ph <= H*pw {
		return Size{canvas.W, int(max((2*ph*W+pw)/(2*pw), 1))}
	}
	return Size{int(max((2*pw*H+ph)/(2*ph), 1)), canvas.H}
}
