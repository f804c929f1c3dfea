package resample

import (
	"fmt"
	"image"
)

// Image is a picture of packed 8-bit samples: row by row, pixel by pixel,
// Channels bytes per pixel (1 gray, 3 RGB, 4 RGBA with straight alpha), no gap
// between rows. len(Pix) is W*H*Channels.
type Image struct {
	W, H     int
	Channels int
	Pix      []uint8
}

// maxSide bounds the size a picture may be resized to, far beyond any use, so
// that all arithmetic stays within an int and Pillow's float32 box is exact.
const maxSide = 1 << 24

// maxSamples bounds the samples of one result.
const maxSamples = 1 << 30

// Resize returns src resized to w x h pixels. With four channels colours are
// weighted by their alpha, as Pillow does (premultiply, resize, undo, each
// rounding to eight bits); with [Nearest], or when the size stays the same, no
// sample changes its value.
//
// It fails when src is not a picture of the described form or a side is not in
// 1..2^24.
func Resize(src Image, w, h int, f Filter) (Image, error) {
	return Window(src, w, h, image.Rect(0, 0, w, h), f)
}

// Window returns the part win of what [Resize] would return, in time and memory
// proportional to that part: the middle square of a very long picture never
// needs the whole. win must be a non-empty part of (0,0)-(w,h).
func Window(src Image, w, h int, win image.Rectangle, f Filter) (Image, error) {
	if err := check(src, w, h, win, f); err != nil {
		return Image{}, err
	}
	dst := Image{W: win.Dx(), H: win.Dy(), Channels: src.Channels}
	if w == src.W && h == src.H {
		dst.Pix = crop(src, win)
		return dst, nil
	}
	dst.Pix = make([]uint8, dst.W*dst.H*dst.Channels)
	if f == Nearest {
		pick(dst, src, nearest(src.W, w, win.Min.X, win.Max.X), nearest(src.H, h, win.Min.Y, win.Max.Y))
		return dst, nil
	}
	if src.Channels == 4 {
		src.Pix = premultiplied(src.Pix)
	}
	p := pass{dst: dst, src: src, x0: win.Min.X, y0: win.Min.Y}
	if w != src.W {
		p.h = axis(src.W, w, win.Min.X, win.Max.X, f)
	}
	if h != src.H {
		p.v = axis(src.H, h, win.Min.Y, win.Max.Y, f)
	}
	p.run()
	if src.Channels == 4 {
		unpremultiply(dst.Pix)
	}
	return dst, nil
}

func check(src Image, w, h int, win image.Rectangle, f Filter) error {
	switch {
	case int(f) >= len(kernels):
		return fmt.Errorf("resample: unknown filter %v", f)
	case src.Channels != 1 && src.Channels != 3 && src.Channels != 4:
		return fmt.Errorf("resample: a picture of %d channels: only 1, 3 and 4 are known", src.Channels)
	case src.W < 1 || src.H < 1 || src.W > maxSide || src.H > maxSide:
		return fmt.Errorf("resample: a source of %dx%d pixels: each side must be in 1..%d", src.W, src.H, maxSide)
	case int64(len(src.Pix)) != int64(src.W)*int64(src.H)*int64(src.Channels):
		return fmt.Errorf("resample: %d samples for a source of %dx%d pixels of %d channels: want %d",
			len(src.Pix), src.W, src.H, src.Channels, int64(src.W)*int64(src.H)*int64(src.Channels))
	case w < 1 || h < 1 || w > maxSide || h > maxSide:
		return fmt.Errorf("resample: a target of %dx%d pixels: each side must be in 1..%d", w, h, maxSide)
	case win.Empty() || !win.In(image.Rect(0, 0, w, h)):
		return fmt.Errorf("resample: window %v is not a part of the %dx%d target", win, w, h)
	case int64(win.Dx())*int64(win.Dy())*int64(src.Channels) > maxSamples:
		return fmt.Errorf("resample: a result of %dx%d pixels is too large", win.Dx(), win.Dy())
	}
	return nil
}

func crop(src Image, win image.Rectangle) []uint8 {
	n := win.Dx() * src.Channels
	out := make([]uint8, 0, n*win.Dy())
	for y := win.Min.Y; y < win.Max.Y; y++ {
		at := (y*src.W + win.Min.X) * src.Channels
		out = append(out, src.Pix[at:at+n]...)
	}
	return out
}

// pick copies the samples at columns xs and rows ys.
func pick(dst, src Image, xs, ys []int) {
	c := src.Channels
	out := dst.Pix
	for _, y := range ys {
		row := src.Pix[y*src.W*c : (y+1)*src.W*c]
		for _, x := range xs {
			copy(out, row[x*c:(x+1)*c])
			out = out[c:]
		}
	}
}

// premultiplied returns RGBA samples with colours times alpha / 255, rounded.
func premultiplied(pix []uint8) []uint8 {
	out := make([]uint8, len(pix))
	for i := 0; i+3 < len(pix); i += 4 {
		a := uint32(pix[i+3])
		for c := range 3 {
			t := uint32(pix[i+c])*a + 128
			out[i+c] = uint8((t + t>>8) >> 8) // t/255, rounded, for any 16-bit t
		}
		out[i+3] = uint8(a)
	}
	return out
}

// unpremultiply undoes premultiplied in place, rounding down as Pillow does.
func unpremultiply(pix []uint8) {
	for i := 0; i+3 < len(pix); i += 4 {
		a := uint32(pix[i+3])
		if a == 0 || a == 255 {
			continue
		}
		for c := range 3 {
			pix[i+c] = uint8(min(255*uint32(pix[i+c])/a, 255))
		}
	}
}
