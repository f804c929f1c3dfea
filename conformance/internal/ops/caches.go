package ops

import (
	"github.com/heddle-ml/heddle/conformance/internal/suite"
	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
)

// caches are states that are written by TensorScatter and read by Attention,
// in every way to store them, over several steps.
func caches() (out []suite.Case) {
	blocks := func(code, scale enc.Elem, n int, zero bool) enc.Encoding {
		return enc.Encoding{Kind: enc.Affine, Store: code, Scale: scale, Axis: 3, BlockLen: n, HasZero: zero}
	}
	for _, s := range []struct {
		name string
		e    enc.Encoding
		p    suite.Profile
	}{
		{"f32", enc.Encoding{}, text}, {"f16", enc.As(enc.F16), beyond}, {"bf16", enc.As(enc.BF16), beyond},
		// A scale for each token and head.
		{"i8", blocks(enc.I8, enc.F32, 16, false), quantum}, {"i8_f16", blocks(enc.I8, enc.F16, 16, false), beyond},
		{"i8_block8", blocks(enc.I8, enc.F32, 8, false), beyond}, {"u8_zero", blocks(enc.U8, enc.F16, 16, true), beyond},
		{"i8_zero", blocks(enc.I8, enc.F32, 16, true), beyond}, {"i16", blocks(enc.I16, enc.BF16, 16, false), beyond}, {"u16_zero", blocks(enc.U16, enc.F32, 16, true), beyond}, {"i32", blocks(enc.I32, enc.F32, 16, false), beyond},
	} {
		add := func(id string, p suite.Profile, build func(l *suite.Lab)) {
			out = append(out, suite.Numeric("ops.tensorscatter.state."+s.name+"."+id, p, build))
		}
		cache := func(l *suite.Lab, name string, heads, rows int64) graph.ValueID {
			t := graph.OfInts(enc.F32, 1, heads, rows, 16)
			t.Enc = s.e
			return l.State(name, t, unit)
		}
		// A decoder's attention: chunks of several lengths at growing positions.
		add("decoder", s.p, func(l *suite.Lab) { decoder(l, s.e, 4, 2, 16, 32) })
		add("long", s.p, func(l *suite.Lab) { decoder(l, s.e, 6, 1, 16, 300) })
		// What a cache holds shows when it is read as numbers.
		attend := func(l *suite.Lab, k graph.ValueID, heads, rows, n int64) {
			l.Out(l.B.Op("Attention", ids{l.In(enc.F32, unit, 1, heads, 3, 16), k, k, none, none, none, l.In(enc.I64, suite.Values(float64(n)), 1)}))
		}
		add("circular", beyond, func(l *suite.Lab) {
			next := l.B.Op("TensorScatter", ids{cache(l, "s", 3, 9), l.In(enc.F32, unit, 1, 3, 4, 16), l.In(enc.I64, suite.Values(7), 1)}, aStr("mode", "circular"))
			l.B.SetState("s", next)
			attend(l, next, 3, 9, 9)
			l.Step(dim.Binding{})
			l.Step(dim.Binding{})
		})
		add("circular_far", beyond, func(l *suite.Lab) {
			next := l.B.Op("TensorScatter", ids{cache(l, "s", 3, 9), l.In(enc.F32, unit, 1, 3, 4, 16), l.In(enc.I64, suite.Values(24), 1)}, aStr("mode", "circular"))
			l.B.SetState("s", next)
			attend(l, next, 3, 9, 8)
		})
		add("twice", beyond, func(l *suite.Lab) { // two versions in one run
			next := l.B.Op("TensorScatter", ids{cache(l, "s", 2, 9), l.In(enc.F32, unit, 1, 2, 1, 16), l.In(enc.I64, suite.Values(0), 1)})
			next = l.B.Op("TensorScatter", ids{next, l.In(enc.F32, unit, 1, 2, 3, 16), l.B.Const("", graph.I64(2))})
			l.B.SetState("s", next)
			attend(l, next, 2, 9, 9)
		})
		add("zeros", beyond, func(l *suite.Lab) { // a scale of nothing
			next := l.B.Op("TensorScatter", ids{cache(l, "s", 2, 9), l.In(enc.F32, suite.Values(0), 1, 2, 4, 16), l.In(enc.I64, suite.Values(3), 1)})
			l.B.SetState("s", next)
			attend(l, next, 2, 9, 7)
		})
		add("start", beyond, func(l *suite.Lab) {
			next := l.B.Op("TensorScatter", ids{cache(l, "s", 2, 9), l.In(enc.F32, suite.Between(-9, 3), 1, 2, 4, 16)})
			l.B.SetState("s", next)
			attend(l, next, 2, 9, 4)
		})
		add("batch", beyond, func(l *suite.Lab) {
			t := graph.OfInts(enc.F32, 2, 2, 9, 16)
			t.Enc = s.e
			next := l.B.Op("TensorScatter", ids{l.State("s", t, unit), l.In(enc.F32, suite.Between(-1, 5), 2, 2, 3, 16), l.In(enc.I64, suite.Values(5, 0), 2)})
			l.B.SetState("s", next)
			l.Out(l.B.Op("Attention", ids{l.In(enc.F32, unit, 2, 4, 3, 16), next, next, none, none, none, l.In(enc.I64, suite.Values(8, 3), 2)}, aInt("is_causal", 1)))
		})
		if s.e.Kind == enc.Plain {
			add("read", beyond, func(l *suite.Lab) { // by other operators than Attention, and unchanged
				only := cache(l, "s", 2, 4)
				l.Out(l.B.Op("Add", ids{only, only}), l.B.Op("Flatten", ids{only}))
			})
			add("packed", beyond, func(l *suite.Lab) { // positions before heads
				t := graph.OfInts(enc.F32, 1, 9, 32)
				t.Enc = s.e
				next := l.B.Op("TensorScatter", ids{l.State("s", t, unit), l.In(enc.F32, unit, 1, 2, 32), l.In(enc.I64, suite.Values(4), 1)})
				l.B.SetState("s", next)
				l.Out(l.B.Op("Attention", ids{l.In(enc.F32, unit, 1, 2, 64), next, next, none, none, none, l.In(enc.I64, suite.Values(6), 1)}, aInt("q_num_heads", 4), aInt("kv_num_heads", 2), aInt("is_causal", 1)))
			})
		}
	}
	// One executable at more sizes than a device may care to remember.
	out = append(out, suite.Numeric("ops.softmax.f32.many_sizes", both, func(l *suite.Lab) {
		n := l.B.Symbol(dim.Symbol{Name: "n", Min: 1, Max: 40})
		l.Out(l.B.Op("Softmax", ids{l.B.Op("Mul", ids{l.Input(enc.F32, suite.Between(-4, 4), n, dim.Of(7)), l.Weight(enc.F32, enc.Encoding{}, 7)})}))
		for i := range int64(40) {
			l.Step(dim.Binding{"n": 1 + i*27%40})
		}
	}))
	// States of other types.
	for _, e := range enc.Elems() {
		out = append(out, suite.Numeric("ops.tensorscatter.state.of_"+e.String(), beyond, func(l *suite.Lab) {
			next := l.B.Op("TensorScatter", ids{l.State("s", graph.OfInts(e, 1, 5, 3), suite.Between(0, 7)), l.In(e, suite.Between(0, 7), 1, 2, 3), l.In(enc.I64, suite.Values(2), 1)})
			l.B.SetState("s", next)
			l.Out(next)
			l.Step(dim.Binding{})
			l.Step(dim.Binding{})
		}))
	}
	return out
}

// decoder is the attention of a decoder's block over a cache: the rows of each
// step go behind those that are there; chunks of several lengths, then single
// tokens.
func decoder(l *suite.Lab, storage enc.Encoding, heads, kvHeads, head, capacity int64) {
	chunk := l.B.Symbol(dim.Symbol{Name: "chunk", Min: 1, Max: 16})
	t := graph.OfInts(enc.F32, 1, kvHeads, capacity, head)
	t.Enc = storage
	first, valid := l.In(enc.I64, suite.Values(0), 1), l.In(enc.I64, suite.Values(0), 1)
	at := int64(0)
	for i, n := range []int64{5, 16, 1, 1, 3, 1} {
		if i == 2 && capacity > 100 { // far into the cache
			at += 250
		}
		l.Step(dim.Binding{"chunk": n})
		l.Feed(first, suite.Values(float64(at)))
		at += n
		l.Feed(valid, suite.Values(float64(at)))
	}
	rows := func(heads int64) graph.ValueID {
		return l.Input(enc.F32, unit, dim.Of(1), dim.Of(heads), chunk, dim.Of(head))
	}
	store := func(name string) graph.ValueID {
		next := l.B.Op("TensorScatter", ids{l.State(name, t, unit), rows(kvHeads), first}, graph.Int("axis", 2))
		l.B.SetState(name, next)
		return next
	}
	k, v := store("k"), store("v")
	l.Out(l.B.Op("Attention", ids{rows(heads), k, v, none, none, none, valid}, graph.Int("is_causal", 1)))
}
