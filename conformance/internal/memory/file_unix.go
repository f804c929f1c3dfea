//go:build unix

package memory

import (
	"errors"
	"os"
	"syscall"
)

// memoryFile makes a file without a name in the file system that lies in
// memory, and maps it.
func memoryFile(n int) (fd int, mapped []byte, done func() error, err error) {
	f, err := os.CreateTemp("/dev/shm", "heddle-conformance-")
	if err != nil {
		return 0, nil, nil, err
	}
	err = errors.Join(os.Remove(f.Name()), f.Truncate(int64(n)))
	if err == nil {
		mapped, err = syscall.Mmap(int(f.Fd()), 0, n, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	}
	if err != nil {
		return 0, nil, nil, errors.Join(err, f.Close())
	}
	return int(f.Fd()), mapped, func() error { return errors.Join(syscall.Munmap(mapped), f.Close()) }, nil
}
