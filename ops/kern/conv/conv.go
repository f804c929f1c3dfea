package conv

import (
	"fmt"

	"github.com/heddle-ml/heddle/ops/kern"
	"github.com/heddle-ml/heddle/ops/kern/gemm"
	"github.com/heddle-ml/heddle/ops/kern/pool"
)

const nr = kern.NR

// Args describes a float32 convolution, Y = act(X * W + Bias). All tensors are
// contiguous: X is [Batch, Channels, In], W [Filters, Channels/Groups, Kernel],
// Y [Batch, Filters, Out].
type Args struct {
	Shape
	X, W, Y []float32
	Bias    []float32 // one for each filter, or nil
	Act     gemm.Act
	Scratch []float32 // Runner.Scratch floats
}

// Runner runs float32 convolutions on a table's kernels and a pool's workers.
// It allocates when it is made and never after. One goroutine may use it at a
// time.
type Runner struct {
	p    *pool.Pool
	mul  *gemm.Runner
	pack packer
}

// New returns a Runner. p may be nil: everything then runs on the caller.
func New(t *kern.Table, p *pool.Pool) *Runner {
	return &Runner{p: p, mul: gemm.New(t, p)}
}

// patchFloats bounds the patches that are packed at a time, so that they are
// still in the second-level cache when they are multiplied.
const patchFloats = 1 << 17

// depth is the number of elements in a patch of one group.
func (s *Shape) depth() int { return s.Channels / s.Groups * volume(s.Kernel) }

// pointwise reports whether patches are the input itself.
func (s *Shape) pointwise() bool {
	one := [3]int{1, 1, 1}
	return s.Kernel == one && s.Stride == one && s.PadBegin == [3]int{} && s.In == s.Out
}

// chunk is the number of panels packed at a time. Several, so that the workers
// have something to share even when patches are deep.
func (s *Shape) chunk() int {
	return min(max(patchFloats/(nr*max(s.depth(), 1)), 4), gemm.Panels(volume(s.Out)))
}

// Scratch returns the number of floats that a.Scratch must have. It depends on
// the shape only, and is 0 for a shape that Run refuses.
func (r *Runner) Scratch(a *Args) int {
	if a.check(int(^uint(0)>>1), -1, int(^uint(0)>>1)) != nil {
		return 0
	}
	if a.pointwise() {
		m := r.args(a, volume(a.Out))
		return r.mul.Scratch(&m)
	}
	return a.chunk() * nr * a.depth()
}

// args is the product for one group and n output positions.
func (r *Runner) args(a *Args, n int) gemm.Args {
	m := gemm.Args{M: a.Filters / a.Groups, N: n, K: a.depth(), LDA: a.depth(), LDC: volume(a.Out), Act: a.Act}
	if a.pointwise() {
		m.Form, m.LDB = gemm.KN, volume(a.In)
	}
	return m
}

// Run computes a.Y. It fails, having written nothing, if an operand is too
// short for the shape.
func (r *Runner) Run(a *Args) error {
	if err := a.check(len(a.X), len(a.W), len(a.Y)); err != nil {
		return err
	}
	if a.Bias != nil && len(a.Bias) < a.Filters {
		return fmt.Errorf("conv: %d biases for %d filters", len(a.Bias), a.Filters)
	}
	if need := r.Scratch(a); len(a.Scratch) < need {
		return fmt.Errorf("conv: scratch has %d floats, needs %d", len(a.Scratch), need)
	}
	for b := range a.Batch {
		for g := range a.Groups {
			if err := r.group(a, b, g); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *Runner) group(a *Args, b, g int) error {
	in, out := volume(a.In), volume(a.Out)
	channels, filters := a.Channels/a.Groups, a.Filters/a.Groups
	x := a.X[(b*a.Channels+g*channels)*in:][:channels*in]
	y := a.Y[(b*a.Filters+g*filters)*out:][:filters*out]
	m := r.args(a, out)
	m.A = a.W[g*filters*m.K:][:filters*m.K]
	if a.Bias != nil {
		m.AddCol = a.Bias[g*filters:][:filters]
	}
	if a.pointwise() {
		m.B, m.C, m.Scratch = x, y, a.Scratch
		return r.mul.Mul(&m)
	}
	step := a.chunk()
	for p := 0; p < gemm.Panels(out); p += step {
		n := min(step, gemm.Panels(out)-p)
		r.pack = packer{s: &a.Shape, x: x, dst: a.Scratch, first: p}
		if err := r.p.For(n, 1, &r.pack); err != nil {
			return err
		}
		m.N = min(n*nr, out-p*nr)
		m.B, m.C = a.Scratch[:n*nr*m.K], y[p*nr:]
		if err := r.mul.Mul(&m); err != nil {
			return err
		}
	}
	r.pack = packer{}
	return nil
}

// packer packs patches: the Task given to the pool. A panel holds nr output
// positions, one to a column, and the elements of their patches down the rows.
type packer struct {
	s     *Shape
	x     []float32 // the group's channels
	dst   []float32
	first int // panel at the start of dst
}

// Run implements pool.Task.
func (k *packer) Run(_, lo, hi int) {
	size := k.s.depth() * nr
	for i := lo; i < hi; i++ {
		k.panel(k.dst[i*size:][:size], (k.first+i)*nr)
	}
}

// panel packs the patches of output positions p0 and on.
func (k *packer) panel(dst []float32, p0 int) {
	s := k.s
	out := volume(s.Out)
	n := min(nr, out-p0)
	// The input coordinates of each column's first element.
	var at [nr][3]int
	inside := true
	for i := range n {
		p := p0 + i
		pos := [3]int{p / (s.Out[1] * s.Out[2]), p / s.Out[2] % s.Out[1], p % s.Out[2]}
		for d := range 3 {
			at[i][d] = pos[d]*s.Stride[d] - s.PadBegin[d]
			last := at[i][d] + (s.Kernel[d]-1)*s.Dilate[d]
			inside = inside && at[i][d] >= 0 && last < s.In[d]
		}
	}
	var start [nr]int
	for i := range n {
		start[i] = (at[i][0]*s.In[1]+at[i][1])*s.In[2] + at[i][2]
	}
	if n < nr {
		clear(dst)
	}
	in := volume(s.In)
	for c := range s.Channels / s.Groups {
		x := k.x[c*in:][:in]
		for kz := range s.Kernel[0] {
			for ky := range s.Kernel[1] {
				for kx := range s.Kernel[2] {
					dz, dy, dx := kz*s.Dilate[0], ky*s.Dilate[1], kx*s.Dilate[2]
					off := (dz*s.In[1]+dy)*s.In[2] + dx
					row := dst[:nr]
					dst = dst[nr:]
					if inside {
						for i, b := range start[:n] {
							row[i] = x[b+off]
						}
						continue
					}
					for i := range n {
						z, y, w := at[i][0]+dz, at[i][1]+dy, at[i][2]+dx
						row[i] = 0
						if uint(z) < uint(s.In[0]) && uint(y) < uint(s.In[1]) && uint(w) < uint(s.In[2]) {
							row[i] = x[start[i]+off]
						}
					}
				}
			}
		}
	}
}
