package onnx

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"strings"

	"github.com/heddle-ml/heddle/conformance/internal/suite"
	"github.com/heddle-ml/heddle/conformance/internal/tol"
	"github.com/heddle-ml/heddle/graph/enc"
	"github.com/heddle-ml/heddle/graph/onnx"
	"github.com/heddle-ml/heddle/internal/onnxcases"
	"github.com/heddle-ml/heddle/ops/oracle"
)

// Cases returns a case for each folder in dir, "onnx." with the folder's name;
// none if dir is empty. Only the folders are listed: what is in them is read
// when a case runs.
func Cases(dir string) ([]suite.Case, error) {
	if dir == "" {
		return nil, nil
	}
	names, err := onnxcases.List(dir)
	if err != nil {
		return nil, fmt.Errorf("the ONNX project's cases are its folder onnx/backend/test/data/node: %w", err)
	}
	out := make([]suite.Case, 0, len(names))
	folders := map[string]string{}
	for _, name := range names {
		id := "onnx." + clean(name)
		if other, ok := folders[id]; ok {
			return nil, fmt.Errorf("the folders %q and %q of %s would both be the case %s: rename one", other, name, dir, id)
		}
		folders[id] = name
		out = append(out, suite.Case{ID: id, Run: func(ctx context.Context, e *suite.Env) error { return run(ctx, e, dir, name) }})
	}
	return out, nil
}

// clean turns the name of a folder into the end of an ID.
func clean(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', '0' <= r && r <= '9':
			return r
		case 'A' <= r && r <= 'Z':
			return r - 'A' + 'a'
		}
		return '_'
	}, name)
}

// run imports a model, runs it and compares all outputs, with the tolerance of
// ONNX's own runner.
func run(ctx context.Context, e *suite.Env, dir, name string) error {
	if err := plain(filepath.Join(dir, name)); err != nil {
		return fmt.Errorf("the folder cannot be read as a case: %w", err)
	}
	c, err := onnxcases.Load(dir, name)
	if errors.Is(err, onnx.ErrUnsupported) {
		return suite.Unsupported("no graph says what the model does: %v", err)
	}
	if err != nil {
		return fmt.Errorf("the folder cannot be read as a case: %w", err)
	}
	in := map[string]*oracle.Tensor{}
	for name, t := range c.Inputs {
		if in[name], err = oracle.FromConst(t); err != nil {
			return fmt.Errorf("the folder cannot be read as a case: input %q: %w", name, err)
		}
	}
	r := e.NewRun(c.Graph, nil)
	defer r.Close()
	res, err := r.Step(ctx, in, nil)
	if err != nil {
		return err
	}
	for _, o := range c.Outputs {
		got, ok := res.Outputs[o.Name]
		if !ok {
			return fmt.Errorf("there is no output %q", o.Name)
		}
		t, err := got.Const()
		if err != nil {
			return err
		}
		err = onnxcases.Compare(o.Tensor, t)
		if want, bad := oracle.FromConst(o.Tensor); bad == nil {
			s := measure(want, got)
			if err == nil {
				s.Worst = min(s.Worst, 1) // Compare decides
			}
			e.Measured(s)
		}
		if err != nil {
			return fmt.Errorf("output %q: %w", o.Name, err)
		}
	}
	return nil
}

// most is how large a file of a case may be.
const most = 64 << 20

// plain returns an error unless a folder holds files of a sensible size, and
// nothing that reading could wait for.
func plain(dir string) error {
	n := 0
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		n++
		switch {
		case !info.Mode().IsRegular():
			return fmt.Errorf("%s is no regular file", path)
		case info.Size() > most:
			return fmt.Errorf("%s has %d bytes, at most %d", path, info.Size(), most)
		case n > 1000:
			return fmt.Errorf("%s has more than 1000 files", dir)
		}
		return nil
	})
}

// measure returns the largest error, as a share of what onnxcases.Tolerance
// allows.
func measure(want, got *oracle.Tensor) tol.Stats {
	s := tol.Stats{Elements: want.Len()}
	if got.Elem != want.Elem || got.Len() != want.Len() {
		s.Worst = math.MaxFloat64
		return s
	}
	if !want.Elem.IsFloat() {
		for i := range want.Len() {
			if differ(want, got, i) {
				s.Worst = math.MaxFloat64
			}
		}
		return s
	}
	abs, rel := onnxcases.Tolerance(want.Elem)
	for i, w := range want.F {
		g := got.F[i]
		if w == g || w != w && g != g {
			continue
		}
		d := math.Abs(g - w)
		share := d / (abs + rel*math.Abs(w))
		if share != share || d > math.MaxFloat64 {
			d, share = math.MaxFloat64, math.MaxFloat64
		}
		if share > s.Worst {
			s.Worst, s.Abs = share, d
		}
	}
	return s
}

func differ(want, got *oracle.Tensor, i int) bool {
	if want.Elem.IsSigned() || want.Elem == enc.Bool {
		return want.I[i] != got.I[i]
	}
	return want.U[i] != got.U[i]
}
