package cpu

import (
	"math"
	"slices"

	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/ops"
	"github.com/heddle-ml/heddle/ops/kern/reduce"
	"github.com/heddle-ml/heddle/ops/kern/vec"
)

// fold reduces the middle dimension of [outer,n,inner]; lo and hi are a range
// of outer.
type fold func(out, in *tensor) func(lo, hi, n, inner int)

// folds holds a fold for each element type.
type folds map[enc.Elem]fold

func foldOf[T any](f func(dst, src []T, outer, n, inner int)) fold {
	return func(out, in *tensor) func(lo, hi, n, inner int) {
		return func(lo, hi, n, inner int) {
			f(of[T](out)[lo*inner:hi*inner], of[T](in)[lo*n*inner:hi*n*inner], hi-lo, n, inner)
		}
	}
}

const reducible = ops.Floats | ops.Indices | ops.TypeSet(1<<enc.U64|1<<enc.U32)

func init() {
	sums := folds{enc.F32: foldOf(reduce.Sum[float32]), enc.F64: foldOf(reduce.Sum[float64]),
		enc.I64: foldOf(reduce.Sum[int64]), enc.I32: foldOf(reduce.Sum[int32]),
		enc.U64: foldOf(reduce.Sum[uint64]), enc.U32: foldOf(reduce.Sum[uint32])}
	reduction("ReduceSum", reducible, sums)
	reduction("ReduceMean", reducible, folds{enc.F32: foldOf(reduce.Mean[float32]), enc.F64: foldOf(reduce.Mean[float64]),
		enc.I64: foldOf(reduce.Mean[int64]), enc.I32: foldOf(reduce.Mean[int32]),
		enc.U64: foldOf(reduce.Mean[uint64]), enc.U32: foldOf(reduce.Mean[uint32])})
	reduction("ReduceProd", reducible, folds{enc.F32: foldOf(product[float32]), enc.F64: foldOf(reduce.Prod[float64]),
		enc.I64: foldOf(reduce.Prod[int64]), enc.I32: foldOf(reduce.Prod[int32]),
		enc.U64: foldOf(reduce.Prod[uint64]), enc.U32: foldOf(reduce.Prod[uint32])})
	extrema := reducible | ops.TypeSet(1<<enc.I8|1<<enc.U8|1<<enc.Bool)
	reduction("ReduceMax", extrema, folds{enc.F32: foldOf(reduce.Max[float32]), enc.F64: foldOf(reduce.Max[float64]),
		enc.I64: foldOf(reduce.Max[int64]), enc.I32: foldOf(reduce.Max[int32]), enc.I8: foldOf(reduce.Max[int8]),
		enc.U64: foldOf(reduce.Max[uint64]), enc.U32: foldOf(reduce.Max[uint32]), enc.U8: foldOf(reduce.Max[uint8]), enc.Bool: foldOf(reduce.Any)})
	reduction("ReduceMin", extrema, folds{enc.F32: foldOf(reduce.Min[float32]), enc.F64: foldOf(reduce.Min[float64]),
		enc.I64: foldOf(reduce.Min[int64]), enc.I32: foldOf(reduce.Min[int32]), enc.I8: foldOf(reduce.Min[int8]),
		enc.U64: foldOf(reduce.Min[uint64]), enc.U32: foldOf(reduce.Min[uint32]), enc.U8: foldOf(reduce.Min[uint8]), enc.Bool: foldOf(reduce.All)})
	reduction("ReduceSumSquare", reducible, folds{enc.F32: foldOf(reduce.SumSquares[float32]), enc.F64: foldOf(reduce.SumSquares[float64]),
		enc.I64: foldOf(reduce.SumSquares[int64]), enc.I32: foldOf(reduce.SumSquares[int32]),
		enc.U64: foldOf(reduce.SumSquares[uint64]), enc.U32: foldOf(reduce.SumSquares[uint32])})
	reduction("ReduceL1", reducible, folds{enc.F32: foldOf(sumAbs[float32]), enc.F64: foldOf(sumAbs[float64]),
		enc.I64: foldOf(sumAbs[int64]), enc.I32: foldOf(sumAbs[int32]),
		enc.U64: foldOf(sumAbs[uint64]), enc.U32: foldOf(sumAbs[uint32])})
	// Those that leave the integers go through float64 whatever their type.
	throughFloats("ReduceL2", func(src []float64) float64 {
		s := 0.0
		for _, x := range src {
			s += x * x
		}
		return math.Sqrt(s)
	})
	throughFloats("ReduceLogSum", func(src []float64) float64 {
		s := 0.0
		for _, x := range src {
			s += x
		}
		return math.Log(s)
	})
	throughFloats("ReduceLogSumExp", func(src []float64) float64 {
		var s [1]float64
		reduce.LogSumExp(s[:], src, 1, len(src), 1)
		return s[0]
	})
	for name, low := range map[string]map[enc.Elem]func(out, in *tensor, last bool) func(lo, hi, n, inner int){
		"ArgMax": {enc.F32: argOf(reduce.ArgMax[float32]), enc.F64: argOf(reduce.ArgMax[float64]),
			enc.I64: argOf(reduce.ArgMax[int64]), enc.I32: argOf(reduce.ArgMax[int32]), enc.I16: argOf(reduce.ArgMax[int16]), enc.I8: argOf(reduce.ArgMax[int8]),
			enc.U64: argOf(reduce.ArgMax[uint64]), enc.U32: argOf(reduce.ArgMax[uint32]), enc.U16: argOf(reduce.ArgMax[uint16]), enc.U8: argOf(reduce.ArgMax[uint8])},
		"ArgMin": {enc.F32: argOf(reduce.ArgMin[float32]), enc.F64: argOf(reduce.ArgMin[float64]),
			enc.I64: argOf(reduce.ArgMin[int64]), enc.I32: argOf(reduce.ArgMin[int32]), enc.I16: argOf(reduce.ArgMin[int16]), enc.I8: argOf(reduce.ArgMin[int8]),
			enc.U64: argOf(reduce.ArgMin[uint64]), enc.U32: argOf(reduce.ArgMin[uint32]), enc.U16: argOf(reduce.ArgMin[uint16]), enc.U8: argOf(reduce.ArgMin[uint8])},
	} {
		register(name, lowering{elems: ops.Numbers, lower: widened(func(b *build, c *call) error {
			in, out := c.in[0], c.out[0]
			axis := axisOf(c, 0, in.rank())
			f := low[in.elem](out, in, c.Attrs.Int("select_last_index", 0) != 0)
			b.folding(in.shape, axis, axis+1, f)
			return nil
		})})
	}
}

// product multiplies float32 in float64, rounded once.
func product[T float32](dst, src []T, outer, n, inner int) {
	for o := range outer {
		for i := range inner {
			p := 1.0
			for k := range n {
				p *= float64(src[(o*n+k)*inner+i])
			}
			dst[o*inner+i] = T(p)
		}
	}
}

func sumAbs[T vec.Number](dst, src []T, outer, n, inner int) {
	float := isFloat[T]()
	for o := range outer {
		for i := range inner {
			var s T
			f := 0.0
			for k := range n {
				x := src[(o*n+k)*inner+i]
				if x < 0 {
					x = -x
				}
				if float {
					f += float64(x)
				} else {
					s += x
				}
			}
			if float {
				s = T(f)
			}
			dst[o*inner+i] = s
		}
	}
}

func isFloat[T vec.Number]() bool { return T(1)/2 != 0 }

func argOf[T any](f func(dst []int64, src []T, outer, n, inner int, last bool)) func(out, in *tensor, last bool) func(lo, hi, n, inner int) {
	return func(out, in *tensor, last bool) func(lo, hi, n, inner int) {
		return func(lo, hi, n, inner int) {
			f(of[int64](out)[lo*inner:hi*inner], of[T](in)[lo*n*inner:hi*n*inner], hi-lo, n, inner, last)
		}
	}
}

// folding adds a step that folds dimensions from..to of a shape, which are
// one when seen as [outer,n,inner].
func (b *build) folding(shape []int, from, to int, f func(lo, hi, n, inner int)) {
	outer, n, inner := prod(shape[:from]), prod(shape[from:to]), prod(shape[to:])
	if outer == 0 || inner == 0 {
		return
	}
	b.each(outer, grain/max(1, n)/inner, func(lo, hi int) { f(lo, hi, n, inner) })
}

// axesOf returns the axes that a reduction folds, ascending; none means that
// the operand stays.
func (b *build) axesOf(c *call) ([]int, error) {
	rank := c.in[0].rank()
	axes, err := b.constInts(c.input(1))
	if err != nil {
		return nil, err
	}
	axes = slices.Clone(axes)
	for i, a := range axes {
		if a < 0 {
			axes[i] = a + rank
		}
	}
	if len(axes) == 0 && c.Attrs.Int("noop_with_empty_axes", 0) == 0 {
		for a := range rank {
			axes = append(axes, a)
		}
	}
	slices.Sort(axes)
	return slices.Compact(axes), nil
}

// reduction registers an operator that folds axes.
func reduction(name string, elems ops.TypeSet, table folds) {
	register(name, lowering{elems: elems, lower: widened(func(b *build, c *call) error {
		axes, err := b.axesOf(c)
		if err != nil {
			return err
		}
		in, out := c.in[0], c.out[0]
		f := table[in.elem]
		if len(axes) == 0 {
			// Each element is a group of its own.
			b.folding(append(slices.Clone(in.shape), 1), in.rank(), in.rank()+1, f(out, in))
			return nil
		}
		grouped := b.together(in, axes)
		b.folding(grouped.shape, grouped.rank()-1, grouped.rank(), f(out, grouped))
		return nil
	})})
}

// together returns a tensor whose last dimension holds the elements along the
// given axes: the operand itself where they are its last ones, or a
// permutation of it. The order of the others stays.
func (b *build) together(in *tensor, axes []int) *tensor {
	var perm, kept []int
	for a := range in.rank() {
		if !slices.Contains(axes, a) {
			perm = append(perm, a)
			kept = append(kept, in.shape[a])
		}
	}
	n := 1
	for _, a := range axes {
		perm = append(perm, a)
		n *= in.shape[a]
	}
	if slices.IsSorted(perm) {
		view := *in
		view.shape = append(kept, n)
		return &view
	}
	moved := make([]int, len(perm))
	for i, a := range perm {
		moved[i] = in.shape[a]
	}
	t := b.temp(in.elem, moved...)
	if err := b.permute(t, in, perm); err != nil {
		b.fail(err)
	}
	t.shape = append(kept, n)
	return t
}

// throughFloats registers a reduction that converts to float64, folds, and
// converts back, truncating for integers.
func throughFloats(name string, f func(src []float64) float64) {
	register(name, lowering{elems: reducible, lower: func(b *build, c *call) error {
		axes, err := b.axesOf(c)
		if err != nil {
			return err
		}
		in, out := c.in[0], c.out[0]
		wide := in
		if in.elem != enc.F64 {
			wide = b.temp(enc.F64, in.shape...)
			b.cast(wide, in)
		}
		grouped := wide
		n := 1
		if len(axes) > 0 {
			grouped = b.together(wide, axes)
			n = grouped.shape[grouped.rank()-1]
		}
		result := out
		if out.elem != enc.F64 {
			result = b.temp(enc.F64, out.shape...)
		}
		b.each(out.n, grain/max(1, n), func(lo, hi int) {
			dst, src := of[float64](result), of[float64](grouped)
			for i := lo; i < hi; i++ {
				dst[i] = f(src[i*n : (i+1)*n])
			}
		})
		if result != out {
			b.cast(out, result)
		}
		return nil
	}})
}
