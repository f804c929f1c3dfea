package conv_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/heddle-ml/heddle/ops/kern"
	"github.com/heddle-ml/heddle/ops/kern/conv"
	"github.com/heddle-ml/heddle/ops/kern/gemm"
	"github.com/heddle-ml/heddle/ops/kern/pool"
)

// shape computes the output size without ceiling.
func shape(batch, channels, filters, groups int, in, kernel, stride, dilate, pads [3]int) conv.Shape {
	s := conv.Shape{Batch: batch, Channels: channels, Filters: filters, Groups: groups, In: in, Kernel: kernel, Stride: stride, Dilate: dilate, PadBegin: pads, PadEnd: pads}
	for i := range 3 {
		s.Out[i] = (in[i]+2*pads[i]-(kernel[i]-1)*dilate[i]-1)/stride[i] + 1
	}
	return s
}

var one, none = conv.Axes(1), conv.Axes(0)

var shapes = []conv.Shape{
	shape(1, 3, 5, 1, conv.Axes(1, 28, 42), conv.Axes(1, 14, 14), conv.Axes(1, 14, 14), one, none), // patch embedding
	shape(2, 4, 6, 1, conv.Axes(1, 7, 9), conv.Axes(1, 3, 3), one, one, conv.Axes(0, 1, 1)),
	shape(2, 4, 6, 2, conv.Axes(1, 8, 9), conv.Axes(1, 3, 2), conv.Axes(1, 2, 3), one, conv.Axes(0, 2, 1)),
	shape(1, 6, 6, 6, conv.Axes(1, 10, 10), conv.Axes(1, 3, 3), one, conv.Axes(1, 2, 2), conv.Axes(0, 2, 2)), // depthwise
	shape(3, 2, 3, 1, conv.Axes(1, 40), conv.Axes(1, 5), conv.Axes(1, 2), conv.Axes(1, 3), conv.Axes(0, 4)),  // one axis
	shape(1, 2, 3, 1, [3]int{4, 5, 6}, [3]int{2, 3, 2}, [3]int{1, 2, 1}, [3]int{2, 1, 1}, [3]int{1, 1, 0}),
	shape(2, 5, 7, 1, conv.Axes(1, 6, 5), one, one, one, none), // pointwise
	shape(1, 5, 4, 1, conv.Axes(1, 6, 5), one, conv.Axes(1, 2, 2), one, none),
	shape(1, 1, 1, 1, one, one, one, one, none),
	shape(1, 300, 9, 1, conv.Axes(1, 17, 19), conv.Axes(1, 3, 3), one, one, conv.Axes(0, 1, 1)), // several chunks
	shape(0, 2, 2, 1, conv.Axes(1, 4, 4), conv.Axes(1, 3, 3), one, one, none),
}

func values[T int8 | uint8 | float32 | float64](rng *rand.Rand, n int) []T {
	x := make([]T, n)
	for i := range x {
		x[i] = T(rng.IntN(41)) - T(20)/4
	}
	return x
}

func volume(a [3]int) int { return a[0] * a[1] * a[2] }

// reference computes one output element by the definition, in float64.
func reference[T int8 | uint8 | float32 | float64](s *conv.Shape, x, w []T, zx, zw float64, b, f, oz, oy, ox int) float64 {
	cg, fg := s.Channels/s.Groups, s.Filters/s.Groups
	var sum float64
	for c := range cg {
		for kz := range s.Kernel[0] {
			for ky := range s.Kernel[1] {
				for kx := range s.Kernel[2] {
					z, y, u := oz*s.Stride[0]+kz*s.Dilate[0]-s.PadBegin[0], oy*s.Stride[1]+ky*s.Dilate[1]-s.PadBegin[1], ox*s.Stride[2]+kx*s.Dilate[2]-s.PadBegin[2]
					if z < 0 || y < 0 || u < 0 || z >= s.In[0] || y >= s.In[1] || u >= s.In[2] {
						continue
					}
					xi := (((b*s.Channels+f/fg*cg+c)*s.In[0]+z)*s.In[1]+y)*s.In[2] + u
					wi := (((f*cg+c)*s.Kernel[0]+kz)*s.Kernel[1]+ky)*s.Kernel[2] + kx
					sum += (float64(x[xi]) - zx) * (float64(w[wi]) - zw)
				}
			}
		}
	}
	return sum
}

func each(s *conv.Shape, f func(at, b, filter, z, y, x int)) {
	at := 0
	for b := range s.Batch {
		for c := range s.Filters {
			for z := range s.Out[0] {
				for y := range s.Out[1] {
					for x := range s.Out[2] {
						f(at, b, c, z, y, x)
						at++
					}
				}
			}
		}
	}
}

func TestRun(t *testing.T) {
	p := pool.New(3)
	defer p.Close()
	for _, table := range kern.Usable() {
		for _, workers := range []*pool.Pool{nil, p} {
			r := conv.New(table, workers)
			for i, s := range shapes {
				rng := rand.New(rand.NewPCG(uint64(i), 1))
				n := s.Batch * s.Filters * volume(s.Out)
				a := &conv.Args{Shape: s,
					X: values[float32](rng, s.Batch*s.Channels*volume(s.In)),
					W: values[float32](rng, s.Filters*s.Channels/s.Groups*volume(s.Kernel)),
					Y: make([]float32, n+1)}
				a.Y[n] = 99
				if i%2 == 0 {
					a.Bias, a.Act = values[float32](rng, s.Filters), gemm.ReLU
				}
				a.Scratch = make([]float32, r.Scratch(a)+1)
				a.Scratch[len(a.Scratch)-1] = 77
				if err := r.Run(a); err != nil {
					t.Fatal(err)
				}
				each(&s, func(at, b, f, z, y, x int) {
					want := reference(&s, a.X, a.W, 0, 0, b, f, z, y, x)
					if a.Bias != nil {
						want = max(want+float64(a.Bias[f]), 0)
					}
					if got := float64(a.Y[at]); math.Abs(got-want) > 1e-6*(1000+math.Abs(want)) {
						t.Fatalf("%v shape %d: [%d %d %d %d %d] = %v, want %v", table.Tier, i, b, f, z, y, x, got, want)
					}
				})
				if a.Y[n] != 99 || a.Scratch[len(a.Scratch)-1] != 77 {
					t.Fatal("wrote past the end")
				}
			}
		}
	}
}

func TestDirectAndBytes(t *testing.T) {
	for i, s := range shapes[:9] {
		rng := rand.New(rand.NewPCG(uint64(i), 2))
		nx, nw, ny := s.Batch*s.Channels*volume(s.In), s.Filters*s.Channels/s.Groups*volume(s.Kernel), s.Batch*s.Filters*volume(s.Out)
		planes := s.Batch * s.Filters

		x, w, bias, y := values[float64](rng, nx), values[float64](rng, nw), values[float64](rng, s.Filters), make([]float64, ny)
		if err := conv.Direct(y, x, w, bias, &s, 0, planes/2); err != nil {
			t.Fatal(err)
		}
		if err := conv.Direct(y, x, w, bias, &s, planes/2, planes); err != nil {
			t.Fatal(err)
		}
		each(&s, func(at, b, f, z, v, u int) {
			if want := reference(&s, x, w, 0, 0, b, f, z, v, u) + bias[f]; y[at] != want {
				t.Fatalf("shape %d: Direct[%d] = %v, want %v", i, at, y[at], want)
			}
		})

		xi, wi, yi := values[uint8](rng, nx), values[int8](rng, nw), make([]int32, ny)
		zw := values[int8](rng, s.Filters)
		if i%3 == 0 {
			zw = zw[:1]
		}
		if err := conv.Bytes(yi, xi, wi, 7, zw, &s, 0, planes); err != nil {
			t.Fatal(err)
		}
		each(&s, func(at, b, f, z, v, u int) {
			if want := reference2(&s, xi, wi, 7, float64(zw[f%len(zw)]), b, f, z, v, u); float64(yi[at]) != want {
				t.Fatalf("shape %d: Bytes[%d] = %v, want %v", i, at, yi[at], want)
			}
		})
	}
}

// reference2 is reference for operands of two types.
func reference2(s *conv.Shape, x []uint8, w []int8, zx, zw float64, b, f, oz, oy, ox int) float64 {
	xf, wf := make([]float64, len(x)), make([]float64, len(w))
	for i, v := range x {
		xf[i] = float64(v)
	}
	for i, v := range w {
		wf[i] = float64(v)
	}
	return reference(s, xf, wf, zx, zw, b, f, oz, oy, ox)
}

func TestPools(t *testing.T) {
	// 1 2 3 / 4 5 6 / 7 8 9 with a 2x2 window, stride 2, sizes rounded up.
	s := conv.Shape{Batch: 1, Channels: 1, Filters: 1, Groups: 1, In: conv.Axes(1, 3, 3), Out: conv.Axes(1, 2, 2),
		Kernel: conv.Axes(1, 2, 2), Stride: conv.Axes(1, 2, 2), Dilate: one}
	x := []float32{1, 2, 3, 4, 5, 6, 7, 8, 9}
	y := make([]float32, 4)
	check := func(what string, err error, want ...float32) {
		t.Helper()
		if err != nil || !slices.Equal(y, want) {
			t.Errorf("%s: %v, %v, want %v", what, y, err, want)
		}
	}
	check("max", conv.MaxPool(y, x, &s, 0, 1), 5, 6, 8, 9)
	check("average", conv.AveragePool(y, x, &s, false, 0, 1), 3, 4.5, 7.5, 9)
	check("average, none padded", conv.AveragePool(y, x, &s, true, 0, 1), 3, 4.5, 7.5, 9)
	s.PadBegin, s.PadEnd = conv.Axes(0, 1, 1), conv.Axes(0, 0, 0)
	check("padded max", conv.MaxPool(y, x, &s, 0, 1), 1, 3, 7, 9)
	check("padded average", conv.AveragePool(y, x, &s, false, 0, 1), 1, 2.5, 5.5, 7)
	check("padded average, pads counted", conv.AveragePool(y, x, &s, true, 0, 1), 0.25, 1.25, 2.75, 7)
	s.PadEnd = conv.Axes(0, 1, 1)
	s.PadBegin = none
	check("pads at the end", conv.AveragePool(y, x, &s, true, 0, 1), 3, 2.25, 3.75, 2.25)
	s.Dilate = conv.Axes(1, 2, 2)
	check("dilated", conv.MaxPool(y, x, &s, 0, 1), 9, 9, 9, 9)
	s.Stride = conv.Axes(1, 4, 4) // the last windows miss the input altogether
	check("empty window", conv.AveragePool(y, x, &s, false, 0, 1), 5, 0, 0, 0)
	ints := make([]int8, 4)
	if err := conv.MaxPool(ints, []int8{-1, -2, -3, -4, -5, -6, -7, -8, -9}, &s, 0, 1); err != nil || ints[0] != -1 || ints[3] != -128 {
		t.Errorf("int8 max: %v, %v", ints, err)
	}
}

func TestRefusals(t *testing.T) {
	r := conv.New(kern.Usable()[0], nil)
	good := func() *conv.Args {
		s := shape(1, 4, 6, 2, conv.Axes(1, 5, 5), conv.Axes(1, 3, 3), one, one, none)
		a := &conv.Args{Shape: s, X: make([]float32, 100), W: make([]float32, 108), Y: make([]float32, 54), Bias: make([]float32, 6)}
		a.Scratch = make([]float32, r.Scratch(a))
		return a
	}
	for name, spoil := range map[string]func(*conv.Args){
		"X":             func(a *conv.Args) { a.X = a.X[1:] },
		"W":             func(a *conv.Args) { a.W = a.W[1:] },
		"Y":             func(a *conv.Args) { a.Y = a.Y[1:] },
		"bias":          func(a *conv.Args) { a.Bias = a.Bias[1:] },
		"scratch":       func(a *conv.Args) { a.Scratch = a.Scratch[1:] },
		"groups":        func(a *conv.Args) { a.Groups = 3 },
		"stride":        func(a *conv.Args) { a.Stride[1] = 0 },
		"kernel":        func(a *conv.Args) { a.Kernel[2] = 0 },
		"pads":          func(a *conv.Args) { a.PadBegin[2] = -1 },
		"huge":          func(a *conv.Args) { a.In = [3]int{math.MaxInt, math.MaxInt, math.MaxInt} },
		"huge pad":      func(a *conv.Args) { a.PadBegin[0] = math.MaxInt },
		"huge stride":   func(a *conv.Args) { a.Stride[2] = math.MaxInt / 2 },
		"huge dilation": func(a *conv.Args) { a.Dilate[1] = math.MaxInt / 2 },
		"huge output":   func(a *conv.Args) { a.Out[0], a.Out[1] = math.MaxInt, 0 },
		"batch":         func(a *conv.Args) { a.Batch = -1 },
	} {
		a := good()
		if err := r.Run(a); err != nil {
			t.Fatal(err)
		}
		spoil(a)
		if err := r.Run(a); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	a := good()
	if conv.Direct(a.Y, a.X, a.W, nil, &a.Shape, 0, 7) == nil || conv.MaxPool(a.Y, a.X, &a.Shape, -1, 1) == nil {
		t.Error("planes out of range accepted")
	}
}

func TestRunAllocatesNothing(t *testing.T) {
	p := pool.New(2)
	defer p.Close()
	for _, table := range kern.Usable() {
		r := conv.New(table, p)
		for _, s := range shapes[:8] {
			a := &conv.Args{Shape: s, X: make([]float32, 8000), W: make([]float32, 4000), Y: make([]float32, 4000)}
			a.Scratch = make([]float32, r.Scratch(a))
			if n := testing.AllocsPerRun(10, func() {
				if err := r.Run(a); err != nil {
					t.Fatal(err)
				}
			}); n != 0 {
				t.Errorf("%v: %v allocations", table.Tier, n)
			}
		}
	}
}

func ExampleRunner_Run() {
	table, err := kern.Select()
	if err != nil {
		panic(err)
	}
	r := conv.New(table, nil)
	a := conv.Args{
		Shape: conv.Shape{Batch: 1, Channels: 1, Filters: 1, Groups: 1, In: conv.Axes(1, 4), Out: conv.Axes(1, 3),
			Kernel: conv.Axes(1, 2), Stride: conv.Axes(1), Dilate: conv.Axes(1)},
		X: []float32{1, 2, 3, 4}, W: []float32{1, 10}, Y: make([]float32, 3),
	}
	a.Scratch = make([]float32, r.Scratch(&a))
	fmt.Println(r.Run(&a), a.Y)
	// Output: <nil> [21 32 43]
}
