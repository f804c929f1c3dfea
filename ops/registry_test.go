package ops

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
)

func TestRegistry(t *testing.T) {
	list := List()
	require.Greater(t, len(list), 100)
	for _, o := range list {
		t.Run(o.Ref.String(), func(t *testing.T) {
			require.Same(t, o, Get(o.Ref.Domain, o.Ref.Name))
			ref, err := Standard.Lookup(o.Ref.Domain, o.Ref.Name)
			require.NoError(t, err)
			require.Equal(t, o.Ref, ref)
			require.LessOrEqual(t, o.Ref.Version, 28)
			require.True(t, strings.HasSuffix(o.Doc, "."), "the doc is a sentence: %q", o.Doc)
			names := map[string]bool{}
			optional := false
			for i, p := range o.Inputs {
				require.NotEmpty(t, p.Name)
				require.False(t, names[p.Name], "parameter %s twice", p.Name)
				names[p.Name] = true
				require.NotZero(t, p.Types)
				require.Zero(t, p.Types&^All)
				require.True(t, !p.Variadic || i == len(o.Inputs)-1, "only the last input is variadic")
				require.True(t, p.Optional || !optional, "required input %s after optional ones", p.Name)
				optional = p.Optional
			}
			for i, p := range o.Outputs {
				require.NotEmpty(t, p.Name)
				require.NotZero(t, p.Types)
				require.True(t, !p.Variadic || i == len(o.Outputs)-1, "only the last output is variadic")
			}
			attrs := map[string]bool{}
			for _, a := range o.Attrs {
				require.False(t, attrs[a.Name], "attribute %s twice", a.Name)
				attrs[a.Name] = true
				require.NotZero(t, a.Kind)
				require.True(t, a.Required || a.Default != "", "attribute %s: what does its absence mean?", a.Name)
			}
			if o.Ref.Domain != "" {
				require.NotNil(t, o.Decompose)
			}
			require.Equal(t, o.Updates, Standard.Updates(o.Ref))
		})
	}
}

func TestRegisterRefuses(t *testing.T) {
	infer := func(*graph.Call) ([]graph.Type, error) { return nil, nil }
	complete := Op{Ref: onnx("Novel", 1), Doc: "New.", Outputs: in1("Y", Floats), Infer: infer}
	for name, o := range map[string]Op{
		"taken":          {Ref: onnx("Add", 14), Doc: "Old.", Outputs: in1("Y", Floats), Infer: infer},
		"no inference":   {Ref: complete.Ref, Doc: "New.", Outputs: complete.Outputs},
		"no version":     {Ref: onnx("Novel", 0), Doc: "New.", Outputs: complete.Outputs, Infer: infer},
		"no outputs":     {Ref: complete.Ref, Doc: "New.", Infer: infer},
		"no doc":         {Ref: complete.Ref, Outputs: complete.Outputs, Infer: infer},
		"not decomposed": {Ref: graph.OpRef{Domain: "heddle", Name: "Novel", Version: 1}, Doc: "New.", Outputs: complete.Outputs, Infer: infer},
	} {
		require.Panics(t, func() { Register(o) }, name)
	}
	require.Nil(t, Get("", "Novel"))
}

func TestUnknown(t *testing.T) {
	_, err := Standard.Lookup("", "Loop")
	require.ErrorContains(t, err, `"Loop" is unknown`)
	_, err = Standard.Infer(&graph.Call{Op: onnx("Loop", 1), Out: []bool{true}})
	require.ErrorContains(t, err, "unknown")
	_, err = Standard.Infer(&graph.Call{Op: onnx("Softmax", 11), Out: []bool{true}})
	require.ErrorContains(t, err, "version 13 here, not 11")
	require.False(t, Standard.Updates(onnx("Loop", 1)))
}

// Whatever the call, inference, folding, cost and decomposition return; they
// never panic, and what inference accepts is a valid type.
func FuzzInfer(f *testing.F) {
	for i := range uint64(len(List())) {
		f.Add(i, i*7919)
	}
	f.Fuzz(func(t *testing.T, op, seed uint64) {
		list := List()
		tryCall(t, list[op%uint64(len(list))], rand.New(rand.NewPCG(op, seed)))
	})
}

func TestInferNeverPanics(t *testing.T) {
	accepted := map[string]int{}
	for _, o := range List() {
		for seed := range uint64(400) {
			if tryCall(t, o, rand.New(rand.NewPCG(1, seed))) {
				accepted[o.Ref.Name]++
			}
		}
	}
	// The calls are not all nonsense: simple operators accept some.
	for _, name := range []string{"Add", "MatMul", "Concat", "Reshape", "Softmax", "Where", "ReduceSum", "Slice"} {
		require.NotZero(t, accepted[name], name)
	}
}

// tryCall applies o to operands and attributes that r chooses and reports
// whether inference accepted them.
func tryCall(t *testing.T, o *Op, r *rand.Rand) bool {
	b := graph.NewBuilder("random", Standard)
	for _, s := range symbols {
		b.Symbol(s)
	}
	dims := func(n int, negative bool) []dim.Dim {
		out := make([]dim.Dim, n)
		for i := range out {
			switch k := r.IntN(12); {
			case k == 0:
				out[i] = dim.Sym(symbols[r.IntN(len(symbols))].Name)
			case k == 1:
				out[i] = dim.Sym("chunk").Add(dim.Sym("past"))
			case k == 2 && negative:
				out[i] = dim.Of(-1 - int64(r.IntN(3)))
			case k == 3 && negative:
				out[i] = dim.Of([]int64{-1 << 63, 1<<63 - 1, 1<<31 - 1}[r.IntN(3)])
			case k == 4:
				out[i] = dim.Of(1 << 40)
			default:
				out[i] = dim.Of(int64(r.IntN(5)))
			}
		}
		return out
	}
	pick := func(s TypeSet) enc.Elem {
		var es []enc.Elem
		for _, e := range enc.Elems() {
			if s.Has(e) {
				es = append(es, e)
			}
		}
		return es[r.IntN(len(es))]
	}
	elems := map[string]enc.Elem{}
	rank := r.IntN(5)
	shape := dims(rank, false)
	var operands []graph.ValueID
	for i := 0; i < len(o.Inputs)+r.IntN(2); i++ {
		p, ok := param(o.Inputs, i)
		if !ok || p.Optional && r.IntN(2) == 0 {
			operands = append(operands, graph.NoValue)
			continue
		}
		if p.Const && p.Types.Has(enc.I64) {
			v := b.Dims(dims(r.IntN(4), true)...)
			if r.IntN(3) == 0 {
				v = dimScalar(b, dims(1, true)[0])
			}
			operands = append(operands, v)
			continue
		}
		e := pick(p.Types)
		if old, ok := elems[p.Same]; ok && p.Same != "" {
			e = old
		}
		elems[p.Same] = e
		s := shape
		switch r.IntN(5) {
		case 0:
			s = dims(r.IntN(5), false)
		case 1:
			s = s[r.IntN(len(s)+1):]
		}
		operands = append(operands, b.Input(fmt.Sprint("in", i), graph.Of(e, s...)))
	}
	var attrs []graph.Attr
	for _, a := range o.Attrs {
		if !a.Required && r.IntN(2) == 0 {
			continue
		}
		small := int64(r.IntN(7)) - 3
		switch a.Kind {
		case graph.AttrInt:
			attrs = append(attrs, graph.Int(a.Name, small))
		case graph.AttrFloat:
			attrs = append(attrs, graph.Float(a.Name, float32(small)))
		case graph.AttrString:
			attrs = append(attrs, graph.Str(a.Name, []string{"", "tanh", "SAME_UPPER", "circular", "edge", "CRD", "silu"}[r.IntN(7)]))
		case graph.AttrInts:
			ns := make([]int64, r.IntN(5))
			for i := range ns {
				ns[i] = int64(r.IntN(5)) - 1
			}
			attrs = append(attrs, graph.Ints(a.Name, ns...))
		case graph.AttrElem:
			attrs = append(attrs, graph.Elem(a.Name, enc.Elem(r.IntN(17))))
		case graph.AttrTensor:
			attrs = append(attrs, graph.TensorAttr(a.Name, graph.I64(make([]int64, r.IntN(3))...)))
		}
	}
	want := make([]bool, 1+r.IntN(len(o.Outputs)+1))
	for i := range want {
		want[i] = i == 0 || r.IntN(2) == 0
	}
	require.NoError(t, b.Err())
	outs := b.Node(graph.Node{Op: o.Ref, In: operands, Attrs: attrs}, want)
	if b.Err() != nil {
		return false
	}
	for i, v := range outs {
		if v != graph.NoValue {
			b.Output(fmt.Sprint("out", i), v)
		}
	}
	g, err := b.Build()
	if err != nil {
		return false // a dimension that cannot be
	}
	c := g.Call(0)
	if o.Fold != nil {
		if ds, ok := o.Fold(c); ok {
			typ := g.Values[outs[0]].Type
			n, isConst := product(typ.Shape...).Const()
			require.True(t, isConst && int(n) == len(ds), "%s folds %s to %v", o.Ref, typ, ds)
			require.True(t, Indices.Has(typ.Elem), "%s", typ)
		}
	}
	_, _ = CostOf(g, 0, bound)
	if !o.Updates {
		if d, err := decompose(g); err == nil {
			require.Equal(t, types(g), types(d), "%s", o.Ref)
		}
	}
	return true
}
