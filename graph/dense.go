package graph

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
)

// Reasons why ReadWeight has no bytes to give.
var (
	// ErrDerived is wrapped when the value's encoding is not the one that its
	// parts are stored in: the reader must encode it anew.
	ErrDerived = errors.New("the weight is derived: it is stored in another encoding")
	// ErrNoData is wrapped when a part has no bytes, in a graph that is only
	// planned with, or when its source is not given or shorter than the graph
	// says.
	ErrNoData = errors.New("the weight has no data")
	// ErrLayout is wrapped when slices cut blocks apart, or parts that are
	// joined have scales of their own where the encoding has one.
	ErrLayout = errors.New("the weight's parts do not make up one tensor of its encoding")
)

// Planes are the bytes of a weight, dense and in logical order, as
// enc.Encoding.Layout describes them for its type's encoding.
type Planes struct {
	// Elem is the type of what Data holds: the stored elements (f16 for an
	// f32 weight as(f16)), the codes, or u8 for block formats.
	Elem  enc.Elem
	Shape []int64 // of the weight, in elements
	Data  []byte
	// Scale and Zero are the planes of an affine encoding, else nil.
	Scale, Zero []byte
	ScaleShape  []int64
}

// ReadWeight returns the bytes of a constant. Where no slice, permutation or
// join changes their order, the planes are those of the source or graph
// itself, not copied, and must not be written; a copy is made too where an
// offset into the source is not a multiple of the element's size. data may be
// nil when the graph carries the bytes.
//
// Errors wrap ErrDerived, ErrNoData or ErrLayout where these apply. A source
// that is shorter than the graph says is an error that names it, and nothing
// is allocated before that is known.
func ReadWeight(v *Value, data Data) (*Planes, error) {
	if v == nil || v.Kind != Const || v.Data == nil {
		return nil, errors.New("graph: not a constant")
	}
	p, err := readWeight(v, data)
	if err != nil {
		return nil, fmt.Errorf("graph: weight %q: %w", v.Name, err)
	}
	return p, nil
}

// Tensor returns the planes as a tensor of stored elements; false when there
// is more to them than plain elements.
func (p *Planes) Tensor() (*Tensor, bool) {
	t := &Tensor{Elem: p.Elem, Shape: p.Shape, Data: p.Data}
	return t, p.Scale == nil && t.Valid() == nil
}

func readWeight(v *Value, data Data) (*Planes, error) {
	w, e := v.Data, v.Type.Enc
	if w.Dims != nil {
		return readDims(v)
	}
	shape, ok := v.Type.Shape.Const()
	got, err := w.shape()
	if err != nil {
		return nil, err
	}
	if !ok || !slices.Equal(got, shape) {
		return nil, fmt.Errorf("its parts have shape %v, its type is %s", got, v.Type)
	}
	layout, err := e.Layout(v.Type.Elem, shape)
	if err != nil {
		return nil, err
	}
	perm := w.Perm
	if perm == nil {
		perm = make([]int, len(shape))
		for i := range perm {
			perm[i] = i
		}
	}
	stored := e // as the parts have it: axes are theirs
	if e.Kind != enc.Plain && e.Axis >= 0 {
		stored.Axis = perm[e.Axis]
	}
	out := &Planes{Elem: e.Stored(v.Type.Elem), Shape: shape, ScaleShape: layout.ScaleShape}
	main := join{bits: out.Elem.Bits(), perm: perm, axis: w.Axis}
	scale := join{bits: e.Scale.Bits(), perm: perm, axis: w.Axis}
	if e.Kind == enc.Affine && e.BlockLen == 0 {
		// One scale for each index of the axis, or a single one: where parts
		// are joined along another axis, they have to agree.
		scale.perm, scale.axis = make([]int, len(layout.ScaleShape)), -1
		if e.Axis >= 0 && stored.Axis == w.Axis {
			scale.axis = 0
		}
	}
	zero := scale
	zero.bits = e.Store.Bits()
	for i := range w.Parts {
		p := &w.Parts[i]
		if e.Kind == enc.Plain && (p.Enc.Kind != enc.Plain || p.Elem != out.Elem) || e.Kind != enc.Plain && p.Enc != stored {
			return nil, fmt.Errorf("part %d is %s %s, the weight %s: %w", i, p.Elem, p.Enc, v.Type, ErrDerived)
		}
		src, err := p.planes(data)
		if err != nil {
			return nil, fmt.Errorf("part %d: %w", i, err)
		}
		d := box{shape: p.Shape, start: p.Start, size: p.Box()}
		if d.start == nil {
			d.start = make([]int64, len(p.Shape))
		}
		switch e.Kind {
		case enc.Affine:
			s, err := d.scales(stored, w.Axis == stored.Axis && i < len(w.Parts)-1)
			if err != nil {
				return nil, fmt.Errorf("part %d: %w", i, err)
			}
			scale.pieces = append(scale.pieces, piece{s, src.Scale, p.ScaleOffset})
			zero.pieces = append(zero.pieces, piece{s, src.Zero, p.ZeroOffset})
		case enc.Block:
			if d, err = d.blocks(stored); err != nil {
				return nil, fmt.Errorf("part %d: %w", i, err)
			}
		}
		main.pieces = append(main.pieces, piece{d, src.Data, p.Offset})
	}
	if e.Kind == enc.Block {
		_, bytes := e.Format.BlockSize()
		main.bits = int(8 * bytes)
		main.innermost(e.Axis)
	}
	if out.Data, err = main.read(); err != nil {
		return nil, err
	}
	if e.Kind == enc.Affine {
		if out.Scale, err = scale.read(); err != nil {
			return nil, fmt.Errorf("scales: %w", err)
		}
		if e.HasZero {
			if out.Zero, err = zero.read(); err != nil {
				return nil, fmt.Errorf("zero points: %w", err)
			}
		}
	}
	if int64(len(out.Data)) != layout.Data || int64(len(out.Scale)) != layout.Scale || int64(len(out.Zero)) != layout.Zero {
		return nil, fmt.Errorf("planes of %d, %d and %d bytes for %s: %w", len(out.Data), len(out.Scale), len(out.Zero), v.Type, ErrLayout)
	}
	return out, nil
}

func readDims(v *Value) (*Planes, error) {
	ns, ok := dim.Shape(v.Data.Dims).Const()
	shape, ok2 := v.Type.Shape.Const()
	if !ok || !ok2 {
		return nil, fmt.Errorf("%s depends on symbols; bind them first", dim.Shape(v.Data.Dims))
	}
	return &Planes{Elem: enc.I64, Shape: shape, Data: I64(ns...).Data}, nil
}

// planes returns the stored planes of a whole part.
func (p *Part) planes(data Data) (*Planes, error) {
	l, err := p.layout()
	if err != nil {
		return nil, err
	}
	out := &Planes{ScaleShape: l.ScaleShape}
	at := [3]int64{p.Offset, p.ScaleOffset, p.ZeroOffset}
	src, name := p.Inline, "the graph"
	switch {
	case p.Source != "":
		if data == nil {
			return nil, fmt.Errorf("source %q: no data was given: %w", p.Source, ErrNoData)
		}
		if src, err = data.Source(p.Source); err != nil {
			return nil, fmt.Errorf("source %q: %w", p.Source, err)
		}
		name = fmt.Sprintf("source %q", p.Source)
	case src == nil:
		return nil, ErrNoData
	default:
		at = [3]int64{0, l.Data, l.Data + l.Scale} // planes follow each other
	}
	for i, x := range []struct {
		dst *[]byte
		n   int64
	}{{&out.Data, l.Data}, {&out.Scale, l.Scale}, {&out.Zero, l.Zero}} {
		if x.n == 0 {
			*x.dst = src[:0:0] // wherever it would be
			continue
		}
		if at[i] < 0 || x.n > int64(len(src)) || at[i] > int64(len(src))-x.n {
			return nil, fmt.Errorf("bytes %d+%d are not in %s, which has %d: the file is truncated or not the one that the graph was made for: %w", at[i], x.n, name, len(src), ErrNoData)
		}
		*x.dst = src[at[i] : at[i]+x.n : at[i]+x.n]
	}
	return out, nil
}

// box is a part of a stored plane, counted in elements, scales or blocks.
type box struct {
	shape       []int64 // of the plane
	start, size []int64
}

// scales returns the box of the scales that belong to a box of codes with
// encoding e. more says that another part follows along the scales' axis.
func (d box) scales(e enc.Encoding, more bool) (box, error) {
	a := e.Axis
	switch {
	case a < 0:
		return box{}, nil
	case e.BlockLen == 0:
		return box{d.shape[a : a+1], d.start[a : a+1], d.size[a : a+1]}, nil
	}
	return d.divide(a, int64(e.BlockLen), more)
}

// blocks returns the box in blocks of e's format, in the order in which they
// are stored: e's axis innermost.
func (d box) blocks(e enc.Encoding) (box, error) {
	n, _ := e.Format.BlockSize()
	d, err := d.divide(e.Axis, n, true)
	last := func(xs []int64) []int64 {
		inner := xs[e.Axis]
		return append(slices.Delete(slices.Clone(xs), e.Axis, e.Axis+1), inner)
	}
	return box{last(d.shape), last(d.start), last(d.size)}, err
}

// divide counts axis in blocks of n, of which only the last of a tensor may
// be short; whole says that the box must not end inside of one.
func (d box) divide(axis int, n int64, whole bool) (box, error) {
	ceil := func(xs []int64) []int64 {
		xs = slices.Clone(xs)
		xs[axis] = xs[axis]/n + min(1, xs[axis]%n)
		return xs
	}
	var err error
	if d.start[axis]%n != 0 || whole && d.size[axis]%n != 0 {
		err = fmt.Errorf("elements %d+%d of axis %d cut blocks of %d apart: %w", d.start[axis], d.size[axis], axis, n, ErrLayout)
	}
	return box{ceil(d.shape), ceil(d.start), ceil(d.size)}, err
}

// piece is a box of a plane with the plane's bytes, which begin at offset in
// their source.
type piece struct {
	box
	src    []byte
	offset int64
}

// join makes one plane from pieces: joined along axis, then permuted so that
// dimension i is the pieces' dimension perm[i]. With axis -1 all pieces hold
// the same.
type join struct {
	bits   int // of one unit: 4, or a multiple of 8
	perm   []int
	axis   int
	pieces []piece
}

// innermost turns perm and axis, which count the dimensions as the shape
// does, into those of planes whose innermost dimension is the blocks'. axis is
// the blocks' axis in the result.
func (j *join) innermost(axis int) {
	stored := j.perm[axis]
	place := func(a int) int { // of a stored dimension in a plane
		switch {
		case a == stored:
			return len(j.perm) - 1
		case a > stored:
			return a - 1
		}
		return a
	}
	var perm []int
	for i, a := range j.perm {
		if i != axis {
			perm = append(perm, place(a))
		}
	}
	j.axis = place(min(j.axis, len(j.perm)-1))
	j.perm = append(perm, place(stored))
}

func (j *join) read() ([]byte, error) {
	if j.axis < 0 || len(j.pieces) == 1 {
		first := j.one(j.pieces[0])
		for _, p := range j.pieces[1:] {
			if !bytes.Equal(first, j.one(p)) {
				return nil, fmt.Errorf("parts differ: %w", ErrLayout)
			}
		}
		return first, nil
	}
	shape := slices.Clone(j.pieces[0].size)
	for _, p := range j.pieces[1:] {
		shape[j.axis] += p.size[j.axis]
	}
	out := make([]byte, (count(shape)*j.bits+7)/8)
	at := make([]int64, len(shape))
	for _, p := range j.pieces {
		move(out, p.src, j.strides(p, shape, at), j.bits)
		at[j.axis] += p.size[j.axis]
	}
	return out, nil
}

// one returns one piece by itself, where it lies if possible.
func (j *join) one(p piece) []byte {
	if count(p.size) == 0 {
		return []byte{}
	}
	r := j.strides(p, p.size, make([]int64, len(p.size)))
	n := count(p.size) * j.bits
	if first := r.src * j.bits; r.contiguous() && first%8 == 0 && (n%8 == 0 || len(p.src) == (n+7)/8) {
		unit := int64(j.bits / 8)
		if first /= 8; unit != 2 && unit != 4 && unit != 8 || (p.offset+int64(first))%unit == 0 {
			return p.src[first : first+(n+7)/8]
		}
	}
	out := make([]byte, (n+7)/8)
	move(out, p.src, r, j.bits)
	return out
}

// strides describes the copy of p to place at, which counts the pieces'
// dimensions, of a plane whose shape before the permutation is shape.
func (j *join) strides(p piece, shape, at []int64) region {
	src := strides(p.shape)
	dst := make([]int, len(shape))
	n := 1
	for i := len(j.perm) - 1; i >= 0; i-- {
		dst[j.perm[i]] = n
		n *= int(shape[j.perm[i]])
	}
	var r region
	for _, a := range j.perm {
		r.src += int(p.start[a]) * src[a]
		r.dst += int(at[a]) * dst[a]
		r.loops = append(r.loops, loop{int(p.size[a]), dst[a], src[a]})
	}
	r.simplify()
	return r
}

func strides(shape []int64) []int {
	out := make([]int, len(shape))
	n := 1
	for i := len(shape) - 1; i >= 0; i-- {
		out[i] = n
		n *= int(shape[i])
	}
	return out
}

func count(shape []int64) int {
	n := 1
	for _, d := range shape {
		n *= int(d)
	}
	return n
}
