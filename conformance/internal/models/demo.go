package models

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/models"
	"github.com/heddle-ml/heddle/models/arch"
	"github.com/heddle-ml/heddle/models/demo"
	"github.com/heddle-ml/heddle/models/img"
	"github.com/heddle-ml/heddle/models/token"
	"github.com/heddle-ml/heddle/ops"
	"github.com/heddle-ml/heddle/ops/oracle"
)

// pictures are some of the demo model's examples: of one tile, four, five and
// ten.
//
//go:embed pictures/*.png
var pictures embed.FS

// picture decodes one.
func picture(name string) (img.RGB, error) {
	data, err := pictures.ReadFile("pictures/" + name + ".png")
	if err != nil {
		return img.RGB{}, err
	}
	return img.Decode(name, data, img.Limits{})
}

// turn is what a user shows and asks.
type turn struct {
	pictures []string
	text     string
}

// context is the longest conversation of the cases, in tokens.
const contextTokens = 320

// recipe says how matrices are quantized; the zero value leaves them.
type recipe struct {
	name string
	// of returns the encoding of a matrix whose sums run along an axis.
	of func(sums int) enc.Encoding
}

var (
	asStored = recipe{name: "stored"}
	w8       = recipe{"w8", func(sums int) enc.Encoding { return enc.PerChannel(enc.I8, 1-sums) }}
	w4       = recipe{"w4", func(sums int) enc.Encoding { return enc.Blocked(enc.I4, sums, 32) }}
)

// subject is the demo model, described under a recipe.
type subject struct {
	recipe          recipe
	files           graph.Data
	desc            *arch.Model
	images          *arch.Images
	tok             *token.Tokenizer
	vision, prefill *graph.Graph
	stop            int32
}

// description opens the demo model's files; they stay open with the process.
var description = sync.OnceValues(func() (*models.Description, error) { return models.DescribeFS(demo.Name, demo.FS) })

func newSubject(r recipe) (*subject, error) {
	d, err := description()
	if err != nil {
		return nil, err
	}
	s := &subject{recipe: r, files: d.Files, desc: d.Arch}
	data, err := d.Files.ReadFile("tokenizer.json")
	if err != nil {
		return nil, err
	}
	if s.tok, err = token.FromJSON(data); err != nil {
		return nil, err
	}
	if data, err = d.Files.ReadFile("preprocessor_config.json"); err != nil {
		return nil, err
	}
	if s.images, err = d.Arch.Images.Preprocessor("preprocessor_config.json", data); err != nil {
		return nil, err
	}
	s.stop = int32(d.Arch.Text.EOS[0])
	if s.vision, err = d.Arch.VisionGraph(d.Files, arch.VisionOptions{}); err != nil {
		return nil, err
	}
	if s.prefill, err = d.Arch.Prefill(d.Files, arch.TextOptions{Context: contextTokens, MaxChunk: contextTokens}); err != nil {
		return nil, err
	}
	if s.vision, err = r.apply(s.vision); err == nil {
		s.prefill, err = r.apply(s.prefill)
	}
	return s, err
}

// apply returns the graph with its matrices quantized: those of products, and
// the embedding table.
func (r recipe) apply(g *graph.Graph) (*graph.Graph, error) {
	if r.of == nil {
		return g, nil
	}
	out := *g
	out.Values = slices.Clone(g.Values)
	matrix := func(v graph.ValueID, sums int) {
		w := &out.Values[v]
		if w.Kind == graph.Const && w.Data != nil && w.Data.HasData() && w.Type.Rank() == 2 && w.Type.Elem.IsFloat() {
			w.Type.Enc = r.of(sums)
		}
	}
	for i := range g.Nodes {
		switch n := &g.Nodes[i]; n.Op.Name {
		case "MatMul":
			matrix(n.In[1], 0) // [in,out]
		case "Gather":
			matrix(n.In[0], 1) // [vocabulary,width], the head's transpose
		}
	}
	if err := graph.Verify(&out, ops.Standard); err != nil {
		return nil, fmt.Errorf("the suite's own graph: %w", err)
	}
	return &out, nil
}

// tiles cuts a picture and returns what the vision tower reads,
// f32[tiles,3,side,side], and what stands for it in a prompt.
func (s *subject) tiles(name string) (*oracle.Tensor, string, error) {
	p, err := picture(name)
	if err != nil {
		return nil, "", err
	}
	l, err := s.images.Tiling.Layout(p.W, p.H)
	if err != nil {
		return nil, "", err
	}
	cut, err := img.Cut(p, l)
	if err != nil {
		return nil, "", err
	}
	values := make([]float32, cut.N*3*cut.Side*cut.Side)
	if err := s.images.Norm.Fill(values, cut); err != nil {
		return nil, "", err
	}
	t := &oracle.Tensor{Elem: enc.F32, Shape: []int64{int64(cut.N), 3, int64(cut.Side), int64(cut.Side)}}
	for _, v := range values {
		t.F = append(t.F, float64(v))
	}
	// As models/demo/README.md writes it.
	patches := strings.Repeat("<|patch|>", int(s.desc.Vision.Tokens))
	text := "<|image|><|global|>" + patches
	if l.Grid.Cols*l.Grid.Rows > 1 {
		text += strings.Repeat("<|row|>"+strings.Repeat("<|tile|>"+patches, l.Grid.Cols), l.Grid.Rows)
	}
	return t, text, nil
}

// stream is tokens as the language model reads them.
type stream struct {
	ids []int32
	// embeds has a row for each token that an image embedding replaces, in
	// order: f32[rows,width]; nil without pictures.
	embeds []float64
}

// append adds a turn: its pictures, embedded already, and its text.
func (s *subject) append(to *stream, t turn, embeds []float64) error {
	text := ""
	for _, p := range t.pictures {
		_, marks, err := s.tiles(p)
		if err != nil {
			return err
		}
		text += marks
	}
	ids, err := s.tok.Encode(text+"<|user|>"+t.text+"<|assistant|>", token.EncodeOptions{ParseSpecial: true})
	to.ids = append(to.ids, ids...)
	to.embeds = append(to.embeds, embeds...)
	return err
}

// chunk returns the inputs of the prefill graph for the tokens from one on,
// with logits wanted behind each of them.
func (s *subject) chunk(t *stream, from int) (map[string]*oracle.Tensor, dim.Binding) {
	n, width := int64(len(t.ids)-from), s.desc.Text.Hidden
	ints := func(shape ...int64) *oracle.Tensor { return &oracle.Tensor{Elem: enc.I64, Shape: shape} }
	ids, pos, row := ints(1, n), ints(1, n), ints(n)
	mask := &oracle.Tensor{Elem: enc.Bool, Shape: []int64{1, n, 1}, I: make([]int64, n)}
	embeds := &oracle.Tensor{Elem: enc.F32, Shape: []int64{1, n, width}, F: make([]float64, n*width)}
	image := int32(s.images.Token)
	next := int64(0) // row of the stream's embeddings
	for i, id := range t.ids {
		at := int64(i - from)
		if at >= 0 {
			ids.I, pos.I, row.I = append(ids.I, int64(id)), append(pos.I, int64(i)), append(row.I, at)
		}
		if id != image {
			continue
		}
		if at >= 0 {
			mask.I[at] = 1
			copy(embeds.F[at*width:(at+1)*width], t.embeds[next*width:])
		}
		next++
	}
	write, length := ints(1), ints(1)
	write.I, length.I = []int64{int64(from)}, []int64{int64(len(t.ids))}
	return map[string]*oracle.Tensor{arch.InputIDs: ids, arch.PositionIDs: pos, arch.WriteIndex: write, arch.KVLength: length,
		arch.LogitRows: row, arch.ImageMask: mask, arch.ImageEmbeds: embeds}, dim.Binding{"chunk": n, "rows": n}
}

var errLong = errors.New("the suite's own conversation does not fit its context")

// truth is what the oracle makes of a conversation.
type truth struct {
	stream
	embedded []*oracle.Tensor // of each picture
	answers  []answer
	logits   [][]float64 // behind each token
	states   map[string]*oracle.Tensor
}

// answer is the most likely answer to a turn.
type answer struct {
	from   int // place in the stream of its first token; before it ends the prompt
	tokens []int32
	text   string
}

// cache keeps what was computed: conversations are often asked for, and many
// begin alike.
var cache struct {
	sync.Mutex
	subjects map[string]*subject
	truths   map[string]*truth
	pictures map[string]*oracle.Tensor
}

// ask returns the demo model under a recipe, and what the oracle makes of a
// conversation with it, the first time by computing it.
func ask(ctx context.Context, r recipe, turns []turn) (*subject, *truth, error) {
	cache.Lock()
	defer cache.Unlock()
	if cache.subjects == nil {
		cache.subjects, cache.truths, cache.pictures = map[string]*subject{}, map[string]*truth{}, map[string]*oracle.Tensor{}
	}
	s := cache.subjects[r.name]
	if s == nil {
		var err error
		if s, err = newSubject(r); err != nil {
			return nil, nil, err
		}
		cache.subjects[r.name] = s
	}
	t, err := s.converse(ctx, turns)
	if err != nil {
		return nil, nil, fmt.Errorf("the oracle: %w", err)
	}
	return s, t, nil
}

// converse lets the oracle answer the last turn of a conversation behind the
// others. The cache is locked.
func (s *subject) converse(ctx context.Context, turns []turn) (*truth, error) {
	if len(turns) == 0 {
		return &truth{}, nil
	}
	key := fmt.Sprint(s.recipe.name, turns)
	if t := cache.truths[key]; t != nil {
		return t, nil
	}
	last := len(turns) - 1
	before, err := s.converse(ctx, turns[:last])
	if err != nil {
		return nil, err
	}
	t := &truth{stream: stream{slices.Clone(before.ids), slices.Clone(before.embeds)}, embedded: slices.Clone(before.embedded),
		answers: slices.Clone(before.answers), logits: slices.Clone(before.logits), states: before.states}
	if last > 0 {
		t.ids = append(t.ids, s.stop) // it ended the answer before
	}
	if err := s.answer(ctx, t, turns[last]); err != nil {
		return nil, err
	}
	cache.truths[key] = t
	return t, nil
}

// answer adds a turn and the most likely answer to it.
func (s *subject) answer(ctx context.Context, t *truth, turn turn) error {
	var embeds []float64
	for _, p := range turn.pictures {
		out, err := s.embedding(ctx, p)
		if err != nil {
			return err
		}
		t.embedded = append(t.embedded, out)
		embeds = append(embeds, out.F...)
	}
	if err := s.append(&t.stream, turn, embeds); err != nil {
		return err
	}
	a := answer{from: len(t.ids)}
	for {
		if len(t.ids) > contextTokens {
			return errLong
		}
		in, at := s.chunk(&t.stream, len(t.logits))
		res, err := oracle.Eval(ctx, s.prefill, oracle.Options{Inputs: in, States: t.states, Data: s.files, Bind: at, Round: true})
		if err != nil {
			return err
		}
		t.states = res.States
		f, vocab := res.Outputs[arch.Logits].F, int(s.desc.Text.Vocab)
		for ; len(f) > 0; f = f[vocab:] {
			t.logits = append(t.logits, f[:vocab])
		}
		next := int32(argmax(t.logits[len(t.logits)-1]))
		if next == s.stop {
			break
		}
		t.ids, a.tokens = append(t.ids, next), append(a.tokens, next)
	}
	var err error
	a.text, err = s.tok.Decode(a.tokens, true)
	t.answers = append(t.answers, a)
	return err
}

// embedding is what the oracle makes of a picture. The cache is locked.
func (s *subject) embedding(ctx context.Context, picture string) (*oracle.Tensor, error) {
	key := s.recipe.name + " " + picture
	if t := cache.pictures[key]; t != nil {
		return t, nil
	}
	pixels, _, err := s.tiles(picture)
	if err != nil {
		return nil, err
	}
	res, err := oracle.Eval(ctx, s.vision, oracle.Options{Inputs: map[string]*oracle.Tensor{arch.Pixels: pixels}, Data: s.files, Bind: dim.Binding{"tiles": pixels.Shape[0]}, Round: true})
	if err != nil {
		return nil, err
	}
	cache.pictures[key] = res.Outputs[arch.ImageOutput]
	return cache.pictures[key], nil
}

func argmax(f []float64) int {
	best := 0
	for i, x := range f {
		if x > f[best] {
			best = i
		}
	}
	return best
}
