package ops

import (
	"fmt"

	"github.com/heddle-ml/heddle/conformance/internal/suite"
	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/ops"
)

func products() []operator {
	return []operator{
		forms("MatMul",
			use("plain", func(l *lab) { l.call(ids{l.x(0, 3, l.n(5), c(7)), l.x(0, 3, c(7), l.n(33))}) }),
			use("batch", func(l *lab) { l.call(ids{l.x(0, 3, l.n(2), c(3), l.n(5), c(7)), l.x(0, 3, c(3), c(7), l.n(9))}) }),
			use("broadcast", func(l *lab) { l.call(ids{l.x(0, 3, l.n(2), c(1), l.n(5), c(7)), l.x(0, 3, c(3), c(7), l.n(9))}) }),
			use("uneven", func(l *lab) { // no one stride leads through the batch
				l.call(ids{l.x(0, 3, c(2), c(1), c(3), c(5), c(7)), l.x(0, 3, c(2), c(1), c(7), c(9))})
			}),
			use("over", func(l *lab) { l.call(ids{l.x(0, 3, c(5), c(7)), l.x(0, 3, c(3), c(7), c(9))}) }),
			use("dot", func(l *lab) { l.call(ids{l.x(0, 3, c(7)), l.x(0, 3, c(7))}) }),
			use("row", func(l *lab) { l.call(ids{l.x(0, 3, c(7)), l.x(0, 3, c(2), c(7), c(3))}) }),
			use("column", func(l *lab) { l.call(ids{l.x(0, 3, c(2), c(3), c(7)), l.x(0, 3, c(7))}) }),
			use("no_terms", func(l *lab) { l.call(ids{l.x(0, 3, c(3), c(0)), l.x(0, 3, c(0), c(5))}) }),
			use("no_rows", func(l *lab) { l.call(ids{l.x(0, 3, c(0), c(4)), l.x(0, 3, c(4), c(5))}) }),
			use("constant", func(l *lab) { l.call(ids{l.x(0, 3, l.n(5), c(7)), l.weight(0, 3, 7, 18)}) }).in(both),
			use("constant_batch", func(l *lab) { l.call(ids{l.x(0, 3, c(2), l.n(5), c(7)), l.weight(0, 3, 7, 18)}) }).in(both),
			use("constant_row", func(l *lab) { l.call(ids{l.x(0, 3, c(7)), l.weight(0, 3, 7, 18)}) }),
			use("constants", func(l *lab) { l.call(ids{l.x(0, 3, c(3), l.n(5), c(7)), l.weight(0, 3, 3, 7, 18)}) }),
			use("constant_left", func(l *lab) { l.call(ids{l.weight(0, 3, 3, 7), l.x(0, 3, c(7), l.n(9))}) }),
			use("constant_no_terms", func(l *lab) { l.call(ids{l.x(0, 3, c(3), c(0)), l.weight(0, 3, 0, 5)}) }),
			use("signed", func(l *lab) { l.call(ids{l.x(-3, 3, l.n(13), c(65)), l.x(-3, 3, c(65), c(31))}) }).of(ops.Floats|ops.Signed),
			use("scores", func(l *lab) { l.call(ids{l.x(-1, 1, c(2), c(65), c(72)), l.x(-1, 1, c(2), c(72), c(129))}) }).float(),
			use("deep", func(l *lab) { l.call(ids{l.x(-1, 1, c(7), c(9001)), l.x(-1, 1, c(9001), c(17))}) }).float(),
			use("wide", func(l *lab) { l.call(ids{l.x(-1, 1, c(3), c(33)), l.x(-1, 1, c(33), c(4801))}) }).float(),
			use("tall", func(l *lab) { l.call(ids{l.x(-1, 1, c(1500), c(33)), l.x(-1, 1, c(33), c(17))}) }).float()),
		forms("Gemm",
			use("plain", func(l *lab) { l.call(ids{l.x(0, 3, l.n(3), c(4)), l.x(0, 3, c(4), l.n(5))}) }),
			use("turned", func(l *lab) {
				l.call(ids{l.x(0, 3, c(4), l.n(3)), l.x(0, 3, l.n(5), c(4)), l.x(0, 3, l.n(5))}, aInt("transA", 1), aInt("transB", 1), aFloat("alpha", 0.5), aFloat("beta", 2))
			}),
			use("column", func(l *lab) {
				l.call(ids{l.x(0, 3, l.n(3), c(4)), l.weight(0, 3, 5, 4), l.x(0, 3, l.n(3), c(1))}, aInt("transB", 1))
			}),
			use("number", func(l *lab) {
				l.call(ids{l.x(0, 3, l.n(3), c(4)), l.weight(0, 3, 4, 5), l.x(0, 3)}, aFloat("beta", 0.25))
			}).of(ops.Floats),
			use("bias", func(l *lab) {
				l.call(ids{l.x(0, 3, l.n(9), c(65)), l.weight(0, 3, 33, 65), l.x(0, 3, c(33))}, aInt("transB", 1))
			}),
			use("bias_row", func(l *lab) { l.call(ids{l.x(0, 3, l.n(9), c(4)), l.weight(0, 3, 4, 5), l.x(0, 3, c(1), c(5))}) }),
			use("full", func(l *lab) {
				l.call(ids{l.x(0, 3, l.n(9), c(4)), l.x(0, 3, c(4), c(33)), l.x(0, 3, l.n(9), c(33))}, aFloat("alpha", 2), aFloat("beta", 3))
			}),
			use("scaled", func(l *lab) { l.call(ids{l.x(0, 3, l.n(9), c(4)), l.x(0, 3, c(4), c(5))}, aFloat("alpha", 2)) }),
			use("nothing", func(l *lab) {
				l.call(ids{l.x(0, 3, l.n(3), c(4)), l.weight(0, 3, 4, 5), l.x(0, 3, l.n(3), c(5))}, aFloat("alpha", 0), aFloat("beta", 0))
			}),
			use("only_bias", func(l *lab) {
				l.call(ids{l.x(0, 3, l.n(3), c(4)), l.weight(0, 3, 4, 5), l.x(0, 3, c(5))}, aFloat("alpha", 0))
			}),
			use("thin", func(l *lab) { l.call(ids{l.x(0, 3, l.n(3), c(4)), l.weight(0, 3, 4, 1), l.x(0, 3, l.n(3), c(1))}) }),
			use("thin_number", func(l *lab) { l.call(ids{l.x(0, 3, l.n(3), c(4)), l.weight(0, 3, 4, 1), l.x(0, 3, c(1))}) }),
			use("no_terms", func(l *lab) { l.call(ids{l.x(0, 3, c(3), c(0)), l.x(0, 3, c(0), c(5)), l.x(0, 3, c(5))}) })),
		forms("heddle.Linear", linears()...),
		forms("Einsum",
			use("batch", func(l *lab) {
				l.call(ids{l.x(0, 2, c(3), c(2), c(4)), l.x(0, 2, c(4), c(5))}, aStr("equation", "bij,jk->bik"))
			}),
			use("turned", func(l *lab) { l.call(ids{l.x(0, 2, c(3), c(4)), l.x(0, 2, c(5), c(4))}, aStr("equation", "ij,kj->ik")) }),
			use("heads", func(l *lab) {
				l.call(ids{l.x(0, 2, c(2), c(3), c(2), c(4)), l.x(0, 2, c(2), c(5), c(2), c(4))}, aStr("equation", "bqhd,bkhd->bhqk"))
			}),
			use("outer", func(l *lab) { l.call(ids{l.x(0, 2, c(3)), l.x(0, 2, c(5))}, aStr("equation", "i,j->ij")) }),
			use("sum", func(l *lab) { l.call(ids{l.x(0, 2, c(3), c(5))}, aStr("equation", "ij->j")) }),
			use("implicit", func(l *lab) { l.call(ids{l.x(0, 2, c(3), c(4)), l.x(0, 2, c(4), c(5))}, aStr("equation", "ij,jk")) }),
			use("ellipsis", func(l *lab) {
				l.call(ids{l.x(0, 2, c(2), c(3), c(4)), l.x(0, 2, c(2), c(4), c(5))}, aStr("equation", "...ij,...jk->...ik"))
			})),
	}
}

func linears() (out []form) {
	for _, a := range []string{"none", "relu", "gelu", "gelu_tanh", "silu"} {
		act := aStr("activation", a)
		out = append(out,
			use(a, func(l *lab) {
				l.call(ids{l.x(-1, 1, c(2), l.n(9), c(65)), l.weight(-1, 1, 65, 33), l.x(-1, 1, c(33))}, act)
			}),
			use(a+"_bare", func(l *lab) { l.call(ids{l.x(-1, 1, l.n(9), c(65)), l.weight(-1, 1, 65, 33)}, act) }),
			use(a+"_inputs", func(l *lab) { l.call(ids{l.x(-1, 1, l.n(9), c(65)), l.x(-1, 1, c(65), c(33)), l.x(-1, 1, c(33))}, act) }),
			use(a+"_row", func(l *lab) { // the rows are few enough for other kernels
				l.call(ids{l.x(-1, 1, c(1), c(129)), l.x(-1, 1, c(129), c(129)), l.x(-1, 1, c(129))}, act)
			}))
	}
	return append(out,
		use("vector", func(l *lab) { l.call(ids{l.x(-1, 1, c(4)), l.x(-1, 1, c(4), c(5))}) }),
		use("default", func(l *lab) { l.call(ids{l.x(-1, 1, l.n(3), c(4)), l.weight(-1, 1, 4, 5), l.x(-1, 1, c(5))}) }),
	)
}

// matrices are products at the sizes around those of kernels' tiles, and at
// those of real models: SigLIP-400M (1152, heads of 72, 4304), MiniCPM-2B
// (2304, heads of 64, 5760, a vocabulary of 122753), Llama (4096, 14336). Only
// the rows or the columns of a real one are fewer, so that the oracle keeps up.
func matrices() (out []suite.Case) {
	for _, s := range [][3]int64{
		{1, 1, 1}, {1, 1, 17}, {1, 17, 1}, {17, 1, 1}, {2, 3, 5}, {5, 7, 15}, {6, 8, 16}, {7, 9, 17}, {8, 16, 31}, {9, 15, 32}, {11, 31, 33},
		{12, 32, 48}, {13, 33, 63}, {16, 63, 64}, {31, 64, 65}, {33, 65, 127}, {65, 127, 128}, {97, 128, 129}, {129, 129, 33}, {5, 255, 17}, {14, 257, 47}, {7, 513, 16},
		{1, 1152, 65}, {5, 1152, 129}, {65, 1152, 17}, {729, 72, 65}, {5, 1152, 1152}, {3, 1152, 431}, {129, 4304, 17}, {3, 4304, 97},
		{1, 2304, 65}, {5, 2304, 129}, {1, 2304, 1201}, {1, 5760, 129}, {7, 5760, 65}, {1, 8192, 33}, {1, 64, 4801}, {2, 2304, 641}, {13, 64, 3001}, {1, 4096, 129}, {3, 14336, 31},
	} {
		p := both
		switch {
		case s[0] == 729 || s[1] == 1152 || s[1] == 4304:
			p = vision
		case s[1] == 2304 || s[1] == 5760:
			p = text
		}
		name := fmt.Sprintf("m%d_k%d_n%d", s[0], s[1], s[2])
		// Both operands computed, as in attention; a weight, which is packed; a
		// weight as Hugging Face stores it, in the types of checkpoints.
		out = append(out,
			suite.Numeric("ops.matmul.f32."+name, p, func(l *suite.Lab) {
				l.Out(l.B.Op("MatMul", ids{l.In(enc.F32, unit, s[0], s[1]), l.Weight(enc.F32, enc.Encoding{}, s[1], s[2])}))
			}),
			suite.Numeric("ops.matmul.f32.inputs."+name, beyond, func(l *suite.Lab) {
				l.Out(l.B.Op("MatMul", ids{l.In(enc.F32, unit, s[0], s[1]), l.In(enc.F32, unit, s[1], s[2])}))
			}))
		for _, e := range []enc.Elem{enc.F32, enc.F16, enc.BF16} {
			out = append(out, suite.Numeric("ops.matmul.f32.turned_"+e.String()+"."+name, p, func(l *suite.Lab) {
				l.Out(l.B.Op("MatMul", ids{l.In(enc.F32, unit, s[0], s[1]), l.Turned(enc.F32, stored(e), s[1], s[2])}))
			}))
		}
		if s[1]*s[0]*s[2] > 1<<20 {
			continue
		}
		for _, e := range []enc.Elem{enc.F16, enc.BF16} { // computed in the narrow type
			out = append(out, suite.Numeric("ops.matmul."+e.String()+"."+name, beyond, func(l *suite.Lab) {
				l.Out(l.B.Op("MatMul", ids{l.In(e, unit, s[0], s[1]), l.Weight(e, enc.Encoding{}, s[1], s[2])}))
			}))
		}
		out = append(out,
			suite.Numeric("ops.gemm.f32.tb_"+name, beyond, func(l *suite.Lab) {
				l.Out(l.B.Op("Gemm", ids{l.In(enc.F32, unit, s[0], s[1]), l.Weight(enc.F32, enc.Encoding{}, s[2], s[1]), l.In(enc.F32, unit, s[2])}, graph.Int("transB", 1)))
			}),
			suite.Numeric("ops.gemm.f32.inputs_tb_"+name, beyond, func(l *suite.Lab) {
				l.Out(l.B.Op("Gemm", ids{l.In(enc.F32, unit, s[0], s[1]), l.In(enc.F32, unit, s[2], s[1]), l.In(enc.F32, unit, s[0], s[2])}, graph.Int("transB", 1), graph.Float("alpha", 0.5)))
			}))
	}
	return out
}

// unit is what most matrices are filled with.
var unit = suite.Between(-1, 1)

// stored is the encoding of an f32 tensor that a file has in a narrower type.
func stored(e enc.Elem) enc.Encoding {
	if e == enc.F32 {
		return enc.Encoding{}
	}
	return enc.As(e)
}
