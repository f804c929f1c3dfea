package kern

import "unsafe"

// tileGeneric is the portable Table.Tile. It walks the panel in blocks of two
// rows by four columns, whose eight sums and operands fit in the registers
// that Go's compiler has for floats on every architecture.
func tileGeneric(t *Tile) {
	if t.K < 0 || t.Rows <= 0 {
		return
	}
	b := unsafe.Slice(t.B, t.K*NR)
	for r := 0; r < t.Rows; r += 2 {
		second := min(r+1, t.Rows-1) // an odd last row is computed twice
		a0, a1 := t.row(r), t.row(second)
		for c := 0; c < NR; c += 4 {
			var s00, s01, s02, s03, s10, s11, s12, s13 float32
			a1 := a1[:len(a0)]
			for k, x := range a0 {
				y := a1[k]
				p := (*[4]float32)(b[k*NR+c:])
				s00 += x * p[0]
				s01 += x * p[1]
				s02 += x * p[2]
				s03 += x * p[3]
				s10 += y * p[0]
				s11 += y * p[1]
				s12 += y * p[2]
				s13 += y * p[3]
			}
			t.store(r, c, s00, s01, s02, s03)
			if second != r {
				t.store(second, c, s10, s11, s12, s13)
			}
		}
	}
}

// row returns row r of A. With K = 0 there may be no memory to point at.
func (t *Tile) row(r int) []float32 {
	if t.K == 0 {
		return nil
	}
	return unsafe.Slice((*float32)(unsafe.Add(unsafe.Pointer(t.A), r*t.LDA*4)), t.K)
}

func (t *Tile) store(r, c int, s0, s1, s2, s3 float32) {
	out := (*[4]float32)(unsafe.Add(unsafe.Pointer(t.C), (r*t.LDC+c)*4))
	s0, s1, s2, s3 = s0*t.Alpha, s1*t.Alpha, s2*t.Alpha, s3*t.Alpha
	if t.Add != nil {
		add := (*[4]float32)(unsafe.Add(unsafe.Pointer(t.Add), (r*t.LDAdd+c)*4))
		s0 += t.Beta * add[0]
		s1 += t.Beta * add[1]
		s2 += t.Beta * add[2]
		s3 += t.Beta * add[3]
	}
	out[0], out[1], out[2], out[3] = s0, s1, s2, s3
}

// row returns row j of the matrix.
func (r *Rows) row(j int) []float32 {
	if r.D == 0 {
		return nil
	}
	return unsafe.Slice((*float32)(unsafe.Add(unsafe.Pointer(r.M), j*r.Stride*4)), r.D)
}

func dotGeneric(r *Rows) {
	if r.N <= 0 {
		return
	}
	x, y := unsafe.Slice(r.X, r.D), unsafe.Slice(r.Y, r.N)
	for j := range y {
		y[j] = dot(x, r.row(j))
	}
}

func dot(x, m []float32) float32 {
	var s0, s1, s2, s3 float32
	m = m[:len(x)]
	i := 0
	for ; i+4 <= len(x); i += 4 {
		p, q := (*[4]float32)(x[i:]), (*[4]float32)(m[i:])
		s0 += p[0] * q[0]
		s1 += p[1] * q[1]
		s2 += p[2] * q[2]
		s3 += p[3] * q[3]
	}
	for ; i < len(x); i++ {
		s0 += x[i] * m[i]
	}
	return (s0 + s1) + (s2 + s3)
}

func axpyGeneric(r *Rows) {
	if r.N <= 0 {
		return
	}
	x, y := unsafe.Slice(r.X, r.N), unsafe.Slice(r.Y, r.D)
	for j, w := range x {
		m := r.row(j)
		for d := range m {
			y[d] += w * m[d]
		}
	}
}
