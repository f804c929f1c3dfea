package pool

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
)

// Task is the body of a loop.
type Task interface {
	// Run does iterations lo <= i < hi. It is called from several goroutines at
	// a time, each with its own worker number in [0, Pool.Workers()), so that
	// per-worker scratch can be indexed by it. Worker numbers are distinct
	// among the calls of one For, not among several For calls.
	Run(worker, lo, hi int)
}

// Pool is a fixed set of workers. It is safe for concurrent use: while one For
// is running, another one (from a different goroutine, or nested inside a
// task) runs its loop alone on the goroutine that called it.
//
// A nil *Pool is valid and runs everything on the caller.
type Pool struct {
	workers int
	busy    sync.Mutex // held by the For that uses the workers
	done    sync.WaitGroup
	closed  atomic.Bool
	spin    spinner

	// The current job. Written by the holder of busy while no worker is
	// admitted, read by admitted workers.
	task  Task
	n     int64
	grain int64

	_     [64]byte
	next  atomic.Int64 // first unclaimed iteration
	_     [56]byte
	state atomic.Uint64 // epoch<<32 | open | number of admitted workers
	_     [56]byte

	fault    atomic.Pointer[PanicError]
	joinWait parker
	slots    []slot
}

// Bits of Pool.state. A worker enters a job by incrementing the count while
// the job is open and leaves by decrementing it. Whoever starts late finds the
// job closed, so a job's fields are never read after For has returned.
const (
	open      = 1 << 31
	countMask = open - 1
	epochStep = 1 << 32
)

type slot struct {
	park parker
	_    [64]byte
}

// PanicError is a panic in a task, carried to the caller of For.
type PanicError struct {
	Value any    // the panic's value
	Stack []byte // the stack of the worker that panicked
}

// Error describes the panic without its stack.
func (e *PanicError) Error() string { return fmt.Sprintf("pool: task panicked: %v", e.Value) }

// Unwrap returns the panic's value if it was an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// New starts a pool in which at most workers goroutines work at a time, the
// caller of For being one of them. workers <= 0 means GOMAXPROCS. The pool
// must be closed.
func New(workers int) *Pool {
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	workers = min(workers, maxWorkers)
	p := &Pool{workers: workers}
	p.spin.enabled = workers <= min(runtime.NumCPU(), runtime.GOMAXPROCS(0))
	p.joinWait.init()
	p.slots = make([]slot, workers-1)
	for i := range p.slots {
		p.slots[i].park.init()
	}
	p.done.Add(len(p.slots))
	for i := range p.slots {
		go p.work(i)
	}
	return p
}

// maxWorkers bounds what a mistaken option can start.
const maxWorkers = 1024

// Workers returns the number of distinct worker numbers, at least 1.
func (p *Pool) Workers() int {
	if p == nil {
		return 1
	}
	return p.workers
}

// For calls t.Run on chunks that cover [0, n) once each, and returns when all
// have returned. Chunks have grain iterations (at least 1), the last one
// perhaps fewer; their bounds depend on n and grain alone, never on the number
// of workers. A loop of one chunk runs on the caller at once.
//
// If a task panics, the chunks not yet claimed are dropped, and the error is a
// *PanicError. For allocates nothing when t is a pointer.
func (p *Pool) For(n, grain int, t Task) error {
	if n <= 0 {
		return nil
	}
	grain = min(max(grain, 1), n)
	if p == nil || p.workers == 1 || n <= grain || p.closed.Load() || !p.busy.TryLock() {
		return inline(n, grain, t)
	}
	defer p.busy.Unlock()
	if p.closed.Load() {
		return inline(n, grain, t)
	}
	p.fork(n, grain, t)
	defer p.join() // deferred: a task may end its goroutine (runtime.Goexit)
	p.chunks(0)
	p.join()
	if f := p.fault.Load(); f != nil {
		return f
	}
	return nil
}

// fork publishes a job and wakes as many workers as have something to do.
func (p *Pool) fork(n, grain int, t Task) {
	p.task, p.n, p.grain = t, int64(n), int64(grain)
	p.next.Store(0)
	p.fault.Store(nil)
	p.state.Store((p.state.Load()+epochStep)&^uint64(countMask) | open)
	helpers := min((n-1)/grain, len(p.slots))
	for i := range p.slots {
		if helpers == 0 {
			break
		}
		// A worker that is not parked is spinning and will see the state, or is
		// on its way to park and will see it before it sleeps.
		p.slots[i].park.wake()
		helpers--
	}
}

// Close stops the workers and waits for them to end. A For in progress is
// completed first; later ones run on their callers. Close may be called again.
func (p *Pool) Close() {
	if p == nil {
		return
	}
	p.busy.Lock()
	p.closed.Store(true)
	p.busy.Unlock()
	for i := range p.slots {
		p.slots[i].park.wake()
	}
	p.done.Wait()
}

// inline is For without workers. It keeps the chunk bounds, so that results do
// not depend on whether the workers were free.
func inline(n, grain int, t Task) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	for lo := 0; lo < n; lo += grain {
		hi := n
		if n-lo > grain {
			hi = lo + grain
		}
		t.Run(0, lo, hi)
		if hi == n {
			break // lo += grain could overflow
		}
	}
	return nil
}

// chunks claims and runs chunks until none are left.
func (p *Pool) chunks(worker int) {
	defer func() {
		if v := recover(); v != nil {
			p.fault.CompareAndSwap(nil, &PanicError{Value: v, Stack: debug.Stack()})
			p.next.Store(p.n)
		}
	}()
	t, n, grain := p.task, p.n, p.grain
	for {
		lo := p.next.Add(grain) - grain
		if lo >= n || lo < 0 {
			return
		}
		t.Run(worker, int(lo), int(min(lo+grain, n)))
	}
}

// join closes the job and waits until the admitted workers have left. Joining
// twice does nothing more.
func (p *Pool) join() {
	for {
		s := p.state.Load()
		if p.state.CompareAndSwap(s, s&^open) {
			break
		}
	}
	left := func() bool { return p.state.Load()&countMask == 0 }
	if !p.spin.until(left) {
		p.joinWait.wait(left)
	}
	p.task = nil
}

func (p *Pool) work(i int) {
	defer p.done.Done()
	park := &p.slots[i].park
	var last uint64 // epoch of the last job this worker took part in
	ready := func() bool {
		s := p.state.Load()
		return s&open != 0 && s/epochStep != last || p.closed.Load()
	}
	for {
		if !p.spin.until(ready) {
			park.wait(ready)
		}
		if p.closed.Load() {
			return
		}
		s := p.state.Load()
		if s&open == 0 || s/epochStep == last {
			continue
		}
		if p.state.CompareAndSwap(s, s+1) {
			last = s / epochStep
			p.take(i + 1)
		}
	}
}

// take works on the job that this worker was admitted to, then leaves it. The
// leaving is deferred because a task may end its goroutine (runtime.Goexit).
func (p *Pool) take(worker int) {
	defer func() {
		if p.state.Add(^uint64(0))&(open|countMask) == 0 {
			p.joinWait.wake()
		}
	}()
	p.chunks(worker)
}
