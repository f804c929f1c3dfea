// Package determinism holds the cases that run one graph again and again, with
// the same inputs, in circumstances that must not matter: a device that claims
// to be deterministic gives equal bits each time. Most failures show an order
// of summation that depends on which thread came first, or memory that was
// read before it was written.
//
// Package determinism imports what package suite does, suite, and the samples
// of conformance/internal/blocks.
package determinism
