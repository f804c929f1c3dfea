package cpu

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/ops"
	"github.com/heddle-ml/heddle/ops/kern/pool"
)

// Whatever graph the verifier accepts either compiles and runs, or fails with
// an error: the driver never panics, whatever the data.
func FuzzRun(f *testing.F) {
	for _, list := range operatorSamples {
		for _, s := range list {
			e := enc.F32
			if s.elem != enc.Invalid {
				e = s.elem
			}
			l := newLab(f, e, !s.static)
			outs := s.make(l)
			for i, v := range outs {
				if v != graph.NoValue {
					l.b.Output("y"+string(rune('0'+i)), v)
				}
			}
			g, err := l.b.Build()
			if err != nil {
				continue // not of this type
			}
			f.Add(g.String(), byte(1))
		}
	}
	d := open(f, "cpu?threads=2")
	f.Fuzz(func(t *testing.T, text string, fill byte) {
		g, err := graph.Parse(text, ops.Standard)
		if err != nil {
			return
		}
		at := dim.Binding{}
		var dims []int64
		for _, s := range g.Symbols {
			at[s.Name] = min(s.Max, s.Min+int64(fill%8))
			dims = append(dims, at[s.Name])
		}
		for i := range g.Nodes { // what takes long is no failure
			if k, err := ops.CostOf(g, graph.NodeID(i), at); err != nil || k.FLOPs+k.Bytes > 1<<24 {
				return
			}
		}
		for i := range g.Values {
			shape, err := g.Values[i].Type.Shape.Eval(at)
			if n, err2 := dim.Count(shape); err != nil || err2 != nil || n > 1<<20 {
				return
			}
		}
		ctx := context.Background()
		x, err := d.Compile(ctx, g, hal.CompileOptions{})
		if err != nil {
			require.False(t, errors.Is(err, hal.ErrDeviceLost), "%v\n%s", err, g)
			return
		}
		defer x.Close()
		q, err := d.NewQueue(hal.QueueOptions{})
		require.NoError(t, err)
		defer q.Close()
		line, err := q.NewTimeline(0)
		require.NoError(t, err)
		cmd := hal.Cmd{Op: hal.Run, Exec: x, Dims: dims}
		for i := range x.Bindings() {
			n, err := x.Size(i, dims)
			require.NoError(t, err)
			buf, err := d.Alloc(ctx, n)
			require.NoError(t, err)
			defer buf.Close()
			raw, _ := buf.Bytes()
			for k := range raw {
				raw[k] = fill * byte(k)
			}
			cmd.Args = append(cmd.Args, buf.All())
		}
		if err = q.Submit(ctx, &hal.Batch{Cmds: []hal.Cmd{cmd}, Signal: []hal.Point{{T: line, V: 1}}}); err == nil {
			err = line.Wait(ctx, 1)
		}
		var panicked *pool.PanicError
		if errors.As(err, &panicked) {
			t.Fatalf("%v\n%s\n%s", err, panicked.Stack, g)
		}
		require.False(t, errors.Is(err, hal.ErrDeviceLost), "%v\n%s", err, g)
		require.NoError(t, d.Lost())
	})
}
