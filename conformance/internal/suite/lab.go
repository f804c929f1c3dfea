package suite

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/ops"
	"github.com/heddle-ml/heddle/ops/oracle"
)

// Fill says what an input is filled with: Values in order, over and over, or
// uniformly distributed numbers from Lo to Hi. Integers are rounded to the
// nearest, bools are the parity. With Special, one element in eight is a zero
// of either sign, an infinity, NaN, a denormal or a very large number of its
// type.
type Fill struct {
	Lo, Hi  float64
	Values  []float64
	Special bool
}

// Between fills with uniformly distributed numbers.
func Between(lo, hi float64) Fill { return Fill{Lo: lo, Hi: hi} }

// Values fills with given numbers, over and over.
func Values(vs ...float64) Fill { return Fill{Values: vs} }

// Lab builds the graph of a case together with what its inputs are filled
// with. The builder's first error sticks, so cases read without checks.
type Lab struct {
	B *graph.Builder
	// Rand depends on the case's ID alone: the graph is always the same.
	Rand *rand.Rand
	// Gain is how large the numbers of the next weights are about; 0 is 1. The
	// blocks of a model need about sqrt(3/terms) to keep the size of what
	// passes through them.
	Gain float64

	fills map[string]Fill
	steps []dim.Binding
	feeds []map[string]Fill
	data  blob
	class *ops.Class
	count int
}

// blob is the weights of a lab, as one source.
type blob []byte

const weights = "weights"

func (b *blob) Source(name string) ([]byte, error) {
	if name != weights {
		return nil, fmt.Errorf("there is no source %q: %w", name, graph.ErrNoData)
	}
	return *b, nil
}

// NewLab starts a graph for the case of an ID.
func NewLab(id string) *Lab {
	return &Lab{B: graph.NewBuilder(id, ops.Standard), Rand: random(id, 0), fills: map[string]Fill{}}
}

func (l *Lab) name(prefix string) string {
	l.count++
	return fmt.Sprintf("%s%d", prefix, l.count)
}

// In adds an input with sizes that are known.
func (l *Lab) In(e enc.Elem, f Fill, shape ...int64) graph.ValueID {
	return l.Input(e, f, dim.Ofs(shape...)...)
}

// Input adds an input.
func (l *Lab) Input(e enc.Elem, f Fill, shape ...dim.Dim) graph.ValueID {
	name := l.name("x")
	l.fills[name] = f
	return l.B.Input(name, graph.Of(e, shape...))
}

// State adds a state, which a program's first step finds filled with f. Return
// its last version with l.B.SetState(name, v).
func (l *Lab) State(name string, t graph.Type, f Fill) graph.ValueID {
	l.fills[name] = f
	return l.B.State(name, t)
}

// Const adds a constant that the graph carries, filled by f.
func (l *Lab) Const(e enc.Elem, f Fill, shape ...int64) graph.ValueID {
	t, err := f.Tensor(l.Rand, e, shape)
	if err == nil {
		var c *graph.Tensor
		if c, err = t.Const(); err == nil {
			return l.B.Const("", c)
		}
	}
	l.B.Fail(err)
	return graph.NoValue
}

// Weight adds a weight of logical type elem, stored under an encoding in a
// source as a file would hold it; its numbers are about as large as Gain.
func (l *Lab) Weight(elem enc.Elem, e enc.Encoding, shape ...int64) graph.ValueID {
	stored := elem
	part := e
	if e.Kind == enc.Plain && e.Store != enc.Invalid {
		stored, part = e.Store, enc.Encoding{} // the file has the narrower type
	}
	p, err := l.store(stored, part, shape)
	if err != nil {
		l.B.Fail(err)
		return graph.NoValue
	}
	t := graph.OfInts(elem, shape...)
	t.Enc = e
	l.B.Source(graph.Source{Name: weights})
	return l.B.Weight("", t, &graph.Weight{Parts: []graph.Part{p}})
}

// Stored adds a tensor to the weights' source and returns where it lies, for
// weights that are views of tensors, or joined from several.
func (l *Lab) Stored(elem enc.Elem, e enc.Encoding, shape ...int64) graph.Part {
	p, err := l.store(elem, e, shape)
	if err != nil {
		l.B.Fail(err)
	}
	l.B.Source(graph.Source{Name: weights})
	return p
}

// Turned adds a matrix [k,n] that is stored as its transpose, as Hugging Face
// stores them. The encoding is that of the stored matrix [n,k].
func (l *Lab) Turned(elem enc.Elem, e enc.Encoding, k, n int64) graph.ValueID {
	stored, part := elem, e
	if e.Kind == enc.Plain && e.Store != enc.Invalid {
		stored, part = e.Store, enc.Encoding{}
	}
	p, err := l.store(stored, part, []int64{n, k})
	if err != nil {
		l.B.Fail(err)
		return graph.NoValue
	}
	t := graph.OfInts(elem, k, n)
	if t.Enc = e; e.Kind != enc.Plain && e.Axis >= 0 {
		t.Enc.Axis = 1 - e.Axis
	}
	l.B.Source(graph.Source{Name: weights})
	return l.B.Weight("", t, &graph.Weight{Parts: []graph.Part{p}, Perm: []int{1, 0}})
}

func (l *Lab) gain() float64 {
	if l.Gain == 0 {
		return 1
	}
	return l.Gain
}

// store appends a random tensor to the source.
func (l *Lab) store(elem enc.Elem, e enc.Encoding, shape []int64) (graph.Part, error) {
	lay, err := e.Layout(elem, shape)
	if err != nil {
		return graph.Part{}, err
	}
	// Files align as much or as little as they like.
	gap := []int{2, 4, 6, 8}[l.Rand.IntN(4)] + len(l.data)%2
	at := int64(len(l.data) + gap)
	l.data = append(l.data, make([]byte, int64(gap)+lay.Total())...)
	all := l.data[at:]
	data, scales, zeros := all[:lay.Data], all[lay.Data:lay.Data+lay.Scale], all[lay.Data+lay.Scale:]
	for i := range data {
		data[i] = byte(l.Rand.Uint32())
	}
	switch e.Kind {
	case enc.Plain:
		t, err := Between(-l.gain(), l.gain()).Tensor(l.Rand, elem, shape)
		if err != nil {
			return graph.Part{}, err
		}
		b, err := t.Bytes()
		if err != nil {
			return graph.Part{}, err
		}
		copy(data, b)
	case enc.Affine:
		_, hi := e.Store.IntRange()
		put(l.Rand, scales, e.Scale, l.gain()/float64(hi))
		switch e.Store {
		case enc.U4:
			for i := range zeros {
				zeros[i] = 0x88 ^ byte(l.Rand.IntN(4)) ^ byte(l.Rand.IntN(4)<<4)
			}
		default: // near the middle of the range, so that values have both signs
			for i := range zeros {
				zeros[i] = byte(l.Rand.IntN(7))
				if e.Store == enc.U8 {
					zeros[i] += 125
				}
			}
		}
		if e.Store == enc.I16 || e.Store == enc.U16 || e.Store == enc.I32 {
			for i := range zeros {
				zeros[i] = 0
			}
		}
	case enc.Block:
		if err := scaleBlocks(l.Rand, e.Format, data, l.gain()); err != nil {
			return graph.Part{}, err
		}
	}
	return graph.Part{Source: weights, Offset: at, ScaleOffset: at + lay.Data, ZeroOffset: at + lay.Data + lay.Scale,
		Elem: elem, Shape: slices.Clone(shape), Enc: e}, nil
}

// put fills b with numbers of a type around a magnitude.
func put(r *rand.Rand, b []byte, e enc.Elem, about float64) {
	size := 4
	if e == enc.F16 || e == enc.BF16 {
		size = 2
	}
	for i := 0; i+size <= len(b); i += size {
		v := about * (0.5 + r.Float64())
		switch e {
		case enc.F16:
			binary.LittleEndian.PutUint16(b[i:], enc.F64ToF16(v))
		case enc.BF16:
			binary.LittleEndian.PutUint16(b[i:], enc.F64ToBF16(v))
		default:
			binary.LittleEndian.PutUint32(b[i:], math.Float32bits(float32(v)))
		}
	}
}

// halves tells where the f16 scales of a GGUF block are, and how large its
// codes are about.
var halves = map[enc.Format]struct {
	at    []int64
	codes float64
}{
	enc.Q4_0: {[]int64{0}, 8}, enc.Q4_1: {[]int64{0, 2}, 16}, enc.Q5_0: {[]int64{0}, 16}, enc.Q5_1: {[]int64{0, 2}, 32},
	enc.Q8_0: {[]int64{0}, 128}, enc.Q6_K: {[]int64{208}, 32 * 128}, enc.Q4_K: {[]int64{0, 2}, 64 * 16}, enc.Q5_K: {[]int64{0, 2}, 64 * 32},
}

func scaleBlocks(r *rand.Rand, f enc.Format, data []byte, gain float64) error {
	h, ok := halves[f]
	if !ok {
		return fmt.Errorf("the suite makes no weights in %s", f)
	}
	_, size := f.BlockSize()
	for i := int64(0); i+size <= int64(len(data)); i += size {
		for _, at := range h.at {
			put(r, data[i+at:i+at+2], enc.F16, gain/h.codes)
		}
	}
	return nil
}

// Out makes values the outputs of the graph; NoValue is left out.
func (l *Lab) Out(vs ...graph.ValueID) {
	for _, v := range vs {
		if v != graph.NoValue {
			l.B.Output(l.name("y"), v)
		}
	}
}

// Step adds a run with values for the symbols. Without steps a program runs
// once, with every symbol at its upper bound.
func (l *Lab) Step(at dim.Binding) {
	l.steps = append(l.steps, at)
	l.feeds = append(l.feeds, map[string]Fill{})
}

// Feed replaces what an input is filled with in the last step added: positions
// in a cache, for instance.
func (l *Lab) Feed(v graph.ValueID, f Fill) {
	if val := l.B.Value(v); val != nil && len(l.feeds) > 0 {
		l.feeds[len(l.feeds)-1][val.Name] = f
	}
}

// Judge replaces the tolerance class that the graph's operators have.
func (l *Lab) Judge(c ops.Class) { l.class = &c }

// Tensor makes a tensor of a type and shape.
func (f Fill) Tensor(r *rand.Rand, e enc.Elem, shape []int64) (*oracle.Tensor, error) {
	n, err := dim.Count(shape)
	if err != nil {
		return nil, err
	}
	if n > 1<<24 {
		return nil, fmt.Errorf("an input of %d elements is too large for the suite", n)
	}
	t := &oracle.Tensor{Elem: e, Shape: shape}
	switch { // one of the slices is in use even without elements
	case e.IsFloat():
		t.F = make([]float64, n)
	case e.IsSigned() || e == enc.Bool:
		t.I = make([]int64, n)
	default:
		t.U = make([]uint64, n)
	}
	for i := range n {
		v := f.Lo + float64((f.Hi-f.Lo)*r.Float64()) // never fused: cases are the same on every processor
		if f.Values != nil {
			v = f.Values[i%int64(len(f.Values))]
		}
		if f.Special && r.IntN(8) == 0 {
			v = special(r, e)
		}
		switch {
		case e.IsFloat():
			t.F[i] = round(e, v)
		case e == enc.Bool:
			t.I[i] = int64(math.Abs(math.Round(v))) & 1
		case e.IsSigned():
			t.I[i] = int64(math.Round(v))
		default:
			t.U[i] = uint64(math.Abs(math.Round(v)))
		}
	}
	return t, nil
}

func special(r *rand.Rand, e enc.Elem) float64 {
	switch {
	case e == enc.Bool:
		return 1
	case !e.IsFloat():
		switch e {
		case enc.I64, enc.U64:
			return float64(int64(1)<<40) * float64(r.IntN(3))
		}
		lo, hi := e.IntRange()
		return float64([]int64{lo, hi, 0}[r.IntN(3)])
	}
	large := map[enc.Elem]float64{enc.F16: 60000, enc.BF16: 3e38, enc.F32: 3e38, enc.F64: 1e300}[e]
	small := map[enc.Elem]float64{enc.F16: 0x1p-24, enc.BF16: 0x1p-130, enc.F32: 0x1p-140, enc.F64: 1e-310}[e]
	return []float64{0, math.Copysign(0, -1), math.Inf(1), math.Inf(-1), math.NaN(), large, -large, small, -small}[r.IntN(9)]
}

func round(e enc.Elem, v float64) float64 {
	switch e {
	case enc.F32:
		return float64(float32(v))
	case enc.F16:
		return float64(enc.F16ToF32(enc.F64ToF16(v)))
	case enc.BF16:
		return float64(enc.BF16ToF32(enc.F64ToBF16(v)))
	}
	return v
}
