package token

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// config builds a tokenizer.json: a byte-level vocabulary of a, b and ab, with
// the given parts replaced.
func config(parts map[string]string) string {
	doc := map[string]string{
		"added_tokens":   `[{"id":3,"content":"<e>","special":true}]`,
		"normalizer":     `null`,
		"pre_tokenizer":  `null`,
		"post_processor": `null`,
		"decoder":        `null`,
		"model":          `{"type":"BPE","vocab":{"a":0,"b":1,"ab":2},"merges":["a b"]}`,
	}
	for k, v := range parts {
		doc[k] = v
	}
	var out []string
	for _, k := range []string{"added_tokens", "normalizer", "pre_tokenizer", "post_processor", "decoder", "model"} {
		out = append(out, fmt.Sprintf("%q:%s", k, doc[k]))
	}
	return "{" + strings.Join(out, ",") + "}"
}

func with(key, value string) string { return config(map[string]string{key: value}) }

func model(fields string) string { return with("model", `{"type":"BPE",`+fields+`}`) }

func TestFromJSON(t *testing.T) {
	tok, err := FromJSON([]byte(config(nil)))
	require.NoError(t, err)
	require.Equal(t, 4, tok.Size())
	ids, err := tok.Encode("aab<e>c", EncodeOptions{ParseSpecial: true})
	require.NoError(t, err)
	require.Equal(t, []int32{0, 2, 3}, ids, "without an unknown token, c is nothing")

	// Old files leave the model's type out.
	_, err = FromJSON([]byte(with("model", `{"vocab":{"a":0},"merges":[]}`)))
	require.NoError(t, err)
	// Escapes and odd spacing in the vocabulary.
	tok, err = FromJSON([]byte(model("\"vocab\" : { \"\\u0061\" :0 , \"\\\"\\\\\":\t1, \"é\":2,\"a\\\"\\\\\":4} , \"merges\":[ [ \"a\" , \"\\\"\\\\\" ] ]")))
	require.NoError(t, err)
	ids, err = tok.Encode("é", EncodeOptions{})
	require.NoError(t, err)
	require.Equal(t, []int32{2}, ids)
	id, ok := tok.ID(`a"\`)
	require.True(t, ok)
	require.EqualValues(t, 4, id)
}

func TestModelOptions(t *testing.T) {
	for _, c := range []struct{ fields, text, want string }{
		{`"vocab":{"a":0,"b":1,"abb":2,"ab":3},"merges":["a b"],"ignore_merges":true`, "abb", "abb"},
		{`"vocab":{"a":0,"b":1,"abb":2,"ab":3},"merges":["a b"]`, "abb", "ab b"},
		{`"vocab":{"a":0,"?":1},"merges":[],"unk_token":"?"`, "axyé", "a ? ? ?"},
		{`"vocab":{"a":0,"?":1},"merges":[],"unk_token":"?","fuse_unk":true`, "axyéa", "a ? a"},
		{`"vocab":{"a":0,"##b":1,"ab":2,"##a":3},"merges":["a ##b"],"continuing_subword_prefix":"##"`, "aba", "ab ##a"},
		{`"vocab":{"a":0,"b</w>":1,"ab</w>":2,"b":3},"merges":["a b</w>"],"end_of_word_suffix":"</w>"`, "bab", "b ab</w>"},
		// The head of a merges.txt is no merge.
		{`"vocab":{"a":0,"b":1,"ab":2},"merges":["#version: 0.2","a b"]`, "ab", "ab"},
		// A rune falls back to bytes where each of its own bytes has a token.
		{`"vocab":{"a":0,"?":1,"<0xC3>":2,"<0xA9>":3},"merges":[],"unk_token":"?","byte_fallback":true`, "aéèa", "a <0xC3> <0xA9> ? a"},
		// The best pair comes first, not the leftmost.
		{`"vocab":{"a":0,"b":1,"c":4,"ab":2,"bc":3},"merges":["b c","a b"]`, "abc", "a bc"},
	} {
		tok, err := FromJSON([]byte(config(map[string]string{"added_tokens": "[]", "model": `{"type":"BPE",` + c.fields + `}`})))
		require.NoError(t, err, c.fields)
		ids, err := tok.Encode(c.text, EncodeOptions{})
		require.NoError(t, err)
		require.Equal(t, c.want, pieces(tok, ids), c.fields)
	}
}

// A file may name an unknown token that it lacks, as long as no text needs it.
func TestLostUnknownToken(t *testing.T) {
	tok, err := FromJSON([]byte(model(`"vocab":{"a":0,"b":1},"merges":[],"unk_token":"?"`)))
	require.NoError(t, err)
	ids, err := tok.Encode("ab", EncodeOptions{})
	require.NoError(t, err)
	require.Equal(t, []int32{0, 1}, ids)
	_, err = tok.Encode("abc", EncodeOptions{})
	require.ErrorContains(t, err, `no token for "c"`)
}

func TestByteFallback(t *testing.T) {
	vocab := `"a":0`
	for b := range 256 {
		vocab += fmt.Sprintf(`,"<0x%02X>":%d`, b, b+10)
	}
	tok, err := FromJSON([]byte(config(map[string]string{
		"model":        `{"type":"BPE","byte_fallback":true,"merges":[],"vocab":{` + vocab + `}}`,
		"added_tokens": "[]",
		"decoder":      `{"type":"Sequence","decoders":[{"type":"ByteFallback"},{"type":"Fuse"}]}`,
	})))
	require.NoError(t, err)
	got, err := tok.EncodeDetailed("aé", EncodeOptions{})
	require.NoError(t, err)
	require.Equal(t, []int32{0, 0xc3 + 10, 0xa9 + 10}, got.IDs)
	require.Equal(t, [][2]int{{0, 1}, {1, 2}, {1, 2}}, got.Offsets)
	requireRoundTrip(t, tok, "a日本😀\x00")
}

func TestRefusedJSON(t *testing.T) {
	deep := strings.Repeat(`{"type":"Sequence","normalizers":[`, 10) + strings.Repeat(`]}`, 10)
	many := `{"type":"Sequence","normalizers":[{"type":"NFC"}` + strings.Repeat(`,{"type":"NFC"}`, 100) + `]}`
	added := func(s string) string { return with("added_tokens", "["+s+"]") }
	for name, c := range map[string]struct{ doc, want string }{
		"empty":                  {"", "JSON"},
		"no object":              {"[]", "array"},
		"null":                   {"null", "no model"},
		"not UTF-8":              {"{\"model\":{\"vocab\":{\"\xff\":1}}}", "not valid UTF-8"},
		"deep JSON":              {strings.Repeat("[", 20000), "depth"},
		"no model":               {`{}`, "no model"},
		"Unigram":                {with("model", `{"type":"Unigram","vocab":[["a",0]],"unk_id":0}`), `"Unigram" is not supported`},
		"old Unigram":            {with("model", `{"vocab":[["a",0]],"unk_id":0}`), `"Unigram" is not supported`},
		"WordPiece":              {with("model", `{"type":"WordPiece","vocab":{}}`), `"WordPiece" is not supported`},
		"empty vocabulary":       {config(map[string]string{"model": `{"type":"BPE","vocab":{},"merges":[]}`, "added_tokens": "[]"}), "empty"},
		"vocabulary is no map":   {model(`"vocab":[1],"merges":[]`), "model.vocab"},
		"no vocabulary":          {model(`"merges":[]`), "model.vocab"},
		"no merges":              {model(`"vocab":{"a":0}`), "model.merges"},
		"huge id":                {model(`"vocab":{"a":1099511627776},"merges":[]`), "out of range"},
		"large id":               {model(`"vocab":{"a":2000000000},"merges":[]`), "out of proportion"},
		"id beyond 64 bits":      {model(`"vocab":{"a":99999999999999999999},"merges":[]`), "not an id"},
		"negative id":            {model(`"vocab":{"a":-1},"merges":[]`), "out of range"},
		"fraction":               {model(`"vocab":{"a":1.5},"merges":[]`), "not an id"},
		"id is text":             {model(`"vocab":{"a":"1"},"merges":[]`), "not an id"},
		"id is an object":        {model(`"vocab":{"a":{"b":1}},"merges":[]`), "not an id"},
		"repeated token":         {model(`"vocab":{"a":0,"\u0061":1},"merges":[]`), `"a" occurs twice`},
		"repeated id":            {model(`"vocab":{"a":0,"b":0},"merges":[]`), "same id 0"},
		"merge of nothing":       {model(`"vocab":{"a":0},"merges":["ab"]`), "two tokens"},
		"merge of three":         {model(`"vocab":{"a":0},"merges":["a b c"]`), "two tokens"},
		"merge pair of three":    {model(`"vocab":{"a":0},"merges":[["a","b","c"]]`), "two tokens"},
		"merge is a number":      {model(`"vocab":{"a":0},"merges":[1]`), "entry 0"},
		"merge of unknown":       {model(`"vocab":{"a":0},"merges":["a z"]`), `"z" is not in the vocabulary`},
		"merge to unknown":       {model(`"vocab":{"a":0,"b":1},"merges":["a b"]`), `"ab"`},
		"bytes with a suffix":    {model(`"vocab":{"a":0,"<0x41>":1},"merges":[],"byte_fallback":true,"end_of_word_suffix":"</w>"`), "byte_fallback together"},
		"added: huge id":         {added(`{"id":1099511627776,"content":"x"}`), "out of range"},
		"added: large id":        {added(`{"id":2000000000,"content":"x"}`), "out of proportion"},
		"added: negative id":     {added(`{"id":-5,"content":"x"}`), "out of range"},
		"added: empty":           {added(`{"id":5,"content":""}`), "empty"},
		"added: other's id":      {added(`{"id":1,"content":"x"}`), `stands for "b"`},
		"added: two ids":         {added(`{"id":7,"content":"a"}`), "0 elsewhere"},
		"added: same id twice":   {added(`{"id":7,"content":"x"},{"id":7,"content":"y"}`), `stands for "x"`},
		"added: too long":        {added(`{"id":7,"content":"` + strings.Repeat("x", maxAddedToken+1) + `"}`), "bytes"},
		"normalizer":             {with("normalizer", `{"type":"Precompiled"}`), `"Precompiled" is not supported`},
		"normalizer type":        {with("normalizer", `{}`), "no type"},
		"normalizer is text":     {with("normalizer", `"NFC"`), "normalizer"},
		"deep steps":             {with("normalizer", deep), "nested"},
		"many steps":             {with("normalizer", many), "64"},
		"pre-tokenizer":          {with("pre_tokenizer", `{"type":"UnicodeScripts"}`), "is not supported"},
		"no pattern":             {with("pre_tokenizer", `{"type":"Split","behavior":"Isolated"}`), "neither a String nor a Regex"},
		"empty pattern":          {with("pre_tokenizer", `{"type":"Split","pattern":{"String":""},"behavior":"Isolated"}`), "empty"},
		"bad pattern":            {with("pre_tokenizer", `{"type":"Split","pattern":{"Regex":"(a"},"behavior":"Isolated"}`), "parenthesis"},
		"huge pattern":           {with("pre_tokenizer", `{"type":"Split","pattern":{"Regex":"`+strings.Repeat("a?", maxPattern)+`"},"behavior":"Isolated"}`), "more than"},
		"bad behavior":           {with("pre_tokenizer", `{"type":"Split","pattern":{"String":"a"},"behavior":"Odd"}`), `"Odd" is unknown`},
		"bad metaspace":          {with("pre_tokenizer", `{"type":"Metaspace","replacement":"ab"}`), "one character"},
		"bad scheme":             {with("pre_tokenizer", `{"type":"Metaspace","replacement":"_","prepend_scheme":"odd"}`), `"odd"`},
		"decoder":                {with("decoder", `{"type":"WordPiece"}`), "is not supported"},
		"decoder pattern":        {with("decoder", `{"type":"Replace","pattern":{"Regex":"a"},"content":""}`), "not supported here"},
		"decoder strip":          {with("decoder", `{"type":"Strip","content":"","start":1,"stop":0}`), "one character"},
		"post-processor":         {with("post_processor", `{"type":"Odd"}`), "is not supported"},
		"template without token": {with("post_processor", `{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"q","type_id":0}}],"pair":[],"special_tokens":{}}`), `"q"`},
		"template of nothing":    {with("post_processor", `{"type":"TemplateProcessing","single":[{}],"pair":[]}`), "neither"},
		"template without text":  {with("post_processor", `{"type":"TemplateProcessing","single":[],"pair":[]}`), "no place for the text"},
		"template with B":        {with("post_processor", `{"type":"TemplateProcessing","single":[{"Sequence":{"id":"B","type_id":0}}],"pair":[]}`), `"B"`},
		"template id":            {with("post_processor", `{"type":"TemplateProcessing","single":[{"Sequence":{"id":"A","type_id":0}},{"SpecialToken":{"id":"q","type_id":0}}],"pair":[],"special_tokens":{"q":{"ids":[77]}}}`), "id 77"},
		"template huge id":       {with("post_processor", `{"type":"TemplateProcessing","single":[{"Sequence":{"id":"A","type_id":0}},{"SpecialToken":{"id":"q","type_id":0}}],"pair":[],"special_tokens":{"q":{"ids":[1099511627776]}}}`), "out of range"},
		"bert id":                {with("post_processor", `{"type":"BertProcessing","sep":["s",77],"cls":["c",0]}`), "id 77"},
		"bert without":           {with("post_processor", `{"type":"BertProcessing"}`), "sep and cls"},
		"two templates": {with("post_processor", `{"type":"Sequence","processors":[{"type":"BertProcessing","sep":["s",0],"cls":["c",0]},
			{"type":"BertProcessing","sep":["s",0],"cls":["c",0]}]}`), "more than one template"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := FromJSON([]byte(c.doc))
			require.ErrorContains(t, err, c.want)
			require.Less(t, len(err.Error()), 400)
		})
	}
}

// What a file claims costs nothing.
func TestLargeIDsCostNothing(t *testing.T) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for _, id := range []string{"1099511627776", "2147483646", "100000000"} {
		_, err := FromJSON([]byte(model(`"vocab":{"a":` + id + `},"merges":[]`)))
		require.Error(t, err)
	}
	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<20))
}

func TestOpenErrors(t *testing.T) {
	dir := t.TempDir()
	_, err := Open(dir)
	require.ErrorIs(t, err, os.ErrNotExist)
	require.ErrorContains(t, err, "tokenizer.json")
	_, err = Open(filepath.Join(dir, "absent"))
	require.ErrorIs(t, err, os.ErrNotExist)

	write := func(name, text string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	write("tokenizer.json", config(nil)[:100])
	_, err = Open(dir)
	require.ErrorContains(t, err, filepath.Join(dir, "tokenizer.json"))
	write("tokenizer.json", config(nil))
	_, err = Open(dir)
	require.NoError(t, err)
	for text, want := range map[string]string{
		`{"bos_token":"<none>"}`:            `bos_token: "<none>"`,
		`{"eos_token":{"content":"<none>"}`: "tokenizer_config.json",
		`{"eos_token":5}`:                   "tokenizer_config.json",
		"{\"eos_token\":\"\xff\"}":          "UTF-8",
	} {
		write("tokenizer_config.json", text)
		_, err = Open(dir)
		require.ErrorContains(t, err, want)
	}
	write("tokenizer_config.json", `{"bos_token":null,"eos_token":{"content":"<e>","special":true}}`)
	tok, err := Open(dir)
	require.NoError(t, err)
	_, ok := tok.BOS()
	require.False(t, ok)
	eos, ok := tok.EOS()
	require.True(t, ok)
	require.EqualValues(t, 3, eos)
}

func FuzzFromJSON(f *testing.F) {
	hello, err := os.ReadFile(filepath.Join("testdata", "hello", "tokenizer.json"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(hello, "Hello <tag> world")
	f.Add([]byte(config(nil)), "ab<e>")
	for key, value := range map[string]string{
		"normalizer":    `{"type":"Sequence","normalizers":[{"type":"NFKC"},{"type":"Replace","pattern":{"Regex":"\\s+(?!a)"},"content":" "},{"type":"Strip","strip_left":true,"strip_right":true}]}`,
		"pre_tokenizer": `{"type":"Sequence","pretokenizers":[{"type":"Split","pattern":{"Regex":"(?i:'s)|\\p{L}++|[^a-c\\d]"},"behavior":"MergedWithNext","invert":true},{"type":"Digits"},{"type":"ByteLevel"}]}`,
		"post_processor": `{"type":"Sequence","processors":[{"type":"ByteLevel"},{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"<e>","type_id":0}},{"Sequence":{"id":"A","type_id":0}}],
			"pair":[{"Sequence":{"id":"A","type_id":0}},{"Sequence":{"id":"B","type_id":1}}],"special_tokens":{"<e>":{"ids":[3]}}}]}`,
		"decoder": `{"type":"Sequence","decoders":[{"type":"Replace","pattern":{"String":"▁"},"content":" "},{"type":"ByteFallback"},{"type":"Fuse"},{"type":"Strip","content":" ","start":1,"stop":0}]}`,
		"model":   `{"type":"BPE","unk_token":"a","fuse_unk":true,"byte_fallback":true,"ignore_merges":true,"continuing_subword_prefix":"b","end_of_word_suffix":"b","vocab":{"a":0,"b":1,"ab":2},"merges":[["a","b"]]}`,
	} {
		f.Add([]byte(with(key, value)), " a b's é")
	}
	f.Add([]byte(config(map[string]string{
		"normalizer":    `{"type":"Sequence","normalizers":[{"type":"NFD"},{"type":"Strip","strip_left":true},{"type":"StripAccents"}]}`,
		"pre_tokenizer": `{"type":"Metaspace","replacement":"a","prepend_scheme":"first"}`,
		"added_tokens":  `[{"id":3,"content":"<e>","rstrip":true},{"id":4,"content":"\t","lstrip":true},{"id":5,"content":"  ","rstrip":true,"normalized":true}]`,
	})), " <e> \t\t a    <e>\t é"+strings.Repeat("\u0301\u0316", 20))
	f.Fuzz(func(t *testing.T, data []byte, text string) {
		tok, err := FromJSON(data)
		if err != nil {
			return
		}
		opt := EncodeOptions{AddSpecial: true, ParseSpecial: true}
		got, err := tok.EncodeDetailed(text, opt)
		if err != nil {
			return
		}
		if len(got.IDs) != len(got.Offsets) || len(got.IDs) != len(got.Special) || len(got.IDs) != len(got.TypeIDs) {
			t.Fatalf("lengths differ: %+v", got)
		}
		points := len([]rune(text))
		for _, o := range got.Offsets {
			if o[0] < 0 || o[1] < o[0] || o[1] > points {
				t.Fatalf("offset %v in %q", o, text)
			}
		}
		ids, err := tok.Encode(text, opt)
		if err != nil || len(ids) != len(got.IDs) {
			t.Fatalf("%v, %v, want %v", ids, err, got.IDs)
		}
		if _, err := tok.Decode(ids, false); err != nil {
			t.Fatal(err)
		}
		streamed(tok, ids, true)
		if _, err := tok.EncodePair(text, "b", opt); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzEncode: with a byte-level vocabulary every text comes back, at once and
// streamed, and the offsets cover it.
func FuzzEncode(f *testing.F) {
	tok := openDemo(f)
	for _, text := range []string{"", " ", "What color is the circle?", "don't'S\r\n  \t1234½", "日本語😀\u200d", "<|user|><|us", "\x00\uFFFD\U0010FFFF", "a\xff"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := tok.EncodeDetailed(text, EncodeOptions{})
		if err != nil {
			if strings.ToValidUTF8(text, "") == text {
				t.Fatal(err)
			}
			return
		}
		back, err := tok.Decode(got.IDs, true)
		if err != nil || back != text {
			t.Fatalf("%q became %q, %v", text, back, err)
		}
		if s := streamed(tok, got.IDs, true); s != text {
			t.Fatalf("%q was streamed as %q", text, s)
		}
		end := 0
		for _, o := range got.Offsets {
			if o[0] > end || o[1] < end {
				t.Fatalf("offsets %v of %q", got.Offsets, text)
			}
			end = o[1]
		}
		// Parsing special tokens changes nothing about the text either.
		ids, err := tok.Encode(text, EncodeOptions{ParseSpecial: true})
		if err != nil {
			t.Fatal(err)
		}
		if back, err := tok.Decode(ids, false); err != nil || back != text {
			t.Fatalf("%q became %q, %v", text, back, err)
		}
	})
}
