// Package rig is what the cases about behaviour work with: a [Rig] moves data
// on a device and cleans up after itself, [Simplest] finds a small graph that
// the device compiles, [Measure] counts what the process holds.
//
// Package rig imports graph (with dim and enc), ops, hal, hal/driver and
// conformance/internal/suite.
package rig
