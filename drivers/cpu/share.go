package cpu

import (
	"context"
	"fmt"
	"sync/atomic"
	"unsafe"

	"github.com/heddle-ml/heddle/hal/driver"
)

var (
	_ driver.Importer = (*device)(nil)
	_ driver.Exporter = (*device)(nil)
)

// imported is memory that somebody else owns; freeing it only lets go of it.
type imported struct {
	bytes atomic.Pointer[[]byte]
	size  int64
}

func (m *imported) Spec() driver.MemSpec { return driver.MemSpec{Size: m.size} }

func (m *imported) Bytes() ([]byte, bool) {
	if b := m.bytes.Load(); b != nil {
		return *b, true
	}
	return nil, false
}

func (m *imported) Free() error {
	m.bytes.Store(nil)
	return nil
}

// Import uses the host's memory where it lies. It has to start at a multiple
// of driver.PlaneAlign, as arguments do.
func (d *device) Import(_ context.Context, x driver.External) (driver.Memory, error) {
	if x.Kind != driver.HostPtr {
		return nil, fmt.Errorf("import of memory by %q; the CPU takes %q: %w", x.Kind, driver.HostPtr, driver.ErrUnsupported)
	}
	if x.Size != int64(len(x.Bytes)) {
		return nil, fmt.Errorf("import of %d bytes that are said to be %d", len(x.Bytes), x.Size)
	}
	if uintptr(unsafe.Pointer(unsafe.SliceData(x.Bytes)))%driver.PlaneAlign != 0 && x.Size > 0 {
		return nil, fmt.Errorf("import of memory that does not start at a multiple of %d bytes: %w", driver.PlaneAlign, driver.ErrUnsupported)
	}
	b := x.Bytes[:x.Size:x.Size]
	m := &imported{size: x.Size}
	m.bytes.Store(&b)
	return m, nil
}

// Export gives memory of this device away as the host sees it.
func (d *device) Export(m driver.Memory, kind driver.ShareKind) (driver.External, error) {
	if kind != driver.HostPtr {
		return driver.External{}, fmt.Errorf("export of memory by %q; the CPU gives %q: %w", kind, driver.HostPtr, driver.ErrUnsupported)
	}
	switch m.(type) {
	case *memory, *imported:
	default:
		return driver.External{}, fmt.Errorf("export of memory that is not the CPU's (%T): %w", m, driver.ErrUnsupported)
	}
	b, ok := m.Bytes()
	if !ok {
		return driver.External{}, fmt.Errorf("export of freed memory: %w", driver.ErrClosed)
	}
	return driver.External{Kind: kind, Bytes: b, Size: int64(len(b))}, nil
}
