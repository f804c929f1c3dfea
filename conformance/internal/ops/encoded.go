package ops

import (
	"fmt"

	"github.com/heddle-ml/heddle/conformance/internal/suite"
	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/enc"
)

// encoding is a way to store a weight.
type encoding struct {
	name string
	e    func(axis int) enc.Encoding // along the axis that is summed
	p    suite.Profile
}

// affine returns affine encodings that differ in types.
func affine(code, scale enc.Elem, block int, zero bool, channel bool) func(axis int) enc.Encoding {
	return func(axis int) enc.Encoding {
		e := enc.Encoding{Kind: enc.Affine, Store: code, Scale: scale, Axis: axis, BlockLen: block, HasZero: zero}
		if channel { // the other axis of a matrix
			e.Axis = 1 - axis
		}
		return e
	}
}

func always(e enc.Encoding) func(int) enc.Encoding { return func(int) enc.Encoding { return e } }

func gguf(f enc.Format) func(int) enc.Encoding {
	return func(axis int) enc.Encoding { return enc.GGUF(f, axis) }
}

var encodings = []encoding{
	{"w8.tensor", always(enc.PerTensor(enc.I8)), beyond},
	{"w8.tensor_zero", always(enc.Encoding{Kind: enc.Affine, Store: enc.U8, Scale: enc.F32, Axis: -1, HasZero: true}), beyond},
	{"w8.channel", affine(enc.I8, enc.F32, 0, false, true), quantum},
	{"w8.channel_f16", affine(enc.I8, enc.F16, 0, false, true), beyond},
	{"w8.channel_zero", affine(enc.U8, enc.BF16, 0, true, true), beyond},
	{"w8.terms", affine(enc.I8, enc.F32, 0, false, false), beyond}, // a scale for each row that is summed
	{"w8.block32", affine(enc.I8, enc.F32, 32, false, false), quantum},
	{"w8.block16_f16", affine(enc.I8, enc.F16, 16, false, false), beyond},
	{"w8.block32_across", affine(enc.I8, enc.F32, 32, false, true), beyond},
	{"w4.channel", affine(enc.I4, enc.F32, 0, false, true), quantum},
	{"w4.block32", affine(enc.I4, enc.F32, 32, false, false), quantum},
	{"w4.block32_f16", affine(enc.I4, enc.F16, 32, false, false), beyond},
	{"w4.block32_bf16", affine(enc.I4, enc.BF16, 32, false, false), beyond},
	{"w4.block32_zero", affine(enc.U4, enc.F32, 32, true, false), beyond},
	{"w4.block64_zero_f16", affine(enc.U4, enc.F16, 64, true, false), beyond},
	{"w4.block128", affine(enc.I4, enc.F32, 128, false, false), beyond},
	{"w16.tensor", always(enc.Encoding{Kind: enc.Affine, Store: enc.I16, Scale: enc.F32, Axis: -1}), beyond},
	{"w16.channel", affine(enc.U16, enc.F32, 0, true, true), beyond},
	{"w32.tensor", always(enc.Encoding{Kind: enc.Affine, Store: enc.I32, Scale: enc.F32, Axis: -1}), beyond},
	{"q4_0", gguf(enc.Q4_0), quantum}, {"q8_0", gguf(enc.Q8_0), quantum},
	{"q6_k", gguf(enc.Q6_K), beyond}, {"q4_1", gguf(enc.Q4_1), beyond}, {"q5_0", gguf(enc.Q5_0), beyond}, {"q5_1", gguf(enc.Q5_1), beyond},
	{"q4_k", gguf(enc.Q4_K), beyond}, {"q5_k", gguf(enc.Q5_K), beyond},
}

// fits tells whether rows of k numbers are whole blocks.
func (w encoding) fits(k int64) bool {
	e := w.e(0)
	if e.Kind != enc.Block {
		return true
	}
	n, _ := e.Format.BlockSize()
	return k%n == 0
}

// encoded are operators on weights that are stored in other ways than as
// numbers of their type. Products get matrices as they are multiplied, [K,N],
// and as checkpoints have them, [N,K]; the sums run along whole and along
// broken blocks.
func encoded() (out []suite.Case) {
	add := func(id string, p suite.Profile, build func(l *suite.Lab)) {
		out = append(out, suite.Numeric("ops."+id, p, build))
	}
	sizes := [][3]int64{{1, 32, 17}, {5, 64, 33}, {7, 96, 65}, {13, 257, 31}, {3, 256, 48}, {129, 4304, 17}, {3, 1152, 129}, {1, 2304, 129}, {5, 5760, 33}, {65, 256, 256}}
	for _, w := range encodings {
		for _, s := range sizes {
			m, k, n := s[0], s[1], s[2]
			if !w.fits(k) {
				continue
			}
			size := fmt.Sprintf("%s.m%d_k%d_n%d", w.name, m, k, n)
			// Models have their weights as rows [N,K].
			add("matmul."+size, w.p, func(l *suite.Lab) {
				l.Out(l.B.Op("MatMul", ids{l.In(enc.F32, unit, m, k), l.Turned(enc.F32, w.e(1), k, n)}))
			})
			if m*k*n <= 1<<20 {
				add("matmul.straight."+size, beyond, func(l *suite.Lab) {
					l.Out(l.B.Op("MatMul", ids{l.In(enc.F32, unit, m, k), l.Weight(enc.F32, w.e(0), k, n)}))
				})
			}
		}
		m, k, n := int64(5), int64(256), int64(48)
		for _, a := range []string{"none", "relu", "gelu", "gelu_tanh", "silu"} {
			p := w.p
			if a == "relu" {
				p = beyond
			}
			add("heddle_linear."+w.name+"."+a, p, func(l *suite.Lab) {
				l.Out(l.B.Op("heddle.Linear", ids{l.In(enc.F32, unit, m, k), l.Turned(enc.F32, w.e(1), k, n), l.In(enc.F32, unit, n)}, aStr("activation", a)))
			})
		}
		for _, tb := range []int64{0, 1} {
			add(fmt.Sprintf("gemm.%s.tb%d", w.name, tb), beyond, func(l *suite.Lab) {
				v := graph.NoValue
				if tb == 1 {
					v = l.Weight(enc.F32, w.e(1), n, k)
				} else {
					v = l.Turned(enc.F32, w.e(1), k, n)
				}
				l.Out(l.B.Op("Gemm", ids{l.In(enc.F32, unit, m, k), v, l.In(enc.F32, unit, n)}, aInt("transB", tb), aFloat("alpha", 0.5)))
			})
		}
		add("matmul."+w.name+".batch", beyond, func(l *suite.Lab) {
			l.Out(l.B.Op("MatMul", ids{l.In(enc.F32, unit, 2, 3, k), l.Turned(enc.F32, w.e(1), k, n)}))
		})
		for _, e := range []enc.Elem{enc.F64, enc.F16, enc.BF16} {
			if w.e(0).Kind != enc.Affine && e == enc.F64 {
				continue
			}
			add("matmul."+w.name+".of_"+e.String(), beyond, func(l *suite.Lab) {
				l.Out(l.B.Op("MatMul", ids{l.In(e, unit, m, k), l.Turned(e, w.e(1), k, n)}))
			})
		}
		if w.e(1).Store == enc.I32 {
			continue // codes wider than a float32 are rounded twice
		}
		// A table of embeddings, tied to the head; rows at random and the ends.
		add("gather."+w.name+".rows", w.p, func(l *suite.Lab) {
			l.Out(l.B.Op("Gather", ids{l.Weight(enc.F32, w.e(1), n, k), l.In(enc.I64, suite.Values(0, 47, 3, 31, 32, 33, 1), 7)}))
		})
		add("gather."+w.name+".tied", w.p&quantum, func(l *suite.Lab) {
			p := l.Weight(enc.F32, w.e(1), n, k)
			turned := *l.B.Value(p).Data
			turned.Perm = []int{1, 0}
			t := l.B.Type(p)
			t.Shape = graph.OfInts(enc.F32, k, n).Shape
			if t.Enc.Axis >= 0 {
				t.Enc.Axis = 1 - t.Enc.Axis
			}
			x := l.B.Op("Gather", ids{p, l.In(enc.I64, suite.Values(0, 47, 3), 3)})
			l.Out(l.B.Op("MatMul", ids{x, l.B.Weight("", t, &turned)}))
		})
		add("gather."+w.name+".columns", beyond, func(l *suite.Lab) {
			l.Out(l.B.Op("Gather", ids{l.Weight(enc.F32, w.e(1), n, k), l.In(enc.I32, suite.Values(0, -1, 3), 3)}, aInt("axis", 1)))
		})
		add("gather."+w.name+".turned", beyond, func(l *suite.Lab) {
			l.Out(l.B.Op("Gather", ids{l.Turned(enc.F32, w.e(1), k, n), l.In(enc.I32, suite.Values(0, -1, 3), 3)}))
		})
		add("cast."+w.name, beyond, func(l *suite.Lab) {
			l.Out(l.B.Op("Cast", ids{l.Weight(enc.F32, w.e(1), n, k)}, aElem("to", enc.F16)),
				l.B.Op("Cast", ids{l.Turned(enc.F32, w.e(1), k, n)}, aElem("to", enc.F64)))
		})
		if !w.fits(1152) {
			continue
		}
		add("gather."+w.name+".k1152", w.p, func(l *suite.Lab) {
			l.Out(l.B.Op("Gather", ids{l.Weight(enc.F32, w.e(1), 65, 1152), l.In(enc.I64, suite.Between(0, 64), 1, 5)}))
		})
	}
	for _, w := range encodings { // kernels of convolutions, [N,C,H,W]: along the channels
		e := w.e(1)
		if e.Kind != enc.Affine {
			continue
		}
		add("conv."+w.name, beyond, func(l *suite.Lab) {
			l.Out(l.B.Op("Conv", ids{l.In(enc.F32, unit, 1, 64, 6, 7), l.Weight(enc.F32, e, 9, 64, 3, 2), l.In(enc.F32, unit, 9)}))
		})
	}
	return append(out, plainWeights()...)
}

// plainWeights are weights stored in a narrower type, for operators that read
// plain numbers.
func plainWeights() (out []suite.Case) {
	add := func(id string, p suite.Profile, build func(l *suite.Lab)) {
		out = append(out, suite.Numeric("ops."+id, p, build))
	}
	for _, e := range []enc.Elem{enc.F32, enc.F16, enc.BF16} {
		name := "as_" + e.String()
		x := func(l *suite.Lab) graph.ValueID { return l.In(enc.F32, unit, 3, 65) }
		add("add.f32."+name, both, func(l *suite.Lab) { l.Out(l.B.Op("Add", ids{x(l), l.Weight(enc.F32, stored(e), 65)})) })
		add("mul.f32."+name, both, func(l *suite.Lab) { l.Out(l.B.Op("Mul", ids{x(l), l.Weight(enc.F32, stored(e), 65)})) })
		add("layernormalization.f32."+name, vision, func(l *suite.Lab) {
			l.Out(l.B.Op("LayerNormalization", ids{x(l), l.Weight(enc.F32, stored(e), 65), l.Weight(enc.F32, stored(e), 65)}, epsilon(1e-6)))
		})
		add("rmsnormalization.f32."+name, text, func(l *suite.Lab) {
			l.Out(l.B.Op("RMSNormalization", ids{x(l), l.Weight(enc.F32, stored(e), 65)}, epsilon(1e-5)))
		})
		add("gather.f32."+name+".rows", both, func(l *suite.Lab) {
			l.Out(l.B.Op("Gather", ids{l.Weight(enc.F32, stored(e), 48, 65), l.In(enc.I64, suite.Values(0, 47, 3, 31, 32, 33, 1), 7)}))
		})
		add("gather.f32."+name+".k2304", text, func(l *suite.Lab) {
			l.Out(l.B.Op("Gather", ids{l.Weight(enc.F32, stored(e), 65, 2304), l.In(enc.I64, suite.Between(0, 64), 1, 5)}))
		})
		add("gather.f32."+name+".columns", beyond, func(l *suite.Lab) {
			l.Out(l.B.Op("Gather", ids{l.Weight(enc.F32, stored(e), 48, 65), l.In(enc.I64, suite.Values(0, 64, 3), 3)}, aInt("axis", 1)))
		})
		add("gather.f32."+name+".turned", beyond, func(l *suite.Lab) {
			l.Out(l.B.Op("Gather", ids{l.Turned(enc.F32, stored(e), 65, 48), l.In(enc.I64, suite.Values(0, 64, 3), 3)}))
		})
		add("expand.f32."+name, vision, func(l *suite.Lab) {
			l.Out(l.B.Op("Expand", ids{l.Weight(enc.F32, stored(e), 1, 1, 65), l.B.Ints(3, 1, 65)}))
		})
		add("gemm.f32."+name, beyond, func(l *suite.Lab) {
			l.Out(l.B.Op("Gemm", ids{x(l), l.Weight(enc.F32, stored(e), 33, 65), l.Weight(enc.F32, stored(e), 33)}, aInt("transB", 1)))
		})
		add("cast.f32."+name, beyond, func(l *suite.Lab) {
			l.Out(l.B.Op("Cast", ids{l.Weight(enc.F32, stored(e), 9, 65)}, aElem("to", enc.F64)))
		})
		add("matmul.f32."+name+".batch", beyond, func(l *suite.Lab) {
			l.Out(l.B.Op("MatMul", ids{l.In(enc.F32, unit, 2, 3, 65), l.Weight(enc.F32, stored(e), 2, 65, 17)}))
		})
		add("matmul.f64."+name, beyond, func(l *suite.Lab) {
			l.Out(l.B.Op("MatMul", ids{l.In(enc.F64, unit, 3, 65), l.Weight(enc.F64, enc.As(e), 65, 17)}))
		})
		add("conv.f32."+name, vision, func(l *suite.Lab) {
			l.Out(l.B.Op("Conv", ids{l.In(enc.F32, unit, 1, 3, 12, 16), l.Weight(enc.F32, stored(e), 33, 3, 4, 4), l.Weight(enc.F32, stored(e), 33)}, aInts("strides", 4, 4)))
		})
		add("heddle_linear.f32."+name, beyond, func(l *suite.Lab) {
			l.Out(l.B.Op("heddle.Linear", ids{x(l), l.Turned(enc.F32, stored(e), 65, 33), l.Weight(enc.F32, stored(e), 33)}, aStr("activation", "gelu")))
		})
	}
	for _, e := range enc.Elems() { // tables of every type
		if e.Bits() == 4 {
			continue
		}
		add("gather."+e.String()+".weight", beyond, func(l *suite.Lab) {
			l.Out(l.B.Op("Gather", ids{l.Weight(e, enc.Encoding{}, 9, 5), l.In(enc.I64, suite.Between(0, 8), 4)}),
				l.B.Op("Gather", ids{l.Weight(e, enc.Encoding{}, 4, 9, 5), l.In(enc.I64, suite.Between(0, 8), 4)}, aInt("axis", 1)))
		})
	}
	add("where.bool.weight", beyond, func(l *suite.Lab) {
		l.Out(l.B.Op("Where", ids{l.Weight(enc.Bool, enc.Encoding{}, 33), l.In(enc.F32, unit, 33), l.In(enc.F32, unit)}))
	})
	return out
}
