package ops

import (
	"github.com/heddle-ml/heddle/conformance/internal/suite"
	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/ops"
)

// windows are convolutions and pools.
func windows() []operator {
	return []operator{
		forms("Conv", convs()...),
		forms("ConvTranspose",
			use("groups", func(l *lab) {
				l.call(ids{l.x(-1, 1, l.n(2), c(4), c(5), c(3)), l.x(-1, 1, c(4), c(3), c(3), c(2)), l.x(-1, 1, c(6))}, aInt("group", 2), aInts("strides", 2, 1), aInts("pads", 1, 0, 0, 1))
			}),
			use("plain", func(l *lab) { l.call(ids{l.x(-1, 1, c(1), c(3), c(4), c(5)), l.x(-1, 1, c(3), c(2), c(3), c(3))}) }),
			use("no_bias", func(l *lab) {
				l.call(ids{l.x(-1, 1, c(1), c(3), c(4), c(5)), l.x(-1, 1, c(3), c(2), c(3), c(3)), none})
			}),
			use("line", func(l *lab) {
				l.call(ids{l.x(-1, 1, c(2), c(3), c(7)), l.x(-1, 1, c(3), c(2), c(3))}, aInts("strides", 3), aInts("dilations", 2), aInts("output_padding", 1))
			}),
			use("shape", func(l *lab) {
				l.call(ids{l.x(-1, 1, c(1), c(2), c(3), c(3)), l.x(-1, 1, c(2), c(2), c(3), c(3))}, aInts("strides", 3, 2), aInts("output_shape", 10, 8), aInts("kernel_shape", 3, 3))
			}),
			use("same", func(l *lab) {
				l.call(ids{l.x(-1, 1, c(1), c(2), c(3), c(3)), l.x(-1, 1, c(2), c(2), c(3), c(3))}, aInts("strides", 2, 2), aStr("auto_pad", "SAME_UPPER"))
			}),
			use("same_lower", func(l *lab) {
				l.call(ids{l.x(-1, 1, c(1), c(2), c(3), c(3)), l.x(-1, 1, c(2), c(2), c(3), c(3))}, aInts("strides", 2, 2), aStr("auto_pad", "SAME_LOWER"))
			}),
			use("weight", func(l *lab) {
				l.call(ids{l.x(-1, 1, c(1), c(3), c(4), c(5)), l.Weight(l.e, enc.Encoding{}, 3, 2, 3, 3), l.Weight(l.e, enc.Encoding{}, 2)}, aInts("strides", 2, 2))
			})),
		forms("AveragePool", append(pools(),
			use("include_pad", func(l *lab) {
				l.call(ids{l.x(-9, 9, l.n(2), c(3), c(7), c(9))}, aInts("kernel_shape", 3, 2), aInts("pads", 1, 0, 1, 1), aInts("strides", 2, 3), aInt("count_include_pad", 1))
			}),
			use("include_pad_ceil", func(l *lab) {
				l.call(ids{l.x(-9, 9, c(1), c(2), c(10))}, aInts("kernel_shape", 3), aInt("ceil_mode", 1), aInts("strides", 2), aInts("pads", 1, 1), aInt("count_include_pad", 1))
			}))...),
		forms("MaxPool", append(pools(),
			use("indices", func(l *lab) {
				l.calls([]bool{true, true}, ids{l.x(-9, 9, l.n(2), c(3), c(7), c(9))}, aInts("kernel_shape", 3, 2), aInts("pads", 1, 0, 1, 1))
			}),
			use("column_major", func(l *lab) {
				l.calls([]bool{true, true}, ids{l.x(-9, 9, l.n(2), c(3), c(7), c(9))}, aInts("kernel_shape", 3, 2), aInt("storage_order", 1))
			}),
			use("infinite", func(l *lab) { // nothing beats the start
				l.calls([]bool{true, true}, ids{l.list(l.e, []int64{1, 1, 2, 3}, -inf, -inf, 1, -inf, -inf, inf)}, aInts("kernel_shape", 1, 2))
			}).of(ops.Floats),
			use("negative", func(l *lab) { // padding never wins
				l.call(ids{l.x(-9, -1, c(1), c(2), c(5), c(5))}, aInts("kernel_shape", 3, 3), aInts("pads", 1, 1, 1, 1))
			}).of(ops.Floats|ops.Types(enc.I8)))...),
		forms("GlobalAveragePool",
			use("plain", func(l *lab) { l.call(ids{l.x(-1, 1, l.n(2), c(3), c(5), c(7))}) }),
			use("line", func(l *lab) { l.call(ids{l.x(-1, 1, l.n(2), c(3), c(129))}) })),
		forms("GlobalMaxPool",
			use("plain", func(l *lab) { l.call(ids{l.x(-1, 1, l.n(2), c(3), c(5), c(7))}) }),
			use("line", func(l *lab) { l.call(ids{l.x(-1, 1, l.n(2), c(3), c(129))}) })),
	}
}

func pools() []form {
	kernel := func(ns ...int64) graph.Attr { return aInts("kernel_shape", ns...) }
	return []form{
		use("plain", func(l *lab) { l.call(ids{l.x(-9, 9, l.n(2), c(3), c(7), c(9))}, kernel(2, 2), aInts("strides", 2, 2)) }),
		use("pads", func(l *lab) {
			l.call(ids{l.x(-9, 9, l.n(2), c(3), c(7), c(9))}, kernel(3, 2), aInts("pads", 1, 0, 1, 1), aInts("strides", 2, 3))
		}),
		use("ceil", func(l *lab) {
			l.call(ids{l.x(-9, 9, c(1), c(2), c(10))}, kernel(3), aInt("ceil_mode", 1), aInts("strides", 2), aInts("dilations", 2))
		}),
		use("ceil_pads", func(l *lab) {
			l.call(ids{l.x(-9, 9, c(1), c(2), c(7), c(8))}, kernel(3, 3), aInt("ceil_mode", 1), aInts("strides", 2, 3), aInts("pads", 1, 1, 1, 1))
		}),
		use("volume", func(l *lab) {
			l.call(ids{l.x(-9, 9, c(1), c(2), c(4), c(5), c(6))}, kernel(2, 2, 3), aStr("auto_pad", "SAME_LOWER"))
		}),
		use("same_upper", func(l *lab) {
			l.call(ids{l.x(-9, 9, c(1), c(2), c(7), c(8))}, kernel(3, 2), aStr("auto_pad", "SAME_UPPER"), aInts("strides", 2, 3))
		}),
		use("valid", func(l *lab) { l.call(ids{l.x(-9, 9, c(1), c(2), c(7), c(8))}, kernel(3, 2), aStr("auto_pad", "VALID")) }),
		use("grid27", func(l *lab) { l.call(ids{l.x(-9, 9, c(1), c(9), c(27), c(27))}, kernel(3, 3), aInts("strides", 3, 3)) }).float(),
	}
}

func convs() []form {
	patch := func(name string, size, n int64, p suite.Profile, e enc.Elem, grid ...int64) form {
		return use(name, func(l *lab) {
			w := l.Weight(l.e, stored(e), n, 3, size, size)
			l.call(ids{l.x(-1, 1, c(1), c(3), c(grid[0]*size), c(grid[1]*size)), w, l.x(-1, 1, c(n))}, aInts("strides", size, size), aInts("kernel_shape", size, size))
		}).in(p).float()
	}
	return []form{
		use("points_apart", func(l *lab) { // as large as the input, and not it
			l.call(ids{l.x(-1, 1, c(1), c(3), c(5), c(7)), l.x(-1, 1, c(4), c(3), c(1), c(1))}, aInts("strides", 2, 2), aInts("pads", 0, 0, 4, 6))
		}),
		use("points_aside", func(l *lab) {
			l.call(ids{l.x(-1, 1, c(1), c(3), c(5), c(7)), l.x(-1, 1, c(4), c(3), c(1), c(1))}, aInts("strides", 2, 2), aInts("pads", 4, 6, 0, 0))
		}),
		use("groups", func(l *lab) {
			l.call(ids{l.x(-1, 1, l.n(2), c(4), c(7), c(9)), l.x(-1, 1, c(6), c(2), c(3), c(3)), l.x(-1, 1, c(6))}, aInt("group", 2), aInts("pads", 1, 0, 1, 2), aInts("strides", 2, 1))
		}),
		use("line", func(l *lab) {
			l.call(ids{l.x(-1, 1, c(1), c(2), c(11)), l.x(-1, 1, c(3), c(2), c(3))}, aInts("dilations", 2), aStr("auto_pad", "SAME_UPPER"))
		}),
		use("line_lower", func(l *lab) {
			l.call(ids{l.x(-1, 1, c(1), c(2), c(11)), l.x(-1, 1, c(3), c(2), c(4))}, aInts("strides", 3), aStr("auto_pad", "SAME_LOWER"))
		}),
		use("valid", func(l *lab) {
			l.call(ids{l.x(-1, 1, c(1), c(2), c(6), c(5)), l.x(-1, 1, c(3), c(2), c(2), c(3))}, aStr("auto_pad", "VALID"))
		}),
		use("volume", func(l *lab) {
			l.call(ids{l.x(-1, 1, c(1), c(2), c(4), c(5), c(6)), l.x(-1, 1, c(3), c(2), c(2), c(3), c(2))})
		}),
		use("volume_pads", func(l *lab) {
			l.call(ids{l.x(-1, 1, l.n(2), c(2), c(4), c(5), c(6)), l.x(-1, 1, c(4), c(1), c(2), c(3), c(2)), l.x(-1, 1, c(4))}, aInt("group", 2), aInts("pads", 1, 0, 2, 0, 1, 1), aInts("strides", 1, 2, 3), aInts("dilations", 2, 1, 1))
		}),
		use("dilated", func(l *lab) {
			l.call(ids{l.x(-1, 1, c(1), c(3), c(11), c(12)), l.x(-1, 1, c(5), c(3), c(3), c(3)), l.x(-1, 1, c(5))}, aInts("dilations", 2, 3), aInts("pads", 2, 3, 2, 3))
		}),
		use("point", func(l *lab) {
			l.call(ids{l.x(-1, 1, l.n(2), c(17), c(5), c(7)), l.x(-1, 1, c(33), c(17), c(1), c(1)), l.x(-1, 1, c(33))})
		}),
		use("point_stride", func(l *lab) {
			l.call(ids{l.x(-1, 1, c(1), c(5), c(7), c(9)), l.x(-1, 1, c(3), c(5), c(1), c(1))}, aInts("strides", 2, 3))
		}),
		use("depthwise", func(l *lab) {
			l.call(ids{l.x(-1, 1, l.n(2), c(9), c(7), c(8)), l.x(-1, 1, c(9), c(1), c(3), c(3)), l.x(-1, 1, c(9))}, aInt("group", 9), aInts("pads", 1, 1, 1, 1))
		}),
		use("depthwise2", func(l *lab) {
			l.call(ids{l.x(-1, 1, c(1), c(5), c(9), c(8)), l.x(-1, 1, c(10), c(1), c(3), c(2))}, aInt("group", 5), aInts("strides", 2, 2))
		}),
		use("constant", func(l *lab) {
			l.call(ids{l.x(-1, 1, l.n(2), c(4), c(7), c(9)), l.weight(-1, 1, 6, 4, 3, 3), l.weight(-1, 1, 6)}, aInts("pads", 1, 1, 1, 1))
		}),
		use("wide", func(l *lab) {
			l.call(ids{l.x(-1, 1, c(1), c(3), c(33), c(65)), l.x(-1, 1, c(17), c(3), c(3), c(3)), l.x(-1, 1, c(17))}, aInts("pads", 1, 1, 1, 1))
		}).float(),
		use("overhang", func(l *lab) { // what does not fill a patch is not read
			l.call(ids{l.x(-1, 1, l.n(2), c(3), c(9), c(10)), l.x(-1, 1, c(17), c(3), c(4), c(4)), l.x(-1, 1, c(17))}, aInts("strides", 4, 4))
		}).in(vision),
		use("no_pixels", func(l *lab) { l.call(ids{l.x(-1, 1, c(0), c(3), c(8), c(8)), l.x(-1, 1, c(5), c(3), c(4), c(4))}) }),
		patch("patch14_s14_c3_n1152", 14, 1152, vision, enc.F32, 2, 3),
		patch("patch14_s14_c3_n17", 14, 17, vision, enc.F32, 27, 27),
		patch("patch16_s16_c3_n768", 16, 768, vision, enc.F16, 3, 2),
		patch("patch14_s14_c3_n65_bf16", 14, 65, vision, enc.BF16, 7, 5),
	}
}

func resizes() []operator {
	var out []form
	plain := func(l *lab) graph.ValueID { return l.x(0, 99, l.n(2), c(3), c(7), c(5)) }
	sizes := func(name string, h, w int64, attrs ...graph.Attr) form {
		return use(name, func(l *lab) {
			l.call(ids{plain(l), none, none, l.B.Ints(h, w)}, append(attrs, aInts("axes", 2, 3))...)
		})
	}
	scales := func(name string, h, w float32, attrs ...graph.Attr) form {
		return use(name, func(l *lab) {
			l.call(ids{plain(l), none, l.B.Const("", graph.F32([]int64{2}, h, w))}, append(attrs, aInts("axes", 2, 3))...)
		})
	}
	for _, way := range []string{"round_prefer_floor", "round_prefer_ceil", "floor", "ceil"} {
		out = append(out, sizes("nearest_"+way, 11, 3, aStr("nearest_mode", way)))
	}
	for _, coords := range []string{"half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric"} {
		mode := aStr("coordinate_transformation_mode", coords)
		out = append(out, sizes("nearest_"+coords, 4, 9, mode), scales("nearest_scales_"+coords, 1.5, 0.7, mode))
		for _, filter := range []string{"linear", "cubic"} {
			f, name := aStr("mode", filter), filter+"_"+coords
			// Interpolated numbers are no integers: a tie may be rounded either
			// way, so those types are tried by position alone.
			out = append(out,
				sizes(name, 11, 3, mode, f).of(ops.Floats), scales(name+"_scales", 0.6, 2.5, mode, f).of(ops.Floats),
				sizes(name+"_antialias", 3, 2, mode, f, aInt("antialias", 1)).of(ops.Floats), sizes(name+"_exclude", 9, 1, mode, f, aInt("exclude_outside", 1)).of(ops.Floats))
		}
	}
	for _, filter := range []string{"nearest", "linear", "cubic"} {
		f := use("crop_"+filter, func(l *lab) {
			roi := l.B.Const("", graph.F32([]int64{4}, 0.2, -0.3, 0.8, 1.2))
			l.call(ids{plain(l), roi, none, l.B.Ints(6, 8)}, aInts("axes", 2, 3), aStr("mode", filter),
				aStr("coordinate_transformation_mode", "tf_crop_and_resize"), aFloat("extrapolation_value", 10))
		})
		if filter != "nearest" {
			f = f.of(ops.Floats)
		}
		out = append(out, f)
	}
	return []operator{forms("Resize", append(out,
		sizes("not_larger", 21, 20, aStr("keep_aspect_ratio_policy", "not_larger")),
		sizes("not_smaller", 21, 20, aStr("keep_aspect_ratio_policy", "not_smaller")),
		sizes("cubic_a", 11, 9, aStr("mode", "cubic"), aFloat("cubic_coeff_a", -0.5)).of(ops.Floats),
		use("line", func(l *lab) {
			l.call(ids{l.x(0, 99, c(1), c(3), c(17)), none, l.B.Const("", graph.F32([]int64{3}, 1, 1, 2.5))}, aStr("mode", "linear"))
		}).of(ops.Floats),
		use("volume", func(l *lab) {
			l.call(ids{l.x(0, 99, c(1), c(2), c(3), c(4), c(5)), none, none, l.B.Ints(1, 2, 5, 3, 8)}, aStr("mode", "linear"))
		}).of(ops.Floats),
		use("fours", func(l *lab) { // quarters of multiples of four: no tie, in any type
			l.call(ids{l.list(l.e, []int64{1, 1, 3, 4}, 0, 4, 8, 12, 20, 16, 24, 4, 28, 0, 12, 8), none, l.B.Const("", graph.F32([]int64{4}, 1, 1, 1, 2))}, aStr("mode", "linear"))
		}).of(ops.Numbers),
		use("one", func(l *lab) {
			for _, coords := range []string{"half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric"} {
				l.call(ids{l.x(0, 99, c(1), c(1), c(3), c(4)), none, none, l.B.Ints(1, 1, 1, 1)}, aStr("mode", "linear"), aStr("coordinate_transformation_mode", coords))
			}
			l.call(ids{l.x(0, 99, c(1), c(1), c(3), c(4)), l.B.Const("", graph.F32([]int64{8}, 0, 0, 0.1, 0.2, 1, 1, 0.6, 0.9)), none, l.B.Ints(1, 1, 1, 1)}, aStr("mode", "linear"), aStr("coordinate_transformation_mode", "tf_crop_and_resize"))
		}).of(ops.Floats),
		use("same", func(l *lab) {
			l.call(ids{l.x(0, 99, c(1), c(2), c(4), c(5)), none, none, l.B.Ints(1, 2, 4, 5)}, aStr("mode", "cubic"))
		}).of(ops.Floats),
		use("positions", func(l *lab) { // SigLIP's positions for another grid
			l.call(ids{l.x(-1, 1, c(1), c(9), c(27), c(27)), none, none, l.B.Ints(1, 9, 32, 23)}, aStr("mode", "cubic"))
		}).float())...)}
}
