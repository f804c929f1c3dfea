//go:build !linux && !darwin

package safetensors

import (
	"fmt"
	"io"
)

// load reads the whole file where no map is available. The size is the file's
// own, so nothing is allocated for a claim.
func load(path string) (data []byte, unmap func() error, err error) {
	file, size, err := openRegular(path)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = file.Close() }()
	data = make([]byte, size)
	if _, err := io.ReadFull(file, data); err != nil {
		return nil, nil, fmt.Errorf("read %d bytes: %w", size, err)
	}
	return data, func() error { return nil }, nil
}
