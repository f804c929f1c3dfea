package resample

import (
	"fmt"
	"math"
)

// Filter names a resampling filter. The zero value is [Nearest].
type Filter uint8

// Pillow's filters.
const (
	Nearest Filter = iota
	Box
	Bilinear
	Hamming
	Bicubic // a = -0.5
	Lanczos // three lobes
)

// kernel is a symmetric function of the distance to the centre, zero from
// support on.
type kernel struct {
	name    string
	pillow  int // the number of the filter in Pillow and in "resample" of preprocessor_config.json
	support float64
	at      func(float64) float64
}

var kernels = [...]kernel{
	Nearest:  {name: "nearest", pillow: 0},
	Box:      {name: "box", pillow: 4, support: 0.5, at: box},
	Bilinear: {name: "bilinear", pillow: 2, support: 1, at: triangle},
	Hamming:  {name: "hamming", pillow: 5, support: 1, at: hamming},
	Bicubic:  {name: "bicubic", pillow: 3, support: 2, at: cubic},
	Lanczos:  {name: "lanczos", pillow: 1, support: 3, at: lanczos},
}

// String returns the filter's name in lower case.
func (f Filter) String() string {
	if int(f) < len(kernels) {
		return kernels[f].name
	}
	return fmt.Sprintf("Filter(%d)", uint8(f))
}

// FromPillow returns the filter that Pillow numbers code, the value of
// "resample" in a Hugging Face preprocessor_config.json.
func FromPillow(code int) (Filter, error) {
	for f, k := range kernels {
		if k.pillow == code {
			return Filter(f), nil
		}
	}
	return 0, fmt.Errorf("resample: Pillow has no filter %d: use 0 (nearest), 1 (lanczos), 2 (bilinear), 3 (bicubic), 4 (box) or 5 (hamming)", code)
}

// Every product below stands inside float64(...): the conversion forbids the
// compiler to fuse it with the following addition, which would round once
// instead of twice and change weights on arm64.

func box(x float64) float64 {
	if x > -0.5 && x <= 0.5 {
		return 1
	}
	return 0
}

func triangle(x float64) float64 {
	if x = math.Abs(x); x < 1 {
		return 1 - x
	}
	return 0
}

func hamming(x float64) float64 {
	x = math.Abs(x)
	switch {
	case x == 0:
		return 1
	case x >= 1:
		return 0
	}
	x *= math.Pi
	// Pillow writes these two as C floats.
	const a, b = float64(float32(0.54)), float64(float32(0.46))
	return math.Sin(x) / x * (a + float64(b*math.Cos(x)))
}

func cubic(x float64) float64 {
	const a = -0.5
	x = math.Abs(x)
	switch {
	case x < 1:
		p := float64((a+2)*x) - (a + 3)
		return float64(float64(p*x)*x) + 1
	case x < 2:
		p := float64((x-5)*x) + 8
		return (float64(p*x) - 4) * a
	}
	return 0
}

func lanczos(x float64) float64 {
	if x < -3 || x >= 3 {
		return 0
	}
	return sinc(x) * sinc(x/3)
}

func sinc(x float64) float64 {
	if x == 0 {
		return 1
	}
	x *= math.Pi
	return math.Sin(x) / x
}
