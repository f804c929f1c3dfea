package suite

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/heddle-ml/heddle/conformance/internal/tol"
	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/graph/passes"
	"github.com/heddle-ml/heddle/hal/driver"
	"github.com/heddle-ml/heddle/ops"
	"github.com/heddle-ml/heddle/ops/oracle"
)

// Program is a graph with what it is run on: several steps, between which
// states live on, each of which is compared with the oracle.
type Program struct {
	Graph *graph.Graph
	Data  graph.Data
	Fills map[string]Fill
	Steps []dim.Binding
	// Feeds replaces Fills step by step; nil if it does so nowhere.
	Feeds []map[string]Fill
	// Class replaces the class that the operators have.
	Class *ops.Class
}

// Program finishes the graph.
func (l *Lab) Program() (*Program, error) {
	g, err := l.B.Build()
	if err != nil {
		return nil, err
	}
	p := &Program{Graph: g, Data: &l.data, Fills: l.fills, Steps: l.steps, Feeds: l.feeds, Class: l.class}
	if len(p.Steps) == 0 {
		at := dim.Binding{}
		for _, s := range g.Symbols {
			at[s.Name] = s.Max
		}
		p.Steps = []dim.Binding{at}
	}
	return p, nil
}

// Numeric is the case of a graph whose results are compared with the oracle's.
// What a device lacks is decomposed first, as the scheduler would; build must
// make the same graph whenever it is called.
func Numeric(id string, profiles Profile, build func(l *Lab)) Case {
	return numeric(id, profiles, false, build)
}

// Decomposed is Numeric with all composite operators taken apart, whether the
// device has them or not: both forms must mean the same. No profile asks for
// it: a device that has the composites need not have what they are made of.
func Decomposed(id string, build func(l *Lab)) Case {
	return numeric(id, 0, true, build)
}

func numeric(id string, profiles Profile, apart bool, build func(l *Lab)) Case {
	return ofGraph(id, profiles, apart, build, func(ctx context.Context, e *Env, p *Program) error {
		if apart {
			whole := p.Graph
			var err error
			if p.Graph, err = passes.Decompose(whole, nil); err != nil {
				return fmt.Errorf("the suite's own graph: %w", err)
			}
			e.form = "decomposed"
		}
		return p.Run(ctx, e)
	})
}

// Graph is the case of a graph that run runs in its own way.
func Graph(id string, profiles Profile, build func(l *Lab), run func(ctx context.Context, e *Env, p *Program) error) Case {
	return ofGraph(id, profiles, false, build, run)
}

func ofGraph(id string, profiles Profile, apart bool, build func(l *Lab), run func(context.Context, *Env, *Program) error) Case {
	program := func() (*Program, error) {
		l := NewLab(id)
		build(l)
		p, err := l.Program()
		if err != nil {
			return nil, fmt.Errorf("the suite's own graph: %w", err)
		}
		return p, nil
	}
	return Case{
		ID: id, Profiles: profiles,
		Define: func() ([]byte, error) {
			p, err := program()
			if err != nil {
				return nil, fmt.Errorf("%s: %w", id, err)
			}
			h := p.Graph.Hash()
			data, _ := p.Data.Source(weights)
			def := fmt.Appendf(h[:], "%d %v %v %v %x", len(data), p.Fills, p.Steps, apart, sum(data))
			for i, f := range p.Feeds {
				if len(f) > 0 {
					def = fmt.Appendf(def, " %d %v", i, f)
				}
			}
			return def, nil
		},
		Run: func(ctx context.Context, e *Env) error {
			p, err := program()
			if err != nil {
				return err
			}
			return run(ctx, e, p)
		},
	}
}

// Run runs all steps on the device and compares outputs and states with the
// oracle after each.
func (p *Program) Run(ctx context.Context, e *Env) error {
	r := e.NewRun(p.Graph, p.Data)
	defer r.Close()
	states := map[string]*oracle.Tensor{}
	for step, at := range p.Steps {
		rnd := e.Rand(step)
		in, err := p.Inputs(step, rnd)
		if err != nil {
			return err
		}
		if e.Caps.Numerics.FlushDenormal {
			for _, t := range in {
				flush(t)
			}
		}
		if step == 0 {
			for _, s := range p.Graph.States {
				typ := p.Graph.Values[s.In].Type
				if _, ok := p.Fills[s.Name]; !ok || typ.Enc != (enc.Encoding{}) {
					continue // zeros
				}
				t, err := p.fill(s.Name, typ, at, func(f Fill, shape []int64) (*oracle.Tensor, error) { return f.Tensor(rnd, typ.Elem, shape) })
				if err != nil {
					return err
				}
				states[s.Name] = t
				if err := r.SetState(ctx, s.Name, t); err != nil {
					return err
				}
			}
		}
		got, err := r.Step(ctx, in, at)
		if err != nil {
			return err
		}
		want, err := oracle.Eval(ctx, p.Graph, oracle.Options{Inputs: in, States: states, Data: p.Data, Bind: at, Round: true})
		if err != nil {
			return fmt.Errorf("the oracle: %w", err)
		}
		for _, o := range p.Graph.Outputs {
			if err := p.Compare(e, r, o.Value, at, want.Outputs[o.Name], got.Outputs[o.Name]); err != nil {
				return fmt.Errorf("%soutput %s: %w", p.where(step, at), o.Name, err)
			}
		}
		for _, s := range p.Graph.States {
			states[s.Name] = want.States[s.Name]
			if t, ok := got.States[s.Name]; ok {
				if err := p.Compare(e, r, s.Out, at, want.States[s.Name], t); err != nil {
					return fmt.Errorf("%sstate %s: %w", p.where(step, at), s.Name, err)
				}
			}
		}
	}
	return nil
}

// Inputs draws what a step's inputs are filled with.
func (p *Program) Inputs(step int, rnd *rand.Rand) (map[string]*oracle.Tensor, error) {
	in := map[string]*oracle.Tensor{}
	for _, v := range p.Graph.Inputs {
		name, typ := p.Graph.Values[v].Name, p.Graph.Values[v].Type
		t, err := p.fill(name, typ, p.Steps[step], func(f Fill, shape []int64) (*oracle.Tensor, error) {
			if step < len(p.Feeds) {
				if own, ok := p.Feeds[step][name]; ok {
					f = own
				}
			}
			return f.Tensor(rnd, typ.Elem, shape)
		})
		if err != nil {
			return nil, err
		}
		in[name] = t
	}
	return in, nil
}

func (p *Program) where(step int, at dim.Binding) string {
	if len(p.Steps) == 1 {
		return ""
	}
	return fmt.Sprintf("step %d %v: ", step+1, map[string]int64(at))
}

func (p *Program) fill(name string, t graph.Type, at dim.Binding, make func(Fill, []int64) (*oracle.Tensor, error)) (*oracle.Tensor, error) {
	shape, err := t.Shape.Eval(at)
	if err != nil {
		return nil, fmt.Errorf("the suite's own graph: %s: %w", name, err)
	}
	return make(p.Fills[name], shape)
}

// Compare compares what a run gave for a value of the graph with what is
// right, and records how far it is off.
func (p *Program) Compare(e *Env, r *Run, v graph.ValueID, at dim.Binding, want, got *oracle.Tensor) error {
	j := JudgeOf(p.Graph, v, at)
	if p.Class != nil {
		j.Class = *p.Class
	}
	j.Accumulate = accumulator(e.Caps)
	j.Flush = e.Caps.Numerics.FlushDenormal
	j.Stepwise = j.Stepwise || r.Decomposed() || e.form != ""
	s, err := j.Compare(want, got)
	e.Measured(s)
	return err
}

func accumulator(c *driver.Caps) enc.Elem {
	a, err := enc.ParseElem(c.Numerics.Accumulate)
	if err != nil {
		return enc.F32
	}
	return a
}

// JudgeOf derives from the operators that a value depends on how exactly it
// must be computed: the loosest class among them, the longest sum, and how many
// lie one behind the other.
func JudgeOf(g *graph.Graph, v graph.ValueID, at dim.Binding) tol.Judge {
	j := tol.Judge{K: 1}
	inner := enc.Invalid // a narrow type that numbers pass through inside of a node
	depth := map[graph.ValueID]int{}
	var walk func(v graph.ValueID) int
	walk = func(v graph.ValueID) int {
		if v == graph.NoValue || g.Values[v].Kind != graph.Result {
			return 0
		}
		if d, ok := depth[v]; ok {
			return d
		}
		id := g.Values[v].Def
		n := &g.Nodes[id]
		if e := g.Values[v].Type.Elem; isHalf(e) {
			j.Narrowest = e
		}
		d := 0
		for _, in := range n.In {
			d = max(d, walk(in))
		}
		if e := g.Values[v].Type.Enc; e != (enc.Encoding{}) && d > 0 {
			// A state that is stored narrower than what is written to it was
			// computed in: a number near the middle between two codes falls to
			// either side. Few do, and what reads the state averages.
			j.Narrowest = enc.F16
		}
		if t := n.Attrs.Elem("softmax_precision", enc.Invalid); isHalf(t) {
			inner = t
		}
		for _, in := range n.In { // decoded, reals of a narrow type may be rounded to it
			if in != graph.NoValue && g.Values[in].Type.Enc.Kind != enc.Plain && isHalf(g.Values[in].Type.Elem) {
				inner = g.Values[in].Type.Elem
			}
		}
		if _, ok := tol.Operators[n.Op.Name]; ok && n.Op.Domain == "" && !slices.Contains(j.Operators, n.Op.Name) {
			j.Operators = append(j.Operators, n.Op.Name)
		}
		if op := ops.Get(n.Op.Domain, n.Op.Name); op != nil && op.Class != ops.Exact {
			d++
			j.Class = max(j.Class, op.Class)
			if op.Class >= ops.Contraction {
				j.K = max(j.K, terms(g, id, at))
			}
		}
		depth[v] = d
		return d
	}
	j.Nodes = walk(v)
	if t := g.Values[v].Type.Elem; j.Narrowest == t {
		j.Narrowest = enc.Invalid
	}
	if inner != enc.Invalid {
		j.Narrowest = inner
	}
	return j
}

func isHalf(e enc.Elem) bool { return e == enc.F16 || e == enc.BF16 }
