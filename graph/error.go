package graph

import (
	"errors"
	"fmt"
	"strings"
)

// ErrInvalid is wrapped by every error about a malformed graph.
var ErrInvalid = errors.New("invalid graph")

// Error says what is wrong with a graph, and where. It wraps ErrInvalid and
// Err.
type Error struct {
	Graph string
	Node  string // name of the node, or "#index" without one; may be empty
	Op    string // its operator
	Value string // the value at fault, if it is one
	Err   error
}

func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "graph %q", e.Graph)
	if e.Node != "" {
		fmt.Fprintf(&b, ": node %s", e.Node)
		if e.Op != "" {
			fmt.Fprintf(&b, " (%s)", e.Op)
		}
	}
	if e.Value != "" {
		fmt.Fprintf(&b, ": value %q", e.Value)
	}
	fmt.Fprintf(&b, ": %v", e.Err)
	return b.String()
}

// Unwrap makes errors.Is find both ErrInvalid and the cause.
func (e *Error) Unwrap() []error { return []error{ErrInvalid, e.Err} }

func nodeLabel(id NodeID, name string) string {
	if name == "" {
		return fmt.Sprintf("#%d", id)
	}
	return name
}
