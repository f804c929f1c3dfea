//go:build (darwin || (linux && (!android || cgo))) && (amd64 || arm64) && !faketime

package dl

import (
	"errors"
	"runtime"

	"github.com/ebitengine/purego"
)

// open resolves all symbols at once, so that a library that lacks one fails
// here and not in a call, and keeps its symbols from other libraries.
func open(name string) (uintptr, error) {
	runtime.LockOSThread() // the loader's message is the thread's
	defer runtime.UnlockOSThread()
	h, err := purego.Dlopen(name, purego.RTLD_NOW|purego.RTLD_LOCAL)
	if err == nil && h == 0 {
		err = errors.New("no handle and no reason")
	}
	return h, err
}

func lookup(handle uintptr, symbol string) uintptr {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	addr, err := purego.Dlsym(handle, symbol)
	if err != nil {
		return 0
	}
	return addr
}

func call(fn uintptr, args []uintptr) uintptr {
	r, _, _ := purego.SyscallN(fn, args...)
	return r
}
