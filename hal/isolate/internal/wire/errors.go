package wire

import (
	"context"
	"errors"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/hal/driver"
)

// Code is the set of sentinels that an error wraps; 0 is no error.
type Code uint32

const failed Code = 1 << 31

// sentinels have fixed numbers: new ones are added at the end.
var sentinels = [...]error{
	driver.ErrUnsupported, driver.ErrUnavailable, driver.ErrOutOfMemory, driver.ErrDeviceLost, driver.ErrTimeout,
	driver.ErrIncompatible, driver.ErrClosed, graph.ErrInvalid, context.Canceled, context.DeadlineExceeded,
	graph.ErrNoData, graph.ErrLayout, graph.ErrDerived,
}

// Failure is an error on its way: what errors.Is finds in it, the node at
// fault, and the text.
type Failure struct {
	Code Code
	At   graph.Error // only Graph, Node, Op and Value cross
	Text string
	node bool
}

// FailureOf takes an error apart.
func FailureOf(err error) *Failure {
	f := &Failure{Code: failed, Text: err.Error()}
	for i, s := range sentinels {
		if errors.Is(err, s) {
			f.Code |= 1 << i
		}
	}
	var ge *graph.Error
	if errors.As(err, &ge) {
		f.At, f.node = *ge, true
	}
	return f
}

// maxText bounds the text of an error.
const maxText = 8 << 10

// Append appends all but the code, which is in the frame's header.
func (f *Failure) Append(b []byte) []byte {
	for _, s := range [...]string{f.At.Graph, f.At.Node, f.At.Op, f.At.Value, f.Text} {
		b = AppendBytes(b, s[:min(len(s), maxText)])
	}
	has := byte(0)
	if f.node {
		has = 1
	}
	return append(b, has)
}

// DecodeFailure returns the error of a frame with a code that is not 0.
func DecodeFailure(code Code, payload []byte) (error, error) {
	r := NewReader(payload)
	f := &Failure{Code: code}
	for _, s := range [...]*string{&f.At.Graph, &f.At.Node, &f.At.Op, &f.At.Value, &f.Text} {
		*s = r.String()
	}
	f.node = r.U8() != 0
	if err := r.Err(); err != nil {
		return nil, err
	}
	f.At.Err = errors.New(f.Text)
	return f, nil
}

// Placed reports whether the error names a place in a graph.
func (f *Failure) Placed() bool { return f.node }

func (f *Failure) Error() string { return f.Text }

// Is reports whether the error wrapped a sentinel on the other side.
func (f *Failure) Is(target error) bool {
	for i, s := range sentinels {
		if s == target {
			return f.Code&(1<<i) != 0
		}
	}
	return false
}

// As gives the place in the graph, if the error had one.
func (f *Failure) As(target any) bool {
	e, ok := target.(**graph.Error)
	if ok && f.node {
		*e = &f.At
		return true
	}
	return false
}
