package conv

import (
	"fmt"

	"github.com/heddle-ml/heddle/ops/kern/vec"
)

// Direct computes a convolution of any element type by its definition, for
// planes lo <= p < hi of the output, a plane being one filter of one batch
// element: Batch*Filters planes in all. Float sums are float64, integers wrap.
func Direct[T vec.Number](y, x, w []T, bias []T, s *Shape, lo, hi int) error {
	if err := s.checkPlanes(len(x), len(w), len(y), lo, hi); err != nil {
		return err
	}
	if bias != nil && len(bias) < s.Filters {
		return fmt.Errorf("conv: %d biases for %d filters", len(bias), s.Filters)
	}
	float := T(1)/2 != 0
	s.planes(lo, hi, func(plane, filter, xAt, wAt int) {
		out := y[plane*volume(s.Out):]
		s.each(func(at, oz, oy, ox int) {
			var sum T
			var wide float64
			for c := range s.Channels / s.Groups {
				s.window(oz, oy, ox, func(k, i int) {
					a, b := x[xAt+c*volume(s.In)+i], w[wAt+c*volume(s.Kernel)+k]
					if float {
						wide += float64(a) * float64(b)
					} else {
						sum += a * b
					}
				})
			}
			if float {
				if bias != nil {
					wide += float64(bias[filter])
				}
				sum = T(wide)
			} else if bias != nil {
				sum += bias[filter]
			}
			out[at] = sum
		})
	})
	return nil
}

// Bytes computes the integer convolution of (x-zeroX) with (w-zeroW), for
// planes lo <= p < hi as Direct counts them. Padding stands for zeroX, so it
// adds nothing. zeroW is nil, one for all, or one for each filter. Sums are
// int32 and wrap.
func Bytes[X, W int8 | uint8](y []int32, x []X, w []W, zeroX X, zeroW []W, s *Shape, lo, hi int) error {
	if err := s.checkPlanes(len(x), len(w), len(y), lo, hi); err != nil {
		return err
	}
	if len(zeroW) > 1 && len(zeroW) < s.Filters {
		return fmt.Errorf("conv: %d zero points for %d filters", len(zeroW), s.Filters)
	}
	s.planes(lo, hi, func(plane, filter, xAt, wAt int) {
		var zw int32
		if len(zeroW) == 1 {
			zw = int32(zeroW[0])
		} else if len(zeroW) > 1 {
			zw = int32(zeroW[filter])
		}
		out := y[plane*volume(s.Out):]
		s.each(func(at, oz, oy, ox int) {
			var sum int32
			for c := range s.Channels / s.Groups {
				s.window(oz, oy, ox, func(k, i int) {
					sum += (int32(x[xAt+c*volume(s.In)+i]) - int32(zeroX)) * (int32(w[wAt+c*volume(s.Kernel)+k]) - zw)
				})
			}
			out[at] = sum
		})
	})
	return nil
}

func (s *Shape) checkPlanes(x, w, y, lo, hi int) error {
	if err := s.check(x, w, y); err != nil {
		return err
	}
	if lo < 0 || hi > s.Batch*s.Filters {
		return fmt.Errorf("conv: planes %d to %d of %d", lo, hi, s.Batch*s.Filters)
	}
	return nil
}

// planes calls f for each plane with its filter and where its group's input
// and its weights start.
func (s *Shape) planes(lo, hi int, f func(plane, filter, xAt, wAt int)) {
	channels := s.Channels / s.Groups
	for p := lo; p < hi; p++ {
		batch, filter := p/s.Filters, p%s.Filters
		group := filter / (s.Filters / s.Groups)
		f(p, filter, (batch*s.Channels+group*channels)*volume(s.In), filter*channels*volume(s.Kernel))
	}
}

// MaxPool computes the largest element of each window, NaN if there is one, for
// planes lo <= p < hi. A window that lies in the padding altogether gives the
// type's least value.
func MaxPool[T vec.Number](y, x []T, s *Shape, lo, hi int) error {
	if err := s.checkPlanes(len(x), -1, len(y), lo, hi); err != nil {
		return err
	}
	s.planes(lo, hi, func(plane, _, xAt, _ int) {
		out := y[plane*volume(s.Out):]
		s.each(func(at, oz, oy, ox int) {
			m := vec.Lowest[T]()
			s.window(oz, oy, ox, func(_, i int) { m = max(m, x[xAt+i]) })
			out[at] = m
		})
	})
	return nil
}

// AveragePool computes the mean of each window, for planes lo <= p < hi.
// countPads divides by the elements of the window on the input or its padding,
// otherwise only those on the input count. A window with neither gives 0.
func AveragePool[T vec.Float](y, x []T, s *Shape, countPads bool, lo, hi int) error {
	if err := s.checkPlanes(len(x), -1, len(y), lo, hi); err != nil {
		return err
	}
	s.planes(lo, hi, func(plane, _, xAt, _ int) {
		out := y[plane*volume(s.Out):]
		s.each(func(at, oz, oy, ox int) {
			var sum float64
			n := 0
			s.window(oz, oy, ox, func(_, i int) {
				sum += float64(x[xAt+i])
				n++
			})
			if countPads {
				n = s.covered(0, oz) * s.covered(1, oy) * s.covered(2, ox)
			}
			out[at] = 0
			if n > 0 {
				out[at] = T(sum / float64(n))
			}
		})
	})
	return nil
}

// covered counts the elements of a window along one axis that fall on the input
// or its padding. Rounding the output size up can leave some beyond both.
func (s *Shape) covered(axis, at int) int {
	n := 0
	for k := range s.Kernel[axis] {
		i := at*s.Stride[axis] - s.PadBegin[axis] + k*s.Dilate[axis]
		if i < s.In[axis]+s.PadEnd[axis] {
			n++
		}
	}
	return n
}
