// Package suite is what the cases of the conformance suite are made of: what a
// [Case] is, the [Env] that it runs in, the [Lab] that makes graphs with their
// inputs and weights, and the comparison with the oracle.
//
// Package suite imports graph (with its sub-packages), ops, ops/oracle, hal,
// hal/driver, hal/validate and conformance/internal/tol.
package suite
