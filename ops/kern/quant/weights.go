package quant

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/heddle-ml/heddle/ops/kern/half"
)

// Block sizes of the GGUF encodings, in elements and bytes.
const (
	q8Elems, q8Bytes = 32, 2 + 32
	q4Elems, q4Bytes = 32, 2 + 16
	q6Elems, q6Bytes = 256, 128 + 64 + 16 + 2
)

// Affine is a weight matrix of n rows of k integers of 8 or 4 bits, with one
// scale and zero point per block of elements in a row. Four-bit elements are
// packed as by PackNibbles, each row starting on a byte. It is safe for
// concurrent use.
type Affine struct {
	data   []byte
	scales []float32
	zeros  []int8 // of signed type; nil for 0
	k      int
	block  int
	bits   int
	shift  int32 // what unsigned storage adds to the signed value
}

// AffineArgs describes an Affine.
type AffineArgs struct {
	N, K     int
	Bits     int  // 8 or 4
	Unsigned bool // the stored integers are unsigned, and so are Zeros
	Block    int  // elements per scale along K; 0 or K for one scale per row
	Data     []byte
	Scales   []float32 // N x ceil(K/Block)
	Zeros    []byte    // one byte per scale, as signed as the data; nil for 0
}

// NewAffine checks that everything fits and returns the matrix, which refers to
// the given slices.
func NewAffine(a AffineArgs) (*Affine, error) {
	if a.N < 0 || a.K < 0 || a.Block < 0 || a.Bits != 8 && a.Bits != 4 {
		return nil, fmt.Errorf("quant: %d x %d weights of %d bits in blocks of %d: want sizes of at least 0, and 8 or 4 bits", a.N, a.K, a.Bits, a.Block)
	}
	if a.Block == 0 {
		a.Block = max(a.K, 1)
	}
	blocks := (a.K-1)/a.Block + 1
	if a.K == 0 {
		blocks = 0
	}
	rowBytes := a.K
	if a.Bits == 4 {
		rowBytes = a.K/2 + a.K%2
	}
	if !holds(len(a.Data), a.N, rowBytes) || !holds(len(a.Scales), a.N, blocks) || a.Zeros != nil && !holds(len(a.Zeros), a.N, blocks) {
		return nil, fmt.Errorf("quant: %d x %d weights of %d bits need %d bytes and %d scales each row; there are %d bytes, %d scales, %d zero points", a.N, a.K, a.Bits, rowBytes, blocks, len(a.Data), len(a.Scales), len(a.Zeros))
	}
	w := &Affine{data: a.Data, scales: a.Scales, k: a.K, block: a.Block, bits: a.Bits}
	if a.Unsigned {
		w.shift = 1 << (a.Bits - 1)
	}
	if a.Zeros != nil {
		w.zeros = make([]int8, len(a.Zeros))
		for i, z := range a.Zeros {
			w.zeros[i] = int8(int32(z) - w.shift)
		}
	} else if a.Unsigned {
		w.zeros = make([]int8, len(a.Scales))
		for i := range w.zeros {
			w.zeros[i] = int8(-w.shift)
		}
	}
	return w, nil
}

// holds reports whether n elements hold rows rows of size elements.
func holds(n, rows, size int) bool { return rows == 0 || size <= n/rows }

// Decode writes row n, all its elements, to dst. It implements gemm.Source.
func (w *Affine) Decode(dst []float32, n int) {
	blocks := (w.k + w.block - 1) / w.block
	for b := range blocks {
		lo, hi := b*w.block, min((b+1)*w.block, w.k)
		scale, zero := w.scales[n*blocks+b], int32(0)
		if w.zeros != nil {
			zero = int32(w.zeros[n*blocks+b])
		}
		out := dst[lo:hi]
		if w.bits == 8 {
			bias := zero + w.shift
			if w.shift == 0 {
				for i, q := range w.data[n*w.k+lo : n*w.k+hi] {
					out[i] = float32(int32(int8(q))-bias) * scale
				}
				continue
			}
			for i, q := range w.data[n*w.k+lo : n*w.k+hi] {
				out[i] = float32(int32(q)-bias) * scale
			}
			continue
		}
		row := w.data[n*((w.k+1)/2):]
		for i := range out {
			q := int32(row[(lo+i)/2]>>((lo+i)%2*4)) & 15
			if w.shift == 0 {
				q = q << 28 >> 28 // sign of four bits
			}
			out[i] = float32(q-w.shift-zero) * scale
		}
	}
}

// Blocks is a weight matrix of n rows in a GGUF block encoding. It is safe for
// concurrent use.
type Blocks struct {
	data     []byte
	rowBytes int
	decode   func(dst []float32, src []byte)
}

// NewQ8_0 returns n rows of k elements in Q8_0: blocks of 32 signed bytes with a
// float16 scale before them.
func NewQ8_0(data []byte, n, k int) (*Blocks, error) {
	return newBlocks("Q8_0", data, n, k, q8Elems, q8Bytes, DecodeQ8_0)
}

// NewQ4_0 returns n rows of k elements in Q4_0: blocks of 32 four-bit integers
// less 8, with a float16 scale before them; the low halves of the bytes are the
// first 16.
func NewQ4_0(data []byte, n, k int) (*Blocks, error) {
	return newBlocks("Q4_0", data, n, k, q4Elems, q4Bytes, DecodeQ4_0)
}

// NewQ6_K returns n rows of k elements in Q6_K: blocks of 256 six-bit integers
// less 32, sixteen signed scales of 16 elements each, and a float16 scale of
// those.
func NewQ6_K(data []byte, n, k int) (*Blocks, error) {
	return newBlocks("Q6_K", data, n, k, q6Elems, q6Bytes, DecodeQ6_K)
}

func newBlocks(name string, data []byte, n, k, elems, bytes int, decode func([]float32, []byte)) (*Blocks, error) {
	if n < 0 || k < 0 || k%elems != 0 {
		return nil, fmt.Errorf("quant: %d x %d weights in %s: rows must be a multiple of %d long", n, k, name, elems)
	}
	if k/elems > math.MaxInt/bytes || !holds(len(data), n, k/elems*bytes) {
		return nil, fmt.Errorf("quant: %d x %d weights in %s do not fit %d bytes", n, k, name, len(data))
	}
	return &Blocks{data: data, rowBytes: k / elems * bytes, decode: decode}, nil
}

// Decode writes row n, all its elements, to dst. It implements gemm.Source.
func (b *Blocks) Decode(dst []float32, n int) {
	b.decode(dst, b.data[n*b.rowBytes:(n+1)*b.rowBytes])
}

func scaleOf(block []byte) float32 { return half.FromF16(binary.LittleEndian.Uint16(block)) }

// DecodeQ8_0 decodes len(dst) elements, a multiple of 32.
func DecodeQ8_0(dst []float32, src []byte) {
	for len(dst) >= q8Elems {
		d := scaleOf(src)
		out := dst[:q8Elems]
		for i, q := range src[2:q8Bytes] {
			out[i] = d * float32(int8(q))
		}
		dst, src = dst[q8Elems:], src[q8Bytes:]
	}
}

// DecodeQ4_0 decodes len(dst) elements, a multiple of 32.
func DecodeQ4_0(dst []float32, src []byte) {
	for len(dst) >= q4Elems {
		d := scaleOf(src)
		lo, hi := dst[:16], dst[16:q4Elems]
		for i, q := range src[2:q4Bytes] {
			lo[i] = d * float32(int(q&15)-8)
			hi[i] = d * float32(int(q>>4)-8)
		}
		dst, src = dst[q4Elems:], src[q4Bytes:]
	}
}

// DecodeQ6_K decodes len(dst) elements, a multiple of 256. A block holds the low
// four bits of its elements, then the high two, then the scales. Each half of
// 128 elements is four groups of 32, which share bytes: 64 bytes of low bits
// (groups 0 and 1 in the low nibbles, 2 and 3 in the high ones) and 32 bytes of
// high bits (two for each group).
func DecodeQ6_K(dst []float32, src []byte) {
	for len(dst) >= q6Elems {
		d := scaleOf(src[q6Bytes-2:])
		for h := range 2 {
			low, high := src[64*h:][:64], src[128+32*h:][:32]
			scales, out := src[192+8*h:][:8], dst[128*h:][:128]
			for g := range 4 {
				for i := range 32 {
					q := int(low[g%2*32+i]>>(g/2*4)&15) | int(high[i]>>(2*g)&3)<<4
					out[32*g+i] = d * float32(int8(scales[2*g+i/16])) * float32(q-32)
				}
			}
		}
		dst, src = dst[q6Elems:], src[q6Bytes:]
	}
}
