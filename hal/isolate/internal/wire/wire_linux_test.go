package wire

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/hal/driver"
)

func TestFrame(t *testing.T) {
	f := Frame{Kind: Submit, Flags: 0, Code: 5, ID: 1 << 60, A: 2, B: 3, C: 4, Payload: []byte("payload")}
	b := f.Append(nil)
	require.Len(t, b, HeaderSize+7)
	var g Frame
	require.NoError(t, g.Decode(b))
	require.Equal(t, f, g)
	in := Frame{Kind: Compile, Flags: InFile, FileSize: 99}
	require.NoError(t, g.Decode(in.Append(nil)))
	require.EqualValues(t, 99, g.FileSize)

	for name, change := range map[string]func([]byte) []byte{
		"short":            func(b []byte) []byte { return b[:HeaderSize-1] },
		"empty":            func(b []byte) []byte { return nil },
		"magic":            func(b []byte) []byte { b[0]++; return b },
		"kind 0":           func(b []byte) []byte { b[4] = 0; return b },
		"kind":             func(b []byte) []byte { b[4] = byte(numKinds); return b },
		"flags":            func(b []byte) []byte { b[6] = 4; return b },
		"length":           func(b []byte) []byte { b[8]++; return b },
		"huge length":      func(b []byte) []byte { b[11] = 0xff; return b },
		"reserved":         func(b []byte) []byte { b[60] = 1; return b },
		"file size alone":  func(b []byte) []byte { b[48] = 1; return b },
		"file and payload": func(b []byte) []byte { b[6] = byte(InFile); return b },
		"more":             func(b []byte) []byte { return append(b, 0) },
	} {
		require.ErrorIs(t, g.Decode(change(bytes.Clone(b))), ErrGarbage, name)
	}
	for k := Hello; k < numKinds; k++ {
		require.NotContains(t, k.String(), "kind", "every kind has a name")
	}
	require.Equal(t, "kind 99", Kind(99).String())
	require.True(t, Bye.IsCall() && Hello.IsCall())
	require.False(t, Cancel.IsCall() || Reply.IsCall())
}

// sample is a batch of every command.
func sample() (payload []byte, after uint64, want []Cmd) {
	r := func(m uint32) Region { return Region{m, int64(m) * 64, 100} }
	want = []Cmd{
		{Op: driver.Run, Exec: 7, Args: []Region{r(1), r(2)}, Dims: []int64{5, -6}},
		{Op: driver.Copy, Dst: r(1), Src: r(2), Rows: 3, DstStride: 4, SrcStride: 5},
		{Op: driver.Fill, Dst: r(3), Value: 9},
		{Op: driver.Run, Exec: 1<<32 - 1, Args: []Region{r(3)}, Dims: []int64{}},
		{Op: driver.Upload, Dst: r(4), Stage: 64},
		{Op: driver.Download, Src: r(5), Stage: 128},
	}
	for i := range want {
		c := &want[i]
		if c.Op != driver.Run {
			payload = c.Append(payload)
			continue
		}
		payload = AppendRun(payload, c.Exec, len(c.Args), len(c.Dims))
		for _, a := range c.Args {
			payload = AppendArg(payload, a)
		}
		for _, d := range c.Dims {
			payload = AppendDim(payload, d)
		}
	}
	return AppendDim(AppendDim(payload, 11), 12), 2, want
}

func TestBatch(t *testing.T) {
	payload, after, want := sample()
	var b Batch
	for range 3 { // storage is reused
		require.NoError(t, b.Decode(payload, after))
		require.Equal(t, []uint64{11, 12}, b.After)
		require.Len(t, b.Cmds, len(want))
		for i, c := range b.Cmds {
			if c.Op != driver.Run {
				c.Args, c.Dims = nil, nil
			}
			require.Equal(t, want[i], c, i)
		}
	}
	require.Zero(t, testing.AllocsPerRun(100, func() { _ = b.Decode(payload, after) }))
	for cut := 1; cut < len(payload)-16; cut += 3 {
		if err := b.Decode(payload[:cut], 0); err == nil {
			require.Less(t, len(b.Cmds), len(want), "it ended with a command")
		} else {
			require.ErrorIs(t, err, ErrGarbage, cut)
		}
	}
	require.ErrorIs(t, b.Decode(payload, Window+1), ErrGarbage)
	require.ErrorIs(t, b.Decode(AppendRun(nil, 1, math.MaxInt32, math.MaxInt32), 0), ErrGarbage, "claims are not believed")
	require.ErrorIs(t, b.Decode([]byte{99, 0}, 0), ErrGarbage)
}

func TestFailure(t *testing.T) {
	for _, sentinel := range sentinels {
		err := fmt.Errorf("because: %w", sentinel)
		f := FailureOf(err)
		got, bad := DecodeFailure(f.Code, f.Append(nil))
		require.NoError(t, bad)
		require.EqualError(t, got, err.Error())
		for _, other := range sentinels {
			require.Equal(t, other == sentinel, errors.Is(got, other))
		}
	}
	err := fmt.Errorf("x: %w: %w", &graph.Error{Graph: "g", Node: "n", Op: "Neg", Err: driver.ErrTimeout}, driver.ErrDeviceLost)
	f := FailureOf(err)
	got, bad := DecodeFailure(f.Code, f.Append(nil))
	require.NoError(t, bad)
	for _, is := range []error{driver.ErrTimeout, driver.ErrDeviceLost, graph.ErrInvalid} {
		require.ErrorIs(t, got, is)
	}
	var at *graph.Error
	require.ErrorAs(t, got, &at)
	require.Equal(t, "n", at.Node)
	require.False(t, errors.As(errors.New("x"), &at) || errors.As(must(DecodeFailure(1, FailureOf(io.EOF).Append(nil))), &at))
	long := FailureOf(errors.New(string(make([]byte, 1<<20))))
	require.Less(t, len(long.Append(nil)), MaxInline)
	_, bad = DecodeFailure(1, []byte{1, 2, 3})
	require.ErrorIs(t, bad, ErrGarbage)
}

func must(err, bad error) error {
	if bad != nil {
		panic(bad)
	}
	return err
}

func TestMessages(t *testing.T) {
	g := Greeting{Version: Version, Driver: "cpu", Found: true, Drivers: []string{"a"}, Info: driver.Info{Name: "cpu"}}
	var g2 Greeting
	require.NoError(t, g2.Decode(g.Append(nil)))
	require.Equal(t, g, g2)
	other := Greeting{Version: 7}
	require.NoError(t, g2.Decode(append(other.Append(nil), "whatever"...)), "another version may go on as it likes")
	require.Equal(t, Greeting{Version: 7}, g2)
	require.ErrorIs(t, g2.Decode([]byte("HTTP/1.1 400 Bad Request")), ErrGarbage)
	require.ErrorIs(t, g2.Decode(nil), ErrGarbage)

	c := Compilation{Label: "l", Blob: []byte("blob"), Graphs: [][]byte{[]byte("g1"), []byte("g2")}, Sources: []SourceRef{{Name: "a", ID: 3}, {Name: "b", Err: FailureOf(io.EOF)}}}
	var c2 Compilation
	require.NoError(t, c2.Decode(c.Append(nil)))
	require.EqualError(t, c2.Sources[1].Err, "EOF")
	c2.Sources[1].Err, c.Sources[1].Err = nil, nil
	require.Equal(t, c, c2)

	vs := []driver.Verdict{{OK: true, Group: -1}, {Code: driver.ReasonShape, Text: "too long", Group: 5}}
	vs2, err := DecodeVerdicts(AppendVerdicts(nil, vs))
	require.NoError(t, err)
	require.Equal(t, vs, vs2)
	_, err = DecodeVerdicts([]byte{255, 255, 255, 255})
	require.ErrorIs(t, err, ErrGarbage)

	n := dim.Symbol{Name: "n", Min: 1, Max: 9}
	ty, err := graph.ParseType("f32[n+1,4]")
	require.NoError(t, err)
	bs := []driver.Binding{{Name: "\xff", Role: driver.RoleState, Type: ty, Align: 64}, {Name: "y", Type: graph.OfInts(enc.I8, 3)}}
	p := Program{bs, []dim.Symbol{n, {Name: "\xfe", Max: 5, Buckets: []int64{1, 5}}}, driver.Footprint{Weights: 1, Scratch: 3}}
	raw := p.Append(nil)
	var q Program
	r := NewReader(p.Append(bytes.Clone(raw)))
	for range 2 {
		require.NoError(t, q.Read(r))
		for i := range bs {
			require.Equal(t, bs[i].Type.String(), q.Bindings[i].Type.String())
			require.Equal(t, bs[i].Name, q.Bindings[i].Name)
			require.Equal(t, bs[i].Role, q.Bindings[i].Role)
		}
		require.Equal(t, p.Symbols, q.Symbols)
		require.Equal(t, p.Footprint, q.Footprint)
	}
	require.NoError(t, r.Err())
	for cut := range raw {
		require.ErrorIs(t, q.Read(NewReader(raw[:cut])), ErrGarbage)
	}
	bs[0].Align = -1
	require.ErrorIs(t, q.Read(NewReader(p.Append(nil))), ErrGarbage)
	bs[0].Align, bs[0].Role = 0, 9
	require.ErrorIs(t, q.Read(NewReader(p.Append(nil))), ErrGarbage)

	bin, at, err := DecodeEstimate(AppendEstimate(nil, []byte("g"), dim.Binding{"n": 4, "m": -1}))
	require.NoError(t, err)
	require.Equal(t, "g", string(bin))
	require.Equal(t, dim.Binding{"n": 4, "m": -1}, at)
	_, err = JSON[driver.Footprint]([]byte("{"))
	require.ErrorIs(t, err, ErrGarbage)
}

func pair(t testing.TB) (a, b *Conn) {
	x, y, err := Pair()
	require.NoError(t, err)
	a, err = NewConn(x)
	require.NoError(t, err)
	b, err = NewConn(y)
	require.NoError(t, err)
	t.Cleanup(func() {
		_ = a.Close()
		_ = b.Close()
	})
	return a, b
}

func TestConn(t *testing.T) {
	a, b := pair(t)
	buf := make([]byte, MaxFrame+1)
	var f Frame
	big := Frame{Kind: Reply, ID: 1, Payload: bytes.Repeat([]byte{7}, MaxInline)}
	go func() {
		for range 20 { // more than the socket holds
			_ = b.Send(big.Append(nil))
		}
	}()
	for range 20 {
		require.NoError(t, a.Recv(buf, &f))
		require.Equal(t, big, f)
	}
	fd, err := Frozen("test", []byte("content"))
	require.NoError(t, err)
	alloc := Frame{Kind: Alloc, A: 3}
	require.NoError(t, a.SendFile(alloc.Append(nil), fd))
	require.NoError(t, a.Send(alloc.Append(nil)))
	require.NoError(t, closeFD(fd))
	got, err := b.RecvFile(buf, &f)
	require.NoError(t, err)
	require.Equal(t, alloc.A, f.A)
	require.NoError(t, CheckSize(got, 0, 7, true))
	require.True(t, Sealed(got))
	m, err := Map(got, 0, 7, false)
	require.NoError(t, err)
	require.Equal(t, "content", string(m.Bytes))
	m.Unmap()
	m.Unmap()
	require.NoError(t, closeFD(got))
	got, err = b.RecvFile(buf, &f)
	require.NoError(t, err)
	require.Equal(t, -1, got)

	// Who only receives gets no files; who gets too many gets none of them.
	before := files(t)
	w, err := MemFile("w", 10)
	require.NoError(t, err)
	require.NoError(t, b.SendFile(alloc.Append(nil), w))
	require.NoError(t, a.Recv(buf, &f))
	require.NoError(t, sendFiles(a, alloc.Append(nil), w, w, w))
	_, err = b.RecvFile(buf, &f)
	require.ErrorIs(t, err, ErrGarbage)
	require.NoError(t, a.SendFile([]byte("nonsense"), w))
	_, err = b.RecvFile(buf, &f)
	require.ErrorIs(t, err, ErrGarbage)
	require.NoError(t, closeFD(w))
	require.Equal(t, before, files(t))

	// Too much, nothing, the end.
	require.NoError(t, a.Send(make([]byte, MaxFrame+1)))
	_, err = b.RecvFile(buf, &f)
	require.ErrorIs(t, err, ErrGarbage)
	received := make(chan error)
	go func() { received <- b.Recv(buf, &f) }()
	require.NoError(t, a.Close())
	require.NoError(t, a.Close(), "again")
	require.ErrorIs(t, <-received, io.EOF)
	require.ErrorIs(t, a.Send(alloc.Append(nil)), os.ErrClosed)
	require.Error(t, b.Send(alloc.Append(nil)))
	go func() { received <- b.Recv(buf, &f) }()
	require.NoError(t, b.Close())
	require.Error(t, <-received)

	_, err = NewConn(0)
	require.Error(t, err, "no socket")
}

// A socket that is full does not hold TrySend up.
func TestTrySend(t *testing.T) {
	a, _ := pair(t)
	f := Frame{Kind: Ping, Payload: make([]byte, 1000)}
	var err error
	for i := 0; i < 10000 && err == nil; i++ {
		err = a.TrySend(f.Append(nil))
	}
	require.Error(t, err)
}

func TestMemoryFiles(t *testing.T) {
	fd, err := MemFile("test", 100)
	require.NoError(t, err)
	defer closeFD(fd)
	require.Error(t, os.NewFile(uintptr(dup(t, fd)), "x").Truncate(10), "it cannot shrink under who maps it")
	one, err := Map(fd, 0, 100, true)
	require.NoError(t, err)
	two, err := Map(fd, 50, 50, true) // not at a page
	require.NoError(t, err)
	one.Bytes[99] = 5
	require.EqualValues(t, 5, two.Bytes[49])
	require.Equal(t, 50, cap(two.Bytes))
	one.Unmap()
	two.Unmap()
	require.ErrorIs(t, CheckSize(fd, 0, 100, true), ErrGarbage, "it may change")
	require.NoError(t, CheckSize(fd, 99, 1, false))
	for _, bad := range [][2]int64{{0, 101}, {101, 0}, {-1, 1}, {0, -1}, {1, math.MaxInt64}} {
		require.ErrorIs(t, CheckSize(fd, bad[0], bad[1], false), ErrGarbage, bad)
	}
	require.ErrorIs(t, CheckSize(-1, 0, 0, false), ErrGarbage)
	for _, bad := range [][2]int64{{-1, 1}, {0, -1}, {math.MaxInt64, math.MaxInt64}} {
		_, err := Map(fd, bad[0], bad[1], false)
		require.Error(t, err)
	}
	_, err = Map(fd, 0, 1<<52, false)
	require.ErrorIs(t, err, driver.ErrOutOfMemory)
	empty, err := Frozen("empty", nil)
	require.NoError(t, err)
	require.NoError(t, closeFD(empty))
}

func TestRecvAllocatesNothing(t *testing.T) {
	a, b := pair(t)
	f := Frame{Kind: Done, ID: 4, Payload: []byte("x")}
	raw := f.Append(nil)
	buf := make([]byte, MaxFrame+1)
	var g Frame
	require.Zero(t, testing.AllocsPerRun(200, func() {
		if err := errors.Join(a.Send(raw), b.Recv(buf, &g)); err != nil {
			panic(err)
		}
	}))
}

func FuzzFrame(f *testing.F) {
	payload, after, _ := sample()
	for _, s := range []Frame{
		{Kind: Hello, Payload: (&Greeting{Version: Version, Driver: "cpu"}).Append(nil)},
		{Kind: Submit, ID: 1, A: 2, C: after, Payload: payload},
		{Kind: Compile, Payload: (&Compilation{Label: "x", Sources: []SourceRef{{Name: "a", ID: 1}, {Name: "b", Err: FailureOf(io.EOF)}}, Graphs: [][]byte{{1}}}).Append(nil)},
		{Kind: Reply, Code: 3, Payload: FailureOf(io.EOF).Append(nil)},
		{Kind: Reply, Payload: AppendVerdicts(nil, []driver.Verdict{{OK: true}})},
		{Kind: Estimate, Payload: AppendEstimate(nil, []byte("g"), dim.Binding{"n": 1})},
	} {
		f.Add(s.Append(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var fr Frame
		if err := fr.Decode(b); err != nil {
			require.ErrorIs(t, err, ErrGarbage)
			return
		}
		require.Equal(t, b, fr.Append(nil), "a frame has one form")
		// Whatever its kind, its payload may be read as anything.
		var g Greeting
		_ = g.Decode(fr.Payload)
		var c Compilation
		_ = c.Decode(fr.Payload)
		_, _ = DecodeFailure(fr.Code, fr.Payload)
		_, _ = DecodeVerdicts(fr.Payload)
		var p Program
		_ = p.Read(NewReader(fr.Payload))
		_, _, _ = DecodeEstimate(fr.Payload)
		var batch Batch
		if batch.Decode(fr.Payload, fr.C) == nil {
			n := 0
			for i := range batch.Cmds {
				n += len(batch.Cmds[i].Args)*regionSize + 8*len(batch.Cmds[i].Dims)
			}
			require.LessOrEqual(t, n, len(fr.Payload))
		}
	})
}
