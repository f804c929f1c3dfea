package plugin

import (
	"runtime"
	"sync/atomic"
	"unsafe"

	"github.com/heddle-ml/heddle/hal/abi"
)

// bufOf is room that a library may fill, pinned by pin.
func bufOf(pin *runtime.Pinner, b []byte) abi.Buf {
	if len(b) == 0 {
		return abi.Buf{}
	}
	pin.Pin(&b[0])
	return abi.Buf{Data: address(&b[0]), Cap: uint64(len(b))}
}

// strOf is text for a library, pinned by pin.
func strOf(pin *runtime.Pinner, s string) abi.Str {
	if s == "" {
		return abi.Str{}
	}
	p := unsafe.StringData(s)
	pin.Pin(p)
	return abi.Str{Data: address(p), Len: uint64(len(s))}
}

// arrayOf is the address of a slice's elements, pinned by pin; 0 if there are
// none.
func arrayOf[T any](pin *runtime.Pinner, s []T) uintptr {
	if len(s) == 0 {
		return 0
	}
	pin.Pin(&s[0])
	return address(&s[0])
}

// setWord sets a word that a library polls.
func setWord(w *uint32) { atomic.StoreUint32(w, 1) }
