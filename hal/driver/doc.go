// Package driver is what a vendor implements to make a device usable: three
// methods find and open it ([Driver]), six compile and allocate ([Device]),
// and four small interfaces ([Memory], [Executable], [Queue], [Timeline])
// run. Everything else is optional and found by type assertion.
//
// A driver is handed whole subgraphs and says beforehand, node by node, what
// it can compile. It returns raw errors, wrapping one of this package's
// sentinels where one fits; package hal, which apps hold, checks arguments,
// fills in defaults, adds the driver's and device's names and keeps lost
// devices lost. So a driver may trust its arguments: non-nil, in range, of
// its own making, never after Close.
//
// A driver never panics, never ends the process and never blocks for ever:
// every wait takes a context.
//
// [HostMemory], [HostTimeline] and [HostQueue] are stock parts for drivers
// whose memory is the host's and whose calls block.
//
// Package driver imports graph and its sub-packages dim and enc, nothing else of ours. drivers/null
// is a skeleton to copy.
package driver
