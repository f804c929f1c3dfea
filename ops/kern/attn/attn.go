package attn

import (
	"fmt"
	"math"

	"github.com/heddle-ml/heddle/ops/kern"
	"github.com/heddle-ml/heddle/ops/kern/pool"
)

// Args describes the attention of one sequence (one element of a batch), with
// h running over query heads and t over query rows:
//
//	score[j] = softcap(Scale * Q[h,t] . K[h',j]) + Mask[h,t,j]     for visible keys j < Tk
//	Out[h,t] = sum over j of softmax(score)[j] * V[h',j]
//
// where h' = h / (Heads/KVHeads) and softcap(x) = Softcap*tanh(x/Softcap). A
// row that sees no key, or whose keys are all masked with -Inf, gives zeros.
//
// Rows are contiguous; strides count floats and lead to the next row or head.
// K and V are usually a cache with room for more rows than Tk, which are never
// read. Rows that Causal or Mask hides may be read and must hold finite values.
type Args struct {
	Heads, KVHeads int // query heads, a multiple of key/value heads
	Tq, Tk         int // query rows; valid key rows
	D, Dv          int // head sizes of Q and K, and of V and Out

	Q           []float32
	QRow, QHead int
	K           []float32
	KRow, KHead int
	V           []float32
	VRow, VHead int
	Out         []float32 // must not overlap the inputs
	ORow, OHead int

	Scale float32 // usually 1/sqrt(D)

	// Causal limits row t to keys j <= Offset+t. Offset is the number of keys
	// before the first query; it may be negative.
	Causal bool
	Offset int

	Mask              []float32 // added to the scores; nil for none
	MaskRow, MaskHead int       // 0 repeats one row or head

	Softcap float32 // 0 for none

	Scratch []float32 // Runner.Scratch floats
}

// Runner runs attention on a table's kernels and a pool's workers. It allocates
// when it is made and never after. One goroutine may use it at a time.
type Runner struct {
	p   *pool.Pool
	job job
}

// New returns a Runner. p may be nil: everything then runs on the caller.
func New(t *kern.Table, p *pool.Pool) *Runner {
	return &Runner{p: p, job: job{t: t, calls: make([]call, p.Workers())}}
}

// call holds a worker's kernel parameters, in the heap since kernels are called
// through pointers.
type call struct {
	tile kern.Tile
	rows kern.Rows
	_    [64]byte
}

const (
	nr       = kern.NR
	rowBlock = 16 * kern.MR // most query rows in a task
	keyBlock = 64           // keys in a step
	// Below this many rows the scores are plain dot products: packing keys and
	// values into panels would cost more than it saves.
	packRows = 8
)

// Scratch returns the number of floats that a.Scratch must have. It depends on
// D and Dv only.
func (r *Runner) Scratch(a *Args) int {
	if a.D < 0 || a.Dv < 0 {
		return 0
	}
	return r.p.Workers() * perWorker(a.D, a.Dv)
}

func pad(n int) int { return (n + nr - 1) / nr * nr }

// perWorker is the size of a worker's part of the scratch; see area.
func perWorker(d, dv int) int {
	return rowBlock*(d+keyBlock+pad(dv)+2) + keyBlock*(d+pad(dv))
}

// area is a worker's scratch for one block of rows.
type area struct {
	q          []float32 // rows x D: the queries, scaled
	s          []float32 // rows x keyBlock: scores, then weights
	o          []float32 // rows x pad(Dv): weighted values so far
	top, sum   []float32 // rows: running maximum, and sum of weights under it
	keys, vals []float32 // panels of the current keys (transposed) and values
}

func (j *job) area(w int) area {
	s := j.Scratch[w*perWorker(j.D, j.Dv):][:perWorker(j.D, j.Dv)]
	take := func(n int) []float32 {
		part := s[:n:n]
		s = s[n:]
		return part
	}
	return area{
		q: take(rowBlock * j.D), s: take(rowBlock * keyBlock), o: take(rowBlock * pad(j.Dv)),
		top: take(rowBlock), sum: take(rowBlock),
		keys: take(keyBlock * j.D), vals: take(keyBlock * pad(j.Dv)),
	}
}

// Run computes a.Out. It fails, having written nothing, if an operand is too
// short for the shape.
func (r *Runner) Run(a *Args) error {
	if err := a.check(); err != nil {
		return err
	}
	if a.Heads == 0 || a.Tq == 0 || a.Dv == 0 {
		return nil
	}
	if need := r.Scratch(a); len(a.Scratch) < need {
		return fmt.Errorf("attn: scratch has %d floats, head sizes %d and %d need %d", len(a.Scratch), a.D, a.Dv, need)
	}
	j := &r.job
	j.Args = *a
	j.group = a.Heads / a.KVHeads
	j.blocks = (a.Tq*j.group + rowBlock - 1) / rowBlock
	err := r.p.For(a.KVHeads*j.blocks, 1, j)
	j.Args = Args{}
	return err
}

// check reports the first operand that does not fit the shape.
func (a *Args) check() error {
	for _, v := range [...]int{a.Heads, a.KVHeads, a.Tq, a.Tk, a.D, a.Dv, a.QRow, a.QHead, a.KRow, a.KHead, a.VRow, a.VHead, a.ORow, a.OHead, a.MaskRow, a.MaskHead} {
		if v < 0 {
			return fmt.Errorf("attn: negative size or stride")
		}
	}
	if a.Heads == 0 || a.Tq == 0 || a.Dv == 0 {
		return nil
	}
	switch {
	case a.KVHeads == 0 || a.Heads%a.KVHeads != 0:
		return fmt.Errorf("attn: %d query heads cannot share %d key/value heads", a.Heads, a.KVHeads)
	case a.Tk > math.MaxInt/2 || a.Offset > math.MaxInt/2 || a.Offset < math.MinInt/2:
		return fmt.Errorf("attn: %d keys at offset %d: out of range", a.Tk, a.Offset)
	case a.Softcap < 0:
		return fmt.Errorf("attn: softcap %v is negative", a.Softcap)
	case !fits(len(a.Q), a.Heads, a.QHead, a.Tq, a.QRow, a.D):
		return a.short("Q", len(a.Q))
	case !fits(len(a.Out), a.Heads, a.OHead, a.Tq, a.ORow, a.Dv):
		return a.short("Out", len(a.Out))
	case a.Tq > 1 && a.ORow == 0 || a.Heads > 1 && a.OHead == 0:
		return fmt.Errorf("attn: rows of Out overlap: give ORow and OHead")
	case a.Tk > 0 && !fits(len(a.K), a.KVHeads, a.KHead, a.Tk, a.KRow, a.D):
		return a.short("K", len(a.K))
	case a.Tk > 0 && !fits(len(a.V), a.KVHeads, a.VHead, a.Tk, a.VRow, a.Dv):
		return a.short("V", len(a.V))
	case a.Tk > 0 && a.Mask != nil && !fits(len(a.Mask), a.Heads, a.MaskHead, a.Tq, a.MaskRow, a.Tk):
		return a.short("Mask", len(a.Mask))
	}
	return nil
}

func (a *Args) short(name string, n int) error {
	return fmt.Errorf("attn: %s with %d floats is too short for %d heads, %d queries, %d keys, head sizes %d and %d", name, n, a.Heads, a.Tq, a.Tk, a.D, a.Dv)
}

// fits reports whether heads blocks, step apart, each of rows rows, ld apart,
// of cols floats, lie within n floats. It cannot overflow.
func fits(n, heads, step, rows, ld, cols int) bool {
	n -= cols
	if n < 0 {
		return false
	}
	if rows > 1 {
		if ld > n/(rows-1) {
			return false
		}
		n -= ld * (rows - 1)
	}
	return heads <= 1 || step <= n/(heads-1)
}

// job is an attention being computed: the Task given to the pool.
type job struct {
	Args
	t      *kern.Table
	calls  []call
	group  int // query heads per key/value head
	blocks int // blocks of query rows per key/value head
}

// Run implements pool.Task. The query rows of one key/value head are counted
// through, all heads of the group for t = 0, then for t = 1, ..., so that the
// rows of a block see nearly the same keys.
func (j *job) Run(w, lo, hi int) {
	for i := lo; i < hi; i++ {
		// Later rows see more keys under a causal mask: they start first.
		b := j.blocks - 1 - i%j.blocks
		j.block(w, i/j.blocks, b*rowBlock, min((b+1)*rowBlock, j.Tq*j.group))
	}
}

// at returns the head and the row of row r of key/value head kv.
func (j *job) at(kv, r int) (head, t int) { return kv*j.group + r%j.group, r / j.group }

// visible returns the number of keys that row t may see.
func (j *job) visible(t int) int {
	if !j.Causal {
		return j.Tk
	}
	return min(max(j.Offset+t+1, 0), j.Tk)
}

func (j *job) block(w, kv, r0, r1 int) {
	s := j.area(w)
	rows := r1 - r0
	for i := range rows {
		head, t := j.at(kv, r0+i)
		j.t.Scale(s.q[i*j.D:][:j.D], j.Q[head*j.QHead+t*j.QRow:], 0, j.Scale, nil, nil)
		s.top[i], s.sum[i] = float32(math.Inf(-1)), 0
	}
	width := pad(j.Dv)
	clear(s.o[:rows*width])
	_, last := j.at(kv, r1-1)
	keys := j.visible(last)
	for k0 := 0; k0 < keys; k0 += keyBlock {
		n := min(keyBlock, keys-k0)
		k, v := j.K[kv*j.KHead+k0*j.KRow:], j.V[kv*j.VHead+k0*j.VRow:]
		if rows < packRows {
			j.thin(w, kv, r0, rows, k0, n, k, v, s)
			continue
		}
		packKeys(s.keys, k, n, j.D, j.KRow)
		j.product(w, rows, j.D, pad(n), s.q, j.D, s.keys, s.s, keyBlock, nil)
		for i := range rows {
			_, t := j.at(kv, r0+i)
			j.weights(kv, r0+i, k0, min(n, j.visible(t)-k0), s.s[i*keyBlock:][:n], s, i)
		}
		packValues(s.vals, v, n, j.Dv, j.VRow)
		j.product(w, rows, n, width, s.s, keyBlock, s.vals, s.o, width, s.o)
	}
	for i := range rows {
		head, t := j.at(kv, r0+i)
		out := j.Out[head*j.OHead+t*j.ORow:][:j.Dv]
		if s.sum[i] == 0 {
			clear(out)
			continue
		}
		j.t.Scale(out, s.o[i*width:], 0, 1/s.sum[i], nil, nil)
	}
}

// thin is a step for few rows: each takes its dot products with the keys it
// sees, and adds their values by weight.
func (j *job) thin(w, kv, r0, rows, k0, n int, k, v []float32, s area) {
	c := &j.calls[w].rows
	width := pad(j.Dv)
	for i := range rows {
		_, t := j.at(kv, r0+i)
		seen := min(n, j.visible(t)-k0)
		if seen <= 0 {
			continue
		}
		score := s.s[i*keyBlock:][:seen]
		clear(score)
		if j.D > 0 {
			*c = kern.Rows{X: &s.q[i*j.D], M: &k[0], Y: &score[0], Stride: j.KRow, N: seen, D: j.D}
			j.t.Dot(c)
		}
		j.weights(kv, r0+i, k0, seen, score, s, i)
		*c = kern.Rows{X: &score[0], M: &v[0], Y: &s.o[i*width], Stride: j.VRow, N: seen, D: j.Dv}
		j.t.Axpy(c)
	}
}

// weights turns the scores of row r (row i of the block) for keys k0 and on
// into weights under the row's running maximum, and rescales what the row has
// gathered under the former one. The row sees the first seen keys; the others
// get weight 0.
func (j *job) weights(kv, r, k0, seen int, score []float32, s area, i int) {
	if seen <= 0 {
		clear(score)
		return
	}
	clear(score[seen:])
	score = score[:seen]
	if j.Softcap > 0 {
		j.t.Scale(score, score, 0, 1/j.Softcap, nil, nil)
		j.t.Tanh(score, score)
		j.t.Scale(score, score, 0, j.Softcap, nil, nil)
	}
	if j.Mask != nil {
		head, t := j.at(kv, r)
		mask := j.Mask[head*j.MaskHead+t*j.MaskRow+k0:][:seen]
		for x, m := range mask {
			score[x] += m
		}
	}
	was := s.top[i]
	top := max(was, j.t.Max(score))
	if math.IsInf(float64(top), -1) { // nothing to see so far
		clear(score)
		return
	}
	sum := j.t.ExpSum(score, score, top)
	if top != was {
		keep := float32(math.Exp(float64(was) - float64(top)))
		s.top[i] = top
		s.sum[i] *= keep
		row := s.o[i*pad(j.Dv):][:j.Dv]
		j.t.Scale(row, row, 0, keep, nil, nil)
	}
	s.sum[i] += sum
}

// product computes c = a x b (+ add) in tiles; b is packed, n a multiple of nr.
func (j *job) product(w, m, k, n int, a []float32, lda int, b, c []float32, ldc int, add []float32) {
	t := &j.calls[w].tile
	*t = kern.Tile{LDA: lda, LDC: ldc, LDAdd: ldc, K: k, Alpha: 1, Beta: 1}
	for p := 0; p < n; p += nr {
		if k > 0 {
			t.B = &b[p*k]
		}
		for r := 0; r < m; r += kern.MR {
			t.Rows = min(kern.MR, m-r)
			if k > 0 {
				t.A = &a[r*lda]
			}
			t.C = &c[r*ldc+p]
			if add != nil {
				t.Add = &add[r*ldc+p]
			}
			j.t.Tile(t)
		}
	}
}

// packKeys writes n keys as panels of nr columns (one column per key).
func packKeys(dst, k []float32, n, d, row int) {
	for p := 0; p < n; p += nr {
		panel := dst[p*d:][:nr*d]
		cols := min(nr, n-p)
		if cols < nr {
			clear(panel)
		}
		c := 0
		for ; c+4 <= cols; c += 4 { // four at a time touch a cache line once, not four times
			at := (p + c) * row
			k0, k1, k2, k3 := k[at:][:d], k[at+row:][:d], k[at+2*row:][:d], k[at+3*row:][:d]
			for i := range k0 {
				out := (*[4]float32)(panel[i*nr+c:])
				out[0], out[1], out[2], out[3] = k0[i], k1[i], k2[i], k3[i]
			}
		}
		for ; c < cols; c++ {
			at := c
			for _, x := range k[(p+c)*row:][:d] {
				panel[at] = x
				at += nr
			}
		}
	}
}

// packValues writes n values as panels of nr columns.
func packValues(dst, v []float32, n, d, row int) {
	for p := 0; p < d; p += nr {
		panel := dst[p*n:][:nr*n]
		cols := min(nr, d-p)
		if cols < nr {
			clear(panel)
		}
		if cols == nr {
			for i := range n {
				*(*[nr]float32)(panel[i*nr:]) = *(*[nr]float32)(v[i*row+p:])
			}
			continue
		}
		for i := range n {
			copy(panel[i*nr:][:cols], v[i*row+p:])
		}
	}
}
