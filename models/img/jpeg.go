package img

import (
	"bytes"
	"image"
	"image/jpeg"
)

// Package jpeg decodes to luma and chroma planes; what becomes of them is done
// here as libjpeg does by default, since that is what training pictures went
// through: subsampled chroma is interpolated ("fancy upsampling"), and the
// conversion rounds. Package image repeats chroma samples instead, which shifts
// colours at edges by dozens of levels.

func decodeJPEG(d []byte) (RGB, error) {
	m, err := jpeg.Decode(bytes.NewReader(d))
	if err != nil {
		return RGB{}, err
	}
	c, ok := m.(*image.YCbCr)
	if !ok || c.Rect.Min != (image.Point{}) {
		return FromImage(m) // gray, CMYK or stored as RGB
	}
	return fromJFIF(c), nil
}

// fromJFIF converts planes whose chroma is halved in no, one or both directions,
// or, without interpolation, otherwise reduced.
func fromJFIF(m *image.YCbCr) RGB {
	out := newRGB(m.Rect.Dx(), m.Rect.Dy())
	var chroma func(dst, plane []uint8, y int)
	half := (out.W + 1) / 2
	switch ratio := m.SubsampleRatio; {
	case ratio == image.YCbCrSubsampleRatio422 && half > 2:
		chroma = func(dst, plane []uint8, y int) { widen(dst, plane[y*m.CStride:][:half]) }
	case ratio == image.YCbCrSubsampleRatio420 && half > 2:
		last := (out.H+1)/2 - 1
		chroma = func(dst, plane []uint8, y int) {
			near := y / 2
			far := min(max(near-1+y%2*2, 0), last)
			enlarge(dst, plane[near*m.CStride:][:half], plane[far*m.CStride:][:half])
		}
	default:
		chroma = func(dst, plane []uint8, y int) {
			for x := range dst {
				dst[x] = plane[m.COffset(x, y)]
			}
		}
	}
	bands(out.H, func(lo, hi int) {
		cb, cr := make([]uint8, out.W), make([]uint8, out.W)
		for y := lo; y < hi; y++ {
			chroma(cb, m.Cb, y)
			chroma(cr, m.Cr, y)
			row := out.row(y)
			for x, l := range m.Y[y*m.YStride:][:out.W] {
				r, g, b := fromJFIFColour(int32(l), int32(cb[x])-128, int32(cr[x])-128)
				put(row, x, r, g, b)
			}
		}
	})
	return out
}

// widen doubles a row of samples that each stand between two columns: three
// parts of the nearer, one of the other. The two roundings alternate, as a
// dither. dst is as long as the picture is wide.
func widen(dst, in []uint8) {
	for x := range dst {
		i := x / 2
		v := int(in[i])
		switch j := i - 1 + x%2*2; {
		case j < 0 || j >= len(in): // the border has no neighbour
		case x%2 == 0:
			v = (3*v + int(in[j]) + 1) >> 2
		default:
			v = (3*v + int(in[j]) + 2) >> 2
		}
		dst[x] = uint8(v)
	}
}

// enlarge does so in both directions, for the output row between the nearer and
// the farther row of samples.
func enlarge(dst, near, far []uint8) {
	column := func(i int) int { return 3*int(near[i]) + int(far[i]) }
	for x := range dst {
		i := x / 2
		v := column(i)
		if j := i - 1 + x%2*2; j < 0 || j >= len(near) {
			v *= 4
		} else {
			v = 3*v + column(j)
		}
		dst[x] = uint8((v + 8 - x%2) >> 4)
	}
}

// fromJFIFColour converts a full-range BT.601 colour in 16-bit fixed point; cb
// and cr are relative to 128.
func fromJFIFColour(y, cb, cr int32) (r, g, b uint8) {
	const half = 1 << 15
	return clip(y + (91881*cr+half)>>16),
		clip(y + (-22554*cb-46802*cr+half)>>16),
		clip(y + (116130*cb+half)>>16)
}

func clip(v int32) uint8 { return uint8(min(max(v, 0), 255)) }
