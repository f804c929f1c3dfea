package oracle

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
)

// Causes of failure, found with errors.Is. A weight without bytes is
// graph.ErrNoData.
var (
	// ErrLimit: a value needs more elements than Options.MaxElements allows.
	ErrLimit = errors.New("exceeds the limit")
	// ErrIndex: an index, axis or position lies outside of its dimension.
	ErrIndex = errors.New("index out of range")
	// ErrUnsupported: the operator or encoding has no reference evaluation.
	ErrUnsupported = errors.New("not supported by the reference evaluator")
)

// Error says which node or value could not be evaluated, and why.
type Error struct {
	Graph string // empty from EvalNode and Weight
	Node  string // name of the node; empty if a value is at fault
	Op    string
	Value string
	Err   error
}

// Error implements error.
func (e *Error) Error() string {
	s := "oracle: "
	if e.Graph != "" {
		s += fmt.Sprintf("graph %q: ", e.Graph)
	}
	if e.Op != "" {
		s += fmt.Sprintf("node %q (%s): ", e.Node, e.Op)
	}
	if e.Value != "" {
		s += fmt.Sprintf("value %q: ", e.Value)
	}
	return s + e.Err.Error()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// defaultMaxElements is what Options.MaxElements means when it is 0.
const defaultMaxElements = 1 << 28

// node is one application of an operator with its operands.
type node struct {
	*graph.Call
	ctx  context.Context
	args []*Tensor    // one for each element of Call.In; nil where omitted
	out  []graph.Type // constant shapes; of outputs that are not wanted, nothing
	// limit bounds the elements of any tensor made; spent counts steps since
	// the context was last looked at.
	limit int64
	spent int
}

// evaluator computes a node's outputs. Outputs that are not wanted may be
// nil. Floating-point results need not be rounded: the caller does that.
type evaluator func(x *node) ([]*Tensor, error)

// evaluators holds every operator, by its OpRef.String.
var evaluators = merge(
	arithmeticOps, compareOps, unaryOps, castOps, moveOps, joinOps, indexOps, makeOps,
	reduceOps, sortOps, normOps, matmulOps, convOps, poolOps, quantOps, attentionOps,
	bitOps, indicatorOps, resizeOps, einsumOps,
)

func merge(families ...map[string]evaluator) map[string]evaluator {
	all := map[string]evaluator{}
	for _, f := range families {
		maps.Copy(all, f)
	}
	return all
}

// EvalNode evaluates one operator. in has one entry for each element of c.In,
// nil where an input is omitted; out has the types of the outputs with
// constant shapes, and an encoding only where the operator updates a state.
// The result has one entry for each element of out, rounded to its type, nil
// where c does not want it. No tensor may exceed 1<<28 elements.
func EvalNode(c *graph.Call, in []*Tensor, out []graph.Type) ([]*Tensor, error) {
	x := &node{Call: c, ctx: context.Background(), args: in, out: out, limit: defaultMaxElements}
	ts, err := x.eval()
	if err != nil {
		return nil, &Error{Node: c.Name, Op: c.Op.String(), Err: err}
	}
	for i, t := range ts {
		ts[i] = t.rounded()
	}
	return ts, nil
}

// eval checks the operands against the call and the results against their
// inferred types. It does not round.
func (x *node) eval() (ts []*Tensor, err error) {
	f := evaluators[x.Op.String()]
	if f == nil {
		return nil, fmt.Errorf("operator is %w", ErrUnsupported)
	}
	if len(x.args) != len(x.In) || len(x.out) != len(x.Call.Out) {
		return nil, fmt.Errorf("has %d inputs and %d outputs; %d and %d were given", len(x.In), len(x.Call.Out), len(x.args), len(x.out))
	}
	for i, t := range x.args {
		if (t == nil) != (x.In[i] == nil) {
			return nil, fmt.Errorf("input %d: is it present? Call and tensors disagree", i)
		}
		if t == nil {
			continue
		}
		if err := t.valid(); err != nil {
			return nil, fmt.Errorf("input %d: %w", i, err)
		}
		if want := x.In[i].Type; t.Elem != want.Elem || len(t.Shape) != len(want.Shape) {
			return nil, fmt.Errorf("input %d is %s%v, its type is %s", i, t.Elem, t.Shape, want)
		}
	}
	// A mistake in an evaluator must not end the program that checks drivers.
	defer func() {
		if r := recover(); r != nil {
			ts, err = nil, fmt.Errorf("internal error: %v", r)
		}
	}()
	if ts, err = f(x); err != nil {
		return nil, err
	}
	for i, want := range x.out {
		if !x.Want(i) {
			if i < len(ts) {
				ts[i] = nil
			}
			continue
		}
		if i >= len(ts) || ts[i] == nil {
			return nil, fmt.Errorf("output %d was not computed", i)
		}
		shape, ok := want.Shape.Const()
		if !ok {
			return nil, fmt.Errorf("output %d has shape %s; bind its symbols", i, want.Shape)
		}
		if t := ts[i]; t.Elem != want.Elem || !slices.Equal(t.Shape, shape) {
			return nil, fmt.Errorf("output %d is %s%v, its type says %s", i, t.Elem, t.Shape, want)
		}
	}
	return ts[:len(x.out)], x.ctx.Err()
}

// step records n units of work and returns the context's error, looked at
// about once a million units.
func (x *node) step(n int) error {
	if x.spent += n + 1; x.spent < 1<<20 {
		return nil
	}
	x.spent = 0
	return x.ctx.Err()
}

// arg returns input i, nil when it is omitted.
func (x *node) arg(i int) *Tensor {
	if i >= len(x.args) {
		return nil
	}
	return x.args[i]
}

// elem returns the element type of output i.
func (x *node) elem(i int) enc.Elem {
	if i >= len(x.out) {
		return enc.Invalid
	}
	return x.out[i].Elem
}

// fits returns nil, or why a tensor of a shape may not be made.
func (x *node) fits(shape []int64) error {
	n, err := dim.Count(shape)
	if err == nil && n > x.limit {
		err = fmt.Errorf("%d elements of shape %v: %w of %d", n, shape, ErrLimit, x.limit)
	}
	return err
}

// make returns a tensor of zeros.
func (x *node) make(elem enc.Elem, shape []int64) (*Tensor, error) {
	if err := x.fits(shape); err != nil {
		return nil, err
	}
	return newTensor(elem, shape)
}

// view returns the elements of t that a strided view selects.
func (x *node) view(t *Tensor, shape []int64, base int, stride []int) (*Tensor, error) {
	if err := x.fits(shape); err != nil {
		return nil, err
	}
	return t.pick(shape, offsets(shape, base, stride))
}

// broadcast returns the common shape of tensors and, for each, which of its
// elements every element of that shape is computed from.
func (x *node) broadcast(ts ...*Tensor) ([]int64, [][]int, error) {
	shapes := make([][]int64, len(ts))
	for i, t := range ts {
		shapes[i] = t.Shape
	}
	shape, err := broadcastShape(shapes...)
	if err == nil {
		err = x.fits(shape)
	}
	if err != nil {
		return nil, nil, err
	}
	offs := make([][]int, len(ts))
	for i, t := range ts {
		if offs[i], err = broadcastOffsets(t.Shape, shape); err != nil {
			return nil, nil, err
		}
	}
	return shape, offs, nil
}

// ints returns the elements of an integer operand, nil when it is omitted.
func (x *node) ints(i int) ([]int64, error) {
	t := x.arg(i)
	if t == nil {
		return nil, nil
	}
	if t.F != nil || t.U != nil {
		return nil, fmt.Errorf("input %d is %s; want integers", i, t.Elem)
	}
	return t.I, nil
}

// int returns an operand of one integer, or def when it is omitted.
func (x *node) int(i int, def int64) (int64, error) {
	ns, err := x.ints(i)
	if err != nil || x.arg(i) == nil {
		return def, err
	}
	if len(ns) != 1 {
		return 0, fmt.Errorf("input %d has shape %v; want one number", i, x.arg(i).Shape)
	}
	return ns[0], nil
}

// float returns a float attribute. Attributes are float32 by definition, also
// where the operator computes in float64.
func (x *node) float(name string, def float32) float64 { return float64(x.Attrs.Float(name, def)) }

func (x *node) flag(name string, def int64) bool { return x.Attrs.Int(name, def) != 0 }

// elemAttr returns an element-type attribute, Invalid when it is absent.
func (x *node) elemAttr(name string) enc.Elem {
	e := x.Attrs.Elem(name, enc.Invalid)
	if n := x.Attrs.Int(name, 0); e == enc.Invalid && n != 0 {
		e, _ = enc.FromONNX(int32(n))
	}
	return e
}

// one wraps the result of an evaluator with one output.
func one(t *Tensor, err error) ([]*Tensor, error) {
	if err != nil {
		return nil, err
	}
	return []*Tensor{t}, nil
}
