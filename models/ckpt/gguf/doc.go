// Package gguf reads the header of GGUF files: the metadata, the table of
// tensors and where their bytes lie. It does not decode weights; a tensor's
// bytes are handed out as they are in the file, with the block format's name.
//
// Versions 2 and 3, little endian, are read; everything else is refused with
// the reason. A header is checked as a whole before anything of it is handed
// out: each claimed count is walked, never allocated for, and each tensor must
// lie inside the file, aligned, and apart from the others.
//
// Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
//
// The package imports the standard library and models/ckpt/mapped.
package gguf
