package oracle

import (
	"fmt"
	"math"
	"slices"
)

// normOps normalise rows.
var normOps = map[string]evaluator{
	"Softmax": func(x *node) ([]*Tensor, error) {
		return x.rows(func(t *Tensor, g []int, out []float64) {
			m, s := math.Inf(-1), 0.0
			for _, j := range g {
				m = max(m, t.F[j])
			}
			for k, j := range g {
				out[k] = math.Exp(t.F[j] - m)
				s += out[k]
			}
			for k := range out {
				out[k] /= s
			}
		})
	},
	"LogSoftmax": func(x *node) ([]*Tensor, error) {
		return x.rows(func(t *Tensor, g []int, out []float64) {
			s := logSumExp(t, g)
			for k, j := range g {
				out[k] = t.F[j] - s
			}
		})
	},
	"LpNormalization": func(x *node) ([]*Tensor, error) {
		p := x.Attrs.Int("p", 2)
		return x.rows(func(t *Tensor, g []int, out []float64) {
			s := 0.0
			for _, j := range g {
				if p == 1 {
					s += math.Abs(t.F[j])
				} else {
					s += t.F[j] * t.F[j]
				}
			}
			if p != 1 {
				s = math.Sqrt(s)
			}
			for k, j := range g {
				if s != 0 {
					out[k] = t.F[j] / s
				}
			}
		})
	},
	"MeanVarianceNormalization": func(x *node) ([]*Tensor, error) {
		t := x.arg(0)
		list := []int64{0, 2, 3}
		if x.Attrs.Has("axes") {
			list = x.Attrs.Ints("axes")
		}
		axes, err := axesOf(list, len(t.Shape))
		if err != nil {
			return nil, err
		}
		if len(axes) == 0 { // as in a reduction: all of them
			for a := range t.Shape {
				axes = append(axes, a)
			}
		}
		out, err := x.make(t.Elem, t.Shape)
		if err != nil {
			return nil, err
		}
		for _, g := range groups(t.Shape, axes) {
			mean, variance := moments(t, g)
			for _, j := range g {
				out.F[j] = (t.F[j] - mean) / (math.Sqrt(variance) + 1e-9)
			}
		}
		return one(out, x.step(t.Len()))
	},
	"LRN":                   localResponse,
	"LayerNormalization":    layerNorm,
	"RMSNormalization":      rmsNorm,
	"GroupNormalization":    groupNorm,
	"InstanceNormalization": instanceNorm,
}

// rows calls f for each run of elements along attribute axis; out receives
// what takes their place.
func (x *node) rows(f func(t *Tensor, g []int, out []float64)) ([]*Tensor, error) {
	t := x.arg(0)
	a, err := axisOf(x.Attrs.Int("axis", -1), len(t.Shape))
	if err != nil {
		return nil, err
	}
	out, err := x.make(t.Elem, t.Shape)
	if err != nil {
		return nil, err
	}
	row := make([]float64, t.Shape[a])
	if len(row) == 0 {
		return one(out, nil)
	}
	for _, g := range groups(t.Shape, []int{a}) {
		clear(row)
		f(t, g, row)
		for k, j := range g {
			out.F[j] = row[k]
		}
		if err := x.step(len(g)); err != nil {
			return nil, err
		}
	}
	return one(out, nil)
}

// moments returns the mean and the variance of some elements.
func moments(t *Tensor, g []int) (mean, variance float64) {
	for _, j := range g {
		mean += t.F[j]
	}
	mean /= float64(len(g))
	for _, j := range g {
		variance += (t.F[j] - mean) * (t.F[j] - mean)
	}
	return mean, variance / float64(len(g))
}

// tailAxes returns the axes from attribute axis on, and the shape with those
// set to 1.
func (x *node) tailAxes() (axes []int, reduced []int64, err error) {
	shape := x.arg(0).Shape
	a, err := axisOf(x.Attrs.Int("axis", -1), len(shape))
	if err != nil {
		return nil, nil, err
	}
	reduced = slices.Clone(shape)
	for ; a < len(shape); a++ {
		axes = append(axes, a)
		reduced[a] = 1
	}
	return axes, reduced, nil
}

// layerNorm also yields the mean and the inverse standard deviation.
func layerNorm(x *node) ([]*Tensor, error) {
	t, scale, bias := x.arg(0), x.arg(1), x.arg(2)
	axes, reduced, err := x.tailAxes()
	if err != nil {
		return nil, err
	}
	out, err := x.make(t.Elem, t.Shape)
	if err != nil {
		return nil, err
	}
	stats := [2]*Tensor{}
	for i := range stats {
		if !x.Want(1 + i) {
			continue
		}
		if stats[i], err = x.make(x.elem(1+i), reduced); err != nil {
			return nil, err
		}
	}
	eps := x.float("epsilon", 1e-5)
	for i, g := range groups(t.Shape, axes) {
		mean, variance := moments(t, g)
		inv := 1 / math.Sqrt(variance+eps)
		if stats[0] != nil {
			stats[0].F[i] = mean
		}
		if stats[1] != nil {
			stats[1].F[i] = inv
		}
		for _, j := range g {
			out.F[j] = (t.F[j] - mean) * inv
		}
		if err := x.step(len(g)); err != nil {
			return nil, err
		}
	}
	if err := out.scaleBias(scale, bias); err != nil {
		return nil, err
	}
	return []*Tensor{out, stats[0], stats[1]}, nil
}

func rmsNorm(x *node) ([]*Tensor, error) {
	t := x.arg(0)
	axes, _, err := x.tailAxes()
	if err != nil {
		return nil, err
	}
	out, err := x.make(x.elem(0), t.Shape) // the scale's type
	if err != nil {
		return nil, err
	}
	eps := x.float("epsilon", 1e-5)
	for _, g := range groups(t.Shape, axes) {
		s := 0.0
		for _, j := range g {
			s += t.F[j] * t.F[j]
		}
		inv := 1 / math.Sqrt(s/float64(len(g))+eps)
		for _, j := range g {
			out.F[j] = t.F[j] * inv
		}
		if err := x.step(len(g)); err != nil {
			return nil, err
		}
	}
	return one(out, out.scaleBias(x.arg(1), nil))
}

// scaleBias multiplies by scale and adds bias, both broadcast to t and
// either of them nil for none. It writes t.
func (t *Tensor) scaleBias(scale, bias *Tensor) error {
	for k, u := range []*Tensor{scale, bias} {
		if u == nil {
			continue
		}
		offs, err := broadcastOffsets(u.Shape, t.Shape)
		if err != nil {
			return err
		}
		for i, o := range offs {
			if k == 0 {
				t.F[i] *= u.F[o]
			} else {
				t.F[i] += u.F[o]
			}
		}
	}
	return nil
}

// normalize makes each group of elements have mean 0 and variance 1, then
// applies per-channel scale and bias; channels are dimension 1.
func (x *node) normalize(t *Tensor, gs [][]int) ([]*Tensor, error) {
	scale, err := x.perChannel(1)
	if err != nil {
		return nil, err
	}
	bias, err := x.perChannel(2)
	if err != nil {
		return nil, err
	}
	out, err := x.make(t.Elem, t.Shape)
	if err != nil {
		return nil, err
	}
	eps := x.float("epsilon", 1e-5)
	for _, g := range gs {
		mean, variance := moments(t, g)
		for _, j := range g {
			out.F[j] = (t.F[j] - mean) / math.Sqrt(variance+eps)
		}
		if err := x.step(len(g)); err != nil {
			return nil, err
		}
	}
	return one(out, out.scaleBias(scale, bias))
}

// perChannel returns input i, one number for each channel of input 0, shaped
// to broadcast.
func (x *node) perChannel(i int) (*Tensor, error) {
	shape, u := x.arg(0).Shape, x.arg(i)
	if len(shape) < 2 || u == nil || int64(u.Len()) != shape[1] {
		return nil, fmt.Errorf("input %d needs one number for each channel of %v", i, shape)
	}
	s := make([]int64, len(shape)-1)
	for k := range s {
		s[k] = 1
	}
	s[0] = shape[1]
	return u.with(s), nil
}

func groupNorm(x *node) ([]*Tensor, error) {
	t := x.arg(0)
	n := x.Attrs.Int("num_groups", 0)
	if len(t.Shape) < 2 || n <= 0 || t.Shape[1]%n != 0 {
		return nil, fmt.Errorf("%d groups of the channels of %v", n, t.Shape)
	}
	var gs [][]int
	if t.Len() > 0 {
		gs = groups([]int64{t.Shape[0] * n, int64(t.Len()) / (t.Shape[0] * n)}, []int{1})
	}
	return x.normalize(t, gs)
}

func instanceNorm(x *node) ([]*Tensor, error) {
	t := x.arg(0)
	var axes []int
	for a := 2; a < len(t.Shape); a++ {
		axes = append(axes, a)
	}
	return x.normalize(t, groups(t.Shape, axes))
}

// localResponse divides by what the squares of neighbouring channels add up
// to; of an even number of neighbours, one more lies behind.
func localResponse(x *node) ([]*Tensor, error) {
	t := x.arg(0)
	n := x.Attrs.Int("size", 0)
	if len(t.Shape) < 2 || n < 1 {
		return nil, fmt.Errorf("%d channels of shape %v", n, t.Shape)
	}
	out, err := x.make(t.Elem, t.Shape)
	if err != nil {
		return nil, err
	}
	alpha, beta, bias := x.float("alpha", 1e-4), x.float("beta", 0.75), x.float("bias", 1)
	for _, g := range groups(t.Shape, []int{1}) {
		for k, j := range g {
			first, last := max(0, int64(k)-(n-1)/2), min(int64(len(g)-1), int64(k)+n/2)
			s := 0.0
			for c := first; c <= last; c++ {
				s += t.F[g[c]] * t.F[g[c]]
			}
			out.F[j] = t.F[j] / math.Pow(bias+alpha/float64(n)*s, beta)
			if err := x.step(int(last - first)); err != nil {
				return nil, err
			}
		}
	}
	return one(out, nil)
}
