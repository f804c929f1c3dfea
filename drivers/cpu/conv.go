package cpu

import (
	"fmt"

	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/hal/driver"
	"github.com/heddle-ml/heddle/ops"
	"github.com/heddle-ml/heddle/ops/kern/conv"
)

func init() {
	register("Conv", lowering{lower: widened(convOp), elems: ops.Floats})
}

// window reads the geometry of a convolution or pooling from its attributes.
// kernel is the spatial part of the weights' shape, or nil to read the
// attribute kernel_shape.
func window(c *call, x, out *tensor, kernel []int) (conv.Shape, error) {
	axes := x.rank() - 2
	if axes < 1 || axes > 3 {
		return conv.Shape{}, fmt.Errorf("%d spatial axes; 1 to 3 have kernels: %w", axes, driver.ErrUnsupported)
	}
	ints := func(name string, fill int) []int {
		out := make([]int, axes)
		for i := range out {
			out[i] = fill
		}
		for i, v := range c.Attrs.Ints(name) {
			if i < axes {
				out[i] = int(v)
			}
		}
		return out
	}
	if kernel == nil {
		kernel = ints("kernel_shape", 1)
	}
	stride, dilate := ints("strides", 1), ints("dilations", 1)
	begin, end := make([]int, axes), make([]int, axes)
	if p := c.Attrs.Ints("pads"); len(p) == 2*axes {
		for i := range axes {
			begin[i], end[i] = int(p[i]), int(p[axes+i])
		}
	}
	if auto := c.Attrs.Str("auto_pad", "NOTSET"); auto == "SAME_UPPER" || auto == "SAME_LOWER" {
		for i := range axes {
			total := max(0, (out.shape[2+i]-1)*stride[i]+dilate[i]*(kernel[i]-1)+1-x.shape[2+i])
			begin[i], end[i] = total/2, total-total/2
			if auto == "SAME_LOWER" {
				begin[i], end[i] = end[i], begin[i]
			}
		}
	}
	return conv.Shape{Batch: x.shape[0], Channels: x.shape[1], Filters: out.shape[1],
		In: conv.Axes(1, x.shape[2:]...), Out: conv.Axes(1, out.shape[2:]...), Kernel: conv.Axes(1, kernel...),
		Stride: conv.Axes(1, stride...), Dilate: conv.Axes(1, dilate...), PadBegin: conv.Axes(0, begin...), PadEnd: conv.Axes(0, end...)}, nil
}

func convOp(b *build, c *call) error {
	x, w, bias, out := c.in[0], c.in[1], c.input(2), c.out[0]
	s, err := window(c, x, out, w.shape[2:])
	if err != nil {
		return err
	}
	s.Groups = int(c.Attrs.Int("group", 1))
	if x.elem == enc.F64 {
		b.each(s.Batch*s.Filters, 1, func(lo, hi int) {
			if err := conv.Direct(of[float64](out), of[float64](x), of[float64](w), doublesOf(bias), &s, lo, hi); err != nil {
				panic(err) // the shapes have been checked
			}
		})
		return nil
	}
	r := conv.New(b.x.dev.table, b.x.dev.pool)
	a := &conv.Args{Shape: s}
	scratch := b.temp(enc.F32, r.Scratch(a))
	b.step(func() error {
		a.X, a.W, a.Y, a.Bias, a.Scratch = of[float32](x), of[float32](w), of[float32](out), floatsOf(bias), of[float32](scratch)
		return r.Run(a)
	})
	return nil
}
