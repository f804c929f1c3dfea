package cli_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/conformance"
	"github.com/heddle-ml/heddle/drivers/cpu"
	"github.com/heddle-ml/heddle/drivers/null"
	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/hal/driver"
	"github.com/heddle-ml/heddle/tools/heddle/internal/cli"
)

// tiny is a case that takes no time; the null driver, which computes zeros,
// fails it.
const tiny = "ops.gelu.f32.plain"

func only(id string) string { return "^" + strings.ReplaceAll(id, ".", `\.`) + "$" }

type conformJSON struct {
	Driver, Device, Suite, Hash string
	Passed, Partial, Isolated   bool
	Cases                       int
	Totals                      map[string]int
	Profiles                    []conformance.ProfileResult
	Failures, Expected          []struct{ ID, Status, Reason, Reference string }
	Seconds                     float64
	Report                      string
}

func readReport(t *testing.T, path string) conformance.Report {
	t.Helper()
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	rep, err := conformance.ReadReport(f)
	require.NoError(t, err)
	return rep
}

func TestConform(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "cpu.json")
	out := succeed(t, "", "conform", "--driver", "cpu?threads=1", "--run", only(tiny), "--report", path)
	for _, want := range []string{"cpu:0", "suite v0", "profile", "vision", "incomplete", "1 case in ", ": 1 pass\n"} {
		require.Contains(t, out, want)
	}
	require.Equal(t, []string{"cpu.json", "cpu.md"}, names(t, dir))
	rep := readReport(t, path)
	require.Len(t, rep.Results, 1)
	require.True(t, rep.Partial)
	require.Equal(t, map[string]string{"threads": "1"}, rep.Options)
	require.Equal(t, fmt.Sprintf("heddle conform --driver 'cpu?threads=1' --run '%s' --report %s", only(tiny), path), rep.Command)
	summary, err := os.ReadFile(filepath.Join(dir, "cpu.md"))
	require.NoError(t, err)
	require.Contains(t, string(summary), "## Profiles")
	require.Contains(t, string(summary), rep.Command)

	j := decode[conformJSON](t, succeed(t, "", "conform", "--driver", "cpu", "--run", only(tiny), "--json"))
	require.Equal(t, []string{"cpu", "cpu:0", "v0", conformance.Hash()}, []string{j.Driver, j.Device, j.Suite, j.Hash})
	require.Equal(t, map[string]int{"pass": 1, "fail": 0, "crash": 0, "timeout": 0, "unsupported": 0, "xfail": 0, "waived": 0}, j.Totals)
	require.NotNil(t, j.Failures)
	require.Empty(t, j.Failures)
	require.True(t, j.Passed)
	require.Positive(t, j.Seconds)
}

// A device that computes zeros fails, in words and in the exit status.
func TestConformFails(t *testing.T) {
	args := []string{"conform", "--driver", "null", "--profile", "vision", "--run", only(tiny)}
	r := execute(t, "", args...)
	require.Equal(t, 1, r.code)
	require.Equal(t, "heddle: 1 of 1 case failed\n", r.err)
	for _, want := range []string{"Failures\n  " + tiny + "  fail\n      output ", "want ", "not passed", ": 1 fail\n"} {
		require.Contains(t, r.out, want)
	}
	r = execute(t, "", append(args, "--json")...)
	require.Equal(t, 1, r.code)
	j := decode[conformJSON](t, r.out)
	require.False(t, j.Passed)
	require.Equal(t, 1, j.Totals["fail"])
	require.Len(t, j.Failures, 1)
	require.Equal(t, tiny, j.Failures[0].ID)
	require.Contains(t, j.Failures[0].Reason, "want ")
}

func TestConformExpect(t *testing.T) {
	known := write(t, "known.json", `[{"case": "ops.gelu.*", "status": "xfail", "reference": "issue 7"}]`)
	args := []string{"conform", "--run", only(tiny), "--expect", known}
	out := succeed(t, "", append(args, "--driver", "null", "--profile", "vision")...)
	require.Contains(t, out, "Known not to pass\n  "+tiny+"  xfail\n")
	require.Contains(t, out, "(issue 7)")

	r := execute(t, "", append(args, "--driver", "cpu")...)
	r.oneLine(t, 1, "1 of 1 case failed")
	require.Contains(t, r.out, "take it off the list")

	for text, want := range map[string]string{
		`{}`: "write a list", `[] []`: "something follows the list", `[{"case": "x", "why": "y"}]`: `unknown field "why"`,
		`[{"case": "x", "status": "fail", "reference": "y"}]`: "one of the statuses", `[{"case": "x", "status": "xfail"}]`: "needs a reference",
	} {
		execute(t, "", "conform", "--driver", "null", "--expect", write(t, "bad.json", text)).oneLine(t, 1, want)
	}
}

func TestConformUsage(t *testing.T) {
	file := write(t, "file", "")
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"", 2, "--driver is missing"},
		{"cpu", 2, "there are conform list and conform verify"},
		{"--driver cpu --suite v1", 2, `no suite "v1" in this program: it has v0`},
		{"--driver cpu --profile visual", 2, `no profile "visual": there are skeleton, vision`},
		{"--driver cpu --run (", 2, "missing closing )"},
		{"--driver cpu --jobs -1", 2, "must not be negative"},
		{"--driver cpu --timeout soon", 2, "timeout"},
		{"--driver cpu --isolate --in-process", 2, "isolate"},
		{"--driver cpu: --run x", 2, "nothing follows the colon"},
		{"--driver cpu?threads=1&threads=2", 2, "given 2 times"},
		{"--driver cpu --report x.md", 2, "give the report the extension .json"},
		{"--driver tpu", 1, `no driver "tpu" in this program; it has cpu, null`},
		{"--driver cpu:7 --run x", 1, "cpu:7"},
		{"--driver cpu --run nothing.matches", 1, "heddle conform list shows all of them"},
		{"--driver cpu --onnx-tests " + file, 1, "is a file"},
		{"--driver cpu --onnx-tests " + file + "/x", 1, "--onnx-tests"},
		{"--driver cpu --expect " + file + ".not", 1, "no such file"},
		{"--driver cpu --report " + file + "/x.json", 1, "--report"},
		{"list x", 2, "one argument too many"},
		{"list --profile visual", 2, `no profile "visual"`},
		{"verify", 2, "the report is missing"},
		{"verify --rerun -1 " + file, 2, "must not be negative"},
		{"verify --driver cpu " + file, 2, "--rerun"},
		{"verify " + file + ".not", 1, "no such file"},
		{"verify " + file, 1, "this is no report"},
	} {
		t.Run(c.args, func(t *testing.T) {
			execute(t, "", append([]string{"conform"}, strings.Fields(c.args)...)...).oneLine(t, c.code, c.want)
		})
	}
}

func TestConformList(t *testing.T) {
	all := strings.Split(strings.TrimSpace(succeed(t, "", "conform", "list")), "\n")
	require.True(t, slices.ContainsFunc(all, func(l string) bool { return strings.HasPrefix(l, tiny+" ") }))
	j := decode[struct {
		Suite, Hash string
		Cases       []conformance.Info
	}](t, succeed(t, "", "conform", "list", "--profile", "vision", "--json"))
	require.Equal(t, "v0", j.Suite)
	require.NotEmpty(t, j.Cases)
	require.LessOrEqual(t, len(j.Cases), len(all))
	for _, c := range j.Cases {
		require.Contains(t, c.Profiles, "vision")
	}
}

// wholeReport makes up a report of the CPU driver in which one case passed
// and all others are waived.
func wholeReport(t *testing.T, edit func(*conformance.Report)) string {
	t.Helper()
	ctx := context.Background()
	dev, err := hal.Open(ctx, "cpu")
	require.NoError(t, err)
	defer dev.Close()
	rep := conformance.Report{
		Schema: 1, Suite: conformance.Version, Hash: conformance.Hash(), Driver: cpu.Driver{}.Info(), Device: driver.DeviceInfo{ID: "0"}, Caps: *dev.Caps(),
		Environment: conformance.Environment{OS: "linux", Arch: "amd64", Processors: 2}, Started: time.Unix(1700000000, 0).UTC(), Seconds: 1,
		Totals: map[conformance.Status]int{},
	}
	cases, err := conformance.List("")
	require.NoError(t, err)
	for _, p := range conformance.Profiles() {
		rep.Profiles = append(rep.Profiles, conformance.ProfileResult{Name: p, Claimed: true, Totals: map[conformance.Status]int{}})
	}
	for _, c := range cases {
		r := conformance.Result{ID: c.ID, Profiles: c.Profiles, Status: conformance.Waived, Reason: "made up", Reference: "issue 7"}
		if c.ID == tiny {
			r = conformance.Result{ID: c.ID, Profiles: c.Profiles, Status: conformance.Pass}
		}
		rep.Results = append(rep.Results, r)
		rep.Totals[r.Status]++
		for i := range rep.Profiles {
			if p := &rep.Profiles[i]; slices.Contains(c.Profiles, p.Name) {
				p.Cases++
				p.Totals[r.Status]++
				p.Passed = true
			}
		}
	}
	if edit != nil {
		edit(&rep)
	}
	var b bytes.Buffer
	require.NoError(t, rep.Write(&b, "")) // sealed
	return write(t, "report.json", b.String())
}

func TestConformVerify(t *testing.T) {
	good := wholeReport(t, nil)
	require.Contains(t, succeed(t, "", "conform", "verify", good), "valid  cpu:0, ")
	require.Contains(t, succeed(t, "", "conform", "verify", good, "--rerun", "3"), "confirmed  1 case run again\n")
	require.Contains(t, succeed(t, "", "conform", "verify", good, "--rerun", "3", "--driver", "cpu:0", "--seed", "5"), "confirmed")
	execute(t, "", "conform", "verify", good, "--rerun", "3", "--driver", "cpu?tier=generic").oneLine(t, 1, "the device is not the report's")

	bad := wholeReport(t, func(r *conformance.Report) { r.Partial, r.Totals[conformance.Fail] = true, 3 })
	text, err := os.ReadFile(bad)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(bad, bytes.Replace(text, []byte(`"seconds": 1`), []byte(`"seconds": 2`), 1), 0o644))
	r := execute(t, "", "conform", "verify", bad)
	r.oneLine(t, 1, bad+" is not to be trusted: 3 reasons")
	require.Equal(t, 3, strings.Count(r.out, "\n"))
	for _, want := range []string{"WRONG  it is partial", "WRONG  the seal does not match", "WRONG  it counts 3 cases as fail"} {
		require.Contains(t, r.out, want)
	}
	j := decode[struct {
		Valid  bool
		Errors []string
		Rerun  int
	}](t, execute(t, "", "conform", "verify", "--json", bad).out)
	require.False(t, j.Valid)
	require.Len(t, j.Errors, 3)

	// What passed once and does not any more.
	r = executeWith(t, cli.Env{Registry: hal.NewRegistry(zeros{})}, "conform", "verify", good, "--rerun", "1")
	r.oneLine(t, 1, "1 reason")
	require.Contains(t, r.out, "WRONG  "+tiny+" passed in the report, now: fail: ")
}

// zeros is a driver that passes itself off as cpu's, and computes nothing.
type zeros struct{ null.Driver }

func (zeros) Info() driver.Info { return cpu.Driver{}.Info() }

func (zeros) Open(ctx context.Context, id string, o driver.OpenOptions) (driver.Device, error) {
	dev, err := null.Driver{}.Open(ctx, id, o)
	if err != nil {
		return nil, err
	}
	right, err := cpu.Driver{}.Open(ctx, id, o)
	if err != nil {
		return nil, err
	}
	caps := *right.Caps()
	return claims{dev, &caps}, right.Close()
}

type claims struct {
	driver.Device
	caps *driver.Caps
}

func (c claims) Caps() *driver.Caps { return c.caps }

// slow compiles its second graph until it is interrupted.
type slow struct {
	cpu.Driver
	compiled   *atomic.Int32
	interrupts chan os.Signal
}

func (s slow) Open(ctx context.Context, id string, o driver.OpenOptions) (driver.Device, error) {
	dev, err := s.Driver.Open(ctx, id, o)
	return slowDevice{dev, s}, err
}

type slowDevice struct {
	driver.Device
	slow
}

func (d slowDevice) Compile(ctx context.Context, g *graph.Graph, o driver.CompileOptions) (driver.Executable, error) {
	if d.compiled.Add(1) == 2 {
		d.interrupts <- os.Interrupt
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return d.Device.Compile(ctx, g, o)
}

// An interrupt ends the run. What was found until then is a partial report.
func TestConformInterrupted(t *testing.T) {
	interrupts := make(chan os.Signal, 1)
	path := filepath.Join(t.TempDir(), "r.json")
	r := executeWith(t, cli.Env{Registry: hal.NewRegistry(slow{compiled: &atomic.Int32{}, interrupts: interrupts}), Interrupts: interrupts},
		"conform", "--driver", "cpu", "--jobs", "1", "--run", `^ops\.gelu\.f32\.plain`, "--report", path)
	require.Equal(t, 1, r.code)
	require.Contains(t, r.err, "the report is partial: the run ended after 1 case\n")
	require.True(t, strings.HasSuffix(r.err, "heddle: interrupted\n"), r.err)
	rep := readReport(t, path)
	require.True(t, rep.Partial)
	require.Len(t, rep.Results, 1, "what was broken off says nothing about the device")
	require.Equal(t, conformance.Pass, rep.Results[0].Status)
	require.Equal(t, []string{"r.json", "r.md"}, names(t, filepath.Dir(path)))

	// Before anything was found nothing is left behind.
	dir := t.TempDir()
	early := make(chan os.Signal, 1)
	n := &atomic.Int32{}
	n.Store(1)
	r = executeWith(t, cli.Env{Registry: hal.NewRegistry(slow{compiled: n, interrupts: early}), Interrupts: early},
		"conform", "--driver", "cpu", "--jobs", "1", "--run", `^ops\.gelu\.f32\.plain`, "--report", filepath.Join(dir, "r.json"))
	r.oneLine(t, 1, "interrupted")
	require.Empty(t, names(t, dir))
}
