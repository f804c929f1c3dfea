package fault

import (
	"context"
	"errors"
	"sync"

	"github.com/heddle-ml/heddle/hal/driver"
)

// memory is an allocation that a fault is about; others are the driver's own.
type memory struct {
	d     *device
	in    driver.Memory // nil when there is none behind it
	spec  driver.MemSpec
	users *users // of in, when it is shared
}

// users counts the allocations that share memory.
type users struct {
	mu sync.Mutex
	n  int
}

func (u *users) add(n int) (left int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.n += n
	return u.n
}

// Alloc allocates, unless a fault strikes.
func (d *device) Alloc(ctx context.Context, s driver.MemSpec) (driver.Memory, error) {
	if err := d.gone(); err != nil {
		return nil, d.err(err)
	}
	if d.has(AliasMemory, nil) != nil {
		return d.alias(ctx, s)
	}
	in, err := d.in.Alloc(ctx, s)
	if err != nil {
		if ctx.Err() == nil && s.Size >= 0 && d.struck(Overcommit, nil) != nil {
			return &memory{d: d, spec: s}, nil
		}
		return nil, d.err(err)
	}
	if b, ok := in.Bytes(); ok && d.struck(DirtyMemory, nil) != nil {
		for i := range b {
			b[i] = 0xa5
		}
	}
	if d.has(Leak, nil) == nil && d.has(UseAfterClose, nil) == nil {
		return in, nil
	}
	return &memory{d: d, in: in, spec: s}, nil
}

// alias gives an allocation the memory of the one before if it is struck and
// fits in.
func (d *device) alias(ctx context.Context, s driver.MemSpec) (driver.Memory, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if l := d.latest; l != nil && l.spec.Heap == s.Heap && l.in.Spec().Size >= s.Size && d.struck(AliasMemory, nil) != nil {
		l.users.add(1)
		m := &memory{d: d, in: l.in, spec: s, users: l.users}
		return m, nil
	}
	in, err := d.in.Alloc(ctx, s)
	if err != nil {
		return nil, d.err(err)
	}
	d.latest = &memory{d: d, in: in, spec: s, users: &users{n: 1}}
	return d.latest, nil
}

// Spec returns what was asked for.
func (m *memory) Spec() driver.MemSpec { return m.spec }

// Bytes returns what the host sees.
func (m *memory) Bytes() ([]byte, bool) {
	if m.in == nil {
		return nil, false
	}
	b, ok := m.in.Bytes()
	if !ok || int64(len(b)) < m.spec.Size {
		return nil, false
	}
	return b[:m.spec.Size:m.spec.Size], true
}

// Free frees it, with the last one that shares it.
func (m *memory) Free() error {
	if m.in == nil {
		return nil
	}
	if m.users != nil {
		m.d.mu.Lock()
		defer m.d.mu.Unlock()
		if m.users.add(-1) > 0 {
			return nil
		}
		if m.d.latest != nil && m.d.latest.in == m.in {
			m.d.latest = nil
		}
		return m.in.Free()
	}
	return m.d.closing(m.in.Free)
}

var errNoMemory = errors.New("fault: there is no memory behind this allocation")

// actual returns a region as the driver knows it.
func actual(r driver.Region) (driver.Region, error) {
	if m, ok := r.Mem.(*memory); ok {
		if m.in == nil {
			return r, errNoMemory
		}
		r.Mem = m.in
	}
	return r, nil
}
