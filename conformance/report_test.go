package conformance_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/heddle-ml/heddle/conformance"
	"github.com/heddle-ml/heddle/drivers/null"
	"github.com/heddle-ml/heddle/graph"
	"github.com/heddle-ml/heddle/hal/driver"
)

// skeleton is the report of the null device, which passes.
var skeleton = sync.OnceValues(func() (conformance.Report, error) {
	return conformance.Run(context.Background(), null.Driver{}, conformance.Options{})
})

// A device that claims no more than the contract is judged by the contract,
// and its report verifies, also after a round trip through JSON.
func TestSkeleton(t *testing.T) {
	r, err := skeleton()
	require.NoError(t, err)
	for _, f := range r.Failures() {
		t.Errorf("%s: %s: %s", f.ID, f.Status, f.Reason)
	}
	require.True(t, r.Passed(), "%+v", r.Profiles)
	require.Equal(t, []string{"skeleton"}, r.Scope)
	require.NoError(t, conformance.Verify(&r))

	var b bytes.Buffer
	require.NoError(t, r.Write(&b, "heddle conform --driver null"))
	again, err := conformance.ReadReport(&b)
	require.NoError(t, err)
	require.NoError(t, conformance.Verify(&again))
	require.Equal(t, r.Totals, again.Totals)

	var md strings.Builder
	require.NoError(t, again.Markdown(&md))
	require.Contains(t, md.String(), "# null:0: passes skeleton")
	require.Contains(t, md.String(), "heddle conform --driver null")

	_, err = conformance.Rerun(t.Context(), &again, null.Driver{}, conformance.Options{}, 3, 9)
	require.NoError(t, err)
}

// Whatever is changed in a report shows.
func TestVerifyRefuses(t *testing.T) {
	r, err := skeleton()
	require.NoError(t, err)
	whole, err := json.Marshal(&r)
	require.NoError(t, err)
	for name, c := range map[string]struct {
		change func(r *conformance.Report)
		want   string
	}{
		"a case taken away": {func(r *conformance.Report) { r.Results = r.Results[1:] }, "missing"},
		"a case twice":      {func(r *conformance.Report) { r.Results = append(r.Results, r.Results[0]) }, "twice"},
		"a case made up": {func(r *conformance.Report) {
			r.Results = append(r.Results, conformance.Result{ID: "ops.magic", Status: conformance.Pass})
		}, "no case of the suite"},
		"another suite":     {func(r *conformance.Report) { r.Suite = "v9" }, "suite v9"},
		"other tolerances":  {func(r *conformance.Report) { r.Hash = strings.Repeat("0", 64) }, "other cases or tolerances"},
		"another form":      {func(r *conformance.Report) { r.Schema = 7 }, "version 7"},
		"partial":           {func(r *conformance.Report) { r.Partial = true }, "partial"},
		"seeded":            {func(r *conformance.Report) { r.Seed = 5 }, "seed 5"},
		"a scope cut":       {func(r *conformance.Report) { r.Scope = nil }, "missing"},
		"a scope made up":   {func(r *conformance.Report) { r.Scope = append(r.Scope, "speed") }, "speed"},
		"a status made up":  {func(r *conformance.Report) { r.Results[0].Status = "fine" }, `no status "fine"`},
		"a failure hidden":  {func(r *conformance.Report) { r.Results[0].Status = conformance.Fail }, "without a reason"},
		"unsupported":       {func(r *conformance.Report) { r.Results[0].Status, r.Results[0].Reason = conformance.Unsupported, "no" }, "claims a profile"},
		"xfail for nothing": {func(r *conformance.Report) { r.Results[0].Status, r.Results[0].Reason = conformance.XFail, "no" }, "with the reference"},
		"an error too large": {func(r *conformance.Report) {
			r.Results[0].Error = &conformance.Measured{Elements: 1, Worst: 2}
		}, "out of its limits"},
		"totals":      {func(r *conformance.Report) { r.Totals[conformance.Pass]++ }, "lists"},
		"a profile":   {func(r *conformance.Report) { r.Profiles[0].Passed = !r.Profiles[0].Passed }, "profiles"},
		"a problem":   {func(r *conformance.Report) { r.Problems = []string{"it smokes"} }, "it smokes"},
		"no machine":  {func(r *conformance.Report) { r.Environment.Processors = 0 }, "where or when"},
		"the seal":    {func(r *conformance.Report) { r.Device.Model = "better" }, "seal"},
		"the time":    {func(r *conformance.Report) { r.Results[0].Millis = -1 }, "-1 ms"},
		"other teams": {func(r *conformance.Report) { r.Results[0].Profiles = []string{"vision"} }, "part of the profiles"},
	} {
		t.Run(name, func(t *testing.T) {
			var r conformance.Report
			require.NoError(t, json.Unmarshal(whole, &r))
			require.NoError(t, conformance.Verify(&r))
			c.change(&r)
			require.ErrorContains(t, conformance.Verify(&r), c.want)
			require.ErrorContains(t, conformance.Verify(&r), "seal")
		})
	}
}

// broken is the null driver with one thing that is wrong.
type broken struct {
	null.Driver
	compile func() error
	caps    func(*driver.Caps)
}

func (b broken) Open(ctx context.Context, id string, o driver.OpenOptions) (driver.Device, error) {
	d, err := b.Driver.Open(ctx, id, o)
	if err != nil {
		return nil, err
	}
	caps := *d.Caps()
	if b.caps != nil {
		b.caps(&caps)
	}
	return &brokenDevice{Device: d, b: b, caps: &caps}, nil
}

type brokenDevice struct {
	driver.Device
	b    broken
	caps *driver.Caps
}

func (d *brokenDevice) Caps() *driver.Caps { return d.caps }

// Supports refuses what the capabilities do not name.
func (d *brokenDevice) Supports(g *graph.Graph) []driver.Verdict {
	vs := d.Device.Supports(g)
	for i, n := range g.Nodes {
		if _, ok := d.caps.Op(n.Op); !ok {
			vs[i] = driver.Verdict{Code: driver.ReasonOperator, Text: "there is no " + n.Op.String()}
		}
	}
	return vs
}

func (d *brokenDevice) Compile(ctx context.Context, g *graph.Graph, o driver.CompileOptions) (driver.Executable, error) {
	if d.b.compile != nil {
		if err := d.b.compile(); err != nil {
			return nil, err
		}
	}
	return d.Device.Compile(ctx, g, o)
}

const one = "ops.matmul.f32.m1_k1_n1"

func runOne(t *testing.T, d driver.Driver, o conformance.Options) conformance.Result {
	t.Helper()
	o.Profiles, o.Match = []string{"vision"}, regexp.MustCompile("^"+regexp.QuoteMeta(one)+"$")
	r, err := conformance.Run(t.Context(), d, o)
	require.NoError(t, err)
	require.Len(t, r.Results, 1)
	require.True(t, r.Partial)
	return r.Results[0]
}

// Each way in which a device can fail has its status.
func TestStatuses(t *testing.T) {
	res := runOne(t, null.Driver{}, conformance.Options{})
	require.Equal(t, conformance.Fail, res.Status, "it computes zeros")
	require.NotNil(t, res.Error)

	res = runOne(t, broken{compile: func() error { panic("out of cheese") }}, conformance.Options{})
	require.Equal(t, conformance.Crash, res.Status)
	require.Contains(t, res.Reason, "out of cheese")

	res = runOne(t, broken{compile: func() error { return driver.ErrDeviceLost }}, conformance.Options{})
	require.Equal(t, conformance.Crash, res.Status)

	hang := make(chan struct{})
	defer close(hang)
	res = runOne(t, broken{compile: func() error { <-hang; return errors.New("late") }}, conformance.Options{Timeout: 50 * time.Millisecond})
	require.Equal(t, conformance.Timeout, res.Status)

	res = runOne(t, broken{caps: func(c *driver.Caps) { c.Ops = nil }}, conformance.Options{})
	require.Equal(t, conformance.Unsupported, res.Status, res.Reason)
	require.Contains(t, res.Reason, "there is no MatMul")

	res = runOne(t, broken{caps: func(c *driver.Caps) { c.Ops, c.Profiles = nil, []string{"vision"} }}, conformance.Options{})
	require.Equal(t, conformance.Fail, res.Status, "a claimed profile leaves no choice")
	require.Contains(t, res.Reason, "claims the profile vision")

	expect := func(s conformance.Status) conformance.Options {
		return conformance.Options{Expect: []conformance.Expectation{{Case: "ops.matmul.*", Status: s, Reference: "issue 7"}}}
	}
	res = runOne(t, null.Driver{}, expect(conformance.XFail))
	require.Equal(t, conformance.XFail, res.Status)
	require.Equal(t, "issue 7", res.Reference)
	res = runOne(t, null.Driver{}, expect(conformance.Waived))
	require.Equal(t, conformance.Waived, res.Status)

	_, err := conformance.Run(t.Context(), null.Driver{}, conformance.Options{Expect: []conformance.Expectation{{Case: "x", Status: conformance.XFail}}})
	require.ErrorContains(t, err, "reference")
}

// What is expected to fail and does not is a failure: the entry has to go.
func TestUnexpectedPass(t *testing.T) {
	r, err := conformance.Run(t.Context(), null.Driver{}, conformance.Options{
		Match:  regexp.MustCompile(`^memory\.`),
		Expect: []conformance.Expectation{{Case: "memory.*", Status: conformance.XFail, Reference: "issue 7"}},
	})
	require.NoError(t, err)
	require.NotEmpty(t, r.Failures())
	require.False(t, r.Passed())
	for _, f := range r.Failures() {
		require.Contains(t, f.Reason, "take it off the list")
	}
}

func TestWrongOptions(t *testing.T) {
	for want, o := range map[string]conformance.Options{
		"no profile":      {Profiles: []string{"speed"}},
		"no case matches": {Match: regexp.MustCompile("^nothing$")},
		"only device 0":   {Device: "7"},
	} {
		_, err := conformance.Run(t.Context(), null.Driver{}, o)
		require.ErrorContains(t, err, want)
	}
	_, err := conformance.Run(t.Context(), nil, conformance.Options{})
	require.Error(t, err)
}

// A run that is broken off gives a partial report.
func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	r, err := conformance.Run(ctx, null.Driver{}, conformance.Options{Jobs: 1, Progress: func(conformance.Result, int) { cancel() }})
	require.ErrorIs(t, err, context.Canceled)
	require.True(t, r.Partial)
	require.Error(t, conformance.Verify(&r))
}
