package cli_test

import (
	"bufio"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/drivers/cpu"
	"github.com/heddle-ml/heddle/drivers/null"
	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/hal/driver"
	"github.com/heddle-ml/heddle/internal/shared"
	"github.com/heddle-ml/heddle/models"
	"github.com/heddle-ml/heddle/models/demo"
	"github.com/heddle-ml/heddle/scheduler"
	"github.com/heddle-ml/heddle/tools/heddle/internal/cli"
)

type placed struct {
	Module, Device, Recipe, Reason string
}

// answered is what `heddle run --json` prints.
type answered struct {
	Model           string   `json:"model"`
	Answer          string   `json:"answer"`
	Finish          string   `json:"finish"`
	PromptTokens    int      `json:"prompt_tokens"`
	ImageTokens     int      `json:"image_tokens"`
	GeneratedTokens int      `json:"generated_tokens"`
	Grid            []int    `json:"grid"`
	Grids           [][]int  `json:"grids"`
	Tiles           int      `json:"tiles"`
	LoadMS          float64  `json:"load_ms"`
	EncodeMS        float64  `json:"encode_ms"`
	PrefillMS       float64  `json:"prefill_ms"`
	DecodeMS        float64  `json:"decode_ms"`
	PeakRSS         int64    `json:"peak_rss_bytes"`
	Placement       []placed `json:"placement"`
	Fallbacks       []string `json:"fallbacks"`
}

type exampleQuestion struct {
	Image, Question, Answer string
}

func examples(t *testing.T) []exampleQuestion {
	t.Helper()
	f, err := os.Open(example("questions.jsonl"))
	require.NoError(t, err)
	defer f.Close()
	var out []exampleQuestion
	for s := bufio.NewScanner(f); s.Scan(); {
		var q exampleQuestion
		require.NoError(t, json.Unmarshal(s.Bytes(), &q))
		out = append(out, q)
	}
	require.Len(t, out, 18)
	return out
}

func TestRun(t *testing.T) {
	require.Equal(t, "A blue square.\n", succeed(t, "", "run", "--image", example("shapes.png"), "What is right of the yellow star?"))
}

func TestRunJSON(t *testing.T) {
	for i, q := range examples(t) {
		args := []string{"run", "--json", "--image", example(q.Image), q.Question}
		if i%3 == 1 { // the folder on disk, every shape fixed
			args = append(args, "--model", filepath.Join(shared.Root(), "models", "demo"), "--static", "--chunk", "16")
		}
		a := decode[answered](t, succeed(t, "", args...))
		require.Equal(t, q.Answer, a.Answer, q.Question)
		require.Equal(t, "stop", a.Finish)
		require.Equal(t, 16*a.Tiles, a.ImageTokens)
		require.Greater(t, a.PromptTokens, a.ImageTokens)
		require.Positive(t, a.GeneratedTokens)
		require.Len(t, a.Grids, 1)
		require.Equal(t, a.Grid, a.Grids[0])
		if n := a.Grid[0] * a.Grid[1]; n > 1 {
			require.Equal(t, n+1, a.Tiles)
		} else {
			require.Equal(t, 1, a.Tiles)
		}
		for _, ms := range []float64{a.LoadMS, a.EncodeMS, a.PrefillMS, a.DecodeMS} {
			require.Positive(t, ms)
		}
		require.Greater(t, a.PeakRSS, int64(4<<20))
		require.Empty(t, a.Fallbacks)
		require.NotNil(t, a.Fallbacks)
		require.Len(t, a.Placement, 3)
		for j, m := range []string{"vision", "prefill", "decode"} {
			require.Equal(t, m, a.Placement[j].Module)
			require.Equal(t, "cpu", a.Placement[j].Device)
			require.NotEmpty(t, a.Placement[j].Recipe)
			require.NotEmpty(t, a.Placement[j].Reason)
		}
	}
}

func TestRunPictures(t *testing.T) {
	none := decode[answered](t, succeed(t, "", "run", "--json", "What do you see?"))
	require.Nil(t, none.Grid)
	require.Zero(t, none.Tiles+none.ImageTokens)
	two := decode[answered](t, succeed(t, "", "run", "--json", "--image", example("shapes.png"), "--image", example("tall.png"), "What do you see?"))
	require.Len(t, two.Grids, 2)
	require.Equal(t, two.Grid, two.Grids[0])
	require.Equal(t, 16*two.Tiles, two.ImageTokens)
}

func TestRunSampling(t *testing.T) {
	ask := func(args ...string) string {
		return succeed(t, "", append([]string{"run", "--image", example("shapes.png"), "Describe the picture."}, args...)...)
	}
	greedy := ask()
	require.Equal(t, greedy, ask("--temp", "0", "--seed", "7"))
	require.Equal(t, greedy, ask("--top-k", "1"), "one candidate leaves no choice")
	require.Equal(t, greedy, ask("--temp", "5", "--min-p", "1"))
	hot := ask("--temp", "5", "--seed", "7")
	require.NotEqual(t, greedy, hot)
	require.Equal(t, hot, ask("--temp", "5", "--seed", "7"))
	require.NotEqual(t, hot, ask("--temp", "5", "--seed", "8"))
	short := decode[answered](t, succeed(t, "", "run", "--json", "--max-tokens", "2", "--image", example("shapes.png"), "Describe the picture."))
	require.Equal(t, 2, short.GeneratedTokens)
	require.Equal(t, "length", short.Finish)
	require.True(t, strings.HasPrefix(greedy, short.Answer))
}

func TestRunDevices(t *testing.T) {
	question := []string{"--image", example("shapes.png"), "What is right of the yellow star?"}
	run := func(args ...string) answered {
		return decode[answered](t, succeed(t, "", append(append([]string{"run", "--json"}, args...), question...)...))
	}
	apart := run("--device", "vision=null,llm=cpu?threads=1")
	require.Equal(t, "null", apart.Placement[0].Device)
	require.Equal(t, "cpu", apart.Placement[1].Device)
	fallback := run("--device", "npu:0,cpu")
	require.Equal(t, "cpu", fallback.Placement[0].Device)
	require.Equal(t, "A blue square.", fallback.Answer)
	require.NotEmpty(t, fallback.Fallbacks)
	require.Contains(t, fallback.Fallbacks[0], "npu:0")

	r := execute(t, "", append([]string{"run", "--device", "npu:0,cpu"}, question...)...)
	require.Equal(t, 0, r.code)
	require.Equal(t, "A blue square.\n", r.out)
	require.Contains(t, r.err, "heddle: warning: ")
	execute(t, "", append([]string{"run", "--strict", "--device", "npu:0,cpu"}, question...)...).oneLine(t, 1, "npu", "no such driver")
	execute(t, "", append([]string{"run", "--device", "npu:0"}, question...)...).oneLine(t, 1, "npu", "it has cpu, null")
}

// A saved plan gives the same placements and the same answer.
func TestRunPlan(t *testing.T) {
	m, err := models.OpenFS(t.Context(), demo.Name, demo.FS, &models.Options{
		Registry: hal.NewRegistry(cpu.Driver{}), Policy: scheduler.Policy{Chunk: 16, TileBatch: 2, Static: true},
	})
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "plan.json")
	f, err := os.Create(path)
	require.NoError(t, err)
	require.NoError(t, m.Plan().Save(f))
	require.NoError(t, f.Close())
	require.NoError(t, m.Close())
	a := decode[answered](t, succeed(t, "", "run", "--json", "--plan", path, "--image", example("shapes.png"), "What is right of the yellow star?"))
	require.Equal(t, "A blue square.", a.Answer)
	require.Contains(t, a.Placement[0].Reason, "shapes are static")
}

func TestRunStats(t *testing.T) {
	r := execute(t, "", "run", "--stats", "--image", example("shapes.png"), "What is right of the yellow star?")
	require.Equal(t, "A blue square.\n", r.out)
	require.Regexp(t, `^load .* \| 5 tiles \(2x2\) .* \| 98 prompt tokens in .* \| 4 tokens out, .*/s \| all on cpu\n$`, r.err)
}

// blocked is an input that never comes.
type blocked struct{}

func (blocked) Read([]byte) (int, error) { select {} }

func TestInterrupt(t *testing.T) {
	interrupts := make(chan os.Signal, 1)
	interrupts <- os.Interrupt
	r := executeWith(t, cli.Env{Stdin: blocked{}, Interrupts: interrupts}, "tokenize", "-")
	require.Equal(t, outcome{"", "heddle: interrupted\n", 1}, r)
	interrupts <- os.Interrupt
	r = executeWith(t, cli.Env{Stdin: blocked{}, Interrupts: interrupts}, "tiles")
	require.Equal(t, outcome{"", "heddle: interrupted\n", 1}, r)
}

// slowDriver is a CPU that opens only when its context ends.
type slowDriver struct{ cpu.Driver }

func (slowDriver) Open(ctx context.Context, _ string, _ driver.OpenOptions) (driver.Device, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestInterruptWork(t *testing.T) {
	dump := filepath.Join(t.TempDir(), "dump.safetensors")
	for _, args := range [][]string{
		{"run", "hello"},
		{"eval", "--data", example("questions.jsonl")},
		{"check", "--model", shared.Golden(t, "siglip_tiny"), "--dump", dump},
	} {
		interrupts := make(chan os.Signal, 1)
		interrupts <- os.Interrupt
		r := executeWith(t, cli.Env{Registry: hal.NewRegistry(slowDriver{}), Interrupts: interrupts}, args...)
		require.Equal(t, outcome{"", "heddle: interrupted\n", 1}, r, args[0])
	}
	require.Empty(t, names(t, filepath.Dir(dump)))
}

// A second interrupt ends what does not end by itself.
func TestSecondInterruptKills(t *testing.T) {
	interrupts := make(chan os.Signal, 2)
	killed := make(chan int, 1)
	stuck := make(chan struct{})
	go func() {
		interrupts <- os.Interrupt
		interrupts <- os.Interrupt
		<-killed
		close(stuck)
	}()
	r := executeWith(t, cli.Env{Registry: hal.NewRegistry(deafDriver{until: stuck}), Interrupts: interrupts, Kill: func(code int) { killed <- code }}, "run", "hello")
	require.Equal(t, 1, r.code)
}

// deafDriver ignores its context when opened.
type deafDriver struct {
	null.Driver
	until chan struct{}
}

func (d deafDriver) Info() driver.Info { return driver.Info{Name: "deaf"} }

func (d deafDriver) Probe(context.Context) ([]driver.DeviceInfo, error) {
	return []driver.DeviceInfo{{ID: "0", Model: "deaf", Kind: driver.NPU}}, nil
}

func (d deafDriver) Open(context.Context, string, driver.OpenOptions) (driver.Device, error) {
	select {
	case <-d.until:
	case <-time.After(10 * time.Second):
	}
	return nil, driver.ErrUnavailable
}

func TestChat(t *testing.T) {
	script := strings.Join([]string{
		"/help",
		"/image '" + example("shapes.png") + "'",
		"What is right of the yellow star?",
		"",
		"How many shapes are there?",
		"/reset",
		"/image " + example("small.png"),
		"Is there a black cross?",
		"/quit",
		"What is this?",
	}, "\n")
	r := execute(t, script, "chat")
	require.Equal(t, 0, r.code, r.err)
	require.Equal(t, "A blue square.\nI see three shapes.\nYes, there is a black cross.\n", r.out)
	require.Contains(t, r.err, "/image FILE")

	r = execute(t, "What shape is green?\n", "chat", "--image", example("nine-tiles.png"), "--device", "cpu")
	require.Equal(t, outcome{"The square is green.\n", "", 0}, r)
}

func TestChatErrors(t *testing.T) {
	script := strings.Join([]string{"/image nosuch.png", "/image", "/frob", "/image " + example("shapes.png"), "What is right of the yellow star?"}, "\n")
	r := execute(t, script, "chat")
	require.Equal(t, "A blue square.\n", r.out, "it goes on after errors")
	require.Equal(t, 1, r.code, "but tells that there were some")
	require.Equal(t, 3, strings.Count(r.err, "heddle: "))
	require.Equal(t, 3, strings.Count(r.err, "\n"))
	execute(t, "hi\n", "chat", "--device", "npu").oneLine(t, 1, "npu")
	execute(t, "hi\n", "chat", "--image", "nosuch.png").oneLine(t, 1, "nosuch.png")
	execute(t, "hi\n", "chat", "--top-p", "7").oneLine(t, 2, "top_p is 7")
}

// At the prompt an interrupt ends the conversation; during an answer it stops
// the answer only.
func TestChatInterrupts(t *testing.T) {
	interrupts := make(chan os.Signal)
	r := executeWith(t, cli.Env{Stdin: interruptingInput{interrupts}, Interrupts: interrupts}, "chat")
	require.Equal(t, outcome{}, r)

	opening := make(chan os.Signal, 1)
	opening <- os.Interrupt
	r = executeWith(t, cli.Env{Registry: hal.NewRegistry(slowDriver{}), Stdin: blocked{}, Interrupts: opening}, "chat")
	require.Equal(t, outcome{"", "heddle: interrupted\n", 1}, r)

	script := "/image " + example("shapes.png") + "\nDescribe the picture.\nWhat is right of the yellow star?\n"
	stop := &stopper{signals: interrupts, sig: os.Interrupt}
	r = executeWith(t, cli.Env{Stdin: strings.NewReader(script), Stdout: stop, Interrupts: interrupts}, "chat")
	require.Equal(t, 0, r.code, r.err)
	require.Equal(t, "stopped\n", r.err)
	lines := strings.Split(stop.text.String(), "\n")
	require.Len(t, lines, 3, "a partial answer, an answer")
	require.Less(t, len(lines[0]), len("A red circle, a yellow star and a blue square on a light blue background."))
	require.Equal(t, "A blue square.", lines[1], "the picture still belongs to the next question")

	interrupts = make(chan os.Signal)
	stop = &stopper{signals: interrupts, sig: syscall.SIGTERM}
	r = executeWith(t, cli.Env{Stdin: strings.NewReader(script), Stdout: stop, Interrupts: interrupts}, "chat")
	require.Equal(t, 0, r.code, r.err)
	require.Len(t, strings.Split(stop.text.String(), "\n"), 2, "nothing follows")
}

// interruptingInput interrupts who waits for it.
type interruptingInput struct{ signals chan<- os.Signal }

func (i interruptingInput) Read([]byte) (int, error) {
	i.signals <- os.Interrupt
	select {}
}

// stopper is an output that interrupts at the first piece of text.
type stopper struct {
	signals chan<- os.Signal
	sig     os.Signal
	text    strings.Builder
	done    bool
}

func (s *stopper) Write(p []byte) (int, error) {
	if !s.done {
		s.done = true
		s.signals <- s.sig
		time.Sleep(300 * time.Millisecond) // until it has had its effect
	}
	return s.text.Write(p)
}

type evaluated struct {
	Model    string  `json:"model"`
	N        int     `json:"n"`
	Correct  int     `json:"correct"`
	Accuracy float64 `json:"accuracy"`
	Nats     float64 `json:"nats"`
	Tokens   int     `json:"tokens"`
	ByKind   map[string]struct {
		N        int     `json:"n"`
		Correct  int     `json:"correct"`
		Accuracy float64 `json:"accuracy"`
	} `json:"by_kind"`
	Mistakes []struct {
		Line                              int
		Image, Question, Expected, Answer string
	} `json:"mistakes"`
	Placement []placed `json:"placement"`
	Fallbacks []string `json:"fallbacks"`
}

// The whole set, with the numbers of models/demo/README.md.
func TestEval(t *testing.T) {
	if testing.Short() {
		t.Skip("840 questions")
	}
	e := decode[evaluated](t, succeed(t, "", "eval", "--json", "--data", filepath.Join(shared.Root(), "models", "demo", "eval", "questions.jsonl")))
	require.Equal(t, 840, e.N)
	require.InDelta(t, 0.9405, e.Accuracy, 0.005)
	require.InDelta(t, 0.02375, e.Nats, 0.02*0.02375)
	require.InDelta(t, float64(e.Correct)/840, e.Accuracy, 1e-9)
	report := map[string]float64{"background": 1, "bar": 1, "color": 1, "count": 0.8041, "describe": 0.8583, "exists": 1, "position": 0.9326, "shape": 1}
	n := 0
	for kind, k := range e.ByKind {
		n += k.N
		if kind != "text" { // the report counts those without a text apart
			require.InDelta(t, report[kind], k.Accuracy, 0.02, kind)
		}
	}
	require.Equal(t, 840, n)
}

func TestEvalSmall(t *testing.T) {
	data := example("questions.jsonl")
	e := decode[evaluated](t, succeed(t, "", "eval", "--json", "--data", data))
	require.Equal(t, 18, e.Correct)
	require.EqualValues(t, 1, e.Accuracy)
	require.Less(t, e.Nats, 0.05)
	require.Empty(t, e.Mistakes)
	require.Equal(t, 5, decode[evaluated](t, succeed(t, "", "eval", "--json", "--limit", "5", "--data", data)).N)

	// A wrong expectation counts against the answer and the cross entropy.
	dir := t.TempDir()
	picture, err := os.ReadFile(example("shapes.png"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a.png"), picture, 0o644))
	file := filepath.Join(dir, "q.jsonl")
	require.NoError(t, os.WriteFile(file, []byte(`{"image":"a.png","question":"How many shapes are there?","answer":" I see three shapes.\n","kind":"count"}

{"image":"a.png","question":"How many shapes are there?","answer":"I see nine shapes.","kind":"count"}
`), 0o644))
	e = decode[evaluated](t, succeed(t, "", "eval", "--json", "--mistakes", "--data", file))
	require.Equal(t, 2, e.N)
	require.Equal(t, 1, e.Correct)
	require.Greater(t, e.Nats, 0.5)
	require.Len(t, e.Mistakes, 1)
	require.Equal(t, 3, e.Mistakes[0].Line)
	require.Equal(t, "I see three shapes.", e.Mistakes[0].Answer)
	text := succeed(t, "", "eval", "--mistakes", "--data", file)
	require.Contains(t, text, "line 3, a.png: How many shapes are there?\n  expected I see nine shapes.\n  answered I see three shapes.\n")
	require.Contains(t, text, "count      2      1  50.0 %\nall        2      1  50.0 %\n")
}
