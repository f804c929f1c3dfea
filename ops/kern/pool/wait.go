package pool

import (
	"sync/atomic"
	"time"
)

// parker lets one goroutine sleep until a condition, written by others before
// they call wake, holds.
type parker struct {
	asleep atomic.Bool
	token  chan struct{}
}

func (p *parker) init() { p.token = make(chan struct{}, 1) }

// wait returns once ready() holds.
func (p *parker) wait(ready func() bool) {
	for {
		p.asleep.Store(true)
		// The condition is looked at after the flag is up: a waker either sees
		// the flag, or wrote the condition before we look.
		if ready() {
			if !p.asleep.CompareAndSwap(true, false) {
				<-p.token // a waker took the flag and sends, or has sent, a token
			}
			return
		}
		<-p.token
		if ready() {
			return
		}
	}
}

// wake wakes the sleeper if there is one. It never blocks: only the taker of
// the flag sends, and the sleeper drains the token before it raises the flag.
func (p *parker) wake() {
	if p.asleep.Load() && p.asleep.CompareAndSwap(true, false) {
		p.token <- struct{}{}
	}
}

const (
	spinFor   = 30 * time.Microsecond  // longest spin
	spinStep  = 64                     // pauses between looks at the clock: about 1 to 3 µs
	lostAfter = 150 * time.Microsecond // a step that took this long lost its processor
	restFor   = 50 * time.Millisecond  // no spinning for this long after that
)

// spinner decides how long to spin. The zero value never spins.
type spinner struct {
	enabled  bool
	restTill atomic.Int64 // nanoseconds since start
}

var start = time.Now()

func since() time.Duration { return time.Since(start) }

// until spins until ready() holds, for a bounded time, and reports whether it
// holds.
func (s *spinner) until(ready func() bool) bool {
	if ready() {
		return true
	}
	if !s.enabled {
		return false
	}
	begin := since()
	if int64(begin) < s.restTill.Load() {
		return false
	}
	for last := begin; ; {
		for range spinStep {
			pause()
			if ready() {
				return true
			}
		}
		now := since()
		if now-last > lostAfter {
			s.restTill.Store(int64(now + restFor))
			return ready()
		}
		if now-begin > spinFor {
			return false
		}
		last = now
	}
}
