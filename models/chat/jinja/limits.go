package jinja

import (
	"errors"
	"fmt"
	"time"
)

// Limits bounds one template. A zero field takes the default.
type Limits struct {
	// Source is the longest template in bytes (default 1 MiB).
	Source int
	// Depth bounds nesting: of the source while parsing, of calls, recursion
	// and nested values while rendering (default 1000, at most 10000).
	Depth int
	// Steps bounds the work of one rendering. Evaluating a node of the
	// template is one step; built-in functions count one per element or per
	// few hundred bytes they touch (default 10 million, a second or two).
	Steps int
	// Time bounds one rendering (default 5 s).
	Time time.Duration
	// Output is the longest result in bytes (default 16 MiB).
	Output int
	// Value is the largest single string or collection that a template may
	// make, in bytes (default 16 MiB, at most 1 GiB). Values passed in do not
	// count.
	Value int
	// Memory bounds all values made during one rendering taken together, in
	// bytes, whether or not they are still in use (default 128 MiB).
	Memory int
}

// Bounds on the limits themselves: ints must not overflow, nor the stack.
const (
	maxValue = 1 << 30
	maxDepth = 10_000
)

func (l Limits) withDefaults() Limits {
	def := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	def(&l.Source, 1<<20)
	def(&l.Depth, 1000)
	def(&l.Steps, 10_000_000)
	def(&l.Output, 16<<20)
	def(&l.Value, 16<<20)
	def(&l.Memory, 128<<20)
	l.Value = min(l.Value, maxValue)
	l.Depth = min(l.Depth, maxDepth)
	if l.Time <= 0 {
		l.Time = 5 * time.Second
	}
	return l
}

var (
	// ErrLimit is wrapped by errors that report an exceeded limit.
	ErrLimit = errors.New("template limit exceeded")
	// ErrRaised is wrapped by errors that the template raised itself with
	// raise_exception: it refuses its input, such as roles out of order.
	ErrRaised = errors.New("raised by the template")
)

// Error says what is wrong with a template or its rendering, and where.
type Error struct {
	Line    int // of the template, from 1; 0 where no line applies
	Message string
	Err     error // ErrLimit, ErrRaised, a context's error, or nil

	internal bool // a fault of the interpreter
}

func (e *Error) Error() string {
	if e.Line == 0 {
		return e.Message
	}
	return fmt.Sprintf("line %d: %s", e.Line, e.Message)
}

// Unwrap returns e.Err.
func (e *Error) Unwrap() error { return e.Err }
