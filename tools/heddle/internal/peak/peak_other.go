//go:build !unix || aix || solaris || illumos

package peak

import "runtime"

// RSS returns what the Go runtime has taken from the system, in bytes: less
// than the largest resident set, as mapped files are not in it.
func RSS() int64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.Sys)
}
