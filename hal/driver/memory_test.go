package driver_test

import (
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/hal/driver"
)

func TestHostMemory(t *testing.T) {
	for _, size := range []int64{0, 1, 7, 63, 64, 65, 4095, 1 << 16} {
		s := driver.MemSpec{Size: size, Heap: 3}
		m := driver.NewHostMemory(s)
		require.Equal(t, s, m.Spec())
		b, ok := m.Bytes()
		require.True(t, ok)
		require.Len(t, b, int(size))
		require.Equal(t, int(size), cap(b), "the padding is out of reach")
		require.Zero(t, uintptr(unsafe.Pointer(unsafe.SliceData(b)))%driver.PlaneAlign, "size %d", size)
		for _, x := range b {
			require.Zero(t, x)
		}
		require.NoError(t, m.Free())
		require.NoError(t, m.Free())
		b, ok = m.Bytes()
		require.False(t, ok)
		require.Nil(t, b)
		require.Equal(t, s, m.Spec(), "the size is known after Free")
	}
}

func TestRegionBytes(t *testing.T) {
	m := driver.NewHostMemory(driver.MemSpec{Size: 100})
	for _, c := range []struct {
		off, size int64
		ok        bool
	}{
		{0, 100, true}, {0, 0, true}, {100, 0, true}, {40, 60, true},
		{-1, 10, false}, {0, -1, false}, {0, 101, false}, {101, 0, false}, {60, 41, false},
		{1 << 62, 1 << 62, false}, {100, 1<<63 - 1, false},
	} {
		b, err := driver.Region{Mem: m, Off: c.off, Size: c.size}.Bytes()
		if c.ok {
			require.NoError(t, err, "%+v", c)
			require.Len(t, b, int(c.size))
			require.Equal(t, len(b), cap(b), "an append must not reach what follows")
		} else {
			require.ErrorContains(t, err, "not inside", "%+v", c)
		}
	}
	require.NoError(t, m.Free())
	_, err := driver.Region{Mem: m}.Bytes()
	require.ErrorIs(t, err, driver.ErrUnsupported)
}

func TestPlanes(t *testing.T) {
	for _, c := range []struct {
		name               string
		l                  enc.Layout
		scale, zero, total int64
	}{
		{"plain", enc.Layout{Data: 70}, 70, 70, 70},
		{"empty", enc.Layout{}, 0, 0, 0},
		{"scales", enc.Layout{Data: 70, Scale: 8}, 128, 136, 136},
		{"scales at a boundary", enc.Layout{Data: 64, Scale: 4}, 64, 68, 68},
		{"scales and zeros", enc.Layout{Data: 1, Scale: 65, Zero: 3}, 64, 192, 195},
	} {
		scale, zero, total := driver.Planes(c.l)
		require.Equal(t, [3]int64{c.scale, c.zero, c.total}, [3]int64{scale, zero, total}, c.name)
		if c.l.Scale > 0 {
			require.Zero(t, scale%driver.PlaneAlign, c.name)
			require.GreaterOrEqual(t, scale, c.l.Data, c.name)
		}
		if c.l.Zero > 0 {
			require.Zero(t, zero%driver.PlaneAlign, c.name)
			require.GreaterOrEqual(t, zero, scale+c.l.Scale, c.name)
		}
	}
}

func TestBindingsOf(t *testing.T) {
	in := graph.OfInts(enc.F32, 2, 3)
	n := graph.Of(enc.I64, dim.Sym("n"))
	state := graph.OfInts(enc.F32, 8, 4)
	state.Enc = enc.PerChannel(enc.I8, 0)
	g := &graph.Graph{
		Symbols: []dim.Symbol{{Name: "n", Min: 1, Max: 9}},
		Values: []graph.Value{
			{Name: "x", Kind: graph.Input, Type: in},
			{Name: "ids", Kind: graph.Input, Type: n},
			{Name: "kv.in", Kind: graph.StateIn, Type: state},
			{Name: "y.value", Kind: graph.Result, Type: in},
		},
		Inputs:  []graph.ValueID{1, 0},
		Outputs: []graph.Port{{Name: "y", Value: 3}, {Name: "again", Value: 3}},
		States:  []graph.State{{Name: "kv", In: 2, Out: 2}},
	}
	require.Equal(t, []driver.Binding{
		{Name: "ids", Role: driver.RoleInput, Type: n, Align: 32},
		{Name: "x", Role: driver.RoleInput, Type: in, Align: 32},
		{Name: "y", Role: driver.RoleOutput, Type: in, Align: 32},
		{Name: "again", Role: driver.RoleOutput, Type: in, Align: 32},
		{Name: "kv", Role: driver.RoleState, Type: state, Align: 32},
	}, driver.BindingsOf(g, 32))
	require.Empty(t, driver.BindingsOf(&graph.Graph{}, 64))
}

func TestNames(t *testing.T) {
	require.Equal(t, "input output state", driver.RoleInput.String()+" "+driver.RoleOutput.String()+" "+driver.RoleState.String())
	for op, want := range map[driver.CmdOp]string{
		driver.Run: "run", driver.Copy: "copy", driver.Fill: "fill", driver.Upload: "upload", driver.Download: "download",
		0: "command 0", 200: "command 200",
	} {
		require.Equal(t, want, op.String())
	}
}

func TestCapsLookup(t *testing.T) {
	c := driver.Caps{Ops: []driver.OpCap{{Name: "Add", Elems: []string{"f32", "i4"}}, {Domain: "heddle", Name: "Add"}}}
	o, ok := c.Op(graph.OpRef{Name: "Add", Version: 14})
	require.True(t, ok)
	require.True(t, o.Elem(enc.F32))
	require.True(t, o.Elem(enc.I4))
	require.False(t, o.Elem(enc.F16))
	o, ok = c.Op(graph.OpRef{Domain: "heddle", Name: "Add"})
	require.True(t, ok)
	require.Equal(t, "heddle", o.Domain)
	_, ok = c.Op(graph.OpRef{Name: "Mul"})
	require.False(t, ok)
}
