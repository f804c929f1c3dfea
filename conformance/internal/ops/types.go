package ops

import (
	"github.com/heddle-ml/heddle/conformance/internal/suite"
	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/ops"
)

func types() []operator {
	var casts []form
	for _, to := range enc.Elems() {
		lo := -7.0
		if !to.IsSigned() {
			lo = 0
		}
		f := use("to_"+to.String(), func(l *lab) { l.call(ids{l.x(lo, 7, l.n(3), c(65))}, aElem("to", to)) })
		if to == enc.F32 || to == enc.I64 {
			f.profiles = both
		}
		casts = append(casts, f,
			use("wide_to_"+to.String(), func(l *lab) { // numbers that integers wrap
				l.call(ids{l.x(-60000, 60000, l.n(3), c(67))}, aElem("to", to))
			}).of(ops.Types(enc.I64, enc.I32)),
			use("code_to_"+to.String(), func(l *lab) { l.call(ids{l.x(0, 15, c(17))}, aElem("to", to)) }).of(ops.Types(enc.U4, enc.U8, enc.U16, enc.U32, enc.U64)))
		if to.IsFloat() {
			casts = append(casts,
				use("special_to_"+to.String(), func(l *lab) { l.call(ids{l.special(-9, 9, c(401))}, aElem("to", to)) }).of(ops.Floats),
				use("ties_to_"+to.String(), func(l *lab) { // halfway between two numbers of a narrower type
					l.call(ids{l.vector(1+0x1p-11, 1+3*0x1p-11, 1+0x1p-8, 1+3*0x1p-8, -1-0x1p-8, 65519, 65520, 2049, 2051, 0x1p-25, 0x1.8p-25, 0x1p-24)}, aElem("to", to))
				}).of(ops.Types(enc.F64, enc.F32)),
				use("large_to_"+to.String(), func(l *lab) { l.call(ids{l.x(0, 2e9, c(67))}, aElem("to", to)) }).of(ops.Types(enc.I64, enc.U64, enc.I32, enc.U32)))
		}
		if to == enc.U64 {
			casts = append(casts, use("large_to_u64", func(l *lab) { // beyond the signed numbers
				l.call(ids{l.vector(0x1p63, 0x1.8p63, 0x1p62, 0x1.fp63, 0x1p40)}, aElem("to", to))
			}).of(ops.Types(enc.F64, enc.F32, enc.BF16)))
		}
		if to == enc.Bool {
			casts = append(casts, use("edges_to_bool", func(l *lab) { l.call(ids{l.vector(0, minus0, 0.25, -0.25, 1, -1, inf, nan)}, aElem("to", to)) }).of(ops.Floats))
		}
		if to.IsInt() && to.IsSigned() {
			casts = append(casts, use("truncated_to_"+to.String(), func(l *lab) { // towards zero
				l.call(ids{l.vector(-2.75, -1.5, -0.99, -0.5, minus0, 0.5, 0.99, 1.5, 2.75, 6.99)}, aElem("to", to))
			}).of(ops.Floats))
		}
	}
	casts = append(casts,
		use("ids", func(l *lab) { l.call(ids{l.x(0, 122752, c(1), l.n(9))}, aElem("to", enc.F32)) }).of(ops.Types(enc.I64)).in(both),
		use("many", func(l *lab) { l.call(ids{l.x(-9, 9, c(40009))}, aElem("to", enc.F16)) }).float(),
		use("many_up", func(l *lab) { l.call(ids{l.x(-9, 9, c(40009))}, aElem("to", enc.F32)) }).of(ops.Types(enc.F16, enc.BF16)),
		use("saturate", func(l *lab) {
			l.call(ids{l.x(-9, 9, c(17))}, aElem("to", enc.F16), aInt("saturate", 0), aStr("round_mode", "nearest"))
		}).float(),
		use("empty", func(l *lab) { l.call(ids{l.x(-9, 9, c(0))}, aElem("to", enc.F16)) }).float())

	var filled []form
	for _, e := range enc.Elems() {
		f := use("of_"+e.String(), func(l *lab) {
			v, err := suite.Values(1).Tensor(l.Rand, e, []int64{1})
			if err != nil {
				l.B.Fail(err)
				return
			}
			t, err := v.Const()
			if err != nil {
				l.B.Fail(err)
				return
			}
			l.call(ids{l.B.Dims(l.n(3), c(5))}, graph.TensorAttr("value", &graph.Tensor{Elem: e, Shape: []int64{1}, Data: t.Data}))
		})
		f.whole = e.Bits() == 4 // nothing simpler fills nibbles
		filled = append(filled, f)
	}
	return []operator{
		forms("Cast", casts...),
		forms("CastLike",
			use("bf16", func(l *lab) { l.call(ids{l.x(0, 7, l.n(3), c(17)), l.of(enc.BF16, 0, 1, c(2))}) }),
			use("i8", func(l *lab) { l.call(ids{l.x(0, 7, l.n(3), c(17)), l.of(enc.I8, 0, 1)}) }),
			use("f32", func(l *lab) {
				l.call(ids{l.x(0, 7, l.n(3), c(17)), l.of(enc.F32, 0, 1, c(0))}, aInt("saturate", 0), aStr("round_mode", "nearest"))
			})),
		forms("ConstantOfShape", append(filled,
			use("zeros", func(l *lab) { l.call(ids{l.B.Dims(l.n(3), c(5))}) }),
			use("scalar", func(l *lab) { l.call(ids{l.B.Ints()}) }),
			use("empty", func(l *lab) { l.call(ids{l.B.Ints(3, 0)}) }))...),
		forms("Range",
			use("up", func(l *lab) { l.call(ids{l.scalar(2), l.scalar(31), l.scalar(3)}) }),
			use("down", func(l *lab) { l.call(ids{l.scalar(9), l.scalar(-4), l.scalar(-2)}) }),
			use("fractions", func(l *lab) { l.call(ids{l.scalar(0.5), l.scalar(9.25), l.scalar(0.125)}) }).of(ops.Floats),
			use("stash", func(l *lab) { l.call(ids{l.scalar(0), l.scalar(40), l.scalar(0.75)}, aElem("stash_type", enc.F32)) }).of(ops.Types(enc.F16, enc.BF16)),
			use("empty", func(l *lab) { l.call(ids{l.scalar(5), l.scalar(5), l.scalar(1)}) }),
			use("long", func(l *lab) { l.call(ids{l.scalar(-7), l.scalar(70001), l.scalar(1)}) }).of(ops.Types(enc.F64, enc.F32, enc.I64, enc.I32)),
			use("long_fractions", func(l *lab) { l.call(ids{l.scalar(2), l.scalar(40000), l.scalar(0.5)}) }).of(ops.Floats)),
		forms("Shape",
			use("plain", func(l *lab) { l.call(ids{l.x(0, 1, l.n(3), c(5), l.n(7))}) }),
			use("tail", func(l *lab) { l.call(ids{l.x(0, 1, l.n(3), c(5), l.n(7))}, aInt("start", -2)) }),
			use("part", func(l *lab) { l.call(ids{l.x(0, 1, l.n(3), c(5), l.n(7))}, aInt("start", 1), aInt("end", -1)) }),
			use("nothing", func(l *lab) { l.call(ids{l.x(0, 1, l.n(3), c(5))}, aInt("start", 1), aInt("end", 1)) })),
		forms("Size",
			use("plain", func(l *lab) { l.call(ids{l.x(0, 1, l.n(3), c(5), c(7))}) }),
			use("scalar", func(l *lab) { l.call(ids{l.x(0, 1)}) })),
		forms("EyeLike",
			use("plain", func(l *lab) { l.call(ids{l.x(0, 1, l.n(3), c(5))}) }),
			use("above", func(l *lab) { l.call(ids{l.x(0, 1, l.n(3), c(5))}, aInt("k", 1)) }),
			use("below", func(l *lab) { l.call(ids{l.x(0, 1, l.n(7), c(5))}, aInt("k", -2)) }),
			use("typed", func(l *lab) { l.call(ids{l.x(0, 1, l.n(3), c(5))}, aElem("dtype", enc.F64)) })),
	}
}
