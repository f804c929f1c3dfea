//go:build !linux && !darwin

package gguf

import (
	"fmt"
	"os"
)

// mapFile reads the file as a whole where there is no memory mapping.
func mapFile(path string) ([]byte, func() error, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, nil, fmt.Errorf("%s is not a regular file", path)
	}
	data, err := os.ReadFile(path)
	return data, func() error { return nil }, err
}
