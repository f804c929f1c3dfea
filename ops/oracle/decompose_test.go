package oracle

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/ops"
)

type ids = []graph.ValueID

// decompositions has calls of every operator that decomposes, for one float
// type at a time. What a sample returns are the outputs of the one node.
var decompositions = map[string][]func(l *lab, e enc.Elem) ids{
	"Sum":             {unarySamples("Sum", -3, 3)[0], nary("Sum", 3)},
	"Mean":            {nary("Mean", 3)},
	"GreaterOrEqual":  {nary("GreaterOrEqual", 2)},
	"LessOrEqual":     {nary("LessOrEqual", 2)},
	"Relu":            unarySamples("Relu", -3, 3),
	"Elu":             append(unarySamples("Elu", -3, 3), unarySamples("Elu", -3, 3, graph.Float("alpha", 0.5))...),
	"Celu":            append(unarySamples("Celu", -3, 3), unarySamples("Celu", -3, 3, graph.Float("alpha", 0.5))...),
	"Selu":            append(unarySamples("Selu", -3, 3), unarySamples("Selu", -3, 3, graph.Float("alpha", 0.5), graph.Float("gamma", 2))...),
	"Mish":            unarySamples("Mish", -5, 5),
	"Softsign":        unarySamples("Softsign", -5, 5),
	"ThresholdedRelu": append(unarySamples("ThresholdedRelu", -3, 3), unarySamples("ThresholdedRelu", -3, 3, graph.Float("alpha", -0.5))...),
	"PRelu": {func(l *lab, e enc.Elem) ids {
		return ids{l.b.Op("PRelu", ids{l.random(e, -2, 2, 2, 3, 4), l.random(e, -2, 2, 3, 1)})}
	}},
	"Shrink":                    append(unarySamples("Shrink", -3, 3), unarySamples("Shrink", -3, 3, graph.Float("bias", 0.75), graph.Float("lambd", 1.5))...),
	"Hardmax":                   append(unarySamples("Hardmax", -3, 3), unarySamples("Hardmax", -3, 3, graph.Int("axis", 0))...),
	"LpNormalization":           append(unarySamples("LpNormalization", -3, 3), unarySamples("LpNormalization", -3, 3, graph.Int("axis", 1), graph.Int("p", 1))...),
	"MeanVarianceNormalization": append(unarySamples("MeanVarianceNormalization", -3, 3, graph.Ints("axes", 0, 2)), rank4("MeanVarianceNormalization")),
	"LRN": {
		rank4("LRN", graph.Int("size", 3), graph.Float("alpha", 0.5)),
		rank4("LRN", graph.Int("size", 4), graph.Float("beta", 2), graph.Float("bias", 0.5)),
		func(l *lab, e enc.Elem) ids {
			return ids{l.b.Op("LRN", ids{l.random(e, -2, 2, 3, 5)}, graph.Int("size", 2), graph.Float("alpha", 1))}
		},
	},
	"EyeLike": {
		func(l *lab, e enc.Elem) ids {
			return ids{l.b.Op("EyeLike", ids{l.random(e, -1, 1, 3, 5)}, graph.Int("k", 1))}
		},
		func(l *lab, e enc.Elem) ids {
			return ids{l.b.Op("EyeLike", ids{l.random(enc.I64, -1, 1, 5, 3)}, graph.Int("k", -9), graph.Elem("dtype", e))}
		},
	},
	"OneHot": {
		func(l *lab, e enc.Elem) ids {
			return ids{l.b.Op("OneHot", ids{l.feed(ints(enc.I64, []int64{2, 3}, 0, 4, -1, -5, 5, -6)), l.b.Ints(5), l.random(narrowed(e), -1, 1, 2)}, graph.Int("axis", 1))}
		},
		func(l *lab, e enc.Elem) ids {
			return ids{l.b.Op("OneHot", ids{l.random(narrowed(e), -3, 3, 2, 3), l.b.Float(enc.F32, 3.9), l.random(enc.I8, -9, 9, 2)})}
		},
	},
	"ConvTranspose":   convTransposeSamples(),
	"Einsum":          einsumSamples(),
	"ReduceLogSum":    {positive("ReduceLogSum")},
	"ReduceLogSumExp": reductions("ReduceLogSumExp"),
	"LeakyRelu":       unarySamples("LeakyRelu", -3, 3, graph.Float("alpha", 0.1)),
	"HardSigmoid":     unarySamples("HardSigmoid", -4, 4, graph.Float("alpha", 0.3)),
	"HardSwish":       unarySamples("HardSwish", -4, 4),
	"Softplus":        unarySamples("Softplus", -8, 8),
	"Gelu":            append(unarySamples("Gelu", -3, 3), unarySamples("Gelu", -3, 3, graph.Str("approximate", "tanh"))...),
	"Swish":           append(unarySamples("Swish", -5, 5), unarySamples("Swish", -5, 5, graph.Float("alpha", 1.5))...),
	"Softmax":         append(unarySamples("Softmax", -5, 5), unarySamples("Softmax", -5, 5, graph.Int("axis", 0))...),
	"LogSoftmax":      append(unarySamples("LogSoftmax", -5, 5), unarySamples("LogSoftmax", -5, 5, graph.Int("axis", 1))...),
	"Flatten":         unarySamples("Flatten", -1, 1, graph.Int("axis", 2)),
	"Identity":        unarySamples("Identity", -1, 1),
	"GlobalMaxPool":   {rank4("GlobalMaxPool")},
	"SpaceToDepth":    {rank4("SpaceToDepth", graph.Int("blocksize", 2))},
	"ReduceL1":        reductions("ReduceL1"),
	"ReduceL2":        reductions("ReduceL2"),
	"ReduceSumSquare": reductions("ReduceSumSquare"),
	"GlobalAveragePool": {
		rank4("GlobalAveragePool"),
		func(l *lab, e enc.Elem) ids {
			return ids{l.b.Op("GlobalAveragePool", ids{l.random(e, -1, 1, 2, 3, 5)})}
		},
	},
	"DepthToSpace": {
		rank4("DepthToSpace", graph.Int("blocksize", 2)),
		rank4("DepthToSpace", graph.Int("blocksize", 2), graph.Str("mode", "CRD")),
	},
	"SwiGLU": {func(l *lab, e enc.Elem) ids {
		return ids{l.b.Op("SwiGLU", ids{l.random(e, -4, 4, 3, 5), l.random(e, -1, 1, 3, 5)}, graph.Float("alpha", 0.7))}
	}},
	"Clip": {
		func(l *lab, e enc.Elem) ids {
			return ids{l.b.Op("Clip", ids{l.random(e, -4, 4, 3, 5), l.b.Float(e, -1), l.b.Float(e, 2)})}
		},
		func(l *lab, e enc.Elem) ids {
			return ids{l.b.Op("Clip", ids{l.random(e, -4, 4, 3, 5), graph.NoValue, l.b.Float(e, 2)})}
		},
		func(l *lab, e enc.Elem) ids { return ids{l.b.Op("Clip", ids{l.random(e, -4, 4, 3, 5)})} },
	},
	"CastLike": {func(l *lab, e enc.Elem) ids {
		return ids{l.b.Op("CastLike", ids{l.random(enc.F64, -4, 4, 3, 5), l.random(e, 0, 1, 1)})}
	}},
	"Squeeze": {
		func(l *lab, e enc.Elem) ids { return ids{l.b.Op("Squeeze", ids{l.random(e, -4, 4, 1, 3, 1, 5)})} },
		func(l *lab, e enc.Elem) ids {
			return ids{l.b.Op("Squeeze", ids{l.random(e, -4, 4, 1, 3, 1, 5), l.b.Ints(-2)})}
		},
	},
	"Unsqueeze": {func(l *lab, e enc.Elem) ids {
		return ids{l.b.Op("Unsqueeze", ids{l.random(e, -4, 4, 3, 5), l.b.Ints(-1, 1)})}
	}},
	"Trilu": {
		func(l *lab, e enc.Elem) ids { return ids{l.b.Op("Trilu", ids{l.random(e, -4, 4, 2, 3, 5)})} },
		func(l *lab, e enc.Elem) ids {
			k := l.b.Const("k", graph.I64(-1).Scalar())
			return ids{l.b.Op("Trilu", ids{l.random(e, -4, 4, 4, 4), k}, graph.Int("upper", 0))}
		},
	},
	"Gemm": {
		func(l *lab, e enc.Elem) ids {
			return ids{l.b.Op("Gemm", ids{l.random(e, -1, 1, 3, 4), l.random(e, -1, 1, 4, 5)})}
		},
		func(l *lab, e enc.Elem) ids {
			return ids{l.b.Op("Gemm", ids{l.random(e, -1, 1, 4, 3), l.random(e, -1, 1, 5, 4), l.random(e, -1, 1, 5)},
				graph.Int("transA", 1), graph.Int("transB", 1), graph.Float("alpha", 0.25), graph.Float("beta", 0.5))}
		},
	},
	"heddle.Linear": func() (out []func(*lab, enc.Elem) ids) {
		for _, a := range []string{"none", "relu", "gelu", "gelu_tanh", "silu"} {
			out = append(out, func(l *lab, e enc.Elem) ids {
				return ids{l.b.Op("heddle.Linear", ids{l.random(e, -1, 1, 2, 3, 4), l.random(e, -1, 1, 4, 5), l.random(e, -1, 1, 5)}, graph.Str("activation", a))}
			})
		}
		return append(out, func(l *lab, e enc.Elem) ids {
			return ids{l.b.Op("heddle.Linear", ids{l.random(e, -1, 1, 4), l.random(e, -1, 1, 4, 5)})}
		})
	}(),
	"LayerNormalization": {
		func(l *lab, e enc.Elem) ids {
			return ids{l.b.Op("LayerNormalization", ids{l.random(e, -2, 3, 2, 3, 8), l.random(e, 0, 2, 8), l.random(e, -1, 1, 8)}, graph.Float("epsilon", 1e-3))}
		},
		func(l *lab, e enc.Elem) ids {
			return l.b.Ops("LayerNormalization", ids{l.random(e, -2, 3, 2, 3, 4), l.random(e, 0, 2, 3, 4)}, []bool{true, true, true}, graph.Int("axis", -2))
		},
	},
	"GroupNormalization": {func(l *lab, e enc.Elem) ids {
		return ids{l.b.Op("GroupNormalization", ids{l.random(e, -2, 3, 2, 6, 4, 3), l.random(e, 0, 2, 6), l.random(e, -1, 1, 6)}, graph.Int("num_groups", 3))}
	}},
	"InstanceNormalization": {func(l *lab, e enc.Elem) ids {
		return ids{l.b.Op("InstanceNormalization", ids{l.random(e, -2, 3, 2, 3, 4, 3), l.random(e, 0, 2, 3), l.random(e, -1, 1, 3)}, graph.Float("epsilon", 0.01))}
	}},
	"RMSNormalization": {
		func(l *lab, e enc.Elem) ids {
			return ids{l.b.Op("RMSNormalization", ids{l.random(e, -2, 3, 2, 3, 8), l.random(e, 0, 2, 8)})}
		},
		func(l *lab, e enc.Elem) ids {
			return ids{l.b.Op("RMSNormalization", ids{l.random(e, -2, 3, 2, 3, 4), l.random(e, 0, 2, 1)}, graph.Int("axis", 1), graph.Float("epsilon", 0.1))}
		},
	},
	"RotaryEmbedding": {
		rope(false, false, 0), rope(true, false, 0), rope(false, true, 4), rope(true, true, 4),
		func(l *lab, e enc.Elem) ids { // three dimensions, caches picked already
			return ids{l.b.Op("RotaryEmbedding", ids{l.random(e, -1, 1, 2, 5, 24), l.random(e, -1, 1, 2, 5, 4), l.random(e, -1, 1, 2, 5, 4)}, graph.Int("num_heads", 3))}
		},
	},
	"TensorScatter": {
		func(l *lab, e enc.Elem) ids {
			return ids{l.b.Op("TensorScatter", ids{l.random(e, -1, 1, 2, 3, 6, 4), l.random(e, -1, 1, 2, 3, 2, 4), l.feed(ints(enc.I64, nil, 4, 1))})}
		},
		func(l *lab, e enc.Elem) ids {
			return ids{l.b.Op("TensorScatter", ids{l.random(e, -1, 1, 2, 6, 4), l.random(e, -1, 1, 2, 3, 4), l.feed(ints(enc.I64, nil, 4, 11))}, graph.Str("mode", "circular"))}
		},
		func(l *lab, e enc.Elem) ids {
			return ids{l.b.Op("TensorScatter", ids{l.random(e, -1, 1, 2, 6, 3, 4), l.random(e, -1, 1, 2, 2, 3, 4)}, graph.Int("axis", 1))}
		},
	},
	"DynamicQuantizeLinear": {func(l *lab, _ enc.Elem) ids {
		return l.b.Ops("DynamicQuantizeLinear", ids{l.random(enc.F32, -1, 3, 4, 5)}, []bool{true, true, true})
	}, func(l *lab, _ enc.Elem) ids {
		return l.b.Ops("DynamicQuantizeLinear", ids{l.random(enc.F32, 0, 0, 4)}, []bool{true, true, true})
	}},
	"MatMulInteger": {func(l *lab, _ enc.Elem) ids {
		return ids{l.b.Op("MatMulInteger", ids{l.random(enc.U8, 0, 255, 2, 3, 4), l.random(enc.I8, -128, 127, 4, 5),
			l.random(enc.U8, 0, 255, 3), l.random(enc.I8, -128, 127)})}
	}},
	"QLinearMatMul": {func(l *lab, e enc.Elem) ids {
		return ids{l.b.Op("QLinearMatMul", ids{
			l.random(enc.U8, 0, 255, 2, 3, 4), l.random(scaleType(e), 0.01, 0.02), l.random(enc.U8, 100, 150),
			l.random(enc.I8, -128, 127, 4, 5), l.random(scaleType(e), 0.01, 0.02, 5), l.random(enc.I8, -9, 9, 5),
			l.random(scaleType(e), 0.1, 0.2), l.random(enc.I8, -9, 9)})}
	}},
	"ConvInteger": {func(l *lab, _ enc.Elem) ids {
		return ids{l.b.Op("ConvInteger", ids{l.random(enc.U8, 0, 255, 1, 4, 5, 5), l.random(enc.I8, -128, 127, 6, 2, 3, 3),
			l.random(enc.U8, 0, 255), l.random(enc.I8, -128, 127, 6)}, graph.Int("group", 2), graph.Ints("pads", 1, 1, 1, 1))}
	}},
	"QLinearConv": {func(l *lab, _ enc.Elem) ids {
		return ids{l.b.Op("QLinearConv", ids{
			l.random(enc.U8, 0, 255, 1, 2, 5, 5), l.random(enc.F32, 0.01, 0.02), l.random(enc.U8, 100, 150),
			l.random(enc.I8, -128, 127, 3, 2, 3, 3), l.random(enc.F32, 0.01, 0.02, 3), l.random(enc.I8, -9, 9, 3),
			l.random(enc.F32, 0.1, 0.2), l.random(enc.U8, 100, 150), l.random(enc.I32, -999, 999, 3)}, graph.Ints("strides", 2, 2))}
	}},
	"Attention": attentionSamples(),
	"Shape":     unarySamples("Shape", -1, 1, graph.Int("start", -2)),
	"Size":      unarySamples("Size", -1, 1),
	"ConstantOfShape": {func(l *lab, e enc.Elem) ids {
		v, err := graph.FloatScalar(e, 1.5)
		require.NoError(l.t, err)
		return ids{l.b.Op("ConstantOfShape", ids{l.b.Ints(2, 3)}, graph.TensorAttr("value", &graph.Tensor{Elem: e, Shape: []int64{1}, Data: v.Data}))}
	}},
}

// float32Inside names operators for which ONNX prescribes a step in float32,
// whatever their type; the evaluator takes that step in float64. So float64
// results agree to float32 precision only.
var float32Inside = map[string]bool{
	"HardSwish":          true, // attribute alpha, 1/6
	"LayerNormalization": true, // stash_type
	"GroupNormalization": true, // likewise
	"RMSNormalization":   true,
}

// scaleType is what QLinearMatMul takes: no float64.
func scaleType(e enc.Elem) enc.Elem {
	if e == enc.F64 {
		return enc.F32
	}
	return e
}

func unarySamples(op string, lo, hi float64, attrs ...graph.Attr) []func(*lab, enc.Elem) ids {
	return []func(*lab, enc.Elem) ids{func(l *lab, e enc.Elem) ids {
		return ids{l.b.Op(op, ids{l.random(e, lo, hi, 2, 3, 7)}, attrs...)}
	}}
}

func nary(op string, n int) func(*lab, enc.Elem) ids {
	return func(l *lab, e enc.Elem) ids {
		in := ids{l.random(e, -2, 2, 2, 3, 1)}
		for range n - 1 {
			in = append(in, l.random(e, -2, 2, 3, 4))
		}
		return ids{l.b.Op(op, in)}
	}
}

func rank4(op string, attrs ...graph.Attr) func(*lab, enc.Elem) ids {
	return func(l *lab, e enc.Elem) ids { return ids{l.b.Op(op, ids{l.random(e, -1, 1, 2, 8, 4, 6)}, attrs...)} }
}

func reductions(op string) []func(*lab, enc.Elem) ids {
	return []func(*lab, enc.Elem) ids{
		func(l *lab, e enc.Elem) ids { return ids{l.b.Op(op, ids{l.random(e, -1, 1, 2, 3, 4)})} },
		func(l *lab, e enc.Elem) ids {
			return ids{l.b.Op(op, ids{l.random(e, -1, 1, 2, 3, 4), l.b.Ints(-1, 0)}, graph.Int("keepdims", 0))}
		},
		func(l *lab, e enc.Elem) ids {
			return ids{l.b.Op(op, ids{l.random(e, -1, 1, 2, 3, 4)}, graph.Int("noop_with_empty_axes", 1))}
		},
	}
}

// narrowed returns a type of the operators that do not take bfloat16.
func narrowed(e enc.Elem) enc.Elem {
	if e == enc.BF16 {
		return enc.F32
	}
	return e
}

func einsumSamples() (out []func(*lab, enc.Elem) ids) {
	for _, c := range []struct {
		equation string
		shapes   [][]int64
	}{
		{"ij->ji", [][]int64{{3, 4}}},
		{"ii", [][]int64{{3, 3}}},
		{"iji->ij", [][]int64{{3, 4, 3}}},
		{"ii,ii->i", [][]int64{{3, 3}, {1, 3}}},
		{"ij,jk", [][]int64{{3, 4}, {4, 5}}},
		{"i,j->ji", [][]int64{{3}, {4}}},
		{"i,i->", [][]int64{{3}, {3}}},
		{"bhqd,bhkd->bhqk", [][]int64{{2, 3, 4, 5}, {2, 3, 6, 5}}},
		{"...ij,...jk->...ki", [][]int64{{2, 1, 3, 4}, {5, 4, 6}}},
		{"a...,...b->...", [][]int64{{3, 2}, {2, 4}}},
		{"ij,jk,kl,il->jl", [][]int64{{3, 4}, {4, 5}, {5, 6}, {3, 6}}},
		{"abc,ab,c->ca", [][]int64{{3, 4, 5}, {1, 4}, {5}}},
		{"...", [][]int64{{3, 2}}},
		{"ij,jk->ik", [][]int64{{3, 0}, {0, 2}}},
	} {
		out = append(out, func(l *lab, e enc.Elem) ids {
			var in ids
			for _, s := range c.shapes {
				in = append(in, l.random(narrowed(e), -1, 1, s...))
			}
			return ids{l.b.Op("Einsum", in, graph.Str("equation", c.equation))}
		}, func(l *lab, e enc.Elem) ids {
			var in ids
			for _, s := range c.shapes {
				in = append(in, l.random(enc.U8, 0, 255, s...)) // which wraps
			}
			return ids{l.b.Op("Einsum", in, graph.Str("equation", c.equation))}
		})
	}
	return out
}

func convTransposeSamples() (out []func(*lab, enc.Elem) ids) {
	add := func(x, w []int64, attrs ...graph.Attr) {
		for _, bias := range []bool{false, true} {
			out = append(out, func(l *lab, e enc.Elem) ids {
				in := ids{l.random(e, -1, 1, x...), l.random(e, -1, 1, w...)}
				if bias {
					groups := int64(1)
					for _, a := range attrs {
						if a.Name == "group" {
							groups = a.Int
						}
					}
					in = append(in, l.random(e, -1, 1, w[1]*groups))
				}
				return ids{l.b.Op("ConvTranspose", in, attrs...)}
			})
		}
	}
	strides, auto := graph.Ints("strides", 2, 3), func(s string) graph.Attr { return graph.Str("auto_pad", s) }
	plane, kernel := []int64{2, 4, 3, 5}, []int64{4, 3, 3, 2}
	add(plane, kernel)
	add(plane, kernel, strides, graph.Ints("pads", 1, 0, 2, 1), graph.Ints("output_padding", 1, 2))
	add(plane, kernel, strides, graph.Ints("dilations", 2, 2), graph.Int("group", 2))
	add(plane, kernel, strides, graph.Ints("pads", 3, 2, 3, 3)) // more than the kernel reaches
	for _, s := range []string{"SAME_UPPER", "SAME_LOWER", "VALID"} {
		add(plane, kernel, graph.Ints("strides", 2, 1), auto(s))
	}
	add(plane, kernel, strides, graph.Ints("output_shape", 6, 16))
	add(plane, kernel, strides, graph.Ints("output_shape", 9, 10), auto("SAME_UPPER"))
	add([]int64{1, 2, 4}, []int64{2, 1, 3}, graph.Ints("strides", 2))
	add([]int64{1, 2, 2, 3, 2}, []int64{2, 2, 2, 1, 2}, graph.Ints("strides", 1, 2, 3))
	return out
}

func positive(op string) func(*lab, enc.Elem) ids {
	return func(l *lab, e enc.Elem) ids { return ids{l.b.Op(op, ids{l.random(e, 0.5, 2, 2, 3, 4), l.b.Ints(1)})} }
}

func rope(interleaved, picked bool, dims int64) func(*lab, enc.Elem) ids {
	return func(l *lab, e enc.Elem) ids {
		half, flag := int64(4), int64(0)
		if dims > 0 {
			half = dims / 2
		}
		if interleaved {
			flag = 1
		}
		in := ids{l.random(e, -1, 1, 2, 3, 5, 8)}
		if picked {
			in = append(in, l.random(e, -1, 1, 9, half), l.random(e, -1, 1, 9, half), l.random(enc.I64, 0, 8, 2, 5))
		} else {
			in = append(in, l.random(e, -1, 1, 2, 5, half), l.random(e, -1, 1, 2, 5, half))
		}
		return ids{l.b.Op("RotaryEmbedding", in, graph.Int("interleaved", flag), graph.Int("rotary_embedding_dim", dims))}
	}
}

// attentionSamples crosses layouts, masks, caches and attributes. Heads have
// four features, so that the default scale, 1/2, has no rounding.
func attentionSamples() (out []func(*lab, enc.Elem) ids) {
	type as = []graph.Attr
	add := func(want []bool, attrs as, in func(l *lab, e enc.Elem) ids) {
		out = append(out, func(l *lab, e enc.Elem) ids { return l.b.Ops("Attention", in(l, e), want, attrs...) })
	}
	y, present, scores := []bool{true}, []bool{true, true, true}, []bool{true, false, false, true}
	qkv := func(l *lab, e enc.Elem) ids {
		return ids{l.random(e, -1, 1, 2, 4, 3, 4), l.random(e, -1, 1, 2, 2, 5, 4), l.random(e, -1, 1, 2, 2, 5, 6)}
	}
	add(y, nil, qkv)
	add(y, as{graph.Int("q_num_heads", 4), graph.Int("kv_num_heads", 2), graph.Float("scale", 0.3)}, func(l *lab, e enc.Elem) ids {
		return ids{l.random(e, -1, 1, 2, 3, 32), l.random(e, -1, 1, 2, 5, 16), l.random(e, -1, 1, 2, 5, 12)}
	})
	for mode := range int64(4) {
		add(scores, as{graph.Int("qk_matmul_output_mode", mode), graph.Float("softcap", 2), graph.Int("is_causal", 1)}, func(l *lab, e enc.Elem) ids {
			return append(qkv(l, e), l.random(e, -2, 2, 2, 1, 3, 5))
		})
	}
	for _, a := range []as{nil, {graph.Int("is_causal", 1)}, {graph.Int("left_window_size", 1)}, {graph.Int("left_window_size", 2), graph.Int("right_window_size", 1)}} {
		add(y, a, func(l *lab, e enc.Elem) ids { // a short bool mask with an empty row
			mask := ints(enc.Bool, []int64{3, 4}, 0, 0, 0, 0, 1, 0, 1, 0, 0, 1, 1, 1)
			return append(qkv(l, e), l.feed(mask))
		})
		add(present, a, func(l *lab, e enc.Elem) ids { // the cache inside
			return append(qkv(l, e), graph.NoValue, l.random(e, -1, 1, 2, 2, 4, 4), l.random(e, -1, 1, 2, 2, 4, 6))
		})
		add(y, a, func(l *lab, e enc.Elem) ids { // the cache outside; one batch element is shorter than its queries
			return append(qkv(l, e), graph.NoValue, graph.NoValue, graph.NoValue, l.feed(ints(enc.I64, nil, 4, 1)))
		})
	}
	return out
}

// Every operator agrees with its decomposition. Floats are compared with
// nothing rounded in between; what remains is the rounding of constants. Codes
// need the rounding that decides ties.
func TestDecompositions(t *testing.T) {
	for _, o := range ops.List() {
		if o.Decompose == nil {
			continue
		}
		name := o.Ref.String()
		samples := decompositions[name]
		if len(samples) == 0 {
			t.Errorf("%s decomposes, but there is no sample of it here", name)
		}
		for i, sample := range samples {
			for _, e := range []enc.Elem{enc.F64, enc.F32, enc.F16, enc.BF16} {
				if !o.Inputs[0].Types.Has(e) && o.Inputs[0].Types.Has(enc.F32) && e != enc.F32 {
					continue
				}
				t.Run(fmt.Sprintf("%s/%d/%s", name, i, e), func(t *testing.T) {
					l := newLab(t)
					outs := sample(l, e)
					require.NoError(t, l.b.Err())
					g := l.build(outs...)
					require.Len(t, g.Nodes, 1, "a sample is one node")
					apart, err := graph.Rewriter{
						Schemas: ops.Standard,
						Node: func(b *graph.Builder, id graph.NodeID, in []graph.ValueID) ([]graph.ValueID, error) {
							return o.Decompose(b, g.Call(id), in)
						},
					}.Run(g)
					require.NoError(t, err)
					codes := false
					for _, v := range outs {
						codes = codes || v != graph.NoValue && !g.Values[v].Type.Elem.IsFloat()
					}
					want := l.eval(g, Options{Round: codes})
					got := l.eval(apart, Options{Round: codes})
					require.Len(t, got.Outputs, len(want.Outputs))
					for name, w := range want.Outputs {
						units := 4.0
						if e == enc.F64 && float32Inside[o.Ref.Name] {
							units *= 1 << 29
						}
						near(t, w, got.Outputs[name], units)
					}
				})
			}
		}
	}
}
