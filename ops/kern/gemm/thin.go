package gemm

import "github.com/heddle-ml/heddle/ops/kern"

// Source is a weight matrix in an encoding of its own, decoded as it is used.
// Its rows are the columns of B (the NK form).
type Source interface {
	// Decode writes row n, all K elements of it, to dst. It is called from
	// several goroutines at a time.
	Decode(dst []float32, n int)
}

const (
	// thinRows is the most rows of A for which an unpacked B is read in place:
	// packing would touch each element of B once more than the product does.
	thinRows = 4
	// callFloats bounds the matrix part of one assembly call.
	callFloats = 1 << 16
)

// thin reports whether the product reads B in place.
func (a *Args) thin() bool { return a.Form != Packed && a.M <= thinRows }

// inPlace computes columns c0 to c1 of product b without packing.
func (j *job) inPlace(w, b, c0, c1 int) {
	if j.K == 0 { // only the additive terms are left
		for r := range j.M {
			for c := c0; c < c1; c++ {
				j.workers[w].edge[0] = 0
				j.put(w, b, r, c, 1)
			}
		}
		return
	}
	rows, ld := j.B, j.LDB
	step := len(j.workers[w].edge)
	switch j.Form {
	case NK:
		step = min(max(callFloats/j.K, 1), step)
	case Coded:
		step = nr // the rows that scratch holds
	}
	for c := c0; c < c1; c += step {
		n := min(step, c1-c)
		var from int
		switch j.Form {
		case NK:
			from = b*j.StrideB + c*j.LDB
		case KN:
			from = b*j.StrideB + c
		case Coded:
			rows, ld = j.Scratch[w*nr*j.K:][:nr*j.K], j.K
			for i := range n {
				j.Source.Decode(rows[i*j.K:][:j.K], c+i)
			}
		}
		for r := range j.M {
			if j.Form == KN {
				j.byRows(w, j.A[b*j.StrideA+r*j.LDA:][:j.K], rows[from:], n)
			} else {
				p := &j.workers[w].rows
				*p = kern.Rows{X: &j.A[b*j.StrideA+r*j.LDA], M: &rows[from], Y: &j.workers[w].edge[0], Stride: ld, N: n, D: j.K}
				j.t.Dot(p)
			}
			j.put(w, b, r, c, n)
		}
	}
}

// byRows adds up the rows of a KN matrix, n columns of each, weighted by x.
func (j *job) byRows(w int, x, rows []float32, n int) {
	edge := &j.workers[w].edge
	clear(edge[:n])
	p := &j.workers[w].rows
	for k := 0; k < len(x); k += callFloats / len(edge) {
		*p = kern.Rows{X: &x[k], M: &rows[k*j.LDB], Y: &edge[0], Stride: j.LDB, N: min(callFloats/len(edge), len(x)-k), D: n}
		j.t.Axpy(p)
	}
}

// put writes n sums from the worker's buffer to row r of C, from column c on.
func (j *job) put(w, b, r, c, n int) {
	out := j.C[b*j.StrideC+r*j.LDC+c:][:n]
	sums := j.workers[w].edge[:n]
	if j.Add == nil {
		for i, s := range sums {
			out[i] = j.Alpha * s
		}
	} else {
		add := j.Add[b*j.StrideAdd+r*j.LDAdd+c:][:n]
		for i, s := range sums {
			out[i] = j.Alpha*s + j.Beta*add[i]
		}
	}
	j.finish(out, r)
}
