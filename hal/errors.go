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
	// ErrQuarantined: the device failed its self-check; see SelfCheck.
	ErrQuarantined = errors.New("quarantined")
)

// Error is the form of every error of this package, except the context's own
// when a wait was given up.
type Error struct {
	Op     string // what was tried: "open", "compile", "submit"
	Driver string
	Device string // full name, such as "vulkan:0"; empty before one is open
	Node   string // the node at fault, where there is one
	Err    error

	dev *Device // the one it happened on, if one was open
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

// recovered, deferred, turns a driver's panic into an error: no driver may end
// the program. What state the driver is in is unknown, so the device counts
// as lost.
func recovered(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("the driver panicked: %v: %w", p, ErrDeviceLost)
	}
}

// guard calls into a driver; see recovered.
func guard[T any](f func() (T, error)) (out T, err error) {
	defer recovered(&err)
	return f()
}

// guardErr calls a driver's method that returns only an error.
func guardErr(f func() error) (err error) {
	defer recovered(&err)
	return f()
}
