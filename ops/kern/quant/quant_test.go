package quant_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/heddle-ml/heddle/internal/shared"
	"github.com/heddle-ml/heddle/ops/kern/gemm"
	"github.com/heddle-ml/heddle/ops/kern/quant"
)

var (
	_ gemm.Source = (*quant.Affine)(nil)
	_ gemm.Source = (*quant.Blocks)(nil)
)

// Every bit of the blocks' values is given by the formats' reference.
func TestBlocksAgainstReference(t *testing.T) {
	dir := shared.Golden(t, "gguf_blocks")
	for name, c := range map[string]struct {
		open  func(data []byte, n, k int) (*quant.Blocks, error)
		elems int
	}{
		"Q8_0": {quant.NewQ8_0, 32}, "Q4_0": {quant.NewQ4_0, 32}, "Q6_K": {quant.NewQ6_K, 256},
	} {
		data, err := os.ReadFile(filepath.Join(dir, name+".bin"))
		if err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile(filepath.Join(dir, name+".f32"))
		if err != nil {
			t.Fatal(err)
		}
		const rows = 4
		k := len(want) / 4 / rows
		w, err := c.open(data, rows, k)
		if err != nil {
			t.Fatal(err)
		}
		got := make([]float32, k)
		for n := range rows {
			w.Decode(got, n)
			for i, v := range got {
				bits := binary.LittleEndian.Uint32(want[4*(n*k+i):])
				if math.Float32bits(v) != bits {
					t.Fatalf("%s row %d [%d] = %v, want %v", name, n, i, v, math.Float32frombits(bits))
				}
			}
		}
		for _, bad := range []func() (*quant.Blocks, error){
			func() (*quant.Blocks, error) { return c.open(data[:len(data)-1], rows, k) },
			func() (*quant.Blocks, error) { return c.open(data, rows, k-1) },
			func() (*quant.Blocks, error) { return c.open(data, -1, k) },
			func() (*quant.Blocks, error) { return c.open(data, math.MaxInt, c.elems) },
			func() (*quant.Blocks, error) { return c.open(data, 1, math.MaxInt/c.elems*c.elems) },
		} {
			if _, err := bad(); err == nil {
				t.Errorf("%s: bad size accepted", name)
			}
		}
		if _, err := c.open(nil, 0, c.elems); err != nil {
			t.Errorf("%s: no rows: %v", name, err)
		}
	}
}

func TestAffine(t *testing.T) {
	for _, bits := range []int{8, 4} {
		for _, unsigned := range []bool{false, true} {
			for _, block := range []int{0, 5, 16, 100} {
				for _, zeros := range []bool{false, true} {
					const n, k = 5, 37
					rng := rand.New(rand.NewPCG(uint64(bits), uint64(block)))
					size := block
					if size == 0 {
						size = k
					}
					blocks := (k + size - 1) / size
					a := quant.AffineArgs{N: n, K: k, Bits: bits, Unsigned: unsigned, Block: block, Scales: make([]float32, n*blocks)}
					values := make([]int32, n*k)
					lo := int32(0)
					if !unsigned {
						lo = -1 << (bits - 1)
					}
					for i := range values {
						values[i] = lo + rng.Int32N(1<<bits)
					}
					for r := range n {
						row := values[r*k : (r+1)*k]
						if bits == 8 {
							for _, v := range row {
								a.Data = append(a.Data, byte(v))
							}
							continue
						}
						bytes, packed := make([]uint8, k), make([]byte, (k+1)/2)
						for i, v := range row {
							bytes[i] = byte(v)
						}
						quant.PackNibbles(packed, bytes)
						a.Data = append(a.Data, packed...)
					}
					for i := range a.Scales {
						a.Scales[i] = rng.Float32()
					}
					if zeros {
						a.Zeros = make([]byte, n*blocks)
						for i := range a.Zeros {
							a.Zeros[i] = byte(lo + rng.Int32N(1<<bits))
						}
					}
					w, err := quant.NewAffine(a)
					if err != nil {
						t.Fatal(err)
					}
					got := make([]float32, k)
					for r := range n {
						w.Decode(got, r)
						for i, v := range got {
							b := r*blocks + i/size
							var z int32
							if zeros {
								z = int32(a.Zeros[b])
								if !unsigned {
									z = int32(int8(a.Zeros[b]))
								}
							}
							if want := float32(values[r*k+i]-z) * a.Scales[b]; v != want {
								t.Fatalf("%d bits, unsigned %v, block %d, zeros %v: [%d,%d] = %v, want %v", bits, unsigned, block, zeros, r, i, v, want)
							}
						}
					}
					for name, spoil := range map[string]func(*quant.AffineArgs){
						"data":   func(a *quant.AffineArgs) { a.Data = a.Data[1:] },
						"scales": func(a *quant.AffineArgs) { a.Scales = a.Scales[1:] },
						"zeros":  func(a *quant.AffineArgs) { a.Zeros = make([]byte, 1) },
						"bits":   func(a *quant.AffineArgs) { a.Bits = 5 },
						"block":  func(a *quant.AffineArgs) { a.Block = -1 },
						"n":      func(a *quant.AffineArgs) { a.N = math.MaxInt },
						"k":      func(a *quant.AffineArgs) { a.K = math.MaxInt },
					} {
						bad := a
						spoil(&bad)
						if _, err := quant.NewAffine(bad); err == nil {
							t.Errorf("bad %s accepted", name)
						}
					}
				}
			}
		}
	}
}

func TestQuantize(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	x := []float32{0, 1, -1, 5, 3, 300, -300, nan, inf, -inf}
	i8 := make([]int8, len(x))
	quant.Quantize(i8, x, 2, 1, quant.RangeOf(8, true))
	if want := []int8{1, 1, 1, 3, 3, 127, -128, 1, 127, -128}; !slices.Equal(i8, want) {
		t.Errorf("int8: %v, want %v", i8, want) // halves go to even, then the zero point is added
	}
	u8 := make([]uint8, len(x))
	quant.Quantize(u8, x, 1, 128, quant.RangeOf(8, false))
	if want := []uint8{128, 129, 127, 133, 131, 255, 0, 128, 255, 0}; !slices.Equal(u8, want) {
		t.Errorf("uint8: %v, want %v", u8, want)
	}
	quant.Quantize(i8, x, 1, 0, quant.RangeOf(4, true))
	if want := []int8{0, 1, -1, 5, 3, 7, -8, 0, 7, -8}; !slices.Equal(i8, want) {
		t.Errorf("int4: %v, want %v", i8, want)
	}
	u16 := make([]uint16, len(x))
	quant.Quantize(u16, x, 0.001, 32767, quant.RangeOf(16, false))
	if want := []uint16{32767, 33767, 31767, 37767, 35767, 65535, 0, 32767, 65535, 0}; !slices.Equal(u16, want) {
		t.Errorf("uint16: %v, want %v", u16, want)
	}
	back := make([]float32, len(x))
	quant.Dequantize(back, u8, 0.5, 128)
	if want := []float32{0, 0.5, -0.5, 2.5, 1.5, 63.5, -64, 0, 63.5, -64}; !slices.Equal(back, want) {
		t.Errorf("dequantized: %v, want %v", back, want)
	}
	r := make([]uint8, 4)
	quant.Requantize(r, []int32{0, 100, -100, math.MaxInt32}, 0.125, 10, quant.RangeOf(8, false))
	if want := []uint8{10, 22, 0, 255}; !slices.Equal(r, want) {
		t.Errorf("requantized: %v, want %v", r, want)
	}
	if s, z := quant.DynamicUint8(-1, 4); s != float32(5)/255 || z != 51 {
		t.Errorf("DynamicUint8 = %v, %v", s, z)
	}
	if s, z := quant.DynamicUint8(0, 0); s != 0 || z != 0 {
		t.Errorf("DynamicUint8 of zeros = %v, %v", s, z)
	}
}

func TestNibbles(t *testing.T) {
	signed := []int8{-8, 7, 0, -1, 3}
	packed := make([]byte, 3)
	quant.PackNibbles(packed, signed)
	if want := []byte{0x78, 0xf0, 0x03}; !slices.Equal(packed, want) {
		t.Errorf("packed %#x, want %#x", packed, want)
	}
	got := make([]int8, 5)
	quant.UnpackNibbles(got, packed)
	if !slices.Equal(got, signed) {
		t.Errorf("unpacked %v", got)
	}
	u := make([]uint8, 5)
	quant.UnpackNibbles(u, packed)
	if want := []uint8{8, 7, 0, 15, 3}; !slices.Equal(u, want) {
		t.Errorf("unpacked %v, want %v", u, want)
	}
}

func ExampleNewAffine() {
	w, err := quant.NewAffine(quant.AffineArgs{N: 1, K: 4, Bits: 8, Data: []byte{1, 2, 0xff, 0}, Scales: []float32{0.5}})
	row := make([]float32, 4)
	w.Decode(row, 0)
	fmt.Println(row, err)
	// Output: [0.5 1 -0.5 0] <nil>
}
