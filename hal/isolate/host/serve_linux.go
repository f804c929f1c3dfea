package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/hal/driver"
	"github.com/heddle-ml/heddle/hal/isolate/internal/wire"
)

// Serve serves one device of r over a socket of type SOCK_SEQPACKET, which it
// takes over, until the other end says goodbye (nil), closes the socket (nil) or sends
// what is no message (an error). It is Main without its process: for
// tests. A driver that hangs is left behind after a while.
func Serve(ctx context.Context, fd int, r *hal.Registry) error {
	conn, err := wire.NewConn(fd)
	if err != nil {
		return err
	}
	return serve(ctx, conn, r, func(int64) error { return nil })
}

// serveMany serves sessions on the sockets that come over conn, and tells how
// each ended: with code 1 if what came made no sense.
func serveMany(conn *wire.Conn, r *hal.Registry) error {
	buf := make([]byte, wire.MaxFrame+1)
	for {
		var f wire.Frame
		fd, err := conn.RecvFile(buf, &f)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		end := wire.Frame{Kind: wire.Pong}
		if err := Serve(context.Background(), fd, r); err != nil {
			end.Code = 1
		}
		if err := conn.Send(end.Append(nil)); err != nil {
			return err
		}
	}
}

// maxCalls bounds the calls that are being handled; a client waits for
// answers long before.
const maxCalls = 4096

type server struct {
	conn   *wire.Conn
	reg    *hal.Registry
	limit  func(int64) error
	ctx    context.Context
	cancel context.CancelFunc
	drv    driver.Driver // after Hello
	name   string
	work   sync.WaitGroup // calls

	mu      sync.Mutex
	dev     *device // after Open
	opening bool
	mems    map[uint32]*memory
	execs   map[uint32]*executable
	queues  map[uint32]*queue
	sources map[uint32]*source
	stages  map[uint32]*stage
	calls   map[uint64]context.CancelFunc
}

// call is a request with all that belongs to it. File and mapping are closed
// after the handler, which takes them out to keep them.
type call struct {
	wire.Frame
	file    int
	mapping *wire.Mapping
}

func (c *call) close() {
	c.mapping.Unmap()
	if c.file >= 0 {
		_ = unix.Close(c.file)
	}
	c.file = -1
}

// take hands the file to the caller.
func (c *call) take() int {
	fd := c.file
	c.file = -1
	return fd
}

func serve(ctx context.Context, conn *wire.Conn, r *hal.Registry, limit func(int64) error) error {
	s := &server{conn: conn, reg: r, limit: limit, mems: map[uint32]*memory{}, execs: map[uint32]*executable{},
		queues: map[uint32]*queue{}, sources: map[uint32]*source{}, stages: map[uint32]*stage{}, calls: map[uint64]context.CancelFunc{}}
	s.ctx, s.cancel = context.WithCancel(ctx)
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	err := s.receive()
	s.cancel()
	_ = conn.Close()
	s.clean()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, io.EOF) || errors.Is(err, os.ErrClosed) || errors.Is(err, unix.ECONNRESET):
		return nil // the client closed, or died
	}
	return err
}

// receive reads frames until the end. It calls no driver.
func (s *server) receive() error {
	buf := make([]byte, wire.MaxFrame+1)
	out := make([]byte, 0, wire.HeaderSize)
	var f wire.Frame
	for {
		fd, err := s.conn.RecvFile(buf, &f)
		if err != nil {
			return err
		}
		switch {
		case f.Kind == wire.Submit && fd < 0 && f.Flags == 0:
			err = s.submit(&f, f.Payload)
		case f.Kind == wire.Ping && fd < 0:
			pong := wire.Frame{Kind: wire.Pong, ID: f.ID}
			err = s.conn.Send(pong.Append(out[:0]))
		default:
			err = s.other(&call{Frame: f, file: fd})
		}
		if err != nil {
			return err
		}
	}
}

// other handles what is not steady state.
func (s *server) other(c *call) (err error) {
	keep := false
	defer func() {
		if !keep {
			c.close()
		}
	}()
	if (c.Kind == wire.Hello) != (s.name == "") {
		return fmt.Errorf("%s at the wrong time: %w", c.Kind, wire.ErrGarbage)
	}
	if c.Flags&wire.More != 0 || c.Kind >= wire.Reply {
		return fmt.Errorf("%s with flags %d: %w", c.Kind, c.Flags, wire.ErrGarbage)
	}
	if c.Flags&wire.InFile != 0 {
		if c.file < 0 {
			return fmt.Errorf("%s: a payload in a file without the file: %w", c.Kind, wire.ErrGarbage)
		}
		if err := wire.CheckSize(c.file, 0, int64(c.FileSize), true); err != nil {
			return fmt.Errorf("%s: %w", c.Kind, err)
		}
		if c.mapping, err = wire.Map(c.file, 0, int64(c.FileSize), false); err != nil {
			return fmt.Errorf("%s: %w", c.Kind, err)
		}
		_ = unix.Close(c.take())
		c.Payload = c.mapping.Bytes
	}
	if c.file >= 0 && c.Kind != wire.Alloc && c.Kind != wire.Import && c.Kind != wire.Source && c.Kind != wire.Stage {
		return fmt.Errorf("%s with a file: %w", c.Kind, wire.ErrGarbage)
	}
	switch c.Kind {
	case wire.Submit:
		return s.submit(&c.Frame, c.Payload)
	case wire.Cancel:
		s.mu.Lock()
		cancel := s.calls[c.ID]
		s.mu.Unlock()
		if cancel != nil {
			cancel()
		}
		return nil
	case wire.Source:
		return s.addSource(c)
	case wire.Stage:
		return s.addStage(c)
	case wire.Drop:
		return s.drop(c)
	case wire.Hello:
		return s.hello(c)
	}
	if c.mapping == nil {
		c.Payload = bytes.Clone(c.Payload) // the buffer is the receiver's
	}
	keep = true
	return s.start(c)
}

// start handles a call in a goroutine of its own.
func (s *server) start(c *call) error {
	ctx, cancel := context.WithCancel(s.ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, taken := s.calls[c.ID]; taken || len(s.calls) >= maxCalls {
		cancel()
		c.close()
		return fmt.Errorf("call %d, with %d others in progress: %w", c.ID, len(s.calls), wire.ErrGarbage)
	}
	var q *queue
	if c.Kind == wire.CloseQueue {
		// Here, between frames, so that no Submit meets a closed channel.
		if q = s.queues[uint32(c.A)]; q != nil && c.A == uint64(uint32(c.A)) {
			delete(s.queues, uint32(c.A))
			q.shut()
		}
	}
	s.calls[c.ID] = cancel
	s.work.Go(func() {
		defer c.close()
		payload, err := s.handle(ctx, c, q)
		cancel()
		s.mu.Lock()
		delete(s.calls, c.ID)
		s.mu.Unlock()
		s.reply(c.ID, payload, err)
	})
	return nil
}

// reply answers a call. An error of the socket shows in receive, too.
func (s *server) reply(id uint64, payload []byte, err error) {
	f := wire.Frame{Kind: wire.Reply, ID: id}
	if err != nil {
		fail := wire.FailureOf(bare(err))
		f.Code, payload = fail.Code, fail.Append(nil)
	} else if len(payload) > wire.MaxPayload {
		fail := wire.FailureOf(fmt.Errorf("an answer of %d bytes; at most %d: %w", len(payload), wire.MaxPayload, driver.ErrUnsupported))
		f.Code, payload = fail.Code, fail.Append(nil)
	}
	var buf []byte
	for {
		f.Payload = payload[:min(len(payload), wire.MaxInline)]
		payload = payload[len(f.Payload):]
		f.Flags = 0
		if len(payload) > 0 {
			f.Flags = wire.More
		}
		buf = f.Append(buf[:0])
		if s.conn.Send(buf) != nil || len(payload) == 0 {
			return
		}
	}
}

// bare takes off what package hal puts around errors: the client's hal puts
// it on again.
func bare(err error) error {
	e, ok := err.(*hal.Error)
	if !ok {
		return err
	}
	if f := wire.FailureOf(e.Err); e.Node != "" && !f.Placed() {
		return fmt.Errorf("node %s: %w", e.Node, e.Err)
	}
	return e.Err
}

// cleanLimit is how long a driver may take to let go after the client has.
const cleanLimit = 2 * time.Second

// clean lets go of everything, in order. What a hanging driver may still use
// stays mapped.
func (s *server) clean() {
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.release()
	}()
	select {
	case <-done:
	case <-time.After(cleanLimit):
	}
}

func (s *server) release() {
	defer func() { _ = recover() }() // of a driver that has already misbehaved
	s.closeQueues()
	s.work.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, x := range s.execs {
		x.use.Wait()
		if s.dev != nil {
			_ = x.exe.Close()
		}
		x.unmap()
	}
	for _, m := range s.mems {
		m.use.Wait()
		if s.dev != nil {
			_ = m.buf.Close()
		}
		m.unmap()
	}
	if s.dev != nil {
		_ = s.dev.Close()
	}
	for _, x := range s.sources {
		x.mapping.Unmap()
	}
	for _, x := range s.stages {
		x.use.Wait()
		x.mapping.Unmap()
	}
}

// closeQueues closes the queues that the client left open.
func (s *server) closeQueues() {
	s.mu.Lock()
	var queues []*queue
	for n, q := range s.queues {
		delete(s.queues, n)
		q.shut()
		queues = append(queues, q)
	}
	s.mu.Unlock()
	for _, q := range queues {
		_ = q.close()
	}
}
