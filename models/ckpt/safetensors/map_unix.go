//go:build linux || darwin

package safetensors

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// load maps the file read-only. The map outlives the descriptor.
func load(path string) (data []byte, unmap func() error, err error) {
	file, size, err := openRegular(path)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = file.Close() }()
	if size == 0 { // mmap refuses empty files; parse gives the better reason
		return nil, func() error { return nil }, nil
	}
	data, err = unix.Mmap(int(file.Fd()), 0, size, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, nil, fmt.Errorf("map %d bytes: %w", size, err)
	}
	return data, func() error { return unix.Munmap(data) }, nil
}
