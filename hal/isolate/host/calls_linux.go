package host

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/hal/driver"
	"github.com/heddle-ml/heddle/hal/isolate/internal/wire"
	"github.com/heddle-ml/heddle/ops"
)

// memory is a buffer; use counts the batches that are not done.
type memory struct {
	buf     *hal.Buffer
	use     sync.WaitGroup
	mapping *wire.Mapping
	file    int // -1: none
}

func (m *memory) unmap() {
	m.mapping.Unmap()
	if m.file >= 0 {
		_ = unix.Close(m.file)
		m.file = -1
	}
}

type executable struct {
	exe     *hal.Executable
	raw     driver.Executable
	use     sync.WaitGroup
	sources []*source
	blob    *wire.Mapping
}

// unmap lets go of what the executable was made from.
func (x *executable) unmap() {
	for _, s := range x.sources {
		s.release()
	}
	x.sources = nil
	x.blob.Unmap()
}

// hello answers at once: both sides must agree before anything else.
func (s *server) hello(c *call) error {
	var g wire.Greeting
	if err := g.Decode(c.Payload); err != nil {
		return err
	}
	mine := wire.Greeting{Version: wire.Version, Drivers: s.reg.Names()}
	s.name = g.Driver
	if g.Version == wire.Version {
		if s.drv, mine.Found = s.reg.Driver(g.Driver); mine.Found {
			mine.Info = s.drv.Info()
		}
		if err := s.limit(g.MemLimit); err != nil {
			return fmt.Errorf("limiting memory to %d bytes: %w", g.MemLimit, err)
		}
	}
	s.reply(c.ID, mine.Append(nil), nil)
	if !mine.Found {
		return fmt.Errorf("the client speaks version %d and wants driver %q; this host speaks version %d and has %q", g.Version, g.Driver, wire.Version, mine.Drivers)
	}
	return nil
}

// handle carries out a call and returns the payload of its answer.
func (s *server) handle(ctx context.Context, c *call, q *queue) (out []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			out, err = nil, fmt.Errorf("the driver panicked: %v: %w", p, driver.ErrDeviceLost)
		}
	}()
	switch c.Kind {
	case wire.Probe:
		devs, err := s.drv.Probe(ctx)
		if err != nil {
			return nil, err
		}
		return json.Marshal(devs)
	case wire.Open:
		return s.open(ctx, c)
	}
	s.mu.Lock()
	d := s.dev
	s.mu.Unlock()
	if d == nil {
		return nil, fmt.Errorf("%s before a device is open: %w", c.Kind, driver.ErrUnavailable)
	}
	switch c.Kind {
	case wire.Supports:
		g, err := graph.Unmarshal(c.Payload, ops.Standard)
		if err != nil {
			return nil, err
		}
		vs, err := d.Supports(g)
		return wire.AppendVerdicts(nil, vs), err
	case wire.Alloc, wire.Import:
		return nil, s.alloc(ctx, d, c)
	case wire.Free:
		return nil, s.free(c)
	case wire.Compile, wire.CompileSet, wire.Load:
		return s.compile(ctx, d, c)
	case wire.CloseExec:
		return nil, s.closeExec(c)
	case wire.Footprint:
		x, err := s.exec(c.A)
		if err != nil {
			return nil, err
		}
		defer x.use.Done()
		return json.Marshal(x.exe.Footprint())
	case wire.Save:
		return s.save(d, c)
	case wire.Judge:
		cacher, ok := driver.As[driver.Cacher](d.raw)
		if !ok {
			return nil, errNot("save executables")
		}
		return []byte{byte(cacher.Judge(c.Payload))}, nil
	case wire.Estimate:
		return estimate(d, c)
	case wire.NewQueue:
		return nil, s.newQueue(d, c)
	case wire.CloseQueue:
		if q == nil {
			return nil, errNo("queue", c.A)
		}
		return nil, q.close()
	case wire.Bye:
		return nil, s.bye(d)
	}
	return nil, fmt.Errorf("%s: %w", c.Kind, wire.ErrGarbage)
}

func errNo(what string, id uint64) error {
	return fmt.Errorf("there is no %s %d: %w", what, id, driver.ErrClosed)
}

func errNot(what string) error {
	return fmt.Errorf("the device cannot %s: %w", what, driver.ErrUnsupported)
}

func (s *server) open(ctx context.Context, c *call) ([]byte, error) {
	o, err := wire.JSON[wire.OpenRequest](c.Payload)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	twice := s.opening
	s.opening = true
	s.mu.Unlock()
	if twice {
		return nil, fmt.Errorf("a host serves one device: %w", driver.ErrUnsupported)
	}
	raw, err := s.drv.Open(ctx, o.ID, o.Options)
	if err == nil && raw == nil {
		err = fmt.Errorf("the driver returned no device, and no error")
	}
	if err != nil {
		return nil, err
	}
	d := newDevice(s.name, raw)
	out, err := json.Marshal(d.opened())
	if err != nil {
		_ = d.Close()
		return nil, fmt.Errorf("the device's capabilities: %w", err)
	}
	s.mu.Lock()
	s.dev = d
	s.mu.Unlock()
	return out, nil
}

// id checks the number of a new object.
func id(n uint64) (uint32, error) {
	if n == 0 || n > math.MaxUint32 {
		return 0, fmt.Errorf("object number %d: %w", n, wire.ErrGarbage)
	}
	return uint32(n), nil
}

// add enters an object under a new number.
func add[T any](s *server, m map[uint32]T, n uint32, v T) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, taken := m[n]; taken {
		return fmt.Errorf("object number %d is taken: %w", n, wire.ErrGarbage)
	}
	m[n] = v
	return nil
}

// remove takes an object out.
func remove[T any](s *server, m map[uint32]T, n uint64) (v T, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if v, ok = m[uint32(n)]; ok && n <= math.MaxUint32 {
		delete(m, uint32(n))
		return v, true
	}
	return v, false
}

func (s *server) alloc(ctx context.Context, d *device, c *call) error {
	n, err := id(c.A)
	if err != nil {
		return err
	}
	m := &memory{file: -1}
	size, heap, req := int64(c.C), int(c.B), &request{}
	if c.Kind == wire.Import {
		heap = 0
	}
	if c.file >= 0 {
		req.share, err = s.share(d, m, c, heap, size)
		heap = req.share.heap
	} else if c.Kind == wire.Import {
		err = fmt.Errorf("an import without a file: %w", wire.ErrGarbage)
	}
	if err == nil {
		m.buf, err = d.AllocOn(context.WithValue(ctx, requestKey{}, req), size, heap)
	}
	if err == nil {
		if err = add(s, s.mems, n, m); err == nil {
			return nil
		}
		_ = m.buf.Close()
	}
	m.unmap()
	return err
}

// share prepares the import of the memory that came with a call.
func (s *server) share(d *device, m *memory, c *call, heap int, size int64) (share, error) {
	sh := share{heap: heap}
	dma := c.Kind == wire.Import && c.B == 1
	kind, ok := d.how(heap)
	if c.Kind == wire.Import {
		kind, sh.heap, ok = d.importKind(dma)
	}
	if !ok {
		return sh, errNot("import memory")
	}
	if !dma {
		if err := wire.CheckSize(c.file, 0, size, false); err != nil {
			return sh, err
		}
	}
	sh.x = driver.External{Kind: kind, Size: size}
	if kind == driver.HostPtr {
		if !wire.Sealed(c.file) && c.Kind == wire.Alloc {
			return sh, fmt.Errorf("memory in a file that can shrink: %w", wire.ErrGarbage)
		}
		var err error
		if m.mapping, err = wire.Map(c.file, 0, size, true); err != nil {
			return sh, err
		}
		sh.x.Bytes = m.mapping.Bytes
		return sh, nil
	}
	m.file = c.take()
	sh.x.FD = m.file
	return sh, nil
}

func (s *server) free(c *call) error {
	m, ok := remove(s, s.mems, c.A)
	if !ok {
		return errNo("memory", c.A)
	}
	m.use.Wait()
	err := m.buf.Close()
	m.unmap()
	return err
}

// exec returns an executable, in use until the caller says otherwise.
func (s *server) exec(n uint64) (*executable, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.execs[uint32(n)]
	if x == nil || n > math.MaxUint32 {
		return nil, errNo("executable", n)
	}
	x.use.Add(1)
	return x, nil
}

func (s *server) closeExec(c *call) error {
	x, ok := remove(s, s.execs, c.A)
	if !ok {
		return errNo("executable", c.A)
	}
	x.use.Wait()
	err := x.exe.Close()
	x.unmap()
	return err
}

func (s *server) save(d *device, c *call) ([]byte, error) {
	cacher, ok := driver.As[driver.Cacher](d.raw)
	if !ok {
		return nil, errNot("save executables")
	}
	x, err := s.exec(c.A)
	if err != nil {
		return nil, err
	}
	defer x.use.Done()
	return cacher.Save(x.raw)
}

func estimate(d *device, c *call) ([]byte, error) {
	e, ok := driver.As[driver.Estimator](d.raw)
	if !ok {
		return nil, errNot("estimate")
	}
	bin, at, err := wire.DecodeEstimate(c.Payload)
	if err != nil {
		return nil, err
	}
	g, err := graph.Unmarshal(bin, ops.Standard)
	if err != nil {
		return nil, err
	}
	seconds, ok := e.Estimate(g, at)
	out := binary.LittleEndian.AppendUint64(nil, math.Float64bits(seconds))
	if ok {
		return append(out, 1), nil
	}
	return append(out, 0), nil
}

// bye ends the device. Queues that are still open are closed, so that
// nothing runs any more; what else is open is the driver's to complain about.
func (s *server) bye(d *device) error {
	s.mu.Lock()
	s.dev = nil // release must not touch the driver again
	s.mu.Unlock()
	s.closeQueues()
	return d.Close()
}
