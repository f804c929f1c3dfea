package enc

import (
	"fmt"
	"math"
	"testing"

	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/stretchr/testify/require"
)

func TestHalfRoundTrip(t *testing.T) {
	for h := 0; h < 1<<16; h++ {
		f := F16ToF32(uint16(h))
		if f != f {
			require.NotZero(t, F32ToF16(f)&0x3ff)
			continue
		}
		require.Equal(t, uint16(h), F32ToF16(f), "%#x", h)
		b := BF16ToF32(uint16(h))
		if b == b {
			require.Equal(t, uint16(h), F32ToBF16(b))
			require.Equal(t, uint16(h), F64ToBF16(float64(b)))
		}
	}
}

// Rounding is to the nearest, ties to even: judged between neighbours.
func TestHalfRounding(t *testing.T) {
	check := func(widen func(uint16) float32, narrow func(float64) uint16, last uint16) {
		for h := uint16(0); h < last; h++ {
			lo, hi := float64(widen(h)), float64(widen(h+1))
			mid := (lo + hi) / 2
			even := h
			if h&1 == 1 {
				even = h + 1
			}
			require.Equal(t, even, narrow(mid), "%#x", h)
			require.Equal(t, h, narrow(math.Nextafter(mid, lo)))
			require.Equal(t, h+1, narrow(math.Nextafter(mid, hi)))
			require.Equal(t, h|0x8000, narrow(-math.Nextafter(mid, lo)))
		}
	}
	check(F16ToF32, F64ToF16, 0x7bff)
	check(BF16ToF32, F64ToBF16, 0x7f7f)
	require.Equal(t, uint16(0x7c00), F64ToF16(65520))
	require.Equal(t, uint16(0x7bff), F64ToF16(65519.99))
	require.Equal(t, uint16(0xfc00), F64ToF16(math.Inf(-1)))
	require.Equal(t, uint16(0x7f80), F64ToBF16(math.MaxFloat64))
}

func TestLayout(t *testing.T) {
	for _, c := range []struct {
		e     Encoding
		shape []int64
		want  Layout
	}{
		{Encoding{}, []int64{3, 5}, Layout{Data: 60}},
		{As(F16), []int64{3, 5}, Layout{Data: 30}},
		{PerTensor(I4), []int64{3, 5}, Layout{Data: 8, Scale: 4}},
		{PerChannel(I8, 1), []int64{3, 5}, Layout{Data: 15, Scale: 20, ScaleShape: []int64{5}}},
		{Encoding{Kind: Affine, Store: U4, Scale: F16, Axis: 1, BlockLen: 2, HasZero: true}, []int64{3, 5}, Layout{Data: 8, Scale: 18, Zero: 5, ScaleShape: []int64{3, 3}}},
		{GGUF(Q4_0, 1), []int64{2, 64}, Layout{Data: 72}},
		{GGUF(Q6_K, 0), []int64{512, 2}, Layout{Data: 840}},
	} {
		l, err := c.e.Layout(F32, c.shape)
		require.NoError(t, err)
		require.Equal(t, c.want, l, c.e.String())
		back, err := Parse(c.e.String())
		require.NoError(t, err)
		require.Equal(t, c.e, back)
	}
	for _, c := range []struct {
		e     Encoding
		elem  Elem
		shape []int64
	}{
		{GGUF(Q4_0, 1), F32, []int64{2, 33}}, {GGUF(Q4_0, 1), I32, []int64{2, 32}}, {As(F64), F32, nil}, {As(I8), F32, nil},
		{PerChannel(I8, 2), F32, []int64{2, 2}}, {PerTensor(F16), F32, nil}, {Encoding{}, F32, []int64{1 << 62}}, {GGUF(99, 0), F32, []int64{32}},
	} {
		_, err := c.e.Layout(c.elem, c.shape)
		require.Error(t, err, "%s", c.e)
	}
}

func TestElems(t *testing.T) {
	require.Len(t, Elems(), 15)
	for _, e := range Elems() {
		p, err := ParseElem(e.String())
		require.NoError(t, err)
		require.Equal(t, e, p)
		p, err = FromONNX(e.ONNX())
		require.NoError(t, err)
		require.Equal(t, e, p)
		n, err := e.Bytes(3)
		require.NoError(t, err)
		require.Equal(t, int64((3*e.Bits()+7)/8), n)
	}
	lo, hi := I4.IntRange()
	require.Equal(t, []int64{-8, 7}, []int64{lo, hi})
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"plain", "as(f16)", "affine(i4,scale=f16,axis=1,block=32,zero)", "Q4_0(axis=1)"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		e, err := Parse(s)
		if err != nil || e.Valid(F32, dim.Ofs(64, 64, 256)) != nil {
			return
		}
		back, err := Parse(e.String())
		if err != nil || back != e {
			t.Fatalf("%q prints as %q and reads back as %v, %v", s, e, back, err)
		}
	})
}

func ExampleEncoding_Layout() {
	l, _ := Blocked(I4, 0, 32).Layout(F32, []int64{4096, 1024})
	fmt.Println(l.Data, l.Scale, l.ScaleShape)
	// Output: 2097152 524288 [128 1024]
}
