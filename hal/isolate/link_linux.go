package isolate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"weak"

	"golang.org/x/sys/unix"

	"github.com/heddle-ml/heddle/hal/driver"
	"github.com/heddle-ml/heddle/hal/isolate/internal/wire"
)

// link is the connection to a host. It ends once: by close, or by fail.
type link struct {
	conn *wire.Conn
	proc *process // nil in tests that play the host
	o    *Options
	key  string // of the device in deaths
	open atomic.Bool
	// greeted: the host has said hello.
	greeted atomic.Bool
	// worked: a batch was done, so the child does not die at once.
	worked atomic.Bool

	mu        sync.Mutex
	nextCall  uint64
	calls     map[uint64]*pending
	queues    map[uint64]*queue
	timelines []weak.Pointer[timeline]
	prune     int // length of timelines at which dead ones are removed

	closing atomic.Bool // the device is being closed: its end is no loss
	ending  sync.Once
	lost    atomic.Pointer[lostError]
	gone    chan struct{} // closed when lost is set
	ended   sync.WaitGroup

	// For watch.
	busy   atomic.Int64 // calls and batches that are not answered
	asleep atomic.Bool
	wake   chan struct{}
	heard  atomic.Int64 // when the last frame came, see now
}

// lostError says how a device was lost.
type lostError struct {
	text  string
	wraps []error
}

func (e *lostError) Error() string   { return e.text }
func (e *lostError) Unwrap() []error { return e.wraps }

// pending is a call without its answer.
type pending struct {
	kind     wire.Kind
	deadline int64 // see now; 0: none
	limit    int   // bytes of the answer
	got      []byte
	answer   chan answer // capacity 1
	// undo, once the caller has given up, releases what the call made.
	givenUp bool
	undo    func()
}

type answer struct {
	payload []byte
	err     error
}

// request is a call to make.
type request struct {
	kind    wire.Kind
	a, b, c uint64
	payload []byte
	file    int // with hasFile
	hasFile bool
	limit   int // of the answer, in bytes
	slow    bool
	// wait overrides the time for an answer: 0 as usual, negative for ever.
	wait time.Duration
	undo func()
}

// replyLimit bounds answers of unknown length that are not blobs.
const replyLimit = 16 << 20

var epoch = time.Now()

// now is monotonic, in nanoseconds, and never 0.
func now() int64 { return int64(time.Since(epoch)) + 1 }

func newLink(conn *wire.Conn, p *process, o *Options) *link {
	l := &link{conn: conn, proc: p, o: o, calls: map[uint64]*pending{}, queues: map[uint64]*queue{}, prune: 64,
		gone: make(chan struct{}), wake: make(chan struct{}, 1)}
	l.heard.Store(now())
	l.ended.Add(2)
	go l.receive()
	go l.watch()
	return l
}

func (l *link) program() string {
	if l.proc == nil {
		return hostName
	}
	return l.proc.name
}

// lostErr returns how the device was lost, nil while it is there.
func (l *link) lostErr() error {
	if e := l.lost.Load(); e != nil {
		return e
	}
	return nil
}

// work notes that an answer is awaited.
func (l *link) work() {
	l.busy.Add(1)
	if l.asleep.Load() {
		select {
		case l.wake <- struct{}{}:
		default:
		}
	}
}

// call makes a call and waits for its answer, until ctx ends.
func (l *link) call(ctx context.Context, r request) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	limit := l.o.timeout(r.slow)
	if r.wait != 0 {
		limit = max(r.wait, 0)
	}
	p := &pending{kind: r.kind, limit: r.limit, answer: make(chan answer, 1), undo: r.undo}
	if limit > 0 {
		p.deadline = now() + int64(limit)
	}
	l.mu.Lock()
	if err := l.lostErr(); err != nil {
		l.mu.Unlock()
		return nil, err
	}
	l.nextCall++
	id := l.nextCall
	l.calls[id] = p
	l.mu.Unlock()
	l.work()
	err := l.send(&wire.Frame{Kind: r.kind, ID: id, A: r.a, B: r.b, C: r.c, Payload: r.payload}, r.file, r.hasFile)
	if err != nil {
		l.mu.Lock()
		_, mine := l.calls[id]
		delete(l.calls, id)
		l.mu.Unlock()
		if mine {
			l.busy.Add(-1)
			return nil, l.sendErr(err)
		}
	}
	select {
	case a := <-p.answer:
		return a.payload, a.err
	case <-ctx.Done():
	}
	l.mu.Lock()
	p.givenUp = true
	l.mu.Unlock()
	select {
	case a := <-p.answer: // meanwhile
		return a.payload, a.err
	default:
	}
	_ = l.send(&wire.Frame{Kind: wire.Cancel, ID: id}, 0, false)
	return nil, ctx.Err()
}

// sendErr is the error of a frame that could not be sent.
func (l *link) sendErr(err error) error {
	if errors.Is(err, unix.EPIPE) || errors.Is(err, unix.ECONNRESET) || errors.Is(err, os.ErrClosed) {
		l.fail("", nil) // receive will know soon; who sends wants to know now
		return l.lostErr()
	}
	return fmt.Errorf("sending to the device's process: %w", err)
}

// send sends a frame; a payload that is too long for one goes in a file.
func (l *link) send(f *wire.Frame, file int, hasFile bool) error {
	if len(f.Payload) > wire.MaxInline {
		if len(f.Payload) > wire.MaxPayload {
			return fmt.Errorf("%d bytes; at most %d: %w", len(f.Payload), wire.MaxPayload, driver.ErrUnsupported)
		}
		fd, err := wire.Frozen(f.Kind.String(), f.Payload)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		f.Flags |= wire.InFile
		f.FileSize, f.Payload = uint64(len(f.Payload)), nil
		file, hasFile = fd, true
	}
	b := f.Append(make([]byte, 0, wire.HeaderSize+len(f.Payload)))
	if hasFile {
		return l.conn.SendFile(b, file)
	}
	return l.conn.Send(b)
}

// receive reads what the host says until the end. It never blocks on
// anything else, so the host can always speak.
func (l *link) receive() {
	defer l.ended.Done()
	buf := make([]byte, wire.MaxFrame+1)
	var f wire.Frame
	for {
		err := l.conn.Recv(buf, &f)
		if err == nil {
			l.heard.Store(now())
			switch f.Kind {
			case wire.Reply:
				err = l.reply(&f)
			case wire.Done:
				err = l.done(&f)
			case wire.Pong:
			default:
				err = fmt.Errorf("a %s frame: %w", f.Kind, wire.ErrGarbage)
			}
		}
		switch {
		case err == nil:
		case l.closing.Load():
			l.shut(byeGrace)
			return
		case errors.Is(err, io.EOF) || errors.Is(err, unix.ECONNRESET) || errors.Is(err, os.ErrClosed):
			l.fail("", nil)
			return
		default:
			l.fail(fmt.Sprintf("sent what it may not send (%v) and was killed", err), nil)
			return
		}
	}
}

// reply takes one frame of an answer.
func (l *link) reply(f *wire.Frame) error {
	l.mu.Lock()
	p := l.calls[f.ID]
	if p == nil {
		l.mu.Unlock()
		return fmt.Errorf("an answer to call %d, which was not made: %w", f.ID, wire.ErrGarbage)
	}
	if len(p.got)+len(f.Payload) > max(p.limit, wire.MaxInline) {
		l.mu.Unlock()
		return fmt.Errorf("an answer to %s of more than %d bytes: %w", p.kind, p.limit, wire.ErrGarbage)
	}
	p.got = append(p.got, f.Payload...)
	if f.Flags&wire.More != 0 {
		l.mu.Unlock()
		return nil
	}
	a := answer{payload: p.got}
	if f.Code != 0 {
		a.payload = nil
		var bad error
		if a.err, bad = wire.DecodeFailure(f.Code, p.got); bad != nil {
			l.mu.Unlock()
			return fmt.Errorf("an answer to %s: %w", p.kind, bad)
		}
	}
	delete(l.calls, f.ID)
	undo := p.givenUp && p.undo != nil && a.err == nil
	p.answer <- a
	l.mu.Unlock()
	l.busy.Add(-1)
	if undo {
		go p.undo()
	}
	return nil
}

// fail ends the link because of what the process did: it killed it if it is still there. An empty reason
// stands for its end. Calls, batches and timelines fail. It returns when the
// loss is known to all.
func (l *link) fail(reason string, also error) {
	l.ending.Do(func() {
		_ = l.conn.Close()
		text := "the connection ended"
		if l.proc != nil {
			how := l.proc.end(0)
			if reason == "" {
				reason = how
			} else if said := l.proc.said.last(); said != "" {
				reason += ", saying: " + said
			}
			text = fmt.Sprintf("the device's process %d (%s) %s", l.proc.cmd.Process.Pid, l.proc.name, reason)
			if l.o.MemLimit > 0 && also == nil && strings.Contains(how, "out of memory") {
				also = driver.ErrOutOfMemory
			}
		} else if reason != "" {
			text = "the host " + reason
		}
		e := &lostError{text + ": " + driver.ErrDeviceLost.Error(), []error{driver.ErrDeviceLost}}
		if also != nil {
			e.wraps = append(e.wraps, also)
		}
		l.finish(e)
		if l.open.Load() && !l.worked.Load() {
			deaths.died(l.key, e)
		}
	})
}

// close ends the link without a loss and waits for its goroutines.
func (l *link) close(grace time.Duration) {
	l.shut(grace)
	l.ended.Wait()
}

// shut ends the link without a loss.
func (l *link) shut(grace time.Duration) {
	l.ending.Do(func() {
		_ = l.conn.Close()
		if l.proc != nil {
			_ = l.proc.end(grace)
		}
		l.finish(&lostError{"the device was closed", []error{driver.ErrClosed}})
	})
}

// finish makes the end known.
func (l *link) finish(e *lostError) {
	l.mu.Lock()
	l.lost.Store(e)
	close(l.gone)
	calls, queues, timelines := l.calls, l.queues, l.timelines
	l.calls, l.queues, l.timelines = nil, nil, nil
	for _, p := range calls {
		p.answer <- answer{err: e}
	}
	l.mu.Unlock()
	for _, q := range queues {
		q.lost(e)
	}
	for _, w := range timelines {
		if t := w.Value(); t != nil {
			t.Fail(e)
		}
	}
}

// timeline is a value that the link fails when it ends.
type timeline struct {
	driver.HostTimeline
	l *link
}
