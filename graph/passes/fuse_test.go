package passes

import (
	"math"
	"testing"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/ops"
	"github.com/stretchr/testify/require"
)

// fused applies the usual preparation and Fuse.
func fused(t *testing.T, g *graph.Graph, allow func(graph.OpRef) bool) *graph.Graph {
	t.Helper()
	out, err := Run(g, Dedupe, Fuse(allow), DeadCode)
	require.NoError(t, err)
	require.Equal(t, interfaceOf(g), interfaceOf(out))
	equivalent(t, g, out)
	return out
}

// What ops decomposes, Fuse puts together again, to the same node.
func TestFuseInvertsDecompose(t *testing.T) {
	for name, f := range map[string]func(b *graph.Builder, x graph.ValueID) graph.ValueID{
		"layer norm": func(b *graph.Builder, x graph.ValueID) graph.ValueID {
			return b.Op("LayerNormalization", ids{x, weight(b, 0, 8), weight(b, 32, 8)}, graph.Float("epsilon", 1e-6))
		},
		"layer norm without bias": func(b *graph.Builder, x graph.ValueID) graph.ValueID {
			return b.Op("LayerNormalization", ids{x, weight(b, 0, 8)}, graph.Float("epsilon", 1e-5))
		},
		"layer norm over two axes": func(b *graph.Builder, x graph.ValueID) graph.ValueID {
			y := b.Op("Reshape", ids{x, b.Dims(b.Type(x).Shape[0], dim.Of(2), dim.Of(4))})
			return b.Op("LayerNormalization", ids{y, weight(b, 0, 2, 4), weight(b, 32, 4)}, graph.Float("epsilon", 1e-5), graph.Int("axis", -2))
		},
		"layer norm of f16": func(b *graph.Builder, x graph.ValueID) graph.ValueID {
			h := b.Op("Cast", ids{x}, graph.Elem("to", enc.F16))
			s, _ := graph.FloatScalar(enc.F16, 1.5)
			return b.Op("LayerNormalization", ids{h, b.Op("Cast", ids{weight(b, 0, 8)}, graph.Elem("to", enc.F16)), b.Const("", s)}, graph.Float("epsilon", 1e-5))
		},
		"rms norm": func(b *graph.Builder, x graph.ValueID) graph.ValueID {
			return b.Op("RMSNormalization", ids{x, weight(b, 0, 8)}, graph.Float("epsilon", 1e-6))
		},
		"rms norm of f16": func(b *graph.Builder, x graph.ValueID) graph.ValueID {
			h := b.Op("Cast", ids{x}, graph.Elem("to", enc.F16))
			return b.Op("RMSNormalization", ids{h, b.Op("Cast", ids{weight(b, 0, 8)}, graph.Elem("to", enc.F16))}, graph.Float("epsilon", 1e-6))
		},
		"rms norm in f16": func(b *graph.Builder, x graph.ValueID) graph.ValueID {
			h := b.Op("Cast", ids{x}, graph.Elem("to", enc.F16))
			return b.Op("RMSNormalization", ids{h, b.Op("Cast", ids{weight(b, 0, 8)}, graph.Elem("to", enc.F16))}, graph.Float("epsilon", 0.25), graph.Elem("stash_type", enc.F16))
		},
		"softmax": func(b *graph.Builder, x graph.ValueID) graph.ValueID { return b.Op("Softmax", ids{x}) },
		"softmax of columns": func(b *graph.Builder, x graph.ValueID) graph.ValueID {
			return b.Op("Softmax", ids{x}, graph.Int("axis", 0))
		},
		"gelu": func(b *graph.Builder, x graph.ValueID) graph.ValueID { return b.Op("Gelu", ids{x}) },
		"gelu tanh": func(b *graph.Builder, x graph.ValueID) graph.ValueID {
			return b.Op("Gelu", ids{x}, graph.Str("approximate", "tanh"))
		},
		"gelu of f16": func(b *graph.Builder, x graph.ValueID) graph.ValueID {
			return b.Op("Gelu", ids{b.Op("Cast", ids{x}, graph.Elem("to", enc.F16))})
		},
		"swish": func(b *graph.Builder, x graph.ValueID) graph.ValueID { return b.Op("Swish", ids{x}) },
		"swish with alpha": func(b *graph.Builder, x graph.ValueID) graph.ValueID {
			return b.Op("Swish", ids{x}, graph.Float("alpha", 1.702))
		},
	} {
		t.Run(name, func(t *testing.T) {
			want := build(t, f)
			g, err := Decompose(want, nil)
			require.NoError(t, err)
			require.NotEqual(t, operators(want), operators(g))
			out := fused(t, g, nil)
			require.Equal(t, operators(want), operators(out), "%s\n%s", g, out)
			last := len(want.Nodes) - 1
			require.Equal(t, want.Nodes[last].Attrs, out.Nodes[last].Attrs)
		})
	}
	for _, a := range []string{"none", "relu", "gelu", "gelu_tanh", "silu"} {
		for _, bias := range []bool{true, false} {
			if a == "none" && !bias {
				continue // that is MatMul
			}
			want := build(t, func(b *graph.Builder, x graph.ValueID) graph.ValueID {
				in := ids{x, weight(b, 0, 8, 4)}
				if bias {
					in = append(in, weight(b, 512, 4))
				}
				return b.Op("heddle.Linear", in, graph.Str("activation", a))
			})
			g, err := Decompose(want, func(op graph.OpRef) bool { return op.Name == "Relu" })
			require.NoError(t, err)
			out := fused(t, g, nil)
			require.Equal(t, "heddle.Linear", operators(out), a)
			require.Equal(t, a, out.Nodes[0].Attrs.Str("activation", "none"))
			require.Equal(t, len(want.Nodes[0].In), len(out.Nodes[0].In))
		}
	}
}

// Other spellings, as exporters write them.
func TestFuseSpellings(t *testing.T) {
	f := func(b *graph.Builder, v float64) graph.ValueID { return f32(b, v) }
	for name, c := range map[string]struct {
		want string
		f    func(b *graph.Builder, x graph.ValueID) graph.ValueID
	}{
		"gelu, division": {"Gelu", func(b *graph.Builder, x graph.ValueID) graph.ValueID {
			t := b.Op("Erf", ids{b.Op("Div", ids{x, f(b, 1.4142135381698608)})})
			return b.Op("Mul", ids{b.Op("Mul", ids{x, b.Op("Add", ids{t, f(b, 1)})}), f(b, 0.5)})
		}},
		"gelu, inner half": {"Gelu", func(b *graph.Builder, x graph.ValueID) graph.ValueID {
			t := b.Op("Erf", ids{b.Op("Mul", ids{f(b, math.Sqrt2/2), x})})
			return b.Op("Mul", ids{b.Op("Mul", ids{b.Op("Add", ids{f(b, 1), t}), f(b, 0.5)}), x})
		}},
		"gelu tanh, power": {"Gelu", func(b *graph.Builder, x graph.ValueID) graph.ValueID {
			t := b.Op("Add", ids{x, b.Op("Mul", ids{b.Op("Pow", ids{x, f(b, 3)}), f(b, 0.044715)})})
			t = b.Op("Tanh", ids{b.Op("Mul", ids{t, f(b, 0.7978845608028654)})})
			return b.Op("Mul", ids{b.Op("Mul", ids{x, f(b, 0.5)}), b.Op("Add", ids{t, f(b, 1)})})
		}},
		"gelu tanh, factored": {"Gelu", func(b *graph.Builder, x graph.ValueID) graph.ValueID {
			t := b.Op("Add", ids{b.Op("Mul", ids{b.Op("Mul", ids{x, x}), f(b, 0.044715)}), f(b, 1)})
			t = b.Op("Tanh", ids{b.Op("Mul", ids{t, b.Op("Mul", ids{x, f(b, 0.7978845608028654)})})})
			return b.Op("Mul", ids{f(b, 0.5), b.Op("Mul", ids{x, b.Op("Add", ids{t, f(b, 1)})})})
		}},
		"layer norm, power": {"LayerNormalization", func(b *graph.Builder, x graph.ValueID) graph.ValueID {
			d := b.Op("Sub", ids{x, b.Op("ReduceMean", ids{x, b.Ints(-1)})})
			v := b.Op("ReduceMean", ids{b.Op("Pow", ids{d, f(b, 2)}), b.Ints(1)})
			n := b.Op("Div", ids{d, b.Op("Sqrt", ids{b.Op("Add", ids{f(b, 1e-5), v})})})
			return b.Op("Add", ids{weight(b, 32, 8), b.Op("Mul", ids{weight(b, 0, 8), n})})
		}},
		"rms norm, reciprocal": {"RMSNormalization", func(b *graph.Builder, x graph.ValueID) graph.ValueID {
			v := b.Op("ReduceMean", ids{b.Op("Pow", ids{x, f(b, 2)}), b.Ints(-1)})
			n := b.Op("Mul", ids{x, b.Op("Reciprocal", ids{b.Op("Sqrt", ids{b.Op("Add", ids{v, f(b, 1e-6)})})})})
			return b.Op("Mul", ids{weight(b, 0, 8), n})
		}},
		"swish, swapped": {"Swish", func(b *graph.Builder, x graph.ValueID) graph.ValueID {
			return b.Op("Mul", ids{b.Op("Sigmoid", ids{x}), x})
		}},
		"linear, swapped": {"heddle.Linear", func(b *graph.Builder, x graph.ValueID) graph.ValueID {
			return b.Op("Add", ids{weight(b, 512, 8), b.Op("MatMul", ids{x, weight(b, 0, 8, 8)})})
		}},
		"two layers": {"heddle.Linear heddle.Linear Add", func(b *graph.Builder, x graph.ValueID) graph.ValueID {
			h := b.Op("Gelu", ids{b.Op("Add", ids{b.Op("MatMul", ids{x, weight(b, 0, 8, 8)}), weight(b, 512, 8)})})
			h = b.Op("Add", ids{b.Op("MatMul", ids{h, weight(b, 256, 8, 8)}), weight(b, 544, 8)})
			return b.Op("Add", ids{x, h})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			g := build(t, c.f)
			out := fused(t, g, nil)
			require.Equal(t, c.want, operators(out), "%s\n%s", g, out)
		})
	}
}

// What only looks alike stays as it is.
func TestFuseRefuses(t *testing.T) {
	swish := func(b *graph.Builder, x graph.ValueID) graph.ValueID {
		return b.Op("Mul", ids{x, b.Op("Sigmoid", ids{x})})
	}
	norm := func(b *graph.Builder, x graph.ValueID, axes, axes2 int64, eps graph.ValueID) graph.ValueID {
		d := b.Op("Sub", ids{x, b.Op("ReduceMean", ids{x, b.Ints(axes)})})
		v := b.Op("ReduceMean", ids{b.Op("Mul", ids{d, d}), b.Ints(axes2)})
		return b.Op("Div", ids{d, b.Op("Sqrt", ids{b.Op("Add", ids{v, eps})})})
	}
	for name, f := range map[string]func(b *graph.Builder, x graph.ValueID) graph.ValueID{
		"an inner value is an output": func(b *graph.Builder, x graph.ValueID) graph.ValueID {
			s := b.Op("Sigmoid", ids{x})
			b.Output("sigmoid", s)
			return b.Op("Mul", ids{x, s})
		},
		"an inner value is used elsewhere": func(b *graph.Builder, x graph.ValueID) graph.ValueID {
			s := b.Op("Sigmoid", ids{x})
			return b.Op("Sub", ids{b.Op("Mul", ids{x, s}), s})
		},
		"another value": func(b *graph.Builder, x graph.ValueID) graph.ValueID {
			return b.Op("Mul", ids{x, b.Op("Sigmoid", ids{b.Op("Abs", ids{x})})})
		},
		"another constant": func(b *graph.Builder, x graph.ValueID) graph.ValueID {
			e := b.Op("Erf", ids{b.Op("Div", ids{x, f32(b, 1.4143)})})
			return b.Op("Mul", ids{b.Op("Mul", ids{x, b.Op("Add", ids{e, f32(b, 1)})}), f32(b, 0.5)})
		},
		"a constant of the wrong shape": func(b *graph.Builder, x graph.ValueID) graph.ValueID {
			alpha := b.Const("", graph.F32([]int64{1, 1, 1}, 2))
			return b.Op("Mul", ids{x, b.Op("Sigmoid", ids{b.Op("Mul", ids{alpha, x})})})
		},
		"operands in the wrong order": func(b *graph.Builder, x graph.ValueID) graph.ValueID {
			d := b.Op("Sub", ids{b.Op("ReduceMax", ids{x, b.Ints(-1)}), x})
			e := b.Op("Exp", ids{d})
			return b.Op("Div", ids{e, b.Op("ReduceSum", ids{e, b.Ints(-1)})})
		},
		"different axes": func(b *graph.Builder, x graph.ValueID) graph.ValueID {
			return b.Op("Mul", ids{norm(b, x, 1, 0, f32(b, 1e-5)), weight(b, 0, 8)})
		},
		"not the last axes": func(b *graph.Builder, x graph.ValueID) graph.ValueID {
			return b.Op("Mul", ids{norm(b, x, 0, 0, f32(b, 1e-5)), weight(b, 0, 8)})
		},
		"epsilon is no constant": func(b *graph.Builder, x graph.ValueID) graph.ValueID {
			return b.Op("Mul", ids{norm(b, x, 1, 1, weight(b, 0, 1)), weight(b, 0, 8)})
		},
		"no scale": func(b *graph.Builder, x graph.ValueID) graph.ValueID { return norm(b, x, 1, 1, f32(b, 1e-5)) },
		"a residual is no scale": func(b *graph.Builder, x graph.ValueID) graph.ValueID {
			return b.Op("Mul", ids{norm(b, x, 1, 1, f32(b, 1e-5)), b.Op("Abs", ids{x})})
		},
		"the matrix is computed": func(b *graph.Builder, x graph.ValueID) graph.ValueID {
			return b.Op("Add", ids{b.Op("MatMul", ids{x, b.Op("Abs", ids{weight(b, 0, 8, 8)})}), weight(b, 512, 8)})
		},
		"a residual is no bias": func(b *graph.Builder, x graph.ValueID) graph.ValueID {
			return b.Op("Add", ids{b.Op("MatMul", ids{x, weight(b, 0, 8, 8)}), x})
		},
		"a scalar is no bias": func(b *graph.Builder, x graph.ValueID) graph.ValueID {
			return b.Op("Add", ids{b.Op("MatMul", ids{x, weight(b, 0, 8, 8)}), f32(b, 1)})
		},
		"another alpha": func(b *graph.Builder, x graph.ValueID) graph.ValueID {
			return b.Op("Swish", ids{b.Op("MatMul", ids{x, weight(b, 0, 8, 8)})}, graph.Float("alpha", 2))
		},
		"reduced axes are gone": func(b *graph.Builder, x graph.ValueID) graph.ValueID {
			y := b.Op("Slice", ids{x, b.Ints(0), b.Ints(1), b.Ints(0)})
			e := b.Op("Exp", ids{b.Op("Sub", ids{y, b.Op("ReduceMax", ids{y, b.Ints(-1)}, graph.Int("keepdims", 0))})})
			return b.Op("Div", ids{e, b.Op("ReduceSum", ids{e, b.Ints(-1)})})
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := build(t, f)
			out := fused(t, g, nil)
			require.Equal(t, operators(g), operators(out))
		})
	}
	g := build(t, swish)
	out := fused(t, g, func(op graph.OpRef) bool { return op.Name != "Swish" })
	require.Equal(t, "Sigmoid Mul", operators(out))
	g = build(t, func(b *graph.Builder, x graph.ValueID) graph.ValueID {
		return b.Op("Add", ids{b.Op("MatMul", ids{x, weight(b, 0, 8, 8)}), weight(b, 512, 8)})
	})
	out = fused(t, g, func(op graph.OpRef) bool { return op.Domain == "" })
	require.Equal(t, "MatMul Add", operators(out))
}

// A fused node keeps its place in the model and its value the name.
func TestFuseNames(t *testing.T) {
	b := graph.NewBuilder("g", ops.Standard)
	x := b.Input("x", graph.OfInts(enc.F32, 2, 2))
	b.Scope("layer.3.mlp")
	y := b.Op("Mul", ids{x, b.Op("Sigmoid", ids{x})})
	b.Rename(y, "activated")
	b.Output("y", y)
	g, err := b.Build()
	require.NoError(t, err)
	out := fused(t, g, nil)
	require.Equal(t, "layer.3.mlp", out.Nodes[0].Name)
	require.Equal(t, "activated", out.Values[out.Nodes[0].Out[0]].Name)
}
