package arch

import (
	"fmt"
	"sort"
	"strings"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/graph/passes"
)

// Model is an architecture with its sizes: what config.json says, read and
// checked. It is immutable.
type Model struct {
	Family    string     // model_type
	Text      *Decoder   // nil for a vision tower alone
	Vision    *Vision    // nil for a language model alone
	Projector *Projector // a projector alone; then all else is nil
	Images    *Images    // how pictures enter the prompt; nil without Vision and Text
}

// Vision is a vision tower with what follows it.
type Vision struct {
	// Side is the width and height of a tile in pixels, Tokens the number of
	// embeddings a tile becomes, Width their size.
	Side, Tokens, Width int64
	// MaxTiles bounds the tiles of one run.
	MaxTiles int64
	// build adds tower and projector and the outputs.
	build func(m *module, pixels graph.ValueID, tiles dim.Dim)
}

// ImageOutput is the name of the vision graph's result, f32[tiles,Tokens,Width].
const ImageOutput = "image_embeds"

// family reads a config.json into a Model. w tells which tensors there are,
// for what configs leave open.
type family func(c config, w Weights) *Model

var families = map[string]family{}

// Families lists the model types that can be opened, sorted.
func Families() []string {
	out := make([]string, 0, len(families))
	for f := range families {
		out = append(out, f)
	}
	sort.Strings(out)
	return out
}

// Read reads a config.json. file is its name in errors.
func Read(file string, data []byte, w Weights) (*Model, error) {
	c, err := parseConfig(file, data)
	if err != nil {
		return nil, err
	}
	name := c.str("model_type", "")
	if name == "" && c.has("mm_projector_type") {
		name = "vila_projector" // VILA's projector folders have no model_type
	}
	if *c.err != nil {
		return nil, *c.err
	}
	read, ok := families[name]
	if !ok {
		return nil, fmt.Errorf("arch: %s: model_type is %q, which is unknown; want one of %s", file, name, strings.Join(Families(), ", "))
	}
	m := read(c, w)
	if *c.err != nil {
		return nil, *c.err
	}
	m.Family = name
	return m, nil
}

// Files are a model's files. *ckpt.Checkpoint is one.
type Files interface {
	Weights
	// ReadFile returns a small file, Path how it is named in messages.
	ReadFile(name string) ([]byte, error)
	Path(name string) string
}

// Open reads the config.json of a model's files.
func Open(f Files) (*Model, error) {
	data, err := f.ReadFile("config.json")
	if err != nil {
		return nil, fmt.Errorf("arch: %w: a model folder has a config.json", err)
	}
	return Read(f.Path("config.json"), data, f)
}

// VisionOptions shape the vision graph.
type VisionOptions struct {
	// Taps makes intermediate values outputs, under the names that reference
	// activations use.
	Taps bool
}

// VisionGraph returns the graph from pixels to image embeddings; symbol tiles.
func (m *Model) VisionGraph(w Weights, o VisionOptions) (*graph.Graph, error) {
	v := m.Vision
	if v == nil {
		return nil, fmt.Errorf("arch: a %s model has no vision tower", m.Family)
	}
	b := newModule("vision", w, o.Taps)
	tiles := b.Symbol(dim.Symbol{Name: "tiles", Min: 1, Max: v.MaxTiles})
	pixels := b.Input(Pixels, graph.Of(enc.F32, tiles, dim.Of(3), dim.Of(v.Side), dim.Of(v.Side)))
	v.build(b, pixels, tiles)
	return b.Build()
}

// Prefill returns the graph of a chunk of the prompt; see Decoder.Prefill.
func (m *Model) Prefill(w Weights, o TextOptions) (*graph.Graph, error) {
	if m.Text == nil {
		return nil, fmt.Errorf("arch: a %s model has no language model", m.Family)
	}
	o.Images = m.Vision != nil
	return m.Text.Prefill(w, o)
}

// Decode returns Prefill specialised to one token.
func (m *Model) Decode(w Weights, o TextOptions) (*graph.Graph, error) {
	if m.Text == nil {
		return nil, fmt.Errorf("arch: a %s model has no language model", m.Family)
	}
	o.Images = false // generated tokens are text
	g, err := m.Text.Prefill(w, o)
	if err != nil {
		return nil, err
	}
	if g, err = passes.Specialize(g, dim.Binding{"chunk": 1, "rows": 1}); err != nil {
		return nil, err
	}
	g.Name = "decode"
	return g, nil
}
