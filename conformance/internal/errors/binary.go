package errors

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/heddle-ml/heddle/conformance/internal/mutate"
	"github.com/heddle-ml/heddle/conformance/internal/rig"
	"github.com/heddle-ml/heddle/conformance/internal/suite"
	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/ops"
)

// perCase is how many binary graphs a case tries: 10,000 in all.
const perCase = 1000

// binaryCases change bytes of the binary form.
func binaryCases() []suite.Case {
	var out []suite.Case
	for _, c := range []struct {
		seed  string
		cases int
	}{{"vit", 2}, {"decoder", 2}, {"quantized", 1}, {"conv", 1}, {"views", 1}, {"attributes", 1}, {"tiny", 1}, {"symbols", 1}} {
		for i := range c.cases {
			out = append(out, skeleton(fmt.Sprintf("binary.%s_%02d", c.seed, i), func(ctx context.Context, e *suite.Env) error { return wrongBytes(ctx, e, c.seed) }))
		}
	}
	return out
}

// wrongBytes changes bytes of a graph's binary form. What can be read goes to
// the device, and what that compiles is run: with a result or an error, and a
// device that is still there.
func wrongBytes(ctx context.Context, e *suite.Env, seed string) error {
	r := e.Rand(0)
	for _, s := range mutate.Seeds(e.Caps.Shapes.StaticOnly) {
		if s.Name != seed {
			continue
		}
		form, err := graph.Marshal(s.Graph)
		if err != nil {
			return err
		}
		var n, read, compiled, ran int
		for end := time.Now().Add(20 * time.Second); n < perCase && time.Now().Before(end); n++ {
			changed := mutate.Bytes(r, form)
			if n == 0 {
				changed = form // as it is
			}
			g, err := graph.Unmarshal(changed, ops.Standard)
			if err != nil {
				if err := rig.Refused("reading", err, graph.ErrInvalid); err != nil {
					return fmt.Errorf("changed graph %d: %w", n, err)
				}
				continue
			}
			read++
			switch done, err := runChanged(ctx, e, r, g, s.Data); {
			case err != nil:
				return fmt.Errorf("changed graph %d: %w\n%s", n, err, g)
			case done == finished:
				ran++
				fallthrough
			case done == built:
				compiled++
			}
		}
		e.Note("%d changed graphs: %d could be read, %d were compiled, %d ran to their end", n, read, compiled, ran)
		if n < perCase {
			e.Note("there was no time for %d more", perCase-n)
		}
		return rig.Works(ctx, e.Device)
	}
	e.Note("the device takes static shapes only")
	return nil
}

// stage says how far a graph came.
type stage int

const (
	refused stage = iota
	built
	finished
)

// runChanged compiles a valid graph and runs it on noise.
func runChanged(ctx context.Context, e *suite.Env, r *rand.Rand, g *graph.Graph, data graph.Data) (got stage, err error) {
	d := e.Device
	if err := tryGraph(ctx, d, g, data, nil); err != nil {
		return refused, err
	}
	if !affordable(g) {
		return refused, nil
	}
	err = rig.On(d, func(k *rig.Rig) error {
		x, err := d.Compile(ctx, g, hal.CompileOptions{Data: data})
		if err != nil {
			return nil // judged before
		}
		got = built
		k.Defer(x.Close)
		cmd := hal.Cmd{Op: hal.Run, Exec: x}
		for _, s := range x.Symbols() {
			cmd.Dims = append(cmd.Dims, s.Min+r.Int64N(min(8, s.Max-s.Min+1)))
		}
		for i := range x.Bindings() {
			n, err := x.Size(i, cmd.Dims)
			if errors.Is(err, hal.ErrInvalidArgument) || err != nil {
				return nil // a shape that is negative for some values of the symbols
			}
			content := make([]byte, n)
			if r.IntN(3) == 0 { // else zeros, which are indices that there are
				content = rig.Noise(r.Uint64(), n)
			}
			b, err := k.Filled(ctx, content)
			if err != nil {
				return err
			}
			cmd.Args = append(cmd.Args, b.All())
		}
		// A run may fail: some values are no indices.
		if err := k.Do(ctx, cmd); err == nil {
			got = finished
		}
		return nil
	})
	if lost := d.Lost(); lost != nil {
		return got, fmt.Errorf("the device is lost: %w", lost)
	}
	return got, err
}
