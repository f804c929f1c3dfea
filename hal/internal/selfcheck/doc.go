// Package selfcheck runs small blocks of a model on a device and compares
// them with the reference evaluator: products with weights in the usual
// encodings, a convolution, norms, a block of a vision transformer, and a
// block of a decoder whose cache is filled by two chunks and two single
// tokens. It takes some hundred milliseconds and tells a device that works
// from one that does not. How good a device is, conformance tells.
//
// Package selfcheck imports hal/driver, ops, ops/oracle and graph with dim
// and enc. It is the part of hal.SelfCheck that knows operators.
package selfcheck
