package token

import (
	"encoding/binary"
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"github.com/heddle-ml/heddle/internal/shared"
	"github.com/heddle-ml/heddle/models/ckpt/gguf"
	"github.com/stretchr/testify/require"
)

// ggufHeader writes a GGUF file of metadata only. Values are string, bool,
// uint32, []string, []int32 or []float32.
func ggufHeader(t testing.TB, values map[string]any) *gguf.File {
	t.Helper()
	f, err := gguf.Parse(ggufBytes(t, values))
	require.NoError(t, err)
	return f
}

func ggufBytes(t testing.TB, values map[string]any) []byte {
	t.Helper()
	le := binary.LittleEndian
	str := func(b []byte, s string) []byte { return append(le.AppendUint64(b, uint64(len(s))), s...) }
	array := func(b []byte, kind gguf.Kind, n int) []byte {
		b = le.AppendUint32(b, uint32(gguf.KindArray))
		return le.AppendUint64(le.AppendUint32(b, uint32(kind)), uint64(n))
	}
	b := le.AppendUint32([]byte("GGUF"), 3)
	b = le.AppendUint64(le.AppendUint64(b, 0), uint64(len(values)))
	for key, value := range values {
		b = str(b, key)
		switch v := value.(type) {
		case string:
			b = str(le.AppendUint32(b, uint32(gguf.KindString)), v)
		case bool:
			b = append(le.AppendUint32(b, uint32(gguf.KindBool)), map[bool]byte{true: 1}[v])
		case uint32:
			b = le.AppendUint32(le.AppendUint32(b, uint32(gguf.KindUint32)), v)
		case []string:
			b = array(b, gguf.KindString, len(v))
			for _, s := range v {
				b = str(b, s)
			}
		case []int32:
			b = array(b, gguf.KindInt32, len(v))
			for _, i := range v {
				b = le.AppendUint32(b, uint32(i))
			}
		case []float32:
			b = array(b, gguf.KindFloat32, len(v))
			for _, x := range v {
				b = le.AppendUint32(b, math.Float32bits(x))
			}
		default:
			t.Fatalf("a value of type %T", value)
		}
	}
	return b
}

// spm is a SentencePiece-like vocabulary; change overrides and nil removes.
func spm(change map[string]any) map[string]any {
	tokens := []string{"<unk>", "<s>", "</s>"}
	types := []int32{2, 3, 3}
	scores := []float32{0, 0, 0}
	for b := range 256 {
		tokens, types, scores = append(tokens, fmt.Sprintf("<0x%02X>", b)), append(types, 6), append(scores, 0)
	}
	// "ab" is better than "bc", and "abc" can only be made of "ab" and "c".
	for i, s := range []string{"▁", "a", "b", "c", "ab", "bc", "abc", "▁a", "▁abc"} {
		tokens, types, scores = append(tokens, s), append(types, 1), append(scores, -float32(i))
	}
	tokens, types, scores = append(tokens, "<img>", "xy"), append(types, 4, 1), append(scores, 0, -3.5)
	return merged(map[string]any{
		"tokenizer.ggml.model":            "llama",
		"tokenizer.ggml.tokens":           tokens,
		"tokenizer.ggml.token_type":       types,
		"tokenizer.ggml.scores":           scores,
		"tokenizer.ggml.bos_token_id":     uint32(1),
		"tokenizer.ggml.eos_token_id":     uint32(2),
		"tokenizer.ggml.unknown_token_id": uint32(0),
	}, change)
}

// gpt2 is a byte-level vocabulary with two merges.
func gpt2(change map[string]any) map[string]any {
	var tokens []string
	var types []int32
	for _, r := range byteRunes {
		tokens, types = append(tokens, string(r)), append(types, 1)
	}
	tokens = append(tokens, "Ġa", "12", "<|end|>", "é", "123", "Ġab")
	types = append(types, 1, 1, 3, 4, 1, 1)
	return merged(map[string]any{
		"tokenizer.ggml.model":        "gpt2",
		"tokenizer.ggml.pre":          "gpt-2",
		"tokenizer.ggml.tokens":       tokens,
		"tokenizer.ggml.token_type":   types,
		"tokenizer.ggml.merges":       []string{"Ġ a", "1 2"},
		"tokenizer.ggml.eos_token_id": uint32(258),
	}, change)
}

func merged(values, change map[string]any) map[string]any {
	for k, v := range change {
		if v == nil {
			delete(values, k)
		} else {
			values[k] = v
		}
	}
	return values
}

func TestSentencePiece(t *testing.T) {
	tok, err := FromGGUF(ggufHeader(t, spm(nil)))
	require.NoError(t, err)
	for text, want := range map[string]string{
		"":            "",
		"abc":         "▁abc", // ▁a is worse than ab
		"bc":          "▁ bc",
		"aabc":        "▁a abc",
		"abcabc  abc": "▁abc abc ▁ ▁abc",
		"é":           "▁ <0xC3> <0xA9>",
		"xy":          "▁ xy", // though neither x nor y is a token
		"xz":          "▁ <0x78> <0x7A>",
		"<0x41>":      "▁ <0x3C> <0x30> <0x78> <0x34> <0x31> <0x3E>",
		"<img>a":      "<img> ▁a",
		"<s>":         "▁ <0x3C> <0x73> <0x3E>",
	} {
		ids, err := tok.Encode(text, EncodeOptions{})
		require.NoError(t, err)
		require.Equal(t, want, pieces(tok, ids), "%q", text)
		if text != "<img>a" { // the blank after an added token remains
			requireRoundTrip(t, tok, text)
		}
	}
	ids, err := tok.Encode("a<s>", EncodeOptions{AddSpecial: true, ParseSpecial: true})
	require.NoError(t, err)
	require.Equal(t, "<s> ▁a <s>", pieces(tok, ids))
	got, err := tok.EncodeDetailed(" abcé", EncodeOptions{})
	require.NoError(t, err)
	require.Equal(t, "▁ ▁abc <0xC3> <0xA9>", pieces(tok, got.IDs))
	require.Equal(t, [][2]int{{0, 1}, {0, 4}, {4, 5}, {4, 5}}, got.Offsets)

	tok, err = FromGGUF(ggufHeader(t, spm(map[string]any{
		"tokenizer.ggml.add_space_prefix": false,
		"tokenizer.ggml.add_bos_token":    false,
		"tokenizer.ggml.add_eos_token":    true,
	})))
	require.NoError(t, err)
	ids, err = tok.Encode("abc a", EncodeOptions{AddSpecial: true})
	require.NoError(t, err)
	require.Equal(t, "abc ▁a </s>", pieces(tok, ids))
	requireRoundTrip(t, tok, " abc a")
	pair, err := tok.EncodePair("a", "b", EncodeOptions{AddSpecial: true})
	require.NoError(t, err)
	require.Equal(t, "a b </s>", pieces(tok, pair.IDs))
	require.Equal(t, []int32{0, 1, 1}, pair.TypeIDs)
}

func TestByteLevelGGUF(t *testing.T) {
	for pre, want := range map[string]string{
		"gpt-2":          "Ġa b Ġ 12 3",
		"smollm":         "Ġa b Ġ 1 2 3",
		"qwen2":          "Ġa b Ġ 1 2 3",
		"dbrx":           "Ġa b Ġ 12 3",
		"llama-bpe":      "Ġab Ġ 123", // whole pieces come first
		"deepseek-llm":   "Ġa b Ġ 12 3",
		"deepseek-coder": "Ġa b Ġ 1 2 3",
		"default":        "Ġa b Ġ 12 3",
	} {
		change := map[string]any{"tokenizer.ggml.pre": pre}
		if pre == "llama-bpe" {
			change["tokenizer.ggml.bos_token_id"] = uint32(258)
		}
		tok, err := FromGGUF(ggufHeader(t, gpt2(change)))
		require.NoError(t, err, pre)
		ids, err := tok.Encode(" ab 123", EncodeOptions{})
		require.NoError(t, err)
		require.Equal(t, want, pieces(tok, ids), pre)
		requireRoundTrip(t, tok, " ab 123 é\u0301<|end|> 日本\r\n")
	}
	tok, err := FromGGUF(ggufHeader(t, gpt2(map[string]any{"tokenizer.ggml.pre": nil})))
	require.NoError(t, err)
	// User-defined tokens are cut out always, control tokens when asked for.
	ids, err := tok.Encode("é<|end|>", EncodeOptions{})
	require.NoError(t, err)
	require.Equal(t, "é < | e n d | >", pieces(tok, ids))
	ids, err = tok.Encode("é<|end|>", EncodeOptions{ParseSpecial: true, AddSpecial: true})
	require.NoError(t, err)
	require.Equal(t, "é <|end|>", pieces(tok, ids))
	got, err := tok.Decode(ids, true)
	require.NoError(t, err)
	require.Equal(t, "é", got)
	_, ok := tok.BOS()
	require.False(t, ok)
	eos, ok := tok.EOS()
	require.True(t, ok)
	require.EqualValues(t, 258, eos)
}

func TestRefusedGGUF(t *testing.T) {
	const p = "tokenizer.ggml."
	tokens := spm(nil)[p+"tokens"].([]string)
	nan := make([]float32, len(tokens))
	nan[300%len(tokens)] = float32(math.NaN())
	for name, c := range map[string]struct {
		values map[string]any
		want   string
	}{
		"no model":          {spm(map[string]any{p + "model": nil}), "no vocabulary"},
		"no vocabulary":     {spm(map[string]any{p + "model": "no_vocab"}), "no vocabulary"},
		"other model":       {spm(map[string]any{p + "model": "t5"}), `"t5" is not supported`},
		"model is a number": {spm(map[string]any{p + "model": uint32(1)}), p + "model"},
		"no tokens":         {spm(map[string]any{p + "tokens": nil}), p + "tokens"},
		"empty tokens":      {spm(map[string]any{p + "tokens": []string{}}), "0 entries"},
		"few types":         {spm(map[string]any{p + "token_type": []int32{1}}), p + "token_type has 1 entries"},
		"no scores":         {spm(map[string]any{p + "scores": nil}), p + "scores"},
		"few scores":        {spm(map[string]any{p + "scores": []float32{1}}), p + "scores has 1 entries"},
		"a score of NaN":    {spm(map[string]any{p + "scores": nan}), "not a number"},
		"bos out of range":  {spm(map[string]any{p + "bos_token_id": uint32(5000)}), p + "bos_token_id is 5000"},
		"unk out of range":  {spm(map[string]any{p + "unknown_token_id": uint32(5000)}), p + "unknown_token_id"},
		"no bos":            {gpt2(map[string]any{p + "add_bos_token": true}), p + "bos_token_id is missing"},
		"no eos":            {gpt2(map[string]any{p + "add_eos_token": true, p + "eos_token_id": uint32(math.MaxUint32)}), p + "eos_token_id is missing"},
		"other scheme":      {gpt2(map[string]any{p + "pre": "odd"}), `"odd" is not supported`},
		"no merges":         {gpt2(map[string]any{p + "merges": nil}), p + "merges"},
		"odd merge":         {gpt2(map[string]any{p + "merges": []string{"ab"}}), "entry 0"},
		"unknown merge":     {gpt2(map[string]any{p + "merges": []string{"a zz"}}), `"zz"`},
		"long added token":  {gpt2(map[string]any{p + "tokens": []string{strings.Repeat("x", 5000)}, p + "token_type": []int32{3}, p + "merges": []string{}, p + "eos_token_id": nil}), "bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := FromGGUF(ggufHeader(t, c.values))
			require.ErrorContains(t, err, c.want)
			if strings.HasPrefix(name, "no model") || name == "no vocabulary" {
				require.ErrorIs(t, err, ErrNoVocabulary)
			}
		})
	}
}

// Model files with and without a vocabulary.
func TestModelFiles(t *testing.T) {
	dir := shared.Golden(t, "gguf_models")
	tok := openGGUF(t, filepath.Join(dir, "llama_256_q4_k_m.gguf"))
	require.Equal(t, 288, tok.Size())
	requireRoundTrip(t, tok, " Some text, as it comes: é 日本 😀\n")
	bos, ok := tok.BOS()
	require.True(t, ok)
	require.EqualValues(t, 1, bos)

	for _, name := range []string{"llama_tiny_f32.gguf", "mmproj_mlp_f16.gguf"} {
		f, err := gguf.Open(filepath.Join(dir, name))
		require.NoError(t, err)
		_, err = FromGGUF(f)
		require.ErrorIs(t, err, ErrNoVocabulary)
		require.ErrorContains(t, err, name)
		require.NoError(t, f.Close())
	}
}

// FuzzFromGGUF: whatever vocabulary a file claims to have, building it and
// encoding with it ends.
func FuzzFromGGUF(f *testing.F) {
	f.Add(ggufBytes(f, spm(nil)), "abc <img>é")
	f.Add(ggufBytes(f, gpt2(nil)), " ab 123 é<|end|>")
	f.Add(ggufBytes(f, gpt2(map[string]any{"tokenizer.ggml.pre": "deepseek-v3"})), "a  b")
	f.Fuzz(func(t *testing.T, data []byte, text string) {
		file, err := gguf.Parse(data)
		if err != nil {
			return
		}
		tok, err := FromGGUF(file)
		if err != nil {
			return
		}
		got, err := tok.EncodeDetailed(text, EncodeOptions{AddSpecial: true, ParseSpecial: true})
		if err != nil {
			return
		}
		if _, err := tok.Decode(got.IDs, false); err != nil {
			t.Fatal(err)
		}
		streamed(tok, got.IDs, true)
	})
}
