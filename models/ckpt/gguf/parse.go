package gguf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"strings"
)

const (
	defaultAlignment = 32
	maxDims          = 4 // ggml's own limit
	maxNesting       = 4 // arrays in arrays; no known writer nests at all
)

var errTruncated = errors.New("the file ends early: it is truncated, or its header lies")

// Parse reads the header of a GGUF file that lies in memory as a whole. The
// File keeps a reference to data, which must not change while it is in use.
func Parse(data []byte) (*File, error) {
	r := &reader{rest: data}
	f := &File{data: data, align: defaultAlignment, meta: map[string]value{}, byName: map[string]int{}}
	tensors, keys, err := f.readPreamble(r)
	if err != nil {
		return nil, err
	}
	// The counts are not trusted: nothing is allocated for them, and the loops
	// end where the bytes do.
	for i := range keys {
		if err := f.readKey(r); err != nil {
			return nil, fmt.Errorf("metadata entry %d of %d: %w", i, keys, err)
		}
	}
	if err := f.readAlignment(); err != nil {
		return nil, err
	}
	for i := range tensors {
		if err := f.readTensor(r); err != nil {
			return nil, fmt.Errorf("tensor %d of %d: %w", i, tensors, err)
		}
	}
	used := int64(len(data) - len(r.rest))
	f.start = (used + f.align - 1) &^ (f.align - 1)
	if err := f.placeTensors(); err != nil {
		return nil, err
	}
	return f, nil
}

func (f *File) readPreamble(r *reader) (tensors, keys uint64, err error) {
	magic, err := r.take(4)
	if err != nil {
		return 0, 0, fmt.Errorf("not a GGUF file: %w", err)
	}
	if string(magic) != "GGUF" {
		return 0, 0, fmt.Errorf("not a GGUF file: it begins with %q, want \"GGUF\"", magic)
	}
	if f.version, err = r.uint32(); err != nil {
		return 0, 0, fmt.Errorf("GGUF version: %w", err)
	}
	switch {
	case f.version == 2 || f.version == 3:
	case f.version == 1:
		return 0, 0, errors.New("GGUF version 1 is not supported: convert the model again with a current converter")
	case bits.ReverseBytes32(f.version) < 1<<16 && f.version >= 1<<16:
		return 0, 0, errors.New("the GGUF file is big endian, which is not supported: convert the model for little endian")
	default:
		return 0, 0, fmt.Errorf("GGUF version %d is not supported, want 2 or 3", f.version)
	}
	if tensors, err = r.uint64(); err != nil {
		return 0, 0, fmt.Errorf("tensor count: %w", err)
	}
	if keys, err = r.uint64(); err != nil {
		return 0, 0, fmt.Errorf("metadata count: %w", err)
	}
	return tensors, keys, nil
}

func (f *File) readKey(r *reader) error {
	name, err := r.string()
	if err != nil {
		return fmt.Errorf("key: %w", err)
	}
	key := string(name)
	if key == "" {
		return errors.New("the key is empty")
	}
	if _, ok := f.meta[key]; ok {
		return fmt.Errorf("key %q occurs twice", key)
	}
	kind, err := r.uint32()
	if err != nil {
		return fmt.Errorf("key %q: %w", key, err)
	}
	v, err := r.value(Kind(kind), 0)
	if err != nil {
		return fmt.Errorf("key %q: %w", key, err)
	}
	f.keys = append(f.keys, key)
	f.meta[key] = v
	return nil
}

func (f *File) readAlignment() error {
	const key = "general.alignment"
	if !f.Has(key) {
		return nil
	}
	a, err := f.Uint(key)
	if err != nil {
		return err
	}
	if a == 0 || a&(a-1) != 0 || a > 1<<30 {
		return fmt.Errorf("metadata key %q is %d, want a power of two up to 2^30", key, a)
	}
	f.align = int64(a)
	return nil
}

func (f *File) readTensor(r *reader) error {
	name, err := r.string()
	if err != nil {
		return fmt.Errorf("name: %w", err)
	}
	t := Tensor{Name: string(name)}
	if t.Name == "" {
		return errors.New("the name is empty")
	}
	if _, ok := f.byName[t.Name]; ok {
		return fmt.Errorf("the name %q occurs twice", t.Name)
	}
	if err := t.read(r); err != nil {
		return fmt.Errorf("%q: %w", t.Name, err)
	}
	f.byName[t.Name] = len(f.tensors)
	f.tensors = append(f.tensors, t)
	return nil
}

// read reads what follows the name. Offset is left relative to the data.
func (t *Tensor) read(r *reader) error {
	n, err := r.uint32()
	if err != nil {
		return err
	}
	if n == 0 || n > maxDims {
		return fmt.Errorf("%d dimensions, want 1 to %d", n, maxDims)
	}
	t.Dims = make([]int64, n)
	for i := range t.Dims {
		d, err := r.uint64()
		if err != nil {
			return err
		}
		if d == 0 || d > math.MaxInt64 {
			return fmt.Errorf("dimension %d is %d", i, d)
		}
		t.Dims[i] = int64(d)
	}
	typ, err := r.uint32()
	if err != nil {
		return err
	}
	t.Type = Type(typ)
	if t.Size, err = extent(t.Type, t.Dims); err != nil {
		return err
	}
	off, err := r.uint64()
	if err != nil {
		return err
	}
	if off > math.MaxInt64 {
		return fmt.Errorf("the offset %d is out of range", off)
	}
	t.Offset = int64(off)
	return nil
}

// extent returns the bytes of a tensor: its rows of whole blocks.
func extent(t Type, dims []int64) (int64, error) {
	block, size := t.Block()
	if block == 0 {
		return 0, fmt.Errorf("%v is not a known element format", t)
	}
	if dims[0]%int64(block) != 0 {
		return 0, fmt.Errorf("rows of %d elements are not whole %v blocks of %d", dims[0], t, block)
	}
	total := uint64(size)
	for i, d := range dims {
		if i == 0 {
			d /= int64(block)
		}
		hi, lo := bits.Mul64(total, uint64(d))
		if hi != 0 || lo > math.MaxInt64 {
			return 0, fmt.Errorf("dimensions %v are too large", dims)
		}
		total = lo
	}
	return int64(total), nil
}

// placeTensors turns offsets into positions in the file and checks that the
// tensors lie in it, aligned and apart.
func (f *File) placeTensors() error {
	size := int64(len(f.data))
	for i := range f.tensors {
		t := &f.tensors[i]
		if t.Offset%f.align != 0 {
			return fmt.Errorf("tensor %q: offset %d is not a multiple of the alignment %d", t.Name, t.Offset, f.align)
		}
		if f.start > size || t.Offset > size-f.start || t.Size > size-f.start-t.Offset {
			return fmt.Errorf("tensor %q: %d bytes at offset %d reach past the end of the file (%d bytes of data): %w",
				t.Name, t.Size, t.Offset, max(size-f.start, 0), errTruncated)
		}
		t.Offset += f.start
	}
	order := make([]*Tensor, len(f.tensors))
	for i := range order {
		order[i] = &f.tensors[i]
	}
	slices.SortFunc(order, func(a, b *Tensor) int {
		if a.Offset != b.Offset {
			return int(max(-1, min(1, a.Offset-b.Offset)))
		}
		return strings.Compare(a.Name, b.Name)
	})
	for i := 1; i < len(order); i++ {
		if a, b := order[i-1], order[i]; a.Offset+a.Size > b.Offset {
			return fmt.Errorf("tensors %q and %q overlap in the file", a.Name, b.Name)
		}
	}
	return nil
}

// reader walks the header. Every method fails rather than read past the end.
type reader struct {
	rest []byte
}

func (r *reader) take(n uint64) ([]byte, error) {
	if n > uint64(len(r.rest)) {
		return nil, errTruncated
	}
	b := r.rest[:n:n]
	r.rest = r.rest[n:]
	return b, nil
}

func (r *reader) uint32() (uint32, error) {
	b, err := r.take(4)
	if err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint32(b), nil
}

func (r *reader) uint64() (uint64, error) {
	b, err := r.take(8)
	if err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint64(b), nil
}

// string returns bytes of the file, not a copy.
func (r *reader) string() ([]byte, error) {
	n, err := r.uint64()
	if err != nil {
		return nil, err
	}
	return r.take(n)
}

// value walks a metadata value of the kind.
func (r *reader) value(kind Kind, depth int) (value, error) {
	v := value{kind: kind}
	var err error
	switch {
	case !kind.known():
		return v, fmt.Errorf("%v is unknown", kind)
	case kind == KindString:
		v.raw, err = r.string()
		return v, err
	case kind != KindArray:
		v.raw, err = r.take(uint64(kinds[kind].size))
		return v, err
	}
	if depth == maxNesting {
		return v, fmt.Errorf("arrays are nested more than %d deep", maxNesting)
	}
	elem, err := r.uint32()
	if err != nil {
		return v, err
	}
	v.elem = Kind(elem)
	if !v.elem.known() {
		return v, fmt.Errorf("array of %v", v.elem)
	}
	if v.count, err = r.uint64(); err != nil {
		return v, err
	}
	before := r.rest
	if size := uint64(kinds[v.elem].size); size > 0 {
		if v.count > uint64(len(r.rest))/size {
			return v, errTruncated
		}
		v.raw, err = r.take(v.count * size)
		return v, err
	}
	for range v.count {
		if _, err := r.value(v.elem, depth+1); err != nil {
			return v, err
		}
	}
	v.raw = before[:len(before)-len(r.rest)]
	return v, nil
}
