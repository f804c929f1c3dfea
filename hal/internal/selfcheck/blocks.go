package selfcheck

import (
	"fmt"
	"math"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/ops/oracle"
)

// Revision changes when blocks or limits do: results of before no longer
// count then.
const Revision = 1

type ids = []graph.ValueID

// block is something to compute: graphs that share states of equal name, and
// runs of them, one after the other.
type block struct {
	name   string
	graphs []*graph.Graph
	steps  []step
	limits limits
}

// step runs one of a block's graphs.
type step struct {
	graph  int
	inputs map[string]*oracle.Tensor
}

// maker makes a block whose numbers are of a type.
type maker struct {
	name string
	make func(name string, elem enc.Elem) (*block, error)
}

// makers of the blocks. Sizes are odd where nothing forbids it: that is where
// kernels go wrong.
var makers = []maker{
	{"product", product(129, func(n *net, k, m int64) graph.ValueID { return n.matrix(k, m) })},
	{"product of 8-bit weights", product(129, encodedAs(enc.PerChannel(enc.I8, 1)))},
	{"product of 4-bit weights", product(160, encodedAs(enc.Blocked(enc.I4, 0, 32)))},
	{"product of Q8_0 weights", product(160, encodedAs(enc.GGUF(enc.Q8_0, 0)))},
	{"product of Q4_0 weights", product(160, encodedAs(enc.GGUF(enc.Q4_0, 0)))},
	{"convolution", convolution},
	{"norms", norms},
	{"vision block", vision},
	{"decoder block", decoder},
}

// single makes a block of one graph that runs once.
func single(n *net, l limits, inputs map[string]*oracle.Tensor) (*block, error) {
	g, err := n.Build()
	if err != nil {
		return nil, err
	}
	return &block{name: g.Name, graphs: []*graph.Graph{g}, steps: []step{{inputs: inputs}}, limits: l}, nil
}

func encodedAs(e enc.Encoding) func(*net, int64, int64) graph.ValueID {
	return func(n *net, k, m int64) graph.ValueID { return n.encoded(e, k, m) }
}

func product(k int64, weight func(n *net, k, m int64) graph.ValueID) func(string, enc.Elem) (*block, error) {
	const rows, cols = 33, 65
	return func(name string, elem enc.Elem) (*block, error) {
		n := newNet(name, elem, 1)
		n.Output("y", n.Op("MatMul", ids{n.input("x", rows, k), weight(n, k, cols)}))
		return single(n, productLimits, map[string]*oracle.Tensor{"x": tensor(elem, 2, rows, k)})
	}
}

// convolution cuts a picture into patches, as vision towers begin.
func convolution(name string, elem enc.Elem) (*block, error) {
	n := newNet(name, elem, 3)
	y := n.Op("Conv", ids{n.input("x", 2, 3, 21, 28), n.weight(0, 0.15, 37, 3, 7, 7), n.weight(0, 0.5, 37)}, graph.Ints("strides", 7, 7))
	n.Output("y", y)
	return single(n, productLimits, map[string]*oracle.Tensor{"x": tensor(elem, 4, 2, 3, 21, 28)})
}

func norms(name string, elem enc.Elem) (*block, error) {
	const rows, width = 13, 67
	n := newNet(name, elem, 5)
	x := n.input("x", rows, width)
	n.Output("layer", n.Op("LayerNormalization", ids{x, n.weight(1, 0.3, width), n.weight(0, 0.3, width)}, graph.Int("axis", -1)))
	n.Output("rms", n.Op("RMSNormalization", ids{x, n.weight(1, 0.3, width)}, graph.Int("axis", -1)))
	n.Output("softmax", n.Op("Softmax", ids{x}, graph.Int("axis", -1)))
	return single(n, chainLimits, map[string]*oracle.Tensor{"x": tensor(elem, 6, rows, width)})
}

// heads splits the last axis of x into h heads: [1,t,h*d] to [1,h,t,d].
func (n *net) heads(x graph.ValueID, t, h, d int64) graph.ValueID {
	return n.Op("Transpose", ids{n.Op("Reshape", ids{x, n.Ints(1, t, h, d)})}, graph.Ints("perm", 0, 2, 1, 3))
}

// joined is the inverse of heads.
func (n *net) joined(x graph.ValueID, t, width int64) graph.ValueID {
	return n.Op("Reshape", ids{n.Op("Transpose", ids{x}, graph.Ints("perm", 0, 2, 1, 3)), n.Ints(1, t, width)})
}

// vision is a block of a vision transformer: attention among all tokens, and
// a perceptron.
func vision(name string, elem enc.Elem) (*block, error) {
	const t, heads, d = 19, 3, 16
	const width = heads * d
	n := newNet(name, elem, 7)
	x := n.input("x", 1, t, width)
	norm := func(x graph.ValueID) graph.ValueID {
		return n.Op("LayerNormalization", ids{x, n.weight(1, 0.3, width), n.weight(0, 0.3, width)}, graph.Int("axis", -1))
	}
	linear := func(x graph.ValueID, k, m int64) graph.ValueID {
		return n.Op("Add", ids{n.Op("MatMul", ids{x, n.matrix(k, m)}), n.weight(0, 0.3, m)})
	}
	n.Scope("attention")
	h := norm(x)
	part := func() graph.ValueID { return n.heads(linear(h, width, width), t, heads, d) }
	a := n.Op("Attention", ids{part(), part(), part()})
	y := n.Op("Add", ids{x, linear(n.joined(a, t, width), width, width)})
	n.Scope("mlp")
	h = n.Op("Gelu", ids{linear(norm(y), width, 3*width)}, graph.Str("approximate", "tanh"))
	n.Output("y", n.Op("Add", ids{y, linear(h, 3*width, width)}))
	return single(n, chainLimits, map[string]*oracle.Tensor{"x": tensor(elem, 8, 1, t, width)})
}

// decoder is a block of a decoder with rotary positions, grouped heads and a
// cache, in two graphs: chunks of five tokens and single tokens.
func decoder(name string, elem enc.Elem) (*block, error) {
	const chunk, heads, kvHeads, d, capacity = 5, 4, 2, 16, 24
	const width = heads * d
	bl := &block{name: name, limits: chainLimits}
	for _, t := range []int64{chunk, 1} {
		n := newNet(name, elem, 9)
		x := n.input("x", 1, t, width)
		pos := n.Input("position_ids", graph.OfInts(enc.I64, 1, t))
		write := n.Input("write_indices", graph.OfInts(enc.I64, 1))
		length := n.Input("nonpad_kv_seqlen", graph.OfInts(enc.I64, 1))
		cos, sin := n.rope(capacity, d)
		norm := func(x graph.ValueID) graph.ValueID {
			return n.Op("RMSNormalization", ids{x, n.weight(1, 0.3, width)}, graph.Int("axis", -1))
		}
		linear := func(x graph.ValueID, k, m int64) graph.ValueID { return n.Op("MatMul", ids{x, n.matrix(k, m)}) }
		rotated := func(x graph.ValueID) graph.ValueID { return n.Op("RotaryEmbedding", ids{x, cos, sin, pos}) }
		cache := func(name string, rows graph.ValueID) graph.ValueID {
			next := n.Op("TensorScatter", ids{n.State(name, graph.OfInts(elem, 1, kvHeads, capacity, d)), rows, write}, graph.Int("axis", 2))
			n.SetState(name, next)
			return next
		}
		n.Scope("attention")
		h := norm(x)
		q := rotated(n.heads(linear(h, width, width), t, heads, d))
		k := cache("k", rotated(n.heads(linear(h, width, kvHeads*d), t, kvHeads, d)))
		v := cache("v", n.heads(linear(h, width, kvHeads*d), t, kvHeads, d))
		a := n.Op("Attention", ids{q, k, v, graph.NoValue, graph.NoValue, graph.NoValue, length}, graph.Int("is_causal", 1))
		y := n.Op("Add", ids{x, linear(n.joined(a, t, width), width, width)})
		n.Scope("mlp")
		h = norm(y)
		gate := n.Op("Swish", ids{linear(h, width, 3*width)})
		n.Output("y", n.Op("Add", ids{y, linear(n.Op("Mul", ids{gate, linear(h, width, 3*width)}), 3*width, width)}))
		g, err := n.Build()
		if err != nil {
			return nil, fmt.Errorf("%d tokens: %w", t, err)
		}
		bl.graphs = append(bl.graphs, g)
	}
	at := int64(0)
	for i, t := range []int64{chunk, chunk, 1, 1} {
		var places []int64
		for p := range t {
			places = append(places, at+p)
		}
		s := step{inputs: map[string]*oracle.Tensor{
			"x":                tensor(elem, uint64(20+i), 1, t, width),
			"position_ids":     integers([]int64{1, t}, places...),
			"write_indices":    integers([]int64{1}, at),
			"nonpad_kv_seqlen": integers([]int64{1}, at+t),
		}}
		if t == 1 {
			s.graph = 1
		}
		bl.steps = append(bl.steps, s)
		at += t
	}
	return bl, nil
}

// rope returns the tables of rotary positions.
func (n *net) rope(capacity, d int64) (cos, sin graph.ValueID) {
	table := func(name string, f func(float64) float64) graph.ValueID {
		t := &oracle.Tensor{Elem: n.elem, Shape: []int64{capacity, d / 2}}
		for p := range capacity {
			for i := range d / 2 {
				x := f(float64(p) / math.Pow(10000, 2*float64(i)/float64(d)))
				if x = float64(float32(x)); n.elem == enc.F16 {
					x = float64(enc.F16ToF32(enc.F64ToF16(x)))
				}
				t.F = append(t.F, x)
			}
		}
		c, err := t.Const()
		if err != nil {
			n.Fail(err)
			return graph.NoValue
		}
		return n.Const(name, c)
	}
	return table("cos", math.Cos), table("sin", math.Sin)
}
