// Package null is a driver that computes nothing: the smallest complete
// driver, and a skeleton to copy when writing one for an accelerator.
// README.md in this folder goes from the copy to a first working device.
//
// It accepts every graph of registered operators, moves data between its
// buffers as told, and clears the outputs of a run.
//
// Package null imports hal, hal/driver, graph and ops.
package null
