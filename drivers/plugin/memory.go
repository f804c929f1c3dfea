package plugin

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"sync/atomic"
	"unsafe"

	"github.com/heddle-ml/heddle/hal/abi"
	"github.com/heddle-ml/heddle/hal/driver"
)

// memory is an allocation of the library's, or one that it imported.
type memory struct {
	dev    *device
	handle uint64
	spec   driver.MemSpec
	base   uintptr // as the host sees it; 0 if it does not
	freed  atomic.Bool
	pinned bool // it is Go's; see imported
}

func (d *device) Alloc(ctx context.Context, s driver.MemSpec) (driver.Memory, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	args := &abi.AllocArgs{BytesSize: uint64(s.Size), Heap: uint32(s.Heap)}
	if err := call(d, "alloc", d.lib.table.Alloc, d.handle, args); err != nil {
		return nil, err
	}
	return d.newMemory("alloc", s, args.Memory, args.Bytes, d.caps.Heaps[s.Heap].HostVisible)
}

// newMemory checks what the library gave.
func (d *device) newMemory(name string, s driver.MemSpec, handle uint64, base uintptr, visible bool) (driver.Memory, error) {
	if handle == 0 {
		return nil, nonsense(name, "no handle")
	}
	m := &memory{dev: d, handle: handle, spec: s, base: base}
	var err error
	switch {
	case s.Size == 0: // there is nothing to see
	case visible && base == 0:
		err = nonsense(name, "no address, for memory that the caps call visible to the host")
	case base%driver.PlaneAlign != 0:
		err = nonsense(name, "address %#x is not a multiple of %d", base, driver.PlaneAlign)
	case uint64(base) > math.MaxInt64-uint64(s.Size):
		err = nonsense(name, "%d bytes at %#x are not in any process", s.Size, base)
	}
	if err != nil {
		_ = m.Free() // the reason to report is the other
		return nil, err
	}
	return m, nil
}

func (m *memory) Spec() driver.MemSpec { return m.spec }

func (m *memory) Bytes() ([]byte, bool) {
	switch {
	case m.freed.Load():
		return nil, false
	case m.spec.Size == 0:
		return []byte{}, true
	case m.base == 0:
		return nil, false
	}
	return unsafe.Slice((*byte)(pointer(m.base)), m.spec.Size), true
}

// hidden reports whether the host does not see the memory.
func (m *memory) hidden() bool { return m.base == 0 && m.spec.Size > 0 }

// Free frees the memory. Calling it again does nothing.
func (m *memory) Free() error {
	if m.freed.Swap(true) {
		return nil
	}
	err := call(m.dev, "free", m.dev.lib.table.Free, m.handle, &abi.NoneArgs{})
	if m.pinned {
		if pin, ok := imported.LoadAndDelete(m); ok {
			pin.(*runtime.Pinner).Unpin()
		}
	}
	return err
}

// memoryOf returns a region's memory, which has to be this device's.
func (d *device) memoryOf(r driver.Region) (*memory, error) {
	m, ok := r.Mem.(*memory)
	switch {
	case !ok || m.dev != d:
		return nil, fmt.Errorf("memory of another device: copy it, or import it: %w", driver.ErrUnsupported)
	case m.freed.Load():
		return nil, fmt.Errorf("memory was freed: %w", driver.ErrClosed)
	case r.Off < 0 || r.Size < 0 || r.Off > m.spec.Size || r.Size > m.spec.Size-r.Off:
		return nil, fmt.Errorf("region %d+%d is not inside memory of %d bytes", r.Off, r.Size, m.spec.Size)
	}
	return m, nil
}
