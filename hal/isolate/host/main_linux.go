package host

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"os"
	"os/signal"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/hal/isolate/internal/self"
	"github.com/heddle-ml/heddle/hal/isolate/internal/wire"
)

// Exit statuses of a host.
const (
	exitDone    = 0
	exitFailed  = 3
	exitNoSense = 4 // it was started without a socket
)

// Main serves a device of hal.Default, if this process was started for that,
// and returns the status to exit with: the caller must exit at once. In any
// other process it notes that the program can be its own host, and returns
// false. It is to be called first in main, or in TestMain.
func Main() (status int, child bool) {
	fd, many := strings.CutSuffix(os.Getenv(self.ChildEnv), ",many")
	if fd == "" {
		self.Declare()
		return 0, false
	}
	_ = os.Unsetenv(self.ChildEnv) // not for processes that a driver starts
	self.EnterHost()
	n, err := strconv.Atoi(fd)
	if err != nil || n < 3 {
		fmt.Fprintf(os.Stderr, "isolate: %s=%q is no descriptor\n", self.ChildEnv, fd)
		return exitNoSense, true
	}
	unix.CloseOnExec(n)
	closeInherited()
	// A core file of a process that maps a model takes minutes to write.
	_ = unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
	// The client decides when this process ends, not the terminal.
	signal.Ignore(syscall.SIGINT, syscall.SIGHUP, syscall.SIGPIPE)
	conn, err := wire.NewConn(n)
	if err != nil {
		fmt.Fprintf(os.Stderr, "isolate: %v\n", err)
		return exitNoSense, true
	}
	if many {
		err = serveMany(conn, hal.Default)
	} else {
		err = serve(context.Background(), conn, hal.Default, limitMemory)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "isolate: %v\n", err)
		return exitFailed, true
	}
	return exitDone, true
}

// closeInherited closes descriptors that some library of the client left
// open over exec. Go's own close themselves, so what is left
// without the mark came from outside.
func closeInherited() {
	dir, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return
	}
	for _, e := range dir {
		fd, err := strconv.Atoi(e.Name())
		if err != nil || fd < 3 {
			continue
		}
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil && flags&unix.FD_CLOEXEC == 0 {
			_ = unix.Close(fd)
		}
	}
}

// dataSlack is what the Go runtime maps ahead of its use: two arenas.
const dataSlack = 128 << 20

// limitMemory bounds private memory: the heap of Go by its collector, that
// of C by the kernel. Address space is not limited: Go and vendors reserve
// much and use little of it.
func limitMemory(limit int64) error {
	if limit <= 0 {
		return nil
	}
	debug.SetMemoryLimit(limit / 10 * 9)
	used, err := dataSize()
	if err != nil {
		return err
	}
	if limit > math.MaxInt64-used-dataSlack {
		return nil
	}
	max := uint64(used + limit + dataSlack)
	return unix.Setrlimit(unix.RLIMIT_DATA, &unix.Rlimit{Cur: max, Max: max})
}

// dataSize returns what counts against RLIMIT_DATA already.
func dataSize() (int64, error) {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	_, rest, ok := bytes.Cut(b, []byte("VmData:"))
	fields := bytes.Fields(rest)
	if !ok || len(fields) == 0 {
		return 0, fmt.Errorf("/proc/self/status has no VmData")
	}
	kb, err := strconv.ParseInt(string(fields[0]), 10, 64)
	return kb << 10, err
}
