package memory

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"

	"github.com/heddle-ml/heddle/conformance/internal/rig"
	"github.com/heddle-ml/heddle/conformance/internal/suite"
	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/hal/driver"
)

func shareCases() []suite.Case {
	return []suite.Case{
		shared("share.claims", claims),
		shared("share.import_host", importHost),
		shared("share.import_memfd", importFile),
		shared("share.import_refused", importRefused),
		shared("share.export", exported),
	}
}

// sharer is a device at the driver's own interface: what is shared does not
// pass through hal.
type sharer struct {
	ctx   context.Context
	env   *suite.Env
	dev   driver.Device
	hal   *hal.Device
	queue driver.Queue
	line  driver.Timeline
	tick  uint64
	free  []func() error
}

// shared is a case on a device of its own without validation. What the device
// does not claim it has to refuse, so there is something to pass for everyone.
func shared(id string, f func(s *sharer) error) suite.Case {
	return suite.Case{ID: "memory." + id, Profiles: suite.Skeleton, Run: func(ctx context.Context, e *suite.Env) error {
		h, d, err := e.Bare(ctx)
		if err != nil {
			return err
		}
		s := &sharer{ctx: ctx, env: e, dev: d, hal: h}
		err = s.start()
		if err == nil {
			err = f(s)
		}
		if s.queue != nil {
			err = errors.Join(err, s.queue.Close())
		}
		for _, f := range slices.Backward(s.free) {
			err = errors.Join(err, f())
		}
		return errors.Join(err, h.Close())
	}}
}

func (s *sharer) start() (err error) {
	if s.queue, err = s.dev.NewQueue(driver.QueueOptions{Label: "conformance"}); err != nil {
		return err
	}
	s.line, err = s.queue.NewTimeline(0)
	return err
}

func (s *sharer) do(cmds ...driver.Cmd) error {
	s.tick++
	if err := s.queue.Submit(s.ctx, &driver.Batch{Cmds: cmds, Signal: []driver.Point{{T: s.line, V: s.tick}}}); err != nil {
		return err
	}
	return s.line.Wait(s.ctx, s.tick)
}

func (s *sharer) importer(kind driver.ShareKind) (driver.Importer, bool) {
	im, ok := driver.As[driver.Importer](s.dev)
	return im, ok && slices.ContainsFunc(s.env.Caps.Heaps, func(h driver.Heap) bool { return slices.Contains(h.Import, kind) })
}

func whole(m driver.Memory) driver.Region {
	return driver.Region{Mem: m, Size: m.Spec().Size}
}

// claims sees that what heaps list is there, and that the rest is refused.
func claims(s *sharer) error {
	im, canImport := driver.As[driver.Importer](s.dev)
	ex, canExport := driver.As[driver.Exporter](s.dev)
	m, err := s.dev.Alloc(s.ctx, driver.MemSpec{Size: 4096})
	if err != nil {
		return err
	}
	s.free = append(s.free, m.Free)
	for i, h := range s.env.Caps.Heaps {
		if len(h.Import) > 0 && !canImport || len(h.Export) > 0 && !canExport {
			return fmt.Errorf("heap %d (%s) lists %v and %v; the device imports: %t, exports: %t", i, h.Name, h.Import, h.Export, canImport, canExport)
		}
	}
	for _, kind := range []driver.ShareKind{driver.HostPtr, driver.MemFD, driver.DMABuf, "telepathy"} {
		if _, ok := s.importer(kind); canImport && !ok {
			_, err := im.Import(s.ctx, driver.External{Kind: kind, Bytes: pages(4096), FD: -1, Size: 4096})
			if err := rig.Refused(fmt.Sprintf("import by %q, which no heap lists,", kind), err, driver.ErrUnsupported); err != nil {
				return err
			}
		}
		listed := slices.ContainsFunc(s.env.Caps.Heaps, func(h driver.Heap) bool { return slices.Contains(h.Export, kind) })
		if canExport && !listed {
			_, err := ex.Export(m, kind)
			if err := rig.Refused(fmt.Sprintf("export by %q, which no heap lists,", kind), err, driver.ErrUnsupported); err != nil {
				return err
			}
		}
	}
	return nil
}

// pages returns host memory that starts at a page.
func pages(n int) []byte {
	page := os.Getpagesize()
	raw := make([]byte, n+page)
	skip := (page - int(reflect.ValueOf(raw).Pointer()%uintptr(page))) % page
	return raw[skip : skip+n : skip+n]
}

// importHost imports host memory: commands and host see each other's writes,
// a run reads and writes it, and freeing it leaves it alone.
func importHost(s *sharer) error {
	im, ok := s.importer(driver.HostPtr)
	if !ok {
		s.env.Note("the device imports no host memory")
		return nil
	}
	host := pages(2 * os.Getpagesize())
	m, err := im.Import(s.ctx, driver.External{Kind: driver.HostPtr, Bytes: host, Size: int64(len(host))})
	if err != nil {
		return err
	}
	if err := s.both("imported host memory", m, host); err != nil {
		return err
	}
	if err := s.runOn(im); err != nil {
		return err
	}
	want := slices.Clone(host)
	if err := m.Free(); err != nil {
		return err
	}
	return rig.Same("host memory after its import was freed", host, want)
}

// both writes on one side of shared memory and reads on the other.
func (s *sharer) both(what string, m driver.Memory, host []byte) error {
	n := int64(len(host))
	if got := m.Spec().Size; got != n {
		return fmt.Errorf("%s has %d bytes, Spec says %d", what, n, got)
	}
	if b, ok := m.Bytes(); ok && int64(len(b)) != n {
		return fmt.Errorf("%s has %d bytes, Bytes %d", what, n, len(b))
	}
	own, err := s.dev.Alloc(s.ctx, driver.MemSpec{Size: n})
	if err != nil {
		return err
	}
	s.free = append(s.free, own.Free)
	for seed := range uint64(3) {
		want := rig.Noise(seed, n)
		copy(host, want)
		got := make([]byte, n)
		if err := s.do(driver.Cmd{Op: driver.Copy, Dst: whole(own), Src: whole(m)}, driver.Cmd{Op: driver.Download, Src: whole(own), Host: got}); err != nil {
			return err
		}
		if err := rig.Same(what+", written by the host, copied by the device", got, want); err != nil {
			return err
		}
		want = rig.Noise(seed+100, n)
		if err := s.do(driver.Cmd{Op: driver.Upload, Dst: whole(own), Host: want}, driver.Cmd{Op: driver.Copy, Dst: whole(m), Src: whole(own)},
			driver.Cmd{Op: driver.Fill, Dst: driver.Region{Mem: m, Off: n - 5, Size: 5}, Value: byte(seed)}); err != nil {
			return err
		}
		for i := n - 5; i < n; i++ {
			want[i] = byte(seed)
		}
		if err := rig.Same(what+", written by the device, seen by the host", host, want); err != nil {
			return err
		}
	}
	return nil
}

// runOn runs the simplest graph on imported arguments.
func (s *sharer) runOn(im driver.Importer) error {
	simple, err := rig.Simplest(s.hal)
	if err != nil {
		return err
	}
	x, err := s.dev.Compile(s.ctx, simple.Graph, driver.CompileOptions{})
	if err != nil {
		return err
	}
	s.free = append(s.free, x.Close)
	run := driver.Cmd{Op: driver.Run, Exec: x}
	var operands [][]byte
	before := rig.Noise(1, simple.Bytes)
	var out []byte
	for i := range simple.Inputs + 1 {
		out = pages(roundToPage(simple.Bytes))
		if i < simple.Inputs {
			operands = append(operands, simple.Operand(uint64(i)))
			copy(out, operands[i])
		} else {
			copy(out, before)
		}
		m, err := im.Import(s.ctx, driver.External{Kind: driver.HostPtr, Bytes: out, Size: int64(len(out))})
		if err != nil {
			return err
		}
		s.free = append(s.free, m.Free)
		run.Args = append(run.Args, driver.Region{Mem: m, Size: simple.Bytes})
	}
	if err := s.do(run); err != nil {
		return err
	}
	if err := simple.Check("a run on imported memory", out[:simple.Bytes], before, operands...); err != nil {
		return err
	}
	return zeros("imported memory behind an output", out[simple.Bytes:])
}

func roundToPage(n int64) int { return int(roundUp(n, int64(os.Getpagesize()))) }

// importFile imports a file in memory.
func importFile(s *sharer) error {
	im, ok := s.importer(driver.MemFD)
	if !ok {
		s.env.Note("the device imports no memory by descriptor")
		return nil
	}
	n := 2 * os.Getpagesize()
	fd, host, done, err := memoryFile(n)
	if err != nil {
		return suite.Unsupported("no file in memory can be made here: %v", err)
	}
	s.free = append(s.free, done)
	m, err := im.Import(s.ctx, driver.External{Kind: driver.MemFD, FD: fd, Size: int64(n)})
	if err != nil {
		return err
	}
	if err := s.both("memory imported by descriptor", m, host); err != nil {
		return errors.Join(err, m.Free())
	}
	return m.Free()
}

// importRefused imports what cannot be, and goes on.
func importRefused(s *sharer) error {
	im, ok := s.importer(driver.HostPtr)
	if !ok {
		s.env.Note("the device imports no host memory")
		return nil
	}
	host := pages(8192)
	for _, n := range []int64{-1, 8191, 8193, 1 << 62} {
		m, err := im.Import(s.ctx, driver.External{Kind: driver.HostPtr, Bytes: host, Size: n})
		if err == nil {
			return errors.Join(fmt.Errorf("8192 bytes that are said to be %d were imported", n), m.Free())
		}
	}
	// Arguments have to be aligned, so memory has to be: refused, or at an
	// address that does not matter to the device.
	m, err := im.Import(s.ctx, driver.External{Kind: driver.HostPtr, Bytes: host[1:4097], Size: 4096})
	if err == nil {
		err = errors.Join(s.both("host memory at an odd address", m, host[1:4097]), m.Free())
	} else {
		err = rig.Refused("host memory at an odd address", err, driver.ErrUnsupported)
	}
	if err != nil {
		return err
	}
	return importHost(s)
}

// exported gives memory away by host pointer and looks at it from both sides.
func exported(s *sharer) error {
	ex, ok := driver.As[driver.Exporter](s.dev)
	heap := slices.IndexFunc(s.env.Caps.Heaps, func(h driver.Heap) bool { return slices.Contains(h.Export, driver.HostPtr) })
	if !ok || heap < 0 {
		s.env.Note("the device exports no memory by host pointer")
		return nil
	}
	m, err := s.dev.Alloc(s.ctx, driver.MemSpec{Size: 3 * 4096, Heap: heap})
	if err != nil {
		return err
	}
	x, err := ex.Export(m, driver.HostPtr)
	if err != nil {
		return err
	}
	if x.Kind != driver.HostPtr || x.Size != 3*4096 || int64(len(x.Bytes)) != x.Size {
		return fmt.Errorf("memory of %d bytes was exported as %q with %d bytes, said to be %d", 3*4096, x.Kind, len(x.Bytes), x.Size)
	}
	if err := s.both("exported memory", m, x.Bytes); err != nil {
		return err
	}
	// Another device takes it, where it takes such memory at all.
	if other, d, err := s.env.Bare(s.ctx); err == nil {
		o := &sharer{ctx: s.ctx, env: s.env, dev: d, hal: other}
		err := o.start()
		if im, ok := o.importer(driver.HostPtr); err == nil && ok {
			var there driver.Memory
			if there, err = im.Import(s.ctx, x); err == nil {
				err = errors.Join(o.both("memory exported by another device", there, x.Bytes), there.Free())
			}
		}
		if o.queue != nil {
			err = errors.Join(err, o.queue.Close())
		}
		for _, f := range slices.Backward(o.free) {
			err = errors.Join(err, f())
		}
		if err = errors.Join(err, other.Close()); err != nil {
			return err
		}
	}
	if err := m.Free(); err != nil {
		return err
	}
	if _, err := ex.Export(m, driver.HostPtr); err == nil {
		return errors.New("freed memory was exported")
	}
	if _, err := ex.Export(stranger{}, driver.HostPtr); err == nil {
		return errors.New("memory that is not the device's was exported")
	}
	return nil
}

// stranger is memory of no device.
type stranger struct{}

func (stranger) Spec() driver.MemSpec  { return driver.MemSpec{Size: 64} }
func (stranger) Bytes() ([]byte, bool) { return make([]byte, 64), true }
func (stranger) Free() error           { return nil }
