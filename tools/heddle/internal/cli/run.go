package cli

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/heddle-ml/heddle/models"
	"github.com/heddle-ml/heddle/models/img"
	"github.com/heddle-ml/heddle/models/sample"
	"github.com/heddle-ml/heddle/tools/heddle/internal/peak"
	"github.com/heddle-ml/heddle/tools/heddle/internal/tty"
)

// answerFlags say how answers are made.
type answerFlags struct {
	maxTokens             int
	temp, topP, minP, pen float64
	topK                  int
	seed                  uint64
	system                string
	given                 func(flag string) bool
}

func (f *answerFlags) add(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.IntVar(&f.maxTokens, "max-tokens", 0, "longest answer (default: as the model's generation_config.json says)")
	fl.Float64Var(&f.temp, "temp", 0, "`temperature`; 0 takes the likeliest token always (default: as the model says)")
	fl.IntVar(&f.topK, "top-k", 0, "choose among the `k` likeliest tokens; 0 means all")
	fl.Float64Var(&f.topP, "top-p", 1, "choose among the likeliest tokens that make up this `share`")
	fl.Float64Var(&f.minP, "min-p", 0, "leave out tokens less likely than this `share` of the likeliest")
	fl.Float64Var(&f.pen, "repeat-penalty", 1, "make tokens that were there already less likely; 1 is off")
	fl.Uint64Var(&f.seed, "seed", 0, "start of the random sequence")
	fl.StringVar(&f.system, "system", "", "system message in front of the conversation")
	f.given = fl.Changed
}

// sampling overrides the model's settings by the flags given.
func (f *answerFlags) sampling(g models.Generation) *sample.Params {
	p := g.Sampling()
	wanted := false
	for _, flag := range []string{"top-k", "top-p", "min-p"} {
		wanted = wanted || f.given(flag)
	}
	if wanted && p.Temperature == 0 {
		// Who narrows the choice wants one; greedy decoding has none.
		p.Temperature, p.TopK, p.TopP, p.MinP = g.Temperature, g.TopK, g.TopP, g.MinP
	}
	if f.given("temp") {
		if p.Temperature == 0 {
			p.TopK, p.TopP, p.MinP = g.TopK, g.TopP, g.MinP
		}
		p.Temperature = f.temp
	}
	if f.given("top-k") {
		p.TopK = f.topK
	}
	if f.given("top-p") {
		p.TopP = f.topP
	}
	if f.given("min-p") {
		p.MinP = f.minP
	}
	if f.given("repeat-penalty") {
		p.RepetitionPenalty = f.pen
	}
	p.Seed = f.seed
	return &p
}

// check finds what is wrong with the flags, whatever the model.
func (f *answerFlags) check() error {
	if f.maxTokens < 0 {
		return usagef("--max-tokens %d: want a positive number", f.maxTokens)
	}
	p := sample.Params{Temperature: f.temp, TopK: f.topK, TopP: f.topP, MinP: f.minP, RepetitionPenalty: f.pen}
	if err := p.Validate(); err != nil {
		return usagef("%s", message(err))
	}
	return nil
}

type runFlags struct {
	model  modelFlag
	place  placeFlags
	answer answerFlags
	images []string
	json   bool
	stats  bool
}

func (a *app) runCommand() *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:   "run PROMPT",
		Short: "Answer a question, about pictures if there are some",
		Long: `Answers PROMPT once and writes the answer as it comes. Pictures (JPEG, PNG, GIF,
WebP, BMP, TIFF) are shown to the model before the question, in their order.`,
		Example: `  heddle run --image models/demo/examples/shapes.png "What is right of the yellow star?"
  heddle run --model path/to/model --device vulkan:0,cpu --max-tokens 200 "Tell me a story."
  heddle run --image a.jpg --image b.jpg --json "What changed?"`,
		Args: exactly(1, "PROMPT"),
		RunE: a.action(func(ctx context.Context, args []string) error { return a.run(ctx, &f, args[0]) }),
	}
	fl := cmd.Flags()
	f.model.add(cmd, modelHelp)
	fl.StringArrayVar(&f.images, "image", nil, "picture `file`; may be given several times")
	f.answer.add(cmd)
	f.place.add(cmd, a)
	f.place.addOpen(cmd)
	fl.BoolVar(&f.json, "json", false, "print JSON when the answer is complete: the answer, counts, times, and what ran where")
	fl.BoolVar(&f.stats, "stats", false, "say on standard error what the answer took (default on a terminal)")
	_ = cmd.MarkFlagFilename("image", "jpg", "jpeg", "png", "gif", "webp", "bmp", "tif", "tiff")
	_ = cmd.MarkFlagFilename("plan", "json")
	return cmd
}

// runReport is the answer in output. Times are in milliseconds.
type runReport struct {
	Model           string      `json:"model"`
	Answer          string      `json:"answer"`
	Finish          string      `json:"finish"`
	PromptTokens    int         `json:"prompt_tokens"`
	ImageTokens     int         `json:"image_tokens"`
	GeneratedTokens int         `json:"generated_tokens"`
	Grid            []int       `json:"grid"` // columns and rows of the first picture
	Grids           [][]int     `json:"grids"`
	Tiles           int         `json:"tiles"` // of all pictures
	LoadMS          float64     `json:"load_ms"`
	EncodeMS        float64     `json:"encode_ms"`
	PrefillMS       float64     `json:"prefill_ms"`
	DecodeMS        float64     `json:"decode_ms"`
	PeakRSS         int64       `json:"peak_rss_bytes"`
	Placement       []placement `json:"placement"`
	Fallbacks       []string    `json:"fallbacks"`
}

func (a *app) run(ctx context.Context, f *runFlags, prompt string) (err error) {
	if strings.TrimSpace(prompt) == "" {
		return fmt.Errorf("the prompt is empty: write a question")
	}
	if err := f.answer.check(); err != nil {
		return err
	}
	o, err := f.place.options(a)
	if err != nil {
		return err
	}
	// Pictures first: they fail sooner than a large model loads.
	pictures, err := openPictures(f.images)
	if err != nil {
		return err
	}
	start := time.Now()
	m, err := f.model.open(ctx, o)
	if err != nil {
		return err
	}
	defer closing(m, &err)
	s, err := m.NewSession(ctx)
	if err != nil {
		return err
	}
	defer closing(s, &err)
	loaded := time.Since(start)
	if !f.json {
		a.warnFallbacks(m)
	}
	t := models.Turn{Text: prompt, Images: pictures, System: f.answer.system, Sampling: f.answer.sampling(m.Generation()), MaxTokens: f.answer.maxTokens}
	line := &streamed{a: a}
	if !f.json {
		t.Stream = line.write
	}
	answer, err := s.Ask(ctx, t)
	if err != nil {
		line.end()
		return err
	}
	if f.json {
		return a.json(report(f.model.name(), m, answer, loaded))
	}
	line.end()
	if f.stats || a.err.Terminal {
		a.note("%s", took(m, answer, loaded))
	}
	return nil
}

// closing closes c and keeps its error if there is none yet.
func closing(c io.Closer, err *error) {
	if e := c.Close(); *err == nil {
		*err = e
	}
}

func openPictures(files []string) ([]img.RGB, error) {
	var out []img.RGB
	for _, name := range files {
		p, err := openPicture(name)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

// openPicture refuses what the model would refuse later, when the file's name
// is still known.
func openPicture(name string) (img.RGB, error) {
	p, err := img.Open(name, img.Limits{})
	if err == nil && max(p.W, p.H) > models.MaxAspect*min(p.W, p.H) {
		err = fmt.Errorf("picture %s: %dx%d pixels, one side more than %d times the other: nothing would be left of it at a model's resolution, crop it", name, p.W, p.H, models.MaxAspect)
	}
	return p, err
}

func (a *app) warnFallbacks(m *models.Model) {
	for _, f := range m.Fallbacks() {
		a.warn("%s", f)
	}
}

// streamed writes an answer piece by piece, and ends its line if it began
// one.
type streamed struct {
	a     *app
	begun bool
}

func (s *streamed) write(piece string) error {
	s.begun = true
	_, err := io.WriteString(s.a.out, piece)
	return err
}

func (s *streamed) end() {
	if s.begun {
		fmt.Fprintln(s.a.out)
		s.begun = false
	}
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func report(name string, m *models.Model, x *models.Answer, loaded time.Duration) runReport {
	r := runReport{
		Model: name, Answer: x.Text, Finish: string(x.Finish),
		PromptTokens: x.PromptTokens, ImageTokens: x.ImageTokens, GeneratedTokens: len(x.Tokens),
		Grids:  [][]int{},
		LoadMS: ms(loaded), EncodeMS: ms(x.Encode), PrefillMS: ms(x.Prefill), DecodeMS: ms(x.Decode),
		PeakRSS: peak.RSS(), Placement: placements(m.Plan()), Fallbacks: append([]string{}, m.Fallbacks()...),
	}
	for _, g := range x.Grids {
		r.Grids = append(r.Grids, []int{g.Cols, g.Rows})
		r.Tiles += g.Tiles
	}
	if len(r.Grids) > 0 {
		r.Grid = r.Grids[0]
	}
	return r
}

// took says on one line what an answer took.
func took(m *models.Model, x *models.Answer, loaded time.Duration) string {
	parts := []string{}
	if loaded > 0 {
		parts = append(parts, "load "+tty.Duration(loaded))
	}
	if len(x.Grids) > 0 {
		tiles := 0
		for _, g := range x.Grids {
			tiles += g.Tiles
		}
		p := tty.Plural(tiles, "tile")
		if len(x.Grids) == 1 {
			p += fmt.Sprintf(" (%dx%d)", x.Grids[0].Cols, x.Grids[0].Rows)
		}
		parts = append(parts, p+" "+tty.Duration(x.Encode))
	}
	fresh := x.PromptTokens - x.CachedTokens
	p := fmt.Sprintf("%s in %s", tty.Plural(x.PromptTokens, "prompt token"), tty.Duration(x.Prefill))
	if x.CachedTokens > 0 {
		p = fmt.Sprintf("%s (%d new) in %s", tty.Plural(x.PromptTokens, "prompt token"), fresh, tty.Duration(x.Prefill))
	}
	parts = append(parts, p)
	p = tty.Plural(len(x.Tokens), "token") + " out"
	if n := len(x.Tokens); n > 0 && x.Decode > 0 {
		p += fmt.Sprintf(", %.0f/s", float64(n)/x.Decode.Seconds())
	}
	if x.Finish == models.FinishLength {
		p += ", cut at the limit"
	}
	return strings.Join(append(parts, p, places(m.Plan())), " | ")
}
