package ops

import (
	"github.com/heddle-ml/heddle/conformance/internal/suite"
	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/ops"
)

// block is the operand of most forms: numbers that every type can tell apart
// a little.
func (l *lab) block() graph.ValueID { return l.x(0, 7, l.n(3), c(4), l.n(5)) }

func moves() []operator {
	list := []operator{
		forms("Reshape",
			use("plain", func(l *lab) { l.call(ids{l.block(), l.B.Dims(c(0), l.n(5).MulInt(2), c(2))}) }).in(both),
			use("infer", func(l *lab) { l.call(ids{l.block(), l.B.Ints(0, -1)}) }).in(both),
			use("heads", func(l *lab) { l.call(ids{l.x(0, 7, c(1), l.n(9), c(96)), l.B.Ints(0, 0, 6, 16)}) }).in(both),
			use("split_rows", func(l *lab) { l.call(ids{l.x(0, 7, c(6), c(8)), l.B.Ints(2, 3, -1, 4)}) }),
			use("scalar", func(l *lab) { l.call(ids{l.x(0, 7, c(1), c(1)), l.B.Ints()}) }),
			use("allowzero", func(l *lab) { l.call(ids{l.x(0, 7, c(0), c(4)), l.B.Ints(3, 0)}, aInt("allowzero", 1)) })),
		forms("Flatten",
			use("plain", func(l *lab) { l.call(ids{l.block()}) }),
			use("last", func(l *lab) { l.call(ids{l.block()}, aInt("axis", 2)) }),
			use("first", fixed(func(l *lab) { l.call(ids{l.block()}, aInt("axis", 0)) })),
			use("negative", func(l *lab) { l.call(ids{l.block()}, aInt("axis", -1)) })),
		forms("Transpose",
			use("reverse", func(l *lab) { l.call(ids{l.block()}) }),
			use("p102", func(l *lab) { l.call(ids{l.block()}, aInts("perm", 1, 0, 2)) }),
			use("p021", func(l *lab) { l.call(ids{l.block()}, aInts("perm", 0, 2, 1)) }).in(both),
			use("p120", func(l *lab) { l.call(ids{l.block()}, aInts("perm", 1, 2, 0)) }),
			use("p012", func(l *lab) { l.call(ids{l.block()}, aInts("perm", 0, 1, 2)) }),
			use("heads", func(l *lab) { l.call(ids{l.x(0, 7, c(1), l.n(9), c(6), c(16))}, aInts("perm", 0, 2, 1, 3)) }).in(both),
			use("ones", func(l *lab) { l.call(ids{l.x(0, 7, c(1), l.n(4), c(1), l.n(5))}, aInts("perm", 1, 2, 0, 3)) }),
			use("matrix", func(l *lab) { // tiles of kernels, and beyond
				for _, n := range []int64{7, 8, 9, 16, 33, 65} {
					l.call(ids{l.x(0, 7, c(n), c(n+2))})
				}
			}),
			use("shuffle", func(l *lab) { // pixel shuffle
				l.call(ids{l.x(0, 7, c(2), c(3), c(2), c(2), c(5))}, aInts("perm", 0, 3, 1, 4, 2))
			}).in(vision),
			use("t729_h16", func(l *lab) { l.call(ids{l.x(0, 7, c(1), c(729), c(4), c(18))}, aInts("perm", 0, 2, 1, 3)) }).in(vision).float(),
			use("patches", func(l *lab) { l.call(ids{l.x(0, 7, c(1), c(129), c(196))}, aInts("perm", 0, 2, 1)) }).in(vision).float(),
			use("empty", func(l *lab) { l.call(ids{l.x(0, 7, c(0), c(4))}) })),
		forms("Squeeze",
			use("last", func(l *lab) { l.call(ids{l.x(0, 7, c(1), l.n(3), c(1)), l.B.Ints(-1)}) }),
			use("all", func(l *lab) { l.call(ids{l.x(0, 7, c(1), c(3), c(1))}) }),
			use("both", func(l *lab) { l.call(ids{l.x(0, 7, c(1), l.n(3), c(1)), l.B.Ints(0, 2)}) })),
		forms("Unsqueeze",
			use("plain", func(l *lab) { l.call(ids{l.block(), l.B.Ints(-1, 1)}) }),
			use("scalar", func(l *lab) { l.call(ids{l.x(0, 7), l.B.Ints(0)}) })),
		forms("Expand",
			use("plain", func(l *lab) { l.call(ids{l.x(0, 7, l.n(3), c(1), l.n(5)), l.B.Dims(c(2), c(1), c(4), c(1))}) }),
			use("first", func(l *lab) { l.call(ids{l.x(0, 7, c(1), c(1), c(65)), l.B.Dims(l.n(3), c(1), c(65))}) }).in(both),
			use("number", func(l *lab) { l.call(ids{l.x(0, 7), l.B.Dims(l.n(3), c(17))}) }),
			use("columns", func(l *lab) { l.call(ids{l.x(0, 7, c(5), c(1)), l.B.Ints(5, 33)}) })),
		forms("Tile",
			use("plain", func(l *lab) { l.call(ids{l.x(0, 7, l.n(3), c(1), l.n(5)), l.B.Dims(c(2), c(3), c(2))}) }),
			use("deep", func(l *lab) {
				l.call(ids{l.x(0, 7, c(2), c(3), c(2), c(2), c(3)), l.B.Dims(c(2), c(2), c(2), c(3), c(2))})
			}),
			use("once", func(l *lab) { l.call(ids{l.x(0, 7, c(2), c(3)), l.B.Ints(1, 1)}) }),
			use("never", func(l *lab) { l.call(ids{l.x(0, 7, c(2), c(3)), l.B.Ints(0, 2)}) })),
		forms("Concat",
			use("middle", func(l *lab) {
				v := l.x(0, 7, c(2), l.n(3), c(5))
				l.call(ids{v, l.x(0, 7, c(2), l.n(4), c(5)), v}, aInt("axis", 1))
			}).in(both),
			use("first", func(l *lab) { l.call(ids{l.x(0, 7, l.n(3), c(5)), l.x(0, 7, c(2), c(5))}, aInt("axis", 0)) }).in(both),
			use("last", func(l *lab) { l.call(ids{l.x(0, 7, l.n(3), c(5)), l.x(0, 7, l.n(3), c(1))}, aInt("axis", -1)) }).in(both),
			use("one", func(l *lab) { l.call(ids{l.x(0, 7, l.n(3), c(5))}, aInt("axis", 1)) }),
			use("empty", func(l *lab) {
				l.call(ids{l.x(0, 7, c(3), c(0)), l.x(0, 7, c(3), c(4)), l.x(0, 7, c(3), c(0))}, aInt("axis", 1))
			}),
			use("class_token", func(l *lab) {
				l.call(ids{l.x(0, 7, c(1), c(1), c(1152)), l.x(0, 7, c(1), c(49), c(1152))}, aInt("axis", 1))
			}).in(vision).float()),
		forms("Split",
			use("sizes", func(l *lab) {
				l.calls([]bool{true, true, true}, ids{l.x(0, 7, l.n(3), c(7)), l.B.Ints(1, 4, 2)}, aInt("axis", 1))
			}).in(both),
			use("some", func(l *lab) {
				l.calls([]bool{true, false, true}, ids{l.x(0, 7, l.n(3), c(7)), l.B.Ints(1, 4, 2)}, aInt("axis", -1))
			}),
			use("number", func(l *lab) { l.calls([]bool{true, true, true}, ids{l.x(0, 7, c(7), l.n(3))}, aInt("num_outputs", 3)) }),
			use("number_some", func(l *lab) {
				l.calls([]bool{true, false, true}, ids{l.x(0, 7, c(7), l.n(3))}, aInt("num_outputs", 3))
			}),
			use("even", func(l *lab) {
				l.calls([]bool{true, true}, ids{l.x(0, 7, c(3), c(8), c(5))}, aInt("axis", 1), aInt("num_outputs", 2))
			}),
			use("zero", func(l *lab) { l.calls([]bool{true, true}, ids{l.x(0, 7, c(3), c(4)), l.B.Ints(0, 4)}, aInt("axis", 1)) }),
			use("qkv", func(l *lab) {
				l.calls([]bool{true, true, true}, ids{l.x(0, 7, c(1), c(9), c(192)), l.B.Ints(64, 64, 64)}, aInt("axis", 2))
			}).in(vision).float()),
		forms("Slice",
			use("steps", func(l *lab) {
				l.call(ids{l.x(0, 7, l.n(3), c(9), c(8)), l.B.Ints(1, -1), l.B.Ints(99, -99), l.B.Ints(1, -1), l.B.Ints(3, -2)})
			}),
			use("corner", func(l *lab) { l.call(ids{l.x(0, 7, c(9), c(8)), l.B.Ints(-4, 2), l.B.Ints(-1, 5)}) }),
			use("tokens", func(l *lab) { // without the class token
				l.call(ids{l.x(0, 7, c(1), c(10), c(65)), l.B.Ints(1), l.B.Ints(10), l.B.Ints(1)})
			}).in(vision),
			use("last", func(l *lab) { l.call(ids{l.x(0, 7, l.n(3), c(64)), l.B.Ints(32), l.B.Ints(64), l.B.Ints(-1)}) }).in(both),
			use("int32", func(l *lab) {
				at := func(ns ...float64) graph.ValueID { return l.Const(enc.I32, suite.Values(ns...), int64(len(ns))) }
				l.call(ids{l.x(0, 7, c(9), c(8)), at(1, 0), at(8, 7), at(0, 1), at(2, 3)})
			}),
			use("backwards", func(l *lab) { l.call(ids{l.x(0, 7, c(9)), l.B.Ints(-1), l.B.Ints(-100), l.B.Ints(0), l.B.Ints(-1)}) }),
			use("nothing", func(l *lab) { l.call(ids{l.x(0, 7, c(9), c(4)), l.B.Ints(5), l.B.Ints(5)}) })),
		forms("Pad", pads()...),
		forms("DepthToSpace",
			use("dcr", func(l *lab) { l.call(ids{l.x(0, 7, l.n(2), c(8), c(3), c(5))}, aInt("blocksize", 2)) }),
			use("crd", func(l *lab) {
				l.call(ids{l.x(0, 7, l.n(2), c(18), c(3), c(5))}, aInt("blocksize", 3), aStr("mode", "CRD"))
			})),
		forms("SpaceToDepth",
			use("plain", func(l *lab) { l.call(ids{l.x(0, 7, l.n(2), c(3), c(4), c(6))}, aInt("blocksize", 2)) })),
		forms("Trilu",
			use("upper", func(l *lab) { l.call(ids{l.x(0, 7, l.n(2), c(3), c(5))}) }),
			use("lower", func(l *lab) { l.call(ids{l.x(0, 7, l.n(2), c(3), c(5))}, aInt("upper", 0)) }),
			use("shifted", func(l *lab) { l.call(ids{l.x(0, 7, c(4), c(4)), l.B.Const("", graph.I64(2).Scalar())}) }),
			use("below", func(l *lab) {
				l.call(ids{l.x(0, 7, c(4), c(4)), l.B.Const("", graph.I64(-1).Scalar())}, aInt("upper", 0))
			}),
			use("beyond", func(l *lab) { l.call(ids{l.x(0, 7, c(4), c(4)), l.B.Const("", graph.I64(9).Scalar())}) })),
	}
	for i, o := range list {
		list[i] = o.mostly(widths, o.forms[0].name, "p021", "reflect", "value")
	}
	return list
}

func pads() (out []form) {
	for _, mode := range []string{"constant", "edge", "reflect", "wrap"} {
		out = append(out,
			use(mode, func(l *lab) { l.call(ids{l.x(1, 7, c(4), c(5)), l.B.Ints(1, 2, 2, 1)}, aStr("mode", mode)) }),
			use(mode+"_cut", func(l *lab) { l.call(ids{l.x(1, 7, c(6), c(5)), l.B.Ints(-1, 2, -2, -1)}, aStr("mode", mode)) }),
			use(mode+"_deep", func(l *lab) {
				l.call(ids{l.x(1, 7, c(2), c(4), c(3), c(5)), l.B.Ints(0, 1, 2, 3, 0, 2, 0, 4)}, aStr("mode", mode))
			}))
	}
	for i := range out {
		if out[i].name == "constant" {
			out[i].profiles = both
		}
	}
	return append(out,
		use("value", func(l *lab) { l.call(ids{l.x(0, 7, l.n(3), c(4), c(5)), l.B.Ints(-1, 2), l.scalar(1), l.B.Ints(-1)}) }),
		use("axes", func(l *lab) { l.call(ids{l.x(0, 7, l.n(3), c(4), c(5)), l.B.Ints(1, 0, 0, 2), none, l.B.Ints(2, 0)}) }),
		use("axes32", func(l *lab) {
			l.call(ids{l.x(0, 7, c(3), c(4)), l.B.Ints(1, 2), none, l.Const(enc.I32, suite.Values(-1), 1)})
		}),
		use("far", func(l *lab) { l.call(ids{l.x(0, 7, c(3)), l.B.Ints(7, 8)}, aStr("mode", "wrap")) }),
		use("nothing", func(l *lab) { l.call(ids{l.x(0, 7, c(3), c(4)), l.B.Ints(0, 0, 0, 0)}) }),
		use("infinite", func(l *lab) { l.call(ids{l.x(0, 7, c(3), c(4)), l.B.Ints(1, 0, 0, 1), l.scalar(-inf)}) }).of(ops.Floats),
		use("one_reflect", func(l *lab) { l.call(ids{l.x(1, 7, c(1), c(4)), l.B.Ints(0, 1, 0, 2)}, aStr("mode", "reflect")) }),
		use("reflect_far", func(l *lab) { l.call(ids{l.x(1, 7, c(5)), l.B.Ints(4, 4)}, aStr("mode", "reflect")) }),
		use("scalar", func(l *lab) { l.call(ids{l.x(1, 7), l.B.Ints()}) }),
		use("scalar_edge", func(l *lab) { l.call(ids{l.x(1, 7), l.B.Ints()}, aStr("mode", "edge")) }),
		use("patches", func(l *lab) { l.call(ids{l.x(0, 7, c(1), c(7), c(7), c(33)), l.B.Ints(0, 0, 0, 0, 0, 1, 1, 0)}) }).in(vision).float(),
	)
}
