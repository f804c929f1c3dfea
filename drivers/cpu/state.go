package cpu

import (
	"fmt"
	"math"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/hal/driver"
	"github.com/heddle-ml/heddle/ops"
	"github.com/heddle-ml/heddle/ops/kern/half"
	"github.com/heddle-ml/heddle/ops/kern/quant"
)

func init() {
	register("TensorScatter", lowering{elems: ops.All, lower: tensorScatter, states: []int{0}, check: func(c *graph.Call) string {
		t := c.Type(0)
		switch {
		case t.Enc == (enc.Encoding{}):
		case c.In[0].Kind == graph.Const:
			return "a constant with an encoding is not updated"
		case t.Enc.Kind == enc.Affine && (t.Enc.BlockLen == 0 || t.Enc.Axis != t.Rank()-1):
			return fmt.Sprintf("a cache has blocks along its last axis, not %s", t.Enc)
		case t.Enc.Stored(t.Elem).Bits() < 8:
			return fmt.Sprintf("codes of %s are not updated in place", t.Enc.Store)
		}
		return ""
	}})
}

// tensorScatter writes rows of an update into a cache, from given positions
// along an axis on, in place when the cache is a state. A cache with an
// encoding gets its rows encoded: what a position holds is then final.
func tensorScatter(b *build, c *call) error {
	cache, out := c.in[0], c.out[0]
	if cache.state >= 0 {
		out.place, out.arg, out.block, out.state = cache.place, cache.arg, nil, cache.state
	}
	if cache.elem.Bits() == 4 {
		return unpacked(scatterRows)(b, c)
	}
	return scatterRows(b, c)
}

func scatterRows(b *build, c *call) error {
	cache, upd, at, out := c.in[0], c.in[1], c.input(2), c.out[0]
	if out.state < 0 {
		b.copy(out, cache)
	}
	axis := axisOf(c, -2, cache.rank())
	rows, n := cache.shape[axis], upd.shape[axis]
	width, batch, outer := prod(cache.shape[axis+1:]), cache.shape[0], prod(cache.shape[1:axis])
	circular := c.Attrs.Str("mode", "linear") == "circular"
	first := func(i int) int64 {
		if at == nil {
			return 0
		}
		return of[int64](at)[i]
	}
	b.step(func() error {
		for i := range batch {
			if f := first(i); f < 0 || n > rows || !circular && f > int64(rows-n) {
				return fmt.Errorf("%d rows at %d of a cache of %d: %w", n, f, rows, errData)
			}
		}
		return nil
	})
	put, err := b.rowWriter(out, upd, width)
	if err != nil {
		return err
	}
	b.eachWorker(batch*outer*n, max(1, grain/max(1, width)), func(w, lo, hi int) {
		for r := lo; r < hi; r++ {
			o, k := r/n, r%n
			p := (int(first(o/outer)%int64(rows)) + k) % rows
			put(w, o*rows+p, r)
		}
	})
	return nil
}

// rowWriter returns a function that writes row src of an update as row dst of
// a cache, encoded as the cache is.
func (b *build) rowWriter(out, upd *tensor, width int) (func(worker, dst, src int), error) {
	switch out.enc.Kind {
	case enc.Plain:
		to, from := out.enc.Stored(out.elem), upd.elem
		if to != from {
			return func(_, dst, src int) {
				size := to.Bits() / 8
				cast(out.bytes()[dst*width*size:][:width*size], to, upd.bytes()[src*width*from.Bits()/8:], from, 0, width)
			}, nil
		}
		size := to.Bits() / 8 * width
		return func(_, dst, src int) { copy(out.bytes()[dst*size:][:size], upd.bytes()[src*size:][:size]) }, nil
	case enc.Affine:
		q, err := newQuantizer(out)
		if err != nil {
			return nil, err
		}
		reals := b.temp(enc.F64, b.x.dev.pool.Workers(), width)
		return func(w, dst, src int) {
			row := of[float64](reals)[w*width:][:width]
			loadFloats(row, upd.bytes(), upd.elem, src*width)
			q.encode(row, dst*width)
		}, nil
	}
	return nil, fmt.Errorf("a cache of %s: %w", out.enc, driver.ErrUnsupported)
}

// quantizer encodes rows of a tensor whose affine scales are those of blocks
// along its last axis.
type quantizer struct {
	t            *tensor
	length       int // of the last axis
	blocks       int // along it
	least, most  float64
	roundToScale func(float64) float64
}

func newQuantizer(t *tensor) (*quantizer, error) {
	e := t.enc
	q := &quantizer{t: t, length: t.shape[t.rank()-1]}
	if e.BlockLen == 0 || e.Axis != t.rank()-1 || e.Store.Bits() < 8 {
		return nil, fmt.Errorf("a cache of %s: %w", e, driver.ErrUnsupported)
	}
	q.blocks = (q.length + e.BlockLen - 1) / e.BlockLen
	q.least, q.most = codeRange(e.Store)
	q.roundToScale = rounding(e.Scale)
	return q, nil
}

// encode stores numbers as the codes from element at on, which starts a row.
// Without zero points the scale is the greatest magnitude over the greatest
// code, and the code below its negative is not used; with them, the codes
// span the numbers and 0. Everything is in float64, so that all devices can
// agree to the bit.
func (q *quantizer) encode(row []float64, at int) {
	e, bytes := q.t.enc, q.t.bytes()
	for ; len(row) > 0; row, at = row[q.length:], at+q.length {
		group := at / q.length * q.blocks
		for i := 0; i < q.length; i += e.BlockLen {
			vals := row[i:min(i+e.BlockLen, q.length)]
			lo, hi := 0.0, 0.0
			for _, v := range vals {
				lo, hi = min(lo, v), max(hi, v)
			}
			least, zero := q.least, 0.0
			var scale float64
			if e.HasZero {
				if scale = q.roundToScale((hi - lo) / (q.most - q.least)); scale != 0 {
					zero = max(q.least, min(q.most, math.RoundToEven(q.least-lo/scale)))
				}
			} else {
				scale = q.roundToScale(max(-lo, hi) / q.most)
				if least < 0 {
					least = -q.most
				}
			}
			for k, v := range vals {
				code := zero
				if scale != 0 {
					code = max(least, min(q.most, math.RoundToEven(v/scale)+zero))
				}
				vals[k] = code
			}
			storeCodes(bytes, e.Store, at+i, vals)
			one := [1]float64{scale}
			storeFloats(bytes[q.t.scaleAt:], e.Scale, group, one[:])
			if e.HasZero {
				one[0] = zero
				storeCodes(bytes[q.t.zeroAt:], e.Store, group, one[:])
			}
			group++
		}
	}
}

func storeCodes(dst []byte, e enc.Elem, at int, codes []float64) {
	var n [256]int64
	for len(codes) > 0 {
		k := min(len(n), len(codes))
		for i, f := range codes[:k] {
			n[i] = truncate(f, e)
		}
		storeInts(dst, e, at, n[:k])
		codes, at = codes[k:], at+k
	}
}

// decoder returns a function that decodes elements lo to hi of a tensor, a
// state in the arguments of a run, to the same places of dst.
func decoder(t *tensor) (func(dst []float32, lo, hi int), error) {
	if t.enc.Kind == enc.Plain {
		switch e := t.enc.Stored(t.elem); e {
		case enc.F16:
			return func(dst []float32, lo, hi int) { half.DecodeF16(dst[lo:hi], as[uint16](t.bytes())[lo:hi]) }, nil
		case enc.BF16:
			return func(dst []float32, lo, hi int) { half.DecodeBF16(dst[lo:hi], as[uint16](t.bytes())[lo:hi]) }, nil
		case enc.F32:
			return func(dst []float32, lo, hi int) { copy(dst[lo:hi], as[float32](t.bytes())[lo:hi]) }, nil
		}
	}
	if t.enc.Kind == enc.Affine {
		g := affineGrid(t.enc, t.shape)
		switch t.enc.Store {
		case enc.I8:
			return decoderOf[int8](t, g), nil
		case enc.U8:
			return decoderOf[uint8](t, g), nil
		case enc.I16:
			return decoderOf[int16](t, g), nil
		case enc.U16:
			return decoderOf[uint16](t, g), nil
		case enc.I32:
			return decoderOf[int32](t, g), nil
		}
	}
	return nil, fmt.Errorf("a state of %s %s: %w", t.elem, t.enc, driver.ErrUnsupported)
}

// affineGrid returns which scale of an affine encoding belongs to an element.
func affineGrid(e enc.Encoding, shape []int) *grid {
	if e.Axis < 0 {
		return &grid{one: true}
	}
	g := &grid{axis: shape[e.Axis], inner: prod(shape[e.Axis+1:]), block: e.BlockLen}
	if g.block > 0 {
		g.blocks = (g.axis + g.block - 1) / g.block
	}
	return g
}

func decoderOf[T quant.Int](t *tensor, g *grid) func(dst []float32, lo, hi int) {
	return func(dst []float32, lo, hi int) {
		bytes := t.bytes()
		codes, scales := as[T](bytes), bytes[t.scaleAt:]
		g.runs(lo, hi, func(lo, hi, k int) {
			var zero T
			if t.enc.HasZero {
				zero = as[T](bytes[t.zeroAt:])[k]
			}
			var scale float32
			switch t.enc.Scale {
			case enc.F16:
				scale = half.FromF16(as[uint16](scales)[k])
			case enc.BF16:
				scale = half.FromBF16(as[uint16](scales)[k])
			default:
				scale = as[float32](scales)[k]
			}
			quant.Dequantize(dst[lo:hi], codes[lo:hi], scale, zero)
		})
	}
}

// readRows returns a state's rows (positions) as float32, of which only the
// valid ones are decoded: length holds how many for each element of the
// batch, nil for all. Heads come before positions unless flat.
func (b *build) readRows(t, length *tensor) (*tensor, error) {
	decode, err := decoder(t)
	if err != nil {
		return nil, err
	}
	out := b.temp(enc.F32, t.shape...)
	rows, width := t.shape[t.rank()-2], t.shape[t.rank()-1]
	batch := t.shape[0]
	planes := prod(t.shape[:t.rank()-2])
	perBatch := planes / max(1, batch)
	// Long caches are cut, so that few heads still occupy all workers.
	const cut = 256
	cuts := (rows + cut - 1) / cut
	b.each(planes*cuts, 1, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			p, from := i/cuts, i%cuts*cut
			valid := rows
			if length != nil {
				valid = int(max(0, min(int64(rows), of[int64](length)[p/perBatch])))
			}
			if to := min(from+cut, valid); from < to {
				decode(of[float32](out), (p*rows+from)*width, (p*rows+to)*width)
			}
		}
	})
	return out, nil
}
