package models

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"sync/atomic"

	"github.com/heddle-ml/heddle/models/arch"
	"github.com/heddle-ml/heddle/models/chat"
	"github.com/heddle-ml/heddle/models/ckpt"
	"github.com/heddle-ml/heddle/models/token"
	"github.com/heddle-ml/heddle/scheduler"
)

// Model is an open model: described, planned and compiled. Safe for
// concurrent use; each Session belongs to one goroutine at a time.
type Model struct {
	files   *ckpt.Checkpoint
	desc    *arch.Model
	options Options // without Policy and Plan: those are the engine's
	context int64   // tokens

	tok      *token.Tokenizer // nil without a tokenizer.json
	template *chat.Template   // nil without a chat template
	// How the template takes messages; see readTemplate.
	textInParts, markInText, dropsSystem bool
	images                               *arch.Images // with names resolved; nil without pictures
	stop                                 map[int32]bool
	gen                                  Generation

	engine atomic.Pointer[engine] // changes in Use only, when nobody is inside
	late   error                  // of an engine that was given up, for Close

	life life
}

// Generation is what generation_config.json says about answering.
type Generation struct {
	MaxNewTokens            int
	Sample                  bool
	Temperature, TopP, MinP float64
	TopK                    int
	RepetitionPenalty       float64
}

// Description is a model as its files tell it, before anything is planned or
// compiled: what `heddle inspect` and `heddle export` need.
type Description struct {
	Files *ckpt.Checkpoint
	Arch  *arch.Model
}

// Describe opens the folder at path without planning or compiling.
func Describe(path string) (*Description, error) {
	files, err := ckpt.Open(path)
	if err != nil {
		return nil, fmt.Errorf("models: %w", err)
	}
	return describe(files)
}

// DescribeFS is Describe for files in fsys, such as embedded ones.
func DescribeFS(name string, fsys fs.FS) (*Description, error) {
	files, err := ckpt.FromFS(name, fsys)
	if err != nil {
		return nil, fmt.Errorf("models: %w", err)
	}
	return describe(files)
}

func describe(files *ckpt.Checkpoint) (*Description, error) {
	desc, err := arch.Open(files)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("models: %w", err), files.Close())
	}
	return &Description{files, desc}, nil
}

// Close releases the files.
func (d *Description) Close() error { return d.Files.Close() }

// Open opens the model in the folder at path. A nil o means the defaults.
func Open(ctx context.Context, path string, o *Options) (*Model, error) {
	d, err := Describe(path)
	if err != nil {
		return nil, err
	}
	return open(ctx, d, o)
}

// OpenFS opens a model whose files are in fsys, such as an embedded one. The
// name appears in errors.
func OpenFS(ctx context.Context, name string, fsys fs.FS, o *Options) (*Model, error) {
	d, err := DescribeFS(name, fsys)
	if err != nil {
		return nil, err
	}
	return open(ctx, d, o)
}

func open(ctx context.Context, d *Description, o *Options) (_ *Model, err error) {
	if o == nil {
		o = &Options{}
	}
	m := &Model{files: d.Files, desc: d.Arch, options: Options{Registry: o.Registry, Context: o.Context, Modules: o.Modules}}
	m.life.init()
	defer func() {
		if err != nil {
			err = errors.Join(err, m.Close())
		}
	}()
	if err := o.validate(); err != nil {
		return nil, err
	}
	if err := m.readTexts(); err != nil {
		return nil, err
	}
	if t := d.Arch.Text; t != nil && m.wants(groupLLM) {
		if int64(o.Context) > t.MaxPositions {
			return nil, fmt.Errorf("models: %s: a context of %d tokens; the model was made for at most %d", m.files.Name(), o.Context, t.MaxPositions)
		}
		m.context = arch.TextOptions{Context: int64(o.Context)}.Defaults(t).Context
	}
	e, err := m.start(ctx, o.Policy, o.Plan)
	if err != nil {
		return nil, err
	}
	m.engine.Store(e)
	return m, nil
}

// readTexts reads tokenizer, chat template, generation and preprocessor
// settings, all of which may be absent.
func (m *Model) readTexts() error {
	data, err := m.files.ReadFile("tokenizer.json")
	switch {
	case err == nil:
		if m.tok, err = token.FromJSON(data); err != nil {
			return fmt.Errorf("models: %s: %w", m.files.Name(), err) // it begins with "tokenizer.json"
		}
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("models: %w", err)
	}
	if err := m.readGeneration(); err != nil {
		return err
	}
	if err := m.readImages(); err != nil {
		return err
	}
	return m.readTemplate()
}

// readImages reads how pictures are prepared, and finds the tokens that stand
// for them.
func (m *Model) readImages() error {
	im := m.desc.Images
	if im == nil {
		return nil
	}
	data, err := m.files.ReadFile("preprocessor_config.json")
	switch {
	case err == nil:
		if im, err = im.Preprocessor(m.files.Path("preprocessor_config.json"), data); err != nil {
			return fmt.Errorf("models: %w", err)
		}
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("models: %w", err)
	}
	if m.tok != nil {
		piece := func(id int64) string {
			p, _ := m.tok.Piece(int32(id))
			return p
		}
		id := func(p string) (int64, bool) {
			n, ok := m.tok.ID(p)
			return int64(n), ok
		}
		if im, err = im.Names(piece, id); err != nil {
			return fmt.Errorf("models: %s: %w", m.files.Path("tokenizer.json"), err)
		}
	}
	m.images = im
	return nil
}

func (m *Model) readGeneration() error {
	m.gen = Generation{MaxNewTokens: 256, Temperature: 1, TopP: 1, RepetitionPenalty: 1}
	m.stop = map[int32]bool{}
	if t := m.desc.Text; t != nil {
		for _, id := range t.EOS {
			m.stop[int32(id)] = true
		}
	}
	data, err := m.files.ReadFile("generation_config.json")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("models: %w", err)
	}
	var g struct {
		DoSample          bool     `json:"do_sample"`
		MaxNewTokens      *int     `json:"max_new_tokens"`
		Temperature       *float64 `json:"temperature"`
		TopK              *int     `json:"top_k"`
		TopP              *float64 `json:"top_p"`
		MinP              *float64 `json:"min_p"`
		RepetitionPenalty *float64 `json:"repetition_penalty"`
		EOS               any      `json:"eos_token_id"`
	}
	path := m.files.Path("generation_config.json")
	if err := json.Unmarshal(data, &g); err != nil {
		if te, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && te.Field != "" {
			want := map[reflect.Kind]string{reflect.Int: "a whole number", reflect.Float64: "a number", reflect.Bool: "true or false"}[te.Type.Kind()]
			return fmt.Errorf("models: %s: %s is a %s; want %s", path, te.Field, te.Value, want)
		}
		return fmt.Errorf("models: %s: not a JSON object: %w; fetch the file again", path, err)
	}
	m.gen.Sample = g.DoSample
	set(&m.gen.MaxNewTokens, g.MaxNewTokens)
	set(&m.gen.Temperature, g.Temperature)
	set(&m.gen.TopK, g.TopK)
	set(&m.gen.TopP, g.TopP)
	set(&m.gen.MinP, g.MinP)
	set(&m.gen.RepetitionPenalty, g.RepetitionPenalty)
	if m.gen.MaxNewTokens < 1 {
		return fmt.Errorf("models: %s: max_new_tokens is %d; want at least 1", path, m.gen.MaxNewTokens)
	}
	if err := m.gen.params().Validate(); err != nil {
		return fmt.Errorf("models: %s: %w", path, err)
	}
	var ids []any
	switch v := g.EOS.(type) {
	case nil:
	case []any:
		ids = v
	default:
		ids = []any{v}
	}
	for _, v := range ids {
		f, ok := v.(float64)
		if !ok || f != float64(int32(f)) || f < 0 {
			return fmt.Errorf("models: %s: eos_token_id holds %v; want token ids", path, v)
		}
		m.stop[int32(f)] = true
	}
	return nil
}

func set[T any](dst, v *T) {
	if v != nil {
		*dst = *v
	}
}

// lacks says why a part of the model cannot be used: its kind has none, or it
// was opened without.
func (m *Model) lacks(module string, has bool, what string) string {
	if has {
		return fmt.Sprintf("it was opened without its %s module", module)
	}
	return fmt.Sprintf("a %s model %s", m.desc.Family, what)
}

// Arch returns the description of the model. It must not be changed.
func (m *Model) Arch() *arch.Model { return m.desc }

// Plan returns the plan in force.
func (m *Model) Plan() *scheduler.Plan { return m.engine.Load().pipeline.Plan() }

// Workload returns the model's graphs.
func (m *Model) Workload() scheduler.Workload { return m.engine.Load().workload }

// Tokenizer returns the tokenizer, nil if the model has none.
func (m *Model) Tokenizer() *token.Tokenizer { return m.tok }

// Generation returns what the model's files say about answering.
func (m *Model) Generation() Generation { return m.gen }

// Context returns the longest conversation in tokens.
func (m *Model) Context() int { return int(m.context) }

// Fallbacks lists what did not go as was preferred, one line each.
func (m *Model) Fallbacks() []string {
	var out []string
	e := m.engine.Load()
	for _, u := range e.unopened {
		out = append(out, fmt.Sprintf("%s was not opened: %s", u.Device, u.Reason))
	}
	return append(out, e.pipeline.Plan().Fallbacks()...)
}

// Close waits for calls under way, closes the sessions that are still open,
// and releases everything. Later calls fail with hal.ErrClosed; calling Close
// again does nothing. It must not be called from a Stream function.
func (m *Model) Close() error {
	sessions, first := m.life.end()
	if !first {
		return nil
	}
	errs := []error{m.late}
	for _, s := range sessions {
		errs = append(errs, s.retire())
	}
	if e := m.engine.Load(); e != nil {
		errs = append(errs, e.close())
	}
	return errors.Join(append(errs, m.files.Close())...)
}
