package plugin

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/ops"
	"github.com/heddle-ml/heddle/ops/oracle"
)

type inMemory map[string][]byte

func (m inMemory) Source(name string) ([]byte, error) {
	if b, ok := m[name]; ok {
		return b, nil
	}
	return nil, fmt.Errorf("no source %s", name)
}

// randomNumbers are n numbers of a type, some of them zero or large.
func randomNumbers(r *rand.Rand, n int, e enc.Elem) []byte {
	var b []byte
	for range n {
		x := r.NormFloat64() * math.Pow(2, float64(r.IntN(12)-8))
		if r.IntN(10) == 0 {
			x = 0
		}
		switch e {
		case enc.F64:
			b = binary.LittleEndian.AppendUint64(b, math.Float64bits(x))
		case enc.F32:
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(float32(x)))
		case enc.F16:
			b = binary.LittleEndian.AppendUint16(b, enc.F64ToF16(x))
		case enc.BF16:
			b = binary.LittleEndian.AppendUint16(b, enc.F64ToBF16(x))
		}
	}
	return b
}

// weightGraph is MatMul(x, w) with w as given, of shape [k, n].
func weightGraph(t *testing.T, ty graph.Type, w *graph.Weight) *graph.Graph {
	t.Helper()
	b := graph.NewBuilder("derived", ops.Standard)
	for _, p := range w.Parts {
		if p.Source != "" {
			b.Source(graph.Source{Name: p.Source, Size: 1 << 20})
		}
	}
	k, _ := ty.Shape[0].Const()
	x := b.Input("x", graph.OfInts(ty.Elem, 3, k))
	b.Output("y", b.Op("MatMul", []graph.ValueID{x, b.Weight("w", ty, w)}))
	g, err := b.Build()
	require.NoError(t, err)
	return g
}

// What a library is given stands for the numbers that the reference derives.
func TestDerivedWeights(t *testing.T) {
	affine := func(e enc.Encoding, scale enc.Elem, zero bool) enc.Encoding {
		e.Scale, e.HasZero = scale, zero
		return e
	}
	const k, n = 37, 10
	for _, tt := range []struct {
		stored, elem enc.Elem
		e            enc.Encoding
	}{
		{enc.F32, enc.F32, enc.PerTensor(enc.I8)},
		{enc.BF16, enc.F32, enc.PerChannel(enc.I8, 1)},
		{enc.F16, enc.F32, enc.PerChannel(enc.U8, 0)},
		{enc.F64, enc.F32, enc.PerChannel(enc.I16, 1)},
		{enc.F32, enc.F32, enc.Blocked(enc.I4, 0, 32)},
		{enc.F32, enc.F32, affine(enc.Blocked(enc.U4, 0, 8), enc.F16, true)},
		{enc.F32, enc.F32, affine(enc.Blocked(enc.I4, 1, 4), enc.BF16, true)},
		{enc.F32, enc.F16, affine(enc.PerChannel(enc.I4, 1), enc.F16, false)},
		{enc.F32, enc.F32, affine(enc.PerTensor(enc.U8), enc.F32, true)},
		{enc.F32, enc.F32, enc.As(enc.F16)},
		{enc.F32, enc.F32, enc.As(enc.BF16)},
		{enc.BF16, enc.F32, enc.Encoding{}},
		{enc.F32, enc.F16, enc.Encoding{}},
	} {
		t.Run(fmt.Sprintf("%s.%s.%s", tt.stored, tt.elem, tt.e), func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, 2))
			ty := graph.OfInts(tt.elem, k, n)
			ty.Enc = tt.e
			data := inMemory{"a": randomNumbers(r, k*n, tt.stored)}
			// Two parts, joined and transposed.
			w := &graph.Weight{Perm: []int{1, 0}, Parts: []graph.Part{
				{Source: "a", Elem: tt.stored, Shape: []int64{n, k}, Start: []int64{0, 0}, Size: []int64{4, k}},
				{Source: "a", Elem: tt.stored, Shape: []int64{n, k}, Start: []int64{4, 0}, Size: []int64{n - 4, k}},
			}}
			g := weightGraph(t, ty, w)
			f, err := newForm(g)
			require.NoError(t, err)
			require.NotNil(t, f.derived)
			require.NoError(t, graph.Verify(f.graph, ops.Standard))
			back, err := graph.Unmarshal(f.blob, ops.Standard)
			require.NoError(t, err)

			var file bytes.Buffer
			require.NoError(t, f.derived.write(&file, data))
			require.EqualValues(t, f.derived.size, file.Len())
			want, err := oracle.Weight(&g.Values[1], data, nil)
			require.NoError(t, err)
			all := inMemory{f.derived.source: file.Bytes()}
			require.NoError(t, usable(&back.Values[1]))
			got, err := oracle.Weight(&back.Values[1], all, nil)
			require.NoError(t, err)
			require.Equal(t, want.F, got.F)
			_, err = graph.ReadWeight(&back.Values[1], all)
			require.NoError(t, err, "it is derived no longer")
		})
	}
}

func TestNumbersThatAreNone(t *testing.T) {
	inf, nan := math.Inf(1), math.NaN()
	var b []byte
	for _, x := range []float64{nan, inf, -inf, 1} {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(float32(x)))
	}
	ty := graph.OfInts(enc.F32, 4, 1)
	ty.Enc = enc.PerTensor(enc.I8)
	g := weightGraph(t, ty, &graph.Weight{Parts: []graph.Part{{Source: "a", Elem: enc.F32, Shape: []int64{4, 1}}}})
	data, scale, _, err := encode(&g.Values[1], inMemory{"a": b})
	require.NoError(t, err)
	require.Len(t, data, 4)
	require.Len(t, scale, 4)
}

func TestNotDerivable(t *testing.T) {
	for name, tt := range map[string]struct {
		elem enc.Elem
		part graph.Part
		e    enc.Encoding
	}{
		"encoded already": {enc.F32, graph.Part{Elem: enc.F32, Shape: []int64{32, 32}, Enc: enc.GGUF(enc.Q4_0, 1)}, enc.PerTensor(enc.I8)},
		"to blocks":       {enc.F32, graph.Part{Elem: enc.F32, Shape: []int64{32, 32}}, enc.GGUF(enc.Q8_0, 0)},
		"wide codes":      {enc.F32, graph.Part{Elem: enc.F32, Shape: []int64{32, 32}}, enc.PerTensor(enc.I32)},
		"doubles":         {enc.F64, graph.Part{Elem: enc.F32, Shape: []int64{32, 32}}, enc.Encoding{}},
	} {
		v := &graph.Value{Name: "w", Kind: graph.Const, Type: graph.OfInts(tt.elem, 32, 32), Data: &graph.Weight{Parts: []graph.Part{tt.part}}}
		v.Type.Enc = tt.e
		require.ErrorIs(t, usable(v), errDerived, name)
	}
}

// Files of weights are told apart by what is in them and what is made of it.
func TestDerivedFilesAreShared(t *testing.T) {
	data := inMemory{"a": make([]byte, 4096), "b": make([]byte, 4096)}
	make1 := func(source string, e enc.Encoding) *form {
		ty := graph.OfInts(enc.F32, 16, 16)
		ty.Enc = e
		f, err := newForm(weightGraph(t, ty, &graph.Weight{Parts: []graph.Part{{Source: source, Elem: enc.F32, Shape: []int64{16, 16}}}}))
		require.NoError(t, err)
		return f
	}
	var s sources
	var releases []func()
	for i, f := range []*form{make1("a", enc.PerTensor(enc.I8)), make1("a", enc.PerTensor(enc.I8)), make1("b", enc.PerTensor(enc.I8)), make1("a", enc.PerTensor(enc.I4)), make1("a", enc.Encoding{})} {
		list, release, err := s.open(f, data)
		require.NoError(t, err)
		require.Len(t, list, 1)
		require.Len(t, s.files, []int{1, 1, 2, 3, 4}[i])
		releases = append(releases, release)
	}
	for _, r := range releases {
		r()
		r() // again
	}
	require.Empty(t, s.files)
}
