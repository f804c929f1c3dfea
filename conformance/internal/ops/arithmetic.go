package ops

import (
	"maps"
	"slices"
	"strconv"

	"github.com/heddle-ml/heddle/conformance/internal/suite"
	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/ops"
)

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func dimText(n int64) string { return strconv.FormatInt(n, 10) }

// pair is how two operands are broadcast to each other.
type pair struct {
	name string
	a, b func(l *lab) []dim.Dim
	// models do this.
	common bool
}

// pairs are all ways to broadcast: none, a row, a column, a number, rows and
// columns that cross, over and under, and nothing at all.
var pairs = []pair{
	{"same", dims3, dims3, true},
	{"row", dims3, func(l *lab) []dim.Dim { return []dim.Dim{l.n(7)} }, true},
	{"under", func(l *lab) []dim.Dim { return []dim.Dim{l.n(7)} }, dims3, false},
	{"column", dims3, func(l *lab) []dim.Dim { return []dim.Dim{c(5), c(1)} }, false},
	{"number", dims3, func(*lab) []dim.Dim { return nil }, true},
	{"numbered", func(*lab) []dim.Dim { return nil }, dims3, false},
	{"crossed", func(l *lab) []dim.Dim { return []dim.Dim{l.n(3), c(1), l.n(7)} }, func(*lab) []dim.Dim { return []dim.Dim{c(4), c(1), c(5), c(1)} }, false},
	{"middle", func(l *lab) []dim.Dim { return []dim.Dim{c(2), c(1), l.n(9), c(3)} }, func(l *lab) []dim.Dim { return []dim.Dim{c(2), c(4), c(1), c(3)} }, false},
	{"scalars", func(*lab) []dim.Dim { return nil }, func(*lab) []dim.Dim { return nil }, false},
	{"empty", func(*lab) []dim.Dim { return []dim.Dim{c(0), c(3)} }, func(*lab) []dim.Dim { return []dim.Dim{c(3)} }, false},
	{"wide", func(*lab) []dim.Dim { return []dim.Dim{c(9), c(129)} }, func(*lab) []dim.Dim { return []dim.Dim{c(129)} }, true},
}

func dims3(l *lab) []dim.Dim { return []dim.Dim{l.n(3), c(5), l.n(7)} }

// binary is an operator of two operands, with the ranges of each.
type binary struct {
	name              string
	lo, hi, lo2, hi2  float64
	specials          bool
	profiles          suite.Profile
	attrs             []graph.Attr
	prefix            string // of the names of its forms
	only              ops.TypeSet
	few, oneDirection bool // not all pairs
}

func (o binary) forms() []form {
	var out []form
	for _, p := range pairs {
		if o.oneDirection && slices.Contains([]string{"under", "numbered", "crossed", "middle"}, p.name) || o.few && !p.common {
			continue
		}
		f := use(o.prefix+p.name, func(l *lab) {
			l.call(ids{l.x(o.lo, o.hi, p.a(l)...), l.x(o.lo2, o.hi2, p.b(l)...)}, o.attrs...)
		}).of(o.only)
		if p.common {
			f = f.in(o.profiles)
		}
		out = append(out, f)
	}
	if o.few {
		return out
	}
	out = append(out, use(o.prefix+"tails", func(l *lab) {
		for _, n := range tails {
			l.call(ids{l.x(o.lo, o.hi, c(n)), l.x(o.lo2, o.hi2, c(n))}, o.attrs...)
		}
	}).of(o.only).undivided())
	if o.only == 0 {
		out = append(out, use(o.prefix+"many", func(l *lab) {
			l.call(ids{l.x(o.lo, o.hi, c(40009)), l.x(o.lo2, o.hi2, c(40009))}, o.attrs...)
		}).of(o.standIn()).in(o.profiles).undivided())
	}
	if o.specials {
		out = append(out, use(o.prefix+"special", func(l *lab) {
			l.call(ids{l.special(o.lo, o.hi, c(401)), l.special(o.lo2, o.hi2, c(401))}, o.attrs...)
		}).of(ops.Floats).undivided())
	}
	return out
}

// standIn is one type for what does not depend on it.
func (o binary) standIn() ops.TypeSet {
	types := ops.Get("", o.name).Inputs[0].Types
	for _, e := range []enc.Elem{enc.F32, enc.U8, enc.Bool} {
		if types.Has(e) {
			return ops.Types(e)
		}
	}
	return types
}

// several tries operators of one operand and more.
func several(name string, profiles suite.Profile) operator {
	return forms(name,
		use("one", func(l *lab) { l.call(ids{l.x(-9, 9, l.n(4), c(5))}) }),
		use("two", func(l *lab) { l.call(ids{l.x(-9, 9, l.n(4), c(5)), l.x(-9, 9, l.n(4), c(5))}) }).in(profiles),
		use("three", func(l *lab) { l.call(ids{l.x(-9, 9, c(5)), l.x(-9, 9, l.n(4), c(1)), l.x(-9, 9)}) }),
		use("again", func(l *lab) {
			v := l.x(-9, 9, l.n(4), c(5))
			l.call(ids{v, v, v})
		}),
		use("five", func(l *lab) {
			l.call(ids{l.x(-9, 9, l.n(7), c(33)), l.x(-9, 9, c(33)), l.x(-9, 9, l.n(7), c(33)), l.x(-9, 9, l.n(7), c(1)), l.x(-9, 9, l.n(7), c(33))})
		}),
		use("many", func(l *lab) { l.call(ids{l.x(-9, 9, c(40009)), l.x(-9, 9, c(40009))}) }).float().undivided(),
		use("empty", func(l *lab) { l.call(ids{l.x(-9, 9, c(0), c(5)), l.x(-9, 9, c(5))}) }).undivided(),
	).mostly(ops.Floats|ops.Types(enc.I8, enc.U16), "two", "three")
}

func arithmetic() []operator {
	list := []binary{
		{name: "Add", lo: -9, hi: 9, lo2: -9, hi2: 9, specials: true, profiles: both},
		{name: "Sub", lo: 5, hi: 9, lo2: 0, hi2: 5, specials: true},
		{name: "Mul", lo: -9, hi: 9, lo2: -9, hi2: 9, specials: true, profiles: both},
		{name: "Div", lo: -9, hi: 9, lo2: 1, hi2: 4, specials: true},
		{name: "PRelu", lo: -9, hi: 9, lo2: 0, hi2: 3, oneDirection: true},
		{name: "Mod", prefix: "fmod_", lo: -9, hi: 9, lo2: 1, hi2: 4, attrs: []graph.Attr{aInt("fmod", 1)}},
		{name: "Mod", prefix: "negative_", lo: -9, hi: 9, lo2: -4, hi2: -1, only: ops.Signed},
		{name: "Mod", prefix: "positive_", lo: -9, hi: 9, lo2: 1, hi2: 4, only: ops.Integers, few: true},
		{name: "Equal", lo: 0, hi: 3, lo2: 0, hi2: 3, specials: true},
		{name: "Less", lo: 0, hi: 3, lo2: 0, hi2: 3, specials: true},
		{name: "LessOrEqual", lo: 0, hi: 3, lo2: 0, hi2: 3, specials: true},
		{name: "Greater", lo: 0, hi: 3, lo2: 0, hi2: 3, specials: true},
		{name: "GreaterOrEqual", lo: 0, hi: 3, lo2: 0, hi2: 3, specials: true},
		{name: "And", lo: 0, hi: 1, lo2: 0, hi2: 1}, {name: "Or", lo: 0, hi: 1, lo2: 0, hi2: 1}, {name: "Xor", lo: 0, hi: 1, lo2: 0, hi2: 1},
		{name: "BitwiseAnd", lo: 0, hi: 127, lo2: 0, hi2: 127}, {name: "BitwiseOr", lo: 0, hi: 127, lo2: 0, hi2: 127}, {name: "BitwiseXor", lo: 0, hi: 127, lo2: 0, hi2: 127},
		{name: "BitShift", prefix: "left_", lo: 0, hi: 255, lo2: 0, hi2: 12, attrs: []graph.Attr{aStr("direction", "LEFT")}},
		{name: "BitShift", prefix: "right_", lo: 0, hi: 255, lo2: 0, hi2: 12, attrs: []graph.Attr{aStr("direction", "RIGHT")}},
	}
	var out []operator
	for _, b := range list {
		fs := b.forms()
		if i := slices.IndexFunc(out, func(o operator) bool { return o.name == b.name }); i >= 0 {
			out[i].forms = append(out[i].forms, fs...)
			continue
		}
		out = append(out, operator{b.name, fs})
	}
	for i := range out {
		out[i].mostly(ops.Types(enc.F32, enc.F16, enc.U8), "same", "row", "number", "fmod_same", "fmod_row", "left_same", "right_same")
	}
	add := func(name string, fs ...form) {
		i := slices.IndexFunc(out, func(o operator) bool { return o.name == name })
		out[i].forms = append(out[i].forms, fs...)
	}
	// SigLIP's bias and positions, MiniCPM's gate and residual.
	add("Add",
		use("t40_h1152", func(l *lab) { l.call(ids{l.x(-2, 2, c(1), c(40), c(1152)), l.x(-1, 1, c(40), c(1152))}) }).in(vision).float(),
		use("t729_h36", func(l *lab) { l.call(ids{l.x(-2, 2, c(1), c(729), c(36)), l.x(-1, 1, c(36))}) }).in(vision).float(),
		use("t5_h2304", func(l *lab) { l.call(ids{l.x(-2, 2, c(1), c(5), c(2304)), l.x(-1, 1, c(1), c(5), c(2304))}) }).in(text).float(),
		use("constant", func(l *lab) { l.call(ids{l.x(-2, 2, l.n(5), c(65)), l.weight(-1, 1, 65)}) }).in(both))
	add("Mul",
		use("t5_f5760", func(l *lab) { l.call(ids{l.x(-2, 2, c(1), c(5), c(5760)), l.x(-1, 1, c(1), c(5), c(5760))}) }).in(text).float(),
		use("scale", func(l *lab) { l.call(ids{l.x(-2, 2, c(1), l.n(5), c(2304)), l.scalar(0.2218801)}) }).in(text).float())
	add("Div",
		use("negative", func(l *lab) { l.call(ids{l.x(-99, 99, l.n(3), c(33)), l.x(-7, -1, c(33))}) }).of(ops.Floats|ops.Signed),
		use("integers", func(l *lab) { l.call(ids{l.x(0, 120, c(65)), l.x(1, 100, c(65))}) }).of(ops.Integers))
	return append(out,
		several("Max", beyond), several("Min", beyond), several("Sum", beyond), several("Mean", beyond),
		forms("Pow",
			use("plain", func(l *lab) { l.call(ids{l.x(1, 3, l.n(3), c(65)), l.x(0, 3, c(65))}) }),
			use("square", func(l *lab) { l.call(ids{l.x(-3, 3, l.n(3), c(65)), l.scalar(2)}) }),
			use("cube", func(l *lab) { l.call(ids{l.x(-3, 3, l.n(3), c(65)), l.scalar(3)}) }),
			use("root", func(l *lab) { l.call(ids{l.x(0, 9, l.n(3), c(65)), l.scalar(0.5)}) }).of(ops.Floats),
			use("negative", func(l *lab) { l.call(ids{l.x(0.5, 3, l.n(3), c(5)), l.x(-3, 0, c(5))}) }).of(ops.Floats),
			use("int_negative", func(l *lab) {
				l.call(ids{l.vector(1, -1, -1, 2, -2, 5), l.list(l.e, []int64{6}, -2, -2, -3, -1, -2, 0)})
			}).of(ops.Types(enc.I64, enc.I32)),
			use("byte", func(l *lab) { l.call(ids{l.x(1, 3, l.n(3), c(5)), l.of(enc.U8, 0, 3, c(5))}) }),
			use("half", func(l *lab) { l.call(ids{l.x(1, 3, l.n(3), c(5)), l.of(enc.F16, 0, 3)}) }),
			use("long", func(l *lab) { l.call(ids{l.x(1, 3, c(1), l.n(5)), l.of(enc.I64, 0, 3, c(7), c(1))}) }),
			use("double", func(l *lab) { l.call(ids{l.x(1, 3, c(1), l.n(5)), l.of(enc.F64, 0, 3, c(7), c(1))}) }),
			use("int", func(l *lab) { l.call(ids{l.x(1, 3, c(4)), l.of(enc.I32, 0, 3, c(4))}) }),
			use("types", func(l *lab) {
				for _, e := range []enc.Elem{enc.BF16, enc.I16, enc.I8, enc.U64, enc.U32, enc.U16} {
					l.call(ids{l.x(1, 3, c(5)), l.of(e, 0, 3, c(5))})
				}
			}).of(ops.Types(enc.F32, enc.I32)),
			use("edges", func(l *lab) {
				l.call(ids{l.vector(0, 0, 1, 2, 4, -2, -2, 1), l.vector(0, 2, 60, 0, 0.5, 3, 2, -3)})
			}).of(ops.Floats)),
		forms("SwiGLU",
			use("plain", func(l *lab) { l.call(ids{l.x(-4, 4, l.n(3), c(65)), l.x(-1, 1, l.n(3), c(65))}) }),
			use("alpha", func(l *lab) { l.call(ids{l.x(-4, 4, l.n(3), c(5)), l.x(-1, 1, l.n(3), c(5))}, aFloat("alpha", 0.7)) }),
			use("t3_f5760", func(l *lab) { l.call(ids{l.x(-4, 4, c(3), c(5760)), l.x(-1, 1, c(3), c(5760))}) }).float(),
			use("empty", func(l *lab) { l.call(ids{l.x(-4, 4, c(0), c(5)), l.x(-1, 1, c(0), c(5))}) }).undivided()),
		forms("Where", wheres()...),
	)
}

// wheres picks numbers of each type, for which the condition is the first
// operand.
func wheres() (out []form) {
	for _, e := range enc.Elems() {
		if !ops.Get("", "Where").Inputs[1].Types.Has(e) {
			continue
		}
		f := use("of_"+e.String(), func(l *lab) {
			l.call(ids{l.x(0, 1, l.n(3), c(1), l.n(7)), l.of(e, 0, 9, c(5), c(1)), l.of(e, 0, 9, l.n(7))})
			l.call(ids{l.x(0, 1, c(33)), l.of(e, 0, 9, c(33)), l.of(e, 0, 9)})
			l.call(ids{l.x(0, 1), l.of(e, 0, 9, c(17)), l.of(e, 0, 9, c(17))})
			l.call(ids{l.x(0, 1, c(4), c(1)), l.of(e, 0, 9), l.of(e, 0, 9, c(5))})
		})
		out = append(out, f)
	}
	return append(out,
		use("images", func(l *lab) { // image embeddings in place of those of tokens
			l.call(ids{l.x(0, 1, c(1), l.n(9), c(1)), l.of(enc.F32, -1, 1, c(1), l.n(9), c(65)), l.of(enc.F32, -1, 1, c(1), l.n(9), c(65))})
		}).in(both),
		use("t5_h2304", func(l *lab) {
			l.call(ids{l.x(0, 1, c(1), c(5), c(1)), l.of(enc.F32, -1, 1, c(1), c(5), c(2304)), l.of(enc.F32, -1, 1, c(1), c(5), c(2304))})
		}).in(both),
		use("nan", func(l *lab) { // what is not chosen does not matter
			l.call(ids{l.x(0, 1, c(65)), l.In(enc.F32, suite.Fill{Lo: -1, Hi: 1, Special: true}, 65), l.In(enc.F32, suite.Fill{Lo: -1, Hi: 1, Special: true}, 65)})
		}),
		use("many", func(l *lab) { l.call(ids{l.x(0, 1, c(40009)), l.of(enc.F32, 0, 9, c(40009)), l.of(enc.F32, 0, 9)}) }),
		use("empty", func(l *lab) { l.call(ids{l.x(0, 1, c(0)), l.of(enc.F32, 0, 9), l.of(enc.F32, 0, 9)}) }),
	)
}
