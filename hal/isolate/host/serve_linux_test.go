package host

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/heddle-ml/heddle/drivers/null"
	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/hal/driver"
	"github.com/heddle-ml/heddle/hal/isolate/internal/wire"
	"github.com/heddle-ml/heddle/ops"
)

// client speaks to a session by hand.
type client struct {
	t     testing.TB
	conn  *wire.Conn
	ended chan error
	id    uint64
}

func serveOne(t testing.TB, ctx context.Context) *client {
	x, y, err := wire.Pair()
	require.NoError(t, err)
	conn, err := wire.NewConn(x)
	require.NoError(t, err)
	c := &client{t: t, conn: conn, ended: make(chan error, 1)}
	r := hal.NewRegistry(null.Driver{})
	go func() { c.ended <- Serve(ctx, y, r) }()
	t.Cleanup(func() { _ = conn.Close() })
	return c
}

// send sends a frame, with a file of its own if size is not 0.
func (c *client) send(f wire.Frame, size int64) {
	c.t.Helper()
	if size == 0 {
		_ = c.conn.Send(f.Append(nil))
		return
	}
	fd, err := wire.MemFile("test", size)
	require.NoError(c.t, err)
	_ = c.conn.SendFile(f.Append(nil), fd)
	require.NoError(c.t, unix.Close(fd))
}

// call makes a call and returns its answer.
func (c *client) call(f wire.Frame, size int64) ([]byte, error) {
	c.t.Helper()
	c.id++
	f.ID = c.id
	c.send(f, size)
	buf := make([]byte, wire.MaxFrame+1)
	var out []byte
	for {
		var r wire.Frame
		if err := c.conn.Recv(buf, &r); err != nil {
			return nil, err
		}
		if r.Kind != wire.Reply {
			continue
		}
		require.Equal(c.t, f.ID, r.ID)
		out = append(out, r.Payload...)
		if r.Flags&wire.More != 0 {
			continue
		}
		if r.Code != 0 {
			err, bad := wire.DecodeFailure(r.Code, out)
			require.NoError(c.t, bad)
			return nil, err
		}
		return out, nil
	}
}

func (c *client) end() error {
	c.t.Helper()
	select {
	case err := <-c.ended:
		return err
	case <-time.After(20 * time.Second):
		c.t.Fatal("the session does not end")
		return nil
	}
}

func hello() wire.Frame {
	return wire.Frame{Kind: wire.Hello, Payload: (&wire.Greeting{Version: wire.Version, Driver: "null"}).Append(nil)}
}

func neg(t testing.TB) []byte {
	b := graph.NewBuilder("g", ops.Standard)
	b.Output("y", b.Op("Neg", []graph.ValueID{b.Input("x", graph.OfInts(enc.F32, 4))}))
	g, err := b.Build()
	require.NoError(t, err)
	bin, err := graph.Marshal(g)
	require.NoError(t, err)
	return bin
}

// opened is a session with a device, memory 1 and 2, executable 3, queue 4.
func opened(t testing.TB) *client {
	c := serveOne(t, context.Background())
	for _, s := range setup(t) {
		_, err := c.call(s.f, s.size)
		require.NoError(t, err, s.f.Kind)
	}
	return c
}

type step struct {
	f    wire.Frame
	size int64
}

func setup(t testing.TB) []step {
	return []step{
		{hello(), 0},
		{wire.Frame{Kind: wire.Open, Payload: []byte(`{"id":"0"}`)}, 0},
		{wire.Frame{Kind: wire.Alloc, A: 1, C: 64}, 64},
		{wire.Frame{Kind: wire.Alloc, A: 2, C: 64}, 64},
		{wire.Frame{Kind: wire.Compile, A: 3, Payload: (&wire.Compilation{Graphs: [][]byte{neg(t)}}).Append(nil)}, 0},
		{wire.Frame{Kind: wire.NewQueue, A: 4, Payload: []byte("{}")}, 0},
	}
}

func run() []byte {
	b := wire.AppendRun(nil, 3, 2, 0)
	return wire.AppendArg(wire.AppendArg(b, wire.Region{Mem: 1, Size: 16}), wire.Region{Mem: 2, Size: 16})
}

func TestSession(t *testing.T) {
	c := opened(t)
	c.send(wire.Frame{Kind: wire.Submit, ID: 1, A: 4, Payload: run()}, 0)
	buf := make([]byte, wire.MaxFrame+1)
	var f wire.Frame
	require.NoError(t, c.conn.Recv(buf, &f))
	require.Equal(t, wire.Done, f.Kind)
	require.Zero(t, f.Code)
	for _, k := range []step{{wire.Frame{Kind: wire.CloseQueue, A: 4}, 0}, {wire.Frame{Kind: wire.CloseExec, A: 3}, 0}, {wire.Frame{Kind: wire.Free, A: 1}, 0}, {wire.Frame{Kind: wire.Free, A: 2}, 0}, {wire.Frame{Kind: wire.Bye}, 0}} {
		_, err := c.call(k.f, k.size)
		require.NoError(t, err, k.f.Kind)
	}
	require.NoError(t, c.conn.Close())
	require.NoError(t, c.end())
}

// What a device's driver complains about is said to the client.
func TestByeTellsWhatIsOpen(t *testing.T) {
	c := opened(t)
	_, err := c.call(wire.Frame{Kind: wire.Bye}, 0)
	require.ErrorContains(t, err, "1 executables are still open")
}

// Errors answer what is well-formed; anything else ends the session.
func TestRefusals(t *testing.T) {
	for name, s := range map[string]step{
		"no memory 9":            {wire.Frame{Kind: wire.Free, A: 9}, 0},
		"no executable 9":        {wire.Frame{Kind: wire.Footprint, A: 9}, 0},
		"memory 1 is taken":      {wire.Frame{Kind: wire.Alloc, A: 1, C: 64}, 64},
		"number 0":               {wire.Frame{Kind: wire.Alloc, A: 0, C: 64}, 64},
		"number too large":       {wire.Frame{Kind: wire.Alloc, A: 1 << 32, C: 64}, 64},
		"file too small":         {wire.Frame{Kind: wire.Alloc, A: 9, C: 65}, 64},
		"negative size":          {wire.Frame{Kind: wire.Alloc, A: 9, C: 1 << 63}, 64},
		"no heap 7":              {wire.Frame{Kind: wire.Alloc, A: 9, B: 7, C: 64}, 64},
		"heap -1":                {wire.Frame{Kind: wire.Alloc, A: 9, B: 1<<64 - 1, C: 64}, 0},
		"import without file":    {wire.Frame{Kind: wire.Import, A: 9, C: 64}, 0},
		"import of a DMA buffer": {wire.Frame{Kind: wire.Import, A: 9, B: 1, C: 64}, 64},
		"graph":                  {wire.Frame{Kind: wire.Supports, Payload: []byte("HEDDLEGR")}, 0},
		"no graphs":              {wire.Frame{Kind: wire.Compile, A: 9, Payload: (&wire.Compilation{}).Append(nil)}, 0},
		"no such source": {wire.Frame{Kind: wire.Compile, A: 9, Payload: (&wire.Compilation{Graphs: [][]byte{neg(t)},
			Sources: []wire.SourceRef{{Name: "x", ID: 77}}}).Append(nil)}, 0},
		"two devices": {wire.Frame{Kind: wire.Open, Payload: []byte(`{"id":"0"}`)}, 0},
		"no cacher":   {wire.Frame{Kind: wire.Judge}, 0},
		"no queue 9":  {wire.Frame{Kind: wire.CloseQueue, A: 9}, 0},
	} {
		c := opened(t)
		_, err := c.call(s.f, s.size)
		require.Error(t, err, name)
		require.NotErrorIs(t, err, io.EOF, name)
		_, err = c.call(wire.Frame{Kind: wire.Footprint, A: 3}, 0)
		require.NoError(t, err, "%s: the session goes on", name)
	}
	for name, s := range map[string]step{
		"hello again":           {hello(), 0},
		"an answer":             {wire.Frame{Kind: wire.Reply}, 0},
		"batch for no queue":    {wire.Frame{Kind: wire.Submit, ID: 1, A: 9}, 0},
		"run of nothing":        {wire.Frame{Kind: wire.Submit, ID: 1, A: 4, Payload: wire.AppendRun(nil, 9, 0, 0)}, 0},
		"unknown stage":         {wire.Frame{Kind: wire.Submit, ID: 1, A: 4, B: 9}, 0},
		"upload without stage":  {wire.Frame{Kind: wire.Submit, ID: 1, A: 4, Payload: (&wire.Cmd{Op: driver.Upload, Dst: wire.Region{Mem: 1, Size: 4}}).Append(nil)}, 0},
		"dropped source":        {wire.Frame{Kind: wire.Drop, A: 9}, 0},
		"dropped stage":         {wire.Frame{Kind: wire.Drop, A: 9, B: 1}, 0},
		"source without a file": {wire.Frame{Kind: wire.Source, A: 9}, 0},
		"stage without a file":  {wire.Frame{Kind: wire.Stage, A: 9, C: 10}, 0},
		"payload that changes":  {wire.Frame{Kind: wire.Supports, Flags: wire.InFile, FileSize: 10}, 10},
		"payload without file":  {wire.Frame{Kind: wire.Supports, Flags: wire.InFile, FileSize: 10}, 0},
		"file with a ping":      {wire.Frame{Kind: wire.Ping}, 10},
	} {
		c := opened(t)
		c.send(s.f, s.size)
		require.ErrorIs(t, c.end(), wire.ErrGarbage, name)
	}
	c := serveOne(t, context.Background())
	c.send(wire.Frame{Kind: wire.Probe}, 0)
	require.ErrorIs(t, c.end(), wire.ErrGarbage, "hello comes first")

	// Regions and sizes are checked before a driver sees them: the batch fails.
	for name, payload := range map[string][]byte{
		"region outside": wire.AppendArg(wire.AppendArg(wire.AppendRun(nil, 3, 2, 0), wire.Region{Mem: 1, Off: 60, Size: 16}), wire.Region{Mem: 2, Size: 16}),
		"wrong size":     wire.AppendArg(wire.AppendArg(wire.AppendRun(nil, 3, 2, 0), wire.Region{Mem: 1, Size: 8}), wire.Region{Mem: 2, Size: 16}),
		"an argument":    wire.AppendArg(wire.AppendRun(nil, 3, 1, 0), wire.Region{Mem: 1, Size: 16}),
		"negative":       (&wire.Cmd{Op: driver.Fill, Dst: wire.Region{Mem: 1, Off: -1, Size: 16}}).Append(nil),
	} {
		c := opened(t)
		c.send(wire.Frame{Kind: wire.Submit, ID: 1, A: 4, Payload: payload}, 0)
		var f wire.Frame
		require.NoError(t, c.conn.Recv(make([]byte, wire.MaxFrame+1), &f), name)
		require.NotZero(t, f.Code, name)
	}
}

func TestHelloRefuses(t *testing.T) {
	c := serveOne(t, context.Background())
	reply, err := c.call(wire.Frame{Kind: wire.Hello, Payload: (&wire.Greeting{Version: 9, Driver: "null"}).Append(nil)}, 0)
	require.NoError(t, err)
	var g wire.Greeting
	require.NoError(t, g.Decode(reply))
	require.EqualValues(t, wire.Version, g.Version)
	require.ErrorContains(t, c.end(), "version 9")

	c = serveOne(t, context.Background())
	_, err = c.call(wire.Frame{Kind: wire.Hello, Payload: (&wire.Greeting{Version: wire.Version, Driver: "warp"}).Append(nil)}, 0)
	require.NoError(t, err)
	require.ErrorContains(t, c.end(), `"warp"`)

	ctx, cancel := context.WithCancel(context.Background())
	c = serveOne(t, ctx)
	cancel()
	require.ErrorIs(t, c.end(), context.Canceled)
	require.Error(t, Serve(context.Background(), 0, hal.NewRegistry()), "no socket")
}

// FuzzHost throws frames at a session. The input is a list of {length, size of
// an attached file in pages, bytes}.
func FuzzHost(f *testing.F) {
	encode := func(steps []step) (out []byte) {
		for i, s := range steps {
			s.f.ID = uint64(i + 1)
			b := s.f.Append(nil)
			out = binary.LittleEndian.AppendUint16(out, uint16(len(b)))
			out = append(append(out, byte((s.size+63)/64)), b...)
		}
		return out
	}
	all := append(setup(f),
		step{wire.Frame{Kind: wire.Stage, A: 5, C: 64}, 64},
		step{wire.Frame{Kind: wire.Source, A: 6, C: 64}, 64},
		step{wire.Frame{Kind: wire.Submit, A: 4, B: 5, Payload: append(run(), (&wire.Cmd{Op: driver.Download, Src: wire.Region{Mem: 2, Size: 16}}).Append(nil)...)}, 0},
		step{wire.Frame{Kind: wire.Footprint, A: 3}, 0}, step{wire.Frame{Kind: wire.Drop, A: 5, B: 1}, 0}, step{wire.Frame{Kind: wire.Cancel}, 0},
		step{wire.Frame{Kind: wire.CloseQueue, A: 4}, 0}, step{wire.Frame{Kind: wire.CloseExec, A: 3}, 0}, step{wire.Frame{Kind: wire.Free, A: 1}, 0}, step{wire.Frame{Kind: wire.Bye}, 0})
	f.Add(encode(all))
	f.Add(encode(all[:9]))
	f.Add(encode(all[:2]))
	f.Fuzz(func(t *testing.T, script []byte) {
		c := serveOne(t, context.Background())
		read := make(chan struct{})
		go func() {
			defer close(read)
			buf := make([]byte, wire.MaxFrame+1)
			var f wire.Frame
			for {
				if err := c.conn.Recv(buf, &f); err != nil && !errors.Is(err, wire.ErrGarbage) {
					return
				}
			}
		}()
		for len(script) >= 3 {
			n, pages := int(binary.LittleEndian.Uint16(script)), script[2]
			b := script[3:min(3+n, len(script))]
			script = script[3+len(b):]
			if len(b) == 0 {
				continue
			}
			if pages == 0 {
				_ = c.conn.Send(b)
				continue
			}
			fd, err := wire.MemFile("fuzz", int64(pages)*64)
			require.NoError(t, err)
			_ = c.conn.SendFile(b, fd)
			require.NoError(t, unix.Close(fd))
		}
		_ = c.conn.Close()
		if err := c.end(); err != nil {
			t.Log(err)
		}
		<-read
	})
}
