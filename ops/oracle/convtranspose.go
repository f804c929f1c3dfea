package oracle

import (
	"fmt"
	"slices"
)

// convTranspose adds what each input position contributes: input position p
// and kernel position k write output position p*stride + k*dilation - before.
func convTranspose(x *node) ([]*Tensor, error) {
	t, w := x.arg(0), x.arg(1)
	if len(t.Shape) < 3 || len(w.Shape) != len(t.Shape) || w.Shape[0] != t.Shape[1] {
		return nil, fmt.Errorf("input of shape %v, weights of shape %v; want [N,C,...] and [C,M/group,...]", t.Shape, w.Shape)
	}
	n := len(t.Shape) - 2
	group := x.Attrs.Int("group", 1)
	batch, channels, perGroup := t.Shape[0], t.Shape[1], w.Shape[1]
	if group <= 0 || channels%group != 0 {
		return nil, fmt.Errorf("%d groups of %d channels", group, channels)
	}
	in, kernel := t.Shape[2:], w.Shape[2:]
	out, before, err := x.transposedSize(in, kernel)
	if err != nil {
		return nil, err
	}
	stride, err := x.spatial("strides", n, 1)
	if err != nil {
		return nil, err
	}
	dilation, err := x.spatial("dilations", n, 1)
	if err != nil {
		return nil, err
	}
	y, err := x.make(t.Elem, slices.Concat([]int64{batch, perGroup * group}, out))
	if err != nil {
		return nil, err
	}
	inSize, outSize, kSize := size(in), size(out), size(kernel)
	outStride := strides(out)
	p := 0
	var bad error
	walk(in, func(pos []int64) {
		k := 0
		walk(kernel, func(tap []int64) {
			to, inside := 0, true
			for a := range n {
				q := pos[a]*stride[a] + tap[a]*dilation[a] - before[a]
				inside = inside && q >= 0 && q < out[a]
				to += int(q) * outStride[a]
			}
			for b := 0; inside && b < int(batch); b++ {
				for c := range int(channels) {
					g := c / int(channels/group)
					for m := range int(perGroup) {
						dst := (b*int(perGroup*group)+g*int(perGroup)+m)*outSize + to
						y.F[dst] += t.F[(b*int(channels)+c)*inSize+p] * w.F[(c*int(perGroup)+m)*kSize+k]
					}
				}
			}
			k++
		})
		if err := x.step(kSize * int(batch*channels*perGroup)); err != nil {
			bad = err
		}
		p++
	})
	if bad != nil {
		return nil, bad
	}
	return one(y, x.channelBias(y, x.arg(2)))
}

// transposedSize returns the spatial shape of the result and how much of it is
// cut off at the start of each axis.
func (x *node) transposedSize(in, kernel []int64) (out, before []int64, err error) {
	n := len(in)
	read := map[string][]int64{}
	for name, def := range map[string]int64{"strides": 1, "dilations": 1} {
		if read[name], err = x.spatial(name, n, def); err != nil {
			return nil, nil, err
		}
	}
	pads, err := x.spatial("pads", 2*n, 0)
	if err != nil {
		return nil, nil, err
	}
	extra, shape := x.Attrs.Ints("output_padding"), x.Attrs.Ints("output_shape")
	if extra == nil {
		extra = make([]int64, n)
	}
	if len(extra) != n || shape != nil && len(shape) != n {
		return nil, nil, fmt.Errorf("output_padding %v and output_shape %v for %d dimensions", extra, shape, n)
	}
	if k := x.Attrs.Ints("kernel_shape"); k != nil && !slices.Equal(k, kernel) {
		return nil, nil, fmt.Errorf("kernel_shape is %v, the weights' %v", k, kernel)
	}
	auto := x.Attrs.Str("auto_pad", "NOTSET")
	for a := range n {
		full := read["strides"][a]*(in[a]-1) + extra[a] + (kernel[a]-1)*read["dilations"][a] + 1
		var size, cut int64
		switch same := auto == "SAME_UPPER" || auto == "SAME_LOWER"; {
		case shape != nil || same:
			if size = in[a] * read["strides"][a]; shape != nil {
				size = shape[a]
			}
			surplus := max(0, full-size)
			if cut = surplus - surplus/2; auto == "SAME_UPPER" {
				cut = surplus / 2
			}
		case auto == "VALID":
			size = full
		case auto == "NOTSET" || auto == "":
			size, cut = full-pads[a]-pads[a+n], pads[a]
		default:
			return nil, nil, fmt.Errorf("auto_pad is %q; want NOTSET, VALID, SAME_UPPER or SAME_LOWER", auto)
		}
		if size < 0 {
			return nil, nil, fmt.Errorf("the pads %v cut off more than there is", pads)
		}
		out, before = append(out, size), append(before, cut)
	}
	return out, before, nil
}
