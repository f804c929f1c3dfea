package suite

import (
	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/ops"
)

// terms is how many terms the sums behind each element of a node's results
// have: what tolerances of contractions grow with.
func terms(g *graph.Graph, id graph.NodeID, at dim.Binding) int64 {
	n := &g.Nodes[id]
	shape := func(vs []graph.ValueID, i int) []int64 {
		if i >= len(vs) || vs[i] == graph.NoValue {
			return nil
		}
		s, err := g.Values[vs[i]].Type.Shape.Eval(at)
		if err != nil {
			return nil
		}
		return s
	}
	x := shape(n.In, 0)
	axis := func(def int64) int {
		a := n.Attrs.Int("axis", def)
		if a < 0 {
			a += int64(len(x))
		}
		return int(min(max(a, 0), int64(len(x))))
	}
	last := func(s []int64) int64 {
		if len(s) == 0 {
			return 1
		}
		return s[len(s)-1]
	}
	k := int64(0)
	switch n.Op.Name {
	case "MatMul", "Linear", "QLinearMatMul":
		k = last(x)
	case "Gemm":
		if k = last(x); n.Attrs.Int("transA", 0) != 0 && len(x) == 2 {
			k = x[0]
		}
	case "Conv":
		k = volume(shape(n.In, 1), 1)
	case "QLinearConv":
		k = volume(shape(n.In, 3), 1)
	case "ConvTranspose":
		if w := shape(n.In, 1); len(w) > 2 {
			k = w[0] / max(1, n.Attrs.Int("group", 1)) * volume(w, 2)
		}
	case "AveragePool":
		k = volume(n.Attrs.Ints("kernel_shape"), 0)
	case "GlobalAveragePool", "InstanceNormalization":
		k = volume(x, 2)
	case "GroupNormalization":
		k = volume(x, 1) / max(1, n.Attrs.Int("num_groups", 1))
	case "LayerNormalization", "RMSNormalization":
		k = volume(x, axis(-1))
	case "LpNormalization":
		k = volume(x[:min(len(x), axis(-1)+1)], axis(-1))
	case "LRN":
		k = n.Attrs.Int("size", 1)
	case "CumSum":
		if axes, ok := g.Values[n.In[1]].Const(); ok && len(axes.Data) > 0 && len(x) > 0 {
			a := (int(int8(axes.Data[0])) + len(x)) % len(x)
			k = x[a]
		}
	case "Attention":
		// The scores are sums over a head, the result one over the keys.
		q, keys := last(x), shape(n.In, 1)
		if len(x) == 3 {
			q /= max(1, n.Attrs.Int("q_num_heads", 1))
		}
		if len(keys) >= 3 {
			k = q + keys[len(keys)-2]
		}
		if past := shape(n.In, 4); len(past) == 4 {
			k += past[2]
		}
	case "ReduceSum", "ReduceMean", "ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceLogSum", "ReduceLogSumExp", "ReduceProd", "MeanVarianceNormalization":
		k = volume(x, 0) / max(1, volume(shape(n.Out, 0), 0))
		if n.Op.Name == "MeanVarianceNormalization" {
			axes := n.Attrs.Ints("axes")
			if axes == nil {
				axes = []int64{0, 2, 3}
			}
			k = 1
			for _, a := range axes {
				k *= x[(int(a)+len(x))%len(x)]
			}
		}
	default: // a multiplication and an addition for each
		if c, err := ops.CostOf(g, id, at); err == nil {
			k = int64(c.FLOPs / float64(max(1, volume(shape(n.Out, 0), 0))) / 2)
		}
	}
	return max(1, k)
}

// volume is the number of elements of the dimensions from one on.
func volume(shape []int64, from int) int64 {
	n := int64(1)
	for i := from; i < len(shape); i++ {
		n *= shape[i]
	}
	return n
}
