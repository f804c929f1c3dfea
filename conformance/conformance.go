package conformance

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/heddle-ml/heddle/conformance/internal/suite"
	"github.com/heddle-ml/heddle/hal/driver"
)

// Options configure a run. The zero value runs all cases of the suite on the
// driver's first device.
type Options struct {
	// Device is the ID of the device, as Probe gives it or Open takes it; ""
	// is the first one. DeviceOptions are those of its name, such as
	// "threads": "1".
	Device        string
	DeviceOptions map[string]string
	// Profiles limits the run to the cases of these profiles and of those that
	// they build on. Empty means all cases; for a device that claims no more
	// than "skeleton", those of that profile.
	Profiles []string
	// Match, if not nil, limits the run further, to cases with matching IDs.
	// Reports of such runs are partial and do not verify.
	Match *regexp.Regexp
	// Sample, if positive, limits the run to so many cases, drawn by Seed.
	Sample int
	// ONNXTests is the folder of the ONNX project's operator cases
	// (onnx/backend/test/data/node); "" leaves them out.
	ONNXTests string
	// Expect lists cases that are known not to pass.
	Expect []Expectation
	// Isolate runs the device in a child process, so that a crash costs one
	// case. Drivers of foreign code are isolated unless InProcess is set.
	// Tests only isolate drivers that their host program knows.
	Isolate, InProcess bool
	// Jobs is how many cases run side by side, each with a device of its own;
	// 0 chooses by the number of processors.
	Jobs int
	// Timeout is how long a case may take; 0 means a minute. Cases that are
	// known to take longer have more.
	Timeout time.Duration
	// Seed varies the inputs of all cases; 0 is what reports are made with.
	Seed uint64
	// FailFast ends the run at the first failure.
	FailFast bool
	// Progress, if not nil, is told of each result as it comes, with the
	// number of cases in all. One call at a time.
	Progress func(r Result, total int)
}

// Expectation says that cases are known not to pass, and where one can read
// why.
type Expectation struct {
	// Case is an ID, or the beginning of IDs if it ends with "*".
	Case string `json:"case"`
	// Status is XFail (a defect that is being worked on; a pass is then a
	// failure, so that the entry goes) or Waived (a deviation that was agreed
	// on).
	Status Status `json:"status"`
	// Reference is a link or an issue. It must not be empty.
	Reference string `json:"reference"`
}

func (e *Expectation) matches(id string) bool {
	if n := len(e.Case); n > 0 && e.Case[n-1] == '*' {
		return len(id) >= n-1 && id[:n-1] == e.Case[:n-1]
	}
	return e.Case == id
}

// Run runs the suite against a driver. The error says why there is no report,
// or only part of one (ctx ended); failures of cases are in the report.
func Run(ctx context.Context, d driver.Driver, o Options) (Report, error) {
	r, err := newRunner(ctx, d, o)
	if err != nil {
		return Report{}, err
	}
	r.run(ctx)
	return r.report(), ctx.Err()
}

// Test runs the suite against a driver, each case as a subtest that is named by
// its ID: go test -run 'TestConformance/ops.matmul' runs some. Unsupported
// cases are skipped with their reason; what is expected to fail, too.
func Test(t *testing.T, d driver.Driver, o Options) {
	t.Helper()
	r, err := newRunner(t.Context(), d, o)
	if err != nil {
		t.Fatal(err)
	}
	defer r.close()
	w := r.worker()
	for i := range r.cases {
		c := &r.cases[i]
		t.Run(c.ID, func(t *testing.T) {
			res := r.finish(w.run(t.Context(), c))
			for _, n := range res.Notes {
				t.Log(n)
			}
			switch res.Status {
			case Pass:
			case Unsupported, XFail, Waived:
				t.Skipf("%s: %s", res.Status, res.Reason)
			default:
				t.Errorf("%s: %s", res.Status, res.Reason)
			}
		})
		if t.Failed() && o.FailFast {
			return
		}
	}
	if err := w.close(); err != nil {
		t.Errorf("closing the device: %v", err)
	}
}

// Info describes a case of the suite.
type Info struct {
	ID       string   `json:"id"`
	Profiles []string `json:"profiles"`
}

// List returns the cases, in the order that they run in. onnxTests is as in
// Options.
func List(onnxTests string) ([]Info, error) {
	cs, err := cases(onnxTests)
	if err != nil {
		return nil, err
	}
	out := make([]Info, len(cs))
	for i, c := range cs {
		out[i] = Info{c.ID, c.Profiles.Names()}
	}
	return out, nil
}

// Profiles lists the names of the profiles, from the least to the most.
func Profiles() []string { return slices.Clone(suite.ProfileNames()) }

// selected returns the cases that a run is about.
func selected(all []suite.Case, o Options, claimed suite.Profile) ([]suite.Case, []string, error) {
	var want suite.Profile
	for _, name := range o.Profiles {
		p, err := suite.ParseProfile(name)
		if err != nil {
			return nil, nil, err
		}
		want |= p
	}
	if want == 0 && claimed == suite.Skeleton {
		want = suite.Skeleton
	}
	want = want.Expand()
	var out []suite.Case
	for _, c := range all {
		if (want == 0 || c.Profiles&want != 0) && (o.Match == nil || o.Match.MatchString(c.ID)) {
			out = append(out, c)
		}
	}
	if o.Sample > 0 && o.Sample < len(out) {
		out = sample(out, o.Sample, o.Seed)
	}
	if len(out) == 0 {
		return nil, nil, fmt.Errorf("conformance: no case matches: heddle conform list shows all of them")
	}
	return out, want.Names(), nil
}
