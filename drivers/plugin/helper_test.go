package plugin_test

import (
	"context"
	"encoding/binary"
	"log/slog"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/drivers/plugin"
	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/hal/driver"
	"github.com/heddle-ml/heddle/ops"
)

// builds holds the libraries built so far, by their flags.
var builds struct {
	sync.Mutex
	dir   string
	paths map[string]string
}

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "heddle-plugin-test")
	if err != nil {
		panic(err)
	}
	builds.dir, builds.paths = dir, map[string]string{}
	slog.SetDefault(slog.New(slog.DiscardHandler))
	code := m.Run()
	_ = os.RemoveAll(dir) // libraries that are loaded live on without their names
	os.Exit(code)
}

// mini builds testdata/mini.c with cc. Without cc it skips the test, unless
// HEDDLE_REQUIRE_CC=1.
func mini(t testing.TB, flags ...string) string {
	t.Helper()
	cc, err := exec.LookPath("cc")
	if err != nil {
		if os.Getenv("HEDDLE_REQUIRE_CC") == "1" {
			t.Fatal("HEDDLE_REQUIRE_CC=1, and there is no cc")
		}
		t.Skip("there is no cc to build a library with")
	}
	builds.Lock()
	defer builds.Unlock()
	key := ""
	for _, f := range flags {
		key += f + " "
	}
	if path := builds.paths[key]; path != "" {
		return path
	}
	path := filepath.Join(builds.dir, "mini"+string(rune('a'+len(builds.paths)))+".so")
	args := append([]string{"-std=c99", "-O2", "-Wall", "-Wextra", "-Werror", "-Wno-unused-function", "-shared", "-fPIC", "-Iinclude", "-o", path}, flags...)
	out, err := exec.Command(cc, append(args, "testdata/mini.c")...).CombinedOutput()
	require.NoError(t, err, "%s", out)
	builds.paths[key] = path
	return path
}

// tryOpen opens a device of mini.c with options in pairs.
func tryOpen(t testing.TB, options ...string) (driver.Device, error) {
	t.Helper()
	o := driver.OpenOptions{Options: map[string]string{}}
	for i := 0; i < len(options); i += 2 {
		o.Options[options[i]] = options[i+1]
	}
	return plugin.Driver{}.Open(context.Background(), mini(t), o)
}

// open opens a device that has to open, and closes it after the test: then
// nothing that was made from it may be left.
func open(t testing.TB, options ...string) driver.Device {
	t.Helper()
	d, err := tryOpen(t, options...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, d.Close()) })
	return d
}

// addition is a graph y = x + w of n numbers, w lying in source "w" if it is
// not carried.
func addition(t testing.TB, carried []float32, n int64) *graph.Graph {
	t.Helper()
	b := graph.NewBuilder("addition", ops.Standard)
	x := b.Input("x", graph.OfInts(enc.F32, n))
	var w graph.ValueID
	if carried != nil {
		w = b.Const("w", &graph.Tensor{Elem: enc.F32, Shape: []int64{int64(len(carried))}, Data: floats(carried...)})
	} else {
		b.Source(graph.Source{Name: "w", Size: 4 * n})
		w = b.Weight("w", graph.OfInts(enc.F32, n), &graph.Weight{Parts: []graph.Part{{Source: "w", Elem: enc.F32, Shape: []int64{n}}}})
	}
	b.Output("y", b.Op("Add", []graph.ValueID{x, w}))
	g, err := b.Build()
	require.NoError(t, err)
	return g
}

// inMemory is graph.Data of slices.
type inMemory map[string][]byte

func (m inMemory) Source(name string) ([]byte, error) {
	if b, ok := m[name]; ok {
		return b, nil
	}
	return nil, os.ErrNotExist
}

func floats(xs ...float32) []byte {
	b := make([]byte, 0, 4*len(xs))
	for _, x := range xs {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
	}
	return b
}

// runner runs an executable on a queue of its own.
type runner struct {
	d    *hal.Device
	x    *hal.Executable
	q    *hal.Queue
	line *hal.Timeline
	tick uint64
	bufs []*hal.Buffer
	b    hal.Batch
	cmds [1]hal.Cmd
	sig  [1]hal.Point
}

func newRunner(t testing.TB, dev driver.Device, g *graph.Graph, data graph.Data) *runner {
	t.Helper()
	ctx := context.Background()
	r := &runner{d: hal.Wrap("mini", dev)}
	var err error
	r.x, err = r.d.Compile(ctx, g, hal.CompileOptions{Data: data})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, r.x.Close()) })
	r.attach(t)
	return r
}

func (r *runner) attach(t testing.TB) {
	t.Helper()
	var err error
	r.q, err = r.d.NewQueue(hal.QueueOptions{})
	require.NoError(t, err)
	r.line, err = r.q.NewTimeline(0)
	require.NoError(t, err)
	r.cmds[0] = hal.Cmd{Op: driver.Run, Exec: r.x}
	for i := range r.x.Bindings() {
		n, err := r.x.Size(i, r.x.MaxDims())
		require.NoError(t, err)
		b, err := r.d.Alloc(context.Background(), n)
		require.NoError(t, err)
		r.bufs = append(r.bufs, b)
		r.cmds[0].Args = append(r.cmds[0].Args, b.All())
	}
	r.b = hal.Batch{Cmds: r.cmds[:], Signal: r.sig[:]}
	t.Cleanup(func() {
		require.NoError(t, r.q.Close())
		for _, b := range r.bufs {
			require.NoError(t, b.Close())
		}
	})
}

// submit enqueues a run.
func (r *runner) submit() error {
	r.tick++
	r.sig[0] = hal.Point{T: r.line, V: r.tick}
	return r.q.Submit(context.Background(), &r.b)
}

// run runs once and waits.
func (r *runner) run() error {
	if err := r.submit(); err != nil {
		return err
	}
	return r.line.Wait(context.Background(), r.tick)
}
