package onnx

import (
	"fmt"
	"math"
	"slices"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
)

// rule brings an operator of some operator set to the one that package ops
// has, where that takes more than the operator's types getting wider.
type rule struct {
	// apply returns the node's outputs, or nil after it changed the call so
	// that the node is the current operator.
	apply func(c *call) ([]*operand, error)
	// constant tells which operands must be known, where the positions are
	// not those of the current operator. Nil means they are.
	constant func(n *node, i int) bool
}

// rules lists the operators of the default domain that need one. What changed
// when is in ONNX's changelog of operators.
var rules = map[string]*rule{
	"Constant":           {apply: constantNode},
	"CastLike":           {apply: castLike, constant: only()},
	"Dropout":            {apply: dropout, constant: only(2)},
	"BatchNormalization": {apply: batchNorm, constant: only()},
	"Scatter":            {apply: scatter, constant: only()},
	"Upsample":           {apply: upsample, constant: only(1)},
	"Resize":             {apply: resize, constant: resizeConstant},

	"Clip":       {apply: clip},
	"Softmax":    {apply: coerced},
	"LogSoftmax": {apply: coerced},
	"Hardmax":    {apply: coerced},
	"Squeeze":    {apply: axesInput(13, 1)},
	"Unsqueeze":  {apply: axesInput(13, 1)},
	"Slice":      {apply: slice},
	"Split":      {apply: split},
	"Pad":        {apply: pad},
	"TopK":       {apply: topK},

	"Add":     {apply: alignedBroadcast},
	"Sub":     {apply: alignedBroadcast},
	"Mul":     {apply: alignedBroadcast},
	"Div":     {apply: alignedBroadcast},
	"Pow":     {apply: alignedBroadcast},
	"And":     {apply: alignedBroadcast},
	"Or":      {apply: alignedBroadcast},
	"Xor":     {apply: alignedBroadcast},
	"Equal":   {apply: alignedBroadcast},
	"Less":    {apply: alignedBroadcast},
	"Greater": {apply: alignedBroadcast},

	"Attention":          {apply: maskType},
	"Cast":               {apply: castByName},
	"Concat":             {apply: concat},
	"ConvTranspose":      {apply: transposedShape},
	"Gemm":               {apply: gemm},
	"GroupNormalization": {apply: groupScale},
	"PRelu":              {apply: channelSlope},
	"Range":              {apply: rangeOperands},
	"Reshape":            {apply: attributeShape},
	"Tile":               {apply: tileAlong, constant: tileConstant},

	"ReduceSum":       {apply: axesInput(13, 1)},
	"ReduceMax":       {apply: axesInput(18, 1)},
	"ReduceMin":       {apply: axesInput(18, 1)},
	"ReduceMean":      {apply: axesInput(18, 1)},
	"ReduceProd":      {apply: axesInput(18, 1)},
	"ReduceL1":        {apply: axesInput(18, 1)},
	"ReduceL2":        {apply: axesInput(18, 1)},
	"ReduceLogSum":    {apply: axesInput(18, 1)},
	"ReduceLogSumExp": {apply: axesInput(18, 1)},
	"ReduceSumSquare": {apply: axesInput(18, 1)},
}

// only makes a rule.constant of positions.
func only(positions ...int) func(*node, int) bool {
	return func(_ *node, i int) bool {
		for _, p := range positions {
			if i == p {
				return true
			}
		}
		return false
	}
}

// constantNode gives the value of a Constant in any of its attributes.
func constantNode(c *call) ([]*operand, error) {
	if len(c.node.Attrs) != 1 {
		return nil, fmt.Errorf("has %d attributes; want its value alone: %w", len(c.node.Attrs), ErrFormat)
	}
	a := &c.node.Attrs[0]
	switch a.Name {
	case "value":
		if a.Tensor == nil {
			return nil, fmt.Errorf("has no tensor: %w", ErrFormat)
		}
		v, err := c.im.initializer(a.Tensor, c.im.folding)
		if err != nil {
			return nil, err
		}
		v.value.Name = ""
		return []*operand{v}, nil
	case "value_int":
		return []*operand{constant(graph.I64(a.Int).Scalar())}, nil
	case "value_ints":
		return []*operand{ints(a.Ints...)}, nil
	case "value_float":
		return []*operand{constant(graph.F32(nil, a.Float))}, nil
	case "value_floats":
		return []*operand{constant(graph.F32([]int64{int64(len(a.Floats))}, a.Floats...))}, nil
	}
	return nil, fmt.Errorf("a constant given as %s is %w", a.Name, ErrUnsupported)
}

// castLike casts to the second operand's type, whose value does not matter:
// when it is not known, a shape can still be computed.
func castLike(c *call) ([]*operand, error) {
	if c.input(0) == nil || c.input(1) == nil {
		return nil, fmt.Errorf("wants two operands: %w", ErrFormat)
	}
	if !c.im.folding {
		return nil, nil
	}
	v, err := c.op("Cast", c.in[:1], graph.Elem("to", c.elem(1)))
	return []*operand{v}, err
}

// dropout passes its input on: models are imported to be run, not trained.
// Everything is kept, so the mask is true everywhere.
func dropout(c *call) ([]*operand, error) {
	x := c.input(0)
	if x == nil {
		return nil, fmt.Errorf("has no operand: %w", ErrFormat)
	}
	if c.training() {
		return nil, fmt.Errorf("dropout in training mode is %w; export the model for inference", ErrUnsupported)
	}
	if m := c.input(2); m != nil {
		t, ok := m.value.Const()
		if !ok || len(t.Data) != 1 || t.Data[0] != 0 {
			return nil, fmt.Errorf("dropout in training mode is %w; export the model for inference", ErrUnsupported)
		}
	}
	out := make([]*operand, len(c.want))
	var err error
	for i, wanted := range c.want {
		switch {
		case !wanted:
		case i == 0:
			out[0], err = c.op("Identity", []*operand{x})
		case i == 1 && c.node.opset >= 10:
			yes := constant(&graph.Tensor{Elem: enc.Bool, Data: []byte{1}})
			out[1], err = c.op("Expand", []*operand{yes, dims(x.value.Type.Shape)})
		case i == 1:
			out[1], err = c.ones(x)
		}
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// training reports whether a node of the oldest operator sets, where that was
// the default, is in training mode.
func (c *call) training() bool { return c.node.opset < 7 && c.attrInt("is_test", 0) == 0 }

// batchNorm writes inference with running statistics as arithmetic:
// (x - mean) / sqrt(var + epsilon) * scale + bias, along dimension 1.
func batchNorm(c *call) ([]*operand, error) {
	if len(c.in) != 5 || c.training() || c.attrInt("training_mode", 0) != 0 || len(c.want) > 1 {
		return nil, fmt.Errorf("batch normalization in training mode is %w; export the model for inference", ErrUnsupported)
	}
	for i, v := range c.in {
		if v == nil {
			return nil, fmt.Errorf("operand %d is missing: %w", i, ErrFormat)
		}
	}
	if c.attrInt("spatial", 1) != 1 {
		return nil, fmt.Errorf("spatial=0 is %w", ErrUnsupported)
	}
	x := c.in[0]
	rank := x.value.Type.Rank()
	column := func(v *operand) (*operand, error) {
		if rank <= 2 {
			return v, nil
		}
		axes := make([]int64, rank-2)
		for i := range axes {
			axes[i] = int64(i + 1)
		}
		return c.op("Unsqueeze", []*operand{v, ints(axes...)})
	}
	epsilon := float32(1e-5)
	if a := c.attr("epsilon"); a != nil {
		epsilon = a.Float
	}
	eps, err := graph.FloatScalar(c.elem(4), float64(epsilon))
	if err != nil {
		return nil, err
	}
	variance, err := c.op("Add", []*operand{c.in[4], constant(eps)})
	if err == nil {
		variance, err = c.op("Sqrt", []*operand{variance})
	}
	terms := []*operand{c.in[3], variance, c.in[1], c.in[2]}
	for i, op := range []string{"Sub", "Div", "Mul", "Add"} {
		var t *operand
		if err == nil {
			t, err = column(terms[i])
		}
		if err == nil {
			x, err = c.op(op, []*operand{x, t})
		}
	}
	if err != nil {
		return nil, err
	}
	return []*operand{x}, nil
}

// scatter is the name ScatterElements had.
func scatter(c *call) ([]*operand, error) {
	v, err := c.op("ScatterElements", c.in, graph.Int("axis", c.attrInt("axis", 0)))
	return []*operand{v}, err
}

// clip had its bounds as attributes.
func clip(c *call) ([]*operand, error) {
	if c.node.opset >= 11 {
		return nil, nil
	}
	if len(c.in) != 1 || c.in[0] == nil {
		return nil, fmt.Errorf("wants one operand: %w", ErrFormat)
	}
	for i, name := range []string{"min", "max"} {
		a := c.attr(name)
		if a == nil {
			continue
		}
		// The default bounds, the greatest float32, do nothing.
		if math.Abs(float64(a.Float)) < math.MaxFloat32 {
			t, err := graph.FloatScalar(c.elem(0), float64(a.Float))
			if err != nil {
				return nil, err
			}
			c.setInput(i+1, constant(t))
		}
	}
	c.drop("min", "max")
	return nil, nil
}

// coerced is Softmax and its kin before operator set 13: the input was seen
// as a matrix, all dimensions from axis on being one.
func coerced(c *call) ([]*operand, error) {
	if c.node.opset >= 13 || c.input(0) == nil {
		return nil, nil
	}
	shape := c.in[0].value.Type.Shape
	axis := c.attrInt("axis", 1)
	if axis < 0 {
		axis += int64(len(shape))
	}
	if axis < 0 || axis >= int64(len(shape)) {
		return nil, fmt.Errorf("axis %d is not in shape %s: %w", c.attrInt("axis", 1), shape, ErrFormat)
	}
	if axis == int64(len(shape))-1 {
		c.setInt("axis", axis)
		return nil, nil
	}
	v, err := c.op("Flatten", c.in[:1], graph.Int("axis", axis))
	if err != nil {
		return nil, err
	}
	if v, err = c.op(c.node.OpType, []*operand{v}, graph.Int("axis", 1)); err != nil {
		return nil, err
	}
	if v, err = c.op("Reshape", []*operand{v, dims(shape)}, allowZero(shape)...); err != nil {
		return nil, err
	}
	return []*operand{v}, nil
}

// allowZero makes zeros in a Reshape's operand mean zero, where there are any.
func allowZero(shape dim.Shape) []graph.Attr {
	for _, d := range shape {
		if d.Is(0) {
			return []graph.Attr{graph.Int("allowzero", 1)}
		}
	}
	return nil
}

// intsInput moves an attribute to operand i in operator sets before since.
func (c *call) intsInput(name string, i int) {
	if a := c.attr(name); a != nil {
		c.setInput(i, ints(a.Ints...))
		c.drop(name)
	}
}

func axesInput(since int64, i int) func(*call) ([]*operand, error) {
	return func(c *call) ([]*operand, error) {
		if c.node.opset < since {
			c.intsInput("axes", i)
		}
		return nil, nil
	}
}

// slice had its bounds as attributes.
func slice(c *call) ([]*operand, error) {
	if c.node.opset >= 10 {
		c.widenSymbolic(1)
		return nil, nil
	}
	c.intsInput("starts", 1)
	c.intsInput("ends", 2)
	c.intsInput("axes", 3)
	return nil, nil
}

// widenSymbolic makes operands from i on, which have one type, i64 if one of
// them is symbolic.
func (c *call) widenSymbolic(i int) (changed bool) {
	if i >= len(c.in) || !slices.ContainsFunc(c.in[i:], (*operand).symbolic32) {
		return false
	}
	for ; i < len(c.in); i++ {
		if c.in[i] != nil {
			c.in[i] = c.in[i].widened()
		}
	}
	return true
}

// split had its lengths as an attribute, and before operator set 18 took the
// number of equal parts from its outputs.
func split(c *call) ([]*operand, error) {
	if c.node.opset < 13 {
		c.intsInput("split", 1)
	}
	if out, err := c.splitShape(); out != nil || err != nil {
		return out, err
	}
	if c.input(1) != nil || c.node.opset >= 18 || c.input(0) == nil {
		return nil, nil
	}
	shape := c.in[0].value.Type.Shape
	axis := c.attrInt("axis", 0)
	if axis < 0 {
		axis += int64(len(shape))
	}
	parts := int64(len(c.want))
	if axis >= 0 && axis < int64(len(shape)) && parts > 0 {
		if n, ok := shape[axis].Const(); ok && n%parts != 0 {
			return nil, fmt.Errorf("dimension %d of %s cannot be split into %d equal parts: %w", axis, shape, parts, ErrFormat)
		}
	}
	c.setInt("num_outputs", parts)
	return nil, nil
}

// splitShape writes a Split of symbolic integers as slices, each of which can
// be computed. It returns nil for other operands.
func (c *call) splitShape() ([]*operand, error) {
	x := c.input(0)
	if !c.im.folding || x == nil || x.value.Type.Rank() != 1 {
		return nil, nil
	}
	ds, ok := x.value.Dims()
	if _, numbers := dim.Shape(ds).Const(); !ok || numbers {
		return nil, nil
	}
	n, parts := int64(len(ds)), int64(len(c.want))
	if c.node.opset >= 18 {
		parts = c.attrInt("num_outputs", parts)
	}
	if parts < 1 {
		return nil, nil
	}
	var lengths []int64
	if v := c.input(1); v != nil {
		given, _ := v.value.Dims()
		if lengths, ok = dim.Shape(given).Const(); !ok {
			return nil, nil
		}
	} else {
		each := (n + parts - 1) / parts
		for at := int64(0); at < n; at += each {
			lengths = append(lengths, min(each, n-at))
		}
	}
	if len(lengths) < len(c.want) {
		return nil, nil // which the schema refuses
	}
	out := make([]*operand, len(c.want))
	at := int64(0)
	for i := range out {
		var err error
		if out[i], err = c.op("Slice", []*operand{x, ints(at), ints(at + lengths[i])}); err != nil {
			return nil, err
		}
		at += lengths[i]
	}
	return out, nil
}

// pad had its widths and value as attributes.
func pad(c *call) ([]*operand, error) {
	if c.node.opset >= 11 {
		return nil, nil
	}
	if c.node.opset < 2 {
		c.intsInput("paddings", 1)
	}
	c.intsInput("pads", 1)
	if a := c.attr("value"); a != nil && a.Float != 0 {
		t, err := graph.FloatScalar(c.elem(0), float64(a.Float))
		if err != nil {
			return nil, err
		}
		c.setInput(2, constant(t))
	}
	c.drop("value")
	return nil, nil
}

// topK had its count as an attribute.
func topK(c *call) ([]*operand, error) {
	if c.node.opset < 10 {
		c.setInput(1, ints(c.attrInt("k", 0)))
		c.drop("k")
	}
	return nil, nil
}
