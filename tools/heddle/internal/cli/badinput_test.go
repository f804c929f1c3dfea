package cli_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/drivers/cpu"
	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/internal/shared"
	"github.com/heddle-ml/heddle/models"
	"github.com/heddle-ml/heddle/models/ckpt/safetensors"
	"github.com/heddle-ml/heddle/models/demo"
	"github.com/heddle-ml/heddle/tools/heddle/internal/cli"
)

// setConfig changes a field of a model's config.json.
func setConfig(t *testing.T, dir, key string, value any) {
	t.Helper()
	path := filepath.Join(dir, "config.json")
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	var c map[string]any
	require.NoError(t, json.Unmarshal(data, &c))
	c[key] = value
	data, err = json.Marshal(c)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, data, 0o644))
}

// setTensors rewrites a model's weights.
func setTensors(t *testing.T, dir string, edit func([]safetensors.Entry) []safetensors.Entry) {
	t.Helper()
	path := filepath.Join(dir, "model.safetensors")
	f, err := safetensors.Open(path)
	require.NoError(t, err)
	var entries []safetensors.Entry
	for _, x := range f.Tensors() {
		entries = append(entries, safetensors.Entry{Name: x.Name, DType: x.DType, Shape: x.Shape, Data: bytes.Clone(f.Bytes(x))})
	}
	require.NoError(t, f.Close())
	var b bytes.Buffer
	require.NoError(t, safetensors.Write(&b, edit(entries), nil))
	require.NoError(t, os.WriteFile(path, b.Bytes(), 0o644))
}

// header writes a safetensors file with a header of one's own.
func header(text string, size uint64, data int) []byte {
	b := binary.LittleEndian.AppendUint64(nil, size)
	return append(append(b, text...), make([]byte, data)...)
}

// A model folder can be wrong in many ways. Each is one line that names file
// and field, from every command that opens models.
func TestBadModels(t *testing.T) {
	weights := func(b []byte) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			require.NoError(t, os.WriteFile(filepath.Join(dir, "model.safetensors"), b, 0o644))
		}
	}
	config := func(key string, value any) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) { setConfig(t, dir, key, value) }
	}
	lying := `{"model.embed_tokens.weight":{"dtype":"F32","shape":[1099511627776,1048576],"data_offsets":[0,4611686018427387904]}}`
	for _, c := range []struct {
		name   string
		want   []string
		damage func(t *testing.T, dir string)
	}{
		{"truncated", []string{"model.safetensors", "truncated"}, func(t *testing.T, dir string) {
			require.NoError(t, os.Truncate(filepath.Join(dir, "model.safetensors"), 20000))
		}},
		{"truncated header", []string{"model.safetensors"}, weights([]byte{9, 0, 0})},
		{"empty weights", []string{"model.safetensors"}, weights(nil)},
		{"lying header length", []string{"model.safetensors", "header length"}, weights(header("{}", 1<<62, 0))},
		{"lying shape", []string{"model.safetensors", "model.embed_tokens.weight"}, weights(header(lying, uint64(len(lying)), 64))},
		{"no JSON", []string{"model.safetensors"}, weights(header("{{{{", 4, 0))},
		{"missing tensor", []string{"model.layers.1.mlp.up_proj.weight", "no such tensor"}, func(t *testing.T, dir string) {
			setTensors(t, dir, func(es []safetensors.Entry) []safetensors.Entry {
				for i, e := range es {
					if e.Name == "model.layers.1.mlp.up_proj.weight" {
						return append(es[:i:i], es[i+1:]...)
					}
				}
				return es
			})
		}},
		{"wrong shape", []string{"model.norm.weight", "shape", "asks for"}, func(t *testing.T, dir string) {
			setTensors(t, dir, func(es []safetensors.Entry) []safetensors.Entry {
				for i := range es {
					if es[i].Name == "model.norm.weight" {
						es[i].Shape = append([]int64{1}, es[i].Shape...)
					}
				}
				return es
			})
		}},
		{"no config", []string{"config.json"}, func(t *testing.T, dir string) { require.NoError(t, os.Remove(filepath.Join(dir, "config.json"))) }},
		{"config is no JSON", []string{"config.json"}, func(t *testing.T, dir string) {
			require.NoError(t, os.WriteFile(filepath.Join(dir, "config.json"), []byte("{"), 0o644))
		}},
		{"unknown architecture", []string{"config.json", "model_type", `"mamba9"`, "want one of"}, config("model_type", "mamba9")},
		{"absurd vocabulary", []string{"config.json", "vocab_size"}, config("vocab_size", 9e15)},
		{"absurd layers", []string{"config.json", "num_hidden_layers"}, config("num_hidden_layers", 1e9)},
		{"more layers than weights", []string{"layers.3", "no such tensor"}, config("num_hidden_layers", 1000)},
		{"absurd width", []string{"config.json", "hidden_size"}, config("hidden_size", 1<<40)},
		{"negative width", []string{"config.json", "hidden_size"}, config("hidden_size", -64)},
		{"other width", []string{"model.embed_tokens.weight", "shape"}, config("hidden_size", 128)},
		{"no heads", []string{"config.json", "num_attention_heads"}, config("num_attention_heads", 0)},
		{"text for a number", []string{"config.json", "hidden_size"}, config("hidden_size", "64")},
		{"fractional heads", []string{"config.json", "num_attention_heads"}, config("num_attention_heads", 4.5)},
		{"absurd positions", []string{"config.json", "max_position_embeddings"}, config("max_position_embeddings", 1e18)},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := copyModel(t, shared.Golden(t, "llama_tiny"))
			c.damage(t, dir)
			out := t.TempDir()
			for _, args := range [][]string{
				{"inspect", dir},
				{"run", "--model", dir, "hello"},
				{"check", "--model", dir, "--dump", filepath.Join(out, "d.safetensors")},
				{"export", "--model", dir, "--module", "prefill", "-o", filepath.Join(out, "p.onnx")},
				{"eval", "--model", dir, "--data", example("questions.jsonl"), "--json"},
			} {
				r := execute(t, "", args...)
				r.oneLine(t, 1, append(c.want, dir)...)
				require.Empty(t, r.out, args[0])
				require.Empty(t, names(t, out), args[0])
			}
		})
	}
}

func TestBadModelPaths(t *testing.T) {
	file := write(t, "model.bin", "hello")
	for _, c := range []struct {
		path string
		want []string
	}{
		{"no/such/folder", []string{"no/such/folder", "no such file or directory"}},
		{t.TempDir(), []string{"model.safetensors"}},
		{file, []string{file}},
		{shared.Golden(t, "gguf_models/llama_tiny_f32.gguf"), []string{"GGUF models cannot be run yet"}},
	} {
		execute(t, "", "run", "--model", c.path, "hello").oneLine(t, 1, c.want...)
	}
	execute(t, "", "inspect", file).oneLine(t, 1, file, "want a model folder")
	gguf := filepath.Join(t.TempDir(), "cut.gguf")
	data, err := os.ReadFile(shared.Golden(t, "gguf_models/llama_tiny_f32.gguf"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(gguf, data[:len(data)/2], 0o644))
	execute(t, "", "inspect", gguf).oneLine(t, 1, gguf)
	execute(t, "", "check", "--model", shared.Golden(t, "llama_tiny"), "--expected", gguf).oneLine(t, 1, gguf)
	execute(t, "", "check", "--model", shared.Golden(t, "llama_tiny"), "--expected", shared.Golden(t, "siglip_tiny/expected.safetensors")).oneLine(t, 1, "no inputs for this model")
	execute(t, "", "check", "--model", shared.Golden(t, "resize")).oneLine(t, 1, "expected.safetensors")
	execute(t, "", "run", "--model", shared.Golden(t, "llama_tiny"), "hello").oneLine(t, 1, "tokenizer.json")
}

// picture writes a PNG of one colour.
func picture(t *testing.T, w, h int) string {
	t.Helper()
	m := image.NewPaletted(image.Rect(0, 0, w, h), color.Palette{color.RGBA{200, 30, 30, 255}})
	var b bytes.Buffer
	require.NoError(t, png.Encode(&b, m))
	return write(t, fmt.Sprintf("%dx%d.png", w, h), b.String())
}

func TestBadPictures(t *testing.T) {
	whole, err := os.ReadFile(example("shapes.png"))
	require.NoError(t, err)
	claims := bytes.Clone(whole)
	binary.BigEndian.PutUint32(claims[16:], 60000)
	binary.BigEndian.PutUint32(claims[20:], 60000)
	for _, c := range []struct {
		path string
		want string
	}{
		{write(t, "text.png", "this is no picture"), "not a known picture format"},
		{write(t, "empty.png", ""), "empty.png"},
		{write(t, "cut.png", string(whole[:200])), "damaged"},
		{write(t, "claims.png", string(claims)), "60000x60000"},
		{picture(t, 4, 20000), "4x20000 pixels"},
		{picture(t, 20000, 4), "20000x4 pixels"},
		{filepath.Join(t.TempDir(), "absent.png"), "no such file"},
		{t.TempDir(), "folder"},
	} {
		name := filepath.Base(c.path)
		r := execute(t, "", "run", "--image", c.path, "What do you see?")
		r.oneLine(t, 1, name, c.want)
		require.Empty(t, r.out)
		r = execute(t, "", "run", "--json", "--image", example("shapes.png"), "--image", c.path, "What do you see?")
		r.oneLine(t, 1, name)
		require.Empty(t, r.out)
		r = execute(t, "/image "+c.path+"\n", "chat")
		r.oneLine(t, 1, name)
	}
	data := write(t, "q.jsonl", `{"image":"absent.png","question":"What?","answer":"That."}`)
	execute(t, "", "eval", "--data", data).oneLine(t, 1, data, "line 1", "absent.png")
}

func TestBadPrompts(t *testing.T) {
	for _, p := range []string{"", " ", "\n\t"} {
		r := execute(t, "", "run", "--image", example("shapes.png"), p)
		r.oneLine(t, 1, "the prompt is empty")
		require.Empty(t, r.out)
	}
	r := execute(t, "", "run", strings.Repeat("What do you see? ", 2000))
	r.oneLine(t, 1, "the context of 1024")
	require.Empty(t, r.out)
	execute(t, "", "run", "--context", "20", "--image", example("shapes.png"), "What do you see?").oneLine(t, 1, "the context of 20")
	execute(t, "", "run", "What is\xff this?").oneLine(t, 1, "UTF-8")
	execute(t, "", "run", "--context", "4096", "What do you see?").oneLine(t, 1, "at most 1024")
	execute(t, "", "run", "--image", example("shapes.png"), "<|patch|> what?").oneLine(t, 1, "<|patch|>")
}

func TestBadDevices(t *testing.T) {
	for device, want := range map[string]string{
		"npu": `no such driver`, "cpu:9": "there is only device 0", "cpu?fast=yes": `option "fast" is unknown`, "plugin:/no/such.so": "plugin", "npu:0,gpu:1": "gpu",
	} {
		for _, args := range [][]string{{"run", "hello"}, {"check", "--model", shared.Golden(t, "siglip_tiny")}, {"eval", "--data", example("questions.jsonl")}} {
			r := execute(t, "", append(args, "--device", device)...)
			r.oneLine(t, 1, want)
			require.Empty(t, r.out)
		}
	}
	for device, want := range map[string]string{
		"": "a name is empty", "cpu,": "a name is empty", "audio=cpu": `no module is called "audio"`, "vision=": "a name is empty", "llm=cpu,llm=cpu": "two lists",
	} {
		execute(t, "", "run", "hello", "--device", device).oneLine(t, 2, want)
	}
}

func TestBadPlans(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", "EOF"}, {"{}", "version"}, {`{"version":1}`, "names no device"}, {`{"version":1,"future":1}`, "future"},
		{`{"version":1,"devices":[{"name":"npu"}]}`, "npu"},
	} {
		r := execute(t, "", "run", "--plan", write(t, "plan.json", c.text), "hello")
		r.oneLine(t, 1, c.want)
	}
	execute(t, "", "run", "--plan", "no/plan.json", "hello").oneLine(t, 1, "no/plan.json")
	execute(t, "", "run", "--plan", "plan.json", "--device", "cpu", "hello").oneLine(t, 2, "plan", "device")

	// A plan of another model, or of none.
	path := filepath.Join(t.TempDir(), "plan.json")
	m, err := models.OpenFS(t.Context(), demo.Name, demo.FS, &models.Options{Registry: hal.NewRegistry(cpu.Driver{}), Modules: []string{"llm"}})
	require.NoError(t, err)
	var b bytes.Buffer
	require.NoError(t, m.Plan().Save(&b))
	require.NoError(t, m.Close())
	require.NoError(t, os.WriteFile(path, b.Bytes(), 0o644))
	execute(t, "", "run", "--plan", path, "hello").oneLine(t, 1, "vision")
}

func TestBadQuestions(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", "holds no questions"}, {"\n\n", "holds no questions"}, {"{", "line 1"}, {"[]", "line 1"}, {"\n{\"question\":1}", "line 2"},
		{`{"question":"What?"}`, "question or answer is missing"}, {`{"question":"a","answer":"b"} {}`, "one JSON object on each line"},
		{strings.Repeat("x", 2<<20), "line 1"},
	} {
		r := execute(t, "", "eval", "--data", write(t, "q.jsonl", c.text))
		r.oneLine(t, 1, c.want, "q.jsonl")
	}
}

func TestWrongUsage(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"frobnicate"}, `unknown command "frobnicate"`},
		{[]string{"evl"}, "did you mean eval?"},
		{[]string{"--frob"}, "unknown flag: --frob"},
		{[]string{"run"}, "PROMPT is missing"},
		{[]string{"run", "two", "words"}, "one argument too many"},
		{[]string{"run", "--image"}, "flag needs an argument"},
		{[]string{"run", "--trace", "f", "hello"}, "unknown flag: --trace"},
		{[]string{"run", "--max-tokens", "-1", "hello"}, "--max-tokens -1"},
		{[]string{"run", "--max-tokens", "many", "hello"}, "invalid argument"},
		{[]string{"run", "--temp", "NaN", "hello"}, "temperature is NaN"},
		{[]string{"run", "--top-p", "1.5", "hello"}, "top_p is 1.5"},
		{[]string{"run", "--top-k", "-3", "hello"}, "top_k is -3"},
		{[]string{"run", "--chunk", "-3", "hello"}, "must not be negative"},
		{[]string{"eval"}, "--data is missing"},
		{[]string{"eval", "--data", "x", "--limit", "-1"}, "--limit -1"},
		{[]string{"check"}, "--model is missing"},
		{[]string{"check", "--model", "x", "--atol", "-1"}, "--atol -1"},
		{[]string{"check", "--model", "x", "--atol", "NaN"}, "--atol NaN"},
		{[]string{"inspect", "a", "b"}, "one argument too many"},
		{[]string{"devices", "cpu"}, "one argument too many"},
		{[]string{"chat", "hello"}, "one argument too many"},
	} {
		r := execute(t, "", c.args...)
		r.oneLine(t, 2, c.want, "--help")
		require.Empty(t, r.out)
	}
}

// Help is no error, and every command has examples.
func TestHelp(t *testing.T) {
	top := succeed(t, "")
	require.Equal(t, top, succeed(t, "", "--help"))
	for _, cmd := range []string{"run", "chat", "eval", "check", "inspect", "devices", "tiles", "tokenize", "export"} {
		require.Contains(t, top, "\n  "+cmd)
		help := succeed(t, "", cmd, "--help")
		require.Contains(t, help, "Examples:\n  heddle "+cmd)
		require.Equal(t, help, succeed(t, "", "help", cmd))
		for line := range strings.Lines(help) {
			require.LessOrEqual(t, len(line), 101, line)
		}
	}
	require.Regexp(t, `^heddle .*go1`, succeed(t, "", "--version"))
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		require.NotEmpty(t, succeed(t, "", "completion", shell))
	}
	require.Contains(t, succeed(t, "", "__complete", "run", "--device", ""), "cpu\n")
	require.Contains(t, succeed(t, "", "__complete", "tiles", "--method", ""), "llava-next\n")
}

// full is an output without space.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

func TestOutputFails(t *testing.T) {
	for _, args := range [][]string{
		{"tiles", "4x5"}, {"tiles", "--json", "4x5"}, {"tokenize", "x"}, {"inspect"}, {"devices"}, {"run", "What do you see?"},
		{"export", "--module", "vision", "-o", "-"}, {"eval", "--limit", "1", "--data", example("questions.jsonl")},
	} {
		r := executeWith(t, cli.Env{Stdout: full{}, Stdin: strings.NewReader("")}, args...)
		r.oneLine(t, 1, "no space left on device")
	}
}
