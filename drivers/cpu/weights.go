package cpu

import (
	"fmt"
	"sync"
	"unsafe"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/ops/kern/gemm"
	"github.com/heddle-ml/heddle/ops/kern/quant"
)

// store holds the device's own copies of weights, each made once and shared
// by all executables that ask for the same bytes in the same form.
type store struct {
	mu      sync.Mutex
	entries map[string]*entry
}

type entry struct {
	once sync.Once
	data []float32
	err  error
	refs int
}

// get returns the copy under a key, making it if it is not there. Each get
// needs a release.
func (s *store) get(key string, make func() ([]float32, error)) ([]float32, error) {
	s.mu.Lock()
	e := s.entries[key]
	if e == nil {
		e = &entry{}
		s.entries[key] = e
	}
	e.refs++
	s.mu.Unlock()
	e.once.Do(func() { e.data, e.err = make() })
	return e.data, e.err
}

func (s *store) release(keys map[string]bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k := range keys {
		if e := s.entries[k]; e != nil {
			if e.refs--; e.refs == 0 {
				delete(s.entries, k)
			}
		}
	}
}

// weights gives an executable access to its constants.
type weights struct {
	dev    *device
	data   graph.Data
	keys   map[string]bool // entries of the store that the executable holds
	size   int64           // bytes of them
	mapped int64           // bytes used where they lie
}

// hold gets an entry once for each executable.
func (w *weights) hold(key string, make func() ([]float32, error)) ([]float32, error) {
	f, err := w.dev.weights.get(key, make)
	if w.keys[key] || err != nil {
		w.dev.weights.release(map[string]bool{key: true})
		return f, err
	}
	w.keys[key] = true
	w.size += int64(4 * len(f))
	return f, nil
}

func (w *weights) release() {
	w.dev.weights.release(w.keys)
	w.keys = map[string]bool{}
}

// key names the bytes of a constant: where they lie in this process, and how
// they are viewed.
func (w *weights) key(v *graph.Value) (string, error) {
	s := v.Type.String()
	for i := range v.Data.Parts {
		p := &v.Data.Parts[i]
		b := p.Inline
		if p.Source != "" {
			var err error
			if b, err = w.data.Source(p.Source); err != nil {
				return "", err
			}
		}
		s += fmt.Sprintf("|%p+%d,%d,%d %s%v%s %v%v", unsafe.SliceData(b), p.Offset, p.ScaleOffset, p.ZeroOffset, p.Elem, p.Shape, p.Enc, p.Start, p.Size)
	}
	return s + fmt.Sprint("|", v.Data.Axis, v.Data.Perm), nil
}

// dense returns the elements of a constant as float32 in logical order: a
// shared copy, whatever it is stored as.
func (w *weights) dense(v *graph.Value) ([]float32, error) {
	key, err := w.key(v)
	if err != nil {
		return nil, err
	}
	return w.hold("dense "+key, func() ([]float32, error) { return w.decode(v) })
}

// plain returns the elements of a constant in a type, in logical order: where
// they lie if they are stored so, else a shared copy.
func (w *weights) plain(v *graph.Value, elem enc.Elem) ([]byte, error) {
	if v.Type.Enc == (enc.Encoding{}) && v.Type.Elem == elem {
		p, err := graph.ReadWeight(v, w.data)
		if isDerived(err) {
			f, err := w.dense(v)
			return floatBytes(f), err
		}
		if err != nil {
			return nil, err
		}
		if elem == enc.Bool {
			return truths(p.Data), nil
		}
		if c, ok := v.Const(); !ok || len(c.Data) != len(p.Data) {
			w.mapped += int64(len(p.Data))
		}
		return aligned(p.Data), nil
	}
	if v.Type.Elem.IsFloat() {
		f, err := w.dense(v)
		if err != nil || elem == enc.F32 {
			return floatBytes(f), err
		}
		out := alignedBytes(len(f) * elem.Bits() / 8)
		cast(out, elem, floatBytes(f), enc.F32, 0, len(f))
		return out, nil
	}
	// Integers that are stored in a narrower type.
	p, err := graph.ReadWeight(v, w.data)
	if err != nil {
		return nil, err
	}
	n, _ := dim.Count(p.Shape)
	from, src := wholeOf(p.Elem), aligned(p.Data)
	if p.Elem.Bits() == 4 {
		src = alignedBytes(int(n))
		if p.Elem == enc.I4 {
			quant.UnpackNibbles(as[int8](src), p.Data)
		} else {
			quant.UnpackNibbles(src, p.Data)
		}
	}
	out := alignedBytes(int(n) * elem.Bits() / 8)
	cast(out, elem, src, from, 0, int(n))
	return out, nil
}

// truths returns a copy of booleans in which true is 1.
func truths(b []byte) []byte {
	out := alignedBytes(len(b))
	cast(out, enc.Bool, b, enc.Bool, 0, len(b))
	return out
}

func (w *weights) decode(v *graph.Value) ([]float32, error) {
	p, err := graph.ReadWeight(v, w.data)
	if isDerived(err) {
		return w.derive(v)
	}
	if err != nil {
		return nil, err
	}
	shape, _ := v.Type.Shape.Const()
	n := 1
	for _, d := range shape {
		n *= int(d)
	}
	out := make([]float32, n)
	p.Data, p.Scale, p.Zero = aligned(p.Data), aligned(p.Scale), aligned(p.Zero)
	return out, decodeInto(out, v.Type, shape, p)
}

// aligned returns b, or a copy of it that starts at a multiple of 8: tensors
// of different types lie in a file without gaps.
func aligned(b []byte) []byte {
	if uintptr(unsafe.Pointer(unsafe.SliceData(b)))%8 == 0 {
		return b
	}
	c := as[byte](make([]byte, len(b)+8))
	c = c[-uintptr(unsafe.Pointer(unsafe.SliceData(c)))%8:]
	copy(c, b)
	return c[:len(b)]
}

// packed returns a matrix, the right operand of a product, as panels: [K,N],
// or [N,K] if transposed.
func (w *weights) packed(v *graph.Value, transposed bool) ([]float32, error) {
	key, err := w.key(v)
	if err != nil {
		return nil, err
	}
	shape, _ := v.Type.Shape.Const()
	k, n, straight, turned := int(shape[0]), int(shape[1]), gemm.KN, gemm.NK
	if transposed {
		k, n, straight, turned = n, k, gemm.NK, gemm.KN
	}
	return w.hold(fmt.Sprint("packed ", transposed, " ", key), func() ([]float32, error) {
		// Nothing is allocated before the bytes are known to be there.
		if raw, asStored, ok := w.rows(v); ok {
			form := straight
			if !asStored {
				form = turned
			}
			dst := make([]float32, gemm.PackedLen(k, n))
			return dst, w.packRows(dst, raw, v.Type.Enc.Stored(v.Type.Elem), k, n, form)
		}
		f, err := w.decode(v)
		if err != nil {
			return nil, err
		}
		ld := n
		if transposed {
			ld = k
		}
		dst := make([]float32, gemm.PackedLen(k, n))
		return dst, gemm.Pack(dst, f, k, n, ld, straight)
	})
}

// rows returns a plain matrix as it lies in its source, and whether its rows
// are those of the logical matrix or of its transpose, so that packing needs
// no copy in between.
func (w *weights) rows(v *graph.Value) (raw []byte, straight, ok bool) {
	d := v.Data
	if v.Type.Enc.Kind != enc.Plain || len(d.Parts) != 1 {
		return nil, false, false
	}
	p := &d.Parts[0]
	if p.Enc != (enc.Encoding{}) || p.Start != nil || p.Elem != v.Type.Enc.Stored(v.Type.Elem) || len(p.Shape) != 2 {
		return nil, false, false
	}
	b := p.Inline
	if p.Source != "" {
		src, err := w.data.Source(p.Source)
		size, err2 := p.Elem.Bytes(p.Shape[0] * p.Shape[1])
		if err != nil || err2 != nil || p.Offset+size > int64(len(src)) {
			return nil, false, false // graph.ReadWeight says what is wrong
		}
		b = src[p.Offset : p.Offset+size]
	}
	if b == nil || uintptr(unsafe.Pointer(unsafe.SliceData(b)))%4 != 0 {
		return nil, false, false
	}
	if d.Perm == nil || d.Perm[0] == 0 {
		return b, true, true
	}
	return b, false, true
}

func (w *weights) packRows(dst []float32, raw []byte, elem enc.Elem, k, n int, form gemm.Form) error {
	ld := n
	if form == gemm.NK {
		ld = k
	}
	switch elem {
	case enc.F32:
		return gemm.Pack(dst, as[float32](raw), k, n, ld, form)
	case enc.F16:
		return gemm.PackF16(dst, as[uint16](raw), k, n, ld, form)
	case enc.BF16:
		return gemm.PackBF16(dst, as[uint16](raw), k, n, ld, form)
	}
	return fmt.Errorf("a matrix of %s cannot be packed", elem)
}

// as views bytes as elements. The start must be aligned for T; arenas,
// buffers and checked sources are.
func as[T any](b []byte) []T {
	var z T
	size := int(unsafe.Sizeof(z))
	if len(b) < size {
		return nil
	}
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/size)
}
