//go:build !((darwin || (linux && (!android || cgo))) && (amd64 || arm64) && !faketime)

package dl

import (
	"fmt"
	"runtime"
)

func open(string) (uintptr, error) {
	return 0, fmt.Errorf("this program was built for %s/%s in a way that cannot load libraries: use linux or darwin on amd64 or arm64; on Android, build with cgo", runtime.GOOS, runtime.GOARCH)
}

func lookup(uintptr, string) uintptr { return 0 }

// call is never reached: there is no library to have a function's address of.
func call(uintptr, []uintptr) uintptr { return 0 }
