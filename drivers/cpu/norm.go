package cpu

import (
	"fmt"
	"math"

	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/hal/driver"
	"github.com/heddle-ml/heddle/ops"
	"github.com/heddle-ml/heddle/ops/kern/norm"
)

func init() {
	register("LayerNormalization", lowering{lower: widened(layerNorm), elems: ops.Floats})
	register("RMSNormalization", lowering{lower: widened(rmsNorm), elems: ops.Floats})
	register("GroupNormalization", lowering{lower: widened(func(b *build, c *call) error {
		return b.groupNorm(c, int(c.Attrs.Int("num_groups", 1)))
	}), elems: ops.Floats})
	register("InstanceNormalization", lowering{lower: widened(func(b *build, c *call) error {
		return b.groupNorm(c, c.in[0].shape[1])
	}), elems: ops.Floats})
	register("LogSoftmax", lowering{lower: widened(logSoftmax), elems: ops.Floats})
	register("Softmax", lowering{lower: widened(softmax), elems: ops.Floats})
	register("RotaryEmbedding", lowering{lower: widened(rotary), elems: ops.Types(enc.F32, enc.F16, enc.BF16)})
}

// axisOf returns a normalised axis attribute.
func axisOf(c *call, def int64, rank int) int {
	a := int(c.Attrs.Int("axis", def))
	if a < 0 {
		a += rank
	}
	return a
}

// prod multiplies dimensions.
func prod(ds []int) int {
	n := 1
	for _, d := range ds {
		n *= d
	}
	return n
}

// affine returns a constant or computed scale operand broadcast to the
// normalised dimensions, so that rows can use it as it is.
func (b *build) affine(t *tensor, dims []int) *tensor {
	if t == nil || t.n == prod(dims) {
		return t
	}
	full := b.temp(t.elem, dims...)
	b.broadcast2(full, t, t, func(d, i, si, _, _, k int) {
		switch t.elem {
		case enc.F64:
			fillRow(of[float64](full)[d:d+k], of[float64](t), i, si)
		default:
			fillRow(of[float32](full)[d:d+k], of[float32](t), i, si)
		}
	})
	return full
}

func fillRow[T any](dst, src []T, i, step int) {
	for k := range dst {
		dst[k] = src[i+step*k]
	}
}

func layerNorm(b *build, c *call) error {
	x, out := c.in[0], c.out[0]
	axis := axisOf(c, -1, x.rank())
	width := prod(x.shape[axis:])
	rows := prod(x.shape[:axis])
	gamma, beta := b.affine(c.in[1], x.shape[axis:]), b.affine(c.input(2), x.shape[axis:])
	eps := c.Attrs.Float("epsilon", 1e-5)
	var mean, inv *tensor
	if len(c.out) > 1 {
		mean = c.out[1]
	}
	if len(c.out) > 2 {
		inv = c.out[2]
	}
	if x.elem == enc.F64 {
		b.each(rows, grain/max(1, width), func(lo, hi int) {
			for r := lo; r < hi; r++ {
				m, s := layerNorm64(of[float64](out)[r*width:(r+1)*width], of[float64](x)[r*width:(r+1)*width], doublesOf(gamma), doublesOf(beta), float64(eps))
				setStat(mean, r, m)
				setStat(inv, r, s)
			}
		})
		return nil
	}
	table := b.x.dev.table
	b.each(rows, grain/max(1, width), func(lo, hi int) {
		xs, ys, g, be := of[float32](x), of[float32](out), floatsOf(gamma), floatsOf(beta)
		for r := lo; r < hi; r++ {
			m, s := norm.LayerNorm(table, ys[r*width:(r+1)*width], xs[r*width:(r+1)*width], g, be, eps)
			setStat(mean, r, float64(m))
			setStat(inv, r, float64(s))
		}
	})
	return nil
}

func floatsOf(t *tensor) []float32 {
	if t == nil {
		return nil
	}
	return of[float32](t)
}

func doublesOf(t *tensor) []float64 {
	if t == nil {
		return nil
	}
	return of[float64](t)
}

// setStat writes an optional statistic, which is f32 or f64.
func setStat(t *tensor, i int, v float64) {
	switch {
	case t == nil:
	case t.elem == enc.F64:
		of[float64](t)[i] = v
	default:
		of[float32](t)[i] = float32(v)
	}
}

func layerNorm64(dst, src, gamma, beta []float64, eps float64) (mean, inv float64) {
	for _, v := range src {
		mean += v
	}
	mean /= float64(len(src))
	variance := 0.0
	for _, v := range src {
		variance += (v - mean) * (v - mean)
	}
	inv = 1 / math.Sqrt(variance/float64(len(src))+eps)
	for i, v := range src {
		y := (v - mean) * inv
		if gamma != nil {
			y *= gamma[i]
		}
		if beta != nil {
			y += beta[i]
		}
		dst[i] = y
	}
	return mean, inv
}

func rmsNorm(b *build, c *call) error {
	x, out := c.in[0], c.out[0]
	axis := axisOf(c, -1, x.rank())
	width := prod(x.shape[axis:])
	rows := prod(x.shape[:axis])
	gamma := b.affine(c.in[1], x.shape[axis:])
	eps := c.Attrs.Float("epsilon", 1e-5)
	if x.elem == enc.F64 {
		b.each(rows, grain/max(1, width), func(lo, hi int) {
			for r := lo; r < hi; r++ {
				src, dst, g := of[float64](x)[r*width:(r+1)*width], of[float64](out)[r*width:(r+1)*width], of[float64](gamma)
				sum := 0.0
				for _, v := range src {
					sum += v * v
				}
				inv := 1 / math.Sqrt(sum/float64(width)+float64(eps))
				for i, v := range src {
					dst[i] = v * inv * g[i]
				}
			}
		})
		return nil
	}
	table := b.x.dev.table
	b.each(rows, grain/max(1, width), func(lo, hi int) {
		xs, ys, g := of[float32](x), of[float32](out), floatsOf(gamma)
		for r := lo; r < hi; r++ {
			norm.RMSNorm(table, ys[r*width:(r+1)*width], xs[r*width:(r+1)*width], g, eps)
		}
	})
	return nil
}

func softmax(b *build, c *call) error {
	x, out := c.in[0], c.out[0]
	axis := axisOf(c, -1, x.rank())
	n, inner := 1, 1
	if x.rank() > 0 {
		n, inner = x.shape[axis], prod(x.shape[axis+1:])
	}
	if x.n == 0 {
		return nil
	}
	rows := x.n / n / inner
	if x.elem == enc.F32 && inner == 1 {
		table := b.x.dev.table
		b.each(rows, grain/n/4, func(lo, hi int) {
			for r := lo; r < hi; r++ {
				norm.Softmax(table, of[float32](out)[r*n:(r+1)*n], of[float32](x)[r*n:(r+1)*n], false)
			}
		})
		return nil
	}
	b.copy(out, x)
	b.each(rows*inner, grain/n/4, func(lo, hi int) {
		for r := lo; r < hi; r++ {
			at := r/inner*n*inner + r%inner
			if x.elem == enc.F64 {
				norm.SoftmaxStrided(of[float64](out)[at:], n, inner, false)
			} else {
				norm.SoftmaxStrided(of[float32](out)[at:], n, inner, false)
			}
		}
	})
	return nil
}

// logSoftmax is x - ln(sum of e^x) along an axis.
func logSoftmax(b *build, c *call) error {
	x, out := c.in[0], c.out[0]
	axis := axisOf(c, -1, x.rank())
	n, inner := x.shape[axis], prod(x.shape[axis+1:])
	table := b.x.dev.table
	b.each(x.n/n, grain/n/4, func(lo, hi int) {
		for r := lo; r < hi; r++ {
			switch at := r/inner*n*inner + r%inner; {
			case x.elem == enc.F64:
				logSoftmaxOf(of[float64](out)[at:], of[float64](x)[at:], n, inner)
			case inner == 1:
				norm.LogSoftmax(table, of[float32](out)[at:at+n], of[float32](x)[at:at+n])
			default:
				logSoftmaxOf(of[float32](out)[at:], of[float32](x)[at:], n, inner)
			}
		}
	})
	return nil
}

func logSoftmaxOf[T float32 | float64](dst, src []T, n, step int) {
	top := math.Inf(-1)
	for i := range n {
		top = max(top, float64(src[i*step]))
	}
	sum := 0.0
	for i := range n {
		sum += math.Exp(float64(src[i*step]) - top)
	}
	sum = math.Log(sum)
	for i := range n {
		dst[i*step] = T(float64(src[i*step]) - top - sum)
	}
}

// groupNorm normalises each group of channels of each batch element, then
// scales and shifts each channel.
func (b *build) groupNorm(c *call, groups int) error {
	x, scale, bias, out := c.in[0], c.in[1], c.in[2], c.out[0]
	channels, inner := x.shape[1], prod(x.shape[2:])
	per := channels / groups // channels in a group
	width := per * inner
	eps := c.Attrs.Float("epsilon", 1e-5)
	table := b.x.dev.table
	b.each(x.shape[0]*groups, grain/max(1, width), func(lo, hi int) {
		for r := lo; r < hi; r++ {
			from := r % groups * per // the first channel
			if x.elem == enc.F64 {
				dst, g, h := of[float64](out)[r*width:][:width], of[float64](scale)[from:][:per], of[float64](bias)[from:][:per]
				layerNorm64(dst, of[float64](x)[r*width:][:width], nil, nil, float64(eps))
				for i := range dst {
					dst[i] = dst[i]*g[i/inner] + h[i/inner]
				}
				continue
			}
			dst, g, h := of[float32](out)[r*width:][:width], of[float32](scale)[from:][:per], of[float32](bias)[from:][:per]
			norm.LayerNorm(table, dst, of[float32](x)[r*width:][:width], nil, nil, eps)
			for i := range dst {
				dst[i] = dst[i]*g[i/inner] + h[i/inner]
			}
		}
	})
	return nil
}

// rotary is RotaryEmbedding on [batch,heads,seq,dim], or on [batch,seq,width]
// with num_heads; the caches are [positions,r/2] with position_ids
// [batch,seq], or [batch,seq,r/2] without.
func rotary(b *build, c *call) error {
	x, cos, sin, pos, out := c.in[0], c.in[1], c.in[2], c.input(3), c.out[0]
	batch := x.shape[0]
	var heads, seq, d, headStep, seqStep int
	if x.rank() == 4 {
		heads, seq, d = x.shape[1], x.shape[2], x.shape[3]
		headStep, seqStep = seq*d, d
	} else {
		heads = int(c.Attrs.Int("num_heads", 0))
		if heads <= 0 || x.shape[2]%heads != 0 {
			return fmt.Errorf("num_heads = %d for width %d: %w", heads, x.shape[2], driver.ErrUnsupported)
		}
		seq, d = x.shape[1], x.shape[2]/heads
		headStep, seqStep = d, heads*d
	}
	half := cos.shape[cos.rank()-1]
	rotate := norm.RopeHalf
	if c.Attrs.Int("interleaved", 0) != 0 {
		rotate = norm.RopePairs
	}
	rows := 0
	if pos != nil {
		rows = cos.shape[0]
		// A position outside of the cache is the caller's mistake; it must not
		// read what lies behind the table.
		b.step(func() error {
			for _, p := range of[int64](pos) {
				if _, err := inside(p, rows); err != nil {
					return fmt.Errorf("position_ids: %w", err)
				}
			}
			return nil
		})
	}
	b.each(batch*seq, max(1, grain/max(1, heads*d)), func(lo, hi int) {
		xs, ys, cs, ss := of[float32](x), of[float32](out), of[float32](cos), of[float32](sin)
		for i := lo; i < hi; i++ {
			row := i
			if pos != nil {
				row, _ = inside(of[int64](pos)[i], rows)
			}
			base := i/seq*heads*seq*d + i%seq*seqStep
			for h := range heads {
				at := base + h*headStep
				rotate(ys[at:at+d], xs[at:at+d], cs[row*half:(row+1)*half], ss[row*half:(row+1)*half])
			}
		}
	})
	return nil
}
