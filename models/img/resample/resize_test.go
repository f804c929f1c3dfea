package resample_test

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"image"
	"image/png"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/internal/shared"
	"github.com/heddle-ml/heddle/models/img/resample"
)

// load reads a PNG as a picture of c channels.
func load(t *testing.T, path string, c int) resample.Image {
	t.Helper()
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	m, err := png.Decode(f)
	require.NoError(t, err)
	b := m.Bounds()
	out := resample.Image{W: b.Dx(), H: b.Dy(), Channels: c, Pix: make([]uint8, 0, b.Dx()*b.Dy()*c)}
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			var p [4]uint8
			switch m := m.(type) {
			case *image.NRGBA:
				q := m.NRGBAAt(x, y)
				p = [4]uint8{q.R, q.G, q.B, q.A}
			case *image.RGBA:
				q := m.RGBAAt(x, y)
				p = [4]uint8{q.R, q.G, q.B, q.A}
			case *image.Gray:
				q := m.GrayAt(x, y).Y
				p = [4]uint8{q, q, q, 255}
			default:
				t.Fatalf("%s: unexpected %T", path, m)
			}
			out.Pix = append(out.Pix, p[:c]...)
		}
	}
	return out
}

// TestPillow compares with every file Pillow made.
func TestPillow(t *testing.T) {
	dir := shared.Golden(t, "resize")
	var index struct {
		Images map[string]struct{ Outputs []string }
	}
	text, err := os.ReadFile(filepath.Join(dir, "index.json"))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &index))
	filters := map[string]resample.Filter{"bicubic": resample.Bicubic, "bilinear": resample.Bilinear}
	done := 0
	for name, entry := range index.Images {
		for _, file := range entry.Outputs {
			if !strings.HasSuffix(file, ".png") {
				continue // normalised tensors: tested with package img
			}
			t.Run(file, func(t *testing.T) {
				parts := strings.Split(strings.TrimSuffix(file, ".png"), ".")
				channels := 3
				if parts[1] == "native_RGBA" {
					channels = 4
				} else if parts[1] == "native_L" {
					channels = 1
				}
				filter, ok := filters[parts[len(parts)-2]]
				require.True(t, ok, "filter of %s", file)
				var w, h int
				_, err := fmt.Sscanf(parts[len(parts)-1], "%dx%d", &w, &h)
				require.NoError(t, err)
				got, err := resample.Resize(load(t, filepath.Join(dir, name+".png"), channels), w, h, filter)
				require.NoError(t, err)
				require.Equal(t, load(t, filepath.Join(dir, file), channels), got)
			})
			done++
		}
	}
	require.Equal(t, 27, done, "files compared")
}

// noise is a picture any program can make again: a linear congruential
// generator, so that the sums below could be computed with Pillow.
func noise(w, h, c int) resample.Image {
	m := resample.Image{W: w, H: h, Channels: c, Pix: make([]uint8, w*h*c)}
	s := uint32(w*31 + h*17 + c)
	for i := range m.Pix {
		s = s*1664525 + 1013904223
		m.Pix[i] = uint8(s >> 24)
	}
	return m
}

// TestPillowSums covers the filters, channel counts and extreme shapes that
// have no golden file: 64-bit FNV-1a sums of what Pillow 9.4.0 gives for noise.
func TestPillowSums(t *testing.T) {
	text, err := os.ReadFile("testdata/pillow_sums.txt")
	require.NoError(t, err)
	done := 0
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		var w, h, c, tw, th, code int
		var want uint64
		_, err := fmt.Sscanf(line, "%d %d %d %d %d %d %x", &w, &h, &c, &tw, &th, &code, &want)
		require.NoError(t, err, line)
		f, err := resample.FromPillow(code)
		require.NoError(t, err)
		got, err := resample.Resize(noise(w, h, c), tw, th, f)
		require.NoError(t, err, line)
		sum := fnv.New64a()
		sum.Write(got.Pix)
		require.Equal(t, want, sum.Sum64(), "%dx%d, %d channels, to %dx%d, %v", w, h, c, tw, th, f)
		done++
	}
	require.Greater(t, done, 200)
}

// TestWindow requires a window to equal the same part of the whole.
func TestWindow(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		c := []int{1, 3, 4}[r.IntN(3)]
		src := noise(1+r.IntN(60), 1+r.IntN(60), c)
		w, h := 1+r.IntN(90), 1+r.IntN(200)
		if r.IntN(4) == 0 {
			w = src.W
		}
		if r.IntN(4) == 0 {
			h = src.H
		}
		f := resample.Filter(r.IntN(6))
		whole, err := resample.Resize(src, w, h, f)
		require.NoError(t, err)
		x0, y0 := r.IntN(w), r.IntN(h)
		win := image.Rect(x0, y0, x0+1+r.IntN(w-x0), y0+1+r.IntN(h-y0))
		part, err := resample.Window(src, w, h, win, f)
		require.NoError(t, err)
		want, err := resample.Window(whole, w, h, win, f)
		require.NoError(t, err)
		require.Equal(t, want, part, "%dx%dx%d to %dx%d, window %v, %v", src.W, src.H, c, w, h, win, f)
	}
}

// TestConstant: a picture of one colour keeps it, whatever the filter.
func TestConstant(t *testing.T) {
	for f := resample.Nearest; f <= resample.Lanczos; f++ {
		for _, v := range []uint8{0, 1, 127, 254, 255} {
			src := resample.Image{W: 37, H: 11, Channels: 3, Pix: make([]uint8, 37*11*3)}
			for i := range src.Pix {
				src.Pix[i] = v
			}
			got, err := resample.Resize(src, 23, 64, f)
			require.NoError(t, err)
			for _, p := range got.Pix {
				require.Equal(t, v, p, "%v", f)
			}
		}
	}
}

// TestSourceUntouched: premultiplication works on a copy, and an unchanged size
// yields a copy too.
func TestSourceUntouched(t *testing.T) {
	src, want := noise(20, 20, 4), noise(20, 20, 4)
	for _, side := range []int{7, 20, 40} {
		got, err := resample.Resize(src, side, side, resample.Bicubic)
		require.NoError(t, err)
		require.Equal(t, want, src)
		got.Pix[0]++
		require.Equal(t, want, src, "the result must not share memory with the source")
	}
}

func TestErrors(t *testing.T) {
	ok := noise(4, 4, 3)
	for name, c := range map[string]struct {
		src  resample.Image
		w, h int
		win  image.Rectangle
		f    resample.Filter
		want string
	}{
		"channels":    {resample.Image{W: 2, H: 2, Channels: 2, Pix: make([]uint8, 8)}, 4, 4, image.Rect(0, 0, 4, 4), resample.Box, "2 channels"},
		"short":       {resample.Image{W: 2, H: 2, Channels: 3, Pix: make([]uint8, 11)}, 4, 4, image.Rect(0, 0, 4, 4), resample.Box, "11 samples"},
		"no source":   {resample.Image{Channels: 3}, 4, 4, image.Rect(0, 0, 4, 4), resample.Box, "0x0"},
		"no target":   {ok, 0, 4, image.Rect(0, 0, 4, 4), resample.Box, "0x4"},
		"negative":    {ok, 4, -4, image.Rect(0, 0, 4, 4), resample.Box, "4x-4"},
		"huge":        {ok, 1 << 25, 4, image.Rect(0, 0, 4, 4), resample.Box, "1..16777216"},
		"huge area":   {ok, 1 << 20, 1 << 20, image.Rect(0, 0, 1<<20, 1<<20), resample.Box, "too large"},
		"window":      {ok, 4, 4, image.Rect(0, 0, 5, 4), resample.Box, "window"},
		"no window":   {ok, 4, 4, image.Rectangle{}, resample.Box, "window"},
		"filter":      {ok, 4, 4, image.Rect(0, 0, 4, 4), 9, "filter"},
		"overflow":    {resample.Image{W: 1 << 24, H: 1 << 24, Channels: 3}, 4, 4, image.Rect(0, 0, 4, 4), resample.Box, "samples"},
		"side beyond": {resample.Image{W: math.MaxInt, H: 4, Channels: 3}, 4, 4, image.Rect(0, 0, 4, 4), resample.Box, "each side"},
	} {
		_, err := resample.Window(c.src, c.w, c.h, c.win, c.f)
		require.ErrorContains(t, err, c.want, name)
	}
	_, err := resample.FromPillow(6)
	require.ErrorContains(t, err, "no filter 6")
}

func BenchmarkPhoto(b *testing.B) {
	src := noise(4000, 3000, 3)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := resample.Resize(src, 1152, 864, resample.Bicubic); err != nil {
			b.Fatal(err)
		}
	}
}

func Example() {
	// A gray ramp of four pixels, shrunk to two.
	ramp := resample.Image{W: 4, H: 1, Channels: 1, Pix: []uint8{0, 80, 160, 240}}
	half, err := resample.Resize(ramp, 2, 1, resample.Bilinear)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(half.Pix)
	// Output: [57 183]
}
