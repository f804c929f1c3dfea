package img_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/models/img"
)

// pngClaiming is a PNG whose header claims w x h pixels of the colour type,
// with no data to speak of.
func pngClaiming(w, h uint32, colour byte) []byte {
	var b bytes.Buffer
	b.WriteString("\x89PNG\r\n\x1a\n")
	chunk := func(id string, body []byte) {
		binary.Write(&b, binary.BigEndian, uint32(len(body)))
		sum := crc32.NewIEEE()
		sum.Write([]byte(id))
		sum.Write(body)
		b.WriteString(id)
		b.Write(body)
		binary.Write(&b, binary.BigEndian, sum.Sum32())
	}
	head := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, w), h)
	chunk("IHDR", append(head, 8, colour, 0, 0, 0))
	chunk("IDAT", []byte{0x78, 0x9c, 0x63, 0, 0})
	chunk("IEND", nil)
	return b.Bytes()
}

// riff is a WebP file of the given chunks.
func riff(chunks ...string) []byte {
	body := "WEBP"
	for i := 0; i < len(chunks); i += 2 {
		body += chunks[i] + string(binary.LittleEndian.AppendUint32(nil, uint32(len(chunks[i+1])))) + chunks[i+1]
		if len(chunks[i+1])%2 == 1 {
			body += "\x00"
		}
	}
	return []byte("RIFF" + string(binary.LittleEndian.AppendUint32(nil, uint32(len(body)))) + body)
}

// vp8l is a lossless WebP header of w x h pixels.
func vp8l(w, h int) string {
	bits := uint32(w-1) | uint32(h-1)<<14
	return "\x2f" + string(binary.LittleEndian.AppendUint32(nil, bits)) + "\x00\x00\x00"
}

// vp8x is an extended WebP header with a canvas of w x h pixels.
func vp8x(w, h int) string {
	w, h = w-1, h-1
	return string([]byte{0, 0, 0, 0, byte(w), byte(w >> 8), byte(w >> 16), byte(h), byte(h >> 8), byte(h >> 16)})
}

// TestHeaderBombs: a header's claims cost no memory.
func TestHeaderBombs(t *testing.T) {
	gifHead := func(w, h uint16) []byte {
		b := binary.LittleEndian.AppendUint16([]byte("GIF89a"), w)
		return append(binary.LittleEndian.AppendUint16(b, h), 0x80, 0, 0, 0, 0, 0, 255, 255, 255,
			0x2c, 0, 0, 0, 0, 1, 0, 1, 0, 0, 2, 2, 0x44, 1, 0, 0x3b)
	}
	bmp := append([]byte("BM\x00\x00\x00\x00\x00\x00\x00\x00\x36\x00\x00\x00\x28\x00\x00\x00\x00\x20\x00\x00\x00\x20\x00\x00\x01\x00\x18\x00"), make([]byte, 24)...)
	jpg := []byte("\xff\xd8\xff\xc0\x00\x11\x08\x27\xff\x27\xff\x03\x01\x22\x00\x02\x11\x00\x03\x11\x00\xff\xda\x00\x0c\x03\x01\x00\x02\x00\x03\x00\x00\x3f\x00")
	cases := []struct {
		name string
		data []byte
		is   error
		want string
	}{
		{"png-100k", pngClaiming(100000, 100000, 2), img.ErrTooLarge, "100000x100000 pixels, a side may have 65536: scale it down or raise MaxSide"},
		{"png-max", pngClaiming(1<<31-1, 1<<31-1, 6), img.ErrTooLarge, "a side may have"},
		{"png-beyond", pngClaiming(1<<32-1, 1, 6), img.ErrTooLarge, "a side may have"},
		{"png-area", pngClaiming(40000, 40000, 2), img.ErrTooLarge, "raise MaxPixels"},
		{"png-forged", pngClaiming(10000, 10000, 2), img.ErrDamaged, "its 62 bytes cannot hold"},
		{"png-zero", pngClaiming(0, 5, 2), img.ErrDamaged, "0x5 pixels, there is nothing to see"},
		{"gif", gifHead(11000, 11000), img.ErrDamaged, "cannot hold"},
		{"gif-zero", gifHead(0, 0), img.ErrDamaged, "0x0"},
		{"bmp", bmp, img.ErrDamaged, "cannot hold"},
		{"jpeg", jpg, img.ErrDamaged, "cannot hold"},
		{"webp-lossless", riff("VP8L", vp8l(10000, 10000)), img.ErrDamaged, "cannot hold"},
		{"webp-hidden", riff("VP8X", vp8x(10, 10), "VP8L", vp8l(10000, 10000)), img.ErrDamaged, "on a canvas of 10x10"},
		{"webp-canvas", riff("VP8X", vp8x(1<<24, 1<<24), "VP8L", vp8l(1, 1)), img.ErrTooLarge, "16777216x16777216"},
		{"webp-short", riff("VP8L", vp8l(10, 10))[:26], img.ErrDamaged, "WebP file ends too early"},
		{"webp-empty", riff("VP8X", vp8x(10, 10)), img.ErrDamaged, "no picture in it"},
		{"webp-frame", riff("VP8X", vp8x(10, 10), "ANMF", strings.Repeat("\x00", 20)), img.ErrDamaged, "no picture in it"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := img.Decode("the.file", c.data, img.Limits{})
			runtime.ReadMemStats(&after)
			require.ErrorIs(t, err, c.is)
			require.ErrorContains(t, err, "the.file")
			require.ErrorContains(t, err, c.want)
			require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<20))
		})
	}
}

// TestTruncated cuts every test picture short in many places: an error that
// says so, or, where a format ends in what is not needed, the picture.
func TestTruncated(t *testing.T) {
	for name, data := range pictures(t) {
		whole, err := img.Decode(name, data, img.Limits{})
		require.NoError(t, err)
		for i := range 40 {
			part := data[:len(data)*i/40]
			p, err := img.Decode(name, part, img.Limits{})
			if err == nil {
				require.Equal(t, [2]int{whole.W, whole.H}, [2]int{p.W, p.H}, name)
				continue
			}
			require.True(t, errors.Is(err, img.ErrDamaged) || errors.Is(err, img.ErrFormat), "%v", err)
			require.NotContains(t, err.Error(), "gave up", "a decoder panicked")
		}
		// Half a picture is no picture: all formats here store pixels to the end.
		_, err = img.Decode(name, data[:len(data)/2], img.Limits{})
		if !strings.Contains(name, "two.gif") && !strings.Contains(name, "animated") {
			require.ErrorIs(t, err, img.ErrDamaged, name)
		}
	}
}

func pictures(tb testing.TB) map[string][]byte {
	tb.Helper()
	out := map[string][]byte{}
	entries, err := os.ReadDir(filepath.Join("testdata", "pictures"))
	require.NoError(tb, err)
	for _, e := range entries {
		if filepath.Ext(e.Name()) == ".json" || strings.Contains(e.Name(), "expected") {
			continue
		}
		data, err := os.ReadFile(filepath.Join("testdata", "pictures", e.Name()))
		require.NoError(tb, err)
		out[e.Name()] = data
	}
	require.Greater(tb, len(out), 60)
	return out
}

func TestLimits(t *testing.T) {
	data := pictures(t)["rgb.png"] // 37x29
	for _, c := range []struct {
		limits img.Limits
		want   string
	}{
		{img.Limits{MaxPixels: 37*29 - 1}, "raise MaxPixels"},
		{img.Limits{MaxSide: 36}, "raise MaxSide"},
		{img.Limits{MaxBytes: len(data) - 1}, "raise MaxBytes"},
		{img.Limits{MaxPixels: 37 * 29, MaxSide: 37, MaxBytes: len(data)}, ""},
	} {
		_, err := img.Decode("x", data, c.limits)
		_, openErr := img.Open(filepath.Join("testdata", "pictures", "rgb.png"), c.limits)
		if c.want == "" {
			require.NoError(t, err)
			require.NoError(t, openErr)
			continue
		}
		require.ErrorIs(t, err, img.ErrTooLarge)
		require.ErrorContains(t, err, c.want)
		require.ErrorIs(t, openErr, img.ErrTooLarge)
		require.ErrorContains(t, openErr, "rgb.png")
	}
}

func TestNotAPicture(t *testing.T) {
	for text, want := range map[string]string{
		"":                               "the file is empty",
		"hello":                          `begins with "hello": use JPEG`,
		"\x00\x00\x00\x18ftypheic\x00":   "HEIC",
		"%PDF-1.7 and so on and so on":   "%PDF-1.7",
		"RIFF\x00\x00\x00\x00WAVEfmt ":   "RIFF",
		"\xff\xd8":                       "use JPEG",
		"BM":                             "BMP file ends too early",
		"GIF89a":                         "not a readable GIF file",
		"\xff\xd8\xff":                   "JPEG file ends too early",
		"\x89PNG\r\n\x1a\n":              "PNG file ends too early",
		"II*\x00\xff\xff\xff\xff":        "TIFF",
		"RIFF\x00\x00\x00\x00WEBPVP8 ":   "WebP",
		"\x89PNG\r\n\x1a\n" + "\x00\x00": "PNG",
	} {
		_, err := img.Decode("f", []byte(text), img.Limits{})
		require.ErrorContains(t, err, want, "%q", text)
		require.True(t, errors.Is(err, img.ErrFormat) || errors.Is(err, img.ErrDamaged))
	}
	_, err := img.Open(filepath.Join("testdata", "none.png"), img.Limits{})
	require.ErrorIs(t, err, os.ErrNotExist)
	require.ErrorContains(t, err, "none.png")
	_, err = img.Open("testdata", img.Limits{})
	require.ErrorIs(t, err, img.ErrFormat)
}

// TestGIFCanvas: a first frame smaller than the file's canvas, with the
// transparent colour around it.
func TestGIFCanvas(t *testing.T) {
	palette := color.Palette{color.RGBA{10, 20, 30, 255}, color.RGBA{200, 100, 50, 255}, color.RGBA{1, 2, 3, 255}, color.RGBA{}}
	frame := image.NewPaletted(image.Rect(2, 1, 4, 3), palette)
	for i := range frame.Pix {
		frame.Pix[i] = 1
	}
	var b bytes.Buffer
	require.NoError(t, gif.EncodeAll(&b, &gif.GIF{
		Image: []*image.Paletted{frame}, Delay: []int{0},
		Config: image.Config{Width: 5, Height: 4, ColorModel: palette},
	}))
	// The encoder writes the transparent entry as black; give it a colour.
	data := b.Bytes()
	at := 13 + 3*3
	require.Equal(t, []byte{0, 0, 0}, data[at:at+3])
	copy(data[at:], []byte{7, 8, 9})
	p, err := img.Decode("canvas.gif", data, img.Limits{})
	require.NoError(t, err)
	require.Equal(t, [2]int{5, 4}, [2]int{p.W, p.H})
	for y := range 4 {
		for x := range 5 {
			want := []byte{7, 8, 9}
			if (image.Point{X: x, Y: y}).In(frame.Rect) {
				want = []byte{200, 100, 50}
			}
			require.Equal(t, want, p.Pix[(y*5+x)*3:][:3], "%d,%d", x, y)
		}
	}
}

// TestSixteenBits: samples keep their high byte, colours under alpha survive.
func TestSixteenBits(t *testing.T) {
	encode := func(m image.Image) img.RGB {
		var b bytes.Buffer
		require.NoError(t, png.Encode(&b, m))
		p, err := img.Decode("16.png", b.Bytes(), img.Limits{})
		require.NoError(t, err)
		return p
	}
	g := image.NewGray16(image.Rect(0, 0, 2, 1))
	g.SetGray16(0, 0, color.Gray16{0x12ff})
	g.SetGray16(1, 0, color.Gray16{0xfe00})
	require.Equal(t, []uint8{0x12, 0x12, 0x12, 0xfe, 0xfe, 0xfe}, encode(g).Pix)
	n := image.NewNRGBA64(image.Rect(0, 0, 1, 1))
	n.SetNRGBA64(0, 0, color.NRGBA64{0x1234, 0x56ff, 0x9a00, 0x0001})
	require.Equal(t, []uint8{0x12, 0x56, 0x9a}, encode(n).Pix)
}

// TestFromImage: every kind of picture, also as a part of a larger one, equals
// what its colours say.
func TestFromImage(t *testing.T) {
	r := image.Rect(3, 5, 20, 150)
	part := image.Rect(6, 9, 17, 141)
	ycc := image.NewYCbCr(r, image.YCbCrSubsampleRatio420)
	ycc411 := image.NewYCbCr(r, image.YCbCrSubsampleRatio411)
	kinds := []interface {
		image.Image
		SubImage(image.Rectangle) image.Image
	}{
		image.NewRGBA(r), image.NewNRGBA(r), image.NewRGBA64(r), image.NewNRGBA64(r), image.NewGray(r), image.NewGray16(r),
		ycc, ycc411, image.NewPaletted(r, color.Palette{color.White, color.NRGBA{9, 8, 7, 255}}),
	}
	fill := func(pix []uint8, opaque int) {
		for i := range pix {
			pix[i] = uint8(i * 37)
			if opaque > 0 && i%opaque >= opaque-opaque/4 {
				pix[i] = 255
			}
		}
	}
	for _, m := range kinds {
		switch m := m.(type) {
		case *image.RGBA:
			fill(m.Pix, 4)
		case *image.NRGBA:
			fill(m.Pix, 4)
		case *image.RGBA64:
			fill(m.Pix, 8)
		case *image.NRGBA64:
			fill(m.Pix, 8)
		case *image.Gray:
			fill(m.Pix, 0)
		case *image.Gray16:
			fill(m.Pix, 0)
		case *image.YCbCr:
			fill(m.Y, 0)
			fill(m.Cb, 0)
			fill(m.Cr, 0)
		case *image.Paletted:
			for i := range m.Pix {
				m.Pix[i] = uint8(i % 2)
			}
		}
		sub := m.SubImage(part)
		p, err := img.FromImage(sub)
		require.NoError(t, err)
		require.Equal(t, [2]int{part.Dx(), part.Dy()}, [2]int{p.W, p.H})
		for y := range p.H {
			for x := range p.W {
				r, g, b, _ := sub.At(part.Min.X+x, part.Min.Y+y).RGBA()
				require.Equal(t, []uint8{uint8(r >> 8), uint8(g >> 8), uint8(b >> 8)}, p.Pix[(y*p.W+x)*3:][:3], "%T at %d,%d", m, x, y)
			}
		}
	}
	half := image.NewRGBA(image.Rect(0, 0, 1, 1))
	copy(half.Pix, []uint8{60, 30, 0, 128})
	p, err := img.FromImage(half)
	require.NoError(t, err)
	require.Equal(t, []uint8{119, 59, 0}, p.Pix, "premultiplied alpha is undone")
	_, err = img.FromImage(image.NewRGBA(image.Rectangle{}))
	require.ErrorIs(t, err, img.ErrDamaged)
}

// TestExifNonsense: a broken Exif block never costs the picture.
func TestExifNonsense(t *testing.T) {
	var b bytes.Buffer
	require.NoError(t, jpeg.Encode(&b, image.NewGray(image.Rect(0, 0, 16, 8)), nil))
	plain := b.Bytes()
	tag := func(count uint32, value uint16) string {
		e := binary.LittleEndian.AppendUint16(nil, 0x0112)
		e = binary.LittleEndian.AppendUint16(e, 3)
		e = binary.LittleEndian.AppendUint32(e, count)
		return string(binary.LittleEndian.AppendUint16(e, value)) + "\x00\x00"
	}
	for block, turned := range map[string]bool{
		"":                                false,
		"II*\x00":                         false,
		"II*\x00\xff\xff\xff\xff":         false,
		"II*\x00\x08\x00\x00\x00":         false,
		"II*\x00\x08\x00\x00\x00\xff\xff": false,
		"XX*\x00\x08\x00\x00\x00\x01\x00": false,
		"II*\x00\x08\x00\x00\x00\x01\x00" + tag(1, 0):  false,
		"II*\x00\x08\x00\x00\x00\x01\x00" + tag(1, 9):  false,
		"II*\x00\x08\x00\x00\x00\x01\x00" + tag(99, 6): false,
		"II*\x00\x08\x00\x00\x00\xff\xff" + tag(1, 6):  true,
		"II*\x00\x08\x00\x00\x00\x01\x00" + tag(1, 6):  true,
	} {
		body := "Exif\x00\x00" + block
		file := "\xff\xd8\xff\xe1" + string(binary.BigEndian.AppendUint16(nil, uint16(len(body)+2))) + body + string(plain[2:])
		p, err := img.Decode("e.jpg", []byte(file), img.Limits{})
		require.NoError(t, err)
		require.Equal(t, turned, p.H == 16, "%q", block)
	}
}

func FuzzDecode(f *testing.F) {
	for _, data := range pictures(f) {
		f.Add(data)
	}
	f.Add(pngClaiming(100000, 100000, 2))
	f.Add(riff("VP8X", vp8x(10, 10), "VP8L", vp8l(1000, 1000)))
	limits := img.Limits{MaxPixels: 1 << 14, MaxSide: 1 << 10, MaxBytes: 1 << 16}
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := img.Decode("fuzz", data, limits)
		if err != nil {
			if !errors.Is(err, img.ErrFormat) && !errors.Is(err, img.ErrDamaged) && !errors.Is(err, img.ErrTooLarge) {
				t.Fatalf("an error of no kind: %v", err)
			}
			return
		}
		if p.W < 1 || p.H < 1 || p.W*p.H > limits.MaxPixels || max(p.W, p.H) > limits.MaxSide || len(p.Pix) != p.W*p.H*3 {
			t.Fatalf("%dx%d with %d bytes", p.W, p.H, len(p.Pix))
		}
	})
}
