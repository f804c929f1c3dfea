package cli

import (
	"bufio"
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/heddle-ml/heddle/models/arch"
	"github.com/heddle-ml/heddle/models/img/tiling"
	"github.com/heddle-ml/heddle/tools/heddle/internal/tty"
)

type tilesFlags struct {
	model            modelFlag
	method           string
	tile             int
	grid, candidates string
	least, most      int
	alpha            float64
	json             bool
}

func (a *app) tilesCommand() *cobra.Command {
	var f tilesFlags
	cmd := &cobra.Command{
		Use:   "tiles [WxH...]",
		Short: "Show the grid chosen for picture sizes",
		Long: `Shows for each picture size how it is cut into tiles: the canvas that the picture
is brought to, its columns and rows of tiles, and how many tiles the vision
tower gets, with the global one.

Methods: bluelm (relaxed aspect ratio matching, BlueLM-V-3B), llava-next,
internvl, idefics3 (SmolVLM), single. Sizes that are not given as arguments are
read from standard input, one a line. With --model the rule is the model's own,
unless --method says otherwise, and image tokens are counted.`,
		Example: `  heddle tiles --method bluelm 394x390 380x76 1080x2400
  heddle tiles --method internvl --tile 448 --max-tiles 12 500x102
  heddle tiles --method llava-next --tile 336 --candidates 336x672,672x336,672x672 640x480
  heddle tiles --model path/to/model --json < sizes.txt`,
	}
	fl := cmd.Flags()
	fl.StringVar(&f.method, "method", "", "rule: bluelm, llava-next, internvl, idefics3 or single (default: the model's, or bluelm)")
	fl.IntVar(&f.tile, "tile", 384, "side of a tile in `pixels`")
	fl.StringVar(&f.grid, "grid", "", "largest grid in `COLUMNSxROWS`, such as 3x3")
	fl.IntVar(&f.least, "min-tiles", 1, "fewest local tiles")
	fl.IntVar(&f.most, "max-tiles", 0, "most local tiles")
	fl.StringVar(&f.candidates, "candidates", "", "the canvases to choose from, `WxH,WxH,...` in pixels; of equally good ones llava-next takes the first")
	fl.Float64Var(&f.alpha, "alpha", 0.1, "share of the picture that bluelm gives up for less padding")
	fl.BoolVar(&f.json, "json", false, "print JSON, one object a line")
	f.model.add(cmd, "count the image tokens of this model `folder`, and take its rule")
	cmd.MarkFlagsMutuallyExclusive("grid", "candidates", "max-tiles")
	cmd.MarkFlagsMutuallyExclusive("grid", "candidates", "min-tiles")
	_ = cmd.RegisterFlagCompletionFunc("method", cobra.FixedCompletions([]string{"bluelm", "llava-next", "internvl", "idefics3", "single"}, cobra.ShellCompDirectiveNoFileComp))
	cmd.RunE = a.action(func(ctx context.Context, args []string) error {
		return a.tiles(ctx, &f, fl.Changed, args)
	})
	return cmd
}

// tiling returns the rule that the flags describe, and the model's way with
// pictures where one is given.
func (f *tilesFlags) tiling(a *app, given func(flag string) bool) (tiling.Config, *arch.Images, error) {
	var c tiling.Config
	var im *arch.Images
	if given("model") {
		d, err := f.model.describe()
		if err != nil {
			return c, nil, err
		}
		defer d.Close()
		if im, err = images(d); err != nil {
			return c, nil, err
		}
		if im == nil {
			return c, nil, fmt.Errorf("model %s: a %s model takes no pictures", f.model.name(), d.Arch.Family)
		}
		c = im.Tiling
	}
	if given("method") || im == nil {
		m := tiling.BlueLM
		if given("method") {
			var err error
			if m, err = tiling.ParseMethod(f.method); err != nil {
				return c, nil, usagef("--method: %s", message(err))
			}
		}
		c = tiling.Default(m)
		c.Tile = f.tile
		if im != nil && !given("tile") {
			c.Tile = im.Tiling.Tile // the tower takes no other
		}
		if m == tiling.Idefics3 {
			c.LongestEdge = 4 * c.Tile // as published, at any tile
		}
	} else if given("tile") {
		c.Tile = f.tile
	}
	if err := f.grids(&c, given); err != nil {
		return c, nil, err
	}
	switch {
	case c.Method != tiling.BlueLM && given("alpha"):
		a.warn("--alpha has no meaning for %s", c.Method)
	case given("alpha"):
		c.Alpha = f.alpha
	}
	// Nonsense is found with the first picture: any will do.
	if _, err := c.Grid(1, 1); err != nil {
		return c, nil, usagef("%s", message(err))
	}
	return c, im, nil
}

// grids replaces the candidates of c.
func (f *tilesFlags) grids(c *tiling.Config, given func(flag string) bool) (err error) {
	if fixed := c.Method == tiling.Idefics3 || c.Method == tiling.Single; fixed {
		for _, n := range []string{"grid", "candidates", "min-tiles", "max-tiles"} {
			if given(n) {
				return usagef("--%s: method %s does not choose among grids", n, c.Method)
			}
		}
		return nil
	}
	switch {
	case given("grid"):
		var g tiling.Cells
		if g, err = tiling.ParseCells(f.grid); err == nil {
			c.Grids, err = tiling.UpTo(g.Cols, g.Rows)
		}
		if err != nil {
			return usagef("--grid: %s", message(err))
		}
	case given("candidates"):
		var sizes []tiling.Size
		for text := range strings.SplitSeq(f.candidates, ",") {
			s, err := tiling.ParseSize(strings.TrimSpace(text))
			if err != nil {
				return usagef("--candidates: %s", message(err))
			}
			sizes = append(sizes, s)
		}
		if c.Grids, err = tiling.Canvases(c.Tile, sizes); err != nil {
			return usagef("--candidates: %s", message(err))
		}
	case given("min-tiles") || given("max-tiles"):
		most := f.most
		if !given("max-tiles") {
			for _, g := range c.Grids {
				most = max(most, g.Cols*g.Rows)
			}
		}
		if c.Grids, err = tiling.Between(f.least, most); err != nil {
			return usagef("--min-tiles, --max-tiles: %s", message(err))
		}
	}
	return nil
}

// tileRow is the answer for one picture size.
type tileRow struct {
	Width       int    `json:"width"`
	Height      int    `json:"height"`
	Canvas      [2]int `json:"canvas"`
	Cols        int    `json:"cols"`
	Rows        int    `json:"rows"`
	Tiles       int    `json:"tiles"`
	ImageTokens *int64 `json:"image_tokens,omitempty"`
}

func (a *app) tiles(ctx context.Context, f *tilesFlags, given func(flag string) bool, args []string) error {
	c, im, err := f.tiling(a, given)
	if err != nil {
		return err
	}
	choose := func(s tiling.Size) (tileRow, error) {
		g, err := c.Grid(s.W, s.H)
		if err != nil {
			return tileRow{}, err
		}
		row := tileRow{Width: s.W, Height: s.H, Canvas: [2]int{g.Canvas.W, g.Canvas.H}, Cols: g.Cols, Rows: g.Rows, Tiles: g.Tiles}
		if im != nil {
			n := im.Embeddings(g)
			row.ImageTokens = &n
		}
		return row, nil
	}
	var rows []tileRow
	for _, text := range args {
		s, err := tiling.ParseSize(text)
		if err != nil {
			return usagef("%s", message(err))
		}
		row, err := choose(s)
		if err != nil {
			return err
		}
		rows = append(rows, row)
	}
	if len(args) > 0 {
		return a.tileRows(rows, f.json)
	}
	if tty.IsTerminal(a.in) {
		return usagef("no picture sizes: write some, such as 640x480, or give a list as standard input")
	}
	lines := bufio.NewScanner(a.stdin(ctx))
	for n := 1; lines.Scan(); n++ {
		text := strings.TrimSpace(lines.Text())
		if text == "" {
			continue
		}
		s, err := tiling.ParseSize(text)
		if err != nil {
			return fmt.Errorf("standard input, line %d: %s", n, message(err))
		}
		row, err := choose(s)
		if err != nil {
			return fmt.Errorf("standard input, line %d: %s", n, message(err))
		}
		rows = append(rows, row)
		if f.json { // as they come: the other side may be waiting
			if err := a.tileRows(rows, true); err != nil {
				return err
			}
			rows = rows[:0]
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("standard input: %w", err)
	}
	return a.tileRows(rows, f.json)
}

func (a *app) tileRows(rows []tileRow, asJSON bool) error {
	if asJSON {
		for _, r := range rows {
			if err := jsonLine(a.out, r); err != nil {
				return err
			}
		}
		return nil
	}
	if len(rows) == 0 {
		return nil
	}
	t := &tty.Table{Right: []int{0, 1, 2, 3, 4}}
	head := []string{"picture", "canvas", "grid", "tiles"}
	if rows[0].ImageTokens != nil {
		head = append(head, "image tokens")
	}
	for i := range head {
		head[i] = a.out.Dim(head[i])
	}
	t.Row(head...)
	for _, r := range rows {
		cells := []string{
			tiling.Size{W: r.Width, H: r.Height}.String(), tiling.Size{W: r.Canvas[0], H: r.Canvas[1]}.String(),
			fmt.Sprintf("%dx%d", r.Cols, r.Rows), fmt.Sprint(r.Tiles),
		}
		if r.ImageTokens != nil {
			cells = append(cells, tty.Count(*r.ImageTokens))
		}
		t.Row(cells...)
	}
	return t.Write(a.out)
}
