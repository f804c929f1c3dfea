package cpu

import (
	"math"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/ops"
)

// sample is one use of an operator.
type sample struct {
	make func(l *lab) ids
	// elem, if valid, is the only type to try; only, if not 0, a set of them.
	elem enc.Elem
	only ops.TypeSet
	// static samples have no symbolic form.
	static bool
}

func one(f func(l *lab) graph.ValueID) sample {
	return sample{make: func(l *lab) ids { return ids{f(l)} }}
}

func (s sample) fixed() sample                { s.static = true; return s }
func (s sample) among(set ops.TypeSet) sample { s.only = set; return s }

var c = dim.Of

// unarySamples try a function on numbers in a range: enough of them for
// several workers, and few.
func unarySamples(op string, lo, hi float64, attrs ...graph.Attr) []sample {
	return []sample{
		one(func(l *lab) graph.ValueID {
			return l.b.Op(op, ids{l.x(lo, hi, l.n(3), c(5), l.n(7))}, attrs...)
		}),
		one(func(l *lab) graph.ValueID { return l.b.Op(op, ids{l.x(lo, hi, c(70001))}, attrs...) }).fixed().among(ops.Types(enc.F32)),
		one(func(l *lab) graph.ValueID { return l.b.Op(op, ids{l.x(lo, hi)}, attrs...) }).fixed(),
		one(func(l *lab) graph.ValueID { return l.b.Op(op, ids{l.x(lo, hi, c(3), c(0))}, attrs...) }).fixed(),
	}
}

// binarySamples try an operator of two operands with all ways to broadcast.
func binarySamples(op string, lo, hi, lo2, hi2 float64, attrs ...graph.Attr) []sample {
	apply := func(a, b func(l *lab) []dim.Dim) sample {
		return one(func(l *lab) graph.ValueID {
			return l.b.Op(op, ids{l.x(lo, hi, a(l)...), l.x(lo2, hi2, b(l)...)}, attrs...)
		})
	}
	shape := func(f func(l *lab) []dim.Dim) func(l *lab) []dim.Dim { return f }
	full := shape(func(l *lab) []dim.Dim { return []dim.Dim{l.n(3), c(5), l.n(7)} })
	return []sample{
		apply(full, full),
		apply(full, func(l *lab) []dim.Dim { return []dim.Dim{l.n(7)} }),
		apply(func(l *lab) []dim.Dim { return []dim.Dim{c(5), c(1)} }, full),
		apply(full, func(*lab) []dim.Dim { return nil }),
		apply(func(l *lab) []dim.Dim { return []dim.Dim{l.n(3), c(1), l.n(7)} }, func(l *lab) []dim.Dim { return []dim.Dim{c(4), c(1), c(5), c(1)} }),
		apply(func(*lab) []dim.Dim { return nil }, func(*lab) []dim.Dim { return nil }).fixed(),
		apply(func(*lab) []dim.Dim { return []dim.Dim{c(0), c(3)} }, func(*lab) []dim.Dim { return []dim.Dim{c(3)} }).fixed(),
	}
}

func variadicSamples(op string) []sample {
	return []sample{
		one(func(l *lab) graph.ValueID { return l.b.Op(op, ids{l.x(-9, 9, l.n(4), c(5))}) }),
		one(func(l *lab) graph.ValueID {
			return l.b.Op(op, ids{l.x(-9, 9, c(5)), l.x(-9, 9, l.n(4), c(1)), l.x(-9, 9)})
		}),
		one(func(l *lab) graph.ValueID {
			v := l.x(-9, 9, l.n(4), c(5))
			return l.b.Op(op, ids{v, v, v})
		}),
	}
}

func reductionSamples(op string, lo, hi float64) []sample {
	axes := func(ns ...int64) func(attrs ...graph.Attr) sample {
		return func(attrs ...graph.Attr) sample {
			return one(func(l *lab) graph.ValueID {
				in := ids{l.x(lo, hi, l.n(3), c(2), l.n(7), c(5))}
				if ns != nil {
					in = append(in, l.b.Ints(ns...))
				}
				return l.b.Op(op, in, attrs...)
			})
		}
	}
	flat := graph.Int("keepdims", 0)
	return []sample{
		axes()(), axes()(flat), axes(-1)(), axes(1)(flat), axes(0, 1)(), axes(-1, 2)(flat), axes(0, 2)(flat), axes(1, 3)(),
		axes()(graph.Int("noop_with_empty_axes", 1)),
		one(func(l *lab) graph.ValueID { return l.b.Op(op, ids{l.x(lo, hi)}) }).fixed(),
	}
}

func moveSamples(op string, more func(l *lab) ids, attrs ...graph.Attr) []sample {
	return []sample{one(func(l *lab) graph.ValueID {
		return l.b.Op(op, append(ids{l.x(0, 7, l.n(3), c(4), l.n(5))}, more(l)...), attrs...)
	})}
}

func nothing(*lab) ids { return nil }

func concatSamples(lists ...[]sample) (out []sample) {
	for _, l := range lists {
		out = append(out, l...)
	}
	return out
}

func among(set ops.TypeSet, list []sample) []sample {
	for i := range list {
		list[i] = list[i].among(set)
	}
	return list
}

var operatorSamples = map[string][]sample{
	// Elementwise, one operand.
	"Abs": unarySamples("Abs", -9, 9), "Neg": unarySamples("Neg", -9, 9), "Sign": unarySamples("Sign", -2, 2), "Relu": unarySamples("Relu", -3, 3),
	"Ceil": unarySamples("Ceil", -9, 9), "Floor": unarySamples("Floor", -9, 9), "Round": unarySamples("Round", -9, 9),
	"Reciprocal": unarySamples("Reciprocal", 0.1, 9), "Sqrt": unarySamples("Sqrt", 0, 9), "Exp": unarySamples("Exp", -9, 9), "Log": unarySamples("Log", 0.1, 0.9),
	"Sin": unarySamples("Sin", -3, 3), "Cos": unarySamples("Cos", -1, 1), "Tanh": unarySamples("Tanh", -3, 3), "Erf": unarySamples("Erf", -3, 3),
	"Tan": unarySamples("Tan", -1, 1), "Asin": unarySamples("Asin", -1, 1), "Acos": unarySamples("Acos", -1, 1), "Atan": unarySamples("Atan", -5, 5),
	"Sinh": unarySamples("Sinh", -3, 3), "Cosh": unarySamples("Cosh", -3, 3), "Asinh": unarySamples("Asinh", -3, 3), "Acosh": unarySamples("Acosh", 1, 9), "Atanh": unarySamples("Atanh", -0.9, 0.9),
	"BitwiseAnd": binarySamples("BitwiseAnd", 0, 99, 0, 99), "BitwiseOr": binarySamples("BitwiseOr", 0, 99, 0, 99), "BitwiseXor": binarySamples("BitwiseXor", 0, 99, 0, 99), "BitwiseNot": unarySamples("BitwiseNot", 0, 99),
	"BitShift": concatSamples(binarySamples("BitShift", 0, 255, 0, 12, graph.Str("direction", "LEFT")), binarySamples("BitShift", 0, 255, 0, 12, graph.Str("direction", "RIGHT"))),
	"Sigmoid":  unarySamples("Sigmoid", -9, 9), "Softplus": unarySamples("Softplus", -9, 9), "Softsign": unarySamples("Softsign", -9, 9), "Mish": unarySamples("Mish", -5, 5),
	"HardSwish": unarySamples("HardSwish", -4, 4), "HardSigmoid": unarySamples("HardSigmoid", -4, 4, graph.Float("alpha", 0.3)),
	"LeakyRelu": unarySamples("LeakyRelu", -3, 3), "ThresholdedRelu": unarySamples("ThresholdedRelu", -3, 3),
	"Elu": unarySamples("Elu", -3, 3, graph.Float("alpha", 0.5)), "Celu": unarySamples("Celu", -3, 3, graph.Float("alpha", 0.5)), "Selu": unarySamples("Selu", -3, 3),
	"Gelu":  concatSamples(unarySamples("Gelu", -3, 3), unarySamples("Gelu", -3, 3, graph.Str("approximate", "tanh"))),
	"Swish": concatSamples(unarySamples("Swish", -5, 5), unarySamples("Swish", -5, 5, graph.Float("alpha", 1.5))),
	"Not":   unarySamples("Not", 0, 1), "Identity": unarySamples("Identity", -3, 3),
	"IsNaN": {one(func(l *lab) graph.ValueID {
		return l.b.Op("IsNaN", ids{l.fixed(l.elem, []int64{5}, 1, math.NaN(), math.Inf(1), -2, 0)})
	}).fixed()},
	"IsInf": {
		one(func(l *lab) graph.ValueID {
			return l.b.Op("IsInf", ids{l.fixed(l.elem, []int64{5}, 1, math.NaN(), math.Inf(1), math.Inf(-1), 0)})
		}).fixed(),
		one(func(l *lab) graph.ValueID {
			return l.b.Op("IsInf", ids{l.fixed(l.elem, []int64{5}, 1, math.NaN(), math.Inf(1), math.Inf(-1), 0)}, graph.Int("detect_negative", 0))
		}).fixed(),
	},
	"Clip": {
		one(func(l *lab) graph.ValueID {
			return l.b.Op("Clip", ids{l.x(0, 9, l.n(3), c(5)), l.scalar(2), l.scalar(7)})
		}),
		one(func(l *lab) graph.ValueID {
			return l.b.Op("Clip", ids{l.x(0, 9, l.n(3), c(5)), graph.NoValue, l.scalar(4)})
		}),
		one(func(l *lab) graph.ValueID { return l.b.Op("Clip", ids{l.x(0, 9, l.n(3), c(5))}) }),
		one(func(l *lab) graph.ValueID {
			return l.b.Op("Clip", ids{l.x(0, 9, l.n(3), c(5)), l.x(2, 3), l.x(5, 6)})
		}),
	},

	// Elementwise, two operands and more.
	"Add": binarySamples("Add", -9, 9, -9, 9), "Sub": binarySamples("Sub", 5, 9, 0, 5), "Mul": binarySamples("Mul", -9, 9, -9, 9), "Div": binarySamples("Div", -9, 9, 1, 4),
	"Mod": concatSamples(binarySamples("Mod", -9, 9, 1, 4, graph.Int("fmod", 1)), among(ops.Integers, binarySamples("Mod", -9, 9, -4, -1))),
	"Pow": {
		one(func(l *lab) graph.ValueID {
			return l.b.Op("Pow", ids{l.x(1, 3, l.n(3), c(5)), l.x(0, 3, c(5))})
		}),
		one(func(l *lab) graph.ValueID {
			return l.b.Op("Pow", ids{l.x(1, 3, l.n(3), c(5)), l.input(enc.U8, 0, 3, c(5))})
		}),
		one(func(l *lab) graph.ValueID {
			return l.b.Op("Pow", ids{l.x(1, 3, l.n(3), c(5)), l.input(enc.F16, 0, 3)})
		}),
	},
	"PRelu": binarySamples("PRelu", -9, 9, 0, 3)[:2],
	"Equal": binarySamples("Equal", 0, 3, 0, 3), "Less": binarySamples("Less", -9, 9, -9, 9), "LessOrEqual": binarySamples("LessOrEqual", 0, 3, 0, 3),
	"Greater": binarySamples("Greater", -9, 9, -9, 9), "GreaterOrEqual": binarySamples("GreaterOrEqual", 0, 3, 0, 3),
	"And": binarySamples("And", 0, 1, 0, 1), "Or": binarySamples("Or", 0, 1, 0, 1), "Xor": binarySamples("Xor", 0, 1, 0, 1),
	"SwiGLU": {one(func(l *lab) graph.ValueID {
		return l.b.Op("SwiGLU", ids{l.x(-4, 4, l.n(3), c(5)), l.x(-1, 1, l.n(3), c(5))}, graph.Float("alpha", 0.7))
	})},
	"Max": variadicSamples("Max"), "Min": variadicSamples("Min"), "Sum": variadicSamples("Sum"), "Mean": variadicSamples("Mean"),
	"Where": {sample{elem: enc.Bool, make: func(l *lab) ids {
		var out ids
		cond := l.input(enc.Bool, 0, 1, l.n(3), c(1), l.n(7))
		for _, e := range []enc.Elem{enc.F64, enc.F32, enc.F16, enc.I64, enc.I8, enc.U16, enc.Bool} {
			out = append(out, l.b.Op("Where", ids{cond, l.input(e, 0, 9, c(5), c(1)), l.input(e, 0, 9, l.n(7))}))
		}
		return out
	}}},

	// Types.
	"Cast": func() (out []sample) {
		for _, to := range enc.Elems() {
			lo := -7.0
			if !to.IsSigned() {
				lo = 0
			}
			out = append(out, one(func(l *lab) graph.ValueID {
				return l.b.Op("Cast", ids{l.x(lo, 7, l.n(3), c(5))}, graph.Elem("to", to))
			}), one(func(l *lab) graph.ValueID {
				return l.b.Op("Cast", ids{l.x(-60000, 60000, l.n(3), c(67))}, graph.Elem("to", to))
			}).among(ops.Floats|ops.Types(enc.I64, enc.I32)))
		}
		return out
	}(),
	"CastLike": {one(func(l *lab) graph.ValueID {
		return l.b.Op("CastLike", ids{l.x(0, 7, l.n(3), c(5)), l.input(enc.BF16, 0, 1, c(2))})
	})},
	"Shape": {one(func(l *lab) graph.ValueID {
		return l.b.Op("Shape", ids{l.x(0, 1, l.n(3), c(5), l.n(7))}, graph.Int("start", -2))
	})},
	"Size": {one(func(l *lab) graph.ValueID { return l.b.Op("Size", ids{l.x(0, 1, l.n(3), c(5), l.n(7))}) })},
	"ConstantOfShape": {sample{elem: enc.I64, make: func(l *lab) ids {
		var out ids
		for _, e := range []enc.Elem{enc.F64, enc.F32, enc.F16, enc.I64, enc.I8, enc.Bool} {
			v := number(l.t, e, 1)
			out = append(out, l.b.Op("ConstantOfShape", ids{l.b.Dims(l.n(3), c(5))}, graph.TensorAttr("value", &graph.Tensor{Elem: e, Shape: []int64{1}, Data: v.Data})))
		}
		return append(out, l.b.Op("ConstantOfShape", ids{l.b.Dims(l.n(3), c(5))}))
	}}},
	"Range": {one(func(l *lab) graph.ValueID {
		return l.b.Op("Range", ids{l.scalar(2), l.scalar(31), l.scalar(3)})
	}).fixed()},

	// Moving data.
	"Reshape": {one(func(l *lab) graph.ValueID {
		return l.b.Op("Reshape", ids{l.x(0, 7, l.n(3), c(4), l.n(5)), l.b.Dims(c(0), l.n(5).MulInt(2), c(2))})
	})},
	"Flatten": moveSamples("Flatten", nothing, graph.Int("axis", 2)), "Transpose": concatSamples(moveSamples("Transpose", nothing),
		moveSamples("Transpose", nothing, graph.Ints("perm", 1, 0, 2)), moveSamples("Transpose", nothing, graph.Ints("perm", 0, 2, 1)),
		[]sample{one(func(l *lab) graph.ValueID {
			return l.b.Op("Transpose", ids{l.x(0, 7, c(1), l.n(4), c(1), l.n(5))}, graph.Ints("perm", 1, 2, 0, 3))
		})}),
	"Squeeze":   {one(func(l *lab) graph.ValueID { return l.b.Op("Squeeze", ids{l.x(0, 7, c(1), l.n(3), c(1)), l.b.Ints(-1)}) })},
	"Unsqueeze": moveSamples("Unsqueeze", func(l *lab) ids { return ids{l.b.Ints(-1, 1)} }),
	"Expand": {one(func(l *lab) graph.ValueID {
		return l.b.Op("Expand", ids{l.x(0, 7, l.n(3), c(1), l.n(5)), l.b.Dims(c(2), c(1), c(4), c(1))})
	})},
	"Tile": {
		one(func(l *lab) graph.ValueID {
			return l.b.Op("Tile", ids{l.x(0, 7, l.n(3), c(1), l.n(5)), l.b.Dims(c(2), c(3), c(2))})
		}),
		one(func(l *lab) graph.ValueID {
			return l.b.Op("Tile", ids{l.x(0, 7, c(2), c(3), c(2), c(2), c(3)), l.b.Dims(c(2), c(2), c(2), c(3), c(2))})
		}).fixed(),
	},
	"Concat": {one(func(l *lab) graph.ValueID {
		v := l.x(0, 7, c(2), l.n(3), c(5))
		return l.b.Op("Concat", ids{v, l.x(0, 7, c(2), l.n(4), c(5)), v}, graph.Int("axis", 1))
	})},
	"Split": {
		{make: func(l *lab) ids {
			return l.b.Ops("Split", ids{l.x(0, 7, l.n(3), c(7)), l.b.Ints(1, 4, 2)}, []bool{true, false, true}, graph.Int("axis", 1))
		}},
		{make: func(l *lab) ids {
			return l.b.Ops("Split", ids{l.x(0, 7, c(7), l.n(3))}, []bool{true, true, true}, graph.Int("num_outputs", 3))
		}},
	},
	"Slice": {
		one(func(l *lab) graph.ValueID {
			return l.b.Op("Slice", ids{l.x(0, 7, l.n(3), c(9), c(8)), l.b.Ints(1, -1), l.b.Ints(99, -99), l.b.Ints(1, -1), l.b.Ints(3, -2)})
		}),
		one(func(l *lab) graph.ValueID {
			return l.b.Op("Slice", ids{l.x(0, 7, c(9), c(8)), l.b.Ints(-4, 2), l.b.Ints(-1, 5)})
		}).fixed(),
	},
	"Pad": func() (out []sample) {
		for _, mode := range []string{"constant", "edge", "reflect", "wrap"} {
			out = append(out, one(func(l *lab) graph.ValueID {
				return l.b.Op("Pad", ids{l.x(0, 7, c(4), c(5)), l.b.Ints(1, 2, 2, 1)}, graph.Str("mode", mode))
			}).fixed())
		}
		return append(out, one(func(l *lab) graph.ValueID {
			return l.b.Op("Pad", ids{l.x(0, 7, l.n(3), c(4), c(5)), l.b.Ints(-1, 2), l.scalar(1), l.b.Ints(-1)})
		}))
	}(),
	"Gather": {
		one(func(l *lab) graph.ValueID {
			return l.b.Op("Gather", ids{l.x(0, 7, c(9), l.n(5)), l.input(enc.I64, -9, 8, l.n(4), c(2))})
		}),
		one(func(l *lab) graph.ValueID {
			return l.b.Op("Gather", ids{l.x(0, 7, l.n(3), c(9), l.n(5)), l.input(enc.I32, -9, 8, l.n(4))}, graph.Int("axis", 1))
		}),
		one(func(l *lab) graph.ValueID {
			return l.b.Op("Gather", ids{l.x(0, 7, c(9)), l.input(enc.I64, -9, 8)})
		}).fixed(),
	},
	"GatherElements": {one(func(l *lab) graph.ValueID {
		return l.b.Op("GatherElements", ids{l.x(0, 7, c(3), c(9), c(5)), l.input(enc.I32, -9, 8, c(2), c(4), c(5))}, graph.Int("axis", 1))
	})},
	"GatherND": {
		one(func(l *lab) graph.ValueID {
			return l.b.Op("GatherND", ids{l.x(0, 7, c(3), c(4), l.n(5)), l.input(enc.I64, -3, 2, l.n(4), c(2))})
		}),
		one(func(l *lab) graph.ValueID {
			return l.b.Op("GatherND", ids{l.x(0, 7, l.n(3), c(4), c(5)), l.input(enc.I64, -4, 3, l.n(3), c(1))}, graph.Int("batch_dims", 1))
		}),
	},
	"ScatterElements": scatterSamples("ScatterElements", func(l *lab) ids {
		return ids{l.x(0, 7, c(4), c(9)), l.fixed(enc.I32, []int64{3, 4}, 0, 3, -1, 4, 8, 7, 6, 5, 1, 2, 3, 0), l.x(0, 7, c(3), c(4))}
	}, graph.Int("axis", 1)),
	"ScatterND": scatterSamples("ScatterND", func(l *lab) ids {
		return ids{l.x(0, 7, c(4), c(9)), l.fixed(enc.I64, []int64{3, 1}, 2, -1, 0), l.x(0, 7, c(3), c(9))}
	}),
	"TensorScatter": {
		one(func(l *lab) graph.ValueID {
			return l.b.Op("TensorScatter", ids{l.x(0, 7, c(2), l.n(3), c(9), c(4)), l.x(0, 7, c(2), l.n(3), c(2), c(4)), l.fixed(enc.I64, []int64{2}, 7, 1)})
		}),
		one(func(l *lab) graph.ValueID {
			return l.b.Op("TensorScatter", ids{l.x(0, 7, c(2), c(9), c(4)), l.x(0, 7, c(2), c(3), c(4)), l.fixed(enc.I64, []int64{2}, 8, 11)}, graph.Str("mode", "circular"))
		}),
		one(func(l *lab) graph.ValueID {
			return l.b.Op("TensorScatter", ids{l.x(0, 7, c(2), c(9), c(4)), l.x(0, 7, c(2), l.n(3), c(4))})
		}),
	},
	"DepthToSpace": {
		one(func(l *lab) graph.ValueID {
			return l.b.Op("DepthToSpace", ids{l.x(0, 7, l.n(2), c(8), c(3), c(5))}, graph.Int("blocksize", 2))
		}),
		one(func(l *lab) graph.ValueID {
			return l.b.Op("DepthToSpace", ids{l.x(0, 7, l.n(2), c(8), c(3), c(5))}, graph.Int("blocksize", 2), graph.Str("mode", "CRD"))
		}),
	},
	"SpaceToDepth": {one(func(l *lab) graph.ValueID {
		return l.b.Op("SpaceToDepth", ids{l.x(0, 7, l.n(2), c(3), c(4), c(6))}, graph.Int("blocksize", 2))
	})},
	"Trilu": {
		one(func(l *lab) graph.ValueID { return l.b.Op("Trilu", ids{l.x(0, 7, l.n(2), c(3), c(5))}) }),
		one(func(l *lab) graph.ValueID {
			return l.b.Op("Trilu", ids{l.x(0, 7, c(4), c(4)), l.b.Const("k", graph.I64(-1).Scalar())}, graph.Int("upper", 0))
		}),
	},

	// Folding.
	"ReduceSum": reductionSamples("ReduceSum", -3, 3), "ReduceMean": reductionSamples("ReduceMean", -9, 9), "ReduceMax": reductionSamples("ReduceMax", -9, 9), "ReduceMin": reductionSamples("ReduceMin", -9, 9),
	"ReduceProd": reductionSamples("ReduceProd", 0.9, 1.1), "ReduceL1": reductionSamples("ReduceL1", -3, 3), "ReduceL2": reductionSamples("ReduceL2", -3, 3), "ReduceSumSquare": reductionSamples("ReduceSumSquare", -3, 3),
	"ReduceLogSum": reductionSamples("ReduceLogSum", 1, 3), "ReduceLogSumExp": reductionSamples("ReduceLogSumExp", -3, 3),
	"ArgMax": argSamples("ArgMax"), "ArgMin": argSamples("ArgMin"),
	"CumSum": {
		one(func(l *lab) graph.ValueID {
			return l.b.Op("CumSum", ids{l.x(0, 3, l.n(3), c(7), c(5)), l.b.Const("", graph.I64(1).Scalar())})
		}),
		one(func(l *lab) graph.ValueID {
			return l.b.Op("CumSum", ids{l.x(0, 3, l.n(3), c(7)), l.b.Const("", graph.I64(-1).Scalar())}, graph.Int("exclusive", 1), graph.Int("reverse", 1))
		}),
	},
	"TopK": {
		{make: func(l *lab) ids {
			return l.b.Ops("TopK", ids{l.x(0, 20, l.n(3), c(11)), l.b.Ints(4)}, []bool{true, true})
		}},
		{make: func(l *lab) ids {
			return l.b.Ops("TopK", ids{l.x(0, 20, c(11), l.n(3)), l.b.Ints(4)}, []bool{true, true}, graph.Int("axis", 0), graph.Int("largest", 0))
		}},
	},

	// Products.
	"MatMul": {
		one(func(l *lab) graph.ValueID {
			return l.b.Op("MatMul", ids{l.x(0, 3, l.n(5), c(7)), l.x(0, 3, c(7), l.n(33))})
		}),
		one(func(l *lab) graph.ValueID {
			return l.b.Op("MatMul", ids{l.x(0, 3, l.n(2), c(3), l.n(5), c(7)), l.x(0, 3, c(3), c(7), l.n(9))})
		}),
		one(func(l *lab) graph.ValueID {
			return l.b.Op("MatMul", ids{l.x(0, 3, l.n(2), c(1), l.n(5), c(7)), l.x(0, 3, c(3), c(7), l.n(9))})
		}),
		one(func(l *lab) graph.ValueID { return l.b.Op("MatMul", ids{l.x(0, 3, c(7)), l.x(0, 3, c(7))}) }).fixed(),
		one(func(l *lab) graph.ValueID { return l.b.Op("MatMul", ids{l.x(0, 3, c(7)), l.x(0, 3, c(2), c(7), c(3))}) }).fixed(),
		one(func(l *lab) graph.ValueID { return l.b.Op("MatMul", ids{l.x(0, 3, c(2), c(3), c(7)), l.x(0, 3, c(7))}) }).fixed(),
		one(func(l *lab) graph.ValueID { return l.b.Op("MatMul", ids{l.x(0, 3, c(3), c(0)), l.x(0, 3, c(0), c(5))}) }).fixed(),
		one(func(l *lab) graph.ValueID { return l.b.Op("MatMul", ids{l.x(0, 3, l.n(5), c(7)), l.weight(7, 18)}) }),
		one(func(l *lab) graph.ValueID {
			return l.b.Op("MatMul", ids{l.x(0, 3, c(2), l.n(5), c(7)), l.weight(7, 18)})
		}),
		one(func(l *lab) graph.ValueID { return l.b.Op("MatMul", ids{l.x(0, 3, c(7)), l.weight(7, 18)}) }).fixed(),
		one(func(l *lab) graph.ValueID { return l.b.Op("MatMul", ids{l.weight(3, 7), l.x(0, 3, c(7), l.n(9))}) }),
	},
	"Gemm": {
		one(func(l *lab) graph.ValueID {
			return l.b.Op("Gemm", ids{l.x(0, 3, l.n(3), c(4)), l.x(0, 3, c(4), l.n(5))})
		}),
		one(func(l *lab) graph.ValueID {
			return l.b.Op("Gemm", ids{l.x(0, 3, c(4), l.n(3)), l.x(0, 3, l.n(5), c(4)), l.x(0, 3, l.n(5))}, graph.Int("transA", 1), graph.Int("transB", 1), graph.Float("alpha", 0.5), graph.Float("beta", 2))
		}),
		one(func(l *lab) graph.ValueID {
			return l.b.Op("Gemm", ids{l.x(0, 3, l.n(3), c(4)), l.weight(5, 4), l.x(0, 3, l.n(3), c(1))}, graph.Int("transB", 1))
		}),
		one(func(l *lab) graph.ValueID {
			return l.b.Op("Gemm", ids{l.x(0, 3, l.n(3), c(4)), l.weight(4, 5), l.x(0, 3)}, graph.Float("beta", 0.25))
		}).among(ops.Floats),
		one(func(l *lab) graph.ValueID {
			return l.b.Op("Gemm", ids{l.x(0, 3, l.n(3), c(4)), l.weight(4, 5), l.x(0, 3, l.n(3), c(5))}, graph.Float("alpha", 0), graph.Float("beta", 0))
		}),
		one(func(l *lab) graph.ValueID {
			return l.b.Op("Gemm", ids{l.x(0, 3, l.n(3), c(4)), l.weight(4, 1), l.x(0, 3, l.n(3), c(1))})
		}),
	},
	"heddle.Linear": func() (out []sample) {
		for _, a := range []string{"none", "relu", "gelu", "gelu_tanh", "silu"} {
			out = append(out, one(func(l *lab) graph.ValueID {
				return l.b.Op("heddle.Linear", ids{l.x(-1, 1, c(2), l.n(3), c(4)), l.weight(4, 5), l.x(-1, 1, c(5))}, graph.Str("activation", a))
			}))
		}
		return append(out, one(func(l *lab) graph.ValueID {
			return l.b.Op("heddle.Linear", ids{l.x(-1, 1, c(4)), l.x(-1, 1, c(4), c(5))})
		}).fixed())
	}(),
	"Conv": {
		one(func(l *lab) graph.ValueID {
			return l.b.Op("Conv", ids{l.x(-1, 1, l.n(2), c(4), c(7), c(9)), l.x(-1, 1, c(6), c(2), c(3), c(3)), l.x(-1, 1, c(6))}, graph.Int("group", 2), graph.Ints("pads", 1, 0, 1, 2), graph.Ints("strides", 2, 1))
		}),
		one(func(l *lab) graph.ValueID {
			return l.b.Op("Conv", ids{l.x(-1, 1, c(1), c(2), c(11)), l.x(-1, 1, c(3), c(2), c(3))}, graph.Ints("dilations", 2), graph.Str("auto_pad", "SAME_UPPER"))
		}).fixed(),
		one(func(l *lab) graph.ValueID {
			return l.b.Op("Conv", ids{l.x(-1, 1, c(1), c(2), c(4), c(5), c(6)), l.x(-1, 1, c(3), c(2), c(2), c(3), c(2))})
		}).fixed(),
	},
	"AveragePool": poolSamples("AveragePool", graph.Int("count_include_pad", 1)),
	"MaxPool":     append(poolSamples("MaxPool"), maxPoolSamples()...),
	"Resize":      resizeSamples(),
	"GlobalAveragePool": {one(func(l *lab) graph.ValueID {
		return l.b.Op("GlobalAveragePool", ids{l.x(-1, 1, l.n(2), c(3), c(5), c(7))})
	})},
	"GlobalMaxPool": {one(func(l *lab) graph.ValueID { return l.b.Op("GlobalMaxPool", ids{l.x(-1, 1, l.n(2), c(3), c(5), c(7))}) })},

	// Normalisation and attention.
	"Softmax": softmaxSamples("Softmax"), "LogSoftmax": softmaxSamples("LogSoftmax"),
	"LayerNormalization": {
		one(func(l *lab) graph.ValueID {
			return l.b.Op("LayerNormalization", ids{l.x(-2, 3, l.n(3), c(5), c(33)), l.x(0, 2, c(33)), l.x(-1, 1, c(33))}, graph.Float("epsilon", 1e-3))
		}),
		{make: func(l *lab) ids {
			return l.b.Ops("LayerNormalization", ids{l.x(-2, 3, l.n(3), c(5), c(4)), l.x(0, 2, c(4))}, []bool{true, true, true}, graph.Int("axis", 1))
		}},
	},
	"RMSNormalization": {
		one(func(l *lab) graph.ValueID {
			return l.b.Op("RMSNormalization", ids{l.x(-2, 3, l.n(3), c(33)), l.x(0, 2, c(33))})
		}),
		one(func(l *lab) graph.ValueID {
			return l.b.Op("RMSNormalization", ids{l.x(-2, 3, l.n(3), c(5), c(4)), l.input(enc.F32, 0, 2, c(1))}, graph.Int("axis", 1), graph.Float("epsilon", 0.1))
		}),
		one(func(l *lab) graph.ValueID {
			return l.b.Op("RMSNormalization", ids{l.x(-2, 3, l.n(3), c(4)), l.input(enc.F16, 0, 2, c(4))})
		}),
	},
	"GroupNormalization": {one(func(l *lab) graph.ValueID {
		return l.b.Op("GroupNormalization", ids{l.x(-2, 3, l.n(2), c(6), c(4), c(3)), l.x(0, 2, c(6)), l.x(-1, 1, c(6))}, graph.Int("num_groups", 3))
	})},
	"InstanceNormalization": {one(func(l *lab) graph.ValueID {
		return l.b.Op("InstanceNormalization", ids{l.x(-2, 3, l.n(2), c(6), c(4), c(3)), l.x(0, 2, c(6)), l.x(-1, 1, c(6))})
	})},
	"RotaryEmbedding": {
		one(func(l *lab) graph.ValueID {
			return l.b.Op("RotaryEmbedding", ids{l.x(-1, 1, l.n(2), c(3), l.n(5), c(8)), l.x(-1, 1, l.n(2), l.n(5), c(4)), l.x(-1, 1, l.n(2), l.n(5), c(4))})
		}),
		one(func(l *lab) graph.ValueID {
			return l.b.Op("RotaryEmbedding", ids{l.x(-1, 1, l.n(2), l.n(5), c(24)), l.x(-1, 1, c(9), c(2)), l.x(-1, 1, c(9), c(2)), l.input(enc.I64, 0, 8, l.n(2), l.n(5))},
				graph.Int("num_heads", 3), graph.Int("interleaved", 1), graph.Int("rotary_embedding_dim", 4))
		}),
	},
	"Attention": attentionSamples(),

	// Without kernels of their own.
	"Shrink":  unarySamples("Shrink", 0, 3, graph.Float("bias", 0.75), graph.Float("lambd", 1.5))[:1],
	"Hardmax": softmaxSamples("Hardmax"),
	"LRN": {one(func(l *lab) graph.ValueID {
		return l.b.Op("LRN", ids{l.x(-2, 2, l.n(2), c(5), l.n(3), c(7))}, graph.Int("size", 3), graph.Float("alpha", 0.5))
	})},
	"LpNormalization": softmaxSamples("LpNormalization"),
	"MeanVarianceNormalization": {one(func(l *lab) graph.ValueID {
		return l.b.Op("MeanVarianceNormalization", ids{l.x(-3, 3, l.n(3), c(4), l.n(5), c(2))})
	})},
	"EyeLike": {one(func(l *lab) graph.ValueID {
		return l.b.Op("EyeLike", ids{l.x(0, 1, l.n(3), c(5))}, graph.Int("k", 1))
	})},
	"OneHot": {one(func(l *lab) graph.ValueID {
		return l.b.Op("OneHot", ids{l.x(0, 6, l.n(3), c(2)), l.b.Ints(5), l.input(enc.F32, -1, 1, c(2))}, graph.Int("axis", 1))
	})},
	"Einsum": {
		one(func(l *lab) graph.ValueID {
			return l.b.Op("Einsum", ids{l.x(0, 2, c(3), c(2), c(4)), l.x(0, 2, c(4), c(5))}, graph.Str("equation", "bij,jk->bik"))
		}).fixed(),
		one(func(l *lab) graph.ValueID {
			return l.b.Op("Einsum", ids{l.x(0, 2, c(3), c(4)), l.x(0, 2, c(5), c(4))}, graph.Str("equation", "ij,kj->ik"))
		}),
	},
	"ConvTranspose": {one(func(l *lab) graph.ValueID {
		return l.b.Op("ConvTranspose", ids{l.x(-1, 1, l.n(2), c(4), c(5), c(3)), l.x(-1, 1, c(4), c(3), c(3), c(2)), l.x(-1, 1, c(6))}, graph.Int("group", 2), graph.Ints("strides", 2, 1), graph.Ints("pads", 1, 0, 0, 1))
	})},

	// Quantization.
	"QuantizeLinear": quantizeSamples(), "DequantizeLinear": dequantizeSamples(),
	"DynamicQuantizeLinear": {{make: func(l *lab) ids {
		return l.b.Ops("DynamicQuantizeLinear", ids{l.x(-1, 3, l.n(4), c(5))}, []bool{true, true, true})
	}}},
	"MatMulInteger": {
		one(func(l *lab) graph.ValueID {
			return l.b.Op("MatMulInteger", ids{l.x(0, 127, c(2), l.n(3), c(4)), l.input(enc.I8, -128, 127, c(4), c(5)), l.x(0, 127, l.n(3)), l.input(enc.I8, -128, 127, c(5))})
		}),
		one(func(l *lab) graph.ValueID {
			return l.b.Op("MatMulInteger", ids{l.x(0, 127, c(2), c(1), l.n(3), c(4)), l.input(enc.U8, 0, 255, c(3), c(4), c(5)), l.x(0, 127), l.input(enc.U8, 0, 255)})
		}),
		one(func(l *lab) graph.ValueID {
			return l.b.Op("MatMulInteger", ids{l.x(0, 127, l.n(3), c(4)), l.input(enc.U8, 0, 255, c(4))})
		}),
		one(func(l *lab) graph.ValueID { // zero points that differ from term to term
			return l.b.Op("MatMulInteger", ids{l.x(0, 127, l.n(3), c(4)), l.input(enc.I8, 0, 127, c(4), c(5)), l.x(0, 127, c(1), c(4)), l.input(enc.I8, 0, 9, c(4), c(1))})
		}),
		one(func(l *lab) graph.ValueID {
			return l.b.Op("MatMulInteger", ids{l.x(0, 127, l.n(3), c(4)), l.input(enc.I8, 0, 127, c(4)), l.x(0, 127, l.n(3)), l.input(enc.I8, 0, 9, c(4))})
		}),
		one(func(l *lab) graph.ValueID { // one for each row of each matrix
			return l.b.Op("MatMulInteger", ids{l.x(0, 127, c(2), l.n(3), c(4)), l.input(enc.I8, 0, 127, c(2), c(4), c(5)), l.x(0, 127, c(2), l.n(3), c(1)), l.input(enc.I8, 0, 9, c(1), c(1), c(5))})
		}),
	},
	"QLinearMatMul": {one(func(l *lab) graph.ValueID {
		return l.b.Op("QLinearMatMul", ids{
			l.x(0, 127, c(2), l.n(3), c(4)), l.input(enc.F32, 0.01, 0.02, l.n(3)), l.x(50, 90, l.n(3)),
			l.input(enc.I8, -128, 127, c(4), c(5)), l.input(enc.F32, 0.01, 0.02, c(5)), l.input(enc.I8, -9, 9, c(5)),
			l.input(enc.F32, 0.1, 0.2), l.input(enc.I8, -9, 9)})
	}), one(func(l *lab) graph.ValueID {
		return l.b.Op("QLinearMatMul", ids{
			l.x(0, 127, l.n(3), c(4)), l.input(enc.F16, 0.01, 0.02), l.x(50, 90),
			l.input(enc.I8, -128, 127, c(4), c(5)), l.input(enc.F16, 0.01, 0.02), l.input(enc.I8, -9, 9),
			l.input(enc.F16, 0.1, 0.2), l.input(enc.U8, 100, 150)})
	})},
	"ConvInteger": {one(func(l *lab) graph.ValueID {
		return l.b.Op("ConvInteger", ids{l.x(0, 127, l.n(2), c(4), c(5), c(5)), l.input(enc.I8, -128, 127, c(6), c(2), c(3), c(3)),
			l.x(0, 127), l.input(enc.I8, -128, 127, c(6))}, graph.Int("group", 2), graph.Ints("pads", 1, 1, 1, 1))
	})},
	"QLinearConv": {one(func(l *lab) graph.ValueID {
		return l.b.Op("QLinearConv", ids{
			l.x(0, 127, l.n(2), c(2), c(5), c(5)), l.input(enc.F32, 0.01, 0.02), l.x(50, 90),
			l.input(enc.I8, -128, 127, c(3), c(2), c(3), c(3)), l.input(enc.F32, 0.01, 0.02, c(3)), l.input(enc.I8, -9, 9, c(3)),
			l.input(enc.F32, 0.1, 0.2), l.input(enc.U8, 100, 150), l.input(enc.I32, -999, 999, c(3))}, graph.Ints("strides", 2, 2))
	})},
}

// weight is a constant matrix of the type under test.
func (l *lab) weight(rows, cols int64) graph.ValueID {
	v := l.fill(spec{typ: graph.OfInts(l.elem, rows, cols), lo: 0, hi: 3}, nil)
	t, err := v.Const()
	if err != nil {
		l.t.Fatal(err)
	}
	return l.b.Const("", t)
}

func argSamples(op string) []sample {
	return []sample{
		one(func(l *lab) graph.ValueID {
			return l.b.Op(op, ids{l.x(0, 4, l.n(3), c(7), c(5))}, graph.Int("axis", 1))
		}),
		one(func(l *lab) graph.ValueID {
			return l.b.Op(op, ids{l.x(0, 4, l.n(3), c(7))}, graph.Int("axis", -1), graph.Int("keepdims", 0), graph.Int("select_last_index", 1))
		}),
	}
}

func softmaxSamples(op string) []sample {
	return []sample{
		one(func(l *lab) graph.ValueID { return l.b.Op(op, ids{l.x(-9, 9, l.n(3), c(4), l.n(17))}) }),
		one(func(l *lab) graph.ValueID {
			return l.b.Op(op, ids{l.x(-9, 9, l.n(3), c(4), l.n(17))}, graph.Int("axis", 1))
		}),
		one(func(l *lab) graph.ValueID { return l.b.Op(op, ids{l.x(-9, 9, l.n(3), c(4))}, graph.Int("axis", 0)) }),
	}
}

func poolSamples(op string, attrs ...graph.Attr) []sample {
	kernel := func(ns ...int64) []graph.Attr {
		return append([]graph.Attr{graph.Ints("kernel_shape", ns...)}, attrs...)
	}
	return []sample{
		one(func(l *lab) graph.ValueID {
			return l.b.Op(op, ids{l.x(-9, 9, l.n(2), c(3), c(7), c(9))}, append(kernel(3, 2), graph.Ints("pads", 1, 0, 1, 1), graph.Ints("strides", 2, 3))...)
		}),
		one(func(l *lab) graph.ValueID {
			return l.b.Op(op, ids{l.x(-9, 9, c(1), c(2), c(10))}, append(kernel(3), graph.Int("ceil_mode", 1), graph.Ints("strides", 2), graph.Ints("dilations", 2))...)
		}),
		one(func(l *lab) graph.ValueID {
			return l.b.Op(op, ids{l.x(-9, 9, c(1), c(2), c(4), c(5), c(6))}, append(kernel(2, 2, 3), graph.Str("auto_pad", "SAME_LOWER"))...)
		}),
	}
}

func resizeSamples() (out []sample) {
	shape := func(l *lab) []dim.Dim { return []dim.Dim{l.n(2), c(3), c(7), c(5)} }
	sizes := func(h, w int64, attrs ...graph.Attr) sample {
		return one(func(l *lab) graph.ValueID {
			return l.b.Op("Resize", ids{l.x(0, 99, shape(l)...), graph.NoValue, graph.NoValue, l.b.Ints(h, w)}, append(attrs, graph.Ints("axes", 2, 3))...)
		})
	}
	scales := func(h, w float32, attrs ...graph.Attr) sample {
		return one(func(l *lab) graph.ValueID {
			return l.b.Op("Resize", ids{l.x(0, 99, shape(l)...), graph.NoValue, l.b.Const("", graph.F32([]int64{2}, h, w))}, append(attrs, graph.Ints("axes", 2, 3))...)
		})
	}
	for _, way := range []string{"round_prefer_floor", "round_prefer_ceil", "floor", "ceil"} {
		out = append(out, sizes(11, 3, graph.Str("nearest_mode", way)))
	}
	// Interpolated numbers are no integers: those types are tried by position
	// alone, since a tie may be rounded either way.
	for _, coords := range []string{"half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric"} {
		mode := graph.Str("coordinate_transformation_mode", coords)
		out = append(out, sizes(4, 9, mode), scales(1.5, 0.7, mode))
		for _, filter := range []string{"linear", "cubic"} {
			f := graph.Str("mode", filter)
			out = append(out, among(ops.Floats, []sample{sizes(11, 3, mode, f), scales(0.6, 2.5, mode, f), sizes(3, 2, mode, f, graph.Int("antialias", 1)), sizes(9, 1, mode, f, graph.Int("exclude_outside", 1))})...)
		}
	}
	for _, filter := range []string{"nearest", "linear", "cubic"} {
		s := one(func(l *lab) graph.ValueID {
			roi := l.b.Const("", graph.F32([]int64{4}, 0.2, -0.3, 0.8, 1.2))
			return l.b.Op("Resize", ids{l.x(0, 99, shape(l)...), roi, graph.NoValue, l.b.Ints(6, 8)}, graph.Ints("axes", 2, 3), graph.Str("mode", filter),
				graph.Str("coordinate_transformation_mode", "tf_crop_and_resize"), graph.Float("extrapolation_value", 10))
		})
		if filter != "nearest" {
			s = s.among(ops.Floats)
		}
		out = append(out, s)
	}
	return append(out, sizes(21, 20, graph.Str("keep_aspect_ratio_policy", "not_larger")), sizes(21, 20, graph.Str("keep_aspect_ratio_policy", "not_smaller")))
}

func maxPoolSamples() []sample {
	both := []bool{true, true}
	return []sample{
		{make: func(l *lab) ids {
			return l.b.Ops("MaxPool", ids{l.x(-3, 3, l.n(2), c(3), c(7), c(9))}, both, graph.Ints("kernel_shape", 3, 2), graph.Ints("pads", 1, 0, 1, 1))
		}},
		{make: func(l *lab) ids {
			return l.b.Ops("MaxPool", ids{l.x(-3, 3, l.n(2), c(3), c(7), c(9))}, both, graph.Ints("kernel_shape", 3, 2), graph.Int("storage_order", 1))
		}},
	}
}

func scatterSamples(op string, in func(l *lab) ids, attrs ...graph.Attr) (out []sample) {
	for _, how := range []string{"none", "add", "mul", "max", "min"} {
		s := one(func(l *lab) graph.ValueID {
			return l.b.Op(op, in(l), append([]graph.Attr{graph.Str("reduction", how)}, attrs...)...)
		})
		if how != "none" {
			s = s.among(ops.Numbers)
		}
		out = append(out, s)
	}
	return out
}

// attentionSamples crosses layouts, masks, caches and attributes.
func attentionSamples() (out []sample) {
	type as = []graph.Attr
	add := func(want []bool, attrs as, in func(l *lab) ids) {
		out = append(out, sample{make: func(l *lab) ids { return l.b.Ops("Attention", in(l), want, attrs...) }})
	}
	y, present, scores := []bool{true}, []bool{true, true, true}, []bool{true, false, false, true}
	qkv := func(l *lab) ids {
		return ids{l.x(-1, 1, c(2), c(4), l.n(3), c(8)), l.x(-1, 1, c(2), c(2), l.n(5), c(8)), l.x(-1, 1, c(2), c(2), l.n(5), c(6))}
	}
	add(y, nil, qkv)
	add(y, as{graph.Int("q_num_heads", 4), graph.Int("kv_num_heads", 2), graph.Float("scale", 0.3)}, func(l *lab) ids {
		return ids{l.x(-1, 1, l.n(2), l.n(3), c(32)), l.x(-1, 1, l.n(2), l.n(5), c(16)), l.x(-1, 1, l.n(2), l.n(5), c(12))}
	})
	add(y, as{graph.Float("softcap", 2), graph.Elem("softmax_precision", enc.F32)}, func(l *lab) ids {
		return append(qkv(l), l.x(-2, 2, c(4), l.n(3), l.n(5)))
	})
	for mode := range int64(4) {
		add(scores, as{graph.Int("qk_matmul_output_mode", mode), graph.Float("softcap", 2), graph.Int("is_causal", 1)}, func(l *lab) ids {
			return append(qkv(l), l.x(-2, 2, c(2), c(1), l.n(3), l.n(5)))
		})
	}
	for _, a := range []as{nil, {graph.Int("is_causal", 1)}, {graph.Int("left_window_size", 1)}, {graph.Int("left_window_size", 2), graph.Int("right_window_size", 1)}} {
		out = append(out, one(func(l *lab) graph.ValueID { // a short bool mask with an empty row
			mask := l.fixed(enc.Bool, []int64{3, 4}, 0, 0, 0, 0, 1, 0, 1, 0, 0, 1, 1, 1)
			return l.b.Op("Attention", append(qkv(l), mask), a...)
		}).fixed())
		add(y, a, func(l *lab) ids { // one value for all keys
			return append(qkv(l), l.input(enc.Bool, 0, 1, l.n(3), c(1)))
		})
		add(present, a, func(l *lab) ids { // the cache inside
			return append(qkv(l), graph.NoValue, l.x(-1, 1, c(2), c(2), l.n(4), c(8)), l.x(-1, 1, c(2), c(2), l.n(4), c(6)))
		})
		add(y, a, func(l *lab) ids { // the cache outside; one batch element is shorter than its queries
			k := qkv(l)
			k[1], k[2] = l.x(-1, 1, c(2), c(2), c(5), c(8)), l.x(-1, 1, c(2), c(2), c(5), c(6))
			return append(k, graph.NoValue, graph.NoValue, graph.NoValue, l.fixed(enc.I64, []int64{2}, 4, 1))
		})
	}
	return out
}

func quantizeSamples() (out []sample) {
	reals := ops.Types(enc.F32, enc.F16, enc.BF16)
	for _, to := range []enc.Elem{enc.I16, enc.I8, enc.I4, enc.U16, enc.U8, enc.U4} {
		least := 0.0
		if to.IsSigned() {
			least = -3
		}
		out = append(out,
			one(func(l *lab) graph.ValueID {
				return l.b.Op("QuantizeLinear", ids{l.x(-5, 5, l.n(3), c(7)), l.x(0.1, 1), l.input(to, least, 7)})
			}).among(reals),
			one(func(l *lab) graph.ValueID {
				return l.b.Op("QuantizeLinear", ids{l.x(-5, 5, l.n(3), c(7), l.n(2)), l.x(0.1, 1, c(7)), l.input(to, least, 7, c(7))}, graph.Int("axis", 1))
			}).among(reals),
			one(func(l *lab) graph.ValueID {
				return l.b.Op("QuantizeLinear", ids{l.x(-5, 5, l.n(3), c(7)), l.input(enc.F32, 0.1, 1, l.n(3), c(2))}, graph.Int("axis", -1), graph.Int("block_size", 4), graph.Elem("output_dtype", to))
			}).among(reals),
			one(func(l *lab) graph.ValueID {
				return l.b.Op("QuantizeLinear", ids{l.x(-50, 50, c(9), l.n(3)), l.input(enc.F32, 0.1, 10, c(3), l.n(3)), l.input(to, least, 7, c(3), l.n(3))}, graph.Int("axis", 0), graph.Int("block_size", 4))
			}),
		)
	}
	return out
}

func dequantizeSamples() (out []sample) {
	for _, to := range []enc.Elem{enc.F32, enc.F16, enc.BF16} {
		out = append(out,
			one(func(l *lab) graph.ValueID {
				return l.b.Op("DequantizeLinear", ids{l.x(0, 7, l.n(3), c(7)), l.input(to, 0.1, 1), l.x(0, 7)})
			}),
			one(func(l *lab) graph.ValueID {
				return l.b.Op("DequantizeLinear", ids{l.x(0, 7, l.n(3), c(7), l.n(2)), l.input(to, 0.1, 1, c(7)), l.x(0, 7, c(7))}, graph.Int("axis", 1))
			}),
			one(func(l *lab) graph.ValueID {
				return l.b.Op("DequantizeLinear", ids{l.x(0, 7, l.n(3), c(7)), l.input(to, 0.1, 1, l.n(3), c(2))}, graph.Int("axis", -1), graph.Int("block_size", 4), graph.Elem("output_dtype", enc.F32))
			}),
			one(func(l *lab) graph.ValueID {
				return l.b.Op("DequantizeLinear", ids{l.x(0, 7, c(9), l.n(3)), l.input(to, 0.1, 1, c(3), l.n(3)), l.x(0, 7, c(3), l.n(3))}, graph.Int("axis", 0), graph.Int("block_size", 4))
			}),
		)
	}
	return out
}
