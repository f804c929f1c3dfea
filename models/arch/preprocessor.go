package arch

import (
	"fmt"
	"math"

	"github.com/heddle-ml/heddle/models/img"
	"github.com/heddle-ml/heddle/models/img/resample"
	"github.com/heddle-ml/heddle/models/img/tiling"
)

// Preprocessor applies a preprocessor_config.json (Hugging Face's
// image processor settings), whose name in errors is file. What it asks for
// and this package does not do is an error, never left out.
func (im *Images) Preprocessor(file string, data []byte) (*Images, error) {
	c, err := parseConfig(file, data)
	if err != nil {
		return nil, err
	}
	out := *im
	out.Norm = readNorm(c, out.Norm)
	if c.has("resample") {
		f, err := resample.FromPillow(int(c.int("resample", 3, 0, 5)))
		c.want("resample", err == nil, c.m["resample"], "want Pillow's number of a filter, 0 to 5")
		out.Tiling.Filter = f
	}
	if out.Tiling.Method != tiling.InternVL { // whose own code resizes whatever this says
		c.want("do_resize", c.bool("do_resize", true), false, "want true: pictures come in all sizes")
	}
	switch out.Tiling.Method {
	case tiling.BlueLM:
		out.Tiling = readTiles(c, out.Tiling)
	case tiling.Single:
		out.Tiling = readSquare(c, out.Tiling)
	case tiling.Idefics3:
		tile := c.edge("max_image_size", "longest_edge", out.Tiling.Tile)
		c.want("max_image_size", tile == out.Tiling.Tile, tile, fmt.Sprintf("the vision tower takes %d", out.Tiling.Tile))
		out.Tiling.LongestEdge = c.edge("size", "longest_edge", out.Tiling.LongestEdge)
		c.want("do_image_splitting", c.bool("do_image_splitting", true), false, "want true")
	}
	if *c.err != nil {
		return nil, *c.err
	}
	if _, err := out.Tiling.Grid(1, 1); err != nil {
		return nil, fmt.Errorf("arch: %s: %w", file, err)
	}
	return &out, nil
}

// readNorm reads how bytes become numbers.
func readNorm(c config, n img.Norm) img.Norm {
	n.Mean = c.triple("image_mean", n.Mean, -1e6)
	n.Std = c.triple("image_std", n.Std, 1e-6)
	n.Rescale = c.float("rescale_factor", n.Rescale, 1e-9, 1e3)
	if !c.bool("do_rescale", true) {
		n.Rescale = 1
	}
	if !c.bool("do_normalize", true) {
		n.Mean, n.Std = [3]float64{}, [3]float64{1, 1, 1}
	}
	return n
}

// readTiles reads a BlueLMVImageProcessor's settings; what is absent is as in
// config.json.
func readTiles(c config, t tiling.Config) tiling.Config {
	most := 1
	for _, g := range t.Grids {
		most = max(most, g.Cols*g.Rows)
	}
	side := c.int("tile_size", int64(t.Tile), 1, maxSide)
	c.want("tile_size", int(side) == t.Tile, side, fmt.Sprintf("the vision tower takes %d", t.Tile))
	c.want("use_global_tile", c.bool("use_global_tile", true), false, "want true")
	n := c.int("max_tiles", int64(most), 1, 256)
	out, err := tiling.BlueLMV(t.Tile, int(n), c.float("tile_alpha", t.Alpha, 0, 0.999), uint8(c.int("pad_value", int64(t.Pad[0]), 0, 255)))
	if err != nil {
		c.fail("max_tiles", "%v", err)
		return t
	}
	out.Filter = t.Filter
	return out
}

// readSquare reads how a picture becomes one square: squashed, as for SigLIP,
// or its short side resized and the middle cut out, as for CLIP.
func readSquare(c config, t tiling.Config) tiling.Config {
	c.want("do_pad", !c.bool("do_pad", false), true, "want false")
	same := func(key string) {
		for _, field := range []string{"height", "width"} {
			side := c.edge(key, field, t.Tile)
			c.want(key, side == t.Tile, side, fmt.Sprintf("the vision tower takes %d", t.Tile))
		}
	}
	if !c.bool("do_center_crop", false) {
		same("size")
		if _, object := c.m["size"].(map[string]any); object {
			c.want("size", !c.sub("size").has("shortest_edge"), "a shortest_edge", "without do_center_crop, want height and width")
		}
		return t
	}
	same("crop_size")
	t.Global = tiling.Crop
	t.ShortEdge = c.edge("size", "shortest_edge", t.Tile)
	c.want("size", t.ShortEdge >= t.Tile, t.ShortEdge, fmt.Sprintf("nothing of %d pixels can be cut out of it", t.Tile))
	return t
}

// edge reads a size in pixels, which is a number or an object with a field.
func (c config) edge(key, field string, def int) int {
	if _, object := c.m[key].(map[string]any); object {
		return int(c.sub(key).int(field, int64(def), 1, 1<<14))
	}
	return int(c.int(key, int64(def), 1, 1<<14))
}

// triple reads one number for each channel, each at least lo.
func (c config) triple(key string, def [3]float64, lo float64) [3]float64 {
	if !c.has(key) {
		return def
	}
	list, _ := c.m[key].([]any)
	var out [3]float64
	ok := len(list) == 3
	for i := range out {
		if !ok {
			break
		}
		out[i], ok = list[i].(float64)
		ok = ok && out[i] >= lo && math.Abs(out[i]) <= 1e6
	}
	if !ok {
		c.fail(key, "want three numbers from %v to 1e6", lo)
		return def
	}
	return out
}
