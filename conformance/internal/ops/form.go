package ops

import (
	"math"
	"slices"
	"strings"

	"github.com/heddle-ml/heddle/conformance/internal/suite"
	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/ops"
)

// Profiles of forms: those whose models compute this.
const (
	beyond  suite.Profile = 0 // no model of a profile needs it
	vision                = suite.Vision
	text                  = suite.Language
	both                  = suite.Vision | suite.Language
	quantum               = suite.Quantized
)

type ids = []graph.ValueID

const none = graph.NoValue

// form is one way to use an operator.
type form struct {
	name string
	// profiles ask for it in f32; in other types it goes beyond them.
	profiles suite.Profile
	// only limits the types of the operator's first input; 0 does not.
	only ops.TypeSet
	// whole forms are not tried as parts: the same was, in another form.
	whole bool
	make  func(l *lab)
}

// in says which profiles ask for the form.
func (f form) in(p suite.Profile) form { f.profiles = p; return f }

// of limits the types.
func (f form) of(s ops.TypeSet) form { f.only = s; return f }

// float is f32 alone: what the form tries does not depend on the type.
func (f form) float() form { return f.of(ops.Types(enc.F32)) }

// undivided leaves the decomposed form out.
func (f form) undivided() form { f.whole = true; return f }

// use is a form.
func use(name string, make func(l *lab)) form { return form{name: name, make: make} }

// lab builds the graph of a case of one operator and element type.
type lab struct {
	*suite.Lab
	op string   // under test
	e  enc.Elem // of its first input
	// symbolic makes sizes symbols where the form lets it: n.
	symbolic bool
	symbols  []dim.Symbol
}

// operator is an operator with its forms.
type operator struct {
	name  string
	forms []form
}

func forms(name string, fs ...form) operator { return operator{name, fs} }

// widths stand for all types where an operator only moves numbers, or treats
// all of them alike: one of each size.
const widths = ops.TypeSet(1<<enc.F32 | 1<<enc.I64 | 1<<enc.F16 | 1<<enc.U8 | 1<<enc.I4)

// mostly tries all forms but the named ones in a few types only.
func (o operator) mostly(types ops.TypeSet, except ...string) operator {
	has := ops.Get(o.split()).Inputs[0].Types
	for i := range o.forms {
		if f := &o.forms[i]; f.only == 0 && has&types != 0 && !slices.Contains(except, f.name) {
			f.only = types
		}
	}
	return o
}

// split returns the domain and the name.
func (o operator) split() (domain, name string) {
	if i := strings.LastIndexByte(o.name, '.'); i >= 0 {
		return o.name[:i], o.name[i+1:]
	}
	return "", o.name
}

// id is the operator's part of an ID.
func (o operator) id() string {
	return strings.ToLower(strings.ReplaceAll(o.name, ".", "_"))
}

// cases returns a case for each form and type, and for one type the forms with
// symbols and those that are taken apart.
func (o operator) cases() []suite.Case {
	op := ops.Get(o.split())
	var out []suite.Case
	for _, f := range o.forms {
		main := f.main(op)
		for _, e := range enc.Elems() {
			if !f.takes(op, e) {
				continue
			}
			id := "ops." + o.id() + "." + e.String() + "." + f.name
			p := f.profiles
			if e != main {
				p &= quantum // vision and language are f32 alone
			}
			out = append(out, suite.Numeric(id, p, f.build(o.name, e, false)))
			if e != main {
				continue
			}
			if l := f.try(o.name, e); len(l.symbols) > 0 {
				out = append(out, suite.Numeric(id+".steps", p, f.build(o.name, e, true)))
			}
			if op.Decompose != nil && !op.Updates && !f.whole {
				out = append(out, suite.Decomposed(id+".decomposed", f.build(o.name, e, false)))
			}
		}
	}
	return out
}

func (f form) takes(op *ops.Op, e enc.Elem) bool {
	return op.Inputs[0].Types.Has(e) && (f.only == 0 || f.only.Has(e))
}

// main is the type that stands for the form.
func (f form) main(op *ops.Op) enc.Elem {
	for _, e := range append([]enc.Elem{enc.F32, enc.I64, enc.U8}, enc.Elems()...) {
		if f.takes(op, e) {
			return e
		}
	}
	panic("ops: form " + f.name + " of " + op.Ref.String() + " takes no type")
}

func (f form) try(op string, e enc.Elem) *lab {
	l := &lab{Lab: suite.NewLab(""), op: op, e: e, symbolic: true}
	f.make(l)
	return l
}

func (f form) build(op string, e enc.Elem, symbolic bool) func(*suite.Lab) {
	return func(sl *suite.Lab) {
		l := &lab{Lab: sl, op: op, e: e, symbolic: symbolic}
		f.make(l)
		if !symbolic {
			return
		}
		// All at their most, at their least, in between, and back: what is
		// left of one run must not show in the next.
		most, least, some := dim.Binding{}, dim.Binding{}, dim.Binding{}
		for i, s := range l.symbols {
			most[s.Name], least[s.Name] = s.Max, s.Min
			some[s.Name] = s.Min + (s.Max-s.Min)*int64(1+i%2)/3
		}
		for _, at := range []dim.Binding{most, least, some, most} {
			l.Step(at)
		}
	}
}

// c is a size that is known.
func c(n int64) dim.Dim { return dim.Of(n) }

// n is a size that symbolic cases leave open: a symbol that takes it as its
// upper bound.
func (l *lab) n(size int64) dim.Dim {
	if !l.symbolic {
		return dim.Of(size)
	}
	s := dim.Symbol{Name: "s" + dim.Of(size).String(), Min: 1, Max: size}
	for _, old := range l.symbols {
		if old.Name == s.Name {
			return dim.Sym(s.Name)
		}
	}
	l.symbols = append(l.symbols, s)
	return l.B.Symbol(s)
}

// x is an input of the type under test.
func (l *lab) x(lo, hi float64, shape ...dim.Dim) graph.ValueID {
	return l.Input(l.e, suite.Between(lo, hi), shape...)
}

// of is an input of another type.
func (l *lab) of(e enc.Elem, lo, hi float64, shape ...dim.Dim) graph.ValueID {
	return l.Input(e, suite.Between(lo, hi), shape...)
}

// special is an input with infinities, NaN and the like among numbers.
func (l *lab) special(lo, hi float64, shape ...dim.Dim) graph.ValueID {
	return l.Input(l.e, suite.Fill{Lo: lo, Hi: hi, Special: true}, shape...)
}

// list is an input of given values.
func (l *lab) list(e enc.Elem, shape []int64, values ...float64) graph.ValueID {
	return l.In(e, suite.Values(values...), shape...)
}

// vector is an input of the type under test with given values: those of them
// that the type has.
func (l *lab) vector(values ...float64) graph.ValueID {
	if l.e.IsInt() {
		least, most := 0.0, math.Ldexp(1, l.e.Bits())
		if l.e.IsSigned() {
			least, most = -most/2, most/2
		}
		values = slices.DeleteFunc(slices.Clone(values), func(v float64) bool { return !(v >= least && v < most) })
	}
	return l.list(l.e, []int64{int64(len(values))}, values...)
}

// scalar is a constant of the type under test.
func (l *lab) scalar(v float64) graph.ValueID { return l.Const(l.e, suite.Values(v)) }

// weight is a constant of the type under test.
func (l *lab) weight(lo, hi float64, shape ...int64) graph.ValueID {
	return l.Const(l.e, suite.Between(lo, hi), shape...)
}

// call applies the operator under test and makes its result an output.
func (l *lab) call(in ids, attrs ...graph.Attr) { l.Out(l.B.Op(l.op, in, attrs...)) }

// calls is call for several results; want tells which are asked for.
func (l *lab) calls(want []bool, in ids, attrs ...graph.Attr) {
	l.Out(l.B.Ops(l.op, in, want, attrs...)...)
}

// tails are the sizes around those that kernels work in: vectors of 8 and 16,
// blocks of 32, 64 and 128.
var tails = []int64{1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129}

// Short names of attributes.
var (
	aInt   = graph.Int
	aFloat = graph.Float
	aStr   = graph.Str
	aInts  = graph.Ints
	aElem  = graph.Elem
)
