//go:build (amd64 || arm64) && !noasm

package pool

// pause tells the processor that this is a spin loop, which saves power and
// leaves the core to a sibling thread.
func pause()
