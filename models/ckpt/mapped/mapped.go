package mapped

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
)

// Open returns the bytes of a regular file and the function that gives them
// back, to be called once. An empty file has no bytes. The bytes must not be written; changing the
// file while it is open is undefined. Errors say what is wrong without
// naming the file, which callers do.
func Open(path string) (data []byte, release func() error, err error) {
	// Look before opening: a named pipe would wait for a writer.
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("is not a regular file")
	}
	if err != nil {
		return nil, nil, reason(err)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, reason(err)
	}
	defer func() { _ = f.Close() }() // the map outlives the descriptor
	if info, err = f.Stat(); err != nil {
		return nil, nil, reason(err)
	}
	size := info.Size()
	switch {
	case size == 0: // an empty map is an error
		return nil, func() error { return nil }, nil
	case size > math.MaxInt:
		return nil, nil, fmt.Errorf("its %d bytes do not fit this machine's address space", size)
	}
	return load(f, int(size))
}

// reason drops the path that package os puts into errors.
func reason(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}
