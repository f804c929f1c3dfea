// Package token turns text into token ids and back.
//
// It reads the two kinds of vocabulary that language models ship: a Hugging
// Face tokenizer.json with a BPE model (byte-level or SentencePiece-like,
// whatever normalizers, pre-tokenizers, post-processors and decoders the file
// strings together), and the vocabulary inside a GGUF file. Both become the
// same [Tokenizer], a chain of small steps:
//
//	text → added tokens cut out → normalizers → pre-tokenizers → BPE → post-processor → ids
//	ids → pieces → decoders → text
//
// The reference for tokenizer.json is huggingface/tokenizers (Rust): ids,
// offsets and type ids are meant to be equal to its. Decoding differs on purpose
// where the reference would not give the text back: an added token is always the
// text that its file says, even where its characters all belong to the byte-level
// alphabet, and the Metaspace decoder takes off one blank in front, not all. For
// GGUF files the reference is llama.cpp.
//
// Nothing in a tokenizer file is trusted: ids, patterns and sizes are checked
// when it is loaded, patterns run under a time limit, and growth of the text
// under a size limit.
//
// The package may import models/ckpt/gguf and, besides the standard library,
// regexp2 (patterns with look-ahead) and golang.org/x/text/unicode/norm.
package token
