package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"
)

// suite runs the conformance suite as users do: by the command.
type suite struct {
	tree   *tree
	more   []string // further arguments of heddle conform
	memory int64    // bytes that a run may map; 0 is no limit
	tiers  []string // of this machine, the best first
	groups []group
}

// group is the cases that share the first two parts of their IDs.
type group struct {
	name string
	took time.Duration
}

// verdict is the outcome of running cases.
type verdict struct {
	failed bool
	// by is the first case that failed, or "open" (the device does not open: a
	// kernel fails its known-answer check), "crash", "timeout" or "profiles"
	// (a profile that is claimed is incomplete); why what was said.
	by, why string
}

// caseLimit is how long a case may take that has no limit of its own. On
// unchanged code they take a few seconds at most.
const caseLimit = 30 * time.Second

// run runs the cases that match, until the first failure, or, with a report to
// write, all of them.
func (s *suite) run(ctx context.Context, tier, match, report string, limit time.Duration) (verdict, error) {
	args := []string{"conform", "--driver", "cpu?tier=" + tier, "--json", "--timeout", caseLimit.String()}
	if match != "" {
		args = append(args, "--run", match)
	}
	if report != "" {
		args = append(args, "--report", report)
	} else {
		args = append(args, "--fail-fast")
	}
	args = append(args, s.more...)
	inner, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cmd := s.command(inner, args)
	cmd.Dir = s.tree.dir
	cmd.WaitDelay = 5 * time.Second
	cmd.Env = slices.DeleteFunc(os.Environ(), func(e string) bool { return strings.HasPrefix(e, "HEDDLE_CPU=") })
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &tail{Buffer: &said}
	err := cmd.Run()
	if ctx.Err() != nil {
		return verdict{}, ctx.Err()
	}
	if inner.Err() != nil {
		return verdict{true, "timeout", fmt.Sprintf("no end after %v", limit)}, nil
	}
	var rep struct {
		Passed   bool
		Totals   map[string]int
		Failures []struct{ ID, Reason string }
	}
	var exit *exec.ExitError
	switch jsonErr := json.Unmarshal(out.Bytes(), &rep); {
	case err == nil && jsonErr != nil:
		return verdict{}, fmt.Errorf("heddle conform gave no JSON: %w", jsonErr)
	case err != nil && !errors.As(err, &exit):
		return verdict{}, fmt.Errorf("heddle conform cannot be run: %w", err)
	case len(rep.Failures) > 0:
		return verdict{true, rep.Failures[0].ID, rep.Failures[0].Reason}, nil
	case jsonErr != nil:
		line := firstLine(said.String())
		switch {
		case strings.Contains(line, "no case matches"):
			return verdict{}, fmt.Errorf("%s: %s", match, line)
		case strings.HasPrefix(line, "heddle: "):
			return verdict{true, "open", line}, nil
		}
		return verdict{true, "crash", line}, nil
	case err != nil:
		return verdict{true, "profiles", firstLine(said.String())}, nil
	}
	return verdict{}, nil
}

// attempts bounds how often a stage is run because what failed did not fail
// again.
const attempts = 3

// judge runs a stage. A case that fails has to do so twice, so that one that
// fails now and then on a busy machine catches nothing. Only what fails in every
// attempt, each time in other cases, counts without that.
func (s *suite) judge(ctx context.Context, st stage) (v verdict, err error) {
	for range attempts {
		if v, err = s.run(ctx, st.tier, st.match, "", st.limit); err != nil || !v.failed || !v.isCase() {
			return v, err
		}
		again, err := s.run(ctx, st.tier, "^"+regexp.QuoteMeta(v.by)+"$", "", st.limit)
		if err != nil || again.failed {
			return v, err
		}
	}
	return v, nil
}

// isCase reports whether by is the ID of a case.
func (v verdict) isCase() bool { return strings.Contains(v.by, ".") }

// command wraps the program so that what a mutant allocates by mistake does not
// take the machine with it.
func (s *suite) command(ctx context.Context, args []string) *exec.Cmd {
	if s.memory > 0 && runtime.GOOS == "linux" {
		return exec.CommandContext(ctx, "sh", append([]string{"-c", fmt.Sprintf(`ulimit -v %d; exec "$0" "$@"`, s.memory>>10), s.tree.bin}, args...)...)
	}
	return exec.CommandContext(ctx, s.tree.bin, args...)
}

// tail keeps the beginning of what a program says.
type tail struct{ *bytes.Buffer }

func (t *tail) Write(p []byte) (int, error) {
	if room := 64<<10 - t.Len(); room > 0 {
		t.Buffer.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}

// firstLine returns the line that tells most: of a crash, what it was.
func firstLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	for _, l := range lines {
		if strings.HasPrefix(l, "panic:") || strings.HasPrefix(l, "fatal error:") || strings.HasPrefix(l, "SIG") {
			return l
		}
	}
	return lines[0]
}

// baseline runs everything on unchanged code, which must pass, and learns how
// long groups of cases take.
func (s *suite) baseline(ctx context.Context, dir string, limit time.Duration) error {
	best := map[string]string{"amd64": "avx2", "arm64": "neon"}[runtime.GOARCH]
	took := map[string]time.Duration{}
	for _, tier := range []string{best, "generic"} {
		if tier == "" {
			continue
		}
		report := filepath.Join(dir, tier+".json")
		v, err := s.run(ctx, tier, "", report, limit)
		if err == nil && v.isCase() { // on a busy machine a case may fail for once
			v, err = s.run(ctx, tier, "", report, limit)
		}
		if err != nil {
			return err
		}
		if v.failed {
			if tier == best && v.by == "open" && strings.Contains(v.why, "not usable") {
				continue // an old processor
			}
			return fmt.Errorf("the suite does not pass on unchanged code, tier %s: %s: %s", tier, v.by, v.why)
		}
		s.tiers = append(s.tiers, tier)
		data, err := os.ReadFile(report)
		if err != nil {
			return err
		}
		var rep struct {
			Results []struct {
				ID string
				MS float64
			}
		}
		if err := json.Unmarshal(data, &rep); err != nil {
			return err
		}
		for _, r := range rep.Results {
			name := groupOf(r.ID)
			took[name] += time.Duration(r.MS * float64(time.Millisecond))
		}
	}
	if len(s.tiers) == 0 {
		return errors.New("the suite ran on no tier")
	}
	for name, d := range took {
		s.groups = append(s.groups, group{name, d / time.Duration(len(s.tiers))})
	}
	slices.SortFunc(s.groups, func(a, b group) int {
		if a.took != b.took {
			return int(a.took - b.took)
		}
		return strings.Compare(a.name, b.name)
	})
	return nil
}

func groupOf(id string) string {
	parts := strings.SplitN(id, ".", 3)
	return strings.Join(parts[:min(2, len(parts))], ".")
}

// stage is a part of the suite that a mutant is judged by.
type stage struct {
	tier, match string
	limit       time.Duration
}

// stages orders the suite for a mutant in a file: what sounds like the file,
// what is quick, the rest; on the tier that runs the code first.
func (s *suite) stages(file string) []stage {
	var near, quick, rest []group
	var all, spent time.Duration
	words := wordsOf(file)
	for _, g := range s.groups {
		all += g.took
	}
	for _, g := range s.groups { // the quickest first
		switch {
		case words != nil && words.MatchString(g.name):
			near = append(near, g)
		case spent+g.took <= all/4:
			spent += g.took
			quick = append(quick, g)
		default:
			rest = append(rest, g)
		}
	}
	tiers := slices.Clone(s.tiers)
	switch base := filepath.Base(file); {
	case strings.HasSuffix(base, ".s") || strings.HasSuffix(base, "_"+runtime.GOARCH+".go"):
		tiers = tiers[:1] // no other one runs it
	case base == "generic.go" || base == "math32.go":
		slices.Reverse(tiers)
	}
	var out []stage
	for _, tier := range tiers {
		for _, part := range [][]group{near, quick, rest} {
			if len(part) > 0 {
				out = append(out, newStage(tier, part))
			}
		}
	}
	return out
}

// newStage allows several times what the cases take on unchanged code, as a
// machine may be busy.
func newStage(tier string, part []group) stage {
	var names []string
	var took time.Duration
	for _, g := range part {
		names = append(names, regexp.QuoteMeta(g.name))
		took += g.took
	}
	return stage{tier, "^(" + strings.Join(names, "|") + `)(\.|$)`, 2*took + 2*caseLimit + 30*time.Second}
}

// wordsOf matches groups of cases that have to do with a file; nil if nothing
// is known.
func wordsOf(file string) *regexp.Regexp {
	dir, base := filepath.Split(file)
	base, _, _ = strings.Cut(strings.TrimSuffix(strings.TrimSuffix(base, ".go"), ".s"), "_")
	name := base
	if below, ok := strings.CutPrefix(filepath.ToSlash(dir), "ops/kern/"); ok && below != "" {
		name = strings.TrimSuffix(below, "/")
	}
	if w, ok := words[name]; ok {
		name = w
	}
	return regexp.MustCompile(name)
}

// words says what cases are called that have to do with a file, where it is
// not the file's own name.
var words = map[string]string{
	"attn": "attention", "attention": "attention", "gemm": "matmul|gemm", "matmul": "matmul|gemm", "integer": "integer|matmul", "norm": "norm|softmax|rotary",
	"vec": "add|sub|mul|div|cast|where|equal|less", "half": "cast|f16|bf16", "quant": "quant|matmul|gather", "quantize": "quant", "encoded": "matmul|gather|weight",
	"weights": "matmul|gather|weight", "move": "transpose|slice|concat|gather|split|expand", "arrange": "depth|space", "order": "topk|sort|unique",
	"reduce": "reduce|arg", "elementwise": "add|sub|mul|div|pow|where", "unary": "exp|tanh|erf|sqrt|gelu|sigmoid", "generate": "range|constant|eye|onehot",
	"index": "gather|scatter", "select": "where|compress|trilu", "state": "scatter|attention|kv", "derive": "quant", "tile": "matmul|gemm", "rows": "softmax|norm|matmul",
	"math32": "exp|tanh|erf|gelu|sigmoid", "generic": "matmul|exp|softmax", "bits": "bit|shift",
}
