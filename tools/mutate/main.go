package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

type flags struct {
	n               int
	seed            uint64
	least           float64
	only, json, out string
	onnx, expect    string
	memory          int64
	baseline        time.Duration
	list            bool
}

func main() {
	var f flags
	flag.IntVar(&f.n, "n", 40, "how many changes are judged")
	flag.Uint64Var(&f.seed, "seed", 1, "draws the changes")
	flag.Float64Var(&f.least, "least", 95, "percentage that must be caught")
	flag.StringVar(&f.only, "only", "", "change only files whose path this `regexp` matches")
	flag.StringVar(&f.json, "json", "", "write the outcome to this JSON `file`")
	flag.StringVar(&f.out, "survivors", "", "write the diff of each survivor to this `folder`")
	flag.StringVar(&f.onnx, "onnx-tests", "", "run the ONNX project's cases, too, from this `folder`")
	flag.StringVar(&f.expect, "expect", "", "`file` of cases known not to pass, as heddle conform takes it")
	flag.Int64Var(&f.memory, "memory", 32, "GiB of address space that a run may take; 0 is no limit")
	flag.DurationVar(&f.baseline, "baseline", 20*time.Minute, "how long the suite may take on unchanged code")
	flag.BoolVar(&f.list, "list", false, "list the sites and their changes, and do nothing")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, &f, os.Stdout); err != nil {
		if ctx.Err() != nil {
			err = errors.New("interrupted")
		}
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, f *flags, w io.Writer) error {
	root, err := moduleRoot(ctx)
	if err != nil {
		return err
	}
	all, err := sites(root)
	if err != nil {
		return err
	}
	if all, err = filter(all, f.only); err != nil {
		return err
	}
	if f.list {
		return list(w, root, all)
	}
	dir, err := os.MkdirTemp("", "mutate-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	j, err := newJudge(ctx, f, root, dir, w)
	if err != nil {
		return err
	}
	rep := &Report{Seed: f.seed, Sites: len(all), Exceptions: len(exceptions)}
	begun := time.Now()
	err = j.judge(ctx, f, all, rep)
	rep.Seconds = time.Since(begun).Seconds()
	rep.sum()
	if len(rep.Mutants) > 0 {
		rep.print(w)
		if werr := rep.write(f.json); werr != nil && err == nil {
			err = werr
		}
	}
	if err == nil && rep.Share < f.least {
		err = fmt.Errorf("%.1f %% were caught, want %.0f %%: cases are missing", rep.Share, f.least)
	}
	return err
}

// moduleRoot finds the module that the current folder is part of.
func moduleRoot(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("go env: %w", err)
	}
	mod := strings.TrimSpace(string(out))
	if filepath.Base(mod) != "go.mod" {
		return "", errors.New("this is no module: run it in a checkout of heddle")
	}
	return filepath.Dir(mod), nil
}

func filter(all []Site, only string) ([]Site, error) {
	re, err := regexp.Compile(only)
	if err != nil {
		return nil, fmt.Errorf("-only: %w", err)
	}
	var out []Site
	for _, s := range all {
		if re.MatchString(s.File) {
			out = append(out, s)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("-only %s: no file with something to change matches", only)
	}
	return out, nil
}

func list(w io.Writer, root string, all []Site) error {
	changes := 0
	for _, s := range all {
		src, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(s.File)))
		if err != nil {
			return err
		}
		for _, m := range s.Mutations {
			changes++
			if _, err := fmt.Fprintf(w, "%s:%d\t%s\t%s\n", s.File, s.Line, m.Kind, m.describe(src)); err != nil {
				return err
			}
		}
	}
	_, err := fmt.Fprintf(w, "%d changes at %d sites\n", changes, len(all))
	return err
}
