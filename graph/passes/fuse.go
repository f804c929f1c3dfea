package passes

import (
	"math"
	"slices"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/ops"
)

// Fuse returns the pass that turns what is spelled out in primitives into
// composite operators, where allow returns true for these; a nil allow allows
// all. It knows LayerNormalization, RMSNormalization, Softmax, Gelu (both
// forms), Swish, and heddle.Linear: a product with a constant matrix, a bias
// and an activation. What is used in between by something else is not fused.
func Fuse(allow func(op graph.OpRef) bool) Pass {
	return Pass{"fuse", func(g *graph.Graph) (*graph.Graph, error) {
		for i := range rules {
			r := &rules[i]
			if allow != nil && !allow(r.op) {
				continue
			}
			var err error
			if g, err = r.apply(g); err != nil {
				return nil, err
			}
		}
		return g, nil
	}}
}

// rules are in the order in which they apply: those that make the operands of
// others first, and of two that share a part the larger one first.
var rules = slices.Concat(layerNorm(), rmsNorm(), softmax(), gelu(), swish(), linear())

func ref(domain, name string) graph.OpRef { return ops.Get(domain, name).Ref }

// reduce matches a reduction along captured axes that keeps them as 1.
func reduce(op string, x *pattern, axes string) *pattern {
	return node(op, x, value(axes)).where(func(_ *graph.Value, c *graph.Call) bool {
		return c.Attrs.Int("keepdims", 1) == 1 && c.Attrs.Int("noop_with_empty_axes", 0) == 0
	})
}

// axes returns the captured axes of x in ascending order.
func (m *match) axes(name string) []int64 {
	t, ok := m.g.Values[m.get(name)].Const()
	if !ok {
		return nil
	}
	ns, _ := t.Ints()
	ns = slices.Clone(ns)
	for i := range ns {
		if ns[i] < 0 {
			ns[i] += int64(m.typ("x").Rank())
		}
	}
	slices.Sort(ns)
	return ns
}

// trailing returns how many of x's dimensions the axes are, if these are the
// last ones; else 0.
func (m *match) trailing(name string) int64 {
	ns := m.axes(name)
	for i, a := range ns {
		if a != int64(m.typ("x").Rank()-len(ns)+i) {
			return 0
		}
	}
	return int64(len(ns))
}

// squared matches x*x or x^2.
func squared(x *pattern) *pattern {
	return oneOf(node("Mul", x, x), node("Pow", x, number(2)))
}

// over matches x/y, or x times 1/y.
func over(x, y *pattern) *pattern {
	return oneOf(node("Div", x, y), node("Mul", x, node("Reciprocal", y)))
}

// cast matches p as it is or converted to another type. Whether that is the
// conversion that an operator makes itself shows in its result type.
func cast(p *pattern) *pattern { return oneOf(node("Cast", p), p) }

// normalized returns operands and attributes of a normalization of x, which
// computes in the type of the captured "stash".
func (m *match) normalized(axes string, params ...string) ([]graph.ValueID, graph.Attrs, bool) {
	k, eps := m.trailing(axes), m.float("eps")
	attrs := graph.Attrs{graph.Float("epsilon", float32(eps))}
	if k != 1 {
		attrs = append(attrs, graph.Int("axis", -k))
	}
	if e := m.typ("stash").Elem; e != enc.F32 {
		attrs = append(attrs, graph.Elem("stash_type", e))
	}
	in := []graph.ValueID{m.get("x")}
	for _, p := range params {
		// A parameter belongs to the axes; one of more dimensions is the
		// operand of another node that happens to come next.
		if int64(m.typ(p).Rank()) > k {
			return nil, nil, false
		}
		in = append(in, m.get(p))
	}
	return in, attrs, k > 0 && float64(float32(eps)) == eps
}

func layerNorm() []rule {
	x := cast(value("x"))
	dev := node("Sub", x, reduce("ReduceMean", x, "axes")).as("stash")
	variance := reduce("ReduceMean", squared(dev), "axes of variance")
	std := node("Sqrt", node("Add", variance, scalar("eps")))
	scaled := node("Mul", cast(over(dev, std)), value("scale"))
	to := func(params ...string) func(m *match) ([]graph.ValueID, graph.Attrs, bool) {
		return func(m *match) ([]graph.ValueID, graph.Attrs, bool) {
			if !slices.Equal(m.axes("axes"), m.axes("axes of variance")) {
				return nil, nil, false
			}
			return m.normalized("axes", params...)
		}
	}
	op := ref("", "LayerNormalization")
	return []rule{
		{op, node("Add", scaled, value("bias")), to("scale", "bias")},
		{op, scaled, to("scale")},
	}
}

func rmsNorm() []rule {
	x := cast(value("x")).as("stash")
	rms := node("Sqrt", node("Add", reduce("ReduceMean", squared(x), "axes"), scalar("eps")))
	return []rule{{
		ref("", "RMSNormalization"),
		node("Mul", cast(over(x, rms)), value("scale")),
		func(m *match) ([]graph.ValueID, graph.Attrs, bool) {
			in, attrs, ok := m.normalized("axes", "scale")
			// Only a conversion that is taken back is the operator's own.
			return in, attrs, ok && m.typ("x").Elem == m.typ("scale").Elem
		},
	}}
}

func softmax() []rule {
	x := value("x")
	e := node("Exp", node("Sub", x, reduce("ReduceMax", x, "axes")))
	return []rule{{
		ref("", "Softmax"),
		node("Div", e, reduce("ReduceSum", e, "axes of sum")),
		func(m *match) ([]graph.ValueID, graph.Attrs, bool) {
			axes := m.axes("axes")
			if len(axes) != 1 || !slices.Equal(axes, m.axes("axes of sum")) {
				return nil, nil, false
			}
			var attrs graph.Attrs
			if axes[0] != int64(m.typ("x").Rank()-1) {
				attrs = graph.Attrs{graph.Int("axis", axes[0])}
			}
			return []graph.ValueID{m.get("x")}, attrs, true
		},
	}}
}

func gelu() []rule {
	x := value("x")
	// 0.5 * x * gate, however it is put in parentheses.
	halves := func(gate *pattern) *pattern {
		return oneOf(
			node("Mul", node("Mul", number(0.5), x), gate),
			node("Mul", number(0.5), node("Mul", x, gate)),
			node("Mul", x, node("Mul", number(0.5), gate)),
		)
	}
	erf := node("Erf", oneOf(node("Div", x, number(math.Sqrt2)), node("Mul", x, number(1/math.Sqrt2))))
	square := squared(x)
	cube := oneOf(node("Pow", x, number(3)), node("Mul", x, square))
	root := math.Sqrt(2 / math.Pi)
	tanh := node("Tanh", oneOf(
		node("Mul", number(root), node("Add", x, node("Mul", number(0.044715), cube))),
		node("Mul", node("Mul", number(root), x), node("Add", number(1), node("Mul", number(0.044715), square))),
	))
	to := func(attrs ...graph.Attr) func(m *match) ([]graph.ValueID, graph.Attrs, bool) {
		return func(m *match) ([]graph.ValueID, graph.Attrs, bool) {
			return []graph.ValueID{m.get("x")}, attrs, true
		}
	}
	op := ref("", "Gelu")
	return []rule{
		{op, halves(node("Add", erf, number(1))), to()},
		{op, halves(node("Add", tanh, number(1))), to(graph.Str("approximate", "tanh"))},
	}
}

func swish() []rule {
	x := value("x")
	return []rule{{
		ref("", "Swish"),
		node("Mul", x, node("Sigmoid", oneOf(x, node("Mul", scalar("alpha"), x)))),
		func(m *match) ([]graph.ValueID, graph.Attrs, bool) {
			if m.get("alpha") == graph.NoValue {
				return []graph.ValueID{m.get("x")}, nil, true
			}
			a := m.float("alpha")
			return []graph.ValueID{m.get("x")}, graph.Attrs{graph.Float("alpha", float32(a))}, float64(float32(a)) == a
		},
	}}
}

func linear() []rule {
	product := node("MatMul", value("x"), value("W").where(func(v *graph.Value, _ *graph.Call) bool { return v.Kind == graph.Const }))
	plain := func(in ...*pattern) *pattern {
		return node("heddle.Linear", in...).where(func(_ *graph.Value, c *graph.Call) bool {
			return c.Attrs.Str("activation", "none") == "none"
		})
	}
	inactive := oneOf(plain(value("x"), value("W"), value("bias")), plain(value("x"), value("W")), product)
	op := ref("heddle", "Linear")
	to := func(attrs ...graph.Attr) func(m *match) ([]graph.ValueID, graph.Attrs, bool) {
		return func(m *match) ([]graph.ValueID, graph.Attrs, bool) {
			in := []graph.ValueID{m.get("x"), m.get("W")}
			if b := m.get("bias"); b != graph.NoValue {
				in = append(in, b)
			}
			return in, attrs, true
		}
	}
	out := []rule{{op, node("Add", product, value("bias")), to()}}
	for _, a := range []struct {
		name, op string
		is       func(c *graph.Call) bool
	}{
		{"relu", "Relu", func(*graph.Call) bool { return true }},
		{"gelu", "Gelu", func(c *graph.Call) bool { return c.Attrs.Str("approximate", "none") == "none" }},
		{"gelu_tanh", "Gelu", func(c *graph.Call) bool { return c.Attrs.Str("approximate", "none") == "tanh" }},
		{"silu", "Swish", func(c *graph.Call) bool { return c.Attrs.Float("alpha", 1) == 1 }},
	} {
		active := node(a.op, inactive).where(func(_ *graph.Value, c *graph.Call) bool { return a.is(c) })
		out = append(out, rule{op, active, to(graph.Str("activation", a.name))})
	}
	return out
}
