package passes

import (
	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/ops"
	"github.com/heddle-ml/heddle/ops/oracle"
)

// What Fold computes ahead of time: little, so that no constant becomes large
// because a small one was expanded, and building a graph takes no time.
const (
	maxFoldElements = 1 << 16 // of each operand and result
	maxFoldFLOPs    = 1 << 26
)

// Fold replaces nodes whose results are known: shape arithmetic, as symbolic
// dimensions, and operators on small constants that the graph carries. A node
// that fails on its constants stays, to fail where it runs.
var Fold = Pass{"fold", fold}

func fold(g *graph.Graph) (*graph.Graph, error) {
	change := false
	out, err := rewrite(g, graph.Rewriter{
		Node: func(b *graph.Builder, id graph.NodeID, in []graph.ValueID) ([]graph.ValueID, error) {
			c := call(b, g, id, in)
			out := foldDims(b, c)
			if out == nil {
				out = foldNumbers(b, c)
			}
			change = change || out != nil
			return out, b.Err()
		},
	})
	if err != nil || !change {
		return g, err
	}
	return out, nil
}

// foldDims folds a call whose only output are integers known as dimensions.
func foldDims(b *graph.Builder, c *graph.Call) []graph.ValueID {
	o := ops.Get(c.Op.Domain, c.Op.Name)
	if o == nil || o.Fold == nil || len(c.Out) != 1 {
		return nil
	}
	types, err := ops.Standard.Infer(c)
	if err != nil || types[0].Elem != enc.I64 {
		return nil
	}
	ds, ok := o.Fold(c)
	if !ok {
		return nil
	}
	for _, d := range ds {
		if d.Valid() != nil {
			return nil
		}
	}
	if types[0].Rank() == 1 {
		return []graph.ValueID{b.Dims(ds...)}
	}
	if n, ok := ds[0].Const(); ok {
		return []graph.ValueID{b.Const("", graph.I64(n).Scalar())}
	}
	return []graph.ValueID{b.Weight("", types[0], &graph.Weight{Dims: ds[:1]})}
}

// foldNumbers evaluates a call of constants.
func foldNumbers(b *graph.Builder, c *graph.Call) []graph.ValueID {
	o := ops.Get(c.Op.Domain, c.Op.Name)
	if o == nil || o.Updates {
		return nil
	}
	args := make([]*oracle.Tensor, len(c.In))
	for i, v := range c.In {
		if v == nil {
			continue
		}
		t, ok := v.Const()
		if !ok || !small(v.Type) {
			return nil
		}
		var err error
		if args[i], err = oracle.FromConst(t); err != nil {
			return nil
		}
	}
	types, err := ops.Standard.Infer(c)
	if err != nil {
		return nil
	}
	for i, t := range types {
		if c.Want(i) && !small(t) {
			return nil
		}
	}
	cost := o.Cost
	if cost == nil {
		cost = ops.MoveCost
	}
	if k, err := cost(c, types, dim.Binding{}); err != nil || k.FLOPs > maxFoldFLOPs {
		return nil
	}
	results, err := oracle.EvalNode(c, args, types)
	if err != nil {
		return nil
	}
	out := make([]graph.ValueID, len(c.Out))
	for i := range out {
		out[i] = graph.NoValue
		if !c.Want(i) {
			continue
		}
		t, err := results[i].Const()
		if err != nil {
			return nil
		}
		out[i] = b.Const("", t)
	}
	return out
}

// small tells whether a value is plain and little enough to compute with.
func small(t graph.Type) bool {
	shape, ok := t.Shape.Const()
	n, err := dim.Count(shape)
	return ok && err == nil && n <= maxFoldElements && t.Enc == (enc.Encoding{})
}
