package tiling_test

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/internal/shared"
	"github.com/heddle-ml/heddle/models/img/tiling"
)

// table reads a CSV of integers: its rows as maps from column to value.
func table(t *testing.T, path string) []map[string]int {
	t.Helper()
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	require.NoError(t, err)
	var out []map[string]int
	for _, row := range rows[1:] {
		m := map[string]int{}
		for i, name := range rows[0] {
			m[name], err = strconv.Atoi(row[i])
			require.NoError(t, err)
		}
		out = append(out, m)
	}
	return out
}

type candidates struct {
	LLaVA    map[string][][2]int `json:"llava_next_w_h_in_scan_order"`
	InternVL map[string]struct {
		Min   int `json:"min_num"`
		Max   int `json:"max_num"`
		Image int `json:"image_size"`
	} `json:"internvl"`
}

func readCandidates(t *testing.T, dir string) candidates {
	t.Helper()
	var c candidates
	text, err := os.ReadFile(filepath.Join(dir, "candidates.json"))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &c))
	return c
}

func TestLLaVANextGolden(t *testing.T) {
	dir := shared.Golden(t, "tiling")
	rows := table(t, filepath.Join(dir, "llava_next_select_best_resolution.csv"))
	require.Len(t, rows, 3152)
	lists := readCandidates(t, dir).LLaVA
	require.Len(t, lists, 5)
	for name, list := range lists {
		c := tiling.Default(tiling.LLaVANext)
		_, err := fmt.Sscanf(name[1:4], "%d", &c.Tile)
		require.NoError(t, err)
		var sizes []tiling.Size
		for _, s := range list {
			sizes = append(sizes, tiling.Size{W: s[0], H: s[1]})
		}
		c.Grids, err = tiling.Canvases(c.Tile, sizes)
		require.NoError(t, err)
		for _, r := range rows {
			g, err := c.Grid(r["w"], r["h"])
			require.NoError(t, err)
			want := tiling.Size{W: r[name+".best_w"], H: r[name+".best_h"]}
			require.Equal(t, want, g.Canvas, "%s: %dx%d", name, r["w"], r["h"])
			require.Equal(t, want.W*want.H/c.Tile/c.Tile+1, g.Tiles)
		}
	}
}

// TestScanOrders: the helpers make the lists that the references scan.
func TestScanOrders(t *testing.T) {
	lists := readCandidates(t, shared.Golden(t, "tiling")).LLaVA
	for name, side := range map[string]int{"C384_grid6x6": 6, "D384_grid3x3": 3} {
		cells, err := tiling.UpTo(side, side)
		require.NoError(t, err)
		require.Len(t, cells, len(lists[name]))
		for i, c := range cells {
			require.Equal(t, lists[name][i], [2]int{c.Cols * 384, c.Rows * 384})
		}
	}
	for name, tile := range map[string]int{"A384_onevision5": 384, "B336_next5": 336} {
		cells := tiling.Default(tiling.LLaVANext).Grids
		require.Len(t, cells, len(lists[name]))
		for i, c := range cells {
			require.Equal(t, lists[name][i], [2]int{c.Cols * tile, c.Rows * tile})
		}
	}
}

func TestInternVLGolden(t *testing.T) {
	dir := shared.Golden(t, "tiling")
	rows := table(t, filepath.Join(dir, "internvl_dynamic_preprocess.csv"))
	require.Len(t, rows, 3152)
	lists := readCandidates(t, dir).InternVL
	require.Len(t, lists, 5)
	for name, list := range lists {
		c := tiling.Default(tiling.InternVL)
		var err error
		c.Tile = list.Image
		c.Grids, err = tiling.Between(list.Min, list.Max)
		require.NoError(t, err)
		for _, r := range rows {
			g, err := c.Grid(r["w"], r["h"])
			require.NoError(t, err)
			cols, rows := r[name+".cols"], r[name+".rows"]
			require.Equal(t, r[name+".tiles_no_thumb"], cols*rows)
			require.Equal(t, tiling.Grid{
				Canvas: tiling.Size{W: cols * c.Tile, H: rows * c.Tile},
				Cols:   cols, Rows: rows, Tiles: r[name+".tiles_with_thumb"],
			}, g, "%s: %dx%d", name, r["w"], r["h"])
		}
	}
}

// TestIdefics3 compares with sizes computed by a separate transcription of the
// Idefics3 and SmolVLM processors in Python.
func TestIdefics3(t *testing.T) {
	rows := table(t, "testdata/idefics3.csv")
	require.Len(t, rows, 618)
	for _, r := range rows {
		c := tiling.Default(tiling.Idefics3)
		c.Tile, c.LongestEdge = r["tile"], r["longest_edge"]
		l, err := c.Layout(r["w"], r["h"])
		require.NoError(t, err)
		require.Equal(t, []tiling.Size{{W: r["first_w"], H: r["first_h"]}, {W: r["second_w"], H: r["second_h"]}}, l.Prepare, "%v", r)
		require.Equal(t, tiling.Grid{
			Canvas: tiling.Size{W: r["second_w"], H: r["second_h"]},
			Cols:   r["cols"], Rows: r["rows"], Tiles: r["tiles"],
		}, l.Grid, "%v", r)
		require.True(t, l.Views[len(l.Views)-1].Global)
		if r["tiles"] > 1 {
			require.Equal(t, l.Prepare[1], l.Views[0].Resize, "tiles are cut without another resize")
		}
	}
}

// TestDemoGolden covers the demo model's processor on its own pictures.
func TestDemoGolden(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(shared.Root(), "models", "demo", "golden", "golden.json"))
	require.NoError(t, err)
	var cases []struct {
		Width, Height int
		Cols          int      `json:"grid_cols"`
		Rows          int      `json:"grid_rows"`
		LocalResize   [2]int   `json:"local_resize"`
		LocalOffset   [2]int   `json:"local_offset"`
		GlobalResize  [2]int   `json:"global_resize"`
		GlobalOffset  [2]int   `json:"global_offset"`
		Tiles         []string `json:"tile_sha256"`
	}
	require.NoError(t, json.Unmarshal(text, &cases))
	require.NotEmpty(t, cases)
	c, err := tiling.BlueLMV(64, 9, 0.1, 127)
	require.NoError(t, err)
	for _, k := range cases {
		l, err := c.Layout(k.Width, k.Height)
		require.NoError(t, err)
		require.Equal(t, tiling.Grid{
			Canvas: tiling.Size{W: 64 * k.Cols, H: 64 * k.Rows},
			Cols:   k.Cols, Rows: k.Rows, Tiles: len(k.Tiles),
		}, l.Grid)
		view := func(v tiling.View) [4]int { return [4]int{v.Resize.W, v.Resize.H, v.X, v.Y} }
		require.Equal(t, [4]int{k.GlobalResize[0], k.GlobalResize[1], k.GlobalOffset[0], k.GlobalOffset[1]}, view(l.Views[0]))
		if len(l.Views) == 2 {
			require.Equal(t, [4]int{k.LocalResize[0], k.LocalResize[1], k.LocalOffset[0], k.LocalOffset[1]}, view(l.Views[1]))
		}
	}
}
