package ops

import (
	"math"
	"strings"

	"github.com/heddle-ml/heddle/conformance/internal/suite"
	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/ops"
)

// function is a function of one operand: how it is tried, over which numbers.
type function struct {
	name   string
	lo, hi float64
	// specials tells that infinities, NaN and signed zeros have a defined
	// result; edges are further arguments of interest.
	specials bool
	edges    []float64
	profiles suite.Profile
	attrs    []graph.Attr
	// variants are further attributes to try, by the names of their forms.
	variants map[string][]graph.Attr
}

// operator tries a function at many sizes, on few and many numbers, with
// symbols, and on special numbers.
func (f function) operator() operator {
	plain := func(name string, attrs []graph.Attr) form {
		return use(name, func(l *lab) {
			l.call(ids{l.x(f.lo, f.hi, l.n(3), c(5), l.n(7))}, attrs...)
		}).in(f.profiles)
	}
	fs := []form{
		plain("plain", f.attrs),
		use("tails", func(l *lab) {
			for _, n := range tails {
				l.call(ids{l.x(f.lo, f.hi, c(n))}, f.attrs...)
			}
		}).in(f.profiles).undivided(),
		use("scalar", func(l *lab) { l.call(ids{l.x(f.lo, f.hi)}, f.attrs...) }).undivided(),
		use("empty", func(l *lab) { l.call(ids{l.x(f.lo, f.hi, c(3), c(0))}, f.attrs...) }).undivided(),
	}
	if ops.Get("", f.name).Inputs[0].Types.Has(enc.F32) {
		fs = append(fs, use("many", func(l *lab) { l.call(ids{l.x(f.lo, f.hi, c(70001))}, f.attrs...) }).in(f.profiles).float())
	}
	for _, name := range sorted(f.variants) {
		fs = append(fs, plain(name, f.variants[name]))
	}
	if f.specials {
		fs = append(fs, use("special", func(l *lab) { l.call(ids{l.special(f.lo, f.hi, c(401))}, f.attrs...) }).of(ops.Floats).undivided())
	}
	if f.edges != nil {
		fs = append(fs, use("edges", func(l *lab) { l.call(ids{l.vector(f.edges...)}, f.attrs...) }).undivided())
	}
	return forms(f.name, fs...)
}

// Numbers of interest to several functions.
var (
	inf    = math.Inf(1)
	nan    = math.NaN()
	minus0 = math.Copysign(0, -1)
	// halfway numbers tell ways of rounding apart.
	halfway = []float64{-2.5, -1.5, -1, -0.5, -0.25, minus0, 0, 0.25, 0.5, 1, 1.5, 2.5, 3.5, 1000.5, -1000.5, 2047.5}
	// wide arguments leave the range in which a function says anything.
	wide = []float64{-1e4, -200, -104, -103, -90, -88, -20, -10, -5, 5, 10, 20, 88, 89, 90, 200, 1e4, -inf, inf, nan, 0, minus0}
	// tiny arguments are where small terms vanish.
	tiny = []float64{1e-3, -1e-3, 1e-4, -1e-4, 6e-5, -6e-5, 0, minus0}
)

func functions() []operator {
	variant := func(name string, attrs ...graph.Attr) map[string][]graph.Attr {
		return map[string][]graph.Attr{name: attrs}
	}
	// An attribute of 0 is not the same as none.
	zero := func(v map[string][]graph.Attr, names ...string) map[string][]graph.Attr {
		for _, name := range names {
			v[name+"0"] = []graph.Attr{aFloat(name, 0)}
		}
		return v
	}
	list := []function{
		{name: "Abs", lo: -9, hi: 9, specials: true},
		{name: "Neg", lo: -9, hi: 9, specials: true},
		{name: "Sign", lo: -2, hi: 2, edges: []float64{0, minus0, 1, -1, inf, -inf, 100, -100}},
		{name: "Relu", lo: -3, hi: 3, edges: []float64{0, minus0, -1, inf, -inf, 60000, -60000}, profiles: vision},
		{name: "Ceil", lo: -9, hi: 9, specials: true, edges: halfway},
		{name: "Floor", lo: -9, hi: 9, specials: true, edges: halfway},
		{name: "Round", lo: -9, hi: 9, specials: true, edges: halfway},
		{name: "Reciprocal", lo: 0.1, hi: 9, specials: true, edges: []float64{0, minus0, inf, -inf, -0.125, nan}},
		{name: "Sqrt", lo: 0, hi: 9, specials: true, edges: []float64{0, minus0, -1, inf, 1, 4, 60000, nan}},
		{name: "Exp", lo: -9, hi: 9, edges: append(append([]float64{}, wide...), tiny...)},
		{name: "Log", lo: 0.1, hi: 9, specials: true, edges: []float64{0, minus0, 1, -1, inf, 60000, 1e-4, 0.999, 1.001}},
		{name: "Sin", lo: -9, hi: 9, edges: append([]float64{100, -1000, inf, nan}, tiny...)},
		{name: "Cos", lo: -9, hi: 9, edges: append([]float64{100, -1000, inf, nan}, tiny...)},
		{name: "Tan", lo: -1.4, hi: 1.4, edges: append([]float64{inf, nan}, tiny...)},
		{name: "Asin", lo: -1, hi: 1, edges: append([]float64{-1, 1, 1.5, -inf, nan}, tiny...)},
		{name: "Acos", lo: -1, hi: 1, edges: []float64{-1, 0, 0.5, 1, 1.5, -inf, nan}},
		{name: "Atan", lo: -5, hi: 5, specials: true, edges: tiny},
		{name: "Sinh", lo: -3, hi: 3, edges: append([]float64{20, -20, 9, inf, -inf, nan}, tiny...)},
		{name: "Cosh", lo: -3, hi: 3, edges: append([]float64{20, -20, 9, inf, -inf, nan}, tiny...)},
		{name: "Asinh", lo: -3, hi: 3, edges: append([]float64{1e4, -1e4, inf, -inf, nan}, tiny...)},
		{name: "Acosh", lo: 1, hi: 9, edges: []float64{1, 1.001, 1e4, 0.5, inf, nan}},
		{name: "Atanh", lo: -0.95, hi: 0.95, edges: append([]float64{1, -1, 1.5, nan}, tiny...)},
		{name: "Tanh", lo: -4, hi: 4, edges: append(append([]float64{}, wide...), tiny...)},
		{name: "Erf", lo: -4, hi: 4, edges: append(append([]float64{}, wide...), tiny...)},
		{name: "Sigmoid", lo: -9, hi: 9, edges: append(append([]float64{}, wide...), tiny...), profiles: both},
		{name: "Softplus", lo: -9, hi: 9, edges: []float64{0, 50, -50, 20, -20, 1e4, inf, nan}},
		{name: "Softsign", lo: -9, hi: 9, edges: append([]float64{1e4, -1e4}, tiny...)},
		{name: "Mish", lo: -5, hi: 5, edges: append([]float64{20, -20, 50}, tiny...)},
		{name: "HardSwish", lo: -4, hi: 4, edges: []float64{-3, 3, -3.5, 3.5, 0, 1, 100, -100}},
		{name: "HardSigmoid", lo: -4, hi: 4, edges: []float64{-2.5, 2.5, 0, 100, -100}, variants: zero(variant("alpha", aFloat("alpha", 0.3), aFloat("beta", 0.25)), "alpha", "beta")},
		{name: "LeakyRelu", lo: -3, hi: 3, edges: []float64{0, minus0, -100, 100, inf, -inf, nan}, variants: zero(variant("alpha", aFloat("alpha", 0.3)), "alpha")},
		{name: "ThresholdedRelu", lo: -3, hi: 3, edges: []float64{1, 0.999, 1.001, 0, -5}, variants: zero(variant("alpha", aFloat("alpha", 0.5)), "alpha")},
		{name: "Elu", lo: -3, hi: 3, edges: append([]float64{-20, -100, 100, inf, -inf, nan}, tiny...), variants: zero(variant("alpha", aFloat("alpha", 0.5)), "alpha")},
		{name: "Celu", lo: -3, hi: 3, edges: append([]float64{-20, -100, 100, inf, -inf, nan}, tiny...), variants: variant("alpha", aFloat("alpha", 0.5))},
		{name: "Selu", lo: -3, hi: 3, edges: append([]float64{-20, -100, 100, inf, -inf, nan}, tiny...), variants: variant("alpha", aFloat("alpha", 0.5), aFloat("gamma", 2))},
		{name: "Gelu", lo: -4, hi: 4, edges: append([]float64{-20, -10, -8, -6, 6, 8, 10, 100}, tiny...), profiles: vision},
		{name: "Swish", lo: -6, hi: 6, edges: append([]float64{-20, -50, -80, 20, 50, 80, 100}, tiny...), profiles: text, variants: zero(variant("alpha", aFloat("alpha", 1.5)), "alpha")},
		{name: "Not", lo: 0, hi: 1},
		{name: "BitwiseNot", lo: 0, hi: 99, edges: []float64{0, 1, 2, 64, 127}},
		{name: "Identity", lo: 0, hi: 7, specials: true},
		{name: "Shrink", lo: 0, hi: 3, edges: []float64{0, 1, 2, 100}, variants: zero(variant("bias", aFloat("bias", 0.75), aFloat("lambd", 1.5)), "lambd")},
	}
	var out []operator
	for _, f := range list {
		o := f.operator()
		switch f.name {
		case "Swish": // alpha goes beyond what models use
			for i := range o.forms {
				if strings.HasPrefix(o.forms[i].name, "alpha") {
					o.forms[i].profiles = beyond
				}
			}
		case "Gelu":
			g := f
			g.attrs = []graph.Attr{aStr("approximate", "tanh")}
			for _, t := range g.operator().forms {
				t.name = "tanh_" + t.name
				o.forms = append(o.forms, t)
			}
			// The widths of SigLIP's and InternViT's hidden layers.
			for _, w := range []int64{4304, 4096} {
				for _, how := range []string{"none", "tanh"} {
					o.forms = append(o.forms, use("width"+dimText(w)+"_"+how, func(l *lab) {
						l.call(ids{l.x(-4, 4, c(3), c(w))}, aStr("approximate", how))
					}).in(vision).float().undivided())
				}
			}
		case "Sign", "Shrink":
			o.forms = append(o.forms, use("signed", func(l *lab) { l.call(ids{l.x(-3, 3, l.n(5), c(17))}) }).of(ops.Floats|ops.Signed))
		}
		out = append(out, o.mostly(ops.Floats|ops.Types(enc.I8, enc.U16), "plain", "signed"))
	}
	return append(out,
		forms("IsNaN",
			use("plain", func(l *lab) { l.call(ids{l.special(-1, 1, l.n(3), c(67))}) }),
			use("all", func(l *lab) { l.call(ids{l.vector(1, nan, inf, -inf, -2, 0, minus0)}) })),
		forms("IsInf",
			use("plain", func(l *lab) { l.call(ids{l.special(-1, 1, l.n(3), c(67))}) }),
			use("all", func(l *lab) { l.call(ids{l.vector(1, nan, inf, -inf, -2, 0, minus0)}) }),
			use("positive", func(l *lab) { l.call(ids{l.vector(1, nan, inf, -inf, 0)}, aInt("detect_negative", 0)) }),
			use("negative", func(l *lab) { l.call(ids{l.vector(1, nan, inf, -inf, 0)}, aInt("detect_positive", 0)) }),
			use("neither", func(l *lab) {
				l.call(ids{l.vector(1, nan, inf, -inf, 0)}, aInt("detect_positive", 0), aInt("detect_negative", 0))
			})),
		forms("Clip",
			use("plain", func(l *lab) { l.call(ids{l.x(0, 9, l.n(3), c(67)), l.scalar(2), l.scalar(7)}) }),
			use("least", func(l *lab) { l.call(ids{l.x(0, 9, l.n(3), c(5)), l.scalar(4)}) }),
			use("most", func(l *lab) { l.call(ids{l.x(0, 9, l.n(3), c(5)), none, l.scalar(4)}) }),
			use("open", func(l *lab) { l.call(ids{l.x(0, 9, l.n(3), c(5))}) }),
			use("inputs", func(l *lab) { l.call(ids{l.x(0, 9, l.n(3), c(5)), l.x(2, 3), l.x(5, 6)}) }),
			use("crossed", func(l *lab) { l.call(ids{l.x(0, 9, l.n(3), c(5)), l.scalar(6), l.scalar(3)}) }),
			use("signed", func(l *lab) { l.call(ids{l.x(-9, 9, l.n(3), c(67)), l.scalar(-2), l.scalar(3)}) }).of(ops.Floats|ops.Signed),
			use("infinite", func(l *lab) { l.call(ids{l.vector(inf, -inf, 0, minus0, 1, -1, 60000), l.scalar(-3), l.scalar(3)}) }).of(ops.Floats),
			use("many", func(l *lab) { l.call(ids{l.x(0, 9, c(70001)), l.scalar(2), l.scalar(7)}) }).float().undivided(),
			use("empty", func(l *lab) { l.call(ids{l.x(0, 9, c(0), c(5)), l.scalar(2), l.scalar(7)}) }).undivided()).mostly(widths, "plain", "signed"),
	)
}
