package ops

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
)

// Sets of element types that recur in ONNX's operator set.
const (
	// anything is ONNX's "all tensor types" before sub-byte integers came.
	anything = Numbers | Bools
	// wide is what reductions and matrix products of integers take.
	wide = Floats | TypeSet(1<<enc.I64|1<<enc.I32|1<<enc.U64|1<<enc.U32)
	// signedNumbers can be negative, so negation and Relu make sense.
	signedNumbers = Floats | Signed
	codes8        = TypeSet(1<<enc.I8 | 1<<enc.U8)
	i64Only       = TypeSet(1 << enc.I64)
	f32Only       = TypeSet(1 << enc.F32)
	i32Only       = TypeSet(1 << enc.I32)
	u8Only        = TypeSet(1 << enc.U8)
)

func onnx(name string, version int) graph.OpRef {
	return graph.OpRef{Name: name, Version: version}
}

// in1 describes a single operand, or a single result, of type T.
func in1(name string, types TypeSet) []Param {
	return []Param{{Name: name, Types: types, Same: "T"}}
}

// describe names input i and its type, for messages.
func describe(c *graph.Call, i int) string {
	name := ""
	if o := Get(c.Op.Domain, c.Op.Name); o != nil {
		name = paramName(o.Inputs, i)
	}
	return fmt.Sprintf("input %d (%s) %s", i, name, c.Type(i))
}

// result is what Infer returns for an operator with one output.
func result(elem enc.Elem, shape dim.Shape) ([]graph.Type, error) {
	return []graph.Type{{Elem: elem, Shape: shape}}, nil
}

// likeFirst infers one output of the first input's type.
func likeFirst(c *graph.Call) ([]graph.Type, error) {
	return result(c.Type(0).Elem, c.Type(0).Shape)
}

// normAxis counts a negative axis from the end.
func normAxis(axis int64, rank int) (int, error) {
	a := axis
	if a < 0 {
		a += int64(rank)
	}
	if a < 0 || a >= int64(rank) {
		return 0, fmt.Errorf("axis %d is outside of rank %d", axis, rank)
	}
	return int(a), nil
}

// normAxes is normAxis for a list, in which no axis may occur twice. The
// order is kept.
func normAxes(axes []int64, rank int) ([]int, error) {
	out := make([]int, len(axes))
	for i, a := range axes {
		n, err := normAxis(a, rank)
		if err != nil {
			return nil, err
		}
		if slices.Contains(out[:i], n) {
			return nil, fmt.Errorf("axis %d occurs twice", a)
		}
		out[i] = n
	}
	return out, nil
}

// attrAxis reads attribute "axis" for a tensor of the given rank.
func attrAxis(c *graph.Call, def int64, rank int) (int, error) {
	a, err := normAxis(c.Attrs.Int("axis", def), rank)
	if err != nil {
		return 0, fmt.Errorf("attribute axis: %w", err)
	}
	return a, nil
}

// operand returns the integers of a Const input, symbolic or not.
func operand(c *graph.Call, i int) ([]dim.Dim, error) {
	ds, ok := c.In[i].Dims()
	if n, isConst := product(c.Type(i).Shape...).Const(); !ok || !isConst || n != int64(len(ds)) {
		return nil, fmt.Errorf("%s: want a vector of integers that the graph itself carries", describe(c, i))
	}
	return ds, nil
}

// intOperand is operand for an input that may not be symbolic: axes, steps.
func intOperand(c *graph.Call, i int) ([]int64, error) {
	ds, err := operand(c, i)
	if err != nil {
		return nil, err
	}
	ns, ok := dim.Shape(ds).Const()
	if !ok {
		return nil, fmt.Errorf("%s holds %s: want numbers without symbols", describe(c, i), dim.Shape(ds))
	}
	return ns, nil
}

// broadcast joins two shapes as NumPy does. Symbolic dimensions must be equal
// as expressions, or one of them 1.
func broadcast(a, b dim.Shape) (dim.Shape, error) {
	if len(a) < len(b) {
		a, b = b, a
	}
	out := slices.Clone(a)
	skip := len(a) - len(b)
	for i, e := range b {
		d := a[skip+i]
		switch {
		case d.Equal(e) || e.Is(1):
		case d.Is(1):
			out[skip+i] = e
		default:
			return nil, fmt.Errorf("dimension %s meets %s: want equal dimensions, or 1", d, e)
		}
	}
	return out, nil
}

// broadcastInputs joins the shapes of all inputs that are present.
func broadcastInputs(c *graph.Call) (dim.Shape, error) {
	var out dim.Shape
	for i, v := range c.In {
		if v == nil {
			continue
		}
		s, err := broadcast(out, v.Type.Shape)
		if err != nil {
			return nil, fmt.Errorf("%s does not broadcast with shape %s of %s: %w", describe(c, i), out, earlier(c, i), err)
		}
		out = s
	}
	return out, nil
}

func earlier(c *graph.Call, i int) string {
	if i == 1 {
		o := Get(c.Op.Domain, c.Op.Name)
		return fmt.Sprintf("input 0 (%s)", paramName(o.Inputs, 0))
	}
	return "the inputs before it"
}

// broadcastsTo checks that a shape stretches to another without changing it.
func broadcastsTo(from, to dim.Shape) error {
	s, err := broadcast(from, to)
	if err != nil {
		return err
	}
	if !s.Equal(to) {
		return fmt.Errorf("it would stretch the shape to %s", s)
	}
	return nil
}

// product multiplies dimensions. It is invalid when two are symbolic.
func product(ds ...dim.Dim) dim.Dim {
	p := dim.Of(1)
	for _, d := range ds {
		p = p.Mul(d)
	}
	return p
}

// bounds returns the least and greatest value of d, as far as they are known.
func bounds(c *graph.Call, d dim.Dim) (lo, hi int64) {
	lo, hi, err := d.Bounds(c.Symbols)
	if err != nil {
		return math.MinInt64, math.MaxInt64
	}
	return lo, hi
}

// wanted builds the outputs of a call: makes has the maker of each output's
// value, called only where the output is used.
func wanted(c *graph.Call, makes ...func() graph.ValueID) []graph.ValueID {
	out := make([]graph.ValueID, len(c.Out))
	for i := range out {
		out[i] = graph.NoValue
		if c.Want(i) && i < len(makes) {
			out[i] = makes[i]()
		}
	}
	return out
}

// rebind returns c with the operands that it has in b.
func rebind(b *graph.Builder, c *graph.Call, in []graph.ValueID) *graph.Call {
	d := *c
	d.In = make([]*graph.Value, len(in))
	for i, v := range in {
		d.In[i] = b.Value(v)
	}
	return &d
}

// decomposed is what Decompose returns for an operator with one output.
func decomposed(b *graph.Builder, v graph.ValueID) ([]graph.ValueID, error) {
	return []graph.ValueID{v}, b.Err()
}

// values shortens decompositions.
type values = []graph.ValueID

// input returns in[i], NoValue when it is omitted.
func input(in []graph.ValueID, i int) graph.ValueID {
	if i < len(in) {
		return in[i]
	}
	return graph.NoValue
}

// viewCost is the cost of an operator that gives the same bytes another type,
// or whose result is known without running: nothing.
func viewCost(*graph.Call, []graph.Type, dim.Binding) (Cost, error) { return Cost{}, nil }

// opsPerElement returns a cost of n operations for each element of input 0.
func opsPerElement(n float64) func(*graph.Call, []graph.Type, dim.Binding) (Cost, error) {
	return func(c *graph.Call, out []graph.Type, b dim.Binding) (Cost, error) {
		k, err := MoveCost(c, out, b)
		if err != nil {
			return Cost{}, err
		}
		e, err := elements(c.Type(0), b)
		k.FLOPs = n * e
		return k, err
	}
}

// foldable returns the symbolic integers of input i for Fold.
func foldable(c *graph.Call, i int) ([]dim.Dim, bool) {
	if !c.Has(i) || !Indices.Has(c.Type(i).Elem) || c.Type(i).Rank() > 1 {
		return nil, false
	}
	return c.In[i].Dims()
}

// foldSame folds operators that keep the integers of input 0 in order.
func foldSame(c *graph.Call) ([]dim.Dim, bool) {
	ds, ok := foldable(c, 0)
	if !ok {
		return nil, false
	}
	types, err := Standard.Infer(c)
	if err != nil || !Indices.Has(types[0].Elem) || types[0].Rank() > 1 {
		return nil, false
	}
	return ds, true
}

// maxFold bounds how many integers Fold makes out of few.
const maxFold = 4096

var errSymbolic = errors.New("it cannot be decided for all values of the symbols: specialise them or tighten their bounds")
