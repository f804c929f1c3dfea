package plugin_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/ops"
)

// dumper builds testdata/dump.c.
func dumper(t *testing.T) func(blob []byte) (string, error) {
	t.Helper()
	cc, dir := compiler(t), t.TempDir()
	program, file := filepath.Join(dir, "dump"), filepath.Join(dir, "graph")
	out, err := exec.Command(cc, "-std=gnu99", "-Wall", "-Wextra", "-Werror", "-Iinclude", "-o", program, "testdata/dump.c").CombinedOutput()
	require.NoError(t, err, "%s", out)
	return func(blob []byte) (string, error) {
		require.NoError(t, os.WriteFile(file, blob, 0o600))
		out, err := exec.Command(program, file).Output()
		return string(out), err
	}
}

// The accessors of the C header read what Go wrote, every field of it.
func TestAccessorsReadAll(t *testing.T) {
	dump := dumper(t)
	g := rich(t)
	blob, err := graph.Marshal(g)
	require.NoError(t, err)
	got, err := dump(blob)
	require.NoError(t, err, got)
	require.Equal(t, described(g), got)

	// Records that a later version has made longer are stepped over.
	got, err = dump(lengthened(blob))
	require.NoError(t, err, got)
	require.Equal(t, described(g), got)

	for n := range len(blob) / 64 {
		_, err := dump(blob[:64*n])
		require.Error(t, err, "%d bytes", 64*n)
	}
}

// rich has something of everything. Its operators have attributes that they do
// not know, which nobody checks here.
func rich(t *testing.T) *graph.Graph {
	t.Helper()
	b := graph.NewBuilder(`rich "graph"`, ops.Standard)
	n := b.Symbol(dim.Symbol{Name: "n", Min: 1, Max: 1 << 40, Buckets: []int64{1, 4}})
	b.Symbol(dim.Symbol{Name: "past", Max: 9})
	b.Source(graph.Source{Name: "a.safetensors", Size: 1 << 20, ID: "sha256:ab"})
	b.Source(graph.Source{Name: "b.gguf"})
	x := b.Input("pixels", graph.Of(enc.F32, n.MulInt(2), dim.Sym("past").AddInt(3), dim.Of(4)))
	b.Input("möre", graph.OfInts(enc.I64))
	w := graph.OfInts(enc.F32, 64, 192)
	w.Enc = enc.As(enc.BF16)
	b.Weight("joined", w, &graph.Weight{Perm: []int{1, 0}, Parts: []graph.Part{
		{Source: "a.safetensors", Offset: 4096, Elem: enc.BF16, Shape: []int64{64, 64}},
		{Source: "b.gguf", Offset: 6, Elem: enc.BF16, Shape: []int64{256, 80}, Start: []int64{8, 16}, Size: []int64{128, 64}},
	}})
	codes := graph.OfInts(enc.F32, 64, 64)
	codes.Enc = enc.Encoding{Kind: enc.Affine, Store: enc.U4, Scale: enc.BF16, Axis: 1, BlockLen: 32, HasZero: true}
	b.Weight("codes", codes, &graph.Weight{Parts: []graph.Part{{Source: "b.gguf", ScaleOffset: 9000, ZeroOffset: 99999, Elem: enc.F32, Shape: []int64{64, 64}, Enc: codes.Enc}}})
	blocks := graph.OfInts(enc.F32, 2, 64)
	blocks.Enc = enc.GGUF(enc.Q8_0, 1)
	b.Weight("blocks", blocks, &graph.Weight{Parts: []graph.Part{{Inline: make([]byte, 4*34), Elem: enc.F32, Shape: []int64{2, 64}, Enc: blocks.Enc}}})
	b.Weight("planned", graph.OfInts(enc.F32, 8), &graph.Weight{Parts: []graph.Part{{Elem: enc.F32, Shape: []int64{8}}}})
	b.Weight("sums", graph.OfInts(enc.I64, 2), &graph.Weight{Dims: []dim.Dim{n.MulInt(196), dim.Of(-1)}})
	b.Weight("none", graph.OfInts(enc.I64, 0), &graph.Weight{Dims: []dim.Dim{}})
	b.Weight("scalar", graph.OfInts(enc.F32), &graph.Weight{Perm: []int{}, Parts: []graph.Part{{Inline: make([]byte, 4), Elem: enc.F32, Shape: []int64{}, Start: []int64{}, Size: []int64{}}}})
	b.Const("nibbles", &graph.Tensor{Elem: enc.I4, Shape: []int64{3}, Data: []byte{0x7f, 0x08}})
	state := graph.OfInts(enc.F32, 1, 2, 8, 16)
	state.Enc = enc.Blocked(enc.I8, 3, 16)
	s := b.State("cache", state)
	b.SetState("cache", b.Op("TensorScatter", ids{s, b.Input("rows", graph.OfInts(enc.F32, 1, 2, 3, 16))}))
	b.State("read", graph.OfInts(enc.F16, 2))
	b.Scope("layer.3")
	y := b.Op("Clip", ids{x, graph.NoValue, b.Float(enc.F32, 0.1)})
	parts := b.Ops("LayerNormalization", ids{y, b.Float(enc.F32, 2)}, []bool{true, false, true})
	require.NoError(t, b.Err())
	b.Output("out", parts[0])
	b.Output("again", parts[0])
	b.Output("in", x)
	g, err := b.Build()
	require.NoError(t, err)
	g.Nodes[1].Attrs = graph.Attrs{
		graph.Elem("e", enc.BF16), graph.Float("f", 3), graph.Float("f.inf", float32(math.Inf(-1))), graph.Floats("fs", 1, -0.5), graph.Floats("fs.none"),
		graph.Int("i", math.MinInt64), graph.Ints("is", 1, -2), graph.Str("s", "line\nbreak"), graph.Str("s.none", ""), graph.Strings("ss", "a,b", "", "]"),
		graph.TensorAttr("t", &graph.Tensor{Elem: enc.U4, Shape: []int64{3}, Data: []byte{1, 2}}), graph.TensorAttr("t.scalar", graph.F32(nil, 0.5)),
	}
	return g
}

// described is what dump.c prints.
func described(g *graph.Graph) string {
	var b strings.Builder
	str := func(name, s string) { fmt.Fprintf(&b, " %s=<%s>", name, s) }
	line := func(what, name string) { fmt.Fprintf(&b, "%s name=<%s>", what, name) }
	ints := func(name string, ns []int64) {
		fmt.Fprintf(&b, " %s=[", name)
		for _, n := range ns {
			fmt.Fprintf(&b, "%d ", n)
		}
		b.WriteString("]")
	}
	dims := func(name string, ds []dim.Dim) {
		fmt.Fprintf(&b, " %s=[", name)
		for _, d := range ds {
			if n, ok := d.Const(); ok {
				fmt.Fprintf(&b, "%d<> ", n)
			} else {
				fmt.Fprintf(&b, "-1<%s> ", d)
			}
		}
		b.WriteString("]")
	}
	typ := func(e enc.Elem, c enc.Encoding) {
		zero := 0
		if c.HasZero {
			zero = 1
		}
		fmt.Fprintf(&b, " %s kind=%d store=%d scale=%d format=%d zero=%d axis=%d block=%d", e, c.Kind, c.Store, c.Scale, c.Format, zero, c.Axis, c.BlockLen)
	}
	line("graph", g.Name)
	b.WriteString("\n")
	for _, s := range g.Symbols {
		line("symbol", s.Name)
		fmt.Fprintf(&b, " %d..%d", s.Min, s.Max)
		ints("buckets", s.Buckets)
		b.WriteString("\n")
	}
	for _, s := range g.Sources {
		line("source", s.Name)
		str("id", s.ID)
		fmt.Fprintf(&b, " %d\n", s.Size)
	}
	for i := range g.Values {
		v := &g.Values[i]
		line("value", v.Name)
		typ(v.Type.Elem, v.Type.Enc)
		dims("shape", v.Type.Shape)
		w := graph.Weight{}
		if v.Data != nil {
			w = *v.Data
		}
		fmt.Fprintf(&b, " value_kind=%d node=%d", v.Kind, v.Def)
		if w.Dims != nil {
			dims("dims", w.Dims)
		}
		if w.Perm != nil {
			perm := make([]int64, len(w.Perm))
			for i, a := range w.Perm {
				perm[i] = int64(a)
			}
			ints("perm", perm)
		}
		fmt.Fprintf(&b, " join=%d\n", w.Axis)
		for _, p := range w.Parts {
			b.WriteString("  part")
			typ(p.Elem, p.Enc)
			ints("shape", p.Shape)
			source := slices.IndexFunc(g.Sources, func(s graph.Source) bool { return s.Name == p.Source })
			fmt.Fprintf(&b, " source=%d at=%d,%d,%d", source, p.Offset, p.ScaleOffset, p.ZeroOffset)
			if p.Start != nil {
				ints("start", p.Start)
				ints("count", p.Size)
			}
			if p.Inline != nil {
				fmt.Fprintf(&b, " bytes=%x", p.Inline)
			}
			b.WriteString("\n")
		}
	}
	for i := range g.Nodes {
		n := &g.Nodes[i]
		b.WriteString("node")
		str("domain", n.Op.Domain)
		str("op", n.Op.Name)
		str("name", n.Name)
		fmt.Fprintf(&b, " version=%d in=[", n.Op.Version)
		for _, v := range n.In {
			fmt.Fprintf(&b, "%d ", v)
		}
		b.WriteString("] out=[")
		for _, v := range n.Out {
			fmt.Fprintf(&b, "%d ", v)
		}
		b.WriteString("]\n")
		for _, a := range n.Attrs {
			line("  attr", a.Name)
			fmt.Fprintf(&b, " kind=%d", a.Kind)
			switch a.Kind {
			case graph.AttrInt:
				fmt.Fprintf(&b, " %d", a.Int)
			case graph.AttrFloat:
				b.WriteString(" " + hex(a.Float))
			case graph.AttrString:
				str("str", a.Str)
			case graph.AttrInts:
				ints("ints", a.Ints)
			case graph.AttrFloats:
				for _, f := range a.Floats {
					b.WriteString(" " + hex(f))
				}
			case graph.AttrStrings:
				for _, s := range a.Strings {
					str("str", s)
				}
			case graph.AttrElem:
				fmt.Fprintf(&b, " %s", a.Elem)
			case graph.AttrTensor:
				typ(a.Tensor.Elem, enc.Encoding{})
				ints("shape", a.Tensor.Shape)
				fmt.Fprintf(&b, " bytes=%x", a.Tensor.Data)
			}
			b.WriteString("\n")
		}
	}
	for _, v := range g.Inputs {
		line("input", g.Values[v].Name)
		fmt.Fprintf(&b, " %d\n", v)
	}
	for _, p := range g.Outputs {
		line("output", p.Name)
		fmt.Fprintf(&b, " %d\n", p.Value)
	}
	for _, s := range g.States {
		line("state", s.Name)
		fmt.Fprintf(&b, " %d %d\n", s.In, s.Out)
	}
	return b.String()
}

// hex writes a float as C's %a does.
func hex(f float32) string {
	if math.IsInf(float64(f), 0) {
		return strings.TrimPrefix(strings.ToLower(strconv.FormatFloat(float64(f), 'g', -1, 32)), "+")
	}
	s := strconv.FormatFloat(float64(f), 'x', -1, 64)
	at := strings.IndexByte(s, 'p')
	exp, _ := strconv.Atoi(s[at+1:])
	return fmt.Sprintf("%sp%+d", s[:at], exp)
}

// lengthened is a binary form all of whose records, but single bytes, have 16
// bytes more at their end.
func lengthened(blob []byte) []byte {
	le := binary.LittleEndian
	n := int(le.Uint32(blob[12:]))
	out := slices.Clone(blob[:32+24*n])
	for i := range n {
		h := blob[32+24*i:]
		from, count, size := le.Uint64(h), le.Uint64(h[8:]), uint64(le.Uint32(h[16:]))
		out = append(out, make([]byte, -len(out)&15)...)
		at := out[32+24*i:]
		le.PutUint64(at, uint64(len(out)))
		if size > 1 {
			le.PutUint32(at[16:], uint32(size+16))
		}
		for k := range count {
			out = append(out, blob[from+k*size:from+(k+1)*size]...)
			if size > 1 {
				out = append(out, make([]byte, 16)...)
				for j := range 16 {
					out[len(out)-1-j] = 0xcc
				}
			}
		}
	}
	le.PutUint64(out[16:], uint64(len(out)))
	return out
}
