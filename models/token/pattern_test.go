package token

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/heddle-ml/heddle/internal/shared"
	"github.com/stretchr/testify/require"
)

// randomText is made of what the patterns tell apart.
func randomText(rng *rand.Rand, most int) string {
	alphabet := []string{
		" ", " ", " ", "\n", "\r", "\r\n", "\t", "\u00a0", "\u2003", "\u0085", "'", "'", "'s", "'S", "'ll", "'LL", "'re", "'rE", "'ſ",
		"ſ", "s", "t", "m", "d", "l", "L", "v", "e", "a", "B", "é", "ß", "日", "ク", "\u0301", "ǅ", "ʰ", "ª", "1", "23", "٣", "½", "Ⅷ",
		"!", ".", ",", "-", "—", "。", "$", "€", "<|", "😀", "\u200d", "\u0000", "\u001c", "_", "/", "\uFFFD", "\U0010FFFF",
	}
	var b strings.Builder
	for range rng.IntN(most) {
		b.WriteString(alphabet[rng.IntN(len(alphabet))])
	}
	return b.String()
}

// cutsOf returns the pieces that a text is split into.
func cutsOf(t testing.TB, p pattern, text string) []string {
	cuts, err := p.find(text, newLimit(1<<20))
	require.NoError(t, err)
	var out []string
	end := 0
	for _, c := range cuts {
		if c.start != end {
			t.Fatalf("a gap at %d in %q", end, text)
		}
		end = c.end
		if c.end > c.start {
			out = append(out, text[c.start:c.end])
		}
	}
	if end != len(text) {
		t.Fatalf("a gap at the end of %q", text)
	}
	return out
}

func requireSameCuts(t testing.TB, want *expression, got pattern, text string) {
	t.Helper()
	a, b := cutsOf(t, want, text), cutsOf(t, got, text)
	if !slices.Equal(a, b) {
		t.Fatalf("%q with %s: want %q, got %q", text, want.source, a, b)
	}
}

// The hand-written scanners split as the regular expressions do.
func TestScannersEqualTheirPatterns(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for source, f := range families {
		re, err := compileExpression(source)
		require.NoError(t, err)
		for range 1000 {
			requireSameCuts(t, re, f, randomText(rng, 30))
		}
		// Each rune by itself and in company, to catch a class that differs.
		var all strings.Builder
		for r := rune(0); r < 0x3100; r++ {
			fmt.Fprintf(&all, "a%c1%c %c'%c", r, r, r, r)
		}
		require.Equal(t, cutsOf(t, re, all.String()), cutsOf(t, f, all.String()), source)
	}
}

func TestRunsEqualTheirPatterns(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	for source, p := range map[string]pattern{
		`\s?\p{L}+`: runs{unicode.IsLetter, true},
		`\p{N}+`:    numbers,
		`[\r\n]`:    newline,
		`\s+$`:      trailingSpaces{},
		`\s?[!-/:-~！-／：-～‘-‟　-。]+`: runs{isDeepSeekPunctuation, true},
		`[一-龥ࠀ-一가-퟿]+`:             cjkLetter,
		`[一-龥぀-ゟ゠-ヿ]+`:             ggufSchemes["deepseek-v3"].patterns[1],
		// Here \w is that of Rust, which has the joiners as well.
		`[\w\x{200c}\x{200d}]+|[^\w\x{200c}\x{200d}\s]+`: wordPattern{},
	} {
		re, err := compileExpression(source)
		require.NoError(t, err)
		for range 1000 {
			requireSameCuts(t, re, p, randomText(rng, 30))
		}
	}
}

// The letters of DeepSeek-LLM are described in code; its tokenizer.json lists
// them.
func TestDeepSeekLetters(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(shared.Dir(t, "golden/tokenizer_json"), "deepseek_llm", "tokenizer.json"))
	require.NoError(t, err)
	var doc struct {
		Pre struct {
			Steps []struct {
				Pattern struct{ Regex string }
			} `json:"pretokenizers"`
		} `json:"pre_tokenizer"`
	}
	require.NoError(t, json.Unmarshal(data, &doc))
	re, err := compileExpression(doc.Pre.Steps[1].Pattern.Regex)
	require.NoError(t, err)
	requireSet(t, re, 0x20000, isDeepSeekLetter)
	for i, p := range ggufSchemes["deepseek-llm"].patterns[:5] {
		re, err := compileExpression(doc.Pre.Steps[i].Pattern.Regex)
		require.NoError(t, err)
		rng := rand.New(rand.NewPCG(9, 10))
		for range 500 {
			requireSameCuts(t, re, p, randomText(rng, 30))
		}
	}
}

func TestSchemesCompile(t *testing.T) {
	for name, s := range ggufSchemes {
		for _, p := range s.patterns {
			require.NotEmpty(t, cutsOf(t, p, "Hello's world\n 12"), name)
		}
	}
}

// What the dialect of tokenizer.json means, on examples.
func TestDialect(t *testing.T) {
	for _, c := range []struct{ source, text, want string }{
		{`a+`, "baab", "b|aa|b"},
		{`a++b`, "aab a", "aab| a"},
		{`[^\r\n\p{L}\p{N}]?+\p{L}+`, " ab!c", " ab|!c"},
		{`(?>a|ab)c`, "abc ac", "abc |ac"},
		{`(?i:'s)x`, "'ſx'Sx", "'ſx|'Sx"},
		{`(?i)s(?-i)s`, "ſs Ss sſ", "ſs| |Ss| sſ"},
		{`(?i:[^s])+`, "asſSb", "a|sſS|b"},
		{`(?m:a.b)`, "a\nb", "a\nb"},
		{`a.b`, "a\nb", "a\nb"}, // one gap
		{`^b`, "a\nb", "a\n|b"},
		{`\w+`, "aः_٣ⅷ-", "aः_٣ⅷ|-"}, // a spacing mark and a letter number
		{`[\w]+\W`, "ab!c", "ab!|c"},
		{`\h+`, "xCAFEz", "x|CAFE|z"},
		{`[\h]+\H`, "xCAFEz", "x|CAFEz"},
		{`\p{^L}+`, "ab12c", "ab|12|c"},
		{`\p{Letter}+`, "ab12c", "ab|12|c"},
		{`\p{Han}+`, "ab漢字c", "ab|漢字|c"},
		{`\x{6f22}\x41`, "漢Ab", "漢A|b"},
		{`[[:punct:]x]+`, "a!xb", "a|!x|b"},
		{`[]a]+`, "b]ab", "b|]a|b"},
		{`a{2}{2}`, "aaaaa", "aaaa|a"},
		{`a{,2}b`, "aaab", "a|aab"},
		{`(a)(b)`, "xab", "x|ab"},
		{`x{`, "ax{b", "a|x{|b"},
		{`(?=[A-Z])`, "aBcD", "a|Bc|D"}, // cuts at matches of nothing
		{`\s+(?!\S)`, "a  b", "a| | b"},
		{`é\-\_`, "é-_", "é-_"},
		// Case folding is Unicode's, rune by rune, and leaves İ alone.
		{`(?i)k`, "kKK\u0138", "k|K|K|\u0138"},
		{`(?i)[a-z]+`, "aſKİı", "aſK|İı"},
		{`(?i)σ+`, "σςΣs", "σςΣ|s"},
		{`(?i)ß`, "ßẞ", "ß|ẞ"},
		{`(?i)[^k]+`, "aKKk!", "a|KKk|!"},
		{`(?i)\p{Lu}+`, "ABcd", "AB|cd"},
		{`(?i)\x{6b}`, "K", "K"},
		{`a(?i)b|c`, "aBaCc", "aB|aC|c"}, // a(?i:b|c)
		{`(a(?i)b|c)d|C`, "aBdaCdC", "aBd|aCd|C"},
		{`(?im)a.b`, "A\nB", "A\nB"},
		// Sets inside of sets.
		{`[a[bc]]+`, "abcd", "abc|d"},
		{`[a[^\w]]+`, "ab!c", "a|b|!|c"},
		{`[^(\s|[.,])]+`, "ab, (c|d)", "ab|, (|c|||d|)"},
		{`[a-z&&[^aeiou]]+`, "abcde", "a|bcd|e"},
		{`[\w&&[^\d]&&[^_]]+`, "ab1_c", "ab|1_|c"},
		{`[^\W\d_]+`, "ab1_cé!", "ab|1_|cé|!"},
		{`[\P{L}\p{Lu}]+`, "aB1c", "a|B1|c"},
		{`[[:^space:]]+`, "a b", "a| |b"},
		{`[[:punct:]]+`, "a$,é", "a|$,|é"},
		{`\p{Punct}+`, "a$,é", "a$|,|é"},
		{`[[:alpha:]]+`, "aéः\u0301Ⅷ1", "aéः|\u0301|Ⅷ|1"},
		{`[[:upper:]]+`, "AⒶⅧa", "AⒶⅧ|a"},
		{`[[:xdigit:]]+`, "xAf0g", "x|Af0|g"},
		{`\p{Alnum}+`, "a1½", "a1|½"},
		{`\p{hiragana}+`, "あア", "あ|ア"},
		{`[\x{61}-\x{63}\x41]+`, "abcdA", "abc|d|A"},
		{`[--/]+`, "a-./b", "a|-./|b"},
		{`[a&&b]`, "ab", "ab"}, // nothing
		// Oniguruma counts some Latin-1 numbers to words, if not in a class.
		{`\w+`, "x²y½z", "x²y½z"},
		{`[\w]+`, "x²y", "x|²|y"},
		{`\W+`, "x²!", "x²|!"},
		{`\b`, "aः² b", "aः²| |b"},
		{`a\B`, "ab a", "a|b a"},
		// A line begins behind a line end, but not at the end of the text.
		{`^`, "a\nb\n", "a\n|b\n"},
		{`^\s*`, "  a\n\n b", "  |a\n|\n |b"},
		{`x*`, "axxb", "a|xx|b"},
	} {
		p, err := compileExpression(c.source)
		require.NoError(t, err, c.source)
		require.Equal(t, c.want, strings.Join(cutsOf(t, p, c.text), "|"), "%s on %q", c.source, c.text)
	}
	for _, source := range []string{
		``, `(`, `)`, `[a`, `a**+?{`, `*a`, `\`, `(?<n>a)`, `(?~a)`, `\1`, `\k<a>`, `[[:foo:]]`, `\p{NoSuchClass}`,
		`\x{110000}`, `\xg`, `[z-a]`, `(?x: a)`, `a{3,1}`, `\X`, strings.Repeat("(", 300) + strings.Repeat(")", 300),
		strings.Repeat("a++", 300), strings.Repeat("a", maxPattern+1),
	} {
		if source == `a**+?{` {
			continue // odd, but it means something
		}
		_, err := compileExpression(source)
		require.Error(t, err, source)
	}
}

// The classes of regexp2 are those of the reference.
func TestClasses(t *testing.T) {
	for source, want := range map[string]func(rune) bool{
		`\s`:    unicode.IsSpace,
		`\S`:    func(r rune) bool { return !unicode.IsSpace(r) },
		`\d`:    unicode.IsDigit,
		`\p{L}`: unicode.IsLetter,
		`\p{N}`: unicode.IsNumber,
		`[^\s\p{L}\p{N}]`: func(r rune) bool {
			return !unicode.IsSpace(r) && !unicode.IsLetter(r) && !unicode.IsNumber(r)
		},
	} {
		p, err := compileExpression(source)
		require.NoError(t, err)
		requireSet(t, p, 0x20000, want)
	}
}

// requireSet checks which single runes below a limit a pattern matches.
func requireSet(t *testing.T, p *expression, below rune, want func(rune) bool) {
	for r := rune(0); r < below; r++ {
		if !utf8.ValidRune(r) {
			continue
		}
		if got, err := p.re.MatchRunes([]rune{r}); err != nil || got != want(r) {
			t.Fatalf("%s on %U: %v, %v", p.source, r, got, err)
		}
	}
}

// A pattern that backtracks without end is an error after a bounded time.
func TestSlowPattern(t *testing.T) {
	p, err := compileExpression(`(a|aa)+$`)
	require.NoError(t, err)
	p.re.MatchTimeout = 100 * time.Millisecond
	start := time.Now()
	_, err = p.find(strings.Repeat("a", 200)+"b", newLimit(200))
	require.ErrorIs(t, err, errSlowPattern)
	require.Less(t, time.Since(start), 20*time.Second)
}

func FuzzPattern(f *testing.F) {
	for source := range families {
		f.Add(source, "Hello's world\n 12")
	}
	for _, source := range []string{
		`[^(\s|[.,!?…。，、।۔،])]+`, `(?i)a[k-s&&[^l]](?-i:b)|c`, `[[:^alpha:]\P{Lu}\x{41}-\u0062]{,3}+`, `^\s*$|\b\W\B`, `(?m-i:.)*?(?<!\w)(?>x|y)`, `\p{^Alnum}[]a-]`,
	} {
		f.Add(source, "aKs, \u0301²\r\n\n B")
	}
	f.Fuzz(func(t *testing.T, source, text string) {
		p, err := compileExpression(source)
		if err != nil || !utf8.ValidString(text) {
			return
		}
		p.re.MatchTimeout = 50 * time.Millisecond
		cuts, err := p.find(text, &limit{time.Now().Add(100 * time.Millisecond)})
		if err != nil {
			return
		}
		end := 0
		for _, c := range cuts {
			if c.start != end || c.end < c.start {
				t.Fatalf("%q on %q: %v", source, text, cuts)
			}
			end = c.end
		}
		if end != len(text) {
			t.Fatalf("%q on %q: %v", source, text, cuts)
		}
	})
}
