package isolate

import (
	"context"
	"fmt"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/heddle-ml/heddle/hal/driver"
	"github.com/heddle-ml/heddle/hal/isolate/internal/wire"
)

// memory is an allocation. Shared memory is mapped here, other memory is only
// a number.
type memory struct {
	d    *device
	id   uint64
	spec driver.MemSpec

	mu      sync.RWMutex
	mapping *wire.Mapping
	file    int // of shared memory, -1 without
	counted int64
	freed   bool
}

// Alloc allocates shared memory where the heap allows it, else memory of the
// device.
func (d *device) Alloc(ctx context.Context, s driver.MemSpec) (driver.Memory, error) {
	m := &memory{d: d, id: d.id(), spec: s, file: -1}
	r := request{kind: wire.Alloc, a: m.id, b: uint64(s.Heap), c: uint64(s.Size), undo: func() { d.l.quietly(wire.Free, m.id) }}
	if d.heaps[s.Heap].shared {
		if err := m.share(s); err != nil {
			m.release()
			return nil, err
		}
		r.file, r.hasFile = m.file, true
	}
	if _, err := d.l.call(ctx, r); err != nil {
		m.release()
		return nil, err
	}
	return m, nil
}

// share makes the memory.
func (m *memory) share(s driver.MemSpec) error {
	limit := m.d.caps.Heaps[s.Heap].Size
	if left := m.d.budget.Add(-s.Size); left < 0 || limit > 0 && s.Size > limit {
		m.d.budget.Add(s.Size)
		return fmt.Errorf("%d bytes; %d are left: %w", s.Size, left+s.Size, driver.ErrOutOfMemory)
	}
	m.counted = s.Size
	var err error
	if m.file, err = wire.MemFile("tensors", s.Size); err != nil {
		return err
	}
	m.mapping, err = wire.Map(m.file, 0, s.Size, true)
	return err
}

// release unmaps and closes what is here.
func (m *memory) release() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mapping.Unmap()
	if m.file >= 0 {
		_ = unix.Close(m.file)
		m.file = -1
	}
	m.d.budget.Add(m.counted)
	m.counted, m.freed = 0, true
}

// Spec returns what was asked for.
func (m *memory) Spec() driver.MemSpec { return m.spec }

// Bytes returns shared memory, false for memory of the device's own.
func (m *memory) Bytes() ([]byte, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.mapping == nil || m.freed {
		return nil, false
	}
	return m.mapping.Bytes, true
}

// Free frees the memory, here and there.
func (m *memory) Free() error {
	m.mu.Lock()
	freed := m.freed
	m.freed = true
	m.mu.Unlock()
	if freed {
		return nil
	}
	err := m.d.l.drop(wire.Free, m.id, 0)
	m.release()
	return err
}

type importer struct{ d *device }

// Import passes a file to the device. The memory is visible here if it can be
// mapped.
func (i importer) Import(ctx context.Context, x driver.External) (driver.Memory, error) {
	d := i.d
	dma := x.Kind == driver.DMABuf
	if !dma && x.Kind != driver.MemFD {
		return nil, fmt.Errorf("import of memory by %q: another process takes files only (%q, %q): %w", x.Kind, driver.MemFD, driver.DMABuf, driver.ErrUnsupported)
	}
	m := &memory{d: d, id: d.id(), spec: driver.MemSpec{Size: x.Size, Heap: d.importHeap(dma)}, file: -1}
	if m.spec.Heap < 0 {
		return nil, fmt.Errorf("the device imports no memory by %q: %w", x.Kind, driver.ErrUnsupported)
	}
	if !dma {
		// As of its own memory, of what is here the host may see it.
		if err := wire.CheckSize(x.FD, 0, x.Size, false); err != nil {
			return nil, fmt.Errorf("import: %w", err)
		}
		if d.heaps[m.spec.Heap].shared {
			var err error
			if m.mapping, err = wire.Map(x.FD, 0, x.Size, true); err != nil {
				return nil, fmt.Errorf("import: %w", err)
			}
		}
	}
	r := request{kind: wire.Import, a: m.id, c: uint64(x.Size), file: x.FD, hasFile: true, undo: func() { d.l.quietly(wire.Free, m.id) }}
	if dma {
		r.b = 1
	}
	if _, err := d.l.call(ctx, r); err != nil {
		m.release()
		return nil, err
	}
	return m, nil
}

// importHeap returns the heap that imported memory belongs to, as the host
// chooses it; -1: none.
func (d *device) importHeap(dma bool) int {
	for i, h := range d.has.Caps.Heaps {
		if _, ok := wire.FileKind(&h); !dma && ok {
			return i
		}
		if dma && d.dma(i) {
			return i
		}
	}
	return -1
}

type exporter struct{ d *device }

// Export gives shared memory away: mapped, or as the file.
func (e exporter) Export(m driver.Memory, kind driver.ShareKind) (driver.External, error) {
	mem, ok := m.(*memory)
	if !ok || mem.d != e.d {
		return driver.External{}, fmt.Errorf("export of memory that is not the device's (%T): %w", m, driver.ErrUnsupported)
	}
	mem.mu.RLock()
	defer mem.mu.RUnlock()
	switch {
	case mem.freed:
		return driver.External{}, fmt.Errorf("export of freed memory: %w", driver.ErrClosed)
	case kind == driver.HostPtr && mem.mapping != nil:
		return driver.External{Kind: kind, Bytes: mem.mapping.Bytes, Size: mem.spec.Size}, nil
	case kind == driver.MemFD && mem.file >= 0:
		return driver.External{Kind: kind, FD: mem.file, Size: mem.spec.Size}, nil
	}
	return driver.External{}, fmt.Errorf("export by %q: %w", kind, driver.ErrUnsupported)
}
