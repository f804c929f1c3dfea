package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/models"
	"github.com/heddle-ml/heddle/models/arch"
	"github.com/heddle-ml/heddle/models/ckpt/gguf"
	"github.com/heddle-ml/heddle/models/ckpt/safetensors"
)

func (a *app) inspectCommand() *cobra.Command {
	var asJSON bool
	var ctxLen int
	cmd := &cobra.Command{
		Use:   "inspect [M]",
		Short: "Show what is in a model",
		Long: `Shows a model's architecture, the inputs and outputs of its graphs as export
names them, and its tensors with their types, shapes and sizes. M is a model
folder, a .gguf file (header, metadata, tensors) or a .safetensors file;
without it the embedded demo model is shown.`,
		Example: `  heddle inspect
  heddle inspect path/to/model
  heddle inspect --json model.gguf`,
		Args: atMost(1),
		RunE: a.action(func(_ context.Context, args []string) error {
			path := ""
			if len(args) > 0 {
				path = args[0]
			}
			r, err := inspect(path, ctxLen)
			if err != nil {
				return err
			}
			if asJSON {
				return a.json(r)
			}
			return a.printModel(r)
		}),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().IntVar(&ctxLen, "context", 0, "`tokens` that the graphs' KV cache holds (default: the model's limit, at most 4096)")
	return cmd
}

// modelReport is what inspect shows. Format is "huggingface", "gguf" or
// "safetensors"; what a format has not is left out.
type modelReport struct {
	Path         string               `json:"path"`
	Format       string               `json:"format"`
	Version      int                  `json:"version,omitempty"`
	Alignment    int64                `json:"alignment,omitempty"`
	Architecture string               `json:"architecture,omitempty"`
	Parameters   int64                `json:"parameters"`
	Bytes        int64                `json:"bytes"` // of the tensors
	Encodings    map[string]encoding  `json:"encodings"`
	Vision       *visionReport        `json:"vision,omitempty"`
	Text         *textReport          `json:"text,omitempty"`
	Modules      []moduleReport       `json:"modules,omitempty"`
	Metadata     []metadataReport     `json:"metadata,omitempty"`
	Tensors      []tensorReport       `json:"tensors"`
	images       *arch.Images         // for people
	order        []string             // of encodings
	projector    bool                 // alone
	files        map[string]fileBytes // by name
}

type fileBytes struct{ tensors, bytes int64 }

// encoding sums up the tensors that are stored alike.
type encoding struct {
	Tensors    int   `json:"tensors"`
	Parameters int64 `json:"parameters"`
	Bytes      int64 `json:"bytes"`
}

type visionReport struct {
	TileSide      int64  `json:"tile_side"`
	TokensPerTile int64  `json:"tokens_per_tile"`
	Width         int64  `json:"width"`
	MaxTiles      int64  `json:"max_tiles"`
	Tiling        string `json:"tiling,omitempty"`
}

type textReport struct {
	Layers       int64   `json:"layers"`
	Hidden       int64   `json:"hidden"`
	Intermediate int64   `json:"intermediate"`
	Heads        int64   `json:"heads"`
	KVHeads      int64   `json:"kv_heads"`
	HeadDim      int64   `json:"head_dim"`
	Vocabulary   int64   `json:"vocabulary"`
	MaxPositions int64   `json:"max_positions"`
	RopeTheta    float64 `json:"rope_theta"`
	RopeType     string  `json:"rope_type"`
	TiedHead     bool    `json:"tied_head"`
}

// moduleReport is one graph.
type moduleReport struct {
	Name    string         `json:"name"`
	Nodes   int            `json:"nodes"`
	Symbols []symbolReport `json:"symbols"`
	Inputs  []valueReport  `json:"inputs"`
	Outputs []valueReport  `json:"outputs"`
	// States become an input Name and an output Output when exported.
	States []stateReport `json:"states"`
}

type symbolReport struct {
	Name string `json:"name"`
	Min  int64  `json:"min"`
	Max  int64  `json:"max"`
}

type valueReport struct {
	Name  string `json:"name"`
	DType string `json:"dtype"`
	Shape []any  `json:"shape"` // numbers, and expressions of symbols as text
	text  string
}

type stateReport struct {
	valueReport
	Output string `json:"output,omitempty"`
}

type metadataReport struct {
	Key   string `json:"key"`
	Type  string `json:"type"`
	Count *int   `json:"count,omitempty"` // of an array
	Value any    `json:"value,omitempty"` // missing for long arrays
}

type tensorReport struct {
	Name   string  `json:"name"`
	DType  string  `json:"dtype"`
	Shape  []int64 `json:"shape"`
	Bytes  int64   `json:"bytes"`
	File   string  `json:"file,omitempty"`
	Offset int64   `json:"offset"`
}

func inspect(path string, context int) (*modelReport, error) {
	if path != "" {
		info, err := os.Stat(path)
		if err != nil {
			return nil, fmt.Errorf("model %s: %w", path, cause(err))
		}
		switch ext := strings.ToLower(filepath.Ext(path)); {
		case info.IsDir():
		case ext == ".gguf":
			return inspectGGUF(path)
		case ext == ".safetensors":
			return inspectSafetensors(path)
		default:
			return nil, fmt.Errorf("model %s: want a model folder, a .gguf or a .safetensors file", path)
		}
	}
	d, err := modelFlag(path).describe()
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return inspectFolder(d, modelFlag(path).name(), context)
}

// add appends a tensor and counts it.
func (r *modelReport) add(t tensorReport) {
	n := int64(1)
	for _, d := range t.Shape {
		n *= d // the file was checked to hold that many
	}
	r.Tensors = append(r.Tensors, t)
	r.Parameters += n
	r.Bytes += t.Bytes
	if r.Encodings == nil {
		r.Encodings, r.files = map[string]encoding{}, map[string]fileBytes{}
	}
	e, ok := r.Encodings[t.DType]
	if !ok {
		r.order = append(r.order, t.DType)
	}
	r.Encodings[t.DType] = encoding{e.Tensors + 1, e.Parameters + n, e.Bytes + t.Bytes}
	f := r.files[t.File]
	r.files[t.File] = fileBytes{f.tensors + 1, f.bytes + t.Bytes}
}

func inspectFolder(d *models.Description, name string, context int) (*modelReport, error) {
	r := &modelReport{Path: name, Format: "huggingface", Architecture: d.Arch.Family, Tensors: []tensorReport{}, projector: d.Arch.Projector != nil}
	for _, n := range d.Files.Names() {
		p, err := d.Files.Tensor(n)
		if err != nil {
			return nil, err
		}
		l, err := p.Enc.Layout(p.Elem, p.Shape)
		if err != nil {
			return nil, fmt.Errorf("tensor %q: %w", n, err)
		}
		r.add(tensorReport{Name: n, DType: p.Elem.String(), Shape: p.Shape, Bytes: l.Total(), File: p.Source, Offset: p.Offset})
	}
	var err error
	if r.images, err = images(d); err != nil {
		return nil, err
	}
	if v := d.Arch.Vision; v != nil {
		r.Vision = &visionReport{TileSide: v.Side, TokensPerTile: v.Tokens, Width: v.Width, MaxTiles: v.MaxTiles}
		if r.images != nil {
			r.Vision.Tiling = r.images.Tiling.Method.String()
		}
	}
	if t := d.Arch.Text; t != nil {
		r.Text = &textReport{
			Layers: t.Layers, Hidden: t.Hidden, Intermediate: t.Intermediate, Heads: t.Heads, KVHeads: t.KVHeads, HeadDim: t.HeadDim,
			Vocabulary: t.Vocab, MaxPositions: t.MaxPositions, RopeTheta: t.Rope.Theta, RopeType: t.Rope.Type,
			TiedHead: t.Head == t.Prefix+"embed_tokens.weight",
		}
	}
	for _, m := range moduleNames(d) {
		g, err := moduleGraph(d, m, int64(context))
		if err != nil {
			return nil, err
		}
		mod := moduleReport{Name: m, Nodes: len(g.Nodes), Symbols: []symbolReport{}, Inputs: []valueReport{}, Outputs: []valueReport{}, States: []stateReport{}}
		for _, s := range g.Symbols {
			mod.Symbols = append(mod.Symbols, symbolReport{s.Name, s.Min, s.Max})
		}
		value := func(name string, of int) valueReport {
			t := g.Values[of].Type
			return valueReport{Name: name, DType: t.Elem.String(), Shape: shapeOf(t.Shape), text: t.String()}
		}
		for _, id := range g.Inputs {
			mod.Inputs = append(mod.Inputs, value(g.Values[id].Name, int(id)))
		}
		for _, p := range g.Outputs {
			mod.Outputs = append(mod.Outputs, value(p.Name, int(p.Value)))
		}
		for _, s := range g.States {
			st := stateReport{valueReport: value(s.Name, int(s.In))}
			if s.Out != s.In {
				st.Output = s.Name + ".out"
			}
			mod.States = append(mod.States, st)
		}
		r.Modules = append(r.Modules, mod)
	}
	return r, nil
}

func shapeOf(s dim.Shape) []any {
	out := make([]any, len(s))
	for i, d := range s {
		if n, ok := d.Const(); ok {
			out[i] = n
		} else {
			out[i] = d.String()
		}
	}
	return out
}

func inspectSafetensors(path string) (*modelReport, error) {
	f, err := safetensors.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r := &modelReport{Path: path, Format: "safetensors", Tensors: []tensorReport{}}
	meta := f.Metadata()
	for _, k := range sortedKeys(meta) {
		r.Metadata = append(r.Metadata, metadataReport{Key: k, Type: "string", Value: meta[k]})
	}
	for _, t := range f.Tensors() {
		r.add(tensorReport{Name: t.Name, DType: strings.ToLower(string(t.DType)), Shape: append([]int64{}, t.Shape...), Bytes: t.Length, Offset: t.Offset})
	}
	slices.SortFunc(r.Tensors, func(a, b tensorReport) int { return strings.Compare(a.Name, b.Name) })
	return r, nil
}

// maxValues is the longest array whose values are shown.
const maxValues = 16

func inspectGGUF(path string) (*modelReport, error) {
	f, err := gguf.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r := &modelReport{Path: path, Format: "gguf", Version: f.Version(), Alignment: f.Alignment(), Tensors: []tensorReport{}}
	if s, err := f.String("general.architecture"); err == nil {
		r.Architecture = s
	}
	for _, k := range f.Keys() {
		kind, elem, n, err := f.KindOf(k)
		if err != nil {
			return nil, fmt.Errorf("%s: %s", path, message(err))
		}
		m := metadataReport{Key: k, Type: kind.String()}
		if kind == gguf.KindArray {
			m.Type, m.Count = elem.String()+"[]", &n
		}
		if kind != gguf.KindArray || n <= maxValues {
			if m.Value, err = f.Value(k); err != nil {
				return nil, fmt.Errorf("%s: %s", path, message(err))
			}
		}
		r.Metadata = append(r.Metadata, m)
	}
	for _, t := range f.Tensors() {
		shape := slices.Clone(t.Dims) // GGUF has the innermost dimension first
		slices.Reverse(shape)
		r.add(tensorReport{Name: t.Name, DType: t.Type.String(), Shape: shape, Bytes: t.Size, Offset: t.Offset})
	}
	return r, nil
}
