package host

import (
	"context"
	"fmt"
	"math"
	"sync"

	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/hal/driver"
	"github.com/heddle-ml/heddle/hal/isolate/internal/wire"
)

// stage is memory for the bytes of uploads and downloads.
type stage struct {
	mapping *wire.Mapping
	use     sync.WaitGroup
}

func (s *server) addStage(c *call) error {
	n, err := id(c.A)
	if err != nil {
		return err
	}
	if c.file < 0 || !wire.Sealed(c.file) {
		return fmt.Errorf("a stage without a sealed file: %w", wire.ErrGarbage)
	}
	if err := wire.CheckSize(c.file, 0, int64(c.C), false); err != nil {
		return fmt.Errorf("stage: %w", err)
	}
	m, err := wire.Map(c.file, 0, int64(c.C), true)
	if err != nil {
		return fmt.Errorf("stage: %w", err)
	}
	if err := add(s, s.stages, n, &stage{mapping: m}); err != nil {
		m.Unmap()
		return err
	}
	return nil
}

// drop ends a source or a stage. A client drops a stage when no batch uses
// it; another one is waited for aside.
func (s *server) drop(c *call) error {
	if c.B == 1 {
		x, ok := remove(s, s.stages, c.A)
		if !ok {
			return fmt.Errorf("stage %d is dropped and is not there: %w", c.A, wire.ErrGarbage)
		}
		s.work.Go(func() {
			x.use.Wait()
			x.mapping.Unmap()
		})
		return nil
	}
	x, ok := remove(s, s.sources, c.A)
	if !ok {
		return fmt.Errorf("source %d is dropped and is not there: %w", c.A, wire.ErrGarbage)
	}
	x.release()
	return nil
}

// queue runs the batches of one queue of the client. Batches go from the
// receiver to submit, which hands them to the driver, to finish, which waits
// for them and tells the client.
type queue struct {
	s    *server
	id   uint64
	q    *hal.Queue
	in   chan *job // shut ends it; room for a whole window, so that sending never blocks
	done chan struct{}

	shutting bool // under server.mu

	mu   sync.Mutex
	free []*job
	jobs int
	// past says how the last batches ended, by number modulo the window: a
	// batch that depends on one of them fails when it failed.
	past [wire.Window]outcome
}

type outcome struct {
	seq      uint64
	finished bool
	err      error
	tl       *hal.Timeline // pending until it reaches v
	v        uint64
}

// job is a batch on its way, with storage that is reused.
type job struct {
	seq   uint64
	wire  wire.Batch
	batch hal.Batch
	args  []hal.Region
	uses  []*sync.WaitGroup
	// Each job has a timeline of its own: one that failed says nothing about
	// the other batches.
	tl  *hal.Timeline
	v   uint64
	err error
}

func (s *server) newQueue(d *device, c *call) error {
	n, err := id(c.A)
	if err != nil {
		return err
	}
	o, err := wire.JSON[driver.QueueOptions](c.Payload)
	if err != nil {
		return err
	}
	hq, err := d.NewQueue(o)
	if err != nil {
		return err
	}
	q := &queue{s: s, id: uint64(n), q: hq, in: make(chan *job, wire.Window), done: make(chan struct{})}
	flight := make(chan *job, wire.Window)
	go q.submit(flight)
	go q.finish(flight)
	if err := add(s, s.queues, n, q); err != nil {
		q.shut()
		_ = q.close()
		return err
	}
	return nil
}

// shut lets nothing more in. The caller holds server.mu, or is the only one
// to know the queue.
func (q *queue) shut() {
	if !q.shutting {
		q.shutting = true
		close(q.in)
	}
}

// close closes the driver's queue, and returns when every batch has been
// reported.
func (q *queue) close() error {
	err := q.q.Close()
	<-q.done
	return err
}

// submit, of the server, takes a batch from the client. It returns an error
// only for what no honest client sends.
func (s *server) submit(f *wire.Frame, payload []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.queues[uint32(f.A)]
	if q == nil || f.A > math.MaxUint32 {
		return fmt.Errorf("a batch for queue %d, which is not there: %w", f.A, wire.ErrGarbage)
	}
	j := q.job()
	if j == nil {
		return fmt.Errorf("queue %d: more than %d batches at once: %w", f.A, wire.Window, wire.ErrGarbage)
	}
	j.seq, j.err = f.ID, nil
	if err := j.wire.Decode(payload, f.C); err != nil {
		return err
	}
	if err := s.convert(j, f.B); err != nil {
		j.drop()
		return err
	}
	q.in <- j
	return nil
}

// convert replaces numbers by objects and holds those. The caller holds mu.
func (s *server) convert(j *job, stageID uint64) error {
	var st *stage
	if stageID != 0 {
		if st = s.stages[uint32(stageID)]; st == nil || stageID > math.MaxUint32 {
			return fmt.Errorf("a batch with stage %d, which is not there: %w", stageID, wire.ErrGarbage)
		}
		j.use(&st.use)
	}
	n := 0
	for i := range j.wire.Cmds {
		n += len(j.wire.Cmds[i].Args)
	}
	if cap(j.args) < n {
		j.args = make([]hal.Region, 0, n)
	}
	for i := range j.wire.Cmds {
		w := &j.wire.Cmds[i]
		c := hal.Cmd{Op: w.Op, Value: w.Value, Dims: w.Dims, Rows: w.Rows, DstStride: w.DstStride, SrcStride: w.SrcStride}
		var err error
		switch w.Op {
		case driver.Run:
			x := s.execs[w.Exec]
			if x == nil {
				return fmt.Errorf("a run of executable %d, which is not there: %w", w.Exec, wire.ErrGarbage)
			}
			j.use(&x.use)
			c.Exec = x.exe
			start := len(j.args)
			for _, a := range w.Args {
				r, err := s.region(j, a)
				if err != nil {
					return err
				}
				j.args = append(j.args, r)
			}
			c.Args = j.args[start:len(j.args):len(j.args)]
		case driver.Copy:
			if c.Dst, err = s.region(j, w.Dst); err == nil {
				c.Src, err = s.region(j, w.Src)
			}
		case driver.Fill:
			c.Dst, err = s.region(j, w.Dst)
		case driver.Upload:
			if c.Dst, err = s.region(j, w.Dst); err == nil {
				c.Host, err = staged(st, w.Stage, w.Dst.Size)
			}
		case driver.Download:
			if c.Src, err = s.region(j, w.Src); err == nil {
				c.Host, err = staged(st, w.Stage, w.Src.Size)
			}
		}
		if err != nil {
			return err
		}
		j.batch.Cmds = append(j.batch.Cmds, c)
	}
	return nil
}

func staged(st *stage, off, size int64) ([]byte, error) {
	if size == 0 {
		return []byte{}, nil
	}
	if st == nil || off < 0 || size < 0 || off > int64(len(st.mapping.Bytes)) || size > int64(len(st.mapping.Bytes))-off {
		return nil, fmt.Errorf("%d bytes at %d are not in the stage: %w", size, off, wire.ErrGarbage)
	}
	return st.mapping.Bytes[off : off+size : off+size], nil
}

func (s *server) region(j *job, r wire.Region) (hal.Region, error) {
	m := s.mems[r.Mem]
	if m == nil {
		return hal.Region{}, fmt.Errorf("a region of memory %d, which is not there: %w", r.Mem, wire.ErrGarbage)
	}
	j.use(&m.use)
	return m.buf.At(r.Off, r.Size), nil
}

func (j *job) use(g *sync.WaitGroup) {
	g.Add(1)
	j.uses = append(j.uses, g)
}

// drop lets go of the objects.
func (j *job) drop() {
	for _, g := range j.uses {
		g.Done()
	}
	clear(j.batch.Cmds)
	clear(j.batch.Wait)
	clear(j.args)
	j.batch.Cmds, j.batch.Wait, j.args, j.uses = j.batch.Cmds[:0], j.batch.Wait[:0], j.args[:0], j.uses[:0]
}

// job returns an idle job, nil when the window is full.
func (q *queue) job() *job {
	q.mu.Lock()
	defer q.mu.Unlock()
	if n := len(q.free); n > 0 {
		j := q.free[n-1]
		q.free = q.free[:n-1]
		return j
	}
	if q.jobs == wire.Window {
		return nil
	}
	q.jobs++
	return new(job)
}

// submit hands batches to the driver, which may block.
func (q *queue) submit(flight chan<- *job) {
	defer close(flight)
	for j := range q.in {
		if j.err = q.hand(j); j.err != nil {
			// Its timeline will not move: whoever depends on it must not wait.
			q.mu.Lock()
			q.past[j.seq%wire.Window] = outcome{seq: j.seq, finished: true, err: j.err}
			q.mu.Unlock()
		}
		flight <- j
	}
}

func (q *queue) hand(j *job) (err error) {
	if j.tl == nil {
		if j.tl, err = q.q.NewTimeline(0); err != nil {
			j.tl = nil
			return bare(err)
		}
		j.v = 0
	}
	j.v++
	q.mu.Lock()
	for _, seq := range j.wire.After {
		p := &q.past[seq%wire.Window]
		switch {
		case p.seq != seq:
			err = fmt.Errorf("batch %d depends on batch %d, which is not the queue's: %w", j.seq, seq, wire.ErrGarbage)
		case p.err != nil:
			err = fmt.Errorf("waiting for a timeline: %w", p.err)
		case !p.finished:
			j.batch.Wait = append(j.batch.Wait, hal.Point{T: p.tl, V: p.v})
		}
	}
	q.past[j.seq%wire.Window] = outcome{seq: j.seq, tl: j.tl, v: j.v}
	q.mu.Unlock()
	if err != nil {
		return err
	}
	j.batch.Signal = append(j.batch.Signal[:0], hal.Point{T: j.tl, V: j.v})
	return bare(q.q.Submit(q.s.ctx, &j.batch))
}

// finish waits for batches, which end in order, and reports them.
func (q *queue) finish(flight <-chan *job) {
	defer close(q.done)
	buf := make([]byte, 0, wire.HeaderSize)
	for j := range flight {
		err := j.err
		if err == nil {
			err = bare(j.tl.Wait(context.Background(), j.v))
		}
		f := wire.Frame{Kind: wire.Done, ID: j.seq, A: q.id}
		if err != nil {
			fail := wire.FailureOf(err)
			f.Code, f.Payload = fail.Code, fail.Append(nil)
			j.tl = nil // its failure sticks
		}
		j.drop()
		q.mu.Lock()
		if p := &q.past[j.seq%wire.Window]; p.seq == j.seq {
			*p = outcome{seq: j.seq, finished: true, err: err}
		}
		q.free = append(q.free, j)
		q.mu.Unlock()
		buf = f.Append(buf[:0])
		_ = q.s.conn.Send(buf) // a broken socket shows in receive
	}
}
