package oracle

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/ops"
)

// strange makes random calls of an operator, most of them nonsense.
type strange struct{ *rand.Rand }

func (r strange) elem(set ops.TypeSet) enc.Elem {
	for {
		if e := enc.Elems()[r.IntN(len(enc.Elems()))]; set.Has(e) {
			return e
		}
	}
}

// shape prefers what operators agree about: few dimensions of few sizes.
func (r strange) shape(rank int) []int64 {
	s := make([]int64, rank)
	for i := range s {
		s[i] = []int64{0, 1, 1, 2, 2, 2, 2, 4, 4, 4, 3}[r.IntN(11)]
	}
	return s
}

func (r strange) int() int64 {
	switch r.IntN(40) {
	case 0:
		return 1 << 40
	case 1:
		return -1 << 63
	case 2:
		return 1<<63 - 1
	}
	return int64(r.IntN(8) - 2)
}

func (r strange) ints() []int64 {
	ns := make([]int64, r.IntN(5))
	for i := range ns {
		ns[i] = r.int()
	}
	return ns
}

func (r strange) tensor(e enc.Elem, shape []int64) *Tensor {
	t, err := newTensor(e, shape)
	if err != nil {
		panic(err)
	}
	for i := range t.Len() {
		if e.IsFloat() {
			t.setFloat(i, r.NormFloat64())
		} else {
			t.setFloat(i, float64(r.IntN(4))) // a plausible index
		}
	}
	return t
}

var words = []string{"none", "tanh", "constant", "edge", "reflect", "wrap", "DCR", "CRD", "NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER",
	"linear", "circular", "add", "mul", "max", "min", "relu", "gelu", "gelu_tanh", "silu", "up", "LEFT", "RIGHT",
	"nearest", "cubic", "align_corners", "tf_crop_and_resize", "not_larger", "floor", "ceil", "...a,...b->...ab", "a...,...a", "abc,cbd->db", "abc->c"}

func (r strange) attr(s ops.AttrSpec) graph.Attr {
	switch s.Kind {
	case graph.AttrInt:
		return graph.Int(s.Name, r.int())
	case graph.AttrFloat:
		return graph.Float(s.Name, float32(r.NormFloat64()))
	case graph.AttrString:
		return graph.Str(s.Name, words[r.IntN(len(words))])
	case graph.AttrInts:
		return graph.Ints(s.Name, r.ints()...)
	case graph.AttrElem:
		return graph.Elem(s.Name, r.elem(ops.All))
	case graph.AttrTensor:
		c, _ := r.tensor(r.elem(ops.All), []int64{1}).Const()
		return graph.TensorAttr(s.Name, c)
	}
	return graph.Floats(s.Name, 1)
}

// call makes one call and its operands. Half of the calls have a form in which
// operators with many operands agree: all dimensions are 2, scales and zero
// points are scalars or vectors, options are few.
func (r strange) call(o *ops.Op) (*graph.Call, []*Tensor) {
	c := &graph.Call{Op: o.Ref, Name: "strange"}
	var in []*Tensor
	vars := map[string]enc.Elem{}
	shape, plain, rare := r.shape(r.IntN(5)), r.IntN(2) == 0, 2
	if plain {
		shape, rare = []int64{2, 2, 2, 2}[:3+r.IntN(2)], 5
	}
	inputs := o.Inputs
	if n := len(inputs); n > 0 && inputs[n-1].Variadic {
		for range r.IntN(3) {
			inputs = append(inputs[:len(inputs):len(inputs)], inputs[n-1])
		}
	}
	for _, p := range inputs {
		if p.Optional && r.IntN(rare) < rare-1 {
			c.In, in = append(c.In, nil), append(in, nil)
			continue
		}
		e, ok := vars[p.Same]
		if !ok || p.Same == "" {
			e = r.elem(p.Types)
			vars[p.Same] = e
		}
		s := shape
		switch n := r.IntN(4); {
		case plain && (strings.Contains(p.Name, "scale") || strings.Contains(p.Name, "zero") || strings.Contains(p.Name, "bias")):
			s = [][]int64{{}, {2}}[n/2]
		case plain:
		case n == 0:
			s = r.shape(r.IntN(5))
		case n == 1:
			s = r.shape(len(shape))
		}
		t := r.tensor(e, s)
		v := &graph.Value{Name: p.Name, Kind: graph.Input, Type: graph.OfInts(e, s...), Def: -1}
		if p.Const && !p.Types.Has(enc.I64) {
			fs := make([]float32, r.IntN(5))
			for i := range fs {
				fs[i] = float32(r.NormFloat64())
			}
			w := graph.F32([]int64{int64(len(fs))}, fs...)
			t, _ = FromConst(w)
			v = &graph.Value{Name: p.Name, Kind: graph.Const, Def: -1, Type: w.Type(),
				Data: &graph.Weight{Parts: []graph.Part{{Inline: append([]byte{}, w.Data...), Elem: enc.F32, Shape: w.Shape}}}}
		} else if p.Const {
			ns := r.ints()
			t = ints(enc.I64, nil, ns...)
			v = &graph.Value{Name: p.Name, Kind: graph.Const, Def: -1, Type: graph.OfInts(enc.I64, int64(len(ns))),
				Data: &graph.Weight{Parts: []graph.Part{{Inline: graph.I64(ns...).Data, Elem: enc.I64, Shape: []int64{int64(len(ns))}}}}}
			if v.Data.Parts[0].Inline == nil {
				v.Data.Parts[0].Inline = []byte{}
			}
			if len(ns) == 1 && r.IntN(2) == 0 {
				t = t.with([]int64{})
				v.Type.Shape, v.Data.Parts[0].Shape = nil, nil
			}
		}
		c.In, in = append(c.In, v), append(in, t)
	}
	for i, p := range o.Outputs {
		c.Out = append(c.Out, i == 0 || !p.Optional || r.IntN(2) == 0)
	}
	if o.Outputs[len(o.Outputs)-1].Variadic {
		for range r.IntN(3) {
			c.Out = append(c.Out, true)
		}
	}
	for _, s := range o.Attrs {
		if s.Required || r.IntN(rare) == 0 {
			c.Attrs = append(c.Attrs, r.attr(s))
		}
	}
	return c, in
}

// judge evaluates a call that the schema accepts. The evaluator finds shapes
// by itself, so it must find the inferred ones; it may refuse what depends on
// values, but must not fail in itself.
func judge(t testing.TB, c *graph.Call, in []*Tensor) (accepted, evaluated bool) {
	out, err := ops.Standard.Infer(c)
	if err != nil {
		return false, false
	}
	for i := range out {
		shape, ok := out[i].Shape.Const()
		if n, err := dim.Count(shape); !ok || err != nil || n > 1<<16 {
			return false, false
		}
		if !c.Want(i) {
			out[i] = graph.Type{}
		}
	}
	_, err = EvalNode(c, in, out)
	if err != nil && (strings.Contains(err.Error(), "internal error") || strings.Contains(err.Error(), "its type says") || strings.Contains(err.Error(), "not computed")) {
		var types []string
		for _, v := range c.In {
			if v == nil {
				types = append(types, "-")
				continue
			}
			dims, _ := v.Dims()
			types = append(types, v.Type.String()+fmt.Sprint(dims))
		}
		t.Errorf("%v\n inputs %v\n attributes %+v\n outputs %v", err, types, c.Attrs, out)
	}
	return true, err == nil
}

// Schemas and evaluators were written apart from each other; here they have
// to agree about shapes and types.
func TestSchemasAndEvaluatorsAgree(t *testing.T) {
	for _, o := range ops.List() {
		t.Run(o.Ref.String(), func(t *testing.T) {
			r := strange{rand.New(rand.NewPCG(7, 11))}
			accepted, evaluated := 0, 0
			for range 3000 {
				c, in := r.call(o)
				a, e := judge(t, c, in)
				if a {
					accepted++
				}
				if e {
					evaluated++
				}
				if t.Failed() {
					return
				}
			}
			require.NotZero(t, evaluated, "of %d calls, %d were accepted", 3000, accepted)
		})
	}
}

func FuzzEvalNode(f *testing.F) {
	all := ops.List()
	for i := range all {
		f.Add(uint16(i), uint64(i))
	}
	f.Fuzz(func(t *testing.T, op uint16, seed uint64) {
		c, in := strange{rand.New(rand.NewPCG(seed, 3))}.call(all[int(op)%len(all)])
		judge(t, c, in)
	})
}
