package safetensors

import (
	"fmt"
	"maps"
	"sync"

	"github.com/heddle-ml/heddle/models/ckpt/mapped"
)

// Tensor says where one tensor lies.
type Tensor struct {
	Name  string
	DType DType
	// Shape holds the dimensions, outermost first; empty for a scalar. The
	// product of its non-zero dimensions and the element size fits an int64.
	Shape []int64
	// Offset is in bytes from the start of the file (not of its data section).
	Offset int64
	// Length is in bytes: exactly the product of Shape times the element size.
	Length int64
}

// File is an open safetensors file. Its methods may be called from several
// goroutines at once, except that nothing may use the file, or a view from
// [File.Bytes], during or after Close.
type File struct {
	name    string
	header  header
	byName  map[string]int
	data    []byte
	closing sync.Once
	mapped  *mapped.File // nil for a file that was in memory
}

// Open maps the file at path read-only and checks its header. Changing or
// truncating the file while it is open is undefined, as with any mapped file.
// Errors name the file and, where it applies, the tensor.
func Open(path string) (*File, error) {
	m, err := mapped.Open(path)
	if err != nil {
		return nil, fmt.Errorf("safetensors: %s: %w", path, err)
	}
	f, err := New(path, m.Data())
	if err != nil {
		// The reason to report is the header's; a failed unmap adds nothing.
		_ = m.Close()
		return nil, err
	}
	f.mapped = m
	return f, nil
}

// New reads a file that is already in memory, for instance embedded in the
// program. It keeps data and does not copy it. The name appears in errors.
func New(name string, data []byte) (*File, error) {
	h, err := parse(data)
	if err != nil {
		return nil, fmt.Errorf("safetensors: %s: %w", name, err)
	}
	f := &File{name: name, header: h, data: data, byName: make(map[string]int, len(h.tensors))}
	for i := range h.tensors {
		f.byName[h.tensors[i].Name] = i
	}
	return f, nil
}

// Name returns the path or name the file was opened under.
func (f *File) Name() string { return f.name }

// Size returns the length of the file in bytes.
func (f *File) Size() int64 { return int64(len(f.data)) }

// Data returns the whole file as a view of the map, nil after Close. It must
// not be written and not be used after Close.
func (f *File) Data() []byte { return f.data }

// FD returns the descriptor of the file, whose bytes are those of Data; false
// if it was in memory, and after Close. It is f's: duplicate it to keep it.
func (f *File) FD() (fd uintptr, ok bool) {
	if f.mapped == nil || f.data == nil {
		return 0, false
	}
	return f.mapped.FD(), true
}

// Tensors returns all tensors sorted by offset. The caller must not change the
// slice or the shapes in it.
func (f *File) Tensors() []Tensor { return f.header.tensors }

// Metadata returns a copy of the header's __metadata__, empty if it has none.
func (f *File) Metadata() map[string]string {
	if f.header.metadata == nil {
		return map[string]string{}
	}
	return maps.Clone(f.header.metadata)
}

// Lookup returns the tensor of that name.
func (f *File) Lookup(name string) (Tensor, bool) {
	i, ok := f.byName[name]
	if !ok {
		return Tensor{}, false
	}
	return f.header.tensors[i], true
}

// Bytes returns the tensor's bytes, little-endian and row-major, as a view of
// the mapped file: they must not be written and not be used after Close. It
// returns nil for a tensor that does not lie in this file and after Close.
// The bytes are returned whatever the element type; who interprets them asks
// [DType.Usable] first.
func (f *File) Bytes(t Tensor) []byte {
	size := int64(len(f.data))
	if t.Offset < 0 || t.Length < 0 || t.Offset > size || t.Length > size-t.Offset {
		return nil
	}
	return f.data[t.Offset : t.Offset+t.Length : t.Offset+t.Length]
}

// Close gives the map back. Closing twice is harmless.
func (f *File) Close() error {
	var err error
	f.closing.Do(func() {
		f.data = nil
		if f.mapped != nil {
			if err = f.mapped.Close(); err != nil {
				err = fmt.Errorf("safetensors: %s: close: %w", f.name, err)
			}
		}
	})
	return err
}
