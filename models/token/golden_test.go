package token

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/heddle-ml/heddle/internal/shared"
	"github.com/heddle-ml/heddle/models/ckpt/gguf"
	"github.com/stretchr/testify/require"
)

// TestVocabularies compares with the token ids that belong to three real
// vocabularies in GGUF form.
func TestVocabularies(t *testing.T) {
	dir := shared.Dir(t, "golden/tokenizers")
	for _, name := range []string{"llama-spm", "gpt-2", "deepseek-llm"} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(dir, "ggml-vocab-"+name+".gguf")
			tok := openGGUF(t, path)
			in, err := os.ReadFile(path + ".inp")
			require.NoError(t, err)
			out, err := os.ReadFile(path + ".out")
			require.NoError(t, err)
			texts := strings.Split(string(in), "\n__ggml_vocab_test__\n")
			texts = texts[:len(texts)-1]
			lines := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
			require.Len(t, texts, 46)
			require.Len(t, lines, 46)
			for i, text := range texts {
				ids, err := tok.Encode(text, EncodeOptions{})
				require.NoError(t, err)
				var got strings.Builder
				for _, id := range ids {
					fmt.Fprintf(&got, " %d", id)
				}
				require.Equal(t, lines[i], got.String(), "text %d: %q", i, text)
				requireRoundTrip(t, tok, text)
			}
		})
	}
}

func openGGUF(t testing.TB, path string) *Tokenizer {
	t.Helper()
	f, err := gguf.Open(path)
	require.NoError(t, err)
	defer f.Close() // the tokenizer does not need it any more
	tok, err := FromGGUF(f)
	require.NoError(t, err)
	return tok
}

// requireRoundTrip checks that decoding gives the text back, at once and as a
// stream.
func requireRoundTrip(t testing.TB, tok *Tokenizer, text string) {
	t.Helper()
	for _, opt := range []EncodeOptions{{}, {AddSpecial: true}} {
		ids, err := tok.Encode(text, opt)
		require.NoError(t, err)
		got, err := tok.Decode(ids, true)
		require.NoError(t, err)
		require.Equal(t, text, got)
		require.Equal(t, text, streamed(tok, ids, true))
	}
}

func streamed(tok *Tokenizer, ids []int32, skipSpecial bool) string {
	s := tok.NewStream(skipSpecial)
	var b strings.Builder
	for _, id := range ids {
		b.WriteString(s.Next(id))
	}
	b.WriteString(s.Flush())
	return b.String()
}

type goldenCases struct {
	Encode []struct {
		Text       string
		AddSpecial bool `json:"add_special_tokens"`
		IDs        []int32
		Offsets    [][2]int
		Mask       []int   `json:"special_tokens_mask"`
		JavaScript []int32 `json:"javascript_ids_differ"`
		Vocabulary *int    `json:"from_vocabulary_test"`
	}
	Pairs []struct {
		Text, Pair string
		AddSpecial bool `json:"add_special_tokens"`
		IDs        []int32
		TypeIDs    []int32 `json:"type_ids"`
	} `json:"encode_pair"`
	Decode []struct {
		IDs         []int32
		SkipSpecial bool `json:"skip_special_tokens"`
		Text        string
		Partial     bool
		JavaScript  *string `json:"javascript_text_differs"`
	}
}

// TestTokenizerJSON compares with what huggingface/tokenizers answers.
func TestTokenizerJSON(t *testing.T) {
	dir := shared.Dir(t, "golden/tokenizer_json")
	for _, name := range []string{"gpt2", "llama2", "deepseek_llm", "small_modern"} {
		t.Run(name, func(t *testing.T) {
			tok, err := Open(filepath.Join(dir, name))
			require.NoError(t, err)
			var cases goldenCases
			data, err := os.ReadFile(filepath.Join(dir, name, "cases.json"))
			require.NoError(t, err)
			require.NoError(t, json.Unmarshal(data, &cases))
			require.NotEmpty(t, cases.Encode)
			require.NotEmpty(t, cases.Pairs)
			require.NotEmpty(t, cases.Decode)

			for _, c := range cases.Encode {
				opt := EncodeOptions{AddSpecial: c.AddSpecial, ParseSpecial: true}
				got, err := tok.EncodeDetailed(c.Text, opt)
				require.NoError(t, err)
				require.Equal(t, c.IDs, append([]int32{}, got.IDs...), "%q", c.Text)
				require.Equal(t, c.Offsets, append([][2]int{}, got.Offsets...), "%q", c.Text)
				if c.Mask != nil {
					require.Equal(t, c.Mask, mask(got.Special), "%q", c.Text)
				}
				ids, err := tok.Encode(c.Text, opt)
				require.NoError(t, err)
				require.Equal(t, got.IDs, ids, "%q", c.Text)
			}
			for _, c := range cases.Pairs {
				got, err := tok.EncodePair(c.Text, c.Pair, EncodeOptions{AddSpecial: c.AddSpecial, ParseSpecial: true})
				require.NoError(t, err)
				require.Equal(t, c.IDs, got.IDs)
				require.Equal(t, c.TypeIDs, got.TypeIDs)
			}
			for _, c := range cases.Decode {
				got, err := tok.Decode(c.IDs, c.SkipSpecial)
				require.NoError(t, err)
				if c.JavaScript != nil && got == *c.JavaScript {
					continue
				}
				require.Equal(t, c.Text, got, "%v partial: %v", c.IDs, c.Partial)
			}
		})
	}
}

func mask(added []bool) []int {
	out := make([]int, len(added))
	for i, a := range added {
		if a {
			out[i] = 1
		}
	}
	return out
}
