package wire

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/heddle-ml/heddle/hal/driver"
)

// MemFile makes a memory file of size zero bytes (at least one) that can
// neither shrink nor grow: whoever maps it reads memory, whatever the other
// process does.
func MemFile(name string, size int64) (fd int, err error) {
	fd, err = unix.MemfdCreate("heddle-"+name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return -1, fmt.Errorf("memfd_create: %w", err)
	}
	err = unix.Ftruncate(fd, max(size, 1))
	if err == nil {
		_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW)
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, fmt.Errorf("a memory file of %d bytes: %w: %w", size, err, driver.ErrOutOfMemory)
	}
	return fd, nil
}

// Frozen makes a memory file that holds data and can never change.
func Frozen(name string, data []byte) (fd int, err error) {
	if fd, err = MemFile(name, int64(len(data))); err != nil {
		return -1, err
	}
	for off := 0; off < len(data) && err == nil; {
		var n int
		n, err = unix.Pwrite(fd, data[off:min(len(data), off+1<<30)], int64(off))
		off += max(n, 0)
		if err == unix.EINTR {
			err = nil
		}
	}
	if err == nil {
		_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_WRITE|unix.F_SEAL_SEAL)
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, fmt.Errorf("a memory file of %d bytes: %w", len(data), err)
	}
	return fd, nil
}

// Mapping is a part of a file in memory.
type Mapping struct {
	Bytes []byte
	whole []byte
}

// Map maps size bytes of a file that begin at off. With write, changes are
// seen by all who map it.
func Map(fd int, off, size int64, write bool) (*Mapping, error) {
	if off < 0 || size < 0 || int64(int(size)) != size || off+size < off {
		return nil, fmt.Errorf("mapping %d bytes at %d: %w", size, off, driver.ErrOutOfMemory)
	}
	skip := off % int64(os.Getpagesize())
	prot := unix.PROT_READ
	if write {
		prot |= unix.PROT_WRITE
	}
	whole, err := unix.Mmap(fd, off-skip, int(max(size+skip, 1)), prot, unix.MAP_SHARED)
	if err != nil {
		if err == unix.ENOMEM {
			err = fmt.Errorf("%w: %w", err, driver.ErrOutOfMemory)
		}
		return nil, fmt.Errorf("mapping %d bytes: %w", size, err)
	}
	return &Mapping{Bytes: whole[skip : skip+size : skip+size], whole: whole}, nil
}

// Unmap ends the mapping: nobody may touch Bytes any more. Calling it again
// does nothing. Not safe for concurrent use.
func (m *Mapping) Unmap() {
	if m == nil || m.whole == nil {
		return
	}
	_ = unix.Munmap(m.whole)
	m.whole, m.Bytes = nil, nil
}

// CheckSize reports whether a file holds size bytes from off on. A memory
// file must be sealed against shrinking, or reading it could end the process; frozen
// asks for a file that cannot change either.
func CheckSize(fd int, off, size int64, frozen bool) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return garbage("a file that cannot be asked for its size: %v", err)
	}
	if off < 0 || size < 0 || off > st.Size || size > st.Size-off {
		return garbage("%d bytes at %d of a file of %d", size, off, st.Size)
	}
	if frozen {
		const want = unix.F_SEAL_SHRINK | unix.F_SEAL_WRITE
		if seals, err := unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0); err != nil || seals&want != want {
			return garbage("a file that could change while it is read")
		}
	}
	return nil
}

// Sealed reports whether a file can no longer shrink.
func Sealed(fd int) bool {
	seals, err := unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0)
	return err == nil && seals&unix.F_SEAL_SHRINK != 0
}
