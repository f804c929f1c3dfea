package img_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/internal/shared"
	"github.com/heddle-ml/heddle/models/img"
	"github.com/heddle-ml/heddle/models/img/resample"
	"github.com/heddle-ml/heddle/models/img/tiling"
)

func open(t testing.TB, path string) img.RGB {
	t.Helper()
	p, err := img.Open(path, img.Limits{})
	require.NoError(t, err)
	return p
}

func cut(t testing.TB, p img.RGB, c tiling.Config) img.Tiles {
	t.Helper()
	l, err := c.Layout(p.W, p.H)
	require.NoError(t, err)
	tiles, err := img.Cut(p, l)
	require.NoError(t, err)
	require.Equal(t, l.Grid.Tiles, tiles.N)
	return tiles
}

// readNPY reads a NumPy file of the given type ("|u1", "<f4") and returns its
// shape as written and its data.
func readNPY(t *testing.T, path, dtype string) (string, []byte) {
	t.Helper()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	require.True(t, bytes.HasPrefix(b, []byte("\x93NUMPY\x01\x00")), path)
	n := int(binary.LittleEndian.Uint16(b[8:]))
	head := string(b[10 : 10+n])
	require.Contains(t, head, "'descr': '"+dtype+"'")
	require.Contains(t, head, "'fortran_order': False")
	_, shape, _ := strings.Cut(head, "'shape': (")
	shape, _, _ = strings.Cut(shape, ")")
	return shape, b[10+n:]
}

func float32s(b []byte) []float32 {
	out := make([]float32, len(b)/4)
	for i := range out {
		out[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return out
}

// TestTilesGolden compares with tiles cut by the LLaVA-NeXT and InternVL code.
func TestTilesGolden(t *testing.T) {
	dir := shared.Golden(t, "tiling")
	for _, name := range []string{"image_301x133", "image_97x240"} {
		p := open(t, filepath.Join(dir, name+".png"))

		intern := tiling.Default(tiling.InternVL)
		intern.Tile = 56
		llava := tiling.Default(tiling.LLaVANext)
		llava.Tile = 56
		for file, c := range map[string]tiling.Config{
			"internvl_tiles_56_n1_12_thumb": intern,
			"llava_anyres_tiles_56":         llava,
		} {
			got := cut(t, p, c)
			shape, want := readNPY(t, filepath.Join(dir, name+"."+file+".npy"), "|u1")
			require.Equal(t, fmt.Sprintf("%d, 56, 56, 3", got.N), shape)
			require.True(t, bytes.Equal(want, got.Pix), "%s of %s", file, name)
		}
	}
}

// TestCutSums compares the methods without golden files with what Pillow gives
// for the same steps.
func TestCutSums(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("testdata", "cut_sums.txt"))
	require.NoError(t, err)
	done := 0
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		var name, method, want string
		var tile, edge, n int
		_, err := fmt.Sscan(line, &name, &method, &tile, &edge, &n, &want)
		require.NoError(t, err)
		var c tiling.Config
		switch method {
		case "idefics3":
			c = tiling.Default(tiling.Idefics3)
			c.LongestEdge = edge
		case "crop":
			c = tiling.Default(tiling.Single)
			c.Global, c.ShortEdge = tiling.Crop, edge
		case "stretch":
			c = tiling.Default(tiling.Single)
		}
		c.Tile = tile
		got := cut(t, open(t, shared.Golden(t, "tiling/"+name)), c)
		require.Equal(t, n, got.N)
		require.Equal(t, want, sum(got.Pix), line)
		done++
	}
	require.Equal(t, 16, done)
}

// TestDemoGolden follows the demo model's pictures from the file to the tensor.
func TestDemoGolden(t *testing.T) {
	dir := filepath.Join(shared.Root(), "models", "demo")
	text, err := os.ReadFile(filepath.Join(dir, "golden", "golden.json"))
	require.NoError(t, err)
	var cases []struct {
		Image   string
		Picture string   `json:"image_sha256"`
		Tiles   []string `json:"tile_sha256"`
		Tensors string
	}
	require.NoError(t, json.Unmarshal(text, &cases))
	require.Len(t, cases, 5)
	c, err := tiling.BlueLMV(64, 9, 0.1, 127)
	require.NoError(t, err)
	for _, k := range cases {
		p := open(t, filepath.Join(dir, "eval", k.Image))
		require.Equal(t, k.Picture, sum(p.Pix))
		tiles := cut(t, p, c)
		require.Len(t, k.Tiles, tiles.N)
		for i, want := range k.Tiles {
			require.Equal(t, want, sum(tiles.At(i).Pix), "%s tile %d", k.Image, i)
		}
		file := filepath.Join(dir, "golden", k.Tensors)
		require.True(t, bytes.Equal(tensor(t, file, "tiles_u8", "U8"), tiles.Pix))
		values := make([]float32, len(tiles.Pix))
		require.NoError(t, img.SigLIP().Fill(values, tiles))
		require.Equal(t, float32s(tensor(t, file, "pixel_values", "F32")), values, "bit for bit")
	}
}

// tensor reads one tensor of a safetensors file.
func tensor(t *testing.T, path, name, dtype string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	n := binary.LittleEndian.Uint64(b)
	var head map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(b[8:8+n], &head))
	var entry struct {
		DType   string
		Offsets [2]int `json:"data_offsets"`
	}
	require.NoError(t, json.Unmarshal(head[name], &entry))
	require.Equal(t, dtype, entry.DType)
	return b[8+n:][entry.Offsets[0]:entry.Offsets[1]]
}

// TestNormGolden compares with Hugging Face's SiglipImageProcessor.
func TestNormGolden(t *testing.T) {
	dir := shared.Golden(t, "resize")
	files, err := filepath.Glob(filepath.Join(dir, "*.siglip_norm_*.npy"))
	require.NoError(t, err)
	require.Len(t, files, 2)
	for _, file := range files {
		name, rest, _ := strings.Cut(filepath.Base(file), ".siglip_norm_")
		c := tiling.Default(tiling.Single)
		_, err := fmt.Sscanf(rest, "%d", &c.Tile)
		require.NoError(t, err)
		tiles := cut(t, open(t, filepath.Join(dir, name+".png")), c)
		got := make([]float32, len(tiles.Pix))
		require.NoError(t, img.SigLIP().Fill(got, tiles))
		shape, want := readNPY(t, file, "<f4")
		require.Equal(t, fmt.Sprintf("3, %d, %d", c.Tile, c.Tile), shape)
		require.Equal(t, float32s(want), got, "bit for bit")
	}
}

// TestNorm: per-channel means and deviations land in their channels.
func TestNorm(t *testing.T) {
	tiles := img.Tiles{N: 2, Side: 1, Pix: []uint8{0, 128, 255, 255, 0, 1}}
	n := img.Norm{Rescale: 1.0 / 255, Mean: [3]float64{0.25, 0.5, 0.75}, Std: [3]float64{1, 2, 4}}
	got := make([]float32, 6)
	require.NoError(t, n.Fill(got, tiles))
	require.InDeltaSlice(t, []float32{-0.25, 0.0009803922, 0.0625, 0.75, -0.25, -0.18651961}, got, 1e-7)

	plain := img.Norm{Rescale: 1, Std: [3]float64{1, 1, 1}}
	require.NoError(t, plain.Fill(got, tiles))
	require.Equal(t, []float32{0, 128, 255, 255, 0, 1}, got)

	require.ErrorContains(t, n.Fill(got[:5], tiles), "room for 5 values")
	require.ErrorContains(t, n.Fill(got, img.Tiles{N: 1, Side: 1, Pix: tiles.Pix}), "three per pixel")
	require.ErrorContains(t, img.Norm{Rescale: 1}.Fill(got, tiles), "standard deviation")
	n.Std[1] = math.NaN()
	require.ErrorContains(t, n.Fill(got, tiles), "standard deviation")
}

// TestExtremeShapes: the longest pictures give bounded tiles from every rule.
func TestExtremeShapes(t *testing.T) {
	demo, err := tiling.BlueLMV(64, 9, 0.1, 127)
	require.NoError(t, err)
	configs := []tiling.Config{demo}
	for m := tiling.BlueLM; m <= tiling.Single; m++ {
		configs = append(configs, tiling.Default(m))
	}
	crop := tiling.Default(tiling.Single)
	crop.Global = tiling.Crop
	configs = append(configs, crop)
	for _, s := range []tiling.Size{{W: 4, H: 20000}, {W: 20000, H: 4}, {W: 1, H: 60000}, {W: 60000, H: 1}, {W: 1, H: 1}} {
		p := img.RGB{W: s.W, H: s.H, Pix: bytes.Repeat([]byte{200, 100, 50}, s.W*s.H)}
		for _, c := range configs {
			l, err := c.Layout(s.W, s.H)
			if c.Global == tiling.Crop && s.W+s.H > 60000 {
				require.ErrorContains(t, err, "too long")
				continue
			}
			require.NoError(t, err, "%v %v", c.Method, s)
			tiles, err := img.Cut(p, l)
			require.NoError(t, err, "%v %v", c.Method, s)
			require.LessOrEqual(t, tiles.N, 17)
			counts := map[[3]uint8]int{}
			for i := 0; i < len(tiles.Pix); i += 3 {
				counts[[3]uint8(tiles.Pix[i:])]++
			}
			require.Positive(t, counts[[3]uint8{200, 100, 50}])
			require.Equal(t, len(tiles.Pix)/3, counts[[3]uint8{200, 100, 50}]+counts[c.Pad],
				"only the picture's colour and the padding: %v", counts)
		}
	}
}

func TestCutErrors(t *testing.T) {
	p := img.RGB{W: 8, H: 4, Pix: make([]uint8, 96)}
	c := tiling.Default(tiling.LLaVANext)
	c.Tile = 8
	for want, change := range map[string]func(*img.RGB, *tiling.Layout){
		"make one for its size":    func(p *img.RGB, _ *tiling.Layout) { p.W, p.H = 4, 8 },
		"three per pixel":          func(p *img.RGB, _ *tiling.Layout) { p.Pix = p.Pix[1:] },
		"picture of 0x0":           func(p *img.RGB, _ *tiling.Layout) { *p = img.RGB{} },
		"tiles of 0 pixels":        func(_ *img.RGB, l *tiling.Layout) { l.Tile = 0 },
		"tiles of 1048576 pixels":  func(_ *img.RGB, l *tiling.Layout) { l.Tile = 1 << 20 },
		"without tiles":            func(_ *img.RGB, l *tiling.Layout) { l.Views = nil },
		"view of -1x1":             func(_ *img.RGB, l *tiling.Layout) { l.Views[0].Cols = -1; l.Views[0].Rows = 1 },
		"more than 2048 tiles":     func(_ *img.RGB, l *tiling.Layout) { l.Views[0].Cols = 2000; l.Views[0].Rows = 2000 },
		"pixels at (1073741824":    func(_ *img.RGB, l *tiling.Layout) { l.Views[0].X = 1 << 30 },
		"a target of 0x0":          func(_ *img.RGB, l *tiling.Layout) { l.Prepare = []tiling.Size{{}} },
		"unknown filter":           func(_ *img.RGB, l *tiling.Layout) { l.Filter = 99 },
		"puts 1073741824x1 pixels": func(_ *img.RGB, l *tiling.Layout) { l.Views[0].Resize = tiling.Size{W: 1 << 30, H: 1} },
	} {
		q := p
		l, err := c.Layout(8, 4)
		require.NoError(t, err)
		change(&q, &l)
		_, err = img.Cut(q, l)
		require.ErrorContains(t, err, want)
	}
	// A view that misses its canvas is all padding, not a crash.
	l, err := c.Layout(8, 4)
	require.NoError(t, err)
	l.Pad = [3]uint8{1, 2, 3}
	for i := range l.Views {
		l.Views[i].X = 1000
	}
	tiles, err := img.Cut(p, l)
	require.NoError(t, err)
	require.Equal(t, bytes.Repeat([]byte{1, 2, 3}, len(tiles.Pix)/3), tiles.Pix)
}

func TestResize(t *testing.T) {
	p := img.RGB{W: 2, H: 1, Pix: []uint8{0, 0, 0, 255, 255, 255}}
	q, err := p.Resize(1, 1, resample.Box)
	require.NoError(t, err)
	require.Equal(t, img.RGB{W: 1, H: 1, Pix: []uint8{128, 128, 128}}, q)
	_, err = p.Resize(0, 1, resample.Box)
	require.ErrorContains(t, err, "0x1")
}

// BenchmarkCut is a 12-megapixel photo on a 4x3 canvas of 384-pixel tiles, from
// pixels to tensor.
func BenchmarkCut(b *testing.B) {
	p := img.RGB{W: 4000, H: 3000, Pix: make([]uint8, 4000*3000*3)}
	for i := range p.Pix {
		p.Pix[i] = uint8(i * 7919 >> 5)
	}
	c := tiling.Default(tiling.BlueLM)
	c.Grids, _ = tiling.UpTo(4, 4)
	for b.Loop() {
		tiles := cut(b, p, c)
		if err := img.SigLIP().Fill(make([]float32, len(tiles.Pix)), tiles); err != nil {
			b.Fatal(err)
		}
	}
}

func Example() {
	p, err := img.Open("../demo/examples/nine-tiles.png", img.Limits{})
	if err != nil {
		fmt.Println(err)
		return
	}
	config, err := tiling.BlueLMV(64, 9, 0.1, 127)
	if err != nil {
		fmt.Println(err)
		return
	}
	layout, err := config.Layout(p.W, p.H)
	if err != nil {
		fmt.Println(err)
		return
	}
	tiles, err := img.Cut(p, layout)
	if err != nil {
		fmt.Println(err)
		return
	}
	values := make([]float32, len(tiles.Pix)) // [tiles, 3, 64, 64]
	if err := img.SigLIP().Fill(values, tiles); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%dx%d pixels on %dx%d tiles and a global one: %d values\n",
		p.W, p.H, layout.Grid.Cols, layout.Grid.Rows, len(values))
	// Output: 184x176 pixels on 3x3 tiles and a global one: 122880 values
}
