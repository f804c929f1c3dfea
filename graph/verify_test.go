package graph

import (
	"errors"
	"strings"
	"testing"

	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/stretchr/testify/require"
)

func TestVerifyRefuses(t *testing.T) {
	long := strings.Repeat("x", maxName+1)
	value := func(g *Graph, name string) *Value {
		for i := range g.Values {
			if g.Values[i].Name == name {
				return &g.Values[i]
			}
		}
		t.Fatalf("no value %q", name)
		return nil
	}
	for _, c := range []struct {
		want string
		f    func(g *Graph)
	}{
		{"the name of the graph", func(g *Graph) { g.Name = long }},
		{"300 symbols", func(g *Graph) { g.Symbols = make([]dim.Symbol, 300) }},
		{"declared twice", func(g *Graph) { g.Symbols[1] = g.Symbols[0] }},
		{`symbol "past" is not declared`, func(g *Graph) { g.Symbols = g.Symbols[:1] }},
		{"bucket", func(g *Graph) { g.Symbols[0].Buckets = []int64{4, 1} }},
		{"source", func(g *Graph) { g.Sources[1].Name = g.Sources[0].Name }},
		{"source", func(g *Graph) { g.Sources[0].Size = -1 }},
		{"5000 sources", func(g *Graph) { g.Sources = make([]Source, 5000) }},
		{"the name is empty or taken", func(g *Graph) { g.Values[1].Name = "pixels" }},
		{"the name is empty or taken", func(g *Graph) { g.Values[1].Name = "" }},
		{"the name of a value", func(g *Graph) { g.Values[1].Name = long }},
		{"unknown kind 9", func(g *Graph) { g.Values[1].Kind = 9 }},
		{"is an input that the input list lacks", func(g *Graph) { g.Inputs = g.Inputs[:1] }},
		{"ascending order", func(g *Graph) { g.Inputs[0], g.Inputs[1] = g.Inputs[1], g.Inputs[0] }},
		{"ascending order", func(g *Graph) { g.Inputs[1] = g.Inputs[0] }},
		{"not an input", func(g *Graph) { g.Inputs[0] = 99999 }},
		{"an input cannot have encoding", func(g *Graph) { value(g, "pixels").Type.Enc = enc.PerTensor(enc.I8) }},
		{"an input has neither data nor a node", func(g *Graph) { value(g, "pixels").Def = 0 }},
		{"rank 17", func(g *Graph) { value(g, "planned").Type.Shape = make(dim.Shape, 17) }},
		{"is negative", func(g *Graph) { value(g, "möre-ids").Type.Shape[0] = dim.Of(-1) }},
		{"element type invalid", func(g *Graph) { value(g, "möre-ids").Type.Elem = enc.Invalid }},
		{"too complex", func(g *Graph) { value(g, "pixels").Type.Shape[1] = deep() }},
		{"a constant needs data", func(g *Graph) { value(g, "planned").Data = nil }},
		{"has no parts", func(g *Graph) { value(g, "planned").Data.Parts = nil }},
		{"axis 99", func(g *Graph) { value(g, "planned").Data.Axis = 99 }},
		{"cannot be joined along axis 2", func(g *Graph) { value(g, "patch.w").Data.Axis = 2 }},
		{"differ outside of axis 0", func(g *Graph) { value(g, "patch.w").Data.Parts[0].Shape[1] = 65 }},
		{"is not a permutation", func(g *Graph) { value(g, "patch.w").Data.Perm = []int{1, 1} }},
		{"its parts have shape", func(g *Graph) { value(g, "patch.w").Data.Perm = nil }},
		{"is not inside", func(g *Graph) { value(g, "patch.w").Data.Parts[1].Start[0] = 129 }},
		{"a start and a size", func(g *Graph) { value(g, "patch.w").Data.Parts[1].Start = nil }},
		{"are not inside source", func(g *Graph) { value(g, "patch.w").Data.Parts[0].Offset = 1 << 20 }},
		{"are not inside source", func(g *Graph) { value(g, "patch.w").Data.Parts[0].Offset = -1 }},
		{"is not declared", func(g *Graph) { value(g, "patch.w").Data.Parts[0].Source = "elsewhere" }},
		{"both a source and bytes", func(g *Graph) { value(g, "patch.w").Data.Parts[0].Inline = []byte{} }},
		{"an offset but no source", func(g *Graph) { value(g, "planned").Data.Parts[0].ZeroOffset = 1 }},
		{"holds 1 bytes, needs 32", func(g *Graph) { value(g, "planned").Data.Parts[0].Inline = []byte{0} }},
		{"cannot be read as", func(g *Graph) { value(g, "mixed").Data.Parts[0].Elem = enc.I8 }},
		{"not as(...)", func(g *Graph) { value(g, "planned").Data.Parts[0].Enc = enc.As(enc.F16) }},
		{"constant shape", func(g *Graph) { value(g, "planned").Type.Shape[0] = dim.Sym("tiles") }},
		{"symbolic integers have no parts", func(g *Graph) { value(g, "n").Data.Axis = 1 }},
		{"1 symbolic integers cannot have type", func(g *Graph) { value(g, "n").Type.Elem = enc.I32 }},
		{`symbol "q" is not declared`, func(g *Graph) { value(g, "n").Data.Dims[0] = dim.Sym("q") }},
		{"cannot be an operator", func(g *Graph) { g.Nodes[0].Op.Name = "a b" }},
		{"cannot be an operator", func(g *Graph) { g.Nodes[0].Op.Name = "a.b" }},
		{"cannot be an operator", func(g *Graph) { g.Nodes[0].Op.Domain = "a(b" }},
		{"cannot be an operator", func(g *Graph) { g.Nodes[0].Op.Version = -1 }},
		{"unknown", func(g *Graph) { g.Nodes[0].Op.Name = "Unheard" }},
		{"the name of the node", func(g *Graph) { g.Nodes[0].Name = long }},
		{"does not exist", func(g *Graph) { g.Nodes[0].In[0] = 9999 }},
		{"does not exist", func(g *Graph) { g.Nodes[0].In[0] = -2 }},
		{"is made later", func(g *Graph) { g.Nodes[0].In[0] = g.Nodes[1].Out[1] }},
		{"ends with an omitted input", func(g *Graph) { g.Nodes[0].In = append(g.Nodes[0].In, NoValue) }},
		{"ends with an output", func(g *Graph) { g.Nodes[0].Out = append(g.Nodes[0].Out, NoValue) }},
		{"has no output", func(g *Graph) { g.Nodes[0].Out = nil }},
		{"not a result of this node alone", func(g *Graph) { g.Nodes[1].Out[1] = g.Nodes[0].Out[0] }},
		{"not a result of this node alone", func(g *Graph) { g.Values[g.Nodes[0].Out[0]].Def = 1 }},
		{"numbered in the order", func(g *Graph) { o := g.Nodes[1].Out; o[1], o[2] = o[2], o[1] }},
		{"no node makes it", func(g *Graph) { g.Values = append(g.Values, Value{Name: "stray", Type: OfInts(enc.F32)}) }},
		{"a result has no data", func(g *Graph) { g.Values[g.Nodes[0].Out[0]].Data = &Weight{} }},
		{"output 0 is", func(g *Graph) { g.Values[g.Nodes[0].Out[0]].Type.Elem = enc.F16 }},
		{"no name of its own", func(g *Graph) { a := g.Nodes[1].Attrs; a[0], a[1] = a[1], a[0] }},
		{"no name of its own", func(g *Graph) { g.Nodes[1].Attrs[1].Name = g.Nodes[1].Attrs[0].Name }},
		{"invalid element type", func(g *Graph) { g.Nodes[1].Attrs[0].Elem = 99 }},
		{"of another kind", func(g *Graph) { g.Nodes[1].Attrs[0].Str = "x" }},
		{"unknown kind 0", func(g *Graph) { g.Nodes[1].Attrs[0].Kind = 0 }},
		{"needs 16 bytes, has 3", func(g *Graph) {
			g.Nodes[1].Attrs = Attrs{{Name: "t", Kind: AttrTensor, Tensor: &Tensor{Elem: enc.I64, Shape: []int64{2}, Data: make([]byte, 3)}}}
		}},
		{"has no tensor", func(g *Graph) { g.Nodes[1].Attrs = Attrs{{Name: "t", Kind: AttrTensor}} }},
		{`output "gone" has no value`, func(g *Graph) { g.Outputs[0] = Port{"gone", NoValue} }},
		{"a name that is taken", func(g *Graph) { g.Outputs[0].Name = g.Outputs[1].Name }},
		{"the name of an output", func(g *Graph) { g.Outputs[0].Name = long }},
		{"a state that the state list lacks", func(g *Graph) { g.States = g.States[:1] }},
		{"no name of its own", func(g *Graph) { g.States[1].Name = g.States[0].Name }},
		{"the name of a state", func(g *Graph) { g.States[1].Name = long }},
		{"no name of its own", func(g *Graph) { g.States[1].In = 9999 }},
		{"no name of its own", func(g *Graph) { g.States[1].In = 0 }},
		{"changes its type", func(g *Graph) { g.States[1].Out = g.States[0].Out }},
		{"also used elsewhere", func(g *Graph) { g.States[0].Out = g.States[0].In }},
		{"also used elsewhere", func(g *Graph) { g.Outputs = append(g.Outputs, Port{"cache", g.States[0].In}) }},
	} {
		g := sample(t)
		c.f(g)
		err := Verify(g, fake{})
		require.ErrorIs(t, err, ErrInvalid)
		require.ErrorContains(t, err, c.want)
		require.Contains(t, err.Error(), "graph \"")
		require.Less(t, len(err.Error()), 2*maxName+500)
	}
}

// deep returns a dimension whose text form is too long to read back.
func deep() dim.Dim {
	d := dim.Sym("tiles")
	for i := range int64(60) {
		d = d.Add(dim.Sym("tiles").MulInt(3).AddInt(i).Div(1000003 + i))
	}
	return d
}

// Errors say where: node with label and operator, value by name.
func TestVerifyNames(t *testing.T) {
	g := sample(t)
	g.Nodes[0].In[0] = 9999
	var e *Error
	require.True(t, errors.As(Verify(g, fake{}), &e))
	require.Equal(t, "layer.3.\"mlp\"", e.Node)
	require.Equal(t, "Add", e.Op)
	g = sample(t)
	g.Nodes[1].In[0] = 9999
	require.ErrorContains(t, Verify(g, fake{}), "node #1 (Like)")
}

// A graph with any one field changed either is refused, or is another valid
// graph, for which everything holds that holds for graphs.
func TestVerifyChanged(t *testing.T) {
	g := sample(t)
	valid := 0
	for _, h := range changed(t, g) {
		if Verify(h, fake{}) == nil {
			roundTripText(t, h)
			roundTripBinary(t, h)
			valid++
		}
	}
	require.Greater(t, valid, 50)
}

// A hostile graph must not take quadratic time.
func TestVerifyLarge(t *testing.T) {
	b := NewBuilder("large", fake{})
	x := b.Input("x", OfInts(enc.F32, 1))
	for i := range 20000 {
		b.Source(Source{Name: "s" + strings.Repeat("x", i%7) + string(rune('a'+i%26))})
		b.Weight("", OfInts(enc.F32, 1), &Weight{Parts: []Part{{Source: "sa", Elem: enc.F32, Shape: []int64{1}}}})
	}
	many := make([]bool, 20000)
	for i := range many {
		many[i] = true
	}
	b.Ops("Like", []ValueID{x}, many)
	b.Output("y", x)
	_, err := b.Build()
	require.NoError(t, err)
}
