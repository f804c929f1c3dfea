// Package feat says what the processor can do and names the kernel tiers built
// on it.
//
// A tier is a set of kernels that needs a fixed set of instructions. The
// package only detects and parses; choosing and checking kernels is the work
// of package kern.
//
// It imports only the standard library and golang.org/x/sys/cpu. Everything in
// it is safe for concurrent use.
package feat
