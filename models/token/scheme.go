package token

import "unicode"

// scheme is how a family of byte-level GGUF vocabularies splits text: by each
// pattern in turn, what it matches and what it does not becoming pieces.
type scheme struct {
	patterns     []pattern
	ignoreMerges bool
	addBOS       bool // where the file does not say
}

// Some schemes name sets of letters that patterns spell out at length.
var (
	number    = runeSet(unicode.IsNumber)
	numbers   = runs{set: number}
	newline   = runeSet(func(r rune) bool { return r == '\r' || r == '\n' })
	cjkLetter = runs{set: func(r rune) bool { return r >= 0x800 && r <= 0x9fa5 || r >= 0xac00 && r <= 0xd7ff }}
)

// isDeepSeekLetter is the long list of letters of DeepSeek-LLM's pattern: the
// cased letters, but for some blocks.
func isDeepSeekLetter(r rune) bool {
	return unicode.In(r, unicode.Lu, unicode.Ll, unicode.Lt) && !unicode.Is(notDeepSeek, r)
}

var notDeepSeek = &unicode.RangeTable{
	R16: []unicode.Range16{
		{0x0560, 0x0588, 1}, // Armenian small letters
		{0x10c7, 0x10ff, 1}, // Georgian but the old capitals
		{0x1c80, 0x1c8f, 1},
		{0x2d00, 0x2d2f, 1},
		{0xa790, 0xa7ff, 1}, // late Latin
		{0xab30, 0xab6f, 1},
	},
	R32: []unicode.Range32{
		{0x10570, 0x105bf, 1},
		{0x16e40, 0x16e7f, 1},
		{0x1d400, 0x1d7ff, 1}, // mathematical letters
		{0x1df00, 0x1dfff, 1},
	},
}

func isDeepSeekPunctuation(r rune) bool {
	switch {
	case r >= '!' && r <= '/', r >= ':' && r <= '~':
		return true // the second range has all ASCII letters in it, as the original has
	case r >= 0xff01 && r <= 0xff0f, r >= 0xff1a && r <= 0xff5e, r >= 0x2018 && r <= 0x201f, r >= 0x3000 && r <= 0x3002:
		return true
	}
	return false
}

const (
	upper = `[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]`
	lower = `[\p{Ll}\p{Lm}\p{Lo}\p{M}]`
	lead  = `[^\r\n\p{L}\p{N}]?`
	tail  = `| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	short = `(?i:'s|'t|'re|'ve|'m|'ll|'d)?`
)

var (
	gpt2Scheme   = scheme{patterns: []pattern{regex(gpt2Pattern)}}
	digitsScheme = scheme{patterns: []pattern{number, regex(gpt2Pattern)}}
	llama3Scheme = scheme{patterns: []pattern{regex(modernASCII + `\p{N}{1,3}` + modernTail)}}
	qwen2Scheme  = scheme{patterns: []pattern{regex(modernASCII + `\p{N}` + modernTail)}}
	tekkenScheme = scheme{
		patterns:     []pattern{regex(lead + upper + `*` + lower + `+|` + lead + upper + `+` + lower + `*|\p{N}` + tail)},
		ignoreMerges: true, addBOS: true,
	}
	gpt4oScheme = scheme{
		patterns: []pattern{regex(lead + upper + `*` + lower + `+` + short + `|` + lead + upper + `+` + lower + `*` + short + `|\p{N}{1,3}` + tail)},
	}
	llamaBPE = scheme{patterns: llama3Scheme.patterns, ignoreMerges: true, addBOS: true}
)

// ggufSchemes are the values of tokenizer.ggml.pre.
var ggufSchemes = map[string]scheme{
	"default": {patterns: []pattern{
		regex(`[\p{P}\$\+<=>\^~\|]+`), regex(gpt2Pattern), numbers, regex(`[0-9][0-9][0-9]`),
	}},
	"gpt-2": gpt2Scheme, "phi-2": gpt2Scheme, "mpt": gpt2Scheme, "olmo": gpt2Scheme, "jais": gpt2Scheme,
	"jina-es": gpt2Scheme, "jina-de": gpt2Scheme, "jina-v1-en": gpt2Scheme, "jina-v2-es": gpt2Scheme,
	"jina-v2-de": gpt2Scheme, "jina-v2-code": gpt2Scheme, "gigachat": gpt2Scheme, "roberta-bpe": gpt2Scheme,
	"smollm": digitsScheme, "starcoder": digitsScheme, "refact": digitsScheme, "command-r": digitsScheme,
	"codeshell": digitsScheme, "exaone": digitsScheme, "minerva-7b": digitsScheme,
	"llama-bpe": llamaBPE, "llama3": llamaBPE, "llama-v3": llamaBPE, "falcon3": llamaBPE, "falcon-h1": llamaBPE,
	"pixtral": llamaBPE, "lfm2": llamaBPE,
	"dbrx": llama3Scheme, "smaug-bpe": llama3Scheme, "chatglm-bpe": llama3Scheme, "glm4": llama3Scheme,
	"qwen2": qwen2Scheme, "deepseek-r1-qwen": qwen2Scheme, "stablelm2": qwen2Scheme, "megrez": qwen2Scheme,
	"tekken": tekkenScheme,
	"gpt-4o": gpt4oScheme, "llama4": gpt4oScheme,
	"falcon": {patterns: []pattern{
		regex("[\\p{P}\\$\\+<=>\\^~\\|`]+"), regex(gpt2Pattern), regex(`[0-9][0-9][0-9]`),
	}},
	"deepseek-llm": {patterns: []pattern{
		newline, runs{isDeepSeekLetter, true}, runs{isDeepSeekPunctuation, true}, trailingSpaces{}, cjkLetter, numbers,
	}},
	"deepseek-coder": {patterns: []pattern{
		newline, runs{unicode.IsLetter, true}, runs{func(r rune) bool { return unicode.Is(unicode.P, r) }, true}, cjkLetter, number,
	}},
	"deepseek-v3": {patterns: []pattern{
		regex(`\p{N}{1,3}`),
		runs{set: func(r rune) bool { return r >= 0x4e00 && r <= 0x9fa5 || r >= 0x3040 && r <= 0x30ff }},
		regex("[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"),
	}},
}
