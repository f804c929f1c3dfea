package oracle

import (
	"fmt"
	"slices"

	"github.com/heddle-ml/heddle/graph/enc"
)

// convOps are convolutions over any number of spatial dimensions.
var convOps = map[string]evaluator{
	"Conv": func(x *node) ([]*Tensor, error) {
		sum, err := x.conv(x.arg(0), x.arg(1))
		if err != nil {
			return nil, err
		}
		return one(sum, x.channelBias(sum, x.arg(2)))
	},
	"ConvInteger":   convInteger,
	"ConvTranspose": convTranspose,
	"QLinearConv":   qlinearConv,
}

// window is the geometry of a sliding window over spatial dimensions: output
// position o and kernel position k read input position o*stride +
// k*dilation - before.
type window struct {
	in, out, kernel, stride, dilation []int64
	before, after                     []int64
}

// spatial returns a list attribute with one entry for each of n dimensions.
func (x *node) spatial(name string, n int, def int64) ([]int64, error) {
	v := slices.Clone(x.Attrs.Ints(name))
	if v == nil {
		for range n {
			v = append(v, def)
		}
	}
	if len(v) != n {
		return nil, fmt.Errorf("%s %v: want %d numbers", name, v, n)
	}
	for _, k := range v {
		if k < 0 || k > 1<<31 || k == 0 && name != "pads" {
			return nil, fmt.Errorf("%s %v has a number that is not usable", name, v)
		}
	}
	return v, nil
}

// window computes the geometry from the attributes that Conv and the pools
// share. ceil tells whether a last, partial window counts.
func (x *node) window(in, kernel []int64, ceil bool) (*window, error) {
	n := len(in)
	w := &window{in: in, kernel: kernel, out: make([]int64, n), before: make([]int64, n), after: make([]int64, n)}
	var err error
	if w.stride, err = x.spatial("strides", n, 1); err != nil {
		return nil, err
	}
	if w.dilation, err = x.spatial("dilations", n, 1); err != nil {
		return nil, err
	}
	pads, err := x.spatial("pads", 2*n, 0)
	if err != nil {
		return nil, err
	}
	if err := x.fits(kernel); err != nil {
		return nil, fmt.Errorf("kernel: %w", err)
	}
	auto := x.Attrs.Str("auto_pad", "NOTSET")
	for a := range n {
		if kernel[a] <= 0 || kernel[a] > 1<<31 {
			return nil, fmt.Errorf("kernel %v is empty", kernel)
		}
		reach := (kernel[a]-1)*w.dilation[a] + 1
		switch auto {
		case "NOTSET", "":
			w.before[a], w.after[a] = pads[a], pads[a+n]
		case "VALID":
		case "SAME_UPPER", "SAME_LOWER":
			out := (in[a] + w.stride[a] - 1) / w.stride[a]
			total := max(0, (out-1)*w.stride[a]+reach-in[a])
			w.before[a], w.after[a] = total/2, total-total/2
			if auto == "SAME_LOWER" {
				w.before[a], w.after[a] = w.after[a], w.before[a]
			}
		default:
			return nil, fmt.Errorf("auto_pad is %q; want NOTSET, VALID, SAME_UPPER or SAME_LOWER", auto)
		}
		room := in[a] + w.before[a] + w.after[a] - reach
		if room < 0 {
			return nil, fmt.Errorf("kernel of %d positions over %d", reach, in[a]+w.before[a]+w.after[a])
		}
		w.out[a] = room/w.stride[a] + 1
		if ceil {
			w.out[a] = (room+w.stride[a]-1)/w.stride[a] + 1
			if (w.out[a]-1)*w.stride[a] >= in[a]+w.before[a] {
				w.out[a]-- // a last window that starts in the padding does not count
			}
		}
	}
	return w, nil
}

// positions calls f with each kernel position under the window at output
// position o that reads inside of the input, numbered in row-major order, and
// the number of the input position it reads.
func (w *window) positions(o []int64, f func(k, in int)) {
	k := 0
	walk(w.kernel, func(index []int64) {
		p, inside := 0, true
		for a, i := range index {
			q := o[a]*w.stride[a] + i*w.dilation[a] - w.before[a]
			inside = inside && q >= 0 && q < w.in[a]
			p = p*int(w.in[a]) + int(q)
		}
		if inside {
			f(k, p)
		}
		k++
	})
}

// conv convolves floats, or integers exactly.
func (x *node) conv(t, w *Tensor) (*Tensor, error) {
	if len(t.Shape) < 3 || len(w.Shape) != len(t.Shape) {
		return nil, fmt.Errorf("input of shape %v, weights of shape %v; want [N,C,...] and [M,C/group,...]", t.Shape, w.Shape)
	}
	group := x.Attrs.Int("group", 1)
	n, c, m := t.Shape[0], t.Shape[1], w.Shape[0]
	if group <= 0 || c%group != 0 || m%group != 0 || w.Shape[1] != c/group {
		return nil, fmt.Errorf("%d groups of %d input and %d output channels do not fit weights of shape %v", group, c, m, w.Shape)
	}
	if k := x.Attrs.Ints("kernel_shape"); k != nil && !slices.Equal(k, w.Shape[2:]) {
		return nil, fmt.Errorf("kernel_shape is %v, weights have shape %v", k, w.Shape)
	}
	win, err := x.window(t.Shape[2:], w.Shape[2:], false)
	if err != nil {
		return nil, err
	}
	out, err := x.make(t.Elem, slices.Concat([]int64{n, m}, win.out))
	if err != nil {
		return nil, err
	}
	inSize, kSize, cg := size(win.in), size(win.kernel), int(c/group)
	i := 0
	var bad error
	walk(out.Shape, func(index []int64) {
		if bad != nil {
			return
		}
		b, oc := int(index[0]), int(index[1])
		first := oc / int(m/group) * cg // input channel
		win.positions(index[2:], func(k, p int) {
			for ch := range cg {
				src, wt := (b*int(c)+first+ch)*inSize+p, (oc*cg+ch)*kSize+k
				if out.F != nil {
					out.F[i] += t.F[src] * w.F[wt]
				} else {
					out.I[i] += t.I[src] * w.I[wt]
				}
			}
		})
		bad = x.step(kSize * cg)
		i++
	})
	return out, bad
}

// channelBias adds one number to each channel of t, in place.
func (x *node) channelBias(t, bias *Tensor) error {
	if bias == nil {
		return nil
	}
	if bias.Len() != int(t.Shape[1]) {
		return fmt.Errorf("bias has shape %v for %d channels", bias.Shape, t.Shape[1])
	}
	offs, err := paramOffsets([]int64{t.Shape[1]}, t.Shape, 1)
	if err != nil {
		return err
	}
	for i, o := range offs {
		if t.F != nil {
			t.F[i] += bias.F[o]
		} else {
			t.I[i] += bias.I[o]
		}
	}
	return nil
}

// convInteger accumulates in 32 bits; the padding is the zero point.
func convInteger(x *node) ([]*Tensor, error) {
	sum, err := x.convCodes(x.arg(0), x.arg(2), x.arg(1), x.arg(3))
	if err != nil {
		return nil, err
	}
	sum.Elem = enc.I32
	for i, n := range sum.I {
		sum.I[i] = wrapI(enc.I32, n)
	}
	return one(sum, nil)
}

// convCodes convolves codes; w's zero points are per tensor or output channel.
func (x *node) convCodes(t, tzero, w, wzero *Tensor) (*Tensor, error) {
	tc, err := x.minusZero(t, tzero, 1)
	if err != nil {
		return nil, err
	}
	wc, err := x.minusZero(w, wzero, 0)
	if err != nil {
		return nil, err
	}
	return x.conv(tc, wc)
}

// qlinearConv requantizes the integer convolution; weight scales are per
// tensor or output channel, the bias is in units of x_scale*w_scale.
func qlinearConv(x *node) ([]*Tensor, error) {
	sum, err := x.convCodes(x.arg(0), x.arg(2), x.arg(3), x.arg(5))
	if err != nil {
		return nil, err
	}
	if err := x.channelBias(sum, x.arg(8)); err != nil {
		return nil, err
	}
	if x.arg(1).Len() != 1 {
		return nil, fmt.Errorf("x_scale has shape %v; want one number", x.arg(1).Shape)
	}
	wscale, err := paramOffsets([]int64{int64(x.arg(4).Len())}, sum.Shape, 1)
	if err != nil {
		return nil, fmt.Errorf("w_scale: %w", err)
	}
	return one(x.requantize(sum, func(i int) (float64, float64) {
		return x.arg(1).F[0], x.arg(4).F[wscale[i]]
	}, x.arg(6), x.arg(7)))
}
