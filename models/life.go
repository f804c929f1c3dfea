package models

import (
	"fmt"
	"sync"

	"github.com/heddle-ml/heddle/hal"
)

// life lets Close wait for the calls that are under way, and keeps later ones
// from touching what is gone: weights are mapped files, and reading them
// after they are unmapped would end the process.
type life struct {
	mu       sync.Mutex
	idle     sync.Cond // users fell to zero
	users    int
	closed   bool
	sessions map[*Session]bool // open ones
}

func (l *life) add(s *Session) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sessions[s] = true
}

// remove takes a session off the books and reports whether it was open.
func (l *life) remove(s *Session) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	was := l.sessions[s]
	delete(l.sessions, s)
	return was
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

// enter begins a use of the model's devices; leave ends it.
func (m *Model) enter() error {
	m.life.mu.Lock()
	defer m.life.mu.Unlock()
	if m.life.closed {
		return fmt.Errorf("models: %s: the model was closed: %w", m.files.Name(), hal.ErrClosed)
	}
	m.life.users++
	return nil
}

func (m *Model) leave() {
	m.life.mu.Lock()
	defer m.life.mu.Unlock()
	if m.life.users--; m.life.users == 0 {
		m.life.idle.Broadcast()
	}
}
