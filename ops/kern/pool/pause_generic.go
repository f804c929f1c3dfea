//go:build !(amd64 || arm64) || noasm

package pool

// pause has no portable form; the atomic loads of the spin loop do.
func pause() {}
