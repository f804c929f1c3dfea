package conformance

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/heddle-ml/heddle/hal/driver"
)

// Verify returns nil when a report is complete and consistent: made by this
// version of the suite, with each case of its scope once and no other, with
// legal statuses, reasons and references, measured errors that agree with the
// statuses, right totals, and an intact seal. The error lists everything found.
func Verify(r *Report) error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	switch {
	case r.Schema != schema:
		bad("its form has version %d, this program knows %d", r.Schema, schema)
	case r.Suite != Version:
		bad("it was made by suite %s, this is %s: verify it with the program that made it", r.Suite, Version)
	case r.Hash != Hash():
		bad("it was made by other cases or tolerances than this suite's (hash %.12s, want %.12s)", r.Hash, Hash())
	}
	if r.Partial {
		bad("it is partial: the run was limited, or ended early")
	}
	for _, p := range r.Problems {
		bad("the run had a problem: %s", p)
	}
	if r.Seed != 0 {
		bad("its inputs were drawn with seed %d: reports are made with seed 0", r.Seed)
	}
	if r.Driver.Name == "" || r.Caps.Fingerprint == "" || r.Environment.OS == "" || r.Environment.Arch == "" || r.Environment.Processors < 1 || r.Started.IsZero() || r.Seconds <= 0 {
		bad("it does not say on what, where or when it was made")
	}
	if seal := r.seal(); r.Seal != seal {
		bad("the seal does not match: something was changed")
	}
	errs = append(errs, r.complete()...)
	for i := range r.Results {
		if err := r.Results[i].plausible(claims(&r.Caps)); err != nil {
			bad("%s: %w", r.Results[i].ID, err)
		}
	}
	again := *r
	again.sum()
	for _, s := range append(slices.Clone(statuses), mapKeys(r.Totals)...) {
		if again.Totals[s] != r.Totals[s] {
			bad("it counts %d cases as %s, and lists %d", r.Totals[s], s, again.Totals[s])
		}
	}
	if fmt.Sprint(again.Profiles) != fmt.Sprint(r.Profiles) {
		bad("what it says of the profiles does not follow from its results")
	}
	if len(errs) > 0 {
		return fmt.Errorf("conformance: the report is not valid:\n%w", errors.Join(errs...))
	}
	return nil
}

func mapKeys(m map[Status]int) (out []Status) {
	for k := range m {
		if !slices.Contains(statuses, k) {
			out = append(out, k)
		}
	}
	return out
}

// complete compares the list of cases with the must-pass list.
func (r *Report) complete() (errs []error) {
	list, err := readList(mustPass)
	if err != nil {
		return []error{err}
	}
	for _, s := range r.Scope {
		if !slices.Contains(Profiles(), s) {
			errs = append(errs, fmt.Errorf("its scope names a profile %q, which there is not", s))
		}
	}
	want := map[string][]string{}
	for _, l := range list {
		if len(r.Scope) == 0 || slices.ContainsFunc(l.profiles, func(p string) bool { return slices.Contains(r.Scope, p) }) {
			want[l.id] = l.profiles
		}
	}
	seen := map[string]bool{}
	onnx := 0
	for _, res := range r.Results {
		profiles, ok := want[res.ID]
		switch {
		case seen[res.ID]:
			errs = append(errs, fmt.Errorf("%s is there twice", res.ID))
		case !ok && r.ONNX && strings.HasPrefix(res.ID, "onnx."):
			onnx++
		case !ok:
			errs = append(errs, fmt.Errorf("%s is no case of the suite, or not of this scope", res.ID))
		case !slices.Equal(profiles, res.Profiles):
			errs = append(errs, fmt.Errorf("%s is part of the profiles %v, not %v", res.ID, profiles, res.Profiles))
		}
		seen[res.ID] = true
	}
	if r.ONNX && onnx == 0 && len(r.Scope) == 0 {
		errs = append(errs, errors.New("it says that the ONNX project's cases were run, and has none"))
	}
	var missing []string
	for id := range want {
		if !seen[id] {
			missing = append(missing, id)
		}
	}
	if slices.Sort(missing); len(missing) > 0 {
		more := ""
		if len(missing) > 5 {
			more = fmt.Sprintf(" and %d more", len(missing)-5)
		}
		errs = append(errs, fmt.Errorf("%d cases are missing: %s%s", len(missing), strings.Join(missing[:min(5, len(missing))], ", "), more))
	}
	return errs
}

// plausible checks a result against itself.
func (r *Result) plausible(claimed []string) error {
	switch {
	case !slices.Contains(statuses, r.Status):
		return fmt.Errorf("there is no status %q", r.Status)
	case r.Status != Pass && r.Reason == "":
		return fmt.Errorf("it is %s without a reason", r.Status)
	case (r.Status == XFail || r.Status == Waived) != (r.Reference != ""):
		return fmt.Errorf("it is %s with the reference %q", r.Status, r.Reference)
	case r.Status == Unsupported && slices.ContainsFunc(r.Profiles, func(p string) bool { return slices.Contains(claimed, p) }):
		return errors.New("it is unsupported, and the device claims a profile that asks for it")
	case r.Millis < 0 || math.IsNaN(r.Millis):
		return fmt.Errorf("it took %v ms", r.Millis)
	}
	if e := r.Error; e != nil && r.Status == Pass && !e.Within() {
		return fmt.Errorf("it passes with an error out of its limits: %+v", *e)
	}
	return nil
}

// Rerun runs n cases of a report again, drawn by seed among those that passed,
// and returns an error that lists the ones that do not pass any more.
func Rerun(ctx context.Context, r *Report, d driver.Driver, o Options, n int, seed uint64) (Report, error) {
	var ids []string
	for _, res := range r.Results {
		if res.Status == Pass {
			ids = append(ids, res.ID)
		}
	}
	o.Profiles, o.Match, o.Sample = r.Scope, nil, 0
	run, err := newRunner(ctx, d, o)
	if err != nil {
		return Report{}, err
	}
	if run.caps.Fingerprint != r.Caps.Fingerprint {
		run.close()
		return Report{}, fmt.Errorf("conformance: the device is not the report's: its fingerprint is %q, the report's %q", run.caps.Fingerprint, r.Caps.Fingerprint)
	}
	kept := run.cases[:0:0]
	for _, c := range run.cases {
		if slices.Contains(ids, c.ID) {
			kept = append(kept, c)
		}
	}
	if n > 0 && n < len(kept) {
		kept = sample(kept, n, seed)
	}
	run.cases, run.o.Sample = kept, len(kept)
	run.run(ctx)
	again := run.report()
	var errs []error
	for _, res := range again.Results {
		if res.Status != Pass {
			errs = append(errs, fmt.Errorf("%s passed in the report, now: %s: %s", res.ID, res.Status, res.Reason))
		}
	}
	if err := ctx.Err(); err != nil {
		errs = append(errs, err)
	}
	if len(errs) > 0 {
		return again, fmt.Errorf("conformance: the report is not confirmed:\n%w", errors.Join(errs...))
	}
	return again, nil
}
