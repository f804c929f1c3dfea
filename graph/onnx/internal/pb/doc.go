// Package pb reads and writes the protocol-buffer messages of ONNX files,
// field by field over protowire: there is no generated code and no copy of
// ONNX's schema files.
//
// Decode keeps what package onnx uses and skips the rest. It is made for
// hostile files: messages nest to a fixed depth, their number is bounded, and
// nothing is allocated on the word of a length. Bytes of tensors are not
// copied; they alias the file, and their place in it is recorded, so that
// large weights can be referred to instead of being held.
//
// Names, field numbers and meanings are those of onnx.proto (IR version 13).
// Package pb imports protowire and nothing of ours. It has no state and is
// safe for concurrent use.
package pb
