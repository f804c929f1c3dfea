package ops

import (
	"github.com/heddle-ml/heddle/conformance/internal/suite"
	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/ops"
)

func softmax(name string, p suite.Profile) operator {
	return forms(name,
		use("last", func(l *lab) { l.call(ids{l.x(-9, 9, l.n(3), c(4), l.n(17))}) }).in(p),
		use("middle", func(l *lab) { l.call(ids{l.x(-9, 9, l.n(3), c(4), l.n(17))}, aInt("axis", 1)) }),
		use("first", func(l *lab) { l.call(ids{l.x(-9, 9, l.n(3), c(4))}, aInt("axis", 0)) }),
		use("negative", func(l *lab) { l.call(ids{l.x(-9, 9, l.n(3), c(5), c(2))}, aInt("axis", -2)) }),
		use("tails", func(l *lab) {
			for _, n := range tails {
				l.call(ids{l.x(-9, 9, c(2), c(n))})
			}
		}).in(p).undivided(),
		use("k729", func(l *lab) { l.call(ids{l.x(-9, 9, c(16), c(3), c(729))}) }).in(p).float(),
		use("k4097", func(l *lab) { l.call(ids{l.x(-20, 20, c(3), c(4097))}) }).in(p).float(),
		use("empty", func(l *lab) { l.call(ids{l.x(-9, 9, c(0), c(4))}) }).undivided())
}

func epsilon(f float32) graph.Attr { return aFloat("epsilon", f) }

func norms() []operator {
	soft := softmax("Softmax", both)
	soft.forms = append(soft.forms,
		use("masked", func(l *lab) { // some of a row is out of sight
			l.call(ids{l.list(l.e, []int64{3, 5}, 1, -inf, 2, -inf, 3, -inf, -inf, -inf, 0, -inf, 4, 4, 4, 4, 4)})
		}).undivided(),
		use("large", func(l *lab) { l.call(ids{l.x(1000, 1100, c(3), c(33))}) }),
		use("far", func(l *lab) { l.call(ids{l.vector(-200, 0, 200, 100, 199)}) }))
	norm := func(width int64, dims ...dim.Dim) func(l *lab) {
		return func(l *lab) {
			l.call(ids{l.x(-2, 3, append(dims, c(width))...), l.x(0, 2, c(width)), l.x(-1, 1, c(width))}, epsilon(1e-6))
		}
	}
	rms := func(width int64, dims ...dim.Dim) func(l *lab) {
		return func(l *lab) { l.call(ids{l.x(-2, 3, append(dims, c(width))...), l.x(0, 2, c(width))}, epsilon(1e-5)) }
	}
	hard := softmax("Hardmax", beyond)
	hard.forms = append(hard.forms, use("ties", func(l *lab) { l.call(ids{l.list(l.e, []int64{2, 4}, 1, 3, 3, 2, 0, 0, 0, 0)}) }))
	lp := softmax("LpNormalization", beyond)
	lp.forms = append(lp.forms, use("p1", func(l *lab) { l.call(ids{l.x(-9, 9, l.n(3), c(17))}, aInt("p", 1)) }),
		use("p1_first", func(l *lab) { l.call(ids{l.x(-9, 9, l.n(3), c(17))}, aInt("p", 1), aInt("axis", 0)) }))
	channels := func(op string, attrs ...graph.Attr) operator {
		return forms(op,
			use("plain", func(l *lab) {
				l.call(ids{l.x(-2, 3, l.n(2), c(6), c(4), c(3)), l.x(0, 2, c(6)), l.x(-1, 1, c(6))}, attrs...)
			}),
			use("line", func(l *lab) {
				l.call(ids{l.x(-2, 3, l.n(2), c(6), c(65)), l.x(0, 2, c(6)), l.x(-1, 1, c(6))}, append(attrs, epsilon(0.1))...)
			}),
			use("grid", func(l *lab) {
				l.call(ids{l.x(-2, 3, c(1), c(12), c(17), c(19)), l.x(0, 2, c(12)), l.x(-1, 1, c(12))}, attrs...)
			}).float())
	}
	return []operator{
		soft, softmax("LogSoftmax", beyond), hard, lp,
		forms("LayerNormalization",
			use("plain", func(l *lab) {
				l.call(ids{l.x(-2, 3, l.n(3), c(5), c(33)), l.x(0, 2, c(33)), l.x(-1, 1, c(33))}, epsilon(1e-3))
			}).in(vision),
			use("no_bias", func(l *lab) { l.call(ids{l.x(-2, 3, l.n(3), c(33)), l.x(0, 2, c(33))}) }),
			use("axis1", func(l *lab) { // with mean and inverse deviation
				l.calls([]bool{true, true, true}, ids{l.x(-2, 3, l.n(3), c(5), c(4)), l.x(0, 2, c(4))}, aInt("axis", 1))
			}),
			use("axis1_bias", func(l *lab) {
				l.call(ids{l.x(-2, 3, l.n(3), c(5), c(4)), l.x(0, 2, c(5), c(4)), l.x(-1, 1, c(4))}, aInt("axis", -2))
			}),
			use("axis0", func(l *lab) { l.call(ids{l.x(-2, 3, c(5), c(4)), l.x(0, 2, c(5), c(1)), l.x(-1, 1)}, aInt("axis", 0)) }),
			use("deviation", func(l *lab) {
				l.calls([]bool{true, false, true}, ids{l.x(-2, 3, l.n(3), c(17)), l.x(0, 2, c(17)), l.x(-1, 1, c(17))})
			}),
			use("tails", func(l *lab) {
				for _, n := range tails[1:] {
					l.call(ids{l.x(-2, 3, c(2), c(n)), l.x(0, 2, c(n)), l.x(-1, 1, c(n))}, epsilon(1e-3))
				}
			}).in(vision).undivided(),
			use("shifted", func(l *lab) { // a mean that is large beside the deviation
				l.call(ids{l.x(3, 5, c(5), c(129)), l.x(0, 2, c(129)), l.x(-1, 1, c(129))})
			}).float().undivided(),
			use("small", func(l *lab) { // epsilon matters
				l.call(ids{l.x(-1e-3, 1e-3, c(5), c(65)), l.x(0, 2, c(65)), l.x(-1, 1, c(65))}, epsilon(1e-6))
			}).of(ops.Types(enc.F32, enc.F64)),
			use("stash", func(l *lab) { l.call(ids{l.x(-2, 3, c(3), c(17)), l.x(0, 2, c(17))}, aElem("stash_type", enc.F32)) }),
			use("h1152", norm(1152, c(1), c(9))).in(vision).float(), use("t729_h36", norm(36, c(1), c(729))).in(vision).float(), use("h4304", norm(4304, c(3))).in(vision).float(),
			use("empty", norm(5, c(0))).undivided()),
		forms("RMSNormalization",
			use("plain", func(l *lab) { l.call(ids{l.x(-2, 3, l.n(3), c(33)), l.x(0, 2, c(33))}) }).in(both),
			use("axis1", func(l *lab) {
				l.call(ids{l.x(-2, 3, l.n(3), c(5), c(4)), l.of(enc.F32, 0, 2, c(1))}, aInt("axis", 1), epsilon(0.1))
			}),
			use("axis1_scale", func(l *lab) { l.call(ids{l.x(-2, 3, l.n(3), c(5), c(4)), l.x(0, 2, c(5), c(4))}, aInt("axis", -2)) }),
			use("half_scale", func(l *lab) { l.call(ids{l.x(-2, 3, l.n(3), c(4)), l.of(enc.F16, 0, 2, c(4))}) }),
			use("bf16_scale", func(l *lab) {
				l.call(ids{l.x(-2, 3, l.n(3), c(4)), l.of(enc.BF16, 0, 2, c(4))}, aElem("stash_type", enc.F32))
			}),
			use("double_scale", func(l *lab) { l.call(ids{l.x(-2, 3, l.n(3), c(4)), l.of(enc.F64, 0, 2, c(4))}) }),
			use("tails", func(l *lab) {
				for _, n := range tails[1:] {
					l.call(ids{l.x(-2, 3, c(2), c(n)), l.x(0, 2, c(n))}, epsilon(1e-3))
				}
			}).in(both).undivided(),
			use("small", func(l *lab) { l.call(ids{l.x(-1e-3, 1e-3, c(5), c(65)), l.x(0, 2, c(65))}, epsilon(1e-6)) }).of(ops.Types(enc.F32, enc.F64)),
			use("h2304", rms(2304, c(1), c(5))).in(text).float(), use("heads", rms(128, c(1), c(5), c(8))).in(text).float(),
			use("empty", rms(5, c(0))).undivided()),
		channels("GroupNormalization", aInt("num_groups", 3), aElem("stash_type", enc.F32)),
		channels("InstanceNormalization"),
		forms("LRN",
			use("plain", func(l *lab) {
				l.call(ids{l.x(-2, 2, l.n(2), c(5), l.n(3), c(7))}, aInt("size", 3), aFloat("alpha", 0.5))
			}),
			use("attributes", func(l *lab) {
				l.call(ids{l.x(-2, 2, l.n(2), c(9), c(11))}, aInt("size", 4), aFloat("alpha", 0.5), aFloat("beta", 0.5), aFloat("bias", 2))
			})),
		forms("MeanVarianceNormalization",
			use("plain", func(l *lab) { l.call(ids{l.x(-3, 3, l.n(3), c(4), l.n(5), c(2))}) }),
			use("axes", func(l *lab) { l.call(ids{l.x(-3, 3, l.n(3), c(4), l.n(5))}, aInts("axes", 1, -1)) })),
	}
}
