package wire

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Conn is one end of the socket. Send and SendFile are safe for concurrent
// use, one message being one system call; receiving is for one goroutine.
type Conn struct {
	f      *os.File
	raw    syscall.RawConn
	closed atomic.Bool

	// What the callbacks of the poller exchange, kept here so that receiving
	// allocates nothing.
	buf, oob []byte
	n, oobn  int
	flags    int
	err      error
	recv     func(fd uintptr) bool // with files
	read     func(fd uintptr) bool // without
	spun     bool                  // since the last message
	fails    int                   // waits that spinning did not shorten, in a row
}

// Pair makes a connected pair of sockets, both closed on exec.
func Pair() (a, b int, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, 0, fmt.Errorf("socketpair: %w", err)
	}
	return fds[0], fds[1], nil
}

// NewConn takes a socket over.
func NewConn(fd int) (*Conn, error) {
	if typ, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE); err != nil || typ != unix.SOCK_SEQPACKET {
		return nil, fmt.Errorf("descriptor %d is no socket that keeps message boundaries: %w", fd, errors.Join(err, errors.ErrUnsupported))
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "isolate")
	raw, err := f.SyscallConn()
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	c := &Conn{f: f, raw: raw, oob: make([]byte, unix.CmsgSpace(4*maxFiles))}
	c.recv = func(fd uintptr) bool { return c.spin(int(fd), c.msg) }
	c.read = func(fd uintptr) bool { return c.spin(int(fd), c.plain) }
	return c, nil
}

func (c *Conn) msg(fd int) {
	c.n, c.oobn, c.flags, _, c.err = unix.Recvmsg(fd, c.buf, c.oob, unix.MSG_CMSG_CLOEXEC)
}

func (c *Conn) plain(fd int) { c.n, c.err = unix.Read(fd, c.buf) }

// spinTime is how long receiving looks again and again before it sleeps. To
// be woken takes longer than what many batches take. Where it does not help,
// since batches take longer or the machine is busy, it is tried at every
// spinAgain-th message only.
const (
	spinTime  = 30 * time.Microsecond
	spinFails = 4
	spinAgain = 32
)

// spin receives until there is a message, or there was none for a while.
func (c *Conn) spin(fd int, receive func(int)) bool {
	var until time.Time
	for {
		receive(fd)
		switch {
		case c.err == unix.EINTR:
			continue
		case c.err != unix.EAGAIN:
			if !until.IsZero() && !c.spun {
				c.fails = 0
			}
			c.spun = false
			return true
		case c.spun:
			return false
		}
		t := time.Now()
		switch {
		case !until.IsZero() && t.Before(until):
		case until.IsZero() && (c.fails < spinFails || c.fails%spinAgain == 0) && runtime.NumCPU() > 1:
			until = t.Add(spinTime)
		default:
			c.spun = true
			c.fails++
			return false
		}
		runtime.Gosched() // whoever was just told something works first
	}
}

// maxFiles is how many files are accepted with one message, to be closed if
// they are more than the one that may come.
const maxFiles = 8

// Send sends a frame.
func (c *Conn) Send(frame []byte) error {
	_, err := c.f.Write(frame)
	return c.why(err)
}

// TrySend sends a frame if the socket has room for it at once.
func (c *Conn) TrySend(frame []byte) error {
	var sent error
	err := c.raw.Control(func(s uintptr) {
		sent = unix.Send(int(s), frame, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
	})
	if err == nil {
		err = sent
	}
	return c.why(err)
}

// SendFile sends a frame with a file, which stays the caller's.
func (c *Conn) SendFile(frame []byte, fd int) error {
	rights := unix.UnixRights(fd)
	var sent error
	err := c.raw.Write(func(s uintptr) bool {
		for {
			sent = unix.Sendmsg(int(s), frame, rights, nil, unix.MSG_NOSIGNAL)
			if sent != unix.EINTR {
				return sent != unix.EAGAIN
			}
		}
	})
	if err == nil {
		err = sent
	}
	return c.why(err)
}

// Recv receives a frame into buf, which has room for MaxFrame+1 bytes. Files that come with it are dropped.
func (c *Conn) Recv(buf []byte, f *Frame) error {
	c.buf = buf
	err := c.raw.Read(c.read)
	c.buf = nil
	switch {
	case err != nil:
		return c.why(err)
	case c.err != nil:
		return c.why(c.err)
	case c.n == 0:
		return io.EOF
	}
	return f.Decode(buf[:c.n])
}

// RecvFile receives a frame, and the file that came with it, -1 without one.
func (c *Conn) RecvFile(buf []byte, f *Frame) (fd int, err error) {
	c.buf = buf
	err = c.raw.Read(c.recv)
	c.buf = nil
	if err == nil {
		err = c.err
	}
	if err != nil {
		return -1, c.why(err)
	}
	fd, err = c.file()
	if err == nil && c.n == 0 {
		err = io.EOF
	}
	if err == nil {
		err = f.Decode(buf[:c.n])
	}
	if err != nil && fd >= 0 {
		_ = unix.Close(fd)
		fd = -1
	}
	return fd, err
}

// file takes the one file out of the control message.
func (c *Conn) file() (int, error) {
	if c.oobn == 0 {
		return -1, nil
	}
	var fds []int
	msgs, err := unix.ParseSocketControlMessage(c.oob[:c.oobn])
	for i := range msgs {
		more, bad := unix.ParseUnixRights(&msgs[i])
		fds, err = append(fds, more...), errors.Join(err, bad)
	}
	if err == nil && len(fds) == 1 && c.flags&unix.MSG_CTRUNC == 0 {
		return fds[0], nil
	}
	for _, fd := range fds {
		_ = unix.Close(fd)
	}
	return -1, garbage("a message with %d files", len(fds))
}

// why tells the errors of a closed socket from others: the poller has its
// own.
func (c *Conn) why(err error) error {
	if err != nil && c.closed.Load() {
		return os.ErrClosed
	}
	return err
}

// Close closes the socket; who receives or sends is let go. Calling it again
// does nothing.
func (c *Conn) Close() error {
	if c.closed.Swap(true) {
		return nil
	}
	return c.f.Close()
}
