package isolate

import (
	"fmt"
	"time"

	"github.com/heddle-ml/heddle/hal/driver"
	"github.com/heddle-ml/heddle/hal/isolate/internal/wire"
)

// idleTicks is how many ticks without work let the watcher sleep. It is woken by work, which
// costs more than a tick that finds nothing.
const idleTicks = 4

// tick is how often the watcher looks: often enough for the shortest limit.
func (l *link) tick() time.Duration {
	t := time.Second
	for _, limit := range []time.Duration{l.o.timeout(false), l.o.runTimeout(), l.o.alive()} {
		if limit > 0 {
			t = min(t, limit/4)
		}
	}
	if l.o.MemLimit > 0 {
		t = min(t, 50*time.Millisecond)
	}
	return max(t, 5*time.Millisecond)
}

// watch looks for what is overdue while there is something to wait for.
func (l *link) watch() {
	defer l.ended.Done()
	t := time.NewTicker(l.tick())
	defer t.Stop()
	idle := 0
	var pinged int64 // when the unanswered ping was sent; 0: none
	for {
		select {
		case <-l.gone:
			return
		case <-t.C:
		}
		if reason, also := l.overdue(&pinged); reason != "" {
			l.fail(reason, also)
			return
		}
		if l.busy.Load() > 0 {
			idle = 0
			continue
		}
		if idle++; idle < idleTicks {
			continue
		}
		t.Stop()
		l.asleep.Store(true)
		if l.busy.Load() == 0 { // else work began before it could see that
			select {
			case <-l.gone:
				return
			case <-l.wake:
			}
		}
		l.asleep.Store(false)
		idle, pinged = 0, 0
		t.Reset(l.tick())
	}
}

// overdue returns why the child is to be killed, "" while all is well.
func (l *link) overdue(pinged *int64) (string, error) {
	if l.proc != nil && l.o.MemLimit > 0 {
		if n, err := l.proc.privateMemory(); err == nil && n > l.o.MemLimit {
			return fmt.Sprintf("held %d bytes of memory, more than mem_limit=%d, and was killed", n, l.o.MemLimit), driver.ErrOutOfMemory
		}
	}
	if l.busy.Load() == 0 {
		return "", nil
	}
	t := now()
	l.mu.Lock()
	for _, p := range l.calls {
		if p.deadline != 0 && t > p.deadline {
			l.mu.Unlock()
			return fmt.Sprintf("did not answer %q in time and was killed (options timeout and, for batches, run_timeout)", p.kind), driver.ErrTimeout
		}
	}
	queues := make([]*queue, 0, len(l.queues))
	for _, q := range l.queues {
		queues = append(queues, q)
	}
	l.mu.Unlock()
	if limit := l.o.runTimeout(); limit > 0 {
		for _, q := range queues {
			if since := q.since(); since != 0 && t-since > int64(limit) {
				return fmt.Sprintf("worked on one batch for more than run_timeout=%v and was killed", limit), driver.ErrTimeout
			}
		}
	}
	if !l.greeted.Load() {
		return "", nil // it starts; see startLimit
	}
	// A ping tells a process that was stopped from one that works.
	heard := l.heard.Load()
	switch {
	case *pinged != 0 && heard > *pinged:
		*pinged = 0
	case *pinged != 0 && t-*pinged > int64(l.o.alive()):
		return fmt.Sprintf("answered no ping for %v and was killed", l.o.alive()), driver.ErrTimeout
	case *pinged == 0 && t-heard > int64(l.tick()):
		f := wire.Frame{Kind: wire.Ping}
		_ = l.conn.TrySend(f.Append(nil)) // a full socket is as silent
		*pinged = t
	}
	return "", nil
}
