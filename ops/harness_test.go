package ops

import (
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
)

// symbols are what the operands of the tables may mention.
var symbols = []dim.Symbol{
	{Name: "batch", Min: 1, Max: 8},
	{Name: "chunk", Min: 1, Max: 128},
	{Name: "past", Min: 0, Max: 1024},
	{Name: "cap", Min: 2048, Max: 4096},
	{Name: "tiles", Min: 1, Max: 12},
	{Name: "w", Min: 28, Max: 2048},
	{Name: "h", Min: 28, Max: 2048},
}

// bound are the values that symbolic cases are also tried with.
var bound = dim.Binding{"batch": 2, "chunk": 5, "past": 7, "cap": 2048, "tiles": 3, "w": 84, "h": 70}

// row is one call. Operands are written as
//
//	f32[2,chunk]                an input of that type
//	f32[64,32] Q4_0(axis=0)     a weight, if it has an encoding
//	state f32[1,2,cap,8] ...    a state
//	=[1,chunk,-1]  =[chunk]     a constant vector of 64-bit integers
//	=chunk                      a constant scalar
//	=f32[0.5,2]                 a constant vector of numbers
//	-                           an omitted operand
//
// and want lists the types of the outputs, - for one that is not asked for;
// or err holds parts of the error.
type row struct {
	op    string
	in    []string
	attrs []graph.Attr
	want  []string
	err   []string
}

func in(operands ...string) []string { return operands }

func out(types ...string) []string { return types }

func refuse(parts ...string) []string { return parts }

func with(attrs ...graph.Attr) []graph.Attr { return attrs }

// build applies the operator in a graph of its own.
func (r row) build(t *testing.T) (*graph.Graph, error) {
	t.Helper()
	b := graph.NewBuilder("test", Standard)
	for _, s := range symbols {
		b.Symbol(s)
	}
	var operands []graph.ValueID
	for i, s := range r.in {
		operands = append(operands, addOperand(t, b, string(rune('a'+i)), s))
	}
	want := make([]bool, max(1, len(r.want)))
	for i := range want {
		want[i] = len(r.want) == 0 || r.want[i] != "-"
	}
	for i, v := range b.Ops(r.op, operands, want, r.attrs...) {
		if v == graph.NoValue {
			continue
		}
		b.Output("out"+string(rune('0'+i)), v)
		if op := Get("", r.op); op != nil && op.Updates {
			b.SetState("a", v)
		}
	}
	return b.Build()
}

func addOperand(t *testing.T, b *graph.Builder, name, s string) graph.ValueID {
	t.Helper()
	switch list, isConst := strings.CutPrefix(s, "="); {
	case s == "-":
		return graph.NoValue
	case strings.HasPrefix(s, "=f32["):
		var fs []float32
		for _, f := range strings.Split(strings.TrimSuffix(list[len("f32["):], "]"), ",") {
			n, err := strconv.ParseFloat(f, 32)
			require.NoError(t, err)
			fs = append(fs, float32(n))
		}
		return b.Const(name, graph.F32([]int64{int64(len(fs))}, fs...))
	case isConst:
		inner, isVector := strings.CutPrefix(list, "[")
		inner = strings.TrimSuffix(inner, "]")
		var ds []dim.Dim
		for _, f := range strings.Split(inner, ",") {
			if f == "" {
				continue
			}
			d, err := dim.Parse(f)
			require.NoError(t, err)
			ds = append(ds, d)
		}
		if isVector {
			return b.Dims(ds...)
		}
		return dimScalar(b, ds[0])
	}
	text, isState := strings.CutPrefix(s, "state ")
	typ, err := graph.ParseType(text)
	require.NoError(t, err, s)
	switch {
	case isState:
		return b.State(name, typ)
	case typ.Enc == (enc.Encoding{}):
		return b.Input(name, typ)
	}
	shape, ok := typ.Shape.Const()
	require.True(t, ok, s)
	part := graph.Part{Elem: typ.Elem, Shape: shape, Enc: typ.Enc}
	if typ.Enc.Kind == enc.Plain { // kept in a narrower type
		part.Elem, part.Enc = typ.Enc.Store, enc.Encoding{}
	}
	return b.Weight(name, typ, &graph.Weight{Parts: []graph.Part{part}})
}

// check compares a table with what Infer says, and for each accepted call
// that its decomposition ends in primitives, has the same types, costs
// something finite, and that all of this still holds with the symbols bound.
func check(t *testing.T, rows []row) {
	t.Helper()
	for _, r := range rows {
		name := r.op + " " + strings.Join(r.in, " ")
		t.Run(name, func(t *testing.T) {
			g, err := r.build(t)
			if r.err != nil {
				require.Error(t, err)
				for _, part := range r.err {
					require.ErrorContains(t, err, part)
				}
				return
			}
			require.NoError(t, err)
			require.Equal(t, r.types(), types(g))
			checkDecomposition(t, g)
			checkCost(t, g)

			b, err := graph.Rewriter{Schemas: Standard, Bind: bound}.Run(g)
			require.NoError(t, err, "bound")
			for i, p := range g.Outputs {
				want := g.Values[p.Value].Type.Subst(bound)
				require.True(t, b.Values[b.Outputs[i].Value].Type.Equal(want), "bound: %s, want %s", b.Values[b.Outputs[i].Value].Type, want)
			}
			checkDecomposition(t, b)
		})
	}
}

func (r row) types() []string {
	var out []string
	for _, s := range r.want {
		if s != "-" {
			out = append(out, s)
		}
	}
	return out
}

func types(g *graph.Graph) []string {
	var out []string
	for _, p := range g.Outputs {
		out = append(out, g.Values[p.Value].Type.String())
	}
	return out
}

// decompose replaces composite operators until only primitives are left.
func decompose(g *graph.Graph) (*graph.Graph, error) {
	for again := true; again; {
		again = false
		old := g
		var err error
		g, err = graph.Rewriter{Schemas: Standard, Node: func(b *graph.Builder, id graph.NodeID, in []graph.ValueID) ([]graph.ValueID, error) {
			o := Get(old.Nodes[id].Op.Domain, old.Nodes[id].Op.Name)
			if o.Decompose == nil || o.Updates {
				return nil, nil
			}
			again = true
			return o.Decompose(b, old.Call(id), in)
		}}.Run(old)
		if err != nil {
			return nil, err
		}
	}
	return g, nil
}

func checkDecomposition(t *testing.T, g *graph.Graph) {
	t.Helper()
	d, err := decompose(g)
	require.NoError(t, err, "decompose")
	require.Equal(t, types(g), types(d), "decomposed")
	for i := range d.Nodes {
		o := Get(d.Nodes[i].Op.Domain, d.Nodes[i].Op.Name)
		require.NotNil(t, o)
		require.Empty(t, o.Ref.Domain, "decomposing ends in ONNX operators")
	}
}

func checkCost(t *testing.T, g *graph.Graph) {
	t.Helper()
	for i := range g.Nodes {
		k, err := CostOf(g, graph.NodeID(i), bound)
		require.NoError(t, err, "cost")
		require.GreaterOrEqual(t, k.FLOPs, 0.0)
		require.GreaterOrEqual(t, k.Bytes, k.Weight)
	}
}
