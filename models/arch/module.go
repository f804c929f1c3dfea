package arch

import (
	"fmt"
	"slices"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/ops"
)

// Weights finds tensors by name. *ckpt.Checkpoint is one.
type Weights interface {
	Tensor(name string) (graph.Part, error)
	Has(name string) bool
	Sources() []graph.Source
}

// module builds one graph of a model: a graph.Builder that knows where the
// weights are.
type module struct {
	*graph.Builder
	w Weights
	// taps asks for intermediate values as outputs.
	taps bool
}

func newModule(name string, w Weights, taps bool) *module {
	m := &module{Builder: graph.NewBuilder(name, ops.Standard), w: w, taps: taps}
	for _, s := range w.Sources() {
		m.Source(s)
	}
	return m
}

// tap makes v an output under a name, if intermediate values are wanted.
func (m *module) tap(name string, v graph.ValueID) graph.ValueID {
	if m.taps {
		m.Output(name, v)
	}
	return v
}

// tensor returns a checkpoint's tensor after checking its shape.
func (m *module) tensor(name string, shape ...int64) (graph.Part, bool) {
	if m.Err() != nil {
		return graph.Part{}, false
	}
	p, err := m.w.Tensor(name)
	if err != nil {
		m.Fail(fmt.Errorf("config.json asks for it: %w", err))
		return graph.Part{}, false
	}
	if !p.Elem.IsFloat() {
		m.Fail(fmt.Errorf("%s: tensor %q holds %s; want a floating-point type", p.Source, name, p.Elem))
		return graph.Part{}, false
	}
	if !slices.Equal(p.Shape, shape) {
		m.Fail(fmt.Errorf("%s: tensor %q has shape %v, config.json asks for %v: the two do not belong together", p.Source, name, p.Shape, shape))
		return graph.Part{}, false
	}
	return p, true
}

// asF32 is the type of a weight that is computed with as float32, whatever it
// is stored as.
func asF32(stored enc.Elem, shape ...int64) graph.Type {
	t := graph.OfInts(enc.F32, shape...)
	if stored != enc.F32 {
		t.Enc = enc.As(stored)
	}
	return t
}

// weight adds a tensor as it is stored.
func (m *module) weight(name string, shape ...int64) graph.ValueID {
	p, ok := m.tensor(name, shape...)
	if !ok {
		return graph.NoValue
	}
	return m.Weight(name, asF32(p.Elem, shape...), &graph.Weight{Parts: []graph.Part{p}})
}

// rows adds rows lo to hi of a tensor whose first dimension is n.
func (m *module) rows(name string, lo, hi, n int64, rest ...int64) (graph.Part, bool) {
	p, ok := m.tensor(name, append([]int64{n}, rest...)...)
	if !ok {
		return p, false
	}
	p.Start = make([]int64, len(p.Shape))
	p.Start[0] = lo
	p.Size = append([]int64{hi - lo}, rest...)
	return p, true
}

// matrix adds a linear layer's [out,in] tensor as the [in,out] operand of
// MatMul.
func (m *module) matrix(name string, out, in int64) graph.ValueID {
	p, ok := m.tensor(name, out, in)
	if !ok {
		return graph.NoValue
	}
	return m.matrixOf(name, p)
}

func (m *module) matrixOf(name string, p graph.Part) graph.ValueID {
	box := p.Box()
	return m.Weight(name+".T", asF32(p.Elem, box[1], box[0]), &graph.Weight{Parts: []graph.Part{p}, Perm: []int{1, 0}})
}

// linear applies name.weight and, if bias, name.bias.
func (m *module) linear(x graph.ValueID, name string, in, out int64, bias bool) graph.ValueID {
	y := m.Op("MatMul", []graph.ValueID{x, m.matrix(name+".weight", out, in)})
	if bias {
		y = m.add(y, m.weight(name+".bias", out))
	}
	return y
}

func (m *module) add(a, b graph.ValueID) graph.ValueID {
	return m.Op("Add", []graph.ValueID{a, b})
}

func (m *module) mul(a, b graph.ValueID) graph.ValueID {
	return m.Op("Mul", []graph.ValueID{a, b})
}

// scale multiplies by a constant; 1 is left out.
func (m *module) scale(x graph.ValueID, f float64) graph.ValueID {
	if f == 1 {
		return x
	}
	return m.mul(x, m.Float(enc.F32, f))
}

func (m *module) layerNorm(x graph.ValueID, name string, width int64, eps float64) graph.ValueID {
	return m.Op("LayerNormalization", []graph.ValueID{x, m.weight(name+".weight", width), m.weight(name+".bias", width)},
		graph.Int("axis", -1), graph.Float("epsilon", float32(eps)))
}

func (m *module) rmsNorm(x graph.ValueID, name string, width int64, eps float64) graph.ValueID {
	return m.Op("RMSNormalization", []graph.ValueID{x, m.weight(name+".weight", width)},
		graph.Int("axis", -1), graph.Float("epsilon", float32(eps)))
}

func (m *module) reshape(x graph.ValueID, to ...int64) graph.ValueID {
	return m.Op("Reshape", []graph.ValueID{x, m.Ints(to...)})
}

func (m *module) transpose(x graph.ValueID, perm ...int64) graph.ValueID {
	return m.Op("Transpose", []graph.ValueID{x}, graph.Ints("perm", perm...))
}

// activation applies a Hugging Face hidden_act.
func (m *module) activation(x graph.ValueID, act string) graph.ValueID {
	in := []graph.ValueID{x}
	switch act {
	case "gelu":
		return m.Op("Gelu", in)
	case "gelu_pytorch_tanh", "gelu_new":
		return m.Op("Gelu", in, graph.Str("approximate", "tanh"))
	case "silu", "swish":
		return m.Op("Swish", in)
	case "relu":
		return m.Op("Relu", in)
	}
	m.Fail(fmt.Errorf("activation %q is not supported; want gelu, gelu_pytorch_tanh, silu or relu", act))
	return graph.NoValue
}

func checkActivation(c config, key, act string) {
	c.want(key, slices.Contains([]string{"gelu", "gelu_pytorch_tanh", "gelu_new", "silu", "swish", "relu"}, act), act,
		"want gelu, gelu_pytorch_tanh, silu or relu")
}

// expandFirst repeats a [1,...] value for each of n.
func (m *module) expandFirst(x graph.ValueID, n dim.Dim) graph.ValueID {
	shape := slices.Clone(m.Type(x).Shape)
	if m.Err() != nil {
		return graph.NoValue
	}
	shape[0] = n
	return m.Op("Expand", []graph.ValueID{x, m.Dims(shape...)})
}
