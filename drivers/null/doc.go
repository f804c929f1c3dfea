// Package null is a driver that computes nothing: the smallest complete
// driver, and a skeleton to copy when writing one for an accelerator. It
// accepts every graph of registered operators, moves data between its
// buffers as told, and leaves outputs zero.
//
// To start a driver, copy this folder and then replace, in this order:
//
//  1. Info, Probe and Open: find the vendor's library; say why when it is
//     not there. Probe must not load firmware.
//  2. Caps and Supports: list the operators; refuse the rest with a reason.
//  3. Alloc: the device's memory, or the host's as here.
//  4. Compile: walk g.Nodes, build the vendor's network; Bindings is the list
//     of arguments that Run commands will carry.
//  5. run: one inference. [driver.HostQueue] calls it in order on a goroutine
//     of its own; drivers with asynchronous queues implement driver.Queue
//     themselves.
//
// Package null imports hal, hal/driver, graph and ops.
package null
