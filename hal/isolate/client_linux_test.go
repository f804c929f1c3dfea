package isolate

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/hal/driver"
	"github.com/heddle-ml/heddle/hal/isolate/internal/wire"
)

// played returns a link to a host that answers each frame by what the
// function sends; nil ends the connection.
func played(t testing.TB, o Options, host func(c *wire.Conn, f *wire.Frame) error) *link {
	x, y, err := wire.Pair()
	require.NoError(t, err)
	here, err := wire.NewConn(x)
	require.NoError(t, err)
	there, err := wire.NewConn(y)
	require.NoError(t, err)
	l := newLink(here, nil, &o)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer there.Close()
		buf := make([]byte, wire.MaxFrame+1)
		var f wire.Frame
		for there.Recv(buf, &f) == nil && host(there, &f) == nil {
		}
	}()
	t.Cleanup(func() {
		l.close(0)
		<-done
	})
	return l
}

var errEnough = errors.New("enough")

func answer1(c *wire.Conn, f *wire.Frame, payload []byte) error {
	r := wire.Frame{Kind: wire.Reply, ID: f.ID, Payload: payload}
	return c.Send(r.Append(nil))
}

func identity(t testing.TB) *graph.Graph {
	ty := graph.OfInts(enc.F32, 4)
	return &graph.Graph{Name: "g",
		Values:  []graph.Value{{Name: "x", Type: ty, Kind: graph.Input, Def: -1}, {Name: "y", Type: ty}},
		Nodes:   []graph.Node{{Op: graph.OpRef{Name: "Neg", Version: 13}, In: []graph.ValueID{0}, Out: []graph.ValueID{1}}},
		Inputs:  []graph.ValueID{0},
		Outputs: []graph.Port{{Name: "y", Value: 1}}}
}

func TestGreeting(t *testing.T) {
	for name, c := range map[string]struct {
		reply []byte
		text  string
	}{
		"another version": {(&wire.Greeting{Version: 7}).Append(nil), "speaks version 7 of the isolation protocol, this program version 1"},
		"no such driver":  {(&wire.Greeting{Version: wire.Version, Drivers: []string{"cpu"}}).Append(nil), `has no driver "d"; it has ["cpu"]`},
		"another program": {[]byte("login: "), "greets in another way: is it a host program"},
	} {
		l := played(t, Options{}, func(c2 *wire.Conn, f *wire.Frame) error { return answer1(c2, f, c.reply) })
		err := l.greet(context.Background(), "d")
		require.ErrorContains(t, err, c.text, name)
		require.ErrorIs(t, err, driver.ErrUnavailable, name)
	}
	l := played(t, Options{}, func(*wire.Conn, *wire.Frame) error { return errEnough })
	require.ErrorIs(t, l.greet(context.Background(), "d"), driver.ErrUnavailable, "it hangs up")
	defer func(d time.Duration) { startLimit = d }(startLimit)
	startLimit = 20 * time.Millisecond
	l = played(t, Options{Timeout: 20 * time.Millisecond}, func(*wire.Conn, *wire.Frame) error { return nil })
	require.ErrorIs(t, l.greet(context.Background(), "d"), driver.ErrTimeout, "it says nothing")
}

// What a host says that it may not say costs the device.
func TestHostileHost(t *testing.T) {
	send := func(f wire.Frame) func(*wire.Conn, *wire.Frame) error {
		return func(c *wire.Conn, _ *wire.Frame) error { return c.Send(f.Append(nil)) }
	}
	for name, host := range map[string]func(*wire.Conn, *wire.Frame) error{
		"answer to nobody":   send(wire.Frame{Kind: wire.Reply, ID: 99}),
		"done without queue": send(wire.Frame{Kind: wire.Done, ID: 1, A: 5}),
		"a call":             send(wire.Frame{Kind: wire.Alloc, ID: 1}),
		"nonsense":           func(c *wire.Conn, _ *wire.Frame) error { return c.Send([]byte("nonsense")) },
		"error without text": func(c *wire.Conn, f *wire.Frame) error {
			r := wire.Frame{Kind: wire.Reply, ID: f.ID, Code: 1}
			return c.Send(r.Append(nil))
		},
		"endless answer": func(c *wire.Conn, f *wire.Frame) error {
			r := wire.Frame{Kind: wire.Reply, ID: f.ID, Flags: wire.More, Payload: make([]byte, wire.MaxInline)}
			for {
				if err := c.Send(r.Append(nil)); err != nil {
					return err
				}
			}
		},
	} {
		l := played(t, Options{}, host)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := l.call(context.Background(), request{kind: wire.Probe, limit: 1 << 20})
		require.ErrorIs(t, err, driver.ErrDeviceLost, name)
		require.ErrorContains(t, err, "sent what it may not send", name)
		runtime.ReadMemStats(&after)
		require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(32<<20), "no more is read than may be there")
		_, err = l.call(context.Background(), request{kind: wire.Probe})
		require.ErrorIs(t, err, driver.ErrDeviceLost, name)
	}
}

// Batches end in order, each once.
func TestHostileDone(t *testing.T) {
	for _, seqs := range [][]uint64{{2}, {1, 1}, {0}, {1, 3}, {1 << 63}} {
		l := played(t, Options{}, func(c *wire.Conn, f *wire.Frame) error {
			if f.Kind != wire.Submit {
				return answer1(c, f, nil)
			}
			if f.ID == 2 { // both are under way
				for _, s := range seqs {
					d := wire.Frame{Kind: wire.Done, ID: s, A: f.A}
					if err := c.Send(d.Append(nil)); err != nil {
						return err
					}
				}
			}
			return nil
		})
		dev := newDevice(l, &wire.Opened{})
		q, err := dev.NewQueue(driver.QueueOptions{})
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		one, err := q.NewTimeline(0)
		require.NoError(t, err)
		two, err := q.NewTimeline(0)
		require.NoError(t, err)
		require.NoError(t, q.Submit(ctx, &driver.Batch{Signal: []driver.Point{{T: one, V: 1}}}))
		require.NoError(t, q.Submit(ctx, &driver.Batch{Signal: []driver.Point{{T: two, V: 1}}}))
		require.ErrorIs(t, two.Wait(ctx, 1), driver.ErrDeviceLost, seqs)
		require.NoError(t, q.Close())
	}
}

func FuzzClient(f *testing.F) {
	opened, err := json.Marshal(&wire.Opened{Caps: driver.Caps{Heaps: []driver.Heap{{HostVisible: true, Import: []driver.ShareKind{driver.HostPtr}}}}, Importer: true, Cacher: true, SetCompiler: true})
	require.NoError(f, err)
	program := (&wire.Program{Bindings: driver.BindingsOf(identity(f), 64)}).Append(nil)
	// A script is a sequence of steps {how, length, bytes}.
	step := func(how byte, b []byte) []byte {
		return append([]byte{how, byte(len(b)), byte(len(b) >> 8)}, b...)
	}
	good := func(parts ...[]byte) (out []byte) {
		for _, p := range parts {
			out = append(out, step(1, p)...)
		}
		return out
	}
	f.Add(opened, good(wire.AppendVerdicts(nil, []driver.Verdict{{OK: true}}), program, nil, nil))
	f.Add(opened, append(good(nil, program, nil, nil), step(3, nil)...))
	f.Add(opened, append(good(nil, program, nil), step(2, []byte("part"))...))
	f.Add(opened, step(4, wire.FailureOf(driver.ErrTimeout).Append(nil)))
	f.Add([]byte("{}"), step(0, []byte("raw")))
	f.Fuzz(func(t *testing.T, opened, script []byte) {
		o, err := wire.JSON[wire.Opened](opened)
		if err != nil || len(o.Caps.Heaps) > 100 {
			return
		}
		l := played(t, Options{Timeout: 20 * time.Millisecond, RunTimeout: 20 * time.Millisecond}, func(c *wire.Conn, f *wire.Frame) error {
			for {
				if len(script) < 3 {
					return errEnough
				}
				how, n := script[0], int(script[1])|int(script[2])<<8
				b := script[3:min(3+n, len(script))]
				script = script[3+len(b):]
				r := wire.Frame{Kind: wire.Reply, ID: f.ID, Payload: b[:min(len(b), wire.MaxInline)]}
				switch how {
				case 0:
					if len(b) == 0 {
						return errEnough
					}
					return c.Send(b)
				case 2:
					r.Flags = wire.More
				case 3:
					r.Kind, r.A = wire.Done, f.A
				case 4:
					r.Code = 1<<31 | 1
				case 5:
					r.Kind = wire.Pong
				}
				if err := c.Send(r.Append(nil)); err != nil || how != 2 && how != 5 {
					return err
				}
			}
		})
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		dev := newDevice(l, &o)
		g := identity(t)
		dev.Supports(g)
		x, _ := dev.Compile(ctx, g, driver.CompileOptions{})
		q, _ := dev.NewQueue(driver.QueueOptions{})
		var m driver.Memory
		if len(dev.heaps) > 0 {
			m, _ = dev.Alloc(ctx, driver.MemSpec{Size: 128})
		}
		if q != nil {
			if tl, err := q.NewTimeline(0); err == nil {
				var cmds []driver.Cmd
				if m != nil {
					cmds = append(cmds, driver.Cmd{Op: driver.Upload, Dst: driver.Region{Mem: m, Size: 4}, Host: make([]byte, 4)},
						driver.Cmd{Op: driver.Download, Src: driver.Region{Mem: m, Size: 4}, Host: make([]byte, 4)})
				}
				if q.Submit(ctx, &driver.Batch{Cmds: cmds, Signal: []driver.Point{{T: tl, V: 1}}}) == nil {
					_ = tl.Wait(ctx, 1)
				}
			}
		}
		if c, ok := driver.As[driver.Cacher](dev); ok && x != nil {
			_, _ = c.Save(x)
		}
		if x != nil {
			x.Footprint()
			_ = x.Close()
		}
		if q != nil {
			_ = q.Close()
		}
		if m != nil {
			_ = m.Free()
		}
		_ = dev.Close()
		require.NoError(t, ctx.Err(), "nothing hangs")
	})
}

func TestHistory(t *testing.T) {
	now := time.Unix(1000, 0)
	h := history{now: func() time.Time { return now }, by: map[string]*record{}}
	die := func() { h.died("d", errors.New("it was the cat")) }
	die()
	now = now.Add(11 * time.Second)
	die()
	die()
	require.NoError(t, h.check("d"), "three, but not within 10 s")
	die()
	for _, delay := range []time.Duration{500 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second, 32 * time.Second, time.Minute, time.Minute} {
		err := h.check("d")
		require.ErrorIs(t, err, driver.ErrUnavailable)
		require.ErrorContains(t, err, "the cat")
		require.ErrorContains(t, err, delay.String())
		require.NoError(t, h.check("e"))
		now = now.Add(delay)
		require.NoError(t, h.check("d"))
		die()
	}
	h.worked("d")
	require.NoError(t, h.check("d"))
	for i := range 10 * maxRecords {
		h.died(string(rune('a'+i)), errors.New("x"))
	}
	require.LessOrEqual(t, len(h.by), maxRecords)
}

func TestTake(t *testing.T) {
	o, rest, err := Take(map[string]string{"host": "/h", "timeout": "2s", "run_timeout": "0", "mem_limit": "2G", "cpus": "3", "env": "A,B", "backoff": "0", "tier": "generic"})
	require.NoError(t, err)
	require.Equal(t, Options{Host: "/h", Timeout: 2 * time.Second, RunTimeout: -1, MemLimit: 2 << 30, CPUs: 3, Env: []string{"A", "B"}, NoBackoff: true}, o)
	require.Equal(t, map[string]string{"tier": "generic"}, rest)
	o, rest, err = Take(nil)
	require.NoError(t, err)
	require.Nil(t, rest)
	require.Equal(t, 30*time.Second, o.timeout(false))
	require.Equal(t, 5*time.Minute, o.timeout(true))
	require.Equal(t, time.Minute, o.runTimeout())
	require.Equal(t, 10*time.Second, o.alive())
	for _, bad := range []map[string]string{{"timeout": "-1s"}, {"timeout": "25h"}, {"mem_limit": "9999999T"}, {"mem_limit": "-16M"}, {"mem_limit": "x"}, {"cpus": "1025"}, {"backoff": "x"}, {"host": ""}} {
		_, _, err := Take(bad)
		require.ErrorIs(t, err, driver.ErrUnsupported, bad)
	}
}

// The text that explains an end is found in whatever a program says.
func TestSayings(t *testing.T) {
	for said, want := range map[string]string{
		"":                              "",
		"a\nb\n\n":                      "b",
		"a\npanic: x\n\ngoroutine 1\nz": "panic: x",
		"libnpu.so: cannot open firmware\nterminate called after throwing\nAborted": "terminate called after throwing",
		"\xff\xfe\n": "?",
	} {
		path := filepath.Join(t.TempDir(), "said")
		require.NoError(t, os.WriteFile(path, []byte(said), 0o600))
		f, err := os.Open(path)
		require.NoError(t, err)
		var s sayings
		s.copy(f)
		require.NoError(t, f.Close())
		require.Equal(t, want, s.last())
	}
	f, err := os.CreateTemp(t.TempDir(), "")
	require.NoError(t, err)
	for range 10_000 {
		_, err = f.WriteString("the same line, again and again\n")
		require.NoError(t, err)
	}
	_, err = f.WriteString("the end")
	require.NoError(t, err)
	_, err = f.Seek(0, 0)
	require.NoError(t, err)
	var s sayings
	s.copy(f)
	require.Equal(t, "the end", s.last())
	require.LessOrEqual(t, len(s.head)+len(s.tail), 2*sayingsSize)
	require.NoError(t, f.Close())
}
