// Package pool runs loops on a fixed set of worker goroutines: fork, work on
// chunks claimed by atomic add, join.
//
// It exists because a goroutine (or a channel hand-over) per chunk costs
// microseconds and allocations, which is as much as a whole matrix product of
// a small model. Here a job is one value that the caller owns, starting it
// allocates nothing, and workers that are still spinning from the previous job
// start within a microsecond.
//
// Spinning is bounded (tens of microseconds), and turned off where it can only
// hurt: when there are more workers than processors, and for a while after a
// worker has noticed that it lost its processor in the middle of a spin, which
// means that somebody else needs it.
//
// It imports only the standard library.
package pool
