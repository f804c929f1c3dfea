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
// offsets, type ids and decoded text are meant to be equal to its. Known
// differences, each on purpose:
//
//   - Decoding gives an added token as the text that its file says; the reference
//     gives what the normalizer made of it, and takes one whose characters all
//     belong to the byte-level alphabet for raw bytes.
//   - Where a rune is dropped because the model has no unknown token, the offsets
//     behind it stay right; the reference moves them. Where only some bytes have
//     a byte token, the tokens stay in the order of the text.
//   - Truncation, padding and dropout are not applied.
//   - Classes of characters are those of Go's Unicode tables; the reference's
//     parts are of several versions, older and newer.
//
// For GGUF files the reference is llama.cpp.
//
// Nothing in a tokenizer file is trusted: ids, patterns and sizes are checked
// when it is loaded, patterns run under a time limit, and growth of the text
// under a size limit.
//
// The package may import models/ckpt/gguf and, besides the standard library,
// regexp2 (patterns with look-ahead) and golang.org/x/text/unicode/norm.
package token
