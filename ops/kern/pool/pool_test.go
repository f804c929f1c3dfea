package pool_test

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/heddle-ml/heddle/ops/kern/pool"
)

// count counts how often each iteration ran, and how often each worker number
// was in use by two goroutines at a time.
type count struct {
	hits  []atomic.Int32
	inUse []atomic.Int32
	clash atomic.Int32
	grain int
}

func newCount(p *pool.Pool, n int) *count {
	return &count{hits: make([]atomic.Int32, n), inUse: make([]atomic.Int32, p.Workers())}
}

func (c *count) Run(worker, lo, hi int) {
	if c.inUse[worker].Add(1) != 1 {
		c.clash.Add(1)
	}
	defer c.inUse[worker].Add(-1)
	if c.grain > 0 && lo%c.grain != 0 {
		c.clash.Add(1)
	}
	for i := lo; i < hi; i++ {
		c.hits[i].Add(1)
	}
}

func (c *count) check(t *testing.T) {
	t.Helper()
	for i := range c.hits {
		if got := c.hits[i].Load(); got != 1 {
			t.Fatalf("iteration %d of %d ran %d times", i, len(c.hits), got)
		}
	}
	if n := c.clash.Load(); n != 0 {
		t.Fatalf("%d clashes of worker numbers or misplaced chunks", n)
	}
}

func TestForCoversEachIterationOnce(t *testing.T) {
	for _, workers := range []int{0, 1, 2, 3, 7, 33} {
		p := pool.New(workers)
		for _, n := range []int{0, 1, 2, 3, 7, 8, 9, 100, 1001} {
			for _, grain := range []int{-1, 0, 1, 2, 7, 100, 5000} {
				c := newCount(p, n)
				c.grain = grain
				if err := p.For(n, grain, c); err != nil {
					t.Fatal(err)
				}
				c.check(t)
			}
		}
		p.Close()
	}
}

func TestNilAndNegative(t *testing.T) {
	var p *pool.Pool
	c := newCount(p, 10)
	if err := p.For(10, 3, c); err != nil {
		t.Fatal(err)
	}
	c.check(t)
	if err := p.For(-5, 3, c); err != nil {
		t.Fatal(err)
	}
	p.Close()
	if p.Workers() != 1 {
		t.Errorf("Workers of nil pool = %d", p.Workers())
	}
}

func TestManyJobsInARow(t *testing.T) {
	p := pool.New(4)
	defer p.Close()
	for i := range 2000 {
		c := newCount(p, 1+i%17)
		if err := p.For(1+i%17, 1, c); err != nil {
			t.Fatal(err)
		}
		c.check(t)
		if i%500 == 0 {
			time.Sleep(2 * time.Millisecond) // let workers park
		}
	}
}

func TestConcurrentFor(t *testing.T) {
	p := pool.New(3)
	defer p.Close()
	var wg sync.WaitGroup
	for g := range 6 {
		wg.Go(func() {
			for i := range 200 {
				c := newCount(p, 5+g+i%3)
				if err := p.For(5+g+i%3, 2, c); err != nil {
					t.Error(err)
				}
				c.check(t)
			}
		})
	}
	wg.Wait()
}

type nested struct {
	p     *pool.Pool
	inner []*count
	err   atomic.Pointer[error]
}

func (n *nested) Run(_, lo, hi int) {
	for i := lo; i < hi; i++ {
		if err := n.p.For(len(n.inner[i].hits), 1, n.inner[i]); err != nil {
			n.err.Store(&err)
		}
	}
}

func TestNestedFor(t *testing.T) {
	p := pool.New(4)
	defer p.Close()
	n := &nested{p: p}
	for i := range 20 {
		n.inner = append(n.inner, newCount(p, i))
	}
	if err := p.For(len(n.inner), 1, n); err != nil {
		t.Fatal(err)
	}
	if e := n.err.Load(); e != nil {
		t.Fatal(*e)
	}
	for _, c := range n.inner {
		c.check(t)
	}
}

type bomb struct {
	at  int
	val any
}

func (b *bomb) Run(_, lo, hi int) {
	if lo <= b.at && b.at < hi {
		panic(b.val)
	}
	time.Sleep(50 * time.Microsecond)
}

func TestPanicBecomesError(t *testing.T) {
	sentinel := errors.New("sentinel")
	for _, workers := range []int{1, 2, 5} {
		p := pool.New(workers)
		for at := range 12 {
			err := p.For(12, 1, &bomb{at, sentinel})
			var pe *pool.PanicError
			if !errors.As(err, &pe) || !errors.Is(err, sentinel) {
				t.Fatalf("%d workers, bomb at %d: %v", workers, at, err)
			}
			if !strings.Contains(string(pe.Stack), "bomb") {
				t.Errorf("stack does not show the task: %s", pe.Stack)
			}
		}
		c := newCount(p, 50)
		if err := p.For(50, 1, c); err != nil {
			t.Fatalf("after a panic: %v", err)
		}
		c.check(t)
		p.Close()
	}
}

func TestForAfterCloseRunsOnTheCaller(t *testing.T) {
	p := pool.New(3)
	p.Close()
	p.Close()
	c := newCount(p, 20)
	if err := p.For(20, 3, c); err != nil {
		t.Fatal(err)
	}
	c.check(t)
}

func TestCloseDuringFor(t *testing.T) {
	for range 50 {
		p := pool.New(4)
		c := newCount(p, 200)
		var wg sync.WaitGroup
		wg.Go(p.Close)
		if err := p.For(200, 1, c); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		c.check(t)
	}
}

func TestCloseLeavesNoGoroutine(t *testing.T) {
	before := runtime.NumGoroutine()
	for range 20 {
		p := pool.New(8)
		c := newCount(p, 100)
		if err := p.For(100, 1, c); err != nil {
			t.Fatal(err)
		}
		p.Close()
	}
	for range 100 {
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Errorf("%d goroutines before, %d after", before, runtime.NumGoroutine())
}

type quitter struct{}

func (quitter) Run(int, int, int) { runtime.Goexit() }

// A task that ends its goroutine, as t.FailNow does, must not leave the pool
// locked or a job half joined.
func TestGoexitInTask(t *testing.T) {
	p := pool.New(3)
	var wg sync.WaitGroup
	wg.Go(func() { _ = p.For(100, 1, quitter{}) })
	wg.Wait()
	for range 100 {
		c := newCount(p, 64)
		if err := p.For(64, 1, c); err != nil {
			t.Fatal(err)
		}
		c.check(t)
	}
	p.Close()
}

type add struct{ sum []int64 }

func (a *add) Run(worker, lo, hi int) { a.sum[worker*8] += int64(hi - lo) }

func TestForAllocatesNothing(t *testing.T) {
	p := pool.New(4)
	defer p.Close()
	a := &add{make([]int64, 8*p.Workers())}
	if got := testing.AllocsPerRun(200, func() {
		if err := p.For(64, 1, a); err != nil {
			t.Fatal(err)
		}
	}); got != 0 {
		t.Errorf("%v allocations per For", got)
	}
}

type wide struct{ last []atomic.Int64 }

func (w *wide) Run(_, lo, hi int) {
	for i := lo; i < hi; i++ {
		w.last[i].Store(1)
	}
}

// More workers than processors must cost scheduling, not minutes: nobody may
// spin while the worker that holds the last chunk waits for a processor.
func TestOversubscribed(t *testing.T) {
	p := pool.New(16 * runtime.NumCPU())
	defer p.Close()
	w := &wide{make([]atomic.Int64, 256)}
	begin := time.Now()
	for range 200 {
		if err := p.For(256, 1, w); err != nil {
			t.Fatal(err)
		}
	}
	if d := time.Since(begin); d > 5*time.Second {
		t.Errorf("200 small loops took %v", d)
	}
}

func BenchmarkFor(b *testing.B) {
	for _, workers := range []int{1, 2, 4} {
		b.Run(fmt.Sprint(workers), func(b *testing.B) {
			p := pool.New(workers)
			defer p.Close()
			a := &add{make([]int64, 8*workers)}
			for b.Loop() {
				if err := p.For(64, 1, a); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

type square struct{ v []float64 }

func (s square) Run(_, lo, hi int) {
	for i := lo; i < hi; i++ {
		s.v[i] *= s.v[i]
	}
}

func ExamplePool_For() {
	p := pool.New(2)
	defer p.Close()
	s := square{[]float64{1, 2, 3, 4}}
	fmt.Println(p.For(len(s.v), 1, s), s.v)
	// Output: <nil> [1 4 9 16]
}
