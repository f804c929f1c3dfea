//go:build !linux

package plugin

import (
	"io"
	"os"
)

// memoryFile makes a file without a name, with what write writes.
func memoryFile(name string, write func(io.Writer) error) (*os.File, error) {
	f, err := os.CreateTemp("", name)
	if err != nil {
		return nil, err
	}
	if err = os.Remove(f.Name()); err == nil {
		err = write(f)
	}
	if err != nil {
		_ = f.Close() // the reason to report is the other
		return nil, err
	}
	return f, nil
}
