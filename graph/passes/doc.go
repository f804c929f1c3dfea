// Package passes rewrites graphs: each pass makes a new graph that computes
// the same, and [Run] verifies every result.
//
// The usual order, and why:
//
//  1. [Specialize] gives symbols their values, so that more is constant.
//  2. [Fold] computes what is constant: shape arithmetic as symbolic
//     dimensions, small tensors as numbers.
//  3. [Dedupe] merges equal constants and nodes, which is what makes the
//     patterns of Fuse meet: they see that two operands are one value.
//  4. [Fuse] turns what exporters spelled out in primitives into the
//     composites that a device has kernels for.
//  5. [Decompose] takes apart the composites that it has none for.
//  6. Fold and Dedupe again where Decompose made constants and twins.
//  7. [DeadCode] drops what nothing uses any more.
//
// Grouping quantization chains (Q/DQ pairs) comes between Fold and Fuse once
// activations are quantized; package graph already treats weight quantization
// as a property of types.
//
// Passes need no order to be correct, only to be effective. Fuse and Decompose
// ask the same kind of predicate, "has the device this operator?", and never
// work against each other: Fuse makes only what it allows, Decompose leaves
// what it keeps.
//
// Package passes imports graph, graph/dim, graph/enc, ops and ops/oracle,
// which computes the constants. All functions are safe for concurrent use.
package passes
