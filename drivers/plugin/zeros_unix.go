//go:build linux || darwin

package plugin

import "golang.org/x/sys/unix"

// zeros gives n zero bytes that take address space, but no memory.
func zeros(n int64) (z zeroData, release func(), err error) {
	if n == 0 {
		return nil, func() {}, nil
	}
	b, err := unix.Mmap(-1, 0, int(n), unix.PROT_READ, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return nil, nil, err
	}
	return b, func() { _ = unix.Munmap(b) }, nil // it cannot fail for what was mapped whole
}
