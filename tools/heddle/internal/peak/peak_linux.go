package peak

import (
	"bytes"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// RSS returns the largest resident set of the process so far, in bytes.
//
// getrusage's figure can be the parent's, whose memory a new process shares
// until it has loaded its own program; the kernel's own high-water mark is not.
func RSS() int64 {
	status, err := os.ReadFile("/proc/self/status")
	if err == nil {
		for line := range bytes.Lines(status) {
			if f := bytes.Fields(line); len(f) == 3 && string(f[0]) == "VmHWM:" {
				if n, err := strconv.ParseInt(string(f[1]), 10, 64); err == nil {
					return n << 10
				}
			}
		}
	}
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return int64(u.Maxrss) << 10
}
