package null_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/drivers/null"
	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/hal/driver"
	"github.com/heddle-ml/heddle/hal/validate"
	"github.com/heddle-ml/heddle/ops"
)

func within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// reluGraph has input x and output y of [n,4] floats.
func reluGraph(t testing.TB) *graph.Graph {
	b := graph.NewBuilder("relu", ops.Standard)
	n := b.Symbol(dim.Symbol{Name: "n", Min: 1, Max: 8})
	x := b.Input("x", graph.Of(enc.F32, n, dim.Of(4)))
	b.Output("y", b.Op("Relu", []graph.ValueID{x}))
	g, err := b.Build()
	require.NoError(t, err)
	return g
}

// From open to close, with package validate looking on.
func TestDevice(t *testing.T) {
	ctx := within(t)
	dev, err := hal.Open(ctx, "null?validate=1")
	require.NoError(t, err)
	exe, err := dev.Compile(ctx, reluGraph(t), hal.CompileOptions{})
	require.NoError(t, err)
	q, err := dev.NewQueue(hal.QueueOptions{})
	require.NoError(t, err)
	buf, err := dev.Alloc(ctx, 512)
	require.NoError(t, err)
	done, err := q.NewTimeline(0)
	require.NoError(t, err)

	for i, rows := range []int64{1, 8, 3} {
		size, err := exe.Size(1, []int64{rows})
		require.NoError(t, err)
		require.Equal(t, 16*rows, size)
		y := make([]byte, size)
		err = q.Submit(ctx, &hal.Batch{
			Cmds: []hal.Cmd{
				{Op: hal.Fill, Dst: buf.All(), Value: 0x7f},
				{Op: hal.Run, Exec: exe, Args: []hal.Region{buf.At(0, size), buf.At(256, size)}, Dims: []int64{rows}},
				{Op: hal.Download, Src: buf.At(256, size), Host: y},
			},
			Signal: []hal.Point{{T: done, V: uint64(i + 1)}},
		})
		require.NoError(t, err)
		require.NoError(t, done.Wait(ctx, uint64(i+1)))
		require.Equal(t, make([]byte, size), y)
	}

	require.NoError(t, q.Close())
	require.NoError(t, exe.Close())
	require.NoError(t, buf.Close())
	require.NoError(t, dev.Close(), "nothing was found, nothing was left open")
}

func TestOpen(t *testing.T) {
	d := null.Driver{}
	devs, err := d.Probe(within(t))
	require.NoError(t, err)
	require.Len(t, devs, 1)
	require.Contains(t, hal.Default.Names(), d.Info().Name, "importing the package registers it")
	_, err = hal.Open(within(t), d.Info().Name+":1")
	require.ErrorIs(t, err, hal.ErrUnavailable)
	require.ErrorContains(t, err, "there is only device 0")
	_, err = hal.Open(within(t), d.Info().Name+"?speed=ludicrous")
	require.ErrorIs(t, err, hal.ErrUnsupported)
	require.ErrorContains(t, err, `"speed"`)
}

func TestSupports(t *testing.T) {
	dev, err := null.Driver{}.Open(within(t), "0", driver.OpenOptions{})
	require.NoError(t, err)
	g := reluGraph(t)
	require.Equal(t, []driver.Verdict{{OK: true}}, dev.Supports(g))
	g.Values[0].Type.Elem = enc.Bool
	v := dev.Supports(g)[0]
	require.Equal(t, driver.ReasonType, v.Code)
	require.Equal(t, "Relu is not implemented for bool", v.Text)
	g.Nodes[0].Op.Name = "Reluctant"
	v = dev.Supports(g)[0]
	require.Equal(t, driver.ReasonOperator, v.Code)
	require.Equal(t, "operator Reluctant is not implemented", v.Text)
	require.NoError(t, dev.Close())
}

// Capabilities are data: they survive JSON, so that a profile can stand for a
// device that is elsewhere.
func TestCapsAreData(t *testing.T) {
	dev, err := null.Driver{}.Open(within(t), "0", driver.OpenOptions{})
	require.NoError(t, err)
	data, err := json.Marshal(dev.Caps())
	require.NoError(t, err)
	var c driver.Caps
	require.NoError(t, json.Unmarshal(data, &c))
	require.Equal(t, *dev.Caps(), c)
	require.NotEmpty(t, c.Ops)
}

func TestLeaksAreReported(t *testing.T) {
	ctx := within(t)
	dev, err := hal.Open(ctx, "null")
	require.NoError(t, err)
	exe, err := dev.Compile(ctx, reluGraph(t), hal.CompileOptions{})
	require.NoError(t, err)
	require.ErrorContains(t, dev.Close(), "1 executables are still open")
	require.NoError(t, exe.Close())

	dev, err = hal.Open(ctx, "null?validate=1")
	require.NoError(t, err)
	_, err = dev.Alloc(ctx, 64)
	require.NoError(t, err)
	err = dev.Close()
	var v *validate.Violation
	require.ErrorAs(t, err, &v)
	require.Equal(t, validate.RuleLeak, v.Rule)
	require.Equal(t, "memory of 64 bytes was left open", v.Detail)
}

func Example() {
	ctx := context.Background()
	for _, d := range hal.Devices(ctx) {
		if d.Name == "null" {
			fmt.Println(d.Name, "-", d.Summary)
		}
	}
	dev, err := hal.Open(ctx, "null")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer dev.Close()
	buf, err := dev.Alloc(ctx, 16)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer buf.Close()
	fmt.Println(dev.Name(), buf.Size())
	// Output:
	// null - computes nothing; a skeleton to copy
	// null 16
}
