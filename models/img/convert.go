package img

import (
	"fmt"
	"image"
	"image/color"
)

// FromImage converts a picture of package image. Alpha is dropped: colours are
// kept as they are where alpha is straight (NRGBA) and divided by it where it is
// premultiplied (RGBA). 16-bit samples keep their high byte.
func FromImage(m image.Image) (RGB, error) {
	b := m.Bounds()
	if b.Empty() {
		return RGB{}, fmt.Errorf("img: %w: it has no pixels", ErrDamaged)
	}
	out := newRGB(b.Dx(), b.Dy())
	line := lines(m)
	bands(out.H, func(lo, hi int) {
		for y := lo; y < hi; y++ {
			line(out.row(y), b.Min.Y+y)
		}
	})
	return out, nil
}

// lines returns a function that converts the picture's row y.
func lines(m image.Image) func(dst []uint8, y int) {
	switch m := m.(type) {
	case *image.YCbCr:
		if m.Rect.Min.X >= 0 {
			return linesOfYCbCr(m)
		}
	case *image.Gray:
		return func(dst []uint8, y int) {
			for i, v := range m.Pix[m.PixOffset(m.Rect.Min.X, y):][:len(dst)/3] {
				put(dst, i, v, v, v)
			}
		}
	case *image.Gray16:
		return func(dst []uint8, y int) {
			in := m.Pix[m.PixOffset(m.Rect.Min.X, y):]
			for i := range len(dst) / 3 {
				v := in[2*i]
				put(dst, i, v, v, v)
			}
		}
	case *image.NRGBA:
		return func(dst []uint8, y int) {
			in := m.Pix[m.PixOffset(m.Rect.Min.X, y):]
			for i := range len(dst) / 3 {
				p := in[4*i : 4*i+4]
				put(dst, i, p[0], p[1], p[2])
			}
		}
	case *image.NRGBA64:
		return func(dst []uint8, y int) {
			in := m.Pix[m.PixOffset(m.Rect.Min.X, y):]
			for i := range len(dst) / 3 {
				p := in[8*i : 8*i+8]
				put(dst, i, p[0], p[2], p[4])
			}
		}
	case *image.RGBA:
		return func(dst []uint8, y int) {
			in := m.Pix[m.PixOffset(m.Rect.Min.X, y):]
			for i := range len(dst) / 3 {
				p := in[4*i : 4*i+4]
				if p[3] == 255 || p[3] == 0 {
					put(dst, i, p[0], p[1], p[2])
					continue
				}
				a := int(p[3])
				put(dst, i, uint8(min(int(p[0])*255/a, 255)), uint8(min(int(p[1])*255/a, 255)), uint8(min(int(p[2])*255/a, 255)))
			}
		}
	case *image.CMYK:
		return func(dst []uint8, y int) {
			in := m.Pix[m.PixOffset(m.Rect.Min.X, y):]
			for i := range len(dst) / 3 {
				p := in[4*i : 4*i+4]
				k := 255 - uint32(p[3])
				put(dst, i, ink(p[0], k), ink(p[1], k), ink(p[2], k))
			}
		}
	case *image.Paletted:
		var table [256][3]uint8
		for i, c := range m.Palette[:min(len(m.Palette), 256)] {
			table[i] = straight(c)
		}
		return func(dst []uint8, y int) {
			for i, v := range m.Pix[m.PixOffset(m.Rect.Min.X, y):][:len(dst)/3] {
				copy(dst[3*i:3*i+3], table[v][:])
			}
		}
	}
	x0 := m.Bounds().Min.X
	return func(dst []uint8, y int) {
		for i := range len(dst) / 3 {
			c := straight(m.At(x0+i, y))
			copy(dst[3*i:3*i+3], c[:])
		}
	}
}

func put(dst []uint8, i int, r, g, b uint8) {
	p := dst[3*i : 3*i+3 : 3*i+3]
	p[0], p[1], p[2] = r, g, b
}

// ink is Pillow's CMYK: what a share of ink leaves of the light that black
// leaves.
func ink(v uint8, light uint32) uint8 {
	t := uint32(v)*light + 128
	return uint8(light - (t+t>>8)>>8)
}

// straight returns a colour without its alpha.
func straight(c color.Color) [3]uint8 {
	switch c := c.(type) {
	case color.NRGBA:
		return [3]uint8{c.R, c.G, c.B}
	case color.NRGBA64:
		return [3]uint8{uint8(c.R >> 8), uint8(c.G >> 8), uint8(c.B >> 8)}
	}
	s := color.NRGBAModel.Convert(c).(color.NRGBA)
	return [3]uint8{s.R, s.G, s.B}
}

// linesOfYCbCr converts with the nearest chroma sample, as package image does.
func linesOfYCbCr(m *image.YCbCr) func(dst []uint8, y int) {
	shift := 0 // log2 of luma columns per chroma column
	switch m.SubsampleRatio {
	case image.YCbCrSubsampleRatio422, image.YCbCrSubsampleRatio420:
		shift = 1
	case image.YCbCrSubsampleRatio411, image.YCbCrSubsampleRatio410:
		shift = 2
	}
	x0 := m.Rect.Min.X
	return func(dst []uint8, y int) {
		luma := m.Y[m.YOffset(x0, y):]
		c := m.COffset(x0, y) - x0>>shift
		for i := range len(dst) / 3 {
			at := c + (x0+i)>>shift
			r, g, b := color.YCbCrToRGB(luma[i], m.Cb[at], m.Cr[at])
			put(dst, i, r, g, b)
		}
	}
}
