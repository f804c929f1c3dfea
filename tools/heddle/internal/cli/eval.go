package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/heddle-ml/heddle/models"
	"github.com/heddle-ml/heddle/models/sample"
	"github.com/heddle-ml/heddle/tools/heddle/internal/tty"
)

type evalFlags struct {
	model    modelFlag
	place    placeFlags
	data     string
	limit    int
	mistakes bool
	json     bool
}

func (a *app) evalCommand() *cobra.Command {
	var f evalFlags
	cmd := &cobra.Command{
		Use:   "eval --data questions.jsonl",
		Short: "Measure how well a model answers",
		Long: `Asks a model every question of a file and compares its greedy answers with the
expected ones. A line of the file is {"image", "question", "answer", "kind"};
pictures lie beside the file. An answer counts when it equals the expected text
after trimming blanks. Besides, the mean cross entropy of the expected answers'
tokens is measured, which tells more than counting does.`,
		Example: `  heddle eval --data models/demo/eval/questions.jsonl
  heddle eval --model path/to/model --data questions.jsonl --limit 100 --json
  heddle eval --data models/demo/eval/questions.jsonl --mistakes`,
		Args: atMost(0),
		RunE: a.action(func(ctx context.Context, _ []string) error { return a.eval(ctx, &f) }),
	}
	fl := cmd.Flags()
	f.model.add(cmd, modelHelp)
	fl.StringVar(&f.data, "data", "", "`file` of questions, a JSON object on each line")
	fl.IntVar(&f.limit, "limit", 0, "ask the first `n` questions only (default: all)")
	fl.BoolVar(&f.mistakes, "mistakes", false, "list the wrong answers, too")
	fl.BoolVar(&f.json, "json", false, "print JSON")
	f.place.add(cmd, a)
	f.place.addOpen(cmd)
	_ = cmd.MarkFlagFilename("data", "jsonl")
	return cmd
}

// question is a line of the file.
type question struct {
	Image    string `json:"image"` // relative to the file; may be missing
	Question string `json:"question"`
	Answer   string `json:"answer"`
	Kind     string `json:"kind"`
	line     int
}

// maxQuestion bounds a line of the file.
const maxQuestion = 1 << 20

func readQuestions(path string, limit int) ([]question, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, cause(err))
	}
	defer f.Close()
	var out []question
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, maxQuestion)
	for n := 1; lines.Scan() && (limit == 0 || len(out) < limit); n++ {
		text := strings.TrimSpace(lines.Text())
		if text == "" {
			continue
		}
		q := question{line: n}
		d := json.NewDecoder(strings.NewReader(text))
		if err := d.Decode(&q); err != nil {
			return nil, fmt.Errorf("%s, line %d is no question: %w: write a JSON object with image, question, answer and kind", path, n, err)
		}
		if _, err := d.Token(); err != io.EOF {
			return nil, fmt.Errorf("%s, line %d: something follows the question: write one JSON object on each line", path, n)
		}
		if strings.TrimSpace(q.Question) == "" || strings.TrimSpace(q.Answer) == "" {
			return nil, fmt.Errorf("%s, line %d: question or answer is missing", path, n)
		}
		out = append(out, q)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%s, line %d: %w", path, len(out)+1, err)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s holds no questions: write a JSON object with image, question, answer and kind on each line", path)
	}
	return out, nil
}

// evalReport is the outcome in output.
type evalReport struct {
	Model    string `json:"model"`
	N        int    `json:"n"`
	Correct  int    `json:"correct"`
	Accuracy number `json:"accuracy"`
	// Nats is the mean cross entropy per token of the expected answers, with
	// the token that ends them; Tokens is their number.
	Nats      number               `json:"nats"`
	Tokens    int                  `json:"tokens"`
	ByKind    map[string]*kindEval `json:"by_kind"`
	Mistakes  []mistake            `json:"mistakes,omitempty"`
	Placement []placement          `json:"placement"`
	Fallbacks []string             `json:"fallbacks"`
	sum       float64
}

type kindEval struct {
	N        int    `json:"n"`
	Correct  int    `json:"correct"`
	Accuracy number `json:"accuracy"`
}

type mistake struct {
	Line     int    `json:"line"`
	Image    string `json:"image,omitempty"`
	Question string `json:"question"`
	Expected string `json:"expected"`
	Answer   string `json:"answer"`
}

func (a *app) eval(ctx context.Context, f *evalFlags) (err error) {
	if f.data == "" {
		return usagef("--data is missing: name the file of questions")
	}
	if f.limit < 0 {
		return usagef("--limit %d: want a positive number", f.limit)
	}
	o, err := f.place.options(a)
	if err != nil {
		return err
	}
	questions, err := readQuestions(f.data, f.limit)
	if err != nil {
		return err
	}
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
	if !f.json {
		a.warnFallbacks(m)
	}
	r := &evalReport{Model: f.model.name(), ByKind: map[string]*kindEval{}, Placement: placements(m.Plan()), Fallbacks: append([]string{}, m.Fallbacks()...)}
	bar := tty.NewProgress(a.err, "questions", len(questions))
	defer bar.Done()
	e := examiner{m: m, s: s, dir: filepath.Dir(f.data)}
	for i, q := range questions {
		if err := e.ask(ctx, q, r, f.mistakes); err != nil {
			return fmt.Errorf("%s, line %d: %s", f.data, q.line, message(err))
		}
		bar.Set(i+1, fmt.Sprintf("%.1f %% right", 100*float64(r.Correct)/float64(r.N)))
	}
	bar.Done()
	r.finish()
	if f.json {
		return a.json(r)
	}
	return a.printEval(r)
}

// examiner asks questions, each as a conversation of its own.
type examiner struct {
	m       *models.Model
	s       *models.Session
	dir     string
	name    string // of the picture that was encoded last
	picture *models.Picture
}

func (e *examiner) ask(ctx context.Context, q question, r *evalReport, mistakes bool) error {
	t := models.Turn{Text: q.Question, Sampling: &sample.Params{}}
	if q.Image != "" {
		if q.Image != e.name {
			p, err := openPicture(filepath.Join(e.dir, filepath.FromSlash(q.Image)))
			if err != nil {
				return err
			}
			if e.picture, err = e.m.Encode(ctx, p); err != nil {
				return err
			}
			e.name = q.Image
		}
		t.Pictures = []*models.Picture{e.picture}
	}
	e.s.Reset()
	nats, n, err := e.s.Score(ctx, t, strings.TrimSpace(q.Answer))
	if err != nil {
		return err
	}
	// What Score has put into the cache serves the answer as well.
	x, err := e.s.Ask(ctx, t)
	if err != nil {
		return err
	}
	r.sum += nats * float64(n)
	r.Tokens += n
	k := r.ByKind[q.Kind]
	if k == nil {
		k = &kindEval{}
		r.ByKind[q.Kind] = k
	}
	k.N++
	r.N++
	if strings.TrimSpace(x.Text) == strings.TrimSpace(q.Answer) {
		k.Correct++
		r.Correct++
	} else if mistakes {
		r.Mistakes = append(r.Mistakes, mistake{q.line, q.Image, q.Question, q.Answer, x.Text})
	}
	return nil
}

func (r *evalReport) finish() {
	r.Accuracy = number(float64(r.Correct) / float64(r.N))
	r.Nats = number(r.sum / float64(r.Tokens))
	for _, k := range r.ByKind {
		k.Accuracy = number(float64(k.Correct) / float64(k.N))
	}
}

func (a *app) printEval(r *evalReport) error {
	w := a.out
	for _, m := range r.Mistakes {
		fmt.Fprintf(w, "%s %s\n  expected %s\n  answered %s\n", w.Dim(fmt.Sprintf("line %d, %s:", m.Line, tty.OneLine(m.Image))), tty.OneLine(m.Question),
			w.Green(tty.OneLine(m.Expected)), w.Red(tty.OneLine(m.Answer)))
	}
	if len(r.Mistakes) > 0 {
		fmt.Fprintln(w)
	}
	percent := func(n number) string { return fmt.Sprintf("%.1f %%", 100*float64(n)) }
	t := &tty.Table{Right: []int{1, 2, 3}}
	t.Row(w.Dim("kind"), w.Dim("asked"), w.Dim("right"), "")
	for _, name := range sortedKeys(r.ByKind) {
		k := r.ByKind[name]
		if name == "" {
			name = "(none)"
		}
		t.Row(tty.OneLine(name), fmt.Sprint(k.N), fmt.Sprint(k.Correct), percent(k.Accuracy))
	}
	t.Row(w.Bold("all"), w.Bold(fmt.Sprint(r.N)), w.Bold(fmt.Sprint(r.Correct)), w.Bold(percent(r.Accuracy)))
	if err := t.Write(w); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "%.5f nats per token of the expected answers (%s tokens)\n", float64(r.Nats), tty.Count(int64(r.Tokens)))
	return err
}
