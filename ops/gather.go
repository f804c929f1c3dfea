package ops

import (
	"fmt"
	"slices"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
)

func init() {
	axis0 := []AttrSpec{{Name: "axis", Kind: graph.AttrInt, Default: "0"}}
	reduction := AttrSpec{Name: "reduction", Kind: graph.AttrString, Default: "none"}
	Register(Op{
		Ref: onnx("Gather", 13), Doc: "Slices of data along axis, picked by indices of any shape; negative ones count from the end. The table may be encoded, the result is plain.",
		Inputs: []Param{
			{Name: "data", Types: anything, Same: "T", Encoded: true},
			{Name: "indices", Types: Indices},
		},
		Outputs: in1("output", anything), Attrs: axis0,
		Infer: func(c *graph.Call) ([]graph.Type, error) {
			s := c.Type(0).Shape
			a, err := attrAxis(c, 0, len(s))
			if err != nil {
				return nil, fmt.Errorf("%s: %w", describe(c, 0), err)
			}
			return result(c.Type(0).Elem, slices.Concat(s[:a], c.Type(1).Shape, s[a+1:]))
		},
		Cost: func(c *graph.Call, out []graph.Type, b dim.Binding) (Cost, error) { return resultCost(c, out, b, 0) },
		Fold: foldGather,
	})
	Register(Op{
		Ref: onnx("GatherElements", 13), Doc: "Element by element: the position along axis is given by indices, the others are the result's own.",
		Inputs: []Param{
			{Name: "data", Types: anything, Same: "T"},
			{Name: "indices", Types: Indices},
		},
		Outputs: in1("output", anything), Attrs: axis0,
		Infer: func(c *graph.Call) ([]graph.Type, error) {
			if err := checkElementIndices(c); err != nil {
				return nil, err
			}
			return result(c.Type(0).Elem, c.Type(1).Shape)
		},
		Cost: func(c *graph.Call, out []graph.Type, b dim.Binding) (Cost, error) { return resultCost(c, out, b, 0) },
	})
	Register(Op{
		Ref: onnx("GatherND", 13), Doc: "Slices of data, picked by the index tuples along the last dimension of indices, within each of the leading batch_dims.",
		Inputs: []Param{
			{Name: "data", Types: anything, Same: "T"},
			{Name: "indices", Types: i64Only},
		},
		Outputs: in1("output", anything),
		Attrs:   []AttrSpec{{Name: "batch_dims", Kind: graph.AttrInt, Default: "0"}},
		Infer:   inferGatherND,
		Cost:    func(c *graph.Call, out []graph.Type, b dim.Binding) (Cost, error) { return resultCost(c, out, b, 0) },
	})
	Register(Op{
		Ref: onnx("ScatterElements", 18), Doc: "data with the updates written, element by element, where indices say along axis; reduction none, add, mul, max or min.",
		Inputs: []Param{
			{Name: "data", Types: anything, Same: "T"},
			{Name: "indices", Types: Indices},
			{Name: "updates", Types: anything, Same: "T"},
		},
		Outputs: in1("output", anything), Attrs: append(slices.Clone(axis0), reduction),
		Infer: func(c *graph.Call) ([]graph.Type, error) {
			if err := checkReduction(c); err != nil {
				return nil, err
			}
			if err := checkElementIndices(c); err != nil {
				return nil, err
			}
			if !c.Type(1).Shape.Equal(c.Type(2).Shape) {
				return nil, fmt.Errorf("%s and %s differ; want equal shapes", describe(c, 1), describe(c, 2))
			}
			return likeFirst(c)
		},
	})
	Register(Op{
		Ref: onnx("ScatterND", 18), Doc: "data with the updates written where the index tuples along the last dimension of indices say; reduction none, add, mul, max or min.",
		Inputs: []Param{
			{Name: "data", Types: anything, Same: "T"},
			{Name: "indices", Types: i64Only},
			{Name: "updates", Types: anything, Same: "T"},
		},
		Outputs: in1("output", anything), Attrs: []AttrSpec{reduction},
		Infer: inferScatterND,
	})
	Register(Op{
		Ref: onnx("TensorScatter", 24),
		Doc: "A cache with update written along axis from write_indices (one for each sample of the batch, 0 if omitted); circular mode wraps around. " +
			"The cache may be encoded, one scale not spanning several positions; then the update is quantized as it is written.",
		Inputs: []Param{
			{Name: "past_cache", Types: All, Same: "T", Encoded: true},
			{Name: "update", Types: All, Same: "T"},
			{Name: "write_indices", Types: i64Only, Optional: true},
		},
		Outputs: in1("present_cache", All),
		Attrs: []AttrSpec{
			{Name: "axis", Kind: graph.AttrInt, Default: "-2"},
			{Name: "mode", Kind: graph.AttrString, Default: "linear"},
		},
		Infer: inferTensorScatter, Updates: true,
		Cost: func(c *graph.Call, _ []graph.Type, b dim.Binding) (Cost, error) {
			// In place: only the update moves, once in and once out.
			n, err := sizeOf(c.Type(1), b)
			return Cost{Bytes: 2 * n}, err
		},
		Decompose: decomposeTensorScatter,
	})
}

func foldGather(c *graph.Call) ([]dim.Dim, bool) {
	ds, ok := foldable(c, 0)
	if !ok || c.Type(0).Rank() != 1 || c.Type(1).Rank() > 1 {
		return nil, false
	}
	at, ok := c.In[1].Dims()
	if !ok {
		return nil, false
	}
	out := make([]dim.Dim, len(at))
	for i, a := range at {
		n, ok := a.Const()
		if n < 0 {
			n += int64(len(ds))
		}
		if !ok || n < 0 || n >= int64(len(ds)) {
			return nil, false
		}
		out[i] = ds[n]
	}
	return out, true
}

func checkReduction(c *graph.Call) error {
	r := c.Attrs.Str("reduction", "none")
	if !slices.Contains([]string{"none", "add", "mul", "max", "min"}, r) {
		return fmt.Errorf("attribute reduction is %q; want none, add, mul, max or min", r)
	}
	if r != "none" && c.Type(0).Elem == enc.Bool {
		return fmt.Errorf("%s: reduction %q needs numbers", describe(c, 0), r)
	}
	return nil
}

// checkElementIndices checks data and indices of GatherElements and
// ScatterElements: of one rank, and indices inside of data but along axis.
func checkElementIndices(c *graph.Call) error {
	data, indices := c.Type(0).Shape, c.Type(1).Shape
	if len(data) != len(indices) {
		return fmt.Errorf("%s and %s differ in rank", describe(c, 0), describe(c, 1))
	}
	axis, err := attrAxis(c, 0, len(data))
	if err != nil {
		return fmt.Errorf("%s: %w", describe(c, 0), err)
	}
	for i := range data {
		if _, hi := bounds(c, data[i].Sub(indices[i])); i != axis && hi < 0 {
			return fmt.Errorf("%s exceeds %s in dimension %d", describe(c, 1), describe(c, 0), i)
		}
	}
	return nil
}

// tupleLen returns the length of the index tuples of GatherND and ScatterND.
func tupleLen(c *graph.Call, batch int) (int, error) {
	s := c.Type(1).Shape
	if len(s) == 0 || c.Type(0).Rank() == 0 {
		return 0, fmt.Errorf("%s of %s: want at least one dimension each", describe(c, 1), describe(c, 0))
	}
	n, ok := s[len(s)-1].Const()
	if !ok || n < 0 || n > int64(c.Type(0).Rank()-batch) {
		return 0, fmt.Errorf("%s: the last dimension, the length of an index tuple, must be at most %d for %s", describe(c, 1), c.Type(0).Rank()-batch, describe(c, 0))
	}
	return int(n), nil
}

func inferGatherND(c *graph.Call) ([]graph.Type, error) {
	data, indices := c.Type(0).Shape, c.Type(1).Shape
	batch := c.Attrs.Int("batch_dims", 0)
	if batch < 0 || batch > 0 && (batch >= int64(len(data)) || batch >= int64(len(indices))) {
		return nil, fmt.Errorf("attribute batch_dims is %d for %s and %s", batch, describe(c, 0), describe(c, 1))
	}
	n, err := tupleLen(c, int(batch))
	if err != nil {
		return nil, err
	}
	for i := range int(batch) {
		if !data[i].Equal(indices[i]) {
			return nil, fmt.Errorf("%s and %s differ in batch dimension %d", describe(c, 0), describe(c, 1), i)
		}
	}
	return result(c.Type(0).Elem, slices.Concat(indices[:len(indices)-1], data[int(batch)+n:]))
}

func inferScatterND(c *graph.Call) ([]graph.Type, error) {
	if err := checkReduction(c); err != nil {
		return nil, err
	}
	n, err := tupleLen(c, 0)
	if err != nil {
		return nil, err
	}
	data, indices := c.Type(0).Shape, c.Type(1).Shape
	want := slices.Concat(indices[:len(indices)-1], data[n:])
	if !c.Type(2).Shape.Equal(want) {
		return nil, fmt.Errorf("%s does not fit %s and %s: want shape %s", describe(c, 2), describe(c, 0), describe(c, 1), want)
	}
	return likeFirst(c)
}

func inferTensorScatter(c *graph.Call) ([]graph.Type, error) {
	past, update := c.Type(0), c.Type(1)
	if m := c.Attrs.Str("mode", "linear"); m != "linear" && m != "circular" {
		return nil, fmt.Errorf("attribute mode is %q; want linear or circular", m)
	}
	axis, err := attrAxis(c, -2, past.Rank())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", describe(c, 0), err)
	}
	if axis == 0 {
		return nil, fmt.Errorf("attribute axis: 0 is the batch")
	}
	if update.Rank() != past.Rank() {
		return nil, fmt.Errorf("%s and %s differ in rank", describe(c, 0), describe(c, 1))
	}
	for i := range past.Shape {
		if i != axis && !past.Shape[i].Equal(update.Shape[i]) {
			return nil, fmt.Errorf("%s and %s differ in dimension %d; only axis %d may", describe(c, 0), describe(c, 1), i, axis)
		}
	}
	if _, hi := bounds(c, past.Shape[axis].Sub(update.Shape[axis])); hi < 0 {
		return nil, fmt.Errorf("%s is longer along axis %d than %s", describe(c, 1), axis, describe(c, 0))
	}
	if w := c.Type(2).Shape; c.Has(2) && !w.Equal(past.Shape[:1]) {
		return nil, fmt.Errorf("%s: want one index for each sample of %s", describe(c, 2), describe(c, 0))
	}
	switch e := past.Enc; {
	case e.Kind == enc.Block, e.Kind == enc.Affine && e.Axis == axis && e.BlockLen > 1:
		return nil, fmt.Errorf("%s: a scale of a cache cannot span several positions along axis %d", describe(c, 0), axis)
	}
	return []graph.Type{past}, nil
}

// decomposeTensorScatter writes with ScatterND: batch and position move to
// the front, and each update row gets the tuple of its batch and position.
func decomposeTensorScatter(b *graph.Builder, c *graph.Call, in []graph.ValueID) ([]graph.ValueID, error) {
	past, update := in[0], in[1]
	t := b.Type(past)
	if t.Enc != (enc.Encoding{}) {
		return nil, fmt.Errorf("a cache of type %s cannot be updated by simpler operators", t)
	}
	if !anything.Has(t.Elem) {
		return nil, fmt.Errorf("no simpler operator scatters %s", t.Elem)
	}
	axis, err := normAxis(c.Attrs.Int("axis", -2), t.Rank())
	if err != nil {
		return nil, err
	}
	batch, length := t.Shape[0], b.Type(update).Shape[axis]

	pos := b.Op("Unsqueeze", values{counting(b, length), b.Ints(0)}) // [1, length]
	if w := input(in, 2); w != graph.NoValue {
		pos = b.Op("Add", values{b.Op("Unsqueeze", values{w, b.Ints(1)}), pos})
	}
	if c.Attrs.Str("mode", "linear") == "circular" {
		pos = b.Op("Mod", values{pos, dimScalar(b, t.Shape[axis])})
	}
	pos = b.Op("Expand", values{pos, b.Dims(batch, length)})
	sample := b.Op("Unsqueeze", values{counting(b, batch), b.Ints(1)})
	sample = b.Op("Expand", values{sample, b.Dims(batch, length)})
	last := b.Ints(2)
	tuples := b.Op("Concat", values{b.Op("Unsqueeze", values{sample, last}), b.Op("Unsqueeze", values{pos, last})}, graph.Int("axis", 2))

	// to and from swap axis with dimension 1; swapping is its own inverse.
	swap := func(v graph.ValueID) graph.ValueID {
		if axis == 1 {
			return v
		}
		perm := make([]int64, t.Rank())
		for i := range perm {
			perm[i] = int64(i)
		}
		perm[1], perm[axis] = perm[axis], perm[1]
		return b.Op("Transpose", values{v}, graph.Ints("perm", perm...))
	}
	return decomposed(b, swap(b.Op("ScatterND", values{swap(past), tuples, swap(update)})))
}
