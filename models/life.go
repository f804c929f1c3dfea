package models

import (
	"context"
	"fmt"
	"sync"

	"github.com/heddle-ml/heddle/hal"
)

// life lets Close and Use wait for the calls that are under way, and keeps
// later ones from touching what is gone: weights are mapped files, and reading
// them after they are unmapped would end the process.
type life struct {
	mu       sync.Mutex
	idle     sync.Cond // users fell to one or zero
	users    int
	closed   bool
	sessions map[*Session]bool // open ones
	// gate is not nil while Use has the model to itself, or waits for that;
	// closing it lets those in who came meanwhile.
	gate chan struct{}
	// orphans are sessions that were closed while there was a gate. Their
	// decoders are left to Use.
	orphans []*Session
	using   chan struct{} // holds one: the call of Use that is under way
}

func (l *life) init() {
	l.idle.L, l.sessions, l.using = &l.mu, map[*Session]bool{}, make(chan struct{}, 1)
}

func (l *life) add(s *Session) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sessions[s] = true
}

// remove takes a session off the books. It reports whether the caller has to
// free its decoder, as a user that has to leave.
func (l *life) remove(s *Session) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.sessions[s] {
		return false
	}
	delete(l.sessions, s)
	if l.gate != nil {
		l.orphans = append(l.orphans, s)
		return false
	}
	l.users++
	return true
}

func (l *life) isClosed(s *Session) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.sessions[s]
}

// end closes the door, waits until nobody is inside, and returns the sessions
// that are still open; false when it was called before.
func (l *life) end() ([]*Session, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, false
	}
	l.closed = true
	for l.users > 0 {
		l.idle.Wait()
	}
	var open []*Session
	for s := range l.sessions {
		open = append(open, s)
	}
	clear(l.sessions)
	return open, true
}

// alone waits until the caller is the only user; who comes meanwhile waits
// until reopen. When ctx ends first, the caller is a user among others again.
func (l *life) alone(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gate = make(chan struct{})
	defer context.AfterFunc(ctx, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.idle.Broadcast()
	})()
	for l.users > 1 && ctx.Err() == nil {
		l.idle.Wait()
	}
	return ctx.Err()
}

// reopen lets in who waits at the gate, and returns the sessions that were
// closed meanwhile.
func (l *life) reopen() (orphans []*Session) {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.gate)
	orphans, l.gate, l.orphans = l.orphans, nil, nil
	return orphans
}

// everyone lists the open sessions.
func (l *life) everyone() []*Session {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []*Session
	for s := range l.sessions {
		out = append(out, s)
	}
	return out
}

// enter begins a use of the model's devices; leave ends it. It waits while Use
// exchanges them.
func (m *Model) enter(ctx context.Context) error {
	l := &m.life
	for {
		l.mu.Lock()
		gate := l.gate
		closed := l.closed
		if !closed && gate == nil {
			l.users++
		}
		l.mu.Unlock()
		switch {
		case closed:
			return fmt.Errorf("models: %s: the model was closed: %w", m.files.Name(), hal.ErrClosed)
		case gate == nil:
			return nil
		}
		select {
		case <-gate:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (m *Model) leave() {
	m.life.mu.Lock()
	defer m.life.mu.Unlock()
	if m.life.users--; m.life.users <= 1 {
		m.life.idle.Broadcast()
	}
}
