package plugin

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
	"unsafe"

	"github.com/heddle-ml/heddle/drivers/internal/dl"
	"github.com/heddle-ml/heddle/hal/abi"
	"github.com/heddle-ml/heddle/hal/driver"
)

// messageRoom is how long a library's message may be.
const messageRoom = 512

// room is where a library leaves its message. The collector does not move it,
// and pins keep it.
type room struct {
	text [messageRoom]byte
	pin  runtime.Pinner
}

var rooms = sync.Pool{New: func() any { return new(room) }}

// invoke calls a library's function. args is one of abi's structures of
// arguments, which begin with abi.Head; what its other fields point to has been
// pinned by the caller. An error has the function's name and the library's
// message, and wraps the sentinel that goes with the status.
func invoke[T any](name string, fn uintptr, self uint64, args *T) error {
	_, err := invokeStatus(name, fn, self, args)
	return err
}

// invokeStatus is invoke that tells the status too.
func invokeStatus[T any](name string, fn uintptr, self uint64, args *T) (abi.Status, error) {
	if fn == 0 {
		return abi.StatusUnsupported, missing(name)
	}
	r := rooms.Get().(*room)
	r.pin.Pin(r)
	r.pin.Pin(args)
	h := (*abi.Head)(unsafe.Pointer(args))
	*h = abi.Head{Size: uint32(unsafe.Sizeof(*args)), Text: address(&r.text[0]), TextCap: messageRoom}
	status := abi.Status(int32(dl.Call(fn, uintptr(self), address(args))))
	r.pin.Unpin()
	err := statusError(name, status, r.text[:], h.TextLen)
	*h = abi.Head{}
	rooms.Put(r)
	return status, err
}

// missing is the answer where a library lacks a function.
func missing(name string) error {
	return fmt.Errorf("the library has no function %s: %w", name, driver.ErrUnsupported)
}

// address is that of something pinned, or about to be.
func address[T any](p *T) uintptr { return uintptr(unsafe.Pointer(p)) }

// errNonsense is wrapped where a library breaks the ABI.
var errNonsense = errors.New("the library breaks the C driver ABI")

// nonsense describes how.
func nonsense(name, format string, args ...any) error {
	return fmt.Errorf("%w: %s: %s", errNonsense, name, fmt.Sprintf(format, args...))
}

// statuses are the errors that go with the library's.
var statuses = map[abi.Status]error{
	abi.StatusError:        errors.New("it failed"),
	abi.StatusUnsupported:  driver.ErrUnsupported,
	abi.StatusUnavailable:  driver.ErrUnavailable,
	abi.StatusOutOfMemory:  driver.ErrOutOfMemory,
	abi.StatusDeviceLost:   driver.ErrDeviceLost,
	abi.StatusTimeout:      driver.ErrTimeout,
	abi.StatusIncompatible: driver.ErrIncompatible,
	abi.StatusInvalid:      errors.New("it finds the arguments invalid"),
	abi.StatusCancelled:    context.Canceled,
	abi.StatusTooSmall:     errTooSmall,
}

var errTooSmall = errors.New("it wants more room")

func statusError(name string, status abi.Status, text []byte, n uint32) error {
	if status == abi.StatusOK {
		return nil
	}
	cause, known := statuses[status]
	if !known {
		return nonsense(name, "status %d is unknown", status)
	}
	if int64(n) > int64(len(text)) {
		n = 0 // it claims more than there was room for: believe nothing of it
	}
	if message := printable(text[:n]); message != "" {
		return fmt.Errorf("%s: %s: %w", name, message, cause)
	}
	return fmt.Errorf("%s: %w", name, cause)
}

// printable makes one line of text for people from what a library wrote. A
// message cut off inside of a character loses that character.
func printable(b []byte) string {
	s := strings.ToValidUTF8(string(b), string(utf8.RuneError))
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
	return strings.TrimSpace(s)
}

// fill calls a function that fills room of the host's, which grows when the
// library asks for more, up to limit: call makes the call with room in b.
func fill(name string, first int, limit int64, b *abi.Buf, call func() (abi.Status, error)) ([]byte, error) {
	for size, tries := first, 0; ; tries++ {
		var pin runtime.Pinner
		data := make([]byte, size)
		pin.Pin(&data[0])
		*b = abi.Buf{Data: address(&data[0]), Cap: uint64(size)}
		status, err := call()
		pin.Unpin()
		n := b.Len
		*b = abi.Buf{}
		switch {
		case err == nil && n <= uint64(size):
			return data[:n:n], nil
		case err == nil:
			return nil, nonsense(name, "%d bytes in room of %d", n, size)
		case status != abi.StatusTooSmall:
			return nil, err
		case n <= uint64(size) || tries == 3:
			return nil, nonsense(name, "it asks for room of %d bytes after having had %d", n, size)
		case n > uint64(limit):
			return nil, nonsense(name, "%d bytes; at most %d are taken", n, limit)
		}
		size = int(n)
	}
}

// stopWord is a word that becomes non-zero when ctx ends, pinned by pin; stop
// has to be called.
func stopWord(ctx context.Context, pin *runtime.Pinner) (word *uint32, stop func() bool) {
	word = new(uint32)
	pin.Pin(word)
	return word, context.AfterFunc(ctx, func() { setWord(word) })
}
