package ops

import (
	"fmt"
	"math"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/enc"
)

func init() {
	alpha := func(def string) AttrSpec { return AttrSpec{Name: "alpha", Kind: graph.AttrFloat, Default: def} }
	beta := func(def string) AttrSpec { return AttrSpec{Name: "beta", Kind: graph.AttrFloat, Default: def} }

	Register(activation("Relu", 14, signedNumbers, Exact, "max(x, 0).", nil,
		func(b *graph.Builder, _ *graph.Call, x graph.ValueID) graph.ValueID {
			return b.Op("Max", values{x, scalar(b, b.Type(x).Elem, 0)})
		}))
	Register(activation("LeakyRelu", 16, Floats, Rounded, "x where x >= 0, else alpha*x.", []AttrSpec{alpha("0.01")},
		func(b *graph.Builder, c *graph.Call, x graph.ValueID) graph.ValueID {
			return aboveZero(b, x, b.Op("Mul", values{scalar(b, b.Type(x).Elem, attr64(c, "alpha", 0.01)), x}))
		}))
	Register(activation("Elu", 22, Floats, Approximate, "x where x >= 0, else alpha*(exp(x)-1).", []AttrSpec{alpha("1")},
		func(b *graph.Builder, c *graph.Call, x graph.ValueID) graph.ValueID {
			return aboveZero(b, x, expLess1(b, x, attr64(c, "alpha", 1)))
		}))
	Register(activation("Celu", 28, Floats, Approximate, "x where x >= 0, else alpha*(exp(x/alpha)-1).", []AttrSpec{alpha("1")},
		func(b *graph.Builder, c *graph.Call, x graph.ValueID) graph.ValueID {
			a := attr64(c, "alpha", 1)
			return aboveZero(b, x, expLess1(b, b.Op("Div", values{x, scalar(b, b.Type(x).Elem, a)}), a))
		}))
	Register(activation("Selu", 22, Floats, Approximate, "gamma*x where x >= 0, else gamma*alpha*(exp(x)-1).",
		[]AttrSpec{alpha("1.6732632"), {Name: "gamma", Kind: graph.AttrFloat, Default: "1.050701"}},
		func(b *graph.Builder, c *graph.Call, x graph.ValueID) graph.ValueID {
			y := aboveZero(b, x, expLess1(b, x, attr64(c, "alpha", 1.67326319217681884765625)))
			return b.Op("Mul", values{y, scalar(b, b.Type(x).Elem, attr64(c, "gamma", 1.05070102214813232421875))})
		}))
	Register(activation("ThresholdedRelu", 22, Floats, Exact, "x where x > alpha, else 0.", []AttrSpec{alpha("1")},
		func(b *graph.Builder, c *graph.Call, x graph.ValueID) graph.ValueID {
			e := b.Type(x).Elem
			return b.Op("Where", values{b.Op("Less", values{scalar(b, e, attr64(c, "alpha", 1)), x}), x, scalar(b, e, 0)})
		}))
	Register(shrink())
	Register(activation("Softsign", 22, Floats, Rounded, "x/(1+|x|).", nil,
		func(b *graph.Builder, _ *graph.Call, x graph.ValueID) graph.ValueID {
			return b.Op("Div", values{x, b.Op("Add", values{b.Op("Abs", values{x}), scalar(b, b.Type(x).Elem, 1)})})
		}))
	Register(activation("Mish", 22, Floats, Approximate, "x*tanh(Softplus(x)).", nil,
		func(b *graph.Builder, _ *graph.Call, x graph.ValueID) graph.ValueID {
			return b.Op("Mul", values{x, b.Op("Tanh", values{b.Op("Softplus", values{x})})})
		}))
	Register(Op{
		Ref: onnx("PRelu", 16), Doc: "x where x >= 0, else slope*x; the slope broadcasts to x.",
		Inputs:  []Param{{Name: "X", Types: wide, Same: "T"}, {Name: "slope", Types: wide, Same: "T"}},
		Outputs: in1("Y", wide),
		Infer: func(c *graph.Call) ([]graph.Type, error) {
			if err := broadcastsTo(c.Type(1).Shape, c.Type(0).Shape); err != nil {
				return nil, fmt.Errorf("%s does not broadcast to %s: %w", describe(c, 1), describe(c, 0), err)
			}
			return likeFirst(c)
		},
		Cost: opsPerElement(2),
		Decompose: func(b *graph.Builder, _ *graph.Call, in []graph.ValueID) ([]graph.ValueID, error) {
			return decomposed(b, aboveZero(b, in[0], b.Op("Mul", values{in[1], in[0]})))
		},
		Class: Rounded,
	})
	Register(activation("HardSigmoid", 22, Floats, Rounded, "max(0, min(1, alpha*x+beta)).", []AttrSpec{alpha("0.2"), beta("0.5")},
		func(b *graph.Builder, c *graph.Call, x graph.ValueID) graph.ValueID {
			e := b.Type(x).Elem
			y := b.Op("Mul", values{x, scalar(b, e, attr64(c, "alpha", 0.2))})
			y = b.Op("Add", values{y, scalar(b, e, attr64(c, "beta", 0.5))})
			y = b.Op("Min", values{y, scalar(b, e, 1)})
			return b.Op("Max", values{y, scalar(b, e, 0)})
		}))
	Register(activation("HardSwish", 22, Floats, Rounded, "x * HardSigmoid(x) with alpha 1/6 and beta 1/2.", nil,
		func(b *graph.Builder, _ *graph.Call, x graph.ValueID) graph.ValueID {
			h := b.Op("HardSigmoid", values{x}, graph.Float("alpha", 1.0/6), graph.Float("beta", 0.5))
			return b.Op("Mul", values{x, h})
		}))
	Register(activation("Softplus", 22, Floats, Approximate, "log(1 + exp(x)).", nil,
		func(b *graph.Builder, _ *graph.Call, x graph.ValueID) graph.ValueID {
			// max(x,0) + log(1+exp(-|x|)): exp cannot overflow.
			e := b.Type(x).Elem
			t := b.Op("Exp", values{b.Op("Neg", values{b.Op("Abs", values{x})})})
			t = b.Op("Log", values{b.Op("Add", values{t, scalar(b, e, 1)})})
			return b.Op("Add", values{b.Op("Max", values{x, scalar(b, e, 0)}), t})
		}))
	gelu := activation("Gelu", 20, Floats, Approximate,
		"x times the normal distribution at x: 0.5*x*(1+erf(x/sqrt(2))), or with approximate = tanh 0.5*x*(1+tanh(sqrt(2/pi)*(x+0.044715*x^3))).",
		[]AttrSpec{{Name: "approximate", Kind: graph.AttrString, Default: "none"}}, decomposeGelu)
	gelu.Infer = func(c *graph.Call) ([]graph.Type, error) {
		if s := c.Attrs.Str("approximate", "none"); s != "none" && s != "tanh" {
			return nil, fmt.Errorf("attribute approximate is %q; want none or tanh", s)
		}
		return likeFirst(c)
	}
	Register(gelu)
	Register(activation("Swish", 24, Floats, Approximate, "x * Sigmoid(alpha*x); SiLU with alpha 1.", []AttrSpec{alpha("1")},
		func(b *graph.Builder, c *graph.Call, x graph.ValueID) graph.ValueID {
			y := x
			if a := c.Attrs.Float("alpha", 1); a != 1 {
				y = b.Op("Mul", values{scalar(b, b.Type(x).Elem, float64(a)), x})
			}
			return b.Op("Mul", values{x, b.Op("Sigmoid", values{y})})
		}))
	Register(Op{
		Ref: onnx("SwiGLU", 28), Doc: "Swish(A) * B, of equal shapes: the gated activation of a decoder's feed-forward block.",
		Inputs:  []Param{{Name: "A", Types: Floats, Same: "T"}, {Name: "B", Types: Floats, Same: "T"}},
		Outputs: in1("Y", Floats),
		Attrs:   []AttrSpec{alpha("1")},
		Infer: func(c *graph.Call) ([]graph.Type, error) {
			if !c.Type(0).Shape.Equal(c.Type(1).Shape) {
				return nil, fmt.Errorf("%s and %s differ; want equal shapes", describe(c, 0), describe(c, 1))
			}
			return likeFirst(c)
		},
		Cost: opsPerElement(5),
		Decompose: func(b *graph.Builder, c *graph.Call, in []graph.ValueID) ([]graph.ValueID, error) {
			return decomposed(b, b.Op("Mul", values{b.Op("Swish", in[:1], c.Attrs...), in[1]}))
		},
		Class: Approximate,
	})
	Register(normalizer("Softmax", "exp(x) divided by its sum along axis, computed after subtracting the greatest element.",
		func(b *graph.Builder, shifted, axes graph.ValueID) graph.ValueID {
			e := b.Op("Exp", values{shifted})
			return b.Op("Div", values{e, b.Op("ReduceSum", values{e, axes})})
		}))
	Register(normalizer("LogSoftmax", "The logarithm of Softmax, computed without taking the logarithm of a small number.",
		func(b *graph.Builder, shifted, axes graph.ValueID) graph.ValueID {
			s := b.Op("ReduceSum", values{b.Op("Exp", values{shifted}), axes})
			return b.Op("Sub", values{shifted, b.Op("Log", values{s})})
		}))
}

// aboveZero is x where it is not negative, else y.
func aboveZero(b *graph.Builder, x, y graph.ValueID) graph.ValueID {
	return b.Op("Where", values{b.Op("Less", values{x, scalar(b, b.Type(x).Elem, 0)}), y, x})
}

// expLess1 is alpha*(exp(x)-1) for negative x. Positive ones, for which it is
// not used, might overflow and are replaced by 0.
func expLess1(b *graph.Builder, x graph.ValueID, alpha float64) graph.ValueID {
	e := b.Type(x).Elem
	y := b.Op("Sub", values{b.Op("Exp", values{b.Op("Min", values{x, scalar(b, e, 0)})}), scalar(b, e, 1)})
	return b.Op("Mul", values{y, scalar(b, e, alpha)})
}

// attr64 reads a float attribute with a default that is rounded to float32 as
// the attribute itself would be.
func attr64(c *graph.Call, name string, def float32) float64 {
	return float64(c.Attrs.Float(name, def))
}

// activation describes an elementwise composite of one operand.
func activation(name string, version int, types TypeSet, class Class, doc string, attrs []AttrSpec,
	decompose func(b *graph.Builder, c *graph.Call, x graph.ValueID) graph.ValueID) Op {
	o := unary(name, version, types, class, doc)
	o.Attrs = attrs
	o.Cost = opsPerElement(4)
	o.Decompose = func(b *graph.Builder, c *graph.Call, in []graph.ValueID) ([]graph.ValueID, error) {
		return decomposed(b, decompose(b, c, in[0]))
	}
	return o
}

func decomposeGelu(b *graph.Builder, c *graph.Call, x graph.ValueID) graph.ValueID {
	e := b.Type(x).Elem
	k := func(f float64) graph.ValueID { return scalar(b, e, f) }
	var t graph.ValueID
	if c.Attrs.Str("approximate", "none") == "tanh" {
		cube := b.Op("Mul", values{x, b.Op("Mul", values{x, x})})
		t = b.Op("Add", values{x, b.Op("Mul", values{k(0.044715), cube})})
		t = b.Op("Tanh", values{b.Op("Mul", values{k(math.Sqrt(2 / math.Pi)), t})})
	} else {
		t = b.Op("Erf", values{b.Op("Mul", values{x, k(math.Sqrt2 / 2)})})
	}
	t = b.Op("Add", values{t, k(1)})
	return b.Op("Mul", values{b.Op("Mul", values{k(0.5), x}), t})
}

// normalizer describes Softmax or LogSoftmax at version 13: along one axis,
// not over a flattened matrix as before. finish gets the operand less its
// greatest element, and the axis as an operand.
func normalizer(name, doc string, finish func(b *graph.Builder, shifted, axes graph.ValueID) graph.ValueID) Op {
	o := unary(name, 13, Floats, Approximate, doc)
	o.Attrs = []AttrSpec{{Name: "axis", Kind: graph.AttrInt, Default: "-1"}}
	o.Cost = opsPerElement(5)
	o.Infer = func(c *graph.Call) ([]graph.Type, error) {
		if _, err := attrAxis(c, -1, c.Type(0).Rank()); err != nil {
			return nil, fmt.Errorf("%s: %w", describe(c, 0), err)
		}
		return likeFirst(c)
	}
	o.Decompose = func(b *graph.Builder, c *graph.Call, in []graph.ValueID) ([]graph.ValueID, error) {
		axes := b.Ints(c.Attrs.Int("axis", -1))
		shifted := b.Op("Sub", values{in[0], b.Op("ReduceMax", values{in[0], axes})})
		return decomposed(b, finish(b, shifted, axes))
	}
	return o
}

// shrink describes Shrink, which other than activations takes integers too.
// Their result is computed as a float64 and truncated.
func shrink() Op {
	o := activation("Shrink", 9, narrow, Rounded, "x + bias where x < -lambd, x - bias where x > lambd, else 0.",
		[]AttrSpec{{Name: "bias", Kind: graph.AttrFloat, Default: "0"}, {Name: "lambd", Kind: graph.AttrFloat, Default: "0.5"}}, nil)
	o.Decompose = func(b *graph.Builder, c *graph.Call, in []graph.ValueID) ([]graph.ValueID, error) {
		elem := b.Type(in[0]).Elem
		x := in[0]
		if !elem.IsFloat() {
			x = cast(b, x, enc.F64)
		}
		e := b.Type(x).Elem
		bias, lambd := scalar(b, e, attr64(c, "bias", 0)), attr64(c, "lambd", 0.5)
		above := b.Op("Where", values{b.Op("Greater", values{x, scalar(b, e, lambd)}), b.Op("Sub", values{x, bias}), scalar(b, e, 0)})
		y := b.Op("Where", values{b.Op("Less", values{x, scalar(b, e, -lambd)}), b.Op("Add", values{x, bias}), above})
		return decomposed(b, cast(b, y, elem))
	}
	return o
}
