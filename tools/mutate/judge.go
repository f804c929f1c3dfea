package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"time"
)

// judge draws mutants and has the suite judge them.
type judge struct {
	tree  *tree
	suite *suite
	w     io.Writer
	out   string // folder of survivors
}

// newJudge copies the tree, builds it and runs the suite on it unchanged.
func newJudge(ctx context.Context, f *flags, root, dir string, w io.Writer) (*judge, error) {
	t, err := copyTree(root, dir)
	if err != nil {
		return nil, err
	}
	fmt.Fprintln(w, "building, and running the suite on unchanged code")
	begun := time.Now()
	if err := t.build(ctx); err != nil {
		return nil, fmt.Errorf("unchanged code does not build: %w", err)
	}
	if t.program, err = t.hash(); err != nil {
		return nil, err
	}
	s := &suite{tree: t, memory: f.memory << 30}
	if f.onnx != "" {
		s.more = append(s.more, "--onnx-tests", f.onnx)
	}
	if f.expect != "" {
		s.more = append(s.more, "--expect", f.expect)
	}
	if err := s.baseline(ctx, dir, f.baseline); err != nil {
		return nil, err
	}
	fmt.Fprintf(w, "it passes on %v, %v in all\n\n", s.tiers, time.Since(begun).Round(time.Second))
	return &judge{tree: t, suite: s, w: w, out: f.out}, nil
}

// giveUp bounds the draws for each mutant that counts.
const giveUp = 50

// judge draws until f.n mutants were judged.
func (j *judge) judge(ctx context.Context, f *flags, all []Site, rep *Report) error {
	r := rand.New(rand.NewPCG(f.seed, 0))
	type change struct{ site, mutation int }
	drawn := map[change]bool{}
	for draws := 0; len(rep.Mutants) < f.n; draws++ {
		if draws == giveUp*f.n {
			return fmt.Errorf("only %d of %d changes could be made", len(rep.Mutants), f.n)
		}
		c := change{site: r.IntN(len(all))}
		s := &all[c.site]
		c.mutation = r.IntN(len(s.Mutations))
		if drawn[c] {
			continue
		}
		drawn[c] = true
		if err := j.mutant(ctx, s, s.Mutations[c.mutation], rep); err != nil {
			return err
		}
	}
	return nil
}

// mutant makes one change and judges it, unless it does not compile or changes
// nothing.
func (j *judge) mutant(ctx context.Context, s *Site, m Mutation, rep *Report) (err error) {
	src, restore, err := j.tree.change(s.File, m)
	if err != nil {
		return err
	}
	defer func() {
		if e := restore(); err == nil {
			err = e
		}
	}()
	begun := time.Now()
	if err := j.tree.build(ctx); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		rep.Uncompilable++
		return nil
	}
	program, err := j.tree.hash()
	if err != nil {
		return err
	}
	if program == j.tree.program {
		rep.NoChange++
		return nil
	}
	x := Mutant{File: s.File, Line: s.Line, Func: s.Func, Kind: m.Kind, Change: m.describe(src), Diff: diff(s.File, src, m)}
	var v verdict
	for _, st := range j.suite.stages(s.File) {
		if v, err = j.suite.judge(ctx, st); err != nil {
			return err
		}
		if v.failed {
			x.Tier = st.tier
			break
		}
	}
	x.Caught, x.By, x.Reason = v.failed, v.by, v.why
	x.Seconds = time.Since(begun).Seconds()
	rep.Mutants = append(rep.Mutants, x)
	x.print(j.w, len(rep.Mutants))
	return x.save(j.out)
}
