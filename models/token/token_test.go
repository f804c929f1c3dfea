package token

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/heddle-ml/heddle/internal/shared"
	"github.com/stretchr/testify/require"
)

func openDemo(t testing.TB) *Tokenizer {
	t.Helper()
	tok, err := Open(filepath.Join(shared.Root(), "models", "demo"))
	require.NoError(t, err)
	return tok
}

func openHello(t testing.TB) *Tokenizer {
	t.Helper()
	tok, err := Open(filepath.Join("testdata", "hello"))
	require.NoError(t, err)
	return tok
}

// The demo model's prompts and answers, as its training script made them.
func TestDemo(t *testing.T) {
	tok := openDemo(t)
	require.Equal(t, 512, tok.Size())
	_, ok := tok.BOS()
	require.False(t, ok)
	eos, ok := tok.EOS()
	require.True(t, ok)
	require.EqualValues(t, 511, eos)

	var golden []struct {
		Question, Answer string
		Prompt           []int32 `json:"prompt_ids"`
		AnswerIDs        []int32 `json:"answer_ids"`
	}
	data, err := os.ReadFile(filepath.Join(shared.Root(), "models", "demo", "golden", "golden.json"))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(data, &golden))
	require.NotEmpty(t, golden)
	for _, g := range golden {
		prompt, err := tok.Decode(g.Prompt, false)
		require.NoError(t, err)
		require.True(t, strings.HasSuffix(prompt, "<|user|>"+g.Question+"<|assistant|>"), prompt)
		ids, err := tok.Encode(prompt, EncodeOptions{ParseSpecial: true})
		require.NoError(t, err)
		require.Equal(t, g.Prompt, ids)

		answer, err := tok.Decode(g.AnswerIDs, true)
		require.NoError(t, err)
		require.Equal(t, g.Answer, answer)
		ids, err = tok.Encode(g.Answer+"<|end|>", EncodeOptions{ParseSpecial: true})
		require.NoError(t, err)
		require.Equal(t, g.AnswerIDs, ids)

		// From an untrusted question no special token comes.
		ids, err = tok.Encode(prompt, EncodeOptions{})
		require.NoError(t, err)
		for _, id := range ids {
			require.False(t, tok.IsSpecial(id))
		}
	}
}

// testdata/hello is a small vocabulary written by hand; the ids and offsets
// here were worked out by hand as well.
func TestHello(t *testing.T) {
	tok := openHello(t)
	bos, _ := tok.BOS()
	eos, _ := tok.EOS()
	require.EqualValues(t, []int32{1, 2}, []int32{bos, eos})
	for _, c := range []struct {
		text    string
		opt     EncodeOptions
		pieces  string // separated by blanks
		offsets [][2]int
	}{
		{"", EncodeOptions{}, "", [][2]int{}},
		{"", EncodeOptions{AddSpecial: true}, "<s>", [][2]int{{0, 0}}},
		{"Hello, world", EncodeOptions{}, "▁hello , ▁world", [][2]int{{0, 5}, {5, 6}, {6, 12}}},
		{"Hello, world", EncodeOptions{AddSpecial: true}, "<s> ▁hello , ▁world", [][2]int{{0, 0}, {0, 5}, {5, 6}, {6, 12}}},
		{" hello", EncodeOptions{}, "▁hello", [][2]int{{0, 6}}},
		{"hello  ab", EncodeOptions{}, "▁hello ▁ ▁a b", [][2]int{{0, 5}, {5, 6}, {6, 8}, {8, 9}}},
		// Unknown runes in a row are one token; é is one code point.
		{"aéзb", EncodeOptions{}, "▁a <unk> b", [][2]int{{0, 1}, {1, 3}, {3, 4}}},
		// Special tokens are text unless they are asked for. The text's first
		// fragment alone gets a blank in front.
		{"a</s>b", EncodeOptions{ParseSpecial: true}, "▁a </s> b", [][2]int{{0, 1}, {1, 5}, {5, 6}}},
		{"a</s>b", EncodeOptions{}, "▁a <unk> b", [][2]int{{0, 1}, {1, 5}, {5, 6}}},
		// <tag> takes the blanks around it along, and the longer <tag>x wins.
		{"a  <tag> \n b", EncodeOptions{}, "▁a <tag> b", [][2]int{{0, 1}, {1, 11}, {11, 12}}},
		{"a <tag>x", EncodeOptions{}, "▁a ▁ <tag>x", [][2]int{{0, 1}, {1, 2}, {2, 8}}},
		{"<tag>  <tag>", EncodeOptions{}, "<tag> <tag>", [][2]int{{0, 7}, {7, 12}}},
		// cab is looked for in the lower-cased text, between word boundaries.
		{"CAB,cab cabb", EncodeOptions{}, "cab , cab ▁ c ab b", [][2]int{{0, 3}, {3, 4}, {4, 7}, {7, 8}, {8, 9}, {9, 11}, {11, 12}}},
	} {
		got, err := tok.EncodeDetailed(c.text, c.opt)
		require.NoError(t, err)
		require.Equal(t, c.pieces, pieces(tok, got.IDs), "%q", c.text)
		require.Equal(t, c.offsets, append([][2]int{}, got.Offsets...), "%q", c.text)
	}

	pair, err := tok.EncodePair("hello", "ab", EncodeOptions{AddSpecial: true})
	require.NoError(t, err)
	require.Equal(t, "<s> ▁hello </s> ▁a b </s>", pieces(tok, pair.IDs))
	require.Equal(t, []int32{0, 0, 0, 1, 1, 1}, pair.TypeIDs)
	require.Equal(t, []int{1, 0, 1, 0, 0, 1}, mask(pair.Special))
	pair, err = tok.EncodePair("hello", "ab", EncodeOptions{})
	require.NoError(t, err)
	require.Equal(t, []int32{0, 1, 1}, pair.TypeIDs)

	for text, want := range map[string]string{
		"hello, world.": "hello, world.",
		"  ab":          " ab", // one blank counts as the one that was put there
	} {
		ids, err := tok.Encode(text, EncodeOptions{AddSpecial: true})
		require.NoError(t, err)
		got, err := tok.Decode(ids, true)
		require.NoError(t, err)
		require.Equal(t, want, got)
		require.Equal(t, want, streamed(tok, ids, true))
	}
}

func pieces(tok *Tokenizer, ids []int32) string {
	var out []string
	for _, id := range ids {
		p, _ := tok.Piece(id)
		out = append(out, p)
	}
	return strings.Join(out, " ")
}

func TestLookup(t *testing.T) {
	tok := openDemo(t)
	id, ok := tok.ID("<|patch|>")
	require.True(t, ok)
	require.EqualValues(t, 508, id)
	require.True(t, tok.IsSpecial(id))
	id, ok = tok.ID("Ġthe")
	require.True(t, ok)
	piece, ok := tok.Piece(id)
	require.True(t, ok)
	require.Equal(t, "Ġthe", piece)
	require.False(t, tok.IsSpecial(id))
	_, ok = tok.ID("no such token")
	require.False(t, ok)
	for _, id := range []int32{-1, 512, 1 << 30} {
		_, ok = tok.Piece(id)
		require.False(t, ok)
		require.False(t, tok.IsSpecial(id))
		_, err := tok.Decode([]int32{5, id}, false)
		require.ErrorContains(t, err, "not in the vocabulary")
		require.Empty(t, tok.NewStream(false).Next(id))
	}
}

func TestRefusedTexts(t *testing.T) {
	tok := openDemo(t)
	_, err := tok.Encode("ab\xffc", EncodeOptions{})
	require.ErrorContains(t, err, "not valid UTF-8 at byte 2")
	_, err = tok.Encode(strings.Repeat("a", maxText+1), EncodeOptions{})
	require.ErrorContains(t, err, "too long")
	_, err = tok.EncodePair("a", "\xff", EncodeOptions{})
	require.ErrorContains(t, err, "second text")
}

// Encoding is close to linear in the text, also where one piece is all of it.
func TestLongTexts(t *testing.T) {
	demo, hello := openDemo(t), openHello(t)
	const n = 200 << 10
	for name, text := range map[string]string{
		"one letter":     strings.Repeat("a", n),
		"blanks":         strings.Repeat(" ", n) + "x",
		"line ends":      strings.Repeat("\n ", n/2) + "x",
		"marks":          strings.Repeat("!", n),
		"combining":      "e" + strings.Repeat("\u0301\u0316", n/4),
		"digits":         strings.Repeat("7", n),
		"merging":        strings.Repeat("he", n/2),
		"words":          strings.Repeat("What color is the circle? ", n/26),
		"half a special": strings.Repeat("<|", n/2),
	} {
		for tokName, tok := range map[string]*Tokenizer{"demo": demo, "hello": hello} {
			start := time.Now()
			ids, err := tok.Encode(text, EncodeOptions{ParseSpecial: true})
			require.NoError(t, err, name)
			require.Less(t, time.Since(start), 15*time.Second, "%s, %s", name, tokName)
			if tokName == "demo" {
				got, err := tok.Decode(ids, false)
				require.NoError(t, err)
				require.True(t, text == got, name)
			}
		}
	}
}

// The queue joins the same pairs as the textbook's repeated search for the best
// pair.
func TestJoinOrder(t *testing.T) {
	tok := openDemo(t)
	m := tok.model
	naive := func(text string) []int32 {
		var ids []int32
		for _, r := range text {
			ids = append(ids, m.vocab[string(r)])
		}
		for {
			best, at := merge{rank: 1 << 31}, -1
			for i := 0; i+1 < len(ids); i++ {
				if got, ok := m.merges[pair{ids[i], ids[i+1]}]; ok && got.rank < best.rank {
					best, at = got, i
				}
			}
			if at < 0 {
				return ids
			}
			ids = append(append(append([]int32(nil), ids[:at]...), best.id), ids[at+2:]...)
		}
	}
	rng := rand.New(rand.NewPCG(1, 2))
	words := []string{"he", "Ġt", "re", "Ġbackground", "Ġthe", "ri", "ng", "Ġc", "ir", "cle", "s", "es", "Ġ", "a", "ck", "W", "hat"}
	for range 3000 {
		var b strings.Builder
		for range rng.IntN(12) {
			b.WriteString(words[rng.IntN(len(words))])
		}
		var got []int32
		for _, p := range m.encode(nil, b.String()) {
			got = append(got, p.id)
		}
		require.Equal(t, naive(b.String()), got, b.String())
	}
}

func TestConcurrentUse(t *testing.T) {
	tok := openDemo(t)
	text := "What color is the circle? <|user|> How many shapes are there?\n"
	want, err := tok.Encode(text, EncodeOptions{})
	require.NoError(t, err)
	fresh := openDemo(t) // with an empty cache
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				got, err := fresh.Encode(text, EncodeOptions{})
				if err != nil || len(got) != len(want) {
					t.Errorf("%v, %v", got, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestWordCacheIsBounded(t *testing.T) {
	tok := openDemo(t)
	var b strings.Builder
	for i := range 3 * cachedWords {
		b.WriteString(" x")
		for k := i; k > 0; k /= 26 {
			b.WriteByte(byte('a' + k%26))
		}
	}
	_, err := tok.Encode(b.String(), EncodeOptions{})
	require.NoError(t, err)
	require.LessOrEqual(t, len(tok.model.words.words), cachedWords)
	require.True(t, tok.model.words.full.Load())
}

func TestStream(t *testing.T) {
	tok := openDemo(t)
	text := "a 😀é\u0301 日本語 \U0001F469\u200d\U0001F469"
	ids, err := tok.Encode(text, EncodeOptions{})
	require.NoError(t, err)
	s := tok.NewStream(true)
	var got strings.Builder
	for _, id := range ids {
		part := s.Next(id)
		require.NotContains(t, part, "\uFFFD")
		got.WriteString(part)
	}
	require.Empty(t, s.Flush())
	require.Equal(t, text, got.String())

	// A sequence that breaks off is shown as soon as that is certain.
	emoji, err := tok.Encode("😀", EncodeOptions{})
	require.NoError(t, err)
	require.Len(t, emoji, 4)
	letter, _ := tok.ID("x")
	require.Empty(t, s.Next(emoji[0]))
	require.Empty(t, s.Next(emoji[1]))
	require.Equal(t, "\uFFFDx", s.Next(letter))
	require.Empty(t, s.Next(emoji[0]))
	require.Equal(t, "\uFFFD", s.Flush())
	require.Empty(t, s.Flush())
	require.Equal(t, "\uFFFD", s.Next(emoji[3]), "a byte that begins nothing")

	// Special tokens are skipped or shown.
	user, _ := tok.ID("<|user|>")
	require.Empty(t, tok.NewStream(true).Next(user))
	require.Equal(t, "<|user|>", tok.NewStream(false).Next(user))
}

// A token without text, in the middle, does not make the next one the first.
func TestStreamOfEmptyToken(t *testing.T) {
	for _, decoder := range []string{`null`, `{"type":"Metaspace","replacement":"▁"}`, `{"type":"BPEDecoder","suffix":"/"}`} {
		tok, err := FromJSON([]byte(config(map[string]string{
			"model":   `{"type":"BPE","vocab":{"▁a":0,"b/":1,"":2},"merges":[]}`,
			"decoder": decoder,
		})))
		require.NoError(t, err)
		for _, ids := range [][]int32{{0, 2, 0}, {2, 0, 0}, {1, 2, 2, 2, 0, 2, 1}} {
			want, err := tok.Decode(ids, false)
			require.NoError(t, err)
			require.Equal(t, want, streamed(tok, ids, false), "%s %v", decoder, ids)
		}
	}
}

// Streams and Decode agree on whatever tokens a model may give.
func TestStreamEqualsDecode(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for name, tok := range map[string]*Tokenizer{"demo": openDemo(t), "hello": openHello(t)} {
		for range 500 {
			ids := make([]int32, rng.IntN(20))
			for i := range ids {
				ids[i] = rng.Int32N(int32(tok.Size()))
			}
			want, err := tok.Decode(ids, true)
			require.NoError(t, err)
			require.Equal(t, want, streamed(tok, ids, true), "%s %v", name, ids)
		}
	}
}
