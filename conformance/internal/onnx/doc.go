// Package onnx holds the cases that are the ONNX project's own, read from a
// folder that the caller names: they are not part of this repository.
//
// Package onnx imports what package suite does, suite, and
// internal/onnxcases; see the table of rooms in internal/depcheck.
package onnx
