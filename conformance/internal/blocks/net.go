package blocks

import (
	"math"

	"github.com/heddle-ml/heddle/conformance/internal/suite"
	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
)

type ids = []graph.ValueID

// net builds the layers that models are made of, with random weights, as
// package models/arch builds them from checkpoints.
type net struct {
	*suite.Lab
	// stored is how matrices are stored, as files hold them: [out,in].
	stored enc.Encoding
}

// vector adds a bias, a scale or a table. Those of quantized models are f16.
func (n *net) vector(gain float64, shape ...int64) graph.ValueID {
	n.Gain = gain
	e := n.stored
	if e.Kind != enc.Plain {
		e = enc.As(enc.F16)
	}
	return n.Weight(enc.F32, e, shape...)
}

// linear multiplies by a stored matrix [out,in], so that the result is about
// gain times as large as x.
func (n *net) linear(x graph.ValueID, in, out int64, gain float64, bias bool) graph.ValueID {
	n.Gain = gain * math.Sqrt(3/float64(in))
	y := n.B.Op("MatMul", ids{x, n.Turned(enc.F32, n.stored, in, out)})
	if bias {
		y = n.add(y, n.vector(0.5, out))
	}
	return y
}

func (n *net) add(a, b graph.ValueID) graph.ValueID { return n.B.Op("Add", ids{a, b}) }
func (n *net) mul(a, b graph.ValueID) graph.ValueID { return n.B.Op("Mul", ids{a, b}) }

func (n *net) layerNorm(x graph.ValueID, width int64) graph.ValueID {
	return n.B.Op("LayerNormalization", ids{x, n.vector(1.5, width), n.vector(0.5, width)}, graph.Int("axis", -1), graph.Float("epsilon", 1e-6))
}

func (n *net) rmsNorm(x graph.ValueID, width int64) graph.ValueID {
	return n.B.Op("RMSNormalization", ids{x, n.vector(1.5, width)}, graph.Int("axis", -1), graph.Float("epsilon", 1e-5))
}

func (n *net) reshape(x graph.ValueID, to ...int64) graph.ValueID {
	return n.B.Op("Reshape", ids{x, n.B.Ints(to...)})
}

func (n *net) transpose(x graph.ValueID, perm ...int64) graph.ValueID {
	return n.B.Op("Transpose", ids{x}, graph.Ints("perm", perm...))
}

// act applies an activation: gelu, gelu_tanh, silu or relu.
func (n *net) act(x graph.ValueID, name string) graph.ValueID {
	switch name {
	case "gelu_tanh":
		return n.B.Op("Gelu", ids{x}, graph.Str("approximate", "tanh"))
	case "silu":
		return n.B.Op("Swish", ids{x})
	case "relu":
		return n.B.Op("Relu", ids{x})
	}
	return n.B.Op("Gelu", ids{x})
}

// rotations are the cosines and sines of n positions, [n,half] each. They come
// from half-angle tangents: no library's cosine makes the graph depend on the
// processor that it is built on.
func (n *net) rotations(positions, half int64) (cos, sin graph.ValueID) {
	var c, s []float32
	for range positions * half {
		t := n.Rand.Float64() * 2
		u := 1 + float64(t*t)
		c, s = append(c, float32((2-u)/u)), append(s, float32(2*t/u))
	}
	shape := []int64{positions, half}
	return n.B.Const("", graph.F32(shape, c...)), n.B.Const("", graph.F32(shape, s...))
}

// input adds f32 activations.
func (n *net) input(shape ...dim.Dim) graph.ValueID {
	return n.Input(enc.F32, suite.Between(-1.5, 1.5), shape...)
}
