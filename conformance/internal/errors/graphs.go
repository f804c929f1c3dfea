package errors

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/heddle-ml/heddle/conformance/internal/mutate"
	"github.com/heddle-ml/heddle/conformance/internal/rig"
	"github.com/heddle-ml/heddle/conformance/internal/suite"
	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/ops"
)

// graphCases has a case for each field of a graph.
func graphCases() []suite.Case {
	var out []suite.Case
	seeds := mutate.Seeds(false)
	for _, field := range mutate.Fields() {
		if !slices.ContainsFunc(seeds, func(s mutate.Seed) bool { return mutate.Has(s.Graph, field) }) {
			continue // no operator has attributes of such a kind
		}
		out = append(out, skeleton("graph."+name(field), func(ctx context.Context, e *suite.Env) error { return wrongField(ctx, e, field) }))
	}
	return out
}

// name makes "nodes_in_each" of "Nodes[].In[]".
func name(field string) string {
	if s, ok := strings.CutSuffix(field, "[]"); ok {
		field = s + ".each"
	}
	return strings.ToLower(strings.NewReplacer("[]", "", ".", "_").Replace(field))
}

// changes is how many graphs a case tries.
const changes = 40

// wrongField gives one field of valid graphs other values. What the verifier
// refuses the device has to refuse; what is still valid, it may compile.
func wrongField(ctx context.Context, e *suite.Env, field string) error {
	r := e.Rand(0)
	seeds := mutate.Seeds(e.Caps.Shapes.StaticOnly)
	tried, refused := 0, 0
	for n := range 4 * changes {
		s := seeds[n%len(seeds)]
		g, what, ok := mutate.Graph(r, s.Graph, field)
		if !ok || tried == changes {
			continue
		}
		tried++
		what = "graph " + s.Name + ", " + what
		invalid := graph.Verify(g, ops.Standard)
		err := tryGraph(ctx, e.Device, g, s.Data, invalid)
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		if invalid != nil {
			refused++
		}
	}
	e.Note("%d changed graphs, %d of them invalid", tried, refused)
	return rig.Works(ctx, e.Device)
}

// refusals are what Supports and Compile may answer to a graph.
var refusals = []error{hal.ErrInvalidGraph, hal.ErrInvalidArgument, hal.ErrUnsupported, hal.ErrOutOfMemory, graph.ErrNoData, graph.ErrLayout, graph.ErrDerived}

// tryGraph hands a graph to the device. invalid says why it is none, nil if it
// is.
func tryGraph(ctx context.Context, d *hal.Device, g *graph.Graph, data graph.Data, invalid error) error {
	vs, err := d.Supports(g)
	if err != nil {
		if invalid == nil {
			return fmt.Errorf("a valid graph: Supports: %w", err)
		}
		return rig.Refused("Supports", err, refusals...)
	}
	if invalid == nil && !affordable(g) {
		return nil
	}
	x, err := d.Compile(ctx, g, hal.CompileOptions{Data: data})
	if err == nil {
		if err := x.Close(); err != nil {
			return err
		}
		if invalid != nil {
			return fmt.Errorf("it was compiled, though %w", invalid)
		}
		return nil
	}
	if err := rig.Refused("Compile", err, refusals...); err != nil {
		return err
	}
	if lost := d.Lost(); lost != nil {
		return fmt.Errorf("the device is lost: %w", lost)
	}
	if i := slices.IndexFunc(vs, func(v hal.Verdict) bool { return !v.OK }); i >= 0 && vs[i].Text == "" {
		return fmt.Errorf("node %d is refused without a reason", i)
	}
	return nil
}

// Limits on what cases run: a graph that takes long is no mistake.
const (
	maxElements = 1 << 16
	maxWork     = 1 << 22
)

// affordable reports whether a graph at the upper bounds of its symbols is
// small.
func affordable(g *graph.Graph) bool {
	at := dim.Binding{}
	for _, s := range g.Symbols {
		at[s.Name] = s.Max
	}
	for i := range g.Values {
		shape, err := g.Values[i].Type.Shape.Eval(at)
		if err != nil {
			return false
		}
		if n, err := dim.Count(shape); err != nil || n > maxElements {
			return false
		}
	}
	for i := range g.Nodes {
		if c, err := ops.CostOf(g, graph.NodeID(i), at); err != nil || c.FLOPs+c.Bytes > maxWork {
			return false
		}
	}
	return true
}
