package graph

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/stretchr/testify/require"
)

func roundTripText(t testing.TB, g *Graph) {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, Print(&b, g))
	back, err := Parse(b.String(), fake{})
	require.NoError(t, err, "%s", b.String())
	require.Empty(t, diff(g, back), "%s", b.String())
	require.Equal(t, b.String(), back.String())
}

func TestTextRoundTrip(t *testing.T) {
	roundTripText(t, sample(t))
	for seed := range int64(200) {
		roundTripText(t, random(t, seed))
	}
}

// The committed text of the sample keeps the form from changing unnoticed.
func TestTextGolden(t *testing.T) {
	want, err := os.ReadFile("testdata/sample.txt")
	require.NoError(t, err)
	require.Equal(t, string(want), sample(t).String())
}

func TestParseLenient(t *testing.T) {
	g, err := Parse("\n# about\r\ngraph \"g\" v1 # a comment\n\t input   %x : f32[ 2 , 3 ]\n%\"y y\"=Add@14( %x,%x ):f32[2,3]\noutput \"o\"=%\"y y\"", fake{})
	require.NoError(t, err)
	require.Equal(t, "graph \"g\" v1\ninput %x: f32[2,3]\n%\"y y\" = Add@14(%x, %x): f32[2,3]\noutput \"o\" = %\"y y\"\n", g.String())
}

func TestParseErrors(t *testing.T) {
	head := "graph \"g\" v1\ninput %x: f32[2]\n"
	for _, c := range []struct{ in, want string }{
		{"", "line 1: the text does not begin"},
		{"\n\n", "line 2: the text does not begin"},
		{"input %x: f32[2]", "line 1: want graph"},
		{"%x = Add@14(): f32[]", "line 1: want graph"},
		{"graph \"g\" v2", "line 1: text version 2"},
		{head + "graph \"g\" v1", "line 3: want graph"},
		{head + "input %x: f32[2]", "line 3: the name %x is taken"},
		{head + "%y = Add@14(%x, %z): f32[2]", "line 3: %z is not defined above"},
		{head + "%y = Add@14(%x, %x): f32[2], f32[2]", "line 3: the node has more types"},
		{head + "%y, %z = Add@14(%x, %x): f32[2]", "line 3: the node has more outputs"},
		{head + "%y, %y = Like@1(%x): f32[2], f32[2]", "line 3: the name %y is taken"},
		{head + "%y = Add@14(%x, %x): f32[3]", "node #0 (Add): output 0 is f32[3]"},
		{head + "%y = Mul@14(%x, %x): f32[3]", "operator \"Mul\" is unknown"},
		{head + "%y = Add@14(%x, %x) {a = }: f32[2]", "line 3: attribute \"a\": enc: "},
		{head + "%y = Add@14(%x, %x) {a = []}: f32[2]", "line 3: attribute \"a\": an empty list"},
		{head + "%y = Add@14(%x, %x) {a = [1, 2.0]}: f32[2]", "line 3: attribute \"a\" mixes"},
		{head + "%y = Add@14(%x, %x) {a = 1, a = 2}: f32[2]", "attribute \"a\" has no name of its own"},
		{head + "%y = Add@14(%x, %x) {a = nan(1)}: f32[2]", "line 3: nan(...)"},
		{head + "%y = Add@14(%x, %x): f32[2] @\"n\" x", "line 3: unexpected \"x\""},
		{head + "const %c: i64[3] = [1, 2]", "holds 16 bytes, needs 24"},
		{head + "const %c: i8[1] = [128]", "line 3: \"128\" is not a number of type i8"},
		{head + "const %c: i8[n] = [1]", "line 3: a const needs"},
		{head + "const %c: i8[4000000000000000000] = base64\"AA==\"", "have no size"},
		{head + "const %c: i8[1] = base64\"AB==\"", "line 3: illegal base64"},
		{head + "weight %c: i8[1] = \"s\"[0] i8[1]", "source \"s\" is not declared"},
		{head + "weight %c: i8[1] = somewhere i8[1]", "line 3: want a source"},
		{head + "weight %c: i8[2] = none i8[1] slice[0:2]", "is not inside"},
		{head + "weight %c: i8[1] = none i8[1] perm [99]", "line 3: 99 is not a dimension"},
		{head + "dims %d: i64[1] = [n]", "symbol \"n\" is not declared"},
		{head + "dims %d: i64[1] = [n*n]", "line 3: dim: "},
		{head + "symbol n 5..4", "bounds 5..4"},
		{head + "output \"o\" = %q", "line 3: %q is not defined above"},
		{head + "state %s: f32[1]", "is a state that the state list lacks"},
		{head + "input %y: f32[" + strings.Repeat("1,", MaxRank) + "1]", "line 3: graph: type"},
		{head + "input %y: f33[1]", "line 3: graph: type"},
		{head + "input %y: f32[1", "line 3: want a type"},
		{head + "input %\"y: f32[1]", "line 3: the string that begins with"},
		{head + "input %" + strings.Repeat("y", maxName+1) + ": f32[1]", "has 4097 bytes"},
		{head + "hello", "line 3: unknown statement \"hello\""},
	} {
		_, err := Parse(c.in, fake{})
		require.ErrorIs(t, err, ErrInvalid, c.in)
		require.ErrorContains(t, err, c.want, c.in)
	}
	var se *SyntaxError
	_, err := Parse(head+"?", fake{})
	require.True(t, errors.As(err, &se))
	require.Equal(t, 3, se.Line)
}

// A malformed graph still prints for people, and Print says what is wrong.
func TestPrintMalformed(t *testing.T) {
	g := &Graph{Name: "bad", Values: []Value{{Name: "x", Kind: Const}, {Name: "y", Kind: 77}, {Name: "z"}},
		Nodes: []Node{{In: []ValueID{9}, Out: []ValueID{2}, Attrs: Attrs{{Name: "a"}, {Name: "t", Kind: AttrTensor}}}}}
	require.Contains(t, g.String(), "# constant \"x\" has no data")
	require.ErrorIs(t, Print(&bytes.Buffer{}, g), ErrInvalid)
	require.ErrorContains(t, Print(&bytes.Buffer{}, g), `graph "bad"`)
}

func FuzzParse(f *testing.F) {
	f.Add(sample(f).String())
	for seed := range int64(5) {
		f.Add(random(f, seed).String())
	}
	f.Add("graph \"g\" v1\nweight %w: f32[3] = [1, 2] f32[2] ++ none f32[5] slice[1:2] axis 0 perm [0]\n")
	f.Fuzz(func(t *testing.T, text string) {
		g, err := Parse(text, fake{})
		if err != nil {
			return
		}
		printed := g.String()
		back, err := Parse(printed, fake{})
		if err != nil {
			t.Fatalf("%v\n%s", err, printed)
		}
		if d := diff(g, back); d != "" {
			t.Fatalf("%s\n%s", d, printed)
		}
		if again := back.String(); again != printed {
			t.Fatalf("%s\nprints again as\n%s", printed, again)
		}
	})
}

func ExamplePrint() {
	b := NewBuilder("double", fake{})
	n := b.Symbol(dim.Symbol{Name: "n", Min: 1, Max: 512})
	x := b.Input("x", Of(enc.F32, n, dim.Of(64)))
	b.Scope("layer.0")
	b.Output("twice", b.Op("Add", []ValueID{x, x}))
	g, err := b.Build()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(g)
	// Output:
	// graph "double" v1
	// symbol n 1..512
	// input %x: f32[n,64]
	// %v0 = Add@14(%x, %x): f32[n,64] @"layer.0"
	// output "twice" = %v0
}
