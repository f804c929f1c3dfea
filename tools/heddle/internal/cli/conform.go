package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/heddle-ml/heddle/conformance"
	"github.com/heddle-ml/heddle/hal/driver"
	"github.com/heddle-ml/heddle/tools/heddle/internal/atomicfile"
	"github.com/heddle-ml/heddle/tools/heddle/internal/tty"
)

type conformFlags struct {
	driver, suite, onnx   string
	profiles              []string
	report, match, expect string
	jobs                  int
	seed                  uint64
	failFast              bool
	isolate, inProcess    bool
	timeout               time.Duration
	json                  bool
}

func (a *app) conformCommand() *cobra.Command {
	var f conformFlags
	cmd := &cobra.Command{
		Use:   "conform --driver D",
		Short: "Prove a driver right or wrong",
		Long: `Runs the conformance suite against a device: its contract with apps, every
operator that it claims against a float64 reference, blocks of models and whole
ones. What a device does not claim is unsupported; what it claims has to work.

Profiles say what a device is good for: skeleton, vision, language, quantized,
multimodal. The exit status is 1 if a case failed, or if a profile that the
device claims did not pass.`,
		Example: `  heddle conform --driver cpu --report cpu.json
  heddle conform --driver plugin:./my.so --profile skeleton --profile vision
  heddle conform --driver 'cpu?tier=generic' --run '^ops\.matmul' --fail-fast
  heddle conform verify cpu.json --rerun 50`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("%q is no part of conform: there are conform list and conform verify", args[0])
			}
			return nil
		},
		RunE: a.action(func(ctx context.Context, _ []string) error { return a.conform(ctx, &f) }),
	}
	fl := cmd.Flags()
	a.driverFlag(cmd, &f.driver, "`device` to judge, such as cpu, cpu?threads=1, plugin:./my.so")
	fl.StringVar(&f.suite, "suite", conformance.Version, "`version` of the suite")
	profileFlag(cmd, &f.profiles, "run the cases of this `profile` only, and of those that it builds on; may be repeated")
	onnxFlag(cmd, &f.onnx)
	fl.StringVar(&f.report, "report", "", "write a report to this JSON `file`, and a summary in Markdown beside it")
	fl.StringVar(&f.match, "run", "", "run cases whose ID this `regexp` matches; the report is then partial")
	fl.StringVar(&f.expect, "expect", "", "JSON `file` of cases that are known not to pass: [{\"case\", \"status\": \"xfail\" or \"waived\", \"reference\"}]")
	fl.IntVar(&f.jobs, "jobs", 0, "cases that run side by side (default: by the number of processors)")
	fl.Uint64Var(&f.seed, "seed", 0, "draw other inputs; reports are made with 0")
	fl.BoolVar(&f.failFast, "fail-fast", false, "stop at the first failure")
	fl.BoolVar(&f.isolate, "isolate", false, "run the device in a process of its own (default for drivers of foreign code)")
	fl.BoolVar(&f.inProcess, "in-process", false, "run the device in this process: a crash of it ends everything")
	fl.DurationVar(&f.timeout, "timeout", 0, "how long a case may take (default: 1m)")
	fl.BoolVar(&f.json, "json", false, "print JSON")
	cmd.MarkFlagsMutuallyExclusive("isolate", "in-process")
	_ = cmd.MarkFlagFilename("report", "json")
	_ = cmd.MarkFlagFilename("expect", "json")
	cmd.AddCommand(a.conformListCommand(), a.conformVerifyCommand())
	return cmd
}

func (a *app) driverFlag(cmd *cobra.Command, to *string, help string) {
	cmd.Flags().StringVar(to, "driver", "", help)
	_ = cmd.RegisterFlagCompletionFunc("driver", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return a.env.Registry.Names(), cobra.ShellCompDirectiveNoFileComp
	})
}

func profileFlag(cmd *cobra.Command, to *[]string, help string) {
	cmd.Flags().StringSliceVar(to, "profile", nil, help)
	_ = cmd.RegisterFlagCompletionFunc("profile", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return conformance.Profiles(), cobra.ShellCompDirectiveNoFileComp
	})
}

func onnxFlag(cmd *cobra.Command, to *string) {
	cmd.Flags().StringVar(to, "onnx-tests", "", "run the ONNX project's operator cases, too, from this `folder` (onnx/backend/test/data/node)")
	_ = cmd.MarkFlagDirname("onnx-tests")
}

// driverOf finds the driver behind a device's name, and takes the name apart
// as hal.Registry.Open would.
func (a *app) driverOf(name string) (driver.Driver, conformance.Options, error) {
	var o conformance.Options
	base, query, _ := strings.Cut(name, "?")
	drv, id, hasID := strings.Cut(base, ":")
	d, ok := a.env.Registry.Driver(drv)
	if !ok {
		return nil, o, fmt.Errorf("there is no driver %q in this program; it has %s", drv, strings.Join(a.env.Registry.Names(), ", "))
	}
	if hasID && id == "" {
		return nil, o, usagef("--driver %s: nothing follows the colon", name)
	}
	o.Device = id
	values, err := url.ParseQuery(query)
	if err != nil {
		return nil, o, usagef("--driver %s: %w", name, err)
	}
	for k, v := range values {
		if len(v) > 1 {
			return nil, o, usagef("--driver %s: option %s is given %d times", name, k, len(v))
		}
		if o.DeviceOptions == nil {
			o.DeviceOptions = map[string]string{}
		}
		o.DeviceOptions[k] = v[0]
	}
	return d, o, nil
}

// options reads the flags.
func (f *conformFlags) options(o conformance.Options) (conformance.Options, error) {
	var err error
	switch {
	case f.suite != conformance.Version:
		return o, usagef("there is no suite %q in this program: it has %s", f.suite, conformance.Version)
	case f.jobs < 0 || f.timeout < 0:
		return o, usagef("--jobs and --timeout must not be negative")
	}
	if err := knownProfiles(f.profiles); err != nil {
		return o, err
	}
	if f.match != "" {
		if o.Match, err = regexp.Compile(f.match); err != nil {
			return o, usagef("--run: %w", err)
		}
	}
	if err := onnxFolder(f.onnx); err != nil {
		return o, err
	}
	if f.expect != "" {
		if o.Expect, err = readExpectations(f.expect); err != nil {
			return o, err
		}
	}
	o.Profiles, o.ONNXTests, o.Jobs, o.Seed, o.FailFast = f.profiles, f.onnx, f.jobs, f.seed, f.failFast
	o.Isolate, o.InProcess, o.Timeout = f.isolate, f.inProcess, f.timeout
	return o, nil
}

func knownProfiles(names []string) error {
	for _, p := range names {
		if !slices.Contains(conformance.Profiles(), p) {
			return usagef("there is no profile %q: there are %s", p, strings.Join(conformance.Profiles(), ", "))
		}
	}
	return nil
}

func onnxFolder(dir string) error {
	if dir == "" {
		return nil
	}
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("--onnx-tests %s: %w", dir, cause(err))
	}
	if !info.IsDir() {
		return fmt.Errorf("--onnx-tests %s is a file: name the folder of the cases, onnx/backend/test/data/node", dir)
	}
	return nil
}

// maxExpectations bounds the file of --expect.
const maxExpectations = 1 << 20

func readExpectations(path string) ([]conformance.Expectation, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("--expect %s: %w", path, cause(err))
	}
	defer file.Close()
	d := json.NewDecoder(io.LimitReader(file, maxExpectations))
	d.DisallowUnknownFields()
	var out []conformance.Expectation
	if err := d.Decode(&out); err != nil {
		return nil, fmt.Errorf("--expect %s: %w: write a list of {\"case\", \"status\", \"reference\"}", path, err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("--expect %s: something follows the list", path)
	}
	return out, nil
}

func (a *app) conform(ctx context.Context, f *conformFlags) error {
	if f.driver == "" {
		return usagef("--driver is missing: name the device to judge, such as cpu or plugin:./my.so")
	}
	d, o, err := a.driverOf(f.driver)
	if err != nil {
		return err
	}
	if o, err = f.options(o); err != nil {
		return err
	}
	var files *reportFiles
	if f.report != "" { // before the work, so that a wrong path costs nothing
		if files, err = createReport(f.report); err != nil {
			return err
		}
		defer files.discard()
	}
	rep, err := a.judge(func(progress func(conformance.Result, int)) (conformance.Report, error) {
		o.Progress = progress
		return conformance.Run(ctx, d, o)
	})
	if err != nil && len(rep.Results) == 0 {
		return err
	}
	// What was found until an interrupt is worth keeping; it says that it is
	// partial, and does not verify.
	if files != nil {
		if err := files.write(&rep, commandLine(a.args)); err != nil {
			return err
		}
	}
	if err := a.printConform(f, &rep); err != nil {
		return err
	}
	switch {
	case err != nil:
		a.note("the report is partial: the run ended after %s", tty.Plural(len(rep.Results), "case"))
		return err
	case rep.Passed():
		return nil
	case len(rep.Failures()) > 0:
		return fmt.Errorf("%d of %s failed", len(rep.Failures()), tty.Plural(len(rep.Results), "case"))
	}
	return fmt.Errorf("%s does not pass every profile that it claims: the table says which", f.driver)
}

// judge runs cases with a progress bar.
func (a *app) judge(run func(progress func(conformance.Result, int)) (conformance.Report, error)) (conformance.Report, error) {
	var bar *tty.Progress
	done, bad := 0, 0
	defer func() { bar.Done() }()
	return run(func(r conformance.Result, total int) {
		if bar == nil {
			bar = tty.NewProgress(a.err, "conform", total)
		}
		done++
		note := ""
		switch r.Status {
		case conformance.Fail, conformance.Crash, conformance.Timeout:
			bad++
		}
		if bad > 0 {
			note = a.err.Red(fmt.Sprintf("%d failed", bad))
		}
		bar.Set(done, note)
	})
}

// reportFiles are a report in the making: JSON, and the summary for people.
type reportFiles struct {
	json, markdown *atomicfile.File
}

// createReport begins a report at path. Where path is no regular file, such as
// a pipe, there is no place beside it for the summary.
func createReport(path string) (*reportFiles, error) {
	beside := strings.TrimSuffix(path, filepath.Ext(path)) + ".md"
	if beside == path {
		return nil, usagef("--report %s: the summary has that name: give the report the extension .json", path)
	}
	main, err := atomicfile.Create(path)
	if err != nil {
		return nil, fmt.Errorf("--report: %w", err)
	}
	out := &reportFiles{json: main}
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return out, nil
	}
	if out.markdown, err = atomicfile.Create(beside); err != nil {
		main.Discard()
		return nil, fmt.Errorf("--report: %w", err)
	}
	return out, nil
}

func (r *reportFiles) write(rep *conformance.Report, command string) error {
	rep.Command = command
	if err := rep.Write(r.json, command); err != nil {
		return fmt.Errorf("the report cannot be written: %w", err)
	}
	if r.markdown != nil {
		if err := rep.Markdown(r.markdown); err != nil {
			return fmt.Errorf("the summary cannot be written: %w", err)
		}
		if err := r.markdown.Commit(); err != nil {
			return err
		}
	}
	return r.json.Commit()
}

func (r *reportFiles) discard() {
	r.json.Discard()
	if r.markdown != nil {
		r.markdown.Discard()
	}
}

// plainWord is what a shell takes as it is.
var plainWord = regexp.MustCompile(`^[A-Za-z0-9_@%+=:,./-]+$`)

// commandLine returns the command as one would type it.
func commandLine(args []string) string {
	words := []string{"heddle"}
	for _, w := range args {
		if !plainWord.MatchString(w) {
			w = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
		words = append(words, w)
	}
	return strings.Join(words, " ")
}

// conformReport is the outcome in output.
type conformReport struct {
	Driver   string                      `json:"driver"` // as --driver was given
	Device   string                      `json:"device"`
	Suite    string                      `json:"suite"`
	Hash     string                      `json:"hash"`
	Passed   bool                        `json:"passed"`
	Partial  bool                        `json:"partial"`
	Isolated bool                        `json:"isolated"`
	Cases    int                         `json:"cases"`
	Totals   map[conformance.Status]int  `json:"totals"` // of every status
	Profiles []conformance.ProfileResult `json:"profiles"`
	Failures []failure                   `json:"failures"`
	Expected []failure                   `json:"expected"` // known not to pass
	Seconds  float64                     `json:"seconds"`
	Report   string                      `json:"report,omitempty"`
}

type failure struct {
	ID        string             `json:"id"`
	Status    conformance.Status `json:"status"`
	Reason    string             `json:"reason"`
	Reference string             `json:"reference,omitempty"`
}

var outcomes = []conformance.Status{conformance.Pass, conformance.Fail, conformance.Crash, conformance.Timeout,
	conformance.Unsupported, conformance.XFail, conformance.Waived}

func (a *app) printConform(f *conformFlags, rep *conformance.Report) error {
	out := conformReport{
		Driver: f.driver, Device: rep.Driver.Name + ":" + rep.Device.ID, Suite: rep.Suite, Hash: rep.Hash, Passed: rep.Passed(), Partial: rep.Partial,
		Isolated: rep.Isolated, Cases: len(rep.Results), Totals: map[conformance.Status]int{}, Profiles: rep.Profiles,
		Failures: []failure{}, Expected: []failure{}, Seconds: rep.Seconds, Report: f.report,
	}
	for _, s := range outcomes {
		out.Totals[s] = rep.Totals[s]
	}
	for _, r := range rep.Results {
		x := failure{r.ID, r.Status, r.Reason, r.Reference}
		switch r.Status {
		case conformance.Fail, conformance.Crash, conformance.Timeout:
			out.Failures = append(out.Failures, x)
		case conformance.XFail, conformance.Waived:
			out.Expected = append(out.Expected, x)
		}
	}
	if f.json {
		return a.json(out)
	}
	w := a.out
	fmt.Fprintf(w, "%s  %s; suite %s, %.12s\n\n", w.Bold(out.Device), tty.OneLine(rep.Device.Model), rep.Suite, rep.Hash)
	if err := a.printProfiles(rep.Profiles); err != nil {
		return err
	}
	a.printFailures(w.Red("Failures"), out.Failures)
	a.printFailures("Known not to pass", out.Expected)
	fmt.Fprintf(w, "\n%s in %s: %s\n", tty.Plural(out.Cases, "case"), tty.Duration(time.Duration(rep.Seconds*float64(time.Second))), totalsText(rep.Totals))
	if f.report != "" {
		a.note("the report is %s", f.report)
	}
	return nil
}

func (a *app) printProfiles(profiles []conformance.ProfileResult) error {
	w := a.out
	t := &tty.Table{Indent: "  ", Right: []int{3}}
	t.Row(w.Dim("profile"), w.Dim("claimed"), w.Dim("result"), w.Dim("cases"))
	for _, p := range profiles {
		claimed, result := "no", w.Dim("not passed")
		if p.Claimed {
			claimed, result = "yes", w.Red("FAILED")
		}
		bad := p.Totals[conformance.Fail] + p.Totals[conformance.Crash] + p.Totals[conformance.Timeout]
		switch {
		case p.Passed:
			result = w.Green("passed")
		case bad == 0 && p.Totals[conformance.Unsupported] == 0:
			result = w.Dim("incomplete") // not all of its cases were run
		}
		t.Row(p.Name, claimed, result, fmt.Sprint(p.Cases), totalsText(p.Totals))
	}
	return t.Write(w)
}

// Failures that are printed for people are bounded in number and length.
const (
	listed      = 40
	reasonRunes = 600
)

func (a *app) printFailures(title string, list []failure) {
	if len(list) == 0 {
		return
	}
	w := a.out
	fmt.Fprintf(w, "\n%s\n", title)
	for _, x := range list[:min(listed, len(list))] {
		text := tty.OneLine(x.Reason)
		if x.Reference != "" {
			text += " (" + tty.OneLine(x.Reference) + ")"
		}
		fmt.Fprintf(w, "  %s  %s\n", w.Bold(x.ID), x.Status)
		if r := []rune(text); len(r) > reasonRunes {
			text = string(r[:reasonRunes]) + " ..."
		}
		for _, line := range wrap(text, w.Width()-6) {
			fmt.Fprintf(w, "      %s\n", line)
		}
	}
	if more := len(list) - listed; more > 0 {
		fmt.Fprintf(w, "  and %d more: --report and --json have all of them\n", more)
	}
}

func totalsText(totals map[conformance.Status]int) string {
	var out []string
	for _, s := range outcomes {
		if n := totals[s]; n > 0 {
			out = append(out, fmt.Sprintf("%d %s", n, s))
		}
	}
	return strings.Join(out, ", ")
}

func (a *app) conformListCommand() *cobra.Command {
	var profiles []string
	var onnx string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the cases of the suite",
		Long: `Lists the cases of the suite in the order that they run in, with the profiles that
ask for each. A case of no profile is run for devices that claim more than the
skeleton.`,
		Example: `  heddle conform list
  heddle conform list --profile vision --json`,
		Args: atMost(0),
		RunE: a.action(func(_ context.Context, _ []string) error { return a.conformList(profiles, onnx, asJSON) }),
	}
	profileFlag(cmd, &profiles, "list the cases of this `profile` only; may be repeated")
	onnxFlag(cmd, &onnx)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func (a *app) conformList(profiles []string, onnx string, asJSON bool) error {
	if err := knownProfiles(profiles); err != nil {
		return err
	}
	if err := onnxFolder(onnx); err != nil {
		return err
	}
	all, err := conformance.List(onnx)
	if err != nil {
		return err
	}
	list := slices.DeleteFunc(all, func(c conformance.Info) bool {
		return len(profiles) > 0 && !slices.ContainsFunc(profiles, func(p string) bool { return slices.Contains(c.Profiles, p) })
	})
	if asJSON {
		return a.json(struct {
			Suite string             `json:"suite"`
			Hash  string             `json:"hash"`
			Cases []conformance.Info `json:"cases"`
		}{conformance.Version, conformance.Hash(), list})
	}
	t := &tty.Table{}
	for _, c := range list {
		t.Row(c.ID, a.out.Dim(strings.Join(c.Profiles, ",")))
	}
	if err := t.Write(a.out); err != nil {
		return err
	}
	a.note("%s of suite %s, %.12s", tty.Plural(len(list), "case"), conformance.Version, conformance.Hash())
	return nil
}

type verifyFlags struct {
	rerun        int
	seed         uint64
	driver, onnx string
	json         bool
}

func (a *app) conformVerifyCommand() *cobra.Command {
	var f verifyFlags
	cmd := &cobra.Command{
		Use:   "verify REPORT",
		Short: "Check a report, and run some of its cases again",
		Long: `Checks that a report is complete and consistent: made by this suite, with every
case of its scope, right totals and an intact seal. A report that says of itself
that cases failed may well be valid. With --rerun some cases that passed are run
again on the device, which must be the same model with the same driver.`,
		Example: `  heddle conform verify cpu.json
  heddle conform verify npu.json --rerun 50 --seed 7
  heddle conform verify npu.json --rerun 50 --driver plugin:./npu.so`,
		Args: exactly(1, "the report"),
		RunE: a.action(func(ctx context.Context, args []string) error { return a.conformVerify(ctx, args[0], &f) }),
	}
	fl := cmd.Flags()
	fl.IntVar(&f.rerun, "rerun", 0, "run `n` cases again, drawn among those that passed")
	fl.Uint64Var(&f.seed, "seed", 0, "draw other cases")
	a.driverFlag(cmd, &f.driver, "`device` to run them on (default: the one in the report)")
	onnxFlag(cmd, &f.onnx)
	fl.BoolVar(&f.json, "json", false, "print JSON")
	return cmd
}

func (a *app) conformVerify(ctx context.Context, path string, f *verifyFlags) error {
	switch {
	case f.rerun < 0:
		return usagef("--rerun must not be negative")
	case f.rerun == 0 && (f.driver != "" || f.onnx != "" || f.seed != 0):
		return usagef("--driver, --seed and --onnx-tests concern the cases that --rerun runs again: say how many")
	}
	if err := onnxFolder(f.onnx); err != nil {
		return err
	}
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("%s: %w", path, cause(err))
	}
	defer file.Close()
	rep, err := conformance.ReadReport(file)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	out := verified{Valid: true, Errors: []string{}}
	if err := conformance.Verify(&rep); err != nil {
		out.Valid, out.Errors = false, findings(err)
	} else if f.rerun > 0 {
		again, err := a.rerun(ctx, &rep, f)
		if ctx.Err() != nil || err != nil && len(again.Results) == 0 {
			return err // nothing was run
		}
		out.Rerun = len(again.Results)
		if err != nil {
			out.Valid, out.Errors = false, findings(err)
		}
	}
	return a.printVerified(path, &rep, out, f.json)
}

func (a *app) rerun(ctx context.Context, rep *conformance.Report, f *verifyFlags) (conformance.Report, error) {
	name := f.driver
	if name == "" {
		options := url.Values{}
		for k, v := range rep.Options {
			options.Set(k, v)
		}
		name = rep.Driver.Name + ":" + rep.Device.ID + "?" + options.Encode()
	}
	d, o, err := a.driverOf(name)
	if err != nil {
		return conformance.Report{}, err
	}
	o.ONNXTests, o.Isolate, o.InProcess = f.onnx, rep.Isolated, !rep.Isolated
	return a.judge(func(progress func(conformance.Result, int)) (conformance.Report, error) {
		o.Progress = progress
		return conformance.Rerun(ctx, rep, d, o, f.rerun, f.seed)
	})
}

// verified is the outcome of conform verify in output.
type verified struct {
	Valid  bool     `json:"valid"`
	Errors []string `json:"errors"`
	Rerun  int      `json:"rerun"` // cases that were run again
}

func (a *app) printVerified(path string, rep *conformance.Report, out verified, asJSON bool) error {
	if asJSON {
		if err := a.json(out); err != nil {
			return err
		}
	} else {
		for _, e := range out.Errors {
			fmt.Fprintf(a.out, "%s  %s\n", a.out.Red("WRONG"), tty.OneLine(e))
		}
		if out.Valid {
			fmt.Fprintf(a.out, "%s  %s, %s by suite %s, %.12s: %s\n", a.out.Green("valid"), rep.Driver.Name+":"+rep.Device.ID,
				tty.Plural(len(rep.Results), "case"), rep.Suite, rep.Hash, totalsText(rep.Totals))
		}
		if out.Valid && out.Rerun > 0 {
			fmt.Fprintf(a.out, "%s  %s run again\n", a.out.Green("confirmed"), tty.Plural(out.Rerun, "case"))
		}
	}
	if !out.Valid {
		return fmt.Errorf("%s is not to be trusted: %s", path, tty.Plural(len(out.Errors), "reason"))
	}
	return nil
}

// findings takes apart what Verify and Rerun join: a headline, and an error for
// everything found.
func findings(err error) []string {
	var joined interface{ Unwrap() []error }
	if !errors.As(err, &joined) {
		return []string{message(err)}
	}
	var out []string
	for _, e := range joined.Unwrap() {
		out = append(out, e.Error())
	}
	return out
}
