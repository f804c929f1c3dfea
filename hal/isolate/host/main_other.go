//go:build !linux

package host

// Main does nothing here: isolation needs Linux.
func Main() (status int, child bool) { return 0, false }
