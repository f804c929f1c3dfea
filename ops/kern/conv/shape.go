package conv

import (
	"fmt"
	"math"
)

// Shape describes a convolution or a pooling. Spatial axes are three; an input
// with fewer has leading axes of size 1 (see Axes). Out is the caller's: it
// knows ONNX's rounding and automatic padding.
type Shape struct {
	Batch   int
	In, Out [3]int
	Kernel  [3]int
	Stride  [3]int
	Dilate  [3]int // 1 for none
	// PadBegin and PadEnd are the rows of zeros around the input. Only average
	// pooling that counts them looks at PadEnd.
	PadBegin, PadEnd [3]int

	Channels int // of the input
	Filters  int // channels of the output; of a pooling, Channels
	Groups   int // of a pooling, Channels
}

// Axes returns up to three values as spatial axes, with fill before them.
func Axes(fill int, values ...int) [3]int {
	a := [3]int{fill, fill, fill}
	copy(a[3-min(len(values), 3):], values)
	return a
}

// maxDim bounds every size, every product of sizes, and how far a window
// reaches, so that sums of a few of them do not overflow.
const maxDim = math.MaxInt / 8

// check validates the shape against the lengths of input, weights (if w >= 0)
// and output.
func (s *Shape) check(x, w, y int) error {
	if s.Groups < 1 || s.Channels < 1 || s.Filters < 1 || s.Channels%s.Groups != 0 || s.Filters%s.Groups != 0 {
		return fmt.Errorf("conv: %d channels and %d filters cannot be divided into %d groups", s.Channels, s.Filters, s.Groups)
	}
	in, out, k := 1, 1, 1
	for i := range 3 {
		if s.In[i] < 0 || s.Out[i] < 0 || s.Kernel[i] < 1 || s.Stride[i] < 1 || s.Dilate[i] < 1 || s.PadBegin[i] < 0 || s.PadEnd[i] < 0 {
			return fmt.Errorf("conv: axis %d: input %d, output %d, kernel %d, stride %d, dilation %d, pads %d and %d: want at least 1 for kernel, stride and dilation, and 0 for the others", i, s.In[i], s.Out[i], s.Kernel[i], s.Stride[i], s.Dilate[i], s.PadBegin[i], s.PadEnd[i])
		}
		step, reach := s.Out[i], s.Kernel[i]
		if !times(&step, s.Stride[i]) || !times(&reach, s.Dilate[i]) || max(s.In[i], s.PadBegin[i], s.PadEnd[i]) > maxDim {
			return fmt.Errorf("conv: axis %d: input %d, output %d, kernel %d, stride %d, dilation %d, pads %d and %d: out of range", i, s.In[i], s.Out[i], s.Kernel[i], s.Stride[i], s.Dilate[i], s.PadBegin[i], s.PadEnd[i])
		}
		if !times(&in, s.In[i]) || !times(&out, s.Out[i]) || !times(&k, s.Kernel[i]) {
			return fmt.Errorf("conv: sizes %v, %v, %v are out of range", s.In, s.Out, s.Kernel)
		}
	}
	wantX, wantW, wantY := in, k, out
	ok := s.Batch >= 0 && times(&wantX, s.Channels) && times(&wantX, s.Batch) &&
		times(&wantY, s.Filters) && times(&wantY, s.Batch) &&
		times(&wantW, s.Channels/s.Groups) && times(&wantW, s.Filters)
	if !ok || x < wantX || y < wantY || w >= 0 && w < wantW {
		return fmt.Errorf("conv: %d inputs, %d weights and %d outputs are too few for batch %d, %d channels of %v, %d filters of %v in %d groups, giving %v", x, max(w, 0), y, s.Batch, s.Channels, s.In, s.Filters, s.Kernel, s.Groups, s.Out)
	}
	return nil
}

// times multiplies *n by by, and reports whether the product is in range.
func times(n *int, by int) bool {
	if *n > maxDim || by > 0 && *n > maxDim/by {
		return false
	}
	*n *= by
	return true
}

func volume(a [3]int) int { return a[0] * a[1] * a[2] }

// window calls f for each element of the kernel that falls on the input, for
// output position (z, y, x), with the element's index and the input's.
func (s *Shape) window(z, y, x int, f func(kernel, input int)) {
	for kz := range s.Kernel[0] {
		iz := z*s.Stride[0] - s.PadBegin[0] + kz*s.Dilate[0]
		if iz < 0 || iz >= s.In[0] {
			continue
		}
		for ky := range s.Kernel[1] {
			iy := y*s.Stride[1] - s.PadBegin[1] + ky*s.Dilate[1]
			if iy < 0 || iy >= s.In[1] {
				continue
			}
			for kx := range s.Kernel[2] {
				ix := x*s.Stride[2] - s.PadBegin[2] + kx*s.Dilate[2]
				if ix < 0 || ix >= s.In[2] {
					continue
				}
				f((kz*s.Kernel[1]+ky)*s.Kernel[2]+kx, (iz*s.In[1]+iy)*s.In[2]+ix)
			}
		}
	}
}

// each calls f for each output position.
func (s *Shape) each(f func(at, z, y, x int)) {
	at := 0
	for z := range s.Out[0] {
		for y := range s.Out[1] {
			for x := range s.Out[2] {
				f(at, z, y, x)
				at++
			}
		}
	}
}
