package blocks

import (
	"context"
	"fmt"

	"github.com/heddle-ml/heddle/conformance/internal/suite"
	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/graph/dim"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/ops/oracle"
)

// A schedule cuts a text into runs. Padded runs are all of one length, as on
// devices with static shapes: what is behind the text is written to the cache
// too, seen by no token of the text, and overwritten by what follows.
type schedule struct {
	name   string
	total  int64
	chunks []int64 // real tokens of each run
	padded int64   // 0: as long as its tokens
}

var schedules = []schedule{
	{name: "whole", total: 16, chunks: []int64{16}},
	{name: "decode", total: 16, chunks: []int64{12, 1, 1, 1, 1}},
	{name: "ones", total: 5, chunks: []int64{1, 1, 1, 1, 1}},
	{name: "uneven", total: 29, chunks: []int64{5, 11, 1, 12}},
	{name: "padded", total: 27, chunks: []int64{8, 8, 8, 3}, padded: 8},
	{name: "padded_inside", total: 27, chunks: []int64{8, 5, 8, 6}, padded: 8},
	{name: "padded_decode", total: 14, chunks: []int64{8, 4, 1, 1}, padded: 8},
	{name: "full", total: 40, chunks: []int64{16, 16, 7, 1}},
	{name: "full_padded", total: 40, chunks: []int64{10, 10, 10, 10}, padded: 10},
}

// chunkCases: prefill of chunks, then decode, leaves the same outputs and the
// same caches as prefill of all at once.
func chunkCases() []suite.Case {
	var out []suite.Case
	for _, s := range caches {
		if s.profiles == beyond && s.name != "f16" {
			continue
		}
		for _, sch := range schedules {
			d := small
			d.kv = s.enc
			if s.name != "f32" && sch.name != "decode" && sch.name != "padded" && sch.name != "full" {
				continue
			}
			out = append(out, suite.Graph("blocks.chunks.kv_"+s.name+"."+sch.name, s.of(suite.Language), func(l *suite.Lab) {
				_, x := d.graph(l)
				l.Out(x)
			}, func(ctx context.Context, e *suite.Env, p *suite.Program) error { return sch.run(ctx, e, p, d) }))
		}
	}
	return out
}

// run compares each run's outputs, and the caches at the end, with what the
// oracle makes of the whole text at once.
func (s schedule) run(ctx context.Context, e *suite.Env, p *suite.Program, d decoder) error {
	whole, err := widen(p.Graph, s.total)
	if err != nil {
		return fmt.Errorf("the suite's own graph: %w", err)
	}
	names := make([]string, 4) // x, positions, first row, rows in use
	for i, v := range p.Graph.Inputs {
		names[i] = p.Graph.Values[v].Name
	}
	text, err := p.Fills[names[0]].Tensor(e.Rand(0), enc.F32, []int64{1, s.total, d.width})
	if err != nil {
		return err
	}
	inputs := func(x *oracle.Tensor, from int64) map[string]*oracle.Tensor {
		n := x.Shape[1]
		pos := &oracle.Tensor{Elem: enc.I64, Shape: []int64{1, n}}
		for i := range n {
			pos.I = append(pos.I, from+i)
		}
		return map[string]*oracle.Tensor{names[0]: x, names[1]: pos,
			names[2]: {Elem: enc.I64, Shape: []int64{1}, I: []int64{from}},
			names[3]: {Elem: enc.I64, Shape: []int64{1}, I: []int64{from + n}}}
	}
	want, err := oracle.Eval(ctx, whole, oracle.Options{Inputs: inputs(text, 0), Data: p.Data, Bind: dim.Binding{"chunk": s.total}, Round: true})
	if err != nil {
		return fmt.Errorf("the oracle: %w", err)
	}
	r := e.NewRun(p.Graph, p.Data)
	defer r.Close()
	out := p.Graph.Outputs[0]
	var got *oracle.Result
	at, end := int64(0), int64(0)
	for i, n := range s.chunks {
		x := rows(text, 1, at, n)
		if s.padded > n && n > 1 { // a single token is decoded by an executable of its own
			x = pad(x, s.padded)
		}
		bind := dim.Binding{"chunk": x.Shape[1]}
		if got, err = r.Step(ctx, inputs(x, at), bind); err != nil {
			return err
		}
		if err := p.Compare(e, r, out.Value, bind, rows(want.Outputs[out.Name], 1, at, n), rows(got.Outputs[out.Name], 1, 0, n)); err != nil {
			return fmt.Errorf("run %d, tokens %d to %d: %w", i+1, at+1, at+n, err)
		}
		end = max(end, at+x.Shape[1])
		at += n
	}
	for _, st := range p.Graph.States {
		t, ok := got.States[st.Name]
		if !ok {
			continue // codes: what they stand for showed in the outputs
		}
		if err := p.Compare(e, r, st.Out, dim.Binding{"chunk": s.total}, rows(want.States[st.Name], 2, 0, s.total), rows(t, 2, 0, s.total)); err != nil {
			return fmt.Errorf("state %s after all runs: %w", st.Name, err)
		}
		for i, f := range rows(t, 2, end, d.capacity-end).F {
			if f != 0 {
				return fmt.Errorf("state %s after all runs: a row behind the %d that were written has changed: %g at %d", st.Name, end, f, i)
			}
		}
	}
	return nil
}

// pad appends rows that are no part of the text.
func pad(x *oracle.Tensor, n int64) *oracle.Tensor {
	out := &oracle.Tensor{Elem: x.Elem, Shape: []int64{1, n, x.Shape[2]}, F: x.F}
	for int64(len(out.F)) < n*x.Shape[2] {
		out.F = append(out.F[:len(out.F):len(out.F)], 1.25)
	}
	return out
}

// widen returns the graph for runs of up to n tokens: only the oracle sees it.
func widen(g *graph.Graph, n int64) (*graph.Graph, error) {
	wide := *g
	wide.Symbols = append([]dim.Symbol(nil), g.Symbols...)
	for i := range wide.Symbols {
		wide.Symbols[i].Max = max(wide.Symbols[i].Max, n)
	}
	return &wide, nil
}
