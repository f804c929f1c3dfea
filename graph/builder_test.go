package graph

import (
	"errors"
	"testing"

	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/stretchr/testify/require"
)

func TestBuilderFirstErrorSticks(t *testing.T) {
	b := NewBuilder("g", fake{})
	x := b.Input("x", OfInts(enc.F32, 2))
	b.Scope("layer.0")
	require.Equal(t, NoValue, b.Op("Missing", []ValueID{x}))
	first := b.Err()
	require.ErrorContains(t, first, `graph "g": node layer.0 (Missing): operator "Missing" is unknown`)
	require.ErrorIs(t, first, ErrInvalid)
	// Everything after it does nothing and needs no checks.
	require.Equal(t, NoValue, b.Op("Add", []ValueID{x, x}))
	require.Nil(t, b.Ops("Like", []ValueID{x}, []bool{true, true}))
	require.Equal(t, NoValue, b.Input("y", OfInts(enc.F32, 2)))
	require.Equal(t, NoValue, b.Ints(1))
	require.Equal(t, NoValue, b.Float(enc.F32, 1))
	require.Equal(t, NoValue, b.State("s", OfInts(enc.F32, 2)))
	b.SetState("s", x)
	b.Output("o", NoValue)
	b.Fail(errors.New("later"))
	_, err := b.Build()
	require.Equal(t, first, err)
}

func TestBuilderErrors(t *testing.T) {
	for name, c := range map[string]struct {
		want string
		f    func(b *Builder, x ValueID)
	}{
		"value name":  {`value "x": the name is taken`, func(b *Builder, x ValueID) { b.Input("x", OfInts(enc.F32)) }},
		"symbol":      {"declared twice", func(b *Builder, x ValueID) { b.Symbol(dim.Symbol{Name: "n"}); b.Symbol(dim.Symbol{Name: "n"}) }},
		"symbol name": {"not a symbol name", func(b *Builder, x ValueID) { b.Symbol(dim.Symbol{Name: "n!"}) }},
		"source":      {"declared twice, differently", func(b *Builder, x ValueID) { b.Source(Source{Name: "s"}); b.Source(Source{Name: "s", Size: 1}) }},
		"constant":    {"needs 8 bytes", func(b *Builder, x ValueID) { b.Const("c", &Tensor{Elem: enc.F32, Shape: []int64{2}}) }},
		"float":       {"not a floating-point type", func(b *Builder, x ValueID) { b.Float(enc.I8, 1) }},
		"attribute": {`attribute "a" occurs twice`, func(b *Builder, x ValueID) {
			b.Op("Like", []ValueID{x}, Int("a", 1), Str("a", ""))
		}},
		"operand": {"input 1 is not a value", func(b *Builder, x ValueID) { b.Op("Add", []ValueID{x, 77}) }},
		"types":   {"wants two inputs of one type", func(b *Builder, x ValueID) { b.Op("Add", []ValueID{x, b.Ints(1)}) }},
		"state":   {`state "s" is not declared`, func(b *Builder, x ValueID) { b.SetState("s", x) }},
		"output":  {`output "o" has no value`, func(b *Builder, x ValueID) { b.Output("o", 99) }},
		"version": {"another version", func(b *Builder, x ValueID) {
			b.Node(Node{Op: OpRef{Name: "Add", Version: 1}, In: []ValueID{x, x}}, []bool{true})
		}},
	} {
		b := NewBuilder("g", fake{})
		c.f(b, b.Input("x", OfInts(enc.F32, 2)))
		_, err := b.Build()
		require.ErrorIs(t, err, ErrInvalid, name)
		require.ErrorContains(t, err, c.want, name)
	}
}

func TestBuilder(t *testing.T) {
	b := NewBuilder("g", fake{})
	n := b.Symbol(dim.Symbol{Name: "n", Min: 1, Max: 9})
	x := b.Input("v1", Of(enc.F32, n))
	b.Source(Source{Name: "s", Size: 5})
	b.Source(Source{Name: "s", Size: 5}) // the same again
	// Shape constants are shared; chosen names evade those that are taken.
	require.Equal(t, b.Ints(1, 2), b.Ints(1, 2))
	require.Equal(t, b.Dims(n, dim.Of(2)), b.Dims(n, dim.Of(2)))
	require.NotEqual(t, b.Ints(1), b.Ints(2))
	require.Equal(t, "", b.Scope("a"))
	require.Equal(t, "a", b.Scope("b"))
	outs := b.Ops("Like", []ValueID{x, NoValue, NoValue}, []bool{false, true, false}, Str("z", ""), Int("a", 3))
	require.Equal(t, NoValue, outs[0])
	require.Len(t, outs, 2, "unused trailing outputs are left out")
	b.Rename(outs[1], "mine")
	b.Rename(outs[1], "v1") // taken: ignored
	b.Rename(x, "other")    // inputs keep their names
	require.Equal(t, "mine", b.Value(outs[1]).Name)
	require.Equal(t, "f32[n]", b.Type(outs[1]).String())
	require.Nil(t, b.Value(NoValue))
	require.Equal(t, Type{}, b.Type(NoValue))
	b.Output("o", outs[1])
	g, err := b.Build()
	require.NoError(t, err)
	require.Len(t, g.Sources, 1)
	node := g.Nodes[0]
	require.Equal(t, "b", node.Name)
	require.Equal(t, []ValueID{x}, node.In, "omitted trailing inputs are left out")
	require.Equal(t, "a", node.Attrs[0].Name, "attributes are sorted")
	require.Equal(t, int64(3), node.Attrs.Int("a", 0))
	require.Equal(t, int64(7), node.Attrs.Int("z", 7), "another kind is as good as absent")
	require.True(t, node.Attrs.Has("z"))
	in, ok := g.Input("v1")
	require.True(t, ok)
	require.Equal(t, x, in)
	_, ok = g.Input("mine")
	require.False(t, ok)
	out, ok := g.Output("o")
	require.True(t, ok)
	require.Equal(t, outs[1], out)
	_, ok = g.Output("x")
	require.False(t, ok)
}

func TestConstants(t *testing.T) {
	b := NewBuilder("g", fake{})
	n := b.Symbol(dim.Symbol{Name: "n", Max: 4})
	for _, c := range []struct {
		id   ValueID
		want string
		ok   bool
	}{
		{b.Ints(3, -4), "[3,-4]", true},
		{b.Dims(n, dim.Of(2)), "[n,2]", true},
		{b.Const("", I64(7).Scalar()), "[7]", true},
		{b.Const("", &Tensor{Elem: enc.I32, Shape: []int64{2}, Data: []byte{1, 0, 0, 0, 255, 255, 255, 255}}), "[1,-1]", true},
		{b.Const("", F32([]int64{1}, 2)), "", false},
		{b.Const("", &Tensor{Elem: enc.I64, Shape: []int64{1, 1}, Data: make([]byte, 8)}), "", false},
		{b.Weight("", OfInts(enc.I64, 1), &Weight{Parts: []Part{{Elem: enc.I64, Shape: []int64{1}}}}), "", false},
	} {
		ds, ok := b.Value(c.id).Dims()
		require.Equal(t, c.ok, ok)
		if ok {
			require.Equal(t, c.want, dim.Shape(ds).String())
		}
	}
	for _, e := range []enc.Elem{enc.F64, enc.F32, enc.F16, enc.BF16} {
		c, ok := b.Value(b.Float(e, -1.5)).Const()
		require.True(t, ok)
		require.Equal(t, "[-1.5]", literal(c))
	}
	require.NoError(t, b.Err())
	_, ok := (*Value)(nil).Const()
	require.False(t, ok)
	w := &Weight{Parts: []Part{{Source: "s"}, {}}}
	require.False(t, w.HasData())
	require.True(t, (&Weight{Parts: w.Parts[:1]}).HasData())
	require.True(t, (&Weight{Dims: []dim.Dim{n}}).HasData())
}

func TestTypes(t *testing.T) {
	for _, s := range []string{"f32[]", "f32[tiles,196,1152]", "f32[192,128] as(f16)", "i64[3]", "f32[n*2+1,(m+1)/2] affine(i4,scale=f16,axis=1,block=32,zero)"} {
		typ, err := ParseType(s)
		require.NoError(t, err)
		require.Equal(t, s, typ.String())
		back, err := ParseType(typ.String())
		require.NoError(t, err)
		require.True(t, typ.Equal(back))
	}
	for _, s := range []string{"", "f32", "f32[", "f32]", "x[1]", "f32[1,]", "f32[1] huh", "f32[a*b]", "f32[1][2]"} {
		_, err := ParseType(s)
		require.Error(t, err, s)
	}
	typ := Of(enc.F32, dim.Sym("n"), dim.Of(2))
	require.Equal(t, "f32[4,2]", typ.Subst(dim.Binding{"n": 4}).String())
	require.Equal(t, 2, typ.Rank())
	require.False(t, typ.Equal(OfInts(enc.F32, 4, 2)))
}
