//go:build !linux && !darwin

package mapped

import (
	"fmt"
	"io"
	"os"
)

func view(f *os.File, size int) ([]byte, func() error, error) {
	data := make([]byte, size)
	if _, err := io.ReadFull(f, data); err != nil {
		return nil, nil, fmt.Errorf("reading %d bytes: %w", size, err)
	}
	return data, func() error { return nil }, nil
}
