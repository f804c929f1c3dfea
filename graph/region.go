package graph

import (
	"encoding/binary"
	"slices"
)

// region is a copy between two planes, counted in units: where it begins and
// the loops over it, outermost first.
type region struct {
	dst, src int
	loops    []loop
}

type loop struct{ n, dst, src int } // count and strides

// simplify drops loops of one and merges those that are one loop in both
// planes.
func (r *region) simplify() {
	out := r.loops[:0]
	for _, l := range r.loops {
		switch k := len(out) - 1; {
		case l.n == 1:
		case k >= 0 && out[k].dst == l.n*l.dst && out[k].src == l.n*l.src:
			out[k] = loop{out[k].n * l.n, l.dst, l.src}
		default:
			out = append(out, l)
		}
	}
	r.loops = out
}

// contiguous tells that the units lie in the same order and without gaps.
func (r *region) contiguous() bool {
	return len(r.loops) == 0 || len(r.loops) == 1 && r.loops[0].src == 1 && r.loops[0].dst == 1
}

// tile is the side of the squares that a transposition goes through: as many
// cache lines of the source as there are columns stay in the first-level
// cache until each has been used up.
const tile = 32

// move copies units of the given size; nibbles are or'ed into dst, which
// begins as zeros.
func move(dst, src []byte, r region, bits int) {
	if slices.ContainsFunc(r.loops, func(l loop) bool { return l.n == 0 }) {
		return
	}
	if len(r.loops) == 0 {
		r.loops = []loop{{1, 1, 1}}
	}
	inner := r.loops[len(r.loops)-1]
	rest := r.loops[:len(r.loops)-1]
	if inner.src == 1 && inner.dst == 1 || len(rest) == 0 {
		each(rest, r.dst, r.src, func(d, s int) { moveRow(dst, src, d, s, inner, bits) })
		return
	}
	// The other loop of the transposition is the one whose steps through the
	// source are the shortest.
	k := 0
	for i, l := range rest {
		if l.src < rest[k].src {
			k = i
		}
	}
	outer := rest[k]
	rest = slices.Delete(slices.Clone(rest), k, k+1)
	each(rest, r.dst, r.src, func(d, s int) {
		for i := 0; i < outer.n; i += tile {
			for j := 0; j < inner.n; j += tile {
				row := loop{min(tile, inner.n-j), inner.dst, inner.src}
				for k := i; k < min(i+tile, outer.n); k++ {
					moveRow(dst, src, d+k*outer.dst+j*inner.dst, s+k*outer.src+j*inner.src, row, bits)
				}
			}
		}
	})
}

// each calls f with the places that the loops go through.
func each(loops []loop, d, s int, f func(d, s int)) {
	if len(loops) == 0 {
		f(d, s)
		return
	}
	for range loops[0].n {
		each(loops[1:], d, s, f)
		d, s = d+loops[0].dst, s+loops[0].src
	}
}

// moveRow copies l.n units from unit s of src to unit d of dst.
func moveRow(dst, src []byte, d, s int, l loop, bits int) {
	le := binary.LittleEndian
	unit := bits / 8
	contiguous := l.src == 1 && l.dst == 1
	switch {
	case bits == 4:
		if contiguous && d%2 == 0 && s%2 == 0 {
			whole := l.n / 2 * 2
			copy(dst[d/2:(d+whole)/2], src[s/2:(s+whole)/2])
			d, s, l.n = d+whole, s+whole, l.n-whole
		}
		for range l.n {
			dst[d/2] |= src[s/2] >> (s % 2 * 4) & 15 << (d % 2 * 4)
			d, s = d+l.dst, s+l.src
		}
	case contiguous:
		copy(dst[d*unit:(d+l.n)*unit], src[s*unit:(s+l.n)*unit])
	case unit == 1:
		for range l.n {
			dst[d] = src[s]
			d, s = d+l.dst, s+l.src
		}
	case unit == 2:
		for range l.n {
			le.PutUint16(dst[2*d:], le.Uint16(src[2*s:]))
			d, s = d+l.dst, s+l.src
		}
	case unit == 4:
		for range l.n {
			le.PutUint32(dst[4*d:], le.Uint32(src[4*s:]))
			d, s = d+l.dst, s+l.src
		}
	case unit == 8:
		for range l.n {
			le.PutUint64(dst[8*d:], le.Uint64(src[8*s:]))
			d, s = d+l.dst, s+l.src
		}
	default: // blocks
		for range l.n {
			copy(dst[d*unit:(d+1)*unit], src[s*unit:])
			d, s = d+l.dst, s+l.src
		}
	}
}
