package img

import (
	"bytes"
	"errors"
	"image"
	"image/gif"
)

// decodeGIF decodes the first frame and lays it on the file's canvas, as Pillow
// does: what it does not cover shows the transparent colour, or the first one.
// The palette is read here because package gif makes the transparent entry
// black, while dropping alpha means keeping its colour.
func decodeGIF(d []byte) (RGB, error) {
	c, err := gif.DecodeConfig(bytes.NewReader(d))
	if err != nil {
		return RGB{}, err
	}
	m, err := gif.Decode(bytes.NewReader(d))
	if err != nil {
		return RGB{}, err
	}
	frame, ok := m.(*image.Paletted)
	if !ok || !frame.Rect.In(image.Rect(0, 0, c.Width, c.Height)) {
		return RGB{}, errors.New("the first frame lies outside the picture")
	}
	palette, ground, err := gifPalette(d)
	if err != nil {
		return RGB{}, err
	}
	out := newRGB(c.Width, c.Height)
	for y := range out.H {
		row := out.row(y)
		for x := range out.W {
			v := ground
			if (image.Point{X: x, Y: y}).In(frame.Rect) {
				v = frame.Pix[frame.PixOffset(x, y)]
			}
			copy(row[3*x:3*x+3], palette[v][:])
		}
	}
	return out, nil
}

var errShortGIF = errors.New("no frame")

// gifPalette returns the first frame's colours, black where there are none, and
// the index of what it does not cover.
func gifPalette(d []byte) (palette [256][3]uint8, ground uint8, err error) {
	const head, descriptor = 13, 10
	take := func(n int) ([]byte, bool) {
		if n > len(d) {
			return nil, false
		}
		part := d[:n]
		d = d[n:]
		return part, true
	}
	colours := func(flags byte) bool {
		if flags&0x80 == 0 {
			return true
		}
		part, ok := take(3 << (flags&7 + 1))
		palette = [256][3]uint8{}
		for i := range len(part) / 3 {
			palette[i] = [3]uint8(part[3*i:])
		}
		return ok
	}
	screen, ok := take(head)
	if !ok || !colours(screen[10]) {
		return palette, 0, errShortGIF
	}
	for {
		b, ok := take(1)
		if !ok {
			return palette, 0, errShortGIF
		}
		switch b[0] {
		case 0x2c: // image descriptor, its introducer taken
			part, ok := take(descriptor - 1)
			if !ok || !colours(part[8]) {
				return palette, 0, errShortGIF
			}
			return palette, ground, nil
		case 0x21: // extension
			label, ok := take(1)
			for first := true; ok; first = false {
				var n, body []byte
				if n, ok = take(1); !ok || n[0] == 0 {
					break
				}
				body, ok = take(int(n[0]))
				const graphicControl = 0xf9
				if ok && first && label[0] == graphicControl && len(body) >= 4 {
					ground = 0
					if body[0]&1 != 0 {
						ground = body[3]
					}
				}
			}
			if !ok {
				return palette, 0, errShortGIF
			}
		default:
			return palette, 0, errShortGIF
		}
	}
}
