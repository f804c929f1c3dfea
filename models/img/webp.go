package img

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"io"

	"golang.org/x/image/vp8"
	"golang.org/x/image/vp8l"
)

// WebP's container is walked here rather than by package webp, for three
// reasons: its header can be trusted only together with the picture chunk's own
// (a small canvas may hide a huge picture), the first frame of an animation is
// wanted too, and VP8's colours are those of television (16..235), which package
// image takes for JPEG's.

// webpFile is what matters of a WebP file.
type webpFile struct {
	w, h  int // canvas
	x, y  int // of the frame on it
	kind  string
	frame []byte // VP8 or VP8L bitstream
	exif  []byte
}

var errNoFrame = errors.New("no picture in it")

func parseWebP(d []byte) (webpFile, error) {
	var f webpFile
	if n := int64(binary.LittleEndian.Uint32(d[4:])) + 8; n < int64(len(d)) {
		d = d[:max(n, 12)] // what follows is not part of the picture
	} else if n > int64(len(d)) {
		return f, io.ErrUnexpectedEOF
	}
	extended := false
	err := chunks(d[12:], func(id string, body []byte) error {
		switch {
		case id == "VP8X" && f.frame == nil:
			if len(body) < 10 {
				return errors.New("a short VP8X chunk")
			}
			extended = true
			f.w, f.h = uint24(body[4:])+1, uint24(body[7:])+1
		case id == "ANMF" && f.frame == nil:
			if len(body) < 16 {
				return errors.New("a short ANMF chunk")
			}
			f.x, f.y = 2*uint24(body), 2*uint24(body[3:])
			return chunks(body[16:], func(id string, body []byte) error {
				if f.frame == nil && (id == "VP8 " || id == "VP8L") {
					f.kind, f.frame = id, body
				}
				return nil
			})
		case f.frame == nil && (id == "VP8 " || id == "VP8L"):
			f.kind, f.frame = id, body
		case id == "EXIF" && f.exif == nil:
			f.exif = bytes.TrimPrefix(body, []byte(exifMark))
		}
		return nil
	})
	if err != nil {
		return f, err
	}
	if f.frame == nil {
		return f, errNoFrame
	}
	w, h, err := f.frameSize()
	if err != nil {
		return f, err
	}
	if w < 1 || h < 1 {
		return f, errNoFrame
	}
	if !extended {
		f.w, f.h = w, h
	}
	if f.x+w > f.w || f.y+h > f.h {
		return f, fmt.Errorf("a frame of %dx%d pixels at (%d,%d) on a canvas of %dx%d", w, h, f.x, f.y, f.w, f.h)
	}
	return f, nil
}

func uint24(b []byte) int { return int(b[0]) | int(b[1])<<8 | int(b[2])<<16 }

// chunks calls f for each RIFF chunk.
func chunks(d []byte, f func(id string, body []byte) error) error {
	for len(d) >= 8 {
		n := int64(binary.LittleEndian.Uint32(d[4:]))
		if n > int64(len(d)-8) {
			return io.ErrUnexpectedEOF
		}
		if err := f(string(d[:4]), d[8:8+n]); err != nil {
			return err
		}
		n += n & 1 // chunks are padded to even length
		if 8+n >= int64(len(d)) {
			return nil
		}
		d = d[8+n:]
	}
	return nil
}

// frameSize reads the bitstream's own header.
func (f *webpFile) frameSize() (w, h int, err error) {
	if f.kind == "VP8L" {
		c, err := vp8l.DecodeConfig(bytes.NewReader(f.frame))
		return c.Width, c.Height, err
	}
	d := vp8.NewDecoder()
	d.Init(bytes.NewReader(f.frame), len(f.frame))
	c, err := d.DecodeFrameHeader()
	return c.Width, c.Height, err
}

func headerOfWebP(d []byte) (header, error) {
	f, err := parseWebP(d)
	h := header{f.w, f.h, freePixels, 640} // VP8 spends at least 3.4 bits on 16x16 pixels
	if f.kind == "VP8L" {
		h.free, h.perByte = freeUniform, 1<<14 // a picture of one colour takes no bits at all
	}
	return h, err
}

func exifOfWebP(d []byte) []byte {
	f, err := parseWebP(d)
	if err != nil {
		return nil
	}
	return f.exif
}

func decodeWebP(d []byte) (RGB, error) {
	f, err := parseWebP(d)
	if err != nil {
		return RGB{}, err
	}
	frame, err := f.decode()
	if err != nil {
		return RGB{}, err
	}
	if frame.W == f.w && frame.H == f.h {
		return frame, nil
	}
	canvas := newRGB(f.w, f.h)
	for y := range frame.H {
		copy(canvas.row(f.y + y)[3*f.x:], frame.row(y))
	}
	return canvas, nil
}

func (f *webpFile) decode() (RGB, error) {
	if f.kind == "VP8L" {
		m, err := vp8l.Decode(bytes.NewReader(f.frame))
		if err != nil {
			return RGB{}, err
		}
		return FromImage(m)
	}
	d := vp8.NewDecoder()
	d.Init(bytes.NewReader(f.frame), len(f.frame))
	if _, err := d.DecodeFrameHeader(); err != nil {
		return RGB{}, err
	}
	m, err := d.DecodeFrame()
	if err != nil {
		return RGB{}, err
	}
	return fromVP8(m), nil
}

// fromVP8 converts as libwebp does by default: chroma between samples is
// interpolated with weights 9, 3, 3, 1, and BT.601 is applied in fixed point.
func fromVP8(m *image.YCbCr) RGB {
	out := newRGB(m.Rect.Dx(), m.Rect.Dy())
	cw, ch := (out.W+1)/2, (out.H+1)/2
	bands(out.H, func(lo, hi int) {
		cb, cr := make([]uint8, out.W), make([]uint8, out.W)
		for y := lo; y < hi; y++ {
			near := y / 2
			far := min(max(near-1+y%2*2, 0), ch-1)
			upsample(cb, m.Cb[near*m.CStride:][:cw], m.Cb[far*m.CStride:][:cw])
			upsample(cr, m.Cr[near*m.CStride:][:cw], m.Cr[far*m.CStride:][:cw])
			row := out.row(y)
			for x, l := range m.Y[y*m.YStride:][:out.W] {
				r, g, b := fromBT601(int32(l), int32(cb[x]), int32(cr[x]))
				put(row, x, r, g, b)
			}
		}
	})
	return out
}

// upsample computes one row of chroma from the sample row that is nearer to it
// and the one that is farther.
func upsample(dst, near, far []uint8) {
	for x := range dst {
		i := x / 2
		j := i - 1 + x%2*2 // the neighbour on the other side
		n, f := int(near[i]), int(far[i])
		if j < 0 || j >= len(near) {
			dst[x] = uint8((3*n + f + 2) >> 2)
			continue
		}
		n2, f2 := int(near[j]), int(far[j])
		// (9n + 3f + 3n2 + f2 + 8) / 16, in libwebp's two roundings.
		diagonal := (n + n2 + f + f2 + 8 + 2*(n2+f)) >> 3
		dst[x] = uint8((diagonal + n) >> 1)
	}
}

// fromBT601 converts a colour of limited range (16..235, 16..240) in libwebp's
// fixed point: 14 fractional bits, of which 8 are dropped before the sum.
func fromBT601(y, cb, cr int32) (r, g, b uint8) {
	l := y * 19077 >> 8
	return level(l + cr*26149>>8 - 14234),
		level(l - cb*6419>>8 - cr*13320>>8 + 8708),
		level(l + cb*33050>>8 - 17685)
}

func level(v int32) uint8 { return clip(v >> 6) }
