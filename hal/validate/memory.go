package validate

import (
	"bytes"
	"reflect"
	"sync/atomic"

	"github.com/heddle-ml/heddle/hal/driver"
)

// guardBytes is the least length of the guards before and after memory.
const guardBytes = 1024

// guardFor returns the guard for an allocation, a multiple of its heap's
// alignment; 0 where guards cannot be: the memory is out of the host's sight,
// may be exported whole, or is as large as it may be.
func (d *device) guardFor(s driver.MemSpec) int64 {
	h := &d.caps.Heaps[s.Heap]
	for _, k := range h.Export {
		if k != driver.HostPtr {
			return 0
		}
	}
	guard := max(guardBytes, h.Align)
	if limit := d.caps.Limits.MaxAllocation; !h.HostVisible || limit > 0 && s.Size > limit-2*guard {
		return 0
	}
	return guard
}

// pattern fills b with bytes that no computation yields by accident: byte i
// depends on i, so that even a driver that writes constants is seen.
func pattern(b []byte) {
	x := uint32(0x9e3779b9)
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
}

// damaged returns the first and last position where b is no longer the
// pattern, -1 when it is untouched.
func damaged(b, want []byte) (first, last int) {
	want = want[:len(b)]
	if bytes.Equal(b, want) {
		return -1, -1
	}
	first = -1
	for i := range b {
		if b[i] != want[i] {
			if first < 0 {
				first = i
			}
			last = i
		}
	}
	return first, last
}

type memory struct {
	d     *device
	in    driver.Memory
	spec  driver.MemSpec
	guard int64
	want  []byte       // what the guards hold
	uses  atomic.Int64 // by commands of pending batches
}

// check compares what was allocated with what was asked for, and lays the
// guards.
func (m *memory) check(asked driver.MemSpec) error {
	if got := m.in.Spec(); got != asked {
		return m.d.rec.add(RuleMemory, "asked for %d bytes on heap %d, Spec says %d on heap %d", asked.Size, asked.Heap, got.Size, got.Heap)
	}
	h := &m.d.caps.Heaps[asked.Heap]
	b, ok := m.in.Bytes()
	if ok != h.HostVisible {
		return m.d.rec.add(RuleMemory, "Bytes says visible: %t, heap %q says %t", ok, h.Name, h.HostVisible)
	}
	if !ok {
		return nil
	}
	if int64(len(b)) != asked.Size {
		return m.d.rec.add(RuleMemory, "asked for %d bytes, Bytes has %d", asked.Size, len(b))
	}
	if at := reflect.ValueOf(b).Pointer(); h.Align > 0 && at%uintptr(h.Align) != 0 {
		return m.d.rec.add(RuleMemory, "memory starts at %#x, heap %q promises a multiple of %d", at, h.Name, h.Align)
	}
	for i, x := range b {
		if x != 0 {
			return m.d.rec.add(RuleMemory, "new memory is not zeroed: byte %d is %#x", i, x)
		}
	}
	if m.guard > 0 {
		m.want = make([]byte, m.guard)
		pattern(m.want)
		copy(b, m.want)
		copy(b[m.guard+m.spec.Size:], m.want)
	}
	return nil
}

// checkGuards sees whether the bytes before and after the memory are as they
// were laid. Nobody may write there, so it can be looked at any time.
func (m *memory) checkGuards(after string) error {
	if m.guard == 0 {
		return nil
	}
	b, ok := m.in.Bytes()
	if !ok {
		return m.d.rec.add(RuleMemory, "visible memory is no longer")
	}
	end := m.guard + m.spec.Size
	if _, last := damaged(b[:m.guard], m.want); last >= 0 {
		copy(b, m.want)
		return m.d.rec.add(RuleBounds, "%s: byte %d before memory of %d bytes was overwritten", after, m.guard-int64(last), m.spec.Size)
	}
	if first, last := damaged(b[end:], m.want); last >= 0 {
		copy(b[end:], m.want)
		return m.d.rec.add(RuleBounds, "%s: bytes %d to %d after memory of %d bytes were overwritten", after, first, last, m.spec.Size)
	}
	return nil
}

// Spec returns what was asked for.
func (m *memory) Spec() driver.MemSpec { return m.spec }

// Bytes returns the memory between the guards.
func (m *memory) Bytes() ([]byte, bool) {
	if !m.d.isOpen(m) {
		m.d.rec.add(RuleClosed, "Bytes of memory that was freed")
		return nil, false
	}
	b, ok := m.in.Bytes()
	if !ok || int64(len(b)) < m.guard+m.spec.Size {
		return nil, false
	}
	return b[m.guard : m.guard+m.spec.Size : m.guard+m.spec.Size], true
}

// Free checks the guards a last time and frees.
func (m *memory) Free() error {
	if err := m.d.closing(m, "memory"); err != nil {
		return err
	}
	if m.uses.Load() > 0 {
		m.d.rec.add(RuleClosed, "memory of %d bytes was freed while a pending batch uses it", m.spec.Size)
	}
	err := m.checkGuards("at Free")
	if e := callErr(m.d.rec, "Free", m.in.Free); e != nil {
		return e
	}
	return err
}

// region translates a region of m to the driver's memory.
func (m *memory) region(off, size int64) driver.Region {
	return driver.Region{Mem: m.in, Off: m.guard + off, Size: size}
}
