package blocks

import (
	"fmt"

	"github.com/heddle-ml/heddle/conformance/internal/suite"
	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
)

// A view is a way in which the weight of a product, [64,96] or with a batch in
// front, lies in its file. The encoding given is that of a matrix stored
// [out,in], along whose columns the sums run.
type view struct {
	name string
	// turned views are stored as Hugging Face does, [out,in].
	turned bool
	make   func(l *suite.Lab, elem enc.Elem, e enc.Encoding) *graph.Weight
}

const viewIn, viewOut = 64, 96

var views = []view{
	{"rows", true, func(l *suite.Lab, elem enc.Elem, e enc.Encoding) *graph.Weight { // one of three fused matrices
		p := l.Stored(elem, e, 3*viewOut, viewIn)
		p.Start, p.Size = []int64{viewOut, 0}, []int64{viewOut, viewIn}
		return &graph.Weight{Parts: []graph.Part{p}, Perm: []int{1, 0}}
	}},
	{"columns", true, func(l *suite.Lab, elem enc.Elem, e enc.Encoding) *graph.Weight {
		p := l.Stored(elem, e, viewOut, 2*viewIn)
		p.Start, p.Size = []int64{0, 32}, []int64{viewOut, viewIn}
		return &graph.Weight{Parts: []graph.Part{p}, Perm: []int{1, 0}}
	}},
	{"joined_outputs", true, func(l *suite.Lab, elem enc.Elem, e enc.Encoding) *graph.Weight {
		parts := []graph.Part{l.Stored(elem, e, 50, viewIn), l.Stored(elem, e, 1, viewIn), l.Stored(elem, e, 60, viewIn)}
		parts[2].Start, parts[2].Size = []int64{15, 0}, []int64{45, viewIn}
		return &graph.Weight{Parts: parts, Perm: []int{1, 0}}
	}},
	{"straight_rows", false, func(l *suite.Lab, elem enc.Elem, e enc.Encoding) *graph.Weight {
		p := l.Stored(elem, e, viewIn+32, viewOut)
		p.Start, p.Size = []int64{32, 0}, []int64{viewIn, viewOut}
		return &graph.Weight{Parts: []graph.Part{p}}
	}},
	{"straight_joined", false, func(l *suite.Lab, elem enc.Elem, e enc.Encoding) *graph.Weight {
		return &graph.Weight{Parts: []graph.Part{l.Stored(elem, e, viewIn, 32), l.Stored(elem, e, viewIn, 64)}, Axis: 1}
	}},
}

// of returns the weight's type under a storage.
func (v view) of(l *suite.Lab, s storage) graph.ValueID {
	elem, part := enc.F32, s.enc
	typ := graph.OfInts(enc.F32, viewIn, viewOut)
	typ.Enc = s.enc
	switch {
	case s.enc.Kind == enc.Plain && s.enc.Store != enc.Invalid:
		elem, part = s.enc.Store, enc.Encoding{}
	case s.enc.Kind != enc.Plain && v.turned:
		typ.Enc.Axis = 1 - part.Axis
	case s.enc.Kind != enc.Plain: // sums run along the first axis, as stored
		part.Axis = 1 - part.Axis
		typ.Enc = part
	}
	l.Gain = 0.2
	return l.B.Weight("", typ, v.make(l, elem, part))
}

func weightCases() []suite.Case {
	var out []suite.Case
	for _, v := range views {
		for _, s := range storages {
			if s.name == "q4_0" || s.enc.Kind == enc.Block && !v.turned {
				continue // blocks lie along rows
			}
			out = append(out, suite.Numeric("blocks.views."+v.name+"."+s.name, s.of(suite.Vision|suite.Language), func(l *suite.Lab) {
				x := l.In(enc.F32, suite.Between(-1, 1), 5, viewIn)
				l.Out(l.B.Op("MatMul", ids{x, v.of(l, s)}))
			}))
		}
	}
	return append(append(out, otherViews()...), derivedCases()...)
}

// otherViews are of tensors that are no matrices of products.
func otherViews() []suite.Case {
	both := suite.Vision | suite.Language
	weight := func(l *suite.Lab, stored enc.Elem, w *graph.Weight, shape ...int64) graph.ValueID {
		t := graph.OfInts(enc.F32, shape...)
		if stored != enc.F32 {
			t.Enc = enc.As(stored)
		}
		return l.B.Weight("", t, w)
	}
	var out []suite.Case
	for _, e := range []enc.Elem{enc.F32, enc.F16} {
		add := func(name string, p suite.Profile, build func(l *suite.Lab)) {
			out = append(out, suite.Numeric("blocks.views."+name+"."+e.String(), p, build))
		}
		add("vector", both, func(l *suite.Lab) {
			p, q := l.Stored(e, enc.Encoding{}, 20), l.Stored(e, enc.Encoding{}, 13)
			p.Start, p.Size = []int64{3}, []int64{12}
			l.Out(l.B.Op("Add", ids{l.In(enc.F32, suite.Between(-1, 1), 4, 25), weight(l, e, &graph.Weight{Parts: []graph.Part{p, q}}, 25)}))
		})
		add("table", suite.Language, func(l *suite.Lab) {
			p, q := l.Stored(e, enc.Encoding{}, 30, 48), l.Stored(e, enc.Encoding{}, 7, 48)
			table := weight(l, e, &graph.Weight{Parts: []graph.Part{p, q}}, 37, 48)
			l.Out(l.B.Op("Gather", ids{table, l.In(enc.I64, suite.Values(0, 29, 30, 36, 5, 31), 1, 6)}, graph.Int("axis", 0)))
		})
		add("batch", 0, func(l *suite.Lab) { // stored [k,n,batch]
			w := weight(l, e, &graph.Weight{Parts: []graph.Part{l.Stored(e, enc.Encoding{}, 20, 9, 3)}, Perm: []int{2, 0, 1}}, 3, 20, 9)
			l.Out(l.B.Op("MatMul", ids{l.In(enc.F32, suite.Between(-1, 1), 3, 4, 20), w}))
		})
		add("conv", 0, func(l *suite.Lab) { // stored [height,width,in,out]
			w := weight(l, e, &graph.Weight{Parts: []graph.Part{l.Stored(e, enc.Encoding{}, 4, 4, 3, 10)}, Perm: []int{3, 2, 0, 1}}, 10, 3, 4, 4)
			l.Out(l.B.Op("Conv", ids{l.In(enc.F32, suite.Between(-1, 1), 2, 3, 12, 12), w}, graph.Ints("strides", 4, 4), graph.Ints("kernel_shape", 4, 4)))
		})
	}
	return out
}

// derivedCases: weights that a recipe quantizes when they are loaded. What
// comes out is defined to the bit; see ops/oracle. One channel is all zeros.
func derivedCases() []suite.Case {
	recipes := []struct {
		name     string
		enc      enc.Encoding // of the operand [in,out]
		profiles suite.Profile
	}{
		{"f16", enc.As(enc.F16), 0},
		{"bf16", enc.As(enc.BF16), 0},
		{"i8_tensor", enc.PerTensor(enc.I8), 0},
		{"i8_channel", enc.PerChannel(enc.I8, 1), suite.Quantized},
		{"i8_block16", enc.Blocked(enc.I8, 0, 16), 0},
		{"i4_channel", enc.PerChannel(enc.I4, 1), 0},
		{"i4_block32", enc.Blocked(enc.I4, 0, 32), suite.Quantized},
		{"i4_block32_f16", enc.Encoding{Kind: enc.Affine, Store: enc.I4, Scale: enc.F16, Axis: 0, BlockLen: 32}, 0},
		{"u4_zero_block24", enc.Encoding{Kind: enc.Affine, Store: enc.U4, Scale: enc.F16, Axis: 0, BlockLen: 24, HasZero: true}, 0},
		{"u8_zero_channel", enc.Encoding{Kind: enc.Affine, Store: enc.U8, Scale: enc.F32, Axis: 1, HasZero: true}, 0},
		{"i16_tensor_bf16", enc.Encoding{Kind: enc.Affine, Store: enc.I16, Scale: enc.BF16, Axis: -1}, 0},
	}
	var out []suite.Case
	for _, stored := range []enc.Elem{enc.F32, enc.F16, enc.BF16} {
		for _, r := range recipes {
			if r.enc == enc.As(stored) || stored == enc.BF16 && r.profiles == 0 {
				continue // not derived; one is enough
			}
			out = append(out, suite.Numeric(fmt.Sprintf("blocks.derived.%s.of_%s", r.name, stored), r.profiles, func(l *suite.Lab) {
				w, err := suite.Between(-0.3, 0.3).Tensor(l.Rand, stored, []int64{viewOut, viewIn})
				if err != nil {
					l.B.Fail(err)
					return
				}
				for i := range int64(viewIn) {
					w.F[5*viewIn+i] = 0
				}
				data, err := w.Bytes()
				if err != nil {
					l.B.Fail(err)
					return
				}
				typ := graph.OfInts(enc.F32, viewIn, viewOut)
				typ.Enc = r.enc
				part := graph.Part{Inline: data, Elem: stored, Shape: []int64{viewOut, viewIn}}
				v := l.B.Weight("", typ, &graph.Weight{Parts: []graph.Part{part}, Perm: []int{1, 0}})
				rows := l.B.Symbol(dim.Symbol{Name: "rows", Min: 1, Max: 9})
				l.Out(l.B.Op("MatMul", ids{l.Input(enc.F32, suite.Between(-1, 1), rows, dim.Of(viewIn)), v}))
				l.Step(dim.Binding{"rows": 9})
				l.Step(dim.Binding{"rows": 1})
			}))
		}
	}
	return out
}
