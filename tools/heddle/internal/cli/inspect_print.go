package cli

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/heddle-ml/heddle/tools/heddle/internal/tty"
)

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// printModel shows a report to a person.
func (a *app) printModel(r *modelReport) error {
	w := a.out
	title := r.Path
	if r.Architecture != "" {
		title = r.Architecture + ", " + r.Path
	}
	fmt.Fprintln(w, w.Bold(tty.OneLine(title)))
	t := &tty.Table{Indent: "  "}
	row := func(name, format string, args ...any) { t.Row(w.Dim(name), tty.OneLine(fmt.Sprintf(format, args...))) }
	if r.Format == "gguf" {
		row("format", "GGUF version %d, data aligned to %d bytes", r.Version, r.Alignment)
	}
	row("parameters", "%s in %s, %s", tty.Count(r.Parameters), tty.Plural(len(r.Tensors), "tensor"), tty.Bytes(r.Bytes))
	for _, n := range r.order {
		e := r.Encodings[n]
		row("stored as", "%s: %s, %s", n, tty.Plural(e.Tensors, "tensor"), tty.Bytes(e.Bytes))
	}
	if len(r.files) > 1 {
		for _, n := range sortedKeys(r.files) {
			row("file", "%s: %s, %s", n, tty.Plural(int(r.files[n].tensors), "tensor"), tty.Bytes(r.files[n].bytes))
		}
	}
	if v := r.Vision; v != nil {
		row("vision", "tiles of %dx%d pixels, %d tokens of %d each, up to %d tiles in one run", v.TileSide, v.TileSide, v.TokensPerTile, v.Width, v.MaxTiles)
	}
	if r.images != nil {
		most := 0
		for _, g := range r.images.Tiling.Grids {
			most = max(most, g.Cols*g.Rows)
		}
		if most > 0 {
			row("pictures", "%s, up to %s", r.images.Tiling.Method, tty.Plural(most, "local tile"))
		} else {
			row("pictures", "%s", r.images.Tiling.Method)
		}
	}
	if x := r.Text; x != nil {
		tied := ""
		if x.TiedHead {
			tied = ", tied"
		}
		row("language", "%d layers, hidden %d, MLP %d, %d query and %d key/value heads of %d", x.Layers, x.Hidden, x.Intermediate, x.Heads, x.KVHeads, x.HeadDim)
		row("", "vocabulary %s%s, context %s, RoPE theta %s (%s)", tty.Count(x.Vocabulary), tied, tty.Count(x.MaxPositions), strconv.FormatFloat(x.RopeTheta, 'g', -1, 64), x.RopeType)
	}
	if r.projector {
		row("projector", "alone, without tower and language model")
	}
	if err := t.Write(w); err != nil {
		return err
	}
	if err := a.printModules(r.Modules); err != nil {
		return err
	}
	return a.printTensors(r)
}

func (a *app) printModules(list []moduleReport) error {
	w := a.out
	for _, m := range list {
		fmt.Fprintf(w, "\n%s  %s\n", w.Bold(m.Name), w.Dim(tty.Plural(m.Nodes, "node")))
		t := &tty.Table{Indent: "  "}
		for _, v := range m.Inputs {
			t.Row(w.Dim("in"), v.Name, v.text)
		}
		for _, v := range m.Outputs {
			t.Row(w.Dim("out"), v.Name, v.text)
		}
		for _, run := range sameStates(m.States) {
			t.Row(w.Dim("state"), run[0], run[1])
		}
		for _, s := range m.Symbols {
			t.Row(w.Dim("where"), s.Name, fmt.Sprintf("%d to %s", s.Min, tty.Count(s.Max)))
		}
		if err := t.Write(w); err != nil {
			return err
		}
	}
	return nil
}

// sameStates joins states that differ in their number only, as those of a
// model's layers do: name and type of each group.
func sameStates(list []stateReport) [][2]string {
	type group struct {
		stem, text  string
		first, last string
		n           int
	}
	var groups []*group
	for _, s := range list {
		stem, number, _ := strings.Cut(s.Name, ".")
		i := slices.IndexFunc(groups, func(g *group) bool { return g.stem == stem && g.text == s.text })
		if i < 0 {
			groups = append(groups, &group{stem, s.text, number, number, 1})
			continue
		}
		groups[i].last = number
		groups[i].n++
	}
	var out [][2]string
	for _, g := range groups {
		name := g.stem
		if g.first != "" {
			name += "." + g.first
		}
		if g.n > 1 {
			name += " to " + g.last
		}
		out = append(out, [2]string{name, g.text})
	}
	return out
}

func (a *app) printTensors(r *modelReport) error {
	w := a.out
	if len(r.Metadata) > 0 {
		fmt.Fprintf(w, "\n%s\n", w.Bold("metadata"))
		t := &tty.Table{Indent: "  "}
		for _, m := range r.Metadata {
			t.Row(tty.OneLine(m.Key), w.Dim(m.Type), metadataText(m))
		}
		if err := t.Write(w); err != nil {
			return err
		}
	}
	fmt.Fprintf(w, "\n%s\n", w.Bold("tensors"))
	t := &tty.Table{Indent: "  ", Right: []int{3}}
	for _, x := range r.Tensors {
		t.Row(tty.OneLine(x.Name), x.DType, fmt.Sprint(x.Shape), tty.Bytes(x.Bytes))
	}
	return t.Write(w)
}

// metadataText is a metadata value in at most some sixty characters.
func metadataText(m metadataReport) string {
	switch v := m.Value.(type) {
	case nil:
		return tty.Plural(*m.Count, "value")
	case string:
		r := []rune(v)
		if len(r) > 60 {
			return fmt.Sprintf("%q ... (%d characters)", string(r[:50]), len(r))
		}
		return strconv.Quote(v)
	case []any:
		words := make([]string, len(v))
		for i, x := range v {
			words[i] = metadataText(metadataReport{Value: x})
		}
		return "[" + strings.Join(words, ", ") + "]"
	default:
		return fmt.Sprint(v)
	}
}
