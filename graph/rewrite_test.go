package graph

import (
	"errors"
	"slices"
	"testing"

	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/stretchr/testify/require"
)

// A rewriter that changes nothing gives the same graph, names and all.
func TestRewriteCopies(t *testing.T) {
	for seed := range int64(100) {
		g := random(t, seed)
		out, err := Rewriter{Schemas: fake{}}.Run(g)
		require.NoError(t, err)
		// Results may be numbered behind constants that came after them.
		require.Equal(t, len(g.Values), len(out.Values))
		require.Equal(t, names(g), names(out))
		again, err := Rewriter{Schemas: fake{}}.Run(out)
		require.NoError(t, err)
		require.Empty(t, diff(out, again))
	}
	out, err := Rewriter{Schemas: fake{}}.Run(sample(t))
	require.NoError(t, err)
	require.Equal(t, names(sample(t)), names(out))
}

func names(g *Graph) []string {
	var s []string
	for i := range g.Values {
		s = append(s, g.Values[i].Name+" "+g.Values[i].Type.String())
	}
	slices.Sort(s)
	return s
}

func TestRewriteBind(t *testing.T) {
	g := sample(t)
	out, err := Rewriter{Schemas: fake{}, Bind: dim.Binding{"past": 5, "tiles": 3}}.Run(g)
	require.NoError(t, err)
	require.Empty(t, out.Symbols)
	for i := range out.Values {
		_, ok := out.Values[i].Type.Shape.Const()
		require.True(t, ok)
		if v := &out.Values[i]; v.Name == "n" {
			c, ok := v.Const()
			require.True(t, ok, "symbolic integers become plain ones")
			require.Equal(t, I64(3).Scalar().Data, c.Data)
			require.Empty(t, c.Shape)
		}
	}
	require.Equal(t, "f32[3,8,3]", out.Values[out.Outputs[0].Value].Type.String())
	require.Equal(t, "f32[tiles,8,(past+3)/4+1]", g.Values[g.Outputs[0].Value].Type.String(), "the old graph is as before")
}

func TestRewriteNodes(t *testing.T) {
	b := NewBuilder("g", fake{})
	x := b.Input("x", OfInts(enc.F32, 2))
	unused := b.Float(enc.F32, 9)
	s := b.State("s", OfInts(enc.F32, 2))
	b.Scope("here")
	y := b.Op("Add", []ValueID{x, x})
	b.Rename(y, "sum")
	z := b.Ops("Like", []ValueID{y}, []bool{false, true})[1]
	b.SetState("s", b.Op("x.Update", []ValueID{s, z}))
	b.Output("z", z)
	b.Output("x", x)
	g, err := b.Build()
	require.NoError(t, err)

	out, err := Rewriter{Schemas: fake{}, Keep: func(id ValueID) bool { return id != unused },
		Node: func(b *Builder, id NodeID, in []ValueID) ([]ValueID, error) {
			switch g.Nodes[id].Op.Name {
			case "Add": // by two nodes; the last takes over the name
				return []ValueID{b.Op("Like", []ValueID{b.Op("Like", in[:1])})}, nil
			case "Like": // by a value that is there already
				return []ValueID{NoValue, in[0]}, nil
			}
			return nil, nil
		}}.Run(g)
	require.NoError(t, err)
	require.Equal(t, `graph "g" v1
input %x: f32[2]
state %s: f32[2]
%v1 = Like@1(%x): f32[2] @"here"
%sum = Like@1(%v1): f32[2] @"here"
%v3 = x.Update@3(%s, %sum): f32[2] @"here"
output "z" = %sum
output "x" = %x
final "s" = %s -> %v3
`, out.String())

	boom := errors.New("boom")
	_, err = Rewriter{Schemas: fake{}, Node: func(*Builder, NodeID, []ValueID) ([]ValueID, error) { return nil, boom }}.Run(g)
	require.ErrorIs(t, err, boom)
	require.ErrorContains(t, err, "node here (Add)")
	// A value that is still used must not be dropped.
	_, err = Rewriter{Schemas: fake{}, Node: func(b *Builder, id NodeID, in []ValueID) ([]ValueID, error) {
		if id == 0 {
			return []ValueID{NoValue}, nil
		}
		return nil, nil
	}}.Run(g)
	require.ErrorIs(t, err, ErrInvalid)
}

func TestUses(t *testing.T) {
	g := sample(t)
	uses := g.Uses()
	x, _ := g.Input("pixels")
	require.Equal(t, 3, uses[x], "both operands of Add, and an output")
	of := g.StateOf(fake{})
	require.Equal(t, 0, of[g.States[0].In])
	require.Equal(t, 0, of[g.States[0].Out])
	require.Equal(t, 1, of[g.States[1].In])
	require.Equal(t, -1, of[x])
}
