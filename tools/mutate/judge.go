package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
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

// judge takes changes in the order of the draw until f.n mutants were judged.
func (j *judge) judge(ctx context.Context, f *flags, all []Site, rep *Report) error {
	for _, d := range draw(all, f.seed) {
		if len(rep.Mutants) == f.n {
			return nil
		}
		if err := j.mutant(ctx, d.site, d.mutation, rep); err != nil {
			return err
		}
	}
	if len(rep.Mutants) < f.n {
		return fmt.Errorf("only %d of %d changes could be made", len(rep.Mutants), f.n)
	}
	return nil
}

type drawn struct {
	site     *Site
	mutation Mutation
}

// draw shuffles the sites, and chooses a change for each. A site's place
// depends on the seed and on its own source alone: code that changes
// elsewhere, and exceptions, leave the others where they are.
func draw(all []Site, seed uint64) []drawn {
	number := func(parts ...any) uint64 {
		sum := sha256.Sum256(fmt.Append(nil, append([]any{seed, "\n"}, parts...)...))
		return binary.LittleEndian.Uint64(sum[:])
	}
	type place struct {
		at uint64
		drawn
	}
	seen := map[string]int{} // the same source, several times
	places := make([]place, len(all))
	for i := range all {
		s := &all[i]
		source := s.File + "\n" + s.Func + "\n" + s.text
		n := seen[source]
		seen[source]++
		best := uint64(0)
		p := &places[i]
		p.site, p.at = s, number(source, "\n", n)
		for _, m := range s.Mutations {
			if v := number(source, "\n", n, m.Kind, "\n", m.New); v >= best {
				best, p.mutation = v, m
			}
		}
	}
	slices.SortFunc(places, func(a, b place) int { return cmp.Compare(a.at, b.at) })
	out := make([]drawn, len(places))
	for i, p := range places {
		out[i] = p.drawn
	}
	return out
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
