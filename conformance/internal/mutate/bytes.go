package mutate

import (
	"encoding/binary"
	"math/rand/v2"
)

// numbers are what parsers trip over.
var numbers = []int64{0, 1, 2, 3, 7, 8, 15, 16, 17, 63, 64, 65, 127, 128, 255, 256, 1<<15 - 1, 1 << 15, 1<<16 - 1, 1 << 16, 1<<31 - 1, 1 << 31, 1<<32 - 1, 1 << 32, 1<<62 - 1, 1 << 62, 1<<63 - 1,
	-1, -2, -8, -64, -(1 << 31), -(1 << 62), -(1 << 63)}

// Bytes returns a copy of b with one to four changes: bits flipped, numbers of
// 1 to 8 bytes overwritten, nudged or exchanged, stretches copied, cleared,
// inserted or taken out.
func Bytes(r *rand.Rand, b []byte) []byte {
	out := append(make([]byte, 0, len(b)+64), b...)
	for range 1 + r.IntN(4)*r.IntN(2) {
		if len(out) == 0 {
			return append(out, byte(r.Uint32()))
		}
		out = change(r, out)
	}
	return out
}

func change(r *rand.Rand, b []byte) []byte {
	at := r.IntN(len(b))
	size := 1 << r.IntN(4)
	if at = at / size * size; at+size > len(b) {
		size = 1
	}
	field := b[at : at+size]
	n := min(len(b)-at, 1+r.IntN(32))
	switch r.IntN(12) {
	case 0, 1:
		b[at] ^= 1 << r.IntN(8)
	case 2:
		b[at] = byte(r.Uint32())
	case 3, 4:
		store(field, numbers[r.IntN(len(numbers))])
	case 5, 6:
		store(field, load(field)+int64(r.IntN(9)-4))
	case 7: // exchange two fields
		if to := r.IntN(len(b)) / size * size; to+size <= len(b) {
			for i := range field {
				field[i], b[to+i] = b[to+i], field[i]
			}
		}
	case 8: // a copy of another stretch
		copy(b[at:at+n], b[r.IntN(len(b)):])
	case 9:
		clear(b[at : at+n])
	case 10: // a stretch goes, what follows moves up
		return append(b[:at], b[at+n:]...)
	case 11:
		if r.IntN(4) == 0 {
			return b[:at]
		}
		more := make([]byte, n)
		for i := range more {
			more[i] = byte(r.Uint32()) * byte(r.IntN(2))
		}
		return append(b[:at], append(more, b[at:]...)...)
	}
	return b
}

func load(f []byte) int64 {
	var buf [8]byte
	copy(buf[:], f)
	return int64(binary.LittleEndian.Uint64(buf[:]))
}

func store(f []byte, v int64) {
	var buf [8]byte
	binary.LittleEndian.PutUint64(buf[:], uint64(v))
	copy(f, buf[:])
}
