package pb

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"
)

// sample uses every field that is both read and written.
func sample() *Model {
	tensor := Tensor{Dims: []int64{2, 1}, DataType: 1, Floats: []float32{1, float32(math.Inf(-1))}, Name: "t"}
	nodes := []Node{{
		Inputs: []string{"a", "", "c"}, Outputs: []string{"", "y"}, Name: "n", OpType: "Op", Domain: "d", Overload: "o",
		Attrs: []Attribute{
			{Name: "f", Type: AttrFloat, Float: -0.5},
			{Name: "i", Type: AttrInt, Int: math.MinInt64},
			{Name: "s", Type: AttrString, Str: []byte("x\xff")},
			{Name: "t", Type: AttrTensor, Tensor: &tensor},
			{Name: "g", Type: AttrGraph, Graph: &Graph{Name: "inner"}},
			{Name: "fs", Type: AttrFloats, Floats: []float32{1, 2}},
			{Name: "is", Type: AttrInts, Ints: []int64{-1, 0, 1 << 40}},
			{Name: "ss", Type: AttrStrings, Strings: [][]byte{[]byte("a"), {}}},
			{Name: "r", Type: AttrInt, Ref: "outer"},
		},
	}}
	return &Model{
		IRVersion: 10, ProducerName: "p", ProducerVersion: "1", Domain: "org",
		Opsets:   []Opset{{"", 23}, {"d", 1}},
		Metadata: []Entry{{"k", "v"}, {"empty", ""}},
		Graph: &Graph{
			Name:  "g",
			Nodes: nodes,
			Initializers: []Tensor{
				tensor,
				{Dims: []int64{3}, DataType: 7, Int64s: []int64{-1, 2, 3}, Name: "i64"},
				{Dims: []int64{1}, DataType: 6, Int32s: []int32{-7}, Name: "i32"},
				{DataType: 11, Doubles: []float64{2.5}, Name: "f64"},
				{DataType: 13, Uint64s: []uint64{math.MaxUint64}, Name: "u64"},
				{DataType: 8, Strings: [][]byte{[]byte("s")}, Name: "str"},
				{Dims: []int64{9}, DataType: 2, Name: "far", IsExtern: true, External: []Entry{{"location", "w.bin"}}},
			},
			Inputs: []ValueInfo{
				{Name: "a", HasType: true, ElemType: 1, HasShape: true, Shape: []Dimension{{Value: 2, HasValue: true}, {Param: "n"}, {}}},
				{Name: "rankless", HasType: true, ElemType: 1},
			},
			Outputs:   []ValueInfo{{Name: "y"}},
			ValueInfo: []ValueInfo{{Name: "v", HasType: true, ElemType: 7, HasShape: true}},
		},
		Functions: []Function{{
			Name: "F", Inputs: []string{"a"}, Outputs: []string{"b"}, Attrs: []string{"alpha"}, Nodes: nodes,
			Opsets: []Opset{{"", 20}}, Domain: "d", AttrDefaults: []Attribute{{Name: "x", Type: AttrInt, Int: 1}}, Overload: "o",
		}},
	}
}

func write(t testing.TB, m *Model) []byte {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, Write(&b, m))
	return b.Bytes()
}

func TestRoundTrip(t *testing.T) {
	b := write(t, sample())
	m, err := Decode(b)
	require.NoError(t, err)
	require.Equal(t, sample(), m)
	require.Equal(t, b, write(t, m))
}

func TestRawDataIsPlacedInTheFile(t *testing.T) {
	raw := []byte{1, 2, 3, 4, 5}
	m := sample()
	m.Graph.Initializers = []Tensor{
		{Name: "a", Dims: []int64{5}, DataType: 2, Raw: raw},
		{Name: "b", Dims: []int64{3}, DataType: 2, Content: &Content{Size: 3, Write: func(w io.Writer) error {
			_, err := w.Write([]byte{7, 8, 9})
			return err
		}}},
		{Name: "c", Dims: []int64{0}, DataType: 2, Raw: []byte{}},
	}
	b := write(t, m)
	got, err := Decode(b)
	require.NoError(t, err)
	for i, want := range [][]byte{raw, {7, 8, 9}, {}} {
		x := got.Graph.Initializers[i]
		require.Equal(t, want, x.Raw)
		require.Equal(t, want, b[x.Offset:][:len(want)])
	}
	m.Graph.Initializers[1].Content.Size = 4
	require.ErrorContains(t, Write(io.Discard, m), "gave 3 bytes, its size is 4")
}

// Fields of numbers may be packed or not, whatever the schema says.
func TestPackedAndUnpacked(t *testing.T) {
	var b []byte
	for _, d := range []uint64{2, 3} {
		b = protowire.AppendVarint(protowire.AppendTag(b, 1, protowire.VarintType), d)
	}
	b = protowire.AppendVarint(protowire.AppendTag(b, 2, protowire.VarintType), 1)
	for range 6 {
		b = protowire.AppendFixed32(protowire.AppendTag(b, 4, protowire.Fixed32Type), math.Float32bits(1.5))
	}
	x, err := DecodeTensor(b)
	require.NoError(t, err)
	require.Equal(t, []int64{2, 3}, x.Dims)
	require.Equal(t, []float32{1.5, 1.5, 1.5, 1.5, 1.5, 1.5}, x.Floats)
}

func TestMalformed(t *testing.T) {
	nested := []byte{}
	for range 200 { // GraphProto in AttributeProto in NodeProto in GraphProto ...
		for _, num := range []protowire.Number{6, 5, 1} {
			nested = protowire.AppendBytes(protowire.AppendTag(nil, num, protowire.BytesType), nested)
		}
	}
	deep := protowire.AppendBytes(protowire.AppendTag(nil, 7, protowire.BytesType), nested)
	many := bytes.Repeat(protowire.AppendBytes(protowire.AppendTag(nil, 8, protowire.BytesType), nil), maxMessages+1)
	for name, c := range map[string]struct {
		b    []byte
		want string
	}{
		"truncated":     {write(t, sample())[:100], "ModelProto field"},
		"long claim":    {protowire.AppendVarint(protowire.AppendTag(nil, 7, protowire.BytesType), 1<<40), "field 7 at byte 0"},
		"wrong type":    {protowire.AppendVarint(protowire.AppendTag(nil, 7, protowire.VarintType), 1), "wire type"},
		"deep":          {deep, "nest deeper"},
		"many messages": {many, "more than"},
		"no tag":        {[]byte{0xff}, "byte 0"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Decode(c.b)
			require.ErrorIs(t, err, ErrFormat)
			require.ErrorContains(t, err, c.want)
		})
	}
}

// What is decoded is written such that it decodes to the same.
func FuzzDecode(f *testing.F) {
	f.Add(write(f, sample()))
	f.Add([]byte{})
	f.Add([]byte(strings.Repeat("\x0a\x00", 9)))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Decode(b)
		if err != nil {
			return
		}
		normal(m)
		first := write(t, m)
		n, err := Decode(first)
		require.NoError(t, err)
		normal(n)
		require.Equal(t, first, write(t, n))
	})
}

// normal drops what the writer cannot express because no valid file has it.
func normal(m *Model) {
	var nodes func([]Node)
	var graph func(*Graph)
	nodes = func(ns []Node) {
		for i := range ns {
			for k := range ns[i].Attrs {
				a := &ns[i].Attrs[k]
				if a.Tensor == nil && a.Type == AttrTensor || a.Graph == nil && a.Type == AttrGraph {
					a.Type = AttrUndefined
				}
				if a.Graph != nil {
					graph(a.Graph)
				}
			}
		}
	}
	graph = func(g *Graph) { nodes(g.Nodes) }
	if m.Graph != nil {
		graph(m.Graph)
	}
	for i := range m.Functions {
		nodes(m.Functions[i].Nodes)
		for k := range m.Functions[i].AttrDefaults {
			nodes([]Node{{Attrs: m.Functions[i].AttrDefaults[k : k+1]}})
		}
	}
}

func ExampleDecode() {
	var b bytes.Buffer
	if err := Write(&b, &Model{IRVersion: 10, Graph: &Graph{Name: "main", Nodes: []Node{{OpType: "Relu", Inputs: []string{"x"}, Outputs: []string{"y"}}}}}); err != nil {
		panic(err)
	}
	m, err := Decode(b.Bytes())
	fmt.Println(m.Graph.Name, m.Graph.Nodes[0].OpType, err)
	// Output: main Relu <nil>
}
