package ops

import (
	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/ops"
)

func indexed() []operator {
	list := []operator{
		forms("Gather",
			use("rows", func(l *lab) { l.call(ids{l.x(0, 7, c(9), l.n(5)), l.of(enc.I64, 0, 8, l.n(4), c(2))}) }).in(both),
			use("negative", func(l *lab) { l.call(ids{l.x(0, 7, c(9), l.n(5)), l.of(enc.I64, -9, 8, l.n(4), c(2))}) }),
			use("middle", func(l *lab) {
				l.call(ids{l.x(0, 7, l.n(3), c(9), l.n(5)), l.of(enc.I32, -9, 8, l.n(4))}, aInt("axis", 1))
			}),
			use("tokens", func(l *lab) { l.call(ids{l.x(0, 7, c(1), c(9), c(33)), l.of(enc.I64, 0, 8, l.n(4))}, aInt("axis", 1)) }).in(both),
			use("last", func(l *lab) { l.call(ids{l.x(0, 7, l.n(3), c(9)), l.of(enc.I64, -9, 8, c(2), c(2))}, aInt("axis", -1)) }),
			use("number", func(l *lab) { l.call(ids{l.x(0, 7, c(9)), l.of(enc.I64, -9, 8)}) }),
			use("one_row", func(l *lab) { l.call(ids{l.x(0, 7, c(9), c(4)), l.of(enc.I64, -9, 8)}) }),
			use("constant", func(l *lab) { l.call(ids{l.weight(0, 7, 9, 5), l.of(enc.I64, 0, 8, l.n(4))}) }).in(both),
			use("none", func(l *lab) { l.call(ids{l.x(0, 7, c(9), c(4)), l.of(enc.I64, 0, 8, c(0))}) })),
		forms("GatherElements",
			use("middle", func(l *lab) {
				l.call(ids{l.x(0, 7, c(3), c(9), c(5)), l.of(enc.I32, -9, 8, c(2), c(4), c(5))}, aInt("axis", 1))
			}),
			use("first", func(l *lab) { l.call(ids{l.x(0, 7, c(9), c(5)), l.of(enc.I64, -9, 8, l.n(4), c(3))}) }),
			use("last", func(l *lab) {
				l.call(ids{l.x(0, 7, c(3), c(9)), l.of(enc.I64, -9, 8, c(3), l.n(12))}, aInt("axis", -1))
			})),
		forms("GatherND",
			use("numbers", func(l *lab) { l.call(ids{l.x(0, 7, c(3), c(4)), l.of(enc.I64, -3, 2, l.n(4), c(2))}) }),
			use("rows", func(l *lab) { l.call(ids{l.x(0, 7, c(3), c(4), l.n(5)), l.of(enc.I64, -3, 2, l.n(4), c(2))}) }),
			use("batch", func(l *lab) {
				l.call(ids{l.x(0, 7, l.n(3), c(4), c(5)), l.of(enc.I64, -4, 3, l.n(3), c(1))}, aInt("batch_dims", 1))
			}),
			use("batches", func(l *lab) {
				l.call(ids{l.x(0, 7, c(2), c(3), c(4), c(5)), l.of(enc.I64, -4, 3, c(2), c(3), c(2), c(2))}, aInt("batch_dims", 2))
			})),
		forms("ScatterElements", scatters(func(l *lab) ids {
			return ids{l.x(0, 7, c(4), c(9)), l.list(enc.I32, []int64{3, 4}, 0, 3, -1, 4, 8, 7, 6, 5, 1, 2, 3, 0), l.x(0, 7, c(3), c(4))}
		}, aInt("axis", 1),
			use("first", func(l *lab) {
				l.call(ids{l.x(0, 7, c(9), c(3)), l.list(enc.I64, []int64{2, 3}, 0, 3, -1, 8, 7, 6), l.x(0, 7, c(2), c(3))})
			}),
			use("again", func(l *lab) { // twice at one place
				l.sums()
				l.call(ids{l.x(0, 7, c(2), c(5)), l.list(enc.I64, []int64{2, 3}, 1, 1, 2, 0, 4, 4), l.x(0, 3, c(2), c(3))}, aInt("axis", -1), aStr("reduction", "add"))
			}).of(ops.Numbers))...),
		forms("ScatterND", scatters(func(l *lab) ids {
			return ids{l.x(0, 7, c(4), c(9)), l.list(enc.I64, []int64{3, 1}, 2, -1, 0), l.x(0, 7, c(3), c(9))}
		}, graph.Attr{},
			use("numbers", func(l *lab) {
				l.call(ids{l.x(0, 7, c(4), c(9)), l.list(enc.I64, []int64{3, 2}, 2, -1, 0, 3, -4, 4), l.x(0, 7, c(3))})
			}),
			use("again", func(l *lab) {
				l.sums()
				l.call(ids{l.x(0, 7, c(4), c(3)), l.list(enc.I64, []int64{2, 2, 1}, 2, 2, 0, -2), l.x(0, 3, c(2), c(2), c(3))}, aStr("reduction", "add"))
			}).of(ops.Numbers))...),
		forms("TensorScatter",
			use("linear", func(l *lab) {
				l.call(ids{l.x(0, 7, c(2), l.n(3), c(9), c(4)), l.x(0, 7, c(2), l.n(3), c(2), c(4)), l.list(enc.I64, []int64{2}, 7, 1)})
			}),
			use("circular", func(l *lab) {
				l.call(ids{l.x(0, 7, c(2), c(9), c(4)), l.x(0, 7, c(2), c(3), c(4)), l.list(enc.I64, []int64{2}, 8, 11)}, aStr("mode", "circular"))
			}),
			use("start", func(l *lab) { l.call(ids{l.x(0, 7, c(2), c(9), c(4)), l.x(0, 7, c(2), l.n(3), c(4))}) }),
			use("axis1", func(l *lab) {
				l.call(ids{l.x(0, 7, c(2), c(9), c(3), c(4)), l.x(0, 7, c(2), l.n(3), c(3), c(4)), l.list(enc.I64, []int64{2}, 6, 0)}, aInt("axis", 1))
			}),
			use("axis2", func(l *lab) {
				l.call(ids{l.x(0, 7, c(1), c(2), c(9), c(4)), l.x(0, 7, c(1), c(2), l.n(3), c(4)), l.list(enc.I64, []int64{1}, 5)}, aInt("axis", 2))
			}),
			use("full", func(l *lab) {
				l.call(ids{l.x(0, 7, c(1), c(5), c(4)), l.x(0, 7, c(1), c(5), c(4)), l.list(enc.I64, []int64{1}, 0)})
			}),
			use("nothing", func(l *lab) {
				l.call(ids{l.x(0, 7, c(1), c(5), c(4)), l.x(0, 7, c(1), c(0), c(4)), l.list(enc.I64, []int64{1}, 5)})
			})),
		forms("OneHot",
			use("axis1", func(l *lab) {
				l.call(ids{l.x(0, 6, l.n(3), c(2)), l.B.Ints(5), l.of(enc.F32, -1, 1, c(2))}, aInt("axis", 1))
			}),
			use("last", func(l *lab) { l.call(ids{l.x(0, 4, l.n(3), c(2)), l.B.Ints(5), l.of(enc.I64, -5, 5, c(2))}) }),
			use("first", func(l *lab) {
				l.call(ids{l.x(0, 4, l.n(3)), l.B.Ints(5), l.list(enc.Bool, []int64{2}, 0, 1)}, aInt("axis", 0))
			}),
			use("negative", func(l *lab) { l.call(ids{l.x(-5, 4, l.n(9)), l.B.Ints(5), l.of(enc.F16, -1, 1, c(2))}) }).of(ops.Signed|ops.Types(enc.F32))),
	}
	for i, o := range list {
		list[i] = o.mostly(widths, o.forms[0].name, "add", "mul", "max", "min", "linear")
	}
	return list
}

// sums tells that numbers are added where the operator mostly moves them.
func (l *lab) sums() {
	if l.e.IsFloat() {
		l.Judge(ops.Rounded)
	}
}

func scatters(in func(l *lab) ids, attr graph.Attr, more ...form) (out []form) {
	for _, how := range []string{"none", "add", "mul", "max", "min"} {
		f := use(how, func(l *lab) {
			attrs := []graph.Attr{aStr("reduction", how)}
			if attr.Name != "" {
				attrs = append(attrs, attr)
			}
			l.call(in(l), attrs...)
		})
		if how != "none" {
			f = f.of(ops.Numbers)
		}
		out = append(out, f)
	}
	return append(out, more...)
}

// reduction tries a reduction over all kinds of axes.
func reduction(name string, lo, hi float64) operator {
	over := func(name string, axes []int64, attrs ...graph.Attr) form {
		return use(name, func(l *lab) {
			in := ids{l.x(lo, hi, l.n(3), c(2), l.n(7), c(5))}
			if axes != nil {
				in = append(in, l.B.Ints(axes...))
			}
			l.call(in, attrs...)
		})
	}
	wide := func(name string, axes []int64, shape ...dim.Dim) form {
		return use(name, func(l *lab) { l.call(ids{l.x(lo, hi, shape...), l.B.Ints(axes...)}) }).float()
	}
	flat := aInt("keepdims", 0)
	fs := []form{
		over("all", nil), over("all_flat", nil, flat), over("last", []int64{-1}), over("axis1_flat", []int64{1}, flat), over("first", []int64{0, 1}),
		over("ends_flat", []int64{-1, 2}, flat), over("apart_flat", []int64{0, 2}, flat), over("apart", []int64{1, 3}), over("keep", []int64{2}, aInt("keepdims", 1)),
		over("noop", nil, aInt("noop_with_empty_axes", 1)),
		use("scalar", func(l *lab) { l.call(ids{l.x(lo, hi)}) }),
		use("tails", func(l *lab) {
			for _, n := range tails {
				l.call(ids{l.x(lo, hi, c(2), c(n)), l.B.Ints(1)})
			}
		}).undivided(),
	}
	if lo > 0.5 && hi < 1.5 {
		return operator{name, fs} // products of many numbers leave every range
	}
	return operator{name, append(fs,
		wide("rows_h1152", []int64{-1}, c(9), c(1152)), wide("columns_h65", []int64{0}, c(300), c(65)), wide("long", []int64{0}, c(40009)), wide("deep", []int64{1}, c(3), c(129), c(33)))}
}

func reductions() []operator {
	list := []operator{
		reduction("ReduceSum", -3, 3), reduction("ReduceMean", -9, 9), reduction("ReduceMax", -9, 9), reduction("ReduceMin", -9, 9),
		reduction("ReduceProd", 0.9, 1.1), reduction("ReduceL1", -3, 3), reduction("ReduceL2", -3, 3), reduction("ReduceSumSquare", -3, 3),
		reduction("ReduceLogSum", 1, 3), reduction("ReduceLogSumExp", -3, 3),
	}
	for i := range list {
		switch o := &list[i]; o.name {
		case "ReduceMax", "ReduceMin":
			o.forms = append(o.forms,
				use("special", func(l *lab) { l.call(ids{l.special(-9, 9, c(5), c(67)), l.B.Ints(0)}) }).of(ops.Floats),
				use("infinite", func(l *lab) {
					l.call(ids{l.list(l.e, []int64{3, 4}, -inf, -inf, -inf, -inf, inf, 1, -inf, 2, 3, -1, -2, inf), l.B.Ints(1)})
				}).of(ops.Floats),
				use("signs", func(l *lab) { l.call(ids{l.x(-99, -1, c(5), c(33)), l.B.Ints(1)}) }).of(ops.Floats|ops.Signed))
		case "ReduceSum":
			o.forms = append(o.forms, use("nothing", func(l *lab) { l.call(ids{l.x(0, 1, c(3), c(0)), l.B.Ints(1)}) }))
		case "ReduceProd":
			o.forms = append(o.forms, use("integers", func(l *lab) { l.call(ids{l.x(1, 3, c(5), c(9)), l.B.Ints(1)}) }),
				use("nothing", func(l *lab) { l.call(ids{l.x(0, 1, c(3), c(0)), l.B.Ints(1)}) }))
		case "ReduceLogSumExp":
			o.forms = append(o.forms, use("infinite", func(l *lab) {
				l.call(ids{l.list(l.e, []int64{4, 3}, -inf, -inf, -inf, -inf, 1, 2, inf, 1, 2, nan, 1, 2), l.B.Ints(1)})
			}).of(ops.Floats).undivided(), use("spread", func(l *lab) { // more than e can bridge
				l.call(ids{l.list(l.e, []int64{3, 3}, -800, 100, 800, 800, 100, -800, 100, 800, -800), l.B.Ints(1)})
			}).of(ops.Floats).undivided())
			o.forms = append(o.forms, use("large", func(l *lab) { // no intermediate overflow
				l.call(ids{l.x(80, 200, c(5), c(33)), l.B.Ints(1)})
			}).of(ops.Types(enc.F64, enc.F32, enc.BF16)))
		}
	}
	args := func(name string) operator {
		return forms(name,
			use("first", func(l *lab) { l.call(ids{l.x(0, 99, l.n(7), c(3))}) }),
			use("middle", func(l *lab) { l.call(ids{l.x(0, 99, l.n(3), c(7), c(5))}, aInt("axis", 1)) }),
			use("last_flat", func(l *lab) { l.call(ids{l.x(-9, 9, l.n(3), c(33))}, aInt("axis", -1), aInt("keepdims", 0)) }),
			use("ties_first", func(l *lab) { l.call(ids{l.x(0, 2, l.n(5), c(17))}, aInt("axis", 1), aInt("select_last_index", 0)) }).of(ops.Integers),
			use("ties_last", func(l *lab) { l.call(ids{l.x(0, 2, l.n(5), c(17))}, aInt("axis", 1), aInt("select_last_index", 1)) }).of(ops.Integers),
			use("equal", func(l *lab) { l.call(ids{l.x(3, 3, c(2), c(9))}, aInt("axis", 1), aInt("select_last_index", 1)) }),
			use("wide", func(l *lab) { l.call(ids{l.x(-1, 1, c(3), c(4801))}, aInt("axis", 1), aInt("keepdims", 0)) }).float()).mostly(ops.Types(enc.F32, enc.F16, enc.I32), "middle", "last_flat", "ties_first", "ties_last")
	}
	for i, o := range list {
		list[i] = o.mostly(ops.Types(enc.F32, enc.F16, enc.I32), "all", "last", "axis1_flat", "first", "apart", "signs", "integers")
	}
	axis := func(l *lab, n int64) graph.ValueID { return l.B.Const("", graph.I64(n).Scalar()) }
	two := []bool{true, true}
	return append(list, args("ArgMax"), args("ArgMin"),
		forms("CumSum",
			use("middle", func(l *lab) { l.call(ids{l.x(0, 3, l.n(3), c(7), c(5)), axis(l, 1)}) }),
			use("first", func(l *lab) { l.call(ids{l.x(0, 3, l.n(7), c(5)), axis(l, 0)}) }),
			use("exclusive", func(l *lab) { l.call(ids{l.x(0, 3, l.n(3), c(7)), axis(l, -1)}, aInt("exclusive", 1)) }),
			use("reverse", func(l *lab) { l.call(ids{l.x(0, 3, l.n(3), c(7)), axis(l, -1)}, aInt("reverse", 1)) }),
			use("both", func(l *lab) {
				l.call(ids{l.x(0, 3, l.n(3), c(7)), axis(l, -1)}, aInt("exclusive", 1), aInt("reverse", 1))
			}),
			use("axis32", func(l *lab) {
				l.call(ids{l.x(0, 3, c(3), c(7)), l.B.Const("", &graph.Tensor{Elem: enc.I32, Shape: []int64{}, Data: []byte{1, 0, 0, 0}})})
			}),
			use("long", func(l *lab) { l.call(ids{l.x(0, 1, c(2), c(4801)), axis(l, 1)}) }).float()),
		forms("TopK",
			use("last", func(l *lab) { l.calls(two, ids{l.x(0, 99, l.n(3), c(11)), l.B.Ints(4)}) }),
			use("least", func(l *lab) {
				l.calls(two, ids{l.x(0, 99, c(11), l.n(3)), l.B.Ints(4)}, aInt("axis", 0), aInt("largest", 0))
			}),
			use("middle", func(l *lab) { l.calls(two, ids{l.x(0, 99, c(2), c(9), c(3)), l.B.Ints(9)}, aInt("axis", -2)) }),
			use("ties", func(l *lab) { l.calls(two, ids{l.x(0, 2, l.n(3), c(17)), l.B.Ints(6)}) }),
			use("values", func(l *lab) {
				l.calls([]bool{true, false}, ids{l.x(0, 99, c(5), c(33)), l.B.Ints(5)}, aInt("sorted", 1))
			}),
			use("none", func(l *lab) { l.calls(two, ids{l.x(0, 9, c(2), c(3)), l.B.Ints(0)}) }),
			use("wide", func(l *lab) { l.calls(two, ids{l.x(-1, 1, c(2), c(4801)), l.B.Ints(50)}) }).float()))
}
