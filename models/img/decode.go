package img

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"
	"os"

	"golang.org/x/image/bmp"
	"golang.org/x/image/tiff"
)

// format is a kind of file: how to know it, how to read its header, its pixels
// and its Exif block.
type format struct {
	name   string
	match  func(data []byte) bool
	header func(data []byte) (header, error)
	decode func(data []byte) (RGB, error)
	exif   func(data []byte) []byte // a TIFF structure, or nil
}

// header is what a file claims about its picture, and how far to believe it. Up
// to free pixels are granted; beyond, the file must have a byte for every
// perByte pixels, which the densest file of its kind has.
type header struct {
	w, h          int
	free, perByte int64
}

const (
	freePixels = 1 << 20
	// A kind that can spend next to no bits on a uniform picture is believed
	// further, lest a blank page be refused.
	freeUniform = 1 << 24

	deflateRatio = 1032 // the most that deflate can compress
	lzwRatio     = 2731 // the most that LZW can: 12 bits for 4096 bytes
)

var formats = []format{
	{
		name: "JPEG", match: prefix("\xff\xd8\xff"), decode: decodeJPEG, exif: exifOfJPEG,
		header: config(jpeg.DecodeConfig, 8*64), // one bit for a block of 8x8
	},
	{
		name: "PNG", match: prefix("\x89PNG\r\n\x1a\n"), decode: decoder(png.Decode), exif: exifOfPNG,
		header: headerOfPNG,
	},
	{
		name: "GIF", match: func(d []byte) bool { return prefix("GIF87a")(d) || prefix("GIF89a")(d) }, decode: decodeGIF,
		header: config(gif.DecodeConfig, lzwRatio),
	},
	{
		name: "WebP", match: func(d []byte) bool { return prefix("RIFF")(d) && len(d) >= 12 && string(d[8:12]) == "WEBP" },
		header: headerOfWebP, decode: decodeWebP, exif: exifOfWebP,
	},
	{
		name: "BMP", match: prefix("BM"), decode: decoder(bmp.Decode),
		header: config(bmp.DecodeConfig, 8),
	},
	{
		name: "TIFF", match: func(d []byte) bool { return prefix("II*\x00")(d) || prefix("MM\x00*")(d) },
		header: headerOfTIFF, decode: decodeTIFF, exif: func(d []byte) []byte { return d },
	},
}

func prefix(p string) func([]byte) bool {
	return func(d []byte) bool { return len(d) >= len(p) && string(d[:len(p)]) == p }
}

func config(f func(io.Reader) (image.Config, error), perByte int64) func([]byte) (header, error) {
	return func(d []byte) (header, error) {
		c, err := f(bytes.NewReader(d))
		return header{c.Width, c.Height, freePixels, perByte}, err
	}
}

func decoder(f func(io.Reader) (image.Image, error)) func([]byte) (RGB, error) {
	return func(d []byte) (RGB, error) {
		m, err := f(bytes.NewReader(d))
		if err != nil {
			return RGB{}, err
		}
		return FromImage(m)
	}
}

// headerOfPNG reads the first chunk itself: package png refuses sizes that do not
// fit an int before anyone can say so in better words.
func headerOfPNG(d []byte) (header, error) {
	if len(d) < 33 || string(d[12:16]) != "IHDR" {
		return header{}, fmt.Errorf("no IHDR chunk: %w", io.ErrUnexpectedEOF)
	}
	w, h := binary.BigEndian.Uint32(d[16:]), binary.BigEndian.Uint32(d[20:])
	const most = 1<<31 - 1                           // by the PNG specification
	channels := [8]int64{1, 1, 3, 1, 2, 1, 4, 1}     // by colour type
	bits := max(int64(d[24]), 1) * channels[d[25]&7] // per pixel
	return header{int(min(w, most)), int(min(h, most)), freePixels, deflateRatio * 8 / bits}, nil
}

func headerOfTIFF(d []byte) (header, error) {
	h, err := config(tiff.DecodeConfig, 8*lzwRatio)(d)
	const samplesPerPixel = 0x0115
	if isFax(d) { // a white line takes one bit
		h.free, h.perByte = freeUniform, 1<<16
	} else if n, ok := shortTag(d, samplesPerPixel); ok && n >= 3 {
		h.perByte = lzwRatio / 3
	}
	return h, err
}

// isFax tells a TIFF compressed as CCITT group 3 or 4.
func isFax(d []byte) bool {
	const compression = 0x0103
	c, _ := shortTag(d, compression)
	return c == 3 || c == 4
}

// decodeTIFF corrects one fault of package tiff: in fax data white runs are zero
// bits, so that they are black where the file says that zero is black; the
// package shows them white.
func decodeTIFF(d []byte) (RGB, error) {
	p, err := decoder(tiff.Decode)(d)
	const photometric, blackIsZero = 0x0106, 1
	if v, _ := shortTag(d, photometric); err == nil && v == blackIsZero && isFax(d) {
		for i := range p.Pix {
			p.Pix[i] ^= 0xff
		}
	}
	return p, err
}

// Open reads and decodes a file; see [Decode].
func Open(path string, limits Limits) (RGB, error) {
	limits = limits.orDefault()
	f, err := os.Open(path)
	if err != nil {
		return RGB{}, fmt.Errorf("img: %w", err)
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil {
		return RGB{}, fmt.Errorf("img: %w", err)
	} else if info.IsDir() {
		return RGB{}, fmt.Errorf("img: %s: %w: it is a folder, name a file in it", path, ErrFormat)
	} else if info.Size() > int64(limits.MaxBytes) {
		return RGB{}, fmt.Errorf("img: %s: %w", path, tooManyBytes(info.Size(), limits))
	}
	// One byte beyond the limit, for files that do not know their size.
	data, err := io.ReadAll(io.LimitReader(f, int64(limits.MaxBytes)+1))
	if err != nil {
		return RGB{}, fmt.Errorf("img: %w", err)
	}
	return Decode(path, data, limits)
}

func tooManyBytes(n int64, l Limits) error {
	return fmt.Errorf("%w: a file of %d bytes, %d are allowed: recompress it or raise MaxBytes", ErrTooLarge, n, l.MaxBytes)
}

// Decode decodes a JPEG, PNG, GIF, WebP, BMP or TIFF file. name stands for it in
// errors. The format is told by the content, never by the name.
//
// The result is what Pillow's exif_transpose and convert("RGB") give: turned
// upright as the Exif orientation says (JPEG, PNG, WebP, TIFF), alpha dropped
// and not blended, of animations the first frame on its canvas, 16 bits cut to
// eight, colour profiles ignored. Pixels are Pillow's exactly, with two
// exceptions: 16-bit gray keeps its high byte, where Pillow clips everything
// above 255 to white; and JPEG goes through package image/jpeg, whose inverse
// cosine transform differs from libjpeg's by a level here and there (at most three
// in our tests).
//
// Errors wrap [ErrFormat], [ErrDamaged] or [ErrTooLarge].
func Decode(name string, data []byte, limits Limits) (RGB, error) {
	p, err := decode(data, limits.orDefault())
	if err != nil {
		return RGB{}, fmt.Errorf("img: %s: %w", name, err)
	}
	return p, nil
}

func decode(data []byte, limits Limits) (RGB, error) {
	if len(data) > limits.MaxBytes {
		return RGB{}, tooManyBytes(int64(len(data)), limits)
	}
	kind, err := sniff(data)
	if err != nil {
		return RGB{}, err
	}
	return kind.read(data, limits)
}

func (f *format) read(data []byte, limits Limits) (p RGB, err error) {
	// Most decoders are not ours. Should one of them panic on a forged file, that
	// is the file's fault and not the program's end.
	defer func() {
		if r := recover(); r != nil {
			p, err = RGB{}, fmt.Errorf("%w: the %s decoder gave up (%v): save the picture again", ErrDamaged, f.name, r)
		}
	}()
	h, err := f.header(data)
	if err != nil {
		return RGB{}, damaged(f, err)
	}
	if err := limits.check(h, len(data)); err != nil {
		return RGB{}, err
	}
	if p, err = f.decode(data); err != nil {
		return RGB{}, damaged(f, err)
	}
	if p.W != h.w || p.H != h.h {
		return RGB{}, damaged(f, fmt.Errorf("%dx%d pixels in a file whose header says %dx%d", p.W, p.H, h.w, h.h))
	}
	if f.exif != nil {
		p = upright(p, orientation(f.exif(data)))
	}
	return p, nil
}

func damaged(kind *format, err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: the %s file ends too early: get the whole file again (%w)", ErrDamaged, kind.name, err)
	}
	return fmt.Errorf("%w: not a readable %s file: save it again as PNG or JPEG (%w)", ErrDamaged, kind.name, err)
}

func sniff(data []byte) (*format, error) {
	for i := range formats {
		if formats[i].match(data) {
			return &formats[i], nil
		}
	}
	switch {
	case len(data) == 0:
		return nil, fmt.Errorf("%w: the file is empty", ErrFormat)
	case len(data) >= 12 && string(data[4:8]) == "ftyp":
		return nil, fmt.Errorf("%w: it looks like HEIC, AVIF or a video (%q): convert it to JPEG or PNG", ErrFormat, data[8:12])
	}
	return nil, fmt.Errorf("%w: it begins with %q: use JPEG, PNG, GIF, WebP, BMP or TIFF", ErrFormat, data[:min(len(data), 8)])
}
