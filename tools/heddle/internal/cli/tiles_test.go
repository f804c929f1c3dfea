package cli_test

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/internal/shared"
)

// row is a line of `heddle tiles --json`.
type row struct {
	Width       int    `json:"width"`
	Height      int    `json:"height"`
	Canvas      [2]int `json:"canvas"`
	Cols        int    `json:"cols"`
	Rows        int    `json:"rows"`
	Tiles       int    `json:"tiles"`
	ImageTokens int    `json:"image_tokens"`
}

// tiles asks for all sizes at once, through standard input.
func tiles(t *testing.T, sizes []string, args ...string) []row {
	t.Helper()
	out := succeed(t, strings.Join(sizes, "\n"), append([]string{"tiles", "--json"}, args...)...)
	lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
	require.Len(t, lines, len(sizes))
	rows := make([]row, len(lines))
	for i, l := range lines {
		rows[i] = decode[row](t, l)
		require.Equal(t, sizes[i], fmt.Sprintf("%dx%d", rows[i].Width, rows[i].Height))
	}
	return rows
}

func table(t *testing.T, file string) (head map[string]int, rows [][]int, sizes []string) {
	t.Helper()
	f, err := os.Open(filepath.Join(shared.Golden(t, "tiling"), file))
	require.NoError(t, err)
	defer f.Close()
	list, err := csv.NewReader(f).ReadAll()
	require.NoError(t, err)
	head = map[string]int{}
	for i, name := range list[0] {
		head[name] = i
	}
	for _, r := range list[1:] {
		ints := make([]int, len(r))
		for i, s := range r {
			ints[i], err = strconv.Atoi(s)
			require.NoError(t, err)
		}
		rows = append(rows, ints)
		sizes = append(sizes, r[head["w"]]+"x"+r[head["h"]])
	}
	require.Len(t, rows, 3152)
	return head, rows, sizes
}

type candidates struct {
	LLaVA    map[string][][2]int `json:"llava_next_w_h_in_scan_order"`
	InternVL map[string]struct {
		Min   int `json:"min_num"`
		Max   int `json:"max_num"`
		Image int `json:"image_size"`
	} `json:"internvl"`
}

func readCandidates(t *testing.T) candidates {
	t.Helper()
	var c candidates
	data, err := os.ReadFile(filepath.Join(shared.Golden(t, "tiling"), "candidates.json"))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(data, &c))
	return c
}

func TestTilesLLaVANext(t *testing.T) {
	head, rows, sizes := table(t, "llava_next_select_best_resolution.csv")
	lists := readCandidates(t).LLaVA
	require.Len(t, lists, 5)
	for name, list := range lists {
		tile := name[1:4] // C384_grid6x6
		var cs []string
		for _, c := range list {
			cs = append(cs, fmt.Sprintf("%dx%d", c[0], c[1]))
		}
		flags := [][]string{{"--candidates", strings.Join(cs, ",")}}
		if _, grid, ok := strings.Cut(name, "grid"); ok {
			flags = append(flags, []string{"--grid", grid})
		}
		for _, f := range flags {
			got := tiles(t, sizes, append([]string{"--method", "llava-next", "--tile", tile}, f...)...)
			for i, r := range rows {
				require.Equal(t, [2]int{r[head[name+".best_w"]], r[head[name+".best_h"]]}, got[i].Canvas, "%s %s", name, sizes[i])
				require.Equal(t, got[i].Cols*got[i].Rows+1, got[i].Tiles)
			}
		}
	}
}

func TestTilesInternVL(t *testing.T) {
	head, rows, sizes := table(t, "internvl_dynamic_preprocess.csv")
	lists := readCandidates(t).InternVL
	require.Len(t, lists, 5)
	for name, c := range lists {
		got := tiles(t, sizes, "--method", "internvl", "--tile", fmt.Sprint(c.Image), "--min-tiles", fmt.Sprint(c.Min), "--max-tiles", fmt.Sprint(c.Max))
		for i, r := range rows {
			cols, n := r[head[name+".cols"]], r[head[name+".rows"]]
			want := row{Width: r[0], Height: r[1], Canvas: [2]int{cols * c.Image, n * c.Image}, Cols: cols, Rows: n, Tiles: r[head[name+".tiles_with_thumb"]]}
			require.Equal(t, want, got[i], "%s %s", name, sizes[i])
		}
	}
}

// The vectors of BlueLM-V-3B, section 3.1, and of its method.
func TestTilesPaper(t *testing.T) {
	for _, c := range []struct {
		size, grid            string
		bluelm, next, internv string // columns:rows
	}{
		{"394x390", "3x3", "1:1", "2:2", ""},
		{"380x76", "3x3", "1:1", "1:1", "5:1"},
		{"380x393", "3x3", "1:1", "1:2", ""},
		{"500x102", "3x3", "2:1", "2:1", "5:1"},
		{"1080x2400", "4x4", "2:4", "2:4", ""},
		{"1260x2800", "4x4", "2:4", "2:4", ""},
		{"768x1536", "4x4", "2:4", "2:4", ""},
		{"4000x3000", "4x4", "4:3", "4:3", ""},
		{"1920x1080", "4x4", "4:3", "4:3", ""},
		{"1280x720", "4x4", "4:2", "4:2", ""},
		{"640x480", "3x3", "2:2", "2:2", ""},
		{"804x846", "3x3", "2:2", "", ""},
	} {
		for method, want := range map[string]string{"bluelm": c.bluelm, "llava-next": c.next, "internvl": c.internv} {
			if want == "" {
				continue
			}
			flags := []string{"--grid", c.grid}
			if method == "internvl" {
				flags = []string{"--max-tiles", "6"}
			}
			got := tiles(t, []string{c.size}, append([]string{"--method", method}, flags...)...)[0]
			require.Equal(t, want, fmt.Sprintf("%d:%d", got.Cols, got.Rows), "%s by %s", c.size, method)
			require.Equal(t, [2]int{384 * got.Cols, 384 * got.Rows}, got.Canvas)
			require.Equal(t, got.Cols*got.Rows+1, got.Tiles)
		}
	}
}

func TestTilesModel(t *testing.T) {
	// The demo model's own rule, and its 16 tokens a tile.
	got := tiles(t, []string{"100x100", "200x131", "48x200"}, "--model", filepath.Join(shared.Root(), "models", "demo"))
	for _, r := range got {
		require.Equal(t, 16*r.Tiles, r.ImageTokens)
		require.Equal(t, [2]int{64 * r.Cols, 64 * r.Rows}, r.Canvas)
	}
	require.Equal(t, row{100, 100, [2]int{128, 128}, 2, 2, 5, 80}, got[0])
	// Another rule, the model's tower.
	got = tiles(t, []string{"64x64"}, "--model", filepath.Join(shared.Root(), "models", "demo"), "--method", "bluelm", "--grid", "2x2")
	require.Equal(t, row{64, 64, [2]int{64, 64}, 1, 1, 2, 32}, got[0], "the paper's count has a global tile also at 1x1")
	// A model of one square.
	got = tiles(t, []string{"64x640"}, "--model", shared.Golden(t, "vlm_tiny"))
	require.Equal(t, row{64, 640, [2]int{70, 70}, 1, 1, 1, 9}, got[0])
}

func TestTilesText(t *testing.T) {
	require.Equal(t, ""+
		"  picture    canvas  grid  tiles\n"+
		"  394x390   384x384   1x1      2\n"+
		"1080x2400  768x1152   2x3      7\n", succeed(t, "", "tiles", "394x390", "1080x2400"))
	require.Equal(t, ""+
		"picture   canvas  grid  tiles  image tokens\n"+
		"100x100  128x128   2x2      5            80\n", succeed(t, "\n 100x100 \n\n", "tiles", "--model", filepath.Join(shared.Root(), "models", "demo")))
	require.Empty(t, succeed(t, "", "tiles", "--method", "internvl"))
}

func TestTilesBadArguments(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"12"}, `"12" is not a size`},
		{[]string{"0x5"}, `"0x5" is not a size`},
		{[]string{"-4x5"}, "unknown shorthand flag"},
		{[]string{"--", "-4x5"}, `"-4x5" is not a size`},
		{[]string{"--method", "magic", "4x5"}, `unknown method "magic"`},
		{[]string{"--grid", "3", "4x5"}, `--grid: "3" is not a grid`},
		{[]string{"--grid", "3x3", "--max-tiles", "4", "4x5"}, "max-tiles"},
		{[]string{"--grid", "9999x9999", "4x5"}, "--grid"},
		{[]string{"--candidates", "384x100", "4x5"}, "not made of whole 384-pixel tiles"},
		{[]string{"--candidates", ",", "4x5"}, "--candidates"},
		{[]string{"--tile", "0", "4x5"}, "tile side of 0"},
		{[]string{"--alpha", "2", "4x5"}, "alpha 2"},
		{[]string{"--min-tiles", "5", "--max-tiles", "2", "4x5"}, "5 to 2 tiles"},
		{[]string{"--method", "single", "--grid", "2x2", "4x5"}, "does not choose among grids"},
		{[]string{"--min-tiles", "x"}, "invalid argument"},
	} {
		execute(t, "", append([]string{"tiles"}, c.args...)...).oneLine(t, 2, c.want, `see "heddle tiles --help"`)
	}
	// A bad line of a list is no wrong usage.
	execute(t, "4x5\nfive\n", "tiles").oneLine(t, 1, "standard input, line 2", `"five" is not a size`)
	execute(t, "", "tiles", "--model", shared.Golden(t, "llama_tiny"), "4x5").oneLine(t, 1, "takes no pictures")
	r := execute(t, "", "tiles", "--method", "internvl", "--alpha", "0.2", "4x5")
	require.Equal(t, 0, r.code)
	require.Contains(t, r.err, "warning: --alpha has no meaning for internvl")
}
