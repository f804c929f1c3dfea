package graph

import (
	"bytes"
	"errors"
	"math/rand"
	"slices"
	"testing"

	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/stretchr/testify/require"
)

type files map[string][]byte

func (f files) Source(name string) ([]byte, error) {
	if b, ok := f[name]; ok {
		return b, nil
	}
	return nil, errors.New("no such file")
}

// get returns unit i of a plane, whose units have the given bits.
func get(plane []byte, i int64, bits int) string {
	if bits == 4 {
		return string([]byte{plane[i/2] >> (i % 2 * 4) & 15})
	}
	n := int64(bits / 8)
	return string(plane[i*n : (i+1)*n])
}

func flat(shape, index []int64) int64 {
	n := int64(0)
	for i, d := range shape {
		n = n*d + index[i]
	}
	return n
}

// indices calls f for each index of a shape.
func indices(shape []int64, f func([]int64)) {
	if slices.Contains(shape, 0) {
		return
	}
	index := make([]int64, len(shape))
	for {
		f(index)
		a := len(shape) - 1
		for ; a >= 0; a-- {
			if index[a]++; index[a] < shape[a] {
				break
			}
			index[a] = 0
		}
		if a < 0 {
			return
		}
	}
}

// unit is where the number that belongs to an element lies in a plane.
type unit func(e enc.Encoding, shape, index []int64) int64

func dataUnit(e enc.Encoding, shape, index []int64) int64 {
	if e.Kind != enc.Block {
		return flat(shape, index)
	}
	n, _ := e.Format.BlockSize()
	move := func(xs []int64, last int64) []int64 {
		return append(slices.Delete(slices.Clone(xs), e.Axis, e.Axis+1), last)
	}
	return flat(move(shape, shape[e.Axis]/n), move(index, index[e.Axis]/n))
}

func scaleUnit(e enc.Encoding, shape, index []int64) int64 {
	switch {
	case e.Axis < 0:
		return 0
	case e.BlockLen == 0:
		return index[e.Axis]
	}
	b := int64(e.BlockLen)
	shape, index = slices.Clone(shape), slices.Clone(index)
	shape[e.Axis] = (shape[e.Axis] + b - 1) / b
	index[e.Axis] /= b
	return flat(shape, index)
}

// checkDense compares every element of what ReadWeight gives with the element
// of the part that it comes from, found one at a time.
func checkDense(t *testing.T, v *Value, data Data) *Planes {
	t.Helper()
	p, err := ReadWeight(v, data)
	require.NoError(t, err, "%s", v.Type)
	shape, _ := v.Type.Shape.Const()
	require.Equal(t, shape, p.Shape)
	e, w := v.Type.Enc, v.Data
	bits := e.Stored(v.Type.Elem).Bits()
	require.Equal(t, e.Stored(v.Type.Elem), p.Elem)
	if e.Kind == enc.Block {
		_, n := e.Format.BlockSize()
		bits = int(8 * n)
	}
	srcs := make([]*Planes, len(w.Parts))
	for i := range srcs {
		srcs[i], err = w.Parts[i].planes(data)
		require.NoError(t, err)
	}
	indices(shape, func(index []int64) {
		stored := slices.Clone(index)
		for i, a := range w.Perm {
			stored[a] = index[i]
		}
		k := 0
		for ; len(w.Parts) > 1 && stored[w.Axis] >= w.Parts[k].Box()[w.Axis]; k++ {
			stored[w.Axis] -= w.Parts[k].Box()[w.Axis]
		}
		part := &w.Parts[k]
		for a := range part.Start {
			stored[a] += part.Start[a]
		}
		src := srcs[k]
		check := func(what string, at unit, want, got []byte, bits int) {
			a := get(want, at(part.Enc, part.Shape, stored), bits)
			b := get(got, at(e, shape, index), bits)
			if a != b {
				t.Fatalf("%s: %s of element %v is %x, want %x", v.Type, what, index, b, a)
			}
		}
		check("data", dataUnit, src.Data, p.Data, bits)
		if e.Kind == enc.Affine {
			check("scale", scaleUnit, src.Scale, p.Scale, e.Scale.Bits())
			if e.HasZero {
				check("zero", scaleUnit, src.Zero, p.Zero, e.Store.Bits())
			}
		}
	})
	return p
}

func noise(seed int64, n int) []byte {
	b := make([]byte, n)
	rand.New(rand.NewSource(seed)).Read(b)
	return b
}

// weightOf returns the value that a weight makes, with its type worked out
// from the parts.
func weightOf(t *testing.T, elem enc.Elem, e enc.Encoding, w *Weight) *Value {
	shape, err := w.shape()
	require.NoError(t, err)
	if e.Kind != enc.Plain && e.Axis >= 0 && w.Perm != nil {
		e.Axis = slices.Index(w.Perm, e.Axis)
	}
	v := &Value{Name: "w", Kind: Const, Def: -1, Type: Type{Elem: elem, Shape: dim.Ofs(shape...), Enc: e}, Data: w}
	g := &Graph{Name: "g", Values: []Value{*v}, Sources: []Source{{Name: "f"}}}
	require.NoError(t, Verify(g, fake{}))
	return v
}

func TestReadWeightPlain(t *testing.T) {
	data := files{"f": noise(1, 1<<17)}
	perms := map[int][][]int{0: {nil}, 1: {nil}, 2: {nil, {1, 0}}, 3: {nil, {2, 1, 0}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}}, 4: {{0, 2, 1, 3}, {3, 0, 1, 2}, {2, 3, 0, 1}}}
	for _, e := range enc.Elems() {
		for _, shape := range [][]int64{{}, {1}, {0}, {7}, {3, 0}, {65, 70}, {1, 33}, {5, 3, 4}, {2, 1, 40}, {2, 3, 4, 5}} {
			for _, perm := range perms[len(shape)] {
				part := Part{Source: "f", Offset: 16, Elem: e, Shape: shape}
				w := &Weight{Parts: []Part{part}, Perm: perm}
				checkDense(t, weightOf(t, e, enc.Encoding{}, w), data)
				if len(shape) == 0 || slices.Contains(shape, 0) {
					continue
				}
				for axis := range shape {
					other := part
					other.Offset += 4096
					other.Shape = slices.Clone(shape)
					other.Shape[axis] += 5
					other.Start, other.Size = make([]int64, len(shape)), slices.Clone(shape)
					other.Start[axis], other.Size[axis] = 2, 3
					checkDense(t, weightOf(t, e, enc.Encoding{}, &Weight{Parts: []Part{other}, Perm: perm}), data)
					checkDense(t, weightOf(t, e, enc.Encoding{}, &Weight{Parts: []Part{part, other, part}, Axis: axis, Perm: perm}), data)
				}
			}
		}
	}
}

func TestReadWeightEncoded(t *testing.T) {
	data := files{"f": noise(2, 1<<17)}
	for _, e := range []enc.Encoding{
		enc.PerTensor(enc.I8), enc.PerChannel(enc.I8, 0), enc.PerChannel(enc.I4, 1), enc.Blocked(enc.I8, 1, 32), enc.Blocked(enc.I4, 0, 16), enc.Blocked(enc.U4, 1, 5),
		{Kind: enc.Affine, Store: enc.U8, Scale: enc.F16, Axis: 1, BlockLen: 32, HasZero: true}, {Kind: enc.Affine, Store: enc.U4, Scale: enc.BF16, Axis: 0, HasZero: true},
		{Kind: enc.Affine, Store: enc.I16, Scale: enc.F32, Axis: -1, HasZero: true},
		enc.GGUF(enc.Q4_0, 1), enc.GGUF(enc.Q8_0, 0), enc.GGUF(enc.Q6_K, 1),
	} {
		part := Part{Source: "f", Offset: 32, ScaleOffset: 80000, ZeroOffset: 120000, Elem: enc.F32, Shape: []int64{64, 512}, Enc: e}
		for _, perm := range [][]int{nil, {0, 1}, {1, 0}} {
			checkDense(t, weightOf(t, enc.F32, e, &Weight{Parts: []Part{part}, Perm: perm}), data)
			for axis := range 2 {
				a, b := part, part
				a.Start, a.Size = []int64{0, 0}, []int64{32, 256}
				b.Start, b.Size = []int64{32, 256}, []int64{32, 256}
				if e.BlockLen == 5 {
					a.Size, b.Start, b.Size = []int64{32, 255}, []int64{0, 255}, []int64{32, 255}
				}
				checkDense(t, weightOf(t, enc.F16, e, &Weight{Parts: []Part{b}, Perm: perm}), data)
				w := &Weight{Parts: []Part{a, b}, Axis: axis, Perm: perm}
				if e.Kind == enc.Affine && e.BlockLen == 0 && e.Axis >= 0 && e.Axis != axis {
					_, err := ReadWeight(weightOf(t, enc.F32, e, w), data)
					require.ErrorIs(t, err, ErrLayout, "%s", e)
					w.Parts[1].Start = slices.Clone(b.Start) // the same channels agree
					w.Parts[1].Start[e.Axis] = a.Start[e.Axis]
				}
				checkDense(t, weightOf(t, enc.F32, e, w), data)
			}
		}
		if e.Kind == enc.Block {
			// Rows of blocks in three dimensions, moved as a whole.
			part.Shape = []int64{3, 256, 5}
			part.Enc.Axis = 1
			for _, perm := range [][]int{{0, 1, 2}, {2, 0, 1}, {1, 2, 0}, {2, 1, 0}} {
				checkDense(t, weightOf(t, enc.F32, part.Enc, &Weight{Parts: []Part{part}, Perm: perm}), data)
				checkDense(t, weightOf(t, enc.F32, part.Enc, &Weight{Parts: []Part{part, part}, Axis: 2, Perm: perm}), data)
				checkDense(t, weightOf(t, enc.F32, part.Enc, &Weight{Parts: []Part{part, part}, Axis: 1, Perm: perm}), data)
			}
		}
	}
}

// Bytes that are in order already are not copied.
func TestReadWeightWithoutCopy(t *testing.T) {
	data := files{"f": noise(3, 1<<16)}
	at := func(b []byte, off int) bool { return &b[0] == &data["f"][off] }
	part := Part{Source: "f", Offset: 64, Elem: enc.F32, Shape: []int64{16, 8}}
	read := func(elem enc.Elem, e enc.Encoding, w *Weight) *Planes {
		return checkDense(t, weightOf(t, elem, e, w), data)
	}
	require.True(t, at(read(enc.F32, enc.Encoding{}, &Weight{Parts: []Part{part}}).Data, 64))
	require.True(t, at(read(enc.F32, enc.Encoding{}, &Weight{Parts: []Part{part}, Perm: []int{0, 1}}).Data, 64))
	rows := part
	rows.Start, rows.Size = []int64{4, 0}, []int64{3, 8}
	require.True(t, at(read(enc.F32, enc.Encoding{}, &Weight{Parts: []Part{rows}}).Data, 64+4*8*4))
	column := part
	column.Shape = []int64{1, 128}
	require.True(t, at(read(enc.F32, enc.Encoding{}, &Weight{Parts: []Part{column}, Perm: []int{1, 0}}).Data, 64))
	odd := part
	odd.Offset = 65
	require.False(t, at(read(enc.F32, enc.Encoding{}, &Weight{Parts: []Part{odd}}).Data, 65), "unaligned elements are copied")
	half := part
	half.Elem = enc.F16
	require.True(t, at(read(enc.F32, enc.As(enc.F16), &Weight{Parts: []Part{half}}).Data, 64))
	blocks := Part{Source: "f", Offset: 64, Elem: enc.F32, Shape: []int64{8, 64}, Enc: enc.GGUF(enc.Q4_0, 1)}
	require.True(t, at(read(enc.F32, enc.GGUF(enc.Q4_0, 1), &Weight{Parts: []Part{blocks}, Perm: []int{1, 0}}).Data, 64), "rows of [N,K] are columns of [K,N]")
	nibbles := Part{Source: "f", Offset: 3, Elem: enc.I4, Shape: []int64{4, 3}}
	require.True(t, at(read(enc.I4, enc.Encoding{}, &Weight{Parts: []Part{nibbles}}).Data, 3))
	nibbles.Start, nibbles.Size = []int64{1, 0}, []int64{1, 3}
	require.False(t, at(read(enc.I4, enc.Encoding{}, &Weight{Parts: []Part{nibbles}}).Data, 3))
}

func TestReadWeightInline(t *testing.T) {
	e := enc.Encoding{Kind: enc.Affine, Store: enc.U4, Scale: enc.F16, Axis: 1, BlockLen: 2, HasZero: true}
	l, err := e.Layout(enc.F32, []int64{3, 5})
	require.NoError(t, err)
	part := Part{Elem: enc.F32, Shape: []int64{3, 5}, Enc: e, Inline: noise(4, int(l.Total()))}
	p := checkDense(t, weightOf(t, enc.F32, e, &Weight{Parts: []Part{part}}), nil)
	require.Equal(t, part.Inline, bytes.Join([][]byte{p.Data, p.Scale, p.Zero}, nil))
	checkDense(t, weightOf(t, enc.F32, e, &Weight{Parts: []Part{part}, Perm: []int{1, 0}}), nil)
	_, ok := p.Tensor()
	require.False(t, ok)

	g := sample(t)
	for i := range g.Values {
		v := &g.Values[i]
		want, ok := v.Const()
		if !ok {
			continue
		}
		p, err := ReadWeight(v, nil)
		require.NoError(t, err)
		got, ok := p.Tensor()
		require.True(t, ok)
		require.Equal(t, want.Data, got.Data)
	}
	v := &Value{Kind: Const, Type: OfInts(enc.I64, 2), Data: &Weight{Dims: dim.Ofs(7, 9)}}
	p, err = ReadWeight(v, nil)
	require.NoError(t, err)
	require.Equal(t, I64(7, 9).Data, p.Data)
}

func TestReadWeightErrors(t *testing.T) {
	data := files{"f": make([]byte, 1000)}
	part := func(f func(*Part)) *Weight {
		p := Part{Source: "f", Elem: enc.F32, Shape: []int64{4, 64}}
		if f != nil {
			f(&p)
		}
		return &Weight{Parts: []Part{p}}
	}
	block := enc.GGUF(enc.Q4_0, 1)
	for _, c := range []struct {
		enc  enc.Encoding
		w    *Weight
		want error
		text string
	}{
		{enc.Encoding{}, part(nil), nil, `bytes 0+1024 are not in source "f", which has 1000`},
		{enc.Encoding{}, part(func(p *Part) { p.Offset = -1 }), nil, `source "f"`},
		{enc.Encoding{}, part(func(p *Part) { p.Offset = 1 << 62 }), nil, `source "f"`},
		{enc.Encoding{}, part(func(p *Part) { p.Source = "g" }), nil, `source "g": no such file`},
		{enc.Encoding{}, part(func(p *Part) { p.Source = "" }), ErrNoData, ""},
		{enc.Encoding{}, part(func(p *Part) { p.Elem = enc.F16 }), ErrDerived, ""},
		{enc.As(enc.F16), part(nil), ErrDerived, ""},
		{block, part(nil), ErrDerived, ""},
		{enc.Encoding{}, part(func(p *Part) { p.Enc = block }), ErrDerived, ""},
		{enc.PerTensor(enc.I8), part(func(p *Part) { p.Enc = enc.PerTensor(enc.U8) }), ErrDerived, ""},
		{enc.PerChannel(enc.I8, 1), part(func(p *Part) { p.Enc = enc.PerChannel(enc.I8, 0) }), ErrDerived, ""},
		{block, part(func(p *Part) {
			p.Enc, p.Shape, p.Start, p.Size = block, []int64{4, 128}, []int64{0, 16}, []int64{4, 64}
		}), ErrLayout, ""},
		{enc.Blocked(enc.I8, 1, 48), part(func(p *Part) {
			p.Enc, p.Shape, p.Start, p.Size = enc.Blocked(enc.I8, 1, 48), []int64{4, 128}, []int64{0, 16}, []int64{4, 64}
		}), ErrLayout, ""},
		{enc.Encoding{}, part(func(p *Part) { p.Start = []int64{0, 0} }), nil, "a slice needs"},
		{enc.Encoding{}, part(func(p *Part) { p.Start, p.Size, p.Shape = []int64{2, 0}, []int64{4, 64}, []int64{5, 64} }), nil, "is not inside"},
		{enc.Encoding{}, part(func(p *Part) { p.Shape = []int64{4, 63} }), nil, "its parts have shape"},
		{enc.Encoding{}, &Weight{}, nil, "no parts"},
		{enc.Encoding{}, &Weight{Dims: []dim.Dim{dim.Sym("n")}}, nil, "bind them"},
	} {
		v := &Value{Name: "the.weight", Kind: Const, Type: Type{Elem: enc.F32, Shape: dim.Ofs(4, 64), Enc: c.enc}, Data: c.w}
		_, err := ReadWeight(v, data)
		require.ErrorContains(t, err, `"the.weight"`)
		require.ErrorContains(t, err, c.text)
		if c.want != nil {
			require.ErrorIs(t, err, c.want)
		}
	}
	_, err := ReadWeight(nil, nil)
	require.Error(t, err)
	_, err = ReadWeight(&Value{Name: "w", Kind: Const, Type: OfInts(enc.F32, 4, 64), Data: part(nil)}, nil)
	require.ErrorContains(t, err, "no data was given")

	// Both parts of a joined affine weight but the last end with a whole block.
	e := enc.Blocked(enc.I8, 0, 4)
	w := &Weight{Parts: []Part{{Elem: enc.F32, Shape: []int64{6}, Enc: e, Inline: make([]byte, 6+8)}, {Elem: enc.F32, Shape: []int64{4}, Enc: e, Inline: make([]byte, 4+4)}}}
	_, err = ReadWeight(weightOf(t, enc.F32, e, w), nil)
	require.ErrorIs(t, err, ErrLayout)
}

func BenchmarkReadWeightTransposed(b *testing.B) {
	for _, e := range []enc.Elem{enc.F32, enc.BF16, enc.I8, enc.I4} {
		b.Run(e.String(), func(b *testing.B) {
			const n = 2048
			size, _ := e.Bytes(n * n)
			v := &Value{Name: "w", Kind: Const, Type: OfInts(e, n, n), Data: &Weight{Perm: []int{1, 0}, Parts: []Part{{Inline: make([]byte, size), Elem: e, Shape: []int64{n, n}}}}}
			b.SetBytes(size)
			for b.Loop() {
				if _, err := ReadWeight(v, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
