package plugin_test

import (
	"slices"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/enc"
)

type ids = []graph.ValueID

// use is one way to use an operator: it returns the outputs.
type use = func(k *kit) ids

func one(f func(k *kit) graph.ValueID) use { return func(k *kit) ids { return ids{f(k)} } }

// unary tries a function on numbers in a range, few and many.
func unary(op string, lo, hi float64, attrs ...graph.Attr) []use {
	at := func(dims ...int64) use {
		return one(func(k *kit) graph.ValueID { return k.b.Op(op, ids{k.x(lo, hi, dims...)}, attrs...) })
	}
	return []use{at(3, 5, 7), at(), at(3, 0)}
}

// binaries tries an operator of two operands with all ways to broadcast.
func binaries(op string, lo, hi, lo2, hi2 float64) (out []use) {
	for _, s := range [][2][]int64{
		{{3, 5, 7}, {3, 5, 7}}, {{3, 5, 7}, {7}}, {{5, 1}, {3, 5, 7}}, {{3, 5, 7}, {}}, {{}, {3, 5}},
		{{3, 1, 7}, {4, 1, 5, 1}}, {{2, 1, 9, 3}, {2, 4, 1, 3}}, {{}, {}}, {{0, 3}, {3}}, {{1, 1}, {1}},
	} {
		out = append(out, one(func(k *kit) graph.ValueID { return k.b.Op(op, ids{k.x(lo, hi, s[0]...), k.x(lo2, hi2, s[1]...)}) }))
	}
	return out
}

// moved tries an operator on a block, with more operands.
func moved(op string, more func(k *kit) ids, attrs ...graph.Attr) []use {
	return []use{one(func(k *kit) graph.ValueID {
		return k.b.Op(op, append(ids{k.x(0, 7, 3, 4, 5)}, more(k)...), attrs...)
	})}
}

func nothing(*kit) ids { return nil }

func ints(ns ...int64) func(k *kit) ids { return func(k *kit) ids { return ids{k.b.Ints(ns...)} } }

func reductions(op string) (out []use) {
	for _, axes := range [][]int64{nil, {-1}, {1}, {0, 1}, {-1, 2}, {0, 2}, {1, 3}} {
		for _, attrs := range [][]graph.Attr{nil, {graph.Int("keepdims", 0)}, {graph.Int("noop_with_empty_axes", 1)}} {
			out = append(out, one(func(k *kit) graph.ValueID {
				in := ids{k.x(-9, 9, 3, 2, 7, 5)}
				if axes != nil {
					in = append(in, k.b.Ints(axes...))
				}
				return k.b.Op(op, in, attrs...)
			}))
		}
	}
	return append(out,
		one(func(k *kit) graph.ValueID { return k.b.Op(op, ids{k.x(-9, 9)}) }),
		one(func(k *kit) graph.ValueID { return k.b.Op(op, ids{k.x(-9, 9, 0, 3)}) }))
}

var exampleSamples = map[string][]use{
	"Abs": unary("Abs", -9, 9), "Relu": unary("Relu", -3, 3), "Neg": unary("Neg", -9, 9), "Sqrt": unary("Sqrt", 0, 9), "Reciprocal": unary("Reciprocal", 0.1, 9),
	"Exp": unary("Exp", -9, 9), "Log": unary("Log", 0.1, 0.9), "Erf": unary("Erf", -3, 3), "Tanh": unary("Tanh", -3, 3), "Sigmoid": unary("Sigmoid", -20, 20),
	"Gelu":  slices.Concat(unary("Gelu", -8, 8), unary("Gelu", -8, 8, graph.Str("approximate", "tanh"))),
	"Swish": slices.Concat(unary("Swish", -20, 20), unary("Swish", -5, 5, graph.Float("alpha", 1.5))),
	"Not":   unary("Not", 0, 1), "Identity": unary("Identity", -3, 3),

	"Add": binaries("Add", -9, 9, -9, 9), "Sub": binaries("Sub", -9, 9, -9, 9), "Mul": binaries("Mul", -9, 9, -9, 9), "Div": binaries("Div", -99, 99, 1, 4),
	"Pow": binaries("Pow", 1, 3, 0, 3), "Equal": binaries("Equal", 0, 3, 0, 3), "Less": binaries("Less", 0, 3, 0, 3), "LessOrEqual": binaries("LessOrEqual", 0, 3, 0, 3),
	"Greater": binaries("Greater", 0, 3, 0, 3), "GreaterOrEqual": binaries("GreaterOrEqual", 0, 3, 0, 3), "And": binaries("And", 0, 1, 0, 1), "Or": binaries("Or", 0, 1, 0, 1),
	"SwiGLU": {one(func(k *kit) graph.ValueID { return k.b.Op("SwiGLU", ids{k.x(-9, 9, 3, 5), k.x(-1, 1, 3, 5)}) })},
	"Where": {func(k *kit) (out ids) {
		cond := k.x(0, 1, 3, 1, 7)
		for _, e := range []enc.Elem{enc.F32, enc.I64, enc.I32, enc.Bool} {
			out = append(out, k.b.Op("Where", ids{cond, k.of(e, 0, 9, 5, 1), k.of(e, 0, 9, 7)}))
		}
		return append(out, k.b.Op("Where", ids{k.x(0, 1), k.of(enc.F32, 0, 1, 2), k.of(enc.F32, 0, 1)}))
	}},
	"Cast": {func(k *kit) (out ids) {
		for _, to := range []enc.Elem{enc.F32, enc.I64, enc.I32, enc.Bool} {
			out = append(out, k.b.Op("Cast", ids{k.x(-7, 7, 3, 5)}, graph.Elem("to", to)), k.b.Op("Cast", ids{k.x(-2e9, 2e9, 40)}, graph.Elem("to", to)))
		}
		return out
	}},
	"Range": {one(func(k *kit) graph.ValueID {
		n := func(v float64) graph.ValueID { return k.constant(v, v) }
		return k.b.Op("Range", ids{n(2), n(31), n(3)})
	})},

	"Reshape": {one(func(k *kit) graph.ValueID { return k.b.Op("Reshape", ids{k.x(0, 7, 3, 4, 5), k.b.Ints(0, 10, -1)}) })},
	"Flatten": moved("Flatten", nothing, graph.Int("axis", 2)), "Squeeze": {one(func(k *kit) graph.ValueID { return k.b.Op("Squeeze", ids{k.x(0, 7, 1, 3, 1), k.b.Ints(-1)}) })},
	"Unsqueeze": moved("Unsqueeze", ints(-1, 1)),
	"Transpose": slices.Concat(moved("Transpose", nothing), moved("Transpose", nothing, graph.Ints("perm", 1, 0, 2)), moved("Transpose", nothing, graph.Ints("perm", 0, 2, 1)),
		[]use{one(func(k *kit) graph.ValueID {
			return k.b.Op("Transpose", ids{k.x(0, 7, 1, 4, 1, 5)}, graph.Ints("perm", 1, 2, 0, 3))
		})}),
	"Expand": {
		one(func(k *kit) graph.ValueID { return k.b.Op("Expand", ids{k.x(0, 7, 3, 1, 5), k.b.Ints(2, 1, 4, 1)}) }),
		one(func(k *kit) graph.ValueID { return k.b.Op("Expand", ids{k.x(0, 7), k.b.Ints(3)}) }),
	},
	"Concat": {
		one(func(k *kit) graph.ValueID {
			v := k.x(0, 7, 2, 3, 5)
			return k.b.Op("Concat", ids{v, k.x(0, 7, 2, 4, 5), v, k.x(0, 7, 2, 0, 5)}, graph.Int("axis", -2))
		}),
		one(func(k *kit) graph.ValueID {
			return k.b.Op("Concat", ids{k.x(0, 7, 2), k.x(0, 7, 1)}, graph.Int("axis", 0))
		}),
	},
	"Split": {
		func(k *kit) ids {
			return k.b.Ops("Split", ids{k.x(0, 7, 3, 7), k.b.Ints(1, 4, 2)}, []bool{true, false, true}, graph.Int("axis", 1))
		},
		func(k *kit) ids {
			return k.b.Ops("Split", ids{k.x(0, 7, 7, 3)}, []bool{true, true, true}, graph.Int("num_outputs", 3))
		},
		func(k *kit) ids {
			return k.b.Ops("Split", ids{k.x(0, 7, 2, 6, 2), k.b.Ints(2, 0, 4)}, []bool{false, true, true}, graph.Int("axis", -2))
		},
	},
	"Slice": {
		one(func(k *kit) graph.ValueID {
			return k.b.Op("Slice", ids{k.x(0, 7, 3, 9, 8), k.b.Ints(1, -1), k.b.Ints(99, -99), k.b.Ints(1, -1), k.b.Ints(3, -2)})
		}),
		one(func(k *kit) graph.ValueID {
			return k.b.Op("Slice", ids{k.x(0, 7, 9, 8), k.b.Ints(-4, 2), k.b.Ints(-1, 5)})
		}),
		one(func(k *kit) graph.ValueID {
			return k.b.Op("Slice", ids{k.x(0, 7, 9), k.b.Ints(7), k.b.Ints(3), k.b.Ints(0)})
		}),
		one(func(k *kit) graph.ValueID {
			return k.b.Op("Slice", ids{k.x(0, 7, 9), k.b.Ints(1 << 62), k.b.Ints(-1 << 63), k.b.Ints(0), k.b.Ints(-1)})
		}),
	},
	"Pad": {
		one(func(k *kit) graph.ValueID { return k.b.Op("Pad", ids{k.x(0, 7, 4, 5), k.b.Ints(1, 2, 2, 1)}) }),
		one(func(k *kit) graph.ValueID {
			return k.b.Op("Pad", ids{k.x(0, 7, 3, 4, 5), k.b.Ints(-1, 2), k.constant(1, 1), k.b.Ints(-1)})
		}),
		one(func(k *kit) graph.ValueID { return k.b.Op("Pad", ids{k.x(0, 7, 4, 5), k.b.Ints(-3, 6, -1, -5)}) }),
	},
	"Gather": {
		one(func(k *kit) graph.ValueID {
			return k.b.Op("Gather", ids{k.x(0, 7, 9, 5), k.of(enc.I64, -9, 8, 4, 2)})
		}),
		one(func(k *kit) graph.ValueID {
			return k.b.Op("Gather", ids{k.x(0, 7, 3, 9, 5), k.of(enc.I32, -9, 8, 4)}, graph.Int("axis", 1))
		}),
		one(func(k *kit) graph.ValueID {
			return k.b.Op("Gather", ids{k.constant(0, 7, 3, 9), k.of(enc.I64, -9, 8)}, graph.Int("axis", -1))
		}),
	},
	"TensorScatter": {
		one(func(k *kit) graph.ValueID {
			return k.b.Op("TensorScatter", ids{k.x(0, 7, 2, 3, 9, 4), k.x(0, 7, 2, 3, 2, 4), k.ints([]int64{2}, 7, 1)})
		}),
		one(func(k *kit) graph.ValueID {
			return k.b.Op("TensorScatter", ids{k.x(0, 7, 2, 9, 4), k.x(0, 7, 2, 3, 4), k.ints([]int64{2}, 8, 11)}, graph.Str("mode", "circular"))
		}),
		one(func(k *kit) graph.ValueID {
			return k.b.Op("TensorScatter", ids{k.x(0, 7, 2, 9, 4), k.x(0, 7, 2, 3, 4)})
		}),
		one(func(k *kit) graph.ValueID {
			return k.b.Op("TensorScatter", ids{k.x(0, 7, 2, 3, 4, 9), k.x(0, 7, 2, 3, 4, 2), k.ints([]int64{2}, 7, 1)}, graph.Int("axis", -1))
		}),
	},

	"ReduceSum": reductions("ReduceSum"), "ReduceMean": reductions("ReduceMean"), "ReduceMax": reductions("ReduceMax"), "ReduceMin": reductions("ReduceMin"),
	"Softmax": {
		one(func(k *kit) graph.ValueID { return k.b.Op("Softmax", ids{k.x(-9, 9, 3, 4, 17)}) }),
		one(func(k *kit) graph.ValueID { return k.b.Op("Softmax", ids{k.x(-9, 9, 3, 4, 17)}, graph.Int("axis", 1)) }),
		one(func(k *kit) graph.ValueID { return k.b.Op("Softmax", ids{k.x(-200, 200, 3, 4)}, graph.Int("axis", 0)) }),
	},
	"LayerNormalization": {
		one(func(k *kit) graph.ValueID {
			return k.b.Op("LayerNormalization", ids{k.x(-2, 3, 3, 5, 33), k.x(0, 2, 33), k.x(-1, 1, 33)}, graph.Float("epsilon", 1e-3))
		}),
		func(k *kit) ids {
			return k.b.Ops("LayerNormalization", ids{k.x(98, 103, 3, 5, 4), k.x(0, 2, 5, 1)}, []bool{true, true, true}, graph.Int("axis", 1))
		},
	},
	"RMSNormalization": {
		one(func(k *kit) graph.ValueID { return k.b.Op("RMSNormalization", ids{k.x(-2, 3, 3, 33), k.x(0, 2, 33)}) }),
		one(func(k *kit) graph.ValueID {
			return k.b.Op("RMSNormalization", ids{k.x(-2, 3, 3, 5, 4), k.x(0, 2, 1)}, graph.Int("axis", 1), graph.Float("epsilon", 0.1))
		}),
	},
	"AveragePool": pools(),

	"MatMul": func() (out []use) {
		for _, s := range [][2][]int64{
			{{5, 7}, {7, 33}}, {{2, 3, 5, 7}, {3, 7, 9}}, {{2, 1, 5, 7}, {3, 7, 9}}, {{5, 7}, {2, 7, 9}}, {{7}, {7}}, {{7}, {2, 7, 3}}, {{2, 3, 7}, {7}},
			{{3, 0}, {0, 5}}, {{0, 7}, {7, 5}}, {{1, 600}, {600, 17}}, {{4, 1, 7}, {4, 7, 16}},
		} {
			out = append(out,
				one(func(k *kit) graph.ValueID { return k.b.Op("MatMul", ids{k.x(-3, 3, s[0]...), k.x(-3, 3, s[1]...)}) }),
				one(func(k *kit) graph.ValueID {
					return k.b.Op("MatMul", ids{k.x(-3, 3, s[0]...), k.constant(-3, 3, s[1]...)})
				}))
		}
		return out
	}(),
	"Gemm": {
		one(func(k *kit) graph.ValueID { return k.b.Op("Gemm", ids{k.x(-3, 3, 3, 4), k.x(-3, 3, 4, 5)}) }),
		one(func(k *kit) graph.ValueID {
			return k.b.Op("Gemm", ids{k.x(0, 3, 4, 3), k.x(0, 3, 5, 4), k.x(0, 3, 5)}, graph.Int("transA", 1), graph.Int("transB", 1), graph.Float("alpha", 0.5), graph.Float("beta", 2))
		}),
		one(func(k *kit) graph.ValueID {
			return k.b.Op("Gemm", ids{k.x(0, 3, 3, 4), k.constant(0, 3, 5, 4), k.x(0, 3, 3, 1)}, graph.Int("transB", 1))
		}),
		one(func(k *kit) graph.ValueID {
			return k.b.Op("Gemm", ids{k.x(0, 3, 3, 4), k.constant(0, 3, 4, 20), k.x(0, 3)}, graph.Float("beta", 0.25))
		}),
	},
	"Conv": {
		one(func(k *kit) graph.ValueID {
			return k.b.Op("Conv", ids{k.x(-1, 1, 2, 4, 7, 9), k.x(-1, 1, 6, 2, 3, 3), k.x(-1, 1, 6)}, graph.Int("group", 2), graph.Ints("pads", 1, 0, 1, 2), graph.Ints("strides", 2, 1))
		}),
		one(func(k *kit) graph.ValueID {
			return k.b.Op("Conv", ids{k.x(-1, 1, 1, 2, 11), k.x(-1, 1, 3, 2, 3)}, graph.Ints("dilations", 2), graph.Str("auto_pad", "SAME_UPPER"))
		}),
		one(func(k *kit) graph.ValueID {
			return k.b.Op("Conv", ids{k.x(-1, 1, 1, 3, 28, 42), k.constant(-1, 1, 19, 3, 14, 14), k.constant(-1, 1, 19)}, graph.Ints("strides", 14, 14))
		}),
		one(func(k *kit) graph.ValueID {
			return k.b.Op("Conv", ids{k.x(-1, 1, 1, 2, 5, 6), k.x(-1, 1, 3, 2, 2, 4)}, graph.Ints("strides", 2, 2), graph.Str("auto_pad", "SAME_LOWER"))
		}),
		one(func(k *kit) graph.ValueID {
			return k.b.Op("Conv", ids{k.x(-1, 1, 1, 5, 5, 6), k.x(-1, 1, 5, 1, 3, 3)}, graph.Int("group", 5), graph.Str("auto_pad", "VALID"))
		}),
	},
	"RotaryEmbedding": {
		one(func(k *kit) graph.ValueID {
			return k.b.Op("RotaryEmbedding", ids{k.x(-1, 1, 2, 3, 5, 8), k.x(-1, 1, 2, 5, 4), k.x(-1, 1, 2, 5, 4)})
		}),
		one(func(k *kit) graph.ValueID {
			return k.b.Op("RotaryEmbedding", ids{k.x(-1, 1, 2, 5, 24), k.x(-1, 1, 9, 2), k.x(-1, 1, 9, 2), k.of(enc.I64, 0, 8, 2, 5)},
				graph.Int("num_heads", 3), graph.Int("interleaved", 1), graph.Int("rotary_embedding_dim", 4))
		}),
		one(func(k *kit) graph.ValueID {
			return k.b.Op("RotaryEmbedding", ids{k.x(-1, 1, 1, 2, 3, 6), k.constant(-1, 1, 4, 2), k.constant(-1, 1, 4, 2), k.of(enc.I64, 0, 3, 1, 3)}, graph.Int("rotary_embedding_dim", 4))
		}),
	},
	"Attention": attentions(),
}

func pools() (out []use) {
	for _, inside := range []int64{0, 1} {
		pad := graph.Int("count_include_pad", inside)
		out = append(out,
			one(func(k *kit) graph.ValueID {
				return k.b.Op("AveragePool", ids{k.x(-9, 9, 2, 3, 7, 9)}, pad, graph.Ints("kernel_shape", 3, 2), graph.Ints("pads", 1, 0, 1, 1), graph.Ints("strides", 2, 3))
			}),
			one(func(k *kit) graph.ValueID {
				return k.b.Op("AveragePool", ids{k.x(-9, 9, 1, 2, 10)}, pad, graph.Ints("kernel_shape", 3), graph.Int("ceil_mode", 1), graph.Ints("strides", 2), graph.Ints("dilations", 2))
			}),
			one(func(k *kit) graph.ValueID {
				return k.b.Op("AveragePool", ids{k.x(-9, 9, 1, 2, 5, 6)}, pad, graph.Ints("kernel_shape", 2, 3), graph.Str("auto_pad", "SAME_LOWER"))
			}))
	}
	return out
}

// attentions crosses layouts, masks and attributes.
func attentions() (out []use) {
	qkv := func(k *kit) ids {
		return ids{k.x(-1, 1, 2, 4, 3, 8), k.x(-1, 1, 2, 2, 5, 8), k.x(-1, 1, 2, 2, 5, 6)}
	}
	for _, attrs := range [][]graph.Attr{
		nil, {graph.Int("is_causal", 1)}, {graph.Int("left_window_size", 1)}, {graph.Int("left_window_size", 2), graph.Int("right_window_size", 1)}, {graph.Float("softcap", 2)},
	} {
		call := func(more func(k *kit) ids) {
			out = append(out, one(func(k *kit) graph.ValueID { return k.b.Op("Attention", append(qkv(k), more(k)...), attrs...) }))
		}
		call(nothing)
		call(func(k *kit) ids { return ids{k.x(-2, 2, 4, 3, 5)} })
		call(func(k *kit) ids { return ids{k.of(enc.Bool, 0, 1, 2, 1, 3, 5)} })
		call(func(k *kit) ids { return ids{k.bools([]int64{3, 1}, 1, 0, 1)} })
		call(func(k *kit) ids { return ids{k.bools([]int64{3, 4}, 0, 0, 0, 0, 1, 0, 1, 0, 0, 1, 1, 1)} })
		call(func(k *kit) ids { return ids{graph.NoValue, graph.NoValue, graph.NoValue, k.ints([]int64{2}, 4, 1)} })
		out = append(out, one(func(k *kit) graph.ValueID {
			heads := append([]graph.Attr{graph.Int("q_num_heads", 4), graph.Int("kv_num_heads", 2), graph.Float("scale", 0.3)}, attrs...)
			return k.b.Op("Attention", ids{k.x(-1, 1, 2, 3, 32), k.x(-1, 1, 2, 5, 16), k.x(-1, 1, 2, 5, 12)}, heads...)
		}))
	}
	return out
}
