package onnx

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/ops"
	"github.com/heddle-ml/heddle/ops/oracle"
)

// Limits of folding. Shape arithmetic has a handful of numbers, a table of
// positions may have thousands; a model that wants more computed while it is
// read means harm.
const (
	maxFolded = 1 << 20 // elements that one node reads and writes
	maxWork   = 1 << 28 // operations and bytes of all nodes
)

// typeOnly reports whether only the type of operand i matters.
func typeOnly(n *node, i int) bool {
	return n.Domain == "" && (n.OpType == "Shape" || n.OpType == "Size" || n.OpType == "EyeLike" || n.OpType == "CastLike" && i == 1)
}

// constOperand reports whether operand i of an operator must be a constant.
func constOperand(n *node, i int) bool {
	if r := rules[n.OpType]; r != nil && n.Domain == "" && r.constant != nil {
		return r.constant(n, i)
	}
	o := ops.Get(n.Domain, n.OpType)
	return o != nil && i < len(o.Inputs) && o.Inputs[i].Const
}

// neededValues returns the names of the values that must be known at import:
// operands that decide shapes, and all that they are computed from. Nodes are
// in order, so one pass backwards finds them.
func neededValues(nodes []node) map[string]bool {
	needed := map[string]bool{}
	for k := len(nodes) - 1; k >= 0; k-- {
		n := &nodes[k]
		all := false
		for _, out := range n.Outputs {
			all = all || out != "" && needed[out]
		}
		for i, in := range n.Inputs {
			if in != "" && (all && !typeOnly(n, i) || constOperand(n, i)) {
				needed[in] = true
			}
		}
	}
	return needed
}

// fold computes a call whose operands are known, numerically or as symbolic
// integers. It returns nil when it cannot.
func (im *importer) fold(c *graph.Call, types []graph.Type) ([]*operand, error) {
	if v := im.symbolic(c, types[0]); v != nil {
		out := make([]*operand, len(types))
		out[0] = v
		return out, nil
	}
	total := int64(0)
	count := func(t graph.Type) bool {
		shape, ok := t.Shape.Const()
		if !ok {
			return false
		}
		n, err := dim.Count(shape)
		if err != nil || n > maxFolded {
			return false
		}
		total += n
		return total <= maxFolded
	}
	in := make([]*oracle.Tensor, len(c.In))
	for i, v := range c.In {
		if v == nil {
			continue
		}
		t, ok := v.Const()
		if !ok || !count(v.Type) {
			return nil, nil
		}
		var err error
		if in[i], err = oracle.FromConst(t); err != nil {
			return nil, err
		}
	}
	for i, t := range types {
		if c.Want(i) && !count(t) {
			return nil, nil
		}
	}
	if err := im.spend(c, types); err != nil {
		return nil, err
	}
	results, err := oracle.EvalNode(c, in, types)
	if err != nil {
		return nil, fmt.Errorf("compute a shape: %w", err)
	}
	out := make([]*operand, len(types))
	for i, r := range results {
		if r == nil || !c.Want(i) {
			continue
		}
		t, err := r.Const()
		if err != nil {
			return nil, fmt.Errorf("compute a shape: %w", err)
		}
		out[i] = constant(t)
	}
	return out, nil
}

// spend adds what computing a call costs to the work done.
func (im *importer) spend(c *graph.Call, types []graph.Type) error {
	cost := ops.MoveCost
	if o := ops.Get(c.Op.Domain, c.Op.Name); o != nil && o.Cost != nil {
		cost = o.Cost
	}
	k, err := cost(c, types, nil)
	if err != nil {
		return fmt.Errorf("compute a shape: %w", err)
	}
	if im.work += k.FLOPs + k.Bytes + 1; !(im.work <= maxWork) {
		return fmt.Errorf("the shapes of the model take more than %d operations to compute: %w", maxWork, ErrUnsupported)
	}
	return nil
}

// symbolic computes a call of symbolic integers, or of types alone. It returns
// nil when it cannot.
func (im *importer) symbolic(c *graph.Call, t graph.Type) *operand {
	o := ops.Get(c.Op.Domain, c.Op.Name)
	shape, ok := t.Shape.Const()
	if o == nil || !ok || len(shape) > 1 {
		return nil
	}
	if o.Decide != nil {
		if bs, ok := o.Decide(c); ok && size(shape) == len(bs) {
			v := &graph.Tensor{Elem: enc.Bool, Shape: shape, Data: make([]byte, len(bs))}
			for i, b := range bs {
				if b {
					v.Data[i] = 1
				}
			}
			return constant(v)
		}
	}
	if o.Fold != nil {
		if ds, ok := o.Fold(c); ok && size(shape) == len(ds) {
			return im.foldedDims(ds, t.Elem, shape)
		}
	}
	return nil
}

// size returns the number of elements of a scalar or vector.
func size(shape []int64) int {
	if len(shape) == 0 {
		return 1
	}
	return int(shape[0])
}

// foldedDims returns a constant scalar or vector with values ds, nil when its
// type cannot hold them. A graph has symbolic integers of type i64 only; those
// of type i32 stay outside, see [importer.use].
func (im *importer) foldedDims(ds []dim.Dim, e enc.Elem, shape []int64) *operand {
	var v *operand
	ns, known := dim.Shape(ds).Const()
	switch {
	case e == enc.I64:
		v = dims(ds)
	case e != enc.I32:
		return nil
	case known:
		x := &graph.Tensor{Elem: enc.I32, Shape: []int64{int64(len(ns))}}
		for _, n := range ns {
			if int64(int32(n)) != n {
				return nil
			}
			x.Data = binary.LittleEndian.AppendUint32(x.Data, uint32(n))
		}
		v = constant(x)
	default:
		for _, d := range ds {
			if lo, hi, err := d.Bounds(im.symbols.list); err != nil || lo < math.MinInt32 || hi > math.MaxInt32 {
				return nil
			}
		}
		v = dims(ds)
		v.value.Type.Elem = enc.I32
	}
	v.value.Type.Shape = dim.Ofs(shape...)
	if w := v.value.Data; w.Dims == nil {
		w.Parts[0].Shape = shape
	}
	return v
}

// symbolic32 reports whether an operand is symbolic integers of type i32,
// which no graph has.
func (v *operand) symbolic32() bool {
	return v != nil && v.id == graph.NoValue && v.value.Type.Elem == enc.I32 && v.value.Data != nil && v.value.Data.Dims != nil
}

// widened returns an operand of integers as i64.
func (v *operand) widened() *operand {
	ds, ok := v.value.Dims()
	if !ok || v.value.Type.Elem != enc.I32 {
		return v
	}
	w := dims(ds)
	w.value.Type.Shape = v.value.Type.Shape
	if w.value.Data.Dims == nil {
		w.value.Data.Parts[0].Shape, _ = v.value.Type.Shape.Const()
	}
	return w
}

// unknownOperand explains why operand i, which must be a constant, is none:
// it names what its value comes from.
func (im *importer) unknownOperand(n *node, i int) error {
	name := n.Inputs[i]
	made := map[string]*node{}
	for k := range im.nodes {
		for _, out := range im.nodes[k].Outputs {
			made[out] = &im.nodes[k]
		}
	}
	inputs := map[string]bool{}
	for k := range im.model.Inputs {
		inputs[im.model.Inputs[k].Name] = true
	}
	var from []string
	seen := map[string]bool{}
	last := ""
	for todo := []string{name}; len(todo) > 0; {
		s := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		v := im.env[s]
		if s == "" || seen[s] || v != nil && v.value.Kind == graph.Const {
			continue
		}
		seen[s] = true
		if inputs[s] {
			from = append(from, s)
			continue
		}
		m := made[s]
		if m == nil {
			continue
		}
		last = m.label() + " (" + m.op() + ")"
		for k := len(m.Inputs) - 1; k >= 0; k-- {
			if !typeOnly(m, k) {
				todo = append(todo, m.Inputs[k])
			}
		}
	}
	if len(from) > 0 {
		return fmt.Errorf("operand %d (%q) decides a shape and depends on the value of input %q; give it in ImportOptions.Values", i, name, strings.Join(from, `" and "`))
	}
	return fmt.Errorf("operand %d (%q) decides a shape, which node %s does not let be known before the graph runs: %w; bind symbolic dimensions with ImportOptions.Bind, or simplify the model", i, name, last, ErrUnsupported)
}
