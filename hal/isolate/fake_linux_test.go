package isolate_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/hal/driver"
)

func init() { hal.Register(fake{}) }

// fake is a driver that is registered in the test program, and so in the
// children that it starts. Its device adds one to each byte, or does
// something terrible, as the options of its name ask for:
//
//	heap=host|memfd|private  how its memory is shared
//	run, open, supports, compile, bye=KIND  what happens in that call; see happen
type fake struct{}

func (fake) Info() driver.Info {
	return driver.Info{Name: "fake", Vendor: "test", Version: "3", Summary: "does what it is told"}
}

// surroundings is what a child sees of itself; Probe reports it as the model.
type surroundings struct {
	Files []string // descriptors, with what they are
	Env   []string
	CPUs  int
	Group bool // its process group is its own
	Core  uint64
}

func (fake) Probe(context.Context) ([]driver.DeviceInfo, error) {
	var s surroundings
	dir, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return nil, err
	}
	for _, e := range dir {
		if to, err := os.Readlink(filepath.Join("/proc/self/fd", e.Name())); err == nil {
			s.Files = append(s.Files, e.Name()+" "+to)
		}
	}
	s.Env = os.Environ()
	var set unix.CPUSet
	_ = unix.SchedGetaffinity(0, &set)
	s.CPUs = set.Count()
	s.Group = unix.Getpgrp() == os.Getpid()
	var l unix.Rlimit
	_ = unix.Getrlimit(unix.RLIMIT_CORE, &l)
	s.Core = l.Cur
	b, err := json.Marshal(s)
	return []driver.DeviceInfo{{ID: "0", Model: string(b), Kind: driver.CPU}}, err
}

func (fake) Open(ctx context.Context, id string, o driver.OpenOptions) (driver.Device, error) {
	d := &fakeDevice{o: o.Options}
	h := driver.Heap{Name: "host", HostVisible: true, Align: 64}
	switch o.Options["heap"] {
	case "host", "":
		h.Import = []driver.ShareKind{driver.HostPtr}
	case "memfd":
		h.Import = []driver.ShareKind{driver.MemFD}
	}
	d.caps = &driver.Caps{Kind: driver.CPU, Vendor: "test", Model: "fake " + id, Fingerprint: "fake-1",
		Ops: []driver.OpCap{{Name: "Neg", Elems: []string{"f32"}}, {Name: "Add", Elems: []string{"f32"}}}, Heaps: []driver.Heap{h},
		Numerics: driver.Numerics{Deterministic: true}}
	return d, d.happen(ctx, "open")
}

type fakeDevice struct {
	caps *driver.Caps
	o    map[string]string
	mu   sync.Mutex
	runs int
	kept [][]byte
}

// happen does what the options ask for in a call.
func (d *fakeDevice) happen(ctx context.Context, call string) error {
	switch kind := d.o[call]; kind {
	case "":
	case "error":
		return &graph.Error{Graph: "g", Node: "n7", Op: "Neg", Err: fmt.Errorf("it does not like it: %w", driver.ErrIncompatible)}
	case "lost":
		return fmt.Errorf("the chip was reset: %w", driver.ErrDeviceLost)
	case "panic":
		panic("oh dear")
	case "fatal": // a panic that nobody can recover from
		go func() { panic("nobody catches this") }()
		select {}
	case "segv": // as a vendor's library would
		debug.SetPanicOnFault(false)
		fmt.Fprintln(os.Stderr, "about to touch what is not there")
		*(*byte)(unsafe.Add(unsafe.Pointer(nil), 0xdead0000)) = 1
	case "abort":
		_ = unix.Kill(os.Getpid(), unix.SIGABRT)
		select {}
	case "kill":
		_ = unix.Kill(os.Getpid(), unix.SIGKILL)
		select {}
	case "exit":
		fmt.Fprintln(os.Stdout, "vendor: license expired")
		os.Exit(7)
	case "hang":
		select {}
	case "slow":
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	case "stop":
		_ = unix.Kill(os.Getpid(), unix.SIGSTOP)
		select {}
	case "garbage":
		_ = unix.Sendto(3, []byte("this is no frame, however you look at it; not by its length, not by its beginning"), 0, nil)
		select {}
	case "leak":
		for {
			b := make([]byte, 8<<20)
			for i := range b {
				b[i] = 1
			}
			d.kept = append(d.kept, b)
			time.Sleep(5 * time.Millisecond)
		}
	case "leak-c": // what the Go runtime does not know of
		for {
			b, err := unix.Mmap(-1, 0, 8<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
			if err != nil {
				return fmt.Errorf("vendor: %w: %w", err, driver.ErrOutOfMemory)
			}
			for i := 0; i < len(b); i += 4096 {
				b[i] = 1
			}
		}
	default:
		if n, err := strconv.Atoi(kind); err == nil { // the n-th time only
			d.mu.Lock()
			d.runs++
			now := d.runs == n
			d.mu.Unlock()
			if !now {
				return nil
			}
		}
		return fmt.Errorf("told to fail: %w", driver.ErrUnsupported)
	}
	return nil
}

func (d *fakeDevice) Caps() *driver.Caps { return d.caps }

func (d *fakeDevice) Supports(g *graph.Graph) []driver.Verdict {
	_ = d.happen(context.Background(), "supports")
	out := make([]driver.Verdict, len(g.Nodes))
	for i := range g.Nodes {
		if _, out[i].OK = d.caps.Op(g.Nodes[i].Op); !out[i].OK {
			out[i] = driver.Verdict{Code: driver.ReasonOperator, Text: "not " + g.Nodes[i].Op.Name, Group: int32(i + 1)}
		}
	}
	return out
}

func (d *fakeDevice) Alloc(_ context.Context, s driver.MemSpec) (driver.Memory, error) {
	return driver.NewHostMemory(s), nil
}

// file is memory in a file, mapped by the device.
type file struct {
	driver.Memory
	bytes []byte
}

func (m *file) Spec() driver.MemSpec  { return driver.MemSpec{Size: int64(len(m.bytes))} }
func (m *file) Bytes() ([]byte, bool) { return m.bytes, m.bytes != nil }
func (m *file) Free() (err error) {
	if m.Memory == nil && m.bytes != nil {
		err = syscall.Munmap(m.bytes)
	}
	m.bytes = nil
	return err
}

func (d *fakeDevice) Import(_ context.Context, x driver.External) (driver.Memory, error) {
	switch {
	case x.Kind == driver.HostPtr && d.o["heap"] != "memfd":
		return &file{driver.NewHostMemory(driver.MemSpec{}), x.Bytes}, nil
	case x.Kind == driver.MemFD && d.o["heap"] == "memfd":
		b, err := syscall.Mmap(x.FD, 0, int(x.Size), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
		return &file{nil, b}, err
	}
	return nil, driver.ErrUnsupported
}

type fakeExe struct {
	d    *fakeDevice
	g    *graph.Graph
	data graph.Data
	from string
}

func (d *fakeDevice) Compile(ctx context.Context, g *graph.Graph, o driver.CompileOptions) (driver.Executable, error) {
	if err := d.happen(ctx, "compile"); err != nil {
		return nil, err
	}
	return &fakeExe{d, g, o.Data, "compiled"}, nil
}

func (x *fakeExe) Bindings() []driver.Binding { return driver.BindingsOf(x.g, 64) }
func (x *fakeExe) Symbols() []dim.Symbol      { return x.g.Symbols }
func (x *fakeExe) Footprint() driver.Footprint {
	return driver.Footprint{Weights: int64(len(x.from)), Scratch: 5}
}
func (x *fakeExe) Close() error { return x.d.happen(context.Background(), "close") }

// run copies its first argument, or else its weights, plus one.
func (x *fakeExe) run(ctx context.Context, c *driver.Cmd) error {
	if err := x.d.happen(ctx, "run"); err != nil {
		return err
	}
	in, err := c.Args[0].Bytes()
	if err != nil {
		return err
	}
	out, err := c.Args[len(c.Args)-1].Bytes()
	if err != nil {
		return err
	}
	for _, v := range x.g.Values {
		if v.Kind == graph.Const {
			p, err := graph.ReadWeight(&v, x.data)
			if err != nil {
				return err
			}
			in = p.Data
		}
	}
	for i := range out {
		out[i] = in[i] + 1
	}
	return nil
}

func (d *fakeDevice) NewQueue(driver.QueueOptions) (driver.Queue, error) {
	return driver.NewHostQueue(func(ctx context.Context, c *driver.Cmd) error { return c.Exec.(*fakeExe).run(ctx, c) }), nil
}

func (d *fakeDevice) Close() error { return d.happen(context.Background(), "bye") }

// The optional interfaces.

func (d *fakeDevice) Save(e driver.Executable) ([]byte, error) {
	b, err := graph.Marshal(e.(*fakeExe).g)
	return append(b, make([]byte, 300<<10)...), err // more than a frame holds
}

func (d *fakeDevice) Judge(blob []byte) driver.Compat {
	if len(blob) > 300<<10 {
		return driver.Usable
	}
	return driver.Foreign
}

func (d *fakeDevice) Load(_ context.Context, blob []byte, g *graph.Graph, o driver.CompileOptions) (driver.Executable, error) {
	if d.Judge(blob) != driver.Usable {
		return nil, driver.ErrIncompatible
	}
	return &fakeExe{d, g, o.Data, "loaded from a blob"}, nil
}

func (d *fakeDevice) CompileSet(_ context.Context, gs []*graph.Graph, o driver.CompileOptions) ([]driver.Executable, error) {
	var out []driver.Executable
	for _, g := range gs {
		if len(g.Nodes) > 1 {
			return nil, errors.New("only small graphs come in sets")
		}
		out = append(out, &fakeExe{d, g, o.Data, "of a set"})
	}
	return out, nil
}

func (d *fakeDevice) Estimate(g *graph.Graph, b dim.Binding) (float64, bool) {
	return float64(len(g.Nodes)) + float64(b["n"])/1000, true
}
