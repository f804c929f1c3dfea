package dl

import (
	"errors"
	"fmt"
)

// ErrUnavailable is wrapped by every error of Open.
var ErrUnavailable = errors.New("the library cannot be loaded")

// Library is a loaded library. Safe for concurrent use.
type Library struct {
	name   string
	handle uintptr
}

// Open loads the first of the named libraries that loads. A name with a slash
// is a file; another is looked for where the system's loader looks. An error
// has the reason for each name and wraps ErrUnavailable. Loading runs the
// library's initialisers.
func Open(names ...string) (*Library, error) {
	if len(names) == 0 {
		return nil, fmt.Errorf("no library was named: %w", ErrUnavailable)
	}
	reasons := make([]error, 0, len(names)+1)
	for _, name := range names {
		h, err := open(name)
		if err == nil {
			return &Library{name: name, handle: h}, nil
		}
		reasons = append(reasons, fmt.Errorf("%s: %w", name, err))
	}
	return nil, errors.Join(append(reasons, ErrUnavailable)...)
}

// Name returns the name that the library was opened by.
func (l *Library) Name() string { return l.name }

// Lookup returns the address of a function or variable; false when the
// library and those it depends on have none of that name.
func (l *Library) Lookup(symbol string) (addr uintptr, ok bool) {
	addr = lookup(l.handle, symbol)
	return addr, addr != 0
}

// Call calls the C function at fn, an address from Lookup or from the library
// itself, with integers and addresses only, at most 15; and returns what it
// returned. Go memory whose address is passed has to be pinned or otherwise
// kept. The calling goroutine holds a thread for as long as the call takes;
// others go on.
func Call(fn uintptr, args ...uintptr) uintptr { return call(fn, args) }
