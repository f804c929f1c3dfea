package oracle

import (
	"encoding/binary"
	"errors"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
)

// sources is graph.Data in memory.
type sources map[string][]byte

func (s sources) Source(name string) ([]byte, error) {
	if b, ok := s[name]; ok {
		return b, nil
	}
	return nil, errors.New("no such file")
}

func f32Bytes(fs ...float32) (b []byte) {
	for _, f := range fs {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(f))
	}
	return b
}

func constant2(t graph.Type, w *graph.Weight) *graph.Value {
	return &graph.Value{Name: "w", Kind: graph.Const, Def: -1, Type: t, Data: w}
}

func TestWeightViews(t *testing.T) {
	data := sources{"file": append([]byte{0, 0, 0, 0}, f32Bytes(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11)...)}
	whole := graph.Part{Source: "file", Offset: 4, Elem: enc.F32, Shape: []int64{3, 4}}
	slice := whole
	slice.Start, slice.Size = []int64{1, 1}, []int64{2, 3}
	half, err := floats(enc.F16, []int64{2, 1}, 20, 30).Bytes()
	require.NoError(t, err)
	inline := graph.Part{Inline: half, Elem: enc.F16, Shape: []int64{2, 1}}

	for name, c := range map[string]struct {
		t    graph.Type
		w    *graph.Weight
		want []float64
	}{
		"transposed": {graph.OfInts(enc.F32, 4, 3), &graph.Weight{Parts: []graph.Part{whole}, Perm: []int{1, 0}}, []float64{0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11}},
		"slice":      {graph.OfInts(enc.F32, 2, 3), &graph.Weight{Parts: []graph.Part{slice}}, []float64{5, 6, 7, 9, 10, 11}},
		"joined":     {graph.OfInts(enc.F32, 2, 4), &graph.Weight{Parts: []graph.Part{slice, inline}, Axis: 1}, []float64{5, 6, 7, 20, 9, 10, 11, 30}},
		"all three":  {graph.OfInts(enc.F32, 4, 2), &graph.Weight{Parts: []graph.Part{slice, inline}, Axis: 1, Perm: []int{1, 0}}, []float64{5, 9, 6, 10, 7, 11, 20, 30}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Weight(constant2(c.t, c.w), data, nil)
			require.NoError(t, err)
			require.Equal(t, c.want, got.F)
			require.Equal(t, enc.F32, got.Elem)
		})
	}

	dims := constant2(graph.OfInts(enc.I64, 2), &graph.Weight{Dims: []dim.Dim{dim.Sym("n").MulInt(3), dim.Of(7)}})
	got, err := Weight(dims, nil, dim.Binding{"n": 5})
	require.NoError(t, err)
	require.Equal(t, []int64{15, 7}, got.I)
	_, err = Weight(dims, nil, nil)
	require.ErrorContains(t, err, "n")
}

func TestWeightErrors(t *testing.T) {
	typ := graph.OfInts(enc.F32, 3)
	for name, c := range map[string]struct {
		p    graph.Part
		want string
		is   error
	}{
		"no data":    {graph.Part{Elem: enc.F32, Shape: []int64{3}}, "no data", graph.ErrNoData},
		"no source":  {graph.Part{Source: "other", Elem: enc.F32, Shape: []int64{3}}, `source "other": no such file`, nil},
		"truncated":  {graph.Part{Source: "file", Elem: enc.F32, Shape: []int64{3}}, "bytes 0+12 are not among the 8", nil},
		"offset":     {graph.Part{Source: "file", Offset: math.MaxInt64, Elem: enc.F32, Shape: []int64{1}}, "are not among", nil},
		"size":       {graph.Part{Source: "file", Elem: enc.F32, Shape: []int64{1 << 40}}, "limit", ErrLimit},
		"overflow":   {graph.Part{Source: "file", Elem: enc.F32, Shape: []int64{1 << 40, 1 << 40}}, "64 bits", nil},
		"slice":      {graph.Part{Source: "file", Elem: enc.F32, Shape: []int64{2}, Start: []int64{1}, Size: []int64{2}}, "not inside", ErrIndex},
		"slice rank": {graph.Part{Source: "file", Elem: enc.F32, Shape: []int64{2}, Start: []int64{1, 1}, Size: []int64{2}}, "slice", nil},
		"shape":      {graph.Part{Source: "file", Elem: enc.F32, Shape: []int64{2}}, "parts have shape [2]", nil},
		"type":       {graph.Part{Source: "file", Elem: enc.I32, Shape: []int64{2}}, "stores i32", nil},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Weight(constant2(typ, &graph.Weight{Parts: []graph.Part{c.p}}), sources{"file": make([]byte, 8)}, nil)
			require.ErrorContains(t, err, c.want)
			require.ErrorContains(t, err, `value "w"`)
			if c.is != nil {
				require.ErrorIs(t, err, c.is)
			}
		})
	}
	_, err := Weight(nil, nil, nil)
	require.Error(t, err)
}

// Affine codes as stored, by the definition scale*(code-zero).
func TestWeightAffine(t *testing.T) {
	le := binary.LittleEndian
	f16 := func(f float64) []byte { return le.AppendUint16(nil, enc.F64ToF16(f)) }
	for name, c := range map[string]struct {
		e    enc.Encoding
		data []byte
		want []float64
	}{
		"tensor": {enc.PerTensor(enc.I8), append([]byte{1, 2, 3, 0xff, 0x80, 6}, f32Bytes(0.5)...),
			[]float64{0.5, 1, 1.5, -0.5, -64, 3}},
		"channel": {enc.PerChannel(enc.I8, 0), append([]byte{1, 2, 3, 4, 5, 6}, f32Bytes(1, 10)...),
			[]float64{1, 2, 3, 40, 50, 60}},
		"zeros": {enc.Encoding{Kind: enc.Affine, Store: enc.U8, Scale: enc.F16, Axis: 1, HasZero: true},
			append(append(append(append([]byte{1, 2, 3, 4, 5, 6}, f16(1)...), f16(2)...), f16(4)...), 1, 2, 255),
			[]float64{0, 0, -1008, 3, 6, -996}},
		"blocks": {enc.Encoding{Kind: enc.Affine, Store: enc.I4, Scale: enc.F32, Axis: 1, BlockLen: 2, HasZero: true},
			append(append([]byte{0x21, 0xf3, 0x87}, f32Bytes(1, 2, 3, 4)...), 0x10, 0x32),
			[]float64{1, 2, 4, -9, 15, -44}},
	} {
		t.Run(name, func(t *testing.T) {
			typ := graph.OfInts(enc.F32, 2, 3)
			typ.Enc = c.e
			p := graph.Part{Inline: c.data, Elem: enc.F32, Shape: []int64{2, 3}, Enc: c.e}
			got, err := Weight(constant2(typ, &graph.Weight{Parts: []graph.Part{p}}), nil, nil)
			require.NoError(t, err)
			require.Equal(t, c.want, got.F)

			// The same tensor seen transposed has its scales along the other axis.
			typ = graph.OfInts(enc.F32, 3, 2)
			if typ.Enc = c.e; c.e.Axis >= 0 {
				typ.Enc.Axis = 1 - c.e.Axis
			}
			turned, err := Weight(constant2(typ, &graph.Weight{Parts: []graph.Part{p}, Perm: []int{1, 0}}), nil, nil)
			require.NoError(t, err)
			for i := range 6 {
				require.Equal(t, c.want[i], turned.F[i%3*2+i/3])
			}
		})
	}
}

// A derived weight is quantized by the rules of recode.
func TestWeightDerived(t *testing.T) {
	nums := []float32{1, -2, 0.5, 127, 3, -1.4}
	for name, c := range map[string]struct {
		e    enc.Encoding
		want []float64
	}{
		"narrower": {enc.As(enc.BF16), []float64{1, -2, 0.5, 127, 3, -1.3984375}},
		"tensor":   {enc.PerTensor(enc.I8), []float64{1, -2, 0, 127, 3, -1}}, // 0.5 is a tie
		"unsigned": {enc.PerTensor(enc.U8), []float64{127. / 255 * 2, 0, 127. / 255, 127, 127. / 255 * 6, 0}},
		"zeros": { // -2..127 in 256 steps of 129/255, zero point 4
			enc.Encoding{Kind: enc.Affine, Store: enc.U8, Scale: enc.F32, Axis: -1, HasZero: true},
			[]float64{129. / 255 * 2, 129. / 255 * -4, 129. / 255 * 1, 129. / 255 * 251, 129. / 255 * 6, 129. / 255 * -3}},
		"channel": {enc.PerChannel(enc.I4, 0), []float64{2. / 7 * 3, -2, 2. / 7 * 2, 127, 0, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			typ := graph.OfInts(enc.F32, 2, 3)
			typ.Enc = c.e
			w := &graph.Weight{Parts: []graph.Part{{Inline: f32Bytes(nums...), Elem: enc.F32, Shape: []int64{2, 3}}}}
			got, err := Weight(constant2(typ, w), nil, nil)
			require.NoError(t, err)
			require.InDeltaSlice(t, c.want, got.F, 1e-5)
		})
	}
}

// Stored codes that can stay as they are do stay; quantizing them again would
// move them, as their greatest magnitude need not be the greatest code.
func TestStoredCodesStay(t *testing.T) {
	part := func(scale float32, e enc.Encoding, codes ...byte) graph.Part {
		return graph.Part{Inline: append(codes, f32Bytes(scale)...), Elem: enc.F32, Shape: []int64{1, int64(len(codes))}, Enc: e}
	}
	value := func(e enc.Encoding, axis int, parts ...graph.Part) []float64 {
		shape := []int64{1, 0}
		for _, p := range parts {
			shape[1] += p.Shape[1]
		}
		if axis == 0 {
			shape = []int64{int64(len(parts)), parts[0].Shape[1]}
		}
		typ := graph.OfInts(enc.F32, shape...)
		typ.Enc = e
		got, err := Weight(constant2(typ, &graph.Weight{Parts: parts, Axis: axis}), nil, nil)
		require.NoError(t, err)
		return got.F
	}
	tensor, channel := enc.PerTensor(enc.I8), enc.PerChannel(enc.I8, 0)
	require.Equal(t, []float64{0.5, 1.5}, value(tensor, 1, part(0.5, tensor, 1, 3)))
	require.Equal(t, []float64{0.5, 1.5, 1}, value(tensor, 1, part(0.5, tensor, 1, 3), part(0.5, tensor, 2)), "parts agree")
	require.Equal(t, []float64{0.5, 1.5, 2, 3}, value(channel, 0, part(0.5, channel, 1, 3), part(1, channel, 2, 3)), "scales are joined")
	got := value(tensor, 1, part(0.5, tensor, 1, 3), part(1, tensor, 2))
	require.NotEqual(t, []float64{0.5, 1.5, 2}, got, "no common scale: derived")
	require.InDeltaSlice(t, []float64{0.5, 1.5, 2}, got, 2./127)
}

// GGUF rows along another axis than the last, as a transposed view has them.
func TestBlocksAlongAnyAxis(t *testing.T) {
	q := enc.GGUF(enc.Q8_0, 1)
	var raw []byte
	for row := range 3 {
		raw = binary.LittleEndian.AppendUint16(raw, enc.F64ToF16(float64(row+1)))
		for i := range 32 {
			raw = append(raw, byte(i))
		}
	}
	typ := graph.OfInts(enc.F32, 32, 3) // [K,N]
	typ.Enc = enc.GGUF(enc.Q8_0, 0)
	byPerm := graph.Part{Inline: raw, Elem: enc.F32, Shape: []int64{3, 32}, Enc: q}
	direct := graph.Part{Inline: raw, Elem: enc.F32, Shape: []int64{32, 3}, Enc: typ.Enc}
	a, err := Weight(constant2(typ, &graph.Weight{Parts: []graph.Part{byPerm}, Perm: []int{1, 0}}), nil, nil)
	require.NoError(t, err)
	b, err := Weight(constant2(typ, &graph.Weight{Parts: []graph.Part{direct}}), nil, nil)
	require.NoError(t, err)
	for k := range 32 {
		for n := range 3 {
			require.Equal(t, float64(k*(n+1)), a.F[k*3+n])
		}
	}
	require.Equal(t, a.F, b.F)
}

// Whatever a part claims, decoding it gives numbers or an error.
func FuzzWeight(f *testing.F) {
	f.Add(int64(2), int64(3), uint8(0), uint8(0), int64(0), int64(0), int64(0), []byte("abcdefghijklmnopqrstuvwxyz"))
	f.Add(int64(1), int64(32), uint8(2), uint8(8), int64(0), int64(0), int64(9), make([]byte, 34))
	f.Add(int64(2), int64(3), uint8(1), uint8(9), int64(0), int64(6), int64(1), make([]byte, 64))
	f.Fuzz(func(t *testing.T, rows, cols int64, kind, code uint8, off, scaleOff, start int64, data []byte) {
		e := enc.Encoding{Kind: enc.Kind(kind % 3)}
		elem := enc.F32
		switch e.Kind {
		case enc.Plain:
			elem = enc.Elem(code % 17)
		case enc.Affine:
			e.Store, e.Scale, e.Axis, e.BlockLen, e.HasZero = enc.Elem(code%17), enc.F32, int(start%3)-1, int(start%5), start%2 == 0
		case enc.Block:
			e.Format, e.Axis = enc.Format(code), int(start%2)
		}
		p := graph.Part{Source: "s", Offset: off, ScaleOffset: scaleOff, Elem: elem, Shape: []int64{rows, cols}, Enc: e}
		typ := graph.OfInts(elem, rows, cols)
		if start > 9 {
			p.Start, p.Size = []int64{start, 0}, []int64{rows, cols}
		}
		v, err := Weight(constant2(typ, &graph.Weight{Parts: []graph.Part{p}}), sources{"s": data}, nil)
		if err == nil {
			require.NoError(t, v.valid())
		}
	})
}
