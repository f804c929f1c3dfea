package oracle

import (
	"fmt"
	"slices"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
)

// Weight returns the numbers of a Const value as an operator sees them: its
// parts decoded, sliced, joined and permuted, rounded to its element type.
// Where the value's encoding is not the one it is stored in, the weight is
// derived: it is quantized, by round-to-nearest (see recode), and what comes
// back from that is returned. data may be nil if the graph carries the bytes;
// bind gives values to the symbols of a shape constant.
func Weight(v *graph.Value, data graph.Data, bind dim.Binding) (*Tensor, error) {
	t, err := weight(v, data, bind, defaultMaxElements)
	if err != nil {
		name := ""
		if v != nil {
			name = v.Name
		}
		return nil, &Error{Value: name, Err: err}
	}
	return t, nil
}

func weight(v *graph.Value, data graph.Data, bind dim.Binding, limit int64) (*Tensor, error) {
	if v == nil || v.Kind != graph.Const || v.Data == nil {
		return nil, fmt.Errorf("is not a constant")
	}
	w, elem := v.Data, v.Type.Elem
	shape, err := v.Type.Shape.Eval(bind)
	if err != nil {
		return nil, err
	}
	if w.Dims != nil {
		t := &Tensor{Elem: enc.I64, Shape: shape, I: []int64{}}
		for _, d := range w.Dims {
			n, err := d.Eval(bind)
			if err != nil {
				return nil, err
			}
			t.I = append(t.I, n)
		}
		return t, t.valid()
	}
	if len(w.Parts) == 0 {
		return nil, graph.ErrNoData
	}
	parts, scales := make([]*Tensor, len(w.Parts)), make([]*scaling, len(w.Parts))
	for i := range w.Parts {
		if parts[i], scales[i], err = decodePart(&w.Parts[i], data, limit); err != nil {
			return nil, fmt.Errorf("part %d: %w", i, err)
		}
		// Parts of several float types may be joined: one type from here on.
		if parts[i].Elem.IsFloat() != elem.IsFloat() || !elem.IsFloat() && parts[i].Elem != elem {
			return nil, fmt.Errorf("part %d stores %s, which cannot be read as %s", i, parts[i].Elem, elem)
		}
		parts[i].Elem = elem
	}
	t := parts[0]
	if len(parts) > 1 {
		if w.Axis < 0 || w.Axis >= len(t.Shape) {
			return nil, fmt.Errorf("parts cannot be joined along axis %d: %w", w.Axis, ErrIndex)
		}
		joined, err := joinedShape(parts, w.Axis)
		if err != nil {
			return nil, err
		}
		if t, err = concatAll(parts, w.Axis, joined); err != nil {
			return nil, err
		}
	}
	if w.Perm != nil {
		if !graph.IsPerm(w.Perm, len(t.Shape)) {
			return nil, fmt.Errorf("%v is not a permutation of %d dimensions", w.Perm, len(t.Shape))
		}
		if t, err = t.permute(w.Perm); err != nil {
			return nil, err
		}
	}
	if !slices.Equal(t.Shape, shape) {
		return nil, fmt.Errorf("parts have shape %v, the type is %s", t.Shape, v.Type)
	}
	t = t.rounded()
	if derived(v, scales) {
		if err := v.Type.Enc.Valid(elem, dim.Ofs(shape...)); err != nil {
			return nil, err
		}
		if err := recode(t, v.Type.Enc, nil); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// scaling holds the decoded scales and zero points of an affine part that has
// one for all, or one for each index of an axis: of the indices selected.
type scaling struct{ scales, zeros []float64 }

func (s *scaling) equal(o *scaling) bool {
	return s == o || s != nil && o != nil && slices.Equal(s.scales, o.scales) && slices.Equal(s.zeros, o.zeros)
}

// decodePart returns the numbers of a stored tensor, or of the box of it that
// the part selects. They are not rounded. Nothing is allocated before the
// bytes are known to be there.
func decodePart(p *graph.Part, data graph.Data, limit int64) (*Tensor, *scaling, error) {
	n, err := dim.Count(p.Shape)
	if err != nil {
		return nil, nil, err
	}
	if n > limit {
		return nil, nil, fmt.Errorf("%d elements: %w of %d", n, ErrLimit, limit)
	}
	l, planes, err := readPlanes(p, data)
	if err != nil {
		return nil, nil, err
	}
	var t *Tensor
	var grid *scaling
	switch p.Enc.Kind {
	case enc.Plain:
		if t, err = newTensor(p.Elem, p.Shape); err == nil {
			t.read(planes[0])
		}
	case enc.Affine:
		t, grid, err = decodeAffine(p, l, planes)
	default:
		t, err = decodeBlocks(p, planes[0])
	}
	if err != nil || p.Start == nil {
		return t, grid, err
	}
	if len(p.Start) != len(p.Shape) || len(p.Size) != len(p.Shape) {
		return nil, nil, fmt.Errorf("slice %v+%v of shape %v", p.Start, p.Size, p.Shape)
	}
	base, st := 0, strides(p.Shape)
	for a, s := range p.Start {
		if s < 0 || p.Size[a] < 0 || p.Size[a] > p.Shape[a] || s > p.Shape[a]-p.Size[a] {
			return nil, nil, fmt.Errorf("slice %v+%v is not inside %v: %w", p.Start, p.Size, p.Shape, ErrIndex)
		}
		base += int(s) * st[a]
	}
	if a := p.Enc.Axis; grid != nil && a >= 0 {
		from, to := p.Start[a], p.Start[a]+p.Size[a]
		grid = &scaling{grid.scales[from:to], grid.zeros[from:to]}
	}
	t, err = t.pick(p.Size, offsets(p.Size, base, st))
	return t, grid, err
}

// readPlanes returns the bytes of data, scales and zero points, which follow
// each other where the graph itself carries them.
func readPlanes(p *graph.Part, data graph.Data) (l enc.Layout, planes [3][]byte, err error) {
	if l, err = p.Enc.Layout(p.Elem, p.Shape); err != nil {
		return l, planes, err
	}
	bytes, name, at := p.Inline, "the graph", [3]int64{0, l.Data, l.Data + l.Scale}
	switch {
	case p.Source == "" && bytes == nil:
		return l, planes, graph.ErrNoData
	case p.Source != "":
		name, at = fmt.Sprintf("source %q", p.Source), [3]int64{p.Offset, p.ScaleOffset, p.ZeroOffset}
		if data == nil {
			return l, planes, fmt.Errorf("%s: %w: Options.Data is not set", name, graph.ErrNoData)
		}
		if bytes, err = data.Source(p.Source); err != nil {
			return l, planes, fmt.Errorf("%s: %w", name, err)
		}
	}
	for i, n := range []int64{l.Data, l.Scale, l.Zero} {
		have := int64(len(bytes))
		if n > 0 && (at[i] < 0 || n > have || at[i] > have-n) {
			return l, planes, fmt.Errorf("bytes %d+%d are not among the %d of %s: the file is truncated or another one", at[i], n, have, name)
		}
		if n > 0 {
			planes[i] = bytes[at[i] : at[i]+n]
		}
	}
	return l, planes, nil
}

// decodeAffine is scale*(code - zero). The scaling is returned where parts
// could share it: not for blocks.
func decodeAffine(p *graph.Part, l enc.Layout, planes [3][]byte) (*Tensor, *scaling, error) {
	codes, err := newTensor(p.Enc.Store, p.Shape)
	if err != nil {
		return nil, nil, err
	}
	scales, err := newTensor(p.Enc.Scale, l.ScaleShape)
	if err != nil {
		return nil, nil, err
	}
	t, err := newTensor(p.Elem, p.Shape)
	if err != nil {
		return nil, nil, err
	}
	codes.read(planes[0])
	scales.read(planes[1])
	zeros := make([]float64, scales.Len())
	if p.Enc.HasZero {
		z, err := newTensor(p.Enc.Store, l.ScaleShape)
		if err != nil {
			return nil, nil, err
		}
		z.read(planes[2])
		for i := range zeros {
			zeros[i] = z.float(i)
		}
	}
	of, _ := scaleIndex(p.Enc, p.Shape)
	for i := range t.F {
		t.F[i] = scales.F[of[i]] * (codes.float(i) - zeros[of[i]])
	}
	if p.Enc.BlockLen > 0 {
		return t, nil, nil
	}
	return t, &scaling{scales.F, zeros}, nil
}

// decodeBlocks reads rows of blocks along the encoding's axis, which is
// stored innermost.
func decodeBlocks(p *graph.Part, data []byte) (*Tensor, error) {
	axis, perm := p.Enc.Axis, make([]int, len(p.Shape))
	stored := append(slices.Delete(slices.Clone(p.Shape), axis, axis+1), p.Shape[axis])
	t, err := newTensor(p.Elem, stored)
	if err != nil {
		return nil, err
	}
	elems, bytes := p.Enc.Format.BlockSize()
	for i := range len(t.F) / int(elems) {
		if err := decodeBlock(p.Enc.Format, data[i*int(bytes):][:bytes], t.F[i*int(elems):][:elems]); err != nil {
			return nil, err
		}
	}
	for a := range perm {
		switch {
		case a < axis:
			perm[a] = a
		case a == axis:
			perm[a] = len(perm) - 1
		default:
			perm[a] = a - 1
		}
	}
	return t.permute(perm)
}

// derived reports whether the value's encoding must be made from numbers, or
// is the one its parts are stored in, with scales that can stay as they are.
func derived(v *graph.Value, scales []*scaling) bool {
	e, w := v.Type.Enc, v.Data
	if e.Kind == enc.Plain {
		return e.Store != enc.Invalid
	}
	if e.Axis >= 0 && w.Perm != nil {
		e.Axis = w.Perm[e.Axis] // as the parts see it
	}
	block := int64(e.BlockLen)
	if e.Kind == enc.Block {
		block, _ = e.Format.BlockSize()
	}
	joined := len(w.Parts) > 1 && e.Axis == w.Axis // scales are joined, too
	for i := range w.Parts {
		p := &w.Parts[i]
		switch {
		case p.Enc != e:
			return true
		case block == 0:
			// One scale for all, or one for each index of the axis: parts have
			// to agree about it.
			if !joined && !scales[i].equal(scales[0]) {
				return true
			}
		case p.Start != nil && p.Start[e.Axis]%block != 0,
			joined && i < len(w.Parts)-1 && p.Box()[e.Axis]%block != 0:
			return true // blocks are cut apart
		}
	}
	return false
}
