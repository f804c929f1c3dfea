package gemm

import (
	"fmt"
	"math"

	"github.com/heddle-ml/heddle/ops/kern"
	"github.com/heddle-ml/heddle/ops/kern/pool"
)

// Act is an activation applied to the finished product.
type Act uint8

// Activations; each is the Table function of that name.
const (
	None Act = iota
	ReLU
	Sigmoid
	Tanh
	SiLU
	GELU     // exact, by erf
	GELUTanh // by the tanh approximation
)

// Args describes one product, or a batch of products of one shape:
//
//	C = act(Alpha * A x B + Beta * Add + AddCol)
//
// Lengths and strides count floats. Batch strides may be 0 for operands that
// all products share, but not for C.
type Args struct {
	M, N, K int

	A   []float32 // M rows of K
	LDA int       // distance between rows of A

	B      []float32 // K x N
	Form   Form      // how B lies in memory
	LDB    int       // distance between rows of B, for forms KN and NK
	Source Source    // B instead, for form Coded
	Alpha  float32   // 0 means 1

	C   []float32 // M rows of N; must not overlap A or B
	LDC int       // distance between rows of C

	Add    []float32 // M x N, or one row of N when LDAdd is 0, or nil; may be C itself
	LDAdd  int       // distance between rows of Add
	Beta   float32   // 0 means 1
	AddCol []float32 // M values, one for each row of C, or nil (convolution's bias)

	Act Act

	// Batch is the number of products; 0 means 1. The strides lead from one
	// product to the next. AddCol is shared.
	Batch                                int
	StrideA, StrideB, StrideC, StrideAdd int

	// Scratch holds parts of B while they are packed or decoded: Runner.Scratch
	// floats, none for form Packed.
	Scratch []float32
}

// Runner runs float32 products on a table's kernels and a pool's workers. It
// allocates when it is made and never after. One goroutine may use it at a
// time.
type Runner struct {
	p   *pool.Pool
	job job
}

// New returns a Runner. p may be nil: everything then runs on the caller.
func New(t *kern.Table, p *pool.Pool) *Runner {
	return &Runner{p: p, job: job{t: t, workers: make([]worker, p.Workers())}}
}

// worker is what one worker needs while it works, kept in the heap since the
// kernels are called through pointers.
type worker struct {
	tile kern.Tile
	rows kern.Rows
	edge [mr * nr]float32 // the tile of the last panel when N is no multiple of NR
	_    [64]byte         // keeps workers on separate cache lines
}

// Tuning. Times are rough figures for one core of a current machine and decide
// only how work is cut.
const (
	blockK         = 256     // rows of a panel (16 KiB) that stay in the first-level cache
	thinK          = 8192    // the same when A has few rows, and reuse does not matter
	thinM          = 2 * mr  // "few"
	blockM         = 16 * mr // rows of A in a task: 96 KiB of A at blockK
	taskNs         = 8000    // least time worth a task of its own
	maxWide        = 16      // most panels in a task
	onTheFlyFloats = 1 << 16 // most floats packed at a time by one worker
)

// plan is how a product is cut into tasks.
type plan struct {
	mb, nb         int // rows of A and panels of B in a task
	mBlocks, tasks int
	nBlocks        int
}

func planFor(a *Args, workers int) plan {
	var p plan
	panels := Panels(a.N)
	blocks := (a.M + blockM - 1) / blockM
	p.mb = roundUp((a.M+blocks-1)/blocks, mr)
	panelNs := float64(a.K+1) * max(0.6*float64(p.mb), 4.3)
	p.nb = min(max(1, int(taskNs/panelNs)), maxWide, panels)
	if a.Form != Packed && !a.thin() {
		p.nb = min(p.nb, max(1, onTheFlyFloats/(nr*max(a.K, 1))))
		// Each task packs its own panels, so rows are divided only as far as is
		// needed to occupy the workers.
		p.nBlocks = (panels + p.nb - 1) / p.nb
		want := (2*workers + p.nBlocks*batch(a) - 1) / (p.nBlocks * batch(a))
		blocks = min(blocks, want)
		p.mb = roundUp((a.M+blocks-1)/blocks, mr)
	}
	p.mBlocks = (a.M + p.mb - 1) / p.mb
	p.nBlocks = (panels + p.nb - 1) / p.nb
	p.tasks = batch(a) * p.mBlocks * p.nBlocks
	return p
}

func roundUp(n, to int) int { return (n + to - 1) / to * to }

func batch(a *Args) int { return max(a.Batch, 1) }

// Scratch returns the number of floats that a.Scratch must have. It depends on
// M, N, K, Form and Batch only, and is 0 for sizes that Mul refuses.
func (r *Runner) Scratch(a *Args) int {
	if a.Form == Packed || a.M <= 0 || a.N <= 0 || a.K <= 0 || !a.plausible() {
		return 0
	}
	var each int
	switch {
	case a.thin():
		if a.Form == Coded {
			each = nr * a.K
		}
	default:
		each = planFor(a, r.p.Workers()).nb * nr * a.K
		if a.Form == Coded {
			each += a.K
		}
	}
	return r.p.Workers() * each
}

// Mul computes the products. It fails, having written nothing, if an operand
// is too short for the shape.
func (r *Runner) Mul(a *Args) error {
	if err := a.check(); err != nil {
		return err
	}
	if a.M == 0 || a.N == 0 {
		return nil
	}
	if need := r.Scratch(a); len(a.Scratch) < need {
		return fmt.Errorf("gemm: scratch has %d floats, %d x %d x %d needs %d", len(a.Scratch), a.M, a.K, a.N, need)
	}
	j := &r.job
	j.Args, j.plan = *a, planFor(a, r.p.Workers())
	if j.Alpha == 0 {
		j.Alpha = 1
	}
	if j.Beta == 0 {
		j.Beta = 1
	}
	// Tasks that touch the same panels are neighbours, and small products run
	// on the caller: a panel and rows too few to fill a task are one task.
	err := r.p.For(j.tasks, 1, j)
	j.Args = Args{}
	return err
}

// check reports the first operand that does not fit the shape.
func (a *Args) check() error {
	for _, v := range [...]int{a.M, a.N, a.K, a.LDA, a.LDB, a.LDC, a.LDAdd, a.StrideA, a.StrideB, a.StrideC, a.StrideAdd, a.Batch} {
		if v < 0 {
			return fmt.Errorf("gemm: negative size or stride in %d x %d x %d", a.M, a.K, a.N)
		}
	}
	if a.M == 0 || a.N == 0 {
		return nil
	}
	if !a.plausible() {
		return fmt.Errorf("gemm: %d x %d x %d (batch %d) is out of range", a.M, a.K, a.N, batch(a))
	}
	b := batch(a)
	switch {
	case a.K > 0 && !fits(len(a.A), b, a.StrideA, a.M, a.LDA, a.K):
		return a.short("A", len(a.A))
	case !fits(len(a.C), b, a.StrideC, a.M, a.LDC, a.N):
		return a.short("C", len(a.C))
	case a.M > 1 && a.LDC == 0 || b > 1 && a.StrideC == 0:
		return fmt.Errorf("gemm: rows of C overlap: give LDC and StrideC")
	case a.Add != nil && !fits(len(a.Add), b, a.StrideAdd, a.M, a.LDAdd, a.N):
		return a.short("Add", len(a.Add))
	case a.AddCol != nil && len(a.AddCol) < a.M:
		return a.short("AddCol", len(a.AddCol))
	case a.Act > GELUTanh:
		return fmt.Errorf("gemm: unknown activation %d", a.Act)
	}
	if a.K == 0 {
		return nil
	}
	ok := false
	switch a.Form {
	case Coded:
		if ok = a.Source != nil; !ok {
			return fmt.Errorf("gemm: form Coded without a Source")
		}
	case Packed:
		ok = fits(len(a.B), b, a.StrideB, Panels(a.N), nr*a.K, nr*a.K)
	case KN:
		ok = fits(len(a.B), b, a.StrideB, a.K, a.LDB, a.N)
	case NK:
		ok = fits(len(a.B), b, a.StrideB, a.N, a.LDB, a.K)
	}
	if !ok {
		return a.short("B", len(a.B))
	}
	return nil
}

// plausible reports whether every product of two sizes, and that of C's, is far
// from overflow. Operands in memory always are.
func (a *Args) plausible() bool {
	const limit = math.MaxInt / 64
	return a.M <= limit/a.N && batch(a) <= limit/(a.M*a.N) && (a.K == 0 || max(a.M, a.N) <= limit/a.K)
}

func (a *Args) short(name string, n int) error {
	return fmt.Errorf("gemm: %s with %d floats is too short for %d x %d x %d (batch %d)", name, n, a.M, a.K, a.N, batch(a))
}

// job is a product being computed: the Task given to the pool.
type job struct {
	Args
	plan
	t       *kern.Table
	workers []worker
}

// Run implements pool.Task.
func (j *job) Run(w, lo, hi int) {
	for i := lo; i < hi; i++ {
		m := i % j.mBlocks
		n := i / j.mBlocks % j.nBlocks
		j.block(w, i/j.mBlocks/j.nBlocks, m*j.mb, min((m+1)*j.mb, j.M), n*j.nb, min((n+1)*j.nb, Panels(j.N)))
	}
}

// block computes rows r0 to r1 of the columns of panels p0 to p1 of product b.
func (j *job) block(w, b, r0, r1, p0, p1 int) {
	if j.thin() {
		j.inPlace(w, b, p0*nr, min(p1*nr, j.N))
		return
	}
	panels := j.panels(w, b, p0, p1)
	a := j.A[b*j.StrideA:]
	c := j.C[b*j.StrideC:]
	add := j.Add
	if add != nil {
		add = add[b*j.StrideAdd:]
	}
	kc := blockK
	if r1-r0 <= thinM {
		kc = thinK
	}
	for k0 := 0; ; k0 += kc {
		kn := min(kc, j.K-k0)
		for p := p0; p < p1; p++ {
			j.column(&j.workers[w], a, c, add, panels, (p-p0)*j.K*nr, p*nr, k0, kn, r0, r1)
		}
		if k0+kn == j.K {
			break
		}
	}
	if j.Act != None || j.AddCol != nil {
		for r := r0; r < r1; r++ {
			j.finish(c[r*j.LDC+p0*nr:r*j.LDC+min(p1*nr, j.N)], r)
		}
	}
}

// column computes the tiles of one panel, for kn rows of B from k0 on.
func (j *job) column(w *worker, a, c, add, panels []float32, panel, col, k0, kn, r0, r1 int) {
	t := &w.tile
	*t = kern.Tile{LDA: j.LDA, LDC: j.LDC, K: kn, Alpha: j.Alpha}
	if kn > 0 {
		t.B = &panels[panel+k0*nr]
	}
	ldAdd := j.LDAdd
	switch {
	case k0 > 0: // continue the sum
		add, ldAdd, t.Beta = c, j.LDC, 1
	case add != nil:
		t.Beta = j.Beta
	}
	t.LDAdd = ldAdd
	width := min(nr, j.N-col)
	for r := r0; r < r1; r += mr {
		t.Rows = min(mr, r1-r)
		if kn > 0 {
			t.A = &a[r*j.LDA+k0]
		}
		if add != nil {
			t.Add = &add[r*ldAdd+col]
		}
		t.C = &c[r*j.LDC+col]
		if width == nr {
			j.t.Tile(t)
			continue
		}
		// The last panel is wider than C: compute aside, copy what is wanted.
		if add != nil {
			for i := range t.Rows {
				copy(w.edge[i*nr:][:width], add[(r+i)*ldAdd+col:])
			}
			t.Add, t.LDAdd = &w.edge[0], nr
		}
		t.C, t.LDC = &w.edge[0], nr
		j.t.Tile(t)
		for i := range t.Rows {
			copy(c[(r+i)*j.LDC+col:][:width], w.edge[i*nr:])
		}
		t.LDC, t.LDAdd = j.LDC, ldAdd
	}
}

// panels returns B's panels from p0 on, packing them first if they are not.
func (j *job) panels(w, b, p0, p1 int) []float32 {
	if j.K == 0 {
		return nil
	}
	if j.Form == Packed {
		return j.B[b*j.StrideB+p0*j.K*nr:]
	}
	size := j.nb * nr * j.K
	if j.Form == Coded {
		row := j.Scratch[w*(size+j.K):][:j.K]
		dst := j.Scratch[w*(size+j.K)+j.K:][:size]
		if p1 == Panels(j.N) {
			clear(dst) // the last panel's missing columns
		}
		for c := p0 * nr; c < min(p1*nr, j.N); c++ {
			j.Source.Decode(row, c)
			scatter(dst[(c/nr-p0)*nr*j.K:], row, c%nr)
		}
		return dst
	}
	src := j.B[b*j.StrideB:]
	dst := j.Scratch[w*size:][:size]
	for p := p0; p < p1; p++ {
		c := p * nr
		packPanel(dst[(p-p0)*nr*j.K:], src, j.K, c, min(nr, j.N-c), j.LDB, j.Form)
	}
	return dst
}

// finish adds the row's constant and applies the activation to part of a row.
func (j *job) finish(c []float32, row int) {
	if j.AddCol != nil {
		v := j.AddCol[row]
		for i := range c {
			c[i] += v
		}
	}
	switch j.Act {
	case ReLU:
		for i, x := range c {
			c[i] = max(x, 0)
		}
	case Sigmoid:
		j.t.Sigmoid(c, c)
	case Tanh:
		j.t.Tanh(c, c)
	case SiLU:
		j.t.SiLU(c, c)
	case GELU:
		j.t.GELU(c, c)
	case GELUTanh:
		j.t.GELUTanh(c, c)
	}
}
