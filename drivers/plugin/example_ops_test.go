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

// call uses an operator on a block of the type under test, and more operands.
func call(op string, dims []int64, more func(k *kit) ids, attrs ...graph.Attr) use {
	return one(func(k *kit) graph.ValueID { return k.b.Op(op, append(ids{k.x(-3, 3, dims...)}, more(k)...), attrs...) })
}

func nothing(*kit) ids { return nil }

func ints(ns ...int64) func(k *kit) ids { return func(k *kit) ids { return ids{k.b.Ints(ns...)} } }

func f32s(dims ...[]int64) func(k *kit) ids {
	return func(k *kit) (out ids) {
		for _, d := range dims {
			out = append(out, k.of(enc.F32, -1, 2, d...))
		}
		return out
	}
}

// unary tries a function on numbers in a range, few and many.
func unary(op string, lo, hi float64, attrs ...graph.Attr) []use {
	at := func(dims ...int64) use {
		return one(func(k *kit) graph.ValueID { return k.b.Op(op, ids{k.x(lo, hi, dims...)}, attrs...) })
	}
	return []use{at(3, 5, 7), at(), at(3, 0)}
}

// binaries tries an operator of two operands with all ways to broadcast.
func binaries(op string) (out []use) {
	for _, s := range [][2][]int64{
		{{3, 5, 7}, {3, 5, 7}}, {{3, 5, 7}, {7}}, {{5, 1}, {3, 5, 7}}, {{3, 5, 7}, {}}, {{}, {3, 5}},
		{{3, 1, 7}, {4, 1, 5, 1}}, {{2, 1, 9, 3}, {2, 4, 1, 3}}, {{}, {}}, {{0, 3}, {3}}, {{1, 1}, {1}},
	} {
		out = append(out, call(op, s[0], f32s(s[1])))
	}
	return out
}

var exampleSamples = map[string][]use{
	"Relu": unary("Relu", -3, 3), "Sigmoid": unary("Sigmoid", -20, 20), "Swish": unary("Swish", -20, 20),
	"Gelu": slices.Concat(unary("Gelu", -8, 8), unary("Gelu", -8, 8, graph.Str("approximate", "tanh"))),
	"Add":  binaries("Add"), "Mul": binaries("Mul"),
	"Where": {
		func(k *kit) ids {
			return ids{k.b.Op("Where", ids{k.of(enc.Bool, 0, 1, 3, 1, 7), k.of(enc.F32, 0, 9, 5, 1), k.of(enc.F32, 0, 9, 7)})}
		},
		func(k *kit) ids {
			return ids{k.b.Op("Where", ids{k.of(enc.Bool, 0, 1), k.of(enc.Bool, 0, 1, 2), k.of(enc.Bool, 0, 1)})}
		},
	},
	"Cast": {func(k *kit) (out ids) {
		for _, to := range []enc.Elem{enc.F32, enc.I64} {
			out = append(out, k.b.Op("Cast", ids{k.x(-7, 7, 3, 5)}, graph.Elem("to", to)), k.b.Op("Cast", ids{k.x(-2e9, 2e9, 40)}, graph.Elem("to", to)))
		}
		return out
	}},

	"Reshape": {
		call("Reshape", []int64{3, 4, 5}, ints(0, 10, -1)),
		one(func(k *kit) graph.ValueID { return k.b.Op("Reshape", ids{k.constant(0, 7, 3, 4), k.b.Ints(12)}) }),
	},
	"Transpose": {
		call("Transpose", []int64{3, 4, 5}, nothing), call("Transpose", []int64{3, 4, 5}, nothing, graph.Ints("perm", 1, 0, 2)),
		call("Transpose", []int64{3, 4, 5}, nothing, graph.Ints("perm", 0, 2, 1)), call("Transpose", []int64{1, 4, 1, 5}, nothing, graph.Ints("perm", 1, 2, 0, 3)),
		call("Transpose", nil, nothing), call("Transpose", []int64{3, 0}, nothing),
	},
	"Expand": {
		call("Expand", []int64{3, 1, 5}, ints(2, 1, 4, 1)), call("Expand", nil, ints(3)), call("Expand", []int64{1, 4}, ints(0, 1)),
	},
	"Concat": {
		one(func(k *kit) graph.ValueID {
			v := k.x(0, 7, 2, 3, 5)
			return k.b.Op("Concat", ids{v, k.x(0, 7, 2, 4, 5), v, k.x(0, 7, 2, 0, 5)}, graph.Int("axis", -2))
		}),
		call("Concat", []int64{2}, f32s([]int64{1}), graph.Int("axis", 0)),
	},
	"Split": {
		func(k *kit) ids {
			return k.b.Ops("Split", ids{k.x(0, 7, 3, 7), k.b.Ints(1, 4, 2)}, []bool{true, false, true}, graph.Int("axis", 1))
		},
		func(k *kit) ids {
			return k.b.Ops("Split", ids{k.x(0, 7, 2, 6, 2), k.b.Ints(2, 0, 4)}, []bool{false, true, true}, graph.Int("axis", -2))
		},
	},
	"Slice": {
		one(func(k *kit) graph.ValueID {
			return k.b.Op("Slice", ids{k.x(0, 7, 3, 9, 8), k.b.Ints(1, -3), k.b.Ints(99, -1), k.b.Ints(1, -1)})
		}),
		one(func(k *kit) graph.ValueID {
			return k.b.Op("Slice", ids{k.x(0, 7, 9, 8), k.b.Ints(-4, 2), k.b.Ints(-1, 5)})
		}),
		one(func(k *kit) graph.ValueID {
			return k.b.Op("Slice", ids{k.x(0, 7, 9), k.b.Ints(7), k.b.Ints(3), k.b.Ints(0)})
		}),
	},
	"Pad": {
		call("Pad", []int64{4, 5}, ints(1, 2, 2, 1)), call("Pad", []int64{3, 4, 5}, ints(0, 0, 0, 0, 3, 1)),
		call("Pad", []int64{4, 5}, ints(-3, 6, -1, -5)), call("Pad", []int64{4, 5}, ints(-4, 0, 2, 0)),
	},
	"Gather": {
		one(func(k *kit) graph.ValueID {
			return k.b.Op("Gather", ids{k.x(0, 7, 9, 5), k.of(enc.I64, -9, 8, 4, 2)})
		}),
		one(func(k *kit) graph.ValueID {
			return k.b.Op("Gather", ids{k.x(0, 7, 3, 9, 5), k.of(enc.I64, -9, 8, 4)}, graph.Int("axis", 1))
		}),
		one(func(k *kit) graph.ValueID {
			return k.b.Op("Gather", ids{k.constant(0, 7, 3, 9), k.of(enc.I64, -9, 8)}, graph.Int("axis", -1))
		}),
	},
	"TensorScatter": {
		one(func(k *kit) graph.ValueID {
			return k.b.Op("TensorScatter", ids{k.x(0, 7, 2, 3, 9, 4), k.x(0, 7, 2, 3, 2, 4), k.ints([]int64{2}, 7, 1)})
		}),
	},

	"Softmax": {
		call("Softmax", []int64{3, 4, 17}, nothing), call("Softmax", []int64{9}, nothing, graph.Int("axis", -1)),
		one(func(k *kit) graph.ValueID { return k.b.Op("Softmax", ids{k.x(-200, 200, 3, 4)}) }),
	},
	"LayerNormalization": {
		call("LayerNormalization", []int64{3, 5, 33}, f32s([]int64{33}, []int64{33}), graph.Float("epsilon", 1e-3)),
		call("LayerNormalization", []int64{4}, f32s([]int64{4})),
	},
	"RMSNormalization": {
		call("RMSNormalization", []int64{3, 33}, f32s([]int64{33})),
		call("RMSNormalization", []int64{3, 5, 4}, f32s([]int64{4}), graph.Int("axis", -1), graph.Float("epsilon", 0.1)),
	},

	"MatMul": func() (out []use) {
		for _, s := range [][2][]int64{
			{{5, 7}, {7, 33}}, {{2, 3, 5, 7}, {2, 3, 7, 9}}, {{2, 5, 7}, {7, 9}}, {{2, 9, 7}, {2, 7, 3}},
			{{3, 0}, {0, 5}}, {{0, 7}, {7, 5}}, {{1, 600}, {600, 17}}, {{4, 1, 7}, {4, 7, 16}}, {{17, 5}, {5, 300}},
		} {
			out = append(out, call("MatMul", s[0], f32s(s[1])),
				one(func(k *kit) graph.ValueID {
					return k.b.Op("MatMul", ids{k.x(-3, 3, s[0]...), k.constant(-3, 3, s[1]...)})
				}))
		}
		return out
	}(),
	"Conv": {
		call("Conv", []int64{2, 4, 7, 9}, f32s([]int64{6, 4, 3, 2}, []int64{6}), graph.Ints("strides", 2, 1)),
		call("Conv", []int64{1, 3, 28, 42}, f32s([]int64{19, 3, 14, 14}, []int64{19}), graph.Ints("strides", 14, 14), graph.Ints("kernel_shape", 14, 14)),
		call("Conv", []int64{1, 2, 5, 6}, f32s([]int64{3, 2, 5, 1})),
	},
	"RotaryEmbedding": {
		one(func(k *kit) graph.ValueID {
			return k.b.Op("RotaryEmbedding", ids{k.x(-1, 1, 2, 3, 5, 8), k.constant(-1, 1, 9, 4), k.constant(-1, 1, 9, 4), k.of(enc.I64, 0, 8, 2, 5)})
		}),
	},
	"Attention": attentions(),
}

// attentions crosses layouts, masks and attributes.
func attentions() (out []use) {
	for _, attrs := range [][]graph.Attr{nil, {graph.Int("is_causal", 1)}, {graph.Float("scale", 0.3)}} {
		for _, more := range []func(k *kit) ids{
			nothing,
			func(k *kit) ids { return ids{k.of(enc.Bool, 0, 1, 3, 5)} },
			func(k *kit) ids { return ids{k.of(enc.F32, -2, 2, 3, 5)} },
			func(k *kit) ids { return ids{k.bools([]int64{3, 5}, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 1, 1, 1, 1)} },
			func(k *kit) ids { return ids{graph.NoValue, graph.NoValue, graph.NoValue, k.ints([]int64{2}, 4, 1)} },
		} {
			out = append(out, one(func(k *kit) graph.ValueID {
				qkv := ids{k.x(-1, 1, 2, 4, 3, 8), k.x(-1, 1, 2, 2, 5, 8), k.x(-1, 1, 2, 2, 5, 6)}
				return k.b.Op("Attention", append(qkv, more(k)...), attrs...)
			}), one(func(k *kit) graph.ValueID {
				qkv := ids{k.x(-1, 1, 2, 3, 32), k.x(-1, 1, 2, 5, 16), k.x(-1, 1, 2, 5, 12)}
				heads := append([]graph.Attr{graph.Int("q_num_heads", 4), graph.Int("kv_num_heads", 2)}, attrs...)
				return k.b.Op("Attention", append(qkv, more(k)...), heads...)
			}))
		}
	}
	return out
}
