package atomicfile

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
)

// File is a file in the making. One goroutine at a time.
type File struct {
	f       *os.File
	target  string // where Commit moves it; empty when f is the target itself
	renamed bool
}

// Create begins to write the file at path. What is there already stays until
// Commit. A path that is no regular file, such as /dev/null or a pipe, is
// written directly, as it could not be replaced.
func Create(path string) (*File, error) {
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
		return nil, fmt.Errorf("%s is a folder: name a file in it", path)
	case err == nil && !info.Mode().IsRegular():
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return nil, err
		}
		return &File{f: f}, nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	mode := fs.FileMode(0o666) // less the umask
	target := path
	if err == nil {
		mode = info.Mode().Perm()
		// Through a link the file behind it is written, as usual.
		if target, err = filepath.EvalSymlinks(path); err != nil {
			return nil, err
		}
	}
	for range 100 {
		name := filepath.Join(filepath.Dir(target), fmt.Sprintf(".%s.%08x.tmp", filepath.Base(target), rand.Uint32()))
		f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, mode)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			var pe *fs.PathError
			if errors.As(err, &pe) {
				err = fmt.Errorf("cannot write %s: %w", path, pe.Err)
			}
			return nil, err
		}
		return &File{f: f, target: target}, nil
	}
	return nil, fmt.Errorf("cannot write %s: no temporary name is free beside it", path)
}

// Write appends to the file.
func (f *File) Write(p []byte) (int, error) { return f.f.Write(p) }

// Commit finishes the file and puts it in its place.
func (f *File) Commit() error {
	if f.target == "" {
		return f.f.Close()
	}
	if err := f.f.Close(); err != nil {
		return err
	}
	if err := os.Rename(f.f.Name(), f.target); err != nil {
		return err
	}
	f.renamed = true
	return nil
}

// Discard gives up what was written, unless Commit has put it in place.
// Deferred right after Create, it leaves nothing half-written behind.
func (f *File) Discard() {
	_ = f.f.Close() // harmless after Commit
	if f.target != "" && !f.renamed {
		_ = os.Remove(f.f.Name()) // nothing more can be done
	}
}
