package mapped

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
)

// File is an open file and its bytes. Data and FD may be called from several
// goroutines at once, until Close.
type File struct {
	file  *os.File
	data  []byte
	unmap func() error
}

// Open opens a regular file. Changing the file while it is open is undefined.
// Errors say what is wrong without naming the file, which callers do.
func Open(path string) (*File, error) {
	// Look before opening: a named pipe would wait for a writer.
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("is not a regular file")
	}
	if err != nil {
		return nil, reason(err)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, reason(err)
	}
	m, err := load(f)
	if err != nil {
		_ = f.Close() // the reason to report is the other
		return nil, reason(err)
	}
	return m, nil
}

func load(f *os.File) (*File, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	size := info.Size()
	m := &File{file: f, unmap: func() error { return nil }}
	switch {
	case size == 0: // an empty map is an error
		return m, nil
	case size > math.MaxInt:
		return nil, fmt.Errorf("its %d bytes do not fit this machine's address space", size)
	}
	m.data, m.unmap, err = view(f, int(size))
	return m, err
}

// Data returns the file's bytes, which must not be written, and not be used
// after Close; none of an empty file.
func (m *File) Data() []byte { return m.data }

// FD returns the descriptor, for those who map the file themselves, in another
// process for instance. It is m's, until Close: duplicate it to keep it.
func (m *File) FD() uintptr { return m.file.Fd() }

// Close gives the bytes and the descriptor back. It is called once.
func (m *File) Close() error { return errors.Join(m.unmap(), m.file.Close()) }

// reason drops the path that package os puts into errors.
func reason(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}
