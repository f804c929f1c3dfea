package cpu

import (
	"fmt"
	"slices"

	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/hal/driver"
	"github.com/heddle-ml/heddle/ops"
	"github.com/heddle-ml/heddle/ops/kern/move"
)

// movable are the types whose elements have addresses of their own.
const movable = ops.Numbers | ops.Bools

func init() {
	for _, name := range []string{"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity"} {
		register(name, lowering{elems: ops.All, lower: func(b *build, c *call) error {
			in, out := c.in[0], c.out[0]
			if in.n != out.n { // as at some values of symbols only
				return fmt.Errorf("%v cannot have shape %v", in.shape, out.shape)
			}
			b.alias(out, in)
			return nil
		}})
	}
	register("Transpose", lowering{elems: ops.All, lower: unpacked(func(b *build, c *call) error {
		perm := make([]int, c.in[0].rank())
		for i := range perm {
			perm[i] = len(perm) - 1 - i
		}
		for i, p := range c.Attrs.Ints("perm") {
			perm[i] = int(p)
		}
		return b.permute(c.out[0], c.in[0], perm)
	})})
	register("Tile", lowering{elems: movable, lower: tile})
	register("Expand", lowering{elems: movable, lower: func(b *build, c *call) error {
		shape, st, _ := broadcastStrides(c.out[0].shape, c.in[0].shape, c.in[0].shape)
		return b.strided(c.out[0], 0, dense(shape), c.in[0], 0, st, shape)
	}})
	register("Concat", lowering{elems: movable, lower: concat})
	register("Split", lowering{elems: movable, lower: split})
	register("Slice", lowering{elems: movable, lower: slice})
	register("Gather", lowering{elems: movable, lower: gather, encoded: []int{0}, raw: true})
}

// dense returns row-major strides.
func dense(shape []int) []int {
	st := make([]int, len(shape))
	step := 1
	for i := len(shape) - 1; i >= 0; i-- {
		st[i] = step
		step *= shape[i]
	}
	return st
}

// strided adds a step that copies a block; see move.Copy. Neighbouring
// dimensions that both sides walk evenly are merged.
func (b *build) strided(out *tensor, outAt int, outStride []int, in *tensor, inAt int, inStride []int, shape []int) error {
	var s, d, n []int
	for i, k := range shape {
		if k == 0 {
			return nil
		}
		if k == 1 {
			continue
		}
		if l := len(n); l > 0 && d[l-1] == k*outStride[i] && s[l-1] == k*inStride[i] {
			n[l-1] *= k
			d[l-1], s[l-1] = outStride[i], inStride[i]
			continue
		}
		n, d, s = append(n, k), append(d, outStride[i]), append(s, inStride[i])
	}
	if len(n) == 0 {
		n, d, s = []int{1}, []int{1}, []int{1}
	}
	switch out.elem.Bits() {
	case 8:
		eachCopy[uint8](b, out, outAt, d, in, inAt, s, n)
	case 16:
		eachCopy[uint16](b, out, outAt, d, in, inAt, s, n)
	case 32:
		eachCopy[uint32](b, out, outAt, d, in, inAt, s, n)
	case 64:
		eachCopy[uint64](b, out, outAt, d, in, inAt, s, n)
	default:
		return fmt.Errorf("a strided copy of %s: %w", out.elem, driver.ErrUnsupported)
	}
	return nil
}

// eachCopy shares the outermost dimension among the workers. What is more
// than move.Copy takes are loops around it.
func eachCopy[T any](b *build, out *tensor, outAt int, outStride []int, in *tensor, inAt int, inStride []int, shape []int) {
	lead := max(0, len(shape)-move.MaxRank)
	rest := shape[lead:]
	per := min(max(1, grain/max(1, prod(rest[1:]))), rest[0])
	// One shape for whole chunks, one for what remains at the end: nothing is
	// made while running.
	chunk, last := slices.Clone(rest), slices.Clone(rest)
	chunk[0] = per
	if last[0] = rest[0] % per; last[0] == 0 {
		last[0] = per
	}
	for r := range prod(shape[:lead]) {
		d, s := outAt, inAt
		for a := lead - 1; a >= 0; a-- {
			d += r % shape[a] * outStride[a]
			s += r % shape[a] * inStride[a]
			r /= shape[a]
		}
		b.each(rest[0], per, func(lo, hi int) {
			n := chunk
			if hi-lo != per {
				n = last
			}
			if err := move.Copy(of[T](out), d+lo*outStride[lead], outStride[lead:], of[T](in), s+lo*inStride[lead], inStride[lead:], n); err != nil {
				panic(err) // the strides come from shapes that were checked
			}
		})
	}
}

// permute adds a step that copies in with its dimensions permuted.
func (b *build) permute(out, in *tensor, perm []int) error {
	st := dense(in.shape)
	is := make([]int, len(perm))
	moved := false
	last := -1
	for i, p := range perm {
		is[i] = st[p]
		if in.shape[p] != 1 {
			moved = moved || p < last
			last = p
		}
	}
	if !moved && in.place != inConst { // only dimensions of one element change places
		b.alias(out, in)
		return nil
	}
	return b.strided(out, 0, dense(out.shape), in, 0, is, out.shape)
}

// tile repeats: each dimension of the result is a loop over the repeats and
// one over the operand, which stays in place over the former.
func tile(b *build, c *call) error {
	in, out := c.in[0], c.out[0]
	from, to := dense(in.shape), dense(out.shape)
	var n, s, d []int
	for a, k := range in.shape {
		n = append(n, out.shape[a]/max(1, k), k)
		s = append(s, 0, from[a])
		d = append(d, k*to[a], to[a])
	}
	return b.strided(out, 0, d, in, 0, s, n)
}

func concat(b *build, c *call) error {
	out := c.out[0]
	axis := axisOf(c, 0, out.rank())
	at := 0
	st := dense(out.shape)
	for _, in := range c.in {
		if err := b.strided(out, at*st[axis], st, in, 0, dense(in.shape), in.shape); err != nil {
			return err
		}
		at += in.shape[axis]
	}
	return nil
}

func split(b *build, c *call) error {
	in := c.in[0]
	axis := axisOf(c, 0, in.rank())
	st := dense(in.shape)
	at := 0
	sizes, err := b.constInts(c.input(1))
	if err != nil {
		return err
	}
	for i, out := range c.out {
		n := 0
		switch {
		case sizes != nil:
			n = sizes[i]
		case out != nil:
			n = out.shape[axis]
		default:
			n = (in.shape[axis] + len(c.out) - 1) / len(c.out)
		}
		if out != nil {
			if err := b.strided(out, 0, dense(out.shape), in, at*st[axis], st, out.shape); err != nil {
				return err
			}
		}
		at += n
	}
	return nil
}

func slice(b *build, c *call) error {
	in, out := c.in[0], c.out[0]
	starts, err := b.constInts(c.in[1])
	if err != nil {
		return err
	}
	axes, err := b.constInts(c.input(3))
	if err != nil {
		return err
	}
	steps, err := b.constInts(c.input(4))
	if err != nil {
		return err
	}
	st := dense(in.shape)
	at := 0
	for i, s := range starts {
		a, step := i, 1
		if axes != nil {
			if a = axes[i]; a < 0 {
				a += in.rank()
			}
		}
		if steps != nil {
			step = steps[i]
		}
		n := in.shape[a]
		if s < 0 {
			s += n
		}
		if step > 0 {
			s = min(max(s, 0), n)
		} else {
			s = min(max(s, 0), n-1)
		}
		at += s * st[a]
		st[a] *= step
	}
	return b.strided(out, 0, dense(out.shape), in, at, st, out.shape)
}

// gather picks rows along an axis. Rows of a constant table in another
// encoding are decoded as they are read, so that an embedding table stays as
// it lies in the file.
func gather(b *build, c *call) error {
	table, idx, out := c.in[0], c.in[1], c.out[0]
	axis := axisOf(c, 0, table.rank())
	for _, t := range c.in {
		if t.place != inConst || t == table && t.enc != (enc.Encoding{}) && axis == 0 {
			continue
		}
		if err := b.plainConst(t); err != nil {
			return err
		}
	}
	rows, width := table.shape[axis], prod(table.shape[axis+1:])
	outer := prod(table.shape[:axis])
	var ints func() []int64
	if idx.elem == enc.I64 {
		ints = func() []int64 { return of[int64](idx) }
	} else {
		wide := b.temp(enc.I64, idx.n)
		b.step(func() error {
			for i, v := range of[int32](idx) {
				of[int64](wide)[i] = int64(v)
			}
			return nil
		})
		ints = func() []int64 { return of[int64](wide) }
	}
	if table.enc != (enc.Encoding{}) && table.data == nil {
		return b.gatherEncoded(out, table, ints, rows, width)
	}
	pick := map[int]func(o int) error{
		8: func(o int) error { return gatherRows[uint8](out, table, ints(), o, rows, width) }, 16: func(o int) error { return gatherRows[uint16](out, table, ints(), o, rows, width) },
		32: func(o int) error { return gatherRows[uint32](out, table, ints(), o, rows, width) }, 64: func(o int) error { return gatherRows[uint64](out, table, ints(), o, rows, width) },
	}[table.elem.Bits()]
	if pick == nil {
		return fmt.Errorf("no kernel for Gather of %s: %w", table.elem, driver.ErrUnsupported)
	}
	b.step(func() error {
		for o := range outer {
			if err := pick(o); err != nil {
				return fmt.Errorf("%w: %w", err, errData)
			}
		}
		return nil
	})
	return nil
}

func gatherRows[T any](out, table *tensor, idx []int64, o, rows, width int) error {
	n := len(idx) * width
	return move.Gather(of[T](out)[o*n:(o+1)*n], of[T](table)[o*rows*width:(o+1)*rows*width], idx, rows, width)
}

func (b *build) gatherEncoded(out, table *tensor, ints func() []int64, rows, width int) error {
	read, err := b.x.weights.rowReader(table.value, width)
	if err != nil {
		return err
	}
	b.step(func() error {
		for i, r := range ints() {
			if r < 0 {
				r += int64(rows)
			}
			if r < 0 || r >= int64(rows) {
				return fmt.Errorf("index %d of %d rows: %w", ints()[i], rows, errData)
			}
			if err := read(of[float32](out)[i*width:(i+1)*width], int(r)); err != nil {
				return err
			}
		}
		return nil
	})
	return nil
}
