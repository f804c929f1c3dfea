package ops

import (
	"fmt"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
)

func init() {
	for _, u := range []struct {
		name    string
		version int
		types   TypeSet
		class   Class
		doc     string
	}{
		{"Abs", 13, Numbers, Exact, "The absolute value; the least signed integer stays as it is."},
		{"Sign", 13, Numbers, Exact, "-1, 0 or 1 by the sign; NaN for NaN."},
		{"Ceil", 13, Floats, Exact, "Rounds up to an integer."},
		{"Floor", 13, Floats, Exact, "Rounds down to an integer."},
		{"Round", 22, Floats, Exact, "Rounds to the nearest integer, halves to even."},
		{"Sqrt", 13, Floats, Rounded, "The square root; NaN for negative numbers."},
		{"Reciprocal", 13, Floats, Rounded, "One divided by the element."},
		{"Exp", 13, Floats, Approximate, "e to the power of the element."},
		{"Log", 13, Floats, Approximate, "The natural logarithm."},
		{"Sin", 22, Floats, Approximate, "The sine of radians."},
		{"Cos", 22, Floats, Approximate, "The cosine of radians."},
		{"Tan", 22, Floats, Approximate, "The tangent of radians."},
		{"Asin", 22, Floats, Approximate, "The arcsine in radians; NaN outside of -1..1."},
		{"Acos", 22, Floats, Approximate, "The arccosine in radians; NaN outside of -1..1."},
		{"Atan", 22, Floats, Approximate, "The arctangent in radians."},
		{"Sinh", 22, Floats, Approximate, "The hyperbolic sine."},
		{"Cosh", 22, Floats, Approximate, "The hyperbolic cosine."},
		{"Asinh", 22, Floats, Approximate, "The inverse hyperbolic sine."},
		{"Acosh", 22, Floats, Approximate, "The inverse hyperbolic cosine; NaN below 1."},
		{"Atanh", 22, Floats, Approximate, "The inverse hyperbolic tangent; NaN outside of -1..1."},
		{"Erf", 13, Floats, Approximate, "The Gauss error function."},
		{"Tanh", 13, Floats, Approximate, "The hyperbolic tangent."},
		{"Sigmoid", 13, Floats, Approximate, "1/(1+exp(-x))."},
	} {
		Register(unary(u.name, u.version, u.types, u.class, u.doc))
	}

	neg := unary("Neg", 13, signedNumbers, Exact, "The negative value.")
	neg.Fold = func(c *graph.Call) ([]dim.Dim, bool) {
		ds, ok := foldable(c, 0)
		out := make([]dim.Dim, len(ds))
		for i, d := range ds {
			out[i] = d.MulInt(-1)
			ok = ok && out[i].Valid() == nil
		}
		return out, ok
	}
	Register(neg)
	Register(arithmetic("Add", 14, Numbers, Rounded, "The sum; integers wrap.",
		func(_ *graph.Call, a, b dim.Dim) (dim.Dim, bool) { return a.Add(b), true }))
	Register(arithmetic("Sub", 14, Numbers, Rounded, "The difference; integers wrap.",
		func(_ *graph.Call, a, b dim.Dim) (dim.Dim, bool) { return a.Sub(b), true }))
	Register(arithmetic("Mul", 14, Numbers, Rounded, "The product; integers wrap.",
		func(_ *graph.Call, a, b dim.Dim) (dim.Dim, bool) { return a.Mul(b), true }))
	Register(arithmetic("Div", 14, Numbers, Rounded, "The quotient; of integers, truncated toward zero.", divDims))
	mod := arithmetic("Mod", 13, Numbers, Rounded,
		"The remainder of the division: with the divisor's sign (integers), or with the dividend's where fmod is 1 (floats must have it).", modDims)
	mod.Attrs = []AttrSpec{{Name: "fmod", Kind: graph.AttrInt, Default: "0"}}
	mod.Infer = func(c *graph.Call) ([]graph.Type, error) {
		if c.Type(0).Elem.IsFloat() && c.Attrs.Int("fmod", 0) != 1 {
			return nil, fmt.Errorf("%s: floating-point operands need attribute fmod = 1", describe(c, 0))
		}
		return inferBroadcast(c)
	}
	Register(mod)

	Register(Op{
		Ref: onnx("Pow", 15), Doc: "X to the power of Y, in the type of X.",
		Inputs: []Param{
			{Name: "X", Types: Floats | Indices, Same: "T"},
			{Name: "Y", Types: Numbers},
		},
		Outputs: []Param{{Name: "Z", Types: Floats | Indices, Same: "T"}},
		Infer:   inferBroadcast, Class: Approximate,
	})

	Register(variadic("Max", Numbers, Exact, "The greatest of the operands; NaN if one is NaN.",
		func(c *graph.Call, a, b dim.Dim) (dim.Dim, bool) { return larger(c, a, b) }))
	Register(variadic("Min", Numbers, Exact, "The least of the operands; NaN if one is NaN.",
		func(c *graph.Call, a, b dim.Dim) (dim.Dim, bool) {
			m, ok := larger(c, a, b)
			return a.Add(b).Sub(m), ok
		}))
	sum := variadic("Sum", Floats, Rounded, "The sum of the operands, from the first to the last.", nil)
	sum.Decompose = func(b *graph.Builder, _ *graph.Call, in []graph.ValueID) ([]graph.ValueID, error) {
		return decomposed(b, addAll(b, in))
	}
	Register(sum)
	mean := variadic("Mean", Floats, Rounded, "The mean of the operands.", nil)
	mean.Decompose = func(b *graph.Builder, _ *graph.Call, in []graph.ValueID) ([]graph.ValueID, error) {
		s := addAll(b, in)
		return decomposed(b, b.Op("Div", values{s, scalar(b, b.Type(s).Elem, float64(len(in)))}))
	}
	Register(mean)

	Register(Op{
		Ref: onnx("Clip", 13), Doc: "Bounds each element by min and max, scalars; max wins where min exceeds it, NaN stays NaN.",
		Inputs: []Param{
			{Name: "input", Types: Numbers, Same: "T"},
			{Name: "min", Types: Numbers, Same: "T", Optional: true},
			{Name: "max", Types: Numbers, Same: "T", Optional: true},
		},
		Outputs: in1("output", Numbers),
		Infer: func(c *graph.Call) ([]graph.Type, error) {
			for i := 1; i <= 2; i++ {
				if n := product(c.Type(i).Shape...); c.Has(i) && !n.Is(1) {
					return nil, fmt.Errorf("%s: want a scalar", describe(c, i))
				}
			}
			return likeFirst(c)
		},
		Decompose: decomposeClip, Class: Exact,
	})
}

func unary(name string, version int, types TypeSet, class Class, doc string) Op {
	return Op{
		Ref: onnx(name, version), Doc: doc,
		Inputs: in1("X", types), Outputs: in1("Y", types),
		Infer: likeFirst, Class: class,
	}
}

// inferBroadcast gives one output of the first input's element type and the
// joint shape of all inputs.
func inferBroadcast(c *graph.Call) ([]graph.Type, error) {
	s, err := broadcastInputs(c)
	if err != nil {
		return nil, err
	}
	return result(c.Type(0).Elem, s)
}

type foldFunc func(c *graph.Call, a, b dim.Dim) (dim.Dim, bool)

func arithmetic(name string, version int, types TypeSet, class Class, doc string, fold foldFunc) Op {
	o := Op{
		Ref: onnx(name, version), Doc: doc,
		Inputs:  []Param{{Name: "A", Types: types, Same: "T"}, {Name: "B", Types: types, Same: "T"}},
		Outputs: in1("C", types),
		Infer:   inferBroadcast, Class: class,
	}
	if fold != nil {
		o.Fold = func(c *graph.Call) ([]dim.Dim, bool) { return foldPairs(c, fold) }
	}
	return o
}

func variadic(name string, types TypeSet, class Class, doc string, fold foldFunc) Op {
	o := Op{
		Ref: onnx(name, 13), Doc: doc,
		Inputs:  []Param{{Name: "data", Types: types, Same: "T", Variadic: true}},
		Outputs: in1("result", types),
		Infer:   inferBroadcast, Class: class,
		Cost: func(c *graph.Call, out []graph.Type, b dim.Binding) (Cost, error) {
			k, err := MoveCost(c, out, b)
			k.FLOPs *= float64(len(c.In))
			return k, err
		},
	}
	if fold != nil {
		o.Fold = func(c *graph.Call) ([]dim.Dim, bool) { return foldPairs(c, fold) }
	}
	return o
}

// foldPairs applies f from the first input to the last, broadcasting vectors
// of one element.
func foldPairs(c *graph.Call, f foldFunc) ([]dim.Dim, bool) {
	acc, ok := foldable(c, 0)
	if !ok {
		return nil, false
	}
	for i := 1; i < len(c.In); i++ {
		ds, ok := foldable(c, i)
		if !ok || len(ds) != len(acc) && len(ds) != 1 && len(acc) != 1 {
			return nil, false
		}
		n := len(acc)
		if len(acc) == 1 {
			n = len(ds) // an empty vector with one element is empty
		}
		next := make([]dim.Dim, n)
		for k := range next {
			a, b := acc[min(k, len(acc)-1)], ds[min(k, len(ds)-1)]
			d, ok := f(c, a, b)
			if !ok || d.Valid() != nil {
				return nil, false
			}
			next[k] = d
		}
		acc = next
	}
	return acc, true
}

// divDims divides where flooring (dimensions) and truncation (ONNX) agree.
func divDims(c *graph.Call, a, b dim.Dim) (dim.Dim, bool) {
	n, ok := b.Const()
	if !ok || n <= 0 {
		if m, isConst := a.Const(); isConst && ok && n < 0 {
			return dim.Of(m / n), true
		}
		return dim.Dim{}, false
	}
	if m, ok := a.Const(); ok {
		return dim.Of(m / n), true
	}
	q := a.Div(n)
	if q.MulInt(n).Equal(a) {
		return q, true // exact
	}
	lo, _ := bounds(c, a)
	return q, lo >= 0
}

func modDims(c *graph.Call, a, b dim.Dim) (dim.Dim, bool) {
	n, ok := b.Const()
	if !ok || n <= 0 {
		return dim.Dim{}, false
	}
	if c.Attrs.Int("fmod", 0) == 1 {
		if lo, _ := bounds(c, a); lo < 0 {
			return dim.Dim{}, false
		}
	}
	return a.Sub(a.Div(n).MulInt(n)), true
}

// larger returns the greater of two dimensions, if the bounds of the symbols
// tell.
func larger(c *graph.Call, a, b dim.Dim) (dim.Dim, bool) {
	lo, hi := bounds(c, a.Sub(b))
	switch {
	case lo >= 0:
		return a, true
	case hi <= 0:
		return b, true
	}
	return dim.Dim{}, false
}

// addAll sums values pairwise from the left; one value is its own sum.
func addAll(b *graph.Builder, in []graph.ValueID) graph.ValueID {
	if len(in) == 1 {
		return b.Op("Identity", in)
	}
	s := in[0]
	for _, v := range in[1:] {
		s = b.Op("Add", values{s, v})
	}
	return s
}

// decomposeClip follows ONNX's function body: comparisons keep NaN, and max
// is applied last.
func decomposeClip(b *graph.Builder, _ *graph.Call, in []graph.ValueID) ([]graph.ValueID, error) {
	x, lo, hi := in[0], input(in, 1), input(in, 2)
	if lo == graph.NoValue && hi == graph.NoValue {
		return decomposed(b, b.Op("Identity", values{x}))
	}
	if lo != graph.NoValue {
		lo = reshape(b, lo)
		x = b.Op("Where", values{b.Op("Less", values{x, lo}), lo, x})
	}
	if hi != graph.NoValue {
		hi = reshape(b, hi)
		x = b.Op("Where", values{b.Op("Less", values{hi, x}), hi, x})
	}
	return decomposed(b, x)
}
