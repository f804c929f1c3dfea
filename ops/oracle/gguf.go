package oracle

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/heddle-ml/heddle/graph/enc"
)

// decodeBlock writes the numbers of one block of a GGUF format, in float64;
// rounded to float32 they are what the format defines.
func decodeBlock(f enc.Format, b []byte, out []float64) error {
	switch f {
	case enc.Q4_0, enc.IQ4NL:
		d := half(b)
		for j, q := range b[2:18] {
			lo, hi := float64(q&15)-8, float64(q>>4)-8
			if f == enc.IQ4NL {
				lo, hi = iq4Values[q&15], iq4Values[q>>4]
			}
			out[j], out[j+16] = d*lo, d*hi
		}
	case enc.Q4_1:
		d, m := half(b), half(b[2:])
		for j, q := range b[4:20] {
			out[j], out[j+16] = d*float64(q&15)+m, d*float64(q>>4)+m
		}
	case enc.Q5_0, enc.Q5_1:
		d, m, minus := half(b), 0.0, 16.0
		b = b[2:]
		if f == enc.Q5_1 {
			m, minus = half(b), 0
			b = b[2:]
		}
		high := binary.LittleEndian.Uint32(b)
		for j, q := range b[4:20] {
			lo := float64(q&15|byte(high>>j&1)<<4) - minus
			hi := float64(q>>4|byte(high>>(j+16)&1)<<4) - minus
			out[j], out[j+16] = d*lo, d*hi
			if f == enc.Q5_1 { // adding 0 would lose the sign of a zero
				out[j] += m
				out[j+16] += m
			}
		}
	case enc.Q8_0:
		d := half(b)
		for j, q := range b[2:34] {
			out[j] = d * float64(int8(q))
		}
	case enc.Q2_K:
		scales, qs, d, dmin := b[:16], b[16:80], half(b[80:]), half(b[82:])
		for i := range out {
			// 128 numbers share 32 bytes: four runs of 32, by bit pair.
			h, run, l := i/128, i%128/32, i%32
			s := scales[i/16]
			q := qs[h*32+l] >> (2 * run) & 3
			out[i] = d*float64(s&15)*float64(q) - dmin*float64(s>>4)
		}
	case enc.Q3_K:
		mask, qs, packed, d := b[:32], b[32:96], b[96:108], half(b[108:])
		for i := range out {
			h, run, l := i/128, i%128/32, i%32
			q := int(qs[h*32+l] >> (2 * run) & 3)
			if mask[l]>>(h*4+run)&1 == 0 {
				q -= 4
			}
			k := i / 16 // six bits of each scale: four in a nibble, two above
			s := packed[k%8] >> (k / 8 * 4) & 15
			s |= packed[8+k%4] >> (k / 4 * 2) & 3 << 4
			out[i] = d * float64(int(s)-32) * float64(q)
		}
	case enc.Q4_K, enc.Q5_K:
		d, dmin, packed, qs := half(b), half(b[2:]), b[4:16], b[16:]
		var high []byte
		if f == enc.Q5_K {
			high, qs = qs[:32], qs[32:]
		}
		for i := range out {
			k, l := i/32, i%32
			q := qs[k/2*32+l] >> (k % 2 * 4) & 15
			if high != nil {
				q |= high[l] >> k & 1 << 4
			}
			s, m := scaleMin(packed, k)
			out[i] = d*float64(s)*float64(q) - dmin*float64(m)
		}
	case enc.Q6_K:
		low, high, scales, d := b[:128], b[128:192], b[192:208], half(b[208:])
		for i := range out {
			h, run, l := i/128, i%128/32, i%32
			q := low[h*64+run%2*32+l] >> (run / 2 * 4) & 15
			q |= high[h*32+l] >> (2 * run) & 3 << 4
			out[i] = d * float64(int8(scales[i/16])) * float64(int(q)-32)
		}
	case enc.IQ4XS:
		d, above, below, qs := half(b), binary.LittleEndian.Uint16(b[2:]), b[4:8], b[8:]
		for i := range out {
			k, l := i/32, i%32
			s := below[k/2]>>(k%2*4)&15 | byte(above>>(2*k)&3)<<4
			q := qs[k*16+l%16] >> (l / 16 * 4) & 15
			out[i] = d * float64(int(s)-32) * iq4Values[q]
		}
	default:
		return fmt.Errorf("block format %s is %w", f, ErrUnsupported)
	}
	return nil
}

func half(b []byte) float64 { return float64(enc.F16ToF32(binary.LittleEndian.Uint16(b))) }

// iq4Values are the sixteen levels of the IQ4 formats.
var iq4Values = [16]float64{-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113}

// scaleMin unpacks the six-bit scale and minimum of run k of a Q4_K or Q5_K
// block: the first four runs have bytes of their own, whose top bits the last
// four borrow.
func scaleMin(p []byte, k int) (scale, minimum byte) {
	if k < 4 {
		return p[k] & 63, p[k+4] & 63
	}
	return p[k+4]&15 | p[k-4]>>6<<4, p[k+4]>>4 | p[k]>>6<<4
}

// encodeBlock quantizes 32 numbers as GGUF's reference quantizers do, in
// float32, ties away from zero: the whole definition of these formats as a
// target. The other formats search for their scales and are no function.
func encodeBlock(f enc.Format, in []float64) ([]byte, error) {
	x := make([]float32, len(in))
	var lo, hi, most float32 // least, greatest, greatest in magnitude
	for i, v := range in {
		x[i] = float32(v)
		if i == 0 {
			lo, hi = x[0], x[0]
		}
		lo, hi = min(lo, x[i]), max(hi, x[i])
		if abs32(x[i]) > abs32(most) {
			most = x[i]
		}
	}
	inverse := func(d float32) float32 {
		if d == 0 {
			return 0
		}
		return 1 / d
	}
	var b []byte
	put := func(f float32) { b = binary.LittleEndian.AppendUint16(b, enc.F32ToF16(f)) }
	switch f {
	case enc.Q8_0:
		d := abs32(most) / 127
		put(d)
		for _, v := range x {
			b = append(b, byte(int8(math.Round(float64(v*inverse(d))))))
		}
	case enc.Q4_0, enc.Q5_0:
		half := float32(8)
		if f == enc.Q5_0 {
			half = 16
		}
		d := most / -half
		put(d)
		b = packNibbles(b, f == enc.Q5_0, x, func(v float32) float32 { return float32(v*inverse(d)) + (half + 0.5) }, 2*half-1)
	case enc.Q4_1, enc.Q5_1:
		top := float32(15)
		if f == enc.Q5_1 {
			top = 31
		}
		d := (hi - lo) / top
		put(d)
		put(lo)
		b = packNibbles(b, f == enc.Q5_1, x, func(v float32) float32 { return float32((v-lo)*inverse(d)) + 0.5 }, top)
	default:
		return nil, fmt.Errorf("quantizing to %s is %w: derive weights in Q4_0, Q4_1, Q5_0, Q5_1 or Q8_0, or an affine encoding", f, ErrUnsupported)
	}
	return b, nil
}

func abs32(f float32) float32 { return float32(math.Abs(float64(f))) }

// packNibbles appends the codes of 32 numbers: fifth bits first, if the
// format has them, then number j and j+16 in one byte.
func packNibbles(b []byte, fifth bool, x []float32, code func(float32) float32, top float32) []byte {
	var high uint32
	var low [16]byte
	for j, v := range x {
		c := byte(max(0, min(top, code(v)))) // truncates
		low[j%16] |= c & 15 << (j / 16 * 4)
		high |= uint32(c>>4&1) << j
	}
	if fifth {
		b = binary.LittleEndian.AppendUint32(b, high)
	}
	return append(b, low[:]...)
}
