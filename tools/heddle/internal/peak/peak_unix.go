//go:build unix && !linux && !aix && !solaris && !illumos

package peak

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// RSS returns the largest resident set of the process so far, in bytes.
func RSS() int64 {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	if runtime.GOOS == "darwin" || runtime.GOOS == "ios" {
		return int64(u.Maxrss) // in bytes there, in kilobytes elsewhere
	}
	return int64(u.Maxrss) << 10
}
