package wire

import "encoding/binary"

// AppendBytes appends a length of four bytes and b.
func AppendBytes[T string | []byte](to []byte, b T) []byte {
	return append(binary.LittleEndian.AppendUint32(to, uint32(len(b))), b...)
}

// Reader takes a payload apart. After the first thing that is not there it
// gives zeros, and Err says what was wrong.
type Reader struct {
	b   []byte
	err error
}

// NewReader reads b.
func NewReader(b []byte) *Reader { return &Reader{b: b} }

func (r *Reader) take(n int) []byte {
	if r.err != nil || n < 0 || n > len(r.b) {
		if r.err == nil {
			r.err = garbage("a message that ends early")
		}
		return nil
	}
	out := r.b[:n:n]
	r.b = r.b[n:]
	return out
}

// U8 reads a byte.
func (r *Reader) U8() uint8 {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

// U32 reads four bytes.
func (r *Reader) U32() uint32 {
	if b := r.take(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

// U64 reads eight bytes.
func (r *Reader) U64() uint64 {
	if b := r.take(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

// I64 reads eight bytes.
func (r *Reader) I64() int64 { return int64(r.U64()) }

// Bytes reads what AppendBytes wrote; the result is part of the payload.
func (r *Reader) Bytes() []byte {
	n := r.U32()
	if uint64(n) > uint64(len(r.b)) {
		n = uint32(len(r.b)) + 1 // reported by take
	}
	return r.take(int(n))
}

// String reads what AppendBytes wrote.
func (r *Reader) String() string { return string(r.Bytes()) }

// Count reads the length of a list, of which each item takes at least size
// bytes: no list is longer than what arrived.
func (r *Reader) Count(size int) int {
	n := r.U32()
	if r.err == nil && uint64(n)*uint64(size) > uint64(len(r.b)) {
		r.err = garbage("a list of %d items in %d bytes", n, len(r.b))
	}
	if r.err != nil {
		return 0
	}
	return int(n)
}

// Rest reads all that is left.
func (r *Reader) Rest() []byte { return r.take(len(r.b)) }

// Err says what was wrong; bytes that are left over are.
func (r *Reader) Err() error {
	if r.err == nil && len(r.b) > 0 {
		return garbage("%d bytes after the end of a message", len(r.b))
	}
	return r.err
}
