package ops

import (
	"fmt"
	"slices"
	"strings"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
)

func init() {
	Register(Op{
		Ref: onnx("Einsum", 12),
		Doc: "The sum of products that the equation spells out: dimensions of one letter go together, and those that the result does not have are summed over. " +
			"... stands for dimensions that broadcast.",
		Inputs:  []Param{{Name: "Inputs", Types: narrow, Same: "T", Variadic: true}},
		Outputs: in1("Output", narrow),
		Attrs:   []AttrSpec{{Name: "equation", Kind: graph.AttrString, Required: true}},
		Infer: func(c *graph.Call) ([]graph.Type, error) {
			e, err := einsumOf(c)
			if err != nil {
				return nil, err
			}
			return result(c.Type(0).Elem, e.shape(e.out))
		},
		Cost: costEinsum, Decompose: decomposeEinsum, Class: Contraction,
	})
}

// A label names dimensions that go together: a letter, or the dimension that
// the ellipsis stands for at some place from the end, as a negative number.
type label int

// einsum is an equation with the dimensions of its operands.
type einsum struct {
	terms [][]label
	out   []label
	size  map[label]dim.Dim
}

func (e *einsum) shape(labels []label) dim.Shape {
	var s dim.Shape
	for _, l := range labels {
		s = append(s, e.size[l])
	}
	return s
}

func einsumOf(c *graph.Call) (*einsum, error) {
	equation := c.Attrs.Str("equation", "")
	bad := func(format string, args ...any) (*einsum, error) {
		return nil, fmt.Errorf("attribute equation %.64q: %s", equation, fmt.Sprintf(format, args...))
	}
	left, right, explicit := strings.Cut(strings.ReplaceAll(equation, " ", ""), "->")
	terms := strings.Split(left, ",")
	if len(terms) != len(c.In) {
		return bad("it has %d terms for %d operands", len(terms), len(c.In))
	}
	e := &einsum{size: map[label]dim.Dim{}}
	widest := 0
	count := map[label]int{}
	for i, term := range terms {
		s := c.Type(i).Shape
		letters, ok := lettersOf(term)
		if !ok {
			return bad("%.32q is no term", term)
		}
		dots := 0
		if slices.Contains(letters, ellipsis) {
			dots = len(s) - (len(letters) - 1)
			widest = max(widest, dots)
		}
		labels := expandDots(letters, dots)
		if dots < 0 || len(labels) != len(s) {
			return bad("term %.32q does not fit %s", term, describe(c, i))
		}
		for k, l := range labels {
			d, seen := e.size[l]
			switch {
			case !seen || d.Is(1):
				e.size[l] = s[k]
			case !s[k].Is(1) && !d.Equal(s[k]):
				return bad("dimension %d of %s is %s; others that go with it are %s", k, describe(c, i), s[k], d)
			}
			count[l]++
		}
		e.terms = append(e.terms, labels)
	}
	if explicit {
		letters, ok := lettersOf(right)
		if !ok {
			return bad("%.32q is no term", right)
		}
		if e.out = expandDots(letters, widest); widest > 0 && !slices.Contains(letters, ellipsis) {
			return bad("the result lacks the ellipsis")
		}
	} else {
		// What occurs once, the ellipsis first, then letters in order.
		for l := range e.size {
			if l < 0 || count[l] == 1 {
				e.out = append(e.out, l)
			}
		}
		slices.Sort(e.out)
	}
	for i, l := range e.out {
		if _, ok := e.size[l]; !ok || slices.Contains(e.out[:i], l) {
			return bad("the result has a dimension twice, or one that no operand has")
		}
	}
	return e, nil
}

const ellipsis label = 0

// lettersOf reads a term: letters, and at most one ellipsis.
func lettersOf(term string) ([]label, bool) {
	var out []label
	dots := false
	for len(term) > 0 {
		c := term[0]
		switch {
		case 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z':
			out = append(out, label(c))
			term = term[1:]
		case strings.HasPrefix(term, "...") && !dots:
			out = append(out, ellipsis)
			term, dots = term[3:], true
		default:
			return nil, false
		}
	}
	return out, true
}

// expandDots puts n labels, of which the last is -1, for the ellipsis.
func expandDots(letters []label, n int) []label {
	var out []label
	for _, l := range letters {
		if l != ellipsis {
			out = append(out, l)
			continue
		}
		for k := n; k > 0; k-- {
			out = append(out, label(-k))
		}
	}
	return out
}

// costEinsum counts a multiplication for each operand after the first, and an
// addition, for each combination of all dimensions.
func costEinsum(c *graph.Call, out []graph.Type, b dim.Binding) (Cost, error) {
	k, err := MoveCost(c, out, b)
	if err != nil {
		return Cost{}, err
	}
	e, err := einsumOf(c)
	if err != nil {
		return Cost{}, err
	}
	k.FLOPs = float64(len(c.In))
	for _, d := range e.size {
		n, err := d.Eval(b)
		if err != nil {
			return Cost{}, err
		}
		k.FLOPs *= float64(n)
	}
	return k, nil
}

// factor is an operand of the products still to be done; its labels differ.
type factor struct {
	v      graph.ValueID
	labels []label
}

// decomposeEinsum multiplies the operands one after the other, as matrices
// where something is summed over, and sums over each dimension as soon as no
// other operand has it.
func decomposeEinsum(b *graph.Builder, c *graph.Call, in []graph.ValueID) ([]graph.ValueID, error) {
	e, err := einsumOf(rebind(b, c, in))
	if err != nil {
		return nil, err
	}
	elem := b.Type(in[0]).Elem
	work := elem
	if !wide.Has(elem) { // products of narrow integers wrap as wide ones do
		if work = enc.U64; elem.IsSigned() {
			work = enc.I64
		}
	}
	factors := make([]factor, len(in))
	for i, v := range in {
		factors[i] = e.simple(b, factor{cast(b, v, work), e.terms[i]})
	}
	needed := func(l label, rest []factor) bool {
		return slices.Contains(e.out, l) || slices.ContainsFunc(rest, func(f factor) bool { return slices.Contains(f.labels, l) })
	}
	acc := factors[0]
	for i, f := range factors[1:] {
		rest := factors[i+2:]
		acc = sumOver(b, acc, func(l label) bool { return needed(l, append(rest, f)) })
		f = sumOver(b, f, func(l label) bool { return needed(l, append(rest, acc)) })
		acc = e.multiply(b, acc, f, func(l label) bool { return needed(l, rest) })
		if err := b.Err(); err != nil {
			return nil, err
		}
	}
	acc = sumOver(b, acc, func(l label) bool { return needed(l, nil) })
	return decomposed(b, cast(b, arrange(b, acc, e.out), elem))
}

// simple takes the diagonals of dimensions with one label, and removes
// dimensions of 1 that broadcast.
func (e *einsum) simple(b *graph.Builder, f factor) factor {
	for i := 0; i < len(f.labels); i++ {
		for k := len(f.labels) - 1; k > i; k-- {
			if f.labels[k] == f.labels[i] {
				f = e.diagonal(b, f, i, k)
			}
		}
	}
	out := factor{v: f.v}
	var drop []int64
	for i, d := range b.Type(f.v).Shape {
		if l := f.labels[i]; d.Is(1) && !e.size[l].Is(1) {
			drop = append(drop, int64(i))
		} else {
			out.labels = append(out.labels, l)
		}
	}
	if len(drop) > 0 {
		out.v = b.Op("Squeeze", values{f.v, b.Ints(drop...)})
	}
	return out
}

// diagonal keeps of dimensions i < k what has equal positions along both.
func (e *einsum) diagonal(b *graph.Builder, f factor, i, k int) factor {
	t := b.Type(f.v)
	if b.Err() != nil || len(t.Shape) != len(f.labels) {
		return f
	}
	if t.Shape[k].Is(1) || t.Shape[i].Is(1) {
		// One of them broadcasts: it has nothing to pick from.
		drop := k
		if t.Shape[i].Is(1) {
			drop = i
		}
		return factor{b.Op("Squeeze", values{f.v, b.Ints(int64(drop))}), slices.Delete(slices.Clone(f.labels), drop, drop+1)}
	}
	rank := len(t.Shape)
	on := b.Op("Equal", values{along(b, t.Shape[i], rank-1-i), along(b, t.Shape[k], rank-1-k)})
	v := b.Op("Where", values{on, f.v, scalar(b, t.Elem, 0)})
	v = b.Op("ReduceSum", values{v, b.Ints(int64(k))}, graph.Int("keepdims", 0))
	return factor{v, slices.Delete(slices.Clone(f.labels), k, k+1)}
}

// sumOver sums over the dimensions that are not to be kept.
func sumOver(b *graph.Builder, f factor, keep func(label) bool) factor {
	var axes []int64
	var left []label
	for i, l := range f.labels {
		if keep(l) {
			left = append(left, l)
		} else {
			axes = append(axes, int64(i))
		}
	}
	if len(axes) == 0 {
		return f
	}
	return factor{b.Op("ReduceSum", values{f.v, b.Ints(axes...)}, graph.Int("keepdims", 0)), left}
}

// multiply returns the product of two factors, summed over what both have and
// is not to be kept.
func (e *einsum) multiply(b *graph.Builder, x, y factor, keep func(label) bool) factor {
	var batch, sum, rows, cols []label
	for _, l := range x.labels {
		switch both := slices.Contains(y.labels, l); {
		case both && keep(l):
			batch = append(batch, l)
		case both:
			sum = append(sum, l)
		default:
			rows = append(rows, l)
		}
	}
	for _, l := range y.labels {
		if !slices.Contains(x.labels, l) {
			cols = append(cols, l)
		}
	}
	m, k, n := product(e.shape(rows)...), product(e.shape(sum)...), product(e.shape(cols)...)
	all := slices.Concat(batch, rows, cols)
	if len(sum) == 0 || m.Valid() != nil || k.Valid() != nil || n.Valid() != nil {
		// Nothing to sum over, or dimensions that make no matrix.
		full := slices.Concat(all, sum)
		v := b.Op("Mul", values{spread(b, x, full), spread(b, y, full)})
		return sumOver(b, factor{v, full}, func(l label) bool { return !slices.Contains(sum, l) })
	}
	s := e.shape(batch)
	p := reshape(b, arrange(b, x, slices.Concat(batch, rows, sum)), append(slices.Clone(s), m, k)...)
	q := reshape(b, arrange(b, y, slices.Concat(batch, sum, cols)), append(slices.Clone(s), k, n)...)
	return factor{reshape(b, b.Op("MatMul", values{p, q}), e.shape(all)...), all}
}

// arrange brings the dimensions of f into an order.
func arrange(b *graph.Builder, f factor, order []label) graph.ValueID {
	perm := make([]int64, len(order))
	same := true
	for i, l := range order {
		perm[i] = int64(slices.Index(f.labels, l))
		same = same && perm[i] == int64(i)
	}
	if same {
		return f.v
	}
	return b.Op("Transpose", values{f.v}, graph.Ints("perm", perm...))
}

// spread arranges f like full, with dimensions of 1 for the labels it lacks.
func spread(b *graph.Builder, f factor, full []label) graph.ValueID {
	var order []label
	var ones []int64
	for i, l := range full {
		if slices.Contains(f.labels, l) {
			order = append(order, l)
		} else {
			ones = append(ones, int64(i))
		}
	}
	v := arrange(b, f, order)
	if len(ones) == 0 {
		return v
	}
	return b.Op("Unsqueeze", values{v, b.Ints(ones...)})
}
