// Package validate stands between a driver and its callers and checks both
// against the contract of hal/driver while they work:
//
//	dev, err := hal.Open(ctx, "vulkan:0?validate=1")
//
// or, at the driver interface, [Driver] and [Device]. What is found is a
// [*Violation]: it is returned by the call that shows it, or fails the batch's
// signal timelines; it goes to [Options].Report; and closing the device
// returns all of them once more, with what was left open.
//
// Each run computes on copies of its arguments, surrounded by guard bytes, so
// that writes out of bounds, changed inputs and outputs left unwritten are
// seen whatever memory the caller chose. Batches therefore run one after the
// other, with the host in between: for tests and for finding faults, not for
// speed.
//
// Package validate imports hal/driver and graph.
package validate
