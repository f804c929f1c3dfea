package wire

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func closeFD(fd int) error { return unix.Close(fd) }

func dup(t testing.TB, fd int) int {
	n, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	require.NoError(t, err)
	return n
}

// files counts open descriptors.
func files(t testing.TB) int {
	dir, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	return len(dir)
}

// sendFiles sends more files than anyone may.
func sendFiles(c *Conn, frame []byte, fds ...int) error {
	var sent error
	err := c.raw.Write(func(s uintptr) bool {
		sent = unix.Sendmsg(int(s), frame, unix.UnixRights(fds...), nil, unix.MSG_NOSIGNAL)
		return true
	})
	if err != nil {
		return err
	}
	return sent
}
