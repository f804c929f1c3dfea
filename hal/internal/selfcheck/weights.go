package selfcheck

import (
	"encoding/binary"
	"math"
	"math/rand/v2"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/ops"
	"github.com/heddle-ml/heddle/ops/oracle"
)

// net builds the graph of a block with random weights, all of one element
// type.
type net struct {
	*graph.Builder
	elem enc.Elem
	rnd  *rand.Rand
}

// newNet starts a graph. Equal names and types get equal weights.
func newNet(name string, elem enc.Elem, seed uint64) *net {
	return &net{graph.NewBuilder(name, ops.Standard), elem, rand.New(rand.NewPCG(seed, 7))}
}

// input declares an input of the net's type.
func (n *net) input(name string, shape ...int64) graph.ValueID {
	return n.Input(name, graph.OfInts(n.elem, shape...))
}

// stored adds a weight of given bytes and storage.
func (n *net) stored(store enc.Elem, e enc.Encoding, data []byte, shape ...int64) graph.ValueID {
	t := graph.OfInts(n.elem, shape...)
	if t.Enc = e; e.Kind == enc.Plain && store != n.elem {
		t.Enc = enc.As(store)
	}
	return n.Weight("", t, &graph.Weight{Parts: []graph.Part{{Inline: data, Elem: store, Shape: shape, Enc: e}}})
}

// weight adds a weight stored in f16, uniform in mean±spread.
func (n *net) weight(mean, spread float64, shape ...int64) graph.ValueID {
	count, _ := dim.Count(shape)
	data := make([]byte, 0, 2*count)
	for range count {
		data = binary.LittleEndian.AppendUint16(data, enc.F64ToF16(mean+spread*(2*n.rnd.Float64()-1)))
	}
	return n.stored(enc.F16, enc.Encoding{}, data, shape...)
}

// matrix adds a weight that keeps the size of what is multiplied with it.
func (n *net) matrix(k, m int64) graph.ValueID {
	return n.weight(0, math.Sqrt(3/float64(k)), k, m)
}

// encoded adds a matrix in an encoding: random codes, and scales that keep the
// size of what is multiplied with it.
func (n *net) encoded(e enc.Encoding, k, m int64) graph.ValueID {
	stored := e.Stored(n.elem)
	l, err := e.Layout(n.elem, []int64{k, m})
	if err != nil {
		n.Fail(err)
		return graph.NoValue
	}
	data := make([]byte, l.Data, l.Total())
	for i := range data {
		data[i] = byte(n.rnd.Uint32())
	}
	top := 128.0
	if stored == enc.I4 || e.Format == enc.Q4_0 {
		top = 8
	}
	scale := func() float64 { return math.Sqrt(3/float64(k)) / top * (0.75 + 0.5*n.rnd.Float64()) }
	if e.Kind == enc.Block { // Q4_0 and Q8_0 begin each block with its scale
		_, size := e.Format.BlockSize()
		for i := int64(0); i < l.Data; i += size {
			binary.LittleEndian.PutUint16(data[i:], enc.F64ToF16(scale()))
		}
		return n.stored(n.elem, e, data, k, m)
	}
	for range l.Scale / 4 {
		data = binary.LittleEndian.AppendUint32(data, math.Float32bits(float32(scale())))
	}
	return n.stored(n.elem, e, data, k, m)
}

// tensor returns numbers of standard deviation 1, rounded to a type.
func tensor(elem enc.Elem, seed uint64, shape ...int64) *oracle.Tensor {
	rnd := rand.New(rand.NewPCG(seed, 11))
	count, _ := dim.Count(shape)
	t := &oracle.Tensor{Elem: elem, Shape: shape, F: make([]float64, count)}
	for i := range t.F {
		x := rnd.NormFloat64()
		if t.F[i] = float64(float32(x)); elem == enc.F16 {
			t.F[i] = float64(enc.F16ToF32(enc.F64ToF16(x)))
		}
	}
	return t
}

func integers(shape []int64, ns ...int64) *oracle.Tensor {
	return &oracle.Tensor{Elem: enc.I64, Shape: shape, I: ns}
}
