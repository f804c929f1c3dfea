package resample

import (
	"runtime"
	"sync"
)

// pass resizes rows first and columns second, rounding to eight bits in
// between. Rows of the intermediate picture live only as long as output rows
// still need them: a ring per goroutine instead of a whole picture, which also
// stays in the cache.
type pass struct {
	dst, src Image
	h, v     *taps // nil: that axis keeps its size
	x0, y0   int   // the window's corner, used along an axis that keeps its size
}

// rowsPerWorker keeps a goroutine's share large against the rows it shares
// with its neighbour and has to compute again.
const rowsPerWorker = 32

// maxWorkers bounds the fan-out: beyond it memory, not arithmetic, is the limit.
const maxWorkers = 16

func (p *pass) run() {
	workers := min(runtime.GOMAXPROCS(0), maxWorkers, max(p.dst.H/rowsPerWorker, 1))
	if workers == 1 {
		p.rows(0, p.dst.H)
		return
	}
	var wg sync.WaitGroup
	for i := range workers {
		lo, hi := p.dst.H*i/workers, p.dst.H*(i+1)/workers
		wg.Go(func() { p.rows(lo, hi) })
	}
	wg.Wait()
}

// rows computes output rows lo..hi-1.
func (p *pass) rows(lo, hi int) {
	n := p.dst.W * p.dst.Channels
	if p.v == nil {
		for y := lo; y < hi; y++ {
			p.horizontal(p.dst.Pix[y*n:(y+1)*n], p.y0+y)
		}
		return
	}
	r := ring{pass: p, rows: make([][]uint8, p.v.width)}
	if p.h != nil {
		backing := make([]uint8, len(r.rows)*n)
		for i := range r.rows {
			r.rows[i] = backing[i*n : (i+1)*n]
		}
	}
	sums := make([]int32, n)
	for y := lo; y < hi; y++ {
		first, weights := p.v.at(y)
		r.need(first, first+len(weights))
		vertical(p.dst.Pix[y*n:(y+1)*n], sums, weights, &r, first)
	}
}

// ring holds the last rows of the intermediate picture, row y at y modulo the
// ring's length. Needed ranges never move backwards.
type ring struct {
	pass *pass
	rows [][]uint8
	next int // rows before next have been computed
}

func (r *ring) at(y int) []uint8 { return r.rows[y%len(r.rows)] }

func (r *ring) need(lo, hi int) {
	for y := max(r.next, lo); y < hi; y++ {
		if slot := &r.rows[y%len(r.rows)]; r.pass.h != nil {
			r.pass.horizontal(*slot, y)
		} else {
			*slot = r.pass.sourceRow(y)
		}
	}
	r.next = max(r.next, hi)
}

// sourceRow returns the window's part of source row y of a picture that keeps
// its width.
func (p *pass) sourceRow(y int) []uint8 {
	c := p.src.Channels
	at := (y*p.src.W + p.x0) * c
	return p.src.Pix[at : at+p.dst.W*c]
}

// horizontal resizes source row y into dst.
func (p *pass) horizontal(dst []uint8, y int) {
	if p.h == nil {
		copy(dst, p.sourceRow(y))
		return
	}
	c := p.src.Channels
	row := p.src.Pix[y*p.src.W*c : (y+1)*p.src.W*c]
	switch c {
	case 1:
		horizontal1(dst, row, p.h)
	case 3:
		horizontal3(dst, row, p.h)
	case 4:
		horizontal4(dst, row, p.h)
	}
}

func horizontal1(dst, row []uint8, t *taps) {
	for x := range dst {
		lo, weights := t.at(x)
		s := int32(half)
		in := row[lo : lo+len(weights)]
		for i, w := range weights {
			s += w * int32(in[i])
		}
		dst[x] = clip(s)
	}
}

func horizontal3(dst, row []uint8, t *taps) {
	for x := range t.span {
		lo, weights := t.at(x)
		s0, s1, s2 := int32(half), int32(half), int32(half)
		in := row[lo*3:]
		for _, w := range weights {
			if len(in) < 3 {
				break // never: lo and weights lie within the row. It spares the bounds checks
			}
			s0 += w * int32(in[0])
			s1 += w * int32(in[1])
			s2 += w * int32(in[2])
			in = in[3:]
		}
		out := dst[x*3 : x*3+3 : x*3+3]
		out[0], out[1], out[2] = clip(s0), clip(s1), clip(s2)
	}
}

func horizontal4(dst, row []uint8, t *taps) {
	for x := range t.span {
		lo, weights := t.at(x)
		s0, s1, s2, s3 := int32(half), int32(half), int32(half), int32(half)
		in := row[lo*4:]
		for _, w := range weights {
			if len(in) < 4 {
				break
			}
			s0 += w * int32(in[0])
			s1 += w * int32(in[1])
			s2 += w * int32(in[2])
			s3 += w * int32(in[3])
			in = in[4:]
		}
		out := dst[x*4 : x*4+4 : x*4+4]
		out[0], out[1], out[2], out[3] = clip(s0), clip(s1), clip(s2), clip(s3)
	}
}

// vertical writes the weighted sum of rows first, first+1, ... to dst. Whole
// rows are added to sums, four at a time, so that memory is read in order.
func vertical(dst []uint8, sums []int32, weights []int32, r *ring, first int) {
	for i := range sums {
		sums[i] = half
	}
	y := first
	for ; len(weights) >= 4; weights, y = weights[4:], y+4 {
		w0, w1, w2, w3 := weights[0], weights[1], weights[2], weights[3]
		a := r.at(y)[:len(sums)]
		b := r.at(y + 1)[:len(sums)]
		c := r.at(y + 2)[:len(sums)]
		d := r.at(y + 3)[:len(sums)]
		for i := range sums {
			sums[i] += w0*int32(a[i]) + w1*int32(b[i]) + w2*int32(c[i]) + w3*int32(d[i])
		}
	}
	for ; len(weights) > 0; weights, y = weights[1:], y+1 {
		w := weights[0]
		a := r.at(y)[:len(sums)]
		for i := range sums {
			sums[i] += w * int32(a[i])
		}
	}
	dst = dst[:len(sums)]
	for i, s := range sums {
		dst[i] = clip(s)
	}
}

// clip rounds a fixed-point sum, which already contains half, to eight bits.
func clip(s int32) uint8 {
	s >>= fracBits
	if uint32(s) > 255 {
		if s < 0 {
			return 0
		}
		return 255
	}
	return uint8(s)
}
