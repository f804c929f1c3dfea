// Package onnxcases reads the ONNX project's operator test cases: a model of
// one node (or of the operator's expansion into primitives), inputs, and the
// outputs that every implementation must give.
//
// The cases are not part of the repository; tests find their folder with
// shared.Dir(t, "onnx-node-tests"). Operands that decide shapes are bound
// when a model is imported; all others stay inputs of its graph, so that a
// case exercises the operator and not the folding of constants.
//
// Package onnxcases imports graph and graph/onnx. It is meant for tests and
// for the conformance suite. Its functions are safe for concurrent use.
package onnxcases
