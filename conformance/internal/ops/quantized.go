package ops

import (
	"github.com/heddle-ml/heddle/conformance/internal/suite"
	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/ops"
)

var codes = []enc.Elem{enc.I16, enc.I8, enc.I4, enc.U16, enc.U8, enc.U4}

func quantizes() (out []form) {
	reals := ops.Types(enc.F32, enc.F16, enc.BF16)
	for _, to := range codes {
		least := 0.0
		if to.IsSigned() {
			least = -3
		}
		p := beyond
		if to == enc.I8 || to == enc.U8 {
			p = quantum
		}
		name := to.String()
		out = append(out,
			use(name+"_tensor", func(l *lab) { l.call(ids{l.x(-5, 5, l.n(3), c(65)), l.x(0.1, 1), l.of(to, least, 7)}) }).of(reals).in(p),
			use(name+"_axis", func(l *lab) {
				l.call(ids{l.x(-5, 5, l.n(3), c(7), l.n(2)), l.x(0.1, 1, c(7)), l.of(to, least, 7, c(7))}, aInt("axis", 1))
			}).of(reals).in(p),
			use(name+"_rows", func(l *lab) {
				l.call(ids{l.x(-5, 5, c(5), c(33)), l.x(0.1, 1, c(5))}, aInt("axis", 0), aElem("output_dtype", to))
			}).of(reals),
			use(name+"_blocks", func(l *lab) {
				l.call(ids{l.x(-5, 5, l.n(3), c(7)), l.of(enc.F32, 0.1, 1, l.n(3), c(2))}, aInt("axis", -1), aInt("block_size", 4), aElem("output_dtype", to))
			}).of(reals),
			use(name+"_columns", func(l *lab) {
				l.call(ids{l.x(-50, 50, c(9), l.n(3)), l.of(enc.F32, 0.1, 10, c(3), l.n(3)), l.of(to, least, 7, c(3), l.n(3))}, aInt("axis", 0), aInt("block_size", 4))
			}),
			use(name+"_ties", func(l *lab) { // to even, before the zero point is added
				l.call(ids{l.vector(-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 0.25, 6.5, 100, -100, 1e4, -1e4), l.of(enc.F32, 1, 1), l.list(to, []int64{}, 3)})
			}).of(reals).in(p&quantum),
			use(name+"_many", func(l *lab) { l.call(ids{l.x(-5, 5, c(40009)), l.x(0.02, 0.04), l.of(to, 0, 7)}) }).float().in(p))
	}
	return append(out,
		use("vector", func(l *lab) {
			l.call(ids{l.x(-5, 5, c(9)), l.x(0.1, 1, c(9)), l.of(enc.I8, -3, 3, c(9))}, aInt("axis", 0))
		}).of(reals),
		use("default", func(l *lab) { l.call(ids{l.x(0, 5, l.n(3), c(7)), l.x(0.1, 1)}) }).of(reals),
		use("precision", func(l *lab) {
			l.call(ids{l.x(-5, 5, l.n(3), c(7)), l.of(enc.F16, 0.1, 1), l.of(enc.I8, -3, 3)}, aElem("precision", enc.F32), aInt("saturate", 0))
		}).of(reals),
		use("integer_scale", func(l *lab) { l.call(ids{l.x(-500, 500, l.n(3), c(17)), l.x(2, 9), l.of(enc.I8, -3, 3)}) }).of(ops.Types(enc.I32)))
}

func dequantizes() (out []form) {
	for _, to := range []enc.Elem{enc.F32, enc.F16, enc.BF16} {
		name := to.String()
		p := beyond
		if to == enc.F32 {
			p = quantum
		}
		bytes := func(f form) []form {
			// The profile asks for int8 and uint8, forms for all types.
			g := f
			g.name, g.profiles = "byte_"+f.name, p
			return []form{f, g.of(ops.Types(enc.I8, enc.U8)).undivided()}
		}
		out = append(out, bytes(use(name+"_tensor", func(l *lab) { l.call(ids{l.x(0, 7, l.n(3), c(65)), l.of(to, 0.1, 1), l.x(0, 7)}) }))...)
		out = append(out, bytes(use(name+"_axis", func(l *lab) {
			l.call(ids{l.x(0, 7, l.n(3), c(7), l.n(2)), l.of(to, 0.1, 1, c(7)), l.x(0, 7, c(7))}, aInt("axis", 1))
		}))...)
		out = append(out,
			use(name+"_no_zero", func(l *lab) { l.call(ids{l.x(0, 7, l.n(3), c(33)), l.of(to, 0.1, 1)}) }),
			use(name+"_signed", func(l *lab) {
				l.call(ids{l.x(-7, 7, l.n(3), c(33)), l.of(to, 0.1, 1, c(33)), l.x(-3, 3, c(33))}, aInt("axis", -1))
			}).of(ops.Types(enc.I32, enc.I16, enc.I8, enc.I4)),
			use(name+"_blocks", func(l *lab) {
				l.call(ids{l.x(0, 7, l.n(3), c(7)), l.of(to, 0.1, 1, l.n(3), c(2))}, aInt("axis", -1), aInt("block_size", 4), aElem("output_dtype", enc.F32))
			}),
			use(name+"_columns", func(l *lab) {
				l.call(ids{l.x(0, 7, c(9), l.n(3)), l.of(to, 0.1, 1, c(3), l.n(3)), l.x(0, 7, c(3), l.n(3))}, aInt("axis", 0), aInt("block_size", 4))
			}))
	}
	return append(out,
		use("many", func(l *lab) { l.call(ids{l.x(-128, 127, c(40009)), l.of(enc.F32, 0.1, 1), l.x(-9, 9)}) }).of(ops.Types(enc.I8)),
		use("to_f16", func(l *lab) {
			l.call(ids{l.x(0, 7, l.n(3), c(7)), l.of(enc.F32, 0.1, 1)}, aElem("output_dtype", enc.F16))
		}),
		use("full_range", func(l *lab) {
			l.call(ids{l.list(l.e, []int64{4}, -128, 127, 0, -1), l.of(enc.F32, 0.1, 1), l.list(l.e, []int64{}, -128)})
		}).of(ops.Types(enc.I8)))
}

func quantized() []operator {
	// scales and zero points of the three matrices or tensors.
	zero := func(l *lab, e enc.Elem) graph.ValueID {
		if e == enc.I8 {
			return l.of(e, -9, 9)
		}
		return l.of(e, 100, 150)
	}
	third := func(l *lab, n int64) ids { return ids{l.of(enc.F32, 0.1, 0.2), zero(l, []enc.Elem{enc.I8, enc.U8}[n])} }
	range8 := func(e enc.Elem) (lo, hi float64) {
		if e == enc.I8 {
			return -128, 127
		}
		return 0, 255
	}
	a := func(l *lab, shape ...int64) graph.ValueID {
		lo, hi := range8(l.e)
		return l.In(l.e, suite.Between(lo, hi), shape...)
	}
	var integer, conv []form
	for _, w := range []enc.Elem{enc.I8, enc.U8} {
		lo, hi := range8(w)
		name := w.String()
		integer = append(integer,
			use(name+"_rows_columns", func(l *lab) {
				l.call(ids{l.x(0, 127, c(2), l.n(3), c(4)), l.of(w, lo, hi, c(4), c(5)), l.x(0, 127, l.n(3)), l.of(w, lo, hi, c(5))})
			}),
			use(name+"_numbers", func(l *lab) {
				l.call(ids{l.x(0, 127, c(2), c(1), l.n(3), c(4)), l.of(w, lo, hi, c(3), c(4), c(5)), l.x(0, 127), l.of(w, lo, hi)})
			}),
			use(name+"_vector", func(l *lab) { l.call(ids{l.x(0, 127, l.n(3), c(4)), l.of(w, lo, hi, c(4))}) }),
			use(name+"_terms", func(l *lab) { // zero points that differ from term to term
				l.call(ids{l.x(0, 127, l.n(3), c(4)), l.of(w, 0, 127, c(4), c(5)), l.x(0, 127, c(1), c(4)), l.of(w, 0, 9, c(4), c(1))})
			}),
			use(name+"_vector_zero", func(l *lab) {
				l.call(ids{l.x(0, 127, l.n(3), c(4)), l.of(w, 0, 127, c(4)), l.x(0, 127, l.n(3)), l.of(w, 0, 9, c(4))})
			}),
			use(name+"_each", func(l *lab) { // one for each row of each matrix
				l.call(ids{l.x(0, 127, c(2), l.n(3), c(4)), l.of(w, 0, 127, c(2), c(4), c(5)), l.x(0, 127, c(2), l.n(3), c(1)), l.of(w, 0, 9, c(1), c(1), c(5))})
			}),
			use(name+"_only_b", func(l *lab) { l.call(ids{l.x(0, 127, l.n(3), c(4)), l.of(w, lo, hi, c(4), c(5)), none, l.of(w, 0, 9)}) }),
			use(name+"_terms_only_b", func(l *lab) {
				l.call(ids{l.x(0, 127, l.n(3), c(4)), l.of(w, 0, 127, c(4), c(5)), none, l.of(w, 0, 9, c(4), c(1))})
			}),
			use(name+"_m5_k1152_n33", func(l *lab) {
				l.call(ids{a(l, 5, 1152), l.of(w, lo, hi, c(1152), c(33)), l.x(0, 127), l.of(w, lo, hi)})
			}),
			use(name+"_m17_k33_n129", func(l *lab) { l.call(ids{a(l, 17, 33), l.of(w, lo, hi, c(33), c(129))}) }))
		conv = append(conv,
			use(name+"_groups", func(l *lab) {
				l.call(ids{l.x(0, 127, l.n(2), c(4), c(5), c(5)), l.of(w, lo, hi, c(6), c(2), c(3), c(3)), l.x(0, 127), l.of(w, lo, hi, c(6))}, aInt("group", 2), aInts("pads", 1, 1, 1, 1))
			}),
			use(name+"_plain", func(l *lab) {
				l.call(ids{l.x(0, 127, c(1), c(3), c(7), c(6)), l.of(w, lo, hi, c(5), c(3), c(2), c(3))}, aInts("strides", 2, 1), aInts("dilations", 1, 2), aInts("kernel_shape", 2, 3))
			}),
			use(name+"_line", func(l *lab) {
				l.call(ids{l.x(0, 127, c(1), c(3), c(9)), l.of(w, lo, hi, c(2), c(3), c(3)), l.x(0, 127), l.of(w, lo, hi)}, aStr("auto_pad", "SAME_UPPER"))
			}))
	}
	return []operator{
		forms("QuantizeLinear", quantizes()...),
		forms("DequantizeLinear", dequantizes()...),
		forms("DynamicQuantizeLinear",
			use("plain", func(l *lab) { l.calls([]bool{true, true, true}, ids{l.x(-1, 3, l.n(4), c(5))}) }).in(quantum),
			use("positive", func(l *lab) { l.calls([]bool{true, true, true}, ids{l.x(1, 3, l.n(4), c(65))}) }).in(quantum),
			use("negative", func(l *lab) { l.calls([]bool{true, true, true}, ids{l.x(-3, -1, l.n(4), c(65))}) }).in(quantum),
			use("t5_h2304", func(l *lab) { l.calls([]bool{true, true, true}, ids{l.x(-2, 3, c(5), c(2304))}) }).in(quantum)),
		forms("MatMulInteger", integer...),
		forms("ConvInteger", conv...),
		forms("QLinearMatMul",
			use("rows_columns", func(l *lab) {
				l.call(append(ids{
					l.x(0, 127, c(2), l.n(3), c(4)), l.of(enc.F32, 0.01, 0.02, l.n(3)), l.x(50, 90, l.n(3)),
					l.of(enc.I8, -128, 127, c(4), c(5)), l.of(enc.F32, 0.01, 0.02, c(5)), l.of(enc.I8, -9, 9, c(5))}, third(l, 0)...))
			}),
			use("half", func(l *lab) {
				l.call(ids{
					l.x(0, 127, l.n(3), c(4)), l.of(enc.F16, 0.01, 0.02), l.x(50, 90),
					l.of(enc.I8, -128, 127, c(4), c(5)), l.of(enc.F16, 0.01, 0.02), l.of(enc.I8, -9, 9),
					l.of(enc.F16, 0.1, 0.2), l.of(enc.U8, 100, 150)})
			}),
			use("bytes", func(l *lab) {
				l.call(append(ids{
					a(l, 9, 33), l.of(enc.F32, 0.01, 0.02), l.x(50, 90),
					l.of(enc.U8, 0, 255, c(33), c(65)), l.of(enc.F32, 0.01, 0.02), l.of(enc.U8, 100, 150)}, third(l, 1)...))
			})),
		forms("QLinearConv",
			use("bias", func(l *lab) {
				l.call(append(append(ids{
					l.x(0, 127, l.n(2), c(2), c(5), c(5)), l.of(enc.F32, 0.01, 0.02), l.x(50, 90),
					l.of(enc.I8, -128, 127, c(3), c(2), c(3), c(3)), l.of(enc.F32, 0.01, 0.02, c(3)), l.of(enc.I8, -9, 9, c(3))}, third(l, 1)...),
					l.of(enc.I32, -999, 999, c(3))), aInts("strides", 2, 2))
			}),
			use("groups", func(l *lab) {
				l.call(append(ids{
					l.x(0, 127, c(1), c(4), c(6), c(5)), l.of(enc.F32, 0.01, 0.02), l.x(50, 90),
					l.of(enc.U8, 0, 255, c(6), c(2), c(3), c(2)), l.of(enc.F32, 0.01, 0.02), l.of(enc.U8, 100, 150)}, third(l, 0)...),
					aInt("group", 2), aInts("pads", 1, 0, 1, 1), aInts("dilations", 2, 1))
			}),
			use("same", func(l *lab) {
				l.call(append(ids{
					l.x(0, 127, c(1), c(2), c(6), c(5)), l.of(enc.F32, 0.01, 0.02), l.x(50, 90),
					l.of(enc.I8, -128, 127, c(3), c(2), c(3), c(2)), l.of(enc.F32, 0.01, 0.02), l.of(enc.I8, -9, 9)}, third(l, 0)...),
					aStr("auto_pad", "SAME_UPPER"), aInts("kernel_shape", 3, 2), aInts("strides", 2, 1))
			})),
	}
}
