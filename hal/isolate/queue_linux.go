package isolate

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"weak"

	"github.com/heddle-ml/heddle/hal/driver"
	"github.com/heddle-ml/heddle/hal/isolate/internal/wire"
)

// queue is the client's end of a queue. A batch takes a credit, then the lock
// of senders; it is sent at once if all it waits for is reached, or will be by an earlier batch of
// this queue. Otherwise it joins the backlog, and so do those behind it.
type queue struct {
	d      *device
	id     uint64
	ctx    context.Context // ends when the queue is closed or lost
	cancel context.CancelCauseFunc
	credit chan struct{} // one for each batch that is not done
	lock   chan struct{} // of senders

	// Under lock.
	frame []byte
	after []uint64

	// ending excludes the end of one batch from the end of all.
	ending sync.Mutex

	mu      sync.Mutex
	seq     uint64              // of the last batch sent; changed under lock, too
	oldest  uint64              // the first batch that is not done
	flights [wire.Window]flight // by number modulo the window
	backlog []*held             // oldest first
	pumping bool
	stages  []*stage // idle
	dead    error
	idle    chan struct{} // closed when Close waits for the last batch

	scratch []driver.Point // of the receiver
	closed  atomic.Bool
}

// flight is a batch that was sent.
type flight struct {
	signals   []driver.Point
	downloads []download
	stage     *stage
	since     int64 // when it was sent, or, if later, when the one before was done
}

type download struct {
	host []byte
	off  int64
}

// held is a batch that waits for timelines of others.
type held struct {
	wait, signals []driver.Point
	downloads     []download
	stage         *stage
	payload       []byte
}

var errQueueClosed = fmt.Errorf("the queue was closed: %w", driver.ErrClosed)

func newQueue(d *device, id uint64) *queue {
	q := &queue{d: d, id: id, oldest: 1, credit: make(chan struct{}, wire.Window), lock: make(chan struct{}, 1)}
	q.ctx, q.cancel = context.WithCancelCause(context.Background())
	return q
}

// enter lets the link know the queue.
func (q *queue) enter() error {
	l := q.d.l
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.lostErr(); err != nil {
		return err
	}
	l.queues[q.id] = q
	return nil
}

// NewTimeline makes a timeline that fails when the device is lost.
func (q *queue) NewTimeline(initial uint64) (driver.Timeline, error) {
	l := q.d.l
	t := &timeline{l: l}
	if initial > 0 {
		_ = t.Signal(initial)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.lostErr(); err != nil {
		return nil, err
	}
	if len(l.timelines) >= l.prune {
		live := l.timelines[:0]
		for _, w := range l.timelines {
			if w.Value() != nil {
				live = append(live, w)
			}
		}
		clear(l.timelines[len(live):])
		l.timelines, l.prune = live, max(64, 2*len(live))
	}
	l.timelines = append(l.timelines, weak.Make(t))
	return t, nil
}

// Submit sends the batch or holds it back. It blocks while a window of
// batches is under way.
func (q *queue) Submit(ctx context.Context, b *driver.Batch) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case q.credit <- struct{}{}:
	default:
		select {
		case q.credit <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		case <-q.ctx.Done():
			return context.Cause(q.ctx)
		}
	}
	select {
	case q.lock <- struct{}{}:
	case <-ctx.Done():
		<-q.credit
		return ctx.Err()
	}
	err := q.submit(b)
	<-q.lock
	return err
}

// submit has a credit, which goes with the batch, and the lock.
func (q *queue) submit(b *driver.Batch) error {
	if q.ctx.Err() != nil {
		<-q.credit
		return context.Cause(q.ctx)
	}
	st, err := q.encode(b)
	if err != nil {
		<-q.credit
		return err
	}
	waits, err := q.resolve(b.Wait)
	if err != nil {
		// The batch fails as one does whose wait fails later.
		q.release(st)
		<-q.credit
		failAll(b.Signal, fmt.Errorf("waiting for a timeline: %w", err))
		return nil
	}
	q.mu.Lock()
	if waits || len(q.backlog) > 0 {
		h := &held{wait: append([]driver.Point(nil), b.Wait...), signals: append([]driver.Point(nil), b.Signal...),
			stage: st, payload: append([]byte(nil), q.frame[wire.HeaderSize:]...)}
		h.downloads = appendDownloads(nil, b)
		q.backlog = append(q.backlog, h)
		if !q.pumping {
			q.pumping = true
			go q.pump()
		}
		q.mu.Unlock()
		return nil
	}
	q.mu.Unlock()
	f := q.slot()
	f.signals = append(f.signals[:0], b.Signal...)
	f.downloads = appendDownloads(f.downloads[:0], b)
	f.stage = st
	return q.send()
}

// slot returns where the next batch is noted. Nobody else looks at it before
// send counts it in.
func (q *queue) slot() *flight { return &q.flights[(q.seq+1)%wire.Window] }

// send sends the batch whose commands are in frame and which slot describes.
// The caller holds lock.
func (q *queue) send() error {
	l := q.d.l
	f := q.slot()
	q.mu.Lock()
	if q.dead != nil {
		err, st := q.dead, f.stage
		*f = flight{}
		q.mu.Unlock()
		q.release(st)
		<-q.credit
		return err
	}
	q.seq++
	f.since = now()
	var stageID uint64
	if f.stage != nil {
		stageID = f.stage.id
	}
	q.mu.Unlock()
	l.work()
	n := uint64(len(q.after))
	for _, s := range q.after {
		q.frame = wire.AppendDim(q.frame, int64(s))
	}
	head := wire.Frame{Kind: wire.Submit, ID: q.seq, A: q.id, B: stageID, C: n, Payload: q.frame[wire.HeaderSize:]}
	var err error
	if len(head.Payload) > wire.MaxInline {
		err = l.send(&head, 0, false)
	} else {
		head.AppendHeader(q.frame[:0])
		err = l.conn.Send(q.frame)
	}
	if err != nil {
		// The batch counts as sent: it fails with the device.
		l.fail(fmt.Sprintf("could not be sent a batch (%v) and was killed", err), nil)
		return l.lostErr()
	}
	return nil
}

// resolve tells whether a batch has to wait here. It notes earlier batches of
// this queue that it depends on in after.
func (q *queue) resolve(wait []driver.Point) (waits bool, err error) {
	q.after = q.after[:0]
	for _, p := range wait {
		v, err := p.T.Value()
		if err != nil {
			return false, err
		}
		if v >= p.V {
			continue
		}
		seq := uint64(0)
		if t, ok := p.T.(*timeline); ok && t.l == q.d.l {
			seq = q.signaller(p)
		}
		switch {
		case seq == 0:
			// It may have been reached since.
			if v, err := p.T.Value(); err != nil || v < p.V {
				waits = true
			}
		case len(q.after) < wire.Window:
			q.after = append(q.after, seq)
		default:
			waits = true
		}
	}
	return waits, nil
}

// signaller returns the batch under way that will reach a point, 0 if none
// will.
func (q *queue) signaller(p driver.Point) uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	for s := q.seq; s >= q.oldest; s-- {
		for _, o := range q.flights[s%wire.Window].signals {
			if o.T == p.T && o.V >= p.V {
				return s
			}
		}
	}
	return 0
}

// encode writes the commands to frame, behind room for the header, and
// copies what is uploaded to a stage.
func (q *queue) encode(b *driver.Batch) (*stage, error) {
	var need int64
	for i := range b.Cmds {
		if c := &b.Cmds[i]; c.Op == driver.Upload || c.Op == driver.Download {
			need += stageSize(len(c.Host))
		}
	}
	var st *stage
	if need > 0 {
		var err error
		if st, err = q.stage(need); err != nil {
			return nil, err
		}
	}
	if cap(q.frame) < wire.HeaderSize {
		q.frame = make([]byte, 0, 1<<10)
	}
	out := q.frame[:wire.HeaderSize]
	var off int64
	var err error
	for i := range b.Cmds {
		c := &b.Cmds[i]
		w := wire.Cmd{Op: c.Op, Value: c.Value, Rows: c.Rows, DstStride: c.DstStride, SrcStride: c.SrcStride}
		switch c.Op {
		case driver.Run:
			x, ok := c.Exec.(*executable)
			if !ok {
				err = fmt.Errorf("run of an executable of another device (%T)", c.Exec)
				break
			}
			out = wire.AppendRun(out, uint32(x.id), len(c.Args), len(c.Dims))
			for _, a := range c.Args {
				var r wire.Region
				if r, err = region(a); err != nil {
					break
				}
				out = wire.AppendArg(out, r)
			}
			for _, d := range c.Dims {
				out = wire.AppendDim(out, d)
			}
			continue
		case driver.Copy:
			if w.Dst, err = region(c.Dst); err == nil {
				w.Src, err = region(c.Src)
			}
		case driver.Fill:
			w.Dst, err = region(c.Dst)
		case driver.Upload:
			w.Dst, err = region(c.Dst)
			w.Stage = off
			if len(c.Host) > 0 {
				copy(st.mapping.Bytes[off:], c.Host)
			}
			off += stageSize(len(c.Host))
		case driver.Download:
			w.Src, err = region(c.Src)
			w.Stage = off
			off += stageSize(len(c.Host))
		default:
			err = fmt.Errorf("%s: %w", c.Op, driver.ErrUnsupported)
		}
		if err != nil {
			break
		}
		out = w.Append(out)
	}
	q.frame = out
	if err != nil {
		q.release(st)
		return nil, err
	}
	return st, nil
}

func region(r driver.Region) (wire.Region, error) {
	m, ok := r.Mem.(*memory)
	if !ok {
		return wire.Region{}, fmt.Errorf("a region of memory of another device (%T): %w", r.Mem, driver.ErrUnsupported)
	}
	return wire.Region{Mem: uint32(m.id), Off: r.Off, Size: r.Size}, nil
}

// appendDownloads notes where downloaded bytes go, as encode placed them.
func appendDownloads(to []download, b *driver.Batch) []download {
	var off int64
	for i := range b.Cmds {
		c := &b.Cmds[i]
		if c.Op != driver.Upload && c.Op != driver.Download {
			continue
		}
		if c.Op == driver.Download && len(c.Host) > 0 {
			to = append(to, download{c.Host, off})
		}
		off += stageSize(len(c.Host))
	}
	return to
}

// pump sends the backlog, each batch when its waits are over.
func (q *queue) pump() {
	for {
		q.mu.Lock()
		if len(q.backlog) == 0 {
			q.pumping = false
			q.mu.Unlock()
			q.rested()
			return
		}
		h := q.backlog[0]
		q.mu.Unlock()
		err := q.await(h.wait)
		// In line with who submits: the batch leaves the backlog as it is sent.
		q.lock <- struct{}{}
		q.mu.Lock()
		q.backlog[0] = nil
		q.backlog = q.backlog[1:]
		q.mu.Unlock()
		if err == nil && q.ctx.Err() != nil {
			err = context.Cause(q.ctx) // the child's queue may be closed already
		}
		if err == nil {
			q.after = q.after[:0]
			if cap(q.frame) < wire.HeaderSize {
				q.frame = make([]byte, 0, wire.HeaderSize+len(h.payload))
			}
			q.frame = append(q.frame[:wire.HeaderSize], h.payload...)
			f := q.slot()
			f.signals, f.downloads, f.stage = append(f.signals[:0], h.signals...), append(f.downloads[:0], h.downloads...), h.stage
			err = q.send()
		} else {
			q.release(h.stage)
			<-q.credit
		}
		<-q.lock
		if err != nil {
			failAll(h.signals, err)
		}
	}
}

// await waits for points on behalf of a batch.
func (q *queue) await(points []driver.Point) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("a timeline of another driver panicked: %v", p)
		}
	}()
	for _, p := range points {
		if err := p.T.Wait(q.ctx, p.V); err != nil {
			if q.ctx.Err() != nil && errors.Is(err, context.Canceled) {
				return context.Cause(q.ctx) // not the waiter's own context
			}
			return fmt.Errorf("waiting for a timeline: %w", err)
		}
	}
	if q.ctx.Err() != nil {
		return context.Cause(q.ctx)
	}
	return nil
}

func failAll(signals []driver.Point, err error) {
	for _, p := range signals {
		p.T.Fail(err)
	}
}

// done takes the end of a batch.
func (l *link) done(f *wire.Frame) error {
	l.mu.Lock()
	q := l.queues[f.A]
	l.mu.Unlock()
	if q == nil {
		return fmt.Errorf("a batch done on queue %d, which is not there: %w", f.A, wire.ErrGarbage)
	}
	var failure error
	if f.Code != 0 {
		var bad error
		if failure, bad = wire.DecodeFailure(f.Code, f.Payload); bad != nil {
			return bad
		}
	}
	if err := q.done(f.ID, failure); err != nil {
		return err
	}
	l.busy.Add(-1)
	if failure == nil && !l.worked.Swap(true) {
		deaths.worked(l.key)
	}
	return nil
}

func (q *queue) done(seq uint64, failure error) error {
	q.ending.Lock()
	defer q.ending.Unlock()
	q.mu.Lock()
	if seq != q.oldest || seq > q.seq {
		q.mu.Unlock()
		return fmt.Errorf("batch %d of queue %d done, not batch %d: %w", seq, q.id, q.oldest, wire.ErrGarbage)
	}
	f := &q.flights[seq%wire.Window]
	q.mu.Unlock()
	if failure == nil {
		for _, d := range f.downloads {
			copy(d.host, f.stage.mapping.Bytes[d.off:])
		}
	}
	q.scratch = append(q.scratch[:0], f.signals...)
	q.mu.Lock()
	st := f.stage
	clear(f.signals)
	clear(f.downloads)
	f.signals, f.downloads, f.stage = f.signals[:0], f.downloads[:0], nil
	q.oldest++
	if next := &q.flights[q.oldest%wire.Window]; q.oldest <= q.seq {
		next.since = max(next.since, now())
	}
	q.mu.Unlock()
	q.release(st)
	for i, p := range q.scratch {
		err := failure
		if err == nil {
			err = p.T.Signal(p.V)
		}
		if err != nil {
			failAll(q.scratch[i:], err)
			break
		}
	}
	clear(q.scratch)
	<-q.credit
	q.rested()
	return nil
}

// since returns since when the oldest batch is being worked on, 0 if there is
// none.
func (q *queue) since() int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.oldest > q.seq {
		return 0
	}
	return q.flights[q.oldest%wire.Window].since
}

// rested lets Close go on when there is nothing left to wait for.
func (q *queue) rested() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.idle != nil && len(q.backlog) == 0 && !q.pumping && q.oldest > q.seq {
		close(q.idle)
		q.idle = nil
	}
}

// lost fails what is under way, and all that comes.
func (q *queue) lost(err error) {
	q.cancel(err)
	q.ending.Lock()
	q.mu.Lock()
	q.dead = err
	var points []driver.Point
	stages := q.stages
	q.stages = nil
	for ; q.oldest <= q.seq; q.oldest++ {
		f := &q.flights[q.oldest%wire.Window]
		points = append(points, f.signals...)
		if f.stage != nil {
			stages = append(stages, f.stage)
		}
		*f = flight{}
	}
	q.mu.Unlock()
	q.ending.Unlock()
	for _, st := range stages {
		st.mapping.Unmap()
	}
	failAll(points, err)
	q.rested()
}

// Close lets the child's queue finish or fail what was sent, and fails what
// is held back.
func (q *queue) Close() error {
	if q.closed.Swap(true) {
		return nil
	}
	q.cancel(errQueueClosed)
	q.lock <- struct{}{} // after whoever is sending
	<-q.lock
	l := q.d.l
	wait := l.o.runTimeout() * wire.Window
	if wait == 0 {
		wait = -1 // as long as it takes
	}
	err := l.drop(wire.CloseQueue, q.id, wait)
	idle := make(chan struct{})
	q.mu.Lock()
	q.idle = idle
	q.mu.Unlock()
	q.rested()
	<-idle
	l.mu.Lock()
	delete(l.queues, q.id)
	l.mu.Unlock()
	q.mu.Lock()
	stages := q.stages
	q.stages, q.dead = nil, errQueueClosed
	q.mu.Unlock()
	for _, st := range stages {
		q.dropStage(st)
	}
	return err
}
