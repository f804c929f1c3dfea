package cli_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/internal/shared"
)

// Texts of three real vocabularies, as they stand in their test files. Each
// run loads the vocabulary anew, so the larger ones get a sample; package token
// goes through all.
func TestTokenizeVocabularies(t *testing.T) {
	dir := shared.Dir(t, "golden/tokenizers")
	for name, step := range map[string]int{"llama-spm": 3, "gpt-2": 2, "deepseek-llm": 7} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(dir, "ggml-vocab-"+name+".gguf")
			in, err := os.ReadFile(path + ".inp")
			require.NoError(t, err)
			out, err := os.ReadFile(path + ".out")
			require.NoError(t, err)
			texts := strings.Split(string(in), "\n__ggml_vocab_test__\n")
			texts = texts[:len(texts)-1]
			lines := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
			require.Len(t, lines, len(texts))
			for i := 0; i < len(texts); i += step {
				text := texts[i]
				ids := succeed(t, text, "tokenize", "--model", path, "--ids", "--no-special", "-")
				require.Equal(t, strings.TrimPrefix(lines[i], " ")+"\n", ids, "text %d: %q", i, text)
				if i%4 == 0 {
					require.Equal(t, text, succeed(t, ids, "tokenize", "--model", path, "--decode", "-"))
				}
				if i%5 == 0 && !strings.ContainsRune(text, 0) {
					require.Equal(t, ids, succeed(t, "", "tokenize", "--model", path, "--ids", "--no-special", "--", text))
				}
			}
		})
	}
}

type tokenizerCases struct {
	Encode []struct {
		Text       string
		AddSpecial bool `json:"add_special_tokens"`
		IDs        []int
	}
	Decode []struct {
		IDs         []int
		SkipSpecial bool `json:"skip_special_tokens"`
		Text        string
		JavaScript  *string `json:"javascript_text_differs"`
	}
}

// Cases that huggingface/tokenizers answers.
func TestTokenizeJSON(t *testing.T) {
	dir := shared.Dir(t, "golden/tokenizer_json")
	for _, name := range []string{"gpt2", "llama2", "deepseek_llm", "small_modern"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var cases tokenizerCases
			data, err := os.ReadFile(filepath.Join(dir, name, "cases.json"))
			require.NoError(t, err)
			require.NoError(t, json.Unmarshal(data, &cases))
			// Loading a large vocabulary takes long: every case of the small
			// one, a sample of the others.
			step := 1
			if name != "small_modern" {
				step = 32
			}
			for i := 0; i < len(cases.Encode); i += step {
				c := cases.Encode[i]
				args := []string{"tokenize", "--model", filepath.Join(dir, name), "--ids", "-"}
				if !c.AddSpecial {
					args = slices.Insert(args, 1, "--no-add-special")
				}
				require.Equal(t, join(c.IDs)+"\n", succeed(t, c.Text, args...), "%q", c.Text)
			}
			for i := 0; i < len(cases.Decode); i += step {
				c := cases.Decode[i]
				args := []string{"tokenize", "--model", filepath.Join(dir, name, "tokenizer.json"), "--decode"}
				if c.SkipSpecial {
					args = append(args, "--no-special")
				}
				for _, id := range c.IDs {
					args = append(args, strconv.Itoa(id))
				}
				got := succeed(t, "", args...)
				if c.JavaScript == nil || got != *c.JavaScript {
					require.Equal(t, c.Text, got, "%v", c.IDs)
				}
			}
		})
	}
}

func join(ids []int) string {
	words := make([]string, len(ids))
	for i, id := range ids {
		words[i] = fmt.Sprint(id)
	}
	return strings.Join(words, " ")
}

func TestTokenizeDemo(t *testing.T) {
	text := "What color is\nthe ring?\n"
	ids := succeed(t, text, "tokenize", "--ids", "-")
	require.Equal(t, ids, succeed(t, "", "tokenize", "--ids", text), "line ends are part of the text")
	require.NotEqual(t, ids, succeed(t, "", "tokenize", "--ids", strings.TrimSpace(text)))
	require.Equal(t, text, succeed(t, "", append([]string{"tokenize", "--decode"}, strings.Fields(ids)...)...))

	require.Equal(t, "509 39 72 510\n", succeed(t, "", "tokenize", "--ids", "<|user|>Hi<|assistant|>"))
	require.NotContains(t, succeed(t, "", "tokenize", "--ids", "--no-special", "<|user|>"), "509")
	require.Equal(t, "509  \"<|user|>\"  special\n 39  \"H\"\n 72  \"i\"\n", succeed(t, "", "tokenize", "<|user|>Hi"))
	require.Equal(t, "{\"ids\":[509,39,72],\"pieces\":[\"<|user|>\",\"H\",\"i\"]}\n", succeed(t, "", "tokenize", "--json", "<|user|>Hi"))
	require.Equal(t, "<|user|>Hi", succeed(t, "", "tokenize", "--decode", "509", "39", "72"))
	require.Equal(t, "Hi", succeed(t, "", "tokenize", "--decode", "--no-special", "509", "39", "72"))
	require.Equal(t, "{\"text\":\"Hi\"}\n", succeed(t, "", "tokenize", "--decode", "--json", "39", "72"))
	require.Equal(t, "\n", succeed(t, "", "tokenize", "--ids", ""))
	require.Equal(t, "{\"ids\":[],\"pieces\":[]}\n", succeed(t, "", "tokenize", "--json", ""))
	require.Equal(t, succeed(t, "", "tokenize", "--ids", "a ring"),
		succeed(t, "", "tokenize", "--model", filepath.Join(shared.Root(), "models", "demo", "tokenizer.json"), "--ids", "a ring"))
}

func TestTokenizeBadInput(t *testing.T) {
	for _, id := range []string{"512", "-1", "99999999999999999999", "2147483648"} {
		execute(t, "", "tokenize", "--decode", "--", id).oneLine(t, 1, "token id "+id+" is out of range", "0 to 511")
	}
	execute(t, "", "tokenize", "--decode", "x").oneLine(t, 2, `"x" is not a token id`)
	execute(t, "", "tokenize").oneLine(t, 2, "TEXT is missing")
	execute(t, "", "tokenize", "two", "words").oneLine(t, 2, `"words" is one argument too many`, "quotes")
	execute(t, "", "tokenize", "--ids", "--decode", "1").oneLine(t, 2, "ids", "decode")
	execute(t, "", "tokenize", "--model", "no/such/folder", "x").oneLine(t, 1, "no/such/folder", "no such file")
	execute(t, "", "tokenize", "--model", shared.Golden(t, "llama_tiny"), "x").oneLine(t, 1, "tokenizer.json")
	execute(t, "", "tokenize", "--model", shared.Golden(t, "gguf_models/llama_tiny_f32.gguf"), "x").oneLine(t, 1, "llama_tiny_f32.gguf")
	execute(t, "", "tokenize", "a\xffb").oneLine(t, 1, "UTF-8")
	execute(t, "", "tokenize", "--model", write(t, "tokenizer.json", `{"model":{`), "x").oneLine(t, 1, "tokenizer.json")
	execute(t, "", "tokenize", "--model", write(t, "bad.gguf", "GGUF\x03\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\x7f"), "x").oneLine(t, 1, "bad.gguf")
	execute(t, "", "tokenize", "--model", write(t, "notes.txt", "hello"), "x").oneLine(t, 1, "notes.txt", "tokenizer.json or a .gguf")
}
