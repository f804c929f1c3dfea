package isolate

import (
	"fmt"
	"sync"
	"time"

	"github.com/heddle-ml/heddle/hal/driver"
)

// history remembers, by device, children that died before they did any work.
type history struct {
	mu  sync.Mutex
	now func() time.Time
	by  map[string]*record
}

type record struct {
	deaths []time.Time // the last ones, at most deathsAllowed
	reason error       // of the last one
	delay  time.Duration
	until  time.Time
}

const (
	deathsAllowed = 3
	deathsWithin  = 10 * time.Second
	firstDelay    = 500 * time.Millisecond
	maxDelay      = time.Minute
	// maxRecords bounds the memory of names: the oldest are forgotten.
	maxRecords = 256
)

var deaths = history{now: time.Now, by: map[string]*record{}}

// check refuses a device whose children keep dying.
func (h *history) check(device string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := h.by[device]
	if r == nil {
		return nil
	}
	if wait := r.until.Sub(h.now()); wait > 0 {
		return fmt.Errorf("the device's process died at once %d times; it is started again in %v at the earliest (the option backoff=0 does not wait); the last time: %w: %w",
			len(r.deaths), wait.Round(time.Millisecond), r.reason, driver.ErrUnavailable)
	}
	return nil
}

// died notes a death.
func (h *history) died(device string, reason error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.now()
	r := h.by[device]
	if r == nil {
		if len(h.by) >= maxRecords {
			for name, old := range h.by {
				if now.Sub(old.deaths[len(old.deaths)-1]) > maxDelay {
					delete(h.by, name)
				}
			}
			if len(h.by) >= maxRecords {
				return
			}
		}
		r = &record{}
		h.by[device] = r
	}
	r.reason = reason
	r.deaths = append(r.deaths, now)
	if len(r.deaths) > deathsAllowed {
		r.deaths = r.deaths[1:]
	}
	// Once refused, one more death is enough.
	if len(r.deaths) == deathsAllowed && (now.Sub(r.deaths[0]) <= deathsWithin || r.delay > 0) {
		r.delay = min(max(2*r.delay, firstDelay), maxDelay)
		r.until = now.Add(r.delay)
	}
}

// worked forgets what was noted.
func (h *history) worked(device string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.by, device)
}
