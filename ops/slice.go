package ops

import (
	"fmt"
	"math"
	"slices"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
)

func init() {
	Register(Op{
		Ref: onnx("Concat", 13), Doc: "Joins tensors along an axis.",
		Inputs:  []Param{{Name: "inputs", Types: anything, Same: "T", Variadic: true}},
		Outputs: in1("concat_result", anything),
		Attrs:   []AttrSpec{{Name: "axis", Kind: graph.AttrInt, Required: true}},
		Infer:   inferConcat, Fold: foldConcat,
	})
	Register(Op{
		Ref: onnx("Split", 18),
		Doc: "Cuts a tensor along an axis into parts of the lengths in split, or into num_outputs equal ones, the last of which may be shorter. Versions before 13 gave split as an attribute.",
		Inputs: []Param{
			{Name: "input", Types: anything, Same: "T"},
			{Name: "split", Types: i64Only, Const: true, Optional: true},
		},
		Outputs: []Param{{Name: "outputs", Types: anything, Same: "T", Variadic: true}},
		Attrs: []AttrSpec{
			{Name: "axis", Kind: graph.AttrInt, Default: "0"},
			{Name: "num_outputs", Kind: graph.AttrInt, Default: "given by split"},
		},
		Infer: inferSplit,
	})
	Register(Op{
		Ref: onnx("Slice", 13),
		Doc: "Elements from starts, by steps, up to but without ends, as Python slices: negative positions count from the end, positions beyond it are clamped.",
		Inputs: []Param{
			{Name: "data", Types: anything, Same: "T"},
			{Name: "starts", Types: Indices, Same: "Tind", Const: true},
			{Name: "ends", Types: Indices, Same: "Tind", Const: true},
			{Name: "axes", Types: Indices, Same: "Tind", Const: true, Optional: true},
			{Name: "steps", Types: Indices, Same: "Tind", Const: true, Optional: true},
		},
		Outputs: in1("output", anything),
		Infer:   inferSlice, Fold: foldSlice,
		Cost: func(c *graph.Call, out []graph.Type, b dim.Binding) (Cost, error) {
			return resultCost(c, out, b, 0)
		},
	})
	Register(Op{
		Ref: onnx("Pad", 25),
		Doc: "Adds elements around the operand (negative pads remove them): constant_value, the edge, a reflection without the edge, or the far side (wrap).",
		Inputs: []Param{
			{Name: "data", Types: All, Same: "T"},
			{Name: "pads", Types: i64Only, Const: true},
			{Name: "constant_value", Types: All, Same: "T", Optional: true},
			{Name: "axes", Types: Indices, Const: true, Optional: true},
		},
		Outputs: in1("output", All),
		Attrs:   []AttrSpec{{Name: "mode", Kind: graph.AttrString, Default: "constant"}},
		Infer:   inferPad,
	})
}

// resultCost is the cost of an operator that reads from input i only what it
// gives out, in that input's encoding, and the other inputs in full.
func resultCost(c *graph.Call, out []graph.Type, b dim.Binding, i int) (Cost, error) {
	part := out[0]
	// The part's own shape need not suit the encoding: scale the whole instead.
	all, err := elements(c.Type(i), b)
	if err != nil {
		return Cost{}, err
	}
	taken, err := elements(part, b)
	if err != nil {
		return Cost{}, err
	}
	size, err := sizeOf(c.Type(i), b)
	if err != nil {
		return Cost{}, err
	}
	if all > 0 {
		size *= taken / all
	}
	d := *c
	d.In = slices.Clone(c.In)
	d.In[i] = nil
	k, err := MoveCost(&d, out, b)
	k.Bytes += size
	if c.In[i].Kind == graph.Const {
		k.Weight += size
	}
	return k, err
}

func inferConcat(c *graph.Call) ([]graph.Type, error) {
	first := c.Type(0)
	axis, err := attrAxis(c, 0, first.Rank())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", describe(c, 0), err)
	}
	out := slices.Clone(first.Shape)
	for i := 1; i < len(c.In); i++ {
		s := c.Type(i).Shape
		if len(s) != len(out) {
			return nil, fmt.Errorf("%s cannot be joined to %s: the ranks differ", describe(c, i), describe(c, 0))
		}
		for a := range s {
			if a == axis {
				out[a] = out[a].Add(s[a])
			} else if !s[a].Equal(out[a]) {
				return nil, fmt.Errorf("%s cannot be joined to %s along axis %d: dimension %d differs", describe(c, i), describe(c, 0), axis, a)
			}
		}
	}
	return result(first.Elem, out)
}

func foldConcat(c *graph.Call) ([]dim.Dim, bool) {
	var out []dim.Dim
	for i := range c.In {
		ds, ok := foldable(c, i)
		if !ok || c.Type(i).Rank() != 1 || len(out)+len(ds) > maxFold {
			return nil, false
		}
		out = append(out, ds...)
	}
	return out, true
}

func inferSplit(c *graph.Call) ([]graph.Type, error) {
	in := c.Type(0)
	axis, err := attrAxis(c, 0, in.Rank())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", describe(c, 0), err)
	}
	d := in.Shape[axis]
	n := int64(len(c.Out))
	var parts []dim.Dim
	if c.Has(1) {
		if c.Attrs.Has("num_outputs") {
			return nil, fmt.Errorf("has both the input split and attribute num_outputs")
		}
		if parts, err = operand(c, 1); err != nil {
			return nil, err
		}
		var sum dim.Dim
		for _, p := range parts {
			sum = sum.Add(p)
		}
		// Trailing outputs that are not used may have been dropped.
		if int64(len(parts)) < n || !sum.Equal(d) {
			return nil, fmt.Errorf("%s is cut into %s for %d outputs: the lengths must add up to %s, one for each output", describe(c, 0), dim.Shape(parts), n, d)
		}
	} else {
		// Unused outputs at the end may have been dropped, so their number
		// alone does not tell.
		n = c.Attrs.Int("num_outputs", 0)
		if n < int64(len(c.Out)) {
			return nil, fmt.Errorf("without the input split, attribute num_outputs (now %d) must tell the number of parts, at least %d", n, len(c.Out))
		}
		if parts, err = equalParts(c, d, n); err != nil {
			return nil, fmt.Errorf("%s: %w", describe(c, 0), err)
		}
	}
	out := make([]graph.Type, len(c.Out))
	for i := range out {
		s := slices.Clone(in.Shape)
		s[axis] = parts[i]
		out[i] = graph.Type{Elem: in.Elem, Shape: s}
	}
	return out, nil
}

// equalParts cuts d into n parts of ceil(d/n), the last of what is left. It
// returns the lengths of the outputs that the call has.
func equalParts(c *graph.Call, d dim.Dim, n int64) ([]dim.Dim, error) {
	each := d.CeilDiv(n)
	last := d.Sub(each.MulInt(n - 1))
	if lo, _ := bounds(c, last); lo < 0 && n > 2 {
		return nil, fmt.Errorf("dimension %s may not split into %d parts", d, n)
	}
	parts := make([]dim.Dim, len(c.Out))
	for i := range parts {
		parts[i] = each
		if int64(i) == n-1 {
			parts[i] = last
		}
	}
	return parts, nil
}

// span is a slice of one dimension, as positions that exist.
type span struct {
	axis        int
	start, size dim.Dim
	step        int64
}

func inferSlice(c *graph.Call) ([]graph.Type, error) {
	spans, err := slicesOf(c)
	if err != nil {
		return nil, err
	}
	out := slices.Clone(c.Type(0).Shape)
	for _, s := range spans {
		out[s.axis] = s.size
	}
	return result(c.Type(0).Elem, out)
}

func slicesOf(c *graph.Call) ([]span, error) {
	shape := c.Type(0).Shape
	starts, err := operand(c, 1)
	if err != nil {
		return nil, err
	}
	ends, err := operand(c, 2)
	if err != nil {
		return nil, err
	}
	axes := make([]int64, len(starts))
	steps := make([]int64, len(starts))
	for i := range axes {
		axes[i], steps[i] = int64(i), 1
	}
	if c.Has(3) {
		if axes, err = intOperand(c, 3); err != nil {
			return nil, err
		}
	}
	if c.Has(4) {
		if steps, err = intOperand(c, 4); err != nil {
			return nil, err
		}
	}
	if len(ends) != len(starts) || len(axes) != len(starts) || len(steps) != len(starts) {
		return nil, fmt.Errorf("%d starts, %d ends, %d axes and %d steps: want equally many", len(starts), len(ends), len(axes), len(steps))
	}
	at, err := normAxes(axes, len(shape))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", describe(c, 0), err)
	}
	out := make([]span, len(at))
	for i, a := range at {
		s, err := spanOf(c, shape[a], starts[i], ends[i], steps[i])
		if err != nil {
			return nil, fmt.Errorf("%s: axis %d from %s to %s by %d: %w", describe(c, 0), a, starts[i], ends[i], steps[i], err)
		}
		s.axis = a
		out[i] = s
	}
	return out, nil
}

// spanOf applies Python's rules to one dimension.
func spanOf(c *graph.Call, d, start, end dim.Dim, step int64) (span, error) {
	if step == 0 || step == math.MinInt64 {
		return span{}, fmt.Errorf("the step cannot be %d", step)
	}
	least, most := dim.Of(0), d
	if step < 0 {
		least, most = dim.Of(-1), d.AddInt(-1)
	}
	from, err := position(c, start, d, least, most)
	if err != nil {
		return span{}, err
	}
	to, err := position(c, end, d, least, most)
	if err != nil {
		return span{}, err
	}
	length, by := to.Sub(from), step
	if step < 0 {
		length, by = from.Sub(to), -step
	}
	lo, hi := bounds(c, length)
	switch {
	case lo >= 0:
		return span{start: from, size: length.CeilDiv(by), step: step}, nil
	case hi <= 0:
		return span{start: from, size: dim.Of(0), step: step}, nil
	}
	return span{}, errSymbolic
}

// position resolves a slice position: counted from the end if negative, then
// clamped to what the step's direction allows.
func position(c *graph.Call, p, d, least, most dim.Dim) (dim.Dim, error) {
	// Exporters write "to the end" as the greatest integer and "past the
	// start" as the least; arithmetic on those would overflow.
	if n, ok := p.Const(); ok && n >= math.MaxInt32 && !d.Equal(p) {
		if _, hi := bounds(c, d); hi <= n || n == math.MaxInt64 || n == math.MaxInt32 {
			return most, nil
		}
	} else if ok && n <= -math.MaxInt32 {
		if _, hi := bounds(c, d); hi <= -(n+1) || n <= math.MinInt64+1 {
			return least, nil
		}
	}
	lo, hi := bounds(c, p)
	switch {
	case lo >= 0:
	case hi < 0:
		p = p.Add(d)
	default:
		return p, errSymbolic
	}
	if lo, hi = bounds(c, p.Sub(least)); hi <= 0 {
		return least, nil
	} else if lo < 0 {
		return p, errSymbolic
	}
	if lo, hi = bounds(c, most.Sub(p)); hi <= 0 {
		return most, nil
	} else if lo < 0 {
		return p, errSymbolic
	}
	return p, nil
}

func foldSlice(c *graph.Call) ([]dim.Dim, bool) {
	ds, ok := foldable(c, 0)
	if !ok || c.Type(0).Rank() != 1 {
		return nil, false
	}
	spans, err := slicesOf(c)
	if err != nil {
		return nil, false
	}
	for _, s := range spans {
		start, ok1 := s.start.Const()
		size, ok2 := s.size.Const()
		if !ok1 || !ok2 || size > int64(len(ds)) {
			return nil, false
		}
		out := make([]dim.Dim, size)
		for i := range out {
			out[i] = ds[start+int64(i)*s.step]
		}
		ds = out
	}
	return ds, true
}

func inferPad(c *graph.Call) ([]graph.Type, error) {
	in := c.Type(0)
	mode := c.Attrs.Str("mode", "constant")
	switch mode {
	case "constant", "edge", "reflect", "wrap":
	default:
		return nil, fmt.Errorf("attribute mode is %q; want constant, edge, reflect or wrap", mode)
	}
	if n := product(c.Type(2).Shape...); c.Has(2) && !n.Is(1) {
		return nil, fmt.Errorf("%s: want a scalar", describe(c, 2))
	}
	pads, err := operand(c, 1)
	if err != nil {
		return nil, err
	}
	axes := make([]int64, in.Rank())
	for i := range axes {
		axes[i] = int64(i)
	}
	if c.Has(3) {
		if axes, err = intOperand(c, 3); err != nil {
			return nil, err
		}
	}
	at, err := normAxes(axes, in.Rank())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", describe(c, 0), err)
	}
	if len(pads) != 2*len(at) {
		return nil, fmt.Errorf("%s holds %d pads for %d axes; want two for each", describe(c, 1), len(pads), len(at))
	}
	out := slices.Clone(in.Shape)
	for i, a := range at {
		before, after := pads[i], pads[i+len(at)]
		d := in.Shape[a]
		out[a] = d.Add(before).Add(after)
		if _, hi := bounds(c, out[a]); hi < 0 {
			return nil, fmt.Errorf("%s: pads %s and %s remove more than dimension %d has", describe(c, 0), before, after, a)
		}
		if err := checkMirror(c, mode, d, before, after); err != nil {
			return nil, fmt.Errorf("%s: axis %d: %w", describe(c, 0), a, err)
		}
	}
	return result(in.Elem, out)
}

// checkMirror refuses padding that has nothing to repeat, or a reflection
// that reaches further than the operand.
func checkMirror(c *graph.Call, mode string, d, before, after dim.Dim) error {
	if mode == "constant" {
		return nil
	}
	for _, p := range []dim.Dim{before, after} {
		if _, hi := bounds(c, p); hi <= 0 {
			continue
		}
		room := d
		if mode == "reflect" {
			room = d.AddInt(-1).Sub(p)
		} else {
			room = d.AddInt(-1)
		}
		if _, hi := bounds(c, room); hi < 0 {
			return fmt.Errorf("mode %s cannot pad dimension %s by %s", mode, d, p)
		}
	}
	return nil
}
