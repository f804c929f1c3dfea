package hal

import (
	"errors"
	"fmt"
	"strings"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/hal/driver"
)

// Sentinels for errors.Is. They are hal/driver's own.
var (
	ErrUnsupported  = driver.ErrUnsupported
	ErrUnavailable  = driver.ErrUnavailable
	ErrOutOfMemory  = driver.ErrOutOfMemory
	ErrDeviceLost   = driver.ErrDeviceLost
	ErrTimeout      = driver.ErrTimeout
	ErrIncompatible = driver.ErrIncompatible
	ErrClosed       = driver.ErrClosed
	ErrInvalidGraph = graph.ErrInvalid
	// ErrInvalidArgument: the caller's mistake, found before the driver was
	// asked.
	ErrInvalidArgument = errors.New("invalid argument")
)

// Error is the form of every error of this package.
type Error struct {
	Op     string // what was tried: "open", "compile", "submit"
	Driver string
	Device string // full name, such as "vulkan:0"; empty before one is open
	Node   string // the node at fault, where there is one
	Err    error
}

func (e *Error) Error() string {
	var b strings.Builder
	switch {
	case e.Device != "":
		b.WriteString(e.Device)
	case e.Driver != "":
		b.WriteString(e.Driver)
	default:
		b.WriteString("hal")
	}
	fmt.Fprintf(&b, ": %s", e.Op)
	if e.Node != "" {
		fmt.Fprintf(&b, ": node %s", e.Node)
	}
	fmt.Fprintf(&b, ": %v", e.Err)
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

func invalid(format string, args ...any) error {
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), ErrInvalidArgument)
}
