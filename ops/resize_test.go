package ops

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
)

func TestResize(t *testing.T) {
	linear, crop := graph.Str("mode", "linear"), graph.Str("coordinate_transformation_mode", "tf_crop_and_resize")
	axes := graph.Ints("axes", 2, -1)
	policy := func(s string) graph.Attr { return graph.Str("keep_aspect_ratio_policy", s) }
	check(t, []row{
		{op: "Resize", in: in("f32[1,3,4,6]", "-", "=f32[1,1,2,0.5]"), want: out("f32[1,3,8,3]")},
		{op: "Resize", in: in("f32[1,3,4,6]", "-", "=f32[1,1,0.6,0.6]"), want: out("f32[1,3,2,3]")},
		{op: "Resize", in: in("u8[batch,3,h,w]", "-", "=f32[1.5,0.75]"), attrs: with(axes), want: out("u8[batch,3,(h*3)/2,(w*3)/4]")},
		{op: "Resize", in: in("f32[1,3,4,6]", "-", "-", "=[1,3,7,7]"), attrs: with(linear), want: out("f32[1,3,7,7]")},
		{op: "Resize", in: in("f16[batch,3,h,w]", "-", "-", "=[h/14,w/14]"), attrs: with(axes, graph.Str("mode", "cubic"), graph.Int("antialias", 1)), want: out("f16[batch,3,h/14,w/14]")},
		{op: "Resize", in: in("f32[1,1,4,8]", "-", "-", "=[6,6]"), attrs: with(axes, policy("not_larger")), want: out("f32[1,1,3,6]")},
		{op: "Resize", in: in("f32[1,1,4,8]", "-", "-", "=[6,6]"), attrs: with(axes, policy("not_smaller")), want: out("f32[1,1,6,12]")},
		{op: "Resize", in: in("f32[2,4,4,1]", "=f32[0,0.25,1,0.75]", "=f32[2,2]"), attrs: with(graph.Ints("axes", 1, 2), crop), want: out("f32[2,8,4,1]")},
		{op: "Resize", in: in("bool[4]", "-", "-", "=[0]"), want: out("bool[0]")},
		{op: "Resize", in: in("f32[]", "-", "-", "=[]"), want: out("f32[]")},

		{op: "Resize", in: in("f32[4]"), err: refuse("either scales or sizes")},
		{op: "Resize", in: in("f32[4]", "-", "=f32[2]", "=[8]"), err: refuse("either scales or sizes")},
		{op: "Resize", in: in("f32[4]", "-", "=f32[2,2]"), err: refuse("input 2 (scales)", "each of 1 axes")},
		{op: "Resize", in: in("f32[4]", "-", "=f32[-2]"), err: refuse("not positive")},
		{op: "Resize", in: in("f32[4]", "-", "=f32[NaN]"), err: refuse("finite")},
		{op: "Resize", in: in("f32[4]", "-", "=f32[1e30]"), err: refuse("axis 0")},
		{op: "Resize", in: in("f32[chunk]", "-", "=f32[1e-30]"), err: refuse("axis 0")},
		{op: "Resize", in: in("f32[0]", "-", "-", "=[2]"), err: refuse("nothing along axis 0")},
		{op: "Resize", in: in("f32[4]", "-", "-", "=[-2]"), err: refuse("negative")},
		{op: "Resize", in: in("f32[4]", "-", "-", "=[8]"), attrs: with(graph.Str("mode", "area")), err: refuse("mode", `"area"`)},
		{op: "Resize", in: in("f32[4]", "-", "-", "=[8]"), attrs: with(graph.Int("antialias", 1)), err: refuse("antialias")},
		{op: "Resize", in: in("bool[4]", "-", "-", "=[8]"), attrs: with(linear), err: refuse("nearest")},
		{op: "Resize", in: in("f32[4]", "-", "-", "=[8]"), attrs: with(graph.Ints("axes", 1)), err: refuse("axes", "axis 1")},
		{op: "Resize", in: in("f32[4]", "-", "-", "=[8]"), attrs: with(crop), err: refuse("roi")},
		{op: "Resize", in: in("f32[4]", "=f32[0]", "-", "=[8]"), attrs: with(crop), err: refuse("input 1 (roi)", "starts and ends")},
		{op: "Resize", in: in("f32[h]", "-", "-", "=[8]"), attrs: with(policy("not_larger")), err: refuse("not_larger", "symbols")},
		{op: "Resize", in: in("f32[4]", "-", "=f32[2]"), attrs: with(policy("not_larger")), err: refuse("keep_aspect_ratio_policy")},
	})
}

func TestResizeAxes(t *testing.T) {
	axesOf := func(r row, bind dim.Binding) ([]ResizeAxis, error) {
		g, err := r.build(t)
		require.NoError(t, err)
		return ResizeAxes(g.Call(0), bind)
	}
	got, err := axesOf(row{op: "Resize", in: in("f32[1,h]", "-", "=f32[1,0.3]"), attrs: with(graph.Str("mode", "linear"))}, dim.Binding{"h": 70})
	require.NoError(t, err)
	require.Equal(t, []ResizeAxis{{Axis: 0, In: 1, Out: 1, Scale: 1, End: 1}, {Axis: 1, In: 70, Out: 21, Scale: float64(float32(0.3)), End: 1}}, got)
	got, err = axesOf(row{op: "Resize", in: in("f32[1,h]", "-", "-", "=[w]"), attrs: with(graph.Ints("axes", 1))}, dim.Binding{"h": 50, "w": 100})
	require.NoError(t, err)
	require.Equal(t, []ResizeAxis{{Axis: 1, In: 50, Out: 100, Scale: 2, End: 1}}, got)
	// A crop of ever so many axes' lengths must not make a filter as long.
	_, err = axesOf(row{op: "Resize", in: in("f32[4]", "=f32[0,1e9]", "=f32[1e-8]"),
		attrs: with(graph.Str("coordinate_transformation_mode", "tf_crop_and_resize"), graph.Str("mode", "linear"), graph.Int("antialias", 1))}, nil)
	require.ErrorContains(t, err, "antialias")
}
