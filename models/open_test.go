package models

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/internal/shared"
	"github.com/heddle-ml/heddle/models/ckpt/safetensors"
	"github.com/heddle-ml/heddle/models/demo"
	"github.com/heddle-ml/heddle/models/img"
	"github.com/heddle-ml/heddle/scheduler"
	"github.com/stretchr/testify/require"
)

// demoFiles returns the embedded files for a test to change.
func demoFiles(t testing.TB) fstest.MapFS {
	out := fstest.MapFS{}
	require.NoError(t, fs.WalkDir(demo.FS, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(demo.FS, path)
		out[path] = &fstest.MapFile{Data: data}
		return err
	}))
	return out
}

// edit changes a JSON file: keys are paths such as "text_config.hidden_size",
// a nil value removes.
func edit(t testing.TB, files fstest.MapFS, name string, changes map[string]any) {
	t.Helper()
	var m map[string]any
	require.NoError(t, json.Unmarshal(files[name].Data, &m))
	for path, v := range changes {
		at := m
		keys := strings.Split(path, ".")
		for _, k := range keys[:len(keys)-1] {
			at = at[k].(map[string]any)
		}
		if v == nil {
			delete(at, keys[len(keys)-1])
		} else {
			at[keys[len(keys)-1]] = v
		}
	}
	data, err := json.Marshal(m)
	require.NoError(t, err)
	files[name] = &fstest.MapFile{Data: data}
}

// retensor rewrites the weight file; f returns what becomes of an entry, false
// to drop it.
func retensor(t testing.TB, files fstest.MapFS, f func(e *safetensors.Entry) bool) {
	t.Helper()
	s, err := safetensors.New("model.safetensors", files["model.safetensors"].Data)
	require.NoError(t, err)
	var out []safetensors.Entry
	for _, x := range s.Tensors() {
		e := safetensors.Entry{Name: x.Name, DType: x.DType, Shape: x.Shape, Data: s.Bytes(x)}
		if f(&e) {
			out = append(out, e)
		}
	}
	var b bytes.Buffer
	require.NoError(t, safetensors.Write(&b, out, nil))
	files["model.safetensors"] = &fstest.MapFile{Data: b.Bytes()}
}

func textFile(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }

// badModel is a way to break the demo model, and what the error must say: the
// file, the field or tensor, and what is wrong with it.
type badModel struct {
	name  string
	spoil func(t testing.TB, files fstest.MapFS)
	want  []string
}

func config(name, key string, v any, want ...string) badModel {
	return badModel{fmt.Sprintf("%s %s=%v", name, key, v), func(t testing.TB, files fstest.MapFS) {
		edit(t, files, name, map[string]any{key: v})
	}, append([]string{name}, want...)}
}

func file(name, content string, want ...string) badModel {
	return badModel{name + " " + content[:min(len(content), 20)], func(_ testing.TB, files fstest.MapFS) {
		files[name] = textFile(content)
	}, append([]string{name}, want...)}
}

func tensors(name string, f func(e *safetensors.Entry) bool, want ...string) badModel {
	return badModel{name, func(t testing.TB, files fstest.MapFS) { retensor(t, files, f) }, want}
}

func badModels() []badModel {
	const norm = "language_model.model.norm.weight"
	weights := func(name string, f func([]byte) []byte, want ...string) badModel {
		return badModel{name, func(_ testing.TB, files fstest.MapFS) {
			files["model.safetensors"] = &fstest.MapFile{Data: f(bytes.Clone(files["model.safetensors"].Data))}
		}, append([]string{"model.safetensors"}, want...)}
	}
	out := []badModel{
		// config.json
		{"no config", func(_ testing.TB, files fstest.MapFS) { delete(files, "config.json") }, []string{"config.json", "does not exist"}},
		file("config.json", "", "JSON"),
		file("config.json", "model_type: llama", "not a JSON object"),
		file("config.json", "[1, 2]", "not a JSON object but array"),
		file("config.json", "null", "null"),
		file("config.json", "{} {}", "not a JSON object"),
		file("config.json", `{"model_type": "bluelm_v"`, "not a JSON object"),
		file("config.json", strings.Repeat(`{"a":`, 1<<18), "not a JSON object"),
		file("config.json", "{"+strings.Repeat(" ", 5<<20)+"}", "bytes"),
		file("config.json", "{}", `model_type is ""`, "bluelm_v"),
		config("config.json", "model_type", "gpt17", `model_type is "gpt17"`, "want one of", "llama"),
		config("config.json", "model_type", 7, "model_type", "string"),
		config("config.json", "text_config", "llama", "text_config", "object"),
		config("config.json", "text_config.model_type", "mamba", "text_config.model_type", "mamba", "qwen3"),
		config("config.json", "text_config.vocab_size", -1, "text_config.vocab_size", "is -1"),
		config("config.json", "text_config.vocab_size", 1e308, "text_config.vocab_size", "is 1e+308"),
		config("config.json", "text_config.vocab_size", 1.5, "text_config.vocab_size", "is 1.5"),
		config("config.json", "text_config.vocab_size", "many", "text_config.vocab_size", "want a number"),
		config("config.json", "text_config.vocab_size", 513, "embed_tokens.weight", "[512 192]", "[513 192]"),
		config("config.json", "text_config.hidden_size", 0, "text_config.hidden_size", "is 0"),
		config("config.json", "text_config.num_hidden_layers", 1000000000, "text_config.num_hidden_layers", "1 to 1024"),
		config("config.json", "text_config.num_hidden_layers", 1024, "layers.4."),
		config("config.json", "text_config.num_attention_heads", 0, "text_config.num_attention_heads", "is 0"),
		config("config.json", "text_config.num_key_value_heads", 4, "text_config.num_key_value_heads", "multiple"),
		config("config.json", "text_config.head_dim", 31, "text_config.head_dim", "even"),
		config("config.json", "text_config.head_dim", 0, "text_config.head_dim", "is 0"),
		config("config.json", "text_config.head_dim", 1024, "text_config.head_dim", "more than 16 times hidden_size"),
		config("config.json", "text_config.hidden_act", "snake", "text_config.hidden_act", "snake", "silu"),
		config("config.json", "text_config.rms_norm_eps", -1e-5, "text_config.rms_norm_eps"),
		config("config.json", "text_config.rope_scaling", map[string]any{"rope_type": "yarn"}, "text_config.rope_scaling.rope_type", "yarn", "llama3"),
		config("config.json", "text_config.rope_scaling", map[string]any{"rope_type": "llama3", "factor": 0}, "text_config.rope_scaling.factor"),
		config("config.json", "text_config.rope_theta", 0, "text_config.rope_theta"),
		config("config.json", "text_config.max_position_embeddings", -7, "text_config.max_position_embeddings"),
		config("config.json", "text_config.eos_token_id", "end", "text_config.eos_token_id"),
		config("config.json", "text_config.eos_token_id", []any{1, -2}, "text_config.eos_token_id"),
		config("config.json", "vision_config.image_size", 1<<30, "vision_config.image_size"),
		config("config.json", "vision_config.patch_size", 0, "vision_config.patch_size"),
		config("config.json", "vision_config.patch_size", 65, "vision_config.patch_size", "must not exceed image_size"),
		config("config.json", "vision_config.num_channels", 1, "vision_config.num_channels", "want 3"),
		config("config.json", "vision_config.num_attention_heads", 5, "vision_config.num_attention_heads", "multiple"),
		config("config.json", "vision_feature_layer", 9, "vision_feature_layer", "layer 9 of 3"),
		config("config.json", "downsample_mode", "mean", "downsample_mode", "concat"),
		config("config.json", "tokens_per_tile", 17, "tokens_per_tile", "17"),
		config("config.json", "tile_size", 65, "tile_size", "65"),
		config("config.json", "max_tiles", 1000, "max_tiles", "1000"),
		config("config.json", "tile_alpha", 1, "tile_alpha"),
		config("config.json", "image_token_id", nil, "image_token_id", "is missing"),
		config("config.json", "image_token_id", 1<<22, "no token 4194304", "do not belong together"),
		config("config.json", "image_start_token_id", 600, "no token 600"),
		// weights
		{"no weights", func(_ testing.TB, files fstest.MapFS) { delete(files, "model.safetensors") }, []string{"model.safetensors", "does not exist"}},
		weights("weights empty", func([]byte) []byte { return nil }),
		weights("weights of 5 bytes", func(b []byte) []byte { return b[:5] }),
		weights("weights cut in the header", func(b []byte) []byte { return b[:100] }),
		weights("weights cut in the middle", func(b []byte) []byte { return b[:len(b)/2] }),
		weights("weights one byte short", func(b []byte) []byte { return b[:len(b)-1] }),
		weights("weights one byte long", func(b []byte) []byte { return append(b, 0) }),
		weights("weights with a huge header", func(b []byte) []byte { b[5] = 0x7f; return b }),
		weights("weights that are a web page", func([]byte) []byte { return []byte("<!doctype html>" + strings.Repeat(" ", 1000)) }),
		tensors("a tensor is missing", func(e *safetensors.Entry) bool { return e.Name != norm }, norm, "no such tensor"),
		tensors("a tensor has another shape", func(e *safetensors.Entry) bool {
			if e.Name == norm {
				e.Shape = []int64{96, 2}
			}
			return true
		}, "model.safetensors", norm, "[96 2]", "[192]"),
		tensors("a tensor is shorter", func(e *safetensors.Entry) bool {
			if e.Name == norm {
				e.Shape, e.Data = []int64{191}, e.Data[:2*191]
			}
			return true
		}, "model.safetensors", norm, "[191]", "[192]"),
		tensors("a tensor holds integers", func(e *safetensors.Entry) bool {
			if e.Name == norm {
				e.DType = safetensors.I16
			}
			return true
		}, "model.safetensors", norm, "i16", "floating-point"),
		// texts
		file("tokenizer.json", "{", "unexpected"),
		file("tokenizer.json", "{}"),
		file("tokenizer.json", `{"model":{"type":"BPE","vocab":{"a":0},"merges":["a b c"]}}`),
		file("generation_config.json", "temperature=1"),
		config("generation_config.json", "max_new_tokens", 0, "max_new_tokens is 0"),
		config("generation_config.json", "max_new_tokens", "all", "max_new_tokens is a string; want a whole number"),
		config("generation_config.json", "max_new_tokens", 1e308, "max_new_tokens"),
		config("generation_config.json", "eos_token_id", "<|end|>", "eos_token_id"),
		config("generation_config.json", "eos_token_id", []any{1.5}, "eos_token_id"),
		config("generation_config.json", "repetition_penalty", -1, "repetition_penalty"),
		config("preprocessor_config.json", "image_mean", []any{0.5}, "image_mean", "three numbers"),
		config("preprocessor_config.json", "image_std", []any{0.5, 0, 0.5}, "image_std", "three numbers"),
		config("preprocessor_config.json", "resample", 17, "resample"),
		config("preprocessor_config.json", "tile_size", 32, "tile_size", "the vision tower takes 64"),
		config("preprocessor_config.json", "do_resize", false, "do_resize"),
		file("preprocessor_config.json", "no", "JSON"),
		config("tokenizer_config.json", "chat_template", "{% for x in %}", "chat_template"),
		config("tokenizer_config.json", "chat_template", 7, "chat_template"),
		file("tokenizer_config.json", "{"),
		file("chat_template.jinja", "{% endfor %}"),
	}
	return out
}

func TestBadModels(t *testing.T) {
	for _, c := range badModels() {
		t.Run(c.name, func(t *testing.T) {
			files := demoFiles(t)
			c.spoil(t, files)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			start := time.Now()
			m, err := OpenFS(t.Context(), "broken", files, &Options{Registry: registry})
			took := time.Since(start)
			runtime.ReadMemStats(&after)
			if err == nil {
				require.NoError(t, m.Close())
				t.Fatal("it was opened")
			}
			t.Log(err)
			for _, w := range c.want {
				require.ErrorContains(t, err, w)
			}
			require.ErrorContains(t, err, "broken")
			require.NotContains(t, err.Error(), "\n", "one line")
			require.Less(t, len(err.Error()), 500)
			require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(64<<20), "bytes allocated")
			require.Less(t, took, 5*time.Second)
		})
	}
}

// A template that never ends, or eats memory, is stopped by its limits:
// opening and asking stay quick, and the error names the template.
func TestHostileTemplates(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join(shared.Golden(t, "chat_templates"), "hostile_*.jinja"))
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			if strings.Contains(path, "huge_silent") || brief() && strings.Contains(path, "huge") {
				t.Skip("reaches the limit of steps, which takes seconds; package jinja tests it")
			}
			data, err := os.ReadFile(path)
			require.NoError(t, err)
			files := demoFiles(t)
			files["chat_template.jinja"] = &fstest.MapFile{Data: data}
			start := time.Now()
			m, err := OpenFS(t.Context(), "hostile", files, &Options{Registry: registry})
			if err == nil {
				defer m.Close()
				_, err = newSession(t, m).Ask(t.Context(), Turn{Text: "Hi."})
			}
			require.ErrorContains(t, err, "hostile/chat_template.jinja")
			require.NotContains(t, err.Error(), "\n")
			require.Less(t, time.Since(start), 20*time.Second)
		})
	}
}

// A template that takes a system message shows it to the model, at the start
// of the conversation only.
func TestSystemMessage(t *testing.T) {
	files := demoFiles(t)
	const template = `{% for m in messages %}{% if m.role == 'system' %}{{ m.content }}{% elif m.role == 'user' %}<|user|>{{ m.content }}{% else %}<|assistant|>{{ m.content }}<|end|>{% endif %}{% endfor %}<|assistant|>`
	files["chat_template.jinja"] = textFile(template)
	m, err := OpenFS(t.Context(), "polite", files, &Options{Registry: registry})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, m.Close()) })
	s := newSession(t, m)
	bare := ask(t, s, Turn{Text: "Hi.", MaxTokens: 4})
	s.Reset()
	a := ask(t, s, Turn{Text: "Hi.", System: "Be brief.", MaxTokens: 4})
	require.Greater(t, a.PromptTokens, bare.PromptTokens)
	p, err := s.prompt(t.Context())
	require.NoError(t, err)
	whole, err := m.tok.Decode(p.ids, false)
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(whole, "Be brief.<|user|>Hi.<|assistant|>"), whole)
	_, err = s.Ask(t.Context(), Turn{Text: "And now?", System: "Be rude."})
	require.ErrorContains(t, err, "can only start a conversation")
	// This template has no place for pictures as parts, so that their marker
	// goes into the text.
	require.True(t, m.markInText)
	s.Reset()
	a = ask(t, s, Turn{Text: "Hi.", Images: []img.RGB{picture(t, "examples/small.png")}, MaxTokens: 1})
	require.Equal(t, 16*a.Grids[0].Tiles, a.ImageTokens)
}

// write puts files into a folder.
func write(t testing.TB, files fstest.MapFS) string {
	dir := t.TempDir()
	for name, f := range files {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), f.Data, 0o644))
	}
	return dir
}

func TestOpenFolder(t *testing.T) {
	open := func(path string, o Options) (*Model, error) {
		o.Registry = registry
		return Open(t.Context(), path, &o)
	}
	fails := func(path string, want ...string) {
		t.Helper()
		_, err := open(path, Options{})
		for _, w := range want {
			require.ErrorContains(t, err, w)
		}
		require.NotContains(t, err.Error(), "\n")
	}
	dir := write(t, demoFiles(t))
	m, err := open(dir, Options{})
	require.NoError(t, err)
	usable(t, newSession(t, m))
	require.NoError(t, m.Close())

	fails(filepath.Join(dir, "nowhere"), "nowhere", "no such file")
	fails(filepath.Join(dir, "config.json"), "config.json is a file", "want a folder")
	fails(t.TempDir(), "model.safetensors")

	// Files that are no files.
	require.NoError(t, os.Remove(filepath.Join(dir, "config.json")))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "config.json"), 0o755))
	fails(dir, "config.json", "not a regular file")

	// Shards: one that the index names is missing, one that it does not is
	// left alone, one that it lies about is found out.
	src := shared.Golden(t, "llama_tiny_bf16_sharded")
	shards := t.TempDir()
	require.NoError(t, os.CopyFS(shards, os.DirFS(src)))
	require.NoError(t, os.WriteFile(filepath.Join(shards, "model-00009-of-00003.safetensors"), []byte("left over"), 0o644))
	m, err = open(shards, Options{})
	require.NoError(t, err)
	require.Nil(t, m.Tokenizer())
	s := newSession(t, m)
	_, err = s.Ask(t.Context(), Turn{Text: "Hi."})
	require.ErrorContains(t, err, "has no tokenizer.json, so it takes no text")
	_, err = m.Encode(t.Context(), img.RGB{})
	require.ErrorContains(t, err, "takes no pictures")
	require.NoError(t, m.Close())

	second := filepath.Join(shards, "model-00002-of-00003.safetensors")
	data, err := os.ReadFile(second)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(second, data[:len(data)-2], 0o644))
	fails(shards, "model-00002-of-00003.safetensors", "truncated")
	require.NoError(t, os.Remove(second))
	fails(shards, "model-00002-of-00003.safetensors", "fetch the missing shard")
	index := filepath.Join(shards, "model.safetensors.index.json")
	require.NoError(t, os.WriteFile(index, []byte(`{"weight_map":{"a":"../../etc/passwd"}}`), 0o644))
	fails(shards, "model.safetensors.index.json", "inside the folder")
}

// Options.Modules leaves parts out; what then cannot be done says so.
func TestModules(t *testing.T) {
	llm := openDemoWith(t, Options{Modules: []string{"llm"}})
	require.Len(t, llm.Workload().Modules, 2)
	s := newSession(t, llm)
	_, err := s.Ask(t.Context(), shapesTurn(t))
	require.ErrorContains(t, err, "without its vision module")
	require.NotEmpty(t, ask(t, s, Turn{Text: "What do you see?", MaxTokens: 3}).Tokens)

	vision := openDemoWith(t, Options{Modules: []string{"vision"}})
	require.Len(t, vision.Workload().Modules, 1)
	e, err := vision.Encode(t.Context(), picture(t, "examples/shapes.png"))
	require.NoError(t, err)
	require.Equal(t, 16*e.Grid.Tiles, e.Tokens())
	_, err = vision.NewSession(t.Context())
	require.ErrorContains(t, err, "without its llm module")

	tower, err := Open(t.Context(), shared.Golden(t, "siglip_tiny"), &Options{Registry: registry})
	require.NoError(t, err)
	defer tower.Close()
	_, err = tower.NewSession(t.Context())
	require.ErrorContains(t, err, "a siglip_vision_model model has no language model")
}

// A plan is made once, saved, and used again: on the same device, for the
// same model and context.
func TestPlanOption(t *testing.T) {
	for _, policy := range []scheduler.Policy{{}, {Static: true, Chunk: 16, TileBatch: 2}} {
		m := openDemo(t, policy)
		var saved bytes.Buffer
		require.NoError(t, m.Plan().Save(&saved))
		plan, err := scheduler.Read(&saved)
		require.NoError(t, err)
		again := openDemoWith(t, Options{Plan: plan})
		require.Equal(t, m.Plan(), again.Plan())
		usable(t, newSession(t, again))

		_, err = openDemoErr(t, Options{Plan: plan, Context: 512})
		require.ErrorIs(t, err, scheduler.ErrStale)
		other := *plan
		other.Devices = []scheduler.DeviceRef{{Name: "warp"}}
		_, err = openDemoErr(t, Options{Plan: &other})
		require.ErrorContains(t, err, "it has cpu")
	}
}

// A device that is asked for and not there is passed over, and the model says
// so; with Strict it is an error.
func TestFallbacks(t *testing.T) {
	m := openDemo(t, scheduler.Policy{Devices: []string{"warp", "cpu"}})
	require.Len(t, m.Fallbacks(), 1)
	require.Contains(t, m.Fallbacks()[0], "warp")
	usable(t, newSession(t, m))
	_, err := openDemoErr(t, Options{Policy: scheduler.Policy{Devices: []string{"warp", "cpu"}, Strict: true}})
	require.ErrorIs(t, err, hal.ErrUnavailable)
	require.ErrorContains(t, err, "warp")
}
