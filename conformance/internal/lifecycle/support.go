package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/heddle-ml/heddle/conformance/internal/rig"
	"github.com/heddle-ml/heddle/conformance/internal/suite"
	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/hal/driver"
)

func supportCases() []suite.Case {
	out := []suite.Case{
		skeleton("supports.pure", pure),
		skeleton("supports.too_many_nodes", tooManyNodes),
	}
	for i := range 8 {
		out = append(out, skeleton(fmt.Sprintf("supports.random_%02d", i), randomGraphs))
	}
	return out
}

// draw makes the n-th random graph of a case.
func draw(e *suite.Env, n int) (*suite.Program, error) {
	l := suite.NewLab(fmt.Sprintf("%s.%d", e.ID, n))
	rig.Random(l, e.Rand(n), 2+n%40)
	p, err := l.Program()
	if err != nil {
		err = fmt.Errorf("the suite's own graph: %w", err)
	}
	return p, err
}

// randomGraphs asks what the device supports of random graphs, compares that
// with what it claims and with what it compiles, and runs what it compiled.
func randomGraphs(ctx context.Context, e *suite.Env) error {
	for n := range 25 {
		p, err := draw(e, n)
		if err != nil {
			return err
		}
		if err := randomGraph(ctx, e, p, e.Rand(1000+n)); err != nil {
			return fmt.Errorf("random graph %d of %d nodes: %w", n, len(p.Graph.Nodes), err)
		}
	}
	return nil
}

func randomGraph(ctx context.Context, e *suite.Env, p *suite.Program, r *rand.Rand) error {
	g := p.Graph
	vs, err := e.Device.Supports(g)
	if err != nil {
		return err
	}
	if err := agrees(e.Caps, g, vs); err != nil {
		return err
	}
	if slices.ContainsFunc(vs, func(v hal.Verdict) bool { return !v.OK }) {
		_, err := e.Device.Compile(ctx, g, hal.CompileOptions{Data: p.Data})
		return rig.Refused("a graph with nodes that the device does not support", err, hal.ErrUnsupported)
	}
	if rig.Computes(e.Caps) {
		return p.Run(ctx, e)
	}
	run := e.NewRun(g, p.Data)
	defer run.Close()
	in, err := p.Inputs(0, r)
	if err != nil {
		return err
	}
	_, err = run.Step(ctx, in, p.Steps[0])
	return err
}

// agrees compares verdicts with capabilities.
func agrees(c *hal.Caps, g *graph.Graph, vs []hal.Verdict) error {
	if len(vs) != len(g.Nodes) {
		return fmt.Errorf("%d verdicts for %d nodes", len(vs), len(g.Nodes))
	}
	for i, v := range vs {
		n := &g.Nodes[i]
		claim, listed := c.Op(n.Op)
		switch {
		case v.OK && !listed:
			return fmt.Errorf("node %d (%s) is supported, and the operator is not claimed", i, n.Op)
		case v.OK && len(n.In) > 0 && n.In[0] != graph.NoValue && len(claim.Elems) > 0 && !claim.Elem(g.Values[n.In[0]].Type.Elem):
			return fmt.Errorf("node %d (%s) is supported for %s, which is not claimed", i, n.Op, g.Values[n.In[0]].Type.Elem)
		case !v.OK && (v.Code == "" || v.Text == ""):
			return fmt.Errorf("node %d (%s) is refused without a reason (%q: %q)", i, n.Op, v.Code, v.Text)
		}
	}
	return nil
}

// pure asks again and again, from several goroutines and while something is
// compiled: the answers are the same.
func pure(ctx context.Context, e *suite.Env) error {
	const n = 6
	graphs := make([]*graph.Graph, n)
	first := make([][]hal.Verdict, n)
	for i := range graphs {
		p, err := draw(e, i*7+3)
		if err != nil {
			return err
		}
		graphs[i] = p.Graph
		if first[i], err = e.Device.Supports(p.Graph); err != nil {
			return err
		}
	}
	return onAnother(ctx, e, func(d *hal.Device, dd driver.Device) error {
		errs := make([]error, n)
		var wg sync.WaitGroup
		for w := range n {
			wg.Go(func() {
				for k := range 10 {
					i := (w + k) % n
					hash := graphs[i].Hash()
					now := dd.Supports(graphs[i])
					if !slices.Equal(now, first[i]) {
						errs[w] = fmt.Errorf("graph %d: the verdicts are %v, before that %v", i, now, first[i])
						return
					}
					if graphs[i].Hash() != hash {
						errs[w] = fmt.Errorf("graph %d was changed by Supports", i)
						return
					}
				}
			})
		}
		err := works(ctx, d)
		wg.Wait()
		return errors.Join(append(errs, err)...)
	})
}

// tooManyNodes compiles a graph with one node more than the limit.
func tooManyNodes(ctx context.Context, e *suite.Env) error {
	limit := e.Caps.Limits.MaxNodes
	if limit == 0 || limit > 20000 {
		e.Note("the device has no limit on nodes that could be tried: %d", limit)
		return nil
	}
	s, err := rig.Simplest(e.Device)
	if err != nil {
		return err
	}
	g, err := s.Chain(limit + 1)
	if err != nil {
		return fmt.Errorf("the suite's own graph: %w", err)
	}
	_, err = e.Device.Compile(ctx, g, hal.CompileOptions{})
	return rig.Refused(fmt.Sprintf("a graph of %d nodes", limit+1), err, hal.ErrUnsupported, hal.ErrOutOfMemory)
}
