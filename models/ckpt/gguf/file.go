package gguf

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/heddle-ml/heddle/models/ckpt/mapped"
)

// File is the header of a GGUF file over the file's bytes. It is safe for
// concurrent use. Close must not run at the same time as another method; after
// it, metadata getters return an error, Data returns nil, and slices that Data
// returned earlier must not be touched.
type File struct {
	path    string // "" when parsed from memory
	data    []byte
	version uint32
	align   int64
	start   int64 // of the tensor data

	keys    []string
	meta    map[string]value
	tensors []Tensor
	byName  map[string]int

	closed    atomic.Bool
	closeOnce sync.Once
	closeErr  error
	mapped    *mapped.File // nil when parsed from memory
}

// Tensor describes one tensor of a file.
type Tensor struct {
	Name string
	// Dims are the sizes in ggml's order: the first varies fastest, so that a
	// matrix of n rows of k elements has Dims [k, n]. One to four, each at
	// least 1.
	Dims []int64
	Type Type
	// Offset and Size are in bytes, from the beginning of the file.
	Offset, Size int64
}

// Elements returns the product of the tensor's dimensions.
func (t Tensor) Elements() int64 {
	n := int64(1)
	for _, d := range t.Dims {
		n *= d
	}
	return n
}

// Open maps the file into memory, read-only, and reads its header. Close
// releases the mapping. Where the system has no memory mapping the file is
// read as a whole. The file must not be shortened while it is open.
func Open(path string) (*File, error) {
	m, err := mapped.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	f, err := Parse(m.Data())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), m.Close())
	}
	f.path, f.mapped = path, m
	return f, nil
}

// Close releases the file. It may be called more than once.
func (f *File) Close() error {
	f.closeOnce.Do(func() {
		f.closed.Store(true)
		if f.mapped != nil {
			f.closeErr = f.mapped.Close()
		}
	})
	return f.closeErr
}

// Path returns the path given to Open, "" for a parsed slice.
func (f *File) Path() string { return f.path }

// Version returns the format version, 2 or 3.
func (f *File) Version() int { return int(f.version) }

// Alignment returns the alignment of tensor data in bytes.
func (f *File) Alignment() int64 { return f.align }

// DataStart returns the offset of the tensor data in the file.
func (f *File) DataStart() int64 { return f.start }

// Keys returns the metadata keys in the order of the file. The slice must not
// be changed.
func (f *File) Keys() []string { return f.keys }

// Tensors returns the tensors in the order of the file. The slice must not be
// changed.
func (f *File) Tensors() []Tensor { return f.tensors }

// Tensor returns the tensor of that name.
func (f *File) Tensor(name string) (Tensor, bool) {
	i, ok := f.byName[name]
	if !ok {
		return Tensor{}, false
	}
	return f.tensors[i], true
}

// Data returns the bytes of a tensor of this file, without copying them. They
// are read-only and valid until Close.
func (f *File) Data(t Tensor) []byte {
	if f.closed.Load() {
		return nil
	}
	end := t.Offset + t.Size
	return f.data[t.Offset:end:end]
}
