// Package onnx holds the cases that are the ONNX project's own, read from a folder.
//
// Package onnx imports what package suite does, and suite; see the table of
// rooms in internal/depcheck.
package onnx
