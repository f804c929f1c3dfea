package token

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// show writes fragments with where each byte range comes from, in bytes of
// the original.
func show(frags []fragment) string {
	var out []string
	for _, f := range frags {
		at := f.original(0, int32(len(f.text)))
		out = append(out, fmt.Sprintf("%s@%d-%d", f.text, at.start, at.end))
	}
	return strings.Join(out, " ")
}

func TestNormalizers(t *testing.T) {
	for _, c := range []struct{ config, in, want, origins string }{
		{`{"type":"NFC"}`, "e\u0301a", "éa", "0-1 0-1 3-4"},
		{`{"type":"NFC"}`, "a\u0316\u0301b", "á\u0316b", "0-1 0-1 3-5 3-5 5-6"},
		{`{"type":"NFC"}`, "\u1100\u1161\u11a8", "각", "0-3 0-3 0-3"},
		{`{"type":"NFC"}`, "\u212b", "Å", "0-3 0-3"},
		{`{"type":"NFD"}`, "éa", "e\u0301a", "0-2 0-2 0-2 2-3"},
		{`{"type":"NFD"}`, "ệ", "e\u0323\u0302", "0-3 0-3 0-3 0-3 0-3"},
		{`{"type":"NFKC"}`, "ﬁx", "fix", "0-3 0-3 3-4"},
		{`{"type":"NFKD"}`, "½é", "1⁄2e\u0301", "0-2 0-2 0-2 0-2 0-2 2-4 2-4 2-4"},
		{`{"type":"Lowercase"}`, "AİΣ", "ai\u0307σ", "0-1 1-3 1-3 1-3 3-5 3-5"},
		{`{"type":"Prepend","prepend":"▁"}`, "ab", "▁ab", "0-1 0-1 0-1 0-1 1-2"},
		{`{"type":"Prepend","prepend":"▁"}`, "", "", ""},
		{`{"type":"Replace","pattern":{"String":"ab"},"content":"xyz"}`, "cabab", "cxyzxyz", "0-1 2-3 2-3 2-3 4-5 4-5 4-5"},
		{`{"type":"Replace","pattern":{"Regex":"a+"},"content":""}`, "baac", "bc", "0-1 3-4"},
		{`{"type":"Replace","pattern":{"Regex":" {2,}"},"content":"$0"}`, "a   b", "a$0b", "0-1 3-4 3-4 4-5"},
		{`{"type":"Strip","strip_left":true,"strip_right":true}`, " \u3000a b\n", "a b", "4-5 5-6 6-7"},
		{`{"type":"Strip","strip_left":false,"strip_right":true}`, " a ", " a", "0-1 1-2"},
		{`{"type":"Strip","strip_left":true,"strip_right":true}`, "  ", "", ""},
		{`{"type":"StripAccents"}`, "a\u0301b", "ab", "0-1 3-4"},
		{`{"type":"StripAccents"}`, "1\ufe0f\u20e3\u093f", "1", "0-1"}, // also what encloses or takes space
		{`{"type":"Replace","pattern":{"Regex":"x*"},"content":"-"}`, "axb", "-a-b-", "0-0 0-1 1-2 2-3 2-3"},
		{`{"type":"Sequence","normalizers":[{"type":"Strip","strip_left":true},{"type":"Replace","pattern":{"Regex":"^"},"content":"-"}]}`, " ", "", ""},
		{`{"type":"ByteLevel"}`, "é ", "Ã©Ġ", "0-2 0-2 0-2 0-2 2-3 2-3"},
		{`{"type":"Sequence","normalizers":[{"type":"NFD"},{"type":"StripAccents"},{"type":"Lowercase"}]}`, "ÉA", "ea", "0-2 2-3"},
		{`{"type":"Sequence","normalizers":[]}`, "x", "x", "0-1"},
	} {
		n, err := parseNormalizer(json.RawMessage(c.config), new(steps))
		require.NoError(t, err, c.config)
		got, err := n.normalize(newFragment(c.in, true), newLimit(100))
		require.NoError(t, err, c.config)
		require.Equal(t, c.want, got.text, c.config)
		require.Len(t, got.spans, len(got.text), c.config)
		var origins []string
		for _, s := range got.spans {
			origins = append(origins, fmt.Sprintf("%d-%d", s.start, s.end))
		}
		require.Equal(t, c.origins, strings.Join(origins, " "), c.config)
		plain, err := normalizeString(n, c.in)
		require.NoError(t, err)
		require.Equal(t, c.want, plain, c.config)
	}
}

// Runs of combining marks of any length are put into order, and nothing is
// added to them, with and without offsets.
func TestManyMarks(t *testing.T) {
	below := strings.Repeat("\u0316", 40)
	for _, c := range []struct {
		form     form
		in, want string
	}{
		{formC, "a" + below + "\u0301b", "á" + below + "b"},
		{formD, "á" + below + "\u0301b", "a" + below + "\u0301\u0301b"},
		{formC, "e\u0301" + strings.Repeat("\u0316\u0301", 20), "é" + strings.Repeat("\u0316", 20) + strings.Repeat("\u0301", 20)},
		{formKD, "ﬁ" + strings.Repeat("\u0301\u0316", 20), "fi" + strings.Repeat("\u0316", 20) + strings.Repeat("\u0301", 20)},
		{formC, strings.Repeat("\u0301", 70) + "e\u0301", strings.Repeat("\u0301", 70) + "é"},
		{formC, "가" + strings.Repeat("\u11a8", 40), "각" + strings.Repeat("\u11a8", 39)},
		{formC, "a\u034f" + strings.Repeat("\u0301", 31) + "e\u0301", "a\u034f" + strings.Repeat("\u0301", 31) + "é"},
	} {
		for _, offsets := range []bool{false, true} {
			got, err := c.form.normalize(newFragment(c.in, offsets), newLimit(100))
			require.NoError(t, err)
			require.Equal(t, c.want, got.text, "offsets %v", offsets)
		}
	}
}

func TestPreTokenizers(t *testing.T) {
	split := func(pattern, behavior string, invert bool) string {
		return fmt.Sprintf(`{"type":"Split","pattern":%s,"behavior":%q,"invert":%v}`, pattern, behavior, invert)
	}
	dash := `{"String":"-"}`
	for _, c := range []struct{ config, in, want string }{
		// The example of the reference's documentation, each behavior.
		{split(dash, "Removed", false), "the-final--countdown", "the@0-3 final@4-9 countdown@11-20"},
		{split(dash, "Isolated", false), "the-final--countdown", "the@0-3 -@3-4 final@4-9 -@9-10 -@10-11 countdown@11-20"},
		{split(dash, "MergedWithPrevious", false), "the-final--countdown", "the-@0-4 final-@4-10 -@10-11 countdown@11-20"},
		{split(dash, "MergedWithNext", false), "the-final--countdown", "the@0-3 -final@3-9 -@9-10 -countdown@10-20"},
		{split(dash, "Contiguous", false), "the-final--countdown", "the@0-3 -@3-4 final@4-9 --@9-11 countdown@11-20"},
		{split(dash, "MergedWithNext", false), "-a-", "-a@0-2 -@2-3"},
		{split(dash, "MergedWithPrevious", false), "-a-", "-@0-1 a-@1-3"},
		{split(`{"Regex":"\\w+"}`, "Removed", true), "ab, cd", "ab@0-2 cd@4-6"},
		{split(`{"Regex":"\\d"}`, "Isolated", false), "a12", "a@0-1 1@1-2 2@2-3"},
		{`{"type":"Digits","individual_digits":true}`, "a1½", "a@0-1 1@1-2 ½@2-4"},
		{`{"type":"Digits","individual_digits":false}`, "a1½b", "a@0-1 1½@1-4 b@4-5"},
		{`{"type":"Punctuation"}`, "a,b—$c", "a@0-1 ,@1-2 b@2-3 —@3-6 $@6-7 c@7-8"},
		{`{"type":"Punctuation","behavior":"Removed"}`, "a,b", "a@0-1 b@2-3"},
		{`{"type":"Whitespace"}`, "How_are you-doing?", "How_are@0-7 you@8-11 -@11-12 doing@12-17 ?@17-18"},
		{`{"type":"WhitespaceSplit"}`, " a,  b\u3000", "a,@1-3 b@5-6"},
		{`{"type":"BertPreTokenizer"}`, "Hey you!", "Hey@0-3 you@4-7 !@7-8"},
		{`{"type":"CharDelimiterSplit","delimiter":"/"}`, "a/b", "a@0-1 b@2-3"},
		{`{"type":"Metaspace","replacement":"▁","add_prefix_space":true}`, "Hey  friend", "▁Hey@0-3 ▁@3-4 ▁friend@4-11"},
		{`{"type":"Metaspace","replacement":"▁","prepend_scheme":"never"}`, "Hey you", "Hey@0-3 ▁you@3-7"},
		{`{"type":"Metaspace","replacement":"▁","prepend_scheme":"always","split":false}`, " Hey you", "▁Hey▁you@0-8"},
		{`{"type":"ByteLevel","add_prefix_space":false}`, "don't é\n", "don@0-3 't@3-5 ĠÃ©@5-8 Ċ@8-9"},
		{`{"type":"ByteLevel","use_regex":false}`, "a b", "ĠaĠb@0-3"},
		{`{"type":"ByteLevel","add_prefix_space":true}`, " a", "Ġa@0-2"},
		{`{"type":"Sequence","pretokenizers":[{"type":"WhitespaceSplit"},{"type":"Digits"}]}`, "a1 2", "a@0-1 1@1-2 2@3-4"},
	} {
		p, err := parsePreTokenizer(json.RawMessage(c.config), new(steps))
		require.NoError(t, err, c.config)
		got, err := p.split([]fragment{newFragment(c.in, true)}, newLimit(100))
		require.NoError(t, err, c.config)
		require.Equal(t, c.want, show(got), c.config)
		// Without offsets the pieces are the same, and added tokens pass through.
		added := newFragment("a 1-", false)
		added.id = 7
		plain, err := p.split([]fragment{added, newFragment(c.in, false)}, newLimit(100))
		require.NoError(t, err)
		require.Equal(t, added, plain[0], c.config)
		for i, f := range plain[1:] {
			if !strings.Contains(c.config, "Metaspace") || i > 0 {
				require.Equal(t, got[i].text, f.text, c.config)
			}
		}
	}
}

func TestMetaspaceFirst(t *testing.T) {
	p := metaspace{replacement: "▁", prepend: prependFirst, pieces: true}
	whole := newFragment("ab", false)
	frags, err := p.split([]fragment{whole.slice(0, 1), whole.slice(1, 2)}, newLimit(10))
	require.NoError(t, err)
	require.Equal(t, []string{"▁a", "b"}, []string{frags[0].text, frags[1].text})
}

// "first" is about where the text comes from, not about which piece is first.
func TestMetaspaceFirstAfterNormalizer(t *testing.T) {
	tok := func(normalizer, pre string) *Tokenizer {
		tok, err := FromJSON([]byte(config(map[string]string{
			"added_tokens": "[]", "normalizer": normalizer, "pre_tokenizer": pre,
			"model": `{"type":"BPE","vocab":{"_":0,"a":1,"1":2,"2":3,"⁄":4},"merges":[]}`,
		})))
		require.NoError(t, err)
		return tok
	}
	meta := `{"type":"Metaspace","replacement":"_","prepend_scheme":"first"}`
	digits := `{"type":"Sequence","pretokenizers":[{"type":"Digits","individual_digits":true},` + meta + `]}`
	for _, c := range []struct{ normalizer, pre, text, want string }{
		{"null", meta, "aa", "_ a a"},
		{"null", digits, "a1", "_ a 1"},
		{`{"type":"Strip","strip_left":true,"strip_right":true}`, meta, "aa ", "_ a a"},
		{`{"type":"Strip","strip_left":true,"strip_right":true}`, meta, " aa", "a a"},
		{`{"type":"NFKC"}`, digits, "½", "_ 1 _ ⁄ _ 2"}, // all three come from one rune
	} {
		tok := tok(c.normalizer, c.pre)
		ids, err := tok.Encode(c.text, EncodeOptions{})
		require.NoError(t, err)
		require.Equal(t, c.want, pieces(tok, ids), "%q", c.text)
		got, err := tok.EncodeDetailed(c.text, EncodeOptions{})
		require.NoError(t, err)
		require.Equal(t, ids, got.IDs)
	}
}

// Added tokens of blanks are found among those that the token before took along.
func TestAddedTokensOfBlanks(t *testing.T) {
	tok, err := FromJSON([]byte(with("added_tokens", `[
		{"id":3,"content":"<e>","rstrip":true,"special":true},{"id":4,"content":"\n"},{"id":5,"content":"  ","rstrip":true},
		{"id":6,"content":"\t","lstrip":true},{"id":7,"content":"\f","lstrip":true,"rstrip":true}]`)))
	require.NoError(t, err)
	for text, want := range map[string]struct {
		ids     []int32
		offsets [][2]int
	}{
		"<e> \na": {[]int32{3, 4, 0}, [][2]int{{0, 5}, {4, 5}, {5, 6}}},
		"a    b":  {[]int32{0, 5, 5, 1}, [][2]int{{0, 1}, {1, 5}, {3, 5}, {5, 6}}},
		"<e>  a":  {[]int32{3, 5, 0}, [][2]int{{0, 5}, {3, 5}, {5, 6}}},
		// One that takes the blanks before it along has none of its own left.
		"<e>\t\ta": {[]int32{3, 0}, [][2]int{{0, 5}, {5, 6}}},
		"\f\f a":   {[]int32{7, 0}, [][2]int{{0, 3}, {3, 4}}},
		"a \t\tb":  {[]int32{0, 6, 6, 1}, [][2]int{{0, 1}, {1, 3}, {3, 4}, {4, 5}}},
	} {
		got, err := tok.EncodeDetailed(text, EncodeOptions{ParseSpecial: true})
		require.NoError(t, err)
		require.Equal(t, want.ids, got.IDs, "%q", text)
		require.Equal(t, want.offsets, got.Offsets, "%q", text)
	}
}

func TestOffsetTrimmer(t *testing.T) {
	for _, c := range []struct {
		piece  string
		prefix bool
		i      int
		in     [2]int
		want   [2]int
	}{
		{"Ġa", true, 0, [2]int{0, 2}, [2]int{0, 2}}, // may have been added
		{"Ġa", false, 0, [2]int{0, 2}, [2]int{1, 2}},
		{"ĠĠa", true, 0, [2]int{0, 3}, [2]int{2, 3}}, // two were not
		{"Ġa", true, 1, [2]int{4, 6}, [2]int{5, 6}},
		{"ĠĠ", true, 1, [2]int{4, 6}, [2]int{6, 6}},
		{"aĠĠ", true, 1, [2]int{4, 7}, [2]int{4, 5}},
	} {
		s := sequence{offsets: [][2]int{{9, 9}, {9, 9}}, pieces: []string{"", ""}}
		s.offsets[c.i], s.pieces[c.i] = c.in, c.piece
		offsetTrimmer{c.prefix}.process([]sequence{s}, true)
		require.Equal(t, c.want, s.offsets[c.i], "%+v", c)
	}
}

func TestPostProcessors(t *testing.T) {
	one := func(ids ...int32) sequence {
		s := sequence{ids: ids, types: make([]int32, len(ids)), added: make([]bool, len(ids)), offsets: [][2]int{}, pieces: []string{}}
		for range ids {
			s.offsets = append(s.offsets, [2]int{1, 9})
			s.pieces = append(s.pieces, "ĠaĠ")
		}
		return s
	}
	for _, c := range []struct {
		config  string
		seqs    []sequence
		special bool
		ids     []int32
		types   []int32
		at      [2]int // of the first token that is not added
	}{
		{`{"type":"BertProcessing","sep":["[SEP]",102],"cls":["[CLS]",101]}`, []sequence{one(5), one(6)}, true,
			[]int32{101, 5, 102, 6, 102}, []int32{0, 0, 0, 1, 1}, [2]int{1, 9}},
		{`{"type":"BertProcessing","sep":["[SEP]",102],"cls":["[CLS]",101]}`, []sequence{one(5)}, false, []int32{5}, []int32{0}, [2]int{1, 9}},
		{`{"type":"RobertaProcessing","sep":["</s>",2],"cls":["<s>",0],"trim_offsets":true,"add_prefix_space":false}`, []sequence{one(5), one(6)}, true,
			[]int32{0, 5, 2, 2, 6, 2}, []int32{0, 0, 0, 0, 0, 0}, [2]int{2, 8}},
		{`{"type":"ByteLevel","trim_offsets":true,"add_prefix_space":true}`, []sequence{one(5)}, true, []int32{5}, []int32{0}, [2]int{1, 8}},
		{`{"type":"ByteLevel","trim_offsets":false}`, []sequence{one(5)}, true, []int32{5}, []int32{0}, [2]int{1, 9}},
		{`{"type":"Sequence","processors":[{"type":"ByteLevel","trim_offsets":true,"add_prefix_space":false},
			{"type":"TemplateProcessing","single":[{"Sequence":{"id":"A","type_id":3}},{"Sequence":{"id":"A","type_id":4}},{"SpecialToken":{"id":"x","type_id":1}}],"pair":[],
			"special_tokens":{"x":{"id":"x","ids":[8,9],"tokens":["x","y"]}}}]}`, []sequence{one(5)}, true,
			[]int32{5, 5, 8, 9}, []int32{3, 4, 1, 1}, [2]int{2, 8}},
	} {
		p, err := parsePostProcessor(json.RawMessage(c.config), new(steps))
		require.NoError(t, err, c.config)
		tok := &Tokenizer{post: p}
		got := tok.finish(c.seqs, EncodeOptions{AddSpecial: c.special}).encoding()
		require.Equal(t, c.ids, got.IDs, c.config)
		require.Equal(t, c.types, got.TypeIDs, c.config)
		require.Len(t, got.Offsets, len(got.IDs))
		require.Len(t, got.Special, len(got.IDs))
		for i, added := range got.Special {
			if !added {
				require.Equal(t, c.at, got.Offsets[i], c.config)
				break
			}
		}
	}
}

func TestDecoders(t *testing.T) {
	spm := `{"type":"Sequence","decoders":[{"type":"Replace","pattern":{"String":"▁"},"content":" "},{"type":"ByteFallback"},{"type":"Fuse"},
		{"type":"Strip","content":" ","start":1,"stop":0}]}`
	for _, c := range []struct{ config, in, want string }{
		{`null`, "a|b", "a b"},
		{`{"type":"ByteLevel"}`, "Ġthe|Ã|©", " theé"},
		{`{"type":"ByteLevel"}`, "Ã|x", "\uFFFDx"},
		{`{"type":"ByteLevel"}`, "ðŁĺ|x", "\uFFFDx"},
		{`{"type":"ByteLevel"}`, "日", "日"}, // not in the alphabet
		{spm, "▁a|▁b", "a b"},
		{spm, "▁▁a", " a"},
		{spm, "a|<0xE6>|<0x97>|<0xA5>", "a日"},
		{spm, "<0xE6>|<0x97>|b|<0x41>", "\uFFFD\uFFFDbA"},
		{spm, "<0xE6>|<0xzz>", "\uFFFD<0xzz>"},
		{`{"type":"Metaspace","replacement":"▁","prepend_scheme":"always"}`, "▁a|▁b▁c", "a b c"},
		{`{"type":"Metaspace","replacement":"▁","prepend_scheme":"never"}`, "▁a|▁b", " a b"},
		{`{"type":"Metaspace","replacement":"▁","prepend_scheme":"first"}`, "▁▁a▁|▁▁b▁c", "a  b c"},
		{`{"type":"BPEDecoder","suffix":"</w>"}`, "a|b</w>|c</w>", "ab c"},
		{`{"type":"Strip","content":"_","start":1,"stop":2}`, "__a___|_", "_a_|"},
		{`{"type":"Replace","pattern":{"String":"ab"},"content":"x"}`, "aab|b", "ax|b"},
	} {
		d, err := parseDecoder(json.RawMessage(c.config), new(steps))
		require.NoError(t, err, c.config)
		var in []chunk
		for s := range strings.SplitSeq(c.in, "|") {
			in = append(in, chunk{text: s})
		}
		require.Equal(t, strings.ReplaceAll(c.want, "|", ""), join(d.decode(in, false)), "%s %s", c.config, c.in)
	}
	// An added token is literal, whatever its characters are.
	require.Equal(t, "é Ã©", join(bytesDecoder{}.decode([]chunk{{text: "Ã©Ġ"}, {text: "Ã©", added: true}}, false)))
}

func TestValidText(t *testing.T) {
	for in, want := range map[string]string{
		"":                         "",
		"aé日😀":                     "aé日😀",
		"\xe6\x97":                 "\uFFFD",
		"\xe6\x97x":                "\uFFFDx",
		"\xf0\x9f\x98":             "\uFFFD",
		"\xf0\x9f\xe6\x97\xa5":     "\uFFFD日",
		"\x80\x80":                 "\uFFFD\uFFFD",
		"\xc0\xaf":                 "\uFFFD\uFFFD",
		"\xed\xa0\x80":             "\uFFFD\uFFFD\uFFFD", // a surrogate
		"\xf8\x88\x80\x80\x80":     strings.Repeat("\uFFFD", 5),
		"\uFFFD\xff\xc3":           "\uFFFD\uFFFD\uFFFD",
		"\xf4\x90\x80\x80\xe6\x97": strings.Repeat("\uFFFD", 5),
	} {
		require.Equal(t, want, validText([]byte(in)), "%q", in)
	}
}

func TestAlphabet(t *testing.T) {
	seen := map[rune]bool{}
	for b := range 256 {
		r := byteRunes[b]
		require.False(t, seen[r])
		seen[r] = true
		require.Equal(t, []byte{byte(b)}, unspellBytes(nil, string(r)))
	}
	require.Equal(t, []byte("日"), unspellBytes(nil, "日"))
}

// Growth that a file asks for ends in an error, not in the machine's memory.
func TestGrowthIsBounded(t *testing.T) {
	double := `{"type":"Replace","pattern":{"String":"a"},"content":"` + strings.Repeat("a", 100) + `"}`
	config := `{"type":"Sequence","normalizers":[` + double + strings.Repeat(","+double, 30) + `]}`
	n, err := parseNormalizer(json.RawMessage(config), new(steps))
	require.NoError(t, err)
	for _, offsets := range []bool{false, true} {
		_, err = n.normalize(newFragment("a", offsets), newLimit(100))
		require.ErrorContains(t, err, "longer than")
	}
	ds := decoders{}
	for range 30 {
		ds = append(ds, replaceDecoder{"a", strings.Repeat("a", 100)})
	}
	out := join(ds.decode([]chunk{{text: "a"}, {text: "a"}}, false))
	require.LessOrEqual(t, len(out), 2*maxNormalized)
}
