package cpu

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/hal/driver"
	"github.com/heddle-ml/heddle/ops"
	"github.com/heddle-ml/heddle/ops/oracle"
)

// unusual lists values of an attribute that are legal somewhere, or nowhere.
func unusual(s ops.AttrSpec) (out []graph.Attr) {
	switch s.Kind {
	case graph.AttrInt:
		for _, v := range []int64{-3, -2, -1, 0, 1, 2, 3, 5, 1 << 31, -1 << 31, 1 << 62} {
			out = append(out, graph.Int(s.Name, v))
		}
	case graph.AttrFloat:
		for _, v := range []float32{0, 0.5, 3} {
			out = append(out, graph.Float(s.Name, v))
		}
	case graph.AttrInts:
		for _, v := range [][]int64{{}, {0}, {1}, {2}, {-1}, {1, 1}, {2, 2}, {0, 1}, {1, 0}, {3, 1}, {0, 1, 2}, {2, 1, 0}, {1, 2, 1, 0}, {0, 0, 0, 0}, {2, 2, 2, 2}, {1 << 31, 1}, {1 << 31, 1 << 31}} {
			out = append(out, graph.Ints(s.Name, v...))
		}
	case graph.AttrElem:
		for _, e := range enc.Elems() {
			out = append(out, graph.Elem(s.Name, e))
		}
	}
	return out
}

// Whatever an attribute says, the driver does what the reference does, or
// both refuse; sizes that no machine has are out of memory.
func TestUnusualAttributes(t *testing.T) {
	d := open(t, "cpu?threads=2")
	for _, o := range ops.List() {
		for i, s := range operatorSamples[o.Ref.String()] {
			e := s.elem
			for _, try := range []enc.Elem{enc.U8, enc.F32} {
				if s.elem == enc.Invalid && o.Inputs[0].Types.Has(try) && (s.only == 0 || s.only.Has(try)) {
					e = try
				}
			}
			if e == enc.Invalid {
				continue
			}
			l := newLab(t, e, false)
			outs := s.make(l)
			require.NoError(t, l.b.Err())
			g := l.build(outs...)
			for _, spec := range o.Attrs {
				for _, a := range unusual(spec) {
					if m := withAttr(g, a); m != nil {
						t.Run(fmt.Sprintf("%s/%d/%s=%d%v%v%s", o.Ref, i, a.Name, a.Int, a.Ints, a.Float, a.Elem), func(t *testing.T) {
							l.t = t
							l.agree(d, m)
						})
					}
				}
			}
		}
	}
}

// withAttr returns g with an attribute of its first node replaced, nil if that
// makes no graph.
func withAttr(g *graph.Graph, a graph.Attr) *graph.Graph {
	m, err := graph.Rewriter{Schemas: ops.Standard, Node: func(b *graph.Builder, id graph.NodeID, in []graph.ValueID) ([]graph.ValueID, error) {
		if id > 0 {
			return nil, nil
		}
		n := g.Nodes[0]
		attrs := slices.DeleteFunc(slices.Clone(n.Attrs), func(x graph.Attr) bool { return x.Name == a.Name })
		want := make([]bool, len(n.Out))
		for i, v := range n.Out {
			want[i] = v != graph.NoValue
		}
		return b.Node(graph.Node{Op: n.Op, In: in, Attrs: append(attrs, a)}, want), nil
	}}.Run(g)
	if err != nil {
		return nil
	}
	return m
}

// agree compares driver and oracle, which may refuse both.
func (l *lab) agree(d *hal.Device, g *graph.Graph) {
	t := l.t
	for i := range g.Values {
		shape, ok := g.Values[i].Type.Shape.Const()
		require.True(t, ok)
		if n, err := dim.Count(shape); err == nil && n <= 1<<20 {
			continue
		}
		x, err := d.Compile(context.Background(), g, hal.CompileOptions{})
		if err == nil { // it may just be large
			require.NoError(t, x.Close())
			return
		}
		require.ErrorIs(t, err, hal.ErrOutOfMemory)
		require.NoError(t, d.Lost())
		return
	}
	vs, err := d.Supports(g)
	require.NoError(t, err)
	if !vs[0].OK && !lowered(g.Nodes[0].Op) {
		return // it does not come apart with this attribute, and Supports says so
	}
	r := prepare(t, d, g, nil)
	in := map[string]*oracle.Tensor{}
	for name, s := range l.inputs {
		in[name] = l.fill(s, nil)
		r.set(driver.RoleInput, name, bytesOf(t, in[name]))
	}
	want, refused := oracle.Eval(context.Background(), g, oracle.Options{Inputs: in, Round: true})
	err = r.run()
	require.NoError(t, d.Lost())
	if refused != nil {
		require.Error(t, err, "the reference refuses: %v", refused)
		require.False(t, errors.Is(err, hal.ErrDeviceLost))
		return
	}
	require.NoError(t, err)
	for _, p := range g.Outputs {
		got, err := oracle.FromConst(r.at(driver.RoleOutput, p.Name, nil))
		require.NoError(t, err)
		near(t, max(class(g, p.Value), ops.Contraction), want.Outputs[p.Name], got)
	}
}
