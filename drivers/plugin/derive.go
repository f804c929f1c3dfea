package plugin

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"unsafe"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/enc"
)

// A derived weight is stored in another encoding than its type's: a recipe
// wants int8, the checkpoint has bfloat16. Libraries read weights as they are
// stored, so the derived ones of a graph are encoded here, once, into a memory
// file that the graph is made to refer to.

// derivation is how a graph looks with its derived weights in a file.
type derivation struct {
	graph *graph.Graph
	// source names the file in graph; the values are those encoded into it.
	source string
	values []derivedValue
	size   int64
}

// derivedValue is a weight as it was, and where its planes go.
type derivedValue struct {
	*graph.Value
	at   [3]int64 // of data, scales and zero points
	plan enc.Layout
}

// planeAlign is the alignment of planes in the file.
const planeAlign = 64

// deriving plans the file for g; nil if there is nothing to derive.
func deriving(g *graph.Graph) (*derivation, error) {
	var d *derivation
	for i := range g.Values {
		v := &g.Values[i]
		if storedAsTyped(v) || derivable(v) != nil {
			continue
		}
		shape, ok := v.Type.Shape.Const()
		if !ok {
			return nil, fmt.Errorf("weight %q has shape %s, which is not constant", v.Name, v.Type.Shape)
		}
		l, err := v.Type.Enc.Layout(v.Type.Elem, shape)
		if err != nil {
			return nil, fmt.Errorf("weight %q: %w", v.Name, err)
		}
		if d == nil {
			d = newDerivation(g)
		}
		x := derivedValue{Value: v, plan: l}
		for k, n := range []int64{l.Data, l.Scale, l.Zero} {
			d.size = (d.size + planeAlign - 1) / planeAlign * planeAlign
			x.at[k] = d.size
			if n > math.MaxInt64/2-d.size {
				return nil, fmt.Errorf("weight %q: too many bytes", v.Name)
			}
			d.size += n
		}
		d.values = append(d.values, x)
		p := graph.Part{Source: d.source, Offset: x.at[0], Elem: v.Type.Elem, Shape: shape, Enc: v.Type.Enc}
		switch {
		case v.Type.Enc.Kind == enc.Plain:
			p.Elem, p.Enc = v.Type.Enc.Stored(v.Type.Elem), enc.Encoding{}
		default:
			p.ScaleOffset = x.at[1]
			if v.Type.Enc.HasZero {
				p.ZeroOffset = x.at[2]
			}
		}
		d.graph.Values[i].Data = &graph.Weight{Parts: []graph.Part{p}}
	}
	if d != nil {
		d.graph.Sources[len(d.graph.Sources)-1].Size = d.size
	}
	return d, nil
}

func newDerivation(g *graph.Graph) *derivation {
	out := *g
	out.Values = append([]graph.Value(nil), g.Values...)
	name := "heddle/derived"
	for taken := true; taken; {
		taken = false
		for _, s := range g.Sources {
			if s.Name == name {
				name, taken = name+"'", true
			}
		}
	}
	out.Sources = append(append([]graph.Source(nil), g.Sources...), graph.Source{Name: name})
	return &derivation{graph: &out, source: name}
}

// storedAsTyped reports whether v is no weight, or is one that a library can
// read as it is.
func storedAsTyped(v *graph.Value) bool {
	if v == nil || v.Kind != graph.Const || v.Data == nil || v.Data.Dims != nil {
		return true
	}
	w, e := v.Data, v.Type.Enc
	stored := e // as the parts have it: axes are theirs
	if e.Axis >= 0 && e.Axis < len(w.Perm) {
		stored.Axis = w.Perm[e.Axis]
	}
	for i := range w.Parts {
		p := &w.Parts[i]
		if e.Kind == enc.Plain && (p.Enc.Kind != enc.Plain || p.Enc.Stored(p.Elem) != e.Stored(v.Type.Elem)) || e.Kind != enc.Plain && p.Enc != stored {
			return false
		}
	}
	return true
}

// usable tells why a library cannot have a constant.
func usable(v *graph.Value) error {
	if storedAsTyped(v) {
		return nil
	}
	return derivable(v)
}

// errDerived is wrapped where a weight would have to be derived in a way that
// is not known here.
var errDerived = errors.New("it is stored in another encoding than its type's, and only plain numbers are encoded anew, in scaled integers or other plain numbers")

// derivable tells why a weight that is not stored as its type says cannot be
// made so.
func derivable(v *graph.Value) error {
	w, e := v.Data, v.Type.Enc
	fail := fmt.Errorf("weight %q: %w", v.Name, errDerived)
	if len(w.Parts) == 0 || !v.Type.Elem.IsFloat() || v.Type.Elem == enc.F64 || e.Kind == enc.Block {
		return fail
	}
	for i := range w.Parts {
		if p := &w.Parts[i]; p.Enc != (enc.Encoding{}) || p.Elem != w.Parts[0].Elem || !p.Elem.IsFloat() {
			return fail
		}
	}
	switch stored := e.Stored(v.Type.Elem); {
	case e.Kind == enc.Plain && stored.IsFloat(), e.Kind == enc.Affine && stored.IsInt() && stored.Bits() <= 16:
		return nil
	}
	return fail
}

// key tells files apart: where the bytes of the weights lie in this process,
// how they are viewed, and what becomes of them.
func (d *derivation) key(data graph.Data) (string, error) {
	var b strings.Builder
	for _, v := range d.values {
		fmt.Fprintf(&b, "%s %d %v", v.Type, v.Data.Axis, v.Data.Perm)
		for i := range v.Data.Parts {
			p := &v.Data.Parts[i]
			bytes := p.Inline
			if p.Source != "" {
				var err error
				if bytes, err = sourceOf(data, p.Source); err != nil {
					return "", err
				}
			}
			fmt.Fprintf(&b, "|%p+%d %s%v %v%v", unsafe.SliceData(bytes), p.Offset, p.Elem, p.Shape, p.Start, p.Size)
		}
		b.WriteByte('\n')
	}
	return b.String(), nil
}

// write encodes the weights, one after the other.
func (d *derivation) write(w io.Writer, data graph.Data) error {
	end := int64(0)
	for _, v := range d.values {
		data, scales, zeros, err := encode(v.Value, data)
		if err != nil {
			return fmt.Errorf("weight %q: %w", v.Name, err)
		}
		for k, plane := range [][]byte{data, scales, zeros} {
			want := []int64{v.plan.Data, v.plan.Scale, v.plan.Zero}[k]
			if int64(len(plane)) != want {
				return fmt.Errorf("weight %q: plane %d of %d bytes, not %d", v.Name, k, len(plane), want)
			}
			if _, err := w.Write(make([]byte, v.at[k]-end)); err != nil {
				return err
			}
			if _, err := w.Write(plane); err != nil {
				return err
			}
			end = v.at[k] + want
		}
	}
	return nil
}

// encode returns the planes of a derived weight. How is defined in ops/oracle:
// for each group of numbers that share a scale, scale = greatest magnitude /
// greatest code, rounded to the scale's type; code = round(x/scale), ties to
// even; with zero points, the group's range, which includes 0, is spread over
// all codes.
func encode(v *graph.Value, src graph.Data) (data, scales, zeros []byte, err error) {
	stored := v.Data.Parts[0].Elem
	u := *v // as it is stored
	u.Type.Elem, u.Type.Enc = stored, enc.Encoding{}
	p, err := graph.ReadWeight(&u, src)
	if err != nil {
		return nil, nil, nil, err
	}
	f := numbers(p.Data, stored, v.Type.Elem)
	e := v.Type.Enc
	if e.Kind == enc.Plain {
		return appendNumbers(nil, f, e.Stored(v.Type.Elem)), nil, nil, nil
	}
	q := newScales(e, p.Shape)
	q.fit(f, e)
	codes := codeWriter{elem: e.Store}
	for i, x := range f {
		codes.add(q.code(float64(x), q.group(i)))
	}
	scales = appendNumbers(nil, q.scale, e.Scale)
	if e.HasZero {
		z := codeWriter{elem: e.Store}
		for _, c := range q.zero {
			z.add(c)
		}
		zeros = z.b
	}
	return codes.b, scales, zeros, nil
}

// numbers decodes plain numbers of type e and rounds them to type to, which is
// not wider than float32.
func numbers(b []byte, e, to enc.Elem) []float32 {
	n := e.Bits() / 8
	out := make([]float32, len(b)/n)
	for i := range out {
		x := b[i*n:]
		var f float64
		switch e {
		case enc.F64:
			f = math.Float64frombits(binary.LittleEndian.Uint64(x))
		case enc.F32:
			f = float64(math.Float32frombits(binary.LittleEndian.Uint32(x)))
		case enc.F16:
			f = float64(enc.F16ToF32(binary.LittleEndian.Uint16(x)))
		case enc.BF16:
			f = float64(enc.BF16ToF32(binary.LittleEndian.Uint16(x)))
		}
		out[i] = float32(round(f, to))
	}
	return out
}

// round rounds to a float type.
func round(x float64, e enc.Elem) float64 {
	switch e {
	case enc.F32:
		return float64(float32(x))
	case enc.F16:
		return float64(enc.F16ToF32(enc.F64ToF16(x)))
	case enc.BF16:
		return float64(enc.BF16ToF32(enc.F64ToBF16(x)))
	}
	return x
}

func appendNumbers(b []byte, f []float32, e enc.Elem) []byte {
	for _, x := range f {
		switch e {
		case enc.F64:
			b = binary.LittleEndian.AppendUint64(b, math.Float64bits(float64(x)))
		case enc.F32:
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
		case enc.F16:
			b = binary.LittleEndian.AppendUint16(b, enc.F32ToF16(x))
		case enc.BF16:
			b = binary.LittleEndian.AppendUint16(b, enc.F32ToBF16(x))
		}
	}
	return b
}

// codeWriter packs codes of 4, 8 or 16 bits, of two's complement if signed.
type codeWriter struct {
	elem enc.Elem
	b    []byte
	half bool // the last byte has room for another code of 4 bits
}

func (w *codeWriter) add(code int32) {
	switch w.elem.Bits() {
	case 4:
		if w.half {
			w.b[len(w.b)-1] |= byte(code) << 4
		} else {
			w.b = append(w.b, byte(code)&15)
		}
		w.half = !w.half
	case 8:
		w.b = append(w.b, byte(code))
	case 16:
		w.b = binary.LittleEndian.AppendUint16(w.b, uint16(code))
	}
}

// scales holds the scales and zero points of a weight, and tells which an
// element has.
type scales struct {
	scale          []float32 // narrower ones fit
	zero           []int32
	least, most    float64 // codes
	axis, inner    int     // elements along the axis, and inside of each
	block, nBlocks int
}

func newScales(e enc.Encoding, shape []int64) *scales {
	q := &scales{axis: 1, inner: 1}
	groups, outer := 1, 1
	if e.Axis >= 0 {
		for i, n := range shape {
			switch {
			case i < e.Axis:
				outer *= int(n)
			case i == e.Axis:
				q.axis = int(n)
			default:
				q.inner *= int(n)
			}
		}
		groups = q.axis
		if q.block = e.BlockLen; q.block > 0 {
			q.nBlocks = (q.axis + q.block - 1) / q.block
			groups = outer * q.nBlocks * q.inner
		}
	}
	q.scale, q.zero = make([]float32, groups), make([]int32, groups)
	least, most := e.Store.IntRange()
	q.least, q.most = float64(least), float64(most)
	return q
}

// group returns the number of element i's scale.
func (q *scales) group(i int) int {
	switch {
	case len(q.scale) == 1:
		return 0
	case q.block == 0:
		return i / q.inner % q.axis
	}
	a := i / q.inner % q.axis
	return (i/q.inner/q.axis*q.nBlocks+a/q.block)*q.inner + i%q.inner
}

// fit chooses the scales and zero points.
func (q *scales) fit(f []float32, e enc.Encoding) {
	lo, hi := make([]float32, len(q.scale)), make([]float32, len(q.scale))
	for i, x := range f {
		g := q.group(i)
		lo[g], hi[g] = min(lo[g], x), max(hi[g], x)
	}
	for g := range q.scale {
		lo, hi := float64(lo[g]), float64(hi[g])
		if !e.HasZero {
			q.scale[g] = float32(round(max(-lo, hi)/q.most, e.Scale))
			continue
		}
		if q.scale[g] = float32(round((hi-lo)/(q.most-q.least), e.Scale)); q.scale[g] != 0 {
			q.zero[g] = int32(q.clamp(math.RoundToEven(q.least - lo/float64(q.scale[g]))))
		}
	}
	if !e.HasZero && q.least < 0 {
		q.least = -q.most // the code below has no counterpart
	}
}

// code returns the code of x under scale g.
func (q *scales) code(x float64, g int) int32 {
	if q.scale[g] == 0 {
		return q.zero[g]
	}
	return int32(q.clamp(math.RoundToEven(x/float64(q.scale[g])) + float64(q.zero[g])))
}

// clamp brings a code into range; what is no number becomes the least.
func (q *scales) clamp(c float64) float64 {
	if !(c > q.least) {
		return q.least
	}
	return min(c, q.most)
}
