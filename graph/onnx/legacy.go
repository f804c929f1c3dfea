package onnx

import (
	"fmt"
	"math"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/graph/onnx/internal/pb"
	"github.com/heddle-ml/heddle/ops/oracle"
)

// This file has the rules of operators whose early forms differ in more than
// where an operand stands.

// alignedBroadcast is arithmetic before operator set 7: the second operand
// stretched only where attribute broadcast said so, and could be lined up
// with the first from a given axis on instead of from the end.
func alignedBroadcast(c *call) ([]*operand, error) {
	if c.node.opset >= 7 {
		return nil, nil
	}
	axis := c.attr("axis")
	stretch := c.attrInt("broadcast", 0) != 0
	c.drop("axis", "broadcast")
	if axis == nil || !stretch || c.input(0) == nil || c.input(1) == nil {
		return nil, nil
	}
	rank, own := int64(c.in[0].value.Type.Rank()), int64(c.in[1].value.Type.Rank())
	at := axis.Int
	if at < 0 {
		at += rank
	}
	if at < 0 || at > rank || own > rank-at {
		return nil, fmt.Errorf("operand 1, %s, does not lie in %s from axis %d on: %w", c.in[1].value.Type, c.in[0].value.Type, axis.Int, ErrFormat)
	}
	v, err := c.columns(c.in[1], rank-at-own)
	if err == nil {
		c.in[1] = v
	}
	return nil, err
}

// columns appends n dimensions of 1 to an operand.
func (c *call) columns(v *operand, n int64) (*operand, error) {
	if n <= 0 {
		return v, nil
	}
	axes := make([]int64, n)
	for i := range axes {
		axes[i] = int64(v.value.Type.Rank() + i)
	}
	return c.op("Unsqueeze", []*operand{v, ints(axes...)})
}

// channelSlope is PRelu before operator set 7, where a vector of slopes had
// one for each channel.
func channelSlope(c *call) ([]*operand, error) {
	if c.node.opset >= 7 || c.input(0) == nil || c.input(1) == nil || c.in[1].value.Type.Rank() != 1 || c.in[1].value.Type.Shape[0].Is(1) {
		return nil, nil
	}
	v, err := c.columns(c.in[1], int64(c.in[0].value.Type.Rank())-2)
	if err == nil {
		c.in[1] = v
	}
	return nil, err
}

// attributeShape is Reshape before operator set 5, whose shape was an
// attribute.
func attributeShape(c *call) ([]*operand, error) {
	if c.node.opset < 5 {
		c.intsInput("shape", 1)
	}
	return nil, nil
}

// gemm said before operator set 7 whether C broadcasts. Now it does whenever
// it is smaller.
func gemm(c *call) ([]*operand, error) {
	if c.node.opset < 7 {
		c.drop("broadcast")
	}
	return nil, nil
}

// concat had a default axis before operator set 4.
func concat(c *call) ([]*operand, error) {
	if c.node.opset < 4 && c.attr("axis") == nil {
		c.setInt("axis", 1)
	}
	return nil, nil
}

// tileConstant tells which operands of a Tile must be known.
func tileConstant(n *node, i int) bool { return i == 1 || i == 2 && n.opset < 6 }

// tileAlong is Tile before operator set 6: so many times along one axis.
func tileAlong(c *call) ([]*operand, error) {
	if c.node.opset >= 6 || len(c.in) != 3 {
		return nil, nil
	}
	var n [2]int64
	for i := range n {
		v := c.in[1+i]
		if v == nil {
			return nil, fmt.Errorf("operand %d is missing: %w", 1+i, ErrFormat)
		}
		t, ok := v.value.Const()
		if !ok {
			return nil, fmt.Errorf("operand %d is not a number that the model itself carries: %w", 1+i, ErrUnsupported)
		}
		if n[i], ok = oneInt(t); !ok {
			return nil, fmt.Errorf("operand %d is %s; want one integer: %w", 1+i, v.value.Type, ErrFormat)
		}
	}
	times, axis, rank := n[0], n[1], int64(0)
	if c.in[0] != nil {
		rank = int64(c.in[0].value.Type.Rank())
	}
	if axis < 0 {
		axis += rank
	}
	if axis < 0 || axis >= rank {
		return nil, fmt.Errorf("axis %d is not in the operand: %w", n[1], ErrFormat)
	}
	repeats := make([]int64, rank)
	for i := range repeats {
		repeats[i] = 1
	}
	repeats[axis] = times
	v, err := c.op("Tile", []*operand{c.in[0], ints(repeats...)})
	return []*operand{v}, err
}

// oneInt reads a tensor of one number that is whole, whatever its type.
func oneInt(c *graph.Tensor) (int64, bool) {
	t, err := oracle.FromConst(c)
	if err != nil || t.Len() != 1 {
		return 0, false
	}
	switch {
	case t.F != nil:
		n := int64(math.Max(-1<<31, math.Min(t.F[0], 1<<31)))
		return n, float64(n) == t.F[0]
	case t.U != nil:
		return int64(t.U[0]), t.U[0] <= math.MaxInt64
	}
	return t.I[0], true
}

// castByName is Cast before operator set 6, which named its type.
func castByName(c *call) ([]*operand, error) {
	a := c.attr("to")
	if c.node.opset >= 6 || a == nil || a.Type != pb.AttrString && len(a.Str) == 0 {
		return nil, nil
	}
	n, ok := map[string]int64{"FLOAT": 1, "UINT8": 2, "INT8": 3, "UINT16": 4, "INT16": 5, "INT32": 6, "INT64": 7,
		"BOOL": 9, "FLOAT16": 10, "DOUBLE": 11, "UINT32": 12, "UINT64": 13}[string(a.Str)]
	if !ok {
		return nil, fmt.Errorf("a cast to %.32q is %w", a.Str, ErrUnsupported)
	}
	c.setInt("to", n)
	return nil, nil
}

// groupScale is GroupNormalization before operator set 21: scale and bias had
// one number for each group, not for each channel.
func groupScale(c *call) ([]*operand, error) {
	groups := c.attrInt("num_groups", 0)
	if c.node.opset >= 21 || groups < 1 || c.input(0) == nil || c.in[0].value.Type.Rank() < 2 {
		return nil, nil
	}
	channels := c.in[0].value.Type.Shape[1]
	size := channels.Div(groups)
	if !size.MulInt(groups).Equal(channels) {
		return nil, nil // which the schema refuses
	}
	for i := 1; i <= 2; i++ {
		v := c.input(i)
		if v == nil || v.value.Type.Rank() != 1 || !v.value.Type.Shape[0].Is(groups) {
			return nil, fmt.Errorf("operand %d does not have one number for each of %d groups: %w", i, groups, ErrFormat)
		}
		v, err := c.columns(v, 1)
		if err == nil {
			v, err = c.op("Expand", []*operand{v, dims(dim.Shape{dim.Of(groups), size})})
		}
		if err == nil {
			v, err = c.op("Reshape", []*operand{v, ints(-1)})
		}
		if err != nil {
			return nil, err
		}
		c.in[i] = v
	}
	return nil, nil
}

// rangeOperands lets the operands of Range be vectors of one number, as
// ONNX's own expansion of RMSNormalization once had them, and symbolic
// integers of type i32.
func rangeOperands(c *call) ([]*operand, error) {
	for i, v := range c.in {
		if v == nil || v.value.Kind != graph.Const || v.value.Type.Rank() != 1 || !v.value.Type.Shape[0].Is(1) || len(v.value.Data.Parts) > 1 {
			continue
		}
		s := *v
		s.id, s.value.Type.Shape = graph.NoValue, nil
		data := *v.value.Data
		if len(data.Parts) == 1 {
			data.Parts = []graph.Part{data.Parts[0]}
			data.Parts[0].Shape = nil
		}
		s.value.Data = &data
		c.in[i] = &s
	}
	if len(c.in) != 3 || !c.widenSymbolic(0) {
		return nil, nil
	}
	v, err := c.op("Range", c.in)
	if err == nil {
		v, err = c.op("Cast", []*operand{v}, graph.Elem("to", enc.I32))
	}
	return []*operand{v}, err
}

// maskType brings a mask of other numbers to the type of the scores that it
// is added to.
func maskType(c *call) ([]*operand, error) {
	if q, m := c.elem(0), c.elem(3); m != enc.Invalid && m != enc.Bool && m != q && q.IsFloat() {
		v, err := c.op("Cast", []*operand{c.in[3]}, graph.Elem("to", q))
		if err != nil {
			return nil, err
		}
		c.in[3] = v
	}
	return nil, nil
}

// upsample is what Resize was before operator set 10: positions are divided
// by the scale, and the nearest element is the one before.
func upsample(c *call) ([]*operand, error) {
	x := c.input(0)
	if x == nil {
		return nil, fmt.Errorf("has no operand: %w", ErrFormat)
	}
	scales := c.input(1)
	switch {
	case c.node.opset < 7:
		h, w := c.attr("height_scale"), c.attr("width_scale")
		if h == nil || w == nil || x.value.Type.Rank() != 4 {
			return nil, fmt.Errorf("wants [N,C,H,W], height_scale and width_scale: %w", ErrFormat)
		}
		scales = constant(graph.F32([]int64{4}, 1, 1, h.Float, w.Float))
	case c.node.opset < 9:
		a := c.attr("scales")
		if a == nil {
			return nil, fmt.Errorf("has no scales: %w", ErrFormat)
		}
		scales = constant(graph.F32([]int64{int64(len(a.Floats))}, a.Floats...))
	}
	v, err := c.op("Resize", []*operand{x, nil, scales}, c.asymmetric()...)
	return []*operand{v}, err
}

// asymmetric returns the attributes of a Resize that samples as Upsample and
// the first Resize did.
func (c *call) asymmetric() []graph.Attr {
	mode := "nearest"
	if a := c.attr("mode"); a != nil {
		if mode = string(a.Str); mode == "bilinear" {
			mode = "linear"
		}
	}
	return []graph.Attr{graph.Str("mode", mode), graph.Str("coordinate_transformation_mode", "asymmetric"), graph.Str("nearest_mode", "floor")}
}

// resize had scales as its second operand in operator set 10. Later an empty
// roi or scales, once required operands, meant none; and the roi says
// something only about crops.
func resize(c *call) ([]*operand, error) {
	if c.node.opset < 11 {
		if c.input(1) == nil {
			return nil, fmt.Errorf("has no scales: %w", ErrFormat)
		}
		v, err := c.op("Resize", []*operand{c.input(0), nil, c.in[1]}, c.asymmetric()...)
		return []*operand{v}, err
	}
	if !crops(c.node) {
		c.setInput(1, nil)
	}
	c.nearestFromCorner()
	for i := 1; i < len(c.in); i++ {
		if v := c.in[i]; v != nil && v.value.Type.Rank() == 1 && v.value.Type.Shape[0].Is(0) {
			c.in[i] = nil
		}
	}
	return nil, nil
}

// nearestFromCorner writes tf_half_pixel_for_nn, a mode of operator sets 11
// and 12 that differs from half_pixel by half a position, with the rounding
// that makes up for it, where there is one.
func (c *call) nearestFromCorner() {
	a := c.attr("coordinate_transformation_mode")
	if a == nil || string(a.Str) != "tf_half_pixel_for_nn" {
		return
	}
	round := "round_prefer_floor"
	if n := c.attr("nearest_mode"); n != nil {
		round = string(n.Str)
	}
	instead, ok := map[string]string{"floor": "round_prefer_ceil", "round_prefer_floor": "ceil"}[round]
	if !ok {
		return // which the schema refuses
	}
	c.drop("coordinate_transformation_mode", "nearest_mode")
	c.node.Attrs = append(c.node.Attrs, pb.Attribute{Name: "nearest_mode", Str: []byte(instead), Type: pb.AttrString})
}

// transposedShape is ConvTranspose before operator set 11, where output_shape
// could start with batch and channels.
func transposedShape(c *call) ([]*operand, error) {
	if a, x := c.attr("output_shape"), c.input(0); a != nil && x != nil && len(a.Ints) > 2 && len(a.Ints) == x.value.Type.Rank() {
		spatial := *a
		spatial.Ints = a.Ints[2:]
		c.drop("output_shape")
		c.node.Attrs = append(c.node.Attrs, spatial)
	}
	return nil, nil
}

// crops reports whether a Resize reads its roi.
func crops(n *node) bool {
	for i := range n.Attrs {
		if a := &n.Attrs[i]; a.Name == "coordinate_transformation_mode" {
			return string(a.Str) == "tf_crop_and_resize"
		}
	}
	return false
}

// resizeConstant tells which operands of a Resize must be known.
func resizeConstant(n *node, i int) bool {
	if n.opset < 11 {
		return i == 1
	}
	return i >= 2 || i == 1 && crops(n)
}

// ones returns the mask of a dropout that drops nothing, in the type of the
// data, as it was before operator set 10.
func (c *call) ones(x *operand) (*operand, error) {
	one, err := graph.FloatScalar(c.elem(0), 1)
	if err != nil {
		return nil, err
	}
	return c.op("Expand", []*operand{constant(one), dims(x.value.Type.Shape)})
}
